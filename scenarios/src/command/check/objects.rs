//! Histories of small objects: what was understood of one, the verdict, and the operations that contradict each other.

use super::super::Output;
use super::super::input::Input;
use super::{Arguments, Checked, Progress, at, now};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use zabsim_model::intake::bind::{Object, bind};
use zabsim_model::intake::calls::{Calls, Fate, RawCall};
use zabsim_model::intake::edn::Reader;
use zabsim_model::intake::entries::{Entries, Format};
use zabsim_model::intake::left::{Left, left_behind};
use zabsim_model::intake::source::Source;
use zabsim_model::intake::verdict::{Counterexample, Verdict, decide};
use zabsim_model::linear::{Effort, Limit, MEMORY_MAX, Prefix};
use zabsim_types::run;

/// A history that was read.
struct History {
    file: PathBuf,
    name: String,
    format: Format,
    /// Whether its format shows where it ends.
    marks_end: bool,
    object: Object,
    calls: Calls,
}

pub(super) fn check(
    input: Input,
    arguments: &Arguments,
    initial: Option<&Value>,
    output: &mut Output<'_>,
) -> Result<Checked, String> {
    let start = now();
    if arguments.without_log {
        return Err(format!(
            "{}: --without-log is for a history of znodes; this is one of other objects, which have no log",
            input.name()
        ));
    }
    let named = arguments.model.as_deref();
    let model = Object::ALL
        .into_iter()
        .find(|object| Some(object.name()) == named);
    let history = read(input, model, output)?;
    let bound = bind(&history.calls, history.object, initial).map_err(at(&history.name))?;
    let left = left_behind(&history.calls, history.object).map_err(at(&history.name))?;
    if !arguments.json {
        output.print(&history.understood());
    }
    let effort = arguments.effort.map_or_else(Effort::default, Effort);
    let found = decide(&history.calls, bound, effort);
    let wall_ms = start.elapsed().as_secs_f64() * 1_000.0;
    let is_heard = match arguments.json {
        true => true,
        false => output.print(&format!(
            "{} ({wall_ms:.1} ms)\n{}",
            history.verdict(&found),
            history.never_dequeued(&left)
        )),
    };
    let mut json = history.as_json(&found, wall_ms);
    if !left.is_empty() {
        json["never_dequeued"] = left.iter().map(|left| history.left_as_json(left)).collect();
    }
    Ok(Checked {
        verdict: in_short(&found),
        json,
        is_heard,
    })
}

/// What a person looks at of an order: the last few.
fn end_of(order: &[u32]) -> &[u32] {
    const SHOWN: usize = 5;
    &order[order.len().saturating_sub(SHOWN)..]
}

/// In the word that all commands have for it.
fn in_short(verdict: &Verdict) -> run::Verdict {
    match verdict {
        Verdict::Legal { .. } => run::Verdict::Pass,
        Verdict::Illegal(_) => run::Verdict::Fail,
        Verdict::Unknown { .. } => run::Verdict::Undecided,
    }
}

fn read(input: Input, model: Option<Object>, output: &mut Output<'_>) -> Result<History, String> {
    let (file, name) = (input.file().to_owned(), input.name());
    let mut source = Source::new(input.into_read()).map_err(at(&name))?;
    let mut entries = Entries::new(&mut source).map_err(at(&name))?;
    let format = entries.format();
    let mut calls = Calls::default();
    let mut progress = Progress::new(&name, output);
    while let Some(entry) = entries.read_next().map_err(at(&name))? {
        calls.push(entry).map_err(at(&name))?;
        progress.read(entries.read());
    }
    progress.done();
    if calls.calls.is_empty() && calls.notes == 0 && format == Format::Log {
        return Err(format!(
            "{name}: this is no history: it is neither EDN nor JSON, and has no line of jepsen.util in it"
        ));
    }
    if calls.calls.is_empty() {
        let why = match &calls.first_stranger {
            None => String::new(),
            Some((line, process)) => format!(
                "; the process on line {line} is {process}: a client is a number, 0 or greater, and what any other process says is a note"
            ),
        };
        return Err(format!(
            "{name}: no operation in it ({}, {} notes){why}",
            format.name(),
            calls.notes
        ));
    }
    let object = match model.or_else(|| Object::guess(&calls)) {
        Some(object) => object,
        None => return Err(format!("{name}: {}", no_guess(&calls))),
    };
    Ok(History {
        file,
        name,
        format,
        marks_end: entries.marks_end(),
        object,
        calls,
    })
}

