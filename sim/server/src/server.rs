//! One server process: the peer, the service, and the loop that feeds one to the other until both are quiet.
//!
//! Effects leave in the order in which they arose, the service's among the peer's: a crash between any two of them is a
//! crash between two things that a real process does one after the other.

use crate::prep::Ensemble;
use crate::service::{Out, Service};
use crate::{Config, Effect, Input, Timer};
use std::collections::VecDeque;
use zab::{Peer, Role, Time};
use zabsim_types::Zxid;

/// A server of the ensemble: see the crate's documentation for the contract with its driver.
pub struct Server {
    peer: Peer,
    service: Service,
    /// Inputs for the peer that are not given yet; empty between steps.
    inputs: VecDeque<zab::Input>,
    /// The peer's effects of one step of its own; empty between steps, kept for its capacity.
    peer_effects: Vec<zab::Effect>,
}

impl Server {
    /// A server that has not started: its first input is `Input::Zab(zab::Input::Boot)`.
    pub fn new(config: Config) -> Server {
        Server {
            peer: Peer::new(config.zab.clone()),
            service: Service::new(config),
            inputs: VecDeque::new(),
            peer_effects: Vec::new(),
        }
    }

    /// One input in, effects out, appended to `out` in the order in which they must be carried out.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        let mut to = Out {
            effects: out,
            zab: &mut self.inputs,
        };
        match input {
            Input::Zab(input) => to.zab.push_back(input),
            Input::Timer(Timer::Zab(timer)) => to.zab.push_back(zab::Input::Timer(timer)),
            Input::Timer(Timer::Sessions) => self.service.on_sessions_timer(now, &mut to),
            Input::Timer(Timer::ReadOnly) => self.service.on_read_only_timer(now, &mut to),
            Input::Run(stage) => {
                let peer = &self.peer;
                let ensemble = Ensemble {
                    reconfiguring: peer.membership().pending().is_some(),
                    may_become: &|quorum| peer.may_reconfigure(quorum).is_ok(),
                };
                self.service.run(stage, now, &ensemble, &mut to);
            }
            Input::ClientOpened { conn } => self.service.on_client_opened(conn, &mut to),
            Input::ClientFrame { conn, frame } => {
                self.service.on_client_frame(conn, *frame, now, &mut to);
            }
            Input::ClientClosed { conn } => self.service.on_client_closed(conn),
        }
        while let Some(input) = self.inputs.pop_front() {
            self.peer.step(now, input, &mut self.peer_effects);
            let mut to = Out {
                effects: out,
                zab: &mut self.inputs,
            };
            for effect in self.peer_effects.drain(..) {
                take(&mut self.service, effect, now, &mut to);
            }
        }
    }

    /// What the peer is doing.
    pub fn role(&self) -> Role {
        self.peer.role()
    }

    /// The peer, for checks and triggers.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The last transaction in the tree.
    pub fn applied(&self) -> Zxid {
        self.service.db.applied()
    }

    /// The digest of tree and session table at [`applied`](Server::applied); `None` while a fuzzy snapshot is being caught up.
    pub fn digest(&self) -> Option<u64> {
        self.service.db.digest()
    }

    /// Whether clients are served.
    pub fn is_serving(&self) -> bool {
        self.service.is_serving()
    }

    /// What this server waits for, in words: for the report of a run that is stuck.
    pub fn waiting_for(&self) -> String {
        format!(
            "{} ({})",
            self.peer.waiting_for(),
            self.service.waiting_for()
        )
    }
}

/// An effect of the peer: the application's go to the service, the others to the driver, a change of role to both.
fn take(service: &mut Service, effect: zab::Effect, now: Time, out: &mut Out<'_>) {
    match effect {
        zab::Effect::SetTimer { timer, at } => out.effects.push(Effect::SetTimer {
            timer: Timer::Zab(timer),
            at,
        }),
        zab::Effect::Deliver { txn, delivery } => {
            service.deliver(txn.zxid, txn.payload(), delivery, out);
        }
        zab::Effect::SyncDone { id } => service.on_sync_done(id, out),
        zab::Effect::SyncLost { id } => service.on_sync_lost(id, out),
        zab::Effect::Restore { zxid, chunks } => service.restore(zxid, &chunks, out),
        zab::Effect::BeginSnapshot { snapshot, zxid } => {
            service.begin_snapshot(snapshot, zxid, out);
        }
        zab::Effect::AbandonSnapshot { snapshot } => service.abandon_snapshot(snapshot),
        zab::Effect::RequestReceived { payload, .. } => service.on_request(&payload, out),
        zab::Effect::FromLearner { from, payload } => {
            service.on_from_learner(from, &payload, now, out);
        }
        zab::Effect::FromLeader { payload } => service.on_from_leader(&payload, out),
        zab::Effect::RoleChanged(role) => {
            out.effects
                .push(Effect::Zab(zab::Effect::RoleChanged(role)));
            service.on_role(role, now, out);
        }
        other @ (zab::Effect::Notify { .. }
        | zab::Effect::Connect { .. }
        | zab::Effect::Send { .. }
        | zab::Effect::CloseLink { .. }
        | zab::Effect::Disk(_)
        | zab::Effect::Fatal { .. }
        | zab::Effect::Note(_)) => out.effects.push(Effect::Zab(other)),
    }
}
