//! What the calls of a queue say of the order of its elements, before any search.
//!
//! *Formulation.* Of elements that are put in once, and taken once or never, one comes *before* another if its enqueue returned before
//! the other's was called, or if its dequeue did, or if it was taken and the other never was. A queue has an order exactly if no
//! element comes before one that comes before it, and none is taken before it is put in; and if an empty one was observed, it has
//! some moment at which no element is there for sure (Henzinger, Sezgin and Vafeiadis, "Aspect-oriented linearizability
//! proofs", CONCUR 2013, section 4: VFresh, VRepeat, VOrd and VWit). Any order of the elements that keeps this will do, so that the
//! search has nothing to guess. Elements that come several times, and dequeues of unknown outcome, leave something to it: nothing
//! is said then of which the other order might be right.

use super::queue::QueueAction;
use crate::linear::{Call, NEVER, Position};

/// What is known of one element.
#[derive(Clone, Copy, Debug)]
struct Element {
    /// How often it is put in, and taken for sure; the last call of each.
    puts: u32,
    put: u32,
    takes: u32,
    take: u32,
    /// It is there for sure from here; and taken no earlier than there (0: at any time).
    there: Position,
    taken_from: Position,
    /// By when it must have been taken ([`NEVER`]: whenever), whatever its own dequeue says.
    taken_by: Position,
    /// Before this it cannot be put in: something that comes before it was not called.
    opens: Position,
}

/// The order of the elements, as far as it is known.
#[derive(Clone, Default, Debug)]
pub(super) struct Turns {
    elements: Vec<Element>,
}

impl Element {
    /// Whether it is put in once and for sure, and taken at most once.
    fn is_single(&self) -> bool {
        self.there != NEVER
    }

    /// Whether its only enqueue put in what its only dequeue took.
    fn is_claimed(&self) -> bool {
        self.puts == 1 && self.takes == 1
    }
}

impl Turns {
    /// Looks at the calls; an error names one for which there is no order.
    pub fn new(calls: &[Call<QueueAction>]) -> Result<Turns, u32> {
        let mut turns = Turns::count(calls)?;
        let taken_at_will = (calls.iter())
            .any(|call| !call.known && matches!(call.action, QueueAction::Dequeue(_)));
        turns.bound(calls, taken_at_will)?;
        turns.order(calls)?;
        turns.find_empty(calls)?;
        Ok(turns)
    }

    fn count(calls: &[Call<QueueAction>]) -> Result<Turns, u32> {
        let elements = calls.iter().filter_map(|call| match call.action {
            QueueAction::Enqueue(element) => Some(element),
            QueueAction::Dequeue(element) if call.known => Some(element),
            _ => None,
        });
        let nothing = Element {
            puts: 0,
            put: 0,
            takes: 0,
            take: 0,
            there: NEVER,
            taken_from: 0,
            taken_by: NEVER,
            opens: 0,
        };
        let count = elements.max().map_or(0, |last| last as usize + 1);
        let mut elements = vec![nothing; count];
        for (at, call) in (0u32..).zip(calls) {
            match call.action {
                QueueAction::Enqueue(element) => {
                    let element = &mut elements[element as usize];
                    (element.puts, element.put) = (element.puts + 1, at);
                }
                QueueAction::Dequeue(element) if call.known => {
                    let element = &mut elements[element as usize];
                    (element.takes, element.take) = (element.takes + 1, at);
                }
                _ => {}
            }
        }
        match elements.iter().find(|element| element.takes > element.puts) {
            Some(element) => Err(element.take),
            None => Ok(Turns { elements }),
        }
    }

    /// When each single element is there for sure, and by when it must have been taken.
    fn bound(&mut self, calls: &[Call<QueueAction>], taken_at_will: bool) -> Result<(), u32> {
        for element in &mut self.elements {
            let put = &calls[element.put as usize];
            if element.is_claimed() {
                let take = &calls[element.take as usize];
                if take.ret < put.call {
                    return Err(element.take);
                }
                element.there = put.ret.min(take.ret);
                element.taken_from = take.call.max(put.call);
            } else if element.puts == 1 && put.known {
                element.there = put.ret;
                element.taken_from = if taken_at_will { 0 } else { NEVER };
            }
        }
        // Whoever comes before something that was taken was taken before.
        let call = |element: &Element| calls[element.put as usize].call;
        let mut by_put: Vec<&Element> = self.singles().collect();
        by_put.sort_unstable_by_key(|element| call(element));
        let mut taken_by = vec![(NEVER, 0); by_put.len() + 1];
        for (at, element) in by_put.iter().enumerate().rev() {
            let own = match element.takes {
                0 => (NEVER, 0),
                _ => (calls[element.take as usize].ret, element.take),
            };
            taken_by[at] = own.min(taken_by[at + 1]);
        }
        let puts: Vec<Position> = by_put.iter().map(|element| call(element)).collect();
        for element in self
            .elements
            .iter_mut()
            .filter(|element| element.is_single())
        {
            let after = puts.partition_point(|put| *put < element.there);
            let (by, take) = taken_by[after];
            if by < element.taken_from {
                return Err(take);
            }
            element.taken_by = match element.takes {
                0 => by,
                _ => by.min(calls[element.take as usize].ret),
            };
        }
        Ok(())
    }

