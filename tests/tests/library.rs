//! Every scenario of the library, with a few seeds each: it ends as its file expects, every scripted trigger fires in at
//! least one run, and every check that the file names in `examine` examined something in each.

use std::collections::BTreeSet;
use zabsim_scenarios::format::Scenario;
use zabsim_scenarios::library::{Entry, LIBRARY};
use zabsim_scenarios::runner::run_scenario;
use zabsim_tests::spread;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;
const THREADS: usize = 2;

/// What is wrong with a scenario's runs, in words.
fn complaints(entry: &Entry) -> Vec<String> {
    let scenario = match entry.scenario() {
        Ok(scenario) => scenario,
        Err(error) => return vec![error.to_string()],
    };
    let mut wrong = Vec::new();
    let mut never_fired: Option<BTreeSet<String>> = None;
    for seed in SEEDS {
        let report = run_scenario(&scenario, entry.name, seed, false).report;
        for what in &report.unmet {
            let violation = report.violation.as_ref().map(|v| v.message.as_str());
            wrong.push(format!("{what} ({})", violation.unwrap_or("no violation")));
        }
        if !wrong.is_empty() {
            wrong.push(report.reproduce);
            return wrong;
        }
        let quiet: BTreeSet<String> = report.untriggered.into_iter().collect();
        never_fired = Some(match never_fired {
            None => quiet,
            Some(before) => before.intersection(&quiet).cloned().collect(),
        });
    }
    let never_fired = never_fired.into_iter().flatten();
    wrong.extend(never_fired.map(|label| format!("`{label}` never fired")));
    wrong
}

/// The halves are tests of their own, so that each stays short.
fn half(which: usize) -> Vec<&'static Entry> {
    let entries = LIBRARY.iter().enumerate();
    entries
        .filter(|(at, _)| at % 2 == which)
        .map(|(_, entry)| entry)
        .collect()
}

fn as_expected(entries: &[&Entry]) {
    let found = spread(entries, THREADS, |entry| complaints(entry));
    let wrong: Vec<String> = entries
        .iter()
        .zip(found)
        .filter(|(_, wrong)| !wrong.is_empty())
        .map(|(entry, wrong)| format!("{}: {}", entry.name, wrong.join("\n  ")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_other_scenario_ends_as_its_file_expects() {
    as_expected(&half(0));
}

#[test]
fn the_others_do_too() {
    as_expected(&half(1));
}

/// What the library must have at least: the schedules of the real bugs that the project promises to replay, each of which
/// is a script without random faults that names what it is about.
#[test]
fn the_schedules_of_real_bugs_are_scripts_and_name_their_checks() {
    for id in [
        "1154", "1282", "1558", "2325", "2832", "2845", "335", "3911", "4643", "4837", "962",
    ] {
        let name = format!("zookeeper-{id}");
        let entry = LIBRARY.iter().find(|entry| entry.name == name);
        let scenario = entry.expect(&name).scenario().expect(&name);
        assert!(scenario.random.is_none(), "{name} draws random faults");
        assert!(!scenario.expect.examine.is_empty(), "{name}");
        assert!(!scenario.plan.faults.is_empty(), "{name}");
        // A trigger that fired and an operation that was made are not yet a schedule that was reached.
        assert!(scenario.expect.every_trigger, "{name}");
        let outcomes = &scenario.expect.outcomes;
        assert!(outcomes.iter().all(|allowed| !allowed.is_empty()), "{name}");
    }
}

/// The scenario that the README shows is one: it can be copied into a file, and runs.
#[test]
fn the_scenario_of_the_readme_runs() {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```toml\n").skip(1);
    let texts: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .filter(|text| text.contains("servers = "))
        .collect();
    assert!(!texts.is_empty(), "the README shows no scenario");
    for text in texts {
        let scenario = Scenario::parse("README.md", text).unwrap_or_else(|error| panic!("{error}"));
        for seed in SEEDS {
            let report = run_scenario(&scenario, "README.md", seed, false).report;
            assert_eq!(report.unmet, Vec::<String>::new());
            assert_eq!(report.untriggered, Vec::<String>::new());
        }
    }
}

/// Runs that once failed, ours or a check's fault: each file repeats its own, and passes since.
#[test]
fn what_once_failed_passes() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/regressions");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("it is part of the source")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let wrong = spread(&files, THREADS, |file| {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).expect("readable");
        let scenario = Scenario::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        let seed = scenario.seed.expect("a regression names its seed");
        let report = run_scenario(&scenario, &name, seed, false).report;
        let wrong = &report.unmet;
        (!wrong.is_empty()).then(|| format!("{name}: {}", wrong.join("; ")))
    });
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
