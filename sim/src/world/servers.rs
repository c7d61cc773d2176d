//! Servers in the world: inputs go in, effects are carried out one by one; starts, crashes, pauses.

use super::World;
use crate::checks::Observed;
use crate::net::{Arrival, Datagram, Death, Item, LinkKind};
use crate::plan::Unsynced;
use crate::process::{PendingCrash, TIMERS, Waiting, stage_slot, timer_slot};
use crate::queue::Event;
use crate::trace::{Entry, Place};
use std::collections::VecDeque;
use zab::{Note, PeerId};
use zabsim_server::{ConnId, Effect, Input};
use zabsim_types::ServerId;
use zabsim_types::run::Topic;

impl World {
    /// Starts a process that is down.
    pub(crate) fn start_server(&mut self, server: usize) {
        let process = &mut self.servers[server];
        assert!(!process.is_up(), "{} runs already", process.id);
        process.machine = Some(self.software.start(&process.config));
        process.fatal = None;
        process.start_at = None;
        let id = process.id;
        self.record(Place::Server(id.0), &Entry::Process("starts"));
        self.observed(server, &Observed::Booted);
        self.server_input(server, Input::Zab(zab::Input::Boot));
    }

    /// Puts an input into a server: now, or once it is no longer paused.
    pub(crate) fn server_input(&mut self, server: usize, input: Input) {
        let process = &mut self.servers[server];
        if process.machine.is_none() {
            return;
        }
        if process.paused > 0 {
            process.inbox.push_back(Waiting::Input(input));
            return;
        }
        self.step_server(server, input);
    }

    pub(super) fn server_timer(&mut self, server: usize, slot: u8, generation: u32) {
        let process = &mut self.servers[server];
        if process.paused > 0 {
            process.inbox.push_back(Waiting::Timer { slot, generation });
            return;
        }
        let event = |generation| Event::Timer {
            server: server as u8,
            timer: slot,
            generation,
        };
        let timer = &mut process.timers[usize::from(slot)];
        if timer.fires(&mut self.queue, &process.clock, self.now, generation, event) {
            self.server_input(server, Input::Timer(TIMERS[usize::from(slot)]));
        }
    }

    fn step_server(&mut self, server: usize, input: Input) {
        let place = Place::Server(self.servers[server].id.0);
        self.record(place, &Entry::ServerInput(&input));
        let stepping = self.stepping.replace(server);
        if self.nemesis.interested()
            && let Input::Zab(input) = &input
        {
            self.triggered_by_input(server, input);
        }
        let mut effects = std::mem::take(&mut self.server_effects);
        let process = &mut self.servers[server];
        let local = zab::Time(process.clock.read(self.now));
        if let Some(machine) = process.machine.as_mut() {
            machine.step(local, input, &mut effects);
        }
        self.carry_out_all(server, effects.drain(..));
        self.server_effects = effects;
        self.stepping = stepping;
    }

    /// Carries effects out in order; between any two the process may die or be paused.
    fn carry_out_all(&mut self, server: usize, mut effects: impl Iterator<Item = Effect>) {
        let incarnation = self.servers[server].incarnation;
        loop {
            if let Some(crash) = self.servers[server].crash
                && crash.after_effects == 0
            {
                self.crash_server(server, crash.unsynced, crash.restart_after_us);
                return;
            }
            if self.servers[server].incarnation != incarnation {
                return;
            }
            if self.servers[server].paused > 0 {
                self.servers[server].suspended.extend(effects);
                return;
            }
            let Some(effect) = effects.next() else {
                break;
            };
            let pending = self.servers[server].crash.is_some();
            self.carry_out(server, effect);
            if pending && let Some(crash) = &mut self.servers[server].crash {
                crash.after_effects -= 1;
            }
        }
        if let Some(crash) = self.servers[server].crash {
            self.crash_server(server, crash.unsynced, crash.restart_after_us);
        }
    }

