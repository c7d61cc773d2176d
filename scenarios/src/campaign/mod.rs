//! Campaigns: many seeds, made by worker processes, while nobody watches.
//!
//! What a campaign is stands in its [`Charter`]: scenarios, seeds, which shard of them, the source. Each run that is over is a
//! line of its journal (`journal`), written at once. Everything else is made from the journal: what there is to do still,
//! and the summary. So a campaign that was killed at any instant is taken up again where it was, and its summary is the one
//! that it would have had: no run is counted twice, and none is left out but those that are still to be made.
//!
//! Runs are made in processes (`pool`), since a run may do anything: spin, overflow its stack, eat the memory. What a summary
//! says does not depend on which worker made which run, on the order, or on the division into shards (`tally`); shards and
//! nights are joined by [`merge()`].

mod charter;
mod clock;
mod files;
mod hunt;
mod journal;
mod merge;
mod plant;
mod pool;
mod progress;
mod seeds;
mod stop;
mod tally;
mod trials;
mod worker;

pub(crate) use charter::COMMIT;
pub use charter::{Charter, CorpusOf, Subject};
pub(crate) use files::WHY;
pub(crate) use hunt::{Catch, Hunt, MAJORITY, RANGES};
pub use journal::JOURNAL;
pub use merge::{Merged, merge};
pub use plant::Plant;
pub use seeds::{Seeds, Shard};
pub(crate) use stop::Stop;
pub(crate) use trials::Trials;
pub use worker::serve;

use crate::corpus::{self, Corpus};
use crate::format::{Scenario, duration_text};
use crate::replace::replace;
use crate::shrink::{self, BUDGET, Kept, Request, sizes};
use files::{Directory, is_saved, write_summary};
use journal::{Journal, Line, RunLine};
use pool::{Conditions, Job};
use progress::{Goal, Progress};
use seeds::{Intervals, Item, Items};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tally::{Places, Tally, ToSave};
use zabsim::{Stream, seed_text};
use zabsim_types::campaign::Summary;

/// A campaign as it is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is; `None` for what is not said, which a campaign that is taken up again knows, and another gets the default.
    pub scenarios: Option<Vec<Subject>>,
    /// With which seeds.
    pub seeds: Option<Seeds>,
    /// Which part of them.
    pub shard: Option<Shard>,
    /// The share of runs that are made twice, in 1,000.
    pub recheck_per_mille: Option<u32>,
    /// What those scenarios are drawn from in which everything is drawn; what is found there is added to it.
    pub corpus: Option<PathBuf>,
    /// For how long, sessions before this one included; `None`: until every seed is done, or as when it was begun.
    pub duration: Option<Duration>,
    /// How many worker processes.
    pub jobs: usize,
    /// Its directory; `None`: the next of `campaigns/001`, `002`, …
    pub out: Option<PathBuf>,
    /// Whether to take up the one that is there.
    pub resume: bool,
    /// Whether to begin no run any more after the first failure.
    pub fail_fast: bool,
    /// How long a run may take by the wall clock.
    pub watchdog: Duration,
    /// What each worker may ask the system for, in MiB.
    pub memory_mib: u64,
    /// For how long the failures are shrunk at the end, all together.
    pub shrink_for: Duration,
    /// What a test planted.
    pub plants: Vec<Plant>,
}

/// What a campaign came to.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its summary, which is written too.
    pub summary: Summary,
    /// Its directory.
    pub dir: PathBuf,
    /// What somebody should know of it.
    pub remarks: Vec<String>,
    /// Why it could not go on, if it could not. What it found until then is told all the same.
    pub broken: Option<String>,
}

/// Every how many milliseconds the journal is brought to the disk. Against a killed process it is safe at once.
const SYNC_EVERY_MS: u64 = 2_000;

/// Once a campaign was asked to stop, the runs of its failures are saved for so long.
const SAVING_ONCE_STOPPED: Duration = Duration::from_secs(10);

