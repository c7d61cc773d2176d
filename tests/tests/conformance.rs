//! What a real ZooKeeper answered, a simulated ensemble of three answers too: the recorded cases of
//! `tests/data/conformance` (its README says what they are), played by real client sessions, every reply and every
//! notification compared, their order included. Zxids are compared by rank, times not at all ([`Comparison::by_rank`]).
//!
//! How a case is played: each connection is a client of its own. `drop` cuts the client off; taking the session up again
//! heals the cut and connects at once. Between two steps the world has time to carry every commit to every server, so that
//! it does not matter where a client is attached: the cases are played with all clients at one server, and each at another.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zabsim::Sim;
use zabsim::client::{Client, Notice, Notices, Outcome, SessionState};
use zabsim_model::conformance::{Action, Case, Comparison, Mismatch, Step, parse};
use zabsim_types::{Op, OpResult, ServerId, SessionChange, WatchEvent, Zxid};

const CORE: &str = include_str!("../data/conformance/core.jsonl");

/// Half of the shortest timeout that a case asks for (500 ms) must not be less: sessions last at least two ticks.
const TICK: Duration = Duration::from_millis(200);
/// Until everything that a step caused has arrived everywhere: some round trips and fsyncs.
const SETTLE: Duration = Duration::from_millis(50);
/// The timeout that was asked for where a case says nothing.
const TIMEOUT_MS: u32 = 4_000;
/// The timeout in a case that takes an expired session up again. A client gives its session up by itself after 4/3 of the
/// timeout; here the server must be asked between its expiry (one tick and one ping later than the timeout at most) and
/// that moment, for its answer is what was recorded.
const RESUMED_TIMEOUT_MS: u32 = 3_000;
const RESUMED_SLEEP: Duration = Duration::from_millis(3_500);

/// Where clients are attached.
#[derive(Clone, Copy, Debug)]
enum Placement {
    /// All at the first server.
    Together,
    /// Each at another one, round robin.
    Apart,
}

#[test]
fn an_ensemble_answers_the_recorded_cases_with_all_clients_at_one_server() {
    play_all(Placement::Together);
}

#[test]
fn an_ensemble_answers_the_recorded_cases_with_each_client_at_another_server() {
    play_all(Placement::Apart);
}

/// The comparison bites: a recorded answer that is changed in one place is noticed there.
#[test]
fn a_changed_answer_is_noticed() {
    for (id, from, to, place) in [
        (
            "seq-basic",
            "\"cversion\":4",
            "\"cversion\":5",
            "stat.cversion",
        ),
        (
            "watch-own-write",
            "NodeDataChanged",
            "NodeDeleted",
            "event.type",
        ),
        (
            "watch-child-create",
            "\"kind\":\"event\"",
            "\"kind\":\"closed\"",
            "closed",
        ),
        (
            "multi-fail-middle",
            "\"err\":-2",
            "\"err\":-3",
            "results[2].err",
        ),
        (
            "eph-expired-resume",
            "\"sessionId\":0",
            "\"sessionId\":1",
            "sessionId",
        ),
        (
            "eph-delete-in-flight",
            "\"path\":\"/g\"}",
            "\"path\":\"/h\"}",
            "path",
        ),
    ] {
        let name = format!("\"id\":\"{id}\"");
        let line = CORE.lines().find(|line| line.contains(&name)).expect(id);
        let changed = line.replacen(from, to, 1);
        assert_ne!(changed, line, "{id} has no {from}");
        let cases = parse(&changed).expect("still a case");
        let what = play(&cases[0], Placement::Apart, 1).expect_err(id);
        assert!(what.contains(place), "{id}: {what}");
    }
}

/// Why a case is not for an ensemble, or not yet.
fn left_out(case: &Case) -> Option<String> {
    if case.standalone_only && case.id != STANDALONE_ALIKE {
        return Some("standalone only".into());
    }
    if let Some(config) = &case.config {
        return Some(format!("server settings {config}"));
    }
    case.unsupported().map(str::to_owned)
}

