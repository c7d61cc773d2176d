//! Panics of the system under test: caught, with the place where they arose, and not printed; they are findings.

use crate::executor::panic_message;
use std::cell::{Cell, RefCell};
use std::panic::UnwindSafe;
use std::sync::Once;

thread_local! {
    /// Whether this thread's panics are caught.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `act`; of a panic, its message and its place.
pub(crate) fn caught<T>(act: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if WATCHED.get() {
                let place = panic
                    .location()
                    .map(|at| format!("{}:{}", at.file(), at.line()));
                PLACE.set(place);
            } else {
                before(panic);
            }
        }));
    });
    let watched = WATCHED.replace(true);
    let result = std::panic::catch_unwind(act);
    WATCHED.set(watched);
    result.map_err(|panic| {
        let message = panic_message(panic.as_ref());
        match PLACE.take() {
            Some(place) => format!("{message} ({place})"),
            None => message,
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_is_told_with_its_place() {
        assert_eq!(super::caught(|| 5), Ok(5));
        let told = super::caught(|| -> u32 { panic!("no log") }).expect_err("it panics");
        assert!(
            told.starts_with("no log (") && told.contains("panics.rs:"),
            "{told}"
        );
    }
}
