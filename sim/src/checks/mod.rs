//! The step checks: what ZAB and the service promise, held against every single effect of every server, as it happens.
//!
//! One property a file, under its name in the literature. All of them read one picture of the ensemble (`mirror`), which is
//! drawn from disk operations and their completions, messages, and notes. A check costs O(1) or O(log n) an event; what is
//! costly in full (reading disks back, rebuilding trees) is done in full at crashes and at the end, and for what is new
//! at changes of role.
//!
//! # Words
//!
//! * **Committed**: one sequence for the whole ensemble. Only a leader adds to it: at establishment its initial history, then
//!   what it notes as committed. Everybody else's commit points, logs and deliveries are compared with it.
//! * **Delivered**: applied to a tree as committed. Replay of a server's own log is not delivery, nor is what a learner applies
//!   before UPTODATE: the leader may not be established yet.
//! * **Durable**: a disk operation that makes it so was completed.
//! * **Damaged**: the nemesis destroyed durable data. Until its server is resynchronized, its disk counts with what it held
//!   before. What recovery makes of flipped bits and lying reads is nobody's fault; a wiped disk must be taken for a blank one.
//!
//! # What the world owes
//!
//! [`Checks::observe`] for every effect *before* it is carried out, in order; [`Observed::DiskDone`] and
//! [`Observed::DiskFailed`] before the server is told; [`Observed::Crashed`], then [`Checks::at_crash`] with the files that a
//! restart will find, again if they change while the server is down (a wipe); [`Observed::Damaged`] before any of them shows
//! the damage; [`Checks::at_role_change`] after observing a role; [`Checks::at_end`] once.
//!
//! # Which documented bugs they catch
//!
//! First the check that sees the cause, then those that see what comes of it.
//!
//! | bug | caught by |
//! | --- | --- |
//! | A1 ZOOKEEPER-3911, A2 4646: acknowledged before logged | durability-before-ack, disk-only-recovery; initial-history-integrity, committed-durability |
//! | A3 4643: epoch before history | durability-before-ack; initial-history-integrity |
//! | A5 3023: synchronized before applied | commit-consistency |
//! | A6 4685: ACK overtakes ACK(NEWLEADER) | no-illegal-event |
//! | A7 4394: COMMIT between NEWLEADER and UPTODATE | no-illegal-event (the learner stops itself) |
//! | A8 4925: hole in the committed log | history-consistency; total-order |
//! | A9 2845: tree behind the log votes | disk-only-recovery, durability-before-ack (ACKEPOCH's zxid); history-consistency |
//! | A11 3104, 3589: snapshot claims what it lacks | same-zxid-same-digest |
//! | A12 3642: interrupted SNAP stays in memory | disk-only-recovery |
//! | A14 2832: SNAP leaves the log's tail | disk-only-recovery; history-consistency |
//! | A17 1558, A18 4837: snapshot above the cut | disk-only-recovery |
//! | A19 1154: stale tail taken for known | history-consistency; agreement |
//! | A21 1489: append through an old handle | disk-only-recovery |
//! | A23 962: commit between DIFF and forwarding | history-consistency; total-order |
//! | A26 2807: serves before commits are applied | commit-consistency |
//! | A30 1264: applied but not logged | disk-only-recovery |
//! | B1 335: accepted epoch not persisted | durability-before-ack, epoch-promised-once; leadership, same-zxid-same-bytes |
//! | B3 1282: current epoch written at UPTODATE | durability-before-ack; initial-history-integrity |
//! | B5: the −1 ACKEPOCH counted | leadership |
//! | B7 582: epoch from the log only | epoch-monotonicity, local-primary-order |
//! | B8 1653, 2307, 4269: refuses to start | no-illegal-event |
//! | B9 2325: empty disk votes | durability-before-ack (what it introduces itself as), leadership; initial-history-integrity, committed-durability, agreement |
//! | B10 1277: counter runs into the epoch | local-primary-order |
//! | B11 2247: leader lives on after a failed write | no-illegal-event |
//! | C1, C3 (joins, elections without end) | none: liveness, told by the run itself |
//! | C4: PROPOSE to the acknowledged only | history-consistency; total-order |
//! | C6: commit out of order | durability-before-ack, total-order |

