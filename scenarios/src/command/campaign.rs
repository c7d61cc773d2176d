//! `zabsim campaign`: many seeds, in worker processes.

use super::run::{parse_range, plant, remark};
use super::{MEMORY_MIB, Output, cores};
use crate::campaign::{self, Ended, Plant, Seeds, Shard, Subject, Wanted};
use crate::format::{duration_text, parse_time_us};
use crate::library::{self, GENERATOR};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
use zabsim::parse_seed;
use zabsim_reports::render_campaign;
use zabsim_types::campaign::Summary;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Scenarios (`zabsim list scenarios`), or TOML files; each runs with each seed [default: swarm]
    names: Vec<String>,
    /// The seeds, both ends included: 1..2000; or 1.. for as many as there is time for [default: 1..]
    #[arg(long, value_name = "FIRST..LAST")]
    seeds: Option<String>,
    /// How long to run: 90s, 30m, 8h. With --seeds, whichever end comes first [default: 60s, where --seeds has no end]
    #[arg(long = "for", value_name = "TIME")]
    duration: Option<String>,
    /// Worker processes [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// The campaign's directory, which is made if it is not there [default: the next of campaigns/001, 002, …]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make only this part of the seeds: 2/4 is the second of four. `zabsim merge` joins the parts
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Go on with the campaign that --out holds (without --out: the last one), from where it was ended or killed
    #[arg(long)]
    resume: bool,
    /// Go on after failures; this is what is done anyway
    #[arg(long, conflicts_with = "fail_fast")]
    keep_going: bool,
    /// Begin no run any more after the first failure
    #[arg(long)]
    fail_fast: bool,
    /// Take half of the runs of scenarios in which everything is drawn from this directory's scenarios, changed; at the end, add
    /// those that reached marks, or pairs of marks, that none of them had. It need not be there yet
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Plant a bug of the museum in each scenario, by its id or alias; may be said more than once
    #[arg(long = "bug", value_name = "ID")]
    bugs: Vec<String>,
    /// Make this share of the runs twice, and compare their trace hashes
    #[arg(long, value_name = "PERCENT")]
    recheck: Option<String>,
    /// How long a run may take by the wall clock until its worker is killed
    #[arg(long, value_name = "TIME", default_value = "60s")]
    watchdog: String,
    /// The most memory that a worker may have, in MiB
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB, value_parser = clap::value_parser!(u64).range(128..))]
    memory: u64,
    /// How long each distinct failure's fastest run is shrunk at the end, all failures together
    #[arg(long, value_name = "TIME", default_value = "5m")]
    shrink_for: String,
    /// Shrink nothing; `zabsim shrink` does it later
    #[arg(long, conflicts_with = "shrink_for")]
    no_shrink: bool,
    /// Print exactly one JSON object: the summary
    #[arg(long)]
    json: bool,
    /// A failure that a test plants
    #[arg(long, hide = true)]
    plant: Vec<Plant>,
}

pub(super) fn campaign(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let wanted = wanted(arguments, output)?;
    let ended = campaign::run(&wanted, output.err)?;
    for remark in &ended.remarks {
        output.complain(remark);
    }
    tell(&ended, arguments.json, output)?;
    match ended.broken {
        Some(why) => Err(why),
        None => Ok(exit_code(&ended.summary)),
    }
}

fn tell(ended: &Ended, json: bool, output: &mut Output<'_>) -> Result<(), String> {
    if json {
        let json = serde_json::to_string(&ended.summary).map_err(|error| error.to_string())?;
        output.print(&format!("{json}\n"));
        return Ok(());
    }
    let dir = ended.dir.display();
    output.print(&format!(
        "{}\nWritten to {dir}\n",
        render_campaign(&ended.summary)
    ));
    if ended.summary.cut_short.is_some() {
        output.print(&format!(
            "`zabsim campaign --resume --out {dir}` goes on with it\n"
        ));
    }
    Ok(())
}

/// 0 where nothing failed, and otherwise the gravest failure's: a violated check before a crash, a divergence, and so on.
pub(super) fn exit_code(summary: &Summary) -> u8 {
    let gravest = [
        ("fail", 1),
        ("pass", 1),
        ("crashed", 5),
        ("diverged", 4),
        ("stuck", 3),
    ];
    let failed = |word: &str| summary.failures.iter().any(|f| f.verdict == word);
    let code = gravest.iter().find(|(word, _)| failed(word));
    match code {
        Some((_, code)) => *code,
        None if summary.failures.is_empty() => 0,
        None => 6,
    }
}

