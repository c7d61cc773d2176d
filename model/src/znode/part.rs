//! A part of a history: what is about one node and those below it, and nothing else.
//!
//! Linearizability is local (Herlihy and Wing, TOPLAS 1990, theorem 1): if a whole history has an order, then each of its objects has
//! one, namely what is left of it when the others are taken away. A subtree is such an object, but for what it shares with others:
//! the zxids, the sessions, and the nodes above it. So a part keeps
//!
//! - the answered requests about the subtree, and of a multi that succeeded the parts that are. A request that failed changed
//!   nothing, and is left out where the reason may lie outside;
//! - the making and the removal of the nodes above, as far as they were answered or may have happened; not their data, their
//!   lists, their counts;
//! - the sessions and their ends, for the ephemerals;
//! - of every other answer its state, in the place of which stands a `sync`; so that what a client was shown when it is the same.
//!
//! What is left must be easier to explain than the whole: whatever log explains the whole, without what is not about the part,
//! explains the part, if a transaction that no reply names may be about something else (`Filler::Elsewhere`). So where *no* guess
//! explains the part, none explains the whole, and that is a proof which rests on no guess. And few guesses are about one
//! node: all of them can be tried where those of the whole cannot (as in Horn and Kroening, "Faster linearizability checking via
//! P-compositionality", FORTE 2015).

use super::known::Known;
use super::search::{Failure, Search};
use crate::checks::history::{Call, History, Outcome};
use crate::checks::{Options, accepts};
use crate::reference::Settings;
use crate::witness::Witness;
use std::borrow::Cow;
use std::collections::BTreeSet;
use zabsim_types::{
    Acl, AddWatchMode, CallId, CreateMode, ErrorCode, HistoryEvent, HistoryKind, Op, OpResult,
    Reply, SessionId, SyncMode, ZPath, Zxid, parent_of,
};

/// A part of a history.
pub(super) struct Part {
    root: ZPath,
    /// What is left of its events.
    pub events: Vec<HistoryEvent>,
    /// The transactions that replies name and that are about something else, in order.
    pub foreign: Vec<Zxid>,
}

/// What the attempt to explain a part came to.
pub(super) enum Shown {
    /// Nothing explains it. What failed where the best attempt ended, and of which call.
    Contradicted(Box<Contradiction>),
    /// There is an explanation, which says nothing of the whole.
    Explained,
    /// The effort was spent.
    Unknown,
}

/// That a part cannot be explained.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Contradiction {
    /// The node at and below which.
    pub root: ZPath,
    /// What failed last.
    pub failure: Failure,
    /// The call that was not answered so, if it is one.
    pub call: Option<CallId>,
}

/// A whole history, of which parts are looked at.
#[derive(Clone, Copy)]
pub(super) struct Whole<'w, 'a> {
    pub history: &'w History<'a>,
    pub known: &'w Known,
    /// What the servers were told.
    pub settings: &'w Settings,
}

impl Whole<'_, '_> {
    /// Tries to explain what is about the node and those below it, with so many transactions. Also tells how many it took.
    pub fn explain(self, root: &ZPath, limit: u64) -> (Shown, u64) {
        self.attempt(root, limit, None)
    }

    /// The same, where an explanation must also be one that the check accepts.
    pub fn explain_checked(
        self,
        root: &ZPath,
        limit: u64,
        check: (&str, &Options),
    ) -> (Shown, u64) {
        self.attempt(root, limit, Some(check))
    }

    fn attempt(self, root: &ZPath, limit: u64, check: Option<(&str, &Options)>) -> (Shown, u64) {
        // With quotas what may be written depends on what is below other nodes.
        let part = match self.settings.enforce_quota {
            true => None,
            false => Part::of(self.history, root),
        };
        let digest = self.settings.super_digest.as_deref();
        let Some(part) = part else {
            return (Shown::Unknown, 0);
        };
        let Ok(history) = History::new(&part.events, self.history.common(), digest) else {
            return (Shown::Unknown, 0);
        };
        // Of a session nothing but its end matters.
        let settings = Settings {
            local_sessions: false,
            ..self.settings.clone()
        };
        let mut known = Known::new(&history, &settings, false);
        known.narrow(self.known, self.history, &history, &part);
        let mut search = Search::new(&history, &known, &settings, limit);
        let failure = match check {
            None => search.exhaust(None),
            Some((name, options)) => {
                let options = Options {
                    settings: settings.clone(),
                    ..options.clone()
                };
                let sessions = sessions(&history, &known);
                search.exhaust(Some(&mut |txns| {
                    let txns = txns.to_vec();
                    accepts(name, &part.events, &Witness { txns }, &options, &sessions)
                }))
            }
        };
        let shown = match failure {
            None => Shown::Explained,
            Some(_) if search.effort > limit => Shown::Unknown,
            Some(failure) => {
                let call = failure.call().map(|at| history.calls[at as usize].id());
                Shown::Contradicted(Box::new(Contradiction {
                    root: root.clone(),
                    failure,
                    call,
                }))
            }
        };
        (shown, search.effort)
    }
}

