//! An ensemble of three played by hand: every line is one thing that a server does, and the checks see nothing else. The
//! primitives do what is right; a test that wants a violation leaves one out, or does another in its place.

use super::{Checks, Facts, Observed};
use crate::judge::Harm;
use std::collections::BTreeMap;
use std::sync::Arc;
use zab::{
    DiskOp, Epoch, FileName, Message, Note, Payload, PeerId, PeerState, Phase, Role, Ticket, Txn,
    Zxid,
};
use zabsim_server::{ConnId, TxnBody};
use zabsim_types::{ErrorCode, ServerId, SessionId, Time, Xid};

pub(super) const S1: ServerId = ServerId(1);
pub(super) const S2: ServerId = ServerId(2);
pub(super) const S3: ServerId = ServerId(3);

/// The configuration that the ensemble keeps.
pub(super) fn first() -> Arc<zab::Membership> {
    let quorum = zab::QuorumConfig::majority([S1, S2, S3].map(|id| PeerId(id.0)));
    Arc::new(zab::Membership::initial(quorum))
}

pub(super) fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// One server, as the testbed remembers it.
#[derive(Clone, Default)]
struct Host {
    log: Vec<Arc<Txn>>,
    applied: usize,
    /// Bytes of the log file, and how many are synced.
    bytes: Vec<u8>,
    synced: usize,
    accepted: u32,
    current: u32,
    tickets: u64,
    unsynced_tail: usize,
    /// A new disk, not marked as fit to vote.
    blank: bool,
}

pub(super) struct Bed {
    pub(super) checks: Checks,
    hosts: BTreeMap<ServerId, Host>,
    now: u64,
    /// Whether trees have the digests that the service gives them; else a digest is the zxid.
    pub(super) real_digests: bool,
}

pub(super) const LOG: FileName = FileName::Log {
    generation: 0,
    first: Zxid(1),
};

impl Bed {
    /// Three servers on fresh disks, running, looking for a leader.
    pub(super) fn new() -> Bed {
        Bed::of(zab::QuorumConfig::majority(
            [S1, S2, S3].map(|id| PeerId(id.0)),
        ))
    }

    /// The same, whose votes count so.
    pub(super) fn of(quorum: zab::QuorumConfig) -> Bed {
        let ids = [S1, S2, S3];
        let mut bed = Bed {
            checks: Checks::new(Facts {
                joiners: [].into(),
                first_configuration: None,
                quorum,
            }),
            hosts: ids.map(|id| (id, Host::default())).into(),
            now: 0,
            real_digests: false,
        };
        for id in ids {
            bed.boot(id);
        }
        bed
    }

    pub(super) fn see(&mut self, id: ServerId, observed: Observed<'_>) {
        self.now += 1_000;
        self.checks.observe(Time(self.now), id, &observed);
    }

    pub(super) fn note(&mut self, id: ServerId, note: Note) {
        self.see(id, Observed::Zab(&note));
    }

    pub(super) fn send(&mut self, id: ServerId, to: ServerId, message: Message) {
        let message = &message;
        self.see(id, Observed::Sent { to, message });
    }

    pub(super) fn role(
        &mut self,
        id: ServerId,
        state: PeerState,
        phase: Phase,
        epoch: u32,
        leader: Option<ServerId>,
    ) {
        let role = Role {
            state,
            phase,
            epoch: Epoch(epoch),
            leader: leader.map(|l| PeerId(l.0)),
        };
        self.see(id, Observed::Role(&role));
        let files = self.files(id);
        self.checks.at_role_change(Time(self.now), id, &files);
    }

    /// Issues an operation that is answered, without finishing it.
    pub(super) fn issue(&mut self, id: ServerId, op: impl FnOnce(Ticket) -> DiskOp) -> Ticket {
        let host = self.host(id);
        host.tickets += 1;
        let ticket = Ticket(host.tickets);
        self.see(id, Observed::Disk(&op(ticket)));
        ticket
    }

    /// Issues an operation and finishes it.
    pub(super) fn disk(&mut self, id: ServerId, op: impl FnOnce(Ticket) -> DiskOp) {
        let ticket = self.issue(id, op);
        self.see(id, Observed::DiskDone(ticket));
    }

