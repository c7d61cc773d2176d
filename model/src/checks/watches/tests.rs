//! Each rule broken once, and the stories of a reconnection.

use crate::checks::testing::{
    Run, World, create, delete, get, report, set, watch, watch_children, watch_exists,
};
use zabsim_types::{Acl, HistoryEvent, HistoryKind, Op, Perms, SessionChange, WatchKind, Zxid};

const NAME: &str = "watches";

fn detail(run: &Run) -> String {
    report(run, NAME).detail
}

fn position(run: &Run, fits: impl Fn(&HistoryEvent) -> bool) -> usize {
    run.history.iter().position(fits).expect("such an event")
}

fn is_event(event: &HistoryEvent) -> bool {
    matches!(event.kind, HistoryKind::Watch { .. })
}

/// Client 1 watches, client 2 writes, client 1 reads.
fn run() -> Run {
    let mut world = World::new(2, 1);
    world.now(1, create("/a"));
    world.now(1, watch("/a"));
    world.now(1, watch_children("/a"));
    world.now(2, create("/a/x"));
    world.now(2, set("/a", "1"));
    world.now(1, watch("/a"));
    world.now(2, set("/a", "2"));
    world.now(2, set("/a", "3"));
    world.settle();
    world.finish()
}

#[test]
fn a_legal_run_is_accepted() {
    let report = report(&run(), NAME);
    assert!(report.ok(), "{}", report.detail);
    assert_eq!(report.detail, "3 watches left, 3 events");
}

#[test]
fn a_lost_event_is_found() {
    let mut run = run();
    let at = position(&run, is_event);
    run.history.remove(at);
    assert!(detail(&run).contains("before the event of"));
}

#[test]
fn an_event_behind_its_data_is_found() {
    let mut world = World::new(1, 1);
    world.now(1, create("/a"));
    world.now(1, watch("/a"));
    world.now(1, set("/a", "1"));
    let mut run = world.finish();
    assert!(report(&run, NAME).ok());
    let at = position(&run, is_event);
    run.swap(at, at + 1);
    assert!(detail(&run).contains("got a reply at"));
}

#[test]
fn a_watch_fires_once() {
    let mut run = run();
    let at = position(&run, is_event);
    let again = run.history[at].clone();
    run.history.insert(at + 1, again);
    assert!(detail(&run).contains("no watch was set there"));
}

#[test]
fn an_event_names_its_transaction_and_its_change() {
    let mut run = run();
    let at = position(&run, is_event);
    let HistoryKind::Watch { zxid, .. } = &mut run.history[at].kind else {
        panic!("an event");
    };
    *zxid = zxid.map(|zxid| Zxid(zxid.0 - 1));
    assert!(detail(&run).contains("its watch was due at"));
    let HistoryKind::Watch { zxid, .. } = &mut run.history[at].kind else {
        panic!("an event");
    };
    *zxid = zxid.map(|zxid| Zxid(zxid.0 + 1));
    assert!(report(&run, NAME).ok());
    let HistoryKind::Watch { event, .. } = &mut run.history[at].kind else {
        panic!("an event");
    };
    event.kind = WatchKind::NodeDeleted;
    assert!(!report(&run, NAME).ok());
}

#[test]
fn events_come_in_the_order_of_their_transactions() {
    let mut run = run();
    let first = position(&run, is_event);
    let events: Vec<usize> = (first..run.history.len())
        .filter(|at| is_event(&run.history[*at]))
        .collect();
    run.swap(events[0], events[1]);
    assert!(detail(&run).contains("got an event at"));
}

/// The connection breaks; meanwhile the watched nodes change.
fn reconnected(change: impl Fn(&mut World)) -> Run {
    let mut world = World::new(2, 2);
    world.now(1, create("/a"));
    world.now(1, watch("/a"));
    world.now(1, watch_children("/a"));
    world.now(1, watch_exists("/b"));
    world.lose(1);
    change(&mut world);
    world.catch_up(1);
    world.reconnect(1, 1);
    world.now(1, get("/a"));
    world.finish()
}

