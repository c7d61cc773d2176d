//! What is delivered: broadcast, committed, once.

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

/// While its role drains a server applies what it knows to be committed, and what it does not, it replays.
#[test]
fn delivered_while_draining_what_was_never_committed() {
    let mut bed = Bed::serving();
    let txn = bed.next_txn(S1, z(1, 3));
    bed.propose(S1, &txn);
    bed.log(S1, S2, &txn);
    bed.role(S2, PeerState::Looking, Phase::Draining, 0, None);
    bed.applied(S2, z(1, 3), None, true);
    bed.breaks(
        "integrity",
        "s2 delivers ⟨1,3⟩ as committed, but it knows of commits up to ⟨1,2⟩ only",
    );
}

#[test]
fn what_was_committed_before_the_role_ended_may_be_delivered_while_it_drains() {
    let mut bed = Bed::serving();
    let txn = bed.next_txn(S1, z(1, 3));
    bed.propose(S1, &txn);
    bed.sync(S1);
    bed.log(S1, S2, &txn);
    bed.note(S1, Note::Committed { zxid: z(1, 3) });
    bed.note(S2, Note::Committed { zxid: z(1, 3) });
    let before = bed.examined("agreement");
    bed.role(S2, PeerState::Looking, Phase::Draining, 0, None);
    bed.applied(S2, z(1, 3), None, true);
    bed.holds();
    assert_eq!(bed.examined("agreement"), before + 1, "a delivery like any");
}

/// Before UPTODATE nobody has told the learner that its leader is established.
#[test]
fn delivered_before_the_leader_is_known_to_be_established() {
    let mut bed = Bed::serving();
    bed.look(S2);
    bed.discover(S2, S3, 2);
    bed.send_diff(S2, S3, 2);
    bed.take_diff(S2, S3, 2);
    bed.holds();
    bed.applied(S3, z(1, 2), None, true);
    bed.breaks("integrity", "s3 delivers ⟨1,2⟩ as committed");
}
