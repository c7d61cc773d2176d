//! `zabsim bugs`: the museum. The table of what is known; the hunt that measures it; the scripts that show each bug.

mod adopt;
mod check;
mod hunt;

use super::Output;
use crate::format::bug_named;
use crate::library::read_bounded;
use crate::museum::results::{FILE, Results};
use crate::museum::table;
use crate::replace::replace;
use std::path::{Path, PathBuf};
use zab::Bug;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The results to show [default: reports/bugs.json, or if there is none, those that came with the program]
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Print it as Markdown
    #[arg(long)]
    markdown: bool,
    /// Put it, as Markdown, between the two marks of this file
    #[arg(long, value_name = "FILE", conflicts_with = "markdown")]
    into: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Count how many seeds of `swarm` each bug takes until a check finds it, and keep that in reports/bugs.json
    Hunt(hunt::Arguments),
    /// Make scripts of what hunts caught: shrink a catch as far as most seeds show it, and keep it in scenarios/bugs/
    Adopt(adopt::Arguments),
    /// Run the scripts: each must fail with its bug, by the check in the table, and pass without it
    Check(check::Arguments),
}

pub(super) fn bugs(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    match &arguments.command {
        Some(Command::Hunt(arguments)) => hunt::hunt(arguments, output),
        Some(Command::Adopt(arguments)) => adopt::adopt(arguments, output),
        Some(Command::Check(arguments)) => check::check(arguments, output),
        None => show(arguments, output),
    }
}

fn show(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let results = results(arguments.results.as_deref())?;
    if let Some(file) = &arguments.into {
        let named = |why: String| format!("{}: {why}", file.display());
        let page = read_bounded(file, PAGE_BYTES_MAX, "page").map_err(named)?;
        replace(file, &table::put_into(&page, &results).map_err(named)?)?;
        output.print(&format!("Written into {}\n", file.display()));
    } else if arguments.markdown {
        output.print(&table::markdown(&results));
    } else {
        output.print(&table::text(&results));
    }
    Ok(0)
}

/// No page that has a table of a hundred bugs in it is larger.
const PAGE_BYTES_MAX: u64 = 8 << 20;

/// The results in a file, which must be there where it is named.
fn results(named: Option<&Path>) -> Result<Results, String> {
    match named {
        Some(file) if !file.exists() => Err(format!("{}: there is no such file", file.display())),
        Some(file) => Results::read(file),
        None => Results::read(Path::new(FILE)),
    }
}

/// The bugs of these ids or aliases, each once, in the museum's order; of none, all.
fn named(names: &[String]) -> Result<Vec<Bug>, String> {
    if names.is_empty() {
        return Ok(Bug::ALL.to_vec());
    }
    let named = names.iter().map(|name| bug_named(name));
    let mut bugs = named.collect::<Result<Vec<Bug>, String>>()?;
    bugs.sort();
    bugs.dedup();
    Ok(bugs)
}
