//! A leader brings its learners up to date, until a quorum has its history (`LearnerHandler.syncFollower`,
//! `Leader.waitForNewLeaderAck`).

use super::{Leader, Stage, decide_for, is_quorum};
use crate::core::{Core, Flow};
use crate::handler::HandlerStage;
use crate::marks::mark;
use crate::sync::{Decision, Why, decide_within};
use crate::{
    Bug, Effect, LinkId, Message, Note, Payload, Phase, SnapshotId, SyncKind, SyncSource, Txn, Zxid,
};
use std::sync::Arc;

/// Synchronization.
impl Leader {
    /// Chooses how to bring a learner up to date, sends all of it, and lets it take part in the broadcast from exactly there.
    ///
    /// One step: between the choice and joining nothing can be committed that is in neither (ZOOKEEPER-962).
    pub(super) fn synchronize(&mut self, core: &mut Core, link: LinkId, out: &mut Vec<Effect>) {
        let may_read = core.config.disk_diff_bytes_max > 0;
        let handler = &self.handlers[&link];
        let decision = decide_for(core, handler, may_read);
        let from_memory = !matches!(decision, Decision::ReadDisk | Decision::Snap(_));
        if from_memory && core.config.bugs.has(Bug::NonatomicDiffAndForward) {
            return self.synchronize_later(core, link, decision, out);
        }
        match decision {
            Decision::ReadDisk => {
                self.log_reads += 1;
                let token = self.log_reads;
                let handler = self.handlers.get_mut(&link).expect("looked up above");
                handler.enter(HandlerStage::ReadingLog { token }, core.now);
                core.storage.read_log_from(handler.last, token, out);
            }
            decision => self.synchronize_with(core, link, decision, &[], out),
        }
    }

    /// The history is chosen now, and sent when the disk has answered some question; what is proposed or committed in between is
    /// in neither.
    fn synchronize_later(
        &mut self,
        core: &mut Core,
        link: LinkId,
        decision: Decision,
        out: &mut Vec<Effect>,
    ) {
        self.log_reads += 1;
        let token = self.log_reads;
        let handler = self
            .handlers
            .get_mut(&link)
            .expect("looked up by the caller");
        handler.chosen = Some((decision, core.history.mark()));
        handler.enter(HandlerStage::ReadingLog { token }, core.now);
        core.storage.read_log_from(core.storage.last(), token, out);
    }

    /// The log on disk was read for a learner. Meanwhile more may have been committed: the decision is made again, now.
    pub(crate) fn on_log_read(
        &mut self,
        core: &mut Core,
        token: u64,
        start: Zxid,
        txns: Option<Vec<Arc<Txn>>>,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let reading = HandlerStage::ReadingLog { token };
        let waiting = self
            .handlers
            .iter()
            .find(|(_, handler)| handler.stage == reading);
        let Some((&link, handler)) = waiting else {
            return Ok(());
        };
        let last = handler.last;
        if let Some((decision, _)) = handler.chosen {
            self.synchronize_with(core, link, decision, &[], out);
            return Ok(());
        }
        match decide_for(core, handler, true) {
            Decision::ReadDisk => {}
            decision => {
                mark("disk-diff-not-needed", out);
                self.synchronize_with(core, link, decision, &[], out);
                return Ok(());
            }
        }
        let Some(mut txns) = txns else {
            mark("disk-diff-unavailable", out);
            self.synchronize_with(core, link, Decision::Snap(Why::TooOld), &[], out);
            return Ok(());
        };
        // What follows `base` is in memory, where it is known how much of it is committed.
        let base = core.history.base();
        txns.truncate(txns.partition_point(|txn| txn.zxid <= base));
        let decision = if txns.last().map(|txn| txn.zxid) == Some(base) {
            decide_within(last, handler.floor, start)
        } else {
            mark("disk-diff-overtaken", out);
            Decision::Snap(Why::TooOld)
        };
        let txns = match decision {
            Decision::Snap(_) => &[],
            _ => &txns[..],
        };
        self.synchronize_with(core, link, decision, txns, out);
        Ok(())
    }

