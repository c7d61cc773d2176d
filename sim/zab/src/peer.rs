//! One server's part in ZAB: which role it plays, and what has to happen between two roles (`QuorumPeer`).
//!
//! ```text
//!  Recovery ──► Draining ──► Election ──► Discovery ──► Synchronization ──► Broadcast
//!                  ▲                          │                │                │
//!                  └──────────────────────────┴────────────────┴────────────────┘
//! ```
//!
//! Guarantees: at the start of every election the application has applied exactly what a restart would load from the disk
//! at that moment, and that is what the vote names. ZooKeeper keeps the tree over a change of roles and has lost data for it
//! more than once; `Draining` is the answer to all of these:
//!
//! * what is being written is waited for, then what is logged but uncommitted is applied (ZOOKEEPER-2845: a tree that lagged
//!   its own log voted too low, got a DIFF where it needed a TRUNC, and a restart resurrected the transaction);
//! * if a snapshot from a leader was taken into memory but is not yet this server's database on disk, or a truncation is not
//!   finished, everything is loaded from the disk anew (ZOOKEEPER-3642);
//! * a snapshot of the running server is given up: what is applied now may be uncommitted and must not get into it
//!   (ZOOKEEPER-1558).

use crate::core::{Core, Flow, Leave};
use crate::election::Elected;
use crate::leader::Leader;
use crate::learner::Learner;
use crate::marks::mark;
use crate::storage::Event;
use crate::{
    Bug, Config, Effect, Epoch, Input, LinkId, Membership, Note, Payload, PeerId, PeerSet,
    PeerState, Phase, QuorumConfig, ReconfigureRefusal, Role, SnapshotId, Time, Timer, Zxid,
};

/// One server of the ensemble: see the crate's documentation for the contract with its driver.
pub struct Peer {
    core: Core,
    mode: Mode,
    /// Who leads next, if the last leader named one.
    successor: Option<PeerId>,
}

enum Mode {
    /// Recovery, draining, election, or stopped.
    Idle,
    Learner(Box<Learner>),
    Leader(Box<Leader>),
}

impl Peer {
    /// A peer that has not started: its first input is [`Input::Boot`].
    ///
    /// # Panics
    /// Where the configuration is none: a server's number beyond the limits, a quorum rule that is no rule, limits of zero.
    pub fn new(config: Config) -> Peer {
        if let Err(reason) = config.quorum.validate() {
            panic!("{}: {reason}", config.id);
        }
        assert!(
            (1..=PeerSet::ID_MAX).contains(&config.id.0),
            "{}: a server's number is from 1 to 127",
            config.id
        );
        assert!(config.tick_us >= 2, "a tick has two halves");
        assert!(
            config.init_limit > 0 && config.sync_limit > 0,
            "no time at all"
        );
        assert!(config.counter_max > 0, "an epoch without transactions");
        assert!(config.snap_count > 0, "a snapshot at every step");
        Peer {
            core: Core::new(config),
            mode: Mode::Idle,
            successor: None,
        }
    }

