//! What the lock and the election promise, for every pair of claims.

use super::Told;
use super::answers::above;
use crate::witness::TxnKind;
use zabsim_types::{
    HistoryEvent, HistoryKind, ProcessId, RecipeEvent, RecipeStep, SessionChange, SessionId, Zxid,
};

/// A node that somebody contends with.
struct Contender {
    path: String,
    owner: SessionId,
    made: Zxid,
    gone: Option<Zxid>,
    /// Whether it went with its session.
    with_session: bool,
}

fn contenders(told: &Told<'_>, object: &str) -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    for (txn, part) in told.parts() {
        let standing = all.iter_mut().filter(|node| node.gone.is_none());
        match part {
            TxnKind::Create {
                path,
                ephemeral: true,
                ..
            } if above(path) == object => all.push(Contender {
                path: path.to_string(),
                owner: txn.session,
                made: txn.zxid,
                gone: None,
                with_session: false,
            }),
            TxnKind::Delete { path } => {
                for node in standing.filter(|node| node.path == **path) {
                    node.gone = Some(txn.zxid);
                }
            }
            TxnKind::CloseSession => {
                for node in standing.filter(|node| node.owner == txn.session) {
                    (node.gone, node.with_session) = (Some(txn.zxid), true);
                }
            }
            _ => {}
        }
    }
    all
}

/// Somebody says that it holds or leads.
struct Claim<'a> {
    object: &'a str,
    token: Zxid,
    process: ProcessId,
    session: SessionId,
    from: usize,
    until: usize,
    /// The newest state that its session had been shown.
    known: Zxid,
}

fn steps<'a>(told: &Told<'a>) -> impl Iterator<Item = (usize, &'a HistoryEvent, &'a RecipeEvent)> {
    let events = told.history.events.iter().enumerate();
    events.filter_map(|(at, event)| match &event.kind {
        HistoryKind::Recipe(step) => Some((at, event, step)),
        _ => None,
    })
}

/// All claims; `began` and `ended` say of a step which token it begins or ends the claim of.
fn claims<'a>(
    told: &Told<'a>,
    began: fn(&RecipeStep) -> Option<Zxid>,
    ended: fn(&RecipeStep) -> Option<Zxid>,
) -> Vec<Claim<'a>> {
    let claim = |(at, event, step): (usize, &'a HistoryEvent, &'a RecipeEvent)| {
        let token = began(&step.step)?;
        let ends = |(later, other, ending): &(usize, &HistoryEvent, &RecipeEvent)| {
            *later > at
                && other.process == event.process
                && ending.object == step.object
                && ended(&ending.step) == Some(token)
        };
        let shown = |before: &HistoryEvent| match &before.kind {
            _ if before.session != event.session => None,
            HistoryKind::Ok { zxid, .. }
            | HistoryKind::Watch {
                zxid: Some(zxid), ..
            }
            | HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, .. },
            } => Some(*zxid),
            _ => None,
        };
        let before = told.history.events[..at].iter();
        Some(Claim {
            object: &step.object,
            token,
            process: event.process,
            session: event.session,
            from: at,
            until: steps(told).find(ends).map_or(usize::MAX, |(at, ..)| at),
            known: before.filter_map(shown).max().unwrap_or_default(),
        })
    };
    steps(told).filter_map(claim).collect()
}

/// Its own node was there by what it knew, and no older one.
fn is_its_turn(told: &Told<'_>, claim: &Claim<'_>) -> bool {
    let there = |node: &Contender| node.gone.is_none_or(|gone| gone > claim.known);
    let all = contenders(told, claim.object);
    let mut own = all.iter().filter(|node| node.made == claim.token);
    let mut older = all.iter().filter(|node| node.made < claim.token);
    own.any(|node| node.owner == claim.session && there(node)) && !older.any(there)
}

