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
            Became::Seen(by) => calls[*at as usize].call < ret(*by),
        });
        if told.is_empty() {
            return None;
        }
        let mut became: Vec<Option<Became>> = vec![None; calls.len()];
        for (at, what) in told {
            became[at as usize] = Some(what);
        }
        // A return that the whole history has not goes right before that of whoever saw it.
        const OWN: u32 = u32::MAX;
        let mut kept: Vec<(u32, Option<u32>, (Position, u32))> = Vec::new();
        let mut places: Vec<(Position, u32)> = Vec::new();
        for (at, call) in (0u32..).zip(calls) {
            let (by, ret) = match became[at as usize] {
                Some(Became::Nothing) => continue,
                Some(Became::Seen(by)) if ret(by) < call.ret => (Some(by), (ret(by), at)),
                Some(Became::Seen(by)) => (Some(by), (call.ret, OWN)),
                None => (None, (call.ret, OWN)),
            };
            places.push((call.call, OWN));
            if ret.0 != NEVER {
                places.push(ret);
            }
            kept.push((at, by, ret));
        }
        places.sort_unstable();
        let place = |of: (Position, u32)| match of.0 {
            NEVER => NEVER,
            _ => places.partition_point(|place| *place < of) as Position,
        };
        let settled = kept.iter().map(|(at, by, ret)| {
            let call = calls[*at as usize].clone();
            Call {
                call: place((call.call, OWN)),
                ret: place(*ret),
                known: call.known || by.is_some(),
                action: call.action,
            }
        });
        Some(Settled {
            history: History::new(settled.collect()),
            whole,
            places: kept.into_iter().map(|(at, by, _)| (at, by)).collect(),
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
