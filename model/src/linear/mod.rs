//! Linearizability of histories without a witness: is there *any* order of the operations that keeps real time and that the
//! object could have answered so?
//!
//! The question is NP-complete in general (Gibbons and Korach, "Testing Shared Memories", 1997), and near-linear on the
//! histories that people have, if the search is told where not to look. This module is that search, for anybody's
//! histories: a [`Spec`] says what the object does, a [`History`] says what the clients saw, and [`check`] answers with a
//! proof either way or admits that it ran out of effort or memory:
//!
//! * [`Outcome::Legal`] carries an order that was replayed step by step, by code that knows nothing of the search ([`order`]);
//! * [`Outcome::Illegal`] was refuted by a certificate of a few operations ([`refute`](mod@refute)) or by a search
//!   that was exhausted ([`search`](mod@search)); [`core`](fn@core) finds the few operations that contradict each other;
//! * [`Outcome::Unknown`] says how far the search got, and what ended it.
//!
//! *Formulation.* A history is linearizable exactly if there is an order of all calls of known outcome and of some of unknown
//! outcome in which whoever returned before another one was called comes first, and in which the object, asked one after the
//! other, gives every answer that was observed (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent
//! Objects", TOPLAS 1990, section 2). An operation of unknown outcome may take effect at any time after its call and
//! before its bound, or never. Histories of objects made of independent parts, such as the keys of a store, are decided part by
//! part (P-compositionality: Herlihy and Wing, theorem 1; Horn and Kroening, "Faster Linearizability Checking via
//! P-Compositionality", 2015) by [`check_parts`].

mod budget;
pub mod generate;
mod history;
pub mod models;
pub mod order;
pub mod refute;
pub mod search;
mod shrink;
mod spec;
mod trie;

pub use budget::{Budget, Effort, Limit, MEMORY_MAX};
pub use history::{Call, History, NEVER, Position};
pub use shrink::{Core, Others, Prefix, core};
pub use spec::{Became, NONE, Spec, Value};

/// What became of a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There is an order. The calls that took effect, in that order, by their index in the history.
    Legal(Vec<u32>),
    /// There is none.
    Illegal(Refutation),
    /// There was no answer within the effort and the memory that it may take.
    Unknown {
        /// The furthest event that some order explained, counted from the history's first.
        reached: u32,
        /// How many events there are.
        of: u32,
        /// What ended it.
        limit: Limit,
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

/// Decides a history: first looks for a short certificate against it, then for an order.
pub fn check<S: Spec>(spec: &mut S, history: &History<S::Action>, effort: Effort) -> Outcome {
    check_within(spec, history, &mut Budget::new(effort))
}

/// [`check`], with what is left of a budget.
fn check_within<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    budget: &mut Budget,
) -> Outcome {
    if let Some(certificate) = refute::refute(spec, history) {
        return Outcome::Illegal(Refutation::Certificate(certificate));
    }
    prove(spec, history, budget)
}

/// Searches for an order, and believes one only once it was replayed.
fn prove<S: Spec>(spec: &mut S, history: &History<S::Action>, budget: &mut Budget) -> Outcome {
    let outcome = search::search(spec, history, budget);
    if let Outcome::Legal(order) = &outcome {
        let replayed = order::replay_order(spec, history, order);
        assert_eq!(replayed, Ok(()), "the search's order is an order");
    }
    outcome
}

/// Decides the parts of a history, each of which is an object of its own. They share one effort, which is dealt out in rounds, so that
/// one hard part cannot hide that another is plainly illegal. Gives the first part that is found illegal; else one that is
/// unknown; else `None`: all are legal.
pub fn check_parts<S: Spec>(
    parts: &mut [(S, History<S::Action>)],
    effort: Effort,
) -> Option<(usize, Outcome)> {
    check_parts_within(parts, &mut Budget::new(effort))
}

fn check_parts_within<S: Spec>(
    parts: &mut [(S, History<S::Action>)],
    budget: &mut Budget,
) -> Option<(usize, Outcome)> {
    const FIRST: u64 = 4;
    const LATER: u64 = 8;
    for (at, (spec, history)) in parts.iter_mut().enumerate() {
        if let Some(certificate) = refute::refute(spec, history) {
            return Some((at, Outcome::Illegal(Refutation::Certificate(certificate))));
        }
    }
    let operations = parts.iter().map(|(_, history)| history.len() as u64);
    let mut round = FIRST * operations.max().unwrap_or(0) + 1_000;
    let mut open: Vec<usize> = (0..parts.len()).collect();
    // Those that memory ended: more steps would not help them.
    let mut given_up = None;
    while !open.is_empty() {
        let mut left = Vec::new();
        let mut unknown = None;
        for at in open {
            let (spec, history) = &mut parts[at];
            let outcome = budget.lend(round, |budget| prove(spec, history, budget));
            match outcome {
                Outcome::Legal(_) => {}
                Outcome::Illegal(_) => return Some((at, outcome)),
                Outcome::Unknown {
                    limit: Limit::Memory,
                    ..
                } => {
                    given_up.get_or_insert((at, outcome));
                }
                Outcome::Unknown {
                    limit: Limit::Effort,
                    ..
                } => {
                    left.push(at);
                    unknown.get_or_insert((at, outcome));
                }
            }
        }
        if budget.left() == 0 && unknown.is_some() {
            return unknown;
        }
        open = left;
        round = round.saturating_mul(LATER);
    }
    given_up
}

#[cfg(test)]
mod tests;
