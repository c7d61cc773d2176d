//! `zabsim check`: histories in every format, for every model, right, wrong and broken.

mod keys;
mod queues;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;
use zabsim_scenarios::command::{Output, run_with};
use zabsim_tests::{Ran, zabsim};

/// A directory with one history in it.
struct History {
    dir: TempDir,
    path: PathBuf,
}

fn history(bytes: impl AsRef<[u8]>) -> History {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("history");
    fs::write(&path, bytes).expect("writes");
    History { dir, path }
}

fn check(bytes: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    let history = history(bytes);
    let path = history
        .path
        .to_str()
        .expect("a temporary directory's name is text");
    let ran = zabsim([&["check", path], more].concat());
    drop(history.dir);
    ran
}

#[track_caller]
fn said(ran: &Ran, code: u8, parts: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    for part in parts {
        assert!(ran.out.contains(part), "`{part}` is not in: {}", ran.out);
    }
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, parts: &[&str]) {
    let ran = check(bytes, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.out, "");
    for part in parts {
        assert!(ran.err.contains(part), "`{part}` is not in: {}", ran.err);
    }
}

/// A register: a write, a concurrent read of what is written, and one of unknown outcome that a later read shows to have happened.
const LEGAL: &str = "\
{:process 0, :type :invoke, :f :write, :value 1}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process :nemesis, :type :info, :f :start, :value nil}
{:process 2, :type :invoke, :f :write, :value 2}
{:process 2, :type :info, :f :write, :value 2, :error :timeout}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 2}
";

/// The same, and then the old value once more.
fn stale() -> String {
    format!(
        "{LEGAL}{{:process 1, :type :invoke, :f :read, :value nil}}\n{{:process 1, :type :ok, :f :read, :value 1}}\n"
    )
}

/// Process, type, operation, value.
type Line<'a> = (i64, &'a str, &'a str, &'a str);

/// Lines of `[process, type, f, value]` as JSON, with numbers and times.
fn json_lines(entries: &[Line]) -> String {
    let line = |(index, (process, kind, f, value)): (usize, &Line)| {
        format!(
            "{{\"index\":{index},\"time\":{},\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}\n",
            index * 1_000_000
        )
    };
    entries.iter().enumerate().map(line).collect()
}

#[test]
fn a_history_is_understood_before_it_is_judged() {
    let ran = check(LEGAL, &[]);
    said(
        &ran,
        0,
        &[
            "EDN, about a register",
            "3 processes, 4 operations: 3 ok, 0 refused, 1 with unknown outcome; 1 notes of others",
            "  linearizable: an order was found and replayed",
        ],
    );
}

#[test]
fn a_stale_read_is_shown_with_what_it_contradicts() {
    let ran = check(stale(), &[]);
    said(
        &ran,
        1,
        &[
            "NOT LINEARIZABLE: ",
            "    process 1: read → 2 (line 8)",
            "    process 1: read → 1 (line 10)",
            "None of these can be left out.",
            "The first 3 operations to return can be ordered, up to [process 1: read → 2 (line 8)]",
            "with [process 1: read → 1 (line 10)], none of their orders is left",
            "One order of them ends:\n    process 0: write 1 (line 1)\n    process 1: read → 1 (line 2)",
        ],
    );
}

/// A read of a value that was written often: shown with the write that it contradicts, and not with all those that
/// might have explained it. With little effort no more is said than what is known.
#[test]
fn what_is_shown_is_small_where_values_come_again_and_honest_where_effort_is_spent() {
    let mut entries = Vec::new();
    for value in ["1", "2", "3"].repeat(20) {
        entries.extend([(0, "invoke", "write", value), (0, "ok", "write", value)]);
    }
    entries.extend([(1, "invoke", "read", "null"), (1, "ok", "read", "2")]);
    let history = json_lines(&entries);
    said(
        &check(&history, &[]),
        1,
        &[
            "    process 0: write 3 (line 119)\n    process 1: read → 2 (line 121)\n  None of these can be left out.",
            "The first 60 operations to return can be ordered, up to [process 0: write 3 (line 119)]",
        ],
    );
    let ran = check(&history, &["--effort", "4", "--json"]);
    let value: Value = serde_json::from_str(&ran.out).expect("one JSON object");
    let file = &value["files"][0];
    assert_eq!(file["verdict"], "fail", "{file}");
    assert_eq!(file["is_longest"], false, "{file}");
    assert_eq!(file["is_minimal"], false, "{file}");
    assert!(file["longest_prefix"].as_u64() <= Some(60), "{file}");
}

