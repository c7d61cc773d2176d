//! What clients do in a scenario. Each kind of workload is a loop of ordinary client code; a client may run several of them
//! side by side in one session. When the session ends, all of its loops end, and a new session begins them again.
//!
//! A workload draws everything from its client's stream and keeps to nodes of its own kind, so that two workloads do not
//! meet in the tree.

mod coordination;
mod data;
mod holds;
mod members;
mod mixed;

pub use holds::{Hold, Recipe};
pub use mixed::MIXED;

use holds::Holds;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;
use zabsim::plan::Plan;
use zabsim::{Program, ProgramContext, Stopping, Stream};
use zabsim_client::recipes::fenced::FencedResource;
use zabsim_client::{Client, ClientError, join_all};
use zabsim_types::{OpKind, SyncMode, ZPath};

/// A workload as a scenario names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// What is done.
    pub kind: WorkloadKind,
    /// Number of nodes, locks or elections that it spreads over.
    pub keys: u32,
    /// The clients that do it, from 1; empty: all.
    pub clients: Vec<u32>,
    /// Pause between two steps, in microseconds.
    pub think_us: (u64, u64),
    /// How long a lock or a leadership is held, in microseconds.
    pub hold_us: (u64, u64),
    /// The kind of `sync` before a read that is to be fresh.
    pub sync: SyncMode,
    /// What `mixed` may ask for; empty: everything.
    pub ops: Vec<OpKind>,
}

impl Workload {
    /// One of that kind, as it is where nothing else is said.
    pub fn of(kind: WorkloadKind) -> Workload {
        Workload {
            kind,
            keys: 4,
            clients: Vec::new(),
            think_us: (0, 100_000),
            hold_us: (1_000, 50_000),
            sync: SyncMode::Quorum,
            ops: Vec::new(),
        }
    }
}

/// The kinds of workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkloadKind {
    /// Few nodes, written and read by all.
    Registers,
    /// Every operation.
    Mixed,
    /// Locks with fenced side effects.
    Lock,
    /// Leader elections.
    Election,
    /// A configuration that some set and all watch.
    Config,
    /// Sessions that come and go with their ephemerals.
    Sessions,
    /// The ensemble's own members.
    Members,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: &[WorkloadKind] = &[
        WorkloadKind::Registers,
        WorkloadKind::Mixed,
        WorkloadKind::Lock,
        WorkloadKind::Election,
        WorkloadKind::Config,
        WorkloadKind::Sessions,
        WorkloadKind::Members,
    ];

    /// Its name in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            WorkloadKind::Registers => "registers",
            WorkloadKind::Mixed => "mixed",
            WorkloadKind::Lock => "lock",
            WorkloadKind::Election => "election",
            WorkloadKind::Config => "config",
            WorkloadKind::Sessions => "sessions",
            WorkloadKind::Members => "members",
        }
    }

    /// One sentence on it.
    pub const fn about(self) -> &'static str {
        match self {
            WorkloadKind::Registers => {
                "few nodes, set (also by version) and read by all, half of the reads behind a sync"
            }
            WorkloadKind::Mixed => {
                "every operation: nodes of every kind and with access control lists made, removed, set and read, watched once and for good, multi, multi_read, sync, identities, pipelined"
            }
            WorkloadKind::Lock => {
                "locks, and side effects on a resource that refuses stale fencing tokens"
            }
            WorkloadKind::Election => "candidates stand for election, lead for a while, and resign",
            WorkloadKind::Config => {
                "one client in three sets a configuration; all watch it and read it again when told"
            }
            WorkloadKind::Sessions => {
                "sessions make ephemerals, are closed or left to expire, and are opened again"
            }
            WorkloadKind::Members => {
                "an operator (`super:test`) reconfigures the ensemble: servers join, leave, are exchanged, vote or observe, one by one or all anew, in groups too"
            }
        }
    }
}

/// The plan as the workloads need it: where one of them reconfigures the ensemble, it may.
pub fn allowed(workloads: &[Workload], plan: Plan) -> Plan {
    match has_operator(workloads) {
        true => with_operator(workloads, plan).reconfigurable(),
        false => plan,
    }
}

/// The plan in which who reconfigures the ensemble for one of the workloads is who it says.
pub fn with_operator(workloads: &[Workload], mut plan: Plan) -> Plan {
    if has_operator(workloads) {
        let operator = || zabsim_model::reference::digest(members::OPERATOR).into();
        plan.ensemble
            .rules
            .super_digest
            .get_or_insert_with(operator);
    }
    plan
}

fn has_operator(workloads: &[Workload]) -> bool {
    workloads.iter().any(|w| w.kind == WorkloadKind::Members)
}