fn play_all(placement: Placement) {
    let cases = parse(CORE).expect("the recorded cases");
    let (mut played, mut wrong, mut not_played) = (Vec::new(), Vec::new(), Vec::new());
    for case in &cases {
        if let Some(reason) = left_out(case) {
            not_played.push(format!("{}: {reason}", case.id));
            continue;
        }
        for seed in [1, 2] {
            if let Err(what) = play(case, placement, seed) {
                wrong.push(format!("{} ({}), seed {seed}: {what}", case.id, case.title));
            }
        }
        played.push(case.id.as_str());
    }
    println!(
        "{} played {placement:?}; {} not:\n  {}",
        played.len(),
        not_played.len(),
        not_played.join("\n  ")
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(played.len(), PLAYED, "{}", not_played.join("\n"));
    assert_eq!(not_played.len(), NOT_PLAYED.len());
    for (told, (id, word)) in not_played.iter().zip(NOT_PLAYED) {
        assert!(told.starts_with(id) && told.contains(word), "{told}");
    }
}

/// How many cases an ensemble is held to: 48 that any ensemble answers so, and [`STANDALONE_ALIKE`].
const PLAYED: usize = 49;

/// The initial tree. A real ensemble keeps its configuration in `/zookeeper/config`; ours cannot be reconfigured yet and
/// keeps nothing there, so it can be held to the standalone server's answers, too.
const STANDALONE_ALIKE: &str = "stat-initial";

/// The others, and a word of the reason.
const NOT_PLAYED: [(&str, &str); 9] = [
    ("seq-setdata-no-effect", "setACL"),
    ("stat-setacl", "setACL"),
    ("stat-root-evolution", "setACL"),
    ("stat-create2-modes", "createContainer"),
    ("multi-ok", "createContainer"),
    ("multi-acl", "setACL"),
    ("watch-get-set", "setACL"),
    ("watch-noauth", "setACL"),
    ("watch-container-ttl", "standalone"),
];

fn resumes(case: &Case) -> bool {
    case.steps.iter().any(|step| {
        matches!(
            step.action,
            Action::Connect {
                resume: Some(_),
                ..
            }
        )
    })
}

/// All clients of a world ask for one timeout: the shortest of the case.
fn timeout_ms(case: &Case) -> u32 {
    if resumes(case) {
        return RESUMED_TIMEOUT_MS;
    }
    let asked = case.steps.iter().filter_map(|step| match step.action {
        Action::Connect { timeout_ms, .. } => timeout_ms,
        _ => None,
    });
    asked.min().unwrap_or(TIMEOUT_MS)
}

fn play(case: &Case, placement: Placement, seed: u64) -> Result<(), String> {
    let difference: Arc<Mutex<Result<(), String>>> = Arc::new(Mutex::new(Ok(())));
    let found = difference.clone();
    let case = Arc::new(case.clone());
    let timeout = Duration::from_millis(timeout_ms(&case).into());
    zabsim::ensemble(3)
        .tick(TICK)
        .session_timeout(timeout)
        .check([seed], move |sim| {
            let (case, found) = (case.clone(), found.clone());
            async move {
                let mut play = Play::new(sim, placement, resumes(&case));
                for (at, step) in case.steps.iter().enumerate() {
                    if let Err(mismatch) = play.step(step).await {
                        let told = format!("step {}: {mismatch}", at + 1);
                        *found.lock().expect("nobody panics with it") = Err(told);
                        return;
                    }
                }
            }
        });
    let difference = difference.lock().expect("nobody panics with it");
    difference.clone()
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
                Notice::Event { zxid, event, .. } => events.push((zxid, event)),
                Notice::Changed { change, .. } => {
                    self.closed |= matches!(change, SessionChange::Closed | SessionChange::Expired);
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
            Action::Connect { resume, .. } => match resume.as_deref() {
                Some(of) => self.resume(step, of).await?,
                None => self.connect(&step.conn).await,
            },
            Action::Drop => {
                let conn = self.conns.get_mut(&step.conn);
                let conn = conn.expect("a case names its connections");
                conn.cut = true;
                self.sim.cut_client(&conn.client, FOR_EVER).await;
            }
            Action::Sleep { ms } => {
                any_order = true;
                let recorded = Duration::from_millis(*ms);
                let time = if self.resumes {
                    RESUMED_SLEEP
                } else {
                    recorded
                };
                self.sim.sleep(time).await;
            }
            Action::Request(op) => {
                any_order = *op == Op::CloseSession;
                self.request(step, op, any_order).await?;
            }
            Action::Failure { op, .. } => {
                let (zxid, result) = self.answer(&step.conn, op).await?;
                assert!(result.is_err(), "a stand-in for a failure succeeded");
                self.comparison.update_zxid(&step.reply, zxid)?;
            }
            Action::Pipeline(ops) => self.pipeline(step, ops).await?,
            Action::LeftOut { .. } => return Ok(()),
            Action::Unsupported { .. } => unreachable!("such cases are not played"),
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
        self.comparison.bind_session(name, client.session());
        let conn = Conn {
            notices: client.notices(),
            client,
            server,
            closed: false,
            cut: false,
        };
        self.conns.insert(name.to_owned(), conn);
    }

    /// A session is taken up by the client that has it. All recorded ones were expired.
    async fn resume(&mut self, step: &Step, of: &str) -> Result<(), Mismatch> {
        let Conn { client, server, .. } = &self.conns[of];
        assert_eq!(
            client.state(),
            SessionState::Connecting,
            "the client must not know yet"
        );
        self.sim.heal().await;
        client.move_to(Some(*server));
        let state = client
            .until(|state| state.is_connected() || state.is_over())
            .await;
        let recorded = &step.reply["sessionId"];
        if (recorded == 0) != (state == SessionState::Expired) {
            return Err(differs("sessionId", recorded, format!("{state:?}")));
        }
        Ok(())
    }

    async fn request(&mut self, step: &Step, op: &Op, any_order: bool) -> Result<(), Mismatch> {
        if step.reply["closed"] == true {
            let outcome = self.conns[&step.conn].client.submit(op.clone()).await;
            return match outcome {
                Outcome::Lost { .. } => Ok(()),
                replied => Err(differs("closed", true, format!("{replied:?}"))),
            };
        }
        let (zxid, result) = self.answer(&step.conn, op).await?;
        // The reply woke this very program, before anything else arrived.
        let before = self.events(&step.conn);
        self.comparison
            .events(&step.events_before_reply, &before, any_order)?;
        self.comparison.reply(op, &step.reply, zxid, &result)
    }

    async fn answer(&mut self, name: &str, op: &Op) -> Result<(Zxid, OpResult), Mismatch> {
        replied(self.conns[name].client.submit(op.clone()).await)
    }

    fn events(&mut self, name: &str) -> Vec<(Option<Zxid>, WatchEvent)> {
        let conn = self.conns.get_mut(name);
        conn.expect("a case names its connections").events()
    }

    /// Replies and the connection's own notifications form one stream.
    async fn pipeline(&mut self, step: &Step, ops: &[Op]) -> Result<(), Mismatch> {
        let client = self.conns[&step.conn].client.clone();
        let calls: Vec<_> = ops.iter().map(|op| client.submit(op.clone())).collect();
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

fn is_closed(event: &Value) -> bool {
    event["kind"] == "closed"
}

fn replied(outcome: Outcome) -> Result<(Zxid, OpResult), Mismatch> {
    match outcome {
        Outcome::Replied { zxid, result, .. } => Ok((zxid, result)),
        lost => Err(differs("reply", "one", format!("{lost:?}"))),
    }
}

fn differs(at: &str, expected: impl ToString, got: impl ToString) -> Mismatch {
    Mismatch {
        at: at.to_owned(),
        expected: expected.to_string(),
        got: got.to_string(),
    }
}

/// Longer than any case.
const FOR_EVER: Duration = Duration::from_secs(3_600);
