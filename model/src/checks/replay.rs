//! The one replay that most checks share: the committed log through the reference model, transaction by transaction, with
//! every answer that a client got compared at the state that it names.
//!
//! A transaction and the client's request that led to it are brought together so:
//!
//! - a request with a reply names its transaction by the header's zxid;
//! - a transaction that no reply names belongs to a request of its session without a reply. Which one, the session's order
//!   says: behind every update answered at an earlier zxid, before every request answered at this or a later one. Of the
//!   requests in that gap the first that could have had this effect is taken; taking the first can only make later matches
//!   and the real-time order easier, so nothing legal is refused;
//! - a transaction without effect comes of a request that fails at this state with this error. One that was turned away
//!   for its session's sake (expired, moved) may also be of a request that was told so.
//!
//! That an order of all updates is checked by replaying it, and need not be searched for, is Wing and Gong's observation
//! ("Testing and verifying concurrent objects", JPDC 1993) with the order given: an accepted log is a proof of linearizability
//! in the sense of Herlihy and Wing (TOPLAS 1990). The order within a session is ZooKeeper's FIFO client order (Hunt et al.,
//! ATC'10) together with its `SessionMovedException`.
//!
//! The replay stops at the first transaction that is not what the model says: behind it nothing could be compared.

use super::fetch;
use super::history::{Call, History, Outcome};
use super::judge::{could_answer, probe_judged, sweep, write_judged};
use crate::reference::{
    Life, Lookup, Model, Rights, Settings, Stamp, Trigger, WatchList, grants, watch_of,
};
use crate::witness::{CommittedTxn, TxnKind, Witness};
use zabsim_types::spell::{self, contrast, differences};
use zabsim_types::{
    Acl, AddWatchMode, CreateMode, ErrorCode, Op, OpResult, Perms, Reply, SessionId, WatchKind,
    Xid, ZPath, Zxid, parent_of,
};

/// Who asked for a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// That call, by its reply or by its place in its session.
    Call(u32),
    /// Nobody needs to: the servers made it, or it was turned away for its session's sake.
    Nobody,
    /// Somebody would have to, and nobody did.
    Missing(Blame),
}

/// The nearest explanation of a transaction that nobody may have asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blame {
    /// That call has the same effect, and was answered with another transaction.
    Twice(u32),
    /// That call without a reply has the same effect, but its session's order forbids this place.
    OutOfOrder(u32),
    /// That call has the same effect, but never left its client.
    Unsent(u32),
    /// No call of that session is like it.
    Nobody,
}

/// A transaction that no reply names, and the requests without a reply that it may be of.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Unanswered {
    /// Its place in the log.
    pub position: u32,
    /// Its session's place in the history.
    pub slot: u32,
    /// The session's first call behind every update answered before it.
    pub base: u32,
    /// The calls that fit: by the session's order, by number, by effect at this state. In order.
    pub fits: Vec<u32>,
}

/// A transaction or an answer that is not what the model says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Wrong {
    /// The call whose answer it is; of a transaction that nobody got an answer for, none.
    pub call: Option<u32>,
    pub zxid: Zxid,
    pub expected: String,
    pub observed: String,
}

/// Something that watches are told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fired {
    pub zxid: Zxid,
    pub kind: WatchKind,
    pub path: ZPath,
    /// In which lists: a node that is gone fires in both, and is told of once.
    pub data: bool,
    pub child: bool,
    /// The node's list, if it does not let everybody read it: who may not is told nothing, and their watch is used up all the same.
    pub guard: Option<Acl>,
}

/// What fired at a watched path, in log order: when, what, and its place among all that fired.
#[derive(Clone, Debug, Default)]
pub(crate) struct PathTriggers {
    pub data: Vec<(Zxid, WatchKind, u32)>,
    pub child: Vec<(Zxid, WatchKind, u32)>,
    /// There or anywhere below, if somebody watches the whole subtree.
    pub within: Vec<(Zxid, WatchKind, u32)>,
}

