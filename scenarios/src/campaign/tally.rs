//! The sum of a campaign's runs. It is a function of the set of runs alone, not of the order in which they came, nor of how
//! they were divided; and it stays small, however many there are.

use super::charter::{Charter, Subject};
use super::files::is_saved;
use super::journal::{FailureLine, RunLine};
use super::{MINIMAL, frozen};
use crate::corpus::Corpus;
use crate::runner::reproduce;
use crate::shrink::is_minimal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zabsim::{parse_seed, seed_text};
use zabsim_types::campaign::{
    CAMPAIGN_SCHEMA, FailedRun, Failure, SEEDS_KEPT, ScenarioSummary, Summary,
};

/// A pair of marks that one run reached, in the order of their names; of one mark alone, that mark twice.
type Pair = (Arc<str>, Arc<str>);

/// The sum of runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    commits: BTreeSet<String>,
    runs: u64,
    verdicts: BTreeMap<String, u64>,
    rechecked: u64,
    /// By their names, and what is planted in them.
    scenarios: BTreeMap<(String, Vec<String>), Seen>,
    failures: BTreeMap<String, Failing>,
    probes: BTreeMap<Arc<str>, u64>,
    pairs: BTreeSet<Pair>,
    /// Those that the corpora knew before.
    known: BTreeSet<Pair>,
    /// Of campaigns with a corpus: the run that is kept for each pair.
    firsts: BTreeMap<Pair, Arc<First>>,
    /// The campaign's directory, below which its corpus is frozen.
    home: PathBuf,
    events: u64,
    virtual_ms: u64,
}

/// Runs of one scenario.
#[derive(Clone, Copy, Debug)]
struct Seen {
    runs: u64,
    first: u64,
    last: u64,
}

#[derive(Clone, Debug)]
struct Failing {
    line: FailureLine,
    verdict: String,
    runs: u64,
    /// With its message and verdict: the first of them speaks for all.
    seeds: BTreeMap<FailedRun, (String, String)>,
}

/// A run to be saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToSave {
    /// Its scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// The directory that it belongs into, beside the summary.
    pub dir: String,
    /// Of a run that was the end of its process, or had none, and would be so again: all that is known of it.
    pub silent: Option<String>,
}

/// A run that reached something: of several the one with the fewest events is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct First {
    events: u64,
    /// Its scenario, in which everything is drawn.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// The marks that it reached.
    pub reached: Vec<Arc<str>>,
}

/// The places of one charter's scenarios and marks.
#[derive(Clone, Debug)]
pub struct Places {
    scenarios: Vec<String>,
    marks: Vec<Arc<str>>,
    /// The hash of its corpus, and of which scenarios everything is drawn.
    corpus: Option<String>,
    whole: Vec<bool>,
    /// The bugs that are planted in each scenario.
    planted: Vec<Vec<String>>,
    commit: String,
    /// What a run of each scenario is a function of, beside the seed.
    of: Vec<String>,
}

impl Tally {
    /// The sum of nothing yet, of a campaign in that directory.
    pub fn at(home: &Path) -> Tally {
        Tally {
            home: home.to_path_buf(),
            ..Tally::default()
        }
    }

    /// Runs that are added from now on are of a campaign in that directory.
    pub fn move_to(&mut self, home: &Path) {
        self.home = home.to_path_buf();
    }

    /// What a corpus reached already is no discovery, before or after its runs are added.
    pub fn know(&mut self, corpus: &Corpus) {
        for reached in corpus.reached() {
            let reached: Vec<Arc<str>> = reached.iter().map(|mark| mark.as_str().into()).collect();
            for pair in pairs(&reached) {
                self.firsts.remove(&pair);
                self.known.insert(pair);
            }
        }
    }

    /// The runs that a corpus lacks: of each new pair of marks the run with the fewest events that passed.
    pub fn discoveries(&self) -> BTreeSet<Arc<First>> {
        self.firsts.values().cloned().collect()
    }

