//! Whole servers on an unkind bus: three of them, clients that come, go and move, crashes and broken links. Judged by what
//! needs no model: equal zxids have equal digests, on every server, in every life and rebuilt from its disk alone; what a
//! client hears is in order; and once the trouble is over, everybody agrees and new requests are served.
//!
//! The project's simulator stands above this crate and cannot be used here; this bus is as simple as the contract allows.

mod clients;

use std::collections::{BTreeMap, VecDeque};
use zab::{DiskOp, LinkId, MemoryDisk, Message, Notification, PeerId, QuorumConfig};
use zabsim_server::{Config, ConnId, Effect, Input, Note, Rules, Server, Stage, Timer, digest_of};
use zabsim_types::{ClientFrame, ServerFrame, SessionId, Xid, Zxid};

/// SplitMix64: a few lines whose numbers never change.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }
}

struct Node {
    config: Config,
    server: Option<Server>,
    disk: MemoryDisk,
    life: u64,
    disk_queue: VecDeque<DiskOp>,
    timers: BTreeMap<Timer, zab::Time>,
}

struct Link {
    /// Learner, leader; with the life in which the link was made.
    ends: [(PeerId, u64); 2],
    /// The latest arrival at each end: links are FIFO.
    arrives: [u64; 2],
    closed: bool,
}

struct Conn {
    client: usize,
    server: PeerId,
    life: u64,
    /// The latest arrival at client and server.
    arrives: [u64; 2],
    closed: bool,
}

/// A client that keeps a few requests in flight and checks the order of what it hears.
struct Client {
    conn: Option<ConnId>,
    session: SessionId,
    password: [u8; 16],
    connected: bool,
    last_zxid: Zxid,
    next_xid: i32,
    in_flight: VecDeque<Xid>,
    done: u32,
}

enum Event {
    Datagram(PeerId, PeerId, Notification),
    Connect(PeerId, u64, PeerId),
    LinkOpened(LinkId, usize),
    LinkMessage(LinkId, usize, Message),
    LinkBroken(LinkId, usize),
    Disk(PeerId, u64),
    Timer(PeerId, u64, Timer, zab::Time),
    Run(PeerId, u64, Stage),
    ToServer(ConnId, ClientFrame),
    ToClient(ConnId, ServerFrame),
    ClientLost(ConnId),
    Act(usize),
    Start(PeerId),
}

struct World {
    rng: Rng,
    now: u64,
    sequence: u64,
    events: BTreeMap<(u64, u64), Event>,
    nodes: BTreeMap<PeerId, Node>,
    links: BTreeMap<LinkId, Link>,
    conns: BTreeMap<ConnId, Conn>,
    clients: Vec<Client>,
    next_link: u64,
    next_conn: u64,
    /// One in so many effects is followed by a crash, one in so many messages by a broken link; 0: never.
    crash: u64,
    breaks: u64,
    digests: BTreeMap<Zxid, u64>,
    crashes: u32,
    restored: u32,
    rebuilt: u32,
}

const TICK_US: u64 = 100_000;

fn config(id: u8, quorum: &QuorumConfig) -> Config {
    Config {
        zab: zab::Config {
            id: PeerId(id),
            quorum: quorum.clone(),
            tick_us: TICK_US,
            init_limit: 10,
            sync_limit: 5,
            finalize_wait_us: 20_000,
            notify_us: (20_000, 200_000),
            commit_log_count: 20,
            disk_diff_bytes_max: 0,
            snap_count: 25,
            counter_max: 400,
            snap_retain: 3,
            bugs: zab::Planted::NONE,
        },
        session_timeout_ms: (200, 2_000),
        apply_batch: 3,
        snapshot_chunk_nodes: 3,
        password_salt: 1,
        sweep_interval_ms: 500,
        rules: Rules::default(),
        local_sessions: false,
        upgrade_local_sessions: true,
        read_only_mode: false,
    }
}

