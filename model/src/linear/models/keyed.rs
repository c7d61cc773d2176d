//! A store of several registers, each an object of its own.

use super::{Register, RegisterAction};
use crate::linear::{Call, Effort, History, Outcome, check_parts};

/// Decides the history of a store: each call with its key, below `keys`, and values below `values`. Gives what is wrong, if
/// something is, with the key and that key's history.
pub fn check_store(
    calls: Vec<(u32, Call<RegisterAction>)>,
    keys: u32,
    values: u32,
    effort: Effort,
) -> Option<(u32, History<RegisterAction>, Outcome)> {
    let history = History::new(
        (calls.into_iter())
            .map(|(key, call)| call.map(|action| (key, action)))
            .collect(),
    );
    let parts = history.split(keys as usize, |(key, _)| *key as usize);
    let mut names = Names::new(values);
    let mut parts: Vec<_> = (parts.into_iter())
        .map(|part| names.rename(part.map(|(_, action)| action)))
        .collect();
    let (key, outcome) = check_parts(&mut parts, effort)?;
    let (_, history) = parts.swap_remove(key);
    Some((key as u32, history, outcome))
}

/// Numbers the values of each part from 0, because tables by value are made for each part.
struct Names {
    /// For each value, its number, and in which part it has it.
    number: Vec<(u32, u32)>,
    part: u32,
}

impl Names {
    fn new(values: u32) -> Names {
        Names {
            number: vec![(0, 0); values as usize],
            part: 0,
        }
    }

    fn rename(&mut self, history: History<RegisterAction>) -> (Register, History<RegisterAction>) {
        self.part += 1;
        let part = self.part;
        // What a register holds at first.
        self.number[0] = (0, part);
        let mut values = 1;
        let mut number = |value: u32| {
            let known = &mut self.number[value as usize];
            if known.1 != part {
                *known = (values, part);
                values += 1;
            }
            known.0
        };
        let history = history.map(|action| match action {
            RegisterAction::Read(value) => RegisterAction::Read(number(value)),
            RegisterAction::Write(value) => RegisterAction::Write(number(value)),
            RegisterAction::Swap(from, to) => RegisterAction::Swap(number(from), number(to)),
            RegisterAction::Refuse(value) => RegisterAction::Refuse(number(value)),
        });
        (Register { values }, history)
    }
}
