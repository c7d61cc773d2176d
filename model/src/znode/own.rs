//! The lines that a history of ours has besides its events: the first, which says what the servers were told and how the run
//! ended, and the last, which counts the events.
//!
//! Without the first, the servers were told nothing, and of the end nothing is known. Without the last, the file was cut off: it
//! is written when everything else is, and nothing follows it.

use crate::checks::{Options, Staleness};
use crate::reference::Settings;
use serde::{Deserialize, Serialize};
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

/// The line with which a history of ours begins, without its end: what the servers were told, and what the checks must know of the
/// run's end.
///
/// ```
/// use zabsim_model::znode::{end_line, read, settings_line};
/// use zabsim_model::{Options, Settings};
///
/// let told = Settings { local_sessions: true, ..Settings::default() };
/// let options = Options { settings: told.clone(), ..Options::default() };
/// let history = format!("{}\n{}\n", settings_line(&options), end_line(&[]));
/// let recording = read(history.as_bytes(), &mut |_| {}).expect("a history");
/// assert_eq!(recording.settings, Some(told));
/// ```
pub fn settings_line(options: &Options) -> String {
    let line = SettingsLine {
        time_us: 0,
        r#type: SETTINGS.to_owned(),
        settings: options.settings.clone(),
        quiet_end: options.quiet_end,
        staleness: options.staleness.clone(),
    };
    serde_json::to_string(&line).expect("it has neither maps nor floats")
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
}

/// The line with which a history of ours ends, without its end: at the time of the last event, how many there were.
pub fn end_line(events: &[HistoryEvent]) -> String {
    let line = EndLine {
        time_us: events.last().map_or(Time::ZERO, |event| event.time).0,
        r#type: END.to_owned(),
        events: events.len() as u64,
    };
    serde_json::to_string(&line).expect("it has neither maps nor floats")
}
