//! What the network promises, and what it does not.

use super::*;
use crate::queue::Event;

const SEC: u64 = 1_000_000;

struct Lab {
    net: Net,
    queue: Queue,
    now: Time,
    down: Vec<Node>,
}

impl Lab {
    fn new() -> Lab {
        let climate = Climate {
            link_us: (100, 900),
            client_link_us: (1_000, 2_000),
            fsync_us: (0, 0),
            read_us: (0, 0),
            stage_us: (0, 0),
            restart_us: (0, 0),
            clock_offset_us_max: 0,
            clock_drift_ppm_max: 0,
        };
        Lab {
            net: Net::new(1, 3, 1, &climate, 5 * SEC),
            queue: Queue::default(),
            now: Time::ZERO,
            down: Vec::new(),
        }
    }

    /// Everything that arrives until `until`, in words.
    fn run(&mut self, until: u64) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some((at, event)) = self.queue.pop(Time(until)) {
            self.now = at;
            match event {
                Event::Link { link, direction } => {
                    let down = &self.down;
                    let alive = |node| !down.contains(&node);
                    let arrival = self.net.arrive(&mut self.queue, at, link, direction, alive);
                    if let Some(Arrival { from, to, item, .. }) = arrival {
                        let what = match item {
                            Item::Zab(zab::Message::Ping { round }) => format!("ping {round}"),
                            other => format!("{other:?}"),
                        };
                        seen.push(format!("{from}>{to} {what}"));
                    }
                }
                Event::ConnectTimeout { link } => {
                    if let Some((from, to, _)) = self.net.connect_timeout(link) {
                        seen.push(format!("{from}>{to} timeout"));
                    }
                }
                Event::Datagram { slot } => {
                    if let Some(datagram) = self.net.take_datagram(slot) {
                        seen.push(format!(
                            "{}>{} vote {}",
                            datagram.from, datagram.to, datagram.notification.round
                        ));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        self.now = Time(until);
        seen
    }

    fn connect(&mut self, from: Node, to: Node) -> u32 {
        self.net
            .connect(&mut self.queue, self.now, LinkKind::Zab, from, to)
    }

    fn ping(&mut self, link: u32, from: Node, rounds: std::ops::Range<u64>) {
        for round in rounds {
            let item = Item::Zab(zab::Message::Ping { round });
            self.net.send(&mut self.queue, self.now, link, from, item);
        }
    }

    fn vote(&mut self, from: Node, to: Node, round: u64) {
        let notification = zab::Notification {
            vote: zab::Vote {
                leader: zab::PeerId(1),
                zxid: zab::Zxid::ZERO,
                peer_epoch: zab::Epoch(0),
            },
            round,
            membership: std::sync::Arc::new(zab::Membership::initial(zab::QuorumConfig::majority(
                [zab::PeerId(1)],
            ))),
            state: zab::PeerState::Looking,
        };
        let datagram = Datagram {
            from,
            to,
            notification,
        };
        self.net.notify(&mut self.queue, self.now, datagram);
    }
}

fn pings(from: Node, to: Node, rounds: std::ops::Range<u64>) -> Vec<String> {
    rounds
        .map(|round| format!("{from}>{to} ping {round}"))
        .collect()
}

#[test]
fn a_connection_keeps_the_order_and_loses_nothing() {
    let mut lab = Lab::new();
    let link = lab.connect(0, 1);
    assert_eq!(lab.run(SEC), ["0>1 Syn", "1>0 Accepted"]);
    lab.ping(link, 0, 0..50);
    assert_eq!(lab.run(2 * SEC), pings(0, 1, 0..50));
}

#[test]
fn a_partition_holds_everything_back_and_nobody_notices() {
    let mut lab = Lab::new();
    let link = lab.connect(0, 1);
    lab.run(SEC);
    lab.ping(link, 0, 0..3);
    lab.net.block(0, 1);
    lab.net.block(0, 1);
    lab.ping(link, 0, 3..5);
    lab.ping(link, 1, 9..10);
    assert_eq!(lab.run(2 * SEC), ["1>0 ping 9"], "cut one way only");
    lab.net.unblock(&mut lab.queue, lab.now, 0, 1);
    assert!(lab.run(3 * SEC).is_empty(), "cuts add up");
    lab.net.unblock(&mut lab.queue, lab.now, 0, 1);
    assert_eq!(lab.run(4 * SEC), pings(0, 1, 0..5));
}

#[test]
fn connecting_through_a_partition_times_out_and_to_a_process_that_is_down_is_refused() {
    let mut lab = Lab::new();
    lab.net.block(1, 0);
    lab.connect(0, 1);
    assert_eq!(lab.run(4 * SEC), ["0>1 Syn"], "the answer is held back");
    assert_eq!(lab.run(6 * SEC), ["0>1 timeout"]);
    lab.net.unblock(&mut lab.queue, lab.now, 1, 0);
    assert_eq!(
        lab.run(7 * SEC),
        ["0>1 Broken"],
        "the late answer meets nobody; the other end is told"
    );
    lab.down.push(2);
    lab.connect(0, 2);
    assert_eq!(lab.run(8 * SEC), ["2>0 Refused"]);
}

#[test]
fn a_connection_given_up_at_once_is_never_seen_by_the_other_end_half() {
    let mut lab = Lab::new();
    for _ in 0..20 {
        let link = lab.connect(0, 1);
        lab.net.close(&mut lab.queue, lab.now, link, 0);
        let seen = lab.run(lab.now.0 + SEC);
        assert!(
            seen.is_empty() || seen == ["0>1 Syn", "0>1 Broken"],
            "{seen:?}"
        );
    }
}

#[test]
fn a_broken_connection_may_lose_its_tail_but_never_its_order() {
    let mut lost = Vec::new();
    for _ in 0..20 {
        let mut lab = Lab::new();
        // Another draw each time.
        for _ in 0..lost.len() {
            lab.net.connections.tail_stream.next_u64();
        }
        let link = lab.connect(0, 1);
        lab.run(SEC);
        lab.ping(link, 0, 0..4);
        lab.net.close(&mut lab.queue, lab.now, link, 0);
        let mut seen = lab.run(2 * SEC);
        assert_eq!(seen.pop().as_deref(), Some("0>1 Broken"));
        assert_eq!(seen, pings(0, 1, 0..seen.len() as u64));
        lost.push(4 - seen.len());
    }
    assert!(lost.contains(&0) && lost.contains(&4), "{lost:?}");
}

#[test]
fn a_dead_machine_is_silent_until_it_is_back_a_dead_process_is_not() {
    let mut lab = Lab::new();
    let link = lab.connect(0, 1);
    lab.run(SEC);
    lab.down.push(1);
    lab.net.die(&mut lab.queue, lab.now, 1, Death::Machine);
    lab.ping(link, 0, 0..2);
    assert!(lab.run(2 * SEC).is_empty());
    lab.down.clear();
    lab.ping(link, 0, 2..4);
    assert_eq!(lab.run(3 * SEC), ["1>0 Broken"], "one reset, no more");
    let link = lab.connect(0, 1);
    lab.run(4 * SEC);
    lab.net.die(&mut lab.queue, lab.now, 1, Death::Process);
    assert_eq!(lab.run(5 * SEC), ["1>0 Broken"]);
    assert!(!lab.net.is_open(link, 0));
}

#[test]
fn a_half_open_reset_leaves_one_end_in_the_dark() {
    let mut lab = Lab::new();
    let link = lab.connect(0, 1);
    lab.run(SEC);
    assert_eq!(lab.net.reset(&mut lab.queue, lab.now, 1, 0, true), 1);
    assert_eq!(lab.run(2 * SEC), ["0>1 Broken"]);
    lab.ping(link, 0, 0..3);
    assert!(lab.run(3 * SEC).is_empty());
    assert!(lab.net.is_open(link, 0));
    lab.connect(0, 1);
    lab.run(4 * SEC);
    assert_eq!(lab.net.reset(&mut lab.queue, lab.now, 0, 1, false), 2);
    let mut seen = lab.run(5 * SEC);
    seen.sort();
    assert_eq!(
        seen,
        ["0>1 Broken", "1>0 Broken", "1>0 Broken"],
        "the end in the dark learns it too"
    );
}

#[test]
fn election_messages_overtake_and_a_partition_keeps_the_newest() {
    let mut lab = Lab::new();
    for round in 0..20 {
        lab.vote(0, 1, round);
    }
    let order = lab.run(SEC);
    assert_eq!(order.len(), 20);
    let mut sorted = order.clone();
    sorted.sort_by_key(|line| line["0>1 vote ".len()..].parse::<u64>().unwrap());
    assert_ne!(order, sorted, "none overtook another");
    lab.net.block(0, 1);
    for round in 20..25 {
        lab.vote(0, 1, round);
    }
    assert!(lab.run(2 * SEC).is_empty());
    lab.net.unblock(&mut lab.queue, lab.now, 0, 1);
    assert_eq!(lab.run(3 * SEC), ["0>1 vote 24"]);
    lab.net.lose(7, 1000, 0);
    lab.vote(0, 1, 30);
    assert!(lab.run(4 * SEC).is_empty());
    lab.net.relieve(7);
    lab.net.lose(8, 0, 1000);
    lab.vote(0, 1, 31);
    assert_eq!(lab.run(5 * SEC), ["0>1 vote 31", "0>1 vote 31"]);
}

#[test]
fn stalls_delays_and_limits_slow_a_way_down_and_end() {
    let mut lab = Lab::new();
    let link = lab.connect(0, 1);
    lab.run(SEC);
    lab.net.stall(0, 1);
    lab.ping(link, 0, 0..2);
    assert!(lab.run(2 * SEC).is_empty());
    lab.net.unstall(&mut lab.queue, lab.now, 0, 1);
    assert_eq!(lab.run(3 * SEC), pings(0, 1, 0..2));
    lab.net.delay(1, 0, 1, (SEC / 2, SEC / 2));
    lab.ping(link, 0, 2..3);
    assert!(lab.run(3 * SEC + SEC / 2).is_empty());
    assert_eq!(lab.run(4 * SEC), pings(0, 1, 2..3));
    lab.net.relieve(1);
    // Forty bytes each: two a second.
    lab.net.limit(2, 0, 1, 80);
    lab.ping(link, 0, 3..9);
    assert_eq!(lab.run(6 * SEC + 1_000), pings(0, 1, 3..7));
    lab.net.relieve(2);
    assert_eq!(lab.run(8 * SEC), pings(0, 1, 7..9));
}
