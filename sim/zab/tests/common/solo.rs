//! One peer whose counterpart is the test: what it hears is written by hand, message by message.

use super::{config, describe, describe_effect, s};
use std::collections::VecDeque;
use std::sync::Arc;
use zab::{
    Config, Delivery, DiskOp, Effect, Epoch, Input, LinkId, MemoryDisk, Message, Notification,
    Peer, PeerId, PeerState, QuorumConfig, Time, Timer, Vote, Zxid,
};

/// s1 of three; disk and application answer at once.
pub struct Solo {
    pub peer: Peer,
    pub disk: MemoryDisk,
    pub now: u64,
    pub lines: Vec<String>,
    /// The links by number: who is at the other end.
    links: Vec<PeerId>,
    /// Disk operations are kept until `release_disk`.
    pub disk_is_stuck: bool,
    stuck: Vec<DiskOp>,
}

impl Solo {
    pub fn new(adjust: impl Fn(&mut Config)) -> Solo {
        Solo::with_disk(MemoryDisk::formatted(), adjust)
    }

    pub fn with_disk(disk: MemoryDisk, adjust: impl Fn(&mut Config)) -> Solo {
        let quorum = QuorumConfig::majority([1, 2, 3].map(PeerId));
        let mut config = config(1, &quorum);
        adjust(&mut config);
        let mut solo = Solo {
            peer: Peer::new(config),
            disk,
            now: 0,
            lines: Vec::new(),
            links: Vec::new(),
            disk_is_stuck: false,
            stuck: Vec::new(),
        };
        solo.input(Input::Boot);
        solo
    }

    /// Gives an input, and those that follow from it at the disk and in the application.
    pub fn input(&mut self, input: Input) -> Vec<Effect> {
        let mut all = Vec::new();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            self.peer.step(Time(self.now), input, &mut effects);
            for effect in &effects {
                let links = &self.links;
                let peer_of = |link: LinkId| Some(links[link.0 as usize]);
                self.lines.extend(describe_effect(s(1), effect, peer_of));
                match effect {
                    Effect::Disk(op) if self.disk_is_stuck => self.stuck.push(op.clone()),
                    Effect::Disk(op) => inputs.extend(self.disk.perform(op.clone())),
                    Effect::Deliver { txn, .. } => {
                        inputs.push_back(Input::Applied { zxid: txn.zxid });
                    }
                    _ => {}
                }
            }
            all.extend(effects);
        }
        all
    }

    /// The disk does what it was asked to do.
    pub fn release_disk(&mut self) {
        self.disk_is_stuck = false;
        for op in std::mem::take(&mut self.stuck) {
            if let Some(done) = self.disk.perform(op) {
                self.input(done);
            }
        }
    }

    /// s2 and s3 vote for this peer, and nothing better comes.
    pub fn lead(&mut self) {
        for from in [2, 3] {
            self.hear_vote(from, 1, PeerState::Looking, 0);
        }
        self.now += 1_000_000;
        self.input(Input::Timer(Timer::Election));
        assert_eq!(self.peer.role().state, PeerState::Leading, "it was elected");
    }

    fn hear_vote(&mut self, from: u8, leader: u8, state: PeerState, epoch: u32) {
        let notification = Notification {
            vote: Vote {
                leader: s(leader),
                zxid: Zxid::ZERO,
                peer_epoch: Epoch(epoch),
            },
            round: 1,
            state,
            membership: Arc::new(self.peer.membership().clone()),
        };
        let from = s(from);
        self.input(Input::Notification { from, notification });
    }

    /// s2 and s3 say that `leader` leads; the peer asks for a link and gets it.
    pub fn follow(&mut self, leader: u8, epoch: u32) -> LinkId {
        let other = if leader == 3 { 2 } else { 3 };
        self.hear_vote(other, leader, PeerState::Following, epoch);
        self.hear_vote(leader, leader, PeerState::Leading, epoch);
        assert_eq!(self.peer.role().leader, Some(s(leader)), "it joined");
        self.open(leader, true)
    }

    pub fn open(&mut self, peer: u8, outgoing: bool) -> LinkId {
        let link = LinkId(self.links.len() as u64);
        self.links.push(s(peer));
        let peer = s(peer);
        self.input(Input::LinkOpened {
            link,
            peer,
            outgoing,
        });
        link
    }

    pub fn hear(&mut self, link: LinkId, message: Message) -> Vec<Effect> {
        let from = self.links[link.0 as usize];
        self.lines
            .push(format!("{from} → s1  {}", describe(&message)));
        self.input(Input::Message { link, message })
    }

    pub fn text(&mut self) -> String {
        std::mem::take(&mut self.lines).join("\n")
    }
}

/// How many transactions were delivered in this way.
pub fn delivered(effects: &[Effect], as_what: Delivery) -> usize {
    effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Deliver { delivery, .. } if *delivery == as_what))
        .count()
}
