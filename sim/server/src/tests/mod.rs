//! The service against an ensemble without ZAB: one log, whose entries count as committed at once and are delivered to each
//! server when the test lets them. What is proposed is numbered and checked as a peer would.

mod connecting;
mod damage;
mod fuzzy;
mod guarding;
mod local;
mod ordering;
mod read_only;
mod sessions;
mod watching;

use crate::service::{Out, Service};
use crate::{Config, ConnId, Effect, Note, Rules, Stage, Timer};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::{Delivery, Epoch, Payload, PeerId, PeerState, Phase, Role, Time, Zxid};
use zabsim_types::{
    Acl, ClientFrame, ConnectReply, ConnectRequest, CreateMode, ErrorCode, Op, OpResult, Reply,
    ServerFrame, SessionId, Xid,
};

/// A tick of the fake ensemble.
const TICK_MS: u64 = 500;
const TIMEOUT_MS: u32 = 4_000;

fn config(id: u8) -> Config {
    Config {
        zab: zab::Config {
            id: PeerId(id),
            quorum: zab::QuorumConfig {
                voters: (1..=3).map(PeerId).collect(),
                observers: BTreeSet::new(),
                rule: zab::QuorumRule::Majority,
            },
            tick_us: TICK_MS * 1_000,
            init_limit: 10,
            sync_limit: 5,
            finalize_wait_us: 200_000,
            notify_us: (200_000, 60_000_000),
            commit_log_count: 500,
            disk_diff_bytes_max: 0,
            snap_count: 1_000,
            counter_max: u32::MAX,
            snap_retain: 3,
            bugs: zab::Planted::NONE,
        },
        session_timeout_ms: (1_000, 10_000),
        apply_batch: 100,
        snapshot_chunk_nodes: 2,
        password_salt: 7,
        sweep_interval_ms: 1_000,
        rules: Rules::default(),
        local_sessions: false,
        upgrade_local_sessions: true,
        read_only_mode: false,
    }
}

/// Server 1 leads; the others learn.
struct Ensemble {
    now: Time,
    servers: Vec<Server>,
    log: Vec<(Zxid, Payload)>,
    /// What each connection got since it was last asked.
    inbox: BTreeMap<ConnId, Vec<ServerFrame>>,
    /// Ended by a server.
    closed: BTreeSet<ConnId>,
    home: BTreeMap<ConnId, usize>,
    notes: Vec<Note>,
    xids: i32,
    /// Barriers take their time.
    hold_syncs: bool,
    held_syncs: VecDeque<(usize, zab::SyncId)>,
}

struct Server {
    service: Service,
    inputs: VecDeque<zab::Input>,
    stages: VecDeque<Stage>,
    delivered: usize,
    /// Commits stop short of this server.
    held: bool,
    timers: BTreeMap<Timer, Time>,
}

impl Ensemble {
    fn new(servers: u8) -> Ensemble {
        Ensemble::set_up(servers, |_| {})
    }

    /// One of servers that are set up otherwise.
    fn set_up(servers: u8, otherwise: impl Fn(&mut Config)) -> Ensemble {
        let config = |id| {
            let mut config = config(id);
            otherwise(&mut config);
            config
        };
        let mut ensemble = Ensemble {
            now: Time(1_000_000),
            servers: (1..=servers)
                .map(|id| Server {
                    service: Service::new(config(id)),
                    inputs: VecDeque::new(),
                    stages: VecDeque::new(),
                    delivered: 0,
                    held: false,
                    timers: BTreeMap::new(),
                })
                .collect(),
            log: Vec::new(),
            inbox: BTreeMap::new(),
            closed: BTreeSet::new(),
            home: BTreeMap::new(),
            notes: Vec::new(),
            xids: 0,
            hold_syncs: false,
            held_syncs: VecDeque::new(),
        };
        ensemble.establish(Epoch(1));
        ensemble
    }

    /// Server 1 leads this epoch from now on.
    fn establish(&mut self, epoch: Epoch) {
        for at in 0..self.servers.len() {
            let state = match at {
                0 => PeerState::Leading,
                _ => PeerState::Following,
            };
            self.role(at, state, Phase::Broadcast, epoch);
        }
        self.settle();
    }

    fn role(&mut self, at: usize, state: PeerState, phase: Phase, epoch: Epoch) {
        let role = Role {
            state,
            phase,
            epoch,
            leader: Some(PeerId(1)),
        };
        self.with(at, |service, now, out| service.on_role(role, now, out));
    }

