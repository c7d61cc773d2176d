//! The nemesis on its own: a plan, a view that the test paints, and events made by hand.

mod draws;
mod targets;
mod triggers;
mod validity;

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// An ensemble as the nemesis sees it.
struct Painted {
    voters: Vec<ServerId>,
    observers: Vec<ServerId>,
    leader: Option<ServerId>,
    down: BTreeSet<ServerId>,
    synchronizing: Vec<ServerId>,
}

impl Painted {
    /// So many voters, then observers; s1 leads.
    fn new(voters: u8, observers: u8) -> Painted {
        let ids = |from: u8, count: u8| (from..from + count).map(ServerId).collect();
        Painted {
            voters: ids(1, voters),
            observers: ids(voters + 1, observers),
            leader: Some(ServerId(1)),
            down: BTreeSet::new(),
            synchronizing: Vec::new(),
        }
    }
}

impl View for Painted {
    fn voters(&self) -> &[ServerId] {
        &self.voters
    }
    fn observers(&self) -> &[ServerId] {
        &self.observers
    }
    fn leader(&self) -> Option<ServerId> {
        self.leader
    }
    fn is_up(&self, server: ServerId) -> bool {
        !self.down.contains(&server)
    }
    fn synchronizing(&self) -> Vec<ServerId> {
        self.synchronizing.clone()
    }
    fn is_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        2 * servers.len() > self.voters.len()
    }
}

fn plan(voters: u8, observers: u8, clients: u32, faults: Vec<Fault>) -> Plan {
    let mut plan = Plan::of(voters, clients);
    plan.ensemble.observers = observers;
    plan.ensemble.snap_count = 400;
    plan.safety_us = 60_000_000;
    plan.faults = faults;
    plan
}

fn fault(label: &str, trigger: Trigger, action: Action) -> Fault {
    Fault {
        label: label.into(),
        trigger,
        action,
        lasts_us: None,
    }
}

fn at_ms(ms: u64) -> Trigger {
    Trigger::At(Time::from_ms(ms))
}

fn on(event: EventPattern, nth: u32) -> Trigger {
    Trigger::On {
        event,
        nth,
        not_before: Time::ZERO,
        after: None,
    }
}

fn send(message: &str, from: Option<Target>, to: Option<Target>) -> EventPattern {
    EventPattern::Send {
        message: message.into(),
        from,
        to,
    }
}
