//! The counterexample of a history of znodes: which answer cannot be, what it should have been, and how much before it could.

use super::fill::{Fill, Filled};
use super::read::Recording;
use crate::checks::Options;
use crate::checks::history::{Call, History};
use crate::checks::replay::{Replay, Wrong};
use std::fmt;
use zabsim_types::run::Violation;
use zabsim_types::{Op, ProcessId, SessionId, Time, Zxid};

/// Why a history is not legal.
#[derive(Clone, PartialEq, Debug)]
pub struct Conflict {
    /// The promise that is broken: a check's name.
    pub check: String,
    /// What is wrong, in a sentence.
    pub sentence: String,
    /// The answer that cannot be, where it is one.
    pub operation: Option<Operation>,
    /// What the reference model says instead.
    pub expected: Option<String>,
    /// How many of the answered operations can be explained without contradiction: those before it.
    pub prefix: u64,
}

/// An operation, for people.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// The line on which it is called.
    pub line: u64,
    /// The line of its answer.
    pub answer_line: u64,
    /// Who called it.
    pub process: ProcessId,
    /// In which session.
    pub session: SessionId,
    /// Of which transaction, or at which state, it was answered.
    pub zxid: Zxid,
    /// What was asked.
    pub asked: String,
    /// What was answered.
    pub answered: String,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "client {}, session {}: {} → {} at {} (lines {} and {})",
            self.process.0,
            self.session,
            self.asked,
            self.answered,
            self.zxid,
            self.line,
            self.answer_line
        )
    }
}

/// What a violation is about.
pub(super) fn find(
    recording: &Recording,
    history: &History<'_>,
    filled: &Filled,
    options: &Options,
    violation: &Violation,
) -> Conflict {
    let replay = Replay::new(history, &filled.witness, &options.settings);
    let reads = replay.wrong_reads.iter();
    let first_read = reads.min_by_key(|wrong| wrong.call.map(|at| history.calls[at as usize].done));
    let wrong = match violation.check.as_str() {
        "linearizable-writes" => replay.wrong_write.as_ref(),
        "snapshot-reads" => first_read,
        _ => None,
    };
    // What the sentence is about may also be who asked for a transaction, or when.
    let wrong = wrong.filter(|wrong| at_ms(history, wrong).is_none_or(|at| at == violation.at_ms));
    let prefix = match (wrong, &filled.fill) {
        (Some(wrong), _) => answered_before(history, wrong.zxid),
        (None, Fill::Torn { zxid, .. }) => answered_before(history, *zxid),
        _ => {
            let answered = history.answered.iter();
            let done = answered.map(|at| history.time(history.calls[*at as usize].done));
            done.filter(|time| time.as_ms() < violation.at_ms).count() as u64
        }
    };
    let call = wrong.and_then(|wrong| wrong.call);
    Conflict {
        check: violation.check.clone(),
        sentence: violation.message.clone(),
        operation: call.map(|at| operation(recording, &history.calls[at as usize])),
        expected: wrong.map(|wrong| wrong.expected.clone()),
        prefix,
    }
}

/// How many operations were answered from states before that transaction.
pub(super) fn answered_before(history: &History<'_>, zxid: Zxid) -> u64 {
    let answered = history.answered.iter();
    let before = answered.filter(|at| history.calls[**at as usize].zxid < zxid);
    before.count() as u64
}

fn at_ms(history: &History<'_>, wrong: &Wrong) -> Option<u64> {
    let call = &history.calls[wrong.call? as usize];
    Some(Time::as_ms(history.time(call.done)))
}

fn operation(recording: &Recording, call: &Call<'_>) -> Operation {
    let lines = recording.lines_of.get(&call.id.0);
    let (line, answer_line) = lines.copied().unwrap_or_default();
    let answered = match call.observed() {
        Some(Ok(reply)) => format!("{reply:?}"),
        Some(Err(error)) => error.name().to_owned(),
        None => "no answer".to_owned(),
    };
    Operation {
        line,
        answer_line,
        process: call.process,
        session: call.session,
        zxid: call.zxid,
        asked: asked(call.op),
        answered,
    }
}

/// An operation in few words.
fn asked(op: &Op) -> String {
    let text = format!("{op:?}");
    match text.char_indices().nth(ASKED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

const ASKED_MAX: usize = 300;
