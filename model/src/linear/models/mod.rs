//! Objects that people's histories are about.

mod counter;
mod drain;
mod mutex;
mod queue;
mod register;
mod set;
mod sightings;
mod text;
mod turns;

pub use counter::{Counter, CounterAction};
pub use drain::{DrainAction, Drained};
pub use mutex::{Fenced, FencedAction, Mutex, MutexAction};
pub use queue::{Queue, QueueAction};
pub use register::{Register, RegisterAction};
pub use set::{Set, SetAction};
pub use text::{Text, TextAction};
