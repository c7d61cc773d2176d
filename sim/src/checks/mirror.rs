//! The checks' own picture of the ensemble, drawn from nothing but what servers do to their disks, what they send, and what
//! they note: per server its log, how much of it is durable, its epochs on disk, its role, what it applied; and for all
//! together the ledger of transactions. No check asks a server what it believes where the picture can be drawn without it.
//!
//! The picture changes here and nowhere else; the checks read it.

use super::Facts;
use super::decode;
use super::history::History;
use super::ledger::Ledger;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::{
    DiskOp, Epoch, FileName, Message, Payload, PeerState, Phase, QuorumConfig, Role, Ticket, Zxid,
};
use zabsim_types::ServerId;

/// A disk operation that was issued and will be answered.
#[derive(Clone, Debug)]
enum Pending {
    Synced { file: FileName, len: u64 },
    Accepted(Option<Epoch>),
    Current(Option<Epoch>),
    Renamed { to: FileName },
    Truncated { file: FileName, len: u64 },
    Deleted { file: FileName },
    Other,
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
    /// The history lost something or was replaced.
    Cut,
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
    pending: VecDeque<(Ticket, Pending)>,
}

impl Disk {
    fn new() -> Disk {
        Disk {
            history: History::default(),
            snapshots: BTreeSet::from([(0, Zxid::ZERO)]),
            accepted: Some(Epoch(0)),
            current: Some(Epoch(0)),
            pending: VecDeque::new(),
        }
    }

