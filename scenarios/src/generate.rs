//! Whole scenarios from a seed: the ensemble, its timeouts, the links and disks, the clients and what they do. The faults come
//! after that, as for any other scenario, from a profile ([`zabsim::draw_faults`]); so all of it is a plain scenario before the
//! run begins, and can be written out.
//!
//! *Swarm testing* (Groce et al., ISSTA 2012): most seeds leave most things out, since what is always there hides what it
//! prevents. Each part has a stream of its own, so that a part that learns something new changes the others' draws in nothing.
//! The draws are ours and not a property-testing library's strategies: those may draw otherwise in their next version, and a
//! seed must mean the same run as long as our own source is the same.
//!
//! What is drawn must be survivable: timeouts are longer than the links' delays, so that a healed ensemble can elect, and
//! sessions last for some ticks, so that their clients can finish.

use crate::format::{Expect, Scenario};
use crate::workload::{MIXED, Workload, WorkloadKind};
use std::collections::BTreeMap;
use zabsim::Stream;
use zabsim::plan::{Climate, Ensemble, Plan, ScriptedOp, Trigger};
use zabsim_types::{Acl, CreateMode, Op, OpKind, ServerId, SyncMode, Time};

/// The scenario of a seed: of `scenario`, only its name, its profile of faults, and what it expects.
pub(crate) fn whole(scenario: &Scenario, seed: u64) -> Scenario {
    let part = |purpose| Stream::new(seed, purpose, 0);
    let ensemble = ensemble(&mut part("swarm ensemble"));
    let climate = climate(&mut part("swarm climate"), &ensemble);
    let mut stream = part("swarm run");
    // So many ticks, within what one has the time for.
    let tick_us = u64::from(ensemble.tick_ms) * 1_000;
    let safety_us = (stream.range((30, 90)) * tick_us).clamp(10_000_000, 40_000_000);
    let clients = 1 + stream.below(6) as u32;
    let session_timeout_ms = ensemble.tick_ms * stream.range((5, 20)) as u32;
    // Who stays broken is reckoned with the first members.
    let leave_broken = stream.per_mille(150) && ensemble.joiners == 0;
    let some = |_: &u32| stream.per_mille(500);
    let read_only_clients = match ensemble.read_only_mode {
        true => (1..=clients).filter(some).collect(),
        false => Vec::new(),
    };
    let workloads = workloads(&mut part("swarm workloads"), clients, tick_us);
    let mut asked = Asked {
        stream: part("swarm operations"),
        clients,
        safety_us,
        ops: Vec::new(),
    };
    let mut ensemble = ensemble;
    asked.all(&mut ensemble);
    let ops = asked.ops;
    let expect = Expect {
        outcomes: vec![Vec::new(); ops.len()],
        ..scenario.expect.clone()
    };
    Scenario {
        plan: Plan {
            ensemble,
            climate,
            clients,
            session_timeout_ms,
            safety_us,
            leave_broken,
            read_only_clients,
            ops,
            ..scenario.plan.clone()
        },
        workloads,
        holds: Vec::new(),
        expect,
        whole: false,
        ..scenario.clone()
    }
}

/// The number that is drawn `weight` times as often as one of weight 1.
fn weighted(stream: &mut Stream, of: &[(u64, u32)]) -> u32 {
    let all = of.iter().map(|(weight, _)| weight).sum();
    let mut at = stream.below(all);
    for (weight, number) in of {
        if at < *weight {
            return *number;
        }
        at -= weight;
    }
    unreachable!("a number below the sum of the weights")
}

fn ensemble(stream: &mut Stream) -> Ensemble {
    let voters = [(1, 1), (2, 2), (8, 3), (2, 4), (5, 5), (1, 6), (1, 7)];
    let voters = weighted(stream, &voters) as u8;
    let observers = weighted(stream, &[(7, 0), (2, 1), (1, 2)]) as u8;
    let mut ensemble = Ensemble {
        observers,
        tick_ms: *stream.pick(&[200, 500, 500, 500, 1_000]),
        init_limit: stream.range((6, 15)) as u32,
        sync_limit: stream.range((3, 8)) as u32,
        sweep_interval_ms: *stream.pick(&[2_000, 5_000, 60_000]),
        ..Ensemble::of(voters)
    };
    limits(&mut ensemble, stream);
    ensemble.local_sessions = stream.per_mille(150);
    ensemble.upgrade_local_sessions = !(ensemble.local_sessions && stream.per_mille(300));
    ensemble.read_only_mode = stream.per_mille(150);
    ensemble.rules.extended_types = !stream.per_mille(120);
    ensemble.rules.enforce_quota = stream.per_mille(150);
    if stream.per_mille(80) {
        // An epoch of some seconds: were it shorter, elections would leave no time for anything else.
        ensemble.counter_max = stream.range((400, 2_000)) as u32;
    }
    let servers: Vec<ServerId> = (1..=voters).map(ServerId).collect();
    match stream.below(10) {
        0 if voters > 2 => ensemble.weights = weights(stream, &servers),
        1 if voters > 3 => {
            let size = 1 + stream.below(3) as usize;
            ensemble.groups = servers.chunks(size).map(<[ServerId]>::to_vec).collect();
        }
        2..=4 => ensemble.joiners = 1 + stream.below(2) as u8,
        _ => {}
    }
    ensemble
}

