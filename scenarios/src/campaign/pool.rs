//! The worker processes of a campaign, and their supervision. Each is watched from outside: a run that takes too long by the
//! wall clock is `hung`, a worker that dies is `crashed`; both are results like any other, with their seed, and a fresh worker
//! takes over. What a worker can do to the machine is bounded: its memory by the system, its life by its supervisor's.

use super::clock;
use super::journal::{FailureLine, RunLine};
use super::plant::Plant;
use super::seeds::Item;
use super::stop::{self, Stop};
use super::worker::{Answer, Order, failure_of};
use super::{charter::COMMIT, charter::Subject};
use crate::format::duration_text;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The verdict of a run that the wall clock ended.
pub(super) const HUNG: &str = "hung";
/// The verdict of a run whose process died, or panicked.
const CRASHED: &str = "crashed";

/// How often a supervisor looks whether it is to stop, and the caller hears that time goes on.
const TURN: Duration = Duration::from_millis(100);
/// How long a worker may take to begin.
const START: Duration = Duration::from_secs(60);
/// Between two attempts to start a worker at most so long; then no worker can be had.
const PATIENCE: Duration = Duration::from_secs(10);
/// Once a campaign is to stop, its runs in hand get so long; who sends a SIGTERM does not wait for ever.
const GRACE: Duration = Duration::from_secs(5);
/// How long after a worker, that died of a signal which asks to end, the supervisor may hear of the same request.
const SAME_REQUEST: Duration = Duration::from_secs(1);
/// What is kept of the last words of a worker.
const LAST_WORDS_BYTES: usize = 4_096;

/// What workers are given, and how far they may go.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// What they run, in the charter's order.
    pub(super) subjects: Vec<Subject>,
    /// What that is drawn from, besides the seed.
    pub(super) corpus: Option<PathBuf>,
    /// How many there are.
    pub(super) jobs: usize,
    /// How long a run may take by the wall clock.
    pub(super) watchdog: Duration,
    /// How much memory a worker may ask the system for, in MiB.
    pub(super) memory_mib: u64,
    /// What a test planted.
    pub(super) plants: Vec<Plant>,
}

/// A run to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Job {
    pub(super) item: Item,
    /// Whether to make it twice.
    pub(super) recheck: bool,
}

/// What a supervisor tells.
enum Told {
    Run(Box<RunLine>),
    /// No worker can be had.
    Broken(String),
}

/// Makes runs until `next` has no more, or `stop` is set. `take` gets each result, in no order, and `None` when some time has
/// passed; where it fails, no further run is begun. `seen` hears of a result before its worker asks for another run.
pub(super) fn run_all(
    conditions: &Conditions,
    stop: &Stop,
    next: impl FnMut() -> Option<Job> + Send,
    seen: impl Fn(&RunLine) + Sync,
    mut take: impl FnMut(Option<RunLine>) -> Result<(), String>,
) -> Result<(), String> {
    let next = Mutex::new(next);
    let failed = Stop::default();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..conditions.jobs {
            let (next, failed, tell, seen) = (&next, &failed, tell.clone(), &seen);
            scope.spawn(move || {
                let tell_run = |line: RunLine| {
                    seen(&line);
                    tell.send(Told::Run(Box::new(line))).is_ok()
                };
                let next = || match stop.is_set() || failed.is_set() {
                    true => None,
                    false => (next.lock().unwrap_or_else(PoisonError::into_inner))(),
                };
                if let Err(why) = supervise(conditions, stop, next, tell_run) {
                    let _ = tell.send(Told::Broken(why));
                }
            });
        }
        drop(tell);
        let mut result = Ok(());
        loop {
            let taken = match told.recv_timeout(TURN) {
                Ok(Told::Run(line)) => take(Some(*line)),
                Ok(Told::Broken(why)) => Err(why),
                Err(RecvTimeoutError::Timeout) => take(None),
                Err(RecvTimeoutError::Disconnected) => return result,
            };
            if result.is_ok() && taken.is_err() {
                failed.set();
                result = taken;
            }
        }
    })
}

/// One worker after the other, as long as there are runs to make and somebody who is told of them.
fn supervise(
    conditions: &Conditions,
    stop: &Stop,
    mut next: impl FnMut() -> Option<Job>,
    tell: impl Fn(RunLine) -> bool,
) -> Result<(), String> {
    let mut worker: Option<Worker> = None;
    while let Some(job) = next() {
        let mut hired = match worker.take() {
            Some(worker) => worker,
            None => match Worker::hire_with_patience(conditions, stop) {
                Err(_) if stop.is_set() => return Ok(()),
                hired => hired?,
            },
        };
        let started = clock::now();
        let order = Order::Run {
            scenario: job.item.scenario,
            seed: job.item.seed,
            recheck: job.recheck,
        };
        let limit = conditions.watchdog * if job.recheck { 2 } else { 1 };
        let line = match hired.ask(&order, limit, Some(stop)) {
            Asked::Answer(Answer::Run(line)) => {
                worker = Some(hired);
                *line
            }
            Asked::Answer(other) => {
                return Err(format!("a worker answered out of turn: {other:?}"));
            }
            Asked::Silence => {
                hired.dismiss();
                ended(job, started, HUNG, hung(conditions.watchdog))
            }
            Asked::Death => {
                let failure = hired.inquest();
                if hired.was_asked_to_end(stop) {
                    return Ok(());
                }
                ended(job, started, CRASHED, failure)
            }
            // It will be made when the campaign is taken up again.
            Asked::Stopped => {
                hired.dismiss();
                return Ok(());
            }
        };
        if !tell(line) {
            return Ok(());
        }
    }
    Ok(())
}

