//! What a person or a machine reads after a run: aligned text for the terminal, `run.json`, and the history as one JSON
//! object a line. Knows the run only by its report (`zabsim_types::run`), so that a saved run reads like a fresh one.

mod campaign;
mod files;
mod text;
mod timeline;

pub use campaign::{junit, render_campaign};
pub use files::{RUN_BYTES_MAX, SaveError, Saved, obstacle, save};
pub use text::{Detail, render};
