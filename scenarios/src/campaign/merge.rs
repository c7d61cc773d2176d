//! Joins the results of shards, or of nights, into what one campaign of all their runs would have found. The same run (source,
//! scenario, seed) counts once, wherever and however often it is found. The order in which the directories are named does not
//! matter: they are read in an order of their own.

use super::charter::Charter;
use super::files::{Directory, is_saved, write_summary};
use super::journal::{self, JOURNAL, Journal, Line, RunLine};
use super::seeds::Intervals;
use super::tally::{Places, Tally, ToSave};
use super::worker::failure_of;
use super::{DISCOVERIES, frozen};
use crate::corpus::Corpus;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};
use zabsim_types::campaign::Summary;
use zabsim_types::run::Verdict;

/// What comes of a merge.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The summary of all.
    pub summary: Summary,
    /// What somebody should know of the journals.
    pub remarks: Vec<String>,
}

/// Joins campaigns, each named by its directory or its journal. With `out`, what comes of it is written there, as of a
/// campaign that has made all these runs, and can be merged further. Where it is refused, nothing is left behind.
pub fn merge(named: &[PathBuf], out: Option<&Path>) -> Result<Merged, String> {
    let journals = in_their_own_order(named)?;
    let (agreed, remarks) = Agreed::of(&journals)?;
    if let Some(out) = out
        && out.join(JOURNAL).exists()
    {
        return Err(format!(
            "{} holds a campaign already; name another directory with --out",
            out.display()
        ));
    }
    let Some(out) = out else {
        let merger = Merger::read(&journals, &agreed, None)?;
        let summary = merger.tally.summary(merger.wall_ms, Path::new(""));
        return Ok(Merged { summary, remarks });
    };
    let dir = Directory::open(out)?;
    match write(&journals, &agreed, &dir) {
        Ok(summary) => Ok(Merged { summary, remarks }),
        Err(why) => {
            let _ = fs::remove_file(unfinished(&dir));
            dir.give_up();
            Err(why)
        }
    }
}

fn write(journals: &[PathBuf], agreed: &Agreed, dir: &Directory) -> Result<Summary, String> {
    let merger = Merger::read(journals, agreed, Some(unfinished(dir)))?;
    for ToSave { dir: saved, .. } in merger.tally.to_save() {
        let homes = journals.iter().filter_map(|journal| journal.parent());
        let there = homes
            .map(|home| home.join(&saved))
            .find(|dir| is_saved(dir));
        if let Some(from) = there {
            copy_files(&from, &dir.path.join(&saved))?;
        }
    }
    let homes = || journals.iter().filter_map(|journal| journal.parent());
    for home in homes() {
        for corpus in directories(&home.join("corpus")) {
            let name = corpus.file_name().unwrap_or_default().to_string_lossy();
            copy_files(&corpus, &frozen(&dir.path, &name))?;
        }
    }
    let discoveries = merger.tally.discoveries();
    let found: BTreeSet<u64> = discoveries.iter().map(|found| found.seed).collect();
    for home in homes()
        .map(|home| home.join(DISCOVERIES))
        .filter(|home| home.is_dir())
    {
        Corpus::read(&home)?.copy_some(&dir.path.join(DISCOVERIES), &found)?;
    }
    let summary = merger.tally.summary(merger.wall_ms, &dir.path);
    write_summary(&dir.path, &summary)?;
    // The last, since from now on there is a campaign.
    if let Some(mut journal) = merger.into {
        journal.sync()?;
        journal.rename(&dir.journal())?;
    }
    Ok(summary)
}

