//! Of a history that is not legal: what contradicts what, for people.
//!
//! One sentence, the few operations that cannot be ordered, each with its lines, in what the last of them differs from what it should
//! have been, and how much can be explained without contradiction. An answer that cannot be comes with the updates that made
//! what it shows and what it should show; all of what else was asked may be forgotten, and it still cannot be.

use super::known::Trace;
use super::part::Contradiction;
use super::read::Recording;
use super::search::{Failure, Why, first_path};
use crate::checks::Report;
use crate::checks::history::{Call, History, Outcome};
use crate::witness::Witness;
use std::collections::BTreeSet;
use std::fmt;
use zabsim_types::spell::{self, Difference, short};
use zabsim_types::{
    HistoryKind, Op, OpResult, ProcessId, Reply, SessionChange, SessionId, WatchKind, ZPath, Zxid,
    parent_of,
};

/// Why a history is not legal.
#[derive(Clone, PartialEq, Debug)]
pub struct Conflict {
    /// The promise that is broken: a check's name.
    pub check: String,
    /// What is wrong, in a sentence.
    pub sentence: String,
    /// What contradicts each other, in the order of the lines.
    pub parts: Vec<Operation>,
    /// The answer that cannot be, where it is one: its place among them.
    pub culprit: Option<usize>,
    /// In what the answer differs from what the reference model says.
    pub differences: Vec<Difference>,
    /// How many of the answered operations can be explained without contradiction: those before it.
    pub prefix: u64,
}

/// An operation, or something that a client was told, for people.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// The line on which it is called, or told.
    pub line: u64,
    /// The line of its answer; 0 where it has none.
    pub answer_line: u64,
    /// Its name in the history, if it is a call.
    pub call: Option<u64>,
    /// Whose it is.
    pub process: ProcessId,
    /// In which session.
    pub session: SessionId,
    /// Of which transaction, or at which state, it was answered.
    pub zxid: Option<Zxid>,
    /// What was asked, as scenarios say it, or told.
    pub asked: String,
    /// What was answered.
    pub answered: Option<String>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.answer_line) {
            (line, 0) => write!(f, "line {line}: ")?,
            (line, answer_line) => write!(f, "lines {line}, {answer_line}: ")?,
        }
        write!(f, "client {}", self.process.0)?;
        if let Some(call) = self.call {
            write!(f, ", call {call}")?;
        }
        write!(f, ": {}", self.asked)?;
        if let Some(answered) = &self.answered {
            write!(f, " → {answered}")?;
        }
        match self.zxid {
            Some(zxid) => write!(f, " at {zxid}"),
            None => Ok(()),
        }
    }
}

/// What is looked at to find a conflict.
#[derive(Clone, Copy)]
pub(super) struct Scene<'s, 'a> {
    pub recording: &'s Recording,
    pub history: &'s History<'a>,
}

/// How much is shown of what was asked and answered.
const SHOWN_MAX: usize = 200;

impl Scene<'_, '_> {
    /// What a check says.
    pub fn of_report(self, report: &Report) -> Option<Conflict> {
        let violation = report.violation.as_ref()?;
        let mut places: Vec<u32> = report.about.clone();
        places.dedup();
        let mut parts: Vec<Operation> = Vec::new();
        for place in places {
            let part = self.event(place);
            if let Some(part) = part.filter(|part| !parts.contains(part)) {
                parts.push(part);
            }
        }
        let answered = self.history.answered.iter();
        let done = answered.map(|at| {
            let call = &self.history.calls[*at as usize];
            self.history.time(call.done)
        });
        Some(Conflict {
            check: violation.check.clone(),
            sentence: violation.message.clone(),
            parts: self.in_order(parts),
            culprit: None,
            differences: Vec::new(),
            prefix: done.filter(|time| time.as_ms() < violation.at_ms).count() as u64,
        })
    }

