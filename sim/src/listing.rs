//! What there is to check and to reach, by name: for lists, and for scenarios that say what a run must not leave out.

use crate::checks::STEP_CHECKS;
use crate::corners::CORNERS;

/// Marks that the world itself sets, beside [`zab::MARKS`].
const WORLD_MARKS: &[(&str, &str)] = &[
    (
        "client-out-of-turn",
        "A client sent a frame that its connection's state does not allow.",
    ),
    (
        "damage-refused",
        "Damage was not done, because no protocol would have survived it.",
    ),
    (
        "auth-refused",
        "A server refused to believe who a client says it is.",
    ),
    (
        "frame-too-long",
        "A client's request was longer than a frame may be.",
    ),
    ("swept", "A leader found containers or TTL nodes to remove."),
    (
        "ephemeral-of-unknown-session",
        "A new leader ended a session of which only ephemerals were left.",
    ),
    ("fatal", "A server stopped by its own decision."),
    (
        "local-session",
        "A server made a session that only itself knows.",
    ),
    (
        "local-session-closed",
        "A client closed a session that only its server knew.",
    ),
    (
        "local-session-expired",
        "A server ended a session of its own that was silent for too long.",
    ),
    (
        "local-session-upgraded",
        "A local session became a global one, because it made an ephemeral.",
    ),
    (
        "moved-while-upgrading",
        "A session went on elsewhere while the transaction that made it global was waiting.",
    ),
    (
        "read-only-knows-nothing",
        "A server without a leader did not serve readers, because it does not know what of its log is committed.",
    ),
    (
        "read-only-left",
        "A client found a full server and left one that only reads.",
    ),
    (
        "read-only-refused",
        "A server without a leader refused a client that was not content with that.",
    ),
    (
        "read-only-serves",
        "A server without a leader began to serve readers.",
    ),
    (
        "refused-from-future",
        "A client was turned away by a server that had seen less than itself.",
    ),
    ("restore-failed", "A snapshot could not be made sense of."),
    (
        "session-expired",
        "A leader ended a session that was silent for too long.",
    ),
    (
        "session-moved",
        "A request came by a server that no longer owned its session.",
    ),
    (
        "snapshot-installed",
        "A whole snapshot from a leader became a server's database.",
    ),
    (
        "snapshot-taken",
        "A running server's snapshot was completed.",
    ),
    ("sync-diff", "A learner got the tail that it lacked."),
    (
        "sync-diff-from-disk",
        "A DIFF was read from the log on disk.",
    ),
    ("sync-empty-diff", "A learner had everything already."),
    ("sync-snap", "A learner got a whole snapshot."),
    (
        "sync-trunc",
        "A learner cut off a tail that it had too much.",
    ),
    (
        "sync-trunc-diff",
        "A learner cut off a tail and got the leader's.",
    ),
    (
        "upgrade-refused",
        "A session was to become global after its client had been told that it had expired.",
    ),
];

/// Every check that a run reports, with one sentence: those of every step, those of the history, and liveness.
pub fn checks() -> Vec<(&'static str, &'static str)> {
    let history = zabsim_model::checks::ALL
        .iter()
        .map(|check| (check.name, check.about));
    let form = ("well-formed", "Requests and their outcomes fit together.");
    let liveness = (
        "liveness",
        "After the world has healed, a leader is established and every client finishes.",
    );
    STEP_CHECKS
        .iter()
        .copied()
        .chain([form])
        .chain(history)
        .chain([liveness])
        .collect()
}

/// Every mark that a run can report as reached, with one sentence, sorted by name.
pub fn marks() -> Vec<(&'static str, &'static str)> {
    let mut marks: Vec<_> = zab::MARKS
        .iter()
        .chain(WORLD_MARKS)
        .chain(CORNERS)
        .copied()
        .collect();
    marks.sort_unstable();
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One for each synchronization case, epoch rule, election branch, recovery path and recipe corner.
    #[test]
    fn there_are_marks_enough_to_steer_by() {
        assert!(marks().len() >= 60, "{}", marks().len());
    }

    #[test]
    fn names_are_given_once() {
        for names in [checks(), marks()] {
            let mut seen = std::collections::BTreeSet::new();
            for (name, about) in names {
                assert!(seen.insert(name), "{name} is there twice");
                assert!(
                    about.ends_with('.'),
                    "{name}: a sentence ends with a full stop"
                );
            }
        }
    }
}
