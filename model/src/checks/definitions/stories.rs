//! Every way in which the log can have come about: each transaction that no answer names is tried with each request without
//! an answer that it may be of.

use super::Told;
use crate::checks::history::{At, Call};
use crate::checks::judge::{could_answer, write_judged};
use crate::checks::testing::effect_of;
use crate::reference::{Life, Model, Stamp};
use crate::witness::{CommittedTxn, TxnKind};
use std::collections::BTreeMap;
use zabsim_types::{
    ErrorCode, HistoryKind, Op, OpResult, ProcessId, SessionChange, SessionId, Xid, Zxid,
};

/// One way.
#[derive(Clone)]
struct Story {
    /// For each transaction its call; none where nobody had to ask.
    calls: Vec<Option<u32>>,
    /// Whether each read is answered from the state that it names.
    reads: bool,
    /// Whether none of what was shown has an update in it that was called only later.
    no_future: bool,
}

/// All ways in which every update is answered as the model says, in real time, in its session's order.
pub(super) struct Stories(Vec<Story>);

/// Of a long history one is enough, and looked for in vain among so many.
const TRIED_MAX: usize = 100_000;

impl Stories {
    pub fn tell(told: &Told<'_>) -> Stories {
        let mut reads: Vec<(Zxid, u32)> = told
            .history
            .answered
            .iter()
            .map(|at| (told.call(*at).zxid, *at))
            .filter(|(_, at)| told.call(*at).is_read())
            .collect();
        reads.sort_unstable();
        let mut tell = Tell {
            told,
            reads,
            conns: connections(told),
            shown: shown(told),
            tried: 0,
            done: false,
            found: Vec::new(),
        };
        let begin = Story {
            calls: Vec::new(),
            reads: true,
            no_future: true,
        };
        tell.go_on(Model::with(told.options.settings.clone()), begin, 0);
        Stories(tell.found)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn explain_reads(&self) -> bool {
        self.0.iter().any(|story| story.reads)
    }

    pub fn show_no_future(&self) -> bool {
        self.0.iter().any(|story| story.no_future)
    }
}

/// The states that answers, events and answers to `SetWatches` name, and when they came.
fn shown(told: &Told<'_>) -> Vec<(Zxid, At)> {
    let mut shown: Vec<(Zxid, At)> = told
        .answers()
        .filter(|call| !call.is_update())
        .map(|call| (call.zxid, call.done))
        .collect();
    for (at, event) in told.history.events.iter().enumerate() {
        match &event.kind {
            HistoryKind::Watch {
                zxid: Some(zxid), ..
            }
            | HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } => shown.push((*zxid, at as At)),
            _ => {}
        }
    }
    shown
}

/// The connection on which each request without an answer was sent: the one that was lost with it.
fn connections(told: &Told<'_>) -> Vec<Option<u32>> {
    let mut now: BTreeMap<ProcessId, u32> = BTreeMap::new();
    let mut conns = vec![None; told.history.calls.len()];
    for event in told.history.events {
        match &event.kind {
            HistoryKind::Session {
                change: SessionChange::Connected { conn, .. },
            } => drop(now.insert(event.process, *conn)),
            HistoryKind::Info { id, sent: true, .. } => {
                let at = told.history.index(*id).expect("it was invoked");
                conns[at] = now.get(&event.process).copied();
            }
            _ => {}
        }
    }
    conns
}

struct Tell<'t, 'a> {
    told: &'t Told<'a>,
    reads: Vec<(Zxid, u32)>,
    conns: Vec<Option<u32>>,
    shown: Vec<(Zxid, At)>,
    tried: usize,
    /// One was found that explains everything: there is no need for another.
    done: bool,
    found: Vec<Story>,
}

impl Tell<'_, '_> {
    /// From the transaction behind those of the story on, with the first read that was not looked at yet.
    fn go_on(&mut self, mut model: Model, mut story: Story, mut read: usize) {
        loop {
            let txn = self.told.log.get(story.calls.len());
            while let Some((zxid, at)) = self.reads.get(read)
                && txn.is_none_or(|txn| *zxid < txn.zxid)
            {
                story.reads &= self.is_right(&model, *at);
                read += 1;
            }
            let Some(txn) = txn else {
                if self.in_real_time(&story) && self.is_gapless(&story) {
                    story.no_future = self.is_without_future(&story);
                    self.done = story.reads && story.no_future;
                    self.found.push(story);
                }
                return;
            };
            self.tried += 1;
            if self.tried > TRIED_MAX {
                return;
            }
            let mut named = (0..self.told.history.calls.len() as u32).filter(|at| {
                let call = self.told.call(*at);
                call.is_update() && call.names_state() && call.zxid == txn.zxid
            });
            let call = match (named.next(), named.next()) {
                (Some(at), None) => self.answered(&mut model, at, txn).then_some(Some(at)),
                (Some(_), Some(_)) => None,
                _ => match self.of_the_servers(&mut model, txn) {
                    Some(fits) => fits.then_some(None),
                    None => return self.try_each(&model, &story, read, txn),
                },
            };
            let Some(call) = call else { return };
            story.calls.push(call);
        }
    }

    fn is_right(&self, model: &Model, at: u32) -> bool {
        let call = self.told.call(at);
        let observed = call.observed().expect("it was answered");
        could_answer(model, self.told.history, call, observed)
    }

    /// The one answer that names the transaction is the model's, and the log says the same.
    fn answered(&self, model: &mut Model, at: u32, txn: &CommittedTxn) -> bool {
        let call = self.told.call(at);
        let observed = call.observed().expect("it was answered");
        let fits = |result: &OpResult| observed == result.as_ref().map_err(|code| *code);
        let result = write_judged(model, self.told.history, call, stamp(txn), fits);
        fits(&result)
            && same(&effect_of(call.op(), Some(&result)), &txn.what)
            && (call.session, call.xid) == (txn.session, txn.cxid)
    }

