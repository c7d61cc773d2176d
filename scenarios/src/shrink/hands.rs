//! Who makes the runs of a shrinking: threads of this process, for whoever knows that every run ends, or a campaign's workers,
//! which a run may ruin.

use crate::fingerprint::Fingerprint;
use crate::format::Scenario;
use crate::runner::run_scenario;
use serde::{Deserialize, Serialize};
use zabsim_types::HistoryEvent;
use zabsim_types::run::Violation;

/// Makes runs, several side by side.
pub trait Hands: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Makes one run with the hand of that number, below [`Hands::count`]. `wanted`: what it must show to be of interest.
    fn attempt(
        &self,
        hand: usize,
        candidate: &Scenario,
        seed: u64,
        wanted: Option<&Fingerprint>,
    ) -> Tried;

    /// Whether no further run is to be made.
    fn is_over(&self) -> bool {
        false
    }
}

/// What a run came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tried {
    /// It fails as wanted.
    Shows(Box<Shown>),
    /// It does not. If it passes and was to do something else: what that was.
    Otherwise(Option<String>),
    /// There is nothing to tell of it: it did not end, or its process died.
    NoRun,
}

/// What a failing run shows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// How it fails.
    pub fingerprint: Fingerprint,
    /// The same in words.
    pub violation: Violation,
    /// What its clients asked for; empty where nobody wants to know, since there is no workload to write out.
    pub history: Vec<HistoryEvent>,
}

/// Makes a run in this thread.
pub fn attempt(candidate: &Scenario, seed: u64, wanted: Option<&Fingerprint>) -> Tried {
    let finished = run_scenario(candidate, &candidate.plan.name, seed, false);
    let report = finished.report;
    let fingerprint = Fingerprint::of(&report);
    let Some((fingerprint, violation)) = fingerprint.zip(report.violation) else {
        let unmet = (!report.unmet.is_empty()).then(|| report.unmet.join("; "));
        return Tried::Otherwise(unmet);
    };
    if wanted.is_some_and(|wanted| *wanted != fingerprint) {
        return Tried::Otherwise(None);
    }
    let history = match finished.drawn.workloads.is_empty() {
        true => Vec::new(),
        false => finished.history,
    };
    Tried::Shows(Box::new(Shown {
        fingerprint,
        violation,
        history,
    }))
}

/// So many threads of this process.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub usize);

impl Hands for Threads {
    fn count(&self) -> usize {
        self.0.max(1)
    }

    fn attempt(
        &self,
        _hand: usize,
        candidate: &Scenario,
        seed: u64,
        wanted: Option<&Fingerprint>,
    ) -> Tried {
        attempt(candidate, seed, wanted)
    }
}