    fn host(&mut self, id: ServerId) -> &mut Host {
        self.hosts.get_mut(&id).expect("one of three")
    }

    pub(super) fn tail(&self, id: ServerId) -> Zxid {
        self.hosts[&id].log.last().map_or(Zxid::ZERO, |t| t.zxid)
    }

    /// The durable files, as a fresh ensemble's, with the log and the epochs of this host.
    pub(super) fn files(&self, id: ServerId) -> BTreeMap<FileName, Payload> {
        let host = &self.hosts[&id];
        if host.blank {
            return BTreeMap::new();
        }
        let mut files = BTreeMap::from([
            (FileName::Initialized, small_file(3, 0)),
            (FileName::AcceptedEpoch, small_file(1, host.accepted)),
            (FileName::CurrentEpoch, small_file(2, host.current)),
            (
                FileName::Snapshot {
                    generation: 0,
                    zxid: Zxid::ZERO,
                },
                empty_snapshot(),
            ),
        ]);
        if host.synced > 0 {
            files.insert(LOG, host.bytes[..host.synced].into());
        }
        files
    }

    pub(super) fn boot(&mut self, id: ServerId) {
        self.see(id, Observed::Booted);
        self.role(id, PeerState::Looking, Phase::Recovery, 0, None);
        let host = &self.hosts[&id];
        let (last, accepted, current) = (self.tail(id), Epoch(host.accepted), Epoch(host.current));
        self.note(
            id,
            Note::Recovered {
                last,
                accepted,
                current,
                torn_bytes: 0,
                blank: false,
            },
        );
        self.restored(id, Zxid::ZERO);
        self.host(id).applied = 0;
        self.apply(id, false);
        self.role(id, PeerState::Looking, Phase::Election, 0, None);
    }

    /// The process and its machine die; unsynced writes are lost.
    pub(super) fn crash(&mut self, id: ServerId) {
        self.see(id, Observed::Crashed);
        let host = self.host(id);
        let lost = host.unsynced_tail;
        host.log.truncate(host.log.len() - lost);
        host.unsynced_tail = 0;
        host.bytes.truncate(host.synced);
        let files = self.files(id);
        self.checks.at_crash(Time(self.now), id, &files);
    }

    /// The disk is replaced by an empty one.
    pub(super) fn wipe(&mut self, id: ServerId) {
        self.see(id, Observed::Damaged(Harm::Wipe));
        self.crash(id);
        *self.host(id) = Host {
            blank: true,
            ..Host::default()
        };
        self.checks.at_crash(Time(self.now), id, &BTreeMap::new());
    }

    /// A server gives up its role and looks for a leader again.
    pub(super) fn look(&mut self, id: ServerId) {
        self.role(id, PeerState::Looking, Phase::Draining, 0, None);
        self.sync(id);
        self.apply(id, false);
        self.role(id, PeerState::Looking, Phase::Election, 0, None);
    }

    pub(super) fn restored(&mut self, id: ServerId, zxid: Zxid) {
        let note = zabsim_server::Note::Restored {
            zxid: zabsim_types::Zxid(zxid.0),
        };
        self.see(id, Observed::Service(&note));
    }

    pub(super) fn applied(
        &mut self,
        id: ServerId,
        zxid: Zxid,
        digest: Option<u64>,
        committed: bool,
    ) {
        let note = zabsim_server::Note::Applied {
            zxid: zabsim_types::Zxid(zxid.0),
            digest,
            committed,
        };
        self.see(id, Observed::Service(&note));
    }

    /// Applies whatever is in the log.
    pub(super) fn apply(&mut self, id: ServerId, committed: bool) {
        let host = self.host(id);
        let from = std::mem::replace(&mut host.applied, host.log.len());
        for at in from..self.hosts[&id].log.len() {
            let log = &self.hosts[&id].log[..=at];
            let zxid = log[at].zxid;
            let digest = if self.real_digests {
                let txns = log.iter().map(|txn| (txn.zxid, txn.payload()));
                zabsim_server::digest_of(None, &[], txns)
                    .expect("a log that fits")
                    .1
            } else {
                zxid.0
            };
            self.applied(id, zxid, Some(digest), committed);
        }
    }

