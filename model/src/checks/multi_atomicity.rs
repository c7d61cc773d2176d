//! Multi: all parts under one zxid, or none.
//!
//! Exactly:
//! - its answer has one result a part: all of the parts' kinds, or the vector of a failure, 0 before the part at fault, its
//!   error, −2 behind it;
//! - the log holds it as one transaction with as many parts, or, failed, as one without effect;
//! - no answer shows a part of a state that it does not name: no zxid in a `Stat` is above the header's;
//! - no answer at or above a multi's zxid misses a part: of the paths that it touched, none is seen with a `Stat` from before
//!   it. (That a node is missing wholly is in the replay: `snapshot-reads`.)
//!
//! Source: ZooKeeper's guarantee of atomicity; `MultiOperationRecord`, `DataTree.processTxn`.

use super::history::{Outcome, Shown};
use super::linearizable_writes::said;
use super::{Check, Evidence, Finding, stat_of};
use crate::reference::Lookup;
use crate::witness::TxnKind;
use zabsim_types::{ErrorCode, Op, Reply, Stat, Zxid, spell};

pub(super) const CHECK: Check = Check {
    name: "multi-atomicity",
    about: "A multi takes effect wholly, under one zxid, or not at all.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let mut finding = Finding::default();
    let mut done = Vec::new();
    for at in &history.answered {
        let call = &history.calls[*at as usize];
        if !call.is_multi() {
            continue;
        }
        let (Op::Multi { ops }, Outcome::Ok(reply)) = (call.op(), call.outcome()) else {
            continue;
        };
        finding.examined += 1;
        if let Some(why) = misshapen(ops, reply).or_else(|| mislogged(evidence, *at, ops, reply)) {
            finding.fail_about(history.time(call.done), &[call.done], || {
                format!("{}: {why}", said(call))
            });
        }
        done.push((call.zxid, ops, reply));
    }
    let multis = done.len();
    done.sort_by_key(|(zxid, ..)| *zxid);
    let mut touched: Touched<'_> = Lookup::default();
    for (zxid, ops, reply) in done {
        let Reply::Multi { results } = reply else {
            continue;
        };
        let parts = ops.iter().zip(results);
        for path in parts.filter_map(|(op, reply)| path_changed(op, reply)) {
            touched.entry(path).or_default().push(zxid);
        }
    }
    for shown in &history.shown {
        visible(evidence, shown, &touched, &mut finding);
    }
    finding.with_detail(format!(
        "{multis} multis and the answers that may show them"
    ))
}

/// For each path, the transactions of the multis that made, set or removed it.
type Touched<'a> = Lookup<&'a str, Vec<Zxid>>;

fn misshapen(ops: &[Op], reply: &Reply) -> Option<String> {
    let fits = match reply {
        Reply::Multi { results } => {
            results.len() == ops.len()
                && ops
                    .iter()
                    .zip(results)
                    .all(|(op, reply)| answers(op, reply))
        }
        Reply::MultiFailed { errors } => {
            let culprit = errors.iter().position(|error| *error != ErrorCode::Ok);
            errors.len() == ops.len()
                && culprit.is_some_and(|culprit| {
                    errors[culprit] != ErrorCode::RuntimeInconsistency
                        && errors[culprit + 1..]
                            .iter()
                            .all(|error| *error == ErrorCode::RuntimeInconsistency)
                })
        }
        _ => false,
    };
    (!fits).then(|| {
        let parts = match reply {
            Reply::Multi { results } if results.len() == 1 => "1 result".to_owned(),
            Reply::Multi { results } => format!("{} results", results.len()),
            Reply::MultiFailed { errors } => format!("{} errors", errors.len()),
            _ => "no results".to_owned(),
        };
        format!(
            "no answer to {} parts: {parts}, {}",
            ops.len(),
            spell::reply(reply)
        )
    })
}

fn answers(op: &Op, reply: &Reply) -> bool {
    matches!(
        (op, reply),
        (Op::Create { .. }, Reply::Created { .. })
            | (Op::Delete { .. }, Reply::Deleted)
            | (Op::SetData { .. }, Reply::Set { .. })
            | (Op::Check { .. }, Reply::Checked)
    )
}

fn mislogged(evidence: &Evidence<'_>, at: u32, ops: &[Op], reply: &Reply) -> Option<String> {
    let replay = evidence.replay.as_ref()?;
    let position = replay.txn_of[at as usize]?;
    let txn = &replay.witness.txns[position as usize];
    let fits = match (&txn.what, reply) {
        (TxnKind::Multi { parts }, Reply::Multi { .. }) => parts.len() == ops.len(),
        (TxnKind::Error { .. }, Reply::MultiFailed { .. }) => true,
        _ => false,
    };
    (!fits).then(|| format!("the log holds {} at {}", txn.what, txn.zxid))
}

