//! A counterexample that a person can use: the few operations of an illegal history that already contradict each other.
//!
//! Leaving operations out of a history proves nothing: a read without its write is always illegal. What may be done is to *relax*:
//! to forget a result. An operation that changed nothing is dropped, one that changed something becomes one of unknown outcome, which
//! may have taken effect at any time since its call, or never. If what is left is still illegal, so was the whole. The core is
//! what cannot be relaxed any further: each of its operations is needed for the contradiction, and all others are free to have
//! happened or not.

use super::history::{Call, History, NEVER, Position};
use super::search::search;
use super::{Effort, Outcome, Refutation, Spec};

/// Why a history is illegal, in as few operations as could be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Core {
    /// The calls that have no order together, by their index in the history, in the order of their calls.
    pub calls: Vec<u32>,
    /// Whether none of them can be left out.
    pub is_minimal: bool,
    /// The event up to which there is an order: all before it.
    pub reached: Position,
    /// An order for everything that had returned before that event; where the search found one.
    pub prefix: Vec<u32>,
}

/// Shrinks what refutes a history to its core.
pub fn core<S: Spec>(spec: &mut S, history: &History<S::Action>, refutation: &Refutation) -> Core {
    let (calls, is_minimal, reached) = match refutation {
        Refutation::Certificate(certificate) => {
            let calls = certificate.calls();
            // It is complete with the return of its last call.
            let returns = calls.iter().map(|at| history.calls()[*at as usize].ret);
            let reached = returns.filter(|ret| *ret != NEVER).max().unwrap_or(0);
            (calls, true, reached)
        }
        Refutation::Exhausted { reached, .. } => {
            let (calls, is_minimal) = Shrinking {
                spec,
                history,
                tries: 0,
            }
            .run(*reached);
            (calls, is_minimal, *reached)
        }
    };
    // What had returned before the contradiction was complete; the rest is open.
    let before = relaxed(spec, history, |call| call.ret < reached);
    let prefix = match search(spec, &before.0, TRY) {
        Outcome::Legal(order) => order.iter().map(|at| before.1[*at as usize]).collect(),
        _ => Vec::new(),
    };
    Core {
        calls,
        is_minimal,
        reached,
        prefix,
    }
}

/// What one attempt may cost, and how many there may be.
const TRY: Effort = Effort(2_000_000);
const TRIES: u32 = 2_000;

struct Shrinking<'a, S: Spec> {
    spec: &'a mut S,
    history: &'a History<S::Action>,
    tries: u32,
}

impl<'a, S: Spec> Shrinking<'a, S> {
    fn run(mut self, reached: Position) -> (Vec<u32>, bool) {
        let calls = self.history.calls();
        // What returned later cannot matter: the contradiction was complete.
        let known = (0..calls.len() as u32).filter(|at| {
            let call = &calls[*at as usize];
            call.known && call.ret <= reached
        });
        let mut core: Vec<u32> = known.collect();
        core.sort_unstable_by_key(|at| calls[*at as usize].ret);
        self.keep_last(&mut core);
        let is_minimal = self.leave_out(&mut core);
        core.sort_unstable();
        (core, is_minimal)
    }

    /// The last few are mostly enough: doubles their number until they are.
    fn keep_last(&mut self, core: &mut Vec<u32>) {
        let mut count = 8;
        while count < core.len() {
            let last = &core[core.len() - count..];
            if self.is_illegal(last) {
                *core = last.to_vec();
                return;
            }
            count *= 2;
        }
    }

    /// Leaves out whatever can be, in ever smaller pieces (delta debugging: Zeller and Hildebrandt, 2002).
    fn leave_out(&mut self, core: &mut Vec<u32>) -> bool {
        let mut piece = core.len() / 2;
        while piece > 0 {
            let mut from = 0;
            let mut left_out = false;
            while from < core.len() {
                let to = (from + piece).min(core.len());
                let rest = [&core[..from], &core[to..]].concat();
                if self.tries >= TRIES {
                    return false;
                }
                if self.is_illegal(&rest) {
                    *core = rest;
                    left_out = true;
                } else {
                    from = to;
                }
            }
            // With one at a time, a pass that leaves nothing out is the end; before, go on to smaller pieces.
            if piece > 1 || !left_out {
                piece /= 2;
            }
        }
        true
    }

    fn is_illegal(&mut self, known: &[u32]) -> bool {
        self.tries += 1;
        let mut known = known.to_vec();
        known.sort_unstable();
        let mut next = 0;
        let (history, _) = relaxed(self.spec, self.history, |call| {
            // Calls are visited in their order.
            let is = known
                .get(next)
                .is_some_and(|at| std::ptr::eq(call, &self.history.calls()[*at as usize]));
            next += usize::from(is);
            is
        });
        matches!(search(self.spec, &history, TRY), Outcome::Illegal(_))
    }
}

/// The history with only some results kept, and where each of its calls stands in the whole one.
fn relaxed<S: Spec>(
    spec: &S,
    history: &History<S::Action>,
    mut keeps: impl FnMut(&Call<S::Action>) -> bool,
) -> (History<S::Action>, Vec<u32>) {
    let mut calls = Vec::new();
    let mut places = Vec::new();
    for (at, call) in history.calls().iter().enumerate() {
        let kept = call.known && keeps(call);
        if !kept && spec.is_pure(&call.action, call.known) {
            continue;
        }
        places.push(at as u32);
        calls.push(Call {
            known: kept,
            ret: if kept || !call.known { call.ret } else { NEVER },
            ..call.clone()
        });
    }
    (History::new(calls), places)
}
