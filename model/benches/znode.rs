//! What it costs to judge the recorded histories of real servers: reading, then the reconstruction of the log and all checks.
//!
//! `cargo bench -p zabsim-model --bench znode`. The least of five repetitions, the processor's time.

use cpu_time::ProcessTime;
use std::path::Path;
use std::time::Duration;
use zabsim_model::znode::{Recording, Settings, judge, read};

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!(
        "{:<28} {:>10} {:>9} {:>10} {:>16}",
        "history", "operations", "read, ms", "judged, ms", "ns per operation"
    );
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/histories");
    for name in [
        "r01-seq-1c-1n",
        "r02-calm-5c-1n",
        "r04-calm-10c-5n-pipelined",
        "r05-killleader-10c-3n",
        "r08-followers-10c-3n",
        "r12-restart-5c-1n",
    ] {
        let bytes = std::fs::read(Path::new(data).join(format!("{name}.jsonl.gz")));
        let bytes = bytes.expect("it is part of the sources");
        let (reading, recording) = least(|| read(&bytes[..], &mut |_| {}).expect("a history"));
        let (judging, operations) = least(|| operations(&recording));
        println!(
            "{name:<28} {operations:>10} {:>9.1} {:>10.1} {:>16}",
            reading.as_secs_f64() * 1e3,
            judging.as_secs_f64() * 1e3,
            judging.as_nanos() / u128::from(operations)
        );
    }
}

fn operations(recording: &Recording) -> u64 {
    let judged = judge(recording, &Settings::default()).expect("completions fit");
    assert!(judged.is_legal());
    judged.understood.operations
}

fn least<T>(mut what: impl FnMut() -> T) -> (Duration, T) {
    let mut best = Duration::MAX;
    let mut last = None;
    for _ in 0..5 {
        let start = ProcessTime::now();
        last = Some(what());
        best = best.min(start.elapsed());
    }
    (best, last.expect("it ran"))
}
