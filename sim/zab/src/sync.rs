//! How a leader brings a learner up to date: the decision, as a pure function (`LearnerHandler.syncFollower` and
//! `queueCommittedProposals`).
//!
//! `last` is the tail of the learner's durable log, `committed` what the leader has in memory of the committed history.
//!
//! | learner's last zxid | decision |
//! | --- | --- |
//! | the leader's last | empty DIFF |
//! | beyond it, and no (e,0) | TRUNC to the leader's last |
//! | within memory's range, and known, or an (e,0) | DIFF |
//! | within the range, but unknown | TRUNC to the last common one, then DIFF; SNAP if the cut would cross an epoch |
//! | before the range | DIFF from the log on disk if it holds that zxid, else SNAP |
//! | anything else | SNAP |
//!
//! **Membership, not ranges** (ZOOKEEPER-1154): a server may come back with ⟨1,4⟩ which nobody else ever saw, and which lies
//! between the leader's ⟨1,3⟩ and ⟨2,1⟩. By number alone it would get the transactions after ⟨1,4⟩ and keep its own.
//!
//! **(e,0)** is no transaction: ZooKeeper's servers may report it, ours report the tail of their log (**BASE**). A peer that
//! does report it has the whole history before epoch e, so a DIFF within the range is right, and a TRUNC to or from it never.
//!
//! **Floor** (**BASE**): a learner cannot cut its log below its oldest snapshot (ZOOKEEPER-4837); it tells the leader where
//! that is, and gets a SNAP instead.
//!
//! **TRUNC then DIFF.** ZooKeeper sends SNAP where the leader's next own transaction has another epoch than the learner's
//! last. With zxids that have no gaps inside an epoch that is every case of an unknown zxid within the range, so that TRUNC
//! then DIFF would never happen. It is safe whenever the learner has the transaction to cut to. It has: `last` of epoch k
//! exists, so k was established, so this leader's history contains k's initial history and agrees with the learner's up to
//! the last common transaction of k. We therefore ask that the cut *stays within* epoch k, and leave the rest to SNAP.

use crate::Zxid;

/// The leader's committed history as far as memory holds it.
pub(crate) struct Committed<'a> {
    /// The transaction before the first in memory.
    pub(crate) base: Zxid,
    /// The last.
    pub(crate) last: Zxid,
    /// The greatest transaction at or below a zxid that is at least `base`.
    pub(crate) floor_of: &'a dyn Fn(Zxid) -> Zxid,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// The learner has everything.
    EmptyDiff,
    /// It lacks what follows its last.
    Diff,
    /// It has a tail too much.
    Trunc { to: Zxid },
    /// It has a tail too much, and lacks another.
    TruncDiff { to: Zxid },
    /// Memory does not reach back to it; perhaps the disk does.
    ReadDisk,
    /// It gets everything.
    Snap(Why),
}

/// Why a snapshot, as marks name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// The learner's last zxid is before what memory (and disk, if asked) hold.
    TooOld,
    /// The learner cannot cut so deep.
    BelowFloor,
    /// The cut would cross an epoch.
    CrossesEpoch,
    /// An (e,0) beyond the leader's history.
    NewEpochAhead,
}

impl Why {
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Why::TooOld => "snap-too-old",
            Why::BelowFloor => "snap-below-floor",
            Why::CrossesEpoch => "snap-crosses-epoch",
            Why::NewEpochAhead => "snap-new-epoch-zxid",
        }
    }
}

/// Decides; `may_read_disk` says whether a DIFF may be tried from the log on disk.
pub(crate) fn decide(
    last: Zxid,
    floor: Zxid,
    committed: &Committed<'_>,
    may_read_disk: bool,
) -> Decision {
    if last == committed.last {
        Decision::EmptyDiff
    } else if last > committed.last {
        if is_new_epoch(last) {
            return Decision::Snap(Why::NewEpochAhead);
        }
        cut(
            committed.last,
            floor,
            Decision::Trunc { to: committed.last },
        )
    } else if last >= committed.base {
        let common = (committed.floor_of)(last);
        assert!(committed.base <= common);
        decide_within(last, floor, common)
    } else if may_read_disk {
        Decision::ReadDisk
    } else {
        Decision::Snap(Why::TooOld)
    }
}

