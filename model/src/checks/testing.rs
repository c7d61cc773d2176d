//! Legal histories for tests: an ensemble without faults, made of one reference model for the leader and one for each
//! replica that follows its log at its own pace. Clients are connected to one replica each; requests wait in line there,
//! answers and events on their way back. What a test then changes by hand is illegal, and a check must say so.

mod ops;
mod run;

use super::Options;
use crate::reference::{Model, Rights, Stamp, WatchTable, digest, watch_of};
use crate::witness::{CommittedTxn, TxnKind, Witness};
pub(super) use ops::*;
pub(super) use run::{Run, report};
use std::collections::{BTreeMap, VecDeque};
use zabsim_types::*;

#[derive(Clone)]
enum Entry {
    Open,
    Close,
    Swept(ZPath),
    Request(Op, usize, CallId, Judged),
}

/// By which rights the leader judged a request.
#[derive(Clone, Default)]
struct Judged {
    ids: Vec<Id>,
    as_of: Option<Zxid>,
}

impl Judged {
    fn rights(&self) -> Rights<'_> {
        Rights {
            ids: &self.ids,
            as_of: self.as_of,
        }
    }
}

#[derive(Clone)]
struct Replica {
    model: Model,
    watches: WatchTable,
    applied: usize,
}

#[derive(Clone)]
struct Pending {
    call: CallId,
    op: Op,
    xid: Xid,
    proposed: bool,
    result: Option<OpResult>,
}

#[derive(Clone)]
struct Client {
    session: SessionId,
    /// The session has ended and the client knows.
    closed: bool,
    replica: usize,
    connected: bool,
    conn: u32,
    xid: i32,
    /// What replies and events have shown: no server that is behind it will do.
    seen: Zxid,
    /// The header of the last reply, that to `SetWatches` included: from there on its watches look for news.
    replied: Zxid,
    line: VecDeque<Pending>,
    inbox: VecDeque<HistoryKind>,
    /// Watches as the client keeps them: whether the node was there.
    data: BTreeMap<ZPath, bool>,
    child: BTreeMap<ZPath, ()>,
    /// Watches that stay: persistent, recursive.
    stays: BTreeMap<ZPath, [bool; 2]>,
    asked: BTreeMap<CallId, Op>,
    /// The identities that it has proven.
    ids: Vec<Id>,
}

/// The ensemble.
#[derive(Clone)]
pub(super) struct World {
    leader: Model,
    log: Vec<(Stamp, Entry)>,
    replicas: Vec<Replica>,
    clients: Vec<Client>,
    history: Vec<HistoryEvent>,
    witness: Witness,
    calls: u64,
    sessions: i64,
    now_ms: u64,
    /// The epoch of the next transaction, at least.
    epoch: u32,
    /// The state whose access control lists the leader still looks at.
    pub behind: Option<Zxid>,
}

impl World {
    /// Clients count from 1, replicas from 0; client `i` begins at replica `(i − 1) % replicas`.
    pub fn new(clients: usize, replicas: usize) -> World {
        let replica = Replica {
            model: Model::new(),
            watches: WatchTable::default(),
            applied: 0,
        };
        let client = Client {
            session: SessionId::NONE,
            closed: true,
            replica: 0,
            connected: false,
            conn: 0,
            xid: 0,
            seen: Zxid::ZERO,
            replied: Zxid::ZERO,
            line: VecDeque::new(),
            inbox: VecDeque::new(),
            data: BTreeMap::new(),
            child: BTreeMap::new(),
            stays: BTreeMap::new(),
            asked: BTreeMap::new(),
            ids: Vec::new(),
        };
        let mut world = World {
            leader: Model::new(),
            log: Vec::new(),
            replicas: vec![replica; replicas],
            clients: vec![client; clients],
            history: Vec::new(),
            witness: Witness::default(),
            calls: 0,
            sessions: 0x100,
            now_ms: 0,
            epoch: 0,
            behind: None,
        };
        for at in 0..clients {
            world.open(at as u32 + 1, at % replicas);
        }
        world
    }

