//! The leader's preparation of requests: each is validated against the tree *as it will be* once everything before it has
//! been applied, gets its zxid, and becomes a transaction; one that fails becomes an error transaction.
//!
//! The tree as it will be is the tree overlaid by the records of outstanding changes: those prepared but not yet applied
//! here. A multi that fails takes all its records back, those of the parents included, so that no later request sees a
//! trace of it.
//!
//! The order of the checks is part of what clients see; it is ZooKeeper's, recorded from a real server. Of versions: −1
//! matches any, and a version that wraps skips −1.
//!
//! ACLs come with the next issue: their place is behind the look-up of the parent (create, delete) or the node (setData,
//! check). Only what no client may ever do is refused already: writing the configuration's node.
//!
//! Source: ZooKeeper 3.9 `PrepRequestProcessor`; ZOOKEEPER-1208 (the closing flag), 2623 (a bare check never gets here).

mod overlay;
#[cfg(test)]
mod tests;

pub(crate) use overlay::Overlay;

use crate::database::Database;
use crate::request::{Request, RequestKind};
use crate::sessions::Tracker;
use crate::tree::{CONFIG_NODE, SPECIAL, split};
use crate::txn::{Owner, Txn, TxnBody};
use overlay::NodeRecord;
use zab::Time;
use zabsim_types::{Acl, CreateMode, Data, ErrorCode, Op, SessionId, ZPath, Zxid, validate};

/// One request on its way to a transaction.
struct Preparing<'a> {
    overlay: &'a mut Overlay,
    db: &'a Database,
    session: SessionId,
    zxid: Zxid,
}

/// Makes the transaction `zxid` of a request.
pub(crate) fn prepare(
    overlay: &mut Overlay,
    tracker: &mut Tracker,
    db: &Database,
    request: &Request,
    zxid: Zxid,
    now: Time,
) -> Txn {
    let mut preparing = Preparing {
        overlay,
        db,
        session: request.session,
        zxid,
    };
    let body = match &request.kind {
        RequestKind::CreateSession { timeout_ms } => {
            tracker.track(request.session, *timeout_ms, Some(request.conn), now);
            TxnBody::CreateSession {
                timeout_ms: *timeout_ms,
            }
        }
        // Not checked: the leader itself asks, and the session is closing already.
        RequestKind::Expire => preparing.close_session(),
        RequestKind::Op(op) => match tracker.check(request.session, request.conn) {
            Err(error) => TxnBody::Error(error),
            Ok(()) => {
                if *op == Op::CloseSession {
                    tracker.set_closing(request.session);
                }
                preparing.op(op)
            }
        },
    };
    Txn {
        session: request.session,
        conn: request.conn,
        cxid: request.xid,
        time_ms: (now.0 / 1_000) as i64,
        body,
    }
}

impl Preparing<'_> {
    fn op(&mut self, op: &Op) -> TxnBody {
        match op {
            Op::Multi { ops } => self.multi(ops),
            Op::CloseSession => self.close_session(),
            op => self.part(op).unwrap_or_else(TxnBody::Error),
        }
    }

    fn multi(&mut self, ops: &[Op]) -> TxnBody {
        let allowed = |op: &Op| {
            use Op::{Check, Create, Delete, SetData};
            matches!(
                op,
                Create { .. } | Delete { .. } | SetData { .. } | Check { .. }
            )
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
                    self.overlay.roll_back();
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
                path, data, mode, ..
            } => self.create(path, data, *mode),
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
    ) -> Result<TxnBody, ErrorCode> {
        let (parent_path, _) = split_or_refuse(path)?;
        let mut parent = self.node(parent_path).ok_or(ErrorCode::NoNode)?;
        if parent_path == CONFIG_NODE {
            return Err(ErrorCode::NoAuth);
        }
        let path: ZPath = match mode.is_sequential() {
            true => format!("{path}{:010}", parent.creates).into(),
            false => path.clone(),
        };
        validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        if self.node(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if parent.owner.is_session() {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let owner = match mode.is_ephemeral() {
            true => Owner::Session(self.session),
            false => Owner::Nobody,
        };
        parent.creates = parent.creates.wrapping_add(1);
        parent.children += 1;
        self.put_parent(&path, parent);
        let node = NodeRecord {
            version: 0,
            creates: 0,
            children: 0,
            owner,
        };
        self.overlay.put(self.zxid, path.clone(), Some(node));
        Ok(TxnBody::Create {
            path,
            data: data.clone(),
            acl: Acl::OPEN,
            owner,
            parent_creates: parent.creates,
        })
    }

    fn delete(&mut self, path: &ZPath, version: i32) -> Result<TxnBody, ErrorCode> {
        let (parent_path, _) = split_or_refuse(path)?;
        if SPECIAL.contains(&&**path) {
            return Err(ErrorCode::BadArguments);
        }
        let parent = self.node(parent_path).ok_or(ErrorCode::NoNode)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        next_version(node.version, version)?;
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.put_deleted(path, parent);
        Ok(TxnBody::Delete { path: path.clone() })
    }

    fn set_data(&mut self, path: &ZPath, data: &Data, version: i32) -> Result<TxnBody, ErrorCode> {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let mut node = self.node(path).ok_or(ErrorCode::NoNode)?;
        if &**path == CONFIG_NODE {
            return Err(ErrorCode::NoAuth);
        }
        node.version = next_version(node.version, version)?;
        self.overlay.put(self.zxid, path.clone(), Some(node));
        Ok(TxnBody::SetData {
            path: path.clone(),
            data: data.clone(),
            version: node.version,
        })
    }

    fn check(&mut self, path: &ZPath, version: i32) -> Result<TxnBody, ErrorCode> {
        validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        next_version(node.version, version)?;
        Ok(TxnBody::Check { path: path.clone() })
    }

    fn close_session(&mut self) -> TxnBody {
        let ephemerals = self.overlay.ephemerals(self.db, self.session);
        for path in &ephemerals {
            let parent = split(path).and_then(|(parent, _)| self.node(parent));
            // The parents' counts too: a delete of the parent right behind the close must find it empty.
            self.put_deleted(
                path,
                parent.expect("a pending or present node has a parent"),
            );
        }
        TxnBody::CloseSession {
            ephemerals: ephemerals.into_iter().collect(),
        }
    }

    fn node(&self, path: &str) -> Option<NodeRecord> {
        self.overlay.node(self.db, path)
    }

    fn put_deleted(&mut self, path: &ZPath, mut parent: NodeRecord) {
        parent.children -= 1;
        self.put_parent(path, parent);
        self.overlay.put(self.zxid, path.clone(), None);
    }

    fn put_parent(&mut self, child: &str, parent: NodeRecord) {
        let path = zabsim_types::parent_of(child).expect("a child has a parent");
        self.overlay.put(self.zxid, path.into(), Some(parent));
    }
}

/// What `create` and `delete` refuse before they look anything up; of a path's form `delete` never asks more.
fn split_or_refuse(path: &str) -> Result<(&str, &str), ErrorCode> {
    match split(path) {
        Some(halves) if !path.contains('\0') => Ok(halves),
        _ => Err(ErrorCode::BadArguments),
    }
}

fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BadVersion);
    }
    Ok(match current.wrapping_add(1) {
        -1 => 0,
        next => next,
    })
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
