//! The search: just-in-time linearization with memory.
//!
//! *Formulation.* It looks for an order of all operations of known outcome and of some of unknown outcome that keeps real time and
//! that the object could have answered so (Herlihy and Wing, TOPLAS 1990, section 2; G1 without a witness). The answer is exact
//! either way, or there is none.
//!
//! The base is Lowe's ("Testing for Linearizability", 2017) on Wing and Gong's: walk the events in order; an operation is placed
//! only when its return is reached, and operations that are open at that moment may be placed before it. A *branch* is such a
//! return; a *configuration* there is (the return, which open operations are placed, the object's state), and one that failed
//! is never entered again. What keeps it near-linear:
//!
//! 1. *Absorption.* An operation that changes nothing and is legal now is placed at once and never branched on. (A write that
//!    happens to change nothing is not such an operation: it may be needed later.)
//! 2. *Earliest return first*, and of two open operations that do the same only the one that returns first.
//! 3. *Look-ahead.* A value in sight is not overwritten while a completed operation that is not placed still needs it and
//!    nothing that is left can bring it back. And a value that will be needed later is not brought in while another
//!    change would have to follow before.
//! 4. *What must go before.* A value that must stay in sight until some later call is brought in only after the open writes
//!    whose own time ends before that.
//! 5. *Unknown outcomes are optional, last, and goal-directed.* In a shortest order, an operation of unknown outcome is followed at
//!    once by one that needs what it made. So only those are tried that an open operation waits for; and of writes that never
//!    returned, whose values nobody asks for, the first, because one is as good as another.
//! 6. *Subsumption.* A configuration fails if one with the same event, known operations and state failed that had used only
//!    some of the same unknown ones.
//!
//! 7. *What can be told before.* What the answers of others say of an operation of unknown outcome is taken for known
//!    (`settle`), and an object may know of pairs that come in one order only ([`Spec::comes_before`]).
//!
//! All but 2's order and 4 are prunings that never lose an order, so that both answers are proofs; 2 and 4 only say what to try first.

mod mask;
mod memory;
mod plan;
mod rank;
mod settle;

use super::budget::Budget;
use super::history::{Call, History, NEVER, Position};
use super::spec::{NONE, Spec, Value};
use super::{Outcome, Refutation};
use mask::Mask;
use memory::{Memory, NO_PATH, Path};
use plan::Plan;
use settle::Settled;

/// Decides whether there is an order, within a budget, from which it takes what it used.
pub fn search<S: Spec>(spec: &mut S, history: &History<S::Action>, budget: &mut Budget) -> Outcome {
    match Settled::of(spec, history) {
        Some(settled) => settled.told(search_all(spec, &settled.history, budget)),
        None => search_all(spec, history, budget),
    }
}

/// The search, with what is still unknown.
fn search_all<S: Spec>(spec: &mut S, history: &History<S::Action>, budget: &mut Budget) -> Outcome {
    if let Err(call) = spec.foresee(history.calls()) {
        // How far others have an order nobody looked.
        return Outcome::Illegal(Refutation::Exhausted { reached: 0, call });
    }
    let plan = Plan::new(spec, history);
    // As many bits as operations are open at once: nearly always a machine word.
    match plan.slots {
        0..=64 => Search::<S, u64>::new(spec, history, plan, 0).run(budget),
        65..=128 => Search::<S, u128>::new(spec, history, plan, 0).run(budget),
        _ => {
            let none = vec![0; plan.slots.div_ceil(64)].into_boxed_slice();
            Search::<S, Box<[u64]>>::new(spec, history, plan, none).run(budget)
        }
    }
}
/// No call.
const NOBODY: u32 = u32::MAX;

/// A branch that was entered: what to restore, and what is left to try.
struct Frame<T, M> {
    event: Position,
    trail: u32,
    candidates: u32,
    path: Path,
    state: T,
    placed: M,
    /// Whether operations of unknown outcome were offered too.
    exhausted: bool,
}

struct Search<'a, S: Spec, M> {
    spec: &'a mut S,
    calls: &'a [Call<S::Action>],
    events: &'a [u32],
    plan: Plan,
    /// The next event.
    event: Position,
    state: S::State,
    /// Which slots hold a call, and which of these are placed.
    open: Vec<u32>,
    placed: M,
    /// The calls that are placed, in order.
    trail: Vec<u32>,
    frames: Vec<Frame<S::State, M>>,
    /// The candidates that each frame has left, the best last.
    candidates: Vec<u32>,
    /// Of calls of unknown outcome: whether it is used.
    used: Vec<bool>,
    /// What failed, and which operations of unknown outcome the present path has used.
    memory: Memory<S::State, M>,
    path: Path,
    /// The operations that were placed, and those of long lists that were looked at.
    steps: u64,
    looked: u64,
    reached: Position,
    /// Reused: candidates with their rank; values that somebody waits for.
    ranked: Vec<(u8, Position, u32)>,
    goals: Vec<Value>,
    changes: Vec<u32>,
}