/// How long a campaign is, where nothing ends it.
const FOR: Duration = Duration::from_secs(60);

/// What a campaign adds to its corpus.
pub(crate) const DISCOVERIES: &str = "discoveries";

/// Where a campaign keeps its corpus as it was when it began.
pub(crate) fn frozen(home: &Path, hash: &str) -> PathBuf {
    home.join("corpus").join(hash)
}

/// The shrunk scenario in the directory of a saved run.
pub(crate) const MINIMAL: &str = "minimal.toml";

/// Runs a campaign to its end, or until a signal asks it to stop, and writes its summary. `log` is told how it is getting on.
pub fn run(wanted: &Wanted, log: &mut dyn Write) -> Result<Ended, String> {
    let dir = match &wanted.out {
        Some(path) if wanted.resume => Directory::begun(path)?,
        Some(path) => Directory::open(path)?,
        None => Directory::numbered(wanted.resume)?,
    };
    let mut campaign = match Campaign::open(wanted, &dir) {
        Ok(campaign) => campaign,
        Err(why) => {
            if !dir.journal().exists() {
                dir.give_up();
            }
            return Err(why);
        }
    };
    let stop = Stop::on_signals()?;
    let corpus = campaign.corpus.as_ref();
    let conditions = Conditions {
        subjects: campaign.charter.scenarios.clone(),
        corpus: corpus.map(|corpus| corpus.dir().to_path_buf()),
        jobs: wanted.jobs,
        watchdog: wanted.watchdog,
        memory_mib: wanted.memory_mib,
        plants: wanted.plants.clone(),
    };
    let was_over = campaign.is_over(wanted);
    if wanted.resume && was_over.is_none() {
        campaign.take_back(&dir)?;
    }
    let broken = campaign.make_runs(wanted, &conditions, &stop, log).err();
    let cut_short = campaign.cut_short(wanted, &stop, broken.as_deref());
    // Even if it could not go on: what it found until then is the more worth telling.
    let mut ended = campaign.conclude(&dir, &conditions, &stop, cut_short);
    ended.broken = broken.or(ended.broken);
    ended.remarks.extend(was_over);
    if ended.summary.cut_short.is_none() && ended.broken.is_none() {
        ended.remarks.extend(campaign.add_to_corpus(&dir).err());
    }
    if !stop.is_set() && ended.broken.is_none() {
        let time = wanted.shrink_for;
        ended.broken = campaign
            .shrink_failures(&mut ended, &conditions, &stop, time, log)
            .err();
    }
    Ok(ended)
}

/// A campaign that is being run.
struct Campaign {
    charter: Charter,
    /// As it was when the campaign began.
    corpus: Option<Corpus>,
    journal: Journal,
    items: Items,
    done: Intervals,
    tally: Tally,
    places: Places,
    /// Time of the sessions before this one.
    before_ms: u64,
    started: Instant,
}

impl Campaign {
    fn open(wanted: &Wanted, dir: &Directory) -> Result<Campaign, String> {
        let path = dir.journal();
        match (path.exists(), wanted.resume) {
            (true, false) => Err(format!(
                "{} holds a campaign already; go on with it by --resume, or name another directory with --out",
                dir.path.display()
            )),
            (true, true) => Campaign::resume(wanted, dir),
            // It may have been killed before it had begun.
            (false, _) => Campaign::begin(wanted, dir),
        }
    }

