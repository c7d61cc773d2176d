//! A session with what goes in and what comes out, as text.

use zabsim_client::{Config, Effect, Input, Outcome, Session};
use zabsim_types::{
    AddWatchMode, CallId, ClientFrame, ConnectReply, CreateMode, Op, OpResult, Reply, ServerFrame,
    ServerId, SessionChange, SessionId, Stat, SyncMode, Time, WatchEvent, WatchKind, WatcherType,
    Xid, Zxid,
};

/// A session with its inputs and effects as text.
pub(crate) struct Transcript {
    pub(crate) session: Session,
    pub(crate) text: String,
}

impl Transcript {
    pub(crate) fn new() -> Transcript {
        Transcript {
            session: Session::new(Config {
                servers: vec![ServerId(1), ServerId(2), ServerId(3)],
                timeout_ms: 6_000,
                reconnect_us: 100_000,
                guid_seed: 1,
                read_only: false,
                bugs: zabsim_bugs::Planted::NONE,
            }),
            text: String::new(),
        }
    }

    /// One that is attached to s1, its transcript empty.
    pub(crate) fn attached() -> Transcript {
        let mut transcript = Transcript::new();
        transcript.step(0, Input::Open).step(1, Input::Connected);
        transcript.step(2, granted(0x11, 1));
        transcript.text.clear();
        transcript
    }

    /// One whose client is content with a server that only reads, its transcript empty.
    pub(crate) fn content() -> Transcript {
        let session = Session::new(Config {
            servers: vec![ServerId(1), ServerId(2), ServerId(3)],
            timeout_ms: 6_000,
            reconnect_us: 100_000,
            guid_seed: 1,
            read_only: true,
            bugs: zabsim_bugs::Planted::NONE,
        });
        let text = String::new();
        Transcript { session, text }
    }

    pub(crate) fn step(&mut self, ms: u64, input: Input) -> &mut Transcript {
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
    pub(crate) fn reads(&self, expected: &str) {
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

pub(crate) fn input_text(input: &Input) -> String {
    match input {
        Input::Open => "open".into(),
        Input::Connected => "connected".into(),
        Input::Disconnected => "disconnected".into(),
        Input::Timer => "timer".into(),
        Input::Submit { call, op } => format!("submit {} {}", call.0, op_text(op)),
        Input::Move { to } => format!("move to {to:?}"),
        Input::Frame(frame) => frame_text(frame),
        Input::TrialConnected => "trial connected".into(),
        Input::TrialDisconnected => "trial disconnected".into(),
        Input::TrialFrame(frame) => format!("trial: {}", frame_text(frame)),
    }
}

fn frame_text(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Connected(reply) => {
            let only = if reply.read_only {
                ", which only reads"
            } else {
                ""
            };
            format!(
                "granted {} for {} ms by {}{only}",
                reply.session, reply.timeout_ms, reply.server
            )
        }
        ServerFrame::Reply { xid, zxid, result } => match result {
            Ok(_) => format!("reply #{} at {zxid}", xid.0),
            Err(error) => format!("reply #{} at {zxid}: {error}", xid.0),
        },
        ServerFrame::Event { zxid, event } => format!("event {}", event_text(zxid, event)),
        ServerFrame::Pong { .. } => "pong".into(),
        ServerFrame::WatchesSet { zxid } => format!("watches set at {zxid}"),
    }
}

pub(crate) fn op_text(op: &Op) -> String {
    format!("{:?}", op.kind())
}

pub(crate) fn event_text(zxid: &Option<Zxid>, event: &WatchEvent) -> String {
    match zxid {
        None if event.kind.is_local() => format!("{:?} {}", event.kind, event.path),
        Some(zxid) => format!("{:?} {} at {zxid}", event.kind, event.path),
        None => format!("{:?} {} caught up", event.kind, event.path),
    }
}

pub(crate) fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Connect { server } => format!("-> connect to {server}"),
        Effect::Disconnect => "-> disconnect".into(),
        Effect::Send(frame) => format!("-> send {}", sent_text(frame)),
        Effect::Try { server } => format!("-> try {server}"),
        Effect::TrialSend(frame) => format!("-> trial: send {}", sent_text(frame)),
        Effect::TrialEnd => "-> end the trial".into(),
        Effect::TrialTake => "-> go on by the trial".into(),
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
                read_only,
                ..
            } => {
                let how = if *reattached { "again" } else { "new" };
                let only = if *read_only { ", only reading" } else { "" };
                format!("-> {session} {how} at {server}, connection {conn}{only}")
            }
            SessionChange::WatchesSet { relative, zxid, .. } => {
                format!("-> {session} watches since {relative} set at {zxid}")
            }
            other => format!("-> {session} {other:?}"),
        },
    }
}

