//! (soon)
/// Options.
pub struct Options;
/// All.
pub fn check_all() {}
