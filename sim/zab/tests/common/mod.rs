//! An ensemble on a simulated bus: links, disks, applications and clocks as simple as the contract of the crate allows, with
//! an oracle that looks at every step. Not the project's simulator: that one stands two floors up and cannot be used here.

#![allow(dead_code, reason = "each test binary uses a part")]

mod app;
mod links;
mod oracle;
pub mod solo;
mod words;

pub use app::{App, decode};
pub use oracle::Oracle;
pub use words::{describe, describe_effect};

use app::Queued;
use links::{Arrival, Link};
use std::collections::{BTreeMap, VecDeque};
use zab::{
    Config, DiskOp, Effect, Input, LinkId, MemoryDisk, Note, Notification, Payload, Peer, PeerId,
    PeerState, Phase, QuorumConfig, ReconfigureRefusal, SnapshotId, SyncId, Time, Timer, Zxid,
};

/// SplitMix64: a few lines whose numbers never change.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }
}

/// How unkind the bus is: each is "one in so many", 0 for never.
#[derive(Clone, Copy, Default)]
pub struct Unkind {
    /// Latencies vary, and now and then are long.
    pub jitter: bool,
    /// A crash after an effect.
    pub crash: u64,
    /// A broken link, per message.
    pub breaks: u64,
    /// A lost election message.
    pub loss: u64,
    /// A refused connection.
    pub refuse: u64,
    /// A pause of a whole server, per event.
    pub pause: u64,
    /// A disk wiped in a crash. At most one server is ever wiped, so that damage stays within what can be survived.
    pub wipe: u64,
}

pub struct Node {
    pub id: PeerId,
    pub config: Config,
    pub peer: Option<Peer>,
    pub disk: MemoryDisk,
    pub app: App,
    /// Grows with each restart: events for an older life are void.
    life: u64,
    disk_queue: VecDeque<DiskOp>,
    disk_free_at: u64,
    timers: BTreeMap<Timer, Time>,
    /// Until then nothing happens at this server.
    paused_until: u64,
    backlog: VecDeque<Event>,
    pub wiped: bool,
    /// Its first disk is blank.
    pub joiner: bool,
    proposed: u32,
}

impl Node {
    pub fn peer(&self) -> &Peer {
        self.peer.as_ref().expect("it is up")
    }

    pub fn leads(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| {
            peer.role().state == PeerState::Leading && peer.role().phase == Phase::Broadcast
        })
    }

    pub fn serves(&self) -> bool {
        self.peer
            .as_ref()
            .is_some_and(|peer| peer.role().phase == Phase::Broadcast)
    }
}

enum Event {
    AtLink(LinkId, usize, Arrival),
    Datagram(PeerId, PeerId, Notification),
    Disk(PeerId, u64),
    Apply(PeerId, u64),
    Chunk(PeerId, u64, SnapshotId),
    Timer(PeerId, u64, Timer, Time),
    Connect(PeerId, u64, PeerId),
    Start(PeerId),
    Resume(PeerId, u64),
}

pub struct Bus {
    pub nodes: BTreeMap<PeerId, Node>,
    pub rng: Rng,
    pub unkind: Unkind,
    pub oracle: Oracle,
    pub now: u64,
    /// One line for each thing that a reader wants to know, if wanted.
    pub transcript: Option<Vec<String>>,
    /// Whether each line is printed as well, at once.
    pub aloud: bool,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    next_sync: u64,
    /// Links between these are refused and broken, election messages lost.
    pub cut: Vec<(PeerId, PeerId)>,
    wiped: bool,
}

pub fn s(id: u8) -> PeerId {
    PeerId(id)
}

pub fn config(id: u8, quorum: &QuorumConfig) -> Config {
    Config {
        id: s(id),
        quorum: quorum.clone(),
        tick_us: 100_000,
        init_limit: 10,
        sync_limit: 5,
        finalize_wait_us: 20_000,
        notify_us: (20_000, 200_000),
        commit_log_count: 500,
        disk_diff_bytes_max: 0,
        snap_count: 1_000_000,
        counter_max: u32::MAX,
        snap_retain: 3,
        bugs: zab::Planted::NONE,
    }
}

