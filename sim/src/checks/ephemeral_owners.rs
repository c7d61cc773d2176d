//! **Ephemeral owners**: at every zxid, the owner of every ephemeral is in the session table.
//!
//! The committed sequence is one for all servers, so one book of sessions and ephemerals, kept from the transactions
//! themselves as they are committed, speaks for all trees at once: an ephemeral is created only for a session in the table,
//! and a session leaves the table together with all of its ephemerals. (That every tree is what its transactions say, on
//! every server and from every snapshot, is "same zxid, same digest": the digest covers nodes and sessions.)
//!
//! Source: ZooKeeper `DataTree.killSession`, `PrepRequestProcessor` (closeSession with its list); ZOOKEEPER-1208, 1496, 2355.

use super::CheckId::EphemeralOwners as ID;
use super::docket::Docket;
use std::collections::{BTreeMap, BTreeSet};
use zabsim_server::{Owner, Txn, TxnBody};
use zabsim_types::{SessionId, ZPath};

pub(super) const NAME: &str = "ephemeral-owners";
pub(super) const ABOUT: &str = "the owner of every ephemeral is in the session table.";

#[derive(Default)]
pub(super) struct EphemeralOwners {
    /// The session table, with the ephemerals of each.
    sessions: BTreeMap<SessionId, BTreeSet<ZPath>>,
    owners: BTreeMap<ZPath, SessionId>,
}

impl EphemeralOwners {
    /// `txn` is added to the committed sequence. Gives what it says, for who else wants to know.
    pub(super) fn on_commit(&mut self, d: &mut Docket, txn: &zab::Txn) -> Option<Txn> {
        // What cannot be decoded cannot be applied either: the servers say so.
        let decoded = Txn::decode(txn.payload()).ok()?;
        self.take(d, txn.zxid, decoded.session, &decoded.body);
        Some(decoded)
    }

    fn take(&mut self, d: &mut Docket, zxid: zab::Zxid, session: SessionId, body: &TxnBody) {
        match body {
            TxnBody::CreateSession { .. } => {
                self.sessions.entry(session).or_default();
            }
            TxnBody::CloseSession { ephemerals } => {
                for path in ephemerals {
                    let owner = self.owners.get(path).copied();
                    d.require(ID, owner == Some(session), || {
                        let owner = owner.map_or_else(|| "nobody's".to_owned(), |o| format!("{o}'s"));
                        format!("{zxid} ends session {session} and deletes {path} with it, which is {owner}")
                    });
                    self.delete(path);
                }
                let left = self.sessions.remove(&session).unwrap_or_default();
                d.require(ID, left.is_empty(), || {
                    format!(
                        "{zxid} ends session {session} and leaves its ephemerals {}",
                        left.iter()
                            .map(ToString::to_string)
                            .collect::<Vec<_>>()
                            .join(", ")
                    )
                });
            }
            TxnBody::Create {
                path,
                owner: Owner::Session(owner),
                ..
            } => {
                let nodes = self.sessions.get_mut(owner);
                d.require(ID, nodes.is_some(), || {
                    format!("{zxid} creates the ephemeral {path} of session {owner}, which is not in the session table")
                });
                if let Some(nodes) = nodes {
                    nodes.insert(path.clone());
                    self.owners.insert(path.clone(), *owner);
                }
            }
            TxnBody::Delete { path } => self.delete(path),
            TxnBody::Multi(parts) => {
                for part in parts {
                    self.take(d, zxid, session, part);
                }
            }
            TxnBody::Create { .. }
            | TxnBody::SetData { .. }
            | TxnBody::SetAcl { .. }
            | TxnBody::Reconfig { .. }
            | TxnBody::Check { .. }
            | TxnBody::Error(_) => {}
        }
    }

    fn delete(&mut self, path: &ZPath) {
        if let Some(owner) = self.owners.remove(path)
            && let Some(nodes) = self.sessions.get_mut(&owner)
        {
            nodes.remove(path);
        }
    }
}
