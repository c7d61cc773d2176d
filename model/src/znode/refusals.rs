//! What is no history is refused, with its line, what was found and what was allowed; and nothing makes the reader panic.

use super::*;
use crate::checks::Staleness;
use crate::reference::digest;
use crate::witness::{CommittedTxn, TxnKind, Witness};
use proptest::prelude::*;
use zabsim_types::{HistoryEvent, Xid, Zxid};

const GOOD: &[&str] = &[
    r#"{"i":0,"type":"meta","nodes":1,"server":"3.9.5","time_ns":1000}"#,
    r#"{"i":1,"type":"session","event":"connected","process":0,"session":"0x7","server":"127.0.0.1:2181","conn":1,"rseq":1,"time_ns":2000}"#,
    r#"{"i":2,"type":"invoke","process":0,"session":"0x7","id":1,"op":"create2","path":"/a","data":"x","mode":"persistent","acl":[[31,"world","anyone"]],"time_ns":3000}"#,
    r#"{"i":3,"type":"ok","process":0,"session":"0x7","id":1,"op":"create2","result":{"path":"/a","stat":{"czxid":2,"mzxid":2,"ctime":5,"mtime":5,"version":0,"cversion":0,"aversion":0,"ephemeralOwner":0,"dataLength":1,"numChildren":0,"pzxid":2}},"zxid":2,"xid":1,"conn":1,"rseq":2,"time_ns":4000}"#,
    r#"{"i":4,"type":"nemesis","process":-1,"op":"meteor","time_ns":5000}"#,
    r#"{"i":5,"type":"invoke","process":0,"session":"0x7","id":2,"op":"multi","ops":[{"op":"check","path":"/a","version":3},{"op":"delete","path":"/a","version":-1}],"time_ns":6000}"#,
    r#"{"i":6,"type":"fail","process":0,"session":"0x7","id":2,"result":{"results":[{"err":-103},{"err":-2}]},"zxid":3,"xid":2,"conn":1,"rseq":3,"time_ns":7000}"#,
    r#"{"i":7,"type":"invoke","process":0,"session":"0x7","id":3,"op":"delete","path":"/a","version":0,"time_ns":8000}"#,
    r#"{"i":8,"type":"info","process":0,"session":"0x7","id":3,"error":"ConnectionLoss","sent":true,"xid":3,"conn":1,"time_ns":9000}"#,
    r#"{"i":9,"type":"session","event":"disconnected","process":0,"session":"0x7","conn":1,"time_ns":9500}"#,
    r#"{"i":10,"type":"meta","event":"end","time_ns":10000}"#,
];

fn lines() -> Vec<String> {
    GOOD.iter().map(|line| (*line).to_owned()).collect()
}

fn read_lines(lines: &[String]) -> Result<Recording, Fault> {
    read(lines.join("\n").as_bytes(), &mut |_| {})
}

#[test]
fn the_small_history_is_understood() {
    let recording = read_lines(&lines()).expect("a history");
    let judged = judge(&recording, &Settings::default()).expect("completions fit");
    assert!(judged.is_legal(), "{:?}", judged.conflict);
    let text = judged.understood.to_string();
    assert!(
        text.contains("3 operations of 1 clients in 1 sessions"),
        "{text}"
    );
    assert!(
        text.contains("2 answered, 1 updates of unknown outcome"),
        "{text}"
    );
    assert!(text.ends_with("noted: 1 × meteor"), "{text}");
}

