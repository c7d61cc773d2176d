//! Monotonic session: what a session has seen it never sees undone, on whatever server it goes on.
//!
//! Exactly: along everything that a session's client is given, in order, the zxid of a reply, or of the answer to
//! `SetWatches`, is no smaller than that of any reply, any watch event and any answer to `SetWatches` before it, on
//! this connection or an earlier one.
//!
//! A session that was made by a server without a quorum ends with its connection there; the client goes on in another, which
//! counts as the same here.
//!
//! Source: ZooKeeper's guarantee of a single system image; `ZooKeeperServer.processConnectRequest` refuses a client that has
//! seen more than the server. What a client has seen are the headers of its replies (`ClientCnxn.readResponse`, the reply to
//! `SetWatches` included). That an event counts is stricter than ZooKeeper: its client could be told of a change, and then read the
//! state before it at a server that lags; the client here names events too.

use super::history::{BySession, Step};
use super::{Check, Evidence, Finding};
use std::collections::BTreeMap;
use zabsim_types::{HistoryKind, ProcessId, SessionChange, SessionId, Zxid};

pub(super) const CHECK: Check = Check {
    name: "monotonic-session",
    about: "A session never sees an older state than it saw before, on whatever server.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let mut finding = Finding::default();
    // Of each session that was given anything, the newest state.
    let mut seen: BySession<Option<Zxid>> = BySession::new(history);
    let mut provisional: BTreeMap<ProcessId, SessionId> = BTreeMap::new();
    for (at, step) in history.steps() {
        let (what, seen, zxid) = match step {
            Step::Done(call) => {
                let call = &history.calls[call as usize];
                // An identity is proven to a connection: no state stands behind its answer, which carries zxid 0.
                let stateless = call.zxid == Zxid::ZERO && !call.names_state();
                if !call.is_definite() || call.is_proof() || stateless {
                    continue;
                }
                ("got a reply", seen.of_call(call), call.zxid)
            }
            Step::Told(event) => match &event.kind {
                HistoryKind::Session {
                    change: SessionChange::WatchesSet { zxid, .. },
                } => (
                    "set its watches again",
                    seen.of(history, event.session),
                    *zxid,
                ),
                HistoryKind::Session {
                    change:
                        SessionChange::Connected {
                            reattached: false,
                            read_only,
                            ..
                        },
                } => {
                    let former = provisional.remove(&event.process);
                    if let Some(zxid) = former.and_then(|session| *seen.of(history, session)) {
                        *seen.of(history, event.session) = Some(zxid);
                    }
                    if *read_only {
                        provisional.insert(event.process, event.session);
                    }
                    continue;
                }
                HistoryKind::Session {
                    change:
                        SessionChange::Expired | SessionChange::Closed | SessionChange::AuthFailed,
                } => {
                    provisional.remove(&event.process);
                    continue;
                }
                HistoryKind::Watch {
                    zxid: Some(zxid), ..
                } => {
                    // That it is not late is for the check of watches.
                    let seen = seen.of(history, event.session);
                    *seen = Some(*zxid).max(*seen);
                    continue;
                }
                _ => continue,
            },
        };
        finding.examined += 1;
        if let Some(before) = seen.filter(|before| zxid < *before) {
            finding.fail_about(history.time(at), &[at], || {
                let client = history.events[at as usize].process.0;
                format!("client {client} {what} at {zxid} after it had seen {before}")
            });
        }
        *seen = Some(zxid).max(*seen);
    }
    finding.with_detail(format!(
        "replies in {} sessions",
        seen.values().flatten().count()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, get, report, set, watch};

    use zabsim_types::{HistoryKind, Op, Zxid};

    const NAME: &str = "monotonic-session";

    /// A client that moves to a server which is behind what it has seen.
    #[test]
    fn moving_to_a_lagging_server_is_found() {
        let mut world = World::new(1, 2);
        world.now(1, create("/a"));
        world.now(1, set("/a", "x"));
        world.lose(1);
        let mut legal = world.clone();
        legal.catch_up(1);
        legal.reconnect(1, 1);
        legal.now(1, get("/a"));
        assert!(report(&legal.finish(), NAME).ok());
        // The same without the refusal of a client from the future.
        world.reconnect_unchecked(1, 1);
        world.read_where_it_is(1, get("/a"));
        let report = report(&world.finish(), NAME);
        assert!(
            report.detail.contains("after it had seen"),
            "{}",
            report.detail
        );
    }

    #[test]
    fn what_an_identity_is_answered_with_is_no_state() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        let (scheme, auth) = ("digest".into(), "me:secret".into());
        world.now(1, Op::AddAuth { scheme, auth });
        world.now(1, get("/a"));
        let answered = |run: &mut Run, nth: usize| {
            let mut zxids = run
                .history
                .iter_mut()
                .filter_map(|event| match &mut event.kind {
                    HistoryKind::Ok { zxid, .. } => Some(zxid),
                    _ => None,
                });
            *zxids.nth(nth).expect("so many are answered") = Zxid::ZERO;
        };
        let mut run = world.finish();
        answered(&mut run, 1);
        assert!(report(&run, NAME).ok());
        answered(&mut run, 2);
        assert!(!report(&run, NAME).ok());
    }

    /// It was told of a change, and reads the state before it: on a server that ZooKeeper's own rule would let it use.
    #[test]
    fn an_event_counts_on_the_next_connection() {
        let mut world = World::new(2, 2);
        world.now(1, create("/a"));
        world.now(1, watch("/a"));
        world.catch_up(1);
        world.invoke(2, set("/a", "x"));
        world.propose(2);
        world.catch_up(0);
        world.deliver_all(1);
        world.lose(1);
        assert!(!world.clone().reconnect(1, 1), "the server is behind");
        world.reconnect_unchecked(1, 1);
        world.read_where_it_is(1, get("/a"));
        let report = report(&world.finish(), NAME);
        assert!(report.detail.contains("got a reply"), "{}", report.detail);
    }
}
