//! `zabsim conform`: what a real ZooKeeper answered, the reference model and a simulated ensemble answer too.

use std::fs;
use std::io::Write;
use tempfile::TempDir;
use zabsim_model::conformance::parse;
use zabsim_scenarios::conform::{OnEnsemble, Placement, run_on_ensemble};
use zabsim_tests::{Ran, spread, zabsim};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/conformance/cases.jsonl");
const CASES: &str = include_str!("../data/conformance/cases.jsonl");

/// How many of the 183 cases are for a standalone server only.
const STANDALONE_ONLY: usize = 13;

#[test]
fn the_model_agrees_on_every_case() {
    let ran = zabsim(["conform", FILE]);
    let counted = "183 cases, 1852 steps: 183 agree, 0 differ\n";
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, counted, ""));
}

/// Wherever clients are attached, and whatever the seed. The command plays each case once.
#[test]
fn an_ensemble_agrees_on_every_case_that_it_can_play() {
    let cases = parse(CASES).expect("the recorded cases");
    let played = spread(&cases, 2, |case| {
        let places = [(Placement::Together, 1), (Placement::Apart, 2)];
        places.map(|(placement, seed)| run_on_ensemble(case, placement, seed))
    });
    let (mut standalone_only, mut wrong) = (0, Vec::new());
    for (case, [together, apart]) in cases.iter().zip(played) {
        match together {
            OnEnsemble::StandaloneOnly => standalone_only += 1,
            OnEnsemble::Unplayable(why) => panic!("{}: {why}", case.id),
            OnEnsemble::Played(_) => {
                for outcome in [&together, &apart] {
                    let OnEnsemble::Played(outcome) = outcome else {
                        panic!("{}: played at one place and not at the other", case.id);
                    };
                    let differences = outcome.differences.iter();
                    wrong
                        .extend(differences.map(|difference| format!("{}: {difference}", case.id)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(standalone_only, STANDALONE_ONLY);
}

/// The case with one answer changed, as a file of its own.
fn changed(id: &str, from: &str, to: &str) -> (TempDir, String) {
    let name = format!("\"id\":\"{id}\"");
    let line = CASES.lines().find(|line| line.contains(&name)).expect(id);
    let changed = line.replacen(from, to, 1);
    assert_ne!(changed, line, "{id} has no {from}");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("changed.jsonl");
    fs::write(&file, changed).expect("it is written");
    let file = file.to_str().expect("a temporary name is text").to_owned();
    (dir, file)
}

#[track_caller]
fn differs(ran: &Ran, id: &str, place: &str) {
    assert_eq!(ran.code, 1, "{id}: {ran:?}");
    assert!(ran.out.starts_with(&format!("{id}: ")), "{}", ran.out);
    let told = ran.out.contains(place) && ran.out.contains("expected") && ran.out.contains("got");
    assert!(told, "{place} is not in: {}", ran.out);
    assert!(ran.out.contains(": 0 agree, 1 differ"), "{}", ran.out);
}

/// The comparison bites: a recorded answer that is changed in one place is noticed there, on both.
#[test]
fn a_changed_answer_is_noticed() {
    for (id, from, to, place) in [
        (
            "seq-basic",
            "\"cversion\":4",
            "\"cversion\":5",
            "stat.cversion",
        ),
        (
            "watch-own-write",
            "NodeDataChanged",
            "NodeDeleted",
            "event.type",
        ),
        (
            "watch-child-create",
            "\"kind\":\"event\"",
            "\"kind\":\"closed\"",
            "closed",
        ),
        (
            "multi-fail-middle",
            "\"err\":-2",
            "\"err\":-3",
            "results[2].err",
        ),
        (
            "eph-expired-resume",
            "\"sessionId\":0",
            "\"sessionId\":1",
            "sessionId",
        ),
        (
            "eph-delete-in-flight",
            "\"path\":\"/g\"}",
            "\"path\":\"/h\"}",
            "path",
        ),
    ] {
        let (_dir, file) = changed(id, from, to);
        differs(&zabsim(["conform", &file]), id, place);
        differs(&zabsim(["conform", "--on", "ensemble", &file]), id, place);
    }
}

/// On the ensemble too, where it plays the case: what is for a standalone server, and zxids that no state stands behind
/// (they have no rank), are the model's alone.
#[test]
fn a_changed_answer_of_the_newer_operations_is_noticed() {
    for (id, from, to, place) in [
        ("acl-roundtrip", "\"me:x\"", "\"me:y\"", "acl"),
        ("acl-perm-bits", "\"err\":-102", "\"err\":0", "err"),
        (
            "stat-setacl",
            "\"aversion\":1",
            "\"aversion\":2",
            "stat.aversion",
        ),
        ("auth-nocolon", "justuser\"]", "other\"]", "clientInfo"),
        (
            "auth-bad-scheme",
            "\"kind\":\"closed\"",
            "\"kind\":\"x\"",
            "closed",
        ),
        ("ttl-args", "\"err\":-8", "\"err\":-6", "err"),
        (
            "container-basic",
            "NodeDeleted",
            "NodeCreated",
            "event.type",
        ),
        ("watch-container-ttl", "\"zxid\":7", "\"zxid\":8", "zxid"),
        ("pw-recursive", "NodeCreated", "NodeDeleted", "event.type"),
        ("pw-remove", "\"err\":-121", "\"err\":0", "err"),
        ("sw-exist", "\"zxid\":-1", "\"zxid\":3", "event.zxid"),
        ("multiread", "\"err\":-101", "\"err\":-102", "err"),
        (
            "op-allchildren",
            "\"totalNumber\":7",
            "\"totalNumber\":8",
            "totalNumber",
        ),
        ("quota-soft", "count=2,bytes=3", "count=2,bytes=4", "data"),
        ("quota-hard-count", "\"err\":-125", "\"err\":0", "err"),
        (
            "data-size-1048575",
            "\"closed\":true",
            "\"err\":0",
            "closed",
        ),
        (
            "sess-connect",
            "\"timeout\":5000,\"sessionId\"",
            "\"timeout\":4999,\"sessionId\"",
            "timeout",
        ),
        ("sys-reconfig", "\"err\":-123", "\"err\":-6", "err"),
        ("check-standalone", "\"zxid\":-1", "\"zxid\":2", "zxid"),
        ("pipe-ping", "\"xid\":-2", "\"xid\":3", "xid"),
    ] {
        let (_dir, file) = changed(id, from, to);
        differs(&zabsim(["conform", &file]), id, place);
        let of_model = [
            "watch-container-ttl",
            "sess-connect",
            "sys-reconfig",
            "check-standalone",
        ];
        if !of_model.contains(&id) {
            differs(&zabsim(["conform", "--on", "ensemble", &file]), id, place);
        }
    }
}

/// A race may end in one of the ways that its title says, and in no other.
#[test]
fn a_race_may_end_either_way() {
    let id = "pipe-setacl-stale-parent";
    let (_dir, file) = changed(
        id,
        "\"err\":0,\"name\":\"OK\",\"zxid\":6",
        "\"err\":0,\"name\":\"OK\",\"zxid\":7",
    );
    differs(&zabsim(["conform", &file]), id, "zxid");
}

#[test]
fn bad_input_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bad.jsonl");
    let name = file.to_str().expect("a temporary name is text");
    for (text, said) in [
        ("", "there is no case in it"),
        (
            "{\"id\":1}\n",
            "bad.jsonl:1: this is no case: `id` must be a string",
        ),
        (
            "\n{",
            "bad.jsonl:2: this is no case: a JSON object a line was expected (",
        ),
        (
            "{\"id\":\"x\",\"title\":\"t\",\"steps\":[{\"op\":\"fly\"}]}",
            "operation `fly`",
        ),
    ] {
        fs::write(&file, text).expect("it is written");
        let ran = zabsim(["conform", name]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{ran:?}");
        assert!(
            ran.err.contains(said) && ran.err.contains("bad.jsonl"),
            "{}",
            ran.err
        );
    }
    assert_eq!(zabsim(["conform", "/nowhere/cases.jsonl"]).code, 2);
    assert_eq!(zabsim(["conform"]).code, 2);
    assert_eq!(zabsim(["conform", FILE, "--on", "moon"]).code, 2);
}

/// Packed cases are read as plain ones are.
#[test]
fn packed_cases_are_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("cases.jsonl.gz");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(CASES.as_bytes()).expect("memory");
    fs::write(&path, packer.finish().expect("memory")).expect("writes");
    let packed = zabsim(["conform", path.to_str().expect("the name is text")]);
    assert_eq!(packed, zabsim(["conform", FILE]));
    assert_eq!(packed.code, 0);
}
