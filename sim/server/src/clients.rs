//! Clients' connections at one server: connecting, reattaching, the order of requests, reads and replies.
//!
//! - Each connection has one queue of requests that are not answered yet, and answers leave it in order. A read behind a
//!   write or a sync of its own connection waits; those of other connections do not (`CommitProcessor`).
//! - Reads, pings and setWatches that wait for nothing are answered at the next turn of `Stage::Apply`, from the state and
//!   with the zxid of that moment.
//! - A session that reattaches is confirmed by the leader, and goes on here only once everything is applied that the leader
//!   had proposed by then: so whatever its earlier connections wrote without an answer is either visible to its first
//!   read, or never happens (**BASE**; ZooKeeper orders such a write only before the session's later writes).
//! - A client that has seen more than this server has applied is refused; it would read the past.
//!
//! Source: ZooKeeper 3.9 `ZooKeeperServer.processConnectRequest`, `FinalRequestProcessor`, `DataTree.setWatches`.

use crate::auth::Identities;
use crate::frame_len::fits;
use crate::prep::Ensemble;
use crate::request::{App, Request, RequestKind};
use crate::service::{Out, Service, Serving};
use crate::sessions::{first_session_id, negotiate, password};
use crate::watches::Watches;
use crate::{ConnId, Effect, Note};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::{Bug, SyncId, Time};
use zabsim_types::{
    ClientFrame, ConnectReply, ConnectRequest, ErrorCode, Op, ServerFrame, ServerId, SessionId,
    Xid, ZPath, Zxid,
};

/// All connections, and their watches.
#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) of_session: BTreeMap<SessionId, ConnId>,
    pub(crate) watches: Watches,
    /// Connections whose first request in the queue can be answered, in order of readiness.
    pub(crate) ready: VecDeque<ConnId>,
    /// Reattaching connections by the zxid that must be applied first.
    pub(crate) barred: BTreeSet<(Zxid, ConnId)>,
    pub(crate) syncs: BTreeMap<SyncId, ConnId>,
    pub(crate) last_sync: u64,
    /// The last session id given; `None` before the first.
    pub(crate) last_session: Option<SessionId>,
}

pub(crate) struct Conn {
    pub(crate) state: State,
    pub(crate) session: SessionId,
    pub(crate) ids: Identities,
    /// An identity was refused: nothing that comes behind is heard, and the connection ends with the answer.
    pub(crate) refused: bool,
    pub(crate) timeout_ms: u32,
    pub(crate) queue: VecDeque<Pending>,
    /// Whether it is in `ready`.
    pub(crate) ready: bool,
    /// The session was made by a server without a quorum: nobody else will ever know it.
    pub(crate) provisional: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Nothing was said yet.
    Fresh,
    /// The new session's transaction is under way.
    Creating,
    /// The leader is asked, or its answer's barrier is not applied yet.
    Reattaching,
    Established,
}

/// A request that is not answered yet.
pub(crate) enum Pending {
    /// Answered when its transaction is applied.
    Write {
        xid: Xid,
        with_stat: WithStat,
    },
    /// A write behind a sync that is not passed yet: see [`Conn::holds_writes`].
    Held {
        xid: Xid,
        op: Op,
    },
    Sync {
        xid: Xid,
        path: ZPath,
        id: SyncId,
        done: bool,
    },
    Read {
        xid: Xid,
        op: Op,
    },
    /// What came of `addAuth`: it counts at once, and is answered in its turn.
    Auth {
        xid: Xid,
        result: Result<(), ErrorCode>,
    },
    /// Refused without a look at the tree.
    Refused {
        xid: Xid,
        error: ErrorCode,
    },
    /// The end of a session that only this server knows.
    Close {
        xid: Xid,
    },
    Ping,
    SetWatches(Box<SetWatches>),
}

/// What the answer to a write depends on besides its transaction.
pub(crate) enum WithStat {
    One(bool),
    Parts(Box<[bool]>),
}

