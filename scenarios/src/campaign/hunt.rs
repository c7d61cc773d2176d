//! A hunt: how many seeds of the ordinary generator a planted bug takes until a check finds it.
//!
//! The seeds from 1 on are cut into nine ranges that follow one another, and each is searched up to its first catch. Caught is
//! what five ranges catch, and the *median* is the number of seeds that the fifth fastest of them took: with ranges that caught
//! nothing counted as infinite, it is the median over all nine. The ranges are searched side by side, seed by seed, so that a
//! hunt may end with the fifth catch: nothing that comes after it changes the median.
//!
//! The generator knows nothing of the bug, and which run is made by whom changes nothing: the runs are those of the campaign, in
//! its worker processes, and the catches that count are the first five in one fixed order.

use super::charter::Subject;
use super::clock;
use super::journal::RunLine;
use super::pool::{self, Conditions, Job};
use super::seeds::Item;
use super::stop::Stop;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Ranges of seeds.
pub(crate) const RANGES: u64 = 9;

/// Ranges that must catch a bug.
pub(crate) const MAJORITY: usize = 5;

/// From one word on a hunt under way to the next.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The verdicts that are a catch: a check was violated, it did not finish, or it was the end of the system under test. What the
/// wall clock ended is none: another machine might have had the time.
const CATCHES: [&str; 3] = ["fail", "stuck", "crashed"];

/// What is hunted, and by how many.
#[derive(Clone, Debug)]
pub(crate) struct Hunt {
    /// The generator, with the bug planted.
    pub(crate) subject: Subject,
    /// Seeds of each range.
    pub(crate) seeds: u64,
    /// Worker processes.
    pub(crate) jobs: usize,
    /// What each of them may ask the system for, in MiB.
    pub(crate) memory_mib: u64,
    /// How long a run may take by the wall clock.
    pub(crate) watchdog: Duration,
}

/// A range's first catch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Catch {
    /// The seed that showed the bug.
    pub(crate) seed: u64,
    /// Which of its range's seeds that was, from 1.
    pub(crate) after: u64,
    /// The check that found it.
    pub(crate) check: String,
    /// How the run ended.
    pub(crate) verdict: String,
    /// Its events.
    pub(crate) events: u64,
}

/// How far a hunt is.
struct State {
    /// The number of the next run.
    next: u64,
    /// For each range, its first catch.
    caught: BTreeMap<u64, Catch>,
}

impl Hunt {
    /// The range and the seed of a run, by its number: the first seed of each range, then the second of each, and so on.
    fn place(&self, number: u64) -> Option<(u64, u64)> {
        let (range, offset) = (number % RANGES, number / RANGES);
        (offset < self.seeds).then(|| (range, range * self.seeds + offset + 1))
    }

    /// Hunts; `tell` hears now and then how many seeds of each range are done, and how many ranges have caught it. The catches
    /// that count, the fastest first, five at most; `None`: it was asked to stop.
    pub(crate) fn run(
        &self,
        stop: &Stop,
        tell: &mut dyn FnMut(u64, usize),
    ) -> Result<Option<Vec<Catch>>, String> {
        let state = Mutex::new(State {
            next: 0,
            caught: BTreeMap::new(),
        });
        let locked = || state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = || {
            let mut state = locked();
            let seed = state.next(self)?;
            let item = Item { scenario: 0, seed };
            Some(Job {
                item,
                recheck: false,
            })
        };
        let seen = |line: &RunLine| locked().take(self, line);
        let conditions = Conditions {
            subjects: vec![self.subject.clone()],
            corpus: None,
            jobs: self.jobs,
            watchdog: self.watchdog,
            memory_mib: self.memory_mib,
            plants: Vec::new(),
        };
        let mut told: Instant = clock::now();
        pool::run_all(&conditions, stop, next, seen, |_| {
            if told.elapsed() >= TELL_EVERY {
                told = clock::now();
                let state = locked();
                tell(state.next / RANGES, state.caught.len());
            }
            Ok(())
        })?;
        if stop.is_set() {
            return Ok(None);
        }
        let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(state.first_catches()))
    }
}

impl State {
    /// The next seed to try; `None`: it is over.
    fn next(&mut self, hunt: &Hunt) -> Option<u64> {
        while self.caught.len() < MAJORITY {
            let (range, seed) = hunt.place(self.next)?;
            self.next += 1;
            if !self.caught.contains_key(&range) {
                return Some(seed);
            }
        }
        None
    }