    /// An operation of several steps is under way: a crash now may leave the files before it or after it.
    pub(super) fn is_being_cut(&self) -> bool {
        self.pending.iter().any(|(_, p)| {
            matches!(
                p,
                Pending::Renamed { .. } | Pending::Truncated { .. } | Pending::Deleted { .. }
            )
        })
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
            Some(Pending::Renamed {
                to: FileName::Snapshot { generation, zxid },
            }) => {
                self.snapshots.insert((generation, zxid));
                if generation > self.history.generation() {
                    self.history.installed(generation, zxid);
                    return Landed::Cut;
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
    /// What the learner must have durable before it acknowledges NEWLEADER.
    pub(super) cut: Zxid,
    /// NEWLEADER was sent, of this epoch: what follows is broadcast.
    pub(super) new_leader: Option<Epoch>,
}

/// One server.
pub(super) struct Server {
    pub(super) id: ServerId,
    pub(super) voter: bool,
    pub(super) up: bool,
    pub(super) role: Option<Role>,
    /// Counts the times that it went looking for a leader: a leader's term in office, within an epoch or not.
    pub(super) term: u32,
    pub(super) disk: Disk,
    /// What it held durably when its disk was damaged; until it is resynchronized that still counts.
    pub(super) before_damage: Option<Box<History>>,
    /// As leader, the epoch it established in this term.
    pub(super) established: Option<Epoch>,
    /// Everything up to here it knows to be committed, and may hand to clients. Since its start.
    pub(super) committed: Zxid,
    /// What it was told to be committed while it was still being synchronized: counts when it is.
    pub(super) promised: Zxid,
    /// The last transaction in its tree.
    pub(super) applied: Zxid,
    /// The highest transaction that its tree ever held as committed, over all its lives.
    pub(super) delivered: Zxid,
    /// It acknowledged NEWLEADER of this epoch in this term.
    pub(super) acked_epoch: Option<Epoch>,
    /// A disk operation of this life failed, and it has not stopped yet.
    pub(super) disk_failed: bool,
    /// A read of this life was bad, or its disk is full: it may stop for that.
    pub(super) disk_suspect: bool,
    /// The end of its log, durable or not, when it last crashed.
    pub(super) tail_at_crash: Zxid,
    /// It last crashed in the middle of a truncation or a change of snapshots.
    pub(super) cut_at_crash: bool,
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

    pub(super) fn is_damaged(&self) -> bool {
        self.before_damage.is_some()
    }

    /// Whether this very transaction is durable here, or was before the disk was damaged.
    #[inline]
    pub(super) fn holds_durably(&self, zxid: Zxid, sum: u64) -> bool {
        self.disk.history.holds_durably(zxid, sum)
            || (self.before_damage.as_ref()).is_some_and(|h| h.holds_durably(zxid, sum))
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
        self.promised = Zxid::ZERO;
        self.applied = Zxid::ZERO;
        self.acked_epoch = None;
        self.disk_failed = false;
        self.disk_suspect = false;
        self.term += 1;
    }
}

/// See the module.
pub(super) struct Mirror {
    quorum: QuorumConfig,
    /// By id; index 0 is nobody.
    servers: Vec<Option<Server>>,
    pub(super) ledger: Ledger,
}

impl Mirror {
    pub(super) fn new(facts: &Facts) -> Mirror {
        let mut servers: Vec<Option<Server>> = Vec::new();
        let voters = facts.voters.iter().map(|id| (*id, true));
        for (id, voter) in voters.chain(facts.observers.iter().map(|id| (*id, false))) {
            let at = id.0 as usize;
            if at >= servers.len() {
                servers.resize_with(at + 1, || None);
            }
            servers[at] = Some(Server {
                id,
                voter,
                up: false,
                role: None,
                term: 0,
                disk: Disk::new(),
                before_damage: None,
                established: None,
                committed: Zxid::ZERO,
                promised: Zxid::ZERO,
                applied: Zxid::ZERO,
                delivered: Zxid::ZERO,
                acked_epoch: None,
                disk_failed: false,
                disk_suspect: false,
                tail_at_crash: Zxid::ZERO,
                cut_at_crash: false,
                streams: Vec::new(),
            });
        }
        Mirror {
            quorum: facts.quorum.clone(),
            servers,
            ledger: Ledger::default(),
        }
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

    /// Whether the voters of which this is true are a quorum.
    pub(super) fn is_quorum(&self, of: impl Fn(&Server) -> bool) -> bool {
        let set = (self.servers())
            .filter(|s| s.voter && of(s))
            .map(|s| zab::PeerId(s.id.0))
            .collect();
        self.quorum.is_quorum(set)
    }

    /// In words: the voters of which this is true.
    pub(super) fn names(&self, of: impl Fn(&Server) -> bool) -> String {
        let names: Vec<String> = (self.servers())
            .filter(|s| s.voter && of(s))
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
    }

    pub(super) fn crashed(&mut self, id: ServerId) {
        let server = self.server_mut(id);
        server.forget();
        server.up = false;
        server.tail_at_crash = server.disk.history.tail();
        server.cut_at_crash = server.disk.is_being_cut();
        server.disk.pending.clear();
        server.disk.history.lose_volatile();
    }

    pub(super) fn damaged(&mut self, id: ServerId) {
        let server = self.server_mut(id);
        let mut held = server.disk.history.clone();
        held.lose_volatile();
        // Damaged again: a leader may have brought it further in between than it ever was before, while a flipped bit that
        // nobody reads still lies on its disk.
        let before = server.before_damage.as_ref();
        if before.is_none_or(|before| before.durable_tail() < held.durable_tail()) {
            server.before_damage = Some(Box::new(held));
        }
    }

    pub(super) fn resynchronized(&mut self, id: ServerId) {
        self.server_mut(id).before_damage = None;
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
            server.promised = Zxid::ZERO;
        }
        before
    }

    /// Takes in a disk operation that will be answered. (Appends are taken in where their transactions are looked at.)
    pub(super) fn disk_op(&mut self, id: ServerId, op: &DiskOp) {
        self.server_mut(id).disk.issue(op);
    }

    pub(super) fn disk_done(&mut self, id: ServerId, ticket: Ticket) -> Landed {
        self.server_mut(id).disk.done(ticket)
    }

    /// Notes what a leader says to a learner about epochs and the cut.
    #[inline]
    pub(super) fn sent(&mut self, from: ServerId, to: ServerId, message: &Message) {
        match message {
            Message::LeaderInfo { epoch } => {
                // A learner that is sent another LEADERINFO has opened another link: the old one is dead to it.
                *self.server_mut(from).stream_mut(to) = Stream {
                    offered: Some(*epoch),
                    ..Stream::default()
                };
            }
            Message::Diff { to: cut } | Message::Trunc { to: cut } => {
                self.server_mut(from).stream_mut(to).cut = *cut;
            }
            Message::Snap { zxid } => self.server_mut(from).stream_mut(to).cut = *zxid,
            Message::Commit { zxid } => {
                let stream = self.server_mut(from).stream_mut(to);
                if stream.new_leader.is_none() {
                    stream.cut = stream.cut.max(*zxid);
                }
            }
            Message::NewLeader { epoch } => {
                self.server_mut(from).stream_mut(to).new_leader = Some(*epoch);
            }
            Message::AckNewLeader { epoch } => self.server_mut(from).acked_epoch = Some(*epoch),
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
