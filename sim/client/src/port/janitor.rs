//! Deletes the nodes of contenders that nobody wants any more: of a lock that was released, of an acquisition that
//! failed, timed out, or was simply dropped. A node that stays would keep everybody behind it waiting until its
//! session ends (CURATOR-45, -79, -18; kazoo #732, a96b1e4).
//!
//! It needs no task of its own. Each piece of litter is a small state machine in the port, which the outcome of its last request
//! moves on:
//!
//! ```text
//!   create under way ── answered ──────────────▶ delete ── answered, or no such node ──▶ clean
//!          │                                      ▲   ▲ │
//!          │ lost: it may have happened      found │   └─┘ connection lost
//!          ▼                                      │
//!        sync ────────▶ list the parent, look for the GUID ── not there ──▶ clean
//!          ▲                     │
//!          └─ connection lost ───┘
//! ```
//!
//! The `sync` is there because a list taken at a server that lags may not show the node yet; a session's own earlier
//! request is ordered before its later `sync`, or never happens. Whatever the step, the end of the session ends it: the node is
//! ephemeral. A lost connection costs no spinning: the next request waits for the next connection. What a server refuses
//! because it only reads is asked again of the next full one.

use super::{Caller, Inner, Wait};
use crate::{ClientError, Outcome};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use zabsim_bugs::Bug;
use zabsim_types::{ErrorCode, Op, Reply, SyncMode, ZPath};

/// What a clean-up came to.
pub(super) type Discard = Result<(), ClientError>;

/// A contender's node that is to go.
pub(crate) struct Litter {
    parent: ZPath,
    guid: Arc<str>,
    step: Step,
    /// Who waits for it to be gone.
    ticket: Option<u64>,
}

enum Step {
    /// Its creation is under way.
    Create,
    Sync,
    List,
    Delete {
        path: ZPath,
        /// To delete afterwards.
        rest: Vec<ZPath>,
    },
}

impl Litter {
    /// A node whose creation is under way.
    pub(crate) fn of_create(parent: ZPath, guid: Arc<str>) -> Litter {
        Litter {
            parent,
            guid,
            step: Step::Create,
            ticket: None,
        }
    }
}

impl Inner {
    /// Deletes the node at `path`, or if that is unknown, the nodes under `parent` with this GUID. Returns a ticket for
    /// [`Inner::poll_discard`] if one is wanted.
    pub(crate) fn discard(
        &mut self,
        parent: ZPath,
        guid: Arc<str>,
        path: Option<ZPath>,
        wants_ticket: bool,
    ) -> Option<u64> {
        let ticket = wants_ticket.then(|| self.name());
        if let Some(ticket) = ticket {
            self.discards.insert(ticket, Wait::default());
        }
        let litter = Litter {
            parent,
            guid,
            step: Step::Create,
            ticket,
        };
        match path {
            Some(path) => self.delete_litter(litter, path, Vec::new()),
            None if self.bugs.has(Bug::NoBackgroundDelete) => drop(self.clean(litter, Ok(()))),
            None => self.sync_for_litter(litter),
        }
        ticket
    }

    pub(crate) fn poll_discard(&mut self, ticket: u64, cx: &Context<'_>) -> Poll<Discard> {
        super::poll_named(&mut self.discards, ticket, cx)
    }

    pub(crate) fn forget_discard(&mut self, ticket: u64) {
        self.discards.remove(&ticket);
    }