    /// Calls a server, and takes what comes out.
    fn with(&mut self, at: usize, call: impl FnOnce(&mut Service, Time, &mut Out<'_>)) {
        let mut effects = Vec::new();
        let server = &mut self.servers[at];
        let mut out = Out {
            effects: &mut effects,
            zab: &mut server.inputs,
        };
        call(&mut server.service, self.now, &mut out);
        for effect in effects {
            match effect {
                Effect::Schedule(stage) => self.servers[at].stages.push_back(stage),
                Effect::SetTimer { timer, at: when } => {
                    self.servers[at].timers.insert(timer, when);
                }
                Effect::Frame { conn, frame } => {
                    assert!(
                        !self.closed.contains(&conn),
                        "a frame after the end: {frame:?}"
                    );
                    self.inbox.entry(conn).or_default().push(*frame);
                }
                Effect::CloseClient { conn } => {
                    assert!(self.closed.insert(conn), "{conn:?} is closed twice");
                }
                Effect::Note(note) => self.notes.push(note),
                Effect::Zab(other) => panic!("the service alone has no {other:?}"),
            }
        }
    }

    /// One small thing; `false`: nothing is to be done.
    fn turn(&mut self) -> bool {
        for at in 0..self.servers.len() {
            if let Some(input) = self.servers[at].inputs.pop_front() {
                self.zab(at, input);
                return true;
            }
        }
        for at in 0..self.servers.len() {
            let server = &mut self.servers[at];
            if server.delivered < self.log.len() && !server.held {
                let (zxid, payload) = self.log[server.delivered].clone();
                server.delivered += 1;
                self.with(at, |service, _, out| {
                    service.deliver(zxid, &payload, Delivery::Committed, out);
                });
                return true;
            }
            if let Some(stage) = server.stages.pop_front() {
                self.with(at, |service, now, out| {
                    service.run(stage, now, &crate::prep::Ensemble::FIXED, out)
                });
                return true;
            }
        }
        false
    }

    fn settle(&mut self) {
        while self.turn() {}
    }

    /// What the peers would do with it.
    fn zab(&mut self, at: usize, input: zab::Input) {
        let from = PeerId(at as u8 + 1);
        match input {
            zab::Input::Propose { zxid, payload } => {
                assert_eq!(at, 0, "only the leader proposes");
                if let Some((last, _)) = self.log.last()
                    && last.epoch() == zxid.epoch()
                {
                    assert_eq!(zxid, last.next());
                } else {
                    assert_eq!(zxid.counter(), 1);
                }
                self.log.push((zxid, payload));
            }
            zab::Input::Request { payload } => {
                self.with(0, |service, _, out| service.on_request(&payload, out));
            }
            zab::Input::ToLeader { payload } => self.with(0, |service, now, out| {
                service.on_from_learner(from, &payload, now, out);
            }),
            zab::Input::ToLearner { peer, payload } => {
                self.with(usize::from(peer.0) - 1, |service, _, out| {
                    service.on_from_leader(&payload, out);
                });
            }
            zab::Input::Sync { id, .. } if self.hold_syncs => self.held_syncs.push_back((at, id)),
            zab::Input::Sync { id, .. } => {
                // Passed at once: behind what was delivered so far.
                self.with(at, |service, _, out| service.on_sync_done(id, out));
            }
            zab::Input::Applied { zxid } => {
                assert_eq!(zxid.0, self.servers[at].service.db.applied().0);
            }
            other => panic!("not expected here: {other:?}"),
        }
    }

    /// Moves the clock, tick by tick, firing timers.
    fn wait_ms(&mut self, ms: u64) {
        let end = Time(self.now.0 + ms * 1_000);
        while let Some((when, at, timer)) = self.next_timer().filter(|(when, ..)| *when <= end) {
            self.now = when;
            self.servers[at].timers.remove(&timer);
            self.with(at, |service, now, out| match timer {
                Timer::Sessions => service.on_sessions_timer(now, out),
                Timer::ReadOnly => service.on_read_only_timer(now, out),
                Timer::Zab(_) => unreachable!("the service alone sets no such timer"),
            });
            self.settle();
        }
        self.now = end;
    }

    fn next_timer(&self) -> Option<(Time, usize, Timer)> {
        let servers = self.servers.iter().enumerate();
        servers
            .flat_map(|(at, s)| {
                s.timers
                    .iter()
                    .map(move |(timer, when)| (*when, at, *timer))
            })
            .min()
    }

    fn open(&mut self, conn: u64, server: usize, request: ConnectRequest) -> ConnId {
        let conn = ConnId(conn);
        self.home.insert(conn, server);
        self.with(server, |service, _, out| {
            service.on_client_opened(conn, out)
        });
        self.send(conn, ClientFrame::Connect(request));
        conn
    }

    /// A new session.
    fn connect(&mut self, conn: u64, server: usize) -> Client {
        let conn = self.open(conn, server, fresh());
        self.settle();
        let reply = self.connected(conn);
        assert_eq!(reply.timeout_ms, TIMEOUT_MS);
        Client {
            conn,
            session: reply.session,
            password: reply.password,
        }
    }

    fn connected(&mut self, conn: ConnId) -> ConnectReply {
        match self.take(conn).as_slice() {
            [ServerFrame::Connected(reply)] => reply.clone(),
            other => panic!("{other:?} instead of one Connected"),
        }
    }

    /// Sends a frame, and lets nothing happen yet.
    fn send(&mut self, conn: ConnId, frame: ClientFrame) {
        let server = self.home[&conn];
        self.with(server, |service, now, out| {
            service.on_client_frame(conn, frame, now, out);
        });
    }

    fn submit(&mut self, conn: ConnId, op: Op) -> Xid {
        self.xids += 1;
        let xid = Xid(self.xids);
        self.send(conn, ClientFrame::Request { xid, op });
        xid
    }

    fn take(&mut self, conn: ConnId) -> Vec<ServerFrame> {
        self.inbox.remove(&conn).unwrap_or_default()
    }

    /// One operation, its reply, and nothing else.
    fn op(&mut self, client: &Client, op: Op) -> OpResult {
        let xid = self.submit(client.conn, op);
        self.settle();
        match self.take(client.conn).as_slice() {
            [
                ServerFrame::Reply {
                    xid: of, result, ..
                },
            ] if *of == xid => result.clone(),
            other => panic!("{other:?} instead of one reply"),
        }
    }

    fn ok(&mut self, client: &Client, op: Op) -> Reply {
        self.op(client, op)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// What arrived, in short lines.
    fn heard(&mut self, conn: ConnId) -> Vec<String> {
        self.take(conn).iter().map(line).collect()
    }

    /// Every server that has applied the same has the same digest.
    fn assert_digests_agree(&self) {
        let mut seen = BTreeMap::new();
        for note in &self.notes {
            if let Note::Applied { zxid, digest, .. } = note {
                assert_eq!(seen.entry(zxid).or_insert(digest), &digest, "{zxid}");
            }
        }
    }
}

struct Client {
    conn: ConnId,
    session: SessionId,
    password: [u8; 16],
}

impl Client {
    /// What this client says to a server to go on there.
    fn reattach(&self) -> ConnectRequest {
        ConnectRequest {
            session: self.session,
            password: self.password,
            ..fresh()
        }
    }
}

fn fresh() -> ConnectRequest {
    ConnectRequest {
        last_zxid_seen: zabsim_types::Zxid::ZERO,
        timeout_ms: TIMEOUT_MS,
        session: SessionId::NONE,
        password: [0; 16],
        read_only: false,
    }
}

fn line(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Connected(reply) => format!("connected {}", reply.timeout_ms),
        ServerFrame::Reply { zxid, result, .. } => {
            let said = match result {
                Ok(Reply::Created { path, .. }) => format!("created {path}"),
                Ok(Reply::Data { data, stat }) => {
                    let data = data.as_deref().unwrap_or_default();
                    format!("data {:?} v{}", String::from_utf8_lossy(data), stat.version)
                }
                Ok(Reply::Set { stat }) => format!("set v{}", stat.version),
                Ok(Reply::Exists { .. }) => "exists".to_owned(),
                Ok(Reply::Children { names, .. }) => format!("children {}", names.join(" ")),
                Ok(other) => format!("{other:?}").to_lowercase(),
                Err(error) => error.name().to_owned(),
            };
            format!("{said} @{}", zxid.counter())
        }
        ServerFrame::Event { zxid, event } => {
            let at = zxid.map_or("-".to_owned(), |z| z.counter().to_string());
            format!("{:?} {} @{at}", event.kind, event.path)
        }
        ServerFrame::Pong { zxid } => format!("pong @{}", zxid.counter()),
        ServerFrame::WatchesSet { zxid } => format!("watches set @{}", zxid.counter()),
    }
}

pub(crate) fn create(path: &str, mode: CreateMode) -> Op {
    guarded(path, mode, Acl::OPEN)
}

pub(crate) fn guarded(path: &str, mode: CreateMode, acl: Acl) -> Op {
    Op::Create {
        path: path.into(),
        data: Some(b"x".as_slice().into()),
        mode,
        with_stat: false,
        acl,
    }
}

fn set(path: &str, data: &str) -> Op {
    Op::SetData {
        path: path.into(),
        data: Some(data.as_bytes().into()),
        version: -1,
    }
}

fn delete(path: &str) -> Op {
    Op::Delete {
        path: path.into(),
        version: -1,
    }
}

fn get(path: &str, watch: bool) -> Op {
    let path = path.into();
    Op::GetData { path, watch }
}

fn exists(path: &str, watch: bool) -> Op {
    let path = path.into();
    Op::Exists { path, watch }
}

fn children(path: &str, watch: bool) -> Op {
    Op::GetChildren {
        path: path.into(),
        watch,
        with_stat: false,
    }
}

const GONE: OpResult = Err(ErrorCode::NoNode);
