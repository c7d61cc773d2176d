//! The history in memory: the last transactions handed to the application, from which learners are brought up to date
//! (`ZKDatabase.committedLog`), and behind them those that are in the log but not handed over yet.
//!
//! ```text
//!   base │ recent: delivered, at most `limit` │ pending: marked (commit known) │ pending: outstanding
//!                                     delivered                             mark               tail of the log
//! ```
//!
//! Guarantees: the whole is one chain of `prev`s; every transaction that reaches the application passes through `recent`,
//! those of a synchronization and of the replay at boot too (ZOOKEEPER-4925: a follower whose committed log lacked what it
//! got while synchronizing later led, and sent DIFFs with that hole); nothing is delivered before it is durable here.
//!
//! The last rule is stricter than ZooKeeper, whose commit and log threads race. It keeps "applied ≤ durable log" true, so
//! that a snapshot, named by what is applied, can never claim more than the log below it holds.

use crate::core::chained;
use crate::{Bug, Delivery, Effect, Planted, Txn, Zxid};
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) struct History {
    /// The transaction before the first of `recent`.
    base: Zxid,
    recent: VecDeque<Arc<Txn>>,
    limit: usize,
    pending: VecDeque<Arc<Txn>>,
    /// So many of `pending`, from the front, are known to be committed (or, at a learner before UPTODATE, said to be).
    marked: usize,
    delivered: Zxid,
    applied: Zxid,
    /// The highest transaction that was ever known here to be committed.
    committed: Zxid,
    bugs: Planted,
}

impl History {
    pub(crate) fn new(limit: usize, bugs: Planted) -> History {
        History {
            base: Zxid::ZERO,
            recent: VecDeque::new(),
            limit,
            pending: VecDeque::new(),
            marked: 0,
            delivered: Zxid::ZERO,
            applied: Zxid::ZERO,
            committed: Zxid::ZERO,
            bugs,
        }
    }

    /// A snapshot became the application's state.
    pub(crate) fn restore(&mut self, zxid: Zxid) {
        self.base = zxid;
        self.recent.clear();
        self.pending.clear();
        self.marked = 0;
        self.delivered = zxid;
        self.applied = zxid;
    }

    /// The transaction was appended to the log.
    pub(crate) fn push(&mut self, txn: Arc<Txn>) {
        if chained(self.bugs) {
            assert_eq!(txn.prev, self.tail(), "a hole in the history in memory");
        }
        self.pending.push_back(txn);
    }

    /// Marks the next outstanding transaction as committed; its zxid, or none if nothing is outstanding.
    pub(crate) fn mark_next(&mut self) -> Option<&Arc<Txn>> {
        let txn = self.pending.get(self.marked)?;
        self.marked += 1;
        Some(txn)
    }

    /// The next transaction to be committed.
    pub(crate) fn next_outstanding(&self) -> Option<Zxid> {
        self.pending.get(self.marked).map(|txn| txn.zxid)
    }

    /// The transactions whose commit is not known.
    pub(crate) fn outstanding(&self) -> impl Iterator<Item = &Arc<Txn>> {
        self.pending.range(self.marked..)
    }

    /// Hands the marked transactions that are durable to the application.
    pub(crate) fn deliver_marked(
        &mut self,
        durable: Zxid,
        delivery: Delivery,
        out: &mut Vec<Effect>,
    ) {
        let forgets =
            self.bugs.has(Bug::SkipCommittedLogOnSyncApply) && delivery == Delivery::Replayed;
        while self.marked > 0 && self.pending[0].zxid <= durable {
            self.marked -= 1;
            self.deliver_front(delivery, out);
            if forgets {
                self.recent.pop_back();
            }
        }
    }

    /// What is logged, and not known to be committed, is not applied.
    pub(crate) fn forget_rest(&mut self) {
        self.pending.truncate(self.marked);
    }

    /// Hands everything that is left to the application: its fate is open.
    pub(crate) fn deliver_rest(&mut self, out: &mut Vec<Effect>) {
        assert_eq!(self.marked, 0, "committed transactions go first");
        while !self.pending.is_empty() {
            self.deliver_front(Delivery::Replayed, out);
        }
    }

    fn deliver_front(&mut self, delivery: Delivery, out: &mut Vec<Effect>) {
        let txn = self.pending.pop_front().expect("the caller looked");
        self.delivered = txn.zxid;
        self.recent.push_back(txn.clone());
        out.push(Effect::Deliver { txn, delivery });
        self.trim();
    }

    /// Keeps `limit` transactions, and all that the application has not applied: a snapshot for a learner is taken at
    /// `applied`, and what follows it must still be here to be sent.
    fn trim(&mut self) {
        while self.recent.len() > self.limit && self.recent[0].zxid <= self.applied {
            self.base = self.recent.pop_front().expect("not empty").zxid;
        }
    }

    pub(crate) fn set_applied(&mut self, zxid: Zxid) {
        assert!(
            self.applied <= zxid && zxid <= self.delivered,
            "the application says that it applied up to {zxid}; before it was {}, delivered is up to {}",
            self.applied,
            self.delivered
        );
        self.applied = zxid;
        self.trim();
    }

    pub(crate) fn set_committed(&mut self, zxid: Zxid) {
        self.committed = self.committed.max(zxid);
    }

    /// The end of what is delivered or marked: at a leader, of what is committed.
    pub(crate) fn mark(&self) -> Zxid {
        match self.marked {
            0 => self.delivered,
            n => self.pending[n - 1].zxid,
        }
    }

    pub(crate) fn tail(&self) -> Zxid {
        self.pending.back().map_or(self.delivered, |txn| txn.zxid)
    }

    pub(crate) fn base(&self) -> Zxid {
        self.base
    }

    pub(crate) fn delivered(&self) -> Zxid {
        self.delivered
    }

    pub(crate) fn applied(&self) -> Zxid {
        self.applied
    }

    pub(crate) fn committed(&self) -> Zxid {
        self.committed
    }

    /// The last transaction at or below `zxid` that is delivered or marked, if memory reaches that far; `base` counts.
    pub(crate) fn floor_of(&self, zxid: Zxid) -> Option<Zxid> {
        if zxid < self.base {
            return None;
        }
        if self.bugs.has(Bug::DiffWithoutMembershipCheck) {
            return Some(zxid);
        }
        let before = self.marked_after(zxid).next();
        let floor = before.map_or(self.mark(), |txn| txn.prev);
        // Beyond it only where there is a hole.
        Some(floor.min(zxid))
    }

    /// What is delivered or marked after `zxid`, in order.
    pub(crate) fn marked_after(&self, zxid: Zxid) -> impl Iterator<Item = &Arc<Txn>> {
        let recent = self.recent.partition_point(|txn| txn.zxid <= zxid);
        let pending = self
            .pending
            .range(..self.marked)
            .skip_while(move |txn| txn.zxid <= zxid);
        self.recent.range(recent..).chain(pending)
    }
}