/// What else can be asked is read, and what the tree says of it is compared.
#[test]
fn the_rarer_operations_are_understood() {
    let call = |id: u64, asked: &str, kind: &str, result: &str, zxid: u64| {
        [
            format!(
                r#"{{"type":"invoke","process":0,"session":"0x7","id":{id},{asked},"time_ns":{}}}"#,
                id * 10_000
            ),
            format!(
                r#"{{"type":"{kind}","process":0,"session":"0x7","id":{id},"result":{result},"zxid":{zxid},"xid":{id},"conn":1,"time_ns":{}}}"#,
                id * 10_000 + 1
            ),
        ]
    };
    let stat = r#"{"czxid":2,"mzxid":2,"ctime":5,"mtime":5,"version":0,"cversion":0,"aversion":0,"ephemeralOwner":0,"dataLength":1,"numChildren":0,"pzxid":2}"#;
    let history = |data: &str| {
        let mut lines = lines();
        lines.truncate(4);
        let read = format!(
            r#"{{"results":[{{"err":0,"data":"{data}","stat":{stat}}},{{"children":[]}},{{"err":-101}}]}}"#
        );
        lines.extend(call(
            10,
            r#""op":"auth","scheme":"digest","auth":"me:secret""#,
            "ok",
            "{}",
            0,
        ));
        lines.extend(call(
            11,
            r#""op":"whoAmI""#,
            "ok",
            r#"{"clientInfo":[["ip","127.0.0.1"],["digest","me"]]}"#,
            2,
        ));
        lines.extend(call(
            12,
            r#""op":"multiRead","ops":[{"op":"getData","path":"/a"},{"op":"getChildren","path":"/a"},{"op":"getData","path":"/no"}]"#,
            "ok",
            &read,
            2,
        ));
        lines.extend(call(
            13,
            r#""op":"getEphemerals","path":"/""#,
            "ok",
            r#"{"ephemerals":[]}"#,
            2,
        ));
        lines.extend(call(
            14,
            r#""op":"getAllChildrenNumber","path":"/a""#,
            "ok",
            r#"{"totalNumber":0}"#,
            2,
        ));
        lines.extend(call(
            15,
            r#""op":"reconfig","joining":"server.2=x","configId":0"#,
            "fail",
            r#"{"error":"ReconfigDisabled"}"#,
            3,
        ));
        lines.push(GOOD[10].replace("10000", "900000").replace("\"i\":10,", ""));
        lines
    };
    let judged = |data: &str| {
        let recording = read_lines(&history(data)).expect("a history");
        judge(&recording, &Settings::default()).expect("completions fit")
    };
    let right = judged("x");
    assert!(right.is_legal(), "{:?}", right.conflict);
    assert_eq!(right.understood.operations, 7);
    let wrong = judged("y");
    let conflict = wrong.conflict.expect("the data are others");
    assert_eq!(conflict.check, "snapshot-reads");
    let culprit = conflict.culprit.expect("a read");
    assert_eq!(conflict.parts[culprit].line, 9);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let replaced = |line: usize, from: &str, to: &str| {
        let mut lines = lines();
        assert!(lines[line - 1].contains(from), "{from}");
        lines[line - 1] = lines[line - 1].replace(from, to);
        lines
    };
    let without = |line: usize| {
        let mut lines = lines();
        lines.remove(line - 1);
        lines
    };
    let cases = [
        (without(11), 11, "ends without its last line"),
        (without(1), 1, "`meta` was expected"),
        (without(3), 3, "call 1 ends, but no line before invokes it"),
        (
            replaced(6, "\"id\":2", "\"id\":1"),
            6,
            "call 1 is invoked a second time; the first is on line 3",
        ),
        (
            replaced(7, "\"id\":2", "\"id\":1"),
            7,
            "call 1, of line 3, ends a second time",
        ),
        (
            replaced(7, "\"process\":0", "\"process\":4"),
            7,
            "call 2 of process 0, on line 6, ends at process 4",
        ),
        (
            replaced(6, "\"i\":5", "\"i\":4"),
            6,
            "stands behind number 4",
        ),
        (
            replaced(4, "4000", "99000000000000"),
            6,
            "the clock goes back",
        ),
        (replaced(6, "time_ns", "time_us"), 6, "mixed clocks"),
        (
            replaced(4, "\"op\":\"create2\"", "\"op\":\"delete\""),
            4,
            "call 1 ends as `delete`; line 3 invokes it as `create2`",
        ),
        (
            replaced(7, "\"rseq\":3", "\"rseq\":2"),
            7,
            "process 0 was given number 2 (`rseq`) twice; the first is on line 4",
        ),
        (
            replaced(
                9,
                "\"type\":\"info\"",
                "\"zxid\":3,\"result\":{\"error\":\"NoNode\",\"code\":-102},\"type\":\"fail\"",
            ),
            9,
            "`code` is -102; -101, the number of NoNode, was expected",
        ),
        (
            replaced(
                5,
                "\"type\":\"nemesis\",\"process\":-1,\"op\":\"meteor\"",
                "\"type\":\"watch\",\"process\":0,\"session\":\"0x8\",\"event\":\"NodeCreated\",\"path\":\"/a\",\"zxid\":2,\"conn\":1",
            ),
            5,
            "which process 0 never had",
        ),
        (
            replaced(6, "\"op\":\"multi\"", "\"op\":\"flutter\""),
            6,
            "there is no operation `flutter`; known are create,",
        ),
        (
            replaced(6, "\"op\":\"check\"", "\"op\":\"chek\""),
            6,
            "there is no operation `chek`",
        ),
        (
            replaced(3, "\"mode\":\"persistent\"", "\"mode\":\"eternal\""),
            3,
            "`eternal` is no mode of create2",
        ),
        (
            replaced(3, "\"path\":\"/a\",", ""),
            3,
            "`path` is missing; a string was expected",
        ),
        (
            replaced(3, "[31,", "[\"all\","),
            3,
            "[permissions, \"scheme\", \"id\"] was expected",
        ),
        (
            replaced(4, "\"czxid\":2", "\"czxid\":-2"),
            4,
            "`czxid` is -2; a number, 0 or greater, was expected",
        ),
        (
            replaced(4, "\"zxid\":2,\"xid\"", "\"xid\""),
            4,
            "`zxid` is missing",
        ),
        (
            replaced(7, "-103", "-999"),
            7,
            "-999 is no error of ZooKeeper's",
        ),
        (
            replaced(2, "\"connected\"", "\"conected\""),
            2,
            "`conected` is nothing that happens to a session",
        ),
        (replaced(2, "0x7", "seven"), 2, "a number in hexadecimal"),
        (
            replaced(8, "\"invoke\"", "\"invok\""),
            8,
            "`invok` is no type of line; known are meta, invoke,",
        ),
        (
            vec!["PK\u{3}\u{4} garbage".to_owned()],
            1,
            "this is no history",
        ),
        (vec![], 0, "the file is empty"),
    ];
    for (lines, line, what) in cases {
        let fault = read_lines(&lines).expect_err(what);
        assert!(fault.what.contains(what), "{fault} is not: {what}");
        assert_eq!(fault.line, line, "{fault}");
    }
    let cut = GOOD.join("\n");
    let fault = read(&cut.as_bytes()[..cut.len() - 9], &mut |_| {}).expect_err("cut off");
    assert_eq!(
        (fault.line, fault.what.contains("no complete JSON object")),
        (11, true),
        "{fault}"
    );
}

