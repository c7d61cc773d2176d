//! The words of the contract: what goes into a [`Peer`](crate::Peer) and what comes out.

use crate::quorum::QuorumConfig;
use std::fmt;
use std::sync::Arc;

/// A server's number, from 1 (ZooKeeper's `myid`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u8);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A leader's term. Zero: before the first leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// A transaction's number: `epoch << 32 | counter`. Zero means "no transaction".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before the first transaction.
    pub const ZERO: Zxid = Zxid(0);

    /// Transaction `counter` of `epoch`.
    pub const fn new(epoch: Epoch, counter: u32) -> Zxid {
        Zxid((epoch.0 as u64) << 32 | counter as u64)
    }

    /// The epoch: the high 32 bits.
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }

    /// The counter: the low 32 bits. Counter 0 never carries a transaction.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The transaction after this one in the same epoch.
    ///
    /// # Panics
    /// Where the counter would run into the epoch: the leader steps down before that (ZOOKEEPER-1277).
    pub const fn next(self) -> Zxid {
        assert!(
            self.counter() < u32::MAX,
            "the counter would run into the epoch"
        );
        Zxid(self.0 + 1)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "⟨{},{}⟩", self.epoch().0, self.counter())
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A point of time of this peer's own clock, in microseconds. Only differences mean anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Time(pub u64);

/// The opaque bytes of the application.
pub type Payload = Arc<[u8]>;

/// A transaction as it stands in the log of every server, byte for byte the same: see `log.rs` for the encoding.
/// It is encoded once, by the leader that proposes it, and shared from then on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Txn {
    /// Its number.
    pub zxid: Zxid,
    /// The transaction before it in the log, zero for the first. A log in which this chain is broken has a hole (**BASE**).
    pub prev: Zxid,
    /// The whole record: header, payload, checksum. `payload()` gives the application's part.
    pub record: Payload,
}

/// One connection between a learner and a leader. Unique in a run: the driver never uses a number again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// Names a disk operation, so that its completion finds who waits for it. Chosen by the peer, never twice in a process's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Names one serialization of the application's state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId(pub u64);

/// Names a `sync` request at the server where it was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SyncId(pub u64);

/// The files of a server. Displayed as ZooKeeper names them: `log.100000001`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileName {
    /// The highest epoch this server has promised to follow (paper: f.p).
    AcceptedEpoch,
    /// The epoch of the last leader whose history this server took over (paper: f.a).
    CurrentEpoch,
    /// Says that the database may vote: written by `format_files` for a new ensemble, and by a server with a blank disk once
    /// an established leader has brought it up to date. Without it the server takes no part in elections (ZOOKEEPER-2325).
    Initialized,
    /// A log segment; named by the first zxid that it may hold, and by its generation.
    Log {
        /// Counts the times that a SNAP replaced the whole database; segments of older generations are dead.
        generation: u32,
        /// Transactions in it are at or after this.
        first: Zxid,
    },
    /// A snapshot; named by the last transaction that was applied when its writing began.
    Snapshot {
        /// As for `Log`.
        generation: u32,
        /// Everything up to here is in it; of later transactions perhaps something.
        zxid: Zxid,
    },
    /// A snapshot being written; not valid until renamed.
    SnapshotPart {
        /// As for `Log`.
        generation: u32,
        /// As for `Snapshot`.
        zxid: Zxid,
    },
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::AcceptedEpoch => write!(f, "acceptedEpoch"),
            FileName::CurrentEpoch => write!(f, "currentEpoch"),
            FileName::Initialized => write!(f, "initialized"),
            FileName::Log { generation, first } => write!(f, "log.{generation}.{:x}", first.0),
            FileName::Snapshot { generation, zxid } => {
                write!(f, "snapshot.{generation}.{:x}", zxid.0)
            }
            FileName::SnapshotPart { generation, zxid } => {
                write!(f, "snapshot.{generation}.{:x}.part", zxid.0)
            }
        }
    }
}

/// Something to do to the disk. Operations of one peer are carried out in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskOp {
    /// Adds bytes to the end of a file, creating it. Volatile until a `Sync` of that file is done.
    Append {
        /// Which file.
        file: FileName,
        /// What.
        bytes: Payload,
    },
    /// Makes everything appended to a file so far durable (fsync). Answered.
    Sync {
        /// Which file.
        file: FileName,
        /// For the answer.
        ticket: Ticket,
    },
    /// Replaces a small file atomically and durably: temporary file, fsync, rename, fsync of the directory. Answered.
    Replace {
        /// Which file.
        file: FileName,
        /// Its whole content.
        bytes: Payload,
        /// For the answer.
        ticket: Ticket,
    },
    /// Renames a file, atomically and durably. Answered.
    Rename {
        /// From.
        from: FileName,
        /// To; replaced if it exists.
        to: FileName,
        /// For the answer.
        ticket: Ticket,
    },
    /// Cuts a file to a length, durably. Answered.
    Truncate {
        /// Which file.
        file: FileName,
        /// Bytes that stay.
        len: u64,
        /// For the answer.
        ticket: Ticket,
    },
    /// Removes a file, durably. Answered.
    Delete {
        /// Which file.
        file: FileName,
        /// For the answer.
        ticket: Ticket,
    },
    /// Lists the directory. Answered by `ReadDone` with `DiskData::Files`, sorted.
    List {
        /// For the answer.
        ticket: Ticket,
    },
    /// Reads a whole file. Answered by `ReadDone` with `DiskData::Bytes`.
    Read {
        /// Which file.
        file: FileName,
        /// For the answer.
        ticket: Ticket,
    },
}

