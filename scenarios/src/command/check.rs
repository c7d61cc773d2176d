//! `zabsim check`: histories from anywhere, and whether they are linearizable.
//!
//! What a file holds its first line says: a history of znodes goes to `znodes`, everything else to the search.

mod input;
mod znodes;

use super::Output;
use input::Input;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use zabsim_model::intake::bind::{Bound, Object, bind};
use zabsim_model::intake::calls::{Calls, Fate};
use zabsim_model::intake::entries::{Entries, Format};
use zabsim_model::intake::source::Source;
use zabsim_model::intake::verdict::{Verdict, decide};
use zabsim_model::linear::Effort;

#[derive(clap::Args)]
#[command(after_help = "\
Reads Jepsen's histories (EDN, JSON, or log lines of jepsen.util), the key-value logs that
Porcupine's tests use, and histories of znodes: recorded from ZooKeeper servers, or the
history.jsonl that `run --out` saves. All of them plain or gzip. Exit codes: 0 every history keeps
what the service promises, 1 one does not, 2 one cannot be read, 6 the effort was spent before an
answer was found.")]
pub(super) struct Arguments {
    /// Histories; `-` is the standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What the history is about; without it, its operations tell
    #[arg(long, value_parser = models())]
    model: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Operations that the search may place before it gives up [default: 200000000; of znodes 2000000]
    #[arg(long)]
    effort: Option<u64>,
}

fn models() -> Vec<&'static str> {
    let others = Object::ALL.map(Object::name);
    std::iter::once(znodes::MODEL).chain(others).collect()
}

/// What became of one file.
struct Checked {
    file: PathBuf,
    format: Format,
    object: Object,
    calls: Calls,
    verdict: Verdict,
    wall_ms: f64,
}

pub(super) fn check(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let named = arguments.model.as_deref();
    let model = Object::ALL
        .into_iter()
        .find(|object| Some(object.name()) == named);
    let effort = arguments.effort.map_or_else(Effort::default, Effort);
    let (mut code, mut printed) = (0, Vec::new());
    for file in &arguments.files {
        let input = match Input::open(file) {
            Ok(input) => input,
            Err(why) => {
                output.complain(&why);
                code = super::USAGE;
                printed.push(json!({ "file": file, "verdict": "error", "detail": why }));
                continue;
            }
        };
        if named == Some(znodes::MODEL) || named.is_none() && znodes::is_one(&input) {
            let done = znodes::check(input, arguments.effort, output);
            match done {
                Ok(checked) => {
                    code = worse(code, checked.exit_code());
                    if arguments.json {
                        printed.push(checked.as_json());
                    } else if !output.print(&checked.as_text()) {
                        break;
                    }
                }
                Err(why) => {
                    output.complain(&why);
                    code = super::USAGE;
                    printed.push(json!({ "file": file, "verdict": "error", "detail": why }));
                }
            }
            continue;
        }
        let checked = match check_input(input, model, effort, output) {
            Ok(checked) => checked,
            Err(why) => {
                output.complain(&why);
                code = super::USAGE;
                printed.push(json!({ "file": file, "verdict": "error", "detail": why }));
                continue;
            }
        };
        code = worse(code, exit_code(&checked.verdict));
        if arguments.json {
            printed.push(as_json(&checked));
        } else if !output.print(&as_text(&checked)) {
            break;
        }
    }
    if arguments.json {
        output.print(&format!("{}\n", json!({ "files": printed })));
    }
    Ok(code)
}

fn exit_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Legal { .. } => 0,
        Verdict::Illegal(_) => 1,
        Verdict::Unknown { .. } => 6,
    }
}

/// What several files come to: one that could not be read first, then one that is wrong, then one that is undecided.
fn worse(one: u8, other: u8) -> u8 {
    let rank = |code: &u8| match code {
        0 => 0,
        6 => 1,
        1 => 2,
        _ => 3,
    };
    std::cmp::max_by_key(one, other, rank)
}

fn check_input(
    input: Input,
    model: Option<Object>,
    effort: Effort,
    output: &mut Output<'_>,
) -> Result<Checked, String> {
    let start = now();
    let (file, name) = (input.file().to_owned(), input.name());
    let fault = |what: String| format!("{name}: {what}");
    let mut source = Source::new(input.into_read()).map_err(|error| fault(error.to_string()))?;
    let mut entries = Entries::new(&mut source).map_err(|error| fault(error.to_string()))?;
    let format = entries.format();
    let mut calls = Calls::default();
    let mut told = 0;
    while let Some(entry) = entries
        .read_next()
        .map_err(|error| fault(error.to_string()))?
    {
        calls
            .push(entry)
            .map_err(|error| fault(error.to_string()))?;
        let read = entries.read() / PROGRESS_BYTES;
        if read > told {
            told = read;
            let megabytes = (read * PROGRESS_BYTES) >> 20;
            let count = calls.calls.len();
            output.complain(&format!(
                "{name}: {megabytes} MiB read, {count} operations so far"
            ));
        }
    }
    if calls.calls.is_empty() {
        return Err(fault(format!(
            "no operation in it ({}, {} notes)",
            format.name(),
            calls.notes
        )));
    }
    let object = match model.or_else(|| Object::guess(&calls)) {
        Some(object) => object,
        None => return Err(fault(no_guess(&calls))),
    };
    let bound: Bound = bind(&calls, object).map_err(|error| fault(error.to_string()))?;
    let verdict = decide(&calls, bound, effort);
    Ok(Checked {
        file,
        format,
        object,
        calls,
        verdict,
        wall_ms: start.elapsed().as_secs_f64() * 1_000.0,
    })
}