    /// A run with something of everything.
    pub fn tour() -> Run {
        let mut world = World::new(3, 2);
        world.now(1, create("/a"));
        world.now(1, watch("/a"));
        world.now(2, create("/a"));
        world.now(2, set("/a", "1"));
        world.now(1, get("/a"));
        world.now(2, multi([set("/a", "2"), create("/b")]));
        world.now(3, list("/"));
        world.now(3, sequential("/b/n-"));
        world.now(3, ephemeral("/b/e"));
        world.now(1, list("/b"));
        world.now(1, watch_children("/b"));
        world.now(1, delete("/b"));
        world.now(3, sync(SyncMode::Leader));
        world.now(3, exists("/none"));
        world.invoke(3, set("/a", "lost"));
        world.propose(3);
        world.lose(3);
        world.reconnect(3, 0);
        world.now(3, get("/a"));
        world.now(3, Op::CloseSession);
        world.now(1, list("/b"));
        world.finish()
    }

    pub fn finish(self) -> Run {
        Run {
            history: self.history,
            witness: self.witness,
            options: Options::default(),
        }
    }

    /// A request, carried out and answered at once; returns its reply's zxid.
    pub fn now(&mut self, client: u32, op: Op) -> Zxid {
        let replica = self.at(client).replica;
        self.catch_up(replica);
        let update = op.is_update();
        self.invoke(client, op);
        if update {
            self.propose(client);
            self.catch_up(replica);
        }
        self.deliver_all(client);
        self.at(client).seen
    }

    /// A read at the state that the client's replica happens to have.
    pub fn read_where_it_is(&mut self, client: u32, op: Op) {
        self.invoke(client, op);
        self.deliver_all(client);
    }

    pub fn invoke(&mut self, client: u32, op: Op) -> CallId {
        self.calls += 1;
        let id = CallId(self.calls);
        let request = op.clone();
        self.record(client, HistoryKind::Invoke { id, request });
        let own = self.at(client);
        assert!(own.connected, "client {client} is not connected");
        own.xid += 1;
        own.asked.insert(id, op.clone());
        let pending = Pending {
            call: id,
            op,
            xid: Xid(own.xid),
            proposed: false,
            result: None,
        };
        own.line.push_back(pending);
        self.serve(client);
        id
    }

    /// The leader takes in the first update of that client that it has not seen yet; whether there was one.
    pub fn propose(&mut self, client: u32) -> bool {
        let session = self.at(client).session;
        let mut line = self.at(client).line.iter_mut();
        let Some(pending) = line.find(|pending| pending.op.is_update() && !pending.proposed) else {
            return false;
        };
        pending.proposed = true;
        let (op, call, xid) = (pending.op.clone(), pending.call, pending.xid);
        let stamp = self.stamp(session);
        let judged = Judged {
            ids: self.at(client).ids.clone(),
            as_of: self.behind,
        };
        let result = self.leader.write_as(&op, stamp, judged.rights());
        self.note(stamp, xid, effect_of(&op, Some(&result)));
        let entry = Entry::Request(op, client as usize - 1, call, judged);
        self.log.push((stamp, entry));
        true
    }

    /// The server takes the client for somebody, without a proof in the history.
    pub fn prove_unseen(&mut self, client: u32, scheme: &str) {
        self.at(client).ids.push(Id::new(scheme, ""));
    }

    /// The servers remove a node without a child.
    pub fn sweep(&mut self, path: &str) {
        let stamp = self.stamp(SessionId::NONE);
        let path: ZPath = path.into();
        let op = Op::DeleteContainer { path: path.clone() };
        let result = self.leader.write(&op, stamp);
        self.note(stamp, Xid(0), effect_of(&op, Some(&result)));
        self.log.push((stamp, Entry::Swept(path)));
    }

    /// The replica applies its next transaction; whether there was one.
    pub fn apply_one(&mut self, replica: usize) -> bool {
        let own = &mut self.replicas[replica];
        let Some((stamp, entry)) = self.log.get(own.applied).cloned() else {
            return false;
        };
        own.applied += 1;
        let answer = match entry {
            Entry::Open => {
                own.model.create_session(stamp);
                None
            }
            Entry::Close => {
                own.model.close_session(stamp);
                None
            }
            Entry::Request(op, client, call, judged) => {
                let result = own.model.write_as(&op, stamp, judged.rights());
                Some((client, call, result))
            }
            Entry::Swept(path) => {
                let _ = own.model.write(&Op::DeleteContainer { path }, stamp);
                None
            }
        };
        // Of lists with identities in them nobody is told here: that is legal for whoever has none.
        let fired = own
            .watches
            .fire(own.model.triggers(), |_, acl| acl.is_open());
        for (session, event) in fired {
            let to = self.clients.iter_mut().find(|client| {
                client.connected && client.replica == replica && client.session == session
            });
            if let Some(client) = to {
                client.inbox.push_back(HistoryKind::Watch {
                    zxid: Some(stamp.zxid),
                    conn: client.conn,
                    event,
                });
            }
        }
        if let Some((client, call, result)) = answer
            && self.clients[client].replica == replica
        {
            let mut line = self.clients[client].line.iter_mut();
            if let Some(pending) = line.find(|pending| pending.call == call) {
                pending.result = Some(result);
            }
        }
        for client in 0..self.clients.len() {
            if self.clients[client].replica == replica {
                self.serve(client as u32 + 1);
            }
        }
        true
    }

