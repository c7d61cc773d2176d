//! An ideal server: one tree, no network, everything at once. It gives out zxids, keeps sessions and their identities, fires
//! watches and sweeps.

use super::acl::{self, Rights, grants};
use super::model::{Model, Stamp, WatchList};
use super::settings::Settings;
use super::size::frame_len;
use super::watches::WatchTable;
use std::collections::BTreeMap;
use zabsim_types::{
    AddWatchMode, ErrorCode, Id, Op, OpResult, Perms, Reply, SessionId, WatchEvent, WatchKind,
    ZPath, Zxid,
};

/// A notification on its way to a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// To whom.
    pub session: SessionId,
    /// The transaction of the change; `None` for the catch-up of `setWatches`.
    pub zxid: Option<Zxid>,
    /// What changed.
    pub event: WatchEvent,
}

/// A request's answer and everything that it set off. A session gets its notifications before its reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// The reply header's zxid.
    pub zxid: Zxid,
    /// The reply.
    pub result: OpResult,
    /// The watches that fired, in order.
    pub notices: Vec<Notice>,
    /// Whether the server closes the connection behind the reply.
    pub closes: bool,
}

/// The watches that a client sets again on a new connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WatchesToSet {
    /// The last zxid that it saw.
    pub relative: Zxid,
    /// Paths with a data watch.
    pub data: Vec<ZPath>,
    /// Paths with a watch on an absent node.
    pub exists: Vec<ZPath>,
    /// Paths with a child watch.
    pub child: Vec<ZPath>,
    /// Paths with a persistent watch.
    pub persistent: Vec<ZPath>,
    /// Paths with a persistent recursive watch.
    pub recursive: Vec<ZPath>,
}

/// The ideal server.
#[derive(Clone, Debug, Default)]
pub struct Service {
    model: Model,
    watches: WatchTable,
    timeouts: BTreeMap<SessionId, u32>,
    /// The identities of each session's connection.
    ids: BTreeMap<SessionId, Vec<Id>>,
    read_only: bool,
    now_ms: i64,
}

impl Service {
    /// With an empty database, at time 0.
    pub fn new() -> Service {
        Service::default()
    }

    /// The same, with these settings.
    pub fn with(settings: Settings) -> Service {
        Service {
            model: Model::with(settings),
            ..Service::default()
        }
    }

    /// The tree.
    pub fn model(&self) -> &Model {
        &self.model
    }

    #[cfg(test)]
    pub(super) fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    /// Sets the clock that `ctime` and `mtime` are read from.
    pub fn set_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Whether it has lost its quorum and only reads.
    pub fn set_read_only(&mut self, read_only: bool) {
        self.read_only = read_only;
    }

    /// The zxid that the next transaction gets.
    pub fn next_zxid(&self) -> Zxid {
        Zxid(self.model.last_zxid().0 + 1)
    }

    /// The session's timeout, while it is open.
    pub fn timeout_of(&self, session: SessionId) -> Option<u32> {
        self.timeouts.get(&session).copied()
    }

    /// Opens a session.
    pub fn open(&mut self, session: SessionId, timeout_ms: u32) -> Zxid {
        let stamp = self.stamp(session);
        self.model.create_session(stamp);
        self.timeouts.insert(session, timeout_ms);
        stamp.zxid
    }

    /// Opens a session that only this server knows: no transaction.
    pub fn open_local(&mut self, session: SessionId, timeout_ms: u32) {
        self.model.open_local(session);
        self.timeouts.insert(session, timeout_ms);
    }

    /// Its client has asked for another timeout.
    pub fn set_timeout(&mut self, session: SessionId, timeout_ms: u32) {
        if let Some(timeout) = self.timeouts.get_mut(&session) {
            *timeout = timeout_ms;
        }
    }

    /// The session has a connection from that address, which is its first identity.
    pub fn connect(&mut self, session: SessionId, address: &str) {
        self.ids.insert(session, vec![Id::new("ip", address)]);
    }

    /// Forgets a session's watches and identities, as its server does when the connection breaks.
    pub fn disconnect(&mut self, session: SessionId) {
        self.watches.forget(session);
        self.ids.remove(&session);
    }

    /// Ends a session that was silent for too long.
    pub fn expire(&mut self, session: SessionId) -> Vec<Notice> {
        let notices = if self.model.is_local(session) {
            self.model.close_local(session);
            Vec::new()
        } else {
            let stamp = self.stamp(session);
            self.model.close_session(stamp);
            self.notices()
        };
        self.forget(session);
        notices
    }

    /// Whether it reads the request at all: one that is too long costs the connection, without a reply.
    pub fn reads(&self, op: &Op) -> bool {
        frame_len(op) <= self.model.settings().max_frame
    }

    /// Answers a request.
    pub fn request(&mut self, session: SessionId, op: &Op) -> Served {
        self.request_as_of(session, op, None)
    }

    /// Answers a request that is judged by the lists in force at an earlier state: it was prepared before later ones were
    /// applied.
    pub fn request_as_of(&mut self, session: SessionId, op: &Op, as_of: Option<Zxid>) -> Served {
        let writes = op.is_update() && *op != Op::CloseSession;
        if self.read_only && (writes || matches!(op, Op::Sync { .. })) {
            return self.answered(Err(ErrorCode::NotReadOnly));
        }
        match op {
            Op::AddAuth { scheme, auth } => self.authenticate(session, scheme, auth),
            Op::Check { .. } => Served {
                zxid: Zxid::NO_STATE,
                closes: true,
                ..self.answered(Err(ErrorCode::Unimplemented))
            },
            Op::CloseSession if self.model.is_local(session) => {
                self.model.close_local(session);
                self.forget(session);
                Served {
                    closes: true,
                    ..self.answered(Ok(Reply::Closed))
                }
            }
            _ if op.is_update() => self.update(session, op, as_of),
            _ => {
                let result = self.read(session, op);
                self.watches.register(session, op, &result);
                self.answered(result)
            }
        }
    }