    fn begin(wanted: &Wanted, dir: &Directory) -> Result<Campaign, String> {
        let path = &dir.journal();
        let scenarios = wanted.scenarios.clone().ok_or_else(|| {
            format!(
                "{}: it was killed before it had begun: say again what it is to run",
                path.display()
            )
        })?;
        let seeds = wanted.seeds.unwrap_or(ALL_SEEDS);
        let mut charter = Charter::new(
            scenarios,
            seeds,
            wanted.shard.unwrap_or(Shard::WHOLE),
            wanted.recheck_per_mille.unwrap_or(0),
        );
        if charter.items().count() == 0 {
            return Err(format!(
                "shard {} of the seeds {} has none of them: there is nothing to run",
                charter.shard, charter.seeds
            ));
        }
        let endless = (seeds.last == u64::MAX).then_some(FOR);
        let duration = wanted.duration.or(endless);
        charter.for_ms = duration.map(|d| d.as_millis() as u64);
        let corpus = match &wanted.corpus {
            Some(corpus) => {
                let corpus = Corpus::read_or_begin(corpus)?;
                corpus.may_grow()?;
                charter.corpus = Some(CorpusOf {
                    dir: corpus.dir().to_path_buf(),
                    hash: corpus.hash(),
                });
                Some(corpus.freeze(&frozen(&dir.path, &corpus.hash()))?)
            }
            None => None,
        };
        let journal = Journal::begin(path, &charter)?;
        let mut tally = Tally::at(&dir.path);
        corpus.iter().for_each(|corpus| tally.know(corpus));
        Ok(Campaign {
            corpus,
            items: charter.items(),
            done: Intervals::default(),
            places: tally.begin(&charter),
            tally,
            charter,
            journal,
            before_ms: 0,
            started: clock::now(),
        })
    }

    fn resume(wanted: &Wanted, dir: &Directory) -> Result<Campaign, String> {
        let path = &dir.journal();
        let mut read = Read {
            tally: Tally::at(&dir.path),
            ..Read::default()
        };
        let extent = journal::read(path, |line| read.take(line))?;
        let Read {
            of: Some((charter, items, places)),
            mut tally,
            done,
            last_ms,
        } = read
        else {
            return Err(format!(
                "{}: it has no charter: that campaign was killed before it had begun; take the file away and begin it again",
                path.display()
            ));
        };
        let asked_for = Charter::new(
            wanted
                .scenarios
                .clone()
                .unwrap_or(charter.scenarios.clone()),
            wanted.seeds.unwrap_or(charter.seeds),
            wanted.shard.unwrap_or(charter.shard),
            wanted
                .recheck_per_mille
                .unwrap_or(charter.recheck_per_mille),
        );
        if let Some(difference) = charter.difference(&asked_for) {
            return Err(format!(
                "{}: another campaign: {difference}",
                path.display()
            ));
        }
        let corpus = match (&charter.corpus, &wanted.corpus) {
            (None, None) => None,
            (None, Some(_)) => {
                return Err(format!(
                    "{}: another campaign: it has no corpus, this one has",
                    path.display()
                ));
            }
            (Some(of), Some(other)) if !is_same(&of.dir, other) => {
                return Err(format!(
                    "{}: another campaign: its corpus is {}, this one's {}",
                    path.display(),
                    of.dir.display(),
                    other.display()
                ));
            }
            (Some(of), _) => {
                let corpus = Corpus::read(&frozen(&dir.path, &of.hash))?;
                if corpus.hash() != of.hash {
                    return Err(format!(
                        "{}: it is not what it was when the campaign began: its hash is {}, and was {}",
                        corpus.dir().display(),
                        corpus.hash(),
                        of.hash
                    ));
                }
                Some(corpus)
            }
        };
        corpus.iter().for_each(|corpus| tally.know(corpus));
        Ok(Campaign {
            corpus,
            journal: Journal::resume(path, extent)?,
            charter,
            items,
            done,
            tally,
            places,
            before_ms: last_ms,
            started: clock::now(),
        })
    }

    fn elapsed_ms(&self) -> u64 {
        self.before_ms + self.started.elapsed().as_millis() as u64
    }

    fn for_ms(&self, wanted: &Wanted) -> Option<u64> {
        let asked_for_ms = wanted.duration.map(|d| d.as_millis() as u64);
        asked_for_ms.or(self.charter.for_ms)
    }

