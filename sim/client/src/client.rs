//! The program's side of a [`Port`]: the service's operations as `async` methods.
//!
//! Requests leave in the order in which their methods are *called* and polled for the first time; several may be under way
//! ([`Client::submit`] hands over at once, and [`join`](crate::join) waits for many). A future that is dropped leaves
//! its request under way.

mod operations;

use crate::port::{Litter, Notice, SessionState, Watched, wake};
use crate::{ClientError, Command, Outcome, Port};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use zabsim_types::{
    CallId, Data, ErrorCode, Op, OpKind, OpResult, RecipeEvent, Reply, ServerId, SessionId, Time,
    Zxid,
};

/// A program's handle on its session. Clones share it.
#[derive(Clone)]
pub struct Client {
    port: Port,
}

pub(crate) fn bytes(data: impl AsRef<[u8]>) -> Data {
    Some(Arc::from(data.as_ref()))
}

impl Client {
    pub(crate) fn new(port: Port) -> Client {
        Client { port }
    }

    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    // The session.

    /// Opens a session, the first or one after the last has ended, and waits until it is attached to a server. If one
    /// is open, waits for that.
    pub async fn open(&self) -> SessionId {
        loop {
            self.port.lock().open();
            let wait = self.until(|state| state.is_connected() || state.is_over());
            // The session can expire while a new connection is made; then a new one is wanted.
            if wait.await.is_connected() {
                let session = self.session();
                if session != SessionId::NONE {
                    return session;
                }
            }
        }
    }

    /// Closes the session; its ephemeral nodes go with it. After a [`ClientError::ConnectionLoss`] the session is either
    /// still open or will be found expired, and the close may be tried again.
    pub async fn close(&self) -> Result<(), ClientError> {
        match self.answer(Op::CloseSession).await?.0 {
            Reply::Closed => Ok(()),
            _ => Err(ClientError::WrongReply {
                asked: OpKind::CloseSession,
            }),
        }
    }

    /// The session; `NONE` while there is none.
    pub fn session(&self) -> SessionId {
        self.port.lock().session
    }

    /// The session's state.
    pub fn state(&self) -> SessionState {
        self.port.lock().state
    }

    /// Waits until the session's state is as wanted; ready at once if it is. A state that was passed through counts.
    pub fn until(&self, wanted: fn(SessionState) -> bool) -> UntilState {
        UntilState {
            name: Some(self.port.lock().wait_for_state(wanted)),
            port: self.port.clone(),
        }
    }

    /// Everything that happens to the session from now on: notifications and changes of state.
    pub fn notices(&self) -> Notices {
        Notices {
            name: self.port.lock().subscribe(),
            port: self.port.clone(),
        }
    }

    /// Leaves the server and goes on at that one, or at the next of the list.
    pub fn move_to(&self, to: Option<ServerId>) {
        self.port.lock().command(Command::Move { to });
    }

    // The clock and the history.

    /// The client's clock.
    pub fn now(&self) -> Time {
        self.port.lock().now
    }

    /// Sleeps by the client's clock.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Sleep {
            name: Some(self.port.lock().sleep(micros)),
            port: self.port.clone(),
        }
    }

    /// Puts a recipe's step into the history, between what came before and what comes next in this program.
    pub fn record(&self, event: RecipeEvent) {
        self.port.lock().record(event);
    }

    // Operations.

    /// Hands over a request as it is, at once. Any watch that it leaves is told to [`Client::notices`] only.
    pub fn submit(&self, op: Op) -> Call {
        self.submit_watching(op, false)
    }

    fn submit_watching(&self, op: Op, wants_watch: bool) -> Call {
        let (call, wakers) = self.port.lock().submit_for_program(op, wants_watch);
        wake(wakers);
        Call {
            port: self.port.clone(),
            call: Some(call),
            litter: None,
            session: SessionId::NONE,
            state: SessionState::NotOpen,
            watch: None,
        }
    }

    /// As [`Client::submit`], for a node that must not stay if the answer is not awaited.
    pub(crate) fn submit_or_discard(&self, op: Op, litter: Litter) -> Call {
        let mut call = self.submit(op);
        call.litter = Some(litter);
        call
    }

    async fn answer(&self, op: Op) -> Result<(Reply, Zxid), ClientError> {
        let mut call = self.submit(op);
        let outcome = (&mut call).await;
        call.answer(outcome)
    }

    /// As [`Client::answer`], with the name of the watch that the answer left.
    async fn answer_watched(&self, op: Op) -> (Result<Reply, ClientError>, Option<u64>) {
        let mut call = self.submit_watching(op, true);
        let outcome = (&mut call).await;
        let watch = call.watch.take();
        (call.answer(outcome).map(|(reply, _)| reply), watch)
    }
}

