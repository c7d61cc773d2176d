//! What the search remembers: the configurations that failed, and with which operations of unknown outcome.
//!
//! A configuration is (the event, the object's state, the open operations that are placed). It fails again if it is met with no more
//! freedom than before: with all the operations of unknown outcome used that had been used when it failed (an antichain of
//! sets, kept as paths in a tree). To forget would be sound; what is remembered is counted in bytes, and the search ends when
//! that is too much.

use super::super::history::Position;
use super::mask::Mask;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use std::hash::Hash;

/// Which operations of unknown outcome were used, in which order: where a path in the tree ends.
pub(super) type Path = u32;

/// None was used.
pub(super) const NO_PATH: Path = u32::MAX;

/// The end of a list of failures.
const NO_FAILURE: u32 = u32::MAX;

/// An operation of unknown outcome that was used, and the ones before it on the same path.
#[derive(Clone, Copy)]
struct Used {
    call: u32,
    before: Path,
    depth: u32,
}

/// The path on which a configuration failed, and the next such path.
struct Failure {
    path: Path,
    next: u32,
}

/// A configuration but for the operations of unknown outcome.
pub(super) type Configuration<T, M> = (Position, T, M);

pub(super) struct Memory<T, M> {
    /// For each configuration that failed, its first failure, or [`NO_FAILURE`]: it failed with none used.
    failed: HashMap<Configuration<T, M>, u32, FxBuildHasher>,
    failures: Vec<Failure>,
    paths: Vec<Used>,
    /// What the configurations hold outside of the table.
    outside: usize,
}

impl<T, M> Default for Memory<T, M> {
    fn default() -> Self {
        Memory {
            failed: HashMap::with_hasher(FxBuildHasher),
            failures: Vec::new(),
            paths: Vec::new(),
            outside: 0,
        }
    }
}

impl<T: Copy + Eq + Hash, M: Mask> Memory<T, M> {
    /// How many bytes are taken.
    pub fn bytes(&self) -> usize {
        // A table of this kind has a byte of its own for each place, and an eighth more places than its capacity.
        let place = size_of::<(Configuration<T, M>, u32)>() + 1;
        self.failed.capacity() / 7 * 8 * place
            + self.failures.capacity() * size_of::<Failure>()
            + self.paths.capacity() * size_of::<Used>()
            + self.outside
    }

    /// Whether nothing has failed yet.
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    /// The path that goes on with this operation.
    pub fn go_on(&mut self, before: Path, call: u32) -> Path {
        let depth = self.depth(before) + 1;
        self.paths.push(Used {
            call,
            before,
            depth,
        });
        self.paths.len() as Path - 1
    }

    /// Remembers that a configuration failed on a path.
    pub fn note(&mut self, configuration: Configuration<T, M>, path: Path) {
        let outside = configuration.2.heap_bytes();
        let known = self.failed.len();
        let first = self.failed.entry(configuration).or_insert(NO_FAILURE);
        if path != NO_PATH || *first != NO_FAILURE {
            let next = std::mem::replace(first, self.failures.len() as u32);
            self.failures.push(Failure { path, next });
        }
        if self.failed.len() > known {
            self.outside += outside;
        }
    }

    /// Whether a configuration, met on a path that used the operations `used`, has failed before with no less freedom; and how
    /// many failures were looked at to tell.
    pub fn failed(
        &self,
        configuration: &Configuration<T, M>,
        path: Path,
        used: &[bool],
    ) -> (bool, u64) {
        let Some(first) = self.failed.get(configuration) else {
            return (false, 0);
        };
        if *first == NO_FAILURE {
            return (true, 0);
        }
        let (mut failure, mut looked) = (*first, 0);
        while failure != NO_FAILURE {
            let Failure { path: other, next } = self.failures[failure as usize];
            let (uses_all, steps) = self.uses_all_of(path, other, used);
            looked += steps;
            if uses_all {
                return (true, looked);
            }
            failure = next;
        }
        (false, looked)
    }

    fn depth(&self, path: Path) -> u32 {
        match path {
            NO_PATH => 0,
            path => self.paths[path as usize].depth,
        }
    }

    /// Whether a path uses every operation that another one used, and how many places of both were looked at. Says no where that
    /// takes long to tell.
    fn uses_all_of(&self, mine: Path, other: Path, used: &[bool]) -> (bool, u64) {
        const PATIENCE: u64 = 64;
        let (mut mine, mut theirs) = (mine, other);
        let mut looked = 1;
        // Up to where the paths part, whatever they did was the same.
        while mine != theirs {
            if looked > PATIENCE {
                return (false, looked);
            }
            looked += 1;
            if self.depth(mine) > self.depth(theirs) {
                mine = self.paths[mine as usize].before;
            } else {
                theirs = self.paths[theirs as usize].before;
            }
        }
        let parted = theirs;
        let mut path = other;
        while path != parted {
            let other = self.paths[path as usize];
            if !used[other.call as usize] {
                return (false, looked);
            }
            path = other.before;
        }
        (true, looked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_remembered_is_counted() {
        const MANY: u32 = 1_000;
        let mut words = Memory::<i64, u64>::default();
        let mut wide = Memory::<i64, Box<[u64]>>::default();
        assert_eq!((words.bytes(), wide.bytes()), (0, 0));
        for at in 0..MANY {
            words.note((at, 0, 0), NO_PATH);
            wide.note((at, 0, vec![0; 4].into_boxed_slice()), NO_PATH);
        }
        let many = MANY as usize;
        let entry = size_of::<(Configuration<i64, u64>, u32)>();
        assert!(words.bytes() >= many * entry);
        let entry = size_of::<(Configuration<i64, Box<[u64]>>, u32)>();
        assert!(wide.bytes() >= many * (entry + 32));

        // The same configuration on ever another path.
        let before = words.bytes();
        let mut path = NO_PATH;
        for at in 0..MANY {
            path = words.go_on(path, at);
            words.note((MANY, 0, 0), path);
        }
        let more = size_of::<Failure>() + size_of::<Used>();
        assert!(words.bytes() >= before + many * more);
    }
}
