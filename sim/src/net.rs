//! The network. Two kinds of traffic, and no more promised than ZAB asks for:
//!
//! - **Connections** (learner to leader, client to server), as TCP: in order and without loss while they last. One can
//!   break and lose its tail; one end can learn of it late or never (half-open). A path that a partition blocks delivers
//!   nothing, in flight or new: it holds everything back, arrival goes on where the partition ends before somebody gave
//!   up, and a connection asked for through it times out. A process that ends tells the other end, a machine that dies
//!   does not: the other end learns it from its own timeouts, or from the reset that answers its next packet once the
//!   machine is back.
//! - **Election messages**, as datagrams: each on its own, so they overtake one another; a partition keeps the newest of
//!   each pair, as `QuorumCnxManager`'s queue of one does, and delivers it when a connection is possible again; the fault
//!   `election loss` loses and repeats them.
//!
//! Each direction between two processes is a [`Path`] with a stream of its own for latencies.

use crate::plan::Climate;
use crate::queue::{Event, Queue};
use crate::stream::Stream;
use std::collections::VecDeque;
use zabsim_types::{ClientFrame, ServerFrame, Time};

/// A process: servers come first, then clients, counted from 0.
pub(crate) type Node = u32;

/// What travels on a connection.
#[derive(Debug)]
pub(crate) enum Item {
    /// The initiator wants to connect.
    Syn,
    /// The other end accepted.
    Accepted,
    /// The other end is not there.
    Refused,
    /// Between servers.
    Zab(zab::Message),
    /// Client to server.
    ToServer(ClientFrame),
    /// Server to client.
    ToClient(ServerFrame),
    /// The other end is gone.
    Broken,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkKind {
    /// Learner to leader.
    Zab,
    /// Client to server.
    Client,
    /// The second connection of a client's session (`client-duplicate`); no session core listens at its client end.
    Ghost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum EndState {
    /// Not yet: the initiator waits for the answer, the other end for the first packet.
    Opening,
    Open,
    Closed,
}

#[derive(Debug)]
struct End {
    node: Node,
    state: EndState,
}

#[derive(Debug, Default)]
struct Direction {
    /// What is under way, with the time of its arrival.
    items: VecDeque<(Time, Item)>,
    /// Nothing sent later arrives before.
    last_due: Time,
    /// Whether an event for the first item is in the queue.
    scheduled: bool,
    /// When the sender's line is free again, under a bandwidth limit.
    line_free: Time,
}

/// One connection. End 0 is the initiator; direction `d` goes from end `d` to the other.
#[derive(Debug)]
struct Link {
    kind: LinkKind,
    ends: [End; 2],
    directions: [Direction; 2],
    /// A half-open reset: whoever still believes in it gets no answer.
    mute: bool,
}

/// The way from one process to another.
#[derive(Debug, Default)]
struct Path {
    stream: Option<Box<Stream>>,
    blocked: u16,
    stalled: u16,
    /// Additional delays, by the strike that causes them.
    delays: Vec<(u32, (u64, u64))>,
    /// Limits in bytes per second, by the strike that causes them.
    limits: Vec<(u32, u64)>,
    /// The newest election message that could not be delivered.
    waiting: Option<zab::Notification>,
}

impl Path {
    fn open(&self) -> bool {
        self.blocked == 0 && self.stalled == 0
    }
}

/// An election message under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    /// From which server.
    pub(crate) from: Node,
    /// To which server.
    pub(crate) to: Node,
    /// It.
    pub(crate) notification: zab::Notification,
}

/// What the world must do about an item that has arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// By which connection.
    pub(crate) link: u32,
    /// Its kind.
    pub(crate) kind: LinkKind,
    /// Where it comes from.
    pub(crate) from: Node,
    /// Where it arrives.
    pub(crate) to: Node,
    /// It.
    pub(crate) item: Item,
}

/// How a process ended, as the network sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Death {
    /// Its machine lives on and says so.
    Process,
    /// With its machine: silence.
    Machine,
}

/// The network.
#[derive(Debug)]
pub(crate) struct Net {
    seed: u64,
    servers: u32,
    climate: Climate,
    paths: Vec<Path>,
    links: Vec<Link>,
    /// The connections of each process that are not closed at its end, oldest first.
    live: Vec<Vec<u32>>,
    datagrams: Vec<Option<Datagram>>,
    free: Vec<u32>,
    /// Chances in 1,000 that an election message is lost and repeated, by strike.
    loss: Vec<(u32, (u32, u32))>,
    loss_stream: Stream,
    tail_stream: Stream,
    connect_timeout_us: u64,
}

