//! The world: a discrete-event simulator that owns the links, disks, clocks and processes of a simulated ensemble, breaks
//! them by script, and checks the protocol's invariants at every step.

#[cfg(not(madsim))]
compile_error!(
    "zabsim runs client programs on madsim, which exists only under `--cfg madsim`. Put these lines into \
     `.cargo/config.toml` at the top of your project:\n\n    [build]\n    rustflags = [\"--cfg\", \"madsim\"]\n    \
     rustdocflags = [\"--cfg\", \"madsim\"]\n\n\
     They are lost where RUSTFLAGS is set, where cargo is called from outside of the project with `--manifest-path`, and \
     by `cargo fuzz`: say `RUSTFLAGS=\"--cfg madsim\"` there."
);

#[cfg(madsim)]
mod checks;
mod clock;
#[cfg(madsim)]
mod corners;
#[cfg(madsim)]
mod desk;
mod disk;
mod electorate;
#[cfg(madsim)]
mod executor;
#[cfg(madsim)]
mod host;
mod judge;
#[cfg(madsim)]
mod listing;
mod nemesis;
mod net;
#[cfg(madsim)]
mod panics;
pub mod plan;
mod process;
#[cfg(madsim)]
mod program;
mod queue;
#[cfg(madsim)]
mod run;
mod seed;
#[cfg(madsim)]
mod server;
#[cfg(madsim)]
mod story;
mod stream;
#[cfg(madsim)]
pub mod testing;
mod trace;
#[cfg(madsim)]
mod wall;
#[cfg(madsim)]
mod wire;
#[cfg(madsim)]
mod witness;
#[cfg(madsim)]
mod world;

#[cfg(madsim)]
pub use executor::BoxFuture;
#[cfg(madsim)]
pub use listing::{checks, marks};
pub use nemesis::{
    DISK_OPS, FAULT_KINDS, Invalid, MESSAGES, NOTES, PROFILES, Part, PlanEntry, RANDOM_PREFIX,
    SERVERS_MAX, draw_faults, validate, validate_entries,
};
#[cfg(madsim)]
pub use program::{Program, ProgramContext, Stopping};
#[cfg(madsim)]
pub use run::{RunOptions, RunOutcome, Runtime, Trace, run};
pub use seed::{parse_seed, seed_text};
pub use stream::Stream;
#[cfg(madsim)]
pub use testing::{Setup, Sim, check, ensemble};
pub use trace::TraceLine;
#[cfg(madsim)]
pub use wire::Wire;

pub use zabsim_client as client;
pub use zabsim_client::recipes;
pub use zabsim_server::Rules;
pub use zabsim_types as types;
