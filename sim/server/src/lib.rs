//! The coordination service on `zab`: the leader's request pipeline with its overlay of outstanding changes, the data
//! tree, sessions, watches. Sans-IO, like `zab` itself, and blind to the reference model: two authors, one truth.
//!
//! # The contract
//!
//! A [`Server`] is one process: a [`zab::Peer`] and the service on it. It is driven by [`Server::step`]: one [`Input`] in,
//! a list of [`Effect`]s out, to be carried out in order. What `zab` asks of its driver (`zab`'s crate documentation, rules
//! 1 to 5) the driver of a `Server` owes too, except 4: applying is the server's own.
//!
//! **Queues stay queues.** Between receiving a request and answering it lie stages that are separate threads in ZooKeeper
//! ([`Stage`]). A stage with work asks for [`Effect::Schedule`]; the driver answers, as late as it likes, with
//! [`Input::Run`], and the stage then does what is queued. Stages may be run in any order.
//!
//! ```text
//!  client ──► connection's queue ──► leader's queue ──[Prepare]──► zab ──► apply queue ──[Apply]──► tree, watches, replies
//!                      └── reads, pings, setWatches: answered at the next turn of [Apply] ──┘            │
//!                                                                     snapshots ◄──[Snapshot]────────────┘
//! ```
//!
//! **What clients may rely on**, whatever is delayed: replies of a connection come in the order of its requests, their zxids
//! never go back, a watch's event comes before any reply from its state or a later one, and what a session wrote without
//! an answer is visible to its first read after it reattached, or never happens.
//!
//! **Clients are served** exactly while the peer is in broadcast *and* everything delivered before is applied. At all other
//! times a connection is closed as soon as it opens; but in read-only mode (`read_only`) a server without a leader lets those
//! read who are content with it.
//!
//! **What is decided where.** All that an update depends on is decided by the leader in `prep`: access control lists (with
//! the identities of the connection that the request came in by, `auth`), versions, names, limits, even what the nodes with
//! the counts of quotas hold. A transaction says what came of it, and applying it decides nothing. Reads are judged where
//! they are answered.
//!
//! Left for what comes next: the wire format (a codec around [`Input::ClientFrame`] and [`Effect::Frame`]).
//!
//! # A server alone
//!
//! ```
//! use std::collections::VecDeque;
//! use zabsim_server::{Config, ConnId, Effect, Input, Rules, Server};
//! use zabsim_types::{ClientFrame, ConnectRequest, ServerFrame, SessionId, Zxid};
//!
//! # let peer = zab::PeerId(1);
//! # let config = Config {
//! #     zab: zab::Config {
//! #         id: peer,
//! #         quorum: zab::QuorumConfig::majority([peer]),
//! #         tick_us: 500_000, init_limit: 10, sync_limit: 5, finalize_wait_us: 200_000,
//! #         notify_us: (200_000, 60_000_000), commit_log_count: 500, disk_diff_bytes_max: 0,
//! #         snap_count: 1_000, counter_max: u32::MAX, snap_retain: 3, bugs: zab::Planted::NONE,
//! #     },
//! #     session_timeout_ms: (1_000, 10_000), apply_batch: 100, snapshot_chunk_nodes: 100, password_salt: 0,
//! #     sweep_interval_ms: 60_000, rules: Rules::default(),
//! #     local_sessions: false, upgrade_local_sessions: true, read_only_mode: false,
//! # };
//! let mut disk = zab::MemoryDisk::formatted();
//! let mut server = Server::new(config);
//! let (mut now, conn, mut asked, mut frames) = (0, ConnId(1), false, Vec::new());
//! let mut inputs = VecDeque::from([Input::Zab(zab::Input::Boot)]);
//! let mut timers = Vec::new();
//! while frames.is_empty() {
//!     if server.is_serving() && !std::mem::replace(&mut asked, true) {
//!         let connect = ConnectRequest {
//!             last_zxid_seen: Zxid::ZERO,
//!             timeout_ms: 4_000,
//!             session: SessionId::NONE,
//!             password: [0; 16],
//!             read_only: false,
//!         };
//!         inputs.push_back(Input::ClientOpened { conn });
//!         let frame = Box::new(ClientFrame::Connect(connect));
//!         inputs.push_back(Input::ClientFrame { conn, frame });
//!     }
//!     let input = inputs.pop_front().unwrap_or_else(|| {
//!         // Nothing to do: the clock goes on to the next timer.
//!         timers.sort();
//!         let (at, timer) = timers.remove(0);
//!         now = at;
//!         Input::Timer(timer)
//!     });
//!     let mut effects = Vec::new();
//!     server.step(zab::Time(now), input, &mut effects);
//!     for effect in effects {
//!         match effect {
//!             Effect::Zab(zab::Effect::Disk(op)) => inputs.extend(disk.perform(op).map(Input::Zab)),
//!             Effect::SetTimer { timer, at } => timers.push((at.0, timer)),
//!             Effect::Schedule(stage) => inputs.push_back(Input::Run(stage)),
//!             Effect::Frame { frame, .. } => frames.push(*frame),
//!             _ => {}
//!         }
//!     }
//! }
//! assert!(matches!(&frames[..], [ServerFrame::Connected(reply)] if reply.timeout_ms == 4_000));
//! ```

mod acl;
mod api;
mod auth;
mod body;
mod clients;
mod codec;
mod database;
mod frame_len;
mod leader;
mod local;
mod node;
mod prep;
mod quota;
mod read_only;
mod reconfig;
mod recovery;
mod replies;
mod request;
mod server;
mod service;
mod sessions;
mod snapshot;
mod tree;
mod txn;
mod watches;

#[cfg(test)]
mod tests;

pub use api::*;
pub use codec::DecodeError;
pub use reconfig::{Change, first_configuration};
pub use recovery::digest_of;
pub use request::describe;
pub use server::Server;
pub use txn::{Owner, Txn, TxnBody};
