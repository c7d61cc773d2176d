//! Each check on a story played by hand that breaks it, and on one beside it that must not.

use super::testbed::{Bed, LOG, S1, S2, S3, anything, encoded, z};
use super::{Observed, STEP_CHECKS};
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

mod leadership {
    use super::*;

    /// B5: s2 has accepted epoch 1 from s1 already, and its answer to s3 is counted all the same.
    #[test]
    fn two_leaders_of_one_epoch() {
        let mut bed = Bed::serving();
        bed.look(S2);
        bed.discover(S3, S2, 1);
        bed.send_diff(S3, S2, 1);
        bed.breaks("epoch-promised-once", "s2 promises epoch 1 to s3");
        bed.also_says("leadership", "s3 leads epoch 1, which s1 has led before");
    }

    #[test]
    fn one_leader_in_two_terms() {
        let mut bed = Bed::serving();
        bed.look(S1);
        bed.look(S2);
        bed.discover(S1, S2, 1);
        bed.send_diff(S1, S2, 1);
        bed.breaks("epoch-promised-once", "s2 promises epoch 1 to s1");
        bed.also_says("leadership", "second term of office");
    }

    #[test]
    fn proposing_an_epoch_is_no_claim_yet() {
        let mut bed = Bed::new();
        for leader in [S1, S2] {
            bed.role(
                leader,
                PeerState::Leading,
                Phase::Discovery,
                0,
                Some(leader),
            );
            bed.accept(leader, 1);
            bed.send(leader, S3, Message::LeaderInfo { epoch: Epoch(1) });
        }
        bed.holds();
    }
}

mod integrity {
    use super::*;

    #[test]
    fn delivered_without_a_broadcast() {
        let mut bed = Bed::serving();
        let ghost = bed.next_txn(S1, z(1, 3));
        for id in [S1, S2] {
            bed.append(id, &ghost);
            bed.sync(id);
        }
        bed.commit(S1, S2, z(1, 3));
        bed.breaks(
            "integrity",
            "s1 delivers ⟨1,3⟩, which no leader ever broadcast",
        );
    }

    #[test]
    fn delivered_twice() {
        let mut bed = Bed::serving();
        bed.applied(S2, z(1, 2), None, true);
        bed.breaks("integrity", "each transaction is delivered once");
    }

    #[test]
    fn delivered_before_the_commit_is_known() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.sync(S1);
        bed.apply(S1, true);
        bed.breaks("integrity", "it knows of commits up to ⟨1,2⟩ only");
    }

    #[test]
    fn replay_is_no_delivery() {
        let mut bed = Bed::serving();
        bed.crash(S2);
        bed.boot(S2);
        bed.holds();
    }
}

mod order {
    use super::*;

    /// C6, seen at a server that delivers the second of two before the first.
    #[test]
    fn a_hole_in_what_is_delivered() {
        let mut bed = Bed::serving();
        for counter in [3, 4] {
            let txn = bed.next_txn(S1, z(1, counter));
            bed.propose(S1, &txn);
            bed.sync(S1);
            bed.log(S1, S2, &txn);
        }
        bed.note(S1, Note::Committed { zxid: z(1, 4) });
        bed.note(S2, Note::Committed { zxid: z(1, 4) });
        bed.holds();
        bed.applied(S2, z(1, 4), None, true);
        bed.breaks(
            "total-order",
            "s2 delivers ⟨1,4⟩ onto ⟨1,2⟩, but its predecessor is ⟨1,3⟩",
        );
        bed.also_breaks("local-primary-order");
    }

