//! The operations of the async face, each with the request that it hands over and what it makes of the answer; and the watches
//! that stay, as a program follows them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use zabsim_client::{
    Client, ClientError, Command, MultiRead, Outcome, Port, Reconfig, Standing, Watched,
};
use zabsim_types::{
    Acl, AddWatchMode, CONFIG_NODE, CallId, ErrorCode, Id, Op, OpResult, Perms, Reply, ServerId,
    SessionChange, SessionId, Stat, WatchEvent, WatchKind, WatcherType, Xid, Zxid,
};

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn attached() -> (Port, Client) {
    let port = Port::new(1);
    let change = SessionChange::Connected {
        server: ServerId(1),
        conn: 1,
        timeout_ms: 1_000,
        reattached: false,
        read_only: false,
    };
    port.changed(SessionId(1), &change);
    let client = port.client();
    (port, client)
}

/// The one request that was handed over.
fn asked(port: &Port) -> (CallId, Op) {
    let mut commands = Vec::new();
    port.take_commands(&mut commands);
    match commands.pop() {
        Some(Command::Submit { call, op }) if commands.is_empty() => (call, op),
        other => panic!("{other:?} and {commands:?}"),
    }
}

fn answer(port: &Port, call: CallId, result: OpResult) {
    let outcome = Outcome::Replied {
        xid: Xid(1),
        conn: 1,
        zxid: Zxid(9),
        result,
    };
    port.complete(call, outcome);
}

/// What is asked for, and what comes of that answer.
fn exchange<T>(port: &Port, method: impl Future<Output = T>, result: OpResult) -> (Op, T) {
    let mut method = pin!(method);
    assert!(poll(method.as_mut()).is_pending());
    let (call, op) = asked(port);
    answer(port, call, result);
    match poll(method) {
        Poll::Ready(outcome) => (op, outcome),
        Poll::Pending => panic!("{op:?} was answered"),
    }
}

fn event(kind: WatchKind, path: &str) -> WatchEvent {
    let path = path.into();
    WatchEvent { kind, path }
}

#[test]
fn each_asks_for_what_it_says_and_takes_its_own_answer() {
    let (port, client) = attached();
    let acl = || Acl::one(Perms::READ, "world", "anyone");
    let stat = Stat {
        aversion: 3,
        ..Stat::default()
    };
    let (op, read) = exchange(
        &port,
        client.get_acl("/a"),
        Ok(Reply::Acl { acl: acl(), stat }),
    );
    assert_eq!(op, Op::GetAcl { path: "/a".into() });
    assert_eq!(read, Ok((acl(), stat)));

    let (op, set) = exchange(
        &port,
        client.set_acl("/a", acl(), 2),
        Ok(Reply::AclSet { stat }),
    );
    assert!(matches!(&op, Op::SetAcl { acl: given, version: 2, .. } if *given == acl()));
    assert_eq!(set, Ok(stat));

    let ids = vec![Id::new("ip", "127.0.0.1")];
    let (op, who) = exchange(
        &port,
        client.who_am_i(),
        Ok(Reply::Identities { ids: ids.clone() }),
    );
    assert_eq!((op, who), (Op::WhoAmI, Ok(ids)));

    let paths = vec!["/a/e".into()];
    let (op, own) = exchange(
        &port,
        client.get_ephemerals("/a"),
        Ok(Reply::Ephemerals {
            paths: paths.clone(),
        }),
    );
    let prefix = "/a".into();
    assert_eq!((op, own), (Op::GetEphemerals { prefix }, Ok(paths)));

    let counted = client.get_all_children_number("/");
    let (op, number) = exchange(&port, counted, Ok(Reply::ChildrenNumber { number: 4 }));
    assert_eq!(op, Op::GetAllChildrenNumber { path: "/".into() });
    assert_eq!(number, Ok(4));

    let results = vec![Err(ErrorCode::NoNode)];
    let (op, outcomes) = exchange(
        &port,
        client.multi_read(MultiRead::new().get_data("/a")),
        Ok(Reply::MultiRead {
            results: results.clone(),
        }),
    );
    assert!(matches!(&op, Op::MultiRead { ops } if ops.len() == 1));
    assert_eq!(outcomes, Ok(results));

    let (op, config) = exchange(
        &port,
        client.get_config(),
        Ok(Reply::Data { data: None, stat }),
    );
    assert!(matches!(&op, Op::GetData { path, .. } if **path == *CONFIG_NODE));
    assert_eq!(config, Ok((None, stat)));

    let change = Reconfig::new().leave("2").leave("3").from_config(7);
    let (op, refused) = exchange(
        &port,
        client.reconfig(change),
        Err(ErrorCode::ReconfigInProgress),
    );
    let asked_for = Op::Reconfig {
        joining: None,
        leaving: Some("2,3".into()),
        new_members: None,
        from_config: 7,
    };
    assert_eq!(op, asked_for);
    assert_eq!(
        refused,
        Err(ClientError::Service(ErrorCode::ReconfigInProgress))
    );
}

