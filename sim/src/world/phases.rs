//! The end of a run: the world heals, and says who still waits for what.

use super::World;
use super::faults::peers;
use super::view::leader_of;
use zabsim_types::ServerId;

impl World {
    /// No fault strikes any more, what lasts is undone, what is down is started; but for what is to stay broken.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        let broken = if self.plan.leave_broken {
            self.to_stay_broken()
        } else {
            Vec::new()
        };
        for &server in &broken {
            let id = self.servers[server].id;
            self.tell(id, "stays broken".to_string());
        }
        let paused: Vec<usize> = broken
            .iter()
            .copied()
            .filter(|&server| self.servers[server].paused > 0)
            .collect();
        for &server in &paused {
            self.pause_server(server);
        }
        self.undo_all();
        for server in 0..self.servers.len() {
            if broken.contains(&server) {
                self.servers[server].stays_broken = true;
                continue;
            }
            self.servers[server].disk.disarm();
            if !self.servers[server].is_up() {
                self.replace_bad_disk(server);
                self.start_server_at(server, 0);
            }
        }
        for client in &mut self.clients {
            client.answered_before_heal = client.answered;
        }
        self.stopping.set();
    }

    /// Servers that are down or paused, as many as a quorum can do without.
    fn to_stay_broken(&self) -> Vec<usize> {
        let mut broken = Vec::new();
        for (server, process) in self.servers.iter().enumerate() {
            if process.is_up() && process.paused == 0 {
                continue;
            }
            broken.push(server);
            let rest = self.voters.iter().copied();
            let rest = rest.filter(|id| !broken.contains(&(usize::from(id.0) - 1)));
            if !self.quorum.is_quorum(peers(rest)) {
                broken.pop();
            }
        }
        broken
    }

    /// What an operator does about a server that refuses its own disk once the faults are over.
    pub(super) fn replace_bad_disk(&mut self, server: usize) {
        let process = &mut self.servers[server];
        if process.fatal.is_some() && process.disk.is_rotten() {
            process.disk.wipe();
            let id = process.id;
            self.tell(id, "gets a new disk".to_string());
            self.check_disk_after_crash(server);
        }
    }

    /// Whether a leader is established and every program has returned.
    pub(crate) fn all_finished(&self) -> bool {
        self.established_leader().is_some()
            && self.clients.iter().all(|client| match client.program {
                Some(_) => !client.runs_program(),
                None => !client.alive || client.open_calls.is_empty(),
            })
    }

    /// Who holds the run up, in words. A program that was told to stop must have come to its end, and what was asked must be
    /// answered; where a test directs its clients, one that goes on asking is no fault as long as it is answered.
    pub(crate) fn stuck(&self) -> Option<String> {
        if self.established_leader().is_none() {
            return Some(format!(
                "no leader is established: {}",
                self.servers_wait_for()
            ));
        }
        let stuck = self.clients.iter().find(|client| {
            let waits = !client.open_calls.is_empty();
            let unanswered = client.answered == client.answered_before_heal;
            match client.directed {
                true => client.alive && waits && unanswered,
                false => client.runs_program() || client.alive && waits,
            }
        })?;
        Some(format!(
            "c{} has not come to its end since the world healed: {} answers since, {} requests open, {}; {}",
            stuck.id.0,
            stuck.answered - stuck.answered_before_heal,
            stuck.open_calls.len(),
            match stuck.session.attached_to() {
                Some(server) => format!("attached to {server}"),
                None => "not connected".to_string(),
            },
            self.servers_wait_for()
        ))
    }

    /// What each server waits for.
    pub(crate) fn servers_wait_for(&self) -> String {
        let words: Vec<String> = self
            .servers
            .iter()
            .map(|server| match (&server.machine, &server.fatal) {
                (Some(_), _) if server.paused > 0 => format!("{} is paused", server.id),
                (Some(machine), _) => format!("{}: {}", server.id, machine.waiting_for()),
                (None, Some(why)) => format!("{} has stopped: {why}", server.id),
                (None, None) => format!("{} is down", server.id),
            })
            .collect();
        words.join("; ")
    }

    pub(super) fn established_leader(&self) -> Option<ServerId> {
        let id = leader_of(&self.servers)?;
        let leader = &self.servers[usize::from(id.0) - 1];
        (leader.established.is_some() && leader.serves()).then_some(id)
    }

    /// Whether all servers serve and have applied the same, the end of every session that its client gave up included.
    pub(crate) fn has_settled(&mut self) -> bool {
        let Some(leader) = self.established_leader() else {
            return false;
        };
        let applied = self.servers[usize::from(leader.0) - 1].applied;
        self.servers
            .iter()
            .filter(|server| !server.stays_broken)
            .all(|server| server.serves() && server.applied == applied)
            && self.sessions_given_up_are_closed()
    }

    fn sessions_given_up_are_closed(&mut self) -> bool {
        let log = &mut self.log;
        self.given_up.retain(|&session| !log.has_closed(session));
        self.given_up.is_empty()
    }

    /// The step checks' last look, at all disks.
    pub(crate) fn check_at_end(&mut self) {
        let disks = self
            .servers
            .iter_mut()
            .map(|server| (server.id, server.disk.durable()));
        self.checks.at_end(self.now, disks);
    }

    /// Kills what runs and ends the trace.
    pub(crate) fn finish(self) -> (u64, Option<Vec<crate::trace::TraceLine>>) {
        for client in &self.clients {
            client.port.kill();
        }
        drop(self.executor);
        self.trace.finish()
    }
}
