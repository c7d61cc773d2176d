//! A run that was saved can be read, repeated, and run as the plain script that its seed made of the scenario.

use std::fs;
use std::path::Path;
use zabsim_tests::{Ran, zabsim};

/// Short, with random faults and with locks.
const SCENARIO: &str = "bit-rot";

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary directory's name is text")
}

fn saved(dir: &Path, with_trace: bool) -> Ran {
    let mut arguments = vec!["run", SCENARIO, "--seed", "7", "--out", text(dir)];
    if with_trace {
        arguments.push("--trace");
    }
    let ran = zabsim(arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_saved_run_repeats_to_the_last_bit() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().join("deep/er");
    saved(&dir, true);
    assert_eq!(
        names(&dir),
        ["history.jsonl", "run.json", "scenario.toml", "trace.txt"]
    );
    // The directory and the file mean the same.
    for path in [dir.clone(), dir.join("run.json")] {
        let ran = zabsim(["replay", text(&path)]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        assert!(ran.out.starts_with("same: "), "{}", ran.out);
    }
}

#[test]
fn a_person_can_read_what_was_saved() {
    let temp = tempfile::tempdir().expect("a directory");
    saved(temp.path(), false);
    assert_eq!(
        names(temp.path()),
        ["history.jsonl", "run.json", "scenario.toml"]
    );
    let run = fs::read_to_string(temp.path().join("run.json")).expect("run.json");
    assert!(run.lines().count() > 50, "run.json is on one line");
    let history = fs::read_to_string(temp.path().join("history.jsonl")).expect("history");
    for line in history.lines().take(500) {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(event["time_us"].is_u64() && event["type"].is_string());
    }
    let drawn = fs::read_to_string(temp.path().join("scenario.toml")).expect("scenario");
    assert!(drawn.contains("[[fault]]"), "{drawn}");
    assert!(!drawn.contains("[random]"), "drawn faults are a script");
}

#[test]
fn the_scenario_as_drawn_is_the_same_run() {
    let temp = tempfile::tempdir().expect("a directory");
    for scenario in ["bit-rot", "standard"] {
        let dir = temp.path().join(scenario);
        let out = text(&dir);
        let first = zabsim(["run", scenario, "--seed", "9", "--out", out, "--json"]);
        let drawn = dir.join("scenario.toml");
        let second = zabsim(["run", text(&drawn), "--seed", "9", "--json"]);
        let part = |ran: &Ran, key: &str| {
            let value: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
            value[key].clone()
        };
        for key in ["verdict", "client_ops", "elections", "trace_hash"] {
            assert_eq!(part(&first, key), part(&second, key), "{scenario}: {key}");
        }
        assert_eq!((first.code, second.code), (0, 0));
    }
}

/// Changes a saved hash; a run that comes out differently looks like that.
fn tamper(dir: &Path) {
    let file = dir.join("run.json");
    let run = fs::read_to_string(&file).expect("run.json");
    let mut value: serde_json::Value = serde_json::from_str(&run).expect("JSON");
    value["trace_hash"] = "00000000deadbeef".into();
    fs::write(&file, value.to_string()).expect("writes");
}

/// A long run's `run.json` is larger than any scenario may be.
#[test]
fn the_run_of_many_megabytes_is_read_too() {
    let temp = tempfile::tempdir().expect("a directory");
    saved(temp.path(), false);
    let file = temp.path().join("run.json");
    let run = fs::read_to_string(&file).expect("run.json");
    let mut value: serde_json::Value = serde_json::from_str(&run).expect("JSON");
    let timeline = value["timeline"].as_array_mut().expect("a list");
    let some = timeline.clone();
    while timeline.len() < 60_000 {
        timeline.extend_from_slice(&some);
    }
    let text_of_it = value.to_string();
    assert!(text_of_it.len() > 4 << 20, "{} bytes", text_of_it.len());
    fs::write(&file, text_of_it).expect("writes");
    let ran = zabsim(["replay", text(temp.path())]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn another_hash_is_exit_code_4() {
    let temp = tempfile::tempdir().expect("a directory");
    saved(temp.path(), false);
    tamper(temp.path());
    let ran = zabsim(["replay", text(temp.path())]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.out.contains("DIVERGED"), "{}", ran.out);
    assert!(ran.out.contains("00000000deadbeef"), "{}", ran.out);
    assert!(ran.out.contains("--trace"), "{}", ran.out);
}

#[test]
fn where_a_trace_was_kept_the_first_event_that_differs_is_named() {
    let temp = tempfile::tempdir().expect("a directory");
    saved(temp.path(), true);
    tamper(temp.path());
    let file = temp.path().join("trace.txt");
    let trace = fs::read_to_string(&file).expect("a trace");
    let mut lines: Vec<&str> = trace.lines().collect();
    let (at, ours) = (1_000, "   0.000000 s1  something else");
    let theirs = lines[at];
    lines[at] = ours;
    fs::write(&file, lines.join("\n")).expect("writes");

    let ran = zabsim(["replay", text(temp.path())]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let told = format!("event {}:\n  saved  {ours}\n  now    {theirs}\n", at + 1);
    assert!(ran.out.contains(&told), "{}", ran.out);
}