    #[test]
    fn a_leader_skips_a_number() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 4));
        bed.propose(S1, &txn);
        bed.breaks("local-primary-order", "the next number is ⟨1,3⟩");
    }

    /// B10: the counter has run over into the epoch.
    #[test]
    fn a_leader_broadcasts_in_an_epoch_that_is_not_its_own() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(2, 1));
        bed.note(S1, Note::Proposed { txn });
        bed.breaks(
            "local-primary-order",
            "s1 broadcasts ⟨2,1⟩ but has established epoch 1",
        );
    }

    #[test]
    fn a_later_epoch_before_the_end_of_an_earlier_one() {
        let mut bed = Bed::serving();
        bed.look(S1);
        bed.look(S2);
        bed.elect(S1, S2, 2);
        bed.write(S1, S2, z(2, 1));
        bed.join(S1, S3, 2);
        bed.holds();
        // s3's tree is thrown back to ⟨1,1⟩ and goes on with the new epoch from there.
        bed.restored(S3, z(1, 1));
        bed.applied(S3, z(2, 1), None, true);
        bed.also_breaks("global-primary-order");
        bed.also_breaks("total-order");
        bed.breaks("total-order", "its predecessor is ⟨1,2⟩");
    }

    #[test]
    fn a_leader_broadcasts_on_a_tree_that_lags() {
        let mut bed = Bed::serving();
        bed.look(S1);
        bed.look(S2);
        bed.elect(S1, S2, 2);
        bed.restored(S1, z(1, 1));
        let txn = bed.next_txn(S1, z(2, 1));
        bed.propose(S1, &txn);
        bed.breaks(
            "primary-integrity",
            "its tree stands at ⟨1,1⟩, though ⟨1,2⟩ is committed",
        );
    }
}

mod sequence {
    use super::*;

    /// A deposed leader goes on committing, by an acknowledgement that it should not have: two sequences.
    #[test]
    fn two_leaders_commit_beside_each_other() {
        let mut bed = Bed::serving();
        bed.look(S2);
        bed.elect(S2, S3, 2);
        bed.write(S2, S3, z(2, 1));
        bed.holds();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.sync(S1);
        bed.note(S1, Note::Committed { zxid: z(1, 3) });
        bed.breaks("prefix-consistency", "s1 commits ⟨1,3⟩, which follows ⟨1,2⟩ in its log; the committed sequence ends with ⟨2,1⟩");
        bed.also_breaks("initial-history-integrity");
        bed.also_breaks("primary-integrity");
        bed.also_breaks("committed-durability");
    }

    /// s2 has lost ⟨1,2⟩ for another transaction that nobody else has, and delivers it.
    #[test]
    fn a_server_delivers_what_the_others_never_will() {
        let mut bed = Bed::serving();
        let stray = bed.next_txn(S1, z(1, 3));
        bed.note(S1, Note::Proposed { txn: stray.clone() });
        bed.append(S2, &stray);
        bed.sync(S2);
        bed.note(S2, Note::Committed { zxid: z(1, 3) });
        bed.apply(S2, true);
        bed.also_breaks("agreement");
        bed.also_breaks("commit-consistency");
    }

    /// A3, B3, B9: whoever is established must have everything.
    #[test]
    fn a_leader_is_established_without_what_was_committed() {
        let mut bed = Bed::serving();
        bed.look(S2);
        bed.discover(S3, S2, 2);
        bed.establish(S3, 2);
        bed.breaks(
            "initial-history-integrity",
            "lacks ⟨1,2⟩, which is committed",
        );
    }

    #[test]
    fn a_follower_that_has_more_makes_no_harm() {
        let mut bed = Bed::serving();
        let tail = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &tail);
        bed.sync(S1);
        bed.look(S2);
        bed.elect(S2, S3, 2);
        bed.look(S1);
        bed.holds();
    }

    #[test]
    fn a_commit_point_goes_back() {
        let mut bed = Bed::serving();
        bed.note(S2, Note::Committed { zxid: z(1, 1) });
        bed.breaks("committed-monotonic", "from ⟨1,2⟩ to ⟨1,1⟩");
    }

    #[test]
    fn a_server_serves_again_with_less_than_it_delivered() {
        let mut bed = Bed::serving();
        bed.crash(S2);
        bed.boot(S2);
        bed.role(
            S2,
            PeerState::Following,
            Phase::Synchronization,
            1,
            Some(S3),
        );
        bed.restored(S2, Zxid::ZERO);
        bed.role(S2, PeerState::Following, Phase::Broadcast, 1, Some(S3));
        bed.breaks(
            "committed-monotonic",
            "though it has delivered ⟨1,2⟩ before",
        );
    }
}

