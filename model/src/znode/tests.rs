//! The recorded histories of real servers: accepted, in the order of the servers' own logs, and refused once corrupted.

use super::recorded::{NAMES, file, recording};
use super::*;
use crate::intake::source::Source;
use crate::witness::TxnKind;
use serde_json::Value;
use zabsim_types::HistoryEvent;
use zabsim_types::{ErrorCode, Op, Reply, Zxid};

fn judged(recording: &Recording) -> Judged {
    judge(recording, &Settings::default()).expect("completions fit")
}

#[test]
fn recorded_histories_are_accepted() {
    // Operations, updates of unknown outcome, how many of those happened, transactions that no reply names.
    let expected = [
        (3_376, 0, 0, 2),
        (5_758, 0, 0, 6),
        (7_737, 0, 0, 15),
        (8_041, 14, 1, 15),
        (7_900, 2, 1, 15),
        (5_744, 3, 0, 7),
    ];
    for (name, expected) in NAMES.into_iter().zip(expected) {
        let judged = judged(&recording(name));
        assert_eq!(judged.conflict, None, "{name}");
        assert_eq!(
            judged.verdict(),
            Verdict::Pass,
            "{name}: {:?}",
            judged.filled.fill
        );
        let filled = &judged.filled;
        let found = (
            judged.understood.operations,
            filled.unknown,
            filled.happened,
            filled.gaps,
        );
        assert_eq!(found, expected, "{name}");
        // A check that looked at nothing proves nothing.
        let idle = |report: &&Report| report.examined == 0;
        let idle: Vec<&str> = judged
            .reports
            .iter()
            .filter(idle)
            .map(|report| report.name)
            .collect();
        let lost = filled.unknown == 0;
        for name in idle {
            let of_runs = [
                "timeliness",
                "fencing",
                "mutual-exclusion",
                "one-leader-per-term",
                "no-lost-wakeup",
            ];
            assert!(
                of_runs.contains(&name) || lost && name == "unknown-outcomes",
                "{name}"
            );
        }
    }
}

/// What a transaction did, in the words of the servers' log.
fn said(what: &TxnKind) -> String {
    match what {
        TxnKind::CreateSession { .. } => "createSession".into(),
        TxnKind::CloseSession => "closeSession".into(),
        TxnKind::Create { path, .. } => format!("create {path}"),
        TxnKind::Delete { path } => format!("delete {path}"),
        TxnKind::SetData { path, .. } => format!("setData {path}"),
        TxnKind::SetAcl { path, .. } => format!("setACL {path}"),
        TxnKind::Check { path } => format!("check {path}"),
        TxnKind::Multi { .. } => "multi".into(),
        TxnKind::Error { .. } => "error".into(),
    }
}

/// The servers' log is the truth: what was reconstructed is it, but for the end of an epoch that nobody saw.
#[test]
fn the_log_that_is_reconstructed_is_that_of_the_servers() {
    for name in NAMES {
        let filled = judged(&recording(name)).filled;
        let mut source = Source::new(file(&format!("{name}.txnlog.jsonl.gz"))).expect("gzip");
        let mut compared = 0;
        let mut unseen = 0;
        let mut ours = filled.witness.txns.iter().peekable();
        let mut last = Zxid::ZERO;
        while let Some(line) = source.take_line().expect("text") {
            let txn: Value = serde_json::from_str(&line).expect("JSON");
            let zxid = Zxid(txn["zxid"].as_u64().expect("a zxid"));
            if txn["discarded"].as_bool() == Some(true) {
                continue;
            }
            let Some(own) = ours.next_if(|own| own.zxid == zxid) else {
                // Nothing was named from there on in its epoch.
                assert!(
                    ours.peek()
                        .is_none_or(|own| own.zxid.epoch() > zxid.epoch()),
                    "{name}: {zxid} is missing"
                );
                unseen += 1;
                continue;
            };
            assert!(last < zxid);
            last = zxid;
            let kind = txn["type"].as_str().expect("a type");
            let failed = kind == "error" || txn["failed"].as_bool() == Some(true);
            let path = txn["path"].as_str().unwrap_or_default();
            let theirs = match kind {
                _ if failed => "error".to_owned(),
                "create" | "create2" | "createContainer" => format!("create {path}"),
                "delete" | "deleteContainer" => format!("delete {path}"),
                "setData" | "setACL" => format!("{kind} {path}"),
                "createSession" | "closeSession" | "multi" => kind.to_owned(),
                other => panic!("{name}: {other} at {zxid}"),
            };
            assert_eq!(said(&own.what), theirs, "{name} at {zxid}");
            compared += 1;
            if kind == "createSession" {
                // Which of several sessions was made first nobody can see.
                continue;
            }
            let session = txn["session"]
                .as_str()
                .expect("a session")
                .trim_start_matches("0x");
            let session = u64::from_str_radix(session, 16).expect("a number") as i64;
            if failed && own.session.0 != session {
                // Of several lost requests that would all have failed, nobody can see which it was.
                unseen += 1;
                continue;
            }
            assert_eq!(own.session.0, session, "{name} at {zxid}: {theirs}");
        }
        assert!(ours.next().is_none(), "{name}: more than the servers have");
        assert!(
            compared > 1_300 && unseen <= 1,
            "{name}: {compared}, {unseen}"
        );
    }
}

