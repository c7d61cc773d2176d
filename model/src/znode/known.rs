//! What a history says of the committed log without a search: which transactions replies name, what must have happened at a
//! zxid that somebody saw, when it was, and between which bounds a request without a reply can lie.

use super::local;
use super::part::Part;
use crate::checks::history::{Call, History, Outcome};
use crate::checks::stat_of;
use crate::reference::Settings;
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{
    HistoryKind, Op, Reply, SessionChange, SessionId, Stat, WatchKind, ZPath, Zxid,
};

/// Something that happened at a zxid, because somebody saw its trace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Trace {
    pub zxid: Zxid,
    pub kind: WatchKind,
    pub path: ZPath,
}

/// An update that nobody knows the outcome of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loose {
    /// Its call.
    pub call: u32,
    /// Its session's place in the history.
    pub slot: u32,
    /// It lies behind this transaction: somebody had seen it when the request was made, or its session had it answered.
    pub above: Zxid,
    /// And before this one: a later update of its session.
    pub below: Zxid,
    /// What was sent on one connection has one number.
    pub conn: u32,
    /// Whether its session went on by another connection: then it may have been turned away.
    pub moved: bool,
    /// Whether the server turned it away: if it took a transaction, then one without effect.
    pub refused: bool,
    /// The one sent before it on its connection that was not turned away.
    pub previous: Option<u32>,
    /// Behind the last of its session.
    pub session_end: u32,
    /// Its session's place among the lives; `u32::MAX` for none.
    pub life: u32,
}

/// A session and what the history says of its life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub session: SessionId,
    /// It was made at or before this transaction.
    pub made_by: Zxid,
    /// The last state that an answer in it names.
    pub last: Zxid,
    /// The last transaction that its client was told of by an event: its end may be that one, and none before.
    pub told: Zxid,
    /// Whether its client was told that it has expired.
    pub expired: bool,
    /// Whether its client closed it and was told so.
    pub closes: bool,
    /// When a client was first told of it: of those that could have been made in any order, the first comes first.
    pub connected: u32,
    /// The granted timeout, where it is known.
    pub timeout_ms: u32,
}

/// What the history says of the log.
pub(super) struct Known {
    /// The answered updates by zxid; of several with one zxid the first.
    pub updates: Vec<(Zxid, u32)>,
    /// The answered reads by zxid.
    pub reads: Vec<(Zxid, u32)>,
    /// For each epoch, the last transaction that anybody named.
    pub epochs: BTreeMap<u32, u32>,
    /// Traces of transactions that no reply answers.
    pub traces: Vec<Trace>,
    /// What watches were told of transactions that a reply answers.
    pub told: Vec<Trace>,
    /// Transactions that replies answer and that are about nodes outside of the part of the tree that is looked at.
    pub foreign: Vec<Zxid>,
    /// The ephemerals that each session made, or may have made.
    pub ephemerals: BTreeMap<SessionId, Vec<ZPath>>,
    /// Whether this is a part of a history: then a transaction that no reply names may be about other nodes.
    pub is_part: bool,
    /// The leader's clock at transactions whose nodes were seen.
    pub times: BTreeMap<Zxid, i64>,
    /// Updates of unknown outcome, by session and in its order.
    pub loose: Vec<Loose>,
    /// The sessions, those that were made first before the others.
    pub lives: Vec<Life>,
    /// For each zxid that was answered, the latest call of an update up to there, and the earliest answer from there on.
    spans: Vec<(Zxid, u32, u32)>,
    /// From and to where in the history some client had no session: what the servers make for it then it may never hear of.
    pub without_session: Vec<(u32, u32)>,
}

