//! The tree's rules: which request changes what, what it answers, and which watches it triggers.
//!
//! The order of the checks decides which error a request gets, so each function below lists them in ZooKeeper's order
//! (`PrepRequestProcessor.pRequest2Txn`, seen on 3.9.5). Reads check nothing but that the node is there.

use super::tree::{Node, Nodes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zabsim_types::{
    CreateMode, Data, ErrorCode, Op, OpResult, Reply, SessionId, WatchKind, ZPath, Zxid, validate,
};

/// Which list of watches a trigger goes to: `getData` and `exists` leave theirs in one, `getChildren` in the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WatchList {
    /// Of `getData` and `exists`.
    Data,
    /// Of `getChildren`.
    Child,
}

/// A transaction touches a path in a way that fires the watches of one list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trigger {
    /// Whose watches.
    pub list: WatchList,
    /// What they are told.
    pub kind: WatchKind,
    /// Where.
    pub path: ZPath,
}

/// What a transaction brings besides its operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The session that asks.
    pub session: SessionId,
    /// The transaction's number.
    pub zxid: Zxid,
    /// The leader's clock, in milliseconds.
    pub time_ms: i64,
}

/// The state after some prefix of the committed log.
#[derive(Clone, Debug)]
pub struct Model {
    nodes: Nodes,
    /// Open sessions and the ephemerals of each.
    sessions: BTreeMap<SessionId, BTreeSet<ZPath>>,
    last: Zxid,
    triggers: Vec<Trigger>,
    /// How to take back the parts of the multi under way.
    undo: Vec<Undo>,
}

/// Takes one change back.
#[derive(Clone, Debug)]
enum Undo {
    Create {
        path: ZPath,
        pzxid: Zxid,
    },
    Delete {
        path: ZPath,
        node: Node,
        pzxid: Zxid,
    },
    Set {
        path: ZPath,
        data: Data,
        mzxid: Zxid,
        mtime: i64,
    },
}

