//! `zabsim bugs adopt`: scripts of what hunts caught.

use super::super::{MEMORY_MIB, Output, cores};
use super::named;
use crate::campaign::{Stop, Trials};
use crate::format::Scenario;
use crate::library::{self, GENERATOR, LIBRARY};
use crate::museum::adopt::{Script, Showing, script};
use crate::museum::results::{FILE, Found, Results};
use crate::museum::scripts::{self, planted};
use crate::replace::replace;
use crate::shrink::{Hands, Tried};
use std::path::PathBuf;
use zab::{Bug, Planted};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The bugs, by their ids or aliases [default: all that have no script yet]
    #[arg(value_name = "ID")]
    bugs: Vec<String>,
    /// The most runs of each shrinking
    #[arg(long, value_name = "RUNS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    budget: u64,
    /// Runs side by side; the results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Where there is what a hunt found; which script belongs to a bug is added to it
    #[arg(long, value_name = "FILE", default_value = FILE)]
    results: PathBuf,
    /// The directory of the scripts
    #[arg(long, value_name = "DIR", default_value = scripts::DIRECTORY)]
    into: PathBuf,
    /// Shrink what shows the bug in this scenario, one of the library or a file, instead of what a hunt caught
    #[arg(long, value_name = "SCENARIO")]
    from: Option<String>,
}

pub(super) fn adopt(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let mut bugs = named(&arguments.bugs)?;
    let mut results = Results::read(&arguments.results)?;
    if arguments.bugs.is_empty() {
        bugs.retain(|bug| results.of(*bug).scenario.is_none());
    }
    if !arguments.into.is_dir() {
        return Err(format!(
            "{} is no directory here; call this at the top of the project, or name the directory with --into",
            arguments.into.display()
        ));
    }
    if !output.is_program {
        return Err("scripts are shrunk by the program as its own workers".to_string());
    }
    let stop = Stop::on_signals()?;
    let trials = Trials::with_workers(
        arguments.jobs.map_or_else(cores, usize::from),
        MEMORY_MIB,
        &stop,
    );
    let mut without = Vec::new();
    for bug in bugs {
        let found = results.of(bug);
        let made = adopt_one(arguments, bug, &found, &trials, output)?;
        if let Some(why) = trials.broken() {
            return Err(why.to_string());
        }
        if stop.is_set() {
            break;
        }
        let Some((script, check)) = made else {
            without.push(bug.entry().id);
            continue;
        };
        let file = arguments.into.join(format!("{}.toml", scripts::name(bug)));
        replace(&file, &script.text)?;
        output.print(&format!(
            "{bug}: {} of 20 seeds fail by {check}; {}\n",
            script.fails, script.size
        ));
        let found = Found {
            check: Some(check),
            scenario: Some(scripts::path(bug)),
            ..found
        };
        results.put(bug, found);
        results.write(&arguments.results)?;
    }
    if without.is_empty() {
        return Ok(0);
    }
    output.print(&format!("Without a script: {}\n", without.join(", ")));
    Ok(1)
}

/// A script for a bug and the check that it fails by: of what a hunt caught, the least first, or else of the library.
fn adopt_one(
    arguments: &Arguments,
    bug: Bug,
    found: &Found,
    hands: &dyn Hands,
    output: &mut Output<'_>,
) -> Result<Option<(Script, String)>, String> {
    for (showing, check) in showing(arguments, bug, found, hands)? {
        match script(bug, &check, &showing, arguments.budget, hands) {
            Ok(script) => return Ok(Some((script, check))),
            Err(why) => output.complain(&format!("{bug}: {why}")),
        }
        if hands.is_over() {
            break;
        }
    }
    Ok(None)
}

/// Runs that show the bug, those that are most likely to be of use first, and the check that each fails by.
fn showing(
    arguments: &Arguments,
    bug: Bug,
    found: &Found,
    hands: &dyn Hands,
) -> Result<Vec<(Showing, String)>, String> {
    let find = |name: &str| library::find(name).map_err(|error| error.to_string());
    if let Some(name) = &arguments.from {
        let scenario = find(name)?;
        return Ok(shown_by(bug, name, &scenario, hands).into_iter().collect());
    }
    let swarm = find(GENERATOR)?;
    // Those by the check that the table names; the ones with the fewest events are the smallest.
    let mut catches = found.catches.clone();
    catches.retain(|catch| Some(&catch.check) == found.check.as_ref());
    catches.sort_by_key(|catch| catch.events);
    let caught = catches.into_iter().map(|catch| {
        let showing = Showing {
            scenario: swarm.clone(),
            named: GENERATOR.to_string(),
            seed: catch.seed,
        };
        (showing, catch.check)
    });
    let mut all: Vec<_> = caught.collect();
    for entry in LIBRARY {
        let scenario = entry.scenario().map_err(|error| error.to_string())?;
        let by_check = |check: &str| found.check.as_deref().is_none_or(|known| known == check);
        if !scenario.whole
            && let Some((showing, check)) = shown_by(bug, entry.name, &scenario, hands)
            && by_check(&check)
        {
            all.push((showing, check));
        }
    }
    Ok(all)
}

/// Of a scenario with the bug, the first of a few seeds that shows it.
fn shown_by(
    bug: Bug,
    name: &str,
    scenario: &Scenario,
    hands: &dyn Hands,
) -> Option<(Showing, String)> {
    const SEEDS: u64 = 3;
    let sick = planted(scenario, Planted::of(&[bug]));
    (1..=SEEDS).find_map(|seed| match hands.attempt(0, &sick, seed, None) {
        Tried::Shows(shown) => {
            let showing = Showing {
                scenario: scenario.clone(),
                named: name.to_string(),
                seed,
            };
            Some((showing, shown.violation.check))
        }
        _ => None,
    })
}