/// Saves runs into directories, in a worker, since they may do anything; of each, why it could not be. At `until` it ends, and
/// leaves out the rest.
pub(super) fn save_all(
    conditions: &Conditions,
    runs: &[(Item, PathBuf)],
    until: Option<Instant>,
) -> Result<Vec<Option<String>>, String> {
    let mut worker: Option<Worker> = None;
    let mut results = Vec::new();
    for (item, dir) in runs {
        let left = until.map(|until| until.saturating_duration_since(clock::now()));
        let limit = left.unwrap_or(Duration::MAX).min(conditions.watchdog);
        if limit.is_zero() {
            results.push(Some(
                "there was no time left; --resume saves it".to_string(),
            ));
            continue;
        }
        let mut hired = match worker.take() {
            Some(worker) => worker,
            None => Worker::hire(conditions)?,
        };
        let order = Order::Save {
            scenario: item.scenario,
            seed: item.seed,
            dir: dir.to_path_buf(),
        };
        results.push(match hired.ask(&order, limit, None) {
            Asked::Answer(Answer::Saved(error)) => {
                worker = Some(hired);
                error
            }
            Asked::Answer(other) => {
                return Err(format!("a worker answered out of turn: {other:?}"));
            }
            Asked::Death => Some(hired.inquest().message),
            Asked::Silence | Asked::Stopped => {
                hired.dismiss();
                Some("the run did not end".to_string())
            }
        });
    }
    Ok(results)
}

fn hung(watchdog: Duration) -> FailureLine {
    let message = format!(
        "no end after {} by the wall clock; its worker was killed",
        duration_text(watchdog.as_micros() as u64)
    );
    failure_of("watchdog", "no end", message)
}

/// The line of a run that told nothing of itself.
fn ended(job: Job, started: Instant, verdict: &str, failure: FailureLine) -> RunLine {
    RunLine {
        scenario: job.item.scenario,
        seed: job.item.seed,
        verdict: verdict.to_string(),
        hash: String::new(),
        events: 0,
        virtual_ms: 0,
        wall_ms: started.elapsed().as_millis() as u64,
        at_ms: 0,
        rechecked: false,
        probes: Vec::new(),
        failure: Some(failure),
    }
}

/// The program that runs, even if another one stands at its place by now: a campaign outlives a build.
fn program() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    match running.exists() {
        true => Ok(running.to_path_buf()),
        false => std::env::current_exe(),
    }
}

/// What came of an order.
pub(super) enum Asked {
    Answer(Answer),
    /// The time is over.
    Silence,
    /// The worker's pipe has ended.
    Death,
    /// The campaign is to stop, and the worker took too long for that.
    Stopped,
}

/// A worker process, seen from outside.
pub(super) struct Worker {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    last_words: Arc<Mutex<Vec<u8>>>,
    listener: Option<thread::JoinHandle<()>>,
}

impl Worker {
    /// A machine that is short of processes or memory now may have them in a while: a night does not end for that.
    fn hire_with_patience(conditions: &Conditions, stop: &Stop) -> Result<Worker, String> {
        let mut wait = TURN;
        loop {
            match Worker::hire(conditions) {
                Err(_) if wait <= PATIENCE && !stop.is_set() => thread::sleep(wait),
                hired => return hired,
            }
            wait *= 2;
        }
    }

