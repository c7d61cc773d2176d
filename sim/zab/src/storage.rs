//! Everything on the disk.
use crate::{Config, DiskData, DiskError, Effect, Epoch, FileName, Payload, Ticket, Txn, Zxid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the storage has to tell the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// Answers [`Storage::recover`].
    Recovered {
        last: Zxid,
        floor: Zxid,
        accepted: Epoch,
        current: Epoch,
        blank: bool,
        torn_bytes: u64,
        snapshot: Zxid,
        chunks: Vec<Payload>,
        replay: Vec<Arc<Txn>>,
    },
    /// The log is durable up to here.
    Logged { zxid: Zxid },
    /// acceptedEpoch is durable.
    AcceptedEpoch(Epoch),
    /// currentEpoch is durable.
    CurrentEpoch(Epoch),
    /// The marker is durable.
    Initialized,
    /// The log is cut, durably.
    Truncated { to: Zxid },
    /// A snapshot from the leader is durable and is the database now.
    SnapshotInstalled { zxid: Zxid },
    /// A running server's snapshot is durable.
    SnapshotTaken { zxid: Zxid },
    /// Answers [`Storage::read_log_from`]. `txns` are all logged transactions after the one asked for, in order. `start`
    /// is the `prev` of the first: the zxid asked for where that is in this log, else the greatest one below it.
    LogRead {
        token: u64,
        start: Zxid,
        txns: Option<Vec<Arc<Txn>>>,
    },
    /// The server must stop.
    Fatal { reason: String },
}

/// The disk of one server.
#[derive(Debug)]
pub(crate) struct Storage;

#[allow(unused_variables)]
impl Storage {
    pub(crate) fn new(config: &Config) -> Storage {
        Storage
    }
    pub(crate) fn recover(&mut self, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn append(&mut self, txn: Arc<Txn>, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn sync(&mut self, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn last(&self) -> Zxid {
        unimplemented!()
    }
    pub(crate) fn durable(&self) -> Zxid {
        unimplemented!()
    }
    pub(crate) fn floor(&self) -> Zxid {
        unimplemented!()
    }
    pub(crate) fn idle(&self) -> bool {
        unimplemented!()
    }
    pub(crate) fn accepted(&self) -> Epoch {
        unimplemented!()
    }
    pub(crate) fn current(&self) -> Epoch {
        unimplemented!()
    }
    pub(crate) fn is_blank(&self) -> bool {
        unimplemented!()
    }
    pub(crate) fn set_accepted_epoch(&mut self, epoch: Epoch, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn set_current_epoch(&mut self, epoch: Epoch, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn set_initialized(&mut self, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn truncate(&mut self, to: Zxid, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn install_snapshot(
        &mut self,
        zxid: Zxid,
        chunks: Vec<Payload>,
        out: &mut Vec<Effect>,
    ) {
        unimplemented!()
    }
    pub(crate) fn begin_snapshot(&mut self, zxid: Zxid, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn snapshot_chunk(&mut self, bytes: Payload, last: bool, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn abandon_snapshot(&mut self, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn read_log_from(&mut self, after: Zxid, token: u64, out: &mut Vec<Effect>) {
        unimplemented!()
    }
    pub(crate) fn on_disk_done(&mut self, ticket: Ticket, out: &mut Vec<Effect>) -> Vec<Event> {
        unimplemented!()
    }
    pub(crate) fn on_read_done(
        &mut self,
        ticket: Ticket,
        data: DiskData,
        out: &mut Vec<Effect>,
    ) -> Vec<Event> {
        unimplemented!()
    }
    pub(crate) fn on_disk_failed(
        &mut self,
        file: Option<FileName>,
        error: DiskError,
        out: &mut Vec<Effect>,
    ) -> Vec<Event> {
        unimplemented!()
    }
}

/// A new ensemble's disk.
pub fn format_files() -> Vec<(FileName, Payload)> {
    unimplemented!()
}

/// What [`recover_offline`] finds on a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offline {
    /// The snapshot that recovery starts from.
    pub snapshot: Zxid,
    /// Its pieces.
    pub chunks: Vec<Payload>,
    /// The transactions after it.
    pub txns: Vec<Arc<Txn>>,
    /// The tail.
    pub last: Zxid,
    /// acceptedEpoch.
    pub accepted: Epoch,
    /// currentEpoch.
    pub current: Epoch,
    /// Whether the database may not vote.
    pub blank: bool,
    /// Bytes of a torn tail that recovery would cut.
    pub torn_bytes: u64,
}

/// What a restart right now would find on these files, by the code that a restart runs.
pub fn recover_offline(files: &BTreeMap<FileName, Payload>) -> Result<Offline, String> {
    let _ = files;
    unimplemented!()
}
