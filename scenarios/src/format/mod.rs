//! The scenario format: a TOML file that a person can write by hand. It names the ensemble, the workload and the faults, by
//! time or by protocol event, on symbolic targets, and what is expected of the run.
//!
//! [`Scenario::parse`] reads it; every complaint names the file, the line, what was found and what was allowed.
//! [`Scenario::to_toml`] writes it back: reading that gives the same scenario. [`Scenario::draw`] makes the
//! scenario of one seed, in which nothing is left to draw: what was drawn is a plain list of faults, and can be written out.

mod acl;
mod action;
mod op;
mod outcome;
mod places;
mod reader;
pub mod spelling;
mod target;
mod trigger;
mod write;

pub use action::ACTIONS;
pub use op::OPS;
pub(crate) use op::is_sayable;
pub(crate) use outcome::unmet as unmet_outcomes;
pub use outcome::{Allowed, OUTCOMES};
pub use reader::FormatError;
pub(crate) use reader::parse_time_us;
pub use target::TARGETS;

use crate::generate;
use crate::hint::did_you_mean;
use crate::workload::{Hold, MIXED, Recipe, Workload, WorkloadKind};
use places::{Places, in_table};
use reader::{Source, Table};
use std::collections::BTreeMap;
use toml::de::DeTable;
use zab::{Bug, Planted};
use zabsim::plan::{Climate, Ensemble, Fault, Plan, ScriptedOp, Trigger};
use zabsim::{Rules, parse_seed};
use zabsim_types::run::Verdict;
pub(crate) use zabsim_types::spell::duration as duration_text;
use zabsim_types::spell::quoted;
use zabsim_types::{ServerId, SyncMode};

/// A scenario file's most bytes. A drawn scenario with hundreds of faults has some 100 KB.
pub const BYTES_MAX: u64 = 4 << 20;
/// Most servers of an ensemble; real ones have 3 to 7.
pub const SERVERS_MAX: i64 = 21;
/// Most clients of a run.
pub const CLIENTS_MAX: i64 = 500;

/// What a scenario file says.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// Everything but the random faults.
    pub plan: Plan,
    /// What the clients do.
    pub workloads: Vec<Workload>,
    /// Explicit uses of recipes.
    pub holds: Vec<Hold>,
    /// The profile that random faults are drawn from; `None`: only the scripted ones.
    pub random: Option<String>,
    /// Whether everything else but what is expected is drawn from the seed too: ensemble, climate, clients, workloads.
    pub whole: bool,
    /// What is expected.
    pub expect: Expect,
    /// The seed that it is run with where the command line names none: a saved failure is a file that repeats itself.
    pub seed: Option<u64>,
}

/// What is expected of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expect {
    /// The verdict.
    pub verdict: Verdict,
    /// Marks that the run must reach: synchronization cases, epoch rules, recovery paths.
    pub reach: Vec<String>,
    /// Checks that must have examined something.
    pub examine: Vec<String>,
    /// Whether every trigger of the script must fire in each run.
    pub every_trigger: bool,
    /// What each of the plan's explicit operations may come out as, in their order; an empty list: as anything.
    pub outcomes: Vec<Vec<Allowed>>,
}

impl Scenario {
    /// Reads a scenario. `file` is its name for messages.
    pub fn parse(file: &str, text: &str) -> Result<Scenario, FormatError> {
        let source = Source { file, text };
        if text.trim().is_empty() {
            return Err(FormatError {
                file: file.into(),
                line: 0,
                message: "the scenario is empty".into(),
            });
        }
        let document = DeTable::parse(text).map_err(|e| {
            source.error(
                e.span().unwrap_or(0..0),
                format!(
                    "not TOML: {}",
                    e.message().lines().collect::<Vec<_>>().join("; ")
                ),
            )
        })?;
        let top = Table::new(&source, document.get_ref(), 0..0, "the scenario");
        let scenario = read_scenario(&top)?;
        let places = Places {
            file,
            faults: listed(&top, "fault")?,
            ops: listed(&top, "op")?,
            workloads: listed(&top, "workload")?,
            holds: listed(&top, "hold")?,
        };
        top.finish()?;
        scenario.validate(&places)?;
        Ok(scenario)
    }

