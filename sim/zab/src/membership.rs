//! Dynamic reconfiguration: which configuration a peer goes by (`QuorumPeer`'s quorum verifier and last seen quorum verifier).
//!
//! A configuration is a transaction. From the moment at which it stands in a log to the moment at which it is known there to be
//! committed it is *pending*, and whatever needs a quorum (promises, histories, commits, votes) needs one of the active
//! configuration **and** one of the pending one. Once it is committed it alone counts. One is in flight at a time.
//!
//! Why that is safe: configuration `P`, transaction `r`, was committed with a quorum of the `C` before it and one of its own. A
//! leader that does not have `r` goes by `C`, and its quorum of promises holds somebody who has `r`, hence has a better history
//! than the leader, hence refuses. A leader that has `r` needs both until it *knows* that `r` is committed; then nobody
//! without `r` can be established any more.
//!
//! **Where it is kept.** ZooKeeper writes a pending configuration into a file of its own (`.next`) beside the log, and the two
//! can disagree after a TRUNC or a crash between them. Here the log is that file (**BASE**): the pending configuration is
//! that of the last reconfiguration in the history on disk, snapshot included, and goes when the history is cut. What a log
//! cannot say is that the last one is committed; the file `configuration` does. It may be lost without harm: then a quorum of
//! both is needed once more.
//!
//! Source: Shraer, Reed, Malkhi, Junqueira, "Dynamic Reconfiguration of Primary/Backup Clusters" (USENIX ATC 2012).

use crate::quorum::{PeerSet, QuorumConfig, QuorumRule};
use crate::{PeerId, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// An ensemble from some transaction on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configuration {
    version: Zxid,
    quorum: QuorumConfig,
    /// The voters in one word, where a majority of them rules.
    majority_of: Option<PeerSet>,
}

impl Configuration {
    /// The ensemble that transaction `version` makes; zero: the one that every server starts with.
    pub fn new(version: Zxid, quorum: QuorumConfig) -> Configuration {
        let majority_of = matches!(quorum.rule, QuorumRule::Majority)
            .then(|| quorum.voters.iter().copied().collect());
        Configuration {
            version,
            quorum,
            majority_of,
        }
    }

    /// The transaction that made it.
    pub fn version(&self) -> Zxid {
        self.version
    }

    /// Who votes, who observes, what is a quorum.
    pub fn quorum(&self) -> &QuorumConfig {
        &self.quorum
    }

    /// Whether these peers are a quorum of it.
    pub fn is_quorum(&self, set: PeerSet) -> bool {
        match self.majority_of {
            Some(voters) => set.intersection(voters).len() > voters.len() / 2,
            None => self.quorum.is_quorum(set),
        }
    }

    /// As it stands in logs and files; all integers are little-endian.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        fn put(bytes: &mut Vec<u8>, peers: &BTreeSet<PeerId>) {
            bytes.push(u8::try_from(peers.len()).expect("at most 127 servers"));
            bytes.extend(peers.iter().map(|id| id.0));
        }
        bytes.extend_from_slice(&self.version.0.to_le_bytes());
        put(bytes, &self.quorum.voters);
        put(bytes, &self.quorum.observers);
        match &self.quorum.rule {
            QuorumRule::Majority => bytes.push(0),
            QuorumRule::Hierarchical { groups, weights } => {
                bytes.push(1);
                bytes.push(u8::try_from(groups.len()).expect("at most one group for each server"));
                for group in groups {
                    put(bytes, group);
                }
                bytes.push(u8::try_from(weights.len()).expect("at most 127 servers"));
                for (id, weight) in weights {
                    bytes.push(id.0);
                    bytes.extend_from_slice(&weight.to_le_bytes());
                }
            }
        }
    }

    /// The inverse of `encode`, and what follows it; `None` where that is no configuration.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Configuration, &[u8])> {
        let mut rest = Rest(bytes);
        let version = Zxid(u64::from_le_bytes(rest.take()?));
        let voters = rest.peers()?;
        let observers = rest.peers()?;
        let rule = match rest.byte()? {
            0 => QuorumRule::Majority,
            1 => {
                let count = rest.byte()?;
                let groups = (0..count).map(|_| rest.peers()).collect::<Option<_>>()?;
                let count = rest.byte()?;
                let weight = |rest: &mut Rest<'_>| {
                    Some((PeerId(rest.byte()?), u32::from_le_bytes(rest.take()?)))
                };
                let weights: Option<BTreeMap<_, _>> =
                    (0..count).map(|_| weight(&mut rest)).collect();
                QuorumRule::Hierarchical {
                    groups,
                    weights: weights?,
                }
            }
            _ => return None,
        };
        let quorum = QuorumConfig {
            voters,
            observers,
            rule,
        };
        quorum.validate().ok()?;
        Some((Configuration::new(version, quorum), rest.0))
    }
}

