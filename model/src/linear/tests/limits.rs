//! What effort and memory end: no answer is wrong for having had little of either, and neither is passed.

use super::*;
use std::cell::Cell;
use std::rc::Rc;

/// A counter that counts how often it was asked.
#[derive(Clone, Default)]
struct Asked(Rc<Cell<u64>>);

impl Spec for Asked {
    type State = i64;
    type Action = CounterAction;

    fn initial(&mut self) -> i64 {
        Counter.initial()
    }

    fn step(&mut self, state: i64, action: &CounterAction, known: bool) -> Option<i64> {
        self.0.set(self.0.get() + 1);
        Counter.step(state, action, known)
    }

    fn is_pure(&self, action: &CounterAction, known: bool) -> bool {
        Counter.is_pure(action, known)
    }
}

/// So many additions at once, of which each selection has another sum, and then a read of a sum that none has: to refuse it takes
/// looking at all of them.
fn hard(additions: u32) -> History<CounterAction> {
    let mut calls: Vec<_> = (0..additions)
        .map(|at| {
            let ret = additions + 2 + at;
            call(at, ret, CounterAction::Add(2 << (at % 60)))
        })
        .collect();
    let read = CounterAction::Read(1);
    calls.push(call(additions, additions + 1, read));
    History::new(calls)
}

const ADDITIONS: u32 = 24;

#[test]
fn what_is_remembered_is_bounded_and_says_so() {
    let history = hard(ADDITIONS);
    for bytes in [10_000, 100_000, 1_000_000] {
        let mut budget = Budget::with_memory(Effort::default(), bytes);
        let outcome = search::search(&mut Counter, &history, &mut budget);
        // It comes to the read, which is the first to return.
        let unknown = Outcome::Unknown {
            reached: ADDITIONS + 1,
            of: 2 * ADDITIONS + 2,
            limit: Limit::Memory,
        };
        assert_eq!(outcome, unknown);
        // A configuration takes some 40 bytes, and a table that has just grown is half empty.
        let steps = Effort::default().0 - budget.left();
        assert!(steps < bytes as u64 * u64::from(ADDITIONS), "{steps}");
    }
    // With less to remember there is an answer.
    let mut budget = Budget::with_memory(Effort::default(), 1_000_000);
    let outcome = search::search(&mut Counter, &hard(10), &mut budget);
    assert!(matches!(outcome, Outcome::Illegal(_)), "{outcome:?}");
}

/// With more clients than a machine word has bits, and than two have.
#[test]
fn many_operations_may_be_open_at_once() {
    for clients in [40, 100, 200] {
        let shape = generate::Shape {
            operations: 2_000,
            clients,
            keys: 1,
            unknown_ppm: 10_000,
            domain: None,
            seed: 1,
        };
        let (mut generated, values) = generate::generate(&shape);
        let history = |generated: &[generate::Generated]| {
            History::new(generated.iter().map(|done| done.call.clone()).collect())
        };
        let register = &mut Register { values };
        let legal = history(&generated);
        let outcome = check(register, &legal, Effort::default());
        assert!(matches!(outcome, Outcome::Legal(_)), "{clients}");
        generate::make_stale(&mut generated);
        let outcome = check(register, &history(&generated), Effort::default());
        assert!(matches!(outcome, Outcome::Illegal(_)), "{clients}");
    }
}

/// All parts and all rounds draw on one effort, and so does whoever shrinks.
#[test]
fn one_effort_is_for_everything() {
    let effort = 3_000;
    // At each step all that is open is asked.
    let allowed = 2 * effort * u64::from(ADDITIONS + 1);

    let asked = Asked::default();
    let mut parts: Vec<_> = (0..100).map(|_| (asked.clone(), hard(ADDITIONS))).collect();
    let outcome = check_parts(&mut parts, Effort(effort));
    let unknown = matches!(
        outcome,
        Some((
            0,
            Outcome::Unknown {
                limit: Limit::Effort,
                ..
            }
        ))
    );
    assert!(unknown, "{outcome:?}");
    assert!(asked.0.get() <= allowed, "{} of {allowed}", asked.0.get());

    let mut asked = Asked::default();
    let history = hard(12);
    let Outcome::Illegal(refutation) = check(&mut asked, &history, Effort::default()) else {
        panic!("no sum is odd");
    };
    asked.0.set(0);
    let found = core(&mut asked, &history, &refutation, Effort(effort));
    assert!(asked.0.get() <= allowed, "{} of {allowed}", asked.0.get());
    // That the first to return cannot be ordered is not found out with so little: nothing is claimed.
    assert!(!found.is_minimal && found.prefix.returned == 0, "{found:?}");
}

/// One part that is hard does not hide another one that is plainly wrong.
#[test]
fn a_hard_part_hides_no_other() {
    // What the first round leaves open is not taken for legal.
    let outcome = check_parts(&mut [(Counter, hard(12))], Effort::default());
    assert!(
        matches!(outcome, Some((0, Outcome::Illegal(_)))),
        "{outcome:?}"
    );
    let mut parts = vec![(Counter, hard(ADDITIONS)), (Counter, hard(3))];
    let outcome = check_parts(&mut parts, Effort(100_000));
    assert!(
        matches!(outcome, Some((1, Outcome::Illegal(_)))),
        "{outcome:?}"
    );
}

/// A search that is ended by one limit must have been right so far, and what it says to have reached must have an order.
fn agree_within<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    effort: u64,
    bytes: usize,
) -> Result<(), TestCaseError>
where
    S::Action: std::fmt::Debug,
{
    let mut budget = Budget::with_memory(Effort(effort), bytes);
    match search::search(spec, history, &mut budget) {
        Outcome::Legal(order) => {
            prop_assert_eq!(order::replay_order(spec, history, &order), Ok(()));
        }
        Outcome::Illegal(why) => prop_assert!(!brute_force(spec, history), "{why:?}"),
        Outcome::Unknown { reached, of, limit } => {
            prop_assert_eq!(of, history.span());
            prop_assert!(reached < of);
            prop_assert!(limit == Limit::Memory || budget.left() == 0);
            // What had returned before has an order; the rest is open.
            let calls = history.calls().iter().filter(|call| call.call < reached);
            let calls = calls.map(|call| Call {
                known: call.known && call.ret < reached,
                ret: if call.ret < reached || !call.known {
                    call.ret
                } else {
                    NEVER
                },
                ..call.clone()
            });
            prop_assert!(
                brute_force(spec, &History::new(calls.collect())),
                "not up to {reached}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn registers_with_little(actions in drawn(register_action(3)), clients in 2usize..5, effort in 0u64..12, bytes in 0usize..2_000) {
        agree_within(&mut Register { values: 3 }, &lay_out(actions, clients), effort, bytes)?;
    }

    #[test]
    fn counters_with_little(actions in drawn(prop_oneof![
        3 => (-1i64..3).prop_map(CounterAction::Add),
        1 => (1i64..3, 0i64..5).prop_map(|(more, sum)| CounterAction::AddAndGet(more, sum)),
        3 => (0i64..4).prop_map(CounterAction::Read),
    ]), clients in 2usize..5, effort in 0u64..12, bytes in 0usize..2_000) {
        agree_within(&mut Counter, &lay_out(actions, clients), effort, bytes)?;
    }
}