    /// The request of this litter's step came to `outcome`.
    pub(super) fn clean_up(&mut self, litter: Litter, outcome: Outcome) -> Option<Waker> {
        let result = match outcome {
            Outcome::Replied { result, .. } => result,
            Outcome::Lost { error, sent, .. } => {
                return match (error, &litter.step) {
                    // Ephemeral nodes go with their session.
                    (ErrorCode::SessionExpired, _) => self.clean(litter, Ok(())),
                    // It never left, so there is no node.
                    (_, Step::Create) if !sent || self.bugs.has(Bug::NoBackgroundDelete) => {
                        self.clean(litter, Ok(()))
                    }
                    (_, Step::Delete { .. }) if self.bugs.has(Bug::NoRetryOnCleanup) => {
                        self.clean(litter, Ok(()))
                    }
                    (_, Step::Create | Step::Sync | Step::List) => {
                        self.sync_for_litter(litter);
                        None
                    }
                    (_, Step::Delete { .. }) => self.delete_again(litter),
                };
            }
        };
        match (&litter.step, result) {
            (Step::Sync | Step::Delete { .. }, Err(ErrorCode::NotReadOnly)) => {
                self.parked.push(litter);
                None
            }
            (Step::Create, Ok(Reply::Created { path, .. }))
                if !self.bugs.has(Bug::NoBackgroundDelete) =>
            {
                self.delete_litter(litter, path, Vec::new());
                None
            }
            (Step::Create, _) => self.clean(litter, Ok(())),
            // Even a service that refuses quorum syncs gets its list looked at.
            (Step::Sync, _) => {
                let op = Op::GetChildren {
                    path: litter.parent.clone(),
                    watch: false,
                    with_stat: false,
                };
                self.submit_for_litter(litter, op, Step::List);
                None
            }
            (Step::List, Ok(Reply::Children { names, .. })) => {
                let mut found = names
                    .iter()
                    .filter(|name| name.starts_with(&*litter.guid))
                    .map(|name| child(&litter.parent, name));
                match found.next() {
                    Some(path) => {
                        let rest = found.collect();
                        self.delete_litter(litter, path, rest);
                        None
                    }
                    None => self.clean(litter, Ok(())),
                }
            }
            (Step::List, _) => self.clean(litter, Ok(())),
            (Step::Delete { .. }, Ok(_) | Err(ErrorCode::NoNode | ErrorCode::SessionExpired)) => {
                self.delete_rest(litter)
            }
            // The old connection was overtaken by the session's next one: the same as losing it.
            (Step::Delete { .. }, Err(ErrorCode::SessionMoved)) => self.delete_again(litter),
            (Step::Delete { .. }, Err(code)) => self.clean(litter, Err(ClientError::Service(code))),
        }
    }

    /// The session is at a full server, or over: goes on with what was refused by one that only reads.
    pub(super) fn unpark(&mut self, over: bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for litter in std::mem::take(&mut self.parked) {
            match litter.step {
                _ if over => wakers.extend(self.clean(litter, Ok(()))),
                Step::Delete { .. } => wakers.extend(self.delete_again(litter)),
                _ => self.sync_for_litter(litter),
            }
        }
        wakers
    }

    fn sync_for_litter(&mut self, litter: Litter) {
        let op = Op::Sync {
            path: litter.parent.clone(),
            mode: SyncMode::Quorum,
        };
        self.submit_for_litter(litter, op, Step::Sync);
    }

    fn delete_again(&mut self, mut litter: Litter) -> Option<Waker> {
        if let Step::Delete { path, rest } = std::mem::replace(&mut litter.step, Step::Create) {
            self.delete_litter(litter, path, rest);
        }
        None
    }

    fn delete_rest(&mut self, mut litter: Litter) -> Option<Waker> {
        if let Step::Delete { rest, .. } = &mut litter.step
            && let Some(path) = rest.pop()
        {
            let rest = std::mem::take(rest);
            self.delete_litter(litter, path, rest);
            return None;
        }
        self.clean(litter, Ok(()))
    }

    fn delete_litter(&mut self, litter: Litter, path: ZPath, rest: Vec<ZPath>) {
        let op = Op::Delete {
            path: path.clone(),
            version: -1,
        };
        self.submit_for_litter(litter, op, Step::Delete { path, rest });
    }

    fn submit_for_litter(&mut self, mut litter: Litter, op: Op, step: Step) {
        litter.step = step;
        self.submit(op, Caller::Janitor(litter));
    }

    fn clean(&mut self, litter: Litter, result: Discard) -> Option<Waker> {
        let wait = self.discards.get_mut(&litter.ticket?)?;
        wait.fulfil(result)
    }
}

/// The path of a child.
pub(crate) fn child(parent: &str, name: &str) -> ZPath {
    match parent {
        "/" => format!("/{name}").into(),
        _ => format!("{parent}/{name}").into(),
    }
}
