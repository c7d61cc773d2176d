//! The fast ones against the definition: small histories at random, decided by trying every order.

mod cores;
mod limits;
mod orders;
mod parts;

use super::models::*;
use super::*;
use proptest::prelude::*;

/// Linearizability by its definition: is there any order of the calls that took effect which respects real time and which the object
/// allows? (Herlihy and Wing, "Linearizability", 1990, section 2.)
fn brute_force<S: Spec>(spec: &mut S, history: &History<S::Action>) -> bool {
    fn go<S: Spec>(
        spec: &mut S,
        calls: &[Call<S::Action>],
        state: S::State,
        left: &[usize],
    ) -> bool {
        if left.iter().all(|at| !calls[*at].known) {
            return true;
        }
        // Whoever is next was called before anybody else returned that is still to come: known ones must, unknown ones may.
        let first_return = left.iter().filter(|at| calls[**at].known);
        let first_return = first_return
            .map(|at| calls[*at].ret)
            .min()
            .expect("a known one is left");
        for next in 0..left.len() {
            let at = left[next];
            if calls[at].call > first_return {
                continue;
            }
            // What was called after the bound of an unknown one has passed comes after it: then it is too late for that one.
            if let Some(after) = spec.step(state, &calls[at].action, calls[at].known) {
                let now = calls[at].call;
                let mut rest: Vec<usize> = left.to_vec();
                rest.remove(next);
                rest.retain(|other| calls[*other].known || calls[*other].ret > now);
                if go(spec, calls, after, &rest) {
                    return true;
                }
            }
        }
        false
    }
    let state = spec.initial();
    let left: Vec<usize> = (0..history.len()).collect();
    go(spec, history.calls(), state, &left)
}

/// A drawn operation: what it does, for how many events it is open, whether its outcome is known, and whether an unknown one is
/// bounded.
type Drawn<A> = (A, u8, u8);

/// Lays drawn operations out in time: each of a few clients calls one after the other.
fn lay_out<A>(drawn: Vec<Drawn<A>>, clients: usize) -> History<A> {
    let mut free_at = vec![0u32; clients];
    let mut calls = Vec::new();
    for (index, (action, length, fate)) in drawn.into_iter().enumerate() {
        let client = index % clients;
        // Positions are made distinct by the index in the low digits.
        let call = free_at[client] * 64 + 2 * index as u32;
        let end = free_at[client] + 1 + u32::from(length);
        let ret = end * 64 + 2 * index as u32 + 1;
        free_at[client] = end;
        let (known, ret) = match fate {
            0 => (false, NEVER),
            1 => (false, ret),
            _ => (true, ret),
        };
        calls.push(Call {
            call,
            ret,
            known,
            action,
        });
    }
    History::new(calls)
}

/// Every answer of the fast ones must be that of the definition, and an order that they give must replay.
fn agree<S: Spec>(spec: &mut S, history: &History<S::Action>) -> Result<bool, TestCaseError>
where
    S::Action: std::fmt::Debug,
{
    let legal = brute_force(spec, history);
    if let Some(certificate) = refute::refute(spec, history) {
        prop_assert!(!legal, "{certificate:?} refutes a legal history");
        let support = certificate.support(spec, history);
        let alone = cores::keep(spec, history, &support, Others::AtAnyTime);
        prop_assert!(
            !brute_force(spec, &alone),
            "{certificate:?} with {support:?}"
        );
        cores::is_right(spec, history, &Refutation::Certificate(certificate))?;
    }
    match search::search(spec, history, &mut Budget::new(Effort::default())) {
        Outcome::Legal(order) => {
            prop_assert!(legal, "the search found an order: {order:?}");
            prop_assert_eq!(order::replay_order(spec, history, &order), Ok(()));
        }
        Outcome::Illegal(why) => {
            prop_assert!(!legal, "the search refused it: {why:?}");
            cores::is_right(spec, history, &why)?;
        }
        Outcome::Unknown { .. } => prop_assert!(false, "no answer"),
    }
    Ok(legal)
}