    fn carry_out(&mut self, server: usize, effect: Effect) {
        let id = self.servers[server].id;
        self.record(Place::Server(id.0), &Entry::ServerEffect(&effect));
        if self.nemesis.interested() {
            self.triggered_by_effect(server, &effect);
        }
        self.check_effect(server, &effect);
        match effect {
            Effect::Zab(effect) => self.carry_out_zab(server, effect),
            Effect::SetTimer { timer, at } => {
                let slot = timer_slot(timer);
                let process = &mut self.servers[server];
                process.timers[slot].set(
                    &mut self.queue,
                    &process.clock,
                    self.now,
                    at.0,
                    |generation| Event::Timer {
                        server: server as u8,
                        timer: slot as u8,
                        generation,
                    },
                );
            }
            Effect::Schedule(stage) => {
                let process = &mut self.servers[server];
                let slot = &mut process.stages[stage_slot(stage)];
                let mut delay = slot.stream.range(self.plan.climate.stage_us);
                for (_, extra) in &slot.delays {
                    delay += slot.stream.range(*extra);
                }
                let event = Event::Stage {
                    server: server as u8,
                    stage: stage_slot(stage) as u8,
                    incarnation: process.incarnation,
                };
                self.queue.push(self.now.plus(delay), event);
            }
            Effect::Frame { conn, frame } => {
                let (link, node) = (conn.0 as u32, server as u32);
                self.net
                    .send(&mut self.queue, self.now, link, node, Item::ToClient(frame));
            }
            Effect::CloseClient { conn } => {
                self.net
                    .close_gently(&mut self.queue, self.now, conn.0 as u32, server as u32);
            }
            Effect::Note(note) => self.service_note(server, &note),
        }
    }

    fn carry_out_zab(&mut self, server: usize, effect: zab::Effect) {
        let (now, node) = (self.now, server as u32);
        match effect {
            zab::Effect::Notify { to, notification } => {
                let datagram = Datagram {
                    from: node,
                    to: node_of(to),
                    notification,
                };
                self.net.notify(&mut self.queue, now, datagram);
            }
            zab::Effect::Connect { peer } => {
                let to = node_of(peer);
                self.net
                    .connect(&mut self.queue, now, LinkKind::Zab, node, to);
            }
            zab::Effect::Send { link, message } => {
                let item = Item::Zab(message);
                self.net
                    .send(&mut self.queue, now, link.0 as u32, node, item);
            }
            zab::Effect::CloseLink { link } => {
                self.net.close(&mut self.queue, now, link.0 as u32, node);
            }
            zab::Effect::Disk(op) => {
                let process = &mut self.servers[server];
                if let Some(due) = process.disk.submit(now, op, &self.plan.climate) {
                    let event = Event::Disk {
                        server: server as u8,
                        incarnation: process.incarnation,
                    };
                    self.queue.push(due, event);
                }
            }
            zab::Effect::RoleChanged(role) => self.role_changed(server, role),
            zab::Effect::Fatal { reason } => self.server_stopped(server, reason),
            zab::Effect::Note(note) => self.zab_note(server, &note),
            zab::Effect::SetTimer { .. }
            | zab::Effect::Deliver { .. }
            | zab::Effect::SyncDone { .. }
            | zab::Effect::SyncLost { .. }
            | zab::Effect::Restore { .. }
            | zab::Effect::BeginSnapshot { .. }
            | zab::Effect::AbandonSnapshot { .. }
            | zab::Effect::RequestReceived { .. }
            | zab::Effect::FromLearner { .. }
            | zab::Effect::FromLeader { .. } => {
                unreachable!("the server keeps its peer's application effects to itself")
            }
        }
    }

    pub(super) fn arrive_at_server(&mut self, arrival: Arrival) {
        let server = arrival.to as usize;
        let link = zab::LinkId(u64::from(arrival.link));
        let conn = ConnId(u64::from(arrival.link));
        let peer = || PeerId(arrival.from as u8 + 1);
        let input = match (arrival.kind, arrival.item) {
            (LinkKind::Zab, item) => Input::Zab(match item {
                Item::Syn => zab::Input::LinkOpened {
                    link,
                    peer: peer(),
                    outgoing: false,
                },
                Item::Accepted => zab::Input::LinkOpened {
                    link,
                    peer: peer(),
                    outgoing: true,
                },
                Item::Refused => zab::Input::ConnectFailed { peer: peer() },
                Item::Zab(message) => zab::Input::Message { link, message },
                Item::Broken => zab::Input::LinkBroken { link },
                Item::ToServer(_) | Item::ToClient(_) => {
                    unreachable!("a client's frame between servers")
                }
            }),
            (_, Item::Syn) => Input::ClientOpened { conn },
            (_, Item::ToServer(frame)) => Input::ClientFrame { conn, frame },
            (_, Item::Broken) => Input::ClientClosed { conn },
            (_, item) => unreachable!("{item:?} at the server's end of a client's connection"),
        };
        self.server_input(server, input);
    }