    /// Where it is taken up again and there is nothing left to do: that, in words.
    fn is_over(&self, wanted: &Wanted) -> Option<String> {
        let is_complete = self.tally.runs() == self.items.count();
        match self.for_ms(wanted) {
            _ if !wanted.resume => None,
            _ if is_complete => Some(format!(
                "it was finished already: each of its {} runs is made",
                self.tally.runs()
            )),
            Some(all) if self.before_ms >= all => Some(format!(
                "it was finished already: it was to run for {}; --for lets it run on, up to a longer time in all",
                duration_text(all * 1_000)
            )),
            _ => None,
        }
    }

    /// Why runs that were asked for are not made, if there are such.
    fn cut_short(&self, wanted: &Wanted, stop: &Stop, broken: Option<&str>) -> Option<String> {
        let is_complete = self.tally.runs() == self.items.count();
        let is_late = self
            .for_ms(wanted)
            .is_some_and(|all| self.elapsed_ms() >= all);
        match broken {
            Some(why) => Some(why.to_string()),
            None if stop.is_set() => Some("it was asked to stop".to_string()),
            None if wanted.fail_fast && self.tally.failures() > 0 && !is_complete && !is_late => {
                Some("it was to end with the first failure".to_string())
            }
            None => None,
        }
    }

    fn make_runs(
        &mut self,
        wanted: &Wanted,
        conditions: &Conditions,
        stop: &Stop,
        log: &mut dyn Write,
    ) -> Result<(), String> {
        let for_ms = self.for_ms(wanted);
        let goal = Goal {
            runs: self.items.count(),
            for_ms,
        };
        let before = (self.tally.runs(), self.before_ms);
        let mut progress = Progress::new(goal, before, log);
        let left = for_ms.map(|all| Duration::from_millis(all.saturating_sub(self.before_ms)));
        let enough = Stop::default();
        if wanted.fail_fast && self.tally.failures() > 0 {
            enough.set();
        }
        let mut todo = Todo {
            items: self.items,
            done: self.done.clone(),
            number: 0,
        };
        let (started, recheck) = (self.started, self.charter.recheck_per_mille);
        let next = || {
            let over = left.is_some_and(|left| started.elapsed() >= left);
            if over || enough.is_set() {
                return None;
            }
            let item = todo.next()?;
            Some(Job {
                item,
                recheck: is_rechecked(item, recheck),
            })
        };
        let mut synced_ms = 0;
        let seen = |line: &RunLine| {
            if wanted.fail_fast && line.failure.is_some() {
                enough.set();
            }
        };
        let result = pool::run_all(conditions, stop, next, seen, |line| {
            if let Some(line) = line {
                self.take(line)?;
            }
            let now_ms = self.elapsed_ms();
            if now_ms >= synced_ms + SYNC_EVERY_MS {
                self.journal.sync()?;
                synced_ms = now_ms;
            }
            progress.tell(&self.tally, now_ms);
            Ok(())
        });
        progress.finish();
        result.and_then(|()| self.journal.sync())
    }

    fn take(&mut self, mut line: RunLine) -> Result<(), String> {
        line.at_ms = self.elapsed_ms();
        let line = Line::Run(line);
        self.journal.append(&line)?;
        let Line::Run(line) = line else {
            unreachable!("it is one");
        };
        self.tally.add(&self.places, &line)
    }

    /// Writes what there is to tell, first of all, and again with the runs that are saved.
    fn conclude(
        &self,
        dir: &Directory,
        conditions: &Conditions,
        stop: &Stop,
        cut_short: Option<String>,
    ) -> Ended {
        let wall_ms = self.elapsed_ms();
        let mut ended = Ended {
            summary: self.summary(dir, wall_ms, cut_short),
            dir: dir.path.clone(),
            remarks: Vec::new(),
            broken: None,
        };
        let written = write_summary(&dir.path, &ended.summary);
        let saved = written.and_then(|()| self.save_failures(dir, conditions, stop));
        let told = saved.and_then(|remarks| {
            ended.remarks = remarks;
            ended.summary = self.summary(dir, wall_ms, ended.summary.cut_short.take());
            write_summary(&dir.path, &ended.summary)
        });
        ended.broken = told.err();
        ended
    }

