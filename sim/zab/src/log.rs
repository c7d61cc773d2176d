//! The bytes of the transaction log (ZooKeeper: `FileTxnLog`), and the judgement of what a crash may have left of them.
//!
//! A segment is a header and then frames; all integers are little-endian, every checksum is CRC-32.
//!
//! | what | bytes |
//! | --- | --- |
//! | header | magic, checksum, version, generation, first (24) |
//! | record | magic, checksum, zxid, previous zxid, length of the payload (28), payload |
//! | reconfiguration | as a record, but for the magic; the payload: length of the configuration (4), configuration, payload |
//! | mark | magic, checksum, its own offset, durable (24) |
//!
//! A **record** is the same on every server and carries the zxid before it, so that a hole shows (**BASE**; ZooKeeper does
//! not notice a lost middle file). A **mark** is this server's own: "when I was written, the first `durable` bytes of this
//! file had been fsynced". Marks are what tells the two ways apart in which a record can be bad. Unsynced writes may be lost
//! *in any subset* by an honest crash: a bad record, even one followed by good ones, then only means that nothing from there
//! on was ever acknowledged, and is cut. But bytes that a later mark declares durable must be there: the disk has damaged
//! what this server promised to keep, and it must not vote on the rest. A segment that has a successor is wholly durable,
//! because the successor is only begun after the last fsync of its predecessor.
//!
//! What remains invisible: damage to the very last batch that was fsynced, as no mark tells of it yet.

use crate::membership::Configuration;
use crate::{FileName, Txn, Zxid};
use std::sync::Arc;

const SEGMENT: u32 = u32::from_le_bytes(*b"ZLOG");
const RECORD: u32 = u32::from_le_bytes(*b"ZREC");
const RECONFIG: u32 = u32::from_le_bytes(*b"ZCFG");
const MARK: u32 = u32::from_le_bytes(*b"ZMRK");
const VERSION: u32 = 1;

/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 24;
const RECORD_HEADER: usize = 28;
/// Bytes of a mark.
pub(crate) const MARK_LEN: usize = 24;

impl Txn {
    /// Encodes a transaction: the leader does it once, and every server keeps these very bytes.
    pub fn new(zxid: Zxid, prev: Zxid, payload: &[u8]) -> Txn {
        Txn::encode(RECORD, zxid, prev, &[payload])
    }

    /// Encodes a transaction that makes `config` the ensemble's configuration.
    pub fn reconfigure(prev: Zxid, config: &Configuration, payload: &[u8]) -> Txn {
        let mut body = Vec::new();
        config.encode(&mut body);
        let len = u32::try_from(body.len()).expect("a configuration has less than 4 GiB");
        Txn::encode(
            RECONFIG,
            config.version(),
            prev,
            &[&len.to_le_bytes(), &body, payload],
        )
    }

    fn encode(magic: u32, zxid: Zxid, prev: Zxid, parts: &[&[u8]]) -> Txn {
        assert!(zxid > prev, "{zxid} does not come after {prev}");
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut record = Vec::with_capacity(RECORD_HEADER + len);
        let len = u32::try_from(len).expect("a transaction has less than 4 GiB");
        record.extend_from_slice(&magic.to_le_bytes());
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&zxid.0.to_le_bytes());
        record.extend_from_slice(&prev.0.to_le_bytes());
        record.extend_from_slice(&len.to_le_bytes());
        for part in parts {
            record.extend_from_slice(part);
        }
        seal(&mut record);
        Txn {
            zxid,
            prev,
            record: record.into(),
        }
    }

    /// The application's part of the record.
    pub fn payload(&self) -> &[u8] {
        let body = &self.record[RECORD_HEADER..];
        if self.is_reconfiguration() {
            &body[4 + u32_at(body, 0) as usize..]
        } else {
            body
        }
    }

    /// Whether this transaction changes the configuration.
    pub fn is_reconfiguration(&self) -> bool {
        u32_at(&self.record, 0) == RECONFIG
    }

    /// The configuration that this transaction makes, if it makes one.
    pub fn configuration(&self) -> Option<Arc<Configuration>> {
        if !self.is_reconfiguration() {
            return None;
        }
        let (config, _) = Configuration::decode(&self.record[RECORD_HEADER + 4..])
            .expect("whoever made the record, or read it, made sure");
        Some(Arc::new(config))
    }
}

/// Whether `zxid` may stand right behind `prev`: the next of its epoch, or the first of a later one (ZooKeeper 3.9.4 refuses
/// a gap inside an epoch; the chain of `prev` finds the others).
pub(crate) fn follows(prev: Zxid, zxid: Zxid) -> bool {
    if zxid.epoch() == prev.epoch() {
        zxid.counter() == prev.counter().wrapping_add(1) && zxid.counter() != 0
    } else {
        zxid.epoch() > prev.epoch() && zxid.counter() == 1
    }
}

