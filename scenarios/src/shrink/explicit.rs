//! Workloads written out: the operations that the clients' programs asked for, as explicit operations at their times.
//!
//! A run of these asks the same of the service at the same moments. What a program does beside asking (holding a lock, writing
//! to a guarded resource, telling the history of it) is not in it: where a check of recipes failed, the recipes' workloads stay.

use crate::format::{self, Scenario};
use crate::workload::WorkloadKind;
use std::collections::BTreeSet;
use zabsim::plan::{ScriptedOp, Trigger};
use zabsim_types::{HistoryEvent, HistoryKind, Op, Time};

/// The workloads that say something of their own to the history.
const RECIPES: [WorkloadKind; 2] = [WorkloadKind::Lock, WorkloadKind::Election];

/// The scenario without workloads, and without any but the recipes', each asking what its clients asked for in that run.
pub(super) fn written_out(scenario: &Scenario, history: &[HistoryEvent]) -> Vec<Scenario> {
    if scenario.workloads.is_empty() {
        return Vec::new();
    }
    let mut all = vec![with_ops(scenario, history, &[])];
    let is_recipe = |kind: &WorkloadKind| RECIPES.contains(kind);
    let kinds = || scenario.workloads.iter().map(|workload| workload.kind);
    if kinds().any(|kind| is_recipe(&kind)) && !kinds().all(|kind| is_recipe(&kind)) {
        all.push(with_ops(scenario, history, &RECIPES));
    }
    all
}

fn with_ops(scenario: &Scenario, history: &[HistoryEvent], kept: &[WorkloadKind]) -> Scenario {
    let mut out = scenario.clone();
    out.workloads
        .retain(|workload| kept.contains(&workload.kind));
    let plan = &scenario.plan;
    let scripted: BTreeSet<_> = (0..plan.ops.len()).map(|op| plan.op_call(op)).collect();
    let of_kept: Vec<&str> = kept.iter().map(|kind| root(*kind)).collect();
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
