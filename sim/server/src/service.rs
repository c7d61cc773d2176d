//! The service proper: everything of a server but ZAB. It takes what the peer delivers and what clients send, and gives
//! inputs for the peer and frames for clients.
//!
//! **The apply queue** holds, in the peer's order, committed transactions, passed barriers, and the point at which serving
//! may begin. So a server that has just joined serves nobody before it has applied what was committed while it joined
//! (ZOOKEEPER-2807), and a new leader validates nothing against a tree that lags its history.
//!
//! **Per transaction** the order is: session table, tree, last applied zxid, note, watches, reply to the requester, then
//! that connection's waiting reads. So a watch's event precedes every reply computed from that or a later state, and no
//! reply names a zxid that is not applied here (ZOOKEEPER-1412).
//!
//! Source: ZooKeeper 3.9 `CommitProcessor`, `FinalRequestProcessor`, `LearnerZooKeeperServer`.

use crate::clients::Clients;
use crate::database::{Database, Outcome};
use crate::leader::Leader;
use crate::local::LocalSessions;
use crate::prep::Ensemble;
use crate::read_only::ReadOnly;
use crate::request::{App, Request};
use crate::snapshot::{SnapshotWriter, restore};
use crate::txn::{Txn, TxnBody};
use crate::{Config, Effect, Note, Stage, Timer};
use std::collections::{BTreeMap, VecDeque};
use zab::{Bug, Delivery, Payload, PeerId, PeerState, Phase, Role, SnapshotId, SyncId, Time};
use zabsim_types::{SessionId, Zxid};

/// Where the service puts what it wants done.
pub(crate) struct Out<'a> {
    /// For the driver.
    pub(crate) effects: &'a mut Vec<Effect>,
    /// For the peer, in order.
    pub(crate) zab: &'a mut VecDeque<zab::Input>,
}

impl Out<'_> {
    pub(crate) fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }
}

pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) db: Database,
    pub(crate) clients: Clients,
    pub(crate) leader: Option<Leader>,
    pub(crate) serving: Serving,
    /// Sessions that showed life here since the leader was last told.
    pub(crate) touched: BTreeMap<SessionId, u32>,
    /// Sessions that only this server knows.
    pub(crate) local: LocalSessions,
    pub(crate) read_only: ReadOnly,
    queue: VecDeque<Item>,
    snapshots: VecDeque<SnapshotWriter>,
    scheduled: [bool; 3],
    outcome: Outcome,
}

/// Whether clients are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Serving {
    No,
    /// In broadcast, but some of what was committed before is still in the apply queue.
    CatchingUp,
    Yes,
    /// There is no leader: reads alone, for those who are content with them.
    ReadOnly,
}

enum Item {
    Txn {
        zxid: Zxid,
        txn: Txn,
        committed: bool,
    },
    SyncDone(SyncId),
    /// Everything delivered before serving began is applied.
    Serve,
}

fn initial(config: &Config) -> Database {
    let mut db = Database::initial(config.rules.first_configuration.as_deref());
    db.tree.bugs = config.zab.bugs;
    db
}

impl Service {
    pub(crate) fn new(config: Config) -> Service {
        assert!(
            config.apply_batch > 0,
            "a turn applies at least one transaction"
        );
        Service {
            db: initial(&config),
            clients: Clients::default(),
            leader: None,
            serving: Serving::No,
            touched: BTreeMap::new(),
            local: LocalSessions::new(config.zab.tick_us),
            read_only: ReadOnly::default(),
            queue: VecDeque::new(),
            snapshots: VecDeque::new(),
            scheduled: [false; 3],
            outcome: Outcome::default(),
            config,
        }
    }

    fn initial(&self) -> Database {
        initial(&self.config)
    }

    /// Asks for a turn, once.
    pub(crate) fn schedule(&mut self, stage: Stage, out: &mut Out<'_>) {
        if !std::mem::replace(&mut self.scheduled[stage as usize], true) {
            out.effects.push(Effect::Schedule(stage));
        }
    }