/// The operations that a script asks for beside the workloads: what is rare, or somebody's right alone.
struct Asked {
    stream: Stream,
    clients: u32,
    safety_us: u64,
    ops: Vec<ScriptedOp>,
}

/// The super user's name and password, and what servers know of them.
const SUPER: &str = "super:test";
const SUPER_DIGEST: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// When the first proof is given.
const EARLY_US: u64 = 1_000_000;

/// Of the super user's proof and what it asks for, how long the one comes before the other.
const PROOF_US: u64 = 200_000;

impl Asked {
    fn all(&mut self, ensemble: &mut Ensemble) {
        let may_change = ensemble.joiners > 0;
        if may_change || self.stream.per_mille(100) {
            ensemble.rules.super_digest = Some(SUPER_DIGEST.into());
        }
        if may_change {
            self.reconfigurations(ensemble);
        } else if ensemble.rules.super_digest.is_some() {
            let (client, at_us) = (self.client(), self.moment());
            self.prove(client, at_us);
        }
        if ensemble.rules.enforce_quota || self.stream.per_mille(80) {
            self.quotas();
        }
    }

    fn client(&mut self) -> u32 {
        1 + self.stream.below(u64::from(self.clients)) as u32
    }

    fn moment(&mut self) -> u64 {
        self.stream.range((2_000_000, self.safety_us))
    }

    fn ask(&mut self, client: u32, at_us: u64, op: Op) {
        let at = Trigger::At(Time(at_us));
        self.ops.push(ScriptedOp { client, at, op });
    }

    fn prove(&mut self, client: u32, at_us: u64) {
        let (scheme, auth) = ("digest".into(), SUPER.into());
        self.ask(client, at_us, Op::AddAuth { scheme, auth });
    }

    /// Some changes of the members, one after the other or all at once: whatever each is answered.
    fn reconfigurations(&mut self, ensemble: &Ensemble) {
        let client = self.client();
        // Once before anything goes wrong, so that it is known who asks; and again each time, since a session may have ended.
        self.prove(client, EARLY_US);
        for _ in 0..1 + self.stream.below(5) {
            let at_us = self.moment();
            self.prove(client, at_us - PROOF_US);
            let op = self.reconfiguration(ensemble);
            self.ask(client, at_us, op);
        }
    }

    fn reconfiguration(&mut self, ensemble: &Ensemble) -> Op {
        let all = ensemble.servers();
        let line = |server: u32, stream: &mut Stream| {
            let role = match stream.per_mille(800) {
                true => "participant",
                false => "observer",
            };
            format!("server.{server}=s{server}:2888:3888:{role}")
        };
        let stream = &mut self.stream;
        let any = |stream: &mut Stream| 1 + stream.below(u64::from(all)) as u32;
        // Mostly one that is no member yet.
        let one = |stream: &mut Stream| match stream.per_mille(700) {
            true => all - stream.below(u64::from(ensemble.joiners)) as u32,
            false => any(stream),
        };
        let (mut joining, mut leaving, mut new_members) = (None, None, None);
        match stream.below(4) {
            0 | 1 => {
                let server = one(stream);
                joining = Some(line(server, stream).into());
                leaving = stream
                    .per_mille(300)
                    .then(|| any(stream).to_string().into());
            }
            2 => leaving = Some(any(stream).to_string().into()),
            _ => {
                let mut members: Vec<u32> = (1..=all).collect();
                stream.shuffle(&mut members);
                members.truncate(1 + stream.below(u64::from(all)) as usize);
                let lines: Vec<String> = members.into_iter().map(|s| line(s, stream)).collect();
                new_members = Some(lines.join(",").into());
            }
        }
        Op::Reconfig {
            joining,
            leaving,
            new_members,
            from_config: -1,
        }
    }

