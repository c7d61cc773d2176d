//! Who votes: the configurations that were in force one after the other, and the one that may come into force next, as all
//! servers' notes together tell it. One server alone may know less; nobody knows more.

use std::collections::BTreeSet;
use std::sync::Arc;
use zab::{Configuration, Epoch, Note, PeerId, PeerSet, QuorumConfig, Zxid};
use zabsim_types::ServerId;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Electorate {
    /// Every configuration that was in force, the present one last.
    past: Vec<Arc<Configuration>>,
    /// The newest one that some server has logged, if it is newer and may still be committed.
    pending: Option<Arc<Configuration>>,
    /// The newest epoch of which something is committed.
    committed: Epoch,
}

impl Electorate {
    /// Of a new ensemble.
    pub(crate) fn new(first: QuorumConfig) -> Electorate {
        Electorate {
            past: vec![Arc::new(Configuration::new(Zxid::ZERO, first))],
            pending: None,
            committed: Epoch(0),
        }
    }

    /// A server says something. Whether others count from now on.
    pub(crate) fn observe(&mut self, note: &Note) -> bool {
        match note {
            Note::ConfigurationPending(config) => {
                let known = self.pending.as_ref().unwrap_or(self.active());
                // A server that was down may still have on its disk what others have cut since.
                let alive = config.version().epoch() >= self.committed;
                let news = alive && config.version() > known.version();
                if news {
                    self.pending = Some(config.clone());
                }
                news
            }
            // What stood in its leader's history came into force before anything of that epoch was committed. What did not is
            // lost, wherever else it stands: whoever has it cannot lead any more before it has cut it off.
            Note::Committed { zxid } => {
                self.committed = self.committed.max(zxid.epoch());
                let lost = |next: &mut Arc<Configuration>| next.version().epoch() < zxid.epoch();
                self.pending.take_if(lost).is_some()
            }
            Note::ConfigurationActive(config) => {
                let news = config.version() > self.active().version();
                if news {
                    self.past.push(config.clone());
                    self.pending
                        .take_if(|next| next.version() <= config.version());
                }
                news
            }
            _ => false,
        }
    }

    /// The configuration in force.
    pub(crate) fn active(&self) -> &Arc<Configuration> {
        self.past.last().expect("the first one stays")
    }

    /// Whether anybody has asked for another configuration than the first.
    pub(crate) fn was_changed(&self) -> bool {
        self.past.len() > 1 || self.pending.is_some()
    }

    /// The configurations that count: one or two.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Arc<Configuration>> {
        std::iter::once(self.active()).chain(&self.pending)
    }

    /// Every configuration by which a server may still go that was left behind: all of them. Which of them may be needed to
    /// find a leader: those that count, and the last one before, for its end may be known on no disk.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<Configuration>, bool)> {
        let last = self.past.len().saturating_sub(2);
        let past = self.past.iter().enumerate();
        let past = past.map(move |(at, config)| (config, at >= last));
        past.chain(self.pending.iter().map(|config| (config, true)))
    }

    /// Whether these servers are a quorum, of both configurations where two count.
    pub(crate) fn is_quorum(&self, servers: impl IntoIterator<Item = ServerId>) -> bool {
        let set = peers(servers);
        self.present().all(|config| config.is_quorum(set))
    }

    /// Who votes in a configuration that counts, in order.
    pub(crate) fn voters(&self) -> Vec<ServerId> {
        let voters: BTreeSet<ServerId> = self
            .present()
            .flat_map(|config| &config.quorum().voters)
            .map(|id| ServerId(id.0))
            .collect();
        voters.into_iter().collect()
    }
}

/// The same servers, as quorums are counted.
pub(crate) fn peers(servers: impl IntoIterator<Item = ServerId>) -> PeerSet {
    servers.into_iter().map(|id| PeerId(id.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(counter: u32, voters: &[u8]) -> Arc<Configuration> {
        let quorum = QuorumConfig::majority(voters.iter().map(|id| PeerId(*id)));
        Arc::new(Configuration::new(Zxid::new(Epoch(1), counter), quorum))
    }

    fn ids(servers: &[u8]) -> Vec<ServerId> {
        servers.iter().map(|id| ServerId(*id)).collect()
    }

    #[test]
    fn both_count_while_one_is_pending() {
        let mut electorate = Electorate::new(QuorumConfig::majority([1, 2, 3].map(PeerId)));
        assert!(electorate.is_quorum(ids(&[1, 2])));
        let next = config(4, &[3, 4, 5]);
        assert!(electorate.observe(&Note::ConfigurationPending(next.clone())));
        assert!(!electorate.observe(&Note::ConfigurationPending(next.clone())));
        assert!(!electorate.is_quorum(ids(&[1, 2])) && !electorate.is_quorum(ids(&[4, 5])));
        assert!(electorate.is_quorum(ids(&[1, 3, 4])));
        assert_eq!(electorate.voters(), ids(&[1, 2, 3, 4, 5]));
        assert!(electorate.observe(&Note::ConfigurationActive(next)));
        assert!(electorate.is_quorum(ids(&[4, 5])));
        assert_eq!(electorate.voters(), ids(&[3, 4, 5]));
        let old = Note::ConfigurationPending(config(2, &[1]));
        assert!(
            !electorate.observe(&old),
            "of a server that was left behind"
        );
        assert_eq!(
            electorate
                .all()
                .map(|(_, needed)| needed)
                .collect::<Vec<_>>(),
            [true, true]
        );
    }

    #[test]
    fn a_pending_one_is_lost_when_the_next_epoch_goes_on_without_it() {
        let mut electorate = Electorate::new(QuorumConfig::majority([1, 2, 3].map(PeerId)));
        let committed = |epoch| Note::Committed {
            zxid: Zxid::new(Epoch(epoch), 1),
        };
        electorate.observe(&committed(1));
        let lost = Note::ConfigurationPending(config(4, &[3, 4, 5]));
        assert!(electorate.observe(&lost));
        assert!(!electorate.observe(&committed(1)), "it is of that epoch");
        assert_eq!(electorate.voters(), ids(&[1, 2, 3, 4, 5]));
        assert!(electorate.observe(&committed(2)));
        assert_eq!(electorate.voters(), ids(&[1, 2, 3]));
        assert!(
            !electorate.observe(&lost),
            "from the disk of one that was down"
        );
        // One that is in the new leader's history comes into force before the leader does.
        let kept = config(7, &[1, 2]);
        electorate.observe(&Note::ConfigurationActive(kept));
        assert!(!electorate.observe(&committed(3)));
        assert_eq!(electorate.voters(), ids(&[1, 2]));
    }
}
