//! **Prefix consistency**: of the committed beginnings of two servers' logs, one is a prefix of the other.
//!
//! Each server's log, up to the point to which it knows it committed, is compared entry by entry with the one committed
//! sequence, once; only what is new, cut or reloaded is compared again.
//!
//! Source: ZooKeeper TLA+ specification, `PrefixConsistency`; ZOOKEEPER-2832, 1558, 2845, 4925.

use super::CheckId::PrefixConsistency as ID;
use super::docket::Docket;
use super::mirror::{Mirror, follows};
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "prefix-consistency";
pub(super) const ABOUT: &str =
    "the committed beginnings of any two logs are one a prefix of the other.";

/// In `server`'s log `zxid` follows `before`, and `server` knows it to be committed. `place`: where it stands in the committed
/// sequence, or would stand as its next.
#[inline]
pub(super) fn on_committed_entry(
    m: &Mirror,
    d: &mut Docket,
    server: ServerId,
    before: Zxid,
    zxid: Zxid,
    place: usize,
) {
    let expected = m.ledger.before_place(place);
    d.require(ID, follows(expected, before), || {
        if place == m.ledger.committed().len() {
            format!(
                "{server} commits {zxid}, which follows {before} in its log; the committed sequence ends with {expected}"
            )
        } else {
            format!("{server} commits {zxid}, which follows {before} in its log; everywhere else it follows {expected}")
        }
    });
}