    fn role_changed(&mut self, server: usize, role: zab::Role) {
        let process = &mut self.servers[server];
        let (id, before) = (process.id, process.role);
        process.role = role;
        if role.state != zab::PeerState::Leading {
            process.established = None;
            process.synchronizing.clear();
        }
        if role.phase == zab::Phase::Broadcast {
            process.failed_starts = 0;
        }
        // Whoever gave up a role has said so at this moment, and why.
        let said = self.records.timeline.last().is_some_and(|line| {
            line.at == self.now && line.topic == Topic::Role && line.who == id.to_string()
        });
        let said = said && role.state == zab::PeerState::Looking;
        if role.state != before.state && !said {
            let what = match (role.state, role.leader) {
                (zab::PeerState::Looking, _) => "looks for a leader".to_string(),
                (zab::PeerState::Leading, _) => "is elected".to_string(),
                (zab::PeerState::Following, Some(leader)) => format!("follows {leader}"),
                (zab::PeerState::Observing, Some(leader)) => format!("observes {leader}"),
                (state, None) => format!("{state:?}"),
            };
            self.tell(Topic::Role, id, what);
        }
    }

    /// From now on others vote.
    fn electorate_changed(&mut self, by: ServerId, note: &Note) {
        self.voters = self.electorate.voters();
        let voters = &self.voters;
        let ids = self.servers.iter().map(|server| server.id);
        self.others = ids.filter(|id| !voters.contains(id)).collect();
        let what = match note {
            Note::ConfigurationPending(config) => format!("proposes the configuration {config}"),
            Note::ConfigurationActive(config) => format!("activates the configuration {config}"),
            _ => format!(
                "goes on without what was pending, by {}",
                self.electorate.active()
            ),
        };
        self.tell(Topic::Leader, by, what);
    }

    fn zab_note(&mut self, server: usize, note: &Note) {
        let id = self.servers[server].id;
        self.judge.observe(id, note);
        if self.electorate.observe(note) {
            self.electorate_changed(id, note);
        }
        if self.servers[server].role.state == zab::PeerState::Leading {
            // The checks have seen the note before.
            for (txn, decoded) in self.checks.decoded() {
                self.log.know(&txn, decoded);
            }
            self.log.observe(note);
        }
        match note {
            Note::Established { epoch, .. } => {
                self.servers[server].established = Some(*epoch);
                self.brought_up_to_date(server);
                self.records.elections += 1;
                self.tell(Topic::Leader, id, format!("leads epoch {epoch}"));
            }
            Note::SyncChosen {
                learner,
                kind,
                source,
                ..
            } => {
                let name = match kind {
                    zab::SyncKind::EmptyDiff => "sync-empty-diff",
                    zab::SyncKind::Diff => "sync-diff",
                    zab::SyncKind::Trunc => "sync-trunc",
                    zab::SyncKind::TruncDiff => "sync-trunc-diff",
                    zab::SyncKind::Snap => "sync-snap",
                };
                self.reached(name);
                if *source == zab::SyncSource::DiskLog {
                    self.reached("sync-diff-from-disk");
                }
                self.servers[server]
                    .synchronizing
                    .insert(ServerId(learner.0));
                self.tell(
                    Topic::Recovery,
                    ServerId(learner.0),
                    format!("is brought up to date by {id}: {}", &name[5..]),
                );
            }
            Note::LearnerUpToDate { learner } => {
                self.servers[server]
                    .synchronizing
                    .remove(&ServerId(learner.0));
                self.brought_up_to_date(usize::from(learner.0) - 1);
            }
            Note::SteppedDown { reason } => {
                let what = match self.servers[server].role.state {
                    zab::PeerState::Leading => "steps down",
                    _ => "looks for a leader again",
                };
                self.tell(Topic::Role, id, format!("{what}: {reason}"));
            }
            Note::Truncated { to } => {
                self.tell(Topic::Recovery, id, format!("cuts its log to {to}"));
            }
            Note::Recovered {
                last, torn_bytes, ..
            } => {
                let torn = match torn_bytes {
                    0 => String::new(),
                    bytes => format!(", {bytes} torn bytes cut off"),
                };
                self.tell(
                    Topic::Recovery,
                    id,
                    format!("has read its disk, up to {last}{torn}"),
                );
            }
            Note::SnapshotInstalled { .. } => self.reached("snapshot-installed"),
            Note::SnapshotTaken { .. } => self.reached("snapshot-taken"),
            Note::Mark("blank-ready") => {
                self.reached("blank-ready");
                self.brought_up_to_date(server);
            }
            Note::Mark(name) => self.reached(name),
            _ => {}
        }
    }