impl Net {
    /// A network of `servers` and `clients`, all ways open.
    pub(crate) fn new(
        seed: u64,
        servers: u32,
        clients: u32,
        climate: &Climate,
        connect_timeout_us: u64,
    ) -> Net {
        let mut net = Net {
            seed,
            servers,
            climate: climate.clone(),
            paths: Vec::new(),
            links: Vec::new(),
            live: Vec::new(),
            datagrams: Vec::new(),
            free: Vec::new(),
            loss: Vec::new(),
            loss_stream: Stream::new(seed, "election loss", 0),
            tail_stream: Stream::new(seed, "lost tail", 0),
            connect_timeout_us,
        };
        net.paths
            .resize_with((servers * servers) as usize, Path::default);
        net.live.resize_with(servers as usize, Vec::new);
        for _ in 0..clients {
            net.add_client();
        }
        net
    }

    /// Makes room for one more client.
    pub(crate) fn add_client(&mut self) {
        let more = self.paths.len() + 2 * self.servers as usize;
        self.paths.resize_with(more, Path::default);
        self.live.push(Vec::new());
    }

    fn path_index(&self, from: Node, to: Node) -> usize {
        let servers = self.servers;
        let index = match (from < servers, to < servers) {
            (true, true) => from * servers + to,
            (false, true) => servers * servers + ((from - servers) * servers + to) * 2,
            (true, false) => servers * servers + ((to - servers) * servers + from) * 2 + 1,
            (false, false) => unreachable!("clients do not talk to each other"),
        };
        index as usize
    }

    fn latency(&mut self, path: usize) -> u64 {
        let climate = if path < (self.servers * self.servers) as usize {
            self.climate.link_us
        } else {
            self.climate.client_link_us
        };
        let path_state = &mut self.paths[path];
        let seed = self.seed;
        let stream = path_state
            .stream
            .get_or_insert_with(|| Box::new(Stream::new(seed, "link latency", path as u64)));
        let mut latency = stream.range(climate);
        for (_, extra) in &path_state.delays {
            latency += stream.range(*extra);
        }
        latency
    }

    // ---- connections ----

    /// Begins to open a connection; the answer arrives as `Accepted`, `Refused` or by `connect_timeout`.
    pub(crate) fn connect(
        &mut self,
        queue: &mut Queue,
        now: Time,
        kind: LinkKind,
        from: Node,
        to: Node,
    ) -> u32 {
        let link = self.links.len() as u32;
        let end = |node| End {
            node,
            state: EndState::Opening,
        };
        self.links.push(Link {
            kind,
            ends: [end(from), end(to)],
            directions: Default::default(),
            mute: false,
        });
        self.live[from as usize].push(link);
        self.put(queue, now, link, 0, Item::Syn);
        queue.push(
            now.plus(self.connect_timeout_us),
            Event::ConnectTimeout { link },
        );
        link
    }

    /// The time for a connection to come up is over: the end that asked and must be told that it failed, if it did.
    pub(crate) fn connect_timeout(&mut self, link: u32) -> Option<(Node, Node, LinkKind)> {
        let state = &mut self.links[link as usize];
        if state.ends[0].state != EndState::Opening {
            return None;
        }
        let told = (state.ends[0].node, state.ends[1].node, state.kind);
        self.close_end(link, 0);
        Some(told)
    }

    /// Sends an item from `node`'s end. Lost without a word where that end is closed already.
    #[inline]
    pub(crate) fn send(&mut self, queue: &mut Queue, now: Time, link: u32, node: Node, item: Item) {
        let state = &self.links[link as usize];
        let end = usize::from(state.ends[0].node != node);
        if state.ends[end].state == EndState::Open {
            self.put(queue, now, link, end, item);
        }
    }

    /// Closes `node`'s end. The other end learns it behind what still arrives: perhaps not all of it.
    pub(crate) fn close(&mut self, queue: &mut Queue, now: Time, link: u32, node: Node) {
        let state = &self.links[link as usize];
        let end = usize::from(state.ends[0].node != node);
        if state.ends[end].state == EndState::Closed {
            return;
        }
        self.close_end(link, end);
        self.lose_tail(link, end);
        self.put(queue, now, link, end, Item::Broken);
    }

