//! Containers and TTL nodes: which there can be, and when they go.

use super::*;

fn ttl(ttl_ms: i64) -> CreateMode {
    CreateMode::PersistentWithTtl { ttl_ms }
}

fn ms(ms: u64) -> Time {
    Time(ms * 1_000)
}

fn found(b: &Bench) -> Vec<String> {
    let due = due(&b.overlay, &b.db, b.now);
    due.iter().map(ToString::to_string).collect()
}

fn sweep(b: &mut Bench, path: &str) -> TxnBody {
    b.ask(SessionId::NONE, RequestKind::Sweep(path.into()))
}

#[test]
fn a_ttl_is_from_one_millisecond_to_forty_bits() {
    let mut b = Bench::new();
    for bad in [0, -1, i64::MIN, CreateMode::MAX_TTL_MS + 1] {
        assert_eq!(b.error(create("/t", ttl(bad))), ErrorCode::BadArguments);
    }
    for good in [1, CreateMode::MAX_TTL_MS] {
        let made = b.create(&format!("/t{good}"), ttl(good));
        let owner = Owner::Ttl { ttl_ms: good };
        assert!(matches!(made, TxnBody::Create { owner: of, .. } if of == owner));
    }
    let sequential = CreateMode::PersistentSequentialWithTtl { ttl_ms: 5 };
    assert_eq!(path_of(b.create("/s", sequential)), "/s0000000002");
    b.rules.extended_types = false;
    assert_eq!(b.error(create("/x", ttl(0))), ErrorCode::Unimplemented);
    let flags = CreateMode::Invalid {
        flags: 0,
        ttl_ms: Some(1),
    };
    assert_eq!(b.error(create("/x", flags)), ErrorCode::BadArguments);
    assert_eq!(path_of(b.create("/c", CreateMode::Container)), "/c");
}

#[test]
fn a_container_goes_when_it_was_used_and_is_empty() {
    let mut b = Bench::new();
    b.create("/c", CreateMode::Container);
    b.apply_all();
    b.now = ms(1_000_000);
    assert!(found(&b).is_empty(), "it waits for its first child");
    b.create("/c/e", Ephemeral);
    b.apply_all();
    assert!(found(&b).is_empty());
    b.op(delete("/c/e", -1));
    // Not applied, and known all the same.
    assert_eq!(found(&b), ["/c"]);
    b.apply_all();
    assert_eq!(found(&b), ["/c"]);
    assert!(matches!(sweep(&mut b, "/c"), TxnBody::Delete { .. }));
    assert!(found(&b).is_empty(), "once");
    b.apply_all();
    assert_eq!(b.db.tree.swept().count(), 0);
    assert_eq!(b.db.tree.stat("/").expect("the root").cversion, 1);
}

#[test]
fn a_ttl_node_goes_when_it_was_not_set_for_that_long_and_is_empty() {
    let mut b = Bench::new();
    b.create("/t", ttl(100));
    b.apply_all();
    b.now = ms(100);
    assert!(found(&b).is_empty(), "not longer than that");
    b.now = ms(101);
    assert_eq!(found(&b), ["/t"]);
    b.create("/t/x", Persistent);
    assert!(found(&b).is_empty(), "it has a child");
    b.op(delete("/t/x", -1));
    b.op(set("/t", -1));
    assert!(found(&b).is_empty(), "it was set just now");
    b.apply_all();
    b.now = ms(202);
    assert_eq!(found(&b), ["/t"]);
}

/// What was due when the leader looked is not, when its request has its turn.
#[test]
fn the_sweep_asks_again_before_it_removes() {
    let mut b = Bench::new();
    b.create("/t", ttl(100));
    b.create("/c", CreateMode::Container);
    b.create("/c/x", Persistent);
    b.op(delete("/c/x", -1));
    b.apply_all();
    b.now = ms(200);
    assert_eq!(found(&b), ["/c", "/t"]);
    b.create("/c/y", Persistent);
    b.op(set("/t", -1));
    let refused = |code| TxnBody::Error(code);
    assert_eq!(sweep(&mut b, "/c"), refused(ErrorCode::NotEmpty));
    assert_eq!(sweep(&mut b, "/t"), refused(ErrorCode::BadVersion));
    assert_eq!(sweep(&mut b, "/none"), refused(ErrorCode::NoNode));
    b.create("/plain", Persistent);
    assert_eq!(sweep(&mut b, "/plain"), refused(ErrorCode::BadVersion));
}

#[test]
fn a_client_sweeps_only_what_it_may_delete() {
    let container = |path: &str| Op::DeleteContainer { path: path.into() };
    let mut b = Bench::new();
    b.create("/c", CreateMode::Container);
    b.create("/c/d", CreateMode::Container);
    b.create("/e", Ephemeral);
    b.create("/plain", Persistent);
    for (path, error) in [
        ("/", ErrorCode::BadArguments),
        ("/none", ErrorCode::NoNode),
        ("/c", ErrorCode::NotEmpty),
        ("/e", ErrorCode::BadVersion),
        ("/plain", ErrorCode::BadArguments),
    ] {
        assert_eq!(b.error(container(path)), error, "{path}");
    }
    b.op(Op::SetAcl {
        path: "/c".into(),
        acl: Acl::one(Perms::READ, "world", "anyone"),
        version: -1,
    });
    assert_eq!(b.error(container("/c/d")), ErrorCode::NoAuth);
    b.rules.guard_delete_container = false;
    for path in ["/c/d", "/c", "/plain"] {
        assert!(
            matches!(b.op(container(path)), TxnBody::Delete { .. }),
            "{path}"
        );
    }
    b.apply_all();
}
