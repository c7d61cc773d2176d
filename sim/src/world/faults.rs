//! Faults in the world: what each action does, and how it is undone.

use super::{World, sight};
use crate::checks::Observed;
use crate::judge::{Harm, Ruling};
use crate::nemesis::{Ends, RETRY_US};
use crate::net::{Item, LinkKind, Node};
use crate::plan::{Action, Fault, Target, Unsynced};
use crate::process::{PendingCrash, STAGES};
use crate::queue::Event;
use crate::stream::Stream;
use crate::trace::{Entry, Place};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;
use zabsim_client::Input;
use zabsim_types::run::FaultRecord;
use zabsim_types::{ClientFrame, ConnectRequest, ServerId, SessionId};

/// A fault that has struck.
#[derive(Debug)]
pub(crate) struct Strike {
    fault: usize,
    undo: Vec<Undo>,
    flap: Option<Flap>,
    over: bool,
}

/// A link that goes down and up.
#[derive(Debug)]
struct Flap {
    ways: Vec<(Node, Node)>,
    down_us: u64,
    up_us: u64,
    down: bool,
}

/// How to take a part of a strike back.
#[derive(Debug)]
enum Undo {
    Unblock(Node, Node),
    Unstall(Node, Node),
    /// Delays, limits and losses, which know their strike.
    Relieve,
    Resume(usize),
    ResumeClient(usize),
    DiskSpeed(usize),
    DiskSpace(usize),
    Drift(usize, i32),
    Stage(usize),
}

impl World {
    /// A fault strikes; where there is nobody to strike, it tries again.
    pub(crate) fn strike(&mut self, fault: usize, ends: Ends) {
        if !self.healed && self.strike_once(fault, ends).is_none() {
            let fault = fault as u32;
            self.queue
                .push(self.now.plus(RETRY_US), Event::Strike { fault });
        }
    }

    /// A fault strikes; what it did, in words.
    pub(crate) fn strike_once(&mut self, fault: usize, ends: Ends) -> Option<String> {
        let Fault {
            action, lasts_us, ..
        } = self.plan.faults[fault].clone();
        let strike = self.strikes.len();
        self.strikes.push(Strike {
            fault,
            undo: Vec::new(),
            flap: None,
            over: false,
        });
        let Some(what) = self.act(fault, strike, ends, &action, lasts_us) else {
            self.strikes.pop();
            return None;
        };
        if !matches!(action, Action::Mark | Action::Heal) {
            let Strike { undo, flap, .. } = &self.strikes[strike];
            let lasts = !undo.is_empty() || flap.is_some();
            self.records.unrest.begins(strike, self.now, lasts);
        }
        self.tell_fault(fault, what.clone());
        if let Some(lasts) = lasts_us {
            let strike = strike as u32;
            self.queue
                .push(self.now.plus(lasts), Event::Undo { strike });
        }
        for (at, op) in self.nemesis.ops_after(fault, self.now) {
            self.queue.push(at, Event::Op { op: op as u32 });
        }
        for (at, fault) in self.nemesis.struck(fault, self.now) {
            let fault = fault as u32;
            self.queue.push(at, Event::Strike { fault });
        }
        Some(what)
    }

    fn tell_fault(&mut self, fault: usize, what: String) {
        let Fault { label, .. } = &self.plan.faults[fault];
        self.trace
            .record(self.now, Place::World, &Entry::Fault(label, &what));
        let (label, kind) = (label.clone(), self.plan.faults[fault].kind());
        self.tell("", format!("{label}: {what}"));
        self.records.faults.push(FaultRecord {
            at_ms: self.now.as_ms(),
            kind: kind.to_string(),
            what,
        });
    }

