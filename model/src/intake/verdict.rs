//! The verdict on a history that was read, in words.

use super::bind::{Bound, Part};
use super::calls::Calls;
use crate::linear::refute::Certificate;
use crate::linear::{
    Core, Effort, History, Limit, Others, Outcome, Prefix, Spec, check_parts, core,
};

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
    /// There was no answer within the effort and the memory that it may take.
    Unknown {
        /// Which part was left open.
        part: String,
        /// How many of its events an order was found for.
        reached: u32,
        /// Of how many.
        of: u32,
        /// What ended the search.
        limit: Limit,
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
    /// The beginning of the part that has an order. Its calls too are told by their place among all calls.
    pub prefix: Prefix,
}

/// Decides a history. The effort is for all of it: three quarters for the verdict, and one quarter to say why, if there is something
/// to say.
pub fn decide(calls: &Calls, bound: Bound, effort: Effort) -> Verdict {
    match bound {
        Bound::Registers(parts) => decide_parts(calls, parts, effort),
        Bound::Texts(parts) => decide_parts(calls, parts, effort),
        Bound::Sets(parts) => decide_parts(calls, parts, effort),
        Bound::Counter(parts) => decide_parts(calls, parts, effort),
        Bound::Queue(parts) => decide_parts(calls, parts, effort),
        Bound::Drained(parts) => decide_parts(calls, parts, effort),
        Bound::Mutex(parts) => decide_parts(calls, parts, effort),
        Bound::Fenced(parts) => decide_parts(calls, parts, effort),
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
    let explaining = Effort(effort.0 / 4);
    let deciding = Effort(effort.0 - explaining.0);
    let Some((at, outcome)) = check_parts(&mut objects, deciding) else {
        return Verdict::Legal { parts: count };
    };
    let (name, places) = labels.swap_remove(at);
    let (mut spec, history) = objects.swap_remove(at);
    match outcome {
        Outcome::Legal(_) => Verdict::Legal { parts: count },
        Outcome::Unknown { reached, of, limit } => Verdict::Unknown {
            part: name,
            reached,
            of,
            limit,
        },
        Outcome::Illegal(refutation) => {
            let core = core(&mut spec, &history, &refutation, explaining);
            let place = |at: u32| places[at as usize];
            let say = |at: u32| calls.calls[place(at) as usize].to_string();
            let mut contradicting: Vec<u32> = core.calls.iter().copied().map(place).collect();
            // A drain is one call, however much of what it took is part of it.
            contradicting.dedup();
            Verdict::Illegal(Counterexample {
                part: name,
                reason: reason(&core, say),
                calls: contradicting,
                is_minimal: core.is_minimal,
                prefix: core.prefix.told(place),
            })
        }
    }
}

/// Why a core has no order. Each sentence is true of the whole history too, and says no more than that all other operations may have
/// happened or not.
fn reason(core: &Core, say: impl Fn(u32) -> String) -> String {
    let Some(certificate) = &core.certificate else {
        let when = match core.others {
            Others::AtAnyTime => "at any time after its call, or never",
            Others::InTheirTime => "at any time between its call and its return, or never",
        };
        return match core.calls.len() {
            1 => format!(
                "this one could not happen, even if every other operation that may have changed something did so {when}"
            ),
            count => format!(
                "no order of these {count} explains what they observed, even if every other operation that may have changed \
                 something did so {when}"
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
            let (maker, after) = match maker {
                Some(maker) => (
                    format!("what [{}] wrote, and nobody after it", say(maker)),
                    "after that ",
                ),
                None => (
                    "what was there at first, and nobody wrote again".to_owned(),
                    "",
                ),
            };
            format!(
                "a stale observation: [{}] observed {maker}; but {after}[{}] was called, which wrote something else and returned \
                 before the observer was called",
                say(observer),
                say(change)
            )
        }
        Certificate::Overtaken { other, observer } => format!(
            "[{}] observed what was there at first and what nobody wrote again, although [{}], which saw or wrote \
             something else, had returned before it was called",
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
