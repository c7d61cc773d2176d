//! One server's transaction log as its disk operations make it: which transactions it holds, in which order, where in which
//! file, and how many of them are durable.
//!
//! A history is a *base* (everything up to a zxid, wholly in a snapshot) and the entries after it. The entries' order is that
//! of the appends; that it is an order without holes is for the checks to say, so nothing here relies on it for memory
//! safety, only for speed: a zxid's position is guessed from the distance of counters and falls back to binary search.

use zab::{FileName, Zxid};

/// A transaction in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Its zxid.
    pub(super) zxid: Zxid,
    /// Hash of its record.
    pub(super) sum: u64,
    /// Where its record ends in its segment.
    pub(super) end: u64,
    /// Its segment.
    pub(super) segment: u32,
}

/// A log file.
#[derive(Clone, Debug)]
struct Segment {
    file: FileName,
    /// Bytes appended.
    len: u64,
    /// Bytes of them known to be durable.
    synced: u64,
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub(super) struct History {
    base: Zxid,
    generation: u32,
    entries: Vec<Entry>,
    /// So many entries from the beginning are durable.
    durable: usize,
    /// So many entries from the beginning were compared with the committed sequence.
    verified: usize,
    segments: Vec<Segment>,
}

impl History {
    /// How often a SNAP replaced the database.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last transaction, durable or not.
    #[inline]
    pub(super) fn tail(&self) -> Zxid {
        self.entries.last().map_or(self.base, |e| e.zxid)
    }

    /// The last transaction of the durable beginning.
    #[inline]
    pub(super) fn durable_tail(&self) -> Zxid {
        self.before(self.durable)
    }

    /// The transaction before the entry of that index.
    #[inline]
    pub(super) fn before(&self, index: usize) -> Zxid {
        match index {
            0 => self.base,
            _ => self.entries[index - 1].zxid,
        }
    }

    /// Where a transaction stands among the entries.
    #[inline]
    pub(super) fn position(&self, zxid: Zxid) -> Option<usize> {
        let last = self.entries.last()?;
        if last.zxid.epoch() == zxid.epoch() && last.zxid >= zxid {
            let back = (last.zxid.0 - zxid.0) as usize;
            if let Some(guess) = (self.entries.len() - 1).checked_sub(back)
                && self.entries[guess].zxid == zxid
            {
                return Some(guess);
            }
        }
        self.entries.binary_search_by_key(&zxid, |e| e.zxid).ok()
    }

    /// Everything up to here is wholly in a snapshot, and not among the entries.
    #[inline]
    pub(super) fn base(&self) -> Zxid {
        self.base
    }

    /// Whether this very transaction is among the entries, durable or not.
    #[inline]
    pub(super) fn holds(&self, zxid: Zxid, sum: u64) -> bool {
        self.position(zxid)
            .is_some_and(|at| self.entries[at].sum == sum)
    }

    /// Whether this very transaction is among the durable entries.
    #[inline]
    pub(super) fn holds_durably(&self, zxid: Zxid, sum: u64) -> bool {
        self.position(zxid)
            .is_some_and(|at| at < self.durable && self.entries[at].sum == sum)
    }

    /// The next entry that was not compared with the committed sequence yet, if it is at or before `until`: its index.
    #[inline]
    pub(super) fn next_unverified(&mut self, until: Zxid) -> Option<usize> {
        let at = self.verified;
        if self.entries.get(at)?.zxid > until {
            return None;
        }
        self.verified += 1;
        Some(at)
    }

    /// Bytes were appended to a log file, with these transactions: zxid, hash, end within the bytes.
    pub(super) fn append(
        &mut self,
        file: FileName,
        bytes: u64,
        txns: impl IntoIterator<Item = (Zxid, u64, u64)>,
    ) {
        let segment = self.segment(file);
        let start = self.segments[segment].len;
        self.segments[segment].len += bytes;
        self.entries
            .extend(txns.into_iter().map(|(zxid, sum, end)| Entry {
                zxid,
                sum,
                end: start + end,
                segment: segment as u32,
            }));
    }

    /// The length of a file as issued so far.
    pub(super) fn len_of(&self, file: FileName) -> u64 {
        self.segments
            .iter()
            .rev()
            .find(|s| s.file == file)
            .map_or(0, |s| s.len)
    }

