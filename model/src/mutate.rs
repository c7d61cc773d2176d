//! Corrupted histories, for testing the judge: a correct history goes in, one thing in it is changed, and the result says
//! whether no service could have produced it.
//!
//! A corruption that is not certainly illegal says why: what was changed may be something that nobody observed, or an order
//! that nothing decides. A judge must refuse all the others. Deterministic: the same history, kind and seed give the same
//! corruption.

mod replies;
#[cfg(test)]
mod tests;
mod updates;
mod watches;

use crate::checks::history::{Call, History, Outcome};
use crate::checks::stat_of;
use std::collections::BTreeMap;
use zabsim_types::{HistoryEvent, HistoryKind, Op, Reply, Stat, Zxid, parent_of};

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
        let history = History::new(events, &[], None).ok()?;
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
            } else if let (Some((kind, path)), Outcome::Ok(_)) =
                (read_of(call.op()), call.outcome())
            {
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
        for call in calls
            .iter()
            .filter(|call| call.outcome() == Outcome::Unknown)
        {
            touched(call.op(), &mut mutator.doubtful);
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
            call.id().0,
            call.process().0,
            call.op()
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
            call.id().0,
            call.process().0,
            call.op(),
            call.zxid
        );
        self.changed(what, may_be_legal, |events| {
            set_zxid(&mut events[call.done as usize], to)
        })
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