/// The checks that look at one node, what is below it, and who holds it: of a part they say what they say of the whole.
pub(super) const LOCAL_CHECKS: [&str; 4] = [
    "watches",
    "mutual-exclusion",
    "one-leader-per-term",
    "no-lost-wakeup",
];

/// All that are known of.
pub(super) fn sessions(history: &History<'_>, known: &Known) -> Vec<SessionId> {
    let sessions = history.sessions.iter().map(|session| session.session);
    let lives = known.lives.iter().map(|life| life.session);
    let all: BTreeSet<SessionId> = sessions.chain(lives).collect();
    all.into_iter().collect()
}

impl Part {
    /// None where the node may be one that a lost request named: then what is above it belongs to it. Nor where it hangs
    /// together with what is beside it, nor under `/zookeeper`, which the servers write to.
    fn of(history: &History<'_>, root: &ZPath) -> Option<Part> {
        if &**root == "/" || is_within(root, "/zookeeper") {
            return None;
        }
        let mut part = Part {
            root: root.clone(),
            events: Vec::with_capacity(history.events.len()),
            foreign: Vec::new(),
        };
        let mut kept = Vec::with_capacity(history.calls.len());
        for call in &history.calls {
            if part.is_entangled(call.op()) {
                return None;
            }
            let (op, reply) = part.narrowed(call)?;
            if op.is_none() && call.is_definite() && call.is_update() && call.names_state() {
                part.foreign.push(call.zxid);
            }
            kept.push((op, reply));
        }
        part.foreign.sort_unstable();
        part.foreign.dedup();
        for event in history.events {
            let index = |id: &CallId| history.index(*id).expect("it was looked at");
            let kind = match &event.kind {
                HistoryKind::Invoke { id, .. } => HistoryKind::Invoke {
                    id: *id,
                    request: match &kept[index(id)].0 {
                        Some(op) => op.as_ref().clone(),
                        None => Op::Sync {
                            path: "/".into(),
                            mode: SyncMode::Leader,
                        },
                    },
                },
                HistoryKind::Ok {
                    id,
                    zxid,
                    xid,
                    conn,
                    ..
                } => HistoryKind::Ok {
                    id: *id,
                    zxid: *zxid,
                    xid: *xid,
                    conn: *conn,
                    result: match &kept[index(id)] {
                        (Some(_), Some(Ok(reply))) => reply.as_ref().clone(),
                        _ => Reply::Synced { path: "/".into() },
                    },
                },
                HistoryKind::Watch { event, .. } if !part.has(&event.path) => continue,
                HistoryKind::Recipe(recipe) if !part.has(&recipe.object) => continue,
                kind => kind.clone(),
            };
            part.events.push(HistoryEvent {
                kind,
                ..event.clone()
            });
        }
        Some(part)
    }

    /// Whether a node is in it.
    pub fn has(&self, path: &str) -> bool {
        is_within(path, &self.root)
    }

    fn is_above(&self, path: &str) -> bool {
        path != &*self.root && is_within(&self.root, path)
    }

    /// Whether it ties the part to what is beside it: by a container above it, which goes with the last of its children, or by a
    /// watch from above.
    fn is_entangled(&self, op: &Op) -> bool {
        match op {
            Op::Multi { ops } => ops.iter().any(|op| self.is_entangled(op)),
            Op::Create {
                path,
                mode: CreateMode::Container,
                ..
            }
            | Op::AddWatch {
                path,
                mode: AddWatchMode::PersistentRecursive,
            } => self.is_above(path),
            _ => false,
        }
    }