fn sent_text(frame: &ClientFrame) -> String {
    match frame {
        ClientFrame::Connect(request) => {
            let only = if request.read_only { ", content" } else { "" };
            format!(
                "Connect {} seen {}{only}",
                request.session, request.last_zxid_seen
            )
        }
        ClientFrame::Request { xid, op } => format!("#{} {}", xid.0, op_text(op)),
        ClientFrame::Ping => "Ping".into(),
        ClientFrame::SetWatches {
            relative,
            data,
            exists,
            child,
            persistent,
            recursive,
        } => {
            let staying = match (&persistent[..], &recursive[..]) {
                ([], []) => String::new(),
                _ => format!(" persistent {persistent:?} recursive {recursive:?}"),
            };
            format!(
                "SetWatches since {relative} data {data:?} exists {exists:?} child {child:?}{staying}"
            )
        }
    }
}

/// Granted by a server that only reads.
pub(crate) fn read_only(session: i64, server: u8) -> Input {
    match granted(session, server) {
        Input::Frame(ServerFrame::Connected(reply)) => {
            Input::Frame(ServerFrame::Connected(ConnectReply {
                read_only: true,
                ..reply
            }))
        }
        other => unreachable!("{other:?}"),
    }
}

/// The same, by the trial connection.
pub(crate) fn by_trial(input: Input) -> Input {
    match input {
        Input::Frame(frame) => Input::TrialFrame(frame),
        other => unreachable!("{other:?} is no frame"),
    }
}

pub(crate) fn granted(session: i64, server: u8) -> Input {
    Input::Frame(ServerFrame::Connected(ConnectReply {
        read_only: false,
        timeout_ms: 6_000,
        session: SessionId(session),
        password: [7; 16],
        server: ServerId(server),
    }))
}

pub(crate) fn refused() -> Input {
    Input::Frame(ServerFrame::Connected(ConnectReply {
        read_only: false,
        timeout_ms: 0,
        session: SessionId::NONE,
        password: [0; 16],
        server: ServerId(2),
    }))
}

pub(crate) fn submit(call: u64, op: Op) -> Input {
    let call = CallId(call);
    Input::Submit { call, op }
}

pub(crate) fn reply(xid: i32, counter: u32, result: OpResult) -> Input {
    Input::Frame(ServerFrame::Reply {
        xid: Xid(xid),
        zxid: Zxid::new(1, counter),
        result,
    })
}

pub(crate) fn event(counter: Option<u32>, kind: WatchKind, path: &str) -> Input {
    Input::Frame(ServerFrame::Event {
        zxid: counter.map(|counter| Zxid::new(1, counter)),
        event: WatchEvent {
            kind,
            path: path.into(),
        },
    })
}

pub(crate) fn watches_set(counter: u32) -> Input {
    let zxid = Zxid::new(1, counter);
    Input::Frame(ServerFrame::WatchesSet { zxid })
}

pub(crate) fn create(path: &str) -> Op {
    Op::Create {
        acl: zabsim_types::Acl::OPEN,
        path: path.into(),
        data: None,
        mode: CreateMode::Persistent,
        with_stat: false,
    }
}

pub(crate) fn get(path: &str) -> Op {
    let path = path.into();
    Op::GetData { path, watch: true }
}

pub(crate) fn exists(path: &str) -> Op {
    let path = path.into();
    Op::Exists { path, watch: true }
}

pub(crate) fn list(path: &str) -> Op {
    Op::GetChildren {
        path: path.into(),
        watch: true,
        with_stat: false,
    }
}

pub(crate) fn sync() -> Op {
    Op::Sync {
        path: "/".into(),
        mode: SyncMode::Leader,
    }
}

pub(crate) fn add_auth(auth: &str) -> Op {
    Op::AddAuth {
        scheme: "digest".into(),
        auth: auth.into(),
    }
}

pub(crate) fn add_watch(path: &str, mode: AddWatchMode) -> Op {
    let path = path.into();
    Op::AddWatch { path, mode }
}

pub(crate) fn remove_watches(path: &str, kind: WatcherType) -> Op {
    let path = path.into();
    Op::RemoveWatches { path, kind }
}

pub(crate) fn data() -> OpResult {
    Ok(Reply::Data {
        data: None,
        stat: Stat::default(),
    })
}

pub(crate) fn names() -> OpResult {
    Ok(Reply::Children {
        names: vec![],
        stat: None,
    })
}
