//! The history as the checks want it: each request with what came of it, the sessions' calls in order.

pub(crate) use super::call::{Call, Outcome, Shown};
pub(crate) use super::places::BySession;
use super::places::{ById, Clients};
use crate::reference::{Lookup, digest};
use zabsim_types::{
    CallId, HistoryEvent, HistoryKind, Id, Op, ProcessId, RecipeStep, SessionId, Time, Xid, Zxid,
};

/// A position in the history: real-time order.
pub(crate) type At = u32;

/// After everything.
pub(crate) const NEVER: At = At::MAX;

/// What a client got to know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// The outcome of the call of that index arrived.
    Done(u32),
    /// It was told something of its session or its watches.
    Told(&'a HistoryEvent),
}

/// A recipe's step, kept apart from its event as calls are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    /// Its position.
    pub at: At,
    /// The place of its client.
    pub client: u32,
    /// The place of what it is about in [`History::objects`].
    pub object: u32,
    pub step: RecipeStep,
}

/// A session's calls.
#[derive(Clone, Debug)]
pub(crate) struct SessionCalls {
    pub session: SessionId,
    /// In the order in which they were made.
    pub made: Vec<u32>,
    /// The definite ones, in the order in which their answers arrived.
    pub answered: Vec<u32>,
}

/// The history, indexed. Made in one pass.
#[derive(Debug)]
pub(crate) struct History<'a> {
    pub events: &'a [HistoryEvent],
    /// In order of invocation.
    pub calls: Vec<Call<'a>>,
    /// What the clients got to know, with its positions.
    marks: Vec<(At, Mark)>,
    /// For each event when it happened.
    times: Vec<Time>,
    /// The positions of what clients were told of watches and sessions.
    told: Vec<At>,
    /// The recipes' steps, in order.
    pub recipes: Vec<Deed>,
    /// The paths that these are about.
    pub objects: Vec<&'a str>,
    object_places: Lookup<&'a str, u32>,
    /// Indices of the definite calls, in order of their answers.
    pub answered: Vec<u32>,
    /// What their answers show of a node, in the same order.
    pub shown: Vec<Shown>,
    /// Indices of the syncs, in order of invocation.
    pub syncs: Vec<u32>,
    /// In order of first appearance.
    pub sessions: Vec<SessionCalls>,
    /// The identities that every connection has.
    common: Vec<Id>,
    /// The identities that each client has proven, by its place: from when on, which.
    identities: Vec<Vec<Proven>>,
    slots: Lookup<i64, u32>,
    by_id: ById,
    clients: Clients,
}

/// What a step is, told in four bytes: the call that is done, or that something was told. The checks walk all steps again and
/// again, and need not look at the events for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark(u32);

impl Mark {
    const TOLD: Mark = Mark(u32::MAX);
}

/// The identities that a client has from some event on.
#[derive(Clone, Debug)]
struct Proven {
    /// Where it began to prove the last of them.
    begun: At,
    /// Those of which a server said that they are proven.
    answered: Vec<Id>,
    /// Those, and the ones that it never heard back about.
    asked: Vec<Id>,
}

