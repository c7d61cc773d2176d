//! The wall clock, for a campaign's own times alone. Nothing of it enters a run.

use std::time::Instant;

/// What the wall clock reads.
#[expect(
    clippy::disallowed_methods,
    reason = "a campaign takes real time; its runs know nothing of it"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
