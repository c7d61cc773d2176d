//! Where the calls, the clients and the sessions of a history stand in its lists.

use super::call::Call;
use super::history::History;
use crate::reference::Lookup;
use std::collections::BTreeMap;
use zabsim_types::{CallId, ProcessId, SessionId};

/// Something of every session, found quickly for those that made calls.
pub(crate) struct BySession<T> {
    with_calls: Vec<T>,
    others: BTreeMap<SessionId, T>,
}

impl<T: Copy + Default> BySession<T> {
    pub fn new(history: &History<'_>) -> BySession<T> {
        BySession {
            with_calls: vec![T::default(); history.sessions.len()],
            others: BTreeMap::new(),
        }
    }

    /// Of the session that the call was made in.
    pub fn of_call(&mut self, call: &Call<'_>) -> &mut T {
        &mut self.with_calls[call.slot as usize]
    }

    pub fn of(&mut self, history: &History<'_>, session: SessionId) -> &mut T {
        match history.slot(session) {
            Some(slot) => &mut self.with_calls[slot],
            None => self.others.entry(session).or_default(),
        }
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.with_calls.iter().chain(self.others.values())
    }
}

/// Each client's place, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// By place.
    pub processes: Vec<ProcessId>,
    /// Of those with small numbers, as they mostly are: by number, one more than the place.
    few: Vec<u32>,
    others: Lookup<u32, u32>,
}

impl Clients {
    const FEW: usize = 4_096;

    pub fn place_or_new(&mut self, process: ProcessId) -> u32 {
        let number = process.0 as usize;
        let next = self.processes.len() as u32;
        let place = if number < Clients::FEW {
            if self.few.len() <= number {
                self.few.resize(number + 1, 0);
            }
            if self.few[number] == 0 {
                self.few[number] = next + 1;
            }
            self.few[number] - 1
        } else {
            *self.others.entry(process.0).or_insert(next)
        };
        if place == next {
            self.processes.push(process);
        }
        place
    }

    pub fn place(&self, process: ProcessId) -> usize {
        match self.few.get(process.0 as usize) {
            Some(place) if *place > 0 => *place as usize - 1,
            _ => self.others[&process.0] as usize,
        }
    }
}

/// The calls by their names. Each client counts its own: a name is the client's number above [`ById::COUNTED`] bits and its
/// count below. So a call is mostly found by its place in a list; names that leave large gaps are looked up.
#[derive(Debug)]
pub(super) struct ById {
    /// By client and count, one more than the index; 0 where there is none.
    dense: Vec<Vec<u32>>,
    others: Lookup<u64, u32>,
    /// How many places the lists may have together, and how many they have.
    room: usize,
    taken: usize,
}

impl ById {
    /// Bits of a name that count within a client.
    const COUNTED: u32 = 40;

    pub fn for_history(events: usize) -> ById {
        ById {
            dense: Vec::new(),
            others: Lookup::default(),
            room: 4 * events + 4_096,
            taken: 0,
        }
    }

    fn places(id: CallId) -> (usize, usize) {
        let count = id.0 & ((1 << ById::COUNTED) - 1);
        ((id.0 >> ById::COUNTED) as usize, count as usize)
    }

    pub fn get(&self, id: CallId) -> Option<u32> {
        let (high, low) = ById::places(id);
        match self.dense.get(high).and_then(|list| list.get(low)) {
            Some(next) if *next > 0 => Some(next - 1),
            _ if self.others.is_empty() => None,
            _ => self.others.get(&id.0).copied(),
        }
    }

    /// Whether the name was free.
    pub fn insert(&mut self, id: CallId, index: u32) -> bool {
        if self.get(id).is_some() {
            return false;
        }
        let (high, low) = ById::places(id);
        let lists = (high + 1).saturating_sub(self.dense.len());
        let length = self.dense.get(high).map_or(0, Vec::len);
        let more = lists + (low + 1).saturating_sub(length);
        if self.taken + more > self.room {
            self.others.insert(id.0, index);
            return true;
        }
        self.taken += more;
        if lists > 0 {
            self.dense.resize_with(high + 1, Vec::new);
        }
        let list = &mut self.dense[high];
        if list.len() <= low {
            list.resize(low + 1, 0);
        }
        list[low] = index + 1;
        true
    }
}
