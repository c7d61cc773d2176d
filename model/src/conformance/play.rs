//! Playing a case on the model.

use super::compare::{Comparison, Mismatch};
use super::read::{Action, Case, Step};
use crate::reference::{Notice, Service};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use zabsim_types::{Op, SessionId, WatchEvent, Zxid};

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every answer and every notification was as recorded.
    Equal {
        /// How many steps were compared.
        steps: usize,
    },
    /// It needs something that the model does not have.
    NotForThisModel {
        /// What.
        reason: String,
    },
    /// Something differed.
    Differs {
        /// The step, from 1.
        step: usize,
        /// What.
        what: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Equal { steps } => write!(f, "equal in {steps} steps"),
            Outcome::NotForThisModel { reason } => write!(f, "not for this model: {reason}"),
            Outcome::Differs { step, what } => write!(f, "step {step}: {what}"),
        }
    }
}

/// Plays `case` on the reference model and compares every answer.
pub fn run_on_model(case: &Case) -> Outcome {
    if let Some(reason) = case.unsupported() {
        let reason = reason.to_owned();
        return Outcome::NotForThisModel { reason };
    }
    if let Some(config) = &case.config {
        let reason = format!("server settings {config}");
        return Outcome::NotForThisModel { reason };
    }
    let mut play = Play::new();
    for (at, step) in case.steps.iter().enumerate() {
        if let Err(difference) = play.step(step) {
            return Outcome::Differs {
                step: at + 1,
                what: difference.to_string(),
            };
        }
    }
    Outcome::Equal {
        steps: case.steps.len(),
    }
}

struct Play {
    service: Service,
    comparison: Comparison,
    conns: BTreeMap<String, Conn>,
    sessions: i64,
    now_ms: u64,
}

/// A connection of the case and the session that it has or had.
struct Conn {
    session: SessionId,
    timeout_ms: u32,
    open: bool,
    /// When it was cut.
    cut_ms: u64,
}

/// What one connection receives in a step besides its reply.
#[derive(Default)]
struct Received {
    events: Vec<(Option<Zxid>, WatchEvent)>,
    closed: bool,
}

