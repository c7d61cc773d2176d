//! Everything on the disk (ZooKeeper: `FileTxnSnapLog`, `SyncRequestProcessor`, `QuorumPeer`'s epoch files, `PurgeTxnLog`).
//!
//! A state machine inside the peer's: it emits [`Effect::Disk`] with tickets of its own and turns their completions into
//! [`Event`]s. What it promises:
//!
//! - An event is told only once it is durable; a crash at any moment leaves a disk from which [`Storage::recover`] takes up a
//!   prefix of the history that holds everything told ([`recovery`]).
//! - **SNAP**: the rename of the new generation's snapshot is the one commit point. Before it the old database stands, after it
//!   every file of the old one is dead, deleted or not (**BASE**, ZOOKEEPER-2832, 3642).
//! - **TRUNC** looks first whether it can be done, then deletes snapshots above the cut (**BASE**, ZOOKEEPER-4837, 1549), then later
//!   segments, the newest first, then cuts: after each of these steps the disk holds a longer prefix of the same history.
//! - A running server's snapshot is renamed into place only when the log beside it is durable as far as the snapshot may
//!   reach; old snapshots go before the segments that they need.
//! - A disk error is the end: what an fsync once failed to keep, a later one does not bring back ([`Event::Fatal`]).

mod format;
mod reader;
mod recovery;
mod script;
mod writer;

use crate::core::chained;
use crate::log::{self, Expect};
use crate::membership::{Configuration, Membership};
use crate::{
    Bug, Config, DiskData, DiskError, DiskOp, Effect, Epoch, FileName, Note, Payload, Planted,
    Ticket, Txn, Zxid,
};
use reader::{Next, Reader};
use recovery::{Found, Recovery, Step};
use script::{Action, Tickets};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use writer::Writer;

pub(crate) use recovery::Configs;
pub use recovery::{Offline, recover_offline};

/// What the storage has to tell the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// Answers [`Storage::recover`].
    Recovered {
        /// The tail of the history.
        last: Zxid,
        /// The oldest snapshot: no truncation can go below it.
        floor: Zxid,
        accepted: Epoch,
        current: Epoch,
        /// Whether the database may not vote.
        blank: bool,
        /// Bytes of a torn tail that were cut.
        torn_bytes: u64,
        /// The snapshot to begin from, and its pieces; none: the initial, empty state.
        snapshot: Zxid,
        chunks: Vec<Payload>,
        /// What it says about the ensemble.
        configs: Configs,
        /// Every transaction behind the snapshot, committed or not.
        replay: Vec<Arc<Txn>>,
    },
    /// The log is durable up to here.
    Logged { zxid: Zxid },
    /// acceptedEpoch is durable.
    AcceptedEpoch(Epoch),
    /// currentEpoch is durable.
    CurrentEpoch(Epoch),
    /// The marker is durable: the database may vote.
    Initialized,
    /// The log is cut, durably.
    Truncated { to: Zxid },
    /// A snapshot from the leader is durable and is the database now.
    SnapshotInstalled { zxid: Zxid },
    /// A running server's snapshot is durable.
    SnapshotTaken { zxid: Zxid },
    /// Answers [`Storage::read_log_from`]: all logged transactions behind the zxid asked for, in order. `start` is what the
    /// first of them follows: the zxid asked for where that is in this log, else the greatest one below it. `None`: the log
    /// does not reach back, has too many bytes, or does not read well.
    LogRead {
        token: u64,
        start: Zxid,
        txns: Option<Vec<Arc<Txn>>>,
    },
    /// The server must stop, for this reason.
    Fatal { reason: String },
}

/// Who waits for a disk operation.
#[derive(Debug)]
enum Waiter {
    Log,
    Accepted(Epoch),
    Current(Epoch),
    Marker,
    Configuration,
    SnapshotSynced,
    SnapshotRenamed(Zxid),
    Chore,
    /// The job under way.
    Job,
    /// The reading of that number.
    Reader(u64),
    /// An answer that needs no disk, but must not come before the call returns.
    Answer(Event),
    /// Nobody any more.
    Nobody,
}

/// Something that needs the disk for itself.
#[derive(Debug)]
enum Job {
    Recover,
    Truncate {
        to: Zxid,
    },
    Install {
        zxid: Zxid,
        chunks: Vec<Payload>,
        membership: Membership,
    },
}

