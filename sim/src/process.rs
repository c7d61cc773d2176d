//! A server process as the world sees it: a machine that is stepped, its clock, its disk, its timers, its stages; dead,
//! alive or paused. The world carries its effects out (`world/servers.rs`); here is what belongs to one process alone.

use crate::clock::Clock;
use crate::disk::Disk;
use crate::plan::Unsynced;
use crate::queue::{Event, Queue};
use crate::stream::Stream;
use std::collections::{BTreeSet, VecDeque};
use zabsim_server::{Effect, Input, Stage, Timer};
use zabsim_types::{ServerId, Time};

/// What a server runs. One implementation is the real one; tests of the world bring smaller ones.
pub(crate) trait Machine {
    /// One input in, effects out.
    fn step(&mut self, now: zab::Time, input: Input, out: &mut Vec<Effect>);

    /// What it waits for, in words.
    fn waiting_for(&self) -> String;
}

/// What is installed on every server.
pub(crate) trait Software {
    /// The files of a new ensemble's server.
    fn files(&self) -> Vec<(zab::FileName, zab::Payload)>;

    /// The machine of a process that starts.
    fn start(&self, config: &zabsim_server::Config) -> Box<dyn Machine>;
}

/// A timer. Setting it later than it is due costs nothing: the event that is in the queue finds it early and moves on.
#[derive(Debug, Default)]
pub(crate) struct TimerSlot {
    /// When it goes off, by the process's clock.
    target: Option<u64>,
    /// Names the event that counts.
    generation: u32,
    scheduled: Option<Time>,
}

impl TimerSlot {
    /// Sets it. `event` makes the event of a generation.
    pub(crate) fn set(
        &mut self,
        queue: &mut Queue,
        clock: &Clock,
        now: Time,
        at: u64,
        event: impl Fn(u32) -> Event,
    ) {
        self.target = Some(at);
        let due = clock.when(at, now);
        if self.scheduled.is_none_or(|scheduled| due < scheduled) {
            self.generation += 1;
            self.scheduled = Some(due);
            queue.push(due, event(self.generation));
        }
    }

    /// Whether an event of that generation makes it go off now.
    pub(crate) fn fires(
        &mut self,
        queue: &mut Queue,
        clock: &Clock,
        now: Time,
        generation: u32,
        event: impl Fn(u32) -> Event,
    ) -> bool {
        if generation != self.generation {
            return false;
        }
        self.scheduled = None;
        match self.target {
            None => false,
            Some(target) if clock.read(now) < target => {
                self.set(queue, clock, now, target, event);
                false
            }
            Some(_) => {
                self.target = None;
                true
            }
        }
    }

    /// Finds its moment anew after the clock has changed.
    pub(crate) fn adjust(
        &mut self,
        queue: &mut Queue,
        clock: &Clock,
        now: Time,
        event: impl Fn(u32) -> Event,
    ) {
        if let Some(target) = self.target {
            self.scheduled = None;
            self.set(queue, clock, now, target, event);
        }
    }

    /// Forgets it.
    pub(crate) fn clear(&mut self) {
        self.target = None;
        self.scheduled = None;
        self.generation += 1;
    }
}

/// The timers in the order of their slots.
pub(crate) const TIMERS: [Timer; 5] = [
    Timer::Zab(zab::Timer::Election),
    Timer::Zab(zab::Timer::Tick),
    Timer::Zab(zab::Timer::Deadline),
    Timer::Sessions,
    Timer::ReadOnly,
];

/// A timer's slot.
pub(crate) const fn timer_slot(timer: Timer) -> usize {
    match timer {
        Timer::Zab(zab::Timer::Election) => 0,
        Timer::Zab(zab::Timer::Tick) => 1,
        Timer::Zab(zab::Timer::Deadline) => 2,
        Timer::Sessions => 3,
        Timer::ReadOnly => 4,
    }
}

/// The stages in the order of their slots, with their names in scripts.
pub(crate) const STAGES: [(Stage, &str); 3] = [
    (Stage::Prepare, "prepare"),
    (Stage::Apply, "apply"),
    (Stage::Snapshot, "snapshot"),
];

/// A stage's slot.
pub(crate) const fn stage_slot(stage: Stage) -> usize {
    match stage {
        Stage::Prepare => 0,
        Stage::Apply => 1,
        Stage::Snapshot => 2,
    }
}

/// When a stage gets its turns.
#[derive(Debug)]
pub(crate) struct StageSlot {
    pub(crate) stream: Stream,
    /// Additional delays, by the strike that causes them.
    pub(crate) delays: Vec<(u32, (u64, u64))>,
}

/// What waits while a process is paused.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// An input.
    Input(Input),
    /// A timer, unless it is set anew before.
    Timer { slot: u8, generation: u32 },
}