impl Play {
    fn new() -> Play {
        Play {
            service: Service::new(),
            comparison: Comparison::exact(),
            conns: BTreeMap::new(),
            sessions: 0,
            now_ms: 0,
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Mismatch> {
        let mut received = BTreeMap::new();
        let mut any_order = false;
        match &step.action {
            Action::Connect { timeout_ms, resume } => {
                self.connect(step, *timeout_ms, resume.as_deref(), &mut received)?;
            }
            Action::Drop => self.cut(&step.conn),
            Action::Sleep { ms } => {
                any_order = true;
                self.sleep(*ms, &mut received);
            }
            Action::Request(op) => {
                any_order = *op == Op::CloseSession;
                self.request(step, op, any_order, &mut received)?;
            }
            Action::Failure { op, .. } => self.failure(step, op, &mut received)?,
            Action::LeftOut { .. } => return Ok(()),
            Action::Pipeline(ops) => self.pipeline(step, ops, &mut received)?,
            Action::Unsupported { .. } => unreachable!("such cases are not played"),
        }
        self.compare_received(step, received, any_order)
    }

    fn connect(
        &mut self,
        step: &Step,
        timeout_ms: Option<u32>,
        resume: Option<&str>,
        received: &mut BTreeMap<String, Received>,
    ) -> Result<(), Mismatch> {
        // How the server bounds a timeout is its configuration, not the model's: the recorded one is granted.
        let granted = step.reply["timeout"].as_u64().map(|ms| ms as u32);
        let resumed = resume.map(|conn| match self.conns.get(conn) {
            Some(conn) => conn.session,
            None => SessionId::NONE,
        });
        let session = match resumed {
            Some(session) if self.service.timeout_of(session).is_some() => session,
            Some(_) => SessionId::NONE,
            None => {
                self.sessions += 1;
                let session = SessionId(0x0100_0000_0000_0000 + self.sessions);
                self.tick();
                self.service
                    .open(session, granted.or(timeout_ms).unwrap_or(4_000));
                self.comparison.bind_session(&step.conn, session);
                session
            }
        };
        if session == SessionId::NONE {
            received.entry(step.conn.clone()).or_default().closed = true;
        }
        let recorded = &step.reply["sessionId"];
        let expired = recorded.as_i64() == Some(0);
        if expired != (session == SessionId::NONE) {
            return Err(Mismatch {
                at: "sessionId".into(),
                expected: recorded.to_string(),
                got: session.to_string(),
            });
        }
        let conn = Conn {
            session,
            timeout_ms: self.service.timeout_of(session).unwrap_or(0),
            open: session != SessionId::NONE,
            cut_ms: 0,
        };
        self.conns.insert(step.conn.clone(), conn);
        Ok(())
    }

    fn cut(&mut self, name: &str) {
        if let Some(conn) = self.conns.get_mut(name) {
            conn.open = false;
            conn.cut_ms = self.now_ms;
            self.service.disconnect(conn.session);
        }
    }

    /// Sessions whose connection was cut expire when their timeout is over.
    fn sleep(&mut self, ms: u64, received: &mut BTreeMap<String, Received>) {
        self.now_ms += ms;
        let silent =
            |conn: &&Conn| !conn.open && conn.cut_ms + u64::from(conn.timeout_ms) <= self.now_ms;
        let over: Vec<SessionId> = self
            .conns
            .values()
            .filter(silent)
            .map(|conn| conn.session)
            .filter(|session| self.service.timeout_of(*session).is_some())
            .collect();
        for session in over {
            self.tick();
            let notices = self.service.expire(session);
            self.route(notices, received);
        }
    }

    fn request(
        &mut self,
        step: &Step,
        op: &Op,
        any_order: bool,
        received: &mut BTreeMap<String, Received>,
    ) -> Result<(), Mismatch> {
        let open = self.conns.get(&step.conn).is_some_and(|conn| conn.open);
        if !open || step.reply["closed"] == true {
            let recorded = step.reply["closed"] == true;
            return if recorded != open {
                Ok(())
            } else {
                Err(Mismatch {
                    at: "closed".into(),
                    expected: recorded.to_string(),
                    got: (!open).to_string(),
                })
            };
        }
        let served = self.serve(&step.conn, op, received);
        let before = received.remove(&step.conn).unwrap_or_default();
        self.comparison
            .events(&step.events_before_reply, &before.events, any_order)?;
        self.comparison
            .reply(op, &step.reply, served.0, &served.1)?;
        if *op == Op::CloseSession {
            self.close(&step.conn, received);
        }
        Ok(())
    }

    fn failure(
        &mut self,
        step: &Step,
        op: &Op,
        received: &mut BTreeMap<String, Received>,
    ) -> Result<(), Mismatch> {
        let (zxid, result) = self.serve(&step.conn, op, received);
        assert!(result.is_err(), "a stand-in for a failure succeeded");
        self.comparison.update_zxid(&step.reply, zxid)
    }

    /// Replies and the connection's own notifications form one stream.
    fn pipeline(
        &mut self,
        step: &Step,
        ops: &[Op],
        received: &mut BTreeMap<String, Received>,
    ) -> Result<(), Mismatch> {
        let nothing = Vec::new();
        let mut stream = step.reply["stream"].as_array().unwrap_or(&nothing).iter();
        for op in ops {
            let served = self.serve(&step.conn, op, received);
            let own = received.remove(&step.conn).unwrap_or_default();
            for (zxid, event) in &own.events {
                let recorded = stream.next().unwrap_or(&Value::Null);
                self.comparison.event(recorded, *zxid, event)?;
            }
            let recorded = stream.next().unwrap_or(&Value::Null);
            self.comparison.reply(op, recorded, served.0, &served.1)?;
            if *op == Op::CloseSession {
                self.close(&step.conn, received);
            }
        }
        match stream.next() {
            None => Ok(()),
            Some(more) => Err(Mismatch {
                at: "stream".into(),
                expected: more.to_string(),
                got: "its end".into(),
            }),
        }
    }

    fn serve(
        &mut self,
        name: &str,
        op: &Op,
        received: &mut BTreeMap<String, Received>,
    ) -> (Zxid, zabsim_types::OpResult) {
        let session = self.conns[name].session;
        self.tick();
        let served = self.service.request(session, op);
        self.route(served.notices, received);
        (served.zxid, served.result)
    }

    fn close(&mut self, name: &str, received: &mut BTreeMap<String, Received>) {
        received.entry(name.to_owned()).or_default().closed = true;
        if let Some(conn) = self.conns.get_mut(name) {
            conn.open = false;
        }
    }

    /// The time of transaction z is z: so `t@z` can be compared.
    fn tick(&mut self) {
        self.service.set_time(self.service.next_zxid().0 as i64);
    }

    fn route(&self, notices: Vec<Notice>, received: &mut BTreeMap<String, Received>) {
        for notice in notices {
            let to = self
                .conns
                .iter()
                .find(|(_, conn)| conn.open && conn.session == notice.session);
            if let Some((name, _)) = to {
                let got = received.entry(name.clone()).or_default();
                got.events.push((Some(notice.zxid), notice.event));
            }
        }
    }

    fn compare_received(
        &mut self,
        step: &Step,
        mut received: BTreeMap<String, Received>,
        any_order: bool,
    ) -> Result<(), Mismatch> {
        for (name, recorded) in &step.events {
            let got = received.remove(name).unwrap_or_default();
            let is_closed = |event: &&Value| event["kind"] == "closed";
            let closed = recorded.iter().any(|event| is_closed(&event));
            if closed != got.closed {
                return Err(Mismatch {
                    at: format!("events.{name}: closed"),
                    expected: closed.to_string(),
                    got: got.closed.to_string(),
                });
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
            Some((name, got)) => Err(Mismatch {
                at: format!("events of {name}"),
                expected: "nothing".into(),
                got: format!("closed: {}, {:?}", got.closed, got.events),
            }),
            None => Ok(()),
        }
    }
}
