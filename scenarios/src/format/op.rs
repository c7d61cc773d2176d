//! Explicit operations: `do = { create = "/a", data = "x", mode = "ephemeral" }`.

use super::acl;
use super::reader::{FormatError, Table, Value};
use std::sync::Arc;
use zabsim_types::spell::{self, MODES, SYNC_MODES, WATCH_MODES, WATCHES};
use zabsim_types::{AddWatchMode, CreateMode, Data, Op, SyncMode, WatcherType, ZPath};

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
    "get_acl",
    "set_acl",
    "add_auth",
    "who_am_i",
    "add_watch",
    "remove_watches",
    "check_watches",
    "multi_read",
    "ephemerals",
    "all_children_number",
    "reconfig",
];

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
            mode: create_mode(&table)?,
            with_stat: table.get("with_stat").map_or(Ok(false), |v| v.bool())?,
            acl: acl::read(table.get("acl"))?,
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
        "multi" => Op::Multi {
            ops: parts(&value, "a part of `multi`")?,
        },
        "multi_read" => Op::MultiRead {
            ops: parts(&value, "a part of `multi_read`")?,
        },
        "get_acl" => Op::GetAcl { path: path()? },
        "set_acl" => Op::SetAcl {
            path: path()?,
            acl: acl::read(Some(table.need("acl")?))?,
            version: version()?,
        },
        "add_auth" => Op::AddAuth {
            scheme: path()?,
            auth: table.need("auth")?.str()?.into(),
        },
        "add_watch" => Op::AddWatch {
            path: path()?,
            mode: table
                .get("mode")
                .map_or(Ok(AddWatchMode::Persistent), |v| v.word(&WATCH_MODES))?,
        },
        "remove_watches" => Op::RemoveWatches {
            path: path()?,
            kind: watcher_type(&table)?,
        },
        "check_watches" => Op::CheckWatches {
            path: path()?,
            kind: watcher_type(&table)?,
        },
        "ephemerals" => Op::GetEphemerals { prefix: path()? },
        "all_children_number" => Op::GetAllChildrenNumber { path: path()? },
        "reconfig" => reconfig(value.table("`reconfig`")?)?,
        "who_am_i" if value.bool()? => Op::WhoAmI,
        "close_session" if value.bool()? => Op::CloseSession,
        _ => return Err(value.error(format!("`{name}` takes only true"))),
    };
    table.finish()?;
    Ok(op)
}

fn parts(value: &Value<'_>, what: &'static str) -> Result<Vec<Op>, FormatError> {
    let parts = value.list()?;
    parts.iter().map(|part| read(part.table(what)?)).collect()
}

fn create_mode(table: &Table<'_>) -> Result<CreateMode, FormatError> {
    let value = table.get("mode");
    let mode = value
        .as_ref()
        .map_or(Ok(CreateMode::Persistent), |v| v.word(&MODES))?;
    let ttl = table.get("ttl");
    let ttl_ms = || -> Result<i64, FormatError> {
        let us = table.need("ttl")?.duration_us()?;
        if us % 1_000 > 0 {
            return Err(table.need("ttl")?.error("`ttl` must be whole milliseconds"));
        }
        Ok((us / 1_000) as i64)
    };
    match (mode, ttl) {
        (CreateMode::PersistentWithTtl { .. }, _) => {
            Ok(CreateMode::PersistentWithTtl { ttl_ms: ttl_ms()? })
        }
        (CreateMode::PersistentSequentialWithTtl { .. }, _) => {
            Ok(CreateMode::PersistentSequentialWithTtl { ttl_ms: ttl_ms()? })
        }
        (mode, None) => Ok(mode),
        (_, Some(ttl)) => Err(ttl.error(
            "`ttl` goes with the modes persistent_with_ttl and persistent_sequential_with_ttl only",
        )),
    }
}

fn watcher_type(table: &Table<'_>) -> Result<WatcherType, FormatError> {
    let kind = table.get("kind");
    kind.map_or(Ok(WatcherType::Any), |v| v.word(&WATCHES))
}

fn reconfig(table: Table<'_>) -> Result<Op, FormatError> {
    let text = |key| -> Result<Option<Arc<str>>, FormatError> {
        let value = table.get(key);
        value.map(|v| v.str().map(Arc::from)).transpose()
    };
    let op = Op::Reconfig {
        joining: text("joining")?,
        leaving: text("leaving")?,
        new_members: text("new_members")?,
        from_config: table
            .get("from_config")
            .map_or(Ok(-1), |v| v.int(-1, i64::MAX))?,
    };
    table.finish()?;
    Ok(op)
}

