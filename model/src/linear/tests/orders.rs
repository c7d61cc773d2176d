//! The replay of a witness against the definition of a legal order.

use super::*;
use crate::linear::order::{Misfit, replay, replay_order};

/// Whether an order is a linearization, pair by pair (Herlihy and Wing, section 2): nobody comes after one that was called after he
/// had returned, and each answer is right in its turn.
fn is_linearization<S: Spec>(spec: &mut S, history: &History<S::Action>, order: &[u32]) -> bool {
    let calls = history.calls();
    let known = (0..calls.len() as u32).filter(|at| calls[*at as usize].known);
    let times = |at: u32| order.iter().filter(|other| **other == at).count();
    let each_once =
        known.clone().all(|at| times(at) == 1) && order.iter().all(|at| times(*at) == 1);
    let keeps_real_time = order.iter().enumerate().all(|(turn, later)| {
        let before = order[..turn].iter();
        before
            .map(|earlier| &calls[*earlier as usize])
            .all(|earlier| calls[*later as usize].ret > earlier.call)
    });
    let mut state = spec.initial();
    let answers = order.iter().all(|at| {
        let call = &calls[*at as usize];
        match spec.step(state, &call.action, call.known) {
            Some(after) => {
                state = after;
                true
            }
            None => !call.known,
        }
    });
    each_once && keeps_real_time && answers
}

/// Every order in which a witness can be meant: by its turns; of those with the same turn the changes first, by their
/// calls, then the others in any order.
fn is_right_somehow<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    turns: &[Option<u64>],
) -> bool {
    let calls = history.calls();
    let mut order: Vec<u32> = (0..calls.len() as u32)
        .filter(|at| turns[*at as usize].is_some())
        .collect();
    let is_pure = |spec: &S, at: u32| {
        let call = &calls[at as usize];
        spec.is_pure(&call.action, call.known)
    };
    order.sort_by_key(|at| (turns[*at as usize], is_pure(spec, *at), *at));
    fn permute<S: Spec>(
        spec: &mut S,
        history: &History<S::Action>,
        order: &mut Vec<u32>,
        from: usize,
        may_swap: &dyn Fn(&S, u32, u32) -> bool,
    ) -> bool {
        if from == order.len() {
            return is_linearization(spec, history, order);
        }
        for to in from..order.len() {
            if to > from && !may_swap(spec, order[from], order[to]) {
                break;
            }
            order[from..=to].rotate_right(1);
            let is_right = permute(spec, history, order, from + 1, may_swap);
            order[from..=to].rotate_left(1);
            if is_right {
                return true;
            }
        }
        false
    }
    let may_swap = |spec: &S, one: u32, other: u32| {
        turns[one as usize] == turns[other as usize] && is_pure(spec, one) && is_pure(spec, other)
    };
    permute(spec, history, &mut order, 0, &may_swap)
}

/// What a refusal names must be what is wrong.
fn names_the_fault<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    order: &[u32],
    misfit: Misfit,
) -> bool {
    let calls = history.calls();
    let turn = |at: u32| order.iter().position(|other| *other == at);
    match misfit {
        Misfit::Turns { call } => order.iter().filter(|at| **at == call).count() != 1,
        Misfit::RealTime { earlier, later } => {
            calls[earlier as usize].ret < calls[later as usize].call && turn(earlier) > turn(later)
        }
        Misfit::Answer { call } => {
            let until = turn(call).expect("it had its turn");
            let upto = &order[..=until];
            let mut state = spec.initial();
            upto.iter().enumerate().all(|(turn, at)| {
                let call = &calls[*at as usize];
                match spec.step(state, &call.action, call.known) {
                    Some(after) => state = after,
                    None if call.known => return turn == until,
                    None => {}
                }
                turn < until
            })
        }
    }
}

fn agree_on_turns<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    drawn: &[u8],
) -> Result<(), TestCaseError> {
    // Some never had a turn; a turn is near the call mostly, so that many an order is right.
    let turns: Vec<Option<u64>> = (history.calls().iter().zip(drawn))
        .map(|(call, drawn)| match drawn {
            0 => None,
            1..=12 => Some(u64::from(call.call) / 2),
            drawn => Some(u64::from(call.call + u32::from(*drawn) - 12) / 2),
        })
        .collect();
    let said = replay(spec, history, &turns);
    let is_right = is_right_somehow(spec, history, &turns);
    prop_assert_eq!(said.is_ok(), is_right, "{:?} of {:?}", said, turns);

    let mut order: Vec<u32> = (0..history.len() as u32)
        .filter(|at| turns[*at as usize].is_some())
        .collect();
    order.sort_by_key(|at| turns[*at as usize]);
    // Now and then, one twice.
    if let (Some(first), Some(0)) = (order.first(), drawn.last()) {
        order.push(*first);
    }
    let said = replay_order(spec, history, &order);
    prop_assert_eq!(said.is_ok(), is_linearization(spec, history, &order));
    if let Err(misfit) = said {
        prop_assert!(
            names_the_fault(spec, history, &order, misfit),
            "{:?} of {:?}",
            misfit,
            order
        );
    }
    Ok(())
}

fn turns() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0u8..20, 8)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn witnesses_of_registers(actions in drawn(register_action(2)), clients in 2usize..5, turns in turns()) {
        agree_on_turns(&mut Register { values: 2 }, &lay_out(actions, clients), &turns)?;
    }

    #[test]
    fn witnesses_of_counters(actions in drawn(prop_oneof![
        2 => (-1i64..2).prop_map(CounterAction::Add),
        3 => (-1i64..2).prop_map(CounterAction::Read),
    ]), clients in 2usize..5, turns in turns()) {
        agree_on_turns(&mut Counter, &lay_out(actions, clients), &turns)?;
    }
}
