//! What a learner gets from its leader: the epoch, the history, then the broadcast; and the steps from NEWLEADER to serving.

use super::{BY_LEADER, Cut, Intake, Learner, Stage};
use crate::core::{Core, Flow, Leave, chained};
use crate::marks::mark;
use crate::{Bug, Delivery, Effect, Epoch, LinkId, Message, PeerId, Phase, Txn, Zxid};
use std::sync::Arc;

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
                if !self.intake.is_complete() {
                    core.illegal(&message, "DIFF promised more history than came", out);
                    return BY_LEADER;
                }
                self.on_new_leader(core, out)
            }
            Message::Proposal(_)
            | Message::Commit { .. }
            | Message::Inform(_)
            | Message::CommitAndActivate { .. }
            | Message::InformAndActivate { .. } => self.on_history(core, message, out),
            Message::UpToDate if self.stage == Stage::AwaitUpToDate => {
                self.on_up_to_date(core, out)
            }
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
    pub(super) fn receives_history(&self) -> bool {
        let snapshot_pending = matches!(
            self.intake.cut,
            Cut::Snap {
                complete: false,
                ..
            }
        );
        self.stage == Stage::Receiving && !snapshot_pending
    }

    pub(super) fn on_leader_info(
        &mut self,
        core: &mut Core,
        epoch: Epoch,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let accepted = core.storage.accepted();
        if core.config.bugs.has(Bug::LowerEpochAccepted) && epoch < accepted {
            self.epoch = epoch;
            let current = core.storage.current();
            self.ack_epoch(core, Some(current), out);
            return Ok(());
        }
        if epoch < accepted {
            mark("epoch-too-low", out);
            return Err(Leave::StepDown(
                "the leader's epoch is lower than the accepted one",
            ));
        }
        self.epoch = epoch;
        // A blank disk's epochs may be mere guesses from the tail of a history that it had begun to take over: both are
        // written, so that a disk marked as fit to vote has them. It does not count in any case.
        if epoch == accepted && !core.storage.is_blank() {
            // Promised before, perhaps to another leader of the same number: a second promise must not count for either.
            mark("ackepoch-minus-one", out);
            self.ack_epoch(core, None, out);
        } else {
            self.stage = Stage::WritingAcceptedEpoch;
            core.storage.set_accepted_epoch(epoch, out);
            if core.config.bugs.has(Bug::EpochPromisedBeforeDurable) {
                let current = core.storage.current();
                self.ack_epoch(core, Some(current), out);
            }
        }
        Ok(())
    }

    pub(super) fn ack_epoch(
        &mut self,
        core: &mut Core,
        current: Option<Epoch>,
        out: &mut Vec<Effect>,
    ) {
        self.stage = Stage::AwaitCut;
        core.enter(Phase::Synchronization, self.epoch, out);
        let ack = Message::AckEpoch {
            last: core.last(),
            current,
            floor: core.storage.floor(),
        };
        self.send(ack, out);
    }

    pub(super) fn on_cut(
        &mut self,
        core: &mut Core,
        message: Message,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let last = core.storage.last();
        let mut promised = Zxid::ZERO;
        let (cut, base) = match message {
            Message::Trunc { to } if to >= last || to < core.storage.floor() => {
                core.illegal(&message, "there is no such cut in this log", out);
                return BY_LEADER;
            }
            Message::Trunc { to } => {
                core.storage.truncate(to, out);
                (Cut::Trunc { done: false }, to)
            }
            Message::Snap { zxid, membership } => {
                if zxid < last {
                    mark("snap-below-tail", out);
                }
                let cut = Cut::Snap {
                    chunks: Vec::new(),
                    membership,
                    complete: false,
                    installed: false,
                };
                (cut, zxid)
            }
            Message::Diff { to } => {
                promised = to;
                core.haunted.claimed = to;
                (Cut::Diff, last)
            }
            _ => unreachable!("the caller selects"),
        };
        self.stage = Stage::Receiving;
        self.intake = Intake {
            cut,
            base,
            proposals: Vec::new(),
            promised,
            committed: 0,
        };
        Ok(())
    }

    pub(super) fn on_snapshot_chunk(
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
    pub(super) fn on_history(
        &mut self,
        core: &mut Core,
        message: Message,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let wrong = match (&message, self.observer) {
            _ if self.stage < Stage::Receiving => Some("before DIFF, TRUNC or SNAP"),
            _ if self.stage == Stage::Receiving && !self.receives_history() => {
                Some("inside of a snapshot")
            }
            (Message::Inform(_) | Message::InformAndActivate { .. }, false) => {
                Some("a follower gets PROPOSAL and COMMIT")
            }
            (
                Message::Proposal(_) | Message::Commit { .. } | Message::CommitAndActivate { .. },
                true,
            ) if self.stage > Stage::Receiving => Some("an observer gets INFORM"),
            _ => None,
        };
        if let Some(why) = wrong {
            core.illegal(&message, why, out);
            return BY_LEADER;
        }
        if self.stage > Stage::Receiving && self.stage <= Stage::AwaitUpToDate {
            match message {
                Message::Proposal(_) => mark("proposal-before-uptodate", out),
                _ => mark("commit-before-uptodate", out),
            }
        }
        let amid = self.stage >= Stage::Preparing && self.stage <= Stage::AwaitUpToDate;
        let legal = match &message {
            Message::Commit { .. }
                if amid && core.config.bugs.has(Bug::DropUncommittedOnNewLeader) =>
            {
                false
            }
            Message::Proposal(txn) => {
                let taken = self.take(core, txn, out);
                self.commit_at_once(core);
                taken
            }
            Message::Commit { zxid } | Message::CommitAndActivate { zxid, .. } => {
                self.commit(core, *zxid)
            }
            Message::Inform(txn) | Message::InformAndActivate { txn, .. } => {
                self.take(core, txn, out) && self.commit(core, txn.zxid)
            }
            _ => unreachable!("the caller selects"),
        };
        if !legal {
            core.illegal(&message, "it does not continue this server's history", out);
            return BY_LEADER;
        }
        if self.is_logging(core) {
            let commit = matches!(
                message,
                Message::Commit { .. } | Message::CommitAndActivate { .. }
            );
            if !commit {
                core.storage.sync(out);
            }
            if self.stage > Stage::AwaitUpToDate && !matches!(message, Message::Proposal(_)) {
                core.note_committed(out);
                core.activate_up_to(core.history.mark(), out);
            }
        }
        if self.stage > Stage::Preparing {
            core.deliver(self.delivery(), out);
        }
        if core.config.bugs.has(Bug::AckBeforeFsync) {
            self.ack(core, out);
        }
        match message {
            Message::CommitAndActivate { leader, .. }
            | Message::InformAndActivate { leader, .. } => self.on_activation(core, leader, out),
            _ => Ok(()),
        }
    }

    /// The configuration that came with this commit is in force. Before UPTODATE that is not known yet.
    fn on_activation(&mut self, core: &Core, leader: PeerId, out: &mut Vec<Effect>) -> Flow {
        if leader != self.leader {
            mark("hand-over", out);
            return Err(Leave::HandOver(leader, "the leader handed over to another"));
        }
        if self.stage > Stage::AwaitUpToDate && core.observes() != self.observer {
            mark("new-role", out);
            return Err(Leave::HandOver(
                leader,
                "the new configuration gives it another role",
            ));
        }
        Ok(())
    }

    /// A proposal must follow the last one (**BASE**: by the chain of `prev`s, across epochs too).
    pub(super) fn take(&mut self, core: &mut Core, txn: &Arc<Txn>, out: &mut Vec<Effect>) -> bool {
        let unchained = !chained(core.config.bugs);
        if self.is_logging(core) {
            let follows = unchained || txn.prev == core.storage.last() && txn.zxid > txn.prev;
            let bug = core.config.bugs.has(Bug::CommitsBeforeUptodateNotLogged);
            if bug && self.stage <= Stage::AwaitUpToDate {
                core.haunted.unlogged = txn.zxid;
                core.history.push(txn.clone());
            } else if follows {
                core.append(txn.clone(), out);
            }
            follows
        } else {
            let follows = unchained || txn.prev == self.intake.tail() && txn.zxid > txn.prev;
            if follows {
                self.intake.proposals.push(txn.clone());
            }
            follows
        }
    }

    /// With a bug a proposal is as good as its commit.
    fn commit_at_once(&self, core: &mut Core) {
        if core.config.bugs.has(Bug::AppliesProposals) && self.stage == Stage::Serving {
            core.history.mark_next();
        }
    }

    /// A COMMIT must be that of the first proposal not yet committed, logged or not.
    pub(super) fn commit(&mut self, core: &mut Core, zxid: Zxid) -> bool {
        if core.config.bugs.has(Bug::AppliesProposals) && zxid <= core.history.mark() {
            return true;
        }
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

    pub(super) fn on_new_leader(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        self.stage = Stage::Preparing;
        if let Cut::Snap {
            chunks, membership, ..
        } = &mut self.intake.cut
        {
            let (chunks, zxid) = (std::mem::take(chunks), self.intake.base);
            let membership = core.replace_membership(membership, out);
            core.storage.install_snapshot(zxid, chunks, membership, out);
        }
        if core.config.bugs.has(Bug::EpochBeforeHistory) {
            core.storage.set_current_epoch(self.epoch, out);
        }
        self.advance(core, out)
    }

    pub(super) fn on_up_to_date(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        if core.config.bugs.has(Bug::LogSyncTxnsAtUptodate) {
            self.log_intake(core, out);
        }
        if core.config.bugs.has(Bug::CurrentEpochOnUptodate) {
            core.storage.set_current_epoch(self.epoch, out);
        }
        let applied = core.history.mark();
        // Now it is known: this history is a quorum's.
        core.note_committed(out);
        core.activate_up_to(applied, out);
        core.forget_rumour();
        core.election.set_vote_epoch(self.epoch);
        if core.storage.is_blank() {
            self.stage = Stage::WritingMarker;
            core.storage.set_initialized(out);
        } else {
            self.stage = Stage::CatchingUp { applied };
        }
        self.advance(core, out)?;
        // What was activated before this server could know it.
        self.on_activation(core, self.leader, out)
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
                let cut = core.storage.last() == self.intake.base;
                *done = !core.loading && (cut || !chained(core.config.bugs));
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
                Stage::Applying { .. } if self.is_logging(core) => self.log_intake(core, out),
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
    pub(super) fn next_stage(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Option<Stage> {
        let bugs = core.config.bugs;
        match self.stage {
            Stage::Preparing => {
                let ready = match self.intake.cut {
                    Cut::Diff => true,
                    Cut::Trunc { done } => done && core.history.applied() >= self.intake.base,
                    Cut::Snap { installed, .. } => installed,
                };
                let waits =
                    bugs.has(Bug::EpochBeforeHistory) && core.storage.current() < self.epoch;
                (ready && !waits).then(|| {
                    if !bugs.has(Bug::LogSyncTxnsAtUptodate) {
                        self.log_intake(core, out);
                    }
                    if bugs.has(Bug::ProposalAckBeforeNewLeaderAck) {
                        self.acked = core.storage.last();
                    }
                    Stage::Logging {
                        durable: core.storage.last(),
                        applied: core.history.mark(),
                    }
                })
            }
            Stage::Logging { durable, applied }
                if core.storage.durable() >= durable || bugs.has(Bug::AckNewLeaderBeforeFsync) =>
            {
                let written = core.storage.current() == self.epoch && !core.storage.is_blank()
                    || bugs.has(Bug::CurrentEpochOnUptodate);
                Some(if written {
                    Stage::Applying { applied }
                } else {
                    Stage::WritingCurrentEpoch { applied }
                })
            }
            Stage::WritingCurrentEpoch { applied } if core.storage.current() == self.epoch => {
                Some(Stage::Applying { applied })
            }
            Stage::Applying { applied }
                if core.history.applied() >= applied
                    || bugs.has(Bug::ApplySyncTxnsAsync)
                    || bugs.has(Bug::AckNewLeaderBeforeFsync) =>
            {
                Some(Stage::AwaitUpToDate)
            }
            Stage::WritingMarker if !core.storage.is_blank() => {
                // The leader must hear of it, whatever it has heard before.
                self.acked = core.storage.durable();
                if !self.observer {
                    let zxid = self.acked;
                    self.send(Message::Ack { zxid }, out);
                }
                Some(Stage::CatchingUp {
                    applied: core.history.mark(),
                })
            }
            Stage::CatchingUp { applied }
                if core.history.applied() >= applied
                    || bugs.has(Bug::ServeBeforeSyncCommitsApplied) =>
            {
                Some(Stage::Serving)
            }
            _ => None,
        }
    }

    /// Everything received goes to the log, in order; what the leader had committed of it, to the application.
    pub(super) fn log_intake(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
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
    pub(super) fn ack(&mut self, core: &Core, out: &mut Vec<Effect>) {
        let zxid = match core.config.bugs.has(Bug::AckBeforeFsync) {
            true => core.storage.last(),
            false => core.storage.durable(),
        };
        let early =
            core.config.bugs.has(Bug::ProposalAckBeforeNewLeaderAck) && self.is_logging(core);
        let acknowledged = self.stage >= Stage::AwaitUpToDate;
        let may_ack = (acknowledged || early) && !self.observer && !core.storage.is_blank();
        if may_ack && zxid > self.acked {
            self.acked = zxid;
            self.send(Message::Ack { zxid }, out);
        }
    }
}
