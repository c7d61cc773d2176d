//! What may lie at a transaction that no reply names.

use super::known::{Life, Trace};
use super::search::{Search, State};
use crate::reference::{Rights, Stamp, Trigger};
use crate::witness::{TxnKind, life_of};
use std::borrow::Cow;
use zabsim_types::{CONFIG_NODE, ErrorCode, Op, OpResult, Reply, SessionId, Xid, ZPath, Zxid};

/// What lies in a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Filler {
    /// An update of unknown outcome, as the model answers it.
    Loose(u32),
    /// An update of unknown outcome that the leader turned away for its session's sake.
    TurnedAway(u32),
    /// The next session begins.
    Made,
    /// A session ends.
    Ended(u32),
    /// A container that has been emptied is removed.
    Swept(ZPath),
    /// A container was to be removed, and could not be.
    NotSwept,
    /// A session that nobody heard of begins or ends.
    Stray,
    /// Something that is not about the part of the history that is looked at.
    Elsewhere,
}

/// A failed removal of a container comes soon after the state in which it was empty.
pub(super) const SWEEP_RACE: u64 = 64;

impl<'h, 'a> Search<'h, 'a> {
    /// What may be the transaction at hand, the likeliest first. Where there need not be one (`idle`), only what leaves a trace
    /// in the tree, or clears the way for what does.
    pub(super) fn fillers(&mut self, state: &State, idle: bool) -> Vec<Filler> {
        let (known, at) = (self.known, state.at);
        let mut all = Vec::new();
        let mut away = Vec::new();
        let mut of_the_dead = false;
        if known.is_part && !idle {
            all.push(Filler::Elsewhere);
        }
        for (place, loose) in known.loose.iter().enumerate() {
            if loose.above >= at || !self.is_next(place as u32) {
                continue;
            }
            let session = self.history.calls[loose.call as usize].session;
            let local = self.model.settings().local_sessions;
            let is_away = match known.is_part {
                // What is not carried out is nothing here, unless what was sent behind it is.
                true => self.has_next(place as u32),
                false if loose.refused || loose.moved || local => true,
                // Of sessions that are over one does as well as the other, so long as each session's are taken in order.
                false if self.model.has_session(session) => false,
                false if (loose.life as usize) < state.made => {
                    !std::mem::replace(&mut of_the_dead, true)
                }
                false => true,
            };
            if is_away {
                away.push(Filler::TurnedAway(place as u32));
            }
            if !loose.refused && at < loose.below {
                all.push(Filler::Loose(place as u32));
            }
        }
        // Behind what anybody named of an epoch, sessions are made that only a later epoch shows.
        let is_shown_later =
            |life: &Life| life.made_by != Zxid::NO_STATE && life.made_by.epoch() > at.epoch();
        let is_made_here = |life: &Life| !idle || is_shown_later(life) && !known.is_part;
        if known.lives.get(state.made).is_some_and(is_made_here) {
            all.push(Filler::Made);
        }
        // A TTL may have run out: what time it was is not known.
        let sweepable = self.model.swept_at(i64::MAX);
        all.extend(sweepable.into_iter().map(Filler::Swept));
        for (place, life) in known.lives.iter().enumerate().take(state.made) {
            let over = life.closes
                || life.last >= at
                || life.told > at
                || self.ended.contains(&(place as u32))
                || !self.model.has_session(life.session);
            if !over {
                all.push(Filler::Ended(place as u32));
            }
        }
        if !idle {
            if at.0 - state.sweepable.0 <= SWEEP_RACE && !known.is_part {
                all.push(Filler::NotSwept);
            }
            if !known.is_part && self.may_be_stray(at) {
                all.push(Filler::Stray);
            }
            all.append(&mut away);
        }
        self.model.keep_journal();
        let mut fitting = Vec::with_capacity(all.len());
        for filler in all {
            if let Some(deadline) = self.fits(state, &filler, idle) {
                fitting.push((deadline, filler));
            }
        }
        if !self.has_choices() {
            self.model.stop_journal();
        }
        if self.ahead.is_some() {
            // The sort is stable: of those that need not be soon the likeliest stays first.
            fitting.sort_by_key(|(deadline, _)| *deadline);
        }
        fitting.into_iter().map(|(_, filler)| filler).collect()
    }

    /// Whether as many sessions are still to be made as there is room for before they were used.
    fn must_be_made(&self, state: &State) -> bool {
        let upto = |zxid: Zxid| {
            self.known
                .updates
                .partition_point(|(other, _)| *other <= zxid)
        };
        let due = self.known.lives.iter().skip(state.made).zip(1u64..);
        let mut near = due
            .take(64)
            .take_while(|(life, _)| life.made_by.epoch() == state.at.epoch());
        near.any(|(life, count)| {
            let slots = (life.made_by.0 + 1).saturating_sub(state.at.0);
            let known = upto(life.made_by).saturating_sub(upto(state.at));
            slots.saturating_sub(known as u64) <= count
        })
    }

