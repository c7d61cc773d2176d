//! Timeliness: a client sees a state no older than a bound, or is told that it is cut off.
//!
//! Exactly, where the run sets the bound `b` and says when faults were at work: an answer that arrives at time `t`, with no fault at
//! work between `t − b` and `t`, names a state no older than every update that was answered by `t − b`, unless the client was
//! told that the server which gives it only reads. Under faults no
//! bound holds: whoever is paused long enough reads on, in between, what was true before.
//!
//! Source: ZooKeeper's guarantee of timeliness, which gives no number ("within a certain time bound"). The run takes it from
//! its ensemble: a server that has lost its leader, or a leader its quorum, ends its service within syncLimit ticks.

use super::linearizable_writes::said;
use super::{Check, Evidence, Finding};
use std::collections::BTreeSet;
use zabsim_types::{HistoryKind, ProcessId, SessionChange, Time, Zxid};

pub(super) const CHECK: Check = Check {
    name: "timeliness",
    about: "Where no fault is at work, no answer is older than the time in which a server notices that it is cut off.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let Some(staleness) = &evidence.options.staleness else {
        return Finding::nothing("the run sets no bound");
    };
    let bound_ms = staleness.bound_ms;
    let history = &evidence.history;
    let mut finding = Finding::default();
    let read_only: BTreeSet<(ProcessId, u32)> = history
        .told()
        .filter_map(|(_, event)| match event.kind {
            HistoryKind::Session {
                change:
                    SessionChange::Connected {
                        conn,
                        read_only: true,
                        ..
                    },
            } => Some((event.process, conn)),
            _ => None,
        })
        .collect();
    let mut old = history
        .answered
        .iter()
        .map(|at| &history.calls[*at as usize])
        .peekable();
    let mut newest = Zxid::ZERO;
    let mut unrest = staleness.unrest.clone();
    unrest.sort_unstable();
    let mut unrest = unrest.into_iter().peekable();
    let mut calm_from = Time::ZERO;
    for at in &history.answered {
        let call = &history.calls[*at as usize];
        let now = history.time(call.done);
        let is_old = |done| history.time(done).plus(bound_ms * 1_000) <= now;
        while let Some(other) = old.next_if(|other| is_old(other.done)) {
            newest = newest.max(other.zxid);
        }
        while let Some((_, until)) = unrest.next_if(|(from, _)| *from <= now) {
            calm_from = calm_from.max(until.plus(bound_ms * 1_000));
        }
        if now <= calm_from && calm_from > Time::ZERO {
            continue;
        }
        if !read_only.is_empty() && read_only.contains(&(call.process(), call.conn)) {
            continue;
        }
        finding.examined += 1;
        if call.zxid < newest {
            finding.fail(now, || {
                format!(
                    "{} was answered at {}, though {newest} was answered {bound_ms} ms before and no fault was at work since",
                    said(call),
                    call.zxid
                )
            });
        }
    }
    let others = history.answered.len() as u64 - finding.examined;
    finding.with_detail(format!(
        "answers in calm, none older than {bound_ms} ms; {others} others came within that time of a fault, or by a server that only reads"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, create, get, report};
    use crate::checks::Staleness;
    use zabsim_types::Time;

    #[test]
    fn an_answer_older_than_the_bound_is_found() {
        let mut world = World::new(2, 2);
        world.now(1, create("/a"));
        world.pause(20);
        world.read_where_it_is(2, get("/a"));
        let mut run = world.finish();
        assert_eq!(report(&run, "timeliness").examined, 0);
        let end = run.history.last().expect("events").time.as_ms();
        let mut judge = |bound_ms, unrest: &[(u64, u64)]| {
            let span = |(from, until): &(u64, u64)| (Time::from_ms(*from), Time::from_ms(*until));
            run.options.staleness = Some(Staleness {
                bound_ms,
                unrest: unrest.iter().map(span).collect(),
            });
            report(&run, "timeliness")
        };
        assert!(judge(60, &[]).ok());
        assert_eq!(judge(60, &[]).examined, 2);
        assert!(judge(10, &[]).detail.contains("10 ms before"));
        // A fault that is at work, or was so within the bound, excuses it; one that is long over, or comes later, does not.
        for (from, until, ok) in [
            (0, end, true),
            (0, end - 10, true),
            (0, end - 11, false),
            (end, end, true),
            (end + 1, end + 9, false),
        ] {
            assert_eq!(
                judge(10, &[(from, until)]).ok(),
                ok,
                "{from} to {until} of {end}"
            );
            assert_eq!(judge(10, &[(from, until), (1, 2)]).ok(), ok);
        }
    }
}
