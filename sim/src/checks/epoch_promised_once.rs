//! **An epoch is promised once**: a promise of epoch e that counts towards a quorum (an ACKEPOCH with the sender's
//! currentEpoch, or a leader's own LEADERINFO) comes from a server that has promised neither e nor a later epoch before.
//!
//! Two leaders that chose the same number would else find a quorum both, by way of one server that counts for each. Whether
//! that ends in a violation of leadership depends on luck, on more servers' luck at least; the broken promise itself shows
//! whenever a follower meets a leader's epoch a second time, which any lost link brings about.
//!
//! A leader says LEADERINFO to each learner; in one term of office all of it is one promise, in another it is another.
//!
//! What a blank server says counts for nobody: it may promise anew what it promised before. A damaged disk may have forgotten:
//! then a server is held to what a restart finds on it, and to nothing if reads lie.
//!
//! Source: ZAB, DSN'11 §IV, phase 1 (a follower accepts NEWEPOCH(e) only if e is greater than the last that it accepted);
//! ZooKeeper 3.9 `Leader.getEpochToPropose` (the leader accepts the epoch that it proposes) and
//! `Learner.registerWithLeader` (the answer −1 does not count); ZOOKEEPER-335.

use super::CheckId::EpochPromisedOnce as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use std::collections::BTreeMap;
use zab::{Epoch, Message};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "epoch-promised-once";
pub(super) const ABOUT: &str =
    "no server's promise counts twice for an epoch, or for an earlier one.";

/// The highest epoch that a server has promised, over all its lives.
#[derive(Clone, Copy)]
struct Promise {
    epoch: Epoch,
    to: ServerId,
    /// In which term of office a leader promised it to itself.
    own_term: Option<u32>,
}

#[derive(Default)]
pub(super) struct EpochPromisedOnce {
    promised: BTreeMap<ServerId, Promise>,
}

impl EpochPromisedOnce {
    /// `from` sends `message` to `to`.
    pub(super) fn on_sent(
        &mut self,
        m: &Mirror,
        d: &mut Docket,
        from: ServerId,
        to: ServerId,
        message: &Message,
    ) {
        match message {
            Message::LeaderInfo { epoch } => {
                let promise = Promise {
                    epoch: *epoch,
                    to: from,
                    own_term: Some(m.server(from).term),
                };
                self.on_promise(m, d, from, promise);
            }
            Message::AckEpoch {
                current: Some(_), ..
            } => {
                let Some(epoch) = m.server(to).stream(from).offered else {
                    return; // durability-before-ack says so
                };
                let promise = Promise {
                    epoch,
                    to,
                    own_term: None,
                };
                self.on_promise(m, d, from, promise);
            }
            _ => {}
        }
    }

    fn on_promise(&mut self, m: &Mirror, d: &mut Docket, from: ServerId, promise: Promise) {
        let Promise {
            epoch,
            to,
            own_term,
        } = promise;
        let before = self.promised.get(&from).copied();
        let again = own_term.is_some()
            && before.is_some_and(|b| b.own_term == own_term && b.epoch == epoch);
        let first = before.is_none_or(|before| before.epoch < epoch);
        if first {
            self.promised.insert(from, promise);
        }
        if !m.server(from).disk.marked {
            return;
        }
        d.require(ID, first || again, || {
            let Some(before) = before else { return String::new() };
            format!(
                "{from} promises epoch {epoch} to {to} and counts for it, having promised epoch {} to {} before",
                before.epoch, before.to
            )
        });
    }

    /// `server` starts. If its disk was damaged since its last start, it may have forgotten.
    pub(super) fn on_booting(&mut self, m: &Mirror, server: ServerId) {
        let s = m.server(server);
        if !s.struck {
            return;
        }
        let found = s.disk.accepted.filter(|_| !s.reads_lie);
        match (found, self.promised.get_mut(&server)) {
            (Some(found), Some(promise)) => promise.epoch = promise.epoch.min(found),
            _ => {
                self.promised.remove(&server);
            }
        }
    }
}
