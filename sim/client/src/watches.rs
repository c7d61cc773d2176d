//! Which watch a reply leaves, and which watches a notification uses up: one rule for the session, which re-registers
//! watches on a new connection, and for the port, which wakes those who wait for them.
//!
//! Source: ZooKeeper 3.9, `ZooKeeper.{Data,Exists,Child}WatchRegistration` and `ZKWatchManager.materialize`.

use std::collections::BTreeSet;
use zabsim_types::{ClientFrame, ErrorCode, Op, OpResult, WatchKind, ZPath, Zxid};

/// The lists in which a client keeps its standard watches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum WatchList {
    /// On a node that was there.
    Data,
    /// On a node that was absent.
    Exists,
    /// On a node's children.
    Child,
}

impl WatchList {
    /// What a request asks to watch, if it asks.
    pub(crate) fn asked_by(op: &Op) -> Option<(Asked, &ZPath)> {
        match op {
            Op::GetData { path, watch: true } => Some((Asked::Data, path)),
            Op::Exists { path, watch: true } => Some((Asked::Exists, path)),
            Op::GetChildren {
                path, watch: true, ..
            } => Some((Asked::Child, path)),
            _ => None,
        }
    }

    /// The lists from which a notification takes its path.
    pub(crate) const fn used_up_by(kind: WatchKind) -> &'static [WatchList] {
        match kind {
            WatchKind::NodeCreated | WatchKind::NodeDataChanged => {
                &[WatchList::Data, WatchList::Exists]
            }
            WatchKind::NodeChildrenChanged => &[WatchList::Child],
            WatchKind::NodeDeleted => &[WatchList::Data, WatchList::Exists, WatchList::Child],
            // Told by a client to itself, when it removes watches.
            WatchKind::DataWatchRemoved
            | WatchKind::ChildWatchRemoved
            | WatchKind::PersistentWatchRemoved => &[],
        }
    }
}

/// The kind of read that asked for a watch; its reply decides on the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// By `getData`.
    Data,
    /// By `exists`.
    Exists,
    /// By `getChildren`.
    Child,
}

impl Asked {
    /// The list in which this reply puts the path: a failed read leaves no watch, except `exists` on an absent node.
    pub(crate) const fn registered_by(self, result: &OpResult) -> Option<WatchList> {
        match (self, result) {
            (Asked::Data | Asked::Exists, Ok(_)) => Some(WatchList::Data),
            (Asked::Exists, Err(ErrorCode::NoNode)) => Some(WatchList::Exists),
            (Asked::Child, Ok(_)) => Some(WatchList::Child),
            _ => None,
        }
    }
}

/// A session's standing watches.
#[derive(Default, Debug)]
pub(crate) struct Watches {
    data: BTreeSet<ZPath>,
    exists: BTreeSet<ZPath>,
    child: BTreeSet<ZPath>,
}

impl Watches {
    fn list(&mut self, list: WatchList) -> &mut BTreeSet<ZPath> {
        match list {
            WatchList::Data => &mut self.data,
            WatchList::Exists => &mut self.exists,
            WatchList::Child => &mut self.child,
        }
    }

    pub(crate) fn register(&mut self, list: WatchList, path: ZPath) {
        self.list(list).insert(path);
    }

    pub(crate) fn use_up(&mut self, kind: WatchKind, path: &str) {
        for list in WatchList::used_up_by(kind) {
            self.list(*list).remove(path);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.data.clear();
        self.exists.clear();
        self.child.clear();
    }

    /// The frame that registers them all on a new connection; `None` if there are none.
    pub(crate) fn set_watches(&self, relative: Zxid) -> Option<ClientFrame> {
        if self.data.is_empty() && self.exists.is_empty() && self.child.is_empty() {
            return None;
        }
        Some(ClientFrame::SetWatches {
            relative,
            data: self.data.iter().cloned().collect(),
            exists: self.exists.iter().cloned().collect(),
            child: self.child.iter().cloned().collect(),
            persistent: vec![],
            recursive: vec![],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::{Reply, Stat};

    #[test]
    fn only_exists_watches_an_absent_node() {
        let absent: OpResult = Err(ErrorCode::NoNode);
        let there: OpResult = Ok(Reply::Exists {
            stat: Stat::default(),
        });
        assert_eq!(Asked::Data.registered_by(&absent), None);
        assert_eq!(Asked::Child.registered_by(&absent), None);
        assert_eq!(
            Asked::Exists.registered_by(&absent),
            Some(WatchList::Exists)
        );
        assert_eq!(Asked::Exists.registered_by(&there), Some(WatchList::Data));
    }

    #[test]
    fn a_deletion_uses_up_every_list_and_a_child_change_only_its_own() {
        let mut watches = Watches::default();
        let a: ZPath = "/a".into();
        for list in [WatchList::Data, WatchList::Exists, WatchList::Child] {
            watches.register(list, a.clone());
        }
        watches.use_up(WatchKind::NodeChildrenChanged, "/a");
        assert_eq!(
            watches.set_watches(Zxid(7)),
            Some(ClientFrame::SetWatches {
                relative: Zxid(7),
                data: vec![a.clone()],
                exists: vec![a.clone()],
                child: vec![],
                persistent: vec![],
                recursive: vec![],
            })
        );
        watches.register(WatchList::Child, a);
        watches.use_up(WatchKind::NodeDeleted, "/a");
        assert_eq!(watches.set_watches(Zxid(7)), None);
    }
}
