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

mod synchronization;

use crate::core::{Core, Flow, Leave};
use crate::marks::mark;
use crate::{
    Bug, Delivery, Effect, Epoch, LinkId, Membership, Message, Payload, PeerId, SyncId, Time,
    Timer, Txn, Zxid,
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
    Logging {
        durable: Zxid,
        applied: Zxid,
    },
    WritingCurrentEpoch {
        applied: Zxid,
    },
    Applying {
        applied: Zxid,
    },
    AwaitUpToDate,
    /// A formerly blank disk is being marked as fit to vote.
    WritingMarker,
    /// The commits that came before UPTODATE are being applied: a client must not be served in between (ZOOKEEPER-2807).
    CatchingUp {
        applied: Zxid,
    },
    Serving,
}

impl Stage {
    /// From here on proposals go to the log as they come. Not while currentEpoch is being written: what it vouches for is
    /// durable before it, the rest comes after it.
    fn is_logging(self) -> bool {
        self >= Stage::Applying {
            applied: Zxid::ZERO,
        }
    }
}

/// The history that the leader sends, until it is logged.
#[derive(Default)]
struct Intake {
    cut: Cut,
    /// Where the proposals begin: the last transaction of this server's history that stays, or the snapshot's.
    base: Zxid,
    proposals: Vec<Arc<Txn>>,
    /// What DIFF said that the leader had committed: NEWLEADER must find all of it here.
    promised: Zxid,
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
        membership: Arc<Membership>,
        complete: bool,
        installed: bool,
    },
}

impl Intake {
    fn tail(&self) -> Zxid {
        self.proposals.last().map_or(self.base, |txn| txn.zxid)
    }

    /// Whether everything promised is here, and known to be committed.
    fn is_complete(&self) -> bool {
        let committed = self.proposals[..self.committed].last();
        committed.map_or(self.base, |txn| txn.zxid) >= self.promised
    }
}

const BY_LEADER: Flow = Err(Leave::StepDown("the leader sent an illegal message"));

impl Learner {
    pub(crate) fn new(core: &Core, leader: PeerId) -> Learner {
        Learner {
            leader,
            observer: core.observes(),
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
            !matches!(
                self.intake.cut,
                Cut::Snap {
                    complete: true,
                    installed: false,
                    ..
                }
            ) || core.memory_ahead
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

    /// Whether proposals go to the log as they come.
    fn is_logging(&self, core: &Core) -> bool {
        let late = core.config.bugs.has(Bug::LogSyncTxnsAtUptodate);
        self.stage.is_logging() && !(late && self.stage <= Stage::AwaitUpToDate)
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
            config: core.membership.active().version(),
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
        mark("leader-link-broke", out);
        Err(Leave::StepDown("the link to the leader broke"))
    }

    fn retry(&mut self, core: &Core, out: &mut Vec<Effect>) -> Flow {
        self.failures += 1;
        if self.failures >= CONNECT_TRIES {
            mark("leader-unreachable", out);
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
            mark("leader-silent", out);
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

/// For the application.
impl Learner {
    pub(crate) fn request(&mut self, payload: Payload, out: &mut Vec<Effect>) {
        if self.stage == Stage::Serving {
            self.send(Message::Request(payload), out);
        }
    }

    pub(crate) fn tell_leader(&mut self, payload: Payload, out: &mut Vec<Effect>) {
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
