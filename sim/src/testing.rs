//! For `cargo test`: a simulated ensemble in a few lines.
//!
//! [`check`] runs a test once for each seed. The test is ordinary asynchronous code over a [`Sim`]: it connects clients, uses
//! recipes, breaks things, and asserts. When it returns, the world heals, every client's open request must be answered, and
//! all checks are made: the protocol's invariants at every step, and the clients' histories against the reference model.
//! A failure names the seed and the command that repeats it; `ZABSIM_SEED=7` in the environment runs that seed alone.
//!
//! Time is the world's: a `sim.sleep` of an hour takes no longer than what happens in it.
//!
//! # A lock
//!
//! Its holder's server dies; the lock is still held by one at a time.
//!
//! ```
//! use std::time::Duration;
//! use zabsim::recipes::lock::Lock;
//!
//! zabsim::check(1..=3, |sim| async move {
//!     let (one, two) = (sim.connect().await, sim.connect().await);
//!     let held = Lock::new(&one, "/locks/ledger").acquire().await.expect("nobody holds it yet");
//!
//!     let waiting = sim.spawn(async move { Lock::new(&two, "/locks/ledger").acquire().await });
//!     sim.crash_leader().await;
//!     sim.sleep(Duration::from_secs(1)).await;
//!     assert!(!waiting.is_done(), "two hold the lock");
//!
//!     let first = held.token();
//!     held.release().await.expect("the rest of the ensemble is a quorum");
//!     let next = waiting.await.expect("it is its turn");
//!     assert!(next.token() > first, "fencing tokens grow");
//!     next.release().await.expect("it holds it");
//! });
//! ```
//!
//! # An election
//!
//! The elected client is cut off for longer than its session lasts; another one leads, in a later term.
//!
//! ```
//! use std::time::Duration;
//! use zabsim::recipes::election::Election;
//!
//! zabsim::check([1, 2], |sim| async move {
//!     let (one, two) = (sim.connect().await, sim.connect().await);
//!     let old = Election::new(&one, "/leader", "one").campaign().await.expect("it stands alone");
//!     let rival = sim.spawn(async move { Election::new(&two, "/leader", "two").campaign().await });
//!
//!     sim.cut_client(&one, Duration::from_secs(20)).await;
//!     let new = rival.await.expect("it is elected");
//!     assert!(new.term() > old.term());
//!     assert!(!old.is_certain(), "the old leader knows that it may not act any more");
//! });
//! ```
//!
//! # A watcher of a configuration
//!
//! A change is seen by the watcher, though the ensemble is split in between.
//!
//! ```
//! use std::time::Duration;
//! use zabsim::types::CreateMode;
//!
//! zabsim::ensemble(5).check(1..=2, |sim| async move {
//!     let (admin, app) = (sim.connect().await, sim.connect().await);
//!     admin.create("/config", "v1", CreateMode::Persistent).await.expect("creates");
//!     app.sync("/config", Default::default()).await.expect("reaches the leader");
//!
//!     let ((data, _), changed) = app.get_data_watch("/config").await.expect("reads");
//!     assert_eq!(data.as_deref(), Some(&b"v1"[..]));
//!
//!     sim.partition(&[&[1, 2], &[3, 4, 5]]).await;
//!     sim.sleep(Duration::from_secs(3)).await;
//!     sim.heal().await;
//!     admin.until(|state| state.is_connected()).await;
//!     admin.set_data("/config", "v2", -1).await.expect("a quorum is back");
//!
//!     changed.await;
//!     let (data, _) = app.get_data("/config").await.expect("reads");
//!     assert_eq!(data.as_deref(), Some(&b"v2"[..]), "new data before the event");
//! });
//! ```

use crate::desk::{Answer, Desk, Wish, Wished};
use crate::executor::BoxFuture;
use crate::plan::{Action, Plan, Target, Unsynced};
use crate::run::{
    Ending, RunOptions, RunOutcome, conclude, executor, finish, guarded, on_its_own_thread,
};
use crate::seed::parse_seed;
use crate::server::RealSoftware;
use crate::wall;
use crate::wire::Wire;
use crate::world::World;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use zabsim_client::Client;
use zabsim_server::Rules;
use zabsim_types::run::{Topic, Verdict};
use zabsim_types::{ServerId, Time};

/// Runs a test on an ensemble of three, once for each seed. See the [module](crate::testing).
///
/// # Panics
/// Where the test fails, a check is violated, the ensemble does not finish after the test, or there is no seed.
pub fn check<F, Fut>(seeds: impl IntoIterator<Item = u64>, test: F)
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    ensemble(3).check(seeds, test);
}

