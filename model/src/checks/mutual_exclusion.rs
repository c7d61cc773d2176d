//! Mutual exclusion: at no state of the service do two clients hold one lock, and a client that holds one does not give up
//! its place in the queue while it acts.
//!
//! A client cannot know that it has lost the lock while it is paused or cut off: then it may believe so while the next one
//! holds it rightly, and no lock service prevents that (`fencing` makes it harmless). So the exact property is about states
//! of the service, not about beliefs in real time:
//! - a client claims a lock with a token, the zxid that made its own ephemeral child of the lock's node, in its own session;
//! - at the newest state that its session had been shown by then, that child is there and no older one is: it is its turn;
//! - no two claims have one token, but one session's own;
//! - where two claims overlap in real time, the older one's node went with its *session*. If it was deleted instead, its
//!   holder gave the lock back while it still acted as the holder.
//!
//! Source: ZooKeeper's lock recipe and Curator's tech note on session loss; CURATOR-498, ZOOKEEPER-2931; Burrows, "The Chubby
//! lock service" (OSDI'06).

use super::contest::{Field, Hold, Recipe, holds, judge};
use super::{Check, Evidence, Finding};
use std::collections::BTreeMap;

pub(super) const CHECK: Check = Check {
    name: "mutual-exclusion",
    about: "A lock is claimed only by whose turn it is, and given back only by who has stopped.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let replay = match evidence.whole_replay() {
        Ok(replay) => replay,
        Err(why) => return Finding::nothing(&why),
    };
    let holds = holds(evidence, Recipe::Lock);
    let field = Field::new(&evidence.history, replay);
    let mut finding = Finding::default();
    let mut by_object: BTreeMap<&str, Vec<&Hold<'_>>> = BTreeMap::new();
    for hold in &holds {
        judge(hold, &field, Recipe::Lock, &mut finding);
        by_object.entry(hold.object).or_default().push(hold);
    }
    let mut overlaps = 0;
    for claims in by_object.values() {
        same_token(claims, &mut finding);
        overlaps += overlapping(claims, &field, &mut finding);
    }
    finding.with_detail(format!(
        "claims of {} locks; {overlaps} overlapped one whose session had ended",
        by_object.len()
    ))
}

fn same_token(claims: &[&Hold<'_>], finding: &mut Finding) {
    let mut owners = BTreeMap::new();
    for hold in claims {
        let owner = *owners.entry(hold.token).or_insert(hold.session);
        if owner != hold.session {
            finding.fail_about(hold.from, &[hold.first as u32], || {
                let (object, token) = (hold.object, hold.token);
                format!(
                    "{object} was claimed with {token} by sessions {owner} and {}",
                    hold.session
                )
            });
        }
    }
}

/// Claims are in the order of their begin; those that have not ended when the next one begins overlap it.
fn overlapping(claims: &[&Hold<'_>], field: &Field<'_>, finding: &mut Finding) -> u64 {
    let mut open: Vec<&Hold<'_>> = Vec::new();
    let mut legal = 0;
    for hold in claims {
        open.retain(|other| other.last > hold.first);
        for other in open.iter().filter(|other| other.token != hold.token) {
            let (older, newer) = if other.token < hold.token {
                (*other, *hold)
            } else {
                (*hold, *other)
            };
            match field.own(older.place, older.token) {
                Some(node) if node.gone.is_some() && !node.with_session => {
                    finding.fail_about(hold.from, &[hold.first as u32], || {
                        format!(
                            "clients {} and {} hold {} at once: {} was deleted at {} while its holder still acted",
                            older.process.0,
                            newer.process.0,
                            hold.object,
                            node.path,
                            node.gone.unwrap_or_default()
                        )
                    });
                }
                // Its session ended; or it is still there, and then the newer claim was judged already.
                _ => legal += 1,
            }
        }
        open.push(hold);
    }
    legal
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, delete, ephemeral_sequential, list, report};
    use zabsim_types::{RecipeStep, Zxid};

    const NAME: &str = "mutual-exclusion";

    fn acquired(token: Zxid) -> RecipeStep {
        RecipeStep::LockAcquired { token }
    }

    /// Two contenders; returns their tokens.
    fn contest() -> (World, Zxid, Zxid) {
        let mut world = World::new(2, 1);
        world.now(1, create("/lock"));
        let first = world.now(1, ephemeral_sequential("/lock/x-"));
        let second = world.now(2, ephemeral_sequential("/lock/x-"));
        world.now(1, list("/lock"));
        world.step(1, "/lock", acquired(first));
        (world, first, second)
    }

    fn detail(run: &Run) -> String {
        report(run, NAME).detail
    }

    #[test]
    fn one_after_the_other_is_legal() {
        let (mut world, first, second) = contest();
        world.step(1, "/lock", RecipeStep::LockReleased { token: first });
        world.now(1, delete("/lock/x-0000000000"));
        world.now(2, list("/lock"));
        world.step(2, "/lock", acquired(second));
        let report = report(&world.finish(), NAME);
        assert!(report.ok() && report.examined == 2, "{}", report.detail);
    }

    #[test]
    fn claiming_out_of_turn_is_found() {
        let (mut world, _, second) = contest();
        world.now(2, list("/lock"));
        world.step(2, "/lock", acquired(second));
        assert!(detail(&world.finish()).contains("stood before it"));
    }

    #[test]
    fn overlap_with_an_expired_holder_is_legal() {
        let (mut world, _, second) = contest();
        world.lose(1);
        world.expire(1);
        world.now(2, list("/lock"));
        world.step(2, "/lock", acquired(second));
        let report = report(&world.finish(), NAME);
        assert!(report.ok(), "{}", report.detail);
        assert!(report.detail.contains("1 overlapped"));
    }

    #[test]
    fn giving_back_before_stopping_is_found() {
        let (mut world, first, second) = contest();
        world.now(1, delete("/lock/x-0000000000"));
        world.now(2, list("/lock"));
        world.step(2, "/lock", acquired(second));
        world.step(1, "/lock", RecipeStep::LockReleased { token: first });
        assert!(detail(&world.finish()).contains("while its holder still acted"));
    }

    #[test]
    fn a_claim_needs_its_own_living_node() {
        let (mut world, first, _) = contest();
        world.step(2, "/lock", acquired(first));
        let run = world.clone().finish();
        assert!(detail(&run).contains("not of its own"));
        world.step(2, "/lock", acquired(Zxid(1)));
        assert!(report(&world.finish(), NAME).detail.contains("violations"));
    }

    #[test]
    fn a_claim_after_ones_own_node_was_seen_gone_is_found() {
        let (mut world, first, _) = contest();
        world.step(1, "/lock", RecipeStep::LockReleased { token: first });
        world.now(1, delete("/lock/x-0000000000"));
        world.step(1, "/lock", acquired(first));
        assert!(detail(&world.finish()).contains("was gone then"));
    }
}