fn caught_up(run: &Run) -> Vec<(WatchKind, String)> {
    let caught = |event: &HistoryEvent| match &event.kind {
        HistoryKind::Watch {
            zxid: None, event, ..
        } => Some((event.kind, event.path.to_string())),
        _ => None,
    };
    run.history.iter().filter_map(caught).collect()
}

#[test]
fn what_happened_while_away_is_told_on_return() {
    let quiet = reconnected(|_| {});
    assert_eq!(caught_up(&quiet), []);
    assert!(report(&quiet, NAME).ok(), "{}", detail(&quiet));
    type Change<'a> = (&'a [Op], &'a [(WatchKind, &'a str)]);
    let changes: [Change<'_>; 5] = [
        (&[set("/a", "1")], &[(WatchKind::NodeDataChanged, "/a")]),
        (&[create("/a/x")], &[(WatchKind::NodeChildrenChanged, "/a")]),
        (&[create("/b")], &[(WatchKind::NodeCreated, "/b")]),
        // The permitted loss.
        (&[create("/b"), delete("/b")], &[]),
        (
            &[delete("/a"), create("/a")],
            &[
                (WatchKind::NodeDataChanged, "/a"),
                (WatchKind::NodeChildrenChanged, "/a"),
            ],
        ),
    ];
    for (ops, told) in changes {
        let mut run = reconnected(|world| {
            for op in ops {
                world.now(2, op.clone());
            }
        });
        let told: Vec<_> = told
            .iter()
            .map(|(kind, path)| (*kind, path.to_string()))
            .collect();
        assert_eq!(caught_up(&run), told);
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        if told.is_empty() {
            continue;
        }
        let at = position(&run, is_event);
        run.history.remove(at);
        assert!(detail(&run).contains("was not told"), "{}", detail(&run));
    }
}

#[test]
fn a_catch_up_event_must_be_the_right_one() {
    let mut run = reconnected(|world| {
        world.now(2, set("/a", "1"));
    });
    let at = position(&run, is_event);
    let HistoryKind::Watch { event, .. } = &mut run.history[at].kind else {
        panic!("an event");
    };
    event.kind = WatchKind::NodeDeleted;
    assert!(detail(&run).contains("it should be"), "{}", detail(&run));
}

/// ZOOKEEPER-1412: the client names a zxid that its server had not applied, and misses what came before it.
#[test]
fn a_relative_zxid_from_the_future_hides_nothing() {
    let mut run = reconnected(|world| {
        world.now(2, set("/a", "1"));
    });
    let at = position(&run, is_event);
    run.history.remove(at);
    let mut lie = None;
    for event in &mut run.history {
        if let HistoryKind::Session {
            change: SessionChange::WatchesSet { relative, zxid, .. },
        } = &mut event.kind
        {
            *relative = *zxid;
            lie = Some(*zxid);
        }
    }
    assert!(lie.is_some());
    assert!(!report(&run, NAME).ok());
}

#[test]
fn a_new_connection_without_its_watches_is_found() {
    let mut run = reconnected(|_| {});
    let at = position(&run, |event| {
        matches!(
            event.kind,
            HistoryKind::Session {
                change: SessionChange::WatchesSet { .. }
            }
        )
    });
    run.history.remove(at);
    assert!(detail(&run).contains("watches were set there"));
    run.options.watches_survive_reconnect = false;
    assert!(report(&run, NAME).ok(), "{}", detail(&run));
}

/// A node watched while absent is made and removed while the client is away (the permitted loss); then the client goes on at a
/// server that has seen only the making.
fn two_connections(second: usize) -> Run {
    let mut world = World::new(2, 2);
    world.now(1, watch_exists("/a"));
    world.lose(1);
    world.invoke(2, create("/a"));
    world.propose(2);
    world.apply_one(1);
    world.invoke(2, delete("/a"));
    world.propose(2);
    world.catch_up(0);
    world.reconnect_unchecked(1, 0);
    world.lose(1);
    world.reconnect_unchecked(1, second);
    world.settle();
    world.finish()
}

