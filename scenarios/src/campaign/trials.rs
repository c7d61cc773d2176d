//! The runs of a shrinking, made by a campaign's workers: what is tried may spin, or be the end of its process, as any run.

use super::clock;
use super::pool::{Asked, Conditions, Worker};
use super::stop::Stop;
use super::worker::{Answer, Order};
use crate::fingerprint::Fingerprint;
use crate::format::Scenario;
use crate::shrink::{Hands, Tried};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What is tried may not take longer by the wall clock: runs of this kind take some hundredths of a second.
const WATCHDOG: Duration = Duration::from_secs(10);

/// Workers for a shrinking.
pub(crate) struct Trials<'a> {
    conditions: Conditions,
    stop: &'a Stop,
    until: Option<Instant>,
    hands: Vec<Mutex<Option<Busy>>>,
    /// Why no worker can be had.
    broken: OnceLock<String>,
}

/// A worker, and what it was told to try.
struct Busy {
    worker: Worker,
    candidate: String,
}

impl<'a> Trials<'a> {
    /// Workers under these conditions; it is over when `stop` is set, and at `until`.
    pub(super) fn new(
        conditions: &Conditions,
        stop: &'a Stop,
        until: Option<Instant>,
    ) -> Trials<'a> {
        let conditions = Conditions {
            subjects: Vec::new(),
            corpus: None,
            watchdog: conditions.watchdog.min(WATCHDOG),
            plants: Vec::new(),
            ..conditions.clone()
        };
        let hands = (0..conditions.jobs.max(1)).map(|_| Mutex::default());
        Trials {
            hands: hands.collect(),
            conditions,
            stop,
            until,
            broken: OnceLock::new(),
        }
    }

    /// So many workers, with so much memory each, until `stop` is set.
    pub(crate) fn with_workers(jobs: usize, memory_mib: u64, stop: &'a Stop) -> Trials<'a> {
        let conditions = Conditions {
            subjects: Vec::new(),
            corpus: None,
            jobs,
            watchdog: WATCHDOG,
            memory_mib,
            plants: Vec::new(),
        };
        Trials::new(&conditions, stop, None)
    }

    /// Why no worker can be had, if none can.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    fn hand(&self, hand: usize) -> MutexGuard<'_, Option<Busy>> {
        let slot = &self.hands[hand % self.hands.len()];
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hands for Trials<'_> {
    fn count(&self) -> usize {
        self.hands.len()
    }

    fn attempt(
        &self,
        hand: usize,
        candidate: &Scenario,
        seed: u64,
        wanted: Option<&Fingerprint>,
    ) -> Tried {
        let mut slot = self.hand(hand);
        let mut busy = match slot.take() {
            Some(busy) => busy,
            None => match Worker::hire(&self.conditions) {
                Ok(worker) => Busy {
                    worker,
                    candidate: String::new(),
                },
                Err(why) => {
                    let _ = self.broken.set(why);
                    return Tried::NoRun;
                }
            },
        };
        let text = candidate.to_toml();
        if busy.candidate != text {
            busy.worker.tell(&Order::Candidate(text.clone()));
            busy.candidate = text;
        }
        let wanted = wanted.cloned();
        let order = Order::Try { seed, wanted };
        match busy
            .worker
            .ask(&order, self.conditions.watchdog, Some(self.stop))
        {
            Asked::Answer(Answer::Tried(tried)) => {
                *slot = Some(busy);
                tried
            }
            Asked::Answer(_) | Asked::Silence | Asked::Stopped => {
                busy.worker.dismiss();
                Tried::NoRun
            }
            Asked::Death => Tried::NoRun,
        }
    }

    fn is_over(&self) -> bool {
        let is_late = self.until.is_some_and(|until| clock::now() >= until);
        is_late || self.stop.is_set() || self.broken.get().is_some()
    }
}
