//! The session's core, step by step: what goes in, and the exact list of what comes out.

use proptest::prelude::*;
use std::collections::BTreeMap;
use zabsim_client::{Config, Effect, Input, Outcome, Session};
use zabsim_types::{
    CallId, ClientFrame, ConnectReply, CreateMode, ErrorCode, Op, OpResult, Reply, ServerFrame,
    ServerId, SessionChange, SessionId, Stat, SyncMode, Time, WatchEvent, WatchKind, Xid, Zxid,
};

/// A session with its inputs and effects as text.
struct Transcript {
    session: Session,
    text: String,
}

impl Transcript {
    fn new() -> Transcript {
        Transcript {
            session: Session::new(Config {
                servers: vec![ServerId(1), ServerId(2), ServerId(3)],
                timeout_ms: 6_000,
                reconnect_us: 100_000,
                guid_seed: 1,
            }),
            text: String::new(),
        }
    }

    /// One that is attached to s1, its transcript empty.
    fn attached() -> Transcript {
        let mut transcript = Transcript::new();
        transcript.step(0, Input::Open).step(1, Input::Connected);
        transcript.step(2, granted(0x11, 1));
        transcript.text.clear();
        transcript
    }

    fn step(&mut self, ms: u64, input: Input) -> &mut Transcript {
        let mut out = Vec::new();
        self.text
            .push_str(&format!("{ms:>5} {}\n", input_text(&input)));
        self.session.step(Time::from_ms(ms), input, &mut out);
        for effect in out {
            self.text
                .push_str(&format!("        {}\n", effect_text(&effect)));
        }
        self
    }

    #[track_caller]
    fn reads(&self, expected: &str) {
        let lines = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&self.text),
            lines(expected),
            "it reads:\n{}",
            self.text
        );
    }
}

fn input_text(input: &Input) -> String {
    match input {
        Input::Open => "open".into(),
        Input::Connected => "connected".into(),
        Input::Disconnected => "disconnected".into(),
        Input::Timer => "timer".into(),
        Input::Submit { call, op } => format!("submit {} {}", call.0, op_text(op)),
        Input::Move { to } => format!("move to {to:?}"),
        Input::Frame(ServerFrame::Connected(reply)) => {
            format!(
                "granted {} for {} ms by {}",
                reply.session, reply.timeout_ms, reply.server
            )
        }
        Input::Frame(ServerFrame::Reply { xid, zxid, result }) => match result {
            Ok(_) => format!("reply #{} at {zxid}", xid.0),
            Err(error) => format!("reply #{} at {zxid}: {error}", xid.0),
        },
        Input::Frame(ServerFrame::Event { zxid, event }) => {
            format!("event {}", event_text(zxid, event))
        }
        Input::Frame(ServerFrame::Pong { .. }) => "pong".into(),
        Input::Frame(ServerFrame::WatchesSet { zxid }) => format!("watches set at {zxid}"),
    }
}

fn op_text(op: &Op) -> String {
    format!("{:?}", op.kind())
}

fn event_text(zxid: &Option<Zxid>, event: &WatchEvent) -> String {
    match zxid {
        Some(zxid) => format!("{:?} {} at {zxid}", event.kind, event.path),
        None => format!("{:?} {} caught up", event.kind, event.path),
    }
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Connect { server } => format!("-> connect to {server}"),
        Effect::Disconnect => "-> disconnect".into(),
        Effect::Send(ClientFrame::Connect(request)) => format!(
            "-> send Connect {} seen {}",
            request.session, request.last_zxid_seen
        ),
        Effect::Send(ClientFrame::Request { xid, op }) => {
            format!("-> send #{} {}", xid.0, op_text(op))
        }
        Effect::Send(ClientFrame::Ping) => "-> send Ping".into(),
        Effect::Send(ClientFrame::SetWatches {
            relative,
            data,
            exists,
            child,
        }) => format!(
            "-> send SetWatches since {relative} data {data:?} exists {exists:?} child {child:?}"
        ),
        Effect::SetTimer { at } => format!("-> timer at {} ms", at.as_ms()),
        Effect::Complete { call, outcome } => match outcome {
            Outcome::Replied { result: Ok(_), .. } => format!("-> {} done", call.0),
            Outcome::Replied {
                result: Err(error), ..
            } => format!("-> {} refused: {error}", call.0),
            Outcome::Lost { error, sent, .. } => {
                let sent = if *sent { "sent" } else { "never sent" };
                format!("-> {} lost: {error}, {sent}", call.0)
            }
        },
        Effect::Event { zxid, conn, event } => {
            format!("-> told on connection {conn}: {}", event_text(zxid, event))
        }
        Effect::Changed { session, change } => match change {
            SessionChange::Connected {
                server,
                conn,
                reattached,
                ..
            } => {
                let how = if *reattached { "again" } else { "new" };
                format!("-> {session} {how} at {server}, connection {conn}")
            }
            SessionChange::WatchesSet { relative, zxid, .. } => {
                format!("-> {session} watches since {relative} set at {zxid}")
            }
            other => format!("-> {session} {other:?}"),
        },
    }
}

