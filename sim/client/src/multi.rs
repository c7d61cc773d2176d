//! A multi, put together part by part: several changes and conditions, all or none, under one zxid.

use crate::client::bytes;
use zabsim_types::{Acl, CreateMode, Op, ZPath};

/// The parts of a multi.
///
/// ```
/// use zabsim_client::Multi;
/// use zabsim_types::CreateMode;
///
/// let transfer = Multi::new()
///     .check("/accounts", 7)
///     .set_data("/accounts/a", b"90", -1)
///     .set_data("/accounts/b", b"110", -1)
///     .create("/transfers/t-", b"10", CreateMode::PersistentSequential);
/// assert_eq!(transfer.ops().len(), 4);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Multi {
    ops: Vec<Op>,
}

impl Multi {
    /// No parts yet.
    pub fn new() -> Multi {
        Multi::default()
    }

    /// Adds a create.
    pub fn create(self, path: impl Into<ZPath>, data: impl AsRef<[u8]>, mode: CreateMode) -> Multi {
        self.part(Op::Create {
            path: path.into(),
            data: bytes(data),
            mode,
            with_stat: false,
            acl: Acl::OPEN,
        })
    }

    /// Adds a delete.
    pub fn delete(self, path: impl Into<ZPath>, version: i32) -> Multi {
        self.part(Op::Delete {
            path: path.into(),
            version,
        })
    }

    /// Adds a setData.
    pub fn set_data(self, path: impl Into<ZPath>, data: impl AsRef<[u8]>, version: i32) -> Multi {
        self.part(Op::SetData {
            path: path.into(),
            data: bytes(data),
            version,
        })
    }

    /// Adds the condition that a node has this version.
    pub fn check(self, path: impl Into<ZPath>, version: i32) -> Multi {
        self.part(Op::Check {
            path: path.into(),
            version,
        })
    }

    fn part(mut self, op: Op) -> Multi {
        self.ops.push(op);
        self
    }

    /// The parts, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }
}

impl From<Multi> for Op {
    fn from(multi: Multi) -> Op {
        Op::Multi { ops: multi.ops }
    }
}
