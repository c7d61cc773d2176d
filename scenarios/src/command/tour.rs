//! Without arguments: a short tour for somebody who has just built the program.

use super::Output;
use crate::library;
use crate::runner::run_scenario;
use zabsim_reports::{Detail, render};

/// The tour's scenario and seed.
const SCENARIO: &str = "leader-crash";
const SEED: u64 = 1;

pub(super) fn tour(output: &mut Output<'_>) -> Result<u8, String> {
    let scenario = library::find(SCENARIO).map_err(|error| error.to_string())?;
    output.print(
        "zabsim runs a whole ZAB ensemble, its clients and its faults in one deterministic simulation, and checks what the\n\
         servers and the clients saw. Here is one run: clients hold locks and elect leaders while the servers' leader dies.\n\n",
    );
    let finished = run_scenario(&scenario, SCENARIO, SEED, false);
    output.print(&render(&finished.report, Detail::Short));
    output.print(
        "\nThe same scenario and seed give the same trace hash, on any machine. What to try next:\n\
         \x20 cargo run --release -- run leader-crash --seed 2      another seed: the same faults, another interleaving\n\
         \x20 cargo run --release -- run standard -v                five servers, random faults, everything shown\n\
         \x20 cargo run --release -- run standard --seeds 1..200    many seeds, one line each for what went wrong\n\
         \x20 cargo run --release -- list                           every scenario, workload, fault and check\n\
         \x20 cargo run --release -- run standard --out saved       keep the run, its history and its drawn scenario\n\
         \x20 cargo run --release -- replay saved                   and repeat it to the last bit\n",
    );
    Ok(if finished.report.as_expected {
        0
    } else {
        finished.report.verdict.exit_code().max(1)
    })
}
