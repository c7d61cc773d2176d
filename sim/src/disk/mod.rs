//! One server's disk, and how it fails. It knows bytes and an order, not the world's queue: [`Disk::submit`] says when the
//! world must call [`Disk::complete`].
//!
//! **Order.** Operations are carried out in the order of their submission. An answered one takes as long as the climate says
//! (and the nemesis adds) after the one before it; an append takes no time, since it goes to the page cache.
//!
//! **What is durable.** The bytes that a `Sync` covered when it *completed*; the whole effect of a completed `Replace`,
//! `Rename`, `Truncate` or `Delete`. Nothing else.
//!
//! **What a crash does** ([`Disk::crash`]):
//! - The queue: a beginning of it, drawn, was still carried out. `Replace`, `Rename`, `Truncate`, `Delete` happened wholly or
//!   not at all, and in order.
//! - Unsynced appends: sectors of 512 bytes reach the disk in any subset, and the file's length by yet another road. So a file
//!   may end anywhere behind its durable bytes, and sectors within it may read as zeros. A sector that holds durable bytes too
//!   is either its old or its new self. A file that was never synced may vanish.
//! - The durable bytes stay as they are, to the last bit.
//!
//! **Errors.** A failed fsync, and a write to a full disk (of which a beginning may have got through), fail every later
//! operation of that process: it cannot know what its files hold, so it must stop. A failed fsync also drops the page cache's
//! bytes: a later fsync that "succeeds" would prove nothing (the PostgreSQL fsync errors of 2018), so here none does.
//!
//! **Damage.** `wipe` and `rot` touch durable bytes; whether that is survivable is the judge's to say ([`crate::judge`]), who
//! also wants to know whether a flipped bit still lies on the disk ([`Disk::is_rotten`]). A bad read leaves the disk as it is.

mod file;
#[cfg(test)]
mod tests;

use crate::plan::{Climate, Unsynced};
use crate::stream::Stream;
use file::{Fate, File};
pub(crate) use file::{FileLoss, SECTOR};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use zab::{DiskData, DiskError, DiskOp, FileName, Input, Payload};
use zabsim_types::Time;

/// One server's disk.
#[derive(Debug)]
pub(crate) struct Disk {
    files: BTreeMap<FileName, File>,
    queue: VecDeque<Queued>,
    /// When the last operation of the queue is done.
    busy_until: Time,
    /// Numbers the appends.
    appends: u64,
    /// What the process ran into; it gets nothing else from then on.
    failed: Option<DiskError>,
    /// Additional delays of fsyncs, by the strike that causes them.
    slow: Vec<(u32, (u64, u64))>,
    fail_next_sync: bool,
    /// The strikes that fill it.
    full: Vec<u32>,
    /// So many reads more until the bad one.
    bad_read_in: Option<u64>,
    /// The process has only read so far. A bad read is one of these: later ones come from the page cache.
    booting: bool,
    latency: Stream,
    /// Draws what crashes and damage do, apart from the latencies: without a crash the rest stays as it is.
    fate: Stream,
    /// What is durable, as `durable` shows it, and the files whose entry there is out of date.
    view: BTreeMap<FileName, Payload>,
    stale: BTreeSet<FileName>,
}

/// An operation that waits for its turn.
#[derive(Debug)]
struct Queued {
    op: DiskOp,
    /// When it is done; `None` for an append that nobody waits for.
    due: Option<Time>,
    /// An append that found no space.
    refused: bool,
}

/// What a crash did to a disk.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CrashReport {
    /// The files that had unsynced bytes, or were new.
    pub(crate) files: Vec<FileLoss>,
    /// Operations under way that happened nevertheless.
    pub(crate) carried_out: usize,
    /// Operations under way that never happened.
    pub(crate) vanished: usize,
}

impl CrashReport {
    /// Bytes that were appended and did not survive.
    #[cfg(test)]
    pub(crate) fn lost_bytes(&self) -> usize {
        self.files.iter().map(FileLoss::lost).sum()
    }

    /// Files that end in the middle of what was appended, or have holes.
    #[cfg(test)]
    pub(crate) fn torn_files(&self) -> usize {
        self.files.iter().filter(|loss| loss.is_torn()).count()
    }
}

