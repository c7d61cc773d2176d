//! Total order, local and global primary order, primary integrity.

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

/// A later epoch has begun and committed already: what this one owes is what was committed before it.
#[test]
fn a_leader_of_an_overtaken_epoch_broadcasts_on_a_tree_that_lags() {
    let mut bed = Bed::serving();
    bed.look(S1);
    bed.look(S2);
    bed.elect(S1, S2, 2);
    bed.look(S2);
    bed.elect(S2, S3, 3);
    bed.write(S2, S3, z(3, 1));
    bed.holds();
    bed.restored(S1, z(1, 1));
    let txn = bed.next_txn(S1, z(2, 1));
    bed.note(S1, Note::Proposed { txn });
    bed.breaks(
        "primary-integrity",
        "s1 broadcasts ⟨2,1⟩ while its tree stands at ⟨1,1⟩, though ⟨1,2⟩ is committed",
    );
}