    /// Does what a fault does; says it in words, or `None` where it found nobody to strike.
    fn act(
        &mut self,
        fault: usize,
        strike: usize,
        ends: Ends,
        action: &Action,
        lasts_us: Option<u64>,
    ) -> Option<String> {
        match action {
            Action::Crash {
                target,
                after_effects,
                unsynced,
            } => {
                let servers = self.resolve_up(fault, target, ends);
                let crash = |restart| PendingCrash {
                    after_effects: *after_effects,
                    unsynced: *unsynced,
                    restart_after_us: Some(restart),
                };
                self.each(&servers, "crashes", |world, server| {
                    let restart = world.restart_after(server, lasts_us);
                    // A server that is not at work now counts the effects of its next steps: after NEWLEADER reached it, for one.
                    if world.stepping == Some(server) || *after_effects > 0 {
                        world.crash_after(server, crash(restart));
                    } else {
                        world.crash_server(server, *unsynced, Some(restart));
                    }
                })
            }
            Action::Restart { target } => {
                let mut servers = self.resolve(fault, target, ends);
                servers.retain(|&server| !self.servers[server].is_up());
                self.each(&servers, "starts", |world, server| {
                    world.start_server_at(server, 0);
                })
            }
            Action::Pause { target } => {
                let servers = self.resolve_up(fault, target, ends);
                self.each(&servers, "pauses", |world, server| {
                    world.pause_server(server);
                    world.strikes[strike].undo.push(Undo::Resume(server));
                })
            }
            Action::RollingRestart { gap_us } => {
                self.roll(strike, 0);
                Some(format!("restarts all, {} ms apart", gap_us / 1_000))
            }
            Action::Partition { groups } => self.partition(fault, strike, ends, groups),
            Action::OneWay { from, to } => {
                let (from, to) = self.resolve_ends(fault, ends, from, to);
                let ways = ways(&from, &to);
                self.block_all(strike, &ways);
                let words = format!("cuts {} → {}", self.names(&from), self.names(&to));
                (!ways.is_empty()).then_some(words)
            }
            Action::Flap {
                between,
                and,
                down_us,
                up_us,
            } => {
                let (ways, words) = self.between(fault, ends, between, and)?;
                self.strikes[strike].flap = Some(Flap {
                    ways,
                    down_us: *down_us,
                    up_us: *up_us,
                    down: false,
                });
                self.flap(strike);
                Some(format!("flaps {words}"))
            }
            Action::Reset {
                between,
                and,
                half_open,
            } => {
                let (from, to) = self.resolve_ends(fault, ends, between, and);
                let mut broken = 0;
                for &a in &from {
                    for &b in to.iter().filter(|&&b| b != a) {
                        let (a, b) = (a as Node, b as Node);
                        broken += self.net.reset(&mut self.queue, self.now, a, b, *half_open);
                    }
                }
                let how = if *half_open { "half-opens" } else { "resets" };
                let (from, to) = (self.names(&from), self.names(&to));
                (broken > 0).then(|| format!("{how} {broken} links {from} – {to}"))
            }
            Action::Delay {
                between,
                and,
                extra_us,
            } => {
                let (ways, words) = self.between(fault, ends, between, and)?;
                for &(from, to) in &ways {
                    self.net.delay(strike as u32, from, to, *extra_us);
                }
                self.strikes[strike].undo.push(Undo::Relieve);
                let (least, most) = extra_us;
                Some(format!("delays {words} by {least} to {most} µs"))
            }
            Action::Stall { between, and } => {
                let (ways, words) = self.between(fault, ends, between, and)?;
                for &(from, to) in &ways {
                    self.net.stall(from, to);
                    self.strikes[strike].undo.push(Undo::Unstall(from, to));
                }
                Some(format!("stalls {words}"))
            }
            Action::Bandwidth {
                between,
                and,
                bytes_per_s,
            } => {
                let (ways, words) = self.between(fault, ends, between, and)?;
                for &(from, to) in &ways {
                    self.net.limit(strike as u32, from, to, *bytes_per_s);
                }
                self.strikes[strike].undo.push(Undo::Relieve);
                Some(format!("limits {words} to {bytes_per_s} bytes/s"))
            }
            Action::ElectionLoss {
                lost_per_mille,
                repeated_per_mille,
            } => {
                self.net
                    .lose(strike as u32, *lost_per_mille, *repeated_per_mille);
                self.strikes[strike].undo.push(Undo::Relieve);
                Some(format!(
                    "of 1000 election messages, {lost_per_mille} are lost and {repeated_per_mille} repeated"
                ))
            }
            Action::SlowDisk { target, extra_us } => {
                let servers = self.resolve(fault, target, ends);
                self.each(&servers, "slows the disk of", |world, server| {
                    world.servers[server].disk.slow(Some(*extra_us));
                    world.strikes[strike].undo.push(Undo::DiskSpeed(server));
                })
            }
            Action::FsyncError { target } => {
                let servers = self.resolve_up(fault, target, ends);
                self.each(&servers, "fails the next fsync of", |world, server| {
                    world.servers[server].disk.fail_next_sync();
                })
            }
            Action::DiskFull { target } => {
                let servers = self.resolve(fault, target, ends);
                self.each(&servers, "fills the disk of", |world, server| {
                    world.servers[server].disk.set_full(true);
                    world.strikes[strike].undo.push(Undo::DiskSpace(server));
                })
            }
            Action::Wipe { target } => self.harm(fault, ends, target, Harm::Wipe),
            Action::BitRot { target, .. } => self.harm(fault, ends, target, Harm::Rot),
            Action::BadRead { target } => self.harm(fault, ends, target, Harm::BadRead),
            Action::ClockJump { target, by_us } => {
                let servers = self.resolve(fault, target, ends);
                let what = format!("sets {} ms ahead the clock of", by_us / 1_000);
                self.each(&servers, &what, |world, server| {
                    world.servers[server].clock.jump(world.now, *by_us);
                    world.adjust_timers(server);
                })
            }
            Action::ClockDrift { target, ppm } => {
                let servers = self.resolve(fault, target, ends);
                let what = format!("lets drift by {ppm} ppm the clock of");
                self.each(&servers, &what, |world, server| {
                    let before = world.servers[server].clock.ppm();
                    world.servers[server].clock.drift(world.now, *ppm);
                    world.adjust_timers(server);
                    world.strikes[strike].undo.push(Undo::Drift(server, before));
                })
            }
            Action::SlowStage {
                target,
                stage,
                extra_us,
            } => {
                let slot = STAGES.iter().position(|(_, name)| name == stage)?;
                let servers = self.resolve(fault, target, ends);
                let what = format!("slows stage {stage} of");
                self.each(&servers, &what, |world, server| {
                    let delays = &mut world.servers[server].stages[slot].delays;
                    delays.push((strike as u32, *extra_us));
                    world.strikes[strike].undo.push(Undo::Stage(server));
                })
            }
            Action::ClientCrash { .. } => {
                let clients = self.pick_clients(fault);
                self.each_client(&clients, "kills", World::crash_client)
            }
            Action::ClientPause { .. } => {
                let clients = self.pick_clients(fault);
                self.each_client(&clients, "pauses", |world, client| {
                    world.pause_client(client);
                    world.strikes[strike].undo.push(Undo::ResumeClient(client));
                })
            }
            Action::ClientMove { to, .. } => {
                let clients = self.pick_clients(fault);
                let to = match to {
                    None => None,
                    Some(target) => Some(*self.resolve(fault, target, ends).first()?),
                };
                let to = to.map(|server| self.servers[server].id);
                let moved = self.each_client(&clients, "moves", |world, client| {
                    world.client_input(client, None, Input::Move { to });
                });
                moved.map(|moved| match to {
                    Some(id) => format!("{moved} to {id}"),
                    None => format!("{moved} to the next server"),
                })
            }
            Action::ClientCut { .. } => {
                let clients = self.pick_clients(fault);
                self.each_client(&clients, "cuts off", |world, client| {
                    let client = world.client_node(client);
                    let ways: Vec<(Node, Node)> = (0..world.servers.len() as Node)
                        .flat_map(|server| [(client, server), (server, client)])
                        .collect();
                    world.block_all(strike, &ways);
                })
            }
            Action::ClientDuplicate { .. } => {
                let clients = self.pick_clients(fault);
                self.each_client(&clients, "duplicates the connection of", |world, client| {
                    world.open_ghost(fault, client);
                })
            }
            Action::Mark => Some("is reached".to_string()),
            Action::Heal => {
                self.undo_all();
                for server in 0..self.servers.len() {
                    if !self.servers[server].is_up() {
                        self.start_server_at(server, 0);
                    }
                }
                Some("undoes everything that lasts".to_string())
            }
        }
    }

