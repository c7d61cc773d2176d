//! Whatever a history says and in whatever format, it is read as it was written; and however a file is damaged, the answer is a
//! history or an error with a line that the file has.

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use zabsim_model::conformance;
use zabsim_model::intake::Fault;
use zabsim_model::intake::bind::{Object, bind};
use zabsim_model::intake::calls::{Calls, Fate};
use zabsim_model::intake::entries::Entries;
use zabsim_model::intake::source::Source;
use zabsim_model::intake::verdict::decide;
use zabsim_model::linear::{Effort, NEVER};
use zabsim_model::znode::{self, Settings};
use zabsim_model::{TxnKind, Witness};
use zabsim_types::SessionId;

/// Always the same cases: what fails here fails everywhere.
fn runner(cases: u32) -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config::with_cases(cases), rng)
}

/// What a process says: it calls an operation, or, if one is open, what became of it.
#[derive(Clone, Debug)]
struct Turn {
    process: i64,
    f: &'static str,
    value: Value,
    end: &'static str,
}

/// A line of a history, in no format yet.
#[derive(Clone, Debug)]
struct Line {
    process: i64,
    kind: &'static str,
    f: &'static str,
    value: Value,
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é\u{1f600}\n\t\"\\\\]{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(Value::from)
    })
}

fn turn(operations: &'static [&'static str]) -> impl Strategy<Value = Turn> {
    let f = prop::sample::select(operations);
    let end = prop::sample::select(&["ok", "ok", "ok", "fail", "info"][..]);
    (0i64..4, f, value(), end).prop_map(|(process, f, value, end)| Turn {
        process,
        f,
        value,
        end,
    })
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let objects = prop::sample::select(&Object::ALL[..]);
    objects.prop_flat_map(|object| prop::collection::vec(turn(object.operations()), 1..14))
}

fn lines(turns: &[Turn]) -> Vec<Line> {
    let mut open: [Option<&'static str>; 4] = [None; 4];
    let line = |turn: &Turn| {
        let open = &mut open[turn.process as usize];
        let (kind, f) = match open.take() {
            Some(f) => (turn.end, f),
            None => ("invoke", *open.insert(turn.f)),
        };
        Line {
            process: turn.process,
            kind,
            f,
            value: turn.value.clone(),
        }
    };
    turns.iter().map(line).collect()
}

/// The formats, each a way to write a history.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Format {
    Edn,
    EdnVector,
    Json,
    JsonArray,
    Log,
    Gzip,
}

const FORMATS: [Format; 6] = [
    Format::Edn,
    Format::EdnVector,
    Format::Json,
    Format::JsonArray,
    Format::Log,
    Format::Gzip,
];

/// A value as EDN writes it: commas are blanks, and nothing is nil.
fn edn(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(edn).collect();
            format!("[{}]", items.join(" "))
        }
        other => other.to_string(),
    }
}

fn written(lines: &[Line], format: Format) -> Vec<u8> {
    let each = lines.iter().enumerate().map(|(index, line)| {
        let Line {
            process,
            kind,
            f,
            value,
        } = line;
        match format {
            Format::Log => format!("INFO  jepsen.util - {process}\t:{kind}\t:{f}\t{}", edn(value)),
            Format::Json | Format::JsonArray => json!({
                "process": process, "type": kind, "f": f, "value": value, "index": index, "time": index * 7,
            })
            .to_string(),
            _ => format!(
                "{{:process {process}, :type :{kind}, :f :{f}, :value {}, :time {index}}}",
                edn(value)
            ),
        }
    });
    let each: Vec<String> = each.collect();
    let text = match format {
        Format::EdnVector => format!("[{}]", each.join("\n")),
        Format::JsonArray => format!("[{}]", each.join(",\n")),
        _ => each.join("\n") + "\n",
    };
    match format {
        Format::Gzip => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(text.as_bytes()).expect("memory");
            packed.finish().expect("memory")
        }
        _ => text.into_bytes(),
    }
}

fn read(bytes: &[u8]) -> Result<Calls, Fault> {
    let mut source = Source::new(bytes)?;
    let mut entries = Entries::new(&mut source)?;
    let mut calls = Calls::default();
    while let Some(entry) = entries.read_next()? {
        calls.push(entry)?;
    }
    Ok(calls)
}

/// What is judged of a call: whose it is, what it was, when it began and ended, and what came of it.
type Told = (i64, String, Value, Fate, Value, u32, u32);

