//! Bounded unknown outcomes: a request without a reply happened once and in its place, or not at all.
//!
//! Exactly: a transaction that answers no request is that of an unanswered one of its session, and lies between its
//! neighbours in the session: behind every request answered before it was made, and before every later update that was
//! answered (the session had moved then; what the dead connection carried is refused). A later *read* may have been answered
//! before it happened, by a server that was behind. A request that never left its client never happens. Of the unanswered
//! requests sent on one connection those carried out are a prefix: if one was, so were those before it, each as a transaction
//! of its own, be it one that failed.
//!
//! Whether there is such an assignment of requests to transactions is decided, not guessed: between two answered updates of a
//! session the transactions are a sequence, and so are the requests of each connection; which beginnings of the first can be
//! made of beginnings of the second is found connection by connection.
//!
//! Source: ZooKeeper's session order with `SessionMovedException` (`PrepRequestProcessor.checkSession`); the conclusion that
//! a write left open by a lost connection comes before any later one of its session is this project's.

use super::history::{At, Call, History, NEVER};
use super::linearizable_writes::said;
use super::replay::{Blame, Claim, Replay, Unanswered, is_turned_away};
use super::{Check, Evidence, Finding};
use std::collections::BTreeMap;
use zabsim_types::{HistoryKind, ProcessId, SessionChange};

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
        if call.is_unknown() && call.is_update() {
            finding.examined += 1;
            happened += u64::from(replay.txn_of[at].is_some());
        }
    }
    prefixes(evidence, replay, &mut finding);
    finding.with_detail(format!(
        "updates without a reply, {happened} of them happened"
    ))
}

/// Holds the requests of each connection to being carried out from the first on.
fn prefixes(evidence: &Evidence<'_>, replay: &Replay<'_>, finding: &mut Finding) {
    let history = &evidence.history;
    let mut gaps: BTreeMap<(u32, u32), Vec<&Unanswered>> = BTreeMap::new();
    for txn in &replay.unanswered {
        gaps.entry((txn.slot, txn.base)).or_default().push(txn);
    }
    if gaps.is_empty() {
        return;
    }
    let conns = connections(history);
    for ((slot, base), txns) in gaps {
        let missing =
            |txn: &&Unanswered| matches!(replay.claims[txn.position as usize], Claim::Missing(_));
        if txns.iter().any(missing) {
            continue;
        }
        let calls = open_updates(history, slot, base);
        if can_be(&calls, &conns, &txns, replay) {
            continue;
        }
        let zxid = |txn: &Unanswered| replay.witness.txns[txn.position as usize].zxid;
        let (first, last) = (zxid(txns[0]), zxid(txns[txns.len() - 1]));
        finding.fail(evidence.seen(first), || {
            match skipped(history, replay, &calls, &conns) {
                Some((before, after, zxid)) => format!(
                    "{} took effect at {zxid}, but {} before it on the same connection did not",
                    said(after),
                    said(before)
                ),
                None => format!(
                    "the {} transactions from {first} to {last} of session {} that no reply names are not what its {} requests \
                     without a reply come to, if each connection carried out those that came first",
                    txns.len(),
                    history.sessions[slot as usize].session,
                    calls.len()
                ),
            }
        });
    }
}

/// The connection on which each update without a reply was sent; `Info` names none, but it is the one that just broke.
fn connections(history: &History<'_>) -> BTreeMap<u32, u32> {
    // In order of the losses, and with them what happened to the connections.
    let calls = (0..).zip(&history.calls);
    let lost = calls.filter(|(_, call)| call.is_unknown() && call.done != NEVER);
    let mut lost: Vec<(At, u32)> = lost.map(|(at, call)| (call.done, at)).collect();
    lost.sort_unstable();
    let mut told = history.told().peekable();
    let mut now: BTreeMap<ProcessId, u32> = BTreeMap::new();
    let mut conns = BTreeMap::new();
    for (done, at) in lost {
        while let Some((_, event)) = told.next_if(|(place, _)| *place < done as usize) {
            if let HistoryKind::Session {
                change: SessionChange::Connected { conn, .. },
            } = &event.kind
            {
                now.insert(event.process, *conn);
            }
        }
        if let Some(conn) = now.get(&history.calls[at as usize].process()) {
            conns.insert(at, *conn);
        }
    }
    conns
}

/// The session's updates without a reply from there to its next update with one.
fn open_updates(history: &History<'_>, slot: u32, base: u32) -> Vec<u32> {
    let made = &history.sessions[slot as usize].made[base as usize..];
    let call = |at: &u32| &history.calls[*at as usize];
    let until = made
        .iter()
        .position(|at| call(at).is_definite() && call(at).is_update());
    let open = |at: &&u32| call(at).is_unknown() && call(at).is_update();
    let gap = &made[..until.unwrap_or(made.len())];
    gap.iter().filter(open).copied().collect()
}

