//! The words of a recorded history: operations and their results.

use super::fields::{Fields, brief};
use crate::intake::Fault;
use serde_json::Value;
use std::sync::Arc;
use zabsim_types::{
    Acl, AclEntry, AddWatchMode, CreateMode, Data, ErrorCode, Id, Op, OpResult, Perms, Reply,
    SessionId, Stat, SyncMode, WatchKind, WatcherType, ZPath,
};

/// The operations that the format has words for.
const OPERATIONS: &str = "create, create2, createContainer, createTTL, delete, deleteContainer, setData, getData, exists, \
     getChildren, getChildren2, getAllChildrenNumber, getEphemerals, sync, check, multi, multiRead, closeSession, getACL, \
     setACL, addWatch, removeWatches, checkWatches, auth, whoAmI, reconfig";

/// The operation of an invocation, or a part of a multi.
pub(super) fn op(fields: &Fields<'_>) -> Result<Op, Fault> {
    let name = fields.text("op")?;
    let watch = || fields.flag("watch");
    Ok(match name {
        "create" | "create2" | "createContainer" | "createTTL" => Op::Create {
            path: fields.path("path")?,
            data: data(fields)?,
            mode: mode(fields, name)?,
            with_stat: name != "create",
            acl: acl(fields)?.unwrap_or(Acl::OPEN),
        },
        "delete" => Op::Delete {
            path: fields.path("path")?,
            version: fields.i32("version")?,
        },
        "deleteContainer" => Op::DeleteContainer {
            path: fields.path("path")?,
        },
        "setData" => Op::SetData {
            path: fields.path("path")?,
            data: data(fields)?,
            version: fields.i32("version")?,
        },
        "getData" => Op::GetData {
            path: fields.path("path")?,
            watch: watch()?,
        },
        "exists" => Op::Exists {
            path: fields.path("path")?,
            watch: watch()?,
        },
        "getChildren" | "getChildren2" => Op::GetChildren {
            path: fields.path("path")?,
            watch: watch()?,
            with_stat: name == "getChildren2",
        },
        "getAllChildrenNumber" => Op::GetAllChildrenNumber {
            path: fields.path("path")?,
        },
        "getEphemerals" => Op::GetEphemerals {
            prefix: fields.path("path")?,
        },
        "sync" => Op::Sync {
            path: fields.path("path")?,
            mode: SyncMode::Leader,
        },
        "check" => Op::Check {
            path: fields.path("path")?,
            version: fields.i32("version")?,
        },
        "multi" => Op::Multi { ops: ops(fields)? },
        "multiRead" => Op::MultiRead { ops: ops(fields)? },
        "closeSession" => Op::CloseSession,
        "getACL" => Op::GetAcl {
            path: fields.path("path")?,
        },
        "setACL" => Op::SetAcl {
            path: fields.path("path")?,
            acl: match acl(fields)? {
                Some(acl) => acl,
                None => return fields.fault("a setACL without its `acl`"),
            },
            version: fields.i32("version")?,
        },
        "addWatch" => Op::AddWatch {
            path: fields.path("path")?,
            mode: match fields.text("mode")? {
                "persistent" => AddWatchMode::Persistent,
                "persistentRecursive" => AddWatchMode::PersistentRecursive,
                other => {
                    return fields.fault(format!(
                        "`{other}` is no mode of addWatch; it knows persistent, persistentRecursive"
                    ));
                }
            },
        },
        "removeWatches" | "checkWatches" => {
            let kind = match fields.text("kind")? {
                "children" => WatcherType::Children,
                "data" => WatcherType::Data,
                "any" => WatcherType::Any,
                "persistent" => WatcherType::Persistent,
                "persistentRecursive" => WatcherType::PersistentRecursive,
                other => {
                    return fields.fault(format!(
                        "`{other}` is no kind of watch; {name} knows children, data, any, persistent, persistentRecursive"
                    ));
                }
            };
            let path = fields.path("path")?;
            if name == "removeWatches" {
                Op::RemoveWatches { path, kind }
            } else {
                Op::CheckWatches { path, kind }
            }
        }
        "auth" => Op::AddAuth {
            scheme: fields.text("scheme")?.into(),
            auth: fields.text("auth")?.into(),
        },
        "whoAmI" => Op::WhoAmI,
        "reconfig" => {
            let words = |name: &str| match fields.get(name) {
                None => Ok(None),
                Some(_) => fields.text(name).map(|text| Some(Arc::from(text))),
            };
            Op::Reconfig {
                joining: words("joining")?,
                leaving: words("leaving")?,
                new_members: words("newMembers")?,
                from_config: match fields.get("configId") {
                    None => -1,
                    Some(_) => fields.i64("configId")?,
                },
            }
        }
        other => {
            return fields.fault(format!(
                "there is no operation `{other}`; known are {OPERATIONS}"
            ));
        }
    })
}

