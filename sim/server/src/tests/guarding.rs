//! Who a connection is and what it may do: proofs, lists, and the reads that depend on them; limits of size; the sweep.

use super::*;
use crate::auth::digest;
use zabsim_types::{Id, Perms};

fn prove(who: &str) -> Op {
    Op::AddAuth {
        scheme: "digest".into(),
        auth: who.into(),
    }
}

fn mine() -> Acl {
    Acl::one(Perms::ALL, "auth", "")
}

fn set_acl(path: &str, acl: Acl) -> Op {
    Op::SetAcl {
        path: path.into(),
        acl,
        version: -1,
    }
}

fn get_acl(path: &str) -> Op {
    Op::GetAcl { path: path.into() }
}

const NO_AUTH: OpResult = Err(ErrorCode::NoAuth);

/// At a learner: the proof stays there, and the leader must know of it.
#[test]
fn identities_travel_to_the_leader_with_each_request() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 1);
    assert_eq!(e.ok(&a, prove("me:secret")), Reply::AuthAdded);
    e.ok(&a, guarded("/a", CreateMode::Persistent, mine()));
    e.ok(&a, set("/a", "1"));
    assert_eq!(e.op(&b, set("/a", "2")), NO_AUTH);
    assert_eq!(e.op(&b, get("/a", false)), NO_AUTH);
    e.ok(&b, prove("me:secret"));
    e.ok(&b, set("/a", "2"));
    e.assert_digests_agree();
}

#[test]
fn a_proof_counts_at_once_and_is_answered_in_its_turn() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    e.ok(&a, prove("me:secret"));
    e.ok(&a, guarded("/a", CreateMode::Persistent, mine()));
    let b = e.connect(2, 1);
    e.submit(b.conn, create("/b", CreateMode::Persistent));
    e.submit(b.conn, prove("me:secret"));
    e.submit(b.conn, set("/a", "2"));
    e.submit(b.conn, get("/a", false));
    e.settle();
    assert_eq!(
        e.heard(b.conn),
        [
            "created /b @4",
            "authadded @0",
            "set v1 @5",
            "data \"2\" v1 @5"
        ]
    );
}

#[test]
fn a_refused_proof_ends_the_connection_and_nothing_behind_it_is_heard() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    e.submit(a.conn, create("/a", CreateMode::Persistent));
    e.submit(
        a.conn,
        Op::AddAuth {
            scheme: "bogus".into(),
            auth: "me".into(),
        },
    );
    e.submit(a.conn, create("/b", CreateMode::Persistent));
    e.settle();
    assert_eq!(e.heard(a.conn), ["created /a @2", "AuthFailed @0"]);
    assert!(e.closed.contains(&a.conn));
    assert!(e.notes.contains(&Note::Mark("auth-refused")));
    let b = e.connect(2, 0);
    assert_eq!(e.op(&b, exists("/b", false)), GONE);
}

#[test]
fn who_may_not_set_a_list_sees_no_hashes() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    let hash = digest("me:secret");
    let acl = |hash: &str| {
        Acl::new(vec![
            (Perms::READ, "world".into(), "anyone".into()).into(),
            (Perms::ADMIN, "digest".into(), hash.into()).into(),
        ])
    };
    e.ok(&a, guarded("/a", CreateMode::Persistent, acl(&hash)));
    let shown = |e: &mut Ensemble, of: &Client| match e.ok(of, get_acl("/a")) {
        Reply::Acl { acl, .. } => acl,
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(&mut e, &a), acl("me:x"));
    e.ok(&a, prove("me:secret"));
    assert_eq!(shown(&mut e, &a), acl(&hash));
    e.ok(
        &a,
        guarded(
            "/w",
            CreateMode::Persistent,
            Acl::one(Perms::WRITE, "world", "anyone"),
        ),
    );
    assert_eq!(e.op(&a, get_acl("/w")), NO_AUTH);
    assert_eq!(e.op(&a, get_acl("/none")), GONE);
    let ids = vec![Id::new("ip", "127.0.0.1"), Id::new("digest", "me")];
    assert_eq!(e.ok(&a, Op::WhoAmI), Reply::Identities { ids });
}

