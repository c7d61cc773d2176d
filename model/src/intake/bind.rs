//! Calls in the words of a model: which object is it, what did each call do to it, and what was observed.

use super::Fault;
use super::calls::{Calls, Fate, RawCall};
use super::drain::all_drained;
use super::entries::brief;
use super::keys::{self, Asked, Group};
use crate::linear::models::{
    Counter, CounterAction, Drained, Fenced, FencedAction, Mutex, MutexAction, Queue, QueueAction,
    Register, RegisterAction, Set, SetAction, Text, TextAction,
};
use crate::linear::{Call, History, NEVER, Spec};
use serde_json::Value;
use std::collections::BTreeMap;

/// The objects that histories are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Object {
    /// A register: read, write.
    Register,
    /// A register that can also be compared and set.
    Cas,
    /// A store of keys: get, put, append.
    Kv,
    /// A counter: add, read.
    Counter,
    /// A set: add, remove, contains, read.
    Set,
    /// A queue, first in first out: enqueue, dequeue, and drain, which returns all that it took.
    Queue,
    /// A lock: acquire, release; with fencing tokens where acquisitions return numbers.
    Mutex,
}

impl Object {
    /// All of them.
    pub const ALL: [Object; 7] = [
        Object::Register,
        Object::Cas,
        Object::Kv,
        Object::Counter,
        Object::Set,
        Object::Queue,
        Object::Mutex,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Object::Register => "register",
            Object::Cas => "cas",
            Object::Kv => "kv",
            Object::Counter => "counter",
            Object::Set => "set",
            Object::Queue => "queue",
            Object::Mutex => "mutex",
        }
    }

    /// What a person calls it.
    pub fn title(self) -> &'static str {
        match self {
            Object::Cas => "compare-and-set register",
            Object::Kv => "key-value store",
            Object::Queue => "first-in-first-out queue",
            other => other.name(),
        }
    }

    /// What a person calls the parts that its history falls into.
    pub fn parts(self, calls: &Calls) -> &'static str {
        match self {
            Object::Set if !keys::has_keys(calls, self) => "elements",
            _ => "keys",
        }
    }

    /// The operations that it knows.
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            Object::Register => &["read", "write"],
            Object::Cas => &["read", "write", "cas"],
            Object::Kv => &["get", "put", "append"],
            Object::Counter => &["read", "add", "inc", "dec"],
            Object::Set => &["read", "add", "remove", "contains"],
            Object::Queue => &["enqueue", "dequeue", "drain"],
            Object::Mutex => &["acquire", "release"],
        }
    }

    /// Which object the operations of a history are about, if that is plain.
    pub fn guess(calls: &Calls) -> Option<Object> {
        let has = |f: &str| calls.calls.iter().any(|call| call.f == f);
        let knows_all = |object: &Object| {
            let operations = object.operations();
            calls
                .calls
                .iter()
                .all(|call| operations.contains(&call.f.as_str()))
        };
        let mut fitting = Object::ALL.into_iter().filter(knows_all);
        let first = fitting.next()?;
        match first {
            // Sums and elements are both added. What is read tells: a number or a collection.
            Object::Counter | Object::Set if has("add") => {
                let mut reads = calls.calls.iter().filter(|call| call.f == "read");
                let read = reads.find(|call| call.fate == Fate::Ok)?;
                let result = match keys::is_paired(calls, Object::Set) {
                    true => read.result.get(1)?,
                    false => &read.result,
                };
                Some(if result.is_array() {
                    Object::Set
                } else {
                    Object::Counter
                })
            }
            _ => Some(first),
        }
    }
}

/// One part of an object, with its history, and which call of the whole each of its calls is.
#[derive(Clone, Debug)]
pub struct Part<S: Spec> {
    /// Its key or element; empty: the object is one.
    pub name: String,
    /// What it is.
    pub spec: S,
    /// What was done to it.
    pub history: History<S::Action>,
    /// For each call, its place among all calls.
    pub places: Vec<u32>,
}

/// A history in the words of a model.
#[derive(Clone, Debug)]
pub enum Bound {
    /// Registers.
    Registers(Vec<Part<Register>>),
    /// Strings that are appended to.
    Texts(Vec<Part<Text>>),
    /// Counters.
    Counter(Vec<Part<Counter>>),
    /// Sets: of one element each, or all in one.
    Sets(Vec<Part<Set>>),
    /// Queues.
    Queue(Vec<Part<Queue>>),
    /// Queues of which drains took more than one element.
    Drained(Vec<Part<Drained>>),
    /// Mutexes.
    Mutex(Vec<Part<Mutex>>),
    /// Mutexes with tokens.
    Fenced(Vec<Part<Fenced>>),
}