    pub(super) fn hire(conditions: &Conditions) -> Result<Worker, String> {
        let cannot = |error| format!("cannot start a worker: {error}");
        let mut command = Command::new(program().map_err(cannot)?);
        command.arg("worker");
        command.args(["--memory-mib", &conditions.memory_mib.to_string()]);
        for plant in &conditions.plants {
            command.args(["--plant", &plant.to_string()]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // The terminal's Ctrl-C is for the campaign, which lets its workers finish.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = command.spawn().map_err(cannot)?;
        let (orders, output) = (process.stdin.take(), process.stdout.take());
        let errors = process.stderr.take();
        let (pass, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in output
                .into_iter()
                .flat_map(|out| BufReader::new(out).lines())
            {
                let Ok(line) = line else { return };
                if pass.send(line).is_err() {
                    return;
                }
            }
        });
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let heard = last_words.clone();
        let listener = thread::spawn(move || {
            if let Some(errors) = errors {
                listen(errors, &heard);
            }
        });
        let mut worker = Worker {
            process,
            orders,
            answers,
            last_words,
            listener: Some(listener),
        };
        for subject in &conditions.subjects {
            worker.tell(&Order::Subject(subject.clone()));
        }
        if let Some(corpus) = &conditions.corpus {
            worker.tell(&Order::Corpus(corpus.clone()));
        }
        worker.greet()?;
        Ok(worker)
    }

    /// A worker that is none of ours, or does not even begin, is no finding about a seed.
    fn greet(&mut self) -> Result<(), String> {
        match self.ask(&Order::Begin, START, None) {
            Asked::Answer(Answer::Ready(commit)) if commit == COMMIT => Ok(()),
            Asked::Answer(Answer::Ready(commit)) => Err(format!(
                "the program was replaced while the campaign ran: its commit is {commit} now, and was {COMMIT}"
            )),
            Asked::Death => Err(format!(
                "a worker does not start: {}",
                self.inquest().message
            )),
            _ => {
                self.dismiss();
                Err("a worker does not start: it is silent".to_string())
            }
        }
    }

    /// A worker that is dead already is found to be when it does not answer.
    pub(super) fn tell(&mut self, order: &Order) {
        let Ok(mut text) = serde_json::to_vec(order) else {
            return;
        };
        text.push(b'\n');
        if let Some(orders) = &mut self.orders {
            let _ = orders.write_all(&text);
        }
    }

    pub(super) fn ask(&mut self, order: &Order, limit: Duration, stop: Option<&Stop>) -> Asked {
        self.tell(order);
        self.answer(limit, stop)
    }

    fn answer(&mut self, limit: Duration, stop: Option<&Stop>) -> Asked {
        let started = clock::now();
        let mut stopping: Option<Instant> = None;
        loop {
            match self.answers.recv_timeout(TURN) {
                // What is no answer is somebody's output that has no business there, and gives no time.
                Ok(line) => {
                    if let Ok(answer) = serde_json::from_str(&line) {
                        return Asked::Answer(answer);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Asked::Death,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if started.elapsed() >= limit {
                return Asked::Silence;
            }
            if stop.is_some_and(Stop::is_set)
                && stopping.get_or_insert_with(clock::now).elapsed() >= GRACE
            {
                return Asked::Stopped;
            }
        }
    }

    /// Whether a dead worker died of what the campaign is asked to end by: a signal to all processes of a group may reach one
    /// before its supervisor, and before it lets signals pass.
    fn was_asked_to_end(&mut self, stop: &Stop) -> bool {
        #[cfg(unix)]
        if let Ok(status) = self.process.wait()
            && let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status)
            && stop::asks_to_end(signal)
        {
            let died = clock::now();
            while !stop.is_set() && died.elapsed() < SAME_REQUEST {
                thread::sleep(TURN);
            }
        }
        stop.is_set()
    }

    /// Ends the process, whatever it does.
    pub(super) fn dismiss(&mut self) {
        self.orders = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// What a dead worker died of.
    fn inquest(&mut self) -> FailureLine {
        self.orders = None;
        let status = self.process.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let words = without_numbers_of_threads(String::from_utf8_lossy(&words).trim());
        let cause = match &status {
            Ok(status) => cause_of(*status),
            Err(error) => format!("nobody knows how: {error}"),
        };
        let shape = if words.contains("has overflowed its stack") {
            "stack overflow".to_string()
        } else if words.contains("memory allocation of") {
            "out of memory".to_string()
        } else {
            cause.clone()
        };
        let message = match words.as_str() {
            "" => format!("the worker died ({cause}) and said nothing"),
            words => format!("the worker died ({cause}); its last words: {words}"),
        };
        failure_of("process", &shape, message)
    }
}

/// A worker that nobody needs is told so by the end of its orders; if it is busy, it exits all the same.
impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.process.wait();
    }
}

#[cfg(unix)]
fn cause_of(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "nobody knows how".to_string(),
    }
}

#[cfg(not(unix))]
fn cause_of(status: ExitStatus) -> String {
    status.to_string()
}

/// What a dying thread says of itself has the system's number for it, which no other run of the same seed has.
fn without_numbers_of_threads(words: &str) -> String {
    let mut parts = words.split("thread '");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str("thread '");
        let numbered = part.split_once("' (").and_then(|(name, rest)| {
            let (number, rest) = rest.split_once(')')?;
            let is_number = number.bytes().all(|b| b.is_ascii_digit());
            is_number.then_some((name, rest))
        });
        match numbered {
            Some((name, rest)) => out.extend([name, "'", rest]),
            None => out.push_str(part),
        }
    }
    out
}

/// Keeps the end of what is said.
fn listen(mut from: impl Read, last_words: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 1_024];
    loop {
        match from.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let mut words = last_words.lock().unwrap_or_else(PoisonError::into_inner);
                words.extend_from_slice(&bytes[..length]);
                let excess = words.len().saturating_sub(LAST_WORDS_BYTES);
                words.drain(..excess);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_of_the_same_run_are_the_same() {
        let said = "\nthread 'zabsim run' (17998) has overflowed its stack\nthread '<unknown>' (3) panicked at x.rs:1: thread 'a' (b)";
        assert_eq!(
            without_numbers_of_threads(said),
            "\nthread 'zabsim run' has overflowed its stack\nthread '<unknown>' panicked at x.rs:1: thread 'a' (b)"
        );
    }
}
