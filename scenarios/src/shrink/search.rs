//! Which of many candidates still fails in the same way: runs side by side, and the answer does not depend on how many.
//!
//! Who makes the runs is somebody else's business ([`Hands`]).
//!
//! Candidates are tried in their order, each with its seeds in theirs; the first run that shows the fingerprint wins. Threads
//! take the runs in that order, and what a thread tried behind the winner is not counted: the answer and its cost are those
//! of one thread that tries one run after the other.

use super::hands::{Hands, Shown, Tried};
use crate::fingerprint::Fingerprint;
use crate::format::Scenario;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seeds that a candidate is given to show the failure before it counts as harmless.
pub const SEEDS: u64 = 16;

/// Looks for failures with one fingerprint, as long as there are runs left.
pub(super) struct Search<'a> {
    hands: &'a dyn Hands,
    wanted: Fingerprint,
    first_seed: u64,
    runs_left: u64,
    pub(super) runs: u64,
    /// Whether it was ended before its runs were used up.
    pub(super) is_stopped: bool,
}

/// A candidate that fails in the same way.
pub(super) struct Found {
    /// Its place among the candidates.
    pub(super) at: usize,
    /// The seed with which it fails.
    pub(super) seed: u64,
    /// What the run shows.
    pub(super) shown: Shown,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        hands: &'a dyn Hands,
        wanted: Fingerprint,
        first_seed: u64,
        runs: u64,
    ) -> Search<'a> {
        Search {
            hands,
            wanted,
            first_seed,
            runs_left: runs,
            runs: 0,
            is_stopped: false,
        }
    }

    /// Whether the runs are used up.
    pub(super) fn is_spent(&self) -> bool {
        self.runs_left == 0
    }

    /// Ends the search: no run is left.
    pub(super) fn stop(&mut self) {
        self.is_stopped |= self.runs_left > 0;
        self.runs_left = 0;
    }

    /// So many of the seeds, the one that is known to fail first.
    fn seeds(&self, known: u64, count: u64) -> Vec<u64> {
        let all = (0..SEEDS).map(|n| self.first_seed.wrapping_add(n));
        let others = all.filter(|seed| *seed != known);
        std::iter::once(known)
            .chain(others)
            .take(count as usize)
            .collect()
    }

    /// The first candidate that fails in the same way with one of so many seeds.
    pub(super) fn first(
        &mut self,
        candidates: &[Scenario],
        known_seed: u64,
        seeds: u64,
    ) -> Option<Found> {
        let seeds = self.seeds(known_seed, seeds);
        let jobs = (candidates.len() * seeds.len()).min(self.runs_left as usize);
        let next = AtomicUsize::new(0);
        let won: Mutex<Option<(usize, Shown)>> = Mutex::new(None);
        let work = |hand: usize| {
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                if job >= jobs || winner(&won).is_some_and(|at| at < job) || self.hands.is_over() {
                    return;
                }
                let candidate = &candidates[job / seeds.len()];
                let seed = seeds[job % seeds.len()];
                let tried = self
                    .hands
                    .attempt(hand, candidate, seed, Some(&self.wanted));
                let Tried::Shows(shown) = tried else { continue };
                // Compared and replaced under one lock: of two that fail at the same time the first in the order wins.
                let mut won = won.lock().expect("no run panics with it");
                if won.as_ref().is_none_or(|(at, _)| job < *at) {
                    *won = Some((job, *shown));
                }
            }
        };
        std::thread::scope(|scope| {
            let work = &work;
            for hand in 1..self.hands.count().min(jobs) {
                scope.spawn(move || work(hand));
            }
            work(0);
        });
        let won = won.into_inner().expect("no run panics with it");
        let runs = won.as_ref().map_or(jobs, |(job, _)| job + 1) as u64;
        self.runs += runs;
        self.runs_left -= runs;
        if self.hands.is_over() {
            self.stop();
        }
        won.map(|(job, shown)| Found {
            at: job / seeds.len(),
            seed: seeds[job % seeds.len()],
            shown,
        })
    }
}

fn winner(won: &Mutex<Option<(usize, Shown)>>) -> Option<usize> {
    let won = won.lock().expect("no run panics with it");
    won.as_ref().map(|(job, _)| *job)
}
