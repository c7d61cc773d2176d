//! Recovery from a disk: what is this server's history, may it vote, and what has to be tidied up first
//! (`FileTxnSnapLog.restore`, `QuorumPeer.loadDataBase`).
//!
//! One straight walk, [`Recovery::next`], that asks for a file when it needs one and is walked again when it has it: so the
//! server at boot and the checks on a crashed disk ([`recover_offline`]) run the very same judgement.
//!
//! - The newest **generation** that has a snapshot is the database; files of older ones are dead, whatever they hold. The
//!   rename of a SNAP's file is thus the one commit point, wherever the crash fell (**BASE**, ZOOKEEPER-2832).
//! - The newest snapshot that reads well, then every record behind it, committed or not. Where the newest is bad an older one
//!   serves, if the log leads on from it past the bad one.
//! - The chain from the snapshot through the segments must have no hole (**BASE**): a segment is named by the zxid after its
//!   predecessor's tail.
//! - A tail of a later epoch than currentEpoch is what a crash between history and epoch leaves (**BASE**, ZOOKEEPER-1653):
//!   accepted. acceptedEpoch below currentEpoch, or below the tail's epoch, is a promise lost: refused.
//! - The configurations are those of the snapshot, and behind it those of the log; the configuration's own file says which of
//!   them are known to be committed.
//! - A short or misdirected read is not damage, and looks just like a torn tail. So a file that does not read well, and the last
//!   segment in any case (whose end nothing else tells), is judged only by two equal readings.

use super::format::{self, Snapshot};
use super::script::Action;
use crate::log::{self, Expect, Segment};
use crate::membership::{Configuration, Membership};
use crate::{Bug, Epoch, FileName, Payload, Planted, Txn, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What recovery wants next.
pub(super) enum Step {
    /// This file, to be handed to [`Recovery::feed`].
    Read(FileName),
    /// Nothing more.
    Done(Box<Found>),
}

/// What is on the disk.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) generation: u32,
    pub(super) snapshots: BTreeSet<Zxid>,
    pub(super) segments: BTreeSet<Zxid>,
    pub(super) snapshot: Zxid,
    pub(super) chunks: Vec<Payload>,
    pub(super) configs: Configs,
    pub(super) txns: Vec<Arc<Txn>>,
    pub(super) last: Zxid,
    pub(super) accepted: Epoch,
    pub(super) current: Epoch,
    pub(super) blank: bool,
    pub(super) torn_bytes: u64,
    pub(super) marks: Vec<&'static str>,
    /// What has to be done to the disk before it is used.
    pub(super) tidy: Vec<Action>,
}

/// What the disk says about the ensemble's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Configs {
    /// As of the snapshot; none: the ensemble's first.
    pub(crate) snapshot: Option<Membership>,
    /// Of the log behind it, in order.
    pub(crate) logged: Vec<Arc<Configuration>>,
    /// The last one that is known to be committed, if that is known of any.
    pub(crate) active: Option<Arc<Configuration>>,
}

impl Configs {
    /// What follows from it for a server that began with `initial`.
    pub(crate) fn membership(&self, initial: &Membership) -> Membership {
        let mut membership = self.snapshot.as_ref().unwrap_or(initial).clone();
        for config in &self.logged {
            membership.propose(config.clone());
        }
        if let Some(active) = &self.active {
            membership.activate(active);
        }
        membership
    }
}

/// What one reading of a file brought.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    Small(Result<Epoch, String>),
    Configuration(Result<Arc<Configuration>, String>),
    Snapshot(Result<Snapshot, String>),
    /// A segment that has a successor.
    Inner(Result<Segment, String>),
    /// The last segment.
    Last(Result<Segment, String>),
}

impl Reading {
    /// Whether no misread could have brought this.
    fn is_beyond_doubt(&self) -> bool {
        match self {
            Reading::Small(read) => read.is_ok(),
            Reading::Configuration(read) => read.is_ok(),
            Reading::Snapshot(read) => read.is_ok(),
            Reading::Inner(read) => read.is_ok(),
            Reading::Last(_) => false,
        }
    }

    fn failed(like: &Reading, reason: String) -> Reading {
        match like {
            Reading::Small(_) => Reading::Small(Err(reason)),
            Reading::Configuration(_) => Reading::Configuration(Err(reason)),
            Reading::Snapshot(_) => Reading::Snapshot(Err(reason)),
            Reading::Inner(_) => Reading::Inner(Err(reason)),
            Reading::Last(_) => Reading::Last(Err(reason)),
        }
    }
}