/// The job under way.
#[derive(Debug)]
enum Work {
    Listing,
    Recovering {
        recovery: Box<Recovery>,
        file: FileName,
    },
    FindingCut {
        to: Zxid,
        expect: Expect,
        read_again: bool,
    },
    Acting {
        script: VecDeque<Action>,
        then: Then,
    },
}

/// What a script leads to.
#[derive(Debug)]
enum Then {
    Recovered(Box<Found>),
    Truncated { to: Zxid },
    Installed { zxid: Zxid },
}

/// A snapshot being taken beside the running log.
#[derive(Debug)]
struct Taking {
    zxid: Zxid,
    pieces: u32,
    /// Its fsync, once the last piece is written.
    ticket: Option<Ticket>,
    synced: bool,
    /// No transaction behind this one can have left a trace in it.
    reach: Zxid,
}

/// The disk of one server.
#[derive(Debug)]
pub(crate) struct Storage {
    disk_diff_bytes_max: u64,
    snap_retain: usize,
    tickets: Tickets,
    waiting: BTreeMap<Ticket, Waiter>,
    /// The disk failed or was refused: nothing more is done to it.
    stopped: bool,
    accepted: Epoch,
    current: Epoch,
    blank: bool,
    generation: u32,
    snapshots: BTreeSet<Zxid>,
    writer: Writer,
    taking: Option<Taking>,
    /// Snapshots and segments that nobody needs any more, to be deleted in this order.
    chores: VecDeque<Action>,
    jobs: VecDeque<Job>,
    work: Option<Work>,
    readers: BTreeMap<u64, Reader>,
    readers_begun: u64,
    bugs: Planted,
    /// The file that was being written when it was cut, and how much of it the writer thinks is still there.
    stale_handle: Option<(FileName, u64)>,
}

impl Storage {
    /// A disk of which nothing is known yet: [`recover`](Storage::recover) first.
    pub(crate) fn new(config: &Config) -> Storage {
        Storage {
            disk_diff_bytes_max: config.disk_diff_bytes_max,
            snap_retain: config.snap_retain.max(1),
            tickets: Tickets::default(),
            waiting: BTreeMap::new(),
            stopped: false,
            accepted: Epoch(0),
            current: Epoch(0),
            blank: true,
            generation: 0,
            snapshots: BTreeSet::new(),
            writer: Writer::default(),
            taking: None,
            chores: VecDeque::new(),
            jobs: VecDeque::new(),
            work: None,
            readers: BTreeMap::new(),
            readers_begun: 0,
            bugs: config.bugs,
            stale_handle: None,
        }
    }

    /// Reads the disk: at boot, after a truncation, or where what is in memory is not to be trusted.
    pub(crate) fn recover(&mut self, out: &mut Vec<Effect>) {
        self.request(Job::Recover, out);
    }

    /// Logs a transaction; not durable before [`Event::Logged`].
    ///
    /// # Panics
    /// Where it does not follow [`last`](Storage::last), or while the disk is being recovered, cut or replaced.
    pub(crate) fn append(&mut self, txn: Arc<Txn>, out: &mut Vec<Effect>) {
        assert!(
            self.no_job(),
            "{} comes while the log is being replaced",
            txn.zxid
        );
        self.writer.unchained = !chained(self.bugs);
        self.writer.append(txn, out);
    }

    /// Makes durable what was appended: one fsync for all of it, and never two at once.
    pub(crate) fn sync(&mut self, out: &mut Vec<Effect>) {
        let ticket = self.writer.sync(&mut self.tickets, out);
        self.wait(ticket, Waiter::Log);
    }

    /// The last transaction appended.
    pub(crate) fn last(&self) -> Zxid {
        self.writer.last()
    }

    /// The last transaction that is durable.
    pub(crate) fn durable(&self) -> Zxid {
        self.writer.durable()
    }

    /// The oldest snapshot: the lowest zxid to which [`truncate`](Storage::truncate) can go.
    pub(crate) fn floor(&self) -> Zxid {
        self.snapshots.first().copied().unwrap_or(Zxid::ZERO)
    }

    /// Whether nothing is in flight that matters to a vote, and everything appended is durable.
    pub(crate) fn idle(&self) -> bool {
        let matters = |waiter: &Waiter| {
            matches!(
                waiter,
                Waiter::Accepted(_) | Waiter::Current(_) | Waiter::Marker | Waiter::Configuration
            )
        };
        self.writer.idle() && self.no_job() && !self.waiting.values().any(matters)
    }

