//! A run from its start to its verdict.
//!
//! Safety phase (workload under faults), then the world heals, then the liveness phase: a leader must be established and
//! every connected client must finish (or have its next operation answered), within 60 ticks plus the election's longest
//! pause; then everything settles, and the checks of the whole run are made. A run that does not finish says in words who
//! waits for what.
//!
//! Each run has an operating system thread of its own: madsim fixes the keys of `HashMap` for a thread.

use crate::corners::corners;
use crate::executor::{Bare, Executor, Madsim};
use crate::panics;
use crate::plan::Plan;
use crate::program::Program;
use crate::server::RealSoftware;
use crate::story;
use crate::trace::TraceLine;
use crate::wall;
use crate::world::{NOTIFY_TICKS_MAX, World};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use zabsim_model::{Options, Settings, Staleness, Witness};
use zabsim_types::run::{CheckReport, RUN_SCHEMA, Reached, RunReport, Verdict, Violation};
use zabsim_types::{HistoryEvent, Time};

/// What programs run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Runtime {
    /// madsim, a node for each client.
    #[default]
    Madsim,
    /// No runtime, only our own few lines. The trace is the same.
    Bare,
}

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// What programs run on.
    pub runtime: Runtime,
    /// Whether the trace is kept, to be read. The hash is always made.
    pub keep_trace: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// What it says of itself.
    pub report: RunReport,
    /// What the clients saw.
    pub history: Vec<HistoryEvent>,
    /// What the checks of its history were told: of the servers, and of its end.
    pub options: Options,
    /// What the servers committed, by which the history was checked. None where it was not: after a panic, or where
    /// something was said to the servers that is in no history.
    pub log: Option<Witness>,
    /// What the world did, if it was to be kept.
    pub trace: Option<Trace>,
}

/// What the world did, event by event. Displayed one event a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The lines, in order.
    pub lines: Vec<TraceLine>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Runs a plan with a seed. `programs` belong to the clients in their order; clients without one carry out the plan's
/// explicit operations only.
///
/// # Panics
/// Where the plan is none that [`validate`](crate::validate) accepts, or has fewer clients than there are programs.
pub fn run(plan: &Plan, seed: u64, programs: Vec<Program>, options: RunOptions) -> RunOutcome {
    if let Err(why) = crate::validate(plan) {
        panic!("the plan '{}' cannot be run: {why}", plan.name);
    }
    assert!(
        programs.len() <= plan.clients as usize,
        "{} programs for {} clients",
        programs.len(),
        plan.clients
    );
    let plan = plan.clone();
    on_its_own_thread(move || {
        let started = wall::now();
        let mut world = World::new(
            plan,
            seed,
            Box::new(RealSoftware),
            executor(options.runtime),
            options.keep_trace,
        );
        let ending = guarded(&mut world, |world| {
            world.start(programs);
            phases(world)
        });
        conclude(world, ending, started)
    })
}

/// Calls `f` on a fresh thread.
pub(crate) fn on_its_own_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new()
        .name("zabsim run".to_string())
        .spawn(f)
        .expect("a thread");
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The executor of a runtime.
pub(crate) fn executor(runtime: Runtime) -> Box<dyn Executor> {
    match runtime {
        Runtime::Madsim => Box::new(Madsim::new()),
        Runtime::Bare => Box::new(Bare::default()),
    }
}

/// How the events of a run came to their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// Everything finished; `quiet`: every program returned, too.
    Finished { quiet: bool },
    /// A step check was violated.
    Violated,
    /// It did not finish, and why.
    Stuck(String),
    /// It could not finish, and why: nobody promises that it would.
    Bereft(String),
    /// The system under test panicked.
    Panicked(String),
}

/// Does something with a world and catches its panic.
pub(crate) fn guarded(world: &mut World, act: impl FnOnce(&mut World) -> Ending) -> Ending {
    let caught = panics::caught(AssertUnwindSafe(|| act(world)));
    caught.unwrap_or_else(Ending::Panicked)
}

fn phases(world: &mut World) -> Ending {
    world.run_until(Time(world.plan.safety_us));
    finish(world)
}

