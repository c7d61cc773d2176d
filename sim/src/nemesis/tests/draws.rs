use super::*;
use crate::plan::Trigger;

fn standard(seed: u64) -> Vec<Fault> {
    draw_faults(seed, "standard", &plan(5, 0, 5, Vec::new()))
}

/// When a fault is tried at the earliest, where its plan alone says it.
fn moment(fault: &Fault, all: &[Fault]) -> u64 {
    match &fault.trigger {
        Trigger::At(at) => at.0,
        Trigger::On { not_before, .. } => not_before.0,
        Trigger::After { label, delay_us } => {
            let before = all.iter().find(|other| other.label == *label);
            moment(before.expect("it is there"), all) + delay_us
        }
    }
}

fn is_timed(fault: &Fault) -> bool {
    !matches!(fault.trigger, Trigger::On { .. })
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[test]
fn every_kind_occurs_in_a_hundred_seeds() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for fault in (1..=100).flat_map(standard) {
        *seen.entry(fault.kind()).or_default() += 1;
    }
    let scripted_only = ["restart", "mark", "heal"];
    for (kind, _) in FAULT_KINDS {
        let times = seen.get(kind).copied().unwrap_or(0);
        match scripted_only.contains(kind) {
            true => assert_eq!(times, 0, "{kind}"),
            false => assert!(times >= 10, "{kind} occurs {times} times: {seen:?}"),
        }
    }
}

#[test]
fn a_standard_run_has_some_faults_and_several_reasons_to_elect() {
    let mut counts = Vec::new();
    let mut leaderless = Vec::new();
    for seed in 1..=200 {
        let faults = standard(seed);
        counts.push(faults.iter().filter(|f| is_timed(f)).count() as u64);
        leaderless.push(faults.iter().filter(|f| takes_the_leader(f)).count() as u64);
    }
    let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
    let (count, elections) = (median(counts), median(leaderless));
    assert!(
        (14..=30).contains(&count),
        "{count} faults in the median run, {least} to {most}"
    );
    assert!(
        (4..=9).contains(&elections),
        "{elections} of them take the leader"
    );
}

/// Whether a fault certainly costs the leader its role, if there is one.
fn takes_the_leader(fault: &Fault) -> bool {
    let long = fault.lasts_us.is_none_or(|us| us >= 3_000_000);
    match &fault.action {
        _ if !is_timed(fault) => false,
        Action::Crash { target, .. } | Action::Wipe { target } => {
            matches!(target, Target::Leader | Target::Majority | Target::All)
        }
        Action::FsyncError { target } | Action::DiskFull { target } => *target == Target::Leader,
        Action::Pause { target } => *target == Target::Leader && long,
        Action::Partition { groups } => long && groups[0] == [Target::Leader],
        Action::RollingRestart { .. } => true,
        _ => false,
    }
}

/// Clients must get work done: there is time with nothing wrong.
#[test]
fn much_of_a_standard_run_is_calm() {
    let mut calm = Vec::new();
    for seed in 1..=100 {
        let faults = standard(seed);
        let mut troubled = [false; 600];
        for fault in faults.iter().filter(|f| is_timed(f)) {
            let from = moment(fault, &faults) / 100_000;
            let to = from + fault.lasts_us.unwrap_or(1_000_000) / 100_000;
            for tenth in from..=to.min(599) {
                troubled[tenth as usize] = true;
            }
        }
        calm.push(troubled.iter().filter(|t| !**t).count() as u64);
    }
    let least = *calm.iter().min().unwrap();
    let median = median(calm);
    assert!(median >= 200, "{median} calm tenths of a second of 600");
    assert!(least >= 60, "{least} calm tenths of a second of 600");
}

#[test]
fn what_is_drawn_is_valid_in_order_and_named_once_whatever_the_ensemble() {
    for profile in ["calm", "standard", "swarm", "any"] {
        for voters in 1..=7 {
            for (observers, clients) in [(0, 3), (2, 0), (1, 5)] {
                for seed in 0..15 {
                    let mut plan = plan(voters, observers, clients, Vec::new());
                    plan.faults = draw_faults(seed, profile, &plan);
                    assert_eq!(validate(&plan), Ok(()), "{profile}, {voters}+{observers}");
                    let moments: Vec<u64> = plan
                        .faults
                        .iter()
                        .map(|f| moment(f, &plan.faults))
                        .collect();
                    assert!(moments.is_sorted());
                    assert!(
                        plan.faults
                            .iter()
                            .all(|f| f.label.starts_with(RANDOM_PREFIX))
                    );
                    for (place, fault) in plan.faults.iter().enumerate() {
                        if let Trigger::After { label, .. } = &fault.trigger {
                            let before = &plan.faults[..place];
                            assert!(
                                before.iter().any(|f| f.label == *label),
                                "{label} comes first"
                            );
                        }
                    }
                    assert_eq!(
                        profile == "calm",
                        plan.faults.is_empty() && profile == "calm"
                    );
                }
            }
        }
    }
}

#[test]
fn a_seed_means_the_same_faults_every_time_and_each_seed_others() {
    assert_eq!(standard(5), standard(5));
    assert_ne!(standard(5), standard(6));
}

#[test]
fn each_seed_leaves_kinds_out() {
    for seed in 1..=50 {
        let kinds: BTreeSet<&str> = standard(seed).iter().map(Fault::kind).collect();
        assert!(kinds.len() < 24, "seed {seed} has {kinds:?}");
    }
}

#[test]
fn a_run_ten_times_as_long_has_ten_times_the_faults() {
    let count = |safety_us| -> usize {
        let mut plan = plan(5, 0, 5, Vec::new());
        plan.safety_us = safety_us;
        (1..=40)
            .map(|seed| draw_faults(seed, "standard", &plan).len())
            .sum()
    };
    let (short, long) = (count(60_000_000), count(600_000_000));
    assert!(
        (8 * short..13 * short).contains(&long),
        "{short} and {long}"
    );
}

#[test]
fn swarm_is_stronger_and_strikes_at_events() {
    let plan = plan(5, 0, 5, Vec::new());
    let count = |profile, of: fn(&Fault) -> bool| -> usize {
        (1..=100)
            .map(|seed| {
                draw_faults(seed, profile, &plan)
                    .iter()
                    .filter(|f| of(f))
                    .count()
            })
            .sum()
    };
    let (standard, swarm) = (count("standard", |_| true), count("swarm", |_| true));
    assert!(swarm * 10 > standard * 14, "{standard} and {swarm}");
    let on_event = |f: &Fault| !is_timed(f);
    let (standard, swarm) = (count("standard", on_event), count("swarm", on_event));
    assert!(
        standard >= 100 && swarm > 3 * standard,
        "{standard} and {swarm}"
    );
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = FAULT_KINDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), FAULT_KINDS.len());
    assert!(FAULT_KINDS.iter().all(|(_, about)| about.ends_with('.')));
    for fault in (1..=100).flat_map(standard) {
        assert!(names.contains(fault.kind()));
        assert!(names.contains(fault.action.kind()));
    }
}
