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

use crate::database::Database;
use crate::request::{Request, RequestKind};
use crate::sessions::Tracker;
use crate::tree::{CONFIG_NODE, SPECIAL, split};
use crate::txn::{Txn, TxnBody};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::Time;
use zabsim_types::{CreateMode, Data, ErrorCode, Op, SessionId, ZPath, Zxid, validate};

/// What the next request will find at a path, as far as its own validation needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    /// The outstanding transaction that made it so.
    zxid: Zxid,
    /// `None`: the node is deleted.
    node: Option<NodeRecord>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct NodeRecord {
    version: i32,
    creates: i32,
    children: i32,
    owner: SessionId,
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
    fn node(&self, db: &Database, path: &str) -> Option<NodeRecord> {
        let path = if path.is_empty() { "/" } else { path };
        if let Some(record) = self.latest.get(path) {
            return record.node;
        }
        db.tree.node(path).map(|node| NodeRecord {
            version: node.version,
            creates: node.creates,
            children: node.children.len() as i32,
            owner: node.owner,
        })
    }

    fn put(&mut self, zxid: Zxid, path: ZPath, node: Option<NodeRecord>) {
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

    fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    fn commit(&mut self) {
        self.undo = None;
    }

    fn roll_back(&mut self) {
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
    fn ephemerals(&self, db: &Database, session: SessionId) -> BTreeSet<ZPath> {
        let mut paths: BTreeSet<ZPath> = db.tree.ephemerals(session).cloned().collect();
        for (path, record) in &self.latest {
            if record.node.is_some_and(|n| n.owner == session) {
                paths.insert(path.clone());
            } else {
                paths.remove(path);
            }
        }
        paths
    }

    /// Whether nothing is outstanding.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.latest.is_empty() && self.order.is_empty()
    }
}

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
        if parent.owner != SessionId::NONE {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let owner = match mode.is_ephemeral() {
            true => self.session,
            false => SessionId::NONE,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnId;
    use crate::database::Outcome;
    use zabsim_types::Xid;

    /// A leader's preparation alone: nothing is applied until the test says so.
    struct Bench {
        overlay: Overlay,
        tracker: Tracker,
        db: Database,
        prepared: Vec<Txn>,
    }

    const S: SessionId = SessionId(0x11);
    const T: SessionId = SessionId(0x22);

    impl Bench {
        fn new() -> Bench {
            let mut bench = Bench {
                overlay: Overlay::default(),
                tracker: Tracker::new(1_000_000),
                db: Database::new(),
                prepared: Vec::new(),
            };
            for session in [S, T] {
                bench.ask(session, RequestKind::CreateSession { timeout_ms: 1000 });
            }
            bench
        }

        fn ask(&mut self, session: SessionId, kind: RequestKind) -> TxnBody {
            let request = Request {
                session,
                conn: ConnId(session.0 as u64),
                xid: Xid(1),
                kind,
            };
            let zxid = Zxid(self.prepared.len() as u64 + 1);
            let txn = prepare(
                &mut self.overlay,
                &mut self.tracker,
                &self.db,
                &request,
                zxid,
                Time(0),
            );
            self.prepared.push(txn.clone());
            txn.body
        }

        fn op(&mut self, op: Op) -> TxnBody {
            self.ask(S, RequestKind::Op(op))
        }

        fn create(&mut self, path: &str, mode: CreateMode) -> TxnBody {
            self.op(create(path, mode))
        }

        fn error(&mut self, op: Op) -> ErrorCode {
            match self.op(op) {
                TxnBody::Error(code) => code,
                other => panic!("{other} did not fail"),
            }
        }

        fn apply_all(&mut self) {
            for (i, txn) in self.prepared.iter().enumerate() {
                let zxid = Zxid(i as u64 + 1);
                if zxid > self.db.applied() {
                    self.db.apply(zxid, txn, &mut Outcome::default());
                    self.overlay.applied(zxid);
                }
            }
            assert!(self.overlay.is_empty(), "nothing is outstanding");
        }
    }

    use CreateMode::{Ephemeral, Persistent, PersistentSequential};

    fn create(path: &str, mode: CreateMode) -> Op {
        Op::Create {
            path: path.into(),
            data: None,
            mode,
            with_stat: false,
        }
    }

    fn delete(path: &str, version: i32) -> Op {
        Op::Delete {
            path: path.into(),
            version,
        }
    }

    fn set(path: &str, version: i32) -> Op {
        Op::SetData {
            path: path.into(),
            data: None,
            version,
        }
    }

    fn check(path: &str, version: i32) -> Op {
        Op::Check {
            path: path.into(),
            version,
        }
    }

    fn path_of(body: TxnBody) -> String {
        match body {
            TxnBody::Create { path, .. } => path.to_string(),
            other => panic!("{other} is no create"),
        }
    }

    #[test]
    fn requests_see_what_is_outstanding() {
        let mut b = Bench::new();
        b.create("/a", Persistent);
        assert_eq!(b.error(create("/a", Persistent)), ErrorCode::NodeExists);
        b.create("/a/b", Persistent);
        assert_eq!(b.error(delete("/a", -1)), ErrorCode::NotEmpty);
        b.op(set("/a/b", 0));
        assert_eq!(b.error(set("/a/b", 0)), ErrorCode::BadVersion);
        b.op(delete("/a/b", 1));
        assert_eq!(b.error(set("/a/b", -1)), ErrorCode::NoNode);
        b.op(delete("/a", -1));
        b.apply_all();
        assert_eq!(b.db.tree.len(), 4);
    }

    #[test]
    fn sequence_numbers_count_creations_and_those_outstanding() {
        let mut b = Bench::new();
        b.create("/s", Persistent);
        assert_eq!(
            path_of(b.create("/s/n", PersistentSequential)),
            "/s/n0000000000"
        );
        b.op(delete("/s/n0000000000", -1));
        b.create("/s/x", Persistent);
        assert_eq!(b.error(create("/s/x", Persistent)), ErrorCode::NodeExists);
        assert_eq!(
            path_of(b.create("/s/n", PersistentSequential)),
            "/s/n0000000002"
        );
        b.apply_all();
        assert_eq!(
            path_of(b.create("/s/", PersistentSequential)),
            "/s/0000000003"
        );
    }

    #[test]
    fn the_sequence_overflows_to_a_negative_number_and_goes_on() {
        let mut b = Bench::new();
        b.create("/s", Persistent);
        let full = TxnBody::Create {
            path: "/s/full".into(),
            data: None,
            owner: SessionId::NONE,
            parent_creates: i32::MAX,
        };
        let mut txn = b.prepared[2].clone();
        txn.body = full;
        b.prepared.push(txn);
        b.apply_all();
        assert_eq!(
            path_of(b.create("/s/n", PersistentSequential)),
            "/s/n2147483647"
        );
        assert_eq!(
            path_of(b.create("/s/n", PersistentSequential)),
            "/s/n-2147483648"
        );
        b.apply_all();
        assert_eq!(
            path_of(b.create("/s/n", PersistentSequential)),
            "/s/n-2147483647"
        );
    }

    #[test]
    fn create_checks_in_zookeepers_order() {
        let mut b = Bench::new();
        b.create("/e", Ephemeral);
        for (path, mode, error) in [
            ("", Persistent, ErrorCode::BadArguments),
            ("a", Persistent, ErrorCode::BadArguments),
            ("/no/\0", Persistent, ErrorCode::BadArguments),
            ("/no/..", Persistent, ErrorCode::NoNode),
            ("/a/", Persistent, ErrorCode::NoNode),
            ("/..", Persistent, ErrorCode::BadArguments),
            ("//", Persistent, ErrorCode::BadArguments),
            ("/", Ephemeral, ErrorCode::NodeExists),
            ("/e", Persistent, ErrorCode::NodeExists),
            ("/e/x", Persistent, ErrorCode::NoChildrenForEphemerals),
            ("/e/..", Persistent, ErrorCode::BadArguments),
            ("/zookeeper/config/x", Persistent, ErrorCode::NoAuth),
        ] {
            assert_eq!(b.error(create(path, mode)), error, "{path:?}");
        }
        assert_eq!(path_of(b.create("/", PersistentSequential)), "/0000000001");
    }

    #[test]
    fn delete_checks_in_zookeepers_order() {
        let mut b = Bench::new();
        b.create("/p", Persistent);
        b.create("/p/c", Persistent);
        for (path, version, error) in [
            ("", -1, ErrorCode::BadArguments),
            ("/", 9, ErrorCode::BadArguments),
            ("/zookeeper", -1, ErrorCode::BadArguments),
            ("/zookeeper/quota", -1, ErrorCode::BadArguments),
            ("/a/", -1, ErrorCode::NoNode),
            ("/no/x", -1, ErrorCode::NoNode),
            ("/p", 3, ErrorCode::BadVersion),
            ("/p", -1, ErrorCode::NotEmpty),
        ] {
            assert_eq!(b.error(delete(path, version)), error, "{path:?}");
        }
    }

    #[test]
    fn set_and_check_look_at_the_path_first() {
        let mut b = Bench::new();
        for path in ["", "a", "/a/"] {
            assert_eq!(b.error(set(path, 7)), ErrorCode::BadArguments, "{path:?}");
        }
        assert_eq!(b.error(set("/no", 7)), ErrorCode::NoNode);
        assert_eq!(b.error(set("/", 7)), ErrorCode::BadVersion);
        assert_eq!(b.error(set("/zookeeper/config", -1)), ErrorCode::NoAuth);
        let multi = b.op(Op::Multi {
            ops: vec![check("/a/", -1)],
        });
        assert_eq!(
            multi,
            TxnBody::Multi(vec![TxnBody::Error(ErrorCode::BadArguments)])
        );
    }

    #[test]
    fn versions_wrap_past_minus_one() {
        assert_eq!(next_version(i32::MAX, -1), Ok(i32::MIN));
        assert_eq!(next_version(-2, -2), Ok(0));
        assert_eq!(next_version(3, 3), Ok(4));
        assert_eq!(next_version(3, -2), Err(ErrorCode::BadVersion));
    }

    #[test]
    fn parts_of_a_multi_see_the_ones_before() {
        let mut b = Bench::new();
        let ops = vec![
            create("/a", Persistent),
            create("/a/n", PersistentSequential),
            set("/a", 0),
            check("/a", 1),
            delete("/a/n0000000000", -1),
            delete("/a", 1),
        ];
        let TxnBody::Multi(parts) = b.op(Op::Multi { ops }) else {
            panic!("a multi is a multi");
        };
        assert!(
            !parts.iter().any(|p| matches!(p, TxnBody::Error(_))),
            "{parts:?}"
        );
        b.apply_all();
        assert_eq!(b.db.tree.len(), 4);
    }

    #[test]
    fn a_failed_multi_leaves_no_trace_of_its_records_parents_included() {
        let mut b = Bench::new();
        b.create("/s", Persistent);
        b.create("/s/n", PersistentSequential);
        let failed = b.op(Op::Multi {
            ops: vec![
                create("/s/n", PersistentSequential),
                set("/s", 0),
                delete("/s/n0000000000", -1),
                check("/no", -1),
                create("/late", Persistent),
            ],
        });
        let code = TxnBody::Error;
        let ok = || code(ErrorCode::Ok);
        let vector = vec![
            ok(),
            ok(),
            ok(),
            code(ErrorCode::NoNode),
            code(ErrorCode::RuntimeInconsistency),
        ];
        assert_eq!(failed, TxnBody::Multi(vector));
        assert_eq!(
            path_of(b.create("/s/n", PersistentSequential)),
            "/s/n0000000001"
        );
        assert_eq!(
            b.error(create("/s/n0000000000", Persistent)),
            ErrorCode::NodeExists
        );
        assert!(matches!(
            b.op(set("/s", 0)),
            TxnBody::SetData { version: 1, .. }
        ));
        b.apply_all();
    }

    #[test]
    fn a_multi_of_something_else_is_refused_whole() {
        let mut b = Bench::new();
        for alien in [Op::CloseSession, Op::Multi { ops: vec![] }] {
            let ops = vec![create("/a", Persistent), alien];
            assert_eq!(b.error(Op::Multi { ops }), ErrorCode::MarshallingError);
        }
        assert_eq!(b.op(Op::Multi { ops: vec![] }), TxnBody::Multi(vec![]));
        assert_eq!(b.error(set("/a", -1)), ErrorCode::NoNode);
    }

    #[test]
    fn a_close_takes_pending_ephemerals_and_leaves_the_parent_empty() {
        let mut b = Bench::new();
        b.create("/p", Persistent);
        b.create("/p/applied", Ephemeral);
        b.create("/p/gone", Ephemeral);
        b.apply_all();
        b.create("/p/pending", Ephemeral);
        b.op(delete("/p/gone", -1));
        b.ask(T, RequestKind::Op(create("/p/gone", Ephemeral)));
        let TxnBody::CloseSession { ephemerals } = b.op(Op::CloseSession) else {
            panic!("a close is a close");
        };
        assert_eq!(ephemerals, ["/p/applied".into(), ZPath::from("/p/pending")]);
        let late = b.error(create("/p/late", Ephemeral));
        assert_eq!(late, ErrorCode::SessionExpired, "ZOOKEEPER-1208");
        b.ask(T, RequestKind::Op(delete("/p/gone", -1)));
        let last = b.ask(T, RequestKind::Op(delete("/p", -1)));
        assert!(matches!(last, TxnBody::Delete { .. }), "{last}");
        b.apply_all();
    }
}
