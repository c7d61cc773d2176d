//! The log read back for a DIFF (`FileTxnSnapLog.readTxnLog`, `LearnerHandler.syncFollower` with a learner below the
//! committed log): everything behind a zxid, or nothing where the disk does not lead there without a hole.

use crate::log::{self, Expect};
use crate::{FileName, Txn, Zxid};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// One reading under way.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) token: u64,
    after: Zxid,
    bytes_max: u64,
    generation: u32,
    /// Segments still to be read, by name.
    names: VecDeque<Zxid>,
    bytes: u64,
    txns: Vec<Arc<Txn>>,
    read_again: bool,
}

/// What a reader does next.
pub(super) enum Next {
    Read(FileName),
    /// The `prev` of the first transaction, and all of them; `None`: the log does not reach, is too long, or is bad.
    Done(Option<(Zxid, Vec<Arc<Txn>>)>),
}

impl Reader {
    pub(super) fn new(
        token: u64,
        after: Zxid,
        bytes_max: u64,
        generation: u32,
        segments: &BTreeSet<Zxid>,
    ) -> Reader {
        // The last segment that may hold the successor of `after`, and all behind it. Without one the log does not reach.
        let from = segments.range(..=log::first_after(after)).next_back();
        let names = from.map(|from| segments.range(*from..).copied().collect());
        Reader {
            token,
            after,
            bytes_max,
            generation,
            names: names.unwrap_or_default(),
            bytes: 0,
            txns: Vec::new(),
            read_again: false,
        }
    }

    /// What to do first.
    pub(super) fn first(&mut self) -> Next {
        self.next()
    }

    fn next(&mut self) -> Next {
        if let Some(first) = self.names.front() {
            return Next::Read(FileName::Log {
                generation: self.generation,
                first: *first,
            });
        }
        let found = std::mem::take(&mut self.txns);
        Next::Done(
            found
                .first()
                .map(|txn| txn.prev)
                .map(|start| (start, found)),
        )
    }

    /// Takes the segment asked for.
    pub(super) fn feed(&mut self, bytes: Option<&[u8]>) -> Next {
        let first = *self.names.front().expect("a segment was asked for");
        let expect = Expect {
            generation: self.generation,
            first,
            after: self.after,
            successor: self.names.get(1).copied(),
        };
        let segment = match bytes.map(|bytes| log::scan(bytes, &expect)) {
            Some(Ok(segment)) if segment.torn == 0 || self.read_again => segment,
            // A short or misdirected read is not damage: once more.
            _ if !self.read_again => {
                self.read_again = true;
                return self.next();
            }
            _ => return Next::Done(None),
        };
        self.read_again = false;
        self.bytes += segment
            .txns
            .iter()
            .map(|txn| txn.record.len() as u64)
            .sum::<u64>();
        if self.bytes > self.bytes_max {
            return Next::Done(None);
        }
        self.txns.extend(segment.txns);
        self.names.pop_front();
        self.next()
    }
}
