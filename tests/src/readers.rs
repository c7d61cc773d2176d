//! Everything that reads what somebody else wrote, one function each: for the fuzzer (`tests/fuzz`) and for the property tests,
//! which drive the same functions. Each takes any bytes, and must return.

use std::io::{Read, Write};
use zabsim_model::conformance;
use zabsim_model::intake::bind::{Object, bind};
use zabsim_model::intake::calls::Calls;
use zabsim_model::intake::entries::Entries;
use zabsim_model::intake::source::Source;
use zabsim_model::intake::verdict::decide;
use zabsim_model::linear::Effort;
use zabsim_model::znode::{self, Settings};
use zabsim_scenarios::campaign::merge;
use zabsim_scenarios::format::Scenario;
use zabsim_types::run::RunReport;

/// A reader, by its name.
pub type Reader = (&'static str, fn(&[u8]) -> bool);

/// All of them. Each says whether it took the bytes for what it reads.
pub const ALL: [Reader; 7] = [
    ("scenario", scenario),
    ("saved_run", saved_run),
    ("znodes", znodes),
    ("operations", operations),
    ("conformance", conformance),
    ("payload", payload),
    ("journal", journal),
];

/// A scenario file.
pub fn scenario(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes);
    text.is_ok_and(|text| Scenario::parse("fuzzed.toml", text).is_ok())
}

/// A `run.json`.
pub fn saved_run(bytes: &[u8]) -> bool {
    serde_json::from_slice::<RunReport>(bytes).is_ok()
}

/// A history of znodes, recorded or our own, plain or gzip; it is judged too, with little effort.
pub fn znodes(bytes: &[u8]) -> bool {
    let settings = Settings {
        effort: 1_000,
        ..Settings::default()
    };
    znode::check(bytes, &settings, &mut |_| {}).is_ok()
}

/// A history of operations: EDN, JSON, log lines, plain or gzip; it is judged too, with little effort.
pub fn operations(bytes: &[u8]) -> bool {
    let read = |input: &mut dyn Read| {
        let mut source = Source::new(input).ok()?;
        let mut entries = Entries::new(&mut source).ok()?;
        let mut calls = Calls::default();
        while let Some(entry) = entries.read_next().ok()? {
            calls.push(entry).ok()?;
        }
        Some(calls)
    };
    let Some(calls) = read(&mut &*bytes) else {
        return false;
    };
    let Some(object) = Object::guess(&calls) else {
        return false;
    };
    match bind(&calls, object, None) {
        Ok(bound) => {
            decide(&calls, bound, Effort(10_000));
            true
        }
        Err(_) => false,
    }
}

/// Recorded cases.
pub fn conformance(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes);
    text.is_ok_and(|text| conformance::parse(text).is_ok())
}

/// What servers log and send each other: a transaction, a forwarded request, a message between services.
pub fn payload(bytes: &[u8]) -> bool {
    let said = zabsim_server::describe(bytes);
    !["unknown", "empty", "unreadable"]
        .iter()
        .any(|word| said.starts_with(word))
}

/// A campaign's journal, `campaign.jsonl`; its summary is made too.
pub fn journal(bytes: &[u8]) -> bool {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("it is written");
    let merged = merge(&[file.path().to_path_buf()], None);
    merged.is_ok_and(|merged| merged.summary.runs > 0)
}