    /// This scenario as it is with one seed: the scripted faults and those drawn from the seed, in order of time; and where the
    /// whole is drawn, that. Nothing random is left but the workload's own draws, which the seed gives again.
    pub fn draw(&self, seed: u64) -> Scenario {
        let mut drawn = match self.whole {
            true => generate::whole(self, seed),
            false => self.clone(),
        };
        if let Some(profile) = drawn.random.take() {
            let faults = zabsim::draw_faults(seed, &profile, &drawn.plan);
            drawn.plan.faults.extend(faults);
        }
        drawn.seed = Some(seed);
        drawn
    }

    /// What only the whole can show: servers, clients and labels that do not exist, faults that contradict one another.
    fn validate(&self, places: &Places<'_>) -> Result<(), FormatError> {
        zabsim::validate_entries(&self.plan)
            .map_err(|invalid| places.error(invalid.entry, invalid.message))?;
        for (hold, place) in self.holds.iter().zip(&places.holds) {
            if hold.client > self.plan.clients {
                return Err(in_table(place, "[[hold]]", "client").error(format!(
                    "a hold names client {}; there are {} clients, counted from 1",
                    hold.client, self.plan.clients
                )));
            }
            if hold.at_us > self.plan.safety_us {
                return Err(in_table(place, "[[hold]]", "at").error(format!(
                    "it is asked for at {}, after the end of the faults at {}",
                    duration_text(hold.at_us),
                    duration_text(self.plan.safety_us)
                )));
            }
        }
        for (workload, place) in self.workloads.iter().zip(&places.workloads) {
            if self.plan.clients == 0 {
                let why = "a workload needs clients; `clients` is 0";
                return Err(in_table(place, "[[workload]]", "kind").error(why));
            }
            if let Some(client) = workload.clients.iter().find(|c| **c > self.plan.clients) {
                return Err(in_table(place, "[[workload]]", "clients").error(format!(
                    "a workload names client {client}; there are {} clients, counted from 1",
                    self.plan.clients
                )));
            }
        }
        Ok(())
    }
}

fn listed<'a>(top: &Table<'a>, key: &'static str) -> Result<Vec<reader::Value<'a>>, FormatError> {
    top.get(key).map_or(Ok(Vec::new()), |list| list.list())
}

/// The keys of a scenario that are drawn where its whole is.
const DRAWN: &[&str] = &[
    "servers",
    "observers",
    "clients",
    "duration",
    "session_timeout",
    "leave_broken",
    "tick",
    "init_limit",
    "sync_limit",
    "snap_count",
    "commit_log_count",
    "disk_diff_bytes_max",
    "counter_max",
    "snapshot_chunk_nodes",
    "sweep_interval",
    "extended_types",
    "enforce_quota",
    "super_digest",
    "local_sessions",
    "upgrade_local_sessions",
    "read_only_mode",
    "read_only_clients",
    "groups",
    "weights",
    "climate",
    "workload",
    "hold",
    "fault",
    "op",
];