/// The first zxid that a segment may hold whose predecessor is `tail`. Its name tells what must come before it.
pub(crate) const fn first_after(tail: Zxid) -> Zxid {
    Zxid(tail.0 + 1)
}

/// Appends a segment's header.
pub(crate) fn put_segment_header(bytes: &mut Vec<u8>, generation: u32, first: Zxid) {
    let from = bytes.len();
    bytes.extend_from_slice(&SEGMENT.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&first.0.to_le_bytes());
    seal(&mut bytes[from..]);
}

/// Appends a mark that will stand at `offset`: the first `durable` bytes are durable.
pub(crate) fn put_mark(bytes: &mut Vec<u8>, offset: u64, durable: u64) {
    let from = bytes.len();
    bytes.extend_from_slice(&MARK.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&durable.to_le_bytes());
    seal(&mut bytes[from..]);
}

/// Writes the checksum of everything behind it into bytes 4 to 8.
pub(crate) fn seal(bytes: &mut [u8]) {
    let sum = crc32fast::hash(&bytes[8..]);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// The inverse of [`seal`]: what is wrong, if anything.
pub(crate) fn check_seal(bytes: &[u8]) -> Result<(), String> {
    let (found, sum) = (u32_at(bytes, 4), crc32fast::hash(&bytes[8..]));
    if found == sum {
        return Ok(());
    }
    Err(format!("checksum {found:08x}, expected {sum:08x}"))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// A frame that checks out.
enum Frame<'a> {
    Mark,
    Record {
        zxid: Zxid,
        prev: Zxid,
        record: &'a [u8],
    },
}

/// Reads the frame at `at`; where there is none, says what is there instead.
fn frame_at(bytes: &[u8], at: usize) -> Result<(Frame<'_>, usize), String> {
    let rest = &bytes[at..];
    if rest.len() < 4 {
        return Err(format!("{} bytes of a frame", rest.len()));
    }
    match u32_at(rest, 0) {
        MARK => mark_at(bytes, at).map(|_| (Frame::Mark, at + MARK_LEN)),
        RECORD | RECONFIG => {
            let record = record_in(rest)?;
            check_configuration(record)?;
            let frame = Frame::Record {
                zxid: Zxid(u64_at(record, 8)),
                prev: Zxid(u64_at(record, 16)),
                record,
            };
            Ok((frame, at + record.len()))
        }
        other => Err(format!("{other:08x} where a frame begins")),
    }
}

fn record_in(rest: &[u8]) -> Result<&[u8], String> {
    if rest.len() < RECORD_HEADER {
        return Err(format!("{} bytes of a record's header", rest.len()));
    }
    let len = RECORD_HEADER + u32_at(rest, 24) as usize;
    if rest.len() < len {
        return Err(format!("{} of {len} bytes of a record", rest.len()));
    }
    check_seal(&rest[..len]).map(|()| &rest[..len])
}

/// A record that claims to hold a configuration holds that of its own number.
fn check_configuration(record: &[u8]) -> Result<(), String> {
    if u32_at(record, 0) != RECONFIG {
        return Ok(());
    }
    let body = record.get(RECORD_HEADER + 4..).unwrap_or_default();
    match Configuration::decode(body) {
        Some((config, rest))
            if config.version().0 == u64_at(record, 8)
                && body.len() - rest.len() == u32_at(record, RECORD_HEADER) as usize =>
        {
            Ok(())
        }
        _ => Err("a reconfiguration that holds no configuration".into()),
    }
}

/// The mark at `at`: how many bytes it declares durable. A mark names its own offset, so that a payload that happens to hold
/// the image of a log cannot pass for one.
fn mark_at(bytes: &[u8], at: usize) -> Result<u64, String> {
    let Some(mark) = bytes.get(at..at + MARK_LEN) else {
        return Err(format!("{} bytes of a mark", bytes.len() - at));
    };
    check_seal(mark)?;
    if u64_at(mark, 8) != at as u64 {
        return Err(format!("a mark of offset {}", u64_at(mark, 8)));
    }
    Ok(u64_at(mark, 16))
}

/// How many bytes the marks behind `from` declare durable.
fn durable_by_marks(bytes: &[u8], from: usize) -> u64 {
    let magic = MARK.to_le_bytes();
    let marks = (from..bytes.len().saturating_sub(MARK_LEN - 1))
        .filter(|at| bytes[*at..].starts_with(&magic))
        .filter_map(|at| mark_at(bytes, at).ok());
    marks.max().unwrap_or(0)
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The records after the zxid asked for, in order, each the successor of the one before.
    pub(crate) txns: Vec<Arc<Txn>>,
    /// The last record of the segment; without any, the zxid before the segment.
    pub(crate) tail: Zxid,
    /// Bytes that are good; 0 where not even the header is.
    pub(crate) len: u64,
    /// Bytes behind them, never acknowledged: to be cut.
    pub(crate) torn: u64,
}

/// Which segment is read, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    /// Of the segment's name.
    pub(crate) generation: u32,
    /// Of the segment's name.
    pub(crate) first: Zxid,
    /// Only records after this are wanted; those before are checked all the same.
    pub(crate) after: Zxid,
    /// The name of the segment behind it, which tells where this one ends. Only the last one may have a torn tail.
    pub(crate) successor: Option<Zxid>,
}