    pub(super) fn accept(&mut self, id: ServerId, epoch: u32) {
        self.host(id).accepted = epoch;
        self.disk(id, |ticket| DiskOp::Replace {
            file: FileName::AcceptedEpoch,
            bytes: small_file(1, epoch),
            ticket,
        });
        self.note(id, Note::AcceptedEpoch(Epoch(epoch)));
    }

    pub(super) fn adopt(&mut self, id: ServerId, epoch: u32) {
        self.host(id).current = epoch;
        self.disk(id, |ticket| DiskOp::Replace {
            file: FileName::CurrentEpoch,
            bytes: small_file(2, epoch),
            ticket,
        });
        self.note(id, Note::CurrentEpoch(Epoch(epoch)));
    }

    /// Appends without syncing.
    pub(super) fn append(&mut self, id: ServerId, txn: &Arc<Txn>) {
        let host = self.host(id);
        let mut bytes = Vec::new();
        if host.bytes.is_empty() {
            bytes.extend_from_slice(&segment_header());
        }
        bytes.extend_from_slice(&txn.record);
        host.bytes.extend_from_slice(&bytes);
        host.log.push(txn.clone());
        host.unsynced_tail += 1;
        let op = DiskOp::Append {
            file: LOG,
            bytes: bytes.into(),
        };
        self.see(id, Observed::Disk(&op));
    }

    pub(super) fn sync(&mut self, id: ServerId) {
        let host = self.host(id);
        host.synced = host.bytes.len();
        host.unsynced_tail = 0;
        self.disk(id, |ticket| DiskOp::Sync { file: LOG, ticket });
        let zxid = self.tail(id);
        self.note(id, Note::Logged { zxid });
    }

    /// Cuts the log behind its first `keep` transactions, durably.
    pub(super) fn truncate(&mut self, id: ServerId, keep: usize) {
        let host = self.host(id);
        host.log.truncate(keep);
        host.applied = host.applied.min(keep);
        let len = 24 + host.log.iter().map(|t| t.record.len()).sum::<usize>();
        host.bytes.truncate(len);
        host.synced = len;
        host.unsynced_tail = 0;
        self.disk(id, |ticket| DiskOp::Truncate {
            file: LOG,
            len: len as u64,
            ticket,
        });
    }

    /// Election and discovery: `leader` proposes `epoch`, `follower` accepts it.
    pub(super) fn discover(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        self.role(
            leader,
            PeerState::Leading,
            Phase::Discovery,
            0,
            Some(leader),
        );
        self.role(
            follower,
            PeerState::Following,
            Phase::Discovery,
            0,
            Some(leader),
        );
        self.introduce(leader, follower);
        self.accept(leader, epoch);
        let message = Message::LeaderInfo {
            epoch: Epoch(epoch),
        };
        self.send(leader, follower, message);
        self.accept(follower, epoch);
        self.ack_epoch(leader, follower, epoch);
        self.adopt(leader, epoch);
        self.role(
            leader,
            PeerState::Leading,
            Phase::Synchronization,
            epoch,
            Some(leader),
        );
    }

    pub(super) fn introduce(&mut self, leader: ServerId, follower: ServerId) {
        let message = Message::LearnerInfo {
            accepted: Epoch(self.hosts[&follower].accepted),
            observer: false,
            blank: self.hosts[&follower].blank,
            config: Zxid::ZERO,
        };
        self.send(follower, leader, message);
    }

    /// The follower's promise of `epoch`, with which its synchronization begins.
    pub(super) fn ack_epoch(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        self.role(
            follower,
            PeerState::Following,
            Phase::Synchronization,
            epoch,
            Some(leader),
        );
        let message = Message::AckEpoch {
            last: self.tail(follower),
            current: Some(Epoch(self.hosts[&follower].current)),
            floor: Zxid::ZERO,
        };
        self.send(follower, leader, message);
    }