    // ---- targets ----

    fn resolve(&mut self, fault: usize, target: &Target, ends: Ends) -> Vec<usize> {
        let sight = sight!(self);
        places(self.nemesis.resolve(fault, target, &sight, ends))
    }

    fn resolve_ends(
        &mut self,
        fault: usize,
        ends: Ends,
        between: &Target,
        and: &Target,
    ) -> (Vec<usize>, Vec<usize>) {
        let sight = sight!(self);
        let (from, to) = self.nemesis.resolve_ends(fault, between, and, &sight, ends);
        (places(from), places(to))
    }

    /// Of those that `target` means, the ones that run.
    fn resolve_up(&mut self, fault: usize, target: &Target, ends: Ends) -> Vec<usize> {
        let mut servers = self.resolve(fault, target, ends);
        servers.retain(|&server| self.servers[server].is_up());
        servers
    }

    /// Both ways between any of the one and any of the other, and how to say it.
    fn between(
        &mut self,
        fault: usize,
        ends: Ends,
        between: &Target,
        and: &Target,
    ) -> Option<(Vec<(Node, Node)>, String)> {
        let (from, to) = self.resolve_ends(fault, ends, between, and);
        let mut both: Vec<(Node, Node)> = ways(&from, &to);
        both.extend(ways(&to, &from));
        both.sort_unstable();
        both.dedup();
        let words = format!("{} – {}", self.names(&from), self.names(&to));
        (!both.is_empty()).then_some((both, words))
    }

