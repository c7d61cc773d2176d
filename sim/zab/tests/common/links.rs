//! Links between servers: first in, first out; one end can hear of their end later, and what is under way can be lost.

use super::{Bus, Event};
use zab::{Input, LinkId, Message, PeerId};

pub(super) struct Link {
    /// Learner, leader; with the life in which the link was made.
    pub(super) ends: [(PeerId, u64); 2],
    /// Whether the end still listens.
    pub(super) open: [bool; 2],
    /// The latest arrival at each end: links are FIFO.
    pub(super) arrives: [u64; 2],
    /// Arrivals after this are lost, at each end: the link broke.
    pub(super) broken: bool,
}

pub(super) enum Arrival {
    Opened,
    Message(Message),
    Broken,
}

impl Bus {
    pub(super) fn end_of(&self, id: PeerId, link: LinkId) -> usize {
        let ends = &self.links[&link].ends;
        usize::from(ends[0].0 != id)
    }

    pub(super) fn send(&mut self, from: PeerId, link: LinkId, arrival: Arrival) {
        let latency = self.latency(1_000);
        let breaks = self.rng.one_in(self.unkind.breaks);
        let to = 1 - self.end_of(from, link);
        let state = self.links.get_mut(&link).expect("a link");
        let at = state.arrives[to].max(self.now + latency);
        state.arrives[to] = at;
        self.schedule(at, Event::AtLink(link, to, arrival));
        if breaks {
            self.break_link(link);
        }
    }

    /// The link breaks: what is under way is lost, and each end learns it in its own time.
    pub fn break_link(&mut self, link: LinkId) {
        if self.links[&link].broken {
            return;
        }
        let lost: Vec<(u64, u64)> = self
            .events
            .iter()
            .filter(|(_, event)| matches!(event, Event::AtLink(of, _, _) if *of == link))
            .map(|(key, _)| *key)
            .collect();
        let mut kept = self.rng.below(lost.len() as u64 + 1);
        let mut cut = [false; 2];
        for key in lost {
            // A prefix of each direction still arrives.
            let end = match &self.events[&key] {
                Event::AtLink(_, end, _) => *end,
                _ => unreachable!(),
            };
            if kept == 0 || cut[end] {
                cut[end] = true;
                self.events.remove(&key);
            } else {
                kept -= 1;
            }
        }
        for end in 0..2 {
            let latency = self.latency(1_000);
            let state = self.links.get_mut(&link).expect("a link");
            let at = state.arrives[end].max(self.now + latency);
            state.arrives[end] = at;
            self.schedule(at, Event::AtLink(link, end, Arrival::Broken));
        }
        self.links.get_mut(&link).expect("a link").broken = true;
    }

    /// One end closes: it hears no more; the other end gets what was sent, or some of it, then notices.
    pub(super) fn close_end(&mut self, link: LinkId, end: usize) {
        let state = self.links.get_mut(&link).expect("a link");
        if !std::mem::replace(&mut state.open[end], false) || state.broken {
            return;
        }
        self.break_link(link);
    }

    pub(super) fn is_cut(&self, a: PeerId, b: PeerId) -> bool {
        self.cut.contains(&(a, b)) || self.cut.contains(&(b, a))
    }

    /// Separates two servers.
    pub fn partition(&mut self, a: PeerId, b: PeerId) {
        self.cut.push((a, b));
        let links: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| {
                let ends = [link.ends[0].0, link.ends[1].0];
                ends == [a, b] || ends == [b, a]
            })
            .map(|(id, _)| *id)
            .collect();
        for link in links {
            self.break_link(link);
        }
    }

    pub(super) fn connect(&mut self, id: PeerId, peer: PeerId) {
        let target = self.nodes.get(&peer);
        let refused = target.is_none_or(|node| node.peer.is_none())
            || self.is_cut(id, peer)
            || self.rng.one_in(self.unkind.refuse);
        if refused {
            self.step(id, Input::ConnectFailed { peer });
            return;
        }
        self.next_link += 1;
        let link = LinkId(self.next_link);
        let ends = [id, peer].map(|id| (id, self.nodes[&id].life));
        self.links.insert(
            link,
            Link {
                ends,
                open: [true; 2],
                arrives: [self.now; 2],
                broken: false,
            },
        );
        for end in 0..2 {
            let latency = self.latency(500);
            let state = self.links.get_mut(&link).expect("made above");
            let at = state.arrives[end].max(self.now + latency);
            state.arrives[end] = at;
            self.schedule(at, Event::AtLink(link, end, Arrival::Opened));
        }
    }

    pub(super) fn arrive(&mut self, link: LinkId, end: usize, arrival: Arrival) {
        let state = &self.links[&link];
        let (id, life) = state.ends[end];
        if !state.open[end] || !self.alive(id, life) {
            return;
        }
        let input = match arrival {
            Arrival::Opened => Input::LinkOpened {
                link,
                peer: state.ends[1 - end].0,
                outgoing: end == 0,
            },
            Arrival::Message(message) => Input::Message { link, message },
            Arrival::Broken => {
                self.links.get_mut(&link).expect("a link").open[end] = false;
                Input::LinkBroken { link }
            }
        };
        self.step(id, input);
    }
}