    /// The durable acceptedEpoch.
    pub(crate) fn accepted(&self) -> Epoch {
        self.accepted
    }

    /// The durable currentEpoch.
    pub(crate) fn current(&self) -> Epoch {
        self.current
    }

    /// Whether the disk is (durably) not marked as initialized: the database may not vote.
    pub(crate) fn is_blank(&self) -> bool {
        self.blank && !self.bugs.has(Bug::BlankMayVote)
    }

    /// Promises to follow no leader of an earlier epoch.
    pub(crate) fn set_accepted_epoch(&mut self, epoch: Epoch, out: &mut Vec<Effect>) {
        assert!(
            epoch >= self.accepted,
            "acceptedEpoch never goes back to {epoch}"
        );
        if self.bugs.has(Bug::VolatileAcceptedEpoch) {
            self.accepted = epoch;
            return self.answer(Event::AcceptedEpoch(epoch), out);
        }
        self.replace(FileName::AcceptedEpoch, epoch, Waiter::Accepted(epoch), out);
    }

    /// Says that the history is that of this epoch's leader: only once that history is durable (ZOOKEEPER-4643).
    pub(crate) fn set_current_epoch(&mut self, epoch: Epoch, out: &mut Vec<Effect>) {
        assert!(
            epoch >= self.current,
            "currentEpoch never goes back to {epoch}"
        );
        assert!(
            epoch <= self.accepted,
            "currentEpoch {epoch} was never accepted"
        );
        if self.bugs.has(Bug::VolatileAcceptedEpoch) {
            self.replace(FileName::AcceptedEpoch, epoch, Waiter::Nobody, out);
        }
        self.replace(FileName::CurrentEpoch, epoch, Waiter::Current(epoch), out);
    }

    /// Says that the database may vote.
    pub(crate) fn set_initialized(&mut self, out: &mut Vec<Effect>) {
        self.replace(FileName::Initialized, Epoch(0), Waiter::Marker, out);
    }

    /// Remembers a configuration that is known to be committed.
    pub(crate) fn set_configuration(&mut self, config: &Configuration, out: &mut Vec<Effect>) {
        let bytes = format::configuration_file(config);
        self.write(FileName::Configuration, bytes, Waiter::Configuration, out);
    }

    fn replace(&mut self, file: FileName, epoch: Epoch, waiter: Waiter, out: &mut Vec<Effect>) {
        self.write(file, format::small_file(file, epoch), waiter, out);
    }

    fn write(&mut self, file: FileName, bytes: Payload, waiter: Waiter, out: &mut Vec<Effect>) {
        let ticket = self.tickets.next();
        out.push(Effect::Disk(DiskOp::Replace {
            file,
            bytes,
            ticket,
        }));
        self.waiting.insert(ticket, waiter);
    }

    /// TRUNC: nothing behind `to` stays. `to` must be in the log, or be the snapshot from which the log begins.
    pub(crate) fn truncate(&mut self, to: Zxid, out: &mut Vec<Effect>) {
        self.request(Job::Truncate { to }, out);
    }

    /// SNAP: the leader's snapshot becomes the database, whatever was there before. `zxid` is that of a transaction.
    pub(crate) fn install_snapshot(
        &mut self,
        zxid: Zxid,
        chunks: Vec<Payload>,
        membership: Membership,
        out: &mut Vec<Effect>,
    ) {
        let job = Job::Install {
            zxid,
            chunks,
            membership,
        };
        self.request(job, out);
    }

    /// Begins a running server's snapshot. Everything applied must be committed: a snapshot cannot be cut.
    pub(crate) fn begin_snapshot(
        &mut self,
        zxid: Zxid,
        membership: &Membership,
        out: &mut Vec<Effect>,
    ) {
        assert!(self.taking.is_none(), "one snapshot at a time");
        assert!(self.no_job(), "a snapshot while the log is being replaced");
        assert!(
            zxid <= self.last(),
            "a snapshot of transactions that were never logged"
        );
        let bytes = format::snapshot_header(self.generation, zxid, Some(membership));
        self.taking = Some(Taking {
            zxid,
            pieces: 0,
            ticket: None,
            synced: false,
            reach: zxid,
        });
        let file = self.part(zxid);
        out.push(Effect::Disk(DiskOp::Append { file, bytes }));
    }

