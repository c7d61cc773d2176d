//! Who may do what to a node: access control lists, identities, permissions (`org.apache.zookeeper.data.ACL`, `Id`,
//! `ZooDefs.Perms`).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// A set of permissions, as bits.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Perms(pub i32);

impl Perms {
    /// None of them.
    pub const NONE: Perms = Perms(0);
    /// Read the data and list the children.
    pub const READ: Perms = Perms(1);
    /// Set the data.
    pub const WRITE: Perms = Perms(2);
    /// Make children.
    pub const CREATE: Perms = Perms(4);
    /// Remove children.
    pub const DELETE: Perms = Perms(8);
    /// Set the list itself.
    pub const ADMIN: Perms = Perms(16);
    /// All of them.
    pub const ALL: Perms = Perms(31);

    /// Whether any permission of `other` is among these.
    pub const fn allows(self, other: Perms) -> bool {
        self.0 & other.0 != 0
    }

    /// These and those of `other`.
    pub const fn and(self, other: Perms) -> Perms {
        Perms(self.0 | other.0)
    }
}

/// Somebody, by a scheme: `world:anyone`, `digest:user:hash`, `ip:10.0.0.0/8`, `auth:` for whoever asks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "(Arc<str>, Arc<str>)", into = "(Arc<str>, Arc<str>)")]
pub struct Id {
    /// How `id` is to be read.
    pub scheme: Arc<str>,
    /// Who, in the scheme's terms.
    pub id: Arc<str>,
}

impl Id {
    /// The identity `id` of `scheme`.
    pub fn new(scheme: &str, id: &str) -> Id {
        let (scheme, id) = (scheme.into(), id.into());
        Id { scheme, id }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.id)
    }
}

impl From<(Arc<str>, Arc<str>)> for Id {
    fn from((scheme, id): (Arc<str>, Arc<str>)) -> Id {
        Id { scheme, id }
    }
}

impl From<Id> for (Arc<str>, Arc<str>) {
    fn from(id: Id) -> Self {
        (id.scheme, id.id)
    }
}

/// One line of a list. Written `[31, "world", "anyone"]`, as in recorded histories.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(
    from = "(Perms, Arc<str>, Arc<str>)",
    into = "(Perms, Arc<str>, Arc<str>)"
)]
pub struct AclEntry {
    /// What is allowed.
    pub perms: Perms,
    /// To whom.
    pub id: Id,
}

impl From<(Perms, Arc<str>, Arc<str>)> for AclEntry {
    fn from((perms, scheme, id): (Perms, Arc<str>, Arc<str>)) -> AclEntry {
        let id = Id { scheme, id };
        AclEntry { perms, id }
    }
}

impl From<AclEntry> for (Perms, Arc<str>, Arc<str>) {
    fn from(entry: AclEntry) -> Self {
        (entry.perms, entry.id.scheme, entry.id.id)
    }
}

static OPEN: LazyLock<[AclEntry; 1]> = LazyLock::new(|| {
    [AclEntry {
        perms: Perms::ALL,
        id: Id::new("world", "anyone"),
    }]
});

/// A node's access control list: shared, and by default open to all (`OPEN_ACL_UNSAFE`), which costs nothing. As a request
/// carries it, it need not be valid: empty, or with a scheme that nobody knows.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<AclEntry>", into = "Vec<AclEntry>")]
pub struct Acl(Option<Arc<[AclEntry]>>);

impl Acl {
    /// Everything to everybody: `world:anyone` with all permissions.
    pub const OPEN: Acl = Acl(None);

    /// The list of these entries, in this order.
    pub fn new(entries: Vec<AclEntry>) -> Acl {
        // One form for one list, so that equality is equality of the entries.
        if entries == *OPEN {
            Acl::OPEN
        } else {
            Acl(Some(entries.into()))
        }
    }

    /// The list with one entry.
    pub fn one(perms: Perms, scheme: &str, id: &str) -> Acl {
        let id = Id::new(scheme, id);
        Acl::new(vec![AclEntry { perms, id }])
    }

    /// Whether it is the open one.
    pub const fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Its entries, in order.
    pub fn entries(&self) -> &[AclEntry] {
        self.0.as_deref().unwrap_or(&*OPEN)
    }
}

impl From<Vec<AclEntry>> for Acl {
    fn from(entries: Vec<AclEntry>) -> Acl {
        Acl::new(entries)
    }
}

impl From<Acl> for Vec<AclEntry> {
    fn from(acl: Acl) -> Self {
        acl.entries().to_vec()
    }
}

impl fmt::Debug for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_open() {
            return write!(f, "open");
        }
        let lines = self.entries().iter();
        f.debug_list()
            .entries(lines.map(|entry| format!("{}:{}", entry.id, entry.perms.0)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_list_has_one_form() {
        let spelled = Acl::one(Perms::ALL, "world", "anyone");
        assert!(spelled.is_open() && spelled == Acl::OPEN);
        assert_eq!(Acl::OPEN.entries().len(), 1);
        let read_only = Acl::one(Perms::READ, "world", "anyone");
        assert!(!read_only.is_open() && read_only != Acl::OPEN);
        assert_ne!(Acl::new(vec![]), Acl::OPEN);
    }

    #[test]
    fn permissions_are_bits() {
        assert!(Perms::ALL.allows(Perms::ADMIN));
        assert!(!Perms::READ.and(Perms::WRITE).allows(Perms::CREATE));
        assert!(Perms::READ.allows(Perms::READ.and(Perms::ADMIN)));
    }
}
