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
//! Each direction between two processes is a path with a stream of its own for latencies (`paths.rs`). What travels on the paths
//! does not know of the other kind: `connections.rs`, `datagrams.rs`.

mod connections;
mod datagrams;
mod paths;
#[cfg(test)]
mod tests;

pub(crate) use connections::{Arrival, Death, Item, LinkKind};
pub(crate) use datagrams::Datagram;

use crate::plan::Climate;
use crate::queue::Queue;
use connections::Connections;
use datagrams::Datagrams;
use paths::Paths;
use zabsim_types::Time;

/// A process: servers come first, then clients, counted from 0.
pub(crate) type Node = u32;

/// The network.
#[derive(Debug)]
pub(crate) struct Net {
    paths: Paths,
    connections: Connections,
    datagrams: Datagrams,
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
            paths: Paths::new(seed, servers, climate),
            connections: Connections::new(seed, servers, connect_timeout_us),
            datagrams: Datagrams::new(seed),
        };
        for _ in 0..clients {
            net.add_client();
        }
        net
    }

    /// Makes room for one more client.
    pub(crate) fn add_client(&mut self) {
        self.paths.add_client();
        self.connections.add_process();
    }

    // ---- faults ----

    /// Cuts the way from one process to another; cuts add up.
    pub(crate) fn block(&mut self, from: Node, to: Node) {
        self.paths.between(from, to).blocked += 1;
    }

    /// Takes one cut back.
    pub(crate) fn unblock(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        let blocked = &mut self.paths.between(from, to).blocked;
        assert!(*blocked > 0, "no cut to take back");
        *blocked -= 1;
        self.flow(queue, now, from, to);
    }

    /// Holds back what goes from one process to another; stalls add up.
    pub(crate) fn stall(&mut self, from: Node, to: Node) {
        self.paths.between(from, to).stalled += 1;
    }

    /// Takes one stall back.
    pub(crate) fn unstall(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        let stalled = &mut self.paths.between(from, to).stalled;
        assert!(*stalled > 0, "no stall to take back");
        *stalled -= 1;
        self.flow(queue, now, from, to);
    }

    /// What faults have left here, in words.
    pub(crate) fn left_by_faults(&self) -> Vec<String> {
        let mut left = self.paths.left_by_faults();
        if !self.datagrams.loss.is_empty() {
            left.push("election messages are lost".to_string());
        }
        left
    }

    /// Lets a way flow again that was opened.
    fn flow(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        if self.paths.between(from, to).is_open() {
            self.flow_connections(queue, now, from, to);
            self.flow_datagrams(queue, now, from, to);
        }
    }

    /// Delays what goes from one process to another, on behalf of a strike.
    pub(crate) fn delay(&mut self, strike: u32, from: Node, to: Node, extra_us: (u64, u64)) {
        self.paths.between(from, to).delays.push((strike, extra_us));
    }

    /// Limits the bandwidth from one process to another, on behalf of a strike.
    pub(crate) fn limit(&mut self, strike: u32, from: Node, to: Node, bytes_per_s: u64) {
        self.paths
            .between(from, to)
            .limits
            .push((strike, bytes_per_s));
    }

    /// Loses and repeats election messages, on behalf of a strike.
    pub(crate) fn lose(&mut self, strike: u32, lost_per_mille: u32, repeated_per_mille: u32) {
        self.datagrams
            .loss
            .push((strike, (lost_per_mille, repeated_per_mille)));
    }

    /// Undoes the delays, limits and losses of a strike.
    pub(crate) fn relieve(&mut self, strike: u32) {
        self.paths.relieve(strike);
        self.datagrams.loss.retain(|(by, _)| *by != strike);
    }
}
