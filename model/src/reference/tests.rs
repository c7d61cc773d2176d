//! What the recorded cases do not reach.

use super::*;
use std::sync::Arc;
use zabsim_types::{
    Acl, CONFIG_NODE, CreateMode, Data, ErrorCode, Id, Op, OpResult, Perms, Reply, SessionId, Stat,
    SyncMode, WatcherType, Zxid,
};

const ME: SessionId = SessionId(1);

fn text(text: &str) -> Data {
    Some(Arc::from(text.as_bytes()))
}

fn create_in(path: &str, mode: CreateMode, acl: Acl) -> Op {
    Op::Create {
        path: path.into(),
        data: text("x"),
        mode,
        with_stat: false,
        acl,
    }
}

fn create(path: &str) -> Op {
    create_in(path, CreateMode::Persistent, Acl::OPEN)
}

fn set(path: &str, data: &str, version: i32) -> Op {
    Op::SetData {
        path: path.into(),
        data: text(data),
        version,
    }
}

fn set_acl(path: &str, acl: Acl) -> Op {
    Op::SetAcl {
        path: path.into(),
        acl,
        version: -1,
    }
}

fn delete(path: &str) -> Op {
    Op::Delete {
        path: path.into(),
        version: -1,
    }
}

fn read_only() -> Acl {
    Acl::one(Perms::READ, "world", "anyone")
}

/// A server with one open session.
fn server(settings: Settings) -> Service {
    let mut service = Service::with(settings);
    service.open(ME, 4_000);
    service.connect(ME, "10.0.0.1");
    service
}

fn ask(service: &mut Service, op: &Op) -> OpResult {
    service.request(ME, op).result
}

