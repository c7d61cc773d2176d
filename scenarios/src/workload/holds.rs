//! Explicit uses of a recipe: at its time a client asks for a lock, or stands for election; has it for a while, acting under it
//! at both ends of that; and gives it back. What the workloads `lock` and `election` did in a run can be written out so.

use std::time::Duration;
use zabsim_client::recipes::election::Election;
use zabsim_client::recipes::fenced::FencedResource;
use zabsim_client::recipes::lock::Lock;
use zabsim_client::{Client, ClientError, Either, select};

/// One use of a recipe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The client, from 1.
    pub client: u32,
    /// When it asks, in microseconds.
    pub at_us: u64,
    /// For what.
    pub recipe: Recipe,
    /// The lock's or the election's path.
    pub path: String,
    /// How long it has it, in microseconds.
    pub for_us: u64,
}

/// What a client holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Recipe {
    /// A lock.
    Lock,
    /// An election: whoever wins it leads.
    Election,
}

impl Recipe {
    /// Both of them.
    pub const ALL: [Recipe; 2] = [Recipe::Lock, Recipe::Election];

    /// Its key in scenario files.
    pub const fn word(self) -> &'static str {
        match self {
            Recipe::Lock => "lock",
            Recipe::Election => "election",
        }
    }
}

/// A client's holds, with what each acts upon; those that it has begun are gone.
pub(super) type Holds = Vec<Option<(Hold, FencedResource)>>;

/// Waits for the time of one, and does it once. A session that ends before leaves it for the next one.
pub(super) async fn run(client: &Client, process: u32, slot: &mut Option<(Hold, FencedResource)>) {
    let Some((hold, _)) = slot else { return };
    let wait_us = hold.at_us.saturating_sub(client.now().0);
    let over = client.until(|state| state.is_over());
    let waited = select(client.sleep(Duration::from_micros(wait_us)), over).await;
    if let (Either::First(()), Some((hold, resource))) = (waited, slot.take()) {
        // What became of it stands in the history.
        let _: Result<(), ClientError> = match hold.recipe {
            Recipe::Lock => lock(client, &hold, &resource).await,
            Recipe::Election => election(client, process, &hold, &resource).await,
        };
    }
}

async fn lock(client: &Client, hold: &Hold, resource: &FencedResource) -> Result<(), ClientError> {
    let guard = Lock::new(client, hold.path.as_str()).acquire().await?;
    // A refusal is what fencing is for; the history has it.
    let _ = resource.write(client, guard.token());
    let time = Duration::from_micros(hold.for_us);
    select(guard.lost(), client.sleep(time)).await;
    if guard.is_certain() {
        let _ = resource.write(client, guard.token());
    }
    guard.release().await
}

async fn election(
    client: &Client,
    process: u32,
    hold: &Hold,
    resource: &FencedResource,
) -> Result<(), ClientError> {
    let candidate = format!("candidate {process}");
    let election = Election::new(client, hold.path.as_str(), candidate);
    let leadership = election.campaign().await?;
    let _ = resource.write(client, leadership.term());
    let time = Duration::from_micros(hold.for_us);
    select(leadership.lost(), client.sleep(time)).await;
    if leadership.is_certain() {
        let _ = resource.write(client, leadership.term());
    }
    leadership.resign().await
}
