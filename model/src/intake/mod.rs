//! Reading histories that other tools wrote.
//!
//! Whatever the format, an entry of a history comes to the same: a process, whether it is a call or what became of one, the
//! operation, its value ([`Entry`](entries::Entry)). Three steps, each bounded in memory by the longest single entry and by what is kept:
//!
//! 1. [`source`]: bytes, unpacked where they are packed (gzip), with the number of the line;
//! 2. [`entries`]: the formats: EDN and JSON as Jepsen writes them, one map after another or all in one vector; the older log
//!    lines of `jepsen.util`; the key-value logs that Porcupine's tests use, which are EDN with a `:key`;
//! 3. [`bind`]: calls and returns are brought together, split by key, and told in the words of a model.
//!
//! What a verdict does not say, though a person wants to know it, is told beside it: what drains of queues left behind ([`left`]).

pub mod bind;
pub mod calls;
mod drain;
pub mod edn;
pub mod entries;
mod keys;
pub mod left;
pub mod source;
pub mod verdict;

use std::fmt;

/// What is wrong with a history, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The line, counted from 1; 0: the file as a whole.
    pub line: u64,
    /// What was found, and what was allowed.
    pub what: String,
}

impl Fault {
    pub(crate) fn new(line: u64, what: impl Into<String>) -> Fault {
        Fault {
            line,
            what: what.into(),
        }
    }
}

/// What is wrong with the JSON of one line, without the line that its parser counts.
pub(crate) fn said_of_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) => format!("{what} at column {}", error.column()),
        None => text,
    }
}

impl Fault {
    /// With the file's name and the line, as compilers say it: `history.edn:12: …`.
    pub fn in_file(&self, name: &str) -> String {
        match self.line {
            0 => format!("{name}: {}", self.what),
            line => format!("{name}:{line}: {}", self.what),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for Fault {}
