//! The judge against brute force: every way in which history can be lost, tried.

use super::*;
use crate::stream::Stream;
use zab::{Epoch, Note, PeerId};

fn z(counter: u32) -> Zxid {
    Zxid::new(1, counter)
}

fn standing(epoch: u32, tail: u32, health: Health) -> Standing {
    let tail = if tail == 0 { Zxid::ZERO } else { z(tail) };
    Standing {
        epoch,
        tail,
        health,
    }
}

/// A voter's number to its weight.
type Weights<'a> = &'a [u32];

fn outweighs(weights: Weights<'_>, set: &BTreeSet<ServerId>) -> bool {
    let total: u32 = weights.iter().sum();
    let has: u32 = set.iter().map(|id| weights[id.0 as usize - 1]).sum();
    2 * has > total
}

fn judged(voters: &[Standing], owed: Zxid, weights: Weights<'_>) -> Result<(), Refusal> {
    let voters = (1..).map(ServerId).zip(voters.iter().copied()).collect();
    survivable(&voters, owed, &|set| outweighs(weights, set))
}

/// Tries every length that silent damage could have left of each log, every quorum, and every leader that this quorum would
/// accept: is there one whose history ends before what is owed?
fn something_can_be_lost(voters: &[Standing], owed: Zxid, weights: Weights<'_>) -> bool {
    let lengths: Vec<Vec<Zxid>> = voters
        .iter()
        .map(|standing| match standing.health {
            Health::KnownBad => vec![],
            Health::Intact => vec![standing.tail],
            Health::Silent => std::iter::once(Zxid::ZERO)
                .chain((1..=4).map(z))
                .filter(|&cut| cut <= standing.tail)
                .collect(),
        })
        .collect();
    (0..1_u32 << voters.len()).any(|members| {
        let quorum: Vec<usize> = (0..voters.len())
            .filter(|i| members >> i & 1 == 1)
            .collect();
        let set = quorum.iter().map(|&i| ServerId(i as u8 + 1)).collect();
        outweighs(weights, &set) && loses(voters, &lengths, &quorum, owed, &mut Vec::new())
    })
}

fn loses(
    voters: &[Standing],
    lengths: &[Vec<Zxid>],
    quorum: &[usize],
    owed: Zxid,
    votes: &mut Vec<Vote>,
) -> bool {
    let Some(&member) = quorum.get(votes.len()) else {
        let best = votes.iter().max().expect("a quorum has members");
        return best.1 < owed;
    };
    lengths[member].iter().any(|&tail| {
        votes.push((voters[member].epoch, tail));
        let lost = loses(voters, lengths, quorum, owed, votes);
        votes.pop();
        lost
    })
}

fn budget_is_kept(voters: &[Standing], weights: Weights<'_>) -> bool {
    let damaged = voters.iter().any(|s| s.health != Health::Intact);
    let undamaged = (1..)
        .map(ServerId)
        .zip(voters)
        .filter(|(_, s)| s.health == Health::Intact)
        .map(|(id, _)| id)
        .collect();
    !damaged || outweighs(weights, &undamaged)
}

/// Calls `see` with every state of so many voters.
fn each_state(
    count: usize,
    epochs: &[u32],
    tails: &[u32],
    state: &mut Vec<Standing>,
    see: &mut dyn FnMut(&[Standing]),
) {
    if state.len() == count {
        return see(state);
    }
    for &epoch in epochs {
        for &tail in tails {
            for health in [Health::Intact, Health::Silent, Health::KnownBad] {
                state.push(standing(epoch, tail, health));
                each_state(count, epochs, tails, state, see);
                state.pop();
            }
        }
    }
}

fn agrees_with_brute_force(
    weights: Weights<'_>,
    epochs: &[u32],
    tails: &[u32],
    owed: &[u32],
) -> u32 {
    let mut survivable = 0;
    each_state(
        weights.len(),
        epochs,
        tails,
        &mut Vec::new(),
        &mut |voters| {
            for &owed in owed {
                let expected = budget_is_kept(voters, weights)
                    && !something_can_be_lost(voters, z(owed), weights);
                let judged = judged(voters, z(owed), weights);
                assert_eq!(
                    judged.is_ok(),
                    expected,
                    "{voters:?}, owed {owed}: {judged:?}"
                );
                survivable += u32::from(expected);
            }
        },
    );
    survivable
}

