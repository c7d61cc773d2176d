//! Between NEWLEADER and UPTODATE, and the logs of leader and follower: commit and history consistency.

use super::*;
use zabsim_types::ServerId;

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

/// ⟨1,3⟩ is smaller than what is committed, and committed by nobody.
#[test]
fn a_number_below_the_last_commit_is_not_committed_by_that() {
    let mut bed = Bed::serving();
    let stale = bed.next_txn(S1, z(1, 3));
    bed.propose(S1, &stale);
    bed.look(S2);
    bed.elect(S2, S3, 2);
    bed.write(S2, S3, z(2, 1));
    bed.holds();
    bed.note(S3, Note::Committed { zxid: z(2, 1) });
    bed.look(S1);
    bed.note(S1, Note::Committed { zxid: z(1, 3) });
    bed.breaks(
        "commit-consistency",
        "s1 takes ⟨1,3⟩ for committed, which no leader has committed; the last that one has is ⟨2,1⟩",
    );
}

/// A14, A17: what the leader lacks is in a snapshot, where no log entry tells of it.
#[test]
fn a_stale_snapshot_survives_a_diff() {
    let mut bed = Bed::serving();
    let stale = bed.next_txn(S1, z(1, 3));
    bed.propose(S1, &stale);
    bed.sync(S1);
    let (generation, zxid) = (1, z(1, 3));
    bed.disk(S1, |ticket| DiskOp::Rename {
        from: FileName::SnapshotPart { generation, zxid },
        to: FileName::Snapshot { generation, zxid },
        ticket,
    });
    bed.look(S2);
    bed.elect(S2, S3, 2);
    bed.role(S1, PeerState::Following, Phase::Discovery, 0, Some(S2));
    bed.introduce(S2, S1);
    bed.send(S2, S1, Message::LeaderInfo { epoch: Epoch(2) });
    bed.accept(S1, 2);
    bed.ack_epoch(S2, S1, 2);
    bed.send_diff(S2, S1, 2);
    bed.adopt(S1, 2);
    bed.restored(S1, z(1, 3));
    bed.holds();
    bed.ack_new_leader(S2, S1, 2);
    bed.breaks(
        "history-consistency",
        "s1 follows s2 in epoch 2 with ⟨1,3⟩ in its log, which the leader's log (to ⟨1,2⟩) has not",
    );
}

/// The leader has only a snapshot of ⟨2,1⟩: what lies below by its number is not therefore in it.
#[test]
fn a_leaders_snapshot_does_not_hold_whatever_is_smaller() {
    let mut bed = Bed::serving();
    let stale = bed.next_txn(S1, z(1, 3));
    bed.propose(S1, &stale);
    bed.sync(S1);
    bed.look(S2);
    bed.elect(S2, S3, 2);
    bed.write(S2, S3, z(2, 1));
    let (generation, zxid) = (1, z(2, 1));
    bed.disk(S2, |ticket| DiskOp::Rename {
        from: FileName::SnapshotPart { generation, zxid },
        to: FileName::Snapshot { generation, zxid },
        ticket,
    });
    bed.look(S1);
    bed.holds();
    bed.role(S1, PeerState::Following, Phase::Discovery, 0, Some(S2));
    bed.introduce(S2, S1);
    bed.send(S2, S1, Message::LeaderInfo { epoch: Epoch(2) });
    bed.accept(S1, 2);
    bed.ack_epoch(S2, S1, 2);
    bed.send(S2, S1, Message::Diff { to: z(1, 2) });
    bed.send(S2, S1, Message::NewLeader { epoch: Epoch(2) });
    bed.adopt(S1, 2);
    bed.holds();
    bed.ack_new_leader(S2, S1, 2);
    bed.breaks("history-consistency", "with ⟨1,3⟩ in its log");
}

/// ⟨1,3⟩ reaches s3 in a snapshot from a leader that is never established; s3 leads next, and its log has no entry for it.
#[test]
fn an_initial_history_may_lie_in_a_snapshot_alone() {
    let mut bed = Bed::serving();
    let txn = bed.next_txn(S1, z(1, 3));
    bed.propose(S1, &txn);
    bed.look(S1);
    bed.look(S2);
    bed.discover(S1, S3, 2);
    snap(&mut bed, S1, S3, 2);
    bed.crash(S1);
    bed.look(S3);
    bed.discover(S3, S2, 3);
    snap(&mut bed, S3, S2, 3);
    let established = Note::Established {
        epoch: Epoch(3),
        history: z(1, 3),
    };
    bed.note(S3, established);
    bed.role(S3, PeerState::Leading, Phase::Broadcast, 3, Some(S3));
    bed.send(S3, S2, Message::UpToDate);
    bed.note(S2, Note::Committed { zxid: z(1, 3) });
    bed.holds();
}

/// A synchronization by SNAP up to ⟨1,3⟩, with the follower's ACK(NEWLEADER).
fn snap(bed: &mut Bed, leader: ServerId, follower: ServerId, epoch: u32) {
    let (generation, zxid) = (1, z(1, 3));
    bed.send(
        leader,
        follower,
        Message::Snap {
            zxid,
            membership: first(),
        },
    );
    let new_leader = Message::NewLeader {
        epoch: Epoch(epoch),
    };
    bed.send(leader, follower, new_leader);
    bed.restored(follower, zxid);
    bed.disk(follower, |ticket| DiskOp::Rename {
        from: FileName::SnapshotPart { generation, zxid },
        to: FileName::Snapshot { generation, zxid },
        ticket,
    });
    bed.adopt(follower, epoch);
    bed.ack_new_leader(leader, follower, epoch);
}