fn drawn<A: std::fmt::Debug + Clone>(
    action: impl Strategy<Value = A>,
) -> impl Strategy<Value = Vec<Drawn<A>>> {
    let fate = prop_oneof![1 => Just(0u8), 1 => Just(1u8), 8 => Just(2u8)];
    proptest::collection::vec((action, 0u8..4, fate), 1..9)
}

fn register_action(values: u32) -> impl Strategy<Value = RegisterAction> {
    let value = 0..values;
    prop_oneof![
        4 => value.clone().prop_map(RegisterAction::Read),
        4 => value.clone().prop_map(RegisterAction::Write),
        2 => (value.clone(), value.clone()).prop_map(|(from, to)| RegisterAction::Swap(from, to)),
        1 => value.prop_map(RegisterAction::Refuse),
    ]
}

/// Every enqueue of an element of its own.
fn each_its_own(actions: Vec<Drawn<QueueAction>>) -> Vec<Drawn<QueueAction>> {
    let mut next = 0;
    let mut own = |action| match action {
        QueueAction::Enqueue(_) => {
            next += 1;
            QueueAction::Enqueue(next - 1)
        }
        other => other,
    };
    (actions.into_iter())
        .map(|(action, length, fate)| (own(action), length, fate))
        .collect()
}

/// A call whose outcome is known.
fn call<A>(call: u32, ret: u32, action: A) -> Call<A> {
    Call {
        call,
        ret,
        known: true,
        action,
    }
}

