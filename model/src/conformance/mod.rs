//! What a real server answered, case by case, and how to hold somebody to it.
//!
//! A case is a list of steps of named connections, each with the recorded reply and the notifications that came with it.
//! [`parse`] reads the cases, [`run_on_model`] plays one on the [`Service`](crate::Service), and [`Comparison`] compares one
//! recorded reply or notification with one of ours, so that an ensemble can be held to the same answers:
//!
//! - zxids: exactly on the model, which counts as the recorded server did, from an empty database in epoch 0; *by rank* on an
//!   ensemble, whose epochs and further sessions shift the numbers: equal ones must be equal, smaller ones smaller. There the
//!   header of a read is left alone, for a follower's may trail.
//! - times: on the model the time of a transaction is known; elsewhere they are not compared.
//! - children: as sets.
//! - races: where the recorded outcome was one, the model is right with any of its ends.
//!
//! Source: Apache ZooKeeper 3.9.5, standalone, recorded by this project.

mod compare;
mod play;
mod read;

pub use compare::{Comparison, Mismatch};
pub use play::{Difference, Outcome, recorded_settings, run_on_model};
pub use read::{Action, Case, Connect, Request, Resume, Step, parse};
