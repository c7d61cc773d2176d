//! `zabsim shrink` makes of a run that failed the least that fails in the same way, and `zabsim adopt` keeps it. The failure
//! is an ordinary one: more disks are wiped than any protocol survives, in the middle of random faults and busy clients.

use std::fs;
use std::path::{Path, PathBuf};
use zabsim_scenarios::fingerprint::Fingerprint;
use zabsim_scenarios::format::Scenario;
use zabsim_scenarios::runner::run_scenario;
use zabsim_scenarios::shrink::{self, Request, SEEDS, Shrunk, State, Threads};
use zabsim_tests::{Ran, zabsim};

const LOSS: &str = r#"
name = "loss"
servers = 5
observers = 1
clients = 4
duration = "20s"

[[workload]]
kind = "mixed"

[[workload]]
kind = "lock"
clients = [2, 3]

[random]
profile = "standard"

[[fault]]
label = "first"
at = "9s"
do = { wipe = "random-2" }
for = "2s"

[[fault]]
after = "first"
delay = "100ms"
do = { wipe = ["majority", "minority"] }

[expect]
data_loss = true
"#;

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary directory's name is text")
}

struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let temp = tempfile::tempdir().expect("a directory");
        fs::write(temp.path().join("loss.toml"), LOSS).expect("writable");
        Place { temp }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn call(&self, words: &str) -> Ran {
        // A word with a dot or a slash in it is a file here.
        let place = |word: &str| match word.contains('.') || word.contains('/') {
            true => text(&self.file(word)).to_string(),
            false => word.to_string(),
        };
        zabsim(words.split(' ').map(place))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect(name)
    }
}

fn shrunk(scenario: &Scenario, budget: u64, threads: usize) -> Shrunk {
    let request = Request {
        scenario,
        named: "loss",
        seed: 1,
        budget,
        hands: &Threads(threads),
    };
    shrink::shrink(&request, &mut |_| true).expect("it fails")
}

fn loss() -> Scenario {
    Scenario::parse("loss.toml", LOSS).unwrap_or_else(|error| panic!("{error}"))
}

fn fingerprint(scenario: &Scenario, seed: u64) -> Option<Fingerprint> {
    Fingerprint::of(&run_scenario(scenario, "shrunk", seed, false).report)
}

#[test]
fn what_remains_is_what_the_failure_needs() {
    let shrunk = shrunk(&loss(), shrink::BUDGET, 2);
    assert_eq!(shrunk.state, State::Minimal, "{} runs", shrunk.runs);
    let plan = &shrunk.scenario.plan;
    let servers = plan.ensemble.voters + plan.ensemble.observers;
    // Whoever is alone and has lost its disk may never vote again.
    assert_eq!(
        (servers, plan.clients, plan.faults.len(), plan.ops.len()),
        (1, 0, 1, 0)
    );
    assert!(shrunk.scenario.workloads.is_empty() && shrunk.scenario.random.is_none());
    assert_eq!(
        fingerprint(&shrunk.scenario, shrunk.seed),
        Some(shrunk.fingerprint.clone())
    );
    // Its fault is what the failure needs.
    let mut without = shrunk.scenario.clone();
    without.plan.faults.clear();
    for seed in 1..=SEEDS {
        assert_eq!(fingerprint(&without, seed), None);
    }
}

#[test]
fn the_result_depends_on_the_runs_allowed_and_not_on_the_threads() {
    let loss = loss();
    for budget in [1, 30, shrink::BUDGET] {
        let one = shrunk(&loss, budget, 1);
        let many = shrunk(&loss, budget, 5);
        assert_eq!(shrink::text(&one), shrink::text(&many), "{budget} runs");
        assert!(one.runs <= budget);
        let state = match budget {
            shrink::BUDGET => State::Minimal,
            _ => State::Spent,
        };
        assert_eq!(one.state, state, "{budget} runs");
        // However far it came, it fails.
        assert_eq!(
            fingerprint(&one.scenario, one.seed),
            Some(one.fingerprint.clone())
        );
    }
}

#[test]
fn whoever_stops_it_has_the_best_so_far() {
    let loss = loss();
    let request = Request {
        scenario: &loss,
        named: "loss",
        seed: 1,
        budget: shrink::BUDGET,
        hands: &Threads(2),
    };
    let mut seen = Vec::new();
    let stopped = shrink::shrink(&request, &mut |best| {
        seen.push(shrink::text(best));
        seen.len() < 4
    });
    let stopped = stopped.expect("it fails");
    assert_eq!(seen.len(), 4);
    assert_eq!(seen.last(), Some(&shrink::text(&stopped)));
    assert_eq!(stopped.state, State::UnderWay);
    assert!(fingerprint(&stopped.scenario, stopped.seed).is_some());
}