    pub(super) fn synchronize_with(
        &mut self,
        core: &mut Core,
        link: LinkId,
        decision: Decision,
        from_disk: &[Arc<Txn>],
        out: &mut Vec<Effect>,
    ) {
        let handler = self.handlers.get_mut(&link).expect("the caller looked");
        let last = handler.last;
        let to = core.history.mark();
        let (kind, first, from) = match decision {
            Decision::EmptyDiff => (SyncKind::EmptyDiff, Message::Diff { to }, last),
            Decision::Diff => (SyncKind::Diff, Message::Diff { to }, last),
            Decision::Trunc { to } => (SyncKind::Trunc, Message::Trunc { to }, to),
            Decision::TruncDiff { to } => (SyncKind::TruncDiff, Message::Trunc { to }, to),
            Decision::Snap(_) => {
                let zxid = if core.config.bugs.has(Bug::SnapshotClaimsCommitted) {
                    core.history.mark()
                } else {
                    core.history.applied()
                };
                let membership = Arc::new(core.membership.up_to(zxid));
                (SyncKind::Snap, Message::Snap { zxid, membership }, zxid)
            }
            Decision::ReadDisk => unreachable!("the disk was read"),
        };
        let source = if from_disk.is_empty() {
            SyncSource::CommittedLog
        } else {
            SyncSource::DiskLog
        };
        out.push(Effect::Note(Note::SyncChosen {
            learner: handler.peer,
            last,
            kind,
            source,
        }));
        let first = match first {
            Message::Trunc { to } if core.config.bugs.has(Bug::TruncTooShort) => Message::Trunc {
                to: to.next().min(Zxid(last.0 - 1)),
            },
            first => first,
        };
        handler.enter(HandlerStage::AwaitAck, core.now);
        handler.send(link, first, out);
        if let Decision::Snap(why) = decision {
            mark(why.mark(), out);
            // The snapshot is serialized piece by piece; all that follows waits behind the last one.
            handler.begin_snapshot(core.next_snapshot(out));
        }
        let chosen_to = handler.chosen.map_or(Zxid(u64::MAX), |(_, to)| to);
        let memory = core.history.marked_after(from);
        let memory = memory.take_while(|txn| txn.zxid <= chosen_to);
        let skipped = core.config.bugs.has(Bug::DiffSkipsFirst);
        let rest = from_disk.iter().chain(memory).skip(usize::from(skipped));
        for txn in rest {
            handler.send(link, Message::Proposal(txn.clone()), out);
            handler.send(link, Message::Commit { zxid: txn.zxid }, out);
        }
        if !handler.observer {
            if core.history.next_outstanding().is_some() {
                mark("sync-amid-proposals", out);
            }
            for txn in core.history.outstanding() {
                handler.propose(link, txn, core.now, out);
                if core.config.bugs.has(Bug::SyncCommitsOutstanding) {
                    handler.send(link, Message::Commit { zxid: txn.zxid }, out);
                }
            }
        }
        let epoch = self.epoch;
        handler.send(link, Message::NewLeader { epoch }, out);
    }

    pub(crate) fn on_snapshot_chunk(
        &mut self,
        snapshot: SnapshotId,
        bytes: Payload,
        last: bool,
        out: &mut Vec<Effect>,
    ) {
        let receiver = self
            .handlers
            .iter_mut()
            .find(|(_, handler)| handler.snapshot == Some(snapshot));
        if let Some((link, handler)) = receiver {
            handler.send_snapshot_chunk(*link, bytes, last, out);
        }
    }

    pub(super) fn on_ack_new_leader(
        &mut self,
        core: &mut Core,
        link: LinkId,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let handler = self.handlers.get_mut(&link).expect("the caller looked");
        handler.enter(HandlerStage::Acknowledged, core.now);
        if handler.counts() {
            self.acknowledged.insert(handler.peer);
        }
        if core.config.bugs.has(Bug::UptodateBeforeQuorum) && !self.established() {
            self.bring_up_to_date(link, out);
        }
        if self.established() {
            self.finish_synchronization(link, out);
            Ok(())
        } else {
            self.count_acknowledgements(core, out)
        }
    }

    /// UPTODATE, at once or, for a blank server, when it is proven that this server still leads.
    pub(super) fn finish_synchronization(&mut self, link: LinkId, out: &mut Vec<Effect>) {
        let handler = &self.handlers[&link];
        if handler.blank {
            if handler.introduced_in >= self.ping_round {
                self.ping(out);
            }
        } else {
            self.bring_up_to_date(link, out);
        }
    }

    pub(super) fn bring_up_to_date(&mut self, link: LinkId, out: &mut Vec<Effect>) {
        let handler = self.handlers.get_mut(&link).expect("the caller looked");
        handler.stage = HandlerStage::UpToDate;
        handler.send(link, Message::UpToDate, out);
        let learner = handler.peer;
        out.push(Effect::Note(Note::LearnerUpToDate { learner }));
    }

    pub(super) fn count_acknowledgements(
        &mut self,
        core: &mut Core,
        out: &mut Vec<Effect>,
    ) -> Flow {
        if self.stage == Stage::AwaitNewLeaderAcks
            && is_quorum(core, self.acknowledged, Bug::EstablishedBelowQuorum)
        {
            self.establish(core, out);
        }
        Ok(())
    }

    /// A quorum has this history, in this epoch: now, and not before, it is committed.
    pub(super) fn establish(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
        let (epoch, history) = (self.epoch, core.history.tail());
        assert_eq!(
            history,
            core.history.applied(),
            "applied before the election"
        );
        self.enter(core, Stage::Established);
        self.proposed = Zxid::new(epoch, 0);
        core.election.set_vote_epoch(epoch);
        core.history.set_committed(history);
        out.push(Effect::Note(Note::Established { epoch, history }));
        out.push(Effect::Note(Note::Committed { zxid: history }));
        core.activate_up_to(history, out);
        core.forget_rumour();
        if !core.membership.is_voter(self.me) {
            self.next_leader(core, history, out);
        }
        core.enter(Phase::Broadcast, epoch, out);
        let acknowledged: Vec<LinkId> = self
            .handlers
            .iter()
            .filter(|(_, handler)| handler.stage == HandlerStage::Acknowledged)
            .map(|(link, _)| *link)
            .collect();
        for link in acknowledged {
            self.finish_synchronization(link, out);
        }
    }
}