impl Known {
    /// `settings`: what the servers were told; `from_start`: the clients of the history were there from its start, trying to connect.
    pub fn new(history: &History<'_>, settings: &Settings, from_start: bool) -> Known {
        let mut known = Known {
            updates: Vec::new(),
            reads: Vec::new(),
            epochs: BTreeMap::new(),
            traces: Vec::new(),
            told: Vec::new(),
            foreign: Vec::new(),
            ephemerals: BTreeMap::new(),
            is_part: false,
            times: BTreeMap::new(),
            loose: Vec::new(),
            lives: Vec::new(),
            without_session: Vec::new(),
            spans: Vec::new(),
        };
        for at in &history.answered {
            let call = &history.calls[*at as usize];
            known.answer(call, *at);
        }
        known.updates.sort_unstable();
        known.updates.dedup_by_key(|(zxid, _)| *zxid);
        known.reads.sort_unstable();
        known.events(history, from_start);
        let updates = &known.updates;
        let is_known = |zxid: Zxid| updates.binary_search_by_key(&zxid, |(z, _)| *z).is_ok();
        known.told.retain(|trace| is_known(trace.zxid));
        known.told.sort_unstable();
        known.told.dedup();
        known.traces.retain(|trace| !is_known(trace.zxid));
        known.traces.sort_unstable();
        known.traces.dedup();
        known.fill_spans(history);
        for call in &history.calls {
            known.note_ephemerals(call.op(), call.session);
        }
        known.sessions(history, settings);
        known.unanswered(history);
        known.link_loose(history);
        known
    }

    fn name(&mut self, zxid: Zxid) {
        if zxid == Zxid::NO_STATE {
            return;
        }
        let last = self.epochs.entry(zxid.epoch()).or_default();
        *last = zxid.counter().max(*last);
    }

    fn answer(&mut self, call: &Call<'_>, at: u32) {
        self.name(call.zxid);
        if call.is_update() {
            self.updates.push((call.zxid, at));
        } else if call.is_read() {
            self.reads.push((call.zxid, at));
        }
        let Outcome::Ok(reply) = call.outcome() else {
            return;
        };
        match (call.op(), reply) {
            (Op::Multi { ops }, Reply::Multi { results }) => {
                for (op, reply) in ops.iter().zip(results) {
                    self.stat(op, reply);
                }
            }
            (Op::MultiRead { ops }, Reply::MultiRead { results }) => {
                for (op, result) in ops.iter().zip(results) {
                    if let Ok(reply) = result {
                        self.stat(op, reply);
                    }
                }
            }
            (op, reply) => self.stat(op, reply),
        }
    }

    fn stat(&mut self, op: &Op, reply: &Reply) {
        if let (Op::Reconfig { .. }, Reply::Reconfigured { stat, .. }) = (op, reply) {
            self.times.entry(stat.mzxid).or_insert(stat.mtime);
            return;
        }
        let (Some(stat), Some(path)) = (stat_of(reply), path_of(op, reply)) else {
            return;
        };
        let Stat {
            czxid,
            mzxid,
            pzxid,
            ..
        } = *stat;
        if czxid > Zxid::ZERO {
            self.name(czxid);
            self.times.entry(czxid).or_insert(stat.ctime);
            self.trace(czxid, WatchKind::NodeCreated, path);
        }
        if mzxid > czxid {
            self.name(mzxid);
            self.times.entry(mzxid).or_insert(stat.mtime);
            self.trace(mzxid, WatchKind::NodeDataChanged, path);
        }
        if pzxid > czxid {
            self.name(pzxid);
            self.trace(pzxid, WatchKind::NodeChildrenChanged, path);
        }
    }

    fn note_ephemerals(&mut self, op: &Op, session: SessionId) {
        match op {
            Op::Multi { ops } => ops.iter().for_each(|op| self.note_ephemerals(op, session)),
            // Of a sequential one the name is not known; its parent is the same.
            Op::Create { path, mode, .. } if mode.is_ephemeral() => {
                let made = self.ephemerals.entry(session).or_default();
                if !made.contains(path) {
                    made.push(path.clone());
                }
            }
            _ => {}
        }
    }

    fn trace(&mut self, zxid: Zxid, kind: WatchKind, path: &ZPath) {
        // Most stats repeat what was seen before: the last few are a good guess.
        let again = |trace: &Trace| trace.zxid == zxid && trace.kind == kind && trace.path == *path;
        if self.traces.iter().rev().take(8).any(again) {
            return;
        }
        let path = path.clone();
        self.traces.push(Trace { zxid, kind, path });
    }

