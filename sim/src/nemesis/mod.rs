//! The nemesis: says which fault strikes when, and whom. The world carries it out.
//!
//! It is told of the protocol's events ([`Nemesis::observe`]) and of the faults that have struck ([`Nemesis::struck`]), and
//! holds no randomness but one stream per fault, named by the fault's label: a fault taken out of a plan changes nothing about
//! the others, which is what makes shrinking work. The faults of a random profile are drawn before the run ([`draw_faults`])
//! and are then as scripted as any.
//!
//! For the world:
//! 1. at the start, put [`Nemesis::timed`] into the queue, and [`Nemesis::ops_at`] too;
//! 2. at each event, if [`Nemesis::interested`], call `observe`: the faults that it returns strike now;
//! 3. when a fault strikes, resolve its targets. Where they are nobody (no leader now), try again [`RETRY_US`] later;
//!    otherwise call `struck` and put what it returns into the queue.

mod draw;
mod kinds;
mod pattern;
mod target;
#[cfg(test)]
mod tests;
mod validate;

pub use draw::{PROFILES, draw_faults};
pub use kinds::FAULT_KINDS;
pub use pattern::{DISK_OPS, MESSAGES, NOTES};
pub(crate) use pattern::{
    Ends, EventKind, ProtocolEvent, disk_event, note_name, note_peer, service_note_name,
};
pub(crate) use target::View;
pub use validate::{Invalid, Part, PlanEntry, SERVERS_MAX, validate, validate_entries};

use crate::plan::{Action, EventPattern, Fault, Plan, Target, Trigger};
use pattern::{CLASSES, class_of, names_match};
use target::Resolver;
use zabsim_types::{ServerId, Time};

/// A fault, by its place in the plan.
pub(crate) type FaultIndex = usize;

/// Labels of drawn faults begin so. One of them whose event never came is no script gone wrong.
pub const RANDOM_PREFIX: &str = "random-";

/// After so long, in microseconds, the world tries a fault again that found nobody to strike.
pub(crate) const RETRY_US: u64 = 20_000;

/// Says which fault strikes when, and whom.
#[derive(Debug)]
pub(crate) struct Nemesis {
    faults: Vec<Entry>,
    /// Patterns that are counting, by the class of event.
    armed: [Vec<FaultIndex>; CLASSES],
    /// The explicit operations: their place in the plan, and when each is handed over.
    ops: Vec<(usize, Trigger)>,
    clients: u32,
}

#[derive(Debug)]
struct Entry {
    fault: Fault,
    resolver: Resolver,
    /// Matching events so far.
    seen: u32,
    struck: Option<Time>,
}

impl Nemesis {
    /// For a plan that `validate` has accepted.
    pub(crate) fn new(plan: &Plan, seed: u64) -> Nemesis {
        let faults: Vec<Entry> = plan
            .faults
            .iter()
            .map(|fault| Entry {
                fault: fault.clone(),
                resolver: Resolver::new(seed, fault),
                seen: 0,
                struck: None,
            })
            .collect();
        let ops = plan.ops.iter().map(|op| op.at.clone()).enumerate();
        let mut nemesis = Nemesis {
            faults,
            armed: Default::default(),
            ops: ops.collect(),
            clients: plan.clients,
        };
        for index in 0..nemesis.faults.len() {
            nemesis.arm_if(index, |after| after.is_none());
        }
        nemesis
    }

    /// Adds a fault that a test lets strike.
    pub(crate) fn add(&mut self, fault: Fault, seed: u64) -> FaultIndex {
        self.faults.push(Entry {
            resolver: Resolver::new(seed, &fault),
            fault,
            seen: 0,
            struck: None,
        });
        self.faults.len() - 1
    }

    /// Begins to count for a fault that waits for an event, if its `after` is as asked.
    fn arm_if(&mut self, index: FaultIndex, wanted: impl Fn(Option<&str>) -> bool) {
        if let Trigger::On { event, after, .. } = &self.faults[index].fault.trigger
            && wanted(after.as_deref())
        {
            self.armed[class_of(event)].push(index);
        }
    }

    /// The faults that strike by the clock.
    pub(crate) fn timed(&self) -> Vec<(Time, FaultIndex)> {
        let timed = self.faults.iter().enumerate();
        timed
            .filter_map(|(index, entry)| match entry.fault.trigger {
                Trigger::At(at) => Some((at, index)),
                _ => None,
            })
            .collect()
    }

    /// The explicit operations that are handed over by the clock: when, and their place in the plan.
    pub(crate) fn ops_at(&self) -> Vec<(Time, usize)> {
        let ops = self.ops.iter();
        ops.filter_map(|(op, at)| match at {
            Trigger::At(at) => Some((*at, *op)),
            _ => None,
        })
        .collect()
    }

    /// The fault itself.
    #[cfg(test)]
    pub(crate) fn fault(&self, index: FaultIndex) -> &Fault {
        &self.faults[index].fault
    }

    /// Whether any event can matter now.
    pub(crate) fn interested(&self) -> bool {
        self.armed.iter().any(|armed| !armed.is_empty())
    }

