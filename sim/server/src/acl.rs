//! Access control lists: what they grant to whom, which ones a node can have, and what is shown of them.
//!
//! - A list grants what any of its entries grants. Children inherit nothing.
//! - `auth:` is nobody in itself: it becomes, when the list is set, whoever has proven to be the one who sets it.
//!
//! Source: ZooKeeper 3.9 `ZooKeeperServer.checkACL`, `PrepRequestProcessor.fixupACL`, `FinalRequestProcessor` (getACL).

use crate::auth::{Identities, user};
use std::net::IpAddr;
use zabsim_types::{Acl, AclEntry, ErrorCode, Id, Perms};

/// Whether the list grants any of these permissions to a connection with these identities.
pub(crate) fn allows(acl: &Acl, need: Perms, ids: &Identities) -> bool {
    if acl.is_open() || ids.is_super() {
        return true;
    }
    let granting = acl
        .entries()
        .iter()
        .filter(|entry| entry.perms.allows(need));
    let mut to = granting.map(|entry| &entry.id);
    to.any(|listed| is_anyone(listed) || ids.iter().any(|id| is_of(id, listed)))
}

pub(crate) fn check(acl: &Acl, need: Perms, ids: &Identities) -> Result<(), ErrorCode> {
    match allows(acl, need, ids) {
        true => Ok(()),
        false => Err(ErrorCode::NoAuth),
    }
}

fn is_anyone(id: &Id) -> bool {
    &*id.scheme == "world" && &*id.id == "anyone"
}

fn is_of(id: &Id, listed: &Id) -> bool {
    match &*listed.scheme {
        "digest" => id == listed,
        "ip" => &*id.scheme == "ip" && Network::read(&listed.id).is_some_and(|n| n.holds(&id.id)),
        _ => false,
    }
}

/// The list that a node gets where this one is asked for.
pub(crate) fn settle(asked: &Acl, ids: &Identities) -> Result<Acl, ErrorCode> {
    if asked.is_open() {
        return Ok(Acl::OPEN);
    }
    let mut settled = Vec::new();
    for (at, entry) in asked.entries().iter().enumerate() {
        if asked.entries()[..at].contains(entry) {
            continue;
        }
        if &*entry.id.scheme != "auth" {
            if !is_valid(&entry.id) {
                return Err(ErrorCode::InvalidACL);
            }
            settled.push(entry.clone());
            continue;
        }
        // To come from an address is no proof, and the super user is in no list.
        let mut proven = ids.proven().iter().filter(|id| &*id.scheme == "digest");
        let first = proven.next().ok_or(ErrorCode::InvalidACL)?;
        settled.extend(std::iter::once(first).chain(proven).map(|id| AclEntry {
            perms: entry.perms,
            id: id.clone(),
        }));
    }
    match settled.is_empty() {
        true => Err(ErrorCode::InvalidACL),
        false => Ok(Acl::new(settled)),
    }
}

fn is_valid(id: &Id) -> bool {
    match &*id.scheme {
        "world" => is_anyone(id),
        // One colon. Any number at the end goes unnoticed: Java's `split` drops them.
        "digest" => id.id.trim_end_matches(':').matches(':').count() == 1,
        "ip" => Network::read(&id.id).is_some(),
        _ => false,
    }
}

/// The list as it is shown to those who may read it but not set it: hashes of passwords could be guessed at.
pub(crate) fn masked(acl: &Acl) -> Acl {
    let mask = |entry: &AclEntry| match &*entry.id.scheme {
        "digest" => AclEntry {
            perms: entry.perms,
            id: Id::new("digest", &format!("{}:x", user(&entry.id.id))),
        },
        _ => entry.clone(),
    };
    Acl::new(acl.entries().iter().map(mask).collect())
}

