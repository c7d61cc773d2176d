//! What peers say to each other: election messages, and the packets on a link between learner and leader.

use super::{Epoch, Payload, PeerId, SyncId, Txn, Zxid};
use crate::membership::Membership;
use std::sync::Arc;

/// A peer's state in the election's words (`QuorumPeer.ServerState`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // the names are ZooKeeper's own
pub enum PeerState {
    Looking,
    Following,
    Leading,
    Observing,
}

/// Where a peer is in the protocol (`QuorumPeer.ZabState`), with the boot before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// Reading its disk.
    Recovery,
    /// Waiting for its own disk queue and apply queue to drain before the next election.
    Draining,
    /// Looking for a leader.
    Election,
    /// Agreeing on the epoch.
    Discovery,
    /// Taking over the leader's history.
    Synchronization,
    /// Serving.
    Broadcast,
    /// Stopped by its own decision: see `Effect::Fatal`.
    Stopped,
}

/// A candidate as votes name it. Order: epoch, then zxid, then id (`FastLeaderElection.totalOrderPredicate`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Vote {
    /// The candidate.
    pub leader: PeerId,
    /// The tail of its durable log.
    pub zxid: Zxid,
    /// Its current epoch.
    pub peer_epoch: Epoch,
}

/// An election message (`FastLeaderElection.Notification`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// The sender's vote.
    pub vote: Vote,
    /// The election round that the vote was cast in.
    pub round: u64,
    /// What the sender is doing.
    pub state: PeerState,
    /// The configurations that it goes by: who knows a newer one tells the others.
    pub membership: Arc<Membership>,
}

/// A message on a link between learner and leader. The names are ZooKeeper's packet types; the paper's are in brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// FOLLOWERINFO and OBSERVERINFO (CEPOCH): the learner introduces itself.
    LearnerInfo {
        /// Its accepted epoch.
        accepted: Epoch,
        /// Whether it is an observer.
        observer: bool,
        /// Whether its disk was found blank: it must not count before an established leader has brought it up to date (**BASE**).
        blank: bool,
        /// The version of the last configuration that it knows to be committed.
        config: Zxid,
    },
    /// LEADERINFO (NEWEPOCH): the epoch that the leader proposes.
    LeaderInfo {
        /// The new epoch.
        epoch: Epoch,
    },
    /// ACKEPOCH (ACK-E).
    AckEpoch {
        /// The tail of the learner's durable log; the leader chooses the synchronization by it.
        last: Zxid,
        /// The learner's current epoch; `None` (−1 in ZooKeeper) where it had accepted this epoch before: does not count.
        current: Option<Epoch>,
        /// The lowest zxid to which this learner could truncate: its oldest snapshot (**BASE**: below it the leader chooses SNAP).
        floor: Zxid,
    },
    /// DIFF: the history you lack follows.
    Diff {
        /// The end of what the leader has committed at the cut.
        to: Zxid,
    },
    /// TRUNC: cut your log to this.
    Trunc {
        /// The last transaction that stays.
        to: Zxid,
    },
    /// SNAP: a whole snapshot follows, in chunks.
    Snap {
        /// Everything up to here is in it.
        zxid: Zxid,
        /// The configurations as of there.
        membership: Arc<Membership>,
    },
    /// A piece of the snapshot.
    SnapChunk {
        /// The piece.
        bytes: Payload,
        /// Whether it is the last one.
        last: bool,
    },
    /// PROPOSAL (PROPOSE).
    Proposal(Arc<Txn>),
    /// COMMIT.
    Commit {
        /// Of this transaction.
        zxid: Zxid,
    },
    /// INFORM: proposal and commit in one, for observers.
    Inform(Arc<Txn>),
    /// COMMITANDACTIVATE: the reconfiguration is committed and in force.
    CommitAndActivate {
        /// Of this transaction.
        zxid: Zxid,
        /// Who leads from here on; the present leader, unless the new configuration does without it.
        leader: PeerId,
    },
    /// INFORMANDACTIVATE: the same for observers.
    InformAndActivate {
        /// It.
        txn: Arc<Txn>,
        /// As in `CommitAndActivate`.
        leader: PeerId,
    },
    /// NEWLEADER (NEWLEADER): end of the history.
    NewLeader {
        /// The leader's epoch.
        epoch: Epoch,
    },
    /// ACK of NEWLEADER (ACK-LD).
    AckNewLeader {
        /// The leader's epoch.
        epoch: Epoch,
    },
    /// UPTODATE (COMMIT-LD): serve.
    UpToDate,
    /// ACK of a proposal: everything up to here is durable at the sender.
    Ack {
        /// The last durable transaction.
        zxid: Zxid,
    },
    /// PING, leader to learner, with a number that the answer repeats: a fresh answer proves that the learner still follows.
    Ping {
        /// Grows with each ping of this leader.
        round: u64,
    },
    /// PING, the answer.
    Pong {
        /// The ping's number.
        round: u64,
    },
    /// REQUEST: a learner hands a client's write to the leader.
    Request(Payload),
    /// SYNC, learner to leader.
    Sync {
        /// The learner's name for it.
        id: SyncId,
        /// Whether the leader must prove with fresh pongs of a quorum that it still leads.
        quorum: bool,
    },
    /// SYNC, the answer: in the link's order behind the commits that it waits for.
    Synced {
        /// As in `Sync`.
        id: SyncId,
    },
    /// Anything between the applications at the two ends: session revalidation and touches, in ZooKeeper's REVALIDATE and PING.
    App(Payload),
}

impl Message {
    /// ZooKeeper's name of the packet type, as triggers in scenarios name it.
    pub const fn name(&self) -> &'static str {
        match self {
            Message::LearnerInfo {
                observer: false, ..
            } => "FOLLOWERINFO",
            Message::LearnerInfo { observer: true, .. } => "OBSERVERINFO",
            Message::LeaderInfo { .. } => "LEADERINFO",
            Message::AckEpoch { .. } => "ACKEPOCH",
            Message::Diff { .. } => "DIFF",
            Message::Trunc { .. } => "TRUNC",
            Message::Snap { .. } => "SNAP",
            Message::SnapChunk { .. } => "SNAPCHUNK",
            Message::Proposal(_) => "PROPOSAL",
            Message::Commit { .. } => "COMMIT",
            Message::Inform(_) => "INFORM",
            Message::CommitAndActivate { .. } => "COMMITANDACTIVATE",
            Message::InformAndActivate { .. } => "INFORMANDACTIVATE",
            Message::NewLeader { .. } => "NEWLEADER",
            Message::AckNewLeader { .. } => "ACKNEWLEADER",
            Message::UpToDate => "UPTODATE",
            Message::Ack { .. } => "ACK",
            Message::Ping { .. } => "PING",
            Message::Pong { .. } => "PONG",
            Message::Request(_) => "REQUEST",
            Message::Sync { .. } => "SYNC",
            Message::Synced { .. } => "SYNCED",
            Message::App(_) => "APP",
        }
    }
}
