//! The committed log, reconstructed from what the clients saw.
//!
//! A reply's header names the transaction of an update, and within an epoch each transaction takes the next zxid. So the log
//! is known but for gaps: a gap of `k` zxids holds `k` transactions that no reply names. They are updates whose reply was
//! lost, or the servers' own: sessions made and ended, containers removed. The log is replayed through the reference model in
//! the order of the zxids; at each gap what may lie there is tried, the first that fits first:
//!
//! - an update of unknown outcome: sent after everything that had been seen when it was called, before the next answered
//!   update of its session, and of one connection the first ones only. It succeeds or fails as the model says;
//! - the beginning of a session. They are invisible but to their own session, so the one that is needed first is taken first;
//! - the end of a session that is not heard of again; the removal of a container that has been emptied, also one that comes
//!   too late and fails;
//! - of a client that has no session: one that was made for it and that it never heard of.
//!
//! What somebody saw of a gap (a `czxid`, an `mzxid`, a `pzxid`, the zxid of a watch event) must have happened there. Where
//! a later answer contradicts what was tried, the replay goes back to the last choice and takes the next. Two choices that
//! have left the same state behind are one. An update of unknown outcome that nothing needs is left out: the log that
//! is found is one that explains everything, not the one that the servers have.
//!
//! The tail of an epoch is open: behind the last zxid that anybody named, updates may have been committed that only
//! a later state shows. They are tried last.
//!
//! Whoever tries everything in vain has a proof that there is no such log, as long as the effort lasts; then "unknown".

use super::known::{Known, Loose};
use crate::checks::history::History;
use crate::checks::judge::{could_answer, write_judged};
use crate::reference::{Fnv, Model, Rights, Settings, Stamp, Trigger};
use crate::witness::life_of;
use crate::witness::{CommittedTxn, TxnKind, Witness};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use zabsim_types::{ErrorCode, Op, OpResult, Reply, SessionId, Xid, ZPath, Zxid};

/// What came of the attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fill {
    /// The log explains every update and every read.
    Whole,
    /// Nothing explains what was seen at that transaction.
    Torn {
        /// Where.
        zxid: Zxid,
        /// What is wrong there.
        why: String,
    },
    /// The effort was spent.
    Unknown {
        /// How far the replay came.
        zxid: Zxid,
    },
}

/// The log and what was needed to find it.
#[derive(Clone, PartialEq, Debug)]
pub struct Filled {
    /// The log; where there is none, the one that explains the most, and behind that what the replies say.
    pub witness: Witness,
    /// Whether it explains everything.
    pub fill: Fill,
    /// Transactions that no reply names.
    pub gaps: u64,
    /// Updates of unknown outcome.
    pub unknown: u64,
    /// Of them, those that are in the log.
    pub happened: u64,
    /// Transactions replayed, those that were taken back included.
    pub effort: u64,
}

/// What lies in a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Filler {
    /// An update of unknown outcome, as the model answers it.
    Loose(u32),
    /// An update of unknown outcome that the leader turned away for its session's sake.
    TurnedAway(u32),
    /// The next session begins.
    Made,
    /// A session ends.
    Ended(u32),
    /// A container that has been emptied is removed.
    Swept(ZPath),
    /// A container was to be removed, and could not be.
    NotSwept,
    /// A session that nobody heard of begins or ends.
    Stray,
}

/// Where the replay stands.
#[derive(Clone)]
struct State {
    model: Model,
    /// The next slot: epoch and counter.
    at: Zxid,
    /// How many of the known updates lie behind.
    update: usize,
    /// How many of the reads.
    read: usize,
    /// How many transactions of the log there are.
    txns: usize,
    /// How many sessions were made.
    made: usize,
    /// The sessions that the servers ended.
    ended: BTreeSet<u32>,
    /// The updates of unknown outcome that are in the log.
    used: BTreeSet<u32>,
    /// The last state in which there was an emptied container.
    sweepable: Zxid,
    /// Beyond the named end of its epoch: how many more transactions are to come.
    beyond: u32,
}