/// What to do at an event.
enum Next {
    /// Everything is explained.
    Done,
    /// Something has to be placed first (or may be: an unknown operation's last chance).
    Branch,
}

/// A candidate that stands for "let it pass": the bound of an operation of unknown outcome is reached, and it never was.
const PASS: u32 = u32::MAX;

impl<'a, S: Spec, M: Mask> Search<'a, S, M> {
    fn new(spec: &'a mut S, history: &'a History<S::Action>, plan: Plan, none: M) -> Self {
        let state = spec.initial();
        Search {
            calls: history.calls(),
            events: history.events(),
            event: 0,
            state,
            open: vec![NOBODY; plan.slots],
            placed: none,
            trail: Vec::with_capacity(history.len()),
            frames: Vec::new(),
            candidates: Vec::new(),
            used: if plan.has_unknown {
                vec![false; history.len()]
            } else {
                Vec::new()
            },
            memory: Memory::default(),
            path: NO_PATH,
            steps: 0,
            looked: 0,
            reached: 0,
            ranked: Vec::new(),
            goals: Vec::new(),
            changes: Vec::new(),
            spec,
            plan,
        }
    }

    fn run(mut self, budget: &mut Budget) -> Outcome {
        let outcome = self.decide(budget);
        budget.spend(self.cost());
        outcome
    }

    /// What it came to so far. To look at an operation of a long list is worth a small part of placing one.
    fn cost(&self) -> u64 {
        self.steps + self.looked / 8
    }

    fn decide(&mut self, budget: &Budget) -> Outcome {
        loop {
            let next = self.advance();
            self.reached = self.reached.max(self.event);
            let entered = match next {
                Next::Done => return Outcome::Legal(std::mem::take(&mut self.trail)),
                Next::Branch => self.enter(),
            };
            if !entered && !self.back() {
                return Outcome::Illegal(Refutation::Exhausted {
                    reached: self.reached,
                    call: self.events[self.reached as usize] >> 1,
                });
            }
            let bytes = self.memory.bytes() + self.spec.bytes();
            if let Some(limit) = budget.ends(self.cost(), bytes) {
                return Outcome::Unknown {
                    reached: self.reached,
                    of: self.events.len() as u32,
                    limit,
                };
            }
        }
    }

    /// Walks on to the next event at which something has to be chosen.
    fn advance(&mut self) -> Next {
        while let Some(event) = self.events.get(self.event as usize) {
            let at = event >> 1;
            let call = &self.calls[at as usize];
            let slot = self.plan.slot[at as usize];
            if call.ret == NEVER {
                // It may be placed from now on, and for ever.
            } else if event & 1 == 0 {
                self.open[slot as usize] = at;
                if call.known && self.spec.is_pure(&call.action, true) {
                    self.absorb(at);
                }
            } else if self.placed.has(slot) {
                self.placed.clear(slot);
                self.open[slot as usize] = NOBODY;
            } else if call.known || self.may_matter(call) {
                return Next::Branch;
            } else {
                self.pass();
                continue;
            }
            self.event += 1;
        }
        Next::Done
    }

    /// Lets the bound of an operation of unknown outcome pass: it never took effect.
    fn pass(&mut self) {
        let at = self.events[self.event as usize] >> 1;
        self.open[self.plan.slot[at as usize] as usize] = NOBODY;
        let makes = self.spec.makes(&self.calls[at as usize].action);
        if makes != NONE {
            self.plan.makers_left[makes as usize] -= 1;
        }
        self.event += 1;
    }

    /// Whether it can matter that an operation of unknown outcome takes effect: somebody may still need what it makes.
    fn may_matter(&self, call: &Call<S::Action>) -> bool {
        if self.spec.is_pure(&call.action, false) {
            return false;
        }
        let makes = self.spec.makes(&call.action);
        if self.plan.needs_left.is_empty() || makes == NONE {
            return true;
        }
        // A conditional unknown operation may turn what this one makes into what is needed; and whoever shuns a value
        // is content with any other.
        self.plan.shunning > 0
            || self.plan.needs_left[makes as usize] > 0
            || self.plan.wishes_left[makes as usize] > 0
    }

    /// Places a pure operation if it is legal now.
    fn absorb(&mut self, at: u32) {
        let action = &self.calls[at as usize].action;
        if self.spec.step(self.state, action, true).is_some() {
            self.mark(at);
        }
    }

