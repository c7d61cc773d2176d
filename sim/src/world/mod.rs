//! The world: one queue of events, and everything that they happen to.
//!
//! One event is handled to its end before the next: an input goes into a process, the effects that come out are carried
//! out one by one, programs that were woken run until they wait. Between any two effects a process can be crashed. For
//! every effect, in this order: it enters the trace, the nemesis sees it (and may strike), the checks see it, it happens.

mod clients;
mod director;
mod faults;
mod phases;
mod servers;
mod unrest;
mod view;
mod watchers;

use view::sight;

use crate::checks::{Checks, Facts};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::electorate::Electorate;
use crate::executor::{BoxFuture, Executor, Moment, contained};
use crate::host::ClientProcess;
use crate::judge::Judge;
use crate::nemesis::{Ends, Nemesis};
use crate::net::{Arrival, Item, LinkKind, Net, Node};
use crate::plan::Plan;
use crate::process::{NO_ROLE, STAGES, ServerProcess, Software, StageSlot};
use crate::program::{Program, ProgramContext, Stopping};
use crate::queue::{Event, Queue};
use crate::stream::Stream;
use crate::trace::{Entry, Place, Trace};
use crate::wire::Mailbox;
use crate::witness::Log;
use director::{DIRECTOR_EVENT, Director};
use faults::Strike;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::{QuorumConfig, QuorumRule};
use zabsim_client::{Port, Session};
use zabsim_types::run::{ClientOps, FaultRecord, RefusalRecord, TimelineEntry, Topic};
use zabsim_types::{HistoryEvent, ProcessId, ServerId, SessionId, Time};

/// What happened at clients, servers and to them: what a report is made of.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) history: Vec<HistoryEvent>,
    pub(crate) ops: ClientOps,
    pub(crate) elections: u32,
    pub(crate) faults: Vec<FaultRecord>,
    pub(crate) unrest: unrest::Unrest,
    pub(crate) refused: Vec<RefusalRecord>,
    pub(crate) reached: BTreeMap<&'static str, u64>,
    pub(crate) timeline: Vec<TimelineEntry>,
}

/// Events that may happen at one point of time. A run has a few dozen at most.
const AT_ONCE_MAX: u32 = 1_000_000;

/// A simulated ensemble with its clients.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) seed: u64,
    pub(crate) now: Time,
    pub(crate) queue: Queue,
    pub(crate) net: Net,
    pub(crate) trace: Trace,
    pub(crate) servers: Vec<ServerProcess>,
    pub(crate) clients: Vec<ClientProcess>,
    pub(crate) executor: Box<dyn Executor>,
    pub(crate) records: Records,
    pub(crate) stopping: Stopping,
    pub(crate) nemesis: Nemesis,
    pub(crate) judge: Judge,
    pub(crate) checks: Checks,
    electorate: Electorate,
    /// Who votes in a configuration that counts, and who does not.
    voters: Vec<ServerId>,
    others: Vec<ServerId>,
    strikes: Vec<Strike>,
    /// Faults that have found nobody to strike yet, and since when.
    waits_since: BTreeMap<usize, Time>,
    /// Faults that did something.
    done: BTreeSet<usize>,
    /// The safety phase is over: no fault strikes any more.
    pub(crate) healed: bool,
    /// When.
    healed_at: Time,
    /// The server whose step is being carried out.
    stepping: Option<usize>,
    pub(crate) violated: bool,
    /// A program panicked, and how.
    pub(crate) panicked: Option<String>,
    /// Something goes round without letting time pass, and what.
    pub(crate) endless: Option<String>,
    /// Passes with each event.
    moment: Moment,
    /// Events since time last went on.
    at_once: u32,
    /// Sessions that their clients hold to be over. The leader may need a while to agree.
    given_up: Vec<SessionId>,
    /// The committed log.
    pub(crate) log: Log,
    /// How often the checks were shown something, and what some of these times and the full checks took.
    observations: u64,
    sampled_ns: u64,
    full_checks_ns: u64,
    software: Box<dyn Software>,
    /// Vectors of effects and commands that are used again and again.
    server_effects: Vec<zabsim_server::Effect>,
    client_effects: Vec<zabsim_client::Effect>,
    commands: Vec<zabsim_client::Command>,
    /// A test's connections by hand, by their links.
    pub(crate) wires: BTreeMap<u32, Mailbox>,
    director: Option<Director>,
    /// Programs may have been woken since they last ran.
    awake: bool,
}

