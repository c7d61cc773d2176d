//! `zabsim replay`: a saved run once more; it must come out the same to the last bit.

use super::Output;
use crate::format::Scenario;
use crate::library::read_bounded;
use crate::runner::run_scenario;
use std::fs;
use std::path::{Path, PathBuf};
use zabsim::parse_seed;
use zabsim_reports::RUN_BYTES_MAX;
use zabsim_types::run::{RUN_SCHEMA, RunReport, Verdict};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A saved run: run.json, or the directory that holds it
    file: PathBuf,
}

pub(super) fn replay(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let file = if arguments.file.is_dir() {
        arguments.file.join("run.json")
    } else {
        arguments.file.clone()
    };
    let saved = read_report(&file)?;
    let ours = env!("CARGO_PKG_VERSION");
    if saved.version != ours {
        return Err(format!(
            "{}: saved by version {}, this is {ours}; what a seed means changes between versions",
            file.display(),
            saved.version
        ));
    }
    let scenario = Scenario::parse(
        &format!("{} (its scenario)", file.display()),
        &saved.scenario_toml,
    )
    .map_err(|error| error.to_string())?;
    let seed = parse_seed(&saved.seed).map_err(|why| format!("{}: {why}", file.display()))?;
    let trace_file = file.with_file_name("trace.txt");
    let finished = run_scenario(&scenario, &saved.scenario, seed, trace_file.exists());
    if finished.report.trace_hash == saved.trace_hash {
        output.print(&format!(
            "same: {} events, trace hash {}\n",
            saved.events, saved.trace_hash
        ));
        return Ok(0);
    }
    output.print(&format!(
        "DIVERGED: saved trace hash {} ({} events), this time {} ({} events)\n",
        saved.trace_hash, saved.events, finished.report.trace_hash, finished.report.events
    ));
    let difference = match (&finished.trace, fs::read_to_string(&trace_file)) {
        (Some(trace), Ok(old)) => first_difference(&old, &trace.to_string()),
        _ => "no trace was saved with it; `zabsim run … --out DIR --trace` keeps one\n".into(),
    };
    output.print(&difference);
    Ok(Verdict::Diverged.exit_code())
}

fn read_report(file: &Path) -> Result<RunReport, String> {
    let name = file.display();
    let text =
        read_bounded(file, RUN_BYTES_MAX, "saved run").map_err(|why| format!("{name}: {why}"))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        let cut = if error.is_eof() {
            ", it seems to be cut off"
        } else {
            ""
        };
        format!("{name}:{}: not a saved run{cut}: {error}", error.line())
    })?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(RUN_SCHEMA) => {}
        Some(schema) => {
            return Err(format!(
                "{name}: saved with schema {schema}; this build reads schema {RUN_SCHEMA}"
            ));
        }
        None => return Err(format!("{name}: not a saved run: it has no `schema`")),
    }
    serde_json::from_value(value).map_err(|error| format!("{name}: not a saved run: {error}"))
}

fn first_difference(old: &str, new: &str) -> String {
    let (mut old_lines, mut new_lines) = (old.lines(), new.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old_lines.next(), new_lines.next()) {
            (Some(a), Some(b)) if a == b => {}
            (None, None) => {
                return "the kept traces are the same; what differs is not in them\n".into();
            }
            (a, b) => {
                let shown = |line: Option<&str>| line.unwrap_or("(the trace ends)").to_string();
                return format!(
                    "first difference at event {number}:\n  saved  {}\n  now    {}\n",
                    shown(a),
                    shown(b)
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_with_both_sides() {
        let text = first_difference("a\nb\nc\n", "a\nx\nc\n");
        assert_eq!(
            text,
            "first difference at event 2:\n  saved  b\n  now    x\n"
        );
        assert!(first_difference("a\n", "a\nb\n").contains("(the trace ends)"));
    }
}
