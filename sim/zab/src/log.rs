//! The transaction log's bytes.

use crate::{Payload, Txn, Zxid};

const RECORD_HEADER: usize = 28;

impl Txn {
    /// Encodes a transaction: the leader does it once, and every server keeps these very bytes.
    pub fn new(zxid: Zxid, prev: Zxid, payload: &[u8]) -> Txn {
        let mut record = Vec::with_capacity(RECORD_HEADER + payload.len());
        record.resize(RECORD_HEADER, 0);
        record.extend_from_slice(payload);
        Txn {
            zxid,
            prev,
            record: record.into(),
        }
    }

    /// The application's part of the record.
    pub fn payload(&self) -> &[u8] {
        &self.record[RECORD_HEADER..]
    }
}

const _: fn() -> Option<Payload> = || None;
