//! Playing a case on the model.

use super::compare::{Comparison, Mismatch, said};
use super::read::{Action, Case, Connect, Request, Resume, Step};
use crate::reference::{Notice, Service, Settings};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use zabsim_types::{Op, OpResult, SessionId, WatchEvent, Zxid};

/// One step that went otherwise than recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Which, from 1.
    pub step: usize,
    /// Of which connection, and what it did.
    pub what: String,
    /// Where in it, and what was recorded and got.
    pub mismatch: Mismatch,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            step,
            what,
            mismatch,
        } = self;
        write!(f, "step {step} ({what}): {mismatch}")
    }
}

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// How many steps were played.
    pub steps: usize,
    /// Those that differ; none where the case agrees.
    pub differences: Vec<Difference>,
}

impl Outcome {
    /// Whether every answer and every notification was as recorded.
    pub fn agrees(&self) -> bool {
        self.differences.is_empty()
    }
}

/// What the requests of a pipeline may have found, where the recorded outcome was a race.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Race {
    /// Each what the ones before it left.
    None,
    /// The access control lists from before the pipeline: none of its requests was applied when the others were prepared.
    FormerAcls,
    /// An identity that is added behind them.
    AuthFirst,
}

/// The hash of `super:test`, whom the recorded servers let do everything.
const SUPER: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
/// The recorded servers' tick was 250 ms: sessions last 2 to 20 of them.
const TIMEOUTS_MS: (i64, i64) = (500, 5_000);
/// What the recorded clients asked for where a case says nothing.
const TIMEOUT_MS: i64 = 4_000;

/// Plays `case` on the reference model and compares every answer. The recorded outcome of a race is accepted if one of the
/// ways in which it may end gives it.
pub fn run_on_model(case: &Case) -> Outcome {
    let outcome = run_with(case, Race::None);
    if outcome.agrees() || !case.racy {
        return outcome;
    }
    let other_ends = [Race::FormerAcls, Race::AuthFirst].into_iter();
    let mut outcomes = other_ends.map(|race| run_with(case, race));
    outcomes.find(Outcome::agrees).unwrap_or(outcome)
}

fn run_with(case: &Case, race: Race) -> Outcome {
    let settings = match recorded_settings(case.config.as_ref()) {
        Ok(settings) => settings,
        Err(mismatch) => {
            return Outcome {
                steps: 0,
                differences: vec![Difference {
                    step: 0,
                    what: "the server's settings".into(),
                    mismatch,
                }],
            };
        }
    };
    let mut play = Play::new(settings, race);
    let steps = case.steps.iter().enumerate();
    let differences = steps.filter_map(|(at, step)| {
        let mismatch = play.step(step).err()?;
        let (step, what) = (at + 1, step.to_string());
        Some(Difference {
            step,
            what,
            mismatch,
        })
    });
    Outcome {
        differences: differences.collect(),
        steps: case.steps.len(),
    }
}

/// The settings of the recorded server, as its configuration file and its command line say them.
///
/// Fails where it says something that is not known here.
pub fn recorded_settings(config: Option<&Value>) -> Result<Settings, Mismatch> {
    let mut settings = Settings {
        super_digest: Some(SUPER.into()),
        ..Settings::zookeeper_3_9_5()
    };
    for (place, words) in config.and_then(Value::as_object).into_iter().flatten() {
        for word in words.as_array().into_iter().flatten() {
            match word.as_str().unwrap_or_default() {
                "enforceQuota=true" => settings.enforce_quota = true,
                "-Dzookeeper.extendedTypesEnabled=false" => settings.extended_types = false,
                _ => {
                    let at = format!("config.{place}");
                    return Err(differs(&at, word, "a setting that is not known here"));
                }
            }
        }
    }
    Ok(settings)
}

struct Play {
    service: Service,
    comparison: Comparison,
    conns: BTreeMap<String, Conn>,
    race: Race,
    sessions: i64,
    now_ms: i64,
}

/// A connection of the case and the session that it has or had.
#[derive(Default)]
struct Conn {
    session: SessionId,
    open: bool,
    /// When the server last heard from it.
    heard_ms: i64,
    /// The number of its last request.
    xid: i32,
}

