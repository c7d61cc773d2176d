//! A case in which somebody does what no client library does, played frame by frame: watches set again at will, a session
//! taken up with a wrong password or by two at once, a silent client, servers that are all killed at once.
//!
//! A connection here is what it was in the recording: its watches and its identities die with it.

use super::{Placement, SETTLE, TIMEOUT_MS, differs, is_closed};
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use zabsim::{Sim, Wire};
use zabsim_model::Settings;
use zabsim_model::conformance::{
    Action, Case, Comparison, Connect, Mismatch, Request, Resume, Step,
};
use zabsim_model::reference::frame_len;
use zabsim_types::{
    ClientFrame, ConnectReply, ConnectRequest, Op, OpResult, ServerFrame, ServerId, SessionId,
    Time, WatchEvent, Xid, Zxid,
};

/// The recorded servers gave sessions between 500 ms and 5 s, which are 2 and 20 of these.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// How often somebody who is not silent gives a sign of life.
const PING_EVERY: Duration = Duration::from_millis(100);
/// Between two attempts to connect where a server does not serve yet.
const RETRY: Duration = Duration::from_millis(20);
/// An election after all servers were killed takes a fraction of it.
const ATTEMPTS_MAX: u32 = 500;

/// Whether a case does what no client library does.
pub(super) fn is_by_hand(case: &Case) -> bool {
    let by_hand = |request: &Request| match request {
        Request::Ping | Request::SetWatches(_) | Request::Op(Op::Check { .. }) => true,
        // It costs the connection, and a client would open another.
        Request::Op(op) => frame_len(op) > Settings::MAX_FRAME,
    };
    let chosen =
        |step: &Step| matches!(&step.action, Action::Connect(connect) if connect.last_zxid > 0);
    if case.requests().any(by_hand) || case.steps.iter().any(chosen) {
        return true;
    }
    let mut dropped = Vec::new();
    // A client that is still there sets its watches again when it goes on.
    let mut watches = case
        .requests()
        .any(|request| matches!(request, Request::Op(Op::AddWatch { .. })));
    watches &= case
        .steps
        .iter()
        .any(|step| matches!(step.action, Action::Drop));
    watches
        || case.steps.iter().any(|step| match &step.action {
            Action::Restart => true,
            Action::Sleep { silent, .. } => !silent.is_empty(),
            Action::Drop => {
                dropped.push(&step.conn);
                false
            }
            Action::Connect(connect) => match &connect.resume {
                _ if connect.without_read_only => true,
                Some(Resume::Of {
                    conn,
                    password_fits: true,
                }) => !dropped.contains(&conn),
                Some(_) => true,
                None => false,
            },
            _ => false,
        })
}

pub(super) struct Play {
    sim: Sim,
    placement: Placement,
    comparison: Comparison,
    conns: BTreeMap<String, Conn>,
    /// What servers have granted, by the names of the recording: `S:A`.
    granted: BTreeMap<String, ConnectReply>,
}

struct Conn {
    /// `None` once it was cut or closed.
    wire: Option<Wire>,
    server: ServerId,
    /// The number of its last request.
    xid: i32,
    said: Time,
    timeout: Duration,
    /// What arrived and was not compared yet.
    events: Vec<(Option<Zxid>, WatchEvent)>,
    /// Whether the server has closed it since the last step.
    closed: bool,
}

/// A reply, of whatever kind.
struct Answer {
    xid: i32,
    zxid: Zxid,
    /// `None` for what is no operation.
    result: Option<OpResult>,
}

impl Conn {
    fn say(&mut self, now: Time, frame: ClientFrame) {
        self.said = now;
        if let Some(wire) = &self.wire {
            wire.send(frame);
        }
    }

