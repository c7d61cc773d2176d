//! Faults in the world: when they strike, what was done is told, and how it is undone. What each action does stands by
//! subject in the modules below.
//!
//! Each time that a fault strikes is a *strike* with a number of its own. Whatever lasts is kept by that number (or counted),
//! so that of two faults that overlap each takes back its own part alone, in whatever order they end. Once the world has
//! healed nothing may be left of any: [`World::assert_healed`].

mod clients;
mod clock;
mod disk;
mod network;
mod process;
mod targets;
#[cfg(test)]
mod tests;

use super::World;
use crate::judge::Harm;
use crate::nemesis::{Ends, RANDOM_PREFIX, RETRY_US};
use crate::net::Node;
use crate::plan::{Action, Fault};
use crate::queue::Event;
use crate::trace::{Entry, Place};
use network::Flap;
use zabsim_types::run::{FaultRecord, RefusalRecord, Topic};

/// A fault that has struck.
#[derive(Debug)]
pub(crate) struct Strike {
    fault: usize,
    undo: Vec<Undo>,
    flap: Option<Flap>,
    over: bool,
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
    Ghost(u32),
    DiskSpeed(usize),
    DiskSpace(usize),
    Drift(usize),
    Stage(usize),
}

/// What a fault does once: by its place in the plan, the strike's number, the ends of the event that it waited for.
#[derive(Clone, Copy, Debug)]
struct Blow {
    fault: usize,
    strike: usize,
    ends: Ends,
}

/// What came of a blow, in words.
#[derive(Debug, Default)]
struct Deeds {
    /// What was done.
    did: Vec<String>,
    /// What is yet to come: damage that waits for a server to go down.
    waits: Vec<String>,
    /// What was not done, and why.
    refused: Vec<String>,
}

impl Deeds {
    fn did(what: String) -> Deeds {
        Deeds {
            did: vec![what],
            ..Deeds::default()
        }
    }

    fn join(mut self, more: Deeds) -> Deeds {
        self.did.extend(more.did);
        self.waits.extend(more.waits);
        self.refused.extend(more.refused);
        self
    }

