//! The journal of a campaign, `campaign.jsonl`: a line of JSON for its charter, then one for each run that is over, written
//! at once and never changed. A line counts when its end is there, so that what a killed process leaves is a journal with at
//! most a torn last line, which is dropped; a line that is torn anywhere else is damage and an error.
//!
//! Merged journals follow one another in one file: a charter says what the runs after it, up to the next, belong to.

use super::charter::{Charter, hex};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use zabsim_types::campaign::CAMPAIGN_SCHEMA;

/// The journal's name in a campaign's directory.
pub const JOURNAL: &str = "campaign.jsonl";

/// The longest line that anybody writes: a charter with some large scenarios.
const LINE_BYTES_MAX: usize = 64 << 20;

/// A line of the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What the lines after it belong to.
    Charter(Charter),
    /// A run that is over.
    Run(RunLine),
}

/// A run that is over.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunLine {
    /// The scenario's place in the charter.
    pub scenario: usize,
    /// The seed.
    #[serde(with = "hex")]
    pub seed: u64,
    /// The verdict's word, or `hung`.
    pub verdict: String,
    /// The trace hash; empty where there is none.
    pub hash: String,
    /// Events of the run.
    pub events: u64,
    /// Its virtual time.
    pub virtual_ms: u64,
    /// Its wall time.
    pub wall_ms: u64,
    /// When it was over, since the campaign began: the time of earlier sessions included.
    pub at_ms: u64,
    /// Whether it was made twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rechecked: bool,
    /// The marks that it reached, by their places in the charter, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<(u16, u64)>,
    /// What failed, if it was not as the scenario expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureLine>,
}

/// What failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureLine {
    /// What this failure has in common with others of its kind.
    pub fingerprint: String,
    /// The check.
    pub check: String,
    /// The message without names and numbers.
    pub shape: String,
    /// What the ensemble was about.
    pub phase: String,
    /// The message.
    pub message: String,
}

/// What a journal was found to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Bytes of whole lines.
    pub bytes: u64,
    /// Whether something that is no whole line follows them.
    pub torn: bool,
}

/// Reads a journal, line by line. What `take` makes of a line is an error of that line.
pub fn read(
    path: &Path,
    mut take: impl FnMut(Line) -> Result<(), String>,
) -> Result<Extent, String> {
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("{name}: cannot read it: {error}"))?;
    let mut reader = BufReader::new(file);
    let (mut bytes, mut number, mut text) = (0, 0_u64, Vec::new());
    loop {
        text.clear();
        let limit = LINE_BYTES_MAX as u64;
        let length = io::Read::take(&mut reader, limit)
            .read_until(b'\n', &mut text)
            .map_err(|error| format!("{name}: cannot read it: {error}"))?;
        if text.last() != Some(&b'\n') {
            let torn = length > 0;
            return Ok(Extent { bytes, torn });
        }
        number += 1;
        let wrong = |why: String| format!("{name}:{number}: {why}");
        let line = parse(&text).map_err(wrong)?;
        if number == 1 && !matches!(line, Line::Charter(_)) {
            return Err(wrong("a journal begins with its charter".to_string()));
        }
        take(line).map_err(wrong)?;
        bytes += length as u64;
    }
}

