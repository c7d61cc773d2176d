//! Exchanges of messages, word for word: each test's snapshot under `snapshots/` reads as the story that its name tells.
//! Pings, election messages and single disk operations are left out. `INSTA_UPDATE=always cargo test -p zab` writes them anew.

mod common;

use common::solo::Solo;
use common::{Bus, config, s};
use insta::assert_snapshot;
use std::sync::Arc;
use zab::{
    Config, Epoch, Message, PeerId, PeerSet, PeerState, QuorumConfig, QuorumRule, Txn, Zxid,
};

const SECOND: u64 = 1_000_000;

/// Three servers that serve, s3 leading epoch 1, with `txns` committed everywhere. The transcript begins behind that.
fn three(txns: u32, adjust: impl Fn(&mut Config)) -> Bus {
    let mut bus = Bus::majority(0, 3, adjust);
    bus.start_all();
    bus.settle();
    assert!(bus.nodes[&s(3)].leads(), "the highest id wins among equals");
    for _ in 0..txns {
        bus.propose();
        bus.run_for(20_000);
    }
    bus.settle();
    bus.transcript = Some(Vec::new());
    bus
}

fn commit(bus: &mut Bus, txns: u32) {
    for _ in 0..txns {
        bus.propose().expect("there is a leader");
        bus.run_for(20_000);
    }
}

/// The follower of s3 that has logged what nobody else has: s3 proposes it, is cut off with it, and loses its leadership.
fn strand_a_proposal_on_s3(bus: &mut Bus, txns: u32) {
    bus.partition(s(1), s(3));
    bus.partition(s(2), s(3));
    for _ in 0..txns {
        bus.propose_at(s(3));
    }
    bus.run_until(10 * SECOND, "s2 leads without s3", |bus| {
        bus.nodes[&s(2)].leads()
    });
    bus.run_until(10 * SECOND, "s3 gives up", |bus| !bus.nodes[&s(3)].leads());
    bus.run_for(SECOND);
}

