// A laboratory for recipes: a service that is one tree, clients whose connections break as scripted, and an executor of
// twenty lines. It stands behind ports, in place of sessions and servers; what a session does on a loss or an
// expiry is done here by hand, so that a test says exactly what happens between which two requests.
//
// (Plain comments: the recipes' doc-tests `include!` this file.)

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use zabsim_client::{Client, Command, Outcome, Port};
use zabsim_types::{
    CallId, CreateMode, Data, ErrorCode, Op, OpResult, RecipeStep, Reply, ServerId, SessionChange,
    SessionId, Stat, Time, WatchEvent, WatchKind, Xid, ZPath, Zxid, parent_of,
};

/// What becomes of a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Fate {
    /// It is carried out, then the connection breaks before its reply arrives.
    LoseReply,
    /// The connection breaks before it arrives.
    LoseRequest,
    /// Carried out, the reply lost, and the session expired with a new one opened before the program runs again.
    LoseReplyAndSession,
    /// The same, but the service has not noticed yet: the old session's nodes stay until `bury` is called.
    LoseReplyAndForgetSession,
    /// The session expires first.
    Expire,
    /// Somebody else deletes this node first.
    AfterDeleting(String),
    /// Somebody else deletes the contender's own node first.
    AfterDeletingOwn,
    /// Answered from the state of so many transactions ago.
    Lag(usize),
}

/// The fate of the first request that fits.
pub struct Rule {
    client: usize,
    kind: &'static str,
    skip: usize,
    fate: Fate,
}

#[derive(Clone, Default)]
struct Node {
    data: Data,
    czxid: Zxid,
    mzxid: Zxid,
    version: i32,
    owner: SessionId,
    created: i32,
}

type Tree = BTreeMap<String, Node>;

pub struct Service {
    tree: Tree,
    past: Vec<Tree>,
    zxid: u64,
    /// (client, whether of a child list, path)
    watches: BTreeSet<(usize, bool, String)>,
    pending_events: VecDeque<(usize, Zxid, WatchEvent)>,
}

struct Seat {
    port: Port,
    session: SessionId,
    attached: bool,
    waiting: VecDeque<(CallId, Op)>,
    conn: u32,
    xid: i32,
    dead: bool,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Due {
    Fire(usize, u64),
    Reattach(usize),
}

pub struct Lab {
    pub service: Service,
    seats: Vec<Seat>,
    tasks: Vec<(usize, Arc<Flag>, Option<Task>)>,
    rules: Vec<Rule>,
    now: u64,
    due: BTreeMap<(u64, u64), Due>,
    turn: u64,
    /// The client that commands while its task runs or its deliveries are made.
    sessions: i64,
    /// What the recipes recorded, by client (from 1).
    pub steps: Vec<(usize, RecipeStep)>,
    /// Every request as it was handed over, by client: `1 create`.
    pub requests: Vec<String>,
    /// How often each client's notifications came.
    pub events: BTreeMap<usize, u32>,
    /// After how long a lost connection comes back.
    pub outage_us: u64,
}

impl Lab {
    pub fn new() -> Lab {
        let tree = Tree::from([("/".to_string(), Node::default())]);
        Lab {
            service: Service {
                past: vec![tree.clone()],
                tree,
                zxid: 0,
                watches: BTreeSet::new(),
                pending_events: VecDeque::new(),
            },
            seats: Vec::new(),
            tasks: Vec::new(),
            rules: Vec::new(),
            now: 0,
            due: BTreeMap::new(),
            turn: 0,
            sessions: 0,
            steps: Vec::new(),
            requests: Vec::new(),
            events: BTreeMap::new(),
            outage_us: 50_000,
        }
    }

    /// The program's side of a new client; they count from 1.
    pub fn client(&mut self) -> Client {
        let port = Port::new(self.seats.len() as u64 + 1);
        let client = port.client();
        self.seats.push(Seat {
            port,
            session: SessionId::NONE,
            attached: false,
            waiting: VecDeque::new(),
            conn: 0,
            xid: 0,
            dead: false,
        });
        client
    }

    /// Runs a program, which must end well.
    pub fn spawn<E: Debug>(
        &mut self,
        program: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = Box::pin(async move { program.await.expect("the program ends well") });
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push((self.tasks.len(), woken, Some(task)));
    }

