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

use crate::database::{Database, Outcome};
use crate::request::{App, Request, RequestKind};
use crate::service::{Out, Service, Serving};
use crate::sessions::{first_session_id, negotiate, password};
use crate::txn::{Txn, TxnBody};
use crate::watches::{List, Watches};
use crate::{ConnId, Effect, Note, Stage};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::{SyncId, Time};
use zabsim_types::{
    ClientFrame, ConnectReply, ConnectRequest, ErrorCode, Op, OpResult, Reply, ServerFrame,
    ServerId, SessionId, Stat, SyncMode, WatchEvent, WatchKind, Xid, ZPath, Zxid,
};

/// All connections, and their watches.
#[derive(Default)]
pub(crate) struct Clients {
    conns: BTreeMap<ConnId, Conn>,
    of_session: BTreeMap<SessionId, ConnId>,
    watches: Watches,
    /// Connections whose first request in the queue can be answered, in order of readiness.
    ready: VecDeque<ConnId>,
    /// Reattaching connections by the zxid that must be applied first.
    barred: BTreeSet<(Zxid, ConnId)>,
    syncs: BTreeMap<SyncId, ConnId>,
    last_sync: u64,
    /// The last session id given; `None` before the first.
    last_session: Option<SessionId>,
}

struct Conn {
    state: State,
    session: SessionId,
    timeout_ms: u32,
    queue: VecDeque<Pending>,
    /// Whether it is in `ready`.
    ready: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing was said yet.
    Fresh,
    /// The new session's transaction is under way.
    Creating,
    /// The leader is asked, or its answer's barrier is not applied yet.
    Reattaching,
    Established,
}

