//! The `zabsim` command: `run`, `list`, `replay`, `shrink`, `adopt`, `bugs`, `campaign`, `merge`, `check`, `conform`, and without
//! arguments a short tour.
//!
//! Exit codes: 0 as expected, 1 a check failed or not as expected, 2 bad usage or input, 3 stuck, 4 diverged, 5 crashed,
//! 6 undecided, or hung.

mod adopt;
mod bugs;
mod campaign;
mod check;
mod conform;
mod input;
mod list;
mod merge;
mod replay;
mod run;
mod saved;
mod shrink;
mod tour;
mod worker;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;

/// Bad usage or bad input.
const USAGE: u8 = 2;

/// What a run may ask the system for, in MiB, where nothing else is said.
const MEMORY_MIB: u64 = 2_048;

/// How many runs are made side by side where nothing else is said: one on each core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

const AFTER_HELP: &str = "\
Without a command it gives a short tour. What to try:
  zabsim run leader-crash --seed 7
  zabsim run standard --seeds 1..200
  zabsim campaign --for 60s
  zabsim list scenarios
  zabsim check history.edn

Exit codes (`check --help` and `conform --help` say what they mean there):
  0  as the scenario expects
  1  a check failed, or the run was not what the scenario expects
  2  bad usage or input
  3  stuck: the run did not finish although it should have
  4  diverged: the same scenario and seed gave another run
  5  crashed: the system under test panicked
  6  undecided: a check met its effort limit; or hung: the wall clock ended it";

/// Simulates a ZooKeeper-like ensemble under faults, and says whether it kept its promises. The same scenario and seed give
/// the same run to the last bit.
#[derive(Parser)]
#[command(name = "zabsim", version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario: one of the library (see `list`), or a file
    Run(run::Arguments),
    /// List what there is, each with one sentence and as a scenario spells it
    List(list::Arguments),
    /// Repeat a saved run (`run.json`); exit code 4 if it comes out differently
    Replay(replay::Arguments),
    /// Make a run that failed as small as it can be and still fail in the same way: a scenario file that shows the failure
    Shrink(shrink::Arguments),
    /// Keep a shrunk failure as a regression: write it to scenarios/regressions/
    Adopt(adopt::Arguments),
    /// The museum of bugs that can be planted: how many seeds each takes until it is caught, and by which check
    Bugs(bugs::Arguments),
    /// Run many seeds in worker processes, for hours if you like; each distinct failure is reported once
    Campaign(campaign::Arguments),
    /// Join the results of campaigns: shards, or nights
    Merge(merge::Arguments),
    /// Say whether a history is linearizable: Jepsen's, Porcupine's, a recorded ZooKeeper's, or one of a run
    Check(check::Arguments),
    /// Hold the reference model, or a simulated ensemble, to the recorded answers of a real ZooKeeper server
    Conform(conform::Arguments),
    /// Make runs for a campaign, by orders on the standard input
    #[command(hide = true)]
    Worker(worker::Arguments),
}

/// Where a command writes: the terminal, or a test's buffers.
pub struct Output<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// What went wrong, and remarks.
    pub err: &'a mut dyn Write,
    /// Why what was asked for could not be written: a full disk.
    failed: Option<std::io::Error>,
    /// Whether this process is the program: it may start itself as a worker, and signals are for it.
    is_program: bool,
}

impl<'a> Output<'a> {
    /// Writes to these two.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Output<'a> {
        Output {
            out,
            err,
            failed: None,
            is_program: false,
        }
    }

    /// Whether anybody reads on: a reader that has had enough (`zabsim list | head`) is no error, but an end. Any other
    /// failure is one.
    fn print(&mut self, text: &str) -> bool {
        let done = self.out.write_all(text.as_bytes());
        match done.and_then(|()| self.out.flush()) {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::BrokenPipe {
                    self.failed.get_or_insert(error);
                }
                false
            }
        }
    }

    fn complain(&mut self, text: &str) {
        let _ = writeln!(self.err, "zabsim: {text}");
    }
}

/// Does what the process's command line says, and returns the exit code.
pub fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    ExitCode::from(run_with(
        std::env::args_os(),
        &mut Output {
            is_program: true,
            ..Output::new(&mut out, &mut err)
        },
    ))
}

/// Does what a command line says, its first word being the program's name, and returns the exit code.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>, output: &mut Output<'_>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // `--help` and `--version` come this way too, and are no errors.
        Err(message) if message.use_stderr() => {
            let _ = write!(output.err, "{}", message.render());
            return USAGE;
        }
        Err(message) => {
            output.print(&message.render().to_string());
            return written(0, output);
        }
    };
    let done = match arguments.command {
        None => tour::tour(output),
        Some(Command::Run(arguments)) => run::run(&arguments, output),
        Some(Command::List(arguments)) => list::list(&arguments, output),
        Some(Command::Replay(arguments)) => replay::replay(&arguments, output),
        Some(Command::Shrink(arguments)) => shrink::shrink(&arguments, output),
        Some(Command::Adopt(arguments)) => adopt::adopt(&arguments, output),
        Some(Command::Bugs(arguments)) => bugs::bugs(&arguments, output),
        Some(Command::Campaign(arguments)) => campaign::campaign(&arguments, output),
        Some(Command::Merge(arguments)) => merge::merge(&arguments, output),
        Some(Command::Worker(arguments)) => worker::worker(&arguments, output),
        Some(Command::Check(arguments)) => check::check(&arguments, output),
        Some(Command::Conform(arguments)) => conform::conform(&arguments, output),
    };
    let code = done.unwrap_or_else(|message| {
        output.complain(&message);
        USAGE
    });
    written(code, output)
}

/// The exit code, or bad usage where what was asked for could not be written.
fn written(code: u8, output: &mut Output<'_>) -> u8 {
    match output.failed.take() {
        Some(error) => {
            output.complain(&format!("cannot write what was asked for: {error}"));
            USAGE
        }
        None => code,
    }
}
