//! Durability: what a client has seen stays. Every transaction that an answer, a read's header or a watch event names is in
//! the committed log for good.
//!
//! Exactly: the zxid of an answered update and of a watch event is in the log; the header of a read or of a sync names a
//! transaction of the log, or the beginning ⟨e,0⟩ of an epoch, which never carries one (a server that has just synchronized
//! reports it), or nothing yet.
//!
//! Source: ZooKeeper's guarantee of reliability ("once an update has been applied, it will persist"); ZAB's committed log
//! durability as a client sees it.

use super::linearizable_writes::said;
use super::{Check, Evidence, Finding, NO_WITNESS};
use zabsim_types::{HistoryKind, SessionChange, Zxid};

pub(super) const CHECK: Check = Check {
    name: "durability",
    about: "Every transaction that a client has seen is in the committed log for good.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let Some(replay) = &evidence.replay else {
        return Finding::nothing(NO_WITNESS);
    };
    let history = &evidence.history;
    let mut near = 0;
    let mut committed = |zxid: Zxid| {
        let position = replay.witness.position_near(near, zxid);
        near = position.unwrap_or(near);
        position.is_some()
    };
    let mut finding = Finding::default();
    // Answers near to each other name transactions near to each other, often the same.
    let mut last = None;
    for at in &history.answered {
        let call = &history.calls[*at as usize];
        let zxid = call.zxid;
        finding.examined += 1;
        let is_update = call.is_update();
        if is_update && replay.txn_of[*at as usize].is_some() {
            continue;
        }
        if Some(zxid) == last || (!is_update && zxid.counter() == 0) {
            continue;
        }
        if committed(zxid) {
            last = Some(zxid);
            continue;
        }
        finding.fail_about(history.time(call.done), &[call.done], || {
            format!(
                "{} was answered at {zxid}, which is not in the committed log",
                said(call)
            )
        });
    }
    for (_, event) in history.told() {
        let (what, zxid) = match &event.kind {
            HistoryKind::Watch {
                zxid: Some(zxid), ..
            } => ("a watch event", *zxid),
            HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } if zxid.counter() != 0 => ("the answer to SetWatches", *zxid),
            _ => continue,
        };
        finding.examined += 1;
        if !committed(zxid) {
            finding.fail(event.time, || {
                let client = event.process.0;
                format!("{what} at client {client} names {zxid}, which is not in the committed log")
            });
        }
    }
    finding.with_detail("answers and events".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, report};

    #[test]
    fn a_transaction_that_was_seen_must_not_vanish() {
        let mut run = World::tour();
        let whole = report(&run, "durability");
        assert!(whole.ok() && whole.examined > 15, "{}", whole.detail);
        run.witness.txns.pop();
        let report = report(&run, "durability");
        assert!(report.detail.contains("not in the committed log"));
    }
}
