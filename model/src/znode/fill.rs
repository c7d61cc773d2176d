//! The committed log, reconstructed from what the clients saw.
//!
//! A reply's header names the transaction of an update, and within an epoch each transaction takes the next zxid. So the log
//! is known but for gaps: a gap of `k` zxids holds `k` transactions that no reply names. They are updates whose reply was
//! lost, or the servers' own: sessions made and ended, containers removed. The log is replayed through the reference model in
//! the order of the zxids; at each gap what may lie there is tried, the first that fits first:
//!
//! - an update of unknown outcome: sent after everything that had been seen when it was called, before the next answered
//!   update of its session, and of one connection the first ones only. It succeeds or fails as the model says;
//! - the beginning of a session. They are invisible but to their own session, so the one that is needed first is taken first;
//! - the end of a session that is not heard of again; the removal of a container that has been emptied, also one that comes
//!   too late and fails;
//! - of a client that has no session: one that was made for it and that it never heard of.
//!
//! What somebody saw of a gap (a `czxid`, an `mzxid`, a `pzxid`, the zxid of a watch event) must have happened there. The first
//! attempt takes at every gap what is likeliest; mostly that is all. Where it fails, the next one looks ahead at every gap, at what
//! later answers count and show, takes what must have happened soonest, and where a later answer still contradicts what
//! was tried, goes back to the last choice and takes the next. Two choices that have left the same state behind are one. An update of
//! unknown outcome that nothing needs is left out: the log that is found is one that explains everything, not the one that
//! the servers have.
//!
//! What would have fired a watch whose client was shown later states and told nothing is tried only where there is no other
//! log (`quiet`): a guess is no proof that a watch was lost.
//!
//! Sessions that only their server knows are in no log until they are upgraded (`local`).
//!
//! The tail of an epoch is open: behind the last zxid that anybody named, updates may have been committed that only
//! a later state shows. They are tried last.
//!
//! Whoever tries everything in vain has a proof that there is no such log, as long as the effort lasts; then "unknown".

use super::known::Known;
use super::search::Search;
use crate::checks::history::History;
use crate::reference::Settings;
use crate::witness::Witness;
use zabsim_types::Zxid;

/// What came of the attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fill {
    /// The log explains every update and every read.
    Whole,
    /// Nothing explains what was seen at that transaction.
    Torn {
        /// Where.
        zxid: Zxid,
        /// What is wrong there.
        why: String,
    },
    /// The effort was spent.
    Unknown {
        /// How far the replay came.
        zxid: Zxid,
    },
}

/// The log and what was needed to find it.
#[derive(Clone, PartialEq, Debug)]
pub struct Filled {
    /// The log; where there is none, the one that explains the most, and behind that what the replies say.
    pub witness: Witness,
    /// Whether it explains everything.
    pub fill: Fill,
    /// Transactions that no reply names.
    pub gaps: u64,
    /// Updates of unknown outcome.
    pub unknown: u64,
    /// Of them, those that are in the log.
    pub happened: u64,
    /// Transactions replayed, those that were taken back included.
    pub effort: u64,
}

/// Reconstructs the log. `settings`: what the servers were told; `from_start`: the clients were there from the start of the
/// history, trying to connect; `limit`: how many transactions may be replayed.
pub(crate) fn fill(
    history: &History<'_>,
    settings: &Settings,
    from_start: bool,
    limit: u64,
) -> Filled {
    let known = Known::new(history, settings, from_start);
    let mut search = Search::new(history, &known, settings, limit);
    let fill = search.run();
    let is_loose = |at: &&u32| !known.loose[**at as usize].refused;
    Filled {
        gaps: search.gaps(),
        unknown: known.loose.iter().filter(|loose| !loose.refused).count() as u64,
        happened: search.used.iter().filter(is_loose).count() as u64,
        effort: search.effort,
        witness: Witness { txns: search.txns },
        fill,
    }
}
