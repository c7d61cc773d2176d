//! No lost wake-up: when all is quiet, nobody waits for a lock or a leadership that is theirs.
//!
//! Exactly, where the run ended quietly (healed, connected, time enough): for each contended node that somebody waits for, the
//! oldest contender's node belongs to a session whose program holds or leads, or whose client is not connected: one that has
//! died or is cut off keeps its place until its session expires, and must. If its program still waits, its wake-up was
//! lost; if its program has stopped or gave up, the node is an orphan that blocks all others until its session ends.
//!
//! Source: the conditions of ZooKeeper's recipes ("watch the next lower node, and look again when it fires"); CURATOR-45,
//! CURATOR-79 and kazoo #732 are orphans, kazoo 4a2dce8 a watch set too late.

use super::contest::{Field, Recipe};
use super::{Check, Evidence, Finding};
use crate::reference::Lookup;
use std::collections::BTreeMap;
use zabsim_types::{HistoryKind, ProcessId, RecipeStep, SessionChange, SessionId};

pub(super) const CHECK: Check = Check {
    name: "no-lost-wakeup",
    about: "When all is quiet nobody waits for a lock or a leadership that is theirs.",
    run,
};

/// What a program last said of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stand {
    Waits(Recipe),
    Holds,
    Stopped,
}

fn run(evidence: &Evidence<'_>) -> Finding {
    if !evidence.options.quiet_end {
        return Finding::nothing("the run did not end quietly");
    }
    let replay = match evidence.whole_replay() {
        Ok(replay) => replay,
        Err(why) => return Finding::nothing(&why),
    };
    let history = &evidence.history;
    // By name, with its place.
    let mut stands: BTreeMap<(&str, u32), BTreeMap<ProcessId, Stand>> = BTreeMap::new();
    let mut owners: BTreeMap<SessionId, ProcessId> = BTreeMap::new();
    let mut connected: BTreeMap<ProcessId, bool> = BTreeMap::new();
    for (_, event) in history.told() {
        if let HistoryKind::Session { change } = &event.kind {
            match change {
                SessionChange::Connected { .. } => {
                    owners.insert(event.session, event.process);
                    connected.insert(event.process, true)
                }
                SessionChange::WatchesSet { .. } => None,
                _ => connected.insert(event.process, false),
            };
        }
    }
    // The last word of each client on each object.
    let mut last: Lookup<(u32, u32), Stand> = Lookup::default();
    for deed in &history.recipes {
        let stand = match deed.step {
            RecipeStep::LockWanted => Stand::Waits(Recipe::Lock),
            RecipeStep::ElectionEntered => Stand::Waits(Recipe::Election),
            RecipeStep::LockAcquired { .. } | RecipeStep::LeaderElected { .. } => Stand::Holds,
            RecipeStep::FencedWrite { .. } => continue,
            _ => Stand::Stopped,
        };
        last.insert((deed.object, deed.client), stand);
    }
    for ((object, client), stand) in last {
        let of_object = stands
            .entry((history.objects[object as usize], object))
            .or_default();
        of_object.insert(history.clients()[client as usize], stand);
    }
    let field = Field::new(history, replay);
    let end = history.time(super::history::NEVER);
    let mut finding = Finding::default();
    for ((object, place), stands) in &stands {
        let waits = |stand: &Stand| matches!(stand, Stand::Waits(_));
        let waiting = stands.values().filter(|stand| waits(stand)).count();
        finding.examined += waiting as u64;
        let Some(first) = field.standing(*place).filter(|_| waiting > 0) else {
            continue;
        };
        let owner = owners.get(&first.owner);
        if owner.is_some_and(|owner| connected.get(owner) == Some(&false)) {
            continue;
        }
        let client = owner.map_or("a client unknown".to_owned(), |owner| {
            format!("client {}", owner.0)
        });
        match owner.and_then(|owner| stands.get(owner)) {
            Some(Stand::Holds) => {}
            Some(Stand::Waits(recipe)) => finding.fail(end, || {
                let (path, verb) = (&first.path, recipe.verb());
                format!("{client} still waits for {object}, though {path} is first: nobody woke it, and nobody {verb}")
            }),
            _ => finding.fail(end, || {
                let path = &first.path;
                format!("{waiting} clients wait for {object} behind {path}, which {client} left behind")
            }),
        }
    }
    finding.with_detail("clients that wait when all is quiet".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, delete, ephemeral_sequential, list, report};
    use zabsim_types::RecipeStep;

    const NAME: &str = "no-lost-wakeup";

    #[test]
    fn a_waiter_that_is_first_and_an_orphan_are_found() {
        let mut world = World::new(2, 1);
        world.now(1, create("/lock"));
        let token = world.now(1, ephemeral_sequential("/lock/x-"));
        world.now(2, ephemeral_sequential("/lock/x-"));
        world.step(2, "/lock", RecipeStep::LockWanted);
        world.now(1, list("/lock"));
        world.step(1, "/lock", RecipeStep::LockAcquired { token });
        let mut held = world.clone().finish();
        assert_eq!(report(&held, NAME).examined, 0);
        held.options.quiet_end = true;
        assert!(report(&held, NAME).ok());
        world.step(1, "/lock", RecipeStep::LockReleased { token });
        let mut orphan = world.clone().finish();
        orphan.options.quiet_end = true;
        assert!(report(&orphan, NAME).detail.contains("left behind"));
        world.now(1, delete("/lock/x-0000000000"));
        let mut lost = world.finish();
        lost.options.quiet_end = true;
        assert!(report(&lost, NAME).detail.contains("nobody woke it"));
    }
}