    /// What is left of a call: of what was asked and, where it was answered, of the answer. None where it cannot be told.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn narrowed<'a>(
        &self,
        call: &Call<'a>,
    ) -> Option<(
        Option<Cow<'a, Op>>,
        Option<Result<Cow<'a, Reply>, ErrorCode>>,
    )> {
        let none = Some((None, None));
        match (call.op(), call.outcome()) {
            (Op::AddAuth { .. }, Outcome::Ok(reply)) => Some((
                Some(Cow::Borrowed(call.op())),
                Some(Ok(Cow::Borrowed(reply))),
            )),
            (Op::AddWatch { path, .. } | Op::RemoveWatches { path, .. }, Outcome::Ok(reply))
                if self.has(path) =>
            {
                Some((
                    Some(Cow::Borrowed(call.op())),
                    Some(Ok(Cow::Borrowed(reply))),
                ))
            }
            (_, Outcome::Unsent | Outcome::Refused) => none,
            (op, Outcome::Unknown) if call.is_update() => Some((self.lost(op)?, None)),
            (op, Outcome::Ok(Reply::MultiFailed { errors })) => {
                let outside = |error: &ErrorCode| is_of_others(*error);
                if self.is_all_inside(op) && !errors.iter().any(outside) {
                    let reply = call.observed()?.ok()?;
                    Some((Some(Cow::Borrowed(op)), Some(Ok(Cow::Borrowed(reply)))))
                } else {
                    none
                }
            }
            (op, Outcome::Ok(reply)) if call.is_update() => Some(
                self.done(op, reply)
                    .map_or((None, None), |(op, reply)| (Some(op), Some(Ok(reply)))),
            ),
            (op, Outcome::Fail(error)) => {
                let kept = self.is_all_inside(op) && !is_of_others(error);
                Some(match kept && (call.is_update() || call.is_read()) {
                    true => (Some(Cow::Borrowed(op)), Some(Err(error))),
                    false => (None, None),
                })
            }
            (op, Outcome::Ok(reply)) if call.is_read() => Some(
                self.seen(op, reply)
                    .map_or((None, None), |(op, reply)| (Some(op), Some(Ok(reply)))),
            ),
            _ => none,
        }
    }

    fn is_all_inside(&self, op: &Op) -> bool {
        match op {
            Op::Multi { ops } => ops.iter().all(|op| self.is_all_inside(op)),
            // The name that it would have got is another's count.
            Op::Create { path, mode, .. } if mode.is_sequential() => {
                parent_of(path).is_some_and(|parent| self.has(parent))
            }
            Op::MultiRead { .. } => false,
            _ => path_of(op).is_some_and(|path| self.has(path)),
        }
    }

    /// What is left of an update that succeeded.
    fn done<'a>(&self, op: &'a Op, reply: &'a Reply) -> Option<(Cow<'a, Op>, Cow<'a, Reply>)> {
        let whole = Some((Cow::Borrowed(op), Cow::Borrowed(reply)));
        match (op, reply) {
            (Op::CloseSession, _) => whole,
            (Op::Multi { ops }, Reply::Multi { results }) => {
                let parts = ops.iter().zip(results);
                let left = parts.filter_map(|(op, reply)| self.done(op, reply));
                let (ops, results): (Vec<Op>, Vec<Reply>) = left
                    .map(|(op, reply)| (op.into_owned(), reply.into_owned()))
                    .unzip();
                (!ops.is_empty()).then_some((
                    Cow::Owned(Op::Multi { ops }),
                    Cow::Owned(Reply::Multi { results }),
                ))
            }
            (
                Op::Create {
                    data,
                    mode,
                    with_stat,
                    acl,
                    ..
                },
                Reply::Created { path, .. },
            ) => {
                let above = self.is_above(path);
                if !above && !self.has(path) {
                    return None;
                }
                if !above && parent_of(path).is_some_and(|parent| self.has(parent)) {
                    return whole;
                }
                let plain = Op::Create {
                    path: path.clone(),
                    data: data.clone(),
                    mode: plain(*mode),
                    with_stat: *with_stat,
                    acl: if above { Acl::OPEN } else { acl.clone() },
                };
                Some((Cow::Owned(plain), Cow::Borrowed(reply)))
            }
            (Op::Delete { path, .. }, _) if self.is_above(path) => Some((
                Cow::Owned(Op::Delete {
                    path: path.clone(),
                    version: -1,
                }),
                Cow::Borrowed(reply),
            )),
            (Op::DeleteContainer { path }, _) if self.is_above(path) => whole,
            _ => whole.filter(|_| path_of(op).is_some_and(|path| self.has(path))),
        }
    }

    /// What is left of a read.
    fn seen<'a>(&self, op: &'a Op, reply: &'a Reply) -> Option<(Cow<'a, Op>, Cow<'a, Reply>)> {
        match (op, reply) {
            (Op::MultiRead { ops }, Reply::MultiRead { results }) => {
                let inside = |(op, result): &(&Op, &OpResult)| {
                    let others = result.as_ref().is_err_and(|error| is_of_others(*error));
                    path_of(op).is_some_and(|path| self.has(path)) && !others
                };
                let parts = ops.iter().zip(results).filter(inside);
                let (ops, results): (Vec<Op>, Vec<OpResult>) = parts
                    .map(|(op, result)| (op.clone(), result.clone()))
                    .unzip();
                (!ops.is_empty()).then_some((
                    Cow::Owned(Op::MultiRead { ops }),
                    Cow::Owned(Reply::MultiRead { results }),
                ))
            }
            _ => path_of(op)
                .is_some_and(|path| self.has(path))
                .then_some((Cow::Borrowed(op), Cow::Borrowed(reply))),
        }
    }

    /// What is left of an update of unknown outcome.
    fn lost<'a>(&self, op: &'a Op) -> Option<Option<Cow<'a, Op>>> {
        Some(match op {
            Op::CloseSession => Some(Cow::Borrowed(op)),
            Op::Multi { ops } => {
                let mut left = Vec::new();
                for op in ops {
                    left.extend(self.lost(op)?.map(Cow::into_owned));
                }
                (!left.is_empty()).then_some(Cow::Owned(Op::Multi { ops: left }))
            }
            Op::Create { path, mode, .. } if mode.is_sequential() => {
                let inside = parent_of(path).is_some_and(|parent| self.has(parent));
                let could_be = |made: &str| crate::witness::sequence_of(made, path).is_some();
                let mut above = Some(&*self.root);
                while let (Some(node), false) = (above, inside) {
                    if could_be(node) {
                        return None;
                    }
                    above = parent_of(node);
                }
                inside.then_some(Cow::Borrowed(op))
            }
            Op::Create {
                path,
                data,
                mode,
                with_stat,
                ..
            } if self.is_above(path) => Some(Cow::Owned(Op::Create {
                path: path.clone(),
                data: data.clone(),
                mode: *mode,
                with_stat: *with_stat,
                acl: Acl::OPEN,
            })),
            Op::Delete { path, .. } if self.is_above(path) => Some(Cow::Owned(Op::Delete {
                path: path.clone(),
                version: -1,
            })),
            Op::DeleteContainer { path } if self.is_above(path) => Some(Cow::Borrowed(op)),
            _ => path_of(op)
                .is_some_and(|path| self.has(path))
                .then_some(Cow::Borrowed(op)),
        })
    }
}

