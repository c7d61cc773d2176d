//! The histories recorded from real servers, for tests.

use super::{Recording, read};
use std::fs::File;
use std::path::PathBuf;

/// Their names.
pub(crate) const NAMES: [&str; 6] = [
    "r01-seq-1c-1n",
    "r02-calm-5c-1n",
    "r04-calm-10c-5n-pipelined",
    "r05-killleader-10c-3n",
    "r08-followers-10c-3n",
    "r12-restart-5c-1n",
];

/// A file beside them.
pub(crate) fn file(name: &str) -> File {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/histories");
    File::open(data.join(name)).expect("it is part of the sources")
}

/// One of them, read.
pub(crate) fn recording(name: &str) -> Recording {
    read(file(&format!("{name}.jsonl.gz")), &mut |_| {}).expect("a history")
}
