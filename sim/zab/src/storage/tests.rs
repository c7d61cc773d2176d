//! A disk in memory, a storage on it, and what must be true of any crash.

mod boots;
mod crash;
mod rules;

use super::*;
use crate::{PeerId, QuorumConfig};

/// A history, as a snapshot of these tests holds it and as recovery must give it back: all records from the first on.
pub(super) type History = Vec<Payload>;

pub(super) fn config() -> Config {
    Config {
        id: PeerId(1),
        quorum: QuorumConfig::majority([PeerId(1)]),
        tick_us: 500_000,
        init_limit: 10,
        sync_limit: 5,
        finalize_wait_us: 200_000,
        notify_us: (200_000, 60_000_000),
        commit_log_count: 500,
        disk_diff_bytes_max: 100_000,
        snap_count: 1000,
        counter_max: u32::MAX,
        snap_retain: 2,
        bugs: Planted::NONE,
    }
}

/// What unsynced bytes come to in a crash.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    All,
    Nothing,
    /// Of the last append to each file so many bytes are kept, and everything before it.
    TornAt(usize),
    /// Each sector of 16 bytes is kept or lost by a coin.
    Sectors(u64),
}

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// Bytes that are durable.
    durable: usize,
    last_append: usize,
}

/// A disk: carries out operations in order, at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<FileName, File>,
    /// The next read of this file comes back short by so many bytes.
    pub(super) misread: Option<(FileName, usize)>,
}

impl Disk {
    pub(super) fn formatted() -> Disk {
        Disk::with(format_files())
    }

    pub(super) fn with(files: impl IntoIterator<Item = (FileName, Payload)>) -> Disk {
        let mut disk = Disk::default();
        for (file, bytes) in files {
            disk.put(file, &bytes);
        }
        disk
    }

    pub(super) fn put(&mut self, file: FileName, bytes: &[u8]) {
        let (bytes, durable) = (bytes.to_vec(), bytes.len());
        let last_append = durable;
        self.files.insert(
            file,
            File {
                bytes,
                durable,
                last_append,
            },
        );
    }

    pub(super) fn bytes(&mut self, file: FileName) -> &mut Vec<u8> {
        &mut self
            .files
            .get_mut(&file)
            .unwrap_or_else(|| panic!("no {file}"))
            .bytes
    }

    pub(super) fn remove(&mut self, file: FileName) {
        self.files
            .remove(&file)
            .unwrap_or_else(|| panic!("no {file}"));
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files.keys().map(FileName::to_string).collect()
    }

    pub(super) fn newest_segment(&self) -> Option<FileName> {
        let segment = |file: &&FileName| matches!(file, FileName::Log { .. });
        self.files.keys().rfind(segment).copied()
    }

    pub(super) fn durable(&self) -> BTreeMap<FileName, Payload> {
        let files = self.files.iter();
        files
            .map(|(file, content)| (*file, content.bytes.as_slice().into()))
            .collect()
    }

    fn carry_out(&mut self, op: DiskOp) -> Option<(Ticket, Option<DiskData>)> {
        let (ticket, data) = match op {
            DiskOp::Append { file, bytes } => {
                let content = self.files.entry(file).or_default();
                content.last_append = content.bytes.len();
                content.bytes.extend_from_slice(&bytes);
                return None;
            }
            DiskOp::Sync { file, ticket } => {
                let content = self.files.get_mut(&file).expect("a file to sync");
                content.durable = content.bytes.len();
                (ticket, None)
            }
            DiskOp::Replace {
                file,
                bytes,
                ticket,
            } => {
                self.put(file, &bytes);
                (ticket, None)
            }
            DiskOp::Rename { from, to, ticket } => {
                let content = self.files.remove(&from).expect("a file to rename");
                assert_eq!(
                    content.durable,
                    content.bytes.len(),
                    "{from} is renamed unsynced"
                );
                self.files.insert(to, content);
                (ticket, None)
            }
            DiskOp::Truncate { file, len, ticket } => {
                let content = self.files.get_mut(&file).expect("a file to cut");
                assert!(len as usize <= content.bytes.len());
                content.bytes.truncate(len as usize);
                content.durable = content.bytes.len();
                (ticket, None)
            }
            DiskOp::Delete { file, ticket } => {
                self.files
                    .remove(&file)
                    .unwrap_or_else(|| panic!("no {file} to delete"));
                (ticket, None)
            }
            DiskOp::List { ticket } => {
                let files = self.files.keys().copied().collect();
                (ticket, Some(DiskData::Files(files)))
            }
            DiskOp::Read { file, ticket } => {
                let bytes = self.files.get(&file).map(|content| &content.bytes[..]);
                let short = self.misread.take_if(|(which, _)| *which == file);
                let cut = short.map_or(0, |(_, short)| short);
                let bytes = bytes.map(|bytes| bytes[..bytes.len().saturating_sub(cut)].into());
                (ticket, Some(DiskData::Bytes(bytes)))
            }
        };
        Some((ticket, data))
    }

    /// What a crash leaves.
    pub(super) fn crashed(&self, loss: Loss) -> Disk {
        let mut disk = self.clone();
        for content in disk.files.values_mut() {
            match loss {
                Loss::All => content.bytes.truncate(content.durable),
                Loss::Nothing => {}
                Loss::TornAt(kept) => {
                    let len = (content.last_append + kept).max(content.durable);
                    content.bytes.truncate(len);
                }
                Loss::Sectors(seed) => lose_sectors(content, seed),
            }
            content.durable = content.bytes.len();
        }
        let empties = !matches!(loss, Loss::Sectors(seed) if seed & 1 == 1);
        disk.files
            .retain(|_, content| empties || !content.bytes.is_empty());
        disk.misread = None;
        disk
    }
}

