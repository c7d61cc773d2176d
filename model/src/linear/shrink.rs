//! A counterexample that a person can use: the few operations of an illegal history that already contradict each other, and the
//! longest beginning of it that has an order.
//!
//! *Formulation.* Leaving operations out of a history proves nothing: a read without its write is always illegal. What may be done is
//! to *relax*: to forget what was observed of an operation. If its answer shows that it changed nothing, it is dropped; else its
//! outcome becomes unknown: it may have taken effect, or never. A history that has an order has one relaxed too; so if a relaxed
//! one has none, neither has the whole. A *core* is a set of operations of known outcome that cannot be ordered even if all
//! others are relaxed, and it is minimal if that is no longer so when any one of it is relaxed too. How free the others are
//! is said with it ([`Others`]): at any time after their calls is the stronger claim, because the core then stands by itself.
//! But where values come again, any of a thousand writes that never ended could explain what was read, and all of them would
//! belong to the core; there, the others keep their time.
//!
//! The *prefix* keeps the operations that returned first and relaxes all others, whenever they may end; what is called after the
//! last of them is of no consequence and left out. The longer it is, the less can it be ordered, so that the longest is found by
//! halving.
//!
//! Each answer is decided by the refuter or the search, and never taken from where the search of the whole history gave up: its
//! look-ahead makes it fail before the contradiction is complete. What could not be decided within the effort is said.
//! (The way in which a core is made smaller: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.)

use super::budget::{Budget, Effort};
use super::history::{Call, History, NEVER, Position};
use super::refute::{Certificate, refute};
use super::{Outcome, Refutation, Spec, check_within};

/// Why a history is illegal, in as few operations as could be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Core {
    /// The calls that have no order together, even if all others are relaxed: by their index in the history, in the order of
    /// their calls.
    pub calls: Vec<u32>,
    /// Whether none of them can be relaxed too.
    pub is_minimal: bool,
    /// How free the others are.
    pub others: Others,
    /// Why these calls have no order, where it is one of the short reasons. It may name others: those of which it
    /// says that they came too late.
    pub certificate: Option<Certificate>,
    /// What has an order.
    pub prefix: Prefix,
}

/// When an operation that is relaxed may have taken effect, if it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// At any time after its call.
    AtAnyTime,
    /// Between its call and its return.
    InTheirTime,
}

/// The beginning of an illegal history that has an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// How many calls of known outcome, the first to return, have an order.
    pub returned: usize,
    /// The one of them that returned last.
    pub last: Option<u32>,
    /// The one that returned next.
    pub next: u32,
    /// Whether there is no order any more with that one. If not, the effort was spent before that was known.
    pub is_longest: bool,
    /// An order of the prefix: those that returned, and whatever else had to take effect. Empty if none was written down within
    /// the effort.
    pub order: Vec<u32>,
}

impl Prefix {
    /// The same, with each of its calls told by another number.
    pub fn told(self, place: impl Fn(u32) -> u32) -> Prefix {
        Prefix {
            last: self.last.map(&place),
            next: place(self.next),
            order: self.order.into_iter().map(&place).collect(),
            ..self
        }
    }
}

/// Shrinks what refutes a history to its core, and finds the longest prefix, within an effort: one half of it for each.
///
/// # Panics
/// If the history is refuted without any call of known outcome: it cannot be.
pub fn core<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    refutation: &Refutation,
    effort: Effort,
) -> Core {
    let events = history.events().iter();
    let returned = events
        .filter(|event| *event & 1 == 1)
        .map(|event| event >> 1);
    let mut shrinking = Shrinking {
        returned: returned
            .filter(|at| history.calls()[*at as usize].known)
            .collect(),
        support: match refutation {
            Refutation::Certificate(certificate) => certificate.support(spec, history),
            Refutation::Exhausted { .. } => Vec::new(),
        },
        refuted: 0,
        spec,
        history,
    };
    let mut budget = Budget::new(effort);
    let half = budget.left() / 2;
    let prefix = budget.lend(half, |budget| shrinking.prefix(refutation, budget));
    shrinking.core(prefix, &mut budget)
}

