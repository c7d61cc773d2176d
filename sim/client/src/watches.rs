//! Which watches a reply leaves or takes away, and which ones a notification uses up: one rule for the session, which
//! re-registers watches on a new connection, and for the port, which wakes those who wait for them.
//!
//! Source: ZooKeeper 3.9, `ZooKeeper.{Data,Exists,Child,AddWatch}Registration`, `ZKWatchManager.materialize` and
//! `ZKWatchManager.removeWatcher`.

use std::collections::BTreeSet;
use zabsim_types::{
    AddWatchMode, ClientFrame, ErrorCode, Op, OpResult, Reply, WatchEvent, WatchKind, WatcherType,
    ZPath, Zxid,
};

/// The lists in which a client keeps its watches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum WatchList {
    /// On a node that was there.
    Data,
    /// On a node that was absent.
    Exists,
    /// On a node's children.
    Child,
    /// On a node, to stay.
    Persistent,
    /// On a node and all below it, to stay.
    Recursive,
}

impl WatchList {
    /// What a read asks to watch, if it asks.
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
            WatchKind::NodeCreated | WatchKind::NodeDataChanged | WatchKind::DataWatchRemoved => {
                &[WatchList::Data, WatchList::Exists]
            }
            WatchKind::NodeChildrenChanged | WatchKind::ChildWatchRemoved => &[WatchList::Child],
            WatchKind::NodeDeleted => &[WatchList::Data, WatchList::Exists, WatchList::Child],
            WatchKind::PersistentWatchRemoved => &[WatchList::Persistent, WatchList::Recursive],
        }
    }

    /// The lists that a request to remove watches means, each with what its watchers are told.
    const fn meant(kind: WatcherType) -> &'static [(WatchKind, &'static [WatchList])] {
        const DATA: (WatchKind, &[WatchList]) = (
            WatchKind::DataWatchRemoved,
            &[WatchList::Data, WatchList::Exists],
        );
        const CHILD: (WatchKind, &[WatchList]) =
            (WatchKind::ChildWatchRemoved, &[WatchList::Child]);
        const STAYING: WatchKind = WatchKind::PersistentWatchRemoved;
        match kind {
            WatcherType::Data => &[DATA],
            WatcherType::Children => &[CHILD],
            WatcherType::Persistent => &[(STAYING, &[WatchList::Persistent])],
            WatcherType::PersistentRecursive => &[(STAYING, &[WatchList::Recursive])],
            WatcherType::Any => &[
                DATA,
                CHILD,
                (STAYING, &[WatchList::Persistent, WatchList::Recursive]),
            ],
        }
    }
}

impl From<AddWatchMode> for WatchList {
    fn from(mode: AddWatchMode) -> WatchList {
        match mode {
            AddWatchMode::Persistent => WatchList::Persistent,
            AddWatchMode::PersistentRecursive => WatchList::Recursive,
        }
    }
}

