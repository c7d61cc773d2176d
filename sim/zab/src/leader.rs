//! A leader's part: choosing the epoch, getting a quorum to take over its history, broadcast (`Leader`).
//!
//! ```text
//!  Choosing ─► WritingAcceptedEpoch ─► AwaitEpochAcks ─► WritingCurrentEpoch ─► AwaitNewLeaderAcks ─► Established
//! ```
//!
//! Guarantees: LEADERINFO(e) goes out once acceptedEpoch = e is durable here, and e is higher than what a quorum had accepted;
//! a learner that had accepted e before does not count; NEWLEADER goes out once a quorum promised e; this server serves and
//! commits once a quorum, itself among it, has this history and currentEpoch = e on disk. A transaction is committed once a
//! quorum of the learners *on their present links* has it on disk, in order.
//!
//! An acknowledgement belongs to the link on which it came and dies with it. ZooKeeper keeps it by server; but a follower
//! that comes back on a new link with a proposal still outstanding is truncated to what is committed and gets the proposal
//! once more, so that an old acknowledgement would speak of a record that is gone (**BASE**).
//!
//! # Reconfiguration
//!
//! Whatever is counted is counted in the configurations that are in force when it is counted: in both while one is pending. The
//! one in the leader's own initial history is committed with that history, when the epoch is established. A leader that
//! activates a configuration without itself commits nothing more: it has named the voter with the longest acknowledged
//! history as the next leader, and goes at the next tick, or when the last learner has left it.
//!
//! # Blank disks
//!
//! A server whose disk was wiped may once have promised a higher epoch, or stored what nobody else in reach has. Say s3 leads
//! epoch 5 and is cut off from s1 and s2, who establish epoch 6 and commit there. Now s1 loses its disk, comes back, and
//! reaches only s3, which still believes that it leads: counting s1, s3 would have a quorum for epoch 5 and commit against
//! epoch 6. So nothing that a blank server says counts, until an *established* leader has had a fresh answer, begun after that
//! server introduced itself, from a quorum *without* it: any epoch in which the server took part before the wipe needs one of
//! those who answered, and they still follow this leader. Only then it gets UPTODATE, marks its disk, and counts (**BASE**).
//! One more door is closed: a leader of a higher epoch that has the wiped server's old promise in hand refuses, until it is
//! established, everybody who knows more than it does (`ahead-of-leader`), where ZooKeeper stops looking after a quorum
//! of promises.

mod broadcast;
mod synchronization;

use crate::core::{Core, Flow, Leave};
use crate::handler::{Handler, HandlerStage};
use crate::marks::mark;
use crate::sync::{Committed, Decision, decide};
use crate::{
    Bug, Delivery, Effect, Epoch, LinkId, Message, Payload, PeerId, PeerSet, Phase, SyncId, Time,
    Timer, Zxid,
};
use std::collections::{BTreeMap, VecDeque};

pub(crate) struct Leader {
    me: PeerId,
    stage: Stage,
    /// When this stage began: each lasts at most initLimit until the epoch is established.
    since: Time,
    epoch: Epoch,
    /// What this server was elected with: (currentEpoch, tail of the log).
    initial: (Epoch, Zxid),
    /// The highest epoch that anybody who introduced itself has accepted.
    accepted: Epoch,
    /// Who introduced itself, promised the epoch, took over the history.
    introduced: PeerSet,
    promised: PeerSet,
    acknowledged: PeerSet,
    handlers: BTreeMap<LinkId, Handler>,
    proposed: Zxid,
    half_ticks: u64,
    ping_round: u64,
    log_reads: u64,
    barriers: VecDeque<Barrier>,
    /// It activated a configuration without itself.
    retired: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Choosing,
    WritingAcceptedEpoch,
    AwaitEpochAcks,
    WritingCurrentEpoch,
    AwaitNewLeaderAcks,
    Established,
}

/// A `sync` that is not answered yet.
struct Barrier {
    /// The learner's link; none for this server's own application.
    link: Option<LinkId>,
    id: SyncId,
    /// What must be committed.
    zxid: Zxid,
    /// The ping round that a quorum must have answered, to prove that this server led when the `sync` came.
    round: Option<u64>,
}

