//! Preparation alone: nothing is applied until the test says so.

mod lists;
mod quotas;
mod reconfiguring;
mod sweeping;

use super::*;
use crate::ConnId;
use crate::auth::Identities;
use crate::database::Outcome;
use crate::tests::create;
use zabsim_types::Xid;

/// A leader's preparation alone: nothing is applied until the test says so.
struct Bench {
    overlay: Overlay,
    tracker: Tracker,
    db: Database,
    rules: Rules,
    ids: Identities,
    now: Time,
    prepared: Vec<Txn>,
    reconfiguring: bool,
    quorum_is_there: bool,
    /// The ensemble that the last request makes.
    quorum: Option<QuorumConfig>,
}

const S: SessionId = SessionId(0x11);
const T: SessionId = SessionId(0x22);

impl Bench {
    fn new() -> Bench {
        let mut bench = Bench {
            overlay: Overlay::default(),
            tracker: Tracker::new(1_000_000, zab::Planted::NONE),
            db: Database::new(),
            rules: Rules::default(),
            ids: Identities::default(),
            now: Time(0),
            prepared: Vec::new(),
            reconfiguring: false,
            quorum_is_there: true,
            quorum: None,
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
            ids: self.ids.clone(),
            local: false,
            kind,
        };
        let zxid = Zxid(self.prepared.len() as u64 + 1);
        let (in_flight, quorum_is_there) = (self.reconfiguring, self.quorum_is_there);
        let ensemble = Ensemble {
            reconfiguring: in_flight,
            may_become: &|_| quorum_is_there,
        };
        let (txn, quorum) = prepare(
            &mut self.overlay,
            &mut self.tracker,
            &self.db,
            &self.rules,
            &ensemble,
            &request,
            (zxid, self.now),
        );
        self.quorum = quorum;
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
        acl: Acl::OPEN,
        owner: Owner::Nobody,
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

/// As in 3.9.5: one that has come to −1 is matched by what matches any, and by nothing else.
#[test]
fn versions_wrap() {
    let mut b = Bench::new();
    b.op(create("/a", Persistent));
    b.apply_all();
    let mut at = |version, expected| {
        let tree = &mut b.db.tree;
        tree.set_data("/a", None, version, Zxid(1), 0).unwrap();
        tree.set_acl("/a", Acl::OPEN, version).unwrap();
        let set = b.op(set("/a", expected));
        let of_acl = b.op(Op::SetAcl {
            path: "/a".into(),
            acl: Acl::OPEN,
            version: expected,
        });
        b.apply_all();
        match (set, of_acl) {
            (TxnBody::SetData { version, .. }, TxnBody::SetAcl { version: other, .. }) => {
                assert_eq!(version, other);
                Ok(version)
            }
            (TxnBody::Error(one), TxnBody::Error(other)) if one == other => Err(one),
            (one, other) => panic!("{one}, but {other}"),
        }
    };
    assert_eq!(at(3, 3), Ok(4));
    assert_eq!(at(3, -2), Err(ErrorCode::BadVersion));
    assert_eq!(at(i32::MAX, i32::MAX), Ok(i32::MIN));
    assert_eq!(at(-2, -2), Ok(-1));
    assert_eq!(at(-1, -1), Ok(0));
    assert_eq!(at(-1, 0), Err(ErrorCode::BadVersion));
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