impl Expect {
    pub(crate) fn file(&self) -> FileName {
        FileName::Log {
            generation: self.generation,
            first: self.first,
        }
    }
}

/// Reads a segment. A torn tail is measured; anything else that is wrong is an error that names file, offset, what was
/// found and what was expected.
pub(crate) fn scan(bytes: &[u8], expect: &Expect) -> Result<Segment, String> {
    let mut segment = Segment {
        txns: Vec::new(),
        tail: Zxid(expect.first.0.saturating_sub(1)),
        len: 0,
        torn: 0,
    };
    if let Err(found) = check_segment_header(bytes, expect) {
        return tear(segment, bytes, 0, expect, &found);
    }
    let mut at = SEGMENT_HEADER;
    while at < bytes.len() {
        match frame_at(bytes, at) {
            Ok((frame, next)) => {
                if let Frame::Record { zxid, prev, record } = frame {
                    take(&mut segment, zxid, prev, record, at, expect)?;
                }
                at = next;
            }
            Err(found) => return tear(segment, bytes, at, expect, &found),
        }
    }
    segment.len = at as u64;
    match expect.successor {
        Some(next) if first_after(segment.tail) != next => Err(format!(
            "{}: found it to end at {}, expected it to end right before {next}, where the next segment begins: \
             something is missing",
            expect.file(),
            segment.tail
        )),
        _ => Ok(segment),
    }
}

fn take(
    segment: &mut Segment,
    zxid: Zxid,
    prev: Zxid,
    record: &[u8],
    at: usize,
    expect: &Expect,
) -> Result<(), String> {
    let tail = segment.tail;
    if prev != tail || !follows(prev, zxid) {
        return Err(format!(
            "{}, offset {at}: found {zxid} after {prev}, expected the successor of {tail}: a transaction is missing",
            expect.file()
        ));
    }
    segment.tail = zxid;
    if zxid > expect.after {
        segment.txns.push(Arc::new(Txn {
            zxid,
            prev,
            record: record.into(),
        }));
    }
    Ok(())
}

fn check_segment_header(bytes: &[u8], expect: &Expect) -> Result<(), String> {
    if bytes.len() < SEGMENT_HEADER {
        return Err(format!("{} bytes of a segment's header", bytes.len()));
    }
    let header = &bytes[..SEGMENT_HEADER];
    if u32_at(header, 0) != SEGMENT {
        return Err(format!("{:08x} where a segment begins", u32_at(header, 0)));
    }
    check_seal(header)?;
    let found = (
        u32_at(header, 8),
        u32_at(header, 12),
        Zxid(u64_at(header, 16)),
    );
    if found != (VERSION, expect.generation, expect.first) {
        let (version, generation, first) = found;
        return Err(format!(
            "the header of version {version}, generation {generation}, first {first}"
        ));
    }
    Ok(())
}

/// Decides what a bad frame at `at` means.
fn tear(
    mut segment: Segment,
    bytes: &[u8],
    at: usize,
    expect: &Expect,
    found: &str,
) -> Result<Segment, String> {
    let file = expect.file();
    if expect.successor.is_some() {
        return Err(format!(
            "{file}, offset {at}: found {found}, expected a frame: a later segment says that all {} bytes were durable",
            bytes.len()
        ));
    }
    let durable = durable_by_marks(bytes, at);
    if durable > at as u64 {
        return Err(format!(
            "{file}, offset {at}: found {found}, expected a frame: a later mark says that {durable} bytes were durable"
        ));
    }
    segment.len = at as u64;
    segment.torn = (bytes.len() - at) as u64;
    Ok(segment)
}

/// The offset behind the record `zxid`; an error where it is not in the segment.
pub(crate) fn end_of(bytes: &[u8], expect: &Expect, zxid: Zxid) -> Result<u64, String> {
    check_segment_header(bytes, expect)
        .map_err(|found| format!("{}, offset 0: found {found}", expect.file()))?;
    let mut at = SEGMENT_HEADER;
    while at < bytes.len() {
        let (frame, next) = frame_at(bytes, at)
            .map_err(|found| format!("{}, offset {at}: found {found}", expect.file()))?;
        match frame {
            Frame::Record { zxid: here, .. } if here == zxid => return Ok(next as u64),
            Frame::Record { zxid: here, .. } if here > zxid => break,
            _ => at = next,
        }
    }
    Err(format!("{}: {zxid} is not in it", expect.file()))
}

#[cfg(test)]
mod tests;
