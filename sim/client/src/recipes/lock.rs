//! A lock: an ephemeral sequential node for everyone who wants it; the lowest holds it.
//!
//! # What it guarantees
//!
//! - **Fencing.** Each hold has a [`token`](Guard::token), the transaction that created its node, and later holds have greater
//!   ones. A guarded resource that refuses tokens lower than the greatest it has seen
//!   ([`FencedResource`](super::fenced::FencedResource)) takes no effect of a holder that lost the lock without knowing (CURATOR-537).
//! - **A holder is told at once when it may no longer act.** From the moment when the client learns that its connection broke,
//!   [`Guard::is_certain`] is false and [`Guard::lost`] resolves. If the same session is attached again it still owns its node, so
//!   the hold is certain again, under the same token.
//! - **Whoever stops waiting stands in nobody's way.** A guard or an acquisition that is dropped, at any point, deletes its
//!   node, through any number of lost connections. See `contender` for how, and for what went wrong elsewhere.
//! - **Fair, and no herd.** Holders follow in the order in which the service took their requests; a release wakes one.
//!
//! What it cannot: prevent a paused holder from *believing* that it holds. That is what tokens are for.
//!
//! ```
//! # mod lab { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/mod.rs")); }
//! # let mut lab = lab::Lab::new();
//! # let client = lab.client();
//! # lab.spawn(async move {
//! use zabsim_client::recipes::{fenced::FencedResource, lock::Lock};
//!
//! let ledger = FencedResource::new("/locks/ledger");
//!
//! client.open().await;
//! let lock = Lock::new(&client, "/locks/ledger");
//! let guard = lock.acquire().await?;
//! if guard.is_certain() {
//!     ledger.write(&client, guard.token())?;
//! }
//! guard.release().await?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! # });
//! # lab.run();
//! ```

use super::contender::{Contender, Holder, Loss};
use crate::combine::{Either, select};
use crate::port::Contest;
use crate::{Client, ClientError};
use std::time::Duration;
use zabsim_types::{ZPath, Zxid};

/// A lock, named by a path; its parent nodes are made when they are missing. Cheap to make, and may be used again and again.
#[derive(Clone)]
pub struct Lock {
    client: Client,
    path: ZPath,
}

impl Lock {
    /// The lock at `path`, for this client.
    pub fn new(client: &Client, path: impl Into<ZPath>) -> Lock {
        Lock {
            client: client.clone(),
            path: path.into(),
        }
    }

    /// The lock's path.
    pub fn path(&self) -> &ZPath {
        &self.path
    }

    /// Waits for the lock, through lost connections. Fails with [`ClientError::SessionExpired`] if the session ends first.
    pub async fn acquire(&self) -> Result<Guard, ClientError> {
        let holder = self.enter().await?.first().await?;
        Ok(Guard { holder })
    }

    /// Takes the lock if nobody holds it or waits for it.
    pub async fn try_acquire(&self) -> Result<Option<Guard>, ClientError> {
        let holder = self.enter().await?.first_now().await?;
        Ok(holder.map(|holder| Guard { holder }))
    }

    /// Waits for the lock, but no longer than `patience`.
    pub async fn acquire_within(&self, patience: Duration) -> Result<Option<Guard>, ClientError> {
        match select(self.acquire(), self.client.sleep(patience)).await {
            Either::First(guard) => guard.map(Some),
            Either::Second(()) => Ok(None),
        }
    }

    async fn enter(&self) -> Result<Contender, ClientError> {
        Contender::enter(&self.client, &self.path, Contest::Lock, None).await
    }
}

/// A lock that is held, until [`release`](Guard::release) or the guard's drop.
pub struct Guard {
    holder: Holder,
}

impl Guard {
    /// The fencing token: goes with every effect outside of the service.
    pub fn token(&self) -> Zxid {
        self.holder.token()
    }

    /// The node that stands for this hold.
    pub fn node(&self) -> &ZPath {
        self.holder.path()
    }

    /// Whether the client is attached to a server and knows of no end of the hold. To be asked before each effect.
    pub fn is_certain(&self) -> bool {
        self.holder.is_certain()
    }

    /// Whether the hold is lost for good: its session has ended.
    pub fn is_over(&self) -> bool {
        self.holder.is_over()
    }

    /// Resolves when the hold is no longer certain: stop acting. Whether it comes back say [`Guard::is_certain`] and
    /// [`Guard::is_over`].
    pub fn lost(&self) -> Loss {
        self.holder.lost()
    }

    /// Gives the lock back. Done when its node is gone, or will go with its session; tries again for as long as neither is
    /// so. Dropping the guard, or this future, does the same without waiting.
    pub async fn release(self) -> Result<(), ClientError> {
        self.holder.leave().await
    }
}
