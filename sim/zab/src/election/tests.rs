//! Elections as transcripts: every notification in the order in which it was sent, on a bus that delivers each after 10 ms.

use super::*;
use crate::QuorumConfig;
use std::fmt::Write;

const LATENCY_US: u64 = 10_000;

fn config(id: u8, quorum: &QuorumConfig) -> Config {
    Config {
        id: PeerId(id),
        quorum: quorum.clone(),
        tick_us: 500_000,
        init_limit: 10,
        sync_limit: 5,
        finalize_wait_us: 200_000,
        notify_us: (200_000, 60_000_000),
        commit_log_count: 500,
        disk_diff_bytes_max: 0,
        snap_count: 1000,
        counter_max: u32::MAX,
        snap_retain: 3,
        bugs: Planted::NONE,
    }
}

fn vote(id: u8, epoch: u32, zxid: (u32, u32)) -> Vote {
    Vote {
        leader: PeerId(id),
        zxid: Zxid::new(Epoch(zxid.0), zxid.1),
        peer_epoch: Epoch(epoch),
    }
}

/// Peers, the notifications between them, their timers, and who hears whom.
struct Bus {
    now: Time,
    seq: u64,
    peers: BTreeMap<PeerId, Election>,
    timers: BTreeMap<PeerId, Time>,
    queue: BTreeMap<(Time, u64), (PeerId, PeerId, Notification)>,
    /// Takes a sender and a receiver: whether the notification is lost.
    lose: fn(Time, u8, u8) -> bool,
    transcript: String,
}

impl Bus {
    fn new(quorum: &QuorumConfig) -> Bus {
        let peers = quorum.members();
        Bus {
            now: Time(0),
            seq: 0,
            peers: peers
                .map(|id| (id, Election::new(&config(id.0, quorum))))
                .collect(),
            timers: BTreeMap::new(),
            queue: BTreeMap::new(),
            lose: |_, _, _| false,
            transcript: String::new(),
        }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.transcript, "{:>6} {text}", self.now.0 / 1000).unwrap();
    }

    fn start(&mut self, candidate: Vote) {
        self.start_as(candidate, true);
    }

    fn start_as(&mut self, candidate: Vote, may_vote: bool) {
        let id = candidate.leader;
        self.line(&format!("{id} looks"));
        let mut out = Vec::new();
        let now = self.now;
        let configs = self.peer(id.0).configs.clone();
        self.peer(id.0)
            .start(now, candidate, may_vote, configs, &mut out);
        self.carry_out(id, out);
    }

    fn peer(&mut self, id: u8) -> &mut Election {
        self.peers.get_mut(&PeerId(id)).unwrap()
    }

    fn carry_out(&mut self, from: PeerId, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Notify {
                    to,
                    notification: n,
                } => {
                    let lost = (self.lose)(self.now, from.0, to.0);
                    let (state, v) = (format!("{:?}", n.state).to_lowercase(), n.vote);
                    let vote = match v.leader {
                        NOBODY => "nobody".to_string(),
                        leader => format!("{leader} (epoch {}, {})", v.peer_epoch, v.zxid),
                    };
                    let lost_note = if lost { "  LOST" } else { "" };
                    self.line(&format!(
                        "{from}>{to} {state}, round {}: {vote}{lost_note}",
                        n.round
                    ));
                    if !lost {
                        self.seq += 1;
                        let at = Time(self.now.0 + LATENCY_US);
                        self.queue.insert((at, self.seq), (from, to, n));
                    }
                }
                Effect::SetTimer { at, .. } => {
                    self.timers.insert(from, at);
                }
                Effect::Note(Note::ElectionRound { round }) => {
                    self.line(&format!("{from} is in round {round}"));
                }
                Effect::Note(_) => {}
                other => panic!("an election does not do {other:?}"),
            }
        }
    }

    /// Runs until nothing is under way and nobody looks, or until `end_ms`.
    fn run(&mut self, end_ms: u64) -> &mut Bus {
        loop {
            let message = self.queue.keys().next().copied();
            let timer = self.timers.iter().map(|(id, at)| (*at, *id)).min();
            let next = match (message, timer) {
                (Some((at, _)), Some((due, id))) if due < at => (due, Some(id)),
                (Some((at, _)), _) => (at, None),
                (None, Some((due, id))) => (due, Some(id)),
                (None, None) => return self,
            };
            if next.0 > Time(end_ms * 1000) {
                self.now = Time(end_ms * 1000);
                return self;
            }
            self.now = next.0;
            let mut out = Vec::new();
            let (id, elected) = if let Some(id) = next.1 {
                self.timers.remove(&id);
                (
                    id,
                    self.peers.get_mut(&id).unwrap().on_timer(next.0, &mut out),
                )
            } else {
                let (from, to, n) = self.queue.pop_first().unwrap().1;
                let Some(peer) = self.peers.get_mut(&to) else {
                    continue;
                };
                (to, peer.on_notification(next.0, from, &n, &mut out))
            };
            self.carry_out(id, out);
            if let Some(elected) = elected {
                self.timers.remove(&id);
                let v = elected.vote;
                self.line(&format!(
                    "{id} ELECTS {} (epoch {}, {})",
                    v.leader, v.peer_epoch, v.zxid
                ));
                let state = self.peer(id.0).state;
                self.peer(id.0).settle(state);
            }
        }
    }

    fn kill(&mut self, id: u8) {
        self.line(&format!("s{id} dies"));
        self.peers.remove(&PeerId(id));
        self.timers.remove(&PeerId(id));
    }

    fn states(&self) -> String {
        let states = self.peers.iter();
        let words = states.map(|(id, peer)| format!("{id} {:?} {}", peer.state, peer.vote.leader));
        words.collect::<Vec<_>>().join(", ")
    }
}