/// `log.1.100000001: 1,024 of 3,000 unsynced bytes lost, torn; 2 of 3 operations under way never happened`.
impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for loss in &self.files {
            let torn = if loss.is_torn() { ", torn" } else { "" };
            parts.push(if loss.vanished {
                format!("{} vanished with {} bytes", loss.file, loss.unsynced)
            } else {
                let (lost, unsynced) = (loss.lost(), loss.unsynced);
                match lost {
                    0 => format!("{}: all {unsynced} unsynced bytes survive{torn}", loss.file),
                    _ => format!(
                        "{}: {lost} of {unsynced} unsynced bytes lost{torn}",
                        loss.file
                    ),
                }
            });
        }
        let under_way = self.carried_out + self.vanished;
        if under_way > 0 {
            let vanished = self.vanished;
            let operations = match under_way {
                1 => "operation",
                _ => "operations",
            };
            parts.push(match (vanished, under_way) {
                (0, _) => format!("{under_way} {operations} under way still happened"),
                (_, 1) => "the operation under way never happened".to_string(),
                _ => format!("{vanished} of {under_way} operations under way never happened"),
            });
        }
        match parts.is_empty() {
            true => write!(f, "nothing was unsynced"),
            false => write!(f, "{}", parts.join("; ")),
        }
    }
}

impl Disk {
    /// A disk that holds these files, durably.
    pub(crate) fn new(
        files: impl IntoIterator<Item = (FileName, Payload)>,
        mut stream: Stream,
    ) -> Disk {
        let view: BTreeMap<FileName, Payload> = files.into_iter().collect();
        let fate = Stream::new(stream.next_u64(), "disk fate", 0);
        Disk {
            files: view
                .iter()
                .map(|(&name, bytes)| (name, File::durable_from(bytes)))
                .collect(),
            queue: VecDeque::new(),
            busy_until: Time::ZERO,
            appends: 0,
            failed: None,
            slow: Vec::new(),
            fail_next_sync: false,
            full: Vec::new(),
            bad_read_in: None,
            booting: true,
            latency: stream,
            fate,
            view,
            stale: BTreeSet::new(),
        }
    }

    /// Takes an operation. Returns when the world must call `complete`: for every operation but an append, and for an append
    /// that finds no space. These times never go back.
    pub(crate) fn submit(&mut self, now: Time, op: DiskOp, climate: &Climate) -> Option<Time> {
        let refused = self.is_full() && matches!(op, DiskOp::Append { .. });
        if matches!(op, DiskOp::Append { .. }) && !refused {
            match self.queue.is_empty() {
                // The usual case: nothing is under way, so the bytes go straight to the page cache.
                true => self.carry_out(op),
                false => self.queue.push_back(Queued {
                    op,
                    due: None,
                    refused,
                }),
            }
            return None;
        }
        let due = Time(self.busy_until.0.max(now.0)).plus(self.draw_latency(&op, climate));
        self.busy_until = due;
        self.queue.push_back(Queued {
            op,
            due: Some(due),
            refused,
        });
        Some(due)
    }

    fn draw_latency(&mut self, op: &DiskOp, climate: &Climate) -> u64 {
        match op {
            DiskOp::List { .. } | DiskOp::Read { .. } => self.latency.range(climate.read_us),
            DiskOp::Append { .. } => 0,
            DiskOp::Sync { .. }
            | DiskOp::Replace { .. }
            | DiskOp::Rename { .. }
            | DiskOp::Truncate { .. }
            | DiskOp::Delete { .. } => {
                let mut latency = 0;
                for (_, extra) in &self.slow {
                    latency += self.latency.range(*extra);
                }
                latency + self.latency.range(climate.fsync_us)
            }
        }
    }

