//! **Global primary order**: transactions of an earlier epoch are delivered before those of a later one.
//!
//! Where a server goes from one epoch to the next, it must have delivered everything of earlier epochs that anyone delivers.
//!
//! Source: ZAB, DSN'11 §III, "Global primary order"; ZooKeeper TLA+ specification, `GlobalPrimaryOrder`.

use super::CheckId::GlobalPrimaryOrder as ID;
use super::docket::Docket;
use super::mirror::{Mirror, follows};
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "global-primary-order";
pub(super) const ABOUT: &str = "an epoch's transactions are delivered after all of earlier epochs.";

/// `server`, whose tree stood at `before`, delivers `zxid`.
pub(super) fn on_delivered(m: &Mirror, d: &mut Docket, server: ServerId, before: Zxid, zxid: Zxid) {
    let ordered = match before.epoch().cmp(&zxid.epoch()) {
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Greater => false,
        std::cmp::Ordering::Less => {
            let place = m.ledger.fact(zxid).and_then(|f| f.place());
            place.is_none_or(|place| follows(m.ledger.before_place(place), before))
        }
    };
    d.require(ID, ordered, || {
        format!(
            "{server} delivers {zxid} onto {before}; every transaction of the epochs before {} goes first",
            zxid.epoch()
        )
    });
}
