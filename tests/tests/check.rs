//! `zabsim check`: histories in every format, for every model, right, wrong and broken.

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

#[test]
fn keys_are_objects_of_their_own() {
    let kv = "\
{:process 0, :type :invoke, :f :append, :key \"x\", :value \"a\"}
{:process 1, :type :invoke, :f :append, :key \"y\", :value \"b\"}
{:process 0, :type :ok, :f :append, :key \"x\", :value \"a\"}
{:process 1, :type :ok, :f :append, :key \"y\", :value \"b\"}
{:process 0, :type :invoke, :f :get, :key \"y\", :value nil}
{:process 0, :type :ok, :f :get, :key \"y\", :value \"VALUE\"}
";
    let legal = kv.replace("VALUE", "b");
    said(
        &check(legal, &[]),
        0,
        &["about a key-value store", "for each of 2 keys"],
    );
    let mixed = kv.replace("VALUE", "ab");
    said(&check(mixed, &[]), 1, &["NOT LINEARIZABLE (key \"y\")"]);

    // Jepsen's independent keys: pairs of a key and a value.
    let pairs = "\
{:process 0, :type :invoke, :f :write, :value [1 5]}
{:process 0, :type :ok, :f :write, :value [1 5]}
{:process 0, :type :invoke, :f :read, :value [2 nil]}
{:process 0, :type :ok, :f :read, :value [2 nil]}
";
    said(&check(pairs, &[]), 0, &["for each of 2 keys"]);
    let wrong = pairs.replace(
        ":ok, :f :read, :value [2 nil]",
        ":ok, :f :read, :value [2 5]",
    );
    said(&check(wrong, &[]), 1, &["(key 2)"]);
}

/// Whatever the object: what happened to that of one key says nothing of another's. Each history is legal by keys, and not otherwise;
/// or it is not legal by keys either.
#[test]
fn every_object_is_split_by_key() {
    /// Process, operation, key, value.
    type Keyed = (i64, &'static str, u8, &'static str);
    // Of each: calls of both keys, of which the last is legal with its first value and not with its second.
    let cases: [(&str, &[Keyed], [&str; 2]); 6] = [
        (
            "counter",
            &[(0, "add", 1, "1"), (0, "read", 2, "")],
            ["0", "1"],
        ),
        (
            "set",
            &[(0, "add", 1, "5"), (0, "add", 2, "6"), (0, "read", 2, "")],
            ["[6]", "[5, 6]"],
        ),
        (
            "queue",
            &[
                (0, "enqueue", 1, "5"),
                (0, "enqueue", 2, "6"),
                (0, "dequeue", 2, ""),
            ],
            ["6", "5"],
        ),
        (
            "queue",
            &[
                (0, "enqueue", 1, "5"),
                (0, "enqueue", 2, "6"),
                (0, "drain", 2, ""),
            ],
            ["[6]", "[5, 6]"],
        ),
        (
            "mutex",
            &[
                (0, "acquire", 1, "3"),
                (1, "acquire", 2, "3"),
                (1, "release", 2, "null"),
                (2, "acquire", 2, ""),
            ],
            ["4", "3"],
        ),
        (
            "mutex",
            &[(0, "acquire", 1, "null"), (0, "acquire", 2, "")],
            ["null", "X"],
        ),
    ];
    for (model, calls, answers) in cases {
        for (answer, code) in answers.into_iter().zip([0, 1]) {
            let plain = answers[1] == "X";
            let (mut by_field, mut paired) = (String::new(), String::new());
            for (process, f, key, value) in calls {
                // Of the plain lock the wrong one is that it takes the first key again.
                let key = if plain && value.is_empty() && code == 1 {
                    &1
                } else {
                    key
                };
                let adds = matches!(*f, "add" | "enqueue");
                let value = match *value {
                    "" if answer == "X" => "null",
                    "" => answer,
                    value => value,
                };
                let asked = if adds { value } else { "null" };
                for (kind, value) in [("invoke", asked), ("ok", value)] {
                    let entry =
                        format!("{{\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\"");
                    by_field.push_str(&format!("{entry},\"key\":\"k{key}\",\"value\":{value}}}\n"));
                    paired.push_str(&format!("{entry},\"value\":[{key},{value}]}}\n"));
                }
            }
            for (written, part) in [(by_field, "\"k"), (paired, "")] {
                let ran = check(&written, &["--model", model]);
                let place = match (code, plain) {
                    (0, _) => "for each of 2 keys".to_owned(),
                    (_, true) => format!("(key {part}1"),
                    (_, false) => format!("(key {part}2"),
                };
                said(&ran, code, &[&place]);
            }
        }
    }
}

/// The kind of object is guessed by what is behind the key.
#[test]
fn a_counter_of_several_keys_is_no_set() {
    let entries = [
        (0, "invoke", "add", "[7, 2]"),
        (0, "ok", "add", "[7, 2]"),
        (0, "invoke", "read", "[7, null]"),
        (0, "ok", "read", "[7, 2]"),
    ];
    said(&check(json_lines(&entries), &[]), 0, &["about a counter"]);
}

#[test]
fn an_answer_about_another_key_is_refused() {
    let entries = |answer, next| {
        json_lines(&[
            (0, "invoke", "read", "[1, null]"),
            (0, "ok", "read", answer),
            (0, "invoke", "write", next),
            (0, "ok", "write", next),
        ])
    };
    refused(
        entries("[2, null]", "[1, 3]"),
        &["history:1: ", "found `[2,null]`"],
    );
    refused(
        entries("[1, null]", "3"),
        &["history:3: ", "no pair of a key and a value", "found `3`"],
    );
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

/// What went in together comes out again long after, in either order: what comes out tells which was first, and nothing is guessed.
#[test]
fn a_long_queue_is_decided_by_what_came_out() {
    const PAIRS: usize = 100;
    let numbers: Vec<String> = (0..2 * PAIRS).map(|number| number.to_string()).collect();
    let queue = |taken: &[usize]| {
        let mut entries: Vec<Line> = Vec::new();
        for pair in numbers.chunks(2) {
            let [first, second] = [0, 1].map(|at| (at as i64, "enqueue", pair[at].as_str()));
            for kind in ["invoke", "ok"] {
                entries
                    .extend([first, second].map(|(process, f, value)| (process, kind, f, value)));
            }
        }
        for at in taken {
            entries.push((2, "invoke", "dequeue", "null"));
            entries.push((2, "ok", "dequeue", &numbers[*at]));
        }
        check(json_lines(&entries), &["--effort", "20000"])
    };
    let mut taken: Vec<usize> = (0..2 * PAIRS).map(|at| at ^ 1).collect();
    said(&queue(&taken), 0, &["linearizable"]);
    taken.swap(150, 152);
    said(&queue(&taken), 1, &["process 2: dequeue"]);
    // One got lost, and one that is behind it came out.
    taken.swap(150, 152);
    taken.remove(7);
    said(&queue(&taken), 1, &["process 2: dequeue"]);
    taken.truncate(7);
    said(&queue(&taken), 0, &[]);
}

/// The test of a set as Jepsen makes it: many additions, some of unknown outcome, and one read in the end.
#[test]
fn what_a_set_holds_in_the_end_tells_what_became_of_additions() {
    const ADDED: i64 = 80;
    let numbers: Vec<String> = (0..ADDED).map(|number| number.to_string()).collect();
    let set = |held: &dyn Fn(i64) -> bool| {
        let mut entries: Vec<Line> = Vec::new();
        for (process, number) in (0..).zip(&numbers) {
            let kind = if process % 4 == 0 { "ok" } else { "info" };
            entries.push((process, "invoke", "add", number));
            entries.push((process, kind, "add", number));
        }
        let held: Vec<String> = (0..ADDED)
            .filter(|at| held(*at))
            .map(|at| at.to_string())
            .collect();
        let held = format!("[{}]", held.join(","));
        entries.push((ADDED, "invoke", "read", "null"));
        entries.push((ADDED, "ok", "read", &held));
        check(json_lines(&entries), &["--effort", "20000"])
    };
    said(
        &set(&|at| at % 4 < 2),
        0,
        &["21 ok, 0 refused", "linearizable"],
    );
    said(&set(&|_| true), 0, &[]);
    said(&set(&|at| at % 4 == 0), 0, &[]);
    said(
        &set(&|at| at % 4 < 2 && at != 40),
        1,
        &["process 40: add 40"],
    );
}

/// A drain is as many dequeues, in the order of its list; of one that crashed nobody knows how many.
#[test]
fn a_drain_takes_what_it_lists() {
    let queue = |rest: &[Line]| {
        let mut entries = vec![
            (0, "invoke", "enqueue", "1"),
            (0, "ok", "enqueue", "1"),
            (0, "invoke", "enqueue", "2"),
            (0, "ok", "enqueue", "2"),
            (0, "invoke", "enqueue", "3"),
            (0, "ok", "enqueue", "3"),
        ];
        entries.extend_from_slice(rest);
        check(json_lines(&entries), &[])
    };
    let drained = |list| [(1, "invoke", "drain", "null"), (1, "ok", "drain", list)];
    said(
        &queue(&drained("[1, 2, 3]")),
        0,
        &["about a first-in-first-out queue"],
    );
    said(&queue(&drained("[1]")), 0, &[]);
    said(&queue(&drained("[]")), 0, &[]);
    said(&queue(&drained("[2, 1]")), 1, &["process 1: drain → [2,1]"]);
    said(&queue(&drained("[1, 3]")), 1, &[]);
    let then = |list, next: &'static str| {
        let [call, ret] = drained(list);
        let more = [(2, "invoke", "dequeue", "null"), (2, "ok", "dequeue", next)];
        let after = queue(&[call, ret, more[0], more[1]]);
        let within = queue(&[call, more[0], more[1], ret]);
        (after.code, within.code)
    };
    assert_eq!(then("[1, 2]", "3"), (0, 0));
    assert_eq!(then("[1, 3]", "2"), (1, 0), "only in between");
    assert_eq!(then("[2, 3]", "1"), (1, 0), "only before");
    let crashed = |kind, next: &'static str| {
        queue(&[
            (1, "invoke", "drain", "null"),
            (1, kind, "drain", "null"),
            (2, "invoke", "dequeue", "null"),
            (2, "ok", "dequeue", next),
        ])
        .code
    };
    assert_eq!(
        ["1", "2", "3", "null"].map(|next| crashed("info", next)),
        [0; 4]
    );
    assert_eq!(["1", "3"].map(|next| crashed("fail", next)), [0, 1]);
    let ran = queue(&drained("7"));
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("returns the list of what it took; found `7`"),
        "{}",
        ran.err
    );
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

/// A drain that stops early takes nothing that it may not, so that the history is linearizable; but what it left is said.
#[test]
fn what_a_drain_left_behind_is_noted() {
    let put = |element| {
        [
            (0, "invoke", "enqueue", element),
            (0, "ok", "enqueue", element),
        ]
    };
    let drained = |list| [(1, "invoke", "drain", "null"), (1, "ok", "drain", list)];
    let taken = |kind, element| {
        [
            (2, "invoke", "dequeue", "null"),
            (2, kind, "dequeue", element),
        ]
    };
    let run =
        |steps: &[[Line<'static>; 2]], more: &[&str]| check(json_lines(&steps.concat()), more);
    let note = |steps: &[[Line<'static>; 2]]| {
        let ran = run(steps, &[]);
        said(&ran, 0, &["linearizable: an order"]);
        ran.out.lines().find_map(|line| {
            let note = line.strip_prefix("  note: ")?;
            Some(note.to_owned())
        })
    };
    let two = [put("1"), put("2"), put("3")];
    let all_of = |rest: &[[Line<'static>; 2]]| [&two[..], rest].concat();
    assert_eq!(note(&all_of(&[drained("[1, 2, 3]")])), None);
    assert_eq!(
        note(&all_of(&[drained("[1]")])).as_deref(),
        Some(
            "2 acknowledged elements were never dequeued (2, 3), though [process 1: drain → [1] (line 7)] was called after them and \
             completed: lost, if it went on until the queue was empty"
        )
    );
    let none = note(&all_of(&[drained("[]")])).expect("all three are left");
    assert!(
        none.starts_with("3 acknowledged elements were never dequeued (1, 2, 3), "),
        "{none}"
    );
    // Who takes the rest may be somebody else, before or behind; what comes behind the drain it cannot have taken.
    assert_eq!(
        note(&all_of(&[
            taken("ok", "1"),
            drained("[2]"),
            taken("ok", "3")
        ])),
        None
    );
    assert_eq!(note(&all_of(&[drained("[1, 2, 3]"), put("4")])), None);
    // What nobody acknowledged is not missed.
    let unknown = [
        (3, "invoke", "enqueue", "4"),
        (3, "info", "enqueue", "null"),
    ];
    assert_eq!(note(&all_of(&[unknown, drained("[1, 2, 3]")])), None);
    // Somebody may have taken it who never heard of it.
    let perhaps = note(&all_of(&[taken("info", "null"), drained("[1, 2]")]));
    let perhaps = perhaps.expect("3 is not there");
    assert!(
        perhaps.starts_with("1 acknowledged element was never dequeued (3), ")
            && perhaps
                .ends_with("empty and nothing of unknown outcome (1 dequeues or drains) took it"),
        "{perhaps}"
    );
    // One that is put in twice and taken once is missing once. Without a drain that completed there is nothing to say.
    let twice = note(&[put("5"), put("5"), drained("[5]")]).expect("one is left");
    assert!(twice.starts_with("1 acknowledged element was"), "{twice}");
    let crashed = [(1, "invoke", "drain", "null"), (1, "info", "drain", "null")];
    assert_eq!(note(&all_of(&[crashed])), None);
    assert_eq!(note(&all_of(&[taken("ok", "1")])), None);

    let json = run(&all_of(&[drained("[1]")]), &["--json"]);
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    let left = &json["files"][0]["never_dequeued"];
    assert_eq!(left[0]["elements"], serde_json::json!([2, 3]));
    assert_eq!(left[0]["drain"]["line"], 7);
    // Of several queues, each says what is left in it.
    let keyed = "\
{:process 0, :type :invoke, :f :enqueue, :key :a, :value 1}
{:process 0, :type :ok, :f :enqueue, :key :a, :value 1}
{:process 0, :type :invoke, :f :enqueue, :key :b, :value 2}
{:process 0, :type :ok, :f :enqueue, :key :b, :value 2}
{:process 0, :type :invoke, :f :drain, :key :a}
{:process 0, :type :ok, :f :drain, :key :a, :value [1]}
{:process 0, :type :invoke, :f :drain, :key :b}
{:process 0, :type :ok, :f :drain, :key :b, :value []}
";
    let ran = check(keyed, &[]);
    said(
        &ran,
        0,
        &["  note (key \"b\"): 1 acknowledged element was never dequeued (2), "],
    );
    assert_eq!(ran.out.matches("  note").count(), 1, "{}", ran.out);
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