    /// Notes that a call is placed.
    fn mark(&mut self, at: u32) {
        let call = &self.calls[at as usize];
        self.trail.push(at);
        if call.ret != NEVER {
            self.placed.set(self.plan.slot[at as usize]);
        } else {
            self.path = self.memory.go_on(self.path, at);
        }
        if !call.known {
            self.used[at as usize] = true;
        }
        if !self.plan.needs_left.is_empty() {
            let (needs, makes) = (self.spec.needs(&call.action), self.spec.makes(&call.action));
            if needs != NONE {
                *self.plan.left_of(call.known, needs) -= 1;
            }
            if makes != NONE {
                self.plan.makers_left[makes as usize] -= 1;
            }
        }
    }

    /// Takes the last call that was placed back.
    fn unmark(&mut self) {
        let at = self.trail.pop().expect("something was placed");
        let call = &self.calls[at as usize];
        if !call.known {
            self.used[at as usize] = false;
        }
        if !self.plan.needs_left.is_empty() {
            let (needs, makes) = (self.spec.needs(&call.action), self.spec.makes(&call.action));
            if needs != NONE {
                *self.plan.left_of(call.known, needs) += 1;
            }
            if makes != NONE {
                self.plan.makers_left[makes as usize] += 1;
            }
        }
    }

    /// Enters the branch at the present event and places its first candidate. False: there is none.
    fn enter(&mut self) -> bool {
        if self.is_refuted() {
            return false;
        }
        self.frames.push(Frame {
            event: self.event,
            trail: self.trail.len() as u32,
            candidates: self.candidates.len() as u32,
            path: self.path,
            state: self.state,
            placed: self.placed.clone(),
            exhausted: false,
        });
        self.ranked.clear();
        self.rank();
        if self.offer_ranked() || self.offer_unknown() {
            self.place_next();
            return true;
        }
        self.frames.pop();
        false
    }

    /// Makes what was ranked the last frame's candidates. False: nothing was.
    fn offer_ranked(&mut self) -> bool {
        self.ranked.sort_unstable();
        self.candidates
            .extend(self.ranked.iter().rev().map(|(.., at)| *at));
        !self.ranked.is_empty()
    }

    /// Offers the last frame the operations of unknown outcome, once, after all others failed. False: there is none to offer.
    fn offer_unknown(&mut self) -> bool {
        let frame = self.frames.last_mut().expect("a frame is being tried");
        if std::mem::replace(&mut frame.exhausted, true) || !self.plan.has_unknown {
            return false;
        }
        // Those that were offered at once, because the event waits for what they make, are remembered as failed by now.
        self.rank_unknown();
        self.offer_ranked()
    }

    /// Places the best candidate left of the last frame.
    fn place_next(&mut self) {
        let at = self
            .candidates
            .pop()
            .expect("the frame has a candidate left");
        self.steps += 1;
        if at == PASS {
            self.pass();
            return;
        }
        let call = &self.calls[at as usize];
        self.state = (self.spec.step(self.state, &call.action, call.known))
            .expect("a candidate was legal when it was ranked, in the same state");
        self.mark(at);
        for slot in 0..self.open.len() {
            let at = self.open[slot];
            if at != NOBODY
                && !self.placed.has(slot as u32)
                && self.calls[at as usize].known
                && self.spec.is_pure(&self.calls[at as usize].action, true)
            {
                self.absorb(at);
            }
        }
    }

    /// Takes back the last choice and makes the next one. False: every order was tried.
    fn back(&mut self) -> bool {
        loop {
            let Some(frame) = self.frames.last() else {
                return false;
            };
            let (event, trail, candidates) = (frame.event, frame.trail, frame.candidates);
            self.state = frame.state;
            self.placed = frame.placed.clone();
            self.path = frame.path;
            self.rewind(event);
            while self.trail.len() as u32 > trail {
                self.unmark();
            }
            if self.candidates.len() as u32 > candidates || self.offer_unknown() {
                self.place_next();
                return true;
            }
            let frame = self.frames.pop().expect("it was there");
            let configuration = (frame.event, frame.state, frame.placed);
            self.memory.note(configuration, frame.path);
        }
    }

    /// Walks the events back.
    fn rewind(&mut self, to: Position) {
        while self.event > to {
            self.event -= 1;
            let event = self.events[self.event as usize];
            let at = event >> 1;
            let call = &self.calls[at as usize];
            if call.ret == NEVER {
                continue;
            }
            let returns = event & 1 == 1;
            let holder = if returns { at } else { NOBODY };
            self.open[self.plan.slot[at as usize] as usize] = holder;
            if returns && !call.known && !self.used[at as usize] {
                // It had passed.
                let makes = self.spec.makes(&call.action);
                if makes != NONE {
                    self.plan.makers_left[makes as usize] += 1;
                }
            }
        }
    }

    /// Whether this configuration, or one that had more freedom left, has failed before.
    fn is_refuted(&mut self) -> bool {
        if self.memory.is_empty() {
            return false;
        }
        let configuration = (self.event, self.state, self.placed.clone());
        let (failed, looked) = self.memory.failed(&configuration, self.path, &self.used);
        self.looked += looked;
        failed
    }
}