fn data(value: Option<Value<'_>>) -> Result<Data, FormatError> {
    value
        .map(|v| v.str().map(|text| Arc::from(text.as_bytes())))
        .transpose()
}

/// Whether an operation can be said in a scenario, all of it.
pub(crate) fn is_sayable(op: &Op) -> bool {
    let text = format!(
        "name = \"x\"\n[[op]]\nclient = 1\nat = \"0s\"\ndo = {}\n",
        spell::op(op)
    );
    let read = super::Scenario::parse("an operation", &text);
    read.is_ok_and(|scenario| scenario.plan.ops.iter().all(|scripted| scripted.op == *op))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Scenario;
    use zabsim_types::{Acl, Perms};

    fn parse(what: &str) -> Result<Op, FormatError> {
        let text =
            format!("name = \"x\"\nclients = 1\n[[op]]\nclient = 1\nat = \"1s\"\ndo = {what}\n");
        Scenario::parse("x.toml", &text).map(|scenario| scenario.plan.ops[0].op.clone())
    }

    #[test]
    fn every_operation_is_written_as_it_is_read() {
        let path = || ZPath::from("/a");
        let create = |mode, acl| Op::Create {
            path: path(),
            data: Some(Arc::from(&b"x\"y"[..])),
            mode,
            with_stat: true,
            acl,
        };
        let acl = || Acl::one(Perms::READ.and(Perms::ADMIN), "digest", "me:a+b/c=");
        let nobody = Acl::new(vec![]);
        let mut ops = vec![
            create(CreateMode::Container, Acl::OPEN),
            create(CreateMode::PersistentWithTtl { ttl_ms: 90_000 }, acl()),
            create(
                CreateMode::PersistentSequentialWithTtl { ttl_ms: 0 },
                nobody.clone(),
            ),
            Op::GetAcl { path: path() },
            Op::SetAcl {
                path: path(),
                acl: Acl::OPEN,
                version: 3,
            },
            Op::AddAuth {
                scheme: "digest".into(),
                auth: "me:secret".into(),
            },
            Op::WhoAmI,
            Op::GetEphemerals { prefix: path() },
            Op::GetAllChildrenNumber { path: path() },
            Op::Reconfig {
                joining: Some("server.4=s4:2888:3888;2181".into()),
                leaving: Some("2".into()),
                new_members: None,
                from_config: 0x1_0000_0003,
            },
            Op::MultiRead {
                ops: vec![Op::GetData {
                    path: path(),
                    watch: true,
                }],
            },
        ];
        ops.extend(WATCH_MODES.map(|(_, mode)| Op::AddWatch { path: path(), mode }));
        for (_, kind) in WATCHES {
            ops.push(Op::RemoveWatches { path: path(), kind });
            ops.push(Op::CheckWatches { path: path(), kind });
        }
        for op in ops {
            let text = spell::op(&op);
            let read = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read, op, "{text}");
        }
    }

    #[test]
    fn a_mistake_in_an_operation_names_what_was_allowed() {
        for (what, said) in [
            (
                "{ create = \"/a\", ttl = \"1s\" }",
                "goes with the modes persistent_with_ttl",
            ),
            (
                "{ create = \"/a\", mode = \"persistent_with_ttl\" }",
                "lacks the key `ttl`",
            ),
            (
                "{ create = \"/a\", mode = \"persistent_with_ttl\", ttl = \"5us\" }",
                "whole milliseconds",
            ),
            ("{ create = \"/a\", mode = \"contained\" }", "container"),
            ("{ set_acl = \"/a\" }", "lacks the key `acl`"),
            (
                "{ set_acl = \"/a\", acl = [\"world:anyone\"] }",
                "scheme:id:permissions",
            ),
            (
                "{ set_acl = \"/a\", acl = [\"world:anyone:rx\"] }",
                "c, d, r, w, a",
            ),
            ("{ add_auth = \"digest\" }", "lacks the key `auth`"),
            ("{ who_am_i = false }", "`who_am_i` takes only true"),
            (
                "{ add_watch = \"/a\", mode = \"recursive\" }",
                "persistent, persistent_recursive",
            ),
            (
                "{ remove_watches = \"/a\", kind = \"child\" }",
                "any, data, children",
            ),
            (
                "{ reconfig = { join = \"x\" } }",
                "unknown key `join` in `reconfig`",
            ),
            ("{ multi_read = [{ fetch = \"/\" }] }", "multi_read"),
            ("{ whoami = true }", "who_am_i"),
        ] {
            let error = parse(what).expect_err(what);
            assert!(error.message.contains(said), "{what}: {error}");
        }
    }
}
