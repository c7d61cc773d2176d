//! From a client's request to its reply: what is handed to the leader, what is answered here and when, what watches tell.
//!
//! The guarantee is the order of what one connection hears: replies in the order of requests, each event before any reply
//! from its state or a later one, and zxids that never go back.
//!
//! Source: ZooKeeper 3.9 `CommitProcessor`, `FinalRequestProcessor`, `DataTree.setWatches/addWatch`; ZOOKEEPER-1412 (the header's
//! zxid is the last applied here), 2623 (a bare check is no write).

use crate::acl;
use crate::auth::Identities;
use crate::clients::{Conn, Pending, SetWatches, State, WithStat, frame};
use crate::database::{Database, Outcome};
use crate::local::makes_ephemeral;
use crate::node::Node;
use crate::request::{Request, RequestKind};
use crate::service::{Out, Service, Serving};
use crate::txn::{Txn, TxnBody};
use crate::watches::{List, Watches};
use crate::{ConnId, Note, Stage};
use std::collections::VecDeque;
use zab::{Bug, SyncId};
use zabsim_types::{
    ClientFrame, ErrorCode, Op, OpResult, Perms, Reply, ServerFrame, SessionId, Stat, SyncMode,
    WatchEvent, WatchKind, Xid, ZPath, Zxid,
};

/// Requests and replies.
impl Service {
    pub(crate) fn request(&mut self, id: ConnId, frame: ClientFrame, out: &mut Out<'_>) {
        let pending = match frame {
            ClientFrame::Connect(_) => unreachable!("handled by the caller"),
            ClientFrame::Ping => Pending::Ping,
            ClientFrame::SetWatches {
                relative,
                data,
                exists,
                child,
                persistent,
                recursive,
            } => Pending::SetWatches(Box::new(SetWatches {
                relative,
                data,
                exists,
                child,
                persistent,
                recursive,
            })),
            ClientFrame::Request { xid, op } => match op {
                Op::AddAuth { scheme, auth } => self.prove(id, xid, &scheme, &auth),
                op if self.serving == Serving::ReadOnly => self.read_only_request(id, xid, op),
                Op::Sync { path, mode } => self.begin_sync(id, xid, path, mode, out),
                op if op.is_update() && self.clients.conns[&id].holds_writes() => {
                    Pending::Held { xid, op }
                }
                op if op.is_update() => self.begin_write(id, xid, op, out),
                op @ Op::Check { .. } if self.config.zab.bugs.has(Bug::CheckAsTransaction) => {
                    self.begin_write(id, xid, op, out)
                }
                op => Pending::Read { xid, op },
            },
        };
        let Some(conn) = self.clients.conns.get_mut(&id) else {
            return;
        };
        conn.queue.push_back(pending);
        if conn.queue.len() == 1 && conn.can_answer() && self.clients.make_ready(id) {
            self.schedule(Stage::Apply, out);
        }
    }

    /// An identity counts from here on: what follows on this connection can already be on its way to the leader before
    /// this is answered.
    fn prove(&mut self, id: ConnId, xid: Xid, scheme: &str, auth: &str) -> Pending {
        let super_digest = self.config.rules.super_digest.as_deref();
        let conn = self.clients.conns.get_mut(&id);
        let conn = conn.expect("the caller has looked it up");
        let result = conn.ids.prove(scheme, auth, super_digest);
        conn.refused = result.is_err();
        Pending::Auth { xid, result }
    }

    fn begin_write(&mut self, id: ConnId, xid: Xid, op: Op, out: &mut Out<'_>) -> Pending {
        let session = self.clients.conns[&id].session;
        if self.local.knows(session) {
            if op == Op::CloseSession {
                self.local.end(session);
                out.note(Note::Mark("local-session-closed"));
                return Pending::Close { xid };
            }
            if self.config.upgrade_local_sessions && makes_ephemeral(&op) {
                self.upgrade(session, id, out);
            }
        }
        let with_stat = match &op {
            Op::Multi { ops } => WithStat::Parts(ops.iter().map(wants_stat).collect()),
            op => WithStat::One(wants_stat(op)),
        };
        let conn = &self.clients.conns[&id];
        let request = Request {
            session: conn.session,
            conn: id,
            xid,
            ids: conn.ids.clone(),
            local: self.local.knows(session),
            kind: RequestKind::Op(op),
        };
        self.submit(request, out);
        Pending::Write { xid, with_stat }
    }

