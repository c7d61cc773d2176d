//! **Durability before acknowledgement**: no message that promises durability leaves before what it promises is durable.
//!
//! What is durable is derived from the disk operations and their completions alone, never from what the server notes;
//! the notes that claim durability are held to the same.
//!
//! | sent | must be durable |
//! | --- | --- |
//! | LEADERINFO(e) | the leader's acceptedEpoch = e |
//! | ACKEPOCH to a leader that offered e | acceptedEpoch = e, none other being written; its zxid is the durable tail |
//! | currentEpoch = e at a learner | the history up to the synchronization cut (history first, ZOOKEEPER-4643) |
//! | ACK(NEWLEADER e) | the history up to the synchronization cut; currentEpoch = e |
//! | established e | at a quorum: the initial history and currentEpoch ≥ e |
//! | ACK(z) | the log up to z |
//! | COMMIT(z), INFORM(z) in broadcast | the log up to z at a quorum; the leader is established |
//! | UPTODATE | the leader is established |
//!
//! COMMITs *inside* a synchronization promise nothing: a prospective leader marks so what belongs to its initial history.
//!
//! Source: ZAB, DSN'11 §IV; ZooKeeper `Learner.syncWithLeader`, `SyncRequestProcessor`, `Leader.tryToCommit`;
//! ZOOKEEPER-3911, 4643, 4646, 1282, 335.

