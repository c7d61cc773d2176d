//! The scripts under `scenarios/bugs/`: for a bug a scenario that fails with it, by the check that the table names, for most seeds,
//! and passes without it for all of them. A script knows nothing of the bug: it is planted by whoever runs it.

use super::results::Results;
use crate::format::Scenario;
use crate::library::{self, GENERATOR};
use crate::runner::run_scenario;
use crate::spread::spread;
use std::fmt;
use std::ops::RangeInclusive;
use zab::{Bug, Planted};
use zabsim_types::run::{RunReport, Verdict};

include!(concat!(env!("OUT_DIR"), "/bug_scripts.rs"));

/// The directory of the scripts, from the top of the project.
pub(crate) const DIRECTORY: &str = "scenarios/bugs";

/// The seeds that a script is held to.
pub(crate) const SEEDS: RangeInclusive<u64> = 1..=20;

/// Of them, how many must fail with the bug.
pub(crate) const MUST_FAIL: u64 = 15;

/// The name of a bug's script, and of its file without `.toml`: no file's name has a `#` in it that a shell or an address reads.
pub(crate) fn name(bug: Bug) -> String {
    bug.entry().id.replace('#', "-")
}

/// The script of a bug, from the top of the project.
pub(crate) fn path(bug: Bug) -> String {
    format!("{DIRECTORY}/{}.toml", name(bug))
}

/// A bug's script, as it came with the program.
pub(crate) fn of(bug: Bug) -> Option<Result<Scenario, String>> {
    let named = name(bug);
    let (_, text) = SCRIPTS.iter().find(|(name, _)| *name == named)?;
    let scenario = Scenario::parse(&path(bug), text);
    Some(scenario.map_err(|error| error.to_string()))
}

/// The scripts that belong to no bug.
pub(crate) fn strangers() -> Vec<&'static str> {
    let names: Vec<String> = Bug::ALL.iter().map(|bug| name(*bug)).collect();
    let all = SCRIPTS.iter().map(|(name, _)| *name);
    all.filter(|script| names.iter().all(|name| name != script))
        .collect()
}

/// The scenario with these bugs and no others.
pub(crate) fn planted(scenario: &Scenario, bugs: Planted) -> Scenario {
    let mut planted = scenario.clone();
    planted.plan.bugs = bugs;
    planted
}

/// What a bug's script does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Held {
    /// Runs with the bug.
    pub(crate) with: u64,
    /// Of those, the ones that failed by the check.
    pub(crate) by_check: u64,
    /// Those of them that never came by the switch.
    pub(crate) unasked: Vec<u64>,
    /// What else they came to, in words.
    pub(crate) otherwise: Vec<String>,
    /// Runs without the bug that were not as expected, in words.
    pub(crate) unsound: Vec<String>,
}

/// Runs a script with its bug for some seeds, and without it for some.
pub(crate) fn hold(
    bug: Bug,
    script: &Scenario,
    check: &str,
    with: RangeInclusive<u64>,
    without: RangeInclusive<u64>,
    jobs: usize,
) -> Held {
    let mut runs: Vec<(u64, bool)> = with.map(|seed| (seed, true)).collect();
    runs.extend(without.map(|seed| (seed, false)));
    let (sick, sound) = (
        planted(script, Planted::of(&[bug])),
        planted(script, Planted::NONE),
    );
    let reports = spread(&runs, jobs, |(seed, with)| {
        let scenario = if *with { &sick } else { &sound };
        run_scenario(scenario, &path(bug), *seed, false).report
    });
    let mut held = Held::default();
    for ((seed, with), report) in runs.iter().zip(reports) {
        held.take(*seed, *with, check, bug, &report);
    }
    held
}

impl Held {
    fn take(&mut self, seed: u64, with: bool, check: &str, bug: Bug, report: &RunReport) {
        let said = || match &report.violation {
            Some(violation) => format!("seed {seed}: {}: {}", violation.check, violation.message),
            None => format!("seed {seed}: {}", report.verdict.word()),
        };
        if !with {
            if !report.as_expected {
                let unmet = report.unmet.join("; ");
                self.unsound.push(format!("{}; {unmet}", said()));
            }
            return;
        }
        self.with += 1;
        let shown = report.violation.as_ref().map(|shown| &*shown.check);
        let is_shown = report.verdict != Verdict::Pass && shown == Some(check);
        match is_shown {
            true => self.by_check += 1,
            false => self.otherwise.push(said()),
        }
        if is_shown && !report.consulted.contains(&bug.to_string()) {
            self.unasked.push(seed);
        }
    }