impl<'a> History<'a> {
    /// Ties each completion to its invocation. Fails where they do not fit, naming the event. `common`: the identities of every
    /// connection besides `world:anyone`.
    pub fn new(
        events: &'a [HistoryEvent],
        common: &[Id],
        super_digest: Option<&str>,
    ) -> Result<History<'a>, (Time, String)> {
        let mut history = History {
            events,
            calls: Vec::with_capacity(events.len() / 2),
            marks: Vec::with_capacity(events.len()),
            times: Vec::with_capacity(events.len()),
            told: Vec::with_capacity(events.len() / 2),
            recipes: Vec::new(),
            objects: Vec::new(),
            object_places: Lookup::default(),
            answered: Vec::with_capacity(events.len() / 2),
            shown: Vec::with_capacity(events.len() / 4),
            syncs: Vec::new(),
            sessions: Vec::new(),
            common: common.to_vec(),
            identities: Vec::new(),
            slots: Lookup::default(),
            by_id: ById::for_history(events.len()),
            clients: Clients::default(),
        };
        for (at, event) in events.iter().enumerate() {
            history.times.push(event.time);
            history
                .take(at as At, event)
                .map_err(|what| (event.time, format!("event {}: {what}", at + 1)))?;
        }
        history.fill_sessions();
        history.fill_identities(super_digest);
        Ok(history)
    }

    /// The call of that name.
    #[cfg(test)]
    pub fn call(&self, id: CallId) -> Option<&Call<'a>> {
        self.index(id).map(|at| &self.calls[at])
    }

    /// What clients were told of watches and sessions, with its positions.
    pub fn told(&self) -> impl Iterator<Item = (usize, &'a HistoryEvent)> {
        let at = self.told.iter().map(|at| *at as usize);
        at.map(|at| (at, &self.events[at]))
    }

    /// The outcomes and the news, with their positions. What a call came to is told without looking at its event.
    pub fn steps(&self) -> impl Iterator<Item = (At, Step<'a>)> {
        self.marks.iter().map(|(at, mark)| {
            let step = match *mark {
                Mark::TOLD => Step::Told(&self.events[*at as usize]),
                Mark(call) => Step::Done(call),
            };
            (*at, step)
        })
    }

    /// The place in `objects` of a path that recipes' steps are about.
    pub fn object(&self, path: &str) -> Option<u32> {
        self.object_places.get(path).copied()
    }

    /// Its index in `calls`.
    pub fn index(&self, id: CallId) -> Option<usize> {
        self.by_id.get(id).map(|at| at as usize)
    }

    /// The clients, by their places.
    pub fn clients(&self) -> &[ProcessId] {
        &self.clients.processes
    }

    /// The client's place among them.
    pub fn client(&self, process: ProcessId) -> usize {
        self.clients.place(process)
    }

    /// The index of the session in `sessions`.
    pub fn slot(&self, session: SessionId) -> Option<usize> {
        self.slots.get(&session.0).map(|slot| *slot as usize)
    }

    /// When the event at that position happened; of `NEVER`, the end.
    pub fn time(&self, at: At) -> Time {
        let time = self.times.get(at as usize).or(self.times.last());
        time.copied().unwrap_or(Time::ZERO)
    }

    /// When each event happened.
    pub fn times(&self) -> &[Time] {
        &self.times
    }

    fn take(&mut self, at: At, event: &'a HistoryEvent) -> Result<(), String> {
        let client = self.clients.place_or_new(event.process);
        match &event.kind {
            HistoryKind::Invoke { id, request } => {
                let index = self.calls.len() as u32;
                if !self.by_id.insert(*id, index) {
                    return Err(format!("call {} is invoked a second time", id.0));
                }
                let call = Call::made(event, request, at, client);
                if call.is_sync() {
                    self.syncs.push(index);
                }
                self.calls.push(call);
            }
            HistoryKind::Ok {
                id,
                zxid,
                xid,
                conn,
                result,
            } => {
                let outcome = Outcome::Ok(result);
                self.complete((at, event, client), *id, outcome, (*zxid, *conn, *xid))?;
            }
            HistoryKind::Fail {
                id,
                zxid,
                xid,
                conn,
                error,
            } => {
                let outcome = Outcome::of_error(*error);
                self.complete((at, event, client), *id, outcome, (*zxid, *conn, *xid))?;
            }
            HistoryKind::Info { id, sent, xid, .. } => {
                let outcome = if *sent {
                    Outcome::Unknown
                } else {
                    Outcome::Unsent
                };
                let header = (Zxid::ZERO, 0, xid.unwrap_or_default());
                self.complete((at, event, client), *id, outcome, header)?;
            }
            HistoryKind::Watch { .. } | HistoryKind::Session { .. } => {
                self.marks.push((at, Mark::TOLD));
                self.told.push(at);
            }
            HistoryKind::Recipe(recipe) => {
                let next = self.objects.len() as u32;
                let object = *self.object_places.entry(&recipe.object).or_insert(next);
                if object == next {
                    self.objects.push(&recipe.object);
                }
                self.recipes.push(Deed {
                    at,
                    client,
                    object,
                    step: recipe.step,
                });
            }
        }
        Ok(())
    }

    fn complete(
        &mut self,
        (at, event, client): (At, &HistoryEvent, u32),
        id: CallId,
        outcome: Outcome<'a>,
        header: (Zxid, u32, Xid),
    ) -> Result<(), String> {
        let Some(index) = self.by_id.get(id) else {
            return Err(format!("call {} ends but was never invoked", id.0));
        };
        self.marks.push((at, Mark(index)));
        let call = &mut self.calls[index as usize];
        if call.done != NEVER {
            return Err(format!("call {} ends a second time", id.0));
        }
        if call.client != client {
            let (ours, theirs) = (call.process().0, event.process.0);
            return Err(format!(
                "call {} of client {ours} ends at client {theirs}",
                id.0
            ));
        }
        call.end(at, event.session, outcome, header);
        if call.names_state() {
            self.answered.push(index);
            if let Some(stat) = call.stat() {
                self.shown.push(Shown {
                    call: index,
                    newest: stat.czxid.max(stat.mzxid).max(stat.pzxid),
                    owner: stat.ephemeral_owner,
                });
            }
        }
        Ok(())
    }

    /// The identities of the call's client when it made the call and when it was answered: those of everybody, and what it had
    /// proven or begun to prove. A proof may overtake requests before it. A client proves itself again on each connection.
    /// A proof that was never answered may count for all that its client asks later, and need not.
    pub fn identities(&self, call: &Call<'_>) -> (&[Id], &[Id]) {
        let early = self.proven_at(call, call.invoked);
        let late = self.proven_at(call, call.done);
        (
            early.map_or(&self.common, |proven| &proven.answered),
            late.map_or(&self.common, |proven| &proven.asked),
        )
    }

    /// The identities by which a call was carried out that was never answered: all that its client had begun to prove. Servers
    /// carry out what comes by one connection in its order, and the client proves itself again on the next one.
    pub fn identities_of_unanswered(&self, call: &Call<'_>) -> &[Id] {
        let proven = self.proven_at(call, call.invoked);
        proven.map_or(&self.common, |proven| &proven.asked)
    }

    /// What the call's client has proven by that event, if anything.
    fn proven_at(&self, call: &Call<'_>, at: At) -> Option<&Proven> {
        let proven = &self.identities[call.client as usize];
        let count = proven.partition_point(|proven| proven.begun < at);
        proven[..count].last()
    }

    /// The identities of every connection.
    pub fn common(&self) -> &[Id] {
        &self.common
    }

    /// All that a client has ever proven, and the identities of everybody.
    pub fn all_identities(&self, process: ProcessId) -> &[Id] {
        let proven = self.identities[self.client(process)].last();
        proven.map_or(&self.common, |proven| &proven.asked)
    }

    fn fill_identities(&mut self, super_digest: Option<&str>) {
        self.identities.resize_with(self.clients().len(), Vec::new);
        for call in self.calls.iter().filter(|call| call.is_proof()) {
            let Op::AddAuth { scheme, auth } = call.op() else {
                continue;
            };
            let is_answered = call.is_ok();
            if &**scheme != "digest" || !is_answered && !call.is_unknown() {
                continue;
            }
            let proven = &mut self.identities[call.client as usize];
            let mut next = match proven.last() {
                Some(last) => last.clone(),
                None => Proven {
                    begun: 0,
                    answered: self.common.clone(),
                    asked: self.common.clone(),
                },
            };
            next.begun = call.invoked;
            let id = Id::new("digest", &digest(auth));
            let add = |ids: &mut Vec<Id>| {
                if !ids.contains(&id) {
                    if Some(&*id.id) == super_digest {
                        ids.push(Id::new("super", ""));
                    }
                    ids.push(id.clone());
                }
            };
            add(&mut next.asked);
            if is_answered {
                add(&mut next.answered);
            }
            proven.push(next);
        }
    }

    fn fill_sessions(&mut self) {
        // A client mostly goes on in the session that it had.
        let mut last = vec![(SessionId::NONE, None); self.clients().len()];
        for at in 0..self.calls.len() {
            let (client, session) = (self.calls[at].client as usize, self.calls[at].session);
            let slot = match last[client] {
                (before, Some(slot)) if before == session => slot,
                _ => self.slot_or_new(session),
            };
            last[client] = (session, Some(slot));
            self.calls[at].slot = slot as u32;
            self.sessions[slot].made.push(at as u32);
        }
        for at in &self.answered {
            let slot = self.calls[*at as usize].slot;
            self.sessions[slot as usize].answered.push(*at);
        }
    }

    /// Says of each answered close whether it was a transaction: not that of a session which the log does not know.
    pub fn mark_closes(&mut self, is_logged: impl Fn(SessionId) -> bool) {
        for at in &self.answered {
            let call = &mut self.calls[*at as usize];
            if call.is_close() && call.is_ok() && !is_logged(call.session) {
                call.closes_unlogged();
            }
        }
    }

    fn slot_or_new(&mut self, session: SessionId) -> usize {
        let next = self.sessions.len() as u32;
        let slot = *self.slots.entry(session.0).or_insert(next);
        if slot == next {
            self.sessions.push(SessionCalls {
                session,
                made: Vec::new(),
                answered: Vec::new(),
            });
        }
        slot as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::ErrorCode;

    fn event(kind: HistoryKind) -> HistoryEvent {
        HistoryEvent {
            time: Time(7_000),
            process: ProcessId(1),
            session: SessionId(1),
            kind,
        }
    }

    #[test]
    fn a_completion_needs_its_invocation() {
        let info = event(HistoryKind::Info {
            id: CallId(3),
            error: ErrorCode::ConnectionLoss,
            sent: true,
            xid: None,
        });
        let (at, what) =
            History::new(std::slice::from_ref(&info), &[], None).expect_err("never invoked");
        assert_eq!(at, Time(7_000));
        assert_eq!(what, "event 1: call 3 ends but was never invoked");
        let invoke = event(HistoryKind::Invoke {
            id: CallId(3),
            request: Op::CloseSession,
        });
        let twice = [invoke, info.clone(), info];
        let (_, what) = History::new(&twice, &[], None).expect_err("ends twice");
        assert_eq!(what, "event 3: call 3 ends a second time");
    }
}
