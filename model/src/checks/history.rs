//! The history as the checks want it: each request with what came of it, the sessions' calls in order.

use super::stat_of;
use crate::reference::{Lookup, digest, watch_of};
use std::collections::BTreeMap;
use zabsim_types::{
    CallId, ErrorCode, HistoryEvent, HistoryKind, Id, Op, ProcessId, RecipeStep, Reply, SessionId,
    Time, Xid, Zxid,
};

/// A position in the history: real-time order.
pub(crate) type At = u32;

/// After everything.
pub(crate) const NEVER: At = At::MAX;

/// What came of a request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Outcome<'a> {
    /// A success, or a failed multi's vector.
    Ok(&'a Reply),
    /// A definite error that the tree's state explains.
    Fail(ErrorCode),
    /// A definite error for another reason (the session was gone or elsewhere): it had no effect.
    Refused,
    /// No reply, or none yet: perhaps it happened, perhaps not.
    Unknown,
    /// It never left its client.
    Unsent,
}

/// A request. It fits into one line of a processor's cache: the checks walk all calls again and again, and a history's events,
/// which are far larger, stay untouched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    made: &'a HistoryEvent,
    /// Of a success.
    reply: Option<&'a Reply>,
    /// The session that it was answered in; where it was not, the one that it was made in.
    pub session: SessionId,
    /// The reply header's; zero where there is none.
    pub zxid: Zxid,
    pub invoked: At,
    /// When its outcome arrived; `NEVER` where it did not.
    pub done: At,
    /// The place of its client.
    pub client: u32,
    /// The place of its session in [`History::sessions`].
    pub slot: u32,
    pub conn: u32,
    /// Zero where it is not known.
    pub xid: Xid,
    end: End,
    nature: Nature,
}

const _: () = assert!(size_of::<Call<'_>>() == 64);

/// An outcome without its reply.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Ok,
    Fail(ErrorCode),
    Refused,
    Unknown,
    Unsent,
}

/// What the `Stat` of an answer says, for every check that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// The call that was answered so.
    pub call: u32,
    /// The newest of its transactions.
    pub newest: Zxid,
    /// The session that owns the node.
    pub owner: SessionId,
}

/// What a request is, as far as checks ask of every one: so that they need not look at the request itself.
#[derive(Clone, Copy, Debug)]
struct Nature(u16);

impl Nature {
    const UPDATE: u16 = 1;
    const READ: u16 = 1 << 1;
    /// Its answer names the state that it was given at.
    const NAMES_STATE: u16 = 1 << 2;
    const WATCHES: u16 = 1 << 3;
    const SYNC: u16 = 1 << 4;
    const PROOF: u16 = 1 << 5;
    const MULTI: u16 = 1 << 6;
    const SEQUENTIAL: u16 = 1 << 7;
    const CLOSE: u16 = 1 << 8;
    /// The end of a session that no transaction made: it is none either.
    const CLOSES_UNLOGGED: u16 = 1 << 9;

    fn of(op: &Op) -> Nature {
        // Proofs of identity and checks outside of a multi are answered from no state.
        let nature = match op {
            Op::AddAuth { .. } => Nature::PROOF,
            Op::Check { .. } => 0,
            Op::Sync { .. } => Nature::SYNC | Nature::NAMES_STATE,
            Op::Multi { .. } => Nature::MULTI | Nature::NAMES_STATE,
            Op::CloseSession => Nature::CLOSE | Nature::NAMES_STATE,
            Op::Create { mode, .. } if mode.is_sequential() => {
                Nature::SEQUENTIAL | Nature::NAMES_STATE
            }
            Op::AddWatch { .. } | Op::RemoveWatches { .. } => Nature::WATCHES | Nature::NAMES_STATE,
            Op::MultiRead { .. } => Nature::READ | Nature::WATCHES | Nature::NAMES_STATE,
            Op::GetData { .. }
            | Op::Exists { .. }
            | Op::GetChildren { .. }
            | Op::GetAcl { .. }
            | Op::GetAllChildrenNumber { .. }
            | Op::GetEphemerals { .. } => Nature::READ | Nature::NAMES_STATE,
            _ => Nature::NAMES_STATE,
        };
        let update = if op.is_update() { Nature::UPDATE } else { 0 };
        let watches = match watch_of(op, true) {
            Some(_) => Nature::WATCHES,
            None => 0,
        };
        Nature(nature | update | watches)
    }