/// Bytes not yet read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn peers(&mut self) -> Option<BTreeSet<PeerId>> {
        let count = self.byte()?;
        (0..count).map(|_| self.byte().map(PeerId)).collect()
    }
}

/// The configuration that is in force at a peer, and the one that is to follow it, if there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    active: Arc<Configuration>,
    pending: Option<Arc<Configuration>>,
}

impl Membership {
    /// Before any reconfiguration.
    pub fn initial(quorum: QuorumConfig) -> Membership {
        Membership {
            active: Arc::new(Configuration::new(Zxid::ZERO, quorum)),
            pending: None,
        }
    }

    /// The last configuration that is known to be committed.
    pub fn active(&self) -> &Arc<Configuration> {
        &self.active
    }

    /// The configuration that stands in the log, and is not known to be committed.
    pub fn pending(&self) -> Option<&Arc<Configuration>> {
        self.pending.as_ref()
    }

    /// Whether this transaction makes the pending configuration.
    pub(crate) fn is_pending(&self, zxid: Zxid) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|next| next.version == zxid)
    }

    /// Whether these peers are a quorum: of both configurations where one is pending.
    pub fn is_quorum(&self, set: PeerSet) -> bool {
        self.active.is_quorum(set) && self.pending.as_ref().is_none_or(|next| next.is_quorum(set))
    }

    /// Whether these peers are a quorum for transaction `zxid`: what was proposed before the pending reconfiguration needs only
    /// the active one.
    pub(crate) fn commits(&self, zxid: Zxid, set: PeerSet) -> bool {
        let next = self.pending.as_ref().filter(|next| zxid >= next.version);
        self.active.is_quorum(set) && next.is_none_or(|next| next.is_quorum(set))
    }

    /// The configurations that count: one or two.
    pub fn configurations(&self) -> impl Iterator<Item = &Arc<Configuration>> {
        std::iter::once(&self.active).chain(&self.pending)
    }

    /// Whether this peer votes in a configuration that counts.
    pub fn is_voter(&self, id: PeerId) -> bool {
        self.configurations().any(|one| one.quorum.is_voter(id))
    }

    /// Whether this peer observes, and is not about to vote.
    pub fn is_observer(&self, id: PeerId) -> bool {
        self.active.quorum.is_observer(id) && !self.is_voter(id)
    }

    /// Whether this peer's vote weighs anything.
    pub(crate) fn has_weight(&self, id: PeerId) -> bool {
        self.configurations().any(|one| one.quorum.weight(id) > 0)
    }

    /// Everybody who votes in a configuration that counts, in order.
    pub(crate) fn voters(&self) -> BTreeSet<PeerId> {
        let voters = self.configurations().flat_map(|one| &one.quorum.voters);
        voters.copied().collect()
    }

    /// A reconfiguration was logged. The one before it, if it was still pending, is committed: no leader proposes two at a time.
    pub(crate) fn propose(&mut self, next: Arc<Configuration>) {
        if next.version <= self.active.version {
            return;
        }
        if let Some(before) = self.pending.replace(next) {
            self.active = before;
        }
    }

    /// This configuration is known to be committed. Whether that is news.
    pub(crate) fn activate(&mut self, config: &Arc<Configuration>) -> bool {
        let news = config.version > self.active.version;
        if news {
            self.active = config.clone();
            self.pending.take_if(|next| next.version <= config.version);
        }
        news
    }

    /// What stands in a snapshot of everything up to `zxid`.
    pub(crate) fn up_to(&self, zxid: Zxid) -> Membership {
        let mut known = self.clone();
        known.pending.take_if(|next| next.version > zxid);
        known
    }

    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        for config in self.configurations() {
            config.encode(bytes);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Membership> {
        let (active, rest) = Configuration::decode(bytes)?;
        let pending = match rest {
            [] => None,
            rest => {
                let (pending, rest) = Configuration::decode(rest)?;
                (rest.is_empty() && pending.version > active.version).then_some(())?;
                Some(Arc::new(pending))
            }
        };
        Some(Membership {
            active: Arc::new(active),
            pending,
        })
    }
}

