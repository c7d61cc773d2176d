//! Requests in few words.

use zabsim_types::{CreateMode, Op, SyncMode};

fn make(path: &str, mode: CreateMode) -> Op {
    Op::Create {
        path: path.into(),
        data: Some(b"x".as_slice().into()),
        mode,
        with_stat: false,
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
