//! What `--json` prints: exactly one object, with everything that a program may rely on.

use serde_json::Value;
use zabsim_scenarios::format::Scenario;
use zabsim_scenarios::runner::run_scenario;
use zabsim_tests::zabsim;
use zabsim_types::run::Verdict;

fn json(arguments: &[&str]) -> Value {
    let ran = zabsim(arguments.iter().copied());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.ends_with("}\n"), "{}", ran.out);
    assert_eq!(ran.out.lines().count(), 1, "one object on one line");
    serde_json::from_str(&ran.out).expect("exactly one JSON object")
}

#[test]
fn json_is_one_object_with_every_key_of_the_contract() {
    let run = json(&["run", "bit-rot", "--seed", "0x2a", "--json"]);
    let is = |key: &str, kind: fn(&Value) -> bool| {
        assert!(kind(&run[key]), "{key}: {}", run[key]);
    };
    assert_eq!(run["scenario"], "bit-rot");
    assert_eq!(run["seed"], "0x000000000000002a");
    assert_eq!(run["verdict"], "pass");
    assert_eq!(run["violation"], Value::Null);
    let hash = run["trace_hash"].as_str().expect("a string");
    assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    is("events", |v| v.as_u64() > Some(1_000));
    is("virtual_ms", |v| v.as_u64() > Some(1_000));
    is("wall_ms", Value::is_f64);
    is("elections", |v| v.as_u64() > Some(0));
    is("untriggered", Value::is_array);
    for key in ["ok", "failed", "unknown"] {
        assert!(run["client_ops"][key].is_u64(), "client_ops.{key}");
    }
    let faults = run["faults"].as_array().expect("a list");
    assert!(!faults.is_empty());
    for fault in faults {
        assert!(fault["at_ms"].is_u64() && fault["kind"].is_string() && fault["what"].is_string());
    }
    let checks = run["checks"].as_array().expect("a list");
    assert!(!checks.is_empty());
    for check in checks {
        assert!(check["name"].is_string() && check["ok"] == true);
        assert!(check["examined"].is_u64() && check["detail"].is_string());
    }
    assert_eq!(
        run["reproduce"],
        "cargo run --release -- run bit-rot --seed 0x000000000000002a"
    );
}

/// The line that reproduces a run does.
#[test]
fn the_reproducing_line_gives_the_same_run() {
    let first = json(&["run", "zookeeper-335", "--json"]);
    let line = first["reproduce"].as_str().expect("a line");
    let arguments = line.strip_prefix("cargo run --release -- ").expect(line);
    let mut again: Vec<&str> = arguments.split(' ').collect();
    again.push("--json");
    assert_eq!(json(&again)["trace_hash"], first["trace_hash"]);
}