    /// A server closes a client's connection: what it said before still arrives.
    pub(crate) fn close_gently(&mut self, queue: &mut Queue, now: Time, link: u32, node: Node) {
        let state = &self.links[link as usize];
        let end = usize::from(state.ends[0].node != node);
        if state.ends[end].state != EndState::Closed {
            self.close_end(link, end);
            self.put(queue, now, link, end, Item::Broken);
        }
    }

    /// Closes all ends of a process that died.
    pub(crate) fn die(&mut self, queue: &mut Queue, now: Time, node: Node, death: Death) {
        for link in self.live[node as usize].clone() {
            match death {
                Death::Process => self.close(queue, now, link, node),
                Death::Machine => {
                    let end = usize::from(self.links[link as usize].ends[0].node != node);
                    self.close_end(link, end);
                    self.lose_tail(link, end);
                }
            }
        }
    }

    /// Breaks all connections between two processes; half-open: only `a` learns it. Returns how many it broke.
    pub(crate) fn reset(
        &mut self,
        queue: &mut Queue,
        now: Time,
        a: Node,
        b: Node,
        half_open: bool,
    ) -> usize {
        let mut broken = 0;
        for link in self.live[a as usize].clone() {
            let state = &self.links[link as usize];
            let other = usize::from(state.ends[0].node == a);
            if state.ends[other].node != b || state.ends[1 - other].state != EndState::Open {
                continue;
            }
            broken += 1;
            // The reset comes from the middle of the way: to `a` it looks as if `b` had closed, and the other way round.
            let told: &[usize] = if half_open {
                &[1 - other]
            } else {
                &[1 - other, other]
            };
            for &end in told {
                self.lose_tail(link, 1 - end);
                self.put(queue, now, link, 1 - end, Item::Broken);
            }
            self.links[link as usize].mute = half_open;
        }
        broken
    }

    /// Adds an item to a direction.
    fn put(&mut self, queue: &mut Queue, now: Time, link: u32, direction: usize, item: Item) {
        let state = &self.links[link as usize];
        let (from, to) = (state.ends[direction].node, state.ends[1 - direction].node);
        let path = self.path_index(from, to);
        let latency = self.latency(path);
        let slowest = self.paths[path]
            .limits
            .iter()
            .map(|(_, limit)| *limit)
            .min();
        let way = &mut self.links[link as usize].directions[direction];
        let mut leaves = now;
        if let Some(bytes_per_s) = slowest {
            let takes = size(&item) * 1_000_000 / bytes_per_s.max(1);
            leaves = way.line_free.max(now).plus(takes);
            way.line_free = leaves;
        }
        let due = leaves.plus(latency).max(way.last_due);
        way.last_due = due;
        way.items.push_back((due, item));
        if !way.scheduled && self.paths[path].open() {
            way.scheduled = true;
            queue.push(
                due,
                Event::Link {
                    link,
                    direction: direction as u8,
                },
            );
        }
    }

    /// Takes the first item of a direction, if it can arrive. Items that arrive at a closed end are answered by a reset,
    /// where there is a machine (`alive`) to answer.
    pub(crate) fn arrive(
        &mut self,
        queue: &mut Queue,
        now: Time,
        link: u32,
        direction: u8,
        alive: impl Fn(Node) -> bool,
    ) -> Option<Arrival> {
        let direction = usize::from(direction);
        let state = &mut self.links[link as usize];
        let (from, to) = (state.ends[direction].node, state.ends[1 - direction].node);
        let kind = state.kind;
        let path = self.path_index(from, to);
        let open = self.paths[path].open();
        let state = &mut self.links[link as usize];
        let way = &mut state.directions[direction];
        way.scheduled = false;
        if !open {
            return None;
        }
        // What the event was for may have been lost since, and something later be first now.
        let (due, _) = way.items.front()?;
        if *due > now {
            way.scheduled = true;
            let event = Event::Link {
                link,
                direction: direction as u8,
            };
            queue.push(*due, event);
            return None;
        }
        let (_, item) = way.items.pop_front()?;
        if let Some((due, _)) = way.items.front() {
            way.scheduled = true;
            queue.push(
                (*due).max(now),
                Event::Link {
                    link,
                    direction: direction as u8,
                },
            );
        }
        let receiver = 1 - direction;
        let item = match (item, state.ends[receiver].state, receiver) {
            // Whoever waits for the answer does not tell a connection that broke from one that was refused.
            (Item::Broken, EndState::Opening, 0) => Item::Refused,
            // The other end gave up, and what it asked for was lost: nobody here has heard of it.
            (Item::Broken, EndState::Opening, _) => {
                state.ends[receiver].state = EndState::Closed;
                return None;
            }
            (item, ..) => item,
        };
        match (&item, state.ends[receiver].state) {
            (_, EndState::Closed) => {
                let told = matches!(
                    state.directions[receiver].items.back(),
                    Some((_, Item::Broken))
                );
                let bounces = !matches!(item, Item::Broken | Item::Refused)
                    && state.ends[direction].state != EndState::Closed
                    && !state.mute
                    && !told
                    && alive(to);
                if bounces {
                    self.lose_tail(link, receiver);
                    self.put(queue, now, link, receiver, Item::Broken);
                }
                return None;
            }
            (Item::Syn, _) => {
                if !alive(to) {
                    self.put(queue, now, link, receiver, Item::Refused);
                    return None;
                }
                state.ends[receiver].state = EndState::Open;
                self.live[to as usize].push(link);
                self.put(queue, now, link, receiver, Item::Accepted);
            }
            (Item::Accepted, _) => state.ends[receiver].state = EndState::Open,
            (Item::Refused | Item::Broken, _) => self.close_end(link, receiver),
            _ => {}
        }
        Some(Arrival {
            link,
            kind,
            from,
            to,
            item,
        })
    }

