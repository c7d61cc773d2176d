//! `zabsim replay`: a saved run once more; it must come out the same to the last bit.

use super::Output;
use super::saved::SavedRun;
use crate::runner::run_scenario;
use std::fs;
use std::path::PathBuf;
use zabsim_types::run::Verdict;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A saved run: run.json, or the directory that holds it
    file: PathBuf,
}

pub(super) fn replay(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let run = SavedRun::read(&arguments.file)?;
    let (scenario, saved, seed) = (run.scenario, run.report, run.seed);
    let trace_file = run.file.with_file_name("trace.txt");
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
