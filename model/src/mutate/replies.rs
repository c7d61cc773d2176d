//! Replies that say something else: of another state, another node, another time.

use super::{
    Corrupted, Dice, Mutator, UNKNOWN_WRITER, UNSEEN, each_stat, read_of, set_reply, stat_mut,
    touched,
};
use crate::checks::history::{Call, Outcome};
use crate::checks::stat_of;
use std::collections::BTreeMap;
use std::sync::Arc;
use zabsim_types::{ErrorCode, HistoryKind, Op, Reply, SessionId, Stat, Zxid};

impl<'a> Mutator<'a> {
    pub(super) fn stale_read(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (call, reads, place) = self.any_read(dice)?;
        let Outcome::Ok(reply) = call.outcome() else {
            return None;
        };
        let older =
            |at: &&u32| matches!(self.call(**at).outcome(), Outcome::Ok(old) if old != reply);
        let older = reads[..place].iter().rev().find(older)?;
        let Outcome::Ok(old) = self.call(*older).outcome() else {
            return None;
        };
        let (_, path) = read_of(call.op())?;
        self.answered(call, "an earlier answer", self.doubt(path), old.clone())
    }

    pub(super) fn back_in_time(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        if call.is_update() {
            return None;
        }
        let slot = self.history.slot(call.session)?;
        let answered = &self.history.sessions[slot].answered;
        let place = answered
            .iter()
            .position(|at| self.call(*at).id() == call.id())?;
        let before = self.call(answered[place.checked_sub(1)?]).zxid;
        let back = 1 + dice.below(3) as u64;
        let to = Zxid(before.0.checked_sub(back)?);
        if to.epoch() != before.epoch() {
            return None;
        }
        self.headed(call, "older than what its session had seen", None, to)
    }

    /// Changes the `Stat` of some reply.
    fn wrong_stat(
        &self,
        dice: &mut Dice,
        what: &str,
        change: impl FnOnce(&mut Stat, &mut Dice) -> Option<&'static str>,
    ) -> Option<Corrupted> {
        let call = self.any(dice);
        let Outcome::Ok(reply) = call.outcome() else {
            return None;
        };
        let mut reply = reply.clone();
        let stat = stat_mut(&mut reply)?;
        let may_be_legal = change(stat, dice);
        let may_be_legal =
            may_be_legal.or_else(|| read_of(call.op()).and_then(|(_, path)| self.doubt(path)));
        self.answered(call, what, may_be_legal, reply)
    }

    pub(super) fn wrong_version(&self, dice: &mut Dice) -> Option<Corrupted> {
        self.wrong_stat(dice, "another version", |stat, dice| {
            let by = if dice.below(2) == 0 { 1 } else { -1 };
            match dice.below(3) {
                0 => stat.version += by,
                1 => stat.cversion += by,
                _ => stat.aversion += by,
            }
            None
        })
    }

    /// The clock of a leader is not a promise. What two replies say of one transaction must agree; what one alone says need not
    /// be anything.
    pub(super) fn wrong_time(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        let Outcome::Ok(reply) = call.outcome() else {
            return None;
        };
        let stat = *stat_of(reply)?;
        if stat.czxid == Zxid::ZERO {
            return None;
        }
        let others = self
            .answers
            .iter()
            .filter(|at| self.call(**at).id() != call.id());
        let same = |at: &u32| {
            let Outcome::Ok(reply) = self.call(*at).outcome() else {
                return false;
            };
            let mut seen = false;
            each_stat(reply, &mut |other| {
                seen |= other.czxid == stat.czxid || other.mzxid == stat.czxid
            });
            seen
        };
        let again = others.copied().any(|at| same(&at)) || stat.mzxid == stat.czxid;
        let mut reply = reply.clone();
        stat_mut(&mut reply)?.ctime += 1 + dice.below(1_000) as i64;
        self.answered(
            call,
            "another time of creation",
            (!again).then_some(UNSEEN),
            reply,
        )
    }

    pub(super) fn wrong_data(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (call, _, _) = self.any_read(dice)?;
        let Outcome::Ok(Reply::Data { data, stat }) = call.outcome() else {
            return None;
        };
        let mut bytes = data.as_deref().unwrap_or_default().to_vec();
        match bytes.last_mut() {
            Some(last) => *last ^= 1,
            None => return None,
        }
        let written = self
            .updates
            .binary_search_by_key(&stat.mzxid, |(zxid, _)| *zxid)
            .is_ok();
        let reply = Reply::Data {
            data: Some(bytes.into()),
            stat: *stat,
        };
        // Of an unanswered write the history still says what it would have written.
        let doubt = (!written).then_some(UNKNOWN_WRITER);
        self.answered(call, "other data", doubt, reply)
    }

