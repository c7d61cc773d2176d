//! Sessions and their ephemerals end together, and nothing of a session happens outside its life.
//!
//! Exactly, with the life of a session from the transaction that makes it to the one that closes it:
//! - its id is given once, and none of its transactions lies outside its life, a second close neither: from the moment when its
//!   end is prepared, by its client or by its expiry, the leader turns every request of it away (ZooKeeper lets a client's
//!   close pass, which finds nothing to do). Only what was turned away so, as expired, may lie behind its end;
//! - no answer of a session names a state at or behind its end, but that to its own close; no event of it a state behind its
//!   end;
//! - a node seen with an owner is seen only while that owner lives: ephemerals vanish at exactly their session's end. (That
//!   none vanishes earlier without a delete is in the replay: `snapshot-reads`.)
//! - a client that is told that its session has expired is told the truth: its close is in the log;
//! - the transaction that makes a session says the timeout that its client was granted;
//! - who is refused because the server only reads was told so when it was connected: what such a server answers is as old as
//!   it likes.
//!
//! Two kinds of sessions are in no log, and nothing of them is looked for there. A *local* session, where the ensemble has such,
//! is served by one server alone until a transaction makes it global, and has no ephemeral before (that it makes none is in the
//! replay). A *provisional* one was made by a server without a quorum: no other serves it, and it has no transaction at all.
//!
//! Source: ZooKeeper's guarantees on sessions and ephemerals; `SessionTrackerImpl`, `DataTree.killSession`. That a session is
//! expired only after its timeout of silence is the servers' own clock's matter and is checked there.

use super::history::{Shown, Step};
use super::linearizable_writes::said;
use super::{Check, Evidence, Finding};
use crate::reference::Lookup;
use crate::witness::{TxnKind, Witness};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{
    ErrorCode, HistoryKind, Op, ProcessId, ServerId, SessionChange, SessionId, Zxid,
};

pub(super) const CHECK: Check = Check {
    name: "sessions",
    about: "Nothing of a session happens outside its life, and its ephemerals end with it.",
    run,
};

/// Of each session. Only looked up and counted.
type Lives = Lookup<i64, Life>;

/// From the transaction that made it to the one that closed it.
struct Life {
    made: Zxid,
    closed: Option<Zxid>,
}

impl Life {
    fn over_at(&self, zxid: Zxid) -> bool {
        self.closed.is_some_and(|closed| closed <= zxid)
    }
}

fn run(evidence: &Evidence<'_>) -> Finding {
    let replay = match evidence.whole_replay() {
        Ok(replay) => replay,
        Err(why) => return Finding::nothing(&why),
    };
    let mut finding = Finding::default();
    let told = Told::new(evidence);
    let lives = lives(evidence, replay.witness, &told, &mut finding);
    answers(evidence, &lives, &told, &mut finding);
    news(evidence, &lives, &told, &mut finding);
    let closed = lives.values().filter(|life| life.closed.is_some()).count();
    let detail = format!(
        "things of {} sessions, {closed} of them closed",
        lives.len()
    );
    finding.with_detail(detail)
}

/// What clients were told when they were connected.
struct Told {
    /// The timeout granted with each new session.
    timeouts_ms: BTreeMap<SessionId, u32>,
    /// Sessions made by servers without a quorum.
    provisional: BTreeSet<SessionId>,
    local_sessions: bool,
}

impl Told {
    fn new(evidence: &Evidence<'_>) -> Told {
        let mut told = Told {
            timeouts_ms: BTreeMap::new(),
            provisional: BTreeSet::new(),
            local_sessions: evidence.options.settings.local_sessions,
        };
        for (_, event) in evidence.history.told() {
            if let HistoryKind::Session {
                change:
                    SessionChange::Connected {
                        timeout_ms,
                        reattached: false,
                        read_only,
                        ..
                    },
            } = event.kind
            {
                told.timeouts_ms.entry(event.session).or_insert(timeout_ms);
                if read_only {
                    told.provisional.insert(event.session);
                }
            }
        }
        told
    }

    /// Whether a session may be in no log.
    fn may_be_unlogged(&self, session: SessionId) -> bool {
        self.local_sessions || self.provisional.contains(&session)
    }
}

