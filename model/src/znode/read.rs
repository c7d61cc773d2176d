//! Reading a history of znodes, line by line, whichever of the two formats it is in.
//!
//! - *Recorded*: what a recorder beside the clients of a real ensemble wrote. It begins and ends with a `meta` line, counts
//!   nanoseconds in `time_ns`, and numbers what each client was given (`rseq`).
//! - *Own*: what `zabsim run --out` saves as `history.jsonl` (`own`): one [`HistoryEvent`] a line, microseconds in `time_us`.
//!
//! Both have a last line by which a file shows that it is whole, and one without it is refused: what was cut off could be what
//! makes the history illegal. What a nemesis says is a note, whatever its words: a line of type `nemesis`, or one of a process
//! that is none, having a name or a negative number.
//!
//! A process may have several requests on their way, as clients of ZooKeeper do that call asynchronously (`pipelined` recordings,
//! and programs of our own): the order of a session is that of the `xid`s on a connection, and an answer says by its `id` which
//! request it ends. So it is an `id` that may be invoked once, and not a process that may wait for one answer.
//!
//! What is read is kept, nothing else: memory grows with the operations of the history, and what is no history ends at its
//! first line. The order of the lines is the order of things; the clock may not contradict it by more than
//! [`CLOCK_SLACK_MS`], since recorders read the clock before they write.

use super::arrange::arrange;
use super::fields::Fields;
use super::own::{Beside, END, End, SETTINGS, TXN};
use super::words;
use crate::intake::source::Source;
use crate::intake::{Fault, said_of_json};
use crate::reference::{Lookup, Settings};
use crate::witness::Witness;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use zabsim_types::{
    CallId, ErrorCode, HistoryEvent, HistoryKind, Op, ProcessId, ServerId, SessionChange,
    SessionId, Time, WatchEvent, Xid, Zxid,
};

/// How far the clock of a line may lie behind that of a line before it, in milliseconds. Threads read it, then wait for their
/// turn to write; a clock that was set back, or another machine's, differs by more.
pub const CLOCK_SLACK_MS: u64 = 2_000;

/// The formats of histories of znodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// By a recorder beside the clients of real servers.
    Recorded,
    /// By a run of this project.
    Own,
}

/// A history that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Recording {
    /// Which format it was in.
    pub format: Format,
    /// What the clients saw, each client's things in the order in which it was given them.
    pub events: Vec<HistoryEvent>,
    /// Notes of the nemesis and of whoever else, by kind: how many.
    pub notes: BTreeMap<String, u64>,
    /// Lines read.
    pub lines: u64,
    /// What the recorder says of the servers: their version, how many there are.
    pub server: Option<String>,
    /// Whether there was one server only.
    pub alone: bool,
    /// Whether every client connected by the loopback of its machine: then its address is known.
    pub loopback: bool,
    /// What the servers were told, where the history says so.
    pub settings: Option<Settings>,
    /// The log that the servers committed, where the history has it.
    pub log: Option<Witness>,
    /// On which lines each call begins and ends; 0 where it does not end.
    pub(super) lines_of: Lookup<u64, (u64, u64)>,
    /// The line of each event.
    pub(super) line_of_event: Vec<u64>,
    /// What a run of ours says of its end.
    pub(super) end: End,
}

/// Whether a file that begins with this line is a history of znodes: every line of one says when, in a way that no other
/// format does.
pub fn begins(line: &str) -> bool {
    let value: Option<Value> = serde_json::from_str(line).ok();
    value.is_some_and(|value| {
        value["time_us"].is_u64() || (value["time_ns"].is_u64() && value["type"].is_string())
    })
}

/// Reads a whole history. `progress` is told now and then how many bytes were read, after unpacking.
pub fn read(input: impl Read, progress: &mut dyn FnMut(u64)) -> Result<Recording, Fault> {
    let mut source = Source::new(input)?;
    let mut reader = Reader::default();
    let mut told = 0;
    while let Some(text) = {
        source.skip_while(|byte| byte.is_ascii_whitespace())?;
        reader.line = source.line();
        source.take_line()?
    } {
        reader.line(&text)?;
        if source.read() - told >= 16 << 20 {
            told = source.read();
            progress(told);
        }
    }
    reader.finish()
}

