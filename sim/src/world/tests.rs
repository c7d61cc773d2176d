//! The world alone: two clients, and servers that do nothing but answer.

use super::*;
use crate::executor::{Bare, Madsim};
use crate::plan::{ScriptedOp, Trigger};
use crate::process::Machine;
use std::time::Duration;
use zabsim_server::{Effect, Input};
use zabsim_types::{
    Acl, ClientFrame, ConnectReply, CreateMode, HistoryKind, Op, Reply, ServerFrame, SessionId,
    Zxid,
};

/// Answers every request with a new zxid. The service's words without its sense.
#[derive(Default)]
struct Echo {
    server: u8,
    answered: u32,
    sessions: i64,
}

impl Machine for Echo {
    fn step(&mut self, _: zab::Time, input: Input, out: &mut Vec<Effect>) {
        let Input::ClientFrame { conn, frame } = input else {
            return;
        };
        self.answered += 1;
        let zxid = Zxid::new(1, self.answered);
        let frame = match *frame {
            ClientFrame::Connect(request) => {
                self.sessions += 1;
                let new = SessionId(i64::from(self.server) << 56 | self.sessions);
                let session = match request.session {
                    SessionId::NONE => new,
                    known => known,
                };
                ServerFrame::Connected(ConnectReply {
                    timeout_ms: request.timeout_ms,
                    session,
                    password: [1; 16],
                    server: ServerId(self.server),
                    read_only: false,
                })
            }
            ClientFrame::Request { xid, op } => {
                let result = match op {
                    Op::Create { path, .. } => Ok(Reply::Created { path, stat: None }),
                    _ => Ok(Reply::Deleted),
                };
                ServerFrame::Reply { xid, zxid, result }
            }
            ClientFrame::Ping => ServerFrame::Pong { zxid },
            ClientFrame::SetWatches { .. } => ServerFrame::WatchesSet { zxid },
        };
        let frame = Box::new(frame);
        out.push(Effect::Frame { conn, frame });
    }

    fn waiting_for(&self) -> String {
        "requests".to_string()
    }
}

pub(crate) struct EchoSoftware;

impl Software for EchoSoftware {
    fn files(&self) -> Vec<(zab::FileName, zab::Payload)> {
        Vec::new()
    }

    fn start(&self, config: &zabsim_server::Config) -> Box<dyn Machine> {
        Box::new(Echo {
            server: config.zab.id.0,
            ..Echo::default()
        })
    }
}

pub(crate) fn plan(voters: u8, clients: u32) -> Plan {
    let mut plan = Plan::of(voters, clients);
    plan.ensemble.snap_count = 1_000;
    plan.session_timeout_ms = 5_000;
    plan.safety_us = 10_000_000;
    plan
}

fn create(path: &str) -> Op {
    Op::Create {
        path: path.into(),
        data: None,
        mode: CreateMode::Persistent,
        with_stat: false,
        acl: Acl::OPEN,
    }
}

fn executors() -> [Box<dyn Executor>; 2] {
    [Box::new(Bare::default()), Box::new(Madsim::new())]
}

/// Runs on both executors; the trace must be the same. Returns its hash, the events and the history.
fn on_both(
    plan: &Plan,
    seed: u64,
    programs: impl Fn() -> Vec<Program>,
) -> (u64, u64, Vec<HistoryEvent>) {
    let [bare, madsim] = executors().map(|executor| {
        let mut world = World::new(plan.clone(), seed, Box::new(EchoSoftware), executor, true);
        world.start(programs());
        world.run_until(Time(20_000_000));
        let events = world.trace.events();
        let (hash, lines) = world.trace.finish();
        (hash, events, world.records.history, lines)
    });
    assert_eq!(bare.3, madsim.3, "the traces differ");
    assert_eq!((bare.0, bare.1), (madsim.0, madsim.1));
    assert_eq!(bare.2, madsim.2, "the histories differ");
    (bare.0, bare.1, bare.2)
}

/// The first thing that the house stands on: what a runtime draws for itself never enters a run.
#[test]
fn explicit_operations_have_the_same_trace_bare_and_under_madsim() {
    let mut plan = plan(2, 2);
    for n in 0..40 {
        plan.ops.push(ScriptedOp {
            client: n % 2 + 1,
            at: Trigger::At(Time(u64::from(n) * 37_000)),
            op: create(&format!("/a{n}")),
        });
    }
    let (hash, events, history) = on_both(&plan, 1, Vec::new);
    assert!(events > 200, "{events}");
    let answered = history
        .iter()
        .filter(|event| matches!(event.kind, HistoryKind::Ok { .. }))
        .count();
    assert_eq!(answered, 40);
    assert_eq!(on_both(&plan, 1, Vec::new).0, hash, "the same seed again");
    assert_ne!(on_both(&plan, 2, Vec::new).0, hash, "another seed");
    plan.ops.swap(3, 4);
    plan.ops[3].at = Trigger::At(Time(4 * 37_000 + 1));
    assert_ne!(on_both(&plan, 1, Vec::new).0, hash, "another script");
}

