//! Who may do what: the schemes of identities, what a list allows, what a request's list becomes.
//!
//! Source: ZooKeeper 3.9 `ZooKeeperServer.checkACL`, `PrepRequestProcessor.fixupACL`, `DigestAuthenticationProvider`,
//! `IPAuthenticationProvider`; the hash of a password is base64 of SHA-1 over `user:password`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use std::net::IpAddr;
use zabsim_types::{Acl, AclEntry, ErrorCode, Id, Perms, Zxid};

/// By whose rights a request is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rights<'a> {
    /// The connection's identities. `world:anyone` is everybody's.
    pub ids: &'a [Id],
    /// Judged by the lists that were in force at that state, not by those of now: a leader checks a write against the tree
    /// that it has applied, and a `setACL` that it has only proposed is not in it.
    pub as_of: Option<Zxid>,
}

/// Whether a list grants any of `wanted`. An empty one, which no request can make, grants all.
pub(crate) fn grants(acl: &Acl, wanted: Perms, ids: &[Id]) -> bool {
    if acl.is_open() || acl.entries().is_empty() {
        return true;
    }
    if ids.iter().any(|id| &*id.scheme == SUPER) {
        return true;
    }
    let entries = acl.entries().iter();
    entries
        .filter(|entry| entry.perms.allows(wanted))
        .any(|entry| is_anyone(&entry.id) || ids.iter().any(|id| is_meant(id, &entry.id)))
}

const SUPER: &str = "super";

fn is_anyone(id: &Id) -> bool {
    (&*id.scheme, &*id.id) == ("world", "anyone")
}

/// Whether the identity is among those that an entry of the list means.
fn is_meant(id: &Id, listed: &Id) -> bool {
    id.scheme == listed.scheme
        && match &*id.scheme {
            "digest" => id.id == listed.id,
            "ip" => in_network(&id.id, &listed.id),
            _ => false,
        }
}

/// The list that a node gets for the one that was asked for: no entry twice, and `auth:` replaced by the identities of the
/// connection that prove who it is.
pub(super) fn fixed_up(asked: &Acl, ids: &[Id]) -> Result<Acl, ErrorCode> {
    if asked.is_open() {
        return Ok(Acl::OPEN);
    }
    let mut distinct: Vec<&AclEntry> = Vec::new();
    for entry in asked.entries() {
        if !distinct.contains(&entry) {
            distinct.push(entry);
        }
    }
    if distinct.is_empty() {
        return Err(ErrorCode::InvalidACL);
    }
    let mut fixed = Vec::with_capacity(distinct.len());
    for entry in distinct {
        match &*entry.id.scheme {
            "auth" => {
                let before = fixed.len();
                // An address proves nothing.
                let proven = ids.iter().filter(|id| &*id.scheme == "digest");
                fixed.extend(proven.map(|id| AclEntry {
                    perms: entry.perms,
                    id: id.clone(),
                }));
                if fixed.len() == before {
                    return Err(ErrorCode::InvalidACL);
                }
            }
            _ if is_valid(&entry.id) => fixed.push(entry.clone()),
            _ => return Err(ErrorCode::InvalidACL),
        }
    }
    Ok(Acl::new(fixed))
}

fn is_valid(id: &Id) -> bool {
    match &*id.scheme {
        "world" => is_anyone(id),
        // Java's split: what is empty at the end does not count.
        "digest" => id.id.trim_end_matches(':').split(':').count() == 2,
        "ip" => network(&id.id).is_some(),
        _ => false,
    }
}

/// The list with the hashes of its passwords left out, as whoever may not set it sees it.
pub(super) fn masked(acl: &Acl) -> Acl {
    let entries = acl.entries().iter();
    let masked = entries.map(|entry| match &*entry.id.scheme {
        "digest" => AclEntry {
            perms: entry.perms,
            id: Id::new("digest", &format!("{}:x", user_of(&entry.id.id))),
        },
        _ => entry.clone(),
    });
    Acl::new(masked.collect())
}

