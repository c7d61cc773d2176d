//! Shrinking: from a run that failed to the smallest scenario that fails in the same way.
//!
//! The run's faults are a list, its workloads are written out as the operations that their clients asked for, and then
//! everything is taken away that the failure can do without: time, faults, clients, operations, servers; what is left is made
//! shorter and simpler. A candidate fails in the same way if one of 16 seeds shows the same [`Fingerprint`].
//!
//! The result is **1-minimal** if the runs sufficed: after removing any one fault, client, server or explicit operation, or
//! halving any duration or any time between two things, none of the 16 seeds shows the fingerprint any more.
//!
//! It is a function of the run and the number of runs allowed, whatever the threads and the machine. Lists are halved first
//! and then taken apart one by one (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), from
//! what holds much (time, faults, clients) to what holds little, and with few seeds before many.

mod explicit;
mod fewer;
mod hands;
mod kept;
mod parts;
mod search;
mod shorter;
mod simpler;
#[cfg(test)]
mod tests;
mod written;

pub(crate) use fewer::without_faults;
pub use hands::{Hands, Shown, Threads, Tried, attempt};
pub use kept::Kept;
pub(crate) use kept::{is_final, is_minimal};
pub use search::SEEDS;
pub use written::{name, remarks, said_fingerprint, sizes, text};

use crate::fingerprint::Fingerprint;
use crate::format::{Expect, Scenario};
use search::{Found, Search};
use simpler::Change;
use std::cell::RefCell;
use zabsim_types::HistoryEvent;
use zabsim_types::run::Violation;

/// Runs that a shrinking may take where nobody says how many: a failure of the standard scenario needs some hundreds.
pub const BUDGET: u64 = 5_000;

/// In the coarse rounds a list of candidates gets about so many runs: few candidates many seeds, many candidates one.
const COARSE_RUNS: u64 = 64;

/// Seeds for what makes a scenario simpler and no smaller: that it could be simpler still is no loss.
const SEEDS_FOR_SIMPLER: u64 = 4;

/// Rounder times are a matter of looks.
const SEEDS_FOR_ROUNDER: u64 = 1;

/// Candidates that are made at a time. Threads run dry at the end of each batch, and a long list of big scenarios is memory.
const BATCH: usize = 8;

/// What to shrink, and how hard to try.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// As the user named it.
    pub named: &'a str,
    /// The seed with which it failed.
    pub seed: u64,
    /// The most runs.
    pub budget: u64,
    /// Who makes them, side by side. The result does not depend on how many there are.
    pub hands: &'a dyn Hands,
}

/// A scenario that fails, and what is known of it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario, with the seed in it: it repeats the failure by itself.
    pub scenario: Scenario,
    /// That seed.
    pub seed: u64,
    /// How it fails.
    pub fingerprint: Fingerprint,
    /// What it shows, in words.
    pub violation: Violation,
    /// What it was shrunk from: name, seed, and size.
    pub origin: Origin,
    /// Runs so far.
    pub runs: u64,
    /// How far the search has come.
    pub state: State,
}

/// How far a search has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It goes on, or was interrupted.
    UnderWay,
    /// The runs that it was allowed are used up.
    Spent,
    /// Nothing can be taken away any more.
    Minimal,
}

/// Where a shrunk scenario comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The scenario as the user named it.
    pub named: String,
    /// The seed.
    pub seed: u64,
    /// Its size, in words.
    pub size: String,
}

/// Why a run cannot be shrunk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotShrunk {
    /// It does not fail.
    #[error("it passes{}: there is nothing to shrink", .0.as_ref().map_or(String::new(), |unmet| format!(", though not as expected ({unmet})")))]
    Passes(Option<String>),
    /// It did not end, or its process died.
    #[error("the run itself tells nothing: it does not end, or is the end of its process")]
    NoRun,
    /// The faults of its seed, as a list, do not fail as the scenario did: a fault of the harness.
    #[error("drawn as a list of faults it fails no more; please report this")]
    NotAsDrawn,
}

