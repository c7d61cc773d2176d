//! Monotonic session: what a session has seen it never sees undone, on whatever server it goes on.
//!
//! Exactly: along everything that a session's client is given, in order, the zxid of a reply (or of the answer to
//! `SetWatches`) is no smaller than that of any reply before it, and than that of any watch event before it on the same
//! connection. Across connections neither an event nor the answer to `SetWatches` counts: a client tells its next server the
//! last zxid of a reply's header (`ClientCnxn.readResponse`), and neither of the two shows any data.
//!
//! Source: ZooKeeper's guarantee of a single system image; `ZooKeeperServer.processConnectRequest` refuses a client that has
//! seen more than the server.

use super::{Check, Evidence, Finding};
use std::collections::BTreeMap;
use zabsim_types::{HistoryKind, SessionChange, SessionId, Zxid};

pub(super) const CHECK: Check = Check {
    name: "monotonic-session",
    about: "A session never sees an older state than it saw before, on whatever server.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let mut finding = Finding::default();
    // Of each session, what replies showed, and what events showed on this connection.
    let mut seen: BTreeMap<SessionId, (Zxid, Zxid)> = BTreeMap::new();
    for event in history.events {
        let zxid = match &event.kind {
            HistoryKind::Ok { id, zxid, .. } | HistoryKind::Fail { id, zxid, .. } => {
                if !history.call(*id).is_some_and(|call| call.is_definite()) {
                    continue;
                }
                *zxid
            }
            HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } => {
                let (by_replies, by_events) = seen.entry(event.session).or_default();
                finding.examined += 1;
                if *zxid < *by_replies {
                    finding.fail(event.time, || {
                        let client = event.process.0;
                        format!("client {client} set its watches again at {zxid} after it had seen {by_replies}")
                    });
                }
                *by_events = (*zxid).max(*by_events);
                continue;
            }
            HistoryKind::Watch {
                zxid: Some(zxid), ..
            } => {
                // That it is not late is for the check of watches.
                let (_, by_events) = seen.entry(event.session).or_default();
                *by_events = (*zxid).max(*by_events);
                continue;
            }
            HistoryKind::Session {
                change: SessionChange::Connected { .. },
            } => {
                seen.entry(event.session).or_default().1 = Zxid::ZERO;
                continue;
            }
            _ => continue,
        };
        finding.examined += 1;
        let (by_replies, by_events) = seen.entry(event.session).or_default();
        let floor = (*by_replies).max(*by_events);
        if zxid < floor {
            finding.fail(event.time, || {
                let client = event.process.0;
                format!("client {client} got a reply at {zxid} after it had seen {floor}")
            });
        }
        *by_replies = zxid.max(*by_replies);
    }
    finding.with_detail(format!("replies in {} sessions", seen.len()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, get, report, set};

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
}