    pub fn catch_up(&mut self, replica: usize) {
        while self.apply_one(replica) {}
    }

    /// Hands the client the next thing on its way to it; whether there was one.
    pub fn deliver(&mut self, client: u32) -> bool {
        let own = self.at(client);
        let Some(kind) = own.inbox.pop_front() else {
            return false;
        };
        own.learn(&kind);
        self.record(client, kind);
        true
    }

    /// Everything outstanding is carried out and delivered.
    pub fn settle(&mut self) {
        for client in 1..=self.clients.len() as u32 {
            while self.propose(client) {}
        }
        for replica in 0..self.replicas.len() {
            self.catch_up(replica);
        }
        for client in 1..=self.clients.len() as u32 {
            self.deliver_all(client);
        }
    }

    /// Every client is connected again, at a server that has caught up; everything outstanding is carried out and delivered; over.
    pub fn come_to_rest(mut self) -> Run {
        for client in 1..=self.clients.len() as u32 {
            while !self.is_connected(client) {
                self.catch_up(0);
                self.deliver_all(client);
                self.reconnect(client, 0);
            }
        }
        self.settle();
        self.finish()
    }

    /// The connection breaks: what was on its way is lost.
    pub fn lose(&mut self, client: u32) {
        let own = self.at(client);
        let (session, replica) = (own.session, own.replica);
        own.inbox.clear();
        own.connected = false;
        own.line.clear();
        let lost: Vec<CallId> = std::mem::take(&mut own.asked).into_keys().collect();
        self.replicas[replica].watches.forget(session);
        for id in lost {
            let error = ErrorCode::ConnectionLoss;
            let sent = true;
            let xid = None;
            self.record(
                client,
                HistoryKind::Info {
                    id,
                    error,
                    sent,
                    xid,
                },
            );
        }
        let change = SessionChange::Disconnected;
        self.record(client, HistoryKind::Session { change });
    }

    /// The client goes on at that replica, if it is not behind what the client has seen; with a new session if its own is over.
    pub fn reconnect(&mut self, client: u32, replica: usize) -> bool {
        if self.at(client).closed {
            self.open(client, replica);
            return true;
        }
        let own = self.at(client);
        let (session, seen) = (own.session, own.seen);
        if !self.leader.has_session(session) {
            self.at(client).closed = true;
            let change = SessionChange::Expired;
            self.record(client, HistoryKind::Session { change });
            return true;
        }
        let behind = self.replicas[replica].model.last_zxid() < seen;
        if !behind {
            self.reconnect_unchecked(client, replica);
        }
        !behind
    }

    pub fn reconnect_unchecked(&mut self, client: u32, replica: usize) {
        self.connect(client, replica, true);
        self.set_watches(client, replica);
        self.deliver_all(client);
    }

    /// The leader ends the client's session.
    pub fn expire(&mut self, client: u32) {
        let session = self.at(client).session;
        let stamp = self.stamp(session);
        self.leader.close_session(stamp);
        self.note(stamp, Xid(0), TxnKind::CloseSession);
        self.log.push((stamp, Entry::Close));
    }

    pub fn is_connected(&self, client: u32) -> bool {
        self.clients[client as usize - 1].connected
    }

    pub fn outstanding(&self, client: u32) -> usize {
        self.clients[client as usize - 1].asked.len()
    }

    /// A step of a recipe.
    pub fn step(&mut self, client: u32, object: &str, step: RecipeStep) {
        let object = object.into();
        self.record(client, HistoryKind::Recipe(RecipeEvent { object, step }));
    }

    pub fn pause(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    fn open(&mut self, client: u32, replica: usize) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let stamp = self.stamp(session);
        self.leader.create_session(stamp);
        self.note(stamp, Xid(0), TxnKind::CreateSession { timeout_ms: 4_000 });
        self.log.push((stamp, Entry::Open));
        self.catch_up(replica);
        let own = self.at(client);
        own.session = session;
        own.closed = false;
        (own.seen, own.replied) = (Zxid::ZERO, Zxid::ZERO);
        own.data.clear();
        own.child.clear();
        own.stays.clear();
        self.connect(client, replica, false);
        self.deliver_all(client);
    }

