//! Local sessions: known to the server that made them and to nobody else, so that they cost no transaction.
//!
//! - A local session is touched and expires here. Its writes go through the leader like any other's, to whom this server
//!   vouches for it; its end is no transaction, because it has no ephemerals.
//! - The first request that makes an ephemeral *upgrades* it: its createSession goes to the leader right ahead of the
//!   request, with the same id and the same timeout. From that moment on it is global for everybody: the leader touches
//!   and expires it. Where upgrading is off, the leader refuses the ephemeral (-120).
//! - It is not to be had elsewhere, nor here after this server has left its role: the leader, asked for it, calls it expired.
//! - On a second connection of this server it goes on like a global session does: the leader is told first, so that what is
//!   still on its way by the former connection is either visible to its first read or never happens (**BASE**; ZooKeeper asks
//!   nobody).
//!
//! Source: ZooKeeper 3.9 `UpgradeableSessionTracker`, `LocalSessionTracker`, `QuorumZooKeeperServer.checkUpgradeSession`.

use crate::service::{Out, Service};
use crate::sessions::Tracker;
use crate::{ConnId, Note};
use std::collections::{BTreeMap, BTreeSet};
use zab::Time;
use zabsim_types::{Op, SessionId};

/// The sessions that only this server knows.
pub(crate) struct LocalSessions {
    tick_us: u64,
    tracker: Tracker,
    timeouts_ms: BTreeMap<SessionId, u32>,
    /// Those whose createSession is on its way. They are global already as far as this server is concerned.
    upgrading: BTreeSet<SessionId>,
}

impl LocalSessions {
    pub(crate) fn new(tick_us: u64) -> LocalSessions {
        LocalSessions {
            tick_us,
            tracker: Tracker::new(tick_us, zab::Planted::NONE),
            timeouts_ms: BTreeMap::new(),
            upgrading: BTreeSet::new(),
        }
    }

    pub(crate) fn open(&mut self, session: SessionId, timeout_ms: u32, now: Time) {
        self.tracker.track(session, timeout_ms, None, now);
        self.timeouts_ms.insert(session, timeout_ms);
    }

    /// Whether it lives, and here alone.
    pub(crate) fn knows(&self, session: SessionId) -> bool {
        self.timeouts_ms.contains_key(&session)
    }

    /// A sign of life. `false`: it is not of this server alone.
    pub(crate) fn touch(&mut self, session: SessionId, now: Time) -> bool {
        match self.timeouts_ms.get(&session) {
            Some(timeout_ms) => self.tracker.touch(session, *timeout_ms, now),
            None => false,
        }
    }

    /// It is over, or global from now on. `false`: it was not here.
    pub(crate) fn end(&mut self, session: SessionId) -> bool {
        self.tracker.remove(session);
        self.timeouts_ms.remove(&session).is_some()
    }

    pub(crate) fn end_all(&mut self) {
        *self = LocalSessions::new(self.tick_us);
    }

    /// Its upgrade has come to its end. `false`: there was none.
    pub(crate) fn upgraded(&mut self, session: SessionId) -> bool {
        self.upgrading.remove(&session)
    }
}

impl Service {
    /// Makes a local session global.
    pub(crate) fn upgrade(&mut self, session: SessionId, conn: ConnId, out: &mut Out<'_>) {
        let Some(timeout_ms) = self.local.timeouts_ms.get(&session).copied() else {
            return;
        };
        self.local.end(session);
        self.local.upgrading.insert(session);
        self.make_session(session, conn, timeout_ms, out);
    }

    /// Ends the local sessions that were silent for too long.
    pub(crate) fn expire_local(&mut self, now: Time, out: &mut Out<'_>) {
        for session in self.local.tracker.expire(now) {
            self.local.end(session);
            out.note(Note::Mark("local-session-expired"));
            if let Some(conn) = self.clients.of_session.get(&session) {
                self.close_client(*conn, out);
            }
        }
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
