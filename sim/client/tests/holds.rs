//! When a hold begins and ends, command by command: the port driven by hand, with something happening between an answer and
//! the moment when the program looks at it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use zabsim_client::recipes::lock::{Guard, Lock};
use zabsim_client::{Client, ClientError, Command, Outcome, Port};
use zabsim_types::{
    CallId, ErrorCode, Op, OpResult, RecipeStep, Reply, ServerId, SessionChange, SessionId, Xid,
    ZPath, Zxid,
};

const TOKEN: Zxid = Zxid(7);

struct Hand {
    port: Port,
    client: Client,
}

type Acquisition = Pin<Box<dyn Future<Output = Result<Guard, ClientError>>>>;

impl Hand {
    fn attached() -> Hand {
        let port = Port::new(1);
        let hand = Hand {
            client: port.client(),
            port,
        };
        hand.attach(1, false);
        hand
    }

    fn attach(&self, session: i64, reattached: bool) {
        let change = SessionChange::Connected {
            server: ServerId(1),
            conn: 1,
            timeout_ms: 1_000,
            reattached,
            read_only: false,
        };
        self.port.changed(SessionId(session), &change);
    }

    fn commands(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        self.port.take_commands(&mut commands);
        commands
    }

    fn answer(&self, call: CallId, result: OpResult) {
        let outcome = Outcome::Replied {
            xid: Xid(1),
            conn: 1,
            zxid: TOKEN,
            result,
        };
        self.port.complete(call, outcome);
    }

    /// The one request among the commands.
    fn request(&self) -> (CallId, Op) {
        let submitted = |command| match command {
            Command::Submit { call, op } => Some((call, op)),
            _ => None,
        };
        let mut requests: Vec<_> = self.commands().into_iter().filter_map(submitted).collect();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    fn steps(&self) -> Vec<RecipeStep> {
        let recorded = |command| match command {
            Command::Record(event) => Some(event.step),
            _ => None,
        };
        self.commands().into_iter().filter_map(recorded).collect()
    }

    /// An acquisition whose node is made, and whose listing is under way; with the listing's call and answer.
    fn listing(&self) -> (Acquisition, CallId, OpResult) {
        let lock = Lock::new(&self.client, "/lock");
        let mut acquisition: Acquisition = Box::pin(async move { lock.acquire().await });
        assert!(poll(&mut acquisition).is_pending());
        let (call, Op::Create { path, .. }) = self.request() else {
            panic!("a create comes first");
        };
        let path: ZPath = format!("{path}0000000000").into();
        self.answer(
            call,
            Ok(Reply::Created {
                path: path.clone(),
                stat: None,
            }),
        );
        assert!(poll(&mut acquisition).is_pending());
        let (call, Op::GetChildren { .. }) = self.request() else {
            panic!("a list follows");
        };
        let names = vec![path["/lock/".len()..].into()];
        (acquisition, call, Ok(Reply::Children { names, stat: None }))
    }

    fn held(&self) -> Guard {
        let (mut acquisition, call, list) = self.listing();
        self.answer(call, list);
        let Poll::Ready(Ok(guard)) = poll(&mut acquisition) else {
            panic!("it is the only one");
        };
        assert_eq!(self.steps(), [RecipeStep::LockAcquired { token: TOKEN }]);
        guard
    }
}

fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Poll<T> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// The service may give the lock to others before its answer to the close is here.
#[test]
fn a_close_ends_the_hold_before_it_leaves() {
    let hand = Hand::attached();
    let guard = hand.held();
    let client = hand.client.clone();
    let mut close: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { client.close().await });
    assert!(poll(&mut close).is_pending());
    let commands = hand.commands();
    let [Command::Record(event), Command::Submit { op, .. }] = &commands[..] else {
        panic!("{commands:?}");
    };
    assert_eq!(event.step, RecipeStep::LockLost { token: TOKEN });
    assert_eq!(*op, Op::CloseSession);
    assert!(guard.is_over());
    // Even if the close is lost and the session found alive: the program wanted to be rid of it.
    hand.port
        .changed(SessionId(1), &SessionChange::Disconnected);
    hand.attach(1, true);
    assert!(!guard.is_certain());
}

/// The listing says "first"; before the program looks, the connection breaks.
#[test]
fn no_hold_begins_while_disconnected() {
    let hand = Hand::attached();
    let (mut acquisition, call, list) = hand.listing();
    hand.answer(call, list.clone());
    hand.port
        .changed(SessionId(1), &SessionChange::Disconnected);
    assert!(poll(&mut acquisition).is_pending());
    let (call, Op::GetChildren { .. }) = hand.request() else {
        panic!("it looks again");
    };
    hand.attach(1, true);
    hand.answer(call, list);
    let Poll::Ready(Ok(_guard)) = poll(&mut acquisition) else {
        panic!("it is the only one");
    };
    assert_eq!(hand.steps(), [RecipeStep::LockAcquired { token: TOKEN }]);
}

/// The listing says "first"; before the program looks, its session ends and another begins.
#[test]
fn no_hold_begins_in_another_session() {
    let hand = Hand::attached();
    let (mut acquisition, call, list) = hand.listing();
    hand.answer(call, list);
    hand.port
        .changed(SessionId(1), &SessionChange::Disconnected);
    hand.port.changed(SessionId(1), &SessionChange::Expired);
    hand.attach(2, false);
    let Poll::Ready(Err(error)) = poll(&mut acquisition) else {
        panic!("its node went with its session");
    };
    assert_eq!(error, ClientError::SessionExpired);
}

/// The acquisition is dropped with its create under way; the create's answer comes later, or never.
#[test]
fn a_create_under_way_is_seen_to_after_the_drop() {
    for answered in [true, false] {
        let hand = Hand::attached();
        let lock = Lock::new(&hand.client, "/lock");
        let mut acquisition: Acquisition = Box::pin(async move { lock.acquire().await });
        assert!(poll(&mut acquisition).is_pending());
        let (call, Op::Create { path, .. }) = hand.request() else {
            panic!("a create comes first");
        };
        drop(acquisition);
        assert_eq!(hand.commands(), []);
        if answered {
            let path: ZPath = format!("{path}0000000000").into();
            let reply = Reply::Created {
                path: path.clone(),
                stat: None,
            };
            hand.answer(call, Ok(reply));
            assert_eq!(hand.request().1, Op::Delete { path, version: -1 });
        } else {
            let error = ErrorCode::ConnectionLoss;
            hand.port.complete(
                call,
                Outcome::Lost {
                    error,
                    sent: true,
                    xid: None,
                },
            );
            assert!(matches!(hand.request().1, Op::Sync { .. }));
        }
    }
}

/// A guard that is dropped while its hold is uncertain was recorded as lost; it is not given back a second time.
#[test]
fn what_is_lost_is_not_given_back_as_well() {
    let hand = Hand::attached();
    let guard = hand.held();
    hand.port
        .changed(SessionId(1), &SessionChange::Disconnected);
    assert_eq!(hand.steps(), [RecipeStep::LockLost { token: TOKEN }]);
    drop(guard);
    assert_eq!(hand.steps(), []);
}
