//! Targets as text: `leader`, `s3`, `random-2`, or a list of them.

use super::reader::{FormatError, Value};
use crate::hint::did_you_mean;
use zabsim::plan::Target;
use zabsim_types::ServerId;

/// What a target may be, for messages and `zabsim list`.
pub const TARGETS: &[(&str, &str)] = &[
    (
        "sN",
        "the server with that number: s1, s2, …; voters first, then observers",
    ),
    (
        "leader",
        "the established leader of the highest epoch, else the one that tries to be",
    ),
    ("follower", "any server but the leader, drawn from the seed"),
    ("follower-N", "the N-th follower by number"),
    ("observer-N", "the N-th observer"),
    ("learner", "a learner that is being synchronized"),
    (
        "sender",
        "the sender of the message that triggered the fault, or the server where the event happened",
    ),
    ("receiver", "the receiver of that message"),
    (
        "majority",
        "voters that are a quorum, the leader among them",
    ),
    ("minority", "the voters that `majority` leaves"),
    ("all", "every server"),
    (
        "rest",
        "in a partition: every server that no other group names",
    ),
    ("random-N", "N servers, drawn from the seed"),
];

pub(super) fn read(value: &Value<'_>) -> Result<Target, FormatError> {
    if value.is_list() {
        let targets: Vec<_> = value.list()?.iter().map(read).collect::<Result<_, _>>()?;
        return match targets.len() {
            0 => Err(value.error("an empty list names nobody")),
            _ => Ok(Target::Several(targets)),
        };
    }
    let text = value.str()?;
    parse(text).ok_or_else(|| {
        let allowed: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        // A number in the wrong place should lead to the name with its number.
        let number: String = text.chars().filter(char::is_ascii_digit).collect();
        let number = if number.is_empty() { "1" } else { &number };
        let known: Vec<String> = allowed.iter().map(|n| n.replace('N', number)).collect();
        value.error(format!(
            "\"{text}\" is no target{}; allowed: {}, or a list of them",
            did_you_mean(text, known.iter().map(String::as_str)),
            allowed.join(", ")
        ))
    })
}

fn parse(text: &str) -> Option<Target> {
    let numbered = |prefix: &str| {
        text.strip_prefix(prefix)?
            .parse::<u8>()
            .ok()
            .filter(|n| *n > 0)
    };
    Some(match text {
        "leader" => Target::Leader,
        "follower" => Target::AnyFollower,
        "learner" => Target::Learner,
        "sender" => Target::Sender,
        "receiver" => Target::Receiver,
        "majority" => Target::Majority,
        "minority" => Target::Minority,
        "all" => Target::All,
        "rest" => Target::Rest,
        _ => {
            if let Some(n) = numbered("s") {
                Target::Server(ServerId(n))
            } else if let Some(n) = numbered("follower-") {
                Target::Follower(n)
            } else if let Some(n) = numbered("observer-") {
                Target::Observer(n)
            } else {
                Target::Random(numbered("random-")?)
            }
        }
    })
}

/// As `read` takes it, in TOML.
pub(super) fn write(target: &Target) -> String {
    match target {
        Target::Server(id) => format!("\"{id}\""),
        Target::Leader => "\"leader\"".into(),
        Target::Follower(n) => format!("\"follower-{n}\""),
        Target::AnyFollower => "\"follower\"".into(),
        Target::Observer(n) => format!("\"observer-{n}\""),
        Target::Learner => "\"learner\"".into(),
        Target::Sender => "\"sender\"".into(),
        Target::Receiver => "\"receiver\"".into(),
        Target::Majority => "\"majority\"".into(),
        Target::Minority => "\"minority\"".into(),
        Target::All => "\"all\"".into(),
        Target::Rest => "\"rest\"".into(),
        Target::Random(n) => format!("\"random-{n}\""),
        Target::Several(targets) => write_list(targets),
    }
}

pub(super) fn write_list(targets: &[Target]) -> String {
    format!(
        "[{}]",
        targets.iter().map(write).collect::<Vec<_>>().join(", ")
    )
}
