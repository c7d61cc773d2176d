//! Connections: in order and without loss while they last; both ends can disagree about how long that was.

use super::{Net, Node};
use crate::queue::{Event, Queue};
use crate::stream::Stream;
use std::collections::VecDeque;
use zabsim_types::{ClientFrame, ServerFrame, Time};

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
    ToServer(Box<ClientFrame>),
    /// Server to client.
    ToClient(Box<ServerFrame>),
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
    /// A client's, by hand: a test listens at its client end.
    Wire,
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

/// All connections of a run, by their numbers.
#[derive(Debug)]
pub(super) struct Connections {
    links: Vec<Link>,
    /// The connections of each process that are not closed at its end, oldest first.
    live: Vec<Vec<u32>>,
    pub(super) tail_stream: Stream,
    timeout_us: u64,
}

impl Connections {
    pub(super) fn new(seed: u64, servers: u32, timeout_us: u64) -> Connections {
        let mut live = Vec::new();
        live.resize_with(servers as usize, Vec::new);
        Connections {
            links: Vec::new(),
            live,
            tail_stream: Stream::new(seed, "lost tail", 0),
            timeout_us,
        }
    }

    pub(super) fn add_process(&mut self) {
        self.live.push(Vec::new());
    }
}

impl Net {
    /// Begins to open a connection; the answer arrives as `Accepted`, `Refused` or by `connect_timeout`.
    pub(crate) fn connect(
        &mut self,
        queue: &mut Queue,
        now: Time,
        kind: LinkKind,
        from: Node,
        to: Node,
    ) -> u32 {
        let link = self.connections.links.len() as u32;
        let end = |node| End {
            node,
            state: EndState::Opening,
        };
        self.connections.links.push(Link {
            kind,
            ends: [end(from), end(to)],
            directions: Default::default(),
            mute: false,
        });
        self.connections.live[from as usize].push(link);
        self.put(queue, now, link, 0, Item::Syn);
        queue.push(
            now.plus(self.connections.timeout_us),
            Event::ConnectTimeout { link },
        );
        link
    }

    /// The time for a connection to come up is over: the end that asked and must be told that it failed, if it did.
    pub(crate) fn connect_timeout(&mut self, link: u32) -> Option<(Node, Node, LinkKind)> {
        let state = &mut self.connections.links[link as usize];
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
        let state = &self.connections.links[link as usize];
        let end = usize::from(state.ends[0].node != node);
        if state.ends[end].state == EndState::Open {
            self.put(queue, now, link, end, item);
        }
    }

    /// Closes `node`'s end. The other end learns it behind what still arrives: perhaps not all of it.
    pub(crate) fn close(&mut self, queue: &mut Queue, now: Time, link: u32, node: Node) {
        let state = &self.connections.links[link as usize];
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
        let state = &self.connections.links[link as usize];
        let end = usize::from(state.ends[0].node != node);
        if state.ends[end].state != EndState::Closed {
            self.close_end(link, end);
            self.put(queue, now, link, end, Item::Broken);
        }
    }

    /// Closes all ends of a process that died.
    pub(crate) fn die(&mut self, queue: &mut Queue, now: Time, node: Node, death: Death) {
        for link in self.connections.live[node as usize].clone() {
            match death {
                Death::Process => self.close(queue, now, link, node),
                Death::Machine => {
                    let end =
                        usize::from(self.connections.links[link as usize].ends[0].node != node);
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
        for link in self.connections.live[a as usize].clone() {
            let state = &self.connections.links[link as usize];
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
            self.connections.links[link as usize].mute = half_open;
        }
        broken
    }

    /// Adds an item to a direction.
    fn put(&mut self, queue: &mut Queue, now: Time, link: u32, direction: usize, item: Item) {
        let state = &self.connections.links[link as usize];
        let (from, to) = (state.ends[direction].node, state.ends[1 - direction].node);
        let path = self.paths.index(from, to);
        let latency = self.paths.latency(path);
        let way = self.paths.get(path);
        let (open, slowest) = (way.is_open(), way.bytes_per_s());
        let way = &mut self.connections.links[link as usize].directions[direction];
        let mut leaves = now;
        if let Some(bytes_per_s) = slowest {
            let takes = size(&item) * 1_000_000 / bytes_per_s.max(1);
            leaves = way.line_free.max(now).plus(takes);
            way.line_free = leaves;
        }
        let due = leaves.plus(latency).max(way.last_due);
        way.last_due = due;
        way.items.push_back((due, item));
        if !way.scheduled && open {
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
        let state = &mut self.connections.links[link as usize];
        let (from, to) = (state.ends[direction].node, state.ends[1 - direction].node);
        let kind = state.kind;
        let path = self.paths.index(from, to);
        let open = self.paths.get(path).is_open();
        let state = &mut self.connections.links[link as usize];
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
                self.connections.live[to as usize].push(link);
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
        let state = &mut self.connections.links[link as usize];
        state.ends[end].state = EndState::Closed;
        // Nothing that is under way to a closed end matters, but for the packet that asks for a reset.
        let node = state.ends[end].node;
        if let Some(at) = self.connections.live[node as usize]
            .iter()
            .position(|l| *l == link)
        {
            self.connections.live[node as usize].remove(at);
        }
    }

    /// What the sender had not got through when a connection broke: none, some or all of it.
    fn lose_tail(&mut self, link: u32, direction: usize) {
        let way = &mut self.connections.links[link as usize].directions[direction];
        if way.items.is_empty() {
            return;
        }
        let kept = self
            .connections
            .tail_stream
            .below(way.items.len() as u64 + 1) as usize;
        way.items.truncate(kept);
    }

    /// The process that opened a connection.
    pub(crate) fn initiator(&self, link: u32) -> Node {
        self.connections.links[link as usize].ends[0].node
    }

    /// The process at the other end of a connection of `node`.
    #[inline]
    pub(crate) fn other_end(&self, link: u32, node: Node) -> Node {
        let ends = &self.connections.links[link as usize].ends;
        match ends[0].node == node {
            true => ends[1].node,
            false => ends[0].node,
        }
    }

    /// Whether `node` still believes that the connection is up.
    #[cfg(test)]
    pub(crate) fn is_open(&self, link: u32, node: Node) -> bool {
        let state = &self.connections.links[link as usize];
        let end = usize::from(state.ends[0].node != node);
        state.ends[end].state == EndState::Open
    }

    /// What a way held back sets out again, now that it is open.
    pub(super) fn flow_connections(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        let path = self.paths.index(from, to);
        // A connection that neither end believes in any more has nothing to deliver.
        let mut links = self.connections.live[from as usize].clone();
        links.extend_from_slice(&self.connections.live[to as usize]);
        links.sort_unstable();
        links.dedup();
        for link in links {
            let state = &self.connections.links[link as usize];
            let Some(direction) =
                (0..2).find(|&d| state.ends[d].node == from && state.ends[1 - d].node == to)
            else {
                continue;
            };
            let way = &state.directions[direction];
            if way.scheduled || way.items.is_empty() {
                continue;
            }
            let due = now.plus(self.paths.latency(path));
            let way = &mut self.connections.links[link as usize].directions[direction];
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
