//! Linearizability with a witness: an order of the operations, or a number on each that says when it had its turn.
//!
//! *Formulation* (G1 with a witness). An order of calls is a linearization exactly if (1) every call of known outcome is in it, and none twice; (2) of
//! any two, the one that returned before the other was called comes first; (3) the object, asked in this order, gives every
//! answer that was observed. (Herlihy and Wing, "Linearizability", TOPLAS 1990, section 2.) The second takes no look at
//! pairs: a call must not have returned before the latest call of those that come before it.
//!
//! The witness is not believed, it is replayed. Accepting is a proof, in O(n log n) at most and with no search; rejecting says
//! only that *this* order is none. Whatever the search accepts goes through here too ([`check`](super::check)).

use super::history::{History, NEVER, Position};
use super::spec::Spec;

/// Why the order of a witness is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// A call of known outcome has no turn, or a call has two.
    Turns {
        /// The call.
        call: u32,
    },
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
/// same turn see the same state: those that change it come first, the others by the time they were called.
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
            None if call.known => return Err(Misfit::Turns { call: at as u32 }),
            None => {}
        }
    }
    if !order.is_sorted() {
        order.sort_unstable();
    }
    in_turn(spec, history, order.into_iter().map(|(.., at)| at))
}

/// Replays an order: the calls that took effect, by their index in the history.
pub fn replay_order<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    order: &[u32],
) -> Result<(), Misfit> {
    let mut placed = vec![false; history.len()];
    for at in order {
        if std::mem::replace(&mut placed[*at as usize], true) {
            return Err(Misfit::Turns { call: *at });
        }
    }
    let mut calls = history.calls().iter().zip(placed);
    if let Some(missing) = calls.position(|(call, placed)| call.known && !placed) {
        return Err(Misfit::Turns {
            call: missing as u32,
        });
    }
    in_turn(spec, history, order.iter().copied())
}

fn in_turn<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    order: impl Iterator<Item = u32>,
) -> Result<(), Misfit> {
    let calls = history.calls();
    let mut state = spec.initial();
    // The last to be called of those that had their turn.
    let (mut called, mut called_at): (u32, Position) = (0, 0);
    for at in order {
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
