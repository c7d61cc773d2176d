//! The checks' own picture of the ensemble, drawn from nothing but what servers do to their disks, what they send, and what
//! they note: per server its log, how much of it is durable, its epochs on disk, its role, what it applied; and for all
//! together the ledger of transactions. No check asks a server what it believes where the picture can be drawn without it.
//!
//! The picture changes here and nowhere else; the checks read it.

use super::Facts;
use super::decode;
use super::history::History;
use super::ledger::Ledger;
use crate::judge::Harm;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use zab::{
    Configuration, DiskOp, Epoch, FileName, Message, Payload, PeerState, Phase, Role, Ticket, Zxid,
};
use zabsim_types::ServerId;

/// A disk operation that was issued and will be answered.
#[derive(Clone, Debug)]
enum Pending {
    Synced { file: FileName, len: u64 },
    Accepted(Option<Epoch>),
    Current(Option<Epoch>),
    Marked,
    Renamed { to: FileName },
    Truncated { file: FileName, len: u64 },
    Deleted { file: FileName },
    Other,
}

impl Pending {
    fn changes_history(&self) -> bool {
        matches!(
            self,
            Pending::Renamed { .. } | Pending::Truncated { .. } | Pending::Deleted { .. }
        )
    }
}

/// What the completion of a disk operation changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Landed {
    /// The log is durable further than before.
    Log,
    /// acceptedEpoch was this before.
    Accepted { before: Option<Epoch> },
    /// currentEpoch was this before.
    Current { before: Option<Epoch> },
    /// The history lost something.
    Cut,
    /// A snapshot from a leader took the history's place.
    Installed,
    /// Nothing that a check looks at.
    Nothing,
}

/// A disk as its operations make it.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) history: History,
    /// Snapshots that are whole: generation and zxid.
    pub(super) snapshots: BTreeSet<(u32, Zxid)>,
    /// Durable; `None`: no such file.
    pub(super) accepted: Option<Epoch>,
    /// Durable; `None`: no such file.
    pub(super) current: Option<Epoch>,
    /// Durably marked as fit to vote. What a server says whose disk is not counts nowhere.
    pub(super) marked: bool,
    pending: VecDeque<(Ticket, Pending)>,
}

impl Disk {
    fn new() -> Disk {
        Disk {
            history: History::default(),
            snapshots: BTreeSet::from([(0, Zxid::ZERO)]),
            accepted: Some(Epoch(0)),
            current: Some(Epoch(0)),
            marked: true,
            pending: VecDeque::new(),
        }
    }

    /// Of a server that is no member of the first ensemble. Its epochs read as zero, though there is no file.
    fn blank() -> Disk {
        Disk {
            snapshots: BTreeSet::new(),
            marked: false,
            ..Disk::new()
        }
    }

    /// Whether a log file is being cut or removed, or a snapshot is about to take the place of all of them: what it holds
    /// at this moment may be either.
    pub(super) fn is_cutting(&self, log: FileName) -> bool {
        self.pending.iter().any(|(_, p)| match p {
            Pending::Truncated { file, .. } | Pending::Deleted { file } => *file == log,
            Pending::Renamed {
                to: FileName::Snapshot { generation, .. },
            } => *generation > self.history.generation(),
            _ => false,
        })
    }

    /// Between what ends a crash may leave the history: operations under way are carried out in order, as far as it comes.
    pub(super) fn ends_after_crash(&self) -> (Zxid, Zxid) {
        let (mut low, mut high) = (self.history.durable_tail(), self.history.tail());
        if self.pending.iter().any(|(_, p)| p.changes_history()) {
            let mut after = self.clone();
            while let Some(&(ticket, _)) = after.pending.front() {
                after.done(ticket);
                low = low.min(after.history.durable_tail());
                high = high.max(after.history.tail());
            }
        }
        (low, high)
    }

    /// Whether a change of acceptedEpoch is under way.
    pub(super) fn is_accepting(&self) -> bool {
        (self.pending.iter()).any(|(_, p)| matches!(p, Pending::Accepted(_)))
    }

