//! A follower's or observer's part: discovery, synchronization, broadcast (`Learner`, `Follower`, `Observer`).
//!
//! ```text
//!  Connecting ─► AwaitLeaderInfo ─► WritingAcceptedEpoch ─► AwaitCut ─► Receiving ─► Preparing ─► Logging
//!                                                                                                    │
//!  Serving ◄─ CatchingUp ◄─ WritingMarker ◄─ AwaitUpToDate ◄─ Applying ◄─ WritingCurrentEpoch ◄──────┘
//! ```
//!
//! What the leader sends up to NEWLEADER is kept in memory; nothing of it touches the disk but a truncation. At NEWLEADER:
//!
//! 1. *Preparing*: a snapshot becomes this server's database on disk; a truncation is finished and its result loaded;
//! 2. *Logging*: all proposals received are appended, committed or not, and made durable;
//! 3. *WritingCurrentEpoch*: only then currentEpoch. The other order lets a short history wear the highest epoch, win
//!    elections with it and truncate committed transactions elsewhere (ZOOKEEPER-4643);
//! 4. *Applying*: the transactions that the leader has committed are applied (ZOOKEEPER-3023);
//! 5. ACK of NEWLEADER, and only now ACKs of proposals: they must not overtake it (ZOOKEEPER-4685), and it must not be
//!    sent while the log's write is merely queued (ZOOKEEPER-3911, ZOOKEEPER-4646).
//!
//! COMMITs are honoured at any time after their proposal, between NEWLEADER and UPTODATE too (ZOOKEEPER-4394), and what they
//! commit was logged before (ZOOKEEPER-1264). Up to UPTODATE deliveries are `Replayed`: nobody has told this server yet that
//! the leader is established, and if it never is, this history may lose against another.