fn read_scenario(top: &Table<'_>) -> Result<Scenario, FormatError> {
    let name = top.need("name")?;
    let (ops, outcomes) = read_ops(top)?;
    let plain = Plan::of(3, 3);
    let plan = Plan {
        name: match name.str()? {
            "" => return Err(name.error("`name` is empty")),
            name => name.into(),
        },
        about: top.get("about").map_or(Ok(""), |v| v.str())?.into(),
        ensemble: read_ensemble(top)?,
        climate: top
            .get("climate")
            .map_or(Ok(plain.climate), |v| read_climate(v.table("[climate]")?))?,
        clients: top
            .get("clients")
            .map_or(Ok(plain.clients), |v| v.int(0, CLIENTS_MAX))?,
        session_timeout_ms: top
            .get("session_timeout")
            .map_or(Ok(plain.session_timeout_ms), |v| v.duration_ms())?,
        safety_us: top
            .get("duration")
            .map_or(Ok(plain.safety_us), |v| v.duration_us())?,
        faults: read_faults(top)?,
        ops,
        data_loss_allowed: false,
        leave_broken: top.get("leave_broken").map_or(Ok(false), |v| v.bool())?,
        read_only_clients: top
            .get("read_only_clients")
            .map_or(Ok(Vec::new()), |v| read_clients(&v))?,
        bugs: top
            .get("bugs")
            .map_or(Ok(Planted::NONE), |v| read_bugs(&v))?,
    };
    read_only(top, &plan)?;
    let workloads = match top.get("workload") {
        None => Vec::new(),
        Some(list) => list
            .list()?
            .iter()
            .map(|v| read_workload(v.table("[[workload]]")?))
            .collect::<Result<_, _>>()?,
    };
    let (random, whole) = match top.get("random") {
        None => (None, false),
        Some(value) => {
            let table = value.table("[random]")?;
            let words: Vec<(&'static str, &'static str)> = zabsim::PROFILES
                .iter()
                .map(|(name, _)| (*name, *name))
                .collect();
            let profile = table.need("profile")?.word(&words)?;
            let whole = table.get("whole").map_or(Ok(false), |v| v.bool())?;
            table.finish()?;
            if whole && let Some(said) = DRAWN.iter().find_map(|key| top.get(key)) {
                return Err(said.error("this is drawn: `[random]` says `whole = true`"));
            }
            (Some(profile.to_string()), whole)
        }
    };
    let mut scenario = Scenario {
        plan,
        workloads,
        holds: read_holds(top)?,
        random,
        whole,
        expect: Expect {
            outcomes,
            ..Expect::default()
        },
        seed: top.get("seed").map(|v| read_seed(&v)).transpose()?,
    };
    if let Some(value) = top.get("expect") {
        read_expect(value.table("[expect]")?, &mut scenario)?;
    }
    Ok(scenario)
}

/// A small seed may be a plain number; TOML's have a sign, so that any other is a string.
fn read_seed(value: &reader::Value<'_>) -> Result<u64, FormatError> {
    match value.is_str() {
        true => parse_seed(value.str()?).map_err(|why| value.error(why)),
        false => value.int(0, i64::MAX),
    }
}

impl Default for Expect {
    fn default() -> Self {
        Expect {
            verdict: Verdict::Pass,
            reach: Vec::new(),
            examine: Vec::new(),
            every_trigger: false,
            outcomes: Vec::new(),
        }
    }
}

fn read_expect(table: Table<'_>, scenario: &mut Scenario) -> Result<(), FormatError> {
    let verdicts = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Stuck,
        Verdict::Crashed,
    ]
    .map(|v| (v.word(), v));
    let names = |key, known: Vec<(&'static str, &'static str)>| match table.get(key) {
        None => Ok(Vec::new()),
        Some(value) => {
            let known: Vec<_> = known.iter().map(|(name, _)| (*name, *name)).collect();
            let named = |v: &reader::Value<'_>| v.word(&known).map(String::from);
            value.list()?.iter().map(named).collect()
        }
    };
    scenario.expect = Expect {
        verdict: table
            .get("verdict")
            .map_or(Ok(Verdict::Pass), |v| v.word(&verdicts))?,
        reach: names("reach", zabsim::marks())?,
        examine: names("examine", zabsim::checks())?,
        every_trigger: table.get("every_trigger").map_or(Ok(false), |v| v.bool())?,
        outcomes: std::mem::take(&mut scenario.expect.outcomes),
    };
    scenario.plan.data_loss_allowed = table.get("data_loss").map_or(Ok(false), |v| v.bool())?;
    table.finish()
}