/// How often a file is read before it is given up because it reads differently each time.
const READINGS_MAX: usize = 4;

/// A recovery under way.
#[derive(Debug)]
pub(super) struct Recovery {
    files: BTreeSet<FileName>,
    /// Whether the reader never errs: files in memory.
    reads_are_sure: bool,
    small: BTreeMap<FileName, Result<Epoch, String>>,
    configuration: Option<Result<Arc<Configuration>, String>>,
    snapshots: BTreeMap<Zxid, Result<Snapshot, String>>,
    segments: BTreeMap<Zxid, Result<Segment, String>>,
    /// How the segments are to be read, once the snapshot is chosen.
    wanted: BTreeMap<Zxid, Expect>,
    /// Of the file being read, the readings so far.
    readings: Vec<Reading>,
    misread: bool,
    bugs: Planted,
}

/// A walk that stops: for a file, or for good.
enum Stop {
    Read(FileName),
    Refuse(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Stop {
        Stop::Refuse(reason)
    }
}

impl Recovery {
    pub(super) fn new(
        files: impl IntoIterator<Item = FileName>,
        reads_are_sure: bool,
        bugs: Planted,
    ) -> Recovery {
        Recovery {
            files: files.into_iter().collect(),
            reads_are_sure,
            small: BTreeMap::new(),
            configuration: None,
            snapshots: BTreeMap::new(),
            segments: BTreeMap::new(),
            wanted: BTreeMap::new(),
            readings: Vec::new(),
            misread: false,
            bugs,
        }
    }

    /// Goes as far as the files read so far allow. An error is the refusal to use this disk.
    pub(super) fn next(&mut self) -> Result<Step, String> {
        match self.walk() {
            Ok(found) => Ok(Step::Done(Box::new(found))),
            Err(Stop::Read(file)) => Ok(Step::Read(file)),
            Err(Stop::Refuse(reason)) => Err(reason),
        }
    }

    /// Takes a file's content; it may be asked for again.
    pub(super) fn feed(&mut self, file: FileName, bytes: Option<&[u8]>) {
        let reading = self.parse(file, bytes);
        self.misread |= self.readings.last().is_some_and(|last| *last != reading);
        let sure = self.reads_are_sure || reading.is_beyond_doubt();
        if sure || self.readings.contains(&reading) {
            return self.settle(file, reading);
        }
        self.readings.push(reading);
        if self.readings.len() == READINGS_MAX {
            let reason = format!("{file}: found something else at each of {READINGS_MAX} readings");
            self.settle(file, Reading::failed(&self.readings[0], reason));
        }
    }

    fn parse(&self, file: FileName, bytes: Option<&[u8]>) -> Reading {
        let listed = || format!("{file}: found no file, expected one, for it was listed");
        let bytes = bytes.ok_or_else(listed);
        match file {
            FileName::AcceptedEpoch | FileName::CurrentEpoch | FileName::Initialized => {
                Reading::Small(bytes.and_then(|bytes| format::parse_small_file(file, bytes)))
            }
            FileName::Configuration => {
                Reading::Configuration(bytes.and_then(format::parse_configuration))
            }
            FileName::Snapshot { generation, zxid } => Reading::Snapshot(
                bytes.and_then(|bytes| format::parse_snapshot(generation, zxid, bytes)),
            ),
            FileName::Log { first, .. } => {
                let expect = self.wanted[&first];
                let read = bytes.and_then(|bytes| log::scan(bytes, &expect));
                match expect.successor {
                    Some(_) => Reading::Inner(read),
                    None => Reading::Last(read),
                }
            }
            FileName::SnapshotPart { .. } => unreachable!("an unfinished snapshot is not read"),
        }
    }

    fn settle(&mut self, file: FileName, reading: Reading) {
        self.readings.clear();
        match (file, reading) {
            (FileName::Snapshot { zxid, .. }, Reading::Snapshot(read)) => {
                self.snapshots.insert(zxid, read);
            }
            (FileName::Log { first, .. }, Reading::Inner(read) | Reading::Last(read)) => {
                self.segments.insert(first, read);
            }
            (_, Reading::Configuration(read)) => self.configuration = Some(read),
            (file, Reading::Small(read)) => {
                self.small.insert(file, read);
            }
            (file, reading) => unreachable!("{file} is not {reading:?}"),
        }
    }