/// What a learner introduces itself with.
struct Info {
    accepted: Epoch,
    observer: bool,
    blank: bool,
    config: Zxid,
}

const RETIRED: Flow = Err(Leave::StepDown(
    "it is no voter of the configuration that it activated",
));

impl Leader {
    pub(crate) fn new(core: &Core) -> Leader {
        let me = core.config.id;
        let mut introduced = PeerSet::new();
        introduced.insert(me);
        Leader {
            me,
            stage: Stage::Choosing,
            since: core.now,
            epoch: core.storage.current(),
            initial: (core.storage.current(), core.storage.durable()),
            accepted: core.storage.accepted(),
            introduced,
            promised: PeerSet::new(),
            acknowledged: PeerSet::new(),
            handlers: BTreeMap::new(),
            proposed: Zxid::ZERO,
            half_ticks: 0,
            ping_round: 0,
            log_reads: 0,
            barriers: VecDeque::new(),
            retired: false,
        }
    }

    pub(crate) fn begin(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        self.set_tick(core, out);
        if core.config.bugs.has(Bug::SnapshotOnLeadEntry) && core.snapshot.is_none() {
            core.take_snapshot(out);
        }
        self.choose_epoch(core, out)
    }

    /// Closes what is open.
    pub(crate) fn close(&mut self, out: &mut Vec<Effect>) {
        for (link, handler) in std::mem::take(&mut self.handlers) {
            handler.close(link, out);
        }
        for barrier in self.barriers.drain(..) {
            if barrier.link.is_none() {
                out.push(Effect::SyncLost { id: barrier.id });
            }
        }
    }

    /// How what is marked as committed reaches the application.
    pub(crate) fn delivery(&self) -> Delivery {
        Delivery::Committed
    }

    fn enter(&mut self, core: &Core, stage: Stage) {
        self.stage = stage;
        self.since = core.now;
    }

    fn established(&self) -> bool {
        self.stage == Stage::Established
    }
}

/// Discovery.
impl Leader {
    pub(crate) fn on_link_opened(
        &mut self,
        core: &mut Core,
        link: LinkId,
        peer: PeerId,
        out: &mut Vec<Effect>,
    ) -> Flow {
        // Strangers too: they follow without a vote until a reconfiguration names them.
        if peer == self.me {
            out.push(Effect::CloseLink { link });
            return Ok(());
        }
        let old: Vec<LinkId> = self
            .handlers
            .iter()
            .filter(|(_, handler)| handler.peer == peer)
            .map(|(link, _)| *link)
            .collect();
        for old in old {
            // A learner has one link; this end has not noticed yet that the other one is gone.
            mark("link-replaced", out);
            self.drop_learner(old, out);
        }
        let handler = Handler::new(peer, core.now, core.config.bugs);
        self.handlers.insert(link, handler);
        Ok(())
    }

    pub(crate) fn on_link_broken(
        &mut self,
        _core: &mut Core,
        link: LinkId,
        out: &mut Vec<Effect>,
    ) -> Flow {
        if let Some(handler) = self.handlers.remove(&link) {
            handler.abandon_snapshot(out);
            self.barriers.retain(|barrier| barrier.link != Some(link));
        }
        if self.retired && self.handlers.is_empty() {
            return RETIRED;
        }
        Ok(())
    }

    /// Closes a learner's link; the learner will notice and come back.
    fn drop_learner(&mut self, link: LinkId, out: &mut Vec<Effect>) {
        if let Some(handler) = self.handlers.remove(&link) {
            handler.close(link, out);
            self.barriers.retain(|barrier| barrier.link != Some(link));
        }
    }

