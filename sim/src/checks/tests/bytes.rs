//! The same bytes and the same trees under one zxid.

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