    /// Makes ready for the runs of a campaign: its marks are reported even if no run reaches them.
    pub fn begin(&mut self, charter: &Charter) -> Places {
        self.commits.insert(charter.commit.clone());
        let marks: Vec<Arc<str>> = charter.probes.iter().map(|n| n.as_str().into()).collect();
        for mark in &marks {
            self.probes.entry(mark.clone()).or_default();
        }
        let names = charter.scenarios.iter().map(|subject| subject.name.clone());
        let is_whole = |subject: &Subject| subject.scenario().is_ok_and(|s| s.whole);
        let planted = |subject: &Subject| match subject.scenario() {
            Ok(scenario) => scenario.plan.bugs.iter().map(|b| b.to_string()).collect(),
            Err(_) => Vec::new(),
        };
        Places {
            scenarios: names.collect(),
            marks,
            corpus: charter.corpus.as_ref().map(|corpus| corpus.hash.clone()),
            whole: charter.scenarios.iter().map(is_whole).collect(),
            planted: charter.scenarios.iter().map(planted).collect(),
            commit: charter.commit.clone(),
            of: (0..charter.scenarios.len())
                .filter_map(|place| Some(format!("{:016x}", charter.identity(place)?)))
                .collect(),
        }
    }

    /// Adds a run. An error: it is no run of that campaign.
    pub fn add(&mut self, places: &Places, line: &RunLine) -> Result<(), String> {
        let scenario = places
            .scenarios
            .get(line.scenario)
            .ok_or_else(|| format!("there is no scenario {} in its charter", line.scenario))?;
        self.add_probes(places, line)?;
        self.runs += 1;
        *self.verdicts.entry(line.verdict.clone()).or_default() += 1;
        self.rechecked += u64::from(line.rechecked);
        self.events += line.events;
        self.virtual_ms += line.virtual_ms;
        let planted = &places.planted[line.scenario];
        let subject = (scenario.clone(), planted.clone());
        let seen = self.scenarios.entry(subject).or_insert(Seen {
            runs: 0,
            first: line.seed,
            last: line.seed,
        });
        seen.runs += 1;
        seen.first = seen.first.min(line.seed);
        seen.last = seen.last.max(line.seed);
        if let Some(failure) = &line.failure {
            let corpus = places
                .corpus
                .as_ref()
                .filter(|_| places.whole[line.scenario]);
            let seed = seed_text(line.seed);
            let corpus = corpus.map(|hash| frozen(&self.home, hash));
            let run = FailedRun {
                events: line.events,
                scenario: scenario.clone(),
                reproduce: reproduce(scenario, &seed, corpus.as_deref(), planted),
                seed,
                commit: places.commit.clone(),
                of: places.of[line.scenario].clone(),
            };
            self.add_failure(run, line, failure);
        }
        Ok(())
    }

    fn add_probes(&mut self, places: &Places, line: &RunLine) -> Result<(), String> {
        let mut reached = Vec::with_capacity(line.probes.len());
        for (place, count) in &line.probes {
            let mark = places.marks.get(usize::from(*place));
            let mark = mark.ok_or_else(|| format!("there is no mark {place} in its charter"))?;
            reached.push((mark, *count));
        }
        for (mark, count) in &reached {
            *self.probes.entry((*mark).clone()).or_default() += count;
        }
        let reached: Vec<Arc<str>> = reached.into_iter().map(|(mark, _)| mark.clone()).collect();
        let alone = |pair: &Pair| pair.0 == pair.1;
        for pair in pairs(&reached).filter(|pair| !alone(pair)) {
            self.pairs.insert(pair);
        }
        if places.corpus.is_some() && line.failure.is_none() && places.whole[line.scenario] {
            let first = Arc::new(First {
                events: line.events,
                scenario: places.scenarios[line.scenario].clone(),
                seed: line.seed,
                reached,
            });
            for pair in pairs(&first.reached).filter(|pair| !self.known.contains(pair)) {
                let kept = self.firsts.entry(pair).or_insert_with(|| first.clone());
                if first < *kept {
                    *kept = first.clone();
                }
            }
        }
        Ok(())
    }

