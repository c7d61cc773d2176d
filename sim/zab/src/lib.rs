//! ZAB, ZooKeeper's atomic broadcast, as a sans-IO state machine: fast leader election, discovery, synchronization,
//! broadcast, the transaction log, snapshots and quorums. It knows nothing of znodes, clocks, sockets or randomness.
//!
//! # The contract
//!
//! A [`Peer`] is driven by one call, [`Peer::step`]: one [`Input`] in, a list of [`Effect`]s out. Whoever drives it must
//!
//! 1. carry the effects out **in the order** in which they stand in the list; it may crash the process between any two;
//! 2. keep each link FIFO and loss-free until it breaks, and tell both ends, sooner or later, that it broke;
//! 3. perform a peer's disk operations in the order of its effects; a completion ([`Input::DiskDone`]) means that this
//!    operation *and everything before it on the same file* is durable;
//! 4. hand every [`Effect::Deliver`] to the application in order, and answer each with [`Input::Applied`] once applied;
//! 5. treat election notifications as a datagram: lose, repeat or overtake them at will.
//!
//! In return a message that promises durability is only emitted by the step that learns the write is durable.
//!
//! | before sending | durable |
//! | --- | --- |
//! | `LeaderInfo(e)` | the leader's acceptedEpoch = e |
//! | `AckEpoch(e)` | the learner's acceptedEpoch = e |
//! | the leader's own ACK of `NewLeader(e)` | its history, its currentEpoch = e |
//! | `AckNewLeader(e)` | history up to the synchronization cut, then currentEpoch = e |
//! | `Ack(z)` | the log up to z |
//! | `Commit(z)` | the logs of a quorum up to z |
//!
//! Sources: Junqueira, Reed, Serafini, "Zab: High-performance broadcast for primary-backup systems" (DSN 2011); Apache
//! ZooKeeper 3.9 (`Leader`, `Learner`, `LearnerHandler`, `FastLeaderElection`, `FileTxnLog`) and its TLA+ specification.
//! Where ZooKeeper itself is unsafe, the code says **BASE** and what it does instead.

mod api;
mod core;
mod election;
mod handler;
mod history;
mod leader;
mod learner;
mod log;
mod marks;
mod memory;
mod peer;
mod quorum;
mod storage;
mod sync;

pub use api::*;
pub use marks::MARKS;
pub use memory::MemoryDisk;
pub use peer::Peer;
pub use quorum::{PeerSet, QuorumConfig, QuorumRule};
pub use storage::{Offline, format_files, recover_offline};