mod synchronization {
    use super::*;

    /// A5: the leader counts a follower as synchronized whose tree lags.
    #[test]
    fn synchronized_before_applied() {
        let mut bed = Bed::serving();
        bed.look(S2);
        bed.discover(S2, S3, 2);
        bed.send_diff(S2, S3, 2);
        bed.take_diff(S2, S3, 2);
        bed.restored(S3, Zxid::ZERO); // as if nothing had been applied
        bed.ack_new_leader(S2, S3, 2);
        bed.breaks(
            "commit-consistency",
            "while its tree stands at ⟨0,0⟩; s2 synchronized it up to ⟨1,2⟩",
        );
    }

    #[test]
    fn serving_what_is_uncommitted() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.look(S1);
        bed.role(
            S1,
            PeerState::Following,
            Phase::Synchronization,
            1,
            Some(S2),
        );
        bed.role(S1, PeerState::Following, Phase::Broadcast, 1, Some(S2));
        bed.breaks("commit-consistency", "begins to serve with a tree at ⟨1,3⟩");
    }

    /// A9, A19: s1's own tail should have been cut.
    #[test]
    fn a_stale_tail_survives_a_diff() {
        let mut bed = Bed::serving();
        let stale = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &stale);
        bed.look(S2);
        bed.elect(S2, S3, 2);
        bed.look(S1);
        bed.join(S2, S1, 2);
        bed.breaks(
            "history-consistency",
            "s1 follows s2 in epoch 2 with ⟨1,3⟩ in its log",
        );
    }

    #[test]
    fn a_stale_tail_that_is_cut_is_none() {
        let mut bed = Bed::serving();
        let stale = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &stale);
        bed.look(S2);
        bed.elect(S2, S3, 2);
        bed.look(S1);
        bed.truncate(S1, 2);
        bed.note(S1, Note::Truncated { to: z(1, 2) });
        bed.restored(S1, z(1, 2));
        bed.join(S2, S1, 2);
        bed.holds();
    }

    /// A leader broadcasts first and logs as soon as its log is ready for it.
    #[test]
    fn a_follower_may_log_before_its_leader() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.note(S1, Note::Proposed { txn: txn.clone() });
        bed.log(S1, S2, &txn);
        bed.holds();
    }

    /// A quorum without the leader's own disk is a quorum.
    #[test]
    fn a_leader_may_commit_before_it_logs() {
        let mut bed = Bed::serving();
        bed.join(S1, S3, 1);
        let txn = bed.next_txn(S1, z(1, 3));
        bed.note(S1, Note::Proposed { txn: txn.clone() });
        bed.log(S1, S2, &txn);
        bed.log(S1, S3, &txn);
        bed.note(S1, Note::Committed { zxid: z(1, 3) });
        bed.send(S1, S2, Message::Commit { zxid: z(1, 3) });
        bed.note(S2, Note::Committed { zxid: z(1, 3) });
        bed.apply(S2, true);
        bed.append(S1, &txn);
        bed.sync(S1);
        bed.apply(S1, true);
        bed.write(S1, S2, z(1, 4));
        bed.holds();
    }

    /// A23, C4, A8: the follower never gets ⟨1,3⟩.
    #[test]
    fn a_hole_in_a_log() {
        let mut bed = Bed::serving();
        bed.write(S1, S2, z(1, 3));
        bed.join(S1, S3, 1);
        let missed = bed.next_txn(S1, z(1, 4));
        bed.propose(S1, &missed);
        let txn = bed.next_txn(S1, z(1, 5));
        bed.propose(S1, &txn);
        bed.append(S3, &txn);
        bed.breaks(
            "history-consistency",
            "s3 appends ⟨1,5⟩ behind ⟨1,3⟩; its predecessor is ⟨1,4⟩",
        );
    }
}

mod durability {
    use super::*;

