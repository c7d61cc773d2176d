//! **Committed monotonic**: a server's commit point never goes back: not while it runs, and not over a restart once it
//! serves again. (That the committed sequence itself is never rewritten is prefix consistency.) Damage excuses nothing: whoever
//! serves was brought up to date by an established leader, which has everything that was ever delivered.
//!
//! Source: ZooKeeper TLA+ specification, `CommittedLogMonotonicity`; `MonotonicRead`.

use super::CheckId::CommittedMonotonic as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "committed-monotonic";
pub(super) const ABOUT: &str = "a server's commit point never goes back.";

/// `server`, which knew of commits up to `before`, says that everything up to `zxid` is committed.
#[inline]
pub(super) fn on_committed(d: &mut Docket, server: ServerId, before: Zxid, zxid: Zxid) {
    d.require(ID, zxid >= before, || {
        format!("{server}'s commit point goes back from {before} to {zxid}")
    });
}

/// `server` begins to serve clients.
pub(super) fn on_serving(m: &Mirror, d: &mut Docket, server: ServerId) {
    let server = m.server(server);
    d.require(ID, server.committed >= server.delivered, || {
        format!(
            "{} serves again with the commit point {}, though it has delivered {} before",
            server.id, server.committed, server.delivered
        )
    });
}
