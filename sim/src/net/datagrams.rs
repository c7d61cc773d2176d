//! Election messages: each on its own, lost and repeated by a fault, and the newest kept where the way is cut.

use super::{Net, Node};
use crate::queue::{Event, Queue};
use crate::stream::Stream;
use zabsim_types::Time;

/// An election message under way.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// From which server.
    pub(crate) from: Node,
    /// To which server.
    pub(crate) to: Node,
    /// It.
    pub(crate) notification: zab::Notification,
}

/// All election messages under way.
#[derive(Debug)]
pub(super) struct Datagrams {
    slots: Vec<Option<Datagram>>,
    free: Vec<u32>,
    /// Chances in 1,000 that one is lost and repeated, by strike.
    pub(super) loss: Vec<(u32, (u32, u32))>,
    loss_stream: Stream,
}

impl Datagrams {
    pub(super) fn new(seed: u64) -> Datagrams {
        Datagrams {
            slots: Vec::new(),
            free: Vec::new(),
            loss: Vec::new(),
            loss_stream: Stream::new(seed, "election loss", 0),
        }
    }

    fn put(&mut self, datagram: Datagram) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            }
        };
        self.slots[slot as usize] = Some(datagram);
        slot
    }
}

impl Net {
    /// Sends an election message.
    pub(crate) fn notify(&mut self, queue: &mut Queue, now: Time, datagram: Datagram) {
        let path = self.paths.index(datagram.from, datagram.to);
        let way = self.paths.get(path);
        if !way.is_open() {
            way.waiting = Some(datagram.notification);
            return;
        }
        let (mut lost, mut copies) = (false, 1);
        for (_, (lost_per_mille, repeated_per_mille)) in &self.datagrams.loss {
            lost |= self.datagrams.loss_stream.per_mille(*lost_per_mille);
            copies += u32::from(self.datagrams.loss_stream.per_mille(*repeated_per_mille));
        }
        if lost {
            return;
        }
        for _ in 0..copies {
            let due = now.plus(self.paths.latency(path));
            let slot = self.datagrams.put(datagram.clone());
            queue.push(due, Event::Datagram { slot });
        }
    }

    /// Takes an election message that arrives, unless its way was cut meanwhile.
    pub(crate) fn take_datagram(&mut self, slot: u32) -> Option<Datagram> {
        let datagram = self.datagrams.slots[slot as usize].take()?;
        self.datagrams.free.push(slot);
        let way = self.paths.between(datagram.from, datagram.to);
        if way.is_open() {
            return Some(datagram);
        }
        way.waiting.get_or_insert(datagram.notification);
        None
    }

    /// What a way kept sets out, now that it is open.
    pub(super) fn flow_datagrams(&mut self, queue: &mut Queue, now: Time, from: Node, to: Node) {
        if let Some(notification) = self.paths.between(from, to).waiting.take() {
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
}
