//! `zabsim run`: one scenario, one seed or several.

use super::Output;
use crate::corpus::Corpus;
use crate::format::Scenario;
use crate::format::bug_named;
use crate::library;
use crate::runner::{Finished, How, run_as};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use zabsim::{parse_seed, seed_text};
use zabsim_reports::{Detail, obstacle, render};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A scenario's name (`zabsim list scenarios`), or a TOML file (`zabsim list format`)
    name: String,
    /// The seed: decimal, 0x…, or a git commit's 40 digits [default: the file's own, else 1]
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<String>,
    /// Plant a bug of the museum, by its id or alias; may be said more than once
    #[arg(long = "bug", value_name = "ID")]
    bugs: Vec<String>,
    /// Several seeds, both ends included: 1..50. Prints one line for each run that is not as expected, and a summary
    #[arg(long, value_name = "FIRST..LAST")]
    seeds: Option<String>,
    /// Draw from the scenarios of this directory too, as the campaign did that used it: it keeps a copy of what it used
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Print exactly one JSON object (with --seeds: one a line)
    #[arg(long)]
    json: bool,
    /// Save run.json, history.jsonl and scenario.toml (as drawn for the seed) into this directory, which is made if it is not
    /// there. What the same scenario and seed left there before is replaced; anything else is not, without --force
    #[arg(long, value_name = "DIR", conflicts_with = "seeds")]
    out: Option<PathBuf>,
    /// With --out: replace what the directory holds already, even if it is another run, or none
    #[arg(long, requires = "out")]
    force: bool,
    /// With --out: save every event of the world too, as trace.txt, so that `replay` can name the first that differs
    #[arg(long, requires = "out")]
    trace: bool,
    /// Print the whole timeline and every check
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let mut scenario = library::find(&arguments.name).map_err(|error| error.to_string())?;
    plant(&mut scenario, &arguments.bugs)?;
    if let Some(remark) = remark(&scenario) {
        output.complain(&remark);
    }
    let corpus = arguments.corpus.as_deref().map(Corpus::read).transpose()?;
    if corpus.is_some() && !scenario.whole {
        return Err(format!(
            "--corpus is for scenarios in which everything is drawn, as swarm; {} is none",
            arguments.name
        ));
    }
    let run = |seed| {
        let how = How {
            keep_trace: arguments.trace,
            corpus: corpus.as_ref(),
            ..How::default()
        };
        run_as(&scenario, &arguments.name, seed, how)
    };
    match &arguments.seeds {
        Some(range) => run_several(arguments, &scenario, &run, parse_range(range)?, output),
        None => run_one(arguments, &scenario, &run, output),
    }
}

fn run_one(
    arguments: &Arguments,
    scenario: &Scenario,
    run: &dyn Fn(u64) -> Finished,
    output: &mut Output<'_>,
) -> Result<u8, String> {
    let seed = match &arguments.seed {
        Some(text) => parse_seed(text)?,
        None => scenario.seed.unwrap_or(1),
    };
    if let Some(dir) = &arguments.out
        && !arguments.force
        && let Some(why) = obstacle(dir, &scenario.plan.name, &seed_text(seed))
    {
        return Err(format!(
            "{why}; name another directory with --out, or say --force"
        ));
    }
    let finished = run(seed);
    if let Some(dir) = &arguments.out {
        let saved = finished.save(dir);
        saved.map_err(|error| error.to_string())?;
    }
    if arguments.json {
        output.print(&format!("{}\n", json(&finished)?));
    } else {
        let detail = if arguments.verbose {
            Detail::Full
        } else {
            Detail::Short
        };
        output.print(&render(&finished.report, detail));
        if let Some(dir) = &arguments.out {
            output.print(&format!("Saved      {}\n", dir.display()));
        }
    }
    Ok(exit_code(scenario, &finished))
}

/// Where a scenario says what it expects, 0 means: as expected.
fn exit_code(scenario: &Scenario, finished: &Finished) -> u8 {
    match (
        finished.report.as_expected,
        finished.report.verdict.exit_code(),
    ) {
        (true, _) => 0,
        (false, 0) => 1,
        (false, code) => {
            debug_assert_ne!(finished.report.verdict, scenario.expect.verdict);
            code
        }
    }
}

