//! Histories of several objects, told apart by their keys.

use crate::{check, json_lines, refused, said};

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