#[test]
fn every_format_says_the_same() {
    let vector = format!("[{}]", stale());
    let json = json_lines(&[
        (0, "invoke", "write", "1"),
        (0, "ok", "write", "1"),
        (0, "invoke", "write", "2"),
        (0, "ok", "write", "2"),
        (1, "invoke", "read", "null"),
        (1, "ok", "read", "1"),
    ]);
    let json_array = format!("[{}]", json.trim_end().replace('\n', ",\n"));
    let log = "\
a line of another part of the log
INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:ok\t:write\t1
INFO  jepsen.util - 0   :invoke :cas    [1 2]
INFO  jepsen.util - 0   :ok     :cas    [1 2]
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 1\t:ok\t:read\t1
";
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(json.as_bytes()).expect("memory");
    let packed = packed.finish().expect("memory");
    let formats = [
        (vector.into_bytes(), "EDN"),
        (json.into_bytes(), "JSON"),
        (json_array.into_bytes(), "JSON"),
        (log.as_bytes().to_vec(), "log lines of jepsen.util"),
        (packed, "JSON"),
    ];
    for (bytes, format) in formats {
        said(&check(bytes, &[]), 1, &[format, "NOT LINEARIZABLE"]);
    }
}

#[test]
fn every_model_accepts_and_refuses() {
    let legal_and_not: [(&str, &[Line], &str, &str); 7] = [
        (
            "register",
            &[
                (0, "invoke", "write", "7"),
                (0, "ok", "write", "7"),
                (0, "invoke", "read", "null"),
            ],
            "7",
            "8",
        ),
        (
            "cas",
            &[
                (0, "invoke", "cas", "[null, 7]"),
                (0, "ok", "cas", "[null, 7]"),
                (0, "invoke", "read", "null"),
            ],
            "7",
            "null",
        ),
        (
            "counter",
            &[
                (0, "invoke", "add", "2"),
                (1, "invoke", "add", "3"),
                (1, "ok", "add", "3"),
                (0, "ok", "add", "2"),
                (0, "invoke", "read", "null"),
            ],
            "5",
            "3",
        ),
        (
            "set",
            &[
                (0, "invoke", "add", "2"),
                (0, "ok", "add", "2"),
                (1, "invoke", "add", "3"),
                (0, "invoke", "read", "null"),
            ],
            "[2, 3]",
            "[3]",
        ),
        (
            "queue",
            &[
                (0, "invoke", "enqueue", "1"),
                (0, "ok", "enqueue", "1"),
                (0, "invoke", "enqueue", "2"),
                (0, "ok", "enqueue", "2"),
                (1, "invoke", "dequeue", "null"),
            ],
            "1",
            "2",
        ),
        (
            "mutex",
            &[
                (0, "invoke", "acquire", "null"),
                (0, "ok", "acquire", "null"),
                (0, "invoke", "release", "null"),
                (1, "invoke", "acquire", "null"),
                (0, "ok", "release", "null"),
            ],
            "",
            "",
        ),
        (
            "mutex",
            &[
                (0, "invoke", "acquire", "null"),
                (0, "ok", "acquire", "4"),
                (0, "invoke", "release", "null"),
                (0, "ok", "release", "null"),
                (1, "invoke", "acquire", "null"),
            ],
            "5",
            "4",
        ),
    ];
    for (model, entries, right, wrong) in legal_and_not {
        let last = entries.last().expect("there is one");
        for (value, code) in [(right, 0), (wrong, 1)] {
            let mut entries = entries.to_vec();
            if value.is_empty() {
                // Of a plain lock: it was given back, or not.
                if code == 1 {
                    entries.remove(2);
                    entries.pop();
                }
                entries.push((1, "ok", "acquire", "null"));
            } else {
                entries.push((last.0, "ok", last.2, value));
            }
            let ran = check(json_lines(&entries), &["--model", model]);
            assert_eq!(ran.code, code, "{model}, {value}: {ran:?}");
        }
    }
}