    fn connect(&mut self, client: u32, replica: usize, reattached: bool) {
        let own = self.at(client);
        own.replica = replica;
        own.connected = true;
        own.conn += 1;
        own.xid = 0;
        let change = SessionChange::Connected {
            server: ServerId(replica as u8 + 1),
            conn: own.conn,
            timeout_ms: 4_000,
            reattached,
            read_only: false,
        };
        own.inbox.push_back(HistoryKind::Session { change });
    }

    fn set_watches(&mut self, client: u32, replica: usize) {
        let server = &mut self.replicas[replica];
        let own = &mut self.clients[client as usize - 1];
        if own.data.is_empty() && own.child.is_empty() && own.stays.is_empty() {
            return;
        }
        for (path, modes) in &own.stays {
            let all = [AddWatchMode::Persistent, AddWatchMode::PersistentRecursive];
            for (mode, _) in all.into_iter().zip(modes).filter(|(_, set)| **set) {
                server.watches.add(own.session, path, mode);
            }
        }
        let stat = |path: &ZPath| {
            let path = path.clone();
            match server.model.read(&Op::Exists { path, watch: false }) {
                Ok(Reply::Exists { stat }) => Some(stat),
                _ => None,
            }
        };
        let mut told = Vec::new();
        for (path, present) in &own.data {
            let kind = match stat(path) {
                None if *present => Some(WatchKind::NodeDeleted),
                Some(stat) if *present && stat.mzxid > own.replied => {
                    Some(WatchKind::NodeDataChanged)
                }
                Some(_) if !present => Some(WatchKind::NodeCreated),
                _ => None,
            };
            told.push((path.clone(), kind, watch(path)));
        }
        for path in own.child.keys() {
            let kind = match stat(path) {
                None => Some(WatchKind::NodeDeleted),
                Some(stat) if stat.pzxid > own.replied => Some(WatchKind::NodeChildrenChanged),
                _ => None,
            };
            told.push((path.clone(), kind, watch_children(path)));
        }
        let deleted = |path: &ZPath, told: &VecDeque<HistoryKind>| {
            told.iter().any(|kind| {
                matches!(kind, HistoryKind::Watch { zxid: None, event, .. }
                    if event.path == *path && event.kind == WatchKind::NodeDeleted)
            })
        };
        for (path, kind, op) in told {
            match kind {
                Some(kind) => {
                    // The client's library gives the program one event for both lists.
                    if kind == WatchKind::NodeDeleted && deleted(&path, &own.inbox) {
                        continue;
                    }
                    let event = WatchEvent { kind, path };
                    let (zxid, conn) = (None, own.conn);
                    own.inbox
                        .push_back(HistoryKind::Watch { zxid, conn, event });
                }
                None => {
                    let found = Ok(Reply::Checked);
                    server.watches.register(own.session, &op, &found);
                }
            }
        }
        let change = SessionChange::WatchesSet {
            relative: own.replied,
            zxid: server.model.last_zxid(),
            conn: own.conn,
        };
        own.inbox.push_back(HistoryKind::Session { change });
    }

    /// Answers what stands first in the client's line, as far as it can be answered.
    fn serve(&mut self, client: u32) {
        let own = &mut self.clients[client as usize - 1];
        let server = &mut self.replicas[own.replica];
        while own.connected {
            let Some(first) = own.line.front() else {
                return;
            };
            let result = if first.op.is_update() {
                match first.result.clone() {
                    Some(result) => result,
                    None => return,
                }
            } else {
                let rights = Rights {
                    ids: &own.ids,
                    as_of: None,
                };
                let result = match &first.op {
                    Op::AddAuth { auth, .. } => {
                        own.ids.push(Id::new("digest", &digest(auth)));
                        Ok(Reply::AuthAdded)
                    }
                    Op::RemoveWatches { path, kind } => {
                        match server.watches.remove(own.session, path, *kind) {
                            true => Ok(Reply::WatchesRemoved),
                            false => Err(ErrorCode::NoWatcher),
                        }
                    }
                    op => server.model.read_as(op, own.session, rights),
                };
                server.watches.register(own.session, &first.op, &result);
                result
            };
            let pending = own.line.pop_front().expect("it is there");
            let (id, xid, conn) = (pending.call, pending.xid, own.conn);
            let zxid = match pending.op {
                Op::AddAuth { .. } => Zxid::ZERO,
                _ => server.model.last_zxid(),
            };
            let closes = pending.op == Op::CloseSession;
            own.inbox.push_back(match result {
                Ok(result) => HistoryKind::Ok {
                    id,
                    zxid,
                    xid,
                    conn,
                    result,
                },
                Err(error) => HistoryKind::Fail {
                    id,
                    zxid,
                    xid,
                    conn,
                    error,
                },
            });
            if closes {
                let change = SessionChange::Closed;
                own.inbox.push_back(HistoryKind::Session { change });
                own.connected = false;
                server.watches.forget(own.session);
            }
        }
    }