struct Shrinking<'a, S: Spec> {
    spec: &'a mut S,
    history: &'a History<S::Action>,
    /// The calls of known outcome, by their returns.
    returned: Vec<u32>,
    /// The calls that a certificate is about; empty without one.
    support: Vec<u32>,
    /// So many of those that returned first are known to have no order.
    refuted: usize,
}

impl<S: Spec> Shrinking<'_, S> {
    fn ret(&self, at: u32) -> Position {
        self.history.calls()[at as usize].ret
    }

    /// How many calls had returned before a position.
    fn returned_before(&self, position: Position) -> usize {
        self.returned.partition_point(|at| self.ret(*at) < position)
    }

    fn prefix(&mut self, refutation: &Refutation, budget: &mut Budget) -> Prefix {
        // So many have an order, and so many have none.
        let (mut low, mut high) = (0, self.returned.len());
        let mut order = Vec::new();
        match refutation {
            Refutation::Certificate(_) => {
                let last = self.support.iter().map(|at| self.ret(*at)).max();
                high = self.returned_before(last.expect("a certificate is about somebody") + 1);
            }
            // All up to there had their place in some order.
            Refutation::Exhausted { reached, .. } => low = self.returned_before(*reached),
        }
        // It is mostly the next one, or the last: ever farther from there, then in the middle.
        let from_below = matches!(refutation, Refutation::Exhausted { .. });
        let (first_low, first_high) = (low, high);
        let mut stride = 1;
        while low + 1 < high {
            let untouched = if from_below {
                high == first_high
            } else {
                low == first_low
            };
            let at = match (untouched, from_below) {
                (true, true) => (low + stride).min(high - 1),
                (true, false) => high.saturating_sub(stride).max(low + 1),
                (false, _) => low + (high - low) / 2,
            };
            stride *= 2;
            match self.decide_prefix(at, budget) {
                Outcome::Legal(found) => (low, order) = (at, found),
                Outcome::Illegal(_) => high = at,
                Outcome::Unknown { .. } => break,
            }
        }
        self.refuted = high;
        if order.is_empty()
            && low > 0
            && let Outcome::Legal(found) = self.decide_prefix(low, budget)
        {
            order = found;
        }
        Prefix {
            returned: low,
            last: low.checked_sub(1).map(|last| self.returned[last]),
            next: self.returned[low],
            is_longest: low + 1 == high,
            order,
        }
    }

    /// Decides the prefix with so many returns. An order is one of the whole history's calls.
    fn decide_prefix(&mut self, count: usize, budget: &mut Budget) -> Outcome {
        let mut known = self.returned[..count].to_vec();
        known.sort_unstable();
        let (outcome, places) = self.decide(&known, Others::AtAnyTime, budget);
        match outcome {
            Outcome::Legal(order) => {
                Outcome::Legal(order.iter().map(|at| places[*at as usize]).collect())
            }
            other => other,
        }
    }

    fn core(&mut self, prefix: Prefix, budget: &mut Budget) -> Core {
        let (mut calls, mut others) = match self.certified(budget) {
            Some(support) => (support, Others::AtAnyTime),
            None => (self.base(budget), Others::InTheirTime),
        };
        let is_minimal = self.leave_out(&mut calls, others, budget);
        if self.has_none(&calls, Others::AtAnyTime, budget) == Some(true) {
            // What can be ordered without one of them can be so all the more if the others are freer.
            others = Others::AtAnyTime;
        }
        calls.sort_unstable();
        let (relaxed, places) = relaxed(self.spec, self.history, &calls, others, NEVER);
        let certificate = refute(self.spec, &relaxed);
        Core {
            certificate: certificate.map(|certificate| certificate.map(|at| places[at as usize])),
            calls,
            is_minimal,
            others,
            prefix,
        }
    }

    /// A set of a few calls that has no order whenever the others took effect, if the refuter knows one: of those that returned until
    /// the contradiction was complete, so that the last of them belongs to it.
    fn certified(&mut self, budget: &mut Budget) -> Option<Vec<u32>> {
        const FEW: usize = 8;
        let mut known = self.returned[..self.refuted].to_vec();
        let until = self.ret(known[known.len() - 1]);
        known.sort_unstable();
        let (history, places) = relaxed(self.spec, self.history, &known, Others::AtAnyTime, until);
        let certificate = refute(self.spec, &history)?;
        let support = certificate.support(self.spec, &history);
        let support: Vec<u32> = support.iter().map(|at| places[*at as usize]).collect();
        (support.len() <= FEW && self.has_none(&support, Others::AtAnyTime, budget) == Some(true))
            .then_some(support)
    }

    /// A set of calls that has no order with the others in their time, to begin with, by their returns.
    fn base(&mut self, budget: &mut Budget) -> Vec<u32> {
        let mut base = self.returned[..self.refuted].to_vec();
        // The last few are mostly enough.
        let mut count = 4;
        while count < base.len() {
            let last = &base[base.len() - count..];
            match self.has_none(last, Others::InTheirTime, budget) {
                Some(true) => {
                    base.drain(..base.len() - count);
                    break;
                }
                Some(false) => count *= 2,
                None => break,
            }
        }
        base
    }

    /// Leaves out whatever can be, in ever smaller pieces. Says whether it is known that nothing more can be.
    fn leave_out(&mut self, core: &mut Vec<u32>, others: Others, budget: &mut Budget) -> bool {
        let mut piece = core.len().div_ceil(2);
        let mut is_minimal = true;
        while piece > 0 {
            is_minimal = true;
            let mut from = 0;
            while from < core.len() {
                if budget.left() == 0 {
                    return false;
                }
                let to = (from + piece).min(core.len());
                let rest = [&core[..from], &core[to..]].concat();
                match self.has_none(&rest, others, budget) {
                    Some(true) => *core = rest,
                    // What has an order has one all the more when others are relaxed too: once is enough.
                    Some(false) => from = to,
                    None => (from, is_minimal) = (to, false),
                }
            }
            piece /= 2;
        }
        is_minimal
    }

    /// Whether these calls have no order when all others are relaxed. `None`: not decided within the budget.
    fn has_none(&mut self, known: &[u32], others: Others, budget: &mut Budget) -> Option<bool> {
        let mut known = known.to_vec();
        known.sort_unstable();
        match self.decide(&known, others, budget).0 {
            Outcome::Legal(_) => Some(false),
            Outcome::Illegal(_) => Some(true),
            Outcome::Unknown { .. } => None,
        }
    }

    /// Decides the history with these calls alone kept, given in their order; and where its calls stand in the whole.
    fn decide(
        &mut self,
        known: &[u32],
        others: Others,
        budget: &mut Budget,
    ) -> (Outcome, Vec<u32>) {
        // What one attempt may take, so that a hard one leaves something for the others.
        const ATTEMPT: u64 = 2_000_000;
        // What it takes to make a smaller history, in searching steps.
        const CALLS_A_STEP: u64 = 4;
        let until = known.iter().map(|at| self.ret(*at)).max().unwrap_or(0);
        let (history, places) = relaxed(self.spec, self.history, known, others, until);
        budget.spend(1 + history.len() as u64 / CALLS_A_STEP);
        let attempt = ATTEMPT + 4 * history.len() as u64;
        let spec = &mut *self.spec;
        let outcome = budget.lend(attempt, |budget| check_within(spec, &history, budget));
        (outcome, places)
    }
}

/// The history with only these calls kept (given in their order), all others relaxed, and those that were called after a position left
/// out; and where each of its calls stands in the whole one.
fn relaxed<S: Spec>(
    spec: &S,
    history: &History<S::Action>,
    known: &[u32],
    others: Others,
    until: Position,
) -> (History<S::Action>, Vec<u32>) {
    let mut calls = Vec::new();
    let mut places = Vec::new();
    let mut kept = known.iter().peekable();
    for (at, call) in history.calls().iter().enumerate() {
        if call.call > until {
            break;
        }
        let is_kept = kept.next_if_eq(&&(at as u32)).is_some();
        if !is_kept && spec.is_pure(&call.action, call.known) {
            continue;
        }
        places.push(at as u32);
        calls.push(Call {
            known: is_kept,
            ret: match others {
                Others::AtAnyTime if !is_kept && call.known => NEVER,
                _ => call.ret,
            },
            ..call.clone()
        });
    }
    (History::new(calls), places)
}