    /// All of it, for a test that asked for it.
    fn words(&self) -> String {
        let refused = self.refused.iter().map(|why| format!("not done: {why}"));
        let all: Vec<String> = self.did.iter().chain(&self.waits).cloned().collect();
        all.into_iter()
            .chain(refused)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl World {
    /// A fault strikes; where there is nobody to strike, it tries again.
    pub(crate) fn strike(&mut self, fault: usize, ends: Ends) {
        if !self.healed && self.strike_once(fault, ends).is_none() {
            self.waits_since.entry(fault).or_insert(self.now);
            let fault = fault as u32;
            self.queue
                .push(self.now.plus(RETRY_US), Event::Strike { fault });
        }
    }

    /// A fault strikes; what came of it, in words. `None` where it found nobody to strike.
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
        let blow = Blow {
            fault,
            strike,
            ends,
        };
        let line = self.records.timeline.len();
        let Some(deeds) = self.act(blow, &action) else {
            self.strikes.pop();
            return None;
        };
        if !matches!(action, Action::Mark | Action::Heal) {
            let Strike { undo, flap, .. } = &self.strikes[strike];
            let lasts = !undo.is_empty() || flap.is_some();
            self.records.unrest.begins(strike, self.now, lasts);
        }
        self.tell_deeds(fault, &deeds, line);
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
        Some(deeds.words())
    }

    /// Writes down what came of a fault. In the timeline it stands at `line`, before what followed from it at the same time.
    fn tell_deeds(&mut self, fault: usize, deeds: &Deeds, line: usize) {
        let kind = self.plan.faults[fault].kind();
        let label = self.plan.faults[fault].label.clone();
        let waited = match self.waits_since.remove(&fault) {
            Some(since) => format!(" (it had waited for a target since {since})"),
            None => String::new(),
        };
        let mut lines = Vec::new();
        if !deeds.did.is_empty() {
            let what = deeds.did.join("; ");
            // A mark is a point of the script with a name, and no fault.
            let is_mark = matches!(self.plan.faults[fault].action, Action::Mark);
            let topic = if is_mark { Topic::Mark } else { Topic::Fault };
            lines.push((topic, format!("{label}: {what}{waited}")));
            self.done.insert(fault);
            if !is_mark {
                self.records.faults.push(FaultRecord {
                    at_ms: self.now.as_ms(),
                    kind: kind.to_string(),
                    what,
                });
            }
        }
        for what in &deeds.waits {
            lines.push((Topic::Fault, format!("{label}: {what}{waited}")));
        }
        for why in &deeds.refused {
            lines.push((Topic::Refused, format!("{label} is not done: {why}")));
            self.records.refused.push(RefusalRecord {
                at_ms: self.now.as_ms(),
                fault: label.clone(),
                kind: kind.to_string(),
                reason: why.clone(),
            });
        }
        self.trace.record(
            self.now,
            Place::World,
            &Entry::Fault(&label, &deeds.words()),
        );
        for (topic, what) in lines.into_iter().rev() {
            self.tell(topic, "", what);
            self.records.timeline[line..].rotate_right(1);
        }
    }

    /// Does what a fault does. `None` where it found nobody to strike.
    fn act(&mut self, blow: Blow, action: &Action) -> Option<Deeds> {
        let did = match action {
            Action::Crash {
                target,
                after_effects,
                unsynced,
            } => self.crash(blow, target, *after_effects, *unsynced),
            Action::Restart { target } => self.restart(blow, target),
            Action::Pause { target } => self.pause(blow, target),
            Action::RollingRestart { gap_us } => {
                self.roll(blow.strike, 0);
                Some(format!("restarts all, {} ms apart", gap_us / 1_000))
            }
            Action::Partition { groups } => self.partition(blow, groups),
            Action::OneWay { from, to } => self.one_way(blow, from, to),
            Action::Flap {
                between,
                and,
                down_us,
                up_us,
            } => self.flap(blow, (between, and), (*down_us, *up_us)),
            Action::Reset {
                between,
                and,
                half_open,
            } => self.reset(blow, between, and, *half_open),
            Action::Delay {
                between,
                and,
                extra_us,
            } => self.delay(blow, between, and, *extra_us),
            Action::Stall { between, and } => self.stall(blow, between, and),
            Action::Bandwidth {
                between,
                and,
                bytes_per_s,
            } => self.limit(blow, between, and, *bytes_per_s),
            Action::ElectionLoss {
                lost_per_mille,
                repeated_per_mille,
            } => self.lose_votes(blow, *lost_per_mille, *repeated_per_mille),
            Action::SlowDisk { target, extra_us } => self.slow_disk(blow, target, *extra_us),
            Action::FsyncError { target } => self.fail_fsync(blow, target),
            Action::DiskFull { target } => self.fill_disk(blow, target),
            Action::Wipe { target } => return self.harm(blow, target, Harm::Wipe),
            Action::BitRot { target, .. } => return self.harm(blow, target, Harm::Rot),
            Action::BadRead { target } => return self.harm(blow, target, Harm::BadRead),
            Action::ClockJump { target, by_us } => self.clock_jump(blow, target, *by_us),
            Action::ClockDrift { target, ppm } => self.clock_drift(blow, target, *ppm),
            Action::SlowStage {
                target,
                stage,
                extra_us,
            } => self.slow_stage(blow, target, stage, *extra_us),
            Action::ClientCrash { .. } => self.kill_clients(blow),
            Action::ClientPause { .. } => self.pause_clients(blow),
            Action::ClientMove { to, .. } => self.move_clients(blow, to.as_ref()),
            Action::ClientCut { .. } => self.cut_clients(blow),
            Action::ClientDuplicate { .. } => self.duplicate_clients(blow),
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
        };
        did.map(Deeds::did)
    }

    /// The next step of a strike that has several.
    pub(super) fn continue_strike(&mut self, strike: u32, step: u32) {
        let strike = strike as usize;
        if self.strikes[strike].over {
            return;
        }
        match self.plan.faults[self.strikes[strike].fault].action {
            Action::RollingRestart { .. } => self.roll(strike, step),
            Action::Flap { .. } => self.flap_once(strike),
            _ => unreachable!("a strike of one step"),
        }
    }

    // ---- the end of faults ----

    fn undo_later(&mut self, blow: Blow, undo: Undo) {
        self.strikes[blow.strike].undo.push(undo);
    }

    /// Undoes what a strike did, once.
    pub(crate) fn undo(&mut self, strike: usize) {
        if std::mem::replace(&mut self.strikes[strike].over, true) {
            return;
        }
        self.records.unrest.ends(strike, self.now);
        let undo = std::mem::take(&mut self.strikes[strike].undo);
        let flap = self.strikes[strike].flap.take();
        let lasts = |undo: &Undo| !matches!(undo, Undo::Ghost(_));
        if undo.iter().any(lasts) || flap.is_some() {
            let label = self.plan.faults[self.strikes[strike].fault].label.clone();
            self.record(Place::World, &Entry::Fault(&label, "is over"));
            self.tell(Topic::FaultOver, "", format!("{label} is over"));
        }
        if let Some(flap) = flap {
            self.end_flap(flap);
        }
        for undo in undo {
            self.undo_part(strike as u32, undo);
        }
    }

    fn undo_part(&mut self, strike: u32, undo: Undo) {
        match undo {
            Undo::Unblock(from, to) => self.net.unblock(&mut self.queue, self.now, from, to),
            Undo::Unstall(from, to) => self.net.unstall(&mut self.queue, self.now, from, to),
            Undo::Relieve => self.net.relieve(strike),
            Undo::Resume(server) => self.resume_server(server),
            Undo::ResumeClient(client) => self.resume_client(client),
            Undo::Ghost(link) => self.end_ghost(link),
            Undo::DiskSpeed(server) => self.servers[server].disk.quicken(strike),
            Undo::DiskSpace(server) => self.servers[server].disk.empty(strike),
            Undo::Drift(server) => {
                self.servers[server].clock.steady(self.now, strike);
                self.adjust_timers(server);
            }
            Undo::Stage(server) => {
                for stage in &mut self.servers[server].stages {
                    stage.delays.retain(|(by, _)| *by != strike);
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

    /// What faults have left behind, in words: nothing, once the world has healed.
    pub(crate) fn left_by_faults(&self) -> Vec<String> {
        let mut left = self.net.left_by_faults();
        for server in self.servers.iter().filter(|server| !server.stays_broken) {
            let id = server.id;
            if server.paused > 0 {
                left.push(format!("{id} is paused"));
            }
            if server.crash.is_some() {
                left.push(format!("{id} is about to crash"));
            }
            if server.stages.iter().any(|stage| !stage.delays.is_empty()) {
                left.push(format!("a stage of {id} is slow"));
            }
            if server.clock.drifts() {
                left.push(format!("the clock of {id} drifts"));
            }
            if let Some(what) = server.disk.left_by_faults() {
                left.push(format!("the disk of {id} {what}"));
            }
        }
        for client in self.clients.iter().filter(|client| client.paused > 0) {
            left.push(format!("c{} is paused", client.id.0));
        }
        left
    }

    /// A fault that outlives its end would spoil the liveness phase, and be taken for a bug of the ensemble.
    pub(crate) fn assert_healed(&self) {
        let left = self.left_by_faults();
        assert!(left.is_empty(), "healed, but {}", left.join(", "));
    }

    // ---- faults that never came about ----

    /// Tells of the faults that found nobody to strike, and of the damage that never found its server down.
    pub(crate) fn tell_of_missed_faults(&mut self) {
        for (fault, since) in std::mem::take(&mut self.waits_since) {
            let label = &self.plan.faults[fault].label;
            let what = format!("{label} never found a target: it waited since {since}");
            self.tell(Topic::Fault, "", what);
        }
        for (server, fault) in self.judge.waiting() {
            let label = &self.plan.faults[fault].label;
            let what = format!("{label} did not come about: {server} never went down");
            self.tell(Topic::Fault, "", what);
        }
    }

    /// The scripted faults that never came about.
    pub(crate) fn untriggered(&self) -> Vec<String> {
        let mut labels = self.nemesis.untriggered();
        for (_, fault) in self.judge.waiting() {
            let label = &self.plan.faults[fault].label;
            let known = self.done.contains(&fault) || labels.contains(label);
            if !known && !label.starts_with(RANDOM_PREFIX) {
                labels.push(label.clone());
            }
        }
        labels
    }
}
