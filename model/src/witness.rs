//! The committed log of a run, as the checks want it: the *witness* of the order in which everything happened.
//!
//! A client history lacks what servers do of themselves (sessions made and expired) and cannot tell whether a request
//! without a reply was carried out. The log says both. It is never believed: every check that uses it replays it through
//! the [`Model`](crate::Model) and compares each answer that a client got, so a wrong log is found. An accepted one is a
//! proof: it is a legal sequential order of all updates that contains every answer, which is what linearizability asks for
//! (Herlihy and Wing, TOPLAS 1990).

use crate::reference::Life;
use serde::{Deserialize, Serialize};
use std::fmt;
use zabsim_types::{
    Acl, CONFIG_NODE, CreateMode, Data, ErrorCode, Op, SessionId, Xid, ZPath, Zxid, spell,
};

/// The committed transactions of a run, in the order of their zxids, strictly increasing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Witness {
    /// The transactions.
    pub txns: Vec<CommittedTxn>,
}

impl Witness {
    /// The position of the transaction `zxid`, if it was committed.
    pub fn position(&self, zxid: Zxid) -> Option<usize> {
        self.txns.binary_search_by_key(&zxid, |txn| txn.zxid).ok()
    }

    /// The same, quickly if it is one of the few from `near` on.
    pub(crate) fn position_near(&self, near: usize, zxid: Zxid) -> Option<usize> {
        let at = partition_near(&self.txns, near, |txn| txn.zxid < zxid);
        (self.txns.get(at)?.zxid == zxid).then_some(at)
    }

    /// How many transactions are at or before `zxid`.
    pub fn count_upto(&self, zxid: Zxid) -> usize {
        self.txns.partition_point(|txn| txn.zxid <= zxid)
    }
}

/// [`slice::partition_point`], quickly if it is among the few places from `near` on: what clients are told one after the other
/// mostly names states near to each other.
pub(crate) fn partition_near<T>(all: &[T], near: usize, is_before: impl Fn(&T) -> bool) -> usize {
    let few = &all[near..all.len().min(near + 8)];
    let more = few.partition_point(&is_before);
    let is_from_here = near == 0 || is_before(&all[near - 1]);
    if is_from_here && (more < few.len() || near + more == all.len()) {
        return near + more;
    }
    all.partition_point(is_before)
}

/// One transaction of the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommittedTxn {
    /// Its number.
    pub zxid: Zxid,
    /// The session that asked for it; that a session was made or ended, for those transactions.
    pub session: SessionId,
    /// The request's number on its connection; zero for those that the servers made.
    pub cxid: Xid,
    /// The leader's clock when it prepared it, in milliseconds: what `ctime` and `mtime` become.
    pub time_ms: i64,
    /// What it does.
    pub what: TxnKind,
}

/// What a transaction does to the tree: its effect, not the request that led to it. Paths carry their sequence numbers,
/// versions have been checked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "txn", rename_all = "camelCase", deny_unknown_fields)]
pub enum TxnKind {
    /// A session was made.
    CreateSession {
        /// Its timeout.
        timeout_ms: u32,
    },
    /// A session ended, by its client's wish or by expiry; its ephemerals went with it.
    CloseSession,
    /// A node was made.
    Create {
        /// Where.
        path: ZPath,
        /// What it holds.
        data: Data,
        /// Whether it goes with the transaction's session.
        ephemeral: bool,
        /// Whether the servers' sweep removes it some day.
        life: Life,
    },
    /// A node's access control list was replaced.
    SetAcl {
        /// Which.
        path: ZPath,
        /// By what: with nothing twice, and identities in place of `auth:`.
        acl: Acl,
    },
    /// A node was removed: by a client, or by the servers' sweep, of no session then.
    Delete {
        /// Which.
        path: ZPath,
    },
    /// A node's data was replaced.
    SetData {
        /// Which.
        path: ZPath,
        /// By what.
        data: Data,
    },
    /// A version was tested, inside a multi: no effect.
    Check {
        /// Of which node.
        path: ZPath,
    },
    /// Several of the above, all under one zxid.
    Multi {
        /// In order.
        parts: Vec<TxnKind>,
    },
    /// A request that failed, a multi too: no effect, yet it has its zxid.
    Error {
        /// Why; of a multi the error of the part at fault.
        code: ErrorCode,
    },
}

impl fmt::Display for TxnKind {
    /// In words, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TxnKind::CreateSession { timeout_ms } => {
                write!(f, "a session made, of {timeout_ms} ms")
            }
            TxnKind::CloseSession => f.write_str("a session ended"),
            TxnKind::Create {
                path,
                data,
                ephemeral,
                ..
            } => {
                let kind = if *ephemeral { "ephemeral " } else { "" };
                let (path, data) = (spell::quoted(path), spell::data(data));
                write!(
                    f,
                    "{kind}{path} made, holding {}",
                    spell::short(data, DATA_MAX)
                )
            }
            TxnKind::SetAcl { path, acl } => {
                write!(f, "{} given {}", spell::quoted(path), spell::acl(acl))
            }
            TxnKind::Delete { path } => write!(f, "{} removed", spell::quoted(path)),
            TxnKind::SetData { path, data } => {
                let data = spell::short(spell::data(data), DATA_MAX);
                write!(f, "{} set to {data}", spell::quoted(path))
            }
            TxnKind::Check { path } => write!(f, "{} checked", spell::quoted(path)),
            TxnKind::Multi { parts } => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                write!(f, "a multi [{}]", parts.join("; "))
            }
            TxnKind::Error { code } => write!(f, "a failure with {}", code.name()),
        }
    }
}

/// How much of a node's data a message shows.
const DATA_MAX: usize = 60;