    /// The log files and how many bytes of each are known to be durable.
    pub(super) fn segments(&self) -> impl Iterator<Item = (FileName, u64)> {
        self.segments
            .iter()
            .filter(|s| s.len > 0)
            .map(|s| (s.file, s.synced))
    }

    /// A file is durable up to a length.
    pub(super) fn synced(&mut self, file: FileName, len: u64) {
        let Some(segment) = self.segments.iter_mut().rev().find(|s| s.file == file) else {
            return;
        };
        segment.synced = segment.synced.max(len.min(segment.len));
        while let Some(entry) = self.entries.get(self.durable)
            && entry.end <= self.segments[entry.segment as usize].synced
        {
            self.durable += 1;
        }
    }

    /// A file was cut to a length, durably.
    pub(super) fn truncated(&mut self, file: FileName, len: u64) {
        let Some(at) = self.segments.iter().rposition(|s| s.file == file) else {
            return;
        };
        let segment = &mut self.segments[at];
        segment.len = segment.len.min(len);
        segment.synced = segment.synced.min(len);
        self.retain(|e| e.segment as usize != at || e.end <= len);
    }

    /// A file was removed, durably.
    pub(super) fn deleted(&mut self, file: FileName) {
        let Some(at) = self.segments.iter().rposition(|s| s.file == file) else {
            return;
        };
        // Purging removes the oldest files, which a snapshot covers: the base moves up behind them. A truncation removes the
        // newest. (Were the base to lie too high, disk-only recovery would miss the transactions.)
        let here = |e: &Entry| e.segment as usize == at;
        let leading = self.entries.iter().take_while(|e| here(e)).count();
        if leading > 0 && leading < self.entries.len() {
            self.base = self.entries[leading - 1].zxid;
        }
        self.segments[at].len = 0;
        self.segments[at].synced = 0;
        self.retain(|e| e.segment as usize != at);
    }

    /// A snapshot from the leader became the database: everything of older generations is dead.
    pub(super) fn installed(&mut self, generation: u32, zxid: Zxid) {
        *self = History {
            base: zxid,
            generation,
            ..History::default()
        };
    }

    /// The process died: what was not durable is gone (unless a look at the disk shows that it stayed).
    pub(super) fn lose_volatile(&mut self) {
        self.entries.truncate(self.durable);
        self.verified = self.verified.min(self.durable);
        for segment in &mut self.segments {
            segment.len = segment.synced;
        }
    }

    /// Takes what a restart reads instead of what the operations said. What was verified stays so as far as it is the same.
    pub(super) fn reloaded(&mut self, mut read: History) {
        let same = if read.base == self.base {
            let both = read.entries.iter().zip(&self.entries);
            both.take_while(|(a, b)| a.zxid == b.zxid && a.sum == b.sum)
                .count()
        } else {
            0
        };
        read.verified = self.verified.min(same);
        read.durable = read.entries.len();
        for segment in &mut read.segments {
            segment.synced = segment.len;
        }
        *self = read;
    }

    /// As read from a disk: a snapshot's zxid, then entries by [`append`](Self::append).
    pub(super) fn read(base: Zxid, generation: u32) -> History {
        History {
            base,
            generation,
            ..History::default()
        }
    }

    fn segment(&mut self, file: FileName) -> usize {
        match self.segments.iter().rposition(|s| s.file == file) {
            Some(at) => at,
            None => {
                self.segments.push(Segment {
                    file,
                    len: 0,
                    synced: 0,
                });
                self.segments.len() - 1
            }
        }
    }

    /// Keeps the entries that `stays` names and recounts.
    fn retain(&mut self, stays: impl Fn(&Entry) -> bool) {
        let gone_before = |end: usize| self.entries[..end].iter().filter(|e| !stays(e)).count();
        let durable = self.durable - gone_before(self.durable);
        // What follows a removed entry has another predecessor now: compare it again.
        let first_gone = self.entries.iter().position(|e| !stays(e));
        let verified = match first_gone {
            // A purge takes verified entries from the front and changes nothing behind them.
            Some(0) => self.verified - gone_before(self.verified),
            Some(at) => self.verified.min(at),
            None => self.verified,
        };
        self.entries.retain(stays);
        self.durable = durable;
        self.verified = verified;
    }
}
