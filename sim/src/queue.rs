//! The event queue: what happens next. Ordered by time, then by the order in which it was scheduled, so that two events
//! of the same microsecond have one order, always.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use zabsim_types::Time;

/// Something due at a time. Small and without payload: payloads wait where they belong (links, disks, ports).
///
/// `server` and `client` are places in the world's lists, counted from 0. Where a process could have died and come back
/// before the event is due, the event names the incarnation (or the generation of the timer) that it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The first item in a direction of a link is due.
    Link { link: u32, direction: u8 },
    /// A connection that is not up by now will not come up.
    ConnectTimeout { link: u32 },
    /// An election message arrives.
    Datagram { slot: u32 },
    /// A server's timer.
    Timer {
        server: u8,
        timer: u8,
        generation: u32,
    },
    /// A stage's turn.
    Stage {
        server: u8,
        stage: u8,
        incarnation: u32,
    },
    /// A disk's oldest answered operation is done.
    Disk { server: u8, incarnation: u32 },
    /// A server's supervisor starts it.
    Start { server: u8, incarnation: u32 },
    /// A client's session timer.
    ClientTimer { client: u32, generation: u32 },
    /// A program's sleep is over.
    Wake {
        client: u32,
        incarnation: u32,
        sleeper: u32,
    },
    /// A fault strikes.
    Strike { fault: u32 },
    /// A fault that lasts is undone.
    Undo { strike: u32 },
    /// The next step of a fault that has several (rolling restart, flapping).
    Continue { strike: u32, step: u32 },
    /// A scripted operation is handed to its client.
    Op { op: u32 },
    /// A second connection of a client is closed.
    GhostEnd { link: u32 },
}

/// An event and its place in the order. Of two, the *greater* is the one that comes first: `BinaryHeap` gives out its
/// greatest.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Time,
    /// How many were scheduled before it: no two have the same, so that what the event is never counts.
    number: u64,
    event: Event,
}

impl Due {
    /// One number to compare, since a queue does little else.
    #[inline]
    fn place(&self) -> u128 {
        u128::from(self.at.0) << 64 | u128::from(self.number)
    }
}

impl Ord for Due {
    #[inline]
    fn cmp(&self, other: &Due) -> Ordering {
        other.place().cmp(&self.place())
    }
}

impl PartialOrd for Due {
    #[inline]
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
    // The heap compares with `<=` alone.
    #[inline]
    fn le(&self, other: &Due) -> bool {
        other.place() <= self.place()
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Due {}

/// The event queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Due>,
    scheduled: u64,
}

impl Queue {
    /// Adds an event.
    #[inline]
    pub(crate) fn push(&mut self, at: Time, event: Event) {
        self.scheduled += 1;
        self.heap.push(Due {
            at,
            number: self.scheduled,
            event,
        });
    }

    /// When the next event is due.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|due| due.at)
    }

    /// Takes the next event that is due not later than `until`.
    #[inline]
    pub(crate) fn pop(&mut self, until: Time) -> Option<(Time, Event)> {
        if self.next_at()? > until {
            return None;
        }
        self.heap.pop().map(|due| (due.at, due.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_their_scheduling() {
        let mut queue = Queue::default();
        let op = |op| Event::Op { op };
        for (at, name) in [(5, 1), (3, 2), (5, 3), (3, 4), (9, 5)] {
            queue.push(Time(at), op(name));
        }
        let mut order = Vec::new();
        while let Some((at, event)) = queue.pop(Time(5)) {
            order.push((at.0, event));
        }
        assert_eq!(order, [(3, op(2)), (3, op(4)), (5, op(1)), (5, op(3))]);
        assert_eq!(queue.next_at(), Some(Time(9)));
        assert!(size_of::<Due>() <= 32, "events are moved a lot");
    }
}
