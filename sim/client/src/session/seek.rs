//! The search for a full server while the one at hand only reads.
//!
//! A trial is a connection beside the one that is up, on which the session asks to be attached by a server *with* a quorum. One
//! that has none closes it; then the next server is tried after a pause. One that attaches the session has taken it over.
//!
//! Source: ZooKeeper 3.9 `ClientCnxn.SendThread.pingRwServer`, whose pauses these are.

use super::{Link, Session};
use crate::Effect;
use zabsim_types::{ClientFrame, ServerFrame, ServerId, SessionId, Time};

/// `minPingRwTimeout`.
const PAUSE_US_MIN: u64 = 100_000;
/// `maxPingRwTimeout`.
const PAUSE_US_MAX: u64 = 60_000_000;

/// How far the search has got.
#[derive(Debug)]
pub(super) struct Seek {
    pause_us: u64,
    /// When the next trial is due, or the one under way is given up.
    due: Time,
    /// The server that is being tried.
    trial: Option<ServerId>,
}

impl Seek {
    pub(super) fn from(now: Time) -> Seek {
        Seek {
            pause_us: PAUSE_US_MIN,
            due: now.plus(PAUSE_US_MIN),
            trial: None,
        }
    }

    pub(super) fn due(&self) -> Time {
        self.due
    }
}

impl Session {
    /// Begins a trial, or gives one up, if it is time.
    pub(super) fn seek_on(&mut self, now: Time, out: &mut Vec<Effect>) {
        let (Link::Up { server: at }, Some(seek)) = (self.link, &self.seek) else {
            return;
        };
        if now < seek.due {
            return;
        }
        if seek.trial.is_some() {
            out.push(Effect::TrialEnd);
            return self.trial_failed(now);
        }
        let servers = &self.config.servers;
        let count = servers.len();
        let Some(step) = (0..count).find(|i| servers[(self.next_server + i) % count] != at) else {
            // There is no other: this one closes its connections when it has a quorum again.
            return self.trial_failed(now);
        };
        let index = (self.next_server + step) % count;
        let server = servers[index];
        self.next_server = (index + 1) % count;
        let deadline = now.plus(self.timeout_us() / count as u64);
        if let Some(seek) = &mut self.seek {
            seek.trial = Some(server);
            seek.due = deadline;
        }
        out.push(Effect::Try { server });
    }

    pub(super) fn trial_connected(&mut self, out: &mut Vec<Effect>) {
        if self.trial().is_some() {
            let request = self.connect_request(false);
            out.push(Effect::TrialSend(ClientFrame::Connect(request)));
        }
    }

    /// The trial under way has come to nothing: the next one is later.
    pub(super) fn trial_failed(&mut self, now: Time) {
        if let Some(seek) = &mut self.seek {
            seek.trial = None;
            seek.due = now.plus(seek.pause_us);
            seek.pause_us = (2 * seek.pause_us).min(PAUSE_US_MAX);
        }
    }

    pub(super) fn take_trial_frame(
        &mut self,
        now: Time,
        frame: ServerFrame,
        out: &mut Vec<Effect>,
    ) {
        let Some(server) = self.trial() else {
            return; // The rest of a trial that was given up.
        };
        let known = self.lasting_id();
        match frame {
            ServerFrame::Connected(reply) if reply.timeout_ms == 0 => {
                // A full server's word on the session.
                self.heard = now;
                out.push(Effect::Disconnect);
                self.stop_seeking(out);
                self.lose_requests(out);
                self.expire(out);
            }
            ServerFrame::Connected(reply)
                if !reply.read_only && (known == SessionId::NONE || known == reply.session) =>
            {
                self.heard = now;
                self.lose_requests(out);
                out.push(Effect::TrialTake);
                self.attached(now, server, reply, known != SessionId::NONE, out);
            }
            _ => {
                out.push(Effect::TrialEnd);
                self.trial_failed(now);
            }
        }
    }

    /// The connection at hand is no more, or goes.
    pub(super) fn stop_seeking(&mut self, out: &mut Vec<Effect>) {
        if self.trial().is_some() {
            out.push(Effect::TrialEnd);
        }
        self.seek = None;
    }

    fn trial(&self) -> Option<ServerId> {
        self.seek.as_ref().and_then(|seek| seek.trial)
    }
}