/// It is used up by what it was not told of.
#[test]
fn a_watcher_that_may_not_read_is_not_told() {
    let mut e = Ensemble::new(1);
    let (a, b) = (e.connect(1, 0), e.connect(2, 0));
    e.ok(&a, prove("me:secret"));
    e.ok(&a, create("/p", CreateMode::Persistent));
    e.ok(&a, create("/p/x", CreateMode::Persistent));
    e.ok(&b, get("/p/x", true));
    e.ok(&b, children("/p", true));
    assert_eq!(e.op(&b, exists("/p/y", true)), GONE);
    e.ok(&a, set_acl("/p/x", mine()));
    e.ok(&a, set("/p/x", "1"));
    assert!(e.heard(b.conn).is_empty());
    e.ok(&a, guarded("/p/y", CreateMode::Persistent, mine()));
    assert_eq!(e.heard(b.conn), ["NodeChildrenChanged /p @7"]);
    e.ok(&a, set_acl("/p/x", Acl::OPEN));
    e.ok(&a, set("/p/x", "2"));
    assert!(e.heard(b.conn).is_empty(), "the watch is gone");
}

#[test]
fn who_may_not_read_learns_nothing_and_leaves_no_watch() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    e.ok(&a, create("/a", CreateMode::Persistent));
    e.ok(&a, create("/a/b", CreateMode::Persistent));
    let admin = Perms::ADMIN.and(Perms::WRITE).and(Perms::CREATE);
    e.ok(&a, set_acl("/a", Acl::one(admin, "world", "anyone")));
    let number = Op::GetAllChildrenNumber { path: "/a".into() };
    for op in [
        get("/a", true),
        exists("/a", true),
        children("/a", true),
        number,
    ] {
        assert_eq!(e.op(&a, op), NO_AUTH);
    }
    let multi = Op::MultiRead {
        ops: vec![get("/a", true), get("/a/b", false)],
    };
    let Reply::MultiRead { results } = e.ok(&a, multi) else {
        panic!("it is answered");
    };
    assert_eq!(results[0], NO_AUTH);
    assert!(matches!(results[1], Ok(Reply::Data { .. })));
    e.ok(&a, set_acl("/a", Acl::OPEN));
    e.ok(&a, set("/a", "1"));
    e.ok(&a, create("/a/c", CreateMode::Persistent));
    let bad = Op::MultiRead {
        ops: vec![exists("/a", false)],
    };
    assert_eq!(e.op(&a, bad), Err(ErrorCode::MarshallingError));
}

#[test]
fn ephemerals_and_descendants_are_told() {
    let mut e = Ensemble::new(1);
    let (a, b) = (e.connect(1, 0), e.connect(2, 0));
    for path in ["/p", "/p/e", "/pe"] {
        let mode = match path {
            "/p" => CreateMode::Persistent,
            _ => CreateMode::Ephemeral,
        };
        e.ok(&a, create(path, mode));
    }
    e.ok(&b, create("/other", CreateMode::Ephemeral));
    let told = |e: &mut Ensemble, prefix: &str| match e.ok(
        &a,
        Op::GetEphemerals {
            prefix: prefix.into(),
        },
    ) {
        Reply::Ephemerals { paths } => paths.join(" "),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&mut e, "/"), "/p/e /pe");
    assert_eq!(told(&mut e, ""), "/p/e /pe");
    assert_eq!(told(&mut e, "/p/"), "/p/e");
    assert_eq!(told(&mut e, "/x"), "");
    for (path, number) in [("/", 7), ("/p", 1), ("/pe", 0), ("/zookeeper", 2)] {
        let path = path.into();
        let counted = e.ok(&a, Op::GetAllChildrenNumber { path });
        assert_eq!(counted, Reply::ChildrenNumber { number });
    }
}

#[test]
fn a_request_that_is_too_long_costs_the_connection() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    let long = Op::SetData {
        path: "/".into(),
        data: Some(vec![0; 0x10_0000].into()),
        version: -1,
    };
    e.submit(a.conn, long);
    e.settle();
    assert!(e.heard(a.conn).is_empty());
    assert!(e.closed.contains(&a.conn));
    assert!(e.notes.contains(&Note::Mark("frame-too-long")));
}

#[test]
fn the_leader_sweeps_at_intervals() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    e.ok(&a, create("/c", CreateMode::Container));
    let ttl_ms = 100;
    e.ok(&a, create("/t", CreateMode::PersistentWithTtl { ttl_ms }));
    e.ok(&a, create("/c/x", CreateMode::Persistent));
    e.ok(&a, delete("/c/x"));
    e.ok(&a, exists("/c", true));
    e.ok(&a, exists("/t", true));
    e.wait_ms(TICK_MS);
    assert!(e.heard(a.conn).is_empty(), "the interval is a second");
    e.wait_ms(2 * TICK_MS);
    assert_eq!(e.heard(a.conn), ["NodeDeleted /c @6", "NodeDeleted /t @7"]);
    assert!(e.notes.contains(&Note::Mark("swept")));
    e.assert_digests_agree();
}