fn lives(evidence: &Evidence<'_>, witness: &Witness, told: &Told, finding: &mut Finding) -> Lives {
    let mut lives = Lives::default();
    // What the servers sweep is of no session; that it is nothing else, the replay says.
    let of_sessions =
        |what: &TxnKind| !matches!(what, TxnKind::Delete { .. } | TxnKind::Error { .. });
    let txns = witness.txns.iter();
    for txn in txns.filter(|txn| txn.session != SessionId::NONE || of_sessions(&txn.what)) {
        let (made, closed) = (txn.zxid, None);
        if told.provisional.contains(&txn.session) {
            finding.fail(evidence.seen(txn.zxid), || {
                format!(
                    "session {} was made by a server without a quorum, and yet has a transaction {}",
                    txn.session, txn.zxid
                )
            });
        }
        if let TxnKind::CreateSession { timeout_ms } = &txn.what
            && let Some(granted_ms) = told.timeouts_ms.get(&txn.session)
            && granted_ms != timeout_ms
        {
            finding.fail(evidence.seen(txn.zxid), || {
                format!(
                    "session {} was made at {} with a timeout of {timeout_ms} ms; its client was granted {granted_ms} ms",
                    txn.session, txn.zxid
                )
            });
        }
        match (&txn.what, lives.get_mut(&txn.session.0)) {
            (TxnKind::CreateSession { .. }, None) => {
                finding.examined += 1;
                lives.insert(txn.session.0, Life { made, closed });
            }
            (TxnKind::CreateSession { .. }, Some(life)) => {
                finding.fail(evidence.seen(txn.zxid), || {
                    let first = life.made;
                    format!(
                        "session {} was made at {first} and again at {}",
                        txn.session, txn.zxid
                    )
                });
            }
            (TxnKind::CloseSession, Some(life)) if life.closed.is_none() => {
                finding.examined += 1;
                life.closed = Some(txn.zxid);
            }
            (
                TxnKind::Error {
                    code: ErrorCode::SessionExpired,
                },
                _,
            ) => {}
            (_, Some(life)) if !life.over_at(txn.zxid) => {}
            // A local session writes as any other does; what it must not make, the replay knows.
            (what, None) if told.local_sessions && *what != TxnKind::CloseSession => {}
            (_, life) => {
                let when = match life {
                    Some(_) => "after its end",
                    None => "before it was made",
                };
                finding.fail(evidence.seen(txn.zxid), || {
                    format!(
                        "session {} has a transaction {} {when}",
                        txn.session, txn.zxid
                    )
                });
            }
        }
    }
    lives
}

fn answers(evidence: &Evidence<'_>, lives: &Lives, told: &Told, finding: &mut Finding) {
    let history = &evidence.history;
    for session in &history.sessions {
        let life = lives.get(&session.session.0);
        for at in &session.answered {
            let call = &history.calls[*at as usize];
            let over = match life {
                Some(life) => life.over_at(call.zxid),
                None => !told.may_be_unlogged(call.session),
            };
            finding.examined += 1;
            if over && *call.op() != Op::CloseSession {
                finding.fail_about(history.time(call.done), &[call.done], || {
                    format!(
                        "{} was answered at {} for session {}, which had no life then",
                        said(call),
                        call.zxid,
                        call.session
                    )
                });
            }
        }
    }
    let owned = history.shown.iter();
    for Shown { call, owner, .. } in owned.filter(|shown| shown.owner != SessionId::NONE) {
        let call = &history.calls[*call as usize];
        finding.examined += 1;
        if lives
            .get(&owner.0)
            .is_none_or(|life| life.over_at(call.zxid))
        {
            finding.fail_about(history.time(call.done), &[call.done], || {
                format!(
                    "{} saw at {} a node of session {owner}, which had no life then",
                    said(call),
                    call.zxid
                )
            });
        }
    }
}