/// Tells calls in the words of an object. `initial`: what registers hold at first, if it is not nil.
pub fn bind(calls: &Calls, object: Object, initial: Option<&Value>) -> Result<Bound, Fault> {
    if initial.is_some() && !matches!(object, Object::Register | Object::Cas) {
        let what = format!(
            "a first value was given, and the history is about a {}; only a register and a cas can have one",
            object.title()
        );
        return Err(Fault::new(0, what));
    }
    for call in &calls.calls {
        if !object.operations().contains(&call.f.as_str()) {
            return Err(Fault::new(
                call.line,
                format!(
                    "a {} has no operation `{}`; it knows {}",
                    object.name(),
                    call.f,
                    object.operations().join(", ")
                ),
            ));
        }
    }
    if object == Object::Kv
        && let Some(call) = calls.calls.iter().find(|call| call.key.is_none())
    {
        let what = format!("the `{}` of process {} has no `key`", call.f, call.process);
        return Err(Fault::new(call.line, what));
    }
    let groups = keys::by_key(calls, object)?;
    match object {
        Object::Register | Object::Cas => {
            registers(groups, initial.unwrap_or(&Value::Null)).map(Bound::Registers)
        }
        Object::Kv => stores(groups),
        Object::Counter => {
            let counter = |(key, group)| Ok(part(key, Counter, each(&group, counter_action)?));
            let counters: Result<_, Fault> = groups.into_iter().map(counter).collect();
            counters.map(Bound::Counter)
        }
        Object::Set => {
            let by_element = !keys::has_keys(calls, object);
            let sets: Result<Vec<_>, Fault> = (groups.into_iter())
                .map(|(key, group)| sets(key, &group, by_element))
                .collect();
            Ok(Bound::Sets(sets?.into_iter().flatten().collect()))
        }
        Object::Queue => queues(groups),
        Object::Mutex => mutexes(groups),
    }
}

/// An action, and whether its outcome is known.
pub(super) type Told<A> = (A, bool);

/// A call with its place among all calls, told.
pub(super) type Placed<'a, A> = (u32, Asked<'a>, Told<A>);

fn part<S: Spec>(name: String, spec: S, actions: Vec<Placed<'_, S::Action>>) -> Part<S> {
    let places = actions.iter().map(|(place, ..)| *place).collect();
    let calls = actions.into_iter().map(|(_, raw, (action, known))| Call {
        call: raw.call,
        ret: if known { raw.ret } else { NEVER },
        known,
        action,
    });
    Part {
        name,
        spec,
        history: History::new(calls.collect()),
        places,
    }
}

/// Every call that may have had an effect or an answer, with its action.
fn each<'a, A>(
    calls: &Group<'a>,
    mut action: impl FnMut(Asked<'a>) -> Result<Option<Told<A>>, Fault>,
) -> Result<Vec<Placed<'a, A>>, Fault> {
    let mut actions = Vec::with_capacity(calls.len());
    for (place, call) in calls {
        if let Some(told) = action(*call)? {
            actions.push((*place, *call, told));
        }
    }
    Ok(actions)
}

/// A change that takes nothing from what it found: it happened, it did not, or nobody knows.
fn change<A>(call: &RawCall, action: A) -> Option<Told<A>> {
    match call.fate {
        Fate::Ok => Some((action, true)),
        Fate::Refused => None,
        Fate::Unknown => Some((action, false)),
    }
}

pub(super) fn wrong<T>(call: &RawCall, what: &str, found: &Value) -> Result<T, Fault> {
    let found = brief(found);
    Err(Fault::new(
        call.line,
        format!(
            "the `{}` of process {} {what}; found `{found}`",
            call.f, call.process
        ),
    ))
}

fn number(call: &RawCall, value: &Value, what: &str) -> Result<i64, Fault> {
    match value.as_i64() {
        Some(number) => Ok(number),
        None => wrong(call, what, value),
    }
}

/// Numbers for values; 0 is what was there at first.
struct Names(BTreeMap<String, u32>);

impl Names {
    fn new(initial: &Value) -> Names {
        Names(BTreeMap::from([(initial.to_string(), 0)]))
    }

    fn of(&mut self, value: &Value) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(value.to_string()).or_insert(next)
    }
}

fn registers(
    groups: BTreeMap<String, Group<'_>>,
    initial: &Value,
) -> Result<Vec<Part<Register>>, Fault> {
    let register = |(key, group)| {
        let mut names = Names::new(initial);
        let actions = each(&group, |call| register_action(call, &mut names))?;
        let values = names.0.len() as u32;
        Ok(part(key, Register { values }, actions))
    };
    groups.into_iter().map(register).collect()
}

