//! The promises to clients, each as a check of histories.
//!
//! One file holds one property, under its name from the literature, with its statement and its source; its tests feed it
//! histories that break it. The promises are ZooKeeper's (its programmer's guide, "Consistency Guarantees"; the ordered
//! sequential consistency that its internals page claims): writes are linearizable, reads are consistent snapshots that
//! never go back within a session, watches fire before the new data is seen, sessions and their ephemerals end together,
//! and what the lock and the election recipe promise on top.
//!
//! Where a run gives its committed log ([`Witness`]), the checks replay it through the reference model and compare every
//! answer that any client got: that the log is legal is then proved, not searched for. Without one those checks examine
//! nothing and say so; the others need only the history. All are near-linear in the length of the history.

mod call;
mod contest;
#[cfg(test)]
pub(crate) mod definitions;
mod durability;
mod fencing;
mod fetch;
mod fifo_client_order;
pub(crate) mod history;
pub(crate) mod judge;
mod linearizable_writes;
mod lost_wakeup;
mod monotonic_session;
mod multi_atomicity;
mod mutual_exclusion;
mod no_future_reads;
mod one_leader;
mod places;
#[cfg(test)]
mod random_runs;
pub(crate) mod replay;
mod sequence_names;
mod sessions;
mod snapshot_reads;
mod sync_barrier;
#[cfg(test)]
mod testing;
mod timeliness;
mod unknown_outcomes;
mod watches;
mod well_formed;

use crate::reference::Settings;
use crate::witness::{TxnKind, Witness};
use history::History;
use replay::Replay;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use zabsim_types::run::{CheckReport, Violation};
use zabsim_types::{HistoryEvent, Id, Reply, SessionId, Stat, Time, Zxid};

/// What a run says about itself that some checks must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether the run ended quietly: the world was healed, nothing was cut off, and every program had the time to finish.
    /// Only then may a waiting program be called forgotten.
    pub quiet_end: bool,
    /// Whether clients set their watches again on a new connection (`SetWatches`). If not, watches die with a connection.
    pub watches_survive_reconnect: bool,
    /// How old the state of an answer may be; `None`: any age is legal.
    pub staleness: Option<Staleness>,
    /// What the servers were told by their configuration.
    pub settings: Settings,
    /// The identities that every connection has besides `world:anyone`: its address, where that is known.
    pub identities: Vec<Id>,
    /// Whether a leader may answer the sync of a client of its own from the tree that it has applied, which can be behind what
    /// its followers have shown already. Real ZooKeeper's does.
    pub leader_may_lag: bool,
}

/// How old the state of an answer may be, where nothing is amiss.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staleness {
    /// The bound, in milliseconds of the world's time.
    pub bound_ms: u64,
    /// When anything was amiss, from and to: answers that arrive then, or within the bound after it, are not judged.
    pub unrest: Vec<(Time, Time)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            quiet_end: false,
            watches_survive_reconnect: true,
            staleness: None,
            settings: Settings::default(),
            identities: Vec::new(),
            leader_may_lag: false,
        }
    }
}

/// A check, as lists name it.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What it holds the run to, in one sentence.
    pub about: &'static str,
    run: fn(&Evidence<'_>) -> Finding,
}

/// Every check of histories, in the order in which they are run and reported.
pub const ALL: &[Check] = &[
    linearizable_writes::CHECK,
    durability::CHECK,
    fifo_client_order::CHECK,
    unknown_outcomes::CHECK,
    snapshot_reads::CHECK,
    monotonic_session::CHECK,
    no_future_reads::CHECK,
    sync_barrier::CHECK,
    watches::CHECK,
    sessions::CHECK,
    sequence_names::CHECK,
    multi_atomicity::CHECK,
    timeliness::CHECK,
    fencing::CHECK,
    mutual_exclusion::CHECK,
    one_leader::CHECK,
    lost_wakeup::CHECK,
];

