//! **An epoch is promised once**: a promise of epoch e that counts towards a quorum (an ACKEPOCH with the sender's
//! currentEpoch, or a leader's own LEADERINFO) comes from a server that has promised neither e nor a later epoch before.
//!
//! Two leaders that chose the same number would else find a quorum both, by way of one server that counts for each. Whether
//! that ends in a violation of leadership depends on luck, on more servers' luck at least; the broken promise itself shows
//! whenever a follower meets a leader's epoch a second time, which any lost link brings about.
//!
//! What a blank server says counts for nobody, and a damaged disk may have forgotten: both may promise anew.
//!
//! Source: ZAB, DSN'11 §IV, phase 1 (a follower accepts NEWEPOCH(e) only if e is greater than the last that it accepted);
//! ZooKeeper 3.9 `Learner.registerWithLeader` (the answer −1 does not count); ZOOKEEPER-335.

use super::CheckId::EpochPromisedOnce as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use std::collections::{BTreeMap, BTreeSet};
use zab::{Epoch, Message};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "epoch-promised-once";
pub(super) const ABOUT: &str =
    "no server's promise counts twice for an epoch, or for an earlier one.";

#[derive(Default)]
pub(super) struct EpochPromisedOnce {
    /// The highest epoch that each server has promised, over all its lives.
    promised: BTreeMap<ServerId, Epoch>,
    /// Who introduced itself as blank on its present link.
    blank: BTreeSet<ServerId>,
}

impl EpochPromisedOnce {
    /// `from` sends `message` to `to`.
    #[inline]
    pub(super) fn on_sent(
        &mut self,
        m: &Mirror,
        d: &mut Docket,
        from: ServerId,
        to: ServerId,
        message: &Message,
    ) {
        match message {
            Message::LearnerInfo { blank: true, .. } => {
                self.blank.insert(from);
            }
            Message::LearnerInfo { blank: false, .. } => {
                self.blank.remove(&from);
            }
            // To each learner once: all of it is one promise.
            Message::LeaderInfo { epoch } => {
                let promised = self.promised.entry(from).or_default();
                *promised = (*promised).max(*epoch);
            }
            Message::AckEpoch {
                current: Some(_), ..
            } => self.on_promise(m, d, from, to),
            _ => {}
        }
    }

    fn on_promise(&mut self, m: &Mirror, d: &mut Docket, from: ServerId, to: ServerId) {
        let Some(epoch) = m.server(to).stream(from).offered else {
            return; // durability-before-ack says so
        };
        if self.blank.contains(&from) || m.server(from).is_damaged() {
            return;
        }
        let before = self.promised.insert(from, epoch);
        d.require(ID, before.is_none_or(|before| before < epoch), || {
            let before = before.unwrap_or_default();
            format!("{from} promises epoch {epoch} to {to} and counts for it, having promised epoch {before} before")
        });
    }

    /// `server`'s disk was damaged: it may have forgotten.
    pub(super) fn on_damage(&mut self, server: ServerId) {
        self.promised.remove(&server);
    }
}
