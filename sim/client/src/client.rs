//! The program's side of a [`Port`]: the service's operations as `async` methods.
//!
//! Requests leave in the order in which their methods are *called* and polled for the first time; several may be under way
//! ([`Client::submit`] hands over at once, and [`join`](crate::join) waits for many). A future that is dropped leaves
//! its request under way.

use crate::port::{Litter, Notice, SessionState, Watched, wake};
use crate::{ClientError, Command, Multi, Outcome, Port};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use zabsim_types::{
    Acl, CallId, CreateMode, Data, ErrorCode, Op, OpKind, OpResult, RecipeEvent, Reply, ServerId,
    SessionId, Stat, SyncMode, Time, ZPath, Zxid,
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
            _ => Err(wrong(OpKind::CloseSession)),
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

    async fn answer_watched(&self, op: Op) -> (Result<Reply, ClientError>, Option<Watch>) {
        let mut call = self.submit_watching(op, true);
        let outcome = (&mut call).await;
        let watch = call.watch.take();
        (call.answer(outcome).map(|(reply, _)| reply), watch)
    }

    /// Makes a node; its path, with the sequence number if it has one.
    pub async fn create(
        &self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        mode: CreateMode,
    ) -> Result<ZPath, ClientError> {
        let op = Op::Create {
            path: path.into(),
            data: bytes(data),
            mode,
            with_stat: false,
            acl: Acl::OPEN,
        };
        match self.answer(op).await?.0 {
            Reply::Created { path, .. } => Ok(path),
            _ => Err(wrong(OpKind::Create)),
        }
    }

    /// Makes a node; its path and its stat (`create2`).
    pub async fn create_stat(
        &self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        mode: CreateMode,
    ) -> Result<(ZPath, Stat), ClientError> {
        let op = Op::Create {
            path: path.into(),
            data: bytes(data),
            mode,
            with_stat: true,
            acl: Acl::OPEN,
        };
        match self.answer(op).await?.0 {
            Reply::Created {
                path,
                stat: Some(stat),
            } => Ok((path, stat)),
            _ => Err(wrong(OpKind::Create)),
        }
    }

    /// Makes a persistent node and those above it, where they are missing. Repeats what a lost connection left in doubt.
    pub async fn ensure_path(&self, path: &str) -> Result<(), ClientError> {
        let mut depth = path.len();
        loop {
            let made = &path[..depth];
            match self.create(made, b"", CreateMode::Persistent).await {
                Ok(_) | Err(ClientError::Service(ErrorCode::NodeExists)) if depth == path.len() => {
                    return Ok(());
                }
                Ok(_) | Err(ClientError::Service(ErrorCode::NodeExists)) => {
                    let below = path[depth + 1..].find('/');
                    depth = below.map_or(path.len(), |at| depth + 1 + at);
                }
                Err(ClientError::Service(ErrorCode::NoNode)) => {
                    depth = match zabsim_types::parent_of(made) {
                        Some(parent) if parent != "/" => parent.len(),
                        _ => return Err(ClientError::Service(ErrorCode::NoNode)),
                    };
                }
                Err(ClientError::ConnectionLoss { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes a childless node of that version; −1 for any.
    pub async fn delete(&self, path: impl Into<ZPath>, version: i32) -> Result<(), ClientError> {
        let op = Op::Delete {
            path: path.into(),
            version,
        };
        match self.answer(op).await?.0 {
            Reply::Deleted => Ok(()),
            _ => Err(wrong(OpKind::Delete)),
        }
    }

    /// Replaces a node's data if it has that version; −1 for any.
    pub async fn set_data(
        &self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        version: i32,
    ) -> Result<Stat, ClientError> {
        let op = Op::SetData {
            path: path.into(),
            data: bytes(data),
            version,
        };
        match self.answer(op).await?.0 {
            Reply::Set { stat } => Ok(stat),
            _ => Err(wrong(OpKind::SetData)),
        }
    }

    /// Reads a node.
    pub async fn get_data(&self, path: impl Into<ZPath>) -> Result<(Data, Stat), ClientError> {
        let op = Op::GetData {
            path: path.into(),
            watch: false,
        };
        data_and_stat(self.answer(op).await?.0)
    }

    /// Reads a node and watches it: for new data, or its deletion. A node that is not there leaves no watch.
    pub async fn get_data_watch(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<((Data, Stat), Watch), ClientError> {
        let op = Op::GetData {
            path: path.into(),
            watch: true,
        };
        let (answer, watch) = self.answer_watched(op).await;
        let read = data_and_stat(answer?)?;
        Ok((read, watch.ok_or(wrong(OpKind::GetData))?))
    }

    /// A node's stat, if it is there.
    pub async fn exists(&self, path: impl Into<ZPath>) -> Result<Option<Stat>, ClientError> {
        let op = Op::Exists {
            path: path.into(),
            watch: false,
        };
        stat_if_there(self.answer(op).await.map(|(reply, _)| reply))
    }

    /// A node's stat, if it is there, and a watch: for its creation, new data, or its deletion.
    pub async fn exists_watch(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<(Option<Stat>, Watch), ClientError> {
        let op = Op::Exists {
            path: path.into(),
            watch: true,
        };
        let (answer, watch) = self.answer_watched(op).await;
        let read = stat_if_there(answer)?;
        Ok((read, watch.ok_or(wrong(OpKind::Exists))?))
    }

    /// The names of a node's children.
    pub async fn get_children(&self, path: impl Into<ZPath>) -> Result<Vec<Arc<str>>, ClientError> {
        let op = Op::GetChildren {
            path: path.into(),
            watch: false,
            with_stat: false,
        };
        children(self.answer(op).await?.0).map(|(names, _)| names)
    }

    /// The names of a node's children, and its stat (`getChildren2`).
    pub async fn get_children_stat(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<(Vec<Arc<str>>, Stat), ClientError> {
        let op = Op::GetChildren {
            path: path.into(),
            watch: false,
            with_stat: true,
        };
        let (names, stat) = children(self.answer(op).await?.0)?;
        Ok((names, stat.ok_or(wrong(OpKind::GetChildren))?))
    }

    /// The names of a node's children, and a watch: for a child that comes or goes, or the node's deletion.
    pub async fn get_children_watch(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<(Vec<Arc<str>>, Watch), ClientError> {
        let op = Op::GetChildren {
            path: path.into(),
            watch: true,
            with_stat: false,
        };
        let (answer, watch) = self.answer_watched(op).await;
        let (names, _) = children(answer?)?;
        Ok((names, watch.ok_or(wrong(OpKind::GetChildren))?))
    }

    /// A barrier: later reads see at least what the leader had proposed; with [`SyncMode::Quorum`], all that was committed.
    pub async fn sync(&self, path: impl Into<ZPath>, mode: SyncMode) -> Result<(), ClientError> {
        let op = Op::Sync {
            path: path.into(),
            mode,
        };
        match self.answer(op).await?.0 {
            Reply::Synced { .. } => Ok(()),
            _ => Err(wrong(OpKind::Sync)),
        }
    }

    /// Carries out all parts or none; one answer for each part.
    pub async fn multi(&self, multi: Multi) -> Result<Vec<Reply>, ClientError> {
        match self.answer(multi.into()).await?.0 {
            Reply::Multi { results } => Ok(results),
            Reply::MultiFailed { errors } => Err(ClientError::MultiFailed { errors }),
            _ => Err(wrong(OpKind::Multi)),
        }
    }
}

fn wrong(asked: OpKind) -> ClientError {
    ClientError::WrongReply { asked }
}

fn data_and_stat(reply: Reply) -> Result<(Data, Stat), ClientError> {
    match reply {
        Reply::Data { data, stat } => Ok((data, stat)),
        _ => Err(wrong(OpKind::GetData)),
    }
}

fn stat_if_there(answer: Result<Reply, ClientError>) -> Result<Option<Stat>, ClientError> {
    match answer {
        Ok(Reply::Exists { stat }) => Ok(Some(stat)),
        Ok(_) => Err(wrong(OpKind::Exists)),
        Err(ClientError::Service(ErrorCode::NoNode)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn children(reply: Reply) -> Result<(Vec<Arc<str>>, Option<Stat>), ClientError> {
    match reply {
        Reply::Children { names, stat } => Ok((names, stat)),
        _ => Err(wrong(OpKind::GetChildren)),
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
    watch: Option<Watch>,
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
                _ => ClientError::ConnectionLoss { sent },
            }),
        }
    }
}

fn accept(result: OpResult) -> Result<Reply, ClientError> {
    result.map_err(|code| match code {
        ErrorCode::SessionExpired => ClientError::SessionExpired,
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
            this.watch = completion.watch.map(|name| Watch {
                name: Some(name),
                port: this.port.clone(),
            });
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
