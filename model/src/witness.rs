//! The committed log of a run, as the checks want it: the *witness* of the order in which everything happened.
//!
//! A client history lacks what servers do of themselves (sessions made and expired) and cannot tell whether a request
//! without a reply was carried out. The log says both. It is never believed: every check that uses it replays it through
//! the [`Model`](crate::Model) and compares each answer that a client got, so a wrong log is found. An accepted one is a
//! proof: it is a legal sequential order of all updates that contains every answer, which is what linearizability asks for
//! (Herlihy and Wing, TOPLAS 1990).

use zabsim_types::{Data, ErrorCode, Op, SessionId, Xid, ZPath, Zxid};

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

    /// How many transactions are at or before `zxid`.
    pub fn count_upto(&self, zxid: Zxid) -> usize {
        self.txns.partition_point(|txn| txn.zxid <= zxid)
    }
}

/// One transaction of the log.
#[derive(Clone, PartialEq, Debug)]
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
#[derive(Clone, PartialEq, Debug)]
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
    },
    /// A node was removed.
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
                    && if mode.is_sequential() {
                        sequence_of(path, asked).is_some()
                    } else {
                        path == asked
                    }
            }
            (TxnKind::Delete { path }, Op::Delete { path: asked, .. })
            | (TxnKind::Check { path }, Op::Check { path: asked, .. }) => path == asked,
            (
                TxnKind::SetData { path, data },
                Op::SetData {
                    path: asked,
                    data: with,
                    ..
                },
            ) => path == asked && data == with,
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
    use zabsim_types::CreateMode;

    #[test]
    fn a_transaction_is_told_from_another_request_by_its_effect() {
        let op = Op::Create {
            path: "/q/n-".into(),
            data: None,
            mode: CreateMode::EphemeralSequential,
            with_stat: false,
        };
        let txn = |path: &str, ephemeral| TxnKind::Create {
            path: path.into(),
            data: None,
            ephemeral,
        };
        assert!(txn("/q/n-0000000007", true).is_effect_of(&op));
        assert!(!txn("/q/n-0000000007", false).is_effect_of(&op));
        assert!(!txn("/q/n-x", true).is_effect_of(&op));
        assert!(!txn("/q/m-0000000007", true).is_effect_of(&op));
    }

    #[test]
    fn a_sequence_number_may_be_negative_after_its_overflow() {
        assert_eq!(sequence_of("/a0000000012", "/a"), Some(12));
        assert_eq!(sequence_of("/a-2147483648", "/a"), Some(i32::MIN));
        assert_eq!(sequence_of("/a-000000002", "/a"), Some(-2));
        assert_eq!(sequence_of("/a12", "/a"), None);
    }
}
