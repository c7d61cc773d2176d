//! A disk in memory, for tests, examples and explorers: what [`Effect::Disk`](crate::Effect::Disk) asks for, done at once.
//!
//! It keeps apart what is written and what is durable, so that [`MemoryDisk::crash`] can lose the difference.

use crate::{DiskData, DiskOp, FileName, Input, Payload, format_files};
use std::collections::BTreeMap;

/// The files of one server, in memory.
#[derive(Clone, Default, Debug)]
pub struct MemoryDisk {
    files: BTreeMap<FileName, MemoryFile>,
}

#[derive(Clone, Default, Debug)]
struct MemoryFile {
    bytes: Vec<u8>,
    /// So many bytes survive a crash; none, where the file itself was never made durable.
    durable: Option<usize>,
}

impl MemoryDisk {
    /// A disk without any file, as a wiped one: its server does not vote before a leader has brought it up to date.
    pub fn blank() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// The disk of a server of a new ensemble.
    pub fn formatted() -> MemoryDisk {
        let mut disk = MemoryDisk::default();
        for (name, bytes) in format_files() {
            disk.replace(name, &bytes);
        }
        disk
    }

    fn replace(&mut self, file: FileName, bytes: &[u8]) {
        let file = self.files.entry(file).or_default();
        file.bytes = bytes.to_vec();
        file.durable = Some(bytes.len());
    }

    /// Does it; the answer, where the operation has one, is an input for the peer.
    pub fn perform(&mut self, op: DiskOp) -> Option<Input> {
        let done = |ticket| Some(Input::DiskDone { ticket });
        match op {
            DiskOp::Append { file, bytes } => {
                self.files
                    .entry(file)
                    .or_default()
                    .bytes
                    .extend_from_slice(&bytes);
                None
            }
            DiskOp::Sync { file, ticket } => {
                let file = self.files.entry(file).or_default();
                file.durable = Some(file.bytes.len());
                done(ticket)
            }
            DiskOp::Replace {
                file,
                bytes,
                ticket,
            } => {
                self.replace(file, &bytes);
                done(ticket)
            }
            DiskOp::Rename { from, to, ticket } => {
                if let Some(file) = self.files.remove(&from) {
                    self.files.insert(to, file);
                }
                done(ticket)
            }
            DiskOp::Truncate { file, len, ticket } => {
                if let Some(file) = self.files.get_mut(&file) {
                    file.bytes
                        .truncate(usize::try_from(len).unwrap_or(usize::MAX));
                    file.durable = Some(file.bytes.len());
                }
                done(ticket)
            }
            DiskOp::Delete { file, ticket } => {
                self.files.remove(&file);
                done(ticket)
            }
            DiskOp::List { ticket } => {
                let data = DiskData::Files(self.files.keys().copied().collect());
                Some(Input::ReadDone { ticket, data })
            }
            DiskOp::Read { file, ticket } => {
                let bytes = self.files.get(&file);
                let data = DiskData::Bytes(bytes.map(|file| file.bytes.as_slice().into()));
                Some(Input::ReadDone { ticket, data })
            }
        }
    }

    /// The process or the machine dies. Of each file's bytes that are not durable, as many stay as `kept` says (asked with
    /// their number, from the front); a file that was never made durable stays only if some of it does.
    pub fn crash(&mut self, mut kept: impl FnMut(usize) -> usize) {
        self.files.retain(|_, file| {
            let durable = file.durable.unwrap_or(0);
            let volatile = file.bytes.len() - durable;
            let stays = if volatile == 0 {
                0
            } else {
                kept(volatile).min(volatile)
            };
            file.bytes.truncate(durable + stays);
            let exists = file.durable.is_some() || stays > 0;
            file.durable = Some(file.bytes.len());
            exists
        });
    }

    /// What would be there after a crash that loses all that is not durable.
    pub fn durable_files(&self) -> BTreeMap<FileName, Payload> {
        self.files
            .iter()
            .filter_map(|(name, file)| Some((*name, Payload::from(&file.bytes[..file.durable?]))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ticket, Zxid};

    #[test]
    fn a_crash_takes_what_was_not_synced() {
        let file = FileName::Log {
            generation: 0,
            first: Zxid(1),
        };
        let append = |bytes: &[u8]| DiskOp::Append {
            file,
            bytes: bytes.into(),
        };
        let ticket = Ticket(1);
        let mut disk = MemoryDisk::blank();
        assert_eq!(disk.perform(append(b"kept")), None);
        let done = disk.perform(DiskOp::Sync { file, ticket });
        assert_eq!(done, Some(Input::DiskDone { ticket }));
        disk.perform(append(b"lost"));
        assert_eq!(disk.durable_files()[&file].as_ref(), b"kept");
        disk.crash(|volatile| volatile / 2);
        let read = disk.perform(DiskOp::Read { file, ticket });
        let data = DiskData::Bytes(Some(b"keptlo"[..].into()));
        assert_eq!(read, Some(Input::ReadDone { ticket, data }));
    }

    #[test]
    fn a_file_that_was_never_synced_vanishes() {
        let file = FileName::SnapshotPart {
            generation: 0,
            zxid: Zxid(1),
        };
        let mut disk = MemoryDisk::blank();
        disk.perform(DiskOp::Append {
            file,
            bytes: b"gone"[..].into(),
        });
        assert!(disk.durable_files().is_empty());
        disk.crash(|_| 0);
        assert!(disk.files.is_empty());
    }
}
