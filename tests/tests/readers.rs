//! Whatever bytes a reader is given, it returns: random ones, and good ones that were spoilt. The fuzzer (`tests/fuzz`)
//! drives the same functions for longer.

use proptest::prelude::*;
use std::fs;
use std::path::Path;
use zabsim_scenarios::library::LIBRARY;
use zabsim_server::{ConnId, Txn, TxnBody};
use zabsim_tests::readers::{self, ALL};
use zabsim_tests::zabsim;
use zabsim_types::{SessionId, Xid};

/// For each reader something that it takes.
fn good() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let out = out.to_str().expect("the name is text");
    let ran = zabsim(["run", "zookeeper-2845", "--seed", "1", "--out", out]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let saved = |name: &str| fs::read(Path::new(out).join(name)).expect("it was saved");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let kept = |name: &str| fs::read_to_string(data.join(name)).expect("it is part of the sources");
    let cases = kept("conformance/cases.jsonl");
    let some: Vec<&str> = cases.lines().step_by(40).collect();
    let scenario = LIBRARY.iter().find(|entry| entry.name == "leader-crash");
    let txn = Txn {
        session: SessionId(7),
        conn: ConnId::NONE,
        cxid: Xid(3),
        time_ms: 12,
        body: TxnBody::CloseSession {
            ephemerals: vec!["/a".into(), "/b/c".into()],
        },
        counts: Vec::new(),
    };
    vec![
        scenario.expect("it is in the library").text.into(),
        saved("run.json"),
        saved("history.jsonl"),
        EDN.into(),
        some.join("\n").into(),
        txn.encode().to_vec(),
        kept("campaigns/two-runs.jsonl").into(),
    ]
}

const EDN: &str = "\
{:process 0, :type :invoke, :f :write, :value 1}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process 2, :type :invoke, :f :write, :value 2}
{:process 2, :type :info, :f :write, :value 2, :error :timeout}
";

#[test]
fn each_reader_takes_what_it_is_for_and_nothing_else() {
    let good = good();
    for (at, (name, read)) in ALL.iter().enumerate() {
        for (other, bytes) in good.iter().enumerate() {
            assert_eq!(read(bytes), at == other, "{name}, {}", ALL[other].0);
        }
    }
}

/// A change of a file: where in 65,536ths, what is done, with which bytes.
type Change = (u16, u8, Vec<u8>);

fn spoil(good: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for (place, what, with) in changes {
        let at = bytes.len() * usize::from(*place) / 65_536;
        let end = (at + with.len()).min(bytes.len());
        match what % 4 {
            0 => drop(bytes.splice(at..at, with.iter().copied())),
            1 => drop(bytes.splice(at..end, with.iter().copied())),
            2 => drop(bytes.drain(at..end)),
            _ => {
                let again: Vec<u8> = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        for (_, read) in ALL {
            read(&bytes);
        }
    }
}

#[test]
fn spoilt_files_are_read_or_refused() {
    let good = good();
    let change = (
        any::<u16>(),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..24),
    );
    let changes = prop::collection::vec(change, 1..5);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for ((_, read), good) in ALL.iter().zip(&good) {
        let read_spoilt = |changes: Vec<Change>| {
            read(&spoil(good, &changes));
            Ok(())
        };
        runner.run(&changes, read_spoilt).expect("nothing panics");
    }
}

/// A payload is cut or its length fields lie: no more is allocated than there is.
#[test]
fn a_payload_of_a_lie_is_refused() {
    for first in 0..=255 {
        let mut bytes = vec![0xff; 64];
        bytes[0] = first;
        assert!(!readers::payload(&bytes), "{first}");
    }
}