    fn walk(&mut self) -> Result<Found, Stop> {
        let marker = self.small_file(FileName::Initialized)?.is_some();
        let accepted = self.small_file(FileName::AcceptedEpoch)?;
        let current = self.small_file(FileName::CurrentEpoch)?;
        let active = self.configuration()?;
        let mut found = match self.generation(marker)? {
            Some(generation) => self.database(generation)?,
            None => nothing(),
        };
        found.blank = !marker;
        found.configs.active = active;
        found.configs.logged = found
            .txns
            .iter()
            .filter_map(|txn| txn.configuration())
            .collect();
        let tail = found.last.epoch();
        let epoch = |file: FileName, epoch: Option<Epoch>| match epoch {
            Some(epoch) => Ok(epoch),
            None if marker => Err(format!(
                "{file}: found no file, expected one, for the disk is marked as initialized: a promise is lost"
            )),
            None => Ok(tail),
        };
        found.current = epoch(FileName::CurrentEpoch, current)?;
        found.accepted = match accepted {
            // A blank server that crashed before its first promise.
            None if !marker => found.current.max(tail),
            accepted => epoch(FileName::AcceptedEpoch, accepted)?,
        };
        if self.bugs.has(Bug::EpochFromLogAlone) {
            let log = found.txns.last().map_or(Epoch(0), |txn| txn.zxid.epoch());
            (found.accepted, found.current) = (log, log);
        } else if self.bugs.has(Bug::VolatileAcceptedEpoch) {
            found.accepted = found.accepted.max(found.current).max(tail);
        }
        if self.bugs.has(Bug::ReplayStopsEarly)
            && let Some(txn) = found.txns.pop()
        {
            found.last = txn.prev;
        }
        self.check_epochs(&mut found)?;
        self.tidy_up(&mut found);
        Ok(found)
    }

    fn small_file(&self, file: FileName) -> Result<Option<Epoch>, Stop> {
        if !self.files.contains(&file) {
            return Ok(None);
        }
        match self.small.get(&file) {
            None => Err(Stop::Read(file)),
            Some(read) => Ok(Some(read.clone()?)),
        }
    }

    fn configuration(&self) -> Result<Option<Arc<Configuration>>, Stop> {
        if !self.files.contains(&FileName::Configuration) {
            return Ok(None);
        }
        match &self.configuration {
            None => Err(Stop::Read(FileName::Configuration)),
            Some(read) => Ok(Some(read.clone()?)),
        }
    }

    /// The generation of the database: `None` on a disk that has none.
    fn generation(&self, marker: bool) -> Result<Option<u32>, Stop> {
        let generation_of = |file: &FileName| match file {
            FileName::Snapshot { generation, .. } => Some(*generation),
            _ => None,
        };
        let newest = self.files.iter().filter_map(generation_of).max();
        for file in &self.files {
            match (file, newest) {
                (FileName::Log { .. }, None) => {
                    return Err(Stop::Refuse(format!(
                        "{file}: found a log, but no snapshot: the state that it begins from is missing"
                    )));
                }
                (FileName::Log { generation, .. }, Some(newest)) if *generation > newest => {
                    return Err(Stop::Refuse(format!(
                        "{file}: found no snapshot of its generation, the newest is of {newest}"
                    )));
                }
                _ => {}
            }
        }
        if newest.is_none() && marker {
            return Err(Stop::Refuse(
                "found no snapshot, but the disk is marked as initialized: the database is missing"
                    .into(),
            ));
        }
        Ok(newest)
    }

    fn database(&mut self, generation: u32) -> Result<Found, Stop> {
        let (zxid, snapshot, newest) = self.choose_snapshot(generation)?;
        let snapshot = snapshot.clone();
        let names = self.choose_segments(generation, zxid)?;
        let mut found = Found {
            generation,
            snapshots: self.snapshots_of(generation).collect(),
            segments: self.segments_of(generation).collect(),
            snapshot: zxid,
            chunks: snapshot.chunks,
            configs: Configs {
                snapshot: snapshot.membership,
                ..Configs::default()
            },
            last: zxid,
            ..nothing()
        };
        found.tidy.clear();
        if zxid < newest {
            found.marks.push("recovery-older-snapshot");
        }
        self.chain(generation, &names, &mut found)?;
        let reach = if snapshot.has_log && names.is_empty() {
            Some("no log")
        } else if found.last < newest {
            Some("a log that ends before it")
        } else {
            None
        };
        if super::snapshots_survive_cuts(self.bugs) {
            found.last = found.last.max(zxid);
        } else if let Some(what) = reach {
            let file = FileName::Snapshot {
                generation,
                zxid: newest,
            };
            let last = found.last;
            return Err(Stop::Refuse(format!(
                "{file}: found {what} (at {last}), expected the log beside which it was taken"
            )));
        }
        Ok(found)
    }