    fn is(self, what: u16) -> bool {
        self.0 & what != 0
    }
}

/// What a client got to know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// The outcome of the call of that index arrived.
    Done(u32),
    /// It was told something of its session or its watches.
    Told(&'a HistoryEvent),
}

impl<'a> Call<'a> {
    pub fn id(&self) -> CallId {
        self.invocation().0
    }

    pub fn op(&self) -> &'a Op {
        self.invocation().1
    }

    fn invocation(&self) -> (CallId, &'a Op) {
        match &self.made.kind {
            HistoryKind::Invoke { id, request } => (*id, request),
            _ => unreachable!("a call is made by its invocation"),
        }
    }

    pub fn process(&self) -> ProcessId {
        self.made.process
    }

    pub fn outcome(&self) -> Outcome<'a> {
        match (self.end, self.reply) {
            (End::Ok, Some(reply)) => Outcome::Ok(reply),
            (End::Fail(code), _) => Outcome::Fail(code),
            (End::Refused, _) => Outcome::Refused,
            (End::Unsent, _) => Outcome::Unsent,
            (End::Unknown | End::Ok, _) => Outcome::Unknown,
        }
    }

    /// The reply or the error, of a definite call.
    pub fn observed(&self) -> Option<Result<&'a Reply, ErrorCode>> {
        match self.outcome() {
            Outcome::Ok(reply) => Some(Ok(reply)),
            Outcome::Fail(code) => Some(Err(code)),
            _ => None,
        }
    }

    /// Whether a server answered it from the tree.
    pub fn is_definite(&self) -> bool {
        matches!(self.end, End::Ok | End::Fail(_))
    }

    /// Whether a server answered it at all.
    pub fn is_reply(&self) -> bool {
        self.is_definite() || self.is_refused()
    }

    /// Whether it succeeded, or is a multi that was answered with its errors.
    pub fn is_ok(&self) -> bool {
        self.end == End::Ok
    }

    pub fn is_refused(&self) -> bool {
        self.end == End::Refused
    }

    /// Whether it happened is not known.
    pub fn is_unknown(&self) -> bool {
        self.end == End::Unknown
    }

    /// Whether its answer names the state that it was given at.
    pub fn names_state(&self) -> bool {
        self.is_definite() && self.nature.is(Nature::NAMES_STATE)
    }

    /// When its answer arrived. That its connection was lost is no answer: it may take effect still.
    pub fn answered(&self) -> At {
        if self.is_definite() { self.done } else { NEVER }
    }

    pub fn is_update(&self) -> bool {
        self.nature.is(Nature::UPDATE) && !self.nature.is(Nature::CLOSES_UNLOGGED)
    }

    pub fn is_read(&self) -> bool {
        self.nature.is(Nature::READ)
    }

    /// Whether it leaves watches, if it is asked to and answered so, or removes some.
    pub fn watches(&self) -> bool {
        self.nature.is(Nature::WATCHES)
    }

    pub fn is_sync(&self) -> bool {
        self.nature.is(Nature::SYNC)
    }

    /// Whether it proves an identity.
    pub fn is_proof(&self) -> bool {
        self.nature.is(Nature::PROOF)
    }

    pub fn is_multi(&self) -> bool {
        self.nature.is(Nature::MULTI)
    }

    /// Whether it makes a sequential node. What a multi makes is not looked at.
    pub fn is_sequential(&self) -> bool {
        self.nature.is(Nature::SEQUENTIAL)
    }
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

