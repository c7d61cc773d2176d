//! Joins the results of shards, or of nights, into what one campaign of all their runs would have found. The same run (source,
//! scenario, seed) counts once, wherever and however often it is found. The order in which the directories are named does not
//! matter: they are read in an order of their own.

use super::charter::Charter;
use super::files::{Directory, write_summary};
use super::journal::{self, JOURNAL, Journal, Line, RunLine};
use super::seeds::Intervals;
use super::tally::{Places, Tally};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;
use zabsim_types::campaign::Summary;

/// Joins campaigns, each named by its directory or its journal. With `out`, what comes of it is written there, as of a
/// campaign that has made all these runs, and can be merged further.
pub fn merge(named: &[PathBuf], out: Option<&Path>) -> Result<Summary, String> {
    let journals = in_their_own_order(named)?;
    let out = out.map(Output::open).transpose()?;
    let mut merger = Merger {
        tally: Tally::default(),
        seen: BTreeMap::new(),
        wall_ms: 0,
        into: None,
        dir: out.as_ref().map(|out| out.journal.clone()),
    };
    for journal in &journals {
        let mut section = None;
        journal::read(journal, |line| merger.take(line, &mut section))?;
        merger.end(section);
    }
    let Some(out) = out else {
        return Ok(merger.tally.summary(merger.wall_ms, |_| false));
    };
    if let Some(mut journal) = merger.into {
        journal.sync()?;
        journal.rename(&out.dir.journal())?;
    }
    for (_, _, saved) in merger.tally.to_save() {
        let homes = journals.iter().filter_map(|journal| journal.parent());
        let there = homes.map(|home| home.join(&saved)).find(|dir| dir.is_dir());
        if let Some(from) = there {
            copy_files(&from, &out.dir.path.join(&saved))?;
        }
    }
    let is_there = |path: &str| out.dir.path.join(path).exists();
    let summary = merger.tally.summary(merger.wall_ms, is_there);
    write_summary(&out.dir.path, &summary)?;
    Ok(summary)
}

/// Where the result goes.
struct Output {
    dir: Directory,
    /// The journal's name until it is complete.
    journal: PathBuf,
}

impl Output {
    fn open(path: &Path) -> Result<Output, String> {
        let dir = Directory::open(path)?;
        if dir.journal().exists() {
            return Err(format!(
                "{} holds a campaign already; name another directory with --out",
                path.display()
            ));
        }
        Ok(Output {
            journal: dir.path.join("merged.jsonl"),
            dir,
        })
    }
}

/// The journals, sorted by what they say, so that it does not matter how they were named.
fn in_their_own_order(named: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut journals = Vec::new();
    for path in named {
        let path = match path.is_dir() {
            true => path.join(JOURNAL),
            false => path.clone(),
        };
        journals.push((hash_of(&path)?, path));
    }
    journals.sort();
    // Of the same journal named twice, once is enough.
    journals.dedup_by_key(|(hash, _)| *hash);
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

fn hash_of(path: &Path) -> Result<u128, String> {
    let cannot = |error| format!("{}: cannot read it: {error}", path.display());
    let mut file = File::open(path).map_err(cannot)?;
    let (mut hash, mut bytes) = (Xxh3::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut bytes).map_err(cannot)? {
            0 => return Ok(hash.digest128()),
            length => hash.update(&bytes[..length]),
        }
    }
}

struct Merger {
    tally: Tally,
    /// The seeds that there were, by what else a run is a function of.
    seen: BTreeMap<u64, Intervals>,
    wall_ms: u64,
    into: Option<Journal>,
    dir: Option<PathBuf>,
}

/// The runs after one charter.
struct Section {
    charter: Charter,
    places: Places,
    identities: Vec<u64>,
    last_ms: u64,
    /// Whether its charter stands in the merged journal already.
    is_written: bool,
}

impl Merger {
    fn take(&mut self, line: Line, section: &mut Option<Section>) -> Result<(), String> {
        match line {
            Line::Charter(charter) => {
                let next = Section {
                    places: self.tally.begin(&charter),
                    identities: (0..charter.scenarios.len())
                        .map(|scenario| charter.identity(scenario))
                        .collect(),
                    charter,
                    last_ms: 0,
                    is_written: false,
                };
                self.end(section.replace(next));
                Ok(())
            }
            Line::Run(run) => match section {
                Some(section) => self.take_run(run, section),
                None => Err("a run before the charter".to_string()),
            },
        }
    }

