//! The verdict on a history that was read, in words.

use super::bind::{Bound, Part};
use super::calls::Calls;
use crate::linear::refute::Certificate;
use crate::linear::{Core, Effort, History, Outcome, Refutation, Spec, check_parts, core};

/// Whether a history is linearizable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is; so many parts were decided, each for itself.
    Legal {
        /// How many.
        parts: usize,
    },
    /// It is not.
    Illegal(Counterexample),
    /// The effort was spent.
    Unknown {
        /// Which part was left open.
        part: String,
        /// How many of its events an order was found for.
        reached: u32,
        /// Of how many.
        of: u32,
    },
}

/// What proves that a history has no order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    /// The key or element that it is about; empty: the object is one.
    pub part: String,
    /// The calls that contradict each other, by their place among all calls.
    pub calls: Vec<u32>,
    /// Whether none of them can be left out.
    pub is_minimal: bool,
    /// Why they do, in a sentence.
    pub reason: String,
    /// How many calls of the part had an order before the contradiction was complete.
    pub prefix: usize,
}

/// Decides a history.
pub fn decide(calls: &Calls, bound: Bound, effort: Effort) -> Verdict {
    match bound {
        Bound::Registers(parts) => decide_parts(calls, parts, effort),
        Bound::Texts(parts) => decide_parts(calls, parts, effort),
        Bound::Sets(parts) => decide_parts(calls, parts, effort),
        Bound::Counter(part) => decide_parts(calls, vec![part], effort),
        Bound::Queue(part) => decide_parts(calls, vec![part], effort),
        Bound::Drained(part) => decide_parts(calls, vec![part], effort),
        Bound::Mutex(part) => decide_parts(calls, vec![part], effort),
        Bound::Fenced(part) => decide_parts(calls, vec![part], effort),
    }
}

fn decide_parts<S: Spec>(calls: &Calls, parts: Vec<Part<S>>, effort: Effort) -> Verdict {
    let count = parts.len();
    let mut labels = Vec::new();
    let mut objects: Vec<(S, History<S::Action>)> = Vec::new();
    for part in parts {
        labels.push((part.name, part.places));
        objects.push((part.spec, part.history));
    }
    let Some((at, outcome)) = check_parts(&mut objects, effort) else {
        return Verdict::Legal { parts: count };
    };
    let (name, places) = labels.swap_remove(at);
    let (mut spec, history) = objects.swap_remove(at);
    match outcome {
        Outcome::Legal(_) => Verdict::Legal { parts: count },
        Outcome::Unknown { reached, of } => Verdict::Unknown {
            part: name,
            reached,
            of,
        },
        Outcome::Illegal(refutation) => {
            let core = core(&mut spec, &history, &refutation);
            let say = |at: u32| calls.calls[places[at as usize] as usize].to_string();
            let mut contradicting: Vec<u32> =
                (core.calls.iter().map(|at| places[*at as usize])).collect();
            // A drain is one call, however much of what it took is part of it.
            contradicting.dedup();
            Verdict::Illegal(Counterexample {
                part: name,
                reason: reason(&refutation, &core, say),
                calls: contradicting,
                is_minimal: core.is_minimal,
                prefix: core.prefix.len(),
            })
        }
    }
}

fn reason(refutation: &Refutation, core: &Core, say: impl Fn(u32) -> String) -> String {
    let Refutation::Certificate(certificate) = refutation else {
        return match core.calls.len() {
            0 => "no order explains it, whatever was observed".to_owned(),
            1 => "whatever the others did, this one could not happen".to_owned(),
            count => format!(
                "no order of these {count} explains what they observed, even if every other operation may have happened at \
                 any time after its call, or never"
            ),
        };
    };
    match *certificate {
        Certificate::NeverMade { observer } => {
            format!("[{}] observed what nobody ever wrote", say(observer))
        }
        Certificate::FromTheFuture { observer, maker } => format!(
            "[{}] observed what was written by [{}] at the earliest, which was called only after it had returned",
            say(observer),
            say(maker)
        ),
        Certificate::Stale {
            maker,
            change,
            observer,
        } => {
            let maker = match maker {
                Some(maker) => format!("what [{}] wrote last", say(maker)),
                None => "what was there at first".to_owned(),
            };
            format!(
                "a stale observation: [{}] observed {maker}; but after that [{}] was called, which changed it and returned before \
                 the observer was called",
                say(observer),
                say(change)
            )
        }
        Certificate::Overtaken { other, observer } => format!(
            "[{}] observed what was there at first and what nobody wrote again, although [{}] had returned before it was called",
            say(observer),
            say(other)
        ),
        Certificate::Interleaved {
            before_one,
            after_one,
            before_two,
            after_two,
        } => format!(
            "two values, each written once, and neither can come before the other: [{}] returned before [{}] was called, and \
             [{}] before [{}]",
            say(before_one),
            say(after_one),
            say(before_two),
            say(after_two)
        ),
    }
}