/// Something of every session, found quickly for those that made calls.
pub(crate) struct BySession<T> {
    with_calls: Vec<T>,
    others: BTreeMap<SessionId, T>,
}

impl<T: Copy + Default> BySession<T> {
    pub fn new(history: &History<'_>) -> BySession<T> {
        BySession {
            with_calls: vec![T::default(); history.sessions.len()],
            others: BTreeMap::new(),
        }
    }

    /// Of the session that the call was made in.
    pub fn of_call(&mut self, call: &Call<'_>) -> &mut T {
        &mut self.with_calls[call.slot as usize]
    }

    pub fn of(&mut self, history: &History<'_>, session: SessionId) -> &mut T {
        match history.slot(session) {
            Some(slot) => &mut self.with_calls[slot],
            None => self.others.entry(session).or_default(),
        }
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.with_calls.iter().chain(self.others.values())
    }
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

/// Each client's place, in order of first appearance.
#[derive(Debug, Default)]
struct Clients {
    /// By place.
    processes: Vec<ProcessId>,
    /// Of those with small numbers, as they mostly are: by number, one more than the place.
    few: Vec<u32>,
    others: Lookup<u32, u32>,
}

impl Clients {
    const FEW: usize = 4_096;

    fn place_or_new(&mut self, process: ProcessId) -> u32 {
        let number = process.0 as usize;
        let next = self.processes.len() as u32;
        let place = if number < Clients::FEW {
            if self.few.len() <= number {
                self.few.resize(number + 1, 0);
            }
            if self.few[number] == 0 {
                self.few[number] = next + 1;
            }
            self.few[number] - 1
        } else {
            *self.others.entry(process.0).or_insert(next)
        };
        if place == next {
            self.processes.push(process);
        }
        place
    }

    fn place(&self, process: ProcessId) -> usize {
        match self.few.get(process.0 as usize) {
            Some(place) if *place > 0 => *place as usize - 1,
            _ => self.others[&process.0] as usize,
        }
    }
}

/// Errors that say nothing of the tree: the request was turned away.
fn is_refusal(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ConnectionLoss
            | ErrorCode::OperationTimeout
            | ErrorCode::SessionExpired
            | ErrorCode::SessionMoved
            | ErrorCode::NotReadOnly
            | ErrorCode::RequestTimeout
            | ErrorCode::ThrottledOp
            | ErrorCode::NewConfigNoQuorum
            | ErrorCode::ReconfigInProgress
    )
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

/// The calls by their names. Each client counts its own: a name is the client's number above [`ById::COUNTED`] bits and its
/// count below. So a call is mostly found by its place in a list; names that leave large gaps are looked up.
#[derive(Debug)]
struct ById {
    /// By client and count, one more than the index; 0 where there is none.
    dense: Vec<Vec<u32>>,
    others: Lookup<u64, u32>,
    /// How many places the lists may have together, and how many they have.
    room: usize,
    taken: usize,
}

impl ById {
    /// Bits of a name that count within a client.
    const COUNTED: u32 = 40;

    fn for_history(events: usize) -> ById {
        ById {
            dense: Vec::new(),
            others: Lookup::default(),
            room: 4 * events + 4_096,
            taken: 0,
        }
    }

    fn places(id: CallId) -> (usize, usize) {
        let count = id.0 & ((1 << ById::COUNTED) - 1);
        ((id.0 >> ById::COUNTED) as usize, count as usize)
    }

    fn get(&self, id: CallId) -> Option<u32> {
        let (high, low) = ById::places(id);
        match self.dense.get(high).and_then(|list| list.get(low)) {
            Some(next) if *next > 0 => Some(next - 1),
            _ if self.others.is_empty() => None,
            _ => self.others.get(&id.0).copied(),
        }
    }