/// Shrinks what fails. `better` is shown each improvement: whoever keeps the last has the best so far. It says whether to go
/// on.
pub fn shrink(
    request: &Request<'_>,
    better: &mut dyn FnMut(&Shrunk) -> bool,
) -> Result<Shrunk, NotShrunk> {
    let (hands, seed) = (request.hands, request.seed);
    let fingerprint = match hands.attempt(0, request.scenario, seed, None) {
        Tried::Shows(shown) => shown.fingerprint,
        Tried::Otherwise(unmet) => return Err(NotShrunk::Passes(unmet)),
        Tried::NoRun => return Err(NotShrunk::NoRun),
    };
    let mut search = Search::new(hands, fingerprint.clone(), seed, request.budget.max(1));
    let drawn = without_expectations(&request.scenario.draw(seed));
    let found = search.first(std::slice::from_ref(&drawn), seed, 1);
    let Found { shown, seed, .. } = found.ok_or(NotShrunk::NotAsDrawn)?;
    let origin = Origin {
        named: request.named.into(),
        seed: request.seed,
        size: sizes(&drawn),
    };
    let shrunk = Shrunk {
        violation: shown.violation,
        scenario: Scenario {
            seed: Some(seed),
            ..drawn
        },
        seed,
        fingerprint,
        origin,
        runs: search.runs,
        state: State::UnderWay,
    };
    if !better(&shrunk) {
        search.stop();
    }
    let mut work = Work {
        search,
        best: shrunk,
        history: shown.history,
        better,
    };
    work.shrink();
    Ok(work.best)
}

/// What was expected of the whole is not expected of its parts.
fn without_expectations(drawn: &Scenario) -> Scenario {
    Scenario {
        expect: Expect {
            outcomes: vec![Vec::new(); drawn.plan.ops.len()],
            ..Expect::default()
        },
        ..drawn.clone()
    }
}

/// With no more damage than can be survived.
fn survivable(scenario: &Scenario) -> Option<Scenario> {
    let mut out = scenario.clone();
    out.plan.data_loss_allowed = false;
    Some(out)
}

/// A shrinking under way.
struct Work<'a> {
    search: Search<'a>,
    best: Shrunk,
    /// What the clients asked for in the best one's run.
    history: Vec<HistoryEvent>,
    better: &'a mut dyn FnMut(&Shrunk) -> bool,
}

