//! The search for a log: the replay, and where something can be chosen, the choices and the way back.

use super::ahead::Ahead;
use super::fill::Fill;
use super::fillers::{Filler, effect};
use super::known::Known;
use super::quiet::Quiet;
use crate::checks::history::History;
use crate::checks::judge::{could_answer, write_judged};
use crate::reference::{Fnv, Mark, Model, Settings, Stamp};
use crate::witness::{CommittedTxn, TxnKind};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use zabsim_types::{OpResult, SessionId, Xid, Zxid};

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

const START: State = State {
    at: Zxid::ZERO,
    update: 0,
    read: 0,
    made: 0,
    sweepable: Zxid::ZERO,
    beyond: 0,
};

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
    zxid: Zxid,
    why: String,
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
    choices: Vec<Choice>,
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
    /// Something was taken back: from there on what was seen is remembered.
    went_back: bool,
    /// Whether anything could have been chosen otherwise.
    chose: bool,
}

/// That the same was tried in vain before.
const AS_BEFORE: &str = "as before";

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
            model: empty(history, settings),
            txns: Vec::with_capacity(known.updates.len()),
            taken: Vec::new(),
            used: BTreeSet::new(),
            ended: BTreeSet::new(),
            choices: Vec::new(),
            seen: BTreeSet::new(),
            effort: 0,
            limit,
            worst: None,
            follow: None,
            lenient: false,
            ahead: None,
            quiet: Some(Quiet::new(history)),
            hushed: Cell::new(false),
            went_back: false,
            chose: false,
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
        self.model = empty(self.history, self.settings);
        self.txns.clear();
        self.taken.clear();
        self.used.clear();
        self.ended.clear();
        self.choices.clear();
        START
    }

    pub fn run(&mut self) -> Fill {
        let mut state = START;
        loop {
            let wrong = match self.step(&mut state) {
                Ok(true) => continue,
                Ok(false) => return Fill::Whole,
                Err(wrong) => wrong,
            };
            let deeper = self
                .worst
                .as_ref()
                .is_none_or(|worst| worst.zxid < state.at);
            if deeper && wrong != AS_BEFORE {
                self.worst = Some(self.here(state.at, wrong));
            }
            let out_of_effort = self.effort > self.limit;
            // Half of it is for a log in which a watch was lost.
            let hushed = self.hushed.get() && self.quiet.is_some();
            let enough = out_of_effort || hushed && self.effort > self.limit / 2;
            if self.ahead.is_none() && self.chose && !enough {
                self.ahead = Some(Ahead::new(self.history, &self.known.loose));
                state = self.start_over();
                continue;
            }
            if let Some(before) = self.choices.pop().filter(|_| !enough) {
                state = self.take_back(before);
                continue;
            }
            if hushed && !out_of_effort {
                // Then a watch was lost, and the checks shall have a log to say so.
                self.quiet = None;
                self.seen.clear();
                self.worst = None;
                state = self.start_over();
                continue;
            }
            let worst = self.worst.take().expect("it was just set");
            let (zxid, why) = (worst.zxid, worst.why.clone());
            self.follow = Some(worst);
            self.lenient = true;
            state = self.start_over();
            while self.step(&mut state) == Ok(true) {}
            return if out_of_effort && self.chose {
                Fill::Unknown { zxid }
            } else {
                Fill::Torn { zxid, why }
            };
        }
    }

    fn here(&self, zxid: Zxid, why: String) -> Worst {
        let mut beyond: BTreeMap<u32, u32> = BTreeMap::new();
        for (at, _) in &self.taken {
            let at = self.txns[*at].zxid;
            if let Some(more) = at.counter().checked_sub(self.named(at.epoch())) {
                beyond.insert(at.epoch(), more);
            }
        }
        Worst {
            zxid,
            why,
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
        if self.lenient || !self.went_back {
            return Ok(());
        }
        let key = (place, state.at, state.beyond, self.digest(state));
        if self.seen.insert(key) {
            return Ok(());
        }
        Err(AS_BEFORE.to_owned())
    }

    /// Two states of one digest go on alike.
    fn digest(&self, state: &State) -> u64 {
        let mut hasher = Fnv::default();
        self.model.digest().hash(&mut hasher);
        (state.made, state.read, &self.ended, &self.used).hash(&mut hasher);
        hasher.finish()
    }

    /// The last transaction that anybody named of the epoch.
    fn named(&self, epoch: u32) -> u32 {
        self.known.epochs.get(&epoch).copied().unwrap_or(0)
    }

    /// Moves on to the next transaction, if there is one: in this epoch or in the next that anybody named.
    fn next_slot(&mut self, state: &mut State) -> Result<bool, String> {
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
            if !self.lenient && !could_answer(&self.model, self.history, call, observed) {
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
        let result = write_judged(&mut self.model, self.history, call, stamp, as_seen);
        let fits = as_seen(&result);
        let what = effect(call.op, observed);
        if self.model.has_sweepable() {
            state.sweepable = zxid;
        }
        self.push(stamp, call.xid, what);
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
    fn gap(&mut self, state: &mut State) -> Result<(), String> {
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
            return Err(format!(
                "transaction {} happened, and is nobody's: no request without a reply, no session's beginning or end",
                state.at
            ));
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
fn empty(history: &History<'_>, settings: &Settings) -> Model {
    let mut model = Model::with(settings.clone());
    if settings.local_sessions {
        for session in &history.sessions {
            if session.session != SessionId::NONE {
                model.meet_local(session.session);
            }
        }
    }
    model
}
