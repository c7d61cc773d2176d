//! Protocol events and the patterns that wait for them. Names, not numbers: a pattern is written by a person.

use crate::plan::EventPattern;
use zab::{DiskOp, FileName};
use zabsim_types::{ServerId, Time};

/// Something that a server does or is about to do, as patterns see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProtocolEvent<'a> {
    /// When.
    pub(crate) at: Time,
    /// Where: the sender of a `Send`, the receiver of a `Receive`.
    pub(crate) server: ServerId,
    /// The other end of a message; the learner that a note speaks of.
    pub(crate) peer: Option<ServerId>,
    /// What.
    pub(crate) kind: EventKind<'a>,
}

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind<'a> {
    /// A message is emitted: ZooKeeper's name of it, or `NOTIFICATION`.
    Send(&'static str),
    /// A message is about to be taken in.
    Receive(&'static str),
    /// A disk operation is emitted.
    Disk {
        /// `disk_event` gives both.
        op: &'static str,
        /// None for a listing.
        file: Option<&'a FileName>,
    },
    /// A note, by `note_name`, or `service_note_name`.
    Note(&'static str),
    /// A client gets an answer to a request.
    Reply {
        /// From 1.
        client: u32,
    },
}

impl EventKind<'_> {
    /// Patterns are kept apart by this, so that an event of another class costs nothing.
    pub(super) fn class(&self) -> usize {
        match self {
            EventKind::Send(_) => 0,
            EventKind::Receive(_) => 1,
            EventKind::Disk { .. } => 2,
            EventKind::Note(_) => 3,
            EventKind::Reply { .. } => 4,
        }
    }
}

impl ProtocolEvent<'_> {
    /// Who sends and who receives, for `Target::Sender` and `Target::Receiver`.
    pub(crate) fn ends(&self) -> Ends {
        match self.kind {
            EventKind::Receive(_) => Ends {
                sender: self.peer,
                receiver: Some(self.server),
            },
            _ => Ends {
                sender: Some(self.server),
                receiver: self.peer,
            },
        }
    }
}

/// The two ends of the event that triggered a fault; none of them for a fault that struck by the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ends {
    /// The sender, or the server where it happened.
    pub(crate) sender: Option<ServerId>,
    /// The receiver, or the learner that a note speaks of.
    pub(crate) receiver: Option<ServerId>,
}

/// The classes of patterns: see `EventKind::class`.
pub(super) const CLASSES: usize = 5;

/// Which class a pattern waits for.
pub(super) fn class_of(pattern: &EventPattern) -> usize {
    match pattern {
        EventPattern::Send { .. } => 0,
        EventPattern::Receive { .. } => 1,
        EventPattern::Disk { .. } => 2,
        EventPattern::Note { .. } => 3,
        EventPattern::Reply { .. } => 4,
    }
}

/// Whether the event is what the pattern names, whoever does it.
pub(super) fn names_match(pattern: &EventPattern, event: &EventKind<'_>) -> bool {
    match (pattern, event) {
        (EventPattern::Send { message, .. }, EventKind::Send(name))
        | (EventPattern::Receive { message, .. }, EventKind::Receive(name)) => message == name,
        (EventPattern::Disk { op, file, .. }, EventKind::Disk { op: name, file: on }) => {
            op == name
                && match (file, on) {
                    (None, _) => true,
                    (Some(prefix), Some(on)) => begins_with(on, prefix),
                    (Some(_), None) => false,
                }
        }
        (EventPattern::Note { note, .. }, EventKind::Note(name)) => note == name,
        (EventPattern::Reply { client }, EventKind::Reply { client: to }) => {
            client.is_none_or(|client| client == *to)
        }
        _ => false,
    }
}

/// Whether a file's name begins so. The whole name is only spelt out where the beginning goes beyond its first word: this
/// runs for every append.
fn begins_with(file: &FileName, prefix: &str) -> bool {
    let word = match file {
        FileName::AcceptedEpoch => "acceptedEpoch",
        FileName::CurrentEpoch => "currentEpoch",
        FileName::Configuration => "configuration",
        FileName::Initialized => "initialized",
        FileName::Log { .. } => "log.",
        FileName::Snapshot { .. } | FileName::SnapshotPart { .. } => "snapshot.",
    };
    word.starts_with(prefix) || (prefix.starts_with(word) && file.to_string().starts_with(prefix))
}

