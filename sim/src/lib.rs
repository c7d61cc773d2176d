//! The world: a discrete-event simulator that owns the links, disks, clocks and processes of a simulated ensemble, breaks
//! them by script, and checks the protocol's invariants at every step.

#[allow(dead_code)] // Until the world is wired to it.
pub(crate) mod disk;
#[allow(dead_code)] // Until the world is wired to it.
pub(crate) mod judge;
pub mod plan;
pub mod stream;