impl World {
    fn new(seed: u64, servers: u8, clients: usize) -> World {
        let quorum = QuorumConfig::majority((1..=servers).map(PeerId));
        let node = |id: u8| Node {
            config: config(id, &quorum),
            server: None,
            disk: MemoryDisk::formatted(),
            life: 0,
            disk_queue: VecDeque::new(),
            timers: BTreeMap::new(),
        };
        let client = |_| Client {
            conn: None,
            session: SessionId::NONE,
            password: [0; 16],
            connected: false,
            last_zxid: Zxid::ZERO,
            next_xid: 0,
            in_flight: VecDeque::new(),
            done: 0,
        };
        let mut world = World {
            rng: Rng(seed),
            now: 0,
            sequence: 0,
            events: BTreeMap::new(),
            nodes: (1..=servers).map(|id| (PeerId(id), node(id))).collect(),
            links: BTreeMap::new(),
            conns: BTreeMap::new(),
            clients: (0..clients).map(client).collect(),
            next_link: 0,
            next_conn: 0,
            crash: 0,
            breaks: 0,
            digests: BTreeMap::new(),
            crashes: 0,
            restored: 0,
            rebuilt: 0,
        };
        for id in 1..=servers {
            world.schedule(0, Event::Start(PeerId(id)));
        }
        for client in 0..clients {
            world.schedule(10_000, Event::Act(client));
        }
        world
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn schedule_at(&mut self, at: u64, event: Event) {
        self.schedule(at.saturating_sub(self.now), event);
    }

    fn latency(&mut self, base: u64) -> u64 {
        match self.rng.below(40) {
            0 => base + self.rng.below(100_000),
            _ => base + self.rng.below(base),
        }
    }

    fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = end;
    }

