//! The tree as it will be once everything prepared so far is applied: the tree, overlaid by the records of outstanding
//! changes. A multi that fails takes its records back.

use crate::database::Database;
use crate::quota::Amount;
use crate::txn::Owner;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use zabsim_types::{Acl, Data, SessionId, ZPath, Zxid};

/// What the next request will find at a path, as far as its own validation needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Record {
    /// The outstanding transaction that made it so.
    zxid: Zxid,
    /// `None`: the node is deleted.
    node: Option<NodeRecord>,
}

/// What preparing needs to know of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NodeRecord {
    /// For quotas, which count bytes.
    pub(super) data: Data,
    pub(super) acl: Acl,
    pub(super) mtime: i64,
    pub(super) version: i32,
    pub(super) aversion: i32,
    pub(super) creates: i32,
    pub(super) children: i32,
    pub(super) owner: Owner,
}

/// The outstanding changes.
#[derive(Default)]
pub(crate) struct Overlay {
    latest: BTreeMap<ZPath, Record>,
    /// In the order of their transactions; an entry whose record was replaced by a later one is passed over.
    order: VecDeque<(Zxid, ZPath)>,
    /// While a multi is prepared: what it replaced, to put back.
    undo: Option<Vec<(ZPath, Option<Record>)>>,
}

impl Overlay {
    pub(super) fn node(&self, db: &Database, path: &str) -> Option<NodeRecord> {
        let path = if path.is_empty() { "/" } else { path };
        if let Some(record) = self.latest.get(path) {
            return record.node.clone();
        }
        db.tree.node(path).map(|node| NodeRecord {
            data: node.data.clone(),
            acl: node.acl.clone(),
            mtime: node.mtime,
            version: node.version,
            aversion: node.aversion,
            creates: node.creates,
            children: node.children.len() as i32,
            owner: node.owner,
        })
    }

    pub(super) fn put(&mut self, zxid: Zxid, path: ZPath, node: Option<NodeRecord>) {
        let old = self.latest.insert(path.clone(), Record { zxid, node });
        if let Some(undo) = &mut self.undo {
            undo.push((path.clone(), old));
        }
        self.order.push_back((zxid, path));
    }

    /// Everything up to `applied` is in the tree now.
    pub(crate) fn applied(&mut self, applied: Zxid) {
        while let Some((zxid, _)) = self.order.front()
            && *zxid <= applied
        {
            let Some((zxid, path)) = self.order.pop_front() else {
                return;
            };
            if self.latest.get(&path).is_some_and(|r| r.zxid == zxid) {
                self.latest.remove(&path);
            }
        }
    }

    pub(super) fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    pub(super) fn commit(&mut self) {
        self.undo = None;
    }

    pub(super) fn roll_back(&mut self) {
        for (path, old) in self.undo.take().unwrap_or_default().into_iter().rev() {
            self.order.pop_back();
            match old {
                Some(old) => self.latest.insert(path, old),
                None => self.latest.remove(&path),
            };
        }
    }

    /// The ephemerals that a session will have, sorted: those of the tree, less those about to be deleted, and those about
    /// to be created (ZOOKEEPER-1208).
    pub(super) fn ephemerals(&self, db: &Database, session: SessionId) -> BTreeSet<ZPath> {
        let mut paths: BTreeSet<ZPath> = db.tree.ephemerals(session).cloned().collect();
        for (path, record) in &self.latest {
            let owner = record.node.as_ref().map(|node| node.owner);
            if owner == Some(Owner::Session(session)) {
                paths.insert(path.clone());
            } else {
                paths.remove(path);
            }
        }
        paths
    }

    /// How many nodes there will be at and below a path, and with how much data.
    pub(super) fn weigh(&self, db: &Database, path: &str) -> Amount {
        let mut total = Amount::default();
        let mut count = |data: &Data| total = total.and(Amount::of(data));
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            let Some(node) = db.tree.node(&path) else {
                continue;
            };
            match self.latest.get(&*path) {
                Some(record) => record.node.iter().for_each(|node| count(&node.data)),
                None => count(&node.data),
            }
            left.extend(node.children.iter().map(|name| format!("{path}/{name}")));
        }
        let from = (Bound::Included(path), Bound::Unbounded);
        for (at, record) in self.latest.range::<str, _>(from) {
            let Some(below) = at.strip_prefix(path) else {
                break;
            };
            let inside = below.is_empty() || below.starts_with('/');
            if inside && db.tree.node(at).is_none() {
                record.node.iter().for_each(|node| count(&node.data));
            }
        }
        total
    }

    /// Whether nothing is outstanding.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_empty() && self.order.is_empty()
    }
}