    #[test]
    fn committed_on_one_disk_only() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.sync(S1);
        bed.append(S2, &txn); // no fsync
        bed.note(S1, Note::Committed { zxid: z(1, 3) });
        bed.breaks(
            "committed-durability",
            "⟨1,3⟩ is committed and durable only at s1, which is no quorum",
        );
    }

    #[test]
    fn a_committed_transaction_is_cut_off() {
        let mut bed = Bed::serving();
        bed.truncate(S2, 1);
        bed.breaks("committed-durability", "s2's disk has lost it");
    }

    #[test]
    fn a_damaged_disk_counts_with_what_it_held() {
        let mut bed = Bed::serving();
        bed.see(S2, Observed::Damaged);
        bed.truncate(S2, 0);
        bed.crash(S2);
        bed.holds();
        bed.see(S2, Observed::Resynchronized);
        bed.crash(S2);
        bed.breaks("committed-durability", "durable only at s1");
    }

    /// A2: the ACK of a proposal, without its fsync.
    #[test]
    fn acknowledged_before_the_fsync() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.append(S2, &txn);
        let ticket = bed.issue(S2, |ticket| DiskOp::Sync { file: LOG, ticket });
        bed.holds();
        bed.send(S2, S1, Message::Ack { zxid: z(1, 3) });
        bed.breaks(
            "durability-before-ack",
            "s2 acknowledges ⟨1,3⟩ while its log is durable up to ⟨1,2⟩ only",
        );
        bed.see(S2, Observed::DiskDone(ticket));
    }

    #[test]
    fn acknowledged_when_the_fsync_is_done() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.log(S1, S2, &txn);
        bed.holds();
    }

    /// An fsync covers what was appended before it was issued, not after.
    #[test]
    fn an_fsync_covers_nothing_that_came_after_it() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        let ticket = bed.issue(S2, |ticket| DiskOp::Sync { file: LOG, ticket });
        bed.append(S2, &txn);
        bed.see(S2, Observed::DiskDone(ticket));
        bed.note(S2, Note::Logged { zxid: z(1, 3) });
        bed.breaks(
            "durability-before-ack",
            "s2 takes its log for durable up to ⟨1,3⟩",
        );
    }

    /// B1: the accepted epoch is only in memory.
    #[test]
    fn a_promise_before_it_is_on_disk() {
        let mut bed = Bed::new();
        bed.role(S1, PeerState::Leading, Phase::Discovery, 0, Some(S1));
        bed.accept(S1, 1);
        bed.send(S1, S2, Message::LeaderInfo { epoch: Epoch(1) });
        bed.ack_epoch(S1, S2);
        bed.breaks(
            "durability-before-ack",
            "s2 sends ACKEPOCH to s1, which offered 1, while its acceptedEpoch on disk is 0",
        );
    }

    /// B5: the answer to an epoch that was accepted before counts.
    #[test]
    fn a_second_promise_of_one_epoch() {
        let mut bed = Bed::new();
        bed.discover(S1, S2, 1);
        bed.holds();
        bed.look(S2);
        bed.role(S3, PeerState::Leading, Phase::Discovery, 0, Some(S3));
        bed.accept(S3, 1);
        bed.send(S3, S2, Message::LeaderInfo { epoch: Epoch(1) });
        bed.ack_epoch(S3, S2);
        bed.breaks(
            "epoch-promised-once",
            "s2 promises epoch 1 to s3 and counts for it, having promised epoch 1 before",
        );
    }

    #[test]
    fn an_epoch_is_offered_before_it_is_on_disk() {
        let mut bed = Bed::new();
        bed.send(S1, S2, Message::LeaderInfo { epoch: Epoch(1) });
        bed.breaks("durability-before-ack", "s1 sends LEADERINFO(1)");
    }

    /// A1: the transactions of the DIFF are only in memory.
    #[test]
    fn synchronized_in_memory_only() {
        let mut bed = Bed::serving();
        bed.look(S2);
        bed.discover(S2, S3, 2);
        bed.send_diff(S2, S3, 2);
        bed.role(
            S3,
            PeerState::Following,
            Phase::Synchronization,
            2,
            Some(S2),
        );
        bed.applied(S3, z(1, 1), None, true);
        bed.applied(S3, z(1, 2), None, true);
        bed.holds();
        bed.adopt(S3, 2);
        bed.breaks(
            "durability-before-ack",
            "s3 has currentEpoch 2 on disk before its history",
        );
        bed.ack_new_leader(S2, S3, 2);
        bed.establish(S2, 2);
        let detail =
            &bed.checks.reports()[super::super::CheckId::DurabilityBeforeAck as usize].detail;
        assert!(detail.ends_with("(and 2 more)"), "{detail}");
    }

    /// B3: ACK(NEWLEADER) before currentEpoch.
    #[test]
    fn acknowledged_before_the_epoch_is_on_disk() {
        let mut bed = Bed::new();
        bed.discover(S1, S2, 1);
        bed.send_diff(S1, S2, 1);
        bed.role(
            S2,
            PeerState::Following,
            Phase::Synchronization,
            1,
            Some(S1),
        );
        bed.ack_new_leader(S1, S2, 1);
        bed.breaks(
            "durability-before-ack",
            "while its currentEpoch on disk is 0; it must be 1",
        );
    }

    #[test]
    fn up_to_date_without_a_quorum() {
        let mut bed = Bed::new();
        bed.discover(S1, S2, 1);
        bed.send_diff(S1, S2, 1);
        bed.send(S1, S2, Message::UpToDate);
        bed.breaks("durability-before-ack", "UPTODATE");
    }

    /// C6: COMMIT of what only the leader has.
    #[test]
    fn a_commit_is_sent_without_a_quorum() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.sync(S1);
        bed.send(S1, S2, Message::Commit { zxid: z(1, 3) });
        bed.breaks(
            "durability-before-ack",
            "s1 tells s2 that ⟨1,3⟩ is committed; durable it is at s1",
        );
    }
}