pub(crate) struct SetWatches {
    pub(crate) relative: Zxid,
    pub(crate) data: Vec<ZPath>,
    pub(crate) exists: Vec<ZPath>,
    pub(crate) child: Vec<ZPath>,
    pub(crate) persistent: Vec<ZPath>,
    pub(crate) recursive: Vec<ZPath>,
}

impl Clients {
    pub(crate) fn len(&self) -> usize {
        self.conns.len()
    }

    fn remove(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conns.remove(&id) else {
            return false;
        };
        self.watches.remove_conn(id);
        if self.of_session.get(&conn.session) == Some(&id) {
            self.of_session.remove(&conn.session);
        }
        if conn.state == State::Reattaching {
            self.barred.retain(|(_, barred)| *barred != id);
        }
        for pending in &conn.queue {
            if let Pending::Sync { id, .. } = pending {
                self.syncs.remove(id);
            }
        }
        true
    }

    /// Notes that the first request of this connection may be answerable.
    pub(crate) fn make_ready(&mut self, id: ConnId) -> bool {
        match self.conns.get_mut(&id) {
            Some(conn) if !conn.ready => {
                conn.ready = true;
                self.ready.push_back(id);
                true
            }
            _ => false,
        }
    }
}

pub(crate) fn frame(conn: ConnId, frame: ServerFrame, out: &mut Out<'_>) {
    let frame = Box::new(frame);
    out.effects.push(Effect::Frame { conn, frame });
}

impl Conn {
    /// Whether a write has to wait here, behind a sync, before it goes to the leader. Sent at once it could be applied
    /// before the sync is passed (a quorum's proof takes a round trip), and its reply, which has to follow the sync's,
    /// would name an older state than the reply before it.
    pub(crate) fn holds_writes(&self) -> bool {
        let undone = |pending: &Pending| matches!(pending, Pending::Sync { done: false, .. });
        self.queue.iter().any(undone)
    }

    pub(crate) fn can_answer(&self) -> bool {
        match self.queue.front() {
            None | Some(Pending::Write { .. } | Pending::Held { .. }) => false,
            Some(Pending::Sync { done, .. }) => *done,
            Some(
                Pending::Read { .. }
                | Pending::Auth { .. }
                | Pending::Refused { .. }
                | Pending::Close { .. }
                | Pending::Ping
                | Pending::SetWatches(_),
            ) => true,
        }
    }
}

/// Connecting and disconnecting.
impl Service {
    pub(crate) fn on_client_opened(&mut self, id: ConnId, out: &mut Out<'_>) {
        assert_ne!(id, ConnId::NONE, "the driver never uses this number");
        if !matches!(self.serving, Serving::Yes | Serving::ReadOnly) {
            out.effects.push(Effect::CloseClient { conn: id });
            return;
        }
        let conn = Conn {
            state: State::Fresh,
            session: SessionId::NONE,
            ids: Identities::default(),
            refused: false,
            timeout_ms: 0,
            queue: VecDeque::new(),
            ready: false,
            provisional: false,
        };
        let old = self.clients.conns.insert(id, conn);
        assert!(old.is_none(), "connection {} opens twice", id.0);
    }

    pub(crate) fn on_client_closed(&mut self, id: ConnId) {
        self.clients.remove(id);
    }

    pub(crate) fn close_client(&mut self, id: ConnId, out: &mut Out<'_>) {
        if self.clients.remove(id) {
            out.effects.push(Effect::CloseClient { conn: id });
        }
    }

    pub(crate) fn close_all_clients(&mut self, out: &mut Out<'_>) {
        // Session ids go on where they were: the process lives on.
        let clients = Clients {
            last_session: self.clients.last_session,
            last_sync: self.clients.last_sync,
            ..Clients::default()
        };
        for (conn, _) in std::mem::replace(&mut self.clients, clients).conns {
            out.effects.push(Effect::CloseClient { conn });
        }
    }