/// An ensemble of so many voters, to be refined and then checked.
pub fn ensemble(voters: u8) -> Setup {
    Setup {
        plan: default_plan(voters),
        profile: "calm".to_string(),
    }
}

/// An ensemble to test on.
#[derive(Clone, Debug)]
pub struct Setup {
    plan: Plan,
    profile: String,
}

impl Setup {
    /// Adds so many observers.
    pub fn observers(mut self, observers: u8) -> Setup {
        self.plan.ensemble.observers = observers;
        self
    }

    /// Sets the tick (500 ms): heartbeats, timeouts and the bounds of session timeouts follow from it.
    pub fn tick(mut self, tick: Duration) -> Setup {
        self.plan.ensemble.tick_ms = tick.as_millis() as u32;
        self
    }

    /// Sets how often the leader looks for containers and TTL nodes to remove (60 s).
    pub fn sweep_interval(mut self, interval: Duration) -> Setup {
        self.plan.ensemble.sweep_interval_ms = interval.as_millis() as u32;
        self
    }

    /// Sets what the answers to clients depend on: the rules of a ZooKeeper with its default settings.
    pub fn rules(mut self, rules: Rules) -> Setup {
        self.plan.ensemble.rules = rules;
        self
    }

    /// Sets the session timeout that clients ask for (5 s).
    pub fn session_timeout(mut self, timeout: Duration) -> Setup {
        self.plan.session_timeout_ms = timeout.as_millis() as u32;
        self
    }

    /// Lets random faults strike beside those of the test for so long: `standard`, `swarm`
    /// ([`PROFILES`](crate::PROFILES)).
    pub fn faults(mut self, profile: &str, during: Duration) -> Setup {
        self.profile = profile.to_string();
        self.plan.safety_us = during.as_micros() as u64;
        self
    }

    /// Runs a test once for each seed.
    ///
    /// # Panics
    /// As [`check`].
    pub fn check<F, Fut>(self, seeds: impl IntoIterator<Item = u64>, test: F)
    where
        F: Fn(Sim) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let named = seed_of_environment();
        let seeds: Vec<u64> = match &named {
            Some(seed) => vec![named_seed(seed)],
            None => seeds.into_iter().collect(),
        };
        assert!(
            !seeds.is_empty(),
            "no seeds: the test would not run, and could not fail"
        );
        for seed in seeds {
            let outcome = self.outcome(seed, &test);
            if outcome.report.verdict != Verdict::Pass {
                panic!("{}", complaint(&outcome, seed));
            }
        }
    }

    /// Runs a test once, and says what came of it instead of failing.
    pub fn outcome<F, Fut>(&self, seed: u64, test: F) -> RunOutcome
    where
        F: FnOnce(Sim) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let desk = Desk::default();
        let body = Box::pin(test(Sim { desk: desk.clone() }));
        self.run_one(seed, desk, body)
    }

    fn run_one(&self, seed: u64, desk: Desk, body: BoxFuture) -> RunOutcome {
        let mut plan = self.plan.clone();
        plan.faults = crate::draw_faults(seed, &self.profile, &plan);
        if let Err(why) = crate::validate(&plan) {
            panic!("this ensemble cannot be run: {why}");
        }
        on_its_own_thread(move || {
            let started = wall::now();
            let runtime = RunOptions::default().runtime;
            let software = Box::new(RealSoftware);
            let mut world = World::new(plan, seed, software, executor(runtime), false);
            let ending = guarded(&mut world, |world| {
                world.start(Vec::new());
                match world.direct(desk, body, TEST_US_MAX) {
                    Ok(()) => finish(world),
                    Err(ending) => ending,
                }
            });
            conclude(world, ending, started)
        })
    }
}

/// A test that takes longer than this of the world's time waits for something that does not come.
const TEST_US_MAX: u64 = 3_600_000_000;

#[expect(
    clippy::disallowed_methods,
    reason = "the seed that the caller wants repeated comes from the environment, before any run"
)]
fn seed_of_environment() -> Option<String> {
    std::env::var("ZABSIM_SEED").ok()
}

/// The seed that the environment names.
///
/// # Panics
/// Where it is none.
fn named_seed(text: &str) -> u64 {
    parse_seed(text).unwrap_or_else(|why| panic!("ZABSIM_SEED: {why}"))
}

