//! The checks against their definitions: on small runs, most of them damaged, both say the same. `PROPTEST_CASES` says how many
//! runs, where CI's hundred thousand are not enough.

use super::cases::{About, copy, damage, play, play_recipes, script};
use super::{Told, Verdicts, indexed, recipes, service, watches};
use crate::checks::testing::Run;
use crate::checks::{ALL, Evidence};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often a check found nothing, and how often something.
type Tally = RefCell<BTreeMap<&'static str, [u64; 2]>>;

/// Holds what the checks say of a run to what their definitions say.
fn compare(
    run: &Run,
    define: &impl Fn(&Told<'_>) -> Verdicts,
    wants_whole: bool,
    tally: &Tally,
) -> Result<(), TestCaseError> {
    let Ok(evidence) = Evidence::new(&run.history, Some(&run.witness), &run.options) else {
        return Ok(());
    };
    // Behind a transaction that is wrong the checks look at nothing.
    if wants_whole && evidence.whole_replay().is_err() {
        return Ok(());
    }
    let history = indexed(&run.history, &run.witness, &run.options).expect("the checks read it");
    let told = Told {
        history: &history,
        log: &run.witness.txns,
        options: &run.options,
    };
    for (names, legal) in define(&told) {
        let mut why = Vec::new();
        for check in ALL.iter().filter(|check| names.contains(&check.name)) {
            let report = check.report((check.run)(&evidence));
            why.extend(report.violation.map(|violation| violation.message));
        }
        if why.is_empty() != legal {
            for event in &run.history {
                println!("{event:?}");
            }
            for txn in &run.witness.txns {
                println!("{txn:?}");
            }
        }
        prop_assert_eq!(why.is_empty(), legal, "{:?}: {:?}", names, why);
        tally.borrow_mut().entry(names[0]).or_default()[usize::from(!legal)] += 1;
    }
    Ok(())
}

/// So many runs, as they are and with each of ten damages.
fn compare_all(
    runs: u32,
    length: (usize, usize),
    make: impl Fn(&super::cases::Script) -> Run,
    wants_whole: bool,
    define: impl Fn(&Told<'_>) -> Verdicts,
) -> BTreeMap<&'static str, [u64; 2]> {
    let default = ProptestConfig::default();
    let cases = if default.cases == 256 {
        runs
    } else {
        default.cases
    };
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..default
    };
    let tally = Tally::default();
    let damages = script(10, 11);
    let compared = TestRunner::new(config).run(
        &(script(length.0, length.1), damages),
        |(script, damages)| {
            let whole = make(&script);
            compare(&whole, &define, wants_whole, &tally)?;
            for (at, (what, arg)) in damages.iter().enumerate() {
                let mut run = copy(&whole);
                damage(&mut run, *what, *arg);
                // Now and then two things are wrong.
                if at % 4 == 3 {
                    damage(&mut run, *arg, *what);
                }
                compare(&run, &define, wants_whole, &tally)?;
            }
            Ok(())
        },
    );
    if let Err(error) = compared {
        panic!("{error}");
    }
    let tally = tally.into_inner();
    for (name, [legal, illegal]) in &tally {
        println!("{name:24} {legal:8} legal, {illegal:8} not");
        // A check that nothing was found by was not compared.
        assert!(*legal > 0 && *illegal >= u64::from(cases) / 200, "{name}");
    }
    tally
}

#[test]
fn the_checks_of_the_service_say_what_their_definitions_say() {
    let tally = compare_all(
        14_000,
        (8, 28),
        |script| play(script, About::Everything),
        false,
        service,
    );
    assert_eq!(tally.len(), 12);
}

#[test]
fn the_check_of_watches_says_what_its_definition_says() {
    let define = |told: &Told<'_>| -> Verdicts { vec![(&["watches"], watches::watches(told))] };
    compare_all(
        14_000,
        (10, 40),
        |script| play(script, About::Watches),
        true,
        define,
    );
}

#[test]
fn the_checks_of_recipes_say_what_their_definitions_say() {
    let define = |told: &Told<'_>| -> Verdicts {
        vec![
            (&["mutual-exclusion"], recipes::mutual_exclusion(told)),
            (&["one-leader-per-term"], recipes::one_leader(told)),
            (&["fencing"], recipes::fencing(told)),
            (&["no-lost-wakeup"], recipes::no_lost_wakeup(told)),
        ]
    };
    compare_all(14_000, (10, 40), play_recipes, true, define);
}
