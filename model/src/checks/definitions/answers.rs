//! What is said of single answers and of pairs of them.

use super::Told;
use crate::checks::history::{Call, Outcome};
use crate::checks::stat_of;
use crate::witness::{TxnKind, sequence_of};
use zabsim_types::{
    ErrorCode, HistoryEvent, HistoryKind, Op, Reply, ServerId, SessionChange, SessionId, SyncMode,
    Zxid, parent_of,
};

/// Each pair out of a list, in order.
fn pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let behind = |at: usize| all[at + 1..].iter();
    all.iter()
        .enumerate()
        .flat_map(move |(at, one)| behind(at).map(move |other| (one, other)))
}

/// What a client was shown is in the log; of a read also the beginning of an epoch.
pub(super) fn durability(told: &Told<'_>) -> bool {
    let is_there = |zxid: Zxid| told.log.iter().any(|txn| txn.zxid == zxid);
    let answers = told
        .answers()
        .all(|call| is_there(call.zxid) || !call.is_update() && call.zxid.counter() == 0);
    answers
        && told.history.events.iter().all(|event| match &event.kind {
            HistoryKind::Watch {
                zxid: Some(zxid), ..
            } => is_there(*zxid),
            HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } => is_there(*zxid) || zxid.counter() == 0,
            _ => true,
        })
}

/// G2: for each two answers of a session in the order in which they came.
pub(super) fn fifo_client_order(told: &Told<'_>) -> bool {
    let answers: Vec<&Call<'_>> = told.answers().collect();
    // An update is a transaction, and the first has the number 1.
    let numbered = |call: &&Call<'_>| !call.is_update() || call.zxid > Zxid::ZERO;
    answers.iter().all(numbered)
        && pairs(&answers).all(|(first, second)| {
            if first.session != second.session {
                return true;
            }
            // A session that is handed on goes on by connections of another client.
            let handed_on = first.process() != second.process();
            let numbered = (first.conn, first.xid) < (second.conn, second.xid);
            let made = first.invoked < second.invoked;
            let took_effect = match (first.is_update(), second.is_update()) {
                (_, true) => first.zxid < second.zxid,
                (true, false) => first.zxid <= second.zxid,
                (false, false) => true,
            };
            (handed_on || numbered && made) && took_effect
        })
}

/// G4: nothing that names a state comes in a session behind something that names a later one.
pub(super) fn monotonic_session(told: &Told<'_>) -> bool {
    let events = told.history.events;
    let mut shown: Vec<(SessionId, Zxid, bool)> = Vec::new();
    for event in events {
        let (zxid, is_event) = match &event.kind {
            HistoryKind::Ok { id, zxid, .. } | HistoryKind::Fail { id, zxid, .. } => {
                let call = told.history.call(*id).expect("it was invoked");
                if !call.is_definite() || matches!(call.op(), Op::AddAuth { .. }) {
                    continue;
                }
                (*zxid, false)
            }
            HistoryKind::Watch {
                zxid: Some(zxid), ..
            } => (*zxid, true),
            HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } => (*zxid, false),
            _ => continue,
        };
        shown.push((event.session, zxid, is_event));
    }
    pairs(&shown).all(|((one, before, _), (other, zxid, is_event))| {
        one != other || *is_event || before <= zxid
    })
}

/// G7: behind a sync nothing is older than what anybody had been answered when it was called.
pub(super) fn sync_barrier(told: &Told<'_>) -> bool {
    let answers: Vec<&Call<'_>> = told.answers().collect();
    let mut syncs = answers
        .iter()
        .enumerate()
        .filter_map(|(at, call)| match call.op() {
            Op::Sync { mode, .. } => Some((at, *call, *mode)),
            _ => None,
        });
    // ZooKeeper's leader answers its own clients from what it has applied; an epoch has one leader.
    let mut lagging: Vec<(u32, ServerId)> = Vec::new();
    let held = syncs.all(|(at, sync, mode)| {
        let before = answers.iter().filter(|call| call.done < sync.invoked);
        let promised = before.map(|call| call.zxid).max().unwrap_or_default();
        // Answered by a leader that had been deposed: ZOOKEEPER-1675.
        let deposed = mode == SyncMode::Leader
            && sync.zxid < promised
            && sync.zxid.epoch() < promised.epoch();
        let lags = told.options.leader_may_lag && sync.zxid < promised && !deposed;
        if lags {
            let connected = |event: &HistoryEvent| match event.kind {
                HistoryKind::Session {
                    change: SessionChange::Connected { server, .. },
                } if event.process == sync.process() => Some(server),
                _ => None,
            };
            let mut before = told.history.events[..sync.done as usize].iter().rev();
            let server = before
                .find_map(connected)
                .expect("it was answered somewhere");
            lagging.push((sync.zxid.epoch(), server));
        }
        let own = |call: &&&Call<'_>| call.session == sync.session;
        let mut behind = answers[at..].iter().filter(own);
        deposed || lags || behind.all(|call| call.zxid >= promised)
    });
    let one = |(one, other): (&(u32, ServerId), &(u32, ServerId))| one.0 != other.0 || one == other;
    held && pairs(&lagging).all(one)
}

