//! The leader's preparation of requests: each is validated against the tree *as it will be* once everything before it has
//! been applied, gets its zxid, and becomes a transaction; one that fails becomes an error transaction.
//!
//! The tree as it will be is the tree overlaid by the records of outstanding changes: those prepared but not yet applied
//! here. A multi that fails takes all its records back, those of the parents included, so that no later request sees a
//! trace of it.
//!
//! The order of the checks is part of what clients see; it is ZooKeeper's, recorded from a real server. Of versions −1
//! matches any; they wrap, and one that has come to −1 cannot be named until the next change (ZOOKEEPER-4743, mended behind
//! 3.9.5).
//!
//! An access control list counts from the moment in which it is prepared: the records carry it. (ZooKeeper looks at the list
//! in its applied tree, so that a write right behind a setACL can still be judged by the list before it: **BASE**.)
//!
//! Source: ZooKeeper 3.9 `PrepRequestProcessor`; `ContainerManager`; ZOOKEEPER-1208 (the closing flag), 2623
//! (a bare check never gets here).

mod overlay;
#[cfg(test)]
mod tests;

pub(crate) use overlay::Overlay;

use crate::acl;
use crate::api::Rules;
use crate::auth::Identities;
use crate::database::Database;
use crate::quota::{self, Amount, Track};
use crate::reconfig::Change;
use crate::request::{Request, RequestKind};
use crate::sessions::Tracker;
use crate::tree::{CONFIG_NODE, CONFIG_VERSION, SPECIAL, split};
use crate::txn::{Owner, Txn, TxnBody};
use overlay::NodeRecord;
use std::collections::BTreeMap;
use zab::{Bug, Planted, QuorumConfig, Time};
use zabsim_types::{
    Acl, CreateMode, Data, ErrorCode, Op, Perms, SessionId, ZPath, Zxid, parent_of, validate,
};

/// One request on its way to a transaction.
struct Preparing<'a> {
    overlay: &'a mut Overlay,
    db: &'a Database,
    rules: &'a Rules,
    ensemble: &'a Ensemble<'a>,
    /// The ensemble that this request makes, if it makes one.
    quorum: Option<QuorumConfig>,
    session: SessionId,
    ids: &'a Identities,
    /// No server but its own knows the session.
    local: bool,
    zxid: Zxid,
    time_ms: i64,
    /// The nodes that hold counts of quotas and change by this request, as they were before it.
    counted: BTreeMap<ZPath, Data>,
}

/// What preparing needs to know of the ensemble.
pub(crate) struct Ensemble<'a> {
    /// Whether a reconfiguration is under way.
    pub(crate) reconfiguring: bool,
    /// Whether a quorum of such an ensemble follows this leader and has its history.
    pub(crate) may_become: &'a dyn Fn(&QuorumConfig) -> bool,
}

impl Ensemble<'_> {
    /// One that cannot be asked just now: who wants to reconfigure it is told to try again.
    pub(crate) const BUSY: Ensemble<'static> = Ensemble {
        reconfiguring: true,
        may_become: &|_| false,
    };
}

#[cfg(test)]
impl Ensemble<'_> {
    /// One that no test reconfigures.
    pub(crate) const FIXED: Ensemble<'static> = Ensemble {
        reconfiguring: false,
        may_become: &|_| false,
    };
}

/// Makes the transaction of a request, under this zxid and at this time; with it the ensemble that it leads to, if that changes.
pub(crate) fn prepare(
    overlay: &mut Overlay,
    tracker: &mut Tracker,
    db: &Database,
    rules: &Rules,
    ensemble: &Ensemble<'_>,
    request: &Request,
    (zxid, now): (Zxid, Time),
) -> (Txn, Option<QuorumConfig>) {
    let time_ms = (now.0 / 1_000) as i64;
    let mut preparing = Preparing {
        overlay,
        db,
        rules,
        ensemble,
        quorum: None,
        session: request.session,
        ids: &request.ids,
        local: request.local,
        zxid,
        time_ms,
        counted: BTreeMap::new(),
    };
    let body = match &request.kind {
        // An upgrade that comes too late: somebody was told that this session is no more.
        RequestKind::CreateSession { .. } if tracker.is_refused(request.session) => {
            TxnBody::Error(ErrorCode::SessionExpired)
        }
        RequestKind::CreateSession { timeout_ms } => {
            tracker.track(request.session, *timeout_ms, Some(request.conn), now);
            TxnBody::CreateSession {
                timeout_ms: *timeout_ms,
            }
        }
        // Neither is checked: the leader itself asks.
        RequestKind::Expire => preparing.close_session(),
        RequestKind::Sweep(path) => preparing.sweep(path).unwrap_or_else(TxnBody::Error),
        RequestKind::Op(op) => match tracker.check(request.session, request.conn, request.local) {
            Err(error) => TxnBody::Error(error),
            Ok(()) => {
                if *op == Op::CloseSession {
                    tracker.set_closing(request.session);
                }
                preparing.op(op)
            }
        },
    };
    let counts = preparing.counts();
    let quorum = preparing.quorum.take();
    let txn = Txn {
        session: request.session,
        conn: request.conn,
        cxid: request.xid,
        time_ms,
        body,
        counts,
    };
    (txn, quorum)
}