    fn begin_sync(
        &mut self,
        conn: ConnId,
        xid: Xid,
        path: ZPath,
        mode: SyncMode,
        out: &mut Out<'_>,
    ) -> Pending {
        self.clients.last_sync += 1;
        let id = SyncId(self.clients.last_sync);
        self.clients.syncs.insert(id, conn);
        out.zab.push_back(zab::Input::Sync {
            id,
            quorum: mode == SyncMode::Quorum,
        });
        Pending::Sync {
            xid,
            path,
            id,
            done: false,
        }
    }

    /// A barrier was passed, in its place among the transactions.
    pub(crate) fn sync_done(&mut self, id: SyncId, out: &mut Out<'_>) {
        let Some(conn_id) = self.clients.syncs.remove(&id) else {
            return;
        };
        let conn = self.clients.conns.get_mut(&conn_id);
        let mut holds = false;
        for pending in conn.into_iter().flat_map(|c| &mut c.queue) {
            holds |= matches!(pending, Pending::Held { .. });
            if let Pending::Sync { id: of, done, .. } = pending
                && *of == id
            {
                *done = true;
            }
        }
        if holds {
            self.release_writes(conn_id, out);
        }
        self.answer(conn_id, out);
    }

    pub(crate) fn on_sync_lost(&mut self, id: SyncId, out: &mut Out<'_>) {
        // The role has ended and with it every connection; if not yet, the client must not wait for ever.
        if let Some(conn) = self.clients.syncs.remove(&id) {
            self.close_client(conn, out);
        }
    }

    /// Answers what waits for nothing.
    pub(crate) fn serve_ready(&mut self, out: &mut Out<'_>) {
        while let Some(id) = self.clients.ready.pop_front() {
            if let Some(conn) = self.clients.conns.get_mut(&id) {
                conn.ready = false;
                self.answer(id, out);
            }
        }
    }

    /// A sync was passed: the writes behind it, up to the next one, may go.
    fn release_writes(&mut self, id: ConnId, out: &mut Out<'_>) {
        let Some(conn) = self.clients.conns.get_mut(&id) else {
            return;
        };
        // The queue is taken apart and put together again: submitting needs the rest of the server.
        let mut held = std::mem::take(&mut conn.queue);
        let mut queue = VecDeque::with_capacity(held.len());
        while let Some(pending) = held.pop_front() {
            match pending {
                Pending::Held { xid, op } => queue.push_back(self.begin_write(id, xid, op, out)),
                Pending::Sync { done: false, .. } => {
                    queue.push_back(pending);
                    break;
                }
                other => queue.push_back(other),
            }
        }
        queue.append(&mut held);
        if let Some(conn) = self.clients.conns.get_mut(&id) {
            conn.queue = queue;
        }
    }

    /// Answers a connection's requests up to the first that has to wait.
    fn answer(&mut self, id: ConnId, out: &mut Out<'_>) {
        let db = match self.serving {
            Serving::ReadOnly => self.read_only.view(&self.db),
            _ => &self.db,
        };
        let zxid = match &self.leader {
            Some(leader) if self.config.zab.bugs.has(Bug::ReplyZxidIsLastProposed) => {
                leader.last_proposed().max(db.applied())
            }
            _ => db.applied(),
        };
        let Some(conn) = self.clients.conns.get_mut(&id) else {
            return;
        };
        while conn.can_answer()
            && let Some(pending) = conn.queue.pop_front()
        {
            let reply = match pending {
                Pending::Write { .. } | Pending::Held { .. } => {
                    unreachable!("a write waits for its transaction")
                }
                Pending::Ping => ServerFrame::Pong { zxid },
                Pending::SetWatches(set) => {
                    set_watches(db, &mut self.clients.watches, id, &set, out);
                    ServerFrame::WatchesSet { zxid }
                }
                Pending::Sync { xid, path, .. } => ServerFrame::Reply {
                    xid,
                    zxid,
                    result: Ok(Reply::Synced { path }),
                },
                Pending::Auth { xid, result } => {
                    // No state stands behind it.
                    let zxid = Zxid::ZERO;
                    let refused = result.is_err();
                    let result = result.map(|()| Reply::AuthAdded);
                    frame(id, ServerFrame::Reply { xid, zxid, result }, out);
                    if refused {
                        out.note(Note::Mark("auth-refused"));
                        self.close_client(id, out);
                        return;
                    }
                    continue;
                }
                Pending::Refused { xid, error } => ServerFrame::Reply {
                    xid,
                    zxid,
                    result: Err(error),
                },
                Pending::Close { xid } => {
                    let result = Ok(Reply::Closed);
                    frame(id, ServerFrame::Reply { xid, zxid, result }, out);
                    self.close_client(id, out);
                    return;
                }
                Pending::Read { xid, op } => {
                    let by = Reader {
                        conn: id,
                        session: conn.session,
                        ids: &conn.ids,
                    };
                    let result = read(db, &mut self.clients.watches, &by, &op);
                    let bare_check = matches!(op, Op::Check { .. });
                    frame(id, ServerFrame::Reply { xid, zxid, result }, out);
                    if bare_check {
                        // As ZooKeeper: an operation that it does not know ends the connection, not the session.
                        self.close_client(id, out);
                        return;
                    }
                    continue;
                }
            };
            frame(id, reply, out);
        }
    }

