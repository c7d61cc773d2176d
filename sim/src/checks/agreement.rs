//! **Agreement**: of what two servers delivered, what one has and the other has not lies beyond the end of the other.
//!
//! All servers together have one committed sequence, to which only a leader adds, at its end. A server whose deliveries are
//! all members of it, taken from its beginning on, agrees with every other such server; so each delivery is compared with the
//! sequence instead of with all others.
//!
//! Source: ZAB, DSN'11 §III, "Agreement"; ZooKeeper TLA+ specification, `Agreement`; ZOOKEEPER-1154.

use super::CheckId::Agreement as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "agreement";
pub(super) const ABOUT: &str = "whatever one server delivers, the others deliver or have yet to.";

/// `server` delivers `zxid`.
pub(super) fn on_delivered(m: &Mirror, d: &mut Docket, server: ServerId, zxid: Zxid) {
    let committed = m.ledger.fact(zxid).and_then(|f| f.place()).is_some();
    d.require(ID, committed, || {
        format!(
            "{server} delivers {zxid}, which is not in the committed sequence that the others deliver (it ends with {})",
            m.ledger.last_committed()
        )
    });
}