    fn add_failure(&mut self, run: FailedRun, line: &RunLine, failure: &FailureLine) {
        let failing = self
            .failures
            .entry(failure.fingerprint.clone())
            .or_insert_with(|| Failing {
                line: failure.clone(),
                verdict: line.verdict.clone(),
                runs: 0,
                seeds: BTreeMap::new(),
            });
        failing.runs += 1;
        let words = (failure.message.clone(), line.verdict.clone());
        failing.seeds.insert(run, words);
        if failing.seeds.len() > SEEDS_KEPT {
            failing.seeds.pop_last();
        }
    }

    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// How many distinct failures there are.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// How many marks were reached, and of how many.
    pub fn probes(&self) -> (usize, usize) {
        let reached = self.probes.values().filter(|count| **count > 0).count();
        (reached, self.probes.len())
    }

    /// The verdicts, in words: `12 pass, 1 stuck`.
    pub fn verdicts(&self) -> String {
        let words: Vec<String> = self
            .verdicts
            .iter()
            .map(|(w, n)| format!("{n} {w}"))
            .collect();
        words.join(", ")
    }

    /// The fastest run of each failure.
    pub fn to_save(&self) -> Vec<ToSave> {
        let failures = self.failures.iter();
        failures
            .filter_map(|(fingerprint, failing)| {
                let (run, (message, verdict)) = failing.seeds.first_key_value()?;
                let silent = (run.events == 0).then(|| {
                    format!(
                        "{} ({verdict}): {message}\nAgain: {}",
                        failing.line.check, run.reproduce
                    )
                });
                Some(ToSave {
                    scenario: run.scenario.clone(),
                    seed: parse_seed(&run.seed).ok()?,
                    dir: directory(fingerprint, run),
                    silent,
                })
            })
            .collect()
    }

    /// The summary, beside which there is what stands in `home`.
    pub fn summary(&self, wall_ms: u64, home: &Path) -> Summary {
        let scenarios = self.scenarios.iter();
        let scenarios = scenarios.map(|((name, planted), seen)| ScenarioSummary {
            name: name.clone(),
            planted: planted.clone(),
            runs: seen.runs,
            first: seed_text(seen.first),
            last: seed_text(seen.last),
        });
        let failures = self.failures.values();
        let mut failures: Vec<Failure> = failures.map(|failing| failing.told(home)).collect();
        failures.sort_by(|a, b| (b.runs, &a.fingerprint).cmp(&(a.runs, &b.fingerprint)));
        let probes = self.probes.iter();
        let never = probes.clone().filter(|(_, count)| **count == 0);
        let commits: Vec<&str> = self.commits.iter().map(String::as_str).collect();
        Summary {
            schema: CAMPAIGN_SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: commits.join(", "),
            cut_short: None,
            runs: self.runs,
            verdicts: self.verdicts.clone(),
            rechecked: self.rechecked,
            scenarios: scenarios.collect(),
            failures,
            never_reached: never.map(|(mark, _)| mark.to_string()).collect(),
            probes: probes.map(|(mark, n)| (mark.to_string(), *n)).collect(),
            pairs: self.pairs.len() as u64,
            discovered: self.discoveries().len() as u64,
            events: self.events,
            virtual_ms: self.virtual_ms,
            wall_ms,
        }
    }
}

/// Every pair of these marks, and each mark with itself.
fn pairs(reached: &[Arc<str>]) -> impl Iterator<Item = Pair> {
    reached.iter().enumerate().flat_map(|(at, one)| {
        reached[at..].iter().map(move |other| match one < other {
            true => (one.clone(), other.clone()),
            false => (other.clone(), one.clone()),
        })
    })
}

/// Where a failed run is saved, beside the summary: the same seed is another run in another scenario, or of another source.
fn directory(fingerprint: &str, run: &FailedRun) -> String {
    format!("failures/{fingerprint}-{}-{}", run.seed, &run.of[..8])
}

