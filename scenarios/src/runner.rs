//! One scenario, one seed: draw the plan, build the programs, run the world, hold the outcome against what was expected.

use crate::corpus::Corpus;
use crate::format::{Scenario, unmet_outcomes};
use crate::workload;
use std::path::Path;
use zabsim::seed_text;
use zabsim::{Program, RunOptions, Trace};
use zabsim_model::Options;
use zabsim_model::{Witness, znode};
use zabsim_reports::{SaveError, Saved, save};
use zabsim_types::HistoryEvent;
use zabsim_types::run::{RunReport, Verdict};

/// A run that is over.
pub struct Finished {
    /// What it says of itself.
    pub report: RunReport,
    /// What the clients saw.
    pub history: Vec<HistoryEvent>,
    /// What the checks of its history were told: of the servers, and of its end.
    pub options: Options,
    /// What the servers committed, where it is known.
    pub log: Option<Witness>,
    /// What the world did, if it was to be kept.
    pub trace: Option<Trace>,
    /// The scenario as drawn for this seed.
    pub drawn: Scenario,
}

impl Finished {
    /// Writes it into `dir`, with its trace if that was kept.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), SaveError> {
        let trace = self.trace.as_ref().map(|trace| trace.to_string());
        let saved = Saved {
            report: &self.report,
            history: &|out| znode::write(out, &self.options, &self.history, self.log.as_ref()),
            scenario: &self.drawn.to_toml(),
            trace: trace.as_deref(),
        };
        save(dir, &saved).map(drop)
    }
}

/// Runs `scenario` with `seed`. `named` is how the user named it, for the line that repeats the run.
pub fn run_scenario(scenario: &Scenario, named: &str, seed: u64, keep_trace: bool) -> Finished {
    let how = How {
        keep_trace,
        ..How::default()
    };
    run_as(scenario, named, seed, how)
}

/// How a run is made, where it is not made as usual.
#[derive(Default)]
pub(crate) struct How<'a> {
    /// Whether every event of the world is kept.
    pub(crate) keep_trace: bool,
    /// What the scenario is drawn from, besides the seed.
    pub(crate) corpus: Option<&'a Corpus>,
    /// Other programs for the first clients than its workloads give them.
    pub(crate) instead: Vec<Program>,
}

/// Runs `scenario` with `seed`, in such a way.
pub(crate) fn run_as(scenario: &Scenario, named: &str, seed: u64, how: How<'_>) -> Finished {
    let How {
        keep_trace,
        corpus,
        instead,
    } = how;
    let mut drawn = match corpus {
        Some(corpus) => corpus.draw(scenario, seed),
        None => scenario.draw(seed),
    };
    drawn.plan = workload::allowed(&drawn.workloads, drawn.plan);
    let mut programs = workload::programs(&drawn.workloads, &drawn.holds, &drawn.plan);
    for (place, program) in programs.iter_mut().zip(instead) {
        *place = program;
    }
    let outcome = zabsim::run(
        &drawn.plan,
        seed,
        programs,
        RunOptions {
            keep_trace,
            ..RunOptions::default()
        },
    );
    let mut report = outcome.report;
    report.seed = seed_text(seed);
    let planted = &report.planted;
    report.reproduce = reproduce(named, &report.seed, corpus.map(Corpus::dir), planted);
    for bug in drawn.plan.bugs.iter() {
        report.about += &format!(" Planted: {bug}, {}.", bug.entry().title);
    }
    // What is repeated without the corpus is what was drawn from it.
    report.scenario_toml = match corpus {
        Some(_) => drawn.to_toml(),
        None => scenario.to_toml(),
    };
    report.unmet = unmet(scenario, &report);
    // What a run that went wrong did not do says nothing.
    if report.verdict == Verdict::Pass {
        let outcomes = &scenario.expect.outcomes;
        let unmet = unmet_outcomes(&drawn.plan, outcomes, &outcome.history);
        report.unmet.extend(unmet);
    }
    report.as_expected = report.unmet.is_empty();
    Finished {
        report,
        history: outcome.history,
        options: outcome.options,
        log: outcome.log,
        trace: outcome.trace,
        drawn,
    }
}

/// The command that repeats a run, with what was planted in it.
pub(crate) fn reproduce(
    named: &str,
    seed: &str,
    corpus: Option<&Path>,
    planted: &[String],
) -> String {
    let named = shell_word(named);
    let mut command = format!("cargo run --release -- run {named} --seed {seed}");
    if let Some(dir) = corpus {
        command += &format!(" --corpus {}", shell_word(&dir.display().to_string()));
    }
    for bug in planted {
        command += &format!(" --bug {}", shell_word(bug));
    }
    command
}

/// What the scenario expects and the report does not show, in words.
fn unmet(scenario: &Scenario, report: &RunReport) -> Vec<String> {
    let expect = &scenario.expect;
    let mut unmet = Vec::new();
    if report.verdict != expect.verdict {
        unmet.push(format!(
            "the verdict is {}, expected {}",
            report.verdict.word(),
            expect.verdict.word()
        ));
    }
    // What a run that went wrong did not reach says nothing.
    if report.verdict == Verdict::Pass {
        if expect.every_trigger && !report.untriggered.is_empty() {
            let labels = report.untriggered.join("`, `");
            unmet.push(format!("never triggered: `{labels}`"));
        }
        for mark in &expect.reach {
            if !report
                .reached
                .iter()
                .any(|r| r.mark == *mark && r.count > 0)
            {
                unmet.push(format!("`{mark}` was not reached"));
            }
        }
        for check in &expect.examine {
            if !report
                .checks
                .iter()
                .any(|c| c.name == *check && c.examined > 0)
            {
                unmet.push(format!("the check `{check}` examined nothing"));
            }
        }
    }
    unmet
}

/// A word as a POSIX shell takes it: quoted where it holds anything that a shell would read in its own way.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+:,@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_not_take_it_as_one_word() {
        for (word, quoted) in [
            ("leader-crash", "leader-crash"),
            ("../a/b_c.toml", "../a/b_c.toml"),
            ("my scenario.toml", "'my scenario.toml'"),
            ("it's.toml", r"'it'\''s.toml'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }
}
