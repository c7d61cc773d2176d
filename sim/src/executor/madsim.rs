//! Programs on madsim: one node for each client process, so that a crash of the process is a kill of the node.
//!
//! madsim's executor runs everything that is ready before it lets its clock go on, and `block_on` returns once the future
//! given to it is done and nothing is ready any more. So `block_on` of a future that is done at once *is* "run until
//! idle": no sleep, no guess, and madsim's clock stands still but for the nanoseconds that it adds for each poll.

use super::{BoxFuture, Executor, Noticing};
use madsim::runtime::{NodeHandle, Runtime};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The executor on madsim.
pub(crate) struct Madsim {
    runtime: Runtime,
    nodes: BTreeMap<u32, NodeHandle>,
    /// Rung when a task is woken.
    bell: Arc<AtomicBool>,
}

impl Madsim {
    pub(crate) fn new() -> Madsim {
        Madsim {
            // The seed is the same in every run: what madsim draws decides nothing that the world can see.
            runtime: Runtime::with_seed_and_config(0, madsim::Config::default()),
            nodes: BTreeMap::new(),
            bell: Arc::default(),
        }
    }

    fn run_all_ready(&self) {
        while self.bell.swap(false, Ordering::Relaxed) {
            self.runtime.block_on(async {});
        }
    }
}

impl Executor for Madsim {
    fn spawn(&mut self, process: u32, future: BoxFuture) {
        let runtime = &self.runtime;
        let node = self.nodes.entry(process).or_insert_with(|| {
            runtime
                .create_node()
                .name(format!("c{process}"))
                // Only to be restartable: tasks come by `spawn`.
                .init(|| async { std::future::pending::<()>().await })
                .build()
        });
        node.spawn(Noticing::new(future, self.bell.clone()));
    }

    fn run_until_idle(&mut self) {
        self.run_all_ready();
    }

    fn kill(&mut self, process: u32) {
        if self
            .nodes
            .remove(&process)
            .map(|node| self.runtime.handle().kill(node.id()))
            .is_some()
        {
            // The runtime drops a killed task when it comes to run it.
            self.bell.store(true, Ordering::Relaxed);
            self.run_all_ready();
        }
    }
}

impl Drop for Madsim {
    /// Unfinished tasks hold the runtime and it holds them: without this, every run would leave some 19 KiB behind.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for node in std::mem::take(&mut self.nodes).into_values() {
            self.runtime.handle().kill(node.id());
        }
        self.runtime.block_on(async {});
    }
}