fn stat(service: &mut Service, path: &str) -> Stat {
    let op = Op::Exists {
        path: path.into(),
        watch: false,
    };
    match ask(service, &op) {
        Ok(Reply::Exists { stat }) => stat,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn versions_wrap_and_one_that_wrapped_to_minus_one_fits_only_itself_and_any() {
    let mut service = server(Settings::default());
    ask(&mut service, &create("/a")).expect("creates");
    service
        .model_mut()
        .nodes
        .get_mut("/a")
        .expect("it is there")
        .version = i32::MAX;
    ask(&mut service, &set("/a", "y", i32::MAX)).expect("fits");
    assert_eq!(stat(&mut service, "/a").version, i32::MIN);
    service
        .model_mut()
        .nodes
        .get_mut("/a")
        .expect("it is there")
        .version = -2;
    ask(&mut service, &set("/a", "y", -2)).expect("fits");
    assert_eq!(stat(&mut service, "/a").version, -1);
    assert_eq!(
        ask(&mut service, &set("/a", "y", 5)),
        Err(ErrorCode::BadVersion)
    );
    ask(&mut service, &set("/a", "y", -1)).expect("any");
    assert_eq!(stat(&mut service, "/a").version, 0);
}

#[test]
fn sequence_numbers_overflow_into_the_negative() {
    let mut service = server(Settings::default());
    ask(&mut service, &create("/s")).expect("creates");
    service
        .model_mut()
        .nodes
        .get_mut("/s")
        .expect("it is there")
        .creates = i32::MAX;
    let sequential = create_in("/s/n", CreateMode::PersistentSequential, Acl::OPEN);
    for expected in ["/s/n2147483647", "/s/n-2147483648", "/s/n-2147483647"] {
        let Ok(Reply::Created { path, .. }) = ask(&mut service, &sequential) else {
            panic!("{expected} is not made");
        };
        assert_eq!(&*path, expected);
    }
}

/// The order of the checks where the recorded cases have only one of two.
#[test]
fn errors_come_in_zookeepers_order() {
    let mut service = server(Settings {
        enforce_quota: true,
        ..Settings::default()
    });
    for path in ["/p", "/p/c"] {
        ask(&mut service, &create(path)).expect("creates");
    }
    ask(&mut service, &set_acl("/p", read_only())).expect("sets");
    let none = || Acl::new(vec![]);
    let ttl = |ttl_ms| CreateMode::PersistentWithTtl { ttl_ms };
    let invalid = CreateMode::Invalid {
        flags: 99,
        ttl_ms: None,
    };
    for (op, error) in [
        (
            create_in("nowhere", ttl(0), none()),
            ErrorCode::BadArguments,
        ),
        (create_in("/no/x", invalid, none()), ErrorCode::BadArguments),
        (
            create_in("nowhere", ttl(1), none()),
            ErrorCode::BadArguments,
        ),
        (create_in("/no/x", ttl(1), none()), ErrorCode::InvalidACL),
        (create("/no/x"), ErrorCode::NoNode),
        (create("/p/."), ErrorCode::NoAuth),
        (set_acl("/a/", none()), ErrorCode::BadArguments),
        (set_acl("/no", none()), ErrorCode::InvalidACL),
        (set_acl("/no", Acl::OPEN), ErrorCode::NoNode),
        (set_acl("/p", Acl::OPEN), ErrorCode::NoAuth),
        (set("/p", "y", 7), ErrorCode::NoAuth),
        (delete("/zookeeper"), ErrorCode::BadArguments),
    ] {
        let before = service.model().last_zxid();
        let served = service.request(ME, &op);
        assert_eq!(served.result, Err(error), "{op:?}");
        assert_eq!(served.zxid.0, before.0 + 1, "it takes its zxid: {op:?}");
    }
}

#[test]
fn a_quota_of_bytes_is_enforced_and_a_failed_multi_gives_back_what_it_counted() {
    let mut service = server(Settings {
        enforce_quota: true,
        ..Settings::default()
    });
    let with = |path: &str, data: &str| Op::Create {
        path: path.into(),
        data: text(data),
        mode: CreateMode::Persistent,
        with_stat: false,
        acl: Acl::OPEN,
    };
    for op in [
        with("/a", "12345"),
        with("/zookeeper/quota/a", ""),
        with(
            "/zookeeper/quota/a/zookeeper_limits",
            "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=-1",
        ),
        with("/zookeeper/quota/a/zookeeper_stats", ""),
    ] {
        ask(&mut service, &op).expect("creates");
    }
    let counts = |service: &mut Service| {
        let op = Op::GetData {
            path: "/zookeeper/quota/a/zookeeper_stats".into(),
            watch: false,
        };
        match ask(service, &op) {
            Ok(Reply::Data { data, .. }) => String::from_utf8(data.expect("some").to_vec()),
            other => panic!("{other:?}"),
        }
        .expect("it is text")
    };
    assert_eq!(counts(&mut service), "count=1,bytes=5");
    assert_eq!(
        ask(&mut service, &with("/a/b", "123456")),
        Err(ErrorCode::QuotaExceeded)
    );
    assert_eq!(
        ask(&mut service, &set("/a", "12345678901", 9)),
        Err(ErrorCode::QuotaExceeded),
        "before the version"
    );
    let multi = |last: Op| Op::Multi {
        ops: vec![with("/a/b", "1234"), last],
    };
    let failed = ask(&mut service, &multi(delete("/no")));
    assert!(matches!(failed, Ok(Reply::MultiFailed { .. })));
    assert_eq!(counts(&mut service), "count=1,bytes=5");
    // Each part is compared with the counts before the multi: both together exceed the limit.
    let done = ask(&mut service, &multi(with("/a/c", "1234")));
    assert!(matches!(done, Ok(Reply::Multi { .. })), "{done:?}");
    assert_eq!(counts(&mut service), "count=3,bytes=13");
    // Fewer bytes are never too many.
    ask(&mut service, &set("/a/c", "1", -1)).expect("sets");
    ask(&mut service, &delete("/a/b")).expect("deletes");
    assert_eq!(counts(&mut service), "count=2,bytes=6");
}

#[test]
fn a_container_goes_once_used_and_a_ttl_node_when_its_time_is_over() {
    let mut service = server(Settings::default());
    let ttl = CreateMode::PersistentWithTtl { ttl_ms: 100 };
    service.set_time(1_000);
    for (path, mode) in [("/c", CreateMode::Container), ("/t", ttl), ("/u", ttl)] {
        ask(&mut service, &create_in(path, mode, Acl::OPEN)).expect("creates");
    }
    ask(&mut service, &create("/u/x")).expect("creates");
    let gone = |service: &mut Service, now| {
        service.set_time(now);
        service
            .model()
            .swept_at(now)
            .iter()
            .map(|path| path.to_string())
            .collect::<Vec<_>>()
    };
    assert!(gone(&mut service, 1_100).is_empty(), "not used, not over");
    assert_eq!(gone(&mut service, 1_101), ["/t"]);
    ask(&mut service, &create("/c/x")).expect("creates");
    ask(&mut service, &delete("/c/x")).expect("deletes");
    assert_eq!(gone(&mut service, 1_101), ["/c", "/t"]);
    let before = service.model().last_zxid();
    service.sweep();
    assert_eq!(
        service.model().last_zxid().0,
        before.0 + 2,
        "each in its own"
    );
    assert!(gone(&mut service, 9_000).is_empty(), "/u has a child");
}

#[test]
fn a_client_may_not_remove_what_is_no_container() {
    let ask_for = |path: &str| Op::DeleteContainer { path: path.into() };
    let with = |settings: Settings| {
        let mut service = server(settings);
        ask(&mut service, &create("/plain")).expect("creates");
        let container = create_in("/c", CreateMode::Container, Acl::OPEN);
        ask(&mut service, &container).expect("creates");
        service
    };
    let mut guarded = with(Settings::default());
    assert_eq!(
        ask(&mut guarded, &ask_for("/plain")),
        Err(ErrorCode::BadArguments)
    );
    assert_eq!(
        ask(&mut guarded, &ask_for("/zookeeper/quota")),
        Err(ErrorCode::BadArguments)
    );
    assert_eq!(ask(&mut guarded, &ask_for("/c")), Ok(Reply::Deleted));
    let mut as_it_is = with(Settings::zookeeper_3_9_5());
    assert_eq!(ask(&mut as_it_is, &ask_for("/plain")), Ok(Reply::Deleted));
    ask(
        &mut guarded,
        &create_in("/d", CreateMode::Container, Acl::OPEN),
    )
    .expect("creates");
    ask(&mut guarded, &set_acl("/", read_only())).expect("sets");
    assert_eq!(ask(&mut guarded, &ask_for("/d")), Err(ErrorCode::NoAuth));
}

#[test]
fn a_local_session_takes_no_zxid_until_it_makes_an_ephemeral() {
    let local = SessionId(2);
    let ephemeral = create_in("/e", CreateMode::Ephemeral, Acl::OPEN);
    let open = |upgrade| {
        let mut service = server(Settings {
            upgrade_local_sessions: upgrade,
            ..Settings::default()
        });
        service.open_local(local, 4_000);
        service
    };
    let mut service = open(true);
    assert_eq!(service.model().last_zxid(), Zxid(1));
    service
        .request(local, &create("/a"))
        .result
        .expect("it may write");
    // The session's own transaction, then the node's.
    assert_eq!(service.request(local, &ephemeral).zxid, Zxid(4));
    assert!(!service.model().is_local(local));
    let mut service = open(false);
    let refused = service.request(local, &ephemeral);
    assert_eq!(refused.result, Err(ErrorCode::EphemeralOnLocalSession));
    let closed = service.request(local, &Op::CloseSession);
    assert_eq!((closed.zxid, closed.closes), (refused.zxid, true));
    assert!(!service.model().has_session(local));
}

#[test]
fn a_server_without_quorum_only_reads() {
    let mut service = server(Settings::default());
    service.set_read_only(true);
    let sync = Op::Sync {
        path: "/".into(),
        mode: SyncMode::Leader,
    };
    for op in [create("/a"), sync, Op::Multi { ops: vec![] }] {
        let before = service.model().last_zxid();
        let served = service.request(ME, &op);
        assert_eq!(served.result, Err(ErrorCode::NotReadOnly));
        assert_eq!(served.zxid, before, "no transaction");
    }
    stat(&mut service, "/");
}

#[test]
fn a_write_is_judged_by_the_lists_of_the_state_that_it_was_prepared_at() {
    let mut service = server(Settings::default());
    ask(&mut service, &create("/a")).expect("creates");
    let before = service.model().last_zxid();
    ask(&mut service, &set_acl("/a", read_only())).expect("sets");
    let change = set("/a", "y", -1);
    assert_eq!(service.model().former_states(&change), [before]);
    assert_eq!(ask(&mut service, &change), Err(ErrorCode::NoAuth));
    let served = service.request_as_of(ME, &change, Some(before));
    assert!(served.result.is_ok(), "{served:?}");
}

#[test]
fn a_failed_multi_takes_lists_and_containers_back() {
    let mut service = server(Settings::default());
    let ops = vec![
        create_in("/c", CreateMode::Container, read_only()),
        create("/c/x"),
    ];
    let failed = ask(&mut service, &Op::Multi { ops });
    let errors = vec![ErrorCode::Ok, ErrorCode::NoAuth];
    assert_eq!(failed, Ok(Reply::MultiFailed { errors }));
    assert!(service.model().swept_at(i64::MAX).is_empty());
    let alien = Op::Multi {
        ops: vec![set_acl("/", Acl::OPEN)],
    };
    assert_eq!(ask(&mut service, &alien), Err(ErrorCode::MarshallingError));
}

#[test]
fn a_probe_leaves_the_tree_as_it_is() {
    let mut model = Model::new();
    let stamp = |zxid| Stamp {
        session: ME,
        zxid: Zxid(zxid),
        time_ms: 7,
    };
    model.create_session(stamp(1));
    model.write(&create("/a"), stamp(2)).expect("creates");
    let container = create_in("/c", CreateMode::Container, Acl::OPEN);
    for op in [
        set_acl("/a", read_only()),
        container,
        delete("/a"),
        set("/a", "y", 0),
    ] {
        model.probe(&op, stamp(3)).expect("it would do");
        let op = Op::GetAcl { path: "/a".into() };
        let Ok(Reply::Acl { acl, stat }) = model.read(&op) else {
            panic!("/a is not there");
        };
        assert!(acl.is_open() && stat.aversion == 0 && stat.version == 0);
        assert!(model.swept_at(i64::MAX).is_empty());
    }
}

#[test]
fn a_session_finds_its_ephemerals_by_their_beginning() {
    let mut service = server(Settings::default());
    for path in ["/a1", "/a2", "/b"] {
        let op = create_in(path, CreateMode::Ephemeral, Acl::OPEN);
        ask(&mut service, &op).expect("creates");
    }
    let mut find = |prefix: &str| {
        let prefix = prefix.into();
        match ask(&mut service, &Op::GetEphemerals { prefix }) {
            Ok(Reply::Ephemerals { paths }) => paths.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((find(""), find("/"), find("/a"), find("/x")), (3, 3, 2, 0));
}

#[test]
fn members_change_with_the_version_that_is_named_and_by_whom_the_node_lets() {
    let digest = digest("super:secret");
    let mut service = server(Settings {
        reconfig_enabled: true,
        super_digest: Some(digest.as_str().into()),
        ..Settings::default()
    });
    let reconfig = |all: &str, from_config| Op::Reconfig {
        joining: None,
        leaving: None,
        new_members: Some(all.into()),
        from_config,
    };
    let members = "server.1=a:1:2,server.2=b:1:2";
    let bad = reconfig("server.1=a", 7);
    assert_eq!(ask(&mut service, &bad), Err(ErrorCode::BadVersion));
    let bad = reconfig("server.1=a", -1);
    assert_eq!(ask(&mut service, &bad), Err(ErrorCode::BadArguments));
    let good = reconfig(members, 0);
    assert_eq!(ask(&mut service, &good), Err(ErrorCode::NoAuth));
    let auth = Op::AddAuth {
        scheme: "digest".into(),
        auth: "super:secret".into(),
    };
    ask(&mut service, &auth).expect("it is the password");
    let served = service.request(ME, &good);
    let Ok(Reply::Reconfigured { data, .. }) = served.result else {
        panic!("{served:?}");
    };
    let is = format!(
        "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nversion={:x}",
        served.zxid.0
    );
    assert_eq!(data, text(&is));
    let again = reconfig(members, 0);
    assert_eq!(ask(&mut service, &again), Err(ErrorCode::BadVersion));
    let read = Op::GetData {
        path: CONFIG_NODE.into(),
        watch: false,
    };
    assert!(matches!(ask(&mut service, &read), Ok(Reply::Data { data, .. }) if data == text(&is)));
}

#[test]
fn a_connection_takes_its_identities_and_watches_with_it() {
    let mut service = server(Settings::default());
    let auth = Op::AddAuth {
        scheme: "digest".into(),
        auth: "me:secret".into(),
    };
    ask(&mut service, &auth).expect("any password will do");
    let mine = create_in(
        "/m",
        CreateMode::Persistent,
        Acl::one(Perms::ALL, "auth", ""),
    );
    ask(&mut service, &mine).expect("creates");
    let read = Op::GetData {
        path: "/m".into(),
        watch: true,
    };
    ask(&mut service, &read).expect("it is mine");
    service.disconnect(ME);
    service.connect(ME, "10.0.0.2");
    assert_eq!(ask(&mut service, &read), Err(ErrorCode::NoAuth));
    let check = Op::CheckWatches {
        path: "/m".into(),
        kind: WatcherType::Any,
    };
    assert_eq!(ask(&mut service, &check), Err(ErrorCode::NoWatcher));
    let ids = vec![Id::new("ip", "10.0.0.2")];
    assert_eq!(
        ask(&mut service, &Op::WhoAmI),
        Ok(Reply::Identities { ids })
    );
}

#[test]
fn persistent_watches_are_set_again_without_catching_up() {
    let mut service = server(Settings::default());
    ask(&mut service, &create("/a")).expect("creates");
    let again = WatchesToSet {
        persistent: vec!["/a".into()],
        recursive: vec!["/a".into()],
        ..WatchesToSet::default()
    };
    assert!(service.set_watches(ME, &again).is_empty());
    let kinds = [WatcherType::Persistent, WatcherType::PersistentRecursive];
    for kind in kinds {
        let path = "/a".into();
        let check = Op::CheckWatches { path, kind };
        assert_eq!(ask(&mut service, &check), Ok(Reply::WatchesChecked));
    }
    let served = service.request(ME, &set("/a", "y", -1));
    assert_eq!(
        served.notices.len(),
        1,
        "two ways of watching are one watch"
    );
}
