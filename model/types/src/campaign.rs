//! The summary of a campaign, as `summary.json` carries it. It is the same for the same runs, in whatever order and however
//! divided they were made, but for the times in it and for what a wall clock ended.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of a campaign's files that this build writes and reads.
pub const CAMPAIGN_SCHEMA: u32 = 1;

/// How many seeds of a failure are kept: the fastest.
pub const SEEDS_KEPT: usize = 4;

/// Everything that a campaign says of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// `CAMPAIGN_SCHEMA` of the writer.
    pub schema: u32,
    /// The writer's crate version.
    pub version: String,
    /// The source's commit, with a `+` and a hash of the sources where they are not what is committed; several where campaigns
    /// of several were merged, sorted.
    pub commit: String,
    /// Why runs that were asked for are not made, or failures not shrunk; not there where everything was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_short: Option<String>,
    /// Runs that are over.
    pub runs: u64,
    /// How many of them ended so, by the verdict's word, and how many were `hung`: ended by the wall clock.
    pub verdicts: BTreeMap<String, u64>,
    /// Runs that were made a second time, to compare the trace hashes.
    pub rechecked: u64,
    /// What was run.
    pub scenarios: Vec<ScenarioSummary>,
    /// Distinct failures, the most frequent first.
    pub failures: Vec<Failure>,
    /// How often each mark was reached, over all runs; those that never were are there, with 0.
    pub probes: BTreeMap<String, u64>,
    /// Those that were never reached: gaps.
    pub never_reached: Vec<String>,
    /// Pairs of marks that some run reached both of.
    pub pairs: u64,
    /// Runs that reached marks, or pairs of them, that their campaigns' corpora had not: what was added to those.
    #[serde(default)]
    pub discovered: u64,
    /// Events of all runs.
    pub events: u64,
    /// Virtual time of all runs, in milliseconds.
    pub virtual_ms: u64,
    /// How long it took, in milliseconds; of merged campaigns together.
    pub wall_ms: u64,
}

/// One scenario of a campaign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScenarioSummary {
    /// Its name.
    pub name: String,
    /// The bugs that were planted in it, by their ids; not there where none were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planted: Vec<String>,
    /// Runs of it.
    pub runs: u64,
    /// The lowest seed.
    pub first: String,
    /// The highest seed.
    pub last: String,
}

/// What failed in the same way, in however many runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What the runs have in common, in few characters: equal fingerprints, one bug (as far as one can tell).
    pub fingerprint: String,
    /// The check that was violated.
    pub check: String,
    /// The violated property's shape: the message without its names and numbers.
    pub shape: String,
    /// What the ensemble was about when it was violated.
    pub phase: String,
    /// The verdict.
    pub verdict: String,
    /// Runs that failed so.
    pub runs: u64,
    /// The fastest of them (fewest events), 4 at most, the fastest first.
    pub seeds: Vec<FailedRun>,
    /// The first one's message.
    pub message: String,
    /// The directory, beside the summary, in which the first one is saved.
    pub saved: Option<String>,
    /// The file, beside the summary, of the minimal scenario that fails so.
    pub minimal: Option<String>,
    /// Whether nothing less fails so: the search for it was neither cut short nor spent before it had tried everything.
    #[serde(default)]
    pub is_minimal: bool,
}

/// A run that failed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FailedRun {
    /// Events until it failed; of one that the wall clock ended, 0: nobody knows.
    pub events: u64,
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: String,
    /// The source's commit.
    #[serde(default)]
    pub commit: String,
    /// What else the run is a function of (source, scenario, planted bugs, corpus), in 16 hexadecimal digits.
    #[serde(default)]
    pub of: String,
    /// The command that repeats it.
    pub reproduce: String,
}
