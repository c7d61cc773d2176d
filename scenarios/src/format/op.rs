//! Explicit operations: `do = { create = "/a", data = "x", mode = "ephemeral" }`.

use super::quoted;
use super::reader::{FormatError, Table, Value};
use std::sync::Arc;
use zabsim_types::{Acl, CreateMode, Data, Op, SyncMode, ZPath};

/// The keys that name an operation.
pub const OPS: &[&str] = &[
    "create",
    "delete",
    "set",
    "get",
    "exists",
    "children",
    "sync",
    "check",
    "multi",
    "close_session",
];

const MODES: [(&str, CreateMode); 4] = [
    ("persistent", CreateMode::Persistent),
    ("ephemeral", CreateMode::Ephemeral),
    ("persistent_sequential", CreateMode::PersistentSequential),
    ("ephemeral_sequential", CreateMode::EphemeralSequential),
];
const SYNC_MODES: [(&str, SyncMode); 2] =
    [("leader", SyncMode::Leader), ("quorum", SyncMode::Quorum)];

pub(super) fn read(table: Table<'_>) -> Result<Op, FormatError> {
    let given: Vec<_> = OPS.iter().copied().filter(|name| table.has(name)).collect();
    let [name] = given[..] else {
        return Err(table.not_one(&given, "operation", OPS));
    };
    let value = table.need(name)?;
    let path = || -> Result<ZPath, FormatError> { value.str().map(Arc::from) };
    let version = || {
        table
            .get("version")
            .map_or(Ok(-1), |v| v.int(i64::from(i32::MIN), i64::from(i32::MAX)))
    };
    let watch = || table.get("watch").map_or(Ok(false), |v| v.bool());
    let op = match name {
        "create" => Op::Create {
            path: path()?,
            data: data(table.get("data"))?,
            mode: table
                .get("mode")
                .map_or(Ok(CreateMode::Persistent), |v| v.word(&MODES))?,
            with_stat: table.get("with_stat").map_or(Ok(false), |v| v.bool())?,
            acl: Acl::OPEN,
        },
        "delete" => Op::Delete {
            path: path()?,
            version: version()?,
        },
        "set" => Op::SetData {
            path: path()?,
            data: data(table.get("data"))?,
            version: version()?,
        },
        "get" => Op::GetData {
            path: path()?,
            watch: watch()?,
        },
        "exists" => Op::Exists {
            path: path()?,
            watch: watch()?,
        },
        "children" => Op::GetChildren {
            path: path()?,
            watch: watch()?,
            with_stat: table.get("with_stat").map_or(Ok(false), |v| v.bool())?,
        },
        "sync" => Op::Sync {
            path: path()?,
            mode: table
                .get("mode")
                .map_or(Ok(SyncMode::Leader), |v| v.word(&SYNC_MODES))?,
        },
        "check" => Op::Check {
            path: path()?,
            version: version()?,
        },
        "multi" => {
            let parts = value.list()?;
            Op::Multi {
                ops: parts
                    .iter()
                    .map(|part| read(part.table("a part of `multi`")?))
                    .collect::<Result<_, _>>()?,
            }
        }
        _ if value.bool()? => Op::CloseSession,
        _ => return Err(value.error("`close_session` takes only true")),
    };
    table.finish()?;
    Ok(op)
}

fn data(value: Option<Value<'_>>) -> Result<Data, FormatError> {
    value
        .map(|v| v.str().map(|text| Arc::from(text.as_bytes())))
        .transpose()
}

/// The table of an operation, as `read` takes it. Data that is not UTF-8 has no form in a scenario and is written lossily.
pub(super) fn write(op: &Op) -> String {
    let mut keys = Vec::new();
    let flag = |on: bool, key: &str| on.then(|| format!("{key} = true"));
    let data = |data: &Data| {
        data.as_ref()
            .map(|bytes| format!("data = {}", quoted(&String::from_utf8_lossy(bytes))))
    };
    let version = |version: i32| (version != -1).then(|| format!("version = {version}"));
    let word = |op: &str, path: &ZPath| Some(format!("{op} = {}", quoted(path)));
    keys.extend(match op {
        Op::Create {
            path,
            data: d,
            mode,
            with_stat,
            acl: _,
        } => {
            let mode = MODES
                .iter()
                .find(|(_, m)| m == mode)
                .filter(|(_, m)| *m != CreateMode::Persistent);
            vec![
                word("create", path),
                data(d),
                mode.map(|(word, _)| format!("mode = \"{word}\"")),
                flag(*with_stat, "with_stat"),
            ]
        }
        Op::Delete { path, version: v } => vec![word("delete", path), version(*v)],
        Op::SetData {
            path,
            data: d,
            version: v,
        } => vec![word("set", path), data(d), version(*v)],
        Op::GetData { path, watch } => vec![word("get", path), flag(*watch, "watch")],
        Op::Exists { path, watch } => vec![word("exists", path), flag(*watch, "watch")],
        Op::GetChildren {
            path,
            watch,
            with_stat,
        } => {
            vec![
                word("children", path),
                flag(*watch, "watch"),
                flag(*with_stat, "with_stat"),
            ]
        }
        Op::Sync { path, mode } => {
            vec![
                word("sync", path),
                (*mode == SyncMode::Quorum).then(|| "mode = \"quorum\"".into()),
            ]
        }
        Op::Check { path, version: v } => vec![word("check", path), version(*v)],
        Op::Multi { ops } => {
            vec![Some(format!(
                "multi = [{}]",
                ops.iter().map(write).collect::<Vec<_>>().join(", ")
            ))]
        }
        Op::CloseSession => vec![Some("close_session = true".into())],
        // No scenario says them: the format learns each together with the servers.
        _ => vec![],
    });
    format!(
        "{{ {} }}",
        keys.into_iter().flatten().collect::<Vec<_>>().join(", ")
    )
}