    /// The leader begins a new epoch with its next transaction.
    pub fn new_epoch(&mut self) {
        self.epoch = self.leader.last_zxid().epoch() + 1;
    }

    pub fn deliver_all(&mut self, client: u32) {
        while self.deliver(client) {}
    }

    fn record(&mut self, client: u32, kind: HistoryKind) {
        self.now_ms += 1;
        self.history.push(HistoryEvent {
            time: Time::from_ms(self.now_ms),
            process: ProcessId(client),
            session: self.clients[client as usize - 1].session,
            kind,
        });
    }

    fn note(&mut self, stamp: Stamp, cxid: Xid, what: TxnKind) {
        self.witness.txns.push(CommittedTxn {
            zxid: stamp.zxid,
            session: stamp.session,
            cxid,
            time_ms: stamp.time_ms,
            what,
        });
    }

    fn stamp(&self, session: SessionId) -> Stamp {
        let next = Zxid(self.leader.last_zxid().0 + 1);
        Stamp {
            session,
            zxid: next.max(Zxid::new(self.epoch, 1)),
            time_ms: 1_000_000 + self.now_ms as i64,
        }
    }

    fn at(&mut self, client: u32) -> &mut Client {
        &mut self.clients[client as usize - 1]
    }
}

impl Client {
    /// What the client's library remembers of what it is given.
    fn learn(&mut self, kind: &HistoryKind) {
        match kind {
            HistoryKind::Ok { id, zxid, .. } | HistoryKind::Fail { id, zxid, .. } => {
                self.seen = self.seen.max(*zxid);
                if *zxid != Zxid::ZERO {
                    self.replied = *zxid;
                }
                let op = self.asked.remove(id).expect("it was asked");
                let found = matches!(kind, HistoryKind::Ok { .. });
                self.learn_of_stays(&op, found);
                match watch_of(&op, found) {
                    Some((crate::WatchList::Data, path)) => {
                        self.data.entry(path.clone()).or_insert(found);
                    }
                    Some((crate::WatchList::Child, path)) => {
                        self.child.insert(path.clone(), ());
                    }
                    None => {}
                }
            }
            HistoryKind::Watch { zxid, event, .. } => {
                self.seen = self.seen.max(zxid.unwrap_or_default());
                match event.kind {
                    WatchKind::NodeChildrenChanged => {
                        self.child.remove(&event.path);
                    }
                    WatchKind::NodeDeleted => {
                        self.data.remove(&event.path);
                        self.child.remove(&event.path);
                    }
                    _ => {
                        self.data.remove(&event.path);
                    }
                }
            }
            HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } => {
                self.seen = self.seen.max(*zxid);
                self.replied = *zxid;
            }
            HistoryKind::Session {
                change: SessionChange::Closed,
            } => self.closed = true,
            _ => {}
        }
    }

    fn learn_of_stays(&mut self, op: &Op, done: bool) {
        match op {
            Op::AddWatch { path, mode } if done => {
                let modes = self.stays.entry(path.clone()).or_default();
                modes[usize::from(*mode == AddWatchMode::PersistentRecursive)] = true;
            }
            Op::RemoveWatches { path, kind } if done => {
                let any = *kind == WatcherType::Any;
                if any || *kind == WatcherType::Data {
                    self.data.remove(path);
                }
                if any || *kind == WatcherType::Children {
                    self.child.remove(path);
                }
                let modes = self.stays.entry(path.clone()).or_default();
                modes[0] &= !any && *kind != WatcherType::Persistent;
                modes[1] &= !any && *kind != WatcherType::PersistentRecursive;
                if *modes == [false; 2] {
                    self.stays.remove(path);
                }
            }
            _ => {}
        }
    }
}