/// The watch stands at the state that the last server showed: what that one had applied is told by the next only if the next
/// one is behind, and then the session went back in time. The check of the watches holds the server to its own state.
#[test]
fn the_state_at_the_server_decides_what_is_told() {
    let quiet = two_connections(0);
    assert_eq!(caught_up(&quiet), []);
    assert!(quiet.reports().iter().all(|report| report.ok()));
    let behind = two_connections(1);
    let created = (WatchKind::NodeCreated, "/a".to_owned());
    assert_eq!(caught_up(&behind), [created]);
    assert!(report(&behind, NAME).ok(), "{}", detail(&behind));
    let back = report(&behind, "monotonic-session");
    assert!(
        back.detail.contains("set its watches again"),
        "{}",
        back.detail
    );
}

/// The first of two connections shows that the node is not there; behind that only a later change is due.
#[test]
fn a_watch_that_was_set_again_stands_at_the_servers_state() {
    let mut run = {
        let mut world = World::new(2, 1);
        world.now(1, watch_exists("/a"));
        world.lose(1);
        world.now(2, create("/a"));
        world.now(2, delete("/a"));
        world.reconnect(1, 0);
        world.now(2, create("/a"));
        world.deliver_all(1);
        world.finish()
    };
    assert!(report(&run, NAME).ok(), "{}", detail(&run));
    let at = position(&run, is_event);
    let HistoryKind::Watch { zxid, .. } = &mut run.history[at].kind else {
        panic!("an event");
    };
    *zxid = zxid.map(|zxid| Zxid(zxid.0 - 2));
    assert!(detail(&run).contains("was due at"), "{}", detail(&run));
}

/// A client that names less than it was shown is told old news.
#[test]
fn what_it_had_seen_is_no_news() {
    let mut run = reconnected(|_| {});
    let at = position(&run, |event| {
        matches!(
            event.kind,
            HistoryKind::Session {
                change: SessionChange::WatchesSet { .. }
            }
        )
    });
    let mut old = run.history[at].clone();
    old.kind = HistoryKind::Watch {
        zxid: None,
        conn: 2,
        event: zabsim_types::WatchEvent {
            kind: WatchKind::NodeDataChanged,
            path: "/a".into(),
        },
    };
    run.history.insert(at, old);
    if let HistoryKind::Session {
        change: SessionChange::WatchesSet { relative, .. },
    } = &mut run.history[at + 1].kind
    {
        *relative = Zxid(1);
    }
    assert!(
        detail(&run).contains("it should be nothing"),
        "{}",
        detail(&run)
    );
}

#[test]
fn at_a_quiet_end_no_event_is_outstanding() {
    let mut world = World::new(2, 1);
    world.now(1, create("/a"));
    world.now(1, watch("/a"));
    world.now(2, set("/a", "1"));
    let mut late = world.clone().finish();
    assert!(report(&late, NAME).ok());
    late.options.quiet_end = true;
    assert!(
        detail(&late).contains("never got the event"),
        "{}",
        detail(&late)
    );
    world.deliver_all(1);
    let mut run = world.finish();
    run.options.quiet_end = true;
    assert!(report(&run, NAME).ok(), "{}", detail(&run));
}

/// Its client does not know that the server has used it up, and sets it again.
#[test]
fn a_watch_used_up_unheard_may_be_told_of_on_the_next_connection() {
    let mut world = World::new(2, 1);
    world.now(1, create("/a"));
    world.now(1, watch("/a"));
    let (scheme, auth) = ("digest".into(), "me:secret".into());
    world.now(2, Op::AddAuth { scheme, auth });
    let guard = Op::SetAcl {
        path: "/a".into(),
        acl: Acl::one(Perms::ALL, "auth", ""),
        version: -1,
    };
    world.now(2, guard);
    world.now(2, set("/a", "secret"));
    world.now(1, get("/"));
    world.lose(1);
    world.now(2, delete("/a"));
    world.reconnect(1, 0);
    let mut run = world.finish();
    assert!(report(&run, NAME).ok(), "{}", detail(&run));
    // Once at most.
    let at = position(&run, is_event);
    run.history.insert(at, run.history[at].clone());
    assert!(
        detail(&run).contains("no watch was set"),
        "{}",
        detail(&run)
    );
}
