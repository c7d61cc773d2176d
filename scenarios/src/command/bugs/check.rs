//! `zabsim bugs check`: the scripts do what they are there for.

use super::super::run::parse_range;
use super::super::{Output, cores};
use super::{named, results};
use crate::museum::scripts::{self, MUST_FAIL, SEEDS, check_of, hold, is_asked};
use std::path::PathBuf;
use zab::Bug;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The bugs, by their ids or aliases [default: all]
    #[arg(value_name = "ID")]
    bugs: Vec<String>,
    /// The seeds, both ends included. With the bug, a quarter of them may pass, or five if that is more
    #[arg(long, value_name = "FIRST..LAST", default_value = "1..20")]
    seeds: String,
    /// Runs side by side [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The results, which name the checks [default: reports/bugs.json, or if there is none, those that came with the program]
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Leave out the bugs that have no script. Else some hundred runs of `swarm` look for one that comes by such a bug's switch
    #[arg(long)]
    scripted: bool,
    /// Say each script's count
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn check(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let bugs = named(&arguments.bugs)?;
    let results = results(arguments.results.as_deref())?;
    let seeds = parse_range(&arguments.seeds)?;
    let count = seeds.end() - seeds.start() + 1;
    let must_fail = must_fail(count);
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let (mut right, mut wrong, mut without) = (0, 0, 0);
    for stranger in scripts::strangers() {
        wrong += 1;
        output.print(&format!(
            "{}/{stranger}.toml: WRONG: it belongs to no bug\n",
            scripts::DIRECTORY
        ));
    }
    for bug in bugs {
        let complaints = match scripts::of(bug) {
            Some(script) => {
                let (script, check) = (script?, check_of(bug, &results)?);
                let held = hold(bug, &script, &check, seeds.clone(), seeds.clone(), jobs);
                if arguments.verbose {
                    output.print(&format!("{bug}: {held}: {check}\n"));
                }
                held.wrong(&check, must_fail)
            }
            None if arguments.scripted => continue,
            None => unscripted(bug, &mut without)?,
        };
        match complaints.is_empty() {
            true => right += 1,
            false => wrong += 1,
        }
        for complaint in complaints {
            output.print(&format!("{bug}: WRONG: {complaint}\n"));
        }
    }
    output.print(&format!(
        "{right} bugs as they must be ({without} of them without a script), {wrong} not\n"
    ));
    Ok(u8::from(wrong > 0))
}

/// Of a bug without a script, at least that its switch is there.
fn unscripted(bug: Bug, without: &mut u64) -> Result<Vec<String>, String> {
    if is_asked(bug)? {
        *without += 1;
        return Ok(Vec::new());
    }
    Ok(vec![
        "it has no script, and no run comes by its switch".to_string(),
    ])
}

/// Of so many seeds, how many must fail with the bug. What holds of the first twenty implies what is asked of fewer.
fn must_fail(count: u64) -> u64 {
    let spare = SEEDS.count() as u64 - MUST_FAIL;
    count.saturating_sub(spare.max(count / 4)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_seeds_ask_for_no_more_than_twenty_do() {
        assert_eq!([1, 6, 7, 20, 40].map(must_fail), [1, 1, 2, 15, 30]);
    }
}
