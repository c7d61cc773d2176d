//! One leader per term: a term has one leader, and who leads it was next in line.
//!
//! As with locks (see `mutual-exclusion`), exact on the states of the service:
//! - a term is the zxid that made the leader's own candidate node, and has one leader;
//! - at the newest state that the leader's session had been shown when it began, that node is there and no older candidate's;
//! - the terms of one client grow. (Of two clients, one may announce an older term later: it was told so before the newer
//!   one began, was paused, and cannot know. What it then does with its term the term's use as a fencing token stops.)
//!
//! Source: ZooKeeper's leader election recipe; Curator `LeaderLatch`; "at most one leader per term" as in Raft (Ongaro 2014)
//! and Chubby's lease epochs.

use super::contest::{Field, Recipe, holds, judge};
use super::{Check, Evidence, Finding};
use std::collections::BTreeMap;

pub(super) const CHECK: Check = Check {
    name: "one-leader-per-term",
    about: "A term has one leader, who was next in line; a client's terms grow.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let replay = match evidence.whole_replay() {
        Ok(replay) => replay,
        Err(why) => return Finding::nothing(&why),
    };
    let field = Field::new(&evidence.history, replay);
    let mut finding = Finding::default();
    let mut leaders = BTreeMap::new();
    let mut terms = BTreeMap::new();
    let mut late = 0;
    let mut newest = BTreeMap::new();
    for hold in holds(evidence, Recipe::Election) {
        judge(&hold, &field, Recipe::Election, &mut finding);
        let (object, term) = (hold.object, hold.token);
        let leader = *leaders.entry((object, term)).or_insert(hold.process);
        if leader != hold.process {
            finding.fail_about(hold.from, &[hold.first as u32], || {
                format!(
                    "term {term} of {object} is led by clients {} and {}",
                    leader.0, hold.process.0
                )
            });
        }
        // The same session may lead again in its term after it was disconnected for a while.
        let before = terms.insert((object, hold.process), term);
        if let Some(before) = before.filter(|before| *before > term) {
            finding.fail_about(hold.from, &[hold.first as u32], || {
                format!(
                    "client {} leads {object} in term {term} after {before}",
                    hold.process.0
                )
            });
        }
        let newest = newest.entry(object).or_insert(term);
        late += u64::from(term < *newest);
        *newest = term.max(*newest);
    }
    finding.with_detail(format!(
        "claims to {} terms, {late} announced after a newer one began",
        leaders.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, ephemeral_sequential, list, report};
    use zabsim_types::{RecipeStep, Zxid};

    const NAME: &str = "one-leader-per-term";

    fn elected(term: Zxid) -> RecipeStep {
        RecipeStep::LeaderElected { term }
    }

    fn contest() -> (World, Zxid, Zxid) {
        let mut world = World::new(2, 1);
        world.now(1, create("/vote"));
        let first = world.now(1, ephemeral_sequential("/vote/x-"));
        let second = world.now(2, ephemeral_sequential("/vote/x-"));
        world.now(1, list("/vote"));
        (world, first, second)
    }

    #[test]
    fn a_term_has_one_leader() {
        let (mut world, first, _) = contest();
        world.step(1, "/vote", elected(first));
        assert!(report(&world.clone().finish(), NAME).ok());
        world.step(2, "/vote", elected(first));
        assert!(!report(&world.finish(), NAME).ok());
    }

    #[test]
    fn nobody_leads_out_of_turn() {
        let (mut world, _, second) = contest();
        world.now(2, list("/vote"));
        world.step(2, "/vote", elected(second));
        assert!(report(&world.finish(), NAME).detail.contains("leads /vote"));
    }

    /// Client 1 learned that it leads, was paused, and says so only when client 2 leads already: it cannot know.
    #[test]
    fn a_paused_client_may_announce_late() {
        let (mut world, first, second) = contest();
        world.lose(1);
        world.expire(1);
        world.now(2, list("/vote"));
        world.step(2, "/vote", elected(second));
        let mut run = world.finish();
        let mut late = run.history.last().expect("a step").clone();
        late.process = zabsim_types::ProcessId(1);
        late.session = run.session_of(1);
        late.kind = zabsim_types::HistoryKind::Recipe(zabsim_types::RecipeEvent {
            object: "/vote".into(),
            step: elected(first),
        });
        run.history.push(late);
        let report = report(&run, NAME);
        assert!(report.ok(), "{}", report.detail);
        assert!(report.detail.contains("1 announced after"));
    }
}