/// What a write returns is no matter; who asks is told that there is nothing.
#[test]
fn nothing_is_said_as_nil() {
    let entries = [
        (0, "invoke", "enqueue", "1"),
        (0, "ok", "enqueue", "null"),
        (0, "invoke", "dequeue", "null"),
        (0, "ok", "dequeue", "null"),
    ];
    let parts = [
        "process 0: enqueue 1 (line 1)",
        "process 0: dequeue → nil (line 3)",
    ];
    said(&check(json_lines(&entries), &[]), 1, &parts);
}

#[test]
fn numbers_beyond_64_bits_are_told_apart() {
    for (wrote, read, code) in [
        ("18446744073709551614", "18446744073709551615", 1),
        (
            "340282366920938463463374607431768211455",
            "340282366920938463463374607431768211456",
            1,
        ),
        ("18446744073709551615", "18446744073709551615", 0),
    ] {
        let entries = [
            (0, "invoke", "write", wrote),
            (0, "ok", "write", wrote),
            (0, "invoke", "read", "null"),
            (0, "ok", "read", read),
        ];
        assert_eq!(
            check(json_lines(&entries), &[]).code,
            code,
            "{wrote}, {read}"
        );
    }
}

#[test]
fn an_effort_too_small_is_no_verdict() {
    // Eight writes at once, and a read that fits none of their orders but takes all of them to tell.
    let mut entries = Vec::new();
    let values: Vec<String> = (0..8).map(|value| (value % 4).to_string()).collect();
    for (process, value) in values.iter().enumerate() {
        entries.push((process as i64, "invoke", "write", value.as_str()));
    }
    for (process, value) in values.iter().enumerate() {
        entries.push((process as i64, "ok", "write", value.as_str()));
    }
    let history = json_lines(&entries);
    said(
        &check(&history, &["--effort", "3"]),
        6,
        &["UNDECIDED", "events"],
    );
    said(&check(&history, &[]), 0, &["linearizable"]);
}

#[test]
fn json_says_what_the_text_says() {
    let ran = check(stale(), &["--json"]);
    assert_eq!(ran.code, 1);
    let value: Value = serde_json::from_str(&ran.out).expect("one JSON object");
    let file = &value["files"][0];
    assert_eq!(file["verdict"], "fail");
    assert_eq!(file["operations"]["unknown"], 1);
    assert_eq!(file["operations"]["all"], 5);
    let lines: Vec<u64> = (file["operations_in_conflict"]
        .as_array()
        .expect("a list")
        .iter())
    .filter_map(|operation| operation["line"].as_u64())
    .collect();
    assert_eq!(lines, [2, 8, 10], "{file}");
}

