//! Calls and what became of them, brought together from the entries of a history.

use super::Fault;
use super::entries::{Entry, Kind, brief};
use crate::linear::{NEVER, Position};
use serde_json::Value;
use std::collections::BTreeMap;

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It happened.
    Ok,
    /// It did not happen, and the service said so.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One operation of a process.
#[derive(Clone, PartialEq, Debug)]
pub struct RawCall {
    /// Where it was called.
    pub line: u64,
    /// By which process.
    pub process: i64,
    /// The operation.
    pub f: String,
    /// The key, where there is one.
    pub key: Option<Value>,
    /// Its argument.
    pub argument: Value,
    /// What it came to.
    pub fate: Fate,
    /// Its result.
    pub result: Value,
    /// Whether an error was named.
    pub error: bool,
    /// When it was called, in the order of all entries.
    pub call: Position,
    /// When its end was heard of; [`NEVER`] if it never was.
    pub ret: Position,
}

/// The calls of a history, and what else was in it.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Calls {
    /// The calls, in their order.
    pub calls: Vec<RawCall>,
    /// How many entries were no operation of a client.
    pub notes: u64,
    /// The first entry whose process is no client's: its line, and the process.
    pub first_stranger: Option<(u64, String)>,
    /// How many processes there are.
    pub processes: usize,
    /// The first and the last time, where there are times.
    pub span: Option<(i64, i64)>,
    open: BTreeMap<i64, usize>,
    seen: BTreeMap<i64, ()>,
    last_index: Option<i64>,
    /// Whether the clients' entries have times: all or none.
    timed: Option<bool>,
    entries: Position,
}

impl Calls {
    /// How many calls were neither answered nor given up by the last entry.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: Entry) -> Result<(), Fault> {
        let line = entry.line;
        let fault = |what: String| Err(Fault::new(line, what));
        if let Some(index) = entry.index {
            if self.last_index.is_some_and(|last| index <= last) {
                return fault(format!(
                    "entry number {index} comes after number {}: the same entry twice, or out of order",
                    self.last_index.expect("there is one")
                ));
            }
            self.last_index = Some(index);
        }
        if let Some(time) = entry.time {
            let (first, last) = self.span.unwrap_or((time, time));
            if time < last {
                return fault(format!(
                    "time goes back from {last} to {time}: the entries are not in the order of one clock"
                ));
            }
            self.span = Some((first, time));
        }
        let Some(process) = entry.process.as_i64().filter(|process| *process >= 0) else {
            // The nemesis, and whoever else writes notes.
            self.notes += 1;
            if self.first_stranger.is_none() {
                self.first_stranger = Some((line, brief(&entry.process)));
            }
            return Ok(());
        };
        let timed = entry.time.is_some();
        if *self.timed.get_or_insert(timed) != timed {
            let (this, others) = if timed { ("a", "none") } else { ("no", "one") };
            return fault(format!(
                "this entry has {this} time, those before it have {others}: mixed clocks"
            ));
        }
        self.entries += 1;
        if self.entries == NEVER {
            return fault("more entries than can be checked at once".to_owned());
        }
        match entry.kind {
            Kind::Invoke => {
                if let Some(open) = self.open.insert(process, self.calls.len()) {
                    let open = &self.calls[open];
                    return fault(format!(
                        "process {process} calls `{}` while its `{}` of line {} is still open",
                        entry.f, open.f, open.line
                    ));
                }
                self.seen.insert(process, ());
                self.processes = self.seen.len();
                self.calls.push(RawCall {
                    line,
                    process,
                    f: entry.f,
                    key: entry.key,
                    argument: entry.value,
                    fate: Fate::Unknown,
                    result: Value::Null,
                    error: false,
                    call: self.entries,
                    ret: NEVER,
                });
            }
            kind => {
                let Some(open) = self.open.remove(&process) else {
                    if kind == Kind::Info {
                        self.notes += 1;
                        return Ok(());
                    }
                    return fault(format!(
                        "process {process} gets an answer to nothing that it called"
                    ));
                };
                let call = &mut self.calls[open];
                if call.f != entry.f && !entry.f.is_empty() {
                    return fault(format!(
                        "process {process} gets an answer to `{}`; it called `{}` in line {}",
                        entry.f, call.f, call.line
                    ));
                }
                call.fate = match kind {
                    Kind::Ok => Fate::Ok,
                    Kind::Fail => Fate::Refused,
                    Kind::Info | Kind::Invoke => Fate::Unknown,
                };
                if call.fate != Fate::Unknown {
                    call.ret = self.entries;
                }
                call.error = entry.error.is_some()
                    || entry.value.as_str().is_some_and(|text| text == "timed-out");
                call.result = entry.value;
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for RawCall {
    /// As a sentence says it: `process 3: read → 5 (line 12)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}: {}", self.process, self.f)?;
        if let Some(key) = &self.key {
            write!(f, " {}", brief(key))?;
        }
        if !self.argument.is_null() {
            write!(f, " {}", brief(&self.argument))?;
        }
        match self.fate {
            Fate::Ok if self.result.is_null() => match self.f.as_str() {
                "read" | "get" | "dequeue" => write!(f, " → nil")?,
                _ => {}
            },
            Fate::Ok if self.result != self.argument => write!(f, " → {}", brief(&self.result))?,
            Fate::Ok => {}
            Fate::Refused => write!(f, " → refused")?,
            Fate::Unknown => write!(f, " → outcome unknown")?,
        }
        write!(f, " (line {})", self.line)
    }
}