/// G13: with no fault at work in the last while, no answer is older than what anybody was answered before that while.
pub(super) fn timeliness(told: &Told<'_>) -> bool {
    let Some(staleness) = &told.options.staleness else {
        return true;
    };
    let bound_us = staleness.bound_ms * 1_000;
    let read_only = |call: &Call<'_>| {
        let by = |event: &HistoryEvent| {
            event.process == call.process()
                && matches!(event.kind, HistoryKind::Session {
                    change: SessionChange::Connected { conn, read_only: true, .. },
                } if conn == call.conn)
        };
        told.history.events.iter().any(by)
    };
    told.answers().all(|call| {
        let now = told.history.time(call.done);
        let mut unrest = staleness.unrest.iter();
        let disturbed = unrest.any(|(from, until)| *from <= now && now <= until.plus(bound_us));
        let old = |other: &Call<'_>| told.history.time(other.done).plus(bound_us) <= now;
        disturbed
            || read_only(call)
            || told
                .answers()
                .all(|other| !old(other) || other.zxid <= call.zxid)
    })
}

/// G10: of two sequential nodes under one parent, while it was the same, the later one has the greater number.
pub(super) fn sequence_names(told: &Told<'_>) -> bool {
    // When, as which part; where; the number.
    let mut named: Vec<((Zxid, usize), &str, i32)> = Vec::new();
    for call in told.answers() {
        let parts: Vec<(&Op, &Reply)> = match (call.op(), call.outcome()) {
            (Op::Multi { ops }, Outcome::Ok(Reply::Multi { results })) => {
                ops.iter().zip(results).collect()
            }
            (op, Outcome::Ok(reply)) => vec![(op, reply)],
            _ => continue,
        };
        for (part, (op, reply)) in parts.into_iter().enumerate() {
            if let (
                Op::Create {
                    path: asked, mode, ..
                },
                Reply::Created { path, .. },
            ) = (op, reply)
                && mode.is_sequential()
                && let Some(number) = sequence_of(path, asked)
            {
                named.push(((call.zxid, part), above(asked), number));
            }
        }
    }
    let made_between = |parent: &str, from: (Zxid, usize), to: (Zxid, usize)| {
        told.log.iter().any(|txn| {
            let parts = match &txn.what {
                TxnKind::Multi { parts } => &parts[..],
                one => std::slice::from_ref(one),
            };
            parts.iter().enumerate().any(|(part, what)| {
                let here = (txn.zxid, part);
                let made = matches!(what, TxnKind::Create { path, .. } if &**path == parent);
                made && from <= here && here < to
            })
        })
    };
    // Of two answers that name one transaction, which is another's matter, the first that came counts first.
    named.sort_by_key(|(when, ..)| *when);
    named
        .iter()
        .enumerate()
        .all(|(at, (first, parent, number))| {
            named[at + 1..].iter().all(|(second, other, greater)| {
                parent != other
                    || greater.wrapping_sub(*number) > 0
                    || made_between(parent, *first, *second)
            })
        })
}

