//! Simpler: a server by its name instead of a draw, one target instead of several, plain settings, plain operations.
//!
//! Each candidate is simpler by an order in which nothing goes back, so that simplifying comes to an end.

use super::parts::{each_client_list, each_target, ends};
use crate::format::Scenario;
use crate::workload::Workload;
use zabsim::plan::{Action, Climate, Ensemble, Plan, Target, Trigger, Unsynced};
use zabsim_types::{CreateMode, Op, ServerId, SyncMode, Time};

/// More of a big ensemble's servers are not tried for one target.
const SERVERS_TRIED: u8 = 7;

/// Makes one thing simpler, if it is not so already.
pub(super) type Change = Box<dyn Fn(&mut Scenario)>;

/// Each setting, fault and operation of that scenario made simpler, one at a time.
pub(super) fn simpler(scenario: &Scenario) -> Vec<Change> {
    let mut all = Changes(Vec::new());
    settings(&mut all);
    for index in 0..scenario.plan.faults.len() {
        for target in targets(scenario, index) {
            all.add(move |out| replace_target(out, index, &target));
        }
        fault(index, &mut all);
        groups(scenario, index, &mut all);
        clients(scenario, index, &mut all);
    }
    for (index, scripted) in scenario.plan.ops.iter().enumerate() {
        for op in simpler_ops(&scripted.op) {
            all.add(move |out| out.plan.ops[index].op = op.clone());
        }
    }
    for index in 0..scenario.workloads.len() {
        workload(index, &mut all);
    }
    all.0
}

struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, change: impl Fn(&mut Scenario) + 'static) {
        self.0.push(Box::new(change));
    }
}

/// The ensemble and its climate as they are where a file says nothing; clocks that agree.
fn settings(all: &mut Changes) {
    all.add(move |out| {
        let plain = Ensemble::of(out.plan.ensemble.voters);
        let (observers, joiners) = (out.plan.ensemble.observers, out.plan.ensemble.joiners);
        out.plan.ensemble = Ensemble {
            observers,
            joiners,
            ..plain
        };
    });
    all.add(move |out| {
        out.plan.climate = Climate {
            clock_offset_us_max: 0,
            clock_drift_ppm_max: 0,
            ..Climate::default()
        };
    });
    all.add(move |out| out.plan.session_timeout_ms = Plan::of(1, 0).session_timeout_ms);
    all.add(move |out| out.plan.leave_broken = false);
    all.add(move |out| {
        out.plan.ensemble.read_only_mode = false;
        out.plan.read_only_clients.clear();
    });
    all.add(move |out| out.plan.data_loss_allowed = false);
    all.add(move |out| {
        out.plan.climate.clock_offset_us_max = 0;
        out.plan.climate.clock_drift_ppm_max = 0;
    });
    let plain = |out: &mut Scenario, set: fn(&mut Ensemble, &Ensemble)| {
        let plain = Ensemble::of(out.plan.ensemble.voters);
        set(&mut out.plan.ensemble, &plain);
    };
    all.add(move |out| {
        plain(out, |e, plain| {
            (e.groups, e.weights) = (plain.groups.clone(), plain.weights.clone());
        });
    });
    all.add(move |out| plain(out, |e, plain| e.tick_ms = plain.tick_ms));
    all.add(move |out| {
        plain(out, |e, plain| {
            e.sweep_interval_ms = plain.sweep_interval_ms
        });
    });
    all.add(move |out| plain(out, |e, plain| e.rules = plain.rules.clone()));
    all.add(move |out| {
        plain(out, |e, plain| {
            (e.local_sessions, e.upgrade_local_sessions) =
                (plain.local_sessions, plain.upgrade_local_sessions);
        });
    });
    for range in [
        (|c: &mut Climate, plain: Climate| c.link_us = plain.link_us) as fn(&mut Climate, Climate),
        |c, plain| c.client_link_us = plain.client_link_us,
        |c, plain| c.fsync_us = plain.fsync_us,
        |c, plain| c.read_us = plain.read_us,
        |c, plain| c.stage_us = plain.stage_us,
        |c, plain| c.restart_us = plain.restart_us,
    ] {
        all.add(move |out| range(&mut out.plan.climate, Climate::default()));
    }
    all.add(move |out| {
        plain(out, |e, plain| {
            (e.init_limit, e.sync_limit) = (plain.init_limit, plain.sync_limit);
        });
    });
    all.add(move |out| plain(out, |e, plain| e.snap_count = plain.snap_count));
    all.add(move |out| {
        plain(out, |e, plain| e.commit_log_count = plain.commit_log_count);
    });
    all.add(move |out| {
        plain(out, |e, plain| {
            e.disk_diff_bytes_max = plain.disk_diff_bytes_max;
        });
    });
    all.add(move |out| plain(out, |e, plain| e.counter_max = plain.counter_max));
    all.add(move |out| {
        plain(out, |e, plain| {
            e.snapshot_chunk_nodes = plain.snapshot_chunk_nodes;
        });
    });
}

