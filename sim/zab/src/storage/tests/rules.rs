//! Each rule of the disk, with the state in which it bites.

use super::*;

/// A server with two snapshots and three segments: ⟨1,1⟩ to ⟨1,3⟩, snapshot at ⟨1,2⟩, ⟨1,4⟩ and ⟨1,5⟩, snapshot at ⟨1,5⟩, ⟨2,1⟩.
pub(super) fn lived() -> Machine {
    let mut machine = Machine::new();
    machine.accept(2);
    machine.append(1, 3);
    machine.sync();
    machine.snapshot(zxid(1, 2), b"up to 2");
    machine.append(1, 1);
    machine.sync();
    machine.append(1, 1);
    machine.sync();
    machine.snapshot(zxid(1, 5), b"up to 5");
    machine.append(2, 1);
    machine.sync();
    machine
}

/// The tutorial: append, fsync, be told, crash, and find it again.
#[test]
fn what_was_told_is_found_again() {
    let mut machine = Machine::new();
    machine.accept(1);
    machine.append(1, 2);
    assert_eq!(machine.storage.last(), zxid(1, 2));
    assert_eq!(machine.storage.durable(), Zxid::ZERO);
    assert!(!machine.storage.idle());
    assert_eq!(machine.sync(), [Event::Logged { zxid: zxid(1, 2) }]);
    assert!(machine.storage.idle());
    machine.append(1, 1); // never synced
    let (_, events) = machine.restart();
    let expected = Event::Recovered {
        last: zxid(1, 2),
        floor: Zxid::ZERO,
        accepted: Epoch(1),
        current: Epoch(1),
        blank: false,
        torn_bytes: 0,
        snapshot: Zxid::ZERO,
        configs: Configs::default(),
        chunks: Vec::new(),
        replay: vec![
            Arc::new(Txn::new(zxid(1, 1), Zxid::ZERO, b"1-1")),
            Arc::new(Txn::new(zxid(1, 2), zxid(1, 1), b"1-2")),
        ],
    };
    assert_eq!(events, [expected]);
}

#[test]
fn one_fsync_at_a_time_and_one_for_many() {
    let mut machine = Machine::new();
    machine.append(1, 1);
    machine.call(|storage, out| storage.sync(out));
    machine.append(1, 3);
    machine.call(|storage, out| storage.sync(out));
    machine.call(|storage, out| storage.sync(out));
    let syncs = |machine: &Machine| {
        let sync = |op: &&DiskOp| matches!(op, DiskOp::Sync { .. });
        machine.queue.iter().filter(sync).count()
    };
    assert_eq!(syncs(&machine), 1, "the others wait");
    let told = machine.drain();
    let expected = [zxid(1, 1), zxid(1, 4)].map(|zxid| Event::Logged { zxid });
    assert_eq!(told, expected, "three transactions, one fsync");
}

#[test]
fn a_new_segment_waits_for_the_old_one_to_be_durable() {
    let mut machine = Machine::new();
    machine.accept(1);
    machine.append(1, 1);
    machine.sync();
    machine.append(1, 1);
    machine.call(|storage, out| storage.sync(out));
    machine.storage.writer.roll();
    machine.append(1, 2);
    let files: Vec<&DiskOp> = machine.queue.iter().collect();
    assert_eq!(files.len(), 2, "⟨1,3⟩ and ⟨1,4⟩ are held back: {files:?}");
    machine.drain();
    assert!(
        machine
            .disk
            .names()
            .contains(&"log.0.100000003".to_string())
    );
    machine.sync();
    assert_eq!(machine.storage.durable(), zxid(1, 4));
    assert_eq!(recovered(&machine.restart().1), zxid(1, 4));
}

