//! Each check on a story played by hand that breaks it, and on one beside it that must not.

mod bytes;
mod disks;
mod durability;
mod ephemerals;
mod epochs;
mod events;
mod integrity;
mod leadership;
mod order;
mod sequence;
mod synchronization;

use super::testbed::{Bed, LOG, S1, S2, S3, anything, encoded, first, z};
use super::{Observed, STEP_CHECKS};
use crate::judge::Harm;
use std::sync::Arc;
use zab::{DiskOp, Epoch, FileName, Message, Note, PeerState, Phase, Txn, Zxid};
use zabsim_server::TxnBody;
use zabsim_types::SessionId;

/// The tutorial: a leader, two writes, a crash, another leader, a rejoin. Nothing is violated, and every check had work.
#[test]
fn an_honest_run_satisfies_every_check() {
    let mut bed = Bed::new();
    bed.real_digests = true;
    bed.elect(S1, S2, 1);
    bed.write(S1, S2, z(1, 1));
    bed.join(S1, S3, 1);
    bed.crash(S1);
    bed.look(S2);
    bed.look(S3);
    bed.elect(S3, S2, 2);
    let txn = Arc::new(Txn::new(z(2, 1), bed.tail(S3), &session_begins(7)));
    bed.propose(S3, &txn);
    bed.sync(S3);
    bed.log(S3, S2, &txn);
    bed.commit(S3, S2, z(2, 1));
    let bytes = encoded(7, TxnBody::CloseSession { ephemerals: vec![] });
    let txn = Arc::new(Txn::new(z(2, 2), bed.tail(S3), &bytes));
    bed.propose(S3, &txn);
    bed.sync(S3);
    bed.log(S3, S2, &txn);
    bed.commit(S3, S2, z(2, 2));
    bed.boot(S1);
    bed.join(S3, S1, 2);
    bed.end();
    bed.holds();
    let idle: Vec<_> = (bed.checks.reports().into_iter())
        .filter(|r| r.examined == 0)
        .map(|r| r.name)
        .collect();
    assert!(idle.is_empty(), "{idle:?} examined nothing");
}

#[test]
fn names_are_kebab_case_and_unique() {
    let mut names: Vec<_> = STEP_CHECKS.iter().map(|(name, _)| *name).collect();
    assert!(
        names
            .iter()
            .all(|n| n.chars().all(|c| c == '-' || c.is_ascii_lowercase()))
    );
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), STEP_CHECKS.len());
}

#[test]
fn the_first_violation_wins_and_the_others_are_counted() {
    let mut bed = Bed::serving();
    bed.applied(S3, z(9, 1), None, true);
    bed.applied(S3, z(9, 2), None, true);
    let first = bed.checks.violation().expect("a violation");
    assert_eq!(first.check, "disk-only-recovery");
    let report = (bed.checks.reports().into_iter())
        .find(|r| r.name == "integrity")
        .expect("a check");
    assert!(report.detail.ends_with("(and 1 more)"), "{}", report.detail);
}

fn session_begins(session: i64) -> Vec<u8> {
    encoded(session, TxnBody::CreateSession { timeout_ms: 1_000 })
}