/// Takes the replies of some answered updates away: as many as wanted, drawn with a stride.
fn forget(recording: &Recording, wanted: usize, seed: usize) -> Recording {
    let mut forgotten = recording.clone();
    let mut updates = BTreeMap::new();
    let mut answers = Vec::new();
    for (at, event) in recording.events.iter().enumerate() {
        match &event.kind {
            HistoryKind::Invoke { id, request } => {
                updates.insert(*id, request.is_update() && *request != Op::CloseSession);
            }
            HistoryKind::Ok { id, xid, .. } | HistoryKind::Fail { id, xid, .. } if updates[id] => {
                answers.push((at, *id, *xid));
            }
            _ => {}
        }
    }
    let stride = answers.len() / wanted;
    for (at, id, xid) in answers.iter().skip(seed % stride).step_by(stride) {
        forgotten.events[*at].kind = HistoryKind::Info {
            id: *id,
            error: ErrorCode::ConnectionLoss,
            sent: true,
            xid: Some(*xid),
        };
    }
    forgotten
}

/// Replies that are forgotten leave gaps, and each gap is filled by the request that was there, by its traces.
#[test]
fn forgotten_replies_are_found_again() {
    for (name, wanted, seed) in [
        (NAMES[1], 10, 1),
        (NAMES[1], 60, 7),
        (NAMES[2], 40, 3),
        (NAMES[5], 40, 5),
    ] {
        let recording = recording(name);
        let whole = judged(&recording).filled;
        let forgotten = judged(&forget(&recording, wanted, seed));
        assert_eq!(forgotten.conflict, None, "{name}, {wanted}");
        assert_eq!(forgotten.filled.fill, Fill::Whole, "{name}, {wanted}");
        assert!(
            forgotten.filled.happened >= wanted as u64 && forgotten.filled.gaps >= wanted as u64
        );
        let effects = |filled: &Filled| -> Vec<(Zxid, String)> {
            let txns = filled.witness.txns.iter();
            txns.map(|txn| (txn.zxid, said(&txn.what))).collect()
        };
        let (ours, theirs) = (effects(&forgotten.filled), effects(&whole));
        let differ = ours
            .iter()
            .zip(&theirs)
            .filter(|(one, other)| one != other)
            .count();
        assert_eq!((ours.len(), differ), (theirs.len(), 0), "{name}, {wanted}");
    }
}

/// The search ends with "unknown" where it may not go on, never with a wrong answer: with too little effort nothing is decided,
/// whatever effort it is nothing legal is refused and nothing else accepted, and with enough each gets its verdict.
#[test]
fn a_spent_effort_decides_nothing() {
    let recording = recording(NAMES[1]);
    let right = forget(&recording, 60, 2);
    let mut wrong = right.clone();
    let read = |(_, event): &(usize, &mut HistoryEvent)| {
        matches!(
            event.kind,
            HistoryKind::Ok {
                result: Reply::Data { .. },
                ..
            }
        )
    };
    let events = wrong.events.iter_mut().enumerate();
    let (at, last) = events.rev().find(read).expect("a read");
    let HistoryKind::Ok {
        result: Reply::Data { stat, .. },
        ..
    } = &mut last.kind
    else {
        unreachable!("it was looked for");
    };
    stat.version += 7;

    for effort in [0, 20, 1_000, Settings::default().effort] {
        let settings = Settings {
            effort,
            ..Settings::default()
        };
        let right = judge(&right, &settings).expect("completions fit");
        let wrong = judge(&wrong, &settings).expect("completions fit");
        assert_ne!(right.verdict(), Verdict::Fail, "{effort}");
        assert_ne!(wrong.verdict(), Verdict::Pass, "{effort}");
        if effort == 0 {
            assert_eq!(wrong.verdict(), Verdict::Undecided);
            let doubt = wrong.doubt.as_ref().expect("it says why");
            assert!(!doubt.message.is_empty());
        }
        if effort == Settings::default().effort {
            assert_eq!(right.verdict(), Verdict::Pass);
            assert_eq!(wrong.verdict(), Verdict::Fail);
            let conflict = wrong.conflict.expect("it says what contradicts what");
            let culprit = conflict.culprit.map(|at| conflict.parts[at].answer_line);
            assert_eq!(culprit, Some(recording.line_of_event[at]), "{conflict:?}");
        }
    }
}