fn parse(text: &[u8]) -> Result<Line, String> {
    let no_line = |error| format!("damaged, or no line of a campaign's journal: {error}");
    let value: serde_json::Value = serde_json::from_slice(text).map_err(no_line)?;
    if let Some(charter) = value.get("charter") {
        let schema = charter.get("schema").and_then(serde_json::Value::as_u64);
        if schema != Some(u64::from(CAMPAIGN_SCHEMA)) {
            let schema = schema.map_or("no schema".to_string(), |n| format!("schema {n}"));
            return Err(format!(
                "written with {schema}; this build reads schema {CAMPAIGN_SCHEMA}"
            ));
        }
    }
    serde_json::from_value(value).map_err(no_line)
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Journal {
    /// Begins one. It has its charter from the moment that it exists.
    pub fn begin(path: &Path, charter: &Charter) -> Result<Journal, String> {
        let new = path.with_extension("jsonl.new");
        let cannot = |error: io::Error| format!("cannot write {}: {error}", path.display());
        File::create(&new).map_err(cannot)?;
        // What is appended goes to the end also after the end was cut off.
        let file = OpenOptions::new().append(true).open(&new).map_err(cannot)?;
        let mut journal = Journal {
            path: path.to_path_buf(),
            file,
            bytes: 0,
        };
        journal.append(&Line::Charter(charter.clone()))?;
        journal.file.sync_all().map_err(cannot)?;
        std::fs::rename(&new, path).map_err(cannot)?;
        Ok(journal)
    }

    /// Takes one up again that has been read: what is no whole line of it is cut off.
    pub fn resume(path: &Path, extent: Extent) -> Result<Journal, String> {
        let cannot = |error: io::Error| format!("cannot write {}: {error}", path.display());
        let file = OpenOptions::new().append(true).open(path).map_err(cannot)?;
        file.set_len(extent.bytes).map_err(cannot)?;
        Ok(Journal {
            path: path.to_path_buf(),
            file,
            bytes: extent.bytes,
        })
    }

    /// Writes a line, with one call to the system. Where that fails, nothing of it stays.
    pub fn append(&mut self, line: &Line) -> Result<(), String> {
        let mut text = serde_json::to_vec(line).map_err(|error| error.to_string())?;
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            // If this fails too, a torn last line stays behind, which a reader drops.
            let _ = self.file.set_len(self.bytes);
            return Err(format!("cannot write {}: {error}", self.path.display()));
        }
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Gives it its final name.
    pub fn rename(&mut self, path: &Path) -> Result<(), String> {
        std::fs::rename(&self.path, path)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.path = path.to_path_buf();
        Ok(())
    }

    /// Waits until everything is on the disk.
    pub fn sync(&mut self) -> Result<(), String> {
        let done = self.file.sync_data();
        done.map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::charter::Subject;
    use super::super::seeds::{Seeds, Shard};
    use super::*;

    /// A campaign of nothing real.
    pub(in super::super) fn charter(seeds: (u64, u64), shard: Shard) -> Charter {
        let subject = Subject {
            name: "standard".to_string(),
            toml: "name = \"standard\"\n".to_string(),
        };
        let (first, last) = seeds;
        Charter::new(vec![subject], Seeds { first, last }, shard, 0)
    }

    /// A run that passed.
    pub(in super::super) fn passed(seed: u64) -> RunLine {
        RunLine {
            scenario: 0,
            seed,
            verdict: "pass".to_string(),
            hash: format!("{seed:016x}"),
            events: 100 + seed,
            virtual_ms: 60_000,
            wall_ms: 5,
            at_ms: seed * 5,
            rechecked: false,
            probes: vec![(0, seed), (3, 1)],
            failure: None,
        }
    }

    fn lines(path: &Path) -> Result<(Vec<Line>, Extent), String> {
        let mut lines = Vec::new();
        let extent = read(path, |line| {
            lines.push(line);
            Ok(())
        })?;
        Ok((lines, extent))
    }

    /// Wherever the last line is cut, what was whole before it is read, and the journal goes on from there.
    #[test]
    fn a_torn_last_line_is_dropped_wherever_it_is_torn() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(JOURNAL);
        let mut journal = Journal::begin(&path, &charter((1, 9), Shard::WHOLE)).expect("begins");
        journal.append(&Line::Run(passed(1))).expect("writes");
        let whole = journal.bytes;
        journal.append(&Line::Run(passed(2))).expect("writes");
        let all = std::fs::read(&path).expect("readable");
        for length in whole..journal.bytes {
            std::fs::write(&path, &all[..length as usize]).expect("writes");
            let (found, extent) = lines(&path).expect("reads");
            assert_eq!(found.len(), 2);
            let torn = length > whole;
            let bytes = whole;
            assert_eq!(extent, Extent { bytes, torn });
        }
        let (_, extent) = lines(&path).expect("reads");
        let mut again = Journal::resume(&path, extent).expect("resumes");
        again.append(&Line::Run(passed(2))).expect("writes");
        assert_eq!(std::fs::read(&path).expect("readable"), all);
    }

    /// Linux has a file that is a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().append(true).open(&path).expect("opens");
        let mut journal = Journal {
            path,
            file,
            bytes: 0,
        };
        let error = journal
            .append(&Line::Run(passed(1)))
            .expect_err("it is full");
        assert!(error.starts_with("cannot write /dev/full: "), "{error}");
    }

    #[test]
    fn damage_in_the_middle_and_other_schemas_are_errors_with_their_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(JOURNAL);
        let mut journal = Journal::begin(&path, &charter((1, 9), Shard::WHOLE)).expect("begins");
        for seed in 1..=3 {
            journal.append(&Line::Run(passed(seed))).expect("writes");
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        for (from, to, named) in [
            ("\"events\":102", "\"events\":1x2", ":3: damaged"),
            (
                "\"schema\":1",
                "\"schema\":9",
                ":1: written with schema 9; this build reads schema 1",
            ),
            ("\"charter\"", "\"chapter\"", ":1: damaged"),
        ] {
            std::fs::write(&path, text.replace(from, to)).expect("writes");
            let error = lines(&path).expect_err(named);
            assert!(error.contains(named), "{error}");
        }
        let headless = text.split_once('\n').expect("two lines").1;
        std::fs::write(&path, headless).expect("writes");
        let error = lines(&path).expect_err("no charter");
        assert!(error.contains("begins with its charter"), "{error}");
    }
}
