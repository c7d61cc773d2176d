//! **Primary integrity**: a leader broadcasts only after it has delivered every transaction of earlier epochs that anyone
//! ever delivers.
//!
//! A leader delivers its initial history by being established on it. Two moments are checked: the first broadcast of an
//! epoch, against everything committed until then; and every later commit of an earlier epoch, against what the tree of the
//! newer leader held when it began.
//!
//! Source: ZAB, DSN'11 §III, "Primary integrity"; ZooKeeper TLA+ specification, `PrimaryIntegrity`.

use super::CheckId::PrimaryIntegrity as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use std::collections::BTreeMap;
use zab::{Epoch, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "primary-integrity";
pub(super) const ABOUT: &str =
    "a leader broadcasts only on top of everything delivered in earlier epochs.";

#[derive(Default)]
pub(super) struct PrimaryIntegrity {
    /// Where the leader's tree stood at the first broadcast of each epoch.
    began: BTreeMap<Epoch, (ServerId, Zxid)>,
}

impl PrimaryIntegrity {
    /// `leader` broadcasts `zxid`.
    #[inline]
    pub(super) fn on_proposed(&mut self, m: &Mirror, d: &mut Docket, leader: ServerId, zxid: Zxid) {
        if zxid.counter() != 1 {
            return;
        }
        let applied = m.server(leader).applied;
        self.began.entry(zxid.epoch()).or_insert((leader, applied));
        // A later epoch may have been established, and have committed, before this leader learns of it: what it owes is what was
        // committed before its own.
        let log = m.ledger.committed();
        let earlier = log.partition_point(|committed| committed.epoch() < zxid.epoch());
        let committed = m.ledger.before_place(earlier);
        d.require(ID, applied >= committed, || {
            format!("{leader} broadcasts {zxid} while its tree stands at {applied}, though {committed} is committed")
        });
    }

    /// `zxid` is committed now.
    #[inline]
    pub(super) fn on_commit(&self, d: &mut Docket, zxid: Zxid) {
        let Some((epoch, (leader, applied))) = self.began.range(Epoch(zxid.epoch().0 + 1)..).next()
        else {
            return;
        };
        d.require(ID, zxid <= *applied, || {
            format!(
                "{zxid} is committed after {leader} has begun to broadcast in epoch {epoch} on a tree that ended with {applied}"
            )
        });
    }
}
