//! FIFO client order: the requests of a session take effect in the order in which its client made them.
//!
//! Exactly, along the answers of a session as they arrived:
//! - on one connection they come in the order of the requests' numbers, and those were made in that order;
//! - an update's zxid is greater than every header before it; a read's is no smaller than the zxid of any update before it
//!   (one reads one's own writes).
//!
//! Source: ZooKeeper's guarantee of sequential consistency; "FIFO client order" and A-linearizability in Hunt et al.,
//! "ZooKeeper: Wait-free coordination" (ATC'10).

use super::linearizable_writes::said;
use super::{Check, Evidence, Finding};
use zabsim_types::Zxid;

pub(super) const CHECK: Check = Check {
    name: "fifo-client-order",
    about: "A session's requests take effect and are answered in the order in which they were made.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let mut finding = Finding::default();
    for session in &history.sessions {
        // A header before the update under consideration, and the last update.
        let (mut seen, mut written) = (Zxid::ZERO, Zxid::ZERO);
        // Of a session that is handed on, each client's last answer: its connections are its own. Most have one client.
        let mut last: Vec<(u32, u32)> = Vec::new();
        for at in &session.answered {
            let call = &history.calls[*at as usize];
            finding.examined += 1;
            if let Some((_, before)) = last.iter_mut().find(|(client, _)| *client == call.client) {
                let other = &history.calls[*before as usize];
                *before = *at;
                let numbers = (other.conn, other.xid) >= (call.conn, call.xid);
                if numbers || other.invoked > call.invoked {
                    let about = [other.done, call.done];
                    finding.fail_about(history.time(call.done), &about, || {
                        format!(
                            "{} (number {} on connection {}) was answered behind {} (number {} on connection {})",
                            said(call), call.xid.0, call.conn, said(other), other.xid.0, other.conn
                        )
                    });
                }
            } else {
                last.push((call.client, *at));
            }
            let floor = if call.is_update() { seen } else { written };
            if (call.is_update() && call.zxid <= floor) || call.zxid < floor {
                finding.fail_about(history.time(call.done), &[call.done], || {
                    format!(
                        "{} took effect at {}, though its session had seen {floor} before",
                        said(call),
                        call.zxid
                    )
                });
            }
            seen = seen.max(call.zxid);
            if call.is_update() {
                written = written.max(call.zxid);
            }
        }
    }
    finding.with_detail(format!("answers in {} sessions", history.sessions.len()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, get, report, set};
    use zabsim_types::{HistoryKind, Zxid};

    const NAME: &str = "fifo-client-order";

    #[test]
    fn replies_come_in_the_order_of_the_requests() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.invoke(1, set("/a", "x"));
        world.invoke(1, get("/a"));
        world.settle();
        let mut run = world.finish();
        assert!(report(&run, NAME).ok());
        let last = run.history.len() - 1;
        run.swap(last, last - 1);
        assert!(report(&run, NAME).detail.contains("was answered behind"));
    }

    #[test]
    fn one_reads_ones_own_write() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.now(1, get("/a"));
        let mut run = world.finish();
        let Some(HistoryKind::Ok { zxid, .. }) =
            run.history.last_mut().map(|event| &mut event.kind)
        else {
            panic!("a reply");
        };
        *zxid = Zxid(zxid.0 - 1);
        assert!(report(&run, NAME).detail.contains("had seen"));
    }
}