    fn snapshots_of(&self, wanted: u32) -> impl DoubleEndedIterator<Item = Zxid> {
        let name = move |file: &FileName| match file {
            FileName::Snapshot { generation, zxid } if *generation == wanted => Some(*zxid),
            _ => None,
        };
        self.files.iter().filter_map(name)
    }

    fn segments_of(&self, wanted: u32) -> impl DoubleEndedIterator<Item = Zxid> {
        let name = move |file: &FileName| match file {
            FileName::Log { generation, first } if *generation == wanted => Some(*first),
            _ => None,
        };
        self.files.iter().filter_map(name)
    }

    /// The newest snapshot that reads well, and the newest there is.
    fn choose_snapshot(&self, generation: u32) -> Result<(Zxid, &Snapshot, Zxid), Stop> {
        let newest = self.snapshots_of(generation).next_back();
        let newest = newest.expect("the generation was chosen for having a snapshot");
        for zxid in self.snapshots_of(generation).rev() {
            match self.snapshots.get(&zxid) {
                None => return Err(Stop::Read(FileName::Snapshot { generation, zxid })),
                Some(Ok(snapshot)) => return Ok((zxid, snapshot, newest)),
                Some(Err(_)) => {}
            }
        }
        let reason = self.snapshots[&newest]
            .as_ref()
            .expect_err("all of them are bad");
        Err(Stop::Refuse(format!(
            "{reason}; and there is no good older snapshot"
        )))
    }

    /// The segments that may hold something behind the snapshot.
    fn choose_segments(&mut self, generation: u32, snapshot: Zxid) -> Result<Vec<Zxid>, Stop> {
        let names: Vec<Zxid> = self.segments_of(generation).collect();
        let start = names.partition_point(|first| *first <= log::first_after(snapshot));
        if let (0, Some(first)) = (start, names.first()) {
            let file = FileName::Log {
                generation,
                first: *first,
            };
            return Err(Stop::Refuse(format!(
                "{file}: found the oldest segment to begin at {first}, expected one that goes on from snapshot {snapshot}: \
                 a segment is missing"
            )));
        }
        let needed = names[start.saturating_sub(1)..].to_vec();
        for (index, first) in needed.iter().enumerate() {
            let expect = Expect {
                generation,
                first: *first,
                after: snapshot,
                successor: needed.get(index + 1).copied(),
            };
            self.wanted.insert(*first, expect);
        }
        Ok(needed)
    }

    /// Strings the segments together.
    fn chain(&self, generation: u32, names: &[Zxid], found: &mut Found) -> Result<(), Stop> {
        for name in names {
            if !self.segments.contains_key(name) {
                let first = *name;
                return Err(Stop::Read(FileName::Log { generation, first }));
            }
        }
        for name in names {
            let file = FileName::Log {
                generation,
                first: *name,
            };
            let segment = self.segments[name].as_ref().map_err(Clone::clone)?;
            found.last = segment.tail;
            found.txns.extend(segment.txns.iter().cloned());
            found.torn_bytes += segment.torn;
            if segment.len <= log::SEGMENT_HEADER as u64 {
                // Nothing in it: its name must be free for the segment to come.
                found.segments.remove(name);
                found.tidy.push(Action::Delete(file));
            } else if segment.torn > 0 {
                found.tidy.push(Action::Cut(file, segment.len));
            }
        }
        Ok(())
    }

    fn check_epochs(&self, found: &mut Found) -> Result<(), Stop> {
        let (tail, current, accepted) = (found.last.epoch(), found.current, found.accepted);
        if self.bugs.has(Bug::EpochFromLogAlone) {
            return Ok(());
        }
        if tail > current && self.bugs.has(Bug::RefuseBootOfTailAboveEpoch) {
            return Err(Stop::Refuse(format!(
                "currentEpoch: found {current}, expected at least {tail}, the epoch of the log's tail"
            )));
        }
        if accepted < current {
            return Err(Stop::Refuse(format!(
                "acceptedEpoch: found {accepted}, expected at least currentEpoch, which is {current}: a promise is lost"
            )));
        }
        if accepted < tail {
            return Err(Stop::Refuse(format!(
                "acceptedEpoch: found {accepted}, expected at least {tail}, the epoch of the log's tail: a promise is lost"
            )));
        }
        if tail > current {
            found.marks.push("recovery-history-ahead-of-epoch");
        }
        Ok(())
    }