    /// One input in, effects out, appended to `out` in the order in which they must be carried out.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        if self.core.role.phase == Phase::Stopped {
            return;
        }
        self.core.now = now;
        let flow = self.dispatch(input, out);
        self.conclude(flow, out);
        self.move_on(out);
    }

    fn dispatch(&mut self, input: Input, out: &mut Vec<Effect>) -> Flow {
        match input {
            Input::Boot => {
                out.push(Effect::RoleChanged(self.core.role));
                self.core.load(out);
                Ok(())
            }
            Input::DiskDone { ticket } => {
                let events = self.core.storage.on_disk_done(ticket, out);
                self.on_events(events, out)
            }
            Input::ReadDone { ticket, data } => {
                let events = self.core.storage.on_read_done(ticket, data, out);
                self.on_events(events, out)
            }
            Input::DiskFailed { file, error } => {
                let events = self.core.storage.on_disk_failed(file, error, out);
                self.on_events(events, out)
            }
            Input::Timer(timer) => self.on_timer(timer, out),
            Input::Notification { from, notification } => {
                // Between two roles there is no vote to tell; the sender repeats itself.
                if matches!(self.core.role.phase, Phase::Recovery | Phase::Draining) {
                    return Ok(());
                }
                let core = &mut self.core;
                let looks = core.role.phase == Phase::Election;
                if looks && core.learn(&notification.membership, out) {
                    core.start_election(out);
                }
                let elected = core
                    .election
                    .on_notification(core.now, from, &notification, out);
                self.on_elected(elected, out)
            }
            Input::LinkOpened {
                link,
                peer,
                outgoing,
            } => self.on_link_opened(link, peer, outgoing, out),
            Input::ConnectFailed { peer } => match &mut self.mode {
                Mode::Learner(learner) => learner.on_connect_failed(&mut self.core, peer, out),
                _ => Ok(()),
            },
            Input::LinkBroken { link } => match &mut self.mode {
                Mode::Learner(learner) => learner.on_link_broken(&mut self.core, link, out),
                Mode::Leader(leader) => leader.on_link_broken(&mut self.core, link, out),
                Mode::Idle => Ok(()),
            },
            Input::Message { link, message } => match &mut self.mode {
                Mode::Learner(learner) => learner.on_message(&mut self.core, link, message, out),
                Mode::Leader(leader) => leader.on_message(&mut self.core, link, message, out),
                Mode::Idle => Ok(()),
            },
            application => self.on_application(application, out),
        }
    }

    /// The inputs that come from the application above.
    fn on_application(&mut self, input: Input, out: &mut Vec<Effect>) -> Flow {
        match input {
            Input::Propose { zxid, payload } => match &mut self.mode {
                Mode::Leader(leader) => leader.propose(&mut self.core, zxid, &payload, out),
                _ => {
                    mark("proposal-refused", out);
                    Ok(())
                }
            },
            Input::Reconfigure {
                zxid,
                quorum,
                payload,
            } => match &mut self.mode {
                Mode::Leader(leader) => {
                    leader.reconfigure(&mut self.core, zxid, quorum, &payload, out)
                }
                _ => {
                    mark("proposal-refused", out);
                    Ok(())
                }
            },
            Input::Request { payload } => {
                if let Mode::Learner(learner) = &mut self.mode {
                    learner.request(payload, out);
                }
                Ok(())
            }
            Input::ToLeader { payload } => {
                if let Mode::Learner(learner) = &mut self.mode {
                    learner.tell_leader(payload, out);
                }
                Ok(())
            }
            Input::ToLearner { peer, payload } => {
                if let Mode::Leader(leader) = &mut self.mode {
                    leader.tell_learner(peer, payload, out);
                }
                Ok(())
            }
            Input::Sync { id, quorum } => match &mut self.mode {
                Mode::Learner(learner) => {
                    learner.sync(id, quorum, out);
                    Ok(())
                }
                Mode::Leader(leader) => leader.sync(&mut self.core, None, id, quorum, out),
                Mode::Idle => {
                    out.push(Effect::SyncLost { id });
                    Ok(())
                }
            },
            Input::Applied { zxid } => self.on_applied(zxid, out),
            Input::SnapshotChunk {
                snapshot,
                bytes,
                last,
            } => {
                self.on_snapshot_chunk(snapshot, bytes, last, out);
                Ok(())
            }
            Input::RestoreFailed => match &mut self.mode {
                Mode::Learner(learner) if self.core.memory_ahead => learner.on_restore_failed(out),
                _ => Err(Leave::Stop(format!(
                    "{}: the application cannot restore the snapshot {} of this server's own disk",
                    self.core.config.id,
                    self.core.history.base()
                ))),
            },
            _ => unreachable!("the caller handles it"),
        }
    }

    fn on_events(&mut self, events: Vec<Event>, out: &mut Vec<Effect>) -> Flow {
        for event in events {
            let flow = self.on_event(event, out);
            self.conclude(flow, out);
        }
        Ok(())
    }

    /// Something about the disk is now true. Between two roles only the notes matter: `move_on` looks at the rest.
    fn on_event(&mut self, event: Event, out: &mut Vec<Effect>) -> Flow {
        let core = &mut self.core;
        match event {
            Event::Recovered {
                last,
                accepted,
                current,
                blank,
                torn_bytes,
                snapshot,
                chunks,
                configs,
                replay,
                ..
            } => {
                out.push(Effect::Note(Note::Recovered {
                    last,
                    accepted,
                    current,
                    torn_bytes,
                    blank,
                }));
                core.reload(snapshot, chunks, &configs, replay, out);
            }
            Event::Logged { zxid } => out.push(Effect::Note(Note::Logged { zxid })),
            Event::AcceptedEpoch(epoch) => out.push(Effect::Note(Note::AcceptedEpoch(epoch))),
            Event::CurrentEpoch(epoch) => out.push(Effect::Note(Note::CurrentEpoch(epoch))),
            Event::Initialized => mark("blank-ready", out),
            Event::Truncated { to } => {
                out.push(Effect::Note(Note::Truncated { to }));
                // In draining this is what finishes the truncation, too.
                core.load(out);
            }
            Event::SnapshotInstalled { zxid } => {
                core.memory_ahead = false;
                out.push(Effect::Note(Note::SnapshotInstalled { zxid }));
            }
            Event::SnapshotTaken { zxid } => {
                core.snapshot = None;
                out.push(Effect::Note(Note::SnapshotTaken { zxid }));
            }
            Event::LogRead { token, start, txns } => {
                return match &mut self.mode {
                    Mode::Leader(leader) => leader.on_log_read(core, token, start, txns, out),
                    _ => Ok(()),
                };
            }
            Event::Fatal { reason } => return Err(Leave::Stop(reason)),
        }
        match &mut self.mode {
            Mode::Learner(learner) => learner.on_disk_progress(core, out),
            Mode::Leader(leader) => leader.on_disk_progress(core, out),
            Mode::Idle => Ok(()),
        }
    }

    fn on_timer(&mut self, timer: Timer, out: &mut Vec<Effect>) -> Flow {
        let core = &mut self.core;
        match (timer, &mut self.mode) {
            (Timer::Election, Mode::Idle) if core.role.phase == Phase::Election => {
                let elected = core.election.on_timer(core.now, out);
                self.on_elected(elected, out)
            }
            (Timer::Tick, Mode::Leader(leader)) => leader.on_tick(core, out),
            (Timer::Tick, Mode::Learner(learner)) => learner.on_tick(core, out),
            (Timer::Deadline, Mode::Learner(learner)) => learner.on_deadline(core, out),
            _ => Ok(()),
        }
    }

    fn on_link_opened(
        &mut self,
        link: LinkId,
        peer: PeerId,
        outgoing: bool,
        out: &mut Vec<Effect>,
    ) -> Flow {
        match &mut self.mode {
            Mode::Learner(learner) if outgoing => {
                learner.on_link_opened(&mut self.core, link, peer, out)
            }
            Mode::Leader(leader) if !outgoing => {
                leader.on_link_opened(&mut self.core, link, peer, out)
            }
            // Asked for by a role that has ended, or too early: a learner that believes this peer to lead before it knows
            // it itself. As a closed port in ZooKeeper, the learner tries again.
            _ => {
                out.push(Effect::CloseLink { link });
                Ok(())
            }
        }
    }

    fn on_applied(&mut self, zxid: Zxid, out: &mut Vec<Effect>) -> Flow {
        self.core.history.set_applied(zxid);
        self.core.begin_snapshot_if_due(out);
        match &mut self.mode {
            Mode::Learner(learner) => learner.advance(&mut self.core, out),
            _ => Ok(()),
        }
    }

    fn on_snapshot_chunk(
        &mut self,
        snapshot: SnapshotId,
        bytes: Payload,
        last: bool,
        out: &mut Vec<Effect>,
    ) {
        match &mut self.core.snapshot {
            Some(own) if own.id == snapshot => {
                own.complete = last;
                self.core.storage.snapshot_chunk(bytes, last, out);
            }
            _ => {
                if let Mode::Leader(leader) = &mut self.mode {
                    leader.on_snapshot_chunk(snapshot, bytes, last, out);
                }
            }
        }
    }

    fn on_elected(&mut self, elected: Option<Elected>, out: &mut Vec<Effect>) -> Flow {
        let Some(elected) = elected else {
            return Ok(());
        };
        assert_eq!(self.core.role.phase, Phase::Election);
        let core = &mut self.core;
        let me = core.config.id;
        let state = if elected.leader == me {
            PeerState::Leading
        } else if core.observes() {
            PeerState::Observing
        } else {
            PeerState::Following
        };
        core.election.settle(state);
        core.change_role(
            Role {
                state,
                phase: Phase::Discovery,
                epoch: core.storage.current(),
                leader: Some(elected.leader),
            },
            out,
        );
        if state == PeerState::Leading {
            assert!(!core.storage.is_blank(), "a blank disk was elected");
            let mut leader = Box::new(Leader::new(core));
            let flow = leader.begin(core, out);
            self.mode = Mode::Leader(leader);
            flow
        } else {
            let mut learner = Box::new(Learner::new(core, elected.leader));
            learner.begin(core, out);
            self.mode = Mode::Learner(learner);
            Ok(())
        }
    }

    /// Carries out what a handler decided about its role.
    fn conclude(&mut self, flow: Flow, out: &mut Vec<Effect>) {
        match flow {
            Ok(()) => {}
            Err(Leave::StepDown(reason)) => self.step_down(reason, out),
            Err(Leave::HandOver(leader, reason)) => {
                self.successor = Some(leader);
                self.step_down(reason, out);
            }
            Err(Leave::Stop(reason)) => {
                self.core.role.phase = Phase::Stopped;
                self.mode = Mode::Idle;
                out.push(Effect::Fatal { reason });
            }
        }
    }

    fn step_down(&mut self, reason: &'static str, out: &mut Vec<Effect>) {
        out.push(Effect::Note(Note::SteppedDown { reason }));
        let core = &mut self.core;
        let delivery = match std::mem::replace(&mut self.mode, Mode::Idle) {
            Mode::Leader(mut leader) => {
                leader.close(out);
                leader.delivery()
            }
            Mode::Learner(mut learner) => {
                learner.close(core, out);
                learner.delivery()
            }
            Mode::Idle => unreachable!("no role to give up"),
        };
        core.lose_barriers(out);
        core.election.settle(PeerState::Looking);
        core.abandon_own_snapshot(out);
        core.change_role(
            Role {
                state: PeerState::Looking,
                phase: Phase::Draining,
                epoch: core.storage.current(),
                leader: None,
            },
            out,
        );
        core.drain_as = delivery;
    }

    /// Recovery and draining: once nothing is being written or applied, the next thing.
    fn move_on(&mut self, out: &mut Vec<Effect>) {
        let core = &mut self.core;
        if !matches!(core.role.phase, Phase::Recovery | Phase::Draining) || core.loading {
            return;
        }
        core.history
            .deliver_marked(core.storage.durable(), core.drain_as, out);
        if !core.storage.idle() {
            return;
        }
        if core.memory_ahead && core.config.bugs.has(Bug::KeepTreeOnAbortedSnap) {
            core.memory_ahead = false;
        }
        if core.memory_ahead {
            mark("drain-reload", out);
            core.load(out);
            return;
        }
        if core.config.bugs.has(Bug::VoteByTree) {
            core.history.forget_rest();
        }
        if core.history.tail() > core.history.delivered() {
            mark("drain-replayed-tail", out);
            core.history.deliver_rest(out);
        }
        if core.history.applied() == core.history.delivered() {
            let successor = self.successor.take();
            let appointed = successor.and_then(|leader| core.take_over_from(leader, out));
            match appointed {
                Some(elected) => {
                    let flow = self.on_elected(Some(elected), out);
                    self.conclude(flow, out);
                }
                None => core.start_election(out),
            }
        }
    }
}