    /// A protocol event. Returns the faults that strike now, in the order of the plan.
    pub(crate) fn observe(
        &mut self,
        event: &ProtocolEvent<'_>,
        view: &dyn View,
    ) -> Vec<FaultIndex> {
        let class = event.kind.class();
        if self.armed[class].is_empty() {
            return Vec::new();
        }
        let faults = &mut self.faults;
        let mut strike = Vec::new();
        self.armed[class].retain(|&index| {
            let struck = faults[index].counts_to_its_turn(event, view);
            if struck {
                strike.push(index);
            }
            !struck
        });
        strike.sort_unstable();
        strike
    }

    /// A fault has struck. Returns the faults that are timed by it now; those that count events after it begin to.
    pub(crate) fn struck(&mut self, index: FaultIndex, now: Time) -> Vec<(Time, FaultIndex)> {
        if self.faults[index].struck.replace(now).is_some() {
            return Vec::new();
        }
        let label = self.faults[index].fault.label.clone();
        let mut timed = Vec::new();
        for (other, entry) in self.faults.iter().enumerate() {
            match &entry.fault.trigger {
                Trigger::After {
                    label: after,
                    delay_us,
                } if *after == label => {
                    timed.push((now.plus(*delay_us), other));
                }
                _ => {}
            }
        }
        for other in 0..self.faults.len() {
            self.arm_if(other, |after| after == Some(&label));
        }
        timed
    }

    /// The explicit operations that are timed by a fault that struck now: when, and their place in the plan.
    pub(crate) fn ops_after(&self, index: FaultIndex, now: Time) -> Vec<(Time, usize)> {
        let label = &self.faults[index].fault.label;
        let ops = self.ops.iter();
        ops.filter_map(|(op, at)| match at {
            Trigger::After {
                label: after,
                delay_us,
            } if after == label => Some((now.plus(*delay_us), *op)),
            _ => None,
        })
        .collect()
    }

    /// The servers that a target of this fault means now. Empty where there is nobody.
    pub(crate) fn resolve(
        &mut self,
        index: FaultIndex,
        target: &Target,
        view: &dyn View,
        ends: Ends,
    ) -> Vec<ServerId> {
        let resolver = &mut self.faults[index].resolver;
        resolver.resolve(target, view, ends, &Default::default())
    }

    /// The groups of a partition. A group may be empty.
    pub(crate) fn resolve_groups(
        &mut self,
        index: FaultIndex,
        groups: &[Vec<Target>],
        view: &dyn View,
        ends: Ends,
    ) -> Vec<Vec<ServerId>> {
        self.faults[index]
            .resolver
            .resolve_groups(groups, view, ends)
    }

    /// The two ends of links, the second without the first.
    pub(crate) fn resolve_ends(
        &mut self,
        index: FaultIndex,
        between: &Target,
        and: &Target,
        view: &dyn View,
        ends: Ends,
    ) -> (Vec<ServerId>, Vec<ServerId>) {
        self.faults[index]
            .resolver
            .resolve_ends(between, and, view, ends)
    }

    /// The clients that a fault is about: those it names, else all of them or one, as its action says.
    pub(crate) fn clients(&mut self, index: FaultIndex) -> Vec<u32> {
        let all = self.clients;
        let Entry {
            fault, resolver, ..
        } = &mut self.faults[index];
        match &fault.action {
            Action::ClientCrash { clients }
            | Action::ClientPause { clients }
            | Action::ClientDuplicate { clients }
                if clients.is_empty() && all > 0 =>
            {
                vec![1 + resolver.below(u64::from(all)) as u32]
            }
            Action::ClientMove { clients, .. } | Action::ClientCut { clients }
                if clients.is_empty() =>
            {
                (1..=all).collect()
            }
            Action::ClientCrash { clients }
            | Action::ClientPause { clients }
            | Action::ClientDuplicate { clients }
            | Action::ClientMove { clients, .. }
            | Action::ClientCut { clients } => clients.clone(),
            _ => Vec::new(),
        }
    }

    /// The scripted faults that never struck.
    pub(crate) fn untriggered(&self) -> Vec<String> {
        let idle = self.faults.iter().filter(|entry| entry.struck.is_none());
        idle.map(|entry| entry.fault.label.clone())
            .filter(|label| !label.starts_with(RANDOM_PREFIX))
            .collect()
    }
}

impl Entry {
    /// Counts the event if it matches; whether it was the one to strike at.
    fn counts_to_its_turn(&mut self, event: &ProtocolEvent<'_>, view: &dyn View) -> bool {
        let Trigger::On {
            event: pattern,
            nth,
            not_before,
            ..
        } = &self.fault.trigger
        else {
            return false;
        };
        if event.at < *not_before || !names_match(pattern, &event.kind) {
            return false;
        }
        let is = |target: &Option<Target>, server: Option<ServerId>| match (target, server) {
            (None, _) => true,
            (Some(target), Some(server)) => self.resolver.includes(target, server, view),
            (Some(_), None) => false,
        };
        let ends = event.ends();
        let matches = match pattern {
            EventPattern::Send { from, to, .. } | EventPattern::Receive { from, to, .. } => {
                is(from, ends.sender) && is(to, ends.receiver)
            }
            EventPattern::Disk { at, .. } | EventPattern::Note { at, .. } => {
                is(at, Some(event.server))
            }
            EventPattern::Reply { .. } => true,
        };
        self.seen += u32::from(matches);
        matches && self.seen == *nth
    }
}
