//! Whole ensembles, end to end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use zabsim::plan::{Action, EventPattern, Fault, Plan, Target, Trigger, Unsynced};
use zabsim::recipes::{election::Election, fenced::FencedResource, lock::Lock};
use zabsim::{Program, RunOptions, RunOutcome, Runtime};
use zabsim_types::run::{TimelineEntry, Verdict};
use zabsim_types::{CreateMode, ServerId, Time};

fn plan(voters: u8, clients: u32) -> Plan {
    let mut plan = Plan::of(voters, clients);
    plan.ensemble.snap_count = 1_000;
    plan.session_timeout_ms = 5_000;
    plan.safety_us = 10_000_000;
    plan
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

/// Every client holds the same lock now and then and writes to what it guards; and stands for the same election.
fn contenders(clients: u32) -> Vec<Program> {
    let ledger = Arc::new(FencedResource::new("/locks/ledger"));
    (0..clients)
        .map(|_| {
            let ledger = ledger.clone();
            let program: Program = Box::new(move |mut context| {
                Box::pin(async move {
                    let client = context.client.clone();
                    let lock = Lock::new(&client, "/locks/ledger");
                    let election = Election::new(&client, "/leader", b"me");
                    while !context.stopping() {
                        if client.state().is_over() {
                            client.open().await;
                        }
                        let pause = Duration::from_millis(context.stream.range((1, 50)));
                        if context.stream.per_mille(700) {
                            if let Ok(guard) = lock.acquire().await {
                                let _ = ledger.write(&client, guard.token());
                                client.sleep(pause).await;
                                let _ = guard.release().await;
                            }
                        } else if let Ok(leadership) = election.campaign().await {
                            client.sleep(pause).await;
                            let _ = leadership.resign().await;
                        }
                        client.sleep(pause).await;
                    }
                })
            });
            program
        })
        .collect()
}

#[test]
fn locks_and_elections_hold_under_faults() {
    for seed in 1..=4 {
        let outcome = zabsim::run(&stormy(seed), seed, contenders(3), RunOptions::default());
        assert_eq!(outcome.report.verdict, Verdict::Pass, "{}", show(&outcome));
        for name in [
            "mutual-exclusion",
            "fencing",
            "one-leader-per-term",
            "linearizable-writes",
        ] {
            let mut checks = outcome.report.checks.iter();
            let check = checks.find(|check| check.name == name);
            assert!(
                check.is_some_and(|check| check.examined > 0),
                "{name}: {check:?}"
            );
        }
    }
}

fn stormy(seed: u64) -> Plan {
    let mut plan = plan(3, 3);
    plan.safety_us = 20_000_000;
    plan.faults = zabsim::draw_faults(seed, "swarm", &plan);
    plan
}

fn hash(seed: u64, runtime: Runtime) -> (String, u64) {
    let options = RunOptions {
        runtime,
        ..RunOptions::default()
    };
    let report = zabsim::run(&stormy(seed), seed, writers(3), options).report;
    (report.trace_hash, report.events)
}

/// Programs, faults and all: the same run again, beside other runs, and without madsim.
#[test]
fn a_run_is_a_function_of_its_plan_and_its_seed() {
    let seeds = 1..=3;
    let alone: Vec<_> = seeds
        .clone()
        .map(|seed| hash(seed, Runtime::Madsim))
        .collect();
    assert_ne!(alone[0], alone[1]);
    let beside: Vec<_> = seeds
        .clone()
        .map(|seed| std::thread::spawn(move || hash(seed, Runtime::Madsim)))
        .collect();
    let beside: Vec<_> = beside
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect();
    assert_eq!(alone, beside);
    let bare: Vec<_> = seeds.map(|seed| hash(seed, Runtime::Bare)).collect();
    assert_eq!(alone, bare);
}

/// Every kind of action finds its way into the world and out of it again.
#[test]
fn every_action_strikes_and_the_ensemble_recovers() {
    let server = |id| Target::Server(ServerId(id));
    let slow = (1_000, 20_000);
    let actions = [
        Action::Crash {
            target: Target::Leader,
            after_effects: 3,
            unsynced: Unsynced::Drawn,
        },
        Action::Restart {
            target: Target::All,
        },
        Action::Pause {
            target: Target::Leader,
        },
        Action::RollingRestart { gap_us: 3_000_000 },
        Action::Partition {
            groups: vec![vec![Target::Leader], vec![Target::Rest]],
        },
        Action::Partition {
            groups: vec![vec![server(1), server(2)], vec![server(2), server(3)]],
        },
        Action::OneWay {
            from: Target::Leader,
            to: Target::Rest,
        },
        Action::Flap {
            between: server(1),
            and: Target::Rest,
            down_us: 200_000,
            up_us: 300_000,
        },
        Action::Reset {
            between: Target::Leader,
            and: Target::Rest,
            half_open: false,
        },
        Action::Reset {
            between: Target::Leader,
            and: Target::AnyFollower,
            half_open: true,
        },
        Action::Delay {
            between: Target::Leader,
            and: Target::Rest,
            extra_us: slow,
        },
        Action::Stall {
            between: Target::Leader,
            and: Target::Rest,
        },
        Action::Bandwidth {
            between: Target::Leader,
            and: Target::Rest,
            bytes_per_s: 20_000,
        },
        Action::ElectionLoss {
            lost_per_mille: 300,
            repeated_per_mille: 300,
        },
        Action::SlowDisk {
            target: Target::All,
            extra_us: slow,
        },
        Action::FsyncError {
            target: Target::AnyFollower,
        },
        Action::DiskFull {
            target: Target::AnyFollower,
        },
        Action::Wipe {
            target: Target::AnyFollower,
        },
        Action::BitRot {
            target: server(1),
            file: Some("log".into()),
        },
        Action::BadRead { target: server(1) },
        Action::ClockJump {
            target: Target::Leader,
            by_us: 2_000_000,
        },
        Action::ClockDrift {
            target: Target::All,
            ppm: 20_000,
        },
        Action::SlowStage {
            target: Target::All,
            stage: "apply".into(),
            extra_us: slow,
        },
        Action::ClientCrash { clients: vec![1] },
        Action::ClientPause { clients: vec![1] },
        Action::ClientMove {
            clients: Vec::new(),
            to: None,
        },
        Action::ClientCut { clients: vec![1] },
        Action::ClientDuplicate {
            clients: Vec::new(),
        },
        Action::Mark,
        Action::Heal,
    ];
    for action in actions {
        let mut plan = plan(3, 3);
        plan.safety_us = 8_000_000;
        // Where only a server that is down can be struck, one is.
        let first = Fault {
            label: "first".into(),
            trigger: Trigger::At(Time(2_500_000)),
            action: match action {
                Action::Restart { .. } | Action::BitRot { .. } | Action::BadRead { .. } => {
                    Action::Crash {
                        target: server(1),
                        after_effects: 0,
                        unsynced: Unsynced::Drawn,
                    }
                }
                _ => Action::Mark,
            },
            lasts_us: Some(2_000_000),
        };
        let second = Fault {
            label: "second".into(),
            trigger: Trigger::After {
                label: "first".into(),
                delay_us: 500_000,
            },
            action: action.clone(),
            lasts_us: Some(1_500_000),
        };
        plan.faults = vec![first, second];
        for fault in [1, 0] {
            if zabsim::validate(&plan).is_err() {
                plan.faults[fault].lasts_us = None; // not of the kinds that last
            }
        }
        let outcome = zabsim::run(&plan, 1, writers(3), RunOptions::default());
        let report = &outcome.report;
        assert_eq!(
            report.verdict,
            Verdict::Pass,
            "{action:?}\n{}",
            show(&outcome)
        );
        assert!(report.untriggered.is_empty(), "{action:?} never struck");
        // A mark is a point of the script, and no fault.
        let faults = plan.faults.iter();
        let faults = faults.filter(|fault| fault.action != Action::Mark).count();
        assert!(
            report.faults.len() >= faults,
            "{action:?}\n{}",
            show(&outcome)
        );
        assert!(report.client_ops.ok > 300, "{action:?}\n{}", show(&outcome));
    }
}

/// A crash at a protocol event, between two effects of the very step.
#[test]
fn a_script_waits_for_a_protocol_event() {
    let mut plan = plan(3, 2);
    plan.faults = vec![Fault {
        label: "learner dies at NEWLEADER".into(),
        trigger: Trigger::On {
            event: EventPattern::Receive {
                message: "NEWLEADER".into(),
                from: Some(Target::Leader),
                to: None,
            },
            nth: 2,
            not_before: Time::ZERO,
            after: None,
        },
        action: Action::Crash {
            target: Target::Receiver,
            after_effects: 1,
            unsynced: Unsynced::Lost,
        },
        lasts_us: None,
    }];
    let options = RunOptions {
        keep_trace: true,
        ..RunOptions::default()
    };
    let outcome = zabsim::run(&plan, 1, writers(2), options);
    assert_eq!(outcome.report.verdict, Verdict::Pass, "{}", show(&outcome));
    assert!(outcome.report.untriggered.is_empty());
    let lines = outcome.trace.expect("kept").lines;
    let at = |what: &str, from: usize| {
        from + lines[from..]
            .iter()
            .position(|line| line.what.contains(what))
            .expect("in the trace")
    };
    let strikes = at("fault learner dies at NEWLEADER", 0);
    let dies = at("dies", strikes + 1);
    let who = &lines[strikes - 1].who;
    assert!(lines[strikes - 1].what.contains("NEWLEADER"));
    assert_eq!(&lines[dies].who, who);
    assert_eq!(dies - strikes, 2, "one effect, then death");
}

/// A partition that nobody undoes: what the run waits for is told in words.
#[test]
fn servers_left_broken_do_not_hold_the_others_up() {
    let mut plan = plan(3, 2);
    plan.leave_broken = true;
    plan.safety_us = 5_000_000;
    plan.faults = vec![Fault {
        label: "dead".into(),
        trigger: Trigger::At(Time(4_500_000)),
        action: Action::Crash {
            target: Target::Leader,
            after_effects: 0,
            unsynced: Unsynced::Drawn,
        },
        lasts_us: Some(60_000_000),
    }];
    let outcome = zabsim::run(&plan, 1, writers(2), RunOptions::default());
    assert_eq!(outcome.report.verdict, Verdict::Pass, "{}", show(&outcome));
    let stays = |entry: &TimelineEntry| entry.what == "stays broken";
    assert!(outcome.report.timeline.iter().any(stays));
    assert_eq!(outcome.report.elections, 2);
}

/// A program's panic is a finding, with its words.
#[test]
fn a_program_that_panics_is_a_crash() {
    let program: Program = Box::new(|context| {
        Box::pin(async move {
            context.client.open().await;
            panic!("the account does not add up");
        })
    });
    let outcome = zabsim::run(&plan(3, 1), 1, vec![program], RunOptions::default());
    assert_eq!(outcome.report.verdict, Verdict::Crashed);
    let message = outcome.report.violation.expect("a reason").message;
    assert!(
        message.contains("c1 panicked: the account does not add up"),
        "{message}"
    );
}

fn strikes(label: &str, at_ms: u64, action: Action) -> Fault {
    Fault {
        label: label.into(),
        trigger: Trigger::At(Time::from_ms(at_ms)),
        action,
        lasts_us: None,
    }
}

fn told(outcome: &RunOutcome, words: &str) -> bool {
    let mut timeline = outcome.report.timeline.iter();
    timeline.any(|line| line.what.contains(words))
}

/// Damage that nothing could survive is not done, not counted, and told with its reason.
#[test]
fn refused_damage_is_no_fault_that_was_applied() {
    let mut plan = plan(3, 1);
    let wipe = |server| Action::Wipe {
        target: Target::Server(ServerId(server)),
    };
    plan.faults = vec![
        strikes("one", 3_000, wipe(1)),
        strikes("two", 3_001, wipe(2)),
    ];
    let outcome = zabsim::run(&plan, 1, writers(1), RunOptions::default());
    let report = &outcome.report;
    assert_eq!(report.verdict, Verdict::Pass, "{}", show(&outcome));
    let applied: Vec<&str> = report.faults.iter().map(|f| f.what.as_str()).collect();
    assert_eq!(applied, ["wipes the disk of s1"]);
    assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
    let refused = &report.refused[0];
    assert_eq!((refused.fault.as_str(), refused.at_ms), ("two", 3_001));
    assert!(
        refused
            .reason
            .contains("would exceed what a quorum survives")
    );
    assert!(told(&outcome, "two is not done: s2: would exceed"));
}

/// A fault that finds nobody says since when it waited, and counts as never triggered.
#[test]
fn a_fault_without_a_target_says_that_it_waits() {
    let mut plan = plan(3, 1);
    let crash = |target| Action::Crash {
        target,
        after_effects: 0,
        unsynced: Unsynced::Drawn,
    };
    let rot = Action::BitRot {
        target: Target::Server(ServerId(1)),
        file: None,
    };
    plan.faults = vec![
        strikes("early", 100, crash(Target::Leader)),
        strikes("nobody", 8_000, crash(Target::Learner)),
        strikes("rot", 9_000, rot),
    ];
    let outcome = zabsim::run(&plan, 1, writers(1), RunOptions::default());
    let report = &outcome.report;
    assert_eq!(report.verdict, Verdict::Pass, "{}", show(&outcome));
    assert!(
        told(&outcome, "(it had waited for a target since 0.100s)"),
        "{}",
        show(&outcome)
    );
    assert!(told(
        &outcome,
        "nobody never found a target: it waited since 8.000s"
    ));
    assert!(told(&outcome, "rot did not come about: s1 never went down"));
    assert_eq!(report.untriggered, ["nobody", "rot"]);
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
}

/// Also where their supervisors would have started them again.
#[test]
fn a_minority_that_stays_down_does_not_hold_the_rest_up() {
    let mut plan = plan(5, 3);
    plan.leave_broken = true;
    plan.safety_us = 5_000_000;
    let mut crash = strikes(
        "dead",
        4_000,
        Action::Crash {
            target: Target::Minority,
            after_effects: 0,
            unsynced: Unsynced::Drawn,
        },
    );
    crash.lasts_us = Some(2_000_000);
    plan.faults = vec![crash];
    for seed in 1..=3 {
        let outcome = zabsim::run(&plan, seed, writers(3), RunOptions::default());
        assert_eq!(outcome.report.verdict, Verdict::Pass, "{}", show(&outcome));
        let timeline = &outcome.report.timeline;
        let stays = |entry: &&TimelineEntry| entry.what == "stays broken";
        let dead: Vec<&str> = timeline
            .iter()
            .filter(stays)
            .map(|e| e.who.as_str())
            .collect();
        assert_eq!(dead.len(), 2, "{}", show(&outcome));
        let late = timeline.iter().filter(|line| line.at > Time(4_000_000));
        let back = late.filter(|line| {
            line.what.contains("read its disk") && dead.contains(&line.who.as_str())
        });
        assert_eq!(back.count(), 0, "{}", show(&outcome));
    }
}

/// Wakes itself and waits for nothing.
struct Restless;

impl Future for Restless {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A run is bounded: a program that never lets time pass ends it, with the reason.
#[test]
fn a_program_that_lets_no_time_pass_is_stuck() {
    type Endless = fn(zabsim::ProgramContext) -> zabsim::BoxFuture;
    let cases: [(Endless, &str); 2] = [
        (
            |_| Box::pin(Restless),
            "the program of c1 wakes itself over and over",
        ),
        (
            |context| {
                Box::pin(async move {
                    loop {
                        // There is no session: the answer is there at once.
                        let _ = context.client.get_data("/a").await;
                    }
                })
            },
            "time stands still",
        ),
    ];
    for (program, why) in cases {
        for runtime in [Runtime::Madsim, Runtime::Bare] {
            let options = RunOptions {
                runtime,
                ..RunOptions::default()
            };
            let outcome = zabsim::run(&plan(3, 1), 1, vec![Box::new(program)], options);
            assert_eq!(outcome.report.verdict, Verdict::Stuck, "{}", show(&outcome));
            let message = outcome.report.violation.expect("a reason").message;
            assert!(message.contains(why), "{message}");
        }
    }
}
