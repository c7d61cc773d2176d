//! The mailbox between a client's program and whoever drives its session. A [`Port`] is the driver's side, a
//! [`Client`](crate::Client) the program's.
//!
//! # The driver's duty
//!
//! 1. Whenever the program was polled, and after each group of the calls below, take the commands
//!    ([`Port::take_commands`]) and carry them out in order. Deliveries make commands too: a hold that ends is recorded,
//!    an abandoned node is deleted.
//! 2. Hand on what the session's step brought, in its order: [`Port::complete`], [`Port::event`], [`Port::changed`].
//!    Poll the program only when the whole step is handed on: a loss and the requests that it cost belong together.
//! 3. Keep the client's clock with [`Port::set_now`]; wake sleepers with [`Port::fire`].
//! 4. When the program's process dies, call [`Port::kill`] *before* dropping its futures: the dead clean up nothing.
//!
//! # What it guarantees
//!
//! It never reads a clock, spawns or draws at random, and wakes only tasks whose wait is over, outside of its lock. A
//! future that is dropped takes its interest along, not the request: that stays under way, and its outcome is still delivered
//! to the port, where it settles whatever cleaning up depends on it.
//!
//! ```
//! use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//! use zabsim_client::{Command, Outcome, Port};
//! use zabsim_types::{Reply, Stat, Xid, Zxid};
//!
//! let port = Port::new(1);
//! let client = port.client();
//!
//! // The program asks …
//! let mut question = pin!(client.exists("/a"));
//! let mut cx = Context::from_waker(Waker::noop());
//! assert!(question.as_mut().poll(&mut cx).is_pending());
//!
//! // … the driver takes the request, and has its session ask a server …
//! let mut commands = Vec::new();
//! port.take_commands(&mut commands);
//! let Command::Submit { call, .. } = &commands[0] else { panic!("{commands:?}") };
//!
//! // … and hands on the answer.
//! let stat = Stat { version: 3, ..Stat::default() };
//! port.complete(*call, Outcome::Replied {
//!     xid: Xid(1), conn: 1, zxid: Zxid::new(1, 9), result: Ok(Reply::Exists { stat }),
//! });
//! assert_eq!(question.as_mut().poll(&mut cx), Poll::Ready(Ok(Some(stat))));
//! ```

mod holds;
mod janitor;
mod notices;
mod standing;

pub(crate) use holds::{Contest, HoldRefused};
pub(crate) use janitor::{Litter, child};

use crate::watches::{Asked, Stake, WatchList};
use crate::{Client, Command, Outcome};
use holds::Hold;
use standing::Standing;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use zabsim_bugs::{Bug, Planted};
use zabsim_types::{
    AddWatchMode, CallId, Op, RecipeEvent, ServerId, SessionChange, SessionId, Time, WatchEvent,
    WatcherType, ZPath, Zxid,
};

/// The driver's side of a client: see the module's documentation.
#[derive(Clone)]
pub struct Port {
    inner: Arc<Mutex<Inner>>,
}

/// What a program can know of its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// Never opened.
    NotOpen,
    /// There is no connection: the first is being made, or the last one broke.
    Connecting,
    /// Attached to a server.
    Connected {
        /// Which.
        server: ServerId,
    },
    /// Attached to a server that has lost its quorum: it only reads, and cannot say whether the session lives.
    ConnectedReadOnly {
        /// Which.
        server: ServerId,
    },
    /// Over, not by the program's will.
    Expired,
    /// Given up, because a server refused an identity.
    AuthFailed,
    /// Closed by the program.
    Closed,
}

impl SessionState {
    /// Whether there is no session: none yet, or none any more.
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            SessionState::NotOpen
                | SessionState::Expired
                | SessionState::AuthFailed
                | SessionState::Closed
        )
    }

    /// Whether the session is attached to a server that does everything.
    pub const fn is_connected(self) -> bool {
        matches!(self, SessionState::Connected { .. })
    }
}

/// What a watch came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watched {
    /// It fired.
    Fired {
        /// The transaction of the change; `None` if it was found out on reconnecting.
        zxid: Option<Zxid>,
        /// The change.
        event: WatchEvent,
    },
    /// One that stays was set again on a new connection: of what changed in between it heard nothing.
    SetAgain,
    /// Its session ended, and the watch with it. It survives a mere disconnection.
    SessionEnded,
}