#[test]
fn three_voters_in_every_state() {
    let survivable = agrees_with_brute_force(&[1, 1, 1], &[1, 2], &[0, 1, 2, 3], &[1, 2, 3]);
    assert!(survivable > 500, "{survivable}");
}

#[test]
fn four_voters_with_and_without_weights_in_every_state() {
    for weights in [[1, 1, 1, 1], [2, 1, 1, 1], [3, 1, 1, 1], [2, 2, 1, 0]] {
        let survivable = agrees_with_brute_force(&weights, &[1, 2], &[1, 2], &[2]);
        assert!(survivable > 100, "{weights:?}: {survivable}");
    }
}

#[test]
fn five_voters_in_many_states() {
    let mut stream = Stream::new(1, "judge", 5);
    let mut survivable = 0;
    for _ in 0..20_000 {
        let voters: Vec<Standing> = (0..5)
            .map(|_| {
                let health = match stream.below(5) {
                    0 => Health::KnownBad,
                    1 => Health::Silent,
                    _ => Health::Intact,
                };
                standing(stream.below(2) as u32, 1 + stream.below(3) as u32, health)
            })
            .collect();
        let expected =
            budget_is_kept(&voters, &[1; 5]) && !something_can_be_lost(&voters, z(2), &[1; 5]);
        assert_eq!(
            judged(&voters, z(2), &[1; 5]).is_ok(),
            expected,
            "{voters:?}"
        );
        survivable += u32::from(expected);
    }
    assert!(survivable > 2_000, "{survivable}");
}

/// Where no epoch is involved, condition 2 is the simple rule: every quorum that could elect holds an intact voter with
/// everything.
#[test]
fn among_equal_epochs_one_intact_holder_in_every_electable_quorum_is_the_rule() {
    each_state(3, &[1], &[0, 1, 2], &mut Vec::new(), &mut |voters| {
        let electable = |i: usize| voters[i].health != Health::KnownBad;
        let holds = |i: usize| voters[i].health == Health::Intact && voters[i].tail >= z(2);
        let simple = (0..8_usize)
            .map(|members| (0..3).filter(move |i| members >> i & 1 == 1).collect())
            .filter(|quorum: &Vec<usize>| quorum.len() >= 2 && quorum.iter().all(|&i| electable(i)))
            .all(|quorum| quorum.iter().any(|&i| holds(i)));
        let expected = simple && budget_is_kept(voters, &[1; 3]);
        assert_eq!(
            judged(voters, z(2), &[1; 3]).is_ok(),
            expected,
            "{voters:?}"
        );
    });
}

/// The story of the header: an intact voter with everything, in the only quorum, and yet it is lost.
#[test]
fn an_intact_holder_of_an_older_epoch_does_not_suffice() {
    use Health::{Intact, Silent};
    let mut voters = [
        standing(3, 5, Silent),
        standing(2, 5, Intact),
        standing(3, 5, Intact),
    ];
    assert_eq!(
        judged(&voters, z(5), &[1; 3]).unwrap_err().to_string(),
        "would exceed what a quorum survives: s1 could lead s1, s2 in an epoch after 3 with a log that ends before ⟨1,5⟩"
    );
    voters[1].epoch = 3;
    assert_eq!(judged(&voters, z(5), &[1; 3]), Ok(()));
}

#[test]
fn more_than_the_budget_is_refused_in_words() {
    use Health::{Intact, KnownBad};
    let voters = [
        standing(1, 1, KnownBad),
        standing(1, 1, KnownBad),
        standing(1, 1, Intact),
    ];
    assert_eq!(
        judged(&voters, z(1), &[1; 3]).unwrap_err().to_string(),
        "would exceed what a quorum survives: s1, s2 would be damaged at once, and s3 alone is no quorum"
    );
}

/// Three voters that have all committed ⟨1,1⟩ to ⟨1,5⟩ under one leader.
fn running() -> Judge {
    let mut judge = Judge::new(QuorumConfig::majority([1, 2, 3].map(PeerId)), [], false);
    for server in (1..=3).map(ServerId) {
        judge.observe(server, &Note::CurrentEpoch(Epoch(1)));
        logged(&mut judge, server, 5);
    }
    let established = Note::Established {
        epoch: Epoch(1),
        history: zab::Zxid::ZERO,
    };
    judge.observe(ServerId(1), &established);
    committed(&mut judge, 5);
    judge
}

