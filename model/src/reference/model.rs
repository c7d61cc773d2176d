//! The state after some prefix of the committed log, and what it answers to reads. What writes do to it is in `change`.
//!
//! Reads check little: that the node is there, and that the list lets the connection see it.

use super::acl::{self, Rights, grants};
use super::settings::Settings;
use super::tree::{Life, Node, Nodes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zabsim_types::{
    Acl, CONFIG_NODE, Data, ErrorCode, Op, OpResult, Perms, Reply, SessionId, WatchKind, ZPath,
    Zxid,
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
    /// The node's list: who may not read is told nothing.
    pub acl: Acl,
}

/// What a transaction brings besides its operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The session that asks; `NONE` for the servers themselves.
    pub session: SessionId,
    /// The transaction's number.
    pub zxid: Zxid,
    /// The leader's clock, in milliseconds.
    pub time_ms: i64,
}

/// The state after some prefix of the committed log.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) settings: Settings,
    pub(super) nodes: Nodes,
    /// Open sessions and the ephemerals of each.
    pub(super) sessions: BTreeMap<SessionId, BTreeSet<ZPath>>,
    /// Those of them that only their server knows.
    pub(super) local: BTreeSet<SessionId>,
    /// The nodes that the sweep looks at.
    pub(super) swept: BTreeMap<ZPath, Life>,
    /// The paths with a quota.
    pub(super) limited: BTreeSet<ZPath>,
    /// The counts under a quota before the transaction in hand, where it changes them.
    pub(super) counts_before: BTreeMap<ZPath, Data>,
    pub(super) last: Zxid,
    pub(super) triggers: Vec<Trigger>,
    /// Whether a list was ever replaced: until then nobody could have been judged by a former one.
    pub(super) relisted: bool,
    /// How to take back the parts of the multi under way.
    pub(super) undo: Vec<Undo>,
    /// How to take back the transactions before it, where that is wanted.
    pub(super) journal: Option<Vec<Undo>>,
}

/// A state of a model that keeps a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(super) length: usize,
    pub(super) last: Zxid,
}

