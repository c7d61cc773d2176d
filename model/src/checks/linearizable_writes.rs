//! Linearizable writes: the updates of all clients happened one after the other, in the order of their zxids, each between
//! its call and its reply, and each was answered what that order says.
//!
//! Exactly (`L` is the committed log, replayed through the reference model):
//! - a) every answered update is one transaction of `L`, its reply's zxid, of its session; no transaction is two updates', and
//!   none is there that no client asked for;
//! - b) the model, at the state before it, gives the same answer: error code, path with its sequence number, every field of
//!   every `Stat`, each part of a multi;
//! - c) an update that was answered before another was called has the smaller zxid;
//! - d) an update without an answer that is in `L` counts in c) with its call: what was answered before that call has a
//!   smaller zxid.
//!
//! c) and d) are one scan in zxid order that keeps the latest call so far: exact for all pairs. Reads come in with
//! `no-future-reads`.
//!
//! Source: ZooKeeper's consistency guarantees (updates are linearizable); Herlihy and Wing 1990; a witness order is verified
//! instead of searched.

use super::history::Call;
use super::replay::{Blame, Claim, Wrong};
use super::{Check, Evidence, Finding, NO_WITNESS};
use zabsim_types::Zxid;
use zabsim_types::spell::{self, short};

pub(super) const CHECK: Check = Check {
    name: "linearizable-writes",
    about: "Updates take effect one after the other between call and reply, and are answered accordingly.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let Some(replay) = &evidence.replay else {
        return Finding::nothing(NO_WITNESS);
    };
    let mut finding = Finding::default();
    one_transaction_each(evidence, &mut finding);
    if let Some(wrong) = &replay.wrong_write {
        wrong_answer(evidence, wrong, &mut finding);
    }
    real_time(evidence, &mut finding);
    finding.examined = replay.writes;
    finding.with_detail(format!(
        "updates replayed, in a log of {} transactions",
        replay.witness.txns.len()
    ))
}

fn one_transaction_each(evidence: &Evidence<'_>, finding: &mut Finding) {
    let history = &evidence.history;
    let replay = evidence.replay.as_ref().expect("the caller looked");
    for at in &history.answered {
        let call = &history.calls[*at as usize];
        let Some(position) = replay.txn_of[*at as usize] else {
            continue;
        };
        match replay.claims[position as usize] {
            Claim::Call(other) if other != *at => {
                finding.fail_about(history.time(call.done), &[call.done], || {
                    let other = &history.calls[other as usize];
                    format!(
                        "{} and {} were both answered with transaction {}",
                        said(call),
                        said(other),
                        call.zxid
                    )
                })
            }
            _ => {}
        }
    }
    for (claim, txn) in replay.claims.iter().zip(&replay.witness.txns) {
        match claim {
            Claim::Missing(Blame::Twice(call)) => {
                let call = &history.calls[*call as usize];
                finding.fail_about(history.time(call.done), &[call.done], || {
                    format!(
                        "{} was answered with transaction {}, and {} is it once more",
                        said(call),
                        call.zxid,
                        txn.zxid
                    )
                });
            }
            Claim::Missing(Blame::Nobody) => finding.fail(evidence.seen(txn.zxid), || {
                format!(
                    "transaction {} of session {} was asked for by nobody: {}",
                    txn.zxid, txn.session, txn.what
                )
            }),
            _ => {}
        }
    }
}

fn wrong_answer(evidence: &Evidence<'_>, wrong: &Wrong, finding: &mut Finding) {
    let history = &evidence.history;
    let (at, who) = match wrong.call {
        Some(call) => {
            let call = &history.calls[call as usize];
            (history.time(call.done), said(call))
        }
        None => (
            evidence.seen(wrong.zxid),
            "an unanswered request".to_owned(),
        ),
    };
    finding.fail(at, || {
        format!(
            "transaction {} ({who}): the model says {}, but it was {}",
            wrong.zxid, wrong.expected, wrong.observed
        )
    });
}