    /// The fate of the client's next request of that kind, after skipping some.
    pub fn rule(&mut self, client: usize, kind: &'static str, skip: usize, fate: Fate) {
        self.rules.push(Rule {
            client,
            kind,
            skip,
            fate,
        });
    }

    /// Whether all rules were used.
    pub fn rules_left(&self) -> usize {
        self.rules.len()
    }

    /// Until nothing is left to do; panics if a program has not ended.
    pub fn run(&mut self) {
        self.run_until(u64::MAX);
        let stuck: Vec<usize> = self
            .tasks
            .iter()
            .filter(|(_, _, task)| task.is_some())
            .map(|(number, _, _)| number + 1)
            .collect();
        assert!(
            stuck.is_empty(),
            "programs {stuck:?} wait for ever: {:#?}",
            self.requests
        );
    }

    /// Until that time.
    pub fn run_until(&mut self, until: u64) {
        let mut idle_turns = 0;
        loop {
            self.poll_tasks();
            if self.carry_out() {
                idle_turns += 1;
                let recent = &self.requests[self.requests.len().saturating_sub(20)..];
                assert!(idle_turns < 10_000, "no time passes any more: {recent:#?}");
                continue;
            }
            idle_turns = 0;
            match self.due.first_key_value() {
                Some((&(at, _), _)) if at <= until => self.take_due(),
                _ => return,
            }
        }
    }

    fn take_due(&mut self) {
        let Some(((at, _), due)) = self.due.pop_first() else {
            return;
        };
        self.now = at;
        for seat in &self.seats {
            seat.port.set_now(Time(at));
        }
        match due {
            Due::Fire(client, sleeper) => self.seats[client].port.fire(sleeper),
            Due::Reattach(client) => self.reattach(client),
        }
    }

    fn poll_tasks(&mut self) {
        loop {
            let mut polled = false;
            for (_, woken, task) in &mut self.tasks {
                if woken.0.swap(false, Ordering::Relaxed)
                    && let Some(running) = task
                {
                    polled = true;
                    let waker = Waker::from(woken.clone());
                    if let Poll::Ready(()) = running.as_mut().poll(&mut Context::from_waker(&waker))
                    {
                        *task = None;
                    }
                }
            }
            if !polled {
                return;
            }
        }
    }

    /// Carries out what was commanded. False if nothing was.
    fn carry_out(&mut self) -> bool {
        let mut any = false;
        for client in 0..self.seats.len() {
            let mut commands = Vec::new();
            self.seats[client].port.take_commands(&mut commands);
            for command in commands {
                any = true;
                self.carry_out_one(client, command);
            }
        }
        any
    }

    fn carry_out_one(&mut self, client: usize, command: Command) {
        match command {
            Command::Open => self.open(client),
            Command::Submit { call, op } => {
                self.requests.push(format!("{} {}", client + 1, kind(&op)));
                self.submit(client, call, op);
            }
            Command::Sleep { sleeper, micros } => {
                self.later(micros, Due::Fire(client, sleeper));
            }
            Command::CancelSleep { sleeper } => self
                .due
                .retain(|_, due| !matches!(due, Due::Fire(c, s) if (*c, *s) == (client, sleeper))),
            Command::Move { .. } => self.break_connection(client),
            Command::Record(event) => self.steps.push((client + 1, event.step)),
        }
    }

    fn later(&mut self, micros: u64, due: Due) {
        self.turn += 1;
        self.due.insert((self.now + micros, self.turn), due);
    }

    pub fn open(&mut self, client: usize) {
        self.sessions += 1;
        self.seats[client].session = SessionId(self.sessions);
        self.service.next_zxid();
        self.attach(client, false);
    }

    fn attach(&mut self, client: usize, reattached: bool) {
        let seat = &mut self.seats[client];
        seat.attached = true;
        seat.conn += 1;
        let change = SessionChange::Connected {
            server: ServerId(1),
            conn: seat.conn,
            timeout_ms: 1_000,
            reattached,
            read_only: false,
        };
        seat.port.changed(seat.session, &change);
        self.deliver_events();
        while self.seats[client].attached
            && let Some((call, op)) = self.seats[client].waiting.pop_front()
        {
            self.submit(client, call, op);
        }
    }