    fn take(&mut self, hunt: &Hunt, line: &RunLine) {
        let Some(failure) = &line.failure else { return };
        if !CATCHES.contains(&line.verdict.as_str()) {
            return;
        }
        let (range, offset) = ((line.seed - 1) / hunt.seeds, (line.seed - 1) % hunt.seeds);
        let catch = Catch {
            seed: line.seed,
            after: offset + 1,
            check: failure.check.clone(),
            verdict: line.verdict.clone(),
            events: line.events,
        };
        // Of one range several runs may have been under way.
        let first = self.caught.entry(range).or_insert_with(|| catch.clone());
        if catch.after < first.after {
            *first = catch;
        }
    }

    /// All runs up to the fifth of these were made, whoever made them: of those behind it some were, and they do not count.
    fn first_catches(self) -> Vec<Catch> {
        let mut catches: Vec<Catch> = self.caught.into_values().collect();
        catches.sort_by_key(|catch| (catch.after, catch.seed));
        catches.truncate(MAJORITY);
        catches
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::FailureLine;
    use super::super::journal::tests::passed;
    use super::*;

    fn hunt(seeds: u64) -> Hunt {
        Hunt {
            subject: Subject {
                name: "swarm".to_string(),
                toml: String::new(),
            },
            seeds,
            jobs: 1,
            memory_mib: 512,
            watchdog: Duration::from_secs(1),
        }
    }

    fn line(seed: u64, verdict: &str) -> RunLine {
        let failure = FailureLine {
            fingerprint: String::new(),
            check: format!("check-{}", seed % 2),
            shape: String::new(),
            phase: String::new(),
            message: String::new(),
        };
        RunLine {
            verdict: verdict.to_string(),
            failure: Some(failure),
            ..passed(seed)
        }
    }

    /// Hunts with so many workers, each of which is slower than the one before it, where these seeds show the bug.
    fn hunted(seeds: u64, workers: usize, showing: &[u64]) -> (Vec<Catch>, u64) {
        let hunt = hunt(seeds);
        let mut state = State {
            next: 0,
            caught: BTreeMap::new(),
        };
        let mut under_way: Vec<u64> = Vec::new();
        let mut runs = 0;
        loop {
            while under_way.len() < workers
                && let Some(seed) = state.next(&hunt)
            {
                under_way.push(seed);
                runs += 1;
            }
            // The last one that began is the first that ends.
            let Some(seed) = under_way.pop() else { break };
            if showing.contains(&seed) {
                state.take(&hunt, &line(seed, "fail"));
            }
        }
        (state.first_catches(), runs)
    }

    #[test]
    fn the_fifth_fastest_range_is_the_median_however_many_work() {
        // Ranges of 10; the third catches it twice, the sixth with its first seed, the second and the eighth never.
        let showing = [4, 22, 23, 33, 49, 51, 69, 90];
        for workers in [1, 2, 3, 7, 40] {
            let (catches, _) = hunted(10, workers, &showing);
            let found: Vec<_> = catches.iter().map(|c| (c.seed, c.after)).collect();
            assert_eq!(
                found,
                [(51, 1), (22, 2), (33, 3), (4, 4), (49, 9)],
                "{workers}"
            );
        }
        // After the last of them is found nothing is begun any more.
        let (_, runs) = hunted(10, 1, &showing);
        assert!(runs < 90 - 8, "{runs}");
    }

    #[test]
    fn what_four_ranges_catch_is_tried_with_every_seed_and_not_enough() {
        let (catches, runs) = hunted(10, 1, &[1, 11, 21, 31]);
        assert_eq!(catches.len(), 4);
        assert_eq!(runs, 4 + 5 * 10);
    }

    #[test]
    fn only_what_a_run_says_itself_is_a_catch() {
        let hunt = hunt(10);
        let mut state = State {
            next: 0,
            caught: BTreeMap::new(),
        };
        for verdict in ["hung", "undecided", "diverged", "pass"] {
            state.take(&hunt, &line(1, verdict));
        }
        state.take(&hunt, &passed(2));
        assert!(state.caught.is_empty());
        for (seed, verdict) in [(1, "fail"), (11, "stuck"), (21, "crashed")] {
            state.take(&hunt, &line(seed, verdict));
        }
        assert_eq!(state.caught.len(), 3);
    }
}