/// The programs of a plan's clients, in order.
pub fn programs(workloads: &[Workload], holds: &[Hold], plan: &Plan) -> Vec<Program> {
    // One resource for each lock and election of each workload, shared by all clients: it stands outside of the service.
    let resources: Vec<Vec<FencedResource>> = workloads.iter().map(resources_of).collect();
    let mut held: BTreeMap<&str, FencedResource> = BTreeMap::new();
    for hold in holds {
        held.entry(&hold.path)
            .or_insert_with(|| FencedResource::new(hold.path.as_str()));
    }
    let servers = plan.ensemble.servers();
    (1..=plan.clients)
        .map(|client| {
            let mine = holds.iter().filter(|hold| hold.client == client);
            let mine: Holds = mine
                .map(|hold| Some((hold.clone(), held[hold.path.as_str()].clone())))
                .collect();
            let parts: Vec<_> = workloads
                .iter()
                .zip(&resources)
                .filter(|(workload, _)| {
                    workload.clients.is_empty() || workload.clients.contains(&client)
                })
                .map(|(workload, resources)| (workload.clone(), resources.clone()))
                .collect();
            let program: Program =
                Box::new(move |context| Box::pin(run_client(context, parts, servers, mine)));
            program
        })
        .collect()
}

fn resources_of(workload: &Workload) -> Vec<FencedResource> {
    let object = match workload.kind {
        WorkloadKind::Lock => "/locks/l",
        WorkloadKind::Election => "/elections/e",
        _ => return Vec::new(),
    };
    (0..workload.keys)
        .map(|key| FencedResource::new(format!("{object}{key}")))
        .collect()
}

/// One workload of one client.
struct Actor {
    client: Client,
    stream: Stream,
    stopping: Stopping,
    workload: Workload,
    resources: Vec<FencedResource>,
    /// The paths that it has named, by their beginning and their number.
    paths: BTreeMap<(&'static str, Option<u32>), ZPath>,
    /// Counts this actor's writes: makes every value unique in the run.
    writes: u64,
    /// The client's number.
    process: u32,
    /// How many servers there are, members or not.
    servers: u32,
}

/// The session is over: the actor's loop ends, and begins again in the next session.
struct SessionOver;

impl Actor {
    async fn run(&mut self) {
        // A loop that ends because its session did is begun again by `run_client`.
        let _: Result<(), SessionOver> = match self.workload.kind {
            WorkloadKind::Registers => data::registers(self).await,
            WorkloadKind::Mixed => mixed::mixed(self).await,
            WorkloadKind::Lock => coordination::lock(self).await,
            WorkloadKind::Election => coordination::election(self).await,
            WorkloadKind::Config => data::config(self).await,
            WorkloadKind::Sessions => coordination::sessions(self).await,
            WorkloadKind::Members => members::members(self).await,
        };
    }

    async fn think(&mut self) {
        let micros = self.stream.range(self.workload.think_us);
        self.client.sleep(Duration::from_micros(micros)).await;
    }

    fn key(&mut self) -> u32 {
        self.stream.below(u64::from(self.workload.keys)) as u32
    }

    /// A path, written down once: who names a node again and again names it by the same memory.
    fn path(&mut self, path: &'static str) -> ZPath {
        let made = self.paths.entry((path, None));
        made.or_insert_with(|| path.into()).clone()
    }

    /// The path of the node with that number.
    fn numbered(&mut self, prefix: &'static str, key: u32) -> ZPath {
        let made = self.paths.entry((prefix, Some(key)));
        made.or_insert_with(|| format!("{prefix}{key}").into())
            .clone()
    }

    /// The path of one of the nodes, drawn.
    fn any(&mut self, prefix: &'static str) -> ZPath {
        let key = self.key();
        self.numbered(prefix, key)
    }

    /// A value that nobody else writes in this run.
    fn value(&mut self) -> String {
        self.writes += 1;
        format!("{}.{}", self.process, self.writes)
    }

    /// What a workload makes of an outcome: refusals and lost connections are part of life, the end of the session ends the loop.
    fn go_on<T>(&self, outcome: Result<T, ClientError>) -> Result<Option<T>, SessionOver> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.ends_session() => Err(SessionOver),
            Err(_) => Ok(None),
        }
    }
}

fn boxed<'a>(
    part: impl Future<Output = ()> + Send + 'a,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(part)
}

async fn run_client(
    mut context: ProgramContext,
    parts: Vec<(Workload, Vec<FencedResource>)>,
    servers: u32,
    mut holds: Holds,
) {
    let mut actors: Vec<Actor> = parts
        .into_iter()
        .enumerate()
        .map(|(index, (workload, resources))| Actor {
            client: context.client.clone(),
            stream: Stream::new(context.stream.next_u64(), "workload", index as u64),
            stopping: context.stopping_flag(),
            workload,
            resources,
            paths: BTreeMap::new(),
            writes: 0,
            process: context.process.0,
            servers,
        })
        .collect();
    while !context.stopping() {
        context.client.open().await;
        holds.retain(Option::is_some);
        if actors.is_empty() && holds.is_empty() {
            return;
        }
        let (client, process) = (&context.client, context.process.0);
        let loops = actors.iter_mut().map(|actor| boxed(actor.run()));
        let uses = holds.iter_mut();
        let uses = uses.map(|hold| boxed(holds::run(client, process, hold)));
        join_all(loops.chain(uses)).await;
        // Explicit operations may follow what was held, in the same session.
        if actors.is_empty() && holds.iter().all(Option::is_none) {
            return;
        }
    }
    // The last word of a session that is still there; one that has ended needs none.
    let _ = context.client.close().await;
}
