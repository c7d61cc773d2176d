//! The reference model: the service's state machine, one transaction after the other, as plainly as it can be said.
//!
//! [`Model`] is the tree and its rules; [`WatchTable`] remembers who watches what; [`Service`] is an ideal single server made
//! of the two, for conformance and for making legal histories. [`Settings`] are what a server's configuration changes of the
//! answers.
//!
//! Source: ZooKeeper 3.9 `PrepRequestProcessor` (order of the checks), `DataTree` (effects, `Stat`, watches, quotas), the
//! authentication providers, and the recorded answers of a real server (`conformance`).

mod acl;
mod change;
mod config;
mod digest;
mod model;
mod quota;
mod service;
mod settings;
mod size;
#[cfg(test)]
mod tests;
mod tree;
mod watches;

pub(crate) use acl::grants;
pub use acl::{Rights, digest};
pub(crate) use model::Mark;
pub use model::{Model, Stamp, Trigger, WatchList};
pub(crate) use service::makes_ephemeral;
pub use service::{Notice, Served, Service, WatchesToSet};
pub use settings::Settings;
pub use size::frame_len;
pub use tree::Life;
pub(crate) use tree::{Fnv, Lookup};
pub use watches::WatchTable;
pub(crate) use watches::watch_of;
