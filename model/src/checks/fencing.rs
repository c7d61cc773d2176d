//! Fencing: once a resource has taken a write under a newer hold of a lock, it takes none under an older one.
//!
//! Exactly: over the writes that reached the resource guarded by one lock, in the order in which they reached it, a write is
//! taken if and only if its token is no smaller than the greatest token taken before. This is what makes side effects
//! exclusive; that two clients never *believe* at once that they hold a lock cannot be promised to a client that was paused.
//!
//! Source: Burrows, "The Chubby lock service" (OSDI'06), sequencers; Kleppmann, "How to do distributed locking" (2016);
//! CURATOR-537.

use super::{Check, Evidence, Finding};
use zabsim_types::{RecipeStep, Zxid};

pub(super) const CHECK: Check = Check {
    name: "fencing",
    about: "A guarded resource takes no write under an older hold after one under a newer.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let mut finding = Finding::default();
    let history = &evidence.history;
    // By object.
    let mut newest = vec![Zxid::ZERO; history.objects.len()];
    let mut refused = 0;
    for deed in &history.recipes {
        let RecipeStep::FencedWrite { token, accepted } = deed.step else {
            continue;
        };
        finding.examined += 1;
        let newest = &mut newest[deed.object as usize];
        let fits = token >= *newest;
        if accepted != fits {
            finding.fail(history.time(deed.at), || {
                let did = if accepted { "took" } else { "refused" };
                let object = history.objects[deed.object as usize];
                let client = history.clients()[deed.client as usize].0;
                format!("{object} {did} a write of client {client} with token {token}; the newest was {newest}")
            });
        }
        if accepted {
            *newest = token.max(*newest);
        } else {
            refused += 1;
        }
    }
    finding.with_detail(format!("writes to guarded resources, {refused} refused"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, report};
    use zabsim_types::{RecipeStep, Zxid};

    fn write(token: u64, accepted: bool) -> RecipeStep {
        RecipeStep::FencedWrite {
            token: Zxid(token),
            accepted,
        }
    }

    #[test]
    fn a_write_under_an_older_hold_is_refused_and_only_that() {
        for (last, ok) in [
            (write(3, false), true),
            (write(3, true), false),
            (write(5, true), true),
            (write(6, false), false),
        ] {
            let mut world = World::new(2, 1);
            world.step(1, "/lock", write(3, true));
            world.step(2, "/lock", write(5, true));
            world.step(1, "/other", write(1, true));
            world.step(1, "/lock", last);
            let report = report(&world.finish(), "fencing");
            assert_eq!(report.ok(), ok, "{last:?}: {}", report.detail);
            assert_eq!(report.examined, 4);
        }
    }
}
