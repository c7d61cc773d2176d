//! A set of numbered elements.
//!
//! *Formulation.* The state is a set, empty at first. `Add(x)` puts `x` in and `Remove(x)` takes it out; where it was observed whether
//! that changed anything, this must be so. `Contains(x, is)` is right if `x` is in it or not, accordingly; `Read(all)` if it is
//! exactly this. Source: the set of Knossos (Jepsen) as a sequential object, with removal and with what each operation returned
//! (Herlihy and Shavit, "The Art of Multiprocessor Programming", 2008, chapter 9).

use super::sightings::{self, Sightings};
use crate::linear::trie::{Arrays, EMPTY, Name};
use crate::linear::{Became, Call, Spec};

/// The set; empty at first.
#[derive(Clone, Debug)]
pub struct Set {
    contents: Arrays,
    sightings: Sightings,
}

/// What was done to a set, and what was observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetAction {
    /// The element was put in; whether it was new, where that was observed.
    Add(u32, Option<bool>),
    /// The element was taken out; whether it was there, where that was observed.
    Remove(u32, Option<bool>),
    /// Whether the element was there.
    Contains(u32, bool),
    /// Everything that was there, by the name that [`Set::content`] gives it.
    Read(Name),
}

impl Set {
    /// A set for elements below `elements`.
    pub fn new(elements: u32) -> Set {
        Set {
            contents: Arrays::new(elements as usize),
            sightings: Sightings::default(),
        }
    }

    /// The name of a content.
    pub fn content(&mut self, elements: impl IntoIterator<Item = u32>) -> Name {
        let none = self.contents.empty();
        (elements.into_iter()).fold(none, |name, element| self.contents.with(name, element, 1))
    }
}

impl Spec for Set {
    type State = Name;
    type Action = SetAction;

    fn initial(&mut self) -> Name {
        self.contents.empty()
    }

    fn step(&mut self, state: Name, action: &SetAction, known: bool) -> Option<Name> {
        let (element, observed, put) = match *action {
            SetAction::Add(element, new) => (element, new.map(|new| !new), true),
            SetAction::Remove(element, there) => (element, there, false),
            SetAction::Contains(element, there) => {
                let legal = (self.contents.get(state, element) != EMPTY) == there;
                return (legal && known).then_some(state);
            }
            SetAction::Read(all) => return (state == all && known).then_some(state),
        };
        let there = self.contents.get(state, element) != EMPTY;
        if known && observed.is_some_and(|observed| observed != there) {
            None
        } else if there == put {
            known.then_some(state)
        } else {
            let value = if put { 1 } else { EMPTY };
            Some(self.contents.with(state, element, value))
        }
    }

    fn is_pure(&self, action: &SetAction, known: bool) -> bool {
        match action {
            SetAction::Add(_, observed) | SetAction::Remove(_, observed) => {
                known && *observed == Some(false)
            }
            SetAction::Contains(..) | SetAction::Read(_) => true,
        }
    }

    fn settle(&self, calls: &[Call<SetAction>]) -> Vec<(u32, Became)> {
        sightings::settle(calls, &self.contents)
    }

    fn foresee(&mut self, calls: &[Call<SetAction>]) -> Result<(), u32> {
        self.sightings = Sightings::new(calls, &self.contents)?;
        Ok(())
    }

    fn comes_before(&self, first: &SetAction, then: &SetAction) -> bool {
        let SetAction::Add(element, _) = *then else {
            return false;
        };
        let missed = match *first {
            SetAction::Read(all) => self.contents.get(all, element) == EMPTY,
            SetAction::Contains(other, false) => other == element,
            _ => false,
        };
        missed && self.sightings.stays(element)
    }

    fn bytes(&self) -> usize {
        self.contents.bytes()
    }
}
