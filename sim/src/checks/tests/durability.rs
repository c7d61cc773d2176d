//! What must be on disk before it is said, and what is committed on a quorum of disks.

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
    bed.see(S2, Observed::Damaged(Harm::Rot));
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
    bed.ack_epoch(S1, S2, 1);
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
    bed.ack_epoch(S3, S2, 1);
    bed.breaks(
        "epoch-promised-once",
        "s2 promises epoch 1 to s3 and counts for it, having promised epoch 1 to s1 before",
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
    bed.adopt(S3, 2);
    bed.breaks(
        "durability-before-ack",
        "s3 writes currentEpoch 2 before its history",
    );
    bed.applied(S3, z(1, 1), None, false);
    bed.applied(S3, z(1, 2), None, false);
    bed.also_says("disk-only-recovery", "s3's tree comes to ⟨1,1⟩");
    bed.ack_new_leader(S2, S3, 2);
    bed.establish(S2, 2);
    let detail = &bed.checks.reports()[super::super::CheckId::DurabilityBeforeAck as usize].detail;
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

/// A3: the epoch is written as soon as it is heard of.
#[test]
fn the_epoch_is_taken_over_before_newleader() {
    let mut bed = Bed::new();
    bed.discover(S1, S2, 1);
    bed.adopt(S2, 1);
    bed.breaks(
        "durability-before-ack",
        "s2 writes currentEpoch 1 before its history: s1 has sent NEWLEADER of none",
    );
}

/// That a disk is damaged says nothing of what was never on it.
#[test]
fn a_damaged_disk_is_no_excuse_for_a_history_that_it_never_held() {
    let mut bed = Bed::serving();
    bed.see(S3, Observed::Damaged(Harm::Rot));
    bed.look(S2);
    bed.discover(S2, S3, 2);
    bed.send_diff(S2, S3, 2);
    bed.establish(S2, 2);
    bed.breaks(
        "durability-before-ack",
        "s2 has established epoch 2 on the history up to ⟨1,2⟩; history and epoch are durable only at s2",
    );
}

#[test]
fn a_disk_that_held_it_when_it_was_wiped_counts() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.discover(S2, S3, 2);
    bed.send_diff(S2, S3, 2);
    bed.take_diff(S2, S3, 2);
    bed.ack_new_leader(S2, S3, 2);
    bed.wipe(S3);
    bed.establish(S2, 2); // the acknowledgement was under way
    bed.holds();
}

/// A9: the leader takes the end of its log for another than it is.
#[test]
fn established_on_another_history_than_its_own() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.discover(S2, S3, 2);
    bed.send_diff(S2, S3, 2);
    bed.take_diff(S2, S3, 2);
    bed.ack_new_leader(S2, S3, 2);
    bed.note(
        S2,
        Note::Established {
            epoch: Epoch(2),
            history: z(1, 3),
        },
    );
    bed.breaks(
        "durability-before-ack",
        "on the history up to ⟨1,3⟩; its log is durable up to ⟨1,2⟩",
    );
}

#[test]
fn acknowledged_without_being_in_the_log() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.elect(S2, S3, 2);
    bed.write(S2, S3, z(2, 1));
    bed.send(S3, S2, Message::Ack { zxid: z(1, 3) });
    bed.breaks(
        "durability-before-ack",
        "s3 acknowledges ⟨1,3⟩, which is not in its log",
    );
}

#[test]
fn a_current_epoch_that_is_not_on_disk() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.role(S3, PeerState::Leading, Phase::Discovery, 0, Some(S3));
    bed.role(S2, PeerState::Following, Phase::Discovery, 0, Some(S3));
    bed.accept(S3, 2);
    bed.send(S3, S2, Message::LeaderInfo { epoch: Epoch(2) });
    bed.accept(S2, 2);
    let message = Message::AckEpoch {
        last: z(1, 2),
        current: Some(Epoch(0)),
        floor: Zxid::ZERO,
    };
    bed.send(S2, S3, message);
    bed.breaks(
        "durability-before-ack",
        "s2 tells s3 in ACKEPOCH that its currentEpoch is 0; on disk it is 1",
    );
}

/// B9: a blank disk pretends to be a voter's.
#[test]
fn a_blank_server_introduces_itself_as_a_voter() {
    let mut bed = Bed::serving();
    bed.wipe(S2);
    bed.boot(S2);
    bed.role(S2, PeerState::Following, Phase::Discovery, 0, Some(S1));
    bed.holds();
    let message = Message::LearnerInfo {
        accepted: Epoch(0),
        observer: false,
        blank: false,
        config: Zxid::ZERO,
    };
    bed.send(S2, S1, message);
    bed.breaks(
        "durability-before-ack",
        "s2 introduces itself as a voter with acceptedEpoch 0; on disk it is 0, and the disk is not marked",
    );
}

#[test]
fn up_to_date_before_it_has_acknowledged() {
    let mut bed = Bed::serving();
    bed.look(S3);
    bed.role(S3, PeerState::Following, Phase::Discovery, 0, Some(S1));
    bed.introduce(S1, S3);
    bed.send(S1, S3, Message::LeaderInfo { epoch: Epoch(1) });
    bed.send(S1, S3, Message::UpToDate);
    bed.breaks(
        "durability-before-ack",
        "s1 sends UPTODATE to s3 without its ACK(NEWLEADER)",
    );
}