/// A choice that can be taken back.
struct Choice {
    before: State,
    rest: Vec<Move>,
}

/// Where in the taking of a transaction a state is remembered: one that comes by two of them has not been there twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    Answered,
    Gap,
    Tail,
}

/// How to go on from a choice.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Move {
    /// The transaction at hand is that.
    Put(Filler),
    /// The epoch goes on for one more transaction than anybody named.
    Beyond,
}

struct Search<'h, 'a> {
    history: &'h History<'a>,
    known: &'h Known,
    txns: Vec<CommittedTxn>,
    choices: Vec<Choice>,
    seen: BTreeSet<(Place, Zxid, u32, u64)>,
    effort: u64,
    limit: u64,
    /// The failure that came latest in the log.
    worst: Option<(Zxid, String, Vec<CommittedTxn>, State)>,
    /// Goes on over what is wrong: there is no log, and the checks shall say what is wrong.
    lenient: bool,
    gaps: u64,
    /// Something was taken back: from there on what was seen is remembered.
    went_back: bool,
}

/// That the same was tried in vain before.
const AS_BEFORE: &str = "as before";

/// How often the state is remembered once something was taken back, in transactions.
const MEMORY_EVERY: u64 = 64;

/// A gap of more transactions than that is not looked into once it is known to be unexplained.
const FILLERS_MAX: u64 = 1_000;

/// A failed removal of a container comes soon after the state in which it was empty.
const SWEEP_RACE: u64 = 64;

/// Reconstructs the log. `settings`: what the servers were told; `from_start`: the clients were there from the start of the
/// history, trying to connect; `limit`: how many transactions may be replayed.
pub(crate) fn fill(
    history: &History<'_>,
    settings: &Settings,
    from_start: bool,
    limit: u64,
) -> Filled {
    let known = Known::new(history, from_start);
    let mut search = Search {
        history,
        known: &known,
        txns: Vec::with_capacity(known.updates.len()),
        choices: Vec::new(),
        seen: BTreeSet::new(),
        effort: 0,
        limit,
        worst: None,
        lenient: false,
        gaps: 0,
        went_back: false,
    };
    let start = State {
        model: Model::with(settings.clone()),
        at: Zxid::ZERO,
        update: 0,
        read: 0,
        txns: 0,
        made: 0,
        ended: BTreeSet::new(),
        used: BTreeSet::new(),
        sweepable: Zxid::ZERO,
        beyond: 0,
    };
    let (fill, last) = search.run(start);
    let unknown = known.loose.iter().filter(|loose| !loose.refused).count() as u64;
    let happened = last
        .used
        .iter()
        .filter(|at| !known.loose[**at as usize].refused)
        .count() as u64;
    Filled {
        witness: Witness { txns: search.txns },
        fill,
        gaps: search.gaps,
        unknown,
        happened,
        effort: search.effort,
    }
}

impl State {
    /// Two states of one digest go on alike.
    fn digest(&self) -> u64 {
        let mut hasher = Fnv::default();
        self.model.digest().hash(&mut hasher);
        (self.made, self.read, &self.ended, &self.used).hash(&mut hasher);
        hasher.finish()
    }
}