    fn issue(&mut self, op: &DiskOp) {
        let (ticket, pending) = match op {
            DiskOp::Append { .. } | DiskOp::List { .. } | DiskOp::Read { .. } => return,
            DiskOp::Sync { file, ticket } => {
                let len = self.history.len_of(*file);
                (*ticket, Pending::Synced { file: *file, len })
            }
            DiskOp::Replace {
                file,
                bytes,
                ticket,
            } => {
                let pending = match file {
                    FileName::AcceptedEpoch => Pending::Accepted(decode::epoch(bytes)),
                    FileName::CurrentEpoch => Pending::Current(decode::epoch(bytes)),
                    FileName::Initialized => Pending::Marked,
                    _ => Pending::Other,
                };
                (*ticket, pending)
            }
            DiskOp::Rename { to, ticket, .. } => (*ticket, Pending::Renamed { to: *to }),
            DiskOp::Truncate { file, len, ticket } => (
                *ticket,
                Pending::Truncated {
                    file: *file,
                    len: *len,
                },
            ),
            DiskOp::Delete { file, ticket } => (*ticket, Pending::Deleted { file: *file }),
        };
        self.pending.push_back((ticket, pending));
    }

    /// A restart will find these files, which amount to this history and these epochs (`None`: recovery refuses them).
    pub(super) fn reload(
        &mut self,
        files: &BTreeMap<FileName, Payload>,
        history: History,
        epochs: Option<(Epoch, Epoch)>,
    ) {
        self.history.reloaded(history);
        self.pending.clear();
        self.marked = files.contains_key(&FileName::Initialized);
        self.snapshots = (files.keys())
            .filter_map(|name| match name {
                FileName::Snapshot { generation, zxid } => Some((*generation, *zxid)),
                _ => None,
            })
            .collect();
        if let Some((accepted, current)) = epochs {
            self.accepted = Some(accepted);
            self.current = Some(current);
        }
    }

    fn done(&mut self, ticket: Ticket) -> Landed {
        let Some(at) = self.pending.iter().position(|(t, _)| *t == ticket) else {
            return Landed::Nothing;
        };
        match self.pending.remove(at).map(|(_, p)| p) {
            Some(Pending::Synced { file, len }) => {
                self.history.synced(file, len);
                Landed::Log
            }
            Some(Pending::Accepted(epoch)) => Landed::Accepted {
                before: std::mem::replace(&mut self.accepted, epoch),
            },
            Some(Pending::Current(epoch)) => Landed::Current {
                before: std::mem::replace(&mut self.current, epoch),
            },
            Some(Pending::Marked) => {
                self.marked = true;
                Landed::Nothing
            }
            Some(Pending::Renamed {
                to: FileName::Snapshot { generation, zxid },
            }) => {
                self.snapshots.insert((generation, zxid));
                if generation > self.history.generation() {
                    self.history.installed(generation, zxid);
                    return Landed::Installed;
                }
                Landed::Nothing
            }
            Some(Pending::Truncated { file, len }) => {
                self.history.truncated(file, len);
                Landed::Cut
            }
            Some(Pending::Deleted { file }) => {
                if let FileName::Snapshot { generation, zxid } = file {
                    self.snapshots.remove(&(generation, zxid));
                }
                self.history.deleted(file);
                Landed::Cut
            }
            Some(Pending::Renamed { .. } | Pending::Other) | None => Landed::Nothing,
        }
    }
}

/// What a leader has sent to one learner on their present link.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Stream {
    /// The epoch offered in LEADERINFO.
    pub(super) offered: Option<Epoch>,
    /// In which term of office. The learner's answers may outlive it: they are no answers to a later one.
    pub(super) term: u32,
    /// What the learner must have durable before it acknowledges NEWLEADER.
    pub(super) cut: Zxid,
    /// Where the synchronization is by SNAP, its zxid.
    pub(super) snap: Option<Zxid>,
    /// NEWLEADER was sent, of this epoch: what follows is broadcast.
    pub(super) new_leader: Option<Epoch>,
    /// The learner has acknowledged NEWLEADER.
    pub(super) acknowledged: bool,
}

/// What a disk held durably when it was damaged.
pub(super) struct Held {
    pub(super) history: History,
    pub(super) current: Option<Epoch>,
}

