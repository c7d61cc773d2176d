//! How operations and answers are written down for people: operations as scenario files say them, so that one that a message
//! names can be put into a scenario.

use crate::{
    Acl, AddWatchMode, CreateMode, Data, ErrorCode, Op, OpResult, Perms, RecipeStep, Reply, Stat,
    SyncMode, WatcherType, ZPath,
};
use std::sync::Arc;

/// The kinds of nodes. Those with a TTL have none here: it is a key of its own.
pub const MODES: [(&str, CreateMode); 7] = [
    ("persistent", CreateMode::Persistent),
    ("ephemeral", CreateMode::Ephemeral),
    ("persistent_sequential", CreateMode::PersistentSequential),
    ("ephemeral_sequential", CreateMode::EphemeralSequential),
    ("container", CreateMode::Container),
    (
        "persistent_with_ttl",
        CreateMode::PersistentWithTtl { ttl_ms: 0 },
    ),
    (
        "persistent_sequential_with_ttl",
        CreateMode::PersistentSequentialWithTtl { ttl_ms: 0 },
    ),
];
/// The kinds of watches that stay.
pub const WATCH_MODES: [(&str, AddWatchMode); 2] = [
    ("persistent", AddWatchMode::Persistent),
    ("persistent_recursive", AddWatchMode::PersistentRecursive),
];
/// Which watches are removed or asked for.
pub const WATCHES: [(&str, WatcherType); 5] = [
    ("any", WatcherType::Any),
    ("data", WatcherType::Data),
    ("children", WatcherType::Children),
    ("persistent", WatcherType::Persistent),
    ("persistent_recursive", WatcherType::PersistentRecursive),
];
/// What a sync promises.
pub const SYNC_MODES: [(&str, SyncMode); 2] =
    [("leader", SyncMode::Leader), ("quorum", SyncMode::Quorum)];
/// The permissions of an access control list, in the order in which they are written.
pub const PERMISSIONS: [(char, Perms); 5] = [
    ('c', Perms::CREATE),
    ('d', Perms::DELETE),
    ('r', Perms::READ),
    ('w', Perms::WRITE),
    ('a', Perms::ADMIN),
];
/// The units of times, in microseconds.
pub const UNITS: [(&str, u64); 5] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
];

