//! Requests that are put together part by part: a multi, which is several changes and conditions, all or none, under one
//! zxid; a multiRead; and a change of the ensemble's members.

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

    /// Adds a create of a node on which only this is allowed.
    pub fn create_acl(
        self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        mode: CreateMode,
        acl: Acl,
    ) -> Multi {
        self.part(Op::Create {
            path: path.into(),
            data: bytes(data),
            mode,
            with_stat: false,
            acl,
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

/// The parts of a multiRead, each with its own outcome.
///
/// ```
/// use zabsim_client::MultiRead;
///
/// let both = MultiRead::new().get_data("/a").get_children("/a");
/// assert_eq!(both.ops().len(), 2);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MultiRead {
    ops: Vec<Op>,
}

impl MultiRead {
    /// No parts yet.
    pub fn new() -> MultiRead {
        MultiRead::default()
    }

    /// Adds a getData.
    pub fn get_data(self, path: impl Into<ZPath>) -> MultiRead {
        self.part(Op::GetData {
            path: path.into(),
            watch: false,
        })
    }

    /// Adds a getChildren.
    pub fn get_children(self, path: impl Into<ZPath>) -> MultiRead {
        self.part(Op::GetChildren {
            path: path.into(),
            watch: false,
            with_stat: false,
        })
    }

    fn part(mut self, op: Op) -> MultiRead {
        self.ops.push(op);
        self
    }

    /// The parts, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }
}

impl From<MultiRead> for Op {
    fn from(reads: MultiRead) -> Op {
        Op::MultiRead { ops: reads.ops }
    }
}

/// A change of the ensemble's members.
///
/// ```
/// use zabsim_client::Reconfig;
///
/// let exchange = Reconfig::new().join("server.4=s4:2888:3888:participant;2181").leave("2").from_config(7);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reconfig {
    joining: Option<String>,
    leaving: Option<String>,
    new_members: Option<String>,
    from_config: i64,
}

impl Default for Reconfig {
    fn default() -> Reconfig {
        Reconfig {
            joining: None,
            leaving: None,
            new_members: None,
            from_config: -1,
        }
    }
}

impl Reconfig {
    /// No change yet, from whatever the configuration is.
    pub fn new() -> Reconfig {
        Reconfig::default()
    }

    /// Adds or changes a server: a line of a configuration.
    pub fn join(mut self, server: &str) -> Reconfig {
        append(&mut self.joining, server);
        self
    }

    /// Takes a server out: its number.
    pub fn leave(mut self, server: &str) -> Reconfig {
        append(&mut self.leaving, server);
        self
    }

    /// Names a member of a whole new ensemble: a line of a configuration. Goes with no `join` and no `leave`.
    pub fn member(mut self, server: &str) -> Reconfig {
        append(&mut self.new_members, server);
        self
    }

    /// Only if the configuration has this version.
    pub fn from_config(mut self, version: i64) -> Reconfig {
        self.from_config = version;
        self
    }
}

fn append(list: &mut Option<String>, item: &str) {
    match list {
        None => *list = Some(item.to_owned()),
        Some(list) => {
            list.push(',');
            list.push_str(item);
        }
    }
}

impl From<Reconfig> for Op {
    fn from(change: Reconfig) -> Op {
        Op::Reconfig {
            joining: change.joining.map(Into::into),
            leaving: change.leaving.map(Into::into),
            new_members: change.new_members.map(Into::into),
            from_config: change.from_config,
        }
    }
}
