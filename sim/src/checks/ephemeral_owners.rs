//! **Ephemeral owners**: at every zxid, the owner of every ephemeral is in the session table.
//!
//! Checked on the state that a server's disk alone amounts to, rebuilt by the service's own code.
//!
//! Source: ZooKeeper `DataTree.killSession`, `SessionTracker`; ZOOKEEPER-1208, 1496, 4837; protocol rule "a session's entry
//! and its ephemerals go in one transaction".

use super::CheckId::EphemeralOwners as ID;
use super::docket::Docket;
use zab::Zxid;
use zabsim_types::{ServerId, SessionId};

pub(super) const NAME: &str = "ephemeral-owners";
pub(super) const ABOUT: &str = "the owner of every ephemeral is in the session table";

/// `server`'s state at `zxid` has these ephemerals with these owners.
pub(super) fn on_state<'a>(
    d: &mut Docket,
    server: ServerId,
    zxid: Zxid,
    ephemerals: impl IntoIterator<Item = (&'a str, SessionId)>,
    is_session: impl Fn(SessionId) -> bool,
) {
    for (path, owner) in ephemerals {
        d.require(ID, is_session(owner), || {
            format!("{server}'s tree at {zxid} has the ephemeral {path} of session {owner}, which is not in the session table")
        });
    }
}