    fn summary(&self, dir: &Directory, wall_ms: u64, cut_short: Option<String>) -> Summary {
        Summary {
            cut_short,
            ..self.tally.summary(wall_ms, &dir.path)
        }
    }

    fn draw(&self, scenario: &Scenario, seed: u64) -> Scenario {
        match &self.corpus {
            Some(corpus) => corpus.draw(scenario, seed),
            None => scenario.draw(seed),
        }
    }

    /// Adds to the corpus what reached something that it did not know, once the campaign is at its end: until then nobody's runs
    /// depend on it. What was added stays beside the summary too.
    fn add_to_corpus(&self, dir: &Directory) -> Result<(), String> {
        let Some(of) = &self.charter.corpus else {
            return Ok(());
        };
        for found in self.tally.discoveries() {
            let (_, scenario) = self.scenario(&found.scenario)?;
            let drawn = self.draw(&scenario, found.seed);
            let reached: Vec<String> = found.reached.iter().map(|mark| mark.to_string()).collect();
            corpus::add(&dir.path.join(DISCOVERIES), &drawn, reached.clone())?;
            corpus::add(&of.dir, &drawn, reached)?;
        }
        Ok(())
    }

    /// A campaign that goes on behind its end may find better for what it has added: it is as if it had not ended there.
    fn take_back(&self, dir: &Directory) -> Result<(), String> {
        let discoveries = dir.path.join(DISCOVERIES);
        let Some(of) = &self.charter.corpus else {
            return Ok(());
        };
        if !discoveries.is_dir() {
            return Ok(());
        }
        corpus::take_back(&of.dir, &discoveries, &frozen(&dir.path, &of.hash))
    }

    /// The scenario of that name.
    fn scenario(&self, name: &str) -> Result<(usize, Scenario), String> {
        let mut subjects = self.charter.scenarios.iter().enumerate();
        let found = subjects.find(|(_, subject)| subject.name == name);
        let (place, subject) = found.ok_or("a run of a scenario that its charter has not")?;
        Ok((place, subject.scenario()?))
    }

    /// Saves the fastest run of each failure that is not there yet. Of a run that told nothing of itself, what it was to do.
    fn save_failures(
        &self,
        dir: &Directory,
        conditions: &Conditions,
        stop: &Stop,
    ) -> Result<Vec<String>, String> {
        let mut runs: Vec<(Item, PathBuf)> = Vec::new();
        let mut remarks = Vec::new();
        for ToSave {
            scenario,
            seed,
            dir: path,
            silent,
        } in self.tally.to_save()
        {
            let path = dir.path.join(path);
            if is_saved(&path) {
                continue;
            }
            let (place, drawn) = self.scenario(&scenario)?;
            match silent {
                None => runs.push((
                    Item {
                        scenario: place,
                        seed,
                    },
                    path,
                )),
                Some(why) => {
                    let drawn = self.draw(&drawn, seed).to_toml();
                    let why = format!("{why}\n");
                    let saved = fs::create_dir_all(&path)
                        .map_err(|error| format!("cannot make {}: {error}", path.display()))
                        .and_then(|()| replace(&path.join("scenario.toml"), &drawn))
                        .and_then(|()| replace(&path.join(WHY), &why));
                    remarks.extend(saved.err());
                }
            }
        }
        let until = stop.is_set().then(|| clock::now() + SAVING_ONCE_STOPPED);
        let errors = pool::save_all(conditions, &runs, until)?;
        for ((_, path), error) in runs.iter().zip(errors) {
            remarks.extend(error.map(|why| format!("{} is not saved: {why}", path.display())));
        }
        Ok(remarks)
    }