/// A request under way: resolves to its [`Outcome`].
#[must_use = "its outcome is known only to who awaits it"]
pub struct Call {
    port: Port,
    /// Until its outcome was taken.
    call: Option<CallId>,
    litter: Option<Litter>,
    session: SessionId,
    state: SessionState,
    /// The name of the watch that the answer left.
    watch: Option<u64>,
}

impl Call {
    /// The session in which the outcome came.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// The outcome as a program takes it, with the reply header's zxid.
    pub(crate) fn answer(&self, outcome: Outcome) -> Result<(Reply, Zxid), ClientError> {
        match outcome {
            Outcome::Replied { zxid, result, .. } => match accept(result) {
                Ok(reply) => Ok((reply, zxid)),
                Err(error) => Err(error),
            },
            Outcome::Lost { error, sent, .. } => Err(match (error, self.state) {
                (ErrorCode::SessionExpired, SessionState::NotOpen | SessionState::Closed) => {
                    ClientError::NotOpen
                }
                (ErrorCode::SessionExpired, _) => ClientError::SessionExpired,
                (ErrorCode::AuthFailed, _) => ClientError::AuthFailed,
                _ => ClientError::ConnectionLoss { sent },
            }),
        }
    }
}

fn accept(result: OpResult) -> Result<Reply, ClientError> {
    result.map_err(|code| match code {
        ErrorCode::SessionExpired => ClientError::SessionExpired,
        ErrorCode::AuthFailed => ClientError::AuthFailed,
        // The service cuts the connection behind it; the session goes on elsewhere, and this request did nothing.
        ErrorCode::SessionMoved => ClientError::ConnectionLoss { sent: false },
        code => ClientError::Service(code),
    })
}

impl Future for Call {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.get_mut();
        let call = this.call.expect("a call was polled after it was done");
        let polled = this.port.lock().poll_call(call, cx);
        polled.map(|completion| {
            this.call = None;
            this.session = completion.session;
            this.state = completion.state;
            this.watch = completion.watch;
            completion.outcome
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            let litter = self.litter.take();
            self.port.lock().abandon_call(call, litter);
        }
        if let Some(watch) = self.watch {
            self.port.lock().forget_watch(watch);
        }
    }
}

/// A future that waits in the port under a name, and takes its name away when it is dropped.
macro_rules! named_future {
    ($(#[$doc:meta])* $future:ident -> $output:ty, $poll:ident, $forget:ident) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless awaited"]
        pub struct $future {
            port: Port,
            /// Until it is done.
            name: Option<u64>,
        }

        impl Future for $future {
            type Output = $output;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<$output> {
                let this = self.get_mut();
                let name = this.name.expect("a future was polled after it was done");
                let polled = this.port.lock().$poll(name, cx);
                if polled.is_ready() {
                    this.name = None;
                }
                polled
            }
        }

        impl Drop for $future {
            fn drop(&mut self) {
                if let Some(name) = self.name {
                    self.port.lock().$forget(name);
                }
            }
        }
    };
}

named_future! {
    /// A watch: resolves once, when it fires or its session ends. A disconnection does not end it.
    Watch -> Watched, poll_watch, forget_watch
}

named_future! {
    /// A sleep by the client's clock; it runs from the moment when it is made.
    Sleep -> (), poll_sleep, cancel_sleep
}

named_future! {
    /// Waits for a state of the session.
    UntilState -> SessionState, poll_state, forget_state_wait
}

named_future! {
    /// The end of a clean-up: the node is gone, or will go with its session.
    Discarded -> Result<(), ClientError>, poll_discard, forget_discard
}

impl Discarded {
    pub(crate) fn new(port: Port, ticket: u64) -> Discarded {
        let name = Some(ticket);
        Discarded { port, name }
    }
}

/// A watch that stays, from [`Client::add_watch`]: what it hears, in order.
///
/// Dropping it stops the listening, not the watch: that takes [`Client::remove_watches`].
pub struct Standing {
    port: Port,
    name: u64,
}

impl Standing {
    /// What it hears next; `None` when its watch was removed or its session has ended, and that was told.
    pub async fn next(&mut self) -> Option<Watched> {
        std::future::poll_fn(|cx| self.port.lock().poll_standing(self.name, cx)).await
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.port.lock().forget_standing(self.name);
    }
}

/// What happens to a session, from [`Client::notices`].
pub struct Notices {
    port: Port,
    name: u64,
}

impl Notices {
    /// The next notice.
    pub async fn next(&mut self) -> Notice {
        std::future::poll_fn(|cx| self.port.lock().poll_notice(self.name, cx)).await
    }

    /// The next notice, if there is one already.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.port.lock().next_notice(self.name)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.port.lock().unsubscribe(self.name);
    }
}