fn read_ensemble(top: &Table<'_>) -> Result<Ensemble, FormatError> {
    let number =
        |key, default: i64, min, max| top.get(key).map_or(Ok(default), |v| v.int::<i64>(min, max));
    let flag = |key, default: bool| top.get(key).map_or(Ok(default), |v| v.bool());
    let voters = number("servers", 3, 1, SERVERS_MAX)? as u8;
    let observers = number("observers", 0, 0, SERVERS_MAX - i64::from(voters))? as u8;
    let members = i64::from(voters) + i64::from(observers);
    let joiners = number("joiners", 0, 0, SERVERS_MAX - members)? as u8;
    let server = |value: &reader::Value<'_>| -> Result<ServerId, FormatError> {
        let text = value.str()?;
        text.strip_prefix('s')
            .and_then(|n| n.parse().ok())
            .filter(|n| (1..=voters).contains(n))
            .map(ServerId)
            .ok_or_else(|| value.error(format!("\"{text}\" is no voter; allowed: s1 to s{voters}")))
    };
    let groups = match top.get("groups") {
        None => Vec::new(),
        Some(value) => value
            .list()?
            .iter()
            .map(|group| group.list()?.iter().map(&server).collect())
            .collect::<Result<Vec<Vec<_>>, _>>()?,
    };
    let mut weights = BTreeMap::new();
    if let Some(value) = top.get("weights") {
        for pair in value.list()? {
            match pair.list()?.as_slice() {
                [who, weight] => weights.insert(server(who)?, weight.int(0, 1_000)?),
                _ => return Err(pair.error("a weight is a pair: [\"s1\", 2]")),
            };
        }
    }
    let plain = Ensemble::of(voters);
    Ok(Ensemble {
        voters,
        observers,
        joiners,
        groups,
        weights,
        tick_ms: top
            .get("tick")
            .map_or(Ok(plain.tick_ms), |v| v.duration_ms())?,
        init_limit: number("init_limit", plain.init_limit.into(), 1, 10_000)? as u32,
        sync_limit: number("sync_limit", plain.sync_limit.into(), 1, 10_000)? as u32,
        snap_count: number("snap_count", plain.snap_count.into(), 2, u32::MAX.into())? as u32,
        commit_log_count: number(
            "commit_log_count",
            plain.commit_log_count.into(),
            1,
            1_000_000,
        )? as u32,
        disk_diff_bytes_max: number(
            "disk_diff_bytes_max",
            plain.disk_diff_bytes_max as i64,
            0,
            1 << 40,
        )? as u64,
        counter_max: number("counter_max", plain.counter_max.into(), 2, u32::MAX.into())? as u32,
        snapshot_chunk_nodes: number(
            "snapshot_chunk_nodes",
            plain.snapshot_chunk_nodes.into(),
            1,
            1_000_000,
        )? as u32,
        sweep_interval_ms: top
            .get("sweep_interval")
            .map_or(Ok(plain.sweep_interval_ms), |v| v.duration_ms())?,
        rules: Rules {
            extended_types: top
                .get("extended_types")
                .map_or(Ok(plain.rules.extended_types), |v| v.bool())?,
            enforce_quota: top
                .get("enforce_quota")
                .map_or(Ok(plain.rules.enforce_quota), |v| v.bool())?,
            super_digest: match top.get("super_digest") {
                None => plain.rules.super_digest.clone(),
                Some(digest) => Some(digest.str()?.into()),
            },
            // For comparison with recorded answers only.
            ..plain.rules
        },
        local_sessions: flag("local_sessions", plain.local_sessions)?,
        upgrade_local_sessions: flag("upgrade_local_sessions", plain.upgrade_local_sessions)?,
        read_only_mode: flag("read_only_mode", plain.read_only_mode)?,
    })
}

