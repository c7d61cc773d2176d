//! What to run: the scenario format, the library of scenarios, the workloads, and the commands of `zabsim`.

pub mod campaign;
pub mod command;
pub mod conform;
pub mod corpus;
pub mod fingerprint;
pub mod format;
mod generate;
mod hint;
pub mod library;
mod museum;
mod replace;
pub mod runner;
pub mod shrink;
pub mod spread;
pub mod workload;
