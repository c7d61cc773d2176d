//! What is replicated: the data tree and the session table, and how a transaction changes them.
//!
//! For each transaction first the session table changes, then the tree, and `applied` last: a snapshot that begins in
//! between could otherwise claim a createSession that it lacks.
//!
//! **Exactness.** After a fuzzy snapshot was restored, the state is between two states until the log has been replayed to
//! where the snapshot's writing ended. From then on the same zxid means the same digest on every server, and a transaction
//! that does not fit (a create of a node that exists) is a bug: we panic. Before, misfits are expected and passed over.

use crate::node::Node;
use crate::tree::{CONFIG_NODE, CONFIG_VERSION, Tree, split};
use crate::txn::{Owner, Txn, TxnBody};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zab::Bug;
use zabsim_types::{Acl, ErrorCode, SessionId, Stat, ZPath, Zxid};

/// The replicated state of one server.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) tree: Tree,
    /// Timeouts in milliseconds, by session.
    sessions: BTreeMap<SessionId, u32>,
    sessions_digest: u64,
    applied: Zxid,
    exact_from: Zxid,
}

/// One change of the tree, as watches see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    pub(crate) path: ZPath,
    /// The node's list: who may not read it is not told.
    pub(crate) acl: Acl,
    /// The parent's list.
    pub(crate) parent_acl: Acl,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChangeKind {
    Created,
    Deleted,
    DataSet,
}

/// What came of one transaction, in buffers that are used again.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Changes of the tree, in order.
    pub(crate) changes: Vec<Change>,
    /// For each part the node after it (create, setData, setACL), or zeros.
    pub(crate) stats: Vec<Stat>,
}

impl Database {
    /// The initial state.
    pub(crate) fn new() -> Database {
        Database {
            tree: Tree::new(),
            sessions: BTreeMap::new(),
            sessions_digest: 0,
            applied: Zxid::ZERO,
            exact_from: Zxid::ZERO,
        }
    }

    /// The initial state of an ensemble whose configuration's node holds `config`.
    pub(crate) fn initial(config: Option<&str>) -> Database {
        let mut db = Database::new();
        if let Some(config) = config {
            db.tree.set_first_configuration(config);
        }
        db
    }

    /// From a snapshot that was begun at `begun` and finished when `finished` was applied.
    pub(crate) fn restored(
        tree: Tree,
        sessions: BTreeMap<SessionId, u32>,
        begun: Zxid,
        finished: Zxid,
    ) -> Database {
        let sessions_digest = sessions
            .iter()
            .fold(0u64, |d, (s, t)| d.wrapping_add(session_hash(*s, *t)));
        Database {
            tree,
            sessions,
            sessions_digest,
            applied: begun,
            exact_from: finished,
        }
    }

    /// The last transaction applied.
    pub(crate) fn applied(&self) -> Zxid {
        self.applied
    }

    /// Whether the state is that of `applied` exactly.
    pub(crate) fn exact(&self) -> bool {
        self.applied >= self.exact_from
    }

    /// The transaction from which on the state is exact.
    pub(crate) fn exact_from(&self) -> Zxid {
        self.exact_from
    }

    /// Of the tree and the session table; `None` while they are between two states.
    pub(crate) fn digest(&self) -> Option<u64> {
        self.exact()
            .then(|| self.tree.digest().wrapping_add(self.sessions_digest))
    }

    pub(crate) fn sessions(&self) -> &BTreeMap<SessionId, u32> {
        &self.sessions
    }

    /// Takes in the next transaction.
    ///
    /// # Panics
    /// Where it is not the next, or does not fit an exact state.
    pub(crate) fn apply(&mut self, zxid: Zxid, txn: &Txn, outcome: &mut Outcome) {
        assert!(
            zxid > self.applied,
            "{zxid} comes after {} was applied",
            self.applied
        );
        outcome.changes.clear();
        outcome.stats.clear();
        match &txn.body {
            TxnBody::CreateSession { timeout_ms } => {
                let old = self.sessions.insert(txn.session, *timeout_ms);
                self.must_fit(
                    zxid,
                    txn,
                    old.is_none().then_some(()).ok_or(ErrorCode::SystemError),
                );
                if let Some(old) = old {
                    self.forget_hash(txn.session, old);
                }
                let hash = session_hash(txn.session, *timeout_ms);
                self.sessions_digest = self.sessions_digest.wrapping_add(hash);
            }
            TxnBody::CloseSession { ephemerals } => {
                let old = self.sessions.remove(&txn.session);
                // A leader that takes over also ends owners of ephemerals that are in no table; else nobody closes what is
                // not open.
                let ends = old.is_some() || !ephemerals.is_empty();
                self.must_fit(
                    zxid,
                    txn,
                    ends.then_some(()).ok_or(ErrorCode::UnknownSession),
                );
                if let Some(old) = old {
                    self.forget_hash(txn.session, old);
                }
                self.delete_ephemerals(zxid, txn, ephemerals, outcome);
            }
            TxnBody::Multi(parts) => {
                for part in parts {
                    self.apply_part(zxid, txn, part, outcome);
                }
            }
            part => self.apply_part(zxid, txn, part, outcome),
        }
        for (path, data) in &txn.counts {
            let fits = self.tree.set_counts(path, data.clone());
            self.must_fit(zxid, txn, fits);
        }
        self.applied = zxid;
    }

