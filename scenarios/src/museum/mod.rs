//! What is known of the bugs that can be planted: how many seeds each takes until it is caught and by which check
//! ([`results`], kept in `reports/bugs.json`), as a table ([`table`]), and for each a script that shows it ([`scripts`]).

pub(crate) mod adopt;
pub(crate) mod results;
pub(crate) mod scripts;
pub(crate) mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `f` on each item, on so many threads; the results in the items' order.
pub(crate) fn spread<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    f: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((at, item)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).map(|item| (at, item))
                } {
                    let result = f(item);
                    results
                        .lock()
                        .expect("nobody panics with it")
                        .push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("nobody panics with it");
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