mod agreement;
mod commit_consistency;
mod committed_durability;
mod committed_monotonic;
mod decode;
mod disk_only_recovery;
mod docket;
mod durability_before_ack;
mod ephemeral_owners;
mod epoch_monotonicity;
mod epoch_promised_once;
mod global_primary_order;
mod history;
mod history_consistency;
mod initial_history_integrity;
mod integrity;
mod leadership;
mod ledger;
mod local_primary_order;
mod mirror;
mod no_illegal_event;
mod prefix_consistency;
mod primary_integrity;
mod same_zxid_same_bytes;
mod same_zxid_same_digest;
mod total_order;

#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;

use crate::judge::Harm;
use decode::Record;
use docket::Docket;
use mirror::{Landed, Mirror};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zab::{DiskOp, FileName, Message, Payload, Phase, Zxid};
use zabsim_types::run::{CheckReport, Violation};
use zabsim_types::{ServerId, Time};

macro_rules! checks {
    ($($id:ident = $module:ident,)*) => {
        /// The checks, as the docket numbers them.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum CheckId { $($id,)* }

        /// Every step check: its name and one sentence on it.
        pub(crate) const STEP_CHECKS: &[(&str, &str)] = &[$(($module::NAME, $module::ABOUT),)*];

        const CHECKS: usize = STEP_CHECKS.len();
    };
}

checks! {
    Leadership = leadership,
    Integrity = integrity,
    Agreement = agreement,
    PrefixConsistency = prefix_consistency,
    TotalOrder = total_order,
    LocalPrimaryOrder = local_primary_order,
    GlobalPrimaryOrder = global_primary_order,
    PrimaryIntegrity = primary_integrity,
    InitialHistoryIntegrity = initial_history_integrity,
    CommitConsistency = commit_consistency,
    HistoryConsistency = history_consistency,
    CommittedDurability = committed_durability,
    CommittedMonotonic = committed_monotonic,
    DurabilityBeforeAck = durability_before_ack,
    DiskOnlyRecovery = disk_only_recovery,
    EpochMonotonicity = epoch_monotonicity,
    EpochPromisedOnce = epoch_promised_once,
    SameZxidSameBytes = same_zxid_same_bytes,
    SameZxidSameDigest = same_zxid_same_digest,
    EphemeralOwners = ephemeral_owners,
    NoIllegalEvent = no_illegal_event,
}

/// What the checks know of the ensemble beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The first configuration: who votes, who observes, what is a quorum.
    pub(crate) quorum: zab::QuorumConfig,
    /// The servers with blank disks that are no members of it.
    pub(crate) joiners: BTreeSet<ServerId>,
    /// As `Rules::first_configuration`.
    pub(crate) first_configuration: Option<Arc<str>>,
}

