//! What a peer asks of its disk, and what the disk answers.

use super::{Payload, Ticket, Zxid};
use std::fmt;

/// The files of a server. Displayed as ZooKeeper names them: `log.100000001`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileName {
    /// The highest epoch this server has promised to follow (paper: f.p).
    AcceptedEpoch,
    /// The epoch of the last leader whose history this server took over (paper: f.a).
    CurrentEpoch,
    /// The last configuration of the ensemble that is known here to be committed, if it is not the first.
    Configuration,
    /// Says that the database may vote: written by `format_files` for a new ensemble, and by a server with a blank disk once
    /// an established leader has brought it up to date. Without it the server takes no part in elections (ZOOKEEPER-2325).
    Initialized,
    /// A log segment; named by the first zxid that it may hold, and by its generation.
    Log {
        /// Counts the times that a SNAP replaced the whole database; segments of older generations are dead.
        generation: u32,
        /// Transactions in it are at or after this.
        first: Zxid,
    },
    /// A snapshot; named by the last transaction that was applied when its writing began.
    Snapshot {
        /// As for `Log`.
        generation: u32,
        /// Everything up to here is in it; of later transactions perhaps something.
        zxid: Zxid,
    },
    /// A snapshot being written; not valid until renamed.
    SnapshotPart {
        /// As for `Log`.
        generation: u32,
        /// As for `Snapshot`.
        zxid: Zxid,
    },
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::AcceptedEpoch => write!(f, "acceptedEpoch"),
            FileName::CurrentEpoch => write!(f, "currentEpoch"),
            FileName::Configuration => write!(f, "configuration"),
            FileName::Initialized => write!(f, "initialized"),
            FileName::Log { generation, first } => write!(f, "log.{generation}.{:x}", first.0),
            FileName::Snapshot { generation, zxid } => {
                write!(f, "snapshot.{generation}.{:x}", zxid.0)
            }
            FileName::SnapshotPart { generation, zxid } => {
                write!(f, "snapshot.{generation}.{:x}.part", zxid.0)
            }
        }
    }
}

/// Something to do to the disk. Operations of one peer are carried out in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskOp {
    /// Adds bytes to the end of a file, creating it. Volatile until a `Sync` of that file is done.
    Append {
        /// Which file.
        file: FileName,
        /// What.
        bytes: Payload,
    },
    /// Makes everything appended to a file so far durable (fsync). Answered.
    Sync {
        /// Which file.
        file: FileName,
        /// For the answer.
        ticket: Ticket,
    },
    /// Replaces a small file atomically and durably: temporary file, fsync, rename, fsync of the directory. Answered.
    Replace {
        /// Which file.
        file: FileName,
        /// Its whole content.
        bytes: Payload,
        /// For the answer.
        ticket: Ticket,
    },
    /// Renames a file, atomically and durably. Answered.
    Rename {
        /// From.
        from: FileName,
        /// To; replaced if it exists.
        to: FileName,
        /// For the answer.
        ticket: Ticket,
    },
    /// Cuts a file to a length, durably. Answered.
    Truncate {
        /// Which file.
        file: FileName,
        /// Bytes that stay.
        len: u64,
        /// For the answer.
        ticket: Ticket,
    },
    /// Removes a file, durably. Answered.
    Delete {
        /// Which file.
        file: FileName,
        /// For the answer.
        ticket: Ticket,
    },
    /// Lists the directory. Answered by `ReadDone` with `DiskData::Files`, sorted.
    List {
        /// For the answer.
        ticket: Ticket,
    },
    /// Reads a whole file. Answered by `ReadDone` with `DiskData::Bytes`.
    Read {
        /// Which file.
        file: FileName,
        /// For the answer.
        ticket: Ticket,
    },
}

/// What a read brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskData {
    /// The files that exist.
    Files(Vec<FileName>),
    /// A file's bytes; `None` where there is no such file.
    Bytes(Option<Payload>),
}

/// Why a disk operation failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DiskError {
    /// The device failed. What was not yet durable may be lost, whatever a later fsync says: the server must stop.
    Io,
    /// No space left.
    Full,
}
