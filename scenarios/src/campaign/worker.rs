//! A worker: a process that makes runs for a campaign, one after the other, each on a thread of its own, and answers each
//! order with a line. Its supervisor may kill it at any time; nothing is lost but the run in hand.
//!
//! Orders come as lines of JSON. When their pipe ends, nobody wants the worker any more, and it exits at once, whatever it is
//! doing: a run that never ends must not outlive a supervisor that was killed.

use super::charter::{COMMIT, Subject, hex};
use super::journal::{FailureLine, RunLine};
use super::plant::Plant;
use super::stop;
use crate::corpus::Corpus;
use crate::fingerprint::Fingerprint;
use crate::format::Scenario;
use crate::runner::{Finished, How, run_as};
use crate::shrink::{self, Tried};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;
use zabsim_types::run::{RunReport, Verdict};

/// What a worker is told to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The next scenario, by which later orders name it: the first is 0.
    Subject(Subject),
    /// What it is drawn from, besides the seed.
    Corpus(PathBuf),
    /// Say whether it is ready.
    Begin,
    /// Make a run.
    Run {
        /// The scenario's place.
        scenario: usize,
        /// The seed.
        #[serde(with = "hex")]
        seed: u64,
        /// Whether to make it twice, and to compare.
        recheck: bool,
    },
    /// What is to be tried next.
    Candidate(String),
    /// Try that with a seed: what it shows, if it fails.
    Try {
        /// The seed.
        #[serde(with = "hex")]
        seed: u64,
        /// What it must show to be of interest; `None`: anything.
        wanted: Option<Fingerprint>,
    },
    /// Make a run and save it, as `zabsim run --out` does.
    Save {
        /// The scenario's place.
        scenario: usize,
        /// The seed.
        #[serde(with = "hex")]
        seed: u64,
        /// Where to.
        dir: PathBuf,
    },
}

/// What a worker answers. Only the supervisor knows when a run was over: `at_ms` is 0.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It is ready, and built from this commit.
    Ready(String),
    /// What came of a run.
    Run(Box<RunLine>),
    /// What a candidate came to.
    Tried(Tried),
    /// A run is saved, or why not.
    Saved(Option<String>),
}

/// Obeys orders until there are no more. An error is the supervisor's fault: it was no order.
pub fn serve(
    orders: impl BufRead + Send + 'static,
    answers: &mut dyn Write,
    plants: &[Plant],
) -> Result<(), String> {
    stop::let_signals_pass()?;
    let (told, to_do) = mpsc::channel();
    std::thread::spawn(move || {
        for line in orders.lines() {
            let Ok(line) = line else { break };
            if told.send(line).is_err() {
                return;
            }
        }
        // Nobody waits for an answer any more.
        std::process::exit(0);
    });
    let mut worker = Worker {
        subjects: Vec::new(),
        marks: zabsim::marks().iter().map(|(name, _)| *name).collect(),
        plants,
        corpus: None,
        candidate: None,
    };
    for line in to_do {
        let order = serde_json::from_str(&line).map_err(|error| format!("no order: {error}"))?;
        if let Some(answer) = worker.obey(order)? {
            say(&answer, answers)?;
        }
    }
    Ok(())
}

fn say(answer: &Answer, to: &mut dyn Write) -> Result<(), String> {
    let mut text = serde_json::to_vec(answer).map_err(|error| error.to_string())?;
    text.push(b'\n');
    let said = to.write_all(&text).and_then(|()| to.flush());
    said.map_err(|error| format!("nobody listens: {error}"))
}

struct Worker<'a> {
    subjects: Vec<(String, Scenario)>,
    marks: Vec<&'static str>,
    plants: &'a [Plant],
    corpus: Option<Corpus>,
    /// What is tried; `None` also where it can be no scenario.
    candidate: Option<Scenario>,
}

