//! Who votes, who observes, and which sets of voters are a quorum (`QuorumVerifier`: `QuorumMaj`, `QuorumHierarchical`).
//!
//! Any two quorums intersect: that is all that ZAB needs of them.

use crate::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A set of peers. One word, so that counting acknowledgements costs nothing.
///
/// ```
/// use zab::{PeerId, PeerSet};
/// let mut acks = PeerSet::new();
/// acks.insert(PeerId(3));
/// acks.insert(PeerId(1));
/// assert_eq!(acks.iter().collect::<Vec<_>>(), [PeerId(1), PeerId(3)]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PeerSet(u128);

impl PeerSet {
    /// The highest number that a server may have.
    pub const ID_MAX: u8 = 127;

    /// The empty set.
    pub const fn new() -> PeerSet {
        PeerSet(0)
    }

    /// Adds a peer; says whether it is new.
    ///
    /// # Panics
    /// Where the number is above [`ID_MAX`](PeerSet::ID_MAX): [`QuorumConfig::validate`] lets no such server in.
    pub const fn insert(&mut self, id: PeerId) -> bool {
        assert!(id.0 <= PeerSet::ID_MAX, "a peer's number is at most 127");
        let before = self.0;
        self.0 |= 1 << id.0;
        self.0 != before
    }

    /// Takes a peer out; says whether it was there.
    pub const fn remove(&mut self, id: PeerId) -> bool {
        let was = self.contains(id);
        if was {
            self.0 &= !(1 << id.0);
        }
        was
    }

    /// Whether a peer is in the set.
    pub const fn contains(self, id: PeerId) -> bool {
        id.0 <= PeerSet::ID_MAX && self.0 >> id.0 & 1 == 1
    }

    /// How many peers are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether nobody is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The peers in both sets.
    pub const fn intersection(self, other: PeerSet) -> PeerSet {
        PeerSet(self.0 & other.0)
    }

    /// The peers in either set.
    pub const fn union(self, other: PeerSet) -> PeerSet {
        PeerSet(self.0 | other.0)
    }

    /// The peers, in order.
    pub fn iter(self) -> impl Iterator<Item = PeerId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let id = rest.trailing_zeros() as u8;
                rest &= rest - 1;
                PeerId(id)
            })
        })
    }
}

impl FromIterator<PeerId> for PeerSet {
    fn from_iter<I: IntoIterator<Item = PeerId>>(peers: I) -> PeerSet {
        let mut set = PeerSet::new();
        for peer in peers {
            set.insert(peer);
        }
        set
    }
}

impl Extend<PeerId> for PeerSet {
    fn extend<I: IntoIterator<Item = PeerId>>(&mut self, peers: I) {
        for peer in peers {
            self.insert(peer);
        }
    }
}

impl fmt::Debug for PeerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The members of an ensemble and its rule for quorums.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumConfig {
    /// The servers that vote, in order.
    pub voters: BTreeSet<PeerId>,
    /// The servers that follow without a vote, in order.
    pub observers: BTreeSet<PeerId>,
    /// The rule.
    pub rule: QuorumRule,
}

/// What makes a set of voters a quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuorumRule {
    /// More than half of the voters.
    Majority,
    /// More than half of the groups whose weight is not zero, each with more than half of its weight. One group with
    /// weights is the weighted majority. A voter without an entry has weight 1; every voter is in exactly one group.
    Hierarchical {
        /// The groups.
        groups: Vec<BTreeSet<PeerId>>,
        /// The weights.
        weights: BTreeMap<PeerId, u32>,
    },
}

impl QuorumConfig {
    /// An ensemble of these voters, without observers, ruled by majority.
    pub fn majority(voters: impl IntoIterator<Item = PeerId>) -> QuorumConfig {
        QuorumConfig {
            voters: voters.into_iter().collect(),
            observers: BTreeSet::new(),
            rule: QuorumRule::Majority,
        }
    }

