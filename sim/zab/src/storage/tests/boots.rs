//! What a boot finds, makes good, or refuses.

use super::rules::lived;
use super::*;
use crate::recover_offline;

#[test]
fn a_torn_tail_is_cut_durably_and_counted() {
    let mut machine = Machine::new();
    machine.accept(1);
    machine.append(1, 2);
    machine.sync();
    machine.append(1, 1);
    machine.drain();
    // The mark before the record arrived whole, and 6 bytes of the record.
    let mut next = Machine::on(machine.disk.crashed(Loss::TornAt(30)));
    let events = next.recover();
    assert!(
        matches!(events[..], [Event::Recovered { torn_bytes: 6, .. }]),
        "{events:?}"
    );
    assert_eq!(recovered(&events), zxid(1, 2));
    assert_eq!(next.marks, ["recovery-torn-tail"]);
    let events = next.recover();
    assert!(
        matches!(events[..], [Event::Recovered { torn_bytes: 0, .. }]),
        "it was cut: {events:?}"
    );
}

/// Short by any number of bytes, even where the rest reads well: a read that ends right behind a record.
#[test]
fn a_short_read_is_no_torn_tail() {
    let last = segment(0, 1, 6);
    for file in [
        FileName::AcceptedEpoch,
        snapshot(0, 1, 5),
        segment(0, 1, 4),
        last,
    ] {
        let len = lived().disk.bytes(file).len();
        for short in 1..=len {
            let mut disk = lived().disk;
            disk.misread = Some((file, short));
            let mut machine = Machine::on(disk);
            let events = machine.recover();
            assert_eq!(recovered(&events), zxid(2, 1), "{file} is short by {short}");
            let needed = file != segment(0, 1, 4) || machine.disk.misread.is_none();
            assert_eq!(
                machine.marks,
                if needed {
                    vec!["recovery-read-again"]
                } else {
                    vec![]
                }
            );
        }
    }
    let mut machine = Machine::on(lived().disk);
    machine.call(|storage, out| storage.recover(out));
    // Cut by another amount at each reading of the last segment, the file is given up.
    let mut short = 1;
    let mut events = Vec::new();
    while !machine.queue.is_empty() {
        short += 1;
        machine.disk.misread = Some((last, short));
        events.extend(machine.step());
    }
    assert_eq!(
        refused(&events),
        "log.0.100000006: found something else at each of 4 readings"
    );
}

#[test]
fn a_corrupt_middle_is_refused() {
    let mut machine = Machine::new();
    machine.accept(1);
    for _ in 0..3 {
        machine.append(1, 1);
        machine.sync();
    }
    machine.disk.bytes(segment(0, 0, 1))[60] ^= 4;
    let reason = refused(&machine.recover()).to_string();
    assert!(
        reason.starts_with("log.0.1, offset 55: found checksum"),
        "{reason}"
    );
    assert!(
        reason.ends_with("expected a frame: a later mark says that 110 bytes were durable"),
        "{reason}"
    );
    assert_eq!(machine.queue.len(), 0, "a refused disk is left alone");
}

#[test]
fn a_missing_segment_is_refused() {
    let mut machine = lived();
    machine.disk.remove(segment(0, 1, 4));
    // The newest snapshot does not need it.
    assert_eq!(recovered(&machine.recover()), zxid(2, 1));
    let reason = tails(lived().disk, |disk| {
        disk.remove(segment(0, 1, 4));
        disk.remove(snapshot(0, 1, 5));
    });
    assert_eq!(
        refused(&reason),
        "log.0.1: found it to end at ⟨1,3⟩, expected it to end right before ⟨1,6⟩, where the next segment begins: \
         something is missing"
    );
    let reason = tails(lived().disk, |disk| {
        disk.remove(segment(0, 0, 1));
        disk.remove(segment(0, 1, 4));
        disk.remove(snapshot(0, 1, 5));
    });
    assert_eq!(
        refused(&reason),
        "log.0.100000006: found the oldest segment to begin at ⟨1,6⟩, expected one that goes on from snapshot ⟨1,2⟩: \
         a segment is missing"
    );
    let reason = tails(lived().disk, |disk| {
        disk.remove(segment(0, 0, 1));
        disk.remove(segment(0, 1, 4));
        disk.remove(segment(0, 1, 6));
    });
    assert!(
        refused(&reason).starts_with("snapshot.0.100000005: found no log"),
        "{reason:?}"
    );
}

