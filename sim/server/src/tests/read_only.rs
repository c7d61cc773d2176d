//! Reads without a quorum: who is served, what is shown, and what ends it.

use super::*;
use CreateMode::{Ephemeral, Persistent};

const GRACE_MS: u64 = 2_000;

/// Two servers, of which the second has applied all but the last transaction, and logged that.
fn ensemble() -> (Ensemble, Client) {
    let mut e = Ensemble::set_up(2, |config| config.read_only_mode = true);
    let a = e.connect(1, 1);
    e.ok(&a, create("/a", Persistent));
    (e, a)
}

/// The server loses its leader, and takes what it logged without knowing it committed into its tree.
fn cut_off(e: &mut Ensemble, at: usize, uncommitted: &[(Zxid, Payload)]) {
    e.role(at, PeerState::Looking, Phase::Draining, Epoch(1));
    for (zxid, payload) in uncommitted {
        e.with(at, |service, _, out| {
            service.deliver(*zxid, payload, Delivery::Replayed, out);
        });
    }
    e.servers[at].held = true;
    e.settle();
    e.role(at, PeerState::Looking, Phase::Election, Epoch(1));
}

fn content(client: &Client) -> ConnectRequest {
    ConnectRequest {
        read_only: true,
        ..client.reattach()
    }
}

#[test]
fn a_server_without_a_leader_serves_those_who_are_content() {
    let (mut e, a) = ensemble();
    cut_off(&mut e, 1, &[]);
    e.wait_ms(GRACE_MS - 1);
    let early = e.open(2, 1, content(&a));
    assert!(e.closed.contains(&early), "not before the grace is over");
    e.wait_ms(1);
    let full = e.open(3, 1, a.reattach());
    assert!(e.closed.contains(&full), "it wants a full server");
    let conn = e.open(4, 1, content(&a));
    let reply = e.connected(conn);
    assert!(reply.read_only && reply.session == a.session);
    let reader = Client { conn, ..a };
    assert!(e.op(&reader, get("/a", true)).is_ok());
    let not = Err(ErrorCode::NotReadOnly);
    let sync = Op::Sync {
        path: "/".into(),
        mode: zabsim_types::SyncMode::Leader,
    };
    let multi = Op::Multi { ops: vec![] };
    for op in [
        create("/b", Persistent),
        create("/e", Ephemeral),
        set("/a", "y"),
        delete("/a"),
        multi,
        sync,
        Op::CloseSession,
    ] {
        assert_eq!(e.op(&reader, op.clone()), not, "{op:?}");
    }
    e.send(conn, ClientFrame::Ping);
    e.settle();
    assert_eq!(e.heard(conn), ["pong @2"]);
    // It finds a leader.
    e.role(1, PeerState::Following, Phase::Discovery, Epoch(2));
    assert!(e.closed.contains(&conn));
}

/// What is logged and not known to be committed may be cut off again: the leader of the next epoch never had it.
#[test]
fn readers_never_see_what_is_not_committed() {
    let (mut e, a) = ensemble();
    e.servers[1].held = true;
    let b = e.connect(9, 0);
    e.ok(&b, set("/a", "uncommitted"));
    let tail: Vec<_> = e.log[e.servers[1].delivered..].to_vec();
    assert_eq!(tail.len(), 2);
    cut_off(&mut e, 1, &tail);
    let tree = &e.servers[1].service.db.tree;
    assert_eq!(tree.stat("/a").unwrap().version, 1, "the election needs it");
    e.wait_ms(GRACE_MS);
    let conn = e.open(2, 1, content(&a));
    assert!(e.connected(conn).read_only);
    e.submit(conn, get("/a", false));
    e.settle();
    assert_eq!(e.heard(conn), ["data \"x\" v0 @2"]);
    let ahead = ConnectRequest {
        last_zxid_seen: zabsim_types::Zxid::new(1, 3),
        ..content(&b)
    };
    let conn = e.open(3, 1, ahead);
    assert!(
        e.closed.contains(&conn),
        "it has seen more than is shown here"
    );
}

/// A process that was in no quorum yet cannot know what of its log is committed.
#[test]
fn a_server_that_has_just_started_shows_nothing() {
    let (e, a) = ensemble();
    let log = e.log;
    let mut e = Ensemble::set_up(2, |config| config.read_only_mode = true);
    e.servers[1].service = Service::new(Config {
        read_only_mode: true,
        ..config(2)
    });
    cut_off(&mut e, 1, &log);
    e.wait_ms(GRACE_MS);
    let unknown = Note::Mark("read-only-knows-nothing");
    assert!(e.notes.contains(&unknown));
    let conn = e.open(2, 1, content(&a));
    assert!(e.closed.contains(&conn));
}

/// No zxid is given away, nothing is logged, and its end is its connection's affair.
#[test]
fn a_session_that_is_made_here_is_provisional() {
    let (mut e, _) = ensemble();
    let log = e.log.len();
    cut_off(&mut e, 1, &[]);
    e.wait_ms(GRACE_MS);
    let request = ConnectRequest {
        read_only: true,
        ..fresh()
    };
    let conn = e.open(2, 1, request);
    let reply = e.connected(conn);
    assert!(reply.read_only && reply.session != SessionId::NONE);
    let reader = Client {
        conn,
        session: reply.session,
        password: reply.password,
    };
    assert_eq!(
        e.op(&reader, create("/b", Persistent)),
        Err(ErrorCode::NotReadOnly)
    );
    assert_eq!(e.op(&reader, Op::CloseSession), Ok(Reply::Closed));
    assert!(e.closed.contains(&conn));
    assert_eq!(e.log.len(), log);
    e.servers[1].held = false;
    e.role(1, PeerState::Following, Phase::Broadcast, Epoch(1));
    e.settle();
    let conn = e.open(3, 1, reader.reattach());
    e.settle();
    assert_eq!(e.connected(conn).timeout_ms, 0, "nobody else knows it");
}
