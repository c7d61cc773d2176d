//! The tree's rules: which request changes what, what it answers, and which watches it triggers.
//!
//! The order of the checks decides which error a request gets, so each function below lists them in ZooKeeper's order
//! (`PrepRequestProcessor.pRequest2Txn`, seen on 3.9.5).

use super::acl::{Rights, fixed_up};
use super::config::{Change, Configuration};
use super::model::{Mark, Model, Stamp, Trigger, Undo, WatchList};
use super::tree::{Life, Node};
use std::collections::btree_map::Entry;
use zabsim_types::{
    Acl, CONFIG_NODE, CreateMode, Data, ErrorCode, Op, OpResult, Perms, Reply, SessionId,
    WatchKind, ZPath, Zxid, validate,
};

/// A transaction without rights of its own: those of a connection without identities.
impl Model {
    /// One request, read or write. A write must bring the next zxid; for a read the stamp says nothing.
    pub fn apply(&mut self, op: &Op, stamp: Stamp) -> OpResult {
        if op.is_update() {
            self.write(op, stamp)
        } else {
            self.read_as(op, stamp.session, Rights::default())
        }
    }

    /// A write: it takes its zxid, whether it then succeeds or fails.
    pub fn write(&mut self, op: &Op, stamp: Stamp) -> OpResult {
        self.write_as(op, stamp, Rights::default())
    }

    /// What [`write`](Model::write) would answer; the tree stays as it is.
    pub fn probe(&mut self, op: &Op, stamp: Stamp) -> OpResult {
        self.probe_as(op, stamp, Rights::default())
    }
}

/// Transactions.
impl Model {
    /// Makes a session; a local one becomes global.
    pub fn create_session(&mut self, stamp: Stamp) {
        self.begin(stamp);
        if self.local.remove(&stamp.session) {
            self.undo.push(Undo::Upgraded(stamp.session));
        }
        if let Entry::Vacant(entry) = self.sessions.entry(stamp.session) {
            entry.insert(Default::default());
            self.undo.push(Undo::Opened(stamp.session));
        }
        self.done();
    }

    /// Ends a session: its ephemerals vanish under this one zxid.
    pub fn close_session(&mut self, stamp: Stamp) {
        self.begin(stamp);
        if let Some(ephemerals) = self.sessions.remove(&stamp.session) {
            self.undo.push(Undo::Closed(stamp.session));
            for path in ephemerals {
                self.remove(&path, stamp);
            }
        }
        self.done();
    }

    /// Makes a session that only its server knows: no transaction.
    pub fn open_local(&mut self, session: SessionId) {
        if self.sessions.insert(session, Default::default()).is_none() {
            self.local.insert(session);
        }
    }

    /// Learns of a session by what it does: one that was not made before is known to its server alone.
    pub fn meet_local(&mut self, session: SessionId) {
        if !self.sessions.contains_key(&session) {
            self.open_local(session);
        }
    }

    /// Ends a session that only its server knows: no transaction, for it has no ephemerals.
    pub fn close_local(&mut self, session: SessionId) {
        if self.local.remove(&session) {
            self.sessions.remove(&session);
        }
    }

    /// A transaction without effect: a request that failed for a reason outside the tree.
    pub fn skip(&mut self, stamp: Stamp) {
        self.begin(stamp);
    }

    /// A write by a connection with these rights.
    pub fn write_as(&mut self, op: &Op, stamp: Stamp, rights: Rights<'_>) -> OpResult {
        let (Ok(answer) | Err(answer)) = self.write_if(op, stamp, rights, |_| true);
        answer
    }

    /// A write that is done only if its answer is wanted: else the tree stays as it is, and the answer is the error.
    pub(crate) fn write_if(
        &mut self,
        op: &Op,
        stamp: Stamp,
        rights: Rights<'_>,
        is_wanted: impl FnOnce(&OpResult) -> bool,
    ) -> Result<OpResult, OpResult> {
        self.begin(stamp);
        let closes = *op == Op::CloseSession && self.has_session(stamp.session);
        let answer = match closes {
            true => Ok(Reply::Closed),
            false => self.attempt(op, stamp, rights),
        };
        if !is_wanted(&answer) {
            self.take_back();
            return Err(answer);
        }
        match closes {
            true => self.close_session(stamp),
            false => self.done(),
        }
        Ok(answer)
    }

