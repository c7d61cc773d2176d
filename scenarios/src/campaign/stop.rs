//! How a process is told to come to its end: by Ctrl-C, by SIGTERM, or when its terminal goes away. The first time it finishes
//! what is in hand and reports. Whoever says it again some time later does not want to wait: then the process ends at once, as by
//! SIGKILL, and loses no more by that. Two signals that come together are one request told twice: `timeout` signals the
//! process and then its group.

use super::clock;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The signals that ask a process to end.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Until then a further signal is the first one, told again.
const ONE_REQUEST: Duration = Duration::from_secs(2);

/// Whether a process is to come to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Set by the signals that ask a process to end.
    pub(crate) fn on_signals() -> Result<Stop, String> {
        let stop = Stop::default();
        let told = stop.clone();
        let mut signals =
            Signals::new(SIGNALS).map_err(|error| format!("cannot listen to signals: {error}"))?;
        std::thread::spawn(move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                match first {
                    None => {
                        first = Some(clock::now());
                        told.set();
                    }
                    Some(first) if first.elapsed() < ONE_REQUEST => {}
                    Some(_) => std::process::exit(128 + signal),
                }
            }
        });
        Ok(stop)
    }
}

/// Lets those signals pass this process by. A worker's life is its supervisor's: who signals a whole group of processes
/// means the supervisor, which lets its workers finish.
pub(super) fn let_signals_pass() -> Result<(), String> {
    for signal in SIGNALS {
        signal_hook::flag::register(signal, Arc::default())
            .map_err(|error| format!("cannot listen to signal {signal}: {error}"))?;
    }
    Ok(())
}

/// Whether a process that died of that signal was asked to end, rather than that it failed.
#[cfg(unix)]
pub(super) fn asks_to_end(signal: i32) -> bool {
    SIGNALS.contains(&signal)
}