    fn events(&mut self, history: &History<'_>, from_start: bool) {
        let mut without: BTreeMap<u32, Option<u32>> = BTreeMap::new();
        for (at, event) in history.events.iter().enumerate() {
            let process = without
                .entry(event.process.0)
                .or_insert(from_start.then_some(0));
            match &event.kind {
                HistoryKind::Watch {
                    zxid: Some(zxid),
                    event,
                    ..
                } => {
                    self.name(*zxid);
                    self.trace(*zxid, event.kind, &event.path);
                    self.told.push(Trace {
                        zxid: *zxid,
                        kind: event.kind,
                        path: event.path.clone(),
                    });
                }
                HistoryKind::Session { change } => match change {
                    SessionChange::WatchesSet { zxid, .. } => self.name(*zxid),
                    SessionChange::Connected { .. } => {
                        if let Some(from) = process.take() {
                            self.without_session.push((from, at as u32));
                        }
                    }
                    SessionChange::Expired => *process = Some(at as u32),
                    SessionChange::Closed
                    | SessionChange::AuthFailed
                    | SessionChange::Disconnected => {}
                },
                _ => {}
            }
        }
    }

    /// When each session must have been made at the latest.
    fn sessions(&mut self, history: &History<'_>, settings: &Settings) {
        // Of all updates called from there on, the first transaction.
        let mut from = vec![Zxid::NO_STATE; history.calls.len() + 1];
        for (at, call) in history.calls.iter().enumerate().rev() {
            let own = call.is_update() && call.is_definite();
            from[at] = if own {
                from[at + 1].min(call.zxid)
            } else {
                from[at + 1]
            };
        }
        let before = |zxid: Zxid| Zxid(zxid.0.saturating_sub(1));
        let mut lives: BTreeMap<SessionId, Life> = BTreeMap::new();
        let fresh = |session| Life {
            session,
            made_by: Zxid::NO_STATE,
            last: Zxid::ZERO,
            told: Zxid::ZERO,
            expired: false,
            closes: false,
            connected: u32::MAX,
            timeout_ms: 0,
        };
        for (at, event) in history.events.iter().enumerate() {
            if let HistoryKind::Session {
                change: SessionChange::Connected { timeout_ms, .. },
            } = &event.kind
            {
                let life = lives
                    .entry(event.session)
                    .or_insert_with(|| fresh(event.session));
                let calls = &history.calls;
                let later = calls.partition_point(|call| call.invoked < at as u32);
                if from[later] != Zxid::NO_STATE {
                    life.made_by = life.made_by.min(before(from[later]));
                }
                life.connected = life.connected.min(at as u32);
                life.timeout_ms = life.timeout_ms.max(*timeout_ms);
            }
            let Some(life) = lives.get_mut(&event.session) else {
                continue;
            };
            match &event.kind {
                HistoryKind::Watch {
                    zxid: Some(zxid), ..
                } => life.told = life.told.max(*zxid),
                HistoryKind::Session {
                    change: SessionChange::Expired,
                } => life.expired = true,
                _ => {}
            }
        }
        for session in history
            .sessions
            .iter()
            .filter(|s| s.session != SessionId::NONE)
        {
            let life = lives
                .entry(session.session)
                .or_insert_with(|| fresh(session.session));
            for at in &session.answered {
                let call = &history.calls[*at as usize];
                if call.zxid == Zxid::NO_STATE {
                    continue;
                }
                // A read may be answered by a server that is behind: of its session it knows from the leader.
                if call.is_update() {
                    life.made_by = life.made_by.min(before(call.zxid));
                }
                life.last = life.last.max(call.zxid);
                life.closes |= *call.op() == Op::CloseSession;
            }
        }
        // What a server without a quorum made has no transaction.
        let provisional = provisional(history);
        lives.retain(|session, _| !provisional.contains(session));
        self.lives = lives.into_values().collect();
        if settings.local_sessions {
            let all = std::mem::take(&mut self.lives);
            if settings.upgrade_local_sessions {
                self.lives = local::lives(history, all);
            }
        }
        self.lives
            .sort_by_key(|life| (life.made_by, life.connected, life.session));
    }