pub(super) fn mutual_exclusion(told: &Told<'_>) -> bool {
    let claims = claims(
        told,
        |step| match step {
            RecipeStep::LockAcquired { token } => Some(*token),
            _ => None,
        },
        |step| match step {
            RecipeStep::LockReleased { token } | RecipeStep::LockLost { token } => Some(*token),
            _ => None,
        },
    );
    let together = |one: &Claim<'_>, other: &Claim<'_>| {
        if one.object != other.object {
            return true;
        }
        if one.token == other.token {
            return one.session == other.session;
        }
        let overlap = one.from < other.until && other.from < one.until;
        let older = one.token.min(other.token);
        let all = contenders(told, one.object);
        let node = all.iter().find(|node| node.made == older);
        let given_up = node.is_some_and(|node| node.gone.is_some() && !node.with_session);
        !overlap || !given_up
    };
    claims.iter().all(|claim| is_its_turn(told, claim))
        && claims
            .iter()
            .all(|one| claims.iter().all(|other| together(one, other)))
}

pub(super) fn one_leader(told: &Told<'_>) -> bool {
    let claims = claims(
        told,
        |step| match step {
            RecipeStep::LeaderElected { term } => Some(*term),
            _ => None,
        },
        |step| match step {
            RecipeStep::LeaderResigned { term } => Some(*term),
            _ => None,
        },
    );
    let together = |one: &Claim<'_>, other: &Claim<'_>| {
        let one_each = one.token != other.token || one.process == other.process;
        let grows =
            one.process != other.process || one.from > other.from || one.token <= other.token;
        one.object != other.object || one_each && grows
    };
    claims.iter().all(|claim| is_its_turn(told, claim))
        && claims
            .iter()
            .all(|one| claims.iter().all(|other| together(one, other)))
}

/// A write is taken if and only if none with a greater token was taken before.
pub(super) fn fencing(told: &Told<'_>) -> bool {
    let writes: Vec<(&str, Zxid, bool)> = steps(told)
        .filter_map(|(_, _, step)| match step.step {
            RecipeStep::FencedWrite { token, accepted } => Some((&*step.object, token, accepted)),
            _ => None,
        })
        .collect();
    writes
        .iter()
        .enumerate()
        .all(|(at, (object, token, accepted))| {
            let newer = |(other, greater, taken): &(&str, Zxid, bool)| {
                other == object && *taken && greater > token
            };
            *accepted != writes[..at].iter().any(newer)
        })
}

/// Whoever stands first holds, is cut off, or is waited for by nobody.
pub(super) fn no_lost_wakeup(told: &Told<'_>) -> bool {
    if !told.options.quiet_end {
        return true;
    }
    let last_word = |process: ProcessId, object: &str| {
        let own = steps(told).filter(|(_, event, step)| {
            event.process == process
                && &*step.object == object
                && !matches!(step.step, RecipeStep::FencedWrite { .. })
        });
        own.last().map(|(_, _, step)| &step.step)
    };
    let waits =
        |step: &RecipeStep| matches!(step, RecipeStep::LockWanted | RecipeStep::ElectionEntered);
    let holds = |step: &RecipeStep| {
        matches!(
            step,
            RecipeStep::LockAcquired { .. } | RecipeStep::LeaderElected { .. }
        )
    };
    let is_cut_off = |process: ProcessId| {
        let own = told.history.events.iter().rev();
        let mut own = own.filter(|event| event.process == process);
        own.find_map(|event| match &event.kind {
            HistoryKind::Session {
                change: SessionChange::WatchesSet { .. },
            } => None,
            HistoryKind::Session { change } => {
                Some(!matches!(change, SessionChange::Connected { .. }))
            }
            _ => None,
        }) == Some(true)
    };
    steps(told).all(|(_, event, step)| {
        let object = &*step.object;
        if !last_word(event.process, object).is_some_and(waits) {
            return true;
        }
        let all = contenders(told, object);
        let Some(first) = all.iter().find(|node| node.gone.is_none()) else {
            return true;
        };
        let mut events = told.history.events.iter().rev();
        let owner = events.find(|event| {
            let connected =
                |change: &SessionChange| matches!(change, SessionChange::Connected { .. });
            event.session == first.owner
                && matches!(&event.kind, HistoryKind::Session { change } if connected(change))
        });
        owner.is_some_and(|owner| {
            is_cut_off(owner.process) || last_word(owner.process, object).is_some_and(holds)
        })
    })
}
