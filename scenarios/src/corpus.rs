//! A corpus: drawn scenarios that reached something rare, to be mutated further. A directory of scenario files, each named by the
//! hash of its text, each with the marks that it reached as what it expects. What was changed or cut off is refused: a run's schedule
//! is a function of the corpus and the seed, and a corpus is what its files say, to the last byte.
//!
//! Half of the seeds draw everything anew, so that a corpus never narrows a campaign to what it knows already; the others take one
//! of its scenarios and change a few things in it. As with what is drawn anew, all is a plain scenario before the run.

use crate::format::{BYTES_MAX, Expect, Scenario};
use crate::generate;
use crate::library::read_bounded;
use crate::replace::replace;
use crate::shrink::without_faults;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;
use zabsim::Stream;
use zabsim::plan::{Action, Fault, Trigger};
use zabsim_types::Time;

/// Of 1,000 seeds, those that draw everything anew.
const ANEW_PER_MILLE: u32 = 500;
/// The most things that are changed in one scenario.
const CHANGES: u64 = 4;
/// The most faults that are taken over from elsewhere at once.
const GRAFTED: u64 = 3;
/// More faults than this in one scenario are no schedule but noise.
const FAULTS_MAX: usize = 400;

/// Scenarios that reached something rare.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// As it was named.
    dir: PathBuf,
    /// In the order of their names.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    text: String,
    scenario: Scenario,
}

impl Corpus {
    /// Reads a directory. Files that are no scenarios (`.toml`) are not its business.
    pub fn read(dir: &Path) -> Result<Corpus, String> {
        let name = dir.display();
        let cannot = |error| format!("{name}: cannot read the corpus: {error}");
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(dir).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let entries = files.iter().map(|file| Entry::read(file));
        Ok(Corpus {
            dir: dir.to_path_buf(),
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// The same, of a directory that need not be there yet: then there is nothing in it.
    pub fn read_or_begin(dir: &Path) -> Result<Corpus, String> {
        match dir.exists() {
            true => Corpus::read(dir),
            false => Ok(Corpus {
                dir: dir.to_path_buf(),
                entries: Vec::new(),
            }),
        }
    }

    /// Whether something can be added to it, found out before a night is spent on what.
    pub fn may_grow(&self) -> Result<(), String> {
        make(&self.dir)?;
        let probe = self.dir.join(".may-grow");
        let written = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe));
        written.map_err(|error| format!("cannot write into {}: {error}", self.dir.display()))
    }

    /// Where it was read.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What it is, in 16 digits: the same for the same scenarios, wherever they are.
    pub fn hash(&self) -> String {
        let names: Vec<&str> = self
            .entries
            .iter()
            .map(|entry| entry.name.as_str())
            .collect();
        format!("{:016x}", xxh3_64(names.join("\n").as_bytes()))
    }

    /// The marks that each of its scenarios reached.
    pub fn reached(&self) -> impl Iterator<Item = &[String]> {
        let entries = self.entries.iter();
        entries.map(|entry| entry.scenario.expect.reach.as_slice())
    }

    /// Copies it into a directory, where it stays as it is now.
    pub fn freeze(&self, dir: &Path) -> Result<Corpus, String> {
        make(dir)?;
        for entry in &self.entries {
            replace(&dir.join(&entry.name), &entry.text)?;
        }
        Ok(Corpus {
            dir: dir.to_path_buf(),
            ..self.clone()
        })
    }

    /// Copies those of its scenarios that were drawn with these seeds into another corpus.
    pub fn copy_some(&self, dir: &Path, seeds: &BTreeSet<u64>) -> Result<(), String> {
        for entry in &self.entries {
            if entry
                .scenario
                .seed
                .is_some_and(|seed| seeds.contains(&seed))
            {
                make(dir)?;
                replace(&dir.join(&entry.name), &entry.text)?;
            }
        }
        Ok(())
    }

    /// The scenario of a seed: drawn anew, or one of these with a few things changed. Of a scenario in which not everything is
    /// drawn, what that says.
    pub fn draw(&self, scenario: &Scenario, seed: u64) -> Scenario {
        let mut stream = Stream::new(seed, "corpus", 0);
        if !scenario.whole || self.entries.is_empty() || stream.per_mille(ANEW_PER_MILLE) {
            return scenario.draw(seed);
        }
        let mut out = stream.pick(&self.entries).scenario.clone();
        for number in 0..1 + stream.below(CHANGES) {
            let mut changed = out.clone();
            self.change(&mut changed, number, &mut stream);
            // What a change makes of a scenario may contradict itself; then there is no such change.
            if changed.plan.faults.len() <= FAULTS_MAX && zabsim::validate(&changed.plan).is_ok() {
                out = changed;
            }
        }
        out.plan.name.clone_from(&scenario.plan.name);
        out.plan.about.clone_from(&scenario.plan.about);
        // Whatever was planted where it was found.
        out.plan.bugs = scenario.plan.bugs;
        out.expect = Expect {
            outcomes: vec![Vec::new(); out.plan.ops.len()],
            ..scenario.expect.clone()
        };
        out.seed = Some(seed);
        out
    }

    fn change(&self, out: &mut Scenario, number: u64, stream: &mut Stream) {
        let tick_us = u64::from(out.plan.ensemble.tick_ms) * 1_000;
        let faults = out.plan.faults.len() as u64;
        match stream.below(9) {
            0 if faults > 0 => {
                let first = stream.below(faults) as usize;
                let count = 1 + stream.below(4) as usize;
                *out = without_faults(out, first..(first + count).min(faults as usize));
            }
            1..=3 if faults > 0 => {
                let fault = stream.below(faults) as usize;
                change_fault(&mut out.plan.faults[fault], tick_us, stream);
            }
            4 | 5 => {
                let drawn = zabsim::draw_faults(stream.next_u64(), "any", &out.plan);
                graft(out, &drawn, number, stream);
            }
            6 => {
                let other = stream.pick(&self.entries).scenario.plan.faults.clone();
                graft(out, &other, number, stream);
            }
            7 => generate::other_climate(out, stream),
            _ => generate::other_limits(out, stream),
        }
    }
}

impl Entry {
    fn read(file: &Path) -> Result<Entry, String> {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().to_string());
        let name = name.unwrap_or_default();
        let shown = file.display();
        let text =
            read_bounded(file, BYTES_MAX, "scenario").map_err(|why| format!("{shown}: {why}"))?;
        if name_of(&text) != name {
            return Err(format!(
                "{shown}: no scenario of a corpus, or damaged: the hash of its text is {}, which must be its name",
                name_of(&text)
            ));
        }
        let scenario =
            Scenario::parse(&shown.to_string(), &text).map_err(|error| error.to_string())?;
        if scenario.whole || scenario.random.is_some() {
            return Err(format!(
                "{shown}: something is left to draw in it; a corpus holds what was drawn"
            ));
        }
        Ok(Entry {
            name,
            text,
            scenario,
        })
    }
}

