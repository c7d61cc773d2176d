//! The workload of the yardstick says everything that a client can say, and gets every kind of answer to it.

use std::collections::BTreeMap;
use zabsim_scenarios::library;
use zabsim_scenarios::runner::run_scenario;
use zabsim_tests::spread;
use zabsim_types::run::Verdict;
use zabsim_types::{CallId, CreateMode, ErrorCode, HistoryEvent, HistoryKind, Op, OpKind, Reply};

const SEEDS: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// What becomes of the requests of one kind.
#[derive(Clone, Copy, Default, Debug)]
struct Count {
    succeeded: u32,
    failed: u32,
}

type Counts = BTreeMap<String, Count>;

/// What the request is called here: its kind, and of a create the mode.
fn name(op: &Op) -> String {
    match op {
        Op::Create { mode, .. } => {
            let mode = match mode {
                CreateMode::PersistentWithTtl { .. } => "WithTtl".to_owned(),
                mode => format!("{mode:?}"),
            };
            format!("Create {mode}")
        }
        op => format!("{:?}", op.kind()),
    }
}

fn count(history: &[HistoryEvent], counts: &mut Counts) {
    let mut asked: BTreeMap<CallId, &Op> = BTreeMap::new();
    for event in history {
        let (id, answer) = match &event.kind {
            HistoryKind::Invoke { id, request } => {
                asked.insert(*id, request);
                continue;
            }
            HistoryKind::Ok { id, result, .. } => (id, Ok(result)),
            HistoryKind::Fail { id, error, .. } => (id, Err(*error)),
            _ => continue,
        };
        note(asked[id], answer, counts);
    }
}

/// Parts of a multi and of a multiRead count for themselves too.
fn note(op: &Op, answer: Result<&Reply, ErrorCode>, counts: &mut Counts) {
    let count = counts.entry(name(op)).or_default();
    match (op, answer) {
        (Op::Multi { ops }, Ok(Reply::MultiFailed { errors })) => {
            count.failed += 1;
            for (part, error) in ops.iter().zip(errors) {
                match error {
                    ErrorCode::Ok | ErrorCode::RuntimeInconsistency => {}
                    error => note(part, Err(*error), counts),
                }
            }
        }
        (Op::Multi { ops }, Ok(Reply::Multi { results })) => {
            count.succeeded += 1;
            for (part, result) in ops.iter().zip(results) {
                note(part, Ok(result), counts);
            }
        }
        (Op::MultiRead { .. }, Ok(Reply::MultiRead { results })) => {
            match results.iter().all(Result::is_ok) {
                true => count.succeeded += 1,
                false => count.failed += 1,
            }
        }
        (_, Ok(_)) => count.succeeded += 1,
        (_, Err(_)) => count.failed += 1,
    }
}

#[test]
fn every_operation_of_a_client_succeeds_and_fails_in_the_yardstick() {
    let scenario = library::find("standard").expect("the library has it");
    let runs = spread(&SEEDS, 2, |seed| {
        let finished = run_scenario(&scenario, "standard", *seed, false);
        let report = finished.report;
        assert_eq!(report.verdict, Verdict::Pass, "{}", report.reproduce);
        assert!(report.client_ops.ok >= 2_000, "{}", report.client_ops.ok);
        let mut counts = Counts::new();
        count(&finished.history, &mut counts);
        counts
    });
    let mut counts = Counts::new();
    for (name, count) in runs.into_iter().flatten() {
        let sum = counts.entry(name).or_default();
        sum.succeeded += count.succeeded;
        sum.failed += count.failed;
    }
    // What nothing can be wrong with, where nobody asks for the impossible.
    let never_fails = [
        OpKind::Sync,
        OpKind::CloseSession,
        OpKind::WhoAmI,
        OpKind::AddWatch,
        OpKind::GetEphemerals,
    ];
    let never_fails = never_fails.map(|kind| format!("{kind:?}"));
    let may_fail = [
        OpKind::Delete,
        OpKind::SetData,
        OpKind::GetData,
        OpKind::Exists,
        OpKind::GetChildren,
        OpKind::Check,
        OpKind::Multi,
        OpKind::GetAcl,
        OpKind::SetAcl,
        OpKind::AddAuth,
        OpKind::RemoveWatches,
        OpKind::CheckWatches,
        OpKind::MultiRead,
        OpKind::GetAllChildrenNumber,
    ];
    let may_fail = may_fail.map(|kind| format!("{kind:?}"));
    let creates = ["Persistent", "Ephemeral", "Container", "WithTtl"];
    let creates = creates.map(|mode| format!("Create {mode}"));
    for name in may_fail.iter().chain(&creates) {
        let count = counts.get(name).copied().unwrap_or_default();
        assert!(count.succeeded > 0 && count.failed > 0, "{name}: {count:?}");
    }
    for name in &never_fails {
        let count = counts.get(name).copied().unwrap_or_default();
        assert!(count.succeeded > 0, "{name}: {count:?}");
    }
}
