//! The writing end of the log: appends, group fsync, and the change to a new segment (ZooKeeper: `SyncRequestProcessor`,
//! `FileTxnLog.rollLog`).
//!
//! - At most one fsync is in flight; what is appended meanwhile goes with the next one.
//! - A new segment begins after every recovery, cut, SNAP and snapshot. Nothing is ever appended to a file that was there
//!   before (ZOOKEEPER-1489: records beyond a hole).
//! - A new segment begins only when the one before it is durable to its last byte. Were both written at once, a crash could
//!   keep the later and lose the end of the earlier, which is not to be told from damage; so transactions that come while the
//!   last fsync of the old segment is in flight are held back until it ends.

use super::script::Tickets;
use crate::log;
use crate::{DiskOp, Effect, FileName, Ticket, Txn, Zxid};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    file: FileName,
    len: u64,
    /// Bytes that are durable.
    durable: u64,
    /// Bytes that the last mark declares durable.
    marked: u64,
    /// Bytes that the writer believes to have written, and that are cut off: zeros will stand there.
    hole: u64,
}

#[derive(Debug)]
struct Fsync {
    ticket: Ticket,
    len: u64,
    zxid: Zxid,
}

/// The writing end of the log.
#[derive(Debug, Default)]
pub(super) struct Writer {
    generation: u32,
    /// The segments of this generation, by the first zxid that each may hold.
    pub(super) segments: BTreeSet<Zxid>,
    active: Option<Active>,
    /// The last transaction taken, the last one written to a file, the last durable one.
    last: Zxid,
    written: Zxid,
    durable: Zxid,
    in_flight: Option<Fsync>,
    sync_wanted: bool,
    /// The next segment begins as soon as the active one is durable.
    rolling: bool,
    held: VecDeque<Arc<Txn>>,
    /// Holes are not looked for: see [`crate::core::chained`].
    pub(super) unchained: bool,
}

impl Writer {
    /// A log with this tail, wholly durable; what comes next begins a new segment.
    pub(super) fn new(generation: u32, segments: BTreeSet<Zxid>, last: Zxid) -> Writer {
        let first = log::first_after(last);
        assert!(
            segments.last().is_none_or(|name| *name < first),
            "the name of the segment to come is taken: {segments:?}, {last}"
        );
        Writer {
            generation,
            segments,
            last,
            written: last,
            durable: last,
            ..Writer::default()
        }
    }

    pub(super) fn last(&self) -> Zxid {
        self.last
    }

    pub(super) fn durable(&self) -> Zxid {
        self.durable
    }

    /// Whether nothing is in flight and everything is durable.
    pub(super) fn idle(&self) -> bool {
        self.in_flight.is_none() && self.last == self.durable
    }

    pub(super) fn append(&mut self, txn: Arc<Txn>, out: &mut Vec<Effect>) {
        if !self.unchained {
            assert_eq!(
                txn.prev, self.last,
                "a hole would be logged before {}",
                txn.zxid
            );
            assert!(
                log::follows(txn.prev, txn.zxid),
                "{} does not follow {}",
                txn.zxid,
                txn.prev
            );
        }
        self.last = txn.zxid;
        self.roll_if_durable();
        if self.rolling {
            self.held.push_back(txn);
        } else {
            self.write(&txn, out);
        }
    }

