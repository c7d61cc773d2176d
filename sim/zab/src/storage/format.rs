//! The small files and the snapshots: their bytes (ZooKeeper: `acceptedEpoch`, `currentEpoch`, `initialize`, `FileSnap`).
//!
//! All integers are little-endian; every piece carries a CRC-32, so that a short, misdirected or rotten read is never taken
//! for what it is not.
//!
//! | file | bytes |
//! | --- | --- |
//! | epoch, marker | magic, checksum, which file, epoch (16) |
//! | configuration | magic, checksum, which file, 0 (16), the configuration |
//! | snapshot | header: magic, checksum, version, generation, zxid (24); the configurations, as a piece (an empty one: the first); per piece: length, checksum (8), piece; trailer: magic, checksum, number of pieces, flags (16) |

use crate::log::{check_seal, seal, u32_at, u64_at};
use crate::membership::{Configuration, Membership};
use crate::{Epoch, FileName, Payload, Zxid};
use std::sync::Arc;

const SMALL: u32 = u32::from_le_bytes(*b"ZEPO");
const SNAPSHOT: u32 = u32::from_le_bytes(*b"ZSNP");
const END: u32 = u32::from_le_bytes(*b"ZEND");
const VERSION: u32 = 1;
const SMALL_LEN: usize = 16;
const SNAPSHOT_HEADER: usize = 24;
const PIECE_HEADER: usize = 8;
const TRAILER: usize = 16;
/// In the trailer: when this snapshot was taken, the log held its own transaction. A cut to it or above leaves that there,
/// and so does purging: without a log something is missing.
const HAS_LOG: u32 = 1;

fn kind_of(file: FileName) -> u32 {
    match file {
        FileName::AcceptedEpoch => 1,
        FileName::CurrentEpoch => 2,
        FileName::Initialized => 3,
        FileName::Configuration => 4,
        _ => unreachable!("{file} is no small file"),
    }
}

/// The content of the configuration's file.
pub(super) fn configuration_file(config: &Configuration) -> Payload {
    let mut bytes = small_file(FileName::Configuration, Epoch(0)).to_vec();
    config.encode(&mut bytes);
    seal(&mut bytes);
    bytes.into()
}

/// The configuration in such a file.
pub(super) fn parse_configuration(bytes: &[u8]) -> Result<Arc<Configuration>, String> {
    let file = FileName::Configuration;
    if bytes.len() < SMALL_LEN {
        let len = bytes.len();
        return Err(format!(
            "{file}: found {len} bytes, expected a configuration"
        ));
    }
    check_small(file, bytes)?;
    match Configuration::decode(&bytes[SMALL_LEN..]) {
        Some((config, [])) => Ok(Arc::new(config)),
        _ => Err(format!(
            "{file}, offset {SMALL_LEN}: found no configuration, expected one"
        )),
    }
}

fn check_small(file: FileName, bytes: &[u8]) -> Result<(), String> {
    let whole = || {
        if u32_at(bytes, 0) != SMALL || u32_at(bytes, 8) != kind_of(file) {
            return Err("another file's content".to_string());
        }
        check_seal(bytes)
    };
    whole().map_err(|found| format!("{file}, offset 0: found {found}"))
}

/// The content of an epoch file, or (with epoch 0) of the marker.
pub(super) fn small_file(file: FileName, epoch: Epoch) -> Payload {
    let mut bytes = Vec::with_capacity(SMALL_LEN);
    bytes.extend_from_slice(&SMALL.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&kind_of(file).to_le_bytes());
    bytes.extend_from_slice(&epoch.0.to_le_bytes());
    seal(&mut bytes);
    bytes.into()
}

/// The epoch in such a file.
pub(super) fn parse_small_file(file: FileName, bytes: &[u8]) -> Result<Epoch, String> {
    if bytes.len() != SMALL_LEN {
        let len = bytes.len();
        return Err(format!("{file}: found {len} bytes, expected {SMALL_LEN}"));
    }
    check_small(file, bytes)?;
    Ok(Epoch(u32_at(bytes, 12)))
}