fn json(finished: &Finished) -> Result<String, String> {
    serde_json::to_string(&finished.report)
        .map_err(|error| format!("the report has no JSON form: {error}"))
}

fn run_several(
    arguments: &Arguments,
    scenario: &Scenario,
    run: &dyn Fn(u64) -> Finished,
    seeds: RangeInclusive<u64>,
    output: &mut Output<'_>,
) -> Result<u8, String> {
    let mut worst = 0;
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    // Scripted triggers that fired in none of the runs: a schedule that is never reached proves nothing.
    let mut never_fired: Option<Vec<String>> = None;
    let (mut events, mut wall_ms, mut runs, mut unexpected) = (0, 0.0, 0, 0);
    for seed in seeds {
        let finished = run(seed);
        let report = &finished.report;
        runs += 1;
        events += report.events;
        wall_ms += report.wall_ms;
        *verdicts.entry(report.verdict.word()).or_default() += 1;
        match &mut never_fired {
            None => never_fired = Some(report.untriggered.clone()),
            Some(labels) => labels.retain(|label| report.untriggered.contains(label)),
        }
        unexpected += u64::from(!report.as_expected);
        let mut is_read = true;
        if arguments.json {
            is_read = output.print(&format!("{}\n", json(&finished)?));
        } else if !report.as_expected {
            let why = match &report.violation {
                Some(violation) => format!("{}: {}", violation.check, violation.message),
                None => report.unmet.join("; "),
            };
            is_read = output.print(&format!(
                "{}  {}  {why}\n",
                seed_text(seed),
                report.verdict.word()
            ));
        }
        if worst == 0 {
            worst = exit_code(scenario, &finished);
        }
        if !is_read {
            return Ok(worst);
        }
    }
    let never_fired = never_fired.unwrap_or_default();
    if !arguments.json {
        let counts: Vec<_> = verdicts
            .iter()
            .map(|(word, count)| format!("{count} {word}"))
            .chain((unexpected > 0).then(|| format!("{unexpected} not as expected")))
            .collect();
        output.print(&format!(
            "{}: {runs} runs: {}; {:.0} events/s, {:.1} runs/s\n",
            arguments.name,
            counts.join(", "),
            events as f64 / wall_ms.max(0.001) * 1_000.0,
            runs as f64 / wall_ms.max(0.001) * 1_000.0
        ));
        if !never_fired.is_empty() {
            output.print(&format!(
                "never triggered in any run: {}\n",
                never_fired.join(", ")
            ));
        }
    }
    Ok(if worst == 0 && !never_fired.is_empty() {
        1
    } else {
        worst
    })
}

pub(super) fn parse_range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").ok_or_else(|| {
        format!("\"{text}\" is no range of seeds; write 1..50, both ends included")
    })?;
    let (first, last) = (
        parse_seed(first)?,
        parse_seed(last.trim_start_matches('='))?,
    );
    if first > last {
        return Err(format!(
            "the range {text} is empty: its first seed is the larger one"
        ));
    }
    Ok(first..=last)
}

/// Plants bugs in a scenario, by their ids or aliases, beside those that its file names.
pub(super) fn plant(scenario: &mut Scenario, names: &[String]) -> Result<(), String> {
    for name in names {
        scenario.plan.bugs = scenario.plan.bugs.and(bug_named(name)?);
    }
    Ok(())
}

/// Something the user should know that is no error.
pub(super) fn remark(scenario: &Scenario) -> Option<String> {
    let ensemble = &scenario.plan.ensemble;
    (ensemble.voters.is_multiple_of(2) && ensemble.groups.is_empty() && ensemble.weights.is_empty())
        .then(|| {
            format!(
                "remark: {} voters survive no more failures than {} would; an odd number is usual",
                ensemble.voters,
                ensemble.voters - 1
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_both_ends() {
        assert_eq!(parse_range("1..3"), Ok(1..=3));
        assert_eq!(parse_range("7..=7"), Ok(7..=7));
        for bad in ["", "1", "3..1", "a..b", "1.."] {
            parse_range(bad).expect_err(bad);
        }
    }
}