/// The container and TTL nodes that it is time to remove.
pub(crate) fn due(overlay: &Overlay, db: &Database, now: Time) -> Vec<ZPath> {
    let time_ms = (now.0 / 1_000) as i64;
    let is_due = |path: &&ZPath| {
        let node = overlay.node(db, path);
        node.is_some_and(|node| node.may_go(time_ms, db.tree.bugs) == Ok(()))
    };
    db.tree.swept().filter(is_due).cloned().collect()
}

impl NodeRecord {
    /// Whether the sweep may remove the node, or why not.
    fn may_go(&self, time_ms: i64, bugs: Planted) -> Result<(), ErrorCode> {
        if self.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        let over = match self.owner {
            // One that was never used waits for its first child.
            Owner::Container => self.creates != 0 || bugs.has(Bug::ContainerSweptEarly),
            Owner::Ttl { ttl_ms } => time_ms.saturating_sub(self.mtime) > ttl_ms,
            Owner::Nobody | Owner::Session(_) => false,
        };
        match over {
            true => Ok(()),
            false => Err(ErrorCode::BadVersion),
        }
    }
}

impl Preparing<'_> {
    fn op(&mut self, op: &Op) -> TxnBody {
        match op {
            Op::Multi { ops } => self.multi(ops),
            Op::CloseSession => self.close_session(),
            Op::Reconfig {
                joining,
                leaving,
                new_members,
                from_config,
            } => {
                let change = Change {
                    joining: joining.as_deref(),
                    leaving: leaving.as_deref(),
                    new_members: new_members.as_deref(),
                    from_config: *from_config,
                };
                self.reconfig(&change).unwrap_or_else(TxnBody::Error)
            }
            Op::SetAcl { path, acl, version } => self
                .set_acl(path, acl, *version)
                .unwrap_or_else(TxnBody::Error),
            Op::DeleteContainer { path } => {
                self.delete_container(path).unwrap_or_else(TxnBody::Error)
            }
            op => self.part(op).unwrap_or_else(TxnBody::Error),
        }
    }

    fn multi(&mut self, ops: &[Op]) -> TxnBody {
        let allowed = |op: &Op| match op {
            // A part whose flags are no mode's cannot be read at all.
            Op::Create {
                mode: CreateMode::Invalid { flags, .. },
                ..
            } => (0..=6).contains(flags),
            Op::Create { .. } | Op::Delete { .. } | Op::SetData { .. } | Op::Check { .. } => true,
            _ => false,
        };
        if !ops.iter().all(allowed) {
            // ZooKeeper cannot read such a request; it takes a zxid all the same.
            return TxnBody::Error(ErrorCode::MarshallingError);
        }
        self.overlay.begin();
        let mut parts = Vec::with_capacity(ops.len());
        for op in ops {
            match self.part(op) {
                Ok(part) => parts.push(part),
                Err(error) => {
                    match self.db.tree.bugs.has(Bug::MultiNotRolledBack) {
                        true => self.overlay.commit(),
                        false => self.overlay.roll_back(),
                    }
                    self.counted.clear();
                    return TxnBody::Multi(failed_parts(parts.len(), error, ops.len()));
                }
            }
        }
        self.overlay.commit();
        TxnBody::Multi(parts)
    }

    /// A single operation or a part of a multi.
    fn part(&mut self, op: &Op) -> Result<TxnBody, ErrorCode> {
        match op {
            Op::Create {
                path,
                data,
                mode,
                acl,
                ..
            } => self.create(path, data, *mode, acl),
            Op::Delete { path, version } => self.delete(path, *version),
            Op::SetData {
                path,
                data,
                version,
            } => self.set_data(path, data, *version),
            Op::Check { path, version } => self.check(path, *version),
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    fn create(
        &mut self,
        path: &ZPath,
        data: &Data,
        mode: CreateMode,
        acl: &Acl,
    ) -> Result<TxnBody, ErrorCode> {
        let owner = self.owner(mode)?;
        if mode.is_ephemeral() && self.local {
            return Err(ErrorCode::EphemeralOnLocalSession);
        }
        let (parent_path, _) = split_or_refuse(path)?;
        let acl = acl::settle(acl, self.ids)?;
        let mut parent = self.node(parent_path).ok_or(ErrorCode::NoNode)?;
        acl::check(&parent.acl, Perms::CREATE, self.ids)?;
        let number = match self.db.tree.bugs.has(Bug::SequenceFromChildren) {
            true => parent.children,
            false => parent.creates,
        };
        let path: ZPath = match mode.is_sequential() {
            true => format!("{path}{number:010}").into(),
            false => path.clone(),
        };
        validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        if self.node(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if parent.owner.is_session() {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        self.check_quota(&path, Amount::of(data))?;
        parent.creates = parent.creates.wrapping_add(1);
        parent.children += 1;
        let parent_creates = parent.creates;
        self.put_parent(&path, parent);
        let node = NodeRecord {
            data: data.clone(),
            acl: acl.clone(),
            mtime: self.time_ms,
            version: 0,
            aversion: 0,
            creates: 0,
            children: 0,
            owner,
        };
        self.overlay.put(self.zxid, path.clone(), Some(node));
        if let Some(on) = quota::counted_by(&path) {
            let total = self.overlay.weigh(self.db, on);
            self.set_count(on, |_| total);
        }
        self.count(&path, Amount::of(data));
        Ok(TxnBody::Create {
            path,
            data: data.clone(),
            acl,
            owner,
            parent_creates,
        })
    }

    /// How long a node of that mode stays, if there can be one.
    fn owner(&self, mode: CreateMode) -> Result<Owner, ErrorCode> {
        match mode {
            CreateMode::Persistent | CreateMode::PersistentSequential => Ok(Owner::Nobody),
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => {
                Ok(Owner::Session(self.session))
            }
            CreateMode::Container => Ok(Owner::Container),
            CreateMode::PersistentWithTtl { ttl_ms }
            | CreateMode::PersistentSequentialWithTtl { ttl_ms } => {
                let valid = (1..=CreateMode::MAX_TTL_MS).contains(&ttl_ms);
                match (self.rules.extended_types, valid) {
                    (false, _) => Err(ErrorCode::Unimplemented),
                    (true, false) => Err(ErrorCode::BadArguments),
                    (true, true) => Ok(Owner::Ttl { ttl_ms }),
                }
            }
            CreateMode::Invalid { .. } => Err(ErrorCode::BadArguments),
        }
    }

    fn delete(&mut self, path: &ZPath, version: i32) -> Result<TxnBody, ErrorCode> {
        let parent_path = split_deletable(path)?;
        let parent = self.node(parent_path).ok_or(ErrorCode::NoNode)?;
        acl::check(&parent.acl, Perms::DELETE, self.ids)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        next_version(node.version, version)?;
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.put_deleted(path, parent, &node);
        Ok(TxnBody::Delete { path: path.clone() })
    }

    /// The leader's own: what was due when it looked must still be.
    fn sweep(&mut self, path: &ZPath) -> Result<TxnBody, ErrorCode> {
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        node.may_go(self.time_ms, self.db.tree.bugs)?;
        let (parent_path, _) = split_or_refuse(path)?;
        let parent = self.node(parent_path).ok_or(ErrorCode::NoNode)?;
        self.put_deleted(path, parent, &node);
        Ok(TxnBody::Delete { path: path.clone() })
    }

    /// A client asks for what only the leader's sweep should: ZooKeeper 3.9.5 asks neither what kind of node it is nor
    /// whether the client may delete it.
    fn delete_container(&mut self, path: &ZPath) -> Result<TxnBody, ErrorCode> {
        let parent_path = split_deletable(path)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        if node.owner.is_session() {
            return Err(ErrorCode::BadVersion);
        }
        let parent = self.node(parent_path).ok_or(ErrorCode::NoNode)?;
        if self.rules.guard_delete_container {
            if node.owner == Owner::Nobody {
                return Err(ErrorCode::BadArguments);
            }
            acl::check(&parent.acl, Perms::DELETE, self.ids)?;
        }
        self.put_deleted(path, parent, &node);
        Ok(TxnBody::Delete { path: path.clone() })
    }

    fn set_data(&mut self, path: &ZPath, data: &Data, version: i32) -> Result<TxnBody, ErrorCode> {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let mut node = self.node(path).ok_or(ErrorCode::NoNode)?;
        if !self.db.tree.bugs.has(Bug::AclNotChecked) {
            acl::check(&node.acl, Perms::WRITE, self.ids)?;
        }
        let more = Amount {
            count: 0,
            bytes: quota::len(data) - quota::len(&node.data),
        };
        self.check_quota(path, more)?;
        let version = match self.db.tree.bugs.has(Bug::VersionNotChecked) {
            true => next_version(node.version, -1)?,
            false => next_version(node.version, version)?,
        };
        node.version = version;
        node.data = data.clone();
        node.mtime = self.time_ms;
        self.overlay.put(self.zxid, path.clone(), Some(node));
        self.count(path, more);
        Ok(TxnBody::SetData {
            path: path.clone(),
            data: data.clone(),
            version,
        })
    }

    /// A change of the members, if nothing but a request stands against it.
    fn reconfig(&mut self, change: &Change<'_>) -> Result<TxnBody, ErrorCode> {
        if self.rules.first_configuration.is_none() {
            return Err(ErrorCode::ReconfigDisabled);
        }
        if self.ensemble.reconfiguring {
            return Err(ErrorCode::ReconfigInProgress);
        }
        let mut node = self.node(CONFIG_NODE).ok_or(ErrorCode::NoNode)?;
        let text = String::from_utf8_lossy(node.data.as_deref().unwrap_or_default()).into_owned();
        let (text, quorum) = change.make(&text, self.zxid)?;
        if !(self.ensemble.may_become)(&quorum) {
            return Err(ErrorCode::NewConfigNoQuorum);
        }
        acl::check(&node.acl, Perms::WRITE, self.ids)?;
        let data: Data = Some(text.into_bytes().into());
        node.version = CONFIG_VERSION;
        node.data = data.clone();
        node.mtime = self.time_ms;
        self.overlay.put(self.zxid, CONFIG_NODE.into(), Some(node));
        self.quorum = Some(quorum);
        Ok(TxnBody::Reconfig { data })
    }

    fn set_acl(&mut self, path: &ZPath, acl: &Acl, version: i32) -> Result<TxnBody, ErrorCode> {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let acl = acl::settle(acl, self.ids)?;
        let mut node = self.node(path).ok_or(ErrorCode::NoNode)?;
        acl::check(&node.acl, Perms::ADMIN, self.ids)?;
        let version = next_version(node.aversion, version)?;
        node.aversion = version;
        node.acl = acl.clone();
        self.overlay.put(self.zxid, path.clone(), Some(node));
        Ok(TxnBody::SetAcl {
            path: path.clone(),
            acl,
            version,
        })
    }

    fn check(&mut self, path: &ZPath, version: i32) -> Result<TxnBody, ErrorCode> {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        acl::check(&node.acl, Perms::READ, self.ids)?;
        next_version(node.version, version)?;
        Ok(TxnBody::Check { path: path.clone() })
    }

    fn close_session(&mut self) -> TxnBody {
        let mut ephemerals = self.overlay.ephemerals(self.db, self.session);
        if self.db.tree.bugs.has(Bug::EphemeralOutlivesSession) {
            ephemerals.pop_last();
        }
        for path in &ephemerals {
            let parent = split(path).and_then(|(parent, _)| self.node(parent));
            let parent = parent.expect("a pending or present node has a parent");
            let node = self.node(path).expect("it is present or pending");
            // The parents' counts too: a delete of the parent right behind the close must find it empty.
            self.put_deleted(path, parent, &node);
        }
        TxnBody::CloseSession {
            ephemerals: ephemerals.into_iter().collect(),
        }
    }

    fn node(&self, path: &str) -> Option<NodeRecord> {
        self.overlay.node(self.db, path)
    }

    fn put_deleted(&mut self, path: &ZPath, mut parent: NodeRecord, node: &NodeRecord) {
        parent.children -= 1;
        self.put_parent(path, parent);
        self.overlay.put(self.zxid, path.clone(), None);
        self.count(path, Amount::of(&node.data).negative());
    }

    fn put_parent(&mut self, child: &str, parent: NodeRecord) {
        let path = parent_of(child).expect("a child has a parent");
        self.overlay.put(self.zxid, path.into(), Some(parent));
    }
}

/// Quotas.
impl Preparing<'_> {
    /// The nearest path at or above with a quota on it.
    fn quota_on(&self, path: &str) -> Option<String> {
        let quotas = self.node(quota::QUOTA_NODE)?;
        if quotas.children == 0 {
            return None;
        }
        let mut at = Some(path);
        while let Some(path) = at.filter(|path| *path != "/") {
            if self.node(&quota::limits_of(path)).is_some() {
                return Some(path.to_owned());
            }
            at = parent_of(path);
        }
        None
    }

    /// Whether so much more at `path` stays within the hard limits.
    fn check_quota(&self, path: &str, more: Amount) -> Result<(), ErrorCode> {
        if !self.rules.enforce_quota {
            return Ok(());
        }
        let Some(on) = self.quota_on(path) else {
            return Ok(());
        };
        let stats = quota::stats_of(&on);
        let limits = self.node(&quota::limits_of(&on));
        let (Some(limits), Some(now)) = (limits, self.node(&stats)) else {
            return Ok(());
        };
        let now = self.counted.get(&*stats).unwrap_or(&now.data);
        match Track::read(&limits.data).forbids(Track::read(now).amount(), more) {
            true => Err(ErrorCode::QuotaExceeded),
            false => Ok(()),
        }
    }

    /// So much more at `path`.
    fn count(&mut self, path: &str, more: Amount) {
        if let Some(on) = self.quota_on(path) {
            self.set_count(&on, |now| now.and(more));
        }
    }

    fn set_count(&mut self, on: &str, change: impl FnOnce(Amount) -> Amount) {
        let stats: ZPath = quota::stats_of(on).into();
        let Some(mut node) = self.node(&stats) else {
            return;
        };
        let track = Track::read(&node.data);
        let counted = track.write(change(track.amount()));
        let old = std::mem::replace(&mut node.data, counted);
        self.counted.entry(stats.clone()).or_insert(old);
        self.overlay.put(self.zxid, stats, Some(node));
    }

    /// What the nodes with counts that changed hold in the end.
    fn counts(&self) -> Vec<(ZPath, Data)> {
        let paths = self.counted.keys();
        paths
            .filter_map(|path| Some((path.clone(), self.node(path)?.data)))
            .collect()
    }
}

/// What `create` and `delete` refuse before they look anything up; of a path's form `delete` never asks more.
fn split_or_refuse(path: &str) -> Result<(&str, &str), ErrorCode> {
    match split(path) {
        Some(halves) if !path.contains('\0') => Ok(halves),
        _ => Err(ErrorCode::BadArguments),
    }
}

/// What both ways to delete refuse before they look anything up; else the parent's path.
fn split_deletable(path: &str) -> Result<&str, ErrorCode> {
    let (parent, _) = split_or_refuse(path)?;
    match SPECIAL.contains(&path) {
        true => Err(ErrorCode::BadArguments),
        false => Ok(parent),
    }
}

fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BadVersion);
    }
    Ok(current.wrapping_add(1))
}

/// Zeros before the culprit, its error, and behind it parts that were not tried.
fn failed_parts(culprit: usize, error: ErrorCode, parts: usize) -> Vec<TxnBody> {
    let code = |i: usize| match i.cmp(&culprit) {
        std::cmp::Ordering::Less => ErrorCode::Ok,
        std::cmp::Ordering::Equal => error,
        std::cmp::Ordering::Greater => ErrorCode::RuntimeInconsistency,
    };
    (0..parts).map(|i| TxnBody::Error(code(i))).collect()
}
