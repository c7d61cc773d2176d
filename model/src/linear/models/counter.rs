//! A counter: added to, and read.
//!
//! *Formulation.* The state is a whole number, 0 at first. `Add(k)` makes `n` into `n + k`; `AddAndGet(k, m)` does so and is right if
//! that is `m`; `Read(m)` is right if `n = m`. Sums wrap around at 64 bits. Source: the counter of Jepsen's tests, as a
//! sequential object (Herlihy and Wing, TOPLAS 1990, section 2), each read exactly and not only between bounds.

use crate::linear::Spec;

/// The counter; 0 at first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counter;

/// What was done to a counter, and what was observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CounterAction {
    /// So much was added (taken away, where it is negative).
    Add(i64),
    /// So much was added, and it came to that much.
    AddAndGet(i64, i64),
    /// It stood at this.
    Read(i64),
}

impl Spec for Counter {
    type State = i64;
    type Action = CounterAction;

    fn initial(&mut self) -> i64 {
        0
    }

    fn step(&mut self, state: i64, action: &CounterAction, known: bool) -> Option<i64> {
        match *action {
            CounterAction::Add(more) => (known || more != 0).then(|| state.wrapping_add(more)),
            CounterAction::AddAndGet(more, sum) => {
                let after = state.wrapping_add(more);
                (if known { after == sum } else { more != 0 }).then_some(after)
            }
            CounterAction::Read(value) => (state == value && known).then_some(state),
        }
    }

    fn is_pure(&self, action: &CounterAction, _known: bool) -> bool {
        match *action {
            CounterAction::Add(more) | CounterAction::AddAndGet(more, _) => more == 0,
            CounterAction::Read(_) => true,
        }
    }
}
