//! The plain executor: no runtime at all. Tasks run in the order in which they were woken.

use super::{BoxFuture, Executor};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

type Queue = Arc<Mutex<VecDeque<usize>>>;

/// The plain executor.
#[derive(Default)]
pub(crate) struct Bare {
    tasks: Vec<Task>,
    awake: Queue,
}

struct Task {
    process: u32,
    future: Option<BoxFuture>,
    bell: Arc<TaskBell>,
    waker: Waker,
}

/// Puts its task at the end of the queue, unless it is in there already.
struct TaskBell {
    index: usize,
    queued: AtomicBool,
    awake: Queue,
}

impl Wake for TaskBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed)
            && let Ok(mut awake) = self.awake.lock()
        {
            awake.push_back(self.index);
        }
    }
}

impl Bare {
    fn next_awake(&self) -> Option<usize> {
        self.awake.lock().ok()?.pop_front()
    }
}

impl Executor for Bare {
    fn spawn(&mut self, process: u32, future: BoxFuture) {
        let index = self.tasks.len();
        let bell = Arc::new(TaskBell {
            index,
            queued: AtomicBool::new(false),
            awake: self.awake.clone(),
        });
        bell.wake_by_ref();
        self.tasks.push(Task {
            process,
            future: Some(future),
            waker: Waker::from(bell.clone()),
            bell,
        });
    }

    fn run_until_idle(&mut self) {
        while let Some(index) = self.next_awake() {
            let task = &mut self.tasks[index];
            task.bell.queued.store(false, Ordering::Relaxed);
            let Some(future) = task.future.as_mut() else {
                continue;
            };
            let mut context = Context::from_waker(&task.waker);
            if future.as_mut().poll(&mut context).is_ready() {
                task.future = None;
            }
        }
    }

    fn kill(&mut self, process: u32) {
        for task in &mut self.tasks {
            if task.process == process {
                task.future = None;
            }
        }
    }
}
