//! The reference model: the service's state machine, one transaction after the other, as plainly as it can be said.
//!
//! [`Model`] is the tree and its rules; [`WatchTable`] remembers who watches what; [`Service`] is an ideal single server made
//! of the two, for conformance and for making legal histories.
//!
//! Source: ZooKeeper 3.9 `PrepRequestProcessor` (order of the checks), `DataTree` (effects, `Stat`, watches), and the
//! recorded answers of a real server (`conformance`). ACLs, containers, TTLs and persistent watches have their place here,
//! in [`Model::write`]'s checks, `Node` and [`WatchList`], and come with the service's.

mod model;
mod service;
mod tree;
mod watches;

pub use model::{Model, Stamp, Trigger, WatchList};
pub use service::{Notice, Served, Service};
pub(crate) use tree::Lookup;
pub use watches::WatchTable;
pub(crate) use watches::watch_of;
