//! A run is a pure function of the source, the scenario and the seed: the same pair gives the same trace hash again, beside
//! other runs, in another process, and without madsim. (Debug against release is for CI, which has both: `.ci/run`.)
//!
//! `ZABSIM_TEST_PAIRS=200` in the environment compares that many pairs in each of these ways (`.ci/nightly`).

use std::process::Command;
use std::sync::OnceLock;
use zabsim::{RunOptions, Runtime};
use zabsim_scenarios::library::{Entry, LIBRARY};
use zabsim_scenarios::runner::run_scenario;
use zabsim_scenarios::workload;
use zabsim_tests::spread;

/// A scenario of the library and a seed.
type Pair = (&'static Entry, u64);

/// The variable that asks for more pairs than the few that a test run has time for: at least so many.
const PAIRS: &str = "ZABSIM_TEST_PAIRS";

/// Every scenario once, and some of them with another seed; or as many as are asked for, evenly over the library.
#[expect(
    clippy::disallowed_methods,
    reason = "how much to test is asked of the environment, before any run"
)]
fn pairs() -> Vec<Pair> {
    if let Ok(wanted) = std::env::var(PAIRS) {
        let wanted: usize = wanted.parse().expect("a number of pairs");
        let seeds = 1..=wanted.div_ceil(LIBRARY.len()) as u64;
        return seeds
            .flat_map(|seed| LIBRARY.iter().map(move |entry| (entry, seed)))
            .collect();
    }
    let first = LIBRARY.iter().map(|entry| (entry, 11));
    let again = LIBRARY.iter().step_by(6).map(|entry| (entry, 12));
    first.chain(again).collect()
}

fn hash((entry, seed): &Pair) -> String {
    let scenario = entry.scenario().expect("the library is right");
    let report = run_scenario(&scenario, entry.name, *seed, false).report;
    line(entry, *seed, &report.trace_hash)
}

fn line(entry: &Entry, seed: u64, hash: &str) -> String {
    format!("{} {seed} {hash}", entry.name)
}

/// The hashes of all pairs, one run after the other.
fn alone() -> &'static [String] {
    static HASHES: OnceLock<Vec<String>> = OnceLock::new();
    HASHES.get_or_init(|| pairs().iter().map(hash).collect())
}

#[test]
fn there_are_pairs_enough_and_no_two_runs_are_the_same() {
    assert!(alone().len() >= 40, "{}", alone().len());
    let hashes = alone()
        .iter()
        .filter_map(|line| line.split(' ').next_back());
    let distinct: std::collections::BTreeSet<&str> = hashes.collect();
    assert_eq!(distinct.len(), alone().len(), "a hash that sees nothing");
}

#[test]
fn the_same_again_in_one_process() {
    let again: Vec<String> = pairs().iter().map(hash).collect();
    assert_eq!(again, alone());
}

#[test]
fn the_same_again_with_runs_side_by_side() {
    assert_eq!(spread(&pairs(), 3, hash), alone());
}

#[test]
fn the_same_in_another_process() {
    let this = std::env::current_exe().expect("this test");
    let output = Command::new(this)
        .args(["--exact", "print_hashes", "--ignored", "--nocapture"])
        .output()
        .expect("this test runs again");
    let out = String::from_utf8(output.stdout).expect("text");
    let theirs: Vec<&str> = out.lines().filter_map(|l| l.strip_prefix(MARK)).collect();
    assert_eq!(theirs, alone(), "{out}");
}

/// Before the lines that the other process prints, among those of the test harness.
const MARK: &str = "hash: ";

#[test]
#[ignore = "the other process of `the_same_in_another_process`"]
fn print_hashes() {
    println!();
    for pair in &pairs() {
        println!("{MARK}{}", hash(pair));
    }
}

#[test]
fn the_same_without_madsim() {
    let bare = |(entry, seed): &Pair| {
        let scenario = entry.scenario().expect("the library is right");
        let drawn = scenario.draw(*seed);
        let plan = workload::allowed(&drawn.workloads, drawn.plan);
        let programs = workload::programs(&drawn.workloads, &drawn.holds, &plan);
        let options = RunOptions {
            runtime: Runtime::Bare,
            ..RunOptions::default()
        };
        let report = zabsim::run(&plan, *seed, programs, options).report;
        line(entry, *seed, &report.trace_hash)
    };
    assert_eq!(spread(&pairs(), 2, bare), alone());
}

/// Not only the hash: everything that a run says of itself and that its clients saw, but for the time that it took.
#[test]
fn the_report_and_the_history_are_the_same_too() {
    for entry in LIBRARY.iter().step_by(5) {
        let scenario = entry.scenario().expect("the library is right");
        let again = || {
            let mut finished = run_scenario(&scenario, entry.name, 5, true);
            finished.report.wall_ms = 0.0;
            finished.report.checks_share = 0.0;
            finished.report.history_share = 0.0;
            (finished.report, finished.history, finished.trace)
        };
        let (first, second) = (again(), again());
        assert_eq!(first.0, second.0, "{}", entry.name);
        assert!(first.1 == second.1, "{}: histories differ", entry.name);
        assert!(first.2 == second.2, "{}: traces differ", entry.name);
    }
}