    /// Limits for what the mixed workload does, some of them too low.
    fn quotas(&mut self) {
        let (client, at_us) = (self.client(), self.moment() / 2);
        let hard = if self.stream.per_mille(500) {
            "count=-1,bytes=-1,bytesHardLimit=200,countHardLimit=12"
        } else {
            "count=10,bytes=100"
        };
        let create = |path: &str, data: &str| Op::Create {
            path: path.into(),
            data: Some(data.as_bytes().to_vec().into()),
            mode: CreateMode::Persistent,
            with_stat: false,
            acl: Acl::OPEN,
        };
        let of = *self.stream.pick(&["mixed", "mixed/seq"]);
        let place = format!("/zookeeper/quota/{of}");
        self.ask(client, at_us, create("/zookeeper/quota/mixed", ""));
        if of != "mixed" {
            self.ask(client, at_us, create(&place, ""));
        }
        self.ask(
            client,
            at_us,
            create(&format!("{place}/zookeeper_limits"), hard),
        );
        self.ask(
            client,
            at_us,
            create(&format!("{place}/zookeeper_stats"), "count=0,bytes=0"),
        );
        let later_us = self.stream.range((at_us, self.safety_us));
        let path = format!("{place}/zookeeper_stats").into();
        self.ask(client, later_us, Op::GetData { path, watch: false });
    }
}

/// Other links, disks and clocks.
pub(crate) fn other_climate(scenario: &mut Scenario, stream: &mut Stream) {
    scenario.plan.climate = climate(stream, &scenario.plan.ensemble);
}

/// Other limits of what servers keep.
pub(crate) fn other_limits(scenario: &mut Scenario, stream: &mut Stream) {
    limits(&mut scenario.plan.ensemble, stream);
}

/// Few transactions and much to lose, so that snapshots and cuts are no rarity.
fn limits(ensemble: &mut Ensemble, stream: &mut Stream) {
    ensemble.snap_count = *stream.pick(&[10, 30, 100, 400, 100_000]);
    ensemble.commit_log_count = *stream.pick(&[5, 20, 100, 500]);
    ensemble.disk_diff_bytes_max = *stream.pick(&[0, 4_000, 1 << 20, 1 << 20]);
    ensemble.snapshot_chunk_nodes = *stream.pick(&[2, 8, 64]);
}

/// Of 0 to 3 each, one of them at least 1.
fn weights(stream: &mut Stream, servers: &[ServerId]) -> BTreeMap<ServerId, u32> {
    let mut weights: BTreeMap<ServerId, u32> = servers
        .iter()
        .map(|server| (*server, weighted(stream, &[(1, 0), (4, 1), (2, 2), (1, 3)])))
        .collect();
    weights.insert(*stream.pick(servers), 2);
    weights
}

fn climate(stream: &mut Stream, ensemble: &Ensemble) -> Climate {
    // A way there and back must fit into a tick by far: leaders and learners give each other up after some of them.
    let way_us_max = u64::from(ensemble.tick_ms) * 1_000 / 20;
    let fitting = |(least, most): (u64, u64)| (least.min(way_us_max), most.min(way_us_max));
    Climate {
        link_us: fitting(*stream.pick(&[(50, 200), (200, 1_000), (200, 20_000), (5_000, 40_000)])),
        client_link_us: *stream.pick(&[(1_000, 3_000), (1_000, 10_000), (5_000, 30_000)]),
        fsync_us: fitting(*stream.pick(&[(0, 100), (500, 3_000), (500, 3_000), (2_000, 30_000)])),
        // Where a disk is read slowly, much has changed by the time it has been.
        read_us: *stream.pick(&[(200, 2_000), (200, 2_000), (2_000, 80_000)]),
        stage_us: *stream.pick(&[(0, 0), (0, 200), (0, 200), (0, 4_000)]),
        restart_us: *stream.pick(&[(100_000, 500_000), (500_000, 3_000_000)]),
        clock_offset_us_max: *stream.pick(&[0, 500_000, 20_000_000]),
        clock_drift_ppm_max: *stream.pick(&[0, 200, 10_000]),
    }
}

