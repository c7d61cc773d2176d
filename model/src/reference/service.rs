//! An ideal server: one tree, no network, everything at once. It gives out zxids, keeps sessions and fires watches.

use super::model::{Model, Stamp};
use super::watches::WatchTable;
use std::collections::BTreeMap;
use zabsim_types::{Op, OpResult, SessionId, WatchEvent, Zxid};

/// A notification on its way to a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// To whom.
    pub session: SessionId,
    /// The transaction of the change.
    pub zxid: Zxid,
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
}

/// The ideal server.
#[derive(Clone, Debug, Default)]
pub struct Service {
    model: Model,
    watches: WatchTable,
    timeouts: BTreeMap<SessionId, u32>,
    now_ms: i64,
}

impl Service {
    /// With an empty database, at time 0.
    pub fn new() -> Service {
        Service::default()
    }

    /// The tree.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Sets the clock that `ctime` and `mtime` are read from.
    pub fn set_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
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

    /// Ends a session that was silent for too long.
    pub fn expire(&mut self, session: SessionId) -> Vec<Notice> {
        let stamp = self.stamp(session);
        self.model.close_session(stamp);
        self.timeouts.remove(&session);
        self.watches.forget(session);
        self.notices()
    }

    /// Answers a request.
    pub fn request(&mut self, session: SessionId, op: &Op) -> Served {
        let result = if op.is_update() {
            let stamp = self.stamp(session);
            self.model.write(op, stamp)
        } else {
            let result = self.model.read(op);
            self.watches.register(session, op, &result);
            return Served {
                zxid: self.model.last_zxid(),
                result,
                notices: Vec::new(),
            };
        };
        let notices = self.notices();
        if *op == Op::CloseSession {
            self.timeouts.remove(&session);
            self.watches.forget(session);
        }
        Served {
            zxid: self.model.last_zxid(),
            result,
            notices,
        }
    }

    /// Forgets a session's watches, as its server does when the connection breaks.
    pub fn disconnect(&mut self, session: SessionId) {
        self.watches.forget(session);
    }

    fn stamp(&self, session: SessionId) -> Stamp {
        Stamp {
            session,
            zxid: self.next_zxid(),
            time_ms: self.now_ms,
        }
    }

    fn notices(&mut self) -> Vec<Notice> {
        let zxid = self.model.last_zxid();
        self.watches
            .fire(self.model.triggers())
            .into_iter()
            .map(|(session, event)| Notice {
                session,
                zxid,
                event,
            })
            .collect()
    }
}
