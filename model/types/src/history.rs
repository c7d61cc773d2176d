//! What the clients saw: the record that the checkers judge. The shape follows the recorded histories of real servers
//! (one event a line, file order is real-time order of invocations and completions).

use crate::{ErrorCode, Op, Reply, ServerId, SessionId, Time, WatchEvent, Xid, ZPath, Zxid};
use serde::{Deserialize, Serialize};

/// A client process of the run, counted from 1.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ProcessId(pub u32);

/// Ties a completion to its invocation; unique in a history.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CallId(pub u64);

/// One event. The position in the history is the real-time order; `time` is the world's clock.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// The world's time.
    #[serde(rename = "time_us")]
    pub time: Time,
    /// Which client.
    pub process: ProcessId,
    /// Its session at that moment; `NONE` before the first.
    pub session: SessionId,
    /// What happened.
    #[serde(flatten)]
    pub kind: HistoryKind,
}

/// What happened at a client.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum HistoryKind {
    /// A request was handed to the client.
    Invoke {
        /// Its name in the history.
        id: CallId,
        /// What was asked.
        request: Op,
    },
    /// Its reply, a success (or a failed multi's vector).
    Ok {
        /// Which.
        id: CallId,
        /// Of a write its transaction, of a read the state it saw.
        zxid: Zxid,
        /// Its number on its connection.
        xid: Xid,
        /// The connection: counts this process's connections from 1.
        conn: u32,
        /// The answer.
        result: Reply,
    },
    /// Its reply, a definite error by the server.
    Fail {
        /// Which.
        id: CallId,
        /// As for `Ok`; a failed write consumes a transaction too.
        zxid: Zxid,
        /// Its number on its connection.
        xid: Xid,
        /// The connection.
        conn: u32,
        /// The error.
        error: ErrorCode,
    },
    /// No reply will come: the write may have happened, may happen later, or never.
    Info {
        /// Which.
        id: CallId,
        /// Why: `ConnectionLoss`, `SessionExpired` or `AuthFailed`.
        error: ErrorCode,
        /// Whether the request left the client at all. If not, it certainly never happened.
        sent: bool,
        /// Its number in the session, where it had left and its client lived to say so: tells it from others like it in the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        xid: Option<Xid>,
    },
    /// A notification was delivered to the program.
    Watch {
        /// The transaction of the change; `None` for a catch-up event.
        zxid: Option<Zxid>,
        /// The connection it came by.
        conn: u32,
        /// What changed.
        event: WatchEvent,
    },
    /// The session's state changed.
    Session {
        /// How.
        change: SessionChange,
    },
    /// A recipe's step: see `RecipeEvent`.
    Recipe(RecipeEvent),
}

/// How a session's state changed, as its client sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum SessionChange {
    /// Connected to a server, with a new or a reattached session.
    Connected {
        /// Which server.
        server: ServerId,
        /// Counts this process's connections from 1.
        conn: u32,
        /// The timeout granted, in milliseconds.
        timeout_ms: u32,
        /// Whether the session had existed before.
        reattached: bool,
        /// Whether the server only reads: it has no quorum.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        read_only: bool,
    },
    /// The client's watches were re-registered with this relative zxid: the server's answer to `SetWatches` arrived.
    WatchesSet {
        /// The relative zxid that was sent.
        relative: Zxid,
        /// Last transaction applied at the server when it re-registered them.
        zxid: Zxid,
        /// The connection.
        conn: u32,
    },
    /// The connection broke.
    Disconnected,
    /// A server said that the session has expired.
    Expired,
    /// A server refused an identity: the client has given the session up, and its timeout will end it.
    AuthFailed,
    /// The client closed it.
    Closed,
}

/// A step of a recipe, recorded by the recipe itself at the moment when the program would act on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecipeEvent {
    /// The contended object: the lock's or the election's path.
    pub object: ZPath,
    /// What happened.
    pub step: RecipeStep,
}

/// The steps that the recipes' checks know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum RecipeStep {
    /// Wants the lock.
    LockWanted,
    /// Holds the lock from now on, as far as it knows.
    LockAcquired {
        /// The fencing token: the creating transaction of the contender's node.
        token: Zxid,
    },
    /// Gave it back: from now on it does not act as the holder.
    LockReleased {
        /// The token of the hold.
        token: Zxid,
    },
    /// Learned that it may hold it no longer (disconnected, expired): stopped acting as the holder.
    LockLost {
        /// The token of the hold.
        token: Zxid,
    },
    /// A side effect under the lock reached the guarded resource.
    FencedWrite {
        /// The token that came with it.
        token: Zxid,
        /// Whether the resource took it.
        accepted: bool,
    },
    /// Stands for election.
    ElectionEntered,
    /// Leads from now on, as far as it knows.
    LeaderElected {
        /// The term: the creating transaction of the candidate's node.
        term: Zxid,
    },
    /// Leads no longer, by its own will or because it lost touch.
    LeaderResigned {
        /// The term that ends.
        term: Zxid,
    },
}
