//! A connection to a server by hand: a test says each frame, and sees each frame that comes back.
//!
//! For what no client library does: a session taken up with a wrong password, watches set again at will, silence. Nothing
//! that is said on a wire is in the history, so that a run with one is not judged by its history: only the servers are.

use crate::desk::{Answer, Desk, Wish};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use zabsim_client::Input;
use zabsim_types::{ClientFrame, ServerFrame, ServerId};

/// A test's end of a connection. Dropped, it is closed.
pub struct Wire {
    desk: Desk,
    mailbox: Mailbox,
}

impl Wire {
    pub(crate) async fn open(desk: Desk, server: ServerId) -> Wire {
        match desk.wish(Wish::Wire(server)).await {
            Answer::Wire(mailbox) => {
                mailbox.settled().await;
                Wire { desk, mailbox }
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// Says something. It leaves when the test waits next; on a closed connection it goes nowhere.
    pub fn send(&self, frame: ClientFrame) {
        self.desk.command(Wish::Say(self.mailbox.link, frame));
    }

    /// What came next; `None`: the connection is closed, or was never accepted.
    pub async fn next(&self) -> Option<ServerFrame> {
        std::future::poll_fn(|context| {
            let mut inbox = self.mailbox.lock();
            match inbox.frames.pop_front() {
                None if inbox.closed => Poll::Ready(None),
                None => {
                    inbox.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                frame => Poll::Ready(frame),
            }
        })
        .await
    }

    /// What came next, if it is there already.
    pub fn try_next(&self) -> Option<ServerFrame> {
        self.mailbox.lock().frames.pop_front()
    }

    /// Whether the connection is closed and everything from it was taken.
    pub fn is_closed(&self) -> bool {
        let inbox = self.mailbox.lock();
        inbox.closed && inbox.frames.is_empty()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.desk.command(Wish::HangUp(self.mailbox.link));
    }
}

/// What arrives by a wire, until the test takes it. Clones are the same mailbox.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub(crate) link: u32,
    inbox: Arc<Mutex<Inbox>>,
}

#[derive(Default)]
struct Inbox {
    frames: VecDeque<ServerFrame>,
    accepted: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl Mailbox {
    pub(crate) fn new(link: u32) -> Mailbox {
        Mailbox {
            link,
            inbox: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has accepted the connection, or has not.
    async fn settled(&self) {
        std::future::poll_fn(|context| {
            let mut inbox = self.lock();
            if inbox.accepted || inbox.closed {
                return Poll::Ready(());
            }
            inbox.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// What the client's end is told.
    pub(crate) fn put(&self, input: Input) {
        let waker = {
            let mut inbox = self.lock();
            match input {
                Input::Connected => inbox.accepted = true,
                Input::Frame(frame) => inbox.frames.push_back(frame),
                Input::Disconnected => inbox.closed = true,
                other => unreachable!("{other:?} arrives by no connection"),
            }
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::ensemble;
    use std::time::Duration;
    use zabsim_types::run::Verdict;
    use zabsim_types::{
        ClientFrame, ConnectReply, ConnectRequest, ErrorCode, Op, Reply, ServerFrame, SessionId,
        Xid, Zxid,
    };

    fn connect(of: Option<&ConnectReply>, password: [u8; 16]) -> ClientFrame {
        ClientFrame::Connect(ConnectRequest {
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 5_000,
            session: of.map_or(SessionId::NONE, |of| of.session),
            password,
            read_only: false,
        })
    }

    /// The tutorial: a session, a request, and what no client would do.
    #[test]
    fn frames_are_said_and_heard_by_hand() {
        ensemble(3).check([1, 2], |sim| async move {
            // Until the followers, too, serve.
            sim.sleep(Duration::from_secs(1)).await;
            let wire = sim.wire(1).await;
            wire.send(connect(None, [0; 16]));
            let Some(ServerFrame::Connected(session)) = wire.next().await else {
                panic!("it is accepted");
            };
            let (xid, path) = (Xid(1), "/a".into());
            let watch = false;
            let op = Op::Exists { path, watch };
            wire.send(ClientFrame::Request { xid, op });
            let reply = wire.next().await;
            let absent = Err(ErrorCode::NoNode);
            assert!(matches!(&reply, Some(ServerFrame::Reply { result, .. }) if *result == absent));

            let thief = sim.wire(2).await;
            thief.send(connect(Some(&session), [0; 16]));
            let refused = thief.next().await;
            assert!(
                matches!(&refused, Some(ServerFrame::Connected(reply)) if reply.timeout_ms == 0)
            );
            assert!(thief.next().await.is_none() && thief.is_closed());
            assert!(wire.try_next().is_none() && !wire.is_closed());

            let owner = sim.wire(2).await;
            owner.send(connect(Some(&session), session.password));
            assert!(matches!(
                owner.next().await,
                Some(ServerFrame::Connected(_))
            ));
            let op = Op::CloseSession;
            owner.send(ClientFrame::Request { xid, op });
            let closed = owner.next().await;
            assert!(matches!(
                closed,
                Some(ServerFrame::Reply {
                    result: Ok(Reply::Closed),
                    ..
                })
            ));
        });
    }

    /// What is said by hand leaves transactions that no client of the history asked for.
    #[test]
    fn a_run_with_a_wire_is_not_judged_by_its_history() {
        let outcome = ensemble(3).outcome(1, |sim| async move {
            sim.sleep(Duration::from_secs(1)).await;
            let wire = sim.wire(1).await;
            wire.send(connect(None, [0; 16]));
            wire.next().await.expect("it is accepted");
            let op = Op::Create {
                path: "/a".into(),
                data: None,
                mode: zabsim_types::CreateMode::Persistent,
                with_stat: false,
                acl: zabsim_types::Acl::OPEN,
            };
            let xid = Xid(1);
            wire.send(ClientFrame::Request { xid, op });
            wire.next().await.expect("it is answered");
        });
        assert_eq!(outcome.report.verdict, Verdict::Pass);
        let checks = &outcome.report.checks;
        assert!(checks.iter().any(|check| check.name == "agreement"));
        assert!(
            !checks
                .iter()
                .any(|check| check.name == "linearizable-writes")
        );
    }
}
