//! Each line of the disk's failure model, seen to bite.

use super::*;
use proptest::prelude::*;
use zab::{Epoch, Ticket, Zxid};

const LOG: FileName = FileName::Log {
    generation: 0,
    first: Zxid::new(Epoch(1), 1),
};
const NEXT_LOG: FileName = FileName::Log {
    generation: 0,
    first: Zxid::new(Epoch(1), 9),
};
const PART: FileName = FileName::SnapshotPart {
    generation: 0,
    zxid: Zxid::new(Epoch(1), 5),
};
const SNAPSHOT: FileName = FileName::Snapshot {
    generation: 0,
    zxid: Zxid::new(Epoch(1), 5),
};

fn climate() -> Climate {
    Climate {
        link_us: (100, 100),
        client_link_us: (1_000, 1_000),
        fsync_us: (500, 500),
        read_us: (50, 50),
        stage_us: (1, 1),
        restart_us: (1_000, 1_000),
        clock_offset_us_max: 0,
        clock_drift_ppm_max: 0,
    }
}

fn disk(seed: u64) -> Disk {
    Disk::new([], Stream::new(seed, "disk", 1))
}

fn bytes(fill: u8, len: usize) -> Payload {
    vec![fill; len].into()
}

fn append(fill: u8, len: usize) -> DiskOp {
    DiskOp::Append {
        file: LOG,
        bytes: bytes(fill, len),
    }
}

fn sync(ticket: u64) -> DiskOp {
    DiskOp::Sync {
        file: LOG,
        ticket: Ticket(ticket),
    }
}

fn replace(fill: u8, ticket: u64) -> DiskOp {
    DiskOp::Replace {
        file: FileName::CurrentEpoch,
        bytes: bytes(fill, 8),
        ticket: Ticket(ticket),
    }
}

fn read(file: FileName) -> DiskOp {
    DiskOp::Read {
        file,
        ticket: Ticket(99),
    }
}

/// Submits an answered operation and waits for it.
fn done(disk: &mut Disk, op: DiskOp) -> Input {
    let due = disk.submit(Time::ZERO, op, &climate()).expect("answered");
    disk.complete(due)
}

fn put(disk: &mut Disk, op: DiskOp) {
    assert_eq!(disk.submit(Time::ZERO, op, &climate()), None);
}

fn ok(ticket: u64) -> Input {
    Input::DiskDone {
        ticket: Ticket(ticket),
    }
}

