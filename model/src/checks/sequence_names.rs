//! Sequence names: under one parent, the numbers of sequential nodes are unique and grow in the order of the zxids.
//!
//! Exactly: over the sequential nodes that clients were told of under one incarnation of a parent, in the order of their
//! transactions, the appended number grows strictly (as the 32-bit number that it is: it may wrap around). That each is the
//! count of the children made before is in the replay (`linearizable-writes`); this check believes no model. A parent that is
//! removed and made anew begins at 0: its incarnations are counted from the log, without one from the answered creations, and
//! then a parent that an unanswered request may have made or removed is left out.
//!
//! Source: ZooKeeper's sequence nodes (`PrepRequestProcessor`, the parent's `cversion`); ZOOKEEPER-1046 is the bug.

use super::fetch;
use super::history::{Call, Outcome};
use super::linearizable_writes::said;
use super::{Check, Evidence, Finding};
use crate::reference::Lookup;
use crate::witness::{TxnKind, sequence_of};
use std::collections::BTreeSet;
use zabsim_types::{Op, Reply, Zxid, parent_of};

pub(super) const CHECK: Check = Check {
    name: "sequence-names",
    about: "Under one parent the numbers of sequential nodes are unique and grow.",
    run,
};

/// A sequential node, as its client was told.
struct Named<'a> {
    zxid: Zxid,
    /// Its place among the parts of a multi.
    part: usize,
    call: &'a Call<'a>,
    path: &'a str,
    number: i32,
}

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let mut named = Vec::new();
    let answered = history
        .answered
        .iter()
        .map(|at| &history.calls[*at as usize]);
    let makers: Vec<&Call<'_>> = answered
        .filter(|call| call.is_sequential() || call.is_multi())
        .collect();
    let few = makers.chunks(fetch::AT_ONCE);
    let fetched = few.inspect(|few| fetch::calls(few.iter().copied()));
    for call in fetched.flatten().copied() {
        each_create(call, &mut |part, asked, path| {
            if let Some(number) = sequence_of(path, asked) {
                named.push(Named {
                    zxid: call.zxid,
                    part,
                    call,
                    path,
                    number,
                });
            }
        });
    }
    if named.is_empty() {
        return Finding::default().with_detail("no sequential nodes".into());
    }
    named.sort_by_key(|node| (node.zxid, node.part));
    let mut parents = Parents::default();
    let above: Vec<usize> = named
        .iter()
        .map(|node| parents.add(parent(node.path)))
        .collect();
    let made = incarnations(evidence, &parents);
    let mut finding = Finding::default();
    // Of each parent: in which incarnation its last child was made, and that child.
    let mut last: Vec<Option<(usize, &Named<'_>)>> = vec![None; made.len()];
    let mut incarnations = 0;
    for (node, above) in named.iter().zip(above) {
        let Some(made) = &made[above] else { continue };
        finding.examined += 1;
        let incarnation = made.partition_point(|made| *made < (node.zxid, node.part));
        let before = last[above].replace((incarnation, node));
        let Some((_, before)) = before.filter(|(before, _)| *before == incarnation) else {
            incarnations += 1;
            continue;
        };
        if node.number.wrapping_sub(before.number) <= 0 {
            finding.fail_about(
                history.time(node.call.done),
                &[before.call.done, node.call.done],
                || {
                    format!(
                        "{} made {} at {}, behind {} at {}",
                        said(node.call),
                        node.path,
                        node.zxid,
                        before.path,
                        before.zxid
                    )
                },
            );
        }
    }
    finding.with_detail(format!("sequential nodes under {incarnations} parents"))
}

/// The sequential creations of a call that succeeded: part, path asked for, path made.
fn each_create<'a>(call: &Call<'a>, visit: &mut impl FnMut(usize, &'a str, &'a str)) {
    let mut one = |part, op: &'a Op, reply: &'a Reply| {
        if let (Op::Create { path, mode, .. }, Reply::Created { path: made, .. }) = (op, reply)
            && mode.is_sequential()
        {
            visit(part, path, made);
        }
    };
    match (call.op(), call.outcome()) {
        (Op::Multi { ops }, Outcome::Ok(Reply::Multi { results })) => {
            for (part, (op, reply)) in ops.iter().zip(results).enumerate() {
                one(part, op, reply);
            }
        }
        (op, Outcome::Ok(reply)) => one(0, op, reply),
        _ => {}
    }
}

