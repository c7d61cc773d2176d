//! What a real ZooKeeper answered, a simulated ensemble of three answers too: recorded cases, played by real client sessions,
//! every reply and every notification compared, their order included. Zxids are compared by rank, times not at all
//! ([`Comparison::by_rank`]).
//!
//! How a case is played: each connection is a client of its own. `drop` cuts the client off; taking the session up again
//! heals the cut and connects at once. Between two steps the world has time to carry every commit to every server, so that
//! it does not matter where a client is attached. Where a case does what no client lets anybody do, it is played `by_hand`,
//! frame by frame.
//!

mod by_hand;

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zabsim::client::{Client, Notice, Notices, Outcome as Answered, SessionState};
use zabsim::{Rules, Sim};
use zabsim_model::Settings;
use zabsim_model::conformance::{
    Action, Case, Comparison, Difference, Mismatch, Outcome, Request, Resume, Step,
    recorded_settings,
};
use zabsim_types::run::Verdict;
use zabsim_types::{Op, OpResult, ServerId, SessionChange, WatchEvent, Zxid, spell};

/// Half of the shortest timeout that a case asks for (500 ms) must not be less: sessions last at least two ticks.
const TICK: Duration = Duration::from_millis(200);
/// Until everything that a step caused has arrived everywhere: some round trips and fsyncs.
const SETTLE: Duration = Duration::from_millis(50);
/// Longer than the steps take that look at a node once more before it goes, and with a tick shorter than the sleeps after.
const SWEEP_INTERVAL: Duration = Duration::from_millis(600);
/// The timeout that was asked for where a case says nothing.
const TIMEOUT_MS: i64 = 4_000;
/// The timeout in a case that takes an expired session up again. A client gives its session up by itself after 4/3 of the
/// timeout; here the server must be asked between its expiry (one tick and one ping later than the timeout at most) and
/// that moment, for its answer is what was recorded.
const RESUMED_TIMEOUT_MS: i64 = 3_000;
const RESUMED_SLEEP: Duration = Duration::from_millis(3_500);
/// Longer than any case.
const FOR_EVER: Duration = Duration::from_secs(3_600);

/// Where clients are attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// All at the first server.
    Together,
    /// Each at another one, round robin.
    Apart,
}

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OnEnsemble {
    /// It was played.
    Played(Outcome),
    /// An ensemble rightly answers otherwise.
    StandaloneOnly,
    /// It wants a setting that no server knows.
    Unplayable(String),
}

/// Plays `case` on a simulated ensemble of three and compares every answer.
pub fn run_on_ensemble(case: &Case, placement: Placement, seed: u64) -> OnEnsemble {
    if case.standalone_only {
        return OnEnsemble::StandaloneOnly;
    }
    let rules = match recorded_settings(case.config.as_ref()) {
        Ok(settings) => rules(settings),
        Err(unknown) => return OnEnsemble::Unplayable(unknown.to_string()),
    };
    let by_hand = by_hand::is_by_hand(case);
    let found: Arc<Mutex<Vec<Difference>>> = Arc::default();
    let (differences, played) = (found.clone(), Arc::new(case.clone()));
    let outcome = zabsim::ensemble(3)
        .tick(if by_hand { by_hand::TICK } else { TICK })
        .sweep_interval(SWEEP_INTERVAL)
        .rules(rules)
        .session_timeout(Duration::from_millis(timeout_ms(case) as u64))
        .outcome(seed, move |sim| async move {
            let mut play = match by_hand {
                true => Player::ByHand(by_hand::Play::new(sim, placement)),
                false => Player::Clients(Play::new(sim, placement, resumes(&played))),
            };
            for (at, step) in played.steps.iter().enumerate() {
                let compared = match &mut play {
                    Player::ByHand(play) => play.step(step).await,
                    Player::Clients(play) => play.step(step).await,
                };
                if let Err(mismatch) = compared {
                    let mut differences =
                        differences.lock().unwrap_or_else(PoisonError::into_inner);
                    differences.push(Difference {
                        step: at + 1,
                        what: step.to_string(),
                        mismatch,
                    });
                }
            }
        });
    let mut differences = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let report = &outcome.report;
    if report.verdict != Verdict::Pass {
        let got = match &report.violation {
            Some(violation) => format!("{}: {}", violation.check, violation.message),
            None => report.verdict.word().to_owned(),
        };
        differences.push(Difference {
            step: case.steps.len(),
            what: "the whole run".into(),
            mismatch: differs("verdict", "pass", got),
        });
    }
    OnEnsemble::Played(Outcome {
        steps: case.steps.len(),
        differences,
    })
}

