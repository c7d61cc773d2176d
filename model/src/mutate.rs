//! Corrupted histories, for testing the judge: a correct history goes in, one thing in it is changed, and the result says
//! whether no service could have produced it.
//!
//! A corruption that is not certainly illegal says why: what was changed may be something that nobody observed, or an order
//! that nothing decides. A judge must refuse all the others. Deterministic: the same history, kind and seed give the same
//! corruption.

use crate::checks::history::{Call, History, Outcome};
use crate::checks::stat_of;
use std::collections::BTreeMap;
use std::sync::Arc;
use zabsim_types::{
    ErrorCode, HistoryEvent, HistoryKind, Op, Reply, SessionChange, SessionId, Stat, WatchKind,
    Zxid, parent_of,
};

/// What is done to a history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Corruption {
    /// A read answers what an earlier state held, under its own header.
    StaleRead,
    /// A read names a state older than its session had seen.
    BackInTime,
    /// An answered update was never asked for: its transaction is nobody's.
    LostWrite,
    /// Two answered updates exchange their transactions.
    SwappedOrder,
    /// Two answered updates have one transaction.
    SharedTransaction,
    /// A sequential node gets the number of another.
    DuplicateSequence,
    /// A version in a `Stat` is one too high or too low.
    WrongVersion,
    /// A time in a `Stat` is another.
    WrongTime,
    /// A read answers other data.
    WrongData,
    /// A request fails for another reason.
    WrongError,
    /// The list of children misses one, or has one too many.
    WrongChildren,
    /// A node has another owner.
    WrongOwner,
    /// A notification never comes.
    WatchMissing,
    /// A notification comes after a reply that shows its change.
    WatchLate,
    /// A notification comes twice.
    WatchTwice,
    /// A notification is of another kind, or of another node.
    WatchWrong,
    /// A read names a state with an update that is called only later.
    FutureRead,
    /// A node of a session that has ended is seen.
    ResurrectedEphemeral,
    /// Of a multi a part did not happen.
    HalfMulti,
    /// A multi failed at another part.
    WrongCulprit,
}

impl Corruption {
    /// All of them.
    pub const ALL: [Corruption; 20] = [
        Corruption::StaleRead,
        Corruption::BackInTime,
        Corruption::LostWrite,
        Corruption::SwappedOrder,
        Corruption::SharedTransaction,
        Corruption::DuplicateSequence,
        Corruption::WrongVersion,
        Corruption::WrongTime,
        Corruption::WrongData,
        Corruption::WrongError,
        Corruption::WrongChildren,
        Corruption::WrongOwner,
        Corruption::WatchMissing,
        Corruption::WatchLate,
        Corruption::WatchTwice,
        Corruption::WatchWrong,
        Corruption::FutureRead,
        Corruption::ResurrectedEphemeral,
        Corruption::HalfMulti,
        Corruption::WrongCulprit,
    ];
}

/// A history in which one thing was changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Corrupted {
    /// The history.
    pub events: Vec<HistoryEvent>,
    /// What was changed.
    pub what: String,
    /// Why the result may be legal after all; `None`: it is not.
    pub may_be_legal: Option<&'static str>,
}

/// Corrupts one history, as often as wanted.
pub struct Mutator<'a> {
    events: &'a [HistoryEvent],
    history: History<'a>,
    /// The event of each call's answer.
    answers: Vec<u32>,
    /// The reads that succeeded, by operation and path, in the order of their zxids.
    reads: BTreeMap<(u8, &'a str), Vec<u32>>,
    /// Zxids of answered updates, with their calls.
    updates: Vec<(Zxid, u32)>,
    /// The last transaction that anybody names in each epoch.
    named: BTreeMap<u32, Zxid>,
    /// Nodes that updates of unknown outcome may have made, set or removed, and their parents.
    doubtful: Vec<&'a str>,
}

/// A small generator of numbers: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