    fn unanswered(&mut self, history: &History<'_>) {
        // The newest state that anybody had been shown when each call was made.
        let answered = history.answered.iter().map(|at| {
            let call = &history.calls[*at as usize];
            (call.done, call.zxid)
        });
        // An event shows its transaction as an answer does.
        let told = (0u32..).zip(history.events).filter_map(|(at, event)| {
            let HistoryKind::Watch { zxid, .. } = event.kind else {
                return None;
            };
            zxid.map(|zxid| (at, zxid))
        });
        let mut seen: Vec<(u32, Zxid)> = answered.chain(told).collect();
        seen.sort_unstable();
        let mut seen = seen.into_iter().peekable();
        let mut newest = Zxid::ZERO;
        let mut shown = Vec::with_capacity(history.calls.len());
        for call in &history.calls {
            while let Some((_, zxid)) = seen.next_if(|(at, _)| *at < call.invoked) {
                if zxid != Zxid::NO_STATE {
                    newest = newest.max(zxid);
                }
            }
            shown.push(newest);
        }
        let conns = connections(history);
        for (slot, session) in history.sessions.iter().enumerate() {
            let mut last = Zxid::ZERO;
            let from = self.loose.len();
            for at in &session.made {
                let call = &history.calls[*at as usize];
                if !call.is_update() {
                    continue;
                }
                if call.is_definite() {
                    for loose in &mut self.loose[from..] {
                        loose.moved |= loose.conn != call.conn;
                        loose.below = loose.below.min(call.zxid);
                    }
                    last = last.max(call.zxid);
                    continue;
                }
                if call.outcome() == Outcome::Unsent {
                    continue;
                }
                let refused = call.is_refused();
                self.loose.push(Loose {
                    call: *at,
                    slot: slot as u32,
                    above: shown[*at as usize].max(if refused { Zxid::ZERO } else { last }),
                    below: Zxid::NO_STATE,
                    conn: conns.get(at).copied().unwrap_or(call.conn),
                    moved: false,
                    refused,
                    previous: None,
                    session_end: 0,
                    life: u32::MAX,
                });
            }
        }
    }

    /// Ties the updates of unknown outcome to those beside them, once their connections are known.
    fn link_loose(&mut self, history: &History<'_>) {
        let lives = (0..).zip(&self.lives);
        let lives: BTreeMap<SessionId, u32> = lives.map(|(at, life)| (life.session, at)).collect();
        let mut from = 0;
        for of_session in self.loose.chunk_by_mut(|one, other| one.slot == other.slot) {
            let end = from + of_session.len() as u32;
            let mut last: BTreeMap<u32, u32> = BTreeMap::new();
            for (at, loose) in (from..).zip(of_session) {
                loose.session_end = end;
                let session = history.calls[loose.call as usize].session;
                loose.life = lives.get(&session).copied().unwrap_or(u32::MAX);
                loose.previous = last.get(&loose.conn).copied();
                if !loose.refused {
                    last.insert(loose.conn, at);
                }
            }
            from = end;
        }
    }

    fn fill_spans(&mut self, history: &History<'_>) {
        let calls = history
            .answered
            .iter()
            .map(|at| &history.calls[*at as usize]);
        let calls = calls.filter(|call| call.zxid != Zxid::NO_STATE);
        let invoked = |call: &Call<'_>| if call.is_update() { call.invoked } else { 0 };
        self.spans = calls
            .map(|call| (call.zxid, invoked(call), call.done))
            .collect();
        self.spans.sort_unstable();
        let mut latest = 0;
        for (_, invoked, _) in &mut self.spans {
            latest = latest.max(*invoked);
            *invoked = latest;
        }
        let mut earliest = u32::MAX;
        for (_, _, done) in self.spans.iter_mut().rev() {
            earliest = earliest.min(*done);
            *done = earliest;
        }
    }

