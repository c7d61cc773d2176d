//! Watches that stay, as a client meets them: left, removed, checked, and set again on a new connection.

use super::*;
use CreateMode::Persistent;
use zabsim_types::{AddWatchMode, WatcherType};

fn add_watch(path: &str, mode: AddWatchMode) -> Op {
    let path = path.into();
    Op::AddWatch { path, mode }
}

fn remove_watches(path: &str, kind: WatcherType) -> Op {
    let path = path.into();
    Op::RemoveWatches { path, kind }
}

fn check_watches(path: &str, kind: WatcherType) -> Op {
    let path = path.into();
    Op::CheckWatches { path, kind }
}

#[test]
fn a_watch_is_added_fires_before_the_reply_is_checked_and_removed() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    for op in [
        add_watch("/p", AddWatchMode::Persistent),
        add_watch("/", AddWatchMode::PersistentRecursive),
        create("/p", Persistent),
        create("/p/c", Persistent),
        check_watches("/p", WatcherType::Persistent),
        check_watches("/p", WatcherType::PersistentRecursive),
        remove_watches("/p", WatcherType::Any),
        remove_watches("/p", WatcherType::Any),
        create("/p/d", Persistent),
    ] {
        e.submit(a.conn, op);
    }
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        [
            "watchadded @1",
            "watchadded @1",
            "NodeCreated /p @2",
            "created /p @2",
            "NodeCreated /p/c @3",
            "NodeChildrenChanged /p @3",
            "created /p/c @3",
            "watcheschecked @3",
            "NoWatcher @3",
            "watchesremoved @3",
            "NoWatcher @3",
            "NodeCreated /p/d @4",
            "created /p/d @4",
        ]
    );
}

/// Another's watches are not one's own; and a request about watches waits for the writes before it.
#[test]
fn watches_are_a_connections_own() {
    let mut e = Ensemble::new(1);
    let (a, b) = (e.connect(1, 0), e.connect(2, 0));
    e.ok(&a, create("/p", Persistent));
    e.ok(&a, get("/p", true));
    let none = Err(ErrorCode::NoWatcher);
    assert_eq!(e.op(&b, check_watches("/p", WatcherType::Data)), none);
    assert_eq!(e.op(&b, remove_watches("/p", WatcherType::Any)), none);
    e.submit(a.conn, set("/p", "y"));
    e.submit(a.conn, check_watches("/p", WatcherType::Data));
    e.settle();
    assert_eq!(
        e.heard(a.conn),
        ["NodeDataChanged /p @4", "set v1 @4", "NoWatcher @4"]
    );
}

#[test]
fn those_that_stay_are_set_again_as_they_are_without_catching_up() {
    let mut e = Ensemble::new(1);
    let a = e.connect(1, 0);
    e.ok(&a, create("/p", Persistent));
    e.ok(&a, set("/p", "y"));
    e.send(
        a.conn,
        ClientFrame::SetWatches {
            relative: zabsim_types::Zxid::new(1, 1),
            data: vec!["/p".into()],
            exists: vec![],
            child: vec![],
            persistent: vec!["/p".into(), "/none".into()],
            recursive: vec!["/".into()],
        },
    );
    e.settle();
    let caught_up = ["NodeDataChanged /p @-", "watches set @3"];
    assert_eq!(e.heard(a.conn), caught_up, "that of the one-shot watch");
    for op in [set("/p", "z"), set("/p", "z"), create("/p/c", Persistent)] {
        e.submit(a.conn, op);
    }
    e.settle();
    let heard = e.heard(a.conn);
    let events: Vec<_> = heard
        .iter()
        .filter(|line| line.starts_with("Node"))
        .collect();
    assert_eq!(
        events,
        [
            "NodeDataChanged /p @4",
            "NodeDataChanged /p @5",
            "NodeCreated /p/c @6",
            "NodeChildrenChanged /p @6",
        ]
    );
}