/// What a check found.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The check's name.
    pub name: &'static str,
    /// How many things it examined; 0 proves nothing.
    pub examined: u64,
    /// What it counts, or why it examined nothing; of a violation, its message.
    pub detail: String,
    /// The earliest violation.
    pub violation: Option<Violation>,
    /// The events that it is about, by their places in the history, as far as the check says.
    pub about: Vec<u32>,
}

impl Report {
    /// Whether the property held, as far as it was examined.
    pub fn ok(&self) -> bool {
        self.violation.is_none()
    }
}

impl From<Report> for CheckReport {
    fn from(report: Report) -> CheckReport {
        CheckReport {
            name: report.name.to_owned(),
            ok: report.ok(),
            examined: report.examined,
            detail: report.detail,
        }
    }
}

/// Runs every check. A history in which completions and invocations do not fit is reported by `well-formed` alone.
///
/// ```
/// use zabsim_model::{Options, check_all};
/// let reports = check_all(&[], None, &Options::default());
/// assert!(reports.iter().all(|report| report.ok() && report.examined == 0));
/// ```
pub fn check_all(
    history: &[HistoryEvent],
    witness: Option<&Witness>,
    options: &Options,
) -> Vec<Report> {
    let evidence = match Evidence::new(history, witness, options) {
        Ok(evidence) => evidence,
        Err(finding) => return vec![well_formed::CHECK.report(*finding)],
    };
    let form = well_formed::CHECK.report((well_formed::CHECK.run)(&evidence));
    let checks = ALL.iter().map(|check| check.report((check.run)(&evidence)));
    std::iter::once(form).chain(checks).collect()
}

/// Whether one check accepts a history and its log, in which the sessions have no beginnings: they were there before.
pub(crate) fn accepts(
    name: &str,
    history: &[HistoryEvent],
    witness: &Witness,
    options: &Options,
    sessions: &[SessionId],
) -> bool {
    let check = ALL.iter().find(|check| check.name == name);
    let evidence = Evidence::with_sessions(history, Some(witness), options, sessions);
    match (check, evidence) {
        (Some(check), Ok(evidence)) => (check.run)(&evidence).first.is_none(),
        _ => true,
    }
}

/// The earliest violation among reports; of several at the same time, the one reported first.
pub fn first_violation(reports: &[Report]) -> Option<&Violation> {
    reports
        .iter()
        .filter_map(|report| report.violation.as_ref())
        .min_by_key(|violation| violation.at_ms)
}

impl Check {
    fn report(&self, finding: Finding) -> Report {
        let (violation, about) = match finding.first {
            Some(Violated { at, about, message }) => {
                let violation = Violation {
                    check: self.name.to_owned(),
                    at_ms: at.as_ms(),
                    message,
                };
                (Some(violation), about)
            }
            None => (None, Vec::new()),
        };
        let detail = match &violation {
            Some(violation) if finding.violations > 1 => {
                format!("{} ({} violations)", violation.message, finding.violations)
            }
            Some(violation) => violation.message.clone(),
            None => finding.detail,
        };
        Report {
            name: self.name,
            examined: finding.examined,
            detail,
            violation,
            about,
        }
    }
}

/// Everything that a check may look at.
struct Evidence<'a> {
    history: History<'a>,
    replay: Option<Replay<'a>>,
    options: &'a Options,
}

