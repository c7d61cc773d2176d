//! Whom a fault strikes, as places in the world's lists, and how to say it.

use super::super::{World, sight};
use super::Blow;
use crate::net::Node;
use crate::plan::Target;
use zabsim_types::ServerId;

impl World {
    pub(super) fn resolve(&mut self, blow: Blow, target: &Target) -> Vec<usize> {
        let sight = sight!(self);
        places(self.nemesis.resolve(blow.fault, target, &sight, blow.ends))
    }

    pub(super) fn resolve_ends(
        &mut self,
        blow: Blow,
        between: &Target,
        and: &Target,
    ) -> (Vec<usize>, Vec<usize>) {
        let sight = sight!(self);
        let (from, to) = self
            .nemesis
            .resolve_ends(blow.fault, between, and, &sight, blow.ends);
        (places(from), places(to))
    }

    /// Of those that `target` means, the ones that run.
    pub(super) fn resolve_up(&mut self, blow: Blow, target: &Target) -> Vec<usize> {
        let mut servers = self.resolve(blow, target);
        servers.retain(|&server| self.servers[server].is_up());
        servers
    }

    /// Both ways between any of the one and any of the other, and how to say it.
    pub(super) fn between(
        &mut self,
        blow: Blow,
        between: &Target,
        and: &Target,
    ) -> Option<(Vec<(Node, Node)>, String)> {
        let (from, to) = self.resolve_ends(blow, between, and);
        let mut both: Vec<(Node, Node)> = ways(&from, &to);
        both.extend(ways(&to, &from));
        both.sort_unstable();
        both.dedup();
        let words = format!("{} – {}", self.names(&from), self.names(&to));
        (!both.is_empty()).then_some((both, words))
    }

    pub(super) fn names(&self, servers: &[usize]) -> String {
        let names: Vec<String> = servers
            .iter()
            .map(|&server| self.servers[server].id.to_string())
            .collect();
        names.join(" ")
    }

    pub(super) fn each(
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

    pub(super) fn each_client(
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
    pub(super) fn pick_clients(&mut self, blow: Blow) -> Vec<usize> {
        let named = self.nemesis.clients(blow.fault);
        let places = named.into_iter().map(|client| client as usize - 1);
        places
            .filter(|&client| self.clients.get(client).is_some_and(|c| c.alive))
            .collect()
    }
}

/// The ways from each of the one to each of the other.
pub(super) fn ways(from: &[usize], to: &[usize]) -> Vec<(Node, Node)> {
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

/// Servers' places in the world's list.
pub(super) fn places(ids: Vec<ServerId>) -> Vec<usize> {
    ids.into_iter().map(|id| usize::from(id.0) - 1).collect()
}
