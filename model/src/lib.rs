//! The truth: what the service must answer, and whether a history of a run is one that it may have produced.
//!
//! Three parts, each usable alone:
//!
//! 1. [`mod@reference`]: the service's state machine as plainly as it can be said: one tree, one transaction after the other
//!    ([`Model`]), and an ideal single server around it, with sessions, identities and watches ([`Service`]).
//! 2. [`conformance`]: what a real Apache ZooKeeper answered, recorded case by case, and the comparison of one recorded
//!    reply with one of ours. The model is held to it, and so is an ensemble.
//! 3. [`checks`]: each promise to clients as one check over a [`History`](zabsim_types::HistoryEvent) and, where there is
//!    one, the committed log of the run ([`Witness`]).
//!
//! Nothing here shares a line with the servers under test: the model was written from the documentation and from recorded
//! answers, so that a mistake in one cannot hide in the other.
//!
//! ```
//! use zabsim_model::Service;
//! use zabsim_types::{Acl, CreateMode, Op, SessionId};
//!
//! let mut service = Service::new();
//! let me = SessionId(1);
//! service.open(me, 10_000);
//! let create = Op::Create { path: "/a".into(), data: None, mode: CreateMode::Persistent, with_stat: false, acl: Acl::OPEN };
//! let first = service.request(me, &create);
//! assert!(first.result.is_ok());
//! // A failed write consumes a transaction too.
//! let second = service.request(me, &create);
//! assert!(second.result.is_err() && second.zxid > first.zxid);
//! ```

pub mod checks;
pub mod conformance;
pub mod intake;
pub mod linear;
pub mod mutate;
pub mod reference;
mod witness;
pub mod znode;

pub use checks::{Options, Staleness, check_all};
pub use reference::{
    Life, Model, Rights, Service, Settings, Stamp, Trigger, WatchList, WatchesToSet,
};
pub use witness::{CommittedTxn, TxnKind, Witness};