    /// The list in the transaction decides, not the tree: over a fuzzy snapshot some of them are gone already, and their
    /// parents must hear of it all the same (ZOOKEEPER-3145).
    fn delete_ephemerals(&mut self, zxid: Zxid, txn: &Txn, paths: &[ZPath], outcome: &mut Outcome) {
        let found: Vec<ZPath>;
        let paths = match self.tree.bugs.has(Bug::CloseSessionRecomputes) {
            true => {
                found = self.tree.ephemerals(txn.session).cloned().collect();
                &found
            }
            false => paths,
        };
        for path in paths {
            let change = self.change(ChangeKind::Deleted, path);
            let fits = self.tree.delete(path, zxid);
            self.must_fit(zxid, txn, fits);
            outcome.changes.push(change);
        }
        if self.exact() && !self.tree.bugs.has(Bug::EphemeralOutlivesSession) {
            assert!(
                self.tree.ephemerals(txn.session).next().is_none(),
                "{zxid} ends session {} but not all of its ephemerals",
                txn.session
            );
        }
    }

    fn apply_part(&mut self, zxid: Zxid, txn: &Txn, part: &TxnBody, outcome: &mut Outcome) {
        let mut stat = Stat::default();
        let change = match part {
            TxnBody::Create {
                path,
                data,
                acl,
                owner,
                parent_creates,
            } => {
                let owned = match owner {
                    Owner::Session(session) => self.sessions.contains_key(session),
                    Owner::Nobody | Owner::Container | Owner::Ttl { .. } => true,
                };
                let bugs = self.tree.bugs;
                let owned = owned
                    || bugs.has(Bug::NoClosingFlagInPrep)
                    || bugs.has(Bug::TouchRevivesClosing);
                self.must_fit(
                    zxid,
                    txn,
                    owned.then_some(()).ok_or(ErrorCode::SessionExpired),
                );
                let (data, acl) = (data.clone(), acl.clone());
                let node = Node::new(path, data, acl, *owner, zxid, txn.time_ms);
                let made = self.tree.create(path, node, *parent_creates);
                stat = made.unwrap_or_default();
                self.must_fit(zxid, txn, made.map(|_| ()));
                Some(self.change(ChangeKind::Created, path))
            }
            TxnBody::Delete { path } => {
                let change = self.change(ChangeKind::Deleted, path);
                let gone = self.tree.delete(path, zxid);
                self.must_fit(zxid, txn, gone);
                Some(change)
            }
            TxnBody::SetData {
                path,
                data,
                version,
            } => {
                let set = self
                    .tree
                    .set_data(path, data.clone(), *version, zxid, txn.time_ms);
                stat = set.unwrap_or_default();
                self.must_fit(zxid, txn, set.map(|_| ()));
                Some(self.change(ChangeKind::DataSet, path))
            }
            TxnBody::Reconfig { data } => {
                let path: ZPath = CONFIG_NODE.into();
                let set =
                    self.tree
                        .set_data(&path, data.clone(), CONFIG_VERSION, zxid, txn.time_ms);
                stat = set.unwrap_or_default();
                self.must_fit(zxid, txn, set.map(|_| ()));
                Some(self.change(ChangeKind::DataSet, &path))
            }
            // No watch hears of it.
            TxnBody::SetAcl { path, acl, version } => {
                let set = self.tree.set_acl(path, acl.clone(), *version);
                stat = set.unwrap_or_default();
                self.must_fit(zxid, txn, set.map(|_| ()));
                None
            }
            TxnBody::Check { .. } | TxnBody::Error(_) => None,
            TxnBody::Multi(_) | TxnBody::CreateSession { .. } | TxnBody::CloseSession { .. } => {
                unreachable!("the decoder refuses these as parts")
            }
        };
        outcome.stats.push(stat);
        outcome.changes.extend(change);
    }

    /// With the lists of this moment: of a deletion's, before it.
    fn change(&self, kind: ChangeKind, path: &ZPath) -> Change {
        let list = |path: &str| self.tree.node(path).map(|node| node.acl.clone());
        let parent = split(path).and_then(|(parent, _)| list(parent));
        Change {
            kind,
            path: path.clone(),
            acl: list(path).unwrap_or_default(),
            parent_acl: parent.unwrap_or_default(),
        }
    }

    fn must_fit(&self, zxid: Zxid, txn: &Txn, result: Result<(), ErrorCode>) {
        // `applied` is still the transaction before: at `exact_from` itself the state was not exact yet.
        if let Err(error) = result
            && self.exact()
        {
            panic!(
                "{zxid} does not fit the state of {}: {error} on {txn}",
                self.applied
            );
        }
    }

    fn forget_hash(&mut self, session: SessionId, timeout_ms: u32) {
        let hash = session_hash(session, timeout_ms);
        self.sessions_digest = self.sessions_digest.wrapping_sub(hash);
    }
}

