//! Clients that come, go and move, keep a few requests in flight, and check the order of what they hear.

use crate::{Client, Conn, Event, Rng, World};
use zab::PeerId;
use zabsim_server::{ConnId, Input};
use zabsim_types::{
    Acl, ClientFrame, ConnectRequest, CreateMode, Op, ServerFrame, SessionId, SyncMode, Xid, Zxid,
};

/// The clients.
impl World {
    pub(crate) fn act(&mut self, at: usize) {
        let after = self.latency(15_000);
        self.schedule(after, Event::Act(at));
        match self.clients[at].conn {
            None => self.client_connects(at),
            // Moves now and then, without a word: the old connection stays half open for a while.
            Some(conn) if self.rng.one_in(60) => {
                self.clients[at].drop_conn();
                self.schedule(20_000, Event::ClientLost(conn));
            }
            Some(conn) if self.clients[at].connected && self.clients[at].in_flight.len() < 3 => {
                let client = &mut self.clients[at];
                client.next_xid += 1;
                let xid = Xid(client.next_xid);
                client.in_flight.push_back(xid);
                let op = random_op(&mut self.rng, at);
                self.client_sends(conn, ClientFrame::Request { xid, op });
            }
            Some(conn) if self.clients[at].connected => self.client_sends(conn, ClientFrame::Ping),
            Some(_) => {}
        }
    }

    pub(crate) fn client_connects(&mut self, at: usize) {
        let server = PeerId(1 + self.rng.below(self.nodes.len() as u64) as u8);
        if self.nodes[&server].server.is_none() {
            return;
        }
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        let state = Conn {
            client: at,
            server,
            life: self.nodes[&server].life,
            arrives: [self.now; 2],
            closed: false,
        };
        self.conns.insert(conn, state);
        let client = &mut self.clients[at];
        client.conn = Some(conn);
        let request = ConnectRequest {
            last_zxid_seen: client.last_zxid,
            timeout_ms: 800,
            session: client.session,
            password: client.password,
            read_only: false,
        };
        self.step(server, Input::ClientOpened { conn });
        self.client_sends(conn, ClientFrame::Connect(request));
    }

    pub(crate) fn client_sends(&mut self, conn: ConnId, frame: ClientFrame) {
        let after = self.latency(1_000);
        let state = self.conns.get_mut(&conn).unwrap();
        let at = state.arrives[1].max(self.now + after);
        state.arrives[1] = at;
        self.schedule_at(at, Event::ToServer(conn, frame));
    }

    pub(crate) fn close_conn(&mut self, conn: ConnId) {
        if !std::mem::replace(&mut self.conns.get_mut(&conn).unwrap().closed, true) {
            self.schedule(1_000, Event::ClientLost(conn));
        }
    }

    /// Both ends learn that a connection is over.
    pub(crate) fn lose(&mut self, conn: ConnId) {
        let state = self.conns.get_mut(&conn).unwrap();
        let (client, server, life) = (state.client, state.server, state.life);
        if !std::mem::replace(&mut state.closed, true) && self.alive(server, life) {
            self.step(server, Input::ClientClosed { conn });
        }
        if self.clients[client].conn == Some(conn) {
            self.clients[client].drop_conn();
        }
    }

    pub(crate) fn hear(&mut self, conn: ConnId, frame: ServerFrame) {
        let client = &mut self.clients[self.conns[&conn].client];
        if client.conn != Some(conn) {
            return;
        }
        match frame {
            ServerFrame::Connected(reply) if reply.session == SessionId::NONE => {
                client.session = SessionId::NONE;
            }
            ServerFrame::Connected(reply) => {
                client.session = reply.session;
                client.password = reply.password;
                client.connected = true;
            }
            ServerFrame::Reply { xid, zxid, .. } => {
                assert_eq!(client.in_flight.pop_front(), Some(xid), "replies in order");
                client.sees(zxid);
                client.done += 1;
            }
            ServerFrame::Event { zxid, event } => {
                let zxid = zxid.expect("nobody sets watches anew here");
                assert!(
                    zxid > client.last_zxid,
                    "{event:?} of {zxid} after a reply of that state"
                );
            }
            ServerFrame::Pong { zxid } | ServerFrame::WatchesSet { zxid } => client.sees(zxid),
        }
    }
}

impl Client {
    pub(crate) fn drop_conn(&mut self) {
        self.conn = None;
        self.connected = false;
        self.in_flight.clear();
    }

    pub(crate) fn sees(&mut self, zxid: Zxid) {
        assert!(zxid >= self.last_zxid, "{zxid} after {}", self.last_zxid);
        self.last_zxid = zxid;
    }
}

fn random_op(rng: &mut Rng, client: usize) -> Op {
    let names = ["/a", "/b", "/a/x", "/a/y", "/b/x", "/a/x/z"];
    let path = names[rng.below(6) as usize];
    let single = |rng: &mut Rng| match rng.below(4) {
        0 | 1 => Op::Create {
            path: path.into(),
            data: Some(vec![client as u8; rng.below(9) as usize].into()),
            mode: match rng.below(4) {
                0 => CreateMode::Ephemeral,
                1 => CreateMode::EphemeralSequential,
                2 if rng.one_in(3) => CreateMode::PersistentSequential,
                _ => CreateMode::Persistent,
            },
            with_stat: true,
            acl: Acl::OPEN,
        },
        2 => Op::SetData {
            path: path.into(),
            data: None,
            version: -1,
        },
        _ => Op::Delete {
            path: path.into(),
            version: -1,
        },
    };
    let watch = rng.one_in(2);
    match rng.below(12) {
        0..=4 => single(rng),
        5 => Op::Multi {
            ops: (0..rng.below(4)).map(|_| single(rng)).collect(),
        },
        6 | 7 => Op::GetData {
            path: path.into(),
            watch,
        },
        8 => Op::Exists {
            path: path.into(),
            watch,
        },
        9 => Op::GetChildren {
            path: path.into(),
            watch,
            with_stat: true,
        },
        10 => Op::Sync {
            path: "/".into(),
            mode: [SyncMode::Leader, SyncMode::Quorum][rng.below(2) as usize],
        },
        _ if rng.one_in(5) => Op::CloseSession,
        _ => Op::Check {
            path: path.into(),
            version: 0,
        },
    }
}