impl World {
    /// A world in which nothing has happened yet.
    pub(crate) fn new(
        plan: Plan,
        seed: u64,
        software: Box<dyn Software>,
        executor: Box<dyn Executor>,
        keep_trace: bool,
    ) -> World {
        let plan = plan.with_ops_marked().with_first_configuration();
        let ensemble = &plan.ensemble;
        let servers = ensemble.servers();
        let connect_timeout_us =
            u64::from(ensemble.sync_limit) * u64::from(ensemble.tick_ms) * 1_000;
        let net = Net::new(
            seed,
            servers,
            plan.clients,
            &plan.climate,
            connect_timeout_us,
        );
        let quorum = quorum_config(&plan);
        let electorate = Electorate::new(quorum.clone());
        let voters = electorate.voters();
        let others: Vec<ServerId> = (ensemble.voters + 1..=servers as u8)
            .map(ServerId)
            .collect();
        let joiners = || quorum_less(&quorum, servers as u8);
        let servers = (1..=servers as u8)
            .map(|id| new_server(&plan, seed, ServerId(id), &quorum, &*software))
            .collect();
        let mut world = World {
            seed,
            now: Time::ZERO,
            queue: Queue::default(),
            net,
            trace: Trace::new(keep_trace),
            servers,
            clients: Vec::new(),
            executor,
            records: Records::default(),
            stopping: Stopping::default(),
            nemesis: Nemesis::new(&plan, seed),
            judge: Judge::new(quorum.clone(), joiners(), plan.data_loss_allowed),
            checks: Checks::new(Facts {
                joiners: joiners().collect(),
                first_configuration: plan.ensemble.rules.first_configuration.clone(),
                quorum: quorum.clone(),
            }),
            electorate,
            voters,
            others,
            strikes: Vec::new(),
            waits_since: BTreeMap::new(),
            done: BTreeSet::new(),
            healed: false,
            healed_at: Time::ZERO,
            stepping: None,
            violated: false,
            panicked: None,
            endless: None,
            moment: Moment::default(),
            at_once: 0,
            given_up: Vec::new(),
            log: Log::default(),
            observations: 0,
            sampled_ns: 0,
            full_checks_ns: 0,
            software,
            server_effects: Vec::new(),
            client_effects: Vec::new(),
            commands: Vec::new(),
            director: None,
            wires: BTreeMap::new(),
            awake: false,
            plan,
        };
        for _ in 0..world.plan.clients {
            world.new_client();
        }
        for (at, op) in world.nemesis.ops_at() {
            world.queue.push(at, Event::Op { op: op as u32 });
        }
        for (at, fault) in world.nemesis.timed() {
            let fault = fault as u32;
            world.queue.push(at, Event::Strike { fault });
        }
        world
    }

    /// Starts the servers, and the clients' programs in the order of the clients.
    pub(crate) fn start(&mut self, programs: Vec<Program>) {
        for server in 0..self.servers.len() {
            self.start_server(server);
        }
        for (client, program) in programs.into_iter().enumerate() {
            self.start_program(client, program);
        }
    }

    /// A client's node.
    pub(crate) fn client_node(&self, client: usize) -> Node {
        (self.servers.len() + client) as Node
    }