/// An operation as scenarios say it: `{ set = "/a", data = "x" }`. What has no form there has one here all the same: data that is no
/// text (`data_hex`), and a container's removal, which is the servers' own.
pub fn op(op: &Op) -> String {
    let flag = |on: bool, key: &str| on.then(|| format!("{key} = true"));
    let data = |data: &Data| {
        data.as_ref().map(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) => format!("data = {}", quoted(text)),
            Err(_) => format!("data_hex = \"{}\"", hex(bytes)),
        })
    };
    let version = |version: i32| (version != -1).then(|| format!("version = {version}"));
    let word = |op: &str, path: &ZPath| Some(format!("{op} = {}", quoted(path)));
    let keys = match op {
        Op::Create {
            path,
            data: d,
            mode,
            with_stat,
            acl,
        } => {
            let ttl = mode
                .ttl_ms()
                .map(|ms| format!("ttl = \"{}\"", duration(ms.max(0) as u64 * 1_000)));
            vec![
                word("create", path),
                data(d),
                mode_word(*mode).map(|word| format!("mode = \"{word}\"")),
                ttl,
                flag(*with_stat, "with_stat"),
                (!acl.is_open()).then(|| self::acl(acl)),
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
        Op::Multi { ops } => vec![list("multi", ops)],
        Op::MultiRead { ops } => vec![list("multi_read", ops)],
        Op::CloseSession => vec![flag(true, "close_session")],
        Op::GetAcl { path } => vec![word("get_acl", path)],
        Op::SetAcl {
            path,
            acl,
            version: v,
        } => vec![word("set_acl", path), Some(self::acl(acl)), version(*v)],
        Op::AddAuth { scheme, auth } => vec![word("add_auth", scheme), word("auth", auth)],
        Op::WhoAmI => vec![flag(true, "who_am_i")],
        Op::AddWatch { path, mode } => vec![
            word("add_watch", path),
            (*mode != AddWatchMode::Persistent)
                .then(|| format!("mode = \"{}\"", word_of(&WATCH_MODES, *mode))),
        ],
        Op::RemoveWatches { path, kind } => vec![word("remove_watches", path), watches(*kind)],
        Op::CheckWatches { path, kind } => vec![word("check_watches", path), watches(*kind)],
        Op::GetEphemerals { prefix } => vec![word("ephemerals", prefix)],
        Op::GetAllChildrenNumber { path } => vec![word("all_children_number", path)],
        Op::Reconfig {
            joining,
            leaving,
            new_members,
            from_config,
        } => {
            let text =
                |key: &str, text: &Option<Arc<str>>| text.as_ref().and_then(|t| word(key, t));
            let keys = [
                text("joining", joining),
                text("leaving", leaving),
                text("new_members", new_members),
                (*from_config != -1).then(|| format!("from_config = {from_config}")),
            ];
            vec![Some(format!("reconfig = {}", table(keys)))]
        }
        Op::DeleteContainer { path } => vec![word("delete_container", path)],
    };
    table(keys)
}

fn table(keys: impl IntoIterator<Item = Option<String>>) -> String {
    let keys: Vec<String> = keys.into_iter().flatten().collect();
    format!("{{ {} }}", keys.join(", "))
}

fn list(key: &str, ops: &[Op]) -> Option<String> {
    let ops: Vec<String> = ops.iter().map(op).collect();
    Some(format!("{key} = [{}]", ops.join(", ")))
}

/// The word of a mode, where it is not the default. What TTL it has is said elsewhere.
fn mode_word(mode: CreateMode) -> Option<&'static str> {
    let same = |other: CreateMode| std::mem::discriminant(&other) == std::mem::discriminant(&mode);
    let (word, mode) = MODES.iter().find(|(_, other)| same(*other))?;
    (*mode != CreateMode::Persistent).then_some(*word)
}

fn watches(kind: WatcherType) -> Option<String> {
    (kind != WatcherType::Any).then(|| format!("kind = \"{}\"", word_of(&WATCHES, kind)))
}

fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let found = words.iter().find(|(_, of)| *of == value);
    found.expect("every value has its word").0
}

/// A list as scenarios say it: `acl = ["world:anyone:cdrwa"]`.
pub fn acl(acl: &Acl) -> String {
    let entries = acl.entries().iter().map(|entry| {
        let letters: String = PERMISSIONS
            .iter()
            .filter(|(_, perm)| entry.perms.allows(*perm))
            .map(|(letter, _)| *letter)
            .collect();
        quoted(&format!("{}:{letters}", entry.id))
    });
    let entries: Vec<String> = entries.collect();
    format!("acl = [{}]", entries.join(", "))
}

/// The shortest way to write a number of microseconds.
pub fn duration(us: u64) -> String {
    let (name, factor) = UNITS
        .iter()
        .rev()
        .find(|(_, factor)| us.is_multiple_of(*factor))
        .unwrap_or(&UNITS[0]);
    if us == 0 {
        "0s".into()
    } else {
        format!("{}{name}", us / factor)
    }
}

/// A TOML basic string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text of so many letters at most.
pub fn short(text: String, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Data: text where it is some, else its bytes.
pub fn data(data: &Data) -> String {
    match data.as_deref() {
        None => "no data".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => quoted(text),
            _ => format!("0x{}", hex(bytes)),
        },
    }
}

fn names(names: &[Arc<str>]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("[{}]", names.join(", "))
}

