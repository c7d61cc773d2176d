//! The wall clock: read here alone, and only to say how long a run and its checks took. Nothing of it enters a run.

use std::time::Instant;

/// What the wall clock reads.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a run took is no part of it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
