//! The `zabsim` command. See `zabsim --help`, or the README.

use std::process::ExitCode;

fn main() -> ExitCode {
    zabsim_scenarios::command::main()
}