    fn service_note(&mut self, server: usize, note: &zabsim_server::Note) {
        let id = self.servers[server].id;
        match note {
            zabsim_server::Note::Applied { zxid, .. } | zabsim_server::Note::Restored { zxid } => {
                self.servers[server].applied = *zxid;
            }
            zabsim_server::Note::SessionExpiring { session } => {
                self.reached("session-expired");
                self.tell(Topic::Session, id, format!("expires session {session}"));
            }
            zabsim_server::Note::RefusedFromFuture { .. } => self.reached("refused-from-future"),
            zabsim_server::Note::SessionMoved { .. } => self.reached("session-moved"),
            zabsim_server::Note::Mark(name) => self.reached(name),
        }
    }

    /// Counts a mark.
    pub(crate) fn reached(&mut self, mark: &'static str) {
        *self.records.reached.entry(mark).or_default() += 1;
    }

    /// A server stopped by its own decision; its supervisor starts it again, later each time that it fails.
    fn server_stopped(&mut self, server: usize, reason: String) {
        let process = &mut self.servers[server];
        let id = process.id;
        process.failed_starts += 1;
        let restart = process
            .restart_stream
            .range(self.plan.climate.restart_us)
            .max(1_000);
        let wait = restart << process.failed_starts.min(8);
        self.tell(Topic::Process, id, format!("stops: {reason}"));
        self.reached("fatal");
        self.judge.fatal(id);
        self.servers[server].fatal = Some(reason);
        self.crash_server(server, Unsynced::Kept, Some(wait));
        if self.healed {
            self.replace_bad_disk(server);
        }
    }

    /// Kills a process. `Unsynced::Kept`: it alone dies; else its machine with it.
    pub(crate) fn crash_server(
        &mut self,
        server: usize,
        unsynced: Unsynced,
        restart_after_us: Option<u64>,
    ) {
        let process = &mut self.servers[server];
        if !process.is_up() {
            return;
        }
        let id = process.id;
        process.end_life();
        let report = process.disk.crash(unsynced);
        let death = match unsynced {
            Unsynced::Kept => Death::Process,
            _ => Death::Machine,
        };
        self.net
            .die(&mut self.queue, self.now, server as u32, death);
        self.record(Place::Server(id.0), &Entry::Process("dies"));
        self.tell(Topic::Death, id, format!("dies; {report}"));
        self.observed(server, &Observed::Crashed);
        self.check_disk_after_crash(server);
        if let Some(after) = restart_after_us {
            self.start_server_at(server, after);
        }
        self.harm_that_waited(server);
    }

    /// Has a process that is down started after a while.
    pub(crate) fn start_server_at(&mut self, server: usize, after_us: u64) {
        let at = self.now.plus(after_us);
        let process = &mut self.servers[server];
        process.start_at = Some(at);
        let event = Event::Start {
            server: server as u8,
            incarnation: process.incarnation,
        };
        self.queue.push(at, event);
    }

    /// Has a process die once so many further effects of its step under way are carried out.
    pub(crate) fn crash_after(&mut self, server: usize, crash: PendingCrash) {
        self.servers[server].crash = Some(crash);
    }

    /// Stops a process without killing it.
    pub(crate) fn pause_server(&mut self, server: usize) {
        self.servers[server].paused += 1;
        let id = self.servers[server].id;
        self.record(Place::Server(id.0), &Entry::Process("pauses"));
    }

    /// Lets a process go on: first the effects of the step in which it was stopped, then what came in meanwhile.
    pub(crate) fn resume_server(&mut self, server: usize) {
        let process = &mut self.servers[server];
        assert!(process.paused > 0, "{} is not paused", process.id);
        process.paused -= 1;
        let id = process.id;
        self.record(Place::Server(id.0), &Entry::Process("resumes"));
        let suspended: VecDeque<Effect> = std::mem::take(&mut self.servers[server].suspended);
        self.carry_out_all(server, suspended.into_iter());
        while self.servers[server].paused == 0 {
            match self.servers[server].inbox.pop_front() {
                Some(Waiting::Input(input)) => self.server_input(server, input),
                Some(Waiting::Timer { slot, generation }) => {
                    self.server_timer(server, slot, generation);
                }
                None => break,
            }
        }
    }
}

/// The node of a server.
pub(super) fn node_of(peer: PeerId) -> u32 {
    u32::from(peer.0) - 1
}
