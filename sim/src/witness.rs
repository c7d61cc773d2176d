//! The committed log of a run, gathered from what leaders say: the witness that the checks of histories replay.
//!
//! Every transaction is seen when its leader proposes it. It is committed once an established leader says so: with its
//! epoch's initial history, or one by one. A leader names the end only; the chain of predecessors that each transaction
//! carries leads back to what was committed before. A step check decodes every committed transaction anyway; what it has
//! decoded is taken from there.

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
    proposed: BTreeMap<Zxid, Proposal>,
    /// In the words of the model.
    committed: Witness,
    /// The first that could not be decoded, and why.
    unreadable: Option<String>,
    last: Zxid,
    /// Sessions that were made and not closed among the first `searched` of them.
    open: BTreeSet<SessionId>,
    searched: usize,
    /// Of one step back through the chain, kept for its memory.
    chain: Vec<Proposal>,
}

#[derive(Debug)]
struct Proposal {
    txn: Arc<zab::Txn>,
    /// What it says, if that is known.
    decoded: Option<Txn>,
}

impl Log {
    /// What a transaction says.
    pub(crate) fn know(&mut self, txn: &Arc<zab::Txn>, decoded: Txn) {
        if let Some(proposal) = self.proposed.get_mut(&txn.zxid)
            && Arc::ptr_eq(&proposal.txn, txn)
        {
            proposal.decoded = Some(decoded);
        }
    }

    /// A server that leads says something.
    pub(crate) fn observe(&mut self, note: &Note) {
        match note {
            Note::Proposed { txn } => {
                let (txn, decoded) = (txn.clone(), None);
                self.proposed.insert(txn.zxid, Proposal { txn, decoded });
            }
            Note::Established { history, .. } => self.commit_upto(*history),
            Note::Committed { zxid } => self.commit_upto(*zxid),
            _ => {}
        }
    }

    fn commit_upto(&mut self, end: Zxid) {
        let mut at = end;
        while at > self.last {
            // A transaction that nobody proposed is the affair of the check `integrity`.
            let Some(proposal) = self.proposed.remove(&at) else {
                break;
            };
            at = proposal.txn.prev;
            self.chain.push(proposal);
        }
        while let Some(Proposal { txn, decoded }) = self.chain.pop() {
            self.last = txn.zxid;
            match decoded.map_or_else(|| Txn::decode(txn.payload()), Ok) {
                Ok(decoded) => self.committed.txns.push(committed(txn.zxid, decoded)),
                Err(error) => {
                    let why = || format!("{}: {error}", txn.zxid);
                    self.unreadable.get_or_insert_with(why);
                }
            }
        }
    }

    /// Whether a session's making is committed and its end is not. One that no transaction ever made is not open.
    pub(crate) fn is_open(&mut self, session: SessionId) -> bool {
        for txn in &self.committed.txns[self.searched..] {
            match txn.what {
                TxnKind::CreateSession { .. } => self.open.insert(txn.session),
                TxnKind::CloseSession => self.open.remove(&txn.session),
                _ => false,
            };
        }
        self.searched = self.committed.txns.len();
        self.open.contains(&session)
    }

    /// Hands the committed log over. Of what cannot be decoded, its zxid and why.
    pub(crate) fn into_witness(self) -> Result<Witness, String> {
        match self.unreadable {
            Some(why) => Err(why),
            None => Ok(self.committed),
        }
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
        let zxids = log.committed.txns.iter().map(|txn| txn.zxid);
        zxids.map(|zxid| Zxid(zxid.0)).collect()
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
        let witness = log.into_witness().expect("decodes");
        assert_eq!(witness.txns.len(), 3);
        assert_eq!(
            witness.txns[2].what,
            TxnKind::CreateSession { timeout_ms: 1 }
        );
    }
}
