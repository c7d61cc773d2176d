//! Workloads on data: registers, every operation, a watched configuration.

use super::{Actor, SessionOver};
use std::time::Duration;
use zabsim_client::{Multi, Outcome, join_all, select};
use zabsim_types::{Acl, CreateMode, ErrorCode, Op, SyncMode};

/// Few nodes, written and read by all.
pub(super) async fn registers(actor: &mut Actor) -> Result<(), SessionOver> {
    prepare(actor, "/registers", "r").await?;
    while !actor.stopping.is_set() {
        let path = format!("/registers/r{}", actor.key());
        match actor.stream.below(10) {
            0..=2 => {
                let value = actor.value();
                let outcome = actor.client.set_data(path, value, -1).await;
                actor.go_on(outcome)?;
            }
            3..=4 => compare_and_set(actor, &path).await?,
            5..=6 => {
                let outcome = actor.client.get_data(path).await;
                actor.go_on(outcome)?;
            }
            _ => {
                let outcome = actor.client.sync(path.as_str(), actor.workload.sync).await;
                if actor.go_on(outcome)?.is_some() {
                    let outcome = actor.client.get_data(path).await;
                    actor.go_on(outcome)?;
                }
            }
        }
        actor.think().await;
    }
    Ok(())
}

async fn compare_and_set(actor: &mut Actor, path: &str) -> Result<(), SessionOver> {
    let outcome = actor.client.get_data(path).await;
    if let Some((_, stat)) = actor.go_on(outcome)? {
        let value = actor.value();
        let outcome = actor.client.set_data(path, value, stat.version).await;
        actor.go_on(outcome)?;
    }
    Ok(())
}

/// Makes a directory and the workload's nodes in it. Whoever comes first makes them; the others find them there.
async fn prepare(actor: &mut Actor, directory: &str, prefix: &str) -> Result<(), SessionOver> {
    let outcome = actor.client.ensure_path(directory).await;
    actor.go_on(outcome)?;
    for key in 0..actor.workload.keys {
        let path = format!("{directory}/{prefix}{key}");
        let outcome = actor.client.create(path, "0", CreateMode::Persistent).await;
        actor.go_on(outcome)?;
    }
    Ok(())
}

/// Children of the sequence directory that the workload leaves standing.
const SEQUENCE_LENGTH: usize = 8;

/// Every operation.
pub(super) async fn mixed(actor: &mut Actor) -> Result<(), SessionOver> {
    for directory in ["/mixed", "/mixed/seq"] {
        let outcome = actor.client.ensure_path(directory).await;
        actor.go_on(outcome)?;
    }
    while !actor.stopping.is_set() {
        if actor.stream.per_mille(150) {
            burst(actor).await?;
        } else {
            let op = mixed_op(actor);
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
            let op = mixed_op(actor);
            actor.client.submit(op)
        })
        .collect();
    join_all(calls).await.iter().try_for_each(still_open)
}

/// Whether the session goes on after that outcome.
fn still_open(outcome: &Outcome) -> Result<(), SessionOver> {
    match outcome {
        Outcome::Lost {
            error: ErrorCode::SessionExpired,
            ..
        } => Err(SessionOver),
        _ => Ok(()),
    }
}

fn mixed_op(actor: &mut Actor) -> Op {
    let path: std::sync::Arc<str> = format!("/mixed/k{}", actor.key()).into();
    let watch = actor.stream.per_mille(300);
    let version = if actor.stream.per_mille(800) {
        -1
    } else {
        actor.stream.below(4) as i32
    };
    let with_stat = actor.stream.per_mille(200);
    match actor.stream.below(20) {
        0..=2 => create(actor, &path, CreateMode::Persistent, with_stat),
        3 => create(actor, &path, CreateMode::Ephemeral, with_stat),
        4 => create(
            actor,
            "/mixed/seq/p-",
            CreateMode::PersistentSequential,
            with_stat,
        ),
        5 => create(
            actor,
            "/mixed/seq/e-",
            CreateMode::EphemeralSequential,
            with_stat,
        ),
        6 => Op::Delete { path, version },
        7..=10 => {
            let data = Some(actor.value().into_bytes().into());
            Op::SetData {
                path,
                data,
                version,
            }
        }
        11..=13 => Op::GetData { path, watch },
        14 => Op::Exists { path, watch },
        15 => Op::GetChildren {
            path: "/mixed".into(),
            watch,
            with_stat,
        },
        16 => Op::GetChildren {
            path: "/mixed/seq".into(),
            watch,
            with_stat,
        },
        17 => {
            let mode = if actor.stream.per_mille(300) {
                SyncMode::Leader
            } else {
                actor.workload.sync
            };
            Op::Sync { path, mode }
        }
        _ => multi(actor, &path, version),
    }
}

fn create(actor: &mut Actor, path: &str, mode: CreateMode, with_stat: bool) -> Op {
    Op::Create {
        path: path.into(),
        data: Some(actor.value().into_bytes().into()),
        mode,
        with_stat,
        acl: Acl::OPEN,
    }
}

fn multi(actor: &mut Actor, path: &str, version: i32) -> Op {
    let other = format!("/mixed/k{}", actor.key());
    let (value, another) = (actor.value(), actor.value());
    let multi = match actor.stream.below(4) {
        0 => Multi::new()
            .check(path, version)
            .set_data(path, value, -1)
            .set_data(other, another, -1),
        1 => Multi::new()
            .create(path, value, CreateMode::Persistent)
            .set_data(other, another, -1),
        2 => Multi::new()
            .delete(path, version)
            .create(path, value, CreateMode::Persistent),
        _ => Multi::new()
            .create("/mixed/seq/m-", value, CreateMode::PersistentSequential)
            .set_data(path, another, version),
    };
    multi.into()
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

/// How long a watcher of the configuration waits before it looks by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// A configuration that some set and all watch.
pub(super) async fn config(actor: &mut Actor) -> Result<(), SessionOver> {
    prepare(actor, "/config", "c").await?;
    let sets = actor.process.is_multiple_of(3);
    while !actor.stopping.is_set() {
        let path = format!("/config/c{}", actor.key());
        if sets {
            let value = actor.value();
            let outcome = actor.client.set_data(path, value, -1).await;
            actor.go_on(outcome)?;
        } else {
            let outcome = actor.client.get_data_watch(path.as_str()).await;
            if let Some((_, watch)) = actor.go_on(outcome)? {
                select(watch, actor.client.sleep(PATIENCE)).await;
            }
        }
        actor.think().await;
    }
    Ok(())
}
