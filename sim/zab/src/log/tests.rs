//! Every way in which a segment can be bad, and what is made of it.

use super::*;

const FIRST: Zxid = Zxid(0x1_0000_0001);

fn zxid(counter: u32) -> Zxid {
    Zxid::new(crate::Epoch(1), counter)
}

fn txn(counter: u32) -> Txn {
    Txn::new(
        zxid(counter),
        zxid(counter - 1),
        format!("payload {counter}").as_bytes(),
    )
}

fn expect(last: bool) -> Expect {
    Expect {
        generation: 3,
        first: FIRST,
        after: Zxid::ZERO,
        successor: (!last).then_some(zxid(5)),
    }
}

/// Three batches: 1 and 2, then 3, then 4; with the marks that a server writes between them. Also the frames' offsets.
fn segment() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut offsets = Vec::new();
    put_segment_header(&mut bytes, 3, FIRST);
    for counter in 1..=4 {
        if counter > 2 {
            let len = bytes.len() as u64;
            put_mark(&mut bytes, len, len);
        }
        offsets.push(bytes.len());
        bytes.extend_from_slice(&txn(counter).record);
    }
    (bytes, offsets)
}

fn tails(bytes: &[u8]) -> Zxid {
    scan(bytes, &expect(true)).unwrap().tail
}

