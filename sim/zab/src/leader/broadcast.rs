//! An established leader: proposals and commits (`Leader.propose`, `Leader.tryToCommit`), barriers, and the proof that it
//! still leads.

use super::{Barrier, Leader};
use crate::core::{Core, Flow, Leave};
use crate::handler::{Handler, HandlerStage};
use crate::marks::mark;
use crate::membership::Configuration;
use crate::{
    Bug, Delivery, Effect, LinkId, Message, Note, PeerId, PeerSet, QuorumConfig,
    ReconfigureRefusal, SyncId, Txn, Zxid,
};
use std::sync::Arc;

/// Broadcast.
impl Leader {
    pub(crate) fn propose(
        &mut self,
        core: &mut Core,
        zxid: Zxid,
        payload: &[u8],
        out: &mut Vec<Effect>,
    ) -> Flow {
        if self.proposals_left(core) == 0 {
            mark("proposal-refused", out);
            return Ok(());
        }
        let txn = Txn::new(zxid, core.storage.last(), payload);
        self.propose_txn(core, txn, out);
        Ok(())
    }

    /// From this transaction on both configurations' quorums are needed.
    pub(crate) fn reconfigure(
        &mut self,
        core: &mut Core,
        zxid: Zxid,
        quorum: QuorumConfig,
        payload: &[u8],
        out: &mut Vec<Effect>,
    ) -> Flow {
        if self.proposals_left(core) == 0 {
            mark("proposal-refused", out);
            return Ok(());
        }
        assert!(
            core.membership.pending().is_none(),
            "one reconfiguration at a time"
        );
        let config = Configuration::new(zxid, quorum);
        let txn = Txn::reconfigure(core.storage.last(), &config, payload);
        self.propose_txn(core, txn, out);
        Ok(())
    }

    /// One at a time, and only if a quorum of the new configuration follows: else nothing could be committed after it. A server
    /// that was blank a moment ago counts once its disk is marked: should it crash before, nobody could ever bring it up to
    /// date again, because that takes a leader established by the very quorum which lacks it (**BASE**).
    pub(crate) fn may_reconfigure(
        &self,
        core: &Core,
        quorum: &QuorumConfig,
    ) -> Result<(), ReconfigureRefusal> {
        if !self.established() || self.retired {
            Err(ReconfigureRefusal::NotLeading)
        } else if core.membership.pending().is_some() {
            Err(ReconfigureRefusal::InProgress)
        } else if quorum.validate().is_err() || !quorum.is_quorum(self.heard(core, false)) {
            Err(ReconfigureRefusal::NoQuorum)
        } else {
            Ok(())
        }
    }

    fn propose_txn(&mut self, core: &mut Core, txn: Txn, out: &mut Vec<Effect>) {
        let (zxid, txn) = (txn.zxid, Arc::new(txn));
        if !core.config.bugs.has(Bug::NoRolloverGuard) {
            assert_eq!(zxid, self.proposed.next(), "a proposal out of order");
        }
        self.proposed = zxid;
        out.push(Effect::Note(Note::Proposed { txn: txn.clone() }));
        core.append(txn.clone(), out);
        for (link, handler) in &mut self.handlers {
            if handler.is_forwarding() && !handler.observer {
                handler.propose(*link, &txn, core.now, out);
            }
        }
        core.storage.sync(out);
    }

    pub(crate) fn proposals_left(&self, core: &Core) -> u32 {
        if self.established() && !self.retired {
            if core.config.bugs.has(Bug::NoRolloverGuard) {
                return u32::MAX;
            }
            core.config.counter_max - self.proposed.counter()
        } else {
            0
        }
    }

    /// An ACK says that everything up to its zxid is durable at the sender. Those that say nothing new are ignored, as is a
    /// zxid that was never proposed (`Leader.processAck`).
    pub(super) fn on_ack(
        &mut self,
        core: &mut Core,
        link: LinkId,
        zxid: Zxid,
        out: &mut Vec<Effect>,
    ) -> Flow {
        let handler = self.handlers.get_mut(&link).expect("the caller looked");
        handler.unmarked = false;
        if zxid.counter() == 0 || zxid > self.proposed || zxid <= handler.acked {
            return Ok(());
        }
        handler.acknowledge(zxid, self.proposed, core.now);
        core.haunted.acks.insert(handler.peer, zxid);
        if zxid <= core.history.mark() {
            return Ok(());
        }
        self.commit(core, out)
    }

    /// Commits what a quorum has on disk, strictly in order; this server counts as any other, by its own disk.
    pub(super) fn commit(&mut self, core: &mut Core, out: &mut Vec<Effect>) -> Flow {
        let before = core.history.mark();
        let mut leader = self.me;
        while let Some(next) = core.history.next_outstanding() {
            if self.retired {
                break;
            }
            let mut having = PeerSet::new();
            let bugs = core.config.bugs;
            let unsynced = bugs.has(Bug::LeaderCountsUnsynced) && core.storage.last() >= next;
            if core.storage.durable() >= next || unsynced {
                having.insert(self.me);
            }
            for handler in self.handlers.values() {
                if handler.acked >= next && handler.counts() {
                    having.insert(handler.peer);
                }
            }
            if bugs.has(Bug::AckOutlivesLink) {
                let acks = core.haunted.acks.iter();
                having.extend(
                    acks.filter(|(_, acked)| **acked >= next)
                        .map(|(peer, _)| *peer),
                );
            }
            let half = bugs.has(Bug::CommitBelowQuorum)
                && 2 * having.len() >= core.membership.voters().len();
            if !core.membership.commits(next, having) && !half {
                break;
            }
            core.history.mark_next();
            if core.membership.is_pending(next) {
                core.note_committed(out);
                core.activate_up_to(next, out);
                leader = self.next_leader(core, next, out);
            }
        }
        let zxid = core.history.mark();
        if zxid == before {
            return Ok(());
        }
        core.note_committed(out);
        let told_after = if core.config.bugs.has(Bug::CommitWithoutPredecessor) {
            Zxid(zxid.0 - 1)
        } else {
            before
        };
        for (link, handler) in &mut self.handlers {
            if handler.is_forwarding() {
                for txn in core.history.marked_after(told_after) {
                    handler.commit(*link, txn, leader, out);
                }
            }
        }
        core.deliver(self.delivery(), out);
        self.pass_barriers(core, out);
        if !self.retired
            && self.proposals_left(core) == 0
            && core.history.next_outstanding().is_none()
        {
            // The next transaction's counter would run into the epoch (ZOOKEEPER-1277).
            mark("rollover", out);
            return Err(Leave::StepDown("the epoch's counter is used up"));
        }
        Ok(())
    }
}