/// Errors for which what is outside may be the reason.
fn is_of_others(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NoAuth | ErrorCode::QuotaExceeded)
}

/// The same kind of node, by its whole name.
fn plain(mode: CreateMode) -> CreateMode {
    match mode {
        CreateMode::PersistentSequential => CreateMode::Persistent,
        CreateMode::EphemeralSequential => CreateMode::Ephemeral,
        CreateMode::PersistentSequentialWithTtl { ttl_ms } => {
            CreateMode::PersistentWithTtl { ttl_ms }
        }
        other => other,
    }
}

/// The node that an operation is about, which none of several parts is.
pub(super) fn path_of(op: &Op) -> Option<&ZPath> {
    match op {
        Op::Create { path, .. }
        | Op::Delete { path, .. }
        | Op::DeleteContainer { path }
        | Op::SetData { path, .. }
        | Op::SetAcl { path, .. }
        | Op::Check { path, .. }
        | Op::GetData { path, .. }
        | Op::Exists { path, .. }
        | Op::GetChildren { path, .. }
        | Op::GetAcl { path }
        | Op::GetAllChildrenNumber { path }
        | Op::AddWatch { path, .. }
        | Op::RemoveWatches { path, .. }
        | Op::CheckWatches { path, .. } => Some(path),
        _ => None,
    }
}

/// Whether a node is that one or below it.
fn is_within(path: &str, above: &str) -> bool {
    above == "/"
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
