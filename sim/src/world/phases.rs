//! The end of a run: the world heals, and says who still waits for what.

use super::World;
use super::view::leader_of;
use crate::host::ClientProcess;
use crate::judge::Harm;
use crate::story::{self, lasted as since};
use zabsim_types::ServerId;
use zabsim_types::run::Topic;

impl World {
    /// No fault strikes any more, what lasts is undone, what is down is started; but for what is to stay broken.
    pub(crate) fn heal(&mut self) {
        self.tell(Topic::Phase, "", "the world heals".to_string());
        self.tell_of_missed_faults();
        self.healed = true;
        self.healed_at = self.now;
        let broken = if self.plan.leave_broken {
            self.left_broken()
        } else {
            Vec::new()
        };
        for &server in &broken {
            let id = self.servers[server].id;
            self.tell(Topic::Phase, id, "stays broken".to_string());
        }
        let paused: Vec<usize> = broken
            .iter()
            .copied()
            .filter(|&server| self.servers[server].paused > 0)
            .collect();
        for &server in &paused {
            self.pause_server(server);
        }
        for &server in &broken {
            self.servers[server].stays_broken = true;
        }
        for server in &mut self.servers {
            // What was about to strike does not.
            server.disk.disarm();
            server.crash = None;
        }
        self.undo_all();
        for server in 0..self.servers.len() {
            if self.servers[server].stays_broken {
                continue;
            }
            if !self.servers[server].is_up() {
                self.replace_bad_disk(server);
                self.start_server_at(server, 0);
            }
        }
        for client in &mut self.clients {
            client.answered_before_heal = client.answered;
        }
        self.stopping.set();
        self.assert_healed();
    }

    /// Servers that are down or paused, as many as a quorum can do without.
    fn left_broken(&mut self) -> Vec<usize> {
        let servers = &self.servers;
        self.judge
            .acquit(&|id| servers[usize::from(id.0) - 1].disk.is_rotten());
        let mut broken = Vec::new();
        for (server, process) in self.servers.iter().enumerate() {
            if process.is_up() && process.paused == 0 {
                continue;
            }
            broken.push(server);
            let rest = self.voters.iter().copied();
            // Whoever has yet to be brought up to date, or to be allowed a vote, is no help.
            let rest = rest.filter(|id| {
                let place = usize::from(id.0) - 1;
                !broken.contains(&place) && !self.judge.is_damaged(*id)
            });
            if !self.electorate.is_quorum(rest) {
                broken.pop();
            }
        }
        broken
    }

    /// What an operator does about a server that refuses its own disk once the faults are over. The judge need
    /// not be asked: a rotten disk counts as damaged already, and as a blank one it does no more harm.
    pub(super) fn replace_bad_disk(&mut self, server: usize) {
        let process = &self.servers[server];
        if process.fatal.is_some() && process.disk.is_rotten() {
            let id = process.id;
            self.checks_damaged(server, Harm::Wipe);
            self.servers[server].disk.wipe();
            self.tell(Topic::Process, id, "gets a new disk".to_string());
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
            return Some(self.no_leader());
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
            "{} has not come to its end since the world healed at {}: {}; the servers: {}",
            stuck.name(),
            self.healed_at,
            self.client_waits_for(stuck),
            self.servers_wait_for()
        ))
    }

    /// Whom a reconfiguration that nobody can complete needs. Disks are damaged as far as the configurations of that moment
    /// survive it; one that is proposed later, by a leader that does not know yet, may ask for the votes of just these servers.
    /// What was pending stays so, and no protocol may go on without them.
    pub(crate) fn bereft(&mut self) -> Option<String> {
        let servers = &self.servers;
        self.judge
            .acquit(&|id| servers[usize::from(id.0) - 1].disk.is_rotten());
        let fit = |id: &ServerId| !self.judge.is_damaged(*id);
        let fit = self.voters.iter().copied().filter(fit);
        let asked = self.electorate.was_changed();
        if !asked || self.established_leader().is_some() || self.electorate.is_quorum(fit) {
            return None;
        }
        let configurations: Vec<String> =
            self.electorate.present().map(|c| c.to_string()).collect();
        let damaged = self.voters.iter().filter(|id| self.judge.is_damaged(**id));
        let damaged: Vec<String> = damaged.map(ServerId::to_string).collect();
        Some(format!(
            "a reconfiguration came upon damaged disks: those of {}, without whom there is no quorum of {}",
            damaged.join(", "),
            configurations.join(" and of ")
        ))
    }

    /// Who waits for what, where a test does not come to its end.
    pub(crate) fn why_nothing_goes_on(&self) -> String {
        let mut words = match self.established_leader() {
            Some(leader) => vec![format!("{leader} leads; {}", self.servers_wait_for())],
            None => vec![self.no_leader()],
        };
        for client in self.clients.iter().filter(|client| client.alive) {
            if let Some(end) = story::open_end(&self.records.history, client.id) {
                words.push(format!("{}: {end}", client.name()));
            }
        }
        words.join("; ")
    }

    /// Why nobody leads: with too few voters up nobody can, else the servers say what they wait for.
    fn no_leader(&self) -> String {
        let up: Vec<ServerId> = self
            .voters
            .iter()
            .copied()
            .filter(|id| {
                let server = &self.servers[usize::from(id.0) - 1];
                server.is_up() && server.paused == 0
            })
            .collect();
        let names: Vec<String> = up.iter().map(ServerId::to_string).collect();
        let why = match self.electorate.is_quorum(up.iter().copied()) {
            true => "although a quorum of the voters is up",
            false => "and none can be: too few of the voters are up for a quorum",
        };
        let since = match self.healed {
            true => format!(
                ", {} after the world healed",
                since(self.healed_at, self.now)
            ),
            false => String::new(),
        };
        format!(
            "no leader is established{since}, {why} ({} of {}: {}); {}",
            up.len(),
            self.voters.len(),
            match names.is_empty() {
                true => "nobody".to_string(),
                false => names.join(" "),
            },
            self.servers_wait_for()
        )
    }

    /// What a client waits for, since when, and whose turn it is, as its own history tells it.
    fn client_waits_for(&self, client: &ClientProcess) -> String {
        let connection = match client.session.attached_to() {
            Some(server) => format!("it is connected to {server}"),
            None => "it is not connected".to_string(),
        };
        let answers = match client.answered - client.answered_before_heal {
            0 => "has had no answer since".to_string(),
            1 => "has had 1 answer since".to_string(),
            more => format!("has had {more} answers since"),
        };
        let waits = match story::open_end(&self.records.history, client.id) {
            Some(end) => end,
            None => "its program waits for something of its own".to_string(),
        };
        format!("{waits}; {connection} and {answers}")
    }

    /// What each server waits for.
    pub(crate) fn servers_wait_for(&self) -> String {
        let words: Vec<String> = self
            .servers
            .iter()
            .map(|server| match (&server.machine, &server.fatal) {
                (Some(_), _) if server.paused > 0 => format!("{} is paused", server.id),
                (Some(machine), _) => {
                    format!("{} waits for {}", server.id, machine.waiting_for())
                }
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
        self.given_up.retain(|&session| log.is_open(session));
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