/// A request whose end has not been read, or has.
struct Open {
    /// Where it was invoked.
    line: u64,
    /// The invocation among the events.
    at: u32,
    process: ProcessId,
    /// How a recorder names its operation: the place among such words.
    word: u32,
    /// Where it ended; 0 as long as it has not.
    ended: u64,
}

#[derive(Default)]
struct Reader {
    line: u64,
    format: Option<Format>,
    events: Vec<HistoryEvent>,
    /// The place of each event among what its client was given; 0 where it has none.
    numbers: Vec<u64>,
    notes: BTreeMap<String, u64>,
    lines: u64,
    server: Option<String>,
    alone: bool,
    remote: bool,
    local: bool,
    /// What a history of ours says besides its events.
    beside: Beside,
    /// The line of each event.
    line_of_event: Vec<u64>,
    calls: Lookup<u64, Open>,
    /// The words that a recorder has for operations, so far.
    words: Vec<String>,
    /// Every session that a process had.
    sessions: BTreeSet<(ProcessId, SessionId)>,
    /// The session that each process has, and its connection.
    conns: BTreeMap<ProcessId, (SessionId, u32)>,
    /// The number that the recorder gave the last line.
    index: Option<u64>,
    /// The first time and the latest so far, in the format's own unit.
    clock: Option<(u64, u64)>,
    ended: bool,
}

