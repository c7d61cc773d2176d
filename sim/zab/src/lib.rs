//! ZAB, ZooKeeper's atomic broadcast, as a sans-IO state machine: fast leader election, discovery, synchronization,
//! broadcast, the transaction log, snapshots, quorums and their reconfiguration. It knows nothing of znodes, clocks, sockets or randomness.
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
//! An [`Effect::Restore`] voids every delivery before it: no `Applied` may follow for them. An input that a peer does not
//! expect does no harm; a message that its phase does not allow closes the link and is noted.
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
//! # Three peers
//!
//! A driver in its smallest form: messages arrive at once and in order, disks are instantaneous, nothing ever fails.
//!
//! ```
//! use std::collections::{BTreeMap, VecDeque};
//! use zab::{Config, Effect, Input, LinkId, MemoryDisk, Peer, PeerId, Phase, QuorumConfig, Time, Zxid};
//!
//! let quorum = QuorumConfig::majority([1, 2, 3].map(PeerId));
//! let mut peers: BTreeMap<PeerId, (Peer, MemoryDisk)> = quorum
//!     .members()
//!     .map(|id| (id, (Peer::new(Config::new(id, quorum.clone())), MemoryDisk::formatted())))
//!     .collect();
//! let mut inputs: VecDeque<(PeerId, Input)> = peers.keys().map(|id| (*id, Input::Boot)).collect();
//! let (mut timers, mut links, mut now) = (BTreeMap::new(), Vec::new(), Time(0));
//! let (mut proposed, mut delivered) = (false, Vec::new());
//!
//! while delivered.len() < 3 {
//!     let (id, input) = inputs.pop_front().unwrap_or_else(|| {
//!         let (&(id, timer), &at) = timers.iter().min_by_key(|(_, at)| **at).expect("a timer is always set");
//!         timers.remove(&(id, timer));
//!         now = at;
//!         (id, Input::Timer(timer))
//!     });
//!     let (peer, disk) = peers.get_mut(&id).expect("a member");
//!     let mut effects = Vec::new();
//!     peer.step(now, input, &mut effects);
//!     for effect in effects {
//!         match effect {
//!             Effect::Notify { to, notification } => inputs.push_back((to, Input::Notification { from: id, notification })),
//!             Effect::Connect { peer } => {
//!                 links.push([id, peer]);
//!                 let link = LinkId(links.len() as u64 - 1);
//!                 inputs.push_back((id, Input::LinkOpened { link, peer, outgoing: true }));
//!                 inputs.push_back((peer, Input::LinkOpened { link, peer: id, outgoing: false }));
//!             }
//!             Effect::Send { link, message } => {
//!                 let [a, b] = links[link.0 as usize];
//!                 inputs.push_back((if a == id { b } else { a }, Input::Message { link, message }));
//!             }
//!             Effect::CloseLink { link } => {
//!                 let [a, b] = links[link.0 as usize];
//!                 inputs.push_back((if a == id { b } else { a }, Input::LinkBroken { link }));
//!             }
//!             Effect::Disk(operation) => inputs.extend(disk.perform(operation).map(|done| (id, done))),
//!             Effect::SetTimer { timer, at } => drop(timers.insert((id, timer), at)),
//!             Effect::Deliver { txn, .. } => {
//!                 assert_eq!(txn.payload(), b"hello");
//!                 delivered.push(id);
//!                 inputs.push_back((id, Input::Applied { zxid: txn.zxid }));
//!             }
//!             Effect::RoleChanged(role) if role.phase == Phase::Broadcast && role.leader == Some(id) && !proposed => {
//!                 proposed = true;
//!                 let (zxid, payload) = (Zxid::new(role.epoch, 1), b"hello"[..].into());
//!                 inputs.push_back((id, Input::Propose { zxid, payload }));
//!             }
//!             _ => {} // barriers, snapshots, requests, notes
//!         }
//!     }
//! }
//! ```
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
mod membership;
mod memory;
mod peer;
mod quorum;
mod storage;
mod sync;

pub use api::*;
pub use marks::MARKS;
pub use membership::{Configuration, Membership};
pub use memory::MemoryDisk;
pub use peer::Peer;
pub use quorum::{PeerSet, QuorumConfig, QuorumRule};
pub use storage::{Offline, format_files, recover_offline};
pub use zabsim_bugs::{Bug, Planted, consulted};
