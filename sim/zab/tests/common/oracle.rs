//! What must hold at every step, whatever the bus does.

use super::{Node, decode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zab::{
    Configuration, Delivery, Epoch, Note, PeerId, PeerSet, QuorumConfig, SyncId, SyncKind,
    SyncSource, Txn, Zxid, recover_offline,
};

/// Watches all servers at once.
pub struct Oracle {
    quorum: QuorumConfig,
    /// Everything ever proposed.
    proposed: BTreeMap<Zxid, Arc<Txn>>,
    /// Everything that some server knew to be committed, in order.
    pub committed: Vec<Arc<Txn>>,
    /// Who established which epoch.
    pub established: BTreeMap<Epoch, PeerId>,
    /// How many of each application's transactions were compared with `committed`.
    compared: BTreeMap<PeerId, usize>,
    /// What a barrier must see.
    barriers: BTreeMap<SyncId, Zxid>,
    pub barriers_passed: u64,
    /// What happened, and how often.
    pub counts: BTreeMap<String, u64>,
    /// The epochs on disk never go back.
    epochs: BTreeMap<PeerId, (Epoch, Epoch)>,
}

impl Oracle {
    pub fn new(quorum: QuorumConfig) -> Oracle {
        Oracle {
            quorum,
            proposed: BTreeMap::new(),
            committed: Vec::new(),
            established: BTreeMap::new(),
            compared: BTreeMap::new(),
            barriers: BTreeMap::new(),
            barriers_passed: 0,
            counts: BTreeMap::new(),
            epochs: BTreeMap::new(),
        }
    }

    fn last(&self) -> Zxid {
        self.committed.last().map_or(Zxid::ZERO, |txn| txn.zxid)
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// Agreement and total order: whatever is known to be committed is on one chain.
    fn commit(&mut self, by: PeerId, zxid: Zxid) {
        let last = self.last();
        if zxid <= last {
            let known = self.committed.binary_search_by_key(&zxid, |txn| txn.zxid);
            assert!(
                zxid == Zxid::ZERO || known.is_ok(),
                "{by} knows {zxid} to be committed; others passed it by"
            );
            return;
        }
        let mut chain = Vec::new();
        let mut at = zxid;
        while at > last {
            let txn = &self.proposed[&at];
            at = txn.prev;
            chain.push(txn.clone());
        }
        assert_eq!(
            at, last,
            "{by} knows {zxid} to be committed, and its history passes the committed {last} by"
        );
        self.committed.extend(chain.into_iter().rev());
    }

    pub fn on_note(&mut self, node: &Node, note: &Note) {
        let id = node.id;
        match note {
            Note::Proposed { txn } => {
                let before = self.proposed.insert(txn.zxid, txn.clone());
                assert!(before.is_none(), "{} was proposed twice", txn.zxid);
            }
            Note::Established { epoch, history } => {
                let before = self.established.insert(*epoch, id);
                assert_eq!(before, None, "two leaders of {epoch}: {id} is the second");
                // Initial history integrity: it has everything ever committed in earlier epochs. (A leader may learn of its
                // quorum when a later epoch is established already.)
                self.commit(id, *history);
                let earlier = self.committed.iter().rfind(|txn| txn.zxid.epoch() < *epoch);
                let earlier = earlier.map_or(Zxid::ZERO, |txn| txn.zxid);
                assert_eq!(earlier, *history, "{id} established {epoch} without all");
                self.count("established");
            }
            Note::Committed { zxid } => self.commit(id, *zxid),
            Note::ConfigurationActive(config) => {
                // Nobody goes by a configuration alone that a leader has not committed; one's own disk may tell it first.
                let known = self
                    .committed
                    .iter()
                    .any(|txn| txn.zxid == config.version());
                assert!(known, "{id} activates {}, not committed", config.version());
                self.count("activated");
            }
            Note::IllegalMessage {
                message,
                phase,
                why,
            } => panic!("{id} got {message} in {phase:?}: {why}"),
            Note::SyncChosen { kind, source, .. } => {
                let kind: &SyncKind = kind;
                let suffix = match source {
                    SyncSource::CommittedLog => "",
                    SyncSource::DiskLog => " from disk",
                };
                self.count(format!("{kind:?}{suffix}"));
            }
            Note::AcceptedEpoch(epoch) => {
                let epochs = self.epochs.entry(id).or_default();
                assert!(
                    node.wiped || node.joiner || epochs.0 < *epoch,
                    "{id}'s acceptedEpoch goes back"
                );
                epochs.0 = *epoch;
            }
            Note::CurrentEpoch(epoch) => {
                let epochs = self.epochs.entry(id).or_default();
                assert!(
                    node.wiped || node.joiner || epochs.1 < *epoch,
                    "{id}'s currentEpoch goes back"
                );
                assert!(
                    *epoch <= epochs.0,
                    "{id}'s currentEpoch overtakes acceptedEpoch"
                );
                epochs.1 = *epoch;
            }
            Note::Recovered {
                last,
                accepted,
                current,
                ..
            } => {
                let epochs = self.epochs.entry(id).or_default();
                assert!(
                    node.wiped || (*accepted >= epochs.0 && *current >= epochs.1),
                    "{id} lost an epoch at {last}"
                );
                *epochs = (*accepted, *current);
            }
            Note::Mark(name) => self.count(*name),
            Note::SnapshotTaken { .. } => self.count("snapshot taken"),
            Note::SteppedDown { reason } => self.count(format!("stepped down: {reason}")),
            _ => {}
        }
    }

    pub fn on_restore(&mut self, id: PeerId, zxid: Zxid, state: &[Arc<Txn>]) {
        let last = state.last().map_or(Zxid::ZERO, |txn| txn.zxid);
        assert!(
            last >= zxid,
            "{id} restores {zxid} from a state that ends at {last}"
        );
        // Not yet compared with what is committed: a snapshot from a leader that never established its epoch, installed, may
        // hold what is lost to another history. It must not be served, and nothing is delivered as committed behind it.
        self.compared.insert(id, 0);
    }

    /// `state` is the application's up to the transaction that was applied just now.
    pub fn on_applied(&mut self, id: PeerId, state: &[Arc<Txn>], delivery: Delivery) {
        if delivery == Delivery::Replayed {
            // It may be cut off again; then the application starts from a snapshot.
            return;
        }
        let zxid = state.last().expect("one was applied").zxid;
        self.commit(id, zxid);
        let compared = self.compared.entry(id).or_default();
        let beside = state.iter().zip(&self.committed).enumerate();
        for (place, (own, committed)) in beside.skip(*compared) {
            assert_eq!(own.zxid, committed.zxid, "{id} at its {place}th");
            assert_eq!(own.record, committed.record, "{id} at {}", own.zxid);
        }
        *compared = state.len();
    }

    pub fn on_sync_asked(&mut self, id: SyncId, quorum: bool) {
        if quorum {
            self.barriers.insert(id, self.last());
        }
    }

    /// A read behind a quorum's barrier sees everything that was committed when the barrier was asked for.
    pub fn on_sync_done(&mut self, id: SyncId, applied: Zxid) {
        if let Some(zxid) = self.barriers.remove(&id) {
            assert!(
                applied >= zxid,
                "{id:?} sees {applied}, {zxid} was committed before"
            );
            self.barriers_passed += 1;
        }
    }

    /// Durability: what is committed would survive on a quorum of disks if everybody lost power now; and every disk alone
    /// gives a history that can be continued.
    pub fn check_disks(&self, nodes: &BTreeMap<PeerId, Node>) {
        let last = self.last();
        let reconfigurations = self.committed.iter().rev();
        let made = reconfigurations.filter_map(|txn| txn.configuration());
        let first = Arc::new(Configuration::new(Zxid::ZERO, self.quorum.clone()));
        let mut configs = made.chain([first]);
        let config = configs.next().expect("the first");
        let mut having = PeerSet::new();
        let mut having_config = PeerSet::new();
        for node in nodes.values() {
            if node.wiped {
                // What it held before counts.
                having.insert(node.id);
                having_config.insert(node.id);
                continue;
            }
            let disk = recover_offline(&node.disk.durable_files())
                .unwrap_or_else(|reason| panic!("{}'s disk: {reason}", node.id));
            let mut zxids: BTreeSet<Zxid> = decode(&disk.chunks).iter().map(|t| t.zxid).collect();
            zxids.extend(disk.txns.iter().map(|txn| txn.zxid));
            if last == Zxid::ZERO || zxids.contains(&last) {
                having.insert(node.id);
            }
            if zxids.contains(&config.version()) {
                having_config.insert(node.id);
            }
        }
        // Nobody of the configuration before can do without those who know of this one.
        if let Some(before) = configs.next() {
            assert!(
                before.is_quorum(having_config),
                "{config:?} is committed, and only on the disks of {having_config:?} of {before:?}"
            );
        }
        assert!(
            config.is_quorum(having),
            "{last} is committed, and only on the disks of {having:?}"
        );
    }
}
