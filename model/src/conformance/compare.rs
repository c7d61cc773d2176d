//! One recorded reply against one of ours.

use super::read::bytes_of_hex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zabsim_types::{
    AclEntry, Data, ErrorCode, Op, OpResult, Reply, SessionId, Stat, WatchEvent, WatchKind, Zxid,
    spell,
};

/// What differs: where in the reply, what was recorded, what we got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// Where in the reply: `stat.cversion`.
    pub at: String,
    /// The recorded value.
    pub expected: String,
    /// Ours.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { at, expected, got } = self;
        write!(f, "{at}: recorded {expected}, got {got}")
    }
}

impl std::error::Error for Mismatch {}

/// The comparison of one case: it remembers which of our zxids and sessions stand for which recorded ones.
#[derive(Clone, Debug)]
pub struct Comparison {
    exact: bool,
    /// Recorded zxid to ours, kept strictly increasing both ways.
    ranks: BTreeMap<u64, Zxid>,
    sessions: BTreeMap<String, SessionId>,
    /// When each transaction was, exactly.
    times: BTreeMap<Zxid, i64>,
}

impl Comparison {
    /// For the model: zxids are the recorded numbers, times those of the transactions that are named.
    pub fn exact() -> Comparison {
        Comparison {
            exact: true,
            ranks: BTreeMap::new(),
            sessions: BTreeMap::new(),
            times: BTreeMap::from([(Zxid::ZERO, 0)]),
        }
    }

    /// For an ensemble: zxids by rank, times and the headers of reads not at all.
    pub fn by_rank() -> Comparison {
        Comparison {
            exact: false,
            // Only the initial tree has zxid 0, and it has it everywhere.
            ranks: BTreeMap::from([(0, Zxid::ZERO)]),
            sessions: BTreeMap::new(),
            times: BTreeMap::new(),
        }
    }

    /// Says which session is meant by a name like `S:A`.
    pub fn bind_session(&mut self, name: &str, session: SessionId) {
        self.sessions.insert(name.to_owned(), session);
    }

    /// The session of that name.
    pub fn session(&self, name: &str) -> Option<SessionId> {
        self.sessions.get(name).copied()
    }

    /// Which of our zxids stands for a recorded one, where zxids are compared by rank and this one was.
    pub fn zxid_for(&self, recorded: u64) -> Option<Zxid> {
        self.ranks.get(&recorded).copied()
    }

    /// Says when a transaction was.
    pub fn bind_time(&mut self, zxid: Zxid, time_ms: i64) {
        self.times.insert(zxid, time_ms);
    }

    /// When the transaction was, if that was said.
    pub fn time_of(&self, zxid: Zxid) -> Option<i64> {
        self.times.get(&zxid).copied()
    }

    /// One value of a reply.
    pub fn value(&self, at: &str, recorded: &Value, got: impl Into<Value>) -> Result<(), Mismatch> {
        same(at, recorded, got)
    }

    /// The reply to `op`: its error, its header's zxid, its body.
    pub fn reply(
        &mut self,
        op: &Op,
        recorded: &Value,
        zxid: Zxid,
        got: &OpResult,
    ) -> Result<(), Mismatch> {
        self.error(recorded, got)?;
        if self.exact || op.is_update() {
            self.zxid("zxid", &recorded["zxid"], zxid)?;
        }
        match got {
            Ok(reply) => self.body("", recorded, reply),
            Err(_) => no_more_than(recorded, &["err", "name", "zxid", "kind", "xid", "op"]),
        }
    }

    /// The reply to what is no operation: to a ping, to watches that are set again.
    pub fn bare_reply(&mut self, recorded: &Value, zxid: Zxid) -> Result<(), Mismatch> {
        same("err", &recorded["err"], 0)?;
        if self.exact {
            self.zxid("zxid", &recorded["zxid"], zxid)?;
        }
        no_more_than(recorded, &["err", "name", "zxid", "kind", "xid", "op"])
    }