    /// Whether this is an ensemble at all; if not, what is wrong with it.
    pub fn validate(&self) -> Result<(), String> {
        if self.voters.is_empty() {
            return Err("an ensemble needs at least one voter".into());
        }
        for id in self.members() {
            if id.0 == 0 || id.0 > PeerSet::ID_MAX {
                return Err(format!("{id}: a server's number is from 1 to 127"));
            }
        }
        if let Some(id) = self.voters.intersection(&self.observers).next() {
            return Err(format!("{id} is both a voter and an observer"));
        }
        if let QuorumRule::Hierarchical { groups, weights } = &self.rule {
            self.validate_groups(groups, weights)?;
        }
        Ok(())
    }

    fn validate_groups(
        &self,
        groups: &[BTreeSet<PeerId>],
        weights: &BTreeMap<PeerId, u32>,
    ) -> Result<(), String> {
        for id in &self.voters {
            let in_groups = groups.iter().filter(|group| group.contains(id)).count();
            if in_groups != 1 {
                return Err(format!(
                    "{id} is in {in_groups} groups; a voter is in exactly one"
                ));
            }
        }
        if let Some(id) = groups.iter().flatten().find(|id| !self.is_voter(**id)) {
            return Err(format!("{id} is in a group, but is no voter"));
        }
        if let Some(id) = weights.keys().find(|id| !self.is_voter(**id)) {
            return Err(format!("{id} has a weight, but is no voter"));
        }
        if self.voters.iter().all(|id| self.weight(*id) == 0) {
            return Err("every voter has weight 0: no set would be a quorum".into());
        }
        Ok(())
    }

    /// Whether these peers are a quorum. Peers that are no voters do not count.
    pub fn is_quorum(&self, set: PeerSet) -> bool {
        match &self.rule {
            QuorumRule::Majority => {
                let counted = self.voters.iter().filter(|id| set.contains(**id)).count();
                counted > self.voters.len() / 2
            }
            QuorumRule::Hierarchical { groups, .. } => {
                let (mut weighty, mut won) = (0usize, 0usize);
                for group in groups {
                    let (mut total, mut counted) = (0u64, 0u64);
                    for id in group {
                        let weight = u64::from(self.weight(*id));
                        total += weight;
                        counted += if set.contains(*id) { weight } else { 0 };
                    }
                    weighty += usize::from(total > 0);
                    won += usize::from(counted > total / 2);
                }
                won > weighty / 2
            }
        }
    }

    /// Whether this peer votes.
    pub fn is_voter(&self, id: PeerId) -> bool {
        self.voters.contains(&id)
    }

    /// Whether this peer observes.
    pub fn is_observer(&self, id: PeerId) -> bool {
        self.observers.contains(&id)
    }

    /// What a peer's vote weighs: 0 for an observer or a stranger.
    pub fn weight(&self, id: PeerId) -> u32 {
        match &self.rule {
            _ if !self.is_voter(id) => 0,
            QuorumRule::Majority => 1,
            QuorumRule::Hierarchical { weights, .. } => weights.get(&id).copied().unwrap_or(1),
        }
    }

