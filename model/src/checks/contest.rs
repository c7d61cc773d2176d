//! What the lock's and the election's checks share: who claimed to have won, with which node, knowing what.
//!
//! Contenders make an ephemeral sequential child of the contended node and win when theirs is the lowest. The zxid that made
//! the child is the fencing token, the term. A sequence number is given in the order of the zxids, so the lowest number is
//! the oldest child. What a winner *knew* is the newest state that its session had been shown.

use super::history::{BySession, History};
use super::replay::{Contender, Replay};
use super::{Evidence, Finding};
use std::collections::BTreeMap;
use zabsim_types::{HistoryKind, ProcessId, RecipeStep, SessionChange, SessionId, Time, Zxid};

/// Which recipe's steps to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recipe {
    Lock,
    Election,
}

impl Recipe {
    /// What the winner of a contest is said to do.
    pub fn verb(self) -> &'static str {
        match self {
            Recipe::Lock => "holds",
            Recipe::Election => "leads",
        }
    }

    fn won(self, step: &RecipeStep) -> Option<Zxid> {
        match (self, step) {
            (Recipe::Lock, RecipeStep::LockAcquired { token }) => Some(*token),
            (Recipe::Election, RecipeStep::LeaderElected { term }) => Some(*term),
            _ => None,
        }
    }

    fn ended(self, step: &RecipeStep) -> Option<Zxid> {
        match (self, step) {
            (Recipe::Lock, RecipeStep::LockReleased { token } | RecipeStep::LockLost { token }) => {
                Some(*token)
            }
            (Recipe::Election, RecipeStep::LeaderResigned { term }) => Some(*term),
            _ => None,
        }
    }
}

/// A claim to hold or to lead.
#[derive(Clone, Debug)]
pub(super) struct Hold<'a> {
    pub object: &'a str,
    /// Its place in [`History::objects`].
    pub place: u32,
    pub token: Zxid,
    pub process: ProcessId,
    pub session: SessionId,
    pub from: Time,
    /// Positions in the history: from the claim to its end by its own program.
    pub first: usize,
    pub last: usize,
    /// The newest state that its session had been shown.
    pub known: Zxid,
}

/// All claims of that recipe, in order.
pub(super) fn holds<'a>(evidence: &Evidence<'a>, recipe: Recipe) -> Vec<Hold<'a>> {
    let history = &evidence.history;
    // What each session had been shown, and how far its answers were looked at; how far all that clients were told.
    let mut known: BySession<(Zxid, usize)> = BySession::new(history);
    let mut told = history.told().peekable();
    // By client, object and token.
    let mut open: BTreeMap<(u32, u32, Zxid), usize> = BTreeMap::new();
    let mut holds: Vec<Hold<'a>> = Vec::new();
    for deed in &history.recipes {
        let at = deed.at as usize;
        if let Some(token) = recipe.won(&deed.step) {
            while let Some((_, event)) = told.next_if(|(place, _)| *place < at) {
                let (HistoryKind::Watch {
                    zxid: Some(zxid), ..
                }
                | HistoryKind::Session {
                    change: SessionChange::WatchesSet { zxid, .. },
                }) = &event.kind
                else {
                    continue;
                };
                let (known, _) = known.of(history, event.session);
                *known = (*zxid).max(*known);
            }
            let event = &history.events[at];
            let (known, looked) = known.of(history, event.session);
            if let Some(slot) = history.slot(event.session) {
                let answered = &history.sessions[slot].answered[*looked..];
                let calls = answered.iter().map(|call| &history.calls[*call as usize]);
                for call in calls.take_while(|call| call.done < deed.at) {
                    *looked += 1;
                    if call.is_ok() {
                        *known = call.zxid.max(*known);
                    }
                }
            }
            open.insert((deed.client, deed.object, token), holds.len());
            holds.push(Hold {
                object: history.objects[deed.object as usize],
                place: deed.object,
                token,
                process: event.process,
                session: event.session,
                from: event.time,
                first: at,
                last: usize::MAX,
                known: *known,
            });
        } else if let Some(token) = recipe.ended(&deed.step)
            && let Some(hold) = open.remove(&(deed.client, deed.object, token))
        {
            holds[hold].last = at;
        }
    }
    holds
}

