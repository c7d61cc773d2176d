//! What the service says of a znode besides its data.

use crate::{SessionId, Zxid};
use serde::{Deserialize, Serialize};

/// A znode's metadata as clients see it (`org.apache.zookeeper.data.Stat`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stat {
    /// The transaction that created the node.
    pub czxid: Zxid,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// When it was created: milliseconds, the leader's clock.
    pub ctime: i64,
    /// When its data was last set: milliseconds, the leader's clock.
    pub mtime: i64,
    /// Number of `setData`; wraps.
    pub version: i32,
    /// Number of creations and deletions of children (shown as `2 × creates − numChildren`).
    pub cversion: i32,
    /// Number of `setACL`.
    pub aversion: i32,
    /// The owning session of an ephemeral node; zero otherwise, also for container and TTL nodes.
    pub ephemeral_owner: SessionId,
    /// Bytes of data.
    pub data_length: i32,
    /// Number of children.
    pub num_children: i32,
    /// The transaction that last created or deleted a child; at first the node's own creation.
    pub pzxid: Zxid,
}