/// An answer in few words: of a `Stat` only the version.
pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Created { path, .. } => format!("created {}", quoted(path)),
        Reply::Deleted => "deleted".to_owned(),
        Reply::Set { stat } => format!("set, version {}", stat.version),
        Reply::Exists { stat } => format!("there, version {}", stat.version),
        Reply::Data { data: d, stat } => format!("{}, version {}", data(d), stat.version),
        Reply::Children { names: all, .. } => names(all),
        Reply::ChildrenNumber { number } => format!("{number} nodes"),
        Reply::Ephemerals { paths } => names(paths),
        Reply::Synced { .. } => "synced".to_owned(),
        Reply::Acl { acl: list, .. } => acl(list),
        Reply::AclSet { stat } => format!("set, list {}", stat.aversion),
        Reply::WatchAdded => "watch added".to_owned(),
        Reply::WatchesRemoved => "watches removed".to_owned(),
        Reply::WatchesChecked => "watches are there".to_owned(),
        Reply::Checked => "checked".to_owned(),
        Reply::Closed => "closed".to_owned(),
        Reply::AuthAdded => "identity proven".to_owned(),
        Reply::Identities { ids } => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            ids.join(", ")
        }
        Reply::Reconfigured { data: d, .. } => data(d),
        Reply::Multi { results } => {
            let parts: Vec<String> = results.iter().map(self::reply).collect();
            format!("[{}]", parts.join("; "))
        }
        Reply::MultiFailed { errors } => {
            let errors: Vec<&str> = errors.iter().map(|error| error.name()).collect();
            format!("failed: [{}]", errors.join(", "))
        }
        Reply::MultiRead { results } => {
            let parts: Vec<String> = results.iter().map(|part| result(part.as_ref())).collect();
            format!("[{}]", parts.join("; "))
        }
    }
}

/// A step of a recipe, to be followed by the object that it is about.
pub fn step(step: &RecipeStep) -> String {
    match step {
        RecipeStep::LockWanted => "wants the lock".to_owned(),
        RecipeStep::LockAcquired { token } => format!("acquired, with token {token}, the lock"),
        RecipeStep::LockReleased { token } => format!("released, with token {token}, the lock"),
        RecipeStep::LockLost { token } => format!("gave up, with token {token}, the lock"),
        RecipeStep::FencedWrite { token, accepted } => {
            let came = if *accepted { "taken" } else { "refused" };
            format!("wrote with token {token}, and it was {came}, under the lock")
        }
        RecipeStep::ElectionEntered => "stands for election at".to_owned(),
        RecipeStep::LeaderElected { term } => format!("leads, in term {term}, by"),
        RecipeStep::LeaderResigned { term } => format!("leads no longer, in term {term}, by"),
    }
}

/// An answer or an error in few words.
pub fn result(result: Result<&Reply, &ErrorCode>) -> String {
    match result {
        Ok(answer) => reply(answer),
        Err(error) => error.name().to_owned(),
    }
}

/// One thing in which two answers differ: which, in the one, in the other.
pub type Difference = (String, String, String);

/// In what two answers differ, the one that was given and the one that was to be given.
pub fn differences(given: Result<&Reply, ErrorCode>, due: &OpResult) -> Vec<Difference> {
    let mut all = Vec::new();
    compare(given, due.as_ref().map_err(|error| *error), "", &mut all);
    all
}

/// The differences in words: what was given, and what was to be given.
pub fn contrast(differences: &[Difference]) -> (String, String) {
    let one = |(what, value): (&String, &String)| match what.as_str() {
        "answer" => value.clone(),
        what => format!("{what} {value}"),
    };
    let join = |all: Vec<String>| all.join(", ");
    (
        join(
            differences
                .iter()
                .map(|(what, given, _)| one((what, given)))
                .collect(),
        ),
        join(
            differences
                .iter()
                .map(|(what, _, due)| one((what, due)))
                .collect(),
        ),
    )
}

