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
mod desk;
mod disk;
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
#[cfg(madsim)]
mod server;
mod stream;
#[cfg(madsim)]
pub mod testing;
mod trace;
#[cfg(madsim)]
mod witness;
#[cfg(madsim)]
mod world;

#[cfg(madsim)]
pub use executor::BoxFuture;
#[cfg(madsim)]
pub use listing::{checks, marks};
pub use nemesis::{
    DISK_OPS, FAULT_KINDS, MESSAGES, NOTES, PROFILES, SERVERS_MAX, draw_faults, validate,
};
#[cfg(madsim)]
pub use program::{Program, ProgramContext, Stopping};
#[cfg(madsim)]
pub use run::{RunOptions, RunOutcome, Runtime, Trace, run};
pub use stream::Stream;
#[cfg(madsim)]
pub use testing::{Setup, Sim, check, ensemble};
pub use trace::TraceLine;

pub use zabsim_client as client;
pub use zabsim_client::recipes;
pub use zabsim_types as types;

/// Every check that a run is held to: its name, and one sentence on it.
#[cfg(madsim)]
pub fn checks() -> Vec<(&'static str, &'static str)> {
    let of_histories = zabsim_model::checks::ALL.iter();
    let of_histories = of_histories.map(|check| (check.name, check.about));
    checks::STEP_CHECKS
        .iter()
        .copied()
        .chain(of_histories)
        .collect()
}

/// Every mark that a run can reach: its name, and what it means in one sentence.
#[cfg(madsim)]
pub fn marks() -> Vec<(&'static str, &'static str)> {
    let mut marks: Vec<_> = zab::MARKS.iter().chain(MARKS).copied().collect();
    marks.sort_unstable();
    marks
}

/// The marks that the world and the service make.
#[cfg(madsim)]
const MARKS: &[(&str, &str)] = &[
    (
        "client-out-of-turn",
        "A client sent a frame that its connection's state does not allow.",
    ),
    (
        "damage-refused",
        "Damage was not done, since no protocol would have survived it.",
    ),
    (
        "ephemeral-of-unknown-session",
        "A new leader found an ephemeral node without a session.",
    ),
    ("fatal", "A server stopped by its own decision."),
    (
        "refused-from-future",
        "A client was refused by a server that had seen less than itself.",
    ),
    (
        "restore-failed",
        "The service could not make sense of a snapshot.",
    ),
    (
        "session-expired",
        "The leader ended a session that had been silent for too long.",
    ),
    (
        "session-moved",
        "A request came by a server that no longer owned its session.",
    ),
    (
        "snapshot-installed",
        "A whole snapshot from the leader became a server's database.",
    ),
    ("snapshot-taken", "A running server wrote a snapshot."),
    ("sync-diff", "A learner got the tail that it lacked."),
    ("sync-empty-diff", "A learner lacked nothing."),
    ("sync-snap", "A learner got a whole snapshot."),
    ("sync-trunc", "A learner's log was cut."),
    (
        "sync-trunc-diff",
        "A learner's log was cut, and then it got the leader's tail.",
    ),
];