fn logged(judge: &mut Judge, server: ServerId, counter: u32) {
    let zxid = zab::Zxid::new(Epoch(1), counter);
    judge.observe(server, &Note::Logged { zxid });
}

fn committed(judge: &mut Judge, counter: u32) {
    let zxid = zab::Zxid::new(Epoch(1), counter);
    judge.observe(ServerId(1), &Note::Committed { zxid });
}

fn rule(judge: &mut Judge, server: u8, harm: Harm, up: bool) -> Ruling {
    judge.rule(7, ServerId(server), harm, up, &|_| false)
}

fn is_refused(ruling: &Ruling) -> bool {
    matches!(ruling, Ruling::Refused(_))
}

#[test]
fn a_second_wipe_waits_until_the_first_server_is_resynchronized() {
    let mut judge = running();
    assert_eq!(rule(&mut judge, 2, Harm::Wipe, true), Ruling::Strike);
    assert!(judge.is_damaged(ServerId(2)));
    assert!(is_refused(&rule(&mut judge, 3, Harm::Wipe, true)));
    assert!(
        !judge.is_damaged(ServerId(3)),
        "a refused damage leaves no trace"
    );
    assert_eq!(
        rule(&mut judge, 2, Harm::Wipe, true),
        Ruling::Strike,
        "it is as damaged as before"
    );

    let learner = PeerId(2);
    judge.observe(ServerId(1), &Note::LearnerUpToDate { learner });
    judge.observe(ServerId(2), &Note::Mark("blank-ready"));
    assert_eq!(rule(&mut judge, 3, Harm::Wipe, true), Ruling::Strike);
    assert!(!judge.is_damaged(ServerId(2)));
}

fn recovered(blank: bool) -> Note {
    Note::Recovered {
        last: zab::Zxid::new(Epoch(1), 5),
        accepted: Epoch(1),
        current: Epoch(1),
        torn_bytes: 0,
        blank,
    }
}

/// UPTODATE is sent, and the leader dies before the server has marked its disk: it has everything, and still no vote.
#[test]
fn a_blank_disk_counts_as_damaged_until_it_is_marked_as_fit_to_vote() {
    let learner = PeerId(2);
    let mut judge = running();
    assert_eq!(rule(&mut judge, 2, Harm::Wipe, true), Ruling::Strike);
    judge.observe(ServerId(2), &recovered(true));
    judge.observe(ServerId(1), &Note::LearnerUpToDate { learner });
    assert!(is_refused(&rule(&mut judge, 3, Harm::Wipe, true)));
    // It restarts, and still finds its disk unmarked.
    judge.observe(ServerId(2), &recovered(true));
    assert!(is_refused(&rule(&mut judge, 3, Harm::Wipe, true)));
    // The mark was durable when it crashed, before it could say so.
    judge.observe(ServerId(2), &recovered(false));
    assert_eq!(rule(&mut judge, 3, Harm::Wipe, true), Ruling::Strike);
}

/// So an operator who gives a damaged server a new disk need not ask.
#[test]
fn a_new_disk_for_a_damaged_voter_never_costs_more() {
    each_state(3, &[1, 2], &[0, 1, 2], &mut Vec::new(), &mut |voters| {
        if judged(voters, z(2), &[1; 3]).is_err() {
            return;
        }
        for i in (0..3).filter(|&i| voters[i].health == Health::Silent) {
            let mut after = voters.to_vec();
            after[i].health = Health::KnownBad;
            assert_eq!(judged(&after, z(2), &[1; 3]), Ok(()), "{voters:?}");
        }
    });
}

#[test]
fn a_flipped_bit_that_is_still_there_counts() {
    let mut judge = running();
    assert_eq!(rule(&mut judge, 2, Harm::Rot, false), Ruling::Strike);
    let learner = PeerId(2);
    judge.observe(ServerId(1), &Note::LearnerUpToDate { learner });
    let ruling = judge.rule(7, ServerId(3), Harm::Wipe, true, &|s| s == ServerId(2));
    assert!(is_refused(&ruling), "an old snapshot may yet be needed");
    assert_eq!(rule(&mut judge, 3, Harm::Wipe, true), Ruling::Strike);
}