fn told(calls: &Calls) -> Vec<Told> {
    let each = calls.calls.iter().map(|call| {
        let (argument, result) = (call.argument.clone(), call.result.clone());
        let f = call.f.clone();
        (
            call.process,
            f,
            argument,
            call.fate,
            result,
            call.call,
            call.ret,
        )
    });
    each.collect()
}

/// The same, from the lines themselves.
fn due(lines: &[Line]) -> Vec<Told> {
    let mut calls: Vec<Told> = Vec::new();
    let mut open = [None; 4];
    for (at, line) in (1u32..).zip(lines) {
        let slot = &mut open[line.process as usize];
        match slot.take() {
            None => {
                *slot = Some(calls.len());
                let (f, argument) = (line.f.to_owned(), line.value.clone());
                let unknown = (Fate::Unknown, Value::Null, at, NEVER);
                calls.push((
                    line.process,
                    f,
                    argument,
                    unknown.0,
                    unknown.1,
                    unknown.2,
                    unknown.3,
                ));
            }
            Some(call) => {
                let call = &mut calls[call];
                call.4 = line.value.clone();
                call.3 = match line.kind {
                    "ok" => Fate::Ok,
                    "fail" => Fate::Refused,
                    _ => Fate::Unknown,
                };
                if call.3 != Fate::Unknown {
                    call.6 = at;
                }
            }
        }
    }
    calls
}

#[test]
fn a_history_is_read_as_it_was_written() {
    let formats = prop::sample::select(&FORMATS[..]);
    let histories = (turns(), formats);
    let same = |(turns, format): (Vec<Turn>, Format)| {
        let lines = lines(&turns);
        let bytes = written(&lines, format);
        let calls = read(&bytes).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(
            told(&calls),
            due(&lines),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
        Ok(())
    };
    runner(20_000)
        .run(&histories, same)
        .expect("it is the same");
}

/// One thing that befalls a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Cut,
    Flip(u8),
    Insert(u8),
    LoseLine,
    RepeatLine,
    Swap,
}

fn damage() -> impl Strategy<Value = (Damage, Index)> {
    let damage = prop_oneof![
        Just(Damage::Cut),
        any::<u8>().prop_map(Damage::Flip),
        prop::sample::select(&b"{}[]\"\\:,;# \n0-9nx"[..]).prop_map(Damage::Insert),
        Just(Damage::LoseLine),
        Just(Damage::RepeatLine),
        Just(Damage::Swap),
    ];
    (damage, any::<Index>())
}

fn damaged(mut bytes: Vec<u8>, damages: &[(Damage, Index)]) -> Vec<u8> {
    for (damage, index) in damages {
        if bytes.is_empty() {
            break;
        }
        let at = index.index(bytes.len());
        let from = bytes[..at].iter().rposition(|byte| *byte == b'\n');
        let from = from.map_or(0, |end| end + 1);
        let to = bytes[at..].iter().position(|byte| *byte == b'\n');
        let to = to.map_or(bytes.len(), |end| at + end + 1);
        match damage {
            Damage::Cut => bytes.truncate(at),
            Damage::Flip(byte) => bytes[at] ^= byte,
            Damage::Insert(byte) => bytes.insert(at, *byte),
            Damage::LoseLine => drop(bytes.drain(from..to)),
            Damage::RepeatLine => {
                let line = bytes[from..to].to_vec();
                drop(bytes.splice(from..from, line));
            }
            Damage::Swap => bytes.swap(at, from),
        }
    }
    bytes
}

/// The line of an error is one of the file's, or the one behind them, which is missing. Without a line it is about the whole.
fn is_sane(fault: &Fault, bytes: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(!fault.what.is_empty());
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(());
    }
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    prop_assert!(fault.line <= lines + 1, "{fault}, of {lines} lines");
    let of_the_whole = ["empty", "neither", "no case"];
    let is_of_the_whole = of_the_whole.iter().any(|word| fault.what.contains(word));
    prop_assert!(fault.line > 0 || is_of_the_whole, "{fault}");
    Ok(())
}

