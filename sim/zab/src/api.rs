//! The words of the contract: what goes into a [`Peer`](crate::Peer) and what comes out.

mod config;
mod disk;
mod ids;
mod message;
mod note;
mod step;

pub use config::{Config, ReconfigureRefusal};
pub use disk::{DiskData, DiskError, DiskOp, FileName};
pub use ids::{Epoch, LinkId, Payload, PeerId, SnapshotId, SyncId, Ticket, Time, Txn, Zxid};
pub use message::{Message, Notification, PeerState, Phase, Vote};
pub use note::{Note, SyncKind, SyncSource};
pub use step::{Delivery, Effect, Input, Role, Timer};