    /// One notification: what, where, and of which transaction.
    pub fn event(
        &mut self,
        recorded: &Value,
        zxid: Option<Zxid>,
        got: &WatchEvent,
    ) -> Result<(), Mismatch> {
        let kind = match got.kind {
            WatchKind::NodeCreated => "NodeCreated",
            WatchKind::NodeDeleted => "NodeDeleted",
            WatchKind::NodeDataChanged => "NodeDataChanged",
            WatchKind::NodeChildrenChanged => "NodeChildrenChanged",
            WatchKind::DataWatchRemoved => "DataWatchRemoved",
            WatchKind::ChildWatchRemoved => "ChildWatchRemoved",
            WatchKind::PersistentWatchRemoved => "PersistentWatchRemoved",
        };
        same("event.type", &recorded["type"], kind)?;
        same_text("event.path", &recorded["path"], &got.path)?;
        match zxid {
            Some(zxid) => self.zxid("event.zxid", &recorded["zxid"], zxid),
            // The catch-up of setWatches.
            None => same("event.zxid", &recorded["zxid"], -1),
        }
    }

    /// All notifications of one connection in one step. A session's end fires in no particular order: `any_order` then.
    pub fn events(
        &mut self,
        recorded: &[Value],
        got: &[(Option<Zxid>, WatchEvent)],
        any_order: bool,
    ) -> Result<(), Mismatch> {
        if recorded.len() != got.len() {
            let got = said(got.iter().map(|(_, event)| event));
            return Err(mismatch("events", Value::from(recorded), got));
        }
        let mut left: Vec<_> = got.iter().collect();
        for recorded in recorded {
            let at = if any_order {
                let same_event = |(zxid, event): &&(Option<Zxid>, WatchEvent)| {
                    self.clone().event(recorded, *zxid, event).is_ok()
                };
                left.iter().position(same_event).unwrap_or(0)
            } else {
                0
            };
            let (zxid, event) = left.remove(at);
            self.event(recorded, *zxid, event)?;
        }
        Ok(())
    }

    fn error(&self, recorded: &Value, got: &OpResult) -> Result<(), Mismatch> {
        let got = match got {
            // A failed multi's header says that all is well; its vector tells.
            Ok(_) => ErrorCode::Ok,
            Err(code) => *code,
        };
        same("err", &recorded["err"], got.code())?;
        match recorded.get("name") {
            Some(name) if got == ErrorCode::Ok => same("name", name, "OK"),
            Some(name) => same("name", name, got.name()),
            None => Ok(()),
        }
    }

