//! The world: a discrete-event simulator that owns the links, disks, clocks and processes of a simulated ensemble, breaks
//! them by script, and checks the protocol's invariants at every step.

#[allow(dead_code)] // Until the world is wired to it.
pub(crate) mod disk;
#[allow(dead_code)] // Until the world is wired to it.
pub(crate) mod judge;
#[allow(dead_code, unused_imports)] // Until the world is wired to it.
pub(crate) mod nemesis;
pub mod plan;
pub mod stream;

pub use nemesis::{
    DISK_OPS, FAULT_KINDS, MESSAGES, NOTES, PROFILES, SERVERS_MAX, draw_faults, validate,
};
