//! Which key each call is about, and what it asked for and observed of it.
//!
//! Objects of different keys are different objects, whatever they are: a history of ten locks is ten histories. A key is written in one of
//! two ways: as the entry's `:key`, or, as Jepsen's independent generators do it, before every value in a pair: `[7 nil]` asks the
//! object 7 for its value, and `[7 3]` is the answer.

use super::Fault;
use super::bind::{Object, wrong};
use super::calls::{Calls, Fate, RawCall};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Deref;

/// A call of one object: without the key that its values may be paired with.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    raw: &'a RawCall,
    /// Its argument.
    pub argument: &'a Value,
    /// Its result.
    pub result: &'a Value,
}

impl Deref for Asked<'_> {
    type Target = RawCall;

    fn deref(&self) -> &RawCall {
        self.raw
    }
}

/// The calls of one object, each with its place among all calls.
pub(super) type Group<'a> = Vec<(u32, Asked<'a>)>;

/// Whether the history is about objects of several keys, so that its parts are these.
pub(super) fn has_keys(calls: &Calls, object: Object) -> bool {
    calls.calls.iter().any(|call| call.key.is_some()) || is_paired(calls, object)
}

/// Whether every value is a pair of a key and a value (Jepsen's independent keys). The calls that ask for something and say nothing
/// else tell.
pub(super) fn is_paired(calls: &Calls, object: Object) -> bool {
    let asking: &[&str] = match object {
        Object::Register | Object::Cas | Object::Counter | Object::Set => &["read"],
        Object::Queue => &["dequeue", "drain"],
        Object::Mutex => &["acquire", "release"],
        // Its entries have a `:key`.
        Object::Kv => return false,
    };
    let mut asking = (calls.calls.iter())
        .filter(|call| asking.contains(&call.f.as_str()))
        .peekable();
    asking.peek().is_some() && asking.all(|call| pair(&call.argument).is_some())
}

fn pair(value: &Value) -> Option<[&Value; 2]> {
    match value.as_array()?.as_slice() {
        [key, value] => Some([key, value]),
        _ => None,
    }
}

/// What a call asked for and observed, where values are paired with keys.
fn unpaired(raw: &RawCall) -> Result<(&Value, Asked<'_>), Fault> {
    let Some([key, argument]) = pair(&raw.argument) else {
        let what = "has no pair of a key and a value as its argument, as others have";
        return wrong(raw, what, &raw.argument);
    };
    let result = match pair(&raw.result) {
        Some([other, result]) if other == key => result,
        // What else an answer says is no matter if nothing had to be observed.
        _ if raw.fate != Fate::Ok || raw.result.is_null() => &Value::Null,
        _ => {
            let what = "returns no pair of the key that it asked for and a value";
            return wrong(raw, what, &raw.result);
        }
    };
    let asked = Asked {
        raw,
        argument,
        result,
    };
    Ok((key, asked))
}

/// The calls of each key, by its text; those without one have none.
pub(super) fn by_key(calls: &Calls, object: Object) -> Result<BTreeMap<String, Group<'_>>, Fault> {
    let paired = is_paired(calls, object);
    let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
    for (place, raw) in (0u32..).zip(&calls.calls) {
        let (key, asked) = match paired {
            true => {
                let (key, asked) = unpaired(raw)?;
                (Some(key), asked)
            }
            false => {
                let asked = Asked {
                    raw,
                    argument: &raw.argument,
                    result: &raw.result,
                };
                (raw.key.as_ref(), asked)
            }
        };
        let key = key.map_or(String::new(), Value::to_string);
        groups.entry(key).or_default().push((place, asked));
    }
    Ok(groups)
}
