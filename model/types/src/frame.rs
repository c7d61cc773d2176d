//! What travels between a client and the server it is connected to. Typed values; ZooKeeper's wire format is a codec
//! at this edge and comes with real sockets.

use crate::{Op, OpResult, ServerId, SessionId, Xid, ZPath, Zxid};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Client to server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientFrame {
    /// The first frame of every connection.
    Connect(ConnectRequest),
    /// A request. The server answers in order of arrival.
    Request {
        /// Its number in the session.
        xid: Xid,
        /// What is asked.
        op: Op,
    },
    /// A sign of life; answered by `Pong`.
    Ping,
    /// Re-registration of the session's watches on a new connection (xid −8). Catch-up events are relative to `relative`.
    SetWatches {
        /// The last zxid that the client saw in a reply header.
        relative: Zxid,
        /// Paths with a data watch from `getData` (or `exists` on a present node).
        data: Vec<ZPath>,
        /// Paths with a watch on an absent node.
        exists: Vec<ZPath>,
        /// Paths with a child watch.
        child: Vec<ZPath>,
        /// Paths with a persistent watch (`setWatches2`): set again without catch-up.
        persistent: Vec<ZPath>,
        /// Paths with a persistent recursive watch, likewise.
        recursive: Vec<ZPath>,
    },
}

/// Opens a session or takes one up again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest {
    /// The highest zxid that the client has seen; a server that is behind it refuses the connection.
    pub last_zxid_seen: Zxid,
    /// The session timeout asked for, in milliseconds.
    pub timeout_ms: u32,
    /// The session to reattach; `NONE` for a new one.
    pub session: SessionId,
    /// The session's password; any for a new one.
    pub password: [u8; 16],
    /// Whether a server that has lost its quorum will do, too.
    pub read_only: bool,
}

/// Answers `Connect`. A session of `NONE` with timeout 0 means: that session has expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectReply {
    /// The timeout granted, in milliseconds; 0 where the session has expired.
    pub timeout_ms: u32,
    /// The session.
    pub session: SessionId,
    /// Its password.
    pub password: [u8; 16],
    /// The server that answered.
    pub server: ServerId,
    /// Whether it only reads: it has no quorum.
    pub read_only: bool,
}

/// Server to client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerFrame {
    /// Answers `Connect`.
    Connected(ConnectReply),
    /// Answers a request.
    Reply {
        /// The request's number.
        xid: Xid,
        /// Of a write: its transaction. Of a read: the last transaction applied at the server when it answered.
        zxid: Zxid,
        /// What came of it.
        result: OpResult,
    },
    /// A watch fired.
    Event {
        /// The transaction that fired it; `None` for the catch-up of `SetWatches` (−1 on ZooKeeper's wire).
        zxid: Option<Zxid>,
        /// What happened.
        event: WatchEvent,
    },
    /// Answers `Ping`.
    Pong {
        /// The last transaction applied at the server.
        zxid: Zxid,
    },
    /// Answers `SetWatches`, behind its catch-up events.
    WatchesSet {
        /// The last transaction applied at the server.
        zxid: Zxid,
    },
}

/// What a watch saw (`Watcher.Event.EventType`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum WatchKind {
    /// 1: the node was created.
    NodeCreated,
    /// 2: the node was deleted.
    NodeDeleted,
    /// 3: its data was set.
    NodeDataChanged,
    /// 4: a child was created or deleted.
    NodeChildrenChanged,
    /// 5: the data watches there were removed by `removeWatches`. Told by the client library, never sent.
    DataWatchRemoved,
    /// 6: likewise, the child watches.
    ChildWatchRemoved,
    /// 7: likewise, the persistent watches.
    PersistentWatchRemoved,
}

impl fmt::Display for WatchKind {
    /// As ZooKeeper names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl WatchKind {
    /// Whether a client's library tells it by itself: no server sends it, and no history has it.
    pub const fn is_local(self) -> bool {
        matches!(
            self,
            WatchKind::DataWatchRemoved
                | WatchKind::ChildWatchRemoved
                | WatchKind::PersistentWatchRemoved
        )
    }
}

/// A notification: what happened, where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchKind,
    /// To which node.
    pub path: ZPath,
}
