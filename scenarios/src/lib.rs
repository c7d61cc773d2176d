//! What to run: the scenario format, the library of scenarios, the workloads, and the commands of `zabsim`.

pub mod command;
pub mod format;
mod hint;
pub mod library;
pub mod runner;
mod seed;
pub mod workload;

pub use seed::{parse_seed, seed_text};