/// The words that a file's name can begin with.
pub(super) const FILES: &[&str] = &[
    "acceptedEpoch",
    "currentEpoch",
    "configuration",
    "initialized",
    "log.",
    "snapshot.",
];

/// The message types that `Send` and `Receive` can wait for: ZooKeeper's packet types, and the election's message.
pub const MESSAGES: &[&str] = &[
    "FOLLOWERINFO",
    "OBSERVERINFO",
    "LEADERINFO",
    "ACKEPOCH",
    "DIFF",
    "TRUNC",
    "SNAP",
    "SNAPCHUNK",
    "PROPOSAL",
    "COMMIT",
    "COMMITANDACTIVATE",
    "INFORM",
    "INFORMANDACTIVATE",
    "NEWLEADER",
    "ACKNEWLEADER",
    "UPTODATE",
    "ACK",
    "PING",
    "PONG",
    "REQUEST",
    "SYNC",
    "SYNCED",
    "APP",
    "NOTIFICATION",
];

/// The disk operations that `Disk` can wait for.
pub const DISK_OPS: &[&str] = &[
    "append", "sync", "replace", "rename", "truncate", "delete", "list", "read",
];

/// The notes that `Note` can wait for, beside the marks.
pub const NOTES: &[&str] = &[
    // Of the peer.
    "recovered",
    "election-round",
    "accepted-epoch",
    "current-epoch",
    "sync-chosen",
    "learner-up-to-date",
    "established",
    "proposed",
    "logged",
    "committed",
    "truncated",
    "snapshot-installed",
    "snapshot-taken",
    "stepped-down",
    "illegal-message",
    "configuration-pending",
    "configuration-active",
    // Of the service.
    "applied",
    "restored",
    "session-expiring",
    "refused-from-future",
    "session-moved",
];

/// The name of a disk operation, and the file that it is on.
pub(crate) fn disk_event(op: &DiskOp) -> (&'static str, Option<&FileName>) {
    match op {
        DiskOp::Append { file, .. } => ("append", Some(file)),
        DiskOp::Sync { file, .. } => ("sync", Some(file)),
        DiskOp::Replace { file, .. } => ("replace", Some(file)),
        DiskOp::Rename { to, .. } => ("rename", Some(to)),
        DiskOp::Truncate { file, .. } => ("truncate", Some(file)),
        DiskOp::Delete { file, .. } => ("delete", Some(file)),
        DiskOp::List { .. } => ("list", None),
        DiskOp::Read { file, .. } => ("read", Some(file)),
    }
}

/// The name of a peer's note, in kebab-case; of a mark, its own.
pub(crate) fn note_name(note: &zab::Note) -> &'static str {
    use zab::Note;
    match note {
        Note::Recovered { .. } => "recovered",
        Note::ElectionRound { .. } => "election-round",
        Note::AcceptedEpoch(_) => "accepted-epoch",
        Note::CurrentEpoch(_) => "current-epoch",
        Note::SyncChosen { .. } => "sync-chosen",
        Note::LearnerUpToDate { .. } => "learner-up-to-date",
        Note::Established { .. } => "established",
        Note::Proposed { .. } => "proposed",
        Note::Logged { .. } => "logged",
        Note::Committed { .. } => "committed",
        Note::Truncated { .. } => "truncated",
        Note::SnapshotInstalled { .. } => "snapshot-installed",
        Note::SnapshotTaken { .. } => "snapshot-taken",
        Note::SteppedDown { .. } => "stepped-down",
        Note::IllegalMessage { .. } => "illegal-message",
        Note::ConfigurationPending(_) => "configuration-pending",
        Note::ConfigurationActive(_) => "configuration-active",
        Note::Mark(name) => name,
    }
}

/// The learner that a peer's note speaks of: `ProtocolEvent::peer`.
pub(crate) fn note_peer(note: &zab::Note) -> Option<ServerId> {
    match note {
        zab::Note::SyncChosen { learner, .. } | zab::Note::LearnerUpToDate { learner } => {
            Some(ServerId(learner.0))
        }
        _ => None,
    }
}

/// The name of a service's note, in kebab-case; of a mark, its own.
pub(crate) fn service_note_name(note: &zabsim_server::Note) -> &'static str {
    use zabsim_server::Note;
    match note {
        Note::Applied { .. } => "applied",
        Note::Restored { .. } => "restored",
        Note::SessionExpiring { .. } => "session-expiring",
        Note::RefusedFromFuture { .. } => "refused-from-future",
        Note::SessionMoved { .. } => "session-moved",
        Note::Mark(name) => name,
    }
}
