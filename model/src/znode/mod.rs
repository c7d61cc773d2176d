//! Histories of znodes: what the clients of a ZooKeeper saw, from wherever it comes, judged.
//!
//! Three steps:
//!
//! 1. `read`: the lines of a file become the events of a history. Two formats: what a recorder wrote beside the clients of real
//!    servers, and what a run of ours saved; whichever it is shows on the first line.
//! 2. [`mod@fill`]: the log that the servers committed is reconstructed from the zxids in the replies, with the updates of unknown
//!    outcome where only they can be.
//! 3. All [`checks`](crate::checks) are run with that log as the witness. It is not believed, it is replayed: where it is accepted,
//!    the order of the zxids is a proof that the history is what the service promises.
//!
//! ```
//! use zabsim_model::znode::{Settings, check};
//!
//! let history = br#"{"type":"meta","nodes":1,"time_ns":1}
//! {"type":"session","event":"connected","process":0,"session":"0x7","server":"127.0.0.1:2181","conn":1,"time_ns":2}
//! {"type":"invoke","process":0,"session":"0x7","id":1,"op":"exists","path":"/a","time_ns":3}
//! {"type":"fail","process":0,"session":"0x7","id":1,"result":{"error":"NoNode"},"zxid":1,"xid":1,"conn":1,"time_ns":4}
//! {"type":"meta","event":"end","time_ns":5}
//! "#;
//! let judged = check(&history[..], &Settings::default(), &mut |_| {}).expect("a history");
//! assert!(judged.is_legal());
//! assert_eq!(judged.understood.sessions, 1);
//! ```

mod ahead;
mod arrange;
mod conflict;
mod fields;
pub mod fill;
mod fillers;
mod known;
mod local;
mod quiet;
mod read;
#[cfg(test)]
mod refusals;
mod search;
#[cfg(test)]
mod tests;
mod words;

pub use conflict::{Conflict, Operation};
pub use fill::{Fill, Filled};
pub use read::{CLOCK_SLACK_MS, Format, Recording, begins, read, settings_line};

use crate::checks::history::{History, Outcome};
use crate::checks::{Options, Report, check_all, first_violation};
use crate::intake::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::Path;
use zabsim_types::run::{Verdict, Violation};
use zabsim_types::{HistoryEvent, HistoryKind, Id, SessionChange, SessionId, Time};

/// How much is spent, and what is known of the run that the history does not say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How many transactions may be replayed in the search for the log, those that are taken back included.
    pub effort: u64,
    /// What the checks must know; `None`: what goes for the format.
    pub options: Option<Options>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            effort: 2_000_000,
            options: None,
        }
    }
}

/// What was understood of a history, to be told before the verdict.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Understood {
    /// Where it comes from: a recorder (with what it says of the servers) or a run of ours.
    pub source: String,
    /// Lines read.
    pub lines: u64,
    /// Clients.
    pub processes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Requests.
    pub operations: u64,
    /// Requests that were answered, errors included.
    pub answered: u64,
    /// Updates that may have happened or not.
    pub unknown: u64,
    /// Reads that were never answered, and what never left its client.
    pub void: u64,
    /// Notifications of watches.
    pub notifications: u64,
    /// Connections made and lost.
    pub connections: (u64, u64),
    /// From the first event to the last.
    pub span: (Time, Time),
    /// Faults and other notes, by kind.
    pub notes: BTreeMap<String, u64>,
}

impl fmt::Display for Understood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.span;
        writeln!(
            f,
            "{}: {} operations of {} clients in {} sessions over {}; {} answered, {} updates of unknown outcome, {} without effect",
            self.source,
            self.operations,
            self.processes,
            self.sessions,
            Time(to.since(from)),
            self.answered,
            self.unknown,
            self.void
        )?;
        let (made, lost) = self.connections;
        write!(
            f,
            "{} notifications, {made} connections made, {lost} lost; ",
            self.notifications
        )?;
        if self.notes.is_empty() {
            return write!(f, "no faults are noted");
        }
        write!(f, "noted:")?;
        for (at, (kind, count)) in self.notes.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} {count} × {kind}")?;
        }
        Ok(())
    }
}

/// A history and what came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Judged {
    /// What was understood of it.
    pub understood: Understood,
    /// The log that was reconstructed.
    pub filled: Filled,
    /// What each check says. The first of them, `write-order`, is about the log itself.
    pub reports: Vec<Report>,
    /// What contradicts what, if something was violated.
    pub conflict: Option<Conflict>,
    /// How many of the answered operations the log explains: all of them, or those up to where the search came.
    pub explained: u64,
}

impl Judged {
    /// Whether everything held and was decided.
    pub fn is_legal(&self) -> bool {
        self.verdict() == Verdict::Pass
    }

    /// Pass, fail, or undecided.
    pub fn verdict(&self) -> Verdict {
        if matches!(self.filled.fill, Fill::Unknown { .. }) {
            Verdict::Undecided
        } else if self.reports.iter().all(Report::ok) {
            Verdict::Pass
        } else {
            Verdict::Fail
        }
    }

    /// The earliest violation, if something was violated; that there is no log only where nothing else was.
    pub fn violation(&self) -> Option<&Violation> {
        most_telling(&self.reports)
    }
}

