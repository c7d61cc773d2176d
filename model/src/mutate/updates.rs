//! Updates that were asked for otherwise: never, in another order, in half.

use super::{Corrupted, Dice, Mutator, UNSEEN, read_of, set_reply, set_zxid, touched};
use crate::checks::history::{Call, Outcome};
use crate::checks::stat_of;
use zabsim_types::{
    CreateMode, ErrorCode, HistoryEvent, HistoryKind, Op, Reply, SessionChange, Zxid,
};

impl<'a> Mutator<'a> {
    pub(super) fn lost_write(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (zxid, at) = self.updates[dice.below(self.updates.len())];
        let call = self.call(at);
        let last = self.named.get(&zxid.epoch()) == Some(&zxid);
        let closes = *call.op() == Op::CloseSession;
        let may_be_legal = if last {
            Some(
                "it was the last of its epoch: nobody saw it, and it may as well not have happened",
            )
        } else if closes {
            Some("the servers may have ended the session by themselves")
        } else if self
            .history
            .calls
            .iter()
            .any(|call| call.outcome() == Outcome::Unknown && call.is_update())
        {
            Some("an update of unknown outcome may be that transaction")
        } else if self.connecting(call) {
            Some("a session may have been made there for a client that had none")
        } else {
            self.sweeps()
                .then_some("a container may have been removed there")
        };
        let what = format!(
            "never asked for: call {} of client {}, {:?}",
            call.id().0,
            call.process().0,
            call.op()
        );
        let (from, to) = (call.invoked as usize, call.done as usize);
        self.changed(what, may_be_legal, |events| {
            events.remove(to);
            events.remove(from);
        })
    }

    /// Whether some client's session had expired before a call, so that it then looked for a new one.
    fn connecting(&self, call: &Call<'_>) -> bool {
        let expired = |event: &HistoryEvent| {
            let change = SessionChange::Expired;
            event.kind == HistoryKind::Session { change }
        };
        self.events[..call.done as usize].iter().any(expired)
    }

    /// Whether containers were made at all.
    fn sweeps(&self) -> bool {
        let container = |op: &Op| {
            matches!(
                op,
                Op::Create {
                    mode: CreateMode::Container,
                    ..
                }
            )
        };
        let made =
            |call: &&Call<'_>| container(call.op()) && !matches!(call.outcome(), Outcome::Fail(_));
        self.history.calls.iter().any(|call| made(&call))
    }

