//! **Local primary order**: what one leader broadcasts is delivered in the order of its broadcasts, none left out.
//!
//! Checked on both sides: a leader's own numbers are 1, 2, 3 …, of the epoch that it established; and a server delivers
//! within an epoch counter after counter.
//!
//! Source: ZAB, DSN'11 §III, "Local primary order"; ZooKeeper TLA+ specification, `LocalPrimaryOrder`; ZOOKEEPER-1277
//! (the counter runs over into the epoch).

use super::CheckId::LocalPrimaryOrder as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use std::collections::BTreeMap;
use zab::{Epoch, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "local-primary-order";
pub(super) const ABOUT: &str =
    "a leader's transactions are numbered without gaps and delivered in that order.";

#[derive(Default)]
pub(super) struct LocalPrimaryOrder {
    /// The last broadcast of each epoch. A deposed leader may go on beside the new one.
    last: BTreeMap<Epoch, Zxid>,
}

impl LocalPrimaryOrder {
    /// `leader` broadcasts `zxid`.
    pub(super) fn on_proposed(&mut self, m: &Mirror, d: &mut Docket, leader: ServerId, zxid: Zxid) {
        let epoch = zxid.epoch();
        let last = (self.last)
            .insert(epoch, zxid)
            .unwrap_or(Zxid::new(epoch, 0));
        let established = m.server(leader).established;
        let own = established == Some(epoch);
        d.require(ID, own && zxid.0 == last.0 + 1, || {
            if own {
                format!(
                    "{leader} broadcasts {zxid} after {last}; the next number is ⟨{},{}⟩",
                    epoch,
                    last.counter() as u64 + 1
                )
            } else {
                format!(
                    "{leader} broadcasts {zxid} but has established {}",
                    match established {
                        Some(e) => format!("epoch {e}"),
                        None => "no epoch".to_owned(),
                    }
                )
            }
        });
    }
}

/// `server`, whose tree stood at `before`, delivers `zxid`.
pub(super) fn on_delivered(d: &mut Docket, server: ServerId, before: Zxid, zxid: Zxid) {
    let in_order = if before.epoch() == zxid.epoch() {
        zxid.0 == before.0 + 1
    } else {
        zxid.counter() == 1
    };
    d.require(ID, in_order, || {
        format!(
            "{server} delivers {zxid} onto {before}: the leader of epoch {} broadcast {} before it",
            zxid.epoch(),
            Zxid(zxid.0 - 1)
        )
    });
}