    fn alive(&self, id: PeerId, life: u64) -> bool {
        self.nodes[&id].life == life && self.nodes[&id].server.is_some()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(id) => self.start(id),
            Event::Act(client) => self.act(client),
            Event::Datagram(to, from, notification) => {
                let input = zab::Input::Notification { from, notification };
                self.step(to, Input::Zab(input));
            }
            Event::Connect(id, life, peer) if self.alive(id, life) => self.connect_link(id, peer),
            Event::LinkOpened(link, end) => {
                let ends = self.links[&link].ends;
                let input = zab::Input::LinkOpened {
                    link,
                    peer: ends[1 - end].0,
                    outgoing: end == 0,
                };
                self.link_input(link, end, input);
            }
            Event::LinkMessage(link, end, message) if !self.links[&link].closed => {
                self.link_input(link, end, zab::Input::Message { link, message });
            }
            Event::LinkBroken(link, end) => {
                self.link_input(link, end, zab::Input::LinkBroken { link });
            }
            Event::Disk(id, life) if self.alive(id, life) => {
                let node = self.nodes.get_mut(&id).unwrap();
                let op = node.disk_queue.pop_front().unwrap();
                if let Some(answer) = node.disk.perform(op) {
                    self.step(id, Input::Zab(answer));
                }
            }
            Event::Timer(id, life, timer, at) if self.alive(id, life) => {
                let node = self.nodes.get_mut(&id).unwrap();
                if node.timers.get(&timer) == Some(&at) {
                    node.timers.remove(&timer);
                    self.step(id, Input::Timer(timer));
                }
            }
            Event::Run(id, life, stage) if self.alive(id, life) => self.step(id, Input::Run(stage)),
            Event::ToServer(conn, frame) => {
                let state = &self.conns[&conn];
                if !state.closed && self.alive(state.server, state.life) {
                    let frame = Box::new(frame);
                    self.step(state.server, Input::ClientFrame { conn, frame });
                }
            }
            Event::ToClient(conn, frame) => self.hear(conn, frame),
            Event::ClientLost(conn) => self.lose(conn),
            _ => {}
        }
    }

    fn start(&mut self, id: PeerId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.server.is_none() {
            node.life += 1;
            node.server = Some(Server::new(node.config.clone()));
            self.step(id, Input::Zab(zab::Input::Boot));
        }
    }

    fn crash(&mut self, id: PeerId) {
        self.crashes += 1;
        let World { nodes, rng, .. } = self;
        let node = nodes.get_mut(&id).unwrap();
        node.server = None;
        node.disk_queue.clear();
        node.timers.clear();
        node.disk
            .crash(|volatile| rng.below(volatile as u64 + 1) as usize);
        for link in self.links_of(id) {
            self.break_link(link, None);
        }
        let here = self.conns.iter().filter(|(_, conn)| conn.server == id);
        for conn in here.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close_conn(conn);
        }
        self.check_disk(id);
    }

    /// What a restart would load is a state that was, or is, somewhere.
    fn check_disk(&mut self, id: PeerId) {
        let files = self.nodes[&id].disk.durable_files();
        let found = zab::recover_offline(&files).unwrap();
        let txns = found.txns.iter().map(|txn| (txn.zxid, txn.payload()));
        let (zxid, digest) = digest_of(None, &found.chunks, txns).unwrap();
        self.rebuilt += 1;
        self.same_digest(Zxid(zxid.0), digest);
    }

    /// A server that does not serve, and what it waits for.
    fn someone_idle(&self) -> Option<(PeerId, String)> {
        self.nodes.iter().find_map(|(id, node)| {
            let server = node.server.as_ref().expect("all are up");
            (!server.is_serving()).then(|| (*id, server.waiting_for()))
        })
    }

    fn same_digest(&mut self, zxid: Zxid, digest: u64) {
        let first = *self.digests.entry(zxid).or_insert(digest);
        assert_eq!(first, digest, "two states of {zxid}");
    }

    fn links_of(&self, id: PeerId) -> Vec<LinkId> {
        let of = |link: &Link| !link.closed && link.ends.iter().any(|end| end.0 == id);
        let links = self.links.iter().filter(|(_, link)| of(link));
        links.map(|(id, _)| *id).collect()
    }

    /// Both ends learn of it in their time, but for the one that closed it.
    fn break_link(&mut self, link: LinkId, closed_by: Option<PeerId>) {
        if std::mem::replace(&mut self.links.get_mut(&link).unwrap().closed, true) {
            return;
        }
        for end in 0..2 {
            if closed_by != Some(self.links[&link].ends[end].0) {
                let after = self.latency(500);
                self.schedule(after, Event::LinkBroken(link, end));
            }
        }
    }

    fn link_input(&mut self, link: LinkId, end: usize, input: zab::Input) {
        let (id, life) = self.links[&link].ends[end];
        if self.alive(id, life) {
            self.step(id, Input::Zab(input));
        }
    }

    fn connect_link(&mut self, id: PeerId, peer: PeerId) {
        if self.nodes[&peer].server.is_none() {
            self.step(id, Input::Zab(zab::Input::ConnectFailed { peer }));
            return;
        }
        self.next_link += 1;
        let link = LinkId(self.next_link);
        let ends = [id, peer].map(|id| (id, self.nodes[&id].life));
        let arrives = [self.now + 300; 2];
        let state = Link {
            ends,
            arrives,
            closed: false,
        };
        self.links.insert(link, state);
        for end in 0..2 {
            self.schedule(300, Event::LinkOpened(link, end));
        }
    }

    fn step(&mut self, id: PeerId, input: Input) {
        let now = zab::Time(self.now + u64::from(id.0) * 77_000);
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(server) = &mut node.server else {
            return;
        };
        let life = node.life;
        let mut effects = Vec::new();
        server.step(now, input, &mut effects);
        for effect in effects {
            self.carry_out(id, life, effect);
            if self.rng.one_in(self.crash) {
                self.crash(id);
                let after = self.rng.below(600_000);
                self.schedule(after, Event::Start(id));
                return;
            }
        }
    }

    fn carry_out(&mut self, id: PeerId, life: u64, effect: Effect) {
        match effect {
            Effect::Zab(effect) => self.carry_out_zab(id, life, effect),
            Effect::SetTimer { timer, at } => {
                self.nodes.get_mut(&id).unwrap().timers.insert(timer, at);
                let world_time = at.0.saturating_sub(u64::from(id.0) * 77_000);
                self.schedule_at(world_time, Event::Timer(id, life, timer, at));
            }
            Effect::Schedule(stage) => {
                let after = self.latency(50);
                self.schedule(after, Event::Run(id, life, stage));
            }
            Effect::Frame { conn, frame } => {
                let after = self.latency(1_000);
                let state = self.conns.get_mut(&conn).unwrap();
                let at = state.arrives[0].max(self.now + after);
                state.arrives[0] = at;
                self.schedule_at(at, Event::ToClient(conn, *frame));
            }
            Effect::CloseClient { conn } => {
                let at = self.conns[&conn].arrives[0];
                self.conns.get_mut(&conn).unwrap().closed = true;
                self.schedule_at(at, Event::ClientLost(conn));
            }
            Effect::Note(Note::Applied { zxid, digest, .. }) => {
                if let Some(digest) = digest {
                    self.same_digest(zxid, digest);
                }
            }
            Effect::Note(Note::Restored { .. }) => self.restored += 1,
            Effect::Note(Note::Mark(mark)) => {
                assert!(
                    ![
                        "client-out-of-turn",
                        "ephemeral-of-unknown-session",
                        "restore-failed"
                    ]
                    .contains(&mark),
                    "{mark}"
                );
            }
            Effect::Note(_) => {}
        }
    }

    fn carry_out_zab(&mut self, id: PeerId, life: u64, effect: zab::Effect) {
        match effect {
            zab::Effect::Notify { to, notification } => {
                let after = self.latency(1_000);
                self.schedule(after, Event::Datagram(to, id, notification));
            }
            zab::Effect::Connect { peer } => self.schedule(500, Event::Connect(id, life, peer)),
            zab::Effect::Send { link, message } => {
                let after = self.latency(500);
                let state = self.links.get_mut(&link).unwrap();
                let end = usize::from(state.ends[0].0 == id);
                let at = state.arrives[end].max(self.now + after);
                state.arrives[end] = at;
                self.schedule_at(at, Event::LinkMessage(link, end, message));
                if self.rng.one_in(self.breaks) {
                    self.break_link(link, None);
                }
            }
            zab::Effect::CloseLink { link } => self.break_link(link, Some(id)),
            zab::Effect::Disk(op) => {
                self.nodes.get_mut(&id).unwrap().disk_queue.push_back(op);
                // In order: the delay is the same for all.
                self.schedule(200, Event::Disk(id, life));
            }
            zab::Effect::Fatal { reason } => panic!("{id}: {reason}"),
            zab::Effect::Note(zab::Note::IllegalMessage { message, why, .. }) => {
                panic!("{id}: {message}: {why}");
            }
            zab::Effect::RoleChanged(_) | zab::Effect::Note(_) => {}
            other => panic!("{other:?} is the application's"),
        }
    }
}

