//! What later answers say of a state before them, so that the search for the log need not find it out by failing.
//!
//! Three things in an answer count what happened up to it: the number in the name of a sequential node and the `cversion` of a
//! parent count the nodes made there, the `version` of a node the times that it was set. Between the present state and such an
//! answer so many of them are known transactions; the rest must be hidden ones, no more and no fewer. And an answer
//! shows that a node is there, or that it is not. So of what may lie in a gap, much cannot, and for the rest it is known by when it
//! must have happened.
//!
//! Nothing is ruled out that could be: a count goes for one life of its node, and a node that an update of unknown outcome
//! may make or remove proves nothing by being there or not.

use super::known::Loose;
use crate::checks::history::{Call, History, Outcome};
use crate::checks::stat_of;
use crate::reference::{Life, Lookup, Model, Trigger, WatchList};
use std::collections::BTreeSet;
use std::sync::Arc;
use zabsim_types::{ErrorCode, Op, Reply, SessionId, Stat, WatchKind, ZPath, Zxid, parent_of};

/// What is known of one path.
#[derive(Default)]
struct Course {
    /// The transactions in which a child of it was made, once for each.
    made: Vec<Zxid>,
    /// Those in which it was set.
    set: Vec<Zxid>,
    /// The answers that count the children ever made.
    counts: Vec<Count>,
    /// Those that count how often it was set.
    versions: Vec<Count>,
    /// Whether it is there in the state after that transaction.
    there: Vec<(Zxid, bool)>,
    /// A transaction or an update of unknown outcome removes it.
    may_go: bool,
    /// An update of unknown outcome makes it.
    may_come: bool,
}

/// An answer that counts what happened up to a transaction, that one included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Count {
    zxid: Zxid,
    /// The transaction that made the node, where the answer says so.
    made_by: Option<Zxid>,
    count: i32,
}

/// What later answers say.
pub(super) struct Ahead {
    courses: Lookup<ZPath, Course>,
}