#[test]
fn a_refused_identity_is_the_end_of_the_session() {
    let (port, client) = attached();
    let refused = client.add_auth("digest", "nonsense");
    let (_, outcome) = exchange(&port, refused, Err(ErrorCode::AuthFailed));
    assert_eq!(outcome, Err(ClientError::AuthFailed));
    port.changed(SessionId(1), &SessionChange::AuthFailed);
    assert!(client.state().is_over() && ClientError::AuthFailed.ends_session());
    assert_eq!(client.session(), SessionId::NONE);
    let lost = Outcome::Lost {
        error: ErrorCode::AuthFailed,
        sent: false,
        xid: None,
    };
    let mut behind = pin!(client.who_am_i());
    assert!(poll(behind.as_mut()).is_pending());
    port.complete(asked(&port).0, lost);
    assert_eq!(poll(behind), Poll::Ready(Err(ClientError::AuthFailed)));
}

#[test]
fn whether_there_are_watches_is_an_answer_and_no_error() {
    let (port, client) = attached();
    let ask = || client.check_watches("/a", WatcherType::Data);
    assert_eq!(
        exchange(&port, ask(), Ok(Reply::WatchesChecked)).1,
        Ok(true)
    );
    assert_eq!(
        exchange(&port, ask(), Err(ErrorCode::NoWatcher)).1,
        Ok(false)
    );
}

fn standing(port: &Port, client: &Client, path: &str, mode: AddWatchMode) -> Standing {
    let added = client.add_watch(path, mode);
    exchange(port, added, Ok(Reply::WatchAdded))
        .1
        .expect("the answer says so")
}

/// Everything that it has heard; and whether that is all for good.
fn heard(standing: &mut Standing) -> (Vec<String>, bool) {
    let mut heard = Vec::new();
    loop {
        match poll(pin!(standing.next())) {
            Poll::Ready(Some(Watched::Fired { event, .. })) => {
                heard.push(format!("{:?} {}", event.kind, event.path));
            }
            Poll::Ready(Some(other)) => heard.push(format!("{other:?}")),
            Poll::Ready(None) => return (heard, true),
            Poll::Pending => return (heard, false),
        }
    }
}

#[test]
fn a_watch_that_stays_is_followed_until_its_session_ends() {
    let (port, client) = attached();
    let mut node = standing(&port, &client, "/a", AddWatchMode::Persistent);
    let mut tree = standing(&port, &client, "/a", AddWatchMode::PersistentRecursive);
    for (kind, path) in [
        (WatchKind::NodeCreated, "/a"),
        (WatchKind::NodeCreated, "/a/b"),
        (WatchKind::NodeChildrenChanged, "/a"),
        (WatchKind::NodeDataChanged, "/ab"),
    ] {
        port.event(Some(Zxid(3)), 1, event(kind, path));
    }
    let of_the_node = ["NodeCreated /a", "NodeChildrenChanged /a"].map(String::from);
    assert_eq!(heard(&mut node), (of_the_node.to_vec(), false));
    let of_the_tree = ["NodeCreated /a", "NodeCreated /a/b"].map(String::from);
    assert_eq!(heard(&mut tree), (of_the_tree.to_vec(), false));

    port.changed(SessionId(1), &SessionChange::Disconnected);
    let set_again = SessionChange::WatchesSet {
        relative: Zxid(1),
        zxid: Zxid(5),
        conn: 2,
    };
    port.changed(SessionId(1), &set_again);
    assert_eq!(heard(&mut node), (vec!["SetAgain".into()], false));
    port.changed(SessionId(1), &SessionChange::Expired);
    assert_eq!(heard(&mut node), (vec!["SessionEnded".into()], true));
}

#[test]
fn a_removal_ends_the_watches_that_it_names_and_no_others() {
    let (port, client) = attached();
    let mut node = standing(&port, &client, "/a", AddWatchMode::Persistent);
    let mut tree = standing(&port, &client, "/a", AddWatchMode::PersistentRecursive);
    let mut read = pin!(client.get_data_watch("/a"));
    assert!(poll(read.as_mut()).is_pending());
    let found = Reply::Data {
        data: None,
        stat: Stat::default(),
    };
    answer(&port, asked(&port).0, Ok(found));
    let Poll::Ready(Ok((_, mut once))) = poll(read) else {
        panic!("it was answered");
    };

    let removal = client.remove_watches("/a", WatcherType::Persistent);
    exchange(&port, removal, Ok(Reply::WatchesRemoved))
        .1
        .expect("removed");
    let removed = vec!["PersistentWatchRemoved /a".to_owned()];
    assert_eq!(heard(&mut node), (removed, true));
    assert_eq!(heard(&mut tree), (vec![], false));
    assert!(poll(Pin::new(&mut once)).is_pending());

    // As its session tells it when the removal of a one-shot watch is answered.
    port.event(None, 1, event(WatchKind::DataWatchRemoved, "/a"));
    assert_eq!(
        poll(Pin::new(&mut once)),
        Poll::Ready(Watched::Fired {
            zxid: None,
            event: event(WatchKind::DataWatchRemoved, "/a")
        })
    );
    assert_eq!(heard(&mut tree), (vec![], false));
}
