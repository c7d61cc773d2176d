//! Watches of this server's connections: one-shot ones, persistent ones, and persistent ones of a whole subtree.
//!
//! - A one-shot watch fires once, on the first change of its kind, and is gone. Data watches (getData, exists) and child
//!   watches (getChildren) are two lists.
//! - A persistent watch hears of the node's data and of its children, and stays. A recursive one hears of the data of the
//!   node and of everything below it, not of changed children: each of those tells for itself.
//! - Of one change of one node a connection hears once, in however many ways it watches: of its data, or that it is gone.
//! - Watches belong to a connection and die with it: a client registers them again elsewhere (`SetWatches`).
//!
//! The caller keeps the ordering guarantee, by firing at apply before any reply from that or a later state; and it tells
//! nobody of what they may not read: their one-shot watches are used up all the same.
//!
//! Cost: a change looks up its own path and its parent's. The paths above are looked at only while somebody watches
//! recursively.
//!
//! Source: ZooKeeper 3.9 `WatchManager`, `DataTree.createNode/deleteNode/setData/addWatch/removeWatch`.

use crate::ConnId;
use crate::database::{Change, ChangeKind};
use crate::tree::{PathMap, split};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{AddWatchMode, WatchEvent, WatchKind, WatcherType, ZPath};

/// The ways to watch a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum List {
    /// One-shot, of getData and exists.
    Data,
    /// One-shot, of getChildren.
    Child,
    Persistent,
    Recursive,
}

impl From<AddWatchMode> for List {
    fn from(mode: AddWatchMode) -> List {
        match mode {
            AddWatchMode::Persistent => List::Persistent,
            AddWatchMode::PersistentRecursive => List::Recursive,
        }
    }
}

impl List {
    /// The lists that a request to remove or to check means.
    const fn meant(kind: WatcherType) -> &'static [List] {
        match kind {
            WatcherType::Children => &[List::Child],
            WatcherType::Data => &[List::Data],
            WatcherType::Any => &[List::Data, List::Child, List::Persistent, List::Recursive],
            WatcherType::Persistent => &[List::Persistent],
            WatcherType::PersistentRecursive => &[List::Recursive],
        }
    }
}

/// All watches at this server.
#[derive(Default)]
pub(crate) struct Watches {
    data: PathMap<BTreeSet<ConnId>>,
    child: PathMap<BTreeSet<ConnId>>,
    persistent: PathMap<BTreeSet<ConnId>>,
    recursive: PathMap<BTreeSet<ConnId>>,
    /// The other way round, for a connection's end.
    of_conn: BTreeMap<ConnId, BTreeSet<(List, ZPath)>>,
    /// Who is to hear of the change in hand; kept for its memory.
    reached: Vec<ConnId>,
}

impl Watches {
    pub(crate) fn add(&mut self, list: List, path: &ZPath, conn: ConnId) {
        self.list(list)
            .entry(path.clone())
            .or_default()
            .insert(conn);
        self.of_conn
            .entry(conn)
            .or_default()
            .insert((list, path.clone()));
    }

    /// Takes a connection's watches of that kind at a path away; whether there were any.
    pub(crate) fn remove(&mut self, kind: WatcherType, path: &ZPath, conn: ConnId) -> bool {
        let mut found = false;
        for list in List::meant(kind) {
            found |= self.forget(conn, &(*list, path.clone()));
            self.unlist(*list, path, conn);
        }
        found
    }

    /// Whether a connection has a watch of that kind at a path.
    pub(crate) fn has(&self, kind: WatcherType, path: &ZPath, conn: ConnId) -> bool {
        self.of_conn.get(&conn).is_some_and(|watches| {
            let mut lists = List::meant(kind).iter();
            lists.any(|list| watches.contains(&(*list, path.clone())))
        })
    }

    pub(crate) fn remove_conn(&mut self, conn: ConnId) {
        for (list, path) in self.of_conn.remove(&conn).unwrap_or_default() {
            self.unlist(list, &path, conn);
        }
    }

    fn unlist(&mut self, list: List, path: &str, conn: ConnId) {
        let watchers = self.list(list);
        if let Some(conns) = watchers.get_mut(path) {
            conns.remove(&conn);
            if conns.is_empty() {
                watchers.remove(path);
            }
        }
    }

    /// Strikes a watch off its connection's; whether it was there.
    fn forget(&mut self, conn: ConnId, watch: &(List, ZPath)) -> bool {
        let Some(of_conn) = self.of_conn.get_mut(&conn) else {
            return false;
        };
        let found = of_conn.remove(watch);
        if of_conn.is_empty() {
            self.of_conn.remove(&conn);
        }
        found
    }