    /// The oldest answered operation is done: from now on its effect is durable.
    ///
    /// # Panics
    /// Where nothing is under way, or it is not due yet: the world lost count.
    pub(crate) fn complete(&mut self, now: Time) -> Input {
        let Queued { op, due, refused } = self.next_answered();
        assert!(
            due.is_some_and(|due| due <= now),
            "{op:?} is due at {due:?}, not at {now:?}"
        );
        let answer = self.answer(op, refused);
        // Appends behind it wait for nothing any more.
        while self.queue.front().is_some_and(|next| next.due.is_none()) {
            let append = self.queue.pop_front().expect("there is one in front");
            self.carry_out(append.op);
        }
        answer
    }

    fn next_answered(&mut self) -> Queued {
        let next = self.queue.pop_front();
        next.expect("a completion without an operation under way")
    }

    fn answer(&mut self, op: DiskOp, refused: bool) -> Input {
        if let Some(error) = self.failed {
            return failed(&op, error);
        }
        match op {
            DiskOp::List { ticket } => Input::ReadDone {
                ticket,
                data: DiskData::Files(self.files.keys().copied().collect()),
            },
            DiskOp::Read { file, ticket } => Input::ReadDone {
                ticket,
                data: DiskData::Bytes(self.read(file)),
            },
            DiskOp::Append {
                ref file,
                ref bytes,
            } => {
                assert!(refused, "an append that nobody waits for was answered");
                let through = self.fate.below(bytes.len() as u64 + 1) as usize;
                self.append(*file, bytes[..through].into());
                self.fail(&op, DiskError::Full)
            }
            DiskOp::Replace { .. } if self.is_full() => self.fail(&op, DiskError::Full),
            DiskOp::Sync { ticket, .. }
            | DiskOp::Replace { ticket, .. }
            | DiskOp::Rename { ticket, .. }
            | DiskOp::Truncate { ticket, .. }
            | DiskOp::Delete { ticket, .. } => {
                if std::mem::take(&mut self.fail_next_sync) {
                    if let Some(file) = file_of(&op).and_then(|name| self.files.get_mut(&name)) {
                        file.sync_failed();
                    }
                    return self.fail(&op, DiskError::Io);
                }
                if std::mem::take(&mut self.booting) {
                    self.bad_read_in = None;
                }
                self.carry_out(op);
                Input::DiskDone { ticket }
            }
        }
    }

    fn fail(&mut self, op: &DiskOp, error: DiskError) -> Input {
        self.failed = Some(error);
        failed(op, error)
    }

    /// Does what the operation says, without an answer.
    fn carry_out(&mut self, op: DiskOp) {
        if self.failed.is_some() {
            return;
        }
        match op {
            DiskOp::Append { file, bytes } => self.append(file, bytes),
            DiskOp::Sync { file, .. } => {
                if self.files.get_mut(&file).is_some_and(File::sync) {
                    self.stale.insert(file);
                }
            }
            DiskOp::Replace { file, bytes, .. } => {
                self.files.insert(file, File::durable_from(&bytes));
                self.stale.remove(&file);
                self.view.insert(file, bytes);
            }
            DiskOp::Rename { from, to, .. } => self.rename(from, to),
            DiskOp::Truncate { file, len, .. } => {
                let content = self.files.get_mut(&file);
                content
                    .unwrap_or_else(|| panic!("{file} is to be cut to {len} and does not exist"))
                    .truncate(len as usize);
                self.stale.insert(file);
            }
            DiskOp::Delete { file, .. } => {
                self.files.remove(&file);
                self.view.remove(&file);
                self.stale.remove(&file);
            }
            DiskOp::List { .. } | DiskOp::Read { .. } => {}
        }
    }

    fn append(&mut self, file: FileName, bytes: Payload) {
        self.appends += 1;
        let content = self.files.entry(file).or_default();
        content.append(self.appends, bytes);
    }

    fn rename(&mut self, from: FileName, to: FileName) {
        let mut file = self
            .files
            .remove(&from)
            .unwrap_or_else(|| panic!("{from} is to become {to} and does not exist"));
        file.link();
        self.files.insert(to, file);
        let seen = self.view.remove(&from);
        match seen {
            Some(bytes) if !self.stale.remove(&from) => {
                self.view.insert(to, bytes);
                self.stale.remove(&to);
            }
            _ => {
                self.stale.remove(&from);
                self.stale.insert(to);
            }
        }
    }

