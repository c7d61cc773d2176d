//! Snapshot reads: a read's answer is the state after exactly the transaction that its header names.
//!
//! Exactly: for a read `r` with header zxid `h`, its answer is what the reference model answers after all transactions of the
//! committed log up to `h`: data, children, every field of the `Stat`, or that the node is not there.
//!
//! Source: ZooKeeper's guarantee of atomicity; the reply header's zxid is the last one applied when the read was carried out
//! (`FinalRequestProcessor`), and no write is applied meanwhile (`CommitProcessor`).

use super::linearizable_writes::said;
use super::{Check, Evidence, Finding, NO_WITNESS};

pub(super) const CHECK: Check = Check {
    name: "snapshot-reads",
    about: "A read answers the state after exactly the transaction that its header names.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let Some(replay) = &evidence.replay else {
        return Finding::nothing(NO_WITNESS);
    };
    let history = &evidence.history;
    let mut finding = Finding {
        examined: replay.reads,
        ..Finding::default()
    };
    for wrong in &replay.wrong_reads {
        let Some(call) = wrong.call.map(|at| &history.calls[at as usize]) else {
            continue;
        };
        finding.fail_about(history.time(call.done), &[call.done], || {
            format!(
                "{} at {}: the model says {}, but it was {}",
                said(call),
                wrong.zxid,
                wrong.expected,
                wrong.observed
            )
        });
    }
    finding.with_detail("reads".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, report};
    use zabsim_types::{HistoryKind, Reply};

    const NAME: &str = "snapshot-reads";

    #[test]
    fn a_stale_value_is_found() {
        let mut run = World::tour();
        let good = report(&run, NAME);
        assert!(good.ok() && good.examined > 5, "{}", good.detail);
        let reads = run.history.iter_mut().rev();
        let data = reads.filter_map(|event| match &mut event.kind {
            HistoryKind::Ok {
                result: Reply::Data { data, .. },
                ..
            } => Some(data),
            _ => None,
        });
        *data.last().expect("a read") = Some(b"stale".as_slice().into());
        assert!(report(&run, NAME).detail.contains("the model says"));
    }

    #[test]
    fn a_child_too_few_is_found() {
        let mut run = World::tour();
        let names = run
            .history
            .iter_mut()
            .find_map(|event| match &mut event.kind {
                HistoryKind::Ok {
                    result: Reply::Children { names, .. },
                    ..
                } if !names.is_empty() => Some(names),
                _ => None,
            });
        names.expect("a list of children").pop();
        assert!(!report(&run, NAME).ok());
    }
}