fn user_of(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

/// What `whoAmI` says of an identity: who, and not by what proof.
pub(super) fn shown(id: &Id) -> Id {
    match &*id.scheme {
        "digest" => Id::new("digest", user_of(&id.id)),
        _ => id.clone(),
    }
}

/// The identities that `addAuth` adds; an error also costs the connection.
pub(super) fn authenticate(
    scheme: &str,
    auth: &str,
    super_digest: Option<&str>,
) -> Result<Vec<Id>, ErrorCode> {
    match scheme {
        "digest" => {
            let digest = digest(auth);
            let mut added = Vec::new();
            if Some(&*digest) == super_digest {
                added.push(Id::new(SUPER, ""));
            }
            added.push(Id::new("digest", &digest));
            Ok(added)
        }
        // The address is the connection's own, whatever is said; it has it already.
        "ip" => Ok(vec![]),
        _ => Err(ErrorCode::AuthFailed),
    }
}

/// `user:password` as lists hold it: `user:base64(SHA1(user:password))`.
pub fn digest(user_and_password: &str) -> String {
    let hash = Sha1::digest(user_and_password.as_bytes());
    format!("{}:{}", user_of(user_and_password), STANDARD.encode(hash))
}

/// `address` or `address/bits`.
fn network(id: &str) -> Option<(Vec<u8>, usize)> {
    let (address, bits) = match id.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (id, None),
    };
    let address = bytes_of(address)?;
    let most = address.len() * 8;
    match bits {
        None => Some((address, most)),
        Some(bits) => {
            let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
            Some((address, bits))
        }
    }
}

fn bytes_of(address: &str) -> Option<Vec<u8>> {
    Some(match address.parse().ok()? {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    })
}

fn in_network(address: &str, listed: &str) -> bool {
    let (Some(address), Some((network, bits))) = (bytes_of(address), network(listed)) else {
        return false;
    };
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    address.len() == network.len() && (0..bits).all(|at| bit(&address, at) == bit(&network, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Id {
        Id::new("digest", &digest("me:secret"))
    }

    #[test]
    fn a_password_is_hashed_as_zookeeper_does() {
        assert_eq!(digest("me:secret"), "me:016djjlksVQS5RgX3M7biBGyYwY=");
        assert_eq!(digest("justuser"), "justuser:xdZzNV02KKoq8JIIa7iCf+BNTgY=");
    }

    #[test]
    fn an_entry_counts_if_its_permission_and_its_identity_fit() {
        let acl = Acl::new(vec![
            AclEntry {
                perms: Perms::READ,
                id: Id::new("world", "anyone"),
            },
            AclEntry {
                perms: Perms::ALL,
                id: me(),
            },
        ]);
        assert!(grants(&acl, Perms::READ, &[]));
        assert!(!grants(&acl, Perms::WRITE, &[]));
        assert!(grants(&acl, Perms::WRITE, &[me()]));
        let other = Id::new("digest", &digest("me:guess"));
        assert!(!grants(&acl, Perms::WRITE, &[other]));
        assert!(grants(&acl, Perms::WRITE, &[Id::new(SUPER, "")]));
    }

    #[test]
    fn an_address_is_compared_up_to_its_bits() {
        let from = |address: &str| [Id::new("ip", address)];
        let near = Acl::one(Perms::ALL, "ip", "10.1.0.0/15");
        assert!(grants(&near, Perms::READ, &from("10.0.255.1")));
        assert!(!grants(&near, Perms::READ, &from("10.2.0.1")));
        let one = Acl::one(Perms::ALL, "ip", "10.1.2.3");
        assert!(grants(&one, Perms::READ, &from("10.1.2.3")));
        assert!(!grants(&one, Perms::READ, &from("10.1.2.2")));
        assert!(!grants(&one, Perms::READ, &from("::1")));
    }

    #[test]
    fn a_list_must_be_one_that_somebody_can_fit() {
        let invalid = |scheme, id, ids: &[Id]| {
            fixed_up(&Acl::one(Perms::ALL, scheme, id), ids) == Err(ErrorCode::InvalidACL)
        };
        for (scheme, id) in [
            ("world", "me"),
            ("bogus", "x"),
            ("digest", "me"),
            ("digest", "me:"),
            ("digest", "a:b:c"),
            ("ip", "10.0.0"),
            ("ip", "10.0.0.0/33"),
            ("auth", ""),
        ] {
            assert!(invalid(scheme, id, &[]), "{scheme}:{id}");
        }
        assert!(invalid("auth", "", &[Id::new("ip", "10.0.0.1")]));
        assert!(!invalid("auth", "", &[me()]));
        assert!(!invalid("ip", "10.0.0.0/8", &[]));
        assert_eq!(fixed_up(&Acl::new(vec![]), &[]), Err(ErrorCode::InvalidACL));
    }

    #[test]
    fn auth_becomes_whoever_asks_and_nothing_stands_twice() {
        let entry = |perms, id| AclEntry { perms, id };
        let anyone = entry(Perms::READ, Id::new("world", "anyone"));
        let asked = Acl::new(vec![
            anyone.clone(),
            entry(Perms::ALL, Id::new("auth", "ignored")),
            anyone.clone(),
        ]);
        let fixed = fixed_up(&asked, &[Id::new("ip", "10.0.0.1"), me()]);
        let expected = Acl::new(vec![anyone, entry(Perms::ALL, me())]);
        assert_eq!(fixed, Ok(expected.clone()));
        assert_eq!(&*masked(&expected).entries()[1].id.id, "me:x");
    }
}