fn finish(world: &mut World) {
    world.crash = 0;
    world.breaks = 0;
    let end = world.now + 6_000_000;
    world.run_until(end);
    for client in &world.clients {
        assert!(client.done > 0, "served");
    }
    let before: u32 = world.clients.iter().map(|c| c.done).sum();
    let end = world.now + 2_000_000;
    world.run_until(end);
    let after: u32 = world.clients.iter().map(|c| c.done).sum();
    // An epoch's numbers run out now and then (`counter_max`): there may be an election just now, but not for long.
    let deadline = world.now + 3_000_000;
    while let Some((id, waits)) = world.someone_idle() {
        assert!(world.now < deadline, "{id} waits for: {waits}");
        let end = world.now + 20_000;
        world.run_until(end);
    }
    assert!(
        after > before + 50,
        "{before} replies before, {after} after"
    );
    for id in world.nodes.keys().copied().collect::<Vec<_>>() {
        world.check_disk(id);
    }
}

#[test]
fn a_quiet_ensemble_serves() {
    let mut world = World::new(1, 3, 4);
    finish(&mut world);
    assert!(world.digests.len() > 100);
}

#[test]
fn an_unkind_world_breaks_nothing_that_matters() {
    let (mut crashes, mut restored, mut digests) = (0, 0, 0);
    for seed in 0..12 {
        let mut world = World::new(seed, 3 + 2 * (seed % 2) as u8, 4);
        world.crash = 4_000;
        world.breaks = 3_000;
        world.run_until(15_000_000);
        finish(&mut world);
        crashes += world.crashes;
        restored += world.restored;
        digests += world.digests.len();
    }
    assert!(crashes > 20, "{crashes} crashes");
    assert!(restored > crashes, "{restored} snapshots became trees");
    assert!(digests > 2_000, "{digests} states compared");
}
