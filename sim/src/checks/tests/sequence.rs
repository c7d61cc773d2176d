//! The one committed sequence: prefix consistency, agreement, initial history integrity, monotonic commit points.

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
    bed.breaks(
        "prefix-consistency",
        "s1 commits ⟨1,3⟩, which follows ⟨1,2⟩ in its log; the committed sequence ends with ⟨2,1⟩",
    );
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

/// Two epochs later the numbers of the first are small: they are not therefore anybody's initial history.
#[test]
fn a_leader_deposed_long_ago_commits() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.elect(S2, S3, 2);
    bed.write(S2, S3, z(2, 1));
    bed.look(S2);
    bed.look(S3);
    bed.elect(S3, S2, 3);
    bed.holds();
    let txn = bed.next_txn(S1, z(1, 3));
    bed.propose(S1, &txn);
    bed.sync(S1);
    bed.note(S1, Note::Committed { zxid: z(1, 3) });
    bed.also_says(
        "initial-history-integrity",
        "s1 commits ⟨1,3⟩ though s3 has established epoch 3 on a history that ends with ⟨2,1⟩",
    );
}

/// What was wiped from its disk comes back from the leader before it serves.
#[test]
fn a_wiped_server_serves_with_less_than_it_delivered() {
    let mut bed = Bed::serving();
    bed.wipe(S2);
    bed.boot(S2);
    bed.role(
        S2,
        PeerState::Following,
        Phase::Synchronization,
        1,
        Some(S1),
    );
    bed.role(S2, PeerState::Following, Phase::Broadcast, 1, Some(S1));
    bed.breaks(
        "committed-monotonic",
        "though it has delivered ⟨1,2⟩ before",
    );
}