#[test]
fn a_segment_comes_back_as_it_was_written() {
    let (bytes, _) = segment();
    let read = scan(&bytes, &expect(false)).unwrap();
    let written: Vec<Arc<Txn>> = (1..=4).map(|counter| Arc::new(txn(counter))).collect();
    assert_eq!((read.txns, read.tail), (written, zxid(4)));
    assert_eq!((read.len, read.torn), (bytes.len() as u64, 0));
    let later = scan(
        &bytes,
        &Expect {
            after: zxid(3),
            ..expect(false)
        },
    )
    .unwrap();
    assert_eq!(later.txns, [Arc::new(txn(4))]);
    assert_eq!(txn(4).payload(), b"payload 4");
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_the_last_whole_record() {
    let (bytes, offsets) = segment();
    let ends: Vec<usize> = (1..=4)
        .map(|c| offsets[c - 1] + txn(c as u32).record.len())
        .collect();
    for len in 0..bytes.len() {
        let read = scan(&bytes[..len], &expect(true)).unwrap();
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(read.txns.len(), whole, "cut at {len}");
        assert_eq!(read.tail, zxid(whole as u32));
        assert_eq!(read.len + read.torn, len as u64);
    }
}

#[test]
fn a_segment_with_a_successor_is_never_torn() {
    let (bytes, offsets) = segment();
    let error = scan(&bytes[..bytes.len() - 1], &expect(false)).unwrap_err();
    assert!(
        error.starts_with("log.3.100000001, offset 183: found 36 of 37 bytes of a record"),
        "{error}"
    );
    assert!(error.contains("a later segment says"), "{error}");
    assert!(scan(&[], &expect(false)).is_err());
    let error = scan(&bytes[..offsets[3] - MARK_LEN], &expect(false)).unwrap_err();
    assert!(
        error.contains("found it to end at ⟨1,3⟩, expected it to end right before ⟨1,5⟩"),
        "{error}"
    );
}

/// Bit rot in what a mark declares durable is refused, at every single byte of it.
#[test]
fn damage_below_a_mark_is_refused() {
    let (bytes, offsets) = segment();
    let last_mark = offsets[3] - MARK_LEN;
    for at in 0..last_mark {
        let mut rotten = bytes.clone();
        rotten[at] ^= 0x10;
        let error = scan(&rotten, &expect(true)).unwrap_err();
        assert!(
            error.contains("offset") && error.contains("expected"),
            "{error}"
        );
    }
}

/// The scenario that forces the marks: 3 and 4 were appended but never fsynced, the crash lost the sectors of 3 and kept
/// those of 4. Nothing was promised, so nothing is wrong.
#[test]
fn an_unsynced_hole_before_a_good_record_is_cut() {
    let mut bytes = Vec::new();
    put_segment_header(&mut bytes, 3, FIRST);
    bytes.extend_from_slice(&txn(1).record);
    let len = bytes.len();
    put_mark(&mut bytes, len as u64, len as u64);
    bytes.extend_from_slice(&txn(2).record);
    let hole = bytes.len();
    bytes.resize(hole + txn(3).record.len(), 0);
    bytes.extend_from_slice(&txn(4).record);
    let read = scan(&bytes, &expect(true)).unwrap();
    assert_eq!((read.tail, read.len), (zxid(2), hole as u64));
    assert_eq!(read.torn, (bytes.len() - hole) as u64);
    // Had a mark behind them declared them durable, it would be damage.
    let at = bytes.len() as u64;
    put_mark(&mut bytes, at, at);
    let error = scan(&bytes, &expect(true)).unwrap_err();
    assert!(
        error.contains(&format!(
            "offset {hole}: found 00000000 where a frame begins"
        )),
        "{error}"
    );
}

#[test]
fn a_payload_that_looks_like_a_mark_is_none() {
    let mut image = Vec::new();
    put_mark(&mut image, 0, u64::MAX);
    let mut bytes = Vec::new();
    put_segment_header(&mut bytes, 3, FIRST);
    bytes.extend_from_slice(&txn(1).record);
    let torn_at = bytes.len();
    bytes.extend_from_slice(&Txn::new(zxid(2), zxid(1), &image).record);
    bytes[torn_at + 9] ^= 1;
    assert_eq!(
        tails(&bytes),
        zxid(1),
        "the torn record is cut, not refused"
    );
}

#[test]
fn a_missing_record_is_refused() {
    let mut bytes = Vec::new();
    put_segment_header(&mut bytes, 3, FIRST);
    bytes.extend_from_slice(&txn(1).record);
    let at = bytes.len();
    bytes.extend_from_slice(&txn(3).record);
    let error = scan(&bytes, &expect(true)).unwrap_err();
    let expected = format!(
        "log.3.100000001, offset {at}: found ⟨1,3⟩ after ⟨1,2⟩, expected the successor of ⟨1,1⟩: a transaction is missing"
    );
    assert_eq!(error, expected);
}

#[test]
fn another_segment_under_this_name_is_refused() {
    let (bytes, _) = segment();
    let other = Expect {
        generation: 4,
        ..expect(true)
    };
    let error = scan(&bytes, &other).unwrap_err();
    assert!(
        error.contains("version 1, generation 3, first ⟨1,1⟩"),
        "{error}"
    );
}

#[test]
fn zxids_follow_each_other_within_an_epoch_and_across() {
    let z = |epoch, counter| Zxid::new(crate::Epoch(epoch), counter);
    assert!(follows(z(1, 4), z(1, 5)) && follows(z(1, 4), z(3, 1)) && follows(Zxid::ZERO, z(0, 1)));
    assert!(!follows(z(1, 4), z(1, 6)), "a gap");
    assert!(!follows(z(1, 4), z(2, 2)), "an epoch begins with 1");
    assert!(!follows(z(2, 4), z(1, 5)), "an epoch never goes back");
    assert!(!follows(z(1, 4), z(1, 4)) && !follows(z(1, u32::MAX), z(2, 0)));
}

#[test]
fn the_end_of_a_record_is_found() {
    let (bytes, offsets) = segment();
    let end = end_of(&bytes, &expect(true), zxid(2)).unwrap();
    assert_eq!(end as usize, offsets[2] - MARK_LEN);
    assert_eq!(tails(&bytes[..end as usize]), zxid(2));
    let error = end_of(&bytes, &expect(true), zxid(9)).unwrap_err();
    assert_eq!(error, "log.3.100000001: ⟨1,9⟩ is not in it");
}
