//! How a campaign is told to come to its end: by Ctrl-C, by SIGTERM, or when its terminal goes away. The first time it
//! finishes what is in hand and reports; the second time the process ends at once, as by SIGKILL, and loses no more by that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a campaign is to come to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Set by the signals that ask a process to end.
    pub(super) fn on_signals() -> Result<Stop, String> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        use signal_hook::flag;
        let stop = Stop::default();
        #[cfg(unix)]
        let signals = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
        #[cfg(not(unix))]
        let signals = [SIGINT, SIGTERM];
        for signal in signals {
            // In this order: the first signal finds the flag not set, and sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, stop.0.clone())
                .and_then(|_| flag::register(signal, stop.0.clone()))
                .map_err(|error| format!("cannot listen to signal {signal}: {error}"))?;
        }
        Ok(stop)
    }
}
