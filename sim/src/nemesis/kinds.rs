//! The kinds of faults, as reports count them and `zabsim list` shows them. A kind is finer than an [`Action`]: a crash that
//! tears the log is another thing than one that does not.

use crate::plan::{Action, EventPattern, Fault, Target, Trigger, Unsynced};

/// Every kind of fault, with one sentence.
pub const FAULT_KINDS: &[(&str, &str)] = &[
    (
        "crash",
        "A process and its machine die; unsynced writes are lost, kept or torn as the disk's stream says.",
    ),
    (
        "crash-at-effect",
        "A process dies between two effects of one step, at a protocol event.",
    ),
    (
        "crash-in-recovery",
        "A process dies again while it reads its disk after a crash.",
    ),
    (
        "crash-lost-tail",
        "A process and its machine die, and every unsynced write is lost.",
    ),
    (
        "crash-kept-tail",
        "A process dies and its machine does not: every unsynced write survives.",
    ),
    (
        "crash-torn-tail",
        "A process and its machine die while the last write is torn at a sector.",
    ),
    (
        "crash-quorum",
        "A quorum of the servers, or all of them, die at once.",
    ),
    ("restart", "Servers that are down are started."),
    (
        "rolling-restart",
        "All servers are killed and started one after the other.",
    ),
    (
        "pause",
        "A process stops without dying, as in a long garbage collection.",
    ),
    ("partition", "The links between groups of servers are cut."),
    (
        "bridge",
        "Two groups are cut from each other, and one server still reaches both.",
    ),
    (
        "one-way",
        "Nothing gets through in one direction; the other works.",
    ),
    ("flap", "A link goes down and up again, over and over."),
    ("reset", "Connections break, and both ends learn it."),
    (
        "half-open",
        "Connections break, and one end learns it only when it times out.",
    ),
    ("delay", "Messages take longer, each by another time."),
    (
        "stall",
        "Links hold everything back and then deliver it at once.",
    ),
    ("bandwidth", "Links carry only so many bytes per second."),
    ("election-loss", "Election messages are lost and repeated."),
    ("slow-disk", "fsyncs take much longer."),
    (
        "fsync-error",
        "An fsync fails, and what it was for may be lost: the server must stop.",
    ),
    (
        "disk-full",
        "There is no space left; a write may end in its middle.",
    ),
    ("wipe", "Damage: a server comes back with an empty disk."),
    (
        "bit-rot",
        "Damage: a bit of durable data flips while the server is down.",
    ),
    (
        "bad-read",
        "Damage: a read at the next start is short or of the wrong place, once.",
    ),
    ("clock-jump", "A server's clock jumps ahead."),
    ("clock-drift", "A server's clock runs fast or slow."),
    (
        "slow-stage",
        "A stage of a server's pipeline gets its turns late.",
    ),
    (
        "client-crash",
        "A client process dies; its session is left behind.",
    ),
    (
        "client-pause",
        "A client process stops for a while and then goes on as if nothing had been.",
    ),
    ("client-move", "A client goes on at another server."),
    (
        "reconnect-storm",
        "Many clients leave their servers for others at once.",
    ),
    (
        "client-cut",
        "Clients are cut off from all servers, perhaps until their sessions expire.",
    ),
    (
        "client-duplicate",
        "A second connection takes up a session while the first is still open.",
    ),
    (
        "mark",
        "Nothing happens: a named step that others wait for.",
    ),
    ("heal", "Everything that lasts is undone."),
];

impl Action {
    /// Its kind, by what it does: one of [`FAULT_KINDS`]. [`Fault::kind`] also looks at when.
    pub fn kind(&self) -> &'static str {
        match self {
            Action::Crash {
                target: Target::Majority | Target::All,
                ..
            } => "crash-quorum",
            Action::Crash {
                unsynced: Unsynced::Lost,
                ..
            } => "crash-lost-tail",
            Action::Crash {
                unsynced: Unsynced::Kept,
                ..
            } => "crash-kept-tail",
            Action::Crash {
                unsynced: Unsynced::Torn,
                ..
            } => "crash-torn-tail",
            Action::Crash {
                unsynced: Unsynced::Drawn,
                after_effects: 0,
                ..
            } => "crash",
            Action::Crash {
                unsynced: Unsynced::Drawn,
                ..
            } => "crash-at-effect",
            Action::Restart { .. } => "restart",
            Action::Pause { .. } => "pause",
            Action::RollingRestart { .. } => "rolling-restart",
            Action::Partition { groups } if has_bridge(groups) => "bridge",
            Action::Partition { .. } => "partition",
            Action::OneWay { .. } => "one-way",
            Action::Flap { .. } => "flap",
            Action::Reset {
                half_open: false, ..
            } => "reset",
            Action::Reset {
                half_open: true, ..
            } => "half-open",
            Action::Delay { .. } => "delay",
            Action::Stall { .. } => "stall",
            Action::Bandwidth { .. } => "bandwidth",
            Action::ElectionLoss { .. } => "election-loss",
            Action::SlowDisk { .. } => "slow-disk",
            Action::FsyncError { .. } => "fsync-error",
            Action::DiskFull { .. } => "disk-full",
            Action::Wipe { .. } => "wipe",
            Action::BitRot { .. } => "bit-rot",
            Action::BadRead { .. } => "bad-read",
            Action::ClockJump { .. } => "clock-jump",
            Action::ClockDrift { .. } => "clock-drift",
            Action::SlowStage { .. } => "slow-stage",
            Action::ClientCrash { .. } => "client-crash",
            Action::ClientPause { .. } => "client-pause",
            Action::ClientMove { clients, .. } if clients.len() == 1 => "client-move",
            Action::ClientMove { .. } => "reconnect-storm",
            Action::ClientCut { .. } => "client-cut",
            Action::ClientDuplicate { .. } => "client-duplicate",
            Action::Mark => "mark",
            Action::Heal => "heal",
        }
    }
}

impl Fault {
    /// Its kind: one of [`FAULT_KINDS`].
    pub fn kind(&self) -> &'static str {
        match (&self.trigger, self.action.kind()) {
            (
                Trigger::On {
                    event: EventPattern::Disk { op, .. },
                    ..
                },
                kind,
            ) if kind.starts_with("crash") && (op == "read" || op == "list") => "crash-in-recovery",
            (Trigger::On { .. }, "crash") => "crash-at-effect",
            (_, kind) => kind,
        }
    }
}

/// Whether a server is named in two groups.
fn has_bridge(groups: &[Vec<Target>]) -> bool {
    groups.iter().enumerate().any(|(i, group)| {
        let others = || groups[i + 1..].iter().flatten();
        group
            .iter()
            .any(|target| *target != Target::Rest && others().any(|other| other == target))
    })
}