const UNKNOWN_WRITER: &str = "an update of unknown outcome may have made the difference";
const UNSEEN: &str = "nobody saw what was changed";

impl<'a> Mutator<'a> {
    /// Of a history in which completions fit their invocations; else none.
    pub fn new(events: &'a [HistoryEvent]) -> Option<Mutator<'a>> {
        let history = History::new(events, &[]).ok()?;
        let mut mutator = Mutator {
            events,
            answers: history.answered.clone(),
            history,
            reads: BTreeMap::new(),
            updates: Vec::new(),
            named: BTreeMap::new(),
            doubtful: Vec::new(),
        };
        for at in &mutator.answers {
            let call = &mutator.history.calls[*at as usize];
            if call.is_update() {
                mutator.updates.push((call.zxid, *at));
            } else if let (Some((kind, path)), Outcome::Ok(_)) = (read_of(call.op), call.outcome) {
                mutator.reads.entry((kind, path)).or_default().push(*at);
            }
            let last = mutator.named.entry(call.zxid.epoch()).or_default();
            *last = call.zxid.max(*last);
        }
        mutator.updates.sort_unstable();
        let calls = &mutator.history.calls;
        for reads in mutator.reads.values_mut() {
            reads.sort_by_key(|at| calls[*at as usize].zxid);
        }
        for call in calls.iter().filter(|call| call.outcome == Outcome::Unknown) {
            touched(call.op, &mut mutator.doubtful);
        }
        Some(mutator)
    }

    /// Changes one thing; `None` where the history has nothing to change in that way, or the draw found nothing.
    pub fn corrupt(&self, kind: Corruption, seed: u64) -> Option<Corrupted> {
        let mut dice = Dice(seed ^ (kind as u64) << 56);
        // Most draws fit; a few do not, as a node that has no earlier state.
        (0..64).find_map(|_| self.attempt(kind, &mut dice))
    }

    fn attempt(&self, kind: Corruption, dice: &mut Dice) -> Option<Corrupted> {
        match kind {
            Corruption::StaleRead => self.stale_read(dice),
            Corruption::BackInTime => self.back_in_time(dice),
            Corruption::LostWrite => self.lost_write(dice),
            Corruption::SwappedOrder => self.swapped(dice),
            Corruption::SharedTransaction => self.shared(dice),
            Corruption::DuplicateSequence => self.duplicate_sequence(dice),
            Corruption::WrongVersion => self.wrong_version(dice),
            Corruption::WrongTime => self.wrong_time(dice),
            Corruption::WrongData => self.wrong_data(dice),
            Corruption::WrongError => self.wrong_error(dice),
            Corruption::WrongChildren => self.wrong_children(dice),
            Corruption::WrongOwner => self.wrong_owner(dice),
            Corruption::WatchMissing => self.watch_missing(dice),
            Corruption::WatchLate => self.watch_late(dice),
            Corruption::WatchTwice => self.watch_twice(dice),
            Corruption::WatchWrong => self.watch_wrong(dice),
            Corruption::FutureRead => self.future_read(dice),
            Corruption::ResurrectedEphemeral => self.resurrected(dice),
            Corruption::HalfMulti => self.half_multi(dice),
            Corruption::WrongCulprit => self.wrong_culprit(dice),
        }
    }

    fn call(&self, at: u32) -> &Call<'a> {
        &self.history.calls[at as usize]
    }

