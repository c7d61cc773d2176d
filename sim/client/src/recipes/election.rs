//! Leader election: the [`lock`](super::lock)'s contest, where the holder is the leader and its token the term.
//!
//! # What it guarantees
//!
//! - **Terms.** A leader's [`term`](Leadership::term) is the transaction that created its node: no two leaders share one, and later
//!   leaders have greater ones.
//! - **Only the successor wakes** when a leader goes.
//! - **A leader is told at once when it may no longer lead**: [`Leadership::lost`] resolves when the connection breaks. If the
//!   same session comes back in time, its candidate is still the first and leads on in the same term; it is not deleted and
//!   made anew, which would hand the leadership around with every hiccup.
//!
//! ```
//! # mod lab { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/mod.rs")); }
//! # let mut lab = lab::Lab::new();
//! # let client = lab.client();
//! # lab.spawn(async move {
//! use zabsim_client::recipes::election::Election;
//!
//! client.open().await;
//! let election = Election::new(&client, "/scheduler/leader", "10.0.0.7:2888");
//! let leadership = election.campaign().await?;
//!
//! let leader = election.leader().await?.expect("there is one");
//! assert_eq!(leader.term, leadership.term());
//! assert_eq!(leader.data.as_deref(), Some(b"10.0.0.7:2888".as_slice()));
//!
//! leadership.resign().await?;
//! # Ok::<(), zabsim_client::ClientError>(())
//! # });
//! # lab.run();
//! ```

use super::contender::{Contender, Holder, Loss, child, first_of};
use crate::port::Contest;
use crate::{Client, ClientError};
use std::sync::Arc;
use zabsim_types::{Data, ErrorCode, ZPath, Zxid};

/// An election, named by a path, in which this client may stand as a candidate.
#[derive(Clone)]
pub struct Election {
    client: Client,
    path: ZPath,
    data: Data,
}

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    /// The node of its candidacy.
    pub node: ZPath,
    /// What it said of itself: its address, say.
    pub data: Data,
    /// Its term.
    pub term: Zxid,
}

impl Election {
    /// The election at `path`; `data` is what others can read of this candidate.
    pub fn new(client: &Client, path: impl Into<ZPath>, data: impl AsRef<[u8]>) -> Election {
        Election {
            client: client.clone(),
            path: path.into(),
            data: Some(Arc::from(data.as_ref())),
        }
    }

    /// The election's path.
    pub fn path(&self) -> &ZPath {
        &self.path
    }

    /// Stands as a candidate and waits to be the leader, through lost connections. Dropped, it withdraws. Fails with
    /// [`ClientError::SessionExpired`] if the session ends first.
    pub async fn campaign(&self) -> Result<Leadership, ClientError> {
        let data = self.data.clone();
        let contender = Contender::enter(&self.client, &self.path, Contest::Election, data).await?;
        let holder = contender.first().await?;
        Ok(Leadership { holder })
    }

    /// Who leads, as the server sees it that this client is attached to; put a `sync` before it to see the newest.
    pub async fn leader(&self) -> Result<Option<Leader>, ClientError> {
        loop {
            let names = match self.client.get_children(self.path.clone()).await {
                Ok(names) => names,
                Err(ClientError::Service(ErrorCode::NoNode)) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(first) = first_of(&names, Contest::Election) else {
                return Ok(None);
            };
            let node = child(&self.path, first);
            match self.client.get_data(node.clone()).await {
                Ok((data, stat)) => {
                    let term = stat.czxid;
                    return Ok(Some(Leader { node, data, term }));
                }
                // It went between the two reads: another leads.
                Err(ClientError::Service(ErrorCode::NoNode)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A leadership, until [`resign`](Leadership::resign) or its drop.
pub struct Leadership {
    holder: Holder,
}

impl Leadership {
    /// The term: goes with every command that this leader gives.
    pub fn term(&self) -> Zxid {
        self.holder.token()
    }

    /// The node of the candidacy.
    pub fn node(&self) -> &ZPath {
        self.holder.path()
    }

    /// Whether the client is attached to a server and knows of no end of its leadership.
    pub fn is_certain(&self) -> bool {
        self.holder.is_certain()
    }

    /// Whether the leadership is lost for good: its session has ended.
    pub fn is_over(&self) -> bool {
        self.holder.is_over()
    }

    /// Resolves when the leadership is no longer certain: stop leading. Whether it comes back say
    /// [`Leadership::is_certain`] and [`Leadership::is_over`].
    pub fn lost(&self) -> Loss {
        self.holder.lost()
    }

    /// Leads no longer. Done when the candidate's node is gone, or will go with its session. Dropping the leadership, or
    /// this future, does the same without waiting.
    pub async fn resign(self) -> Result<(), ClientError> {
        self.holder.leave().await
    }
}
