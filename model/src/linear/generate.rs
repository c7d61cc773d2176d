//! Histories to measure and test with: clients of a register, or of a store of several, with answers that are right by
//! construction because each operation takes effect at one moment between its call and its return.

use super::history::{Call, NEVER, Position};
use super::models::RegisterAction;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What the clients do.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape {
    /// How many operations.
    pub operations: usize,
    /// How many clients, each with one operation at a time.
    pub clients: usize,
    /// How many keys; 1: a single register.
    pub keys: u32,
    /// Of a million operations, how many have an unknown outcome. Half of these take effect, at some time.
    pub unknown_ppm: u32,
    /// How many values are written; `None`: each is written once.
    pub domain: Option<u32>,
    /// Which of many.
    pub seed: u64,
}

/// One operation of a generated history.
#[derive(Clone, PartialEq, Debug)]
pub struct Generated {
    /// Its key.
    pub key: u32,
    /// The operation.
    pub call: Call<RegisterAction>,
    /// When it took effect: the number of changes so far; `None` if it never did.
    pub turn: Option<u64>,
}

/// A history, in the order of its calls, and how many values there are in it.
pub fn generate(shape: &Shape) -> (Vec<Generated>, u32) {
    Generator::new(shape).run()
}

/// Turns one read of about the middle into a stale one, so that the history is illegal: it now gives a value that was
/// overwritten for certain before it was called. For histories whose values are all different.
///
/// # Panics
/// If no read has two changes of its key before it.
pub fn make_stale(history: &mut [Generated]) {
    let middle = history.len() / 2;
    for at in (middle..history.len()).chain(0..middle) {
        if let Some(value) = stale_value(history, at) {
            history[at].call.action = RegisterAction::Read(value);
            return;
        }
    }
    panic!("no read has two changes of its key before it");
}

fn stale_value(history: &[Generated], at: usize) -> Option<u32> {
    let read = &history[at];
    if !read.call.known || !matches!(read.call.action, RegisterAction::Read(_)) {
        return None;
    }
    let changes = history[..at].iter().rev().filter(|other| {
        other.key == read.key && other.call.known && written(&other.call.action).is_some()
    });
    let mut later: Option<&Generated> = None;
    for change in changes {
        match later {
            None if change.call.ret < read.call.call => later = Some(change),
            Some(later) if change.call.ret < later.call.call => {
                return written(&change.call.action);
            }
            _ => {}
        }
    }
    None
}

fn written(action: &RegisterAction) -> Option<u32> {
    match *action {
        RegisterAction::Write(value) | RegisterAction::Swap(_, value) => Some(value),
        _ => None,
    }
}

/// What happens next, at a time without unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call { client: usize },
    Effect { call: usize },
    Return { client: usize, call: usize },
    Forget { client: usize },
}

struct Generator<'a> {
    shape: &'a Shape,
    random: ChaCha8Rng,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    queued: u64,
    position: Position,
    history: Vec<Generated>,
    values: Vec<u32>,
    last_seen: Vec<u32>,
    written: u32,
    changes: u64,
}

/// The mean duration of an operation.
const DURATION: u64 = 1_000_000;
/// The most that a client thinks between two operations.
const THINKING: u64 = DURATION / 5;

impl<'a> Generator<'a> {
    fn new(shape: &'a Shape) -> Generator<'a> {
        let keys = shape.keys as usize;
        let mut generator = Generator {
            shape,
            random: ChaCha8Rng::seed_from_u64(shape.seed),
            queue: BinaryHeap::new(),
            queued: 0,
            position: 0,
            history: Vec::with_capacity(shape.operations),
            values: vec![0; keys],
            last_seen: vec![0; keys * shape.clients],
            written: 0,
            changes: 0,
        };
        for client in 0..shape.clients {
            let at = generator.below(DURATION);
            generator.push(at, Event::Call { client });
        }
        generator
    }

    fn push(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((at, self.queued, event)));
    }

    fn run(mut self) -> (Vec<Generated>, u32) {
        while let Some(Reverse((now, _, event))) = self.queue.pop() {
            match event {
                Event::Call { client } => self.call(now, client),
                Event::Effect { call } => self.effect(call),
                Event::Return { client, call } => {
                    let position = self.next_position();
                    let done = &mut self.history[call];
                    done.call.ret = position;
                    if let RegisterAction::Read(value) = done.call.action {
                        self.last_seen[client * self.values.len() + done.key as usize] = value;
                    }
                    self.think(now, client);
                }
                Event::Forget { client } => self.think(now, client),
            }
        }
        let values = self.shape.domain.unwrap_or(self.written) + 1;
        (self.history, values)
    }

    fn think(&mut self, now: u64, client: usize) {
        let pause = self.below(THINKING);
        self.push(now + pause, Event::Call { client });
    }

    fn next_position(&mut self) -> Position {
        self.position += 1;
        self.position - 1
    }

    /// A number below another one. The bias is far below what any figure here shows.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.random.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// About exponential, never nothing.
    fn duration(&mut self) -> u64 {
        let halvings = u64::from(self.random.next_u32().leading_zeros());
        let rest = self.below(DURATION);
        DURATION / 20 + (halvings * DURATION + rest) * 7 / 10
    }

    fn call(&mut self, now: u64, client: usize) {
        if self.history.len() == self.shape.operations {
            return;
        }
        let key = self.below(u64::from(self.shape.keys)) as u32;
        let kind = self.below(10);
        let action = if kind < 5 {
            RegisterAction::Read(0)
        } else {
            let value = match self.shape.domain {
                Some(domain) => 1 + self.below(u64::from(domain)) as u32,
                None => self.written + 1,
            };
            self.written += 1;
            match kind {
                5 => {
                    let seen = self.last_seen[client * self.values.len() + key as usize];
                    RegisterAction::Swap(seen, value)
                }
                _ => RegisterAction::Write(value),
            }
        };
        let known = self.below(1_000_000) >= u64::from(self.shape.unknown_ppm);
        let call = self.history.len();
        let position = self.next_position();
        self.history.push(Generated {
            key,
            call: Call {
                call: position,
                ret: NEVER,
                known,
                action,
            },
            turn: None,
        });
        let duration = self.duration();
        if known {
            let effect = self.below(duration);
            self.push(now + effect, Event::Effect { call });
            self.push(now + duration, Event::Return { client, call });
        } else {
            if self.below(2) == 0 {
                let effect = self.below(2 * duration);
                self.push(now + effect, Event::Effect { call });
            }
            self.push(now + duration, Event::Forget { client });
        }
    }

    fn effect(&mut self, call: usize) {
        let done = &mut self.history[call];
        let value = &mut self.values[done.key as usize];
        match done.call.action {
            RegisterAction::Read(_) => done.call.action = RegisterAction::Read(*value),
            RegisterAction::Write(new) => {
                *value = new;
                self.changes += 1;
            }
            RegisterAction::Swap(old, new) if *value == old => {
                *value = new;
                self.changes += 1;
            }
            // What an unknown one would have found is not known.
            RegisterAction::Swap(old, _) if done.call.known => {
                done.call.action = RegisterAction::Refuse(old);
            }
            RegisterAction::Swap(..) | RegisterAction::Refuse(_) => {}
        }
        done.turn = Some(self.changes);
    }
}
