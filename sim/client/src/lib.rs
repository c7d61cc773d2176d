//! The client: a session as a sans-IO state machine ([`Session`]), an async face over it ([`Client`]) that names no
//! runtime, and the recipes: [`recipes::lock`] and [`recipes::election`].
//!
//! Three layers, each usable alone:
//!
//! 1. [`Session`]: one [`Input`] in, a list of [`Effect`]s out. Knows the session protocol: connect, reattach at another
//!    server, FIFO pipelining, pings, watches and their re-registration, ConnectionLoss, expiry.
//! 2. [`Port`] and [`Client`]: a mailbox between the program (futures) and whoever drives the session (the world). The
//!    program's side has `async` methods; the driver's side takes [`Command`]s and fills in outcomes, which wakes the
//!    program. Nothing here sleeps, spawns or reads a clock.
//! 3. The recipes: ordinary programs over [`Client`].
//!
//! # The driver's loop
//!
//! ```text
//!   program ──poll──▶ Client ══ Port ──take_commands──▶ driver ──step──▶ Session ──effects──▶ driver
//!      ▲                          ▲                                                              │
//!      └────────── wakes ─────────┴── complete, event, changed, fire ◀──────────────────────────┘
//! ```
//!
//! What the driver owes to each is said at [`Effect`] and in [`Port`]'s module: carry effects out in order, hand on all of a
//! step before polling the program, take commands after every poll *and* after every group of deliveries.

mod api;
mod client;
mod combine;
mod error;
mod multi;
mod port;
pub mod recipes;
mod session;
mod watches;

pub use api::*;
pub use client::{Call, Client, Discarded, Notices, Sleep, Standing, UntilState, Watch};
pub use combine::{Either, join, join_all, select};
pub use error::ClientError;
pub use multi::{Multi, MultiRead, Reconfig};
pub use port::{Notice, Port, SessionState, Watched};
pub use recipes::contender::Loss;
pub use session::Session;