fn granted(session: i64, server: u8) -> Input {
    Input::Frame(ServerFrame::Connected(ConnectReply {
        timeout_ms: 6_000,
        session: SessionId(session),
        password: [7; 16],
        server: ServerId(server),
    }))
}

fn refused() -> Input {
    Input::Frame(ServerFrame::Connected(ConnectReply {
        timeout_ms: 0,
        session: SessionId::NONE,
        password: [0; 16],
        server: ServerId(2),
    }))
}

fn submit(call: u64, op: Op) -> Input {
    let call = CallId(call);
    Input::Submit { call, op }
}

fn reply(xid: i32, counter: u32, result: OpResult) -> Input {
    Input::Frame(ServerFrame::Reply {
        xid: Xid(xid),
        zxid: Zxid::new(1, counter),
        result,
    })
}

fn event(counter: Option<u32>, kind: WatchKind, path: &str) -> Input {
    Input::Frame(ServerFrame::Event {
        zxid: counter.map(|counter| Zxid::new(1, counter)),
        event: WatchEvent {
            kind,
            path: path.into(),
        },
    })
}

fn watches_set(counter: u32) -> Input {
    let zxid = Zxid::new(1, counter);
    Input::Frame(ServerFrame::WatchesSet { zxid })
}

fn create(path: &str) -> Op {
    Op::Create {
        path: path.into(),
        data: None,
        mode: CreateMode::Persistent,
        with_stat: false,
    }
}

fn get(path: &str) -> Op {
    let path = path.into();
    Op::GetData { path, watch: true }
}

fn exists(path: &str) -> Op {
    let path = path.into();
    Op::Exists { path, watch: true }
}

fn list(path: &str) -> Op {
    Op::GetChildren {
        path: path.into(),
        watch: true,
        with_stat: false,
    }
}

fn sync() -> Op {
    Op::Sync {
        path: "/".into(),
        mode: SyncMode::Leader,
    }
}

fn data() -> OpResult {
    Ok(Reply::Data {
        data: None,
        stat: Stat::default(),
    })
}

fn names() -> OpResult {
    Ok(Reply::Children {
        names: vec![],
        stat: None,
    })
}

#[test]
fn a_session_opens_pipelines_and_closes() {
    let mut t = Transcript::new();
    t.step(0, submit(1, sync()))
        .step(0, Input::Open)
        .step(0, submit(2, create("/a")))
        .step(1, Input::Connected)
        .step(2, granted(0x11, 1))
        .step(3, submit(3, sync()))
        .step(3, submit(4, Op::CloseSession))
        .step(3, submit(5, sync()))
        .step(5, reply(1, 9, Err(ErrorCode::NoNode)))
        .step(5, reply(2, 9, Ok(Reply::Deleted)))
        .step(5, reply(3, 10, Ok(Reply::Closed)))
        .step(6, submit(6, sync()))
        .step(7, Input::Open);
    t.reads(
        "    0 submit 1 Sync
                -> 1 lost: SessionExpired (-112), never sent
             0 open
                -> connect to s1
                -> timer at 2000 ms
             0 submit 2 Create
             1 connected
                -> send Connect 0x0 seen ⟨0,0⟩
             2 granted 0x11 for 6000 ms by s1
                -> 0x11 new at s1, connection 1
                -> send #1 Create
             3 submit 3 Sync
                -> send #2 Sync
             3 submit 4 CloseSession
                -> send #3 CloseSession
             3 submit 5 Sync
                -> 5 lost: ConnectionLoss (-4), never sent
             5 reply #1 at ⟨1,9⟩: NoNode (-101)
                -> 2 refused: NoNode (-101)
             5 reply #2 at ⟨1,9⟩
                -> 3 done
             5 reply #3 at ⟨1,10⟩
                -> 4 done
                -> disconnect
                -> 0x11 Closed
             6 submit 6 Sync
                -> 6 lost: SessionExpired (-112), never sent
             7 open
                -> connect to s2",
    );
}