fn read_bytes(disk: &mut Disk, file: FileName) -> Option<Payload> {
    match done(disk, read(file)) {
        Input::ReadDone {
            data: DiskData::Bytes(bytes),
            ..
        } => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_synced_survives_and_what_was_only_appended_is_lost() {
    let mut disk = disk(1);
    put(&mut disk, append(1, 700));
    assert_eq!(disk.durable().get(&LOG), None);
    assert_eq!(done(&mut disk, sync(1)), ok(1));
    assert_eq!(disk.durable()[&LOG], bytes(1, 700));

    put(&mut disk, append(2, 300));
    assert_eq!(disk.durable()[&LOG].len(), 700);
    assert_eq!(read_bytes(&mut disk, LOG).map(|b| b.len()), Some(1_000));

    let report = disk.crash(Unsynced::Lost);
    assert_eq!(report.lost_bytes(), 300);
    assert_eq!(
        report.to_string(),
        "log.0.100000001: 300 of 300 unsynced bytes lost"
    );
    assert_eq!(read_bytes(&mut disk, LOG), Some(bytes(1, 700)));
}

#[test]
fn a_sync_covers_what_was_appended_before_it_only() {
    let mut disk = disk(1);
    put(&mut disk, append(1, 100));
    let due = disk.submit(Time(10), sync(1), &climate()).unwrap();
    put(&mut disk, append(2, 100));
    assert_eq!(due, Time(510));
    assert!(
        disk.durable().is_empty(),
        "an fsync under way proves nothing"
    );
    assert_eq!(disk.complete(due), ok(1));
    assert_eq!(disk.durable()[&LOG], bytes(1, 100));
    // The second append has reached the page cache meanwhile.
    assert_eq!(disk.crash(Unsynced::Kept).lost_bytes(), 0);
    assert_eq!(disk.durable()[&LOG].len(), 200);
}

#[test]
fn operations_take_their_time_one_after_the_other() {
    let mut disk = disk(1);
    let weather = climate();
    let first = disk.submit(Time(0), replace(1, 1), &weather).unwrap();
    let second = disk.submit(Time(100), sync(2), &weather).unwrap();
    assert_eq!((first, second), (Time(500), Time(1_000)));
    disk.slow(1, (4_000, 4_000));
    let third = disk.submit(Time(100), replace(2, 3), &weather).unwrap();
    let list = DiskOp::List { ticket: Ticket(4) };
    let fourth = disk.submit(Time(100), list, &weather).unwrap();
    assert_eq!((third, fourth), (Time(5_500), Time(5_550)));
    disk.quicken(1);
    assert_eq!(
        disk.submit(Time(9_000), sync(5), &weather),
        Some(Time(9_500))
    );
    for (due, ticket) in [(first, 1), (second, 2), (third, 3)] {
        assert_eq!(disk.complete(due), ok(ticket));
    }
}

#[test]
#[should_panic(expected = "is due at")]
fn a_completion_before_its_time_is_the_worlds_mistake() {
    let mut disk = disk(1);
    disk.submit(Time(0), replace(1, 1), &climate());
    disk.complete(Time(499));
}

#[test]
fn a_torn_append_ends_at_a_sector_and_those_before_it_are_whole() {
    let mut lengths = BTreeSet::new();
    for seed in 0..40 {
        let mut disk = disk(seed);
        put(&mut disk, append(1, 100));
        put(&mut disk, append(2, 2_000));
        // The sync under way would make the last append whole: it never happens.
        disk.submit(Time::ZERO, sync(1), &climate());
        let report = disk.crash(Unsynced::Torn);
        assert_eq!(report.torn_files(), 1, "{report}");
        let left = &disk.durable()[&LOG];
        assert_eq!(left.len() % SECTOR, 0);
        assert!(left[..100].iter().all(|&b| b == 1) && left[100..].iter().all(|&b| b == 2));
        lengths.insert(left.len());
    }
    assert_eq!(lengths, BTreeSet::from([512, 1_024, 1_536, 2_048]));
}

#[test]
fn a_torn_append_within_one_sector_has_its_length_and_not_its_bytes() {
    let mut disk = disk(1);
    put(&mut disk, append(1, 100));
    assert_eq!(done(&mut disk, sync(1)), ok(1));
    put(&mut disk, append(2, 50));
    put(&mut disk, append(3, 60));
    let report = disk.crash(Unsynced::Torn);
    assert_eq!((report.lost_bytes(), report.torn_files()), (60, 1));
    let expected = [vec![1; 100], vec![2; 50], vec![0; 60]].concat();
    assert_eq!(disk.durable()[&LOG][..], expected);
}

#[test]
fn any_subset_of_the_unsynced_sectors_survives() {
    let (mut holes, mut whole, mut nothing, mut gone) = (0, 0, 0, 0);
    for seed in 0..300 {
        let mut disk = disk(seed);
        for fill in 1..=4 {
            put(&mut disk, append(fill, 700));
        }
        let report = disk.crash(Unsynced::Drawn);
        match disk.durable().get(&LOG) {
            None => gone += 1,
            Some(left) if left.is_empty() => nothing += 1,
            Some(left) if left.len() == 2_800 && !left.contains(&0) => whole += 1,
            Some(left) => {
                let first_hole = left.iter().position(|&b| b == 0);
                holes += u32::from(first_hole.is_some_and(|at| left[at..].iter().any(|&b| b != 0)));
                assert!(report.lost_bytes() > 0, "{report}");
            }
        }
    }
    assert!(
        [holes, whole, nothing, gone]
            .iter()
            .all(|&times| times >= 10),
        "holes {holes}, whole {whole}, empty {nothing}, vanished {gone}"
    );
}

#[test]
fn what_is_under_way_happens_wholly_or_not_at_all_and_in_order() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut disk = disk(seed);
        assert_eq!(done(&mut disk, replace(1, 1)), ok(1));
        put(&mut disk, append(7, 1_000));
        assert_eq!(done(&mut disk, sync(2)), ok(2));
        let weather = climate();
        disk.submit(Time::ZERO, replace(2, 3), &weather);
        let truncate = DiskOp::Truncate {
            file: LOG,
            len: 400,
            ticket: Ticket(4),
        };
        disk.submit(Time::ZERO, truncate, &weather);
        let rename = DiskOp::Rename {
            from: LOG,
            to: NEXT_LOG,
            ticket: Ticket(5),
        };
        disk.submit(Time::ZERO, rename, &weather);
        let delete = DiskOp::Delete {
            file: FileName::CurrentEpoch,
            ticket: Ticket(6),
        };
        disk.submit(Time::ZERO, delete, &weather);
        let report = disk.crash(Unsynced::Drawn);
        assert_eq!(report.carried_out + report.vanished, 4);
        let state: Vec<(String, usize, u8)> = disk
            .durable()
            .iter()
            .map(|(name, bytes)| (name.to_string(), bytes.len(), bytes[0]))
            .collect();
        seen.insert(state);
    }
    let epoch = |fill| ("currentEpoch".to_string(), 8, fill);
    let log = |name: &str, len| (name.to_string(), len, 7);
    assert_eq!(
        seen,
        BTreeSet::from([
            vec![epoch(1), log("log.0.100000001", 1_000)],
            vec![epoch(2), log("log.0.100000001", 1_000)],
            vec![epoch(2), log("log.0.100000001", 400)],
            vec![epoch(2), log("log.0.100000009", 400)],
            vec![log("log.0.100000009", 400)],
        ])
    );
}

