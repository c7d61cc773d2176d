//! The reference model against the recorded answers of a real server.

use zabsim_model::conformance::{Outcome, parse, run_on_model};

const CORE: &str = include_str!("../../tests/data/conformance/core.jsonl");

/// Every case that the vocabulary can say is answered exactly, notifications and their order included.
#[test]
fn the_model_answers_the_recorded_cases_exactly() {
    let cases = parse(CORE).expect("the recorded cases");
    let mut wrong = Vec::new();
    let mut equal = 0;
    let mut left_out = Vec::new();
    for case in &cases {
        match run_on_model(case) {
            Outcome::Equal { .. } => equal += 1,
            Outcome::NotForThisModel { reason } => left_out.push(format!("{}: {reason}", case.id)),
            Outcome::Differs { step, what } => {
                wrong.push(format!("{} ({}) step {step}: {what}", case.id, case.title));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((cases.len(), equal), (58, 49), "{}", left_out.join("\n"));
    for reason in &left_out {
        let of_next = ["ACL", "createTTL", "createContainer"];
        assert!(of_next.iter().any(|word| reason.contains(word)), "{reason}");
    }
}

/// A case whose recorded answer is changed by one number is noticed, and at the right place.
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
            "multi-fail-middle",
            "\"err\":-2",
            "\"err\":-3",
            "results[2].err",
        ),
    ] {
        let line = CORE
            .lines()
            .find(|line| line.contains(&format!("\"id\":\"{id}\"")))
            .expect(id);
        assert!(line.contains(from), "{id}: {line}");
        let changed = parse(&line.replacen(from, to, 1)).expect("still a case");
        let Outcome::Differs { what, .. } = run_on_model(&changed[0]) else {
            panic!("{id} passed with {to}");
        };
        assert!(what.contains(place), "{id}: {what}");
    }
}
