//! `zabsim check` on histories of znodes: those of real servers, those of our own runs, and both spoilt.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use zabsim_scenarios::library::LIBRARY;
use zabsim_tests::{Ran, spread, zabsim};

const RECORDED: [&str; 6] = [
    "r01-seq-1c-1n",
    "r02-calm-5c-1n",
    "r04-calm-10c-5n-pipelined",
    "r05-killleader-10c-3n",
    "r08-followers-10c-3n",
    "r12-restart-5c-1n",
];

fn recorded(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/data/histories");
    data.join(format!("{name}.jsonl.gz"))
}

fn check(file: &Path, more: &[&str]) -> Ran {
    let file = file.to_str().expect("the name is text");
    zabsim([&["check", file], more].concat())
}

/// A run's directory, with its history.
fn run_of(scenario: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("run");
    let out = out.to_str().expect("the name is text");
    let ran = zabsim(["run", scenario, "--seed", "1", "--out", out]);
    assert_eq!(ran.code, 0, "{scenario}: {ran:?}");
    dir
}

fn history_of(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("run/history.jsonl")
}

#[test]
fn histories_of_real_servers_are_understood_and_legal() {
    for name in RECORDED {
        let ran = check(&recorded(name), &[]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(ran.out.contains("znodes, recorded from "), "{name}");
        assert!(ran.out.contains("  legal: all "), "{name}: {}", ran.out);
    }
    let ran = check(&recorded("r05-killleader-10c-3n"), &[]);
    for part in [
        "znodes, recorded from 3 servers of version 3.9.5\n",
        "8041 operations of 13 clients in 13 sessions over 53.",
        "8011 answered, 14 updates of unknown outcome",
        "43 connections made, 30 lost",
        "3 × kill",
        "of 14 updates of unknown outcome 1 need have happened",
    ] {
        assert!(ran.out.contains(part), "`{part}` is not in: {}", ran.out);
    }
}

/// What every run of the library saved is legal, by its log and also without it.
#[test]
fn the_histories_of_our_own_runs_are_legal() {
    let names: Vec<&str> = LIBRARY.iter().map(|entry| entry.name).collect();
    assert!(names.len() > 36);
    spread(&names, 2, |name| {
        let dir = run_of(name);
        for (more, saved) in [
            (&["--json"][..], true),
            (&["--json", "--without-log"], false),
        ] {
            let ran = check(&history_of(&dir), more);
            assert_eq!(ran.code, 0, "{name}: {ran:?}");
            let value: Value = serde_json::from_str(&ran.out).expect("JSON");
            let file = &value["files"][0];
            assert_eq!(file["verdict"], "pass", "{name}");
            assert_eq!(file["model"], "znode");
            assert_eq!(file["format"], "a run of zabsim");
            assert_eq!(file["log"]["saved"], saved, "{name}");
            let of_checks = file["checks"].as_array().expect("a list");
            assert!(of_checks.iter().all(|check| check["verdict"] == "pass"));
            assert_eq!(file["longest_prefix"], file["operations"]["answered"]);
        }
    });
}

fn is_txn(line: &str) -> bool {
    line.contains("\"type\":\"txn\"")
}

/// A saved log is not believed: what is wrong in it is said, also where another would explain what the clients saw.
#[test]
fn a_saved_log_is_replayed_and_not_believed() {
    let dir = run_of("leader-crash");
    let file = history_of(&dir);
    let ran = check(&file, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = " follow from the log that was saved with them, of ";
    assert!(ran.out.contains(said), "{}", ran.out);
    let text = fs::read_to_string(&file).expect("it was saved");
    let of_session = |line: &&str| is_txn(line) && line.contains("\"timeout_ms\":");
    let line = text.lines().find(of_session).expect("a session was made");
    let mut txn: Value = serde_json::from_str(line).expect("JSON");
    txn["committed"]["what"]["timeout_ms"] = Value::from(7);
    fs::write(&file, text.replace(line, &txn.to_string())).expect("it can be written");
    let ran = check(&file, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = "NOT LEGAL (sessions): session 0x";
    assert!(ran.out.contains(said), "{}", ran.out);
    assert!(ran.out.contains("with a timeout of 7 ms"), "{}", ran.out);
    let ran = check(&file, &["--without-log"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(" follow from one log, of "), "{}", ran.out);
}

/// The same history with the first read of a later version than that spoilt.
fn spoilt(history: &Path) -> (tempfile::TempDir, PathBuf, usize) {
    let text = fs::read_to_string(history).expect("it was saved");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let reads = |line: &String| {
        line.contains("\"type\":\"ok\"")
            && line.contains("\"data\":")
            && line.contains("\"version\":3,")
    };
    let at = lines
        .iter()
        .position(reads)
        .expect("something was set and read");
    lines[at] = lines[at].replace("\"version\":3,", "\"version\":2,");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("spoilt.jsonl");
    fs::write(&path, lines.join("\n") + "\n").expect("writes");
    (dir, path, at + 1)
}

#[test]
fn what_cannot_be_is_shown_with_what_should_have_been() {
    let dir = run_of("standard");
    let (_dir, path, line) = spoilt(&history_of(&dir));
    let ran = check(&path, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in [
        &format!("  NOT LEGAL (snapshot-reads): the read on line {line} was answered at ⟨"),
        &format!(", {line}: client "),
        "{ get = \"/",
        "    version: 2; the model says 3\n",
        " answers, those before it, contradict nothing.",
    ] {
        assert!(ran.out.contains(part), "`{part}` is not in: {}", ran.out);
    }
    let ran = check(&path, &["--json", "--model", "znode"]);
    assert_eq!(ran.code, 1);
    let value: Value = serde_json::from_str(&ran.out).expect("JSON");
    let file = &value["files"][0];
    assert_eq!(file["verdict"], "fail");
    assert_eq!(file["check"], "snapshot-reads");
    let of_checks = file["checks"].as_array().expect("a list");
    for check in of_checks {
        let due = match check["name"].as_str().expect("text") {
            "write-order" | "snapshot-reads" => "fail",
            _ => "undecided",
        };
        assert_eq!(check["verdict"], due, "no log explains all: {check}");
    }
    assert_eq!(file["operation"]["answer_line"], line);
    assert!(file["operation"]["line"].as_u64() < Some(line as u64));
    let differs = &file["differences"][0];
    assert_eq!(
        (&differs["what"], &differs["answered"], &differs["expected"]),
        (&"version".into(), &"2".into(), &"3".into())
    );
    let parts = file["contradiction"].as_array().expect("a list");
    assert_eq!(parts.len(), 2, "the read, and who set what it read");
    assert!(
        parts[0]["asked"]
            .as_str()
            .expect("text")
            .starts_with("{ set = ")
    );
    let prefix = file["longest_prefix"].as_u64().expect("a number");
    let answered = file["operations"]["answered"].as_u64().expect("a number");
    assert!(0 < prefix && prefix < answered);
}

#[test]
fn a_spent_effort_says_where_it_got_to() {
    let dir = run_of("session-expiry-storm");
    let ran = check(&history_of(&dir), &["--effort", "0", "--without-log"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(
        ran.out.contains("UNDECIDED: the effort was spent on "),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("a log was found up to ⟨1,"), "{}", ran.out);
    let ran = check(
        &history_of(&dir),
        &["--effort", "0", "--json", "--without-log"],
    );
    let value: Value = serde_json::from_str(&ran.out).expect("JSON");
    let file = &value["files"][0];
    assert_eq!((ran.code, &file["verdict"]), (6, &"undecided".into()));
    for check in file["checks"].as_array().expect("a list") {
        assert_eq!(check["verdict"], "undecided", "nothing is proven: {check}");
    }
}

#[test]
fn other_models_are_not_taken_for_znodes_nor_the_other_way_round() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("register.edn");
    fs::write(&path, "{:process 0, :type :invoke, :f :read, :value nil}\n").expect("writes");
    let ran = check(&path, &["--model", "znode"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("register.edn:1: this is no history"),
        "{}",
        ran.err
    );
    let ran = check(&recorded(RECORDED[0]), &["--model", "register"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// A history of ours shows where it ends: cut at a line's end, or with a line taken out, it is no history.
#[test]
fn a_run_that_was_cut_off_is_refused() {
    let dir = run_of("leader-crash");
    let file = history_of(&dir);
    let ran = check(&file, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = "faults are not noted here (run.json has them)";
    assert!(ran.out.contains(said), "{}", ran.out);
    let text = fs::read_to_string(&file).expect("it was saved");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let count = lines.len();
    for kept in [1, count / 2, count - 1] {
        fs::write(&file, lines[..kept].concat()).expect("it can be written");
        let ran = check(&file, &[]);
        assert_eq!(ran.code, 2, "{ran:?}");
        let said = format!(
            "history.jsonl:{}: the file ends without its last line (of type `end`",
            kept + 1
        );
        assert!(ran.err.contains(&said), "{}", ran.err);
    }
    // A line that was about nothing that others speak of.
    let is_free = |line: &&str| line.contains("\"type\":\"session\"");
    let free = lines.iter().position(is_free).expect("sessions");
    let without = [&lines[..free], &lines[free + 1..]].concat().concat();
    fs::write(&file, without).expect("it can be written");
    let ran = check(&file, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    // The first line and the last are none, nor are those of the log.
    let log = lines.iter().filter(|line| is_txn(line)).count();
    let events = count - 2 - log;
    let said = format!(
        "the last line counts {events} events, and {} come before it",
        events - 1
    );
    assert!(ran.err.contains(&said), "{}", ran.err);
    let first = lines.iter().position(|line| is_txn(line)).expect("a log");
    let without = [&lines[..first], &lines[first + 1..]].concat().concat();
    fs::write(&file, without).expect("it can be written");
    let ran = check(&file, &["--without-log"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let said = format!(
        "the last line counts {log} transactions, and {} come before it",
        log - 1
    );
    assert!(ran.err.contains(&said), "{}", ran.err);
}

/// A history that is cut off says so, with the line.
#[test]
fn a_history_that_is_cut_off_is_refused() {
    let whole = fs::read(recorded(RECORDED[0])).expect("it is part of the sources");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("half.jsonl.gz");
    fs::write(&path, &whole[..whole.len() / 2]).expect("writes");
    let ran = check(&path, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("half.jsonl.gz:"), "{}", ran.err);
    assert!(
        ran.err
            .contains(": the file ends badly here: it was cut off"),
        "{}",
        ran.err
    );
}

/// From a pipe, which can be read once only, it says the same.
#[cfg(unix)]
#[test]
fn a_pipe_is_read_as_a_file_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let of_file = check(&recorded(RECORDED[0]), &["--json"]);
    let of_pipe = std::thread::scope(|scope| {
        let writer = scope.spawn(|| fs::copy(recorded(RECORDED[0]), &pipe).expect("it is read"));
        let ran = check(&pipe, &["--json"]);
        writer.join().expect("it writes");
        ran
    });
    let plain = |ran: &Ran| {
        assert_eq!(ran.code, 0, "{ran:?}");
        let mut value: Value = serde_json::from_str(&ran.out).expect("JSON");
        let file = value["files"][0].as_object_mut().expect("a file");
        assert!(file.remove("file").is_some() && file.remove("wall_ms").is_some());
        value
    };
    assert_eq!(plain(&of_file), plain(&of_pipe));
}

/// The other process reads its standard input.
#[test]
fn the_standard_input_is_read() {
    let this = std::env::current_exe().expect("this test");
    let history = fs::File::open(recorded(RECORDED[0])).expect("it is part of the sources");
    let output = std::process::Command::new(this)
        .args([
            "--exact",
            "check_standard_input",
            "--ignored",
            "--nocapture",
        ])
        .stdin(history)
        .output()
        .expect("this test runs again");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("exit code 0"), "{out}");
    assert!(
        out.contains("standard input: znodes, recorded from one server "),
        "{out}"
    );
}

#[test]
#[ignore = "is called with a history as its standard input"]
fn check_standard_input() {
    let ran = zabsim(["check", "-"]);
    println!("{}{}exit code {}", ran.out, ran.err, ran.code);
}

/// The clock of a run is the world's: a line that stands behind a later one makes it no history at all.
#[test]
fn a_clock_that_goes_back_in_a_run_of_ours_is_bad_input() {
    let dir = run_of("leader-crash");
    let file = history_of(&dir);
    let text = fs::read_to_string(&file).expect("it was saved");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.iter().position(|line| is_txn(line)).expect("a log") - 1;
    let mut event: Value = serde_json::from_str(&lines[last]).expect("JSON");
    event["time_us"] = Value::from(5);
    lines[last] = event.to_string();
    fs::write(&file, lines.join("\n")).expect("it can be written");
    let ran = check(&file, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let line = format!("history.jsonl:{}: the clock goes back by ", last + 1);
    assert!(ran.err.contains(&line), "{}", ran.err);
    assert!(
        ran.err.contains("the clock of a run never does"),
        "{}",
        ran.err
    );
}

const FORMAT: &str = include_str!("../../model/FORMAT.md");

fn checked(lines: &[&str]) -> Ran {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("history.jsonl");
    fs::write(&file, lines.join("\n")).expect("writes");
    check(&file, &[])
}

/// The example that shows how a history is recorded is one, and is judged: spoilt, it is not legal.
#[test]
fn the_documented_example_is_a_history() {
    let (_, rest) = FORMAT.split_once("```jsonl\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("which ends");
    let lines: Vec<&str> = example.lines().collect();
    let ran = checked(&lines);
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in [
        "znodes, recorded from one server of version 3.9.5",
        "6 operations of 2 clients in 2 sessions",
        "5 answered, 1 updates of unknown outcome",
        "1 notifications; 2 connections made, 1 lost; noted: 1 × kill",
    ] {
        assert!(ran.out.contains(part), "`{part}` is not in: {}", ran.out);
    }
    let stale = example.replace("\"data\":\"x\",\"stat\"", "\"data\":\"y\",\"stat\"");
    let stale: Vec<&str> = stale.lines().collect();
    let ran = checked(&stale);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("NOT LEGAL (snapshot-reads)"), "{ran:?}");
    let without_end = checked(&lines[..lines.len() - 1]);
    assert_eq!(without_end.code, 2, "{without_end:?}");
}

/// Whatever a recorder may write has its place in the document: each operation, and each type of line.
#[test]
fn the_document_of_the_format_is_complete() {
    let known = |line: &str, what: &str| {
        let ran = checked(&[r#"{"type":"meta","time_ns":1}"#, line]);
        assert_eq!(ran.code, 2, "{ran:?}");
        let (_, words) = ran.err.split_once(what).expect("what is known is said");
        let words: Vec<String> = (words.trim().split(", ")).map(str::to_owned).collect();
        words
    };
    let operations = known(
        r#"{"type":"invoke","process":0,"id":1,"op":"flutter","time_ns":2}"#,
        "there is no operation `flutter`; known are ",
    );
    assert_eq!(operations.len(), 26, "{operations:?}");
    let types = known(
        r#"{"type":"flutter","process":0,"time_ns":2}"#,
        "`flutter` is no type of line; known are ",
    );
    let (_, table) = (FORMAT.split_once("## Operations")).expect("a section of operations");
    let first_cells: String = (table.lines())
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .collect();
    for operation in operations {
        assert!(
            first_cells.contains(&format!("`{operation}`")),
            "{operation} is in no row of: {first_cells}"
        );
    }
    for of_line in types {
        assert!(FORMAT.contains(&format!("`{of_line}`")), "{of_line}");
    }
    let help = zabsim(["check", "--help"]);
    assert!(help.out.contains("model/FORMAT.md"), "{}", help.out);
}
