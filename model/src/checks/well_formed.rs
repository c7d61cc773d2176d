//! Well-formed: every completion has its invocation, once, at the same client, and time never goes back.
//!
//! Not a promise of the service but of the history itself; what the others conclude rests on it. Source: the definition of
//! a history in Herlihy and Wing, "Linearizability" (TOPLAS 1990).

use super::{Check, Evidence, Finding};

pub(super) const CHECK: Check = Check {
    name: "well-formed",
    about: "The history itself is one: completions fit invocations, time does not go back.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let events = evidence.history.events;
    let mut finding = Finding {
        examined: events.len() as u64,
        ..Finding::default()
    };
    for pair in events.windows(2) {
        if pair[1].time < pair[0].time {
            finding.fail(pair[1].time, || {
                format!(
                    "an event at {} stands behind one at {}",
                    pair[1].time, pair[0].time
                )
            });
        }
    }
    finding.with_detail("events".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, report};
    use zabsim_types::{HistoryKind, Time};

    #[test]
    fn time_does_not_go_back() {
        let mut run = World::tour();
        assert!(report(&run, "well-formed").ok());
        let last = run.history.len() - 1;
        run.history[last].time = Time::ZERO;
        assert!(!report(&run, "well-formed").ok());
    }

    #[test]
    fn a_completion_without_its_invocation_is_all_that_is_reported() {
        let mut run = World::tour();
        let invoke = |kind: &HistoryKind| matches!(kind, HistoryKind::Invoke { .. });
        let at = run.history.iter().position(|event| invoke(&event.kind));
        run.history.remove(at.expect("an invocation"));
        assert!(!report(&run, "well-formed").ok());
        assert_eq!(run.reports().len(), 1);
    }
}