/// Reads a history, plain or gzip, and judges it. `progress` is told now and then how many bytes were read.
pub fn check(
    input: impl Read,
    settings: &Settings,
    progress: &mut dyn FnMut(u64),
) -> Result<Judged, Fault> {
    let recording = read(input, progress)?;
    judge(&recording, settings)
}

/// [`check`] of a file.
pub fn check_file(
    path: &Path,
    settings: &Settings,
    progress: &mut dyn FnMut(u64),
) -> Result<Judged, Fault> {
    match std::fs::File::open(path) {
        Ok(file) => check(file, settings, progress),
        Err(error) => Err(Fault::new(0, format!("cannot be opened: {error}"))),
    }
}

/// Judges a history that was read.
pub fn judge(recording: &Recording, settings: &Settings) -> Result<Judged, Fault> {
    let events = &recording.events;
    let options = match &settings.options {
        Some(options) => options.clone(),
        None => options_for(recording),
    };
    let super_digest = options.settings.super_digest.as_deref();
    let mut history = History::new(events, &options.identities, super_digest)
        .map_err(|(_, what)| Fault::new(0, what))?;
    if options.settings.local_sessions {
        local::mark_closes(&mut history);
    }
    let understood = understood(recording, &history);
    let from_start = recording.format == Format::Own;
    let filled = fill::fill(&history, &options.settings, from_start, settings.effort);
    let mut reports = vec![write_order(&filled, events)];
    reports.extend(check_all(events, Some(&filled.witness), &options));
    let undecided = match &filled.fill {
        Fill::Unknown { zxid } => Some(*zxid),
        _ => None,
    };
    let conflict = match most_telling(&reports) {
        Some(violation) if undecided.is_none() => {
            let found = conflict::find(recording, &history, &filled, &options, violation);
            Some(found)
        }
        _ => None,
    };
    let explained = match (&conflict, undecided) {
        (Some(conflict), _) => conflict.prefix,
        (None, Some(zxid)) => conflict::answered_before(&history, zxid),
        (None, None) => understood.answered,
    };
    Ok(Judged {
        understood,
        filled,
        reports,
        conflict,
        explained,
    })
}

/// The earliest violation. That there is no log says less than what any other check found in the best attempt at one.
fn most_telling(reports: &[Report]) -> Option<&Violation> {
    let (log, others) = reports.split_at(1);
    first_violation(others).or_else(|| first_violation(log))
}

/// What goes for a history of that format.
pub(crate) fn options_for(recording: &Recording) -> Options {
    let address = recording.loopback.then(|| Id::new("ip", "127.0.0.1"));
    Options {
        watches_survive_reconnect: recording.format == Format::Own,
        identities: address.into_iter().collect(),
        leader_may_lag: recording.format == Format::Recorded && !recording.alone,
        settings: recording.settings.clone().unwrap_or_default(),
        ..Options::default()
    }
}

/// What is said of the log itself.
fn write_order(filled: &Filled, events: &[HistoryEvent]) -> Report {
    let name = "write-order";
    let examined = filled.witness.txns.len() as u64;
    let (detail, torn) = match &filled.fill {
        Fill::Whole => (
            format!(
                "transactions, {} of them without a reply; of {} updates of unknown outcome {} happened",
                filled.gaps, filled.unknown, filled.happened
            ),
            false,
        ),
        Fill::Torn { why, .. } => (why.clone(), true),
        Fill::Unknown { zxid } => (
            format!(
                "undecided: {} transactions were replayed to find a log, and none explains what was seen behind {zxid}",
                filled.effort
            ),
            false,
        ),
    };
    // The log has no time of its own: the others say when it was seen.
    let at_ms = events.last().map_or(0, |event| event.time.as_ms());
    let violation = torn.then(|| Violation {
        check: name.to_owned(),
        at_ms,
        message: detail.clone(),
    });
    Report {
        name,
        examined,
        detail,
        violation,
    }
}

fn understood(recording: &Recording, history: &History<'_>) -> Understood {
    let events = &recording.events;
    let source = match (recording.format, &recording.server) {
        (Format::Own, _) => "a run of zabsim".to_owned(),
        (Format::Recorded, Some(server)) => format!("recorded from servers: {server}"),
        (Format::Recorded, None) => "recorded".to_owned(),
    };
    let mut understood = Understood {
        source,
        lines: recording.lines,
        operations: history.calls.len() as u64,
        answered: history.answered.len() as u64,
        span: (
            events.first().map_or(Time::ZERO, |event| event.time),
            events.last().map_or(Time::ZERO, |event| event.time),
        ),
        notes: recording.notes.clone(),
        ..Understood::default()
    };
    for call in &history.calls {
        match call.outcome {
            Outcome::Ok(_) | Outcome::Fail(_) => {}
            Outcome::Unknown if call.is_update() => understood.unknown += 1,
            _ => understood.void += 1,
        }
    }
    let mut processes = BTreeSet::new();
    let mut sessions = BTreeSet::new();
    for event in events {
        processes.insert(event.process);
        if event.session != SessionId::NONE {
            sessions.insert(event.session);
        }
        match &event.kind {
            HistoryKind::Watch { .. } => understood.notifications += 1,
            HistoryKind::Session {
                change: SessionChange::Connected { .. },
            } => understood.connections.0 += 1,
            HistoryKind::Session {
                change: SessionChange::Disconnected,
            } => understood.connections.1 += 1,
            _ => {}
        }
    }
    understood.processes = processes.len() as u64;
    understood.sessions = sessions.len() as u64;
    understood
}