impl<'a> Search<'_, 'a> {
    fn run(&mut self, start: State) -> (Fill, State) {
        let mut state = start;
        loop {
            let wrong = match self.step(&mut state) {
                Ok(true) => continue,
                Ok(false) => {
                    self.gaps =
                        (self.txns.len() - self.known.updates.len().min(self.txns.len())) as u64;
                    return (Fill::Whole, state);
                }
                Err(wrong) => wrong,
            };
            let deeper = self
                .worst
                .as_ref()
                .is_none_or(|(zxid, ..)| *zxid < state.at);
            if deeper && wrong != AS_BEFORE {
                self.worst = Some((state.at, wrong, self.txns.clone(), state.clone()));
            }
            let out_of_effort = self.effort > self.limit && !self.choices.is_empty();
            if let Some(before) = self.choices.pop().filter(|_| !out_of_effort) {
                state = self.take_back(before);
                continue;
            }
            let (zxid, why, txns, mut state) = self.worst.take().expect("it was just set");
            self.txns = txns;
            self.lenient = true;
            while self.step(&mut state) == Ok(true) {}
            let fill = if out_of_effort {
                Fill::Unknown { zxid }
            } else {
                Fill::Torn { zxid, why }
            };
            return (fill, state);
        }
    }

    /// Goes back to a choice and takes what is next there.
    fn take_back(&mut self, mut choice: Choice) -> State {
        self.went_back = true;
        self.txns.truncate(choice.before.txns);
        let next = choice.rest.remove(0);
        let mut state = if choice.rest.is_empty() {
            choice.before
        } else {
            let state = choice.before.clone();
            self.choices.push(choice);
            state
        };
        match next {
            Move::Put(filler) => self.put(&mut state, &filler),
            Move::Beyond => state.beyond += 1,
        }
        state
    }

    /// Takes the next transaction. Whether there was one; or why there can be none.
    fn step(&mut self, state: &mut State) -> Result<bool, String> {
        let before = state.at;
        let more = self.next_slot(state)?;
        let upto = if more { state.at } else { Zxid::NO_STATE };
        if let Err(wrong) = self.reads_before(state, upto) {
            state.at = before;
            return Err(wrong);
        }
        if !more {
            return Ok(false);
        }
        self.effort += 1;
        match self.known.updates.get(state.update) {
            Some((zxid, call)) if *zxid == state.at => {
                if self.went_back && self.effort.is_multiple_of(MEMORY_EVERY) {
                    self.remember(Place::Answered, state)?;
                }
                state.update += 1;
                self.answered(state, *call)?;
            }
            _ => self.gap(state)?,
        }
        match self.known.lives.get(state.made) {
            Some(life) if life.made_by <= state.at && !self.lenient => Err(format!(
                "session {} was used, and no transaction up to {} can have made it",
                life.session, life.made_by
            )),
            _ => Ok(true),
        }
    }

    /// What led nowhere once leads nowhere again.
    fn remember(&mut self, place: Place, state: &State) -> Result<(), String> {
        let key = (place, state.at, state.beyond, state.digest());
        if self.lenient || self.seen.insert(key) {
            return Ok(());
        }
        Err(AS_BEFORE.to_owned())
    }

    /// Moves on to the next transaction, if there is one: in this epoch or in the next that anybody named.
    fn next_slot(&mut self, state: &mut State) -> Result<bool, String> {
        let (epoch, counter) = (state.at.epoch(), u64::from(state.at.counter()) + 1);
        let named = self.known.epochs.get(&epoch).copied().unwrap_or(0);
        let end = u64::from(named) + u64::from(state.beyond);
        if counter <= end {
            state.at = Zxid::new(epoch, counter as u32);
            if self.lenient {
                // What nobody can explain is not walked through one by one.
                let update = self.known.updates.get(state.update).map(|(zxid, _)| *zxid);
                let goal = update
                    .unwrap_or(Zxid::NO_STATE)
                    .min(Zxid::new(epoch, end as u32));
                if goal.0 - state.at.0 > FILLERS_MAX {
                    state.at = goal;
                }
            }
            return Ok(true);
        }
        let Some((next, _)) = self.known.epochs.range(epoch + 1..).next() else {
            return Ok(false);
        };
        if !self.lenient && self.may_go_on(state) {
            self.remember(Place::Tail, state)?;
            self.choices.push(Choice {
                before: state.clone(),
                rest: vec![Move::Beyond],
            });
        }
        (state.at, state.beyond) = (Zxid::new(*next, 0), 0);
        self.next_slot(state)
    }

    /// Whether the epoch may have gone on behind what anybody named of it: with something that is to be seen later.
    fn may_go_on(&self, state: &State) -> bool {
        let mut next = state.clone();
        next.at = Zxid(state.at.0 + 1);
        !self.fillers(&next, true).is_empty()
    }

    fn reads_before(&mut self, state: &mut State, at: Zxid) -> Result<(), String> {
        while let Some((zxid, call)) = self.known.reads.get(state.read) {
            if *zxid >= at {
                break;
            }
            state.read += 1;
            let call = &self.history.calls[*call as usize];
            let Some(observed) = call.observed() else {
                continue;
            };
            if !self.lenient && !could_answer(&state.model, self.history, call, observed) {
                return Err(format!(
                    "call {} of client {} ({:?}), answered at {zxid}, was not answered from the state there",
                    call.id.0,
                    call.process.0,
                    call.op.kind()
                ));
            }
        }
        Ok(())
    }

    /// A transaction that a reply names.
    fn answered(&mut self, state: &mut State, at: u32) -> Result<(), String> {
        let call = &self.history.calls[at as usize];
        let zxid = state.at;
        let stamp = self.stamp(call.session, zxid);
        let observed = call.observed().expect("it was answered");
        let as_seen = |result: &OpResult| result.as_ref().map_err(|code| *code) == observed;
        let result = write_judged(&mut state.model, self.history, call, stamp, as_seen);
        let fits = as_seen(&result);
        let what = effect(call.op, observed);
        if !state.model.swept_at(i64::MAX).is_empty() {
            state.sweepable = zxid;
        }
        self.push(state, stamp, call.xid, what);
        if fits || self.lenient {
            return Ok(());
        }
        Err(format!(
            "call {} of client {} ({:?}), answered at {zxid}, was not answered as the state there wants",
            call.id.0,
            call.process.0,
            call.op.kind()
        ))
    }

    /// By whose rights a filler is carried out.
    fn rights(&self, filler: &Filler) -> Rights<'_> {
        let ids = match filler {
            Filler::Loose(at) => {
                let call = self.known.loose[*at as usize].call;
                self.history
                    .identities(&self.history.calls[call as usize])
                    .0
            }
            _ => self.history.common(),
        };
        Rights { ids, as_of: None }
    }

    fn stamp(&self, session: SessionId, zxid: Zxid) -> Stamp {
        Stamp {
            session,
            zxid,
            time_ms: self.known.times.get(&zxid).copied().unwrap_or(0),
        }
    }

    fn push(&mut self, state: &mut State, stamp: Stamp, cxid: Xid, what: TxnKind) {
        self.txns.push(CommittedTxn {
            zxid: stamp.zxid,
            session: stamp.session,
            cxid,
            time_ms: stamp.time_ms,
            what,
        });
        state.txns = self.txns.len();
    }

    /// A transaction that no reply names.
    fn gap(&mut self, state: &mut State) -> Result<(), String> {
        let named = self
            .known
            .epochs
            .get(&state.at.epoch())
            .copied()
            .unwrap_or(0);
        let mut fillers = self.fillers(state, state.at.counter() > named);
        if fillers.is_empty() {
            if self.lenient {
                return Ok(());
            }
            return Err(format!(
                "transaction {} happened, and is nobody's: no request without a reply, no session's beginning or end",
                state.at
            ));
        }
        let first = fillers.remove(0);
        if !fillers.is_empty() && !self.lenient {
            self.remember(Place::Gap, state)?;
            self.choices.push(Choice {
                before: state.clone(),
                rest: fillers.into_iter().map(Move::Put).collect(),
            });
        }
        self.put(state, &first);
        Ok(())
    }

    /// What may be the transaction at hand, the likeliest first. Where there need not be one (`idle`), only what leaves a trace
    /// in the tree, or clears the way for what does.
    fn fillers(&self, state: &State, idle: bool) -> Vec<Filler> {
        let (known, at) = (self.known, state.at);
        let mut all = Vec::new();
        let mut away = Vec::new();
        for (place, loose) in known.loose.iter().enumerate() {
            if loose.above >= at || !self.is_next(state, place as u32) {
                continue;
            }
            if loose.refused || loose.moved {
                away.push(Filler::TurnedAway(place as u32));
            }
            if !loose.refused && at < loose.below {
                all.push(Filler::Loose(place as u32));
            }
        }
        if !idle && state.made < known.lives.len() {
            all.push(Filler::Made);
        }
        // A TTL may have run out: what time it was is not known.
        let sweepable = state.model.swept_at(i64::MAX);
        all.extend(sweepable.into_iter().map(Filler::Swept));
        for (place, life) in known.lives.iter().enumerate().take(state.made) {
            let over = life.closes || life.last >= at || state.ended.contains(&(place as u32));
            if !over {
                all.push(Filler::Ended(place as u32));
            }
        }
        if !idle {
            if at.0 - state.sweepable.0 <= SWEEP_RACE {
                all.push(Filler::NotSwept);
            }
            if self.may_be_stray(at) {
                all.push(Filler::Stray);
            }
            all.append(&mut away);
        }
        all.retain(|filler| self.fits(state, filler, idle));
        all
    }

    /// Whether some client had no session while the transaction was made.
    fn may_be_stray(&self, at: Zxid) -> bool {
        let (from, to) = self.known.span_of(at);
        let mut spans = self.known.without_session.iter();
        spans.any(|(start, end)| from <= *end && *start <= to)
    }

    /// Whether the requests sent before it on its connection have been carried out, and none behind it.
    fn is_next(&self, state: &State, at: u32) -> bool {
        let loose = &self.known.loose[at as usize];
        let own = |other: &Loose| other.slot == loose.slot;
        !state.used.contains(&at)
            && state
                .used
                .range(at + 1..)
                .all(|other| !own(&self.known.loose[*other as usize]))
            && self.known.loose[..at as usize]
                .iter()
                .enumerate()
                .rev()
                .take_while(|(_, other)| own(other))
                .all(|(before, other)| {
                    other.conn != loose.conn
                        || other.refused
                        || state.used.contains(&(before as u32))
                })
    }

    /// Whether it could be carried out there, and leaves the traces that were seen.
    fn fits(&self, state: &State, filler: &Filler, idle: bool) -> bool {
        let mut trial = state.model.clone();
        let (stamp, _, op) = self.means(state, filler);
        let traces = self.known.traces_at(state.at);
        match (filler, op) {
            (_, Some(op)) => {
                if stamp.session != SessionId::NONE && !trial.has_session(stamp.session) {
                    return false;
                }
                let _ = trial.write_as(&op, stamp, self.rights(filler));
            }
            (Filler::Ended(_), None) => trial.close_session(stamp),
            _ => return traces.is_empty(),
        }
        let triggers = trial.triggers();
        if idle && triggers.is_empty() && trial.digest() == state.model.digest() {
            // Only for what was sent behind it on its connection.
            let Filler::Loose(at) = filler else {
                return false;
            };
            let next = self.known.loose.get(*at as usize + 1);
            let loose = &self.known.loose[*at as usize];
            return next.is_some_and(|next| (next.slot, next.conn) == (loose.slot, loose.conn));
        }
        traces.iter().all(|trace| {
            let same = |trigger: &Trigger| trigger.kind == trace.kind && trigger.path == trace.path;
            triggers.iter().any(same)
        })
    }

    /// Who asks, by which number, for what.
    fn means(&self, state: &State, filler: &Filler) -> (Stamp, Xid, Option<Cow<'a, Op>>) {
        let zxid = state.at;
        match filler {
            Filler::Loose(at) | Filler::TurnedAway(at) => {
                let call = &self.history.calls[self.known.loose[*at as usize].call as usize];
                let op = matches!(filler, Filler::Loose(_)).then_some(Cow::Borrowed(call.op));
                (self.stamp(call.session, zxid), call.xid, op)
            }
            Filler::Made => (
                self.stamp(self.known.lives[state.made].session, zxid),
                Xid(0),
                None,
            ),
            Filler::Ended(at) => (
                self.stamp(self.known.lives[*at as usize].session, zxid),
                Xid(0),
                None,
            ),
            Filler::Swept(path) => {
                let op = Op::DeleteContainer { path: path.clone() };
                (
                    self.stamp(SessionId::NONE, zxid),
                    Xid(0),
                    Some(Cow::Owned(op)),
                )
            }
            Filler::NotSwept => (self.stamp(SessionId::NONE, zxid), Xid(0), None),
            Filler::Stray => (self.stamp(stray(zxid), zxid), Xid(0), None),
        }
    }

    fn put(&mut self, state: &mut State, filler: &Filler) {
        let (stamp, xid, op) = self.means(state, filler);
        let what = match filler {
            Filler::Loose(_) | Filler::Swept(_) => {
                if let Filler::Loose(at) = filler {
                    state.used.insert(*at);
                }
                let op = op.expect("a request");
                let result = state.model.write_as(&op, stamp, self.rights(filler));
                effect(&op, result.as_ref().map_err(|code| *code))
            }
            Filler::TurnedAway(at) => {
                state.used.insert(*at);
                state.model.skip(stamp);
                TxnKind::Error {
                    code: ErrorCode::SessionMoved,
                }
            }
            Filler::Made => {
                let timeout_ms = self.known.lives[state.made].timeout_ms;
                state.made += 1;
                state.model.create_session(stamp);
                TxnKind::CreateSession { timeout_ms }
            }
            Filler::Ended(at) => {
                state.ended.insert(*at);
                state.model.close_session(stamp);
                TxnKind::CloseSession
            }
            Filler::NotSwept => {
                state.model.skip(stamp);
                TxnKind::Error {
                    code: ErrorCode::NotEmpty,
                }
            }
            Filler::Stray => {
                state.model.create_session(stamp);
                TxnKind::CreateSession { timeout_ms: 0 }
            }
        };
        self.push(state, stamp, xid, what);
    }
}

