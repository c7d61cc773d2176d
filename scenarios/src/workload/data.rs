//! Workloads on data: registers, a watched configuration.

use super::{Actor, SessionOver};
use std::time::Duration;
use zabsim_client::select;
use zabsim_types::{CreateMode, ZPath};

/// Few nodes, written and read by all.
pub(super) async fn registers(actor: &mut Actor) -> Result<(), SessionOver> {
    prepare(actor, "/registers", "/registers/r").await?;
    while !actor.stopping.is_set() {
        let path = actor.any("/registers/r");
        match actor.stream.below(10) {
            0..=2 => {
                let value = actor.value();
                let outcome = actor.client.set_data(path, value, -1).await;
                actor.go_on(outcome)?;
            }
            3..=4 => compare_and_set(actor, path).await?,
            5..=6 => {
                let outcome = actor.client.get_data(path).await;
                actor.go_on(outcome)?;
            }
            _ => {
                let outcome = actor.client.sync(path.clone(), actor.workload.sync).await;
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

async fn compare_and_set(actor: &mut Actor, path: ZPath) -> Result<(), SessionOver> {
    let outcome = actor.client.get_data(path.clone()).await;
    if let Some((_, stat)) = actor.go_on(outcome)? {
        let value = actor.value();
        let outcome = actor.client.set_data(path, value, stat.version).await;
        actor.go_on(outcome)?;
    }
    Ok(())
}

/// Makes a directory and the workload's nodes in it. Whoever comes first makes them; the others find them there.
async fn prepare(
    actor: &mut Actor,
    directory: &'static str,
    prefix: &'static str,
) -> Result<(), SessionOver> {
    let outcome = actor.client.ensure_path(directory).await;
    actor.go_on(outcome)?;
    for key in 0..actor.workload.keys {
        let path = actor.numbered(prefix, key);
        let outcome = actor.client.create(path, "0", CreateMode::Persistent).await;
        actor.go_on(outcome)?;
    }
    Ok(())
}

/// How long a watcher of the configuration waits before it looks by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// A configuration that some set and all watch.
pub(super) async fn config(actor: &mut Actor) -> Result<(), SessionOver> {
    prepare(actor, "/config", "/config/c").await?;
    let sets = actor.process.is_multiple_of(3);
    while !actor.stopping.is_set() {
        let path = actor.any("/config/c");
        if sets {
            let value = actor.value();
            let outcome = actor.client.set_data(path, value, -1).await;
            actor.go_on(outcome)?;
        } else {
            let outcome = actor.client.get_data_watch(path).await;
            if let Some((_, watch)) = actor.go_on(outcome)? {
                select(watch, actor.client.sleep(PATIENCE)).await;
            }
        }
        actor.think().await;
    }
    Ok(())
}
