//! Bounded unknown outcomes: a request without a reply happened once and in its place, or not at all.
//!
//! Exactly: a transaction that answers no request is that of an unanswered one of its session, and lies between its
//! neighbours in the session: behind every request answered before it was made, and before every later update that was
//! answered (the session had moved then; what the dead connection carried is refused). A later *read* may have been answered
//! before it happened, by a server that was behind. A request that never left its client never happens. Of the unanswered requests sent on one connection those carried out are a prefix: if
//! one was, those before it were, or failed.
//!
//! Source: ZooKeeper's session order with `SessionMovedException` (`PrepRequestProcessor.checkSession`); the conclusion that
//! a write left open by a lost connection comes before any later one of its session is this project's.

use super::history::{Call, History, Outcome};
use super::linearizable_writes::said;
use super::replay::{Blame, Claim, Replay};
use super::{Check, Evidence, Finding};
use crate::witness::TxnKind;
use std::collections::BTreeMap;
use zabsim_types::{HistoryKind, ProcessId, SessionChange, SessionId, Zxid};

pub(super) const CHECK: Check = Check {
    name: "unknown-outcomes",
    about: "An update without a reply happened once, in its session's order, or not at all.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let replay = match evidence.whole_replay() {
        Ok(replay) => replay,
        Err(why) => return Finding::nothing(&why),
    };
    let history = &evidence.history;
    let mut finding = Finding::default();
    for (claim, txn) in replay.claims.iter().zip(&replay.witness.txns) {
        let (call, why) = match claim {
            Claim::Missing(Blame::OutOfOrder(call)) => (
                call,
                "later requests of its session were answered before that",
            ),
            Claim::Missing(Blame::Unsent(call)) => (call, "it never left its client"),
            _ => continue,
        };
        let call = &history.calls[*call as usize];
        finding.fail(evidence.seen(txn.zxid), || {
            format!("{} took effect at {}, though {why}", said(call), txn.zxid)
        });
    }
    let mut happened = 0;
    for (at, call) in history.calls.iter().enumerate() {
        if call.outcome == Outcome::Unknown && call.is_update() {
            finding.examined += 1;
            happened += u64::from(replay.txn_of[at].is_some());
        }
    }
    if happened > 0 {
        prefixes(history, replay, &mut finding);
    }
    finding.with_detail(format!(
        "updates without a reply, {happened} of them happened"
    ))
}

/// The unanswered updates of each connection, in order; `Info` names no connection, but it is the one that just broke.
fn prefixes(history: &History<'_>, replay: &Replay<'_>, finding: &mut Finding) {
    let mut conns: BTreeMap<ProcessId, u32> = BTreeMap::new();
    let mut groups: BTreeMap<(ProcessId, SessionId, u32), Vec<usize>> = BTreeMap::new();
    for event in history.events {
        match &event.kind {
            HistoryKind::Session {
                change: SessionChange::Connected { conn, .. },
            } => {
                conns.insert(event.process, *conn);
            }
            HistoryKind::Info { id, sent: true, .. } => {
                let (Some(conn), Some(call)) = (conns.get(&event.process), history.call(*id))
                else {
                    continue;
                };
                if call.is_update() {
                    let group = groups
                        .entry((event.process, call.session, *conn))
                        .or_default();
                    group.push(history.index(*id).expect("it was found"));
                }
            }
            _ => {}
        }
    }
    let failures = failures_without_reply(replay);
    for ((_, session, _), mut calls) in groups {
        calls.sort_unstable();
        let mut skipped: Option<&Call<'_>> = None;
        for at in calls {
            let call = &history.calls[at];
            let Some(position) = replay.txn_of[at] else {
                skipped = skipped.or(Some(call));
                continue;
            };
            let Some(skipped) = skipped else { continue };
            let zxid = replay.witness.txns[position as usize].zxid;
            // Perhaps the one before it was carried out and failed: that leaves a transaction without effect.
            let failed = failures.get(&session).is_some_and(|at| at[0] < zxid);
            if !failed && !taken_for_another(history, replay, skipped, zxid) {
                finding.fail(history.time(call.done), || {
                    format!(
                        "{} took effect at {zxid}, but {} before it on the same connection did not",
                        said(call),
                        said(skipped)
                    )
                });
            }
        }
    }
}

/// Of two unanswered calls for the same, the earlier is taken for the one that happened; it may have been this one.
fn taken_for_another(
    history: &History<'_>,
    replay: &Replay<'_>,
    call: &Call<'_>,
    before: Zxid,
) -> bool {
    let mut claims = replay.claims.iter().zip(&replay.witness.txns);
    claims.any(|(claim, txn)| match claim {
        Claim::Call(other) => {
            let other = &history.calls[*other as usize];
            other.outcome == Outcome::Unknown
                && txn.session == call.session
                && txn.zxid < before
                && txn.what.is_effect_of(call.op)
        }
        _ => false,
    })
}

fn failures_without_reply(replay: &Replay<'_>) -> BTreeMap<SessionId, Vec<Zxid>> {
    let mut failures: BTreeMap<SessionId, Vec<Zxid>> = BTreeMap::new();
    for (claim, txn) in replay.claims.iter().zip(&replay.witness.txns) {
        if *claim == Claim::Nobody && matches!(txn.what, TxnKind::Error { .. }) {
            failures.entry(txn.session).or_default().push(txn.zxid);
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, get, report, set};
    use zabsim_types::HistoryKind;

    const NAME: &str = "unknown-outcomes";

    #[test]
    fn an_open_write_may_have_happened_in_its_place() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.invoke(1, set("/a", "x"));
        world.propose(1);
        world.lose(1);
        world.reconnect(1, 0);
        world.now(1, get("/a"));
        let report = report(&world.finish(), NAME);
        assert!(report.ok(), "{}", report.detail);
        assert_eq!(report.examined, 1);
        assert!(report.detail.contains("1 of them happened"));
    }

    /// The request of the dead connection slips in behind a later one of its session.
    #[test]
    fn an_open_write_does_not_happen_later() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.invoke(1, set("/a", "late"));
        world.lose(1);
        world.reconnect(1, 0);
        world.now(1, set("/a", "next"));
        let mut run = world.finish();
        run.append(1, set("/a", "late"));
        let report = report(&run, NAME);
        assert!(
            report.detail.contains("later requests of its session"),
            "{}",
            report.detail
        );
    }

    #[test]
    fn what_was_never_sent_never_happens() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.invoke(1, set("/a", "x"));
        world.propose(1);
        world.lose(1);
        let mut run = world.finish();
        for event in &mut run.history {
            if let HistoryKind::Info { sent, .. } = &mut event.kind {
                *sent = false;
            }
        }
        assert!(report(&run, NAME).detail.contains("never left its client"));
    }

    #[test]
    fn of_one_connection_a_prefix_happens() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.invoke(1, set("/a", "first"));
        world.invoke(1, set("/a", "second"));
        world.propose(1);
        world.propose(1);
        world.lose(1);
        let mut run = world.finish();
        assert!(report(&run, NAME).ok());
        let first = run.witness.txns.len() - 2;
        run.witness.txns.remove(first);
        assert!(
            report(&run, NAME)
                .detail
                .contains("on the same connection did not")
        );
    }
}