    fn any(&self, dice: &mut Dice) -> &Call<'a> {
        self.call(self.answers[dice.below(self.answers.len())])
    }

    fn any_read(&self, dice: &mut Dice) -> Option<(&Call<'a>, &[u32], usize)> {
        let lists = self.reads.len();
        let reads = self.reads.values().nth(dice.below(lists))?;
        let place = dice.below(reads.len());
        Some((self.call(reads[place]), reads, place))
    }

    /// Whether an update of unknown outcome may have to do with the node.
    fn is_doubtful(&self, path: &str) -> bool {
        let parent = parent_of(path).unwrap_or("/");
        self.doubtful
            .iter()
            .any(|other| *other == path || *other == parent)
    }

    fn doubt(&self, path: &str) -> Option<&'static str> {
        self.is_doubtful(path).then_some(UNKNOWN_WRITER)
    }

    fn changed(
        &self,
        what: String,
        may_be_legal: Option<&'static str>,
        change: impl FnOnce(&mut Vec<HistoryEvent>),
    ) -> Option<Corrupted> {
        let mut events = self.events.to_vec();
        change(&mut events);
        Some(Corrupted {
            events,
            what,
            may_be_legal,
        })
    }

    /// Changes the reply of a call.
    fn answered(
        &self,
        call: &Call<'a>,
        what: &str,
        may_be_legal: Option<&'static str>,
        reply: Reply,
    ) -> Option<Corrupted> {
        let what = format!(
            "{what}: call {} of client {}, {:?}",
            call.id.0, call.process.0, call.op
        );
        self.changed(what, may_be_legal, |events| {
            set_reply(&mut events[call.done as usize], reply)
        })
    }

    /// Changes the header of a call's reply.
    fn headed(
        &self,
        call: &Call<'a>,
        what: &str,
        may_be_legal: Option<&'static str>,
        to: Zxid,
    ) -> Option<Corrupted> {
        let what = format!(
            "{what}: call {} of client {}, {:?}, at {} now {to}",
            call.id.0, call.process.0, call.op, call.zxid
        );
        self.changed(what, may_be_legal, |events| {
            set_zxid(&mut events[call.done as usize], to)
        })
    }

    fn stale_read(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (call, reads, place) = self.any_read(dice)?;
        let Outcome::Ok(reply) = call.outcome else {
            return None;
        };
        let older = |at: &&u32| matches!(self.call(**at).outcome, Outcome::Ok(old) if old != reply);
        let older = reads[..place].iter().rev().find(older)?;
        let Outcome::Ok(old) = self.call(*older).outcome else {
            return None;
        };
        let (_, path) = read_of(call.op)?;
        self.answered(call, "an earlier answer", self.doubt(path), old.clone())
    }

    fn back_in_time(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        if call.is_update() {
            return None;
        }
        let slot = self.history.slot(call.session)?;
        let answered = &self.history.sessions[slot].answered;
        let place = answered
            .iter()
            .position(|at| self.call(*at).id == call.id)?;
        let before = self.call(answered[place.checked_sub(1)?]).zxid;
        let back = 1 + dice.below(3) as u64;
        let to = Zxid(before.0.checked_sub(back)?);
        if to.epoch() != before.epoch() {
            return None;
        }
        self.headed(call, "older than what its session had seen", None, to)
    }

    fn lost_write(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (zxid, at) = self.updates[dice.below(self.updates.len())];
        let call = self.call(at);
        let last = self.named.get(&zxid.epoch()) == Some(&zxid);
        let closes = *call.op == Op::CloseSession;
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
            .any(|call| call.outcome == Outcome::Unknown && call.is_update())
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
            call.id.0, call.process.0, call.op
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
                    mode: zabsim_types::CreateMode::Container,
                    ..
                }
            )
        };
        let made =
            |call: &&Call<'_>| container(call.op) && !matches!(call.outcome, Outcome::Fail(_));
        self.history.calls.iter().any(|call| made(&call))
    }

    fn swapped(&self, dice: &mut Dice) -> Option<Corrupted> {
        let place = dice.below(self.updates.len());
        let ahead = 1 + dice.below(4);
        let ((first, one), (second, two)) =
            (self.updates[place], *self.updates.get(place + ahead)?);
        let (one, two) = (self.call(one), self.call(two));
        if first.epoch() != second.epoch() {
            return None;
        }
        let named = |call: &Call<'_>| {
            let Outcome::Ok(reply) = call.outcome else {
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
            one.op, two.op
        );
        self.changed(what, may_be_legal, |events| {
            set_zxid(&mut events[one.done as usize], second);
            set_zxid(&mut events[two.done as usize], first);
        })
    }

    fn shared(&self, dice: &mut Dice) -> Option<Corrupted> {
        let place = dice.below(self.updates.len());
        let ((_, at), (other, _)) = (self.updates[place], *self.updates.get(place + 1)?);
        self.headed(self.call(at), "the transaction of another", None, other)
    }

    fn duplicate_sequence(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (_, at) = self.updates[dice.below(self.updates.len())];
        let call = self.call(at);
        let (
            Op::Create {
                path: asked, mode, ..
            },
            Outcome::Ok(Reply::Created { path, stat }),
        ) = (call.op, call.outcome)
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

    /// Changes the `Stat` of some reply.
    fn wrong_stat(
        &self,
        dice: &mut Dice,
        what: &str,
        change: impl FnOnce(&mut Stat, &mut Dice) -> Option<&'static str>,
    ) -> Option<Corrupted> {
        let call = self.any(dice);
        let Outcome::Ok(reply) = call.outcome else {
            return None;
        };
        let mut reply = reply.clone();
        let stat = stat_mut(&mut reply)?;
        let may_be_legal = change(stat, dice);
        let may_be_legal =
            may_be_legal.or_else(|| read_of(call.op).and_then(|(_, path)| self.doubt(path)));
        self.answered(call, what, may_be_legal, reply)
    }

    fn wrong_version(&self, dice: &mut Dice) -> Option<Corrupted> {
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
    fn wrong_time(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        let Outcome::Ok(reply) = call.outcome else {
            return None;
        };
        let stat = *stat_of(reply)?;
        if stat.czxid == Zxid::ZERO {
            return None;
        }
        let others = self
            .answers
            .iter()
            .filter(|at| self.call(**at).id != call.id);
        let same = |at: &u32| {
            let Outcome::Ok(reply) = self.call(*at).outcome else {
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

    fn wrong_data(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (call, _, _) = self.any_read(dice)?;
        let Outcome::Ok(Reply::Data { data, stat }) = call.outcome else {
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

    fn wrong_error(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        let Outcome::Fail(code) = call.outcome else {
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
        touched(call.op, &mut paths);
        let doubt = paths.iter().find_map(|path| self.doubt(path));
        let what = format!(
            "{other:?} instead of {code:?}: call {} of client {}, {:?}",
            call.id.0, call.process.0, call.op
        );
        self.changed(what, doubt, |events| {
            if let HistoryKind::Fail { error, .. } = &mut events[call.done as usize].kind {
                *error = other;
            }
        })
    }

    fn wrong_children(&self, dice: &mut Dice) -> Option<Corrupted> {
        let (call, _, _) = self.any_read(dice)?;
        let Outcome::Ok(Reply::Children { names, stat }) = call.outcome else {
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

    fn wrong_owner(&self, dice: &mut Dice) -> Option<Corrupted> {
        let sessions = &self.history.sessions;
        let other = sessions[dice.below(sessions.len())].session;
        let call = self.any(dice);
        let Outcome::Ok(reply) = call.outcome else {
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

    fn any_watch(&self, dice: &mut Dice) -> Option<usize> {
        let from = dice.below(self.events.len());
        let is_watch = |at: &usize| {
            matches!(
                self.events[*at].kind,
                HistoryKind::Watch { zxid: Some(_), .. }
            )
        };
        (from..self.events.len()).find(is_watch)
    }

    /// The first reply behind an event, at its client by its connection, that shows its change.
    fn shown_after(&self, at: usize) -> Option<usize> {
        let HistoryKind::Watch {
            zxid: Some(zxid),
            conn,
            ..
        } = &self.events[at].kind
        else {
            return None;
        };
        let process = self.events[at].process;
        let mut behind = self
            .events
            .iter()
            .enumerate()
            .skip(at + 1)
            .filter(|(_, event)| event.process == process);
        let found = behind.find_map(|(at, event)| match &event.kind {
            HistoryKind::Ok {
                zxid: header,
                conn: by,
                ..
            }
            | HistoryKind::Fail {
                zxid: header,
                conn: by,
                ..
            } => {
                if by != conn {
                    return Some(None);
                }
                (*header != Zxid::NO_STATE && header >= zxid).then_some(Some(at))
            }
            HistoryKind::Session { .. } => Some(None),
            _ => None,
        });
        found.flatten()
    }

    fn watch_missing(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let doubt = self
            .shown_after(at)
            .is_none()
            .then_some("its connection may have been lost before it came");
        let what = format!("never came: event {} {:?}", at + 1, self.events[at].kind);
        self.changed(what, doubt, |events| {
            events.remove(at);
        })
    }

    fn watch_late(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let reply = self.shown_after(at)?;
        let what = format!("came late: event {} {:?}", at + 1, self.events[at].kind);
        self.changed(what, None, |events| {
            let mut event = events.remove(at);
            event.time = events[reply - 1].time;
            events.insert(reply, event);
        })
    }

    fn watch_twice(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let what = format!("came twice: event {} {:?}", at + 1, self.events[at].kind);
        self.changed(what, None, |events| events.insert(at, events[at].clone()))
    }

    fn watch_wrong(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let what = format!(
            "of another kind: event {} {:?}",
            at + 1,
            self.events[at].kind
        );
        let draw = dice.below(2);
        self.changed(what, None, |events| {
            if let HistoryKind::Watch { event, .. } = &mut events[at].kind {
                if draw == 0 {
                    event.kind = match event.kind {
                        WatchKind::NodeDeleted => WatchKind::NodeCreated,
                        _ => WatchKind::NodeDeleted,
                    };
                } else {
                    event.path = format!("{}/none", event.path).into();
                }
            }
        })
    }

    fn future_read(&self, dice: &mut Dice) -> Option<Corrupted> {
        let call = self.any(dice);
        if call.is_update() {
            return None;
        }
        let later = |(_, at): &&(Zxid, u32)| self.call(*at).invoked > call.done;
        let from = self.updates.partition_point(|(zxid, _)| *zxid <= call.zxid);
        let (to, _) = self.updates[from..].iter().find(later)?;
        self.headed(call, "a state of the future", None, *to)
    }

    fn resurrected(&self, dice: &mut Dice) -> Option<Corrupted> {
        // A read that finds nothing where an ephemeral of a session that was closed before was seen.
        let closed: BTreeMap<SessionId, Zxid> = self
            .updates
            .iter()
            .map(|(zxid, at)| (*zxid, self.call(*at)))
            .filter(|(_, call)| *call.op == Op::CloseSession)
            .map(|(zxid, call)| (call.session, zxid))
            .collect();
        let (call, _, _) = self.any_read(dice)?;
        let Outcome::Ok(reply) = call.outcome else {
            return None;
        };
        let stat = stat_of(reply)?;
        let end = *closed.get(&stat.ephemeral_owner)?;
        let (kind, path) = read_of(call.op)?;
        let behind = self.answers.iter().map(|at| self.call(*at)).find(|other| {
            other.zxid >= end
                && read_of(other.op) == Some((kind, path))
                && other.outcome == Outcome::Fail(ErrorCode::NoNode)
        })?;
        let what = format!(
            "seen at {} though its session ended at {end}: call {} of client {}, {:?}",
            behind.zxid, behind.id.0, behind.process.0, behind.op
        );
        let reply = reply.clone();
        self.changed(what, None, |events| {
            let event = &mut events[behind.done as usize];
            if let HistoryKind::Fail {
                id,
                zxid,
                xid,
                conn,
                ..
            } = event.kind
            {
                event.kind = HistoryKind::Ok {
                    id,
                    zxid,
                    xid,
                    conn,
                    result: reply,
                };
            }
        })
    }

    fn half_multi(&self, dice: &mut Dice) -> Option<Corrupted> {
        let multi = |(_, at): &&(Zxid, u32)| {
            let call = self.call(*at);
            matches!(call.outcome, Outcome::Ok(Reply::Multi { results }) if results.len() > 1)
        };
        let from = dice.below(self.updates.len());
        let (zxid, at) = self.updates[from..].iter().find(multi)?;
        let call = self.call(*at);
        let (Op::Multi { ops }, Outcome::Ok(Reply::Multi { results })) = (call.op, call.outcome)
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
            let (Some((_, read)), Outcome::Ok(reply)) = (read_of(other.op), other.outcome) else {
                return false;
            };
            let stat = stat_of(reply);
            read == &**path && stat.is_some_and(|stat| stat.mzxid == *zxid || stat.czxid == *zxid)
        });
        let what = format!(
            "part {part} left out: call {} of client {}, {:?}",
            call.id.0, call.process.0, call.op
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

    fn wrong_culprit(&self, dice: &mut Dice) -> Option<Corrupted> {
        let failed = |(_, at): &&(Zxid, u32)| matches!(self.call(*at).outcome, Outcome::Ok(Reply::MultiFailed { errors }) if errors.len() > 1);
        let from = dice.below(self.updates.len());
        let (_, at) = self.updates[from..].iter().find(failed)?;
        let call = self.call(*at);
        let (Op::Multi { ops }, Outcome::Ok(Reply::MultiFailed { errors })) =
            (call.op, call.outcome)
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

/// The kind and the node of a read.
fn read_of(op: &Op) -> Option<(u8, &str)> {
    match op {
        Op::GetData { path, .. } => Some((0, path)),
        Op::Exists { path, .. } => Some((1, path)),
        Op::GetChildren {
            path,
            with_stat: false,
            ..
        } => Some((2, path)),
        Op::GetChildren { path, .. } => Some((3, path)),
        Op::GetAcl { path } => Some((4, path)),
        _ => None,
    }
}

/// The nodes that an update is about, and those above that it counts in.
fn touched<'a>(op: &'a Op, into: &mut Vec<&'a str>) {
    match op {
        Op::Create { path, .. } | Op::Delete { path, .. } | Op::DeleteContainer { path } => {
            into.push(path);
            into.extend(parent_of(path));
        }
        Op::SetData { path, .. } | Op::SetAcl { path, .. } | Op::Check { path, .. } => {
            into.push(path)
        }
        Op::GetData { path, .. }
        | Op::Exists { path, .. }
        | Op::GetChildren { path, .. }
        | Op::GetAcl { path } => {
            into.push(path);
        }
        Op::Multi { ops } => ops.iter().for_each(|op| touched(op, into)),
        _ => {}
    }
}

fn stat_mut(reply: &mut Reply) -> Option<&mut Stat> {
    match reply {
        Reply::Created { stat, .. } | Reply::Children { stat, .. } => stat.as_mut(),
        Reply::Set { stat }
        | Reply::Exists { stat }
        | Reply::Data { stat, .. }
        | Reply::Acl { stat, .. }
        | Reply::AclSet { stat } => Some(stat),
        _ => None,
    }
}

fn each_stat(reply: &Reply, visit: &mut impl FnMut(&Stat)) {
    match reply {
        Reply::Multi { results } => results.iter().for_each(|reply| each_stat(reply, visit)),
        reply => {
            if let Some(stat) = stat_of(reply) {
                visit(stat);
            }
        }
    }
}

fn set_reply(event: &mut HistoryEvent, reply: Reply) {
    if let HistoryKind::Ok { result, .. } = &mut event.kind {
        *result = reply;
    }
}

fn set_zxid(event: &mut HistoryEvent, to: Zxid) {
    if let HistoryKind::Ok { zxid, .. } | HistoryKind::Fail { zxid, .. } = &mut event.kind {
        *zxid = to;
    }
}