/// `⟨1,5⟩ of s1 s2 s3`; observers behind a plus sign.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of", self.version)?;
        for id in &self.quorum.voters {
            write!(f, " {id}")?;
        }
        for id in &self.quorum.observers {
            write!(f, " +{id}")?;
        }
        Ok(())
    }
}

/// The active configuration, and the pending one.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.active)?;
        if let Some(next) = &self.pending {
            write!(f, ", then {next}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    fn majority(counter: u32, voters: &[u8]) -> Arc<Configuration> {
        let quorum = QuorumConfig::majority(voters.iter().map(|id| PeerId(*id)));
        Arc::new(Configuration::new(Zxid::new(Epoch(1), counter), quorum))
    }

    fn set(ids: &[u8]) -> PeerSet {
        ids.iter().map(|id| PeerId(*id)).collect()
    }

    fn joint() -> Membership {
        let mut membership = Membership::initial(QuorumConfig::majority([1, 2, 3].map(PeerId)));
        membership.propose(majority(5, &[3, 4, 5]));
        membership
    }

    #[test]
    fn while_one_is_pending_a_quorum_is_one_of_both() {
        let mut membership = joint();
        assert!(!membership.is_quorum(set(&[1, 2])), "of the old one alone");
        assert!(!membership.is_quorum(set(&[4, 5])), "of the new one alone");
        assert!(membership.is_quorum(set(&[1, 3, 4])));
        assert!(membership.is_voter(PeerId(1)) && membership.is_voter(PeerId(5)));
        assert!(membership.commits(Zxid::new(Epoch(1), 4), set(&[1, 2])));
        assert!(!membership.commits(Zxid::new(Epoch(1), 5), set(&[1, 2])));
        assert!(membership.activate(&majority(5, &[3, 4, 5])));
        assert!(membership.is_quorum(set(&[4, 5])));
        assert!(!membership.is_voter(PeerId(1)));
    }

    #[test]
    fn a_second_one_in_the_log_proves_the_first() {
        let mut membership = joint();
        membership.propose(majority(9, &[4, 5, 6]));
        assert_eq!(membership.active(), &majority(5, &[3, 4, 5]));
        assert_eq!(membership.pending(), Some(&majority(9, &[4, 5, 6])));
        assert!(!membership.activate(&majority(5, &[3, 4, 5])), "no news");
        assert!(membership.activate(&majority(12, &[7])));
        assert_eq!(membership.pending(), None);
    }

    #[test]
    fn an_observer_that_is_about_to_vote_votes() {
        let mut quorum = QuorumConfig::majority([PeerId(1)]);
        quorum.observers.insert(PeerId(2));
        let mut membership = Membership::initial(quorum);
        assert!(membership.is_observer(PeerId(2)));
        membership.propose(majority(1, &[1, 2]));
        assert!(!membership.is_observer(PeerId(2)) && membership.is_voter(PeerId(2)));
    }

    #[test]
    fn it_comes_back_from_its_bytes_and_from_no_part_of_them() {
        let mut groups = QuorumConfig::majority([1, 2, 3].map(PeerId));
        groups.observers.insert(PeerId(9));
        groups.rule = QuorumRule::Hierarchical {
            groups: vec![[1, 2].map(PeerId).into(), [PeerId(3)].into()],
            weights: [(PeerId(1), 7), (PeerId(3), 0)].into(),
        };
        let mut membership = Membership::initial(groups);
        membership.propose(majority(5, &[3, 4]));
        for membership in [membership.up_to(Zxid::ZERO), membership] {
            let mut bytes = Vec::new();
            membership.encode(&mut bytes);
            assert_eq!(Membership::decode(&bytes).as_ref(), Some(&membership));
            for cut in 0..bytes.len() {
                assert_ne!(
                    Membership::decode(&bytes[..cut]).as_ref(),
                    Some(&membership)
                );
            }
        }
    }
}
