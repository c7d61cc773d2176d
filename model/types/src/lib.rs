//! The words that every room of the house shares: operations, replies, `Stat`, errors, paths, zxids, the frames between
//! client and server, and the schema of histories, of a run's report, and of a campaign's summary.
//!
//! No logic lives here but validation and encoding. The service's data tree and the reference model both speak these
//! words and share nothing else, so that a mistake in one cannot hide in the other.
//!
//! Source of the vocabulary: Apache ZooKeeper 3.9 (`zookeeper.jute`, `ZooDefs`, `KeeperException`, `Watcher.Event`).

mod acl;
pub mod campaign;
mod error;
mod frame;
mod history;
mod ids;
mod op;
mod path;
pub mod run;
pub mod spell;
mod stat;
mod watch;

pub use acl::{Acl, AclEntry, Id, Perms};
pub use error::ErrorCode;
pub use frame::{ClientFrame, ConnectReply, ConnectRequest, ServerFrame, WatchEvent, WatchKind};
pub use history::{
    CallId, HistoryEvent, HistoryKind, ProcessId, RecipeEvent, RecipeStep, SessionChange,
};
pub use ids::{ServerId, SessionId, Time, Xid, Zxid};
pub use op::{CreateMode, Data, Op, OpKind, OpResult, Reply, SyncMode};
pub use path::{CONFIG_NODE, PathError, ZPath, parent_of, validate};
pub use stat::Stat;
pub use watch::{AddWatchMode, WatcherType};
