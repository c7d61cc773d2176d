//! By whose rights the replay judges a write, and what the servers may remove of themselves.
//!
//! Source: ZooKeeper 3.9 `PrepRequestProcessor` (a list is read from the applied tree, so that one still in the pipeline does
//! not count), `ContainerManager`.

use super::history::{Call, History};
use super::replay::Wrong;
use crate::reference::{Life, Model, Rights, Stamp};
use zabsim_types::{ErrorCode, Id, Op, OpResult, Reply, ZPath};

/// The servers remove a container or a TTL node. When it is due their own clock says, and is not looked at here; what they may
/// remove at all the tree does.
pub(super) fn sweep(model: &mut Model, path: &ZPath, stamp: Stamp) -> Result<(), Wrong> {
    let life = model.life_of_node(path);
    let creates = model.creates(path).map_or(0, |(_, creates)| creates);
    if life == Some(Life::Container) && creates == 0 {
        return Err(Wrong {
            call: None,
            zxid: stamp.zxid,
            expected: format!("{path} to stay: it is a container and waits for its first child"),
            observed: "the servers removed it".into(),
        });
    }
    let result = model.write(&Op::DeleteContainer { path: path.clone() }, stamp);
    let swept = life.is_some_and(|life| life != Life::Unbound);
    if swept && result.is_ok() {
        return Ok(());
    }
    Err(Wrong {
        call: None,
        zxid: stamp.zxid,
        expected: match result {
            Err(error) => format!("{path} to stay: {error}"),
            Ok(_) => format!("{path} to stay: it is neither a container nor a TTL node"),
        },
        observed: "the servers removed it".into(),
    })
}

/// The write by the rights of its client. Which these were is not always certain: a list may have been replaced in the log and
/// not yet in the tree that the leader looked at, and a proof of identity may have overtaken the request. Of all that is
/// possible, what fits is taken.
pub(crate) fn write_judged(
    model: &mut Model,
    history: &History<'_>,
    call: &Call<'_>,
    stamp: Stamp,
    fits: impl Fn(&OpResult) -> bool,
) -> OpResult {
    // What it could do as everything is now is almost always what it did.
    let now = Rights {
        ids: history.identities(call).0,
        as_of: None,
    };
    match model.write_if(call.op(), stamp, now, &fits) {
        Ok(done) => done,
        Err(_) => {
            let rights = judge(model, history, call, stamp, fits);
            model.write_as(call.op(), stamp, rights)
        }
    }
}

/// What `write_judged` would answer.
pub(super) fn probe_judged(
    model: &mut Model,
    history: &History<'_>,
    call: &Call<'_>,
    stamp: Stamp,
    fits: impl Fn(&OpResult) -> bool,
) -> OpResult {
    let rights = judge(model, history, call, stamp, fits);
    model.probe_as(call.op(), stamp, rights)
}

/// Whether a server in that state could have answered the read so.
pub(crate) fn could_answer(
    model: &Model,
    history: &History<'_>,
    call: &Call<'_>,
    observed: Result<&Reply, ErrorCode>,
) -> bool {
    let (early, late) = history.identities(call);
    let would = |ids: &[Id]| {
        let rights = Rights { ids, as_of: None };
        model.would_answer_as(call.op(), call.session, rights, observed)
    };
    would(early) || (early != late && would(late))
}

fn judge<'h>(
    model: &mut Model,
    history: &'h History<'_>,
    call: &Call<'_>,
    stamp: Stamp,
    fits: impl Fn(&OpResult) -> bool,
) -> Rights<'h> {
    let (early, late) = history.identities(call);
    let now = Rights {
        ids: early,
        as_of: None,
    };
    let mut former = model.former_states(call.op());
    former.retain(|state| stamp.zxid.0.saturating_sub(state.0) <= IN_FLIGHT_MAX);
    if former.is_empty() && early == late {
        return now;
    }
    let all = if early == late {
        &[early][..]
    } else {
        &[early, late]
    };
    let mut fitting = |ids, as_of| {
        let rights = Rights { ids, as_of };
        fits(&model.probe_as(call.op(), stamp, rights)).then_some(rights)
    };
    if let Some(rights) = all.iter().find_map(|ids| fitting(ids, None)) {
        return rights;
    }
    // An answer that shows the next list ends nothing: a follower may have given it before the leader's tree had the list.
    let then = all
        .iter()
        .find_map(|ids| former.iter().find_map(|state| fitting(ids, Some(*state))));
    then.unwrap_or(now)
}

