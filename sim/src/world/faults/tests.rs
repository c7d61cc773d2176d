//! Faults that overlap: each ends when it is to end, and after the last nothing is left of any.

use super::*;
use crate::executor::Bare;
use crate::plan::{Target, Trigger};
use crate::world::tests::{EchoSoftware, plan};
use zabsim_types::{ServerId, Time};

const SEC: u64 = 1_000_000;

/// Every action that lasts, on s1 and c1.
fn lasting() -> Vec<Action> {
    let one = || Target::Server(ServerId(1));
    let other = || Target::Server(ServerId(2));
    vec![
        Action::Pause { target: one() },
        Action::Partition {
            groups: vec![vec![one()], vec![Target::Rest]],
        },
        Action::OneWay {
            from: one(),
            to: other(),
        },
        Action::Flap {
            between: one(),
            and: other(),
            down_us: 100 * SEC,
            up_us: SEC,
        },
        Action::Delay {
            between: one(),
            and: other(),
            extra_us: (5, 50),
        },
        Action::Stall {
            between: one(),
            and: other(),
        },
        Action::Bandwidth {
            between: one(),
            and: other(),
            bytes_per_s: 1_000,
        },
        Action::ElectionLoss {
            lost_per_mille: 500,
            repeated_per_mille: 500,
        },
        Action::SlowDisk {
            target: one(),
            extra_us: (5, 50),
        },
        Action::DiskFull { target: one() },
        Action::ClockDrift {
            target: one(),
            ppm: 5_000,
        },
        Action::SlowStage {
            target: one(),
            stage: "apply".into(),
            extra_us: (5, 50),
        },
        Action::ClientPause { clients: vec![1] },
        Action::ClientCut { clients: vec![1] },
    ]
}

/// A world in which the same happens twice, each from and until so many tenths of a second.
fn twice(action: &Action, times: [(u64, u64); 2]) -> World {
    let mut plan = plan(3, 2);
    for (n, (from, until)) in times.into_iter().enumerate() {
        plan.faults.push(Fault {
            label: format!("fault-{n}"),
            trigger: Trigger::At(Time(from * SEC / 10)),
            action: action.clone(),
            lasts_us: Some((until - from) * SEC / 10),
        });
    }
    let mut world = World::new(
        plan,
        1,
        Box::new(EchoSoftware),
        Box::new(Bare::default()),
        false,
    );
    world.start(Vec::new());
    world
}

#[test]
fn of_two_that_overlap_each_takes_back_its_own_part_alone() {
    // One after the other, one inside the other, and two that end at once.
    let times = [
        [(10, 30), (20, 40)],
        [(10, 40), (20, 30)],
        [(10, 40), (20, 40)],
    ];
    for action in lasting() {
        for times in times {
            let mut world = twice(&action, times);
            for (tenths, lasts) in [(9, false), (15, true), (25, true), (35, true), (45, false)] {
                world.run_until(Time(tenths * SEC / 10));
                let left = world.left_by_faults();
                assert_eq!(
                    !left.is_empty(),
                    lasts,
                    "{action:?} {times:?} {tenths} {left:?}"
                );
            }
        }
    }
}

/// `heal` asserts it too; a fault that is over already is not taken back a second time.
#[test]
fn healing_leaves_nothing_of_any() {
    for action in lasting() {
        for tenths in [15, 25, 35, 45] {
            let mut world = twice(&action, [(10, 30), (20, 40)]);
            world.run_until(Time(tenths * SEC / 10));
            world.heal();
            assert_eq!(
                world.left_by_faults(),
                Vec::<String>::new(),
                "{action:?} {tenths}"
            );
            world.run_until(Time(6 * SEC));
            assert_eq!(
                world.left_by_faults(),
                Vec::<String>::new(),
                "{action:?} {tenths}"
            );
        }
    }
}

#[test]
fn what_was_yet_to_strike_does_not_strike_a_world_that_has_healed() {
    let target = Target::Server(ServerId(1));
    let armed = [
        Action::FsyncError {
            target: target.clone(),
        },
        Action::Crash {
            target,
            after_effects: 7,
            unsynced: crate::plan::Unsynced::Kept,
        },
    ];
    for action in armed {
        let mut world = twice(&action, [(10, 20), (11, 21)]);
        world.run_until(Time(12 * SEC / 10));
        assert!(!world.left_by_faults().is_empty(), "{action:?}");
        world.heal();
        assert_eq!(world.left_by_faults(), Vec::<String>::new(), "{action:?}");
    }
}

#[test]
#[should_panic(expected = "healed, but the disk of s2 is full")]
fn a_fault_that_outlives_the_healing_is_a_bug_of_the_world() {
    let mut world = twice(&Action::Mark, [(10, 20), (11, 21)]);
    world.servers[1].disk.fill(99);
    world.heal();
}

/// The fault's line stands before what followed from it at the same time.
#[test]
fn the_timeline_tells_the_cause_before_the_effect() {
    let crash = Action::Crash {
        target: Target::Server(ServerId(1)),
        after_effects: 0,
        unsynced: crate::plan::Unsynced::Kept,
    };
    let mut world = twice(&crash, [(10, 20), (50, 60)]);
    world.run_until(Time(2 * SEC));
    let told: Vec<&str> = world
        .records
        .timeline
        .iter()
        .map(|line| line.what.as_str())
        .collect();
    assert_eq!(
        told[..2],
        ["fault-0: crashes s1", "dies; nothing was unsynced"]
    );
}
