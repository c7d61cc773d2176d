//! One file: the bytes that are durable, the bytes that were appended since, and what a crash makes of the latter.

use crate::stream::Stream;
use std::ops::Range;
use zab::{FileName, Payload};

/// The unit that a disk writes wholly or not at all.
pub(crate) const SECTOR: usize = 512;

/// A file as the disk and the process's page cache hold it.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Survives everything but damage.
    durable: Vec<u8>,
    /// Whether the directory entry is durable: a file that was never synced may vanish with all its bytes.
    linked: bool,
    /// Appended since the last sync, in order, with the number that the disk gave to each append.
    unsynced: Vec<(u64, Payload)>,
    /// An fsync of it failed: the kernel dropped the pages, so not even a surviving machine still has them for sure.
    doubtful: bool,
    /// Offsets of bytes of `durable` with a flipped bit.
    rotten: Vec<usize>,
}

/// What a crash does to the unsynced bytes of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// None survives.
    Lost,
    /// All survive.
    Kept,
    /// Those before the last append survive; of the last one, what lies before a sector boundary.
    LastTorn,
    /// Drawn: any length, and any subset of the sectors within it.
    Drawn,
}

/// What a crash did to one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileLoss {
    /// Which.
    pub(crate) file: FileName,
    /// Bytes that were not synced.
    pub(crate) unsynced: usize,
    /// Of them, those within the file's new length.
    pub(crate) within: usize,
    /// Of those, the ones that read as zeros: their sectors never reached the disk, though the length did.
    pub(crate) zeroed: usize,
    /// The file itself is gone: its directory entry was not durable either.
    pub(crate) vanished: bool,
}

impl FileLoss {
    /// Whether the file ends in the middle of what was appended, or has holes.
    pub(crate) fn is_torn(&self) -> bool {
        self.zeroed > 0 || (self.within > 0 && self.within < self.unsynced)
    }

    /// Bytes that did not survive.
    pub(crate) fn lost(&self) -> usize {
        self.unsynced - self.within + self.zeroed
    }
}

impl File {
    /// A file that was there before the world began.
    pub(super) fn durable_from(bytes: &[u8]) -> File {
        File {
            durable: bytes.to_vec(),
            linked: true,
            ..File::default()
        }
    }