/// How many transactions may be in flight at a leader (`zookeeper.globalOutstandingLimit` is 1,000).
const IN_FLIGHT_MAX: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, delete, get, report, set, watch};
    use zabsim_types::{
        Acl, AddWatchMode, CreateMode, ErrorCode, HistoryKind, Op, Perms, Reply, WatcherType,
    };

    fn prove(who: &str) -> Op {
        Op::AddAuth {
            scheme: "digest".into(),
            auth: who.into(),
        }
    }

    fn with(path: &str, mode: CreateMode, acl: Acl) -> Op {
        Op::Create {
            path: path.into(),
            data: None,
            mode,
            with_stat: true,
            acl,
        }
    }

    fn set_acl(path: &str, acl: Acl) -> Op {
        Op::SetAcl {
            path: path.into(),
            acl,
            version: -1,
        }
    }

    fn get_acl(path: &str) -> Op {
        Op::GetAcl { path: path.into() }
    }

    fn mine() -> Acl {
        Acl::one(Perms::ALL, "auth", "")
    }

    #[track_caller]
    fn accepted(run: &Run) {
        for report in run.reports() {
            assert!(report.ok(), "{}: {}", report.name, report.detail);
        }
    }

    fn is_refused(run: &Run) -> bool {
        run.reports().iter().any(|report| !report.ok())
    }

    /// One who has proven who it is, and one who has not.
    fn guarded() -> World {
        let mut world = World::new(2, 1);
        world.now(1, prove("me:secret"));
        world.now(1, with("/m", CreateMode::Persistent, mine()));
        world.now(1, set("/m", "1"));
        world.now(2, set("/m", "2"));
        world.now(2, get("/m"));
        world.now(2, get_acl("/m"));
        world.now(1, get_acl("/m"));
        world
    }

    #[test]
    fn each_is_judged_by_the_identities_that_it_has_proven() {
        accepted(&guarded().finish());
        let mut run = guarded().finish();
        // As if nobody had proven anything.
        let proof = |kind: &HistoryKind| match kind {
            HistoryKind::Invoke { request, .. } => matches!(request, Op::AddAuth { .. }),
            HistoryKind::Ok { result, .. } => *result == Reply::AuthAdded,
            _ => false,
        };
        run.history.retain(|event| !proof(&event.kind));
        assert!(is_refused(&run));
    }

    #[test]
    fn who_may_not_read_must_not_be_shown() {
        let mut run = guarded().finish();
        let shown = run
            .history
            .iter_mut()
            .rev()
            .find_map(|event| match &mut event.kind {
                HistoryKind::Ok {
                    result: Reply::Acl { acl, .. },
                    ..
                } => Some(acl),
                _ => None,
            });
        *shown.expect("the last call reads it") = Acl::OPEN;
        assert!(!report(&run, "snapshot-reads").ok());
        let mut run = guarded().finish();
        for event in &mut run.history {
            if let HistoryKind::Fail { error, .. } = &mut event.kind {
                *error = ErrorCode::NoNode;
            }
        }
        assert!(is_refused(&run));
    }

    /// The leader had proposed the new list and not applied it yet.
    #[test]
    fn a_list_in_the_pipeline_may_not_count_yet() {
        let closed = || Acl::one(Perms::READ, "world", "anyone");
        let mut world = World::new(2, 1);
        let before = world.now(1, create("/a"));
        world.now(1, set_acl("/a", closed()));
        world.behind = Some(before);
        world.now(2, set("/a", "late"));
        accepted(&world.finish());
        // There was no other list ever.
        let mut world = World::new(2, 1);
        world.now(1, with("/a", CreateMode::Persistent, closed()));
        world.prove_unseen(2, "super");
        world.now(2, set("/a", "never"));
        assert!(is_refused(&world.finish()));
    }

    #[test]
    fn the_servers_remove_containers_and_nothing_else() {
        let mut world = World::new(1, 1);
        let ttl = CreateMode::PersistentWithTtl { ttl_ms: 10 };
        world.now(1, with("/c", CreateMode::Container, Acl::OPEN));
        world.now(1, with("/t", ttl, Acl::OPEN));
        world.now(1, create("/c/x"));
        world.sweep("/t");
        // It has a child: the attempt takes a zxid.
        world.sweep("/c");
        world.now(1, delete("/c/x"));
        world.sweep("/c");
        world.now(1, get("/c"));
        accepted(&world.finish());
        let mut world = World::new(1, 1);
        world.now(1, create("/plain"));
        world.sweep("/plain");
        world.now(1, get("/plain"));
        assert!(is_refused(&world.finish()));
        // One that was never used waits for its first child.
        let mut world = World::new(1, 1);
        world.now(1, with("/c", CreateMode::Container, Acl::OPEN));
        world.sweep("/c");
        world.now(1, get("/c"));
        assert!(is_refused(&world.finish()));
    }

    #[test]
    fn the_newer_reads_are_compared_with_the_state_too() {
        let tour = || {
            let mut world = World::new(1, 1);
            world.now(1, with("/e", CreateMode::Ephemeral, Acl::OPEN));
            world.now(1, Op::GetEphemerals { prefix: "/".into() });
            world.now(1, Op::GetAllChildrenNumber { path: "/".into() });
            let ops = vec![get("/e"), get("/none")];
            world.now(1, Op::MultiRead { ops });
            world.finish()
        };
        accepted(&tour());
        let spoil: [fn(&mut Reply); 3] = [
            |reply| {
                if let Reply::Ephemerals { paths } = reply {
                    paths.clear();
                }
            },
            |reply| {
                if let Reply::ChildrenNumber { number } = reply {
                    *number += 1;
                }
            },
            |reply| {
                if let Reply::MultiRead { results } = reply {
                    results.swap(0, 1);
                }
            },
        ];
        for spoil in spoil {
            let mut run = tour();
            for event in &mut run.history {
                if let HistoryKind::Ok { result, .. } = &mut event.kind {
                    spoil(result);
                }
            }
            assert!(!report(&run, "snapshot-reads").ok());
        }
    }

    #[test]
    fn watches_that_stay_are_told_again_and_removed_ones_never() {
        let watched = |removed: bool| {
            let mut world = World::new(2, 1);
            world.now(1, create("/a"));
            let (path, mode) = ("/a".into(), AddWatchMode::PersistentRecursive);
            world.now(1, Op::AddWatch { path, mode });
            world.now(2, set("/a", "1"));
            world.now(2, create("/a/b"));
            world.now(1, get("/a"));
            let mut run = world.finish();
            if removed {
                for event in &mut run.history {
                    if let HistoryKind::Invoke { request, .. } = &mut event.kind
                        && matches!(request, Op::AddWatch { .. })
                    {
                        *request = Op::CheckWatches {
                            path: "/a".into(),
                            kind: WatcherType::Any,
                        };
                    }
                }
            }
            run
        };
        accepted(&watched(false));
        assert!(!report(&watched(true), "watches").ok());
    }

    /// The watch is used up, and nothing is said.
    #[test]
    fn who_may_not_read_waits_for_no_event() {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(1, watch("/a"));
        world.now(2, prove("me:secret"));
        world.now(2, set_acl("/a", mine()));
        world.now(2, set("/a", "secret"));
        world.now(1, get("/a"));
        accepted(&world.finish());
    }
}
