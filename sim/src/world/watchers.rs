//! Who looks on: the nemesis, for the events that faults wait for, and the checks, for everything.

use super::{World, sight};
use crate::checks::Observed;
use crate::judge::Harm;
use crate::nemesis::{
    EventKind, ProtocolEvent, disk_event, note_name, note_peer, service_note_name,
};
use crate::net::Node;
use crate::wall;
use zabsim_server::Effect;
use zabsim_types::ServerId;

impl World {
    // ---- the nemesis ----

    /// A server is about to take in an input: faults may wait for it.
    pub(super) fn triggered_by_input(&mut self, server: usize, input: &zab::Input) {
        match input {
            zab::Input::Message { link, message } => {
                let peer = self.net.other_end(link.0 as u32, server as Node);
                let kind = EventKind::Receive(message.name());
                self.triggered(server, Some(ServerId(peer as u8 + 1)), kind);
            }
            zab::Input::Notification { from, .. } => {
                let kind = EventKind::Receive("NOTIFICATION");
                self.triggered(server, Some(ServerId(from.0)), kind);
            }
            _ => {}
        }
    }

    /// A server's effect is about to be carried out: faults may wait for it.
    pub(super) fn triggered_by_effect(&mut self, server: usize, effect: &Effect) {
        let (peer, kind) = match effect {
            Effect::Zab(zab::Effect::Send { link, message }) => {
                let peer = self.net.other_end(link.0 as u32, server as Node);
                let kind = EventKind::Send(message.name());
                (Some(ServerId(peer as u8 + 1)), kind)
            }
            Effect::Zab(zab::Effect::Notify { to, .. }) => {
                (Some(ServerId(to.0)), EventKind::Send("NOTIFICATION"))
            }
            Effect::Zab(zab::Effect::Disk(op)) => {
                let (op, file) = disk_event(op);
                (None, EventKind::Disk { op, file })
            }
            Effect::Zab(zab::Effect::Note(note)) => {
                (note_peer(note), EventKind::Note(note_name(note)))
            }
            Effect::Note(note) => (None, EventKind::Note(service_note_name(note))),
            _ => return,
        };
        self.triggered(server, peer, kind);
    }

    /// A client got an answer: faults may wait for it.
    pub(super) fn triggered_by_reply(&mut self, client: usize, server: ServerId) {
        if self.nemesis.interested() {
            let client = client as u32 + 1;
            let place = usize::from(server.0) - 1;
            self.triggered(place, None, EventKind::Reply { client });
        }
    }

    fn triggered(&mut self, server: usize, peer: Option<ServerId>, kind: EventKind<'_>) {
        let event = ProtocolEvent {
            at: self.now,
            server: self.servers[server].id,
            peer,
            kind,
        };
        let sight = sight!(self);
        let faults = self.nemesis.observe(&event, &sight);
        let ends = event.ends();
        for fault in faults {
            self.strike(fault, ends);
        }
    }

    // ---- the checks ----

    /// Shows the checks something; a violation ends the run after the event under way. Now and then the time that they take is measured: never inside the trace.
    #[inline]
    pub(super) fn observed(&mut self, server: usize, observed: &Observed<'_>) {
        let id = self.servers[server].id;
        self.observations += 1;
        if self.observations.is_multiple_of(SAMPLE) {
            let start = wall::now();
            self.checks.observe(self.now, id, observed);
            self.sampled_ns += (start.elapsed().as_nanos() as u64).min(SAMPLE_NS_MAX);
        } else {
            self.checks.observe(self.now, id, observed);
        }
        self.violated |= self.checks.is_violated();
    }

    pub(super) fn check_effect(&mut self, server: usize, effect: &Effect) {
        match effect {
            Effect::Zab(zab::Effect::Send { link, message }) => {
                let to = self.net.other_end(link.0 as u32, server as Node);
                let to = ServerId(to as u8 + 1);
                self.observed(server, &Observed::Sent { to, message });
            }
            Effect::Zab(zab::Effect::Disk(op)) => self.observed(server, &Observed::Disk(op)),
            Effect::Zab(zab::Effect::Note(note)) => self.observed(server, &Observed::Zab(note)),
            Effect::Zab(zab::Effect::Fatal { reason }) => {
                self.observed(server, &Observed::Fatal(reason));
            }
            Effect::Zab(zab::Effect::RoleChanged(role)) => {
                self.observed(server, &Observed::Role(role));
                let start = wall::now();
                let process = &mut self.servers[server];
                self.checks
                    .at_role_change(self.now, process.id, process.disk.durable());
                self.full_checks_ns += start.elapsed().as_nanos() as u64;
                self.violated |= self.checks.is_violated();
            }
            Effect::Note(note) => self.observed(server, &Observed::Service(note)),
            _ => {}
        }
    }

    pub(super) fn check_completion(&mut self, server: usize, input: &zab::Input) {
        match input {
            zab::Input::DiskDone { ticket } => {
                self.observed(server, &Observed::DiskDone(*ticket));
            }
            zab::Input::DiskFailed { .. } => self.observed(server, &Observed::DiskFailed),
            _ => {}
        }
    }

    /// A restart right now would read these files.
    pub(super) fn check_disk_after_crash(&mut self, server: usize) {
        let start = wall::now();
        let process = &mut self.servers[server];
        self.checks
            .at_crash(self.now, process.id, process.disk.durable());
        self.full_checks_ns += start.elapsed().as_nanos() as u64;
        self.violated |= self.checks.is_violated();
    }

    /// Durable data of a server is about to be destroyed.
    pub(super) fn checks_damaged(&mut self, server: usize, harm: Harm) {
        self.servers[server].damaged = true;
        self.observed(server, &Observed::Damaged(harm));
    }

    /// A leader has brought a server up to date. It may speak of a life before the damage, whose last word was still on its way:
    /// a disk that was wiped is whole again once it is marked as fit to vote.
    pub(super) fn brought_up_to_date(&mut self, server: usize) {
        let process = &mut self.servers[server];
        let marked = process
            .disk
            .durable()
            .contains_key(&zab::FileName::Initialized);
        if process.damaged && marked && !process.disk.is_rotten() {
            process.damaged = false;
            self.observed(server, &Observed::Resynchronized);
        }
    }

    /// Nanoseconds that the step checks took, from the samples.
    pub(crate) fn checks_ns(&self) -> u64 {
        self.sampled_ns * SAMPLE + self.full_checks_ns
    }
}

/// One observation of so many is measured.
const SAMPLE: u64 = 64;

/// Whoever was looked at for longer was not working but waiting for a processor, and would count 64 times.
const SAMPLE_NS_MAX: u64 = 50_000;
