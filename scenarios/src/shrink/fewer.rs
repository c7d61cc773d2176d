//! Fewer of everything: a scenario without some of its faults, operations, clients, workloads or servers.
//!
//! What leans on something that goes is mended, or goes with it: a fault that waited for another takes over what that one
//! waited for, numbers of clients close up, and a server that is there no longer is replaced by one that is.

use super::parts::{each_client_list, each_target};
use crate::format::Scenario;
use std::ops::Range;
use zabsim::plan::{Fault, Plan, Target, Trigger};
use zabsim_types::{ServerId, Time};

/// Without the faults at these places.
pub(crate) fn without_faults(scenario: &Scenario, places: Range<usize>) -> Scenario {
    let mut out = scenario.clone();
    for _ in places.clone() {
        remove_fault(&mut out, places.start);
    }
    out
}

fn remove_fault(scenario: &mut Scenario, at: usize) {
    if at >= scenario.plan.faults.len() {
        return;
    }
    let gone = scenario.plan.faults.remove(at);
    let mut orphans = Vec::new();
    for (index, fault) in scenario.plan.faults.iter_mut().enumerate() {
        if !inherits(&mut fault.trigger, &gone) {
            orphans.push(index);
        }
    }
    let ops = &mut scenario.plan.ops;
    for index in (0..ops.len()).rev() {
        if !inherits(&mut ops[index].at, &gone) {
            ops.remove(index);
        }
    }
    scenario.expect.outcomes = vec![Vec::new(); ops.len()];
    while let Some(orphan) = orphans.pop() {
        remove_fault(scenario, orphan);
    }
}

/// Whether a trigger goes on without that fault; it waits now for what the fault waited for.
fn inherits(trigger: &mut Trigger, gone: &Fault) -> bool {
    match trigger {
        Trigger::After { label, delay_us } if *label == gone.label => {
            let later_us = *delay_us;
            *trigger = match &gone.trigger {
                Trigger::At(at) => Trigger::At(Time(at.0 + later_us)),
                Trigger::After { label, delay_us } => Trigger::After {
                    label: label.clone(),
                    delay_us: delay_us + later_us,
                },
                Trigger::On { .. } => return false,
            };
            true
        }
        Trigger::On {
            after, not_before, ..
        } if after.as_ref() == Some(&gone.label) => {
            *after = match &gone.trigger {
                Trigger::At(at) => {
                    *not_before = (*not_before).max(*at);
                    None
                }
                Trigger::After { label, .. } => Some(label.clone()),
                Trigger::On { after, .. } => after.clone(),
            };
            true
        }
        _ => true,
    }
}

/// Without the explicit operations at these places.
pub(super) fn without_ops(scenario: &Scenario, places: Range<usize>) -> Scenario {
    let mut out = scenario.clone();
    let end = places.end.min(out.plan.ops.len());
    out.plan.ops.drain(places.start.min(end)..end);
    out.expect.outcomes = vec![Vec::new(); out.plan.ops.len()];
    out
}

/// Without the uses of recipes at these places.
pub(super) fn without_holds(scenario: &Scenario, places: Range<usize>) -> Scenario {
    let mut out = scenario.clone();
    let end = places.end.min(out.holds.len());
    out.holds.drain(places.start.min(end)..end);
    out
}

/// Without the operations at these places, and with faults that wait for the n-th event of a kind waiting for proportionally
/// fewer.
pub(super) fn without_ops_and_events(scenario: &Scenario, places: Range<usize>) -> Scenario {
    let mut out = without_ops(scenario, places);
    let (few, all) = (out.plan.ops.len(), scenario.plan.ops.len().max(1));
    let mut is_sooner = false;
    for fault in &mut out.plan.faults {
        if let Trigger::On { nth, .. } = &mut fault.trigger {
            let fewer = (*nth as usize * few / all).max(1) as u32;
            is_sooner |= fewer < *nth;
            *nth = fewer;
        }
    }
    match is_sooner {
        true => out,
        false => scenario.clone(),
    }
}

