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

mod api;
mod clients;
mod codec;
mod database;
mod leader;
mod node;
mod prep;
mod recovery;
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
pub use recovery::digest_of;
pub use request::describe;
pub use server::Server;
pub use txn::{Txn, TxnBody};
