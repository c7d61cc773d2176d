//! Every operation that a client has, on a few nodes that all clients share: made and removed, set and read, guarded and opened,
//! watched once and for good. Only the ensemble's members are left alone.
//!
//! What is under `/mixed`: `k…` are plain nodes, `c…` containers with a child now and then, `t…` nodes with a TTL, `a…` nodes with
//! access control lists, `seq` a sequence.

use super::{Actor, SessionOver};
use zabsim_client::{Multi, MultiRead, Outcome, join_all};
use zabsim_types::{
    Acl, AddWatchMode, CreateMode, ErrorCode, Op, OpKind, Perms, SyncMode, WatcherType, ZPath,
};

/// What it asks for, each in a scenario's word.
pub const MIXED: &[(&str, OpKind)] = &[
    ("create", OpKind::Create),
    ("delete", OpKind::Delete),
    ("set", OpKind::SetData),
    ("get", OpKind::GetData),
    ("exists", OpKind::Exists),
    ("children", OpKind::GetChildren),
    ("sync", OpKind::Sync),
    ("multi", OpKind::Multi),
    ("get_acl", OpKind::GetAcl),
    ("set_acl", OpKind::SetAcl),
    ("who_am_i", OpKind::WhoAmI),
    ("add_watch", OpKind::AddWatch),
    ("remove_watches", OpKind::RemoveWatches),
    ("check_watches", OpKind::CheckWatches),
    ("multi_read", OpKind::MultiRead),
    ("ephemerals", OpKind::GetEphemerals),
    ("all_children_number", OpKind::GetAllChildrenNumber),
    ("check", OpKind::Check),
];

/// Children of the sequence directory that the workload leaves standing.
const SEQUENCE_LENGTH: usize = 8;
/// Who clients say they are; some are the same.
const USERS: u64 = 3;

pub(super) async fn mixed(actor: &mut Actor) -> Result<(), SessionOver> {
    for directory in ["/mixed", "/mixed/seq"] {
        let outcome = actor.client.ensure_path(directory).await;
        actor.go_on(outcome)?;
    }
    while !actor.stopping.is_set() {
        if actor.stream.per_mille(150) {
            burst(actor).await?;
        } else if actor.stream.per_mille(20) {
            prove_identity(actor).await?;
        } else {
            let op = any_op(actor);
            let outcome = actor.client.submit(op).await;
            still_open(&outcome)?;
        }
        if actor.stream.per_mille(80) {
            shorten_sequence(actor).await?;
        }
        actor.think().await;
    }
    Ok(())
}

/// Several requests under way at once: answered in order.
async fn burst(actor: &mut Actor) -> Result<(), SessionOver> {
    let length = actor.stream.range((2, 4));
    let calls: Vec<_> = (0..length)
        .map(|_| {
            let op = any_op(actor);
            actor.client.submit(op)
        })
        .collect();
    join_all(calls).await.iter().try_for_each(still_open)
}

/// Alone: whether what is asked together with it already has its identity is nobody's promise. A scheme that no server knows
/// costs the session, and all that it held: it is rare.
async fn prove_identity(actor: &mut Actor) -> Result<(), SessionOver> {
    let scheme = match actor.stream.per_mille(50) {
        true => "bogus",
        false => "digest",
    };
    let user = actor.stream.below(USERS);
    let outcome = actor
        .client
        .add_auth(scheme, format!("u{user}:secret"))
        .await;
    actor.go_on(outcome).map(|_| ())
}

/// Whether the session goes on after that outcome.
fn still_open(outcome: &Outcome) -> Result<(), SessionOver> {
    match outcome {
        Outcome::Lost {
            error: ErrorCode::SessionExpired | ErrorCode::AuthFailed,
            ..
        } => Err(SessionOver),
        _ => Ok(()),
    }
}

/// One of those that it may ask for. Each is drawn in time: the rarest is one in some hundreds.
fn any_op(actor: &mut Actor) -> Op {
    loop {
        let op = drawn_op(actor);
        let allowed = &actor.workload.ops;
        if allowed.is_empty() || allowed.contains(&op.kind()) {
            return op;
        }
    }
}