fn read_climate(table: Table<'_>) -> Result<Climate, FormatError> {
    let default = Climate::default();
    let range = |key, default| table.get(key).map_or(Ok(default), |v| v.range_us());
    let climate = Climate {
        link_us: range("link", default.link_us)?,
        client_link_us: range("client_link", default.client_link_us)?,
        fsync_us: range("fsync", default.fsync_us)?,
        read_us: range("read", default.read_us)?,
        stage_us: range("stage", default.stage_us)?,
        restart_us: range("restart", default.restart_us)?,
        clock_offset_us_max: table
            .get("clock_offset")
            .map_or(Ok(default.clock_offset_us_max), |v| v.duration_us())?,
        clock_drift_ppm_max: table
            .get("clock_drift_ppm")
            .map_or(Ok(default.clock_drift_ppm_max), |v| v.int(0, 500_000))?,
    };
    if let Some(link) = table.get("client_link")
        && climate.client_link_us.0 < 1_000
    {
        return Err(link.error("`client_link` must be at least \"1ms\": the client runtime's clock has no shorter step"));
    }
    table.finish()?;
    Ok(climate)
}

/// Clients by their numbers.
fn read_clients(value: &reader::Value<'_>) -> Result<Vec<u32>, FormatError> {
    let list = value.list()?;
    list.iter().map(|v| v.int(1, CLIENTS_MAX)).collect()
}

fn read_bugs(value: &reader::Value<'_>) -> Result<Planted, FormatError> {
    let mut bugs = Planted::NONE;
    for name in value.list()? {
        bugs = bugs.and(bug_named(name.str()?).map_err(|why| name.error(why))?);
    }
    Ok(bugs)
}

/// The bug of this id or alias.
pub(crate) fn bug_named(name: &str) -> Result<Bug, String> {
    let unknown = || {
        let entries = Bug::ALL.iter().map(|bug| bug.entry());
        let hint = did_you_mean(name, entries.flat_map(|entry| [entry.id, entry.alias]));
        format!("`{name}` is no bug of the museum: `zabsim list bugs` shows them{hint}")
    };
    Bug::by_name(name).ok_or_else(unknown)
}

/// What is said of clients that are content with a server that only reads.
fn read_only(top: &Table<'_>, plan: &Plan) -> Result<(), FormatError> {
    let Some(value) = top.get("read_only_clients") else {
        return Ok(());
    };
    if !plan.ensemble.read_only_mode {
        let why =
            "`read_only_clients` needs `read_only_mode = true`: without it no server serves them";
        return Err(value.error(why));
    }
    match plan.read_only_clients.iter().find(|c| **c > plan.clients) {
        Some(client) => Err(value.error(format!(
            "`read_only_clients` names client {client}; there are {} clients, counted from 1",
            plan.clients
        ))),
        None => Ok(()),
    }
}

