//! Workloads on the recipes and on sessions.

use super::{Actor, SessionOver};
use std::time::Duration;
use zabsim_client::recipes::election::Election;
use zabsim_client::recipes::lock::Lock;
use zabsim_client::{ClientError, Either, select};
use zabsim_types::{CreateMode, Zxid};

/// How long a client waits for a lock before it gives up: giving up is part of the recipe too. Every other time it waits for
/// as long as it takes, so that a wake-up that is lost leaves a program that never ends.
const PATIENCE: Duration = Duration::from_secs(4);

/// Locks with fenced side effects.
pub(super) async fn lock(actor: &mut Actor) -> Result<(), SessionOver> {
    while !actor.stopping.is_set() {
        let key = actor.key();
        let path = actor.numbered("/locks/l", key);
        let lock = Lock::new(&actor.client, path);
        let outcome = match actor.stream.per_mille(500) {
            true => lock.acquire_within(PATIENCE).await,
            false => lock.acquire().await.map(Some),
        };
        if let Some(Some(guard)) = actor.go_on(outcome)? {
            write_under(actor, key, guard.token(), || guard.is_certain());
            let hold = Duration::from_micros(actor.stream.range(actor.workload.hold_us));
            select(guard.lost(), actor.client.sleep(hold)).await;
            write_under(actor, key, guard.token(), || guard.is_certain());
            let outcome = guard.release().await;
            actor.go_on(outcome)?;
        }
        actor.think().await;
    }
    Ok(())
}

/// A side effect on what the lock guards. A careful program asks whether it still holds; one in four does not, as one that
/// was stopped between asking and acting: the fencing token must then keep it out.
fn write_under(actor: &mut Actor, key: u32, token: Zxid, certain: impl Fn() -> bool) {
    let careless = actor.stream.per_mille(250);
    if careless || certain() {
        // A refusal is what fencing is for; the history has it.
        let _ = actor.resources[key as usize].write(&actor.client, token);
    }
}

/// Leader elections.
pub(super) async fn election(actor: &mut Actor) -> Result<(), SessionOver> {
    while !actor.stopping.is_set() {
        let key = actor.key();
        let path = actor.numbered("/elections/e", key);
        let election = Election::new(&actor.client, path, format!("candidate {}", actor.process));
        let outcome = match actor.stream.per_mille(500) {
            true => match select(election.campaign(), actor.client.sleep(PATIENCE)).await {
                Either::First(leadership) => leadership.map(Some),
                Either::Second(()) => Ok(None),
            },
            false => election.campaign().await.map(Some),
        };
        if let Some(Some(leadership)) = actor.go_on(outcome)? {
            write_under(actor, key, leadership.term(), || leadership.is_certain());
            let term = Duration::from_micros(actor.stream.range(actor.workload.hold_us));
            select(leadership.lost(), actor.client.sleep(term)).await;
            let outcome = leadership.resign().await;
            actor.go_on(outcome)?;
        } else {
            let outcome = election.leader().await;
            actor.go_on(outcome)?;
        }
        actor.think().await;
    }
    Ok(())
}

/// Sessions that come and go with their ephemerals.
pub(super) async fn sessions(actor: &mut Actor) -> Result<(), SessionOver> {
    let outcome = actor.client.ensure_path("/sessions").await;
    actor.go_on(outcome)?;
    while !actor.stopping.is_set() {
        let path = format!("/sessions/of-{}-", actor.process);
        let value = actor.value();
        let outcome = actor
            .client
            .create(path, value, CreateMode::EphemeralSequential)
            .await;
        actor.go_on(outcome)?;
        let outcome = actor.client.get_children_watch("/sessions").await;
        actor.go_on(outcome)?;
        actor.think().await;
        if actor.stream.per_mille(100) {
            // Whatever came of the close, this session is over for the program.
            let _: Result<(), ClientError> = actor.client.close().await;
            return Err(SessionOver);
        }
    }
    Ok(())
}