/// Whether a watch that stays hears of an event: at the node itself, or above it of anything but changed children.
pub(crate) fn hears(path: &str, mode: AddWatchMode, event: &WatchEvent) -> bool {
    match mode {
        AddWatchMode::Persistent => *event.path == *path,
        AddWatchMode::PersistentRecursive => {
            let below = event.path.strip_prefix(path);
            event.kind != WatchKind::NodeChildrenChanged
                && below.is_some_and(|rest| path == "/" || rest.is_empty() || rest.starts_with('/'))
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

/// What becomes of the watches when a request is answered.
#[derive(Debug)]
pub(crate) enum Stake {
    None,
    Read(Asked, ZPath),
    /// Of a multiRead, part by part.
    Parts(Vec<Stake>),
    Add(AddWatchMode, ZPath),
    Remove(WatcherType, ZPath),
}

impl Stake {
    pub(crate) fn of(op: &Op) -> Stake {
        match op {
            Op::MultiRead { ops } => Stake::Parts(ops.iter().map(Stake::of).collect()),
            Op::AddWatch { path, mode } => Stake::Add(*mode, path.clone()),
            Op::RemoveWatches { path, kind } => Stake::Remove(*kind, path.clone()),
            read => match WatchList::asked_by(read) {
                Some((asked, path)) => Stake::Read(asked, path.clone()),
                None => Stake::None,
            },
        }
    }
}

/// A session's standing watches.
#[derive(Default, Debug)]
pub(crate) struct Watches {
    data: BTreeSet<ZPath>,
    exists: BTreeSet<ZPath>,
    child: BTreeSet<ZPath>,
    persistent: BTreeSet<ZPath>,
    recursive: BTreeSet<ZPath>,
}

impl Watches {
    fn list(&mut self, list: WatchList) -> &mut BTreeSet<ZPath> {
        match list {
            WatchList::Data => &mut self.data,
            WatchList::Exists => &mut self.exists,
            WatchList::Child => &mut self.child,
            WatchList::Persistent => &mut self.persistent,
            WatchList::Recursive => &mut self.recursive,
        }
    }

    fn register(&mut self, list: WatchList, path: ZPath) {
        self.list(list).insert(path);
    }

    /// A request was answered; `told` is called with what its watchers are told of watches that it removed.
    pub(crate) fn settle(
        &mut self,
        stake: Stake,
        result: &OpResult,
        told: &mut impl FnMut(WatchEvent),
    ) {
        match (stake, result) {
            (Stake::Read(asked, path), result) => {
                if let Some(list) = asked.registered_by(result) {
                    self.register(list, path);
                }
            }
            (Stake::Parts(parts), Ok(Reply::MultiRead { results })) => {
                for (part, result) in parts.into_iter().zip(results) {
                    self.settle(part, result, told);
                }
            }
            (Stake::Add(mode, path), Ok(_)) => self.register(mode.into(), path),
            (Stake::Remove(kind, path), Ok(_)) => {
                for (kind, lists) in WatchList::meant(kind) {
                    // All of them, not the first only.
                    let found = lists
                        .iter()
                        .fold(false, |found, list| self.list(*list).remove(&path) | found);
                    if found {
                        let (kind, path) = (*kind, path.clone());
                        told(WatchEvent { kind, path });
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn use_up(&mut self, kind: WatchKind, path: &str) {
        for list in WatchList::used_up_by(kind) {
            self.list(*list).remove(path);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Watches::default();
    }

    /// The frame that registers them all on a new connection; `None` if there are none.
    pub(crate) fn set_watches(&self, relative: Zxid) -> Option<ClientFrame> {
        let lists = [
            &self.data,
            &self.exists,
            &self.child,
            &self.persistent,
            &self.recursive,
        ];
        if lists.iter().all(|list| list.is_empty()) {
            return None;
        }
        let [data, exists, child, persistent, recursive] =
            lists.map(|list| list.iter().cloned().collect());
        Some(ClientFrame::SetWatches {
            relative,
            data,
            exists,
            child,
            persistent,
            recursive,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::Stat;

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

    #[test]
    fn a_removal_takes_what_it_names_and_tells_of_what_was_there() {
        let path: ZPath = "/a".into();
        let all = || {
            let mut watches = Watches::default();
            for list in [
                WatchList::Data,
                WatchList::Exists,
                WatchList::Child,
                WatchList::Persistent,
                WatchList::Recursive,
            ] {
                watches.register(list, path.clone());
            }
            watches
        };
        let removed = |watches: &mut Watches, kind| {
            let mut told = Vec::new();
            let stake = Stake::Remove(kind, path.clone());
            watches.settle(stake, &Ok(Reply::WatchesRemoved), &mut |event| {
                told.push(event.kind);
            });
            told
        };
        use WatchKind::{ChildWatchRemoved, DataWatchRemoved, PersistentWatchRemoved};
        let mut watches = all();
        assert_eq!(removed(&mut watches, WatcherType::Data), [DataWatchRemoved]);
        assert_eq!(removed(&mut watches, WatcherType::Data), []);
        assert_eq!(
            removed(&mut watches, WatcherType::Persistent),
            [PersistentWatchRemoved]
        );
        assert_eq!(
            removed(&mut watches, WatcherType::Any),
            [ChildWatchRemoved, PersistentWatchRemoved],
            "the recursive one is left"
        );
        assert_eq!(watches.set_watches(Zxid(1)), None);
        assert_eq!(
            removed(&mut all(), WatcherType::Any),
            [DataWatchRemoved, ChildWatchRemoved, PersistentWatchRemoved]
        );
        let mut watches = all();
        let refused = Err(ErrorCode::NoWatcher);
        let stake = Stake::Remove(WatcherType::Any, path.clone());
        watches.settle(stake, &refused, &mut |event| panic!("told of {event:?}"));
        assert!(watches.set_watches(Zxid(1)).is_some());
    }

    #[test]
    fn a_recursive_watch_hears_of_what_is_below_and_a_persistent_one_of_its_own_node() {
        let event = |kind, path: &str| WatchEvent {
            kind,
            path: path.into(),
        };
        let created = |path| event(WatchKind::NodeCreated, path);
        let recursive = AddWatchMode::PersistentRecursive;
        assert!(hears("/a", recursive, &created("/a")));
        assert!(hears("/a", recursive, &created("/a/b/c")));
        assert!(!hears("/a", recursive, &created("/ab")));
        assert!(hears("/", recursive, &created("/ab")));
        let children = event(WatchKind::NodeChildrenChanged, "/a");
        assert!(!hears("/a", recursive, &children));
        assert!(hears("/a", AddWatchMode::Persistent, &children));
        assert!(!hears("/a", AddWatchMode::Persistent, &created("/a/b")));
    }

    #[test]
    fn the_parts_of_a_multi_read_leave_their_own_watches() {
        let read = |path: &str| Op::GetData {
            path: path.into(),
            watch: true,
        };
        let stake = Stake::of(&Op::MultiRead {
            ops: vec![read("/there"), read("/absent")],
        });
        let there = Ok(Reply::Data {
            data: None,
            stat: Stat::default(),
        });
        let results = vec![there, Err(ErrorCode::NoNode)];
        let mut watches = Watches::default();
        watches.settle(stake, &Ok(Reply::MultiRead { results }), &mut |_| {});
        assert_eq!(watches.data.len(), 1);
        assert!(watches.data.contains("/there"));
    }
}
