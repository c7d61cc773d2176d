//! The bytes of files, as far as the checks read them. What a restart makes of a disk is asked of `zab` itself
//! ([`zab::recover_offline`]); here is only what has to be known of each single operation: which transactions an append
//! adds and where each ends, and which epoch a replaced file holds. "The same bytes" rests on a hash of our own over the
//! whole record, not on a checksum stored in it.

use xxhash_rust::xxh3::xxh3_64;
use zab::{Epoch, Txn, Zxid};

/// A transaction found in the bytes of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) zxid: Zxid,
    pub(super) prev: Zxid,
    /// Hash of all its bytes.
    pub(super) sum: u64,
    /// Where it ends in the bytes.
    pub(super) end: u64,
}

impl Record {
    /// Of a transaction that a leader proposes.
    pub(super) fn of(txn: &Txn) -> Record {
        Record {
            zxid: txn.zxid,
            prev: txn.prev,
            sum: xxh3_64(&txn.record),
            end: txn.record.len() as u64,
        }
    }
}

// The frames of a log segment and the epoch files, by their magic: `zab`'s modules `log` and `storage::format` have the
// layout. All integers are little-endian.
const SEGMENT: &[u8] = b"ZLOG";
const MARK: &[u8] = b"ZMRK";
const RECORD: &[u8] = b"ZREC";
const RECONFIGURATION: &[u8] = b"ZCFG";
const SEGMENT_LEN: usize = 24;
const MARK_LEN: usize = 24;
const RECORD_HEADER: usize = 28;

/// Appends the transactions in whole frames of `bytes`, and says where the first thing stands that is no whole frame.
pub(super) fn records(bytes: &[u8], into: &mut Vec<Record>) -> usize {
    let mut at = 0;
    while let Some(frame) = bytes.get(at..).filter(|rest| rest.len() >= 4) {
        let len = match &frame[..4] {
            SEGMENT => SEGMENT_LEN,
            MARK => MARK_LEN,
            RECORD | RECONFIGURATION if frame.len() >= RECORD_HEADER => {
                RECORD_HEADER + u64_at(frame, 24, 4) as usize
            }
            _ => break,
        };
        let Some(frame) = frame.get(..len) else {
            break;
        };
        let zxid = match &frame[..4] {
            RECORD | RECONFIGURATION => Some(Zxid(u64_at(frame, 8, 8))),
            _ => None,
        };
        // A header torn at a sector goes on with zeros, and claims a transaction of no epoch, of no length: no whole frame.
        if zxid.is_some_and(|zxid| zxid.epoch() == Epoch(0)) {
            break;
        }
        at += len;
        if let Some(zxid) = zxid {
            into.push(Record {
                zxid,
                prev: Zxid(u64_at(frame, 16, 8)),
                sum: xxh3_64(frame),
                end: at as u64,
            });
        }
    }
    at
}

fn u64_at(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut word = [0; 8];
    word[..len].copy_from_slice(&bytes[at..at + len]);
    u64::from_le_bytes(word)
}

const EPOCH: &[u8] = b"ZEPO";
const EPOCH_LEN: usize = 16;

/// The epoch in the bytes of acceptedEpoch or currentEpoch; `None` where they are none.
pub(super) fn epoch(bytes: &[u8]) -> Option<Epoch> {
    if bytes.len() != EPOCH_LEN || !bytes.starts_with(EPOCH) {
        return None;
    }
    Some(Epoch(u64_at(bytes, 12, 4) as u32))
}

#[cfg(test)]
mod torn {
    use super::*;

    #[test]
    fn a_header_torn_at_a_sector_is_no_transaction() {
        let whole = Txn::new(Zxid::new(Epoch(1), 7), Zxid(0), b"payload");
        let mut bytes = whole.record.to_vec();
        // The sector ends within the zxid; the next one was never written.
        bytes.extend_from_slice(&whole.record[..10]);
        bytes.extend_from_slice(&[0; 60]);
        let mut found = Vec::new();
        assert_eq!(records(&bytes, &mut found), whole.record.len());
        assert_eq!(found.len(), 1);
    }
}
