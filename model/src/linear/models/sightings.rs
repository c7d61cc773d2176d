//! What the calls of a set say of each element, before any search.
//!
//! *Formulation.* An element that one call adds and nobody removes is absent up to its turn, and there from then on. So whoever did not
//! see it comes before it; nobody sees it who had returned before it was added; and nobody misses it who was called after it was
//! added or seen. (The elements of Jepsen's `set-full` checker, which are added once; each of its complaints is such a pair.)

use super::set::SetAction;
use crate::linear::trie::Arrays;
use crate::linear::{Became, Call, NEVER, Position};

/// What is known of one element.
#[derive(Clone, Copy, Debug)]
struct Element {
    adds: u32,
    add: u32,
    is_removed: bool,
    /// Who saw it and returned first, and when; [`NEVER`]: nobody did.
    seen: Position,
    seen_by: u32,
    /// When the first of those who saw it was called.
    sought: Position,
}

/// The elements, as far as they are known.
#[derive(Clone, Default, Debug)]
pub(super) struct Sightings {
    elements: Vec<Element>,
}

impl Sightings {
    fn count(calls: &[Call<SetAction>], contents: &Arrays) -> Sightings {
        let mut sightings = Sightings::default();
        for (at, call) in (0u32..).zip(calls) {
            match call.action {
                SetAction::Add(element, new) => {
                    let found = sightings.of(element);
                    (found.adds, found.add) = (found.adds + 1, at);
                    if new == Some(false) {
                        sightings.see(element, at, call);
                    }
                }
                SetAction::Remove(element, there) => {
                    sightings.of(element).is_removed = true;
                    if there == Some(true) {
                        sightings.see(element, at, call);
                    }
                }
                SetAction::Contains(element, true) => sightings.see(element, at, call),
                SetAction::Contains(_, false) => {}
                SetAction::Read(all) => {
                    contents.each(all, &mut |element| sightings.see(element, at, call));
                }
            }
        }
        sightings
    }

    fn of(&mut self, element: u32) -> &mut Element {
        const NOTHING: Element = Element {
            adds: 0,
            add: 0,
            is_removed: false,
            seen: NEVER,
            seen_by: 0,
            sought: NEVER,
        };
        let at = element as usize;
        if self.elements.len() <= at {
            self.elements.resize(at + 1, NOTHING);
        }
        &mut self.elements[at]
    }

    fn see(&mut self, element: u32, at: u32, call: &Call<SetAction>) {
        let element = self.of(element);
        if call.known {
            element.sought = element.sought.min(call.call);
            if call.ret < element.seen {
                (element.seen, element.seen_by) = (call.ret, at);
            }
        }
    }

    /// Looks at the calls; an error names one for which there is no order.
    pub fn new(calls: &[Call<SetAction>], contents: &Arrays) -> Result<Sightings, u32> {
        let sightings = Sightings::count(calls, contents);
        // From when on each element is there for sure; and how many of them are, in that order.
        let mut there = vec![NEVER; sightings.elements.len()];
        for (element, there) in sightings.elements.iter().zip(&mut there) {
            if element.seen != NEVER && element.adds == 0 {
                return Err(element.seen_by);
            }
            if element.adds != 1 {
                continue;
            }
            let add = &calls[element.add as usize];
            if element.seen < add.call {
                return Err(element.seen_by);
            }
            if !element.is_removed {
                let added = if add.known { add.ret } else { NEVER };
                *there = added.min(element.seen);
            }
        }
        let mut in_order: Vec<Position> = there.clone();
        in_order.retain(|there| *there != NEVER);
        in_order.sort_unstable();
        for (at, call) in (0u32..).zip(calls).filter(|(_, call)| call.known) {
            let misses = match call.action {
                SetAction::Contains(element, false) => there
                    .get(element as usize)
                    .is_some_and(|there| *there < call.call),
                SetAction::Read(all) => {
                    let due = in_order.partition_point(|there| *there < call.call);
                    let mut found = 0;
                    contents.each(all, &mut |element| {
                        found += usize::from(there[element as usize] < call.call);
                    });
                    found < due
                }
                _ => false,
            };
            if misses {
                return Err(at);
            }
        }
        Ok(sightings)
    }

    /// Whether one call adds the element and nobody takes it out.
    pub fn stays(&self, element: u32) -> bool {
        (self.elements.get(element as usize))
            .is_some_and(|element| element.adds == 1 && !element.is_removed)
    }
}

/// Which additions of unknown outcome have put in what was seen, and which are of no consequence because nobody saw it.
pub(super) fn settle(calls: &[Call<SetAction>], contents: &Arrays) -> Vec<(u32, Became)> {
    let sightings = Sightings::count(calls, contents);
    let additions = (0u32..).zip(calls).filter(|(_, call)| !call.known);
    let told = additions.filter_map(|(at, call)| {
        let SetAction::Add(element, new) = call.action else {
            return None;
        };
        let element = &sightings.elements[element as usize];
        if element.seen == NEVER {
            Some((at, Became::Nothing))
        } else {
            let alone = element.adds == 1 && new != Some(false);
            // Until somebody sees it, it may as well not have happened.
            let (by, from) = (element.seen_by, element.sought);
            alone.then_some((at, Became::Seen { by, from }))
        }
    });
    told.collect()
}