/// What a subscriber is told: everything that happens to the session, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A watch of this session fired.
    Event {
        /// The transaction of the change; `None` for a catch-up event.
        zxid: Option<Zxid>,
        /// The connection that it came by.
        conn: u32,
        /// The change.
        event: WatchEvent,
    },
    /// The session's state changed.
    Changed {
        /// The session.
        session: SessionId,
        /// How.
        change: SessionChange,
    },
}

impl Port {
    /// A port whose recipes draw their GUIDs from `guid_seed`: different for every client of a run.
    pub fn new(guid_seed: u64) -> Port {
        Port {
            inner: Arc::new(Mutex::new(Inner::new(guid_seed))),
        }
    }

    /// What is wrong with this client's recipes on purpose.
    pub fn plant(&self, bugs: Planted) {
        self.lock().bugs = bugs;
    }

    /// The program's side. All of a port's clients share its session.
    pub fn client(&self) -> Client {
        Client::new(self.clone())
    }

    /// Takes the commands since the last time, in order, into an empty vector (whose memory is used again).
    pub fn take_commands(&self, into: &mut Vec<Command>) {
        assert!(into.is_empty(), "commands not carried out yet");
        std::mem::swap(&mut self.lock().commands, into);
    }

    /// Whether there are commands to take.
    pub fn has_commands(&self) -> bool {
        !self.lock().commands.is_empty()
    }

    /// A request is over.
    pub fn complete(&self, call: CallId, outcome: Outcome) {
        let wakers = self.lock().complete(call, outcome);
        wake(wakers);
    }

    /// A sleeper's time has come.
    pub fn fire(&self, sleeper: u64) {
        let waker = self.lock().fire(sleeper);
        wake(waker);
    }

    /// A watch fired.
    pub fn event(&self, zxid: Option<Zxid>, conn: u32, event: WatchEvent) {
        let wakers = self.lock().event(zxid, conn, event);
        wake(wakers);
    }

    /// The session's state changed.
    pub fn changed(&self, session: SessionId, change: &SessionChange) {
        let wakers = self.lock().changed(session, change);
        wake(wakers);
    }

    /// The client's clock.
    pub fn set_now(&self, now: Time) {
        self.lock().now = now;
    }