    pub(crate) fn run(
        &mut self,
        stage: Stage,
        now: Time,
        ensemble: &Ensemble<'_>,
        out: &mut Out<'_>,
    ) {
        self.scheduled[stage as usize] = false;
        match stage {
            Stage::Prepare => self.run_prepare(now, ensemble, out),
            Stage::Apply => self.run_apply(now, out),
            Stage::Snapshot => self.run_snapshot(out),
        }
    }

    pub(crate) fn run_prepare(&mut self, now: Time, ensemble: &Ensemble<'_>, out: &mut Out<'_>) {
        if self.serving != Serving::Yes {
            return;
        }
        if let Some(leader) = &mut self.leader {
            while let Some(proposal) = leader.prepare_next(&self.db, now, ensemble) {
                out.zab.push_back(proposal);
            }
        }
    }

    fn run_apply(&mut self, now: Time, out: &mut Out<'_>) {
        self.serve_ready(out);
        let before = self.db.applied();
        let mut budget = self.config.apply_batch;
        while budget > 0
            && let Some(item) = self.queue.pop_front()
        {
            match item {
                Item::Txn {
                    zxid,
                    txn,
                    committed,
                } => {
                    budget -= 1;
                    self.apply(zxid, &txn, committed, now, out);
                }
                Item::SyncDone(id) => self.sync_done(id, out),
                Item::Serve => self.begin_serving(now, out),
            }
        }
        // Once a turn: the peer sees only what is wholly applied.
        if self.db.applied() > before {
            let zxid = zab::Zxid(self.db.applied().0);
            out.zab.push_back(zab::Input::Applied { zxid });
        }
        if !self.queue.is_empty() {
            self.schedule(Stage::Apply, out);
        }
    }

    fn run_snapshot(&mut self, out: &mut Out<'_>) {
        let Some(mut writer) = self.snapshots.pop_front() else {
            return;
        };
        let (bytes, last) = writer.next_chunk(&self.db, self.config.snapshot_chunk_nodes);
        out.zab.push_back(zab::Input::SnapshotChunk {
            snapshot: writer.id,
            bytes,
            last,
        });
        if !last {
            self.snapshots.push_back(writer);
        }
        if !self.snapshots.is_empty() {
            self.schedule(Stage::Snapshot, out);
        }
    }

    fn apply(&mut self, zxid: Zxid, txn: &Txn, committed: bool, now: Time, out: &mut Out<'_>) {
        let mut outcome = std::mem::take(&mut self.outcome);
        if self.config.read_only_mode {
            self.before_apply(zxid, committed);
        }
        self.db.apply(zxid, txn, &mut outcome);
        out.note(Note::Applied {
            zxid,
            digest: self.db.digest(),
            committed,
        });
        if let Some(leader) = &mut self.leader {
            leader.applied(zxid);
            match txn.body {
                // Tracked when it was prepared, unless a leader before this one did that.
                TxnBody::CreateSession { timeout_ms } => {
                    leader.tracker.track(txn.session, timeout_ms, None, now);
                }
                TxnBody::CloseSession { .. } => leader.tracker.remove(txn.session),
                _ => {}
            }
        }
        self.after_apply(zxid, txn, &outcome, out);
        self.outcome = outcome;
    }

    fn begin_serving(&mut self, now: Time, out: &mut Out<'_>) {
        assert_eq!(self.serving, Serving::CatchingUp);
        self.serving = Serving::Yes;
        self.read_only.begin_serving(self.db.applied());
        if let Some(leader) = &mut self.leader {
            leader.take_over(&self.db, now);
            if leader.end_unknown_owners(&self.db) > 0 {
                out.note(Note::Mark("ephemeral-of-unknown-session"));
            }
            for (from, app) in std::mem::take(&mut leader.early) {
                self.on_learner_says(from, app, now, out);
            }
            self.schedule(Stage::Prepare, out);
        }
        self.set_sessions_timer(now, out);
    }