/// Addresses that begin alike: `10.0.0.0/8`, or `10.1.2.3` for just one.
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn read(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let all = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= all)?,
            None => all,
        };
        Some(Network { address, bits })
    }

    fn holds(&self, address: &str) -> bool {
        match (self.address, address.parse()) {
            (IpAddr::V4(ours), Ok(IpAddr::V4(theirs))) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(ours), Ok(IpAddr::V6(theirs))) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::digest;

    fn me() -> Identities {
        Identities::new(vec![Id::new("digest", &digest("me:secret"))])
    }

    fn list(entries: &[(Perms, &str, &str)]) -> Acl {
        let entry = |(perms, scheme, id): &(Perms, &str, &str)| AclEntry {
            perms: *perms,
            id: Id::new(scheme, id),
        };
        Acl::new(entries.iter().map(entry).collect())
    }

    #[test]
    fn any_entry_grants_what_it_says_to_whom_it_says() {
        let mine = digest("me:secret");
        let acl = list(&[
            (Perms::READ, "world", "anyone"),
            (Perms::WRITE, "digest", &mine),
        ]);
        let nobody = Identities::default();
        assert!(allows(&acl, Perms::READ, &nobody));
        assert!(!allows(&acl, Perms::WRITE, &nobody));
        assert!(allows(&acl, Perms::WRITE, &me()));
        assert!(!allows(&acl, Perms::ADMIN, &me()));
        let any_of = Perms::READ.and(Perms::ADMIN);
        assert!(allows(&acl, any_of, &nobody), "one of them will do");
        assert!(!allows(&list(&[]), Perms::READ, &nobody));
    }

    #[test]
    fn nothing_stops_the_super_user() {
        let mut ids = Identities::default();
        let digest = digest("root:x");
        ids.prove("digest", "root:x", Some(&digest)).unwrap();
        assert!(allows(
            &list(&[(Perms::NONE, "world", "anyone")]),
            Perms::ADMIN,
            &ids
        ));
    }

    #[test]
    fn an_address_is_granted_what_its_network_is() {
        let from = |network| {
            let acl = Acl::one(Perms::READ, "ip", network);
            allows(&acl, Perms::READ, &Identities::default())
        };
        for near in [
            "127.0.0.1",
            "127.0.0.1/32",
            "127.0.0.0/31",
            "127.255.1.2/8",
            "1.2.3.4/0",
        ] {
            assert!(from(near), "{near}");
        }
        for far in [
            "127.0.0.0/32",
            "127.0.0.2",
            "127.0.0.3/31",
            "::1",
            "::1/0",
            "10.0.0.0/8",
        ] {
            assert!(!from(far), "{far}");
        }
    }

    #[test]
    fn what_nobody_can_be_is_no_list() {
        let refused = |acl: &Acl, ids: &Identities| settle(acl, ids) == Err(ErrorCode::InvalidACL);
        assert!(refused(&Acl::new(vec![]), &me()));
        for (scheme, id) in [
            ("world", "someone"),
            ("digest", "me"),
            ("digest", "me:"),
            ("digest", "a:b:c"),
            ("ip", "10.0.0"),
            ("ip", "10.0.0.0/33"),
            ("ip", "10.0.0.0/-1"),
            ("super", ""),
            ("bogus", "x"),
        ] {
            assert!(
                refused(&Acl::one(Perms::ALL, scheme, id), &me()),
                "{scheme}:{id}"
            );
        }
        assert!(refused(
            &Acl::one(Perms::ALL, "auth", ""),
            &Identities::default()
        ));
        assert!(settle(&Acl::one(Perms::ALL, "digest", ":x"), &me()).is_ok());
    }

    #[test]
    fn repetitions_go_and_auth_becomes_who_asks() {
        let asked = list(&[
            (Perms::READ, "world", "anyone"),
            (Perms::ALL, "auth", "ignored"),
            (Perms::READ, "world", "anyone"),
        ]);
        let mine = digest("me:secret");
        let settled = list(&[
            (Perms::READ, "world", "anyone"),
            (Perms::ALL, "digest", &mine),
        ]);
        assert_eq!(settle(&asked, &me()), Ok(settled.clone()));
        let shown = list(&[
            (Perms::READ, "world", "anyone"),
            (Perms::ALL, "digest", "me:x"),
        ]);
        assert_eq!(masked(&settled), shown);
    }
}
