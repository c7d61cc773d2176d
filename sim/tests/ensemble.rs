//! Whole ensembles, end to end.

use std::collections::BTreeMap;
use std::time::Duration;
use zabsim::plan::{Climate, Ensemble, Plan};
use zabsim::{Program, RunOptions, RunOutcome};
use zabsim_types::CreateMode;
use zabsim_types::run::Verdict;

fn plan(voters: u8, clients: u32) -> Plan {
    Plan {
        name: "test".into(),
        about: String::new(),
        ensemble: Ensemble {
            voters,
            observers: 0,
            groups: Vec::new(),
            weights: BTreeMap::new(),
            tick_ms: 500,
            init_limit: 10,
            sync_limit: 5,
            snap_count: 1000,
            commit_log_count: 500,
            disk_diff_bytes_max: 1 << 20,
            counter_max: u32::MAX,
            snapshot_chunk_nodes: 100,
        },
        climate: Climate {
            link_us: (200, 1_500),
            client_link_us: (1_000, 3_000),
            fsync_us: (500, 4_000),
            read_us: (100, 1_000),
            stage_us: (5, 50),
            restart_us: (100_000, 2_000_000),
            clock_offset_us_max: 1_000_000,
            clock_drift_ppm_max: 100,
        },
        clients,
        session_timeout_ms: 5_000,
        safety_us: 10_000_000,
        faults: Vec::new(),
        ops: Vec::new(),
        data_loss_allowed: false,
        leave_broken: false,
    }
}

/// Every client creates nodes of its own and counts in a shared one.
fn writers(clients: u32) -> Vec<Program> {
    (0..clients)
        .map(|_| {
            let program: Program = Box::new(|context| {
                Box::pin(async move {
                    let client = context.client.clone();
                    let mut number = 0;
                    while !context.stopping() {
                        if client.state().is_over() {
                            client.open().await;
                        }
                        number += 1;
                        let path = format!("/c{}-{number}", context.process.0);
                        let _ = client
                            .create(path.as_str(), b"data", CreateMode::Persistent)
                            .await;
                        let _ = client.get_data(path.as_str()).await;
                        client.sleep(Duration::from_millis(5)).await;
                    }
                })
            });
            program
        })
        .collect()
}

fn show(outcome: &RunOutcome) -> String {
    let report = &outcome.report;
    let timeline: Vec<String> = report
        .timeline
        .iter()
        .map(|entry| format!("{} {} {}", entry.at, entry.who, entry.what))
        .collect();
    format!(
        "{:?} {:?} events {} wall {} ms, checks {:.2}, ops {:?}, elections {}\n{}\n{:?}",
        report.verdict,
        report.violation,
        report.events,
        report.wall_ms,
        report.checks_share,
        report.client_ops,
        report.elections,
        timeline.join("\n"),
        report.reached
    )
}

#[test]
fn three_servers_elect_a_leader_and_serve() {
    let outcome = zabsim::run(&plan(3, 3), 1, writers(3), RunOptions::default());
    println!("{}", show(&outcome));
    assert_eq!(outcome.report.verdict, Verdict::Pass, "{}", show(&outcome));
    assert!(outcome.report.client_ops.ok > 500);
}

/// Seeds and a rounds' worth of random faults, for a look by hand: `SEEDS=1..50 cargo test --release -- --ignored`.
#[test]
#[ignore = "a campaign by hand"]
fn campaign() {
    let seeds = std::env::var("SEEDS").unwrap_or("1..20".into());
    let profile = std::env::var("PROFILE").unwrap_or("swarm".into());
    let (first, last) = seeds.split_once("..").expect("a range");
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    let mut tally = BTreeMap::new();
    let mut reached = BTreeMap::new();
    for seed in first..=last {
        let mut plan = plan(5, 5);
        plan.safety_us = 60_000_000;
        plan.faults = zabsim::draw_faults(seed, &profile, &plan);
        let outcome = zabsim::run(
            &plan,
            seed,
            writers(5),
            RunOptions {
                keep_trace: first == last,
                ..RunOptions::default()
            },
        );
        let report = &outcome.report;
        if first == last {
            println!("{}", show(&outcome));
            if let Some(trace) = &outcome.trace {
                std::fs::write("/tmp/target/trace.txt", trace.to_string()).expect("writes");
            }
        }
        *tally.entry(report.verdict).or_insert(0) += 1;
        for mark in &report.reached {
            *reached.entry(mark.mark.clone()).or_insert(0) += mark.count;
        }
        println!(
            "seed {seed}: {:?} {} events {:.1} ms checks {:.2} ops {:?} elections {} faults {} {:?}",
            report.verdict,
            report.events,
            report.wall_ms,
            report.checks_share,
            report.client_ops,
            report.elections,
            report.faults.len(),
            report.violation
        );
    }
    println!("{tally:?}\n{reached:?}");
}