fn wanted(arguments: &Arguments, output: &mut Output<'_>) -> Result<Wanted, String> {
    let seeds = arguments.seeds.as_deref().map(seeds).transpose()?;
    let duration = match &arguments.duration {
        Some(text) => Some(time("--for", text)?),
        None => None,
    };
    let recheck = arguments.recheck.as_deref().map(per_mille).transpose()?;
    let jobs = arguments.jobs.map_or_else(cores, NonZeroUsize::get);
    if jobs > JOBS_MAX {
        return Err(format!("--jobs {jobs}: at most {JOBS_MAX} are allowed"));
    }
    let scenarios = subjects(arguments, output)?;
    if let (Some(_), Some(subjects)) = (&arguments.corpus, &scenarios)
        && !subjects.iter().any(|s| s.scenario().is_ok_and(|s| s.whole))
    {
        return Err(format!(
            "--corpus is for scenarios in which everything is drawn, as {GENERATOR}; there is none here"
        ));
    }
    Ok(Wanted {
        scenarios,
        seeds,
        shard: arguments.shard,
        recheck_per_mille: recheck,
        corpus: arguments.corpus.clone(),
        duration,
        jobs,
        out: arguments.out.clone(),
        resume: arguments.resume,
        fail_fast: arguments.fail_fast,
        watchdog: time("--watchdog", &arguments.watchdog)?,
        memory_mib: arguments.memory,
        shrink_for: match arguments.no_shrink {
            true => Duration::ZERO,
            false => time("--shrink-for", &arguments.shrink_for)?,
        },
        plants: arguments.plant.clone(),
    })
}

/// More workers than this are a typing error.
const JOBS_MAX: usize = 1_024;

/// The scenarios that are named; `None`: those of the campaign that is taken up again.
fn subjects(
    arguments: &Arguments,
    output: &mut Output<'_>,
) -> Result<Option<Vec<Subject>>, String> {
    let mut names: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
    if names.is_empty() {
        // A campaign that is taken up again knows its scenarios.
        if arguments.resume && arguments.bugs.is_empty() {
            return Ok(None);
        }
        names.push(GENERATOR);
    }
    let mut subjects: Vec<Subject> = Vec::new();
    for name in names {
        if subjects.iter().any(|subject| subject.name == name) {
            return Err(format!("the scenario {name} is named twice"));
        }
        let mut scenario = library::find(name).map_err(|error| error.to_string())?;
        plant(&mut scenario, &arguments.bugs)?;
        if let Some(remark) = remark(&scenario) {
            output.complain(&format!("{name}: {remark}"));
        }
        subjects.push(Subject {
            name: name.to_string(),
            toml: scenario.to_toml(),
        });
    }
    Ok(Some(subjects))
}

fn seeds(text: &str) -> Result<Seeds, String> {
    if let Some(first) = text.strip_suffix("..") {
        let (first, last) = (parse_seed(first)?, u64::MAX);
        return Ok(Seeds { first, last });
    }
    let range = parse_range(text)?;
    let (first, last) = range.into_inner();
    Ok(Seeds { first, last })
}

fn time(option: &str, text: &str) -> Result<Duration, String> {
    /// Nobody waits longer.
    const MAX_US: u64 = 366 * 86_400 * 1_000_000;
    let us = parse_time_us(text).ok_or_else(|| {
        format!(
            "{option} \"{text}\" is no time; write a whole number and a unit, ms, s, m or h: 90s"
        )
    })?;
    match us {
        0 => Err(format!("{option} {text}: that is no time at all")),
        1..=MAX_US => Ok(Duration::from_micros(us)),
        _ => Err(format!(
            "{option} {text}: at most {} is allowed",
            duration_text(MAX_US)
        )),
    }
}

fn per_mille(text: &str) -> Result<u32, String> {
    let wrong = || format!("--recheck \"{text}\" is no share; write 0% to 100%");
    let percent: u32 = text
        .strip_suffix('%')
        .unwrap_or(text)
        .parse()
        .map_err(|_| wrong())?;
    match percent {
        0..=100 => Ok(percent * 10),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_may_have_no_end() {
        assert_eq!(seeds("1..9"), Ok(Seeds { first: 1, last: 9 }));
        let last = u64::MAX;
        assert_eq!(seeds("7.."), Ok(Seeds { first: 7, last }));
        for bad in ["", "..", "..9", "9..1", "x.."] {
            seeds(bad).expect_err(bad);
        }
    }

    #[test]
    fn times_and_shares_are_told_how_they_are_written() {
        assert_eq!(time("--for", "8h"), Ok(Duration::from_secs(8 * 3_600)));
        for bad in ["", "8", "h", "0s", "99999h", "-1s"] {
            let why = time("--for", bad).expect_err(bad);
            assert!(why.starts_with("--for"), "{why}");
        }
        assert_eq!(per_mille("5%"), Ok(50));
        assert_eq!(per_mille("100"), Ok(1_000));
        for bad in ["", "%", "101%", "-5%", "0.5%"] {
            per_mille(bad).expect_err(bad);
        }
    }
}