    /// The program's process died: from now on its futures neither command nor hear anything.
    pub fn kill(&self) {
        let mut inner = self.lock();
        inner.dead = true;
        inner.commands.clear();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // No invariant is broken half-way where this code can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

/// Everything that both sides share.
pub(crate) struct Inner {
    pub(crate) commands: Vec<Command>,
    dead: bool,
    pub(crate) now: Time,
    pub(crate) state: SessionState,
    /// The session while there is one.
    pub(crate) session: SessionId,
    next_call: u64,
    /// Names sleepers, watches, subscribers, holds, and those who wait for them.
    next_name: u64,
    guid_seed: u64,
    guids: u64,
    calls: BTreeMap<CallId, Caller>,
    sleepers: BTreeMap<u64, Wait<()>>,
    watches: BTreeMap<u64, WatchSlot>,
    watches_of_path: BTreeMap<ZPath, Vec<u64>>,
    standing: BTreeMap<u64, Standing>,
    subscribers: BTreeMap<u64, Subscriber>,
    state_waits: BTreeMap<u64, StateWait>,
    holds: BTreeMap<u64, Hold>,
    discards: BTreeMap<u64, Wait<janitor::Discard>>,
    /// Clean-ups that wait for a full server.
    parked: Vec<Litter>,
    pub(crate) bugs: Planted,
    /// The first tokens that this client had, where a bug shows them again.
    tokens: BTreeMap<ZPath, Zxid>,
}

/// Who is told of a request's outcome.
enum Caller {
    Program {
        wanted: Wanted,
        wait: Wait<Completion>,
    },
    Janitor(Litter),
}

/// What a request's success means for those who wait for watches.
enum Wanted {
    Nothing,
    /// It leaves a watch that its program waits for.
    Watch(Asked, ZPath),
    /// It leaves one that stays, and that its program follows.
    Standing(AddWatchMode, ZPath),
    /// It takes watches away.
    Removal(WatcherType, ZPath),
}

/// What a request came to, with what the port knows of that moment.
pub(crate) struct Completion {
    pub(crate) outcome: Outcome,
    /// The session at that moment.
    pub(crate) session: SessionId,
    /// Whether a session was open then.
    pub(crate) state: SessionState,
    /// The watch that the reply left.
    pub(crate) watch: Option<u64>,
}

struct WatchSlot {
    list: WatchList,
    path: ZPath,
    wait: Wait<Watched>,
}

#[derive(Default)]
struct Subscriber {
    notices: VecDeque<Notice>,
    waker: Option<Waker>,
}

struct StateWait {
    until: fn(SessionState) -> bool,
    wait: Wait<SessionState>,
}

/// A value that somebody waits for.
struct Wait<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Default for Wait<T> {
    fn default() -> Wait<T> {
        Wait {
            value: None,
            waker: None,
        }
    }
}

impl<T> Wait<T> {
    fn fulfil(&mut self, value: T) -> Option<Waker> {
        self.value = Some(value);
        self.waker.take()
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<T> {
        match self.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                store_waker(&mut self.waker, cx);
                Poll::Pending
            }
        }
    }
}

fn store_waker(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

/// Polls the waiter of that name, and forgets it when it has its value.
fn poll_named<T>(waits: &mut BTreeMap<u64, Wait<T>>, name: u64, cx: &Context<'_>) -> Poll<T> {
    let polled = match waits.get_mut(&name) {
        Some(wait) => wait.poll(cx),
        None => panic!("a future was polled after it was done"),
    };
    if polled.is_ready() {
        waits.remove(&name);
    }
    polled
}

impl Inner {
    fn new(guid_seed: u64) -> Inner {
        Inner {
            commands: Vec::new(),
            dead: false,
            now: Time::ZERO,
            state: SessionState::NotOpen,
            session: SessionId::NONE,
            next_call: 0,
            next_name: 0,
            guid_seed,
            guids: 0,
            calls: BTreeMap::new(),
            sleepers: BTreeMap::new(),
            watches: BTreeMap::new(),
            watches_of_path: BTreeMap::new(),
            standing: BTreeMap::new(),
            subscribers: BTreeMap::new(),
            state_waits: BTreeMap::new(),
            holds: BTreeMap::new(),
            discards: BTreeMap::new(),
            parked: Vec::new(),
            bugs: Planted::NONE,
            tokens: BTreeMap::new(),
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        if !self.dead {
            self.commands.push(command);
        }
    }

    /// The token that goes with a hold that `own` stands for.
    pub(crate) fn token_shown(&mut self, object: &ZPath, own: Zxid) -> Zxid {
        match self.bugs.has(Bug::TokenReused) {
            true => *self.tokens.entry(object.clone()).or_insert(own),
            false => own,
        }
    }

    pub(crate) fn record(&mut self, event: RecipeEvent) {
        self.command(Command::Record(event));
    }

    fn name(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }

    /// 128 bits that no other client of the run draws, nor this one again (splitmix64 is a bijection of its counter).
    pub(crate) fn guid(&mut self) -> Arc<str> {
        self.guids += 1;
        format!("{:016x}{:016x}", mix(self.guid_seed), mix(self.guids)).into()
    }

    // Requests.

    fn submit(&mut self, op: Op, caller: Caller) -> CallId {
        self.next_call += 1;
        let call = CallId(self.next_call);
        self.command(Command::Submit { call, op });
        self.calls.insert(call, caller);
        call
    }

    pub(crate) fn submit_for_program(&mut self, op: Op, wants_watch: bool) -> (CallId, Vec<Waker>) {
        let wakers = match op {
            // The service may give them to others before its answer is here.
            Op::CloseSession => self.give_up_holds(),
            _ => Vec::new(),
        };
        let wanted = match Stake::of(&op) {
            Stake::Read(asked, path) if wants_watch => Wanted::Watch(asked, path),
            Stake::Add(mode, path) if wants_watch => Wanted::Standing(mode, path),
            Stake::Remove(kind, path) => Wanted::Removal(kind, path),
            _ => Wanted::Nothing,
        };
        let wait = Wait::default();
        (self.submit(op, Caller::Program { wanted, wait }), wakers)
    }

    fn complete(&mut self, call: CallId, outcome: Outcome) -> Vec<Waker> {
        let mut wakers = Vec::new();
        match self.calls.get_mut(&call) {
            None => {} // Nobody waits for it any more.
            Some(Caller::Janitor(_)) => {
                let Some(Caller::Janitor(litter)) = self.calls.remove(&call) else {
                    unreachable!("it was looked at above");
                };
                wakers.extend(self.clean_up(litter, outcome));
            }
            Some(Caller::Program { wanted, .. }) => {
                let wanted = std::mem::replace(wanted, Wanted::Nothing);
                let completion = Completion {
                    watch: self.settle(wanted, &outcome, &mut wakers),
                    outcome,
                    session: self.session,
                    state: self.state,
                };
                if let Some(Caller::Program { wait, .. }) = self.calls.get_mut(&call) {
                    wakers.extend(wait.fulfil(completion));
                }
            }
        }
        wakers
    }

    /// The name of the watch that an answer leaves for its program, if it leaves one.
    fn settle(
        &mut self,
        wanted: Wanted,
        outcome: &Outcome,
        wakers: &mut Vec<Waker>,
    ) -> Option<u64> {
        let Outcome::Replied { result, .. } = outcome else {
            return None;
        };
        match wanted {
            Wanted::Watch(asked, path) => {
                let list = asked.registered_by(result)?;
                let name = self.name();
                let waiting = self.watches_of_path.entry(path.clone()).or_default();
                waiting.push(name);
                let wait = Wait::default();
                self.watches.insert(name, WatchSlot { list, path, wait });
                Some(name)
            }
            Wanted::Standing(mode, path) if result.is_ok() => Some(self.stand(path, mode)),
            Wanted::Removal(kind, path) if result.is_ok() => {
                wakers.extend(self.end_standing(kind, &path));
                None
            }
            _ => None,
        }
    }

    pub(crate) fn poll_call(&mut self, call: CallId, cx: &Context<'_>) -> Poll<Completion> {
        let Some(Caller::Program { wait, .. }) = self.calls.get_mut(&call) else {
            panic!("a call was polled after it was done");
        };
        let polled = wait.poll(cx);
        if polled.is_ready() {
            self.calls.remove(&call);
        }
        polled
    }

    /// Nobody waits for this call any more. `litter` is what it may leave behind.
    pub(crate) fn abandon_call(&mut self, call: CallId, litter: Option<Litter>) {
        let Some(Caller::Program { wait, .. }) = self.calls.remove(&call) else {
            return;
        };
        match (wait.value, litter) {
            (Some(completion), litter) => {
                if let Some(watch) = completion.watch {
                    self.forget_watch(watch);
                }
                if let Some(litter) = litter {
                    let nobody = self.clean_up(litter, completion.outcome);
                    debug_assert!(nobody.is_none(), "an abandoned call has no one waiting");
                }
            }
            (None, Some(litter)) => {
                self.calls.insert(call, Caller::Janitor(litter));
            }
            (None, None) => {}
        }
    }

    // Sleepers.

    pub(crate) fn sleep(&mut self, micros: u64) -> u64 {
        let sleeper = self.name();
        self.sleepers.insert(sleeper, Wait::default());
        self.command(Command::Sleep { sleeper, micros });
        sleeper
    }

    fn fire(&mut self, sleeper: u64) -> Option<Waker> {
        self.sleepers.get_mut(&sleeper)?.fulfil(())
    }

    pub(crate) fn poll_sleep(&mut self, sleeper: u64, cx: &Context<'_>) -> Poll<()> {
        poll_named(&mut self.sleepers, sleeper, cx)
    }

    pub(crate) fn cancel_sleep(&mut self, sleeper: u64) {
        match self.sleepers.remove(&sleeper) {
            Some(wait) if wait.value.is_none() => self.command(Command::CancelSleep { sleeper }),
            _ => {}
        }
    }
}

/// splitmix64 of one counter value.
const fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