    fn body(&mut self, at: &str, recorded: &Value, reply: &Reply) -> Result<(), Mismatch> {
        let head = [
            "err", "name", "zxid", "type", "hdr_err", "kind", "xid", "op",
        ];
        let keys: &[&str] = match reply {
            Reply::Created { path, stat } => {
                same_text(&under(at, "path"), &recorded["path"], path)?;
                self.optional_stat(at, recorded, stat.as_ref())?;
                &["path", "stat"]
            }
            Reply::Set { stat } | Reply::AclSet { stat } | Reply::Exists { stat } => {
                self.optional_stat(at, recorded, Some(stat))?;
                &["stat"]
            }
            Reply::Data { data, stat } | Reply::Reconfigured { data, stat } => {
                same_data(&under(at, "data"), &recorded["data"], data)?;
                self.optional_stat(at, recorded, Some(stat))?;
                &["data", "stat"]
            }
            Reply::Children { names, stat } => {
                same_names(&under(at, "children"), &recorded["children"], names)?;
                self.optional_stat(at, recorded, stat.as_ref())?;
                &["children", "stat"]
            }
            Reply::Synced { path } => {
                same_text(&under(at, "path"), &recorded["path"], path)?;
                &["path"]
            }
            Reply::Deleted
            | Reply::Checked
            | Reply::Closed
            | Reply::AuthAdded
            | Reply::WatchesRemoved
            | Reply::WatchesChecked => &[],
            Reply::Acl { acl, stat } => {
                let got: Vec<Value> = acl.entries().iter().map(acl_entry).collect();
                same(&under(at, "acl"), &recorded["acl"], got)?;
                self.optional_stat(at, recorded, Some(stat))?;
                &["acl", "stat"]
            }
            Reply::Identities { ids } => {
                // In the order of a hash table.
                let mut expected = recorded["clientInfo"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                expected.sort_by_key(Value::to_string);
                let mut got: Vec<Value> = ids.iter().map(|id| json!([id.scheme, id.id])).collect();
                got.sort_by_key(Value::to_string);
                same(&under(at, "clientInfo"), &Value::from(expected), got)?;
                &["clientInfo"]
            }
            Reply::WatchAdded => {
                same(&under(at, "err_body"), &recorded["err_body"], 0)?;
                &["err_body"]
            }
            Reply::Ephemerals { paths } => {
                let mut expected = recorded["ephemerals"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                expected.sort_by_key(Value::to_string);
                let mut got: Vec<Value> = paths.iter().map(|path| json!(path)).collect();
                got.sort_by_key(Value::to_string);
                same(&under(at, "ephemerals"), &Value::from(expected), got)?;
                &["ephemerals"]
            }
            Reply::ChildrenNumber { number } => {
                same(&under(at, "totalNumber"), &recorded["totalNumber"], *number)?;
                &["totalNumber"]
            }
            Reply::MultiRead { results } => {
                let expected = parts(recorded, results.len())?;
                for (i, (recorded, result)) in expected.iter().zip(results).enumerate() {
                    let at = format!("results[{i}]");
                    match result {
                        Ok(reply) => {
                            same(&under(&at, "type"), &recorded["type"], type_of(reply))?;
                            self.body(&at, recorded, reply)?;
                        }
                        Err(error) => {
                            same(&under(&at, "type"), &recorded["type"], "error")?;
                            same(&under(&at, "err"), &recorded["err"], error.code())?;
                        }
                    }
                }
                &["results"]
            }
            Reply::Multi { results } => {
                let expected = parts(recorded, results.len())?;
                for (i, (recorded, reply)) in expected.iter().zip(results).enumerate() {
                    let at = format!("results[{i}]");
                    same(&under(&at, "type"), &recorded["type"], type_of(reply))?;
                    self.body(&at, recorded, reply)?;
                }
                &["results"]
            }
            Reply::MultiFailed { errors } => {
                let expected = parts(recorded, errors.len())?;
                for (i, (recorded, error)) in expected.iter().zip(errors).enumerate() {
                    let at = format!("results[{i}]");
                    same(&under(&at, "type"), &recorded["type"], "error")?;
                    same(&under(&at, "err"), &recorded["err"], error.code())?;
                }
                &["results"]
            }
        };
        no_more_than(recorded, &[&head, keys].concat())
    }

    fn optional_stat(
        &mut self,
        at: &str,
        recorded: &Value,
        got: Option<&Stat>,
    ) -> Result<(), Mismatch> {
        let at = under(at, "stat");
        match (recorded.get("stat"), got) {
            (None, None) => Ok(()),
            (Some(recorded), Some(got)) => self.stat(&at, recorded, got),
            (recorded, got) => {
                let recorded = recorded.cloned().unwrap_or(Value::Null);
                let got = got.map_or("none".to_owned(), |stat| {
                    serde_json::to_string(stat).expect("numbers are JSON")
                });
                Err(mismatch(&at, recorded, got))
            }
        }
    }

    fn stat(&mut self, at: &str, recorded: &Value, got: &Stat) -> Result<(), Mismatch> {
        for (key, zxid) in [
            ("czxid", got.czxid),
            ("mzxid", got.mzxid),
            ("pzxid", got.pzxid),
        ] {
            self.zxid(&under(at, key), &recorded[key], zxid)?;
        }
        for (key, number) in [
            ("version", got.version),
            ("cversion", got.cversion),
            ("aversion", got.aversion),
            ("dataLength", got.data_length),
            ("numChildren", got.num_children),
        ] {
            same(&under(at, key), &recorded[key], number)?;
        }
        if self.exact {
            for (key, time) in [("ctime", got.ctime), ("mtime", got.mtime)] {
                self.time(&under(at, key), &recorded[key], time)?;
            }
        }
        let owner = &recorded["ephemeralOwner"];
        let expected = match owner.as_str() {
            Some(name) => self.sessions.get(name).copied(),
            None => owner.as_i64().map(SessionId),
        };
        if expected != Some(got.ephemeral_owner) {
            let at = under(at, "ephemeralOwner");
            return Err(mismatch(&at, owner.clone(), got.ephemeral_owner));
        }
        Ok(())
    }

    fn zxid(&mut self, at: &str, recorded: &Value, got: Zxid) -> Result<(), Mismatch> {
        let fail = |why: &str| Err(mismatch(at, recorded.clone(), format!("{got}{why}")));
        if got == Zxid::NO_STATE || recorded == -1 {
            let both = got == Zxid::NO_STATE && recorded == -1;
            return if both { Ok(()) } else { fail("") };
        }
        let Some(expected) = recorded.as_u64() else {
            return fail("");
        };
        if self.exact {
            return if expected == got.0 { Ok(()) } else { fail("") };
        }
        if let Some(known) = self.ranks.get(&expected) {
            return if *known == got {
                Ok(())
            } else {
                fail(&format!(", but it stood for {known} before"))
            };
        }
        let below = self.ranks.range(..expected).next_back();
        let above = self.ranks.range(expected..).next();
        if let Some((number, zxid)) = below.filter(|(_, zxid)| **zxid >= got) {
            return fail(&format!(", not above {zxid} which stands for {number}"));
        }
        if let Some((number, zxid)) = above.filter(|(_, zxid)| **zxid <= got) {
            return fail(&format!(", not below {zxid} which stands for {number}"));
        }
        self.ranks.insert(expected, got);
        Ok(())
    }

    /// `t@z` is the time of transaction z.
    fn time(&self, at: &str, recorded: &Value, got: i64) -> Result<(), Mismatch> {
        let expected = match recorded.as_str().and_then(|t| t.strip_prefix("t@")) {
            Some(zxid) => {
                let zxid = zxid.parse().ok().map(Zxid);
                zxid.and_then(|zxid| self.times.get(&zxid).copied())
            }
            None => recorded.as_i64(),
        };
        if expected == Some(got) {
            Ok(())
        } else {
            Err(mismatch(at, recorded.clone(), got))
        }
    }
}

fn type_of(reply: &Reply) -> &'static str {
    match reply {
        Reply::Created { stat: None, .. } => "create",
        Reply::Created { .. } => "create2",
        Reply::Deleted => "delete",
        Reply::Set { .. } => "setData",
        Reply::Checked => "check",
        Reply::Data { .. } => "getData",
        Reply::Children { .. } => "getChildren",
        _ => "other",
    }
}

fn acl_entry(entry: &AclEntry) -> Value {
    json!([entry.perms.0, entry.id.scheme, entry.id.id])
}

fn parts(recorded: &Value, got: usize) -> Result<&Vec<Value>, Mismatch> {
    match recorded["results"].as_array() {
        Some(results) if results.len() == got => Ok(results),
        _ => Err(mismatch(
            "results",
            recorded["results"].clone(),
            format!("{got} results"),
        )),
    }
}

/// Whatever else the recorded reply holds we would have to have, too.
fn no_more_than(recorded: &Value, keys: &[&str]) -> Result<(), Mismatch> {
    let extra = recorded
        .as_object()
        .and_then(|all| all.iter().find(|(key, _)| !keys.contains(&key.as_str())));
    match extra {
        Some((key, value)) => Err(mismatch(key, value.clone(), "nothing")),
        None => Ok(()),
    }
}

fn same<T: Into<Value>>(at: &str, recorded: &Value, got: T) -> Result<(), Mismatch> {
    let got = got.into();
    if *recorded == got {
        Ok(())
    } else {
        Err(mismatch(at, recorded.clone(), got))
    }
}

/// A text as it is on ZooKeeper's wire: each UTF-16 unit by itself, so that a character beyond U+FFFF takes six bytes.
fn on_the_wire(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        let (high, middle, low) = (unit >> 12, unit >> 6 & 0x3f, unit & 0x3f);
        match unit {
            0..0x80 => bytes.push(unit as u8),
            0x80..0x800 => bytes.extend([0xc0 | (unit >> 6) as u8, 0x80 | low as u8]),
            _ => bytes.extend([0xe0 | high as u8, 0x80 | middle as u8, 0x80 | low as u8]),
        }
    }
    bytes
}

