//! The desk between a test and the world: what the test wishes, and what the world answers.

use crate::executor::BoxFuture;
use crate::plan::Action;
use crate::wire::Mailbox;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use zabsim_client::Client;
use zabsim_types::{ClientFrame, ServerId, Time};

/// What a test wishes.
pub(crate) enum Wish {
    /// A new client process.
    Client,
    /// To be woken after so many microseconds.
    Sleep(u64),
    /// To know the leader, once one is established.
    Leader,
    /// A fault, and for how many microseconds.
    Fault(Box<Action>, Option<u64>),
    /// That client cut off for so many microseconds.
    CutClient(Client, u64),
    /// Something to run beside the test.
    Spawn(BoxFuture),
    /// A connection by hand to that server.
    Wire(ServerId),
    /// A frame on such a connection.
    Say(u32, ClientFrame),
    /// The end of one.
    HangUp(u32),
}

/// What the world answers.
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// The new client.
    Client(Client),
    /// The leader.
    Leader(ServerId),
    /// What arrives by the new connection.
    Wire(Mailbox),
    /// What a fault did; `None`: it found nobody.
    Struck(Option<String>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Done => write!(f, "Done"),
            Answer::Client(_) => write!(f, "Client"),
            Answer::Wire(mailbox) => write!(f, "Wire({})", mailbox.link),
            Answer::Leader(leader) => write!(f, "Leader({leader})"),
            Answer::Struck(what) => write!(f, "Struck({what:?})"),
        }
    }
}

/// The desk. Clones are the same desk.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    now: Time,
    next: u32,
    wishes: Vec<(u32, Wish)>,
    answers: BTreeMap<u32, Answer>,
    /// Wishes whose answers are for nobody.
    unawaited: BTreeSet<u32>,
    wakers: BTreeMap<u32, Waker>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world's time when the test was last woken.
    pub(crate) fn now(&self) -> Time {
        self.lock().now
    }

    /// Makes a wish; it reaches the world when the test waits.
    pub(crate) fn wish(&self, wish: Wish) -> Wished {
        let mut inner = self.lock();
        let name = inner.next;
        inner.next += 1;
        inner.wishes.push((name, wish));
        Wished {
            desk: self.clone(),
            name,
        }
    }

    /// Makes a wish of which nobody awaits the end; it reaches the world when the test waits.
    pub(crate) fn command(&self, wish: Wish) {
        let mut inner = self.lock();
        let name = inner.next;
        inner.next += 1;
        inner.unawaited.insert(name);
        inner.wishes.push((name, wish));
    }

    /// The world takes the wishes.
    pub(crate) fn take(&self, now: Time) -> Vec<(u32, Wish)> {
        let mut inner = self.lock();
        inner.now = now;
        std::mem::take(&mut inner.wishes)
    }

    /// The world answers one.
    pub(crate) fn answer(&self, now: Time, name: u32, answer: Answer) {
        let waker = {
            let mut inner = self.lock();
            inner.now = now;
            if !inner.unawaited.remove(&name) {
                inner.answers.insert(name, answer);
            }
            inner.wakers.remove(&name)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A wish that waits for its answer.
pub(crate) struct Wished {
    desk: Desk,
    name: u32,
}

impl Future for Wished {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut inner = self.desk.lock();
        match inner.answers.remove(&self.name) {
            Some(answer) => Poll::Ready(answer),
            None => {
                inner.wakers.insert(self.name, context.waker().clone());
                Poll::Pending
            }
        }
    }
}