    /// Sets a client's watches again: what it missed is told at once, without a zxid, and the rest is armed. Persistent ones
    /// are set without a look back. An exists-watch is blind to a node that came and went; ZooKeeper's is, too.
    pub fn set_watches(&mut self, session: SessionId, set: &WatchesToSet) -> Vec<Notice> {
        let mut missed = Vec::new();
        let mut miss = |kind, path: &ZPath| {
            let path = path.clone();
            missed.push(Notice {
                session,
                zxid: None,
                event: WatchEvent { kind, path },
            });
        };
        for path in &set.data {
            match self.model.last_changes(path) {
                None => miss(WatchKind::NodeDeleted, path),
                Some((mzxid, _)) if mzxid > set.relative => miss(WatchKind::NodeDataChanged, path),
                Some(_) => self.watches.arm(session, WatchList::Data, path),
            }
        }
        for path in &set.exists {
            match self.model.last_changes(path) {
                Some(_) => miss(WatchKind::NodeCreated, path),
                None => self.watches.arm(session, WatchList::Data, path),
            }
        }
        for path in &set.child {
            match self.model.last_changes(path) {
                None => miss(WatchKind::NodeDeleted, path),
                Some((_, pzxid)) if pzxid > set.relative => {
                    miss(WatchKind::NodeChildrenChanged, path);
                }
                Some(_) => self.watches.arm(session, WatchList::Child, path),
            }
        }
        for path in &set.persistent {
            self.watches.add(session, path, AddWatchMode::Persistent);
        }
        for path in &set.recursive {
            let mode = AddWatchMode::PersistentRecursive;
            self.watches.add(session, path, mode);
        }
        missed
    }

    /// Removes the containers and TTL nodes that are due, each in a transaction of its own.
    pub fn sweep(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        for path in self.model.swept_at(self.now_ms) {
            let stamp = self.stamp(SessionId::NONE);
            let removed = self.model.write(&Op::DeleteContainer { path }, stamp);
            debug_assert!(removed.is_ok(), "{removed:?}");
            notices.append(&mut self.notices());
        }
        notices
    }

    fn update(&mut self, session: SessionId, op: &Op, as_of: Option<Zxid>) -> Served {
        if self.model.is_local(session)
            && self.model.settings().upgrade_local_sessions
            && makes_ephemeral(op)
        {
            self.model.create_session(self.stamp(session));
        }
        let stamp = self.stamp(session);
        let ids = self.ids.get(&session).map_or(&[][..], Vec::as_slice);
        let result = self.model.write_as(op, stamp, Rights { ids, as_of });
        let notices = self.notices();
        let closes = *op == Op::CloseSession;
        if closes {
            self.forget(session);
        }
        Served {
            zxid: stamp.zxid,
            result,
            notices,
            closes,
        }
    }

    fn read(&mut self, session: SessionId, op: &Op) -> OpResult {
        let there_were = |any| {
            if any {
                Ok(())
            } else {
                Err(ErrorCode::NoWatcher)
            }
        };
        match op {
            Op::RemoveWatches { path, kind } => {
                there_were(self.watches.remove(session, path, *kind))?;
                Ok(Reply::WatchesRemoved)
            }
            Op::CheckWatches { path, kind } => {
                there_were(self.watches.has(session, path, *kind))?;
                Ok(Reply::WatchesChecked)
            }
            _ => {
                let ids = self.ids.get(&session).map_or(&[][..], Vec::as_slice);
                let rights = Rights { ids, as_of: None };
                self.model.read_as(op, session, rights)
            }
        }
    }

    fn authenticate(&mut self, session: SessionId, scheme: &str, auth: &str) -> Served {
        let super_digest = self.model.settings().super_digest.as_deref();
        let result = acl::authenticate(scheme, auth, super_digest).map(|added| {
            let ids = self.ids.entry(session).or_default();
            for id in added {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            Reply::AuthAdded
        });
        Served {
            zxid: Zxid::ZERO,
            closes: result.is_err(),
            result,
            notices: Vec::new(),
        }
    }

    /// An answer from the present state.
    fn answered(&self, result: OpResult) -> Served {
        Served {
            zxid: self.model.last_zxid(),
            result,
            notices: Vec::new(),
            closes: false,
        }
    }

    fn forget(&mut self, session: SessionId) {
        self.timeouts.remove(&session);
        self.disconnect(session);
    }

    fn stamp(&self, session: SessionId) -> Stamp {
        Stamp {
            session,
            zxid: self.next_zxid(),
            time_ms: self.now_ms,
        }
    }

    fn notices(&mut self) -> Vec<Notice> {
        let zxid = Some(self.model.last_zxid());
        let ids = &self.ids;
        let may_read = |session: SessionId, list: &_| {
            let ids = ids.get(&session).map_or(&[][..], Vec::as_slice);
            grants(list, Perms::READ, ids)
        };
        let fired = self.watches.fire(self.model.triggers(), may_read);
        let notice = |(session, event)| Notice {
            session,
            zxid,
            event,
        };
        fired.into_iter().map(notice).collect()
    }
}

/// Whether the request makes a node that goes with its session.
pub(crate) fn makes_ephemeral(op: &Op) -> bool {
    match op {
        Op::Create { mode, .. } => mode.is_ephemeral(),
        Op::Multi { ops } => ops.iter().any(makes_ephemeral),
        _ => false,
    }
}