#[test]
fn a_lost_connection_leaves_what_was_sent_in_doubt_and_keeps_what_waits() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, create("/a")))
        .step(10, submit(2, sync()))
        .step(12, reply(1, 9, Err(ErrorCode::NodeExists)))
        .step(15, Input::Disconnected)
        .step(20, submit(3, create("/b")))
        .step(115, Input::Timer)
        .step(116, Input::Disconnected)
        .step(216, Input::Timer)
        .step(217, Input::Connected)
        .step(218, granted(0x11, 3))
        .step(220, reply(3, 11, Ok(Reply::Deleted)));
    t.reads(
        "   10 submit 1 Create
                -> send #1 Create
            10 submit 2 Sync
                -> send #2 Sync
            12 reply #1 at ⟨1,9⟩: NodeExists (-110)
                -> 1 refused: NodeExists (-110)
            15 disconnected
                -> 2 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 115 ms
            20 submit 3 Create
           115 timer
                -> connect to s2
                -> timer at 2115 ms
           116 disconnected
                -> timer at 216 ms
           216 timer
                -> connect to s3
                -> timer at 2216 ms
           217 connected
                -> send Connect 0x11 seen ⟨1,9⟩
           218 granted 0x11 for 6000 ms by s3
                -> 0x11 again at s3, connection 2
                -> send #3 Create
           220 reply #3 at ⟨1,11⟩
                -> 3 done",
    );
}

#[test]
fn watches_go_ahead_of_other_requests_on_a_new_connection() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/there")))
        .step(10, submit(2, get("/absent")))
        .step(10, submit(3, exists("/absent")))
        .step(10, submit(4, list("/there")))
        .step(12, reply(1, 4, data()))
        .step(12, reply(2, 4, Err(ErrorCode::NoNode)))
        .step(12, reply(3, 4, Err(ErrorCode::NoNode)))
        .step(12, reply(4, 5, names()))
        .step(13, event(Some(8), WatchKind::NodeChildrenChanged, "/there"))
        .step(
            14,
            Input::Move {
                to: Some(ServerId(3)),
            },
        )
        .step(14, submit(5, sync()))
        .step(15, Input::Connected)
        .step(16, granted(0x11, 3))
        .step(17, event(None, WatchKind::NodeDeleted, "/there"))
        .step(17, watches_set(9))
        .step(17, reply(5, 9, Ok(Reply::Deleted)))
        .step(18, Input::Move { to: None })
        .step(19, Input::Connected)
        .step(20, granted(0x11, 1));
    t.reads(
        "   10 submit 1 GetData
                -> send #1 GetData
            10 submit 2 GetData
                -> send #2 GetData
            10 submit 3 Exists
                -> send #3 Exists
            10 submit 4 GetChildren
                -> send #4 GetChildren
            12 reply #1 at ⟨1,4⟩
                -> 1 done
            12 reply #2 at ⟨1,4⟩: NoNode (-101)
                -> 2 refused: NoNode (-101)
            12 reply #3 at ⟨1,4⟩: NoNode (-101)
                -> 3 refused: NoNode (-101)
            12 reply #4 at ⟨1,5⟩
                -> 4 done
            13 event NodeChildrenChanged /there at ⟨1,8⟩
                -> told on connection 1: NodeChildrenChanged /there at ⟨1,8⟩
            14 move to Some(s3)
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s3
            14 submit 5 Sync
            15 connected
                -> send Connect 0x11 seen ⟨1,8⟩
            16 granted 0x11 for 6000 ms by s3
                -> 0x11 again at s3, connection 2
                -> send SetWatches since ⟨1,5⟩ data [\"/there\"] exists [\"/absent\"] child []
                -> send #5 Sync
            17 event NodeDeleted /there caught up
                -> told on connection 2: NodeDeleted /there caught up
            17 watches set at ⟨1,9⟩
                -> 0x11 watches since ⟨1,5⟩ set at ⟨1,9⟩
            17 reply #5 at ⟨1,9⟩
                -> 5 done
            18 move to None
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s1
            19 connected
                -> send Connect 0x11 seen ⟨1,9⟩
            20 granted 0x11 for 6000 ms by s1
                -> 0x11 again at s1, connection 3
                -> send SetWatches since ⟨1,9⟩ data [] exists [\"/absent\"] child []",
    );
}

#[test]
fn a_server_says_that_the_session_has_expired() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/a")))
        .step(11, reply(1, 4, data()))
        .step(20, Input::Disconnected)
        .step(30, submit(2, sync()))
        .step(120, Input::Timer)
        .step(121, Input::Connected)
        .step(122, refused())
        .step(130, Input::Open)
        .step(131, Input::Connected)
        .step(132, granted(0x31, 3));
    t.reads(
        "   10 submit 1 GetData
                -> send #1 GetData
            11 reply #1 at ⟨1,4⟩
                -> 1 done
            20 disconnected
                -> 0x11 Disconnected
                -> timer at 120 ms
            30 submit 2 Sync
           120 timer
                -> connect to s2
                -> timer at 2120 ms
           121 connected
                -> send Connect 0x11 seen ⟨1,4⟩
           122 granted 0x0 for 0 ms by s2
                -> disconnect
                -> 2 lost: SessionExpired (-112), never sent
                -> 0x11 Expired
           130 open
                -> connect to s3
           131 connected
                -> send Connect 0x0 seen ⟨0,0⟩
           132 granted 0x31 for 6000 ms by s3
                -> 0x31 new at s3, connection 2",
    );
}