/// A session that no client knows.
fn stray(zxid: Zxid) -> SessionId {
    SessionId(i64::MIN | zxid.0 as i64)
}

/// What a request that was answered so did.
pub(super) fn effect(op: &Op, result: Result<&Reply, ErrorCode>) -> TxnKind {
    match (op, result) {
        (_, Err(code)) => TxnKind::Error { code },
        (_, Ok(Reply::MultiFailed { errors })) => TxnKind::Error {
            code: errors
                .iter()
                .copied()
                .find(|code| *code != ErrorCode::Ok)
                .unwrap_or(ErrorCode::RuntimeInconsistency),
        },
        (Op::Multi { ops }, Ok(Reply::Multi { results })) => TxnKind::Multi {
            parts: ops
                .iter()
                .zip(results)
                .map(|(op, reply)| effect(op, Ok(reply)))
                .collect(),
        },
        (Op::Create { data, mode, .. }, Ok(Reply::Created { path, .. })) => TxnKind::Create {
            path: path.clone(),
            data: data.clone(),
            ephemeral: mode.is_ephemeral(),
            life: life_of(*mode),
        },
        (Op::Delete { path, .. }, _) => TxnKind::Delete { path: path.clone() },
        (Op::SetData { path, data, .. }, _) => TxnKind::SetData {
            path: path.clone(),
            data: data.clone(),
        },
        (Op::DeleteContainer { path }, _) => TxnKind::Delete { path: path.clone() },
        (Op::SetAcl { path, acl, .. }, _) => TxnKind::SetAcl {
            path: path.clone(),
            acl: acl.clone(),
        },
        (Op::Check { path, .. }, _) => TxnKind::Check { path: path.clone() },
        (Op::CloseSession, _) => TxnKind::CloseSession,
        _ => TxnKind::Error {
            code: ErrorCode::Unimplemented,
        },
    }
}
