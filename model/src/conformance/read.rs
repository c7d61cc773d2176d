//! Reading the cases: one JSON object a line.

use crate::intake::{Fault, said_of_json};
use crate::reference::WatchesToSet;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zabsim_types::{
    Acl, AddWatchMode, CreateMode, Data, Op, SyncMode, WatcherType, ZPath, Zxid, spell,
};

/// A recorded case.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    /// Its name: `seq-basic`.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Server settings other than the default, if any.
    pub config: Option<Value>,
    /// Whether it sleeps or restarts.
    pub timing: bool,
    /// Whether its outcome was a race in the recorded server.
    pub racy: bool,
    /// Whether an ensemble rightly answers otherwise.
    pub standalone_only: bool,
    /// What was done and what came of it.
    pub steps: Vec<Step>,
}

impl Case {
    /// Everything that is sent in it.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.steps.iter().flat_map(|step| match &step.action {
            Action::Request(request) => std::slice::from_ref(request),
            Action::Pipeline(requests) => requests.as_slice(),
            _ => &[],
        })
    }
}

/// One step of one connection.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Whose: `A`. Empty for a step of nobody's (sleep, restart).
    pub conn: String,
    /// What is done.
    pub action: Action,
    /// The recorded reply.
    pub reply: Value,
    /// The notifications that the connection got before the reply.
    pub events_before_reply: Vec<Value>,
    /// Those that arrived afterwards, by connection.
    pub events: BTreeMap<String, Vec<Value>>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |request: &Request| match request {
            Request::Op(op) => spell::op(op),
            Request::Ping => "ping".to_owned(),
            Request::SetWatches(_) => "setWatches".to_owned(),
        };
        let what = match &self.action {
            Action::Connect(_) => "connect".to_owned(),
            Action::Drop => "drop".to_owned(),
            Action::Restart => "restart".to_owned(),
            Action::Sleep { ms, .. } => format!("sleep {ms} ms"),
            Action::Request(request) => name(request),
            Action::Pipeline(requests) => {
                let names: Vec<String> = requests.iter().map(name).collect();
                format!("pipeline of {}", names.join(", "))
            }
        };
        // A case may send a megabyte.
        let what: String = what.chars().take(160).collect();
        match &*self.conn {
            "" => write!(f, "{what}"),
            conn => write!(f, "{conn}: {what}"),
        }
    }
}

/// What a step does.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Opens the connection, with a new session or one taken up again.
    Connect(Connect),
    /// Cuts the connection without closing the session.
    Drop,
    /// Waits.
    Sleep {
        /// How long.
        ms: u64,
        /// The connections that send no pings meanwhile.
        silent: Vec<String>,
    },
    /// The server is killed and started again with its data.
    Restart,
    /// Sends a request and awaits its reply.
    Request(Request),
    /// Sends several requests before it reads a reply.
    Pipeline(Vec<Request>),
}

/// How a connection is opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Connect {
    /// The timeout asked for.
    pub timeout_ms: Option<i64>,
    /// The session to take up.
    pub resume: Option<Resume>,
    /// The highest zxid that the client has seen.
    pub last_zxid: u64,
    /// Whether the request has no byte for read-only mode, as those of old clients.
    pub without_read_only: bool,
}

/// The session that a connection takes up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resume {
    /// The one of the connection of that name.
    Of {
        /// Which.
        conn: String,
        /// Whether the password is the session's.
        password_fits: bool,
    },
    /// One of this number, which no server gave out.
    Unknown(i64),
}

/// What is sent.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// An operation.
    Op(Op),
    /// A sign of life.
    Ping,
    /// Sets watches again.
    SetWatches(WatchesToSet),
}

/// Reads cases, one a line; empty lines are skipped.
pub fn parse(text: &str) -> Result<Vec<Case>, Fault> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            let fail = |what: String| Fault::new(at as u64 + 1, what);
            let value = serde_json::from_str(line).map_err(|error| {
                let what = "this is no case: a JSON object a line was expected";
                fail(format!("{what} ({})", said_of_json(&error)))
            })?;
            case(&value).map_err(fail)
        })
        .collect()
}

fn case(value: &Value) -> Result<Case, String> {
    let flag = |key: &str| value[key].as_bool().unwrap_or(false);
    let id = text(value, "id").map_err(|why| format!("this is no case: {why}"))?;
    let steps = value["steps"]
        .as_array()
        .ok_or(format!("case {id}: `steps` must be a list"))?;
    Ok(Case {
        title: text(value, "title")?,
        config: value.get("config").cloned(),
        timing: flag("timing"),
        racy: flag("racy"),
        standalone_only: flag("standalone_only"),
        steps: steps
            .iter()
            .enumerate()
            .map(|(at, value)| step(value).map_err(|e| format!("case {id}, step {}: {e}", at + 1)))
            .collect::<Result<_, _>>()?,
        id,
    })
}