fn lose_sectors(content: &mut File, mut seed: u64) {
    let mut kept = content.durable;
    let mut at = content.durable;
    while at < content.bytes.len() {
        let end = (at / 16 * 16 + 16).min(content.bytes.len());
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if seed >> 63 == 1 {
            content.bytes[at..end].fill(0);
        } else {
            kept = end;
        }
        at = end;
    }
    // The file's length is kept or not, too.
    if seed >> 62 & 1 == 1 {
        content.bytes.truncate(kept);
    }
}

/// A storage on a disk.
pub(super) struct Machine {
    pub(super) storage: Storage,
    pub(super) disk: Disk,
    pub(super) queue: VecDeque<DiskOp>,
    pub(super) marks: Vec<&'static str>,
}

impl Machine {
    pub(super) fn on(disk: Disk) -> Machine {
        Machine {
            storage: Storage::new(&config()),
            disk,
            queue: VecDeque::new(),
            marks: Vec::new(),
        }
    }

    /// On a formatted disk, recovered.
    pub(super) fn new() -> Machine {
        let mut machine = Machine::on(Disk::formatted());
        assert!(matches!(machine.recover()[..], [Event::Recovered { .. }]));
        machine
    }

    pub(super) fn call(&mut self, call: impl FnOnce(&mut Storage, &mut Vec<Effect>)) {
        let mut out = Vec::new();
        call(&mut self.storage, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Disk(op) => self.queue.push_back(op),
                Effect::Note(Note::Mark(mark)) => self.marks.push(mark),
                other => panic!("a storage does not do {other:?}"),
            }
        }
    }

    /// Carries out the next operation and tells the storage.
    pub(super) fn step(&mut self) -> Vec<Event> {
        let op = self.queue.pop_front().expect("something to do");
        let mut out = Vec::new();
        let events = match self.disk.carry_out(op) {
            None => Vec::new(),
            Some((ticket, None)) => self.storage.on_disk_done(ticket, &mut out),
            Some((ticket, Some(data))) => self.storage.on_read_done(ticket, data, &mut out),
        };
        self.take(out);
        events
    }

    pub(super) fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while !self.queue.is_empty() {
            events.extend(self.step());
        }
        events
    }

    pub(super) fn recover(&mut self) -> Vec<Event> {
        self.call(|storage, out| storage.recover(out));
        self.drain()
    }

    /// Appends transactions of an epoch, each the successor of the last.
    pub(super) fn append(&mut self, epoch: u32, count: u32) {
        for _ in 0..count {
            let prev = self.storage.last();
            let counter = if prev.epoch() == Epoch(epoch) {
                prev.counter() + 1
            } else {
                1
            };
            let zxid = Zxid::new(Epoch(epoch), counter);
            let payload = format!("{epoch}-{counter}");
            let txn = Arc::new(Txn::new(zxid, prev, payload.as_bytes()));
            self.call(|storage, out| storage.append(txn, out));
        }
    }

    pub(super) fn sync(&mut self) -> Vec<Event> {
        self.call(|storage, out| storage.sync(out));
        self.drain()
    }

    /// Promises an epoch, so that its transactions are no surprise at recovery.
    pub(super) fn accept(&mut self, epoch: u32) {
        self.call(|storage, out| storage.set_accepted_epoch(Epoch(epoch), out));
        assert_eq!(self.drain(), [Event::AcceptedEpoch(Epoch(epoch))]);
        self.call(|storage, out| storage.set_current_epoch(Epoch(epoch), out));
        assert_eq!(self.drain(), [Event::CurrentEpoch(Epoch(epoch))]);
    }

    pub(super) fn truncate(&mut self, to: Zxid) -> Vec<Event> {
        self.call(|storage, out| storage.truncate(to, out));
        self.drain()
    }

    /// Takes a snapshot whose one piece is this.
    pub(super) fn snapshot(&mut self, zxid: Zxid, piece: &[u8]) -> Vec<Event> {
        self.call(|storage, out| storage.begin_snapshot(zxid, &first(), out));
        let piece = piece.into();
        self.call(|storage, out| storage.snapshot_chunk(piece, true, out));
        self.drain()
    }

    pub(super) fn install(&mut self, zxid: Zxid, chunks: &[&[u8]]) -> Vec<Event> {
        let chunks = chunks.iter().map(|chunk| (*chunk).into()).collect();
        self.call(|storage, out| storage.install_snapshot(zxid, chunks, first(), out));
        self.drain()
    }

    /// The process dies, unsynced bytes are lost; the next one's recovery.
    pub(super) fn restart(self) -> (Machine, Vec<Event>) {
        let mut next = Machine::on(self.disk.crashed(Loss::All));
        let events = next.recover();
        (next, events)
    }
}

/// The configuration that every ensemble here has.
pub(super) fn first() -> Membership {
    Membership::initial(crate::QuorumConfig::majority([crate::PeerId(1)]))
}

pub(super) fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

pub(super) fn segment(generation: u32, epoch: u32, counter: u32) -> FileName {
    let first = zxid(epoch, counter);
    FileName::Log { generation, first }
}

pub(super) fn snapshot(generation: u32, epoch: u32, counter: u32) -> FileName {
    let zxid = zxid(epoch, counter);
    FileName::Snapshot { generation, zxid }
}

/// The tail that the only event tells.
pub(super) fn recovered(events: &[Event]) -> Zxid {
    match events {
        [Event::Recovered { last, .. }] => *last,
        other => panic!("expected a recovery, found {other:?}"),
    }
}

/// Why the only event refuses.
pub(super) fn refused(events: &[Event]) -> &str {
    match events {
        [Event::Fatal { reason }] => reason,
        other => panic!("expected a refusal, found {other:?}"),
    }
}
