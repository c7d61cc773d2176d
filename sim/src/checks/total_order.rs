//! **Total order**: no two servers deliver a pair of transactions in opposite order, and none delivers with a hole.
//!
//! Every transaction names its predecessor. A server that delivers each one directly onto its predecessor delivers in the
//! one order there is.
//!
//! Source: ZAB, DSN'11 §III, "Total order"; ZooKeeper TLA+ specification, `TotalOrder`; ZOOKEEPER-962, 4925.

use super::CheckId::TotalOrder as ID;
use super::docket::Docket;
use super::mirror::{Mirror, follows};
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "total-order";
pub(super) const ABOUT: &str =
    "every server delivers each transaction directly after its predecessor.";

/// `server`, whose tree stood at `before`, delivers `zxid`.
pub(super) fn on_delivered(m: &Mirror, d: &mut Docket, server: ServerId, before: Zxid, zxid: Zxid) {
    let Some(fact) = m.ledger.fact(zxid) else {
        return; // nobody ever broadcast it: integrity says so
    };
    d.require(ID, follows(fact.prev, before), || {
        format!(
            "{server} delivers {zxid} onto {before}, but its predecessor is {}",
            fact.prev
        )
    });
}
