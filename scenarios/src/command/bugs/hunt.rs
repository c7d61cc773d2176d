//! `zabsim bugs hunt`: how many seeds each bug takes.

use super::super::{MEMORY_MIB, Output, cores};
use super::named;
use crate::campaign::{COMMIT, Hunt, RANGES, Stop, Subject};
use crate::library::{self, GENERATOR};
use crate::museum::results::{FILE, Found, Results};
use crate::museum::scripts::planted;
use std::path::PathBuf;
use std::time::Duration;
use zab::{Bug, Planted};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The bugs, by their ids or aliases [default: all]
    #[arg(value_name = "ID")]
    bugs: Vec<String>,
    /// The most seeds for each, in nine ranges of the same length
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(RANGES..=1 << 40))]
    seeds: u64,
    /// Runs side by side; the results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The file of the results. What it says of other bugs stays
    #[arg(long, value_name = "FILE", default_value = FILE)]
    out: PathBuf,
    /// Only those that the results say take so many seeds at most
    #[arg(long, value_name = "MEDIAN")]
    quick: Option<u64>,
    /// Only those that were not hunted yet with as many seeds, in this source
    #[arg(long)]
    resume: bool,
    /// How long a run may take by the wall clock until its worker is killed; such a run is no catch
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watchdog: u64,
}

pub(super) fn hunt(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let bugs = named(&arguments.bugs)?;
    let mut results = Results::read(&arguments.out)?;
    let seeds = arguments.seeds / RANGES;
    let is_wanted = |bug: &Bug| {
        let known = results.of(*bug);
        let quick = |most| known.seeds_median.is_some_and(|median| median <= most);
        let is_done = known.commit == COMMIT && known.seeds == seeds * RANGES;
        arguments.quick.is_none_or(quick) && !(arguments.resume && is_done)
    };
    let bugs: Vec<Bug> = bugs.into_iter().filter(is_wanted).collect();
    if !output.is_program {
        return Err("a hunt's runs are made by the program as its own workers".to_string());
    }
    let stop = Stop::on_signals()?;
    let (mut done, mut caught, mut lost) = (0, 0, Vec::new());
    for bug in &bugs {
        let before = results.of(*bug);
        let Some(found) = hunt_one(arguments, *bug, &before, seeds, &stop, output)? else {
            break;
        };
        output.print(&told(&found));
        let was_within_reach = before.seeds_median.is_some_and(|median| median <= seeds);
        if was_within_reach && !found.caught {
            lost.push(bug.entry().id);
        }
        done += 1;
        caught += u64::from(found.caught);
        results.put(*bug, found);
        results.write(&arguments.out)?;
    }
    let out = arguments.out.display();
    output.print(&format!("{caught} of {done} caught; written to {out}\n"));
    if done < bugs.len() {
        let left = bugs.len() - done;
        output.print(&format!(
            "It was asked to stop: {left} are left; --resume hunts those\n"
        ));
    }
    if lost.is_empty() {
        return Ok(0);
    }
    output.print(&format!("LOST, caught before: {}\n", lost.join(", ")));
    Ok(1)
}

/// What a hunt finds of one bug; `None`: it was asked to stop.
fn hunt_one(
    arguments: &Arguments,
    bug: Bug,
    before: &Found,
    seeds: u64,
    stop: &Stop,
    output: &mut Output<'_>,
) -> Result<Option<Found>, String> {
    let generator = library::find(GENERATOR).map_err(|error| error.to_string())?;
    let hunt = Hunt {
        subject: Subject {
            name: GENERATOR.to_string(),
            toml: planted(&generator, Planted::of(&[bug])).to_toml(),
        },
        seeds,
        jobs: arguments.jobs.map_or_else(cores, usize::from),
        memory_mib: MEMORY_MIB,
        watchdog: Duration::from_secs(arguments.watchdog),
    };
    let catches = hunt.run(stop, &mut |tried, ranges| {
        output.complain(&format!(
            "{bug}: {tried} of {seeds} seeds of each range; {ranges} ranges caught it"
        ));
    })?;
    Ok(catches.map(|catches| before.hunted(seeds, catches)))
}

fn told(found: &Found) -> String {
    let Found { id, alias, .. } = found;
    let check = found.check.as_deref().unwrap_or("no check");
    match (found.seeds_median, found.catches.len()) {
        (Some(median), _) => format!("{id} ({alias}): {median} seeds, {check}\n"),
        (None, 0) => format!("{id} ({alias}): not in {} seeds\n", found.seeds),
        (None, n) => format!(
            "{id} ({alias}): not in {} seeds, {n} of {RANGES} ranges, {check}\n",
            found.seeds
        ),
    }
}
