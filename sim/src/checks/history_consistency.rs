//! **History consistency** (process consistency): every server's log is a chain without holes, and a follower that is in
//! sync with its leader has a log that is a prefix of the leader's.
//!
//! A record names its predecessor and is the same bytes everywhere, so two chains that share a transaction share all before
//! it: it suffices to find the follower's last transaction in the leader's log, when it acknowledges NEWLEADER and at every
//! append after that. (A leader may broadcast before it logs; its own broadcasts count as its history.)
//!
//! Source: ZooKeeper TLA+ specification, `ProcessConsistency`; Remix (EuroSys'25) I-10; ZOOKEEPER-2845, 1154, 962, 2832,
//! 1489.

use super::CheckId::HistoryConsistency as ID;
use super::decode::Record;
use super::docket::Docket;
use super::mirror::{Mirror, follows};
use zab::{PeerState, Phase, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "history-consistency";
pub(super) const ABOUT: &str =
    "logs have no holes, and a synced follower's is a prefix of its leader's.";

/// `server` appends `record` behind `tail`.
#[inline]
pub(super) fn on_append(m: &Mirror, d: &mut Docket, server: ServerId, tail: Zxid, record: &Record) {
    let chained = follows(record.prev, tail) && record.zxid > tail;
    d.require(ID, chained, || {
        format!(
            "{server} appends {} behind {tail}; its predecessor is {}",
            record.zxid, record.prev
        )
    });
    if m.server(server).acked_epoch.is_some() {
        in_leaders_log(m, d, server, record.zxid, record.sum);
    }
}

/// `learner` acknowledges NEWLEADER.
pub(super) fn on_synchronized(m: &Mirror, d: &mut Docket, learner: ServerId) {
    // The last of all may be in a snapshot, and in no entry of the log.
    let tail = m.server(learner).disk.history.tail();
    if tail != Zxid::ZERO {
        let sum = m.ledger.fact(tail).map_or(0, |fact| fact.sum);
        in_leaders_log(m, d, learner, tail, sum);
    }
}

/// Whether the leader that `learner` follows has this transaction: asked only while it is still in that office.
fn in_leaders_log(m: &Mirror, d: &mut Docket, learner: ServerId, zxid: Zxid, sum: u64) {
    let Some(role) = m.server(learner).role else {
        return;
    };
    let Some(leader) = role.leader.filter(|l| l.0 != learner.0) else {
        return;
    };
    let leader = m.server(ServerId(leader.0));
    let in_office = leader.up
        && (leader.role).is_some_and(|r| {
            r.state == PeerState::Leading
                && r.epoch == role.epoch
                && matches!(r.phase, Phase::Synchronization | Phase::Broadcast)
        });
    if !in_office {
        return;
    }
    // What the leader has just broadcast is its history too: its own log may be busy with a new segment meanwhile.
    let history = &leader.disk.history;
    let broadcast =
        || (m.ledger.fact(zxid)).is_some_and(|f| f.proposer == Some(leader.id) && f.sum == sum);
    d.require(ID, m.holds(history, zxid, sum) || broadcast(), || {
        format!(
            "{learner} follows {} in epoch {} with {zxid} in its log, which the leader's log (to {}) has not",
            leader.id,
            role.epoch,
            history.tail()
        )
    });
}