/// Reconfiguration.
impl Leader {
    /// Who leads under the configuration that was just activated (`Leader.getDesignatedLeader`): this server, if it votes in it;
    /// else the voter that has acknowledged most, at least the reconfiguration itself.
    pub(super) fn next_leader(&mut self, core: &Core, zxid: Zxid, out: &mut Vec<Effect>) -> PeerId {
        let config = core.membership.active().quorum();
        if config.is_voter(self.me) {
            return self.me;
        }
        mark("leader-retired", out);
        self.retired = true;
        let has_it = |handler: &&Handler| handler.acked >= zxid && handler.counts();
        let candidates = self.handlers.values().filter(has_it);
        candidates
            .filter(|handler| config.weight(handler.peer) > 0)
            .max_by_key(|handler| (handler.acked, handler.peer))
            .map_or(self.me, |handler| handler.peer)
    }
}

/// Barriers, and the proof of leadership.
impl Leader {
    /// `sync`: answered behind the commit of everything proposed so far. ZooKeeper's proves nothing: a leader that was
    /// deposed without noticing answers too (ZOOKEEPER-2136). The quorum's waits for a ping round begun now, answered by
    /// a quorum that thus still follows this leader; no later epoch was established before, so this server has proposed
    /// everything that was committed when the `sync` came.
    pub(crate) fn sync(
        &mut self,
        core: &mut Core,
        link: Option<LinkId>,
        id: SyncId,
        quorum: bool,
        out: &mut Vec<Effect>,
    ) -> Flow {
        if !self.established() {
            assert!(
                link.is_none(),
                "no learner is up to date before the leader is established"
            );
            out.push(Effect::SyncLost { id });
            return Ok(());
        }
        // At once, without waiting for the tick.
        let proven = quorum && !core.config.bugs.has(Bug::SyncUnproven);
        let round = proven.then(|| self.ping(out));
        self.barriers.push_back(Barrier {
            link,
            id,
            zxid: core.storage.last(),
            round,
        });
        self.pass_barriers(core, out);
        Ok(())
    }

    /// Answers, in order, the barriers that are passed; a learner's answer goes behind the commits on its link, this server's
    /// behind its own deliveries.
    pub(super) fn pass_barriers(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
        if self.barriers.is_empty() {
            return;
        }
        let committed = core.history.mark();
        for barrier in std::mem::take(&mut self.barriers) {
            let passed = barrier.zxid <= committed
                && barrier
                    .round
                    .is_none_or(|round| self.is_proven(core, round, None));
            // A learner's barriers are answered in its order.
            let first = !self.barriers.iter().any(|other| other.link == barrier.link);
            if !(passed && first) {
                self.barriers.push_back(barrier);
                continue;
            }
            let id = barrier.id;
            match barrier.link {
                None => core.pass_barrier(id, Delivery::Committed, out),
                Some(link) => {
                    let handler = self.handlers.get_mut(&link).expect("dropped with its link");
                    handler.send(link, Message::Synced { id }, out);
                }
            }
        }
    }

    /// Whether a quorum, without `except`, answered a ping of this round or a later one.
    pub(super) fn is_proven(&self, core: &Core, round: u64, except: Option<PeerId>) -> bool {
        let mut answered = PeerSet::new();
        answered.insert(self.me);
        for handler in self.handlers.values() {
            let counts = handler.counts() && handler.stage >= HandlerStage::Acknowledged;
            if counts && handler.pong >= round && Some(handler.peer) != except {
                answered.insert(handler.peer);
            }
        }
        core.membership.is_quorum(answered)
    }

    pub(super) fn on_pong(&mut self, core: &mut Core, out: &mut Vec<Effect>) {
        if !self.established() {
            return;
        }
        self.pass_barriers(core, out);
        let blank: Vec<LinkId> = self
            .handlers
            .iter()
            .filter(|(_, handler)| handler.blank && handler.stage == HandlerStage::Acknowledged)
            .filter(|(_, handler)| {
                self.is_proven(core, handler.introduced_in + 1, Some(handler.peer))
            })
            .map(|(link, _)| *link)
            .collect();
        for link in blank {
            mark("blank-proof", out);
            let handler = self.handlers.get_mut(&link).expect("found above");
            // It acknowledges proposals once its disk is marked; until then it only follows.
            handler.blank = false;
            self.bring_up_to_date(link, out);
        }
    }

    pub(super) fn ping(&mut self, out: &mut Vec<Effect>) -> u64 {
        self.ping_round += 1;
        let round = self.ping_round;
        for (link, handler) in &mut self.handlers {
            // Behind a snapshot pings would only pile up.
            if handler.is_forwarding() && handler.snapshot.is_none() {
                handler.send(*link, Message::Ping { round }, out);
            }
        }
        round
    }
}