fn session_hash(session: SessionId, timeout_ms: u32) -> u64 {
    xxh3_64_with_seed(&session.0.to_le_bytes(), u64::from(timeout_ms) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnId;
    use zabsim_types::Xid;

    fn txn(session: i64, body: TxnBody) -> Txn {
        Txn {
            session: SessionId(session),
            conn: ConnId(0),
            cxid: Xid(0),
            time_ms: 0,
            body,
            counts: vec![],
        }
    }

    fn create(path: &str, owner: i64, parent_creates: i32) -> TxnBody {
        TxnBody::Create {
            path: path.into(),
            data: None,
            acl: Acl::OPEN,
            owner: match owner {
                0 => Owner::Nobody,
                session => Owner::Session(SessionId(session)),
            },
            parent_creates,
        }
    }

    #[test]
    fn the_session_table_is_in_the_digest() {
        let mut db = Database::new();
        let mut out = Outcome::default();
        let fresh = db.digest();
        db.apply(
            Zxid(1),
            &txn(5, TxnBody::CreateSession { timeout_ms: 10 }),
            &mut out,
        );
        assert_ne!(db.digest(), fresh);
        let end = TxnBody::CloseSession { ephemerals: vec![] };
        db.apply(Zxid(2), &txn(5, end), &mut out);
        assert_eq!(db.digest(), fresh);
    }

    #[test]
    #[should_panic(expected = "does not fit the state of ⟨0,1⟩: NodeExists (-110)")]
    fn a_misfit_on_an_exact_state_is_a_bug() {
        let mut db = Database::new();
        let mut out = Outcome::default();
        db.apply(Zxid(1), &txn(5, create("/a", 0, 1)), &mut out);
        db.apply(Zxid(2), &txn(5, create("/a", 0, 2)), &mut out);
    }

    #[test]
    #[should_panic(expected = "but not all of its ephemerals")]
    fn an_ephemeral_does_not_outlive_its_session() {
        let mut db = Database::new();
        let mut out = Outcome::default();
        db.apply(
            Zxid(1),
            &txn(5, TxnBody::CreateSession { timeout_ms: 10 }),
            &mut out,
        );
        db.apply(Zxid(2), &txn(5, create("/e", 5, 1)), &mut out);
        let end = TxnBody::CloseSession { ephemerals: vec![] };
        db.apply(Zxid(3), &txn(5, end), &mut out);
    }

    #[test]
    #[should_panic(expected = "does not fit the state of ⟨0,0⟩: SessionExpired (-112)")]
    fn an_ephemeral_needs_a_session() {
        let mut db = Database::new();
        db.apply(
            Zxid(1),
            &txn(5, create("/e", 5, 1)),
            &mut Outcome::default(),
        );
    }

    /// The close of a session that no table knows removes what it owns; without anything to remove it is a bug.
    #[test]
    #[should_panic(expected = "does not fit the state of ⟨0,2⟩: UnknownSession (-12)")]
    fn an_unknown_session_is_closed_for_its_ephemerals_alone() {
        let mut tree = Tree::new();
        let owner = Owner::Session(SessionId(5));
        let node = Node::new("/e", None, Acl::OPEN, owner, Zxid(1), 0);
        tree.create(&"/e".into(), node, 1)
            .expect("the tree is empty");
        let mut db = Database::restored(tree, BTreeMap::new(), Zxid(1), Zxid(1));
        let mut out = Outcome::default();
        let end = |paths| TxnBody::CloseSession { ephemerals: paths };
        db.apply(Zxid(2), &txn(5, end(vec!["/e".into()])), &mut out);
        assert!(db.tree.stat("/e").is_none());
        assert_eq!(out.changes.len(), 1);
        db.apply(Zxid(3), &txn(5, end(vec![])), &mut out);
    }

    /// ZOOKEEPER-3145: the snapshot has the parent from before the close and lacks the ephemeral.
    #[test]
    fn closing_over_a_fuzzy_snapshot_still_tells_the_parent() {
        let mut db = Database::new();
        let mut out = Outcome::default();
        db.apply(
            Zxid(1),
            &txn(5, TxnBody::CreateSession { timeout_ms: 10 }),
            &mut out,
        );
        db.apply(Zxid(2), &txn(5, create("/p", 0, 1)), &mut out);
        let mut fuzzy = Database::restored(db.tree.clone(), db.sessions.clone(), Zxid(2), Zxid(4));
        db.apply(Zxid(3), &txn(5, create("/p/e", 5, 1)), &mut out);
        let end = TxnBody::CloseSession {
            ephemerals: vec!["/p/e".into()],
        };
        db.apply(Zxid(4), &txn(5, end.clone()), &mut out);
        // The child's create is lost to the fuzzy tree on purpose: only the close tells.
        assert_eq!(fuzzy.digest(), None);
        fuzzy.apply(Zxid(4), &txn(5, end), &mut out);
        assert_eq!(fuzzy.tree.stat("/p").unwrap().pzxid, Zxid(4));
    }
}
