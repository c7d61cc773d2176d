//! Faults that wait for an event of the protocol: between the steps of an election, of a synchronization, of a commit. A time
//! drawn at random hardly ever falls into those gaps, and most of ZooKeeper's real bugs lie in them.

use super::{Draw, templates::crash_of};
use crate::plan::{Action, EventPattern, Target, Trigger, Unsynced};
use zabsim_types::Time;

/// What happens in discovery and synchronization.
const SYNC_MESSAGES: [&str; 11] = [
    "FOLLOWERINFO",
    "LEADERINFO",
    "ACKEPOCH",
    "DIFF",
    "TRUNC",
    "SNAP",
    "SNAPCHUNK",
    "NEWLEADER",
    "NEWLEADER",
    "ACKNEWLEADER",
    "UPTODATE",
];

/// What happens in broadcast.
const BROADCAST_MESSAGES: [&str; 5] = ["PROPOSAL", "ACK", "COMMIT", "REQUEST", "PING"];

/// Disk operations after which a promise is made, and how often one comes by until it is struck.
const DISK_STEPS: [(&str, &str, u64); 9] = [
    ("append", "log.", 60),
    ("sync", "log.", 60),
    ("replace", "acceptedEpoch", 2),
    ("replace", "currentEpoch", 3),
    ("truncate", "log.", 1),
    ("append", "snapshot.", 4),
    ("sync", "snapshot.", 1),
    ("rename", "snapshot.", 2),
    ("delete", "log.", 1),
];

/// Notes that mark a turning point.
const TURNS: [(&str, u64); 8] = [
    ("established", 1),
    ("learner-up-to-date", 3),
    ("sync-chosen", 3),
    ("accepted-epoch", 4),
    ("snapshot-installed", 1),
    ("truncated", 1),
    ("recovered", 2),
    ("committed", 80),
];

fn on(d: &mut Draw<'_>, event: EventPattern, most: u64) -> (u64, Trigger) {
    let at = d.moment();
    let trigger = Trigger::On {
        event,
        nth: 1 + d.stream.below(most) as u32,
        not_before: Time(at),
        after: None,
    };
    (at, trigger)
}

fn message(d: &mut Draw<'_>) -> (String, u64) {
    if d.stream.per_mille(700) {
        ((*d.stream.pick(&SYNC_MESSAGES)).into(), 4)
    } else {
        ((*d.stream.pick(&BROADCAST_MESSAGES)).into(), 200)
    }
}

fn sent(message: &str) -> EventPattern {
    EventPattern::Send {
        message: message.into(),
        from: None,
        to: None,
    }
}

fn received(message: &str) -> EventPattern {
    EventPattern::Receive {
        message: message.into(),
        from: None,
        to: None,
    }
}

/// A process dies at such a step or a few effects later. Only where it happened are there effects to count.
pub(super) fn crash_at_effect(d: &mut Draw<'_>) {
    let (event, most, target) = match d.stream.below(4) {
        0 => {
            let (message, most) = message(d);
            (sent(&message), most, Target::Sender)
        }
        1 => {
            let (message, most) = message(d);
            (received(&message), most, Target::Receiver)
        }
        2 => {
            let &(op, file, most) = d.stream.pick(&DISK_STEPS);
            let (op, file) = (op.into(), Some(file.into()));
            (
                EventPattern::Disk { op, file, at: None },
                most,
                Target::Sender,
            )
        }
        _ => {
            let &(note, most) = d.stream.pick(&TURNS);
            let note = note.into();
            (EventPattern::Note { note, at: None }, most, Target::Sender)
        }
    };
    let after_effects = d.stream.below(6) as u32;
    let any = [
        Unsynced::Drawn,
        Unsynced::Drawn,
        Unsynced::Lost,
        Unsynced::Kept,
        Unsynced::Torn,
    ];
    let unsynced = *d.stream.pick(&any);
    let down = d.length(300, 5_000);
    let (at, trigger) = on(d, event, most);
    let label = d.label.clone();
    let crash = crash_of(target, after_effects, unsynced);
    d.push(at, label, trigger, crash, Some(down));
}