    /// Adds a client process without a program.
    pub(crate) fn new_client(&mut self) -> usize {
        let client = self.clients.len();
        if client >= self.plan.clients as usize {
            self.net.add_client();
        }
        let mut servers: Vec<ServerId> = self.servers.iter().map(|server| server.id).collect();
        Stream::new(self.seed, "client servers", client as u64).shuffle(&mut servers);
        let guid_seed = Stream::new(self.seed, "client guid", client as u64).next_u64();
        let session = Session::new(zabsim_client::Config {
            servers,
            timeout_ms: self.plan.session_timeout_ms,
            reconnect_us: RECONNECT_US,
            guid_seed,
            read_only: self.plan.is_read_only(client as u32 + 1),
            bugs: self.plan.bugs,
        });
        let port = Port::new(guid_seed);
        port.plant(self.plan.bugs);
        self.clients.push(ClientProcess {
            id: ProcessId(client as u32 + 1),
            session,
            session_before: SessionId::NONE,
            port,
            program: None,
            directed: false,
            alive: true,
            paused: 0,
            inbox: VecDeque::new(),
            link: None,
            trial: None,
            timer: Default::default(),
            open_calls: Vec::new(),
            opened: false,
            answered: 0,
            answered_before_heal: 0,
        });
        client
    }

    /// Starts a client's program.
    pub(crate) fn start_program(&mut self, client: usize, program: Program) {
        let context = ProgramContext {
            client: self.clients[client].port.client(),
            process: self.clients[client].id,
            stream: Stream::new(self.seed, "workload", client as u64),
            stopping: self.stopping.clone(),
        };
        self.spawn(client, program(context));
    }

    fn spawn(&mut self, client: usize, future: BoxFuture) {
        let (future, outcome) = contained(future, &self.moment);
        self.clients[client].program = Some(outcome);
        let process = self.clients[client].id.0;
        self.clients[client].port.set_now(self.now);
        self.executor.spawn(process, future);
        self.awake = true;
        self.run_programs();
    }

    /// Handles events until `until`, that moment included.
    pub(crate) fn run_until(&mut self, until: Time) {
        while self.handle_next(until) {
            if self.halted() {
                return;
            }
        }
        self.now = self.now.max(until);
    }

    /// Handles the next event, if one is due until `until`.
    fn handle_next(&mut self, until: Time) -> bool {
        let Some((at, event)) = self.queue.pop(until) else {
            return false;
        };
        debug_assert!(at >= self.now, "time goes on");
        self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
        if self.at_once > AT_ONCE_MAX {
            self.endless.get_or_insert(format!(
                "time stands still: {AT_ONCE_MAX} events at {at}, the last of them {event:?}; something answers each event \
                 with another one, without a delay"
            ));
        }
        self.now = at;
        self.moment.pass();
        self.handle(event);
        true
    }

