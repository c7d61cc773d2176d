//! What failed, and the way back from there: to the last choice, or to the last one that has to do with it.

use super::{Choice, Move, Search};
use crate::znode::fillers::Filler;
use crate::znode::known::Trace;
use crate::znode::part::path_of;
use zabsim_types::{Op, OpResult, SessionId, ZPath, Zxid, parent_of};

/// Why there can be no such log.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::znode) struct Failure {
    /// At which transaction.
    pub zxid: Zxid,
    pub why: Why,
}

#[derive(Clone, PartialEq, Debug)]
pub(in crate::znode) enum Why {
    /// That call was answered otherwise than from the state there; from which it would have been answered so. A failure that is
    /// not the latest so far is told to nobody, and does without.
    Answer {
        call: u32,
        expected: Option<OpResult>,
    },
    /// No reply names the transaction, and nothing that can have happened leaves what was seen of it.
    Nobodys,
    /// Nothing up to there can have made the session, which was used.
    Unmade { session: SessionId },
    /// That was told of the transaction, and did not happen in it.
    Untrue(Trace),
    /// That happened in it, and somebody who watched for it was shown later states and told nothing.
    Untold(Trace),
    /// A check refuses the log.
    Refused,
    /// The same was tried in vain before.
    AsBefore,
}

impl Failure {
    /// The call that cannot have been answered so.
    pub fn call(&self) -> Option<u32> {
        match self.why {
            Why::Answer { call, .. } => Some(call),
            _ => None,
        }
    }
}

impl Search<'_, '_> {
    /// The choice to go back to: the last one, and as long as that is promising the last one that has to do with the node at which
    /// it failed. Who jumps over choices has not tried everything.
    pub(super) fn way_back(&mut self, about: Option<&ZPath>) -> Option<Choice> {
        let Some(path) = about.filter(|_| self.jumps) else {
            return self.choices.pop();
        };
        while let Some(choice) = self.choices.pop() {
            let at = self.taken.partition_point(|(at, _)| *at < choice.txns);
            let now = self.taken.get(at).filter(|(at, _)| *at == choice.txns);
            let now = now.is_some_and(|(_, filler)| self.concerns(filler, path));
            let other = |other: &Move| match other {
                Move::Put(filler) => self.concerns(filler, path),
                Move::Beyond => true,
            };
            if now || choice.rest.iter().any(other) {
                return Some(choice);
            }
            self.jumped = true;
        }
        None
    }

    /// Whether what may lie in a gap has to do with a node: changes it, its parent or a child of it.
    fn concerns(&self, filler: &Filler, path: &ZPath) -> bool {
        match filler {
            Filler::Loose(at) => {
                let call = &self.history.calls[self.known.loose[*at as usize].call as usize];
                is_near(call.op(), path)
            }
            Filler::Ended(at) => {
                let session = self.known.lives[*at as usize].session;
                let made = self.known.ephemerals.get(&session);
                made.is_some_and(|made| made.iter().any(|other| are_near(other, path)))
            }
            Filler::Swept(other) => are_near(other, path),
            Filler::TurnedAway(_)
            | Filler::Made
            | Filler::NotSwept
            | Filler::Stray
            | Filler::Elsewhere => false,
        }
    }

    /// Notes a failure. The node that it is about.
    pub(super) fn failed(&mut self, zxid: Zxid, why: Why) -> Option<ZPath> {
        if why == Why::AsBefore {
            return None;
        }
        let failure = Failure { zxid, why };
        let about = self.about(&failure);
        if let Some(path) = &about {
            *self.failures.entry(path.clone()).or_default() += 1;
        }
        if self.is_latest(zxid) {
            self.worst = Some(self.here(failure));
        }
        about
    }

    /// Whether none of the failures so far came later.
    pub(super) fn is_latest(&self, zxid: Zxid) -> bool {
        let latest = self.worst.as_ref().map(|worst| worst.failure.zxid);
        latest.is_none_or(|latest| latest < zxid)
    }

    /// The node at which it failed.
    fn about(&self, failure: &Failure) -> Option<ZPath> {
        match &failure.why {
            Why::Answer { call, .. } => {
                first_path(self.history.calls[*call as usize].op()).cloned()
            }
            Why::Untrue(trace) | Why::Untold(trace) => Some(trace.path.clone()),
            Why::Nobodys => {
                let traces = self.known.traces_at(failure.zxid);
                traces.first().map(|trace| trace.path.clone())
            }
            Why::Unmade { .. } | Why::Refused | Why::AsBefore => None,
        }
    }

    /// The nodes at which it failed, that of the latest failure first, then by how often.
    pub fn suspects(&self) -> Vec<ZPath> {
        let mut all: Vec<(&ZPath, &u64)> = self.failures.iter().collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let latest = self.worst.as_ref();
        let latest = latest.and_then(|worst| self.about(&worst.failure));
        let others = all.into_iter().map(|(path, _)| path.clone());
        let others: Vec<ZPath> = others
            .filter(|path| Some(path) != latest.as_ref())
            .collect();
        latest.into_iter().chain(others).collect()
    }

    /// The failure that came latest in the log.
    pub fn latest(&self) -> Option<&Failure> {
        let worst = self.worst.as_ref().or(self.follow.as_ref());
        worst.map(|worst| &worst.failure)
    }

    /// Whether something could have been chosen otherwise.
    pub fn has_chosen(&self) -> bool {
        self.chose
    }

    /// Whether it is certain that in every log a watch was lost.
    pub fn is_quiet_refuted(&self) -> bool {
        self.quiet.is_none() && !self.cut_short
    }
}

/// Whether an update has to do with a node.
fn is_near(op: &Op, path: &ZPath) -> bool {
    match op {
        Op::Multi { ops } => ops.iter().any(|op| is_near(op, path)),
        op => path_of(op).is_some_and(|other| are_near(other, path)),
    }
}

/// Whether a change of the one shows at the other: the same node, a parent, a child, or another child of its parent.
fn are_near(one: &str, other: &str) -> bool {
    let (above_one, above_other) = (parent_of(one), parent_of(other));
    one == other || above_one == Some(other) || above_other == Some(one) || above_one == above_other
}

/// The node that an operation is about, of several the first.
pub(in crate::znode) fn first_path(op: &Op) -> Option<&ZPath> {
    match op {
        Op::Multi { ops } | Op::MultiRead { ops } => ops.iter().find_map(first_path),
        op => path_of(op),
    }
}
