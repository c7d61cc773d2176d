//! A request and what came of it, as the checks look at it again and again.

use super::history::{At, NEVER};
use super::stat_of;
use crate::reference::watch_of;
use std::mem::size_of;
use zabsim_types::{
    CallId, ErrorCode, HistoryEvent, HistoryKind, Op, ProcessId, Reply, SessionId, Stat, Xid, Zxid,
};

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

impl Outcome<'_> {
    /// Of a reply that is an error.
    pub(super) fn of_error(code: ErrorCode) -> Self {
        if is_refusal(code) {
            Outcome::Refused
        } else {
            Outcome::Fail(code)
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
        let kind = match op {
            Op::AddAuth { .. } => Nature::PROOF,
            Op::Sync { .. } => Nature::SYNC,
            Op::Multi { .. } => Nature::MULTI,
            Op::CloseSession => Nature::CLOSE,
            Op::Create { mode, .. } if mode.is_sequential() => Nature::SEQUENTIAL,
            Op::AddWatch { .. } | Op::RemoveWatches { .. } => Nature::WATCHES,
            Op::MultiRead { .. } => Nature::READ | Nature::WATCHES,
            Op::GetData { .. }
            | Op::Exists { .. }
            | Op::GetChildren { .. }
            | Op::GetAcl { .. }
            | Op::GetAllChildrenNumber { .. }
            | Op::GetEphemerals { .. } => Nature::READ,
            _ => 0,
        };
        let mut nature = Nature(kind);
        nature.set(Nature::UPDATE, op.is_update());
        nature.set(Nature::WATCHES, watch_of(op, true).is_some());
        // Proofs of identity and checks outside of a multi are answered from no state.
        let stateless = matches!(op, Op::AddAuth { .. } | Op::Check { .. });
        nature.set(Nature::NAMES_STATE, !stateless);
        nature
    }

    fn set(&mut self, what: u16, also: bool) {
        self.0 |= if also { what } else { 0 };
    }

    fn is(self, what: u16) -> bool {
        self.0 & what != 0
    }
}

impl<'a> Call<'a> {
    /// One that was made by that event and has no outcome yet.
    pub(super) fn made(event: &'a HistoryEvent, request: &Op, at: At, client: u32) -> Call<'a> {
        Call {
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
            nature: Nature::of(request),
        }
    }

    /// Its outcome arrived, in that session and with that header.
    pub(super) fn end(
        &mut self,
        at: At,
        session: SessionId,
        outcome: Outcome<'a>,
        (zxid, conn, xid): (Zxid, u32, Xid),
    ) {
        self.done = at;
        (self.end, self.reply) = match outcome {
            Outcome::Ok(reply) => (End::Ok, Some(reply)),
            Outcome::Fail(code) => (End::Fail(code), None),
            Outcome::Refused => (End::Refused, None),
            Outcome::Unknown => (End::Unknown, None),
            Outcome::Unsent => (End::Unsent, None),
        };
        (self.zxid, self.conn, self.xid) = (zxid, conn, xid);
        if self.is_definite() || self.session == SessionId::NONE {
            self.session = session;
        }
        // The header of an answer behind which no state stands says nothing of one.
        if zxid == Zxid::NO_STATE {
            self.zxid = Zxid::ZERO;
            self.nature.0 &= !Nature::NAMES_STATE;
        }
    }

    /// It ends a session of which the log knows nothing.
    pub(super) fn closes_unlogged(&mut self) {
        self.nature.0 |= Nature::CLOSES_UNLOGGED;
    }

    /// What its answer shows of a node.
    pub(super) fn stat(&self) -> Option<&'a Stat> {
        self.reply.and_then(stat_of)
    }

    pub(super) fn is_close(&self) -> bool {
        self.nature.is(Nature::CLOSE)
    }

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