/// Whether the transactions, all of them and in order, can be the first calls of the first connection, then the first of the
/// second, and so on. A call whose connection is not known stands alone. What was turned away may be of a request that was
/// told so, which is not among the calls.
fn can_be(
    calls: &[u32],
    conns: &BTreeMap<u32, u32>,
    txns: &[&Unanswered],
    replay: &Replay<'_>,
) -> bool {
    let of_others = |reached: &mut Vec<bool>| {
        for (at, txn) in txns.iter().enumerate() {
            let what = &replay.witness.txns[txn.position as usize].what;
            reached[at + 1] |= reached[at] && is_turned_away(what);
        }
    };
    // Which beginnings of the transactions are explained by the connections so far.
    let mut reached = vec![false; txns.len() + 1];
    reached[0] = true;
    of_others(&mut reached);
    let together = |one: &u32, other: &u32| {
        let conn = conns.get(one);
        conn.is_some() && conn == conns.get(other)
    };
    for of_one in calls.chunk_by(together) {
        let mut here = reached.clone();
        for call in of_one {
            let mut next = vec![false; txns.len() + 1];
            for (at, txn) in txns.iter().enumerate() {
                next[at + 1] = here[at] && txn.fits.contains(call);
            }
            of_others(&mut next);
            here = next;
            for (reached, here) in reached.iter_mut().zip(&here) {
                *reached |= here;
            }
        }
    }
    reached[txns.len()]
}

/// For the message: a call that was not taken for any transaction, before one on its connection that was.
fn skipped<'h, 'a>(
    history: &'h History<'a>,
    replay: &Replay<'_>,
    calls: &[u32],
    conns: &BTreeMap<u32, u32>,
) -> Option<(&'h Call<'a>, &'h Call<'a>, zabsim_types::Zxid)> {
    let taken = |at: &u32| replay.txn_of[*at as usize];
    calls.windows(2).find_map(|pair| {
        let same = conns.contains_key(&pair[0]) && conns.get(&pair[0]) == conns.get(&pair[1]);
        let position = taken(&pair[1]).filter(|_| same && taken(&pair[0]).is_none())?;
        let call = |at: u32| &history.calls[at as usize];
        let zxid = replay.witness.txns[position as usize].zxid;
        Some((call(pair[0]), call(pair[1]), zxid))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, delete, get, report, set};
    use crate::witness::TxnKind;
    use zabsim_types::{ErrorCode, HistoryKind, Op, Zxid};

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

    /// The first of these requests was carried out, each on one connection that then broke.
    fn lost(ops: &[Op], carried_out: usize) -> World {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        for op in ops {
            world.invoke(1, op.clone());
        }
        (0..carried_out).for_each(|_| assert!(world.propose(1)));
        world.lose(1);
        world.reconnect(1, 0);
        world
    }

    fn detail(run: &Run) -> String {
        report(run, NAME).detail
    }

    /// Takes a transaction, counted from the end, out of the log; those behind it move up.
    fn unwritten(mut run: Run, from_end: usize) -> Run {
        let at = run.witness.txns.len() - from_end;
        run.witness.txns.remove(at);
        for txn in &mut run.witness.txns[at..] {
            txn.zxid = Zxid(txn.zxid.0 - 1);
        }
        run
    }

    #[test]
    fn a_failure_excuses_one_skip_only() {
        let ops = [delete("/x"), delete("/y"), set("/a", "1")];
        let run = lost(&ops, 3).finish();
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        assert!(detail(&run).contains("3 of them happened"));
        let run = unwritten(run, 2);
        assert!(!report(&run, NAME).ok(), "two deletes and one failure");
    }

    #[test]
    fn a_failure_behind_the_skip_is_no_excuse() {
        let ops = [delete("/x"), set("/a", "1"), delete("/x")];
        let run = unwritten(lost(&ops, 3).finish(), 3);
        assert!(detail(&run).contains("did not"), "{}", detail(&run));
    }

    #[test]
    fn a_failure_has_the_reason_that_its_request_would_have() {
        let mut run = lost(&[delete("/x"), set("/a", "1")], 2).finish();
        let at = run.witness.txns.len() - 2;
        run.witness.txns[at].what = TxnKind::Error {
            code: ErrorCode::BadVersion,
        };
        let reports = run.reports();
        let writes = reports
            .iter()
            .find(|report| report.name == "linearizable-writes");
        let writes = &writes.expect("it is run").detail;
        assert!(writes.contains("asked for by nobody"), "{writes}");
    }

    /// The same request was lost twice. The first time, behind one that was not carried out either; the second time it was
    /// carried out. Whoever takes the first for it finds a hole that is not there.
    #[test]
    fn of_equal_requests_the_later_may_be_the_one() {
        let mut world = lost(&[set("/a", "0"), set("/a", "1")], 0);
        world.invoke(1, set("/a", "1"));
        world.propose(1);
        world.lose(1);
        let run = world.finish();
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        assert!(detail(&run).contains("1 of them happened"));
    }

    /// An earlier equal request explains one transaction, not two.
    #[test]
    fn an_equal_request_excuses_one_skip_only() {
        let mut world = lost(&[set("/a", "1")], 1);
        for op in [set("/a", "1"), set("/a", "2"), set("/a", "1")] {
            world.invoke(1, op);
        }
        (0..3).for_each(|_| assert!(world.propose(1)));
        world.lose(1);
        let run = world.finish();
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        // Of the second connection the first, or the lost one before it, is missing: legal. Both are not.
        let one = unwritten(run, 4);
        assert!(report(&one, NAME).ok(), "{}", detail(&one));
        let both = unwritten(one, 3);
        assert!(!report(&both, NAME).ok());
    }
}