    /// The leader's side of a DIFF: what the follower lacks, and NEWLEADER.
    pub(super) fn send_diff(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        let (to, have) = (self.tail(leader), self.tail(follower));
        self.send(leader, follower, Message::Diff { to });
        let lacking: Vec<Arc<Txn>> = (self.hosts[&leader].log.iter())
            .filter(|t| t.zxid > have)
            .cloned()
            .collect();
        for txn in lacking {
            let zxid = txn.zxid;
            self.send(leader, follower, Message::Proposal(txn));
            self.send(leader, follower, Message::Commit { zxid });
        }
        let epoch = Epoch(epoch);
        self.send(leader, follower, Message::NewLeader { epoch });
    }

    /// The follower's side: log, sync, apply, epoch. The ACK(NEWLEADER) is left to the caller.
    pub(super) fn take_diff(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        let have = self.tail(follower);
        let lacking: Vec<Arc<Txn>> = (self.hosts[&leader].log.iter())
            .filter(|t| t.zxid > have)
            .cloned()
            .collect();
        for txn in &lacking {
            self.append(follower, txn);
        }
        self.sync(follower);
        self.apply(follower, false);
        self.adopt(follower, epoch);
    }

    pub(super) fn ack_new_leader(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        let epoch = Epoch(epoch);
        self.send(follower, leader, Message::AckNewLeader { epoch });
    }

    pub(super) fn establish(&mut self, leader: ServerId, epoch: u32) {
        let history = self.tail(leader);
        let established = Note::Established {
            epoch: Epoch(epoch),
            history,
        };
        self.note(leader, established);
        self.role(
            leader,
            PeerState::Leading,
            Phase::Broadcast,
            epoch,
            Some(leader),
        );
    }

    pub(super) fn serve(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        self.send(leader, follower, Message::UpToDate);
        let zxid = self.tail(follower);
        self.note(follower, Note::Committed { zxid });
        self.role(
            follower,
            PeerState::Following,
            Phase::Broadcast,
            epoch,
            Some(leader),
        );
    }

    /// From looking to serving, all of it.
    pub(super) fn elect(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        self.discover(leader, follower, epoch);
        self.send_diff(leader, follower, epoch);
        self.take_diff(leader, follower, epoch);
        self.ack_new_leader(leader, follower, epoch);
        self.establish(leader, epoch);
        self.serve(leader, follower, epoch);
    }

    /// `follower` joins a leader that serves already.
    pub(super) fn join(&mut self, leader: ServerId, follower: ServerId, epoch: u32) {
        self.role(
            follower,
            PeerState::Following,
            Phase::Discovery,
            0,
            Some(leader),
        );
        self.introduce(leader, follower);
        let message = Message::LeaderInfo {
            epoch: Epoch(epoch),
        };
        self.send(leader, follower, message);
        self.accept(follower, epoch);
        self.ack_epoch(leader, follower, epoch);
        self.send_diff(leader, follower, epoch);
        self.take_diff(leader, follower, epoch);
        self.ack_new_leader(leader, follower, epoch);
        self.serve(leader, follower, epoch);
    }

    /// A transaction as `leader` would propose it next.
    pub(super) fn next_txn(&self, leader: ServerId, zxid: Zxid) -> Arc<Txn> {
        Arc::new(Txn::new(zxid, self.tail(leader), &anything()))
    }

    /// The leader broadcasts and logs, not yet durably.
    pub(super) fn propose(&mut self, leader: ServerId, txn: &Arc<Txn>) {
        let note = Note::Proposed { txn: txn.clone() };
        self.note(leader, note);
        self.append(leader, txn);
    }

    /// A follower logs, durably, and acknowledges.
    pub(super) fn log(&mut self, leader: ServerId, follower: ServerId, txn: &Arc<Txn>) {
        self.send(leader, follower, Message::Proposal(txn.clone()));
        self.append(follower, txn);
        self.sync(follower);
        self.send(follower, leader, Message::Ack { zxid: txn.zxid });
    }