    fn close_end(&mut self, link: u32, end: usize) {
        let state = &mut self.links[link as usize];
        state.ends[end].state = EndState::Closed;
        // Nothing that is under way to a closed end matters, but for the packet that asks for a reset.
        let node = state.ends[end].node;
        if let Some(at) = self.live[node as usize].iter().position(|l| *l == link) {
            self.live[node as usize].remove(at);
        }
    }

    /// What the sender had not got through when a connection broke: none, some or all of it.
    fn lose_tail(&mut self, link: u32, direction: usize) {
        let way = &mut self.links[link as usize].directions[direction];
        if way.items.is_empty() {
            return;
        }
        let kept = self.tail_stream.below(way.items.len() as u64 + 1) as usize;
        way.items.truncate(kept);
    }

    /// The process that opened a connection.
    pub(crate) fn initiator(&self, link: u32) -> Node {
        self.links[link as usize].ends[0].node
    }

    /// The process at the other end of a connection of `node`.
    #[inline]
    pub(crate) fn other_end(&self, link: u32, node: Node) -> Node {
        let ends = &self.links[link as usize].ends;
        match ends[0].node == node {
            true => ends[1].node,
            false => ends[0].node,
        }
    }

    /// Whether `node` still believes that the connection is up.
    #[cfg(test)]
    pub(crate) fn is_open(&self, link: u32, node: Node) -> bool {
        let state = &self.links[link as usize];
        let end = usize::from(state.ends[0].node != node);
        state.ends[end].state == EndState::Open
    }

    // ---- election messages ----

    /// Sends an election message.
    pub(crate) fn notify(&mut self, queue: &mut Queue, now: Time, datagram: Datagram) {
        let path = self.path_index(datagram.from, datagram.to);
        if !self.paths[path].open() {
            self.paths[path].waiting = Some(datagram.notification);
            return;
        }
        let (mut lost, mut copies) = (false, 1);
        for (_, (lost_per_mille, repeated_per_mille)) in &self.loss {
            lost |= self.loss_stream.per_mille(*lost_per_mille);
            copies += u32::from(self.loss_stream.per_mille(*repeated_per_mille));
        }
        if lost {
            return;
        }
        for _ in 0..copies {
            let due = now.plus(self.latency(path));
            let slot = match self.free.pop() {
                Some(slot) => slot,
                None => {
                    self.datagrams.push(None);
                    self.datagrams.len() as u32 - 1
                }
            };
            self.datagrams[slot as usize] = Some(datagram);
            queue.push(due, Event::Datagram { slot });
        }
    }

    /// Takes an election message that arrives, unless its way was cut meanwhile.
    pub(crate) fn take_datagram(&mut self, slot: u32) -> Option<Datagram> {
        let datagram = self.datagrams[slot as usize].take()?;
        self.free.push(slot);
        let index = self.path_index(datagram.from, datagram.to);
        let path = &mut self.paths[index];
        if path.open() {
            return Some(datagram);
        }
        path.waiting.get_or_insert(datagram.notification);
        None
    }

    // ---- faults ----