/// Cut off from everyone, the client takes its session for expired after 4/3 of its timeout, without anybody's word.
#[test]
fn a_session_expires_by_itself() {
    let mut t = Transcript::attached();
    t.step(3, submit(1, sync()));
    t.step(2_002, Input::Timer); // A third of the timeout without sending.
    t.step(4_002, Input::Timer); // Two thirds without hearing.
    t.step(4_102, Input::Timer); // The next attempt …
    t.step(6_102, Input::Timer); // … has a third of the timeout.
    t.step(6_103, submit(2, sync()));
    t.step(6_202, Input::Timer);
    t.step(8_002, Input::Timer);
    t.reads(
        "    3 submit 1 Sync
                -> send #1 Sync
          2002 timer
                -> timer at 2003 ms
          4002 timer
                -> disconnect
                -> 1 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 4102 ms
          4102 timer
                -> connect to s2
                -> timer at 6102 ms
          6102 timer
                -> disconnect
                -> timer at 6202 ms
          6103 submit 2 Sync
          6202 timer
                -> connect to s3
                -> timer at 8002 ms
          8002 timer
                -> disconnect
                -> 2 lost: SessionExpired (-112), never sent
                -> 0x11 Expired",
    );
}

#[test]
fn an_idle_session_pings_and_hears() {
    let mut t = Transcript::attached();
    t.step(2_001, Input::Timer)
        .step(2_003, Input::Frame(ServerFrame::Pong { zxid: Zxid::ZERO }))
        .step(4_001, Input::Timer)
        .step(4_003, Input::Frame(ServerFrame::Pong { zxid: Zxid::ZERO }))
        .step(6_001, Input::Timer);
    t.reads(
        " 2001 timer
                -> send Ping
                -> timer at 4001 ms
          2003 pong
          4001 timer
                -> send Ping
                -> timer at 6001 ms
          4003 pong
          6001 timer
                -> send Ping
                -> timer at 8001 ms",
    );
}

#[test]
fn a_reply_out_of_order_ends_the_connection() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, sync()))
        .step(10, submit(2, sync()))
        .step(11, reply(2, 4, Ok(Reply::Deleted)))
        .step(12, reply(1, 4, Ok(Reply::Deleted)));
    t.reads(
        "   10 submit 1 Sync
                -> send #1 Sync
            10 submit 2 Sync
                -> send #2 Sync
            11 reply #2 at ⟨1,4⟩
                -> disconnect
                -> 1 lost: ConnectionLoss (-4), sent
                -> 2 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 111 ms
            12 reply #1 at ⟨1,4⟩",
    );
}