#[test]
fn recovery_begins_at_the_newest_snapshot() {
    let (machine, events) = lived().restart();
    let [
        Event::Recovered {
            last,
            floor,
            snapshot,
            chunks,
            replay,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (*last, *floor, *snapshot),
        (zxid(2, 1), zxid(1, 2), zxid(1, 5))
    );
    assert_eq!(chunks[..], [Payload::from(&b"up to 5"[..])]);
    assert_eq!(replay.len(), 1);
    assert_eq!(machine.marks, [""; 0]);
}

#[test]
fn purging_keeps_the_logs_that_the_oldest_snapshot_needs() {
    let mut machine = lived();
    let expected = [
        "acceptedEpoch",
        "currentEpoch",
        "initialized",
        "log.0.1",
        "log.0.100000004",
        "log.0.100000006",
        "snapshot.0.100000002",
        "snapshot.0.100000005",
    ];
    assert_eq!(machine.disk.names(), expected, "snapshot.0.0 was purged");
    machine.snapshot(zxid(2, 1), b"up to 6");
    machine.append(2, 1);
    machine.sync();
    let expected = [
        "acceptedEpoch",
        "currentEpoch",
        "initialized",
        "log.0.100000004",
        "log.0.100000006",
        "log.0.200000002",
        "snapshot.0.100000005",
        "snapshot.0.200000001",
    ];
    assert_eq!(machine.disk.names(), expected);
    assert_eq!(machine.storage.floor(), zxid(1, 5));
    let to = zxid(1, 5);
    assert_eq!(
        machine.truncate(to),
        [Event::Truncated { to }],
        "the floor can be cut to"
    );
    assert_eq!(recovered(&machine.recover()), to);
}

#[test]
fn a_snapshot_waits_for_the_log_beside_it() {
    let mut machine = Machine::new();
    machine.append(1, 2);
    assert_eq!(
        machine.snapshot(zxid(1, 1), b"fuzzy"),
        [],
        "⟨1,2⟩ may be in it"
    );
    let told = machine.sync();
    assert_eq!(
        told,
        [
            Event::Logged { zxid: zxid(1, 2) },
            Event::SnapshotTaken { zxid: zxid(1, 1) }
        ]
    );
}

/// Who takes a snapshot is told of it, whatever else is asked meanwhile.
#[test]
fn a_cut_waits_for_a_snapshot_that_is_wholly_written() {
    let mut machine = lived();
    machine.append(2, 1);
    machine.call(|storage, out| storage.begin_snapshot(zxid(1, 5), &first(), out));
    machine.call(|storage, out| storage.snapshot_chunk(b"whole".as_slice().into(), true, out));
    let to = zxid(2, 1);
    let expected = [
        Event::Logged { zxid: zxid(2, 2) },
        Event::SnapshotTaken { zxid: zxid(1, 5) },
        Event::Truncated { to },
    ];
    assert_eq!(machine.truncate(to), expected);
    // One that is not wholly written is abandoned.
    machine.call(|storage, out| storage.begin_snapshot(to, &first(), out));
    assert_eq!(machine.truncate(to), [Event::Truncated { to }]);
    assert!(
        machine
            .disk
            .names()
            .iter()
            .all(|name| !name.ends_with(".part"))
    );
}

#[test]
fn an_abandoned_snapshot_leaves_nothing() {
    let mut machine = lived();
    let names = machine.disk.names();
    machine.call(|storage, out| storage.begin_snapshot(zxid(2, 1), &first(), out));
    machine.call(|storage, out| storage.snapshot_chunk(b"half".as_slice().into(), false, out));
    machine.call(Storage::abandon_snapshot);
    machine.call(|storage, out| storage.snapshot_chunk(b"late".as_slice().into(), true, out));
    assert_eq!(machine.drain(), []);
    assert_eq!(machine.disk.names(), names);
    // Also while it is being fsynced, and the next one under the same name is not harmed.
    machine.call(|storage, out| storage.begin_snapshot(zxid(2, 1), &first(), out));
    machine.call(|storage, out| storage.snapshot_chunk(b"whole".as_slice().into(), true, out));
    machine.call(Storage::abandon_snapshot);
    assert_eq!(
        machine.snapshot(zxid(2, 1), b"again"),
        [Event::SnapshotTaken { zxid: zxid(2, 1) }]
    );
    let (_, events) = machine.restart();
    assert!(matches!(&events[..], [Event::Recovered { chunks, .. }] if *chunks[0] == *b"again"));
}

#[test]
fn a_cut_removes_the_snapshots_above_it_first() {
    let mut machine = lived();
    machine.call(|storage, out| storage.truncate(zxid(1, 4), out));
    let mut order = Vec::new();
    while let Some(op) = machine.queue.front() {
        order.push(match op {
            DiskOp::Delete { file, .. } => format!("delete {file}"),
            DiskOp::Truncate { file, .. } => format!("cut {file}"),
            DiskOp::Read { file, .. } => format!("read {file}"),
            other => panic!("{other:?}"),
        });
        machine.step();
    }
    let expected = [
        "read log.0.100000004",
        "delete snapshot.0.100000005",
        "delete log.0.100000006",
        "cut log.0.100000004",
    ];
    assert_eq!(order, expected);
    assert_eq!(recovered(&machine.recover()), zxid(1, 4));
    machine.append(2, 2);
    machine.sync();
    let (machine, events) = machine.restart();
    assert_eq!(
        recovered(&events),
        zxid(2, 2),
        "what follows a cut is readable (ZOOKEEPER-1489)"
    );
    assert!(
        machine
            .disk
            .names()
            .contains(&"log.0.100000005".to_string()),
        "in a segment of its own"
    );
}

#[test]
fn a_cut_at_any_place_leaves_exactly_the_rest() {
    let all = [zxid(1, 2), zxid(1, 3), zxid(1, 4), zxid(1, 5), zxid(2, 1)];
    for to in all {
        let mut machine = lived();
        assert_eq!(machine.truncate(to), [Event::Truncated { to }]);
        assert_eq!(
            (machine.storage.last(), machine.storage.durable()),
            (to, to)
        );
        assert_eq!(recovered(&machine.recover()), to);
        let (_, events) = machine.restart();
        assert_eq!(recovered(&events), to);
    }
    let mut machine = Machine::new();
    assert_eq!(
        machine.truncate(Zxid::ZERO),
        [Event::Truncated { to: Zxid::ZERO }],
        "nothing to cut"
    );
    machine.append(0, 3);
    assert_eq!(
        machine.truncate(Zxid::ZERO).last(),
        Some(&Event::Truncated { to: Zxid::ZERO })
    );
    assert_eq!(recovered(&machine.restart().1), Zxid::ZERO);
}

#[test]
fn a_cut_to_what_is_not_there_is_fatal_and_changes_nothing() {
    for (to, why) in [
        (zxid(1, 1), "found a history from ⟨1,2⟩ to ⟨2,1⟩"),
        (zxid(2, 2), "found a history from ⟨1,2⟩ to ⟨2,1⟩"),
        (zxid(2, 0), "⟨2,0⟩ is not in it"),
    ] {
        let mut machine = lived();
        let names = machine.disk.names();
        let events = machine.truncate(to);
        assert!(refused(&events).contains(why), "{events:?}");
        assert_eq!(machine.disk.names(), names);
    }
}

#[test]
fn a_leaders_snapshot_replaces_everything() {
    let mut machine = lived();
    let zxid_new = zxid(1, 4); // below the own tail (ZOOKEEPER-2832)
    assert_eq!(
        machine.install(zxid_new, &[b"a", b"b"]),
        [Event::SnapshotInstalled { zxid: zxid_new }]
    );
    let expected = [
        "acceptedEpoch",
        "currentEpoch",
        "initialized",
        "snapshot.1.100000004",
    ];
    assert_eq!(machine.disk.names(), expected);
    assert_eq!(
        (machine.storage.last(), machine.storage.floor()),
        (zxid_new, zxid_new)
    );
    machine.append(2, 1);
    machine.sync();
    let (machine, events) = machine.restart();
    assert_eq!(recovered(&events), zxid(2, 1));
    assert!(
        machine
            .disk
            .names()
            .contains(&"log.1.100000005".to_string())
    );
}

#[test]
fn the_log_is_read_back_for_a_diff() {
    let mut machine = lived();
    let mut read = |after: Zxid| {
        machine.call(|storage, out| storage.read_log_from(after, 7, out));
        match &machine.drain()[..] {
            [
                Event::LogRead {
                    token: 7,
                    start,
                    txns,
                },
            ] => {
                let txns = txns.as_ref();
                txns.map(|txns| (*start, txns.iter().map(|txn| txn.zxid).collect::<Vec<_>>()))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        read(zxid(1, 3)),
        Some((zxid(1, 3), vec![zxid(1, 4), zxid(1, 5), zxid(2, 1)]))
    );
    assert_eq!(
        read(zxid(1, 9)),
        Some((zxid(1, 5), vec![zxid(2, 1)])),
        "not ours: cut to ⟨1,5⟩ first"
    );
    assert_eq!(read(zxid(2, 1)), Some((zxid(2, 1), vec![])));
    assert_eq!(read(zxid(2, 2)), None);
    assert_eq!(read(Zxid::ZERO).map(|(_, txns)| txns.len()), Some(6));
    machine.disk.misread = Some((segment(0, 1, 4), 5));
    machine.call(|storage, out| storage.read_log_from(zxid(1, 3), 8, out));
    assert!(
        matches!(&machine.drain()[..], [Event::LogRead { txns: Some(txns), .. }] if txns.len() == 3)
    );
    machine.disk.remove(segment(0, 1, 4));
    machine.call(|storage, out| storage.read_log_from(zxid(1, 3), 8, out));
    assert!(matches!(
        machine.drain()[..],
        [Event::LogRead { txns: None, .. }]
    ));
    machine.storage.disk_diff_bytes_max = 40;
    machine.call(|storage, out| storage.read_log_from(zxid(1, 5), 8, out));
    assert!(
        matches!(&machine.drain()[..], [Event::LogRead { txns: Some(txns), .. }] if txns.len() == 1)
    );
    machine.append(2, 1);
    machine.call(|storage, out| storage.read_log_from(zxid(1, 5), 8, out));
    assert!(
        matches!(machine.drain()[..], [Event::LogRead { txns: None, .. }]),
        "too many bytes"
    );
}

#[test]
fn a_disk_error_is_the_end() {
    for error in [DiskError::Io, DiskError::Full] {
        let mut machine = Machine::new();
        machine.append(1, 1);
        machine.call(|storage, out| storage.sync(out));
        let mut out = Vec::new();
        let file = Some(segment(0, 0, 1));
        let events = machine.storage.on_disk_failed(file, error, &mut out);
        assert!(
            refused(&events).starts_with("the disk failed at log.0.1: "),
            "{events:?}"
        );
        assert_eq!(machine.drain(), [], "a later success is none");
    }
}

#[test]
#[should_panic(expected = "a hole would be logged before ⟨1,3⟩")]
fn a_hole_is_never_logged() {
    let mut machine = Machine::new();
    let txn = Arc::new(Txn::new(zxid(1, 3), zxid(1, 2), b""));
    machine.call(|storage, out| storage.append(txn, out));
}

#[test]
#[should_panic(expected = "currentEpoch 1 was never accepted")]
fn the_epoch_of_a_leader_never_accepted_is_not_taken_over() {
    Machine::new().call(|storage, out| storage.set_current_epoch(Epoch(1), out));
}