    /// Fires what a change of the tree concerns: first the node's watches, then the parent's.
    pub(crate) fn fire(&mut self, change: &Change, mut tell: impl FnMut(ConnId, WatchEvent)) {
        if self.of_conn.is_empty() {
            return;
        }
        let path = &*change.path;
        let (lists, kind): (&[List], _) = match change.kind {
            ChangeKind::DataSet => (&[List::Data], WatchKind::NodeDataChanged),
            ChangeKind::Created => (&[List::Data], WatchKind::NodeCreated),
            ChangeKind::Deleted => (&[List::Data, List::Child], WatchKind::NodeDeleted),
        };
        self.reach(lists, path);
        self.reach_recursive(path);
        self.tell(&change.path, kind, &mut tell);
        if change.kind != ChangeKind::DataSet {
            let parent = parent(path);
            self.reach(&[List::Child], parent);
            if !self.reached.is_empty() {
                self.tell(&parent.into(), WatchKind::NodeChildrenChanged, &mut tell);
            }
        }
    }

    /// Gathers who watches this very node in those one-shot lists, which that uses up, or persistently.
    fn reach(&mut self, one_shot: &[List], path: &str) {
        for list in one_shot {
            let Some((path, conns)) = self.list(*list).remove_entry(path) else {
                continue;
            };
            let watch = (*list, path);
            for conn in &conns {
                self.forget(*conn, &watch);
            }
            self.reached.extend(conns);
        }
        if !self.persistent.is_empty() {
            self.reached
                .extend(self.persistent.get(path).into_iter().flatten());
        }
    }

    /// Gathers who watches this node recursively, or one above it.
    fn reach_recursive(&mut self, path: &str) {
        if self.recursive.is_empty() {
            return;
        }
        let mut at = path;
        loop {
            self.reached
                .extend(self.recursive.get(at).into_iter().flatten());
            if at == "/" {
                return;
            }
            at = parent(at);
        }
    }

    /// Tells whoever was reached, once each, in the order of their connections.
    fn tell(&mut self, path: &ZPath, kind: WatchKind, tell: &mut impl FnMut(ConnId, WatchEvent)) {
        self.reached.sort_unstable();
        self.reached.dedup();
        for conn in self.reached.drain(..) {
            let path = path.clone();
            tell(conn, WatchEvent { kind, path });
        }
    }

    fn list(&mut self, list: List) -> &mut PathMap<BTreeSet<ConnId>> {
        match list {
            List::Data => &mut self.data,
            List::Child => &mut self.child,
            List::Persistent => &mut self.persistent,
            List::Recursive => &mut self.recursive,
        }
    }
}

