//! What this client holds: locks and leaderships. The port keeps them, because a hold ends the moment when the port learns
//! of the disconnection, whatever the program is doing: from then on `is_certain` is false, and the record says so.
//!
//! # When a hold is certain
//!
//! - From the listing that showed the contender's node as the first, if the session is then attached.
//! - Not while disconnected. The session may be expiring, and another may hold the object by now.
//! - Again when **the same session** is attached again. The server asked the leader before it took the session up (REVALIDATE),
//!   so the session had not expired; ephemeral nodes go with the session and not before; so the contender's node is still
//!   there and still the first. It is the same hold, with the same token, and is recorded as acquired anew.
//! - Not at a server that only reads: it has asked nobody whether the session lives.
//! - Never again once the session has ended, or the close of it was asked for.
//!
//! "Certain" is what a client can know: its messages are under way while it looks at them. Effects outside of the service
//! are made safe by the fencing token alone.

use super::{Inner, store_waker};
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};
use zabsim_bugs::Bug;
use zabsim_types::{RecipeEvent, RecipeStep, SessionId, ZPath, Zxid};

/// What is contended for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contest {
    Lock,
    Election,
}

impl Contest {
    /// Stands between the GUID and the sequence number in a contender's name.
    pub(crate) const fn marker(self) -> &'static str {
        match self {
            Contest::Lock => "-lock-",
            Contest::Election => "-candidate-",
        }
    }

    pub(crate) const fn wanted(self) -> RecipeStep {
        match self {
            Contest::Lock => RecipeStep::LockWanted,
            Contest::Election => RecipeStep::ElectionEntered,
        }
    }

    const fn gained(self, token: Zxid) -> RecipeStep {
        match self {
            Contest::Lock => RecipeStep::LockAcquired { token },
            Contest::Election => RecipeStep::LeaderElected { term: token },
        }
    }

    const fn given_back(self, token: Zxid) -> RecipeStep {
        match self {
            Contest::Lock => RecipeStep::LockReleased { token },
            Contest::Election => RecipeStep::LeaderResigned { term: token },
        }
    }

    const fn lost(self, token: Zxid) -> RecipeStep {
        match self {
            Contest::Lock => RecipeStep::LockLost { token },
            Contest::Election => RecipeStep::LeaderResigned { term: token },
        }
    }
}

/// Why a contender that is first in line does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HoldRefused {
    /// The connection broke since: ask again.
    Disconnected,
    /// The contender's session is over.
    SessionOver,
}

pub(super) struct Hold {
    object: ZPath,
    contest: Contest,
    token: Zxid,
    session: SessionId,
    standing: Standing,
    /// How often it became uncertain: a loss and return between two polls must not go unnoticed.
    losses: u32,
    waiters: BTreeMap<u64, Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Certain,
    Doubtful,
    Over,
}

impl Hold {
    fn event(&self, step: RecipeStep) -> RecipeEvent {
        RecipeEvent {
            object: self.object.clone(),
            step,
        }
    }
}

impl Inner {
    /// The contender `token` of `session` was seen first in line: it holds from now on.
    pub(crate) fn hold(
        &mut self,
        object: &ZPath,
        contest: Contest,
        token: Zxid,
        session: SessionId,
    ) -> Result<u64, HoldRefused> {
        if self.session != session {
            return Err(HoldRefused::SessionOver);
        }
        if !self.state.is_connected() {
            return Err(HoldRefused::Disconnected);
        }
        let hold = Hold {
            object: object.clone(),
            contest,
            token,
            session,
            standing: Standing::Certain,
            losses: 0,
            waiters: BTreeMap::new(),
        };
        let event = hold.event(contest.gained(token));
        self.record(event);
        let name = self.name();
        self.holds.insert(name, hold);
        Ok(name)
    }

    /// The program gives it back.
    pub(crate) fn drop_hold(&mut self, name: u64) {
        if let Some(hold) = self.holds.remove(&name)
            && hold.standing == Standing::Certain
        {
            let event = hold.event(hold.contest.given_back(hold.token));
            self.record(event);
        }
    }