    pub(crate) fn stop_serving(&mut self, out: &mut Out<'_>) {
        self.serving = Serving::No;
        self.leader = None;
        self.touched.clear();
        self.local.end_all();
        self.queue.retain(|item| !matches!(item, Item::Serve));
        self.close_all_clients(out);
    }

    fn set_sessions_timer(&mut self, now: Time, out: &mut Out<'_>) {
        let at = match &self.leader {
            Some(leader) => leader.tracker.bucket(now),
            None => Time(now.0 + self.config.zab.tick_us / 2),
        };
        out.effects.push(Effect::SetTimer {
            timer: Timer::Sessions,
            at,
        });
    }

    pub(crate) fn on_sessions_timer(&mut self, now: Time, out: &mut Out<'_>) {
        if self.serving != Serving::Yes {
            return;
        }
        self.expire_local(now, out);
        match &mut self.leader {
            Some(leader) => {
                leader.expire(now, |note| out.effects.push(Effect::Note(note)));
                if leader.sweep(&self.db, now) > 0 {
                    out.note(Note::Mark("swept"));
                }
                if !leader.queue.is_empty() {
                    self.schedule(Stage::Prepare, out);
                }
            }
            None if !self.touched.is_empty() => {
                let touched = std::mem::take(&mut self.touched).into_iter().collect();
                let payload = App::Touch(touched).encode();
                out.zab.push_back(zab::Input::ToLeader { payload });
            }
            None => {}
        }
        self.set_sessions_timer(now, out);
    }

    /// Hands a request to the leader's pipeline, here or elsewhere.
    pub(crate) fn submit(&mut self, request: Request, out: &mut Out<'_>) {
        match &mut self.leader {
            Some(leader) => {
                leader.queue.push_back(request);
                self.schedule(Stage::Prepare, out);
            }
            None => {
                let payload = request.encode();
                out.zab.push_back(zab::Input::Request { payload });
            }
        }
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.serving == Serving::Yes
    }

    /// For a report of what a server waits for: what is queued here.
    pub(crate) fn waiting_for(&self) -> String {
        let prepare = self.leader.as_ref().map_or(0, |l| l.queue.len());
        format!(
            "apply queue {}, requests to prepare {prepare}, snapshots being written {}, clients {}",
            self.queue.len(),
            self.snapshots.len(),
            self.clients.len()
        )
    }
}

/// What comes from the peer.
impl Service {
    /// A transaction for the apply queue.
    ///
    /// # Panics
    /// Where its bytes are no transaction: the log's checksum has passed them, so it is a bug.
    pub(crate) fn deliver(
        &mut self,
        zxid: zab::Zxid,
        payload: &[u8],
        delivery: Delivery,
        out: &mut Out<'_>,
    ) {
        let txn = Txn::decode(payload).unwrap_or_else(|error| panic!("{zxid}: {error}"));
        self.queue.push_back(Item::Txn {
            zxid: Zxid(zxid.0),
            txn,
            committed: delivery == Delivery::Committed,
        });
        self.schedule(Stage::Apply, out);
    }

    pub(crate) fn on_sync_done(&mut self, id: SyncId, out: &mut Out<'_>) {
        self.queue.push_back(Item::SyncDone(id));
        self.schedule(Stage::Apply, out);
    }

    pub(crate) fn restore(&mut self, zxid: zab::Zxid, chunks: &[Payload], out: &mut Out<'_>) {
        assert_eq!(
            self.serving,
            Serving::No,
            "the state of a serving server is replaced"
        );
        self.queue.clear();
        self.snapshots.clear();
        self.keep_committed();
        let restored = match chunks {
            [] => Ok(self.initial()),
            pieces => restore(pieces),
        };
        match restored {
            Ok(mut db) if db.applied().0 == zxid.0 => {
                db.tree.bugs = self.config.zab.bugs;
                self.db = db;
                out.note(Note::Restored { zxid: Zxid(zxid.0) });
            }
            Ok(_) | Err(_) => {
                self.db = self.initial();
                out.note(Note::Mark("restore-failed"));
                out.zab.push_back(zab::Input::RestoreFailed);
            }
        }
    }

