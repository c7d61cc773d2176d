//! **Same zxid, same digest**: trees that stand at the same zxid are the same, on all servers, whatever the path by which
//! each came there: broadcast, DIFF, SNAP, replay.
//!
//! A server gives no digest while a fuzzy snapshot is being caught up: between two states a tree is legitimately neither.
//!
//! Source: ZooKeeper 3.6 `DataTree.compareDigest`; ZOOKEEPER-3104, 3589, 3145, 4837.

use super::CheckId::SameZxidSameDigest as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "same-zxid-same-digest";
pub(super) const ABOUT: &str = "trees at the same zxid are the same on every server.";

/// `server`'s tree has this digest after `zxid`.
#[inline]
pub(super) fn on_applied(
    m: &mut Mirror,
    d: &mut Docket,
    server: ServerId,
    zxid: Zxid,
    digest: u64,
) {
    let Some(fact) = m.ledger.fact_mut(zxid) else {
        return; // nobody ever held it: integrity says so
    };
    let (first, by) = *fact.digest.get_or_insert((digest, server));
    d.require(ID, first == digest, || {
        format!(
            "{server}'s tree at {zxid} has the digest {digest:016x}; {by}'s had {first:016x} there"
        )
    });
}