fn three() -> QuorumConfig {
    QuorumConfig::majority([1, 2, 3].map(PeerId))
}

fn five() -> QuorumConfig {
    QuorumConfig::majority([1, 2, 3, 4, 5].map(PeerId))
}

#[test]
fn first_election_of_three() {
    let mut bus = Bus::new(&three());
    for id in 1..=3 {
        bus.start(vote(id, 0, (0, 0)));
    }
    bus.run(5_000);
    assert_eq!(
        bus.states(),
        "s1 Following s3, s2 Following s3, s3 Leading s3"
    );
    insta::assert_snapshot!(bus.transcript);
}

#[test]
fn epoch_beats_zxid_and_zxid_beats_id() {
    let mut bus = Bus::new(&five());
    bus.start(vote(1, 3, (2, 1)));
    bus.start(vote(2, 3, (2, 7)));
    bus.start(vote(3, 2, (2, 9)));
    bus.start(vote(4, 3, (2, 7)));
    bus.start(vote(5, 3, (2, 6)));
    bus.run(5_000);
    let all = "s1 Following s4, s2 Following s4, s3 Following s4, s4 Leading s4, s5 Following s4";
    assert_eq!(bus.states(), all);
}

/// Every first notification to and from the best candidate is lost: the silence is broken after 200 ms.
#[test]
fn lost_notifications_are_sent_again() {
    let mut bus = Bus::new(&three());
    bus.lose = |now, from, to| now.0 < 200_000 && (from == 3 || to == 3);
    for id in 1..=3 {
        bus.start(vote(id, 1, (1, u32::from(id))));
    }
    bus.run(5_000);
    assert_eq!(
        bus.states(),
        "s1 Following s3, s2 Following s3, s3 Leading s3"
    );
    insta::assert_snapshot!(bus.transcript);
}

