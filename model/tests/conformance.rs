//! The reference model against the recorded answers of a real server.

use zabsim_model::conformance::{parse, run_on_model};

const CASES: &str = include_str!("../../tests/data/conformance/cases.jsonl");

/// Every recorded case is answered exactly, notifications and their order included. None is left out.
#[test]
fn the_model_answers_every_recorded_case_exactly() {
    let cases = parse(CASES).expect("the recorded cases");
    assert_eq!(cases.len(), 183);
    let mut wrong = Vec::new();
    for case in &cases {
        let outcome = run_on_model(case);
        assert_eq!(outcome.steps, case.steps.len());
        let differences = outcome.differences.iter();
        wrong.extend(differences.map(|difference| format!("{}: {difference}", case.id)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
