//! Faults of the network: cuts, connections that break, ways that slow down. Those that last add up, and each strike takes
//! back its own part alone.

use super::super::{World, sight};
use super::targets::{places, ways};
use super::{Blow, Undo};
use crate::net::Node;
use crate::plan::Target;
use crate::queue::Event;
use std::collections::BTreeSet;

/// A link that goes down and up.
#[derive(Debug)]
pub(super) struct Flap {
    ways: Vec<(Node, Node)>,
    down_us: u64,
    up_us: u64,
    down: bool,
}

impl World {
    pub(super) fn partition(&mut self, blow: Blow, groups: &[Vec<Target>]) -> Option<String> {
        let sight = sight!(self);
        let resolved = self
            .nemesis
            .resolve_groups(blow.fault, groups, &sight, blow.ends);
        let sets: Vec<BTreeSet<usize>> = resolved
            .into_iter()
            .map(|group| places(group).into_iter().collect())
            .collect();
        let together = |a, b| sets.iter().any(|set| set.contains(&a) && set.contains(&b));
        let all: BTreeSet<usize> = sets.iter().flatten().copied().collect();
        let mut ways = Vec::new();
        for &a in &all {
            for &b in &all {
                if a != b && !together(a, b) {
                    ways.push((a as Node, b as Node));
                }
            }
        }
        self.block_all(blow, &ways);
        let words: Vec<String> = sets
            .iter()
            .map(|set| self.names(&set.iter().copied().collect::<Vec<_>>()))
            .collect();
        (!ways.is_empty()).then(|| format!("cuts {}", words.join(" | ")))
    }

    pub(super) fn one_way(&mut self, blow: Blow, from: &Target, to: &Target) -> Option<String> {
        let (from, to) = self.resolve_ends(blow, from, to);
        let ways = ways(&from, &to);
        self.block_all(blow, &ways);
        let words = format!("cuts {} → {}", self.names(&from), self.names(&to));
        (!ways.is_empty()).then_some(words)
    }

    pub(super) fn block_all(&mut self, blow: Blow, ways: &[(Node, Node)]) {
        for &(from, to) in ways {
            self.net.block(from, to);
            self.undo_later(blow, Undo::Unblock(from, to));
        }
    }

    pub(super) fn flap(
        &mut self,
        blow: Blow,
        (between, and): (&Target, &Target),
        (down_us, up_us): (u64, u64),
    ) -> Option<String> {
        let (ways, words) = self.between(blow, between, and)?;
        self.strikes[blow.strike].flap = Some(Flap {
            ways,
            down_us,
            up_us,
            down: false,
        });
        self.flap_once(blow.strike);
        Some(format!("flaps {words}"))
    }

    /// A flapping link goes down, or up again.
    pub(super) fn flap_once(&mut self, strike: usize) {
        let Some(mut flap) = self.strikes[strike].flap.take() else {
            return;
        };
        flap.down = !flap.down;
        for &(from, to) in &flap.ways {
            match flap.down {
                true => self.net.block(from, to),
                false => self.net.unblock(&mut self.queue, self.now, from, to),
            }
        }
        let next = if flap.down { flap.down_us } else { flap.up_us };
        let event = Event::Continue {
            strike: strike as u32,
            step: 0,
        };
        self.queue.push(self.now.plus(next.max(1)), event);
        self.strikes[strike].flap = Some(flap);
    }

    /// A flapping link stays up.
    pub(super) fn end_flap(&mut self, flap: Flap) {
        if flap.down {
            for (from, to) in flap.ways {
                self.net.unblock(&mut self.queue, self.now, from, to);
            }
        }
    }

    pub(super) fn reset(
        &mut self,
        blow: Blow,
        between: &Target,
        and: &Target,
        half_open: bool,
    ) -> Option<String> {
        let (from, to) = self.resolve_ends(blow, between, and);
        let mut broken = 0;
        for &a in &from {
            for &b in to.iter().filter(|&&b| b != a) {
                let (a, b) = (a as Node, b as Node);
                broken += self.net.reset(&mut self.queue, self.now, a, b, half_open);
            }
        }
        let how = if half_open { "half-opens" } else { "resets" };
        let links = if broken == 1 { "link" } else { "links" };
        let (from, to) = (self.names(&from), self.names(&to));
        (broken > 0).then(|| format!("{how} {broken} {links} {from} – {to}"))
    }

    pub(super) fn delay(
        &mut self,
        blow: Blow,
        between: &Target,
        and: &Target,
        extra_us: (u64, u64),
    ) -> Option<String> {
        let (ways, words) = self.between(blow, between, and)?;
        for &(from, to) in &ways {
            self.net.delay(blow.strike as u32, from, to, extra_us);
        }
        self.undo_later(blow, Undo::Relieve);
        let (least, most) = extra_us;
        Some(format!("delays {words} by {least} to {most} µs"))
    }

    pub(super) fn stall(&mut self, blow: Blow, between: &Target, and: &Target) -> Option<String> {
        let (ways, words) = self.between(blow, between, and)?;
        for &(from, to) in &ways {
            self.net.stall(from, to);
            self.undo_later(blow, Undo::Unstall(from, to));
        }
        Some(format!("stalls {words}"))
    }

    pub(super) fn limit(
        &mut self,
        blow: Blow,
        between: &Target,
        and: &Target,
        bytes_per_s: u64,
    ) -> Option<String> {
        let (ways, words) = self.between(blow, between, and)?;
        for &(from, to) in &ways {
            self.net.limit(blow.strike as u32, from, to, bytes_per_s);
        }
        self.undo_later(blow, Undo::Relieve);
        Some(format!("limits {words} to {bytes_per_s} bytes/s"))
    }

    pub(super) fn lose_votes(
        &mut self,
        blow: Blow,
        lost_per_mille: u32,
        repeated_per_mille: u32,
    ) -> Option<String> {
        self.net
            .lose(blow.strike as u32, lost_per_mille, repeated_per_mille);
        self.undo_later(blow, Undo::Relieve);
        Some(format!(
            "of 1000 election messages, {lost_per_mille} are lost and {repeated_per_mille} repeated"
        ))
    }
}
