//! What goes into a peer and what comes out of it.

use super::{
    DiskData, DiskError, DiskOp, Epoch, FileName, LinkId, Message, Note, Notification, Payload,
    PeerId, PeerState, Phase, SnapshotId, SyncId, Ticket, Time, Txn, Zxid,
};
use crate::quorum::QuorumConfig;
use std::sync::Arc;

/// A peer's timers. Setting one again replaces it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// The election's: finalize wait, or time to send the notifications again.
    Election,
    /// Half a tick: pings, and every second one the check of quorum and learners.
    Tick,
    /// Nothing was heard for too long, or a phase takes too long (initLimit, syncLimit).
    Deadline,
}

/// How a transaction reaches the application.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Delivery {
    /// Committed by a quorum.
    Committed,
    /// From this server's own log at boot, after a truncation, or when it leaves a role: it may be cut off again later.
    Replayed,
}

/// What goes into a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The process starts. First, and once.
    Boot,
    /// A disk operation is done.
    DiskDone {
        /// Which.
        ticket: Ticket,
    },
    /// A disk operation failed.
    DiskFailed {
        /// The file that it was on.
        file: Option<FileName>,
        /// Why.
        error: DiskError,
    },
    /// A read is done.
    ReadDone {
        /// Which.
        ticket: Ticket,
        /// What it brought.
        data: DiskData,
    },
    /// A timer went off. (One that was replaced or whose phase is over does nothing.)
    Timer(Timer),
    /// An election message arrived.
    Notification {
        /// From whom.
        from: PeerId,
        /// It.
        notification: Notification,
    },
    /// A link is open: one that this peer asked for, or one that a learner opened to it.
    LinkOpened {
        /// Its number.
        link: LinkId,
        /// The other end.
        peer: PeerId,
        /// Whether this peer asked for it.
        outgoing: bool,
    },
    /// A link could not be opened.
    ConnectFailed {
        /// To whom.
        peer: PeerId,
    },
    /// A link broke (or the other end closed it).
    LinkBroken {
        /// Which.
        link: LinkId,
    },
    /// A message arrived.
    Message {
        /// By which link.
        link: LinkId,
        /// It.
        message: Message,
    },
    /// The application proposes a transaction. Only at a leader in broadcast, and in order: `zxid` must be [`next`](Zxid::next)
    /// of the last one proposed (the first of an epoch has counter 1).
    Propose {
        /// The number that the application prepared it under.
        zxid: Zxid,
        /// Its content.
        payload: Payload,
    },
    /// The application proposes a transaction that reconfigures the ensemble. As `Propose`, and only where
    /// [`Peer::may_reconfigure`](crate::Peer::may_reconfigure) says so.
    Reconfigure {
        /// As in `Propose`: the version of the configuration too.
        zxid: Zxid,
        /// The new ensemble.
        quorum: QuorumConfig,
        /// The content for the application.
        payload: Payload,
    },
    /// The application of a learner hands a write request to the leader's application.
    Request {
        /// The request.
        payload: Payload,
    },
    /// The application of a learner says something to the leader's.
    ToLeader {
        /// What.
        payload: Payload,
    },
    /// The application of the leader says something to a learner's.
    ToLearner {
        /// To whom.
        peer: PeerId,
        /// What.
        payload: Payload,
    },
    /// The application asks for a barrier: answered by `Effect::SyncDone`, in order with the deliveries.
    Sync {
        /// Its name.
        id: SyncId,
        /// Whether the leader must prove that it still leads.
        quorum: bool,
    },
    /// The application has applied every delivery up to here.
    Applied {
        /// The last one.
        zxid: Zxid,
    },
    /// A piece of a snapshot that `Effect::BeginSnapshot` asked for.
    SnapshotChunk {
        /// Of which.
        snapshot: SnapshotId,
        /// The piece.
        bytes: Payload,
        /// Whether it is the last one.
        last: bool,
    },
    /// The application could not make sense of an `Effect::Restore`: the snapshot is bad.
    RestoreFailed,
}

/// What comes out of a peer, to be carried out in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send an election message, as a datagram.
    Notify {
        /// To whom.
        to: PeerId,
        /// It.
        notification: Notification,
    },
    /// Open a link to a leader; answered by `LinkOpened` or `ConnectFailed`.
    Connect {
        /// To whom.
        peer: PeerId,
    },
    /// Send a message.
    Send {
        /// By which link.
        link: LinkId,
        /// It.
        message: Message,
    },
    /// Close a link. What was sent before may or may not arrive. No `LinkBroken` follows at this end.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Do something to the disk.
    Disk(DiskOp),
    /// Set a timer, replacing the one of that name.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When, by this peer's clock.
        at: Time,
    },
    /// Take this transaction into the application's apply queue.
    Deliver {
        /// It.
        txn: Arc<Txn>,
        /// In what way.
        delivery: Delivery,
    },
    /// A barrier is passed: put the answer into the apply queue, behind the deliveries before it.
    SyncDone {
        /// Which.
        id: SyncId,
    },
    /// A barrier's outcome will never be known here (the role ended).
    SyncLost {
        /// Which.
        id: SyncId,
    },
    /// Drop the application's state and apply queue and take this snapshot's instead; at once, before the next effect.
    /// An empty list of chunks means the initial, empty state.
    Restore {
        /// The last transaction that is wholly in it.
        zxid: Zxid,
        /// Its pieces, in order.
        chunks: Vec<Payload>,
    },
    /// Begin to serialize the application's state as it is now, at exactly `zxid` (the last `Applied`). The pieces come by
    /// `Input::SnapshotChunk` whenever the application has time; transactions may be applied in between (a fuzzy snapshot).
    BeginSnapshot {
        /// Its name.
        snapshot: SnapshotId,
        /// The last applied transaction.
        zxid: Zxid,
    },
    /// Nobody wants that snapshot any more.
    AbandonSnapshot {
        /// Which.
        snapshot: SnapshotId,
    },
    /// At the leader: a learner's application hands over a write request.
    RequestReceived {
        /// Which learner.
        from: PeerId,
        /// The request.
        payload: Payload,
    },
    /// At the leader: a learner's application says something.
    FromLearner {
        /// Which learner.
        from: PeerId,
        /// What.
        payload: Payload,
    },
    /// At a learner: the leader's application says something.
    FromLeader {
        /// What.
        payload: Payload,
    },
    /// The role or the phase changed: the application serves clients exactly while it is in `Broadcast`.
    RoleChanged(Role),
    /// This peer stops for good and says why; the process ends. Its disk stays as it is.
    Fatal {
        /// What was found and what was expected.
        reason: String,
    },
    /// Nothing to carry out: something that checks, probes and timelines want to know.
    Note(Note),
}

/// What a peer is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Role {
    /// Looking, following, leading or observing.
    pub state: PeerState,
    /// Where in the protocol.
    pub phase: Phase,
    /// The leader's epoch, from discovery on; else the current epoch on disk.
    pub epoch: Epoch,
    /// The leader, once chosen.
    pub leader: Option<PeerId>,
}