#[test]
fn alone_the_wait_doubles_up_to_its_bound() {
    let mut bus = Bus::new(&three());
    bus.peers.retain(|id, _| id.0 == 1);
    bus.start(vote(1, 1, (1, 1)));
    bus.run(200_000);
    let times = bus.transcript.lines().filter(|line| line.contains("s1>s2"));
    let times: Vec<&str> = times
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    let expected = [
        "0", "200", "600", "1400", "3000", "6200", "12600", "25400", "51000", "102200", "162200",
    ];
    assert_eq!(times, expected);
}

/// Three of five lead and follow since another round, with votes of different zxids; a fourth comes (ZOOKEEPER-1732).
#[test]
fn a_joiner_finds_the_established_leader() {
    let mut bus = Bus::new(&five());
    for (id, state, round, zxid) in [
        (1, PeerState::Following, 7, (4, 9)),
        (2, PeerState::Following, 4, (4, 2)),
        (3, PeerState::Leading, 7, (4, 9)),
    ] {
        let peer = bus.peer(id);
        peer.vote = vote(3, 4, zxid);
        peer.round = round;
        peer.settle(state);
        peer.set_vote_epoch(Epoch(5));
    }
    bus.start(vote(4, 4, (4, 12)));
    bus.run(5_000);
    assert!(
        bus.states().ends_with("s4 Following s3, s5 Looking s0"),
        "{}",
        bus.states()
    );
    insta::assert_snapshot!(bus.transcript);
}

#[test]
fn a_lagging_peer_is_told_the_round() {
    let mut bus = Bus::new(&three());
    bus.peer(2).round = 4;
    bus.start(vote(2, 1, (1, 5)));
    bus.start(vote(1, 1, (1, 8)));
    bus.run(5_000);
    assert_eq!(
        bus.states(),
        "s1 Leading s1, s2 Following s1, s3 Looking s0"
    );
    assert_eq!((bus.peer(1).round(), bus.peer(2).round()), (5, 5));
    insta::assert_snapshot!(bus.transcript);
}

/// The leader dies just after it was elected: those who still follow it do not draw a third one after them, because it does
/// not say itself that it leads (ZOOKEEPER-480).
#[test]
fn a_dead_leader_is_not_elected_by_hearsay() {
    let mut bus = Bus::new(&five());
    for id in 1..=5 {
        bus.start(vote(id, 0, (0, 0)));
    }
    bus.run(231);
    assert!(bus.states().contains("s5 Leading s5"), "{}", bus.states());
    bus.kill(5);
    bus.start(vote(1, 0, (0, 0)));
    bus.run(700);
    assert!(bus.states().starts_with("s1 Looking"), "{}", bus.states());
    for id in 2..=4 {
        bus.start(vote(id, 0, (0, 0)));
    }
    bus.run(5_000);
    let all = "s1 Following s4, s2 Following s4, s3 Following s4, s4 Leading s4";
    assert_eq!(bus.states(), all);
    insta::assert_snapshot!(bus.transcript);
}

/// A better vote during the finalize wait: the wait starts again, and the better candidate wins.
#[test]
fn a_better_vote_stops_the_finalize_wait() {
    let mut bus = Bus::new(&three());
    bus.start(vote(1, 1, (1, 1)));
    bus.start(vote(2, 1, (1, 1)));
    bus.run(150);
    assert!(bus.peer(1).finalize_at.is_some(), "s1 and s2 agree on s2");
    bus.start(vote(3, 1, (1, 2)));
    bus.run(5_000);
    assert_eq!(
        bus.states(),
        "s1 Following s3, s2 Following s3, s3 Leading s3"
    );
}

/// A late riser of a higher round with a worse vote does not tear up what a quorum agrees on.
#[test]
fn a_worse_vote_of_a_higher_round_waits_its_turn() {
    let mut bus = Bus::new(&three());
    bus.peer(1).round = 8;
    bus.start(vote(2, 1, (1, 1)));
    bus.start(vote(3, 1, (1, 1)));
    bus.run(150);
    bus.start(vote(1, 1, (1, 0)));
    bus.run(5_000);
    assert_eq!(
        bus.states(),
        "s1 Following s3, s2 Following s3, s3 Leading s3"
    );
    assert_eq!(
        bus.peer(1).round(),
        1,
        "it took the round of those it joined"
    );
}