#[test]
fn what_is_no_history_is_refused_with_its_line() {
    refused("", &["history: ", "empty"]);
    refused(
        "{:process 0, :type :invoke, :f :read",
        &["history:1: ", "ends before the `}`"],
    );
    refused(
        LEGAL.split_at(LEGAL.len() - 3).0,
        &["history:9: ", "ends before"],
    );
    refused(
        "{:process 0, :type :ok, :f :read, :value 1}\n",
        &["history:1: ", "answer to nothing"],
    );
    let two = "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :invoke, :f :read}\n";
    refused(
        two,
        &[
            "history:2: ",
            "process 0",
            "while its `read` of line 1 is still open",
        ],
    );
    refused(
        LEGAL.replace(":write", ":wrote"),
        &["operations are read (line 2), wrote (line 1)", "--model"],
    );
    refused(
        "{:process 0, :type :done, :f :read}",
        &["invoke, ok, fail or info", "`done`"],
    );
    refused("{:type :ok, :f :read}", &["history:1: ", "`process`"]);
    refused(
        "hello\nworld\n",
        &["neither EDN nor JSON, and has no line of jepsen.util"],
    );
    refused("[1 2 3]", &["an entry is a map", "`1`"]);
    refused(b"\x00\x01\x02\x03\xff\xfe".as_slice(), &["history:1: "]);
    refused(b"\x1f\x8b\x08\x00\x00\x00\x00".as_slice(), &["ends badly"]);
    let twice = json_lines(&[(0, "invoke", "read", "null"), (0, "ok", "read", "null")]);
    refused(
        twice.replace("\"index\":1", "\"index\":0"),
        &["history:2: ", "number 0 comes after number 0"],
    );
    let back = twice.replace("\"time\":0", "\"time\":5000000");
    refused(
        back,
        &["history:2: ", "time goes back from 5000000 to 1000000"],
    );
    refused(
        twice.replacen("\"time\":", "\"tick\":", 1),
        &["history:2: ", "mixed clocks"],
    );
    let no_number = json_lines(&[(0, "invoke", "add", "\"x\""), (0, "ok", "add", "\"x\"")]);
    let ran = check(no_number, &["--model", "counter"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("adds a whole number; found `\"x\"`"),
        "{}",
        ran.err
    );

    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed
        .write_all(LEGAL.repeat(50).as_bytes())
        .expect("memory");
    let packed = packed.finish().expect("memory");
    refused(&packed[..packed.len() / 2], &["ends badly"]);

    let directory = tempfile::tempdir().expect("a directory");
    let ran = zabsim(["check", directory.path().to_str().expect("text")]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("is a directory"), "{}", ran.err);
}

/// What is nothing but blanks is not read to its end, however long it is.
#[test]
fn a_file_of_blanks_is_refused_at_once() {
    let blanks = "  \n".repeat(6 << 20);
    let what = "more than 16 MiB without an entry; this is no history";
    refused(&blanks, &[what]);
    let ran = check(&blanks, &["--model", "znode"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains(what), "{}", ran.err);
    refused(
        format!("{LEGAL}; {}", "a ".repeat(9 << 20)),
        &["history:10: ", what],
    );
}

/// What a nemesis says is a note, in whatever words.
#[test]
fn what_a_nemesis_says_is_no_error() {
    for note in [
        "{:process :nemesis, :type :meteor, :f :start}",
        "{:process :nemesis, :type :invoke}",
        "{:process -1, :type :invoke, :f :kill, :value [\"n1\"]}",
        "{:process :nemesis}",
    ] {
        let ran = check(format!("{note}\n{LEGAL}"), &[]);
        said(&ran, 0, &["; 2 notes of others"]);
    }
    refused(
        format!("{{:process 1, :type :meteor, :f :start}}\n{LEGAL}"),
        &["history:1: ", "`meteor`"],
    );
}

/// What was understood is told before the verdict is looked for; a call that is still open at the end is pointed out where a
/// file that was cut off would look the same.
#[test]
fn a_call_that_is_open_at_the_end_is_pointed_out() {
    let open = format!("{LEGAL}{{:process 0, :type :invoke, :f :read, :value nil}}\n");
    let told = "  1 still open at the last line: the format has no end mark";
    let ran = check(&open, &[]);
    said(&ran, 0, &[told]);
    let place = |text: &str| ran.out.find(text).expect(text);
    assert!(place("3 processes") < place(told) && place(told) < place("linearizable"));
    for whole in [LEGAL.to_owned(), format!("[{open}]")] {
        let ran = check(whole, &[]);
        assert_eq!(ran.code, 0);
        assert!(!ran.out.contains("open"), "{}", ran.out);
    }
}

/// Each write that a terminal would show at once.
#[derive(Default)]
struct Writes(Vec<String>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.push("flushed".to_owned());
        Ok(())
    }
}

/// Who waits for a search to end knows what is searched.
#[test]
fn what_was_understood_is_shown_before_the_search() {
    let znodes = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../model/tests/data/histories/r01-seq-1c-1n.jsonl.gz"
    );
    let register = history(LEGAL);
    for file in [znodes, register.path.to_str().expect("text")] {
        let (mut out, mut err) = (Writes::default(), Writes::default());
        let arguments = ["zabsim", "check", file].map(Into::into);
        let code = run_with(arguments, &mut Output::new(&mut out, &mut err));
        assert_eq!(code, 0);
        let [understood, flushed, verdict, _] = &out.0[..] else {
            panic!("{:?}", out.0);
        };
        assert!(understood.contains(" operations") && !understood.contains("legal:"));
        assert_eq!(flushed, "flushed");
        assert!(
            verdict.starts_with("  l") && verdict.ends_with(" ms)\n"),
            "{verdict}"
        );
    }
}