fn ops(fields: &Fields<'_>) -> Result<Vec<Op>, Fault> {
    let parts = fields.list("ops")?.iter();
    parts.map(|part| op(&fields.element(part)?)).collect()
}

/// Text, or bytes in hexadecimal, or null.
fn data(fields: &Fields<'_>) -> Result<Data, Fault> {
    match fields.get("data") {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_bytes().into())),
        Some(value) => match value["hex"].as_str().and_then(bytes_of_hex) {
            Some(bytes) => Ok(Some(bytes.into())),
            None => fields.fault(format!(
                "`data` is {}; a string, {{\"hex\": …}} or null was expected",
                brief(value)
            )),
        },
    }
}

fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    digits
        .len()
        .is_multiple_of(2)
        .then(|| pairs.map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

fn mode(fields: &Fields<'_>, name: &str) -> Result<CreateMode, Fault> {
    if name == "createContainer" {
        return Ok(CreateMode::Container);
    }
    let word = match fields.get("mode") {
        None => "persistent",
        Some(_) => fields.text("mode")?,
    };
    let ttl = name == "createTTL";
    Ok(match word {
        "persistent" | "persistent_with_ttl" if ttl => CreateMode::PersistentWithTtl {
            ttl_ms: fields.i64("ttl")?,
        },
        "persistent_sequential" | "persistent_sequential_with_ttl" if ttl => {
            CreateMode::PersistentSequentialWithTtl {
                ttl_ms: fields.i64("ttl")?,
            }
        }
        "persistent" => CreateMode::Persistent,
        "ephemeral" => CreateMode::Ephemeral,
        "persistent_sequential" => CreateMode::PersistentSequential,
        "ephemeral_sequential" => CreateMode::EphemeralSequential,
        other => {
            return fields.fault(format!(
                "`{other}` is no mode of {name}; known are persistent, ephemeral, persistent_sequential, ephemeral_sequential"
            ));
        }
    })
}

fn acl(fields: &Fields<'_>) -> Result<Option<Acl>, Fault> {
    if fields.get("acl").is_none() {
        return Ok(None);
    }
    let entry = |value: &Value| {
        let perms = i32::try_from(value[0].as_i64()?).ok()?;
        let id = Id::new(value[1].as_str()?, value[2].as_str()?);
        Some(AclEntry {
            perms: Perms(perms),
            id,
        })
    };
    let entries = fields.list("acl")?.iter().map(|value| match entry(value) {
        Some(entry) => Ok(entry),
        None => fields.fault(format!(
            "`acl` has the entry {}; [permissions, \"scheme\", \"id\"] was expected",
            brief(value)
        )),
    });
    Ok(Some(Acl::new(entries.collect::<Result<_, _>>()?)))
}

/// What a request came to: the reply, as success or as the vector of a multi that failed.
pub(super) fn reply(op: &Op, result: &Fields<'_>) -> Result<Reply, Fault> {
    Ok(match op {
        Op::Create {
            with_stat, path, ..
        } => Reply::Created {
            // A real server's reply to createTTL or createContainer has it too.
            path: match result.get("path") {
                Some(_) => result.path("path")?,
                None => path.clone(),
            },
            stat: with_stat.then(|| stat(result)).transpose()?,
        },
        Op::Delete { .. } | Op::DeleteContainer { .. } => Reply::Deleted,
        Op::SetData { .. } => Reply::Set {
            stat: stat(result)?,
        },
        Op::GetData { .. } => Reply::Data {
            data: data(result)?,
            stat: stat(result)?,
        },
        Op::Exists { .. } => Reply::Exists {
            stat: stat(result)?,
        },
        Op::GetChildren { with_stat, .. } => Reply::Children {
            names: sorted(result, "children")?,
            stat: with_stat.then(|| stat(result)).transpose()?,
        },
        Op::GetEphemerals { .. } => Reply::Ephemerals {
            paths: sorted(result, "ephemerals")?,
        },
        Op::GetAllChildrenNumber { .. } => Reply::ChildrenNumber {
            number: result.i32("totalNumber")?,
        },
        Op::Sync { path, .. } => {
            let synced = result.path("path")?;
            if synced != *path {
                return result.fault(format!(
                    "a sync of {path} is answered with the `path` {synced}; a server gives back the path that it was asked for"
                ));
            }
            Reply::Synced { path: synced }
        }
        Op::GetAcl { .. } => Reply::Acl {
            acl: match acl(result)? {
                Some(acl) => acl,
                None => return result.fault("the reply to getACL has no `acl`"),
            },
            stat: stat(result)?,
        },
        Op::SetAcl { .. } => Reply::AclSet {
            stat: stat(result)?,
        },
        Op::AddWatch { .. } => Reply::WatchAdded,
        Op::RemoveWatches { .. } => Reply::WatchesRemoved,
        Op::CheckWatches { .. } => Reply::WatchesChecked,
        Op::Check { .. } => Reply::Checked,
        Op::CloseSession => Reply::Closed,
        Op::Multi { ops } => multi(ops, result)?,
        Op::AddAuth { .. } => Reply::AuthAdded,
        Op::WhoAmI => Reply::Identities {
            ids: identities(result)?,
        },
        Op::MultiRead { ops } => Reply::MultiRead {
            results: multi_read(ops, result)?,
        },
        Op::Reconfig { .. } => Reply::Reconfigured {
            data: data(result)?,
            stat: stat(result)?,
        },
    })
}

fn identities(result: &Fields<'_>) -> Result<Vec<Id>, Fault> {
    let one = |value: &Value| match (value[0].as_str(), value[1].as_str()) {
        (Some(scheme), Some(id)) => Ok(Id::new(scheme, id)),
        _ => result.fault(format!(
            "`clientInfo` has {}; [\"scheme\", \"id\"] was expected",
            brief(value)
        )),
    };
    result.list("clientInfo")?.iter().map(one).collect()
}

/// Each part of a multiRead has a result of its own, or an error of its own. Whether there is one for each is for the judge to
/// say: too few or too many are an answer that no server gives, not a line that cannot be read.
fn multi_read(ops: &[Op], result: &Fields<'_>) -> Result<Vec<OpResult>, Fault> {
    let results = result.list("results")?;
    let part = |(at, part): (usize, &Value)| {
        let part = result.element(part)?;
        agrees(ops.get(at), &part)?;
        Ok(match part.get("err").and_then(Value::as_i64) {
            None | Some(0) => Ok(part_reply(ops.get(at), &part)?),
            Some(_) => Err(error_of(&part)?),
        })
    };
    results.iter().enumerate().map(part).collect()
}

/// The result of a part of a multi or multiRead; of one that was never asked for, what it looks like.
fn part_reply(op: Option<&Op>, part: &Fields<'_>) -> Result<Reply, Fault> {
    match op {
        Some(op) => reply(op, part),
        None if part.get("path").is_some() => Ok(Reply::Created {
            path: part.path("path")?,
            stat: None,
        }),
        None => Ok(Reply::Checked),
    }
}

fn error_of(part: &Fields<'_>) -> Result<ErrorCode, Fault> {
    let number = part.i32("err")?;
    match ErrorCode::from_code(number) {
        Some(code) => Ok(code),
        None => part.fault(format!("{number} is no error of ZooKeeper's")),
    }
}

/// A part's result says several times what became of it: by the error in it (`err`), the one in its header (`hdr_err`), the error's `name`,
/// and the `type` of result, which is that of its operation or `error`. Those that it has must say the same.
fn agrees(op: Option<&Op>, part: &Fields<'_>) -> Result<(), Fault> {
    let has_error = part.get("err").is_some();
    let error = match has_error {
        true => error_of(part)?,
        false => ErrorCode::Ok,
    };
    if part.get("hdr_err").is_some() && part.i32("hdr_err")? != error.code() {
        let [header, number] = [part.i32("hdr_err")?, error.code()];
        let what = match has_error {
            true => format!("its `err` is {number}"),
            false => "it has no `err`, and so is none".to_owned(),
        };
        return part.fault(format!(
            "a part of a multi has the error {header} in its header (`hdr_err`), and {what}"
        ));
    }
    let name = match error {
        ErrorCode::Ok => "OK",
        error => error.name(),
    };
    if part.get("name").is_some() && part.text("name")? != name {
        return part.fault(format!(
            "a part of a multi names its error {}; {} is {name}",
            part.text("name")?,
            error.code(),
        ));
    }
    if part.get("type").is_none() {
        return Ok(());
    }
    let found = part.text("type")?;
    let own: &[&str] = match op {
        // Of the kinds of create, a server answers all that want a stat alike.
        Some(Op::Create { with_stat, .. }) if *with_stat => {
            &["create2", "createContainer", "createTTL"]
        }
        Some(Op::Create { .. }) => &["create"],
        Some(Op::Delete { .. }) => &["delete"],
        Some(Op::SetData { .. }) => &["setData"],
        Some(Op::Check { .. }) => &["check"],
        Some(Op::GetData { .. }) => &["getData"],
        Some(Op::GetChildren { .. }) => &["getChildren", "getChildren2"],
        // No multi may hold it, or nobody asked for it: that is for the judge.
        _ => return Ok(()),
    };
    let is_own = own.contains(&found) && error == ErrorCode::Ok;
    match is_own || (has_error && found == "error") {
        true => Ok(()),
        false => part.fault(format!(
            "a part of a multi has a result of `type` {found}; {}",
            match error {
                ErrorCode::Ok => format!("it was asked for as {} and has no error", own[0]),
                _ => format!("with its error {name}, error was expected"),
            }
        )),
    }
}

/// What a multi came to. A vector that is no answer to such a multi (a part without a result, one too many, successes beside an
/// error) is read as what it shows to have happened: half of it, which the judge knows to be none.
fn multi(ops: &[Op], result: &Fields<'_>) -> Result<Reply, Fault> {
    let results = result.list("results")?.iter().enumerate();
    let shown = results.filter(|(_, part)| !part.is_null());
    let parts = shown.map(|(at, part)| {
        let part = result.element(part)?;
        agrees(ops.get(at), &part)?;
        Ok((at, part))
    });
    let parts: Vec<(usize, Fields<'_>)> = parts.collect::<Result<_, _>>()?;
    let (told, done): (Vec<_>, Vec<_>) = (parts.into_iter())
        .filter(|(at, part)| !is_bare(ops.get(*at), part))
        .partition(|(_, part)| part.get("err").is_some());
    let errors = told.iter().map(|(_, part)| error_of(part));
    let errors: Vec<ErrorCode> = errors.collect::<Result<_, _>>()?;
    if done.is_empty() && !errors.is_empty() {
        return Ok(Reply::MultiFailed { errors });
    }
    let done = done.iter().map(|(at, part)| part_reply(ops.get(*at), part));
    Ok(Reply::Multi {
        results: done.collect::<Result<_, _>>()?,
    })
}

/// Whether a part says nothing where its operation has something to say.
fn is_bare(op: Option<&Op>, part: &Fields<'_>) -> bool {
    let says_nothing = part.get("err").is_none() && part.get("stat").is_none();
    match op {
        Some(Op::SetData { .. }) => says_nothing,
        Some(Op::Create { .. }) => says_nothing && part.get("path").is_none(),
        _ => false,
    }
}

fn sorted<T: From<ZPath> + Ord>(result: &Fields<'_>, name: &str) -> Result<Vec<T>, Fault> {
    let texts = result.list(name)?.iter().map(|value| match value {
        Value::String(text) => Ok(T::from(Arc::from(text.as_str()))),
        other => result.fault(format!(
            "`{name}` has {}; a string was expected",
            brief(other)
        )),
    });
    let mut all: Vec<T> = texts.collect::<Result<_, _>>()?;
    all.sort_unstable();
    Ok(all)
}

fn stat(result: &Fields<'_>) -> Result<Stat, Fault> {
    let stat = result.object("stat")?;
    Ok(Stat {
        czxid: stat.zxid("czxid")?,
        mzxid: stat.zxid("mzxid")?,
        ctime: stat.i64("ctime")?,
        mtime: stat.i64("mtime")?,
        version: stat.i32("version")?,
        cversion: stat.i32("cversion")?,
        aversion: stat.i32("aversion")?,
        ephemeral_owner: SessionId(stat.i64("ephemeralOwner")?),
        data_length: stat.i32("dataLength")?,
        num_children: stat.i32("numChildren")?,
        pzxid: stat.zxid("pzxid")?,
    })
}

/// The state that a server writes into every notification; others a client library makes up when it loses its connection.
pub(super) const WATCH_STATE: &str = "SyncConnected";

/// What a notification says.
pub(super) fn watch_kind(fields: &Fields<'_>) -> Result<WatchKind, Fault> {
    Ok(match fields.text("event")? {
        "NodeCreated" => WatchKind::NodeCreated,
        "NodeDeleted" => WatchKind::NodeDeleted,
        "NodeDataChanged" => WatchKind::NodeDataChanged,
        "NodeChildrenChanged" => WatchKind::NodeChildrenChanged,
        other => {
            return fields.fault(format!(
                "`{}` is no event of a watch; known are NodeCreated, NodeDeleted, NodeDataChanged, NodeChildrenChanged",
                brief(&Value::from(other))
            ));
        }
    })
}
