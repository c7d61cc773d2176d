//! The application of each server: the list of everything it applied.

use super::{Bus, Event};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use zab::{Delivery, Input, Payload, PeerId, SnapshotId, SyncId, Txn, Zxid};

/// What an application holds: everything it applied. (A list of transactions is as good a state as any.)
#[derive(Default)]
pub struct App {
    pub state: Vec<Arc<Txn>>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) snapshots: BTreeMap<SnapshotId, usize>,
}

pub(super) enum Queued {
    Txn(Arc<Txn>, Delivery),
    SyncDone(SyncId),
}

impl Bus {
    pub(super) fn apply(&mut self, id: PeerId) {
        let node = self.nodes.get_mut(&id).expect("a member");
        match node.app.queue.pop_front() {
            // A restore dropped it.
            None => {}
            Some(Queued::SyncDone(sync)) => {
                let at = node.app.state.last().map_or(Zxid::ZERO, |txn| txn.zxid);
                self.oracle.on_sync_done(sync, at);
            }
            Some(Queued::Txn(txn, delivery)) => {
                let zxid = txn.zxid;
                let place = node.app.state.partition_point(|own| own.zxid < zxid);
                match node.app.state.get(place) {
                    // A fuzzy snapshot had it already.
                    Some(own) => assert_eq!(own.record, txn.record, "{id} at {zxid}"),
                    None => {
                        let last = node.app.state.last().map_or(Zxid::ZERO, |own| own.zxid);
                        assert_eq!(txn.prev, last, "{id} applies {zxid} over a hole");
                        node.app.state.push(txn);
                    }
                }
                self.oracle
                    .on_applied(id, &node.app.state[..=place], delivery);
                self.step(id, Input::Applied { zxid });
            }
        }
    }

    pub(super) fn chunk(&mut self, id: PeerId, life: u64, snapshot: SnapshotId) {
        const PIECE: usize = 3;
        let node = self.nodes.get_mut(&id).expect("a member");
        let Some(done) = node.app.snapshots.get_mut(&snapshot) else {
            return;
        };
        // Fuzzy: what was applied since the beginning gets in as well.
        let state = &node.app.state;
        let end = (*done + PIECE).min(state.len());
        let bytes = encode(&state[*done..end]);
        *done = end;
        let last = end == state.len();
        if last {
            node.app.snapshots.remove(&snapshot);
        }
        self.step(
            id,
            Input::SnapshotChunk {
                snapshot,
                bytes,
                last,
            },
        );
        if !last {
            let at = self.now + self.latency(200);
            self.schedule(at, Event::Chunk(id, life, snapshot));
        }
    }
}

fn encode(txns: &[Arc<Txn>]) -> Payload {
    let mut bytes = Vec::new();
    for txn in txns {
        bytes.extend_from_slice(&txn.zxid.0.to_le_bytes());
        bytes.extend_from_slice(&txn.prev.0.to_le_bytes());
        bytes.extend_from_slice(&(txn.record.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&txn.record);
    }
    bytes.into()
}

pub fn decode(chunks: &[Payload]) -> Vec<Arc<Txn>> {
    let bytes = chunks.concat();
    let mut txns = Vec::new();
    let mut at = 0;
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    while at < bytes.len() {
        let len = number(at + 16) as usize;
        txns.push(Arc::new(Txn {
            zxid: Zxid(number(at)),
            prev: Zxid(number(at + 8)),
            record: bytes[at + 24..at + 24 + len].into(),
        }));
        at += 24 + len;
    }
    txns
}