#[test]
fn damaged_histories_are_read_or_refused_with_their_line() {
    let damages = prop::collection::vec(damage(), 1..4);
    let histories = (turns(), prop::sample::select(&FORMATS[..]), damages);
    let mut refused = 0;
    let read_damaged = |(turns, format, damages): (Vec<Turn>, Format, Vec<_>)| {
        let bytes = damaged(written(&lines(&turns), format), &damages);
        let calls = match read(&bytes) {
            Ok(calls) => calls,
            Err(fault) => return is_sane(&fault, &bytes),
        };
        for object in Object::ALL {
            match bind(&calls, object, None) {
                Ok(bound) => drop(decide(&calls, bound, Effort(500))),
                Err(fault) => is_sane(&fault, &bytes)?,
            }
        }
        Ok(())
    };
    runner(30_000)
        .run(&histories, read_damaged)
        .expect("nothing panics, and errors have lines");
    let mut count = |(turns, damages): (Vec<Turn>, Vec<(Damage, Index)>)| {
        let bytes = damaged(written(&lines(&turns), Format::JsonArray), &damages);
        refused += u32::from(read(&bytes).is_err());
    };
    let mut runner = runner(1);
    let some = (turns(), prop::collection::vec(damage(), 1..4));
    for _ in 0..1_000 {
        let tree = some.new_tree(&mut runner).expect("nothing is filtered");
        count(proptest::strategy::ValueTree::current(&tree));
    }
    assert!((300..1_000).contains(&refused), "{refused} were refused");
}

/// The lines of a recorded history with real faults.
fn recorded() -> Vec<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/histories");
    let file =
        File::open(data.join("r12-restart-5c-1n.jsonl.gz")).expect("it is part of the sources");
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.take(200).collect::<Result<_, _>>().expect("text")
}

const END: &str = r#"{"type":"meta","event":"end","time_ns":9000000000000000}"#;

/// The first so many lines of it, ended as recorders do.
fn beginning(lines: &[String], count: usize) -> Vec<u8> {
    (lines[..count].join("\n") + "\n" + END + "\n").into_bytes()
}

/// The same as a run of ours would have saved it.
fn as_ours(bytes: &[u8]) -> Vec<u8> {
    let recording = znode::read(bytes, &mut |_| {}).expect("a history");
    let mut file = Vec::new();
    let options = Default::default();
    znode::write(&mut file, &options, &recording.events, None).expect("there is room");
    file
}

/// However much was recorded, what is written of it in our own format is read as the same.
#[test]
fn our_own_histories_are_read_as_they_were_written() {
    let lines = recorded();
    for count in 1..=lines.len() {
        let bytes = beginning(&lines, count);
        let first = znode::read(&bytes[..], &mut |_| {}).expect("a history");
        let again = znode::read(&as_ours(&bytes)[..], &mut |_| {}).expect("a history");
        assert_eq!(first.events, again.events, "{count} lines");
    }
}

#[test]
fn damaged_histories_of_znodes_are_read_or_refused_with_their_line() {
    let lines = recorded();
    let damages = prop::collection::vec(damage(), 1..4);
    let cases = (1..120usize, any::<bool>(), damages);
    let settings = Settings {
        effort: 200,
        ..Settings::default()
    };
    let read_damaged = |(count, ours, damages): (usize, bool, Vec<_>)| {
        let mut bytes = beginning(&lines, count);
        if ours {
            bytes = as_ours(&bytes);
        }
        let bytes = damaged(bytes, &damages);
        match znode::check(&bytes[..], &settings, &mut |_| {}) {
            Ok(_) => Ok(()),
            Err(fault) => is_sane(&fault, &bytes),
        }
    };
    runner(6_000)
        .run(&cases, read_damaged)
        .expect("nothing panics, and errors have lines");
}