/// Two clients' requests were lost, and one of them happened: that at which a watch was left that is told nothing cannot be it.
#[test]
fn a_guess_that_would_make_a_watch_late_is_not_taken() {
    let event = |process: u32, kind: &str| {
        let session = process + 6;
        format!(r#"{{"time_us":5,"process":{process},"session":{session},{kind}}}"#)
    };
    let connected = r#""type":"session","change":{"change":"connected","server":1,"conn":1,"timeout_ms":6000,"reattached":false}"#;
    let invoke =
        |id: u32, request: &str| format!(r#""type":"invoke","id":{id},"request":{request}"#);
    let ok = |id: u32, zxid: u64, xid: u32, result: &str| {
        format!(r#""type":"ok","id":{id},"zxid":{zxid},"xid":{xid},"conn":1,"result":{result}"#)
    };
    let lost = |id: u32| {
        format!(r#""type":"info","id":{id},"error":"ConnectionLoss","sent":true,"xid":1"#)
    };
    let create = |path: &str| {
        format!(
            r#"{{"op":"create","path":"{path}","data":[],"mode":"persistent","with_stat":false}}"#
        )
    };
    let set = |path: &str| format!(r#"{{"op":"setData","path":"{path}","data":[1],"version":-1}}"#);
    let created = |path: &str| format!(r#"{{"reply":"created","path":"{path}","stat":null}}"#);
    let read = |version: u32, mzxid: u64| {
        format!(
            r#"{{"reply":"data","data":[],"stat":{{"czxid":4,"mzxid":{mzxid},"ctime":0,"mtime":0,"version":{version},"cversion":0,"aversion":0,"ephemeralOwner":0,"dataLength":0,"numChildren":0,"pzxid":4}}}}"#
        )
    };
    let get = r#"{"op":"getData","path":"/a","watch":true}"#;
    let mut events = vec![
        event(1, connected),
        event(2, connected),
        event(3, connected),
        event(1, &invoke(1, &create("/a"))),
        event(1, &ok(1, 4, 1, &created("/a"))),
        event(1, &invoke(2, &create("/b"))),
        event(1, &ok(2, 5, 2, &created("/b"))),
        event(1, &invoke(3, get)),
        event(1, &ok(3, 5, 3, &read(0, 4))),
        event(2, &invoke(4, &set("/a"))),
        event(3, &invoke(5, &set("/b"))),
        event(2, &lost(4)),
        event(3, &lost(5)),
        event(1, &invoke(6, &create("/c"))),
        event(1, &ok(6, 7, 4, &created("/c"))),
    ];
    let judged = |events: &[String]| {
        let end = format!(r#"{{"time_us":99,"type":"end","events":{}}}"#, events.len());
        let lines = events.join("\n") + "\n" + &end;
        check(lines.as_bytes(), &Settings::default(), &mut |_| {}).expect("a history")
    };
    let guessed = judged(&events);
    assert_eq!(guessed.conflict, None);
    assert_eq!(guessed.filled.fill, Fill::Whole);
    let sixth = |judged: &Judged| {
        let mut txns = judged.filled.witness.txns.iter();
        let txn = txns.find(|txn| txn.zxid == Zxid(6));
        said(&txn.expect("it happened").what)
    };
    assert_eq!(sixth(&guessed), "setData /b");

    // Where it must have been the other one, the watch was lost, and that is what is said.
    let again = r#"{"op":"exists","path":"/a","watch":false}"#;
    let stat = r#"{"reply":"exists","stat":{"czxid":4,"mzxid":6,"ctime":0,"mtime":0,"version":1,"cversion":0,"aversion":0,"ephemeralOwner":0,"dataLength":1,"numChildren":0,"pzxid":4}}"#;
    events.push(event(1, &invoke(7, again)));
    events.push(event(1, &ok(7, 7, 5, stat)));
    let lost = judged(&events);
    assert_eq!(lost.filled.fill, Fill::Torn { zxid: Zxid(6) });
    assert_eq!(lost.conflict.expect("a watch was lost").check, "watches");
}

/// What a client was told of had happened before a request that was made then.
#[test]
fn what_a_watch_was_told_of_lies_before_a_later_request() {
    let lines = r#"{"time_us":1,"process":1,"session":7,"type":"watch","zxid":6,"conn":1,"event":{"kind":"NodeDataChanged","path":"/a"}}
{"time_us":2,"process":2,"session":8,"type":"invoke","id":1,"request":{"op":"setData","path":"/b","data":[],"version":-1}}
{"time_us":2,"type":"end","events":2}"#;
    let recording = read(lines.as_bytes(), &mut |_| {}).expect("a history");
    let history = History::new(&recording.events, &[], None).expect("completions fit");
    let known = super::known::Known::new(&history, &Default::default(), true);
    let above: Vec<Zxid> = known.loose.iter().map(|loose| loose.above).collect();
    assert_eq!(above, [Zxid(6)]);
}
