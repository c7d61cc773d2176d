//! Histories of znodes: what was understood of one, the verdict, and the contradiction.

use super::input::Input;
use super::{Output, PROGRESS_BYTES, now};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use zabsim_model::intake::source::Source;
use zabsim_model::znode::{self, Conflict, Fill, Judged, Operation, Settings};
use zabsim_types::run::Verdict;

/// As `--model` names it.
pub(super) const MODEL: &str = "znode";

/// A history that was judged.
pub(super) struct Checked {
    file: PathBuf,
    judged: Judged,
    wall_ms: f64,
}

/// Whether it begins as a history of znodes does.
pub(super) fn is_one(input: &Input) -> bool {
    let Ok(mut source) = Source::new(input.head()) else {
        return false;
    };
    loop {
        match source.take_line() {
            Ok(Some(line)) if line.trim().is_empty() => {}
            Ok(Some(line)) => return znode::begins(&line),
            _ => return false,
        }
    }
}

pub(super) fn check(
    input: Input,
    effort: Option<u64>,
    output: &mut Output<'_>,
) -> Result<Checked, String> {
    let start = now();
    let name = input.name();
    let mut settings = Settings::default();
    settings.effort = effort.unwrap_or(settings.effort);
    let mut told = 0;
    let mut progress = |read: u64| {
        if read / PROGRESS_BYTES > told {
            told = read / PROGRESS_BYTES;
            output.complain(&format!("{name}: {} MiB read so far", read >> 20));
        }
    };
    let file = input.file().to_owned();
    let judged = znode::check(input.into_read(), &settings, &mut progress)
        .map_err(|error| format!("{name}: {error}"))?;
    Ok(Checked {
        file,
        judged,
        wall_ms: start.elapsed().as_secs_f64() * 1_000.0,
    })
}

/// The contradiction: one sentence, then what contradicts each other, then the difference.
fn contradiction(conflict: &Conflict, text: &mut String) {
    let _ = writeln!(
        text,
        "NOT LEGAL ({}): {}",
        conflict.check, conflict.sentence
    );
    for part in &conflict.parts {
        let _ = writeln!(text, "    {part}");
    }
    for (what, given, due) in &conflict.differences {
        let _ = writeln!(text, "    {what}: {given}; the model says {due}");
    }
}

impl Checked {
    pub(super) fn exit_code(&self) -> u8 {
        match self.judged.verdict() {
            Verdict::Pass => 0,
            Verdict::Undecided => 6,
            _ => 1,
        }
    }

    pub(super) fn as_text(&self) -> String {
        let Judged {
            understood,
            filled,
            conflict,
            doubt,
            explained,
            ..
        } = &self.judged;
        let mut text = format!("{}: znodes, ", self.file.display());
        for line in understood.to_string().lines() {
            let _ = write!(text, "{line}\n  ");
        }
        match (conflict, doubt) {
            (Some(conflict), _) => {
                contradiction(conflict, &mut text);
                let _ = write!(
                    text,
                    "  {explained} of {} answers, those before it, contradict nothing.",
                    understood.answered
                );
            }
            (None, Some(doubt)) => {
                let _ = match &filled.fill {
                    Fill::Unknown { zxid } => write!(
                        text,
                        "UNDECIDED: the effort was spent on {} transactions; a log was found up to {zxid}, which explains {explained} \
                         of {} answers",
                        filled.effort, understood.answered
                    ),
                    _ => write!(
                        text,
                        "UNDECIDED: a log explains all {} answers, but in it something is wrong that rests on a guess at {} updates \
                         of unknown outcome ({}): {}",
                        understood.answered, filled.unknown, doubt.check, doubt.message
                    ),
                };
            }
            (None, None) => {
                let _ = write!(
                    text,
                    "legal: all {} answers follow from one log of {} transactions, {} of them without a reply",
                    understood.answered,
                    filled.witness.txns.len(),
                    filled.gaps
                );
                if filled.unknown > 0 {
                    let _ = write!(
                        text,
                        "; of {} updates of unknown outcome {} need have happened",
                        filled.unknown, filled.happened
                    );
                }
            }
        }
        let _ = writeln!(text, " ({:.1} ms)", self.wall_ms);
        text
    }

    pub(super) fn as_json(&self) -> Value {
        let Judged {
            understood,
            filled,
            reports,
            conflict,
            doubt,
            explained,
        } = &self.judged;
        let (from, to) = understood.span;
        let verdict = match self.judged.verdict() {
            Verdict::Pass => "pass",
            Verdict::Undecided => "unknown",
            _ => "fail",
        };
        let checks: Vec<Value> = reports
            .iter()
            .map(|report| {
                json!({ "name": report.name, "ok": report.ok(), "examined": report.examined, "detail": report.detail })
            })
            .collect();
        let mut value = json!({
            "file": self.file,
            "format": understood.source,
            "model": MODEL,
            "processes": understood.processes,
            "sessions": understood.sessions,
            "operations": {
                "all": understood.operations,
                "answered": understood.answered,
                "unknown": understood.unknown,
                "void": understood.void,
            },
            "notifications": understood.notifications,
            "notes": understood.notes,
            "span_ms": [from.as_ms(), to.as_ms()],
            "log": {
                "transactions": filled.witness.txns.len(),
                "without_reply": filled.gaps,
                "unknown_that_happened": filled.happened,
                "effort": filled.effort,
            },
            "checks": checks,
            "verdict": verdict,
            "longest_prefix": explained,
            "wall_ms": self.wall_ms,
        });
        let more = match (conflict, doubt) {
            (Some(conflict), _) => json!({
                "check": conflict.check,
                "detail": conflict.sentence,
                "contradiction": conflict.parts.iter().map(as_json).collect::<Vec<_>>(),
                "operation": conflict.culprit.map(|at| as_json(&conflict.parts[at])),
                "differences": conflict.differences.iter().map(|(what, given, due)| {
                    json!({ "what": what, "answered": given, "expected": due })
                }).collect::<Vec<_>>(),
            }),
            (None, Some(doubt)) => {
                let reached = match &filled.fill {
                    Fill::Unknown { zxid } => Some(zxid.to_string()),
                    _ => None,
                };
                json!({ "reached": reached, "check": doubt.check, "detail": doubt.message })
            }
            (None, None) => json!({}),
        };
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        value
    }
}

fn as_json(operation: &Operation) -> Value {
    json!({
        "line": operation.line,
        "answer_line": (operation.answer_line > 0).then_some(operation.answer_line),
        "call": operation.call,
        "process": operation.process.0,
        "session": operation.session.to_string(),
        "zxid": operation.zxid.map(|zxid| zxid.to_string()),
        "asked": operation.asked,
        "answered": operation.answered,
    })
}
