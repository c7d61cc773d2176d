//! What only the leader's service has: the queue of requests to prepare, the overlay of outstanding changes, and the
//! tracker of sessions. It lives exactly as long as one established leadership.

use crate::auth::Identities;
use crate::database::Database;
use crate::prep::{Ensemble, Overlay, due, prepare};
use crate::request::{App, Request, RequestKind};
use crate::sessions::Tracker;
use crate::{Config, ConnId, Note, Rules};
use std::collections::VecDeque;
use zab::{Bug, PeerId, Planted, Time};
use zabsim_types::{SessionId, Xid, Zxid};

pub(crate) struct Leader {
    /// Requests in order of arrival, of all servers' clients and of the leader itself.
    pub(crate) queue: VecDeque<Request>,
    pub(crate) tracker: Tracker,
    /// Messages of learners that came before this leader had caught up with its own history.
    pub(crate) early: Vec<(PeerId, App)>,
    overlay: Overlay,
    rules: Rules,
    sweep_interval_us: u64,
    /// When containers and TTL nodes are looked through next; set when the leader takes over.
    next_sweep: Time,
    last_proposed: Zxid,
    /// A reconfiguration that is prepared and not applied here.
    reconfiguring: Option<Zxid>,
    counter_max: u32,
    local_sessions: bool,
    bugs: Planted,
}

impl Leader {
    pub(crate) fn new(config: &Config, epoch: zab::Epoch) -> Leader {
        Leader {
            queue: VecDeque::new(),
            tracker: Tracker::new(config.zab.tick_us, config.zab.bugs),
            early: Vec::new(),
            overlay: Overlay::default(),
            rules: config.rules.clone(),
            sweep_interval_us: u64::from(config.sweep_interval_ms) * 1_000,
            next_sweep: Time(0),
            last_proposed: Zxid::new(epoch.0, 0),
            reconfiguring: None,
            counter_max: config.zab.counter_max,
            local_sessions: config.local_sessions,
            bugs: config.zab.bugs,
        }
    }

    /// The whole initial history is applied: every session of its table is alive for a full timeout from now.
    pub(crate) fn take_over(&mut self, db: &Database, now: Time) {
        for (session, timeout_ms) in db.sessions() {
            self.tracker.track(*session, *timeout_ms, None, now);
        }
        self.next_sweep = Time(now.0 + self.sweep_interval_us);
    }

    /// Ends sessions that own ephemerals and are in no table. No transaction makes such nodes, but a snapshot can bring
    /// them, written by a version that did: nobody else would ever remove them. ZooKeeper removes them from its own tree
    /// alone, we through the log, so that the trees stay equal (**BASE**).
    pub(crate) fn end_unknown_owners(&mut self, db: &Database) -> usize {
        let unknown: Vec<SessionId> = db
            .tree
            .owners()
            .filter(|owner| !db.sessions().contains_key(owner))
            .collect();
        for session in &unknown {
            self.queue.push_back(expiry(*session));
        }
        unknown.len()
    }

    /// The next request as a proposal. `None`: there is none, or the epoch's numbers are used up, upon which the peer steps
    /// down (ZOOKEEPER-1277).
    pub(crate) fn prepare_next(
        &mut self,
        db: &Database,
        now: Time,
        ensemble: &Ensemble<'_>,
    ) -> Option<zab::Input> {
        let used_up = self.last_proposed.counter() >= self.counter_max;
        if used_up && !self.bugs.has(Bug::NoRolloverGuard) {
            return None;
        }
        let request = self.queue.pop_front()?;
        let zxid = match used_up {
            true => Zxid::new(self.last_proposed.epoch() + 1, 1),
            false => Zxid(self.last_proposed.0 + 1),
        };
        let ensemble = Ensemble {
            reconfiguring: self.reconfiguring.is_some() || ensemble.reconfiguring,
            ..*ensemble
        };
        let (txn, quorum) = prepare(
            &mut self.overlay,
            &mut self.tracker,
            db,
            &self.rules,
            &ensemble,
            &request,
            (zxid, now),
        );
        self.last_proposed = zxid;
        let payload = txn.encode();
        let (seen, zxid) = (zxid, zab::Zxid(zxid.0));
        Some(match quorum {
            None => zab::Input::Propose { zxid, payload },
            Some(quorum) => {
                self.reconfiguring = Some(seen);
                zab::Input::Reconfigure {
                    zxid,
                    quorum,
                    payload,
                }
            }
        })
    }

    /// The last transaction that was prepared.
    pub(crate) fn last_proposed(&self) -> Zxid {
        self.last_proposed
    }

    /// A transaction reached the tree.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        self.overlay.applied(zxid);
        self.reconfiguring.take_if(|proposed| *proposed <= zxid);
    }

    /// A session goes on at this connection, if it lives. Everything proposed so far may hold writes of its earlier
    /// connections: the zxid returned is to be applied where it goes on, before it does.
    pub(crate) fn revalidate(
        &mut self,
        session: SessionId,
        timeout_ms: u32,
        conn: ConnId,
        local: bool,
        now: Time,
    ) -> (bool, Zxid) {
        let valid = match local {
            true => self.tracker.move_local(session, conn),
            false => self.tracker.touch(session, timeout_ms, now),
        };
        if valid && !local {
            self.tracker.set_owner(session, conn);
        }
        if !valid && self.local_sessions {
            self.tracker.refuse(session);
        }
        (valid, self.last_proposed)
    }

    /// Whether the session's making waits to be prepared: it is being upgraded.
    pub(crate) fn is_to_be_made(&self, session: SessionId) -> bool {
        let makes = |request: &Request| {
            request.session == session && matches!(request.kind, RequestKind::CreateSession { .. })
        };
        self.local_sessions && self.queue.iter().any(makes)
    }

    /// The sessions that were silent for too long: their end is queued.
    pub(crate) fn expire(&mut self, now: Time, mut note: impl FnMut(Note)) {
        for session in self.tracker.expire(now) {
            note(Note::SessionExpiring { session });
            self.queue.push_back(expiry(session));
        }
    }

    /// The containers and TTL nodes that are of no more use: their removal is queued, at intervals. Says how many.
    pub(crate) fn sweep(&mut self, db: &Database, now: Time) -> usize {
        if now < self.next_sweep {
            return 0;
        }
        self.next_sweep = Time(now.0 + self.sweep_interval_us);
        let due = due(&self.overlay, db, now);
        let found = due.len();
        let requests = due.into_iter().map(RequestKind::Sweep);
        self.queue
            .extend(requests.map(|kind| own(SessionId::NONE, kind)));
        found
    }
}

fn expiry(session: SessionId) -> Request {
    own(session, RequestKind::Expire)
}

/// A request of the leader itself.
fn own(session: SessionId, kind: RequestKind) -> Request {
    Request {
        session,
        conn: ConnId::NONE,
        xid: Xid(0),
        ids: Identities::default(),
        local: false,
        kind,
    }
}
