//! What became of operations of unknown outcome, where the answers of others tell.
//!
//! What only one operation can have brought about and somebody saw, that operation did, and before whoever saw it returned. And
//! what nobody saw need not have happened ([`Spec::settle`]). So the search has fewer of them to try, or none: with thirty it
//! would have as many choices as a set of thirty has subsets.

use super::super::history::{Call, History, NEVER, Position};
use super::super::spec::{Became, Spec};
use super::super::{Outcome, Refutation};

/// A history with fewer operations of unknown outcome, and where its calls and events stand in the whole one.
pub(super) struct Settled<'a, A> {
    pub history: History<A>,
    whole: &'a History<A>,
    /// For each of its calls, the call of the whole history; and who saw it, if that is why it is known.
    places: Vec<(u32, Option<u32>)>,
    /// For each of its events, its place in the whole history; for one that it has not, that of the event before which it must be.
    events: Vec<Position>,
}

/// A call of the whole history, and when it begins and ends in the settled one: right at an event of the whole, or before it, each in
/// the order of the calls.
struct Kept {
    at: u32,
    by: Option<u32>,
    ends: [(Position, u32); 2],
}

impl<'a, A: Clone + PartialEq> Settled<'a, A> {
    /// `None`: there is nothing to settle.
    pub fn of<S: Spec<Action = A>>(spec: &S, whole: &'a History<A>) -> Option<Settled<'a, A>> {
        let calls = whole.calls();
        if calls.iter().all(|call| call.known) {
            return None;
        }
        let ret = |at: u32| calls[at as usize].ret;
        let mut told = spec.settle(calls);
        // Who saw it before it was called saw something else: then the history has no order, and the search says so.
        told.retain(|(at, became)| match became {
            Became::Nothing => true,
            Became::Seen { by, .. } => calls[*at as usize].call < ret(*by),
        });
        if told.is_empty() {
            return None;
        }
        let mut became: Vec<Option<Became>> = vec![None; calls.len()];
        for (at, what) in told {
            became[at as usize] = Some(what);
        }
        // What the whole history has not goes right before the event that it is due to.
        const OWN: u32 = u32::MAX;
        let mut kept: Vec<Kept> = Vec::new();
        let mut places: Vec<(Position, u32)> = Vec::new();
        for (at, call) in (0u32..).zip(calls) {
            let own = [(call.call, OWN), (call.ret, OWN)];
            let (by, ends) = match became[at as usize] {
                Some(Became::Nothing) => continue,
                // One that is bounded keeps its call: the bound may lie before what it waits for.
                Some(Became::Seen { by, from }) if call.ret == NEVER => {
                    let call = match from > call.call {
                        true => (from, at),
                        false => own[0],
                    };
                    (Some(by), [call, (ret(by), at)])
                }
                Some(Became::Seen { by, .. }) if ret(by) < call.ret => {
                    (Some(by), [own[0], (ret(by), at)])
                }
                Some(Became::Seen { by, .. }) => (Some(by), own),
                None => (None, own),
            };
            places.extend(ends.into_iter().filter(|end| end.0 != NEVER));
            kept.push(Kept { at, by, ends });
        }
        places.sort_unstable();
        // A history has its calls in the order in which they are called.
        kept.sort_unstable_by_key(|kept| kept.ends[0]);
        let place = |of: (Position, u32)| match of.0 {
            NEVER => NEVER,
            _ => places.partition_point(|place| *place < of) as Position,
        };
        let settled = kept.iter().map(|Kept { at, by, ends }| {
            let call = calls[*at as usize].clone();
            let [begin, end] = ends.map(place);
            Call {
                call: begin,
                ret: end,
                known: call.known || by.is_some(),
                action: call.action,
            }
        });
        Some(Settled {
            history: History::new(settled.collect()),
            whole,
            places: kept.iter().map(|kept| (kept.at, kept.by)).collect(),
            events: places.into_iter().map(|(event, _)| event).collect(),
        })
    }

    /// What became of the whole history, by what became of this one.
    pub fn told(&self, outcome: Outcome) -> Outcome {
        let event = |at: Position| {
            let event = self.events.get(at as usize).copied();
            event.unwrap_or(self.whole.span())
        };
        match outcome {
            Outcome::Legal(order) => {
                let place = |at: u32| self.places[at as usize].0;
                Outcome::Legal(order.into_iter().map(place).collect())
            }
            Outcome::Illegal(Refutation::Exhausted { reached, call }) => {
                let (at, by) = self.places[call as usize];
                Outcome::Illegal(Refutation::Exhausted {
                    reached: event(reached),
                    call: by.unwrap_or(at),
                })
            }
            Outcome::Unknown { reached, limit, .. } => Outcome::Unknown {
                reached: event(reached),
                of: self.whole.span(),
                limit,
            },
            Outcome::Illegal(Refutation::Certificate(_)) => {
                unreachable!("a search gives no certificate")
            }
        }
    }
}