/// Blank disks and observers hear the outcome, and no vote of theirs counts.
#[test]
fn listeners_follow_and_never_count() {
    let mut quorum = three();
    quorum.observers.insert(PeerId(4));
    let mut bus = Bus::new(&quorum);
    bus.start_as(vote(3, 0, (0, 0)), false);
    bus.start_as(vote(4, 9, (9, 9)), false);
    bus.start(vote(1, 1, (1, 1)));
    bus.run(10_000);
    let looking = bus.peers.values().filter(|peer| peer.running).count();
    assert_eq!(
        looking,
        3,
        "one voter is no quorum, whoever listens: {}",
        bus.states()
    );
    bus.start(vote(2, 1, (1, 1)));
    bus.run(30_000);
    let all = "s1 Following s2, s2 Leading s2, s3 Following s2, s4 Observing s2";
    assert_eq!(bus.states(), all);
}

#[test]
fn a_blank_peer_is_never_elected_by_its_former_followers() {
    let mut bus = Bus::new(&three());
    for id in [1, 2] {
        let peer = bus.peer(id);
        peer.vote = vote(3, 1, (1, 1));
        peer.round = 1;
        peer.settle(PeerState::Following);
    }
    bus.start_as(vote(3, 0, (0, 0)), false);
    bus.run(5_000);
    assert!(
        bus.peer(3).running,
        "both name it in its own round, but its disk is blank"
    );
}

#[test]
fn weight_zero_never_wins() {
    let mut quorum = three();
    quorum.rule = crate::QuorumRule::Hierarchical {
        groups: vec![quorum.voters.clone()],
        weights: [(PeerId(3), 0)].into(),
    };
    let mut bus = Bus::new(&quorum);
    for id in 1..=3 {
        bus.start(vote(id, u32::from(id), (1, 1)));
    }
    bus.run(5_000);
    assert_eq!(
        bus.states(),
        "s1 Following s2, s2 Leading s2, s3 Following s2"
    );
}

#[test]
fn an_ensemble_of_one_elects_itself() {
    let mut bus = Bus::new(&QuorumConfig::majority([PeerId(1)]));
    bus.start(vote(1, 0, (0, 0)));
    bus.run(1_000);
    assert_eq!(bus.states(), "s1 Leading s1");
    assert_eq!(bus.now, Time(200_000), "after the finalize wait");
}

/// Between two roles a peer says nothing, lest a joiner counts a vote that is about to be withdrawn.
#[test]
fn between_two_roles_nothing_is_answered() {
    let mut bus = Bus::new(&three());
    bus.peer(2).vote = vote(3, 1, (1, 1));
    bus.peer(2).settle(PeerState::Following);
    bus.peer(2).settle(PeerState::Looking);
    bus.start(vote(1, 1, (1, 1)));
    bus.run(1_000);
    assert!(!bus.transcript.contains("s2>"), "{}", bus.transcript);
}

/// Whatever is lost in the first ten seconds, five peers agree soon after.
#[test]
fn lossy_elections_end() {
    for salt in 0..200u64 {
        let mut bus = Bus::new(&five());
        bus.seq = salt << 32;
        bus.lose = |now, from, to| {
            let mut h =
                now.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(from) << 8 ^ u64::from(to);
            h = (h ^ h >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            now.0 < 10_000_000 && (h >> 40) % 3 != 0
        };
        bus.now = Time(salt * 1_713);
        for id in 1..=5 {
            bus.start(vote(id, 1, (1, u32::from(id) * 7 % 5)));
        }
        bus.run(60_000);
        let leaders: Vec<_> = bus
            .peers
            .values()
            .map(|p| (p.running, p.vote.leader))
            .collect();
        assert!(
            leaders.iter().all(|(running, _)| !running),
            "salt {salt}: {leaders:?}"
        );
    }
}