impl Bus {
    /// An ensemble of formatted, not yet started servers; those that are no members of it yet have blank disks.
    pub fn new(seed: u64, configs: impl IntoIterator<Item = Config>) -> Bus {
        let nodes: BTreeMap<PeerId, Node> = configs
            .into_iter()
            .map(|config| {
                let member = config.quorum.members().any(|id| id == config.id);
                let node = Node {
                    id: config.id,
                    config,
                    peer: None,
                    disk: if member {
                        MemoryDisk::formatted()
                    } else {
                        MemoryDisk::blank()
                    },
                    joiner: !member,
                    app: App::default(),
                    life: 0,
                    disk_queue: VecDeque::new(),
                    disk_free_at: 0,
                    timers: BTreeMap::new(),
                    paused_until: 0,
                    backlog: VecDeque::new(),
                    wiped: false,
                    proposed: 0,
                };
                (node.id, node)
            })
            .collect();
        let quorum = nodes
            .values()
            .next()
            .expect("a server")
            .config
            .quorum
            .clone();
        Bus {
            nodes,
            rng: Rng(seed),
            unkind: Unkind::default(),
            oracle: Oracle::new(quorum),
            now: 0,
            transcript: None,
            aloud: false,
            events: BTreeMap::new(),
            sequence: 0,
            links: BTreeMap::new(),
            next_link: 0,
            next_sync: 0,
            cut: Vec::new(),
            wiped: false,
        }
    }

    /// `voters` servers by majority, and `joiners` that are no members.
    pub fn with_joiners(seed: u64, voters: u8, joiners: u8) -> Bus {
        let quorum = QuorumConfig::majority((1..=voters).map(PeerId));
        Bus::new(seed, (1..=voters + joiners).map(|id| config(id, &quorum)))
    }

    /// `voters` servers by majority.
    pub fn majority(seed: u64, voters: u8, adjust: impl Fn(&mut Config)) -> Bus {
        let quorum = QuorumConfig::majority((1..=voters).map(PeerId));
        Bus::new(
            seed,
            (1..=voters).map(|id| {
                let mut config = config(id, &quorum);
                adjust(&mut config);
                config
            }),
        )
    }

    pub fn start_all(&mut self) {
        for id in self.ids() {
            self.start(id);
        }
    }

    pub fn ids(&self) -> Vec<PeerId> {
        self.nodes.keys().copied().collect()
    }

    pub fn start(&mut self, id: PeerId) {
        let node = self.nodes.get_mut(&id).expect("a member");
        if node.peer.is_some() {
            return;
        }
        node.life += 1;
        node.peer = Some(Peer::new(node.config.clone()));
        node.app = App::default();
        node.disk_queue.clear();
        node.disk_free_at = self.now;
        node.timers.clear();
        node.paused_until = 0;
        node.backlog.clear();
        self.step(id, Input::Boot);
    }

