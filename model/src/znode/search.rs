//! The search for a log: the replay, and where something can be chosen, the choices and the way back.
//!
//! A failure is found at the transaction at which it arises, and depends on nothing but the state there (`Search::digest`): so a
//! state that led nowhere once leads nowhere again, and whoever has tried everything has proven that there is no log.

mod failure;

pub(super) use failure::{Failure, Why, first_path};

use super::ahead::Ahead;
use super::fill::Fill;
use super::fillers::{Filler, SWEEP_RACE, effect};
use super::known::{Known, Trace};
use super::part::sessions;
use super::quiet::Quiet;
use crate::checks::history::History;
use crate::checks::judge::{could_answer, write_judged};
use crate::reference::{Fnv, Mark, Model, Rights, Settings, Stamp, Trigger};
use crate::witness::{CommittedTxn, TxnKind};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use zabsim_types::{OpResult, SessionId, Xid, ZPath, Zxid};

/// Where the replay stands.
#[derive(Clone, Copy)]
pub(super) struct State {
    /// The next slot: epoch and counter.
    pub at: Zxid,
    /// How many of the known updates lie behind.
    pub update: usize,
    /// How many of the reads.
    read: usize,
    /// How many sessions were made.
    pub made: usize,
    /// The last state in which there was an emptied container.
    pub sweepable: Zxid,
    /// Beyond the named end of its epoch: how many more transactions are to come.
    beyond: u32,
}

/// A choice that can be taken back.
struct Choice {
    before: State,
    model: Mark,
    txns: usize,
    /// What is left to try, the next one last.
    rest: Vec<Move>,
}

/// How to go on from a choice.
enum Move {
    /// The transaction at hand is that.
    Put(Filler),
    /// The epoch goes on for one more transaction than anybody named.
    Beyond,
}

/// Where in the taking of a transaction a state is remembered: one that comes by two of them has not been there twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    Answered,
    Gap,
    Tail,
}

/// The failure that came latest in the log, and what had been chosen up to there.
struct Worst {
    failure: Failure,
    taken: Vec<(usize, Filler)>,
    /// How far each epoch went on behind what anybody named of it.
    beyond: BTreeMap<u32, u32>,
}

pub(super) struct Search<'h, 'a> {
    pub history: &'h History<'a>,
    pub known: &'h Known,
    settings: &'h Settings,
    pub model: Model,
    pub txns: Vec<CommittedTxn>,
    /// What was put into gaps, each with its place in the log.
    pub taken: Vec<(usize, Filler)>,
    /// The updates of unknown outcome that are in the log.
    pub used: BTreeSet<u32>,
    /// The sessions that the servers ended.
    pub ended: BTreeSet<u32>,
    /// Where the search stands; `None` before it begins and when it is over.
    state: Option<State>,
    choices: Vec<Choice>,
    /// How often it failed at each node.
    failures: BTreeMap<ZPath, u64>,
    seen: BTreeSet<(Place, Zxid, u32, u64)>,
    pub effort: u64,
    limit: u64,
    worst: Option<Worst>,
    /// How the failure that came latest is reached again.
    follow: Option<Worst>,
    /// Goes on over what is wrong: there is no log, and the checks shall say what is wrong.
    pub lenient: bool,
    /// What later answers say; from the second attempt on.
    pub ahead: Option<Ahead>,
    /// Where nothing can have fired unless a watch was lost; until there is no such log.
    pub quiet: Option<Quiet>,
    /// Whether something was not tried because of that. Whoever asks what fits may not change the search.
    pub hushed: Cell<bool>,
    /// What was not tried last because of that.
    pub unheard: Cell<Option<Trace>>,
    /// Something was taken back: from there on what was seen is remembered.
    went_back: bool,
    /// Whether anything could have been chosen otherwise.
    chose: bool,
    /// Not everything was tried in which no watch was lost.
    cut_short: bool,
    /// Nothing that was seen is remembered.
    forgets: bool,
    /// Goes back to what has to do with the failure, and has gone over something else.
    jumps: bool,
    jumped: bool,
    /// Whether the run came to a quiet end: then the sessions that clients were told have expired have.
    pub is_over: bool,
}

