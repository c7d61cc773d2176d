//! Work spread over threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `f` on each item, on so many threads at once; the results in the items' order.
pub fn spread<T: Sync, R: Send>(items: &[T], threads: usize, f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = f(item);
                    *results[at].lock().expect("nobody panics with it") = Some(result);
                }
            });
        }
    });
    let taken = results.into_iter().map(|slot| {
        let result = slot.into_inner().expect("nobody panics with it");
        result.expect("every item was taken")
    });
    taken.collect()
}