    fn take_run(&mut self, run: RunLine, section: &mut Section) -> Result<(), String> {
        let identity = section.identities.get(run.scenario);
        let identity = identity.ok_or("a run of a scenario that its charter has not")?;
        if !self.seen.entry(*identity).or_default().insert(run.seed) {
            return Ok(());
        }
        self.tally.add(&section.places, &run)?;
        section.last_ms = section.last_ms.max(run.at_ms);
        self.write(run, section)
    }

    fn write(&mut self, run: RunLine, section: &mut Section) -> Result<(), String> {
        let Some(path) = &self.dir else { return Ok(()) };
        let journal = match &mut self.into {
            None => {
                section.is_written = true;
                self.into.insert(Journal::begin(path, &section.charter)?)
            }
            Some(journal) => journal,
        };
        if !section.is_written {
            journal.append(&Line::Charter(section.charter.clone()))?;
            section.is_written = true;
        }
        journal.append(&Line::Run(run))
    }

    /// A section's time is its last run's; where every run was known already, none.
    fn end(&mut self, section: Option<Section>) {
        self.wall_ms += section.map_or(0, |section| section.last_ms);
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), String> {
    let cannot = |error| {
        format!(
            "cannot copy {} to {}: {error}",
            from.display(),
            to.display()
        )
    };
    fs::create_dir_all(to).map_err(cannot)?;
    for entry in fs::read_dir(from).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if entry.file_type().map_err(cannot)?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(cannot)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::{charter, passed};
    use super::super::seeds::Shard;
    use super::*;

    /// A directory with a journal of these seeds' runs.
    fn campaign(home: &Path, name: &str, shard: Shard, seeds: &[u64]) -> PathBuf {
        let dir = home.join(name);
        fs::create_dir(&dir).expect("makes it");
        let mut journal =
            Journal::begin(&dir.join(JOURNAL), &charter((1, 40), shard)).expect("begins");
        for seed in seeds {
            journal.append(&Line::Run(passed(*seed))).expect("writes");
        }
        dir
    }

    fn without_times(mut summary: Summary) -> Summary {
        summary.wall_ms = 0;
        summary
    }

    #[test]
    fn shards_are_the_whole_in_any_order_and_nested_and_what_overlaps_counts_once() {
        let home = tempfile::tempdir().expect("a directory");
        let home = home.path();
        let shard = |index| Shard { index, of: 4 };
        let mut shards = Vec::new();
        for index in 1..=4_u32 {
            let seeds: Vec<u64> = (u64::from(index)..=40).step_by(4).collect();
            shards.push(campaign(home, &format!("s{index}"), shard(index), &seeds));
        }
        let all: Vec<u64> = (1..=40).collect();
        let whole = campaign(home, "whole", Shard::WHOLE, &all);
        let whole_summary = merge(std::slice::from_ref(&whole), None).expect("reads");
        let whole_summary = without_times(whole_summary);
        assert_eq!(whole_summary.runs, 40);

        let merged = merge(&shards, None).expect("merges");
        assert_eq!(without_times(merged.clone()), whole_summary);
        let (a, b) = (home.join("a"), home.join("b"));
        merge(&shards[..2], Some(&a)).expect("merges");
        merge(&[shards[3].clone(), shards[2].clone()], Some(&b)).expect("merges");
        // The second half, the first twice, and the whole besides.
        let named = [b, a.clone(), shards[0].clone(), whole, a];
        let nested = merge(&named, None).expect("merges");
        assert_eq!(without_times(nested), whole_summary);
        shards.reverse();
        assert_eq!(merge(&shards, None).expect("merges"), merged);
    }

    #[test]
    fn the_same_seed_of_another_commit_is_another_run() {
        let home = tempfile::tempdir().expect("a directory");
        let ours = campaign(home.path(), "ours", Shard::WHOLE, &[1, 2]);
        let theirs = home.path().join("theirs.jsonl");
        let text = fs::read_to_string(ours.join(JOURNAL)).expect("readable");
        let other = text.replace(super::super::charter::COMMIT, "f00");
        assert_ne!(text, other);
        fs::write(&theirs, other).expect("writes");
        let summary = merge(&[ours, theirs], None).expect("merges");
        assert_eq!(summary.runs, 4);
        assert!(summary.commit.contains("f00, ") || summary.commit.contains(", f00"));
    }

    #[test]
    fn a_campaign_is_not_merged_over_another() {
        let home = tempfile::tempdir().expect("a directory");
        let one = campaign(home.path(), "one", Shard::WHOLE, &[1]);
        let error = merge(std::slice::from_ref(&one), Some(&one)).expect_err("it is there");
        assert!(error.contains("holds a campaign already"), "{error}");
        let none = home.path().join("none");
        let error = merge(&[none], None).expect_err("nothing there");
        assert!(error.contains("cannot read it"), "{error}");
    }
}