/// Without the clients of these places, counted from 0. Those after them move up.
pub(super) fn without_clients(scenario: &Scenario, places: Range<usize>) -> Scenario {
    let mut out = scenario.clone();
    let gone = |client: u32| places.contains(&(client as usize - 1));
    let last = places.end.min(out.plan.clients as usize);
    let moved = last.saturating_sub(places.start) as u32;
    let renumbered = |client: u32| match client as usize > places.start {
        true => client - moved,
        false => client,
    };
    let close_up = |clients: &mut Vec<u32>| {
        clients.retain(|client| !gone(*client));
        clients
            .iter_mut()
            .for_each(|client| *client = renumbered(*client));
    };
    out.plan.clients -= moved;
    out.plan.ops.retain(|op| !gone(op.client));
    for op in &mut out.plan.ops {
        op.client = renumbered(op.client);
    }
    out.holds.retain(|hold| !gone(hold.client));
    for hold in &mut out.holds {
        hold.client = renumbered(hold.client);
    }
    // An empty list means everybody, or somebody: whoever named only those that are gone goes too.
    let is_orphan = |before: &[u32], after: &[u32]| !before.is_empty() && after.is_empty();
    let before = out.plan.read_only_clients.clone();
    close_up(&mut out.plan.read_only_clients);
    if is_orphan(&before, &out.plan.read_only_clients) {
        out.plan.ensemble.read_only_mode = false;
    }
    out.workloads.retain_mut(|workload| {
        let before = workload.clients.clone();
        close_up(&mut workload.clients);
        !is_orphan(&before, &workload.clients)
    });
    if out.plan.clients == 0 {
        out.workloads.clear();
    }
    let mut orphans = Vec::new();
    for (index, fault) in out.plan.faults.iter_mut().enumerate() {
        each_client_list(&mut fault.action, &mut |clients| {
            let before = clients.clone();
            close_up(clients);
            if is_orphan(&before, clients) {
                orphans.push(index);
            }
        });
    }
    for orphan in orphans.into_iter().rev() {
        remove_fault(&mut out, orphan);
    }
    out.expect.outcomes = vec![Vec::new(); out.plan.ops.len()];
    out
}

/// With the operations of one client asked by another, of a lower number: each pair by its number. The list of who asks
/// for what ends with the last client, and then there is `None`.
pub(super) fn handed_over(scenario: &Scenario, pair: usize) -> Option<Scenario> {
    let clients = scenario.plan.clients as usize;
    let (from, to) = (pair / clients.max(1) + 1, pair % clients.max(1) + 1);
    if from > clients {
        return None;
    }
    let mut out = scenario.clone();
    let of_from = |client: u32| client as usize == from && to < from;
    for op in &mut out.plan.ops {
        if of_from(op.client) {
            op.client = to as u32;
        }
    }
    for hold in &mut out.holds {
        if of_from(hold.client) {
            hold.client = to as u32;
        }
    }
    Some(out)
}

/// Without one of the workloads.
pub(super) fn without_workload(scenario: &Scenario, at: usize) -> Scenario {
    let mut out = scenario.clone();
    out.workloads.remove(at);
    out
}

/// Ensembles with fewer servers, the smallest first: so many voters and observers.
pub(super) fn fewer_servers(plan: &Plan) -> Vec<(u8, u8)> {
    let (voters, observers) = (plan.ensemble.voters, plan.ensemble.observers);
    let mut sizes = Vec::new();
    for fewer in (1..voters).filter(|n| n % 2 == 1 || *n == voters - 1) {
        sizes.push((fewer, 0));
        sizes.push((fewer, observers));
    }
    sizes.extend((0..observers).map(|fewer| (voters, fewer)));
    sizes.dedup();
    sizes
}

/// Without one of the servers that may join. The last is the one that goes.
pub(super) fn with_fewer_joiners(scenario: &Scenario) -> Option<Scenario> {
    let mut out = scenario.clone();
    out.plan.ensemble.joiners = out.plan.ensemble.joiners.checked_sub(1)?;
    aimed_at_those_that_are(&mut out);
    Some(out)
}

/// With so many voters and observers. A target that would be nobody's number is another's.
pub(super) fn with_servers(scenario: &Scenario, (voters, observers): (u8, u8)) -> Scenario {
    let mut out = scenario.clone();
    let ensemble = &mut out.plan.ensemble;
    (ensemble.voters, ensemble.observers) = (voters, observers);
    ensemble.weights.retain(|server, _| server.0 <= voters);
    for group in &mut ensemble.groups {
        group.retain(|server| server.0 <= voters);
    }
    ensemble.groups.retain(|group| !group.is_empty());
    aimed_at_those_that_are(&mut out);
    out
}

fn aimed_at_those_that_are(out: &mut Scenario) {
    let servers = out.plan.ensemble.servers() as u8;
    let observers = out.plan.ensemble.observers;
    for fault in &mut out.plan.faults {
        each_target(fault, &mut |target| match target {
            Target::Server(ServerId(n)) if *n > servers => *n = (*n - 1) % servers + 1,
            Target::Follower(n) if *n >= servers => *n = (servers - 1).max(1),
            Target::Random(n) if *n > servers => *n = servers,
            Target::Observer(n) if *n > observers => *target = Target::Server(ServerId(servers)),
            _ => {}
        });
    }
}