    fn reattach(&mut self, client: usize) {
        if !self.seats[client].attached && self.seats[client].session != SessionId::NONE {
            self.attach(client, true);
        }
    }

    /// The client's connection breaks, and comes back after a while.
    pub fn break_connection(&mut self, client: usize) {
        let seat = &mut self.seats[client];
        if seat.attached {
            seat.attached = false;
            seat.port
                .changed(seat.session, &SessionChange::Disconnected);
            let outage = self.outage_us;
            self.later(outage, Due::Reattach(client));
        }
    }

    /// The client's session ends: the service deletes its nodes, then tells it.
    pub fn expire(&mut self, client: usize) {
        self.bury(self.seats[client].session);
        self.forget_session(client);
    }

    /// The client takes its session for expired, whatever the service thinks.
    pub fn forget_session(&mut self, client: usize) {
        let seat = &mut self.seats[client];
        let session = std::mem::take(&mut seat.session);
        if std::mem::take(&mut seat.attached) {
            seat.port.changed(session, &SessionChange::Disconnected);
        }
        for (call, _) in std::mem::take(&mut seat.waiting) {
            seat.port
                .complete(call, lost(ErrorCode::SessionExpired, false));
        }
        seat.port.changed(session, &SessionChange::Expired);
        self.service
            .watches
            .retain(|(owner, _, _)| *owner != client);
        self.service
            .pending_events
            .retain(|(owner, _, _)| *owner != client);
    }

    /// The service ends a session: its nodes go.
    pub fn bury(&mut self, session: SessionId) {
        let zxid = self.service.next_zxid();
        let owned: Vec<String> = self
            .service
            .tree
            .iter()
            .filter(|(_, node)| node.owner == session && session != SessionId::NONE)
            .map(|(path, _)| path.clone())
            .collect();
        for path in owned {
            self.service.remove(&path, zxid);
        }
        self.service.remember();
        self.deliver_events();
    }

    /// The process dies: its programs end where they are, its connection breaks, its session lives on.
    pub fn kill(&mut self, client: usize, task: usize) {
        self.seats[client].port.kill();
        self.seats[client].dead = true;
        self.seats[client].attached = false;
        self.tasks[task].2 = None;
    }

    fn submit(&mut self, client: usize, call: CallId, op: Op) {
        if self.seats[client].session == SessionId::NONE {
            let outcome = lost(ErrorCode::SessionExpired, false);
            return self.seats[client].port.complete(call, outcome);
        }
        if !self.seats[client].attached {
            return self.seats[client].waiting.push_back((call, op));
        }
        let fate = self.fate_of(client, &op);
        let lag = match &fate {
            Some(Fate::Lag(lag)) => *lag,
            _ => 0,
        };
        match &fate {
            Some(Fate::LoseRequest) => {
                let port = self.seats[client].port.clone();
                port.complete(call, lost(ErrorCode::ConnectionLoss, true));
                return self.break_connection(client);
            }
            Some(Fate::Expire) => {
                let port = self.seats[client].port.clone();
                port.complete(call, lost(ErrorCode::ConnectionLoss, true));
                return self.expire(client);
            }
            Some(Fate::AfterDeleting(path)) => self.delete(&path.clone()),
            Some(Fate::AfterDeletingOwn) => self.bury(self.seats[client].session),
            _ => {}
        }
        let session = self.seats[client].session;
        let (zxid, result) = self.service.execute(client, session, &op, lag);
        let port = self.seats[client].port.clone();
        match fate {
            Some(Fate::LoseReply) => {
                port.complete(call, lost(ErrorCode::ConnectionLoss, true));
                self.break_connection(client);
                return self.deliver_events();
            }
            Some(Fate::LoseReplyAndSession | Fate::LoseReplyAndForgetSession) => {
                port.complete(call, lost(ErrorCode::ConnectionLoss, true));
                match fate {
                    Some(Fate::LoseReplyAndSession) => self.expire(client),
                    _ => self.forget_session(client),
                }
                self.open(client);
                return self.deliver_events();
            }
            _ => {}
        }
        // Notifications go ahead of the reply.
        self.deliver_events();
        let seat = &mut self.seats[client];
        seat.xid += 1;
        let (xid, conn) = (Xid(seat.xid), seat.conn);
        let closed = op == Op::CloseSession;
        port.complete(
            call,
            Outcome::Replied {
                xid,
                conn,
                zxid,
                result,
            },
        );
        if closed {
            self.bury(session);
            let seat = &mut self.seats[client];
            seat.session = SessionId::NONE;
            seat.attached = false;
            seat.port.changed(session, &SessionChange::Closed);
        }
    }

