//! `zabsim adopt`: a shrunk failure becomes a regression, a scenario that must pass from the day on which it is mended.

use super::Output;
use super::saved::told_nothing;
use crate::campaign::MINIMAL;
use crate::fingerprint::Fingerprint;
use crate::format::{BYTES_MAX, Scenario};
use crate::library::read_bounded;
use crate::replace::replace;
use crate::runner::run_scenario;
use crate::shrink::{remarks, said_fingerprint};
use std::path::{Path, PathBuf};
use zabsim::parse_seed;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The directory of a saved run, in which `shrink` wrote minimal.toml; or a scenario that fails: one that `shrink` wrote, or
    /// any other with its seed, which is kept as it is
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The regression's name, and its file's [default: the check and the beginning of the fingerprint]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// One sentence on it [default: what was violated]
    #[arg(long, value_name = "SENTENCE")]
    about: Option<String>,
    /// The seed, where the file names none
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// The directory of the regressions
    #[arg(long, value_name = "DIR", default_value = REGRESSIONS)]
    into: PathBuf,
}

/// Where the regressions of the project are.
const REGRESSIONS: &str = "scenarios/regressions";

pub(super) fn adopt(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let file = shrunk_file(&arguments.run)?;
    let from = file.display();
    let text =
        read_bounded(&file, BYTES_MAX, "scenario").map_err(|why| format!("{from}: {why}"))?;
    let mut scenario =
        Scenario::parse(&from.to_string(), &text).map_err(|error| error.to_string())?;
    if !scenario.plan.bugs.is_empty() && arguments.into == Path::new(REGRESSIONS) {
        let planted: Vec<String> = scenario.plan.bugs.iter().map(|b| b.to_string()).collect();
        return Err(format!(
            "{from} plants {}: that is no regression, which must pass one day; take `bugs` out of it, or keep it elsewhere with --into",
            planted.join(", ")
        ));
    }
    let seed = match (&arguments.seed, scenario.seed) {
        (Some(seed), _) => parse_seed(seed)?,
        (None, Some(seed)) => seed,
        (None, None) => return Err(format!("{from} names no seed; say --seed")),
    };
    let report = run_scenario(&scenario, &from.to_string(), seed, false).report;
    let Some((fingerprint, violation)) = Fingerprint::of(&report).zip(report.violation) else {
        return Err(format!(
            "{from} passes with its seed: there is no failure to keep"
        ));
    };
    let remarks: String = remarks(&text).map(|line| format!("{line}\n")).collect();
    if let Some(said) = said_fingerprint(&remarks)
        && said != fingerprint.id()
    {
        return Err(format!(
            "{from} says that it shows fingerprint {said}, and shows {}: {fingerprint}",
            fingerprint.id()
        ));
    }
    scenario.seed = Some(seed);
    scenario.plan.name = arguments
        .name
        .clone()
        .unwrap_or_else(|| scenario.plan.name.clone());
    if let Some(about) = &arguments.about {
        scenario.plan.about.clone_from(about);
    }
    let regression = match remarks.is_empty() {
        false => format!("{}{}", remarks, scenario.to_toml()),
        true => format!(
            "# Shows a violation of {}: {}.\n# Fingerprint {}.\n{}",
            violation.check,
            violation.message.replace(['\n', '\r'], " "),
            fingerprint.id(),
            scenario.to_toml()
        ),
    };
    let target = target(&arguments.into, &scenario.plan.name)?;
    if target.exists() {
        let there = read_bounded(&target, BYTES_MAX, "scenario")
            .map_err(|why| format!("{}: {why}", target.display()))?;
        if there != regression {
            return Err(format!(
                "{} is another regression; give this one a name with --name",
                target.display()
            ));
        }
    }
    replace(&target, &regression)?;
    output.print(&format!(
        "Adopted    {}\nShows      {fingerprint}\nIt must pass from the day on which this is mended; `cargo test -p zabsim-tests --test library` runs it.\n",
        target.display()
    ));
    Ok(0)
}

/// The file that `shrink` wrote for what was named.
fn shrunk_file(run: &Path) -> Result<PathBuf, String> {
    let is_saved_run = run.extension().is_some_and(|e| e == "json");
    let directory = match (run.is_dir(), is_saved_run) {
        (true, _) => run,
        (false, true) => run.parent().unwrap_or(Path::new("")),
        (false, false) => return Ok(run.to_path_buf()),
    };
    if let Some(why) = told_nothing(directory) {
        return Err(why);
    }
    let file = directory.join(MINIMAL);
    match file.exists() {
        true => Ok(file),
        false => Err(format!(
            "{} has no {MINIMAL}; make one with `zabsim shrink {}`",
            directory.display(),
            run.display()
        )),
    }
}

fn target(into: &Path, name: &str) -> Result<PathBuf, String> {
    if !into.is_dir() {
        return Err(format!(
            "{} is no directory here; call this at the top of the project, or name the directory with --into",
            into.display()
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(plain) {
        true => Ok(into.join(format!("{name}.toml"))),
        false => Err(format!(
            "\"{name}\" is no name for a regression; letters, digits, - and _ are allowed"
        )),
    }
}