/// One thing that a server does, or that is done to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Observed<'a> {
    /// The peer's note.
    Zab(&'a zab::Note),
    /// The service's note.
    Service(&'a zabsim_server::Note),
    /// Another role or phase.
    Role(&'a zab::Role),
    /// A disk operation is issued.
    Disk(&'a DiskOp),
    /// A disk operation is done: its effect is durable. Before the server learns it.
    DiskDone(zab::Ticket),
    /// A disk operation failed. Before the server learns it.
    DiskFailed,
    /// A message is sent.
    Sent {
        /// To whom.
        to: ServerId,
        /// It.
        message: &'a Message,
    },
    /// The process starts.
    Booted,
    /// The process ends, with or without its machine.
    Crashed,
    /// Durable data of its disk is destroyed, or reads at its next start will lie.
    Damaged(Harm),
    /// A leader has brought it up to date since its disk was damaged.
    Resynchronized,
    /// The server stops itself, and why.
    Fatal(&'a str),
}

/// All step checks on one run.
pub(crate) struct Checks {
    mirror: Mirror,
    docket: Docket,
    leadership: leadership::Leadership,
    epoch_promised_once: epoch_promised_once::EpochPromisedOnce,
    local_primary_order: local_primary_order::LocalPrimaryOrder,
    primary_integrity: primary_integrity::PrimaryIntegrity,
    initial_history_integrity: initial_history_integrity::InitialHistoryIntegrity,
    ephemeral_owners: ephemeral_owners::EphemeralOwners,
    /// What that check has decoded and nobody has asked for yet.
    decoded: Vec<(Arc<zab::Txn>, zabsim_server::Txn)>,
    disk_only_recovery: disk_only_recovery::DiskOnlyRecovery,
    /// Transactions of the append being looked at.
    records: Vec<Record>,
}

impl Checks {
    /// For an ensemble whose disks were all just formatted, but for the joiners'.
    pub(crate) fn new(facts: Facts) -> Checks {
        Checks {
            mirror: Mirror::new(&facts),
            docket: Docket::new(),
            leadership: Default::default(),
            epoch_promised_once: Default::default(),
            local_primary_order: Default::default(),
            primary_integrity: Default::default(),
            initial_history_integrity: Default::default(),
            ephemeral_owners: Default::default(),
            decoded: Vec::new(),
            disk_only_recovery: Default::default(),
            records: Vec::new(),
        }
    }

    /// Looks at one thing that `server` does or suffers.
    pub(crate) fn observe(&mut self, at: Time, server: ServerId, observed: &Observed<'_>) {
        self.docket.at(at);
        match *observed {
            Observed::Sent { to, message } => self.sent(server, to, message),
            Observed::Disk(op) => self.disk(server, op),
            Observed::DiskDone(ticket) => self.disk_done(server, ticket),
            Observed::Zab(note) => self.zab_note(server, note),
            Observed::Service(note) => self.service_note(server, note),
            Observed::Role(role) => self.role(server, role),
            Observed::DiskFailed => self.mirror.server_mut(server).disk_failed = true,
            Observed::Booted => {
                self.epoch_promised_once.on_booting(&self.mirror, server);
                self.mirror.booted(server);
            }
            Observed::Crashed => self.mirror.crashed(server),
            Observed::Damaged(harm) => self.mirror.damaged(server, harm),
            Observed::Resynchronized => self.mirror.resynchronized(server),
            Observed::Fatal(reason) => {
                no_illegal_event::on_fatal(&self.mirror, &mut self.docket, server, reason);
            }
        }
    }

    /// The transactions that were committed since the last time, and what they say.
    pub(crate) fn decoded(&mut self) -> impl Iterator<Item = (Arc<zab::Txn>, zabsim_server::Txn)> {
        self.decoded.drain(..)
    }

    /// `server` has crashed; a restart will find these files, all unsynced writes lost, kept or torn as they will be.
    pub(crate) fn at_crash(
        &mut self,
        at: Time,
        server: ServerId,
        files: &BTreeMap<FileName, Payload>,
    ) {
        self.docket.at(at);
        let disk = &self.mirror.server(server).disk;
        let epochs = [disk.accepted, disk.current];
        let recovery = &mut self.disk_only_recovery;
        recovery.at_crash(&mut self.mirror, &mut self.docket, server, files);
        if !self.mirror.server(server).struck {
            epoch_monotonicity::on_reload(&self.mirror, &mut self.docket, server, epochs);
        }
        committed_durability::on_loss(&self.mirror, &mut self.docket, server);
    }

    /// `server` has just changed its role or phase; its disk holds these files durably.
    pub(crate) fn at_role_change(
        &mut self,
        at: Time,
        server: ServerId,
        files: &BTreeMap<FileName, Payload>,
    ) {
        let phase = self.mirror.server(server).phase();
        if !matches!(phase, Some(Phase::Election | Phase::Broadcast)) {
            return; // at every other change the disk is being worked on, or was just looked at
        }
        self.docket.at(at);
        let recovery = &mut self.disk_only_recovery;
        recovery.at_role_change(&self.mirror, &mut self.docket, server, files);
    }

    /// The run is over; these are the disks, of servers up and down.
    pub(crate) fn at_end<'a>(
        &mut self,
        at: Time,
        disks: impl IntoIterator<Item = (ServerId, &'a BTreeMap<FileName, Payload>)>,
    ) {
        self.docket.at(at);
        for (server, files) in disks {
            let recovery = &mut self.disk_only_recovery;
            recovery.at_end(&mut self.mirror, &mut self.docket, server, files);
            committed_durability::on_loss(&self.mirror, &mut self.docket, server);
        }
    }

    /// Whether anything was violated: asked after every effect.
    #[inline]
    pub(crate) fn is_violated(&self) -> bool {
        self.docket.violation().is_some()
    }

    /// The first violation.
    pub(crate) fn violation(&self) -> Option<Violation> {
        self.docket.violation().cloned()
    }

    /// Each check's verdict, in the order of [`STEP_CHECKS`].
    pub(crate) fn reports(&self) -> Vec<CheckReport> {
        self.docket.reports()
    }
}

/// Messages and disk operations.
impl Checks {
    #[inline]
    fn sent(&mut self, from: ServerId, to: ServerId, message: &Message) {
        let (m, d) = (&mut self.mirror, &mut self.docket);
        m.sent(from, to, message);
        durability_before_ack::on_sent(m, d, from, to, message);
        match message {
            Message::LeaderInfo { .. } | Message::AckEpoch { .. } => {
                self.epoch_promised_once.on_sent(m, d, from, to, message);
                self.leadership.on_sent(m, d, from, to, message);
            }
            Message::NewLeader { .. } => self.leadership.on_sent(m, d, from, to, message),
            Message::AckNewLeader { .. } => {
                self.leadership.on_sent(m, d, from, to, message);
                commit_consistency::on_synchronized(m, d, from, to);
                history_consistency::on_synchronized(m, d, from);
                let tail = m.server(from).disk.history.tail();
                epoch_monotonicity::in_office(m, d, from, tail);
            }
            _ => {}
        }
        // Last: what is said too early is more telling than that it is out of place.
        no_illegal_event::on_sent(m, d, from, to, message);
    }

    #[inline]
    fn disk(&mut self, server: ServerId, op: &DiskOp) {
        let (m, d) = (&self.mirror, &mut self.docket);
        no_illegal_event::on_disk(m, d, server, op);
        match op {
            DiskOp::Append {
                file: file @ FileName::Log { .. },
                bytes,
            } => self.append(server, *file, bytes),
            DiskOp::Append { .. } => {}
            DiskOp::Replace {
                file: FileName::CurrentEpoch,
                bytes,
                ..
            } => {
                durability_before_ack::on_current_epoch(m, d, server, decode::epoch(bytes));
                self.mirror.disk_op(server, op);
            }
            _ => self.mirror.disk_op(server, op),
        }
    }

    fn append(&mut self, server: ServerId, file: FileName, bytes: &Payload) {
        let (m, d) = (&mut self.mirror, &mut self.docket);
        self.records.clear();
        decode::records(bytes, &mut self.records);
        let mut tail = m.server(server).disk.history.tail();
        for record in &self.records {
            let fact = m.ledger.enter(record.zxid, record.prev, record.sum, server);
            same_zxid_same_bytes::on_record(d, server, record, fact.as_deref());
            history_consistency::on_append(m, d, server, tail, record);
            epoch_monotonicity::on_append(m, d, server, record.zxid);
            if m.server(server).acked_epoch.is_some() || m.server(server).established.is_some() {
                epoch_monotonicity::in_office(m, d, server, record.zxid);
            }
            tail = record.zxid;
        }
        let s = m.server_mut(server);
        let txns = self.records.iter().map(|r| (r.zxid, r.sum, r.end));
        s.disk.history.append(file, bytes.len() as u64, txns);
        if s.committed > Zxid::ZERO {
            self.advance_commit(server);
        }
    }

    fn disk_done(&mut self, server: ServerId, ticket: zab::Ticket) {
        let landed = self.mirror.disk_done(server, ticket);
        let (m, d) = (&self.mirror, &mut self.docket);
        match landed {
            Landed::Accepted { before } => {
                let now = m.server(server).disk.accepted;
                epoch_monotonicity::on_written(m, d, server, "acceptedEpoch", before, now);
            }
            Landed::Current { before } => {
                let now = m.server(server).disk.current;
                epoch_monotonicity::on_written(m, d, server, "currentEpoch", before, now);
            }
            Landed::Cut | Landed::Installed => {
                self.disk_only_recovery.forget(server);
                committed_durability::on_loss(m, d, server);
            }
            Landed::Log | Landed::Nothing => {}
        }
    }
}

/// Roles, notes and commits.
impl Checks {
    fn role(&mut self, server: ServerId, role: &zab::Role) {
        let before = self.mirror.role(server, role);
        let serves = role.phase == Phase::Broadcast;
        if !serves || before.is_some_and(|before| before.phase == Phase::Broadcast) {
            return;
        }
        let (m, d) = (&mut self.mirror, &mut self.docket);
        commit_consistency::on_serving(m, d, server);
        committed_monotonic::on_serving(m, d, server);
        let s = m.server_mut(server);
        s.delivered = s.delivered.max(s.applied.min(s.committed));
    }

    #[inline]
    fn zab_note(&mut self, server: ServerId, note: &zab::Note) {
        use zab::Note;
        let (m, d) = (&mut self.mirror, &mut self.docket);
        match note {
            Note::Logged { zxid } => durability_before_ack::on_logged(m, d, server, *zxid),
            Note::Committed { zxid } => self.committed(server, *zxid),
            Note::Proposed { txn } => self.proposed(server, txn),
            Note::Established { epoch, history } => self.established(server, *epoch, *history),
            Note::Recovered { last, .. } => {
                disk_only_recovery::on_recovered(m, d, server, *last);
            }
            Note::Truncated { to } => disk_only_recovery::on_truncated(m, d, server, *to),
            Note::IllegalMessage {
                message,
                phase,
                why,
            } => no_illegal_event::on_illegal(d, server, message, *phase, why),
            _ => {}
        }
    }

    #[inline]
    fn service_note(&mut self, server: ServerId, note: &zabsim_server::Note) {
        use zabsim_server::Note;
        match note {
            Note::Applied {
                zxid,
                digest,
                committed,
            } => self.applied(server, Zxid(zxid.0), *digest, *committed),
            Note::Restored { zxid } => {
                let zxid = Zxid(zxid.0);
                self.mirror.restored(server, zxid);
                disk_only_recovery::on_applied(&self.mirror, &mut self.docket, server, zxid);
            }
            _ => {}
        }
    }

    fn proposed(&mut self, leader: ServerId, txn: &Arc<zab::Txn>) {
        let (m, d) = (&mut self.mirror, &mut self.docket);
        let record = Record::of(txn);
        let fact = m.ledger.enter(record.zxid, record.prev, record.sum, leader);
        same_zxid_same_bytes::on_record(d, leader, &record, fact.as_deref());
        if let Some(fact) = fact {
            fact.proposer.get_or_insert(leader);
            fact.txn.get_or_insert_with(|| txn.clone());
        }
        if let Some(config) = txn.configuration() {
            m.ledger.propose(config);
        }
        leadership::on_proposed(m, d, leader, &record);
        self.local_primary_order.on_proposed(m, d, leader, txn.zxid);
        self.primary_integrity.on_proposed(m, d, leader, txn.zxid);
    }

    fn established(&mut self, leader: ServerId, epoch: zab::Epoch, history: Zxid) {
        let (m, d) = (&mut self.mirror, &mut self.docket);
        m.server_mut(leader).established = Some(epoch);
        (self.initial_history_integrity).on_established(m, d, leader, epoch, history);
        durability_before_ack::on_established(m, d, leader, epoch, history);
        self.leadership.on_established(m, d, leader, epoch);
        // From here on the initial history is committed.
        let s = m.server_mut(leader);
        s.committed = s.committed.max(history);
        self.commit_base(leader);
        self.advance_commit(leader);
    }

    /// Commits what an established leader has in its snapshot alone. It took that over by SNAP from a leader that had not
    /// been established yet, so that nobody may have committed it before.
    fn commit_base(&mut self, leader: ServerId) {
        let ledger = &self.mirror.ledger;
        let mut lacking = Vec::new();
        let mut last = self.mirror.server(leader).disk.history.base();
        while let Some(fact) = ledger.fact(last)
            && fact.place().is_none()
        {
            lacking.push((fact.prev, last));
            last = fact.prev;
        }
        for (before, zxid) in lacking.into_iter().rev() {
            let (m, d) = (&mut self.mirror, &mut self.docket);
            let end = m.ledger.committed().len();
            prefix_consistency::on_committed_entry(m, d, leader, before, zxid, end);
            self.commit_next(leader, zxid);
        }
    }

    /// `server` notes that everything up to `zxid` is committed.
    #[inline]
    fn committed(&mut self, server: ServerId, zxid: Zxid) {
        let s = self.mirror.server_mut(server);
        if s.leads() {
            if s.established.is_none() {
                return; // its initial history: committed when it is established
            }
            committed_monotonic::on_committed(&mut self.docket, server, s.committed, zxid);
            s.committed = s.committed.max(zxid);
            self.advance_commit(server);
        } else {
            committed_monotonic::on_committed(&mut self.docket, server, s.committed, zxid);
            self.learned(server, zxid);
        }
    }

    fn learned(&mut self, server: ServerId, zxid: Zxid) {
        commit_consistency::on_learned(&self.mirror, &mut self.docket, server, zxid);
        let s = self.mirror.server_mut(server);
        s.committed = s.committed.max(zxid);
        self.advance_commit(server);
    }

    /// Compares what `server` newly knows to be committed with the committed sequence; a leader adds to it.
    fn advance_commit(&mut self, server: ServerId) {
        let mut grew = false;
        loop {
            let (m, d) = (&mut self.mirror, &mut self.docket);
            let s = m.server_mut(server);
            let until = s.committed;
            let leads = s.established.is_some();
            let Some(at) = s.disk.history.next_unverified(until) else {
                break;
            };
            let before = s.disk.history.before(at);
            let zxid = s.disk.history.entries()[at].zxid;
            let end = m.ledger.committed().len();
            let known = m.ledger.fact(zxid).and_then(|f| f.place());
            prefix_consistency::on_committed_entry(
                m,
                d,
                server,
                before,
                zxid,
                known.unwrap_or(end),
            );
            if known.is_none() && leads {
                self.commit_next(server, zxid);
                grew = true;
            }
        }
        grew |= self.commit_broadcasts(server);
        if grew {
            committed_durability::on_commit(&self.mirror, &mut self.docket, server);
        }
    }

    /// A quorum of followers suffices: a leader may commit what its own log has yet to take, while that begins a new segment.
    /// Then its broadcasts are what it commits. Says whether there were any.
    fn commit_broadcasts(&mut self, leader: ServerId) -> bool {
        let s = self.mirror.server(leader);
        let (Some(epoch), until) = (s.established, s.committed) else {
            return false;
        };
        let mut grew = false;
        loop {
            let ledger = &self.mirror.ledger;
            let last = ledger.last_committed();
            let next = Zxid(last.max(Zxid::new(epoch, 0)).0 + 1);
            let own = next <= until
                && ledger.fact(next).is_some_and(|f| {
                    f.proposer == Some(leader) && f.prev == last && f.place().is_none()
                });
            if !own {
                return grew;
            }
            self.commit_next(leader, next);
            grew = true;
        }
    }

    /// Adds to the committed sequence.
    fn commit_next(&mut self, leader: ServerId, zxid: Zxid) {
        let (m, d) = (&mut self.mirror, &mut self.docket);
        self.primary_integrity.on_commit(d, zxid);
        self.initial_history_integrity.on_commit(d, leader, zxid);
        if let Some(txn) = m.ledger.commit(zxid) {
            let decoded = self.ephemeral_owners.on_commit(d, &txn);
            self.decoded.extend(decoded.map(|decoded| (txn, decoded)));
        }
    }

    /// `server`'s tree has taken in `zxid`.
    #[inline]
    fn applied(&mut self, server: ServerId, zxid: Zxid, digest: Option<u64>, committed: bool) {
        let (m, d) = (&mut self.mirror, &mut self.docket);
        if let Some(digest) = digest {
            same_zxid_same_digest::on_applied(m, d, server, zxid, digest);
        }
        let s = m.server_mut(server);
        let before = std::mem::replace(&mut s.applied, zxid);
        let known = zxid <= s.committed;
        if committed && known {
            s.delivered = s.delivered.max(zxid);
        }
        disk_only_recovery::on_applied(m, d, server, zxid);
        if !committed {
            return;
        }
        if !known {
            integrity::on_uncommitted(m, d, server, zxid);
            return;
        }
        integrity::on_delivered(m, d, server, before, zxid);
        agreement::on_delivered(m, d, server, zxid);
        total_order::on_delivered(m, d, server, before, zxid);
        local_primary_order::on_delivered(d, server, before, zxid);
        global_primary_order::on_delivered(m, d, server, before, zxid);
    }
}