/// Programs that sleep, ask side by side and share memory are woken one after the other, on both.
#[test]
fn programs_have_the_same_trace_bare_and_under_madsim() {
    let programs = || -> Vec<Program> {
        let shared = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        (0..4)
            .map(|_| {
                let shared = shared.clone();
                let program: Program = Box::new(move |mut context| {
                    Box::pin(async move {
                        let client = context.client;
                        client.open().await;
                        for n in 0..20 {
                            let path = format!("/p{}-{n}", context.process.0);
                            let one = client.submit(create(&path));
                            let two = client.submit(create(&format!("{path}b")));
                            let (one, two) = zabsim_client::join(one, two).await;
                            let order = {
                                let mut shared = shared.lock().expect("no panic");
                                shared.push((one, two));
                                shared.len() as u64
                            };
                            let pause = context.stream.below(1_000) + order;
                            client.sleep(Duration::from_micros(pause)).await;
                        }
                    })
                });
                program
            })
            .collect()
    };
    let (_, events, history) = on_both(&plan(3, 4), 5, programs);
    assert!(events > 1_000, "{events}");
    let answered = history
        .iter()
        .filter(|event| matches!(event.kind, HistoryKind::Ok { .. }))
        .count();
    assert_eq!(answered, 160);
}

#[test]
fn a_server_that_dies_between_two_effects_says_only_the_first() {
    // The echo answers a request with one effect; the process dies before it, and the client learns nothing.
    let mut plan = plan(1, 1);
    plan.ops.push(ScriptedOp {
        client: 1,
        at: Trigger::At(Time(0)),
        op: create("/a"),
    });
    for (after_effects, said) in [(0, false), (1, true)] {
        let mut world = World::new(
            plan.clone(),
            1,
            Box::new(EchoSoftware),
            Box::new(Bare::default()),
            true,
        );
        world.start(Vec::new());
        // Until the session is attached; the request follows.
        while world.clients[0].session.attached_to().is_none() {
            let next = world.queue.next_at().expect("more to come");
            world.run_until(next);
        }
        world.crash_after(
            0,
            crate::process::PendingCrash {
                after_effects,
                unsynced: crate::plan::Unsynced::Kept,
                restart_after_us: None,
            },
        );
        world.run_until(Time(1_000_000));
        assert!(!world.servers[0].is_up());
        assert_eq!(world.clients[0].session.attached_to(), None, "it is told");
        let lines = world.trace.finish().1.expect("kept");
        let replies = lines
            .iter()
            .filter(|line| line.who == "s1" && line.what.contains(" reply "));
        assert_eq!(replies.count(), usize::from(said), "after {after_effects}");
    }
}

/// Wants another turn at once, for ever, and a stage's turn takes no time here.
struct Spinner;

impl Machine for Spinner {
    fn step(&mut self, _: zab::Time, _: Input, out: &mut Vec<Effect>) {
        out.push(Effect::Schedule(zabsim_server::Stage::Apply));
    }

    fn waiting_for(&self) -> String {
        "nothing".to_string()
    }
}

struct SpinningSoftware;

impl Software for SpinningSoftware {
    fn files(&self) -> Vec<(zab::FileName, zab::Payload)> {
        Vec::new()
    }

    fn start(&self, _: &zabsim_server::Config) -> Box<dyn Machine> {
        Box::new(Spinner)
    }
}

#[test]
fn events_without_end_are_noticed() {
    let mut plan = plan(1, 0);
    plan.climate.stage_us = (0, 0);
    let executor = Box::new(Bare::default());
    let mut world = World::new(plan, 1, Box::new(SpinningSoftware), executor, false);
    world.start(Vec::new());
    world.run_until(Time(1_000_000));
    assert!(world.halted());
    let why = world.endless.expect("it goes round");
    assert!(
        why.contains("time stands still: 1000000 events at 0.000s"),
        "{why}"
    );
    assert!(why.contains("Stage"), "{why}");
}

/// Whatever the checks are shown, a violation that they see in it ends the run.
#[test]
fn every_observation_may_end_the_run() {
    let mut world = World::new(
        plan(3, 0),
        1,
        Box::new(EchoSoftware),
        Box::new(Bare::default()),
        false,
    );
    let ticket = zab::Ticket(7);
    world.check_completion(0, &zab::Input::DiskDone { ticket });
    assert!(!world.violated);
    let history = zab::Zxid::ZERO;
    let epoch = zab::Epoch(1);
    let established = zab::Note::Established { epoch, history };
    for server in [0, 1] {
        world.observed(server, &crate::checks::Observed::Zab(&established));
    }
    assert!(world.violated, "two leaders of one epoch");
}