mod epochs {
    use super::*;

    #[test]
    fn an_epoch_goes_back() {
        let mut bed = Bed::new();
        bed.accept(S1, 3);
        bed.accept(S1, 2);
        bed.breaks("epoch-monotonicity", "s1's acceptedEpoch goes from 3 to 2");
    }

    #[test]
    fn the_current_epoch_overtakes_the_accepted_one() {
        let mut bed = Bed::new();
        bed.accept(S1, 1);
        bed.adopt(S1, 2);
        bed.breaks(
            "epoch-monotonicity",
            "s1's acceptedEpoch 1 is below its currentEpoch 2",
        );
    }

    /// B7 and B8: the log may be ahead of currentEpoch while a history is taken over, also over a crash, but not in office.
    #[test]
    fn a_log_ahead_of_its_epoch_is_allowed_until_newleader_is_acknowledged() {
        let mut bed = Bed::serving();
        bed.join(S1, S3, 1);
        bed.look(S2);
        bed.elect(S2, S3, 2);
        bed.write(S2, S3, z(2, 1));
        bed.look(S1);
        bed.look(S3);
        bed.discover(S3, S1, 3);
        bed.send_diff(S3, S1, 3);
        bed.role(
            S1,
            PeerState::Following,
            Phase::Synchronization,
            3,
            Some(S3),
        );
        let txn = Arc::new(Txn::new(z(2, 1), z(1, 2), &anything()));
        bed.append(S1, &txn);
        bed.sync(S1);
        bed.crash(S1); // currentEpoch 1, log ⟨2,1⟩
        bed.boot(S1);
        bed.holds();
        bed.ack_new_leader(S3, S1, 3);
        bed.also_breaks("epoch-monotonicity");
        bed.breaks("durability-before-ack", "currentEpoch on disk is 1");
    }