/// What to tell of a test that failed.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread's name is the test's, and read after the run"
)]
fn complaint(outcome: &RunOutcome, seed: u64) -> String {
    let report = &outcome.report;
    let name = std::thread::current()
        .name()
        .filter(|name| *name != "main")
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    let violation = match &report.violation {
        Some(violation) => format!("{}: {}", violation.check, violation.message),
        None => "nothing was violated".to_string(),
    };
    let timeline = report.timeline.iter();
    let timeline: Vec<_> = timeline.filter(|line| line.topic != Topic::Turn).collect();
    let tail = timeline.len().saturating_sub(TIMELINE_LINES);
    let timeline: Vec<String> = timeline[tail..]
        .iter()
        .map(|entry| format!("  {} {:<3} {}", entry.at, entry.who, entry.what))
        .collect();
    format!(
        "seed {seed:#x}: {}\n{violation}\nwhat happened last:\n{}\nrepeat it with: ZABSIM_SEED={seed:#x} cargo test{name}",
        report.verdict.word(),
        timeline.join("\n"),
    )
}

const TIMELINE_LINES: usize = 20;

/// A plain ensemble for a test: snapshots come soon enough to be met, clients when they are asked for.
pub(crate) fn default_plan(voters: u8) -> Plan {
    let mut plan = Plan::of(voters, 0);
    plan.name = "test".to_string();
    plan.ensemble.snap_count = 1_000;
    plan.session_timeout_ms = 5_000;
    plan.safety_us = 1;
    plan
}

/// A test's hold on the simulation. Clones are the same simulation.
#[derive(Clone)]
pub struct Sim {
    desk: Desk,
}

impl Sim {
    /// A new client process, with its session open.
    pub async fn connect(&self) -> Client {
        let client = self.client().await;
        client.open().await;
        client
    }

    /// A new client process that has not opened its session.
    pub async fn client(&self) -> Client {
        match self.wish(Wish::Client).await {
            Answer::Client(client) => client,
            other => unreachable!("{other:?}"),
        }
    }

    /// Lets the world go on for so long.
    pub async fn sleep(&self, duration: Duration) {
        self.wish(Wish::Sleep(duration.as_micros() as u64)).await;
    }

    /// The world's time.
    pub fn now(&self) -> Time {
        self.desk.now()
    }

    /// Waits until a leader is established; which one.
    pub async fn leader(&self) -> ServerId {
        match self.wish(Wish::Leader).await {
            Answer::Leader(leader) => leader,
            other => unreachable!("{other:?}"),
        }
    }

    /// Kills the leader, once there is one; it stays down until [`restart`](Self::restart) or [`heal`](Self::heal).
    pub async fn crash_leader(&self) -> ServerId {
        let leader = self.leader().await;
        self.crash(leader.0).await;
        leader
    }

    /// Kills a server with its machine: what it had not synced is lost, kept or torn. It stays down.
    pub async fn crash(&self, server: u8) {
        let target = Target::Server(ServerId(server));
        let action = Action::Crash {
            target,
            after_effects: 0,
            unsynced: Unsynced::Drawn,
        };
        self.fault(action, Some(FOR_EVER)).await;
    }

    /// Starts a server that is down.
    pub async fn restart(&self, server: u8) {
        let target = Target::Server(ServerId(server));
        self.fault(Action::Restart { target }, None).await;
    }

    /// Stops a server for a while without killing it, as a long garbage collection does.
    pub async fn pause(&self, server: u8, duration: Duration) {
        let target = Target::Server(ServerId(server));
        self.fault(Action::Pause { target }, Some(duration)).await;
    }

    /// Cuts the links between groups of servers, until [`heal`](Self::heal). A server in two groups is a bridge.
    pub async fn partition(&self, groups: &[&[u8]]) {
        let servers = |group: &&[u8]| {
            let ids = group.iter().map(|&id| Target::Server(ServerId(id)));
            ids.collect::<Vec<_>>()
        };
        let groups = groups.iter().map(servers).collect();
        self.fault(Action::Partition { groups }, None).await;
    }

    /// Cuts a client off from all servers for a while.
    pub async fn cut_client(&self, client: &Client, duration: Duration) {
        self.wish(Wish::CutClient(client.clone(), duration.as_micros() as u64))
            .await;
    }

    /// Lets any fault of the [`plan`](crate::plan) strike. What it did, in words; `None` where it found nobody to strike.
    pub async fn fault(&self, action: Action, lasts: Option<Duration>) -> Option<String> {
        let lasts_us = lasts.map(|lasts| lasts.as_micros() as u64);
        match self.wish(Wish::Fault(Box::new(action), lasts_us)).await {
            Answer::Struck(what) => what,
            other => unreachable!("{other:?}"),
        }
    }

