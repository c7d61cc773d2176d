//! A register with read, write and compare-and-set, over numbered values; also one key of a key-value store.
//!
//! *Formulation.* The state is a value, number 0 at first. `Read(v)` is right if it is `v`; `Write(v)` makes it `v`; `Swap(u, v)` is
//! right if it is `u`, and makes it `v`; `Refuse(u)` is right if it is not `u`. Source: the atomic register of Lamport, "On
//! interprocess communication", 1986, for many writers, with compare-and-set as Jepsen's `cas-register` has it.

use crate::linear::{NONE, Spec, Value};

/// The register. Value 0 is what it holds at first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    /// How many values there are, with the first.
    pub values: u32,
}

/// What was done to a register, and what was observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegisterAction {
    /// It held this value.
    Read(Value),
    /// It was given this value.
    Write(Value),
    /// It held the first value and was given the second one; of unknown outcome: if it held the first.
    Swap(Value, Value),
    /// It was to be given a value if it held this one, and did not hold it.
    Refuse(Value),
}

impl Spec for Register {
    type State = Value;
    type Action = RegisterAction;

    fn initial(&mut self) -> Value {
        0
    }

    fn step(&mut self, state: Value, action: &RegisterAction, known: bool) -> Option<Value> {
        let after = match *action {
            RegisterAction::Read(value) => (state == value).then_some(state),
            RegisterAction::Write(value) => Some(value),
            RegisterAction::Swap(from, to) => (state == from).then_some(to),
            RegisterAction::Refuse(value) => (state != value).then_some(state),
        };
        after.filter(|after| known || *after != state)
    }

    fn is_pure(&self, action: &RegisterAction, _known: bool) -> bool {
        matches!(action, RegisterAction::Read(_) | RegisterAction::Refuse(_))
    }

    fn values(&self) -> usize {
        self.values as usize
    }

    fn sight(&self, state: Value) -> Value {
        state
    }

    fn needs(&self, action: &RegisterAction) -> Value {
        match *action {
            RegisterAction::Read(value) | RegisterAction::Swap(value, _) => value,
            _ => NONE,
        }
    }

    fn shuns(&self, action: &RegisterAction) -> Value {
        match *action {
            RegisterAction::Refuse(value) => value,
            _ => NONE,
        }
    }

    fn makes(&self, action: &RegisterAction) -> Value {
        match *action {
            RegisterAction::Write(value) | RegisterAction::Swap(_, value) => value,
            _ => NONE,
        }
    }
}