use super::CheckId::DurabilityBeforeAck as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::{Epoch, Message, PeerState, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "durability-before-ack";
pub(super) const ABOUT: &str =
    "no promise of durability leaves before what it promises is durable.";

/// `from` sends `message` to `to`; the mirror has taken it in.
#[inline]
pub(super) fn on_sent(m: &Mirror, d: &mut Docket, from: ServerId, to: ServerId, message: &Message) {
    match message {
        Message::LeaderInfo { epoch } => leader_info(m, d, from, *epoch),
        Message::AckEpoch { last, .. } => ack_epoch(m, d, from, to, *last),
        Message::AckNewLeader { epoch } => ack_new_leader(m, d, from, to, *epoch),
        Message::Ack { zxid } => ack(m, d, from, *zxid),
        Message::Commit { zxid } => commit(m, d, from, to, *zxid),
        Message::Inform(txn) => commit(m, d, from, to, txn.zxid),
        Message::UpToDate => {
            let established = m.server(from).established.is_some();
            d.require(ID, established, || {
                format!("{from} sends UPTODATE to {to} without a quorum of ACK(NEWLEADER)")
            });
        }
        _ => {}
    }
}

fn leader_info(m: &Mirror, d: &mut Docket, from: ServerId, epoch: Epoch) {
    let accepted = m.server(from).disk.accepted;
    d.require(ID, accepted == Some(epoch), || {
        format!(
            "{from} sends LEADERINFO({epoch}) while its acceptedEpoch on disk is {}; it must be {epoch}",
            words(accepted)
        )
    });
}

fn ack_epoch(m: &Mirror, d: &mut Docket, from: ServerId, to: ServerId, last: Zxid) {
    let disk = &m.server(from).disk;
    let offered = m.server(to).stream(from).offered;
    let promised = offered.is_some() && disk.accepted == offered && !disk.is_accepting();
    d.require(ID, promised, || {
        format!(
            "{from} sends ACKEPOCH to {to}, which offered {}, while its acceptedEpoch on disk is {}{}",
            words(offered),
            words(disk.accepted),
            if disk.is_accepting() { " and another is being written" } else { "" }
        )
    });
    let tail = disk.history.durable_tail();
    d.require(ID, last == tail, || {
        format!("{from} tells {to} in ACKEPOCH that its log ends with {last}; on disk it ends with {tail}")
    });
}

fn ack_new_leader(m: &Mirror, d: &mut Docket, from: ServerId, to: ServerId, epoch: Epoch) {
    let disk = &m.server(from).disk;
    d.require(ID, disk.current == Some(epoch), || {
        format!(
            "{from} acknowledges NEWLEADER({epoch}) while its currentEpoch on disk is {}; it must be {epoch}",
            words(disk.current)
        )
    });
    let cut = m.server(to).stream(from).cut;
    let tail = disk.history.durable_tail();
    d.require(ID, tail >= cut, || {
        format!(
            "{from} acknowledges NEWLEADER({epoch}) with a log durable up to {tail}; {to} synchronized it up to {cut}"
        )
    });
}

fn ack(m: &Mirror, d: &mut Docket, from: ServerId, zxid: Zxid) {
    let tail = m.server(from).disk.history.durable_tail();
    d.require(ID, tail >= zxid, || {
        format!("{from} acknowledges {zxid} while its log is durable up to {tail} only")
    });
}

#[inline]
fn commit(m: &Mirror, d: &mut Docket, from: ServerId, to: ServerId, zxid: Zxid) {
    let leader = m.server(from);
    if leader.stream(to).new_leader.is_none() {
        return;
    }
    // Whatever is in the committed sequence had its quorum when it entered it, and committed durability keeps watch over it.
    let fact = m.ledger.fact(zxid);
    let backed = fact.is_some_and(|fact| {
        fact.place().is_some() || m.is_quorum(|s| s.holds_durably(zxid, fact.sum))
    });
    d.require(ID, backed && leader.established.is_some(), || {
        let holders = fact.map_or_else(
            || "nobody".to_owned(),
            |f| m.names(|s| s.holds_durably(zxid, f.sum)),
        );
        format!("{from} tells {to} that {zxid} is committed; durable it is at {holders}, which must be a quorum of an established leader")
    });
}

/// currentEpoch has become durable at `server`, which may be a learner in synchronization.
pub(super) fn on_current_epoch(m: &Mirror, d: &mut Docket, server: ServerId) {
    let learner = m.server(server);
    let Some(role) = learner.role else { return };
    let (Some(leader), PeerState::Following | PeerState::Observing) = (role.leader, role.state)
    else {
        return;
    };
    let stream = m.server(ServerId(leader.0)).stream(server);
    if stream.new_leader.is_none() || stream.new_leader != learner.disk.current {
        return;
    }
    let tail = learner.disk.history.durable_tail();
    d.require(ID, tail >= stream.cut, || {
        format!(
            "{server} has currentEpoch {} on disk before its history: the log is durable up to {tail}, the cut is {}",
            words(learner.disk.current),
            stream.cut
        )
    });
}

/// `leader` says that it has a quorum of ACK(NEWLEADER).
pub(super) fn on_established(
    m: &Mirror,
    d: &mut Docket,
    leader: ServerId,
    epoch: Epoch,
    end: Zxid,
) {
    let history = &m.server(leader).disk.history;
    let tail = history.before(history.entries().partition_point(|e| e.zxid <= end));
    let sum = m.ledger.fact(tail).map_or(0, |f| f.sum);
    let ready = |s: &super::mirror::Server| {
        let in_epoch = s.disk.current.is_some_and(|current| current >= epoch);
        s.is_damaged() || in_epoch && (tail == Zxid::ZERO || s.holds_durably(tail, sum))
    };
    d.require(ID, m.is_quorum(ready), || {
        format!(
            "{leader} has established epoch {epoch} on the history up to {tail}; history and epoch are durable only at {}",
            m.names(ready)
        )
    });
}

/// `server` notes that its log is durable up to `zxid`.
#[inline]
pub(super) fn on_logged(m: &Mirror, d: &mut Docket, server: ServerId, zxid: Zxid) {
    let tail = m.server(server).disk.history.durable_tail();
    d.require(ID, zxid <= tail, || {
        format!("{server} takes its log for durable up to {zxid}; what its disk has finished ends with {tail}")
    });
}

fn words(epoch: Option<Epoch>) -> String {
    epoch.map_or_else(|| "none".to_owned(), |e| e.to_string())
}
