//! What the acceptance tests share: the command called as a user calls it, and the library's runs spread over threads.

pub mod readers;

use std::ffi::OsString;
use zabsim_scenarios::command::{Output, run_with};

pub use zabsim_scenarios::spread::spread;

/// What a command came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// The exit code.
    pub code: u8,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

/// Calls `zabsim` with these arguments, in this process.
pub fn zabsim<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = arguments.into_iter().map(Into::into);
    let code = run_with(
        std::iter::once(OsString::from("zabsim")).chain(arguments),
        &mut Output::new(&mut out, &mut err),
    );
    let text = |bytes| String::from_utf8(bytes).expect("the command writes text");
    Ran {
        code,
        out: text(out),
        err: text(err),
    }
}