impl<'a> Evidence<'a> {
    fn new(
        events: &'a [HistoryEvent],
        witness: Option<&'a Witness>,
        options: &'a Options,
    ) -> Result<Evidence<'a>, Box<Finding>> {
        Evidence::with_sessions(events, witness, options, &[])
    }

    /// The same, with sessions that were there before the first transaction.
    fn with_sessions(
        events: &'a [HistoryEvent],
        witness: Option<&'a Witness>,
        options: &'a Options,
        sessions: &[SessionId],
    ) -> Result<Evidence<'a>, Box<Finding>> {
        let mut finding = Finding::default();
        let mut history = match History::new(
            events,
            &options.identities,
            options.settings.super_digest.as_deref(),
        ) {
            Ok(history) => history,
            Err((at, what)) => {
                finding.examined = events.len() as u64;
                finding.fail(at, || what);
                return Err(Box::new(finding));
            }
        };
        if let Some(pair) = witness.and_then(out_of_order) {
            finding.examined = 1;
            finding.fail(Time::ZERO, || {
                format!(
                    "the committed log is not in order: {} before {}",
                    pair.0, pair.1
                )
            });
            return Err(Box::new(finding));
        }
        let made: Option<BTreeSet<SessionId>> = witness.map(|witness| {
            let txns = witness.txns.iter();
            txns.filter(|txn| matches!(txn.what, TxnKind::CreateSession { .. }))
                .map(|txn| txn.session)
                .collect()
        });
        history.mark_closes(|session| match &made {
            Some(made) => made.contains(&session),
            None => !options.settings.local_sessions,
        });
        let replay =
            witness.map(|witness| Replay::new(&history, witness, &options.settings, sessions));
        Ok(Evidence {
            history,
            replay,
            options,
        })
    }
}

impl Evidence<'_> {
    /// When a client first saw a state with that transaction in it; the end of the history if none did. For messages.
    fn seen(&self, zxid: Zxid) -> Time {
        let history = &self.history;
        let calls = history
            .answered
            .iter()
            .map(|at| &history.calls[*at as usize]);
        let first = calls
            .filter(|call| call.zxid >= zxid)
            .map(|call| call.done)
            .min();
        history.time(first.unwrap_or(history::NEVER))
    }

    /// The replay, if it went to the end; else why not.
    fn whole_replay(&self) -> Result<&Replay<'_>, String> {
        match &self.replay {
            None => Err(NO_WITNESS.to_owned()),
            Some(replay) => match &replay.wrong_write {
                None => Ok(replay),
                Some(wrong) => Err(format!("the replay stopped at {}", wrong.zxid)),
            },
        }
    }
}

fn out_of_order(witness: &Witness) -> Option<(Zxid, Zxid)> {
    let mut pairs = witness.txns.windows(2);
    pairs
        .find(|pair| pair[0].zxid >= pair[1].zxid)
        .map(|pair| (pair[0].zxid, pair[1].zxid))
}

/// What a check collects as it goes: how much it looked at, and the earliest violation.
#[derive(Clone, Debug, Default)]
struct Finding {
    examined: u64,
    detail: String,
    violations: u64,
    first: Option<Violated>,
}

/// The earliest violation so far.
#[derive(Clone, Debug)]
struct Violated {
    at: Time,
    about: Vec<history::At>,
    message: String,
}

impl Finding {
    /// A check that could not look at anything, and why.
    fn nothing(why: &str) -> Finding {
        Finding {
            detail: why.to_owned(),
            ..Finding::default()
        }
    }

    /// Notes a violation. The message is made only where it is the earliest so far.
    fn fail(&mut self, at: Time, message: impl FnOnce() -> String) {
        self.fail_about(at, &[], message);
    }

    /// The same, with the events that it is about.
    fn fail_about(&mut self, at: Time, about: &[history::At], message: impl FnOnce() -> String) {
        self.violations += 1;
        if self.first.as_ref().is_none_or(|first| at < first.at) {
            self.first = Some(Violated {
                at,
                about: about.to_vec(),
                message: message(),
            });
        }
    }

    fn with_detail(mut self, detail: String) -> Finding {
        self.detail = detail;
        self
    }
}

/// Why a check of the log examined nothing.
const NO_WITNESS: &str = "no committed log was given";

/// The `Stat` that a reply carries of the node that was asked for, if it carries one.
pub(crate) fn stat_of(reply: &Reply) -> Option<&Stat> {
    match reply {
        Reply::Reconfigured { .. } => None,
        reply => reply.stat(),
    }
}