    pub(crate) fn on_client_frame(
        &mut self,
        id: ConnId,
        frame: ClientFrame,
        now: Time,
        out: &mut Out<'_>,
    ) {
        // What arrives behind our own closing is nobody's.
        let Some(conn) = self.clients.conns.get(&id) else {
            return;
        };
        match (conn.state, frame) {
            (State::Fresh, ClientFrame::Connect(request)) => self.connect(id, &request, now, out),
            (State::Established, ClientFrame::Connect(_)) | (State::Fresh, _) => {
                out.note(Note::Mark("client-out-of-turn"));
                self.close_client(id, out);
            }
            (State::Established, _) if conn.refused => {}
            // What follows a session's end is nobody's either.
            (State::Established, _) if matches!(conn.queue.back(), Some(Pending::Close { .. })) => {
            }
            (State::Established, ClientFrame::Request { op, .. })
                if !fits(&op, self.config.rules.frame_bytes_max) =>
            {
                out.note(Note::Mark("frame-too-long"));
                self.close_client(id, out);
            }
            (State::Established, frame) => {
                self.touch(id, now);
                self.request(id, frame, out);
            }
            (State::Creating | State::Reattaching, _) => {
                out.note(Note::Mark("client-out-of-turn"));
                self.close_client(id, out);
            }
        }
    }

    fn connect(&mut self, id: ConnId, request: &ConnectRequest, now: Time, out: &mut Out<'_>) {
        if self.serving == Serving::ReadOnly && !request.read_only {
            out.note(Note::Mark("read-only-refused"));
            self.close_client(id, out);
            return;
        }
        let applied = self.view().applied();
        let refused = !self.config.zab.bugs.has(Bug::AcceptClientFromFuture);
        if request.last_zxid_seen > applied && refused {
            let seen = request.last_zxid_seen;
            out.note(Note::RefusedFromFuture { seen, applied });
            self.close_client(id, out);
            return;
        }
        let timeout_ms = negotiate(&self.config, request.timeout_ms);
        if request.session == SessionId::NONE {
            self.create_session(id, timeout_ms, now, out);
        } else if request.password == password(request.session, self.config.password_salt) {
            self.reattach(id, request.session, timeout_ms, now, out);
        } else {
            self.refuse(id, out);
        }
    }

    fn create_session(&mut self, id: ConnId, timeout_ms: u32, now: Time, out: &mut Out<'_>) {
        let last = self.clients.last_session;
        let first = || first_session_id(self.server_id(), now);
        let session = last.map_or_else(first, |last| SessionId(last.0 + 1));
        self.clients.last_session = Some(session);
        self.attach(id, session, timeout_ms, State::Creating);
        if self.serving == Serving::ReadOnly {
            if let Some(conn) = self.clients.conns.get_mut(&id) {
                conn.provisional = true;
            }
            self.establish(id, out);
        } else if self.config.local_sessions {
            self.local.open(session, timeout_ms, now);
            out.note(Note::Mark("local-session"));
            self.establish(id, out);
        } else {
            self.make_session(session, id, timeout_ms, out);
        }
    }

    /// Asks for the transaction that makes a session known everywhere.
    pub(crate) fn make_session(
        &mut self,
        session: SessionId,
        conn: ConnId,
        timeout_ms: u32,
        out: &mut Out<'_>,
    ) {
        let request = Request {
            session,
            conn,
            xid: Xid(0),
            ids: Identities::default(),
            local: false,
            kind: RequestKind::CreateSession { timeout_ms },
        };
        self.submit(request, out);
    }

