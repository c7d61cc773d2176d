//! Linearizability of histories without a witness: is there *any* order of the operations that keeps real time and that the
//! object could have answered so?
//!
//! The question is NP-complete in general (Gibbons and Korach, "Testing Shared Memories", 1997), and near-linear on the
//! histories that people have, if the search is told where not to look. This module is that search, for anybody's
//! histories: a [`Spec`] says what the object does, a [`History`] says what the clients saw, and [`check`] answers with a
//! proof either way or admits that it ran out of effort:
//!
//! * [`Outcome::Legal`] carries an order that was replayed step by step;
//! * [`Outcome::Illegal`] was refuted by a certificate of three or four operations ([`refute`](mod@refute)) or by a search
//!   that was exhausted ([`search`](mod@search));
//! * [`Outcome::Unknown`] says how far the search got.
//!
//! An operation of unknown outcome may take effect at any time after its call and before its bound, or never. Histories of
//! objects made of independent parts, such as the keys of a store, are split first (P-compositionality: Herlihy and Wing,
//! "Linearizability", 1990, theorem 1; Horn and Kroening, 2015) by [`check_parts`].

pub mod generate;
mod history;
pub mod models;
pub mod order;
pub mod refute;
pub mod search;
mod shrink;
mod spec;
mod trie;

pub use history::{Call, History, NEVER, Position};
pub use shrink::{Core, core};
pub use spec::{NONE, Spec, Value};

/// What became of a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There is an order. The calls that took effect, in that order, by their index in the history.
    Legal(Vec<u32>),
    /// There is none.
    Illegal(Refutation),
    /// The effort was spent before an answer was found.
    Unknown {
        /// The furthest event that some order explained, counted from the history's first.
        reached: u32,
        /// How many events there are.
        of: u32,
    },
}

/// Why there is no order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refutation {
    /// A few operations that contradict each other, whatever the others did.
    Certificate(refute::Certificate),
    /// Every order fails at this event at the latest: the return of this call.
    Exhausted {
        /// The furthest event that some order explained.
        reached: u32,
        /// The call that returned there and had no place.
        call: u32,
    },
}

/// How much a search may try before it gives up, in operations that it placed (also those that it took back).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Effort(pub u64);

impl Default for Effort {
    /// Some minutes of one core in the worst case; ordinary histories need one step for each operation.
    fn default() -> Effort {
        Effort(200_000_000)
    }
}

/// Decides a history: first looks for a short certificate against it, then for an order.
pub fn check<S: Spec>(spec: &mut S, history: &History<S::Action>, effort: Effort) -> Outcome {
    if let Some(certificate) = refute::refute(spec, history) {
        return Outcome::Illegal(Refutation::Certificate(certificate));
    }
    search::search(spec, history, effort)
}

/// Decides the parts of a history, each of which is an object of its own. Effort is dealt out in rounds, so that one hard part
/// cannot hide that another is plainly illegal. Gives the first part that is illegal; else one that is unknown; else `None`:
/// all are legal.
pub fn check_parts<S: Spec>(
    parts: &mut [(S, History<S::Action>)],
    effort: Effort,
) -> Option<(usize, Outcome)> {
    const FIRST: u64 = 4;
    let operations = parts.iter().map(|(_, history)| history.len() as u64);
    let mut budget = FIRST * operations.max().unwrap_or(0) + 1_000;
    for (at, (spec, history)) in parts.iter_mut().enumerate() {
        if let Some(certificate) = refute::refute(spec, history) {
            return Some((at, Outcome::Illegal(Refutation::Certificate(certificate))));
        }
    }
    let mut open: Vec<usize> = (0..parts.len()).collect();
    let mut unknown = None;
    while !open.is_empty() {
        let round = Effort(budget.min(effort.0));
        unknown = None;
        let mut left = Vec::new();
        for at in open {
            let (spec, history) = &mut parts[at];
            match search::search(spec, history, round) {
                Outcome::Legal(_) => {}
                illegal @ Outcome::Illegal(_) => return Some((at, illegal)),
                outcome => {
                    unknown.get_or_insert((at, outcome));
                    left.push(at);
                }
            }
        }
        if round == effort {
            return unknown;
        }
        open = left;
        budget *= 8;
    }
    unknown
}

#[cfg(test)]
mod tests;