    /// A transaction is applied: fires watches, answers its requester, lets go on who waited for it.
    pub(crate) fn after_apply(
        &mut self,
        zxid: Zxid,
        txn: &Txn,
        outcome: &Outcome,
        out: &mut Out<'_>,
    ) {
        let bugs = self.config.zab.bugs;
        if bugs.has(Bug::WatchAfterReply) && self.clients.conns.contains_key(&txn.conn) {
            self.answer_write(zxid, txn, outcome, out);
        }
        let conns = &self.clients.conns;
        let fired = match bugs.has(Bug::WatchLostOnMulti) {
            true => 1,
            false => usize::MAX,
        };
        for change in outcome.changes.iter().take(fired) {
            self.clients.watches.fire(change, |conn, event| {
                // Whoever may not read the node (any more) hears nothing; the watch is used up all the same.
                let acl = match event.kind {
                    WatchKind::NodeChildrenChanged => &change.parent_acl,
                    _ => &change.acl,
                };
                let may_read = |conn: &Conn| acl::allows(acl, Perms::READ, &conn.ids);
                if conns.get(&conn).is_some_and(may_read) {
                    let zxid = Some(zxid);
                    frame(conn, ServerFrame::Event { zxid, event }, out);
                }
            });
        }
        if let TxnBody::CreateSession { .. } = txn.body
            && self.local.upgraded(txn.session)
        {
            out.note(Note::Mark("local-session-upgraded"));
        }
        if self.clients.conns.contains_key(&txn.conn) && !bugs.has(Bug::WatchAfterReply) {
            self.answer_write(zxid, txn, outcome, out);
        }
        if let TxnBody::CloseSession { .. } = txn.body
            && let Some(conn) = self.clients.of_session.get(&txn.session)
        {
            // The requester's has had its reply; an expired session's goes without a word.
            self.close_client(*conn, out);
        }
        while let Some(&(barrier, id)) = self.clients.barred.first()
            && barrier <= zxid
        {
            self.clients.barred.pop_first();
            self.establish(id, out);
        }
    }

    fn answer_write(&mut self, zxid: Zxid, txn: &Txn, outcome: &Outcome, out: &mut Out<'_>) {
        let id = txn.conn;
        if let TxnBody::CreateSession { .. } = txn.body {
            // An upgraded session's connection has been there all the time.
            if self.clients.conns[&id].state == State::Creating {
                self.establish(id, out);
            }
            return;
        }
        if txn.cxid == Xid(0) {
            // An upgrade that came too late: the session's client has been told so, on another connection.
            out.note(Note::Mark("upgrade-refused"));
            self.local.upgraded(txn.session);
            self.close_client(id, out);
            return;
        }
        if txn.body == TxnBody::Error(ErrorCode::SessionMoved) {
            let session = txn.session;
            out.note(Note::SessionMoved { session });
            self.close_client(id, out);
            return;
        }
        let front = self
            .clients
            .conns
            .get_mut(&id)
            .and_then(|conn| conn.queue.pop_front());
        // Requests of one connection reach the leader in order, and a lost one takes the connection with it. Whatever was
        // answerable before this write was answered at the beginning of the turn.
        let Some(Pending::Write { xid, with_stat }) = front else {
            panic!("{zxid} answers {txn}, which is not what its connection waits for");
        };
        assert_eq!(xid, txn.cxid, "{zxid} answers {txn}");
        let result = write_result(&txn.body, &with_stat, &outcome.stats);
        frame(id, ServerFrame::Reply { xid, zxid, result }, out);
        if txn.body == TxnBody::Error(ErrorCode::SessionExpired) && self.local.end(txn.session) {
            // The leader has called it expired when it was asked for elsewhere.
            self.close_client(id, out);
            return;
        }
        self.answer(id, out);
    }
}

