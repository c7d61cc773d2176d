//! Local sessions: no transaction for them, their upgrade, and what races with it.

use super::*;
use CreateMode::{Ephemeral, EphemeralSequential, Persistent};

fn local(servers: u8, upgrading: bool) -> Ensemble {
    let mut e = Ensemble::set_up(servers, |config| {
        config.local_sessions = true;
        config.upgrade_local_sessions = upgrading;
    });
    e.settle();
    e
}

fn mark(e: &Ensemble, name: &str) -> bool {
    let is = |note: &Note| matches!(note, Note::Mark(mark) if *mark == name);
    e.notes.iter().any(is)
}

fn multi_with_ephemeral() -> Op {
    Op::Multi {
        ops: vec![create("/m", Persistent), create("/m-e", Ephemeral)],
    }
}

#[test]
fn it_costs_no_transaction_and_neither_does_its_end() {
    let mut e = local(2, true);
    let a = e.connect(1, 1);
    assert!(e.log.is_empty());
    e.ok(&a, create("/a", Persistent));
    assert_eq!(e.log.len(), 1, "the create, of a session that no log knows");
    e.submit(a.conn, get("/a", false));
    e.submit(a.conn, Op::CloseSession);
    e.submit(a.conn, get("/a", false));
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        ["data \"x\" v0 @1", "closed @1"],
        "in its turn, and nothing behind it"
    );
    assert!(e.closed.contains(&a.conn));
    assert_eq!(e.log.len(), 1);
    let again = e.open(2, 1, a.reattach());
    e.settle();
    assert_eq!(e.connected(again).session, SessionId::NONE);
}

/// The same id, the timeout that was granted, right ahead of the request: by a create as by a multi, at the leader as
/// elsewhere.
#[test]
fn an_ephemeral_makes_it_global() {
    for (server, op) in [
        (1, create("/e", EphemeralSequential)),
        (0, multi_with_ephemeral()),
    ] {
        let mut e = local(3, true);
        let a = e.connect(1, server);
        e.ok(&a, op);
        let txns: Vec<String> = e
            .log
            .iter()
            .map(|(_, payload)| crate::describe(payload))
            .collect();
        let made = format!("{} #0: createSession {TIMEOUT_MS} ms", a.session);
        assert_eq!((&txns[0], txns.len()), (&made, 2), "{txns:?}");
        for server in &e.servers {
            assert_eq!(
                server.service.db.sessions().get(&a.session),
                Some(&TIMEOUT_MS)
            );
        }
        // From now on it goes on anywhere, and the leader ends it.
        let conn = e.open(2, 2, a.reattach());
        e.settle();
        assert_eq!(e.connected(conn).session, a.session);
        e.wait_ms(9_000);
        let session = a.session;
        assert!(e.notes.contains(&Note::SessionExpiring { session }));
        assert_eq!(e.servers[1].service.db.sessions().len(), 0);
        e.assert_digests_agree();
    }
}

#[test]
fn without_upgrading_the_ephemeral_is_refused() {
    for server in [0, 1] {
        let mut e = local(2, false);
        let a = e.connect(1, server);
        let refused = ErrorCode::EphemeralOnLocalSession;
        assert_eq!(e.op(&a, create("/e", Ephemeral)), Err(refused));
        assert_eq!(
            e.op(&a, create("no path", Ephemeral)),
            Err(refused),
            "before anything else is looked at"
        );
        let errors = vec![ErrorCode::Ok, refused];
        assert_eq!(
            e.op(&a, multi_with_ephemeral()),
            Ok(Reply::MultiFailed { errors })
        );
        e.ok(&a, create("/m", Persistent));
        assert!(e.servers[0].service.db.sessions().is_empty());
    }
}

#[test]
fn its_server_expires_it_and_nobody_hears_of_it() {
    let mut e = local(2, true);
    let a = e.connect(1, 1);
    for _ in 0..5 {
        e.wait_ms(3_000);
        e.send(a.conn, ClientFrame::Ping);
        e.settle();
        assert_eq!(e.heard(a.conn), ["pong @0"]);
    }
    e.wait_ms(6_000);
    assert!(e.closed.contains(&a.conn) && mark(&e, "local-session-expired"));
    assert!(e.log.is_empty(), "no transaction ends it");
    let again = e.open(2, 1, a.reattach());
    e.settle();
    assert_eq!(e.connected(again).timeout_ms, 0);
}

/// No other server has it, and once one has said so, it is over: also where it was.
#[test]
fn it_is_not_to_be_had_elsewhere() {
    let mut e = local(3, true);
    let a = e.connect(1, 1);
    e.ok(&a, create("/a", Persistent));
    let elsewhere = e.open(2, 2, a.reattach());
    e.settle();
    assert_eq!(e.connected(elsewhere).timeout_ms, 0);
    e.submit(a.conn, set("/a", "late"));
    e.settle();
    assert_eq!(e.heard(a.conn), ["SessionExpired @2"]);
    assert!(e.closed.contains(&a.conn));
    assert_eq!(e.servers[0].service.db.tree.stat("/a").unwrap().version, 0);
}

