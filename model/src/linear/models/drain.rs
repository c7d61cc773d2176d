//! A queue from which everything may be taken at once.
//!
//! A drain takes one element after the other, as Jepsen's clients do it; others may come in between. So it is as many dequeues, each
//! somewhere between the drain's call and its return, in the order in which it lists them. Jepsen's `expand-queue-drain-ops` puts
//! all of them at the return instead, which refuses what a concurrent dequeue makes legal.
//!
//! Why a drain ended its list does not say: that the queue was empty then is no part of the model, as it is none of Jepsen's
//! expansion. Elements that a drain left behind are told beside the verdict ([`left`](crate::intake::left)).

use super::queue::{Queue, QueueAction, QueueState};
use crate::linear::trie::{Arrays, EMPTY, Name};
use crate::linear::{Became, Call, Position, Spec};

/// A queue of numbered elements that so many drains are made of.
#[derive(Clone, Debug)]
pub struct Drained {
    queue: Queue,
    progress: Arrays,
}

/// What was done to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DrainAction {
    /// As to any queue.
    Queue(QueueAction),
    /// A drain took this element, having taken those at the places before.
    Taken {
        /// Which drain, counted from 0.
        drain: u32,
        /// The element's place in its list.
        place: u32,
        /// The element.
        element: u32,
    },
}

/// The queue's state, and how far each drain has come: the place that it took last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DrainState {
    queue: QueueState,
    progress: Name,
}

impl Drained {
    /// A queue for at most so many enqueued elements and so many drains.
    pub fn new(enqueued: usize, drains: usize) -> Drained {
        Drained {
            queue: Queue::new(enqueued),
            progress: Arrays::new(drains),
        }
    }
}

impl DrainAction {
    /// What it is to the queue.
    fn of_queue(&self) -> QueueAction {
        match *self {
            DrainAction::Queue(action) => action,
            DrainAction::Taken { element, .. } => QueueAction::Dequeue(element),
        }
    }
}

fn of_queue(calls: &[Call<DrainAction>]) -> Vec<Call<QueueAction>> {
    let calls = calls.iter().cloned();
    calls
        .map(|call| call.map(|action| action.of_queue()))
        .collect()
}

impl Spec for Drained {
    type State = DrainState;
    type Action = DrainAction;

    fn initial(&mut self) -> DrainState {
        DrainState {
            queue: self.queue.initial(),
            progress: self.progress.empty(),
        }
    }

    fn step(&mut self, state: DrainState, action: &DrainAction, known: bool) -> Option<DrainState> {
        let DrainState { queue, progress } = state;
        match *action {
            DrainAction::Queue(action) => Some(DrainState {
                queue: self.queue.step(queue, &action, known)?,
                progress,
            }),
            DrainAction::Taken {
                drain,
                place,
                element,
            } => {
                let last = self.progress.get(progress, drain);
                if last != EMPTY && last >= place {
                    return None;
                }
                Some(DrainState {
                    queue: (self.queue).step(queue, &QueueAction::Dequeue(element), known)?,
                    progress: self.progress.with(progress, drain, place),
                })
            }
        }
    }

    fn is_pure(&self, action: &DrainAction, known: bool) -> bool {
        match action {
            DrainAction::Queue(action) => self.queue.is_pure(action, known),
            DrainAction::Taken { .. } => false,
        }
    }

    fn settle(&self, calls: &[Call<DrainAction>]) -> Vec<(u32, Became)> {
        self.queue.settle(&of_queue(calls))
    }

    fn foresee(&mut self, calls: &[Call<DrainAction>]) -> Result<(), u32> {
        self.queue.foresee(&of_queue(calls))
    }

    fn opens(&self, action: &DrainAction) -> Position {
        self.queue.opens(&action.of_queue())
    }

    fn comes_before(&self, first: &DrainAction, then: &DrainAction) -> bool {
        self.queue.comes_before(&first.of_queue(), &then.of_queue())
    }

    fn is_futile(&self, state: DrainState, action: &DrainAction) -> bool {
        self.queue.is_futile(state.queue, &action.of_queue())
    }

    fn rank(&self, action: &DrainAction) -> Option<(u8, Position)> {
        self.queue.rank(&action.of_queue())
    }

    fn bytes(&self) -> usize {
        self.queue.bytes() + self.progress.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::{Call, Effort, History, Outcome, check};

    fn is_legal(calls: &[(u32, u32, DrainAction)]) -> bool {
        let calls = calls.iter().map(|(call, ret, action)| Call {
            call: *call,
            ret: *ret,
            known: true,
            action: *action,
        });
        let history = History::new(calls.collect());
        match check(&mut Drained::new(8, 2), &history, Effort::default()) {
            Outcome::Legal(_) => true,
            Outcome::Illegal(_) => false,
            Outcome::Unknown { .. } => panic!("it is small"),
        }
    }

    fn put(element: u32) -> DrainAction {
        DrainAction::Queue(QueueAction::Enqueue(element))
    }

    fn taken(drain: u32, place: u32, element: u32) -> DrainAction {
        DrainAction::Taken {
            drain,
            place,
            element,
        }
    }

    /// Whether the drain with that list is legal behind enqueues of 1 and 2, one after the other or at once.
    #[test]
    fn a_drain_takes_in_the_order_of_its_list() {
        let drained = |first: u32, second: u32, at_once: bool| {
            let ret = if at_once { 4 } else { 2 };
            is_legal(&[
                (1, ret, put(1)),
                (3, 5, put(2)),
                (6, 8, taken(0, 0, first)),
                (7, 9, taken(0, 1, second)),
            ])
        };
        assert!(drained(1, 2, false) && drained(1, 2, true) && drained(2, 1, true));
        assert!(!drained(2, 1, false), "1 was there before 2");
        assert!(!drained(1, 1, false), "once there, twice taken");
    }

    /// Another client takes 2 and returns while the drain, which took 1, is still at it; and two drains share what is there.
    #[test]
    fn others_may_take_in_between() {
        let put = [(1, 2, put(1)), (3, 4, put(2)), (5, 6, put(3))];
        let other = DrainAction::Queue(QueueAction::Dequeue(2));
        let rest = [(7, 11, taken(0, 0, 1)), (8, 12, taken(0, 1, 3))];
        assert!(is_legal(&[&put[..], &[(9, 10, other)], &rest].concat()));
        let second = [(9, 10, taken(1, 0, 2))];
        assert!(is_legal(&[&put[..], &rest, &second].concat()));
        let late = [(13, 14, taken(1, 0, 2))];
        assert!(
            !is_legal(&[&put[..], &rest, &late].concat()),
            "3 was behind 2"
        );
    }
}