fn step(value: &Value) -> Result<Step, String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let by_conn = value["events"].as_object();
    Ok(Step {
        conn: value["c"].as_str().unwrap_or_default().to_owned(),
        action: action(&text(value, "op")?, &value["args"])?,
        reply: value["reply"].clone(),
        events_before_reply: list(&value["events_before_reply"]),
        events: by_conn
            .into_iter()
            .flatten()
            .map(|(conn, events)| (conn.clone(), list(events)))
            .collect(),
    })
}

fn action(name: &str, args: &Value) -> Result<Action, String> {
    Ok(match name {
        "connect" => Action::Connect(connect(args)?),
        "drop" => Action::Drop,
        "restart" => Action::Restart,
        "sleep" => Action::Sleep {
            ms: args["ms"].as_u64().ok_or("sleep: `ms` must be a number")?,
            silent: texts(&args["noping"]),
        },
        "pipeline" => {
            let ops = args["ops"]
                .as_array()
                .ok_or("pipeline: `ops` must be a list")?;
            let requests = ops
                .iter()
                .map(|args| request(args["op"].as_str().unwrap_or(""), args));
            Action::Pipeline(requests.collect::<Result<_, _>>()?)
        }
        _ => Action::Request(request(name, args)?),
    })
}

fn connect(args: &Value) -> Result<Connect, String> {
    let mut connect = Connect::default();
    let (mut of, mut number, mut password_fits) = (None, None, true);
    for (key, value) in args.as_object().into_iter().flatten() {
        match key.as_str() {
            "timeout" => connect.timeout_ms = value.as_i64(),
            "resume" => of = value.as_str(),
            "passwd" => password_fits = false,
            "sessionId" => number = value.as_i64(),
            "lastZxid" => {
                connect.last_zxid = value.as_u64().ok_or("connect: `lastZxid` is no number")?;
            }
            "omitReadOnly" => connect.without_read_only = value == true,
            // Only the recording needed to know when; and a server with a quorum does not care for the other.
            "late" | "readOnly" => {}
            other => return Err(format!("connect with `{other}`")),
        }
    }
    connect.resume = match (of, number) {
        (Some(session), _) => Some(Resume::Of {
            conn: session.trim_start_matches("S:").to_owned(),
            password_fits,
        }),
        (None, number) => number.map(Resume::Unknown),
    };
    Ok(connect)
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn request(name: &str, args: &Value) -> Result<Request, String> {
    let paths = |key: &str| -> Vec<ZPath> {
        let paths = texts(&args[key]).into_iter();
        paths.map(ZPath::from).collect()
    };
    Ok(match name {
        "ping" => Request::Ping,
        "setWatches" | "setWatches2" => Request::SetWatches(WatchesToSet {
            relative: Zxid(
                args["relativeZxid"]
                    .as_u64()
                    .ok_or(format!("{name} without `relativeZxid`"))?,
            ),
            data: paths("data"),
            exists: paths("exist"),
            child: paths("child"),
            persistent: paths("persistent"),
            recursive: paths("persistentRecursive"),
        }),
        _ => Request::Op(op(name, args)?),
    })
}

/// The operation that a step or a part of one names; else why there is none.
fn op(name: &str, args: &Value) -> Result<Op, String> {
    let watch = args["watch"].as_bool().unwrap_or(false);
    let version = || {
        let version = args["version"].as_i64();
        version
            .and_then(|v| i32::try_from(v).ok())
            .ok_or(format!("{name} without a version"))
    };
    Ok(match name {
        "create" | "create2" => Op::Create {
            path: path(args)?,
            data: data(&args["data"])?,
            mode: mode(args)?,
            with_stat: name == "create2",
            acl: acl(args)?,
        },
        "createContainer" | "createTTL" => Op::Create {
            path: path(args)?,
            data: data(&args["data"])?,
            mode: match name {
                "createTTL" => mode_with_ttl(args)?,
                _ => CreateMode::Container,
            },
            with_stat: true,
            acl: acl(args)?,
        },
        "deleteContainer" => Op::DeleteContainer { path: path(args)? },
        "getACL" => Op::GetAcl { path: path(args)? },
        "setACL" => Op::SetAcl {
            path: path(args)?,
            acl: acl(args)?,
            version: version()?,
        },
        "auth" => Op::AddAuth {
            scheme: text(args, "scheme")?.into(),
            auth: text(args, "auth")?.into(),
        },
        "whoAmI" => Op::WhoAmI,
        "addWatch" => Op::AddWatch {
            // Even none at all is taken, and never heard of again.
            path: match &args["path"] {
                Value::Null => "".into(),
                _ => path(args)?,
            },
            mode: match args["mode"].as_str() {
                Some("persistent") => AddWatchMode::Persistent,
                Some("persistentRecursive") => AddWatchMode::PersistentRecursive,
                _ => return Err(format!("addWatch with mode {}", args["mode"])),
            },
        },
        "removeWatches" => Op::RemoveWatches {
            path: path(args)?,
            kind: watcher_type(&args["type"])?,
        },
        "checkWatches" => Op::CheckWatches {
            path: path(args)?,
            kind: watcher_type(&args["type"])?,
        },
        "getEphemerals" => Op::GetEphemerals {
            prefix: match &args["prefix"] {
                Value::Null => "".into(),
                prefix => prefix.as_str().unwrap_or_default().into(),
            },
        },
        "getAllChildrenNumber" => Op::GetAllChildrenNumber { path: path(args)? },
        "reconfig" => {
            let words = |key: &str| args[key].as_str().map(Arc::from);
            Op::Reconfig {
                joining: words("joining"),
                leaving: words("leaving"),
                new_members: words("newMembers"),
                from_config: args["configId"].as_i64().unwrap_or(-1),
            }
        }
        "delete" => Op::Delete {
            path: path(args)?,
            version: version()?,
        },
        "setData" => Op::SetData {
            path: path(args)?,
            data: data(&args["data"])?,
            version: version()?,
        },
        "check" => Op::Check {
            path: path(args)?,
            version: version()?,
        },
        "getData" => Op::GetData {
            path: path(args)?,
            watch,
        },
        "exists" => Op::Exists {
            path: path(args)?,
            watch,
        },
        "getChildren" | "getChildren2" => Op::GetChildren {
            path: path(args)?,
            watch,
            with_stat: name == "getChildren2",
        },
        "sync" => Op::Sync {
            path: path(args)?,
            mode: SyncMode::Leader,
        },
        "multi" | "multiRead" => {
            let ops = args["ops"]
                .as_array()
                .ok_or(format!("{name} without `ops`"))?;
            let parts = ops.iter().map(|args| {
                op(args["op"].as_str().unwrap_or(""), args).map_err(|e| format!("{name}: {e}"))
            });
            let ops = parts.collect::<Result<_, _>>()?;
            match name {
                "multi" => Op::Multi { ops },
                _ => Op::MultiRead { ops },
            }
        }
        "closeSession" => Op::CloseSession,
        other => return Err(format!("operation `{other}`")),
    })
}

fn path(args: &Value) -> Result<ZPath, String> {
    match &args["path"] {
        Value::String(path) => Ok(path.as_str().into()),
        Value::Object(spec) => {
            let part = |key: &str| spec.get(key).and_then(Value::as_str).unwrap_or("");
            let n = spec.get("n").and_then(Value::as_u64).unwrap_or(0) as usize;
            Ok(format!("{}{}", part("prefix"), part("repeat").repeat(n)).into())
        }
        other => Err(format!("path {other}")),
    }
}

fn mode(args: &Value) -> Result<CreateMode, String> {
    let invalid = |flags| CreateMode::Invalid {
        flags,
        ttl_ms: None,
    };
    match &args["mode"] {
        Value::Null => Ok(CreateMode::Persistent),
        Value::String(word) => match word.as_str() {
            "persistent" => Ok(CreateMode::Persistent),
            "ephemeral" => Ok(CreateMode::Ephemeral),
            "persistent_sequential" => Ok(CreateMode::PersistentSequential),
            "ephemeral_sequential" => Ok(CreateMode::EphemeralSequential),
            other => Err(format!("create mode `{other}`")),
        },
        Value::Number(flags) => Ok(match flags.as_i64() {
            // A container comes of `createContainer` alone: this flag makes a plain node.
            Some(0 | 4) => CreateMode::Persistent,
            Some(1) => CreateMode::Ephemeral,
            Some(2) => CreateMode::PersistentSequential,
            Some(3) => CreateMode::EphemeralSequential,
            Some(flags) => invalid(i32::try_from(flags).map_err(|e| e.to_string())?),
            None => return Err(format!("create mode {flags}")),
        }),
        other => Err(format!("create mode {other}")),
    }
}

fn mode_with_ttl(args: &Value) -> Result<CreateMode, String> {
    let ttl_ms = args["ttl"].as_i64().ok_or("createTTL without `ttl`")?;
    match &args["mode"] {
        Value::Null => Ok(CreateMode::PersistentWithTtl { ttl_ms }),
        mode => match mode.as_i64().and_then(|flags| i32::try_from(flags).ok()) {
            Some(5) => Ok(CreateMode::PersistentWithTtl { ttl_ms }),
            Some(6) => Ok(CreateMode::PersistentSequentialWithTtl { ttl_ms }),
            Some(flags) => Ok(CreateMode::Invalid {
                flags,
                ttl_ms: Some(ttl_ms),
            }),
            None => Err(format!("createTTL with mode {mode}")),
        },
    }
}

/// `[[31, "world", "anyone"], …]`; everything to everybody where it is not said.
fn acl(args: &Value) -> Result<Acl, String> {
    match args.get("acl") {
        None => Ok(Acl::OPEN),
        Some(list) => {
            Acl::deserialize(list).map_err(|e| format!("`acl` is no access control list: {e}"))
        }
    }
}

fn watcher_type(value: &Value) -> Result<WatcherType, String> {
    match value.as_i64() {
        Some(1) => Ok(WatcherType::Children),
        Some(2) => Ok(WatcherType::Data),
        Some(3) => Ok(WatcherType::Any),
        Some(4) => Ok(WatcherType::Persistent),
        Some(5) => Ok(WatcherType::PersistentRecursive),
        _ => WatcherType::deserialize(value).map_err(|e| format!("watcher type {value}: {e}")),
    }
}

/// The data that a request carries: text, bytes in hexadecimal, a repetition, or null.
fn data(value: &Value) -> Result<Data, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.as_bytes().into())),
        Value::Object(spec) => {
            if let Some(hex) = spec.get("hex").and_then(Value::as_str) {
                return Ok(Some(bytes_of_hex(hex)?.into()));
            }
            let repeat = spec.get("repeat").and_then(Value::as_str);
            let n = spec.get("n").and_then(Value::as_u64);
            match (repeat, n) {
                (Some(text), Some(n)) => Ok(Some(text.repeat(n as usize).into_bytes().into())),
                _ => Err(format!("data {value}")),
            }
        }
        other => Err(format!("data {other}")),
    }
}