/// What else a log must be.
pub(super) type Accepts<'f> = &'f mut dyn FnMut(&[CommittedTxn]) -> bool;

/// How often the state is remembered once something was taken back, in transactions.
const MEMORY_EVERY: u64 = 64;

/// A gap of more transactions than that is not looked into once it is known to be unexplained.
const FILLERS_MAX: u64 = 1_000;

impl<'h, 'a> Search<'h, 'a> {
    pub fn new(
        history: &'h History<'a>,
        known: &'h Known,
        settings: &'h Settings,
        limit: u64,
    ) -> Search<'h, 'a> {
        Search {
            history,
            known,
            settings,
            model: empty(history, known, settings),
            txns: Vec::with_capacity(known.updates.len()),
            taken: Vec::new(),
            used: BTreeSet::new(),
            ended: BTreeSet::new(),
            state: None,
            choices: Vec::new(),
            failures: BTreeMap::new(),
            seen: BTreeSet::new(),
            effort: 0,
            limit,
            worst: None,
            follow: None,
            lenient: false,
            ahead: None,
            quiet: Some(Quiet::new(history)),
            hushed: Cell::new(false),
            unheard: Cell::new(None),
            went_back: false,
            chose: false,
            cut_short: false,
            forgets: false,
            jumps: true,
            jumped: false,
            is_over: false,
        }
    }

    /// How many transactions no reply names.
    pub fn gaps(&self) -> u64 {
        self.taken.len() as u64
    }

    /// Whether something can be taken back.
    pub fn has_choices(&self) -> bool {
        !self.choices.is_empty()
    }

    fn start_over(&mut self) -> State {
        self.model = empty(self.history, self.known, self.settings);
        self.txns.clear();
        self.taken.clear();
        self.used.clear();
        self.ended.clear();
        self.choices.clear();
        State {
            at: Zxid::ZERO,
            update: 0,
            read: 0,
            // Of a part of a history only the sessions' ends matter.
            made: if self.known.is_part {
                self.known.lives.len()
            } else {
                0
            },
            sweepable: Zxid::ZERO,
            beyond: 0,
        }
    }