impl Ahead {
    pub fn new(history: &History<'_>, loose: &[Loose]) -> Ahead {
        let mut ahead = Ahead {
            courses: Lookup::default(),
        };
        let passing: BTreeSet<&ZPath> = history
            .calls
            .iter()
            .filter_map(|call| match (call.op(), call.outcome()) {
                (Op::Create { mode, .. }, Outcome::Ok(Reply::Created { path, .. })) => {
                    mode.is_ephemeral().then_some(path)
                }
                _ => None,
            })
            .collect();
        let mut lists: Lookup<&str, (Zxid, &[Arc<str>])> = Lookup::default();
        let mut calls: Vec<&Call<'_>> = history
            .answered
            .iter()
            .map(|at| &history.calls[*at as usize])
            .collect();
        calls.sort_by_key(|call| call.zxid);
        for call in calls {
            match call.outcome() {
                Outcome::Ok(reply) => {
                    ahead.answer(call.op(), reply, call.zxid, true);
                    if let (Op::GetChildren { path, .. }, Reply::Children { names, .. }) =
                        (call.op(), reply)
                        && let Some((zxid, before)) = lists.insert(path, (call.zxid, names))
                    {
                        ahead.compare(path, (zxid, before), (call.zxid, names), &passing);
                    }
                }
                Outcome::Fail(ErrorCode::NoNode) => match call.op() {
                    Op::GetData { path, .. } | Op::Exists { path, .. } => {
                        ahead.course(path).there.push((call.zxid, false));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        for loose in loose.iter().filter(|loose| !loose.refused) {
            ahead.loose(history.calls[loose.call as usize].op());
        }
        for course in ahead.courses.values_mut() {
            course.counts.sort_unstable();
            course.versions.sort_unstable();
            course.there.sort_unstable();
        }
        ahead
    }

    fn course(&mut self, path: &ZPath) -> &mut Course {
        self.courses.entry(path.clone()).or_default()
    }

    /// An update or a read that was answered. Of the parts of a multi the states in between are nobody's.
    fn answer(&mut self, op: &Op, reply: &Reply, zxid: Zxid, whole: bool) {
        let before = Zxid(zxid.0.saturating_sub(1));
        match (op, reply) {
            (Op::Multi { ops }, Reply::Multi { results }) => {
                for (op, reply) in ops.iter().zip(results) {
                    self.answer(op, reply, zxid, false);
                }
                return;
            }
            (
                Op::Create {
                    path: asked, mode, ..
                },
                Reply::Created { path, .. },
            ) => {
                if let Some(parent) = parent_of(path) {
                    let number = crate::witness::sequence_of(path, asked);
                    let course = self.course(&parent.into());
                    course.made.push(zxid);
                    if let Some(number) = number.filter(|_| whole && mode.is_sequential()) {
                        course.counts.push(Count {
                            zxid,
                            made_by: None,
                            count: number.wrapping_add(1),
                        });
                    }
                }
                let course = self.course(path);
                if whole {
                    course.there.extend([(before, false), (zxid, true)]);
                }
            }
            (Op::Delete { path, .. } | Op::DeleteContainer { path }, Reply::Deleted) => {
                let course = self.course(path);
                course.may_go = true;
                if whole {
                    course.there.extend([(before, true), (zxid, false)]);
                }
            }
            (Op::SetData { path, .. }, Reply::Set { .. }) => {
                let course = self.course(path);
                course.set.push(zxid);
                if whole {
                    course.there.push((before, true));
                }
            }
            _ => {}
        }
        if let (true, Some(stat), Some(path)) = (whole, stat_of(reply), stated(op)) {
            self.stat(path, stat, zxid);
        }
    }

    fn stat(&mut self, path: &ZPath, stat: &Stat, zxid: Zxid) {
        let made_by = Some(stat.czxid);
        let course = self.course(path);
        course.there.push((zxid, true));
        course.versions.push(Count {
            zxid,
            made_by,
            count: stat.version,
        });
        let doubled = stat.cversion.wrapping_add(stat.num_children);
        course.counts.push(Count {
            zxid,
            made_by,
            count: doubled / 2,
        });
    }

    /// Two lists of children: of those that pass, who was there and is gone, and the other way round.
    fn compare(
        &mut self,
        parent: &str,
        (from, before): (Zxid, &[Arc<str>]),
        (to, after): (Zxid, &[Arc<str>]),
        passing: &BTreeSet<&ZPath>,
    ) {
        let base = if parent == "/" { "" } else { parent };
        let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(one), Some(other)) => one.cmp(other),
            };
            let (name, was, is) = match order {
                std::cmp::Ordering::Less => (old.next(), true, false),
                std::cmp::Ordering::Greater => (new.next(), false, true),
                std::cmp::Ordering::Equal => {
                    old.next();
                    new.next();
                    continue;
                }
            };
            let name = name.expect("it was looked at");
            let path: ZPath = format!("{base}/{name}").into();
            if passing.contains(&path) {
                self.course(&path).there.extend([(from, was), (to, is)]);
            }
        }
    }

    fn loose(&mut self, op: &Op) {
        match op {
            Op::Multi { ops } => ops.iter().for_each(|op| self.loose(op)),
            Op::Create { path, mode, .. } if !mode.is_sequential() => {
                self.course(path).may_come = true;
            }
            Op::Delete { path, .. } | Op::DeleteContainer { path } => {
                self.course(path).may_go = true;
            }
            _ => {}
        }
    }

    /// By when what fired must have happened, if later answers say so; or that they say it did not happen: then `None`. `model` is
    /// the state behind it, `at` its transaction.
    pub fn deadline(&self, model: &Model, at: Zxid, fired: &[Trigger]) -> Option<Zxid> {
        let mut deadline = Zxid::NO_STATE;
        for trigger in fired {
            let by = match (trigger.list, trigger.kind) {
                (WatchList::Data, WatchKind::NodeCreated) => {
                    let parent = parent_of(&trigger.path);
                    let made = parent.map_or(Some(Zxid::NO_STATE), |parent| {
                        self.by_count(model, parent, at)
                    });
                    made?.min(self.by_sight(model, &trigger.path, at, true)?)
                }
                (WatchList::Data, WatchKind::NodeDeleted) => {
                    self.by_sight(model, &trigger.path, at, false)?
                }
                (WatchList::Data, WatchKind::NodeDataChanged) => {
                    self.by_version(model, &trigger.path, at)?
                }
                _ => Zxid::NO_STATE,
            };
            deadline = deadline.min(by);
        }
        Some(deadline)
    }

    fn by_count(&self, model: &Model, path: &str, at: Zxid) -> Option<Zxid> {
        let (Some(course), Some((made_by, creates))) =
            (self.courses.get(path), model.creates(path))
        else {
            return Some(Zxid::NO_STATE);
        };
        let certain = !course.may_go && model.life_of_node(path) == Some(Life::Unbound);
        let is_of_it = |count: &Count| match count.made_by {
            Some(other) => other == made_by,
            None => certain,
        };
        by(&course.counts, &course.made, is_of_it, creates, at)
    }

    fn by_version(&self, model: &Model, path: &str, at: Zxid) -> Option<Zxid> {
        let (Some(course), Some((made_by, version))) =
            (self.courses.get(path), model.version(path))
        else {
            return Some(Zxid::NO_STATE);
        };
        let is_of_it = |count: &Count| count.made_by == Some(made_by);
        by(&course.versions, &course.set, is_of_it, version, at)
    }

    fn by_sight(&self, model: &Model, path: &str, at: Zxid, now: bool) -> Option<Zxid> {
        let Some(course) = self.courses.get(path) else {
            return Some(Zxid::NO_STATE);
        };
        let next = course.there.partition_point(|(zxid, _)| *zxid < at);
        let Some((zxid, there)) = course.there.get(next) else {
            return Some(Zxid::NO_STATE);
        };
        if *there == now {
            return Some(*zxid);
        }
        let may_change_back = if now {
            course.may_go
                || model.owner_of(path) != Some(SessionId::NONE)
                || model.life_of_node(path) != Some(Life::Unbound)
        } else {
            course.may_come
        };
        may_change_back.then_some(Zxid::NO_STATE)
    }
}

/// By when the last of so many must have happened; `None` where there is one too many.
fn by(
    counts: &[Count],
    known: &[Zxid],
    is_of_it: impl Fn(&Count) -> bool,
    so_far: i32,
    at: Zxid,
) -> Option<Zxid> {
    let next = counts.partition_point(|count| count.zxid < at);
    let Some(count) = counts.get(next).filter(|count| is_of_it(count)) else {
        return Some(Zxid::NO_STATE);
    };
    let upto = |zxid: Zxid| known.partition_point(|known| *known <= zxid);
    let between = upto(count.zxid) - upto(at);
    if so_far > i32::MAX / 2 {
        // Soon it overflows.
        return Some(Zxid::NO_STATE);
    }
    let hidden = i64::from(count.count) - i64::from(so_far) - between as i64;
    (hidden >= 0).then_some(count.zxid)
}

/// The node that the `Stat` of a reply is about, where it says more than that it was made.
fn stated(op: &Op) -> Option<&ZPath> {
    match op {
        Op::SetData { path, .. }
        | Op::GetData { path, .. }
        | Op::Exists { path, .. }
        | Op::GetChildren { path, .. }
        | Op::GetAcl { path }
        | Op::SetAcl { path, .. } => Some(path),
        _ => None,
    }
}
