//! How sessions end, and what ends with them.

use super::*;
use crate::Owner;
use crate::database::Database;
use crate::node::Node;
use crate::snapshot::SnapshotWriter;
use crate::tree::Tree;
use CreateMode::{Ephemeral, Persistent};
use zab::SnapshotId;

#[test]
fn a_closed_session_takes_its_ephemerals_under_one_zxid() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 0);
    e.ok(&b, create("/p", Persistent));
    for path in ["/p/f", "/p/e"] {
        e.ok(&a, create(path, Ephemeral));
    }
    e.ok(&b, children("/p", true));
    e.submit(a.conn, exists("/p/e", true));
    e.submit(a.conn, Op::CloseSession);
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        ["exists @5", "NodeDeleted /p/e @6", "closed @6"],
        "the event of the own close precedes its reply"
    );
    assert!(e.closed.contains(&a.conn));
    assert_eq!(e.heard(b.conn), ["NodeChildrenChanged /p @6"]);
    let again = e.open(3, 1, a.reattach());
    e.settle();
    assert_eq!(e.connected(again).session, SessionId::NONE);
    e.assert_digests_agree();
}

#[test]
fn a_silent_session_expires_and_its_connection_is_closed() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    let b = e.connect(2, 0);
    e.ok(&a, create("/e", Ephemeral));
    let ping_b = |e: &mut Ensemble| {
        e.send(b.conn, ClientFrame::Ping);
        e.settle();
        e.take(b.conn);
    };
    for _ in 0..3 {
        e.wait_ms(1_000);
        ping_b(&mut e);
    }
    assert!(matches!(
        e.op(&b, exists("/e", false)),
        Ok(Reply::Exists { .. })
    ));
    for _ in 0..2 {
        e.wait_ms(1_000);
        ping_b(&mut e);
    }
    let session = a.session;
    assert!(e.notes.contains(&Note::SessionExpiring { session }));
    assert_eq!(e.op(&b, exists("/e", false)), GONE);
    assert!(e.closed.contains(&a.conn), "at the server that holds it");
    assert!(!e.closed.contains(&b.conn));
}

#[test]
fn pings_at_a_learner_keep_a_session_alive() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    for _ in 0..20 {
        e.wait_ms(1_000);
        e.send(a.conn, ClientFrame::Ping);
        e.settle();
        assert_eq!(e.heard(a.conn), ["pong @1"]);
    }
    e.ok(&a, create("/a", Persistent));
}

/// ZOOKEEPER-1208, 1496: neither a create nor a touch on its way gets past the expiry.
#[test]
fn a_closing_session_can_do_nothing_more() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    e.submit(a.conn, create("/late", Ephemeral));
    let request = e.servers[1].inputs.pop_front().unwrap();
    e.servers[1].held = true;
    e.wait_ms(5_000);
    e.send(a.conn, ClientFrame::Ping);
    e.wait_ms(1_000);
    e.zab(1, request);
    e.servers[1].held = false;
    e.settle();
    assert!(e.closed.contains(&a.conn));
    let b = e.connect(2, 0);
    assert_eq!(e.op(&b, exists("/late", false)), GONE);
    e.assert_digests_agree();
}

#[test]
fn a_new_leader_gives_everyone_a_full_timeout() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    e.ok(&a, create("/e", Ephemeral));
    e.wait_ms(3_900);
    e.role(0, PeerState::Looking, Phase::Draining, Epoch(1));
    e.establish(Epoch(2));
    e.wait_ms(3_900);
    let b = e.connect(2, 0);
    assert!(matches!(
        e.op(&b, exists("/e", false)),
        Ok(Reply::Exists { .. })
    ));
    let conn = e.open(3, 0, a.reattach());
    e.settle();
    assert_eq!(e.connected(conn).session, a.session);
    let moved = Client { conn, ..a };
    e.ok(&moved, set("/e", "y"));
    e.wait_ms(9_000);
    let c = e.connect(4, 0);
    assert_eq!(
        e.op(&c, exists("/e", false)),
        GONE,
        "and then it counts again"
    );
}

/// What a learner says before the new leader has applied its own history is not lost.
#[test]
fn a_revalidation_waits_for_the_leader_to_catch_up() {
    let mut e = Ensemble::new(2);
    let a = e.connect(1, 1);
    for at in [0, 1] {
        e.role(at, PeerState::Looking, Phase::Draining, Epoch(1));
    }
    e.settle();
    e.role(0, PeerState::Leading, Phase::Broadcast, Epoch(2));
    let stages = std::mem::take(&mut e.servers[0].stages);
    e.role(1, PeerState::Following, Phase::Broadcast, Epoch(2));
    e.settle();
    let conn = e.open(2, 1, a.reattach());
    e.settle();
    assert!(e.heard(conn).is_empty());
    e.servers[0].stages = stages;
    e.settle();
    assert_eq!(e.heard(conn), ["connected 4000"]);
}

#[test]
fn a_client_cannot_use_an_ephemeral_of_its_former_session() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    e.ok(&a, create("/e", Ephemeral));
    e.submit(a.conn, Op::CloseSession);
    e.settle();
    let b = e.connect(2, 0);
    let Reply::Created { .. } = e.ok(&b, create("/e", Ephemeral)) else {
        panic!("the path is free again");
    };
    let Reply::Exists { stat } = e.ok(&b, exists("/e", false)) else {
        panic!("it exists");
    };
    assert_eq!(stat.ephemeral_owner, b.session);
}

/// A snapshot brings ephemerals whose owner is in no table: a leader that takes over removes them, through the log.
#[test]
fn a_new_leader_removes_ephemerals_without_a_session() {
    let mut e = Ensemble::new(2);
    let begun = zabsim_types::Zxid::new(1, 1);
    let mut tree = Tree::new();
    let gone = Owner::Session(SessionId(9));
    for (path, owner) in [
        ("/p", Owner::Nobody),
        ("/p/lost", gone),
        ("/p/lost-too", gone),
    ] {
        let node = Node::new(path, None, Acl::OPEN, owner, begun, 0);
        tree.create(&path.into(), node, 1)
            .expect("its parent is there");
    }
    let orphaned = Database::restored(tree, BTreeMap::new(), begun, begun);
    let (chunk, last) = SnapshotWriter::new(SnapshotId(1), begun).next_chunk(&orphaned, 99);
    assert!(last);
    for at in 0..2 {
        e.role(at, PeerState::Looking, Phase::Election, Epoch(1));
        e.with(at, |service, _, out| {
            service.restore(Zxid(begun.0), std::slice::from_ref(&chunk), out);
        });
    }
    e.establish(Epoch(2));
    assert!(
        e.notes
            .contains(&Note::Mark("ephemeral-of-unknown-session"))
    );
    assert_eq!(e.log.len(), 1, "one session, one transaction");
    for server in &e.servers {
        let tree = &server.service.db.tree;
        assert_eq!(tree.stat("/p").map(|stat| stat.num_children), Some(0));
        assert!(tree.stat("/p/lost").is_none());
        assert_eq!(tree.owners().count(), 0);
    }
    e.assert_digests_agree();
    let a = e.connect(1, 1);
    e.ok(&a, delete("/p"));
}