    /// The number under which a request is answered.
    fn ask(&mut self, now: Time, comparison: &Comparison, request: &Request) -> i32 {
        let (xid, frame) = match request {
            Request::Ping => (PING, ClientFrame::Ping),
            Request::SetWatches(set) => {
                let frame = ClientFrame::SetWatches {
                    relative: ours(comparison, set.relative.0),
                    data: set.data.clone(),
                    exists: set.exists.clone(),
                    child: set.child.clone(),
                    persistent: set.persistent.clone(),
                    recursive: set.recursive.clone(),
                };
                (SET_WATCHES, frame)
            }
            Request::Op(op) => {
                let xid = match op {
                    Op::AddAuth { .. } => AUTH,
                    _ => {
                        self.xid += 1;
                        self.xid
                    }
                };
                let (number, op) = (Xid(xid), op.clone());
                (xid, ClientFrame::Request { xid: number, op })
            }
        };
        self.say(now, frame);
        xid
    }

    /// Takes what arrived; the reply, if it is one.
    fn take(&mut self, frame: ServerFrame) -> Option<Answer> {
        match frame {
            ServerFrame::Event { zxid, event } => {
                self.events.push((zxid, event));
                None
            }
            ServerFrame::Pong { zxid } => Some(Answer {
                xid: PING,
                zxid,
                result: None,
            }),
            ServerFrame::WatchesSet { zxid } => Some(Answer {
                xid: SET_WATCHES,
                zxid,
                result: None,
            }),
            ServerFrame::Reply { xid, zxid, result } => Some(Answer {
                xid: xid.0,
                zxid,
                result: Some(result),
            }),
            ServerFrame::Connected(_) => None,
        }
    }

    /// The answer under that number, or the next one; `None`: the connection was closed.
    async fn answer(&mut self, xid: Option<i32>) -> Option<Answer> {
        loop {
            let frame = self.wire.as_ref()?.next().await;
            let Some(frame) = frame else {
                self.wire = None;
                self.closed = true;
                return None;
            };
            let answer = self.take(frame);
            // Signs of life that nobody asked for by name are answered in between.
            let wanted = |answer: &Answer| match xid {
                Some(xid) => answer.xid == xid,
                None => true,
            };
            if let Some(answer) = answer.filter(wanted) {
                return Some(answer);
            }
        }
    }

    /// Takes what has arrived by itself.
    fn drain(&mut self) {
        while let Some(frame) = self.wire.as_ref().and_then(Wire::try_next) {
            self.take(frame);
        }
        if self.wire.as_ref().is_some_and(Wire::is_closed) {
            self.wire = None;
            self.closed = true;
        }
    }
}

/// Our zxid for a recorded one. What was not compared yet is before everything that was.
fn ours(comparison: &Comparison, recorded: u64) -> Zxid {
    comparison.zxid_for(recorded).unwrap_or(Zxid(recorded))
}

/// The numbers of what has no number of its own.
const PING: i32 = -2;
const AUTH: i32 = -4;
const SET_WATCHES: i32 = -8;

impl Play {
    pub(super) fn new(sim: Sim, placement: Placement) -> Play {
        Play {
            sim,
            placement,
            comparison: Comparison::by_rank(),
            conns: BTreeMap::new(),
            granted: BTreeMap::new(),
        }
    }

    pub(super) async fn step(&mut self, step: &Step) -> Result<(), Mismatch> {
        self.keep_alive(&step.conn);
        let mut any_order = false;
        match &step.action {
            Action::Connect(connect) => self.connect(step, connect).await?,
            Action::Drop => {
                let conn = self.conns.get_mut(&step.conn);
                conn.expect("a case names its connections").wire = None;
            }
            Action::Restart => self.restart().await,
            Action::Sleep { ms, silent } => {
                any_order = true;
                self.sleep(Duration::from_millis(*ms), silent).await;
            }
            Action::Request(request) => {
                any_order = *request == Request::Op(Op::CloseSession);
                self.request(step, request, any_order).await?;
            }
            Action::Pipeline(requests) => self.pipeline(step, requests).await?,
        }
        self.sim.sleep(SETTLE).await;
        self.compare_received(step, any_order)
    }

