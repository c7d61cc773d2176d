//! Who votes, who observes, and which sets of voters are a quorum (`QuorumVerifier`: `QuorumMaj`, `QuorumHierarchical`).
//!
//! Any two quorums intersect: that is all that ZAB needs of them.

use crate::PeerId;
use std::collections::{BTreeMap, BTreeSet};

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