    /// Cuts the way from one process to another; cuts add up.
    pub(crate) fn block(&mut self, from: Node, to: Node) {
        let path = self.path_index(from, to);
        self.paths[path].blocked += 1;
    }

    /// Takes one cut back.
    pub(crate) fn unblock(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        let path = self.path_index(from, to);
        let blocked = &mut self.paths[path].blocked;
        assert!(*blocked > 0, "no cut to take back");
        *blocked -= 1;
        self.flow(queue, now, from, to);
    }

    /// Holds back what goes from one process to another; stalls add up.
    pub(crate) fn stall(&mut self, from: Node, to: Node) {
        let path = self.path_index(from, to);
        self.paths[path].stalled += 1;
    }

    /// Takes one stall back.
    pub(crate) fn unstall(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        let path = self.path_index(from, to);
        let stalled = &mut self.paths[path].stalled;
        assert!(*stalled > 0, "no stall to take back");
        *stalled -= 1;
        self.flow(queue, now, from, to);
    }

    /// What faults have left here, in words.
    pub(crate) fn left_by_faults(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (index, path) in self.paths.iter().enumerate() {
            if !path.open() || !path.delays.is_empty() || !path.limits.is_empty() {
                left.push(format!("path {index} is hampered"));
            }
            if path.open() && path.waiting.is_some() {
                left.push(format!("path {index} holds an election message back"));
            }
        }
        if !self.loss.is_empty() {
            left.push("election messages are lost".to_string());
        }
        left
    }

    /// Lets a way flow again that was opened.
    fn flow(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        let path = self.path_index(from, to);
        if !self.paths[path].open() {
            return;
        }
        // A connection that neither end believes in any more has nothing to deliver.
        let mut links = self.live[from as usize].clone();
        links.extend_from_slice(&self.live[to as usize]);
        links.sort_unstable();
        links.dedup();
        for link in links {
            let state = &self.links[link as usize];
            let Some(direction) =
                (0..2).find(|&d| state.ends[d].node == from && state.ends[1 - d].node == to)
            else {
                continue;
            };
            let way = &state.directions[direction];
            if way.scheduled || way.items.is_empty() {
                continue;
            }
            let due = now.plus(self.latency(path));
            let way = &mut self.links[link as usize].directions[direction];
            way.last_due = way.last_due.max(due);
            way.scheduled = true;
            queue.push(
                due,
                Event::Link {
                    link,
                    direction: direction as u8,
                },
            );
        }
        if let Some(notification) = self.paths[path].waiting.take() {
            self.notify(
                queue,
                now,
                Datagram {
                    from,
                    to,
                    notification,
                },
            );
        }
    }

    /// Delays what goes from one process to another, on behalf of a strike.
    pub(crate) fn delay(&mut self, strike: u32, from: Node, to: Node, extra_us: (u64, u64)) {
        let path = self.path_index(from, to);
        self.paths[path].delays.push((strike, extra_us));
    }

    /// Limits the bandwidth from one process to another, on behalf of a strike.
    pub(crate) fn limit(&mut self, strike: u32, from: Node, to: Node, bytes_per_s: u64) {
        let path = self.path_index(from, to);
        self.paths[path].limits.push((strike, bytes_per_s));
    }

    /// Loses and repeats election messages, on behalf of a strike.
    pub(crate) fn lose(&mut self, strike: u32, lost_per_mille: u32, repeated_per_mille: u32) {
        self.loss
            .push((strike, (lost_per_mille, repeated_per_mille)));
    }

    /// Undoes the delays, limits and losses of a strike.
    pub(crate) fn relieve(&mut self, strike: u32) {
        for path in &mut self.paths {
            path.delays.retain(|(by, _)| *by != strike);
            path.limits.retain(|(by, _)| *by != strike);
        }
        self.loss.retain(|(by, _)| *by != strike);
    }
}

/// Bytes of an item on the wire, roughly.
fn size(item: &Item) -> u64 {
    const HEADER: usize = 40;
    let payload = match item {
        Item::Zab(zab::Message::Proposal(txn) | zab::Message::Inform(txn)) => txn.record.len(),
        Item::Zab(
            zab::Message::SnapChunk { bytes, .. }
            | zab::Message::Request(bytes)
            | zab::Message::App(bytes),
        ) => bytes.len(),
        Item::ToServer(_) | Item::ToClient(_) => 60,
        _ => 0,
    };
    (HEADER + payload) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

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
                lab.net.tail_stream.next_u64();
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
}