#[test]
fn a_saved_run_is_shrunk_beside_it_and_adopted() {
    let place = Place::new();
    let ran = place.call("run loss.toml --seed 3 --out ./saved");
    assert_eq!(ran.code, 3, "{ran:?}");
    let ran = place.call("adopt ./saved --into ./");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("zabsim shrink"), "{}", ran.err);

    let ran = place.call("shrink ./saved");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("1-minimal"), "{}", ran.out);
    let minimal = place.read("saved/minimal.toml");
    assert!(
        minimal.starts_with("# Shows a violation of liveness"),
        "{minimal}"
    );
    // The file says all that is needed to repeat it, as often as one likes.
    let failures: Vec<Ran> = (0..3)
        .map(|_| place.call("run saved/minimal.toml --json"))
        .collect();
    assert!(failures.iter().all(|ran| ran.code == 3), "{failures:?}");

    // It is not written over unasked.
    let ran = place.call("shrink ./saved");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("--force"), "{}", ran.err);

    fs::create_dir(place.file("regressions")).expect("writable");
    for again in 0..2 {
        let ran = place.call("adopt ./saved --name wiped --into ./regressions");
        assert_eq!(ran.code, 0, "{again}: {ran:?}");
    }
    let adopted = place.read("regressions/wiped.toml");
    let scenario = Scenario::parse("wiped.toml", &adopted).expect("a scenario");
    assert_eq!(scenario.plan.name, "wiped");
    assert!(adopted.contains("# Fingerprint "), "{adopted}");
    assert_eq!(
        scenario.expect.verdict.word(),
        "pass",
        "once it is mended it passes"
    );
    assert!(fingerprint(&scenario, scenario.seed.expect("it names its seed")).is_some());

    // Another one of that name does not take its place.
    let ran = place.call("shrink loss.toml --seed 5 --budget 5 --out other.toml");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = place.call("adopt other.toml --name wiped --into ./regressions");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("another regression"), "{}", ran.err);
    assert_eq!(place.read("regressions/wiped.toml"), adopted);
}

#[test]
fn what_cannot_be_shrunk_is_refused_with_the_reason() {
    let place = Place::new();
    let ran = place.call("run loss.toml --seed 3 --out ./saved");
    assert_eq!(ran.code, 3, "{ran:?}");
    let run = place.read("saved/run.json");
    let edited = |name: &str, from: &str, to: &str| {
        assert!(run.contains(from), "{from}");
        fs::write(place.file(name), run.replacen(from, to, 1)).expect("writable");
    };
    let report: serde_json::Value = serde_json::from_str(&run).expect("JSON");
    let said = |key: &str| report[key].as_str().expect(key).to_string();
    edited(
        "version.json",
        &format!("\"version\": \"{}\"", said("version")),
        "\"version\": \"0.0.1\"",
    );
    edited("hash.json", &said("trace_hash"), "0123456789abcdef");
    fs::write(place.file("cut.json"), &run[..run.len() / 2]).expect("writable");
    for (words, reason) in [
        ("shrink leader-crash --seed 1", "it passes"),
        ("shrink no-such-scenario", "no scenario of that name"),
        ("shrink none.json", "cannot read it"),
        ("shrink cut.json", "cut off"),
        ("shrink version.json", "saved by version 0.0.1"),
        ("shrink hash.json", "trace hash 0123456789abcdef"),
        ("shrink ./saved --seed 4", "which has its seed"),
        ("shrink loss.toml --seed x", "x"),
        ("shrink loss.toml --budget 0", "budget"),
        ("shrink loss.toml --out none/x.toml", "cannot write"),
        ("shrink loss.toml --out loss.toml", "already"),
        ("adopt none.toml", "cannot read it"),
        ("adopt loss.toml", "names no seed"),
        ("adopt loss.toml --seed 3 --into none/", "no directory"),
        ("adopt loss.toml --seed 3 --into ./ --name a;b", "no name"),
    ] {
        let ran = place.call(words);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{words}: {ran:?}");
        assert!(ran.err.contains(reason), "{words}: {}", ran.err);
    }
    assert_eq!(place.read("loss.toml"), LOSS);
}

#[test]
fn what_does_not_show_what_it_says_is_not_adopted() {
    let place = Place::new();
    let ran = place.call("shrink loss.toml --seed 1 --out minimal.toml");
    assert_eq!(ran.code, 0, "{ran:?}");
    let minimal = place.read("minimal.toml");
    let fingerprint = minimal
        .lines()
        .find_map(|line| line.strip_prefix("# Fingerprint "));
    let other = minimal.replacen(fingerprint.expect("it is named"), "0123456789abcdef.", 1);
    fs::write(place.file("other.toml"), other).expect("writable");
    let mended = minimal.replacen("wipe", "crash", 1);
    fs::write(place.file("mended.toml"), mended).expect("writable");
    for (file, reason) in [
        ("other.toml", "says that it shows fingerprint"),
        ("mended.toml", "passes"),
    ] {
        let ran = place.call(&format!("adopt {file} --into ./"));
        assert_eq!(ran.code, 2, "{file}: {ran:?}");
        assert!(ran.err.contains(reason), "{file}: {}", ran.err);
    }
}