/// In zxid order: nothing may have been answered before the latest call so far.
fn real_time(evidence: &Evidence<'_>, finding: &mut Finding) {
    let history = &evidence.history;
    let replay = evidence.replay.as_ref().expect("the caller looked");
    let mut latest: Option<(&Call<'_>, Zxid)> = None;
    for (claim, txn) in replay.claims.iter().zip(&replay.witness.txns) {
        let Claim::Call(at) = claim else { continue };
        let call = &history.calls[*at as usize];
        match latest {
            Some((before, zxid)) if call.answered() < before.invoked => {
                let about = [call.invoked, before.invoked];
                finding.fail_about(history.time(before.invoked), &about, || {
                    format!(
                        "{} was answered before {} was called, yet its transaction {} comes after {zxid}",
                        said(call),
                        said(before),
                        txn.zxid
                    )
                });
            }
            Some((before, _)) if call.invoked <= before.invoked => {}
            _ => latest = Some((call, txn.zxid)),
        }
    }
}

/// How much of an operation messages show.
const OP_MAX: usize = 200;

/// A call, as messages name it.
pub(super) fn said(call: &Call<'_>) -> String {
    format!(
        "call {} of client {} ({})",
        call.id().0,
        call.process().0,
        short(spell::op(call.op()), OP_MAX)
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, get, report, set};
    use crate::witness::TxnKind;
    use zabsim_types::{ErrorCode, HistoryKind, Reply, Zxid};

    const NAME: &str = "linearizable-writes";

    fn violation(run: &Run) -> String {
        let report = report(run, NAME);
        report.violation.expect("a violation").message
    }

    #[test]
    fn a_legal_run_is_accepted_and_counted() {
        let run = World::tour();
        let report = report(&run, NAME);
        assert!(report.ok(), "{}", report.detail);
        assert!(report.examined >= 9);
    }

    #[test]
    fn an_answer_must_be_the_models() {
        let mut run = World::tour();
        for event in &mut run.history {
            if let HistoryKind::Ok {
                result: Reply::Set { stat },
                ..
            } = &mut event.kind
            {
                stat.version += 1;
                break;
            }
        }
        assert!(violation(&run).contains("the model says"));
    }

    #[test]
    fn a_failure_must_be_the_models() {
        let mut run = World::tour();
        for event in &mut run.history {
            if let HistoryKind::Fail { error, .. } = &mut event.kind {
                *error = ErrorCode::NotEmpty;
                break;
            }
        }
        let broken = run.reports();
        assert!(broken.iter().any(|report| !report.ok()));
    }

    /// Two updates that do not overlap, with their zxids swapped.
    #[test]
    fn real_time_order_is_the_order_of_zxids() {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(2, create("/b"));
        let mut run = world.finish();
        let log = &mut run.witness.txns;
        let at = |path: &str, log: &[crate::CommittedTxn]| {
            let made =
                |what: &TxnKind| matches!(what, TxnKind::Create { path: p, .. } if &**p == path);
            log.iter().position(|txn| made(&txn.what)).expect("made")
        };
        let (a, b) = (at("/a", log), at("/b", log));
        let (za, zb) = (log[a].zxid, log[b].zxid);
        log.swap(a, b);
        (log[a].zxid, log[b].zxid) = (za, zb);
        for event in &mut run.history {
            if let HistoryKind::Ok { zxid, .. } = &mut event.kind {
                *zxid = match *zxid {
                    z if z == za => zb,
                    z if z == zb => za,
                    z => z,
                };
            }
        }
        assert!(violation(&run).contains("was answered before"));
    }

    /// A write without an answer happened: whatever was answered before it was called must come before it.
    #[test]
    fn an_unanswered_write_counts_with_its_call() {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        let lost = world.invoke(2, set("/a", "x"));
        world.propose(2);
        world.lose(2);
        assert!(report(&world.clone().finish(), NAME).ok());
        let mut run = world.finish();
        // As if it had been called only after a reader had seen it applied.
        let call = run.remove_invocation(lost);
        run.history.push(call);
        assert!(!report(&run, "well-formed").ok() || run.reports().iter().any(|r| !r.ok()));
    }

    #[test]
    fn nothing_is_applied_twice() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.now(1, set("/a", "x"));
        let mut run = world.finish();
        let mut again = run.witness.txns.last().expect("a log").clone();
        again.zxid = Zxid(again.zxid.0 + 1);
        run.witness.txns.push(again);
        assert!(violation(&run).contains("once more"));
    }

    #[test]
    fn nothing_is_applied_that_nobody_asked_for() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.now(1, get("/a"));
        let mut run = world.finish();
        let mut other = run.witness.txns.last().expect("a log").clone();
        other.zxid = Zxid(other.zxid.0 + 1);
        other.what = TxnKind::Delete { path: "/a".into() };
        run.witness.txns.push(other);
        assert!(violation(&run).contains("asked for by nobody"));
    }

    #[test]
    fn a_transaction_answers_one_update() {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(2, create("/b"));
        let mut run = world.finish();
        let mut zxids = run
            .history
            .iter_mut()
            .filter_map(|event| match &mut event.kind {
                HistoryKind::Ok { zxid, .. } => Some(zxid),
                _ => None,
            });
        let first = *zxids.next().expect("two");
        *zxids.next().expect("two") = first;
        assert!(violation(&run).contains("both answered"));
    }
}
