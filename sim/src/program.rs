//! Programs: what client processes run. Ordinary asynchronous code over [`Client`]; it waits for replies, watches and the
//! client's own clock, and for nothing else.

use crate::executor::BoxFuture;
use crate::stream::Stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zabsim_client::Client;
use zabsim_types::ProcessId;

/// A client process's program. It is called once, when the process starts.
pub type Program = Box<dyn FnOnce(ProgramContext) -> BoxFuture + Send>;

/// What a program is given.
pub struct ProgramContext {
    /// The client; its session is not open yet. Clones share the session.
    pub client: Client,
    /// The process, counted from 1.
    pub process: ProcessId,
    /// For the workload's own draws.
    pub stream: Stream,
    pub(crate) stopping: Stopping,
}

impl ProgramContext {
    /// Whether the program is to come to its end: the safety phase is over. A program that loops looks here.
    pub fn stopping(&self) -> bool {
        self.stopping.is_set()
    }

    /// The flag behind [`stopping`](Self::stopping), for parts of a program that run side by side.
    pub fn stopping_flag(&self) -> Stopping {
        self.stopping.clone()
    }
}

/// Tells programs that they are to come to their end.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Whether they are.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