/// The wall clock, for the one figure that says how long it took.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a check took is no part of it"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// How often to tell how far it has come.
const PROGRESS_BYTES: u64 = 64 << 20;

fn no_guess(calls: &Calls) -> String {
    // Each with the line on which it is called first.
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    for call in &calls.calls {
        found.entry(&call.f).or_insert(call.line);
    }
    let found: Vec<String> = found
        .iter()
        .map(|(f, line)| format!("{f} (line {line})"))
        .collect();
    let mut text = format!(
        "its operations are {}; no model has exactly these:",
        found.join(", ")
    );
    for object in Object::ALL {
        let _ = write!(
            text,
            "\n  --model {:<9} {}",
            object.name(),
            object.operations().join(", ")
        );
    }
    text
}

fn counts(calls: &Calls) -> [usize; 3] {
    [Fate::Ok, Fate::Refused, Fate::Unknown]
        .map(|fate| calls.calls.iter().filter(|call| call.fate == fate).count())
}

fn as_text(checked: &Checked) -> String {
    let Checked { calls, object, .. } = checked;
    let [ok, refused, unknown] = counts(calls);
    let mut text = format!(
        "{}: {}, about a {}\n",
        checked.file.display(),
        checked.format.name(),
        object.title()
    );
    let _ = write!(
        text,
        "  {} processes, {} operations: {ok} ok, {refused} refused, {unknown} with unknown outcome",
        calls.processes,
        calls.calls.len()
    );
    if calls.notes > 0 {
        let _ = write!(text, "; {} notes of others", calls.notes);
    }
    if let Some((first, last)) = calls.span {
        let _ = write!(text, "; {:.3} s", (last - first) as f64 / 1e9);
    }
    text.push('\n');
    match &checked.verdict {
        Verdict::Legal { parts: 0 | 1 } => {
            text.push_str("  linearizable: an order was found and replayed")
        }
        Verdict::Legal { parts } => {
            let _ = write!(
                text,
                "  linearizable: an order was found and replayed for each of {parts} {}",
                object.parts()
            );
        }
        Verdict::Unknown { part, reached, of } => {
            let _ = write!(
                text,
                "  UNDECIDED: the effort was spent; an order was found for {reached} of {of} events{}",
                of_part(*object, part)
            );
        }
        Verdict::Illegal(why) => {
            let _ = writeln!(
                text,
                "  NOT LINEARIZABLE{}: {}",
                of_part(*object, &why.part),
                why.reason
            );
            for at in &why.calls {
                let _ = writeln!(text, "    {}", calls.calls[*at as usize]);
            }
            let core = match why.is_minimal {
                true => "None of these can be left out.",
                false => "Perhaps not all of these are needed.",
            };
            let _ = write!(
                text,
                "  {core} There is an order for {} operations up to there.",
                why.prefix
            );
        }
    }
    let _ = writeln!(text, " ({:.1} ms)", checked.wall_ms);
    text
}

fn of_part(object: Object, part: &str) -> String {
    match part {
        "" => String::new(),
        part => format!(" ({} {part})", object.parts().trim_end_matches('s')),
    }
}

fn as_json(checked: &Checked) -> Value {
    let Checked { calls, .. } = checked;
    let [ok, failed, unknown] = counts(calls);
    let mut value = json!({
        "file": checked.file,
        "format": checked.format.name(),
        "model": checked.object.name(),
        "processes": calls.processes,
        "operations": { "ok": ok, "failed": failed, "unknown": unknown },
        "notes": calls.notes,
        "span": calls.span.map(|(first, last)| [first, last]),
        "wall_ms": checked.wall_ms,
    });
    let more = match &checked.verdict {
        Verdict::Legal { parts } => json!({ "verdict": "pass", "parts": parts }),
        Verdict::Unknown { part, reached, of } => {
            json!({ "verdict": "unknown", "part": part, "reached": reached, "events": of })
        }
        Verdict::Illegal(why) => {
            let operations = why.calls.iter().map(|at| &calls.calls[*at as usize]);
            let lines: Vec<Value> = operations
                .map(|call| json!({ "line": call.line, "process": call.process, "says": call.to_string() }))
                .collect();
            json!({
                "verdict": "fail",
                "part": why.part,
                "detail": why.reason,
                "operations_in_conflict": lines,
                "is_minimal": why.is_minimal,
                "longest_prefix": why.prefix,
            })
        }
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}