/// One server.
pub(super) struct Server {
    pub(super) id: ServerId,
    pub(super) up: bool,
    pub(super) role: Option<Role>,
    /// Counts the times that it went looking for a leader: a leader's term in office, within an epoch or not.
    pub(super) term: u32,
    pub(super) disk: Disk,
    /// What it held durably each time that its disk was damaged; until it is resynchronized that still counts.
    pub(super) held: Vec<Held>,
    /// Its disk was damaged, and it has not started since: what the next start reads is less than what was durable.
    pub(super) struck: bool,
    /// Bits of its disk are flipped: a restart may make less of it than is on it, or refuse. Until it is resynchronized.
    pub(super) rotten: bool,
    /// Reads at its start lie: it may act on what is not on its disk. Until it is resynchronized. (A disk that was merely
    /// wiped reads well: as blank.)
    pub(super) reads_lie: bool,
    /// As leader, the epoch it established in this term.
    pub(super) established: Option<Epoch>,
    /// Everything up to here it knows to be committed, and may hand to clients. Since its start.
    pub(super) committed: Zxid,
    /// The last transaction in its tree.
    pub(super) applied: Zxid,
    /// The highest transaction that its tree ever held as committed, over all its lives.
    pub(super) delivered: Zxid,
    /// It acknowledged NEWLEADER of this epoch in this term.
    pub(super) acked_epoch: Option<Epoch>,
    /// A disk operation of this life failed, and it has not stopped yet.
    pub(super) disk_failed: bool,
    /// A snapshot that its leader sent is its tree, and not yet its database on disk: what is in it.
    pub(super) snap_in_memory: Option<Zxid>,
    /// Between what ends its last crash may have left its log.
    pub(super) ends_at_crash: (Zxid, Zxid),
    /// What it sent as leader, by learner. Outlives its term and its life: the learner may not have learned of their end.
    streams: Vec<Stream>,
}

impl Server {
    pub(super) fn phase(&self) -> Option<Phase> {
        self.role.map(|role| role.phase)
    }

    pub(super) fn leads(&self) -> bool {
        (self.role).is_some_and(|role| role.state == PeerState::Leading)
    }

    /// Whether what a restart makes of its files may be something else than what its operations made durable.
    pub(super) fn may_misread(&self) -> bool {
        self.struck || self.rotten || self.reads_lie
    }

    /// Each state of its disk that counts: the present one, and those before it was damaged. History and currentEpoch.
    pub(super) fn states(&self) -> impl Iterator<Item = (&History, Option<Epoch>)> {
        let held = self.held.iter().map(|held| (&held.history, held.current));
        std::iter::once((&self.disk.history, self.disk.current)).chain(held)
    }

    pub(super) fn stream(&self, to: ServerId) -> Stream {
        self.streams.get(to.0 as usize).copied().unwrap_or_default()
    }

    fn stream_mut(&mut self, to: ServerId) -> &mut Stream {
        let at = to.0 as usize;
        if at >= self.streams.len() {
            self.streams.resize(at + 1, Stream::default());
        }
        &mut self.streams[at]
    }

    /// Whatever a process forgets when it ends.
    fn forget(&mut self) {
        self.role = None;
        self.established = None;
        self.committed = Zxid::ZERO;
        self.applied = Zxid::ZERO;
        self.acked_epoch = None;
        self.disk_failed = false;
        self.snap_in_memory = None;
        self.term += 1;
    }
}

/// When two configurations count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Joint {
    /// For the reconfiguration itself.
    AtItself,
    /// For it and everything behind it, until it is committed.
    WhileUncommitted,
}

/// See the module.
pub(super) struct Mirror {
    /// The ensemble's first configuration.
    first: Configuration,
    /// What the configuration's node holds at first, where the ensemble may be reconfigured.
    first_configuration: Option<Arc<str>>,
    /// By id; index 0 is nobody.
    servers: Vec<Option<Server>>,
    pub(super) ledger: Ledger,
}

impl Mirror {
    pub(super) fn new(facts: &Facts) -> Mirror {
        let mut servers: Vec<Option<Server>> = Vec::new();
        let members = facts.quorum.members().map(|id| (ServerId(id.0), false));
        for (id, joiner) in members.chain(facts.joiners.iter().map(|id| (*id, true))) {
            let at = id.0 as usize;
            if at >= servers.len() {
                servers.resize_with(at + 1, || None);
            }
            servers[at] = Some(Server {
                id,
                up: false,
                role: None,
                term: 0,
                disk: if joiner { Disk::blank() } else { Disk::new() },
                held: Vec::new(),
                struck: false,
                rotten: false,
                reads_lie: false,
                established: None,
                committed: Zxid::ZERO,
                applied: Zxid::ZERO,
                delivered: Zxid::ZERO,
                acked_epoch: None,
                disk_failed: false,
                snap_in_memory: None,
                ends_at_crash: (Zxid::ZERO, Zxid::ZERO),
                streams: Vec::new(),
            });
        }
        Mirror {
            first_configuration: facts.first_configuration.clone(),
            first: Configuration::new(Zxid::ZERO, facts.quorum.clone()),
            servers,
            ledger: Ledger::default(),
        }
    }