impl TxnKind {
    /// Whether a client's request led to it (a session's end can be either's).
    pub fn is_of_client(&self) -> bool {
        !matches!(self, TxnKind::CreateSession { .. } | TxnKind::CloseSession)
    }

    /// Whether it is what became of `op`, as far as one can tell without the state: same kind, same path (but for a sequence
    /// number), same data.
    pub fn is_effect_of(&self, op: &Op) -> bool {
        match (self, op) {
            (TxnKind::Error { .. }, op) => op.is_update(),
            (TxnKind::CloseSession, Op::CloseSession) => true,
            (
                TxnKind::Create {
                    path,
                    data,
                    ephemeral,
                    life,
                },
                Op::Create {
                    path: asked,
                    data: with,
                    mode,
                    ..
                },
            ) => {
                data == with
                    && *ephemeral == mode.is_ephemeral()
                    && *life == life_of(*mode)
                    && if mode.is_sequential() {
                        sequence_of(path, asked).is_some()
                    } else {
                        path == asked
                    }
            }
            (TxnKind::Delete { path }, Op::DeleteContainer { path: asked })
            | (TxnKind::Delete { path }, Op::Delete { path: asked, .. })
            | (TxnKind::Check { path }, Op::Check { path: asked, .. }) => path == asked,
            (
                TxnKind::SetData { path, data },
                Op::SetData {
                    path: asked,
                    data: with,
                    ..
                },
            ) => path == asked && data == with,
            (
                TxnKind::SetAcl { path, acl },
                Op::SetAcl {
                    path: asked,
                    acl: with,
                    ..
                },
            ) => path == asked && may_become(with, acl),
            // What the configuration becomes depends on what it was.
            (TxnKind::SetData { path, .. }, Op::Reconfig { .. }) => &**path == CONFIG_NODE,
            (TxnKind::Multi { parts }, Op::Multi { ops }) => {
                parts.len() == ops.len() && parts.iter().zip(ops).all(|(p, o)| p.is_effect_of(o))
            }
            _ => false,
        }
    }

    /// Calls `visit` with the transaction's parts, or with itself where it is no multi.
    pub fn each_part<'a>(&'a self, visit: &mut impl FnMut(&'a TxnKind)) {
        match self {
            TxnKind::Multi { parts } => parts.iter().for_each(|part| part.each_part(visit)),
            other => visit(other),
        }
    }
}

pub(crate) fn life_of(mode: CreateMode) -> Life {
    match mode {
        CreateMode::Container => Life::Container,
        CreateMode::PersistentWithTtl { ttl_ms }
        | CreateMode::PersistentSequentialWithTtl { ttl_ms } => Life::Ttl(ttl_ms),
        _ => Life::Unbound,
    }
}

/// Whether a list that was asked for may have become this one: every entry is in it, but for those that stand for whoever
/// asks.
fn may_become(asked: &Acl, logged: &Acl) -> bool {
    let mut named = asked.entries().iter();
    named.all(|entry| &*entry.id.scheme == "auth" || logged.entries().contains(entry))
}

/// The sequence number of `path`, if it is `asked` with one appended: ten digits, or after the overflow of its 32 bits a
/// minus sign and ten digits.
pub(crate) fn sequence_of(path: &str, asked: &str) -> Option<i32> {
    let suffix = path.strip_prefix(asked)?;
    let digits = suffix.strip_prefix('-').unwrap_or(suffix);
    if digits.len() < 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    suffix.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::Perms;

    #[test]
    fn a_transaction_is_told_from_another_request_by_its_effect() {
        let op = Op::Create {
            path: "/q/n-".into(),
            data: None,
            mode: CreateMode::EphemeralSequential,
            with_stat: false,
            acl: Acl::OPEN,
        };
        let txn = |path: &str, ephemeral| TxnKind::Create {
            path: path.into(),
            data: None,
            ephemeral,
            life: Life::Unbound,
        };
        assert!(txn("/q/n-0000000007", true).is_effect_of(&op));
        assert!(!txn("/q/n-0000000007", false).is_effect_of(&op));
        assert!(!txn("/q/n-x", true).is_effect_of(&op));
        assert!(!txn("/q/m-0000000007", true).is_effect_of(&op));
    }

    #[test]
    fn a_list_is_what_became_of_the_one_that_was_asked_for() {
        let set = |acl| Op::SetAcl {
            path: "/a".into(),
            acl,
            version: -1,
        };
        let logged = |acl| TxnKind::SetAcl {
            path: "/a".into(),
            acl,
        };
        let mine = Acl::one(Perms::ALL, "digest", "me:hash");
        assert!(logged(mine.clone()).is_effect_of(&set(mine.clone())));
        assert!(logged(mine.clone()).is_effect_of(&set(Acl::one(Perms::ALL, "auth", ""))));
        assert!(!logged(mine).is_effect_of(&set(Acl::one(Perms::READ, "world", "anyone"))));
        let container = Op::Create {
            path: "/c".into(),
            data: None,
            mode: CreateMode::Container,
            with_stat: true,
            acl: Acl::OPEN,
        };
        let made = |life| TxnKind::Create {
            path: "/c".into(),
            data: None,
            ephemeral: false,
            life,
        };
        assert!(made(Life::Container).is_effect_of(&container));
        assert!(!made(Life::Unbound).is_effect_of(&container));
    }

    #[test]
    fn a_sequence_number_may_be_negative_after_its_overflow() {
        assert_eq!(sequence_of("/a0000000012", "/a"), Some(12));
        assert_eq!(sequence_of("/a-2147483648", "/a"), Some(i32::MIN));
        assert_eq!(sequence_of("/a-000000002", "/a"), Some(-2));
        assert_eq!(sequence_of("/a12", "/a"), None);
    }
}
