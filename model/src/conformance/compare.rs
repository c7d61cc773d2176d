//! One recorded reply against one of ours.

use super::read::bytes_of_hex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use zabsim_types::{
    Data, ErrorCode, Op, OpResult, Reply, SessionId, Stat, WatchEvent, WatchKind, Zxid,
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
}

impl Comparison {
    /// For the model: zxids are the recorded numbers, the time of transaction z is z.
    pub fn exact() -> Comparison {
        Comparison {
            exact: true,
            ranks: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    /// For an ensemble: zxids by rank, times and the headers of reads not at all.
    pub fn by_rank() -> Comparison {
        Comparison {
            exact: false,
            // Only the initial tree has zxid 0, and it has it everywhere.
            ranks: BTreeMap::from([(0, Zxid::ZERO)]),
            sessions: BTreeMap::new(),
        }
    }

    /// Says which session connection `conn` has, so that `S:A` is known in a `Stat`.
    pub fn bind_session(&mut self, conn: &str, session: SessionId) {
        self.sessions.insert(format!("S:{conn}"), session);
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
            Err(_) => no_more_than(recorded, &["err", "name", "zxid"]),
        }
    }

    /// Only the transaction of a write, where nothing else of its reply can be compared (`Action::Failure`).
    pub fn update_zxid(&mut self, recorded: &Value, zxid: Zxid) -> Result<(), Mismatch> {
        self.zxid("zxid", &recorded["zxid"], zxid)
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
        };
        same("event.type", &recorded["type"], kind)?;
        same("event.path", &recorded["path"], &*got.path)?;
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
            let list: Vec<_> = got.iter().map(|(_, event)| event).collect();
            return Err(mismatch(
                "events",
                Value::from(recorded),
                format!("{list:?}"),
            ));
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
        same("err", &recorded["err"], got.code())
    }

    fn body(&mut self, at: &str, recorded: &Value, reply: &Reply) -> Result<(), Mismatch> {
        let head = [
            "err", "name", "zxid", "type", "hdr_err", "kind", "xid", "op",
        ];
        let keys: &[&str] = match reply {
            Reply::Created { path, stat } => {
                same(&under(at, "path"), &recorded["path"], &**path)?;
                self.optional_stat(at, recorded, stat.as_ref())?;
                &["path", "stat"]
            }
            Reply::Set { stat } | Reply::Exists { stat } => {
                self.optional_stat(at, recorded, Some(stat))?;
                &["stat"]
            }
            Reply::Data { data, stat } => {
                same_data(&under(at, "data"), &recorded["data"], data)?;
                self.optional_stat(at, recorded, Some(stat))?;
                &["data", "stat"]
            }
            Reply::Children { names, stat } => {
                let mut expected: Vec<&str> = recorded["children"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                expected.sort_unstable();
                let mut got: Vec<&str> = names.iter().map(|name| &**name).collect();
                got.sort_unstable();
                if expected != got {
                    let got = format!("{got:?}");
                    return Err(mismatch(
                        &under(at, "children"),
                        format!("{expected:?}"),
                        got,
                    ));
                }
                self.optional_stat(at, recorded, stat.as_ref())?;
                &["children", "stat"]
            }
            Reply::Synced { path } => {
                same(&under(at, "path"), &recorded["path"], &**path)?;
                &["path"]
            }
            Reply::Deleted | Reply::Checked | Reply::Closed => &[],
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
                Err(mismatch(&at, recorded, format!("{got:?}")))
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

    /// `t@z` is the time of transaction z; on the model that is z itself.
    fn time(&self, at: &str, recorded: &Value, got: i64) -> Result<(), Mismatch> {
        let expected = match recorded.as_str().and_then(|t| t.strip_prefix("t@")) {
            Some(zxid) => zxid.parse().ok(),
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
        _ => "other",
    }
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
        let got = got.as_ref().map(|_| String::from_utf8_lossy(bytes));
        Err(mismatch(at, recorded.clone(), format!("{got:?}")))
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
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn by_rank_equal_zxids_stay_equal_and_smaller_ones_smaller() {
        let op = Op::Delete {
            path: "/a".into(),
            version: -1,
        };
        let mut comparison = Comparison::by_rank();
        let mut answer = |recorded: u64, got| {
            let recorded = json!({"err": 0, "name": "OK", "zxid": recorded});
            comparison.reply(&op, &recorded, got, &Ok(Reply::Deleted))
        };
        assert_eq!(answer(3, Zxid::new(2, 9)), Ok(()));
        assert_eq!(answer(5, Zxid::new(3, 1)), Ok(()));
        assert_eq!(answer(4, Zxid::new(2, 10)), Ok(()));
        let again = answer(3, Zxid::new(2, 8)).expect_err("3 stands for ⟨2,9⟩");
        assert_eq!(again.at, "zxid");
        answer(6, Zxid::new(2, 11)).expect_err("6 must be above 5's");
        answer(1, Zxid::new(2, 9)).expect_err("1 must be below 3's");
        answer(0, Zxid::new(1, 1)).expect_err("only 0 is 0");
    }

    #[test]
    fn a_stat_is_compared_field_by_field() {
        let recorded = json!({"err": 0, "name": "OK", "zxid": 4, "stat": {
            "czxid": 2, "mzxid": 3, "pzxid": 2, "ctime": "t@2", "mtime": "t@3", "version": 1, "cversion": 0,
            "aversion": 0, "ephemeralOwner": "S:A", "dataLength": 1, "numChildren": 0}});
        let op = Op::Exists {
            path: "/a".into(),
            watch: false,
        };
        let good = Stat {
            czxid: Zxid(2),
            mzxid: Zxid(3),
            pzxid: Zxid(2),
            ctime: 2,
            mtime: 3,
            version: 1,
            ephemeral_owner: SessionId(7),
            data_length: 1,
            ..Stat::default()
        };
        let mut comparison = Comparison::exact();
        comparison.bind_session("A", SessionId(7));
        let mut answer =
            |stat| comparison.reply(&op, &recorded, Zxid(4), &Ok(Reply::Exists { stat }));
        assert_eq!(answer(good), Ok(()));
        for (bad, at) in [
            (
                Stat {
                    mzxid: Zxid(2),
                    ..good
                },
                "stat.mzxid",
            ),
            (
                Stat {
                    cversion: 1,
                    ..good
                },
                "stat.cversion",
            ),
            (Stat { mtime: 4, ..good }, "stat.mtime"),
            (
                Stat {
                    ephemeral_owner: SessionId(8),
                    ..good
                },
                "stat.ephemeralOwner",
            ),
        ] {
            assert_eq!(answer(bad).expect_err(at).at, at);
        }
    }

    #[test]
    fn a_reply_that_lacks_something_is_no_match() {
        let op = Op::Exists {
            path: "/a".into(),
            watch: false,
        };
        let recorded = json!({"err": -101, "name": "NoNode", "zxid": 1});
        let mut comparison = Comparison::exact();
        let got = Err(ErrorCode::NoNode);
        assert_eq!(comparison.reply(&op, &recorded, Zxid(1), &got), Ok(()));
        let recorded = json!({"err": -101, "name": "NoNode", "zxid": 1, "path": "/a"});
        comparison
            .reply(&op, &recorded, Zxid(1), &got)
            .expect_err("we have no path");
    }
}
