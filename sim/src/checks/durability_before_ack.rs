//! **Durability before acknowledgement**: no message that promises durability leaves before what it promises is durable.
//!
//! What is durable is derived from the disk operations and their completions alone, never from what the server notes;
//! the notes that claim durability are held to the same.
//!
//! | sent | must be durable |
//! | --- | --- |
//! | FOLLOWERINFO, OBSERVERINFO | acceptedEpoch as it says, and the mark that the disk may vote, if it says so |
//! | LEADERINFO(e) | the leader's acceptedEpoch = e |
//! | ACKEPOCH to a leader that offered e | acceptedEpoch = e, none other being written; its zxid is the durable tail, its epoch the current one |
//! | currentEpoch = e at a learner | NEWLEADER(e) came; the history up to the synchronization cut (history first, ZOOKEEPER-4643) |
//! | ACK(NEWLEADER e) | the history up to the synchronization cut; currentEpoch = e |
//! | established e | at a quorum: the initial history, which is all of the leader's log, and currentEpoch ≥ e |
//! | ACK(z) | the log up to z, z itself in it |
//! | COMMIT(z), INFORM(z) in broadcast | the log up to z at a quorum; the leader is established |
//! | UPTODATE | the leader is established; the learner has acknowledged NEWLEADER |
//!
//! What a disk held before it was damaged counts, as in committed durability: the promise was made then.
//!
//! COMMITs *inside* a synchronization promise nothing: a prospective leader marks so what belongs to its initial history.
//!
//! Source: ZAB, DSN'11 §IV; ZooKeeper `Learner.syncWithLeader`, `SyncRequestProcessor`, `Leader.tryToCommit`;
//! ZOOKEEPER-3911, 4643, 4646, 1282, 335.

use super::CheckId::DurabilityBeforeAck as ID;
use super::docket::Docket;
use super::mirror::{Joint, Mirror, Server};
use zab::{Epoch, Message, PeerState, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "durability-before-ack";
pub(super) const ABOUT: &str =
    "no promise of durability leaves before what it promises is durable.";

/// `from` sends `message` to `to`; the mirror has taken it in.
#[inline]
pub(super) fn on_sent(m: &Mirror, d: &mut Docket, from: ServerId, to: ServerId, message: &Message) {
    match message {
        Message::LearnerInfo {
            accepted, blank, ..
        } => learner_info(m, d, from, *accepted, *blank),
        Message::LeaderInfo { epoch } => leader_info(m, d, from, *epoch),
        Message::AckEpoch { last, current, .. } => ack_epoch(m, d, from, to, *last, *current),
        Message::AckNewLeader { epoch } => ack_new_leader(m, d, from, to, *epoch),
        Message::Ack { zxid } => ack(m, d, from, *zxid),
        Message::Commit { zxid } | Message::CommitAndActivate { zxid, .. } => {
            commit(m, d, from, to, *zxid);
        }
        Message::Inform(txn) | Message::InformAndActivate { txn, .. } => {
            commit(m, d, from, to, txn.zxid);
        }
        Message::UpToDate => {
            let leader = m.server(from);
            let (established, acknowledged) =
                (leader.established.is_some(), leader.stream(to).acknowledged);
            d.require(ID, established && acknowledged, || {
                let lacks = if established { "its" } else { "a quorum of" };
                format!("{from} sends UPTODATE to {to} without {lacks} ACK(NEWLEADER)")
            });
        }
        _ => {}
    }
}

fn learner_info(m: &Mirror, d: &mut Docket, from: ServerId, accepted: Epoch, blank: bool) {
    let server = m.server(from);
    let disk = &server.disk;
    let as_on_disk = disk.accepted == Some(accepted) && disk.marked != blank;
    d.require(ID, as_on_disk || server.may_misread(), || {
        format!(
            "{from} introduces itself {} with acceptedEpoch {accepted}; on disk it is {}, and the disk is {}marked as fit to vote",
            if blank { "as blank" } else { "as a voter" },
            words(disk.accepted),
            if disk.marked { "" } else { "not " }
        )
    });
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

fn ack_epoch(
    m: &Mirror,
    d: &mut Docket,
    from: ServerId,
    to: ServerId,
    last: Zxid,
    current: Option<Epoch>,
) {
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
    d.require(ID, current.is_none() || current == disk.current, || {
        format!(
            "{from} tells {to} in ACKEPOCH that its currentEpoch is {}; on disk it is {}",
            words(current),
            words(disk.current)
        )
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
    let history = &m.server(from).disk.history;
    let tail = history.durable_tail();
    let durable = tail == zxid || tail > zxid && (history.position(zxid).is_some());
    d.require(ID, durable || zxid == Zxid::ZERO, || match tail > zxid {
        true => format!("{from} acknowledges {zxid}, which is not in its log"),
        false => format!("{from} acknowledges {zxid} while its log is durable up to {tail} only"),
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
        fact.place().is_some()
            || m.is_quorum_for(zxid, Joint::WhileUncommitted, |s| {
                m.holds_durably(s, zxid, fact.sum)
            })
    });
    d.require(ID, backed && leader.established.is_some(), || {
        let holders = fact.map_or_else(
            || "nobody".to_owned(),
            |f| m.names(|s| m.holds_durably(s, zxid, f.sum)),
        );
        format!("{from} tells {to} that {zxid} is committed; durable it is at {holders}, which must be a quorum of an established leader")
    });
}

/// `server`, which may be a learner in synchronization, has `epoch` written as its currentEpoch: from now on it may be durable.
pub(super) fn on_current_epoch(m: &Mirror, d: &mut Docket, server: ServerId, epoch: Option<Epoch>) {
    let learner = m.server(server);
    let Some(role) = learner.role else { return };
    let (Some(leader), PeerState::Following | PeerState::Observing) = (role.leader, role.state)
    else {
        return;
    };
    let stream = m.server(ServerId(leader.0)).stream(server);
    let tail = learner.disk.history.durable_tail();
    let told = stream.new_leader.is_some() && stream.new_leader == epoch;
    d.require(ID, told && tail >= stream.cut, || {
        format!(
            "{server} writes currentEpoch {} before its history: {leader} has sent NEWLEADER of {}, the log is durable up to {tail}, the cut is {}",
            words(epoch),
            words(stream.new_leader),
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
    let tail = m.server(leader).disk.history.durable_tail();
    d.require(ID, tail == end, || {
        format!("{leader} has established epoch {epoch} on the history up to {end}; its log is durable up to {tail}")
    });
    let sum = m.ledger.fact(end).map_or(0, |f| f.sum);
    let ready = |s: &Server| {
        s.states().any(|(history, current)| {
            current.is_some_and(|current| current >= epoch)
                && (end <= history.base() && m.ledger.leads_to(history.base(), end)
                    || history.holds_durably(end, sum))
        })
    };
    d.require(ID, m.is_quorum_for(end, Joint::WhileUncommitted, ready), || {
        format!(
            "{leader} has established epoch {epoch} on the history up to {end}; history and epoch are durable only at {}",
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