    /// Pings for whoever would otherwise be taken for dead while others are busy.
    fn keep_alive(&mut self, but: &str) {
        let now = self.sim.now();
        for (name, conn) in &mut self.conns {
            let quiet = Duration::from_micros(now.since(conn.said));
            if name != but && conn.wire.is_some() && quiet * 3 > conn.timeout {
                conn.say(now, ClientFrame::Ping);
            }
        }
    }

    async fn connect(&mut self, step: &Step, connect: &Connect) -> Result<(), Mismatch> {
        // Only a server that has the session's other connection knows at once that it moves.
        let before = match &connect.resume {
            Some(Resume::Of { conn, .. }) => self.conns.get(conn),
            _ => self.conns.get(&step.conn),
        };
        let server = match (before, self.placement) {
            (Some(conn), _) => conn.server,
            (None, Placement::Together) => ServerId(1),
            (None, Placement::Apart) => ServerId(self.conns.len() as u8 % 3 + 1),
        };
        let timeout_ms = connect.timeout_ms.unwrap_or(TIMEOUT_MS);
        let (session, password) = match &connect.resume {
            None => (SessionId::NONE, [0; 16]),
            Some(Resume::Unknown(number)) => (SessionId(*number), [0; 16]),
            Some(Resume::Of {
                conn,
                password_fits,
            }) => {
                let granted = &self.granted[&format!("S:{conn}")];
                let password = match password_fits {
                    true => granted.password,
                    false => granted.password.map(|byte| !byte),
                };
                (granted.session, password)
            }
        };
        let request = ConnectRequest {
            last_zxid_seen: ours(&self.comparison, connect.last_zxid),
            timeout_ms: timeout_ms as u32,
            session,
            password,
            read_only: false,
        };
        let mut attempts = 0;
        let (wire, reply) = loop {
            let wire = self.sim.wire(server.0).await;
            wire.send(ClientFrame::Connect(request.clone()));
            match wire.next().await {
                Some(ServerFrame::Connected(reply)) => break (wire, reply),
                Some(_) => return Err(differs("reply", "to the connection", "something else")),
                None if attempts < ATTEMPTS_MAX => attempts += 1,
                None => return Err(differs("reply", "one", "a server that does not serve")),
            }
            self.sim.sleep(RETRY).await;
        };
        let conn = Conn {
            wire: Some(wire),
            server,
            xid: 0,
            said: self.sim.now(),
            timeout: Duration::from_millis(timeout_ms as u64),
            events: Vec::new(),
            closed: false,
        };
        self.conns.insert(step.conn.clone(), conn);
        self.compare_connected(step, connect, reply)
    }

    fn compare_connected(
        &mut self,
        step: &Step,
        connect: &Connect,
        reply: ConnectReply,
    ) -> Result<(), Mismatch> {
        let recorded = &step.reply["sessionId"];
        let over = reply.session == SessionId::NONE;
        match recorded.as_str() {
            Some(name) if connect.resume.is_none() && !over => {
                self.comparison.bind_session(name, reply.session);
                self.granted.insert(name.to_owned(), reply.clone());
            }
            Some(name) if self.comparison.session(name) == Some(reply.session) => {}
            None if recorded == 0 && over => {}
            _ => return Err(differs("sessionId", recorded, reply.session)),
        }
        // The old clients' frames have no such byte, in either direction.
        let read_only = (!connect.without_read_only).then_some(reply.read_only);
        let blank = reply.password == [0; 16];
        for (key, got) in [
            ("protocolVersion", json!(0)),
            ("timeout", json!(reply.timeout_ms)),
            ("passwdLen", json!(reply.password.len())),
            ("passwdZero", json!(blank)),
            ("readOnly", json!(read_only)),
        ] {
            self.comparison.value(key, &step.reply[key], got)?;
        }
        Ok(())
    }

    /// All servers are killed and started again with their data.
    async fn restart(&mut self) {
        for conn in self.conns.values_mut() {
            conn.wire = None;
        }
        for server in 1..=3 {
            self.sim.crash(server).await;
        }
        self.sim.heal().await;
        self.sim.leader().await;
    }