fn parent(path: &str) -> &str {
    match split(path) {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::Acl;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn fire(watches: &mut Watches, kind: ChangeKind, path: &str) -> Vec<String> {
        let change = Change {
            kind,
            path: path.into(),
            acl: Acl::OPEN,
            parent_acl: Acl::OPEN,
        };
        let mut seen = Vec::new();
        watches.fire(&change, |conn, event| {
            seen.push(format!("{} {:?} {}", conn.0, event.kind, event.path));
        });
        seen
    }

    #[test]
    fn a_watch_fires_once() {
        let mut w = Watches::default();
        w.add(List::Data, &"/a".into(), A);
        w.add(List::Data, &"/a".into(), A);
        assert_eq!(
            fire(&mut w, ChangeKind::DataSet, "/a"),
            ["1 NodeDataChanged /a"]
        );
        assert!(fire(&mut w, ChangeKind::DataSet, "/a").is_empty());
    }

    #[test]
    fn a_create_tells_the_node_first_and_then_the_parent() {
        let mut w = Watches::default();
        w.add(List::Child, &"/".into(), A);
        w.add(List::Data, &"/a".into(), A);
        w.add(List::Data, &"/".into(), A);
        let seen = fire(&mut w, ChangeKind::Created, "/a");
        assert_eq!(seen, ["1 NodeCreated /a", "1 NodeChildrenChanged /"]);
    }

    #[test]
    fn a_delete_is_told_once_to_who_watches_data_and_children() {
        let mut w = Watches::default();
        w.add(List::Data, &"/p".into(), A);
        w.add(List::Child, &"/p".into(), A);
        w.add(List::Child, &"/p".into(), B);
        w.add(List::Child, &"/".into(), B);
        let seen = fire(&mut w, ChangeKind::Deleted, "/p");
        assert_eq!(
            seen,
            [
                "1 NodeDeleted /p",
                "2 NodeDeleted /p",
                "2 NodeChildrenChanged /"
            ]
        );
        assert!(
            fire(&mut w, ChangeKind::Deleted, "/p").is_empty(),
            "both lists were taken"
        );
    }

    #[test]
    fn watches_die_with_their_connection() {
        let mut w = Watches::default();
        w.add(List::Data, &"/a".into(), A);
        w.add(List::Data, &"/a".into(), B);
        w.remove_conn(A);
        assert_eq!(
            fire(&mut w, ChangeKind::DataSet, "/a"),
            ["2 NodeDataChanged /a"]
        );
    }

    #[test]
    fn a_persistent_watch_stays_and_the_one_shot_beside_it_says_nothing_more() {
        let mut w = Watches::default();
        let a: ZPath = "/a".into();
        w.add(List::Persistent, &a, A);
        w.add(List::Data, &a, A);
        w.add(List::Child, &a, A);
        for _ in 0..2 {
            let seen = fire(&mut w, ChangeKind::DataSet, "/a");
            assert_eq!(seen, ["1 NodeDataChanged /a"]);
            let seen = fire(&mut w, ChangeKind::Created, "/a/b");
            assert_eq!(seen, ["1 NodeChildrenChanged /a"]);
        }
        let gone = fire(&mut w, ChangeKind::Deleted, "/a");
        assert_eq!(gone, ["1 NodeDeleted /a"], "it is in both lists");
        let again = fire(&mut w, ChangeKind::Created, "/a");
        assert_eq!(again, ["1 NodeCreated /a"]);
    }

    #[test]
    fn a_recursive_watch_hears_of_everything_below_but_of_no_children() {
        let mut w = Watches::default();
        w.add(List::Recursive, &"/a".into(), A);
        w.add(List::Recursive, &"/".into(), B);
        let seen = fire(&mut w, ChangeKind::Created, "/a/b/c");
        assert_eq!(seen, ["1 NodeCreated /a/b/c", "2 NodeCreated /a/b/c"]);
        let beside = fire(&mut w, ChangeKind::DataSet, "/ab");
        assert_eq!(
            beside,
            ["2 NodeDataChanged /ab"],
            "a name that begins alike is not below"
        );
        let root = fire(&mut w, ChangeKind::DataSet, "/");
        assert_eq!(root, ["2 NodeDataChanged /"]);
        // Watched on two levels it is told once; the child watch of the same connection tells of the children.
        w.add(List::Recursive, &"/a/b".into(), A);
        w.add(List::Child, &"/a".into(), A);
        let seen = fire(&mut w, ChangeKind::Deleted, "/a/b");
        assert_eq!(
            seen,
            [
                "1 NodeDeleted /a/b",
                "2 NodeDeleted /a/b",
                "1 NodeChildrenChanged /a"
            ]
        );
    }

    #[test]
    fn each_kind_is_removed_by_its_name_and_all_by_any() {
        use WatcherType::{Any, Children, Data, Persistent, PersistentRecursive};
        let mut w = Watches::default();
        let a: ZPath = "/a".into();
        let kinds = [
            (List::Data, Data),
            (List::Child, Children),
            (List::Persistent, Persistent),
            (List::Recursive, PersistentRecursive),
        ];
        assert!(!w.has(Any, &a, A) && !w.remove(Any, &a, A));
        for (list, _) in kinds {
            w.add(list, &a, A);
        }
        w.add(List::Data, &a, B);
        for (_, kind) in kinds {
            assert!(w.has(kind, &a, A) && w.has(Any, &a, A));
            assert!(w.remove(kind, &a, A));
            assert!(!w.has(kind, &a, A) && !w.remove(kind, &a, A));
        }
        assert!(!w.has(Any, &a, A), "none is left");
        let others = fire(&mut w, ChangeKind::DataSet, "/a");
        assert_eq!(others, ["2 NodeDataChanged /a"], "another's stay");
        for (list, _) in kinds {
            w.add(list, &a, A);
        }
        assert!(w.remove(Any, &a, A) && !w.has(Any, &a, A));
        assert!(fire(&mut w, ChangeKind::DataSet, "/a").is_empty());
    }

    #[test]
    fn persistent_watches_die_with_their_connection_too() {
        let mut w = Watches::default();
        w.add(List::Persistent, &"/a".into(), A);
        w.add(List::Recursive, &"/".into(), A);
        w.remove_conn(A);
        assert!(fire(&mut w, ChangeKind::DataSet, "/a").is_empty());
    }
}
