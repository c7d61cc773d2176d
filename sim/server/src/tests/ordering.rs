//! What a client may rely on about the order of replies, events and states.

use super::*;
use CreateMode::{Ephemeral, Persistent, PersistentSequential};
use zabsim_types::SyncMode;

/// The tutorial: one server, one client, a node, a watch.
#[test]
fn a_client_creates_reads_and_watches() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    e.submit(a.conn, create("/a", Persistent));
    e.submit(a.conn, get("/a", true));
    e.submit(a.conn, set("/a", "y"));
    e.submit(a.conn, get("/a", false));
    e.submit(a.conn, create("/a/n", PersistentSequential));
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        [
            "created /a @2",
            "data \"x\" v0 @2",
            "NodeDataChanged /a @3",
            "set v1 @3",
            "data \"y\" v1 @3",
            "created /a/n0000000000 @4",
        ]
    );
}

#[test]
fn failed_writes_take_a_zxid_and_reads_do_not() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    for op in [
        delete("/no"),
        get("/", false),
        Op::Multi { ops: vec![] },
        exists("/no", false),
        create("/a", Persistent),
    ] {
        e.submit(a.conn, op);
    }
    e.settle();
    let heard = e.heard(a.conn);
    let zxids: Vec<_> = heard
        .iter()
        .map(|l| l.rsplit('@').next().unwrap())
        .collect();
    assert_eq!(zxids, ["2", "2", "3", "3", "4"], "{heard:?}");
}

#[test]
fn a_failed_multi_answers_with_its_vector_and_changes_nothing() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    let ops = vec![
        create("/a", Persistent),
        delete("/no"),
        create("/b", Persistent),
    ];
    let errors = vec![
        ErrorCode::Ok,
        ErrorCode::NoNode,
        ErrorCode::RuntimeInconsistency,
    ];
    assert_eq!(
        e.op(&a, Op::Multi { ops }),
        Ok(Reply::MultiFailed { errors })
    );
    assert_eq!(e.op(&a, exists("/a", false)), GONE);
}

#[test]
fn a_multis_answers_are_those_of_each_parts_moment() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    let created = |path: &str, with_stat| Op::Create {
        path: path.into(),
        data: None,
        mode: Persistent,
        with_stat,
        acl: zabsim_types::Acl::OPEN,
    };
    let ops = vec![
        created("/a", true),
        created("/b", false),
        set("/a", "1"),
        set("/a", "2"),
    ];
    let Ok(Reply::Multi { results }) = e.op(&a, Op::Multi { ops }) else {
        panic!("the multi succeeds");
    };
    let [
        Reply::Created {
            stat: Some(first), ..
        },
        Reply::Created { stat: None, .. },
        Reply::Set { stat: second },
        Reply::Set { stat: third },
    ] = results.as_slice()
    else {
        panic!("{results:?}");
    };
    assert_eq!((first.version, second.version, third.version), (0, 1, 2));
    assert_eq!((first.data_length, third.data_length), (0, 1));
}

/// The pipeline's order holds although a read alone would be quicker; another session does not wait.
#[test]
fn a_read_waits_for_its_own_write_but_for_nobody_elses() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 1);
    e.servers[1].held = true;
    e.submit(a.conn, create("/a", Persistent));
    e.submit(a.conn, exists("/a", false));
    e.send(a.conn, ClientFrame::Ping);
    e.submit(b.conn, exists("/a", false));
    e.settle();
    assert!(e.heard(a.conn).is_empty());
    assert_eq!(
        e.heard(b.conn),
        ["NoNode @2"],
        "committed, but not applied here"
    );
    e.servers[1].held = false;
    e.settle();
    assert_eq!(e.heard(a.conn), ["created /a @3", "exists @3", "pong @3"]);
}

/// ZOOKEEPER-1412: the header's zxid is the last applied here, whatever was proposed.
#[test]
fn a_replys_zxid_is_never_ahead_of_the_servers_state() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 0);
    e.servers[1].held = true;
    e.ok(&b, create("/a", Persistent));
    e.submit(a.conn, children("/", false));
    e.settle();
    assert_eq!(e.heard(a.conn), ["children zookeeper @2"]);
}

#[test]
fn an_event_comes_before_any_reply_from_the_later_state() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 0);
    e.ok(&b, create("/a", Persistent));
    e.ok(&a, get("/a", true));
    e.submit(b.conn, set("/a", "y"));
    e.submit(a.conn, set("/", "r"));
    e.submit(a.conn, get("/a", false));
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        ["NodeDataChanged /a @4", "set v1 @5", "data \"y\" v1 @5"]
    );
}