    fn names(&self, servers: &[usize]) -> String {
        let names: Vec<String> = servers
            .iter()
            .map(|&server| self.servers[server].id.to_string())
            .collect();
        names.join(" ")
    }

    fn each(
        &mut self,
        servers: &[usize],
        what: &str,
        mut act: impl FnMut(&mut World, usize),
    ) -> Option<String> {
        for &server in servers {
            act(self, server);
        }
        (!servers.is_empty()).then(|| format!("{what} {}", self.names(servers)))
    }

    fn each_client(
        &mut self,
        clients: &[usize],
        what: &str,
        mut act: impl FnMut(&mut World, usize),
    ) -> Option<String> {
        for &client in clients {
            act(self, client);
        }
        let names: Vec<String> = clients
            .iter()
            .map(|client| format!("c{}", client + 1))
            .collect();
        (!clients.is_empty()).then(|| format!("{what} {}", names.join(" ")))
    }

    /// The clients that a fault is about and that live.
    fn pick_clients(&mut self, fault: usize) -> Vec<usize> {
        let named = self.nemesis.clients(fault);
        let places = named.into_iter().map(|client| client as usize - 1);
        places
            .filter(|&client| self.clients.get(client).is_some_and(|c| c.alive))
            .collect()
    }

    // ---- actions of several steps ----

    fn restart_after(&mut self, server: usize, lasts_us: Option<u64>) -> u64 {
        let range = self.plan.climate.restart_us;
        lasts_us.unwrap_or_else(|| self.servers[server].restart_stream.range(range))
    }

    fn partition(
        &mut self,
        fault: usize,
        strike: usize,
        ends: Ends,
        groups: &[Vec<Target>],
    ) -> Option<String> {
        let sight = sight!(self);
        let resolved = self.nemesis.resolve_groups(fault, groups, &sight, ends);
        let sets: Vec<BTreeSet<usize>> = resolved
            .into_iter()
            .map(|group| places(group).into_iter().collect())
            .collect();
        let together = |a, b| sets.iter().any(|set| set.contains(&a) && set.contains(&b));
        let all: BTreeSet<usize> = sets.iter().flatten().copied().collect();
        let mut ways = Vec::new();
        for &a in &all {
            for &b in &all {
                if a != b && !together(a, b) {
                    ways.push((a as Node, b as Node));
                }
            }
        }
        self.block_all(strike, &ways);
        let words: Vec<String> = sets
            .iter()
            .map(|set| self.names(&set.iter().copied().collect::<Vec<_>>()))
            .collect();
        (!ways.is_empty()).then(|| format!("cuts {}", words.join(" | ")))
    }

    fn block_all(&mut self, strike: usize, ways: &[(Node, Node)]) {
        for &(from, to) in ways {
            self.net.block(from, to);
            self.strikes[strike].undo.push(Undo::Unblock(from, to));
        }
    }

    /// The next step of a strike that has several.
    pub(super) fn continue_strike(&mut self, strike: u32, step: u32) {
        let strike = strike as usize;
        if self.strikes[strike].over {
            return;
        }
        match self.plan.faults[self.strikes[strike].fault].action {
            Action::RollingRestart { .. } => self.roll(strike, step),
            Action::Flap { .. } => self.flap(strike),
            _ => unreachable!("a strike of one step"),
        }
    }

