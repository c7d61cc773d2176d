//! Timeliness: a client sees a state no older than a bound, or is told that it is cut off.
//!
//! Exactly, where the run sets the bound `b`: an answer that arrives at time `t` names a state no older than every update
//! that was answered by `t − b`. ZooKeeper gives no number ("within a certain time bound"); a scenario that knows its links
//! and timeouts can.
//!
//! Source: ZooKeeper's guarantee of timeliness.

use super::linearizable_writes::said;
use super::{Check, Evidence, Finding};
use zabsim_types::Zxid;

pub(super) const CHECK: Check = Check {
    name: "timeliness",
    about: "Where the scenario sets a bound, no answer is older than it.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let Some(bound_ms) = evidence.options.staleness_ms_max else {
        return Finding::nothing("the scenario sets no bound");
    };
    let history = &evidence.history;
    let mut finding = Finding::default();
    let mut old = history
        .answered
        .iter()
        .map(|at| &history.calls[*at as usize])
        .peekable();
    let mut newest = Zxid::ZERO;
    for at in &history.answered {
        let call = &history.calls[*at as usize];
        let now = history.time(call.done);
        let is_old = |done| history.time(done).plus(bound_ms * 1_000) <= now;
        while let Some(other) = old.next_if(|other| is_old(other.done)) {
            newest = newest.max(other.zxid);
        }
        finding.examined += 1;
        if call.zxid < newest {
            finding.fail(now, || {
                format!(
                    "{} was answered at {}, though {newest} was answered {bound_ms} ms before",
                    said(call),
                    call.zxid
                )
            });
        }
    }
    finding.with_detail(format!("answers, none older than {bound_ms} ms"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, get, report};

    #[test]
    fn an_answer_older_than_the_bound_is_found() {
        let mut world = World::new(2, 2);
        world.now(1, create("/a"));
        world.pause(20);
        world.read_where_it_is(2, get("/a"));
        let mut run = world.finish();
        assert_eq!(report(&run, "timeliness").examined, 0);
        run.options.staleness_ms_max = Some(60);
        assert!(report(&run, "timeliness").ok());
        run.options.staleness_ms_max = Some(10);
        assert!(report(&run, "timeliness").detail.contains("10 ms before"));
    }
}