/// G11: one result a part, one transaction, seen wholly or not at all.
pub(super) fn multi_atomicity(told: &Told<'_>) -> bool {
    let multis: Vec<(&Call<'_>, &[Op], &Reply)> = told
        .answers()
        .filter_map(|call| match (call.op(), call.outcome()) {
            (Op::Multi { ops }, Outcome::Ok(reply)) => Some((call, &ops[..], reply)),
            _ => None,
        })
        .collect();
    let whole = multis.iter().all(|(call, ops, reply)| {
        let logged = told.log.iter().find(|txn| txn.zxid == call.zxid);
        match reply {
            Reply::Multi { results } => {
                let fits = |(op, reply): (&Op, &Reply)| match op {
                    Op::Create { .. } => matches!(reply, Reply::Created { .. }),
                    Op::Delete { .. } => *reply == Reply::Deleted,
                    Op::SetData { .. } => matches!(reply, Reply::Set { .. }),
                    Op::Check { .. } => *reply == Reply::Checked,
                    _ => false,
                };
                let one = |what: &TxnKind| matches!(what, TxnKind::Multi { parts } if parts.len() == ops.len());
                ops.len() == results.len()
                    && ops.iter().zip(results).all(fits)
                    && logged.is_none_or(|txn| one(&txn.what))
            }
            Reply::MultiFailed { errors } => {
                let behind = |code: &ErrorCode| *code == ErrorCode::RuntimeInconsistency;
                let shape = (0..errors.len()).any(|at| {
                    errors[..at].iter().all(|code| *code == ErrorCode::Ok)
                        && errors[at] != ErrorCode::Ok
                        && !behind(&errors[at])
                        && errors[at + 1..].iter().all(behind)
                });
                ops.len() == errors.len()
                    && shape
                    && logged.is_none_or(|txn| matches!(txn.what, TxnKind::Error { .. }))
            }
            _ => false,
        }
    });
    let touches = |ops: &[Op], reply: &Reply, path: &str| {
        let Reply::Multi { results } = reply else {
            return false;
        };
        ops.iter()
            .zip(results)
            .any(|(op, reply)| match (op, reply) {
                (_, Reply::Created { path: made, .. }) => &**made == path,
                (Op::Delete { path: at, .. } | Op::SetData { path: at, .. }, _) => &**at == path,
                _ => false,
            })
    };
    whole
        && told.answers().all(|call| {
            let stat = call.observed().and_then(Result::ok).and_then(stat_of);
            let Some(stat) = stat else { return true };
            let past = [stat.czxid, stat.mzxid, stat.pzxid];
            let seen = match call.op() {
                Op::GetData { path, .. }
                | Op::Exists { path, .. }
                | Op::GetChildren { path, .. } => multis.iter().all(|(multi, ops, reply)| {
                    multi.zxid > call.zxid || !touches(ops, reply, path) || stat.mzxid >= multi.zxid
                }),
                _ => true,
            };
            seen && past.iter().all(|zxid| *zxid <= call.zxid)
        })
}

/// G9: a session lives from the one transaction that makes it to the first that closes it.
pub(super) fn sessions(told: &Told<'_>) -> bool {
    let local = told.options.settings.local_sessions;
    let made = |session: SessionId| {
        let makes = |txn: &&crate::witness::CommittedTxn| {
            txn.session == session && matches!(txn.what, TxnKind::CreateSession { .. })
        };
        told.log.iter().find(makes).map(|txn| txn.zxid)
    };
    let closed = |session: SessionId| {
        let closes = |txn: &&crate::witness::CommittedTxn| {
            txn.session == session
                && txn.what == TxnKind::CloseSession
                && made(session).is_some_and(|made| made < txn.zxid)
        };
        told.log.iter().find(closes).map(|txn| txn.zxid)
    };
    let over_at = |session: SessionId, zxid: Zxid| closed(session).is_some_and(|end| end <= zxid);
    let of_log = told.log.iter().all(|txn| {
        let swept = matches!(txn.what, TxnKind::Delete { .. } | TxnKind::Error { .. });
        let turned_away = TxnKind::Error {
            code: ErrorCode::SessionExpired,
        };
        if txn.session == SessionId::NONE && swept || txn.what == turned_away {
            return true;
        }
        let made = made(txn.session);
        match &txn.what {
            TxnKind::CreateSession { timeout_ms } => {
                let granted = told
                    .history
                    .events
                    .iter()
                    .find_map(|event| match event.kind {
                        HistoryKind::Session {
                            change:
                                SessionChange::Connected {
                                    timeout_ms,
                                    reattached: false,
                                    ..
                                },
                        } if event.session == txn.session => Some(timeout_ms),
                        _ => None,
                    });
                made == Some(txn.zxid) && granted.is_none_or(|granted| granted == *timeout_ms)
            }
            TxnKind::CloseSession => closed(txn.session) == Some(txn.zxid),
            _ => match made {
                Some(made) => made < txn.zxid && !over_at(txn.session, txn.zxid),
                None => local,
            },
        }
    });
    let of_answers = told.answers().all(|call| {
        let alive = match made(call.session) {
            Some(_) => !over_at(call.session, call.zxid),
            None => local,
        };
        let stat = call.observed().and_then(Result::ok).and_then(stat_of);
        let owner = stat.map_or(SessionId::NONE, |stat| stat.ephemeral_owner);
        let owned = owner == SessionId::NONE || made(owner).is_some() && !over_at(owner, call.zxid);
        (alive || *call.op() == Op::CloseSession) && owned
    });
    let of_news = told.history.events.iter().all(|event| match &event.kind {
        HistoryKind::Watch {
            zxid: Some(zxid), ..
        } => closed(event.session).is_none_or(|end| end >= *zxid),
        HistoryKind::Session {
            change: SessionChange::Connected { .. },
        } => local || made(event.session).is_some(),
        HistoryKind::Session {
            change: SessionChange::Expired,
        } => {
            let unlogged = local && made(event.session).is_none();
            event.session == SessionId::NONE
                || unlogged
                || !told.options.quiet_end
                || closed(event.session).is_some()
        }
        _ => true,
    });
    of_log && of_answers && of_news
}

/// The node above.
pub(super) fn above(path: &str) -> &str {
    parent_of(path).unwrap_or("/")
}
