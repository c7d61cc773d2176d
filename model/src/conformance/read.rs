//! Reading the cases: one JSON object a line.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use zabsim_types::{CreateMode, Data, Op, SyncMode, ZPath};

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
    /// Why the case cannot be played with the operations that there are, if it cannot.
    pub fn unsupported(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match &step.action {
            Action::Unsupported { reason } => Some(reason.as_str()),
            _ => None,
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

/// What a step does.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Opens the connection, with a new session or one taken up again.
    Connect {
        /// The timeout asked for.
        timeout_ms: Option<u32>,
        /// The session to take up: the name of the connection that had it.
        resume: Option<String>,
    },
    /// Cuts the connection without closing the session.
    Drop,
    /// Waits.
    Sleep {
        /// How long.
        ms: u64,
    },
    /// Sends a request and awaits its reply.
    Request(Op),
    /// Sends several requests before it reads a reply.
    Pipeline(Vec<Op>),
    /// A write that there are no words for (an empty ACL, an unknown mode), whose recorded answer is an error. Any write
    /// that fails does the same: it takes one zxid and changes nothing. So `op` stands in for it, and of the reply only the
    /// zxid counts.
    Failure {
        /// A write that always fails.
        op: Op,
        /// What it stands for.
        instead_of: String,
    },
    /// A read that there are no words for (`getACL`): it takes no zxid, so that the rest of the case stands without it.
    LeftOut {
        /// What.
        reason: String,
    },
    /// Something that there are no words for.
    Unsupported {
        /// What.
        reason: String,
    },
}

/// A line that is no case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for CaseError {}

/// Reads cases, one a line; empty lines are skipped.
pub fn parse(text: &str) -> Result<Vec<Case>, CaseError> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            let fail = |what: String| CaseError { line: at + 1, what };
            let value = serde_json::from_str(line).map_err(|e| fail(e.to_string()))?;
            case(&value).map_err(fail)
        })
        .collect()
}

fn case(value: &Value) -> Result<Case, String> {
    let flag = |key: &str| value[key].as_bool().unwrap_or(false);
    let id = text(value, "id")?;
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
        action: action(&text(value, "op")?, &value["args"], &value["reply"])?,
        reply: value["reply"].clone(),
        events_before_reply: list(&value["events_before_reply"]),
        events: by_conn
            .into_iter()
            .flatten()
            .map(|(conn, events)| (conn.clone(), list(events)))
            .collect(),
    })
}

fn action(name: &str, args: &Value, reply: &Value) -> Result<Action, String> {
    Ok(match name {
        "connect" => connect(args),
        "drop" => Action::Drop,
        "sleep" => Action::Sleep {
            ms: args["ms"].as_u64().ok_or("sleep: `ms` must be a number")?,
        },
        "pipeline" => {
            let ops = args["ops"]
                .as_array()
                .ok_or("pipeline: `ops` must be a list")?;
            let said = ops
                .iter()
                .map(|args| op(args["op"].as_str().unwrap_or(""), args));
            match said.collect::<Result<_, _>>() {
                Ok(ops) => Action::Pipeline(ops),
                Err(reason) => Action::Unsupported { reason },
            }
        }
        _ => match op(name, args) {
            Ok(op) => Action::Request(op),
            Err(reason) if fails_as_a_write(name, reply) => Action::Failure {
                op: Op::Delete {
                    path: "/zookeeper".into(),
                    version: -1,
                },
                instead_of: reason,
            },
            Err(reason) if name == "getACL" => Action::LeftOut { reason },
            Err(reason) => Action::Unsupported { reason },
        },
    })
}

/// Whether the recorded answer is that of a create or multi that failed in the leader's pipeline.
fn fails_as_a_write(name: &str, reply: &Value) -> bool {
    let write = ["create", "create2", "multi"].contains(&name);
    let failed = |reply: &Value| reply["err"].as_i64().is_some_and(|err| err < 0);
    let vector = reply["results"].as_array();
    write && (failed(reply) || vector.is_some_and(|results| results.iter().any(failed)))
}

fn connect(args: &Value) -> Action {
    let known = ["timeout", "resume"];
    let unknown = args
        .as_object()
        .and_then(|args| args.keys().find(|key| !known.contains(&key.as_str())));
    match unknown {
        Some(key) => Action::Unsupported {
            reason: format!("connect with `{key}`"),
        },
        None => Action::Connect {
            timeout_ms: args["timeout"].as_u64().map(|ms| ms as u32),
            resume: args["resume"]
                .as_str()
                .map(|name| name.trim_start_matches("S:").to_owned()),
        },
    }
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
        },
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
        "multi" => {
            let ops = args["ops"].as_array().ok_or("multi without `ops`")?;
            let parts = ops.iter().map(|args| {
                op(args["op"].as_str().unwrap_or(""), args).map_err(|e| format!("multi: {e}"))
            });
            Op::Multi {
                ops: parts.collect::<Result<_, _>>()?,
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
    if let Some(acl) = args.get("acl") {
        return Err(format!("create with an ACL: {acl}"));
    }
    match &args["mode"] {
        Value::Null => Ok(CreateMode::Persistent),
        Value::String(word) => match word.as_str() {
            "persistent" => Ok(CreateMode::Persistent),
            "ephemeral" => Ok(CreateMode::Ephemeral),
            "persistent_sequential" => Ok(CreateMode::PersistentSequential),
            "ephemeral_sequential" => Ok(CreateMode::EphemeralSequential),
            other => Err(format!("create mode `{other}`")),
        },
        other => Err(format!("create mode {other}")),
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

    #[test]
    fn a_case_says_what_it_needs() {
        let line = r#"{"id":"x","title":"t","steps":[
            {"c":"A","op":"create","args":{"path":"/a","data":"x","mode":"ephemeral"},"reply":{"err":0}},
            {"c":"A","op":"setACL","args":{"path":"/a"},"reply":{"err":0}}]}"#
            .replace('\n', " ");
        let cases = parse(&line).expect("a case");
        assert_eq!(cases[0].unsupported(), Some("operation `setACL`"));
        let Action::Request(Op::Create { mode, .. }) = &cases[0].steps[0].action else {
            panic!("{:?}", cases[0].steps[0]);
        };
        assert_eq!(*mode, CreateMode::Ephemeral);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse("\n{\"id\": 3}\n").expect_err("no case");
        assert_eq!(error.to_string(), "line 2: `id` must be a string");
        assert_eq!(parse("{").expect_err("no JSON").line, 1);
        let error = parse(r#"{"id":"x","title":"t","steps":[{"op":"sleep","args":{}}]}"#);
        assert_eq!(
            error.expect_err("no ms").what,
            "case x, step 1: sleep: `ms` must be a number"
        );
    }
}
