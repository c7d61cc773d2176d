//! The museum of planted bugs: every switch is consulted somewhere, and a handful of them is caught by the check that is there for
//! it, in the everyday scenario and with every one of a few seeds.

use std::fs;
use std::path::Path;
use zab::Bug;
use zabsim_tests::zabsim;
use zabsim_types::run::RunReport;

#[test]
fn every_switch_is_consulted() {
    let mut sources = String::new();
    for room in ["zab", "server", "client"] {
        let sim = concat!(env!("CARGO_MANIFEST_DIR"), "/../sim");
        read_all(&Path::new(sim).join(room).join("src"), &mut sources);
    }
    let words: std::collections::BTreeSet<&str> = sources
        .split(|c: char| !c.is_alphanumeric() && c != ':')
        .collect();
    for bug in Bug::ALL {
        let switch = format!("Bug::{bug:?}");
        assert!(words.contains(&*switch), "{bug}: nothing asks for {switch}");
    }
}

fn read_all(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).expect("a directory of sources") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            read_all(&path, out);
        } else {
            *out += &fs::read_to_string(path).expect("text");
        }
    }
}

/// One of each room.
const CAUGHT: &[(&str, &str)] = &[
    ("ZOOKEEPER-4643", "durability-before-ack"),
    ("zab#commit-order", "no-illegal-event"),
    ("applies-proposals", "integrity"),
    ("sequence-from-children", "linearizable-writes"),
    ("pzxid-not-on-delete", "same-zxid-same-digest"),
    ("watches-forgotten", "watches"),
    ("ZOOKEEPER-2931", "mutual-exclusion"),
];

#[test]
fn what_is_planted_is_caught_and_said() {
    for (bug, check) in CAUGHT {
        let ran = zabsim(["run", "standard", "--seeds", "1..2", "--bug", bug]);
        assert_eq!(ran.code, 1, "{bug}: {ran:?}");
        let caught = ran.out.matches(&format!("fail  {check}: ")).count();
        assert_eq!(caught, 2, "{bug}: {}", ran.out);
    }
    let ran = zabsim([
        "run",
        "standard",
        "--seed",
        "1",
        "--bug",
        "epoch-before-history",
    ]);
    assert!(ran.out.contains("Planted: ZOOKEEPER-4643"), "{}", ran.out);
    assert!(ran.out.contains("--bug ZOOKEEPER-4643"), "{}", ran.out);
}

/// A saved run says what was planted in it, and whether the run came by its switch; whoever repeats it plants it again.
#[test]
fn a_saved_run_says_what_was_planted_and_repeats_it() {
    let home = tempfile::tempdir().expect("a directory");
    let saved = home.path().join("saved");
    let saved = saved.to_str().expect("UTF-8");
    let out = ["--seed", "1", "--out", saved];
    // Nobody makes a container here, so that nothing asks whether one may go.
    let planted = [
        "--bug",
        "container-swept-early",
        "--bug",
        "applies-proposals",
    ];
    let ran = zabsim(["run", "leader-crash"].iter().chain(&out).chain(&planted));
    assert_eq!(ran.code, 1, "{ran:?}");
    let read = || -> RunReport {
        let text = fs::read_to_string(format!("{saved}/run.json")).expect("a saved run");
        serde_json::from_str(&text).expect("a report")
    };
    let report = read();
    assert_eq!(report.planted, ["fear#22", "fear#37"]);
    assert_eq!(report.consulted, ["fear#22"]);
    assert_eq!(zabsim(["replay", saved]).code, 0);
    let ran = zabsim(["run", "leader-crash", "--force"].iter().chain(&out));
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = fs::read_to_string(format!("{saved}/run.json")).expect("a saved run");
    assert!(!text.contains("planted") && !text.contains("consulted"));
}

#[test]
fn what_is_no_bug_is_refused() {
    let ran = zabsim(["run", "standard", "--bug", "ZOOKEEPER-1"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("zabsim list bugs"), "{}", ran.err);
    let ran = zabsim(["run", "standard", "--bug", "zookeper-4643"]);
    assert!(
        ran.err.contains("did you mean ZOOKEEPER-4643"),
        "{}",
        ran.err
    );
    let listed = zabsim(["list", "bugs"]).out;
    assert!(listed.contains("ZOOKEEPER-4643"), "{listed}");
}

/// The README's table is what the results say.
#[test]
fn the_readme_has_the_table_of_the_results() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../reports/bugs.json");
    let page = fs::read_to_string(readme).expect("the page");
    let table = zabsim(["bugs", "--markdown", "--results", results]).out;
    assert!(table.contains("documented bugs are caught"), "{table}");
    assert!(
        page.contains(&table),
        "write it again: `cargo run --release -- bugs --into README.md`"
    );
}

/// With a few seeds, what `zabsim bugs check` does with twenty: each script shows its bug and passes without it.
#[test]
fn each_script_shows_its_bug_and_comes_by_its_switch() {
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../reports/bugs.json");
    let ran = zabsim([
        "bugs",
        "check",
        "--seeds",
        "1..6",
        "--scripted",
        "--results",
        results,
    ]);
    assert_eq!(ran.code, 0, "{}", ran.out);
}