/// A crash that comes between two effects of the step under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingCrash {
    /// Effects that still happen.
    pub(crate) after_effects: u32,
    /// Which unsynced writes survive.
    pub(crate) unsynced: Unsynced,
    /// When the supervisor starts the process again; `None`: not by itself.
    pub(crate) restart_after_us: Option<u64>,
}

/// A server process.
pub(crate) struct ServerProcess {
    pub(crate) id: ServerId,
    pub(crate) config: zabsim_server::Config,
    /// What runs; `None` while the process is down.
    pub(crate) machine: Option<Box<dyn Machine>>,
    /// Counts the starts: what was meant for an earlier life is dropped.
    pub(crate) incarnation: u32,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    pub(crate) timers: [TimerSlot; TIMERS.len()],
    pub(crate) stages: [StageSlot; 3],
    /// Number of faults that pause it.
    pub(crate) paused: u16,
    /// Effects of the step in which it was paused.
    pub(crate) suspended: VecDeque<Effect>,
    pub(crate) inbox: VecDeque<Waiting>,
    pub(crate) crash: Option<PendingCrash>,
    pub(crate) role: zab::Role,
    /// The epoch that it has established as its leader.
    pub(crate) established: Option<zab::Epoch>,
    /// At the leader: learners that are being synchronized.
    pub(crate) synchronizing: BTreeSet<ServerId>,
    /// Why it stopped by its own decision, if it did.
    pub(crate) fatal: Option<String>,
    /// Fatal ends since it last served: the supervisor waits longer each time.
    pub(crate) failed_starts: u32,
    /// Durable data of its disk was destroyed, and no leader has brought it up to date since.
    pub(crate) damaged: bool,
    /// It stays as it is when the world heals.
    pub(crate) stays_broken: bool,
    /// The last transaction in its tree.
    pub(crate) applied: zabsim_types::Zxid,
    /// The strikes that want to start it; a supervisor's start is superseded by a fault that names its own time.
    pub(crate) start_at: Option<Time>,
    pub(crate) restart_stream: Stream,
}

/// The role of a process that has not begun.
pub(crate) const NO_ROLE: zab::Role = zab::Role {
    state: zab::PeerState::Looking,
    phase: zab::Phase::Recovery,
    epoch: zab::Epoch(0),
    leader: None,
};

impl ServerProcess {
    /// Whether the process runs (paused or not).
    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// Whether it serves as leader, follower or observer.
    pub(crate) fn serves(&self) -> bool {
        self.is_up() && self.role.phase == zab::Phase::Broadcast
    }

    /// Forgets what belonged to the life that ends.
    pub(crate) fn end_life(&mut self) {
        self.machine = None;
        self.incarnation += 1;
        for timer in &mut self.timers {
            timer.clear();
        }
        self.suspended.clear();
        self.inbox.clear();
        self.crash = None;
        self.role = NO_ROLE;
        self.established = None;
        self.synchronizing.clear();
        self.applied = zabsim_types::Zxid::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(generation: u32) -> Event {
        Event::ClientTimer {
            client: 0,
            generation,
        }
    }

    fn generation_of(event: Event) -> u32 {
        match event {
            Event::ClientTimer { generation, .. } => generation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_timer_that_is_put_off_again_and_again_keeps_one_event() {
        let (mut queue, mut slot, clock) =
            (Queue::default(), TimerSlot::default(), Clock::new(0, 0));
        for at in [10, 20, 30, 25] {
            slot.set(&mut queue, &clock, Time(0), at, event);
        }
        let mut fired = Vec::new();
        let mut events = 0;
        while let Some((now, due)) = queue.pop(Time(100)) {
            events += 1;
            if slot.fires(&mut queue, &clock, now, generation_of(due), event) {
                fired.push(now.0);
            }
        }
        assert_eq!((fired, events), (vec![25], 2));
    }

    #[test]
    fn a_timer_follows_its_clock_and_its_last_setting() {
        let (mut queue, mut slot) = (Queue::default(), TimerSlot::default());
        let mut clock = Clock::new(0, 0);
        slot.set(&mut queue, &clock, Time(0), 50, event);
        slot.set(&mut queue, &clock, Time(0), 40, event);
        clock.jump(Time(10), 20);
        slot.adjust(&mut queue, &clock, Time(10), event);
        let mut fired = Vec::new();
        while let Some((now, due)) = queue.pop(Time(100)) {
            if slot.fires(&mut queue, &clock, now, generation_of(due), event) {
                fired.push(now.0);
            }
        }
        assert_eq!(fired, [20]);
        slot.set(&mut queue, &clock, Time(50), 200, event);
        slot.clear();
        let (now, due) = queue.pop(Time(1000)).expect("an event");
        assert!(!slot.fires(&mut queue, &clock, now, generation_of(due), event));
    }
}
