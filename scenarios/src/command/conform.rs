//! `zabsim conform`: recorded answers of a real server, and what differs from them.

use super::Output;
use super::input::Input;
use crate::conform::{OnEnsemble, Placement, run_on_ensemble};
use std::path::{Path, PathBuf};
use zabsim_model::conformance::{Case, Outcome, parse, run_on_model};
use zabsim_model::intake::Fault;
use zabsim_model::intake::source::Source;

#[derive(clap::Args)]
#[command(after_help = "\
Each step that differs is printed with what was expected and what came; the last line counts.

Exit codes:
  0  every case that was played agrees
  1  one differs
  2  bad usage, or a file cannot be read")]
pub(super) struct Arguments {
    /// Recorded cases, one JSON object a line, plain or gzip; `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Who is held to them: the reference model, or clients of a simulated ensemble of three servers, which leaves out what
    /// is for a standalone server only
    #[arg(long, value_enum, default_value_t = On::Model)]
    on: On,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum On {
    Model,
    Ensemble,
}

/// The longest file of cases: all that were recorded take a hundredth of it.
const BYTES_MAX: u64 = 64 << 20;
/// The ensemble's runs are the same each time.
const SEED: u64 = 1;

/// What came of all cases so far.
#[derive(Default)]
struct Count {
    steps: usize,
    agree: usize,
    differ: usize,
    standalone_only: usize,
}

pub(super) fn conform(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    // All of them are read before any is played: bad input is no half of a report.
    let mut cases = Vec::new();
    for file in &arguments.files {
        cases.append(&mut read(file)?);
    }
    let mut count = Count::default();
    for case in &cases {
        let told = match arguments.on {
            On::Model => count.take(case, &run_on_model(case)),
            On::Ensemble => match run_on_ensemble(case, Placement::Apart, SEED) {
                OnEnsemble::Played(outcome) => count.take(case, &outcome),
                OnEnsemble::StandaloneOnly => {
                    count.standalone_only += 1;
                    String::new()
                }
                OnEnsemble::Unplayable(why) => return Err(format!("case {}: {why}", case.id)),
            },
        };
        if !output.print(&told) {
            break;
        }
    }
    output.print(&count.last_line(cases.len(), arguments.on));
    Ok(u8::from(count.differ > 0))
}

/// Plain or gzip, as `check` reads histories.
fn read(file: &Path) -> Result<Vec<Case>, String> {
    let input = Input::open(file)?;
    let name = input.name();
    let at = |fault: Fault| fault.in_file(&name);
    let mut source = Source::new(input.into_read()).map_err(at)?;
    let mut text = String::new();
    while let Some(line) = source.take_line().map_err(at)? {
        text.push_str(&line);
        text.push('\n');
        if source.read() > BYTES_MAX {
            return Err(format!(
                "{name}: larger than {} MiB, as no file of cases is",
                BYTES_MAX >> 20
            ));
        }
    }
    let cases = parse(&text).map_err(at)?;
    if cases.is_empty() {
        return Err(format!("{name}: there is no case in it"));
    }
    Ok(cases)
}

impl Count {
    /// Counts a case that was played, and tells what differs.
    fn take(&mut self, case: &Case, outcome: &Outcome) -> String {
        self.steps += outcome.steps;
        if outcome.agrees() {
            self.agree += 1;
            return String::new();
        }
        self.differ += 1;
        let mut told = format!("{}: {}\n", case.id, case.title);
        for difference in &outcome.differences {
            let mismatch = &difference.mismatch;
            told.push_str(&format!(
                "  step {} ({}): {}\n    expected {}\n    got      {}\n",
                difference.step, difference.what, mismatch.at, mismatch.expected, mismatch.got
            ));
        }
        told
    }

    fn last_line(&self, cases: usize, on: On) -> String {
        let Count {
            steps,
            agree,
            differ,
            standalone_only,
        } = self;
        let mut line = format!("{cases} cases, {steps} steps: {agree} agree, {differ} differ");
        if on == On::Ensemble {
            line.push_str(&format!(
                ", {standalone_only} left out (for a standalone server only)"
            ));
        }
        line.push('\n');
        line
    }
}