/// The recorded server's settings, as ours are told them.
fn rules(settings: Settings) -> Rules {
    Rules {
        extended_types: settings.extended_types,
        enforce_quota: settings.enforce_quota,
        first_configuration: settings.first_configuration,
        super_digest: settings.super_digest,
        guard_delete_container: settings.guard_delete_container,
        frame_bytes_max: settings.max_frame,
    }
}

fn resumes(case: &Case) -> bool {
    let mut steps = case.steps.iter();
    steps.any(|step| matches!(&step.action, Action::Connect(connect) if connect.resume.is_some()))
}

/// All clients of a world ask for one timeout: the shortest of the case.
fn timeout_ms(case: &Case) -> i64 {
    if resumes(case) {
        return RESUMED_TIMEOUT_MS;
    }
    let asked = case.steps.iter().filter_map(|step| match &step.action {
        Action::Connect(connect) => connect.timeout_ms,
        _ => None,
    });
    asked.min().unwrap_or(TIMEOUT_MS)
}

/// How a case is played.
enum Player {
    Clients(Play),
    ByHand(by_hand::Play),
}

struct Play {
    sim: Sim,
    placement: Placement,
    resumes: bool,
    comparison: Comparison,
    conns: BTreeMap<String, Conn>,
}

struct Conn {
    client: Client,
    notices: Notices,
    server: ServerId,
    /// Whether the session's end was told since the last step.
    closed: bool,
    /// Whether the connection was cut: what its client makes of that alone is in no recording.
    cut: bool,
}

impl Conn {
    /// The notifications that arrived since the last time.
    fn events(&mut self) -> Vec<(Option<Zxid>, WatchEvent)> {
        let mut events = Vec::new();
        while let Some(notice) = self.notices.try_next() {
            match notice {
                // The recorded client tells itself nothing.
                Notice::Event { event, .. } if event.kind.is_local() => {}
                Notice::Event { zxid, event, .. } => events.push((zxid, event)),
                Notice::Changed { change, .. } => {
                    self.closed |= matches!(
                        change,
                        SessionChange::Closed | SessionChange::Expired | SessionChange::AuthFailed
                    );
                }
            }
        }
        events
    }
}