/// For drivers, checks and those who ask why nothing happens.
impl Peer {
    /// This server.
    pub fn id(&self) -> PeerId {
        self.core.config.id
    }

    /// What it is doing.
    pub fn role(&self) -> Role {
        self.core.role
    }

    /// How it is set up.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// The configurations that it goes by.
    pub fn membership(&self) -> &Membership {
        &self.core.membership
    }

    /// Whether a reconfiguration may be proposed here now; if not, why.
    pub fn may_reconfigure(&self, quorum: &QuorumConfig) -> Result<(), ReconfigureRefusal> {
        match &self.mode {
            Mode::Leader(leader) => leader.may_reconfigure(&self.core, quorum),
            _ => Err(ReconfigureRefusal::NotLeading),
        }
    }

    /// The tail of its log, durable or not.
    pub fn last_logged(&self) -> Zxid {
        self.core.storage.last()
    }

    /// The last transaction that it knows to be committed.
    pub fn last_committed(&self) -> Zxid {
        self.core.history.committed()
    }

    /// The last transaction that it handed to the application.
    pub fn last_delivered(&self) -> Zxid {
        self.core.history.delivered()
    }

    /// acceptedEpoch, as on disk.
    pub fn accepted_epoch(&self) -> Epoch {
        self.core.storage.accepted()
    }