/// The reply to a close is lost: the session is asked for again, and then either is known to be over or can be closed again.
#[test]
fn a_close_that_is_lost_leaves_the_session_to_be_found_out() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, Op::CloseSession))
        .step(12, Input::Disconnected)
        .step(112, Input::Timer)
        .step(113, Input::Connected)
        .step(114, granted(0x11, 2))
        .step(115, submit(2, Op::CloseSession))
        .step(116, reply(2, 9, Ok(Reply::Closed)));
    t.reads(
        "   10 submit 1 CloseSession
                -> send #1 CloseSession
            12 disconnected
                -> 1 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 112 ms
           112 timer
                -> connect to s2
                -> timer at 2112 ms
           113 connected
                -> send Connect 0x11 seen ⟨0,0⟩
           114 granted 0x11 for 6000 ms by s2
                -> 0x11 again at s2, connection 2
           115 submit 2 CloseSession
                -> send #2 CloseSession
           116 reply #2 at ⟨1,9⟩
                -> 2 done
                -> disconnect
                -> 0x11 Closed",
    );
}

/// A server that answers a reattachment with somebody else's session is not believed.
#[test]
fn a_session_is_not_exchanged_for_another() {
    let mut t = Transcript::attached();
    t.step(10, Input::Move { to: None })
        .step(11, Input::Connected)
        .step(12, granted(0x77, 2));
    t.reads(
        "   10 move to None
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s2
            11 connected
                -> send Connect 0x11 seen ⟨0,0⟩
            12 granted 0x77 for 6000 ms by s2
                -> disconnect
                -> timer at 112 ms",
    );
}

/// Two notifications of one transaction, the second cut off: it must be caught up, so the first may not count as "seen
/// everything up to here" for the watches, though it does for the choice of a server.
#[test]
fn a_notification_advances_what_was_seen_but_not_what_was_caught_up() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/a")))
        .step(10, submit(2, list("/")))
        .step(12, reply(1, 4, data()))
        .step(12, reply(2, 4, names()))
        .step(13, event(Some(7), WatchKind::NodeDeleted, "/a"))
        .step(14, Input::Move { to: None })
        .step(15, Input::Connected)
        .step(16, granted(0x11, 2));
    assert!(
        t.text.contains("send Connect 0x11 seen ⟨1,7⟩"),
        "{}",
        t.text
    );
    let caught_up = "send SetWatches since ⟨1,4⟩ data [] exists [] child [\"/\"]";
    assert!(t.text.contains(caught_up), "{}", t.text);
}

/// What a driver may do at any moment, whether or not it makes sense just then.
#[derive(Clone, Debug)]
enum Act {
    Open,
    Connected,
    Disconnected,
    Granted,
    Refused,
    AnswerNext(bool),
    AnswerWrong,
    WatchesSet,
    Event,
    Wait(u64),
    Submit(u8),
    Move,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Open),
        6 => Just(Act::Connected),
        2 => Just(Act::Disconnected),
        6 => Just(Act::Granted),
        1 => Just(Act::Refused),
        6 => any::<bool>().prop_map(Act::AnswerNext),
        1 => Just(Act::AnswerWrong),
        2 => Just(Act::WatchesSet),
        1 => Just(Act::Event),
        3 => (1_u64..3_000).prop_map(Act::Wait),
        8 => (0_u8..6).prop_map(Act::Submit),
        1 => Just(Act::Move),
    ]
}

/// A driver that keeps the contract (a timer that goes off, no frames from a connection that was closed) and counts.
struct Driver {
    session: Session,
    now: u64,
    timer: Option<Time>,
    calls: u64,
    /// Each call with how often it was completed.
    completed: BTreeMap<u64, u32>,
    /// Numbers of the requests sent on this connection and not answered.
    sent: Vec<(Xid, bool)>,
    attached: bool,
    open: bool,
}

