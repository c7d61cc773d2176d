//! The committed log of a run, gathered from what leaders say: the witness that the checks of histories replay.
//!
//! Every transaction is seen when its leader proposes it. It is committed once an established leader says so: with its
//! epoch's initial history, or one by one. A leader names the end only; the chain of predecessors that each transaction
//! carries leads back to what was committed before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zab::{Note, Zxid};
use zabsim_model::{CommittedTxn, Life, TxnKind, Witness};
use zabsim_server::{Owner, Txn, TxnBody};
use zabsim_types::{CONFIG_NODE, ErrorCode, SessionId};

/// Gathers the committed log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Proposed and not known to be committed.
    proposed: BTreeMap<Zxid, Arc<zab::Txn>>,
    committed: Vec<Arc<zab::Txn>>,
    /// Sessions that were made and not closed among the first `searched` of them.
    open: BTreeSet<SessionId>,
    searched: usize,
    /// Of one step back through the chain, kept for its memory.
    chain: Vec<Arc<zab::Txn>>,
}

impl Log {
    /// A server that leads says something.
    pub(crate) fn observe(&mut self, note: &Note) {
        match note {
            Note::Proposed { txn } => {
                self.proposed.insert(txn.zxid, txn.clone());
            }
            Note::Established { history, .. } => self.commit_upto(*history),
            Note::Committed { zxid } => self.commit_upto(*zxid),
            _ => {}
        }
    }

    fn last(&self) -> Zxid {
        self.committed.last().map_or(Zxid::ZERO, |txn| txn.zxid)
    }

    fn commit_upto(&mut self, end: Zxid) {
        let last = self.last();
        let mut at = end;
        while at > last {
            // A transaction that nobody proposed is the affair of the check `integrity`.
            let Some(txn) = self.proposed.remove(&at) else {
                break;
            };
            at = txn.prev;
            self.chain.push(txn);
        }
        self.committed.extend(self.chain.drain(..).rev());
    }

    /// Whether a session's making is committed and its end is not. One that no transaction ever made is not open.
    pub(crate) fn is_open(&mut self, session: SessionId) -> bool {
        for txn in &self.committed[self.searched..] {
            match Txn::decode(txn.payload()) {
                Ok(Txn {
                    session,
                    body: TxnBody::CreateSession { .. },
                    ..
                }) => {
                    self.open.insert(session);
                }
                Ok(Txn {
                    session,
                    body: TxnBody::CloseSession { .. },
                    ..
                }) => {
                    self.open.remove(&session);
                }
                _ => {}
            }
        }
        self.searched = self.committed.len();
        self.open.contains(&session)
    }

    /// The committed log in the words of the model. Of what cannot be decoded, its zxid and why.
    pub(crate) fn witness(&self) -> Result<Witness, String> {
        let txns = self.committed.iter().map(|txn| {
            Txn::decode(txn.payload())
                .map(|decoded| committed(txn.zxid, decoded))
                .map_err(|error| format!("{}: {error}", txn.zxid))
        });
        Ok(Witness {
            txns: txns.collect::<Result<_, _>>()?,
        })
    }
}

fn committed(zxid: Zxid, txn: Txn) -> CommittedTxn {
    CommittedTxn {
        zxid: zabsim_types::Zxid(zxid.0),
        session: txn.session,
        cxid: txn.cxid,
        time_ms: txn.time_ms,
        what: kind(txn.body),
    }
}

fn kind(body: TxnBody) -> TxnKind {
    match body {
        TxnBody::CreateSession { timeout_ms } => TxnKind::CreateSession { timeout_ms },
        TxnBody::CloseSession { .. } => TxnKind::CloseSession,
        TxnBody::Create {
            path, data, owner, ..
        } => TxnKind::Create {
            path,
            data,
            ephemeral: owner.is_session(),
            life: match owner {
                Owner::Nobody | Owner::Session(_) => Life::Unbound,
                Owner::Container => Life::Container,
                Owner::Ttl { ttl_ms } => Life::Ttl(ttl_ms),
            },
        },
        TxnBody::Delete { path } => TxnKind::Delete { path },
        TxnBody::SetData { path, data, .. } => TxnKind::SetData { path, data },
        TxnBody::Reconfig { data, .. } => TxnKind::SetData {
            path: CONFIG_NODE.into(),
            data,
        },
        TxnBody::SetAcl { path, acl, .. } => TxnKind::SetAcl { path, acl },
        TxnBody::Check { path } => TxnKind::Check { path },
        TxnBody::Error(code) => TxnKind::Error { code },
        TxnBody::Multi(parts) => {
            // Either every part is an error or none is.
            let culprit = parts.iter().find_map(|part| match part {
                TxnBody::Error(code) if *code != ErrorCode::Ok => Some(*code),
                _ => None,
            });
            match culprit {
                Some(code) => TxnKind::Error { code },
                None => TxnKind::Multi {
                    parts: parts.into_iter().map(kind).collect(),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zab::Epoch;

    fn proposed(epoch: u32, counter: u32, prev: Zxid) -> Note {
        let body = TxnBody::CreateSession {
            timeout_ms: counter,
        };
        let payload = Txn {
            session: SessionId(7),
            conn: zabsim_server::ConnId(1),
            cxid: zabsim_types::Xid(1),
            time_ms: 1,
            body,
            counts: vec![],
        };
        let zxid = Zxid::new(Epoch(epoch), counter);
        Note::Proposed {
            txn: Arc::new(zab::Txn::new(zxid, prev, &payload.encode())),
        }
    }

    fn zxids(log: &Log) -> Vec<Zxid> {
        log.committed.iter().map(|txn| txn.zxid).collect()
    }

    #[test]
    fn what_no_established_leader_had_in_its_history_was_never_committed() {
        let at = |epoch, counter| Zxid::new(Epoch(epoch), counter);
        let mut log = Log::default();
        log.observe(&proposed(1, 1, Zxid::ZERO));
        log.observe(&proposed(1, 2, at(1, 1)));
        log.observe(&proposed(1, 3, at(1, 2)));
        log.observe(&Note::Committed { zxid: at(1, 1) });
        assert_eq!(zxids(&log), [at(1, 1)]);
        // The next leader has the second one, not the third.
        log.observe(&Note::Established {
            epoch: Epoch(2),
            history: at(1, 2),
        });
        log.observe(&proposed(2, 1, at(1, 2)));
        log.observe(&Note::Committed { zxid: at(2, 1) });
        assert_eq!(zxids(&log), [at(1, 1), at(1, 2), at(2, 1)]);
        let witness = log.witness().expect("decodes");
        assert_eq!(witness.txns.len(), 3);
        assert_eq!(
            witness.txns[2].what,
            TxnKind::CreateSession { timeout_ms: 1 }
        );
    }
}