    pub(super) fn wrong_error(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        let Outcome::Fail(code) = call.outcome() else {
            return None;
        };
        let other = match code {
            ErrorCode::NoNode => [
                ErrorCode::NodeExists,
                ErrorCode::BadVersion,
                ErrorCode::NotEmpty,
            ][dice.below(3)],
            ErrorCode::NoAuth => ErrorCode::NoNode,
            _ => ErrorCode::NoNode,
        };
        let mut paths = Vec::new();
        touched(call.op(), &mut paths);
        let doubt = paths.iter().find_map(|path| self.doubt(path));
        let what = format!(
            "{other:?} instead of {code:?}: call {} of client {}, {:?}",
            call.id().0,
            call.process().0,
            call.op()
        );
        self.changed(what, doubt, |events| {
            if let HistoryKind::Fail { error, .. } = &mut events[call.done as usize].kind {
                *error = other;
            }
        })
    }

    pub(super) fn wrong_children(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (call, _, _) = self.any_read(dice)?;
        let Outcome::Ok(Reply::Children { names, stat }) = call.outcome() else {
            return None;
        };
        let mut names = names.clone();
        if dice.below(2) == 0 && !names.is_empty() {
            names.remove(dice.below(names.len()));
        } else {
            let phantom: Arc<str> = format!("{}0", names.first().map_or("x", |name| name)).into();
            names.push(phantom);
            names.sort_unstable();
            names.dedup();
        }
        let reply = Reply::Children { names, stat: *stat };
        self.answered(call, "other children", None, reply)
    }

    pub(super) fn wrong_owner(&self, dice: &mut Dice) -> Option<Corrupted> {
        let sessions = &self.history.sessions;
        let other = sessions[dice.below(sessions.len())].session;
        let call = self.any(dice);
        let Outcome::Ok(reply) = call.outcome() else {
            return None;
        };
        let mut reply = reply.clone();
        let stat = stat_mut(&mut reply)?;
        if stat.ephemeral_owner == other || stat.czxid == Zxid::ZERO {
            return None;
        }
        let written = self
            .updates
            .binary_search_by_key(&stat.czxid, |(zxid, _)| *zxid)
            .is_ok();
        stat.ephemeral_owner = if stat.ephemeral_owner == SessionId::NONE {
            other
        } else {
            SessionId::NONE
        };
        self.answered(
            call,
            "another owner",
            (!written).then_some(UNKNOWN_WRITER),
            reply,
        )
    }

    pub(super) fn future_read(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        if call.is_update() {
            return None;
        }
        let later = |(_, at): &&(Zxid, u32)| self.call(*at).invoked > call.done;
        let from = self.updates.partition_point(|(zxid, _)| *zxid <= call.zxid);
        let (to, _) = self.updates[from..].iter().find(later)?;
        self.headed(call, "a state of the future", None, *to)
    }

    /// A later read is asked of an ephemeral whose session had been closed, and answered as when it was there.
    pub(super) fn resurrected(&self, dice: &mut Dice) -> Option<Corrupted> {
        let calls = || self.answers.iter().map(|at| self.call(*at));
        let closed: BTreeMap<SessionId, Zxid> = calls()
            .filter(|call| *call.op() == Op::CloseSession)
            .map(|call| (call.session, call.zxid))
            .collect();
        let ended = |call: Call<'a>| {
            let Outcome::Ok(reply) = call.outcome() else {
                return None;
            };
            read_of(call.op())?;
            let owner = stat_of(reply)?.ephemeral_owner;
            Some((call, reply, *closed.get(&owner)?))
        };
        let seen: Vec<_> = calls().copied().filter_map(ended).collect();
        let (then, reply, end) = *seen.get(dice.below(seen.len()))?;
        let behind: Vec<_> = calls()
            .filter(|call| call.zxid >= end && read_of(call.op()).is_some())
            .filter(|call| matches!(call.outcome(), Outcome::Ok(_)))
            .collect();
        let call = *behind.get(dice.below(behind.len()))?;
        let what = format!(
            "seen at {} though its session ended at {end}: call {} of client {}, now {:?}",
            call.zxid,
            call.id().0,
            call.process().0,
            then.op()
        );
        let (asked, answered) = (then.op().clone(), reply.clone());
        self.changed(what, None, |events| {
            if let HistoryKind::Invoke { request, .. } = &mut events[call.invoked as usize].kind {
                *request = asked;
            }
            set_reply(&mut events[call.done as usize], answered);
        })
    }
}
