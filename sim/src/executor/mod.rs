//! Where client programs run: futures that the world wakes, one after the other, and that never wake themselves.
//!
//! The world is synchronous. When an event concerns a program (a reply, a timer), the world puts it into the program's
//! port, which wakes the program's task, and then calls [`Executor::run_until_idle`]: every task that is awake runs until
//! it waits again. Then the world takes the commands from the ports, in the order of the processes. So nothing that a
//! runtime draws for itself (which ready task first, how long a poll takes) can enter a run: the same plan has the same
//! trace on [`Bare`], our own few lines, and on [`Madsim`], whose nodes give programs the simulated `Instant`, randomness
//! and hash keys that real asynchronous code picks up without being asked.

mod bare;
mod madsim;

pub(crate) use bare::Bare;
pub(crate) use madsim::Madsim;

use crate::panics;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A program's future.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the futures of client processes.
pub(crate) trait Executor {
    /// Gives a process a task. It first runs at the next `run_until_idle`.
    fn spawn(&mut self, process: u32, future: BoxFuture);

    /// Runs every task that is awake until all of them wait.
    fn run_until_idle(&mut self);

    /// Drops the tasks of a process where they stand.
    fn kill(&mut self, process: u32);
}

/// How a task came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// It returned.
    Returned,
    /// It panicked, with this message.
    Panicked(String),
    /// It woke itself over and over without letting time pass, and was stopped.
    Endless,
}

/// Counts the world's steps, so that a task can tell that it is polled again and again within one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moment(Arc<AtomicU64>);

impl Moment {
    /// The world goes on.
    #[inline]
    pub(crate) fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Polls of one task within one step of the world. An honest one needs a few.
const POLLS_MAX: u32 = 100_000;

/// The world's view of a task: how it ended, once it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome(Arc<Mutex<Option<End>>>);

impl Outcome {
    /// Whether it has returned or panicked.
    pub(crate) fn ended(&self) -> bool {
        self.0.lock().is_ok_and(|end| end.is_some())
    }

    /// Whether it was stopped because it woke itself over and over.
    pub(crate) fn is_endless(&self) -> bool {
        self.0
            .lock()
            .is_ok_and(|end| matches!(*end, Some(End::Endless)))
    }

    /// The message of its panic, once.
    pub(crate) fn take_panic(&self) -> Option<String> {
        let mut end = self.0.lock().ok()?;
        match end.take() {
            Some(End::Panicked(message)) => {
                *end = Some(End::Returned);
                Some(message)
            }
            other => {
                *end = other;
                None
            }
        }
    }
}

/// Wraps a program so that its panic ends it alone and is told in its [`Outcome`]; a runtime that saw it would unwind the
/// whole world, and one that never waits would never give the world back its turn.
pub(crate) fn contained(program: BoxFuture, moment: &Moment) -> (BoxFuture, Outcome) {
    let outcome = Outcome::default();
    let contained = Contained {
        program: Some(program),
        outcome: outcome.clone(),
        moment: moment.clone(),
        polled_in: 0,
        polls: 0,
    };
    (Box::pin(contained), outcome)
}

struct Contained {
    program: Option<BoxFuture>,
    outcome: Outcome,
    moment: Moment,
    /// The step of the world in which it was polled last, and how often.
    polled_in: u64,
    polls: u32,
}

impl Future for Contained {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let moment = self.moment.now();
        self.polls = match self.polled_in == moment {
            true => self.polls + 1,
            false => 0,
        };
        self.polled_in = moment;
        let endless = self.polls > POLLS_MAX;
        let Some(program) = self.program.as_mut() else {
            return Poll::Ready(());
        };
        let polled = match endless {
            true => Ok(Poll::Ready(End::Endless)),
            false => panics::caught(AssertUnwindSafe(|| {
                program.as_mut().poll(context).map(|()| End::Returned)
            })),
        };
        let end = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(end)) => end,
            Err(message) => End::Panicked(message),
        };
        self.program = None;
        if let Ok(mut told) = self.outcome.0.lock() {
            *told = Some(end);
        }
        Poll::Ready(())
    }
}