    /// Whether it is one that the servers may make of themselves here; `None` where a client must have asked.
    fn of_the_servers(&self, model: &mut Model, txn: &CommittedTxn) -> Option<bool> {
        match &txn.what {
            TxnKind::CreateSession { .. } => model.create_session(stamp(txn)),
            TxnKind::CloseSession if txn.cxid == Xid(0) => model.close_session(stamp(txn)),
            TxnKind::Delete { path } if txn.session == SessionId::NONE => {
                let life = model.life_of_node(path);
                let sweep = Op::DeleteContainer { path: path.clone() };
                let result = model.write(&sweep, stamp(txn));
                return Some(life.is_some_and(|life| life != Life::Unbound) && result.is_ok());
            }
            TxnKind::Error { .. } if txn.session == SessionId::NONE => model.skip(stamp(txn)),
            TxnKind::Error {
                code: ErrorCode::SessionExpired | ErrorCode::SessionMoved,
            } => model.skip(stamp(txn)),
            _ => return None,
        }
        Some(true)
    }

    fn try_each(&mut self, model: &Model, story: &Story, read: usize, txn: &CommittedTxn) {
        for at in 0..self.told.history.calls.len() as u32 {
            let call = self.told.call(at);
            let open = call.is_unknown()
                && call.is_update()
                && call.session == txn.session
                && (call.xid == Xid(0) || call.xid == txn.cxid)
                && txn.what.is_effect_of(call.op());
            if self.done || !open || !self.is_in_order(at, txn.zxid, story) {
                continue;
            }
            let mut model = model.clone();
            let like = |result: &OpResult| same(&effect_of(call.op(), Some(result)), &txn.what);
            let result = write_judged(&mut model, self.told.history, call, stamp(txn), like);
            if like(&result) {
                let mut story = story.clone();
                story.calls.push(Some(at));
                self.go_on(model, story, read);
            }
        }
    }

    /// Whether the call can have taken effect there, by what its session was answered and what else it did.
    fn is_in_order(&self, at: u32, zxid: Zxid, story: &Story) -> bool {
        let session = self.told.call(at).session;
        let others = &self.told.history.calls;
        let answered = others.iter().enumerate().all(|(other, call)| {
            if call.session != session || !call.is_definite() {
                return true;
            }
            if other < at as usize {
                call.zxid < zxid
            } else {
                !call.is_update() || call.zxid > zxid
            }
        });
        let before = story.calls.iter().flatten();
        let mut own = before.filter(|other| {
            let call = self.told.call(**other);
            call.session == session && call.is_unknown()
        });
        answered && own.all(|other| *other < at)
    }

    /// No update was answered before one that comes before it was called.
    fn in_real_time(&self, story: &Story) -> bool {
        let asked: Vec<&Call<'_>> = story
            .calls
            .iter()
            .flatten()
            .map(|at| self.told.call(*at))
            .collect();
        asked.iter().enumerate().all(|(at, first)| {
            let behind = &asked[at + 1..];
            behind
                .iter()
                .all(|second| second.answered() >= first.invoked)
        })
    }

    fn is_without_future(&self, story: &Story) -> bool {
        let calls = story.calls.iter().zip(self.told.log);
        let mut asked = calls.filter_map(|(call, txn)| Some((self.told.call((*call)?), txn.zxid)));
        asked.all(|(call, zxid)| {
            let before = |(header, at): &(Zxid, At)| *header >= zxid && *at < call.invoked;
            !self.shown.iter().any(before)
        })
    }

    /// Of the requests without an answer on one connection, with no answered update of the session among them, who comes before
    /// one that was carried out was too.
    fn is_gapless(&self, story: &Story) -> bool {
        let calls = &self.told.history.calls;
        let open = |at: &u32| {
            let call = &calls[*at as usize];
            call.is_unknown() && call.is_update()
        };
        let happened = |at: u32| story.calls.contains(&Some(at));
        let all: Vec<u32> = (0..calls.len() as u32).filter(open).collect();
        all.iter().enumerate().all(|(place, second)| {
            let same = |first: &&u32| {
                let (one, other) = (**first as usize, *second as usize);
                calls[one].session == calls[other].session
                    && self.conns[one].is_some()
                    && self.conns[one] == self.conns[other]
                    && !calls[one..other].iter().any(|call| {
                        call.session == calls[one].session && call.is_definite() && call.is_update()
                    })
            };
            let mut before = all[..place].iter().filter(same);
            !happened(*second) || before.all(|first| happened(*first))
        })
    }
}

fn stamp(txn: &CommittedTxn) -> Stamp {
    Stamp {
        session: txn.session,
        zxid: txn.zxid,
        time_ms: txn.time_ms,
    }
}

/// The same kind of change at the same paths, or the same failure.
fn same(one: &TxnKind, other: &TxnKind) -> bool {
    match (one, other) {
        (TxnKind::Multi { parts: one }, TxnKind::Multi { parts: other }) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (TxnKind::Create { path, .. }, TxnKind::Create { path: other, .. }) => path == other,
        (TxnKind::Delete { path }, TxnKind::Delete { path: other })
        | (TxnKind::SetData { path, .. }, TxnKind::SetData { path: other, .. })
        | (TxnKind::SetAcl { path, .. }, TxnKind::SetAcl { path: other, .. })
        | (TxnKind::Check { path }, TxnKind::Check { path: other }) => path == other,
        (one, other) => one == other,
    }
}
