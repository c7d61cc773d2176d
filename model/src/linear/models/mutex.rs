//! A lock: a plain one, and one that gives out fencing tokens.
//!
//! *Formulation.* The state is who holds it, nobody at first. `Acquire(c)` is right if nobody does, and then `c` holds it;
//! `Release(c)` is right if `c` does, and then nobody; `Refused` is right if somebody does. With tokens the state has the last
//! one too, and `Acquire(c, t)` is right only if `t` is greater. An acquisition that nobody heard of may have been given any
//! token that is greater than the last and smaller than the next. Source: the mutex of Knossos (Jepsen), which is not reentrant either;
//! tokens: Burrows, "The Chubby lock service", OSDI 2006, section 2.4 (sequencers), and Kleppmann, "How to do distributed
//! locking", 2016.

use crate::linear::{NONE, Spec, Value};

/// A mutex that is free at first. Its clients are numbered from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mutex {
    /// The highest number of a client.
    pub clients: u32,
}

/// What was done to a mutex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MutexAction {
    /// The client got it.
    Acquire(Value),
    /// The client gave it back.
    Release(Value),
    /// The client was refused, because somebody held it.
    Refused,
}

const FREE: Value = 0;

impl Spec for Mutex {
    type State = Value;
    type Action = MutexAction;

    fn initial(&mut self) -> Value {
        FREE
    }

    fn step(&mut self, state: Value, action: &MutexAction, known: bool) -> Option<Value> {
        match *action {
            MutexAction::Acquire(client) => (state == FREE).then_some(client),
            MutexAction::Release(client) => (state == client).then_some(FREE),
            MutexAction::Refused => (state != FREE && known).then_some(state),
        }
    }

    fn is_pure(&self, action: &MutexAction, _known: bool) -> bool {
        *action == MutexAction::Refused
    }

    fn values(&self) -> usize {
        self.clients as usize + 1
    }

    fn sight(&self, state: Value) -> Value {
        state
    }

    fn needs(&self, action: &MutexAction) -> Value {
        match *action {
            MutexAction::Acquire(_) => FREE,
            MutexAction::Release(client) => client,
            MutexAction::Refused => NONE,
        }
    }

    fn shuns(&self, action: &MutexAction) -> Value {
        match action {
            MutexAction::Refused => FREE,
            _ => NONE,
        }
    }

    fn makes(&self, action: &MutexAction) -> Value {
        match *action {
            MutexAction::Acquire(client) => client,
            MutexAction::Release(_) => FREE,
            MutexAction::Refused => NONE,
        }
    }
}

/// A mutex whose holders get tokens, each greater than all before.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fenced;

/// What was done to a fenced mutex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FencedAction {
    /// The client got it, with this token.
    Acquire(Value, i64),
    /// The client gave it back.
    Release(Value),
    /// The client was refused, because somebody held it.
    Refused,
}

impl Spec for Fenced {
    /// Who holds it (0: nobody), and the last token.
    type State = (Value, i64);
    type Action = FencedAction;

    fn initial(&mut self) -> (Value, i64) {
        (FREE, i64::MIN)
    }

    fn step(
        &mut self,
        (holder, last): (Value, i64),
        action: &FencedAction,
        known: bool,
    ) -> Option<(Value, i64)> {
        match *action {
            // Which token an acquisition of unknown outcome was given is not known either: any greater one.
            FencedAction::Acquire(client, token) => {
                let token = if known { token } else { last };
                (holder == FREE && (token > last || !known)).then_some((client, token))
            }
            FencedAction::Release(client) => (holder == client).then_some((FREE, last)),
            FencedAction::Refused => (holder != FREE && known).then_some((holder, last)),
        }
    }

    fn is_pure(&self, action: &FencedAction, _known: bool) -> bool {
        *action == FencedAction::Refused
    }
}