    /// Undoes everything that lasts, and starts every server that is down.
    pub async fn heal(&self) {
        self.fault(Action::Heal, None).await;
    }

    /// A connection to that server by hand: see [`Wire`].
    pub async fn wire(&self, server: u8) -> Wire {
        Wire::open(self.desk.clone(), ServerId(server)).await
    }

    /// Runs something beside the test. Its panic fails the test.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let slot = Arc::new(Mutex::new(Slot {
            value: None,
            waker: None,
        }));
        let task = Task { slot: slot.clone() };
        self.desk.command(Wish::Spawn(Box::pin(async move {
            let value = future.await;
            let waker = {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                slot.value = Some(value);
                slot.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        })));
        task
    }

    fn wish(&self, wish: Wish) -> Wished {
        self.desk.wish(wish)
    }
}

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// Something that runs beside the test; a future of its value.
pub struct Task<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Task<T> {
    /// Whether it has come to its end (and its value was not taken).
    pub fn is_done(&self) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.value.is_some()
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// How a directed run ended before its time.
pub(crate) fn overdue(world: &World) -> Ending {
    Ending::Stuck(format!(
        "the test still waits after {} s of the world's time; {}",
        TEST_US_MAX / 1_000_000,
        world.why_nothing_goes_on()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panics;
    use std::panic::AssertUnwindSafe;
    use zabsim_types::CreateMode;

    fn failure(act: impl FnOnce()) -> String {
        panics::caught(AssertUnwindSafe(act)).expect_err("it fails")
    }

    #[test]
    fn a_failure_names_the_seed_and_the_command() {
        let told = failure(|| {
            check([0x2a], |sim| async move {
                let client = sim.connect().await;
                client
                    .create("/a", "x", CreateMode::Persistent)
                    .await
                    .expect("creates");
                let (data, _) = client.get_data("/a").await.expect("reads");
                assert_eq!(data.as_deref(), Some(&b"y"[..]), "the data");
            });
        });
        assert!(told.contains("seed 0x2a"), "{told}");
        assert!(told.contains("the data"), "{told}");
        assert!(told.contains("ZABSIM_SEED=0x2a cargo test"), "{told}");
        assert!(told.contains("a_failure_names_the_seed"), "{told}");
    }

    /// A range the wrong way round, or a filter that lets nothing through, would otherwise pass whatever the test says.
    #[test]
    fn a_test_without_seeds_fails() {
        let none: Vec<u64> = Vec::new();
        let told = failure(|| check(none, |_| async { unreachable!("there is no seed") }));
        assert!(told.contains("no seeds"), "{told}");
    }

    #[test]
    fn a_test_that_waits_for_ever_is_stuck_and_says_who_waits_for_what() {
        let told = failure(|| {
            check([1], |sim| async move {
                sim.leader().await;
                sim.crash(1).await;
                sim.crash(2).await;
                sim.connect().await;
            });
        });
        assert!(told.contains("stuck"), "{told}");
        assert!(
            told.contains("s1 is down; s2 is down; s3 waits for"),
            "{told}"
        );
    }

    #[test]
    fn the_panic_of_a_task_beside_the_test_fails_it() {
        let told = failure(|| {
            check([1], |sim| async move {
                let beside = sim.spawn(async { panic!("beside") });
                let () = beside.await;
            });
        });
        assert!(told.contains("beside"), "{told}");
    }

    #[test]
    fn a_seed_of_the_environment_that_is_none_is_refused() {
        assert_eq!(named_seed("0x2a"), 42);
        let told = failure(|| {
            let _ = named_seed("+7");
        });
        assert!(told.contains("ZABSIM_SEED: \"+7\" is no seed"), "{told}");
    }

    #[test]
    fn servers_can_be_crashed_paused_split_and_started() {
        ensemble(5).observers(1).check(1..=3, |sim| async move {
            let client = sim.connect().await;
            let leader = sim.crash_leader().await;
            assert!(sim.leader().await != leader);
            sim.restart(leader.0).await;
            sim.pause(leader.0, Duration::from_secs(2)).await;
            let began = sim.now();
            sim.sleep(Duration::from_secs(3)).await;
            assert_eq!(sim.now().since(began), 3_000_000);
            sim.partition(&[&[1], &[2, 3, 4, 5]]).await;
            sim.sleep(Duration::from_secs(4)).await;
            sim.heal().await;
            client.until(|state| state.is_connected()).await;
            client
                .create("/a", "x", CreateMode::Persistent)
                .await
                .expect("creates");
        });
    }
}