    /// currentEpoch, as on disk.
    pub fn current_epoch(&self) -> Epoch {
        self.core.storage.current()
    }

    /// Whether its disk was found blank, and no established leader has brought it up to date yet.
    pub fn is_blank(&self) -> bool {
        self.core.storage.is_blank()
    }

    /// How many transactions the application may still propose in this epoch; zero unless this peer leads and serves.
    pub fn proposals_left(&self) -> u32 {
        match &self.mode {
            Mode::Leader(leader) => leader.proposals_left(&self.core),
            _ => 0,
        }
    }

    /// What this peer waits for, in words: for the report of a run that is stuck.
    pub fn waiting_for(&self) -> String {
        match (&self.mode, self.core.role.phase) {
            (_, Phase::Stopped) => "nothing: it stopped".into(),
            (Mode::Leader(leader), _) => leader.waiting_for(&self.core),
            (Mode::Learner(learner), _) => learner.waiting_for(&self.core),
            (Mode::Idle, Phase::Election) => format!(
                "a quorum of votes for one leader, in round {}",
                self.core.election.round()
            ),
            (Mode::Idle, _) if self.core.loading => "its disk to be read".into(),
            (Mode::Idle, _) if !self.core.storage.idle() => "its disk queue to drain".into(),
            (Mode::Idle, _) => format!(
                "the application to apply {} (it is at {})",
                self.core.history.delivered(),
                self.core.history.applied()
            ),
        }
    }
}
