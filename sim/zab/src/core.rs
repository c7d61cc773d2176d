//! What a peer keeps over a change of roles: its disk, its election, its history, and the state of its application as far as
//! the peer must know it.

use crate::election::{Configurations, Elected, Election};
use crate::history::History;
use crate::marks::mark;
use crate::membership::{Configuration, Membership};
use crate::storage::{Configs, Storage};
use crate::{
    Bug, Config, Delivery, Effect, Epoch, Message, Note, Payload, PeerId, PeerState, Phase,
    Planted, Role, SnapshotId, SyncId, Time, Txn, Vote, Zxid,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Why a role ends.
pub(crate) enum Leave {
    /// Back to the election.
    StepDown(&'static str),
    /// To another role in which this peer leads, or follows that one, without an election.
    HandOver(PeerId, &'static str),
    /// For good: going on could break a promise.
    Stop(String),
}

/// Whether the role goes on.
pub(crate) type Flow = Result<(), Leave>;

pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) role: Role,
    /// The configurations that count.
    pub(crate) membership: Arc<Membership>,
    /// A reconfiguration that others have in their logs, and perhaps this one should.
    rumour: Option<Arc<Configuration>>,
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
    /// What a bug makes this peer believe.
    pub(crate) haunted: Haunted,
}

/// Beliefs that only planted bugs have.
#[derive(Default)]
pub(crate) struct Haunted {
    /// History that was announced, and may never have come.
    pub(crate) claimed: Zxid,
    /// Transactions up to here were never handed to the log.
    pub(crate) unlogged: Zxid,
    /// Acknowledgements of links that may be gone.
    pub(crate) acks: BTreeMap<PeerId, Zxid>,
}

/// A snapshot of the running server, being serialized into a file.
pub(crate) struct OwnSnapshot {
    pub(crate) id: SnapshotId,
    /// The last piece was handed to the storage.
    pub(crate) complete: bool,
}

/// The bugs that leave holes in a history, and do their harm only where nobody looks for them.
const UNCHAINED: Planted = Planted::of(&[
    Bug::SkipCommittedLogOnSyncApply,
    Bug::VoteByTree,
    Bug::KeepTreeOnAbortedSnap,
    Bug::SnapshotOnLeadEntry,
    Bug::TruncKeepsSnapshots,
    Bug::DiffWithoutMembershipCheck,
    Bug::NonatomicDiffAndForward,
    Bug::CommitsBeforeUptodateNotLogged,
    Bug::EpochFromLogAlone,
    Bug::NoRolloverGuard,
    Bug::ForwardOnlyAfterNewLeaderAck,
    Bug::ClaimDiffUpFront,
    Bug::TruncTooShort,
    Bug::DiffSkipsFirst,
    Bug::TruncInMemoryAlone,
]);

/// Whether holes in a history are looked for. ZooKeeper knows no chain of predecessors: that is **BASE**.
pub(crate) fn chained(bugs: Planted) -> bool {
    !bugs.has_any(UNCHAINED)
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
            membership: Arc::new(Membership::initial(config.quorum.clone())),
            rumour: None,
            storage: Storage::new(&config),
            election: Election::new(&config),
            history: History::new(config.commit_log_count, config.bugs),
            memory_ahead: false,
            barriers: VecDeque::new(),
            drain_as: Delivery::Replayed,
            loading: false,
            logged: 0,
            snapshot: None,
            snapshots: 0,
            haunted: Haunted::default(),
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
        configs: &Configs,
        replay: Vec<Arc<Txn>>,
        out: &mut Vec<Effect>,
    ) {
        self.loading = false;
        self.memory_ahead = false;
        self.recall(configs, out);
        self.restore(snapshot, chunks, out);
        self.logged = u32::try_from(replay.len()).unwrap_or(u32::MAX);
        for txn in replay {
            self.history.push(txn);
        }
        self.history.deliver_rest(out);
        if chained(self.config.bugs) {
            assert_eq!(self.history.delivered(), self.storage.durable());
        }
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

    /// The configurations as the disk has them; what this process knows to be committed stays known.
    fn recall(&mut self, configs: &Configs, out: &mut Vec<Effect>) {
        let first = Membership::initial(self.config.quorum.clone());
        let mut membership = configs.membership(&first);
        membership.activate(self.membership.active());
        let before = std::mem::replace(&mut self.membership, Arc::new(membership));
        if before.active() != self.membership.active() {
            let active = self.membership.active().clone();
            out.push(Effect::Note(Note::ConfigurationActive(active)));
        }
        self.election.tell(self.membership.clone());
        if let Some(pending) = self.membership.pending() {
            mark("recovery-pending-configuration", out);
            out.push(Effect::Note(Note::ConfigurationPending(pending.clone())));
        }
    }

    /// A leader's snapshot replaces the history, and with it what is pending. What stands in its stead.
    pub(crate) fn replace_membership(
        &mut self,
        theirs: &Membership,
        out: &mut Vec<Effect>,
    ) -> Membership {
        self.activate(theirs.active(), out);
        let mut membership = theirs.clone();
        membership.activate(self.membership.active());
        self.membership = Arc::new(membership.clone());
        self.election.tell(self.membership.clone());
        if let Some(pending) = membership.pending() {
            let pending = pending.clone();
            out.push(Effect::Note(Note::ConfigurationPending(pending)));
        }
        membership
    }

    /// This configuration is known to be committed; whether that is news.
    pub(crate) fn activate(&mut self, config: &Arc<Configuration>, out: &mut Vec<Effect>) -> bool {
        let news = config.version() > self.membership.active().version();
        if news {
            Arc::make_mut(&mut self.membership).activate(config);
            self.election.tell(self.membership.clone());
            self.storage.set_configuration(config, out);
            out.push(Effect::Note(Note::ConfigurationActive(config.clone())));
        }
        news
    }

    /// Everything up to here is known to be committed; a configuration among it is in force.
    pub(crate) fn activate_up_to(&mut self, zxid: Zxid, out: &mut Vec<Effect>) {
        let pending = self.membership.pending();
        if let Some(pending) = pending.filter(|pending| pending.version() <= zxid) {
            self.activate(&pending.clone(), out);
        }
    }

    /// What is marked is known to be committed.
    pub(crate) fn note_committed(&mut self, out: &mut Vec<Effect>) {
        let zxid = self.history.mark();
        self.history.set_committed(zxid);
        out.push(Effect::Note(Note::Committed { zxid }));
    }

    /// Into the log, not yet durable.
    pub(crate) fn append(&mut self, txn: Arc<Txn>, out: &mut Vec<Effect>) {
        if let Some(config) = txn.configuration() {
            Arc::make_mut(&mut self.membership).propose(config.clone());
            self.election.tell(self.membership.clone());
            out.push(Effect::Note(Note::ConfigurationPending(config)));
        }
        self.logged = self.logged.saturating_add(1);
        self.history.push(txn.clone());
        self.storage.append(txn, out);
    }

    /// Hands what is committed and durable to the application, then answers the barriers behind it.
    pub(crate) fn deliver(&mut self, delivery: Delivery, out: &mut Vec<Effect>) {
        let durable = self.storage.durable().max(self.haunted.unlogged);
        self.history.deliver_marked(durable, delivery, out);
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
        if due {
            self.take_snapshot(out);
        }
    }

    /// Begins a snapshot of the running server.
    pub(crate) fn take_snapshot(&mut self, out: &mut Vec<Effect>) {
        self.logged = 0;
        let id = self.next_snapshot(out);
        let zxid = self.history.applied();
        let membership = self.membership.up_to(zxid);
        self.storage.begin_snapshot(zxid, &membership, out);
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
            && !self.config.bugs.has(Bug::SnapshotOnLeadEntry)
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
        if chained(self.config.bugs) {
            assert_eq!(self.history.applied(), self.storage.durable());
            assert_eq!(self.history.tail(), self.storage.last());
        }
        let role = Role {
            state: PeerState::Looking,
            phase: Phase::Election,
            epoch: self.storage.current(),
            leader: None,
        };
        self.change_role(role, out);
        let candidate = self.vote_for(self.config.id);
        // A blank disk may have been a quorum's witness once: it listens only (ZOOKEEPER-2325).
        let may_vote = !self.storage.is_blank();
        let configs = Configurations {
            membership: self.membership.clone(),
            rumour: self.rumour.clone(),
        };
        self.election
            .start(self.now, candidate, may_vote, configs, out);
    }

    /// The end of this server's history, as it tells others: the tail of its durable log (**BASE**).
    pub(crate) fn last(&self) -> Zxid {
        let bugs = self.config.bugs;
        if bugs.has(Bug::VoteByTree) || bugs.has(Bug::KeepTreeOnAbortedSnap) {
            self.history.applied()
        } else if bugs.has(Bug::ClaimDiffUpFront) {
            self.storage.durable().max(self.haunted.claimed)
        } else {
            self.storage.durable()
        }
    }

    fn vote_for(&self, leader: PeerId) -> Vote {
        Vote {
            leader,
            zxid: self.last(),
            peer_epoch: self.storage.current(),
        }
    }

    /// While looking: takes over what a notification says about newer configurations. Whether that is news.
    pub(crate) fn learn(&mut self, theirs: &Membership, out: &mut Vec<Effect>) -> bool {
        let learned = self.activate(theirs.active(), out);
        if learned {
            mark("configuration-learned", out);
        }
        let known = self.membership.configurations().chain(&self.rumour);
        let known = known.map(|config| config.version()).max();
        let rumour = theirs
            .pending()
            .filter(|pending| Some(pending.version()) > known);
        if let Some(rumour) = rumour {
            self.rumour = Some(rumour.clone());
        }
        learned || rumour.is_some()
    }

    /// A leader is established: what its history does not have, nobody will commit any more.
    pub(crate) fn forget_rumour(&mut self) {
        self.rumour = None;
    }

    /// The role that a leader which goes has chosen for this peer: memory and disk agree, as before an election.
    pub(crate) fn take_over_from(
        &mut self,
        leader: PeerId,
        out: &mut Vec<Effect>,
    ) -> Option<Elected> {
        let role = Role {
            state: PeerState::Looking,
            phase: Phase::Election,
            epoch: self.storage.current(),
            leader: None,
        };
        let may_vote = !self.storage.is_blank();
        let vote = self.vote_for(leader);
        let elected = self
            .election
            .appoint(vote, may_vote, self.membership.clone())?;
        self.change_role(role, out);
        Some(elected)
    }

    /// Whether this peer observes: what it tells a leader that it joins.
    pub(crate) fn observes(&self) -> bool {
        let me = self.config.id;
        let about_to_vote = self.rumour.as_ref().is_some_and(|config| {
            config.version() > self.membership.active().version() && config.quorum().is_voter(me)
        });
        self.membership.is_observer(me) && !about_to_vote
    }
}