impl Reader {
    fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(self.line, what))
    }

    fn line(&mut self, text: &str) -> Result<(), Fault> {
        self.lines += 1;
        // Nearly every line of a history of ours is an event, and is read as one at once; what is not is looked at more closely.
        let is_ours =
            self.format == Some(Format::Own) && !self.beside.is_behind_events() && !self.ended;
        if is_ours
            && !text.contains("\"time_ns\"")
            && let Ok(event) = serde_json::from_str(text)
        {
            return self.event(event);
        }
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) if self.lines == 1 => {
                return self.fault(format!(
                    "this is no history: a JSON object a line was expected ({})",
                    said_of_json(&error)
                ));
            }
            Err(error) => {
                let what = said_of_json(&error);
                return self.fault(format!("this is no complete JSON object: {what}"));
            }
        };
        let fields = Fields::new(&value, self.line)?;
        // A nemesis may have a clock of its own, or none. Behind the end it has nothing to say either.
        if self.lines > 1 && !self.ended && self.is_note(&fields) {
            return Ok(());
        }
        let format = match (fields.get("time_ns"), fields.get("time_us")) {
            (Some(_), None) => Format::Recorded,
            (None, Some(_)) => Format::Own,
            (Some(_), Some(_)) => {
                return self.fault("both `time_ns` and `time_us`: which clock is it?");
            }
            (None, None) => {
                return self.fault(
                    "neither `time_ns` (a recorded history) nor `time_us` (one of our runs)",
                );
            }
        };
        match self.format {
            Some(before) if before != format => {
                return self.fault("mixed clocks: some lines have `time_ns`, others `time_us`");
            }
            _ => self.format = Some(format),
        }
        match format {
            Format::Recorded => self.recorded(&fields),
            Format::Own => self.own(text, &fields),
        }
    }

    /// The time of a line since the first, never going back, but for the haste of a recorder.
    fn time(&mut self, at: u64, per_ms: u64, haste_ms: u64) -> Result<u64, Fault> {
        let (first, latest) = *self.clock.get_or_insert((at, at));
        if at.saturating_add(haste_ms * per_ms) < latest {
            let allowed = match haste_ms {
                0 => "the clock of a run never does".to_owned(),
                _ => format!("at most {haste_ms} ms can be the recorder's haste"),
            };
            return self.fault(format!(
                "the clock goes back by {} ms: from {latest} to {at}; {allowed}",
                (latest - at) / per_ms
            ));
        }
        let latest = latest.max(at);
        self.clock = Some((first, latest));
        Ok(latest - first)
    }

    fn own(&mut self, text: &str, fields: &Fields<'_>) -> Result<(), Fault> {
        if self.ended {
            return self.fault("a line behind the last one (of type `end`)");
        }
        if self.is_note(fields) {
            return Ok(());
        }
        let _ = fields.u64("time_us")?;
        let done = match fields.get("type").and_then(Value::as_str) {
            Some(SETTINGS) => self.beside.told(text, self.lines == 1),
            Some(TXN) => self.beside.committed(text),
            Some(END) => {
                self.ended = true;
                self.beside.ends(text, self.events.len() as u64)
            }
            _ if self.beside.is_behind_events() => {
                Err("an event behind the log, which comes behind all events".to_owned())
            }
            _ => return self.own_event(text),
        };
        done.map_err(|what| Fault::new(self.line, what))
    }

    fn own_event(&mut self, text: &str) -> Result<(), Fault> {
        match serde_json::from_str(text) {
            Ok(event) => self.event(event),
            Err(error) => self.fault(format!(
                "this is no event of a history: {}",
                said_of_json(&error)
            )),
        }
    }

    fn event(&mut self, event: HistoryEvent) -> Result<(), Fault> {
        // Our own clock is the world's, and starts at zero: its times are kept.
        let _ = self.time(event.time.0, 1_000, 0)?;
        match &event.kind {
            HistoryKind::Invoke { id, .. } => self.invoked(*id, event.process, 0)?,
            HistoryKind::Ok { id, .. }
            | HistoryKind::Fail { id, .. }
            | HistoryKind::Info { id, .. } => {
                self.ended_at(*id, event.process)?;
            }
            _ => {}
        }
        self.push(event, 0);
        Ok(())
    }

    /// Takes what a nemesis says for a note.
    fn is_note(&mut self, fields: &Fields<'_>) -> bool {
        let is_nobody = match fields.get("process") {
            Some(Value::String(name)) => name.parse::<u64>().is_err(),
            Some(number) => number.as_i64().is_some_and(|number| number < 0),
            None => false,
        };
        let is_note = is_nobody || fields.get("type").and_then(Value::as_str) == Some("nemesis");
        if is_note {
            let index = fields.get("i").and_then(Value::as_u64);
            self.index = self.index.max(index);
            let mut words = ["op", "f", "kind"]
                .iter()
                .filter_map(|name| fields.get(name));
            let word = words.find_map(Value::as_str).unwrap_or("note");
            *self.notes.entry(word.to_owned()).or_default() += 1;
        }
        is_note
    }

    fn push(&mut self, event: HistoryEvent, number: u64) {
        self.events.push(event);
        self.numbers.push(number);
        self.line_of_event.push(self.line);
    }

    fn invoked(&mut self, id: CallId, process: ProcessId, word: u32) -> Result<(), Fault> {
        let open = Open {
            line: self.line,
            at: self.events.len() as u32,
            process,
            word,
            ended: 0,
        };
        match self.calls.insert(id.0, open) {
            None => Ok(()),
            Some(other) => self.fault(format!(
                "call {} is invoked a second time; the first is on line {}",
                id.0, other.line
            )),
        }
    }

    fn ended_at(&mut self, id: CallId, process: ProcessId) -> Result<u32, Fault> {
        let line = self.line;
        let fault = |what: String| Err(Fault::new(line, what));
        match self.calls.get_mut(&id.0) {
            None => fault(format!("call {} ends, but no line before invokes it", id.0)),
            Some(open) if open.ended > 0 => fault(format!(
                "call {}, of line {}, ends a second time",
                id.0, open.line
            )),
            Some(open) if open.process != process => fault(format!(
                "call {} of process {}, on line {}, ends at process {}",
                id.0, open.process.0, open.line, process.0
            )),
            Some(open) => {
                open.ended = line;
                Ok(open.at)
            }
        }
    }

    fn recorded(&mut self, fields: &Fields<'_>) -> Result<(), Fault> {
        if self.ended {
            return self.fault("a line behind the last one (`meta` with `event: end`)");
        }
        if fields.get("i").is_some() {
            let index = fields.u64("i")?;
            if let Some(last) = self.index.filter(|last| index <= *last) {
                return self.fault(format!(
                    "line number {index} (`i`) stands behind number {last}: the same line twice, or out of order"
                ));
            }
            self.index = Some(index);
        }
        let since = self.time(fields.u64("time_ns")?, 1_000_000, CLOCK_SLACK_MS)?;
        let time = Time(since / 1_000);
        let kind = fields.text("type")?;
        if self.lines == 1 && kind != "meta" {
            return self.fault(format!(
                "the first line is of type `{kind}`; `meta` was expected: the beginning is missing, and with it who made the \
                 nodes that the rest speaks of"
            ));
        }
        if kind == "meta" {
            return self.meta(fields);
        }
        let process = ProcessId(fields.u32("process")?);
        let number = match fields.get("rseq") {
            Some(_) => fields.u64("rseq")?,
            None => 0,
        };
        let kind = match kind {
            "invoke" => {
                let id = CallId(fields.u64("id")?);
                let request = words::op(fields)?;
                let word = self.word(fields.text("op")?);
                self.invoked(id, process, word)?;
                HistoryKind::Invoke { id, request }
            }
            "ok" | "fail" | "info" => self.completion(kind, fields, process)?,
            "watch" => self.notification(fields, process)?,
            "session" => match self.session(fields, process)? {
                Some(change) => HistoryKind::Session { change },
                None => return Ok(()),
            },
            other => {
                return self.fault(format!(
                    "`{other}` is no type of line; known are meta, invoke, ok, fail, info, watch, session, nemesis"
                ));
            }
        };
        let session = match fields.get("session") {
            Some(_) => fields.session()?,
            None => SessionId::NONE,
        };
        let event = HistoryEvent {
            time,
            process,
            session,
            kind,
        };
        self.push(event, number);
        Ok(())
    }

    /// The place of a recorder's word for an operation, of which there are few.
    fn word(&mut self, word: &str) -> u32 {
        let known = self.words.iter().position(|known| known == word);
        let place = known.unwrap_or_else(|| {
            self.words.push(word.to_owned());
            self.words.len() - 1
        });
        place as u32
    }

    /// What ends must be of the operation that was invoked.
    fn answers_its_request(&self, id: CallId, word: &str) -> Result<(), Fault> {
        let open = self.calls.get(&id.0).expect("it was invoked");
        let asked = &self.words[open.word as usize];
        match asked == word {
            true => Ok(()),
            false => self.fault(format!(
                "call {} ends as `{word}`; line {} invokes it as `{asked}`",
                id.0, open.line
            )),
        }
    }

    fn notification(&self, fields: &Fields<'_>, process: ProcessId) -> Result<HistoryKind, Fault> {
        if fields.get("session").is_some() {
            let session = fields.session()?;
            if !self.sessions.contains(&(process, session)) {
                return self.fault(format!(
                    "a notification of session {session}, which process {} never had",
                    process.0
                ));
            }
        }
        if fields.get("state").is_some() && fields.text("state")? != words::WATCH_STATE {
            return self.fault(format!(
                "a notification with the `state` {}; a server sends all of them with {}",
                fields.text("state")?,
                words::WATCH_STATE
            ));
        }
        Ok(HistoryKind::Watch {
            zxid: u64::try_from(fields.i64("zxid")?).ok().map(Zxid),
            conn: fields.u32("conn")?,
            event: WatchEvent {
                kind: words::watch_kind(fields)?,
                path: fields.path("path")?,
            },
        })
    }

    fn meta(&mut self, fields: &Fields<'_>) -> Result<(), Fault> {
        if fields.get("event").and_then(Value::as_str) == Some("end") {
            self.ended = true;
            return Ok(());
        }
        if self.lines > 1 {
            *self.notes.entry("meta".to_owned()).or_default() += 1;
            return Ok(());
        }
        let version = fields.get("server").and_then(Value::as_str);
        let nodes = fields.get("nodes").and_then(Value::as_u64);
        self.alone = nodes == Some(1);
        self.server = match (version, nodes) {
            (Some(version), Some(1)) => Some(format!("one server of version {version}")),
            (Some(version), Some(nodes)) => Some(format!("{nodes} servers of version {version}")),
            (Some(version), None) => Some(format!("servers of version {version}")),
            (None, Some(1)) => Some("one server".to_owned()),
            (None, Some(nodes)) => Some(format!("{nodes} servers")),
            (None, None) => None,
        };
        Ok(())
    }

    fn completion(
        &mut self,
        kind: &str,
        fields: &Fields<'_>,
        process: ProcessId,
    ) -> Result<HistoryKind, Fault> {
        let id = CallId(fields.u64("id")?);
        let at = self.ended_at(id, process)?;
        if fields.get("op").is_some() {
            self.answers_its_request(id, fields.text("op")?)?;
        }
        let HistoryKind::Invoke { request, .. } = &self.events[at as usize].kind else {
            unreachable!("calls are indexed by their invocations");
        };
        if kind == "info" {
            return Ok(HistoryKind::Info {
                id,
                error: fields.error("error").unwrap_or(ErrorCode::ConnectionLoss),
                // Who does not say is not believed to have kept it.
                sent: fields.get("sent").and_then(Value::as_bool) != Some(false),
                xid: fields
                    .get("xid")
                    .map(|_| fields.i32("xid"))
                    .transpose()?
                    .map(Xid),
            });
        }
        let zxid = fields.zxid("zxid")?;
        let xid = Xid(fields.i32("xid")?);
        let conn = match fields.get("conn") {
            Some(_) => fields.u32("conn")?,
            None => self.conns.get(&process).map_or(0, |(_, conn)| *conn),
        };
        if kind == "fail" && !matches!(request, Op::Multi { .. }) {
            return Ok(HistoryKind::Fail {
                id,
                zxid,
                xid,
                conn,
                error: fields.object("result")?.error("error")?,
            });
        }
        if kind == "fail" {
            let result = fields.object("result")?;
            if result.get("results").is_none() {
                return Ok(HistoryKind::Fail {
                    id,
                    zxid,
                    xid,
                    conn,
                    error: result.error("error")?,
                });
            }
        }
        let result = if *request == Op::CloseSession {
            zabsim_types::Reply::Closed
        } else {
            words::reply(request, &fields.object("result")?)?
        };
        Ok(HistoryKind::Ok {
            id,
            zxid,
            xid,
            conn,
            result,
        })
    }

    fn session(
        &mut self,
        fields: &Fields<'_>,
        process: ProcessId,
    ) -> Result<Option<SessionChange>, Fault> {
        Ok(Some(match fields.text("event")? {
            "connected" => {
                let session = fields.session()?;
                let conn = fields.u32("conn")?;
                let before = self.conns.insert(process, (session, conn));
                self.sessions.insert((process, session));
                let server = fields.get("server").and_then(Value::as_str).unwrap_or("");
                if server.starts_with("127.") || server.starts_with("localhost") {
                    self.local = true;
                } else {
                    self.remote = true;
                }
                SessionChange::Connected {
                    server: ServerId(number_of(server)),
                    conn,
                    timeout_ms: fields.get("timeout").and_then(Value::as_u64).unwrap_or(0) as u32,
                    reattached: before.is_some_and(|(other, _)| other == session),
                    // The recorded clients were content with full servers alone.
                    read_only: false,
                }
            }
            "disconnected" => SessionChange::Disconnected,
            "expired" => SessionChange::Expired,
            "closed" => SessionChange::Closed,
            "refused" => {
                *self
                    .notes
                    .entry("refused connections".to_owned())
                    .or_default() += 1;
                return Ok(None);
            }
            other => {
                return self.fault(format!(
                    "`{other}` is nothing that happens to a session; known are connected, disconnected, expired, refused, closed"
                ));
            }
        }))
    }

    fn finish(self) -> Result<Recording, Fault> {
        let Some(format) = self.format else {
            return Err(Fault::new(
                0,
                "the file is empty: there is no history in it",
            ));
        };
        if !self.ended {
            let last = match format {
                Format::Recorded => "`meta` with `event: end`",
                Format::Own => "of type `end`, with the number of events",
            };
            return self.fault(format!(
                "the file ends without its last line ({last}): it was cut off, and what happened in the rest is not known"
            ));
        }
        let (events, line_of_event) = arrange(self.events, self.line_of_event, &self.numbers)?;
        Ok(Recording {
            format,
            events,
            line_of_event,
            end: self.beside.end,
            notes: self.notes,
            lines: self.lines,
            server: self.server,
            alone: self.alone,
            loopback: self.local && !self.remote,
            settings: self.beside.settings,
            log: self.beside.log,
            lines_of: self
                .calls
                .into_iter()
                .map(|(id, open)| (id, (open.line, open.ended)))
                .collect(),
        })
    }
}

/// A server has an address, not a number: the last digit of its port tells servers on one machine apart.
fn number_of(address: &str) -> u8 {
    address
        .bytes()
        .last()
        .map_or(0, |digit| digit.wrapping_sub(b'0'))
}
