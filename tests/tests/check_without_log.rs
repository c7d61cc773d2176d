//! `zabsim check` on histories of runs, without the log that the run itself was judged by: no legal one is refused, whatever must be
//! guessed, no corrupted one accepted, and what is said of those is for people.

use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use zabsim_model::mutate::{Corruption, Mutator};
use zabsim_model::znode::{Judged, Recording, Settings, judge, read};
use zabsim_tests::{spread, zabsim};
use zabsim_types::run::Verdict;

/// The history that a run saves.
fn saved(scenario: &str, seed: u64) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("run");
    let (seed, path) = (seed.to_string(), out.to_str().expect("the name is text"));
    let ran = zabsim(["run", scenario, "--seed", &seed, "--out", path]);
    assert_eq!(ran.code, 0, "{scenario} {seed}: {ran:?}");
    let history = out.join("history.jsonl");
    (dir, history)
}

fn recording(scenario: &str, seed: u64) -> Recording {
    let (_dir, history) = saved(scenario, seed);
    let file = fs::File::open(history).expect("it was saved");
    read(file, &mut |_| {}).expect("a history")
}

fn judged(recording: &Recording) -> Judged {
    let settings = Settings {
        without_log: true,
        ..Settings::default()
    };
    judge(recording, &settings).expect("completions fit")
}

/// Seed 70 of `standard` has a session of which an event came last: its end lies behind that.
#[test]
fn no_legal_history_is_refused() {
    let mut runs: Vec<(&str, u64)> = vec![("standard", 70), ("reconnect-storm", 117)];
    for seed in 1..=16 {
        runs.extend([("standard", seed), ("reconnect-storm", seed)]);
    }
    spread(&runs, 2, |(scenario, seed)| {
        let judged = judged(&recording(scenario, *seed));
        let (verdict, why) = (judged.verdict(), (&judged.conflict, &judged.doubt));
        assert_eq!(verdict, Verdict::Pass, "{scenario} {seed}: {why:?}");
    });
}

/// What the client alone knows: no server's state says which watches it has.
fn is_of_the_client(what: &str) -> bool {
    what.contains("RemoveWatches") || what.contains("CheckWatches")
}

/// Nothing that cannot be is accepted, and hardly anything is left undecided.
#[test]
fn corrupted_histories_are_refused_without_their_log() {
    let runs = [("standard", 1), ("standard", 4), ("reconnect-storm", 2)];
    let counts = spread(&runs, 2, |(scenario, seed)| {
        let recording = recording(scenario, *seed);
        let mutator = Mutator::new(&recording.events).expect("a history");
        let mut counts = [0; 3];
        for kind in Corruption::ALL {
            let Some(corrupted) = mutator.corrupt(kind, *seed) else {
                continue;
            };
            if corrupted.may_be_legal.is_some() || is_of_the_client(&corrupted.what) {
                continue;
            }
            let mut spoilt = recording.clone();
            spoilt.events = corrupted.events;
            match judged(&spoilt).verdict() {
                Verdict::Fail => counts[0] += 1,
                Verdict::Undecided => counts[1] += 1,
                _ => panic!("{scenario} {seed}, {kind:?}: {}", corrupted.what),
            }
        }
        counts
    });
    let sum = |at: usize| {
        counts
            .iter()
            .map(|counts: &[u32; 3]| counts[at])
            .sum::<u32>()
    };
    assert!(sum(0) >= 30, "{} were refused", sum(0));
    assert!(sum(1) * 10 <= sum(0), "{} are undecided", sum(1));
}

/// Each contradiction names its operations with their lines, in the words of scenarios, and no more than it needs.
#[test]
fn contradictions_are_for_people() {
    let recording = recording("standard", 1);
    let mutator = Mutator::new(&recording.events).expect("a history");
    for (kind, check, words) in [
        (Corruption::WrongVersion, "", "version"),
        (Corruption::WrongData, "snapshot-reads", "data"),
        (Corruption::DuplicateSequence, "", "{ create = "),
        (Corruption::WatchMissing, "watches", "watch"),
        (Corruption::WatchLate, "watches", "watch"),
        (Corruption::WatchTwice, "watches", "told Node"),
        (Corruption::ResurrectedEphemeral, "", ""),
    ] {
        for draw in 0..4 {
            let Some(corrupted) = mutator.corrupt(kind, draw) else {
                continue;
            };
            if corrupted.may_be_legal.is_some() {
                continue;
            }
            let mut spoilt = recording.clone();
            spoilt.events = corrupted.events;
            let judged = judged(&spoilt);
            let Some(conflict) = judged.conflict else {
                assert_eq!(judged.verdict(), Verdict::Undecided, "{kind:?} {draw}");
                continue;
            };
            let parts = conflict.parts.iter().map(ToString::to_string);
            let mut text = conflict.sentence.clone();
            parts.for_each(|part| text.push_str(&part));
            for (what, given, due) in &conflict.differences {
                text.push_str(&format!("{what}: {given}; {due}"));
            }
            assert!(
                conflict.check.contains(check),
                "{kind:?} {draw}: {conflict:?}"
            );
            assert!(text.contains(words), "{kind:?} {draw}: {conflict:?}");
            let count = conflict.parts.len();
            assert!((1..=5).contains(&count), "{kind:?} {draw}: {conflict:?}");
            for dump in ["Stat {", "Some(", "Ok(", "ZPath", "Zxid("] {
                assert!(!text.contains(dump), "{kind:?} {draw}: {text}");
            }
            assert!(conflict.parts.iter().all(|part| part.line > 0));
        }
    }
}