/// A text, or of a long one its length and beginning; one that is no UTF-8 on the wire by its bytes.
fn text_fits(recorded: &Value, got: &str) -> bool {
    match recorded {
        Value::String(text) => text == got,
        Value::Object(spec) => {
            if let Some(hex) = spec.get("hex").and_then(Value::as_str) {
                return bytes_of_hex(hex).is_ok_and(|bytes| bytes == on_the_wire(got));
            }
            let len = spec.get("len").and_then(Value::as_u64);
            let head = spec.get("head").and_then(Value::as_str);
            len == Some(got.len() as u64) && head.is_some_and(|head| got.starts_with(head))
        }
        _ => false,
    }
}

fn same_text(at: &str, recorded: &Value, got: &str) -> Result<(), Mismatch> {
    if text_fits(recorded, got) {
        Ok(())
    } else {
        Err(mismatch(at, recorded, Value::from(got).to_string()))
    }
}

/// The same names in whatever order.
fn same_names(at: &str, recorded: &Value, got: &[Arc<str>]) -> Result<(), Mismatch> {
    let expected = recorded.as_array().map_or(&[][..], Vec::as_slice);
    let mut left: Vec<&Arc<str>> = got.iter().collect();
    let all_found = expected.iter().all(|name| {
        let found = left.iter().position(|other| text_fits(name, other));
        found.map(|at| left.swap_remove(at)).is_some()
    });
    if all_found && left.is_empty() {
        Ok(())
    } else {
        let got: Vec<&str> = got.iter().map(|name| &**name).collect();
        Err(mismatch(at, recorded, Value::from(got).to_string()))
    }
}