impl Failing {
    fn told(&self, home: &Path) -> Failure {
        let first = self.seeds.first_key_value();
        let (message, verdict) = match first {
            Some((_, (message, verdict))) => (message.clone(), verdict.clone()),
            None => (self.line.message.clone(), self.verdict.clone()),
        };
        let saved = first.map(|(run, _)| directory(&self.line.fingerprint, run));
        let minimal = saved.as_ref().map(|dir| format!("{dir}/{MINIMAL}"));
        let minimal = minimal.filter(|file| home.join(file).exists());
        Failure {
            fingerprint: self.line.fingerprint.clone(),
            check: self.line.check.clone(),
            shape: self.line.shape.clone(),
            phase: self.line.phase.clone(),
            verdict,
            runs: self.runs,
            seeds: self.seeds.keys().cloned().collect(),
            message,
            saved: saved.filter(|dir| is_saved(&home.join(dir))),
            is_minimal: minimal
                .as_ref()
                .is_some_and(|file| is_minimal(&home.join(file))),
            minimal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::tests::{charter, passed};
    use super::super::seeds::Shard;
    use super::*;

    fn failed(seed: u64, events: u64, fingerprint: &str) -> RunLine {
        let failure = FailureLine {
            fingerprint: fingerprint.to_string(),
            check: "agreement".to_string(),
            shape: "s differs".to_string(),
            phase: "broadcast".to_string(),
            message: format!("of seed {seed}"),
        };
        RunLine {
            verdict: "fail".to_string(),
            events,
            failure: Some(failure),
            ..passed(seed)
        }
    }

    fn runs() -> Vec<RunLine> {
        let mut runs: Vec<RunLine> = (1..=20).map(passed).collect();
        runs.extend((21..=30).map(|seed| failed(seed, 1_000 - seed, "a")));
        runs.push(failed(31, 5, "b"));
        runs[3].probes = vec![(7, 2), (1, 1)];
        runs
    }

    fn summed(runs: &[RunLine]) -> Summary {
        let mut tally = Tally::default();
        let places = tally.begin(&charter((1, 40), Shard::WHOLE));
        for run in runs {
            tally.add(&places, run).expect("a run of this campaign");
        }
        tally.summary(7, Path::new("nowhere"))
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order() {
        let mut runs = runs();
        let summary = summed(&runs);
        runs.reverse();
        assert_eq!(summed(&runs), summary);
        runs.rotate_left(11);
        assert_eq!(summed(&runs), summary);
    }

    #[test]
    fn failures_are_one_for_each_fingerprint_with_the_fastest_seeds() {
        let summary = summed(&runs());
        assert_eq!(summary.runs, 31);
        assert_eq!(summary.verdicts["pass"], 20);
        assert_eq!(summary.verdicts["fail"], 11);
        let [often, once] = &summary.failures[..] else {
            panic!("two failures: {:?}", summary.failures);
        };
        assert_eq!((often.fingerprint.as_str(), often.runs), ("a", 10));
        let seeds: Vec<&str> = often.seeds.iter().map(|run| run.seed.as_str()).collect();
        let fastest = [30, 29, 28, 27].map(seed_text);
        assert_eq!(seeds, fastest);
        assert_eq!(often.message, "of seed 30", "the fastest speaks for all");
        assert_eq!(often.saved, None, "nobody has saved it");
        assert_eq!((once.fingerprint.as_str(), once.runs), ("b", 1));
    }

    #[test]
    fn marks_are_summed_and_what_no_run_reached_is_there_with_zero() {
        let charter = charter((1, 40), Shard::WHOLE);
        let summary = summed(&runs());
        let names = &charter.probes;
        assert_eq!(summary.probes.len(), names.len());
        let all: u64 = (1..=31).sum();
        assert_eq!(summary.probes[&names[0]], all - 4);
        assert_eq!(summary.probes[&names[7]], 2);
        assert_eq!(summary.never_reached.len(), names.len() - 4);
        assert_eq!(summary.pairs, 2);
    }

    #[test]
    fn a_line_of_another_campaign_is_refused() {
        let mut tally = Tally::default();
        let places = tally.begin(&charter((1, 40), Shard::WHOLE));
        let no_scenario = RunLine {
            scenario: 1,
            ..passed(1)
        };
        tally.add(&places, &no_scenario).expect_err("one scenario");
        let no_mark = RunLine {
            probes: vec![(9_999, 1)],
            ..passed(1)
        };
        tally.add(&places, &no_mark).expect_err("fewer marks");
        assert_eq!(tally.runs(), 0);
    }
}