impl Driver {
    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.session.step(Time(self.now), input, &mut out);
        for effect in out {
            match effect {
                Effect::Connect { .. } | Effect::Disconnect => self.sent.clear(),
                Effect::SetTimer { at } => {
                    assert!(at >= Time(self.now), "a timer in the past");
                    self.timer = Some(at);
                }
                Effect::Send(ClientFrame::Request { xid, op }) => {
                    assert!(self.attached, "a request without a session");
                    let last = self.sent.last().map(|(xid, _)| *xid);
                    assert!(last.is_none_or(|last| last < xid), "numbers grow");
                    self.sent.push((xid, op == Op::CloseSession));
                }
                Effect::Send(ClientFrame::SetWatches { .. }) => {
                    assert!(self.sent.is_empty(), "watches go first");
                }
                Effect::Send(_) | Effect::Event { .. } => {}
                Effect::Complete { call, .. } => *self.completed.entry(call.0).or_default() += 1,
                Effect::Changed { change, .. } => match change {
                    SessionChange::Connected { .. } => {
                        assert!(!self.attached, "attached twice");
                        self.attached = true;
                    }
                    SessionChange::Disconnected => {
                        assert!(self.attached, "disconnected twice");
                        self.attached = false;
                        self.sent.clear();
                    }
                    SessionChange::WatchesSet { .. } => assert!(self.attached),
                    SessionChange::Expired | SessionChange::Closed => {
                        self.attached = false;
                        self.open = false;
                        self.sent.clear();
                        assert_eq!(self.session_outstanding(), 0, "nothing outlives it");
                    }
                },
            }
        }
        if self.attached || self.session.attached_to().is_some() {
            assert_eq!(self.attached, self.session.attached_to().is_some());
        }
    }

    fn session_outstanding(&self) -> usize {
        self.session.outstanding()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Open => {
                self.open = true;
                self.step(Input::Open);
            }
            Act::Connected => self.step(Input::Connected),
            Act::Disconnected => self.step(Input::Disconnected),
            Act::Granted => {
                let session = match self.session.id() {
                    SessionId::NONE => 0x11 + self.calls as i64,
                    SessionId(id) => id,
                };
                if !self.attached {
                    self.step(granted(session, 1));
                }
            }
            Act::Refused => {
                if !self.attached && self.session.id() != SessionId::NONE {
                    self.step(refused());
                }
            }
            Act::AnswerNext(well) => {
                if self.attached && !self.sent.is_empty() {
                    let (xid, closes) = self.sent.remove(0);
                    let result = match (well, closes) {
                        (true, true) => Ok(Reply::Closed),
                        (true, false) => data(),
                        (false, _) => Err(ErrorCode::NoNode),
                    };
                    self.step(reply(xid.0, self.calls as u32 + 1, result));
                }
            }
            Act::AnswerWrong => self.step(reply(i32::MAX, 1, data())),
            Act::WatchesSet => self.step(watches_set(3)),
            Act::Event => self.step(event(Some(5), WatchKind::NodeDeleted, "/1")),
            Act::Wait(ms) => {
                let until = self.now + ms * 1_000;
                while let Some(at) = self.timer.filter(|at| at.0 <= until) {
                    self.timer = None;
                    self.now = self.now.max(at.0);
                    self.step(Input::Timer);
                }
                self.now = until;
            }
            Act::Submit(which) => {
                self.calls += 1;
                let op = match which {
                    0 => create("/1"),
                    1 => get("/1"),
                    2 => exists("/2"),
                    3 => list("/"),
                    4 => sync(),
                    _ => Op::CloseSession,
                };
                self.completed.insert(self.calls, 0);
                self.step(submit(self.calls, op));
            }
            Act::Move => self.step(Input::Move { to: None }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, every request is completed exactly once, at the latest when the session ends; a session that
    /// is left alone for long enough has ended.
    #[test]
    fn every_request_is_completed_exactly_once(acts in proptest::collection::vec(act(), 1..120)) {
        let mut driver = Driver {
            session: Transcript::new().session,
            now: 0,
            timer: None,
            calls: 0,
            completed: BTreeMap::new(),
            sent: Vec::new(),
            attached: false,
            open: false,
        };
        for act in acts {
            driver.act(act);
            prop_assert!(driver.completed.values().all(|times| *times <= 1));
            let waiting = driver.completed.values().filter(|times| **times == 0).count();
            prop_assert_eq!(waiting, driver.session.outstanding());
        }
        // Nobody answers any more: a granted session ends by itself.
        if driver.session.id() != SessionId::NONE {
            driver.act(Act::Wait(30_000));
            prop_assert_eq!(driver.session.id(), SessionId::NONE);
            prop_assert!(driver.completed.values().all(|times| *times == 1));
        }
    }
}