/// Notifications in words.
pub(super) fn said<'e>(events: impl Iterator<Item = &'e WatchEvent>) -> String {
    let each = events.map(|event| format!("{} {}", event.kind, spell::quoted(&event.path)));
    let each: Vec<String> = each.collect();
    match each.is_empty() {
        true => "none".to_owned(),
        false => each.join(", "),
    }
}

fn same_data(at: &str, recorded: &Value, got: &Data) -> Result<(), Mismatch> {
    let bytes: &[u8] = got.as_deref().unwrap_or_default();
    let fits = match recorded {
        Value::Null => got.is_none(),
        Value::String(text) => got.is_some() && text.as_bytes() == bytes,
        Value::Object(spec) => {
            let hex = spec.get("hex").and_then(Value::as_str);
            let head = spec.get("head").and_then(Value::as_str);
            match (hex, head, spec.get("len").and_then(Value::as_u64)) {
                (Some(hex), _, _) => bytes_of_hex(hex).is_ok_and(|expected| expected == bytes),
                (_, Some(head), Some(len)) => {
                    bytes.len() as u64 == len && bytes.starts_with(head.as_bytes())
                }
                _ => false,
            }
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(mismatch(at, recorded.clone(), spell::data(got)))
    }
}

fn under(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

fn mismatch(at: &str, expected: impl fmt::Display, got: impl fmt::Display) -> Mismatch {
    Mismatch {
        at: at.to_owned(),
        expected: expected.to_string(),
        got: got.to_string(),
    }
}

#[cfg(test)]
mod tests;
