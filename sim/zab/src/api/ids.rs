//! Names and numbers: servers, epochs, transactions, times, links, tickets.

use std::fmt;
use std::sync::Arc;

/// A server's number, from 1 (ZooKeeper's `myid`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u8);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A leader's term. Zero: before the first leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// A transaction's number: `epoch << 32 | counter`. Zero means "no transaction".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before the first transaction.
    pub const ZERO: Zxid = Zxid(0);

    /// Transaction `counter` of `epoch`.
    pub const fn new(epoch: Epoch, counter: u32) -> Zxid {
        Zxid((epoch.0 as u64) << 32 | counter as u64)
    }

    /// The epoch: the high 32 bits.
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }

    /// The counter: the low 32 bits. Counter 0 never carries a transaction.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The transaction after this one in the same epoch.
    ///
    /// # Panics
    /// Where the counter would run into the epoch: the leader steps down before that (ZOOKEEPER-1277).
    pub const fn next(self) -> Zxid {
        assert!(
            self.counter() < u32::MAX,
            "the counter would run into the epoch"
        );
        Zxid(self.0 + 1)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "⟨{},{}⟩", self.epoch().0, self.counter())
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A point of time of this peer's own clock, in microseconds. Only differences mean anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Time(pub u64);

/// The opaque bytes of the application.
pub type Payload = Arc<[u8]>;

/// A transaction as it stands in the log of every server, byte for byte the same: see `log.rs` for the encoding.
/// It is encoded once, by the leader that proposes it, and shared from then on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Txn {
    /// Its number.
    pub zxid: Zxid,
    /// The transaction before it in the log, zero for the first. A log in which this chain is broken has a hole (**BASE**).
    pub prev: Zxid,
    /// The whole record: header, payload, checksum. `payload()` gives the application's part.
    pub record: Payload,
}

/// One connection between a learner and a leader. Unique in a run: the driver never uses a number again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// Names a disk operation, so that its completion finds who waits for it. Chosen by the peer, never twice in a process's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Names one serialization of the application's state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId(pub u64);

/// Names a `sync` request at the server where it was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SyncId(pub u64);
