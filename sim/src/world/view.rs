//! The world as the nemesis sees it.

use crate::electorate::Electorate;
use crate::nemesis::View;
use crate::process::ServerProcess;
use std::collections::BTreeSet;
use zab::PeerState;
use zabsim_types::ServerId;

/// The parts of the world that the nemesis may look at while it is asked itself.
pub(super) struct Sight<'a> {
    pub(super) servers: &'a [ServerProcess],
    pub(super) voters: &'a [ServerId],
    pub(super) others: &'a [ServerId],
    pub(super) electorate: &'a Electorate,
}

/// Looks at a world's fields one by one, so that the nemesis beside them stays free.
macro_rules! sight {
    ($world:expr) => {
        $crate::world::view::Sight {
            servers: &$world.servers,
            voters: &$world.voters,
            others: &$world.others,
            electorate: &$world.electorate,
        }
    };
}
pub(super) use sight;

impl View for Sight<'_> {
    fn voters(&self) -> &[ServerId] {
        self.voters
    }

    fn observers(&self) -> &[ServerId] {
        self.others
    }

    fn leader(&self) -> Option<ServerId> {
        leader_of(self.servers)
    }

    fn is_leading(&self, server: ServerId) -> bool {
        self.process(server).role.state == PeerState::Leading
    }

    fn is_up(&self, server: ServerId) -> bool {
        self.process(server).is_up()
    }

    fn synchronizing(&self) -> Vec<ServerId> {
        let mut learners: Vec<ServerId> = self
            .servers
            .iter()
            .flat_map(|server| server.synchronizing.iter().copied())
            .collect();
        learners.sort_unstable();
        learners.dedup();
        learners
    }

    fn is_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.electorate.is_quorum(servers.iter().copied())
    }
}

impl Sight<'_> {
    fn process(&self, server: ServerId) -> &ServerProcess {
        &self.servers[usize::from(server.0) - 1]
    }
}

/// The established leader of the highest epoch; else the prospective one of the highest.
pub(super) fn leader_of(servers: &[ServerProcess]) -> Option<ServerId> {
    servers
        .iter()
        .filter(|server| server.is_up() && server.role.state == PeerState::Leading)
        .max_by_key(|server| (server.established, server.role.epoch, server.id))
        .map(|server| server.id)
}
