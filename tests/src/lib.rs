//! What the acceptance tests share: the command called as a user calls it, and the library's runs spread over threads.

pub mod readers;

use std::ffi::OsString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use zabsim_scenarios::command::{Output, run_with};

/// What a command came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// The exit code.
    pub code: u8,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

/// Calls `zabsim` with these arguments, in this process.
pub fn zabsim<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = arguments.into_iter().map(Into::into);
    let code = run_with(
        std::iter::once(OsString::from("zabsim")).chain(arguments),
        &mut Output::new(&mut out, &mut err),
    );
    let text = |bytes| String::from_utf8(bytes).expect("the command writes text");
    Ran {
        code,
        out: text(out),
        err: text(err),
    }
}

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