    /// Somebody deletes a node.
    pub fn delete(&mut self, path: &str) {
        let zxid = self.service.next_zxid();
        self.service.remove(path, zxid);
        self.service.remember();
        self.deliver_events();
    }

    fn fate_of(&mut self, client: usize, op: &Op) -> Option<Fate> {
        let fits = |rule: &&mut Rule| rule.client == client + 1 && rule.kind == kind(op);
        let rule = self.rules.iter_mut().find(fits)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        let at = self
            .rules
            .iter()
            .position(|rule| rule.client == client + 1 && rule.kind == kind(op))?;
        Some(self.rules.remove(at).fate)
    }

    /// Tells the attached; a session's events wait for its connection, as its watches are then registered anew.
    fn deliver_events(&mut self) {
        for (client, zxid, event) in std::mem::take(&mut self.service.pending_events) {
            let seat = &self.seats[client];
            if seat.dead {
                continue;
            }
            if seat.attached {
                *self.events.entry(client + 1).or_default() += 1;
                seat.port.event(Some(zxid), seat.conn, event);
            } else {
                self.service.pending_events.push_back((client, zxid, event));
            }
        }
    }

    /// The names of a node's children.
    pub fn children(&self, path: &str) -> Vec<String> {
        self.service.children(&self.service.tree, path)
    }

    /// How often a client handed over that kind of request.
    pub fn count(&self, client: usize, kind: &str) -> usize {
        let line = format!("{client} {kind}");
        self.requests
            .iter()
            .filter(|request| **request == line)
            .count()
    }
}

impl Service {
    fn next_zxid(&mut self) -> Zxid {
        self.zxid += 1;
        Zxid(self.zxid)
    }

    fn remember(&mut self) {
        self.past.push(self.tree.clone());
    }

    /// Where the next sequence number of a node's children begins.
    pub fn count_from(&mut self, path: &str, created: i32) {
        let zxid = self.next_zxid();
        let node = self.tree.entry(path.to_string()).or_default();
        node.czxid = zxid;
        node.created = created;
        self.remember();
    }

    fn execute(
        &mut self,
        client: usize,
        session: SessionId,
        op: &Op,
        lag: usize,
    ) -> (Zxid, OpResult) {
        match op {
            Op::Create { .. } | Op::Delete { .. } | Op::SetData { .. } | Op::CloseSession => {
                let zxid = self.next_zxid();
                let result = self.write(session, op, zxid);
                self.remember();
                (zxid, result)
            }
            _ => (Zxid(self.zxid), self.read(client, op, lag)),
        }
    }

    fn write(&mut self, session: SessionId, op: &Op, zxid: Zxid) -> OpResult {
        match op {
            Op::Create {
                path, data, mode, ..
            } => {
                let parent = parent_of(path).ok_or(ErrorCode::NodeExists)?.to_string();
                let above = self.tree.get_mut(&parent).ok_or(ErrorCode::NoNode)?;
                let path = match mode.is_sequential() {
                    true => format!("{path}{:010}", above.created),
                    false => path.to_string(),
                };
                let created = above.created.wrapping_add(1);
                if self.tree.contains_key(&path) {
                    return Err(ErrorCode::NodeExists);
                }
                self.tree.get_mut(&parent).ok_or(ErrorCode::NoNode)?.created = created;
                let ephemeral = matches!(
                    mode,
                    CreateMode::Ephemeral | CreateMode::EphemeralSequential
                );
                let node = Node {
                    data: data.clone(),
                    czxid: zxid,
                    mzxid: zxid,
                    owner: if ephemeral { session } else { SessionId::NONE },
                    ..Node::default()
                };
                self.tree.insert(path.clone(), node);
                self.notify(&path, WatchKind::NodeCreated, zxid);
                self.notify(&parent, WatchKind::NodeChildrenChanged, zxid);
                let path = path.into();
                Ok(Reply::Created { path, stat: None })
            }
            Op::Delete { path, .. } => match self.remove(path, zxid) {
                true => Ok(Reply::Deleted),
                false => Err(ErrorCode::NoNode),
            },
            Op::SetData { path, data, .. } => {
                let node = self.tree.get_mut(&**path).ok_or(ErrorCode::NoNode)?;
                node.data = data.clone();
                node.mzxid = zxid;
                node.version += 1;
                let stat = stat(node);
                self.notify(path, WatchKind::NodeDataChanged, zxid);
                Ok(Reply::Set { stat })
            }
            _ => Ok(Reply::Closed),
        }
    }

