//! From a catch to a script: the run that caught a bug, shrunk with the bug planted, as far as what is left still shows it with most
//! seeds.
//!
//! What a shrinking leaves need not fail with other seeds than its own. So it is done twice: first by the fingerprint, as any
//! failure is shrunk; of the scenarios that this came by, the last *sturdy* one (17 of the seeds 1 to 20 fail by the check) is
//! then shrunk further with that as what must stay.

use super::scripts::{self, MUST_FAIL, SEEDS, planted};
use crate::fingerprint::Fingerprint;
use crate::format::{Expect, Scenario};
use crate::shrink::{self, Hands, NotShrunk, Request, Shown, State, Tried, sizes};
use zab::{Bug, Planted};
use zabsim::seed_text;

/// A run that shows a bug.
#[derive(Clone, Debug)]
pub(crate) struct Showing {
    /// The scenario, without the bug.
    pub(crate) scenario: Scenario,
    /// How it is named.
    pub(crate) named: String,
    /// The seed.
    pub(crate) seed: u64,
}

/// A script that was made.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Its text.
    pub(crate) text: String,
    /// Seeds of 1 to 20 that fail with the bug.
    pub(crate) fails: u64,
    /// Its size, in words.
    pub(crate) size: String,
}

/// Of a long way from what was drawn to what is left, so many places are looked at.
const PLACES: usize = 12;

/// Of the seeds, how many must fail while it is shrunk: more than a script must, so that the next change of the source leaves enough.
const STURDY: u64 = 17;

/// What becomes of a run that shows the bug: a script, or why none. `budget` is the most runs of the first shrinking, and the
/// most tries of the second.
pub(crate) fn script(
    bug: Bug,
    check: &str,
    showing: &Showing,
    budget: u64,
    hands: &dyn Hands,
) -> Result<Script, String> {
    let scenario = planted(&showing.scenario, Planted::of(&[bug]));
    let request = Request {
        scenario: &scenario,
        named: &showing.named,
        seed: showing.seed,
        budget,
        hands,
    };
    let from = format!("{}, seed {}", showing.named, seed_text(showing.seed));
    let not_shrunk = |why: NotShrunk| format!("{from}: {why}");
    let mut way: Vec<Scenario> = Vec::new();
    let shrunk = shrink::shrink(&request, &mut |better| {
        way.push(better.scenario.clone());
        true
    });
    let shrunk = shrunk.map_err(not_shrunk)?;
    if shrunk.violation.check != check {
        return Err(format!("{from}: it fails by {}", shrunk.violation.check));
    }
    let sturdy = Sturdy { hands, check };
    let (at, mut best) = last_sturdy(&way, &sturdy)
        .ok_or_else(|| format!("{from}: nothing that it was shrunk to fails with most seeds"))?;
    // What is minimal by itself may not lose anything more; all else may.
    if at + 1 < way.len() || shrunk.state != State::Minimal {
        let seed = best.seed.unwrap_or(shrunk.seed);
        let request = Request {
            scenario: &best,
            seed,
            hands: &sturdy,
            ..request
        };
        let again = shrink::shrink(&request, &mut |_| true);
        best = again.map_err(not_shrunk)?.scenario;
    }
    let fails = sturdy.failing(&best);
    let script = finished(bug, &best);
    let unsound = unsound(&script, hands);
    if fails < MUST_FAIL || !unsound.is_empty() {
        return Err(format!(
            "{from}: {fails} seeds fail with the bug, and without it these: {unsound:?}"
        ));
    }
    let size = sizes(&script);
    let remarks = format!(
        "# Shows {bug} ({}), where it is planted: {fails} of the seeds 1 to 20 fail by {check}. Without it all pass.\n# Shrunk from {from} ({}), to {size}.\n",
        bug.entry().alias,
        shrunk.origin.size,
    );
    Ok(Script {
        text: remarks + &script.to_toml(),
        fails,
        size,
    })
}

/// As it is kept: no bug, no seed, and everybody's expectations.
fn finished(bug: Bug, best: &Scenario) -> Scenario {
    let mut script = planted(best, Planted::NONE);
    script.plan.name = scripts::name(bug);
    script.plan.about = format!("{}: {}.", bug.entry().alias, bug.entry().title);
    script.seed = None;
    script.expect = Expect {
        outcomes: vec![Vec::new(); script.plan.ops.len()],
        ..Expect::default()
    };
    script
}

/// The last of these that is sturdy, and its place.
fn last_sturdy(way: &[Scenario], sturdy: &Sturdy<'_>) -> Option<(usize, Scenario)> {
    let step = way.len().div_ceil(PLACES).max(1);
    let places = (0..way.len()).rev().step_by(step);
    let found = places
        .map(|at| (at, &way[at]))
        .find(|(_, scenario)| sturdy.is_sturdy(scenario));
    found.map(|(at, scenario)| (at, scenario.clone()))
}

/// The seeds with which a script does not pass by itself.
fn unsound(script: &Scenario, hands: &dyn Hands) -> Vec<u64> {
    let passes = |seed: &u64| hands.attempt(0, script, *seed, None) == Tried::Otherwise(None);
    SEEDS.filter(|seed| !passes(seed)).collect()
}

/// Hands to which only that fails which fails with most seeds.
struct Sturdy<'a> {
    hands: &'a dyn Hands,
    check: &'a str,
}

impl Sturdy<'_> {
    fn fails(&self, hand: usize, scenario: &Scenario, seed: u64) -> bool {
        let tried = self.hands.attempt(hand, scenario, seed, None);
        matches!(tried, Tried::Shows(shown) if shown.violation.check == self.check)
    }

    fn failing(&self, scenario: &Scenario) -> u64 {
        SEEDS.filter(|seed| self.fails(0, scenario, *seed)).count() as u64
    }

    fn is_sturdy(&self, scenario: &Scenario) -> bool {
        self.is_sturdy_by(0, scenario)
    }

    fn is_sturdy_by(&self, hand: usize, scenario: &Scenario) -> bool {
        let spare = SEEDS.count() as u64 - STURDY;
        let mut harmless = SEEDS.filter(|seed| !self.fails(hand, scenario, *seed));
        harmless.nth(spare as usize).is_none()
    }
}

impl Hands for Sturdy<'_> {
    fn count(&self) -> usize {
        self.hands.count()
    }

    fn attempt(
        &self,
        hand: usize,
        candidate: &Scenario,
        seed: u64,
        wanted: Option<&Fingerprint>,
    ) -> Tried {
        let tried = self.hands.attempt(hand, candidate, seed, None);
        let Tried::Shows(shown) = tried else {
            return tried;
        };
        if shown.violation.check != self.check || !self.is_sturdy_by(hand, candidate) {
            return Tried::Otherwise(None);
        }
        // By which way the check fails is all one.
        let fingerprint = wanted.cloned().unwrap_or_else(|| shown.fingerprint.clone());
        Tried::Shows(Box::new(Shown {
            fingerprint,
            ..*shown
        }))
    }

    fn is_over(&self) -> bool {
        self.hands.is_over()
    }
}