    /// Takes a piece of it. After an abandonment there may be some still under way: they are dropped.
    pub(crate) fn snapshot_chunk(&mut self, bytes: Payload, last: bool, out: &mut Vec<Effect>) {
        let reach = self.last();
        let oldest_segment = self.writer.segments.first().copied();
        let Some(taking) = self
            .taking
            .as_mut()
            .filter(|taking| taking.ticket.is_none())
        else {
            return;
        };
        taking.pieces += 1;
        let mut pieces = vec![format::piece_header(&bytes), bytes];
        if last {
            taking.reach = reach;
            let has_log = oldest_segment.is_some_and(|first| first <= taking.zxid);
            pieces.push(format::snapshot_trailer(taking.pieces, has_log));
        }
        let file = FileName::SnapshotPart {
            generation: self.generation,
            zxid: taking.zxid,
        };
        let append = |bytes| Effect::Disk(DiskOp::Append { file, bytes });
        out.extend(pieces.into_iter().map(append));
        if last {
            let ticket = self.tickets.next();
            taking.ticket = Some(ticket);
            out.push(Effect::Disk(DiskOp::Sync { file, ticket }));
            self.waiting.insert(ticket, Waiter::SnapshotSynced);
        }
    }

    /// Nobody wants the snapshot being taken any more. One that is being renamed is finished all the same.
    pub(crate) fn abandon_snapshot(&mut self, out: &mut Vec<Effect>) {
        let Some(taking) = self.taking.take() else {
            return;
        };
        if let Some(ticket) = taking.ticket.filter(|_| !taking.synced) {
            self.waiting.insert(ticket, Waiter::Nobody);
        }
        let (file, ticket) = (self.part(taking.zxid), self.tickets.next());
        out.push(Effect::Disk(DiskOp::Delete { file, ticket }));
        self.waiting.insert(ticket, Waiter::Nobody);
    }

    /// Reads the log behind `after`, for a DIFF. Answered by [`Event::LogRead`].
    pub(crate) fn read_log_from(&mut self, after: Zxid, token: u64, out: &mut Vec<Effect>) {
        let answer = |start, txns| Event::LogRead { token, start, txns };
        if after == self.last() {
            return self.answer(answer(after, Some(Vec::new())), out);
        }
        if after > self.last() || self.disk_diff_bytes_max == 0 || !self.no_job() {
            return self.answer(answer(after, None), out);
        }
        let max = self.disk_diff_bytes_max;
        let segments = &self.writer.segments;
        let mut reader = Reader::new(token, after, max, self.generation, segments);
        match reader.first() {
            Next::Read(file) => {
                self.readers_begun += 1;
                self.readers.insert(self.readers_begun, reader);
                self.read(file, Waiter::Reader(self.readers_begun), out);
            }
            Next::Done(_) => self.answer(answer(after, None), out),
        }
    }

    /// A disk operation is done.
    pub(crate) fn on_disk_done(&mut self, ticket: Ticket, out: &mut Vec<Effect>) -> Vec<Event> {
        if self.stopped {
            return Vec::new();
        }
        let Some(waiter) = self.waiting.remove(&ticket) else {
            panic!("{ticket:?} was never given out, or is done twice");
        };
        let mut events = Vec::with_capacity(1);
        match waiter {
            Waiter::Log => {
                let (zxid, next) = self.writer.on_synced(ticket, &mut self.tickets, out);
                self.wait(next, Waiter::Log);
                events.push(Event::Logged { zxid });
                self.rename_snapshot(out);
            }
            Waiter::Accepted(epoch) => {
                self.accepted = self.accepted.max(epoch);
                events.push(Event::AcceptedEpoch(epoch));
            }
            Waiter::Current(epoch) => {
                self.current = self.current.max(epoch);
                events.push(Event::CurrentEpoch(epoch));
            }
            Waiter::Marker => {
                self.blank = false;
                events.push(Event::Initialized);
            }
            Waiter::SnapshotSynced => {
                let taking = self
                    .taking
                    .as_mut()
                    .expect("an abandoned one has no waiter");
                taking.synced = true;
                self.rename_snapshot(out);
            }
            Waiter::SnapshotRenamed(zxid) => {
                self.on_snapshot_taken(zxid, out);
                events.push(Event::SnapshotTaken { zxid });
            }
            Waiter::Chore => self.do_chore(out),
            Waiter::Job => self.act(out, &mut events),
            Waiter::Nobody | Waiter::Configuration => {}
            Waiter::Reader(_) | Waiter::Answer(_) => panic!("{ticket:?} is a read"),
        }
        self.begin_job(out, &mut events);
        events
    }

