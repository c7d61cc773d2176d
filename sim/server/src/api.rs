//! The words of the contract: what goes into a [`Server`](crate::Server) and what comes out.

use std::sync::Arc;
use zabsim_types::{ClientFrame, ServerFrame, SessionId, Zxid};

/// One connection of a client to this server. Unique in a run: the driver never uses a number again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

impl ConnId {
    /// No connection: the leader's own requests. The driver never uses it.
    pub const NONE: ConnId = ConnId(u64::MAX);
}

/// The stages of the pipeline that run by themselves, as ZooKeeper's threads do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Leader: validates requests against the tree and the overlay, gives them their zxid, proposes them
    /// (`PrepRequestProcessor`).
    Prepare,
    /// Takes committed transactions into the tree, fires watches, answers (`CommitProcessor`, `FinalRequestProcessor`).
    Apply,
    /// Serializes the next piece of a snapshot.
    Snapshot,
}

/// The server's timers. Setting one again replaces it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// The peer's.
    Zab(zab::Timer),
    /// Leader: the next session bucket expires, and the sweep may be due. Learner: time to report touched sessions. Both: local
    /// sessions expire.
    Sessions,
    /// There has been no leader for long enough that those may read who are content with it.
    ReadOnly,
}

/// What goes into a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// For the peer: boot, disk, election, links, messages. (Its timers come by `Timer`, its application's inputs never.)
    Zab(zab::Input),
    /// A timer went off.
    Timer(Timer),
    /// A stage has its turn.
    Run(Stage),
    /// A client connected.
    ClientOpened {
        /// Its connection.
        conn: ConnId,
    },
    /// A client sent a frame.
    ClientFrame {
        /// By which connection.
        conn: ConnId,
        /// It. Boxed, because inputs and effects are moved a lot and few of them are frames.
        frame: Box<ClientFrame>,
    },
    /// A client's connection broke (or it closed it).
    ClientClosed {
        /// Which.
        conn: ConnId,
    },
}

/// What comes out of a server, to be carried out in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// One of the peer's effects that concern links, disk, election messages, `Fatal`, roles and notes. Those that concern
    /// the application (`Deliver`, `Restore`, `SyncDone`, …) the server keeps to itself, `SetTimer` comes as below.
    Zab(zab::Effect),
    /// Set a timer, replacing the one of that name.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When, by this server's clock.
        at: zab::Time,
    },
    /// Give this stage a turn, now or later. Asked once until the turn comes.
    Schedule(Stage),
    /// Send a frame to a client.
    Frame {
        /// By which connection.
        conn: ConnId,
        /// It.
        frame: Box<ServerFrame>,
    },
    /// Close a client's connection. Frames sent before it still arrive.
    CloseClient {
        /// Which.
        conn: ConnId,
    },
    /// Nothing to carry out: something that checks and timelines want to know.
    Note(Note),
}

/// What checks and timelines want to know. Emitted at the very step at which it becomes true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A transaction was applied to the tree (also in replay).
    Applied {
        /// It.
        zxid: Zxid,
        /// The rolling digest of the tree after it: equal zxids have equal digests, on all servers, whatever the path.
        /// `None` while a fuzzy snapshot is being caught up and the tree is legitimately between two states.
        digest: Option<u64>,
        /// Whether it was known to be committed, or replayed from this server's own log.
        committed: bool,
    },
    /// A snapshot became the tree.
    Restored {
        /// Its zxid.
        zxid: Zxid,
    },
    /// The leader prepared a session's end because it was silent for too long.
    SessionExpiring {
        /// Which.
        session: SessionId,
    },
    /// A client was refused because it has seen more than this server.
    RefusedFromFuture {
        /// What it has seen.
        seen: Zxid,
        /// What this server has applied.
        applied: Zxid,
    },
    /// A request came by a server that no longer owns its session.
    SessionMoved {
        /// Which.
        session: SessionId,
    },
    /// A rare path was taken. Counted by name.
    Mark(&'static str),
}

/// How a server is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The peer.
    pub zab: zab::Config,
    /// Bounds of the session timeout that clients may ask for, in milliseconds (ZooKeeper: 2 and 20 ticks).
    pub session_timeout_ms: (u32, u32),
    /// Transactions that one turn of `Stage::Apply` applies at most.
    pub apply_batch: usize,
    /// Nodes that one turn of `Stage::Snapshot` serializes.
    pub snapshot_chunk_nodes: usize,
    /// Makes session passwords: mixed with the session's id. Not a secret in a simulation.
    pub password_salt: u64,
    /// How often the leader looks for containers and TTL nodes to remove, in milliseconds (ZooKeeper: 60 s). Rounded up to
    /// when it next looks at its sessions: a tick at most.
    pub sweep_interval_ms: u32,
    /// What the answers to clients depend on.
    pub rules: Rules,
    /// Whether new sessions are known to their server alone (`localSessionsEnabled`).
    pub local_sessions: bool,
    /// Whether a local session that makes an ephemeral becomes a global one; else it is refused
    /// (`localSessionsUpgradingEnabled`).
    pub upgrade_local_sessions: bool,
    /// Whether reads are served, to clients that say so, while there is no quorum (`readonlymode.enabled`).
    pub read_only_mode: bool,
}

/// The settings that change what clients are answered. All servers of an ensemble need the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Whether there are TTL nodes (`zookeeper.extendedTypesEnabled`). Containers are always there.
    pub extended_types: bool,
    /// Whether hard limits of quotas are enforced (`enforceQuota`). The counts are kept in any case.
    pub enforce_quota: bool,
    /// What the configuration's node holds before the first reconfiguration. Only where that is told the members may be
    /// changed (`reconfigEnabled`).
    pub first_configuration: Option<Arc<str>>,
    /// Who may do everything: `user:base64(SHA1(user:password))` (`zookeeper.DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<Arc<str>>,
    /// Whether a client's own `deleteContainer` takes containers and TTL nodes only, and needs `DELETE` on the parent.
    /// ZooKeeper 3.9.5 removes any childless node that is no ephemeral, for anybody.
    pub guard_delete_container: bool,
    /// The longest request, in bytes of its frame (`jute.maxbuffer`). A longer one costs the connection.
    pub frame_bytes_max: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            extended_types: true,
            enforce_quota: false,
            first_configuration: None,
            super_digest: None,
            guard_delete_container: true,
            frame_bytes_max: 0xf_ffff,
        }
    }
}