    /// That there is no log. `witness`: that of the attempt that came farthest.
    pub fn of_failure(self, failure: &Failure, witness: &Witness) -> Conflict {
        self.of(failure, failure.call(), None, witness)
    }

    /// That there is no log for one node.
    pub fn of_part(self, contradiction: &Contradiction, witness: &Witness) -> Conflict {
        let Contradiction {
            root,
            failure,
            call,
        } = contradiction;
        let call = call.and_then(|id| self.history.index(id));
        self.of(failure, call.map(|at| at as u32), Some(root), witness)
    }

    fn of(
        self,
        failure: &Failure,
        call: Option<u32>,
        root: Option<&ZPath>,
        witness: &Witness,
    ) -> Conflict {
        let zxid = failure.zxid;
        let whatever = match root {
            Some(root) => {
                format!(", whatever the updates of unknown outcome did at {root} and below")
            }
            None => String::new(),
        };
        let prefix = self.answered_before(zxid);
        let conflict = |check: &str, sentence, parts, differences| Conflict {
            check: check.to_owned(),
            sentence,
            parts: self.in_order(parts),
            culprit: None,
            differences,
            prefix,
        };
        match (&failure.why, call) {
            (
                Why::Answer {
                    expected: Some(expected),
                    ..
                },
                Some(at),
            ) => {
                let mut conflict = self.of_answer(at, expected, witness);
                conflict.sentence.push_str(&whatever);
                conflict.prefix = prefix;
                conflict
            }
            (Why::Untrue(trace), _) => {
                let parts = self.heard(trace).into_iter().chain(self.at(zxid));
                let (kind, path) = (trace.kind, &trace.path);
                let sentence = format!(
                    "a client was told {kind} at {path} of {zxid}, and nothing of the kind happened in it{whatever}"
                );
                conflict("watches", sentence, parts.collect(), Vec::new())
            }
            (Why::Untold(trace), _) => {
                let parts = self.unheard(trace).into_iter().chain(self.at(zxid));
                let (kind, path) = (trace.kind, &trace.path);
                let sentence = format!(
                    "a client that watched {path} was shown later states than {zxid} and never told {kind}{whatever}"
                );
                conflict("watches", sentence, parts.collect(), Vec::new())
            }
            (Why::Unmade { session }, _) => {
                let sentence = format!(
                    "session {session} was used, and no transaction up to {zxid} can have made it"
                );
                conflict("write-order", sentence, Vec::new(), Vec::new())
            }
            _ => {
                let sentence = format!(
                    "transaction {zxid} happened, and is nobody's: no request without a reply leaves what was seen of it, no \
                     session's beginning or end{whatever}"
                );
                conflict("write-order", sentence, self.shown(zxid), Vec::new())
            }
        }
    }

    /// An answer that is not the state's, with the updates that made the one and the other.
    fn of_answer(self, at: u32, expected: &OpResult, witness: &Witness) -> Conflict {
        let call = &self.history.calls[at as usize];
        let given = call.observed().expect("it was answered");
        let differences = spell::differences(given, expected);
        let mut places: BTreeSet<u32> = BTreeSet::new();
        let mut unnamed = None;
        for zxid in zxids_in(&differences, given.ok(), expected.as_ref().ok()) {
            match self.update_at(zxid) {
                Some(other) => {
                    places.insert(other);
                }
                None if zxid > Zxid::ZERO && zxid < call.zxid => unnamed = Some(zxid),
                None => {}
            }
        }
        if let Ok(Reply::Created { path, .. }) = given {
            places.extend(self.made(path));
        }
        for child in children_in(call.op(), given.ok(), expected.as_ref().ok()) {
            places.extend(self.last_at(&child, call.zxid));
        }
        places.remove(&at);
        if places.is_empty() {
            let path = first_path(call.op());
            places.extend(path.and_then(|path| self.last_at(path, call.zxid)));
        }
        let mut parts: Vec<Operation> = places.into_iter().map(|at| self.call(at)).collect();
        let culprit = self.call(at);
        parts.push(culprit.clone());
        let parts = self.in_order(parts);
        let (check, what) = match call.is_update() {
            true => ("linearizable-writes", "the update"),
            false => ("snapshot-reads", "the read"),
        };
        let mut sentence = format!(
            "{what} on line {} was answered at {}, and not as the state there wants",
            culprit.answer_line.max(culprit.line),
            call.zxid
        );
        if let Some(zxid) = unnamed.filter(|zxid| witness.position(*zxid).is_some()) {
            sentence.push_str(&format!(
                " (transaction {zxid} is of an update without a reply)"
            ));
        }
        Conflict {
            check: check.to_owned(),
            sentence,
            culprit: parts.iter().position(|part| *part == culprit),
            parts,
            differences,
            prefix: 0,
        }
    }

