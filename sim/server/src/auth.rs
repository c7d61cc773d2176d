//! Who a connection is, and how it proves that.
//!
//! A connection's identities are where it comes from and what it has proven by `addAuth`. They travel with every request to
//! the leader, because it is the leader that judges updates. Every client of the simulation is at the local address.
//!
//! Two schemes can be proven. `digest`: whoever knows the password has the identity `user:base64(SHA1(user:password))`, and
//! may be the super user besides. `ip`: the address, which the connection has anyway. All else is refused.
//!
//! Source: ZooKeeper 3.9 `ServerCnxn.getAuthInfo`, `DigestAuthenticationProvider`, `IPAuthenticationProvider`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use std::sync::{Arc, LazyLock};
use zabsim_types::{ErrorCode, Id};

/// The scheme of the super user, whom no list stops. It can be neither named in a list nor claimed.
const SUPER: &str = "super";

/// Where every client comes from.
static ADDRESS: LazyLock<Id> = LazyLock::new(|| Id::new("ip", "127.0.0.1"));

/// The identities of one connection. A copy shares them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Identities {
    /// `None`: nothing was proven, as on most connections.
    proven: Option<Arc<[Id]>>,
}

impl Identities {
    pub(crate) fn new(proven: Vec<Id>) -> Identities {
        Identities {
            proven: (!proven.is_empty()).then(|| proven.into()),
        }
    }

    /// What was proven, in that order.
    pub(crate) fn proven(&self) -> &[Id] {
        self.proven.as_deref().unwrap_or_default()
    }

    /// All of them, the address first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Id> {
        std::iter::once(&*ADDRESS).chain(self.proven())
    }

    pub(crate) fn is_super(&self) -> bool {
        self.proven().iter().any(|id| &*id.scheme == SUPER)
    }

    /// Takes in what a client says to prove an identity. An error costs it the connection.
    pub(crate) fn prove(
        &mut self,
        scheme: &str,
        auth: &str,
        super_digest: Option<&str>,
    ) -> Result<(), ErrorCode> {
        match scheme {
            "digest" => {
                let digest = digest(auth);
                if super_digest == Some(&digest) {
                    self.add(Id::new(SUPER, ""));
                }
                self.add(Id::new("digest", &digest));
                Ok(())
            }
            // Whatever it says: it comes from where it comes.
            "ip" => Ok(()),
            _ => Err(ErrorCode::AuthFailed),
        }
    }

    fn add(&mut self, id: Id) {
        if !self.proven().contains(&id) {
            let old = self.proven().iter().cloned();
            self.proven = Some(old.chain([id]).collect());
        }
    }

    /// As `whoAmI` tells them: without what proves them.
    pub(crate) fn shown(&self) -> Vec<Id> {
        let shown = |id: &Id| match &*id.scheme {
            "digest" => Id::new("digest", user(&id.id)),
            _ => id.clone(),
        };
        self.iter().map(shown).collect()
    }
}

/// `user:password` in the form in which lists have it.
pub(crate) fn digest(user_and_password: &str) -> String {
    let hash = Sha1::digest(user_and_password.as_bytes());
    let hash = BASE64_STANDARD.encode(hash);
    format!("{}:{hash}", user(user_and_password))
}

/// What is before the first colon.
pub(crate) fn user(id: &str) -> &str {
    id.split_once(':').map_or(id, |(user, _)| user)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest is the recorded one of a real server.
    #[test]
    fn a_password_makes_an_identity_once() {
        let mut ids = Identities::default();
        assert_eq!(ids.prove("digest", "me:secret", None), Ok(()));
        assert_eq!(ids.prove("digest", "me:secret", None), Ok(()));
        assert_eq!(ids.prove("ip", "1.2.3.4", None), Ok(()));
        let me = Id::new("digest", "me:016djjlksVQS5RgX3M7biBGyYwY=");
        assert_eq!(ids.proven(), [me]);
        assert_eq!(
            ids.shown(),
            [Id::new("ip", "127.0.0.1"), Id::new("digest", "me")]
        );
    }

    #[test]
    fn who_knows_the_super_users_password_is_super_and_nobody_else() {
        let of = |auth| {
            let mut ids = Identities::default();
            let digest = digest("root:123");
            assert_eq!(ids.prove("digest", auth, Some(&digest)), Ok(()));
            ids.is_super()
        };
        assert!(of("root:123"));
        assert!(!of("root:124"));
        for scheme in ["super", "world", "auth", "sasl", ""] {
            let refused = Identities::default().prove(scheme, "", None);
            assert_eq!(refused, Err(ErrorCode::AuthFailed), "{scheme}");
        }
    }
}