fn compare(
    given: Result<&Reply, ErrorCode>,
    due: Result<&Reply, ErrorCode>,
    part: &str,
    all: &mut Vec<Difference>,
) {
    let before = all.len();
    let mut differ = |what: &str, given: String, due: String| {
        if given != due {
            all.push((format!("{part}{what}"), given, due));
        }
    };
    match (given, due) {
        _ if given == due => return,
        (Ok(Reply::Multi { results: given }), Ok(Reply::Multi { results: due }))
            if given.len() == due.len() =>
        {
            for (at, (given, due)) in given.iter().zip(due).enumerate() {
                compare(Ok(given), Ok(due), &format!("part {}: ", at + 1), all);
            }
        }
        (Ok(Reply::MultiRead { results: given }), Ok(Reply::MultiRead { results: due }))
            if given.len() == due.len() =>
        {
            for (at, (given, due)) in given.iter().zip(due).enumerate() {
                let given = given.as_ref().map_err(|error| *error);
                let due = due.as_ref().map_err(|error| *error);
                compare(given, due, &format!("part {}: ", at + 1), all);
            }
        }
        (Ok(given), Ok(due)) => {
            match (given, due) {
                (Reply::Created { path: given, .. }, Reply::Created { path: due, .. }) => {
                    differ("path", quoted(given), quoted(due));
                }
                (Reply::Data { data: given, .. }, Reply::Data { data: due, .. }) => {
                    differ("data", data(given), data(due));
                }
                (Reply::Children { names: given, .. }, Reply::Children { names: due, .. }) => {
                    let without = |some: &[Arc<str>], others: &[Arc<str>]| {
                        let left = some.iter().filter(|name| !others.contains(name));
                        left.cloned().collect::<Vec<_>>()
                    };
                    let (more, fewer) = (without(given, due), without(due, given));
                    if !more.is_empty() || !fewer.is_empty() {
                        differ("children besides the others", names(&more), names(&fewer));
                    }
                }
                (Reply::Acl { acl: given, .. }, Reply::Acl { acl: due, .. }) => {
                    differ("list", acl(given), acl(due));
                }
                _ => {}
            }
            if let (Some(given), Some(due)) = (given.stat(), due.stat()) {
                for ((name, given), (_, due)) in fields(given).into_iter().zip(fields(due)) {
                    differ(name, given, due);
                }
            }
        }
        _ => {}
    }
    if all.len() == before {
        let text = |result: Result<&Reply, ErrorCode>| match result {
            Ok(answer) => reply(answer),
            Err(error) => error.name().to_owned(),
        };
        all.push((format!("{part}answer"), text(given), text(due)));
    }
}

fn fields(stat: &Stat) -> [(&'static str, String); 11] {
    [
        ("czxid", stat.czxid.to_string()),
        ("mzxid", stat.mzxid.to_string()),
        ("pzxid", stat.pzxid.to_string()),
        ("version", stat.version.to_string()),
        ("cversion", stat.cversion.to_string()),
        ("aversion", stat.aversion.to_string()),
        ("numChildren", stat.num_children.to_string()),
        ("dataLength", stat.data_length.to_string()),
        ("ephemeralOwner", stat.ephemeral_owner.to_string()),
        ("ctime", stat.ctime.to_string()),
        ("mtime", stat.mtime.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zxid;

    #[test]
    fn an_operation_is_written_as_in_a_scenario() {
        let set = Op::SetData {
            path: "/a".into(),
            data: Some(b"say \"x\"".as_slice().into()),
            version: 3,
        };
        assert_eq!(
            op(&set),
            r#"{ set = "/a", data = "say \"x\"", version = 3 }"#
        );
        let bytes = Op::SetData {
            path: "/a".into(),
            data: Some([0xff, 0].as_slice().into()),
            version: -1,
        };
        assert_eq!(op(&bytes), r#"{ set = "/a", data_hex = "ff00" }"#);
    }

    #[test]
    fn only_what_differs_is_named() {
        let stat = Stat {
            version: 4,
            mzxid: Zxid::new(1, 9),
            ..Stat::default()
        };
        let data = |text: &str, stat: Stat| Reply::Data {
            data: Some(text.as_bytes().into()),
            stat,
        };
        let older = Stat {
            version: 3,
            mzxid: Zxid::new(1, 7),
            ..stat
        };
        let found = differences(Ok(&data("x", older)), &Ok(data("y", stat)));
        let found: Vec<[&str; 3]> = found.iter().map(|(a, b, c)| [&**a, &**b, &**c]).collect();
        assert_eq!(
            found,
            [
                ["data", "\"x\"", "\"y\""],
                ["mzxid", "⟨1,7⟩", "⟨1,9⟩"],
                ["version", "3", "4"]
            ]
        );
        let gone = differences(Err(ErrorCode::NoNode), &Ok(data("y", stat)));
        assert_eq!(
            gone,
            [(
                "answer".to_owned(),
                "NoNode".to_owned(),
                "\"y\", version 4".to_owned()
            )]
        );
    }
}