    fn write(&mut self, txn: &Arc<Txn>, out: &mut Vec<Effect>) {
        assert!(
            self.unchained || txn.prev == self.written,
            "held transactions keep their order"
        );
        self.written = txn.zxid;
        let bytes = match &mut self.active {
            None => {
                let first = log::first_after(txn.prev);
                let generation = self.generation;
                let mut bytes = Vec::with_capacity(log::SEGMENT_HEADER + txn.record.len());
                log::put_segment_header(&mut bytes, generation, first);
                bytes.extend_from_slice(&txn.record);
                self.segments.insert(first);
                self.active = Some(Active {
                    file: FileName::Log { generation, first },
                    len: 0,
                    durable: 0,
                    marked: 0,
                    hole: 0,
                });
                bytes.into()
            }
            Some(active) if active.hole > 0 => {
                let mut bytes = vec![0; active.hole as usize];
                active.hole = 0;
                bytes.extend_from_slice(&txn.record);
                bytes.into()
            }
            Some(active) if active.durable > active.marked => {
                active.marked = active.durable;
                let mut bytes = Vec::with_capacity(log::MARK_LEN + txn.record.len());
                log::put_mark(&mut bytes, active.len, active.durable);
                bytes.extend_from_slice(&txn.record);
                bytes.into()
            }
            Some(_) => Arc::clone(&txn.record),
        };
        let active = self.active.as_mut().expect("a segment was begun");
        active.len += bytes.len() as u64;
        let file = active.file;
        out.push(Effect::Disk(DiskOp::Append { file, bytes }));
    }

    /// Asks that everything appended so far becomes durable.
    pub(super) fn sync(&mut self, tickets: &mut Tickets, out: &mut Vec<Effect>) -> Option<Ticket> {
        if self.durable == self.last {
            return None;
        }
        if self.in_flight.is_some() {
            self.sync_wanted = true;
            return None;
        }
        // What is held goes to the next segment, once this one is durable.
        self.sync_wanted = !self.held.is_empty();
        let active = self
            .active
            .as_ref()
            .expect("what is not durable is in a segment");
        let ticket = tickets.next();
        self.in_flight = Some(Fsync {
            ticket,
            len: active.len,
            zxid: self.written,
        });
        out.push(Effect::Disk(DiskOp::Sync {
            file: active.file,
            ticket,
        }));
        Some(ticket)
    }

    /// The fsync is done: the log is durable up to the zxid returned. Where more is wanted the next one begins, and its ticket
    /// is returned too.
    pub(super) fn on_synced(
        &mut self,
        ticket: Ticket,
        tickets: &mut Tickets,
        out: &mut Vec<Effect>,
    ) -> (Zxid, Option<Ticket>) {
        let fsync = self.in_flight.take().expect("an fsync was in flight");
        assert_eq!(fsync.ticket, ticket, "at most one fsync is in flight");
        let active = self.active.as_mut().expect("a segment was synced");
        active.durable = fsync.len;
        assert!(
            self.unchained || fsync.zxid > self.durable,
            "an fsync for nothing"
        );
        self.durable = fsync.zxid;
        self.roll_if_durable();
        if !self.rolling {
            while let Some(txn) = self.held.pop_front() {
                self.write(&txn, out);
            }
        }
        let next = if self.sync_wanted {
            self.sync(tickets, out)
        } else {
            None
        };
        (self.durable, next)
    }

    /// What is left of the segment being written once it is cut to `len`: its name, and the length that it had.
    pub(super) fn stale_handle(&self, file: FileName, len: u64) -> Option<(FileName, u64)> {
        let active = self.active.as_ref()?;
        (active.file == file && active.len > len).then(|| (file, active.len - len))
    }

    /// Writes on where a cut segment once ended.
    pub(super) fn go_on_with(&mut self, file: FileName, hole: u64) {
        self.active = Some(Active {
            file,
            len: 0,
            durable: 0,
            marked: 0,
            hole,
        });
    }

    /// From the next transaction that can do so without a gap, a new segment is written.
    pub(super) fn roll(&mut self) {
        self.rolling = self.active.is_some();
        self.roll_if_durable();
    }

    fn roll_if_durable(&mut self) {
        let durable = |active: &Active| active.durable == active.len;
        if self.rolling && self.active.as_ref().is_none_or(durable) {
            assert!(self.in_flight.is_none(), "an fsync for nothing");
            self.active = None;
            self.rolling = false;
        }
    }
}
