//! The ways to watch, and to stop watching (`org.apache.zookeeper.AddWatchMode`, `Watcher.WatcherType`).

use serde::{Deserialize, Serialize};

/// How `addWatch` watches. Such a watch stays when it fires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AddWatchMode {
    /// 0: one node, its data and its children, for as long as the connection lasts.
    Persistent,
    /// 1: a node and all below it. There are no events for changed children: each child tells for itself.
    PersistentRecursive,
}

/// Which watches `removeWatches` and `checkWatches` mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WatcherType {
    /// 1: the child watches of `getChildren`, one-shot.
    Children,
    /// 2: the data watches of `getData` and `exists`, one-shot.
    Data,
    /// 3: all of them.
    Any,
    /// 4: persistent ones that are not recursive.
    Persistent,
    /// 5: persistent recursive ones.
    PersistentRecursive,
}