#[test]
fn a_multis_events_come_in_the_order_of_its_parts_with_one_zxid() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    let b = e.connect(2, 0);
    e.ok(&b, create("/p", Persistent));
    e.ok(&a, children("/p", true));
    for path in ["/p/a", "/p/b"] {
        assert_eq!(e.op(&a, exists(path, true)), GONE);
    }
    let ops = vec![
        create("/p/b", Persistent),
        create("/p/a", Persistent),
        set("/p/a", "z"),
    ];
    e.ok(&b, Op::Multi { ops });
    assert_eq!(
        e.heard(a.conn),
        [
            "NodeCreated /p/b @4",
            "NodeChildrenChanged /p @4",
            "NodeCreated /p/a @4"
        ]
    );
}

#[test]
fn only_an_exists_watch_may_wait_for_a_node() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    let b = e.connect(2, 0);
    assert_eq!(e.op(&a, get("/a", true)), GONE);
    assert_eq!(e.op(&a, children("/a", true)), GONE);
    e.ok(&b, create("/a", Persistent));
    e.ok(&b, delete("/a"));
    assert!(e.heard(a.conn).is_empty());
    assert_eq!(e.op(&a, exists("/a", true)), GONE);
    e.ok(&b, create("/a", Persistent));
    assert_eq!(e.heard(a.conn), ["NodeCreated /a @5"]);
}

#[test]
fn set_watches_makes_up_for_what_was_missed_and_arms_the_rest() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    for path in ["/old", "/new", "/p", "/q"] {
        e.ok(&a, create(path, Persistent));
    }
    e.ok(&a, set("/new", "y"));
    e.ok(&a, create("/p/c", Persistent));
    let paths = |list: &[&str]| list.iter().map(|p| (*p).into()).collect();
    e.send(
        a.conn,
        ClientFrame::SetWatches {
            relative: zabsim_types::Zxid::new(1, 5),
            data: paths(&["/old", "/new", "/gone"]),
            exists: paths(&["/old", "/none"]),
            child: paths(&["/p", "/q", "/gone"]),
            persistent: vec![],
            recursive: vec![],
        },
    );
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        [
            "NodeDataChanged /new @-",
            "NodeDeleted /gone @-",
            "NodeCreated /old @-",
            "NodeChildrenChanged /p @-",
            "NodeDeleted /gone @-",
            "watches set @7",
        ]
    );
    let ops = vec![
        set("/old", "z"),
        set("/new", "z"),
        create("/none", Persistent),
        create("/p/d", Persistent),
        create("/q/c", Persistent),
    ];
    e.submit(a.conn, Op::Multi { ops });
    e.settle();
    let heard = e.heard(a.conn);
    assert_eq!(
        heard[..3],
        [
            "NodeDataChanged /old @8",
            "NodeCreated /none @8",
            "NodeChildrenChanged /q @8"
        ]
    );
    assert_eq!(heard.len(), 4, "what was caught up is not armed: {heard:?}");
}

#[test]
fn set_watches_waits_its_turn_behind_a_write() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    e.servers[1].held = true;
    e.submit(a.conn, create("/a", Persistent));
    e.send(
        a.conn,
        ClientFrame::SetWatches {
            relative: zabsim_types::Zxid::ZERO,
            data: vec![],
            exists: vec!["/a".into()],
            child: vec![],
            persistent: vec![],
            recursive: vec![],
        },
    );
    e.settle();
    assert!(e.heard(a.conn).is_empty());
    e.servers[1].held = false;
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        ["created /a @2", "NodeCreated /a @-", "watches set @2"]
    );
}

#[test]
fn a_sync_is_answered_behind_what_was_delivered_before_it() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 0);
    e.submit(b.conn, create("/a", Persistent));
    e.submit(
        a.conn,
        Op::Sync {
            path: "/".into(),
            mode: SyncMode::Leader,
        },
    );
    e.submit(a.conn, exists("/a", false));
    e.settle();
    let heard = e.heard(a.conn);
    assert!(heard[0].starts_with("synced"), "{heard:?}");
    assert_eq!(heard.len(), 2);
}

