//! Recipes: ordinary programs over a [`Client`](crate::Client), built only from the service's operations.
//!
//! [`lock`] and [`election`] are one contest with two names; what they share is in `contender`. [`fenced`] is the other half of
//! a lock: a resource that refuses those who lost it without knowing.

pub(crate) mod contender;
pub mod election;
pub mod fenced;
pub mod lock;