    /// Whether there is no point in going on.
    pub(crate) fn halted(&self) -> bool {
        self.violated || self.panicked.is_some() || self.endless.is_some()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Link { link, direction } => self.link_due(link, direction),
            Event::ConnectTimeout { link } => {
                if let Some((from, to, kind)) = self.net.connect_timeout(link) {
                    self.connect_failed(link, from, to, kind);
                }
            }
            Event::Datagram { slot } => {
                if let Some(datagram) = self.net.take_datagram(slot) {
                    let from = self.servers[datagram.from as usize].id;
                    let input = zab::Input::Notification {
                        from: zab::PeerId(from.0),
                        notification: datagram.notification,
                    };
                    self.server_input(datagram.to as usize, zabsim_server::Input::Zab(input));
                }
            }
            Event::Timer {
                server,
                timer,
                generation,
            } => self.server_timer(usize::from(server), timer, generation),
            Event::Stage {
                server,
                stage,
                incarnation,
            } => {
                if self.servers[usize::from(server)].incarnation == incarnation {
                    let (stage, _) = STAGES[usize::from(stage)];
                    self.server_input(usize::from(server), zabsim_server::Input::Run(stage));
                }
            }
            Event::Disk {
                server,
                incarnation,
            } => {
                let process = &mut self.servers[usize::from(server)];
                if process.incarnation == incarnation {
                    // The disk goes on while its process is paused: done is done.
                    let input = process.disk.complete(self.now);
                    self.check_completion(usize::from(server), &input);
                    self.server_input(usize::from(server), zabsim_server::Input::Zab(input));
                }
            }
            Event::Start {
                server,
                incarnation,
            } => {
                let process = &self.servers[usize::from(server)];
                if process.incarnation == incarnation && !process.is_up() && !process.stays_broken {
                    self.start_server(usize::from(server));
                }
            }
            Event::ClientTimer { client, generation } => {
                self.client_timer(client as usize, generation);
            }
            Event::Wake {
                client: DIRECTOR_EVENT,
                sleeper,
                ..
            } => self.wake_director(sleeper),
            Event::Wake {
                client, sleeper, ..
            } => self.wake_sleeper(client as usize, sleeper),
            Event::Op { op } => self.scripted_op(op as usize),
            Event::Strike { fault } => self.strike(fault as usize, Ends::default()),
            Event::Undo { strike } => self.undo(strike as usize),
            Event::Continue { strike, step } => self.continue_strike(strike, step),
            Event::GhostEnd { link } => self.end_ghost(link),
        }
        self.tell_of_leader();
        self.run_programs();
    }

    fn link_due(&mut self, link: u32, direction: u8) {
        let (servers, clients) = (&self.servers, &self.clients);
        let alive = |node: Node| match servers.get(node as usize) {
            Some(server) => server.is_up(),
            None => clients[node as usize - servers.len()].alive,
        };
        let arrival = self
            .net
            .arrive(&mut self.queue, self.now, link, direction, alive);
        if let Some(arrival) = arrival {
            match arrival.to < self.servers.len() as u32 {
                true => self.arrive_at_server(arrival),
                false => self.arrive_at_client(arrival),
            }
        }
    }

    fn connect_failed(&mut self, link: u32, from: Node, to: Node, kind: LinkKind) {
        let refused = Arrival {
            link,
            kind,
            from: to,
            to: from,
            item: Item::Refused,
        };
        match from < self.servers.len() as u32 {
            true => self.arrive_at_server(refused),
            false => self.arrive_at_client(refused),
        }
    }

    /// Adds a line to the timeline.
    pub(crate) fn tell(&mut self, topic: Topic, who: impl ToString, what: String) {
        self.records.timeline.push(TimelineEntry {
            at: self.now,
            who: who.to_string(),
            topic,
            what,
        });
    }

    #[inline]
    fn record(&mut self, place: Place, entry: &Entry<'_>) {
        self.trace.record(self.now, place, entry);
    }
}

/// A client's pause between two attempts to connect.
const RECONNECT_US: u64 = 100_000;

/// The plan's rule for quorums.
pub(crate) fn quorum_config(plan: &Plan) -> QuorumConfig {
    let ensemble = &plan.ensemble;
    let peer = |id: ServerId| zab::PeerId(id.0);
    let voters: BTreeSet<zab::PeerId> = (1..=ensemble.voters).map(zab::PeerId).collect();
    let observers = (ensemble.voters + 1..=ensemble.voters + ensemble.observers)
        .map(zab::PeerId)
        .collect();
    let rule = if ensemble.groups.is_empty() && ensemble.weights.is_empty() {
        QuorumRule::Majority
    } else {
        let groups = match ensemble.groups.is_empty() {
            true => vec![voters.clone()],
            false => ensemble
                .groups
                .iter()
                .map(|group| group.iter().copied().map(peer).collect())
                .collect(),
        };
        let weights = ensemble
            .weights
            .iter()
            .map(|(&id, &weight)| (peer(id), weight))
            .collect();
        QuorumRule::Hierarchical { groups, weights }
    };
    QuorumConfig {
        voters,
        observers,
        rule,
    }
}

