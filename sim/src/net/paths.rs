//! The ways between processes: one for each direction, with its latency, what holds it back, and what slows it down.

use super::Node;
use crate::plan::Climate;
use crate::stream::Stream;

/// The way from one process to another.
#[derive(Debug, Default)]
pub(super) struct Path {
    stream: Option<Box<Stream>>,
    /// Cuts and stalls that lie on it.
    pub(super) blocked: u16,
    pub(super) stalled: u16,
    /// Additional delays, by the strike that causes them.
    pub(super) delays: Vec<(u32, (u64, u64))>,
    /// Limits in bytes per second, by the strike that causes them.
    pub(super) limits: Vec<(u32, u64)>,
    /// The newest election message that could not be delivered.
    pub(super) waiting: Option<zab::Notification>,
}

impl Path {
    /// Whether anything arrives by it.
    pub(super) fn is_open(&self) -> bool {
        self.blocked == 0 && self.stalled == 0
    }

    /// The narrowest of the limits on it, in bytes per second.
    pub(super) fn bytes_per_s(&self) -> Option<u64> {
        self.limits.iter().map(|(_, limit)| *limit).min()
    }
}

/// All ways.
#[derive(Debug)]
pub(super) struct Paths {
    seed: u64,
    servers: u32,
    climate: Climate,
    ways: Vec<Path>,
}

impl Paths {
    pub(super) fn new(seed: u64, servers: u32, climate: &Climate) -> Paths {
        let mut ways = Vec::new();
        ways.resize_with((servers * servers) as usize, Path::default);
        Paths {
            seed,
            servers,
            climate: climate.clone(),
            ways,
        }
    }

    pub(super) fn add_client(&mut self) {
        let more = self.ways.len() + 2 * self.servers as usize;
        self.ways.resize_with(more, Path::default);
    }

    /// The number of the way from one process to another.
    #[inline]
    pub(super) fn index(&self, from: Node, to: Node) -> usize {
        let servers = self.servers;
        let index = match (from < servers, to < servers) {
            (true, true) => from * servers + to,
            (false, true) => servers * servers + ((from - servers) * servers + to) * 2,
            (true, false) => servers * servers + ((to - servers) * servers + from) * 2 + 1,
            (false, false) => unreachable!("clients do not talk to each other"),
        };
        index as usize
    }

    /// Draws how long something takes that sets out now.
    pub(super) fn latency(&mut self, path: usize) -> u64 {
        let climate = if path < (self.servers * self.servers) as usize {
            self.climate.link_us
        } else {
            self.climate.client_link_us
        };
        let way = &mut self.ways[path];
        let seed = self.seed;
        let stream = way
            .stream
            .get_or_insert_with(|| Box::new(Stream::new(seed, "link latency", path as u64)));
        let mut latency = stream.range(climate);
        for (_, extra) in &way.delays {
            latency += stream.range(*extra);
        }
        latency
    }

    /// The way of that number.
    #[inline]
    pub(super) fn get(&mut self, path: usize) -> &mut Path {
        &mut self.ways[path]
    }

    pub(super) fn between(&mut self, from: Node, to: Node) -> &mut Path {
        let path = self.index(from, to);
        &mut self.ways[path]
    }

    /// Undoes the delays and limits of a strike.
    pub(super) fn relieve(&mut self, strike: u32) {
        for path in &mut self.ways {
            path.delays.retain(|(by, _)| *by != strike);
            path.limits.retain(|(by, _)| *by != strike);
        }
    }

    /// What faults have left on them, in words.
    pub(super) fn left_by_faults(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (index, path) in self.ways.iter().enumerate() {
            if !path.is_open() || !path.delays.is_empty() || !path.limits.is_empty() {
                left.push(format!("path {index} is hampered"));
            }
            if path.is_open() && path.waiting.is_some() {
                left.push(format!("path {index} holds an election message back"));
            }
        }
        left
    }
}