/// What happens when the members are changed.
const RECONFIG_NOTES: [&str; 5] = [
    "configuration-pending",
    "configuration-pending",
    "configuration-active",
    "leader-retired",
    "blank-ready",
];

/// In the middle of a reconfiguration a process dies, or is cut off: before a second server has logged it, between the two
/// quorums that it needs, while the new members take over.
pub(super) fn fault_in_reconfig(d: &mut Draw<'_>) {
    if d.plan.ensemble.joiners == 0 {
        return;
    }
    let note = (*d.stream.pick(&RECONFIG_NOTES)).into();
    let (at, trigger) = on(d, EventPattern::Note { note, at: None }, 4);
    let target = match d.stream.per_mille(500) {
        true => Target::Sender,
        false => Target::Leader,
    };
    let (after_effects, lasts) = (d.stream.below(4) as u32, d.some_time());
    let action = match d.stream.below(3) {
        0 | 1 => crash_of(target, after_effects, Unsynced::Drawn),
        _ => Action::Partition {
            groups: vec![vec![target], vec![Target::Rest]],
        },
    };
    let label = d.label.clone();
    d.push(at, label, trigger, action, Some(lasts));
}

/// The link between leader and learner goes in the middle of a synchronization: between TRUNC and NEWLEADER, between two
/// pieces of a snapshot, before an acknowledgement arrives.
pub(super) fn cut_in_sync(d: &mut Draw<'_>) {
    if d.servers() < 2 {
        return;
    }
    let message = *d.stream.pick(&SYNC_MESSAGES);
    let (at, trigger) = on(d, sent(message), 4);
    let (sender, receiver) = (Target::Sender, Target::Receiver);
    let lasts = d.some_time();
    let (action, lasts) = match d.stream.below(5) {
        0 => {
            let half_open = d.stream.per_mille(300);
            let (between, and) = (sender, receiver);
            (
                Action::Reset {
                    between,
                    and,
                    half_open,
                },
                None,
            )
        }
        1 => (
            Action::OneWay {
                from: sender,
                to: receiver,
            },
            Some(lasts),
        ),
        2 => (
            Action::OneWay {
                from: receiver,
                to: sender,
            },
            Some(lasts),
        ),
        3 => (
            Action::Stall {
                between: sender,
                and: receiver,
            },
            Some(lasts),
        ),
        _ => (
            Action::Partition {
                groups: vec![vec![sender], vec![receiver]],
            },
            Some(lasts),
        ),
    };
    let label = d.label.clone();
    d.push(at, label, trigger, action, lasts);
}

/// One end stops in the middle of a synchronization, and goes on when the other has given up, or just before.
pub(super) fn pause_in_sync(d: &mut Draw<'_>) {
    if d.servers() < 2 {
        return;
    }
    let message = *d.stream.pick(&SYNC_MESSAGES);
    let (at, trigger) = on(d, received(message), 4);
    let target = if d.stream.per_mille(700) {
        Target::Receiver
    } else {
        Target::Sender
    };
    let lasts = d.some_time();
    let label = d.label.clone();
    d.push(at, label, trigger, Action::Pause { target }, Some(lasts));
}

/// The disk fails, or is slow, just when a promise depends on it.
pub(super) fn disk_error_in_sync(d: &mut Draw<'_>) {
    let &(op, file, most) = d.stream.pick(&DISK_STEPS);
    let (op, file) = (op.into(), Some(file.into()));
    let (at, trigger) = on(d, EventPattern::Disk { op, file, at: None }, most);
    let target = Target::Sender;
    let lasts = d.some_time();
    let slow = d.length(20, 800);
    let (action, lasts) = match d.stream.below(3) {
        0 => (Action::FsyncError { target }, None),
        1 => (Action::DiskFull { target }, Some(lasts)),
        _ => (
            Action::SlowDisk {
                target,
                extra_us: (slow / 2, slow),
            },
            Some(lasts),
        ),
    };
    let label = d.label.clone();
    d.push(at, label, trigger, action, lasts);
}