    /// A read is done.
    pub(crate) fn on_read_done(
        &mut self,
        ticket: Ticket,
        data: DiskData,
        out: &mut Vec<Effect>,
    ) -> Vec<Event> {
        if self.stopped {
            return Vec::new();
        }
        let Some(waiter) = self.waiting.remove(&ticket) else {
            panic!("{ticket:?} was never given out, or is done twice");
        };
        let mut events = Vec::new();
        match waiter {
            Waiter::Answer(event) => {
                self.stopped = matches!(event, Event::Fatal { .. });
                events.push(event);
            }
            Waiter::Reader(number) => self.on_log_read(number, &data, out, &mut events),
            Waiter::Job => self.on_job_read(data, out, &mut events),
            other => panic!("{ticket:?} is no read: {other:?}"),
        }
        self.begin_job(out, &mut events);
        events
    }

    /// A disk operation failed: the server must stop. Nothing half-written counts, for nothing of it was told.
    pub(crate) fn on_disk_failed(
        &mut self,
        file: Option<FileName>,
        error: DiskError,
        _out: &mut Vec<Effect>,
    ) -> Vec<Event> {
        if self.stopped {
            return Vec::new();
        }
        let log = matches!(file, Some(FileName::Log { .. }));
        if log && self.bugs.has(Bug::LeaderSurvivesLogError) {
            return Vec::new();
        }
        let place = file.map_or_else(|| "the directory".to_string(), |file| file.to_string());
        let what = match error {
            DiskError::Io => "input/output error; what was not yet durable may be lost",
            DiskError::Full => "no space left",
        };
        vec![self.fatal(format!("the disk failed at {place}: {what}"))]
    }

    fn fatal(&mut self, reason: String) -> Event {
        self.stopped = true;
        Event::Fatal { reason }
    }

    fn wait(&mut self, ticket: Option<Ticket>, waiter: Waiter) {
        if let Some(ticket) = ticket {
            self.waiting.insert(ticket, waiter);
        }
    }

    fn read(&mut self, file: FileName, waiter: Waiter, out: &mut Vec<Effect>) {
        let ticket = self.tickets.next();
        out.push(Effect::Disk(DiskOp::Read { file, ticket }));
        self.waiting.insert(ticket, waiter);
    }

    fn answer(&mut self, event: Event, out: &mut Vec<Effect>) {
        self.list(Waiter::Answer(event), out);
    }

    fn list(&mut self, waiter: Waiter, out: &mut Vec<Effect>) {
        let ticket = self.tickets.next();
        out.push(Effect::Disk(DiskOp::List { ticket }));
        self.waiting.insert(ticket, waiter);
    }

    fn part(&self, zxid: Zxid) -> FileName {
        FileName::SnapshotPart {
            generation: self.generation,
            zxid,
        }
    }

    fn no_job(&self) -> bool {
        self.work.is_none() && self.jobs.is_empty()
    }
}

/// Whether a bug leaves snapshots beyond the cut where they are.
fn snapshots_survive_cuts(bugs: Planted) -> bool {
    bugs.has(Bug::TruncKeepsSnapshots) || bugs.has(Bug::SnapshotOnLeadEntry)
}

/// A new ensemble's disk: the empty database, marked as initialized, that has followed nobody yet.
pub fn format_files() -> Vec<(FileName, Payload)> {
    let epoch_file = |file| (file, format::small_file(file, Epoch(0)));
    let snapshot = FileName::Snapshot {
        generation: 0,
        zxid: Zxid::ZERO,
    };
    vec![
        epoch_file(FileName::AcceptedEpoch),
        epoch_file(FileName::CurrentEpoch),
        epoch_file(FileName::Initialized),
        (snapshot, format::empty_snapshot()),
    ]
}

mod jobs;
mod snapshots;

#[cfg(test)]
mod tests;