/// The contenders of each object, oldest first, with what it takes to ask quickly who stood before whom.
pub(super) struct Field<'a> {
    by_object: Vec<Vec<Entry<'a>>>,
}

struct Entry<'a> {
    contender: &'a Contender,
    /// Of this contender and all older ones, the one that stays longest.
    stays: &'a Contender,
}

impl<'a> Field<'a> {
    pub fn new(history: &History<'_>, replay: &'a Replay<'_>) -> Field<'a> {
        let mut by_object: Vec<Vec<Entry<'a>>> = Vec::new();
        by_object.resize_with(history.objects.len(), Vec::new);
        for contender in &replay.contenders {
            let entries = &mut by_object[contender.object as usize];
            let stays = match entries.last() {
                Some(last) if outlives(last.stays, contender) => last.stays,
                _ => contender,
            };
            entries.push(Entry { contender, stays });
        }
        Field { by_object }
    }

    /// The node that transaction `token` made.
    pub fn own(&self, object: u32, token: Zxid) -> Option<&'a Contender> {
        let entries = &self.by_object[object as usize];
        let at = entries.partition_point(|entry| entry.contender.made < token);
        let entry = entries.get(at)?;
        (entry.contender.made == token).then_some(entry.contender)
    }

    /// Of the contenders older than `token` the one that stays longest.
    pub fn before(&self, object: u32, token: Zxid) -> Option<&'a Contender> {
        let entries = &self.by_object[object as usize];
        let at = entries.partition_point(|entry| entry.contender.made < token);
        at.checked_sub(1).map(|last| entries[last].stays)
    }

    /// The oldest contender that is still there at the end.
    pub fn standing(&self, object: u32) -> Option<&'a Contender> {
        let entries = &self.by_object[object as usize];
        let mut standing = entries.iter().map(|entry| entry.contender);
        standing.find(|contender| contender.gone.is_none())
    }
}

fn outlives(one: &Contender, other: &Contender) -> bool {
    match (one.gone, other.gone) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => one >= other,
    }
}

/// Holds a claim to what its session had been shown: its own node was there, and no older one.
pub(super) fn judge(hold: &Hold<'_>, field: &Field<'_>, recipe: Recipe, finding: &mut Finding) {
    finding.examined += 1;
    let Hold {
        object,
        place,
        token,
        process,
        known,
        ..
    } = hold;
    let verb = recipe.verb();
    let claim = format_args!("client {} {verb} {object} with {token}", process.0);
    let Some(own) = field.own(*place, *token) else {
        finding.fail_about(hold.from, &[hold.first as u32], || {
            format!("{claim}, but that transaction made no contender")
        });
        return;
    };
    if own.owner != hold.session {
        finding.fail_about(hold.from, &[hold.first as u32], || {
            let (owner, session) = (own.owner, hold.session);
            format!(
                "{claim}, but {} is of session {owner}, not of its own {session}",
                own.path
            )
        });
    }
    if own.gone.is_some_and(|gone| gone <= *known) {
        finding.fail_about(hold.from, &[hold.first as u32], || {
            format!(
                "{claim}, but had been shown {known}, and {} was gone then",
                own.path
            )
        });
    }
    if let Some(older) = field.before(*place, *token)
        && older.gone.is_none_or(|gone| gone > *known)
    {
        finding.fail_about(hold.from, &[hold.first as u32], || {
            let until = match older.gone {
                Some(gone) => format!("until {gone}"),
                None => "to the end".to_owned(),
            };
            format!(
                "{claim}, knowing the state at {known}, though {} of {} stood before it {until}",
                older.path, older.made
            )
        });
    }
}