    /// Goes on until the log is found, or cannot be, or so many transactions were replayed: then `None`.
    pub fn run(&mut self, until: u64) -> Option<Fill> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.start_over(),
        };
        loop {
            if self.effort > until && self.ahead.is_some() {
                self.state = Some(state);
                return None;
            }
            if self.is_too_long() {
                let zxid = state.at;
                self.give_up();
                return Some(Fill::Unknown { zxid });
            }
            let why = match self.step(&mut state) {
                Ok(true) => continue,
                Ok(false) => {
                    self.end(&mut state);
                    return Some(Fill::Whole);
                }
                Err(why) => why,
            };
            let about = self.failed(state.at, why);
            let out_of_effort = self.effort > self.limit;
            // Half of it is for a log in which a watch was lost.
            let hushed = self.hushed.get() && self.quiet.is_some();
            let enough = out_of_effort || hushed && self.effort > self.limit / 2;
            if self.ahead.is_none() && self.chose && !enough {
                self.ahead = Some(Ahead::new(self.history, &self.known.loose));
                state = self.start_over();
                continue;
            }
            if self.jumps && self.effort > self.limit / 4 {
                // That was not promising.
                self.jumped |= !self.choices.is_empty();
                self.choices.clear();
            }
            if let Some(before) = self.way_back(about.as_ref()).filter(|_| !enough) {
                state = self.take_back(before);
                continue;
            }
            if self.jumps && self.jumped && !enough {
                // Now everything, the last choice first.
                self.jumps = false;
                self.seen.clear();
                state = self.start_over();
                continue;
            }
            if hushed && !out_of_effort {
                // Then a watch was lost, and the checks shall have a log to say so.
                self.cut_short |= enough;
                self.listen();
                state = self.start_over();
                continue;
            }
            let zxid = self
                .worst
                .as_ref()
                .map_or(state.at, |worst| worst.failure.zxid);
            self.give_up();
            return Some(if out_of_effort && self.chose {
                Fill::Unknown { zxid }
            } else {
                Fill::Torn { zxid }
            });
        }
    }

    /// Whether there are more transactions in the gaps than may be tried: a zxid far beyond all others makes a gap without end, and
    /// clients without a session could fill it.
    fn is_too_long(&self) -> bool {
        let more = self.txns.len().saturating_sub(self.known.updates.len());
        more as u64 > self.limit
    }

    /// What must have happened some day: the beginnings of the sessions that clients were told of and that nothing names, and
    /// the ends of those that clients were told of, where the servers had the time. Nobody saw any of it.
    fn end(&mut self, state: &mut State) {
        let all = &self.known.lives;
        for life in all.iter().skip(state.made) {
            if life.connected == u32::MAX || self.settings.local_sessions {
                continue;
            }
            state.at = Zxid(state.at.0 + 1);
            let stamp = self.stamp(life.session, state.at);
            self.model.create_session(stamp);
            let timeout_ms = life.timeout_ms;
            self.push(stamp, Xid(0), TxnKind::CreateSession { timeout_ms });
        }
        let is_over = self.is_over;
        for life in all.iter().filter(|life| life.expired && is_over) {
            let session = life.session;
            if self.model.has_session(session) && !self.model.is_local(session) {
                state.at = Zxid(state.at.0 + 1);
                let stamp = self.stamp(session, state.at);
                self.model.close_session(stamp);
                self.push(stamp, Xid(0), TxnKind::CloseSession);
            }
        }
    }

    /// From now on a log may be one in which a watch was lost.
    fn listen(&mut self) {
        self.quiet = None;
        self.seen.clear();
        self.worst = None;
        (self.jumps, self.jumped) = (true, false);
    }

    /// Takes the log that explains the most, and goes on behind it over whatever is wrong.
    pub fn give_up(&mut self) {
        self.follow = self.worst.take();
        self.lenient = true;
        let mut state = self.start_over();
        while self.step(&mut state) == Ok(true) {}
    }

    /// Tries everything there is. Why there is no log; `None` where there is one, and one that is accepted. Where the effort is
    /// beyond the limit afterwards, not everything was tried.
    pub fn exhaust(&mut self, mut accepts: Option<Accepts<'_>>) -> Option<Failure> {
        self.ahead = Some(Ahead::new(self.history, &self.known.loose));
        // What is accepted may depend on more than the state.
        self.forgets = accepts.is_some();
        let mut state = self.start_over();
        loop {
            let why = match self.step(&mut state) {
                Ok(true) if self.is_too_long() => Why::Refused,
                Ok(true) => continue,
                Ok(false) => {
                    let accepts = accepts.as_deref_mut()?;
                    if !self.known.is_part {
                        self.end(&mut state);
                        // To judge a log costs what it costs to replay it.
                        self.effort += self.txns.len() as u64;
                    }
                    if accepts(&self.txns) {
                        return None;
                    }
                    Why::Refused
                }
                Err(why) => why,
            };
            self.failed(state.at, why);
            match self.choices.pop().filter(|_| self.effort <= self.limit) {
                Some(before) => state = self.take_back(before),
                None => return self.worst.take().map(|worst| worst.failure),
            }
        }
    }

    fn here(&self, failure: Failure) -> Worst {
        let mut beyond: BTreeMap<u32, u32> = BTreeMap::new();
        for (at, _) in &self.taken {
            let at = self.txns[*at].zxid;
            if let Some(more) = at.counter().checked_sub(self.named(at.epoch())) {
                beyond.insert(at.epoch(), more);
            }
        }
        Worst {
            failure,
            taken: self.taken.clone(),
            beyond,
        }
    }

    /// Goes back to a choice and takes what is next there.
    fn take_back(&mut self, mut choice: Choice) -> State {
        self.went_back = true;
        self.model.back_to(choice.model);
        self.txns.truncate(choice.txns);
        self.untake(choice.txns);
        let next = choice.rest.pop().expect("a choice has something left");
        let mut state = choice.before;
        if !choice.rest.is_empty() {
            self.choices.push(choice);
        }
        match next {
            Move::Put(filler) => self.put(&mut state, &filler),
            Move::Beyond => state.beyond += 1,
        }
        state
    }

    /// Remembers that there is more to try here.
    fn choose(&mut self, state: &State, rest: Vec<Move>) {
        self.chose = true;
        if self.ahead.is_none() || self.lenient {
            return;
        }
        self.model.keep_journal();
        self.choices.push(Choice {
            before: *state,
            model: self.model.mark(),
            txns: self.txns.len(),
            rest,
        });
    }

    /// Takes the next transaction. Whether there was one; or why there can be none.
    fn step(&mut self, state: &mut State) -> Result<bool, Why> {
        let more = self.next_slot(state)?;
        let upto = if more { state.at } else { Zxid::NO_STATE };
        self.reads_before(state, upto)?;
        if !more {
            return Ok(false);
        }
        self.effort += 1;
        if self.known.foreign.binary_search(&state.at).is_ok() {
            return Ok(true);
        }
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
            Some(life) if life.made_by <= state.at && !self.lenient => Err(Why::Unmade {
                session: life.session,
            }),
            _ => Ok(true),
        }
    }

    /// What led nowhere once leads nowhere again.
    fn remember(&mut self, place: Place, state: &State) -> Result<(), Why> {
        if self.lenient || self.forgets || !self.went_back {
            return Ok(());
        }
        let key = (place, state.at, state.beyond, self.digest(state));
        if self.seen.insert(key) {
            return Ok(());
        }
        Err(Why::AsBefore)
    }

    /// Two states of one digest go on alike.
    fn digest(&self, state: &State) -> u64 {
        let mut hasher = Fnv::default();
        self.model.digest().hash(&mut hasher);
        let swept = state.at.0 - state.sweepable.0 <= SWEEP_RACE;
        let swept = swept.then_some(state.sweepable);
        (state.made, state.read, &self.ended, &self.used, swept).hash(&mut hasher);
        hasher.finish()
    }

    /// The last transaction that anybody named of the epoch.
    fn named(&self, epoch: u32) -> u32 {
        self.known.epochs.get(&epoch).copied().unwrap_or(0)
    }

    /// Moves on to the next transaction, if there is one: in this epoch or in the next that anybody named.
    fn next_slot(&mut self, state: &mut State) -> Result<bool, Why> {
        let (epoch, counter) = (state.at.epoch(), u64::from(state.at.counter()) + 1);
        let beyond = match &self.follow {
            Some(worst) => worst.beyond.get(&epoch).copied().unwrap_or(0),
            None => state.beyond,
        };
        let end = u64::from(self.named(epoch)) + u64::from(beyond);
        if counter <= end {
            state.at = Zxid::new(epoch, counter as u32);
            if self.lenient {
                // What nobody can explain is not walked through one by one.
                let update = self.known.updates.get(state.update).map(|(zxid, _)| *zxid);
                let goal = update
                    .unwrap_or(Zxid::NO_STATE)
                    .min(Zxid::new(epoch, end as u32));
                // In what is no history the next update may be one that was passed.
                if goal.0.saturating_sub(state.at.0) > FILLERS_MAX {
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
            self.choose(state, vec![Move::Beyond]);
        }
        (state.at, state.beyond) = (Zxid::new(*next, 0), 0);
        self.next_slot(state)
    }

    /// Whether the epoch may have gone on behind what anybody named of it: with something that is to be seen later.
    fn may_go_on(&mut self, state: &State) -> bool {
        let mut next = *state;
        next.at = Zxid(state.at.0 + 1);
        !self.fillers(&next, true).is_empty()
    }

    fn reads_before(&mut self, state: &mut State, at: Zxid) -> Result<(), Why> {
        while let Some((zxid, read)) = self.known.reads.get(state.read) {
            if *zxid >= at {
                break;
            }
            state.read += 1;
            let call = &self.history.calls[*read as usize];
            let Some(observed) = call.observed() else {
                continue;
            };
            if !self.lenient && !could_answer(&self.model, self.history, call, observed) {
                let rights = Rights {
                    ids: self.history.identities(call).0,
                    as_of: None,
                };
                let expected = || self.model.read_as(call.op(), call.session, rights);
                let expected = self.is_latest(*zxid).then(expected);
                state.at = *zxid;
                return Err(Why::Answer {
                    call: *read,
                    expected,
                });
            }
        }
        Ok(())
    }

    /// A transaction that a reply names.
    fn answered(&mut self, state: &mut State, at: u32) -> Result<(), Why> {
        let call = &self.history.calls[at as usize];
        let zxid = state.at;
        let stamp = self.stamp(call.session, zxid);
        let observed = call.observed().expect("it was answered");
        let as_seen = |result: &OpResult| result.as_ref().map_err(|code| *code) == observed;
        let result = write_judged(&mut self.model, self.history, call, stamp, as_seen);
        let fits = as_seen(&result);
        let what = effect(call.op(), observed);
        if self.model.has_sweepable() {
            state.sweepable = zxid;
        }
        self.push(stamp, call.xid, what);
        if self.lenient {
            return Ok(());
        }
        if !fits {
            let expected = Some(result);
            return Err(Why::Answer { call: at, expected });
        }
        self.heard(zxid)
    }

    /// Holds what an answered transaction changed against what the watches of it were told. What is changed may depend on what
    /// was chosen before: which nodes a session's end removes, whether a node was there.
    fn heard(&self, zxid: Zxid) -> Result<(), Why> {
        let Some(quiet) = &self.quiet else {
            return Ok(());
        };
        let triggers = self.model.triggers();
        let fired = |trace: &&Trace| {
            let same = |trigger: &Trigger| trigger.kind == trace.kind && trigger.path == trace.path;
            !triggers.iter().any(same)
        };
        let wrong = match self.known.told_at(zxid).iter().find(fired) {
            Some(trace) => Why::Untrue(trace.clone()),
            None => {
                let forbidden = |trigger: &&Trigger| quiet.forbids(zxid, trigger, self.history);
                let Some(trigger) = triggers.iter().find(forbidden) else {
                    return Ok(());
                };
                Why::Untold(Trace {
                    zxid,
                    kind: trigger.kind,
                    path: trigger.path.clone(),
                })
            }
        };
        self.hushed.set(true);
        Err(wrong)
    }

    pub(super) fn stamp(&self, session: SessionId, zxid: Zxid) -> Stamp {
        Stamp {
            session,
            zxid,
            time_ms: self.known.times.get(&zxid).copied().unwrap_or(0),
        }
    }

    pub(super) fn push(&mut self, stamp: Stamp, cxid: Xid, what: TxnKind) {
        self.txns.push(CommittedTxn {
            zxid: stamp.zxid,
            session: stamp.session,
            cxid,
            time_ms: stamp.time_ms,
            what,
        });
    }

    /// A transaction that no reply names.
    fn gap(&mut self, state: &mut State) -> Result<(), Why> {
        if let Some(worst) = &self.follow
            && let Some((at, filler)) = worst.taken.get(self.taken.len())
            && *at == self.txns.len()
        {
            let filler = filler.clone();
            self.put(state, &filler);
            return Ok(());
        }
        let mut fillers = self.fillers(state, state.at.counter() > self.named(state.at.epoch()));
        if fillers.is_empty() {
            if self.lenient {
                return Ok(());
            }
            let unheard = self.unheard.take().filter(|trace| trace.zxid == state.at);
            return Err(unheard.map_or(Why::Nobodys, Why::Untold));
        }
        let first = fillers.remove(0);
        if !fillers.is_empty() {
            self.remember(Place::Gap, state)?;
            self.choose(state, fillers.into_iter().rev().map(Move::Put).collect());
        }
        self.put(state, &first);
        Ok(())
    }
}

/// The state before the first transaction. Sessions that only their servers know are in no log.
fn empty(history: &History<'_>, known: &Known, settings: &Settings) -> Model {
    let mut model = Model::with(settings.clone());
    if known.is_part {
        for session in sessions(history, known) {
            model.create_session(Stamp {
                session,
                zxid: Zxid::ZERO,
                time_ms: 0,
            });
        }
    }
    if settings.local_sessions {
        for session in &history.sessions {
            if session.session != SessionId::NONE {
                model.meet_local(session.session);
            }
        }
    }
    model
}