/// What somebody may have done to a log.
#[derive(Clone, Debug)]
enum Forgery {
    Lose,
    /// What it does is what another does.
    Swap(Index),
    Path(&'static str),
    Session(i64),
    Time(i64),
    /// It and all behind it lie so far beyond.
    Zxid(u64),
    Nest,
}

/// Some of them are no paths.
const PATHS: &[&str] = &[
    "",
    "/",
    "a",
    "/a//b",
    "/a/",
    "/zookeeper",
    "/no/such/node",
    "/q/s-2147483647",
];

fn forgery() -> impl Strategy<Value = (Forgery, Index)> {
    let forgery = prop_oneof![
        Just(Forgery::Lose),
        any::<Index>().prop_map(Forgery::Swap),
        prop::sample::select(PATHS).prop_map(Forgery::Path),
        prop::sample::select(&[0, -1, i64::MIN, 7][..]).prop_map(Forgery::Session),
        prop::sample::select(&[0, i64::MIN, i64::MAX][..]).prop_map(Forgery::Time),
        prop::sample::select(&[1, 1 << 32, u64::MAX - 9_000][..]).prop_map(Forgery::Zxid),
        Just(Forgery::Nest),
    ];
    (forgery, any::<Index>())
}

fn forge(log: &mut Witness, (forgery, index): &(Forgery, Index)) {
    if log.txns.is_empty() {
        return;
    }
    let at = index.index(log.txns.len());
    match forgery {
        Forgery::Lose => drop(log.txns.remove(at)),
        Forgery::Swap(other) => {
            let other = other.get(&log.txns).what.clone();
            log.txns[at].what = other;
        }
        Forgery::Path(to) => match &mut log.txns[at].what {
            TxnKind::Create { path, .. }
            | TxnKind::Delete { path }
            | TxnKind::SetData { path, .. }
            | TxnKind::SetAcl { path, .. }
            | TxnKind::Check { path } => *path = (*to).into(),
            other => *other = TxnKind::Delete { path: (*to).into() },
        },
        Forgery::Session(session) => log.txns[at].session = SessionId(*session),
        Forgery::Time(time_ms) => log.txns[at].time_ms = *time_ms,
        Forgery::Zxid(more) => {
            for txn in &mut log.txns[at..] {
                txn.zxid.0 = txn.zxid.0.saturating_add(*more);
            }
            log.txns.dedup_by_key(|txn| txn.zxid);
        }
        Forgery::Nest => {
            let parts = vec![log.txns[at].what.clone()];
            log.txns[at].what = TxnKind::Multi { parts };
        }
    }
}

/// A log that comes with a history is replayed, whatever it says: it explains the history, or does not.
#[test]
fn forged_logs_explain_the_history_or_do_not() {
    let lines = recorded();
    let settings = Settings {
        effort: 200,
        ..Settings::default()
    };
    let explained: Vec<(znode::Recording, Witness)> = [15, 40, 119]
        .into_iter()
        .map(|count| {
            let recording = znode::read(&beginning(&lines, count)[..], &mut |_| {});
            let recording = recording.expect("a history");
            let judged = znode::judge(&recording, &Settings::default()).expect("it fits");
            assert!(judged.is_legal());
            (recording, judged.filled.witness)
        })
        .collect();
    let forgeries = prop::collection::vec(forgery(), 0..4);
    let verdicts = [Cell::new(0), Cell::new(0)];
    let judge_forged = |(which, forgeries): (Index, Vec<_>)| {
        let (recording, log) = which.get(&explained);
        let mut log = log.clone();
        forgeries.iter().for_each(|one| forge(&mut log, one));
        let mut file = Vec::new();
        let options = Default::default();
        znode::write(&mut file, &options, &recording.events, Some(&log)).expect("there is room");
        let judged = znode::check(&file[..], &settings, &mut |_| {});
        let judged = judged.map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert!(!forgeries.is_empty() || judged.is_legal());
        prop_assert!(judged.doubt.is_none(), "nothing is guessed");
        let count = &verdicts[usize::from(judged.is_legal())];
        count.set(count.get() + 1);
        Ok(())
    };
    let cases = (any::<Index>(), forgeries);
    runner(3_000)
        .run(&cases, judge_forged)
        .expect("nothing panics, and all is decided");
    let [refused, explained] = verdicts.map(Cell::into_inner);
    assert!(refused > 1_000 && explained > 500, "{refused}, {explained}");
}

#[test]
fn damaged_cases_are_read_or_refused_with_their_line() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/conformance/cases.jsonl");
    let text = std::fs::read_to_string(file).expect("it is part of the sources");
    let short: Vec<&str> = text.lines().filter(|line| line.len() < 1_500).collect();
    let damages = prop::collection::vec(damage(), 1..4);
    let cases = (any::<Index>(), any::<Index>(), damages);
    let read_damaged = |(one, other, damages): (Index, Index, Vec<_>)| {
        let two = [*one.get(&short), *other.get(&short)].join("\n");
        let bytes = damaged(two.into_bytes(), &damages);
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Ok(());
        };
        match conformance::parse(text) {
            Ok(_) => Ok(()),
            Err(fault) => is_sane(&fault, &bytes),
        }
    };
    runner(10_000)
        .run(&cases, read_damaged)
        .expect("nothing panics, and errors have lines");
}