    #[test]
    fn a_transaction_of_an_epoch_that_nobody_was_promised() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S2, z(2, 1));
        bed.append(S2, &txn);
        bed.also_breaks("epoch-monotonicity");
    }

    #[test]
    fn a_crash_takes_an_epoch_back() {
        let mut bed = Bed::serving();
        bed.see(S1, Observed::Crashed);
        let mut files = bed.files(S1);
        files.insert(
            FileName::CurrentEpoch,
            super::super::testbed::small_file(2, 0),
        );
        bed.checks.at_crash(zabsim_types::Time(0), S1, &files);
        bed.breaks("epoch-monotonicity", "after a crash they are 1 and 0");
    }
}

mod bytes {
    use super::*;

    /// B1: two leaders of one epoch give one zxid to two transactions.
    #[test]
    fn one_zxid_two_transactions() {
        let mut bed = Bed::serving();
        let other = Arc::new(Txn::new(z(1, 2), z(1, 1), b"something else"));
        bed.accept(S3, 1);
        let first = Arc::new(Txn::new(z(1, 1), Zxid::ZERO, &anything()));
        bed.append(S3, &first);
        bed.holds();
        bed.append(S3, &other);
        bed.breaks("same-zxid-same-bytes", "s3 holds ⟨1,2⟩");
    }

    /// A11, D6: the trees have drifted apart.
    #[test]
    fn one_zxid_two_trees() {
        let mut bed = Bed::serving();
        bed.crash(S2);
        bed.boot(S2);
        bed.restored(S2, z(1, 1));
        bed.applied(S2, z(1, 2), Some(0xbad), false);
        bed.breaks(
            "same-zxid-same-digest",
            "s2's tree at ⟨1,2⟩ has the digest 0000000000000bad",
        );
    }

    /// D6, A18: the disk alone makes another tree than the servers had.
    #[test]
    fn a_disk_makes_another_tree() {
        let mut bed = Bed::serving();
        bed.end();
        bed.breaks("same-zxid-same-digest", "s1's tree at ⟨1,2⟩ has the digest");
    }

    #[test]
    fn a_fuzzy_tree_has_no_digest() {
        let mut bed = Bed::serving();
        bed.crash(S2);
        bed.boot(S2);
        bed.restored(S2, z(1, 1));
        bed.applied(S2, z(1, 2), None, false);
        bed.holds();
    }
}

mod disks {
    use super::*;

    #[test]
    fn an_fsynced_transaction_is_gone_after_a_crash() {
        let mut bed = Bed::serving();
        let mut files = bed.files(S2);
        let short = files[&LOG][..24].into();
        files.insert(LOG, short);
        bed.see(S2, Observed::Crashed);
        bed.checks.at_crash(zabsim_types::Time(0), S2, &files);
        bed.breaks("disk-only-recovery", "durable was up to ⟨1,2⟩");
        bed.also_breaks("committed-durability");
    }

    #[test]
    fn a_crash_may_keep_what_was_not_synced() {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        let mut log = bed.files(S1)[&LOG].to_vec();
        log.extend_from_slice(&txn.record);
        bed.see(S1, Observed::Crashed);
        let mut files = bed.files(S1);
        files.insert(LOG, log.into());
        bed.checks.at_crash(zabsim_types::Time(0), S1, &files);
        bed.note(
            S1,
            Note::Recovered {
                last: z(1, 3),
                accepted: Epoch(1),
                current: Epoch(1),
                torn_bytes: 0,
                blank: false,
            },
        );
        bed.holds();
    }

    #[test]
    fn a_disk_that_nothing_has_damaged_must_be_readable() {
        let mut bed = Bed::serving();
        let mut files = bed.files(S2);
        files.insert(FileName::CurrentEpoch, [0u8; 3].as_slice().into());
        bed.see(S2, Observed::Crashed);
        bed.checks.at_crash(zabsim_types::Time(0), S2, &files);
        bed.breaks("disk-only-recovery", "s2 could not restart from its disk");
    }

    #[test]
    fn a_damaged_disk_may_be_unreadable() {
        let mut bed = Bed::serving();
        let mut files = bed.files(S2);
        files.insert(FileName::CurrentEpoch, [0u8; 3].as_slice().into());
        bed.see(S2, Observed::Damaged);
        bed.see(S2, Observed::Crashed);
        bed.checks.at_crash(zabsim_types::Time(0), S2, &files);
        bed.holds();
    }