fn name_of(text: &str) -> String {
    format!("{:016x}.toml", xxh3_64(text.as_bytes()))
}

fn make(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))
}

/// Adds a scenario to the corpus in a directory: as drawn, with the marks that it reached.
pub fn add(dir: &Path, drawn: &Scenario, reached: Vec<String>) -> Result<(), String> {
    make(dir)?;
    let scenario = Scenario {
        expect: Expect {
            reach: reached,
            outcomes: vec![Vec::new(); drawn.plan.ops.len()],
            ..Expect::default()
        },
        ..drawn.clone()
    };
    let text = scenario.to_toml();
    replace(&dir.join(name_of(&text)), &text)
}

/// Takes out of the corpus in a directory what was added to it and stands in `added`, which goes too; what was there before,
/// in `frozen`, stays.
pub fn take_back(dir: &Path, added: &Path, frozen: &Path) -> Result<(), String> {
    for entry in &Corpus::read(added)?.entries {
        if !frozen.join(&entry.name).exists() {
            remove(&dir.join(&entry.name))?;
        }
        remove(&added.join(&entry.name))?;
    }
    Ok(())
}

/// Takes a file away that may be gone already.
fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot take {} away: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Another time, another length, another event to wait for, another moment of the same step.
fn change_fault(fault: &mut Fault, tick_us: u64, stream: &mut Stream) {
    let times = |us: u64, stream: &mut Stream| us * *stream.pick(&[1, 2, 3, 6, 8, 16]) / 4;
    match (&mut fault.trigger, stream.below(3)) {
        (Trigger::At(at), 0 | 1) => {
            let ticks = stream.range((0, 10)) * tick_us / 2;
            at.0 = match stream.per_mille(500) {
                true => at.0 + ticks,
                false => at.0.saturating_sub(ticks).max(1_000),
            };
        }
        (Trigger::On { nth, .. }, 0) => *nth = 1 + stream.below(u64::from(*nth) * 2) as u32,
        (Trigger::On { not_before, .. }, 1) => *not_before = Time(times(not_before.0, stream)),
        (Trigger::After { delay_us, .. }, 0 | 1) => *delay_us = times(*delay_us, stream),
        _ => match (&mut fault.action, &mut fault.lasts_us) {
            (Action::Crash { after_effects, .. }, _) if stream.per_mille(500) => {
                *after_effects = stream.below(8) as u32;
            }
            (_, Some(lasts_us)) => *lasts_us = times(*lasts_us, stream).max(1_000),
            _ => {}
        },
    }
}

