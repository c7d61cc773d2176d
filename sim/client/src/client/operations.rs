//! The service's operations: one method each, which hands over the request when it is polled for the first time and
//! resolves to what a program wants of the answer. `deleteContainer` is the servers' own.

use super::{Client, Standing, Watch, bytes};
use crate::{ClientError, Multi, MultiRead, Reconfig};
use std::sync::Arc;
use zabsim_types::{
    Acl, AddWatchMode, CONFIG_NODE, CreateMode, Data, ErrorCode, Id, Op, OpKind, OpResult, Reply,
    Stat, SyncMode, WatcherType, ZPath,
};

impl Client {
    /// Makes a node; its path, with the sequence number if it has one.
    pub async fn create(
        &self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        mode: CreateMode,
    ) -> Result<ZPath, ClientError> {
        self.create_acl(path, data, mode, Acl::OPEN).await
    }

    /// Makes a node on which only this is allowed; its path.
    pub async fn create_acl(
        &self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        mode: CreateMode,
        acl: Acl,
    ) -> Result<ZPath, ClientError> {
        let op = Op::Create {
            path: path.into(),
            data: bytes(data),
            mode,
            with_stat: false,
            acl,
        };
        match self.answer(op).await?.0 {
            Reply::Created { path, .. } => Ok(path),
            _ => Err(wrong(OpKind::Create)),
        }
    }

    /// Makes a node; its path and its stat (`create2`).
    pub async fn create_stat(
        &self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        mode: CreateMode,
    ) -> Result<(ZPath, Stat), ClientError> {
        let op = Op::Create {
            path: path.into(),
            data: bytes(data),
            mode,
            with_stat: true,
            acl: Acl::OPEN,
        };
        match self.answer(op).await?.0 {
            Reply::Created {
                path,
                stat: Some(stat),
            } => Ok((path, stat)),
            _ => Err(wrong(OpKind::Create)),
        }
    }