impl PathTriggers {
    pub fn of(&self, list: WatchList) -> &[(Zxid, WatchKind, u32)] {
        match list {
            WatchList::Data => &self.data,
            WatchList::Child => &self.child,
        }
    }
}

/// The one-shot watch that a read asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub list: WatchList,
    /// The path's place in [`Replay::triggers`].
    pub place: u32,
    /// Whether it is left where there is no node, too.
    pub of_absent: bool,
}

/// The result of the replay.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    pub witness: &'a Witness,
    /// For each transaction, who asked for it.
    pub claims: Vec<Claim>,
    /// For each call, its transaction's position in the log.
    pub txn_of: Vec<Option<u32>>,
    /// The transactions of clients that no reply names, in log order.
    pub unanswered: Vec<Unanswered>,
    /// The write at which the replay stopped.
    pub wrong_write: Option<Wrong>,
    /// Reads whose answer is not the state that they name, in zxid order.
    pub wrong_reads: Vec<Wrong>,
    /// Writes and reads that were compared.
    pub writes: u64,
    pub reads: u64,
    /// Everything that fired at or below the paths that anybody watches, in log order.
    pub fired: Vec<Fired>,
    /// Of the paths whose whole subtrees somebody watches: the place of each. If there are any, everything that fires counts.
    subtrees: Lookup<&'a str, u32>,
    /// Of each call the watch that it asks for, if it is a read that asks for one.
    pub asked: Vec<Option<Asked>>,
    /// The paths that anybody watches: the place of each.
    watched: Lookup<&'a str, u32>,
    /// By place: the path, and what fired there.
    pub triggers: Vec<(&'a str, PathTriggers)>,
    /// The lives of the ephemeral children of the recipes' objects, in log order.
    pub contenders: Vec<Contender>,
}

/// An ephemeral node's life.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub path: ZPath,
    /// The place of what it stands for in [`History::objects`].
    pub object: u32,
    pub owner: SessionId,
    pub made: Zxid,
    /// The transaction that removed it; `None` while it is there.
    pub gone: Option<Zxid>,
    /// Whether it went with its session.
    pub with_session: bool,
}

impl<'a> Replay<'a> {
    /// `sessions`: those that were made before the first transaction.
    pub fn new(
        history: &History<'a>,
        witness: &'a Witness,
        settings: &Settings,
        sessions: &[SessionId],
    ) -> Replay<'a> {
        let mut replay = Replay {
            witness,
            claims: vec![Claim::Nobody; witness.txns.len()],
            txn_of: vec![None; history.calls.len()],
            unanswered: Vec::new(),
            wrong_write: None,
            wrong_reads: Vec::new(),
            writes: 0,
            reads: 0,
            fired: Vec::new(),
            subtrees: Lookup::default(),
            asked: vec![None; history.calls.len()],
            watched: Lookup::default(),
            triggers: Vec::new(),
            contenders: Vec::new(),
        };
        let calls = history.calls.iter().enumerate();
        let watching: Vec<(usize, &Call<'a>)> = calls.filter(|(_, call)| call.watches()).collect();
        let few = watching.chunks(fetch::AT_ONCE);
        let fetched = few.inspect(|few| fetch::requests(few.iter().map(|(_, call)| *call)));
        for (at, call) in fetched.flatten().copied() {
            if let Some((list, path)) = watch_of(call.op(), true) {
                replay.asked[at] = Some(Asked {
                    list,
                    place: replay.watch(path),
                    of_absent: watch_of(call.op(), false).is_some(),
                });
                continue;
            }
            each_watched(call.op(), &mut |path| {
                replay.watch(path);
            });
            if let Op::AddWatch { path, mode } = call.op() {
                let place = replay.watch(path);
                if *mode == AddWatchMode::PersistentRecursive {
                    replay.subtrees.insert(path, place);
                }
            }
        }
        replay.claim_by_reply(history);
        let mut model = Model::with(settings.clone());
        for session in sessions {
            model.create_session(Stamp {
                session: *session,
                zxid: Zxid::ZERO,
                time_ms: 0,
            });
        }
        replay.run(history, model);
        replay
    }

