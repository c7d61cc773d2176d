//! A queue: first in, first out.
//!
//! *Formulation.* The state is a sequence of elements, empty at first. `Enqueue(x)` puts `x` at its end; `Dequeue(x)` is right if
//! `x` is the first, and takes it out; `Empty` is right if there is none. The same element may be in it several times. Source: the
//! FIFO queue of Herlihy and Wing, TOPLAS 1990, sections 1 and 2.

use super::turns::{self, Turns};
use crate::linear::trie::{Arrays, EMPTY, Name};
use crate::linear::{Became, Call, Position, Spec};

/// The queue of numbered elements; empty at first.
#[derive(Clone, Debug)]
pub struct Queue {
    contents: Arrays,
    turns: Turns,
}

/// What was done to a queue, and what was observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueAction {
    /// The element was put at its end.
    Enqueue(u32),
    /// The first one was taken out, and it was this one. Of unknown outcome: whichever was first.
    Dequeue(u32),
    /// One was to be taken out, and there was none.
    Empty,
}

/// A queue's content, each element at the place of its number in the order of enqueueing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QueueState {
    content: Name,
    first: u32,
    end: u32,
}

impl Queue {
    /// A queue for at most so many enqueued elements.
    pub fn new(enqueued: usize) -> Queue {
        Queue {
            contents: Arrays::new(enqueued),
            turns: Turns::default(),
        }
    }
}

impl Spec for Queue {
    type State = QueueState;
    type Action = QueueAction;

    fn initial(&mut self) -> QueueState {
        QueueState {
            content: self.contents.empty(),
            first: 0,
            end: 0,
        }
    }

    fn step(&mut self, state: QueueState, action: &QueueAction, known: bool) -> Option<QueueState> {
        let QueueState {
            content,
            first,
            end,
        } = state;
        match *action {
            QueueAction::Enqueue(element) => Some(QueueState {
                content: self.contents.with(content, end, element),
                first,
                end: end + 1,
            }),
            QueueAction::Dequeue(element) => {
                let there = first < end && (!known || self.contents.get(content, first) == element);
                there.then(|| QueueState {
                    content: self.contents.with(content, first, EMPTY),
                    first: first + 1,
                    end,
                })
            }
            QueueAction::Empty => (first == end && known).then_some(state),
        }
    }

    fn is_pure(&self, action: &QueueAction, _known: bool) -> bool {
        *action == QueueAction::Empty
    }

    fn settle(&self, calls: &[Call<QueueAction>]) -> Vec<(u32, Became)> {
        turns::settle(calls)
    }

    fn foresee(&mut self, calls: &[Call<QueueAction>]) -> Result<(), u32> {
        self.turns = Turns::new(calls)?;
        Ok(())
    }

    fn opens(&self, action: &QueueAction) -> Position {
        self.turns.opens(action)
    }

    fn comes_before(&self, first: &QueueAction, then: &QueueAction) -> bool {
        self.turns.comes_before(first, then)
    }

    fn is_futile(&self, state: QueueState, action: &QueueAction) -> bool {
        matches!(action, QueueAction::Dequeue(_))
            && self
                .turns
                .is_claimed(self.contents.get(state.content, state.first))
    }

    fn rank(&self, action: &QueueAction) -> Option<(u8, Position)> {
        self.turns.rank(action)
    }

    fn bytes(&self) -> usize {
        self.contents.bytes()
    }
}
