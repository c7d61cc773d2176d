//! Operations of the service and their answers.

use crate::{Acl, AddWatchMode, ErrorCode, Id, Stat, WatcherType, ZPath};
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
    /// Removed by the servers once it has had a child and has none any more (`createContainer`).
    Container,
    /// Removed by the servers when it has no child and was not set for that long (`createTTL`).
    PersistentWithTtl {
        /// How long, in milliseconds: from 1 to [`MAX_TTL_MS`](CreateMode::MAX_TTL_MS), else the request is refused.
        ttl_ms: i64,
    },
    /// Like `PersistentWithTtl`; its name gets the parent's counter.
    PersistentSequentialWithTtl {
        /// How long, in milliseconds.
        ttl_ms: i64,
    },
    /// What makes no node but can be asked for on the wire: flags that nobody knows, or a TTL with flags of a mode that has
    /// none. Always refused, with `BadArguments`.
    Invalid {
        /// The flags.
        flags: i32,
        /// The TTL that came with them, in milliseconds.
        ttl_ms: Option<i64>,
    },
}

impl CreateMode {
    /// The longest TTL: 40 bits of milliseconds.
    pub const MAX_TTL_MS: i64 = 0xff_ffff_ffff;

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
            CreateMode::PersistentSequential
                | CreateMode::EphemeralSequential
                | CreateMode::PersistentSequentialWithTtl { .. }
        )
    }

    /// The TTL that it asks for, valid or not.
    pub const fn ttl_ms(self) -> Option<i64> {
        match self {
            CreateMode::PersistentWithTtl { ttl_ms }
            | CreateMode::PersistentSequentialWithTtl { ttl_ms } => Some(ttl_ms),
            CreateMode::Invalid { ttl_ms, .. } => ttl_ms,
            _ => None,
        }
    }

    /// Whether the reply always carries the `Stat`: those of `createContainer` and `createTTL` do.
    pub const fn replies_with_stat(self) -> bool {
        matches!(self, CreateMode::Container) || self.ttl_ms().is_some()
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
        /// Who may do what to the node.
        #[serde(default, skip_serializing_if = "Acl::is_open")]
        acl: Acl,
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
    /// Reads a node's access control list.
    GetAcl {
        /// Which.
        path: ZPath,
    },
    /// Replaces a node's access control list. Not inside a multi.
    SetAcl {
        /// Which.
        path: ZPath,
        /// By what.
        acl: Acl,
        /// The *ACL's* version (`aversion`) that it must have.
        version: i32,
    },
    /// Adds an identity to the connection (xid −4). Takes no zxid; a failure closes the connection.
    AddAuth {
        /// The scheme: `digest`.
        scheme: Arc<str>,
        /// What proves it: `user:password`.
        auth: Arc<str>,
    },
    /// Lists the connection's identities.
    WhoAmI,
    /// Removes a childless container or TTL node: the servers' own request when they sweep.
    DeleteContainer {
        /// Which.
        path: ZPath,
    },
    /// Leaves a watch that stays.
    AddWatch {
        /// Where; nothing needs to be there.
        path: ZPath,
        /// Which kind.
        mode: AddWatchMode,
    },
    /// Takes watches of this connection away.
    RemoveWatches {
        /// Where.
        path: ZPath,
        /// Which.
        kind: WatcherType,
    },
    /// Tells whether this connection has such watches.
    CheckWatches {
        /// Where.
        path: ZPath,
        /// Which.
        kind: WatcherType,
    },
    /// Several of getData and getChildren, each with its own outcome.
    MultiRead {
        /// The parts, in order.
        ops: Vec<Op>,
    },
    /// Lists the session's ephemerals.
    GetEphemerals {
        /// Only those whose path begins so.
        prefix: ZPath,
    },
    /// Counts all nodes below one.
    GetAllChildrenNumber {
        /// Which.
        path: ZPath,
    },
    /// Changes the ensemble's members. The configuration is read with `getData` of [`CONFIG_NODE`](crate::CONFIG_NODE).
    Reconfig {
        /// Servers to add or to change, as lines of a configuration, separated by commas.
        joining: Option<Arc<str>>,
        /// Numbers of servers to remove, separated by commas.
        leaving: Option<Arc<str>>,
        /// All members, instead of `joining` and `leaving`.
        new_members: Option<Arc<str>>,
        /// The version that the configuration must have; −1 for any.
        from_config: i64,
    },
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
    GetAcl,
    SetAcl,
    AddAuth,
    WhoAmI,
    DeleteContainer,
    AddWatch,
    RemoveWatches,
    CheckWatches,
    MultiRead,
    GetEphemerals,
    GetAllChildrenNumber,
    Reconfig,
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
            Op::GetAcl { .. } => OpKind::GetAcl,
            Op::SetAcl { .. } => OpKind::SetAcl,
            Op::AddAuth { .. } => OpKind::AddAuth,
            Op::WhoAmI => OpKind::WhoAmI,
            Op::DeleteContainer { .. } => OpKind::DeleteContainer,
            Op::AddWatch { .. } => OpKind::AddWatch,
            Op::RemoveWatches { .. } => OpKind::RemoveWatches,
            Op::CheckWatches { .. } => OpKind::CheckWatches,
            Op::MultiRead { .. } => OpKind::MultiRead,
            Op::GetEphemerals { .. } => OpKind::GetEphemerals,
            Op::GetAllChildrenNumber { .. } => OpKind::GetAllChildrenNumber,
            Op::Reconfig { .. } => OpKind::Reconfig,
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
                | Op::SetAcl { .. }
                | Op::DeleteContainer { .. }
                | Op::Reconfig { .. }
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
    /// Of delete and deleteContainer.
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
    /// Of getACL.
    Acl {
        /// The list; hashes of passwords are masked where the connection has no `ADMIN`.
        acl: Acl,
        /// The node.
        stat: Stat,
    },
    /// Of setACL.
    AclSet {
        /// The node after it.
        stat: Stat,
    },
    /// Of addAuth.
    AuthAdded,
    /// Of whoAmI: the connection's identities, without their proofs. In no particular order.
    Identities {
        /// Which.
        ids: Vec<Id>,
    },
    /// Of addWatch.
    WatchAdded,
    /// Of removeWatches.
    WatchesRemoved,
    /// Of checkWatches, where there are some.
    WatchesChecked,
    /// Of multiRead: one outcome a part.
    MultiRead {
        /// In order.
        results: Vec<OpResult>,
    },
    /// Of getEphemerals.
    Ephemerals {
        /// The paths, sorted here; ZooKeeper promises no order.
        paths: Vec<ZPath>,
    },
    /// Of getAllChildrenNumber.
    ChildrenNumber {
        /// How many nodes there are below.
        number: i32,
    },
    /// Of reconfig.
    Reconfigured {
        /// The configuration after it.
        data: Data,
        /// The node that holds it.
        stat: Stat,
    },
}

impl Reply {
    /// The `Stat` that it carries, if it carries one.
    pub const fn stat(&self) -> Option<&Stat> {
        match self {
            Reply::Created { stat, .. } | Reply::Children { stat, .. } => stat.as_ref(),
            Reply::Set { stat }
            | Reply::Exists { stat }
            | Reply::Data { stat, .. }
            | Reply::Acl { stat, .. }
            | Reply::AclSet { stat }
            | Reply::Reconfigured { stat, .. } => Some(stat),
            _ => None,
        }
    }
}

/// What a request came to, where its reply arrived.
pub type OpResult = Result<Reply, ErrorCode>;