    /// Takes back every transaction behind a state that was marked. Only for a model that keeps a journal.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        let journal = self.journal.as_mut().expect("it keeps a journal");
        self.undo = journal.split_off(mark.length);
        self.take_back();
        self.last = mark.last;
    }

    /// What was done stays.
    fn done(&mut self) {
        match &mut self.journal {
            Some(journal) => journal.append(&mut self.undo),
            None => self.undo.clear(),
        }
    }

    /// What [`write_as`](Model::write_as) would answer; the tree stays as it is.
    pub fn probe_as(&mut self, op: &Op, stamp: Stamp, rights: Rights<'_>) -> OpResult {
        self.begin(stamp);
        let answer = self.attempt(op, stamp, rights);
        self.take_back();
        answer
    }

    fn attempt(&mut self, op: &Op, stamp: Stamp, rights: Rights<'_>) -> OpResult {
        // The servers' own requests have none.
        if stamp.session != SessionId::NONE && !self.has_session(stamp.session) {
            return Err(ErrorCode::SessionExpired);
        }
        match op {
            Op::Multi { ops } => self.multi(ops, stamp, rights),
            Op::CloseSession => Ok(Reply::Closed),
            _ => self.single(op, stamp, rights),
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
        self.counts_before.clear();
    }

    /// All parts under one zxid, or none: earlier parts are taken back where a later one fails.
    fn multi(&mut self, ops: &[Op], stamp: Stamp, rights: Rights<'_>) -> OpResult {
        if !ops.iter().all(can_be_part) {
            // The server cannot read such a request; it takes a zxid all the same.
            return Err(ErrorCode::MarshallingError);
        }
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            match self.single(op, stamp, rights) {
                Ok(reply) => results.push(reply),
                Err(error) => {
                    self.take_back();
                    let mut errors = vec![ErrorCode::Ok; results.len()];
                    errors.push(error);
                    errors.resize(ops.len(), ErrorCode::RuntimeInconsistency);
                    return Ok(Reply::MultiFailed { errors });
                }
            }
        }
        Ok(Reply::Multi { results })
    }

    fn single(&mut self, op: &Op, stamp: Stamp, rights: Rights<'_>) -> OpResult {
        match op {
            Op::Create {
                path,
                data,
                mode,
                with_stat,
                acl,
            } => {
                let reply = self.create(path, data, *mode, acl, stamp, rights)?;
                let with_stat = *with_stat || mode.replies_with_stat();
                Ok(match reply {
                    Reply::Created { path, .. } if !with_stat => {
                        Reply::Created { path, stat: None }
                    }
                    reply => reply,
                })
            }
            Op::Delete { path, version } => self.delete(path, *version, stamp, rights),
            Op::SetData {
                path,
                data,
                version,
            } => self.set_data(path, data, *version, stamp, rights),
            Op::Check { path, version } => self.check(path, *version, rights),
            Op::SetAcl { path, acl, version } => self.set_acl(path, acl, *version, stamp, rights),
            Op::DeleteContainer { path } => self.delete_container(path, stamp, rights),
            Op::Reconfig { .. } => self.reconfig(op, stamp, rights),
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    fn create(
        &mut self,
        asked: &ZPath,
        data: &Data,
        mode: CreateMode,
        acl: &Acl,
        stamp: Stamp,
        rights: Rights<'_>,
    ) -> OpResult {
        let life = self.life_of(mode)?;
        if mode.is_ephemeral() && self.is_local(stamp.session) {
            return Err(ErrorCode::EphemeralOnLocalSession);
        }
        let parent_path = prefix_before_last_slash(asked)?;
        let acl = fixed_up(acl, rights.ids)?;
        let parent = self.node(parent_path)?;
        self.allow(parent, Perms::CREATE, rights)?;
        let path: ZPath = if mode.is_sequential() {
            numbered(asked, parent.creates)
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
        let bytes = data.as_ref().map_or(0, |bytes| bytes.len() as i64);
        self.within_quota(&path, bytes, 1)?;
        let owner = if mode.is_ephemeral() {
            stamp.session
        } else {
            SessionId::NONE
        };
        let mut node = Node::new(data.clone(), owner, stamp.zxid, stamp.time_ms);
        (node.acl, node.life) = (acl, life);
        let stat = Some(node.stat());
        self.insert(path.clone(), node, stamp.zxid);
        self.quota_of_created(&path, bytes);
        Ok(Reply::Created { path, stat })
    }

    /// The node's life, if a node of that mode can be made.
    fn life_of(&self, mode: CreateMode) -> Result<Life, ErrorCode> {
        match mode {
            CreateMode::Invalid { .. } => Err(ErrorCode::BadArguments),
            CreateMode::Container => Ok(Life::Container),
            CreateMode::PersistentWithTtl { ttl_ms }
            | CreateMode::PersistentSequentialWithTtl { ttl_ms } => {
                if !self.settings.extended_types {
                    Err(ErrorCode::Unimplemented)
                } else if (1..=CreateMode::MAX_TTL_MS).contains(&ttl_ms) {
                    Ok(Life::Ttl(ttl_ms))
                } else {
                    Err(ErrorCode::BadArguments)
                }
            }
            _ => Ok(Life::Unbound),
        }
    }

    fn delete(&mut self, path: &ZPath, version: i32, stamp: Stamp, rights: Rights<'_>) -> OpResult {
        let parent_path = parent_of_deletable(path)?;
        let parent = self.node(parent_path)?;
        self.allow(parent, Perms::DELETE, rights)?;
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        matches_version(node.version, version)?;
        if !node.children.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        self.remove(path, stamp);
        Ok(Reply::Deleted)
    }

    /// The servers' own way to remove what they sweep.
    fn delete_container(&mut self, path: &ZPath, stamp: Stamp, rights: Rights<'_>) -> OpResult {
        let parent_path = parent_of_deletable(path)?;
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        if !node.children.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        if node.owner != SessionId::NONE {
            return Err(ErrorCode::BadVersion);
        }
        if stamp.session != SessionId::NONE && self.settings.guard_delete_container {
            if node.life == Life::Unbound {
                return Err(ErrorCode::BadArguments);
            }
            self.allow(self.node(parent_path)?, Perms::DELETE, rights)?;
        }
        self.remove(path, stamp);
        Ok(Reply::Deleted)
    }

    fn set_data(
        &mut self,
        path: &ZPath,
        data: &Data,
        version: i32,
        stamp: Stamp,
        rights: Rights<'_>,
    ) -> OpResult {
        let node = self.valid_node(path)?;
        self.allow(node, Perms::WRITE, rights)?;
        let length = |data: &Data| data.as_ref().map_or(0, |bytes| bytes.len() as i64);
        let more = length(data) - length(&node.data);
        self.within_quota(path, more, 0)?;
        matches_version(node.version, version)?;
        let next = node.version.wrapping_add(1);
        let stat = self.replace(path, data, next, stamp);
        self.count(path, more, 0);
        Ok(Reply::Set { stat })
    }

    /// Replaces the data of a node that is there.
    fn replace(
        &mut self,
        path: &ZPath,
        data: &Data,
        version: i32,
        stamp: Stamp,
    ) -> zabsim_types::Stat {
        let node = self.nodes.get_mut(path).expect("it was looked up");
        self.undo.push(Undo::Set {
            path: path.clone(),
            data: std::mem::replace(&mut node.data, data.clone()),
            version: std::mem::replace(&mut node.version, version),
            mzxid: node.mzxid,
            mtime: node.mtime,
        });
        node.mzxid = stamp.zxid;
        node.mtime = stamp.time_ms;
        let (stat, acl) = (node.stat(), node.acl.clone());
        self.trigger(
            WatchList::Data,
            WatchKind::NodeDataChanged,
            path.clone(),
            acl,
        );
        stat
    }

    fn set_acl(
        &mut self,
        path: &ZPath,
        asked: &Acl,
        version: i32,
        stamp: Stamp,
        rights: Rights<'_>,
    ) -> OpResult {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let acl = fixed_up(asked, rights.ids)?;
        let node = self.node(path)?;
        self.allow(node, Perms::ADMIN, rights)?;
        matches_version(node.aversion, version)?;
        let node = self.nodes.get_mut(path).expect("it was looked up");
        node.aversion = node.aversion.wrapping_add(1);
        let former = std::mem::replace(&mut node.acl, acl);
        node.former_acls.push((stamp.zxid, former));
        self.relisted = true;
        self.undo.push(Undo::SetAcl { path: path.clone() });
        let stat = node.stat();
        Ok(Reply::AclSet { stat })
    }

    fn check(&self, path: &ZPath, version: i32, rights: Rights<'_>) -> OpResult {
        let node = self.valid_node(path)?;
        self.allow(node, Perms::READ, rights)?;
        matches_version(node.version, version)?;
        Ok(Reply::Checked)
    }

    /// The node at a path that must be one. Where a node is, the path is one.
    fn valid_node(&self, path: &ZPath) -> Result<&Node, ErrorCode> {
        match self.nodes.get(path) {
            Some(node) => Ok(node),
            None if validate(path).is_ok() => Err(ErrorCode::NoNode),
            None => Err(ErrorCode::BadArguments),
        }
    }

    /// Changes the members, as far as that is a matter of the tree: whether a quorum of the new ones is at hand, and whether
    /// another change is under way, the ensemble knows.
    fn reconfig(&mut self, op: &Op, stamp: Stamp, rights: Rights<'_>) -> OpResult {
        let Op::Reconfig {
            joining,
            leaving,
            new_members,
            from_config,
        } = op
        else {
            return Err(ErrorCode::Unimplemented);
        };
        if !self.settings.reconfig_enabled {
            return Err(ErrorCode::ReconfigDisabled);
        }
        let path: ZPath = CONFIG_NODE.into();
        let before = Configuration::of_node(&self.node(&path)?.data);
        if *from_config != -1 && *from_config != before.version() {
            return Err(ErrorCode::BadVersion);
        }
        let next = before.changed(&Change {
            joining: joining.as_deref(),
            leaving: leaving.as_deref(),
            new_members: new_members.as_deref(),
        })?;
        self.allow(self.node(&path)?, Perms::WRITE, rights)?;
        let data: Data = Some(next.to_node(stamp.zxid));
        // The configuration has a version of its own: the node's is set to what a request names that asks for none.
        let stat = self.replace(&path, &data, -1, stamp);
        Ok(Reply::Reconfigured { data, stat })
    }

    fn insert(&mut self, path: ZPath, node: Node, zxid: Zxid) {
        let (parent_path, name) = split(&path);
        let (parent_path, parent) = self
            .nodes
            .get_key_value_mut(parent_path)
            .expect("the parent was looked up");
        // As the tables have it.
        let parent_path = parent_path.clone();
        self.undo.push(Undo::Create {
            path: path.clone(),
            pzxid: parent.pzxid,
        });
        parent.children.insert(name.into());
        parent.creates = parent.creates.wrapping_add(1);
        parent.pzxid = zxid;
        let parents = parent.acl.clone();
        let own = node.acl.clone();
        self.keep(path.clone(), node);
        self.trigger(WatchList::Data, WatchKind::NodeCreated, path, own);
        self.trigger(
            WatchList::Child,
            WatchKind::NodeChildrenChanged,
            parent_path,
            parents,
        );
    }

    /// Puts a node into the tables.
    fn keep(&mut self, path: ZPath, node: Node) {
        if node.owner != SessionId::NONE {
            let ephemerals = self.sessions.entry(node.owner).or_default();
            ephemerals.insert(path.clone());
        }
        if node.life != Life::Unbound {
            self.swept.insert(path.clone(), node.life);
        }
        self.nodes.insert(path, node);
    }

    /// Takes a node out of the tables.
    fn lose(&mut self, path: &ZPath) -> Node {
        let node = self.nodes.remove(path).expect("it was looked up");
        if let Some(ephemerals) = self.sessions.get_mut(&node.owner) {
            ephemerals.remove(path);
        }
        if node.life != Life::Unbound {
            self.swept.remove(path);
        }
        node
    }

    fn remove(&mut self, path: &ZPath, stamp: Stamp) {
        let node = self.lose(path);
        let (parent_path, name) = split(path);
        let (parent_path, parent) = self
            .nodes
            .get_key_value_mut(parent_path)
            .expect("a node's parent stays while it has children");
        let parent_path = parent_path.clone();
        parent.children.remove(name);
        let pzxid = std::mem::replace(&mut parent.pzxid, stamp.zxid);
        let parents = parent.acl.clone();
        let own = node.acl.clone();
        let bytes = node.data.as_ref().map_or(0, |bytes| bytes.len() as i64);
        self.undo.push(Undo::Delete {
            path: path.clone(),
            node: Box::new(node),
            pzxid,
        });
        self.quota_of_removed(path, bytes);
        for list in [WatchList::Data, WatchList::Child] {
            self.trigger(list, WatchKind::NodeDeleted, path.clone(), own.clone());
        }
        self.trigger(
            WatchList::Child,
            WatchKind::NodeChildrenChanged,
            parent_path,
            parents,
        );
    }

    fn trigger(&mut self, list: WatchList, kind: WatchKind, path: ZPath, acl: Acl) {
        self.triggers.push(Trigger {
            list,
            kind,
            path,
            acl,
        });
    }

    /// Takes back every change of the multi under way, the last one first.
    fn take_back(&mut self) {
        self.triggers.clear();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Create { path, pzxid } => {
                    self.lose(&path);
                    let (parent_path, name) = split(&path);
                    let parent = self.nodes.get_mut(parent_path).expect("it has a child");
                    parent.children.remove(name);
                    parent.creates = parent.creates.wrapping_sub(1);
                    parent.pzxid = pzxid;
                }
                Undo::Delete { path, node, pzxid } => {
                    let (parent_path, name) = split(&path);
                    let parent = self.nodes.get_mut(parent_path).expect("it had a child");
                    parent.children.insert(name.into());
                    parent.pzxid = pzxid;
                    self.keep(path, *node);
                }
                Undo::Set {
                    path,
                    data,
                    version,
                    mzxid,
                    mtime,
                } => {
                    let node = self.nodes.get_mut(&path).expect("it was set");
                    node.data = data;
                    node.version = version;
                    node.mzxid = mzxid;
                    node.mtime = mtime;
                }
                Undo::SetAcl { path } => {
                    let node = self.nodes.get_mut(&path).expect("it was set");
                    let (_, former) = node.former_acls.pop().expect("it had one before");
                    node.acl = former;
                    node.aversion = node.aversion.wrapping_sub(1);
                }
                Undo::Counts { path, data } => {
                    let node = self.nodes.get_mut(&path).expect("it was counted in");
                    node.data = data;
                }
                Undo::Limit(path) => {
                    self.limited.insert(path);
                }
                Undo::Unlimit(path) => {
                    self.limited.remove(&path);
                }
                Undo::Upgraded(session) => {
                    self.local.insert(session);
                }
                Undo::Opened(session) => {
                    self.sessions.remove(&session);
                }
                Undo::Closed(session) => {
                    self.sessions.entry(session).or_default();
                }
            }
        }
    }
}