#[test]
fn after_a_failed_fsync_nothing_succeeds_and_nothing_unsynced_is_safe() {
    let mut lost = 0;
    for seed in 0..50 {
        let mut disk = disk(seed);
        put(&mut disk, append(1, 600));
        assert_eq!(done(&mut disk, sync(1)), ok(1));
        disk.fail_next_sync();
        put(&mut disk, append(2, 600));
        let error = Input::DiskFailed {
            file: Some(LOG),
            error: DiskError::Io,
        };
        assert_eq!(done(&mut disk, sync(2)), error);
        assert_eq!(
            done(&mut disk, sync(3)),
            error,
            "it must not turn out well later"
        );
        assert!(matches!(
            done(&mut disk, replace(1, 4)),
            Input::DiskFailed { .. }
        ));
        assert_eq!(disk.durable()[&LOG], bytes(1, 600));
        // Even where the machine survives: the kernel has dropped the pages.
        lost += usize::from(disk.crash(Unsynced::Kept).lost_bytes() > 0);
        assert_eq!(disk.durable()[&LOG][..600], bytes(1, 600)[..]);
        // A new process starts afresh.
        assert_eq!(done(&mut disk, replace(3, 1)), ok(1));
    }
    assert!((20..50).contains(&lost), "{lost}");
}

#[test]
fn a_full_disk_takes_a_beginning_of_an_append_and_then_nothing() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let mut disk = disk(seed);
        put(&mut disk, append(1, 10));
        disk.fill(1);
        let weather = climate();
        let append_due = disk.submit(Time(0), append(2, 10), &weather).unwrap();
        let sync_due = disk.submit(Time(0), sync(1), &weather).unwrap();
        disk.empty(1);
        let error = Input::DiskFailed {
            file: Some(LOG),
            error: DiskError::Full,
        };
        assert_eq!(disk.complete(append_due), error);
        assert_eq!(disk.complete(sync_due), error, "its log has a hole");
        disk.crash(Unsynced::Kept);
        lengths.insert(disk.durable()[&LOG].len());
    }
    assert!(lengths.len() > 5 && lengths.contains(&10), "{lengths:?}");
}

