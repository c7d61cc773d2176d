//! What a restart makes of a disk.

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
    bed.see(S2, Observed::Damaged(Harm::Rot));
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
    bed.ack_epoch(S1, S3, 1);
    bed.send(
        S1,
        S3,
        Message::Snap {
            zxid: z(1, 2),
            membership: first(),
        },
    );
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

/// A1, A30: a synchronization is no excuse for what is in no log.
#[test]
fn a_tree_ahead_of_the_log_while_it_is_synchronized() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.discover(S2, S3, 2);
    bed.send_diff(S2, S3, 2);
    bed.applied(S3, z(1, 1), None, false);
    bed.breaks(
        "disk-only-recovery",
        "s3's tree comes to ⟨1,1⟩; its disk is durable up to ⟨0,0⟩",
    );
}

#[test]
fn a_snapshot_in_memory_excuses_what_is_in_it_and_no_more() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.discover(S2, S3, 2);
    bed.send(
        S2,
        S3,
        Message::Snap {
            zxid: z(1, 2),
            membership: first(),
        },
    );
    bed.restored(S3, z(1, 2));
    bed.holds();
    bed.applied(S3, z(1, 3), None, false);
    bed.breaks(
        "disk-only-recovery",
        "s3's tree comes to ⟨1,3⟩; its disk is durable up to ⟨0,0⟩, and the snapshot it was sent holds what is up to ⟨1,2⟩",
    );
}

#[test]
fn a_tree_that_is_in_no_snapshot() {
    let mut bed = Bed::serving();
    bed.restored(S2, z(1, 3));
    bed.breaks(
        "disk-only-recovery",
        "s2's tree comes to ⟨1,3⟩; its disk is durable up to ⟨1,2⟩",
    );
}

/// An old log is removed in the background, which is no excuse for a tree that lags.
#[test]
fn a_tree_behind_the_log_while_old_files_are_removed() {
    let mut bed = Bed::serving();
    bed.restored(S2, z(1, 1));
    let file = FileName::Snapshot {
        generation: 0,
        zxid: Zxid::ZERO,
    };
    bed.issue(S2, |ticket| DiskOp::Delete { file, ticket });
    bed.role(S2, PeerState::Looking, Phase::Election, 0, None);
    bed.breaks(
        "disk-only-recovery",
        "s2 looks for a leader with a tree at ⟨1,1⟩",
    );
}

/// The log was being cut behind ⟨1,2⟩: with or without ⟨1,3⟩ it is as it should be, with neither it is not.
#[test]
fn a_crash_in_a_truncation_takes_no_more_than_that() {
    for (kept, holds) in [(2, true), (3, true), (1, false)] {
        let mut bed = Bed::serving();
        let txn = bed.next_txn(S1, z(1, 3));
        bed.propose(S1, &txn);
        bed.sync(S1);
        let whole = bed.files(S1)[&LOG].to_vec();
        let len = |txns: usize| 24 + txns * txn.record.len();
        bed.issue(S1, |ticket| DiskOp::Truncate {
            file: LOG,
            len: len(2) as u64,
            ticket,
        });
        let mut files = bed.files(S1);
        files.insert(LOG, whole[..len(kept)].into());
        bed.see(S1, Observed::Crashed);
        bed.checks.at_crash(zabsim_types::Time(0), S1, &files);
        if holds {
            bed.holds();
        } else {
            bed.breaks(
                "disk-only-recovery",
                "ends with ⟨1,1⟩; durable was up to ⟨1,2⟩, written up to ⟨1,3⟩",
            );
        }
    }
}

/// A disk that was wiped reads well, so that it must be read as what it is.
#[test]
fn a_wiped_disk_is_held_to_what_it_holds_since() {
    let mut bed = Bed::serving();
    bed.wipe(S3);
    bed.holds();
    bed.boot(S3);
    let txn = Arc::new(Txn::new(z(1, 1), Zxid::ZERO, &anything()));
    bed.accept(S3, 1);
    bed.append(S3, &txn);
    bed.sync(S3);
    bed.holds();
    bed.crash(S3); // its files are still those of a blank disk
    bed.also_says(
        "disk-only-recovery",
        "s3 would restart with a history that ends with ⟨0,0⟩; durable was up to ⟨1,1⟩",
    );
}