    /// How many operations were answered from states before that transaction.
    pub fn answered_before(self, zxid: Zxid) -> u64 {
        let answered = self.history.answered.iter();
        let before = answered.filter(|at| self.history.calls[**at as usize].zxid < zxid);
        before.count() as u64
    }

    pub(super) fn in_order(self, mut parts: Vec<Operation>) -> Vec<Operation> {
        parts.sort_by_key(|part| (part.line, part.answer_line));
        parts.dedup();
        parts
    }

    /// The update that was answered with that transaction.
    fn update_at(self, zxid: Zxid) -> Option<u32> {
        let mut answered = self.history.answered.iter().copied();
        answered.find(|at| {
            let call = &self.history.calls[*at as usize];
            call.is_update() && call.zxid == zxid
        })
    }

    fn at(self, zxid: Zxid) -> Option<Operation> {
        self.update_at(zxid).map(|at| self.call(at))
    }

    /// Who else was told to have made that node.
    fn made<'p>(self, path: &'p ZPath) -> impl Iterator<Item = u32> + 'p
    where
        Self: 'p,
    {
        self.history.answered.iter().copied().filter(move |at| {
            let call = &self.history.calls[*at as usize];
            matches!(call.outcome(), Outcome::Ok(Reply::Created { path: made, .. }) if made == path)
        })
    }

    /// The last update of the node before that transaction.
    fn last_at(self, path: &ZPath, before: Zxid) -> Option<u32> {
        let answered = self.history.answered.iter().copied();
        let of_it = answered.filter(|at| {
            let other = &self.history.calls[*at as usize];
            let own = other.is_update()
                && other.zxid < before
                && matches!(other.outcome(), Outcome::Ok(reply) if !matches!(reply, Reply::MultiFailed { .. }));
            own && changes(other, path)
        });
        of_it.max_by_key(|at| self.history.calls[*at as usize].zxid)
    }

    /// Who was told of that.
    fn heard(self, trace: &Trace) -> Vec<Operation> {
        let events = (0u32..).zip(self.history.events);
        let same = events.filter(|(_, event)| match &event.kind {
            HistoryKind::Watch {
                zxid: Some(zxid),
                event,
                ..
            } => (*zxid, event.kind, &event.path) == (trace.zxid, trace.kind, &trace.path),
            _ => false,
        });
        same.filter_map(|(at, _)| self.event(at)).collect()
    }

    /// Who saw a trace of that transaction first.
    fn shown(self, zxid: Zxid) -> Vec<Operation> {
        let mut answered = self.history.answered.iter();
        let names = |at: &&u32| match self.history.calls[**at as usize].outcome() {
            Outcome::Ok(reply) => reply
                .stat()
                .is_some_and(|stat| stat.czxid == zxid || stat.mzxid == zxid || stat.pzxid == zxid),
            _ => false,
        };
        answered
            .find(names)
            .map(|at| self.call(*at))
            .into_iter()
            .collect()
    }

    /// A client that watched, was shown a later state, and was told nothing in between: the read that left its watch, and
    /// the first answer behind the change.
    fn unheard(self, trace: &Trace) -> Vec<Operation> {
        let history = self.history;
        for session in &history.sessions {
            let mut left = None;
            for at in &session.answered {
                let call = &history.calls[*at as usize];
                if call.zxid < trace.zxid {
                    if watches(call.op(), trace.kind, &trace.path) {
                        left = Some(*at);
                    }
                    continue;
                }
                let Some(left) = left else { break };
                let from = history.calls[left as usize].done as usize;
                let to = call.done as usize;
                // One that stays is told again and again; the others are used up by what they are told.
                let stays = matches!(history.calls[left as usize].op(), Op::AddWatch { .. });
                let told = history.events[from..=to].iter().any(|event| {
                    event.process == call.process()
                        && match &event.kind {
                            HistoryKind::Watch { zxid, event, .. } => {
                                let same = zxid.is_none_or(|zxid| zxid == trace.zxid);
                                event.path == trace.path && (same || !stays)
                            }
                            HistoryKind::Session { change } => matches!(
                                change,
                                SessionChange::Expired
                                    | SessionChange::AuthFailed
                                    | SessionChange::Closed
                            ),
                            _ => false,
                        }
                });
                if !told {
                    return vec![self.call(left), self.call(*at)];
                }
                break;
            }
        }
        Vec::new()
    }

    pub(super) fn call(self, at: u32) -> Operation {
        let call = &self.history.calls[at as usize];
        let lines = self.recording.lines_of.get(&call.id().0);
        let (line, answer_line) = lines.copied().unwrap_or_default();
        let answered = match call.observed() {
            Some(Ok(reply)) => spell::reply(reply),
            Some(Err(error)) => error.name().to_owned(),
            None => "no answer".to_owned(),
        };
        Operation {
            line,
            answer_line,
            call: Some(call.id().0),
            process: call.process(),
            session: call.session,
            zxid: call.is_definite().then_some(call.zxid),
            asked: short(spell::op(call.op()), SHOWN_MAX),
            answered: Some(short(answered, SHOWN_MAX)),
        }
    }

    /// What happened there, if it is anything to tell.
    pub(super) fn event(self, at: u32) -> Option<Operation> {
        let event = self.history.events.get(at as usize)?;
        let line = self.recording.line_of_event.get(at as usize).copied();
        let told = |zxid: Option<Zxid>, asked: String| Operation {
            line: line.unwrap_or_default(),
            answer_line: 0,
            call: None,
            process: event.process,
            session: event.session,
            zxid,
            asked,
            answered: None,
        };
        Some(match &event.kind {
            HistoryKind::Invoke { id, .. }
            | HistoryKind::Ok { id, .. }
            | HistoryKind::Fail { id, .. }
            | HistoryKind::Info { id, .. } => self.call(self.history.index(*id)? as u32),
            HistoryKind::Watch { zxid, event, .. } => {
                let (kind, path) = (event.kind, &event.path);
                told(*zxid, format!("told {kind} {}", spell::quoted(path)))
            }
            HistoryKind::Session { change } => match change {
                SessionChange::Connected {
                    server, reattached, ..
                } => {
                    let how = if *reattached { " again" } else { "" };
                    let session = event.session;
                    told(
                        None,
                        format!("connected{how} to {server}, session {session}"),
                    )
                }
                SessionChange::WatchesSet { relative, zxid, .. } => told(
                    Some(*zxid),
                    format!("set its watches again from {relative}"),
                ),
                SessionChange::Disconnected => told(None, "disconnected".to_owned()),
                SessionChange::Expired => {
                    told(None, format!("told that session {} expired", event.session))
                }
                SessionChange::AuthFailed => told(None, "refused its identity".to_owned()),
                SessionChange::Closed => told(None, format!("closed session {}", event.session)),
            },
            HistoryKind::Recipe(recipe) => told(
                None,
                format!(
                    "{} {}",
                    spell::step(&recipe.step),
                    spell::quoted(&recipe.object)
                ),
            ),
        })
    }
}

