//! **Same zxid, same bytes**: a zxid stands for the same transaction on every server, byte for byte, for ever.
//!
//! Compared is a 64-bit hash of the whole record and the predecessor in it, whenever a leader proposes and whenever a log is
//! appended to or read back from a disk.
//!
//! Source: ZAB, DSN'11 §IV (a zxid identifies a transaction); ZooKeeper TLA+ specification, `TxnEqual`; ZOOKEEPER-335.

use super::CheckId::SameZxidSameBytes as ID;
use super::decode::Record;
use super::docket::Docket;
use super::ledger::Fact;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "same-zxid-same-bytes";
pub(super) const ABOUT: &str = "a zxid stands for the same bytes on every server.";

/// `server` holds `record`; the ledger has `fact` under its zxid (`None`: the zxid is far beyond every other).
#[inline]
pub(super) fn on_record(d: &mut Docket, server: ServerId, record: &Record, fact: Option<&Fact>) {
    let same = fact.is_some_and(|f| f.sum == record.sum && f.prev == record.prev);
    d.require(ID, same, || match fact {
        Some(fact) => format!(
            "{server} holds {} after {} with a record of hash {:016x}; {} showed it first, after {} with hash {:016x}",
            record.zxid, record.prev, record.sum, fact.seen_at, fact.prev, fact.sum
        ),
        None => format!("{server} holds {}, a number far beyond all others of its epoch", record.zxid),
    });
}
