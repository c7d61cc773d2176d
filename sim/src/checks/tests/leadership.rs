//! One leader an epoch, by a quorum.

use super::*;
use zab::PeerId;

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
    bed.breaks("epoch-promised-once", "s1 promises epoch 1 to s1");
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

/// s3 answers an offer that was long on its way, from a term of office that is over. It counts for nothing, and takes nothing
/// away from those who have answered the present one.
#[test]
fn an_answer_to_a_term_that_is_over() {
    let mut bed = Bed::serving();
    bed.look(S1);
    bed.look(S2);
    bed.role(S1, PeerState::Leading, Phase::Discovery, 0, Some(S1));
    bed.role(S3, PeerState::Following, Phase::Discovery, 0, Some(S1));
    bed.introduce(S1, S3);
    bed.accept(S1, 2);
    bed.send(S1, S3, Message::LeaderInfo { epoch: Epoch(2) });
    bed.look(S1);
    bed.discover(S1, S2, 3);
    bed.accept(S3, 2);
    bed.ack_epoch(S1, S3, 2);
    bed.send_diff(S1, S2, 3);
    bed.take_diff(S1, S2, 3);
    bed.ack_new_leader(S1, S2, 3);
    bed.establish(S1, 3);
    bed.serve(S1, S2, 3);
    bed.holds();
}

/// B5: s2 answers with −1, and is counted all the same.
#[test]
fn a_leader_without_a_quorum_of_promises() {
    let mut bed = Bed::new();
    bed.role(S1, PeerState::Leading, Phase::Discovery, 0, Some(S1));
    bed.accept(S1, 1);
    bed.send(S1, S2, Message::LeaderInfo { epoch: Epoch(1) });
    bed.accept(S2, 1);
    bed.role(
        S2,
        PeerState::Following,
        Phase::Synchronization,
        1,
        Some(S1),
    );
    let message = Message::AckEpoch {
        last: Zxid::ZERO,
        current: None,
        floor: Zxid::ZERO,
    };
    bed.send(S2, S1, message);
    bed.adopt(S1, 1);
    bed.role(S1, PeerState::Leading, Phase::Synchronization, 1, Some(S1));
    bed.holds();
    bed.send_diff(S1, S2, 1);
    bed.breaks(
        "leadership",
        "s1 sends NEWLEADER(1) to s2, with ACKEPOCH of s1, which is no quorum",
    );
}

/// B9: with a blank disk nobody makes up a quorum.
#[test]
fn a_blank_servers_promise_counts_for_nobody() {
    let mut bed = Bed::serving();
    bed.wipe(S2);
    bed.boot(S2);
    bed.discover(S3, S2, 2);
    bed.holds();
    bed.send_diff(S3, S2, 2);
    bed.breaks("leadership", "with ACKEPOCH of s3, which is no quorum");
}

/// B3, B5: history and epoch are on two disks, but nobody has said so.
#[test]
fn established_without_a_quorum_of_acknowledgements() {
    let mut bed = Bed::new();
    bed.discover(S1, S2, 1);
    bed.send_diff(S1, S2, 1);
    bed.take_diff(S1, S2, 1);
    bed.establish(S1, 1);
    bed.breaks(
        "leadership",
        "s1 has established epoch 1, with ACK(NEWLEADER) of s1, which is no quorum",
    );
}

/// ZOOKEEPER-498: s2 alone is a quorum, and elects a server whose vote weighs nothing.
#[test]
fn a_leader_without_weight() {
    let weighing = |first| zab::QuorumConfig {
        rule: zab::QuorumRule::Hierarchical {
            groups: vec![[S1, S2, S3].map(|id| PeerId(id.0)).into()],
            weights: [(PeerId(1), first), (PeerId(2), 3), (PeerId(3), 1)].into(),
        },
        ..zab::QuorumConfig::majority([S1, S2, S3].map(|id| PeerId(id.0)))
    };
    let mut bed = Bed::of(weighing(1));
    bed.elect(S1, S2, 1);
    bed.holds();
    let mut bed = Bed::of(weighing(0));
    bed.elect(S1, S2, 1);
    bed.breaks(
        "leadership",
        "s1 has established epoch 1, and its vote weighs nothing in any configuration",
    );
}