/// What a snapshot begins with; without configurations, the ensemble has its first.
pub(super) fn snapshot_header(
    generation: u32,
    zxid: Zxid,
    membership: Option<&Membership>,
) -> Payload {
    let mut bytes = Vec::with_capacity(SNAPSHOT_HEADER);
    bytes.extend_from_slice(&SNAPSHOT.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&zxid.0.to_le_bytes());
    seal(&mut bytes);
    let mut piece = Vec::new();
    if let Some(membership) = membership {
        membership.encode(&mut piece);
    }
    bytes.extend_from_slice(&piece_header(&piece));
    bytes.extend_from_slice(&piece);
    bytes.into()
}

/// What stands before each piece.
pub(super) fn piece_header(piece: &[u8]) -> Payload {
    let len = u32::try_from(piece.len()).expect("a piece has less than 4 GiB");
    let mut bytes = [0; PIECE_HEADER];
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes[4..].copy_from_slice(&crc32fast::hash(piece).to_le_bytes());
    bytes.as_slice().into()
}

/// What a snapshot ends with.
pub(super) fn snapshot_trailer(pieces: u32, has_log: bool) -> Payload {
    let mut bytes = Vec::with_capacity(TRAILER);
    bytes.extend_from_slice(&END.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&pieces.to_le_bytes());
    bytes.extend_from_slice(&(if has_log { HAS_LOG } else { 0 }).to_le_bytes());
    seal(&mut bytes);
    bytes.into()
}

/// A whole snapshot in one piece of memory: for formatting.
pub(super) fn empty_snapshot() -> Payload {
    let header = snapshot_header(0, Zxid::ZERO, None);
    [&header[..], &snapshot_trailer(0, false)[..]]
        .concat()
        .into()
}

/// A snapshot as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The configurations as of it; none: the first.
    pub(super) membership: Option<Membership>,
    pub(super) chunks: Vec<Payload>,
    /// Whether there must be a log that holds its own transaction.
    pub(super) has_log: bool,
}

/// Reads a snapshot; an error names file, offset, what was found and what was expected.
pub(super) fn parse_snapshot(
    generation: u32,
    zxid: Zxid,
    bytes: &[u8],
) -> Result<Snapshot, String> {
    let file = FileName::Snapshot { generation, zxid };
    let at_offset = |at: usize, what: String| format!("{file}, offset {at}: {what}");
    if bytes.len() < SNAPSHOT_HEADER + TRAILER {
        let found = bytes.len();
        return Err(at_offset(
            0,
            format!("found {found} bytes, expected a snapshot"),
        ));
    }
    let header = &bytes[..SNAPSHOT_HEADER];
    check_seal(header).map_err(|found| at_offset(0, format!("found {found}")))?;
    let found = (
        u32_at(header, 0),
        u32_at(header, 8),
        u32_at(header, 12),
        u64_at(header, 16),
    );
    if found != (SNAPSHOT, VERSION, generation, zxid.0) {
        return Err(at_offset(0, "found another file's header".into()));
    }
    let end = bytes.len() - TRAILER;
    let trailer = &bytes[end..];
    check_seal(trailer).map_err(|found| at_offset(end, format!("found {found}")))?;
    if u32_at(trailer, 0) != END {
        return Err(at_offset(end, "found no trailer, expected one".into()));
    }
    let mut chunks = parse_pieces(&bytes[..end]).map_err(|(at, what)| at_offset(at, what))?;
    let at = SNAPSHOT_HEADER;
    if chunks.is_empty() {
        return Err(at_offset(
            at,
            "found no configurations, expected some".into(),
        ));
    }
    let membership = match &chunks.remove(0)[..] {
        [] => None,
        piece => Some(
            Membership::decode(piece)
                .ok_or_else(|| at_offset(at, "found no configurations, expected some".into()))?,
        ),
    };
    let (found, expected) = (chunks.len(), u32_at(trailer, 8));
    if found != expected as usize {
        return Err(at_offset(
            end,
            format!("found {found} pieces, expected {expected}"),
        ));
    }
    Ok(Snapshot {
        membership,
        chunks,
        has_log: u32_at(trailer, 12) & HAS_LOG != 0,
    })
}

