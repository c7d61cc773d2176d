//! What a campaign makes of a machine: runs per second of `standard` with one worker and with one for each core, how near that
//! is to as many times as much, and the most memory that supervisor and workers held together.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zabsim_types::campaign::Summary;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zabsim");
/// Of each campaign: some hundreds of runs.
const LASTS: &str = "15s";

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (alone, _) = runs_per_second(1);
    let (together, kib) = runs_per_second(cores);
    println!("campaign of `standard`, {LASTS} each");
    println!("  1 worker             {alone:.1} runs/s");
    println!(
        "  {cores} workers            {together:.1} runs/s, {:.1} per core",
        together / cores as f64
    );
    println!(
        "  near-linear          {:.2} times one worker",
        together / alone
    );
    println!(
        "  peak of memory       {} MiB, all processes together",
        kib / 1_024
    );
}

/// Of a campaign with so many workers; and the most memory that it held, in KiB.
fn runs_per_second(jobs: usize) -> (f64, u64) {
    let home = tempfile::tempdir().expect("a directory");
    let out = home.path().join("campaign");
    let jobs = jobs.to_string();
    let mut child = Command::new(PROGRAM)
        .args([
            "campaign", "standard", "--for", LASTS, "--jobs", &jobs, "--out",
        ])
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let kib = peak_kib(&mut child);
    let text = std::fs::read_to_string(out.join("summary.json")).expect("a summary");
    let summary: Summary = serde_json::from_str(&text).expect("of this schema");
    assert!(summary.failures.is_empty(), "{:?}", summary.failures);
    let seconds = summary.wall_ms as f64 / 1_000.0;
    (summary.runs as f64 / seconds, kib)
}

/// Looks at the process and its children until it ends.
fn peak_kib(child: &mut Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let own = Path::new("/proc").join(child.id().to_string());
        let threads = std::fs::read_dir(own.join("task"))
            .into_iter()
            .flatten()
            .flatten();
        let children = threads
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        let children = children.collect::<String>();
        let workers = children
            .split_whitespace()
            .map(|id| Path::new("/proc").join(id));
        let all = workers.chain([own]).map(|process| resident_kib(&process));
        peak = peak.max(all.sum());
        std::thread::sleep(Duration::from_millis(200));
    }
    peak
}

fn resident_kib(process: &Path) -> u64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
