//! Connecting, moving to another server, and being refused.

use super::*;
use CreateMode::{Ephemeral, Persistent};

#[test]
fn timeouts_are_clamped_and_ids_carry_the_server() {
    let mut e = Ensemble::new(2);
    for (conn, asked, granted) in [(1, 1, 1_000), (2, 5_000, 5_000), (3, 1 << 30, 10_000)] {
        let request = ConnectRequest {
            timeout_ms: asked,
            ..fresh()
        };
        let conn = e.open(conn, 1, request);
        e.settle();
        let reply = e.connected(conn);
        assert_eq!(reply.timeout_ms, granted);
        assert_eq!(reply.session.0 >> 56, 2);
    }
}

#[test]
fn a_new_session_is_told_once_its_transaction_is_applied_here() {
    let mut e = Ensemble::new(2);
    e.servers[1].held = true;
    let conn = e.open(1, 1, fresh());
    e.settle();
    assert_eq!(e.log.len(), 1);
    assert!(e.heard(conn).is_empty());
    e.servers[1].held = false;
    e.settle();
    assert_eq!(e.heard(conn), ["connected 4000"]);
}

#[test]
fn a_wrong_password_or_an_unknown_session_is_answered_as_expired() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 0);
    let mut wrong = a.reattach();
    wrong.password[3] ^= 1;
    let unknown = SessionId(77);
    let stranger = ConnectRequest {
        session: unknown,
        password: crate::sessions::password(unknown, 7),
        ..fresh()
    };
    let requests = [
        (2, 0, wrong.clone()),
        (3, 1, wrong),
        (4, 0, stranger.clone()),
        (5, 1, stranger),
    ];
    for (conn, server, request) in requests {
        let conn = e.open(conn, server, request);
        e.settle();
        let reply = e.connected(conn);
        assert_eq!((reply.session, reply.timeout_ms), (SessionId::NONE, 0));
        assert!(e.closed.contains(&conn));
    }
    assert!(
        !e.closed.contains(&a.conn),
        "a stranger does not push out the owner"
    );
    e.ok(&a, create("/a", Persistent));
}

#[test]
fn a_client_from_the_future_is_refused_and_one_from_the_present_is_not() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 0);
    e.ok(&a, create("/a", Persistent));
    e.servers[1].held = true;
    e.ok(&a, create("/b", Persistent));
    let seen = |counter| ConnectRequest {
        last_zxid_seen: zabsim_types::Zxid::new(1, counter),
        ..a.reattach()
    };
    e.open(2, 1, seen(3));
    assert!(e.closed.contains(&ConnId(2)));
    assert!(e.notes.contains(&Note::RefusedFromFuture {
        seen: zabsim_types::Zxid::new(1, 3),
        applied: zabsim_types::Zxid::new(1, 2),
    }));
    e.servers[1].held = false;
    e.settle();
    let conn = e.open(3, 1, seen(3));
    e.settle();
    assert_eq!(e.connected(conn).session, a.session);
}

#[test]
fn a_session_that_moved_owns_its_ephemerals_and_its_old_connection_is_refused() {
    let mut e = Ensemble::new(3);
    let a = e.connect(1, 1);
    e.ok(&a, create("/e", Ephemeral));
    let conn = e.open(2, 2, a.reattach());
    e.settle();
    assert_eq!(e.connected(conn).session, a.session);
    let moved = Client { conn, ..a };
    e.ok(&moved, set("/e", "y"));
    // The old connection is half open: its server has not noticed yet.
    e.submit(ConnId(1), set("/e", "late"));
    e.settle();
    assert!(
        e.heard(ConnId(1)).is_empty(),
        "not returned to the application"
    );
    assert!(e.closed.contains(&ConnId(1)));
    assert!(e.notes.contains(&Note::SessionMoved { session: a.session }));
    e.submit(conn, get("/e", false));
    e.settle();
    assert_eq!(
        e.heard(conn),
        ["data \"y\" v1 @4"],
        "the refusal took a zxid"
    );
}

/// The write was sent, the connection broke, and the session goes on elsewhere: the write is either seen by the very first
/// read or never happens.
#[test]
fn a_write_still_in_flight_is_visible_at_once_or_never() {
    // Proposed before the session moved: the new server lets the session go on only behind it.
    let mut e = Ensemble::new(3);
    let a = e.connect(1, 1);
    e.servers[2].held = true;
    e.submit(a.conn, create("/a", Persistent));
    e.settle();
    let conn = e.open(2, 2, a.reattach());
    e.settle();
    assert!(e.heard(conn).is_empty(), "behind the barrier");
    e.servers[2].held = false;
    e.settle();
    e.submit(conn, exists("/a", false));
    e.settle();
    assert_eq!(e.heard(conn), ["connected 4000", "exists @2"]);

    // Not prepared yet when the session moved: never.
    let mut e = Ensemble::new(3);
    let a = e.connect(1, 1);
    e.submit(a.conn, create("/a", Persistent));
    let request = e.servers[1].inputs.pop_front().unwrap();
    let conn = e.open(2, 2, a.reattach());
    e.settle();
    e.zab(1, request);
    e.settle();
    e.submit(conn, exists("/a", false));
    e.settle();
    assert_eq!(e.heard(conn), ["connected 4000", "NoNode @2"]);
}

#[test]
fn even_at_the_same_server_a_session_has_one_connection() {
    for server in [0, 1] {
        let mut e = Ensemble::new(2);
        let a = e.connect(1, server);
        e.ok(&a, exists("/", true));
        e.submit(a.conn, create("/lost", Persistent));
        let conn = e.open(2, server, a.reattach());
        assert!(e.closed.contains(&a.conn));
        e.settle();
        e.take(conn);
        let moved = Client { conn, ..a };
        e.op(&moved, exists("/lost", false)).ok();
        e.ok(&moved, set("/", "r"));
        assert!(
            e.heard(conn).is_empty(),
            "watches died with the old connection"
        );
    }
}

#[test]
fn a_client_that_speaks_out_of_turn_is_closed() {
    let mut e = Ensemble::new(1);
    let conn = ConnId(1);
    e.home.insert(conn, 0);
    e.with(0, |s, _, out| s.on_client_opened(conn, out));
    e.send(conn, ClientFrame::Ping);
    assert!(e.closed.contains(&conn), "a ping before Connect");
    let hasty = e.open(2, 0, fresh());
    e.send(hasty, ClientFrame::Ping);
    assert!(
        e.closed.contains(&hasty),
        "a request before the reply to Connect"
    );
    let a = e.connect(3, 0);
    e.send(a.conn, ClientFrame::Connect(fresh()));
    assert!(e.closed.contains(&a.conn), "Connect twice");
}
