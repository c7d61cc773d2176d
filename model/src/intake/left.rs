//! What drains left behind.
//!
//! A history of a queue is judged by what its dequeues and drains took; that nothing more was there, a drain does not say. But Jepsen's
//! clients drain until the queue answers that it is empty, and its checker `total-queue` calls an element lost that was acknowledged
//! and never dequeued. So what would be lost is told beside the verdict: elements whose enqueue had returned before a drain was
//! called that completed, and which nobody ever took.

use super::Fault;
use super::bind::Object;
use super::calls::{Calls, Fate};
use super::keys::{self, Group};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the last drain of one queue left behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// The queue's key; empty: there is one.
    pub part: String,
    /// The drain, by its place among all calls: of those that completed, the one that was called last.
    pub drain: u32,
    /// The elements, in their order of being enqueued; one that is missing twice stands here twice.
    pub elements: Vec<Value>,
    /// How many dequeues and drains are of unknown outcome: they may have taken some of them.
    pub unknown: usize,
}

/// What the drains of each queue left behind, of those of which one left anything. Histories of other objects have none.
pub fn left_behind(calls: &Calls, object: Object) -> Result<Vec<Left>, Fault> {
    if object != Object::Queue || calls.calls.iter().all(|call| call.f != "drain") {
        return Ok(Vec::new());
    }
    let groups = keys::by_key(calls, object)?;
    Ok((groups.into_iter())
        .filter_map(|(key, group)| of_queue(key, &group))
        .collect())
}

fn of_queue(part: String, group: &Group<'_>) -> Option<Left> {
    let completed = (group.iter()).filter(|(_, call)| call.f == "drain" && call.fate == Fate::Ok);
    let (drain, last) = completed.max_by_key(|(_, call)| call.call)?;
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut unknown = 0;
    for (_, call) in group.iter().filter(|(_, call)| call.f != "enqueue") {
        let values = match (call.fate, call.result.as_array()) {
            (Fate::Unknown, _) => {
                unknown += 1;
                continue;
            }
            (Fate::Refused, _) => continue,
            (Fate::Ok, Some(list)) if call.f == "drain" => list.as_slice(),
            (Fate::Ok, _) => std::slice::from_ref(call.result),
        };
        for value in values {
            *taken.entry(value.to_string()).or_default() += 1;
        }
    }
    let acknowledged = (group.iter())
        .filter(|(_, call)| call.f == "enqueue" && call.fate == Fate::Ok && call.ret < last.call);
    let is_left = |value: &&Value| match taken.get_mut(&value.to_string()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let elements: Vec<Value> = (acknowledged.map(|(_, call)| call.argument))
        .filter(is_left)
        .cloned()
        .collect();
    (!elements.is_empty()).then_some(Left {
        part,
        drain: *drain,
        elements,
        unknown,
    })
}
