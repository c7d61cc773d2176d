//! Who a connection is.
//!
//! A connection's identities are what it has proven by `addAuth`. They travel with every request to the leader, because it
//! is the leader that judges updates.
//!
//! Source: ZooKeeper 3.9 `ServerCnxn.getAuthInfo`.

use std::sync::Arc;
use zabsim_types::Id;

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
}