/// The learner's last lies within what is at hand, of memory or of the disk; `common` is the leader's greatest at or below it.
pub(crate) fn decide_within(last: Zxid, floor: Zxid, common: Zxid) -> Decision {
    assert!(common <= last);
    if common == last || is_new_epoch(last) {
        Decision::Diff
    } else if common.epoch() != last.epoch() {
        Decision::Snap(Why::CrossesEpoch)
    } else {
        cut(common, floor, Decision::TruncDiff { to: common })
    }
}

fn is_new_epoch(zxid: Zxid) -> bool {
    zxid.counter() == 0 && zxid != Zxid::ZERO
}

fn cut(to: Zxid, floor: Zxid, decision: Decision) -> Decision {
    if to >= floor {
        decision
    } else {
        Decision::Snap(Why::BelowFloor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    fn z(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    /// The leader's memory holds ⟨1,3⟩ to ⟨1,5⟩ and ⟨3,1⟩, ⟨3,2⟩; ⟨1,2⟩ is the base.
    fn decided(last: Zxid, floor: Zxid) -> Decision {
        let own = [z(1, 2), z(1, 3), z(1, 4), z(1, 5), z(3, 1), z(3, 2)];
        let floor_of = |zxid: Zxid| *own.iter().rfind(|own| **own <= zxid).expect("in range");
        let committed = Committed {
            base: own[0],
            last: own[5],
            floor_of: &floor_of,
        };
        decide(last, floor, &committed, true)
    }

    #[test]
    fn a_learner_with_everything_gets_an_empty_diff() {
        assert_eq!(decided(z(3, 2), Zxid::ZERO), Decision::EmptyDiff);
    }

    #[test]
    fn a_learner_within_memory_gets_a_diff_and_the_base_counts() {
        assert_eq!(decided(z(3, 1), Zxid::ZERO), Decision::Diff);
        assert_eq!(decided(z(1, 2), Zxid::ZERO), Decision::Diff);
    }

    #[test]
    fn a_tail_beyond_the_leader_is_cut() {
        assert_eq!(
            decided(z(3, 4), Zxid::ZERO),
            Decision::Trunc { to: z(3, 2) }
        );
        assert_eq!(decided(z(4, 1), z(3, 2)), Decision::Trunc { to: z(3, 2) });
    }

    #[test]
    fn a_stale_tail_inside_the_range_is_cut_and_not_taken_for_known() {
        let decision = Decision::TruncDiff { to: z(1, 5) };
        assert_eq!(decided(z(1, 9), Zxid::ZERO), decision);
    }

    #[test]
    fn a_cut_never_crosses_an_epoch() {
        let decision = Decision::Snap(Why::CrossesEpoch);
        assert_eq!(decided(z(2, 1), Zxid::ZERO), decision);
    }

    #[test]
    fn a_cut_below_the_oldest_snapshot_becomes_a_snapshot() {
        let decision = Decision::Snap(Why::BelowFloor);
        assert_eq!(decided(z(1, 9), z(1, 6)), decision);
        assert_eq!(decided(z(3, 4), z(3, 3)), decision);
    }

    #[test]
    fn a_new_epoch_zxid_is_no_transaction() {
        assert_eq!(decided(z(2, 0), Zxid::ZERO), Decision::Diff);
        assert_eq!(decided(z(3, 0), Zxid::ZERO), Decision::Diff);
        let decision = Decision::Snap(Why::NewEpochAhead);
        assert_eq!(decided(z(4, 0), Zxid::ZERO), decision);
    }

    #[test]
    fn a_learner_before_memory_is_looked_up_on_disk() {
        assert_eq!(decided(z(1, 1), Zxid::ZERO), Decision::ReadDisk);
        assert_eq!(decided(Zxid::ZERO, Zxid::ZERO), Decision::ReadDisk);
    }
}
