//! **Disk-only recovery**: what a restart would make of a server's files alone is the history that its disk operations
//! promised: nothing durable is missing, nothing that was cut is back, and its memory is never ahead of its disk.
//!
//! In full, by `zab`'s own recovery, at every crash and at the end; at changes of role by reading only the bytes that are new
//! since the last look. The rules:
//!
//! * recovery succeeds, unless the disk was damaged;
//! * its tail is the durable tail. A crash may have kept more, up to what was issued, and may have fallen into a truncation or a
//!   change of snapshots, whose operations are then done up to any one of them;
//! * every record is, byte for byte, the one that was appended;
//! * no snapshot lies beyond the tail (a truncation beneath a snapshot, ZOOKEEPER-4837; a snapshot of what was never
//!   committed, ZOOKEEPER-1558);
//! * a server that looks for a leader has applied exactly its durable log, and none ever applies more, but for what is in a
//!   snapshot just received, until that is its database on disk.
//!
//! Where bits are flipped or reads lie, recovery may refuse, and what it makes of the files is not held against the operations.
//! A disk that was wiped is no such: it reads well, as blank.
//!
//! Source: protocol invariant (a) on durable state; ZOOKEEPER-2845, 3642, 2832, 1489, 1264.

use super::CheckId::DiskOnlyRecovery as ID;
use super::decode::{self, Record};
use super::docket::Docket;
use super::history::History;
use super::mirror::{Mirror, Server};
use super::same_zxid_same_digest;
use std::collections::BTreeMap;
use zab::{FileName, Payload, Phase, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "disk-only-recovery";
pub(super) const ABOUT: &str =
    "what a restart would read is the durable history, and memory is never ahead of it.";

/// A server's files.
pub(super) type Files = BTreeMap<FileName, Payload>;

#[derive(Default)]
pub(super) struct DiskOnlyRecovery {
    /// By server: so many bytes of each log were compared.
    looked: Vec<BTreeMap<FileName, u64>>,
    scratch: Vec<Record>,
}

impl DiskOnlyRecovery {
    /// `id` has crashed, and these are the files that it will find. The mirror takes them over.
    pub(super) fn at_crash(&mut self, m: &mut Mirror, d: &mut Docket, id: ServerId, files: &Files) {
        self.forget(id);
        let server = m.server(id);
        let offline = zab::recover_offline(files);
        let read = match &offline {
            Ok(offline) => {
                after_crash(d, server, offline.last);
                self.read(m, d, id, files, offline.snapshot, Some(offline.last))
            }
            Err(reason) => {
                d.require(ID, server.may_misread(), || {
                    format!(
                        "{id} could not restart from its disk, which nothing has damaged: {reason}"
                    )
                });
                self.read(m, d, id, files, Zxid::ZERO, None)
            }
        };
        let epochs = offline.ok().map(|o| (o.accepted, o.current));
        m.server_mut(id).disk.reload(files, read, epochs);
        snapshots_within(d, m.server(id));
    }

    /// `id` has entered another phase while its disk holds these files durably.
    pub(super) fn at_role_change(
        &mut self,
        m: &Mirror,
        d: &mut Docket,
        id: ServerId,
        files: &Files,
    ) {
        let server = m.server(id);
        if server.may_misread() {
            return;
        }
        if server.phase() == Some(Phase::Election) {
            let tail = server.disk.history.durable_tail();
            d.require(ID, server.applied == tail, || {
                format!(
                    "{id} looks for a leader with a tree at {}; a restart would bring it to {tail}",
                    server.applied
                )
            });
        }
        self.look(m, d, id, files);
        snapshots_within(d, server);
    }

    /// The run is over. The tree that a restart would make is compared, too: at crashes the restart itself does that, one
    /// transaction after the other.
    pub(super) fn at_end(&mut self, m: &mut Mirror, d: &mut Docket, id: ServerId, files: &Files) {
        let server = m.server(id);
        if server.may_misread() {
            return;
        }
        self.look(m, d, id, files);
        let offline = match zab::recover_offline(files) {
            Ok(offline) => offline,
            Err(reason) => {
                d.breach(ID, || {
                    format!(
                        "{id} could not restart from its disk, which nothing has damaged: {reason}"
                    )
                });
                return;
            }
        };
        // The files are the durable ones: nothing that is merely written is in them.
        let tail = server.disk.history.durable_tail();
        let (low, high) = server.disk.ends_after_crash();
        let cutting = low < tail || high > server.disk.history.tail();
        let last = offline.last;
        d.require(
            ID,
            last == tail || cutting && low <= last && last <= high,
            || {
                format!(
                    "{id} would restart with a history that ends with {last}; durable is up to {tail}"
                )
            },
        );
        let txns = offline.txns.iter().map(|txn| (txn.zxid, txn.payload()));
        match zabsim_server::digest_of(m.first_configuration(), &offline.chunks, txns) {
            Ok((zxid, digest)) => same_zxid_same_digest::on_applied(m, d, id, zxid, digest),
            Err(reason) => d.breach(ID, || {
                format!(
                    "{id} could not make a tree of its disk, which nothing has damaged: {reason}"
                )
            }),
        }
    }

    /// `id`'s log was cut or replaced: what was compared may be gone.
    pub(super) fn forget(&mut self, id: ServerId) {
        let at = id.0 as usize;
        if at >= self.looked.len() {
            self.looked.resize_with(at + 1, BTreeMap::new);
        }
        self.looked[at].clear();
    }

    /// Compares the log bytes that are new since the last look with what was appended.
    fn look(&mut self, m: &Mirror, d: &mut Docket, id: ServerId, files: &Files) {
        let disk = &m.server(id).disk;
        let history = &disk.history;
        let at = id.0 as usize;
        if at >= self.looked.len() {
            self.forget(id);
        }
        for (name, synced) in history.segments() {
            if disk.is_cutting(name) {
                continue;
            }
            let from = self.looked[at].get(&name).copied().unwrap_or(0);
            let there = files.get(&name).map_or(&[][..], |bytes| bytes);
            d.require(ID, there.len() as u64 >= synced, || {
                format!(
                    "{id}'s {name} has {} durable bytes; {synced} were synced",
                    there.len()
                )
            });
            let Some(new) = there.get(from as usize..synced as usize) else {
                continue;
            };
            self.scratch.clear();
            decode::records(new, &mut self.scratch);
            for record in &self.scratch {
                let same = m.holds(history, record.zxid, record.sum);
                d.require(ID, same, || {
                    format!("{id}'s {name} holds {} in other bytes than were appended, or cut off before", record.zxid)
                });
            }
            self.looked[at].insert(name, synced);
        }
    }

    /// The history in these files: `snapshot` and the records up to `last`; without a `last`, as far as they are known.
    fn read(
        &mut self,
        m: &Mirror,
        d: &mut Docket,
        id: ServerId,
        files: &Files,
        snapshot: Zxid,
        last: Option<Zxid>,
    ) -> History {
        let generation = (files.keys())
            .filter_map(|name| match name {
                FileName::Snapshot { generation, .. } => Some(*generation),
                _ => None,
            })
            .max();
        let generation = generation.unwrap_or(0);
        let damaged = m.server(id).may_misread();
        let mut history: Option<History> = None;
        for (name, bytes) in files {
            match name {
                FileName::Log { generation: g, .. } if *g == generation => {}
                _ => continue,
            }
            self.scratch.clear();
            decode::records(bytes, &mut self.scratch);
            let known = |r: &Record| m.ledger.fact(r.zxid).is_some_and(|f| f.sum == r.sum);
            let all = self.scratch.len();
            let good = (self.scratch.iter())
                .take_while(|r| last.map_or_else(|| known(r), |last| r.zxid <= last))
                .count();
            self.scratch.truncate(good);
            if damaged {
                // Rot beneath the snapshot that recovery starts from is never read.
                self.scratch.retain(|r| r.zxid > snapshot && known(r));
            }
            let whole = self.scratch.len() == all;
            for record in &self.scratch {
                d.require(ID, known(record), || {
                    format!(
                        "{id}'s {name} holds {} in bytes that nobody ever appended",
                        record.zxid
                    )
                });
            }
            let history = history.get_or_insert_with(|| {
                let first = self.scratch.first().filter(|_| !damaged);
                let base = first.map_or(snapshot, |r| r.prev);
                History::read(base, generation)
            });
            let end = match whole {
                true => bytes.len() as u64,
                false => self.scratch.last().map_or(0, |r| r.end),
            };
            history.append(
                *name,
                end,
                self.scratch.iter().map(|r| (r.zxid, r.sum, r.end)),
            );
        }
        history.unwrap_or_else(|| History::read(snapshot, generation))
    }
}

/// What a crash may leave of a history.
fn after_crash(d: &mut Docket, server: &Server, last: Zxid) {
    if server.may_misread() {
        return;
    }
    let (durable, issued) = server.ends_at_crash;
    d.require(ID, durable <= last && last <= issued, || {
        format!(
            "{} would restart with a history that ends with {last}; durable was up to {durable}, written up to {issued}",
            server.id
        )
    });
}

fn snapshots_within(d: &mut Docket, server: &Server) {
    let history = &server.disk.history;
    let beyond = (server.disk.snapshots.iter())
        .rfind(|(g, z)| *g == history.generation() && *z > history.tail());
    d.require(ID, beyond.is_none() || server.may_misread(), || {
        let (_, zxid) = beyond.copied().unwrap_or_default();
        format!(
            "{} keeps a snapshot of {zxid} while its log ends with {}: a restart brings back what was cut",
            server.id,
            history.tail()
        )
    });
}

/// `server` has recovered; it says that its log ends with `last`.
pub(super) fn on_recovered(m: &Mirror, d: &mut Docket, server: ServerId, last: Zxid) {
    let s = m.server(server);
    let tail = s.disk.history.tail();
    d.require(ID, last == tail || s.may_misread(), || {
        format!("{server} has recovered a history that ends with {last}; its disk ends with {tail}")
    });
}

/// `server` says that its log was cut behind `to`, durably.
pub(super) fn on_truncated(m: &Mirror, d: &mut Docket, server: ServerId, to: Zxid) {
    let s = m.server(server);
    let tail = s.disk.history.tail();
    d.require(ID, tail == to, || {
        format!("{server} takes its log for cut behind {to}; its disk ends with {tail}")
    });
    snapshots_within(d, s);
}

/// `server`'s tree has come to `zxid`, by a transaction or by a snapshot that took its place.
#[inline]
pub(super) fn on_applied(m: &Mirror, d: &mut Docket, server: ServerId, zxid: Zxid) {
    let s = m.server(server);
    let tail = s.disk.history.durable_tail();
    let in_memory = s.snap_in_memory.is_some_and(|snap| zxid <= snap);
    d.require(ID, zxid <= tail || in_memory, || {
        format!(
            "{server}'s tree comes to {zxid}; its disk is durable up to {tail}{}",
            match s.snap_in_memory {
                Some(snap) => format!(", and the snapshot it was sent holds what is up to {snap}"),
                None => String::new(),
            }
        )
    });
}
