//! The data tree: nodes by path, ephemerals by session, and the digest of all of it.
//!
//! Guarantees:
//! - Every change is O(1) or O(log n) in the number of nodes; the digest is kept up with each, never recomputed.
//! - Changes are *replayable*: applied to a tree that already holds some of what comes later (a fuzzy snapshot), they leave
//!   a tree that the rest of the log brings to exactly the live one. They report what was not as expected
//!   (`NodeExists`, `NoNode`) and leave it to the caller whether that is allowed now.
//! - [`Tree::after`] walks in path order and survives any change between two calls, which is how a snapshot is written
//!   while transactions apply: no node is ever met before its parent.
//!
//! Source: ZooKeeper 3.9 `DataTree`, `AdHash`; ZOOKEEPER-1046, 3125, 3145, 3249 for what replay must not do.

use crate::node::Node;
use crate::txn::Owner;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Bound;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zab::{Bug, Planted};
use zabsim_types::{Acl, Data, ErrorCode, Perms, SessionId, Stat, ZPath, Zxid};

/// Hashes paths the same way in every run; only for look-ups, never walked.
#[derive(Default)]
pub(crate) struct PathHasher(u64);

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The terminator of a `str`: nothing follows it here.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map from paths, for look-ups alone.
#[expect(
    clippy::disallowed_types,
    reason = "a fixed hasher, and only looked up"
)]
pub(crate) type PathMap<V> = std::collections::HashMap<ZPath, V, BuildHasherDefault<PathHasher>>;

/// The four nodes that a database begins with, and that nobody can delete.
pub(crate) const SPECIAL: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// The configuration's node.
pub(crate) const CONFIG_NODE: &str = "/zookeeper/config";

/// The version of that node's data once servers wrote it, who ask for none: what it holds has a version of its own.
pub(crate) const CONFIG_VERSION: i32 = -1;

/// The znodes.
#[derive(Clone)]
pub(crate) struct Tree {
    nodes: PathMap<Node>,
    ephemerals: BTreeMap<SessionId, BTreeSet<ZPath>>,
    /// Containers and TTL nodes.
    swept: BTreeSet<ZPath>,
    digest: u64,
    /// What is wrong with this server on purpose.
    pub(crate) bugs: Planted,
}

/// The parent's path and the last name. As in ZooKeeper a child of the root has the parent `""`, which is the root.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