/// A request that is not answered yet.
enum Pending {
    /// Answered when its transaction is applied.
    Write {
        xid: Xid,
        with_stat: WithStat,
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
    Ping,
    SetWatches(Box<SetWatches>),
}

/// What the answer to a write depends on besides its transaction.
enum WithStat {
    One(bool),
    Parts(Box<[bool]>),
}

struct SetWatches {
    relative: Zxid,
    data: Vec<ZPath>,
    exists: Vec<ZPath>,
    child: Vec<ZPath>,
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
    fn make_ready(&mut self, id: ConnId) -> bool {
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

fn frame(conn: ConnId, frame: ServerFrame, out: &mut Out<'_>) {
    out.effects.push(Effect::Frame { conn, frame });
}

/// Connecting and disconnecting.
impl Service {
    pub(crate) fn on_client_opened(&mut self, id: ConnId, out: &mut Out<'_>) {
        assert_ne!(id, ConnId::NONE, "the driver never uses this number");
        if self.serving != Serving::Yes {
            out.effects.push(Effect::CloseClient { conn: id });
            return;
        }
        let conn = Conn {
            state: State::Fresh,
            session: SessionId::NONE,
            timeout_ms: 0,
            queue: VecDeque::new(),
            ready: false,
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
        let applied = self.db.applied();
        if request.last_zxid_seen > applied {
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
        let request = Request {
            session,
            conn: id,
            xid: Xid(0),
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
        match &mut self.leader {
            Some(leader) => {
                let (valid, barrier) = leader.revalidate(session, timeout_ms, id, now);
                self.revalidated(id, valid, barrier, out);
            }
            None => {
                let payload = App::Revalidate {
                    conn: id,
                    session,
                    timeout_ms,
                }
                .encode();
                out.zab.push_back(zab::Input::ToLeader { payload });
            }
        }
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
        let reattaching = |conn: &Conn| conn.state == State::Reattaching;
        if !self.clients.conns.get(&id).is_some_and(reattaching) {
            return;
        }
        if !valid {
            self.refuse(id, out);
        } else if barrier.counter() == 0 || barrier <= self.db.applied() {
            // Counter 0: nothing was proposed yet, and an epoch's initial history is applied before anybody is served.
            self.establish(id, out);
        } else {
            self.clients.barred.insert((barrier, id));
        }
    }

    fn establish(&mut self, id: ConnId, out: &mut Out<'_>) {
        let server = self.server_id();
        let Some(conn) = self.clients.conns.get_mut(&id) else {
            return;
        };
        conn.state = State::Established;
        let reply = ConnectReply {
            timeout_ms: conn.timeout_ms,
            session: conn.session,
            password: password(conn.session, self.config.password_salt),
            server,
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

/// Requests and replies.
impl Service {
    fn request(&mut self, id: ConnId, frame: ClientFrame, out: &mut Out<'_>) {
        let pending = match frame {
            ClientFrame::Connect(_) => unreachable!("handled by the caller"),
            ClientFrame::Ping => Pending::Ping,
            ClientFrame::SetWatches {
                relative,
                data,
                exists,
                child,
            } => Pending::SetWatches(Box::new(SetWatches {
                relative,
                data,
                exists,
                child,
            })),
            ClientFrame::Request { xid, op } => match op {
                Op::Sync { path, mode } => self.begin_sync(id, xid, path, mode, out),
                op if op.is_update() => self.begin_write(id, xid, op, out),
                op => Pending::Read { xid, op },
            },
        };
        let Some(conn) = self.clients.conns.get_mut(&id) else {
            return;
        };
        conn.queue.push_back(pending);
        if conn.queue.len() == 1 && conn.can_answer() && self.clients.make_ready(id) {
            self.schedule(Stage::Apply, out);
        }
    }

    fn begin_write(&mut self, id: ConnId, xid: Xid, op: Op, out: &mut Out<'_>) -> Pending {
        let with_stat = match &op {
            Op::Multi { ops } => WithStat::Parts(ops.iter().map(wants_stat).collect()),
            op => WithStat::One(wants_stat(op)),
        };
        let session = self.clients.conns[&id].session;
        let request = Request {
            session,
            conn: id,
            xid,
            kind: RequestKind::Op(op),
        };
        self.submit(request, out);
        Pending::Write { xid, with_stat }
    }

    fn begin_sync(
        &mut self,
        conn: ConnId,
        xid: Xid,
        path: ZPath,
        mode: SyncMode,
        out: &mut Out<'_>,
    ) -> Pending {
        self.clients.last_sync += 1;
        let id = SyncId(self.clients.last_sync);
        self.clients.syncs.insert(id, conn);
        out.zab.push_back(zab::Input::Sync {
            id,
            quorum: mode == SyncMode::Quorum,
        });
        Pending::Sync {
            xid,
            path,
            id,
            done: false,
        }
    }

    /// A barrier was passed, in its place among the transactions.
    pub(crate) fn sync_done(&mut self, id: SyncId, out: &mut Out<'_>) {
        let Some(conn_id) = self.clients.syncs.remove(&id) else {
            return;
        };
        let conn = self.clients.conns.get_mut(&conn_id);
        for pending in conn.into_iter().flat_map(|c| &mut c.queue) {
            if let Pending::Sync { id: of, done, .. } = pending
                && *of == id
            {
                *done = true;
            }
        }
        self.answer(conn_id, out);
    }

    pub(crate) fn on_sync_lost(&mut self, id: SyncId, out: &mut Out<'_>) {
        // The role has ended and with it every connection; if not yet, the client must not wait for ever.
        if let Some(conn) = self.clients.syncs.remove(&id) {
            self.close_client(conn, out);
        }
    }

    /// Answers what waits for nothing.
    pub(crate) fn serve_ready(&mut self, out: &mut Out<'_>) {
        while let Some(id) = self.clients.ready.pop_front() {
            if let Some(conn) = self.clients.conns.get_mut(&id) {
                conn.ready = false;
                self.answer(id, out);
            }
        }
    }

    /// Answers a connection's requests up to the first that has to wait.
    fn answer(&mut self, id: ConnId, out: &mut Out<'_>) {
        let zxid = self.db.applied();
        let Some(conn) = self.clients.conns.get_mut(&id) else {
            return;
        };
        while conn.can_answer()
            && let Some(pending) = conn.queue.pop_front()
        {
            let reply = match pending {
                Pending::Write { .. } => unreachable!("a write waits for its transaction"),
                Pending::Ping => ServerFrame::Pong { zxid },
                Pending::SetWatches(set) => {
                    set_watches(&self.db, &mut self.clients.watches, id, &set, out);
                    ServerFrame::WatchesSet { zxid }
                }
                Pending::Sync { xid, path, .. } => ServerFrame::Reply {
                    xid,
                    zxid,
                    result: Ok(Reply::Synced { path }),
                },
                Pending::Read { xid, op } => {
                    let result = read(&self.db, &mut self.clients.watches, id, &op);
                    let bare_check = matches!(op, Op::Check { .. });
                    frame(id, ServerFrame::Reply { xid, zxid, result }, out);
                    if bare_check {
                        // As ZooKeeper: an operation that it does not know ends the connection, not the session.
                        self.close_client(id, out);
                        return;
                    }
                    continue;
                }
            };
            frame(id, reply, out);
        }
    }

    /// A transaction is applied: fires watches, answers its requester, lets go on who waited for it.
    pub(crate) fn after_apply(
        &mut self,
        zxid: Zxid,
        txn: &Txn,
        outcome: &Outcome,
        out: &mut Out<'_>,
    ) {
        for change in &outcome.changes {
            self.clients.watches.fire(change, |conn, event| {
                let zxid = Some(zxid);
                frame(conn, ServerFrame::Event { zxid, event }, out);
            });
        }
        if self.clients.conns.contains_key(&txn.conn) {
            self.answer_write(zxid, txn, outcome, out);
        }
        if let TxnBody::CloseSession { .. } = txn.body
            && let Some(conn) = self.clients.of_session.get(&txn.session)
        {
            // The requester's has had its reply; an expired session's goes without a word.
            self.close_client(*conn, out);
        }
        while let Some(&(barrier, id)) = self.clients.barred.first()
            && barrier <= zxid
        {
            self.clients.barred.pop_first();
            self.establish(id, out);
        }
    }

    fn answer_write(&mut self, zxid: Zxid, txn: &Txn, outcome: &Outcome, out: &mut Out<'_>) {
        let id = txn.conn;
        if let TxnBody::CreateSession { .. } = txn.body {
            self.establish(id, out);
            return;
        }
        if txn.body == TxnBody::Error(ErrorCode::SessionMoved) {
            let session = txn.session;
            out.note(Note::SessionMoved { session });
            self.close_client(id, out);
            return;
        }
        let front = self
            .clients
            .conns
            .get_mut(&id)
            .and_then(|conn| conn.queue.pop_front());
        // Requests of one connection reach the leader in order, and a lost one takes the connection with it.
        let Some(Pending::Write { xid, with_stat }) = front else {
            panic!("{zxid} answers {txn}, which is not what its connection waits for");
        };
        assert_eq!(xid, txn.cxid, "{zxid} answers {txn}");
        let result = write_result(&txn.body, &with_stat, &outcome.stats);
        frame(id, ServerFrame::Reply { xid, zxid, result }, out);
        self.answer(id, out);
    }
}

impl Conn {
    fn can_answer(&self) -> bool {
        match self.queue.front() {
            None | Some(Pending::Write { .. }) => false,
            Some(Pending::Sync { done, .. }) => *done,
            Some(Pending::Read { .. } | Pending::Ping | Pending::SetWatches(_)) => true,
        }
    }
}

fn wants_stat(op: &Op) -> bool {
    matches!(
        op,
        Op::Create {
            with_stat: true,
            ..
        }
    )
}

fn write_result(body: &TxnBody, with_stat: &WithStat, stats: &[Stat]) -> OpResult {
    match (body, with_stat) {
        (TxnBody::Error(error), _) => Err(*error),
        (TxnBody::CloseSession { .. }, _) => Ok(Reply::Closed),
        (TxnBody::Multi(parts), WithStat::Parts(with_stat)) => {
            let error = |part: &TxnBody| match part {
                TxnBody::Error(code) => Some(*code),
                _ => None,
            };
            if let Some(errors) = parts.iter().map(error).collect::<Option<Vec<_>>>()
                && !errors.is_empty()
            {
                return Ok(Reply::MultiFailed { errors });
            }
            let results = parts
                .iter()
                .zip(stats)
                .zip(with_stat)
                .map(|((part, stat), with_stat)| part_reply(part, *stat, *with_stat))
                .collect();
            Ok(Reply::Multi { results })
        }
        (part, WithStat::One(with_stat)) => Ok(part_reply(part, stats[0], *with_stat)),
        (body, WithStat::Parts(_)) => unreachable!("a multi became {body}"),
    }
}

fn part_reply(part: &TxnBody, stat: Stat, with_stat: bool) -> Reply {
    match part {
        TxnBody::Create { path, .. } => Reply::Created {
            path: path.clone(),
            stat: with_stat.then_some(stat),
        },
        TxnBody::Delete { .. } => Reply::Deleted,
        TxnBody::SetData { .. } => Reply::Set { stat },
        TxnBody::Check { .. } => Reply::Checked,
        other => unreachable!("{other} is answered elsewhere"),
    }
}

/// A read, and the watch that it leaves. Reads validate no path; getData and getChildren leave a watch only on a node that
/// is there.
fn read(db: &Database, watches: &mut Watches, conn: ConnId, op: &Op) -> OpResult {
    match op {
        Op::GetData { path, watch } => {
            let node = db.tree.node(path).ok_or(ErrorCode::NoNode)?;
            if *watch {
                watches.add(List::Data, path, conn);
            }
            Ok(Reply::Data {
                data: node.data.clone(),
                stat: node.stat(),
            })
        }
        Op::Exists { path, watch } => {
            if *watch {
                watches.add(List::Data, path, conn);
            }
            let stat = db.tree.stat(path).ok_or(ErrorCode::NoNode)?;
            Ok(Reply::Exists { stat })
        }
        Op::GetChildren {
            path,
            watch,
            with_stat,
        } => {
            let node = db.tree.node(path).ok_or(ErrorCode::NoNode)?;
            if *watch {
                watches.add(List::Child, path, conn);
            }
            Ok(Reply::Children {
                names: node.children.iter().cloned().collect(),
                stat: with_stat.then(|| node.stat()),
            })
        }
        // A check outside a multi never enters the write path (ZOOKEEPER-2623).
        Op::Check { .. } => Err(ErrorCode::Unimplemented),
        other => unreachable!("{:?} is no read", other.kind()),
    }
}

/// Registers watches anew, and makes up for what happened since the client last looked: compares with `relative`. An
/// exists-watch is blind to a node that came and went meanwhile; ZooKeeper's is, too.
fn set_watches(
    db: &Database,
    watches: &mut Watches,
    conn: ConnId,
    set: &SetWatches,
    out: &mut Out<'_>,
) {
    let missed = |kind, path: &ZPath, out: &mut Out<'_>| {
        let path = path.clone();
        let event = WatchEvent { kind, path };
        frame(conn, ServerFrame::Event { zxid: None, event }, out);
    };
    for path in &set.data {
        match db.tree.node(path) {
            None => missed(WatchKind::NodeDeleted, path, out),
            Some(node) if node.mzxid > set.relative => {
                missed(WatchKind::NodeDataChanged, path, out);
            }
            Some(_) => watches.add(List::Data, path, conn),
        }
    }
    for path in &set.exists {
        match db.tree.node(path) {
            Some(_) => missed(WatchKind::NodeCreated, path, out),
            None => watches.add(List::Data, path, conn),
        }
    }
    for path in &set.child {
        match db.tree.node(path) {
            None => missed(WatchKind::NodeDeleted, path, out),
            Some(node) if node.pzxid > set.relative => {
                missed(WatchKind::NodeChildrenChanged, path, out);
            }
            Some(_) => watches.add(List::Child, path, conn),
        }
    }
}