/// The words of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_string()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without words".to_string()
    }
}

/// Notices that a task was woken, so that `run_until_idle` costs nothing where none was.
struct Noticing {
    program: BoxFuture,
    bell: Arc<AtomicBool>,
    waker: Option<(Waker, Waker)>,
}

impl Noticing {
    fn new(program: BoxFuture, bell: Arc<AtomicBool>) -> Noticing {
        bell.store(true, Ordering::Relaxed);
        Noticing {
            program,
            bell,
            waker: None,
        }
    }
}

struct Bell {
    bell: Arc<AtomicBool>,
    inner: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.store(true, Ordering::Relaxed);
        self.inner.wake_by_ref();
    }
}

impl Future for Noticing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let waker = match &this.waker {
            Some((inner, waker)) if inner.will_wake(context.waker()) => waker,
            _ => {
                let bell = Bell {
                    bell: this.bell.clone(),
                    inner: context.waker().clone(),
                };
                let waker = Waker::from(Arc::new(bell));
                &this.waker.insert((context.waker().clone(), waker)).1
            }
        };
        this.program.as_mut().poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// A program that waits for a flag and counts its polls.
    fn waiting(
        gate: Arc<Mutex<(bool, Option<Waker>)>>,
        log: Arc<Mutex<Vec<u32>>>,
        name: u32,
    ) -> BoxFuture {
        Box::pin(async move {
            poll_fn(|context| {
                let mut gate = gate.lock().unwrap();
                if gate.0 {
                    return Poll::Ready(());
                }
                gate.1 = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
            log.lock().unwrap().push(name);
        })
    }

    fn open(gate: &Arc<Mutex<(bool, Option<Waker>)>>) {
        let mut gate = gate.lock().unwrap();
        gate.0 = true;
        if let Some(waker) = gate.1.take() {
            waker.wake();
        }
    }

    fn runs_what_is_awake_and_kills(executor: &mut dyn Executor) {
        let log = Arc::new(Mutex::new(Vec::new()));
        let gates: Vec<_> = (0..3)
            .map(|_| Arc::new(Mutex::new((false, None))))
            .collect();
        for (name, gate) in gates.iter().enumerate() {
            executor.spawn(
                name as u32 + 1,
                waiting(gate.clone(), log.clone(), name as u32 + 1),
            );
        }
        executor.run_until_idle();
        assert!(log.lock().unwrap().is_empty());
        open(&gates[2]);
        executor.run_until_idle();
        assert_eq!(*log.lock().unwrap(), [3]);
        executor.kill(1);
        open(&gates[0]);
        open(&gates[1]);
        executor.run_until_idle();
        assert_eq!(*log.lock().unwrap(), [3, 2], "the killed one never runs on");
        // What the killed task held is dropped at once: its gate is ours alone again.
        assert_eq!(Arc::strong_count(&gates[0]), 1);
        executor.spawn(1, waiting(gates[0].clone(), log.clone(), 11));
        executor.run_until_idle();
        assert_eq!(
            *log.lock().unwrap(),
            [3, 2, 11],
            "a process can be restarted"
        );
    }

    #[test]
    fn bare_runs_what_is_awake_and_kills() {
        runs_what_is_awake_and_kills(&mut Bare::default());
    }

    #[test]
    fn madsim_runs_what_is_awake_and_kills() {
        runs_what_is_awake_and_kills(&mut Madsim::new());
    }

    #[test]
    fn a_panic_ends_its_program_alone() {
        let (program, outcome) = contained(
            Box::pin(async { panic!("no lock after {}", 3) }),
            &Moment::default(),
        );
        let mut executor = Madsim::new();
        executor.spawn(1, program);
        executor.run_until_idle();
        assert!(outcome.ended());
        let told = outcome.take_panic().unwrap_or_default();
        assert!(told.starts_with("no lock after 3 ("), "{told}");
        assert_eq!(outcome.take_panic(), None);
        assert!(outcome.ended());
    }
}