/// The servers, of so many, that are no members.
fn quorum_less(quorum: &QuorumConfig, servers: u8) -> impl Iterator<Item = ServerId> {
    let member = |id: &u8| quorum.members().any(|member| member.0 == *id);
    let others: Vec<u8> = (1..=servers).filter(|id| !member(id)).collect();
    others.into_iter().map(ServerId)
}

/// Notifications of an election are sent again after 200 ms at first (`FastLeaderElection`), and after at most so many
/// ticks: ZooKeeper's 60 s at its usual tick of 2 s.
pub(crate) const NOTIFY_TICKS_MAX: u64 = 30;

fn new_server(
    plan: &Plan,
    seed: u64,
    id: ServerId,
    quorum: &QuorumConfig,
    software: &dyn Software,
) -> ServerProcess {
    let ensemble = &plan.ensemble;
    let index = u64::from(id.0);
    let tick_us = u64::from(ensemble.tick_ms) * 1_000;
    let snap_count = u64::from(ensemble.snap_count.max(2));
    let snap_count = Stream::new(seed, "snap count", index).range((snap_count / 2 + 1, snap_count));
    let config = zabsim_server::Config {
        zab: zab::Config {
            id: zab::PeerId(id.0),
            quorum: quorum.clone(),
            tick_us,
            init_limit: ensemble.init_limit,
            sync_limit: ensemble.sync_limit,
            finalize_wait_us: 200_000,
            notify_us: (200_000, NOTIFY_TICKS_MAX * tick_us),
            commit_log_count: ensemble.commit_log_count as usize,
            disk_diff_bytes_max: ensemble.disk_diff_bytes_max,
            snap_count: snap_count as u32,
            counter_max: ensemble.counter_max,
            snap_retain: 3,
            bugs: plan.bugs,
        },
        session_timeout_ms: (ensemble.tick_ms * 2, ensemble.tick_ms * 20),
        apply_batch: 100,
        snapshot_chunk_nodes: ensemble.snapshot_chunk_nodes as usize,
        password_salt: Stream::new(seed, "passwords", 0).next_u64(),
        sweep_interval_ms: ensemble.sweep_interval_ms,
        rules: ensemble.rules.clone(),
        local_sessions: ensemble.local_sessions,
        upgrade_local_sessions: ensemble.upgrade_local_sessions,
        read_only_mode: ensemble.read_only_mode,
    };
    let mut clock_stream = Stream::new(seed, "clock", index);
    let offset_us = clock_stream.range((0, plan.climate.clock_offset_us_max));
    let drift = u64::from(plan.climate.clock_drift_ppm_max);
    let ppm = clock_stream.range((0, 2 * drift)) as i64 - drift as i64;
    ServerProcess {
        id,
        config,
        machine: None,
        incarnation: 0,
        clock: Clock::new(CLOCK_START_US + offset_us, ppm as i32),
        disk: Disk::new(
            match quorum.members().any(|member| member.0 == id.0) {
                true => software.files(),
                false => Vec::new(),
            },
            Stream::new(seed, "disk", index),
        ),
        timers: Default::default(),
        stages: STAGES.map(|(_, name)| StageSlot {
            stream: Stream::new(seed, name, index),
            delays: Vec::new(),
        }),
        paused: 0,
        suspended: VecDeque::new(),
        inbox: VecDeque::new(),
        crash: None,
        role: NO_ROLE,
        established: None,
        synchronizing: BTreeSet::new(),
        fatal: None,
        damaged: false,
        stays_broken: false,
        applied: zabsim_types::Zxid::ZERO,
        failed_starts: 0,
        start_at: None,
        restart_stream: Stream::new(seed, "restart", index),
    }
}

/// What servers' clocks read when the world begins: not zero, so that nobody takes zero for "never" and gets by.
const CLOCK_START_US: u64 = 1_000_000_000;

#[cfg(test)]
pub(crate) mod tests;
