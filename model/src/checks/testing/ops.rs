//! Requests in few words, and what the log says of them.

use crate::witness::{TxnKind, life_of};
use zabsim_types::{Acl, CreateMode, ErrorCode, Op, OpResult, Reply, SyncMode};

fn make(path: &str, mode: CreateMode) -> Op {
    Op::Create {
        path: path.into(),
        data: Some(b"x".as_slice().into()),
        mode,
        with_stat: false,
        acl: Acl::OPEN,
    }
}

pub(in crate::checks) fn create(path: &str) -> Op {
    make(path, CreateMode::Persistent)
}

pub(in crate::checks) fn ephemeral(path: &str) -> Op {
    make(path, CreateMode::Ephemeral)
}

pub(in crate::checks) fn sequential(path: &str) -> Op {
    make(path, CreateMode::PersistentSequential)
}

pub(in crate::checks) fn ephemeral_sequential(path: &str) -> Op {
    make(path, CreateMode::EphemeralSequential)
}

pub(in crate::checks) fn delete(path: &str) -> Op {
    Op::Delete {
        path: path.into(),
        version: -1,
    }
}

pub(in crate::checks) fn set(path: &str, data: &str) -> Op {
    Op::SetData {
        path: path.into(),
        data: Some(data.as_bytes().into()),
        version: -1,
    }
}

pub(in crate::checks) fn get(path: &str) -> Op {
    Op::GetData {
        path: path.into(),
        watch: false,
    }
}

pub(in crate::checks) fn watch(path: &str) -> Op {
    Op::GetData {
        path: path.into(),
        watch: true,
    }
}

pub(in crate::checks) fn exists(path: &str) -> Op {
    Op::Exists {
        path: path.into(),
        watch: false,
    }
}

pub(in crate::checks) fn watch_exists(path: &str) -> Op {
    Op::Exists {
        path: path.into(),
        watch: true,
    }
}

pub(in crate::checks) fn list(path: &str) -> Op {
    Op::GetChildren {
        path: path.into(),
        watch: false,
        with_stat: true,
    }
}

pub(in crate::checks) fn watch_children(path: &str) -> Op {
    Op::GetChildren {
        path: path.into(),
        watch: true,
        with_stat: false,
    }
}

pub(in crate::checks) fn sync(mode: SyncMode) -> Op {
    Op::Sync {
        path: "/".into(),
        mode,
    }
}

pub(in crate::checks) fn multi<const N: usize>(ops: [Op; N]) -> Op {
    Op::Multi { ops: ops.into() }
}

/// The log's view of a request and what came of it; without a result, as if it succeeded.
pub(in crate::checks) fn effect_of(op: &Op, result: Option<&OpResult>) -> TxnKind {
    let error = match result {
        Some(Err(code)) => Some(*code),
        Some(Ok(Reply::MultiFailed { errors })) => {
            errors.iter().copied().find(|error| *error != ErrorCode::Ok)
        }
        _ => None,
    };
    if let Some(code) = error {
        return TxnKind::Error { code };
    }
    match (op, result) {
        (
            Op::Create {
                path, data, mode, ..
            },
            result,
        ) => {
            let made = match result {
                Some(Ok(Reply::Created { path, .. })) => path,
                _ => path,
            };
            TxnKind::Create {
                path: made.clone(),
                data: data.clone(),
                life: life_of(*mode),
                ephemeral: mode.is_ephemeral(),
            }
        }
        (Op::Delete { path, .. } | Op::DeleteContainer { path }, _) => {
            TxnKind::Delete { path: path.clone() }
        }
        (Op::SetData { path, data, .. }, _) => TxnKind::SetData {
            path: path.clone(),
            data: data.clone(),
        },
        (Op::SetAcl { path, acl, .. }, _) => TxnKind::SetAcl {
            path: path.clone(),
            acl: acl.clone(),
        },
        (Op::Check { path, .. }, _) => TxnKind::Check { path: path.clone() },
        (Op::Multi { ops }, Some(Ok(Reply::Multi { results }))) => TxnKind::Multi {
            parts: ops
                .iter()
                .zip(results)
                .map(|(op, reply)| effect_of(op, Some(&Ok(reply.clone()))))
                .collect(),
        },
        (Op::CloseSession, _) => TxnKind::CloseSession,
        other => panic!("no update: {other:?}"),
    }
}
