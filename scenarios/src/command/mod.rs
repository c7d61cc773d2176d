//! The `zabsim` command: `run`, `list`, `replay`, and without arguments a short tour.
//!
//! Exit codes: 0 as expected, 1 a check failed, 2 bad usage or input, 3 stuck, 4 diverged, 5 crashed, 6 undecided.

mod list;
mod replay;
mod run;
mod tour;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Bad usage or bad input.
const USAGE: u8 = 2;

const AFTER_HELP: &str = "\
Exit codes: 0 as the scenario expects, 1 a check failed, 2 bad usage or input, 3 stuck, 4 the same seed gave another run,
5 the system under test panicked, 6 undecided.

Without a command it gives a short tour.";

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
    /// List the scenarios, workloads, faults, targets and checks, each with one sentence
    List(list::Arguments),
    /// Repeat a saved run (`run.json`); exit code 4 if it comes out differently
    Replay(replay::Arguments),
}

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // `--help` and `--version` come this way too, and are no errors.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let done = match arguments.command {
        None => tour::tour(),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::List(arguments)) => list::list(&arguments),
        Some(Command::Replay(arguments)) => replay::replay(&arguments),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("zabsim: {message}");
            ExitCode::from(USAGE)
        }
    }
}

/// Prints to standard output. A reader that has had enough (`zabsim list | head`) is no error.
pub(crate) fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
