//! **Commit consistency**: a learner's commit point never runs ahead of what a leader has committed, and a learner that
//! counts as synchronized has applied all that it was synchronized with, and nothing that is uncommitted.
//!
//! Source: ZooKeeper TLA+ specification, `ProcessConsistency` (the part on `lastCommitted`); Remix (EuroSys'25) I-11;
//! ZOOKEEPER-3023 (transactions of a DIFF applied asynchronously), 2807.

use super::CheckId::CommitConsistency as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "commit-consistency";
pub(super) const ABOUT: &str = "no server's commit point is ahead of the leaders', and a synced server has applied what it should.";

/// `server`, which leads nobody, takes everything up to `zxid` for committed.
#[inline]
pub(super) fn on_learned(m: &Mirror, d: &mut Docket, server: ServerId, zxid: Zxid) {
    let known = zxid == Zxid::ZERO || m.ledger.fact(zxid).is_some_and(|f| f.place().is_some());
    d.require(ID, known, || {
        format!(
            "{server} takes {zxid} for committed, which no leader has committed; the last that one has is {}",
            m.ledger.last_committed()
        )
    });
}

/// `learner` acknowledges NEWLEADER to `leader`.
pub(super) fn on_synchronized(m: &Mirror, d: &mut Docket, learner: ServerId, leader: ServerId) {
    let applied = m.server(learner).applied;
    let cut = m.server(leader).stream(learner).cut;
    d.require(ID, applied >= cut, || {
        format!("{learner} acknowledges NEWLEADER while its tree stands at {applied}; {leader} synchronized it up to {cut}")
    });
}

/// `server` begins to serve clients; its commit point counts what the synchronization brought.
pub(super) fn on_serving(m: &Mirror, d: &mut Docket, server: ServerId) {
    let s = m.server(server);
    d.require(ID, s.applied <= s.committed, || {
        format!(
            "{server} begins to serve with a tree at {}; it knows of commits up to {} only",
            s.applied, s.committed
        )
    });
}
