//! **Epoch monotonicity**: the epochs on a disk never go back, acceptedEpoch is never below currentEpoch, and a server in
//! office has no transaction of a later epoch than its currentEpoch.
//!
//! Between logging a leader's history and writing that leader's epoch, a learner's log may run ahead of its currentEpoch, and
//! a crash may leave it so (ZooKeeper refuses to start there, ZOOKEEPER-2307 and 4269; **BASE** starts). So the last rule
//! binds from the ACK(NEWLEADER) on. A wiped disk starts from nothing: that counts as damage.
//!
//! Source: ZAB, DSN'11 §IV (f.p and f.a); ZooKeeper 3.9 `QuorumPeer.loadDataBase`; ZOOKEEPER-335, 582, 1653.

use super::CheckId::EpochMonotonicity as ID;
use super::docket::Docket;
use super::mirror::{Disk, Mirror};
use zab::{Epoch, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "epoch-monotonicity";
pub(super) const ABOUT: &str =
    "epochs on disk never go back, and no log in office is ahead of its epoch.";

/// A file of `server`'s disk that held `before` holds something else now.
pub(super) fn on_written(
    m: &Mirror,
    d: &mut Docket,
    server: ServerId,
    file: &str,
    before: Option<Epoch>,
    now: Option<Epoch>,
) {
    d.require(ID, now.is_some() && now >= before, || {
        format!(
            "{server}'s {file} goes from {} to {}",
            words(before),
            words(now)
        )
    });
    ordered(d, server, &m.server(server).disk);
}

/// `server`'s disk was read after a crash; the epochs before were these.
pub(super) fn on_reload(m: &Mirror, d: &mut Docket, server: ServerId, before: [Option<Epoch>; 2]) {
    let disk = &m.server(server).disk;
    let kept = disk.accepted >= before[0] && disk.current >= before[1];
    d.require(ID, kept, || {
        format!(
            "{server} had acceptedEpoch {} and currentEpoch {} on disk; after a crash they are {} and {}",
            words(before[0]),
            words(before[1]),
            words(disk.accepted),
            words(disk.current)
        )
    });
    ordered(d, server, disk);
}

fn ordered(d: &mut Docket, server: ServerId, disk: &Disk) {
    d.require(ID, disk.accepted >= disk.current, || {
        format!(
            "{server}'s acceptedEpoch {} is below its currentEpoch {}",
            words(disk.accepted),
            words(disk.current)
        )
    });
}

/// `server` appends `zxid`: it must have promised that epoch, or a later one, to somebody.
#[inline]
pub(super) fn on_append(m: &Mirror, d: &mut Docket, server: ServerId, zxid: Zxid) {
    let accepted = m.server(server).disk.accepted;
    d.require(ID, accepted.is_some_and(|a| zxid.epoch() <= a), || {
        format!(
            "{server} logs {zxid} while its acceptedEpoch on disk is {}",
            words(accepted)
        )
    });
}

/// `server` is in office and its log ends with `tail`.
#[inline]
pub(super) fn in_office(m: &Mirror, d: &mut Docket, server: ServerId, tail: Zxid) {
    let current = m.server(server).disk.current;
    d.require(ID, current.is_some_and(|c| tail.epoch() <= c), || {
        format!(
            "{server} works with {tail} in its log and currentEpoch {} on disk",
            words(current)
        )
    });
}

fn words(epoch: Option<Epoch>) -> String {
    epoch.map_or_else(|| "none".to_owned(), |e| e.to_string())
}