    /// Whether some client had no session while the transaction was made.
    fn may_be_stray(&self, at: Zxid) -> bool {
        let (from, to) = self.known.span_of(at);
        let mut spans = self.known.without_session.iter();
        spans.any(|(start, end)| from <= *end && *start <= to)
    }

    /// Whether the requests sent before it on its connection have been carried out, and none behind it. (They too were only carried
    /// out when those before them had been: the last says it of all.)
    fn is_next(&self, at: u32) -> bool {
        let loose = &self.known.loose[at as usize];
        let is_used = |other| self.used.contains(&other);
        loose.previous.is_none_or(is_used)
            && !is_used(at)
            && self.used.range(at + 1..loose.session_end).next().is_none()
    }

    /// Whether something was sent behind it on its connection.
    fn has_next(&self, at: u32) -> bool {
        let (loose, behind) = match &self.known.loose[at as usize..] {
            [loose, behind @ ..] => (loose, behind),
            [] => return false,
        };
        let mut own = behind.iter().take_while(|next| next.slot == loose.slot);
        own.any(|next| next.conn == loose.conn && !next.refused)
    }

    /// By when it must have happened, if it could be carried out there and leaves the traces that were seen.
    fn fits(&mut self, state: &State, filler: &Filler, idle: bool) -> Option<Zxid> {
        let (stamp, _, op) = self.means(state, filler);
        let mark = self.model.mark();
        let deadline = match (filler, op) {
            (_, Some(op)) => {
                if stamp.session != SessionId::NONE && !self.model.has_session(stamp.session) {
                    return None;
                }
                let rights = self.rights(filler);
                let result = self.model.write_as(&op, stamp, rights);
                let idle = idle || self.known.is_part;
                self.leaves(state.at, filler, idle && !changes(&op, &result))
            }
            (Filler::Ended(_), None) => {
                self.model.close_session(stamp);
                let idle = idle || self.known.is_part;
                self.leaves(state.at, filler, idle && self.model.triggers().is_empty())
            }
            (Filler::Made, None) => {
                let unseen = self.known.traces_at(state.at).is_empty();
                let urgent = self.must_be_made(state);
                return unseen.then_some(if urgent { state.at } else { Zxid::NO_STATE });
            }
            _ => {
                let unseen = self.known.traces_at(state.at).is_empty();
                return unseen.then_some(Zxid::NO_STATE);
            }
        };
        self.model.back_to(mark);
        deadline
    }

    /// By when what was just carried out must have happened, if it left what was seen there. `in_vain`: there need not be a
    /// transaction, and it changed nothing.
    fn leaves(&self, at: Zxid, filler: &Filler, in_vain: bool) -> Option<Zxid> {
        if in_vain {
            // Only for what was sent behind it on its connection.
            let Filler::Loose(loose) = filler else {
                return None;
            };
            if !self.known.traces_at(at).is_empty() {
                return None;
            }
            return self.has_next(*loose).then_some(Zxid::NO_STATE);
        }
        let triggers = self.model.triggers();
        let seen = self.known.traces_at(at).iter().all(|trace| {
            let same = |trigger: &Trigger| trigger.kind == trace.kind && trigger.path == trace.path;
            triggers.iter().any(same)
        });
        if !seen {
            return None;
        }
        let history = self.history;
        if let Some(quiet) = self.quiet.as_ref().filter(|_| !self.lenient)
            && let Some(trigger) = triggers
                .iter()
                .find(|trigger| quiet.forbids(at, trigger, history))
        {
            self.hushed.set(true);
            self.unheard.set(Some(Trace {
                zxid: at,
                kind: trigger.kind,
                path: trigger.path.clone(),
            }));
            return None;
        }
        match &self.ahead {
            Some(ahead) if !self.lenient => ahead.deadline(&self.model, at, triggers),
            _ => Some(Zxid::NO_STATE),
        }
    }

    /// Who asks, by which number, for what.
    fn means(&self, state: &State, filler: &Filler) -> (Stamp, Xid, Option<Cow<'a, Op>>) {
        let zxid = state.at;
        match filler {
            Filler::Loose(at) | Filler::TurnedAway(at) => {
                let call = &self.history.calls[self.known.loose[*at as usize].call as usize];
                let op = matches!(filler, Filler::Loose(_)).then_some(Cow::Borrowed(call.op()));
                (self.stamp(call.session, zxid), call.xid, op)
            }
            Filler::Made => (
                self.stamp(self.known.lives[state.made].session, zxid),
                Xid(0),
                None,
            ),
            Filler::Ended(at) => (
                self.stamp(self.known.lives[*at as usize].session, zxid),
                Xid(0),
                None,
            ),
            Filler::Swept(path) => {
                let op = Op::DeleteContainer { path: path.clone() };
                (
                    self.stamp(SessionId::NONE, zxid),
                    Xid(0),
                    Some(Cow::Owned(op)),
                )
            }
            Filler::NotSwept | Filler::Elsewhere => {
                (self.stamp(SessionId::NONE, zxid), Xid(0), None)
            }
            Filler::Stray => (self.stamp(stray(zxid), zxid), Xid(0), None),
        }
    }