/// Takes one change back.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    Create {
        path: ZPath,
        pzxid: Zxid,
    },
    Delete {
        path: ZPath,
        node: Box<Node>,
        pzxid: Zxid,
    },
    Set {
        path: ZPath,
        data: Data,
        version: i32,
        mzxid: Zxid,
        mtime: i64,
    },
    SetAcl {
        path: ZPath,
    },
    Counts {
        path: ZPath,
        data: Data,
    },
    Limit(ZPath),
    Unlimit(ZPath),
    Upgraded(SessionId),
    Opened(SessionId),
    Closed(SessionId),
}

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// An empty database: the root and ZooKeeper's own nodes, all of transaction 0.
    pub fn new() -> Model {
        Model::with(Settings::default())
    }

    /// An empty database of a server with these settings.
    pub fn with(settings: Settings) -> Model {
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
        let first = settings.first_configuration.as_deref();
        let config = Node {
            aversion: -1,
            acl: Acl::one(Perms::READ, "world", "anyone"),
            data: Some(first.unwrap_or_default().as_bytes().into()),
            // The servers write it there themselves, as a reconfiguration would.
            version: if first.is_some() { -1 } else { 0 },
            ..plain()
        };
        nodes.insert(CONFIG_NODE.into(), config);
        Model {
            settings,
            nodes,
            sessions: BTreeMap::new(),
            local: BTreeSet::new(),
            swept: BTreeMap::new(),
            limited: BTreeSet::new(),
            counts_before: BTreeMap::new(),
            last: Zxid::ZERO,
            triggers: Vec::new(),
            relisted: false,
            undo: Vec::new(),
            journal: None,
        }
    }

    /// From now on every transaction can be taken back.
    pub(crate) fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// From now on nothing is taken back.
    pub(crate) fn stop_journal(&mut self) {
        self.journal = None;
    }

    /// The present state, to come back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            length: self.journal.as_ref().map_or(0, Vec::len),
            last: self.last,
        }
    }

    /// What the server was told by its configuration.
    pub fn settings(&self) -> &Settings {
        &self.settings
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

    /// Whether the session is open and known to its server alone.
    pub fn is_local(&self, session: SessionId) -> bool {
        self.local.contains(&session)
    }

    /// The ephemerals of a session, sorted.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = &ZPath> {
        self.sessions.get(&session).into_iter().flatten()
    }

    /// The zxid of the transaction that made the node, if it is there.
    pub fn created_by(&self, path: &str) -> Option<Zxid> {
        self.node(path).ok().map(|node| node.czxid)
    }

    /// The transaction that made the node and how many children were ever made there, if it is there.
    pub(crate) fn creates(&self, path: &str) -> Option<(Zxid, i32)> {
        self.node(path).ok().map(|node| (node.czxid, node.creates))
    }

    /// The transaction that made the node and its version, if it is there.
    pub(crate) fn version(&self, path: &str) -> Option<(Zxid, i32)> {
        self.node(path).ok().map(|node| (node.czxid, node.version))
    }

    /// The session that owns the node, if it is there; `NONE` for one that stays.
    pub fn owner_of(&self, path: &str) -> Option<SessionId> {
        self.node(path).ok().map(|node| node.owner)
    }

    /// What the servers' sweep does with the node, if it is there.
    pub fn life_of_node(&self, path: &str) -> Option<Life> {
        self.node(path).ok().map(|node| node.life)
    }

    /// The names of the node's children, sorted, if it is there.
    pub fn children(&self, path: &str) -> Option<impl Iterator<Item = &Arc<str>>> {
        self.node(path).ok().map(|node| node.children.iter())
    }

    /// What `setWatches` compares with: the last change of the node's data and of its children, if it is there.
    pub fn last_changes(&self, path: &str) -> Option<(Zxid, Zxid)> {
        self.node(path).ok().map(|node| (node.mzxid, node.pzxid))
    }

    /// The nodes that the servers would remove now: containers that have had a child and have none, TTL nodes without a child
    /// that were not set for too long. Each goes by a `deleteContainer` of the session `NONE`, which looks again.
    pub fn swept_at(&self, now_ms: i64) -> Vec<ZPath> {
        let due = |path: &ZPath, life: &Life| {
            let node = &self.nodes[path];
            node.children.is_empty()
                && match life {
                    Life::Unbound => false,
                    Life::Container => node.creates > 0,
                    Life::Ttl(ms) => now_ms - node.mtime > *ms,
                }
        };
        let (mut containers, mut expired) = (Vec::new(), Vec::new());
        for (path, life) in self.swept.iter().filter(|(path, life)| due(path, life)) {
            match life {
                Life::Container => containers.push(path.clone()),
                _ => expired.push(path.clone()),
            }
        }
        containers.append(&mut expired);
        containers
    }

    /// Whether the servers may remove a node some day, as it is now.
    pub(crate) fn has_sweepable(&self) -> bool {
        !self.swept.is_empty() && !self.swept_at(i64::MAX).is_empty()
    }

    /// The states at which a write of that operation could have been judged by other lists than now: those before each change
    /// of a list that it is judged by. The latest first.
    pub fn former_states(&self, op: &Op) -> Vec<Zxid> {
        if !self.relisted {
            return Vec::new();
        }
        let mut states = BTreeSet::new();
        self.collect_former(op, &mut states);
        states.into_iter().rev().collect()
    }

    fn collect_former(&self, op: &Op, states: &mut BTreeSet<Zxid>) {
        let judged_at = match op {
            Op::Create { path, .. } | Op::Delete { path, .. } | Op::DeleteContainer { path } => {
                path.rfind('/').map(|at| &path[..at])
            }
            Op::SetData { path, .. } | Op::SetAcl { path, .. } | Op::Check { path, .. } => {
                Some(&**path)
            }
            Op::Reconfig { .. } => Some(CONFIG_NODE),
            Op::Multi { ops } => {
                ops.iter().for_each(|op| self.collect_former(op, states));
                None
            }
            _ => None,
        };
        if let Some(node) = judged_at.and_then(|path| self.node(path).ok()) {
            let former = node.former_acls.iter();
            states.extend(former.map(|(replaced, _)| Zxid(replaced.0 - 1)));
        }
    }

    /// A read by a connection without identities: it sees the state after the last transaction.
    pub fn read(&self, op: &Op) -> OpResult {
        self.read_as(op, SessionId::NONE, Rights::default())
    }

    /// A read: it sees the state after the last transaction, as far as it may. What is not of the tree (watches, the
    /// connection's identities) is answered by whoever keeps it.
    pub fn read_as(&self, op: &Op, session: SessionId, rights: Rights<'_>) -> OpResult {
        match op {
            Op::GetData { path, .. } => {
                let node = self.readable(path, rights)?;
                Ok(Reply::Data {
                    data: node.data.clone(),
                    stat: node.stat(),
                })
            }
            Op::Exists { path, .. } => {
                // It looks for this alone, and so a watch of it cannot be left.
                if path.contains('\0') {
                    return Err(ErrorCode::BadArguments);
                }
                let stat = self.readable(path, rights)?.stat();
                Ok(Reply::Exists { stat })
            }
            Op::GetChildren {
                path, with_stat, ..
            } => {
                let node = self.readable(path, rights)?;
                Ok(Reply::Children {
                    names: node.children.iter().cloned().collect(),
                    stat: with_stat.then(|| node.stat()),
                })
            }
            Op::GetAcl { path } => {
                let node = self.node(path)?;
                self.allow(node, Perms::READ.and(Perms::ADMIN), rights)?;
                let acl = match self.allow(node, Perms::ADMIN, rights) {
                    Ok(()) => node.acl.clone(),
                    Err(_) => acl::masked(&node.acl),
                };
                let stat = node.stat();
                Ok(Reply::Acl { acl, stat })
            }
            Op::GetAllChildrenNumber { path } => {
                self.readable(path, rights)?;
                let mut number = -1;
                self.each_at_or_below(path, |_| number += 1);
                Ok(Reply::ChildrenNumber { number })
            }
            Op::GetEphemerals { prefix } => {
                let mine = self.ephemerals(session);
                let within = |path: &&ZPath| path.starts_with(&**prefix);
                let paths = mine.filter(within).cloned().collect();
                Ok(Reply::Ephemerals { paths })
            }
            Op::MultiRead { ops } => {
                let allowed = |op: &Op| matches!(op, Op::GetData { .. } | Op::GetChildren { .. });
                if !ops.iter().all(allowed) {
                    return Err(ErrorCode::MarshallingError);
                }
                let read = |op| self.read_as(op, session, rights);
                let results = ops.iter().map(read).collect();
                Ok(Reply::MultiRead { results })
            }
            Op::WhoAmI => {
                let ids = rights.ids.iter().map(acl::shown).collect();
                Ok(Reply::Identities { ids })
            }
            Op::AddWatch { .. } => Ok(Reply::WatchAdded),
            Op::Sync { path, .. } => Ok(Reply::Synced { path: path.clone() }),
            // A bare check is answered so since 3.9.3 (ZOOKEEPER-2623).
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    /// Whether `observed` is what `read` would answer: the same, without building it.
    pub fn would_answer(&self, op: &Op, observed: Result<&Reply, ErrorCode>) -> bool {
        self.would_answer_as(op, SessionId::NONE, Rights::default(), observed)
    }

    /// Whether `observed` is what `read_as` would answer: the same, without building it.
    pub fn would_answer_as(
        &self,
        op: &Op,
        session: SessionId,
        rights: Rights<'_>,
        observed: Result<&Reply, ErrorCode>,
    ) -> bool {
        match (op, observed) {
            (
                Op::GetChildren {
                    path, with_stat, ..
                },
                Ok(Reply::Children { names, stat }),
            ) => self.readable(path, rights).is_ok_and(|node| {
                node.children.len() == names.len()
                    && node.children.iter().eq(names.iter())
                    && *stat == with_stat.then(|| node.stat())
            }),
            (Op::GetData { path, .. }, Ok(Reply::Data { data, stat })) => self
                .readable(path, rights)
                .is_ok_and(|node| node.data == *data && node.stat() == *stat),
            _ => match (self.read_as(op, session, rights), observed) {
                (Ok(expected), Ok(observed)) => expected == *observed,
                (Err(expected), Err(observed)) => expected == observed,
                _ => false,
            },
        }
    }

    fn readable(&self, path: &str, rights: Rights<'_>) -> Result<&Node, ErrorCode> {
        let node = self.node(path)?;
        self.allow(node, Perms::READ, rights)?;
        Ok(node)
    }

    /// Whether the node's list grants any of `wanted`.
    pub(super) fn allow(
        &self,
        node: &Node,
        wanted: Perms,
        rights: Rights<'_>,
    ) -> Result<(), ErrorCode> {
        if grants(node.acl_at(rights.as_of), wanted, rights.ids) {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    /// The node at `path`; the empty path is the root's second name.
    pub(super) fn node(&self, path: &str) -> Result<&Node, ErrorCode> {
        let path = if path.is_empty() { "/" } else { path };
        self.nodes.get(path).ok_or(ErrorCode::NoNode)
    }

    /// Calls `visit` with the node, if it is there, and with each below it.
    pub(super) fn each_at_or_below(&self, path: &str, mut visit: impl FnMut(&Node)) {
        let mut left = vec![path.trim_end_matches('/').to_owned()];
        while let Some(path) = left.pop() {
            let Ok(node) = self.node(&path) else {
                continue;
            };
            visit(node);
            let children = node.children.iter();
            left.extend(children.map(|name| format!("{path}/{name}")));
        }
    }
}
