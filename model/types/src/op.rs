//! Operations of the service and their answers.

use crate::{ErrorCode, Stat, ZPath};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A node's data. `None` is Java's null, which ZooKeeper keeps apart from empty data (both have length 0).
pub type Data = Option<Arc<[u8]>>;

/// What kind of node `create` makes (`org.apache.zookeeper.CreateMode`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreateMode {
    /// Stays until deleted.
    Persistent,
    /// Goes with its session.
    Ephemeral,
    /// Stays; its name gets the parent's counter.
    PersistentSequential,
    /// Goes with its session; its name gets the parent's counter.
    EphemeralSequential,
}

impl CreateMode {
    /// Whether the node goes with its session.
    pub const fn is_ephemeral(self) -> bool {
        matches!(
            self,
            CreateMode::Ephemeral | CreateMode::EphemeralSequential
        )
    }

    /// Whether the name gets the parent's counter.
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            CreateMode::PersistentSequential | CreateMode::EphemeralSequential
        )
    }
}

/// What a `sync` promises.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// As ZooKeeper: the leader answers without asking a quorum, so a deposed leader may answer (ZOOKEEPER-1675).
    #[default]
    Leader,
    /// The leader proves with fresh answers of a quorum that it still leads: a read behind it is linearizable.
    Quorum,
}

/// A request of a client. `version` −1 matches any version.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "op")]
pub enum Op {
    /// Makes a node.
    Create {
        /// Where; a sequential mode appends ten digits.
        path: ZPath,
        /// What it holds.
        data: Data,
        /// What kind of node.
        mode: CreateMode,
        /// Whether the reply carries the `Stat` (`create2`).
        with_stat: bool,
    },
    /// Removes a childless node.
    Delete {
        /// Which.
        path: ZPath,
        /// The version it must have.
        version: i32,
    },
    /// Replaces a node's data.
    SetData {
        /// Which.
        path: ZPath,
        /// By what.
        data: Data,
        /// The version it must have.
        version: i32,
    },
    /// Reads a node's data.
    GetData {
        /// Which.
        path: ZPath,
        /// Whether to leave a data watch.
        watch: bool,
    },
    /// Reads a node's `Stat`.
    Exists {
        /// Which.
        path: ZPath,
        /// Whether to leave a watch, also where the node is absent.
        watch: bool,
    },
    /// Lists a node's children.
    GetChildren {
        /// Which.
        path: ZPath,
        /// Whether to leave a child watch.
        watch: bool,
        /// Whether the reply carries the `Stat` (`getChildren2`).
        with_stat: bool,
    },
    /// A barrier: later reads of this session see at least what the leader had proposed.
    Sync {
        /// Echoed.
        path: ZPath,
        /// How much it promises.
        mode: SyncMode,
    },
    /// Tests a node's version; inside a multi only, else `Unimplemented`.
    Check {
        /// Which.
        path: ZPath,
        /// The version it must have.
        version: i32,
    },
    /// Several of create, delete, setData and check, all or none, under one zxid.
    Multi {
        /// The parts, in order; each sees the ones before it.
        ops: Vec<Op>,
    },
    /// Ends the session and removes its ephemerals.
    CloseSession,
}

/// An operation without its arguments: for tables, triggers and counters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the names are those of `Op`
pub enum OpKind {
    Create,
    Delete,
    SetData,
    GetData,
    Exists,
    GetChildren,
    Sync,
    Check,
    Multi,
    CloseSession,
}

impl Op {
    /// Which operation it is.
    pub const fn kind(&self) -> OpKind {
        match self {
            Op::Create { .. } => OpKind::Create,
            Op::Delete { .. } => OpKind::Delete,
            Op::SetData { .. } => OpKind::SetData,
            Op::GetData { .. } => OpKind::GetData,
            Op::Exists { .. } => OpKind::Exists,
            Op::GetChildren { .. } => OpKind::GetChildren,
            Op::Sync { .. } => OpKind::Sync,
            Op::Check { .. } => OpKind::Check,
            Op::Multi { .. } => OpKind::Multi,
            Op::CloseSession => OpKind::CloseSession,
        }
    }

    /// Whether it goes through the leader's pipeline and takes a zxid, whether it then succeeds or fails.
    pub const fn is_update(&self) -> bool {
        matches!(
            self,
            Op::Create { .. }
                | Op::Delete { .. }
                | Op::SetData { .. }
                | Op::Multi { .. }
                | Op::CloseSession
        )
    }
}

/// The answer to an operation that succeeded; and the vector of a multi that did not (its header has error 0).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reply")]
pub enum Reply {
    /// Of create: the path with its sequence number.
    Created {
        /// The node's path.
        path: ZPath,
        /// For `create2` and inside its multi.
        stat: Option<Stat>,
    },
    /// Of delete.
    Deleted,
    /// Of setData.
    Set {
        /// The node after it.
        stat: Stat,
    },
    /// Of getData.
    Data {
        /// What it holds.
        data: Data,
        /// The node.
        stat: Stat,
    },
    /// Of exists, where the node is there.
    Exists {
        /// The node.
        stat: Stat,
    },
    /// Of getChildren.
    Children {
        /// The children's names (not paths), sorted here; ZooKeeper promises no order.
        names: Vec<Arc<str>>,
        /// For `getChildren2`.
        stat: Option<Stat>,
    },
    /// Of sync.
    Synced {
        /// The path of the request.
        path: ZPath,
    },
    /// Of check, inside a multi.
    Checked,
    /// Of a multi that was carried out: one answer a part.
    Multi {
        /// In order.
        results: Vec<Reply>,
    },
    /// Of a multi that changed nothing: 0 before the culprit, its error, −2 behind it.
    MultiFailed {
        /// In order.
        errors: Vec<ErrorCode>,
    },
    /// Of closeSession.
    Closed,
}

/// What a request came to, where its reply arrived.
pub type OpResult = Result<Reply, ErrorCode>;
