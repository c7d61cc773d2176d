//! One-shot watches of this server's connections.
//!
//! - A watch fires once, on the first change of its kind, and is gone. Data watches (getData, exists) and child watches
//!   (getChildren) are two lists; the deletion of a node fires both, and a connection in both hears of it once.
//! - Watches belong to a connection and die with it: a client registers them again elsewhere (`SetWatches`).
//!
//! The caller keeps the ordering guarantee, by firing at apply before any reply from that or a later state. The persistent
//! modes of the next issue are further kinds of entry in the same two lists.
//!
//! Source: ZooKeeper 3.9 `WatchManager`, `DataTree.createNode/deleteNode/setData/setWatches`.

use crate::ConnId;
use crate::database::{Change, ChangeKind};
use crate::tree::{PathMap, split};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{WatchEvent, WatchKind, ZPath};

/// Which of the two lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum List {
    Data,
    Child,
}

/// All watches at this server.
#[derive(Default)]
pub(crate) struct Watches {
    data: PathMap<BTreeSet<ConnId>>,
    child: PathMap<BTreeSet<ConnId>>,
    /// The other way round, for a connection's end.
    of_conn: BTreeMap<ConnId, BTreeSet<(List, ZPath)>>,
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

    pub(crate) fn remove_conn(&mut self, conn: ConnId) {
        for (list, path) in self.of_conn.remove(&conn).unwrap_or_default() {
            let watchers = self.list(list);
            if let Some(conns) = watchers.get_mut(&path) {
                conns.remove(&conn);
                if conns.is_empty() {
                    watchers.remove(&path);
                }
            }
        }
    }

    /// Fires what a change of the tree concerns: first the node's watches, then the parent's.
    pub(crate) fn fire(&mut self, change: &Change, mut tell: impl FnMut(ConnId, WatchEvent)) {
        if self.of_conn.is_empty() {
            return;
        }
        let path = &*change.path;
        match change.kind {
            ChangeKind::DataSet => {
                self.take(List::Data, path, WatchKind::NodeDataChanged, &mut tell)
            }
            ChangeKind::Created => {
                self.take(List::Data, path, WatchKind::NodeCreated, &mut tell);
                self.take(
                    List::Child,
                    parent(path),
                    WatchKind::NodeChildrenChanged,
                    &mut tell,
                );
            }
            ChangeKind::Deleted => {
                let mut told = BTreeSet::new();
                for list in [List::Data, List::Child] {
                    self.take(list, path, WatchKind::NodeDeleted, &mut |conn, event| {
                        if told.insert(conn) {
                            tell(conn, event);
                        }
                    });
                }
                self.take(
                    List::Child,
                    parent(path),
                    WatchKind::NodeChildrenChanged,
                    &mut tell,
                );
            }
        }
    }

    fn take(
        &mut self,
        list: List,
        path: &str,
        kind: WatchKind,
        tell: &mut impl FnMut(ConnId, WatchEvent),
    ) {
        let Some((path, conns)) = self.list(list).remove_entry(path) else {
            return;
        };
        let key = (list, path);
        for conn in conns {
            if let Some(of_conn) = self.of_conn.get_mut(&conn) {
                of_conn.remove(&key);
                if of_conn.is_empty() {
                    self.of_conn.remove(&conn);
                }
            }
            let path = key.1.clone();
            tell(conn, WatchEvent { kind, path });
        }
    }

    fn list(&mut self, list: List) -> &mut PathMap<BTreeSet<ConnId>> {
        match list {
            List::Data => &mut self.data,
            List::Child => &mut self.child,
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

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn fire(watches: &mut Watches, kind: ChangeKind, path: &str) -> Vec<String> {
        let change = Change {
            kind,
            path: path.into(),
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
}