    /// Makes each failure's fastest run as small as it can be, the most frequent failure first, in the time that there is. What
    /// was shrunk before stays. Then the summary names the scenarios.
    fn shrink_failures(
        &self,
        ended: &mut Ended,
        conditions: &Conditions,
        stop: &Stop,
        time: Duration,
        log: &mut dyn Write,
    ) -> Result<(), String> {
        let saved = ended.summary.failures.iter();
        let saved = saved.filter_map(|failure| failure.saved.as_ref());
        let mut todo = Vec::new();
        for ToSave {
            scenario,
            seed,
            dir,
            silent,
        } in self.tally.to_save()
        {
            let file = ended.dir.join(&dir).join(MINIMAL);
            let place = saved.clone().position(|saved| *saved == dir);
            if let (None, Some(place)) = (silent, place)
                && !shrink::is_final(&file)
            {
                todo.push((place, scenario, seed, file));
            }
        }
        todo.sort();
        let files: Vec<PathBuf> = todo.iter().map(|(.., file)| file.clone()).collect();
        let (all, end) = (todo.len(), clock::now() + time);
        for (at, (_, named, seed, file)) in todo.into_iter().enumerate() {
            // Those that are left share what time is left.
            let left = end.saturating_duration_since(clock::now());
            if stop.is_set() || left.is_zero() {
                break;
            }
            let until = clock::now() + left / (all - at) as u32;
            let trials = Trials::new(conditions, stop, Some(until));
            let (_, scenario) = self.scenario(&named)?;
            let scenario = self.draw(&scenario, seed);
            let request = Request {
                scenario: &scenario,
                named: &named,
                seed,
                budget: BUDGET,
                hands: &trials,
            };
            let which = format!(
                "shrinking {} of {all}: {named}, seed {}",
                at + 1,
                seed_text(seed)
            );
            let remark = shrink_into(&file, &request, &which, log);
            ended.remarks.extend(remark);
            ended.remarks.extend(trials.broken().map(str::to_string));
        }
        let unfinished = files.iter().filter(|file| !shrink::is_final(file)).count();
        let mut cut_short = ended.summary.cut_short.take();
        if stop.is_set() {
            cut_short = Some("it was asked to stop while its failures were shrunk".to_string());
        } else if unfinished > 0 && !time.is_zero() {
            ended.remarks.push(format!(
                "of {all} failures {unfinished} are not shrunk to the end: the time for that was over; --shrink-for gives more, and `zabsim shrink` goes on"
            ));
        }
        ended.summary = Summary {
            cut_short,
            ..self.tally.summary(ended.summary.wall_ms, &ended.dir)
        };
        write_summary(&ended.dir, &ended.summary)
    }
}

/// How often a log hears of a shrinking.
const SHRINKING_EVERY: Duration = Duration::from_secs(5);

/// Shrinks one failure into a file; what is wrong with it, if anything is.
fn shrink_into(
    file: &Path,
    request: &Request<'_>,
    which: &str,
    log: &mut dyn Write,
) -> Option<String> {
    let mut kept = Kept::new(file, request.hands);
    let (mut unwritten, mut told) = (None, clock::now());
    let _ = writeln!(log, "{which}");
    let shrunk = shrink::shrink(request, &mut |best| {
        if told.elapsed() >= SHRINKING_EVERY {
            told = clock::now();
            let _ = writeln!(log, "{which}: run {}: {}", best.runs, sizes(&best.scenario));
        }
        unwritten = kept.put(best).err();
        unwritten.is_none()
    });
    match shrunk {
        Ok(shrunk) => {
            let _ = writeln!(
                log,
                "{which}: {} runs: {}",
                shrunk.runs,
                sizes(&shrunk.scenario)
            );
            unwritten.or_else(|| kept.put(&shrunk).err())
        }
        Err(_) if request.hands.is_over() => None,
        Err(why) => Some(format!("{which}: {why}")),
    }
}