fn parent(path: &str) -> &str {
    parent_of(path).unwrap_or("/")
}

/// The parents of sequential nodes, each with its place.
#[derive(Default)]
struct Parents<'a> {
    places: Lookup<&'a str, usize>,
    /// Which lengths, modulo 64, their paths have: most paths of a log need not be looked at.
    lengths: u64,
}

impl<'a> Parents<'a> {
    fn add(&mut self, path: &'a str) -> usize {
        let next = self.places.len();
        self.lengths |= 1 << (path.len() % 64);
        *self.places.entry(path).or_insert(next)
    }

    fn place(&self, path: &str) -> Option<usize> {
        if self.lengths & 1 << (path.len() % 64) == 0 {
            return None;
        }
        self.places.get(path).copied()
    }
}

/// The transactions that made a parent, each with the part that did: a multi may remove it, make it anew, and go on under it.
/// `None`: that is not known.
type Incarnations = Option<Vec<(Zxid, usize)>>;

/// When each of the parents was made.
fn incarnations(evidence: &Evidence<'_>, parents: &Parents<'_>) -> Vec<Incarnations> {
    let mut made: Vec<Incarnations> = vec![Some(Vec::new()); parents.places.len()];
    let mut note = |path: &str, zxid, part| {
        if let Some(place) = parents.place(path)
            && let Some(made) = &mut made[place]
        {
            made.push((zxid, part));
        }
    };
    if let Some(replay) = &evidence.replay {
        for txn in &replay.witness.txns {
            let mut part = 0;
            txn.what.each_part(&mut |what| {
                if let TxnKind::Create { path, .. } = what {
                    note(path, txn.zxid, part);
                }
                part += 1;
            });
        }
        return made;
    }
    let mut doubtful = BTreeSet::new();
    for call in &evidence.history.calls {
        let parts = match call.op() {
            Op::Multi { ops } => ops.as_slice(),
            op => std::slice::from_ref(op),
        };
        for (part, op) in parts.iter().enumerate() {
            let (Op::Create { path, .. } | Op::Delete { path, .. }) = op else {
                continue;
            };
            match call.outcome() {
                Outcome::Ok(Reply::MultiFailed { .. }) | Outcome::Fail(_) => {}
                Outcome::Ok(_) => note(path, call.zxid, part),
                Outcome::Unknown => doubtful.extend(parents.place(path)),
                Outcome::Refused | Outcome::Unsent => {}
            }
        }
    }
    for (place, made) in made.iter_mut().enumerate() {
        match made {
            Some(_) if doubtful.contains(&place) => *made = None,
            Some(made) => made.sort_unstable(),
            None => {}
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, delete, report, sequential};
    use crate::checks::{Options, check_all};
    use zabsim_types::{HistoryKind, Reply};

    const NAME: &str = "sequence-names";

    fn run() -> Run {
        let mut world = World::new(1, 1);
        world.now(1, create("/q"));
        world.now(1, sequential("/q/n-"));
        world.now(1, sequential("/q/n-"));
        world.finish()
    }

    #[test]
    fn a_number_given_twice_is_found_with_and_without_a_log() {
        let mut run = run();
        let good = report(&run, NAME);
        assert!(good.ok() && good.examined == 2, "{}", good.detail);
        for event in &mut run.history {
            if let HistoryKind::Ok {
                result: Reply::Created { path, .. },
                ..
            } = &mut event.kind
                && path.ends_with('1')
            {
                *path = "/q/n-0000000000".into();
            }
        }
        assert!(report(&run, NAME).detail.contains("behind /q/n-0000000000"));
        let blind = check_all(&run.history, None, &Options::default());
        assert!(
            blind
                .iter()
                .any(|report| report.name == NAME && !report.ok())
        );
    }

    #[test]
    fn a_parent_made_anew_begins_anew() {
        let mut world = World::new(1, 1);
        for _ in 0..2 {
            world.now(1, create("/q"));
            world.now(1, sequential("/q/n-"));
            world.now(1, delete("/q/n-0000000000"));
            world.now(1, delete("/q"));
        }
        let run = world.finish();
        let with_log = report(&run, NAME);
        assert!(
            with_log.ok() && with_log.examined == 2,
            "{}",
            with_log.detail
        );
        let blind = check_all(&run.history, None, &Options::default());
        assert!(blind.iter().all(|report| report.ok()));
    }
}