    fn reattach(
        &mut self,
        id: ConnId,
        session: SessionId,
        timeout_ms: u32,
        now: Time,
        out: &mut Out<'_>,
    ) {
        // A client has one connection: the older one's end has only not been noticed yet.
        if let Some(older) = self.clients.of_session.get(&session) {
            self.close_client(*older, out);
        }
        self.attach(id, session, timeout_ms, State::Reattaching);
        if self.serving == Serving::ReadOnly {
            // There is nobody to ask, and nothing is done in its name but reading: see `read_only`.
            self.establish(id, out);
            return;
        }
        let local = self.local.touch(session, now);
        match self.leader {
            Some(_) => {
                let (valid, barrier) = self.revalidate(session, timeout_ms, id, local, now, out);
                self.revalidated(id, valid, barrier, out);
            }
            None => {
                let payload = App::Revalidate {
                    conn: id,
                    session,
                    timeout_ms,
                    local,
                }
                .encode();
                out.zab.push_back(zab::Input::ToLeader { payload });
            }
        }
    }

    /// At the leader: whether a session may go on at this connection, and behind which transaction.
    pub(crate) fn revalidate(
        &mut self,
        session: SessionId,
        timeout_ms: u32,
        conn: ConnId,
        local: bool,
        now: Time,
        out: &mut Out<'_>,
    ) -> (bool, Zxid) {
        // It is being upgraded: that counts first, or it would be told that it never was.
        if self
            .leader
            .as_ref()
            .is_some_and(|leader| leader.is_to_be_made(session))
        {
            out.note(Note::Mark("moved-while-upgrading"));
            self.run_prepare(now, &Ensemble::BUSY, out);
        }
        let leader = self.leader.as_mut().expect("the caller leads");
        leader.revalidate(session, timeout_ms, conn, local, now)
    }

    fn attach(&mut self, id: ConnId, session: SessionId, timeout_ms: u32, state: State) {
        let conn = self.clients.conns.get_mut(&id);
        let conn = conn.expect("the caller has looked it up");
        conn.session = session;
        conn.timeout_ms = timeout_ms;
        conn.state = state;
        self.clients.of_session.insert(session, id);
    }

    /// The leader has answered about a session that reattaches here.
    pub(crate) fn revalidated(
        &mut self,
        id: ConnId,
        valid: bool,
        barrier: Zxid,
        out: &mut Out<'_>,
    ) {
        let conn = self.clients.conns.get(&id);
        let Some(conn) = conn.filter(|conn| conn.state == State::Reattaching) else {
            return;
        };
        if !valid {
            self.local.end(conn.session);
            self.refuse(id, out);
        } else if barrier.counter() == 0 || barrier <= self.db.applied() {
            // Counter 0: nothing was proposed yet, and an epoch's initial history is applied before anybody is served.
            self.establish(id, out);
        } else {
            self.clients.barred.insert((barrier, id));
        }
    }

    pub(crate) fn establish(&mut self, id: ConnId, out: &mut Out<'_>) {
        let server = self.server_id();
        let read_only = self.serving == Serving::ReadOnly;
        let Some(conn) = self.clients.conns.get_mut(&id) else {
            return;
        };
        conn.state = State::Established;
        let reply = ConnectReply {
            timeout_ms: conn.timeout_ms,
            session: conn.session,
            password: password(conn.session, self.config.password_salt),
            server,
            read_only,
        };
        frame(id, ServerFrame::Connected(reply), out);
    }

    /// The session to reattach has expired, or was never this client's.
    fn refuse(&mut self, id: ConnId, out: &mut Out<'_>) {
        let reply = ConnectReply {
            timeout_ms: 0,
            session: SessionId::NONE,
            password: [0; 16],
            server: self.server_id(),
            read_only: false,
        };
        frame(id, ServerFrame::Connected(reply), out);
        self.close_client(id, out);
    }

    fn server_id(&self) -> ServerId {
        ServerId(self.config.zab.id.0)
    }

    fn touch(&mut self, id: ConnId, now: Time) {
        let Some(conn) = self.clients.conns.get(&id) else {
            return;
        };
        if self.serving != Serving::Yes || self.local.touch(conn.session, now) {
            return;
        }
        match &mut self.leader {
            Some(leader) => {
                leader.tracker.touch(conn.session, conn.timeout_ms, now);
            }
            None => {
                self.touched.insert(conn.session, conn.timeout_ms);
            }
        }
    }
}