pub(super) fn bytes_of_hex(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()),
        _ => Err(format!("`{hex}` is no hexadecimal string")),
    }
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .ok_or(format!("`{key}` must be a string"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::Perms;

    #[test]
    fn a_case_says_what_is_sent() {
        let line = r#"{"id":"x","title":"t","steps":[
            {"c":"A","op":"create","args":{"path":"/a","data":"x","mode":"ephemeral"},"reply":{"err":0}},
            {"c":"A","op":"setACL","args":{"path":"/a","acl":[[1,"world","anyone"]],"version":-1},"reply":{"err":0}}]}"#
            .replace('\n', " ");
        let cases = parse(&line).expect("a case");
        let sent: Vec<_> = cases[0].requests().collect();
        let Request::Op(Op::Create { mode, acl, .. }) = sent[0] else {
            panic!("{:?}", sent[0]);
        };
        assert_eq!((*mode, acl), (CreateMode::Ephemeral, &Acl::OPEN));
        let Request::Op(Op::SetAcl { acl, .. }) = sent[1] else {
            panic!("{:?}", sent[1]);
        };
        assert_eq!(*acl, Acl::one(Perms::READ, "world", "anyone"));
    }

    #[test]
    fn what_there_are_no_words_for_is_named() {
        let line = r#"{"id":"x","title":"t","steps":[{"op":"fly","args":{}}]}"#;
        let error = parse(line).expect_err("nobody flies");
        assert_eq!(error.what, "case x, step 1: operation `fly`");
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse("\n{\"id\": 3}\n").expect_err("no case");
        assert_eq!(
            error.to_string(),
            "line 2: this is no case: `id` must be a string"
        );
        assert_eq!(parse("{").expect_err("no JSON").line, 1);
        let error = parse(r#"{"id":"x","title":"t","steps":[{"op":"sleep","args":{}}]}"#);
        assert_eq!(
            error.expect_err("no ms").what,
            "case x, step 1: sleep: `ms` must be a number"
        );
    }
}
