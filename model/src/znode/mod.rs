//! Histories of znodes: what the clients of a ZooKeeper saw, from wherever it comes, judged.
//!
//! Three steps:
//!
//! 1. `read`: the lines of a file become the events of a history. Two formats: what a recorder wrote beside the clients of real
//!    servers (`FORMAT.md`), and what a run of ours saved; whichever it is shows on the first line.
//! 2. [`mod@fill`]: the log that the servers committed is reconstructed from the zxids in the replies, with the updates of unknown
//!    outcome where only they can be. What is proven when there is none, and what is not, is said there.
//!    Where the servers' own log comes with the history, as with our runs, it is taken instead.
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
mod answers;
mod arrange;
mod conflict;
mod fields;
pub mod fill;
mod fillers;
mod judge;
mod known;
mod local;
mod own;
mod part;
mod quiet;
mod read;
#[cfg(test)]
pub(crate) mod recorded;
#[cfg(test)]
mod refusals;
mod search;
#[cfg(test)]
mod tests;
mod words;

use conflict::Scene;
pub use conflict::{Conflict, Operation};
use judge::{Case, WRITE_ORDER};

pub use fill::{Fill, Filled};
pub use own::write;
pub use read::{CLOCK_SLACK_MS, Format, Recording, begins, read};

use crate::checks::history::{History, Outcome};
use crate::checks::{Options, Report};
use crate::intake::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::Path;
use zabsim_types::run::{Verdict, Violation};
use zabsim_types::{HistoryKind, Id, SessionChange, SessionId, Time};

/// How much is spent, and what is known of the run that the history does not say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How many transactions may be replayed in the search for the log, those that are taken back included.
    pub effort: u64,
    /// What the checks must know; `None`: what goes for the format.
    pub options: Option<Options>,
    /// Whether the log that comes with a history is left alone, and one searched for as if there were none.
    pub without_log: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            effort: 2_000_000,
            options: None,
            without_log: false,
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
    /// Whether faults would be noted in it: what a run of ours suffered stands in its report.
    pub notes_faults: bool,
}

impl fmt::Display for Understood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.span;
        writeln!(
            f,
            "{}\n{} operations of {} clients in {} sessions over {}: {} answered, {} updates of unknown outcome, {} without effect",
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
            "{} notifications; {made} connections made, {lost} lost; ",
            self.notifications
        )?;
        if self.notes.is_empty() {
            return f.write_str(match self.notes_faults {
                true => "no faults are noted",
                false => "faults are not noted here (run.json has them)",
            });
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
    /// What contradicts what, if it is proven that the history is not legal.
    pub conflict: Option<Conflict>,
    /// Where it is undecided: what is wrong in the best log that was found. Another may be right.
    pub doubt: Option<Violation>,
    /// How many of the answered operations the log explains: all of them, or those up to where the search came.
    pub explained: u64,
}

impl Judged {
    /// Whether everything held and was decided.
    pub fn is_legal(&self) -> bool {
        self.verdict() == Verdict::Pass
    }

    /// Pass, fail, or undecided. It fails only where no log whatever makes it legal.
    pub fn verdict(&self) -> Verdict {
        match (&self.conflict, &self.doubt) {
            (Some(_), _) => Verdict::Fail,
            (None, Some(_)) => Verdict::Undecided,
            (None, None) => Verdict::Pass,
        }
    }

    /// What one of the reports comes to. What a check found in a log that is only a guess is undecided, and so is that it found
    /// nothing where the log does not explain everything.
    pub fn verdict_of(&self, report: &Report) -> Verdict {
        let is_named = |conflict: &Conflict| conflict.check == report.name;
        if self.conflict.as_ref().is_some_and(is_named) {
            return Verdict::Fail;
        }
        match (&self.filled.fill, report.ok()) {
            (Fill::Whole, true) => Verdict::Pass,
            (Fill::Torn { .. }, _) if report.name == WRITE_ORDER && self.conflict.is_some() => {
                Verdict::Fail
            }
            _ => Verdict::Undecided,
        }
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
    judge_telling(recording, settings, &mut |_| {})
}

/// [`judge`], and `tell` is told what was understood before anything is searched for: a search may take long.
pub fn judge_telling(
    recording: &Recording,
    settings: &Settings,
    tell: &mut dyn FnMut(&Understood),
) -> Result<Judged, Fault> {
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
    tell(&understood);
    let case = Case {
        scene: Scene {
            recording,
            history: &history,
        },
        options: &options,
        understood: &understood,
        effort: settings.effort,
    };
    Ok(match &recording.log {
        Some(log) if !settings.without_log => case.by_log(log),
        _ => case.by_search(),
    })
}

/// What goes for a history of that format.
pub(crate) fn options_for(recording: &Recording) -> Options {
    let address = recording.loopback.then(|| Id::new("ip", "127.0.0.1"));
    Options {
        watches_survive_reconnect: recording.format == Format::Own,
        identities: address.into_iter().collect(),
        leader_may_lag: recording.format == Format::Recorded && !recording.alone,
        quiet_end: recording.end.quiet,
        staleness: recording.end.staleness.clone(),
        settings: recording.settings.clone().unwrap_or_default(),
    }
}

fn understood(recording: &Recording, history: &History<'_>) -> Understood {
    let events = &recording.events;
    let source = match (recording.format, &recording.server) {
        (Format::Own, _) => "a run of zabsim".to_owned(),
        (Format::Recorded, Some(server)) => format!("recorded from {server}"),
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
        notes_faults: recording.format == Format::Recorded,
        ..Understood::default()
    };
    for call in &history.calls {
        match call.outcome() {
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