    fn on_learner_info(
        &mut self,
        core: &mut Core,
        link: LinkId,
        info: Info,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let Info {
            accepted,
            observer,
            blank,
            config,
        } = info;
        if config > core.membership.active().version() {
            let pending = core.membership.pending().cloned();
            match pending.filter(|pending| pending.version() == config) {
                Some(pending) => {
                    mark("config-proven", out);
                    core.activate(&pending, out);
                }
                // Its history has what this leader's lacks: this one cannot be established (or has been overtaken).
                None => {
                    mark("config-outdone", out);
                    self.drop_learner(link, out);
                    return Ok(());
                }
            }
        }
        if self.stage > Stage::Choosing && accepted > self.epoch {
            // It would refuse this epoch for ever: it once followed a leader that got no further than LEADERINFO. ZooKeeper
            // leaves it outside until something else causes an election; we choose a higher epoch (**BASE**).
            mark("epoch-outdone", out);
            return Err(Leave::StepDown("a learner has accepted a higher epoch"));
        }
        let handler = self.handlers.get_mut(&link).expect("the caller looked");
        handler.enter(HandlerStage::AwaitLeaderInfo, core.now);
        handler.observer = observer;
        handler.blank = blank;
        handler.unmarked = blank;
        handler.introduced_in = self.ping_round;
        if handler.counts() {
            self.introduced.insert(handler.peer);
        }
        self.accepted = self.accepted.max(accepted);
        if self.stage >= Stage::AwaitEpochAcks {
            handler.propose_epoch(link, self.epoch, core.now, out);
            Ok(())
        } else {
            self.choose_epoch(core, out)
        }
    }

    fn choose_epoch(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        if self.stage != Stage::Choosing || !core.membership.is_quorum(self.introduced) {
            return Ok(());
        }
        let Some(epoch) = self.accepted.0.checked_add(1) else {
            return Err(Leave::Stop(format!(
                "epoch {} is accepted already: there is none left to lead",
                self.accepted
            )));
        };
        let raised = !core.config.bugs.has(Bug::EpochNotRaised) || epoch == 1;
        self.epoch = Epoch(epoch - u32::from(!raised));
        self.enter(core, Stage::WritingAcceptedEpoch);
        core.storage.set_accepted_epoch(self.epoch, out);
        if core.config.bugs.has(Bug::EpochProposedBeforeDurable) {
            self.on_accepted_epoch_durable(core, out);
        }
        Ok(())
    }

    fn on_accepted_epoch_durable(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
        self.enter(core, Stage::AwaitEpochAcks);
        core.enter(Phase::Discovery, self.epoch, out);
        for (link, handler) in &mut self.handlers {
            if handler.stage == HandlerStage::AwaitLeaderInfo {
                handler.propose_epoch(*link, self.epoch, core.now, out);
            }
        }
        self.promised.insert(self.me);
        self.count_promises(core, out);
    }

    fn on_ack_epoch(
        &mut self,
        core: &mut Core,
        link: LinkId,
        message: &Message,
        out: &mut Vec<Effect>,
    ) {
        let &Message::AckEpoch {
            last,
            current,
            floor,
        } = message
        else {
            unreachable!("the caller selects");
        };
        let ahead = current.is_some_and(|current| (current, last) > self.initial);
        let goes_on = core.config.bugs.has(Bug::StaleLeaderGoesOn);
        if ahead && !self.established() && !goes_on {
            mark("ahead-of-leader", out);
            self.drop_learner(link, out);
            return;
        }
        let handler = self.handlers.get_mut(&link).expect("the caller looked");
        handler.last = last;
        handler.floor = floor;
        handler.enter(HandlerStage::AwaitCut, core.now);
        let counted = current.is_some() || core.config.bugs.has(Bug::CountMinusOneAckEpoch);
        if handler.counts() && counted {
            self.promised.insert(handler.peer);
        }
        if self.stage >= Stage::AwaitNewLeaderAcks {
            self.synchronize(core, link, out);
        } else {
            self.count_promises(core, out);
        }
    }

    fn count_promises(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
        if self.stage == Stage::AwaitEpochAcks
            && is_quorum(core, self.promised, Bug::PromisesBelowQuorum)
        {
            self.enter(core, Stage::WritingCurrentEpoch);
            core.enter(Phase::Synchronization, self.epoch, out);
            core.storage.set_current_epoch(self.epoch, out);
        }
    }