    /// What the process sees: its own unsynced bytes too. The bad read, if one is due, is short or of the wrong place.
    fn read(&mut self, name: FileName) -> Option<Payload> {
        let file = self.files.get(&name)?;
        let fresh = !self.stale.contains(&name) && file.unsynced_len() == 0;
        let content = match self.view.get(&name) {
            Some(bytes) if fresh => Arc::clone(bytes),
            _ => file.content().into(),
        };
        match self.bad_read_in.filter(|_| self.booting) {
            Some(0) if !content.is_empty() => {
                self.bad_read_in = None;
                Some(self.misread(name, &content))
            }
            Some(more) => {
                self.bad_read_in = Some(more.saturating_sub(1));
                Some(content)
            }
            None => Some(content),
        }
    }

    fn misread(&mut self, name: FileName, content: &[u8]) -> Payload {
        let others: Vec<FileName> = self.files.keys().copied().filter(|&n| n != name).collect();
        if !others.is_empty() && self.fate.per_mille(500) {
            // Misdirected: one sector of it is what lies at the same place of another file, or zeros behind its end.
            let other = self.files[self.fate.pick(&others)].content();
            let sectors = content.len().div_ceil(SECTOR) as u64;
            let from = self.fate.below(sectors) as usize * SECTOR;
            let to = (from + SECTOR).min(content.len());
            let mut bytes = content.to_vec();
            for (offset, byte) in bytes[from..to].iter_mut().enumerate() {
                *byte = other.get(from + offset).copied().unwrap_or(0);
            }
            if bytes != content {
                return bytes.into();
            }
        }
        content[..self.fate.below(content.len() as u64) as usize].into()
    }

    /// The process and its machine die, and the disk with them for a moment; see the header for what becomes of it.
    pub(crate) fn crash(&mut self, unsynced: Unsynced) -> CrashReport {
        let under_way = self.queue.len();
        let carried_out = self.carried_out_before_crash(unsynced);
        for queued in self.queue.drain(..).take(carried_out).collect::<Vec<_>>() {
            match queued.refused {
                true => self.failed = Some(DiskError::Full),
                false => self.carry_out(queued.op),
            }
        }
        let last_append = self.files.values().filter_map(File::last_unsynced_append);
        let last_append = last_append.max();
        let mut report = CrashReport {
            files: Vec::new(),
            carried_out,
            vanished: under_way - carried_out,
        };
        for (&name, file) in &mut self.files {
            if file.is_linked() && file.unsynced_len() == 0 {
                continue;
            }
            let fate = match unsynced {
                Unsynced::Drawn => Fate::Drawn,
                Unsynced::Lost => Fate::Lost,
                Unsynced::Kept => Fate::Kept,
                Unsynced::Torn if file.last_unsynced_append() == last_append => Fate::LastTorn,
                Unsynced::Torn => Fate::Kept,
            };
            report.files.push(file.crash(name, fate, &mut self.fate));
            self.stale.insert(name);
        }
        self.files.retain(|_, file| file.is_linked());
        self.failed = None;
        self.booting = true;
        self.busy_until = Time::ZERO;
        report
    }

