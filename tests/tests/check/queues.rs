//! Queues and sets: long ones, ones whose additions are unknown, and drains.

use crate::{Line, check, json_lines, said};
use serde_json::Value;

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
