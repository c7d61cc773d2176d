//! Access control lists: `acl = ["world:anyone:r", "digest:me:hash=:cdrwa"]`, each entry a scheme, an identity and permissions,
//! as in ZooKeeper's own command line. Without the key, a node is open to all.

use super::reader::{FormatError, Value};
use zabsim_types::spell::PERMISSIONS;
use zabsim_types::{Acl, AclEntry, Id, Perms};

pub(super) fn read(value: Option<Value<'_>>) -> Result<Acl, FormatError> {
    let Some(value) = value else {
        return Ok(Acl::OPEN);
    };
    let entries = value.list()?;
    let entries = entries.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Acl::new(entries))
}

fn entry(value: &Value<'_>) -> Result<AclEntry, FormatError> {
    let text = value.str()?;
    let mistake = |what: &str| {
        value.error(format!(
            "{text:?} is no entry of an access control list: {what}; it is scheme:id:permissions, the permissions being \
             letters of c, d, r, w, a: \"world:anyone:r\""
        ))
    };
    // An identity may have colons of its own: `digest:user:hash:cdrwa`.
    let parts = text
        .split_once(':')
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
    let Some((scheme, (id, letters))) = parts else {
        return Err(mistake("it lacks a colon"));
    };
    let mut perms = Perms::NONE;
    for letter in letters.chars() {
        let known = PERMISSIONS.iter().find(|(known, _)| *known == letter);
        let Some((_, perm)) = known else {
            return Err(mistake(&format!("{letter:?} is no permission")));
        };
        perms = perms.and(*perm);
    }
    let id = Id::new(scheme, id);
    Ok(AclEntry { perms, id })
}