    pub(super) fn first_configuration(&self) -> Option<&str> {
        self.first_configuration.as_deref()
    }

    /// # Panics
    /// Where the ensemble has no such server: the world knows its own servers.
    #[inline]
    pub(super) fn server(&self, id: ServerId) -> &Server {
        (self.servers.get(id.0 as usize))
            .and_then(Option::as_ref)
            .expect("a server of the ensemble")
    }

    #[inline]
    pub(super) fn server_mut(&mut self, id: ServerId) -> &mut Server {
        (self.servers.get_mut(id.0 as usize))
            .and_then(Option::as_mut)
            .expect("a server of the ensemble")
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten()
    }

    /// Whether the servers of which this is true are a quorum by the configuration at the end of the history up to `end`, and,
    /// as `joint` says, by the one before it.
    pub(super) fn is_quorum_for(
        &self,
        end: Zxid,
        joint: Joint,
        of: impl Fn(&Server) -> bool,
    ) -> bool {
        let set = (self.servers())
            .filter(|s| of(s))
            .map(|s| zab::PeerId(s.id.0))
            .collect();
        let (Some(config), before) = self.ledger.configs_at(end) else {
            return self.first.is_quorum(set);
        };
        let both = match joint {
            Joint::AtItself => config.version() == end,
            Joint::WhileUncommitted => !self.ledger.is_committed(config.version()),
        };
        let before = before.map_or(&self.first, |before| before);
        config.is_quorum(set) && (!both || before.is_quorum(set))
    }

    /// Whether the vote of this server weighs anything in a configuration that there is, or was.
    pub(super) fn weighs_somewhere(&self, id: ServerId) -> bool {
        let weighs = |config: &Configuration| config.quorum().weight(zab::PeerId(id.0)) > 0;
        weighs(&self.first) || self.ledger.configs().any(|config| weighs(config))
    }

    /// In words: the servers of which this is true.
    pub(super) fn names(&self, of: impl Fn(&Server) -> bool) -> String {
        let names: Vec<String> = (self.servers())
            .filter(|s| of(s))
            .map(|s| s.id.to_string())
            .collect();
        match names.is_empty() {
            true => "nobody".to_owned(),
            false => names.join(", "),
        }
    }

    pub(super) fn booted(&mut self, id: ServerId) {
        let server = self.server_mut(id);
        server.forget();
        server.up = true;
        server.struck = false;
    }

    pub(super) fn crashed(&mut self, id: ServerId) {
        let server = self.server_mut(id);
        server.forget();
        if std::mem::take(&mut server.up) && server.struck {
            // It ran on with a disk that was damaged under it (only a scenario that allows data loss does that): what it
            // made durable meanwhile is lost by the same damage.
            let mut history = server.disk.history.clone();
            history.lose_volatile();
            let current = server.disk.current;
            server.held.push(Held { history, current });
        }
        server.ends_at_crash = server.disk.ends_after_crash();
        server.disk.pending.clear();
        server.disk.history.lose_volatile();
    }

    pub(super) fn damaged(&mut self, id: ServerId, harm: Harm) {
        let server = self.server_mut(id);
        let mut history = server.disk.history.clone();
        history.lose_volatile();
        // Damaged again: a leader may have brought it further in between than it ever was before, while a flipped bit that
        // nobody reads still lies on its disk.
        let current = server.disk.current;
        server.held.push(Held { history, current });
        server.struck = true;
        match harm {
            Harm::Wipe => (server.rotten, server.reads_lie) = (false, false),
            Harm::Rot => server.rotten = true,
            Harm::BadRead => server.reads_lie = true,
        }
    }

    pub(super) fn resynchronized(&mut self, id: ServerId) {
        let server = self.server_mut(id);
        server.held.clear();
        (server.rotten, server.reads_lie) = (false, false);
    }