    /// Makes a persistent node and those above it, where they are missing. Repeats what a lost connection left in doubt.
    pub async fn ensure_path(&self, path: &str) -> Result<(), ClientError> {
        let mut depth = path.len();
        loop {
            let made = &path[..depth];
            match self.create(made, b"", CreateMode::Persistent).await {
                Ok(_) | Err(ClientError::Service(ErrorCode::NodeExists)) if depth == path.len() => {
                    return Ok(());
                }
                Ok(_) | Err(ClientError::Service(ErrorCode::NodeExists)) => {
                    let below = path[depth + 1..].find('/');
                    depth = below.map_or(path.len(), |at| depth + 1 + at);
                }
                Err(ClientError::Service(ErrorCode::NoNode)) => {
                    depth = match zabsim_types::parent_of(made) {
                        Some(parent) if parent != "/" => parent.len(),
                        _ => return Err(ClientError::Service(ErrorCode::NoNode)),
                    };
                }
                Err(ClientError::ConnectionLoss { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes a childless node of that version; −1 for any.
    pub async fn delete(&self, path: impl Into<ZPath>, version: i32) -> Result<(), ClientError> {
        let op = Op::Delete {
            path: path.into(),
            version,
        };
        match self.answer(op).await?.0 {
            Reply::Deleted => Ok(()),
            _ => Err(wrong(OpKind::Delete)),
        }
    }

    /// Replaces a node's data if it has that version; −1 for any.
    pub async fn set_data(
        &self,
        path: impl Into<ZPath>,
        data: impl AsRef<[u8]>,
        version: i32,
    ) -> Result<Stat, ClientError> {
        let op = Op::SetData {
            path: path.into(),
            data: bytes(data),
            version,
        };
        match self.answer(op).await?.0 {
            Reply::Set { stat } => Ok(stat),
            _ => Err(wrong(OpKind::SetData)),
        }
    }

    /// Reads a node.
    pub async fn get_data(&self, path: impl Into<ZPath>) -> Result<(Data, Stat), ClientError> {
        let op = Op::GetData {
            path: path.into(),
            watch: false,
        };
        data_and_stat(self.answer(op).await?.0)
    }

    /// Reads a node and watches it: for new data, or its deletion. A node that is not there leaves no watch.
    pub async fn get_data_watch(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<((Data, Stat), Watch), ClientError> {
        let op = Op::GetData {
            path: path.into(),
            watch: true,
        };
        let (answer, watch) = self.answer_watched(op).await;
        let read = data_and_stat(answer?)?;
        Ok((read, self.watch(watch, OpKind::GetData)?))
    }

    /// A node's stat, if it is there.
    pub async fn exists(&self, path: impl Into<ZPath>) -> Result<Option<Stat>, ClientError> {
        let op = Op::Exists {
            path: path.into(),
            watch: false,
        };
        stat_if_there(self.answer(op).await.map(|(reply, _)| reply))
    }

    /// A node's stat, if it is there, and a watch: for its creation, new data, or its deletion.
    pub async fn exists_watch(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<(Option<Stat>, Watch), ClientError> {
        let op = Op::Exists {
            path: path.into(),
            watch: true,
        };
        let (answer, watch) = self.answer_watched(op).await;
        let read = stat_if_there(answer)?;
        Ok((read, self.watch(watch, OpKind::Exists)?))
    }

    /// The names of a node's children.
    pub async fn get_children(&self, path: impl Into<ZPath>) -> Result<Vec<Arc<str>>, ClientError> {
        let op = Op::GetChildren {
            path: path.into(),
            watch: false,
            with_stat: false,
        };
        children(self.answer(op).await?.0).map(|(names, _)| names)
    }

    /// The names of a node's children, and its stat (`getChildren2`).
    pub async fn get_children_stat(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<(Vec<Arc<str>>, Stat), ClientError> {
        let op = Op::GetChildren {
            path: path.into(),
            watch: false,
            with_stat: true,
        };
        let (names, stat) = children(self.answer(op).await?.0)?;
        Ok((names, stat.ok_or(wrong(OpKind::GetChildren))?))
    }

    /// The names of a node's children, and a watch: for a child that comes or goes, or the node's deletion.
    pub async fn get_children_watch(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<(Vec<Arc<str>>, Watch), ClientError> {
        let op = Op::GetChildren {
            path: path.into(),
            watch: true,
            with_stat: false,
        };
        let (answer, watch) = self.answer_watched(op).await;
        let (names, _) = children(answer?)?;
        Ok((names, self.watch(watch, OpKind::GetChildren)?))
    }

    /// A barrier: later reads see at least what the leader had proposed; with [`SyncMode::Quorum`], all that was committed.
    pub async fn sync(&self, path: impl Into<ZPath>, mode: SyncMode) -> Result<(), ClientError> {
        let op = Op::Sync {
            path: path.into(),
            mode,
        };
        match self.answer(op).await?.0 {
            Reply::Synced { .. } => Ok(()),
            _ => Err(wrong(OpKind::Sync)),
        }
    }

    /// Carries out all parts or none; one answer for each part.
    pub async fn multi(&self, multi: Multi) -> Result<Vec<Reply>, ClientError> {
        match self.answer(multi.into()).await?.0 {
            Reply::Multi { results } => Ok(results),
            Reply::MultiFailed { errors } => Err(ClientError::MultiFailed { errors }),
            _ => Err(wrong(OpKind::Multi)),
        }
    }

    /// Reads several nodes at one state of the server; one outcome for each part.
    pub async fn multi_read(&self, reads: MultiRead) -> Result<Vec<OpResult>, ClientError> {
        match self.answer(reads.into()).await?.0 {
            Reply::MultiRead { results } => Ok(results),
            _ => Err(wrong(OpKind::MultiRead)),
        }
    }

    // Who may do what.

    /// A node's access control list, and its stat. Hashes of passwords are masked for those who may not administer it.
    pub async fn get_acl(&self, path: impl Into<ZPath>) -> Result<(Acl, Stat), ClientError> {
        match self.answer(Op::GetAcl { path: path.into() }).await?.0 {
            Reply::Acl { acl, stat } => Ok((acl, stat)),
            _ => Err(wrong(OpKind::GetAcl)),
        }
    }

    /// Replaces a node's access control list if *that* has this version (`Stat::aversion`); −1 for any.
    pub async fn set_acl(
        &self,
        path: impl Into<ZPath>,
        acl: Acl,
        version: i32,
    ) -> Result<Stat, ClientError> {
        let op = Op::SetAcl {
            path: path.into(),
            acl,
            version,
        };
        match self.answer(op).await?.0 {
            Reply::AclSet { stat } => Ok(stat),
            _ => Err(wrong(OpKind::SetAcl)),
        }
    }

    /// Proves who this client is, as with `("digest", "user:password")`. What was accepted is proven again on each new
    /// connection; a refusal ends the session: [`ClientError::AuthFailed`].
    pub async fn add_auth(
        &self,
        scheme: impl Into<Arc<str>>,
        auth: impl Into<Arc<str>>,
    ) -> Result<(), ClientError> {
        let op = Op::AddAuth {
            scheme: scheme.into(),
            auth: auth.into(),
        };
        match self.answer(op).await?.0 {
            Reply::AuthAdded => Ok(()),
            _ => Err(wrong(OpKind::AddAuth)),
        }
    }

    /// Who the server takes this client for, in no particular order.
    pub async fn who_am_i(&self) -> Result<Vec<Id>, ClientError> {
        match self.answer(Op::WhoAmI).await?.0 {
            Reply::Identities { ids } => Ok(ids),
            _ => Err(wrong(OpKind::WhoAmI)),
        }
    }

    // Watches that stay.

    /// Watches a node, or with [`AddWatchMode::PersistentRecursive`] all below it too, until the watch is removed or the
    /// session ends. Nothing needs to be there.
    pub async fn add_watch(
        &self,
        path: impl Into<ZPath>,
        mode: AddWatchMode,
    ) -> Result<Standing, ClientError> {
        let op = Op::AddWatch {
            path: path.into(),
            mode,
        };
        let (answer, watch) = self.answer_watched(op).await;
        match (answer?, watch) {
            (Reply::WatchAdded, Some(name)) => Ok(Standing {
                port: self.port.clone(),
                name,
            }),
            _ => Err(wrong(OpKind::AddWatch)),
        }
    }

    /// Takes this session's watches of that kind at a node away. Whoever waits for one of them is told so.
    pub async fn remove_watches(
        &self,
        path: impl Into<ZPath>,
        kind: WatcherType,
    ) -> Result<(), ClientError> {
        let op = Op::RemoveWatches {
            path: path.into(),
            kind,
        };
        match self.answer(op).await?.0 {
            Reply::WatchesRemoved => Ok(()),
            _ => Err(wrong(OpKind::RemoveWatches)),
        }
    }

    /// Whether the server has watches of that kind of this session at a node.
    pub async fn check_watches(
        &self,
        path: impl Into<ZPath>,
        kind: WatcherType,
    ) -> Result<bool, ClientError> {
        let op = Op::CheckWatches {
            path: path.into(),
            kind,
        };
        match self.answer(op).await {
            Ok((Reply::WatchesChecked, _)) => Ok(true),
            Ok(_) => Err(wrong(OpKind::CheckWatches)),
            Err(ClientError::Service(ErrorCode::NoWatcher)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    // Counts and lists.

    /// This session's ephemeral nodes whose path begins so, sorted.
    pub async fn get_ephemerals(
        &self,
        prefix: impl Into<ZPath>,
    ) -> Result<Vec<ZPath>, ClientError> {
        let op = Op::GetEphemerals {
            prefix: prefix.into(),
        };
        match self.answer(op).await?.0 {
            Reply::Ephemerals { paths } => Ok(paths),
            _ => Err(wrong(OpKind::GetEphemerals)),
        }
    }

    /// How many nodes there are below one.
    pub async fn get_all_children_number(
        &self,
        path: impl Into<ZPath>,
    ) -> Result<i32, ClientError> {
        let op = Op::GetAllChildrenNumber { path: path.into() };
        match self.answer(op).await?.0 {
            Reply::ChildrenNumber { number } => Ok(number),
            _ => Err(wrong(OpKind::GetAllChildrenNumber)),
        }
    }

    // The ensemble.

    /// The ensemble's configuration, and the node that holds it; its `mzxid` is the configuration's version.
    pub async fn get_config(&self) -> Result<(Data, Stat), ClientError> {
        self.get_data(CONFIG_NODE).await
    }

    /// As [`Client::get_config`], and a watch: for the next configuration.
    pub async fn get_config_watch(&self) -> Result<((Data, Stat), Watch), ClientError> {
        self.get_data_watch(CONFIG_NODE).await
    }

    /// Changes the ensemble's members; the configuration after it.
    pub async fn reconfig(&self, change: Reconfig) -> Result<(Data, Stat), ClientError> {
        match self.answer(change.into()).await?.0 {
            Reply::Reconfigured { data, stat } => Ok((data, stat)),
            _ => Err(wrong(OpKind::Reconfig)),
        }
    }

    fn watch(&self, name: Option<u64>, asked: OpKind) -> Result<Watch, ClientError> {
        let port = self.port.clone();
        let name = Some(name.ok_or(wrong(asked))?);
        Ok(Watch { port, name })
    }
}

fn wrong(asked: OpKind) -> ClientError {
    ClientError::WrongReply { asked }
}

fn data_and_stat(reply: Reply) -> Result<(Data, Stat), ClientError> {
    match reply {
        Reply::Data { data, stat } => Ok((data, stat)),
        _ => Err(wrong(OpKind::GetData)),
    }
}

fn stat_if_there(answer: Result<Reply, ClientError>) -> Result<Option<Stat>, ClientError> {
    match answer {
        Ok(Reply::Exists { stat }) => Ok(Some(stat)),
        Ok(_) => Err(wrong(OpKind::Exists)),
        Err(ClientError::Service(ErrorCode::NoNode)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn children(reply: Reply) -> Result<(Vec<Arc<str>>, Option<Stat>), ClientError> {
    match reply {
        Reply::Children { names, stat } => Ok((names, stat)),
        _ => Err(wrong(OpKind::GetChildren)),
    }
}