#[test]
fn a_full_disk_still_deletes_and_truncates_but_does_not_replace() {
    let mut disk = disk(1);
    put(&mut disk, append(1, 10));
    assert_eq!(done(&mut disk, sync(1)), ok(1));
    disk.fill(1);
    let truncate = DiskOp::Truncate {
        file: LOG,
        len: 4,
        ticket: Ticket(2),
    };
    assert_eq!(done(&mut disk, truncate), ok(2));
    let error = done(&mut disk, replace(1, 3));
    assert!(
        matches!(
            error,
            Input::DiskFailed {
                error: DiskError::Full,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(disk.durable().len(), 1);
}

#[test]
fn a_snapshot_is_there_under_its_name_only_once_it_is_renamed() {
    let mut disk = disk(1);
    for fill in 1..=3 {
        let bytes = bytes(fill, 100);
        put(&mut disk, DiskOp::Append { file: PART, bytes });
    }
    let ticket = Ticket(1);
    assert_eq!(done(&mut disk, DiskOp::Sync { file: PART, ticket }), ok(1));
    assert_eq!(disk.durable().keys().collect::<Vec<_>>(), [&PART]);
    let rename = DiskOp::Rename {
        from: PART,
        to: SNAPSHOT,
        ticket,
    };
    assert_eq!(done(&mut disk, rename), ok(1));
    assert_eq!(disk.durable().keys().collect::<Vec<_>>(), [&SNAPSHOT]);
    assert_eq!(disk.durable()[&SNAPSHOT].len(), 300);
    let list = done(&mut disk, DiskOp::List { ticket });
    let data = DiskData::Files(vec![SNAPSHOT]);
    assert_eq!(list, Input::ReadDone { ticket, data });
}

#[test]
fn rot_flips_one_bit_of_the_named_file_and_says_which() {
    let mut disk = disk(3);
    assert_eq!(done(&mut disk, replace(0, 1)), ok(1));
    put(&mut disk, append(0, 2_000));
    assert_eq!(
        disk.rot(Some("log.")),
        None,
        "unsynced bytes are not the disk's yet"
    );
    assert_eq!(done(&mut disk, sync(2)), ok(2));
    assert_eq!(disk.rot(Some("snapshot.")), None);
    assert!(!disk.is_rotten());

    let what = disk.rot(Some("log.")).expect("there is a log");
    assert_eq!(what, "bit 6 of byte 1535 of log.0.100000001 (2000 bytes)");
    let flipped = |disk: &mut Disk| -> u32 {
        let files = disk.durable().values();
        files.flat_map(|b| b.iter()).map(|b| b.count_ones()).sum()
    };
    assert_eq!(flipped(&mut disk), 1);
    assert_eq!(disk.durable()[&LOG][1_535], 1 << 6);
    disk.crash(Unsynced::Lost);
    assert_eq!(flipped(&mut disk), 1, "a restart does not heal it");
    assert!(disk.is_rotten());
    let cut = |len| DiskOp::Truncate {
        file: LOG,
        len,
        ticket: Ticket(3),
    };
    done(&mut disk, cut(1_536));
    assert!(disk.is_rotten());
    done(&mut disk, cut(1_535));
    assert!(!disk.is_rotten());
}

#[test]
fn a_bad_read_is_bad_once() {
    let (mut short, mut wrong) = (0, 0);
    for seed in 0..100 {
        let mut disk = disk(seed);
        assert_eq!(done(&mut disk, replace(9, 1)), ok(1));
        put(&mut disk, append(1, 3_000));
        assert_eq!(done(&mut disk, sync(2)), ok(2));
        disk.bad_read_next(true);
        for _ in 0..6 {
            assert_eq!(
                read_bytes(&mut disk, LOG),
                Some(bytes(1, 3_000)),
                "not before the next start"
            );
        }
        disk.crash(Unsynced::Lost);
        let mut bad = 0;
        for _ in 0..6 {
            let got = read_bytes(&mut disk, LOG).expect("it is there");
            if got == bytes(1, 3_000) {
                continue;
            }
            bad += 1;
            match got.len() {
                3_000 => wrong += 1,
                len => {
                    assert!(len < 3_000);
                    short += 1;
                }
            }
        }
        assert_eq!(bad, 1);
        assert_eq!(disk.durable()[&LOG], bytes(1, 3_000));
    }
    assert!(short > 20 && wrong > 20, "short {short}, wrong {wrong}");
}

#[test]
fn a_bad_read_is_over_with_the_first_write() {
    for seed in 0..20 {
        let mut disk = disk(seed);
        assert_eq!(done(&mut disk, replace(9, 1)), ok(1));
        disk.crash(Unsynced::Lost);
        disk.bad_read_next(true);
        assert_eq!(done(&mut disk, replace(8, 1)), ok(1));
        disk.crash(Unsynced::Lost);
        for _ in 0..6 {
            let read = read_bytes(&mut disk, FileName::CurrentEpoch);
            assert_eq!(read, Some(bytes(8, 8)));
        }
    }
}

#[test]
fn a_wiped_disk_is_empty_and_works() {
    let mut disk = disk(1);
    put(&mut disk, append(1, 10));
    disk.submit(Time::ZERO, sync(1), &climate());
    disk.wipe();
    assert!(disk.durable().is_empty());
    assert_eq!(read_bytes(&mut disk, LOG), None);
    assert_eq!(done(&mut disk, replace(1, 1)), ok(1));
}

#[test]
fn the_same_stream_has_the_same_fate() {
    let run = || {
        let mut disk = disk(11);
        for fill in 0..20 {
            put(&mut disk, append(fill, 333));
        }
        let report = disk.crash(Unsynced::Drawn);
        (report, disk.durable().clone())
    };
    assert_eq!(run(), run());
}

/// What the proptest does to a disk.
#[derive(Clone, Debug)]
enum Do {
    Append { log: bool, len: usize },
    Sync { log: bool },
    Complete,
    Crash(Unsynced),
}

fn doing() -> impl Strategy<Value = Do> {
    prop_oneof![
        5 => (any::<bool>(), 0..1_500_usize).prop_map(|(log, len)| Do::Append { log, len }),
        3 => any::<bool>().prop_map(|log| Do::Sync { log }),
        2 => Just(Do::Complete),
        1 => prop_oneof![
            Just(Unsynced::Drawn), Just(Unsynced::Lost), Just(Unsynced::Kept), Just(Unsynced::Torn)
        ].prop_map(Do::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// After any crash a file begins with what was durable, and each byte behind is the one appended there, or zero.
    #[test]
    fn a_crash_leaves_the_durable_beginning_and_only_appended_bytes(seed: u64, script in prop::collection::vec(doing(), 1..60)) {
        let mut disk = disk(seed);
        let mut appended: BTreeMap<FileName, Vec<u8>> = BTreeMap::new();
        let mut under_way = VecDeque::new();
        let mut fill = 0_u8;
        for step in script {
            let file = |log| if log { LOG } else { PART };
            match step {
                Do::Append { log, len } => {
                    fill = fill % 250 + 1;
                    appended.entry(file(log)).or_default().extend(vec![fill; len]);
                    put(&mut disk, DiskOp::Append { file: file(log), bytes: bytes(fill, len) });
                }
                Do::Sync { log } => {
                    let op = DiskOp::Sync { file: file(log), ticket: Ticket(1) };
                    under_way.extend(disk.submit(Time::ZERO, op, &climate()));
                }
                Do::Complete => {
                    if let Some(due) = under_way.pop_front() {
                        prop_assert_eq!(disk.complete(due), ok(1));
                    }
                }
                Do::Crash(unsynced) => {
                    under_way.clear();
                    let before = disk.durable().clone();
                    disk.crash(unsynced);
                    let after = disk.durable().clone();
                    for (name, durable) in &before {
                        prop_assert!(after[name].starts_with(durable));
                        if unsynced == Unsynced::Lost {
                            prop_assert_eq!(&after[name], durable);
                        }
                    }
                    for (name, now) in &after {
                        let durable = before.get(name).map_or(0, |b| b.len());
                        let all = &appended[name];
                        prop_assert!(now.len() <= all.len());
                        prop_assert!((durable..now.len()).all(|i| now[i] == all[i] || now[i] == 0));
                        if unsynced == Unsynced::Kept {
                            prop_assert_eq!(&now[..], &all[..]);
                        }
                    }
                    appended = after.iter().map(|(&name, b)| (name, b.to_vec())).collect();
                }
            }
            // The view that grows is the view made anew.
            let fresh: BTreeMap<FileName, Payload> = disk.files.iter()
                .filter(|(_, f)| f.is_linked()).map(|(&n, f)| (n, f.durable().into())).collect();
            prop_assert_eq!(disk.durable(), &fresh);
        }
    }
}