#[test]
fn several_seeds_are_one_object_a_line() {
    let ran = zabsim(["run", "zookeeper-335", "--seeds", "1..3", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let seeds = ran.out.lines().map(|line| {
        let run: Value = serde_json::from_str(line).expect("an object");
        run["seed"].as_str().expect("a seed").to_owned()
    });
    let expected = [1, 2, 3].map(|seed: u64| format!("{seed:#018x}"));
    assert_eq!(seeds.collect::<Vec<_>>(), expected);
}

#[test]
fn a_person_reads_the_story_each_check_and_how_to_repeat_it() {
    let ran = zabsim(["run", "leader-crash"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in [
        "3 servers",
        "What happened",
        "crashes s",
        "leads epoch 1",
        "linearizable-writes",
        "Trace      ",
        "events/s",
        "Verdict    pass",
        "Again      cargo run --release -- run leader-crash --seed 0x0000000000000001",
    ] {
        assert!(ran.out.contains(part), "`{part}` is missing:\n{}", ran.out);
    }
}

#[test]
fn a_decimal_a_hexadecimal_and_a_commit_can_be_the_same_seed() {
    let commit = "000000000000002a0123456789abcdef01234567";
    let hash =
        |seed| json(&["run", "zookeeper-335", "--json", "--seed", seed])["trace_hash"].clone();
    assert_eq!(hash("42"), hash("0x2a"));
    assert_eq!(hash("42"), hash(commit));
    assert_ne!(hash("42"), hash("43"));
}

#[test]
fn the_tour_ends_by_telling_what_to_try_next() {
    let ran = zabsim(Vec::<&str>::new());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let next = ran.out.split("What to try next").nth(1);
    let next = next.expect("what to try next");
    for command in ["-- run ", "-- list", "-- replay "] {
        assert!(next.contains(command), "{next}");
    }
}

#[test]
fn the_list_has_a_sentence_for_everything() {
    let ran = zabsim(["list"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for title in [
        "scenarios",
        "workloads",
        "faults",
        "targets",
        "triggers",
        "operations",
        "profiles",
        "checks",
        "marks",
    ] {
        assert!(ran.out.lines().any(|line| line == title), "{title}");
        let alone = zabsim(["list", title]);
        assert!(alone.code == 0 && ran.out.contains(&alone.out), "{title}");
    }
    // Deeper ones say how the one above is spelled.
    let named = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    for line in ran.out.lines().filter(named) {
        let (name, about) = line.trim().split_once("  ").expect(line);
        assert!(!name.is_empty() && about.trim().contains(' '), "{line}");
    }
}

/// The list of the format is a scenario that runs.
#[test]
fn the_format_is_listed_as_a_scenario_that_runs() {
    let ran = zabsim(["list", "format"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let scenario = Scenario::parse("format.toml", &ran.out).expect("it is right");
    let report = run_scenario(&scenario, "format.toml", 1, false).report;
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.violation);
}

/// An operation that comes out in another way than its script expects, and a trigger that never fires, make the run another
/// than expected, although nothing was violated: the schedule was not the one that the script is about.
#[test]
fn a_script_that_did_not_reach_its_schedule_says_so() {
    let text = r#"
name = "unmet"
clients = 1
duration = "6s"

[[op]]
client = 1
at = "2s"
do = { create = "/a", data = "x" }
expect = ["ok", "unknown"]

[[op]]
client = 1
at = "3s"
do = { create = "/a", data = "x" }
expect = "ok"

[[op]]
client = 1
at = "3s"
do = { get = "/b" }
expect = "refused"

[[op]]
client = 1
after = "never"
do = { get = "/a" }
expect = "ok"

[[op]]
client = 1
at = "4s"
do = { multi = [{ check = "/a", version = 0 }, { delete = "/b" }] }
expect = "NodeExists"

[[fault]]
label = "never"
when = { send = "SNAP", nth = 99 }
do = { mark = true }
"#;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("my scenario.toml");
    let run = |text: String| {
        std::fs::write(&path, text).expect("writes");
        zabsim(["run", path.to_str().expect("text")])
    };
    let ran = run(text.into());
    assert_eq!(ran.code, 1, "{ran:?}");
    for told in [
        "op-2 (client 1, { create = \"/a\", data = \"x\" }) came out as NodeExists, expected ok",
        "op-4 (client 1, { get = \"/a\" }) came out as never asked",
        "came out as NoNode, expected NodeExists",
        "never triggered: never",
        "not what this scenario expects",
        // A path that a shell would take for two words.
        "my scenario.toml' --seed",
    ] {
        assert!(ran.out.contains(told), "`{told}` is not in: {}", ran.out);
    }
    assert!(
        !ran.out.contains("op-1 ") && !ran.out.contains("op-3 "),
        "{}",
        ran.out
    );

    let quiet = "name = \"quiet\"\nduration = \"2s\"\n[[fault]]\nlabel = \"never\"\nwhen = { send = \"SNAP\" }\ndo = { mark = true }\n";
    assert_eq!(run(quiet.into()).code, 0);
    let strict = run(format!("{quiet}[expect]\nevery_trigger = true\n"));
    assert_eq!(strict.code, 1, "{strict:?}");
    assert!(
        strict.out.contains("never triggered: `never`"),
        "{}",
        strict.out
    );
}

/// An explicit operation may wait for a protocol event, and is reported where that never comes.
#[test]
fn an_operation_waits_for_an_event() {
    let text = r#"
name = "on-events"
about = "Operations on events."
clients = 1
duration = "10s"

[[op]]
client = 1
when = { note = "established", not_before = "1ms" }
do = { create = "/on-event", data = "x" }

[[op]]
client = 1
when = { send = "SNAP", nth = 99 }
do = { delete = "/on-event" }
"#;
    let scenario = Scenario::parse("on-events.toml", text).expect("it is right");
    let finished = run_scenario(&scenario, "on-events", 1, false);
    assert_eq!(finished.report.verdict, Verdict::Pass);
    assert_eq!(finished.report.client_ops.ok, 1);
    assert_eq!(finished.report.untriggered, ["op-2"]);
}
