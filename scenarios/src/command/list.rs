//! `zabsim list`: what there is, each with one sentence, and as a scenario spells it.

use super::Output;
use crate::format::{OUTCOMES, TARGETS, spelling};
use crate::library::LIBRARY;
use crate::workload::WorkloadKind;
use zab::Bug;
use zabsim::{DISK_OPS, FAULT_KINDS, MESSAGES, NOTES, PROFILES};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only one of the lists; `format` is a scenario with every key that there is
    #[arg(value_parser = [
        "scenarios", "workloads", "faults", "targets", "triggers", "operations", "profiles", "checks", "marks", "bugs", "format"
    ])]
    what: Option<String>,
}

/// A thing, one sentence on it, and how it is spelled where that is not its name.
struct Entry {
    name: String,
    about: String,
    spelled: Option<&'static str>,
}

fn entry(name: impl Into<String>, about: impl Into<String>) -> Entry {
    Entry {
        name: name.into(),
        about: about.into(),
        spelled: None,
    }
}

fn entries<'a>(pairs: impl IntoIterator<Item = &'a (&'static str, &'static str)>) -> Vec<Entry> {
    let pairs = pairs.into_iter();
    pairs.map(|(name, about)| entry(*name, *about)).collect()
}

pub(super) fn list(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let wanted = arguments.what.as_deref();
    if wanted == Some("format") {
        output.print(spelling::EVERY_KEY);
        return Ok(0);
    }
    let mut out = String::new();
    for (title, entries) in lists()? {
        if wanted.is_none_or(|wanted| wanted == title) {
            write(title, &entries, &mut out);
        }
    }
    if wanted.is_none() {
        out.push_str("`zabsim list format` prints a scenario with every key that there is.\n");
    }
    output.print(&out);
    Ok(0)
}

fn lists() -> Result<Vec<(&'static str, Vec<Entry>)>, String> {
    let mut scenarios = Vec::new();
    for one in LIBRARY {
        let scenario = one.scenario().map_err(|error| error.to_string())?;
        scenarios.push(entry(one.name, scenario.plan.about));
    }
    let workloads = WorkloadKind::ALL
        .iter()
        .map(|kind| entry(kind.name(), kind.about()));
    let mut faults = entries(FAULT_KINDS);
    for fault in &mut faults {
        let spelled = spelling::FAULTS
            .iter()
            .find(|(kind, _)| *kind == fault.name);
        fault.spelled = spelled.map(|(_, lines)| *lines);
    }
    let targets = TARGETS
        .iter()
        .map(|(name, about)| entry(format!("\"{name}\""), *about));
    let mut triggers = entries(spelling::TRIGGERS);
    for (what, names) in [
        ("send, receive", MESSAGES),
        ("disk", DISK_OPS),
        ("note", NOTES),
    ] {
        triggers.push(entry(format!("{what}:"), names.join(", ")));
    }
    let mut operations = entries(spelling::OPERATIONS);
    for (word, about) in OUTCOMES {
        operations.push(entry(format!("expect = \"{word}\""), *about));
    }
    Ok(vec![
        ("scenarios", scenarios),
        ("workloads", workloads.collect()),
        ("faults", faults),
        ("targets", targets.collect()),
        ("triggers", triggers),
        ("operations", operations),
        ("profiles", entries(PROFILES)),
        ("checks", entries(&zabsim::checks())),
        ("marks", entries(&zabsim::marks())),
        ("bugs", Bug::ALL.iter().map(|bug| museum(*bug)).collect()),
    ])
}

/// A bug that `run --bug` plants.
fn museum(bug: Bug) -> Entry {
    let known = bug.entry();
    let affected = match known.affected {
        "" => "nobody has reported it",
        releases => releases,
    };
    entry(
        known.id,
        format!("{}: {} ({affected})", known.alias, known.title),
    )
}

/// Longer names push their sentences aside.
const NAME_MAX: usize = 60;

fn write(title: &str, entries: &[Entry], out: &mut String) {
    let lengths = entries.iter().map(|entry| entry.name.len());
    let width = lengths.filter(|length| *length <= NAME_MAX).max();
    let width = width.unwrap_or(0);
    out.push_str(&format!("{title}\n"));
    for Entry {
        name,
        about,
        spelled,
    } in entries
    {
        out.push_str(&format!("  {name:<width$}  {about}\n"));
        for line in spelled.iter().flat_map(|lines| lines.lines()) {
            out.push_str(&format!("  {:<width$}    {line}\n", ""));
        }
    }
    out.push('\n');
}
