//! A resource outside of the service that is guarded by a lock: it remembers the greatest fencing token that it has seen, and
//! refuses lower ones. This, not the lock alone, is what makes side effects exclusive: a holder that was paused beyond its
//! session wakes up believing that it holds, while another does (CURATOR-537).

use crate::Client;
use std::sync::{Arc, Mutex, PoisonError};
use zabsim_bugs::Bug;
use zabsim_types::{RecipeEvent, RecipeStep, ZPath, Zxid};

/// A write came with a token that is older than one seen before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the token {token} is stale: {newest} has been here")]
pub struct StaleToken {
    /// The one that came.
    pub token: Zxid,
    /// The greatest one seen.
    pub newest: Zxid,
}

/// A guarded resource. Clones are the same resource, for all clients of a run.
///
/// ```
/// use zabsim_client::{Port, recipes::fenced::FencedResource};
/// use zabsim_types::Zxid;
///
/// let (slow, quick) = (Port::new(1).client(), Port::new(2).client());
/// let resource = FencedResource::new("/locks/ledger");
/// assert!(resource.write(&slow, Zxid::new(1, 4)).is_ok());
/// assert!(resource.write(&quick, Zxid::new(1, 9)).is_ok());
/// assert!(resource.write(&slow, Zxid::new(1, 4)).is_err());
/// assert_eq!(resource.writes(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct FencedResource {
    object: ZPath,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    newest: Zxid,
    writes: u64,
    refused: u64,
}

impl FencedResource {
    /// A resource guarded by the lock (or election) at `object`.
    pub fn new(object: impl Into<ZPath>) -> FencedResource {
        FencedResource {
            object: object.into(),
            state: Arc::default(),
        }
    }

    /// A side effect under `token`, recorded in the client's history with its fate.
    pub fn write(&self, client: &Client, token: Zxid) -> Result<(), StaleToken> {
        let blind = client.port().lock().bugs.has(Bug::ResourceIgnoresFence);
        let result = self.admit(token, blind);
        client.record(RecipeEvent {
            object: self.object.clone(),
            step: RecipeStep::FencedWrite {
                token,
                accepted: result.is_ok(),
            },
        });
        result
    }

    fn admit(&self, token: Zxid, blind: bool) -> Result<(), StaleToken> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if token < state.newest && !blind {
            state.refused += 1;
            let newest = state.newest;
            return Err(StaleToken { token, newest });
        }
        state.newest = token;
        state.writes += 1;
        Ok(())
    }

    /// The greatest token seen.
    pub fn newest(&self) -> Zxid {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .newest
    }

    /// How many writes it took.
    pub fn writes(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .writes
    }

    /// How many it refused.
    pub fn refused(&self) -> u64 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refused
    }
}