impl Play {
    fn new(sim: Sim, placement: Placement, resumes: bool) -> Play {
        Play {
            sim,
            placement,
            resumes,
            comparison: Comparison::by_rank(),
            conns: BTreeMap::new(),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Mismatch> {
        let mut any_order = false;
        match &step.action {
            Action::Connect(connect) => match &connect.resume {
                Some(Resume::Of { conn, .. }) => self.resume(step, conn).await?,
                _ => self.connect(&step.conn).await,
            },
            Action::Drop => {
                let conn = self.conns.get_mut(&step.conn);
                let conn = conn.expect("a case names its connections");
                conn.cut = true;
                self.sim.cut_client(&conn.client, FOR_EVER).await;
            }
            Action::Sleep { ms, .. } => {
                any_order = true;
                let recorded = Duration::from_millis(*ms);
                let time = if self.resumes {
                    RESUMED_SLEEP
                } else {
                    recorded
                };
                self.sim.sleep(time).await;
            }
            Action::Request(Request::Op(op)) => {
                any_order = *op == Op::CloseSession;
                self.request(step, op, any_order).await?;
            }
            Action::Pipeline(requests) => {
                let ops = requests.iter().filter_map(|request| match request {
                    Request::Op(op) => Some(op),
                    _ => None,
                });
                self.pipeline(step, &ops.collect::<Vec<_>>()).await?;
            }
            Action::Restart | Action::Request(_) => unreachable!("such cases are not played"),
        }
        self.sim.sleep(SETTLE).await;
        self.compare_received(step, any_order)
    }

    async fn connect(&mut self, name: &str) {
        let server = match self.placement {
            Placement::Together => ServerId(1),
            Placement::Apart => ServerId(self.conns.len() as u8 % 3 + 1),
        };
        let client = self.sim.connect().await;
        if client.state() != (SessionState::Connected { server }) {
            client.move_to(Some(server));
        }
        while client.state() != (SessionState::Connected { server }) {
            self.sim.sleep(Duration::from_millis(1)).await;
        }
        self.comparison
            .bind_session(&format!("S:{name}"), client.session());
        let conn = Conn {
            notices: client.notices(),
            client,
            server,
            closed: false,
            cut: false,
        };
        self.conns.insert(name.to_owned(), conn);
    }

    /// A session is taken up by the client that has it.
    async fn resume(&mut self, step: &Step, of: &str) -> Result<(), Mismatch> {
        let Conn { client, server, .. } = &self.conns[of];
        if client.state() != SessionState::Connecting {
            let got = format!("{}, before it was told", said(client.state()));
            return Err(differs("sessionId", &step.reply["sessionId"], got));
        }
        self.sim.heal().await;
        client.move_to(Some(*server));
        let state = client
            .until(|state| state.is_connected() || state.is_over())
            .await;
        let recorded = &step.reply["sessionId"];
        if (recorded == 0) != (state == SessionState::Expired) {
            return Err(differs("sessionId", recorded, said(state)));
        }
        Ok(())
    }

    async fn request(&mut self, step: &Step, op: &Op, any_order: bool) -> Result<(), Mismatch> {
        if step.reply["closed"] == true {
            let outcome = self.conns[&step.conn].client.submit(op.clone()).await;
            return match outcome {
                Answered::Lost { .. } => Ok(()),
                Answered::Replied { result, .. } => {
                    Err(differs("closed", true, spell::result(result.as_ref())))
                }
            };
        }
        let answer = self.conns[&step.conn].client.submit(op.clone()).await;
        let (zxid, result) = replied(answer)?;
        // The reply woke this very program, before anything else arrived.
        let before = self.events(&step.conn);
        self.comparison
            .events(&step.events_before_reply, &before, any_order)?;
        self.comparison.reply(op, &step.reply, zxid, &result)
    }

    fn events(&mut self, name: &str) -> Vec<(Option<Zxid>, WatchEvent)> {
        let conn = self.conns.get_mut(name);
        conn.expect("a case names its connections").events()
    }

    /// Replies and the connection's own notifications form one stream.
    async fn pipeline(&mut self, step: &Step, ops: &[&Op]) -> Result<(), Mismatch> {
        let client = self.conns[&step.conn].client.clone();
        let calls: Vec<_> = ops.iter().map(|op| client.submit((*op).clone())).collect();
        let nothing = Vec::new();
        let mut stream = step.reply["stream"].as_array().unwrap_or(&nothing).iter();
        for (op, call) in ops.iter().zip(calls) {
            let (zxid, result) = replied(call.await)?;
            for (zxid, event) in &self.events(&step.conn) {
                let recorded = stream.next().unwrap_or(&Value::Null);
                self.comparison.event(recorded, *zxid, event)?;
            }
            let recorded = stream.next().unwrap_or(&Value::Null);
            self.comparison.reply(op, recorded, zxid, &result)?;
        }
        match stream.next() {
            None => Ok(()),
            Some(more) => Err(differs("stream", more, "its end")),
        }
    }

    fn compare_received(&mut self, step: &Step, any_order: bool) -> Result<(), Mismatch> {
        for (name, conn) in &mut self.conns {
            let got = conn.events();
            let recorded = step.events.get(name).map_or(&[][..], Vec::as_slice);
            let closed = recorded.iter().any(is_closed);
            let got_closed = std::mem::take(&mut conn.closed);
            if conn.cut && recorded.is_empty() {
                continue;
            }
            if closed != got_closed {
                return Err(differs(&format!("events.{name}: closed"), closed, !closed));
            }
            let events: Vec<Value> = recorded
                .iter()
                .filter(|event| !is_closed(event))
                .cloned()
                .collect();
            let compared = self.comparison.events(&events, &got, any_order);
            compared.map_err(|difference| Mismatch {
                at: format!("events of {name}: {}", difference.at),
                ..difference
            })?;
        }
        Ok(())
    }
}

/// A session's state in words.
fn said(state: SessionState) -> &'static str {
    match state {
        SessionState::NotOpen => "not opened",
        SessionState::Connecting => "without a connection",
        SessionState::Connected { .. } => "connected",
        SessionState::ConnectedReadOnly { .. } => "connected to a server that only reads",
        SessionState::Expired => "expired",
        SessionState::AuthFailed => "refused for its identity",
        SessionState::Closed => "closed",
    }
}

fn is_closed(event: &Value) -> bool {
    event["kind"] == "closed"
}

fn replied(outcome: Answered) -> Result<(Zxid, OpResult), Mismatch> {
    match outcome {
        Answered::Replied { zxid, result, .. } => Ok((zxid, result)),
        Answered::Lost { error, .. } => Err(differs("reply", "one", error.name())),
    }
}

fn differs(at: &str, expected: impl ToString, got: impl ToString) -> Mismatch {
    Mismatch {
        at: at.to_owned(),
        expected: expected.to_string(),
        got: got.to_string(),
    }
}