/// The transactions that what differs names.
fn zxids_in(
    differences: &[Difference],
    given: Option<&Reply>,
    due: Option<&Reply>,
) -> BTreeSet<Zxid> {
    let mut zxids = BTreeSet::new();
    let differs = |names: &[&str]| {
        differences
            .iter()
            .any(|(what, ..)| names.iter().any(|name| what.ends_with(name)))
    };
    let gone = given.is_none() || due.is_none();
    for reply in given.into_iter().chain(due) {
        let parts: Vec<&Reply> = match reply {
            Reply::Multi { results } => results.iter().collect(),
            Reply::MultiRead { results } => results.iter().flatten().collect(),
            reply => vec![reply],
        };
        for stat in parts.into_iter().filter_map(Reply::stat) {
            if gone || differs(&["czxid", "ctime", "ephemeralOwner"]) {
                zxids.insert(stat.czxid);
            }
            if differs(&["mzxid", "mtime", "version", "data", "dataLength"]) {
                zxids.insert(stat.mzxid);
            }
            if differs(&["pzxid", "cversion", "numChildren", "others"]) {
                zxids.insert(stat.pzxid);
            }
        }
    }
    zxids
}

/// The children of which one list tells and the other does not, as far as messages name them.
fn children_in(op: &Op, given: Option<&Reply>, due: Option<&Reply>) -> Vec<ZPath> {
    let (
        Op::GetChildren { path, .. },
        Some(Reply::Children { names: given, .. }),
        Some(Reply::Children { names: due, .. }),
    ) = (op, given, due)
    else {
        return Vec::new();
    };
    let above = path.trim_end_matches('/');
    let other = |name: &&std::sync::Arc<str>| !(given.contains(*name) && due.contains(*name));
    let names = given.iter().chain(due).filter(other).take(CHILDREN_MAX);
    names.map(|name| format!("{above}/{name}").into()).collect()
}

