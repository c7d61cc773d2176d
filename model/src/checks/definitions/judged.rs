//! The judge of histories without their log (`znode`) against the definitions, on small runs, most of them damaged.
//!
//! What it accepts, it accepts with a log, and by the definitions that log must explain everything. What it refuses, no log may
//! explain: not the one that the servers had, nor that one without any of the transactions that no answer names. What
//! it leaves undecided is counted.

use super::broken;
use super::cases::{About, copy, damage, play, script};
use crate::checks::testing::Run;
use crate::witness::Witness;
use crate::znode::{self, Settings};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeSet;
use zabsim_types::run::Verdict;
use zabsim_types::{HistoryKind, Zxid};

/// How often the judge said pass, fail, and nothing.
type Tally = RefCell<[u64; 3]>;

fn judge(run: &Run, whole: &Run, tally: &Tally) -> Result<(), TestCaseError> {
    let mut file = Vec::new();
    znode::write(&mut file, &run.options, &run.history, None).expect("there is room");
    let lines = String::from_utf8(file).expect("it is text");
    let settings = Settings {
        options: Some(run.options.clone()),
        ..Settings::default()
    };
    let Ok(judged) = znode::check(lines.as_bytes(), &settings, &mut |_| {}) else {
        return Ok(());
    };
    match judged.verdict() {
        Verdict::Pass => {
            let broken = broken(&run.history, &judged.filled.witness, &run.options);
            prop_assert!(broken.is_empty(), "accepted, but {:?}\n{lines}", broken);
            tally.borrow_mut()[0] += 1;
        }
        Verdict::Fail => {
            let conflict = judged.conflict.expect("it says why");
            if conflict.check == "well-formed" {
                // It is no history, and the definitions say nothing of it.
                return Ok(());
            }
            for log in logs(run, &whole.witness) {
                let broken = broken(&run.history, &log, &run.options);
                prop_assert!(
                    !broken.is_empty(),
                    "refused, but there is a log: {log:?}\n{conflict:?}\n{lines}"
                );
            }
            tally.borrow_mut()[1] += 1;
        }
        _ => tally.borrow_mut()[2] += 1,
    }
    Ok(())
}

/// The logs that there can have been: with and without each of the first few transactions that no answer names.
fn logs(run: &Run, whole: &Witness) -> Vec<Witness> {
    let named: BTreeSet<Zxid> = (run.history.iter())
        .filter_map(|event| match event.kind {
            HistoryKind::Ok { zxid, .. } | HistoryKind::Fail { zxid, .. } => Some(zxid),
            _ => None,
        })
        .collect();
    let unnamed: Vec<Zxid> = (whole.txns.iter())
        .map(|txn| txn.zxid)
        .filter(|zxid| !named.contains(zxid))
        .take(3)
        .collect();
    let without = |left_out: u32| {
        let is_left_out = |zxid: Zxid| {
            let at = unnamed.iter().position(|other| *other == zxid);
            at.is_some_and(|at| left_out >> at & 1 == 1)
        };
        let mut log = whole.clone();
        log.txns.retain(|txn| !is_left_out(txn.zxid));
        log
    };
    (0..1 << unnamed.len()).map(without).collect()
}

#[test]
fn a_history_without_its_log_is_judged_as_the_definitions_say() {
    let default = ProptestConfig::default();
    let config = ProptestConfig {
        cases: if default.cases == 256 {
            10_000
        } else {
            default.cases
        },
        failure_persistence: None,
        max_shrink_iters: 300,
        ..default
    };
    let cases = u64::from(config.cases);
    let tally = Tally::default();
    let judged =
        TestRunner::new(config).run(&(script(6, 20), script(10, 11)), |(script, damages)| {
            let whole = play(&script, About::Everything);
            judge(&whole, &whole, &tally)?;
            for (what, arg) in damages {
                let mut run = copy(&whole);
                damage(&mut run, what, arg);
                judge(&run, &whole, &tally)?;
            }
            Ok(())
        });
    let [pass, fail, undecided] = tally.into_inner();
    println!("{pass} accepted, {fail} refused, {undecided} undecided");
    if let Err(error) = judged {
        panic!("{error}");
    }
    assert!(pass > cases && fail > cases, "{pass}, {fail}");
    assert!(undecided * 100 < pass + fail, "{undecided} are undecided");
}