#[test]
fn rot_under_a_running_server_waits_for_its_crash() {
    let mut judge = running();
    assert_eq!(rule(&mut judge, 2, Harm::Rot, true), Ruling::AtNextCrash);
    assert!(!judge.is_damaged(ServerId(2)));
    // The process goes on, and s3 is not needed: now s2's disk must not be touched any more.
    for server in [1, 2] {
        logged(&mut judge, ServerId(server), 9);
    }
    committed(&mut judge, 9);
    assert_eq!(judge.crashed(ServerId(2)), [7]);
    assert_eq!(judge.crashed(ServerId(2)), [0; 0]);
    assert!(is_refused(&rule(&mut judge, 2, Harm::Rot, false)));
    // But it may be wiped: then it knows, and leaves the election to s1 and s3.
    assert_eq!(rule(&mut judge, 2, Harm::Wipe, false), Ruling::Strike);
}

#[test]
fn an_acknowledgement_on_its_way_is_owed() {
    let mut judge = running();
    for server in [1, 2] {
        logged(&mut judge, ServerId(server), 6);
    }
    // ⟨1,6⟩ is not committed, but s2's ACK may arrive, and s2 and s3 elect without it.
    assert!(is_refused(&rule(&mut judge, 2, Harm::Rot, false)));
    let established = Note::Established {
        epoch: Epoch(2),
        history: zab::Zxid::new(Epoch(1), 5),
    };
    judge.observe(ServerId(3), &established);
    assert_eq!(
        rule(&mut judge, 2, Harm::Rot, false),
        Ruling::Strike,
        "another epoch began without it"
    );
}

#[test]
fn a_server_that_refuses_its_own_disk_has_no_vote() {
    let mut judge = running();
    assert_eq!(rule(&mut judge, 2, Harm::BadRead, false), Ruling::Strike);
    judge.fatal(ServerId(2));
    assert_eq!(judge.servers[&ServerId(2)].health, Health::KnownBad);
    judge.observe(ServerId(2), &recovered(false));
    assert_eq!(judge.servers[&ServerId(2)].health, Health::Silent);
    judge.fatal(ServerId(3));
    assert!(
        !judge.is_damaged(ServerId(3)),
        "it stopped for another reason"
    );
}

#[test]
fn who_allows_data_loss_gets_it_and_observers_do_not_count() {
    let mut judge = running();
    assert_eq!(rule(&mut judge, 9, Harm::Wipe, true), Ruling::Strike);
    judge.data_loss_allowed = true;
    for server in 1..=3 {
        assert_eq!(rule(&mut judge, server, Harm::Rot, true), Ruling::Strike);
    }
}

fn config(counter: u32, voters: &[u8]) -> std::sync::Arc<zab::Configuration> {
    let quorum = QuorumConfig::majority(voters.iter().map(|id| PeerId(*id)));
    let version = zab::Zxid::new(Epoch(1), counter);
    std::sync::Arc::new(zab::Configuration::new(version, quorum))
}

/// A server that left is still needed by whoever has not heard of it; and one that joins is damaged until its disk is marked.
#[test]
fn each_configuration_has_its_budget() {
    let mut judge = running();
    let first = QuorumConfig::majority([1, 2, 3].map(PeerId));
    let mut blank = Judge::new(first, [4, 5].map(ServerId), false).servers;
    blank.retain(|server, _| server.0 > 3);
    judge.servers.extend(blank);
    judge.unmarked.extend([4, 5].map(ServerId));
    let next = config(6, &[3, 4, 5]);
    judge.observe(ServerId(1), &Note::ConfigurationPending(next.clone()));
    assert!(
        is_refused(&rule(&mut judge, 3, Harm::Wipe, true)),
        "the joiners are blank"
    );
    for joiner in [4, 5] {
        let learner = PeerId(joiner);
        judge.observe(ServerId(1), &Note::LearnerUpToDate { learner });
        judge.observe(ServerId(joiner), &Note::Mark("blank-ready"));
        logged(&mut judge, ServerId(joiner), 6);
    }
    // The leader and a server of both make a quorum of the configuration that ends.
    logged(&mut judge, ServerId(1), 6);
    logged(&mut judge, ServerId(3), 6);
    committed(&mut judge, 6);
    judge.observe(ServerId(1), &Note::ConfigurationActive(next));
    assert_eq!(rule(&mut judge, 1, Harm::Wipe, true), Ruling::Strike);
    assert!(
        is_refused(&rule(&mut judge, 2, Harm::Wipe, true)),
        "perhaps only in memory"
    );
    assert_eq!(rule(&mut judge, 4, Harm::Wipe, true), Ruling::Strike);
}
