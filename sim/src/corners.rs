//! Marks that only the clients' histories show: corners of sessions and recipes. They are counted when a run is over.

use std::collections::BTreeMap;
use zabsim_types::{ErrorCode, HistoryEvent, HistoryKind, RecipeStep, SessionChange};

/// Each mark's name, and what it means in one sentence.
pub(crate) const CORNERS: &[(&str, &str)] = &[
    (
        "client-closed",
        "A client closed its session and was answered.",
    ),
    (
        "client-expired",
        "A client learned from a server that its session is over.",
    ),
    (
        "client-reattached",
        "A client went on with its session on a new connection.",
    ),
    (
        "client-watches-set",
        "A client's watches were set again on a new connection.",
    ),
    (
        "conflict-version",
        "An operation was refused because of another version than it named.",
    ),
    (
        "election-won",
        "A candidate of the election recipe began to lead.",
    ),
    (
        "election-yielded",
        "A leader of the election recipe gave up its term, or lost it.",
    ),
    (
        "fence-refused",
        "A write with a stale fencing token was refused by the guarded resource.",
    ),
    (
        "lock-acquired",
        "A contender of the lock recipe held the lock.",
    ),
    (
        "lock-lost",
        "A holder of the lock recipe learned that it may hold it no longer.",
    ),
    (
        "outcome-never-left",
        "An operation failed that certainly never left its client.",
    ),
    (
        "outcome-unknown",
        "An operation was sent, and what came of it is not known.",
    ),
];

/// How often a history reached each of them.
pub(crate) fn corners(history: &[HistoryEvent]) -> BTreeMap<&'static str, u64> {
    let mut reached = BTreeMap::new();
    for event in history {
        if let Some(mark) = corner(&event.kind) {
            debug_assert!(CORNERS.iter().any(|(name, _)| *name == mark), "{mark}");
            *reached.entry(mark).or_default() += 1;
        }
    }
    reached
}

fn corner(kind: &HistoryKind) -> Option<&'static str> {
    let mark = match kind {
        HistoryKind::Fail {
            error: ErrorCode::BadVersion,
            ..
        } => "conflict-version",
        HistoryKind::Info { sent: true, .. } => "outcome-unknown",
        HistoryKind::Info { sent: false, .. } => "outcome-never-left",
        HistoryKind::Session { change } => match change {
            SessionChange::Connected {
                reattached: true, ..
            } => "client-reattached",
            SessionChange::WatchesSet { .. } => "client-watches-set",
            SessionChange::Expired => "client-expired",
            SessionChange::Closed => "client-closed",
            _ => return None,
        },
        HistoryKind::Recipe(event) => match event.step {
            RecipeStep::LockAcquired { .. } => "lock-acquired",
            RecipeStep::LockLost { .. } => "lock-lost",
            RecipeStep::FencedWrite {
                accepted: false, ..
            } => "fence-refused",
            RecipeStep::LeaderElected { .. } => "election-won",
            RecipeStep::LeaderResigned { .. } => "election-yielded",
            _ => return None,
        },
        _ => return None,
    };
    Some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_corner_is_told_from_its_neighbours() {
        let kinds = [
            HistoryKind::Session {
                change: SessionChange::Expired,
            },
            HistoryKind::Session {
                change: SessionChange::Disconnected,
            },
            HistoryKind::Session {
                change: SessionChange::Closed,
            },
        ];
        let marks: Vec<_> = kinds.iter().map(corner).collect();
        assert_eq!(marks, [Some("client-expired"), None, Some("client-closed")]);
    }
}
