//! Linearizability with a witness: a number on each operation that says in which order they took effect.
//!
//! The witness is not believed, it is replayed: each answer must be legal in its turn, and an operation that returned before
//! another one was called must come before it. Accepting is a proof, in O(n log n) at most and with no search; rejecting says only that
//! *this* order is none.

use super::history::{History, NEVER, Position};
use super::spec::Spec;

/// Why the order of a witness is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// The call's answer is not the one that the object gives in its turn.
    Answer {
        /// The call.
        call: u32,
    },
    /// One call comes after another, and had returned before the other was called.
    RealTime {
        /// The one that had returned.
        earlier: u32,
        /// The one that was called afterwards and comes first.
        later: u32,
    },
}

/// Replays a witness: for each call its turn, or `None` if it never took effect (which a known call must not). Calls with the
/// same turn see the same state: the one that changes it comes first, the others by the time they were called.
pub fn replay<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    turns: &[Option<u64>],
) -> Result<(), Misfit> {
    let calls = history.calls();
    let mut order: Vec<(u64, bool, u32)> = Vec::with_capacity(calls.len());
    for (at, call) in calls.iter().enumerate() {
        match turns[at] {
            Some(turn) => order.push((turn, spec.is_pure(&call.action, call.known), at as u32)),
            None if call.known => return Err(Misfit::Answer { call: at as u32 }),
            None => {}
        }
    }
    if !order.is_sorted() {
        order.sort_unstable();
    }
    let mut state = spec.initial();
    // The last to be called of those that had their turn.
    let (mut called, mut called_at): (u32, Position) = (0, 0);
    for (.., at) in order {
        let call = &calls[at as usize];
        if call.ret != NEVER && call.ret < called_at {
            return Err(Misfit::RealTime {
                earlier: at,
                later: called,
            });
        }
        if call.call > called_at {
            (called, called_at) = (at, call.call);
        }
        match spec.step(state, &call.action, call.known) {
            Some(after) => state = after,
            // An operation of unknown outcome that changes nothing took effect all the same.
            None if !call.known => {}
            None => return Err(Misfit::Answer { call: at }),
        }
    }
    Ok(())
}