const CONFIG: &str = "/zookeeper/config";

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// An empty database: the root and ZooKeeper's own nodes, all of transaction 0.
    pub fn new() -> Model {
        let mut nodes = Nodes::default();
        let plain = || Node::new(Some(Arc::from([])), SessionId::NONE, Zxid::ZERO, 0);
        let with_children = |names: &[&str]| Node {
            children: names.iter().map(|name| Arc::from(*name)).collect(),
            ..plain()
        };
        nodes.insert("/".into(), with_children(&["zookeeper"]));
        nodes.insert("/zookeeper".into(), with_children(&["config", "quota"]));
        nodes.insert("/zookeeper/quota".into(), plain());
        // Made without a version of its ACL, and only readable.
        let config = Node {
            aversion: -1,
            ..plain()
        };
        nodes.insert(CONFIG.into(), config);
        Model {
            nodes,
            sessions: BTreeMap::new(),
            last: Zxid::ZERO,
            triggers: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// The last transaction taken in.
    pub fn last_zxid(&self) -> Zxid {
        self.last
    }

    /// The watches that the last transaction triggers, in ZooKeeper's order. (Of a session's end that order is unspecified.)
    pub fn triggers(&self) -> &[Trigger] {
        &self.triggers
    }

    /// Whether the session is open.
    pub fn has_session(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// The ephemerals of a session, sorted.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = &ZPath> {
        self.sessions.get(&session).into_iter().flatten()
    }

    /// The zxid of the transaction that made the node, if it is there.
    pub fn created_by(&self, path: &str) -> Option<Zxid> {
        self.node(path).ok().map(|node| node.czxid)
    }

    /// The session that owns the node, if it is there; `NONE` for one that stays.
    pub fn owner_of(&self, path: &str) -> Option<SessionId> {
        self.node(path).ok().map(|node| node.owner)
    }

    /// The names of the node's children, sorted, if it is there.
    pub fn children(&self, path: &str) -> Option<impl Iterator<Item = &Arc<str>>> {
        self.node(path).ok().map(|node| node.children.iter())
    }

    /// One request, read or write. A write must bring the next zxid; for a read the stamp says nothing.
    pub fn apply(&mut self, op: &Op, stamp: Stamp) -> OpResult {
        if op.is_update() {
            self.write(op, stamp)
        } else {
            self.read(op)
        }
    }

    /// Makes a session.
    pub fn create_session(&mut self, stamp: Stamp) {
        self.begin(stamp);
        self.sessions.entry(stamp.session).or_default();
    }

    /// Ends a session: its ephemerals vanish under this one zxid.
    pub fn close_session(&mut self, stamp: Stamp) {
        self.begin(stamp);
        for path in self.sessions.remove(&stamp.session).unwrap_or_default() {
            self.remove(&path, stamp);
        }
        self.undo.clear();
    }

    /// A transaction without effect: a request that failed for a reason outside the tree.
    pub fn skip(&mut self, stamp: Stamp) {
        self.begin(stamp);
    }

    /// A write: it takes its zxid, whether it then succeeds or fails.
    pub fn write(&mut self, op: &Op, stamp: Stamp) -> OpResult {
        self.begin(stamp);
        if !self.has_session(stamp.session) {
            return Err(ErrorCode::SessionExpired);
        }
        let answer = match op {
            Op::Multi { ops } => Ok(self.multi(ops, stamp)),
            Op::CloseSession => {
                self.close_session(stamp);
                Ok(Reply::Closed)
            }
            _ => self.single(op, stamp),
        };
        self.undo.clear();
        answer
    }

    /// What [`write`](Model::write) would answer; the tree stays as it is.
    pub fn probe(&mut self, op: &Op, stamp: Stamp) -> OpResult {
        self.begin(stamp);
        if !self.has_session(stamp.session) {
            return Err(ErrorCode::SessionExpired);
        }
        let answer = match op {
            Op::Multi { ops } => Ok(self.multi(ops, stamp)),
            Op::CloseSession => Ok(Reply::Closed),
            _ => self.single(op, stamp),
        };
        self.take_back();
        answer
    }

    /// A read: it sees the state after the last transaction.
    pub fn read(&self, op: &Op) -> OpResult {
        match op {
            Op::GetData { path, .. } => self.node(path).map(|node| Reply::Data {
                data: node.data.clone(),
                stat: node.stat(),
            }),
            Op::Exists { path, .. } => self
                .node(path)
                .map(|node| Reply::Exists { stat: node.stat() }),
            Op::GetChildren {
                path, with_stat, ..
            } => self.node(path).map(|node| Reply::Children {
                names: node.children.iter().cloned().collect(),
                stat: with_stat.then(|| node.stat()),
            }),
            Op::Sync { path, .. } => Ok(Reply::Synced { path: path.clone() }),
            // A bare check is answered so since 3.9.3 (ZOOKEEPER-2623).
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    /// Whether `observed` is what `read` would answer: the same, without building it.
    pub fn would_answer(&self, op: &Op, observed: Result<&Reply, ErrorCode>) -> bool {
        match (op, observed) {
            (
                Op::GetChildren {
                    path, with_stat, ..
                },
                Ok(Reply::Children { names, stat }),
            ) => self.node(path).is_ok_and(|node| {
                node.children.len() == names.len()
                    && node.children.iter().eq(names.iter())
                    && *stat == with_stat.then(|| node.stat())
            }),
            (Op::GetData { path, .. }, Ok(Reply::Data { data, stat })) => self
                .node(path)
                .is_ok_and(|node| node.data == *data && node.stat() == *stat),
            _ => match (self.read(op), observed) {
                (Ok(expected), Ok(observed)) => expected == *observed,
                (Err(expected), Err(observed)) => expected == observed,
                _ => false,
            },
        }
    }

    fn begin(&mut self, stamp: Stamp) {
        debug_assert!(
            stamp.zxid >= self.last,
            "{} after {}",
            stamp.zxid,
            self.last
        );
        self.last = stamp.zxid;
        self.triggers.clear();
        self.undo.clear();
    }

    /// All parts under one zxid, or none: earlier parts are taken back where a later one fails.
    fn multi(&mut self, ops: &[Op], stamp: Stamp) -> Reply {
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            match self.single(op, stamp) {
                Ok(reply) => results.push(reply),
                Err(error) => {
                    self.take_back();
                    let mut errors = vec![ErrorCode::Ok; results.len()];
                    errors.push(error);
                    errors.resize(ops.len(), ErrorCode::RuntimeInconsistency);
                    return Reply::MultiFailed { errors };
                }
            }
        }
        Reply::Multi { results }
    }

    fn single(&mut self, op: &Op, stamp: Stamp) -> OpResult {
        match op {
            Op::Create {
                path,
                data,
                mode,
                with_stat,
            } => self.create(path, data, *mode, *with_stat, stamp),
            Op::Delete { path, version } => self.delete(path, *version, stamp),
            Op::SetData {
                path,
                data,
                version,
            } => self.set_data(path, data, *version, stamp),
            Op::Check { path, version } => self.check(path, *version),
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    fn create(
        &mut self,
        asked: &ZPath,
        data: &Data,
        mode: CreateMode,
        with_stat: bool,
        stamp: Stamp,
    ) -> OpResult {
        let parent_path = prefix_before_last_slash(asked)?;
        let parent = self.node(parent_path)?;
        writable(parent_path)?;
        let path: ZPath = if mode.is_sequential() {
            format!("{asked}{:010}", parent.creates).into()
        } else {
            asked.clone()
        };
        validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        if self.nodes.contains_key(&path) {
            return Err(ErrorCode::NodeExists);
        }
        if parent.owner != SessionId::NONE {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let owner = if mode.is_ephemeral() {
            self.sessions
                .entry(stamp.session)
                .or_default()
                .insert(path.clone());
            stamp.session
        } else {
            SessionId::NONE
        };
        let node = Node::new(data.clone(), owner, stamp.zxid, stamp.time_ms);
        let stat = with_stat.then(|| node.stat());
        self.insert(path.clone(), node, stamp.zxid);
        Ok(Reply::Created { path, stat })
    }

    fn delete(&mut self, path: &ZPath, version: i32, stamp: Stamp) -> OpResult {
        let own = ["/", "/zookeeper", "/zookeeper/quota", CONFIG];
        let parent_path = prefix_before_last_slash(path)?;
        if own.contains(&&**path) {
            return Err(ErrorCode::BadArguments);
        }
        self.node(parent_path)?;
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        matches_version(node, version)?;
        if !node.children.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        if node.owner != SessionId::NONE {
            self.sessions.entry(node.owner).or_default().remove(path);
        }
        self.remove(path, stamp);
        Ok(Reply::Deleted)
    }

    fn set_data(&mut self, path: &ZPath, data: &Data, version: i32, stamp: Stamp) -> OpResult {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let node = self.nodes.get_mut(path).ok_or(ErrorCode::NoNode)?;
        writable(path)?;
        matches_version(node, version)?;
        self.undo.push(Undo::Set {
            path: path.clone(),
            data: std::mem::replace(&mut node.data, data.clone()),
            mzxid: node.mzxid,
            mtime: node.mtime,
        });
        node.version = node.version.wrapping_add(1);
        node.mzxid = stamp.zxid;
        node.mtime = stamp.time_ms;
        let stat = node.stat();
        self.trigger(WatchList::Data, WatchKind::NodeDataChanged, path.clone());
        Ok(Reply::Set { stat })
    }

    fn check(&self, path: &ZPath, version: i32) -> OpResult {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        matches_version(node, version)?;
        Ok(Reply::Checked)
    }

    /// The node at `path`; the empty path is the root's second name.
    fn node(&self, path: &str) -> Result<&Node, ErrorCode> {
        let path = if path.is_empty() { "/" } else { path };
        self.nodes.get(path).ok_or(ErrorCode::NoNode)
    }

    fn insert(&mut self, path: ZPath, node: Node, zxid: Zxid) {
        let (parent_path, name) = split(&path);
        let parent = self
            .nodes
            .get_mut(parent_path)
            .expect("the parent was looked up");
        self.undo.push(Undo::Create {
            path: path.clone(),
            pzxid: parent.pzxid,
        });
        parent.children.insert(name.into());
        parent.creates = parent.creates.wrapping_add(1);
        parent.pzxid = zxid;
        let parent_path: ZPath = parent_path.into();
        self.nodes.insert(path.clone(), node);
        self.trigger(WatchList::Data, WatchKind::NodeCreated, path);
        self.trigger(
            WatchList::Child,
            WatchKind::NodeChildrenChanged,
            parent_path,
        );
    }

    fn remove(&mut self, path: &ZPath, stamp: Stamp) {
        let node = self
            .nodes
            .remove(path)
            .expect("a node to remove was looked up");
        let (parent_path, name) = split(path);
        let parent = self
            .nodes
            .get_mut(parent_path)
            .expect("a node's parent stays while it has children");
        parent.children.remove(name);
        let pzxid = std::mem::replace(&mut parent.pzxid, stamp.zxid);
        let parent_path: ZPath = parent_path.into();
        self.undo.push(Undo::Delete {
            path: path.clone(),
            node,
            pzxid,
        });
        self.trigger(WatchList::Data, WatchKind::NodeDeleted, path.clone());
        self.trigger(WatchList::Child, WatchKind::NodeDeleted, path.clone());
        self.trigger(
            WatchList::Child,
            WatchKind::NodeChildrenChanged,
            parent_path,
        );
    }

    fn trigger(&mut self, list: WatchList, kind: WatchKind, path: ZPath) {
        self.triggers.push(Trigger { list, kind, path });
    }

    /// Takes back every change of the multi under way, the last one first.
    fn take_back(&mut self) {
        self.triggers.clear();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Create { path, pzxid } => {
                    let node = self.nodes.remove(&path).expect("it was made");
                    self.sessions
                        .get_mut(&node.owner)
                        .map(|ephemerals| ephemerals.remove(&path));
                    let (parent_path, name) = split(&path);
                    let parent = self.nodes.get_mut(parent_path).expect("it has a child");
                    parent.children.remove(name);
                    parent.creates = parent.creates.wrapping_sub(1);
                    parent.pzxid = pzxid;
                }
                Undo::Delete { path, node, pzxid } => {
                    if node.owner != SessionId::NONE {
                        self.sessions
                            .entry(node.owner)
                            .or_default()
                            .insert(path.clone());
                    }
                    let (parent_path, name) = split(&path);
                    let parent = self.nodes.get_mut(parent_path).expect("it had a child");
                    parent.children.insert(name.into());
                    parent.pzxid = pzxid;
                    self.nodes.insert(path, node);
                }
                Undo::Set {
                    path,
                    data,
                    mzxid,
                    mtime,
                } => {
                    let node = self.nodes.get_mut(&path).expect("it was set");
                    node.data = data;
                    node.mzxid = mzxid;
                    node.mtime = mtime;
                    node.version = node.version.wrapping_sub(1);
                }
            }
        }
    }
}

/// What create and delete take for the parent: everything before the last slash. They look no closer at the path here, so
/// that `/a//b` has the parent `/a/`, which is never there.
fn prefix_before_last_slash(path: &str) -> Result<&str, ErrorCode> {
    if path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    match path.rfind('/') {
        Some(at) => Ok(&path[..at]),
        None => Err(ErrorCode::BadArguments),
    }
}

/// The parent's path and the node's name, of a valid path other than the root's.
fn split(path: &str) -> (&str, &str) {
    let at = path.rfind('/').expect("a valid path");
    (if at == 0 { "/" } else { &path[..at] }, &path[at + 1..])
}

fn matches_version(node: &Node, version: i32) -> Result<(), ErrorCode> {
    if version == -1 || version == node.version {
        Ok(())
    } else {
        Err(ErrorCode::BadVersion)
    }
}

/// The one node of the initial tree whose ACL lets clients only read. Stands here until the model has ACLs.
fn writable(path: &str) -> Result<(), ErrorCode> {
    if path == CONFIG {
        Err(ErrorCode::NoAuth)
    } else {
        Ok(())
    }
}
