//! What may come of an explicit operation: `expect = "ok"`, or a list of what is allowed. A script that builds a schedule out
//! of operations has built it only if they came out as it thinks.

use super::reader::{FormatError, Value};
use std::fmt;
use zabsim::plan::Plan;
use zabsim_types::spell;
use zabsim_types::{ErrorCode, HistoryEvent, HistoryKind, Reply};

/// An outcome that a script allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// It succeeded.
    Ok,
    /// A server answered with an error, whichever.
    Refused,
    /// A server answered with that error.
    Error(ErrorCode),
    /// It was sent, and no answer came: it may have happened.
    Unknown,
    /// It never left the client.
    Unsent,
}

/// The words for outcomes, beside the errors' names.
pub const OUTCOMES: &[(&str, &str)] = &[
    ("ok", "it succeeded"),
    ("refused", "a server answered with an error, whichever"),
    (
        "NoNode",
        "a server answered with that error, by ZooKeeper's name for it: BadVersion, NodeExists, …",
    ),
    (
        "unknown",
        "it was sent, and no answer came: it may have happened",
    ),
    ("unsent", "it never left the client"),
];

const WORDS: [(&str, Allowed); 4] = [
    ("ok", Allowed::Ok),
    ("refused", Allowed::Refused),
    ("unknown", Allowed::Unknown),
    ("unsent", Allowed::Unsent),
];

/// One word, or a list of them.
pub(super) fn read(value: &Value<'_>) -> Result<Vec<Allowed>, FormatError> {
    let mut words = WORDS.to_vec();
    let errors = ErrorCode::ALL
        .iter()
        .filter(|error| **error != ErrorCode::Ok);
    words.extend(errors.map(|error| (error.name(), Allowed::Error(*error))));
    if !value.is_list() {
        return Ok(vec![value.word(&words)?]);
    }
    let list = value.list()?;
    if list.is_empty() {
        return Err(value.error("`expect` is an empty list, which nothing can be"));
    }
    list.iter().map(|item| item.word(&words)).collect()
}

/// The value of the key, as `read` takes it.
pub(super) fn write(allowed: &[Allowed]) -> String {
    let words: Vec<String> = allowed.iter().map(|a| format!("\"{a}\"")).collect();
    match words.as_slice() {
        [word] => word.clone(),
        words => format!("[{}]", words.join(", ")),
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Allowed::Error(error) => error.name(),
            word => {
                let named = WORDS.iter().find(|(_, known)| known == word);
                named.map_or("", |(name, _)| *name)
            }
        })
    }
}

/// What came of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    NotAsked,
    Ok,
    Error(ErrorCode),
    Unknown(ErrorCode),
    Unsent(ErrorCode),
    Pending,
}

impl Found {
    fn is(self, allowed: Allowed) -> bool {
        match (self, allowed) {
            (Found::Ok, Allowed::Ok) | (Found::Error(_), Allowed::Refused) => true,
            (Found::Error(found), Allowed::Error(error)) => found == error,
            // A request whose client still waits at the end has no known outcome either.
            (Found::Unknown(_) | Found::Pending, Allowed::Unknown) => true,
            (Found::Unsent(_), Allowed::Unsent) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::NotAsked => {
                f.write_str("never asked: its trigger did not fire, or its client was gone")
            }
            Found::Ok => f.write_str("ok"),
            Found::Error(error) => f.write_str(error.name()),
            Found::Unknown(error) => write!(f, "unknown ({})", error.name()),
            Found::Unsent(error) => write!(f, "unsent ({})", error.name()),
            Found::Pending => f.write_str("still without an answer"),
        }
    }
}

/// The operations that came out as none of what is allowed for them, in words. `expected` goes with the plan's operations; an
/// empty list allows everything.
pub(crate) fn unmet(
    plan: &Plan,
    expected: &[Vec<Allowed>],
    history: &[HistoryEvent],
) -> Vec<String> {
    let mut unmet = Vec::new();
    // A shrunk run has thousands of operations, and says of few how they must come out.
    let stated = expected.iter().enumerate();
    for (index, allowed) in stated.filter(|(_, allowed)| !allowed.is_empty()) {
        let found = found(plan, index, history);
        if allowed.iter().any(|a| found.is(*a)) {
            continue;
        }
        let allowed: Vec<String> = allowed.iter().map(Allowed::to_string).collect();
        unmet.push(format!(
            "op-{} (client {}, {}) came out as {found}, expected {}",
            index + 1,
            plan.ops[index].client,
            spell::op(&plan.ops[index].op),
            allowed.join(" or ")
        ));
    }
    unmet
}

fn found(plan: &Plan, index: usize, history: &[HistoryEvent]) -> Found {
    let call = plan.op_call(index);
    let mut found = Found::NotAsked;
    for event in history {
        match &event.kind {
            HistoryKind::Invoke { id, .. } if *id == call => found = Found::Pending,
            HistoryKind::Ok { id, result, .. } if *id == call => return replied(result),
            HistoryKind::Fail { id, error, .. } if *id == call => return Found::Error(*error),
            HistoryKind::Info {
                id, error, sent, ..
            } if *id == call => {
                return match sent {
                    true => Found::Unknown(*error),
                    false => Found::Unsent(*error),
                };
            }
            _ => {}
        }
    }
    found
}

/// A multi that changed nothing is answered, and yet an error: its culprit's.
fn replied(reply: &Reply) -> Found {
    let Reply::MultiFailed { errors } = reply else {
        return Found::Ok;
    };
    let culprit = errors.iter().find(|error| **error != ErrorCode::Ok);
    Found::Error(culprit.copied().unwrap_or(ErrorCode::SystemError))
}
