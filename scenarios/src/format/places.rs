//! Where the parts of a scenario stand in its file, for complaints that only the whole can give rise to. A complaint names
//! the line of the key that is to blame: of the action, the trigger, the client. The table that holds it may begin far above.

use super::action::ACTIONS;
use super::reader::{FormatError, Table, Value};
use super::trigger::EVENTS;
use zabsim::{Part, PlanEntry};

/// The entries of a scenario's lists, which were read without complaint.
pub(super) struct Places<'a> {
    pub(super) file: &'a str,
    pub(super) faults: Vec<Value<'a>>,
    pub(super) ops: Vec<Value<'a>>,
    pub(super) workloads: Vec<Value<'a>>,
    pub(super) holds: Vec<Value<'a>>,
}

impl<'a> Places<'a> {
    /// A complaint at the part of an entry, or of none.
    pub(super) fn error(&self, entry: Option<PlanEntry>, message: String) -> FormatError {
        let place = entry.and_then(|entry| match entry {
            PlanEntry::Fault(index, part) => {
                let fault = self.faults.get(index)?;
                Some(part_of(fault, "[[fault]]", part).unwrap_or(*fault))
            }
            PlanEntry::Op(index, part) => {
                let op = self.ops.get(index)?;
                Some(part_of(op, "[[op]]", part).unwrap_or(*op))
            }
        });
        match place {
            Some(place) => place.error(message),
            None => FormatError {
                file: self.file.into(),
                line: 0,
                message,
            },
        }
    }
}

/// The value of one of a table's keys, or the table itself.
pub(super) fn in_table<'a>(entry: &Value<'a>, what: &'static str, key: &'static str) -> Value<'a> {
    let table = entry.table(what).ok();
    table.and_then(|table| table.get(key)).unwrap_or(*entry)
}

fn part_of<'a>(entry: &Value<'a>, what: &'static str, part: Part) -> Option<Value<'a>> {
    let table = entry.table(what).ok()?;
    match part {
        Part::Label => table.get("label"),
        Part::Trigger => match table.get("when") {
            Some(when) => Some(first_of(&when.table("`when`").ok()?, EVENTS).unwrap_or(when)),
            None => first_of(&table, &["at", "after"]),
        },
        Part::Action => {
            let action = table.get("do")?;
            Some(first_of(&action.table("`do`").ok()?, ACTIONS).unwrap_or(action))
        }
        Part::Lasts => table.get("for"),
        Part::Client => table.get("client"),
    }
}

/// The value under the first of these keys that is there.
fn first_of<'a>(table: &Table<'a>, keys: &[&'static str]) -> Option<Value<'a>> {
    let key = keys.iter().find(|key| table.has(key))?;
    table.get(key)
}