    pub(super) fn put(&mut self, state: &mut State, filler: &Filler) {
        self.taken.push((self.txns.len(), filler.clone()));
        let (stamp, xid, op) = self.means(state, filler);
        let what = match filler {
            Filler::Loose(_) | Filler::Swept(_) => {
                if let Filler::Loose(at) = filler {
                    self.used.insert(*at);
                }
                let op = op.expect("a request");
                let rights = self.rights(filler);
                let result = self.model.write_as(&op, stamp, rights);
                effect(&op, result.as_ref().map_err(|code| *code))
            }
            Filler::TurnedAway(at) => {
                self.used.insert(*at);
                self.model.skip(stamp);
                let code = match self.model.has_session(stamp.session) {
                    true => ErrorCode::SessionMoved,
                    false => ErrorCode::SessionExpired,
                };
                TxnKind::Error { code }
            }
            Filler::Made => {
                let timeout_ms = self.known.lives[state.made].timeout_ms;
                state.made += 1;
                self.model.create_session(stamp);
                TxnKind::CreateSession { timeout_ms }
            }
            Filler::Ended(at) => {
                self.ended.insert(*at);
                self.model.close_session(stamp);
                TxnKind::CloseSession
            }
            Filler::NotSwept | Filler::Elsewhere => {
                self.model.skip(stamp);
                TxnKind::Error {
                    code: ErrorCode::NotEmpty,
                }
            }
            Filler::Stray => {
                self.model.create_session(stamp);
                TxnKind::CreateSession { timeout_ms: 0 }
            }
        };
        self.push(stamp, xid, what);
    }

    /// The choices behind so many transactions are none any more.
    pub(super) fn untake(&mut self, txns: usize) {
        while let Some((_, filler)) = self.taken.pop_if(|(at, _)| *at >= txns) {
            match filler {
                Filler::Loose(at) | Filler::TurnedAway(at) => {
                    self.used.remove(&at);
                }
                Filler::Ended(at) => {
                    self.ended.remove(&at);
                }
                _ => {}
            }
        }
    }

    /// By whose rights a filler is carried out.
    fn rights(&self, filler: &Filler) -> Rights<'h> {
        let history = self.history;
        let ids = match filler {
            Filler::Loose(at) => {
                let call = self.known.loose[*at as usize].call;
                history.identities_of_unanswered(&history.calls[call as usize])
            }
            _ => history.common(),
        };
        Rights { ids, as_of: None }
    }
}

/// Whether an update that was answered so left anything behind.
fn changes(op: &Op, result: &OpResult) -> bool {
    match result {
        Err(_) | Ok(Reply::MultiFailed { .. } | Reply::Checked) => false,
        Ok(Reply::Multi { .. }) => match op {
            Op::Multi { ops } => ops.iter().any(|op| !matches!(op, Op::Check { .. })),
            _ => false,
        },
        Ok(_) => true,
    }
}

/// A session that no client knows.
fn stray(zxid: Zxid) -> SessionId {
    SessionId(i64::MIN | zxid.0 as i64)
}

/// What a request that was answered so did.
pub(super) fn effect(op: &Op, result: Result<&Reply, ErrorCode>) -> TxnKind {
    match (op, result) {
        (_, Err(code)) => TxnKind::Error { code },
        (_, Ok(Reply::MultiFailed { errors })) => TxnKind::Error {
            code: errors
                .iter()
                .copied()
                .find(|code| *code != ErrorCode::Ok)
                .unwrap_or(ErrorCode::RuntimeInconsistency),
        },
        (Op::Multi { ops }, Ok(Reply::Multi { results })) => TxnKind::Multi {
            parts: ops
                .iter()
                .zip(results)
                .map(|(op, reply)| effect(op, Ok(reply)))
                .collect(),
        },
        (Op::Create { data, mode, .. }, Ok(Reply::Created { path, .. })) => TxnKind::Create {
            path: path.clone(),
            data: data.clone(),
            ephemeral: mode.is_ephemeral(),
            life: life_of(*mode),
        },
        (Op::Delete { path, .. }, _) => TxnKind::Delete { path: path.clone() },
        (Op::SetData { path, data, .. }, _) => TxnKind::SetData {
            path: path.clone(),
            data: data.clone(),
        },
        (Op::Reconfig { .. }, Ok(Reply::Reconfigured { data, .. })) => TxnKind::SetData {
            path: CONFIG_NODE.into(),
            data: data.clone(),
        },
        (Op::DeleteContainer { path }, _) => TxnKind::Delete { path: path.clone() },
        (Op::SetAcl { path, acl, .. }, _) => TxnKind::SetAcl {
            path: path.clone(),
            acl: acl.clone(),
        },
        (Op::Check { path, .. }, _) => TxnKind::Check { path: path.clone() },
        (Op::CloseSession, _) => TxnKind::CloseSession,
        _ => TxnKind::Error {
            code: ErrorCode::Unimplemented,
        },
    }
}