/// What a read brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskData {
    /// The files that exist.
    Files(Vec<FileName>),
    /// A file's bytes; `None` where there is no such file.
    Bytes(Option<Payload>),
}

/// Why a disk operation failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DiskError {
    /// The device failed. What was not yet durable may be lost, whatever a later fsync says: the server must stop.
    Io,
    /// No space left.
    Full,
}

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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Notification {
    /// The sender's vote.
    pub vote: Vote,
    /// The election round that the vote was cast in.
    pub round: u64,
    /// What the sender is doing.
    pub state: PeerState,
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

/// How a leader brings a learner up to date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SyncKind {
    /// The learner has everything already.
    EmptyDiff,
    /// The learner lacks a tail.
    Diff,
    /// The learner has a tail too much.
    Trunc,
    /// Both: its tail is cut, then it gets the leader's.
    TruncDiff,
    /// It gets a whole snapshot.
    Snap,
}

/// Where a DIFF's transactions came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SyncSource {
    /// Memory: the last transactions committed.
    CommittedLog,
    /// The log on disk, then memory.
    DiskLog,
}

/// What checks, probes and timelines want to know. Emitted at the very step at which it becomes true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// Recovery from disk is done.
    Recovered {
        /// The tail of the log.
        last: Zxid,
        /// From disk.
        accepted: Epoch,
        /// From disk.
        current: Epoch,
        /// Bytes of a torn tail that were cut off.
        torn_bytes: u64,
        /// Whether the disk was blank.
        blank: bool,
    },
    /// A new election round began or was adopted.
    ElectionRound {
        /// The round.
        round: u64,
    },
    /// acceptedEpoch is durable.
    AcceptedEpoch(Epoch),
    /// currentEpoch is durable.
    CurrentEpoch(Epoch),
    /// A leader chose how to bring a learner up to date.
    SyncChosen {
        /// The learner.
        learner: PeerId,
        /// Its last zxid.
        last: Zxid,
        /// How.
        kind: SyncKind,
        /// Where a DIFF's transactions came from.
        source: SyncSource,
    },
    /// A learner's UPTODATE was sent: it counts as synchronized.
    LearnerUpToDate {
        /// The learner.
        learner: PeerId,
    },
    /// A leader has the quorum of ACK(NEWLEADER): its epoch is established.
    Established {
        /// Its epoch.
        epoch: Epoch,
        /// The end of its initial history.
        history: Zxid,
    },
    /// A leader proposed a transaction.
    Proposed {
        /// It.
        txn: Arc<Txn>,
    },
    /// The log is durable up to here.
    Logged {
        /// The last durable transaction.
        zxid: Zxid,
    },
    /// This server learned (a learner) or decided (the leader) that everything up to here is committed.
    Committed {
        /// The last committed transaction.
        zxid: Zxid,
    },
    /// The log was cut, durably.
    Truncated {
        /// The last transaction that stayed.
        to: Zxid,
    },
    /// A whole snapshot from the leader is durable and is now this server's database.
    SnapshotInstalled {
        /// Its zxid.
        zxid: Zxid,
    },
    /// A running server's snapshot is durable.
    SnapshotTaken {
        /// Its zxid.
        zxid: Zxid,
    },
    /// This peer gave up its role.
    SteppedDown {
        /// Why, in words.
        reason: &'static str,
    },
    /// A message that the phase does not allow, beyond what ZooKeeper ignores. The link is closed; a check reports it.
    IllegalMessage {
        /// ZooKeeper's name of it.
        message: &'static str,
        /// The receiver's phase.
        phase: Phase,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A rare path was taken: an epoch rule, an election branch, a recovery path. Counted by name.
    Mark(&'static str),
}

/// How a peer is set up; the same on every server but for `id`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This server.
    pub id: PeerId,
    /// Who votes, who observes, what is a quorum.
    pub quorum: QuorumConfig,
    /// A tick, in microseconds (ZooKeeper: tickTime).
    pub tick_us: u64,
    /// Ticks that connecting and synchronizing may take (initLimit).
    pub init_limit: u32,
    /// Ticks that a learner may be silent or behind (syncLimit).
    pub sync_limit: u32,
    /// How long an election waits for a better vote once it has a quorum, in microseconds (finalizeWait, 200 ms).
    pub finalize_wait_us: u64,
    /// The first and the longest wait before notifications are sent again, in microseconds (200 ms, 60 s).
    pub notify_us: (u64, u64),
    /// Committed transactions kept in memory for DIFFs (commitLogCount, 500).
    pub commit_log_count: usize,
    /// Whether a DIFF may be read from the log on disk, and up to how many bytes of it (0: never; ZooKeeper: 0.33 × snapshot size).
    pub disk_diff_bytes_max: u64,
    /// Transactions in the log before a snapshot is due (snapCount). The driver draws it for each server from (n/2, n].
    pub snap_count: u32,
    /// Transactions that an epoch may have; 2³²−1 but in tests of the rollover.
    pub counter_max: u32,
    /// Snapshots kept on disk when a new one is taken, with the logs that they need (autopurge.snapRetainCount, 3).
    pub snap_retain: usize,
}

impl Config {
    /// ZooKeeper's own defaults: a tick of 2 s, initLimit 10, syncLimit 5, snapCount 100,000, no DIFF from the disk's log.
    pub fn new(id: PeerId, quorum: QuorumConfig) -> Config {
        Config {
            id,
            quorum,
            tick_us: 2_000_000,
            init_limit: 10,
            sync_limit: 5,
            finalize_wait_us: 200_000,
            notify_us: (200_000, 60_000_000),
            commit_log_count: 500,
            disk_diff_bytes_max: 0,
            snap_count: 100_000,
            counter_max: u32::MAX,
            snap_retain: 3,
        }
    }
}