fn path_changed<'a>(op: &'a Op, reply: &'a Reply) -> Option<&'a str> {
    match (op, reply) {
        (_, Reply::Created { path, .. }) => Some(path),
        (Op::Delete { path, .. } | Op::SetData { path, .. }, _) => Some(path),
        _ => None,
    }
}

fn visible(evidence: &Evidence<'_>, shown: &Shown, touched: &Touched<'_>, finding: &mut Finding) {
    let newest = shown.newest;
    if newest == Zxid::ZERO {
        return;
    }
    let call = &evidence.history.calls[shown.call as usize];
    finding.examined += 1;
    if newest > call.zxid {
        finding.fail(evidence.history.time(call.done), || {
            format!(
                "{} was answered at {} and shows a part of {newest}",
                said(call),
                call.zxid
            )
        });
    }
    if !call.is_read() || touched.is_empty() {
        return;
    }
    let (Op::GetData { path, .. } | Op::Exists { path, .. } | Op::GetChildren { path, .. }) =
        call.op()
    else {
        return;
    };
    let Some(stat) = call.observed().and_then(Result::ok).and_then(stat_of) else {
        return;
    };
    let Some(multis) = touched.get(&**path) else {
        return;
    };
    let upto = multis.partition_point(|zxid| *zxid <= call.zxid);
    let Some(last) = upto.checked_sub(1).map(|at| multis[at]) else {
        return;
    };
    finding.examined += 1;
    if is_older(stat, last) {
        finding.fail(evidence.history.time(call.done), || {
            format!(
                "{} was answered at {} and misses its part of the multi {last}: it shows mzxid {}",
                said(call),
                call.zxid,
                stat.mzxid
            )
        });
    }
}

/// Made, set or removed (and made again) by `multi`, a node's data is at least as new.
fn is_older(stat: &Stat, multi: Zxid) -> bool {
    stat.mzxid < multi
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, delete, exists, multi, report, set};
    use zabsim_types::{ErrorCode, HistoryKind, Reply, Zxid};

    const NAME: &str = "multi-atomicity";

    fn run() -> Run {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(1, create("/b"));
        world.now(1, multi([set("/a", "1"), set("/b", "1"), create("/c")]));
        world.now(2, exists("/b"));
        world.now(1, multi([set("/a", "2"), delete("/none"), create("/d")]));
        world.finish()
    }

    fn detail(run: &Run) -> String {
        report(run, NAME).detail
    }

    fn change(run: &mut Run, change: impl Fn(&mut Zxid, &mut Reply) -> bool) {
        let changed = run.history.iter_mut().any(|event| match &mut event.kind {
            HistoryKind::Ok { zxid, result, .. } => change(zxid, result),
            _ => false,
        });
        assert!(changed);
    }

    #[test]
    fn a_legal_run_is_accepted() {
        let report = report(&run(), NAME);
        assert!(report.ok(), "{}", report.detail);
        assert!(report.detail.starts_with("2 multis"));
    }

    #[test]
    fn a_part_that_a_later_read_misses_is_found() {
        let mut run = run();
        change(&mut run, |_, reply| match reply {
            Reply::Exists { stat } => {
                stat.mzxid = stat.czxid;
                true
            }
            _ => false,
        });
        assert!(detail(&run).contains("misses its part"));
    }

    #[test]
    fn a_part_that_an_earlier_read_shows_is_found() {
        let mut run = run();
        change(&mut run, |zxid, reply| {
            let read = matches!(reply, Reply::Exists { .. });
            if read {
                *zxid = Zxid(zxid.0 - 1);
            }
            read
        });
        assert!(detail(&run).contains("shows a part of"));
    }

    #[test]
    fn a_failure_has_one_culprit() {
        let mut run = run();
        change(&mut run, |_, reply| match reply {
            Reply::MultiFailed { errors } => {
                errors[2] = ErrorCode::NodeExists;
                true
            }
            _ => false,
        });
        assert!(detail(&run).contains("no answer to 3 parts"));
    }

    #[test]
    fn a_result_is_missing() {
        let mut run = run();
        change(&mut run, |_, reply| match reply {
            Reply::Multi { results } => results.pop().is_some(),
            _ => false,
        });
        assert!(detail(&run).contains("no answer to 3 parts"));
    }
}
