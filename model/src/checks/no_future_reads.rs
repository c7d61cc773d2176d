//! No reads of the future: an answer shows no update that was called only after it.
//!
//! Exactly: for an answer that names the state `h`, every update of a client in the log up to `h` was called before the
//! answer arrived; and so for a watch event, and for the answer to `SetWatches`. One scan for the latest call of each prefix of the log, one look-up for each answer. Sequential
//! consistency alone does not forbid it; physics does.
//!
//! Source: Herlihy and Wing's real-time order, applied to reads; without a log the answered updates stand for it.

use super::history::{At, Call};
use super::linearizable_writes::said;
use super::replay::Claim;
use super::{Check, Evidence, Finding};
use crate::witness::partition_near;
use zabsim_types::{HistoryKind, SessionChange, Zxid};

pub(super) const CHECK: Check = Check {
    name: "no-future-reads",
    about: "No answer shows an update that was called only after it.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let updates = updates_in_order(evidence);
    // For each prefix of the log, the latest call in it.
    let mut latest: Vec<(Zxid, At, u32)> = Vec::with_capacity(updates.len());
    for (zxid, at) in updates {
        let invoked = history.calls[at as usize].invoked;
        latest.push(match latest.last() {
            Some((_, before, other)) if *before > invoked => (zxid, *before, *other),
            _ => (zxid, invoked, at),
        });
    }
    let mut near = 0;
    let mut newest = |zxid: Zxid| {
        near = partition_near(&latest, near, |(other, ..)| *other <= zxid);
        near.checked_sub(1).map(|last| latest[last])
    };
    let mut finding = Finding::default();
    for at in &history.answered {
        let call: &Call<'_> = &history.calls[*at as usize];
        if call.is_update() {
            continue;
        }
        finding.examined += 1;
        if let Some((_, invoked, other)) = newest(call.zxid)
            && invoked > call.done
        {
            let about = [call.done, invoked];
            finding.fail_about(history.time(call.done), &about, || {
                format!(
                    "{} was answered at {}, a state with {}, which was called only at {}",
                    said(call),
                    call.zxid,
                    said(&history.calls[other as usize]),
                    history.time(invoked)
                )
            });
        }
    }
    for (at, event) in history.told() {
        let (what, zxid) = match &event.kind {
            HistoryKind::Watch {
                zxid: Some(zxid), ..
            } => ("got an event", *zxid),
            HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } => ("set its watches again", *zxid),
            _ => continue,
        };
        finding.examined += 1;
        if let Some((_, invoked, other)) = newest(zxid)
            && invoked as usize > at
        {
            finding.fail_about(event.time, &[at as At, invoked], || {
                format!(
                    "client {} {what} at {zxid}, a state with {}, which was called only at {}",
                    event.process.0,
                    said(&history.calls[other as usize]),
                    history.time(invoked)
                )
            });
        }
    }
    finding.with_detail("reads, syncs and events".into())
}

/// The updates of clients by zxid: those of the log, or without one those that were answered.
fn updates_in_order(evidence: &Evidence<'_>) -> Vec<(Zxid, u32)> {
    let history = &evidence.history;
    if let Some(replay) = &evidence.replay {
        let claims = replay.claims.iter().zip(&replay.witness.txns);
        return claims
            .filter_map(|(claim, txn)| match claim {
                Claim::Call(at) => Some((txn.zxid, *at)),
                _ => None,
            })
            .collect();
    }
    let mut updates: Vec<(Zxid, u32)> = history
        .answered
        .iter()
        .map(|at| (history.calls[*at as usize].zxid, *at))
        .filter(|(_, at)| history.calls[*at as usize].is_update())
        .collect();
    updates.sort_unstable();
    updates
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, get, report, set, watch};
    use crate::checks::{Options, check_all};
    use zabsim_types::HistoryKind;

    const NAME: &str = "no-future-reads";

    #[test]
    fn a_read_of_a_later_write_is_found_with_and_without_a_log() {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(1, get("/a"));
        world.now(2, set("/a", "x"));
        let mut run = world.finish();
        assert!(report(&run, NAME).ok());
        let written = run.witness.txns.last().expect("a log").zxid;
        let reads = run
            .history
            .iter_mut()
            .filter_map(|event| match &mut event.kind {
                HistoryKind::Ok { zxid, .. } => Some(zxid),
                _ => None,
            });
        *reads.into_iter().nth(1).expect("the read") = written;
        assert!(report(&run, NAME).detail.contains("called only at"));
        let blind = check_all(&run.history, None, &Options::default());
        let blind = blind.iter().find(|report| report.name == NAME);
        assert!(!blind.expect("it is run").ok());
    }

    #[test]
    fn an_event_of_a_change_that_is_still_to_come_is_found() {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(1, watch("/a"));
        world.now(2, set("/a", "x"));
        world.deliver_all(1);
        let mut run = world.finish();
        assert!(report(&run, NAME).ok());
        let called = run.history.iter().rposition(|event| {
            matches!(&event.kind, HistoryKind::Invoke { request, .. } if request.is_update())
        });
        let last = run.history.len() - 1;
        // The event is the last thing of all: it takes the place of the call, which moves to the end with its answer.
        let event = run.history.remove(last);
        run.history.insert(called.expect("a set"), event);
        assert!(report(&run, NAME).detail.contains("got an event"));
    }
}
