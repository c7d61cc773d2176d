//! When a fault strikes: `at = "5s"`, `after = "label"` with `delay`, or `when = { send = "NEWLEADER", … }`.

use super::duration_text;
use super::quoted;
use super::reader::{FormatError, Table, Value};
use super::target;
use zabsim::plan::{EventPattern, Target, Trigger};
use zabsim::{DISK_OPS, MESSAGES, NOTES};
use zabsim_types::Time;

/// The keys of `when`, one of which says what is waited for.
pub(super) const EVENTS: &[&str] = &["send", "receive", "disk", "note", "reply"];

/// Reads the trigger of a fault or an operation out of its own table.
pub(super) fn read(table: &Table<'_>) -> Result<Trigger, FormatError> {
    let (at, when, after) = (table.get("at"), table.get("when"), table.get("after"));
    match (at, when, after) {
        (Some(at), None, None) => Ok(Trigger::At(Time(at.duration_us()?))),
        (None, Some(when), None) => read_pattern(when.table("`when`")?),
        (None, None, Some(after)) => {
            let delay_us = table.get("delay").map_or(Ok(0), |d| d.duration_us())?;
            Ok(Trigger::After {
                label: after.str()?.into(),
                delay_us,
            })
        }
        _ => Err(table.error(format!(
            "{} must have exactly one of the keys `at`, `when`, `after`",
            table.what()
        ))),
    }
}

/// Where the name of the fault stands that this trigger waits for.
pub(super) fn after<'a>(table: &Table<'a>) -> Result<Value<'a>, FormatError> {
    match table.get("when") {
        Some(when) => when.table("`when`")?.need("after"),
        None => table.need("after"),
    }
}

fn read_pattern(table: Table<'_>) -> Result<Trigger, FormatError> {
    let given: Vec<_> = EVENTS
        .iter()
        .copied()
        .filter(|kind| table.has(kind))
        .collect();
    let [kind] = given[..] else {
        return Err(table.error(format!(
            "`when` must have exactly one of the keys {}",
            EVENTS.join(", ")
        )));
    };
    let value = table.need(kind)?;
    let who = |key| table.get(key).map(|v| target::read(&v)).transpose();
    let event = match kind {
        "send" | "receive" => {
            let message = value.word(&words(MESSAGES))?.to_string();
            let (from, to) = (who("from")?, who("to")?);
            match kind {
                "send" => EventPattern::Send { message, from, to },
                _ => EventPattern::Receive { message, from, to },
            }
        }
        "disk" => {
            let op = value.word(&words(DISK_OPS))?.to_string();
            let file = table
                .get("file")
                .map(|v| v.str().map(String::from))
                .transpose()?;
            EventPattern::Disk {
                op,
                file,
                at: who("server")?,
            }
        }
        "note" => EventPattern::Note {
            note: value.word(&notes())?.into(),
            at: who("server")?,
        },
        _ => {
            let client = value.int(0, i64::from(u16::MAX))?;
            EventPattern::Reply {
                client: (client > 0).then_some(client),
            }
        }
    };
    let nth = table
        .get("nth")
        .map_or(Ok(1), |v| v.int(1, 1_000_000_000))?;
    let not_before = Time(table.get("not_before").map_or(Ok(0), |v| v.duration_us())?);
    let after = table
        .get("after")
        .map(|v| v.str().map(String::from))
        .transpose()?;
    table.finish()?;
    Ok(Trigger::On {
        event,
        nth,
        not_before,
        after,
    })
}

fn words(names: &[&'static str]) -> Vec<(&'static str, &'static str)> {
    names.iter().map(|name| (*name, *name)).collect()
}

/// The notes that a trigger can wait for: the protocol's own, and the marks.
fn notes() -> Vec<(&'static str, &'static str)> {
    let marks = zabsim::marks();
    let marks = marks.iter().map(|(name, _)| *name);
    words(&NOTES.iter().copied().chain(marks).collect::<Vec<_>>())
}

/// The lines of a trigger, as `read` takes them.
pub(super) fn write(trigger: &Trigger, out: &mut String) {
    match trigger {
        Trigger::At(at) => out.push_str(&format!("at = \"{}\"\n", duration_text(at.0))),
        Trigger::After { label, delay_us } => {
            out.push_str(&format!(
                "after = {}\ndelay = \"{}\"\n",
                quoted(label),
                duration_text(*delay_us)
            ));
        }
        Trigger::On {
            event,
            nth,
            not_before,
            after,
        } => {
            let mut keys = pattern_keys(event);
            if *nth != 1 {
                keys.push(format!("nth = {nth}"));
            }
            if not_before.0 != 0 {
                keys.push(format!("not_before = \"{}\"", duration_text(not_before.0)));
            }
            if let Some(after) = after {
                keys.push(format!("after = {}", quoted(after)));
            }
            out.push_str(&format!("when = {{ {} }}\n", keys.join(", ")));
        }
    }
}

fn pattern_keys(event: &EventPattern) -> Vec<String> {
    let mut keys = Vec::new();
    let who = |key: &str, target: &Option<Target>, keys: &mut Vec<String>| {
        if let Some(target) = target {
            keys.push(format!("{key} = {}", target::write(target)));
        }
    };
    match event {
        EventPattern::Send { message, from, to } => {
            keys.push(format!("send = {}", quoted(message)));
            who("from", from, &mut keys);
            who("to", to, &mut keys);
        }
        EventPattern::Receive { message, from, to } => {
            keys.push(format!("receive = {}", quoted(message)));
            who("from", from, &mut keys);
            who("to", to, &mut keys);
        }
        EventPattern::Disk { op, file, at } => {
            keys.push(format!("disk = {}", quoted(op)));
            if let Some(file) = file {
                keys.push(format!("file = {}", quoted(file)));
            }
            who("server", at, &mut keys);
        }
        EventPattern::Note { note, at } => {
            keys.push(format!("note = {}", quoted(note)));
            who("server", at, &mut keys);
        }
        EventPattern::Reply { client } => keys.push(format!("reply = {}", client.unwrap_or(0))),
    }
    keys
}
