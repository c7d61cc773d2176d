//! A saved run, read again: `run.json`, or the directory that holds it. What another build saved is refused, since a seed
//! means something else there.

use crate::campaign::WHY;
use crate::format::Scenario;
use crate::library::read_bounded;
use std::path::{Path, PathBuf};
use zabsim::parse_seed;
use zabsim_reports::RUN_BYTES_MAX;
use zabsim_types::run::{RUN_SCHEMA, RunReport};

/// A run that was saved.
pub(super) struct SavedRun {
    /// Its `run.json`.
    pub(super) file: PathBuf,
    pub(super) report: RunReport,
    /// What was run, before anything was drawn.
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
}

impl SavedRun {
    pub(super) fn read(path: &Path) -> Result<SavedRun, String> {
        let file = match path.is_dir() {
            true => path.join("run.json"),
            false => path.to_path_buf(),
        };
        if let Some(why) = told_nothing(path) {
            return Err(why);
        }
        let report = read_report(&file)?;
        let name = file.display();
        let ours = env!("CARGO_PKG_VERSION");
        if report.version != ours {
            return Err(format!(
                "{name}: saved by version {}, this is {ours}; what a seed means changes between versions",
                report.version
            ));
        }
        let scenario = Scenario::parse(&format!("{name} (its scenario)"), &report.scenario_toml)
            .map_err(|error| error.to_string())?;
        let seed = parse_seed(&report.seed).map_err(|why| format!("{name}: {why}"))?;
        Ok(SavedRun {
            file,
            report,
            scenario,
            seed,
        })
    }
}

/// Of the directory of a run that told nothing of itself: that, and what can be done with it.
pub(super) fn told_nothing(dir: &Path) -> Option<String> {
    let is_silent = dir.join(WHY).exists() && !dir.join("run.json").exists();
    is_silent.then(|| {
        let name = dir.display();
        format!(
            "{name} holds a run that hung, or was the end of its process ({WHY}): there is no report to go by, so it can be neither replayed nor shrunk nor adopted; `zabsim run {name}/scenario.toml --seed N` makes it again, in this process"
        )
    })
}

fn read_report(file: &Path) -> Result<RunReport, String> {
    let name = file.display();
    let text =
        read_bounded(file, RUN_BYTES_MAX, "saved run").map_err(|why| format!("{name}: {why}"))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        let cut = if error.is_eof() {
            ", it seems to be cut off"
        } else {
            ""
        };
        format!("{name}:{}: not a saved run{cut}: {error}", error.line())
    })?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(RUN_SCHEMA) => {}
        Some(schema) => {
            return Err(format!(
                "{name}: saved with schema {schema}; this build reads schema {RUN_SCHEMA}"
            ));
        }
        None => return Err(format!("{name}: not a saved run: it has no `schema`")),
    }
    serde_json::from_value(value).map_err(|error| format!("{name}: not a saved run: {error}"))
}