    /// How much of the queue still happens.
    fn carried_out_before_crash(&mut self, unsynced: Unsynced) -> usize {
        let under_way = self.queue.len();
        match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Kept => under_way,
            Unsynced::Drawn => self.fate.range((0, under_way as u64)) as usize,
            // Up to the last append, which is to be torn: a sync behind it would make it whole.
            Unsynced::Torn => self
                .queue
                .iter()
                .rposition(|queued| matches!(queued.op, DiskOp::Append { .. }))
                .map_or(0, |last| last + 1),
        }
    }

    /// What a process that starts right now would read, had the machine died and lost everything unsynced. Costs as much as
    /// has changed since the last call.
    pub(crate) fn durable(&mut self) -> &BTreeMap<FileName, Payload> {
        while let Some(name) = self.stale.pop_first() {
            match self.files.get(&name) {
                Some(file) if file.is_linked() => self.view.insert(name, file.durable().into()),
                _ => self.view.remove(&name),
            };
        }
        &self.view
    }

    /// fsyncs take so much longer from now on, until that strike is over; delays add up.
    pub(crate) fn slow(&mut self, strike: u32, extra_us: (u64, u64)) {
        self.slow.push((strike, extra_us));
    }

    /// A strike slows it no longer.
    pub(crate) fn quicken(&mut self, strike: u32) {
        self.slow.retain(|(by, _)| *by != strike);
    }

    /// The next operation that needs an fsync fails, and with it all that follow until the process is started again.
    pub(crate) fn fail_next_sync(&mut self) {
        self.fail_next_sync = true;
    }

    /// What was to fail next will not: faults that did not strike in time.
    pub(crate) fn disarm(&mut self) {
        self.fail_next_sync = false;
        self.bad_read_in = None;
    }

    /// There is no space until that strike is over. What makes files smaller works without.
    pub(crate) fn fill(&mut self, strike: u32) {
        self.full.push(strike);
    }

    /// A strike fills it no longer.
    pub(crate) fn empty(&mut self, strike: u32) {
        self.full.retain(|by| *by != strike);
    }

    fn is_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// What faults that last, or are yet to strike, have left here. Damage stays damage.
    pub(crate) fn left_by_faults(&self) -> Option<&'static str> {
        if !self.slow.is_empty() {
            Some("is slow")
        } else if self.is_full() {
            Some("is full")
        } else if self.fail_next_sync {
            Some("fails its next fsync")
        } else if self.bad_read_in.is_some() {
            Some("lies at its next reads")
        } else {
            None
        }
    }

    /// One of the reads at the next start, drawn, brings too little or something else; the same read again brings what is
    /// there. It is over once the process has written something, whether it read so much or not.
    pub(crate) fn bad_read_next(&mut self, bad: bool) {
        self.bad_read_in = bad.then(|| self.fate.below(4));
    }

    /// Damage: an empty disk takes this one's place. Whatever was under way is gone too.
    pub(crate) fn wipe(&mut self) {
        self.files.clear();
        self.queue.clear();
        self.view.clear();
        self.stale.clear();
        self.failed = None;
        self.fail_next_sync = false;
        self.bad_read_in = None;
        self.booting = true;
        self.busy_until = Time::ZERO;
    }

    /// Damage: flips one bit, drawn, of the durable bytes of a file whose name begins so. Returns what was flipped, or
    /// `None` where there is no such byte.
    pub(crate) fn rot(&mut self, prefix: Option<&str>) -> Option<String> {
        let prefix = prefix.unwrap_or("");
        let candidates: Vec<FileName> = self
            .files
            .iter()
            .filter(|(_, file)| !file.durable().is_empty())
            .map(|(&name, _)| name)
            .filter(|name| prefix.is_empty() || name.to_string().starts_with(prefix))
            .collect();
        if candidates.is_empty() {
            return None;
        }
        // By file first: else the long logs would get it all, and the epochs nothing.
        let name = *self.fate.pick(&candidates);
        let file = self.files.get_mut(&name)?;
        let len = file.durable().len();
        let offset = self.fate.below(len as u64) as usize;
        let bit = self.fate.below(8) as u8;
        file.rot(offset, bit);
        self.stale.insert(name);
        Some(format!(
            "bit {bit} of byte {offset} of {name} ({len} bytes)"
        ))
    }

    /// Whether a flipped bit still lies on the disk. It is gone with its file, or when the file is cut before it.
    pub(crate) fn is_rotten(&self) -> bool {
        self.files.values().any(File::is_rotten)
    }
}

/// The file that an operation is on.
fn file_of(op: &DiskOp) -> Option<FileName> {
    match op {
        DiskOp::Append { file, .. }
        | DiskOp::Sync { file, .. }
        | DiskOp::Replace { file, .. }
        | DiskOp::Truncate { file, .. }
        | DiskOp::Delete { file, .. }
        | DiskOp::Read { file, .. } => Some(*file),
        DiskOp::Rename { from, .. } => Some(*from),
        DiskOp::List { .. } => None,
    }
}

fn failed(op: &DiskOp, error: DiskError) -> Input {
    Input::DiskFailed {
        file: file_of(op),
        error,
    }
}
