//! Workloads written out: the operations that the clients' programs asked for, as explicit operations at their times.
//!
//! A run of these asks the same of the service at the same moments. What a program does beside asking (holding a lock, writing
//! to a guarded resource, telling the history of it) is not in it: where a check of recipes failed, what is left of the recipes'
//! workloads is who held what and for how long ([`Hold`]); and where that is not enough, they stay.

use crate::format::{self, Scenario};
use crate::workload::{self, Hold, Recipe, WorkloadKind};
use std::collections::{BTreeMap, BTreeSet};
use zabsim::plan::{ScriptedOp, Trigger};
use zabsim_types::{HistoryEvent, HistoryKind, Op, RecipeEvent, RecipeStep, Time};

/// The workloads that say something of their own to the history.
const RECIPES: [WorkloadKind; 2] = [WorkloadKind::Lock, WorkloadKind::Election];

/// The scenario without workloads, and without any but the recipes', each asking what its clients asked for in that run.
pub(super) fn written_out(scenario: &Scenario, history: &[HistoryEvent]) -> Vec<Scenario> {
    if scenario.workloads.is_empty() {
        return Vec::new();
    }
    let mut all = vec![with_ops(scenario, history, &[], false)];
    let is_recipe = |kind: &WorkloadKind| RECIPES.contains(kind);
    let kinds = || scenario.workloads.iter().map(|workload| workload.kind);
    if kinds().any(|kind| is_recipe(&kind)) {
        all.push(with_ops(scenario, history, &[], true));
        if !kinds().all(|kind| is_recipe(&kind)) {
            all.push(with_ops(scenario, history, &RECIPES, false));
        }
    }
    all
}

/// With the operations of all workloads but those kept; those of recipes as the uses of recipes that they were, if `held`.
fn with_ops(
    scenario: &Scenario,
    history: &[HistoryEvent],
    kept: &[WorkloadKind],
    held: bool,
) -> Scenario {
    let mut out = scenario.clone();
    // What a workload was allowed to ask for, its operations are.
    out.plan = workload::with_operator(&scenario.workloads, out.plan);
    if held {
        out.holds.extend(holds(scenario, history));
    }
    out.workloads
        .retain(|workload| kept.contains(&workload.kind));
    let plan = &scenario.plan;
    let scripted: BTreeSet<_> = (0..plan.ops.len()).map(|op| plan.op_call(op)).collect();
    let asked_otherwise = match held {
        true => &RECIPES[..],
        false => kept,
    };
    let of_kept: Vec<&str> = asked_otherwise.iter().map(|kind| root(*kind)).collect();
    for event in history {
        let HistoryKind::Invoke { id, request } = &event.kind else {
            continue;
        };
        let stays = path(request).is_some_and(|path| of_kept.iter().any(|r| path.starts_with(r)));
        // Nothing is asked on purpose once the world heals; and what the format has no words for cannot be asked.
        if scripted.contains(id) || stays || event.time.0 > plan.safety_us {
            continue;
        }
        if format::is_sayable(request) {
            out.plan.ops.push(ScriptedOp {
                client: event.process.0,
                at: Trigger::At(Time(event.time.0)),
                op: request.clone(),
            });
        }
    }
    out.expect.outcomes = vec![Vec::new(); out.plan.ops.len()];
    out
}

/// How long something is held of which the run did not see the end.
const HELD_US: u64 = 50_000;

/// Who asked for a lock or stood for election, when, and how long each had it; beside those that the scenario names.
fn holds(scenario: &Scenario, history: &[HistoryEvent]) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::new();
    // Of each client and object, the last that was asked for, and since when it is held.
    let mut last: BTreeMap<(u32, &str), (usize, u64)> = BTreeMap::new();
    for event in history {
        let HistoryKind::Recipe(RecipeEvent { object, step }) = &event.kind else {
            continue;
        };
        let (client, now_us) = (event.process.0, event.time.0);
        let key = (client, object.as_ref());
        let recipe = match step {
            RecipeStep::LockWanted => Some(Recipe::Lock),
            RecipeStep::ElectionEntered => Some(Recipe::Election),
            _ => None,
        };
        match (step, recipe) {
            (_, Some(recipe)) if now_us <= scenario.plan.safety_us => {
                last.insert(key, (holds.len(), now_us));
                holds.push(Hold {
                    client,
                    at_us: now_us,
                    recipe,
                    path: object.to_string(),
                    for_us: HELD_US,
                });
            }
            (RecipeStep::LockAcquired { .. } | RecipeStep::LeaderElected { .. }, _) => {
                if let Some((_, since_us)) = last.get_mut(&key) {
                    *since_us = now_us;
                }
            }
            (
                RecipeStep::LockReleased { .. }
                | RecipeStep::LockLost { .. }
                | RecipeStep::LeaderResigned { .. },
                _,
            ) => {
                if let Some((hold, since_us)) = last.remove(&key) {
                    holds[hold].for_us = now_us - since_us;
                }
            }
            _ => {}
        }
    }
    holds.retain(|hold| !scenario.holds.iter().any(|named| named.path == hold.path));
    holds
}

/// Where the nodes of a recipe's workload stand.
fn root(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Lock => "/locks",
        WorkloadKind::Election => "/elections",
        _ => "/",
    }
}

fn path(op: &Op) -> Option<&str> {
    match op {
        Op::Create { path, .. }
        | Op::Delete { path, .. }
        | Op::SetData { path, .. }
        | Op::GetData { path, .. }
        | Op::Exists { path, .. }
        | Op::GetChildren { path, .. }
        | Op::Sync { path, .. } => Some(path),
        _ => None,
    }
}