/// What one connection receives in a step besides its reply.
#[derive(Default)]
struct Received {
    events: Vec<(Option<Zxid>, WatchEvent)>,
    closed: bool,
}

type Inbox = BTreeMap<String, Received>;

impl Play {
    fn new(settings: Settings, race: Race) -> Play {
        Play {
            service: Service::with(settings),
            comparison: Comparison::exact(),
            conns: BTreeMap::new(),
            race,
            sessions: 0,
            now_ms: 0,
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Mismatch> {
        let mut received = Inbox::new();
        let mut any_order = false;
        match &step.action {
            Action::Connect(connect) => self.connect(step, connect, &mut received)?,
            Action::Drop => self.cut(&step.conn),
            Action::Restart => {
                for name in self.conns.keys().cloned().collect::<Vec<_>>() {
                    self.cut(&name);
                }
            }
            Action::Sleep { ms, silent } => {
                // Nobody says in which order a session's ephemerals go.
                any_order = true;
                self.sleep(*ms, silent, &mut received);
            }
            Action::Request(request) => {
                any_order = *request == Request::Op(Op::CloseSession);
                self.request(step, request, any_order, &mut received)?;
            }
            Action::Pipeline(requests) => self.pipeline(step, requests, &mut received)?,
        }
        self.compare_received(step, received, any_order)
    }

    fn connect(
        &mut self,
        step: &Step,
        connect: &Connect,
        received: &mut Inbox,
    ) -> Result<(), Mismatch> {
        if connect.last_zxid > self.service.model().last_zxid().0 {
            // Behind what the client has seen: the server hangs up without a word.
            self.conns.insert(step.conn.clone(), Conn::default());
            return self.comparison.value("closed", &step.reply["closed"], true);
        }
        let asked = connect.timeout_ms.unwrap_or(TIMEOUT_MS);
        let timeout_ms = asked.clamp(TIMEOUTS_MS.0, TIMEOUTS_MS.1);
        let session = match &connect.resume {
            Some(resume) => self.resumed(resume),
            None => {
                self.sessions += 1;
                let session = SessionId(0x0100_0000_0000_0000 + self.sessions);
                self.tick();
                let zxid = self.service.open(session, timeout_ms as u32);
                self.comparison.bind_time(zxid, self.now_ms);
                if let Some(name) = step.reply["sessionId"].as_str() {
                    self.comparison.bind_session(name, session);
                }
                Some(session)
            }
        };
        let conn = Conn {
            session: session.unwrap_or_default(),
            open: session.is_some(),
            heard_ms: self.now_ms,
            xid: 0,
        };
        match session {
            Some(session) => {
                // The server has one connection a session, and hangs up on the former.
                for (name, other) in &mut self.conns {
                    if other.open && other.session == session {
                        other.open = false;
                        received.entry(name.clone()).or_default().closed = true;
                    }
                }
                self.service.disconnect(session);
                self.service.set_timeout(session, timeout_ms as u32);
                self.service.connect(session, "127.0.0.1");
            }
            None => received.entry(step.conn.clone()).or_default().closed = true,
        }
        self.conns.insert(step.conn.clone(), conn);
        self.compare_connected(step, connect, session, timeout_ms)
    }

    fn resumed(&self, resume: &Resume) -> Option<SessionId> {
        let Resume::Of {
            conn,
            password_fits: true,
        } = resume
        else {
            return None;
        };
        let session = self.comparison.session(&format!("S:{conn}"));
        session.filter(|session| self.service.timeout_of(*session).is_some())
    }

    fn compare_connected(
        &self,
        step: &Step,
        connect: &Connect,
        session: Option<SessionId>,
        timeout_ms: i64,
    ) -> Result<(), Mismatch> {
        let recorded = &step.reply["sessionId"];
        let same = match session {
            None => recorded == 0,
            Some(_) => {
                recorded
                    .as_str()
                    .and_then(|name| self.comparison.session(name))
                    == session
            }
        };
        if !same {
            return Err(differs("sessionId", recorded, session.unwrap_or_default()));
        }
        let read_only = (!connect.without_read_only).then_some(false);
        for (key, got) in [
            ("protocolVersion", json!(0)),
            ("timeout", json!(session.map_or(0, |_| timeout_ms))),
            ("passwdLen", json!(16)),
            ("passwdZero", json!(session.is_none())),
            ("readOnly", json!(read_only)),
        ] {
            self.comparison.value(key, &step.reply[key], got)?;
        }
        Ok(())
    }

    fn cut(&mut self, name: &str) {
        if let Some(conn) = self.conns.get_mut(name).filter(|conn| conn.open) {
            conn.open = false;
            conn.heard_ms = self.now_ms;
            self.service.disconnect(conn.session);
        }
    }

    /// Connections send pings, but for the silent ones. Sessions that were not heard of expire; then the servers sweep.
    fn sleep(&mut self, ms: u64, silent: &[String], received: &mut Inbox) {
        self.now_ms += ms as i64;
        let mut over = Vec::new();
        for (name, conn) in &mut self.conns {
            if conn.open && !silent.contains(name) {
                conn.heard_ms = self.now_ms;
            } else if let Some(timeout_ms) = self.service.timeout_of(conn.session)
                && conn.heard_ms + i64::from(timeout_ms) <= self.now_ms
            {
                over.push(conn.session);
                if std::mem::take(&mut conn.open) {
                    received.entry(name.clone()).or_default().closed = true;
                }
            }
        }
        // One that was taken up on another connection was heard there.
        let heard = |session: &SessionId| {
            let mut conns = self.conns.values();
            conns.any(|conn| conn.open && conn.session == *session)
        };
        over.retain(|session| !heard(session));
        over.sort_unstable();
        over.dedup();
        for session in over {
            self.tick();
            let notices = self.service.expire(session);
            self.stamp();
            self.route(notices, received);
        }
        self.tick();
        let before = self.service.next_zxid();
        let notices = self.service.sweep();
        for zxid in before.0..self.service.next_zxid().0 {
            self.comparison.bind_time(Zxid(zxid), self.now_ms);
        }
        self.route(notices, received);
    }

    fn request(
        &mut self,
        step: &Step,
        request: &Request,
        any_order: bool,
        received: &mut Inbox,
    ) -> Result<(), Mismatch> {
        let open = self.conns.get(&step.conn).is_some_and(|conn| conn.open);
        let read = match request {
            Request::Op(op) => self.service.reads(op),
            _ => true,
        };
        if !open || !read {
            self.cut(&step.conn);
            return self.comparison.value("closed", &step.reply["closed"], true);
        }
        let answer = self.serve(&step.conn, request, None, received);
        let before = received
            .get_mut(&step.conn)
            .map(|own| std::mem::take(&mut own.events));
        self.comparison.events(
            &step.events_before_reply,
            &before.unwrap_or_default(),
            any_order,
        )?;
        self.compare_reply(request, &step.reply, &answer)
    }

    /// Replies and the connection's own notifications form one stream.
    fn pipeline(
        &mut self,
        step: &Step,
        requests: &[Request],
        received: &mut Inbox,
    ) -> Result<(), Mismatch> {
        let nothing = Vec::new();
        let mut stream = step.reply["stream"].as_array().unwrap_or(&nothing).iter();
        let prepared_at = match self.race {
            Race::FormerAcls => Some(self.service.model().last_zxid()),
            _ => None,
        };
        let mut requests: Vec<&Request> = requests.iter().collect();
        if self.race == Race::AuthFirst {
            requests.sort_by_key(|request| !matches!(request, Request::Op(Op::AddAuth { .. })));
        }
        for request in requests {
            let answer = self.serve(&step.conn, request, prepared_at, received);
            let own = received.get_mut(&step.conn);
            let own = own
                .map(|own| std::mem::take(&mut own.events))
                .unwrap_or_default();
            for (zxid, event) in &own {
                let recorded = stream.next().unwrap_or(&Value::Null);
                self.comparison.event(recorded, *zxid, event)?;
            }
            let recorded = stream.next().unwrap_or(&Value::Null);
            self.comparison.value("xid", &recorded["xid"], answer.xid)?;
            self.compare_reply(request, recorded, &answer)?;
        }
        match stream.next() {
            None => Ok(()),
            Some(more) => Err(differs("stream", more, "its end")),
        }
    }

    fn serve(
        &mut self,
        name: &str,
        request: &Request,
        as_of: Option<Zxid>,
        received: &mut Inbox,
    ) -> Answer {
        self.tick();
        let conn = self.conns.get_mut(name).expect("it is open");
        conn.heard_ms = self.now_ms;
        let session = conn.session;
        let xid = match request {
            Request::Ping => -2,
            Request::Op(Op::AddAuth { .. }) => -4,
            Request::SetWatches(_) => -8,
            Request::Op(_) => {
                conn.xid += 1;
                conn.xid
            }
        };
        match request {
            Request::Ping => self.present(xid),
            Request::SetWatches(set) => {
                let notices = self.service.set_watches(session, set);
                self.route(notices, received);
                self.present(xid)
            }
            Request::Op(op) => {
                let served = self.service.request_as_of(session, op, as_of);
                self.stamp();
                self.route(served.notices, received);
                if served.closes {
                    received.entry(name.to_owned()).or_default().closed = true;
                    self.cut(name);
                }
                Answer {
                    xid,
                    zxid: served.zxid,
                    result: Some(served.result),
                }
            }
        }
    }

    /// The answer to what is no operation.
    fn present(&self, xid: i32) -> Answer {
        Answer {
            xid,
            zxid: self.service.model().last_zxid(),
            result: None,
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

    /// Every moment is another, so that no time is taken for that of another transaction.
    fn tick(&mut self) {
        self.now_ms += 1;
        self.service.set_time(self.now_ms);
    }

    /// The last transaction was now, if there was one.
    fn stamp(&mut self) {
        let last = self.service.model().last_zxid();
        if self.comparison.time_of(last).is_none() {
            self.comparison.bind_time(last, self.now_ms);
        }
    }

    fn route(&self, notices: Vec<Notice>, received: &mut Inbox) {
        for notice in notices {
            let to = self
                .conns
                .iter()
                .find(|(_, conn)| conn.open && conn.session == notice.session);
            if let Some((name, _)) = to {
                let got = received.entry(name.clone()).or_default();
                got.events.push((notice.zxid, notice.event));
            }
        }
    }

    fn compare_received(
        &mut self,
        step: &Step,
        mut received: Inbox,
        any_order: bool,
    ) -> Result<(), Mismatch> {
        for (name, recorded) in &step.events {
            let got = received.remove(name).unwrap_or_default();
            let is_closed = |event: &&Value| event["kind"] == "closed";
            let closed = recorded.iter().any(|event| is_closed(&event));
            if closed != got.closed {
                return Err(differs(
                    &format!("events.{name}: closed"),
                    closed,
                    got.closed,
                ));
            }
            let events: Vec<Value> = recorded
                .iter()
                .filter(|event| !is_closed(event))
                .cloned()
                .collect();
            self.comparison
                .events(&events, &got.events, any_order)
                .map_err(|difference| Mismatch {
                    at: format!("events of {name}: {}", difference.at),
                    ..difference
                })?;
        }
        let unasked = received
            .iter()
            .find(|(_, got)| got.closed || !got.events.is_empty());
        match unasked {
            Some((name, got)) => Err(differs(
                &format!("events of {name}"),
                "nothing",
                match got.closed {
                    true => "the end of the connection".to_owned(),
                    false => said(got.events.iter().map(|(_, event)| event)),
                },
            )),
            None => Ok(()),
        }
    }
}

/// What a request was answered.
struct Answer {
    xid: i32,
    zxid: Zxid,
    /// `None` for what is no operation.
    result: Option<OpResult>,
}

fn differs(at: &str, expected: impl ToString, got: impl ToString) -> Mismatch {
    Mismatch {
        at: at.to_owned(),
        expected: expected.to_string(),
        got: got.to_string(),
    }
}
