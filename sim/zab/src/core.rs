//! What a peer keeps over a change of roles: its disk, its election, its history, and the state of its application as far as
//! the peer must know it.

use crate::election::Election;
use crate::history::History;
use crate::marks::mark;
use crate::storage::Storage;
use crate::{
    Config, Delivery, Effect, Epoch, Message, Note, Payload, PeerState, Phase, Role, SnapshotId,
    SyncId, Time, Txn, Vote, Zxid,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Why a role ends.
pub(crate) enum Leave {
    /// Back to the election.
    StepDown(&'static str),
    /// For good: going on could break a promise.
    Stop(String),
}

/// Whether the role goes on.
pub(crate) type Flow = Result<(), Leave>;

pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) role: Role,
    pub(crate) storage: Storage,
    pub(crate) election: Election,
    pub(crate) history: History,
    /// The application's state is not what the disk holds: a role that ends now must load it anew.
    pub(crate) memory_ahead: bool,
    /// Barriers that wait for the deliveries up to a zxid, in order.
    barriers: VecDeque<(Zxid, SyncId)>,
    /// How marked transactions are delivered while draining: whether the last role knew them to be committed.
    pub(crate) drain_as: Delivery,
    /// `Storage::recover` was called and has not answered.
    pub(crate) loading: bool,
    /// Transactions logged since the last snapshot began.
    logged: u32,
    pub(crate) snapshot: Option<OwnSnapshot>,
    snapshots: u64,
}

/// A snapshot of the running server, being serialized into a file.
pub(crate) struct OwnSnapshot {
    pub(crate) id: SnapshotId,
    /// The last piece was handed to the storage.
    pub(crate) complete: bool,
}

impl Core {
    pub(crate) fn new(config: Config) -> Core {
        Core {
            now: Time(0),
            role: Role {
                state: PeerState::Looking,
                phase: Phase::Recovery,
                epoch: Epoch(0),
                leader: None,
            },
            storage: Storage::new(&config),
            election: Election::new(&config),
            history: History::new(config.commit_log_count),
            memory_ahead: false,
            barriers: VecDeque::new(),
            drain_as: Delivery::Replayed,
            loading: false,
            logged: 0,
            snapshot: None,
            snapshots: 0,
            config,
        }
    }

    pub(crate) fn change_role(&mut self, role: Role, out: &mut Vec<Effect>) {
        self.role = role;
        out.push(Effect::RoleChanged(role));
    }

    pub(crate) fn enter(&mut self, phase: Phase, epoch: Epoch, out: &mut Vec<Effect>) {
        let role = Role {
            phase,
            epoch,
            ..self.role
        };
        self.change_role(role, out);
    }

    /// `count` ticks in microseconds.
    pub(crate) fn ticks(&self, count: u32) -> u64 {
        self.config.tick_us * u64::from(count)
    }

    /// Whether `count` ticks have passed since then.
    pub(crate) fn passed(&self, since: Time, count: u32) -> bool {
        self.now.0.saturating_sub(since.0) > self.ticks(count)
    }

    /// Reads the disk; `reload` follows.
    pub(crate) fn load(&mut self, out: &mut Vec<Effect>) {
        assert!(!self.loading, "the disk is being read already");
        self.loading = true;
        self.storage.recover(out);
    }

    /// The disk was read: its content becomes the application's state. None of it is known to be committed.
    pub(crate) fn reload(
        &mut self,
        snapshot: Zxid,
        chunks: Vec<Payload>,
        replay: Vec<Arc<Txn>>,
        out: &mut Vec<Effect>,
    ) {
        self.loading = false;
        self.memory_ahead = false;
        self.restore(snapshot, chunks, out);
        self.logged = u32::try_from(replay.len()).unwrap_or(u32::MAX);
        for txn in replay {
            self.history.push(txn);
        }
        self.history.deliver_rest(out);
        assert_eq!(self.history.delivered(), self.storage.durable());
    }

    pub(crate) fn restore(&mut self, zxid: Zxid, chunks: Vec<Payload>, out: &mut Vec<Effect>) {
        assert!(
            self.barriers.is_empty(),
            "a barrier in a queue that is dropped"
        );
        self.history.restore(zxid);
        self.logged = 0;
        out.push(Effect::Restore { zxid, chunks });
    }