    /// The process dies; what is not durable is lost, or as much of it as the dice say.
    pub fn crash(&mut self, id: PeerId) {
        let Bus { nodes, rng, .. } = self;
        let node = nodes.get_mut(&id).expect("a member");
        if node.peer.take().is_none() {
            return;
        }
        let jitter = self.unkind.jitter;
        node.disk.crash(|volatile| {
            if jitter {
                rng.below(volatile as u64 + 1) as usize
            } else {
                0
            }
        });
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            for end in 0..2 {
                if self.links[&link].ends[end].0 == id {
                    self.close_end(link, end);
                }
            }
        }
        self.oracle.check_disks(&self.nodes);
    }

    pub fn wipe(&mut self, id: PeerId) {
        let node = self.nodes.get_mut(&id).expect("a member");
        assert!(node.peer.is_none(), "stop it first");
        node.disk = MemoryDisk::blank();
        node.wiped = true;
    }

    fn latency(&mut self, base: u64) -> u64 {
        if !self.unkind.jitter {
            return base;
        }
        match self.rng.below(50) {
            0 => base + self.rng.below(300_000),
            1..=5 => base + self.rng.below(20_000),
            _ => base + self.rng.below(2_000),
        }
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    fn say(&mut self, line: impl FnOnce() -> Option<String>) {
        if let Some(lines) = &mut self.transcript {
            lines.extend(line());
        }
    }

    /// Gives an input to a peer and carries out what comes of it.
    pub fn step(&mut self, id: PeerId, input: Input) {
        let node = self.nodes.get_mut(&id).expect("a member");
        let Some(peer) = &mut node.peer else { return };
        let mut effects = Vec::new();
        peer.step(Time(self.now), input, &mut effects);
        let life = node.life;
        for effect in effects {
            let node = &self.nodes[&id];
            if node.life != life || node.peer.is_none() {
                return;
            }
            self.carry_out(id, life, effect);
            if self.rng.one_in(self.unkind.crash) {
                self.crash(id);
                let wipes = !self.wiped && self.rng.one_in(self.unkind.wipe);
                if wipes {
                    self.wiped = true;
                    self.wipe(id);
                }
                let at = self.now + self.rng.below(1_500_000);
                self.schedule(at, Event::Start(id));
                return;
            }
        }
    }

    fn carry_out(&mut self, id: PeerId, life: u64, effect: Effect) {
        if self.transcript.is_some() {
            let peer_of = |link: LinkId| {
                let link = self.links.get(&link)?;
                let other = usize::from(link.ends[0].0 == id);
                Some(link.ends[other].0)
            };
            let line = describe_effect(id, &effect, peer_of);
            if self.aloud && line.is_some() {
                eprintln!("{:>9} {}", self.now, line.clone().unwrap_or_default());
            }
            self.say(|| line);
        }
        match effect {
            Effect::Notify { to, notification } => {
                if self.nodes.contains_key(&to)
                    && !self.is_cut(id, to)
                    && !self.rng.one_in(self.unkind.loss)
                {
                    let at = self.now + self.latency(1_000);
                    self.schedule(at, Event::Datagram(to, id, notification));
                }
            }
            Effect::Connect { peer } => {
                let at = self.now + self.latency(1_000);
                self.schedule(at, Event::Connect(id, life, peer));
            }
            Effect::Send { link, message } => self.send(id, link, Arrival::Message(message)),
            Effect::CloseLink { link } => {
                let end = self.end_of(id, link);
                self.close_end(link, end);
            }
            Effect::Disk(op) => {
                let latency = self.latency(100);
                let node = self.nodes.get_mut(&id).expect("a member");
                node.disk_queue.push_back(op);
                let at = node.disk_free_at.max(self.now) + latency / 2;
                node.disk_free_at = at;
                self.schedule(at, Event::Disk(id, life));
            }
            Effect::SetTimer { timer, at } => {
                let node = self.nodes.get_mut(&id).expect("a member");
                node.timers.insert(timer, at);
                self.schedule(at.0, Event::Timer(id, life, timer, at));
            }
            Effect::Deliver { txn, delivery } => {
                self.nodes
                    .get_mut(&id)
                    .expect("a member")
                    .app
                    .queue
                    .push_back(Queued::Txn(txn, delivery));
                let at = self.now + self.latency(10);
                self.schedule(at, Event::Apply(id, life));
            }
            Effect::SyncDone { id: sync } => {
                self.nodes
                    .get_mut(&id)
                    .expect("a member")
                    .app
                    .queue
                    .push_back(Queued::SyncDone(sync));
                let at = self.now + self.latency(10);
                self.schedule(at, Event::Apply(id, life));
            }
            Effect::SyncLost { .. } => {}
            Effect::Restore { zxid, chunks } => {
                let app = &mut self.nodes.get_mut(&id).expect("a member").app;
                app.queue.clear();
                app.state = decode(&chunks);
                self.oracle.on_restore(id, zxid, &app.state);
            }
            Effect::BeginSnapshot { snapshot, .. } => {
                self.nodes
                    .get_mut(&id)
                    .expect("a member")
                    .app
                    .snapshots
                    .insert(snapshot, 0);
                let at = self.now + self.latency(200);
                self.schedule(at, Event::Chunk(id, life, snapshot));
            }
            Effect::AbandonSnapshot { snapshot } => {
                self.nodes
                    .get_mut(&id)
                    .expect("a member")
                    .app
                    .snapshots
                    .remove(&snapshot);
            }
            Effect::RequestReceived { .. }
            | Effect::FromLearner { .. }
            | Effect::FromLeader { .. } => {}
            Effect::RoleChanged(_) => self.nodes.get_mut(&id).expect("a member").proposed = 0,
            Effect::Fatal { reason } => panic!("{id} stopped: {reason}"),
            Effect::Note(note) => {
                let node = &self.nodes[&id];
                self.oracle.on_note(node, &note);
            }
        }
    }

    /// The next thing happens. False if nothing is left.
    pub fn advance(&mut self) -> bool {
        let Some(((at, _), event)) = self.events.pop_first() else {
            return false;
        };
        self.now = self.now.max(at);
        let whom = match &event {
            Event::AtLink(link, end, _) => self.links[link].ends[*end].0,
            Event::Datagram(to, ..) => *to,
            Event::Disk(id, _)
            | Event::Apply(id, _)
            | Event::Chunk(id, ..)
            | Event::Timer(id, ..)
            | Event::Connect(id, ..)
            | Event::Resume(id, _)
            | Event::Start(id) => *id,
        };
        let pause = self
            .rng
            .one_in(self.unkind.pause)
            .then(|| self.rng.below(1_200_000));
        let node = self.nodes.get_mut(&whom).expect("a member");
        if let (Some(pause), true) = (pause, node.paused_until <= self.now) {
            node.paused_until = self.now + pause;
            let (at, life) = (node.paused_until, node.life);
            self.schedule(at, Event::Resume(whom, life));
        }
        let node = self.nodes.get_mut(&whom).expect("a member");
        match event {
            Event::Start(_) => self.happen(event),
            Event::Resume(_, life) if node.life == life => {
                node.paused_until = 0;
                for event in std::mem::take(&mut node.backlog) {
                    self.happen(event);
                }
            }
            // It has arrived, and waits for the process to go on.
            _ if node.paused_until > self.now || !node.backlog.is_empty() => {
                node.backlog.push_back(event);
            }
            _ => self.happen(event),
        }
        true
    }

    fn alive(&self, id: PeerId, life: u64) -> bool {
        let node = &self.nodes[&id];
        node.life == life && node.peer.is_some()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::AtLink(link, end, arrival) => self.arrive(link, end, arrival),
            Event::Datagram(to, from, notification) => {
                self.step(to, Input::Notification { from, notification });
            }
            Event::Disk(id, life) if self.alive(id, life) => {
                let node = self.nodes.get_mut(&id).expect("a member");
                let op = node.disk_queue.pop_front().expect("one event for each");
                if let Some(answer) = node.disk.perform(op) {
                    self.step(id, answer);
                }
            }
            Event::Apply(id, life) if self.alive(id, life) => self.apply(id),
            Event::Chunk(id, life, snapshot) if self.alive(id, life) => {
                self.chunk(id, life, snapshot)
            }
            Event::Timer(id, life, timer, at) if self.alive(id, life) => {
                let node = self.nodes.get_mut(&id).expect("a member");
                if node.timers.get(&timer) == Some(&at) {
                    node.timers.remove(&timer);
                    self.step(id, Input::Timer(timer));
                }
            }
            Event::Connect(id, life, peer) if self.alive(id, life) => self.connect(id, peer),
            Event::Start(id) => self.start(id),
            _ => {}
        }
    }

    /// Proposes at the leader, if there is one (the last established, if there are two who think so).
    pub fn propose(&mut self) -> Option<Zxid> {
        let leader = self
            .nodes
            .values()
            .filter(|node| node.leads())
            .max_by_key(|node| node.peer().role().epoch)?
            .id;
        self.propose_at(leader)
    }

    pub fn propose_at(&mut self, leader: PeerId) -> Option<Zxid> {
        let node = self.nodes.get_mut(&leader)?;
        if !node.backlog.is_empty()
            || node.paused_until > self.now
            || node.peer().proposals_left() == 0
        {
            return None;
        }
        node.proposed += 1;
        let zxid = Zxid::new(node.peer().role().epoch, node.proposed);
        let payload: Payload = format!("{leader} {zxid}").into_bytes().into();
        self.step(leader, Input::Propose { zxid, payload });
        Some(zxid)
    }

    /// Proposes a configuration at the leader, if there is one that may.
    pub fn reconfigure(&mut self, quorum: QuorumConfig) -> Result<Zxid, ReconfigureRefusal> {
        let leader = self.nodes.values_mut().filter(|node| node.leads());
        let leader = leader.max_by_key(|node| node.peer().role().epoch);
        let node = leader.ok_or(ReconfigureRefusal::NotLeading)?;
        let peer = node.peer();
        if !node.backlog.is_empty() || node.paused_until > self.now || peer.proposals_left() == 0 {
            return Err(ReconfigureRefusal::NotLeading);
        }
        peer.may_reconfigure(&quorum)?;
        let zxid = Zxid::new(peer.role().epoch, node.proposed + 1);
        node.proposed += 1;
        let input = Input::Reconfigure {
            zxid,
            quorum,
            payload: b"reconfigured"[..].into(),
        };
        let id = node.id;
        self.step(id, input);
        Ok(zxid)
    }

    /// Asks for a barrier at a server; the oracle remembers what must be seen behind it.
    pub fn sync_at(&mut self, id: PeerId, quorum: bool) {
        self.next_sync += 1;
        let sync = SyncId(self.next_sync);
        if self.nodes[&id].peer.is_some() && self.nodes[&id].paused_until <= self.now {
            self.oracle.on_sync_asked(sync, quorum);
            self.step(id, Input::Sync { id: sync, quorum });
        }
    }

    /// Runs until then, in virtual microseconds from now.
    pub fn run_for(&mut self, us: u64) {
        let end = self.now + us;
        while self
            .events
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= end)
        {
            self.advance();
        }
        self.now = end;
    }

    /// Runs until it is so, at most `us` long.
    ///
    /// # Panics
    /// Where it never is, with what everybody waits for.
    pub fn run_until(&mut self, us: u64, what: &str, mut so: impl FnMut(&Bus) -> bool) {
        let end = self.now + us;
        while !so(self) {
            let in_time = self
                .events
                .first_key_value()
                .is_some_and(|((at, _), _)| *at <= end);
            assert!(in_time, "never: {what}\n{}", self.everybody());
            self.advance();
        }
    }

    /// All serve, and all have applied everything that was ever proposed and survived.
    pub fn settled(&self) -> bool {
        let leader = self.nodes.values().find(|node| node.leads());
        leader.is_some_and(|leader| {
            let last = leader.peer().last_logged();
            self.nodes.values().all(|node| {
                node.serves()
                    && node.peer().role().epoch == leader.peer().role().epoch
                    && node.app.state.last().map_or(Zxid::ZERO, |txn| txn.zxid) == last
                    && node.app.queue.is_empty()
            })
        })
    }

    pub fn settle(&mut self) {
        self.run_until(60_000_000, "all serve and agree", Bus::settled);
        self.oracle.check_disks(&self.nodes);
    }

    /// What everybody waits for.
    pub fn everybody(&self) -> String {
        let mut text = String::new();
        for node in self.nodes.values() {
            let line = match &node.peer {
                None => "down".to_string(),
                Some(peer) => {
                    let role = peer.role();
                    format!(
                        "{:?} {:?} {} follows {:?}, logged {}, committed {}, {}: waits for {}",
                        role.state,
                        role.phase,
                        role.epoch,
                        role.leader,
                        peer.last_logged(),
                        peer.last_committed(),
                        peer.membership(),
                        peer.waiting_for()
                    )
                }
            };
            text += &format!("{}: {line}\n", node.id);
        }
        text
    }

    /// What was said since the last call.
    pub fn take_transcript(&mut self) -> String {
        let lines = self.transcript.replace(Vec::new()).unwrap_or_default();
        lines.join("\n")
    }
}

/// Notes that only say that a path was taken.
pub fn is_mark(note: &Note, name: &str) -> bool {
    matches!(note, Note::Mark(mark) if *mark == name)
}