fn drawn_op(actor: &mut Actor) -> Op {
    match actor.stream.below(100) {
        0..66 => plain(actor),
        66..74 => of_other_kinds(actor),
        74..86 => guarded(actor),
        86..94 => watching(actor),
        94..99 => counting(actor),
        _ => alone(actor),
    }
}

/// What is a part of a multi, and by itself no request that servers answer.
fn alone(actor: &mut Actor) -> Op {
    let path = actor.any(PLAIN);
    Op::Check {
        path,
        version: version(actor),
    }
}

/// Beginnings of the names of the nodes: plain, guarded, containers, those that live for a while.
const PLAIN: &str = "/mixed/k";
const GUARDED: &str = "/mixed/a";
const CONTAINER: &str = "/mixed/c";
const PASSING: &str = "/mixed/t";

fn version(actor: &mut Actor) -> i32 {
    match actor.stream.per_mille(800) {
        true => -1,
        false => actor.stream.below(4) as i32,
    }
}

/// On plain nodes and the sequence.
fn plain(actor: &mut Actor) -> Op {
    let path = actor.any(PLAIN);
    let watch = actor.stream.per_mille(300);
    let version = version(actor);
    let with_stat = actor.stream.per_mille(200);
    match actor.stream.below(20) {
        0..=2 => create(actor, path, CreateMode::Persistent),
        3 => create(actor, path, CreateMode::Ephemeral),
        4 => {
            let path = actor.path("/mixed/seq/p-");
            create(actor, path, CreateMode::PersistentSequential)
        }
        5 => {
            let path = actor.path("/mixed/seq/e-");
            create(actor, path, CreateMode::EphemeralSequential)
        }
        6 => Op::Delete { path, version },
        7..=10 => set(actor, path, version),
        11..=13 => Op::GetData { path, watch },
        14 => Op::Exists { path, watch },
        15 => Op::GetChildren {
            path: actor.path("/mixed"),
            watch,
            with_stat,
        },
        16 => Op::GetChildren {
            path: actor.path("/mixed/seq"),
            watch,
            with_stat,
        },
        17 => {
            let mode = match actor.stream.per_mille(300) {
                true => SyncMode::Leader,
                false => actor.workload.sync,
            };
            Op::Sync { path, mode }
        }
        _ => multi(actor, path, version),
    }
}

fn create(actor: &mut Actor, path: ZPath, mode: CreateMode) -> Op {
    create_for(actor, path, mode, Acl::OPEN)
}

fn create_for(actor: &mut Actor, path: ZPath, mode: CreateMode, acl: Acl) -> Op {
    Op::Create {
        path,
        data: Some(actor.value().into_bytes().into()),
        mode,
        with_stat: actor.stream.per_mille(200) || mode.replies_with_stat(),
        acl,
    }
}

fn set(actor: &mut Actor, path: ZPath, version: i32) -> Op {
    Op::SetData {
        path,
        data: Some(actor.value().into_bytes().into()),
        version,
    }
}

fn multi(actor: &mut Actor, path: ZPath, version: i32) -> Op {
    let other = actor.any(PLAIN);
    let names = actor.path("/mixed/seq/m-");
    let (value, another) = (actor.value(), actor.value());
    let multi = match actor.stream.below(4) {
        0 => Multi::new()
            .check(path.clone(), version)
            .set_data(path, value, -1)
            .set_data(other, another, -1),
        1 => Multi::new()
            .create(path, value, CreateMode::Persistent)
            .set_data(other, another, -1),
        2 => Multi::new()
            .delete(path.clone(), version)
            .create(path, value, CreateMode::Persistent),
        _ => Multi::new()
            .create(names, value, CreateMode::PersistentSequential)
            .set_data(path, another, version),
    };
    multi.into()
}