/// So many children are traced to those who made or removed them.
const CHILDREN_MAX: usize = 2;

/// Whether a watch that a read may have left is for such a change.
fn watches(op: &Op, kind: WatchKind, path: &ZPath) -> bool {
    match op {
        Op::GetData { path: of, watch } | Op::Exists { path: of, watch } => {
            *watch && of == path && kind != WatchKind::NodeChildrenChanged
        }
        Op::GetChildren {
            path: of, watch, ..
        } => {
            let of_children = [WatchKind::NodeChildrenChanged, WatchKind::NodeDeleted];
            *watch && of == path && of_children.contains(&kind)
        }
        Op::AddWatch { path: of, .. } => {
            of == path || path.starts_with(&**of) || parent_of(path) == Some(of)
        }
        Op::MultiRead { ops } => ops.iter().any(|op| watches(op, kind, path)),
        _ => false,
    }
}

/// Whether a successful update made, set or removed the node, or a child of it.
fn changes(call: &Call<'_>, path: &ZPath) -> bool {
    fn one(op: &Op, reply: Option<&Reply>, path: &ZPath) -> bool {
        match (op, reply) {
            (_, Some(Reply::Created { path: made, .. })) => {
                made == path || parent_of(made) == Some(path)
            }
            (Op::Delete { path: of, .. } | Op::DeleteContainer { path: of }, _) => {
                of == path || parent_of(of) == Some(path)
            }
            (Op::SetData { path: of, .. } | Op::SetAcl { path: of, .. }, _) => of == path,
            (Op::Multi { ops }, Some(Reply::Multi { results })) => ops
                .iter()
                .zip(results)
                .any(|(op, reply)| one(op, Some(reply), path)),
            _ => false,
        }
    }
    let reply = call.observed().and_then(Result::ok);
    one(call.op(), reply, path)
}
