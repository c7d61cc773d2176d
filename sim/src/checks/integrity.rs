//! **Integrity**: what a server delivers was broadcast by a leader, is known to be committed, and is delivered once.
//!
//! *Delivered* means: applied to the tree as committed. Replay of a server's own log delivers nothing.
//!
//! Source: ZAB, DSN'11 §III, "Integrity"; ZooKeeper TLA+ specification, `Integrity`.

use super::CheckId::Integrity as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "integrity";
pub(super) const ABOUT: &str =
    "what a server delivers was broadcast by a leader, is committed, and is delivered once.";

/// `server`, whose tree stood at `before`, delivers `zxid`.
pub(super) fn on_delivered(m: &Mirror, d: &mut Docket, server: ServerId, before: Zxid, zxid: Zxid) {
    let broadcast = m.ledger.fact(zxid).is_some_and(|f| f.proposer.is_some());
    d.require(ID, broadcast && zxid > before, || {
        if broadcast {
            format!("{server} delivers {zxid} though its tree already stands at {before}; each transaction is delivered once")
        } else {
            format!("{server} delivers {zxid}, which no leader ever broadcast")
        }
    });
}

/// `server` applied `zxid` as committed, outside synchronization, though it knows nothing of a commit of it.
pub(super) fn on_uncommitted(m: &Mirror, d: &mut Docket, server: ServerId, zxid: Zxid) {
    d.breach(ID, || {
        format!(
            "{server} delivers {zxid} as committed, but it knows of commits up to {} only",
            m.server(server).committed
        )
    });
}
