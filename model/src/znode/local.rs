//! Sessions that only their server knows (`localSessionsEnabled`): they are in no log, until the first request of theirs that
//! makes an ephemeral upgrades them: then a transaction right ahead of it makes them.
//!
//! So their closes are no transactions either, and what the log holds of their beginnings is only upgrades.

use super::known::Life;
use crate::checks::history::{Call, History};
use crate::reference::makes_ephemeral;
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{Op, SessionId, Zxid};

/// By which transaction each session that may have been upgraded must have been: the last one before the first answer to a
/// request that wants it global. `NO_STATE`: perhaps it never was, for no such request was answered.
fn upgrades(history: &History<'_>) -> BTreeMap<SessionId, Zxid> {
    let mut upgrades = BTreeMap::new();
    for call in history.calls.iter().filter(|call| wants_global(call)) {
        let by = match call.is_definite() {
            true => Zxid(call.zxid.0.saturating_sub(1)),
            false => Zxid::NO_STATE,
        };
        let first = upgrades.entry(call.session).or_insert(by);
        *first = by.min(*first);
    }
    upgrades
}

fn wants_global(call: &Call<'_>) -> bool {
    makes_ephemeral(call.op()) && call.session != SessionId::NONE
}

/// Says of each close whether it was a transaction. Where it is not known whether its session was upgraded, one that has a
/// zxid for itself was.
pub(super) fn mark_closes(history: &mut History<'_>) {
    let upgrades = upgrades(history);
    let answered = history
        .answered
        .iter()
        .map(|at| &history.calls[*at as usize]);
    let mut zxids: BTreeMap<Zxid, u32> = BTreeMap::new();
    let mut closes: BTreeMap<SessionId, Zxid> = BTreeMap::new();
    for call in answered {
        *zxids.entry(call.zxid).or_default() += 1;
        if *call.op() == Op::CloseSession {
            closes.insert(call.session, call.zxid);
        }
    }
    let logged: BTreeSet<SessionId> = upgrades
        .into_iter()
        .filter(|(session, by)| {
            let alone = closes.get(session).is_some_and(|zxid| zxids[zxid] == 1);
            *by != Zxid::NO_STATE || alone
        })
        .map(|(session, _)| session)
        .collect();
    history.mark_closes(|session| logged.contains(&session));
}

/// The lives that the log knows of: those of the sessions that were upgraded, or may have been.
pub(super) fn lives(history: &History<'_>, all: Vec<Life>) -> Vec<Life> {
    let upgrades = upgrades(history);
    let upgraded = |life: Life| {
        let made_by = *upgrades.get(&life.session)?;
        Some(Life { made_by, ..life })
    };
    all.into_iter().filter_map(upgraded).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Fill, Judged, Settings, check, write};
    use super::*;
    use crate::witness::TxnKind;
    use zabsim_types::run::Verdict;

    /// One session is made global by its ephemeral, the other stays where it is.
    const EVENTS: &str = r#"
{"time_us":1,"process":1,"session":7,"type":"session","change":{"change":"connected","server":1,"conn":1,"timeout_ms":6000,"reattached":false}}
{"time_us":1,"process":2,"session":8,"type":"session","change":{"change":"connected","server":1,"conn":1,"timeout_ms":6000,"reattached":false}}
{"time_us":2,"process":1,"session":7,"type":"invoke","id":1,"request":{"op":"create","path":"/a","data":[],"mode":"persistent","with_stat":false}}
{"time_us":3,"process":1,"session":7,"type":"ok","id":1,"zxid":1,"xid":1,"conn":1,"result":{"reply":"created","path":"/a","stat":null}}
{"time_us":4,"process":1,"session":7,"type":"invoke","id":2,"request":{"op":"create","path":"/a/e","data":[],"mode":"ephemeral","with_stat":false}}
{"time_us":5,"process":1,"session":7,"type":"ok","id":2,"zxid":3,"xid":2,"conn":1,"result":{"reply":"created","path":"/a/e","stat":null}}
{"time_us":6,"process":2,"session":8,"type":"invoke","id":3,"request":{"op":"create","path":"/b","data":[],"mode":"persistent","with_stat":false}}
{"time_us":7,"process":2,"session":8,"type":"ok","id":3,"zxid":4,"xid":1,"conn":1,"result":{"reply":"created","path":"/b","stat":null}}
{"time_us":8,"process":2,"session":8,"type":"invoke","id":4,"request":{"op":"closeSession"}}
{"time_us":9,"process":2,"session":8,"type":"ok","id":4,"zxid":4,"xid":2,"conn":1,"result":{"reply":"closed"}}
{"time_us":10,"process":1,"session":7,"type":"invoke","id":5,"request":{"op":"closeSession"}}
{"time_us":11,"process":1,"session":7,"type":"ok","id":5,"zxid":5,"xid":3,"conn":1,"result":{"reply":"closed"}}
{"time_us":11,"type":"end","events":12}
"#;

    fn judged(local_sessions: bool) -> Judged {
        let told = crate::reference::Settings {
            local_sessions,
            ..Default::default()
        };
        let options = crate::Options {
            settings: told,
            ..Default::default()
        };
        let mut file = Vec::new();
        write(&mut file, &options, &[], None).expect("there is room");
        let file = String::from_utf8(file).expect("it is text");
        let first = file.lines().next().expect("what the servers were told");
        let text = first.to_owned() + EVENTS;
        check(text.as_bytes(), &Settings::default(), &mut |_| {}).expect("a history")
    }

    #[test]
    fn a_local_session_is_in_the_log_from_its_first_ephemeral_on() {
        let judged = judged(true);
        assert_eq!(judged.conflict, None);
        assert_eq!(judged.filled.fill, Fill::Whole);
        let txns = judged.filled.witness.txns.iter();
        let of_sessions: Vec<(u64, SessionId, bool)> = txns
            .filter_map(|txn| match txn.what {
                TxnKind::CreateSession { .. } => Some((txn.zxid.0, txn.session, true)),
                TxnKind::CloseSession => Some((txn.zxid.0, txn.session, false)),
                _ => None,
            })
            .collect();
        let seven = SessionId(7);
        assert_eq!(of_sessions, [(2, seven, true), (5, seven, false)]);
    }

    #[test]
    fn without_local_sessions_the_same_is_not_legal() {
        assert_eq!(judged(false).verdict(), Verdict::Fail);
    }
}