    fn tidy_up(&self, found: &mut Found) {
        for file in &self.files {
            let dead = match *file {
                FileName::Log { generation, .. } => generation != found.generation,
                FileName::Snapshot { generation, zxid } => {
                    generation != found.generation
                        || self.snapshots.get(&zxid).is_some_and(Result::is_err)
                }
                FileName::SnapshotPart { .. } => true,
                FileName::AcceptedEpoch
                | FileName::CurrentEpoch
                | FileName::Configuration
                | FileName::Initialized => false,
            };
            if dead {
                found.tidy.push(Action::Delete(*file));
            }
            if let FileName::Log { generation, .. } = *file
                && dead
                && generation < found.generation
                && !found.marks.contains(&"recovery-dead-generation")
            {
                found.marks.push("recovery-dead-generation");
            }
        }
        found
            .snapshots
            .retain(|zxid| !self.snapshots.get(zxid).is_some_and(Result::is_err));
        if found.torn_bytes > 0 {
            found.marks.push("recovery-torn-tail");
        }
        if self.misread {
            found.marks.push("recovery-read-again");
        }
    }
}

/// A disk without a database gets the empty one, not marked as initialized: so a log never stands without a snapshot.
fn nothing() -> Found {
    let base = FileName::Snapshot {
        generation: 0,
        zxid: Zxid::ZERO,
    };
    Found {
        generation: 0,
        snapshots: [Zxid::ZERO].into(),
        segments: BTreeSet::new(),
        snapshot: Zxid::ZERO,
        chunks: Vec::new(),
        configs: Configs::default(),
        txns: Vec::new(),
        last: Zxid::ZERO,
        accepted: Epoch(0),
        current: Epoch(0),
        blank: true,
        torn_bytes: 0,
        marks: Vec::new(),
        tidy: vec![Action::Write(base, format::empty_snapshot())],
    }
}

/// What [`recover_offline`] finds on a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offline {
    /// Counts the times that a SNAP replaced the whole database.
    pub generation: u32,
    /// The snapshot that recovery starts from.
    pub snapshot: Zxid,
    /// Its pieces; none: the initial, empty state.
    pub chunks: Vec<Payload>,
    /// The transactions behind it, in order.
    pub txns: Vec<Arc<Txn>>,
    /// The tail: the last of them, or the snapshot.
    pub last: Zxid,
    configs: Configs,
    /// acceptedEpoch.
    pub accepted: Epoch,
    /// currentEpoch.
    pub current: Epoch,
    /// Whether the database may not vote.
    pub blank: bool,
    /// Bytes of a torn tail that recovery would cut.
    pub torn_bytes: u64,
}

impl Offline {
    /// The configurations that would count, in an ensemble that began as `first`.
    pub fn membership(&self, first: &Membership) -> Membership {
        self.configs.membership(first)
    }
}

/// What a restart on these files would find, by the code that a restart runs; an error is the reason for which it would
/// refuse.
///
/// ```
/// let disk = zab::format_files().into_iter().collect();
/// let found = zab::recover_offline(&disk).unwrap();
/// assert_eq!((found.last, found.blank), (zab::Zxid::ZERO, false));
/// assert!(zab::recover_offline(&Default::default()).unwrap().blank);
/// ```
pub fn recover_offline(files: &BTreeMap<FileName, Payload>) -> Result<Offline, String> {
    let mut recovery = Recovery::new(files.keys().copied(), true, Planted::NONE);
    loop {
        match recovery.next()? {
            Step::Read(file) => recovery.feed(file, files.get(&file).map(|bytes| &bytes[..])),
            Step::Done(found) => {
                return Ok(Offline {
                    generation: found.generation,
                    snapshot: found.snapshot,
                    chunks: found.chunks,
                    txns: found.txns,
                    last: found.last,
                    configs: found.configs,
                    accepted: found.accepted,
                    current: found.current,
                    blank: found.blank,
                    torn_bytes: found.torn_bytes,
                });
            }
        }
    }
}