    async fn sleep(&mut self, time: Duration, silent: &[String]) {
        let mut left = time;
        while !left.is_zero() {
            let slice = left.min(PING_EVERY);
            self.sim.sleep(slice).await;
            left -= slice;
            let now = self.sim.now();
            for (name, conn) in &mut self.conns {
                if !silent.contains(name) {
                    conn.say(now, ClientFrame::Ping);
                }
            }
        }
    }

    async fn request(
        &mut self,
        step: &Step,
        request: &Request,
        any_order: bool,
    ) -> Result<(), Mismatch> {
        let now = self.sim.now();
        let conn = self.conns.get_mut(&step.conn);
        let conn = conn.expect("a case names its connections");
        conn.drain();
        let was_open = conn.wire.is_some();
        let xid = conn.ask(now, &self.comparison, request);
        let Some(answer) = conn.answer(Some(xid)).await else {
            // That it was closed is the whole reply.
            conn.closed &= !was_open;
            return self.comparison.value("closed", &step.reply["closed"], true);
        };
        let before = std::mem::take(&mut conn.events);
        self.comparison
            .events(&step.events_before_reply, &before, any_order)?;
        self.compare_reply(request, &step.reply, &answer)
    }

    /// Replies and the connection's own notifications form one stream.
    async fn pipeline(&mut self, step: &Step, requests: &[Request]) -> Result<(), Mismatch> {
        let now = self.sim.now();
        let conn = self.conns.get_mut(&step.conn);
        let conn = conn.expect("a case names its connections");
        conn.drain();
        let mut asked: Vec<(i32, &Request)> = requests
            .iter()
            .map(|request| (conn.ask(now, &self.comparison, request), request))
            .collect();
        let nothing = Vec::new();
        let mut stream = step.reply["stream"].as_array().unwrap_or(&nothing).iter();
        while !asked.is_empty() {
            let conn = self.conns.get_mut(&step.conn);
            let conn = conn.expect("it was there above");
            let Some(answer) = conn.answer(None).await else {
                return Err(differs("stream", "replies", "the end of the connection"));
            };
            for (zxid, event) in &std::mem::take(&mut conn.events) {
                let recorded = stream.next().unwrap_or(&Value::Null);
                self.comparison.event(recorded, *zxid, event)?;
            }
            let at = asked.iter().position(|(xid, _)| *xid == answer.xid);
            let Some(at) = at else {
                continue; // To a sign of life from before.
            };
            let (_, request) = asked.remove(at);
            let recorded = stream.next().unwrap_or(&Value::Null);
            self.comparison.value("xid", &recorded["xid"], answer.xid)?;
            self.compare_reply(request, recorded, &answer)?;
        }
        match stream.next() {
            None => Ok(()),
            Some(more) => Err(differs("stream", more, "its end")),
        }
    }

    fn compare_reply(
        &mut self,
        request: &Request,
        recorded: &Value,
        answer: &Answer,
    ) -> Result<(), Mismatch> {
        match (request, &answer.result) {
            (Request::Op(op), Some(result)) => {
                self.comparison.reply(op, recorded, answer.zxid, result)
            }
            _ => self.comparison.bare_reply(recorded, answer.zxid),
        }
    }

    fn compare_received(&mut self, step: &Step, any_order: bool) -> Result<(), Mismatch> {
        for (name, conn) in &mut self.conns {
            conn.drain();
            let recorded = step.events.get(name).map_or(&[][..], Vec::as_slice);
            let closed = recorded.iter().any(is_closed);
            let got_closed = std::mem::take(&mut conn.closed);
            if closed != got_closed {
                return Err(differs(
                    &format!("events.{name}: closed"),
                    closed,
                    got_closed,
                ));
            }
            let events: Vec<Value> = recorded
                .iter()
                .filter(|event| !is_closed(event))
                .cloned()
                .collect();
            let got = std::mem::take(&mut conn.events);
            let compared = self.comparison.events(&events, &got, any_order);
            compared.map_err(|difference| Mismatch {
                at: format!("events of {name}: {}", difference.at),
                ..difference
            })?;
        }
        Ok(())
    }
}