fn wants_stat(op: &Op) -> bool {
    match op {
        Op::Create {
            with_stat, mode, ..
        } => *with_stat || mode.replies_with_stat(),
        _ => false,
    }
}

fn write_result(body: &TxnBody, with_stat: &WithStat, stats: &[Stat]) -> OpResult {
    match (body, with_stat) {
        (TxnBody::Error(error), _) => Err(*error),
        (TxnBody::CloseSession { .. }, _) => Ok(Reply::Closed),
        (TxnBody::Multi(parts), WithStat::Parts(with_stat)) => {
            let error = |part: &TxnBody| match part {
                TxnBody::Error(code) => Some(*code),
                _ => None,
            };
            if let Some(errors) = parts.iter().map(error).collect::<Option<Vec<_>>>()
                && !errors.is_empty()
            {
                return Ok(Reply::MultiFailed { errors });
            }
            let results = parts
                .iter()
                .zip(stats)
                .zip(with_stat)
                .map(|((part, stat), with_stat)| part_reply(part, *stat, *with_stat))
                .collect();
            Ok(Reply::Multi { results })
        }
        (part, WithStat::One(with_stat)) => Ok(part_reply(part, stats[0], *with_stat)),
        (body, WithStat::Parts(_)) => unreachable!("a multi became {body}"),
    }
}

fn part_reply(part: &TxnBody, stat: Stat, with_stat: bool) -> Reply {
    match part {
        TxnBody::Create { path, .. } => Reply::Created {
            path: path.clone(),
            stat: with_stat.then_some(stat),
        },
        TxnBody::Delete { .. } => Reply::Deleted,
        TxnBody::SetData { .. } => Reply::Set { stat },
        TxnBody::SetAcl { .. } => Reply::AclSet { stat },
        TxnBody::Reconfig { data, .. } => Reply::Reconfigured {
            data: data.clone(),
            stat,
        },
        TxnBody::Check { .. } => Reply::Checked,
        other => unreachable!("{other} is answered elsewhere"),
    }
}

/// Who reads.
struct Reader<'a> {
    conn: ConnId,
    session: SessionId,
    ids: &'a Identities,
}

impl Reader<'_> {
    /// The node, if it is there and may be read.
    fn node<'a>(&self, db: &'a Database, path: &str) -> Result<&'a Node, ErrorCode> {
        let node = db.tree.node(path).ok_or(ErrorCode::NoNode)?;
        acl::check(&node.acl, Perms::READ, self.ids)?;
        Ok(node)
    }
}