    /// Whether the name was free.
    fn insert(&mut self, id: CallId, index: u32) -> bool {
        if self.get(id).is_some() {
            return false;
        }
        let (high, low) = ById::places(id);
        let lists = (high + 1).saturating_sub(self.dense.len());
        let length = self.dense.get(high).map_or(0, Vec::len);
        let more = lists + (low + 1).saturating_sub(length);
        if self.taken + more > self.room {
            self.others.insert(id.0, index);
            return true;
        }
        self.taken += more;
        if lists > 0 {
            self.dense.resize_with(high + 1, Vec::new);
        }
        let list = &mut self.dense[high];
        if list.len() <= low {
            list.resize(low + 1, 0);
        }
        list[low] = index + 1;
        true
    }
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
                let nature = Nature::of(request);
                if nature.is(Nature::SYNC) {
                    self.syncs.push(index);
                }
                self.calls.push(Call {
                    made: event,
                    reply: None,
                    session: event.session,
                    zxid: Zxid::ZERO,
                    invoked: at,
                    done: NEVER,
                    client,
                    slot: 0,
                    conn: 0,
                    xid: Xid(0),
                    end: End::Unknown,
                    nature,
                });
            }
            HistoryKind::Ok {
                id,
                zxid,
                xid,
                conn,
                result,
            } => {
                let outcome = Outcome::Ok(result);
                self.complete(at, event, *id, outcome, (*zxid, *conn, *xid))?;
            }
            HistoryKind::Fail {
                id,
                zxid,
                xid,
                conn,
                error,
            } => {
                let outcome = if is_refusal(*error) {
                    Outcome::Refused
                } else {
                    Outcome::Fail(*error)
                };
                self.complete(at, event, *id, outcome, (*zxid, *conn, *xid))?;
            }
            HistoryKind::Info { id, sent, xid, .. } => {
                let outcome = if *sent {
                    Outcome::Unknown
                } else {
                    Outcome::Unsent
                };
                self.complete(
                    at,
                    event,
                    *id,
                    outcome,
                    (Zxid::ZERO, 0, xid.unwrap_or_default()),
                )?;
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
        at: At,
        event: &HistoryEvent,
        id: CallId,
        outcome: Outcome<'a>,
        (zxid, conn, xid): (Zxid, u32, Xid),
    ) -> Result<(), String> {
        let Some(index) = self.by_id.get(id) else {
            return Err(format!("call {} ends but was never invoked", id.0));
        };
        self.marks.push((at, Mark(index)));
        let call = &mut self.calls[index as usize];
        if call.done != NEVER {
            return Err(format!("call {} ends a second time", id.0));
        }
        if call.process() != event.process {
            let (ours, theirs) = (call.process().0, event.process.0);
            return Err(format!(
                "call {} of client {ours} ends at client {theirs}",
                id.0
            ));
        }
        call.done = at;
        (call.end, call.reply) = match outcome {
            Outcome::Ok(reply) => (End::Ok, Some(reply)),
            Outcome::Fail(code) => (End::Fail(code), None),
            Outcome::Refused => (End::Refused, None),
            Outcome::Unknown => (End::Unknown, None),
            Outcome::Unsent => (End::Unsent, None),
        };
        (call.zxid, call.conn, call.xid) = (zxid, conn, xid);
        if call.is_definite() || call.session == SessionId::NONE {
            call.session = event.session;
        }
        // The header of an answer behind which no state stands says nothing of one.
        if zxid == Zxid::NO_STATE {
            call.zxid = Zxid::ZERO;
            call.nature.0 &= !Nature::NAMES_STATE;
        }
        if call.names_state() {
            self.answered.push(index);
            if let Some(stat) = call.reply.and_then(stat_of) {
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
            if call.nature.is(Nature::CLOSE) && call.is_ok() && !is_logged(call.session) {
                call.nature.0 |= Nature::CLOSES_UNLOGGED;
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