    /// A9, A12: memory and disk have come apart.
    #[test]
    fn a_tree_behind_the_log_looks_for_a_leader() {
        let mut bed = Bed::serving();
        bed.restored(S2, z(1, 1));
        bed.role(S2, PeerState::Looking, Phase::Election, 0, None);
        bed.breaks(
            "disk-only-recovery",
            "s2 looks for a leader with a tree at ⟨1,1⟩; a restart would bring it to ⟨1,2⟩",
        );
    }

    /// A30: applied, but in no log.
    #[test]
    fn a_tree_ahead_of_the_log() {
        let mut bed = Bed::serving();
        bed.applied(S2, z(1, 3), None, true);
        bed.breaks(
            "disk-only-recovery",
            "s2's tree comes to ⟨1,3⟩; its disk is durable up to ⟨1,2⟩",
        );
    }

    /// A17, A18: the log is cut, the snapshot above the cut stays.
    #[test]
    fn a_snapshot_above_the_cut() {
        let mut bed = Bed::serving();
        let (generation, zxid) = (0, z(1, 3));
        let txn = bed.next_txn(S1, zxid);
        bed.propose(S1, &txn);
        bed.sync(S1);
        bed.disk(S1, |ticket| DiskOp::Rename {
            from: FileName::SnapshotPart { generation, zxid },
            to: FileName::Snapshot { generation, zxid },
            ticket,
        });
        bed.truncate(S1, 2);
        bed.holds();
        bed.note(S1, Note::Truncated { to: z(1, 2) });
        bed.breaks(
            "disk-only-recovery",
            "s1 keeps a snapshot of ⟨1,3⟩ while its log ends with ⟨1,2⟩",
        );
    }

    /// A21: what stands in the file is not what was appended.
    #[test]
    fn other_bytes_in_the_file() {
        let mut bed = Bed::serving();
        let mut files = bed.files(S2);
        let mut log = files[&LOG].to_vec();
        let last = log.len() - 1;
        log[last] ^= 1;
        files.insert(LOG, log.into());
        bed.role(S2, PeerState::Looking, Phase::Draining, 0, None);
        let role = zab::Role {
            state: PeerState::Looking,
            phase: Phase::Election,
            epoch: Epoch(1),
            leader: None,
        };
        bed.see(S2, Observed::Role(&role));
        bed.holds();
        // The records before were compared when s2 began to serve; these two are new.
        bed.checks.at_role_change(zabsim_types::Time(0), S2, &files);
        bed.breaks(
            "disk-only-recovery",
            "holds ⟨1,2⟩ in other bytes than were appended",
        );
    }

    #[test]
    fn a_snapshot_from_the_leader_replaces_the_log() {
        let mut bed = Bed::serving();
        bed.look(S3);
        bed.role(S3, PeerState::Following, Phase::Discovery, 0, Some(S1));
        bed.send(S1, S3, Message::LeaderInfo { epoch: Epoch(1) });
        bed.accept(S3, 1);
        bed.ack_epoch(S1, S3);
        bed.send(S1, S3, Message::Snap { zxid: z(1, 2) });
        bed.send(S1, S3, Message::NewLeader { epoch: Epoch(1) });
        bed.role(
            S3,
            PeerState::Following,
            Phase::Synchronization,
            1,
            Some(S1),
        );
        bed.restored(S3, z(1, 2)); // in memory before it is on disk
        let (generation, zxid) = (1, z(1, 2));
        bed.disk(S3, |ticket| DiskOp::Rename {
            from: FileName::SnapshotPart { generation, zxid },
            to: FileName::Snapshot { generation, zxid },
            ticket,
        });
        bed.adopt(S3, 1);
        bed.ack_new_leader(S1, S3, 1);
        bed.holds();
    }
}

mod events {
    use super::*;

