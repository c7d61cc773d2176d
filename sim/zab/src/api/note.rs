//! What checks, probes and timelines want to know of a step.

use super::{Epoch, PeerId, Phase, Txn, Zxid};
use crate::membership::Configuration;
use std::sync::Arc;

/// How a leader brings a learner up to date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SyncKind {
    /// The learner has everything already.
    EmptyDiff,
    /// The learner lacks a tail.
    Diff,
    /// The learner has a tail too much.
    Trunc,
    /// Both: its tail is cut, then it gets the leader's.
    TruncDiff,
    /// It gets a whole snapshot.
    Snap,
}

/// Where a DIFF's transactions came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SyncSource {
    /// Memory: the last transactions committed.
    CommittedLog,
    /// The log on disk, then memory.
    DiskLog,
}

/// What checks, probes and timelines want to know. Emitted at the very step at which it becomes true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// Recovery from disk is done.
    Recovered {
        /// The tail of the log.
        last: Zxid,
        /// From disk.
        accepted: Epoch,
        /// From disk.
        current: Epoch,
        /// Bytes of a torn tail that were cut off.
        torn_bytes: u64,
        /// Whether the disk was blank.
        blank: bool,
    },
    /// A new election round began or was adopted.
    ElectionRound {
        /// The round.
        round: u64,
    },
    /// acceptedEpoch is durable.
    AcceptedEpoch(Epoch),
    /// currentEpoch is durable.
    CurrentEpoch(Epoch),
    /// A leader chose how to bring a learner up to date.
    SyncChosen {
        /// The learner.
        learner: PeerId,
        /// Its last zxid.
        last: Zxid,
        /// How.
        kind: SyncKind,
        /// Where a DIFF's transactions came from.
        source: SyncSource,
    },
    /// A learner's UPTODATE was sent: it counts as synchronized.
    LearnerUpToDate {
        /// The learner.
        learner: PeerId,
    },
    /// A leader has the quorum of ACK(NEWLEADER): its epoch is established.
    Established {
        /// Its epoch.
        epoch: Epoch,
        /// The end of its initial history.
        history: Zxid,
    },
    /// A leader proposed a transaction.
    Proposed {
        /// It.
        txn: Arc<Txn>,
    },
    /// The log is durable up to here.
    Logged {
        /// The last durable transaction.
        zxid: Zxid,
    },
    /// This server learned (a learner) or decided (the leader) that everything up to here is committed.
    Committed {
        /// The last committed transaction.
        zxid: Zxid,
    },
    /// A reconfiguration was logged: from here on a quorum is one of both configurations.
    ConfigurationPending(Arc<Configuration>),
    /// A configuration is known here to be committed: it alone counts.
    ConfigurationActive(Arc<Configuration>),
    /// The log was cut, durably.
    Truncated {
        /// The last transaction that stayed.
        to: Zxid,
    },
    /// A whole snapshot from the leader is durable and is now this server's database.
    SnapshotInstalled {
        /// Its zxid.
        zxid: Zxid,
    },
    /// A running server's snapshot is durable.
    SnapshotTaken {
        /// Its zxid.
        zxid: Zxid,
    },
    /// This peer gave up its role.
    SteppedDown {
        /// Why, in words.
        reason: &'static str,
    },
    /// A message that the phase does not allow, beyond what ZooKeeper ignores. The link is closed; a check reports it.
    IllegalMessage {
        /// ZooKeeper's name of it.
        message: &'static str,
        /// The receiver's phase.
        phase: Phase,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A rare path was taken: an epoch rule, an election branch, a recovery path. Counted by name.
    Mark(&'static str),
}