fn parse_pieces(bytes: &[u8]) -> Result<Vec<Payload>, (usize, String)> {
    let mut chunks = Vec::new();
    let mut at = SNAPSHOT_HEADER;
    while at < bytes.len() {
        if bytes.len() - at < PIECE_HEADER {
            return Err((at, format!("found {} bytes of a piece", bytes.len() - at)));
        }
        let from = at + PIECE_HEADER;
        let len = u32_at(bytes, at) as usize;
        if bytes.len() - from < len {
            let found = bytes.len() - from;
            return Err((at, format!("found {found} of {len} bytes of a piece")));
        }
        let piece = &bytes[from..from + len];
        let (found, sum) = (u32_at(bytes, at + 4), crc32fast::hash(piece));
        if found != sum {
            return Err((
                at,
                format!("found checksum {found:08x}, expected {sum:08x}"),
            ));
        }
        chunks.push(piece.into());
        at = from + len;
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        Membership::initial(crate::QuorumConfig::majority([crate::PeerId(1)]))
    }

    fn snapshot(pieces: &[&[u8]]) -> Vec<u8> {
        let mut bytes = snapshot_header(2, Zxid(7), Some(&membership())).to_vec();
        for piece in pieces {
            bytes.extend_from_slice(&piece_header(piece));
            bytes.extend_from_slice(piece);
        }
        bytes.extend_from_slice(&snapshot_trailer(pieces.len() as u32, true));
        bytes
    }

    #[test]
    fn a_snapshot_comes_back_as_it_was_written() {
        let read = parse_snapshot(2, Zxid(7), &snapshot(&[b"one", b"", b"three"])).unwrap();
        let chunks: Vec<&[u8]> = read.chunks.iter().map(|chunk| &chunk[..]).collect();
        assert_eq!(
            (chunks, read.has_log),
            (vec![&b"one"[..], b"", b"three"], true)
        );
        assert_eq!(read.membership, Some(membership()));
        assert!(
            !parse_snapshot(0, Zxid::ZERO, &empty_snapshot())
                .unwrap()
                .has_log
        );
    }

    #[test]
    fn a_snapshot_with_any_byte_changed_or_cut_is_refused() {
        let bytes = snapshot(&[b"one", b"", b"three"]);
        for at in 0..bytes.len() {
            let mut rotten = bytes.clone();
            rotten[at] ^= 1;
            let error = parse_snapshot(2, Zxid(7), &rotten).unwrap_err();
            assert!(error.starts_with("snapshot.2.7, offset "), "{error}");
            assert!(
                parse_snapshot(2, Zxid(7), &bytes[..at]).is_err(),
                "cut at {at}"
            );
        }
        assert!(parse_snapshot(3, Zxid(7), &bytes).is_err(), "misdirected");
    }

    #[test]
    fn a_small_file_with_any_byte_changed_or_cut_is_refused() {
        let bytes = small_file(FileName::AcceptedEpoch, Epoch(9));
        assert_eq!(
            parse_small_file(FileName::AcceptedEpoch, &bytes),
            Ok(Epoch(9))
        );
        assert!(
            parse_small_file(FileName::CurrentEpoch, &bytes).is_err(),
            "misdirected"
        );
        for at in 0..bytes.len() {
            let mut rotten = bytes.to_vec();
            rotten[at] ^= 1;
            assert!(parse_small_file(FileName::AcceptedEpoch, &rotten).is_err());
            assert!(parse_small_file(FileName::AcceptedEpoch, &bytes[..at]).is_err());
        }
    }

    #[test]
    fn a_configuration_with_any_byte_changed_or_cut_is_refused() {
        let config = membership().active().clone();
        let bytes = configuration_file(&config);
        assert_eq!(parse_configuration(&bytes), Ok(config));
        for at in 0..bytes.len() {
            let mut rotten = bytes.to_vec();
            rotten[at] ^= 1;
            assert!(parse_configuration(&rotten).is_err(), "byte {at}");
            assert!(parse_configuration(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