/// A value of the command line, as histories write it.
pub(super) fn value(text: &str) -> Result<Value, String> {
    let read = || {
        let mut source = Source::new(text.as_bytes())?;
        let mut reader = Reader::new(&mut source, false);
        let value = reader.value()?;
        Ok((value, reader.skip()?))
    };
    match read() {
        Ok((Some(value), None)) => Ok(value),
        Ok(_) => Err(format!("--initial: `{text}` is not one value")),
        Err::<_, zabsim_model::intake::Fault>(fault) => {
            Err(format!("--initial: `{text}`: {}", fault.what))
        }
    }
}

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

impl History {
    fn counts(&self) -> [usize; 3] {
        let calls = &self.calls.calls;
        [Fate::Ok, Fate::Refused, Fate::Unknown]
            .map(|fate| calls.iter().filter(|call| call.fate == fate).count())
    }

    /// What is told before the search.
    fn understood(&self) -> String {
        let calls = &self.calls;
        let [ok, refused, unknown] = self.counts();
        let mut text = format!(
            "{}: {}, about a {}\n  {} processes, {} operations: {ok} ok, {refused} refused, {unknown} with unknown outcome",
            self.name,
            self.format.name(),
            self.object.title(),
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
        let open = calls.open();
        if open > 0 && !self.marks_end {
            let _ = writeln!(
                text,
                "  {open} still open at the last line: the format has no end mark, so that a file that was cut off looks the same"
            );
        }
        text
    }

    /// The verdict, without the end of its last line.
    fn verdict(&self, verdict: &Verdict) -> String {
        match verdict {
            Verdict::Legal { parts: 0 | 1 } => {
                "  linearizable: an order was found and replayed".to_owned()
            }
            Verdict::Legal { parts } => format!(
                "  linearizable: an order was found and replayed for each of {parts} {}",
                self.object.parts(&self.calls)
            ),
            Verdict::Unknown {
                part,
                reached,
                of,
                limit,
            } => {
                let ended = match limit {
                    Limit::Effort => "the effort was spent".to_owned(),
                    Limit::Memory => format!("the search has filled its {} MiB", MEMORY_MAX >> 20),
                };
                format!(
                    "  UNDECIDED{}: {ended}; an order was found for {reached} of {of} events",
                    self.of_part(part)
                )
            }
            Verdict::Illegal(why) => self.contradiction(why),
        }
    }

    /// What drains left behind, a line for each queue.
    fn never_dequeued(&self, left: &[Left]) -> String {
        const SHOWN: usize = 8;
        let mut text = String::new();
        for left in left {
            let count = left.elements.len();
            let shown: Vec<String> = (left.elements.iter().take(SHOWN))
                .map(Value::to_string)
                .collect();
            let _ = writeln!(
                text,
                "  note{}: {count} acknowledged element{} never dequeued ({}{}), though [{}] was called after {} and completed: lost, if \
                 it went on until the queue was empty{}",
                self.of_part(&left.part),
                if count == 1 { " was" } else { "s were" },
                shown.join(", "),
                if count > SHOWN { ", …" } else { "" },
                self.say(left.drain),
                if count == 1 { "it" } else { "them" },
                match left.unknown {
                    0 => String::new(),
                    unknown => format!(
                        " and nothing of unknown outcome ({unknown} dequeues or drains) took {}",
                        if count == 1 { "it" } else { "them" }
                    ),
                }
            );
        }
        text
    }

    fn left_as_json(&self, left: &Left) -> Value {
        let drain = self.say(left.drain);
        json!({
            "part": left.part,
            "elements": left.elements,
            "drain": { "line": drain.line, "process": drain.process, "says": drain.to_string() },
            "unknown_dequeues": left.unknown,
        })
    }

    fn contradiction(&self, why: &Counterexample) -> String {
        let mut text = format!(
            "  NOT LINEARIZABLE{}: {}\n",
            self.of_part(&why.part),
            why.reason
        );
        // More of them nobody reads; the last belong to every contradiction that is complete there.
        const SHOWN: usize = 32;
        let hidden = why.calls.len().saturating_sub(SHOWN);
        if hidden > 0 {
            let _ = writeln!(text, "    {hidden} operations (all of them: --json), and");
        }
        for at in &why.calls[hidden..] {
            let _ = writeln!(text, "    {}", self.say(*at));
        }
        let core = match why.is_minimal {
            true => "None of these can be left out.",
            false => "Perhaps not all of these are needed.",
        };
        let _ = write!(text, "  {core} {}", self.prefix(&why.prefix));
        let order_end = end_of(&why.prefix.order);
        if !order_end.is_empty() {
            text.push_str("\n  One order of them ends:");
            for at in order_end {
                let _ = write!(text, "\n    {}", self.say(*at));
            }
            text.push_str("\n ");
        }
        text
    }

    fn say(&self, at: u32) -> &RawCall {
        &self.calls.calls[at as usize]
    }

    /// How far the others can be ordered.
    fn prefix(&self, prefix: &Prefix) -> String {
        let operations = match prefix.returned {
            1 => "operation".to_owned(),
            count => format!("{count} operations"),
        };
        let next = self.say(prefix.next);
        match (prefix.last, prefix.is_longest) {
            (Some(last), true) => format!(
                "The first {operations} to return can be ordered, up to [{}]; with [{next}], none of their orders is left.",
                self.say(last)
            ),
            (None, true) => format!("Not even the first to return can be ordered: [{next}]."),
            (Some(last), false) => format!(
                "At least the first {operations} to return can be ordered, up to [{}]; the effort was spent before it was clear where \
                 that ends.",
                self.say(last)
            ),
            (None, false) => {
                "How many of the first can be ordered was not clear before the effort was spent."
                    .to_owned()
            }
        }
    }

    fn of_part(&self, part: &str) -> String {
        match part {
            "" => String::new(),
            part => format!(
                " ({} {part})",
                self.object.parts(&self.calls).trim_end_matches('s')
            ),
        }
    }

    fn as_json(&self, verdict: &Verdict, wall_ms: f64) -> Value {
        let calls = &self.calls;
        let [ok, failed, unknown] = self.counts();
        let mut value = json!({
            "file": self.file,
            "format": self.format.name(),
            "model": self.object.name(),
            "processes": calls.processes,
            "operations": { "all": calls.calls.len(), "ok": ok, "failed": failed, "unknown": unknown },
            "open_at_end": calls.open(),
            "notes": calls.notes,
            "span": calls.span.map(|(first, last)| [first, last]),
            "verdict": in_short(verdict).word(),
            "wall_ms": wall_ms,
        });
        let more = match verdict {
            Verdict::Legal { parts } => json!({ "parts": parts }),
            Verdict::Unknown {
                part,
                reached,
                of,
                limit,
            } => json!({
                "part": part,
                "reached": reached,
                "events": of,
                "limit": match limit {
                    Limit::Effort => "effort",
                    Limit::Memory => "memory",
                },
            }),
            Verdict::Illegal(why) => {
                let one = |at: u32| {
                    let call = self.say(at);
                    json!({ "line": call.line, "process": call.process, "says": call.to_string() })
                };
                let all =
                    |calls: &[u32]| -> Vec<Value> { calls.iter().copied().map(one).collect() };
                let prefix = &why.prefix;
                json!({
                    "part": why.part,
                    "detail": why.reason,
                    "operations_in_conflict": all(&why.calls),
                    "is_minimal": why.is_minimal,
                    // So many operations, the first to return; at least so many, where it is not known to be the longest.
                    "longest_prefix": prefix.returned,
                    "is_longest": prefix.is_longest,
                    "prefix_ends_with": prefix.last.map(one),
                    "prefix_ends_before": one(prefix.next),
                    "prefix_order_ends": all(end_of(&prefix.order)),
                })
            }
        };
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        value
    }
}
