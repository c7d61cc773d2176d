//! Every transaction that any server ever held, and the one sequence in which they were committed.
//!
//! A zxid names a transaction for good: what was first seen under it is what it stands for from then on. Likewise the first
//! commit at a place of the committed sequence wins; everyone else is compared with it. That a server's transaction *is* the
//! ledger's is one comparison of a 64-bit hash of its record, so the checks themselves compare zxids.

use std::collections::BTreeMap;
use std::sync::Arc;
use zab::{Configuration, Epoch, Txn, Zxid};
use zabsim_types::ServerId;

/// What is known of one transaction.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// Hash of its whole record.
    pub(super) sum: u64,
    /// The transaction before it, as its record says.
    pub(super) prev: Zxid,
    /// Who showed it first.
    pub(super) seen_at: ServerId,
    /// The leader that broadcast it.
    pub(super) proposer: Option<ServerId>,
    /// It, from its broadcast to its commit.
    pub(super) txn: Option<Arc<Txn>>,
    /// Its place in the committed sequence, counted from 1; 0: not committed.
    place: u32,
    /// The tree's digest after it, and who said so first.
    pub(super) digest: Option<(u64, ServerId)>,
}

impl Fact {
    /// Its place in the committed sequence, from 0.
    #[inline]
    pub(super) fn place(&self) -> Option<usize> {
        (self.place as usize).checked_sub(1)
    }
}

/// The transactions of one epoch, by counter.
struct EpochFacts {
    epoch: Epoch,
    facts: Vec<Option<Fact>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Ledger {
    /// In order of epochs; most questions are about the last.
    epochs: Vec<EpochFacts>,
    committed: Vec<Zxid>,
    /// Every configuration that was ever proposed.
    configs: BTreeMap<Zxid, Arc<Configuration>>,
}

/// A counter that runs ahead of all known ones by more than this is not filled in by empty places: such a zxid is nobody's.
const GAP_MAX: usize = 1 << 16;

impl Ledger {
    #[inline]
    pub(super) fn fact(&self, zxid: Zxid) -> Option<&Fact> {
        let at = self.find(zxid.epoch())?;
        self.epochs[at].facts.get(zxid.counter() as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn fact_mut(&mut self, zxid: Zxid) -> Option<&mut Fact> {
        let at = self.find(zxid.epoch())?;
        self.epochs[at]
            .facts
            .get_mut(zxid.counter() as usize)?
            .as_mut()
    }

    /// Enters a transaction and gives what the ledger holds under its zxid: this one, or what was there first.
    /// `None` where the zxid is out of all proportion.
    pub(super) fn enter(
        &mut self,
        zxid: Zxid,
        prev: Zxid,
        sum: u64,
        seen_at: ServerId,
    ) -> Option<&mut Fact> {
        let at = match self.find(zxid.epoch()) {
            Some(at) => at,
            None => self.open(zxid.epoch()),
        };
        let facts = &mut self.epochs[at].facts;
        let counter = zxid.counter() as usize;
        if counter >= facts.len() {
            if counter - facts.len() > GAP_MAX {
                return None;
            }
            facts.resize(counter + 1, None);
        }
        Some(facts[counter].get_or_insert(Fact {
            sum,
            prev,
            seen_at,
            proposer: None,
            txn: None,
            place: 0,
            digest: None,
        }))
    }

    /// A configuration was proposed.
    pub(super) fn propose(&mut self, config: Arc<Configuration>) {
        self.configs.entry(config.version()).or_insert(config);
    }

    /// All that were ever proposed.
    pub(super) fn configs(&self) -> impl Iterator<Item = &Arc<Configuration>> {
        self.configs.values()
    }

    /// The last configuration on the way to `end`, and the one before it. `None`: the ensemble's first.
    pub(super) fn configs_at(
        &self,
        end: Zxid,
    ) -> (Option<&Arc<Configuration>>, Option<&Arc<Configuration>>) {
        if self.configs.is_empty() {
            return (None, None);
        }
        let mut way = self.configs.range(..=end).rev();
        let last = way.find(|(zxid, _)| self.leads_to(end, **zxid));
        // A configuration is proposed only when the one before it is committed.
        let before = last.and_then(|_| way.find(|(zxid, _)| self.is_committed(**zxid)));
        (
            last.map(|(_, config)| config),
            before.map(|(_, config)| config),
        )
    }

    pub(super) fn is_committed(&self, zxid: Zxid) -> bool {
        self.fact(zxid).is_some_and(|fact| fact.place().is_some())
    }

    /// Appends to the committed sequence. Gives the transaction, if its broadcast was seen.
    pub(super) fn commit(&mut self, zxid: Zxid) -> Option<Arc<Txn>> {
        self.committed.push(zxid);
        let place = self.committed.len() as u32;
        let fact = self.fact_mut(zxid)?;
        fact.place = place;
        fact.txn.take()
    }

    /// The committed sequence.
    #[inline]
    pub(super) fn committed(&self) -> &[Zxid] {
        &self.committed
    }

    /// The last committed transaction; zero if there is none.
    #[inline]
    pub(super) fn last_committed(&self) -> Zxid {
        self.committed.last().copied().unwrap_or(Zxid::ZERO)
    }

    /// The committed transaction before this place; zero at the beginning.
    #[inline]
    pub(super) fn before_place(&self, place: usize) -> Zxid {
        match place {
            0 => Zxid::ZERO,
            _ => self.committed[place - 1],
        }
    }

    /// Whether the way back from `end`, from predecessor to predecessor, comes through `zxid`. What is committed is one way,
    /// so that only what is not yet is walked.
    pub(super) fn leads_to(&self, end: Zxid, zxid: Zxid) -> bool {
        let mut at = end;
        while at > zxid {
            match self.fact(at) {
                Some(fact) if fact.place().is_some() => {
                    let known = self.fact(zxid).and_then(Fact::place);
                    return zxid == Zxid::ZERO || known.is_some();
                }
                Some(fact) => at = fact.prev,
                None => return false,
            }
        }
        at == zxid
    }

    #[inline]
    fn find(&self, epoch: Epoch) -> Option<usize> {
        let last = self.epochs.len().checked_sub(1)?;
        if self.epochs[last].epoch == epoch {
            return Some(last);
        }
        self.epochs.binary_search_by_key(&epoch, |e| e.epoch).ok()
    }

    fn open(&mut self, epoch: Epoch) -> usize {
        let at = self.epochs.partition_point(|e| e.epoch < epoch);
        self.epochs.insert(
            at,
            EpochFacts {
                epoch,
                facts: Vec::new(),
            },
        );
        at
    }
}