fn register_action(
    call: Asked<'_>,
    names: &mut Names,
) -> Result<Option<Told<RegisterAction>>, Fault> {
    let argument = call.argument;
    match call.f.as_str() {
        "read" => {
            let is_ok = call.fate == Fate::Ok;
            Ok(is_ok.then(|| (RegisterAction::Read(names.of(call.result)), true)))
        }
        "write" => Ok(change(&call, RegisterAction::Write(names.of(argument)))),
        _ => {
            let Some([from, to]) = argument.as_array().map(Vec::as_slice) else {
                let what = "has the old and the new value as its argument";
                return wrong(&call, what, argument);
            };
            let (from, to) = (names.of(from), names.of(to));
            Ok(match call.fate {
                Fate::Ok => Some((RegisterAction::Swap(from, to), true)),
                // Refused without an error: it did not find the old value. With one, it never got as far.
                Fate::Refused => (!call.error).then_some((RegisterAction::Refuse(from), true)),
                Fate::Unknown => Some((RegisterAction::Swap(from, to), false)),
            })
        }
    }
}

fn stores(groups: BTreeMap<String, Group<'_>>) -> Result<Bound, Fault> {
    let mut parts = Vec::new();
    let appends = (groups.values().flatten()).any(|(_, call)| call.f == "append");
    for (key, group) in groups {
        // What a key holds at first: nothing, which stores show as nil or as an empty text.
        let mut strings = vec![Box::<str>::default()];
        let mut names = BTreeMap::from([(String::new(), 0)]);
        let mut name = |value: &Value| {
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            *names.entry(text.clone()).or_insert_with(|| {
                strings.push(text.into_boxed_str());
                strings.len() as u32 - 1
            })
        };
        let actions = each(&group, |call| {
            Ok(match call.f.as_str() {
                "get" if call.fate == Fate::Ok => Some((TextAction::Get(name(call.result)), true)),
                "get" => None,
                "put" => change(&call, TextAction::Put(name(call.argument))),
                _ => change(&call, TextAction::Append(name(call.argument))),
            })
        })?;
        let text = Text::new(strings, actions.iter().map(|(_, _, (action, _))| action));
        parts.push(part(key, text, actions));
    }
    if appends {
        return Ok(Bound::Texts(parts));
    }
    // Without appends, values are what registers hold, and the search can look ahead.
    let parts = parts.into_iter().map(|part| {
        let history = part.history.map(|action| match action {
            TextAction::Get(value) => RegisterAction::Read(value),
            TextAction::Put(value) | TextAction::Append(value) => RegisterAction::Write(value),
        });
        Part {
            name: part.name,
            spec: Register {
                values: part.spec.strings(),
            },
            history,
            places: part.places,
        }
    });
    Ok(Bound::Registers(parts.collect()))
}

fn counter_action(call: Asked<'_>) -> Result<Option<Told<CounterAction>>, Fault> {
    let by = || match call.argument.is_null() {
        true => Ok(1),
        false => number(&call, call.argument, "adds a whole number"),
    };
    Ok(match call.f.as_str() {
        "read" if call.fate == Fate::Ok => {
            let value = number(&call, call.result, "returns a whole number")?;
            Some((CounterAction::Read(value), true))
        }
        "read" => None,
        "dec" => change(&call, CounterAction::Add(by()?.wrapping_neg())),
        _ => change(&call, CounterAction::Add(by()?)),
    })
}

/// The set of a key: whole, or each of its elements for itself where nobody looked at the whole.
fn sets(key: String, group: &Group<'_>, by_element: bool) -> Result<Vec<Part<Set>>, Fault> {
    let mut elements = Names(BTreeMap::new());
    let mut reads: Vec<Vec<u32>> = Vec::new();
    let actions = each(group, |call| {
        let observed = (call.fate == Fate::Ok)
            .then(|| call.result.as_bool())
            .flatten();
        Ok(match call.f.as_str() {
            "add" => change(&call, SetAction::Add(elements.of(call.argument), observed)),
            "remove" => change(
                &call,
                SetAction::Remove(elements.of(call.argument), observed),
            ),
            _ if call.fate != Fate::Ok => None,
            "contains" => match call.result.as_bool() {
                Some(there) => {
                    let element = elements.of(call.argument);
                    Some((SetAction::Contains(element, there), true))
                }
                None => return wrong(&call, "returns true or false", call.result),
            },
            _ => match call.result.as_array() {
                Some(all) => {
                    reads.push(all.iter().map(|element| elements.of(element)).collect());
                    // Its name is known when all elements are.
                    Some((SetAction::Read(reads.len() as u32 - 1), true))
                }
                None => return wrong(&call, "returns a list of elements", call.result),
            },
        })
    })?;
    let count = elements.0.len() as u32;
    if !by_element || !reads.is_empty() {
        let mut set = Set::new(count);
        let names: Vec<u32> = (reads.into_iter()).map(|all| set.content(all)).collect();
        let named = actions.into_iter().map(|(place, call, (action, known))| {
            let action = match action {
                SetAction::Read(read) => SetAction::Read(names[read as usize]),
                other => other,
            };
            (place, call, (action, known))
        });
        return Ok(vec![part(key, set, named.collect())]);
    }
    // Nobody looked at the whole: each element is an object of its own.
    let names: BTreeMap<u32, String> = (elements.0.into_iter())
        .map(|(name, at)| (at, name))
        .collect();
    let mut by_element: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for (place, call, (action, known)) in actions {
        let (element, action) = match action {
            SetAction::Add(element, new) => (element, SetAction::Add(0, new)),
            SetAction::Remove(element, there) => (element, SetAction::Remove(0, there)),
            SetAction::Contains(element, there) => (element, SetAction::Contains(0, there)),
            SetAction::Read(_) => unreachable!("there are no reads"),
        };
        by_element
            .entry(element)
            .or_default()
            .push((place, call, (action, known)));
    }
    let parts = by_element.into_iter();
    Ok(parts
        .map(|(element, actions)| part(names[&element].clone(), Set::new(1), actions))
        .collect())
}