    /// Somebody watches it: its place in `triggers`.
    fn watch(&mut self, path: &'a str) -> u32 {
        let next = self.triggers.len() as u32;
        let place = *self.watched.entry(path).or_insert(next);
        if place == next {
            self.triggers.push((path, PathTriggers::default()));
        }
        place
    }

    /// The place of a path in `triggers`; `None` where nobody watches it.
    pub fn place(&self, path: &str) -> Option<u32> {
        self.watched.get(path).copied()
    }

    /// The path at a place in `triggers`.
    pub fn path(&self, place: u32) -> &'a str {
        self.triggers[place as usize].0
    }

    fn claim_by_reply(&mut self, history: &History<'a>) {
        let mut near = 0;
        for at in &history.answered {
            let call = &history.calls[*at as usize];
            if !call.is_update() {
                continue;
            }
            if let Some(position) = self.witness.position_near(near, call.zxid) {
                near = position;
                // Two replies that name one transaction are found by the check of the writes; the first has it.
                if self.claims[position] == Claim::Nobody {
                    self.claims[position] = Claim::Call(*at);
                }
                self.txn_of[*at as usize] = Some(position as u32);
            }
        }
    }

    fn run(&mut self, history: &History<'a>, mut model: Model) {
        let mut reads: Vec<(Zxid, u32)> = history
            .answered
            .iter()
            .map(|at| (history.calls[*at as usize].zxid, *at))
            .filter(|(_, at)| history.calls[*at as usize].is_read())
            .collect();
        // By and large they are in order.
        reads.sort();
        let call = |(_, at): &(Zxid, u32)| &history.calls[*at as usize];
        let few = reads.chunks(fetch::AT_ONCE);
        let fetched = few.inspect(|few| fetch::calls(few.iter().map(call)));
        let mut reads = fetched.flatten().copied().peekable();
        let witness = self.witness;
        let mut cursors = vec![Cursor::default(); history.sessions.len()];
        let mut contended = Contended::new(history);
        for (position, txn) in witness.txns.iter().enumerate() {
            if position.is_multiple_of(fetch::AT_ONCE) {
                self.fetch_writes(history, position);
            }
            while let Some((_, at)) = reads.next_if(|(zxid, _)| *zxid < txn.zxid) {
                self.read(history, &model, at);
            }
            if let Err(wrong) = self.write(history, &mut model, position, &mut cursors) {
                self.wrong_write = Some(wrong);
                break;
            }
            self.note_triggers(&model, txn);
            contended.note(&model, txn);
        }
        self.contenders = contended.all;
        if self.wrong_write.is_none() {
            for (_, at) in reads {
                self.read(history, &model, at);
            }
        }
    }

    /// The next few writes.
    fn fetch_writes(&self, history: &History<'a>, position: usize) {
        let end = self.claims.len().min(position + fetch::AT_ONCE);
        let calls = self.claims[position..end].iter();
        fetch::calls(calls.filter_map(|claim| match claim {
            Claim::Call(at) => Some(&history.calls[*at as usize]),
            _ => None,
        }));
        let txns = self.witness.txns[position..end].iter();
        fetch::txns(txns.map(|txn| &txn.what));
    }

    fn read(&mut self, history: &History<'a>, model: &Model, at: u32) {
        let call = &history.calls[at as usize];
        let Some(observed) = call.observed() else {
            return;
        };
        self.reads += 1;
        if !could_answer(model, history, call, observed) {
            let rights = Rights {
                ids: history.identities(call).0,
                as_of: None,
            };
            let due = model.read_as(call.op(), call.session, rights);
            let (observed, expected) = contrast(&differences(observed, &due));
            self.wrong_reads.push(Wrong {
                call: Some(at),
                zxid: call.zxid,
                expected,
                observed,
            });
        }
    }

    fn write(
        &mut self,
        history: &History<'a>,
        model: &mut Model,
        position: usize,
        cursors: &mut [Cursor],
    ) -> Result<(), Wrong> {
        let txn = &self.witness.txns[position];
        let stamp = Stamp {
            session: txn.session,
            zxid: txn.zxid,
            time_ms: txn.time_ms,
        };
        if model.settings().local_sessions && txn.session != SessionId::NONE {
            // No transaction made it, unless it is this one.
            model.meet_local(txn.session);
        }
        match (&txn.what, self.claims[position]) {
            (_, Claim::Call(at)) => self.write_answered(history, model, at, txn, stamp),
            (TxnKind::CreateSession { .. }, _) => {
                model.create_session(stamp);
                Ok(())
            }
            // The servers swept it.
            (TxnKind::Delete { path }, _) if txn.session == SessionId::NONE => {
                sweep(model, path, stamp)
            }
            // The servers would have swept it.
            (TxnKind::Error { .. }, _) if txn.session == SessionId::NONE => {
                model.skip(stamp);
                Ok(())
            }
            // The servers ended it.
            (TxnKind::CloseSession, _) if txn.cxid == Xid(0) => {
                model.close_session(stamp);
                Ok(())
            }
            _ => self.write_unanswered(history, model, position, cursors, stamp),
        }
    }

    fn write_answered(
        &mut self,
        history: &History<'a>,
        model: &mut Model,
        at: u32,
        txn: &CommittedTxn,
        stamp: Stamp,
    ) -> Result<(), Wrong> {
        let call = &history.calls[at as usize];
        self.writes += 1;
        let observed = call.observed().expect("it was claimed by its reply");
        let result = write_judged(model, history, call, stamp, |result| {
            observed == result.as_ref().map_err(|code| *code)
        });
        let wrong = |expected, observed| Wrong {
            call: Some(at),
            zxid: txn.zxid,
            expected,
            observed,
        };
        if observed != result.as_ref().map_err(|code| *code) {
            let (observed, expected) = contrast(&differences(observed, &result));
            return Err(wrong(expected, observed));
        }
        if !has_effect(&result, &txn.what)
            || !same_error(&result, &txn.what)
            || (call.session, call.xid) != (txn.session, txn.cxid)
        {
            return Err(wrong(
                format!(
                    "the log to hold {}, number {} of {}",
                    spell::op(call.op()),
                    call.xid.0,
                    call.session
                ),
                format!("{}, number {} of {}", txn.what, txn.cxid.0, txn.session),
            ));
        }
        Ok(())
    }

    /// Finds the calls of the session's gap that it may be of, and takes the first.
    fn write_unanswered(
        &mut self,
        history: &History<'a>,
        model: &mut Model,
        position: usize,
        cursors: &mut [Cursor],
        stamp: Stamp,
    ) -> Result<(), Wrong> {
        let txn = &self.witness.txns[position];
        let refused = is_turned_away(&txn.what);
        let mut unlike = None;
        if let Some(slot) = history.slot(txn.session) {
            let cursor = &mut cursors[slot];
            let end = gap_around(history, slot, &mut cursor.base, txn.zxid);
            let gap = cursor.base..end;
            let mut fits = Vec::new();
            let mut first = None;
            for place in gap {
                let at = history.sessions[slot].made[place];
                let call = &history.calls[at as usize];
                if !could_be(call, txn) {
                    continue;
                }
                let result = probe_judged(model, history, call, stamp, |result| {
                    has_effect(result, &txn.what) && same_error(result, &txn.what)
                });
                if refused || has_effect(&result, &txn.what) && same_error(&result, &txn.what) {
                    fits.push(at);
                    if place >= cursor.taken {
                        first = first.or(Some((place, at)));
                    }
                } else if !is_failure(&result) && !matches!(txn.what, TxnKind::Error { .. }) {
                    unlike = unlike.or(Some((at, result)));
                }
            }
            self.unanswered.push(Unanswered {
                position: position as u32,
                slot: slot as u32,
                base: cursor.base as u32,
                fits,
            });
            if let Some((place, at)) = first.filter(|_| !refused) {
                cursor.taken = place + 1;
                self.claims[position] = Claim::Call(at);
                self.txn_of[at as usize] = Some(position as u32);
                self.writes += 1;
                carry_out(model, &txn.what, history, at, stamp);
                return Ok(());
            }
        }
        let wrong = |call, result: &OpResult| Wrong {
            call,
            zxid: txn.zxid,
            expected: spell::result(result.as_ref()),
            observed: txn.what.to_string(),
        };
        if let Some((at, result)) = unlike {
            return Err(wrong(Some(at), &result));
        }
        if !refused {
            self.claims[position] = Claim::Missing(blame(history, txn));
        }
        if let TxnKind::Error { .. } = txn.what {
            model.skip(stamp);
            return Ok(());
        }
        let result = model.write(&as_request(&txn.what), stamp);
        if has_effect(&result, &txn.what) {
            return Ok(());
        }
        Err(wrong(None, &result))
    }

    fn note_triggers(&mut self, model: &Model, txn: &CommittedTxn) {
        let first = self.fired.len();
        for Trigger {
            list,
            kind,
            path,
            acl,
        } in model.triggers()
        {
            let watched = self.watched.get(&**path);
            if watched.is_none() && self.subtrees.is_empty() {
                continue;
            }
            // Gone in one list and in the other: one thing to tell.
            let same = |fired: &Fired| {
                fired.kind == WatchKind::NodeDeleted && !fired.child && fired.path == *path
            };
            let before = match (list, kind) {
                (WatchList::Child, WatchKind::NodeDeleted) => {
                    self.fired[first..].iter().rposition(same)
                }
                _ => None,
            };
            let place = before.map_or(self.fired.len(), |place| first + place);
            if before.is_none() {
                self.fired.push(Fired {
                    zxid: txn.zxid,
                    kind: *kind,
                    path: path.clone(),
                    data: false,
                    child: false,
                    guard: (!grants(acl, Perms::READ, &[])).then(|| acl.clone()),
                });
            }
            let one = (txn.zxid, *kind, place as u32);
            match list {
                WatchList::Data => self.fired[place].data = true,
                WatchList::Child => self.fired[place].child = true,
            }
            if *list == WatchList::Data && !self.subtrees.is_empty() {
                let above = std::iter::successors(Some(&**path), |path| parent_of(path));
                for subtree in above.filter_map(|path| self.subtrees.get(path)) {
                    self.triggers[*subtree as usize].1.within.push(one);
                }
            }
            if let Some(watched) = watched {
                let (_, triggers) = &mut self.triggers[*watched as usize];
                match list {
                    WatchList::Data => triggers.data.push(one),
                    WatchList::Child => triggers.child.push(one),
                }
            }
        }
    }
}

