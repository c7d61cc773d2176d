//! Histories of znodes: what was understood of one, the verdict, and the contradiction.

use super::{Output, PROGRESS_BYTES, now};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zabsim_model::intake::source::Source;
use zabsim_model::znode::{self, Fill, Judged, Settings};
use zabsim_types::run::Verdict;

/// As `--model` names it.
pub(super) const MODEL: &str = "znode";

/// A history that was judged.
pub(super) struct Checked {
    file: PathBuf,
    judged: Judged,
    wall_ms: f64,
}

/// Whether the file's first line is one of a history of znodes.
pub(super) fn is_one(file: &Path) -> bool {
    // What can be read once only is not looked into.
    let Some(opened) = File::open(file).ok().filter(|_| file.is_file()) else {
        return false;
    };
    let Ok(mut source) = Source::new(opened.take(HEAD_BYTES)) else {
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

/// No first line of a history is longer.
const HEAD_BYTES: u64 = 4 << 20;

pub(super) fn check(
    file: &Path,
    effort: Option<u64>,
    output: &mut Output<'_>,
) -> Result<Checked, String> {
    let start = now();
    let name = file.display();
    if file.is_dir() {
        return Err(format!("{name}: is a directory; `check` reads files"));
    }
    let mut settings = Settings::default();
    settings.effort = effort.unwrap_or(settings.effort);
    let mut told = 0;
    let mut progress = |read: u64| {
        if read / PROGRESS_BYTES > told {
            told = read / PROGRESS_BYTES;
            output.complain(&format!("{name}: {} MiB read so far", read >> 20));
        }
    };
    let judged = znode::check_file(file, &settings, &mut progress)
        .map_err(|error| format!("{name}: {error}"))?;
    Ok(Checked {
        file: file.to_owned(),
        judged,
        wall_ms: start.elapsed().as_secs_f64() * 1_000.0,
    })
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
            explained,
            ..
        } = &self.judged;
        let mut text = format!("{}: znodes, ", self.file.display());
        for line in understood.to_string().lines() {
            let _ = write!(text, "{line}\n  ");
        }
        match (&filled.fill, conflict) {
            (Fill::Unknown { zxid }, _) => {
                let _ = write!(
                    text,
                    "UNDECIDED: the effort was spent on {} transactions; a log was found up to {zxid}, which explains {explained} of \
                     {} answers",
                    filled.effort, understood.answered
                );
            }
            (_, Some(conflict)) => {
                let _ = writeln!(
                    text,
                    "NOT LEGAL ({}): {}",
                    conflict.check, conflict.sentence
                );
                if let Some(operation) = &conflict.operation {
                    let _ = writeln!(text, "    {operation}");
                }
                if let Some(expected) = &conflict.expected {
                    let _ = writeln!(text, "    the model says {expected}");
                }
                let _ = write!(
                    text,
                    "  {explained} of {} answers, those before it, contradict nothing.",
                    understood.answered
                );
            }
            (_, None) => {
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
        let more = match (&filled.fill, conflict) {
            (Fill::Unknown { zxid }, _) => json!({ "reached": zxid.to_string() }),
            (_, Some(conflict)) => json!({
                "check": conflict.check,
                "detail": conflict.sentence,
                "expected": conflict.expected,
                "operation": conflict.operation.as_ref().map(|operation| json!({
                    "line": operation.line,
                    "answer_line": operation.answer_line,
                    "process": operation.process.0,
                    "session": operation.session.to_string(),
                    "zxid": operation.zxid.to_string(),
                    "asked": operation.asked,
                    "answered": operation.answered,
                })),
            }),
            _ => json!({}),
        };
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        value
    }
}
