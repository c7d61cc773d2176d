//! Epochs on disk.

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

/// The damage was done before; what the new disk holds since then is held to as on any other.
#[test]
fn a_crash_takes_an_epoch_back_on_a_disk_that_was_wiped_before() {
    let mut bed = Bed::serving();
    bed.wipe(S3);
    bed.boot(S3);
    bed.accept(S3, 1);
    bed.holds();
    bed.crash(S3); // its files are still those of a blank disk
    bed.breaks("epoch-monotonicity", "s3 had acceptedEpoch 1");
}

mod promises {
    use super::*;

    /// s2 has promised epoch 1 to s1, and proposes it as its own.
    #[test]
    fn a_leader_proposes_an_epoch_that_it_has_promised_to_another() {
        let mut bed = Bed::new();
        bed.discover(S1, S2, 1);
        bed.look(S2);
        bed.role(S2, PeerState::Leading, Phase::Discovery, 0, Some(S2));
        bed.holds();
        bed.send(S2, S3, Message::LeaderInfo { epoch: Epoch(1) });
        bed.breaks(
            "epoch-promised-once",
            "s2 promises epoch 1 to s2 and counts for it, having promised epoch 1 to s1 before",
        );
    }

    #[test]
    fn a_leader_proposes_its_epoch_again_in_another_term() {
        let mut bed = Bed::new();
        bed.role(S1, PeerState::Leading, Phase::Discovery, 0, Some(S1));
        bed.accept(S1, 1);
        for learner in [S2, S3] {
            bed.send(S1, learner, Message::LeaderInfo { epoch: Epoch(1) });
        }
        bed.holds();
        bed.look(S1);
        bed.role(S1, PeerState::Leading, Phase::Discovery, 0, Some(S1));
        bed.send(S1, S2, Message::LeaderInfo { epoch: Epoch(1) });
        bed.breaks(
            "epoch-promised-once",
            "having promised epoch 1 to s1 before",
        );
    }

    /// The log has a flipped bit; the promise is on disk as it was.
    #[test]
    fn a_damaged_log_is_no_excuse_for_a_broken_promise() {
        let mut bed = Bed::new();
        bed.discover(S1, S2, 1);
        bed.see(S2, Observed::Damaged(Harm::Rot));
        bed.crash(S2);
        bed.boot(S2);
        bed.role(S3, PeerState::Leading, Phase::Discovery, 0, Some(S3));
        bed.accept(S3, 1);
        bed.send(S3, S2, Message::LeaderInfo { epoch: Epoch(1) });
        bed.holds();
        bed.ack_epoch(S3, S2, 1);
        bed.breaks("epoch-promised-once", "s2 promises epoch 1 to s3");
    }

    #[test]
    fn a_blank_disk_has_forgotten() {
        let mut bed = Bed::new();
        bed.discover(S1, S2, 1);
        bed.wipe(S2);
        bed.boot(S2);
        bed.role(S3, PeerState::Leading, Phase::Discovery, 0, Some(S3));
        bed.role(S2, PeerState::Following, Phase::Discovery, 0, Some(S3));
        bed.introduce(S3, S2);
        bed.accept(S3, 1);
        bed.send(S3, S2, Message::LeaderInfo { epoch: Epoch(1) });
        bed.accept(S2, 1);
        bed.ack_epoch(S3, S2, 1);
        bed.holds();
    }
}