    /// The leader commits, tells a follower, and both apply.
    pub(super) fn commit(&mut self, leader: ServerId, follower: ServerId, zxid: Zxid) {
        self.note(leader, Note::Committed { zxid });
        self.send(leader, follower, Message::Commit { zxid });
        self.apply(leader, true);
        self.note(follower, Note::Committed { zxid });
        self.apply(follower, true);
    }

    /// One transaction from proposal to delivery, at a leader and one follower.
    pub(super) fn write(&mut self, leader: ServerId, follower: ServerId, zxid: Zxid) {
        let txn = self.next_txn(leader, zxid);
        self.propose(leader, &txn);
        self.sync(leader);
        self.log(leader, follower, &txn);
        self.commit(leader, follower, zxid);
    }

    /// s1 leads epoch 1 with s2, and ⟨1,1⟩ and ⟨1,2⟩ are committed; s3 is still looking.
    pub(super) fn serving() -> Bed {
        let mut bed = Bed::new();
        bed.elect(S1, S2, 1);
        bed.write(S1, S2, z(1, 1));
        bed.write(S1, S2, z(1, 2));
        bed.holds();
        bed
    }

    pub(super) fn end(&mut self) {
        let disks: Vec<_> = [S1, S2, S3].map(|id| (id, self.files(id))).into();
        let disks = disks.iter().map(|(id, files)| (*id, files));
        self.checks.at_end(Time(self.now), disks);
    }

    /// Nothing is violated.
    #[track_caller]
    pub(super) fn holds(&self) {
        assert_eq!(self.checks.violation(), None);
    }

    /// The first violation is this check's, and says this.
    #[track_caller]
    pub(super) fn breaks(&self, check: &str, says: &str) {
        let violation = self.checks.violation().expect("a violation");
        assert_eq!(violation.check, check, "{}", violation.message);
        assert!(violation.message.contains(says), "{}", violation.message);
    }

    /// This check found something too, and says so.
    #[track_caller]
    pub(super) fn also_says(&self, check: &str, says: &str) {
        self.also_breaks(check);
        let reports = self.checks.reports();
        let detail = reports.iter().find(|r| r.name == check).map(|r| &*r.detail);
        assert!(detail.is_some_and(|d| d.contains(says)), "{detail:?}");
    }

    /// This check is among those that found something.
    #[track_caller]
    pub(super) fn also_breaks(&self, check: &str) {
        let reports = self.checks.reports();
        let report = reports.iter().find(|r| r.name == check).expect("a check");
        assert!(!report.ok, "{check} found nothing");
    }

    pub(super) fn examined(&self, check: &str) -> u64 {
        let reports = self.checks.reports();
        reports
            .iter()
            .find(|r| r.name == check)
            .expect("a check")
            .examined
    }
}

/// The payload of a transaction that changes nothing.
pub(super) fn anything() -> Vec<u8> {
    let body = TxnBody::Error(ErrorCode::NoNode);
    encoded(1, body)
}

pub(super) fn encoded(session: i64, body: TxnBody) -> Vec<u8> {
    let txn = zabsim_server::Txn {
        session: SessionId(session),
        conn: ConnId(0),
        cxid: Xid(0),
        time_ms: 0,
        body,
        counts: vec![],
    };
    txn.encode().to_vec()
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32(&bytes[8..]);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| {
            (crc >> 1) ^ ((crc & 1) * 0xEDB8_8320)
        })
    })
}

fn words(magic: &[u8; 4], rest: &[u32]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend(rest.iter().flat_map(|word| word.to_le_bytes()));
    sealed(bytes)
}

pub(super) fn small_file(kind: u32, epoch: u32) -> Payload {
    words(b"ZEPO", &[kind, epoch]).into()
}

fn segment_header() -> Vec<u8> {
    words(b"ZLOG", &[1, 0, 1, 0])
}

fn empty_snapshot() -> Payload {
    let mut bytes = words(b"ZSNP", &[1, 0, 0, 0]);
    // A piece of no bytes, with their checksum: no configuration but the first.
    bytes.extend([0; 8]);
    bytes.extend(words(b"ZEND", &[0, 0]));
    bytes.into()
}
