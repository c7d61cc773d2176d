//! `zabsim shrink`: a run that failed, made as small as it can be. The best so far is always in the file: whoever interrupts
//! has it.

use super::saved::SavedRun;
use super::{MEMORY_MIB, Output, cores};
use crate::campaign::{MINIMAL, Stop, Trials};
use crate::format::Scenario;
use crate::library;
use crate::runner::run_scenario;
use crate::shrink::{self, BUDGET, Hands, Kept, Request, Shrunk, State, Threads, sizes};
use std::path::{Path, PathBuf};
use zabsim::{parse_seed, seed_text};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A saved run (run.json, or the directory that holds it), or a scenario's name or file
    #[arg(value_name = "RUN")]
    run: String,
    /// The seed, where RUN is a scenario [default: the file's own, else 1]
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// The most runs to try
    #[arg(long, value_name = "RUNS", default_value_t = BUDGET, value_parser = clap::value_parser!(u64).range(1..))]
    budget: u64,
    /// Runs side by side; the result does not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The file to write [default: minimal.toml beside run.json, or NAME-SEED-minimal.toml here]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on though the file is there already: it is replaced by what is smaller, or fails in another way
    #[arg(long)]
    force: bool,
}

/// What is to be shrunk.
struct Failure {
    scenario: Scenario,
    named: String,
    seed: u64,
    file: PathBuf,
}

pub(super) fn shrink(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let failure = find(arguments)?;
    let file = arguments.out.as_ref().unwrap_or(&failure.file);
    if file.exists() && !arguments.force {
        return Err(format!(
            "{} is there already; name another file with --out, or say --force",
            file.display()
        ));
    }
    let threads = arguments.jobs.map_or_else(cores, usize::from);
    // Whoever calls this as a function has no program that could be a worker.
    if !output.is_program {
        return shrink_with(&failure, file, arguments.budget, &Threads(threads), output);
    }
    let stop = Stop::on_signals()?;
    let trials = Trials::with_workers(threads, MEMORY_MIB, &stop);
    let done = shrink_with(&failure, file, arguments.budget, &trials, output);
    match trials.broken() {
        Some(why) => Err(why.to_string()),
        None => done,
    }
}

fn shrink_with(
    failure: &Failure,
    file: &Path,
    budget: u64,
    hands: &dyn Hands,
    output: &mut Output<'_>,
) -> Result<u8, String> {
    let request = Request {
        scenario: &failure.scenario,
        named: &failure.named,
        seed: failure.seed,
        budget,
        hands,
    };
    let mut kept = Kept::new(file, hands);
    let mut unwritten = None;
    let mut told = Told::default();
    let shrunk = shrink::shrink(&request, &mut |best| {
        told.tell(best, budget, output);
        unwritten = kept.put(best).err();
        unwritten.is_none()
    });
    let shrunk = shrunk.map_err(|why| {
        let seed = seed_text(failure.seed);
        format!("{}, seed {seed}: {why}", failure.named)
    })?;
    if let Some(why) = unwritten {
        return Err(why);
    }
    let is_kept = kept.put(&shrunk)?;
    output.print(&summary(&shrunk, file, is_kept));
    Ok(0)
}

fn summary(shrunk: &Shrunk, file: &Path, is_kept: bool) -> String {
    let violation = &shrunk.violation;
    let minimal = match shrunk.state {
        State::Minimal => "1-minimal",
        State::Spent => "perhaps not minimal: the runs are used up; --budget allows more",
        State::UnderWay => "not minimal: it was asked to stop; this is the best so far",
    };
    let saved = match is_kept {
        true => "Saved      ",
        false => "Not saved, since what is there is smaller, and fails so too: ",
    };
    format!(
        "Fails      {}, {}: {}\nFrom       {}\nTo         {} ({minimal}, {} runs)\nFingerprint {}\n{saved}{}\nRepeat     cargo run --release -- run {}\n",
        violation.check,
        shrunk.fingerprint.phase.word(),
        violation.message,
        shrunk.origin.size,
        sizes(&shrunk.scenario),
        shrunk.runs,
        shrunk.fingerprint.id(),
        file.display(),
        file.display(),
    )
}

fn find(arguments: &Arguments) -> Result<Failure, String> {
    let path = Path::new(&arguments.run);
    if !path.is_dir() && path.extension().is_none_or(|e| e != "json") {
        let scenario = library::find(&arguments.run).map_err(|error| error.to_string())?;
        let seed = match &arguments.seed {
            Some(text) => parse_seed(text)?,
            None => scenario.seed.unwrap_or(1),
        };
        let file = format!("{}-{}-{MINIMAL}", scenario.plan.name, seed_text(seed));
        return Ok(Failure {
            file: file.replace('/', "-").into(),
            scenario,
            named: arguments.run.clone(),
            seed,
        });
    }
    if arguments.seed.is_some() {
        return Err(format!(
            "{} is a saved run, which has its seed; --seed goes with a scenario",
            path.display()
        ));
    }
    let run = SavedRun::read(path)?;
    let again = run_scenario(&run.scenario, &run.report.scenario, run.seed, false);
    if again.report.trace_hash != run.report.trace_hash {
        return Err(format!(
            "{}: saved with trace hash {}, now the run has {}: another build saved it, and here its seed means another run",
            run.file.display(),
            run.report.trace_hash,
            again.report.trace_hash
        ));
    }
    Ok(Failure {
        named: run.report.scenario.clone(),
        scenario: run.scenario,
        seed: run.seed,
        file: run.file.with_file_name(MINIMAL),
    })
}

/// Tells of progress, now and then.
#[derive(Default)]
struct Told {
    next: u64,
    last: String,
}

/// Runs from one line of progress to the next, at least.
const RUNS_A_LINE: u64 = 50;

impl Told {
    fn tell(&mut self, best: &Shrunk, budget: u64, output: &mut Output<'_>) {
        let sizes = sizes(&best.scenario);
        if best.runs < self.next || sizes == self.last {
            return;
        }
        self.next = best.runs + RUNS_A_LINE;
        output.complain(&format!("run {} of at most {budget}: {}", best.runs, sizes));
        self.last = sizes;
    }
}