    pub(super) fn swapped(&self, dice: &mut Dice) -> Option<Corrupted> {
        let place = dice.below(self.updates.len());
        let ahead = 1 + dice.below(4);
        let ((first, one), (second, two)) =
            (self.updates[place], *self.updates.get(place + ahead)?);
        let (one, two) = (self.call(one), self.call(two));
        if first.epoch() != second.epoch() {
            return None;
        }
        let named = |call: &Call<'_>| {
            let Outcome::Ok(reply) = call.outcome() else {
                return false;
            };
            !matches!(reply, Reply::MultiFailed { .. })
        };
        let may_be_legal = if one.done < two.invoked || one.session == two.session {
            None
        } else if named(one) || named(two) {
            // What they did has their zxids for its traces, if anybody looked.
            Some("they overlapped, and what they did may have been seen by nobody")
        } else {
            Some(
                "they overlapped, and both failed: in the other order they may have failed just so",
            )
        };
        let what = format!(
            "{first} and {second} exchanged: {:?} and {:?}",
            one.op(),
            two.op()
        );
        self.changed(what, may_be_legal, |events| {
            set_zxid(&mut events[one.done as usize], second);
            set_zxid(&mut events[two.done as usize], first);
        })
    }

    pub(super) fn shared(&self, dice: &mut Dice) -> Option<Corrupted> {
        let place = dice.below(self.updates.len());
        let ((_, at), (other, _)) = (self.updates[place], *self.updates.get(place + 1)?);
        self.headed(self.call(at), "the transaction of another", None, other)
    }

    pub(super) fn duplicate_sequence(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (_, at) = self.updates[dice.below(self.updates.len())];
        let call = self.call(at);
        let (
            Op::Create {
                path: asked, mode, ..
            },
            Outcome::Ok(Reply::Created { path, stat }),
        ) = (call.op(), call.outcome())
        else {
            return None;
        };
        if !mode.is_sequential() {
            return None;
        }
        let number: i32 = path.strip_prefix(&**asked)?.parse().ok()?;
        let back = 1 + dice.below(3) as i32;
        if number < back {
            return None;
        }
        let reply = Reply::Created {
            path: format!("{asked}{:010}", number - back).into(),
            stat: *stat,
        };
        self.answered(call, "the number of another", None, reply)
    }

    pub(super) fn half_multi(&self, dice: &mut Dice) -> Option<Corrupted> {
        let multi = |(_, at): &&(Zxid, u32)| {
            let call = self.call(*at);
            matches!(call.outcome(), Outcome::Ok(Reply::Multi { results }) if results.len() > 1)
        };
        let from = dice.below(self.updates.len());
        let (zxid, at) = self.updates[from..].iter().find(multi)?;
        let call = self.call(*at);
        let (Op::Multi { ops }, Outcome::Ok(Reply::Multi { results })) =
            (call.op(), call.outcome())
        else {
            return None;
        };
        let part = dice.below(ops.len());
        let path = match (&ops[part], &results[part]) {
            (_, Reply::Created { path, .. }) => path,
            (Op::SetData { path, .. }, _) => path,
            // That a node was removed, or a version tested, has no zxid to be known by.
            _ => return None,
        };
        // Part of the state that somebody read: then it cannot be missing.
        let seen = self.answers.iter().map(|at| self.call(*at)).any(|other| {
            let (Some((_, read)), Outcome::Ok(reply)) = (read_of(other.op()), other.outcome())
            else {
                return false;
            };
            let stat = stat_of(reply);
            read == &**path && stat.is_some_and(|stat| stat.mzxid == *zxid || stat.czxid == *zxid)
        });
        let what = format!(
            "part {part} left out: call {} of client {}, {:?}",
            call.id().0,
            call.process().0,
            call.op()
        );
        let (mut ops, mut results) = (ops.clone(), results.clone());
        ops.remove(part);
        results.remove(part);
        self.changed(what, (!seen).then_some(UNSEEN), |events| {
            if let HistoryKind::Invoke { request, .. } = &mut events[call.invoked as usize].kind {
                *request = Op::Multi { ops };
            }
            set_reply(&mut events[call.done as usize], Reply::Multi { results });
        })
    }

    pub(super) fn wrong_culprit(&self, dice: &mut Dice) -> Option<Corrupted> {
        let failed = |(_, at): &&(Zxid, u32)| matches!(self.call(*at).outcome(), Outcome::Ok(Reply::MultiFailed { errors }) if errors.len() > 1);
        let from = dice.below(self.updates.len());
        let (_, at) = self.updates[from..].iter().find(failed)?;
        let call = self.call(*at);
        let (Op::Multi { ops }, Outcome::Ok(Reply::MultiFailed { errors })) =
            (call.op(), call.outcome())
        else {
            return None;
        };
        let culprit = errors.iter().position(|code| *code != ErrorCode::Ok)?;
        let other = (culprit + 1 + dice.below(errors.len() - 1)) % errors.len();
        let mut wrong = vec![ErrorCode::Ok; errors.len()];
        wrong[other..].fill(ErrorCode::RuntimeInconsistency);
        wrong[other] = errors[culprit];
        let mut paths = Vec::new();
        ops.iter().for_each(|op| touched(op, &mut paths));
        let doubt = paths.iter().find_map(|path| self.doubt(path));
        let reply = Reply::MultiFailed { errors: wrong };
        self.answered(call, "another part at fault", doubt, reply)
    }
}