/// The journal's name until everything is there.
fn unfinished(dir: &Directory) -> PathBuf {
    dir.path.join("merged.jsonl")
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

/// What a run is a function of, beside the seed, and the seed.
type Key = (u64, u64);

/// The runs of which the journals say different things, and what is made of them. All others are taken as they come.
#[derive(Default)]
struct Agreed(BTreeMap<Key, RunLine>);

impl Agreed {
    /// Reads the journals, and refuses what is no campaign's. First it finds out which runs are there more than once, then which
    /// of them differ; so it holds much of the few that do, and little of the others.
    fn of(journals: &[PathBuf]) -> Result<(Agreed, Vec<String>), String> {
        let mut seen: BTreeMap<u64, Intervals> = BTreeMap::new();
        let mut again: BTreeMap<u64, Intervals> = BTreeMap::new();
        let (mut remarks, mut runs) = (Vec::new(), 0_u64);
        for path in journals {
            let extent = each_run(path, |(of, seed), _| {
                runs += 1;
                if !seen.entry(of).or_default().insert(seed) {
                    again.entry(of).or_default().insert(seed);
                }
            })?;
            let name = path.display();
            match (extent.bytes, extent.torn) {
                (0, false) => return Err(format!("{name}: it is empty: no campaign")),
                (0, true) => return Err(format!("{name}: it ends within its first line: no campaign")),
                (_, true) => remarks.push(format!(
                    "{name}: its last line is torn, and is left out: that campaign runs still, or it was killed and `zabsim campaign --resume` goes on with it"
                )),
                (_, false) => {}
            }
        }
        if runs == 0 {
            return Err("there is no run in any of them: nothing to merge".to_string());
        }
        let is_again = |(of, seed): Key| again.get(&of).is_some_and(|seeds| seeds.has(seed));
        let (mut said, mut contested) = (BTreeMap::new(), BTreeSet::new());
        let each = |take: &mut dyn FnMut(Key, RunLine)| -> Result<(), String> {
            for path in journals.iter().filter(|_| !again.is_empty()) {
                each_run(path, |key, run| {
                    if is_again(key) {
                        take(key, run);
                    }
                })?;
            }
            Ok(())
        };
        each(&mut |key, run| {
            let what = without_times(&run);
            if *said.entry(key).or_insert(what) != what {
                contested.insert(key);
            }
        })?;
        let mut agreed: BTreeMap<Key, RunLine> = BTreeMap::new();
        if !contested.is_empty() {
            each(&mut |key, run| {
                if contested.contains(&key) {
                    let agreed_upon = match agreed.remove(&key) {
                        Some(other) => worse(other, run),
                        None => run,
                    };
                    agreed.insert(key, agreed_upon);
                }
            })?;
        }
        Ok((Agreed(agreed), remarks))
    }
}

fn each_run(path: &Path, mut take: impl FnMut(Key, RunLine)) -> Result<journal::Extent, String> {
    let mut charter: Option<Charter> = None;
    journal::read(path, |line| {
        match line {
            Line::Charter(next) => charter = Some(next),
            Line::Run(run) => {
                let of = charter
                    .as_ref()
                    .and_then(|charter| charter.identity(run.scenario));
                let of = of.ok_or("a run of a scenario that its charter has not")?;
                take((of, run.seed), run);
            }
        }
        Ok(())
    })
}

/// What a line says of its run, but for the times, in one number.
fn without_times(run: &RunLine) -> u64 {
    xxh3_64(&in_bytes(run)) ^ u64::from(run.rechecked)
}

/// What came of the run itself.
fn in_bytes(run: &RunLine) -> Vec<u8> {
    let timeless = RunLine {
        scenario: 0,
        wall_ms: 0,
        at_ms: 0,
        rechecked: false,
        ..run.clone()
    };
    serde_json::to_vec(&timeless).expect("it was read from JSON")
}

/// What counts of two things that were said of one run: the worse. A run that had two trace hashes is none that can be
/// repeated, whatever each of the two came to. In whatever order several are put together, the same comes of it.
fn worse(one: RunLine, other: RunLine) -> RunLine {
    let rechecked = one.rechecked || other.rechecked;
    let differ = one.hash != other.hash && !one.hash.is_empty() && !other.hash.is_empty();
    let order = |run: &RunLine| match differ {
        true => (0, in_bytes(run)),
        false => (gravity(run), in_bytes(run)),
    };
    let (mut kept, gone) = match (differ, one.hash < other.hash, order(&one) <= order(&other)) {
        (true, true, _) | (false, _, true) => (one, other),
        _ => (other, one),
    };
    kept.rechecked = rechecked;
    if kept.hash.is_empty() {
        // It told nothing of itself where its process died; elsewhere it did.
        kept = RunLine {
            hash: gone.hash,
            events: gone.events,
            virtual_ms: gone.virtual_ms,
            probes: gone.probes,
            ..kept
        };
    }
    if differ {
        let message = format!(
            "trace hash {} ({} events) here, and another one where the same run was made again",
            kept.hash, kept.events
        );
        kept.verdict = Verdict::Diverged.word().to_string();
        kept.failure = Some(failure_of("determinism", "another trace hash", message));
    }
    kept
}

/// The gravest first.
fn gravity(run: &RunLine) -> usize {
    let gravest = ["diverged", "fail", "crashed", "stuck", "hung", "undecided"];
    let place = gravest.iter().position(|verdict| *verdict == run.verdict);
    match (place, &run.failure) {
        (Some(place), Some(_)) => place,
        // It passed, and was to do something else; or it did as was expected of it.
        (None, Some(_)) => gravest.len(),
        (_, None) => gravest.len() + 1,
    }
}

struct Merger<'a> {
    tally: Tally,
    agreed: &'a Agreed,
    /// The seeds that there were, by what else a run is a function of.
    seen: BTreeMap<u64, Intervals>,
    wall_ms: u64,
    into: Option<Journal>,
    /// The file of `into`.
    path: Option<PathBuf>,
}