/// Some of the faults of another scenario, with what they lean on.
fn graft(out: &mut Scenario, from: &[Fault], number: u64, stream: &mut Stream) {
    if from.is_empty() {
        return;
    }
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..1 + stream.below(GRAFTED) {
        let mut chain = vec![stream.pick(from)];
        while let Some(before) = leans_on(chain[chain.len() - 1]) {
            let Some(fault) = from.iter().find(|fault| fault.label == *before) else {
                return;
            };
            chain.push(fault);
        }
        for fault in chain.into_iter().rev() {
            if labels.contains_key(&fault.label) {
                continue;
            }
            // Among random faults they are such; and their name says which change brought them.
            let plain = fault.label.trim_start_matches(zabsim::RANDOM_PREFIX);
            let mut label = format!("{}{plain}-g{number}", zabsim::RANDOM_PREFIX);
            while out.plan.faults.iter().any(|fault| fault.label == label) {
                label.push('x');
            }
            labels.insert(fault.label.clone(), label.clone());
            let mut fault = Fault {
                label,
                ..fault.clone()
            };
            match &mut fault.trigger {
                Trigger::After { label, .. }
                | Trigger::On {
                    after: Some(label), ..
                } => label.clone_from(&labels[label.as_str()]),
                _ => {}
            }
            out.plan.faults.push(fault);
        }
    }
}

fn leans_on(fault: &Fault) -> Option<&String> {
    match &fault.trigger {
        Trigger::After { label, .. } => Some(label),
        Trigger::On { after, .. } => after.as_ref(),
        Trigger::At(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;

    fn swarm() -> Scenario {
        library::find("swarm").expect("the library has it")
    }

    fn corpus(home: &Path, seeds: std::ops::Range<u64>) -> Corpus {
        for seed in seeds {
            add(home, &swarm().draw(seed), vec!["sync-diff".to_string()]).expect("writes");
        }
        Corpus::read(home).expect("reads")
    }

    #[test]
    fn what_is_drawn_from_it_can_be_run_and_read_back_and_depends_on_nothing_but_it_and_the_seed() {
        let home = tempfile::tempdir().expect("a directory");
        let corpus = corpus(home.path(), 1..9);
        let elsewhere = tempfile::tempdir().expect("a directory");
        let copy = corpus.freeze(elsewhere.path()).expect("copies");
        assert_eq!(copy.hash(), corpus.hash());
        let copy = Corpus::read(elsewhere.path()).expect("reads");
        let mut changed = 0;
        for seed in 0..300 {
            let drawn = corpus.draw(&swarm(), seed);
            assert_eq!(drawn, copy.draw(&swarm(), seed));
            zabsim::validate(&drawn.plan).unwrap_or_else(|why| panic!("{seed}: {why}"));
            let text = drawn.to_toml();
            let again = Scenario::parse("drawn", &text);
            assert_eq!(again.unwrap_or_else(|why| panic!("{why}\n{text}")), drawn);
            changed += u32::from(drawn != swarm().draw(seed));
        }
        assert!((100..200).contains(&changed), "{changed} of 300");
        let standard = library::find("standard").expect("the library has it");
        assert_eq!(corpus.draw(&standard, 3), standard.draw(3));
    }

    /// What is planted is a matter of the campaign, and not of where a scenario was found.
    #[test]
    fn what_is_planted_stays_planted_in_what_is_drawn_from_it() {
        let home = tempfile::tempdir().expect("a directory");
        let corpus = corpus(home.path(), 1..9);
        let bugs = zab::Planted::of(&[zab::Bug::VoteById]);
        let mut planted = swarm();
        planted.plan.bugs = bugs;
        assert!((0..40).all(|seed| corpus.draw(&planted, seed).plan.bugs == bugs));
        add(
            home.path(),
            &planted.draw(3),
            vec!["sync-trunc".to_string()],
        )
        .expect("writes");
        let corpus = Corpus::read(home.path()).expect("reads");
        assert!((0..40).all(|seed| corpus.draw(&swarm(), seed).plan.bugs.is_empty()));
    }

    #[test]
    fn what_is_damaged_is_refused_by_its_name() {
        let home = tempfile::tempdir().expect("a directory");
        let found = corpus(home.path(), 1..2);
        let file = home.path().join(&found.entries[0].name);
        let text = found.entries[0].text.clone();
        fs::write(&file, &text[..text.len() / 2]).expect("writes");
        let error = Corpus::read(home.path()).expect_err("it is cut off");
        assert!(error.contains(&found.entries[0].name), "{error}");
        assert!(
            error.contains("damaged: the hash of its text is"),
            "{error}"
        );
        fs::remove_file(&file).expect("it is there");
        for (text, why) in [
            ("servers = 0\n", "name"),
            (&swarm().to_toml(), "left to draw"),
        ] {
            let file = home.path().join(name_of(text));
            fs::write(&file, text).expect("writes");
            let error = Corpus::read(home.path()).expect_err(why);
            assert!(error.contains(why), "{error}");
            fs::remove_file(&file).expect("it is there");
        }
        fs::write(home.path().join("README"), "what this is").expect("writes");
        assert!(Corpus::read(home.path()).expect("reads").is_empty());
        let error = Corpus::read(&home.path().join("none")).expect_err("it is not there");
        assert!(error.contains("cannot read the corpus"), "{error}");
    }
}