    #[test]
    fn an_illegal_message() {
        let mut bed = Bed::serving();
        let note = Note::IllegalMessage {
            message: "COMMIT",
            phase: Phase::Discovery,
            why: "nothing is outstanding",
        };
        bed.note(S2, note);
        bed.breaks(
            "no-illegal-event",
            "s2 got COMMIT in phase Discovery: nothing is outstanding",
        );
    }

    /// A6: the log thread is quicker than the main thread.
    #[test]
    fn an_ack_overtakes_newleaders() {
        let mut bed = Bed::serving();
        bed.look(S3);
        bed.role(
            S3,
            PeerState::Following,
            Phase::Synchronization,
            1,
            Some(S1),
        );
        bed.send(S3, S1, Message::Ack { zxid: Zxid::ZERO });
        bed.breaks("no-illegal-event", "before it has acknowledged NEWLEADER");
    }

    /// B11: a leader that lives on after a failed write.
    #[test]
    fn going_on_after_a_failed_write() {
        let mut bed = Bed::serving();
        bed.see(S1, Observed::DiskFailed);
        bed.send(S1, S2, Message::Ping { round: 1 });
        bed.breaks(
            "no-illegal-event",
            "after a disk operation has failed; it must stop",
        );
    }

    #[test]
    fn stopping_after_a_failed_write_is_right() {
        let mut bed = Bed::serving();
        bed.see(S1, Observed::DiskFailed);
        bed.see(S1, Observed::Fatal("fsync of log.0.1 failed"));
        bed.holds();
        assert!(bed.examined("no-illegal-event") > 0);
    }

    /// A7, B8: nothing outside is to blame.
    #[test]
    fn stopping_without_a_cause() {
        let mut bed = Bed::serving();
        bed.see(S1, Observed::Fatal("COMMIT without a proposal"));
        bed.breaks(
            "no-illegal-event",
            "nothing is wrong with its disk: COMMIT without a proposal",
        );
    }
}

mod ephemerals {
    use super::*;

    fn write(bed: &mut Bed, zxid: Zxid, session: i64, body: TxnBody) {
        let txn = Arc::new(Txn::new(zxid, bed.tail(S1), &encoded(session, body)));
        bed.propose(S1, &txn);
        bed.sync(S1);
        bed.log(S1, S2, &txn);
        bed.commit(S1, S2, zxid);
    }

    fn create(path: &str, session: i64) -> TxnBody {
        TxnBody::Create {
            path: path.into(),
            data: None,
            owner: SessionId(session),
            parent_creates: 1,
        }
    }

    /// D1: the create was prepared after the closeSession.
    #[test]
    fn an_ephemeral_of_a_session_that_has_ended() {
        let mut bed = Bed::serving();
        write(
            &mut bed,
            z(1, 3),
            7,
            TxnBody::CreateSession { timeout_ms: 1 },
        );
        write(&mut bed, z(1, 4), 7, create("/e", 7));
        let ephemerals = vec!["/e".into()];
        write(&mut bed, z(1, 5), 7, TxnBody::CloseSession { ephemerals });
        bed.holds();
        write(
            &mut bed,
            z(1, 6),
            7,
            TxnBody::Multi(vec![create("/late", 7)]),
        );
        bed.breaks(
            "ephemeral-owners",
            "⟨1,6⟩ creates the ephemeral /late of session 0x7",
        );
    }

    #[test]
    fn a_session_ends_without_one_of_its_ephemerals() {
        let mut bed = Bed::serving();
        write(
            &mut bed,
            z(1, 3),
            7,
            TxnBody::CreateSession { timeout_ms: 1 },
        );
        write(&mut bed, z(1, 4), 7, create("/e", 7));
        write(
            &mut bed,
            z(1, 5),
            7,
            TxnBody::CloseSession { ephemerals: vec![] },
        );
        bed.breaks(
            "ephemeral-owners",
            "⟨1,5⟩ ends session 0x7 and leaves its ephemerals /e",
        );
    }
}

fn session_begins(session: i64) -> Vec<u8> {
    encoded(session, TxnBody::CreateSession { timeout_ms: 1_000 })
}