/// The runs after one charter.
struct Section {
    charter: Charter,
    places: Places,
    last_ms: u64,
    /// Whether its charter stands in the merged journal already.
    is_written: bool,
}

impl<'a> Merger<'a> {
    fn read(
        journals: &[PathBuf],
        agreed: &'a Agreed,
        path: Option<PathBuf>,
    ) -> Result<Merger<'a>, String> {
        let home = path.as_deref().and_then(Path::parent);
        let mut tally = Tally::at(home.unwrap_or(Path::new("")));
        for home in journals.iter().filter_map(|journal| journal.parent()) {
            for corpus in directories(&home.join("corpus")) {
                tally.know(&Corpus::read(&corpus)?);
            }
        }
        let mut merger = Merger {
            tally,
            agreed,
            seen: BTreeMap::new(),
            wall_ms: 0,
            into: None,
            path,
        };
        for journal in journals {
            let mut section = None;
            // Where nothing is written, what is to be repeated is found where it was.
            if merger.path.is_none()
                && let Some(home) = journal.parent()
            {
                merger.tally.move_to(home);
            }
            journal::read(journal, |line| merger.take(line, &mut section))?;
            merger.end(section);
        }
        Ok(merger)
    }

    fn take(&mut self, line: Line, section: &mut Option<Section>) -> Result<(), String> {
        match line {
            Line::Charter(charter) => {
                let next = Section {
                    places: self.tally.begin(&charter),
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

    fn take_run(&mut self, mut run: RunLine, section: &mut Section) -> Result<(), String> {
        let identity = section.charter.identity(run.scenario);
        let identity = identity.ok_or("a run of a scenario that its charter has not")?;
        if !self.seen.entry(identity).or_default().insert(run.seed) {
            return Ok(());
        }
        if let Some(agreed) = self.agreed.0.get(&(identity, run.seed)) {
            run = RunLine {
                scenario: run.scenario,
                at_ms: run.at_ms,
                ..agreed.clone()
            };
        }
        self.tally.add(&section.places, &run)?;
        section.last_ms = section.last_ms.max(run.at_ms);
        self.write(run, section)
    }

    fn write(&mut self, run: RunLine, section: &mut Section) -> Result<(), String> {
        let Some(path) = &self.path else {
            return Ok(());
        };
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

/// The directories in a directory, if there is one.
fn directories(within: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(within).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    paths
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
    use super::super::journal::FailureLine;
    use super::super::journal::tests::{charter, passed};
    use super::super::seeds::Shard;
    use super::*;

    /// A directory with a journal of these runs.
    fn journal_of(home: &Path, name: &str, shard: Shard, runs: &[RunLine]) -> PathBuf {
        let dir = home.join(name);
        fs::create_dir(&dir).expect("makes it");
        let mut journal =
            Journal::begin(&dir.join(JOURNAL), &charter((1, 40), shard)).expect("begins");
        for run in runs {
            journal.append(&Line::Run(run.clone())).expect("writes");
        }
        dir
    }

    /// The same, of these seeds' runs, which pass.
    fn campaign(home: &Path, name: &str, shard: Shard, seeds: &[u64]) -> PathBuf {
        let runs: Vec<RunLine> = seeds.iter().map(|seed| passed(*seed)).collect();
        journal_of(home, name, shard, &runs)
    }

    fn without_times(mut summary: Summary) -> Summary {
        summary.wall_ms = 0;
        summary
    }

    fn merge(named: &[PathBuf], out: Option<&Path>) -> Result<Summary, String> {
        super::merge(named, out).map(|merged| merged.summary)
    }

    fn ended(verdict: &str, run: RunLine) -> RunLine {
        let failure = FailureLine {
            fingerprint: format!("of {verdict}"),
            ..failure_of("a-check", verdict, verdict.to_string())
        };
        RunLine {
            verdict: verdict.to_string(),
            failure: Some(failure),
            ..run
        }
    }

    /// Every order of three things.
    const ORDERS: [[usize; 3]; 6] = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];

    /// What three journals come to, which is the same in whatever order they are named, and where two of them are merged first and
    /// the third is named before or behind what comes of them.
    fn merged_in_every_way(home: &Path, all: &[PathBuf; 3]) -> Summary {
        let mut found = Vec::new();
        for order in ORDERS {
            let named = order.map(|at| all[at].clone());
            found.push(without_times(merge(&named, None).expect("merges")));
            let half = home.join(format!("half-{order:?}"));
            merge(&named[..2], Some(&half)).expect("merges");
            for nested in [[half.clone(), named[2].clone()], [named[2].clone(), half]] {
                found.push(without_times(merge(&nested, None).expect("merges")));
            }
        }
        assert!(found.iter().all(|other| *other == found[0]), "{found:#?}");
        found.swap_remove(0)
    }

    #[test]
    fn of_what_was_said_of_one_run_the_worse_counts_in_any_order() {
        let home = tempfile::tempdir().expect("a directory");
        let hung = RunLine {
            hash: String::new(),
            events: 0,
            ..ended("hung", passed(2))
        };
        let all = [
            journal_of(home.path(), "a", Shard::WHOLE, &[passed(1), passed(2)]),
            journal_of(
                home.path(),
                "b",
                Shard::WHOLE,
                &[ended("fail", passed(1)), hung],
            ),
            journal_of(
                home.path(),
                "c",
                Shard::WHOLE,
                &[ended("stuck", passed(1)), passed(3)],
            ),
        ];
        let found = merged_in_every_way(home.path(), &all);
        let verdicts: Vec<_> = found
            .verdicts
            .iter()
            .map(|(w, n)| (w.as_str(), *n))
            .collect();
        assert_eq!(verdicts, [("fail", 1), ("hung", 1), ("pass", 1)]);
    }

    #[test]
    fn one_run_with_two_trace_hashes_is_a_divergence() {
        let home = tempfile::tempdir().expect("a directory");
        let other = |hash: &str, events| RunLine {
            hash: hash.to_string(),
            events,
            ..passed(1)
        };
        let all = [
            journal_of(home.path(), "a", Shard::WHOLE, &[other("1", 7)]),
            journal_of(
                home.path(),
                "b",
                Shard::WHOLE,
                &[ended("fail", other("2", 8))],
            ),
            journal_of(
                home.path(),
                "c",
                Shard::WHOLE,
                &[ended("hung", other("", 0))],
            ),
        ];
        let found = merged_in_every_way(home.path(), &all);
        assert_eq!(found.verdicts["diverged"], 1);
        assert_eq!(found.failures[0].check, "determinism");
    }

    #[test]
    fn what_is_no_campaign_is_no_success() {
        let home = tempfile::tempdir().expect("a directory");
        let one = campaign(home.path(), "one", Shard::WHOLE, &[1]);
        let text = fs::read_to_string(one.join(JOURNAL)).expect("readable");
        let written = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::write(&path, text).expect("writes");
            path
        };
        let charter = text.lines().next().expect("a charter").len() + 1;
        for (name, text, why) in [
            ("empty.jsonl", "", "it is empty"),
            ("torn.jsonl", &text[..40], "within its first line"),
            ("no-runs.jsonl", &text[..charter], "no run in any of them"),
        ] {
            let path = written(name, text);
            let error = merge(&[path], None).expect_err(name);
            assert!(error.contains(why), "{error}");
        }
        // The last line of a killed campaign's journal may be torn.
        let killed = written("killed.jsonl", &text[..text.len() - 5]);
        let merged = super::merge(&[one, killed], None).expect("merges");
        assert_eq!(merged.summary.runs, 1);
        assert!(merged.remarks[0].contains("killed.jsonl: its last line is torn"));
    }

    #[test]
    fn a_merge_that_is_refused_leaves_nothing_behind() {
        let home = tempfile::tempdir().expect("a directory");
        let damaged = home.path().join("damaged.jsonl");
        fs::write(&damaged, "no journal\n").expect("writes");
        let out = home.path().join("out");
        merge(&[damaged], Some(&out)).expect_err("it is damaged");
        assert!(!out.exists());
        // Neither does one that fails half-way: here the summary's place is taken by a directory.
        let one = campaign(home.path(), "one", Shard::WHOLE, &[1]);
        fs::create_dir_all(out.join("summary.json")).expect("makes it");
        merge(&[one], Some(&out)).expect_err("it cannot write");
        let names: Vec<_> = fs::read_dir(&out)
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(names, ["summary.json"]);
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