/// On nodes that the servers remove by themselves.
fn of_other_kinds(actor: &mut Actor) -> Op {
    let container = actor.any(CONTAINER);
    let child: ZPath = format!("{container}/x").into();
    match actor.stream.below(7) {
        0 => create(actor, container, CreateMode::Container),
        1 => create(actor, child, CreateMode::Persistent),
        2 => create(actor, child, CreateMode::Ephemeral),
        3 => Op::Delete {
            path: child,
            version: -1,
        },
        4 => {
            // Now and then one that no server grants.
            let ttl_ms = match actor.stream.per_mille(150) {
                true => 0,
                false => actor.stream.range((500, 5_000)) as i64,
            };
            let path = actor.any(PASSING);
            create(actor, path, CreateMode::PersistentWithTtl { ttl_ms })
        }
        5 => Op::GetChildren {
            path: container,
            watch: actor.stream.per_mille(300),
            with_stat: false,
        },
        _ => {
            let path = actor.any(PASSING);
            set(actor, path, -1)
        }
    }
}

/// On nodes that not everybody may do everything to. Whoever removes one needs no leave of it: it is the parent's to give.
fn guarded(actor: &mut Actor) -> Op {
    let path = actor.any(GUARDED);
    let version = version(actor);
    match actor.stream.below(8) {
        0..=1 => {
            let acl = acl(actor);
            create_for(actor, path, CreateMode::Persistent, acl)
        }
        2 => Op::SetAcl {
            path,
            acl: acl(actor),
            version,
        },
        3 => Op::GetAcl { path },
        4 => set(actor, path, version),
        5 => Op::GetData {
            path,
            watch: actor.stream.per_mille(500),
        },
        6 => Op::Delete { path, version },
        _ => Op::WhoAmI,
    }
}

fn acl(actor: &mut Actor) -> Acl {
    match actor.stream.below(8) {
        0..=2 => Acl::OPEN,
        // Whoever asks; of somebody who has proven nothing it is refused.
        3..=5 => Acl::one(Perms::ALL, "auth", ""),
        6 => Acl::one(Perms::READ.and(Perms::ADMIN), "world", "anyone"),
        _ => Acl::new(vec![]),
    }
}

/// Watches that stay, and the removal of any.
fn watching(actor: &mut Actor) -> Op {
    let path = match actor.stream.below(4) {
        0 => actor.path("/mixed"),
        1 => actor.path("/mixed/seq"),
        2 => actor.any(GUARDED),
        _ => actor.any(PLAIN),
    };
    let kind = [
        WatcherType::Any,
        WatcherType::Data,
        WatcherType::Children,
        WatcherType::Persistent,
        WatcherType::PersistentRecursive,
    ][actor.stream.below(5) as usize];
    match actor.stream.below(6) {
        0 => Op::AddWatch {
            path,
            mode: AddWatchMode::Persistent,
        },
        1 => Op::AddWatch {
            path,
            mode: AddWatchMode::PersistentRecursive,
        },
        2..=3 => Op::RemoveWatches { path, kind },
        _ => Op::CheckWatches { path, kind },
    }
}

/// Reads of more than one node.
fn counting(actor: &mut Actor) -> Op {
    let path = actor.any(PLAIN);
    match actor.stream.below(6) {
        0..=1 => {
            let guarded = actor.any(GUARDED);
            let reads = MultiRead::new()
                .get_data(path)
                .get_data(guarded)
                .get_children(actor.path("/mixed"));
            reads.into()
        }
        2..=3 => {
            let below = ["/", "/mixed", "/mixed/seq/e-"][actor.stream.below(3) as usize];
            Op::GetEphemerals {
                prefix: actor.path(below),
            }
        }
        4 => Op::GetAllChildrenNumber {
            path: actor.path("/mixed"),
        },
        _ => Op::GetAllChildrenNumber { path },
    }
}

async fn shorten_sequence(actor: &mut Actor) -> Result<(), SessionOver> {
    let outcome = actor.client.get_children("/mixed/seq").await;
    let Some(mut names) = actor.go_on(outcome)? else {
        return Ok(());
    };
    let surplus = names.len().saturating_sub(SEQUENCE_LENGTH);
    actor.stream.shuffle(&mut names);
    for name in names.iter().take(surplus) {
        let outcome = actor.client.delete(format!("/mixed/seq/{name}"), -1).await;
        actor.go_on(outcome)?;
    }
    Ok(())
}