/// Reads take `""` for the root.
fn resolve(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

impl Tree {
    /// The initial tree. None of its nodes was created by a transaction, and none is counted by its parent.
    pub(crate) fn new() -> Tree {
        let mut tree = Tree::empty();
        for path in SPECIAL {
            let data = Some([].as_slice().into());
            let mut node = Node::new(path, data, Acl::OPEN, Owner::Nobody, Zxid::ZERO, 0);
            if path == CONFIG_NODE {
                // As ZooKeeper makes it: its list was set before anything was counted. Only the super user may write it.
                node.aversion = -1;
                node.acl = Acl::one(Perms::READ, "world", "anyone");
                node.rehash();
            }
            let inserted = tree.insert_loaded(path.into(), node);
            assert!(inserted.is_ok(), "parents come first in SPECIAL");
        }
        tree
    }

    /// No node at all: for loading a snapshot.
    pub(crate) fn empty() -> Tree {
        Tree {
            nodes: PathMap::default(),
            ephemerals: BTreeMap::new(),
            swept: BTreeSet::new(),
            digest: 0,
            bugs: Planted::NONE,
        }
    }

    pub(crate) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(resolve(path))
    }

    #[cfg(test)]
    pub(crate) fn stat(&self, path: &str) -> Option<Stat> {
        self.node(path).map(Node::stat)
    }

    /// The access control lists of all nodes, one after the other.
    pub(crate) fn lists(&self) -> Vec<Acl> {
        let mut lists = Vec::new();
        let mut at = self.after(None);
        while let Some((path, node)) = at {
            if !lists.contains(&node.acl) {
                lists.push(node.acl.clone());
            }
            at = self.after(Some(&path));
        }
        lists
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Equal on two trees exactly when they hold the same nodes with the same fields (but for hash collisions).
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The ephemerals of a session, sorted.
    pub(crate) fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = &ZPath> {
        self.ephemerals.get(&session).into_iter().flatten()
    }

    /// The sessions that own at least one ephemeral.
    pub(crate) fn owners(&self) -> impl Iterator<Item = SessionId> {
        self.ephemerals.keys().copied()
    }

    /// The nodes that the leader's sweep may remove some day: containers and TTL nodes, sorted.
    pub(crate) fn swept(&self) -> impl Iterator<Item = &ZPath> {
        self.swept.iter()
    }

    /// How many nodes there are below one.
    pub(crate) fn count_below(&self, path: &str) -> usize {
        let mut left = vec![resolve(path).to_owned()];
        let mut count = 0;
        while let Some(path) = left.pop() {
            if let Some(node) = self.nodes.get(&*path) {
                count += node.children.len();
                left.extend(node.children.iter().map(|name| join(&path, name)));
            }
        }
        count
    }

    /// Takes in a new node, the parent's `parent_creates`th child ever.
    pub(crate) fn create(
        &mut self,
        path: &ZPath,
        node: Node,
        parent_creates: i32,
    ) -> Result<Stat, ErrorCode> {
        let (parent, name) = split(path).ok_or(ErrorCode::BadArguments)?;
        let exists = self.nodes.contains_key(path);
        let parent = self
            .nodes
            .get_mut(resolve(parent))
            .ok_or(ErrorCode::NoNode)?;
        self.digest = self.digest.wrapping_sub(parent.digest);
        // Also where the node is there already: the snapshot may have its parent from before the create (ZOOKEEPER-1046).
        let creates = match self.bugs.has(Bug::CreateWithoutParentCversion) {
            true => parent.creates + i32::from(!exists),
            false => parent_creates,
        };
        parent.raise(creates, node.czxid);
        if !exists {
            parent.children.insert(name.into());
        }
        parent.rehash();
        self.digest = self.digest.wrapping_add(parent.digest);
        if exists {
            return Err(ErrorCode::NodeExists);
        }
        let stat = node.stat();
        self.insert(path.clone(), node);
        Ok(stat)
    }

    pub(crate) fn delete(&mut self, path: &str, zxid: Zxid) -> Result<(), ErrorCode> {
        let (parent, name) = split(path).ok_or(ErrorCode::BadArguments)?;
        let removed = self.remove(path);
        if removed.is_none() && self.bugs.has(Bug::ReplayOverwritesParent) {
            return Err(ErrorCode::NoNode);
        }
        // Also where the node is gone already (ZOOKEEPER-3125).
        if let Some(parent) = self.nodes.get_mut(resolve(parent)) {
            self.digest = self.digest.wrapping_sub(parent.digest);
            parent.children.remove(name);
            if !self.bugs.has(Bug::PzxidNotOnDelete) {
                parent.raise(parent.creates, zxid);
            }
            parent.rehash();
            self.digest = self.digest.wrapping_add(parent.digest);
        }
        let removed = removed.ok_or(ErrorCode::NoNode)?;
        if removed.children.is_empty() {
            return Ok(());
        }
        // The log deletes only childless nodes. So this node, as a fuzzy snapshot has it, is a later one of the same path,
        // and all below it was created later still: the rest of the log makes it again.
        for child in &removed.children {
            self.remove_subtree(&format!("{path}/{child}"));
        }
        Err(ErrorCode::NotEmpty)
    }

    pub(crate) fn set_data(
        &mut self,
        path: &str,
        data: Data,
        version: i32,
        zxid: Zxid,
        time_ms: i64,
    ) -> Result<Stat, ErrorCode> {
        let node = self.nodes.get_mut(resolve(path)).ok_or(ErrorCode::NoNode)?;
        self.digest = self.digest.wrapping_sub(node.digest);
        node.set_data(path, data);
        node.version = version;
        node.mzxid = zxid;
        node.mtime = time_ms;
        node.rehash();
        self.digest = self.digest.wrapping_add(node.digest);
        Ok(node.stat())
    }

    pub(crate) fn set_acl(
        &mut self,
        path: &str,
        acl: Acl,
        version: i32,
    ) -> Result<Stat, ErrorCode> {
        let node = self.nodes.get_mut(resolve(path)).ok_or(ErrorCode::NoNode)?;
        self.digest = self.digest.wrapping_sub(node.digest);
        node.acl = acl;
        node.aversion = version;
        node.rehash();
        self.digest = self.digest.wrapping_add(node.digest);
        Ok(node.stat())
    }

    /// What a node holds by itself: the counts of a quota, of which neither versions nor times tell.
    pub(crate) fn set_counts(&mut self, path: &str, data: Data) -> Result<(), ErrorCode> {
        let node = self.nodes.get_mut(path).ok_or(ErrorCode::NoNode)?;
        self.digest = self.digest.wrapping_sub(node.digest);
        node.set_data(path, data);
        node.rehash();
        self.digest = self.digest.wrapping_add(node.digest);
        Ok(())
    }

    /// What the configuration's node holds before anybody changes it.
    pub(crate) fn set_first_configuration(&mut self, text: &str) {
        let data = Some(text.as_bytes().into());
        self.set_data(CONFIG_NODE, data, CONFIG_VERSION, Zxid::ZERO, 0)
            .expect("every tree has that node");
    }

    /// Takes in a node of a snapshot, whose children's names follow from the nodes after it.
    pub(crate) fn insert_loaded(&mut self, path: ZPath, node: Node) -> Result<(), &'static str> {
        if self.nodes.contains_key(&path) {
            return Err("a second node of that path");
        }
        if &*path != "/" {
            let (parent, name) = split(&path).ok_or("a path without a slash")?;
            let parent = self
                .nodes
                .get_mut(resolve(parent))
                .ok_or("a node before its parent")?;
            parent.children.insert(name.into());
        }
        self.insert(path, node);
        Ok(())
    }

    fn insert(&mut self, path: ZPath, node: Node) {
        self.digest = self.digest.wrapping_add(node.digest);
        match node.owner {
            Owner::Nobody => {}
            Owner::Session(session) => {
                let of_session = self.ephemerals.entry(session).or_default();
                of_session.insert(path.clone());
            }
            Owner::Container | Owner::Ttl { .. } => {
                self.swept.insert(path.clone());
            }
        }
        self.nodes.insert(path, node);
    }

    fn remove(&mut self, path: &str) -> Option<Node> {
        let node = self.nodes.remove(path)?;
        self.digest = self.digest.wrapping_sub(node.digest);
        match node.owner {
            Owner::Nobody => {}
            Owner::Session(session) => {
                if let Some(of_session) = self.ephemerals.get_mut(&session) {
                    of_session.remove(path);
                    if of_session.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
            Owner::Container | Owner::Ttl { .. } => {
                self.swept.remove(path);
            }
        }
        Some(node)
    }

    fn remove_subtree(&mut self, path: &str) {
        if let Some(node) = self.remove(path) {
            for child in &node.children {
                self.remove_subtree(&format!("{path}/{child}"));
            }
        }
    }

    /// The node after `path` in the order "parents before children, children by name", whether or not `path` still exists:
    /// its first child, else the next sibling, else the next sibling of its parent, and so on. `None` asks for the first.
    pub(crate) fn after(&self, path: Option<&str>) -> Option<(ZPath, &Node)> {
        let Some(path) = path else {
            return self.entry("/");
        };
        if let Some(first) = self.nodes.get(path).and_then(|n| n.children.first()) {
            return self.entry(&join(path, first));
        }
        let mut here = path;
        while here != "/" {
            let (parent, name) = split(here)?;
            let parent = resolve(parent);
            let next = self.nodes.get(parent).and_then(|node| {
                let behind = (Bound::Excluded(name), Bound::Unbounded);
                node.children.range::<str, _>(behind).next()
            });
            if let Some(next) = next {
                return self.entry(&join(parent, next));
            }
            here = parent;
        }
        None
    }

    fn entry(&self, path: &str) -> Option<(ZPath, &Node)> {
        self.nodes
            .get_key_value(path)
            .map(|(path, node)| (path.clone(), node))
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent == "/" {
        format!("/{name}")
    } else {
        format!("{parent}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(tree: &mut Tree, path: &str, owner: Owner, nth: i32, zxid: u64) {
        let node = Node::new(path, None, Acl::OPEN, owner, Zxid(zxid), 0);
        tree.create(&path.into(), node, nth).unwrap();
    }

    fn paths(tree: &Tree) -> Vec<String> {
        let mut at: Option<ZPath> = None;
        let mut out = Vec::new();
        while let Some((path, _)) = tree.after(at.as_deref()) {
            out.push(path.to_string());
            at = Some(path);
        }
        out
    }

    #[test]
    fn a_fresh_tree_is_zookeepers() {
        let tree = Tree::new();
        let root = tree.stat("/").unwrap();
        assert_eq!((root.cversion, root.num_children), (-1, 1));
        assert_eq!(
            tree.stat(""),
            tree.stat("/"),
            "reads take the empty path for the root"
        );
        assert_eq!(tree.stat("/zookeeper").unwrap().cversion, -2);
        assert_eq!(tree.stat("/zookeeper/config").unwrap().aversion, -1);
        assert_eq!(tree.stat("/zookeeper/quota").unwrap(), Stat::default());
    }

    #[test]
    fn digests_tell_trees_apart_and_come_back() {
        let mut tree = Tree::new();
        let fresh = tree.digest();
        create(&mut tree, "/a", Owner::Nobody, 1, 1);
        let mut other = tree.clone();
        tree.set_data("/a", None, 1, Zxid(2), 0).unwrap();
        assert_ne!(tree.digest(), other.digest(), "version and mzxid differ");
        other.set_data("/a", None, 1, Zxid(2), 0).unwrap();
        assert_eq!(tree.digest(), other.digest());
        tree.delete("/a", Zxid(3)).unwrap();
        assert_ne!(
            tree.digest(),
            fresh,
            "the root remembers: creates and pzxid"
        );
        assert_eq!(tree.len(), 4);
    }

    #[test]
    fn ephemerals_are_known_by_session() {
        let mut tree = Tree::new();
        let s = SessionId(9);
        for (i, path) in ["/f", "/e"].into_iter().enumerate() {
            let n = i as i32 + 1;
            create(&mut tree, path, Owner::Session(s), n, n as u64);
        }
        let of_s: Vec<_> = tree.ephemerals(s).map(|p| p.to_string()).collect();
        assert_eq!(of_s, ["/e", "/f"]);
        tree.delete("/e", Zxid(3)).unwrap();
        tree.delete("/f", Zxid(4)).unwrap();
        assert_eq!(tree.owners().count(), 0);
    }

    #[test]
    fn the_walk_survives_changes_under_its_feet() {
        let mut tree = Tree::new();
        let mut n = 0;
        let mut make = |tree: &mut Tree, path: &str| {
            n += 1;
            create(tree, path, Owner::Nobody, n, n as u64);
        };
        for path in ["/a", "/a/x", "/a/x/y", "/b", "/c"] {
            make(&mut tree, path);
        }
        assert_eq!(
            paths(&tree),
            [
                "/",
                "/a",
                "/a/x",
                "/a/x/y",
                "/b",
                "/c",
                "/zookeeper",
                "/zookeeper/config",
                "/zookeeper/quota"
            ]
        );
        tree.delete("/a/x/y", Zxid(10)).unwrap();
        tree.delete("/a/x", Zxid(11)).unwrap();
        tree.delete("/a", Zxid(12)).unwrap();
        make(&mut tree, "/a-");
        assert_eq!(&*tree.after(Some("/a/x/y")).unwrap().0, "/a-");
        assert!(tree.after(Some("/zookeeper/quota")).is_none());
    }

    /// A second life of a node, already in a fuzzy snapshot with children, meets the delete of its first life.
    #[test]
    fn replaying_a_delete_over_a_later_life_removes_all_below() {
        let mut tree = Tree::new();
        for (i, path) in ["/a", "/a/b", "/a/b/c"].into_iter().enumerate() {
            let owner = Owner::Session(SessionId(7));
            create(&mut tree, path, owner, 1, 20 + i as u64);
        }
        assert_eq!(tree.delete("/a", Zxid(10)), Err(ErrorCode::NotEmpty));
        assert_eq!(tree.len(), 4);
        assert_eq!(tree.owners().count(), 0);
        assert_eq!(
            tree.stat("/").unwrap().pzxid,
            Zxid(20),
            "not set back to 10"
        );
    }
}
