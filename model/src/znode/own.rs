//! The lines that a history of ours has besides its events: the first, which says what the servers were told and how the run
//! ended; behind the events the log that the servers committed, one transaction a line, where it is known; and the last, which
//! counts both.
//!
//! Without the first, the servers were told nothing, and of the end nothing is known. Without the last, the file was cut off: it
//! is written when everything else is, and nothing follows it.

use crate::checks::{Options, Staleness};
use crate::intake::said_of_json;
use crate::reference::Settings;
use crate::witness::{CommittedTxn, Witness};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{self, Write};
use zabsim_types::{HistoryEvent, Time};

/// What a run of ours says of its end. A recorded history says nothing of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct End {
    /// Whether it was quiet: [`Options::quiet_end`].
    pub quiet: bool,
    /// How old the state of an answer may be: [`Options::staleness`].
    pub staleness: Option<Staleness>,
}

/// The type of the line that says what the servers were told.
pub(super) const SETTINGS: &str = "settings";

/// The first line of a history of ours.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsLine {
    time_us: u64,
    r#type: String,
    pub settings: Settings,
    #[serde(default)]
    pub quiet_end: bool,
    #[serde(default)]
    pub staleness: Option<Staleness>,
}

/// The type of the lines of the log.
pub(super) const TXN: &str = "txn";

/// One transaction of the log of a history of ours.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TxnLine<'a> {
    time_us: u64,
    r#type: Cow<'a, str>,
    pub committed: Cow<'a, CommittedTxn>,
}

/// The type of the line that says that nothing follows.
pub(super) const END: &str = "end";

/// The last line of a history of ours.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    time_us: u64,
    r#type: String,
    /// How many events come before it.
    pub events: u64,
    /// And how many lines of the log; none where the log is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<u64>,
}

/// What a history of ours says besides its events, as far as it was read.
#[derive(Default)]
pub(super) struct Beside {
    /// What the servers were told.
    pub settings: Option<Settings>,
    /// How the run ended.
    pub end: End,
    /// The log, as far as it was read; whole when the end was.
    pub log: Option<Witness>,
}

impl Beside {
    /// Whether the log has begun. No events follow.
    pub fn is_behind_events(&self) -> bool {
        self.log.is_some()
    }

    /// A line that says what the servers were told.
    pub fn told(&mut self, text: &str, is_first: bool) -> Result<(), String> {
        if self.settings.is_some() {
            return Err("a second line of type `settings`; only the first line of a history says what the servers were told".into());
        }
        if !is_first {
            return Err("a line of type `settings` behind other lines; what the servers were told stands on the first line".into());
        }
        let line: SettingsLine = parsed(text, "this is not what servers can be told")?;
        self.settings = Some(line.settings);
        self.end = End {
            quiet: line.quiet_end,
            staleness: line.staleness,
        };
        Ok(())
    }

    /// A transaction of the log.
    pub fn committed(&mut self, text: &str) -> Result<(), String> {
        let line: TxnLine<'_> = parsed(text, "this is no transaction of a log")?;
        let txn = line.committed.into_owned();
        let log = self.log.get_or_insert_default();
        if let Some(before) = log.txns.last().filter(|before| before.zxid >= txn.zxid) {
            return Err(format!(
                "transaction {} stands behind {}: a log is in the order of the zxids",
                txn.zxid, before.zxid
            ));
        }
        log.txns.push(txn);
        Ok(())
    }

    /// The last line, behind so many events.
    pub fn ends(&mut self, text: &str, events: u64) -> Result<(), String> {
        let line: EndLine = parsed(text, "this is no end of a history")?;
        let transactions = self.log.as_ref().map_or(0, |log| log.txns.len() as u64);
        let counted = line.transactions.unwrap_or(0);
        for (what, counted, found) in [
            ("events", line.events, events),
            ("transactions", counted, transactions),
        ] {
            if counted != found {
                return Err(format!(
                    "the last line counts {counted} {what}, and {found} come before it: lines are missing, or were added"
                ));
            }
        }
        if line.transactions.is_some() {
            // One in which nothing was committed is a log too.
            self.log.get_or_insert_default();
        }
        Ok(())
    }
}

fn parsed<'t, T: Deserialize<'t>>(text: &'t str, otherwise: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{otherwise}: {}", said_of_json(&error)))
}

/// Writes a history as runs of ours are saved: what the servers were told, the events, the log that they committed, and the end.
///
/// ```
/// use zabsim_model::znode::{read, write};
/// use zabsim_model::{Options, Settings, Witness};
///
/// let told = Settings { local_sessions: true, ..Settings::default() };
/// let options = Options { settings: told.clone(), ..Options::default() };
/// let mut file = Vec::new();
/// write(&mut file, &options, &[], Some(&Witness::default())).expect("there is room");
/// let recording = read(&file[..], &mut |_| {}).expect("a history");
/// assert_eq!(recording.settings, Some(told));
/// assert_eq!(recording.log, Some(Witness::default()));
/// ```
pub fn write(
    mut out: impl Write,
    options: &Options,
    events: &[HistoryEvent],
    log: Option<&Witness>,
) -> io::Result<()> {
    write_line(
        &mut out,
        &SettingsLine {
            time_us: 0,
            r#type: SETTINGS.to_owned(),
            settings: options.settings.clone(),
            quiet_end: options.quiet_end,
            staleness: options.staleness.clone(),
        },
    )?;
    for event in events {
        write_line(&mut out, event)?;
    }
    // The leader's clock stands in the transaction; the line has the time at which all was over.
    let time_us = events.last().map_or(Time::ZERO, |event| event.time).0;
    for txn in log.iter().flat_map(|log| &log.txns) {
        write_line(
            &mut out,
            &TxnLine {
                time_us,
                r#type: TXN.into(),
                committed: Cow::Borrowed(txn),
            },
        )?;
    }
    write_line(
        &mut out,
        &EndLine {
            time_us,
            r#type: END.to_owned(),
            events: events.len() as u64,
            transactions: log.map(|log| log.txns.len() as u64),
        },
    )
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
