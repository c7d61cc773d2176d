//! What a search may use: steps, which bound its time, and bytes. Both are counted, not measured, so that a verdict is the same on
//! every machine.

/// How much may be tried before giving up, in operations that are placed in an order (also those that are taken back). What else
/// takes time is converted to these: looking through long lists, and making a smaller history to try.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Effort(pub u64);

impl Default for Effort {
    /// Some minutes of one core in the worst case; ordinary histories need one step for each operation.
    fn default() -> Effort {
        Effort(200_000_000)
    }
}

/// What ended a search without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Its effort was spent.
    Effort,
    /// What it has to remember takes more than [`MEMORY_MAX`].
    Memory,
}

/// The most bytes that a search may take to remember what failed, and the states that it met. The history itself and the order
/// found so far come on top: less than a hundred bytes for each operation.
pub const MEMORY_MAX: usize = 1 << 30;

/// What is left of an effort, for all searches that draw on it.
#[derive(Clone, Debug)]
pub struct Budget {
    steps: u64,
    bytes_max: usize,
}

impl Budget {
    /// All of an effort, and the memory that every search may take.
    pub fn new(effort: Effort) -> Budget {
        Budget::with_memory(effort, MEMORY_MAX)
    }

    /// As [`new`](Budget::new), with another bound on memory.
    pub fn with_memory(effort: Effort, bytes_max: usize) -> Budget {
        Budget {
            steps: effort.0,
            bytes_max,
        }
    }

    /// The steps left.
    pub fn left(&self) -> u64 {
        self.steps
    }

    /// Takes steps away.
    pub fn spend(&mut self, steps: u64) {
        self.steps = self.steps.saturating_sub(steps);
    }

    /// Lets something use a part of what is left: so many steps at most.
    pub fn lend<R>(&mut self, steps: u64, to: impl FnOnce(&mut Budget) -> R) -> R {
        let mut part = Budget {
            steps: steps.min(self.steps),
            bytes_max: self.bytes_max,
        };
        let lent = part.steps;
        let result = to(&mut part);
        self.spend(lent - part.steps);
        result
    }

    /// What ends a search that has used so much.
    pub(super) fn ends(&self, steps: u64, bytes: usize) -> Option<Limit> {
        if bytes > self.bytes_max {
            Some(Limit::Memory)
        } else if steps > self.steps {
            Some(Limit::Effort)
        } else {
            None
        }
    }
}