fn queues(groups: BTreeMap<String, Group<'_>>) -> Result<Bound, Fault> {
    let drains = (groups.values().flatten()).any(|(_, call)| call.f == "drain");
    let (mut plain, mut drained) = (Vec::new(), Vec::new());
    for (key, group) in groups {
        let mut elements = Names(BTreeMap::new());
        let mut enqueued = 0;
        let actions = each(&group, |call| {
            Ok(match call.f.as_str() {
                "enqueue" => {
                    enqueued += 1;
                    change(&call, QueueAction::Enqueue(elements.of(call.argument)))
                }
                "drain" => None,
                _ => match call.fate {
                    Fate::Ok if call.result.is_null() => Some((QueueAction::Empty, true)),
                    Fate::Ok => Some((QueueAction::Dequeue(elements.of(call.result)), true)),
                    // Refused without an error: there was nothing in it.
                    Fate::Refused => (!call.error).then_some((QueueAction::Empty, true)),
                    Fate::Unknown => Some((QueueAction::Dequeue(u32::MAX), false)),
                },
            })
        })?;
        match drains {
            false => plain.push(part(key, Queue::new(enqueued), actions)),
            true => {
                let element = |value: &Value| elements.of(value);
                drained.push(all_drained(key, &group, actions, enqueued, element)?);
            }
        }
    }
    Ok(match drains {
        false => Bound::Queue(plain),
        true => Bound::Drained(drained),
    })
}

fn mutexes(groups: BTreeMap<String, Group<'_>>) -> Result<Bound, Fault> {
    let token = |call: &Asked<'_>| {
        let named = (call.result.get("token")).or_else(|| call.result.get("fencing-token"));
        named.unwrap_or(call.result).as_i64()
    };
    let mut acquired = (groups.values().flatten())
        .filter(|(_, call)| call.f == "acquire" && call.fate == Fate::Ok)
        .peekable();
    let fenced = acquired.peek().is_some() && acquired.all(|(_, call)| token(call).is_some());
    let (mut plain, mut with_tokens) = (Vec::new(), Vec::new());
    for (key, group) in groups {
        // Numbered from 1: 0 is nobody.
        let mut clients = BTreeMap::new();
        for (_, call) in &group {
            let next = clients.len() as u32 + 1;
            clients.entry(call.process).or_insert(next);
        }
        if fenced {
            let actions = each(&group, |call| {
                let client = clients[&call.process];
                Ok(match (call.f.as_str(), call.fate) {
                    ("acquire", Fate::Refused) => {
                        (!call.error).then_some((FencedAction::Refused, true))
                    }
                    ("acquire", _) => {
                        let token = token(&call).unwrap_or(0);
                        change(&call, FencedAction::Acquire(client, token))
                    }
                    _ => change(&call, FencedAction::Release(client)),
                })
            })?;
            with_tokens.push(part(key, Fenced, actions));
            continue;
        }
        let actions = each(&group, |call| {
            let client = clients[&call.process];
            Ok(match (call.f.as_str(), call.fate) {
                ("acquire", Fate::Refused) => (!call.error).then_some((MutexAction::Refused, true)),
                ("acquire", _) => change(&call, MutexAction::Acquire(client)),
                _ => change(&call, MutexAction::Release(client)),
            })
        })?;
        let clients = clients.len() as u32;
        plain.push(part(key, Mutex { clients }, actions));
    }
    Ok(match fenced {
        true => Bound::Fenced(with_tokens),
        false => Bound::Mutex(plain),
    })
}