    fn on_current_epoch_durable(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        self.enter(core, Stage::AwaitNewLeaderAcks);
        // Its history was durable before the election.
        self.acknowledged.insert(self.me);
        let waiting: Vec<LinkId> = self
            .handlers
            .iter()
            .filter(|(_, handler)| handler.stage == HandlerStage::AwaitCut)
            .map(|(link, _)| *link)
            .collect();
        for link in waiting {
            self.synchronize(core, link, out);
        }
        self.count_acknowledgements(core, out)
    }

    /// The disk has done something.
    pub(crate) fn on_disk_progress(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        match self.stage {
            Stage::WritingAcceptedEpoch if core.storage.accepted() == self.epoch => {
                self.on_accepted_epoch_durable(core, out);
                Ok(())
            }
            Stage::WritingCurrentEpoch if core.storage.current() == self.epoch => {
                self.on_current_epoch_durable(core, out)
            }
            Stage::Established => {
                self.commit(core, out)?;
                core.deliver(self.delivery(), out);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Messages.
impl Leader {
    pub(crate) fn on_message(
        &mut self,
        core: &mut Core,
        link: LinkId,
        message: Message,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let Some(handler) = self.handlers.get_mut(&link) else {
            return Ok(());
        };
        handler.heard = core.now;
        let from = handler.peer;
        match (message, handler.stage) {
            (
                Message::LearnerInfo {
                    accepted,
                    observer,
                    blank,
                    config,
                },
                HandlerStage::AwaitInfo,
            ) => {
                let info = Info {
                    accepted,
                    observer,
                    blank,
                    config,
                };
                return self.on_learner_info(core, link, info, out);
            }
            (message @ Message::AckEpoch { .. }, HandlerStage::AwaitEpochAck) => {
                self.on_ack_epoch(core, link, &message, out);
            }
            (Message::AckNewLeader { epoch }, HandlerStage::AwaitAck) if epoch == self.epoch => {
                return self.on_ack_new_leader(core, link, out);
            }
            (Message::Ack { zxid }, stage)
                if stage >= HandlerStage::Acknowledged && !handler.observer =>
            {
                return self.on_ack(core, link, zxid, out);
            }
            (Message::Pong { round }, stage)
                if stage > HandlerStage::AwaitEpochAck && round <= self.ping_round =>
            {
                handler.pong = handler.pong.max(round);
                self.on_pong(core, out);
            }
            (Message::Request(payload), HandlerStage::UpToDate) => {
                out.push(Effect::RequestReceived { from, payload });
            }
            (Message::App(payload), HandlerStage::UpToDate) => {
                out.push(Effect::FromLearner { from, payload });
            }
            (Message::Sync { id, quorum }, HandlerStage::UpToDate) => {
                return self.sync(core, Some(link), id, quorum, out);
            }
            (message, _) => {
                core.illegal(&message, "not expected from a learner at this point", out);
                self.drop_learner(link, out);
            }
        }
        Ok(())
    }

    pub(crate) fn tell_learner(&mut self, peer: PeerId, payload: Payload, out: &mut Vec<Effect>) {
        let receiver = self
            .handlers
            .iter_mut()
            .find(|(_, handler)| handler.peer == peer && handler.stage == HandlerStage::UpToDate);
        if let Some((link, handler)) = receiver {
            handler.send(*link, Message::App(payload), out);
        }
    }
}

/// Time.
impl Leader {
    fn set_tick(&self, core: &Core, out: &mut Vec<Effect>) {
        out.push(Effect::SetTimer {
            timer: Timer::Tick,
            at: Time(core.now.0 + core.config.tick_us / 2),
        });
    }

    pub(crate) fn on_tick(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        self.set_tick(core, out);
        self.half_ticks += 1;
        if self.retired {
            return RETIRED;
        }
        let whole = self.half_ticks.is_multiple_of(2);
        if !self.established() {
            if core.passed(self.since, core.config.init_limit) {
                mark("leader-never-established", out);
                return Err(Leave::StepDown("no quorum within initLimit"));
            }
        } else {
            let blind = core.config.bugs.has(Bug::LeaderIgnoresLostQuorum);
            if whole && !core.membership.is_quorum(self.heard(core, true)) && !blind {
                mark("leader-lost-quorum", out);
                return Err(Leave::StepDown("no quorum of synchronized followers"));
            }
            self.ping(out);
        }
        if whole {
            self.cut_off_laggards(core, out);
        }
        Ok(())
    }

    /// Who counts, and was heard of within syncLimit; of the formerly blank, perhaps only those whose disks are marked.
    fn heard(&self, core: &Core, unmarked_too: bool) -> PeerSet {
        let mut heard = PeerSet::new();
        heard.insert(self.me);
        for handler in self.handlers.values() {
            let counts = handler.counts()
                && (unmarked_too || !handler.unmarked)
                && handler.stage >= HandlerStage::Acknowledged;
            if counts && !core.passed(handler.heard, core.config.sync_limit) {
                heard.insert(handler.peer);
            }
        }
        heard
    }

    fn cut_off_laggards(&mut self, core: &Core, out: &mut Vec<Effect>) {
        let config = &core.config;
        let late: Vec<(LinkId, &'static str)> = self
            .handlers
            .iter()
            .filter_map(|(link, handler)| {
                let silent = if handler.stage == HandlerStage::UpToDate {
                    core.passed(handler.heard, config.sync_limit)
                } else {
                    core.passed(handler.since, config.init_limit + config.sync_limit)
                };
                let behind = handler
                    .unacknowledged_since
                    .is_some_and(|since| core.passed(since, config.sync_limit));
                if silent {
                    Some((*link, "learner-silent"))
                } else if behind && handler.stage == HandlerStage::UpToDate {
                    Some((*link, "learner-behind"))
                } else {
                    None
                }
            })
            .collect();
        for (link, why) in late {
            mark(why, out);
            self.drop_learner(link, out);
        }
    }

    pub(crate) fn waiting_for(&self, core: &Core) -> String {
        let quorum_of = |what: &str, has: PeerSet| {
            let needs = core.membership.voters().into_iter();
            let names = |peers: Vec<PeerId>| {
                let names: Vec<String> = peers.iter().map(PeerId::to_string).collect();
                names.join(" ")
            };
            format!(
                "{what} of a quorum: has {}, needs of {}",
                names(has.iter().collect()),
                names(needs.filter(|id| !has.contains(*id)).collect())
            )
        };
        match self.stage {
            Stage::Choosing => quorum_of("FOLLOWERINFO", self.introduced),
            Stage::WritingAcceptedEpoch => format!("acceptedEpoch {} on disk", self.epoch),
            Stage::AwaitEpochAcks => quorum_of("ACKEPOCH", self.promised),
            Stage::WritingCurrentEpoch => format!("currentEpoch {} on disk", self.epoch),
            Stage::AwaitNewLeaderAcks => quorum_of("ACK(NEWLEADER)", self.acknowledged),
            Stage::Established => match core.history.next_outstanding() {
                None => "nothing: it serves".into(),
                Some(zxid) => {
                    let mut has = PeerSet::new();
                    if core.storage.durable() >= zxid {
                        has.insert(self.me);
                    }
                    for handler in self.handlers.values() {
                        if handler.counts() && handler.acked >= zxid {
                            has.insert(handler.peer);
                        }
                    }
                    quorum_of(&format!("ACK({zxid})"), has)
                }
            },
        }
    }
}

/// Whether these peers are a quorum; with this bug, whether they are half of the voters.
fn is_quorum(core: &Core, set: PeerSet, bug: Bug) -> bool {
    let half = || 2 * set.len() >= core.membership.voters().len();
    core.membership.is_quorum(set) || core.config.bugs.has(bug) && half()
}

fn decide_for(core: &Core, handler: &Handler, may_read_disk: bool) -> Decision {
    let history = &core.history;
    let floor_of = |zxid: Zxid| history.floor_of(zxid).expect("asked within the range");
    let committed = Committed {
        base: history.base(),
        last: history.mark(),
        floor_of: &floor_of,
    };
    decide(handler.last, handler.floor, &committed, may_read_disk)
}