use crate::core::{Core, Flow, Leave};
use crate::marks::mark;
use crate::{
    Delivery, Effect, Epoch, LinkId, Message, Note, Payload, PeerId, Phase, SyncId, Time, Timer,
    Txn, Zxid,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Attempts to reach the leader, half a tick apart, before another election (`Learner.connectToLeader`).
const CONNECT_TRIES: u32 = 5;

pub(crate) struct Learner {
    leader: PeerId,
    observer: bool,
    stage: Stage,
    link: Option<LinkId>,
    /// The leader's epoch; zero before LEADERINFO.
    epoch: Epoch,
    failures: u32,
    /// When the leader last sent something that lets this server make progress.
    heard: Time,
    intake: Intake,
    /// The last ACK sent.
    acked: Zxid,
    /// Barriers that the leader has not answered, in order.
    syncs: VecDeque<SyncId>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Connecting,
    AwaitLeaderInfo,
    WritingAcceptedEpoch,
    /// DIFF, TRUNC or SNAP is next.
    AwaitCut,
    /// History comes; NEWLEADER ends it.
    Receiving,
    Preparing,
    /// Until the log is durable up to `durable`; what the leader had committed by then is applied before the ACK.
    Logging { durable: Zxid, applied: Zxid },
    WritingCurrentEpoch { applied: Zxid },
    Applying { applied: Zxid },
    AwaitUpToDate,
    /// A formerly blank disk is being marked as fit to vote.
    WritingMarker,
    /// The commits that came before UPTODATE are being applied: a client must not be served in between (ZOOKEEPER-2807).
    CatchingUp { applied: Zxid },
    Serving,
}

impl Stage {
    /// From here on proposals go to the log as they come. Not while currentEpoch is being written: what it vouches for is
    /// durable before it, the rest comes after it.
    fn is_logging(self) -> bool {
        self >= Stage::Applying { applied: Zxid::ZERO }
    }
}

/// The history that the leader sends, until it is logged.
#[derive(Default)]
struct Intake {
    cut: Cut,
    /// Where the proposals begin: the last transaction of this server's history that stays, or the snapshot's.
    base: Zxid,
    proposals: Vec<Arc<Txn>>,
    /// So many of them are committed.
    committed: usize,
}

#[derive(Default)]
enum Cut {
    #[default]
    Diff,
    Trunc {
        done: bool,
    },
    Snap {
        chunks: Vec<Payload>,
        complete: bool,
        installed: bool,
    },
}

impl Intake {
    fn tail(&self) -> Zxid {
        self.proposals.last().map_or(self.base, |txn| txn.zxid)
    }
}

const BY_LEADER: Flow = Err(Leave::StepDown("the leader sent an illegal message"));

impl Learner {
    pub(crate) fn new(core: &Core, leader: PeerId) -> Learner {
        Learner {
            leader,
            observer: core.config.quorum.is_observer(core.config.id),
            stage: Stage::Connecting,
            link: None,
            epoch: Epoch(0),
            failures: 0,
            heard: core.now,
            intake: Intake::default(),
            acked: Zxid::ZERO,
            syncs: VecDeque::new(),
        }
    }

    pub(crate) fn begin(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
        out.push(Effect::Connect { peer: self.leader });
        self.set_deadline(core, out);
    }

    /// Closes what is open, drops what is half received.
    pub(crate) fn close(&mut self, core: &Core, out: &mut Vec<Effect>) {
        if let Some(link) = self.link.take() {
            out.push(Effect::CloseLink { link });
        }
        for id in self.syncs.drain(..) {
            out.push(Effect::SyncLost { id });
        }
        match self.intake.cut {
            Cut::Trunc { done: false } => mark("drain-unfinished-truncation", out),
            Cut::Snap {
                complete: false, ..
            } => mark("drain-received-snapshot", out),
            _ => {}
        }
        // Whatever was restored but not installed, the disk knows nothing of.
        debug_assert!(
            !matches!(self.intake.cut, Cut::Snap { complete: true, installed: false, .. })
                || core.memory_ahead
        );
    }

    /// How what the leader committed reaches the application.
    pub(crate) fn delivery(&self) -> Delivery {
        if self.stage > Stage::AwaitUpToDate {
            Delivery::Committed
        } else {
            Delivery::Replayed
        }
    }

    fn send(&self, message: Message, out: &mut Vec<Effect>) {
        if let Some(link) = self.link {
            out.push(Effect::Send { link, message });
        }
    }
}

/// Connecting, and noticing that nobody is there.
impl Learner {
    pub(crate) fn on_link_opened(
        &mut self,
        core: &mut Core,
        link: LinkId,
        peer: PeerId,
        out: &mut Vec<Effect>,
    ) -> Flow {
        if peer != self.leader || self.link.is_some() {
            out.push(Effect::CloseLink { link });
            return Ok(());
        }
        self.link = Some(link);
        self.stage = Stage::AwaitLeaderInfo;
        self.heard = core.now;
        let blank = core.storage.is_blank();
        if blank {
            mark("blank-join", out);
        }
        let info = Message::LearnerInfo {
            accepted: core.storage.accepted(),
            observer: self.observer,
            blank,
        };
        self.send(info, out);
        Ok(())
    }

    pub(crate) fn on_connect_failed(
        &mut self,
        core: &mut Core,
        peer: PeerId,
        out: &mut Vec<Effect>,
    ) -> Flow {
        if peer != self.leader || self.link.is_some() {
            return Ok(());
        }
        self.retry(core, out)
    }

    pub(crate) fn on_link_broken(
        &mut self,
        core: &mut Core,
        link: LinkId,
        out: &mut Vec<Effect>,
    ) -> Flow {
        if self.link != Some(link) {
            return Ok(());
        }
        self.link = None;
        if self.stage == Stage::AwaitLeaderInfo {
            // The elected leader may still be in its finalize wait, and does not accept learners yet.
            self.stage = Stage::Connecting;
            return self.retry(core, out);
        }
        Err(Leave::StepDown("the link to the leader broke"))
    }

    fn retry(&mut self, core: &Core, out: &mut Vec<Effect>) -> Flow {
        self.failures += 1;
        if self.failures >= CONNECT_TRIES {
            return Err(Leave::StepDown("the leader cannot be reached"));
        }
        out.push(Effect::SetTimer {
            timer: Timer::Tick,
            at: Time(core.now.0 + core.config.tick_us / 2),
        });
        Ok(())
    }

    /// Time to try again.
    pub(crate) fn on_tick(&mut self, _core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        if self.stage == Stage::Connecting {
            out.push(Effect::Connect { peer: self.leader });
        }
        Ok(())
    }

    /// The timer is not set again with each message: when it goes off, it looks at the last one.
    pub(crate) fn on_deadline(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        if core.now >= self.deadline(core) {
            return Err(Leave::StepDown("the leader was silent for too long"));
        }
        self.set_deadline(core, out);
        Ok(())
    }

    fn deadline(&self, core: &Core) -> Time {
        let limit = if self.stage == Stage::Serving {
            core.config.sync_limit
        } else {
            core.config.init_limit
        };
        Time(self.heard.0 + core.ticks(limit))
    }

    fn set_deadline(&self, core: &Core, out: &mut Vec<Effect>) {
        out.push(Effect::SetTimer {
            timer: Timer::Deadline,
            at: self.deadline(core),
        });
    }
}

/// Messages.
impl Learner {
    pub(crate) fn on_message(
        &mut self,
        core: &mut Core,
        link: LinkId,
        message: Message,
        out: &mut Vec<Effect>,
    ) -> Flow {
        if self.link != Some(link) {
            return Ok(());
        }
        // Pings alone must not keep a synchronization alive that makes no progress.
        if self.stage == Stage::Serving || !matches!(message, Message::Ping { .. }) {
            self.heard = core.now;
        }
        match message {
            Message::Ping { round } if self.stage > Stage::AwaitCut => {
                self.send(Message::Pong { round }, out);
                Ok(())
            }
            Message::LeaderInfo { epoch } if self.stage == Stage::AwaitLeaderInfo => {
                self.on_leader_info(core, epoch, out)
            }
            Message::Diff { .. } | Message::Trunc { .. } | Message::Snap { .. }
                if self.stage == Stage::AwaitCut =>
            {
                self.on_cut(core, message, out)
            }
            Message::SnapChunk { .. } if self.stage == Stage::Receiving => {
                self.on_snapshot_chunk(core, message, out)
            }
            Message::NewLeader { epoch } if self.receives_history() => {
                if epoch != self.epoch {
                    core.illegal(&message, "another epoch than LEADERINFO's", out);
                    return BY_LEADER;
                }
                self.on_new_leader(core, out)
            }
            Message::Proposal(_) | Message::Commit { .. } | Message::Inform(_) => {
                self.on_history(core, message, out)
            }
            Message::UpToDate if self.stage == Stage::AwaitUpToDate => self.on_up_to_date(core, out),
            Message::Synced { id } if self.stage == Stage::Serving => {
                if self.syncs.front() != Some(&id) {
                    core.illegal(&message, "no barrier of that name is next", out);
                    return BY_LEADER;
                }
                self.syncs.pop_front();
                core.pass_barrier(id, Delivery::Committed, out);
                Ok(())
            }
            Message::App(payload) if self.stage > Stage::AwaitUpToDate => {
                out.push(Effect::FromLeader { payload });
                Ok(())
            }
            _ => {
                core.illegal(&message, "not expected by a learner at this point", out);
                BY_LEADER
            }
        }
    }

    /// In the part of the stream that carries history, after the snapshot if there is one.
    fn receives_history(&self) -> bool {
        let snapshot_pending = matches!(
            self.intake.cut,
            Cut::Snap {
                complete: false,
                ..
            }
        );
        self.stage == Stage::Receiving && !snapshot_pending
    }

    fn on_leader_info(&mut self, core: &mut Core, epoch: Epoch, out: &mut Vec<Effect>) -> Flow {
        let accepted = core.storage.accepted();
        if epoch < accepted {
            mark("epoch-too-low", out);
            return Err(Leave::StepDown(
                "the leader's epoch is lower than the accepted one",
            ));
        }
        self.epoch = epoch;
        if epoch == accepted {
            // Promised before, perhaps to another leader of the same number: a second promise must not count for either.
            mark("ackepoch-minus-one", out);
            self.ack_epoch(core, None, out);
        } else {
            self.stage = Stage::WritingAcceptedEpoch;
            core.storage.set_accepted_epoch(epoch, out);
        }
        Ok(())
    }

    fn ack_epoch(&mut self, core: &mut Core, current: Option<Epoch>, out: &mut Vec<Effect>) {
        self.stage = Stage::AwaitCut;
        core.enter(Phase::Synchronization, self.epoch, out);
        let ack = Message::AckEpoch {
            last: core.storage.durable(),
            current,
            floor: core.storage.floor(),
        };
        self.send(ack, out);
    }

    fn on_cut(&mut self, core: &mut Core, message: Message, out: &mut Vec<Effect>) -> Flow {
        let last = core.storage.last();
        let (cut, base) = match message {
            Message::Trunc { to } if to >= last || to < core.storage.floor() => {
                core.illegal(&message, "there is no such cut in this log", out);
                return BY_LEADER;
            }
            Message::Trunc { to } => {
                core.storage.truncate(to, out);
                (Cut::Trunc { done: false }, to)
            }
            Message::Snap { zxid } => {
                let cut = Cut::Snap {
                    chunks: Vec::new(),
                    complete: false,
                    installed: false,
                };
                (cut, zxid)
            }
            _ => (Cut::Diff, last),
        };
        self.stage = Stage::Receiving;
        self.intake = Intake {
            cut,
            base,
            proposals: Vec::new(),
            committed: 0,
        };
        Ok(())
    }

    fn on_snapshot_chunk(
        &mut self,
        core: &mut Core,
        message: Message,
        out: &mut Vec<Effect>,
    ) -> Flow {
        match (&mut self.intake.cut, message) {
            (
                Cut::Snap {
                    chunks,
                    complete: complete @ false,
                    ..
                },
                Message::SnapChunk { bytes, last },
            ) => {
                chunks.push(bytes);
                if last {
                    *complete = true;
                    let chunks = chunks.clone();
                    // From here to the installation the application knows what the disk does not.
                    core.memory_ahead = true;
                    core.restore(self.intake.base, chunks, out);
                }
                Ok(())
            }
            (_, message) => {
                core.illegal(&message, "no snapshot is being sent", out);
                BY_LEADER
            }
        }
    }

    pub(crate) fn on_restore_failed(&mut self, out: &mut Vec<Effect>) -> Flow {
        mark("snapshot-refused-by-application", out);
        Err(Leave::StepDown(
            "the application cannot restore the leader's snapshot",
        ))
    }

    /// PROPOSAL, COMMIT, INFORM. During synchronization an observer gets the first two as well.
    fn on_history(&mut self, core: &mut Core, message: Message, out: &mut Vec<Effect>) -> Flow {
        let wrong = match (&message, self.observer) {
            _ if self.stage < Stage::Receiving => Some("before DIFF, TRUNC or SNAP"),
            _ if self.stage == Stage::Receiving && !self.receives_history() => {
                Some("inside of a snapshot")
            }
            (Message::Inform(_), false) => Some("a follower gets PROPOSAL and COMMIT"),
            (Message::Proposal(_) | Message::Commit { .. }, true)
                if self.stage > Stage::Receiving =>
            {
                Some("an observer gets INFORM")
            }
            _ => None,
        };
        if let Some(why) = wrong {
            core.illegal(&message, why, out);
            return BY_LEADER;
        }
        if self.stage > Stage::Receiving && self.stage <= Stage::AwaitUpToDate {
            match message {
                Message::Proposal(_) => mark("proposal-after-uncommitted-sync", out),
                _ => mark("commit-before-uptodate", out),
            }
        }
        let legal = match &message {
            Message::Proposal(txn) => self.take(core, txn, out),
            Message::Commit { zxid } => self.commit(core, *zxid),
            Message::Inform(txn) => self.take(core, txn, out) && self.commit(core, txn.zxid),
            _ => unreachable!("the caller selects"),
        };
        if !legal {
            core.illegal(&message, "it does not continue this server's history", out);
            return BY_LEADER;
        }
        if self.stage.is_logging() {
            if !matches!(message, Message::Commit { .. }) {
                core.storage.sync(out);
            }
            if self.stage > Stage::AwaitUpToDate && !matches!(message, Message::Proposal(_)) {
                self.note_committed(core, out);
            }
        }
        if self.stage > Stage::Preparing {
            core.deliver(self.delivery(), out);
        }
        Ok(())
    }

    /// A proposal must follow the last one (**BASE**: by the chain of `prev`s, across epochs too).
    fn take(&mut self, core: &mut Core, txn: &Arc<Txn>, out: &mut Vec<Effect>) -> bool {
        if self.stage.is_logging() {
            let follows = txn.prev == core.storage.last() && txn.zxid > txn.prev;
            if follows {
                core.append(txn.clone(), out);
            }
            follows
        } else {
            let follows = txn.prev == self.intake.tail() && txn.zxid > txn.prev;
            if follows {
                self.intake.proposals.push(txn.clone());
            }
            follows
        }
    }

    /// A COMMIT must be that of the first proposal not yet committed, logged or not.
    fn commit(&mut self, core: &mut Core, zxid: Zxid) -> bool {
        if let Some(next) = core.history.next_outstanding() {
            if next == zxid {
                core.history.mark_next();
            }
            return next == zxid;
        }
        let next = self.intake.proposals.get(self.intake.committed);
        let next = next.is_some_and(|txn| txn.zxid == zxid);
        self.intake.committed += usize::from(next);
        next
    }

    fn note_committed(&self, core: &mut Core, out: &mut Vec<Effect>) {
        let zxid = core.history.mark();
        core.history.set_committed(zxid);
        out.push(Effect::Note(Note::Committed { zxid }));
    }

    fn on_new_leader(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        self.stage = Stage::Preparing;
        if let Cut::Snap { chunks, .. } = &mut self.intake.cut {
            let chunks = std::mem::take(chunks);
            core.storage.install_snapshot(self.intake.base, chunks, out);
        }
        self.advance(core, out)
    }

    fn on_up_to_date(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        let applied = core.history.mark();
        // Now it is known: this history is a quorum's.
        self.note_committed(core, out);
        core.election.set_vote_epoch(self.epoch);
        if core.storage.is_blank() {
            self.stage = Stage::WritingMarker;
            core.storage.set_initialized(out);
        } else {
            self.stage = Stage::CatchingUp { applied };
        }
        self.advance(core, out)
    }
}

/// From NEWLEADER to serving: each step waits for the one before it to be durable or applied.
impl Learner {
    /// The disk has done something.
    pub(crate) fn on_disk_progress(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        if self.stage == Stage::WritingAcceptedEpoch && core.storage.accepted() == self.epoch {
            let current = core.storage.current();
            self.ack_epoch(core, Some(current), out);
        }
        match &mut self.intake.cut {
            Cut::Trunc { done } if !*done => {
                *done = !core.loading && core.storage.last() == self.intake.base;
            }
            Cut::Snap { installed, .. } if self.stage == Stage::Preparing => {
                *installed = !core.memory_ahead;
            }
            _ => {}
        }
        if self.stage > Stage::Preparing {
            core.deliver(self.delivery(), out);
        }
        self.advance(core, out)
    }

    pub(crate) fn advance(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        while let Some(next) = self.next_stage(core, out) {
            self.stage = next;
            match next {
                Stage::WritingCurrentEpoch { .. } => {
                    core.storage.set_current_epoch(self.epoch, out);
                }
                // What came in the meantime; it is acknowledged by itself.
                Stage::Applying { .. } => self.log_intake(core, out),
                Stage::AwaitUpToDate => {
                    self.acked = core.history.mark();
                    let epoch = self.epoch;
                    self.send(Message::AckNewLeader { epoch }, out);
                }
                Stage::Serving => {
                    core.enter(Phase::Broadcast, self.epoch, out);
                    self.set_deadline(core, out);
                }
                _ => {}
            }
        }
        self.ack(core, out);
        Ok(())
    }

    /// The next stage, if this one has what it waits for.
    fn next_stage(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Option<Stage> {
        match self.stage {
            Stage::Preparing => {
                let ready = match self.intake.cut {
                    Cut::Diff => true,
                    Cut::Trunc { done } => done && core.history.applied() == self.intake.base,
                    Cut::Snap { installed, .. } => installed,
                };
                ready.then(|| {
                    self.log_intake(core, out);
                    Stage::Logging {
                        durable: core.storage.last(),
                        applied: core.history.mark(),
                    }
                })
            }
            Stage::Logging { durable, applied } if core.storage.durable() >= durable => {
                Some(if core.storage.current() == self.epoch {
                    Stage::Applying { applied }
                } else {
                    Stage::WritingCurrentEpoch { applied }
                })
            }
            Stage::WritingCurrentEpoch { applied } if core.storage.current() == self.epoch => {
                Some(Stage::Applying { applied })
            }
            Stage::Applying { applied } if core.history.applied() >= applied => {
                Some(Stage::AwaitUpToDate)
            }
            Stage::WritingMarker if !core.storage.is_blank() => Some(Stage::CatchingUp {
                applied: core.history.mark(),
            }),
            Stage::CatchingUp { applied } if core.history.applied() >= applied => {
                Some(Stage::Serving)
            }
            _ => None,
        }
    }

    /// Everything received goes to the log, in order; what the leader had committed of it, to the application.
    fn log_intake(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
        let proposals = std::mem::take(&mut self.intake.proposals);
        let any = !proposals.is_empty();
        for txn in proposals {
            core.append(txn, out);
        }
        for _ in 0..std::mem::take(&mut self.intake.committed) {
            core.history.mark_next();
        }
        self.intake.base = core.storage.last();
        if any {
            core.storage.sync(out);
        }
    }

    /// Acknowledges what is durable, once NEWLEADER is acknowledged; a blank server once it may vote.
    fn ack(&mut self, core: &Core, out: &mut Vec<Effect>) {
        let zxid = core.storage.durable();
        let may_ack = self.stage >= Stage::AwaitUpToDate
            && !self.observer
            && !core.storage.is_blank();
        if may_ack && zxid > self.acked {
            self.acked = zxid;
            self.send(Message::Ack { zxid }, out);
        }
    }
}

/// For the application.
impl Learner {
    pub(crate) fn request(&mut self, payload: Payload, out: &mut Vec<Effect>) {
        if self.stage == Stage::Serving {
            self.send(Message::Request(payload), out);
        }
    }

    pub(crate) fn to_leader(&mut self, payload: Payload, out: &mut Vec<Effect>) {
        if self.stage == Stage::Serving {
            self.send(Message::App(payload), out);
        }
    }

    pub(crate) fn sync(&mut self, id: SyncId, quorum: bool, out: &mut Vec<Effect>) {
        if self.stage == Stage::Serving {
            self.syncs.push_back(id);
            self.send(Message::Sync { id, quorum }, out);
        } else {
            out.push(Effect::SyncLost { id });
        }
    }

    pub(crate) fn waiting_for(&self, core: &Core) -> String {
        let leader = self.leader;
        match self.stage {
            Stage::Connecting => format!("a link to {leader}"),
            Stage::AwaitLeaderInfo => format!("LEADERINFO from {leader}"),
            Stage::WritingAcceptedEpoch => format!("acceptedEpoch {} on disk", self.epoch),
            Stage::AwaitCut => format!("DIFF, TRUNC or SNAP from {leader}"),
            Stage::Receiving if !self.receives_history() => format!("a snapshot from {leader}"),
            Stage::Receiving => format!("NEWLEADER from {leader}"),
            Stage::Preparing => match self.intake.cut {
                Cut::Snap { .. } => format!("the snapshot from {leader} on disk"),
                _ => format!("its log to be cut to {}", self.intake.base),
            },
            Stage::Logging { durable, .. } => format!("its log up to {durable} on disk"),
            Stage::WritingCurrentEpoch { .. } => format!("currentEpoch {} on disk", self.epoch),
            Stage::Applying { applied } | Stage::CatchingUp { applied } => format!(
                "the application to apply {applied} (it is at {})",
                core.history.applied()
            ),
            Stage::AwaitUpToDate => format!("UPTODATE from {leader}"),
            Stage::WritingMarker => "the mark that it may vote on disk".into(),
            Stage::Serving => "nothing: it serves".into(),
        }
    }
}
