//! What it costs to decide a history, for each shape that people have: nanoseconds and bytes for each operation.
//!
//! `cargo bench -p zabsim-model`. Histories are generated and lie in memory; the time is the processor's, from the list of calls to the
//! verdict. The least of a few repetitions stands for the cost, the others for the machine's noise.

use cpu_time::ProcessTime;
use peak_alloc::PeakAlloc;
use std::hint::black_box;
use std::time::Duration;
use zabsim_model::linear::generate::{Generated, Shape, generate, make_stale};
use zabsim_model::linear::models::{Register, RegisterAction, check_store};
use zabsim_model::linear::{Call, Effort, History, Outcome, check, order};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!(
        "{:<52} {:>9} {:>11} {:>9}",
        "history", "calls", "ns per call", "bytes"
    );
    let register = Shape {
        operations: 0,
        clients: 10,
        keys: 1,
        unknown_ppm: 0,
        domain: None,
        seed: 1,
    };
    for operations in [10_000, 100_000, 1_000_000] {
        let register = Shape {
            operations,
            ..register
        };
        let store = Shape {
            keys: 50,
            ..register
        };
        witness("witness, register, 10 clients", &register);
        for unknown_ppm in [0, 1_000, 10_000] {
            let what = format!(
                "search, 50 keys, 10 clients, {} % unknown",
                f64::from(unknown_ppm) / 10_000.0
            );
            search_store(
                &what,
                &Shape {
                    unknown_ppm,
                    ..store
                },
                false,
            );
        }
        for clients in [3, 10, 30] {
            for unknown_ppm in [0, 1_000, 10_000] {
                let what = format!(
                    "search, one register, {clients} clients, {} % unknown",
                    f64::from(unknown_ppm) / 10_000.0
                );
                search_register(
                    &what,
                    &Shape {
                        clients,
                        unknown_ppm,
                        ..register
                    },
                    false,
                );
            }
        }
        search_register("refutation, one register, 10 clients", &register, true);
        search_store("refutation, 50 keys, 10 clients", &store, true);
    }
}

fn witness(what: &str, shape: &Shape) {
    let (generated, values) = generate(shape);
    let turns: Vec<Option<u64>> = generated.iter().map(|done| done.turn).collect();
    let calls = calls(&generated);
    measure(
        what,
        shape.operations,
        || calls.clone(),
        |calls| {
            let history = History::new(calls);
            assert_eq!(
                order::replay(&mut Register { values }, &history, &turns),
                Ok(())
            );
        },
    );
}

fn calls(generated: &[Generated]) -> Vec<Call<RegisterAction>> {
    generated.iter().map(|done| done.call.clone()).collect()
}

fn search_register(what: &str, shape: &Shape, stale: bool) {
    let (mut generated, values) = generate(shape);
    if stale {
        make_stale(&mut generated);
    }
    let calls = calls(&generated);
    measure(
        what,
        shape.operations,
        || calls.clone(),
        |calls| {
            let outcome = check(
                &mut Register { values },
                &History::new(calls),
                Effort::default(),
            );
            judge(stale, &outcome);
        },
    );
}

fn search_store(what: &str, shape: &Shape, stale: bool) {
    let (mut generated, values) = generate(shape);
    if stale {
        make_stale(&mut generated);
    }
    let calls: Vec<_> = generated
        .iter()
        .map(|done| (done.key, done.call.clone()))
        .collect();
    measure(
        what,
        shape.operations,
        || calls.clone(),
        |calls| {
            let wrong = check_store(calls, shape.keys, values, Effort::default());
            let legal = Outcome::Legal(Vec::new());
            judge(
                stale,
                wrong.as_ref().map_or(&legal, |(.., outcome)| outcome),
            );
        },
    );
}

fn judge(stale: bool, outcome: &Outcome) {
    match outcome {
        Outcome::Legal(_) => assert!(!stale, "a stale read was accepted"),
        Outcome::Illegal(_) => assert!(stale, "a legal history was refused"),
        Outcome::Unknown { reached, of, .. } => panic!("no answer: event {reached} of {of}"),
    }
}

fn measure<T>(
    what: &str,
    operations: usize,
    mut prepare: impl FnMut() -> T,
    mut run: impl FnMut(T),
) {
    const REPEATS: usize = 5;
    let mut best = Duration::MAX;
    let mut bytes = 0;
    for _ in 0..REPEATS {
        let input = prepare();
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let start = ProcessTime::now();
        run(black_box(input));
        best = best.min(start.elapsed());
        bytes = ALLOCATOR.peak_usage() - before;
    }
    let nanoseconds = best.as_nanos() as f64 / operations as f64;
    println!(
        "{what:<52} {operations:>9} {nanoseconds:>11.1} {:>9}",
        bytes / operations
    );
}