/// The phases after the safety phase.
pub(crate) fn finish(world: &mut World) -> Ending {
    if let Some(ending) = ended_early(world) {
        return ending;
    }
    world.heal();
    let tick_us = u64::from(world.plan.ensemble.tick_ms) * 1_000;
    let deadline = world
        .now
        .plus((LIVENESS_TICKS + NOTIFY_TICKS_MAX) * tick_us);
    if !run_while(world, deadline, tick_us / 2, |world| !world.all_finished())
        && let Some(why) = world.stuck()
    {
        let ending = match world.bereft() {
            Some(of_whom) => Ending::Bereft(of_whom),
            None => Ending::Stuck(why),
        };
        return ended_early(world).unwrap_or(ending);
    }
    // What is under way arrives, and the servers catch up with one another.
    let deadline = deadline.plus(LIVENESS_TICKS * tick_us);
    let settled = run_while(world, deadline, tick_us / 2, |world| !world.has_settled());
    if let Some(ending) = ended_early(world) {
        return ending;
    }
    if !settled {
        return Ending::Stuck(format!(
            "every client is done, but the servers do not come to agree: {}",
            world.servers_wait_for()
        ));
    }
    Ending::Finished {
        quiet: world.clients.iter().all(|client| !client.runs_program()),
    }
}

/// Ticks within which a healed ensemble must serve again.
const LIVENESS_TICKS: u64 = 60;

/// Runs in small steps as long as `unfinished`; whether that came to an end in time.
fn run_while(
    world: &mut World,
    deadline: Time,
    step_us: u64,
    unfinished: impl Fn(&mut World) -> bool,
) -> bool {
    while unfinished(world) {
        if world.halted() || world.now >= deadline {
            return false;
        }
        world.run_until(world.now.plus(step_us));
    }
    true
}

fn ended_early(world: &World) -> Option<Ending> {
    if world.violated {
        return Some(Ending::Violated);
    }
    let panicked = world.panicked.clone().map(Ending::Panicked);
    panicked.or_else(|| world.endless.clone().map(Ending::Stuck))
}

/// Makes the checks of the whole run, and the report.
pub(crate) fn conclude(mut world: World, ending: Ending, started: Instant) -> RunOutcome {
    let checking = wall::now();
    let options = options(&world, &ending);
    // After a panic the servers' state is not to be trusted, but what the checks had seen by then is evidence.
    let (mut ending, mut violation, mut checks) = (ending, None, Vec::new());
    let (mut of_history, mut log) = (Duration::ZERO, None);
    if matches!(ending, Ending::Panicked(_)) {
        checks = world.checks.reports();
    } else {
        let judged = panics::caught(AssertUnwindSafe(|| {
            world.check_at_end();
            violation = world.checks.violation();
            checks = world.checks.reports();
            // What was said by hand is in no history: the committed log would have what nobody asked for.
            let judging = wall::now();
            let found = match world.wires.is_empty() {
                true => check_history(&mut world, &options, &mut checks, &mut log),
                false => None,
            };
            of_history = judging.elapsed();
            violation = violation.take().or(found);
        }));
        if let Err(message) = judged {
            ending = Ending::Panicked(format!("in a check: {message}"));
        }
    }
    let checked = checking.elapsed() + Duration::from_nanos(world.checks_ns());
    checks.push(liveness(&world, &ending));
    let at_ms = world.now.as_ms();
    let (verdict, violation) = match (violation, ending) {
        (_, Ending::Panicked(message)) => {
            let violation = Violation {
                check: "panic".to_string(),
                at_ms,
                message,
            };
            (Verdict::Crashed, Some(violation))
        }
        (Some(violation), _) => (Verdict::Fail, Some(violation)),
        (None, Ending::Stuck(message)) => {
            let violation = Violation {
                check: "liveness".to_string(),
                at_ms,
                message,
            };
            (Verdict::Stuck, Some(violation))
        }
        (None, Ending::Finished { .. } | Ending::Bereft(_)) => (Verdict::Pass, None),
        (None, Ending::Violated) => unreachable!("the run was stopped by a violation"),
    };
    let untriggered = world.untriggered();
    let (events, virtual_ms) = (world.trace.events(), world.now.as_ms());
    let mut records = std::mem::take(&mut world.records);
    records.reached.extend(corners(&records.history));
    let dead = world.clients.iter().filter(|client| !client.alive);
    let dead = dead.map(|client| client.id).collect();
    let timeline = story::told_with(
        std::mem::take(&mut records.timeline),
        &records.history,
        &dead,
    );
    let (plan, seed) = (world.plan.clone(), world.seed);
    let (hash, lines) = world.finish();
    let wall = started.elapsed();
    let seed = format!("{seed:#018x}");
    let report = RunReport {
        schema: RUN_SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_string(),
        reproduce: format!("cargo run --release -- run {} --seed {seed}", plan.name),
        scenario: plan.name,
        about: plan.about,
        seed,
        planted: ids(plan.bugs),
        consulted: ids(zab::consulted()),
        as_expected: verdict == Verdict::Pass,
        unmet: Vec::new(),
        verdict,
        trace_hash: format!("{hash:016x}"),
        events,
        virtual_ms,
        wall_ms: wall.as_nanos() as f64 / 1e6,
        checks_share: (checked.as_secs_f64() / wall.as_secs_f64()).min(1.0),
        history_share: (of_history.as_secs_f64() / wall.as_secs_f64()).min(1.0),
        servers: plan.ensemble.servers(),
        clients: plan.clients,
        client_ops: records.ops,
        elections: records.elections,
        faults: records.faults,
        refused: records.refused,
        untriggered,
        reached: records
            .reached
            .into_iter()
            .map(|(mark, count)| Reached {
                mark: mark.to_string(),
                count,
            })
            .collect(),
        timeline,
        checks,
        violation,
        scenario_toml: String::new(),
    };
    RunOutcome {
        report,
        history: records.history,
        options,
        log,
        trace: lines.map(|lines| Trace { lines }),
    }
}