    /// Between which events the transaction was made: behind the call of every update before it, before every answer that
    /// shows it.
    pub fn span_of(&self, zxid: Zxid) -> (u32, u32) {
        let at = self.spans.partition_point(|(other, ..)| *other < zxid);
        let from = at.checked_sub(1).map_or(0, |before| self.spans[before].1);
        (from, self.spans.get(at).map_or(u32::MAX, |span| span.2))
    }

    /// The traces at that transaction, which no reply names.
    pub fn traces_at(&self, zxid: Zxid) -> &[Trace] {
        at(&self.traces, zxid)
    }

    /// What watches were told of that transaction, which a reply names.
    pub fn told_at(&self, zxid: Zxid) -> &[Trace] {
        at(&self.told, zxid)
    }

    /// Restricts what is known of a part of the history to what the whole says of it.
    pub fn narrow(
        &mut self,
        whole: &Known,
        history_of_whole: &History<'_>,
        history: &History<'_>,
        part: &Part,
    ) {
        self.is_part = true;
        self.epochs = whole.epochs.clone();
        self.lives = whole.lives.clone();
        self.foreign = part.foreign.clone();
        let inside = |trace: &&Trace| part.has(&trace.path);
        self.traces = whole.traces.iter().filter(inside).cloned().collect();
        self.told = whole.told.iter().filter(inside).cloned().collect();
        let places: BTreeMap<u64, &Loose> = whole
            .loose
            .iter()
            .map(|loose| (history_of_whole.calls[loose.call as usize].id().0, loose))
            .collect();
        for loose in &mut self.loose {
            let id = history.calls[loose.call as usize].id();
            if let Some(Loose {
                above,
                below,
                conn,
                moved,
                ..
            }) = places.get(&id.0)
            {
                (loose.above, loose.below) = (*above, *below);
                (loose.conn, loose.moved) = (*conn, *moved);
            }
        }
        self.link_loose(history);
    }
}

fn provisional(history: &History<'_>) -> BTreeSet<SessionId> {
    let made = history.events.iter().filter(|event| {
        matches!(
            event.kind,
            HistoryKind::Session {
                change: SessionChange::Connected {
                    reattached: false,
                    read_only: true,
                    ..
                }
            }
        )
    });
    made.map(|event| event.session).collect()
}

fn at(traces: &[Trace], zxid: Zxid) -> &[Trace] {
    let from = traces.partition_point(|trace| trace.zxid < zxid);
    let to = traces.partition_point(|trace| trace.zxid <= zxid);
    &traces[from..to]
}

/// The connection of each call that was lost: the one that its client had when it learned so.
fn connections(history: &History<'_>) -> BTreeMap<u32, u32> {
    let mut now: BTreeMap<u32, u32> = BTreeMap::new();
    let mut conns = BTreeMap::new();
    for event in history.events {
        match &event.kind {
            HistoryKind::Session {
                change: SessionChange::Connected { conn, .. },
            } => {
                now.insert(event.process.0, *conn);
            }
            HistoryKind::Info { id, sent: true, .. } => {
                if let (Some(conn), Some(at)) = (now.get(&event.process.0), history.index(*id)) {
                    conns.insert(at as u32, *conn);
                }
            }
            _ => {}
        }
    }
    conns
}

/// The node that the `Stat` of a reply is about.
fn path_of<'a>(op: &'a Op, reply: &'a Reply) -> Option<&'a ZPath> {
    match (op, reply) {
        (_, Reply::Created { path, .. }) => Some(path),
        (
            Op::SetData { path, .. }
            | Op::GetData { path, .. }
            | Op::Exists { path, .. }
            | Op::GetChildren { path, .. }
            | Op::GetAcl { path }
            | Op::SetAcl { path, .. },
            _,
        ) => Some(path),
        _ => None,
    }
}