/// How far a target is from a server's name: what depends on the moment, on a draw, and on more than one.
fn rank(target: &Target) -> usize {
    match target {
        Target::Server(_) | Target::Leader => 0,
        Target::Sender | Target::Receiver | Target::Rest => 1,
        Target::Follower(_) | Target::Observer(_) => 2,
        Target::Learner | Target::AnyFollower | Target::Random(1) => 3,
        Target::Minority => 4,
        Target::Random(n) => 4 + usize::from(*n),
        Target::Majority => 30,
        Target::All => 31,
        Target::Several(targets) => 40 + targets.iter().map(|t| 1 + rank(t)).sum::<usize>(),
    }
}

/// Simpler targets for one fault: which of its targets, by place, and what instead.
fn targets(scenario: &Scenario, fault: usize) -> Vec<(usize, Target)> {
    let servers = scenario.plan.ensemble.voters + scenario.plan.ensemble.observers;
    let mut all = Vec::new();
    let mut place = 0;
    each_target(&mut scenario.plan.faults[fault].clone(), &mut |target| {
        let mut instead = vec![Target::Leader];
        instead.extend((1..=servers.min(SERVERS_TRIED)).map(|n| Target::Server(ServerId(n))));
        instead.push(Target::AnyFollower);
        if let Target::Several(members) = &*target {
            instead.extend(members.iter().cloned());
            for gone in 0..members.len() {
                let mut fewer = members.clone();
                fewer.remove(gone);
                instead.push(Target::Several(fewer));
            }
        }
        if let Target::Random(n) = target {
            instead.extend((1..*n).map(Target::Random));
        }
        instead.retain(|other| rank(other) < rank(target) && *other != Target::Several(vec![]));
        all.extend(instead.into_iter().map(|other| (place, other)));
        place += 1;
    });
    all
}

fn replace_target(scenario: &mut Scenario, fault: usize, (which, instead): &(usize, Target)) {
    let mut place = 0;
    each_target(&mut scenario.plan.faults[fault], &mut |target| {
        if place == *which {
            *target = instead.clone();
        }
        place += 1;
    });
}

/// A simpler trigger and a simpler action.
fn fault(index: usize, all: &mut Changes) {
    let action = move |out: &mut Scenario, change: &dyn Fn(&mut Action)| {
        change(&mut out.plan.faults[index].action);
    };
    all.add(move |out| {
        if let Trigger::On { not_before, .. } = &mut out.plan.faults[index].trigger {
            *not_before = Time(0);
        }
    });
    for side in [false, true] {
        all.add(move |out| {
            if let Trigger::On { event, .. } = &mut out.plan.faults[index].trigger {
                let (one, other) = ends(event);
                if let Some(end) = if side { other } else { one } {
                    *end = None;
                }
            }
        });
    }
    let fewer: [fn(u32) -> u32; 3] = [|_| 1, |nth| nth / 2, |nth| nth - 1];
    for fewer in fewer {
        all.add(move |out| {
            if let Trigger::On { nth, .. } = &mut out.plan.faults[index].trigger
                && *nth > 1
            {
                *nth = fewer(*nth);
            }
        });
    }
    all.add(move |out| {
        action(out, &|action| match action {
            Action::Crash {
                after_effects: n, ..
            } => *n = 0,
            Action::Reset { half_open, .. } => *half_open = false,
            Action::ElectionLoss {
                repeated_per_mille, ..
            } => *repeated_per_mille = 0,
            Action::BitRot { file, .. } => *file = None,
            _ => {}
        });
    });
    all.add(move |out| {
        action(out, &|action| {
            if let Action::Crash { unsynced, .. } = action
                && matches!(unsynced, Unsynced::Drawn | Unsynced::Torn)
            {
                *unsynced = Unsynced::Lost;
            }
        });
    });
}