/// Whether two paths lead to the same place.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.canonicalize().ok();
    one == other || place(one).is_some_and(|one| place(other) == Some(one))
}

/// Every seed that there is, from 1 on.
const ALL_SEEDS: Seeds = Seeds {
    first: 1,
    last: u64::MAX,
};

/// Whether a run is made twice: drawn from its seed, so that it does not depend on anything else.
fn is_rechecked(item: Item, per_mille: u32) -> bool {
    per_mille > 0 && Stream::new(item.seed, "campaign recheck", 0).per_mille(per_mille)
}

/// The items that are still to be made, in order.
struct Todo {
    items: Items,
    done: Intervals,
    number: u64,
}

impl Todo {
    fn next(&mut self) -> Option<Item> {
        let number = self.done.first_missing(self.number)?;
        self.number = number.checked_add(1)?;
        self.items.get(number)
    }
}

/// What a journal tells of a campaign that is taken up again.
#[derive(Default)]
struct Read {
    of: Option<(Charter, Items, Places)>,
    tally: Tally,
    done: Intervals,
    last_ms: u64,
}

impl Read {
    fn take(&mut self, line: Line) -> Result<(), String> {
        match (line, &self.of) {
            (Line::Charter(charter), None) => {
                let places = self.tally.begin(&charter);
                self.of = Some((charter.clone(), charter.items(), places));
                Ok(())
            }
            (Line::Charter(_), Some(_)) => Err(
                "these are several campaigns, merged: they cannot be taken up again".to_string(),
            ),
            (Line::Run(_), None) => Err("a run before the charter".to_string()),
            (Line::Run(run), Some((_, items, places))) => {
                let item = Item {
                    scenario: run.scenario,
                    seed: run.seed,
                };
                let number = items.number(item);
                let number = number.ok_or("a run that is none of this campaign")?;
                if !self.done.insert(number) {
                    return Err("a run that is there already".to_string());
                }
                self.last_ms = self.last_ms.max(run.at_ms);
                self.tally.add(places, &run)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::journal::tests::{charter, passed};
    use super::*;

    #[test]
    fn what_is_done_is_not_done_again_and_nothing_is_left_out() {
        let mut todo = Todo {
            items: charter((1, 6), Shard::WHOLE).items(),
            done: Intervals::default(),
            number: 0,
        };
        for number in [0, 1, 3] {
            todo.done.insert(number);
        }
        let seeds: Vec<u64> = std::iter::from_fn(|| todo.next())
            .map(|item| item.seed)
            .collect();
        assert_eq!(seeds, [3, 5, 6]);
    }

    #[test]
    fn a_journal_with_a_run_twice_or_of_elsewhere_is_not_taken_up() {
        let journal = |runs: &[u64]| {
            let mut read = Read::default();
            read.take(Line::Charter(charter((1, 6), Shard { index: 1, of: 2 })))?;
            runs.iter()
                .try_for_each(|seed| read.take(Line::Run(passed(*seed))))
        };
        assert_eq!(journal(&[1, 5, 3]), Ok(()));
        assert!(
            journal(&[1, 1])
                .expect_err("twice")
                .contains("there already")
        );
        assert!(
            journal(&[2])
                .expect_err("the other shard's")
                .contains("none of this")
        );
        assert!(journal(&[7]).expect_err("beyond").contains("none of this"));
    }

    /// Of 1,000 seeds so many as were asked for, and the same ones always.
    #[test]
    fn the_share_of_repeated_runs_is_drawn_from_the_seed() {
        let count = |per_mille| {
            let items = (1..=1_000).map(|seed| Item { scenario: 0, seed });
            items.filter(|item| is_rechecked(*item, per_mille)).count()
        };
        assert_eq!(count(0), 0);
        assert_eq!(count(1_000), 1_000);
        assert!((20..90).contains(&count(50)), "{}", count(50));
        assert_eq!(count(50), count(50));
    }
}
