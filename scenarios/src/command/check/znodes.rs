//! Histories of znodes: what was understood of one, the verdict, and the contradiction.

use super::super::Output;
use super::super::input::Input;
use super::{Arguments, Checked, Progress, at, now};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use zabsim_model::intake::source::Source;
use zabsim_model::znode::{self, Conflict, Fill, Judged, Operation, Settings, Understood};

/// As `--model` names it.
pub(super) const MODEL: &str = "znode";

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
    arguments: &Arguments,
    output: &mut Output<'_>,
) -> Result<Checked, String> {
    let start = now();
    let (file, name) = (input.file().to_owned(), input.name());
    if arguments.initial.is_some() {
        return Err(format!(
            "{name}: --initial is for a register or a cas; this is a history of znodes"
        ));
    }
    let mut settings = Settings::default();
    settings.effort = arguments.effort.unwrap_or(settings.effort);
    settings.without_log = arguments.without_log;
    let mut progress = Progress::new(&name, output);
    let recording = znode::read(input.into_read(), &mut |bytes| progress.read(bytes));
    let recording = recording.map_err(at(&name))?;
    progress.done();
    let mut tell = |understood: &Understood| {
        if !arguments.json {
            output.print(&told_before(&name, understood));
        }
    };
    let judged = znode::judge_telling(&recording, &settings, &mut tell).map_err(at(&name))?;
    let wall_ms = start.elapsed().as_secs_f64() * 1_000.0;
    let is_heard = match arguments.json {
        true => true,
        false => output.print(&format!("  {} ({wall_ms:.1} ms)\n", told_after(&judged))),
    };
    Ok(Checked {
        verdict: judged.verdict(),
        json: of_judged(&file, &judged, wall_ms),
        is_heard,
    })
}

/// What was understood.
fn told_before(name: &str, understood: &Understood) -> String {
    let understood = understood.to_string();
    let lines: Vec<&str> = understood.lines().collect();
    format!("{name}: znodes, {}\n", lines.join("\n  "))
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

/// The verdict, without the end of its last line.
fn told_after(judged: &Judged) -> String {
    let Judged {
        understood,
        filled,
        conflict,
        doubt,
        explained,
        ..
    } = judged;
    let mut text = String::new();
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
            let log = match filled.is_given {
                true => "the log that was saved with them",
                false => "one log",
            };
            let _ = write!(
                text,
                "legal: all {} answers follow from {log}, of {} transactions, {} of them without a reply",
                understood.answered,
                filled.witness.txns.len(),
                filled.gaps
            );
            if filled.unknown > 0 {
                let _ = write!(
                    text,
                    "; of {} updates of unknown outcome {} {}",
                    filled.unknown,
                    filled.happened,
                    if filled.is_given {
                        "happened"
                    } else {
                        "need have happened"
                    }
                );
            }
        }
    }
    text
}

fn of_judged(file: &Path, judged: &Judged, wall_ms: f64) -> Value {
    let Judged {
        understood,
        filled,
        reports,
        conflict,
        doubt,
        explained,
    } = judged;
    let (from, to) = understood.span;
    let checks: Vec<Value> = reports
            .iter()
            .map(|report| {
                let verdict = judged.verdict_of(report).word();
                json!({ "name": report.name, "verdict": verdict, "examined": report.examined, "detail": report.detail })
            })
            .collect();
    let mut value = json!({
        "file": file,
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
            "saved": filled.is_given,
            "transactions": filled.witness.txns.len(),
            "without_reply": filled.gaps,
            "unknown_that_happened": filled.happened,
            "effort": filled.effort,
        },
        "checks": checks,
        "verdict": judged.verdict().word(),
        "longest_prefix": explained,
        "wall_ms": wall_ms,
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