    fn roll(&mut self, strike: usize, step: u32) {
        let Action::RollingRestart { gap_us } = self.plan.faults[self.strikes[strike].fault].action
        else {
            unreachable!("no rolling restart");
        };
        let server = step as usize;
        if self.servers[server].is_up() {
            let restart = self.restart_after(server, None);
            self.crash_server(server, Unsynced::Kept, Some(restart));
        }
        if server + 1 < self.servers.len() {
            let (strike, step) = (strike as u32, step + 1);
            self.queue
                .push(self.now.plus(gap_us), Event::Continue { strike, step });
        }
    }

    fn flap(&mut self, strike: usize) {
        let Some(mut flap) = self.strikes[strike].flap.take() else {
            return;
        };
        flap.down = !flap.down;
        for &(from, to) in &flap.ways {
            match flap.down {
                true => self.net.block(from, to),
                false => self.net.unblock(&mut self.queue, self.now, from, to),
            }
        }
        let next = if flap.down { flap.down_us } else { flap.up_us };
        let event = Event::Continue {
            strike: strike as u32,
            step: 0,
        };
        self.queue.push(self.now.plus(next.max(1)), event);
        self.strikes[strike].flap = Some(flap);
    }

    // ---- damage ----

    fn harm(&mut self, fault: usize, ends: Ends, target: &Target, harm: Harm) -> Option<String> {
        let servers = self.resolve(fault, target, ends);
        let words: Vec<String> = servers
            .iter()
            .map(|&server| self.harm_server(fault, server, harm))
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    fn harm_server(&mut self, fault: usize, server: usize, harm: Harm) -> String {
        let id = self.servers[server].id;
        let up = self.servers[server].is_up();
        let quorum = &self.quorum;
        let is_quorum = |set: &BTreeSet<ServerId>| quorum.is_quorum(peers(set.iter().copied()));
        let servers = &self.servers;
        let rotten = |id: ServerId| servers[usize::from(id.0) - 1].disk.is_rotten();
        match self.judge.rule(fault, id, harm, up, &rotten, &is_quorum) {
            Ruling::Refused(refusal) => {
                self.reached("damage-refused");
                format!("{id}: {refusal}")
            }
            Ruling::AtNextCrash => format!("{id}: waits until it is down"),
            Ruling::Strike => {
                self.checks_damaged(server);
                self.damage(fault, server, harm)
            }
        }
    }

    fn damage(&mut self, fault: usize, server: usize, harm: Harm) -> String {
        let id = self.servers[server].id;
        match harm {
            Harm::Wipe => {
                let lasts = self.plan.faults[fault].lasts_us;
                let restart = self.restart_after(server, lasts);
                self.crash_server(server, Unsynced::Lost, Some(restart));
                self.servers[server].disk.wipe();
                self.check_disk_after_crash(server);
                format!("wipes the disk of {id}")
            }
            Harm::Rot => {
                let file = match &self.plan.faults[fault].action {
                    Action::BitRot { file, .. } => file.clone(),
                    _ => None,
                };
                match self.servers[server].disk.rot(file.as_deref()) {
                    Some(flipped) => {
                        if !self.servers[server].is_up() {
                            self.check_disk_after_crash(server);
                        }
                        format!("flips on {id} {flipped}")
                    }
                    None => format!("finds no byte to flip on {id}"),
                }
            }
            Harm::BadRead => {
                self.servers[server].disk.bad_read_next(true);
                self.observed(server, &Observed::BadRead);
                format!("makes a read of {id} lie")
            }
        }
    }

    /// Damage that waited for a server to go down.
    pub(super) fn harm_that_waited(&mut self, server: usize) {
        let id = self.servers[server].id;
        for fault in self.judge.crashed(id) {
            if self.healed {
                continue;
            }
            let harm = match self.plan.faults[fault].action {
                Action::BitRot { .. } => Harm::Rot,
                Action::BadRead { .. } => Harm::BadRead,
                _ => Harm::Wipe,
            };
            let what = self.harm_server(fault, server, harm);
            self.tell_fault(fault, what);
        }
    }

    // ---- clients ----

    /// Opens a second connection for a client's session, at another server.
    fn open_ghost(&mut self, fault: usize, client: usize) {
        let attached = self.clients[client].session.attached_to();
        let others: Vec<ServerId> = self
            .servers
            .iter()
            .map(|server| server.id)
            .filter(|id| Some(*id) != attached)
            .collect();
        let (Some(_), false) = (attached, others.is_empty()) else {
            return;
        };
        let name = xxh3_64(self.plan.faults[fault].label.as_bytes());
        let mut stream = Stream::new(self.seed, "ghost", name);
        let to = Node::from(stream.pick(&others).0) - 1;
        let node = self.client_node(client);
        let link = self
            .net
            .connect(&mut self.queue, self.now, LinkKind::Ghost, node, to);
        let lasts = stream.range((50_000, 2_000_000));
        self.queue
            .push(self.now.plus(lasts), Event::GhostEnd { link });
    }

    /// The second connection is up: it takes the session over, as a client does whose first connection it believes dead.
    pub(super) fn attach_ghost(&mut self, client: usize, link: u32) {
        let session = &self.clients[client].session;
        let request = ConnectRequest {
            last_zxid_seen: session.last_zxid_seen(),
            timeout_ms: session.timeout_ms(),
            session: session.id(),
            password: session.password(),
        };
        if request.session == SessionId::NONE {
            return;
        }
        let item = Item::ToServer(ClientFrame::Connect(request));
        let node = self.client_node(client);
        self.net.send(&mut self.queue, self.now, link, node, item);
    }

    pub(super) fn end_ghost(&mut self, link: u32) {
        let node = self.net.initiator(link);
        self.net.close(&mut self.queue, self.now, link, node);
    }

    // ---- the end of faults ----

    /// Undoes what a strike did, once.
    pub(crate) fn undo(&mut self, strike: usize) {
        if std::mem::replace(&mut self.strikes[strike].over, true) {
            return;
        }
        self.records.unrest.ends(strike, self.now);
        let undo = std::mem::take(&mut self.strikes[strike].undo);
        let flap = self.strikes[strike].flap.take();
        if !undo.is_empty() || flap.is_some() {
            let label = self.plan.faults[self.strikes[strike].fault].label.clone();
            self.record(Place::World, &Entry::Fault(&label, "is over"));
            self.tell("", format!("{label} is over"));
        }
        if let Some(flap) = flap
            && flap.down
        {
            for (from, to) in flap.ways {
                self.net.unblock(&mut self.queue, self.now, from, to);
            }
        }
        for undo in undo {
            self.undo_part(strike, undo);
        }
    }

    fn undo_part(&mut self, strike: usize, undo: Undo) {
        match undo {
            Undo::Unblock(from, to) => self.net.unblock(&mut self.queue, self.now, from, to),
            Undo::Unstall(from, to) => self.net.unstall(&mut self.queue, self.now, from, to),
            Undo::Relieve => self.net.relieve(strike as u32),
            Undo::Resume(server) => self.resume_server(server),
            Undo::ResumeClient(client) => self.resume_client(client),
            Undo::DiskSpeed(server) => self.servers[server].disk.slow(None),
            Undo::DiskSpace(server) => self.servers[server].disk.set_full(false),
            Undo::Drift(server, ppm) => {
                self.servers[server].clock.drift(self.now, ppm);
                self.adjust_timers(server);
            }
            Undo::Stage(server) => {
                for stage in &mut self.servers[server].stages {
                    stage.delays.retain(|(by, _)| *by != strike as u32);
                }
            }
        }
    }

    /// Undoes everything that lasts.
    pub(crate) fn undo_all(&mut self) {
        for strike in 0..self.strikes.len() {
            self.undo(strike);
        }
    }

    fn adjust_timers(&mut self, server: usize) {
        let process = &mut self.servers[server];
        for (slot, timer) in process.timers.iter_mut().enumerate() {
            timer.adjust(&mut self.queue, &process.clock, self.now, |generation| {
                Event::Timer {
                    server: server as u8,
                    timer: slot as u8,
                    generation,
                }
            });
        }
    }
}

/// The ways from each of the one to each of the other.
fn ways(from: &[usize], to: &[usize]) -> Vec<(Node, Node)> {
    let mut ways = Vec::new();
    for &a in from {
        for &b in to {
            if a != b {
                ways.push((a as Node, b as Node));
            }
        }
    }
    ways
}

/// Servers as their peers call them.
pub(crate) fn peers(ids: impl Iterator<Item = ServerId>) -> zab::PeerSet {
    ids.map(|id| zab::PeerId(id.0)).collect()
}

/// Servers' places in the world's list.
fn places(ids: Vec<ServerId>) -> Vec<usize> {
    ids.into_iter().map(|id| usize::from(id.0) - 1).collect()
}