#[test]
fn it_does_not_outlive_its_servers_role() {
    let mut e = local(2, true);
    let a = e.connect(1, 1);
    e.role(1, PeerState::Looking, Phase::Draining, Epoch(1));
    assert!(e.closed.contains(&a.conn));
    e.role(1, PeerState::Following, Phase::Broadcast, Epoch(1));
    e.settle();
    let again = e.open(2, 1, a.reattach());
    e.settle();
    assert_eq!(e.connected(again).timeout_ms, 0);
}

/// What was on its way by the former connection is done before the first reply on the next, or never.
#[test]
fn on_a_second_connection_of_its_server_it_goes_on() {
    for prepared in [false, true] {
        let mut e = local(2, true);
        let a = e.connect(1, 1);
        e.ok(&a, create("/a", Persistent));
        e.submit(a.conn, set("/a", "late"));
        let write = e.servers[1].inputs.pop_front().expect("it is forwarded");
        if prepared {
            e.zab(1, write.clone());
            e.with(0, |service, now, out| {
                service.run(Stage::Prepare, now, &crate::prep::Ensemble::FIXED, out)
            });
            e.servers[0].stages.clear();
        }
        let conn = e.open(2, 1, a.reattach());
        assert!(e.closed.contains(&a.conn));
        if !prepared {
            // The leader hears of the new connection first: links between servers are in order, so this cannot be for
            // long; but what comes too late must not count.
            e.settle();
            e.zab(1, write);
        }
        e.settle();
        assert_eq!(e.connected(conn).session, a.session);
        let moved = Client { conn, ..a };
        let Ok(Reply::Data { stat, .. }) = e.op(&moved, get("/a", false)) else {
            panic!("it is there");
        };
        assert_eq!(stat.version, i32::from(prepared));
        e.ok(&moved, set("/a", "next"));
        assert!(e.servers[0].service.db.sessions().is_empty(), "local still");
    }
}

/// The transaction that makes it global waits at the leader while the session goes on at a third server: it counts first.
#[test]
fn it_may_move_while_it_is_upgraded() {
    let mut e = local(3, true);
    let a = e.connect(1, 1);
    e.submit(a.conn, create("/e", Ephemeral));
    for _ in 0..2 {
        let forwarded = e.servers[1].inputs.pop_front().expect("two requests");
        e.zab(1, forwarded);
    }
    // The leader has them both in its queue, and has not looked at them.
    assert!(e.log.is_empty());
    let conn = e.open(2, 2, a.reattach());
    let revalidate = e.servers[2].inputs.pop_front().expect("it is asked for");
    e.zab(2, revalidate);
    assert!(mark(&e, "moved-while-upgrading"));
    e.settle();
    assert_eq!(e.connected(conn).session, a.session);
    let moved = Client { conn, ..a };
    let Reply::Exists { stat } = e.ok(&moved, exists("/e", false)) else {
        panic!("what was asked for before is visible");
    };
    assert_eq!(stat.ephemeral_owner, a.session);
    e.assert_digests_agree();
}

/// The client was told that its session is no more before the leader heard of the upgrade: then that comes too late.
#[test]
fn an_upgrade_of_a_session_that_was_called_expired_is_refused() {
    let mut e = local(3, true);
    let a = e.connect(1, 1);
    e.submit(a.conn, create("/e", Ephemeral));
    let late: Vec<_> = e.servers[1].inputs.drain(..).collect();
    let conn = e.open(2, 2, a.reattach());
    e.settle();
    assert_eq!(e.connected(conn).timeout_ms, 0);
    for request in late {
        e.zab(1, request);
    }
    e.settle();
    assert!(mark(&e, "upgrade-refused") && e.closed.contains(&a.conn));
    let b = e.connect(3, 0);
    assert_eq!(e.op(&b, exists("/e", false)), GONE);
    for server in &e.servers {
        assert!(server.service.db.sessions().is_empty());
    }
    e.assert_digests_agree();
}

/// Behind a sync an ephemeral waits, and so does the close behind it: by its turn the session is a global one.
#[test]
fn a_close_behind_an_upgrade_is_a_transaction() {
    let mut e = local(2, true);
    e.hold_syncs = true;
    let a = e.connect(1, 1);
    e.submit(
        a.conn,
        Op::Sync {
            path: "/".into(),
            mode: zabsim_types::SyncMode::Quorum,
        },
    );
    e.submit(a.conn, create("/e", Ephemeral));
    e.submit(a.conn, Op::CloseSession);
    e.settle();
    assert!(e.log.is_empty());
    let (at, id) = e.held_syncs.pop_front().expect("one sync");
    e.with(at, |service, _, out| service.on_sync_done(id, out));
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        ["synced { path: \"/\" } @0", "created /e @2", "closed @3"]
    );
    assert_eq!(e.log.len(), 3);
    assert_eq!(e.servers[0].service.db.tree.owners().count(), 0);
}