impl Work<'_> {
    fn shrink(&mut self) {
        // Where damage may be beyond what can be survived, a few wiped disks are as good as any bug. Most failures do not need
        // that leave, and then it is not given to what becomes of them.
        self.each(SEEDS, |best, at| {
            (at == 0).then(|| survivable(&best.scenario))
        });
        // While there is much, a seed more is dear, and what is left standing is tried again.
        while self.changes(Work::coarse) {}
        // A round that changes nothing has tried everything.
        while self.changes(Work::fine) {}
        self.best.state = match (self.search.is_stopped, self.search.is_spent()) {
            (true, _) => State::UnderWay,
            (false, true) => State::Spent,
            (false, false) => State::Minimal,
        };
        self.best.runs = self.search.runs;
    }

    /// Whether a round was of use, and another one may be.
    fn changes(&mut self, round: fn(&mut Self)) -> bool {
        let before = self.best.scenario.clone();
        round(self);
        self.best.scenario != before && !self.search.is_spent()
    }

    fn coarse(&mut self) {
        self.cut(SEEDS_FOR_SIMPLER);
        self.write_out();
        self.fewer(|candidates| (COARSE_RUNS / candidates.max(1) as u64).clamp(1, SEEDS));
        self.each(SEEDS_FOR_SIMPLER, |best, at| {
            (at == 0).then(|| shorter::at_half_time(&best.scenario))
        });
    }

    fn fine(&mut self) {
        self.cut(SEEDS);
        self.write_out();
        self.fewer(|_| SEEDS);
        self.shorter();
        self.simpler();
    }

    /// Ends the faults where the failure was seen.
    fn cut(&mut self, seeds: u64) {
        self.each(seeds, |best, at| match at {
            0 => Some(shorter::ended_at(
                &best.scenario,
                (best.violation.at_ms + 1) * 1_000,
            )),
            1 => Some(shorter::ended_at(
                &best.scenario,
                best.scenario.plan.safety_us / 2,
            )),
            _ => None,
        });
    }

    /// Replaces workloads by the operations that they asked for.
    fn write_out(&mut self) {
        let mut written = explicit::written_out(&self.best.scenario, &self.history);
        if let Some(found) = self.search.first(&written, self.best.seed, SEEDS) {
            self.take(written.swap_remove(found.at), found);
        }
    }

    /// Takes away what can be spared; `seeds` says with how many seeds each of so many candidates is tried.
    fn fewer(&mut self, seeds: fn(usize) -> u64) {
        self.take_apart(seeds, |s| s.plan.faults.len(), fewer::without_faults);
        self.take_apart(seeds, |s| s.plan.clients as usize, fewer::without_clients);
        self.each(seeds(1), |best, at| {
            let workloads = best.scenario.workloads.len();
            (at < workloads).then(|| Some(fewer::without_workload(&best.scenario, at)))
        });
        self.each(seeds(1), |best, at| {
            let sizes = fewer::fewer_servers(&best.scenario.plan);
            let size = *sizes.get(at)?;
            Some(Some(fewer::with_servers(&best.scenario, size)))
        });
        self.each(seeds(1), |best, at| {
            (at == 0).then(|| fewer::with_fewer_joiners(&best.scenario))
        });
        self.take_apart(seeds, |s| s.plan.ops.len(), fewer::without_ops);
        self.take_apart(seeds, |s| s.holds.len(), fewer::without_holds);
        // What waits for the hundredth event needs a hundred, unless it waits for an earlier one.
        self.take_apart(seeds, |s| s.plan.ops.len(), fewer::without_ops_and_events);
        self.each(seeds(1), |best, at| {
            fewer::handed_over(&best.scenario, at).map(Some)
        });
    }

    fn shorter(&mut self) {
        self.each(SEEDS, |best, at| {
            (at == 0).then(|| shorter::at_half_time(&best.scenario))
        });
        self.each(SEEDS, |best, at| {
            let points = shorter::points(&best.scenario).len();
            (at < points).then(|| shorter::sooner(&best.scenario, at))
        });
        self.each(SEEDS, |best, at| {
            let durations = shorter::durations(&best.scenario);
            (at < durations).then(|| shorter::halved(&best.scenario, at))
        });
        self.each(SEEDS_FOR_ROUNDER, |best, at| {
            let ways = shorter::roundings(&best.scenario);
            (at < ways).then(|| shorter::rounded(&best.scenario, at))
        });
    }

    fn simpler(&mut self) {
        // Which changes there are depends on what is the best, which many of them leave as it is.
        let changes: RefCell<Option<(u64, Vec<Change>)>> = RefCell::new(None);
        self.each(SEEDS_FOR_SIMPLER, |best, at| {
            let mut changes = changes.borrow_mut();
            let (_, changes) = match &mut *changes {
                Some(changes) if changes.0 == best.runs => changes,
                outdated => outdated.insert((best.runs, simpler::simpler(&best.scenario))),
            };
            let change = changes.get(at)?;
            let mut scenario = best.scenario.clone();
            change(&mut scenario);
            Some(Some(scenario))
        });
    }

    /// Takes a list apart: halves, quarters, and so on down to its single members.
    fn take_apart(
        &mut self,
        seeds: fn(usize) -> u64,
        length: fn(&Scenario) -> usize,
        without: fn(&Scenario, std::ops::Range<usize>) -> Scenario,
    ) {
        let mut chunk = length(&self.best.scenario);
        while chunk > 0 {
            let candidates = length(&self.best.scenario).div_ceil(chunk);
            self.each(seeds(candidates), |best, at| {
                let (first, all) = (at * chunk, length(&best.scenario));
                let last = all.min(first + chunk);
                (first < all).then(|| Some(without(&best.scenario, first..last)))
            });
            chunk = match chunk {
                1 => 0,
                more => more.div_ceil(2),
            };
        }
    }

    /// Tries the candidates by their numbers, from 0 until there is none of that number. After one that fails in the same way
    /// it goes on from there, with the candidate of that number of what is now the best. A number may be of nothing to try.
    fn each(
        &mut self,
        seeds: u64,
        candidate: impl Fn(&Shrunk, usize) -> Option<Option<Scenario>>,
    ) -> bool {
        let (mut at, mut found_any) = (0, false);
        while !self.search.is_spent() {
            let (mut batch, mut places) = (Vec::new(), Vec::new());
            let mut is_last = false;
            while batch.len() < BATCH && !is_last {
                match candidate(&self.best, at) {
                    None => is_last = true,
                    Some(Some(scenario)) if self.is_new(&scenario) => {
                        batch.push(scenario);
                        places.push(at);
                    }
                    Some(_) => {}
                }
                at += usize::from(!is_last);
            }
            match self.search.first(&batch, self.best.seed, seeds) {
                Some(found) => {
                    at = places[found.at];
                    found_any = true;
                    self.take(batch.swap_remove(found.at), found);
                }
                None if is_last => break,
                None => {}
            }
        }
        found_any
    }

    /// Whether it can be run at all, and is not what there is.
    fn is_new(&self, candidate: &Scenario) -> bool {
        let (new, old) = (candidate, &self.best.scenario);
        (&new.plan, &new.workloads, &new.holds) != (&old.plan, &old.workloads, &old.holds)
            && zabsim::validate(&new.plan).is_ok()
    }

    fn take(&mut self, scenario: Scenario, found: Found) {
        self.best.scenario = scenario;
        self.best.scenario.seed = Some(found.seed);
        self.best.seed = found.seed;
        self.best.violation = found.shown.violation;
        self.best.runs = self.search.runs;
        self.history = found.shown.history;
        if !(self.better)(&self.best) {
            self.search.stop();
        }
    }
}