    /// Whether this very transaction is in a history, durable or not.
    #[inline]
    pub(super) fn holds(&self, history: &History, zxid: Zxid, sum: u64) -> bool {
        match zxid <= history.base() {
            true => self.ledger.leads_to(history.base(), zxid),
            false => history.holds(zxid, sum),
        }
    }

    /// Whether this very transaction is durable at a server, or was before its disk was damaged.
    #[inline]
    pub(super) fn holds_durably(&self, server: &Server, zxid: Zxid, sum: u64) -> bool {
        let in_it = |history: &History| match zxid <= history.base() {
            true => self.ledger.leads_to(history.base(), zxid),
            false => history.holds_durably(zxid, sum),
        };
        in_it(&server.disk.history) || server.held.iter().any(|held| in_it(&held.history))
    }

    /// A server took up a role or went on to another phase. Says what it was before.
    pub(super) fn role(&mut self, id: ServerId, role: &Role) -> Option<Role> {
        let server = self.server_mut(id);
        let before = server.role.replace(*role);
        let leaves = matches!(role.phase, Phase::Draining | Phase::Election);
        if leaves && before.is_some_and(|b| b.phase != role.phase) {
            server.term += 1;
            server.established = None;
            server.acked_epoch = None;
        }
        before
    }

    /// Takes in a disk operation that will be answered. (Appends are taken in where their transactions are looked at.)
    pub(super) fn disk_op(&mut self, id: ServerId, op: &DiskOp) {
        self.server_mut(id).disk.issue(op);
    }

    pub(super) fn disk_done(&mut self, id: ServerId, ticket: Ticket) -> Landed {
        let server = self.server_mut(id);
        let landed = server.disk.done(ticket);
        if landed == Landed::Installed {
            server.snap_in_memory = None;
        }
        landed
    }

    /// A tree was replaced by that of a snapshot: one of its own disk, or one that its leader has just sent.
    pub(super) fn restored(&mut self, id: ServerId, zxid: Zxid) {
        let server = self.server(id);
        let leader = (server.role)
            .filter(|role| role.phase == Phase::Synchronization)
            .and_then(|role| role.leader);
        let sent = leader.and_then(|leader| self.server(ServerId(leader.0)).stream(id).snap);
        let server = self.server_mut(id);
        server.applied = zxid;
        server.snap_in_memory = sent.filter(|sent| *sent == zxid);
    }

    /// Notes what a leader says to a learner about epochs and the cut.
    #[inline]
    pub(super) fn sent(&mut self, from: ServerId, to: ServerId, message: &Message) {
        match message {
            Message::LeaderInfo { epoch } => {
                // A learner that is sent another LEADERINFO has opened another link: the old one is dead to it.
                let leader = self.server_mut(from);
                let term = leader.term;
                *leader.stream_mut(to) = Stream {
                    offered: Some(*epoch),
                    term,
                    ..Stream::default()
                };
            }
            Message::Diff { to: cut } | Message::Trunc { to: cut } => {
                self.server_mut(from).stream_mut(to).cut = *cut;
            }
            Message::Snap { zxid, .. } => {
                let stream = self.server_mut(from).stream_mut(to);
                stream.cut = *zxid;
                stream.snap = Some(*zxid);
            }
            Message::Commit { zxid } | Message::CommitAndActivate { zxid, .. } => {
                let stream = self.server_mut(from).stream_mut(to);
                if stream.new_leader.is_none() {
                    stream.cut = stream.cut.max(*zxid);
                }
            }
            Message::NewLeader { epoch } => {
                self.server_mut(from).stream_mut(to).new_leader = Some(*epoch);
            }
            Message::AckNewLeader { epoch } => {
                self.server_mut(from).acked_epoch = Some(*epoch);
                self.server_mut(to).stream_mut(from).acknowledged = true;
            }
            _ => {}
        }
    }
}

/// Whether a server that stands at `position` has just taken in `prev`, the predecessor of what comes next. A position with
/// counter 0 is the beginning of an epoch, which carries no transaction: everything before it is in.
#[inline]
pub(super) fn follows(prev: Zxid, position: Zxid) -> bool {
    prev == position || position.counter() == 0 && prev < position && position != Zxid::ZERO
}