/// What is said twice is said alike: a part of a multi by its header, its error and the error's name; a sync by its path; a
/// notification by its state.
#[test]
fn what_contradicts_itself_is_refused() {
    let asked = r#"{"i":5,"type":"invoke","process":0,"session":"0x7","id":2,"op":"multi","ops":[{"op":"create2","path":"/b","data":"y"},{"op":"delete","path":"/a","version":0}],"time_ns":6000}"#;
    let multi = |results: &str, asked: Option<&str>| {
        let mut lines = lines();
        if let Some(asked) = asked {
            lines[5] = asked.to_owned();
        }
        let two = r#"[{"err":-103},{"err":-2}]"#;
        lines[6] = lines[6].replace(two, &format!("[{results}]"));
        read_lines(&lines).map(drop)
    };
    let stat = r#""stat":{"czxid":3,"mzxid":3,"ctime":5,"mtime":5,"version":0,"cversion":0,"aversion":0,"ephemeralOwner":0,"dataLength":1,"numChildren":0,"pzxid":3}"#;
    let made = |part: &str| {
        let results =
            format!("{{\"path\":\"/b\",{stat}{part}}},{{\"type\":\"delete\",\"hdr_err\":0}}");
        multi(&results, Some(asked))
    };
    let error = |more: &str| multi(&format!("{{\"err\":-103{more}}},{{\"err\":-2}}"), None);
    let well = [
        error(r#","type":"error","hdr_err":-103,"name":"BadVersion""#),
        multi(
            r#"{"type":"error","hdr_err":0,"err":0,"name":"OK"},{"err":-101,"name":"NoNode"}"#,
            None,
        ),
        made(r#","type":"create2","hdr_err":0"#),
        made(r#","type":"createContainer""#),
    ];
    for read in well {
        assert_eq!(read, Ok(()));
    }
    let replaced = |line: usize, by: &str| {
        let mut lines = lines();
        lines[line - 1] = by.to_owned();
        read_lines(&lines).map(drop)
    };
    let notified = |state: &str| {
        let line = r#"{"i":4,"type":"watch","process":0,"session":"0x7","event":"NodeCreated","state":"STATE","path":"/a","zxid":2,"conn":1,"time_ns":5000}"#;
        replaced(5, &line.replace("STATE", state))
    };
    let synced = |path: &str| {
        let mut lines = lines();
        lines[5] = r#"{"i":5,"type":"invoke","process":0,"session":"0x7","id":2,"op":"sync","path":"/a","time_ns":6000}"#.to_owned();
        lines[6] = format!(
            r#"{{"i":6,"type":"ok","process":0,"session":"0x7","id":2,"result":{{"path":"{path}"}},"zxid":3,"xid":2,"conn":1,"time_ns":7000}}"#
        );
        read_lines(&lines).map(drop)
    };
    assert_eq!((notified("SyncConnected"), synced("/a")), (Ok(()), Ok(())));
    let ill = [
        (
            error(r#","hdr_err":-101"#),
            7,
            "has the error -101 in its header (`hdr_err`), and its `err` is -103",
        ),
        (error(r#","hdr_err":0"#), 7, "its `err` is -103"),
        (
            made(r#","hdr_err":-110"#),
            7,
            "has the error -110 in its header (`hdr_err`), and it has no `err`",
        ),
        (
            error(r#","name":"NoNode""#),
            7,
            "names its error NoNode; -103 is BadVersion",
        ),
        (
            error(r#","type":"check""#),
            7,
            "of `type` check; with its error BadVersion, error was expected",
        ),
        (
            made(r#","type":"delete""#),
            7,
            "of `type` delete; it was asked for as create2 and has no error",
        ),
        (made(r#","type":"error""#), 7, "of `type` error; it was"),
        (made(r#","type":"create""#), 7, "of `type` create; it was"),
        (
            notified("Disconnected"),
            5,
            "the `state` Disconnected; a server sends all of them with SyncConnected",
        ),
        (
            synced("/b"),
            7,
            "a sync of /a is answered with the `path` /b; a server gives back",
        ),
    ];
    for (read, line, what) in ill {
        let fault = read.expect_err(what);
        assert!(fault.what.contains(what), "{fault} is not: {what}");
        assert_eq!(fault.line, line, "{fault}");
    }
}

#[test]
fn a_gzip_that_ends_early_is_refused() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/histories/r12-restart-5c-1n.jsonl.gz"
    );
    let bytes = std::fs::read(path).expect("it is part of the sources");
    let fault = read(&bytes[..bytes.len() / 2], &mut |_| {}).expect_err("cut off");
    assert!(
        fault.line > 100 && fault.what.contains("ends badly"),
        "{fault}"
    );
}

/// The lines that a run of ours would save of such events, but for the first.
fn as_ours(events: &[HistoryEvent]) -> Vec<String> {
    let mut file = Vec::new();
    write(&mut file, &Options::default(), events, None).expect("there is room");
    let text = String::from_utf8(file).expect("it is text");
    text.lines().skip(1).map(str::to_owned).collect()
}

/// However a history of ours is cut, the last line is missing or counts what is not there.
#[test]
fn a_history_of_ours_that_was_cut_is_refused() {
    let own = as_ours(&read_lines(&lines()).expect("a history").events);
    let count = own.len() - 1;
    for kept in 1..own.len() {
        let fault = read_lines(&own[..kept]).expect_err("cut at a line's end");
        let what = "the file ends without its last line (of type `end`, with the number of events)";
        assert!(fault.what.starts_with(what), "{fault}");
        assert_eq!(fault.line, kept as u64 + 1);
    }
    for left_out in 0..count {
        let mut lines = own.clone();
        lines.remove(left_out);
        let fault = read_lines(&lines).expect_err("a line is missing");
        let counted = format!(
            "the last line counts {count} events, and {} come before it",
            count - 1
        );
        let pairs = ["no line before invokes it", &counted];
        assert!(
            pairs.iter().any(|what| fault.what.contains(what)),
            "{fault}"
        );
    }
    let mut more = own.clone();
    more.push(own[0].clone());
    let fault = read_lines(&more).expect_err("a line behind the end");
    assert_eq!(
        fault.to_string(),
        format!(
            "line {}: a line behind the last one (of type `end`)",
            count + 2
        )
    );
}

/// What a nemesis says is a note in either format, whatever its words and its clock.
#[test]
fn what_a_nemesis_says_is_never_an_error() {
    let recorded = lines();
    let own = as_ours(&read_lines(&recorded).expect("a history").events);
    let notes = [
        r#"{"type":"nemesis","op":"meteor"}"#,
        r#"{"type":"nemesis","process":-1,"op":"meteor","time_ns":7}"#,
        r#"{"type":"nemesis","f":"meteor","time_us":7}"#,
        r#"{"type":"impact","process":"nemesis","kind":"meteor","value":{"of":[1,2]}}"#,
        r#"{"type":"info","process":-1,"op":"meteor"}"#,
    ];
    for (lines, before) in [(recorded, 1), (own, 0)] {
        for note in notes {
            for at in 1..lines.len() {
                let mut lines = lines.clone();
                lines.insert(at, note.to_owned());
                let recording =
                    read_lines(&lines).unwrap_or_else(|fault| panic!("{note}: {fault}"));
                assert_eq!(recording.notes["meteor"], before + 1, "{note}");
            }
        }
        let mut lines = lines.clone();
        lines.insert(1, notes[0].replace("nemesis", "meteor"));
        assert!(
            read_lines(&lines).is_err(),
            "nobody says that it is a nemesis's"
        );
    }
}

/// Half a multi can be read, and is no answer.
#[test]
fn half_a_multi_is_not_legal() {
    let two = r#""results":[{"err":-103},{"err":-2}]"#;
    let asked = r#"{"i":5,"type":"invoke","process":0,"session":"0x7","id":2,"op":"multi","ops":[{"op":"create","path":"/b","data":"y"},{"op":"delete","path":"/a","version":0}],"time_ns":6000}"#;
    let judged = |asked: Option<&str>, results: &str| {
        let mut lines = lines();
        if let Some(asked) = asked {
            lines[5] = asked.to_owned();
        }
        lines[6] = lines[6].replace(two, results);
        let recording = read_lines(&lines).unwrap_or_else(|fault| panic!("{results}: {fault}"));
        judge(&recording, &Settings::default()).expect("completions fit")
    };
    let whole = r#""results":[{"path":"/b"},{}]"#;
    assert!(judged(Some(asked), whole).is_legal());
    assert!(judged(None, two).is_legal());
    let halves = [
        (None, r#""results":[{"err":-103}]"#),
        (None, r#""results":[{"err":-103},{"err":-2},{"err":-2}]"#),
        (None, r#""results":[]"#),
        (None, r#""results":[{"err":-103},null]"#),
        (Some(asked), r#""results":[{"path":"/b"}]"#),
        (Some(asked), r#""results":[{"path":"/b"},null]"#),
        (Some(asked), r#""results":[{},{}]"#),
        (Some(asked), r#""results":[{"path":"/b"},{},{"path":"/c"}]"#),
        (Some(asked), r#""results":[{"path":"/b"},{"err":-103}]"#),
    ];
    for (asked, results) in halves {
        let judged = judged(asked, results);
        assert_eq!(judged.verdict(), Verdict::Fail, "{results}");
        let conflict = judged.conflict.expect("it failed");
        let lines: Vec<(u64, u64)> = (conflict.parts.iter())
            .map(|part| (part.line, part.answer_line))
            .collect();
        assert!(lines.contains(&(6, 7)), "{results}: {conflict:?}");
    }
}

/// A proof of identity of which no answer came counts for what was asked behind it.
#[test]
fn a_proof_that_was_never_answered_may_count() {
    let list = format!(
        r#"[[1,"world","anyone"],[31,"digest","{}"]]"#,
        digest("me:secret")
    );
    let proof = r#"{"type":"invoke","process":0,"session":"0x7","id":20,"op":"auth","scheme":"digest","auth":"me:secret","time_ns":4100}"#;
    let set = r#"{"type":"invoke","process":0,"session":"0x7","id":21,"op":"setData","path":"/a","data":"new","version":-1,"time_ns":4200}"#;
    let lost = r#"{"type":"session","event":"disconnected","process":0,"session":"0x7","conn":1,"time_ns":5200}"#;
    let other = r#"{"type":"session","event":"connected","process":1,"session":"0x8","server":"127.0.0.1:2181","conn":1,"rseq":1,"time_ns":6000}"#;
    let look = r#"{"type":"invoke","process":1,"session":"0x8","id":30,"op":"exists","path":"/a","time_ns":6100}"#;
    let saw = r#"{"type":"ok","process":1,"session":"0x8","id":30,"result":{"stat":{"czxid":2,"mzxid":3,"ctime":5,"mtime":6,"version":1,"cversion":0,"aversion":0,"ephemeralOwner":0,"dataLength":3,"numChildren":0,"pzxid":2}},"zxid":4,"xid":1,"conn":1,"rseq":2,"time_ns":6200}"#;
    let judged = |more: &[&str]| {
        let mut all = lines();
        all.truncate(4);
        all[2] = all[2].replace(r#"[[31,"world","anyone"]]"#, &list);
        all.extend(more.iter().map(|line| (*line).to_owned()));
        all.push(r#"{"type":"meta","event":"end","time_ns":10000}"#.to_owned());
        let recording = read_lines(&all).unwrap_or_else(|fault| panic!("{fault}"));
        judge(&recording, &Settings::default()).expect("completions fit")
    };
    let proven = judged(&[proof, set, lost, other, look, saw]);
    assert!(proven.is_legal(), "{:?}", proven.conflict);
    let unproven = judged(&[set, lost, other, look, saw]);
    assert_eq!(unproven.verdict(), Verdict::Fail);
    let too_late = judged(&[set, proof, lost, other, look, saw]);
    assert_eq!(too_late.verdict(), Verdict::Fail);
}

/// What a run of ours saves is read by the same function.
#[test]
fn our_own_histories_are_read() {
    let recording = read_lines(&lines()).expect("a history");
    let own = as_ours(&recording.events);
    let again = read_lines(&own).expect("a history of ours");
    assert_eq!(
        (again.format, &again.events),
        (Format::Own, &recording.events)
    );
    let judged = judge(&again, &Settings::default()).expect("completions fit");
    assert!(judged.is_legal(), "{:?}", judged.conflict);
    let mut twice = own.clone();
    twice.insert(2, own[1].clone());
    let fault = read_lines(&twice).expect_err("invoked twice");
    assert_eq!(
        fault.to_string(),
        "line 3: call 1 is invoked a second time; the first is on line 2"
    );
}

/// A notification that was written down behind a later reply goes where its number says.
#[test]
fn notifications_are_put_in_their_place() {
    let mut lines = lines();
    let watch = r#"{"type":"watch","process":0,"session":"0x7","event":"NodeCreated","path":"/a","zxid":2,"conn":1,"rseq":2,"time_ns":4500}"#;
    lines.insert(4, watch.to_owned());
    lines[3] = lines[3].replace("\"rseq\":2", "\"rseq\":3");
    lines[7] = lines[7].replace("\"rseq\":3", "\"rseq\":4");
    let events = read_lines(&lines).expect("a history").events;
    let place = events
        .iter()
        .position(|event| matches!(event.kind, HistoryKind::Watch { .. }));
    assert_eq!(place, Some(2), "before the reply that came after it");
}

proptest! {
    /// Whatever is done to the lines: an error or a history, never a panic.
    #[test]
    fn mangled_lines_never_panic(edits in prop::collection::vec((0..11usize, any::<prop::sample::Index>(), any::<u8>(), 0..5u8), 1..4)) {
        let mut lines: Vec<Vec<u8>> = GOOD.iter().map(|line| line.as_bytes().to_vec()).collect();
        for (line, at, byte, how) in edits {
            let other = lines[(line * 7 + 3) % 11].clone();
            let text = &mut lines[line];
            let place = at.index(text.len().max(1)).min(text.len());
            match how {
                0 => text.truncate(place),
                1 => text.insert(place, byte),
                2 if place < text.len() => text[place] = byte,
                // Digits are where numbers are: another digit is still JSON.
                3 => {
                    if let Some(digit) = text.iter_mut().skip(place).find(|b| b.is_ascii_digit()) {
                        *digit = b'0' + byte % 10;
                    }
                }
                _ => *text = other,
            }
        }
        if let Ok(recording) = read(&lines.join(&b'\n')[..], &mut |_| {}) {
            let settings = Settings { effort: 10_000, ..Settings::default() };
            let _ = judge(&recording, &settings);
        }
    }
}

/// What the servers were told stands on the first line, once, and in words that are known.
#[test]
fn what_the_servers_were_told_is_read_or_refused() {
    let event = r#"{"time_us":5,"process":1,"session":7,"type":"session","change":{"change":"disconnected"}}"#;
    let told = crate::reference::Settings {
        local_sessions: true,
        first_configuration: Some("version=0".into()),
        ..Default::default()
    };
    let options = Options {
        settings: told.clone(),
        quiet_end: true,
        staleness: Some(Staleness {
            bound_ms: 70,
            unrest: vec![(Time(1), Time(2))],
        }),
        ..Options::default()
    };
    let mut file = Vec::new();
    write(&mut file, &options, &[], None).expect("there is room");
    let text = String::from_utf8(file).expect("it is text");
    let (line, empty_end) = text.trim_end().split_once('\n').expect("two lines");
    let lines = |lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        read_lines(&lines)
    };
    let end = r#"{"time_us":5,"type":"end","events":1}"#;
    let recording = lines(&[line, event, end]).expect("a history");
    assert_eq!(recording.events.len(), 1);
    assert_eq!(options_for(&recording), options);
    let of_old = lines(&[
        r#"{"time_us":0,"type":"settings","settings":SETTINGS}"#
            .replace("SETTINGS", &serde_json::to_string(&told).expect("JSON"))
            .as_str(),
        empty_end,
    ]);
    let of_old = options_for(&of_old.expect("a history"));
    assert_eq!((of_old.settings, of_old.quiet_end), (told, false));
    let without = lines(&[event, end]).expect("a history");
    assert_eq!(options_for(&without).settings, Default::default());

    let refused = |text: &[&str]| lines(text).expect_err("it is refused").to_string();
    let twice = refused(&[line, event, line]);
    assert!(
        twice.starts_with("line 3: a second line of type `settings`"),
        "{twice}"
    );
    let late = refused(&[event, line]);
    assert!(
        late.starts_with("line 2: a line of type `settings` behind other lines"),
        "{late}"
    );
    let unknown = line.replace("local_sessions", "lokal_sessions");
    let unknown = refused(&[&unknown, event]);
    assert!(
        unknown.starts_with(
            "line 1: this is not what servers can be told: unknown field `lokal_sessions`"
        ),
        "{unknown}"
    );
    let beside = line.replacen("\"time_us\"", "\"servers\":3,\"time_us\"", 1);
    let beside = refused(&[&beside, event]);
    assert!(beside.contains("unknown field `servers`"), "{beside}");
}

/// The log of a history of ours stands in order behind the events, and is counted.
#[test]
fn a_log_stands_in_order_behind_the_events() {
    let txn = |zxid: u64| CommittedTxn {
        zxid: Zxid(zxid),
        session: SessionId(7),
        cxid: Xid(1),
        time_ms: 5,
        what: TxnKind::Delete { path: "/a".into() },
    };
    let log = Witness {
        txns: vec![txn(3), txn(4)],
    };
    let event: HistoryEvent = serde_json::from_str(
        r#"{"time_us":5,"process":1,"session":7,"type":"session","change":{"change":"disconnected"}}"#,
    )
    .expect("an event");
    let written = |log| {
        let mut file = Vec::new();
        let events = std::slice::from_ref(&event);
        write(&mut file, &Options::default(), events, log).expect("there is room");
        let text = String::from_utf8(file).expect("it is text");
        text.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let good = written(Some(&log));
    let recording = read_lines(&good).expect("a history");
    assert_eq!(recording.log.as_ref(), Some(&log));
    assert_eq!(recording.events.len(), 1);
    assert_eq!(read_lines(&written(None)).expect("one too").log, None);

    let refused = |order: &[usize]| {
        let lines: Vec<String> = order.iter().map(|at| good[*at].clone()).collect();
        read_lines(&lines).expect_err("it is refused").to_string()
    };
    // The first line, the event, both transactions, the last line.
    let swapped = refused(&[0, 1, 3, 2, 4]);
    assert!(
        swapped.starts_with("line 4: transaction ⟨0,3⟩ stands behind ⟨0,4⟩"),
        "{swapped}"
    );
    let twice = refused(&[0, 1, 2, 2, 4]);
    assert!(twice.starts_with("line 4: transaction ⟨0,3⟩"), "{twice}");
    let late = refused(&[0, 2, 1, 3, 4]);
    assert!(
        late.starts_with("line 3: an event behind the log"),
        "{late}"
    );
    let few = refused(&[0, 1, 2, 4]);
    assert!(
        few.starts_with("line 4: the last line counts 2 transactions, and 1 come before it"),
        "{few}"
    );
    let mut odd = good.clone();
    odd[2] = odd[2].replace("delete", "forget");
    let odd = read_lines(&odd).expect_err("it is refused").to_string();
    assert!(
        odd.starts_with("line 3: this is no transaction of a log: unknown variant `forget`"),
        "{odd}"
    );
}