/// A register may hold something before anything is written.
#[test]
fn the_first_value_of_a_register_can_be_said() {
    let read = |value: &str| {
        json_lines(&[
            (0, "invoke", "read", "null"),
            (0, "ok", "read", value),
            (0, "invoke", "cas", &format!("[{value}, 5]")),
            (0, "ok", "cas", &format!("[{value}, 5]")),
            (0, "invoke", "read", "null"),
            (0, "ok", "read", "5"),
        ])
    };
    said(&check(read("0"), &[]), 1, &["what nobody ever wrote"]);
    said(&check(read("0"), &["--initial", "0"]), 0, &["linearizable"]);
    said(&check(read("-3"), &["--initial", "-3"]), 0, &[]);
    said(&check(read("\"a\""), &["--initial", "\"a\""]), 0, &[]);
    said(&check(read("null"), &["--initial", "nil"]), 0, &[]);
    said(&check(read("null"), &["--initial", "0"]), 1, &[]);
    let add = json_lines(&[(0, "invoke", "add", "1"), (0, "ok", "add", "1")]);
    for (history, more, what) in [
        (add, ["--initial", "0"], "only a register and a cas"),
        (read("0"), ["--initial", "0 1"], "`0 1` is not one value"),
        (read("0"), ["--initial", "]"], "`]` closes nothing"),
    ] {
        let ran = check(history, &[&more[..], &["--model", "counter"]].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(what), "{}", ran.err);
    }
}

/// A process with a name is whoever makes notes, as Jepsen's nemesis is; where all have one, that is said.
#[test]
fn a_client_is_a_number() {
    for name in ["\"alice\"", "\"0\"", "-1"] {
        let line = |kind: &str| {
            format!("{{\"process\":{name},\"type\":\"{kind}\",\"f\":\"write\",\"value\":1}}\n")
        };
        let named = [line("invoke"), line("ok")].concat();
        let said = format!(
            "no operation in it (JSON, 2 notes); the process on line 1 is {name}: a client is a number, 0 or greater"
        );
        refused(named, &[&said]);
    }
}

#[test]
fn the_worst_of_several_files_counts() {
    let (good, bad) = (history(LEGAL), history(stale()));
    let text = |history: &History| history.path.to_str().expect("text").to_owned();
    let ran = zabsim(["check", &text(&good), &text(&bad)]);
    said(&ran, 1, &["linearizable: an order", "NOT LINEARIZABLE"]);
    let ran = zabsim(["check", "no-such-file", &text(&bad)]);
    said(&ran, 2, &["NOT LINEARIZABLE"]);
    assert!(
        ran.err.contains("no-such-file: cannot be read"),
        "{}",
        ran.err
    );
}

proptest! {
    /// Whatever is done to a file, the answer is a verdict or a complaint.
    #[test]
    fn no_bytes_make_it_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
        which in 0usize..3,
    ) {
        let json = json_lines(&[(0, "invoke", "write", "\"é\\u00e9\""), (0, "ok", "write", "[1, {\"a\": 2.5e3}]")]);
        let log = "INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:info\t:cas\t:timed-out\n";
        let mut bytes = [LEGAL, &json, log][which].as_bytes().to_vec();
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        let ran = check(bytes, &[]);
        prop_assert!([0, 1, 2].contains(&ran.code), "{ran:?}");
        prop_assert!(!ran.err.contains("panicked"), "{}", ran.err);
    }
}
