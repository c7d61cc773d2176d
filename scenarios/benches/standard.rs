//! The yardstick: the scenario `standard` with every check on, and how its cost grows with virtual time and with the
//! number of operations.
//!
//! `cargo bench` first prints what one number cannot say: events and runs per second, the speed against real time, the share
//! of time in checks, the runs per second of a shrinking, the cost of a virtual second and of an operation in runs of different lengths, and the most memory
//! that the process ever held. Then criterion times the same runs and compares them with the last time.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;
use zabsim::plan::{Action, Fault, Target, Trigger};
use zabsim_scenarios::format::Scenario;
use zabsim_scenarios::library;
use zabsim_scenarios::runner::run_scenario;
use zabsim_scenarios::shrink::{BUDGET, Request, Threads, shrink, sizes};
use zabsim_types::Time;
use zabsim_types::run::{RunReport, Verdict};

/// Seeds of the figures. A seed's cost depends on its faults; so several, and always the same.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;
/// Seconds of virtual time.
const LENGTHS: [u64; 3] = [10, 60, 600];
/// Clients, whose number decides how many operations there are.
const CLIENTS: [u32; 3] = [2, 5, 20];

fn main() {
    // `cargo test --benches` only wants to know that the runs work.
    if std::env::args().any(|argument| argument == "--bench") {
        print_yardstick();
        print_growth("virtual time", LENGTHS.map(lasting));
        print_growth("operations", CLIENTS.map(with_clients));
        print_shrinking();
        print_memory();
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    time_runs(&mut criterion);
    criterion.final_summary();
}

fn standard() -> Scenario {
    library::find("standard").expect("the library has the scenario `standard`")
}

/// `standard`, for so many seconds.
fn lasting(seconds: u64) -> (String, Scenario) {
    let mut scenario = standard();
    scenario.plan.safety_us = seconds * 1_000_000;
    (format!("{seconds} s"), scenario)
}

/// `standard`, with so many clients.
fn with_clients(clients: u32) -> (String, Scenario) {
    let mut scenario = standard();
    scenario.plan.clients = clients;
    (format!("{clients} clients"), scenario)
}

fn passes(scenario: &Scenario, seed: u64) -> RunReport {
    let report = run_scenario(scenario, "standard", seed, false).report;
    assert_eq!(report.verdict, Verdict::Pass, "seed {seed}");
    report
}

fn time_runs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("standard");
    for seconds in LENGTHS {
        let (name, scenario) = lasting(seconds);
        group.throughput(Throughput::Elements(passes(&scenario, 1).events));
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &scenario,
            |b, scenario| {
                b.iter(|| black_box(passes(scenario, 1)));
            },
        );
    }
    group.finish();
}

/// What several runs cost together.
#[derive(Default)]
struct Sum {
    runs: f64,
    wall_ms: f64,
    checks_ms: f64,
    history_ms: f64,
    virtual_ms: f64,
    events: f64,
    operations: f64,
}

impl Sum {
    fn of(scenario: &Scenario, seeds: impl IntoIterator<Item = u64>) -> Sum {
        let mut sum = Sum::default();
        for seed in seeds {
            let report = passes(scenario, seed);
            sum.runs += 1.0;
            sum.wall_ms += report.wall_ms;
            sum.checks_ms += report.wall_ms * report.checks_share;
            sum.history_ms += report.wall_ms * report.history_share;
            sum.virtual_ms += report.virtual_ms as f64;
            sum.events += report.events as f64;
            sum.operations += report.client_ops.ok as f64;
        }
        sum
    }
}

fn print_yardstick() {
    let sum = Sum::of(&standard(), SEEDS);
    println!("standard, {} seeds, all checks on:", sum.runs);
    println!("  {:>10.0} events/s", sum.events / sum.wall_ms * 1_000.0);
    println!("  {:>10.1} runs/s", sum.runs / sum.wall_ms * 1_000.0);
    println!("  {:>10.1} ms per run", sum.wall_ms / sum.runs);
    println!("  {:>10.0} times real time", sum.virtual_ms / sum.wall_ms);
    println!(
        "  {:>10.1} % of the time in checks",
        sum.checks_ms / sum.wall_ms * 100.0
    );
    println!(
        "  {:>10.1} % of the time in judging the clients' history, {:.2} µs per operation",
        sum.history_ms / sum.wall_ms * 100.0,
        sum.history_ms / sum.operations * 1_000.0
    );
    println!(
        "  {:>10.0} operations that succeed per run, {:.0} events per run\n",
        sum.operations / sum.runs,
        sum.events / sum.runs
    );
}

fn print_growth(of: &str, scenarios: [(String, Scenario); 3]) {
    println!("growth with {of} (the mean of 4 seeds):");
    for (name, scenario) in scenarios {
        let sum = Sum::of(&scenario, 1..=4);
        println!(
            "  {name:>10}: {:>7.1} ms, {:.3} ms per virtual second, {:>6.0} operations, {:.1} µs per operation, {:.1} % in checks",
            sum.wall_ms / sum.runs,
            sum.wall_ms / sum.virtual_ms * 1_000.0,
            sum.operations / sum.runs,
            sum.wall_ms / sum.operations * 1_000.0,
            sum.checks_ms / sum.wall_ms * 100.0
        );
    }
    println!();
}

/// A failure to shrink: half of the disks of a busy ensemble are wiped, among random faults, which no protocol survives.
fn failing() -> Scenario {
    let mut scenario = standard();
    scenario.plan.data_loss_allowed = true;
    scenario.plan.faults.push(Fault {
        label: "loss".into(),
        trigger: Trigger::At(Time(20_000_000)),
        action: Action::Wipe {
            target: Target::Random(3),
        },
        lasts_us: None,
    });
    scenario
}

fn print_shrinking() {
    let scenario = failing();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("shrinking, {threads} threads:");
    for seed in 1..=3 {
        let request = Request {
            scenario: &scenario,
            named: "standard, wiped",
            seed,
            budget: BUDGET,
            hands: &Threads(threads),
        };
        let started = wall_now();
        let shrunk = shrink(&request, &mut |_| true).expect("it fails");
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "  {:>10.0} runs/s: {} runs in {seconds:.1} s, {} to {}",
            shrunk.runs as f64 / seconds,
            shrunk.runs,
            shrunk.origin.size,
            sizes(&shrunk.scenario)
        );
    }
    println!();
}

#[expect(clippy::disallowed_methods, reason = "a bench measures wall time")]
fn wall_now() -> std::time::Instant {
    std::time::Instant::now()
}

fn print_memory() {
    match peak_kib() {
        Some(kib) => println!("at most {:.1} MB of memory\n", kib as f64 * 1_024.0 / 1e6),
        None => println!("memory: unknown on this system\n"),
    }
}

/// The most resident memory that this process ever had. Only Linux tells without unsafe code.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