    pub(super) fn is_linked(&self) -> bool {
        self.linked
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn unsynced_len(&self) -> usize {
        self.unsynced.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// The number of the last append that is not synced.
    pub(super) fn last_unsynced_append(&self) -> Option<u64> {
        self.unsynced.last().map(|&(number, _)| number)
    }

    /// What a process reads: its own unsynced bytes are in the page cache.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.durable.len() + self.unsynced_len());
        content.extend_from_slice(&self.durable);
        for (_, bytes) in &self.unsynced {
            content.extend_from_slice(bytes);
        }
        content
    }

    pub(super) fn append(&mut self, number: u64, bytes: Payload) {
        if !bytes.is_empty() {
            self.unsynced.push((number, bytes));
        }
    }

    /// Returns whether anything became durable by it.
    pub(super) fn sync(&mut self) -> bool {
        let changed = !self.linked || !self.unsynced.is_empty();
        for (_, bytes) in self.unsynced.drain(..) {
            self.durable.extend_from_slice(&bytes);
        }
        self.linked = true;
        self.doubtful = false;
        changed
    }

    /// Its directory entry is durable.
    pub(super) fn link(&mut self) {
        self.linked = true;
    }

    /// The fsync failed, and what it was to make durable is gone from the page cache's list of dirty pages.
    pub(super) fn sync_failed(&mut self) {
        self.doubtful = true;
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.sync();
        assert!(
            len <= self.durable.len(),
            "a file of {} bytes cannot be cut to {len}",
            self.durable.len()
        );
        self.durable.truncate(len);
        self.rotten.retain(|&offset| offset < len);
    }

    /// Flips one bit of one durable byte.
    pub(super) fn rot(&mut self, offset: usize, bit: u8) {
        self.durable[offset] ^= 1 << bit;
        self.rotten.push(offset);
    }

    pub(super) fn is_rotten(&self) -> bool {
        !self.rotten.is_empty()
    }

    /// The machine dies. What survives of the unsynced bytes is durable from now on; the durable bytes stay as they are.
    pub(super) fn crash(&mut self, name: FileName, fate: Fate, stream: &mut Stream) -> FileLoss {
        let fate = match fate {
            Fate::Kept | Fate::LastTorn if self.doubtful => Fate::Drawn,
            fate => fate,
        };
        let appends: Vec<usize> = self.unsynced.iter().map(|(_, b)| b.len()).collect();
        let start = self.durable.len();
        let mut tail = Vec::with_capacity(appends.iter().sum());
        for (_, bytes) in self.unsynced.drain(..) {
            tail.extend_from_slice(&bytes);
        }
        let unsynced = tail.len();
        let survival = survival(fate, start, &appends, stream);
        tail.truncate(survival.within);
        let zeroed = survival.zeros.iter().map(Range::len).sum();
        for zeros in survival.zeros {
            tail[zeros].fill(0);
        }
        self.durable.extend_from_slice(&tail);
        self.doubtful = false;

        // A new file of which nothing survived: most often there is none, but a directory entry without bytes happens too.
        let vanished = !self.linked
            && tail.is_empty()
            && match fate {
                Fate::Lost => true,
                Fate::Drawn => stream.per_mille(700),
                Fate::Kept | Fate::LastTorn => false,
            };
        self.linked = !vanished;
        FileLoss {
            file: name,
            unsynced,
            within: survival.within,
            zeroed,
            vanished,
        }
    }
}

/// What survives of a file's unsynced bytes. Offsets count from the first of them.
struct Survival {
    /// So many of them are within the file's length.
    within: usize,
    /// Of those, the ones that read as zeros.
    zeros: Vec<Range<usize>>,
}

impl Survival {
    fn of(within: usize) -> Survival {
        Survival {
            within,
            zeros: Vec::new(),
        }
    }
}

/// Decides what survives of appends of these lengths to a file with `start` durable bytes.
fn survival(fate: Fate, start: usize, appends: &[usize], stream: &mut Stream) -> Survival {
    let total: usize = appends.iter().sum();
    if total == 0 {
        return Survival::of(0);
    }
    match fate {
        Fate::Lost => Survival::of(0),
        Fate::Kept => Survival::of(total),
        Fate::LastTorn => {
            let last = appends[appends.len() - 1];
            torn(start, total - last, last, stream)
        }
        // The plain cases first, since they are what happens most; then the one that only a file system can think of.
        Fate::Drawn => match stream.below(5) {
            0 => Survival::of(0),
            1 => Survival::of(total),
            2 => {
                let kept = stream.below(appends.len() as u64 + 1) as usize;
                Survival::of(appends[..kept].iter().sum())
            }
            3 => {
                let whole = stream.below(appends.len() as u64) as usize;
                let before = appends[..whole].iter().sum();
                torn(start, before, appends[whole], stream)
            }
            _ => any_subset(start, total, stream),
        },
    }
}

/// `before` bytes survive; the append of `len` bytes behind them is torn at a sector boundary within it. One that lies within
/// a single sector cannot be torn so: its length reaches the disk and its bytes do not.
fn torn(start: usize, before: usize, len: usize, stream: &mut Stream) -> Survival {
    let begin = start + before;
    let first_boundary = begin / SECTOR + 1;
    let last_boundary = (begin + len - 1) / SECTOR;
    if first_boundary > last_boundary {
        return Survival {
            within: before + len,
            zeros: std::iter::once(before..before + len).collect(),
        };
    }
    let boundary = stream.range((first_boundary as u64, last_boundary as u64)) as usize;
    Survival::of(boundary * SECTOR - start)
}

/// Any length, and of the sectors within it any subset: the length travels by another road than the bytes. A lost sector keeps
/// the durable bytes that it held before, so only its unsynced part reads as zeros.
fn any_subset(start: usize, total: usize, stream: &mut Stream) -> Survival {
    let within = 1 + stream.below(total as u64) as usize;
    let end = start + within;
    let zeros = (start / SECTOR..=(end - 1) / SECTOR)
        .filter(|_| stream.per_mille(500))
        .map(|sector| (sector * SECTOR).max(start)..((sector + 1) * SECTOR).min(end))
        .map(|lost| lost.start - start..lost.end - start)
        .collect();
    Survival { within, zeros }
}