/// A quorum's proof takes a round trip, in which others write. A write sent behind the sync has to wait for it: its reply
/// comes after the sync's and must not name an older state.
#[test]
fn a_write_waits_for_the_sync_before_it() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 0);
    let sync = || Op::Sync {
        path: "/".into(),
        mode: SyncMode::Quorum,
    };
    e.hold_syncs = true;
    for op in [
        create("/first", Persistent),
        sync(),
        exists("/other", false),
        create("/second", Persistent),
        sync(),
        create("/third", Persistent),
    ] {
        e.submit(a.conn, op);
    }
    e.settle();
    e.ok(&b, create("/other", Persistent));
    assert_eq!(e.heard(a.conn), ["created /first @3"]);
    let (at, second) = e.held_syncs.pop_back().unwrap();
    e.with(at, |s, _, out| s.on_sync_done(second, out));
    e.settle();
    assert!(e.heard(a.conn).is_empty(), "in order");
    let (at, first) = e.held_syncs.pop_back().unwrap();
    e.with(at, |s, _, out| s.on_sync_done(first, out));
    e.settle();
    let heard = e.heard(a.conn);
    let zxids: Vec<_> = heard
        .iter()
        .map(|l| l.rsplit('@').next().unwrap())
        .collect();
    assert_eq!(zxids, ["4", "4", "5", "5", "6"], "{heard:?}");
}

#[test]
fn a_bare_check_is_not_proposed_and_ends_the_connection() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    e.ok(&a, create("/e", Ephemeral));
    let proposed = e.log.len();
    e.submit(
        a.conn,
        Op::Check {
            path: "/e".into(),
            version: 0,
        },
    );
    e.settle();
    assert_eq!(e.heard(a.conn), ["Unimplemented @2"]);
    assert!(e.closed.contains(&a.conn));
    assert_eq!(e.log.len(), proposed, "ZOOKEEPER-2623");
}

/// ZOOKEEPER-2807: a server that has just joined still has to apply what was committed meanwhile.
#[test]
fn nobody_is_served_before_the_history_is_applied() {
    let mut e = Ensemble::new(2);
    let b = e.connect(1, 0);
    e.role(1, PeerState::Looking, Phase::Election, Epoch(1));
    e.servers[1].held = true;
    e.ok(&b, create("/a", Persistent));
    let (zxid, payload) = e.log[1].clone();
    e.servers[1].delivered = 2;
    e.with(1, |s, _, out| {
        s.deliver(zxid, &payload, Delivery::Committed, out)
    });
    e.role(1, PeerState::Following, Phase::Broadcast, Epoch(1));
    e.open(2, 1, fresh());
    assert!(e.closed.contains(&ConnId(2)), "not yet");
    e.servers[1].held = false;
    e.settle();
    let c = e.connect(3, 1);
    assert!(matches!(
        e.op(&c, exists("/a", false)),
        Ok(Reply::Exists { .. })
    ));
}

#[test]
fn a_new_leader_prepares_against_its_whole_history() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    e.ok(&a, create("/a", Persistent));
    e.servers[0].held = true;
    e.submit(a.conn, create("/b", Persistent));
    e.settle();
    e.role(0, PeerState::Looking, Phase::Draining, Epoch(1));
    assert!(e.closed.contains(&a.conn), "leaving broadcast closes all");
    // The pending transaction is in its log; it becomes part of the new epoch's initial history.
    e.servers[0].held = false;
    while e.servers[0].delivered < e.log.len() {
        e.turn();
    }
    e.role(0, PeerState::Leading, Phase::Broadcast, Epoch(2));
    e.settle();
    let b = e.connect(2, 0);
    assert_eq!(
        e.op(&b, create("/b", Persistent)),
        Err(ErrorCode::NodeExists)
    );
    assert_eq!(e.log.last().unwrap().0, Zxid::new(Epoch(2), 2));
}

#[test]
fn an_epochs_last_number_is_not_passed() {
    let mut e = Ensemble::new(1);
    e.role(0, PeerState::Looking, Phase::Draining, Epoch(1));
    e.servers[0].service.config.zab.counter_max = 2;
    e.establish(Epoch(2));
    let a = e.connect(1, 0);
    e.ok(&a, create("/a", Persistent));
    e.submit(a.conn, create("/b", Persistent));
    e.settle();
    assert_eq!(
        e.log.last().unwrap().0,
        Zxid::new(Epoch(2), 2),
        "ZOOKEEPER-1277"
    );
    assert!(e.heard(a.conn).is_empty());
}
