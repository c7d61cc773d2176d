//! What a leader knows of one learner, and the stream of messages to it (`LearnerHandler`).
//!
//! While a snapshot is serialized and sent, everything later waits behind its last piece, in order: a NEWLEADER that
//! overtakes a snapshot makes the learner keep a state that claims more than it holds (ZOOKEEPER-3104).

use crate::sync::Decision;
use crate::{
    Bug, Effect, Epoch, LinkId, Message, Payload, PeerId, Planted, SnapshotId, Time, Txn, Zxid,
};
use std::collections::VecDeque;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum HandlerStage {
    AwaitInfo,
    /// It introduced itself; the epoch is not chosen, or not durable here.
    AwaitLeaderInfo,
    AwaitEpochAck,
    /// It answered; it waits until a quorum has.
    AwaitCut,
    /// The log on disk is being read for it.
    ReadingLog {
        token: u64,
    },
    /// Its history is on the way; from here on it gets every proposal and commit.
    AwaitAck,
    /// It has acknowledged NEWLEADER.
    Acknowledged,
    UpToDate,
}

pub(crate) struct Handler {
    pub(crate) peer: PeerId,
    /// As it says itself: it goes by the configurations that it knows.
    pub(crate) observer: bool,
    /// Its disk was found blank, and it has not been brought up to date by a proven leader.
    pub(crate) blank: bool,
    /// It was found blank, and has not acknowledged anything since: its disk may not be marked as fit to vote yet.
    pub(crate) unmarked: bool,
    pub(crate) stage: HandlerStage,
    /// When this stage began.
    pub(crate) since: Time,
    pub(crate) heard: Time,
    /// The last ping round begun before it introduced itself.
    pub(crate) introduced_in: u64,
    /// The last ping that it answered.
    pub(crate) pong: u64,
    /// From ACKEPOCH: the tail of its log, and how far it could cut it.
    pub(crate) last: Zxid,
    pub(crate) floor: Zxid,
    /// Everything up to here is on its disk, as said on this link.
    pub(crate) acked: Zxid,
    /// When the oldest proposal that it has not acknowledged was sent.
    pub(crate) unacknowledged_since: Option<Time>,
    /// The snapshot that is being sent, and what waits behind it.
    pub(crate) snapshot: Option<SnapshotId>,
    behind_snapshot: VecDeque<Message>,
    /// A history that was chosen and is not sent yet, and where it ends: there is no such moment but for a bug.
    pub(crate) chosen: Option<(Decision, Zxid)>,
    bugs: Planted,
}

impl Handler {
    pub(crate) fn new(peer: PeerId, now: Time, bugs: Planted) -> Handler {
        Handler {
            peer,
            observer: false,
            blank: false,
            unmarked: false,
            stage: HandlerStage::AwaitInfo,
            since: now,
            heard: now,
            introduced_in: 0,
            pong: 0,
            last: Zxid::ZERO,
            floor: Zxid::ZERO,
            acked: Zxid::ZERO,
            unacknowledged_since: None,
            snapshot: None,
            behind_snapshot: VecDeque::new(),
            chosen: None,
            bugs,
        }
    }

    pub(crate) fn enter(&mut self, stage: HandlerStage, now: Time) {
        self.stage = stage;
        self.since = now;
    }

    /// Whether what it says counts towards a quorum, if it is a voter.
    pub(crate) fn counts(&self) -> bool {
        !self.observer && (!self.blank || self.bugs.has(Bug::BlankPromiseCounts))
    }

    pub(crate) fn is_forwarding(&self) -> bool {
        let late = self.bugs.has(Bug::ForwardOnlyAfterNewLeaderAck);
        self.stage
            >= if late {
                HandlerStage::Acknowledged
            } else {
                HandlerStage::AwaitAck
            }
    }

    pub(crate) fn send(&mut self, link: LinkId, message: Message, out: &mut Vec<Effect>) {
        if self.snapshot.is_some() {
            self.behind_snapshot.push_back(message);
        } else {
            out.push(Effect::Send { link, message });
        }
    }

    pub(crate) fn propose_epoch(
        &mut self,
        link: LinkId,
        epoch: Epoch,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        self.enter(HandlerStage::AwaitEpochAck, now);
        self.send(link, Message::LeaderInfo { epoch }, out);
    }

    pub(crate) fn propose(
        &mut self,
        link: LinkId,
        txn: &Arc<Txn>,
        now: Time,
        out: &mut Vec<Effect>,
    ) {
        self.unacknowledged_since.get_or_insert(now);
        self.send(link, Message::Proposal(txn.clone()), out);
    }

    /// `leader` leads from here on, if the transaction is a reconfiguration.
    pub(crate) fn commit(
        &mut self,
        link: LinkId,
        txn: &Arc<Txn>,
        leader: PeerId,
        out: &mut Vec<Effect>,
    ) {
        let (zxid, txn) = (txn.zxid, txn.clone());
        let message = match (self.observer, txn.is_reconfiguration()) {
            (true, false) => Message::Inform(txn),
            (true, true) => Message::InformAndActivate { txn, leader },
            (false, false) => Message::Commit { zxid },
            (false, true) => Message::CommitAndActivate { zxid, leader },
        };
        self.send(link, message, out);
    }

    /// `proposed` is the last proposal: where that is acknowledged, nothing is left to wait for. Else the clock starts anew
    /// for the rest (ZooKeeper, too, looks at one proposal at a time).
    pub(crate) fn acknowledge(&mut self, zxid: Zxid, proposed: Zxid, now: Time) {
        self.acked = zxid;
        self.unacknowledged_since = (zxid < proposed).then_some(now);
    }

    /// From now on messages wait behind the snapshot's last piece.
    pub(crate) fn begin_snapshot(&mut self, snapshot: SnapshotId) {
        assert!(self.behind_snapshot.is_empty());
        self.snapshot = Some(snapshot);
    }

    pub(crate) fn send_snapshot_chunk(
        &mut self,
        link: LinkId,
        bytes: Payload,
        last: bool,
        out: &mut Vec<Effect>,
    ) {
        let message = Message::SnapChunk { bytes, last };
        out.push(Effect::Send { link, message });
        if last {
            self.snapshot = None;
            for message in std::mem::take(&mut self.behind_snapshot) {
                out.push(Effect::Send { link, message });
            }
        }
    }

    pub(crate) fn abandon_snapshot(&self, out: &mut Vec<Effect>) {
        if let Some(snapshot) = self.snapshot {
            out.push(Effect::AbandonSnapshot { snapshot });
        }
    }

    pub(crate) fn close(&self, link: LinkId, out: &mut Vec<Effect>) {
        self.abandon_snapshot(out);
        out.push(Effect::CloseLink { link });
    }
}