#[test]
fn an_older_snapshot_serves_where_the_log_covers_the_gap() {
    let mut disk = lived().disk;
    disk.bytes(snapshot(0, 1, 5))[30] ^= 1;
    let mut machine = Machine::on(disk);
    let events = machine.recover();
    let [
        Event::Recovered {
            last,
            snapshot: from,
            replay,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*last, *from, replay.len()), (zxid(2, 1), zxid(1, 2), 4));
    assert!(machine.marks.contains(&"recovery-older-snapshot"));
    assert!(
        !machine
            .disk
            .names()
            .contains(&"snapshot.0.100000005".into()),
        "the bad one is gone"
    );

    let mut disk = lived().disk;
    disk.bytes(snapshot(0, 1, 5))[30] ^= 1;
    disk.remove(segment(0, 1, 6));
    disk.remove(segment(0, 1, 4));
    let reason = tails(disk, |_| {});
    let reason = refused(&reason);
    assert!(
        reason.starts_with("snapshot.0.100000005: found a log that ends before it (at ⟨1,3⟩)"),
        "{reason}"
    );

    let reason = tails(lived().disk, |disk| {
        disk.bytes(snapshot(0, 1, 5))[30] ^= 1;
        disk.bytes(snapshot(0, 1, 2))[30] ^= 1;
    });
    let reason = refused(&reason);
    assert!(
        reason.contains("snapshot.0.100000005, offset")
            && reason.ends_with("no good older snapshot"),
        "{reason}"
    );
}

#[test]
fn a_log_without_a_snapshot_is_refused() {
    let reason = tails(lived().disk, |disk| {
        disk.remove(snapshot(0, 1, 2));
        disk.remove(snapshot(0, 1, 5));
    });
    assert!(
        refused(&reason).starts_with("log.0.1: found a log, but no snapshot"),
        "{reason:?}"
    );
}

#[test]
fn lost_promises_are_refused() {
    let put = |file, epoch: u32| {
        move |disk: &mut Disk| disk.put(file, &format::small_file(file, Epoch(epoch)))
    };
    let reason = tails(lived().disk, put(FileName::AcceptedEpoch, 1));
    assert_eq!(
        refused(&reason),
        "acceptedEpoch: found 1, expected at least currentEpoch, which is 2: a promise is lost"
    );
    let reason = tails(lived().disk, |disk| {
        put(FileName::AcceptedEpoch, 1)(disk);
        put(FileName::CurrentEpoch, 1)(disk);
    });
    assert!(
        refused(&reason).contains("expected at least 2, the epoch of the log's tail"),
        "{reason:?}"
    );
    for file in [FileName::AcceptedEpoch, FileName::CurrentEpoch] {
        let reason = tails(lived().disk, |disk| disk.remove(file));
        assert!(
            refused(&reason).starts_with(&format!("{file}: found no file")),
            "{reason:?}"
        );
        let reason = tails(lived().disk, |disk| disk.bytes(file)[13] ^= 1);
        assert!(
            refused(&reason).starts_with(&format!("{file}, offset 0: found checksum")),
            "{reason:?}"
        );
    }
    let reason = tails(Disk::formatted(), |disk| disk.remove(snapshot(0, 0, 0)));
    assert!(
        refused(&reason).contains("the database is missing"),
        "{reason:?}"
    );
}

/// A crash between history and epoch (ZOOKEEPER-1653: ZooKeeper refuses to start).
#[test]
fn history_ahead_of_the_epoch_is_accepted() {
    let file = FileName::CurrentEpoch;
    let mut machine = lived();
    machine.disk.put(file, &format::small_file(file, Epoch(1)));
    let (machine, events) = machine.restart();
    assert!(
        matches!(
            events[..],
            [Event::Recovered {
                current: Epoch(1),
                ..
            }]
        ),
        "{events:?}"
    );
    assert_eq!(machine.marks, ["recovery-history-ahead-of-epoch"]);
}

#[test]
fn a_blank_disk_is_made_usable_but_may_not_vote() {
    let mut machine = Machine::on(Disk::default());
    let events = machine.recover();
    assert!(matches!(
        events[..],
        [Event::Recovered {
            last: Zxid::ZERO,
            blank: true,
            ..
        }]
    ));
    assert!(machine.storage.is_blank());
    assert_eq!(machine.disk.names(), ["snapshot.0.0"]);
    machine.accept(1);
    machine.append(1, 2);
    machine.sync();
    let (mut machine, events) = machine.restart();
    assert!(
        matches!(events[..], [Event::Recovered { blank: true, .. }]),
        "until it is told otherwise"
    );
    assert_eq!(recovered(&events), zxid(1, 2));
    machine.call(Storage::set_initialized);
    assert_eq!(machine.drain(), [Event::Initialized]);
    assert!(matches!(
        machine.restart().1[..],
        [Event::Recovered { blank: false, .. }]
    ));
}

/// The crash fell between the rename and the deletes: the old database is dead although its log is longer.
#[test]
fn dead_generations_are_ignored_and_deleted() {
    let mut machine = lived();
    let chunks = vec![b"new".as_slice().into()];
    machine.call(|storage, out| storage.install_snapshot(zxid(1, 1), chunks, first(), out));
    while !machine
        .disk
        .names()
        .contains(&"snapshot.1.100000001".to_string())
    {
        assert_eq!(
            recover_offline(&machine.disk.durable()).unwrap().last,
            zxid(2, 1)
        );
        machine.step();
    }
    let offline = recover_offline(&machine.disk.durable()).unwrap();
    assert_eq!((offline.last, offline.generation), (zxid(1, 1), 1));
    let (machine, events) = machine.restart();
    assert_eq!(recovered(&events), zxid(1, 1));
    assert_eq!(machine.marks, ["recovery-dead-generation"]);
    let expected = [
        "acceptedEpoch",
        "currentEpoch",
        "initialized",
        "snapshot.1.100000001",
    ];
    assert_eq!(machine.disk.names(), expected);
}

