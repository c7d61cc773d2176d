//! What it costs to decide a history, for each shape that people have: nanoseconds and bytes for each operation.
//!
//! `cargo bench -p zabsim-model --bench linear`; a word of a row's name behind `--` measures only such rows. Histories are generated
//! and lie in memory as a reader hands them over: calls with numbered values. The time is the processor's, from there to the verdict; of
//! a few repetitions the least stands for the cost, the others for the machine's noise. The bytes are the most that were
//! in use at once, the calls themselves included.
//!
//! One row is one shape at 10^4, 10^5 and 10^6 operations. `growth` is the last of these against the first: 1.0 is linear. `at most` is
//! what was promised for the shape and `used` the part of it that it takes, at 10^6 (with 30 clients at 10^5).

use cpu_time::ProcessTime;
use peak_alloc::PeakAlloc;
use std::hint::black_box;
use std::time::Duration;
use zabsim_model::linear::generate::{Generated, Shape, generate, make_stale};
use zabsim_model::linear::models::{Register, RegisterAction};
use zabsim_model::linear::{Call, Effort, History, Outcome, check_parts, order};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// For each operation, in bytes, whatever the shape.
const BYTES_AT_MOST: usize = 400;

/// A row of the table.
struct Row {
    name: String,
    shape: Shape,
    kind: Kind,
    /// Nanoseconds for each operation, and the size for which they are promised.
    at_most: Option<(f64, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Replays the order that is given.
    Witness,
    /// Finds an order.
    Legal,
    /// Refuses what has a stale read.
    Stale,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let words: Vec<&String> = (arguments.iter())
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    println!(
        "{:<52}{:>9}{:>9}{:>9}{:>8}{:>9}{:>7}{:>8}{:>7}",
        "ns for each operation, by how many there are",
        "10^4",
        "10^5",
        "10^6",
        "growth",
        "at most",
        "used",
        "bytes",
        "used"
    );
    let named = |row: &Row| words.iter().all(|word| row.name.contains(word.as_str()));
    for row in rows().into_iter().filter(named) {
        let measured = SIZES.map(|operations| measure(&row, operations));
        let [ten_thousand, hundred_thousand, million] = measured.map(|(ns, _)| ns);
        let bytes = measured[2].1;
        let (at_most, used) = match row.at_most {
            None => ("-".to_owned(), "-".to_owned()),
            Some((at_most, size)) => {
                let at = SIZES.iter().position(|other| *other == size);
                let ns = measured[at.expect("a size that is measured")].0;
                (
                    format!("{at_most:.0}"),
                    format!("{:.0} %", 100.0 * ns / at_most),
                )
            }
        };
        println!(
            "{:<52}{ten_thousand:>9.1}{hundred_thousand:>9.1}{million:>9.1}{:>8.2}{at_most:>9}{used:>7}{bytes:>8}{:>7}",
            row.name,
            million / ten_thousand,
            format!("{} %", 100 * bytes / BYTES_AT_MOST),
        );
    }
}

fn rows() -> Vec<Row> {
    let shape = |keys, clients, unknown_ppm| Shape {
        operations: 0,
        clients,
        keys,
        unknown_ppm,
        domain: None,
        seed: 1,
    };
    let object = |keys| match keys {
        1 => "one register",
        _ => "50 keys",
    };
    let million = SIZES[2];
    let mut rows = Vec::new();
    for keys in [1, 50] {
        rows.push(Row {
            name: format!("witness, {}, 10 clients", object(keys)),
            shape: shape(keys, 10, 0),
            kind: Kind::Witness,
            at_most: Some((100.0, million)),
        });
    }
    for keys in [50, 1] {
        for kind in [Kind::Legal, Kind::Stale] {
            for clients in [3, 10, 30] {
                for unknown_ppm in [0, 1_000, 10_000] {
                    let what = match kind {
                        Kind::Stale => "stale read",
                        _ => "search",
                    };
                    rows.push(Row {
                        name: format!(
                            "{what}, {}, {clients} clients, {} % unknown",
                            object(keys),
                            f64::from(unknown_ppm) / 10_000.0
                        ),
                        shape: shape(keys, clients, unknown_ppm),
                        kind,
                        at_most: match (kind, keys, clients, unknown_ppm) {
                            (Kind::Stale, ..) => Some((400.0, million)),
                            (_, 50, 10, _) => Some((250.0, million)),
                            (_, 1, 10, 0) => Some((800.0, million)),
                            (_, 1, 10, 1_000) => Some((1_500.0, million)),
                            (_, 1, 30, 0) => Some((1_000.0, 100_000)),
                            _ => None,
                        },
                    });
                }
            }
        }
    }
    // Values that come again, as most tests of others write them: the search cannot tell by a value who wrote it.
    for clients in [3, 10, 30] {
        rows.push(Row {
            name: format!("search, one register, {clients} clients, 5 values"),
            shape: Shape {
                domain: Some(5),
                ..shape(1, clients, 0)
            },
            kind: Kind::Legal,
            at_most: None,
        });
    }
    rows
}

/// The calls of a history as they are read: each with its key, and each key's values numbered from 0; and how many each has.
struct Read {
    calls: Vec<(u32, Call<RegisterAction>)>,
    turns: Vec<Vec<Option<u64>>>,
    values: Vec<u32>,
}

fn read(generated: &[Generated], keys: u32, values: u32) -> Read {
    let mut numbers: Vec<Vec<u32>> = vec![vec![u32::MAX; values as usize]; keys as usize];
    let mut read = Read {
        calls: Vec::with_capacity(generated.len()),
        turns: vec![Vec::new(); keys as usize],
        values: vec![1; keys as usize],
    };
    for done in generated {
        let key = done.key as usize;
        numbers[key][0] = 0;
        let mut number = |value: u32| {
            let number = &mut numbers[key][value as usize];
            if *number == u32::MAX {
                *number = read.values[key];
                read.values[key] += 1;
            }
            *number
        };
        let call = done.call.clone().map(|action| match action {
            RegisterAction::Read(value) => RegisterAction::Read(number(value)),
            RegisterAction::Write(value) => RegisterAction::Write(number(value)),
            RegisterAction::Swap(from, to) => RegisterAction::Swap(number(from), number(to)),
            RegisterAction::Refuse(value) => RegisterAction::Refuse(number(value)),
        });
        read.calls.push((done.key, call));
        read.turns[key].push(done.turn);
    }
    read
}

/// Nanoseconds and bytes for each operation.
fn measure(row: &Row, operations: usize) -> (f64, usize) {
    let shape = Shape {
        operations,
        ..row.shape
    };
    let (mut generated, values) = generate(&shape);
    if row.kind == Kind::Stale {
        make_stale(&mut generated);
    }
    let read = read(&generated, shape.keys, values);
    drop(generated);
    let repeats = if operations < SIZES[2] { 7 } else { 3 };
    let mut best = Duration::MAX;
    let mut bytes = 0;
    for _ in 0..repeats {
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let calls = read.calls.clone();
        let start = ProcessTime::now();
        run(row.kind, black_box(calls), &read);
        best = best.min(start.elapsed());
        bytes = ALLOCATOR.peak_usage() - before;
    }
    (
        best.as_nanos() as f64 / operations as f64,
        bytes / operations,
    )
}

fn run(kind: Kind, calls: Vec<(u32, Call<RegisterAction>)>, read: &Read) {
    let mut keyed: Vec<Vec<Call<RegisterAction>>> = vec![Vec::new(); read.values.len()];
    for (key, call) in calls {
        keyed[key as usize].push(call);
    }
    let registers = read
        .values
        .iter()
        .map(|values| Register { values: *values });
    let histories = keyed.into_iter().map(History::new);
    let mut parts: Vec<(Register, History<RegisterAction>)> = registers.zip(histories).collect();
    if kind == Kind::Witness {
        for ((register, history), turns) in parts.iter_mut().zip(&read.turns) {
            assert_eq!(order::replay(register, history, turns), Ok(()));
        }
        return;
    }
    match check_parts(&mut parts, Effort::default()) {
        None => assert!(kind == Kind::Legal, "a stale read was accepted"),
        Some((_, Outcome::Illegal(_))) => {
            assert!(kind == Kind::Stale, "a legal history was refused");
        }
        Some((part, outcome)) => panic!("no answer: part {part}: {outcome:?}"),
    }
}