/// Calls `visit` with the paths at which a read leaves watches.
fn each_watched<'a>(op: &'a Op, visit: &mut impl FnMut(&'a ZPath)) {
    match op {
        Op::MultiRead { ops } => ops.iter().for_each(|op| each_watched(op, visit)),
        op => {
            if let Some((_, path)) = watch_of(op, true) {
                visit(path);
            }
        }
    }
}

/// Follows the ephemeral children of the recipes' objects.
struct Contended<'h, 'a> {
    history: &'h History<'a>,
    alive: Lookup<ZPath, u32>,
    all: Vec<Contender>,
}

impl<'h, 'a> Contended<'h, 'a> {
    fn new(history: &'h History<'a>) -> Contended<'h, 'a> {
        Contended {
            history,
            alive: Lookup::default(),
            all: Vec::new(),
        }
    }

    fn note(&mut self, model: &Model, txn: &CommittedTxn) {
        if self.history.objects.is_empty() {
            return;
        }
        for Trigger {
            list, kind, path, ..
        } in model.triggers()
        {
            let lives = matches!(kind, WatchKind::NodeCreated | WatchKind::NodeDeleted);
            if *list != WatchList::Data || !lives {
                continue;
            }
            let Some(object) = parent_of(path).and_then(|above| self.history.object(above)) else {
                continue;
            };
            match kind {
                WatchKind::NodeCreated => {
                    let owner = model.owner_of(path).unwrap_or_default();
                    if owner != SessionId::NONE {
                        self.alive.insert(path.clone(), self.all.len() as u32);
                        self.all.push(Contender {
                            path: path.clone(),
                            object,
                            owner,
                            made: txn.zxid,
                            gone: None,
                            with_session: false,
                        });
                    }
                }
                WatchKind::NodeDeleted => {
                    if let Some(at) = self.alive.remove(path) {
                        let contender = &mut self.all[at as usize];
                        contender.gone = Some(txn.zxid);
                        contender.with_session = txn.what == TxnKind::CloseSession;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Where the replay stands among the calls of a session.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// Behind the last update that was answered before the transaction in hand.
    base: usize,
    /// Behind the last call that was taken for a transaction.
    taken: usize,
}

/// The calls of the session between its last update before `zxid` and its first call answered at or after it: moves the cursor
/// to where they begin, and returns where they end. A read in between may have been answered at an older state: by a server
/// that the session moved to and that was behind.
fn gap_around(history: &History<'_>, slot: usize, base: &mut usize, zxid: Zxid) -> usize {
    let made = &history.sessions[slot].made;
    let mut end = *base;
    while let Some(at) = made.get(end) {
        let call = &history.calls[*at as usize];
        if call.is_definite() {
            if call.zxid >= zxid {
                break;
            }
            if call.is_update() {
                *base = end + 1;
            }
        }
        end += 1;
    }
    end
}

/// Does what was found to be legal.
fn carry_out(model: &mut Model, what: &TxnKind, history: &History<'_>, at: u32, stamp: Stamp) {
    if let TxnKind::Error { .. } = what {
        model.skip(stamp);
    } else {
        let call = &history.calls[at as usize];
        // Its answer was looked at before.
        let _ = write_judged(model, history, call, stamp, |result| {
            has_effect(result, what)
        });
    }
}

/// Whether the reason is outside the tree: its session was over or had moved to another connection, or the ensemble could not
/// change its members. Where the client was told so, no state
/// of the tree explains it.
pub(crate) fn is_turned_away(what: &TxnKind) -> bool {
    use ErrorCode::{NewConfigNoQuorum, ReconfigInProgress, SessionExpired, SessionMoved};
    matches!(
        what,
        TxnKind::Error {
            code: SessionExpired | SessionMoved | NewConfigNoQuorum | ReconfigInProgress
        }
    )
}

fn is_failure(result: &OpResult) -> bool {
    matches!(result, Err(_) | Ok(Reply::MultiFailed { .. }))
}

/// Where the log says that it failed, whether it says so for the model's reason.
fn same_error(result: &OpResult, what: &TxnKind) -> bool {
    match (result, what) {
        (Err(expected), TxnKind::Error { code }) => expected == code,
        (Ok(Reply::MultiFailed { errors }), TxnKind::Error { code }) => {
            errors.iter().find(|error| **error != ErrorCode::Ok) == Some(code)
        }
        _ => true,
    }
}

/// Whether the transaction may be that of an unanswered call. Its number settles it, where the client knew it: a program that
/// repeats a lost request sends the same again, and only the number tells them apart.
fn could_be(call: &Call<'_>, txn: &CommittedTxn) -> bool {
    call.is_unknown()
        && (call.xid == Xid(0) || call.xid == txn.cxid)
        && txn.what.is_effect_of(call.op())
}

fn blame(history: &History<'_>, txn: &CommittedTxn) -> Blame {
    let Some(slot) = history.slot(txn.session) else {
        return Blame::Nobody;
    };
    // Most requests could have failed: that says nothing.
    if let TxnKind::Error { .. } = txn.what {
        return Blame::Nobody;
    }
    let made = &history.sessions[slot].made;
    let find = |fits: &dyn Fn(&Call<'_>) -> bool| {
        made.iter()
            .copied()
            .find(|at| fits(&history.calls[*at as usize]))
    };
    if let Some(call) = find(&|call| could_be(call, txn)) {
        Blame::OutOfOrder(call)
    } else if let Some(call) =
        find(&|call| call.outcome() == Outcome::Unsent && txn.what.is_effect_of(call.op()))
    {
        Blame::Unsent(call)
    } else if let Some(call) = find(&|call| call.is_definite() && txn.what.is_effect_of(call.op()))
    {
        Blame::Twice(call)
    } else {
        Blame::Nobody
    }
}

/// Whether the model's result is what the log says: failed or not, and the paths with their sequence numbers.
fn has_effect(result: &OpResult, what: &TxnKind) -> bool {
    match (result, what) {
        (Err(_) | Ok(Reply::MultiFailed { .. }), what) => matches!(what, TxnKind::Error { .. }),
        (Ok(Reply::Created { path, .. }), TxnKind::Create { path: logged, .. }) => path == logged,
        (Ok(Reply::Multi { results }), TxnKind::Multi { parts }) => {
            results.len() == parts.len()
                && results
                    .iter()
                    .zip(parts)
                    .all(|(reply, part)| reply_has_effect(reply, part))
        }
        (Ok(reply), what) => reply_has_effect(reply, what),
    }
}

fn reply_has_effect(reply: &Reply, what: &TxnKind) -> bool {
    match (reply, what) {
        (Reply::Created { path, .. }, TxnKind::Create { path: logged, .. }) => path == logged,
        (Reply::Deleted, TxnKind::Delete { .. })
        | (Reply::Set { .. } | Reply::Reconfigured { .. }, TxnKind::SetData { .. })
        | (Reply::AclSet { .. }, TxnKind::SetAcl { .. })
        | (Reply::Checked, TxnKind::Check { .. })
        | (Reply::Closed, TxnKind::CloseSession) => true,
        _ => false,
    }
}

/// The request that has exactly this effect.
fn as_request(what: &TxnKind) -> Op {
    match what {
        TxnKind::Create {
            path,
            data,
            ephemeral,
            life,
        } => Op::Create {
            path: path.clone(),
            data: data.clone(),
            mode: match life {
                Life::Container => CreateMode::Container,
                Life::Ttl(ttl_ms) => CreateMode::PersistentWithTtl { ttl_ms: *ttl_ms },
                Life::Unbound if *ephemeral => CreateMode::Ephemeral,
                Life::Unbound => CreateMode::Persistent,
            },
            with_stat: false,
            acl: Acl::OPEN,
        },
        TxnKind::Delete { path } => Op::Delete {
            path: path.clone(),
            version: -1,
        },
        TxnKind::SetData { path, data } => Op::SetData {
            path: path.clone(),
            data: data.clone(),
            version: -1,
        },
        TxnKind::SetAcl { path, acl } => Op::SetAcl {
            path: path.clone(),
            acl: acl.clone(),
            version: -1,
        },
        TxnKind::Check { path } => Op::Check {
            path: path.clone(),
            version: -1,
        },
        TxnKind::Multi { parts } => Op::Multi {
            ops: parts.iter().map(as_request).collect(),
        },
        TxnKind::CreateSession { .. } | TxnKind::CloseSession | TxnKind::Error { .. } => {
            Op::CloseSession
        }
    }
}