#[test]
fn a_segment_without_its_generations_snapshot_is_refused() {
    let reason = tails(lived().disk, |disk| {
        disk.put(segment(1, 1, 1), b"");
    });
    assert_eq!(
        refused(&reason),
        "log.1.100000001: found no snapshot of its generation, the newest is of 0"
    );
}

fn tails(mut disk: Disk, change: impl FnOnce(&mut Disk)) -> Vec<Event> {
    change(&mut disk);
    Machine::on(disk).recover()
}

/// Whatever byte of whatever file rots or is cut off: a boot refuses, or goes on with history that this server had.
#[test]
fn no_damage_to_one_file_panics_a_boot_or_invents_history() {
    let files: BTreeMap<FileName, Payload> = lived()
        .disk
        .files
        .into_iter()
        .map(|(name, file)| (name, file.bytes.into()))
        .collect();
    let (mut refused, mut accepted) = (0, 0);
    let mut boot = |file: FileName, bytes: &[u8]| {
        let mut files = files.clone();
        files.insert(file, bytes.into());
        let Ok(found) = recover_offline(&files) else {
            refused += 1;
            return;
        };
        accepted += 1;
        assert!(found.last <= zxid(2, 1), "{file}: {}", found.last);
        assert!(found.accepted <= Epoch(2) && found.current <= Epoch(2));
        let snapshot = found.chunks.concat();
        assert!([&b""[..], b"up to 2", b"up to 5"].contains(&&snapshot[..]));
        for txn in found.txns {
            let (epoch, counter) = (txn.zxid.epoch(), txn.zxid.counter());
            assert_eq!(txn.payload(), format!("{epoch}-{counter}").as_bytes());
        }
    };
    for (&file, bytes) in &files {
        for at in 0..bytes.len() {
            boot(file, &bytes[..at]);
            for bit in 0..8 {
                let mut rotten = bytes.to_vec();
                rotten[at] ^= 1 << bit;
                boot(file, &rotten);
            }
        }
    }
    assert!(refused > 100 && accepted > 100, "{refused}, {accepted}");
}

/// A pending reconfiguration may have come in a leader's snapshot alone: no log here holds it.
#[test]
fn configurations_come_back_from_snapshot_log_and_file() {
    let majority = |counter: u32, ids: &[u8]| {
        let quorum = crate::QuorumConfig::majority(ids.iter().map(|id| crate::PeerId(*id)));
        Arc::new(Configuration::new(zxid(1, counter), quorum))
    };
    let membership = |machine: &Machine| {
        let offline = recover_offline(&machine.disk.durable()).unwrap();
        offline.membership(&first())
    };
    let (second, third) = (majority(2, &[1, 2]), majority(5, &[2, 3]));
    let mut machine = Machine::new();
    machine.accept(1);
    assert_eq!(membership(&machine), first());
    let mut inside = first();
    inside.propose(second.clone());
    let installed = inside.clone();
    machine.call(|storage, out| storage.install_snapshot(zxid(1, 4), Vec::new(), installed, out));
    machine.drain();
    assert_eq!(membership(&machine), inside);
    // The next one in the log proves that one.
    let txn = Arc::new(Txn::reconfigure(zxid(1, 4), &third, b"third"));
    assert_eq!(txn.payload(), b"third");
    machine.call(|storage, out| storage.append(txn, out));
    machine.call(|storage, out| storage.sync(out));
    machine.drain();
    let found = membership(&machine);
    assert_eq!(found.active(), &second);
    assert_eq!(found.pending(), Some(&third));
    // And the file proves the last; a cut takes nothing from it.
    machine.call(|storage, out| storage.set_configuration(&third, out));
    machine.drain();
    let (machine, _) = machine.restart();
    let found = membership(&machine);
    assert_eq!((found.active(), found.pending()), (&third, None));
}

#[test]
fn a_cut_takes_a_pending_reconfiguration_with_it() {
    let mut machine = Machine::new();
    machine.accept(1);
    let quorum = crate::QuorumConfig::majority([crate::PeerId(2)]);
    let config = Configuration::new(zxid(1, 2), quorum);
    for txn in [
        Txn::new(zxid(1, 1), Zxid::ZERO, b"1-1"),
        Txn::reconfigure(zxid(1, 1), &config, b""),
    ] {
        machine.call(|storage, out| storage.append(Arc::new(txn), out));
    }
    machine.call(|storage, out| storage.sync(out));
    machine.drain();
    let membership = |machine: &Machine| {
        let offline = recover_offline(&machine.disk.durable()).unwrap();
        offline.membership(&first())
    };
    assert!(membership(&machine).pending().is_some());
    machine.truncate(zxid(1, 1));
    assert_eq!(membership(&machine), first());
}