/// A read, and the watch that it leaves. Reads validate no path (but exists looks for a NUL); getData and getChildren leave
/// a watch only on a node that is there. Who may not read leaves none.
fn read(db: &Database, watches: &mut Watches, by: &Reader<'_>, op: &Op) -> OpResult {
    let conn = by.conn;
    match op {
        Op::GetData { path, watch } => {
            let node = by.node(db, path)?;
            if *watch {
                watches.add(List::Data, path, conn);
            }
            Ok(Reply::Data {
                data: node.data.clone(),
                stat: node.stat(),
            })
        }
        Op::Exists { path, watch } => {
            if path.contains('\0') {
                return Err(ErrorCode::BadArguments);
            }
            let node = match by.node(db, path) {
                Err(ErrorCode::NoAuth) => return Err(ErrorCode::NoAuth),
                node => node,
            };
            if *watch {
                watches.add(List::Data, path, conn);
            }
            Ok(Reply::Exists { stat: node?.stat() })
        }
        Op::GetChildren {
            path,
            watch,
            with_stat,
        } => {
            let node = by.node(db, path)?;
            if *watch {
                watches.add(List::Child, path, conn);
            }
            Ok(Reply::Children {
                names: node.children.iter().cloned().collect(),
                stat: with_stat.then(|| node.stat()),
            })
        }
        Op::AddWatch { path, mode } => {
            watches.add((*mode).into(), path, conn);
            Ok(Reply::WatchAdded)
        }
        Op::RemoveWatches { path, kind } => match watches.remove(*kind, path, conn) {
            true => Ok(Reply::WatchesRemoved),
            false => Err(ErrorCode::NoWatcher),
        },
        Op::CheckWatches { path, kind } => match watches.has(*kind, path, conn) {
            true => Ok(Reply::WatchesChecked),
            false => Err(ErrorCode::NoWatcher),
        },
        Op::GetAcl { path } => {
            let node = db.tree.node(path).ok_or(ErrorCode::NoNode)?;
            acl::check(&node.acl, Perms::READ.and(Perms::ADMIN), by.ids)?;
            let acl = match acl::allows(&node.acl, Perms::ADMIN, by.ids) {
                true => node.acl.clone(),
                false => acl::masked(&node.acl),
            };
            let stat = node.stat();
            Ok(Reply::Acl { acl, stat })
        }
        Op::WhoAmI => Ok(Reply::Identities {
            ids: by.ids.shown(),
        }),
        Op::GetEphemerals { prefix } => {
            let paths = db.tree.ephemerals(by.session);
            let paths = paths.filter(|path| path.starts_with(&**prefix)).cloned();
            Ok(Reply::Ephemerals {
                paths: paths.collect(),
            })
        }
        Op::GetAllChildrenNumber { path } => {
            by.node(db, path)?;
            Ok(Reply::ChildrenNumber {
                number: db.tree.count_below(path) as i32,
            })
        }
        Op::MultiRead { ops } => {
            let readable = |op: &Op| matches!(op, Op::GetData { .. } | Op::GetChildren { .. });
            if !ops.iter().all(readable) {
                return Err(ErrorCode::MarshallingError);
            }
            let results = ops.iter().map(|op| read(db, watches, by, op));
            Ok(Reply::MultiRead {
                results: results.collect(),
            })
        }
        // A check outside a multi never enters the write path (ZOOKEEPER-2623).
        Op::Check { .. } => Err(ErrorCode::Unimplemented),
        other => unreachable!("{:?} is no read", other.kind()),
    }
}

/// Registers watches anew, and makes up for what happened since the client last looked: compares with `relative`. An
/// exists-watch is blind to a node that came and went meanwhile; ZooKeeper's is, too. Those that stay are set as they are:
/// whoever leaves them looks for itself at what it missed.
fn set_watches(
    db: &Database,
    watches: &mut Watches,
    conn: ConnId,
    set: &SetWatches,
    out: &mut Out<'_>,
) {
    let missed = |kind, path: &ZPath, out: &mut Out<'_>| {
        let path = path.clone();
        let event = WatchEvent { kind, path };
        frame(conn, ServerFrame::Event { zxid: None, event }, out);
    };
    for path in &set.data {
        match db.tree.node(path) {
            None => missed(WatchKind::NodeDeleted, path, out),
            Some(node) if node.mzxid > set.relative => {
                missed(WatchKind::NodeDataChanged, path, out);
            }
            Some(_) => watches.add(List::Data, path, conn),
        }
    }
    for path in &set.exists {
        match db.tree.node(path) {
            Some(_) => missed(WatchKind::NodeCreated, path, out),
            None => watches.add(List::Data, path, conn),
        }
    }
    for path in &set.child {
        match db.tree.node(path) {
            None => missed(WatchKind::NodeDeleted, path, out),
            Some(node) if node.pzxid > set.relative => {
                missed(WatchKind::NodeChildrenChanged, path, out);
            }
            Some(_) => watches.add(List::Child, path, conn),
        }
    }
    for (list, paths) in [
        (List::Persistent, &set.persistent),
        (List::Recursive, &set.recursive),
    ] {
        for path in paths {
            watches.add(list, path, conn);
        }
    }
}