fn read_workload(table: Table<'_>) -> Result<Workload, FormatError> {
    let kinds: Vec<(&'static str, WorkloadKind)> = WorkloadKind::ALL
        .iter()
        .map(|kind| (kind.name(), *kind))
        .collect();
    let clients = table
        .get("clients")
        .map_or(Ok(Vec::new()), |v| read_clients(&v))?;
    let plain = Workload::of(table.need("kind")?.word(&kinds)?);
    let workload = Workload {
        kind: plain.kind,
        keys: table
            .get("keys")
            .map_or(Ok(plain.keys), |v| v.int(1, 10_000))?,
        clients,
        think_us: table
            .get("think")
            .map_or(Ok(plain.think_us), |v| v.range_us())?,
        hold_us: table
            .get("hold")
            .map_or(Ok(plain.hold_us), |v| v.range_us())?,
        sync: table.get("sync").map_or(Ok(plain.sync), |v| {
            v.word(&[("leader", SyncMode::Leader), ("quorum", SyncMode::Quorum)])
        })?,
        ops: match table.get("ops") {
            None => Vec::new(),
            Some(list) => {
                let kind = |v: &reader::Value<'_>| v.word(MIXED);
                list.list()?.iter().map(kind).collect::<Result<_, _>>()?
            }
        },
    };
    if workload.kind != WorkloadKind::Mixed
        && let Some(ops) = table.get("ops")
    {
        return Err(ops.error("only a workload of kind `mixed` may be told what to ask for"));
    }
    table.finish()?;
    Ok(workload)
}

fn read_holds(top: &Table<'_>) -> Result<Vec<Hold>, FormatError> {
    let mut holds = Vec::new();
    for value in listed(top, "hold")? {
        let table = value.table("[[hold]]")?;
        let words = Recipe::ALL.map(Recipe::word);
        let given: Vec<&str> = words.into_iter().filter(|word| table.has(word)).collect();
        let [recipe] = given[..] else {
            return Err(table.not_one(&given, "recipe", &words));
        };
        let recipe = Recipe::ALL.into_iter().find(|known| known.word() == recipe);
        let recipe = recipe.expect("it is one of the words");
        let path = table.need(recipe.word())?;
        if !path.str()?.starts_with('/') || path.str()?.len() < 2 || path.str()?.ends_with('/') {
            return Err(path.error("a lock and an election have a path, as \"/locks/l0\""));
        }
        holds.push(Hold {
            client: table.need("client")?.int(1, CLIENTS_MAX)?,
            at_us: table.need("at")?.duration_us()?,
            recipe,
            path: path.str()?.to_string(),
            for_us: table.need("for")?.duration_us()?,
        });
        table.finish()?;
    }
    Ok(holds)
}

fn read_faults(top: &Table<'_>) -> Result<Vec<Fault>, FormatError> {
    let Some(list) = top.get("fault") else {
        return Ok(Vec::new());
    };
    let mut faults: Vec<Fault> = Vec::new();
    for (index, value) in list.list()?.iter().enumerate() {
        let table = value.table("[[fault]]")?;
        let label = table.get("label");
        let named = label.map(|v| v.str()).transpose()?;
        let fault = Fault {
            label: named.map_or_else(|| format!("fault-{}", index + 1), String::from),
            trigger: trigger::read(&table)?,
            action: action::read(table.need("do")?.table("`do`")?)?,
            lasts_us: table.get("for").map(|v| v.duration_us()).transpose()?,
        };
        if faults.iter().any(|other| other.label == fault.label) {
            let why = format!("two faults have the label \"{}\"", fault.label);
            return Err(label.map_or_else(|| table.error(&why), |label| label.error(&why)));
        }
        if let Trigger::After { label, .. }
        | Trigger::On {
            after: Some(label), ..
        } = &fault.trigger
            && !faults.iter().any(|other| other.label == *label)
        {
            return Err(trigger::after(&table)?.error(format!(
                "`after` names \"{label}\", which is no fault before this one"
            )));
        }
        table.finish()?;
        faults.push(fault);
    }
    Ok(faults)
}

/// The explicit operations, and beside each what it may come out as.
fn read_ops(top: &Table<'_>) -> Result<(Vec<ScriptedOp>, Vec<Vec<Allowed>>), FormatError> {
    let (mut ops, mut outcomes) = (Vec::new(), Vec::new());
    for value in listed(top, "op")? {
        let table = value.table("[[op]]")?;
        ops.push(ScriptedOp {
            client: table.need("client")?.int(1, CLIENTS_MAX)?,
            at: trigger::read(&table)?,
            op: op::read(table.need("do")?.table("`do`")?)?,
        });
        let expect = table.get("expect").map(|v| outcome::read(&v)).transpose()?;
        outcomes.push(expect.unwrap_or_default());
        table.finish()?;
    }
    Ok((ops, outcomes))
}

#[cfg(test)]
mod tests;