/// A partition of fewer groups, and of smaller ones.
fn groups(scenario: &Scenario, index: usize, all: &mut Changes) {
    let Action::Partition { groups } = &scenario.plan.faults[index].action else {
        return;
    };
    let change = move |out: &mut Scenario, change: &dyn Fn(&mut Vec<Vec<Target>>)| {
        if let Action::Partition { groups } = &mut out.plan.faults[index].action {
            change(groups);
        }
    };
    for group in 0..groups.len() {
        if groups.len() > 2 {
            all.add(move |out| {
                change(out, &|groups| {
                    groups.remove(group);
                });
            });
        }
        for member in 0..groups[group].len() {
            if groups[group].len() > 1 {
                all.add(move |out| {
                    change(out, &|groups| {
                        groups[group].remove(member);
                    });
                });
            }
        }
    }
}

/// Fewer clients in an action that names several.
fn clients(scenario: &Scenario, index: usize, all: &mut Changes) {
    let mut named = 0;
    let mut action = scenario.plan.faults[index].action.clone();
    each_client_list(&mut action, &mut |clients| named = clients.len());
    if named < 2 {
        return;
    }
    for gone in 0..named {
        all.add(move |out| {
            let action = &mut out.plan.faults[index].action;
            each_client_list(action, &mut |clients| {
                clients.remove(gone);
            });
        });
    }
}

/// What asks for less in the same place.
fn simpler_ops(op: &Op) -> Vec<Op> {
    let mut plain = op.clone();
    match &mut plain {
        Op::Create {
            mode, with_stat, ..
        } => {
            *with_stat = false;
            if *mode == CreateMode::EphemeralSequential {
                let mut unnumbered = plain.clone();
                if let Op::Create { mode, .. } = &mut unnumbered {
                    *mode = CreateMode::Ephemeral;
                }
                return vec![with_mode(&plain, CreateMode::Persistent), unnumbered, plain];
            }
            return vec![with_mode(&plain, CreateMode::Persistent), plain];
        }
        Op::Delete { version, .. } | Op::SetData { version, .. } => *version = -1,
        Op::GetData { watch, .. } | Op::Exists { watch, .. } => *watch = false,
        Op::GetChildren {
            watch, with_stat, ..
        } => (*watch, *with_stat) = (false, false),
        Op::Sync { mode, .. } => *mode = SyncMode::Leader,
        Op::Multi { ops } => {
            let alone = ops.iter().filter(|op| !matches!(op, Op::Check { .. }));
            let mut fewer: Vec<Op> = alone.cloned().collect();
            if ops.len() > 1 {
                fewer.extend((0..ops.len()).map(|gone| {
                    let mut ops = ops.clone();
                    ops.remove(gone);
                    Op::Multi { ops }
                }));
            }
            return fewer;
        }
        _ => {}
    }
    vec![plain]
}

fn with_mode(create: &Op, mode: CreateMode) -> Op {
    let mut out = create.clone();
    if let Op::Create { mode: its, .. } = &mut out {
        *its = mode;
    }
    out
}

/// A workload on fewer nodes, with less haste, done by fewer clients.
fn workload(index: usize, all: &mut Changes) {
    all.add(move |out| out.workloads[index].keys = 1);
    all.add(move |out| {
        let keys = &mut out.workloads[index].keys;
        *keys = (*keys / 2).max(1);
    });
    all.add(move |out| {
        let workload = &mut out.workloads[index];
        workload.hold_us = Workload::of(workload.kind).hold_us;
    });
    all.add(move |out| {
        let workload = &mut out.workloads[index];
        workload.think_us = Workload::of(workload.kind).think_us;
    });
    all.add(move |out| out.workloads[index].ops.clear());
    all.add(move |out| {
        let everybody: Vec<u32> = (1..=out.plan.clients).collect();
        let clients = &mut out.workloads[index].clients;
        let named = if clients.is_empty() {
            everybody
        } else {
            clients.clone()
        };
        if let [fewer @ .., _] = named.as_slice()
            && !fewer.is_empty()
        {
            *clients = fewer.to_vec();
        }
    });
    all.add(move |out| out.workloads[index].sync = SyncMode::Leader);
}
