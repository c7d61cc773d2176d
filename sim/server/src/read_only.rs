//! Read-only mode: a server that has found no leader for a while lets those read who are content with a server without one.
//!
//! - It begins when the server has been looking for a leader for two seconds, or a tick if that is longer, and ends, with all
//!   connections, when it has found one.
//! - Only clients are served that say `read_only`; updates and syncs are refused (-119).
//! - What is read is committed, always (**BASE**): a server that leaves its role takes the uncommitted tail of its log into its
//!   tree, because it must go into the election with it, and ZooKeeper shows that to readers although it may be cut off again
//!   later. Here the tree as it was before is kept for them. A server that was in no quorum since it started does not know
//!   what of its log is committed, and serves nobody.
//! - There is no source of zxids here (**BASE**): a session made here is provisional. No transaction makes it, no other server
//!   ever knows it, and its end is none either. A client must not take it elsewhere.
//! - A real session may go on here for reading, unasked: whether it lives only a leader knows. It is not touched by that, and
//!   cannot be closed here. (ZooKeeper 3.9 refuses those that its own session table has, so that whoever was ever connected
//!   to a full server gains nothing by the mode.) A client that has seen more than this server is refused as ever.
//!
//! Source: ZooKeeper 3.9 `QuorumPeer.run`, `ReadOnlyZooKeeperServer`, `ReadOnlyRequestProcessor`.

use crate::clients::Pending;
use crate::database::Database;
use crate::service::{Out, Service, Serving};
use crate::{ConnId, Effect, Note, Timer};
use zab::{PeerState, Phase, Role, Time};
use zabsim_types::{ErrorCode, Op, Xid, Zxid};

/// The shortest time without a leader after which readers are served.
const GRACE_US: u64 = 2_000_000;

/// What readers may see.
#[derive(Default)]
pub(crate) struct ReadOnly {
    /// Whether the server looks for a leader; the timer is set then.
    looking: bool,
    /// In its election; before, the tree may still change.
    electing: bool,
    /// The last transaction known to be committed here since the process started.
    committed: Option<Zxid>,
    /// The tree as it was then, if it has gone on since.
    kept: Option<Box<Database>>,
}

impl ReadOnly {
    /// A quorum has everything that is applied.
    pub(crate) fn begin_serving(&mut self, applied: Zxid) {
        self.committed = Some(applied);
        self.kept = None;
    }

    /// What readers see of this tree.
    pub(crate) fn view<'a>(&'a self, db: &'a Database) -> &'a Database {
        self.kept.as_deref().unwrap_or(db)
    }

    /// Whether the tree holds what is committed and no more.
    fn is_clean(&self, db: &Database) -> bool {
        self.committed == Some(db.applied())
    }
}

impl Service {
    /// What the present clients see.
    pub(crate) fn view(&self) -> &Database {
        match self.serving {
            Serving::ReadOnly => self.read_only.view(&self.db),
            _ => &self.db,
        }
    }

    /// The next transaction goes into the tree: keeps it as it is for readers, if that one may be cut off again.
    pub(crate) fn before_apply(&mut self, zxid: Zxid, committed: bool) {
        if committed {
            self.read_only.begin_serving(zxid);
        } else if self.read_only.kept.is_none() && self.read_only.is_clean(&self.db) {
            self.read_only.kept = Some(Box::new(self.db.clone()));
        }
    }

    /// The tree is about to be replaced.
    pub(crate) fn keep_committed(&mut self) {
        let read_only = &mut self.read_only;
        if self.config.read_only_mode && read_only.kept.is_none() && read_only.is_clean(&self.db) {
            let db = std::mem::replace(&mut self.db, Database::new());
            read_only.kept = Some(Box::new(db));
        }
    }

    /// The peer's role has changed.
    pub(crate) fn watch_for_leader(&mut self, role: Role, now: Time, out: &mut Out<'_>) {
        if !self.config.read_only_mode {
            return;
        }
        let looking = role.state == PeerState::Looking;
        self.read_only.electing = looking && role.phase == Phase::Election;
        if !self.read_only.electing && self.serving == Serving::ReadOnly {
            self.stop_serving(out);
        }
        if looking && !self.read_only.looking {
            self.set_read_only_timer(GRACE_US.max(self.config.zab.tick_us), now, out);
        }
        self.read_only.looking = looking;
    }

    fn set_read_only_timer(&mut self, wait_us: u64, now: Time, out: &mut Out<'_>) {
        out.effects.push(Effect::SetTimer {
            timer: Timer::ReadOnly,
            at: Time(now.0 + wait_us),
        });
    }

    pub(crate) fn on_read_only_timer(&mut self, now: Time, out: &mut Out<'_>) {
        if !self.read_only.looking || self.serving != Serving::No {
            return;
        }
        if !self.read_only.electing {
            // Its own disk keeps it from the election.
            self.set_read_only_timer(self.config.zab.tick_us, now, out);
        } else if self.read_only.kept.is_some() || self.read_only.is_clean(&self.db) {
            self.serving = Serving::ReadOnly;
            out.note(Note::Mark("read-only-serves"));
        } else {
            out.note(Note::Mark("read-only-knows-nothing"));
        }
    }

    /// A request to a server without a quorum.
    pub(crate) fn read_only_request(&mut self, id: ConnId, xid: Xid, op: Op) -> Pending {
        let provisional = self.clients.conns[&id].provisional;
        match op {
            Op::CloseSession if provisional => Pending::Close { xid },
            op if op.is_update() || matches!(op, Op::Sync { .. }) => Pending::Refused {
                xid,
                error: ErrorCode::NotReadOnly,
            },
            op => Pending::Read { xid, op },
        }
    }
}
