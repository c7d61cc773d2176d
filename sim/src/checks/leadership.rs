//! **Leadership** (primary uniqueness): an epoch has at most one leader, in one term of office.
//!
//! A leader claims its epoch by sending NEWLEADER, for which it needs a quorum of ACKEPOCH, and again when it is
//! established. A server that loses its office and comes back needs a new epoch like anybody else.
//!
//! Source: ZAB, DSN'11 §III (primary order needs unique epochs); ZooKeeper TLA+ specification, `Leadership1` and
//! `Leadership2`; ZOOKEEPER-335 (accepted epoch not persisted), rule "the −1 answer does not count".

use super::CheckId::Leadership as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use std::collections::BTreeMap;
use zab::Epoch;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "leadership";
pub(super) const ABOUT: &str = "an epoch has at most one leader, in one term of office.";

#[derive(Default)]
pub(super) struct Leadership {
    claims: BTreeMap<Epoch, (ServerId, u32)>,
}

impl Leadership {
    /// `leader` sends NEWLEADER of `epoch`, or has established it.
    pub(super) fn on_claim(&mut self, m: &Mirror, d: &mut Docket, leader: ServerId, epoch: Epoch) {
        let claim = (leader, m.server(leader).term);
        let first = *self.claims.entry(epoch).or_insert(claim);
        d.require(ID, first == claim, || {
            if first.0 == leader {
                format!("{leader} leads epoch {epoch} in a second term of office; a new term needs a new epoch")
            } else {
                format!(
                    "{leader} leads epoch {epoch}, which {} has led before; an epoch has one leader",
                    first.0
                )
            }
        });
    }
}
