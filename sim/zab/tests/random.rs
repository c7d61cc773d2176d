//! Ensembles on an unkind bus: random latencies, crashes between any two effects with loss of what was not synced, broken
//! links, lost election messages, pauses, a wiped disk. The oracle looks at every step; afterwards the ensemble must
//! recover and agree.

#![expect(
    clippy::disallowed_methods,
    reason = "how many cases and which is the caller's word; a case is a function of its seed"
)]

mod common;

use common::{Bus, Unkind, config, s};
use std::collections::BTreeMap;
use zab::{PeerId, QuorumConfig, QuorumRule, Zxid};

/// Prints what is needed to repeat a run that panics.
struct Case(u64);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the case was {}: ZAB_SEED={} repeats it", self.0, self.0);
        }
    }
}

fn ensemble(seed: u64) -> Bus {
    let mut dice = common::Rng(seed ^ 0x5eed);
    let voters = if seed.is_multiple_of(2) { 3 } else { 5 };
    let mut quorum = QuorumConfig::majority((1..=voters).map(PeerId));
    let observers = u8::from(seed.is_multiple_of(3));
    quorum.observers = (voters + 1..=voters + observers).map(PeerId).collect();
    let (memory, disk, snap, counter) =
        (dice.below(4), dice.below(3), dice.below(3), dice.below(6));
    let joiners = if seed % 4 == 1 { 2 } else { 0 };
    let configs = (1..=voters + observers + joiners).map(|id| {
        let mut config = config(id, &quorum);
        config.commit_log_count = [2, 5, 20, 500][memory as usize];
        config.disk_diff_bytes_max = [0, 300, 100_000][disk as usize];
        config.snap_count = [4, 15, 1_000][snap as usize];
        config.snap_retain = 1 + (snap as usize % 2);
        config.counter_max = if counter == 0 { 12 } else { u32::MAX };
        config
    });
    let mut bus = Bus::new(seed, configs);
    bus.unkind = Unkind {
        jitter: true,
        crash: [0, 400, 1_500][dice.below(3) as usize],
        breaks: [0, 100, 400][dice.below(3) as usize],
        loss: [0, 10, 3][dice.below(3) as usize],
        refuse: [0, 10][dice.below(2) as usize],
        pause: [0, 1_000][dice.below(2) as usize],
        wipe: if seed.is_multiple_of(5) { 4 } else { 0 },
    };
    bus
}

fn reconfigures(seed: u64) -> bool {
    seed % 4 == 1
}

/// Some of the servers vote, some observe, some do neither. Where a disk may be lost, that must leave a quorum.
fn any_ensemble(bus: &mut Bus, seed: u64) -> Option<QuorumConfig> {
    let least = if seed.is_multiple_of(5) { 3 } else { 1 };
    for _ in 0..20 {
        let mut quorum = QuorumConfig::majority([]);
        for id in bus.ids() {
            let peer = bus.nodes[&id].peer.as_ref();
            let blank = peer.is_none_or(|peer| peer.is_blank());
            match bus.rng.below(4) {
                0 => {}
                _ if least > 1 && blank => {}
                1 => drop(quorum.observers.insert(id)),
                _ => drop(quorum.voters.insert(id)),
            }
        }
        if quorum.voters.len() >= least {
            if least == 1 && bus.rng.one_in(4) {
                let (a, b) = quorum.voters.iter().partition(|id| id.0 % 2 == 0);
                let weights = quorum
                    .voters
                    .iter()
                    .map(|id| (*id, 1 + u32::from(id.0 % 3)));
                quorum.rule = QuorumRule::Hierarchical {
                    groups: vec![a, b],
                    weights: weights.collect(),
                };
            }
            return Some(quorum);
        }
    }
    None
}

fn run(seed: u64) -> BTreeMap<String, u64> {
    let case = Case(seed);
    let mut bus = ensemble(seed);
    if std::env::var("ZAB_ALOUD").is_ok() {
        bus.aloud = true;
        bus.transcript = Some(Vec::new());
    }
    bus.start_all();
    for _ in 0..3_000 {
        bus.advance();
        if bus.rng.one_in(8) {
            bus.propose();
        }
        if bus.rng.one_in(20) {
            // At a leader that may be deposed, too.
            let ids = bus.ids();
            let id = ids[bus.rng.below(ids.len() as u64) as usize];
            if bus.nodes[&id].leads() {
                bus.propose_at(id);
            }
            let quorum = bus.rng.one_in(2);
            bus.sync_at(id, quorum);
        }
        if reconfigures(seed)
            && bus.rng.one_in(150)
            && let Some(quorum) = any_ensemble(&mut bus, seed)
        {
            bus.reconfigure(quorum).ok();
        }
        if bus.rng.one_in(600) && bus.cut.len() < 4 {
            let ids = bus.ids();
            let a = ids[bus.rng.below(ids.len() as u64) as usize];
            let b = ids[bus.rng.below(ids.len() as u64) as usize];
            bus.partition(a, b);
        }
        if bus.rng.one_in(900) {
            bus.cut.clear();
        }
    }
    // Heal.
    bus.unkind = Unkind::default();
    bus.cut.clear();
    bus.start_all();
    bus.settle();
    for id in bus.ids() {
        bus.sync_at(id, true);
    }
    let before = bus.oracle.barriers_passed;
    if let Some(last) = bus.propose() {
        bus.run_until(60_000_000, "a last proposal commits everywhere", |bus| {
            let done = |zxid: Option<Zxid>| zxid.is_some_and(|zxid| zxid >= last);
            bus.nodes
                .values()
                .all(|node| done(node.app.state.last().map(|txn| txn.zxid)))
        });
        assert!(bus.oracle.barriers_passed > before);
    }
    bus.settle();
    drop(case);
    std::mem::take(&mut bus.oracle.counts)
}

#[test]
fn ensembles_on_an_unkind_bus_agree_and_lose_nothing() {
    if let Ok(seed) = std::env::var("ZAB_SEED") {
        run(seed.parse().expect("a number"));
        return;
    }
    let cases = std::env::var("ZAB_CASES").map_or(300, |n| n.parse().expect("a number"));
    let mut seen = BTreeMap::new();
    for seed in 0..cases {
        for (what, times) in run(seed) {
            *seen.entry(what).or_insert(0) += times;
        }
    }
    println!("{seen:#?}");
    // A test that never comes near a path says nothing about it.
    for what in [
        "EmptyDiff",
        "Diff",
        "Diff from disk",
        "Trunc",
        "TruncDiff",
        "Snap",
        "ackepoch-minus-one",
        "blank-proof",
        "commit-before-uptodate",
        "drain-reload",
        "drain-replayed-tail",
        "drain-unfinished-truncation",
        "activated",
        "hand-over",
        "new-role",
        "recovery-pending-configuration",
        "configuration-learned",
        "rollover",
        "snapshot taken",
    ] {
        assert!(seen.contains_key(what), "{what} never happened");
    }
    let _ = s(1);
}