impl Worker<'_> {
    fn obey(&mut self, order: Order) -> Result<Option<Answer>, String> {
        match order {
            Order::Subject(subject) => {
                let scenario = subject.scenario()?;
                self.subjects.push((subject.name, scenario));
                Ok(None)
            }
            Order::Corpus(dir) => {
                self.corpus = Some(Corpus::read(&dir)?);
                Ok(None)
            }
            Order::Begin => Ok(Some(Answer::Ready(COMMIT.to_string()))),
            Order::Run {
                scenario,
                seed,
                recheck,
            } => {
                let finished = self.run(scenario, seed);
                let mut line = self.line(scenario, seed, &finished.report);
                if recheck {
                    let again = self.run(scenario, seed).report;
                    compare(&mut line, &again, self.plants);
                }
                Ok(Some(Answer::Run(Box::new(line))))
            }
            Order::Candidate(toml) => {
                self.candidate = Scenario::parse("candidate", &toml).ok();
                Ok(None)
            }
            Order::Try { seed, wanted } => {
                let tried = match &self.candidate {
                    Some(candidate) => shrink::attempt(candidate, seed, wanted.as_ref()),
                    None => Tried::NoRun,
                };
                Ok(Some(Answer::Tried(tried)))
            }
            Order::Save {
                scenario,
                seed,
                dir,
            } => {
                let finished = self.run(scenario, seed);
                let error = finished.save(&dir).err();
                Ok(Some(Answer::Saved(error.map(|error| error.to_string()))))
            }
        }
    }

    fn run(&self, scenario: usize, seed: u64) -> Finished {
        let (name, scenario) = &self.subjects[scenario];
        let how = How {
            corpus: self.corpus.as_ref(),
            ..How::default()
        };
        match self.plants.iter().find(|plant| plant.seed == seed) {
            Some(plant) => plant.run(scenario, name, seed, how),
            None => run_as(scenario, name, seed, how),
        }
    }

    fn line(&self, scenario: usize, seed: u64, report: &RunReport) -> RunLine {
        let place = |mark: &str| self.marks.iter().position(|known| *known == mark);
        let reached = report.reached.iter();
        let probes = reached.map(|reached| {
            let place = place(&reached.mark).expect("a run reports marks that are listed");
            (place as u16, reached.count)
        });
        RunLine {
            scenario,
            seed,
            verdict: report.verdict.word().to_string(),
            hash: report.trace_hash.clone(),
            events: report.events,
            virtual_ms: report.virtual_ms,
            wall_ms: report.wall_ms as u64,
            at_ms: 0,
            rechecked: false,
            probes: probes.collect(),
            failure: (!report.as_expected).then(|| failure(report)),
        }
    }
}

/// Messages name paths and lists of servers; what is longer than this is a list that nobody reads.
const MESSAGE_CHARS_MAX: usize = 2_000;

fn failure(report: &RunReport) -> FailureLine {
    let violation = report.violation.as_ref();
    let message = violation.map_or_else(|| report.unmet.join("; "), |v| v.message.clone());
    let message = message.chars().take(MESSAGE_CHARS_MAX).collect();
    match Fingerprint::of(report) {
        Some(fingerprint) => FailureLine {
            fingerprint: fingerprint.id(),
            phase: fingerprint.phase.word().to_string(),
            check: fingerprint.check,
            shape: fingerprint.shape,
            message,
        },
        // It passed, and was to do something else.
        None => failure_of("expectation", &report.unmet.join("; "), message),
    }
}

/// A failure that no check of the run's found, or whose run told nothing of itself.
pub(super) fn failure_of(check: &str, shape: &str, message: String) -> FailureLine {
    let id = xxh3_64(format!("{check}\n{shape}").as_bytes());
    FailureLine {
        fingerprint: format!("{id:016x}"),
        check: check.to_string(),
        shape: shape.to_string(),
        phase: "unknown".to_string(),
        message,
    }
}

/// Holds a run against its repetition.
fn compare(line: &mut RunLine, again: &RunReport, plants: &[Plant]) {
    line.rechecked = true;
    let planted = plants.iter().any(|plant| plant.diverges(line.seed));
    if line.hash != again.trace_hash || planted {
        let message = format!(
            "trace hash {} ({} events), and {} ({} events) when it was run again",
            line.hash, line.events, again.trace_hash, again.events
        );
        line.verdict = Verdict::Diverged.word().to_string();
        line.failure = Some(failure_of("determinism", "another trace hash", message));
    }
}