    /// Voters and observers: the voters first, each in order.
    pub fn members(&self) -> impl Iterator<Item = PeerId> {
        self.voters.iter().chain(&self.observers).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(ids: &[u8]) -> PeerSet {
        ids.iter().map(|id| PeerId(*id)).collect()
    }

    fn ensemble(groups: &[&[u8]], weights: &[(u8, u32)]) -> QuorumConfig {
        let groups: Vec<BTreeSet<PeerId>> = groups
            .iter()
            .map(|group| group.iter().map(|id| PeerId(*id)).collect())
            .collect();
        QuorumConfig {
            voters: groups.iter().flatten().copied().collect(),
            observers: BTreeSet::new(),
            rule: QuorumRule::Hierarchical {
                groups,
                weights: weights.iter().map(|(id, w)| (PeerId(*id), *w)).collect(),
            },
        }
    }

    #[test]
    fn a_majority_is_more_than_half() {
        let four = QuorumConfig::majority([1, 2, 3, 4].map(PeerId));
        assert!(
            !four.is_quorum(peers(&[1, 2])),
            "half is not more than half"
        );
        assert!(four.is_quorum(peers(&[1, 2, 4])));
        assert!(
            !four.is_quorum(peers(&[1, 2, 9, 10])),
            "strangers do not count"
        );
        assert!(QuorumConfig::majority([PeerId(7)]).is_quorum(peers(&[7])));
    }

    #[test]
    fn groups_need_more_than_half_of_their_weight_and_more_than_half_of_the_groups() {
        let nine = ensemble(&[&[1, 2, 3], &[4, 5, 6], &[7, 8, 9]], &[]);
        assert!(nine.is_quorum(peers(&[1, 2, 4, 5])), "four of nine suffice");
        assert!(
            !nine.is_quorum(peers(&[1, 2, 3, 4, 7])),
            "one group and two thirds are not"
        );
        let weighted = ensemble(&[&[1, 2, 3]], &[(1, 3), (2, 1), (3, 1)]);
        assert!(weighted.is_quorum(peers(&[1])), "3 of 5");
        assert!(!weighted.is_quorum(peers(&[2, 3])), "2 of 5");
    }

    #[test]
    fn a_group_without_weight_is_no_group() {
        let config = ensemble(&[&[1, 2, 3], &[4, 5]], &[(4, 0), (5, 0)]);
        assert_eq!(config.validate(), Ok(()));
        assert!(config.is_quorum(peers(&[1, 2])));
        assert!(!config.is_quorum(peers(&[1, 4, 5])));
        assert_eq!(config.weight(PeerId(4)), 0);
    }

    /// The one property that ZAB needs, for every pair of sets of voters.
    #[test]
    fn any_two_quorums_intersect() {
        let configs = [
            QuorumConfig::majority([1, 2, 3, 4, 5].map(PeerId)),
            QuorumConfig::majority([1, 2, 3, 4].map(PeerId)),
            ensemble(&[&[1, 2, 3], &[4, 5, 6]], &[]),
            ensemble(&[&[1, 2], &[3, 4], &[5]], &[(1, 2), (2, 0)]),
            ensemble(&[&[1, 2, 3, 4, 5]], &[(1, 4), (5, 2)]),
        ];
        for config in &configs {
            config.validate().unwrap();
            let sets: Vec<PeerSet> = (0..1u128 << 7).map(PeerSet).collect();
            let quorums: Vec<&PeerSet> = sets.iter().filter(|s| config.is_quorum(**s)).collect();
            assert!(!quorums.is_empty());
            for a in &quorums {
                for b in &quorums {
                    let both = config
                        .voters
                        .iter()
                        .any(|id| a.contains(*id) && b.contains(*id));
                    assert!(both, "{a:?} and {b:?} under {config:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_ensemble_is_refused() {
        let error = |config: &QuorumConfig| config.validate().unwrap_err();
        assert!(error(&QuorumConfig::majority([])).contains("at least one voter"));
        assert!(error(&QuorumConfig::majority([PeerId(0)])).contains("from 1 to 127"));
        assert!(error(&QuorumConfig::majority([PeerId(200)])).contains("s200"));
        let mut both = QuorumConfig::majority([PeerId(1)]);
        both.observers.insert(PeerId(1));
        assert!(error(&both).contains("both a voter and an observer"));
        let mut twice = ensemble(&[&[1, 2], &[2, 3]], &[]);
        assert!(error(&twice).contains("s2 is in 2 groups"));
        twice = ensemble(&[&[1, 2]], &[(1, 0), (2, 0)]);
        assert!(error(&twice).contains("weight 0"));
        twice = ensemble(&[&[1, 2]], &[(9, 1)]);
        assert!(error(&twice).contains("s9 has a weight"));
    }

    #[test]
    fn a_set_of_peers_is_a_set() {
        let mut set = PeerSet::new();
        assert!(set.is_empty());
        assert!(set.insert(PeerId(127)) && !set.insert(PeerId(127)));
        assert!(set.contains(PeerId(127)) && !set.contains(PeerId(255)));
        assert!(set.remove(PeerId(127)) && !set.remove(PeerId(127)));
        assert_eq!(
            peers(&[5, 1])
                .union(peers(&[2]))
                .intersection(peers(&[1, 2, 9])),
            peers(&[1, 2])
        );
        assert_eq!(format!("{:?}", peers(&[3, 1])), "{s1, s3}");
        assert_eq!(peers(&[1, 2]).len(), 2);
    }
}