    /// Into the log, not yet durable.
    pub(crate) fn append(&mut self, txn: Arc<Txn>, out: &mut Vec<Effect>) {
        self.logged = self.logged.saturating_add(1);
        self.history.push(txn.clone());
        self.storage.append(txn, out);
    }

    /// Hands what is committed and durable to the application, then answers the barriers behind it.
    pub(crate) fn deliver(&mut self, delivery: Delivery, out: &mut Vec<Effect>) {
        self.history
            .deliver_marked(self.storage.durable(), delivery, out);
        while let Some(&(zxid, id)) = self.barriers.front() {
            if zxid > self.history.delivered() {
                break;
            }
            self.barriers.pop_front();
            out.push(Effect::SyncDone { id });
        }
    }

    /// A barrier that is passed once everything marked so far is delivered.
    pub(crate) fn pass_barrier(&mut self, id: SyncId, delivery: Delivery, out: &mut Vec<Effect>) {
        self.barriers.push_back((self.history.mark(), id));
        self.deliver(delivery, out);
    }

    pub(crate) fn lose_barriers(&mut self, out: &mut Vec<Effect>) {
        for (_, id) in self.barriers.drain(..) {
            out.push(Effect::SyncLost { id });
        }
    }

    /// Reports a message that the phase does not allow.
    pub(crate) fn illegal(&self, message: &Message, why: &'static str, out: &mut Vec<Effect>) {
        out.push(Effect::Note(Note::IllegalMessage {
            message: message.name(),
            phase: self.role.phase,
            why,
        }));
    }

    pub(crate) fn next_snapshot(&mut self, out: &mut Vec<Effect>) -> SnapshotId {
        self.snapshots += 1;
        let snapshot = SnapshotId(self.snapshots);
        out.push(Effect::BeginSnapshot {
            snapshot,
            zxid: self.history.applied(),
        });
        snapshot
    }

    /// A snapshot of the running server, once enough was logged; only while serving, when all that is applied is known to be
    /// committed. ZooKeeper takes one on becoming leader, before any quorum has confirmed its history: then no truncation
    /// of the log can remove what nobody else has (ZOOKEEPER-1558, ZOOKEEPER-1549).
    pub(crate) fn begin_snapshot_if_due(&mut self, out: &mut Vec<Effect>) {
        let due = self.role.phase == Phase::Broadcast
            && self.logged >= self.config.snap_count
            && self.snapshot.is_none();
        if !due {
            return;
        }
        self.logged = 0;
        let id = self.next_snapshot(out);
        self.storage.begin_snapshot(self.history.applied(), out);
        self.snapshot = Some(OwnSnapshot {
            id,
            complete: false,
        });
    }

    /// The role ends: from now on uncommitted transactions may be applied, which must not get into a snapshot. One whose last
    /// piece was written already has none of them.
    pub(crate) fn abandon_own_snapshot(&mut self, out: &mut Vec<Effect>) {
        if let Some(OwnSnapshot {
            id,
            complete: false,
        }) = self.snapshot
        {
            mark("drain-abandoned-snapshot", out);
            self.snapshot = None;
            self.logged = self.config.snap_count;
            self.storage.abandon_snapshot(out);
            out.push(Effect::AbandonSnapshot { snapshot: id });
        }
    }

    /// Memory and disk agree and nothing is under way: vote for oneself.
    pub(crate) fn start_election(&mut self, out: &mut Vec<Effect>) {
        assert_eq!(self.history.applied(), self.storage.durable());
        assert_eq!(self.history.tail(), self.storage.last());
        let role = Role {
            state: PeerState::Looking,
            phase: Phase::Election,
            epoch: self.storage.current(),
            leader: None,
        };
        self.change_role(role, out);
        let candidate = Vote {
            leader: self.config.id,
            zxid: self.storage.durable(),
            peer_epoch: self.storage.current(),
        };
        // A blank disk may have been a quorum's witness once: it listens only (ZOOKEEPER-2325).
        let may_vote = self.config.quorum.is_voter(self.config.id) && !self.storage.is_blank();
        self.election.start(self.now, candidate, may_vote, out);
    }
}
