//! The parts of a scenario that shrinking turns at: all targets of a fault, all lists of clients, all times.

use crate::format::Scenario;
use crate::workload::Workload;
use zabsim::plan::{Action, EventPattern, Fault, Plan, Target, Trigger};
use zabsim_types::{CreateMode, Op};

/// Every target that a fault names, whole lists before their members.
pub(super) fn each_target(fault: &mut Fault, visit: &mut dyn FnMut(&mut Target)) {
    if let Trigger::On { event, .. } = &mut fault.trigger {
        let (one, other) = ends(event);
        for target in [one, other].into_iter().flatten().flatten() {
            visit_target(target, visit);
        }
    }
    match &mut fault.action {
        Action::Crash { target, .. }
        | Action::Restart { target }
        | Action::Pause { target }
        | Action::SlowDisk { target, .. }
        | Action::FsyncError { target }
        | Action::DiskFull { target }
        | Action::Wipe { target }
        | Action::BitRot { target, .. }
        | Action::BadRead { target }
        | Action::ClockJump { target, .. }
        | Action::ClockDrift { target, .. }
        | Action::SlowStage { target, .. }
        | Action::ClientMove {
            to: Some(target), ..
        } => visit_target(target, visit),
        Action::Partition { groups } => {
            for target in groups.iter_mut().flatten() {
                visit_target(target, visit);
            }
        }
        Action::OneWay {
            from: between,
            to: and,
        }
        | Action::Flap { between, and, .. }
        | Action::Reset { between, and, .. }
        | Action::Delay { between, and, .. }
        | Action::Stall { between, and }
        | Action::Bandwidth { between, and, .. } => {
            visit_target(between, visit);
            visit_target(and, visit);
        }
        _ => {}
    }
}

fn visit_target(target: &mut Target, visit: &mut dyn FnMut(&mut Target)) {
    visit(target);
    if let Target::Several(targets) = target {
        for target in targets {
            visit_target(target, visit);
        }
    }
}

/// What narrows an event down.
pub(super) fn ends(
    event: &mut EventPattern,
) -> (Option<&mut Option<Target>>, Option<&mut Option<Target>>) {
    match event {
        EventPattern::Send { from, to, .. } | EventPattern::Receive { from, to, .. } => {
            (Some(from), Some(to))
        }
        EventPattern::Disk { at, .. } | EventPattern::Note { at, .. } => (Some(at), None),
        EventPattern::Reply { .. } => (None, None),
    }
}

/// The list of clients that an action names, if it names any.
pub(super) fn each_client_list(action: &mut Action, visit: &mut dyn FnMut(&mut Vec<u32>)) {
    match action {
        Action::ClientCrash { clients }
        | Action::ClientPause { clients }
        | Action::ClientMove { clients, .. }
        | Action::ClientCut { clients }
        | Action::ClientDuplicate { clients } => visit(clients),
        _ => {}
    }
}

/// Every point in time at which something is scripted, in microseconds, the end of the faults last.
pub(super) fn each_time(scenario: &mut Scenario, visit: &mut dyn FnMut(&mut u64)) {
    let plan = &mut scenario.plan;
    let faults = plan.faults.iter_mut().map(|fault| &mut fault.trigger);
    let ops = plan.ops.iter_mut().map(|op| &mut op.at);
    for trigger in faults.chain(ops) {
        if let Trigger::At(at) = trigger {
            visit(&mut at.0);
        }
    }
    scenario
        .holds
        .iter_mut()
        .for_each(|hold| visit(&mut hold.at_us));
    visit(&mut plan.safety_us);
}

/// The durations of the settings that are not as they would be if nothing were said. Of a range both ends. Settings go one way: to
/// what they are when nothing is said, or to less. The tick is none of them: what is promised within so many ticks would be
/// another promise, which nobody keeps in a millisecond.
fn each_setting(scenario: &mut Scenario, visit: &mut dyn FnMut(&mut [&mut u64])) {
    let plain = Plan::of(scenario.plan.ensemble.voters, scenario.plan.clients);
    let plan = &mut scenario.plan;
    for (ms, default_ms) in [
        (&mut plan.session_timeout_ms, plain.session_timeout_ms),
        (
            &mut plan.ensemble.sweep_interval_ms,
            plain.ensemble.sweep_interval_ms,
        ),
    ] {
        if *ms != default_ms {
            let mut us = u64::from(*ms) * 1_000;
            visit(&mut [&mut us]);
            *ms = (us / 1_000) as u32;
        }
    }
    let (climate, default) = (&mut plan.climate, &plain.climate);
    for (range, default) in [
        (&mut climate.link_us, default.link_us),
        (&mut climate.client_link_us, default.client_link_us),
        (&mut climate.fsync_us, default.fsync_us),
        (&mut climate.read_us, default.read_us),
        (&mut climate.stage_us, default.stage_us),
        (&mut climate.restart_us, default.restart_us),
    ] {
        if *range != default {
            visit(&mut [&mut range.0, &mut range.1]);
        }
    }
    if climate.clock_offset_us_max != default.clock_offset_us_max {
        visit(&mut [&mut climate.clock_offset_us_max]);
    }
    for workload in &mut scenario.workloads {
        let plain = Workload::of(workload.kind);
        for (range, default) in [
            (&mut workload.think_us, plain.think_us),
            (&mut workload.hold_us, plain.hold_us),
        ] {
            if *range != default {
                visit(&mut [&mut range.0, &mut range.1]);
            }
        }
    }
}

/// Every duration of the script: how long a fault lasts, how long after another it strikes, and what its action has of its
/// own; and those settings that stand in the file. Of a range both ends, which stay in order when both are treated alike.
pub(super) fn each_duration(scenario: &mut Scenario, visit: &mut dyn FnMut(&mut [&mut u64])) {
    each_setting(scenario, visit);
    for hold in &mut scenario.holds {
        visit(&mut [&mut hold.for_us]);
    }
    let plan = &mut scenario.plan;
    for scripted in &mut plan.ops {
        if let Trigger::After { delay_us, .. } = &mut scripted.at {
            visit(&mut [delay_us]);
        }
        if let Op::Create { mode, .. } = &mut scripted.op
            && let CreateMode::PersistentWithTtl { ttl_ms }
            | CreateMode::PersistentSequentialWithTtl { ttl_ms } = mode
        {
            let mut ttl_us = ttl_ms.unsigned_abs() * 1_000;
            visit(&mut [&mut ttl_us]);
            *ttl_ms = (ttl_us / 1_000) as i64;
        }
    }
    for fault in &mut plan.faults {
        match &mut fault.trigger {
            Trigger::After { delay_us, .. } => visit(&mut [delay_us]),
            Trigger::On { not_before, .. } => visit(&mut [&mut not_before.0]),
            Trigger::At(_) => {}
        }
        if let Some(lasts_us) = &mut fault.lasts_us {
            visit(&mut [lasts_us]);
        }
        match &mut fault.action {
            Action::RollingRestart { gap_us } => visit(&mut [gap_us]),
            Action::Flap { down_us, up_us, .. } => {
                visit(&mut [down_us]);
                visit(&mut [up_us]);
            }
            Action::Delay { extra_us, .. }
            | Action::SlowDisk { extra_us, .. }
            | Action::SlowStage { extra_us, .. } => {
                visit(&mut [&mut extra_us.0, &mut extra_us.1]);
            }
            Action::ClockJump { by_us, .. } => visit(&mut [by_us]),
            _ => {}
        }
    }
}