/// The bugs' ids, in the museum's order.
fn ids(bugs: zab::Planted) -> Vec<String> {
    bugs.iter().map(|bug| bug.to_string()).collect()
}

/// The liveness phase as a check. It examines the leader and every client that lived to see it.
fn liveness(world: &World, ending: &Ending) -> CheckReport {
    let clients = world.clients.iter().filter(|client| client.alive).count() as u64;
    let (ok, examined, detail) = match ending {
        Ending::Finished { quiet: true } => (true, clients + 1, "everybody finished".to_string()),
        Ending::Finished { quiet: false } => {
            let detail = "everybody had an answer; some programs go on".to_string();
            (true, clients + 1, detail)
        }
        Ending::Stuck(why) => (false, clients + 1, why.clone()),
        Ending::Bereft(of_whom) => (true, 0, format!("not judged: {of_whom}")),
        Ending::Violated | Ending::Panicked(_) => {
            (true, 0, "not judged: the run ended before".to_string())
        }
    };
    CheckReport {
        name: "liveness".to_string(),
        ok,
        examined,
        detail,
    }
}

/// How old an answer may be where no fault is at work. A server serves on for syncLimit ticks at most after it last heard of
/// its leader, and a leader for one tick more after its quorum left it, because it looks once a tick; what left a server
/// before is a message, a write and a turn of the stages away from the client. Two ticks are to spare, and the drift of clocks.
fn staleness_bound_us(plan: &Plan) -> u64 {
    let tick_us = u64::from(plan.ensemble.tick_ms) * 1_000;
    let climate = &plan.climate;
    let ways = [
        climate.link_us,
        climate.client_link_us,
        climate.fsync_us,
        climate.read_us,
        climate.stage_us,
    ];
    let way_us: u64 = ways.iter().map(|(_, most)| most).sum();
    let bound_us = (u64::from(plan.ensemble.sync_limit) + 3) * tick_us + 4 * way_us;
    bound_us + bound_us * u64::from(climate.clock_drift_ppm_max) / 1_000_000
}

/// What the servers were told, in the model's words.
fn settings(plan: &Plan) -> Settings {
    let zabsim_server::Rules {
        extended_types,
        enforce_quota,
        first_configuration,
        super_digest,
        guard_delete_container,
        frame_bytes_max,
    } = plan.ensemble.rules.clone();
    Settings {
        extended_types,
        enforce_quota,
        reconfig_enabled: first_configuration.is_some(),
        first_configuration,
        super_digest,
        guard_delete_container,
        max_frame: frame_bytes_max,
        local_sessions: plan.ensemble.local_sessions,
        upgrade_local_sessions: plan.ensemble.upgrade_local_sessions,
    }
}

/// What the checks of histories must know of the run.
fn options(world: &World, ending: &Ending) -> Options {
    Options {
        quiet_end: *ending == Ending::Finished { quiet: true },
        staleness: Some(Staleness {
            bound_ms: staleness_bound_us(&world.plan).div_ceil(1_000),
            unrest: world.records.unrest.spans(world.now),
        }),
        settings: settings(&world.plan),
        ..Options::default()
    }
}

/// Holds the history against the committed log and the reference model.
fn check_history(
    world: &mut World,
    options: &Options,
    checks: &mut Vec<CheckReport>,
    log: &mut Option<Witness>,
) -> Option<Violation> {
    let witness = match std::mem::take(&mut world.log).into_witness() {
        Ok(witness) => witness,
        Err(why) => {
            return Some(Violation {
                check: "committed-log".to_string(),
                at_ms: world.now.as_ms(),
                message: format!("a committed transaction cannot be read: {why}"),
            });
        }
    };
    let witness = log.insert(witness);
    let reports = zabsim_model::check_all(&world.records.history, Some(witness), options);
    let first = zabsim_model::checks::first_violation(&reports).cloned();
    checks.extend(reports.into_iter().map(CheckReport::from));
    first
}
