//! Well-formed: every completion has its invocation, once, at the same client, time never goes back, and a client is given things
//! by the connection that it has: connections are counted upwards, and nothing comes by one that is over.
//!
//! Not a promise of the service but of the history itself; what the others conclude rests on it. Source: the definition of
//! a history in Herlihy and Wing, "Linearizability" (TOPLAS 1990).

use super::history::Step;
use super::{Check, Evidence, Finding};
use zabsim_types::{HistoryKind, SessionChange};

pub(super) const CHECK: Check = Check {
    name: "well-formed",
    about: "The history itself is one: completions fit invocations, time does not go back.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let mut finding = Finding {
        examined: history.events.len() as u64,
        ..Finding::default()
    };
    for pair in history.times().windows(2) {
        if pair[1] < pair[0] {
            finding.fail(pair[1], || {
                format!("an event at {} stands behind one at {}", pair[1], pair[0])
            });
        }
    }
    // Of each client its last connection, and whether it is open.
    let mut conns = vec![(0, false); history.clients().len()];
    for (at, step) in history.steps() {
        let (client, by) = match step {
            Step::Done(call) => {
                let call = &history.calls[call as usize];
                if !call.is_reply() {
                    continue;
                }
                (call.client as usize, call.conn)
            }
            Step::Told(event) => match &event.kind {
                HistoryKind::Watch { conn, .. }
                | HistoryKind::Session {
                    change: SessionChange::WatchesSet { conn, .. },
                } => (history.client(event.process), *conn),
                HistoryKind::Session {
                    change: SessionChange::Connected { conn, .. },
                } => {
                    let (last, open) = &mut conns[history.client(event.process)];
                    if conn <= last {
                        finding.fail(event.time, || {
                            let client = event.process.0;
                            format!("client {client} has its connection {conn} behind {last}")
                        });
                    }
                    (*last, *open) = (*conn, true);
                    continue;
                }
                HistoryKind::Session { .. } => {
                    conns[history.client(event.process)].1 = false;
                    continue;
                }
                _ => continue,
            },
        };
        let (last, open) = conns[client];
        if !open || by != last {
            finding.fail(history.time(at), || {
                let client = history.events[at as usize].process.0;
                let is = if open { "open" } else { "over" };
                format!("client {client} was given something by connection {by}; its last is {last}, which is {is}")
            });
        }
    }
    finding.with_detail("events".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, report};
    use zabsim_types::{HistoryKind, SessionChange, Time};

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

    #[test]
    fn nothing_comes_by_a_connection_that_is_over() {
        let mut run = World::tour();
        let lost = run.history.iter().position(|event| {
            matches!(
                event.kind,
                HistoryKind::Session {
                    change: SessionChange::Disconnected
                }
            )
        });
        let lost = lost.expect("a loss");
        let again = run.history[lost..].iter().position(|event| {
            event.process == run.history[lost].process
                && matches!(event.kind, HistoryKind::Ok { .. })
        });
        let again = lost + again.expect("a reply on the next connection");
        let HistoryKind::Ok { conn, .. } = &mut run.history[again].kind else {
            panic!("a reply");
        };
        *conn -= 1;
        assert!(report(&run, "well-formed").detail.contains("its last is"));
    }
}