    /// What is wrong with the script, where so many of its runs with the bug must fail.
    pub(crate) fn wrong(&self, check: &str, must_fail: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.by_check < must_fail {
            wrong.push(format!(
                "with the bug, {} of {} seeds fail by {check}, and {must_fail} must: {}",
                self.by_check,
                self.with,
                self.otherwise.join("; ")
            ));
        }
        if !self.unasked.is_empty() {
            wrong.push(format!(
                "it fails without coming by the bug's switch, with the seeds {:?}",
                self.unasked
            ));
        }
        if !self.unsound.is_empty() {
            wrong.push(format!("without the bug: {}", self.unsound.join("; ")));
        }
        wrong
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} seeds fail by it", self.by_check, self.with)
    }
}

/// Runs that look for a switch until one comes by it.
const LOOKING_RUNS: u64 = 400;

/// For a bug without a script: whether any run of the generator comes by its switch.
pub(crate) fn is_asked(bug: Bug) -> Result<bool, String> {
    let swarm = library::find(GENERATOR).map_err(|error| error.to_string())?;
    let swarm = planted(&swarm, Planted::of(&[bug]));
    let mut seeds = 1..=LOOKING_RUNS;
    Ok(seeds.any(|seed| {
        let report = run_scenario(&swarm, GENERATOR, seed, false).report;
        report.consulted.contains(&bug.to_string())
    }))
}

/// The check that a bug's script must fail by.
pub(crate) fn check_of(bug: Bug, results: &Results) -> Result<String, String> {
    let found = results.of(bug);
    let nowhere = || format!("{bug}: the results do not say which check its script fails by");
    found.check.ok_or_else(nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::museum::results::Results;

    #[test]
    fn scripts_belong_to_bugs_are_named_like_them_and_plant_nothing() {
        assert_eq!(strangers(), Vec::<&str>::new());
        let results = Results::embedded().expect("right");
        for bug in Bug::ALL {
            let said = results.of(*bug).scenario;
            let Some(script) = of(*bug) else {
                assert_eq!(
                    said, None,
                    "{bug}: the results name a script that is not there"
                );
                continue;
            };
            let script = script.unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(
                said,
                Some(path(*bug)),
                "{bug}: the results do not name its script"
            );
            assert_eq!(script.plan.name, name(*bug));
            assert!(
                script.plan.bugs.is_empty(),
                "{bug}: its script plants something"
            );
            assert!(
                script.plan.about.ends_with('.'),
                "{bug}: `about` is a sentence"
            );
            check_of(*bug, &results).unwrap_or_else(|why| panic!("{why}"));
        }
    }

    /// The scenario of another bug, and a switch that is off, are both found out.
    #[test]
    fn a_script_that_shows_nothing_is_wrong() {
        let script = library::find("zookeeper-4643").expect("in the library");
        let check = "durability-before-ack";
        let held = |bug| hold(bug, &script, check, 1..=2, 1..=1, 1);
        let right = held(Bug::EpochBeforeHistory);
        assert_eq!(right.wrong(check, 2), Vec::<String>::new(), "{right:?}");
        let wrong = held(Bug::SortByFullName).wrong(check, 1);
        assert!(wrong[0].contains("0 of 2 seeds fail by"), "{wrong:?}");
        let wrong = right.wrong(check, 3);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        let failing = planted(&script, Planted::of(&[Bug::EpochBeforeHistory]));
        let report = run_scenario(&failing, "x", 1, false).report;
        let mut held = Held::default();
        held.take(1, true, check, Bug::SortByFullName, &report);
        held.take(2, false, check, Bug::SortByFullName, &report);
        let wrong = held.wrong(check, 1);
        assert!(
            wrong[0].contains("without coming by the bug's switch"),
            "{wrong:?}"
        );
        assert!(wrong[1].starts_with("without the bug: seed 2"), "{wrong:?}");
    }
}