    /// The connection broke.
    pub(super) fn doubt_holds(&mut self) -> Vec<Waker> {
        if self.bugs.has(Bug::HoldsThroughDisconnection) {
            return Vec::new();
        }
        self.lose_holds(Standing::Doubtful)
    }

    /// The session is over, or about to be closed.
    pub(super) fn give_up_holds(&mut self) -> Vec<Waker> {
        self.lose_holds(Standing::Over)
    }

    fn lose_holds(&mut self, to: Standing) -> Vec<Waker> {
        let mut events = Vec::new();
        let mut wakers = Vec::new();
        for hold in self.holds.values_mut() {
            match hold.standing {
                Standing::Certain => {
                    hold.losses += 1;
                    events.push(hold.event(hold.contest.lost(hold.token)));
                    wakers.extend(std::mem::take(&mut hold.waiters).into_values());
                    hold.standing = to;
                }
                Standing::Doubtful => hold.standing = to,
                Standing::Over => {}
            }
        }
        for event in events {
            self.record(event);
        }
        wakers
    }

    /// The session is attached again.
    pub(super) fn regain_holds(&mut self) {
        let mut events = Vec::new();
        for hold in self.holds.values_mut() {
            if hold.standing == Standing::Doubtful {
                assert_eq!(hold.session, self.session, "a hold ends with its session");
                hold.standing = Standing::Certain;
                events.push(hold.event(hold.contest.gained(hold.token)));
            }
        }
        for event in events {
            self.record(event);
        }
    }

    pub(crate) fn is_certain(&self, name: u64) -> bool {
        self.holds
            .get(&name)
            .is_some_and(|hold| hold.standing == Standing::Certain)
    }

    pub(crate) fn is_over(&self, name: u64) -> bool {
        self.holds
            .get(&name)
            .is_none_or(|hold| hold.standing == Standing::Over)
    }

    /// How often it has been lost, for [`Inner::poll_loss`].
    pub(crate) fn losses(&self, name: u64) -> u32 {
        self.holds.get(&name).map_or(0, |hold| hold.losses)
    }

    /// Ready if the hold is not certain, or was not since `losses` were counted.
    pub(crate) fn poll_loss(
        &mut self,
        name: u64,
        losses: u32,
        waiter: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        let waiter = match *waiter {
            Some(name) => name,
            None => *waiter.insert(self.name()),
        };
        match self.holds.get_mut(&name) {
            Some(hold) if hold.standing == Standing::Certain && hold.losses == losses => {
                let mut waker = hold.waiters.remove(&waiter);
                store_waker(&mut waker, cx);
                hold.waiters.extend(waker.map(|waker| (waiter, waker)));
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    pub(crate) fn forget_loss(&mut self, name: u64, waiter: u64) {
        if let Some(hold) = self.holds.get_mut(&name) {
            hold.waiters.remove(&waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionState;
    use zabsim_types::ServerId;

    /// Asked under the port's lock, whatever the contender saw before.
    #[test]
    fn a_hold_begins_only_in_its_own_session_and_attached() {
        let port = crate::Port::new(1);
        let mut inner = port.lock();
        let hold = |inner: &mut Inner, session| {
            inner.hold(&"/lock".into(), Contest::Lock, Zxid(7), session)
        };
        inner.session = SessionId(2);
        inner.state = SessionState::Connecting;
        assert_eq!(
            hold(&mut inner, SessionId(2)),
            Err(HoldRefused::Disconnected)
        );
        let server = ServerId(1);
        inner.state = SessionState::Connected { server };
        assert_eq!(
            hold(&mut inner, SessionId(1)),
            Err(HoldRefused::SessionOver)
        );
        assert!(hold(&mut inner, SessionId(2)).is_ok());
        assert_eq!(inner.commands.len(), 1, "only the last is recorded");
    }
}