#[test]
fn first_boot_of_three() {
    let mut bus = Bus::majority(0, 3, |_| {});
    bus.transcript = Some(Vec::new());
    bus.start_all();
    bus.settle();
    commit(&mut bus, 1);
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn empty_diff_for_a_follower_that_missed_nothing() {
    let mut bus = three(2, |_| {});
    bus.crash(s(1));
    bus.start(s(1));
    bus.settle();
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn diff_for_a_follower_that_missed_a_tail() {
    let mut bus = three(2, |_| {});
    bus.crash(s(1));
    commit(&mut bus, 2);
    bus.take_transcript();
    bus.start(s(1));
    bus.settle();
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn diff_from_the_log_on_disk() {
    let mut bus = three(2, |config| {
        config.commit_log_count = 1;
        config.disk_diff_bytes_max = 10_000;
    });
    bus.crash(s(1));
    commit(&mut bus, 3);
    bus.take_transcript();
    bus.start(s(1));
    bus.settle();
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn snap_for_a_follower_that_missed_more_than_memory_holds() {
    let mut bus = three(2, |config| config.commit_log_count = 1);
    bus.crash(s(1));
    commit(&mut bus, 3);
    bus.take_transcript();
    bus.start(s(1));
    bus.settle();
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn trunc_for_a_tail_that_nobody_else_has() {
    let mut bus = three(1, |_| {});
    strand_a_proposal_on_s3(&mut bus, 2);
    bus.take_transcript();
    bus.cut.clear();
    bus.settle();
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn trunc_and_diff_for_a_tail_that_others_passed_by() {
    let mut bus = three(1, |_| {});
    strand_a_proposal_on_s3(&mut bus, 2);
    commit(&mut bus, 1);
    bus.take_transcript();
    bus.cut.clear();
    bus.settle();
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn proposals_and_commits_arrive_during_synchronization() {
    let mut bus = three(1, |_| {});
    bus.crash(s(1));
    commit(&mut bus, 1);
    bus.take_transcript();
    bus.start(s(1));
    // One before the decision, the rest while the history is on its way, is logged, is acknowledged.
    bus.run_until(SECOND, "s1 has answered", |bus| {
        bus.nodes[&s(1)].peer().waiting_for().starts_with("DIFF")
    });
    for _ in 0..4 {
        bus.propose();
        bus.run_for(700);
    }
    bus.settle();
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn an_observer_joins_and_learns_by_inform() {
    let mut quorum = QuorumConfig::majority([1, 2].map(PeerId));
    quorum.observers.insert(s(3));
    let mut bus = Bus::new(0, [1, 2, 3].map(|id| config(id, &quorum)));
    bus.start(s(1));
    bus.start(s(2));
    bus.run_until(SECOND, "s2 leads", |bus| bus.nodes[&s(2)].leads());
    commit(&mut bus, 1);
    bus.transcript = Some(Vec::new());
    bus.start(s(3));
    bus.settle();
    commit(&mut bus, 1);
    bus.settle();
    assert_eq!(bus.nodes[&s(3)].peer().role().state, PeerState::Observing);
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn a_blank_disk_joins_and_counts_only_when_the_leader_has_proven_itself() {
    let mut bus = three(2, |_| {});
    bus.crash(s(1));
    bus.wipe(s(1));
    bus.start(s(1));
    bus.settle();
    assert!(!bus.nodes[&s(1)].peer().is_blank());
    commit(&mut bus, 1);
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn a_blank_disk_makes_no_quorum() {
    let mut bus = three(2, |_| {});
    bus.crash(s(1));
    bus.crash(s(2));
    bus.wipe(s(1));
    bus.start(s(1));
    bus.run_for(20 * SECOND);
    assert!(
        !bus.nodes.values().any(|node| node.serves()),
        "s2 may know more"
    );
    assert!(bus.nodes[&s(1)].peer().is_blank());
    bus.start(s(2));
    bus.settle();
}

#[test]
fn the_leader_is_lost() {
    let mut bus = three(1, |_| {});
    bus.crash(s(3));
    bus.run_until(10 * SECOND, "s2 leads", |bus| bus.nodes[&s(2)].leads());
    commit(&mut bus, 1);
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn the_counter_is_used_up() {
    let mut bus = three(1, |config| config.counter_max = 2);
    assert_eq!(bus.nodes[&s(3)].peer().proposals_left(), 1);
    commit(&mut bus, 1);
    bus.settle();
    assert_eq!(bus.nodes[&s(3)].peer().proposals_left(), 2);
    assert_snapshot!(bus.take_transcript());
}

#[test]
fn a_barrier_by_quorum_and_one_by_the_leader_alone() {
    let mut bus = three(1, |_| {});
    bus.propose();
    bus.sync_at(s(1), false);
    bus.sync_at(s(3), true);
    bus.run_for(SECOND / 50);
    assert_eq!(bus.oracle.barriers_passed, 1);
    assert_snapshot!(bus.take_transcript());
}

/// s1 has accepted epoch 2 from s3, which got no further.
fn promised_epoch_2() -> Solo {
    let mut solo = Solo::new(|_| {});
    let link = solo.follow(3, 0);
    solo.hear(link, Message::LeaderInfo { epoch: Epoch(2) });
    solo.input(zab::Input::LinkBroken { link });
    solo.text();
    solo
}

#[test]
fn epoch_rule_a_higher_epoch_is_accepted_on_disk_first() {
    let mut solo = promised_epoch_2();
    let link = solo.follow(2, 0);
    solo.hear(link, Message::LeaderInfo { epoch: Epoch(3) });
    assert_eq!(solo.peer.accepted_epoch(), Epoch(3));
    assert_snapshot!(solo.text());
}

#[test]
fn epoch_rule_the_same_epoch_is_answered_without_counting() {
    let mut solo = promised_epoch_2();
    let link = solo.follow(2, 0);
    solo.hear(link, Message::LeaderInfo { epoch: Epoch(2) });
    assert_snapshot!(solo.text());
}

#[test]
fn epoch_rule_a_lower_epoch_is_refused() {
    let mut solo = promised_epoch_2();
    let link = solo.follow(2, 0);
    solo.hear(link, Message::LeaderInfo { epoch: Epoch(1) });
    assert_eq!(solo.peer.accepted_epoch(), Epoch(2));
    assert_snapshot!(solo.text());
}

/// A history with a missing end must not be vouched for, whatever became of it on the way.
#[test]
fn newleader_before_all_that_diff_promised_is_illegal() {
    let follower_hears = |messages: &[Message]| {
        let mut solo = Solo::new(|_| {});
        let link = solo.follow(3, 0);
        solo.hear(link, Message::LeaderInfo { epoch: Epoch(2) });
        solo.hear(link, Message::Diff { to: z(1, 2) });
        for message in messages {
            solo.hear(link, message.clone());
        }
        solo.hear(link, Message::NewLeader { epoch: Epoch(2) });
        solo
    };
    let one = Arc::new(Txn::new(z(1, 1), Zxid::ZERO, b"x"));
    let two = Arc::new(Txn::new(z(1, 2), z(1, 1), b"x"));
    let mut history = vec![
        Message::Proposal(one),
        Message::Commit { zxid: z(1, 1) },
        Message::Proposal(two),
    ];
    for short in 0..=history.len() {
        let mut solo = follower_hears(&history[..short]);
        let said = "DIFF promised more history than came";
        assert!(solo.text().contains(said), "after {short} messages");
        assert_eq!(solo.peer.current_epoch(), Epoch(0));
        assert_eq!(solo.peer.role().state, zab::PeerState::Looking);
    }
    history.push(Message::Commit { zxid: z(1, 2) });
    assert_eq!(follower_hears(&history).peer.current_epoch(), Epoch(2));
}

/// The disk is slow at nothing here, so that the whole of NEWLEADER happens in one step; the order is what counts.
#[test]
fn newleader_history_then_epoch_then_acknowledgements() {
    let mut solo = Solo::new(|_| {});
    let link = solo.follow(3, 0);
    solo.hear(link, Message::LeaderInfo { epoch: Epoch(2) });
    solo.text();
    let txns: Vec<Arc<Txn>> = [(1, 1, Zxid::ZERO), (1, 2, z(1, 1)), (2, 1, z(1, 2))]
        .map(|(epoch, counter, prev)| Arc::new(Txn::new(z(epoch, counter), prev, b"x")))
        .into();
    solo.hear(link, Message::Diff { to: z(1, 2) });
    for txn in &txns {
        solo.hear(link, Message::Proposal(txn.clone()));
    }
    solo.hear(link, Message::Commit { zxid: z(1, 1) });
    solo.hear(link, Message::Commit { zxid: z(1, 2) });
    solo.hear(link, Message::NewLeader { epoch: Epoch(2) });
    solo.hear(link, Message::Commit { zxid: z(2, 1) });
    solo.hear(link, Message::UpToDate);
    assert_eq!(solo.peer.last_committed(), z(2, 1));
    assert_snapshot!(solo.text());
}

fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// s1 leads, as far as it and s2 are concerned; s2 and s3 are the test.
fn leading() -> (Solo, [zab::LinkId; 2]) {
    let mut solo = Solo::new(|_| {});
    solo.lead();
    let links = [solo.open(2, false), solo.open(3, false)];
    (solo, links)
}

fn info(accepted: u32, blank: bool) -> Message {
    Message::LearnerInfo {
        accepted: Epoch(accepted),
        observer: false,
        blank,
        config: Zxid::ZERO,
    }
}

fn ack_epoch(current: Option<u32>, last: Zxid) -> Message {
    Message::AckEpoch {
        last,
        current: current.map(Epoch),
        floor: Zxid::ZERO,
    }
}

#[test]
fn a_minus_one_answer_makes_no_quorum() {
    let (mut solo, [s2, s3]) = leading();
    solo.hear(s2, info(4, false));
    assert_eq!(solo.peer.accepted_epoch(), Epoch(5));
    solo.hear(s2, ack_epoch(None, Zxid::ZERO));
    assert_eq!(solo.peer.current_epoch(), Epoch(0), "s1 alone is no quorum");
    solo.hear(s3, info(0, false));
    solo.hear(s3, ack_epoch(Some(0), Zxid::ZERO));
    assert_eq!(solo.peer.current_epoch(), Epoch(5));
    // It is brought up to date like the others, and its history then counts.
    solo.hear(s2, Message::AckNewLeader { epoch: Epoch(5) });
    assert_eq!(solo.peer.role().phase, zab::Phase::Broadcast);
}

#[test]
fn a_leader_with_no_epoch_left_stops_and_says_so() {
    let (mut solo, [s2, _]) = leading();
    let effects = solo.hear(s2, info(u32::MAX, false));
    let Some(zab::Effect::Fatal { reason }) = effects.last() else {
        panic!("{effects:?}");
    };
    assert!(reason.contains("none left to lead"), "{reason}");
    assert_eq!(solo.peer.accepted_epoch(), Epoch(0));
}

#[test]
fn nothing_that_a_blank_server_says_makes_a_quorum() {
    let (mut solo, [s2, s3]) = leading();
    solo.hear(s2, info(0, true));
    assert_eq!(
        solo.peer.accepted_epoch(),
        Epoch(0),
        "no quorum has introduced itself"
    );
    solo.hear(s3, info(0, false));
    solo.hear(s2, ack_epoch(Some(0), Zxid::ZERO));
    assert_eq!(
        solo.peer.current_epoch(),
        Epoch(0),
        "no quorum has promised"
    );
    solo.hear(s3, ack_epoch(Some(0), Zxid::ZERO));
    solo.hear(s2, Message::AckNewLeader { epoch: Epoch(1) });
    assert_eq!(
        solo.peer.role().phase,
        zab::Phase::Synchronization,
        "no quorum has the history"
    );
    solo.hear(s3, Message::AckNewLeader { epoch: Epoch(1) });
    assert_eq!(solo.peer.role().phase, zab::Phase::Broadcast);
    // Only an answer of s3 proves that this leader still leads; the blank server's own does not.
    solo.text();
    solo.hear(s2, Message::Pong { round: 1 });
    assert!(!solo.text().contains("UPTODATE"));
    solo.hear(s3, Message::Pong { round: 1 });
    assert!(solo.text().contains("s1 → s2  UPTODATE"));
}

#[test]
fn who_knows_more_than_an_unestablished_leader_is_turned_away() {
    let (mut solo, [s2, s3]) = leading();
    solo.hear(s2, info(1, false));
    solo.hear(s2, ack_epoch(Some(0), Zxid::ZERO));
    assert_eq!(solo.peer.role().phase, zab::Phase::Synchronization);
    // The quorum of promises is there, the epoch is not established.
    solo.hear(s3, info(1, false));
    solo.text();
    solo.hear(s3, ack_epoch(Some(1), z(1, 1)));
    assert!(solo.text().contains("* ahead-of-leader"));
}

#[test]
fn an_acknowledgement_before_that_of_newleader_is_illegal() {
    let (mut solo, [s2, _]) = leading();
    solo.hear(s2, info(0, false));
    solo.hear(s2, ack_epoch(Some(0), Zxid::ZERO));
    solo.text();
    solo.hear(s2, Message::Ack { zxid: z(1, 1) });
    assert!(solo.text().contains("refuses ACK"));
}

#[test]
fn acknowledgements_die_with_their_link() {
    let (mut solo, [s2, _]) = leading();
    solo.hear(s2, info(0, false));
    solo.hear(s2, ack_epoch(Some(0), Zxid::ZERO));
    solo.hear(s2, Message::AckNewLeader { epoch: Epoch(1) });
    solo.disk_is_stuck = true;
    let payload = || b"x"[..].into();
    solo.input(zab::Input::Propose {
        zxid: z(1, 1),
        payload: payload(),
    });
    solo.input(zab::Input::Propose {
        zxid: z(1, 2),
        payload: payload(),
    });
    // s2 has both on disk, s1 none; then s2 comes back by another link, and is cut to what is committed.
    solo.hear(s2, Message::Ack { zxid: z(1, 2) });
    let again = solo.open(2, false);
    solo.hear(again, info(1, false));
    solo.hear(again, ack_epoch(None, z(1, 2)));
    assert!(solo.text().contains("TRUNC to ⟨0,0⟩"));
    solo.release_disk();
    assert_eq!(
        solo.peer.last_committed(),
        Zxid::ZERO,
        "s2 has nothing on disk any more"
    );
    solo.hear(again, Message::AckNewLeader { epoch: Epoch(1) });
    solo.hear(again, Message::Ack { zxid: z(1, 1) });
    assert_eq!(solo.peer.last_committed(), z(1, 1));
}

fn votes(ids: impl IntoIterator<Item = u8>) -> QuorumConfig {
    QuorumConfig::majority(ids.into_iter().map(PeerId))
}

/// Servers that were no members follow without a vote; from the reconfiguration on both quorums are needed, and both follow.
#[test]
fn two_servers_join() {
    let mut bus = Bus::with_joiners(0, 3, 2);
    bus.start_all();
    bus.settle();
    commit(&mut bus, 1);
    bus.settle();
    bus.transcript = Some(Vec::new());
    bus.reconfigure(votes(1..=5)).expect("both follow");
    bus.settle();
    commit(&mut bus, 1);
    bus.settle();
    assert_snapshot!(bus.take_transcript());
    for node in bus.nodes.values() {
        assert_eq!(node.peer().membership().active().quorum(), &votes(1..=5));
    }
}

/// The leader leaves: it commits the reconfiguration, names its successor, and goes; nobody elects anybody.
#[test]
fn the_leader_is_reconfigured_away() {
    let mut bus = three(1, |_| {});
    bus.reconfigure(votes([1, 2])).expect("both follow");
    bus.settle();
    commit(&mut bus, 1);
    bus.settle();
    assert_snapshot!(bus.take_transcript());
    assert!(bus.nodes[&s(2)].leads());
    assert!(bus.nodes[&s(3)].serves(), "it follows without a vote");
}

/// The leader of a reconfiguration that only its followers have logged is lost; its successor needs quorums of both, and
/// commits it with its own history.
#[test]
fn the_leader_is_lost_between_proposal_and_activation() {
    let mut bus = Bus::with_joiners(0, 3, 2);
    bus.start_all();
    bus.settle();
    commit(&mut bus, 1);
    bus.settle();
    bus.reconfigure(votes([2, 4, 5])).expect("all follow");
    let logged = |bus: &Bus| {
        [1, 2, 4].iter().all(|id| {
            let membership = bus.nodes[&s(*id)].peer().membership();
            membership.pending().is_some()
        })
    };
    bus.run_until(SECOND, "the followers have it", logged);
    bus.crash(s(3));
    bus.transcript = Some(Vec::new());
    bus.run_until(10 * SECOND, "the others go on", |bus| {
        bus.nodes.values().any(|node| node.leads())
    });
    bus.start(s(3));
    bus.settle();
    assert_snapshot!(bus.take_transcript());
    for node in bus.nodes.values() {
        let membership = node.peer().membership();
        assert_eq!(membership.active().quorum(), &votes([2, 4, 5]));
        assert_eq!(membership.pending(), None);
    }
}

/// Two groups of two, of which both are needed; the first of the first has twice the weight.
fn in_pairs(a: [u8; 2], b: [u8; 2]) -> QuorumConfig {
    let mut quorum = votes([a, b].concat());
    quorum.rule = QuorumRule::Hierarchical {
        groups: [a, b].map(|pair| pair.map(s).into()).into(),
        weights: [(s(a[0]), 2)].into(),
    };
    quorum
}

/// Groups and weights of the old ensemble are counted beside those of the new one: what is a quorum of one of them alone
/// commits nothing, and elects nobody who would.
#[test]
fn between_two_ensembles_in_groups_both_are_needed() {
    // One needs s1, s3 and s4; the other s5, s2 and s3.
    let (old, new) = (in_pairs([1, 2], [3, 4]), in_pairs([5, 4], [2, 3]));
    let quorum = |config: &QuorumConfig, ids: &[u8]| {
        config.is_quorum(ids.iter().map(|id| s(*id)).collect::<PeerSet>())
    };
    for (down, by_old, by_new) in [
        (None, true, true),
        (Some(2), true, false),
        (Some(5), true, false),
        (Some(1), false, true),
    ] {
        let up: Vec<u8> = (1..=5).filter(|id| Some(*id) != down).collect();
        assert_eq!((quorum(&old, &up), quorum(&new, &up)), (by_old, by_new));
        let mut bus = Bus::new(0, (1..=5).map(|id| config(id, &old)));
        bus.start_all();
        bus.settle();
        commit(&mut bus, 1);
        bus.settle();
        assert!(bus.nodes[&s(4)].leads(), "the highest id that votes");
        let zxid = bus.reconfigure(new.clone()).expect("all follow");
        if let Some(id) = down {
            bus.crash(s(id));
        }
        bus.run_for(20 * SECOND);
        let membership = bus.nodes[&s(4)].peer().membership();
        let in_force = membership.active().version() == zxid;
        assert_eq!(in_force, by_old && by_new, "without {down:?}");
        if let Some(id) = down {
            let pending = membership.pending().map(|config| config.version());
            assert_eq!(pending, Some(zxid), "without {down:?}");
            bus.start(s(id));
        }
        bus.settle();
        for node in bus.nodes.values() {
            assert_eq!(node.peer().membership().active().quorum(), &new);
        }
    }
}

/// What cannot be done is not begun.
#[test]
fn a_reconfiguration_is_refused_while_another_is_in_flight_or_nobody_would_follow() {
    use zab::ReconfigureRefusal::{InProgress, NoQuorum, NotLeading};
    let mut bus = three(0, |_| {});
    let refusal = |bus: &mut Bus, ids: &[u8]| {
        let voters = votes(ids.iter().copied());
        bus.reconfigure(voters).expect_err("it may not")
    };
    assert_eq!(refusal(&mut bus, &[1, 4, 5]), NoQuorum);
    let not_leading = bus.nodes[&s(1)].peer().may_reconfigure(&votes([1]));
    assert_eq!(not_leading, Err(NotLeading));
    bus.reconfigure(votes([1, 2])).expect("both follow");
    assert_eq!(refusal(&mut bus, &[1, 2, 3]), InProgress);
}
