//! Numbers with a meaning: each is its own type, so that none is taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

/// ZooKeeper transaction id: `epoch << 32 | counter`. Totally ordered; zero means "nothing yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before the first transaction.
    pub const ZERO: Zxid = Zxid(0);

    /// −1 on the wire: in the header of a reply behind which no state stands (a check outside a multi).
    pub const NO_STATE: Zxid = Zxid(u64::MAX);

    /// The zxid of transaction `counter` in `epoch`.
    pub const fn new(epoch: u32, counter: u32) -> Zxid {
        Zxid((epoch as u64) << 32 | counter as u64)
    }

    /// The epoch: the high 32 bits.
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The counter within the epoch: the low 32 bits.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }
}

/// As the ZAB papers write it: `⟨epoch,counter⟩`.
impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "⟨{},{}⟩", self.epoch(), self.counter())
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A server of the ensemble (ZooKeeper's `myid`), counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub u8);

impl ServerId {
    /// The highest number that a member of an ensemble may have; the lowest is 1. (ZooKeeper sets no bound.)
    pub const MAX: u8 = 127;
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A client session, as ZooKeeper numbers them: the creating server's id in the top byte. Signed, because
/// `Stat::ephemeral_owner` is. Zero: no session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub i64);

impl SessionId {
    /// No session (the owner of a persistent node).
    pub const NONE: SessionId = SessionId(0);
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request's number within its session's connection; replies come back in this order. Positive for requests;
/// ZooKeeper reserves −1 for notifications, −2 for pings, −4 for `addAuth`, −8 for `setWatches`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Xid(pub i32);

/// A point of time in microseconds. Which clock it was read from (the world's, or one server's skewed own) is
/// said where it is used; the world's starts at zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// The start.
    pub const ZERO: Time = Time(0);

    /// `ms` milliseconds after the start.
    pub const fn from_ms(ms: u64) -> Time {
        Time(ms * 1_000)
    }

    /// Whole milliseconds since the start.
    pub const fn as_ms(self) -> u64 {
        self.0 / 1_000
    }

    /// This time plus `micros` microseconds.
    pub const fn plus(self, micros: u64) -> Time {
        Time(self.0 + micros)
    }

    /// Microseconds from `earlier` to this time; zero if `earlier` is later.
    pub const fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Seconds with three decimals, as timelines print it: `12.345s`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