    /// From when on each single element can be put in: when all that come before it were called.
    fn order(&mut self, calls: &[Call<QueueAction>]) -> Result<(), u32> {
        let mut by_take: Vec<(Position, Position)> = (self.singles())
            .map(|element| (element.taken_by, calls[element.put as usize].call))
            .collect();
        by_take.sort_unstable();
        let mut latest = 0;
        for (_, call) in &mut by_take {
            latest = latest.max(*call);
            *call = latest;
        }
        for element in self
            .elements
            .iter_mut()
            .filter(|element| element.is_single())
        {
            let before = by_take.partition_point(|(by, _)| *by < element.taken_from);
            element.opens = before.checked_sub(1).map_or(0, |last| by_take[last].1);
            if element.opens > element.there {
                return Err(element.put);
            }
        }
        Ok(())
    }

    /// Whoever saw that it is empty has a moment for it.
    fn find_empty(&self, calls: &[Call<QueueAction>]) -> Result<(), u32> {
        let is_empty = |call: &Call<QueueAction>| call.action == QueueAction::Empty && call.known;
        if !calls.iter().any(is_empty) {
            return Ok(());
        }
        let ends = calls.iter().flat_map(|call| [call.call, call.ret]);
        let last = ends.filter(|end| *end != NEVER).max().unwrap_or(0) as usize;
        // How many elements begin or end to be there behind each event; then how many moments there were without any.
        let mut change = vec![0i32; last + 2];
        for element in self
            .singles()
            .filter(|element| element.there < element.taken_from)
        {
            change[element.there as usize] += 1;
            change[(element.taken_from as usize).min(last + 1)] -= 1;
        }
        let (mut there, mut free) = (0, 0u32);
        let mut free_before: Vec<u32> = Vec::with_capacity(last + 2);
        for change in change {
            free_before.push(free);
            there += change;
            free += u32::from(there == 0);
        }
        let mut calls = (0u32..).zip(calls);
        let without = calls.find(|(_, call)| {
            is_empty(call) && free_before[call.call as usize] == free_before[call.ret as usize]
        });
        without.map_or(Ok(()), |(at, _)| Err(at))
    }

    fn singles(&self) -> impl Iterator<Item = &Element> {
        self.elements.iter().filter(|element| element.is_single())
    }

    fn single(&self, action: &QueueAction) -> Option<&Element> {
        match action {
            QueueAction::Enqueue(element) => {
                let element = self.elements.get(*element as usize)?;
                element.is_single().then_some(element)
            }
            _ => None,
        }
    }

    /// The event before which an action cannot have its turn.
    pub fn opens(&self, action: &QueueAction) -> Position {
        self.single(action).map_or(0, |element| element.opens)
    }

    /// Whether one action has its turn before another in every order.
    pub fn comes_before(&self, first: &QueueAction, then: &QueueAction) -> bool {
        match (self.single(first), self.single(then)) {
            (Some(first), Some(then)) => first.taken_by < then.taken_from,
            _ => false,
        }
    }

    /// What had best be tried first, where several may have their turn: what is taken, then what must be taken first.
    pub fn rank(&self, action: &QueueAction) -> Option<(u8, Position)> {
        match action {
            QueueAction::Dequeue(_) => Some((0, 0)),
            action => Some((2, self.single(action)?.taken_by)),
        }
    }

    /// Whether somebody who is known took this element, so that nobody else did.
    pub fn is_claimed(&self, element: u32) -> bool {
        (self.elements.get(element as usize)).is_some_and(Element::is_claimed)
    }
}

/// Which enqueues of unknown outcome have put in what was taken, and which are of no consequence because nobody took it.
pub(super) fn settle(calls: &[Call<QueueAction>]) -> Vec<(u32, crate::linear::Became)> {
    use crate::linear::Became;
    let Ok(Turns { elements }) = Turns::count(calls) else {
        return Vec::new();
    };
    let mut told = Vec::new();
    for (at, call) in (0u32..).zip(calls) {
        let QueueAction::Enqueue(element) = call.action else {
            continue;
        };
        let element = &elements[element as usize];
        if call.known {
            continue;
        }
        if element.takes == 0 {
            told.push((at, Became::Nothing));
        } else if element.is_claimed() {
            let (by, from) = (element.take, 0);
            told.push((at, Became::Seen { by, from }));
        }
    }
    told
}