    pub(crate) fn begin_snapshot(&mut self, id: SnapshotId, zxid: zab::Zxid, out: &mut Out<'_>) {
        self.snapshots
            .push_back(SnapshotWriter::new(id, Zxid(zxid.0)));
        self.schedule(Stage::Snapshot, out);
    }

    pub(crate) fn abandon_snapshot(&mut self, id: SnapshotId) {
        self.snapshots.retain(|writer| writer.id != id);
    }

    pub(crate) fn on_role(&mut self, role: Role, now: Time, out: &mut Out<'_>) {
        self.watch_for_leader(role, now, out);
        if !matches!(self.serving, Serving::No | Serving::ReadOnly) {
            if role.phase == Phase::Broadcast {
                return;
            }
            self.stop_serving(out);
        }
        if role.phase == Phase::Broadcast {
            self.serving = Serving::CatchingUp;
            self.leader =
                (role.state == PeerState::Leading).then(|| Leader::new(&self.config, role.epoch));
            let first = self.config.zab.bugs.has(Bug::ServeBeforeSyncCommitsApplied);
            match first && self.leader.is_none() {
                true => self.queue.push_front(Item::Serve),
                false => self.queue.push_back(Item::Serve),
            }
            self.schedule(Stage::Apply, out);
        }
    }

    /// At the leader: a learner's request. Bytes that are none are a bug of ours: links deliver what was sent.
    pub(crate) fn on_request(&mut self, payload: &[u8], out: &mut Out<'_>) {
        let request = Request::decode(payload).unwrap_or_else(|error| panic!("{error}"));
        if let Some(leader) = &mut self.leader {
            leader.queue.push_back(request);
            self.schedule(Stage::Prepare, out);
        }
    }

    /// At the leader.
    pub(crate) fn on_from_learner(
        &mut self,
        from: PeerId,
        payload: &[u8],
        now: Time,
        out: &mut Out<'_>,
    ) {
        let app = App::decode(payload).unwrap_or_else(|error| panic!("{error}"));
        match (&mut self.leader, self.serving) {
            (Some(leader), Serving::CatchingUp) => leader.early.push((from, app)),
            _ => self.on_learner_says(from, app, now, out),
        }
    }

    fn on_learner_says(&mut self, from: PeerId, app: App, now: Time, out: &mut Out<'_>) {
        let Some(leader) = &mut self.leader else {
            return;
        };
        match app {
            App::Touch(sessions) => {
                for (session, timeout_ms) in sessions {
                    leader.tracker.touch(session, timeout_ms, now);
                }
            }
            App::Revalidate {
                conn,
                session,
                timeout_ms,
                local,
            } => {
                let (valid, barrier) = self.revalidate(session, timeout_ms, conn, local, now, out);
                let payload = App::Revalidated {
                    conn,
                    valid,
                    barrier,
                }
                .encode();
                out.zab.push_back(zab::Input::ToLearner {
                    peer: from,
                    payload,
                });
            }
            App::Revalidated { .. } => panic!("{from} revalidates a session of its leader"),
        }
    }

    /// At a learner.
    pub(crate) fn on_from_leader(&mut self, payload: &[u8], out: &mut Out<'_>) {
        match App::decode(payload).unwrap_or_else(|error| panic!("{error}")) {
            App::Revalidated {
                conn,
                valid,
                barrier,
            } => self.revalidated(conn, valid, barrier, out),
            other => panic!("the leader says: {other}"),
        }
    }
}