/// One to three kinds, seldom more: each seed another mix of operations.
fn workloads(stream: &mut Stream, clients: u32, tick_us: u64) -> Vec<Workload> {
    let mut kinds = WorkloadKind::ALL.to_vec();
    stream.shuffle(&mut kinds);
    let count = weighted(stream, &[(4, 1), (5, 2), (3, 3), (1, 5)]) as usize;
    kinds.truncate(count);
    // Side by side they may load the ensemble as much as one alone would.
    let slower = count as u64 * u64::from(clients).div_ceil(2);
    let one = |kind| {
        let think_us = *stream.pick(&[(0, 30_000), (20_000, 150_000), (100_000, 600_000)]);
        let alone = stream.per_mille(150);
        let clients = match alone {
            true => vec![1 + stream.below(u64::from(clients)) as u32],
            false => Vec::new(),
        };
        let ops = match kind {
            WorkloadKind::Mixed if stream.per_mille(600) => some_ops(stream),
            _ => Vec::new(),
        };
        Workload {
            kind,
            ops,
            keys: *stream.pick(&[1, 2, 4, 12, 40]),
            clients,
            think_us: (think_us.0 * slower, think_us.1 * slower),
            // The longest meet faults, and the ends of sessions; all who wait in one line have their turn before a healed
            // world is given up.
            hold_us: *stream.pick(&[
                (1_000, 50_000),
                (50_000, 500_000),
                (0, 2_000),
                (tick_us, 7 * tick_us),
            ]),
            sync: *stream.pick(&[SyncMode::Quorum, SyncMode::Quorum, SyncMode::Leader]),
        }
    };
    kinds.into_iter().map(one).collect()
}

/// About half of what the mixed workload can ask for; without nodes there is nothing to ask of.
fn some_ops(stream: &mut Stream) -> Vec<OpKind> {
    let all = MIXED.iter().map(|(_, kind)| *kind);
    all.filter(|kind| *kind == OpKind::Create || stream.per_mille(500))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use std::collections::BTreeSet;

    fn swarm(seed: u64) -> Scenario {
        library::find("swarm")
            .expect("the library has it")
            .draw(seed)
    }

    #[test]
    fn what_is_drawn_can_be_run_and_is_read_back_as_it_is() {
        for seed in 0..300 {
            let drawn = swarm(seed);
            zabsim::validate(&drawn.plan).unwrap_or_else(|why| panic!("{seed}: {why}"));
            assert_eq!((drawn.whole, &drawn.random), (false, &None));
            let text = drawn.to_toml();
            let again = Scenario::parse("drawn", &text);
            assert_eq!(again.unwrap_or_else(|why| panic!("{why}\n{text}")), drawn);
        }
    }

    /// All of what there is to draw comes by, and most seeds leave most of it out.
    #[test]
    fn seeds_differ_in_everything() {
        let drawn: Vec<Scenario> = (0..300).map(swarm).collect();
        let voters: BTreeSet<u8> = drawn.iter().map(|s| s.plan.ensemble.voters).collect();
        assert_eq!(voters, (1..=7).collect());
        let kinds = drawn
            .iter()
            .flat_map(|s| &s.workloads)
            .map(|w| w.kind.name());
        let kinds: BTreeSet<&str> = kinds.collect();
        assert_eq!(kinds.len(), WorkloadKind::ALL.len());
        let share = |of: fn(&Scenario) -> bool| drawn.iter().filter(|s| of(s)).count();
        for (what, least, most, of) in [
            (
                "observers",
                40,
                150,
                (|s| s.plan.ensemble.observers > 0) as fn(&Scenario) -> bool,
            ),
            ("weights", 8, 60, |s| !s.plan.ensemble.weights.is_empty()),
            ("groups", 3, 40, |s| !s.plan.ensemble.groups.is_empty()),
            ("a short epoch", 8, 60, |s| {
                s.plan.ensemble.counter_max < u32::MAX
            }),
            ("no faults", 1, 80, |s| s.plan.faults.is_empty()),
            ("one kind of workload", 50, 150, |s| s.workloads.len() == 1),
            ("joiners", 40, 130, |s| s.plan.ensemble.joiners > 0),
            ("no upgrade", 4, 40, |s| {
                !s.plan.ensemble.upgrade_local_sessions
            }),
            ("no TTL nodes", 15, 70, |s| {
                !s.plan.ensemble.rules.extended_types
            }),
            ("enforced quotas", 20, 80, |s| {
                s.plan.ensemble.rules.enforce_quota
            }),
            ("a super user", 60, 180, |s| {
                s.plan.ensemble.rules.super_digest.is_some()
            }),
            ("some operations only", 50, 180, |s| {
                s.workloads.iter().any(|w| !w.ops.is_empty())
            }),
            ("a fault that waits for a reconfiguration", 4, 100, |s| {
                s.plan.faults.iter().any(|f| f.label.contains("reconfig"))
            }),
        ] {
            let found = share(of);
            assert!((least..=most).contains(&found), "{what}: {found} of 300");
        }
    }
}
