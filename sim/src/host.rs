//! A client process as the world sees it: a session core, the port to its program, and the state of both; dead, alive or
//! paused. What happens to it is in `world/clients.rs`.

use crate::executor::Outcome;
use crate::plan::history_id;
use crate::process::TimerSlot;
use std::collections::VecDeque;
use zabsim_client::{Input, Port, Session};
use zabsim_types::{CallId, ProcessId, SessionId};

/// What waits while a client is paused.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// For the session, by that link if it came by one.
    Input { link: Option<u32>, input: Input },
    /// The session's timer, unless it is set anew before.
    Timer { generation: u32 },
    /// A program's sleep is over.
    Wake { sleeper: u32 },
    /// An explicit operation: who stands still asks for nothing.
    Op { op: usize },
}

/// A client process.
pub(crate) struct ClientProcess {
    pub(crate) id: ProcessId,
    pub(crate) session: Session,
    /// The session as it was before the step whose effects are being carried out: the answer to a close, and what an expiry
    /// leaves unanswered, belong to a session that the core has already left.
    pub(crate) session_before: SessionId,
    pub(crate) port: Port,
    /// How the program ended, once it has; `None` where there is no program.
    pub(crate) program: Option<Outcome>,
    /// A test holds its client: nothing is done for it unasked.
    pub(crate) directed: bool,
    pub(crate) alive: bool,
    /// Number of faults that pause it.
    pub(crate) paused: u16,
    pub(crate) inbox: VecDeque<Waiting>,
    /// Its connection, asked for or up.
    pub(crate) link: Option<u32>,
    /// A second one, by which it tries another server.
    pub(crate) trial: Option<u32>,
    pub(crate) timer: TimerSlot,
    /// Requests without an outcome: their calls in the history, in order.
    pub(crate) open_calls: Vec<CallId>,
    /// Whether its session was opened once.
    pub(crate) opened: bool,
    /// Requests answered, successes and errors.
    pub(crate) answered: u64,
    /// `answered` when the world healed.
    pub(crate) answered_before_heal: u64,
}

impl ClientProcess {
    /// A call's name in the history, unique among all processes.
    pub(crate) fn history_id(&self, call: CallId) -> CallId {
        history_id(self.id.0, call)
    }

    /// How reports call it: `c1`.
    pub(crate) fn name(&self) -> String {
        format!("c{}", self.id.0)
    }

    /// Whether its program is running.
    pub(crate) fn runs_program(&self) -> bool {
        self.alive
            && self
                .program
                .as_ref()
                .is_some_and(|outcome| !outcome.ended())
    }
}
