//! `zabsim worker`: not for people. A campaign starts it, and tells it what to do.

use super::Output;
use crate::campaign::{Plant, serve};
use std::io::BufReader;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The most memory that it may have, in MiB
    #[arg(long)]
    memory_mib: Option<u64>,
    /// A failure that a test plants
    #[arg(long)]
    plant: Vec<Plant>,
}

pub(super) fn worker(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    if let Some(mib) = arguments.memory_mib {
        limit_memory(mib)?;
    }
    let orders = BufReader::new(std::io::stdin());
    serve(orders, output.out, &arguments.plant)?;
    Ok(0)
}

/// A run that would eat the machine's memory ends its own process instead.
#[cfg(unix)]
fn limit_memory(mib: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::As).maximum;
    let wanted = mib.saturating_mul(1 << 20);
    let limit = Rlimit {
        current: Some(most.map_or(wanted, |most| most.min(wanted))),
        maximum: most,
    };
    setrlimit(Resource::As, limit)
        .map_err(|error| format!("cannot limit the memory to {mib} MiB: {error}"))
}

/// Other systems have no such limit for a process to set for itself.
#[cfg(not(unix))]
fn limit_memory(_mib: u64) -> Result<(), String> {
    Ok(())
}