    fn remove(&mut self, path: &str, zxid: Zxid) -> bool {
        if self.tree.remove(path).is_none() {
            return false;
        }
        self.notify(path, WatchKind::NodeDeleted, zxid);
        if let Some(parent) = parent_of(path) {
            self.notify(parent, WatchKind::NodeChildrenChanged, zxid);
        }
        true
    }

    fn read(&mut self, client: usize, op: &Op, lag: usize) -> OpResult {
        let tree = &self.past[self.past.len() - 1 - lag];
        match op {
            Op::GetData { path, watch } => {
                let node = tree.get(&**path).ok_or(ErrorCode::NoNode)?;
                let (data, stat) = (node.data.clone(), stat(node));
                if *watch {
                    self.watches.insert((client, false, path.to_string()));
                }
                Ok(Reply::Data { data, stat })
            }
            Op::Exists { path, watch } => {
                let found = tree.get(&**path).map(stat);
                if *watch {
                    self.watches.insert((client, false, path.to_string()));
                }
                found
                    .map(|stat| Reply::Exists { stat })
                    .ok_or(ErrorCode::NoNode)
            }
            Op::GetChildren { path, watch, .. } => {
                tree.get(&**path).ok_or(ErrorCode::NoNode)?;
                let names = self.children(tree, path);
                if *watch {
                    self.watches.insert((client, true, path.to_string()));
                }
                let names = names.iter().map(|name| name.as_str().into()).collect();
                Ok(Reply::Children { names, stat: None })
            }
            Op::Sync { path, .. } => Ok(Reply::Synced { path: path.clone() }),
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    fn children(&self, tree: &Tree, path: &str) -> Vec<String> {
        tree.keys()
            .filter(|key| parent_of(key) == Some(path))
            .map(|key| key.rsplit('/').next().unwrap_or(key).to_string())
            .collect()
    }

    fn notify(&mut self, path: &str, kind: WatchKind, zxid: Zxid) {
        let of_children = kind == WatchKind::NodeChildrenChanged;
        let both = kind == WatchKind::NodeDeleted;
        let mut told = BTreeSet::new();
        self.watches.retain(|(client, child, watched)| {
            let fires = watched == path && (both || *child == of_children);
            if fires {
                told.insert(*client);
            }
            !fires
        });
        for client in told {
            let path: ZPath = path.into();
            let event = WatchEvent { kind, path };
            self.pending_events.push_back((client, zxid, event));
        }
    }
}

fn stat(node: &Node) -> Stat {
    Stat {
        czxid: node.czxid,
        mzxid: node.mzxid,
        version: node.version,
        ephemeral_owner: node.owner,
        ..Stat::default()
    }
}

fn lost(error: ErrorCode, sent: bool) -> Outcome {
    Outcome::Lost {
        error,
        sent,
        xid: None,
    }
}

fn kind(op: &Op) -> &'static str {
    match op {
        Op::Create { mode, .. } if mode.is_sequential() => "create",
        Op::Create { .. } => "mkdir",
        Op::Delete { .. } => "delete",
        Op::SetData { .. } => "setData",
        Op::GetData { watch: true, .. } => "watch",
        Op::GetData { .. } => "getData",
        Op::Exists { .. } => "exists",
        Op::GetChildren { .. } => "list",
        Op::Sync { .. } => "sync",
        Op::CloseSession => "close",
        _ => "other",
    }
}