/// Whether a server can read it as a part of a multi: a few kinds, and with flags that it knows.
fn can_be_part(op: &Op) -> bool {
    match op {
        Op::Create { mode, .. } => {
            !matches!(mode, CreateMode::Invalid { flags, .. } if !(0..=6).contains(flags))
        }
        Op::Delete { .. } | Op::SetData { .. } | Op::Check { .. } => true,
        _ => false,
    }
}

/// What create and delete take for the parent: everything before the last slash. They look no closer at the path here, so
/// that `/a//b` has the parent `/a/`, which is never there.
fn prefix_before_last_slash(path: &str) -> Result<&str, ErrorCode> {
    if path.as_bytes().contains(&0) {
        return Err(ErrorCode::BadArguments);
    }
    match last_slash(path) {
        Some(at) => Ok(&path[..at]),
        None => Err(ErrorCode::BadArguments),
    }
}

/// The same, but for the nodes of the initial tree, which stay.
fn parent_of_deletable(path: &str) -> Result<&str, ErrorCode> {
    let parent = prefix_before_last_slash(path)?;
    let is_initial = matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | CONFIG_NODE);
    if is_initial {
        return Err(ErrorCode::BadArguments);
    }
    Ok(parent)
}

/// Names are short: byte by byte is quickest.
fn last_slash(path: &str) -> Option<usize> {
    path.bytes().rposition(|byte| byte == b'/')
}

/// The parent's path and the node's name, of a valid path other than the root's.
fn split(path: &str) -> (&str, &str) {
    let at = last_slash(path).expect("a valid path");
    (if at == 0 { "/" } else { &path[..at] }, &path[at + 1..])
}

/// −1 fits any version. One that has wrapped to −1 can be named no more; 3.9.5 has it so.
fn matches_version(actual: i32, wanted: i32) -> Result<(), ErrorCode> {
    if wanted == -1 || wanted == actual {
        Ok(())
    } else {
        Err(ErrorCode::BadVersion)
    }
}

/// The name of a sequential node: ten digits behind what was asked for, more or a sign where they are needed.
fn numbered(asked: &str, number: i32) -> ZPath {
    let Ok(mut left) = u32::try_from(number) else {
        return format!("{asked}{number:010}").into();
    };
    let mut digits = [b'0'; 10];
    for digit in digits.iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
    }
    let mut name = String::with_capacity(asked.len() + digits.len());
    name.push_str(asked);
    name.push_str(str::from_utf8(&digits).expect("digits"));
    name.into()
}