/// A hundred thousand cases of each object in CI; a campaign asks for more with `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if default.cases == 256 {
        100_000
    } else {
        default.cases
    };
    ProptestConfig { cases, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn registers_of_few_values(actions in drawn(register_action(3)), clients in 2usize..5) {
        agree(&mut Register { values: 3 }, &lay_out(actions, clients))?;
    }

    #[test]
    fn registers_of_different_values(actions in drawn(register_action(6)), clients in 2usize..5) {
        // Each write its own value, so that clusters are contiguous and their certificates are tried.
        let mut next = 0;
        let actions = actions.into_iter().map(|(action, length, fate)| {
            next += 1;
            let action = match action {
                RegisterAction::Write(_) => RegisterAction::Write(next),
                RegisterAction::Swap(from, _) => RegisterAction::Swap(from, next),
                other => other,
            };
            (action, length, fate)
        }).collect();
        agree(&mut Register { values: 12 }, &lay_out(actions, clients))?;
    }

    #[test]
    fn counters(actions in drawn(prop_oneof![
        3 => (-1i64..3).prop_map(CounterAction::Add),
        1 => (1i64..3, 0i64..5).prop_map(|(more, sum)| CounterAction::AddAndGet(more, sum)),
        3 => (0i64..4).prop_map(CounterAction::Read),
    ]), clients in 2usize..5) {
        agree(&mut Counter, &lay_out(actions, clients))?;
    }

    #[test]
    fn mutexes(actions in drawn(prop_oneof![
        4 => (1u32..4).prop_map(MutexAction::Acquire),
        4 => (1u32..4).prop_map(MutexAction::Release),
        1 => Just(MutexAction::Refused),
    ]), clients in 2usize..5) {
        agree(&mut Mutex { clients: 4 }, &lay_out(actions, clients))?;
    }

    #[test]
    fn fenced_mutexes(actions in drawn(prop_oneof![
        4 => (1u32..4, 0i64..4).prop_map(|(client, token)| FencedAction::Acquire(client, token)),
        4 => (1u32..4).prop_map(FencedAction::Release),
        1 => Just(FencedAction::Refused),
    ]), clients in 2usize..5) {
        agree(&mut Fenced, &lay_out(actions, clients))?;
    }

    #[test]
    fn sets(actions in drawn(prop_oneof![
        3 => (0u32..3, proptest::option::of(any::<bool>())).prop_map(|(element, new)| SetAction::Add(element, new)),
        2 => (0u32..3, proptest::option::of(any::<bool>())).prop_map(|(element, there)| SetAction::Remove(element, there)),
        2 => (0u32..3, any::<bool>()).prop_map(|(element, there)| SetAction::Contains(element, there)),
        2 => (0u32..8).prop_map(SetAction::Read),
    ]), clients in 2usize..5) {
        let mut set = Set::new(3);
        let names: Vec<u32> = (0..8u32).map(|bits| set.content((0..3).filter(|element| bits >> element & 1 == 1))).collect();
        let actions = actions.into_iter().map(|(action, length, fate)| match action {
            SetAction::Read(bits) => (SetAction::Read(names[bits as usize]), length, fate),
            other => (other, length, fate),
        }).collect();
        agree(&mut set, &lay_out(actions, clients))?;
    }

    #[test]
    fn queues(actions in drawn(prop_oneof![
        4 => (0u32..3).prop_map(QueueAction::Enqueue),
        4 => (0u32..3).prop_map(QueueAction::Dequeue),
        1 => Just(QueueAction::Empty),
    ]), clients in 2usize..5) {
        agree(&mut Queue::new(10), &lay_out(actions, clients))?;
    }

    #[test]
    fn queues_of_different_elements(actions in drawn(prop_oneof![
        5 => Just(QueueAction::Enqueue(0)),
        5 => (0u32..5).prop_map(QueueAction::Dequeue),
        1 => Just(QueueAction::Empty),
    ]), clients in 2usize..5) {
        agree(&mut Queue::new(10), &lay_out(each_its_own(actions), clients))?;
    }

    #[test]
    fn queues_with_drains(actions in drawn(prop_oneof![
        4 => Just(QueueAction::Enqueue(0)),
        2 => (0u32..5).prop_map(QueueAction::Dequeue),
        1 => Just(QueueAction::Empty),
    ]), taken in proptest::collection::vec((0u32..2, 0u32..3, 0u32..5), 0..4), clients in 2usize..5) {
        let mut actions: Vec<Drawn<DrainAction>> = (each_its_own(actions).into_iter())
            .map(|(action, length, fate)| (DrainAction::Queue(action), length, fate))
            .collect();
        for (at, (drain, place, element)) in taken.into_iter().enumerate() {
            let at = (2 * at + 1).min(actions.len());
            actions.insert(at, (DrainAction::Taken { drain, place, element }, 2, 2));
        }
        actions.truncate(9);
        agree(&mut Drained::new(10, 2), &lay_out(actions, clients))?;
    }

    #[test]
    fn sets_of_different_elements(actions in drawn(prop_oneof![
        6 => proptest::option::weighted(0.2, any::<bool>()).prop_map(|new| SetAction::Add(0, new)),
        1 => (0u32..5, proptest::option::of(any::<bool>())).prop_map(|(element, there)| SetAction::Remove(element, there)),
        2 => (0u32..5, any::<bool>()).prop_map(|(element, there)| SetAction::Contains(element, there)),
        3 => (0u32..32).prop_map(SetAction::Read),
    ]), clients in 2usize..5) {
        let mut set = Set::new(9);
        let names: Vec<u32> = (0..32u32).map(|bits| set.content((0..5).filter(|element| bits >> element & 1 == 1))).collect();
        let mut next = 0;
        let actions = actions.into_iter().map(|(action, length, fate)| {
            let action = match action {
                SetAction::Add(_, new) => {
                    next += 1;
                    SetAction::Add(next - 1, new)
                }
                // Mostly a look at what was there so far.
                SetAction::Read(bits) if bits % 4 > 0 => SetAction::Read(names[(bits | 24) as usize & ((1 << next.min(5)) - 1)]),
                SetAction::Read(bits) => SetAction::Read(names[bits as usize]),
                other => other,
            };
            (action, length, fate)
        }).collect();
        agree(&mut set, &lay_out(actions, clients))?;
    }

    #[test]
    fn texts(actions in drawn(prop_oneof![
        3 => (1u32..4).prop_map(TextAction::Append),
        1 => (0u32..4).prop_map(TextAction::Put),
        4 => (0u32..8).prop_map(TextAction::Get),
    ]), clients in 2usize..5) {
        let strings: Vec<Box<str>> = ["", "a", "b", "ab", "ba", "aab", "bab", "abab"].map(Box::from).to_vec();
        let history = lay_out(actions, clients);
        let mut text = Text::new(strings, history.calls().iter().map(|call| &call.action));
        agree(&mut text, &history)?;
    }
}