/// What clients were told of their sessions.
fn news(evidence: &Evidence<'_>, lives: &Lives, told: &Told, finding: &mut Finding) {
    let mut homes: BTreeMap<SessionId, ServerId> = BTreeMap::new();
    let mut reading: BTreeSet<ProcessId> = BTreeSet::new();
    let history = &evidence.history;
    for (now, step) in history.steps() {
        let event = match step {
            Step::Told(event) => event,
            Step::Done(call) if history.calls[call as usize].is_refused() => {
                &history.events[now as usize]
            }
            _ => continue,
        };
        match event.kind {
            HistoryKind::Session {
                change: SessionChange::Connected { read_only, .. },
            } => match read_only {
                true => drop(reading.insert(event.process)),
                false => drop(reading.remove(&event.process)),
            },
            HistoryKind::Fail {
                error: ErrorCode::NotReadOnly,
                ..
            } => {
                finding.examined += 1;
                if !reading.contains(&event.process) {
                    finding.fail_about(event.time, &[now], || {
                        let client = event.process.0;
                        format!("client {client} was not told that its server only reads, and is refused a write for that")
                    });
                }
            }
            _ => {}
        }
        let life = || lives.get(&event.session.0);
        let change = match &event.kind {
            HistoryKind::Session { change } => change,
            HistoryKind::Watch {
                zxid: Some(zxid), ..
            } => {
                finding.examined += 1;
                let end = life().and_then(|life| life.closed);
                if let Some(end) = end.filter(|end| end < zxid) {
                    finding.fail_about(event.time, &[now], || {
                        let (client, session) = (event.process.0, event.session);
                        format!("client {client} was told of {zxid} in session {session}, which had ended at {end}")
                    });
                }
                continue;
            }
            _ => continue,
        };
        let unlogged = life().is_none() && told.may_be_unlogged(event.session);
        if let SessionChange::Connected {
            server, read_only, ..
        } = change
            && unlogged
        {
            // A server that only reads takes in whoever was anywhere before.
            let provisional = told.provisional.contains(&event.session);
            if *read_only && !provisional {
                continue;
            }
            finding.examined += 1;
            let home = *homes.entry(event.session).or_insert(*server);
            if home != *server || provisional && !read_only {
                finding.fail_about(event.time, &[now], || {
                    let (client, session) = (event.process.0, event.session);
                    format!("session {session}, which is in no log and was made by {home}, went on for client {client} at {server}")
                });
            }
            continue;
        }
        let lie = match change {
            SessionChange::Connected { .. } => life().is_none().then_some("connected"),
            SessionChange::Expired if unlogged => None,
            SessionChange::Expired if event.session != SessionId::NONE => {
                // A client that heard of no server for 4/3 of its timeout gives its session up by itself (ZOOKEEPER-4508); the
                // leader follows when it can, which is certain only where the run came to a quiet end.
                let closed = life().is_some_and(|life| life.closed.is_some());
                (!closed && evidence.options.quiet_end).then_some("expired")
            }
            _ => continue,
        };
        finding.examined += 1;
        if let Some(told) = lie {
            finding.fail_about(event.time, &[now], || {
                let (client, session) = (event.process.0, event.session);
                format!("client {client} was told that session {session} is {told}; the log knows nothing of it")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, ephemeral, exists, report};
    use crate::witness::TxnKind;
    use zabsim_types::{ErrorCode, HistoryKind, ProcessId, Reply, ServerId, SessionChange, Zxid};

    const NAME: &str = "sessions";

    fn run() -> Run {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(1, ephemeral("/a/e"));
        world.now(1, exists("/a"));
        world.now(2, exists("/a/e"));
        world.lose(1);
        world.expire(1);
        world.now(2, exists("/a/e"));
        world.finish()
    }

    fn detail(run: &Run) -> String {
        report(run, NAME).detail
    }

    #[test]
    fn a_legal_life_is_accepted() {
        let report = report(&run(), NAME);
        assert!(report.ok(), "{}", report.detail);
        assert!(report.detail.contains("1 of them closed"));
    }

    /// Moves the first successful read of that client behind the session's end.
    fn read_late(client: u32) -> Run {
        let mut run = run();
        let close = run.witness.txns.last().expect("a log").zxid;
        let own = run
            .history
            .iter_mut()
            .filter(|event| event.process == ProcessId(client));
        let zxid = own.into_iter().find_map(|event| match &mut event.kind {
            HistoryKind::Ok {
                zxid,
                result: Reply::Exists { .. },
                ..
            } => Some(zxid),
            _ => None,
        });
        *zxid.expect("it read") = close;
        run
    }

    #[test]
    fn an_ephemeral_does_not_outlive_its_session() {
        assert!(detail(&read_late(2)).contains("a node of session"));
    }

    #[test]
    fn an_answer_belongs_to_a_living_session() {
        assert!(detail(&read_late(1)).contains("for session"));
    }

    #[test]
    fn a_session_does_nothing_after_its_end() {
        let mut run = run();
        run.append(1, create("/late"));
        assert!(!run.reports().iter().all(|report| report.ok()));
    }

    #[test]
    fn an_id_is_given_once() {
        let mut run = run();
        let mut again = run.witness.txns[0].clone();
        again.zxid = Zxid(run.witness.txns.last().expect("a log").zxid.0 + 1);
        run.witness.txns.push(again);
        assert!(detail(&run).contains("and again at"));
    }

    #[test]
    fn an_expiry_is_no_lie() {
        let mut run = run();
        let mut told = run.history[0].clone();
        told.time = run.history.last().expect("events").time;
        told.process = ProcessId(2);
        told.session = run.session_of(2);
        told.kind = HistoryKind::Session {
            change: SessionChange::Expired,
        };
        run.history.push(told);
        // A client may give its session up before the service does; only at a quiet end must the log agree.
        assert!(run.reports().iter().all(|report| report.ok()));
        run.options.quiet_end = true;
        assert!(detail(&run).contains("is expired"));
    }

    #[test]
    fn a_session_ends_once() {
        let mut run = run();
        let mut again = run.witness.txns.last().expect("a log").clone();
        again.zxid = Zxid(again.zxid.0 + 1);
        run.witness.txns.push(again);
        assert!(detail(&run).contains("after its end"), "{}", detail(&run));
        // The leader turns its client's close away instead.
        let last = run.witness.txns.last_mut().expect("a log");
        last.what = TxnKind::Error {
            code: ErrorCode::SessionExpired,
        };
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        run.witness.txns.last_mut().expect("a log").what = TxnKind::Error {
            code: ErrorCode::NoNode,
        };
        assert!(!run.reports().iter().all(|report| report.ok()));
    }

    #[test]
    fn no_event_comes_of_a_state_behind_the_end() {
        let mut run = run();
        let last = run.witness.txns.last().expect("a log").zxid;
        let mut event = run.history[0].clone();
        event.time = run.history.last().expect("events").time;
        event.session = run.witness.txns[0].session;
        event.kind = HistoryKind::Watch {
            zxid: Some(Zxid(last.0 + 1)),
            conn: 1,
            event: zabsim_types::WatchEvent {
                kind: zabsim_types::WatchKind::NodeCreated,
                path: "/a".into(),
            },
        };
        run.history.push(event);
        assert!(detail(&run).contains("had ended at"), "{}", detail(&run));
    }

    /// The second client's session is in no log.
    fn unlogged() -> Run {
        let mut run = run();
        let session = run.session_of(2);
        let txns = &mut run.witness.txns;
        txns.retain(|txn| txn.session != session);
        run
    }

    fn connect_again(run: &mut Run, server: u8, only_reading: bool) {
        let (time, session) = (run.history.last().expect("events").time, run.session_of(2));
        let mut event = run.history[0].clone();
        (event.time, event.process, event.session) = (time, ProcessId(2), session);
        event.kind = HistoryKind::Session {
            change: SessionChange::Connected {
                server: ServerId(server),
                conn: 2,
                timeout_ms: 4_000,
                reattached: true,
                read_only: only_reading,
            },
        };
        run.history.push(event);
    }

    #[test]
    fn a_local_session_is_in_no_log_and_at_one_server() {
        let mut run = unlogged();
        assert!(
            detail(&run).contains("the log knows nothing of it"),
            "{}",
            detail(&run)
        );
        run.options.settings.local_sessions = true;
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        // Reading it may do anywhere.
        connect_again(&mut run, 9, true);
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        connect_again(&mut run, 9, false);
        assert!(detail(&run).contains("at s9"), "{}", detail(&run));
    }

    #[test]
    fn a_provisional_session_is_nowhere_else_and_writes_nothing() {
        let made_reading = |run: &mut Run| {
            let session = run.session_of(2);
            let own = run.history.iter_mut().filter(|e| e.session == session);
            for event in own {
                if let HistoryKind::Session {
                    change: SessionChange::Connected { read_only, .. },
                } = &mut event.kind
                {
                    *read_only = true;
                }
            }
        };
        let mut run = unlogged();
        made_reading(&mut run);
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
        connect_again(&mut run, 1, false);
        assert!(detail(&run).contains("went on"), "{}", detail(&run));
        let mut run = super::tests::run();
        made_reading(&mut run);
        assert!(
            detail(&run).contains("without a quorum"),
            "{}",
            detail(&run)
        );
    }

    #[test]
    fn a_server_that_only_reads_says_so_before() {
        let mut run = run();
        let refused = |event: &mut zabsim_types::HistoryEvent| match event.kind {
            HistoryKind::Ok {
                id,
                zxid,
                xid,
                conn,
                ..
            } => {
                event.kind = HistoryKind::Fail {
                    id,
                    zxid,
                    xid,
                    conn,
                    error: ErrorCode::NotReadOnly,
                };
                true
            }
            _ => false,
        };
        let client = ProcessId(1);
        let mut own = run.history.iter_mut().filter(|e| e.process == client);
        assert!(own.any(refused));
        assert!(detail(&run).contains("was not told"), "{}", detail(&run));
    }

    #[test]
    fn a_session_is_made_with_the_timeout_that_was_granted() {
        let mut run = run();
        let txns = run.witness.txns.iter_mut();
        let timeout = txns.into_iter().find_map(|txn| match &mut txn.what {
            TxnKind::CreateSession { timeout_ms } => Some(timeout_ms),
            _ => None,
        });
        *timeout.expect("a session") += 1;
        assert!(detail(&run).contains("was granted"), "{}", detail(&run));
    }
}
