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
//! # What is proven
//!
//! That a history is legal, its log proves, whoever guessed what in it: all checks replay it. That it is *not*, no single log can
//! prove, for another guess might have held. So every finding is one of these:
//!
//! - `Proof::Log`: there is no log. Everything was tried in vain;
//! - `Proof::Part`: there is no log for what is about one node. Every guess that is about it was tried in vain; guesses about other
//!   nodes cannot change that (`part`);
//! - `Proof::Forced`: there are logs, and a check refuses each of them: the only one, for nothing could be chosen; or all that explain
//!   what is about the node at which the check found something; or all there are (`others`). Or every log is one in which a
//!   watch was lost;
//! - `Proof::None`: it rests on a guess. Then the search goes on, and when the effort is spent the answer is "undecided", whatever is
//!   wrong in the best log so far.
//!
//! What the answers contradict among themselves (`answers`), and what a check finds in them without any log, rests on no guess
//! either, and is asked for first.
//!
//! The conflicts direct the search: the nodes at which it fails, the latest first, then those at which it fails most often, are those
//! whose parts are looked at, early with little effort and once more when the effort is spent.

use super::known::Known;
use super::part::{Contradiction, LOCAL_CHECKS, Shown, Whole};
use super::search::{Failure, Search};
use crate::checks::Options;
use crate::checks::history::History;
use crate::reference::Settings;
use crate::witness::{CommittedTxn, Witness};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{Xid, ZPath, Zxid, parent_of};

/// What came of the attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fill {
    /// The log explains every update and every read.
    Whole,
    /// Nothing explains what was seen at that transaction.
    Torn {
        /// Where.
        zxid: Zxid,
    },
    /// The effort was spent.
    Unknown {
        /// How far the replay came.
        zxid: Zxid,
    },
}

/// Why no other guess makes the history legal.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Proof {
    /// None of them explains all answers. Which was the last that failed, in the attempt that came farthest.
    Log(Failure),
    /// None of them explains the answers about one node and those below it.
    Part(Box<Contradiction>),
    /// The answers contradict each other without a log.
    Answers,
    /// Whatever is guessed, a check refuses it.
    Forced,
    /// There is no proof: another guess may.
    None,
}

/// The log and what was needed to find it.
#[derive(Clone, PartialEq, Debug)]
pub struct Filled {
    /// The log; where there is none, the one that explains the most, and behind that what the replies say.
    pub witness: Witness,
    /// Whether it explains everything.
    pub fill: Fill,
    /// Whether the log came with the history: then nothing was searched for.
    pub is_given: bool,
    /// Transactions that no reply names.
    pub gaps: u64,
    /// Updates of unknown outcome.
    pub unknown: u64,
    /// Of them, those that are in the log.
    pub happened: u64,
    /// Transactions replayed, those that were taken back included.
    pub effort: u64,
    /// Why what a check says of the log, or that there is none, rests on no guess.
    pub(super) proof: Proof,
}

impl Filled {
    /// The log that came with the history. It is replayed like any other; what the checks find in it rests on no guess.
    pub(super) fn given(history: &History<'_>, witness: Witness) -> Filled {
        let answered = history.answered.iter();
        let named = answered.map(|at| &history.calls[*at as usize]);
        let named = named.filter(|call| call.is_update() && call.names_state());
        let named: BTreeSet<Zxid> = named.map(|call| call.zxid).collect();
        let (mut gaps, mut happened) = (0, 0);
        for txn in witness.txns.iter().filter(|txn| !named.contains(&txn.zxid)) {
            gaps += 1;
            // What servers do of themselves has no number of a client's.
            happened += u64::from(txn.cxid != Xid(0));
        }
        let unknown = (history.calls.iter()).filter(|call| call.is_unknown() && call.is_update());
        Filled {
            is_given: true,
            gaps,
            unknown: unknown.count() as u64,
            happened,
            effort: 0,
            witness,
            fill: Fill::Whole,
            proof: Proof::Forced,
        }
    }
}

/// What is known besides the history.
#[derive(Clone, Copy)]
pub(super) struct Asked<'s> {
    /// What the servers were told.
    pub settings: &'s Settings,
    /// The clients were there from the start of the history, trying to connect.
    pub from_start: bool,
    /// The run came to a quiet end.
    pub quiet_end: bool,
    /// How many transactions may be replayed.
    pub limit: u64,
}

impl<'s> Asked<'s> {
    fn known(self, history: &History<'_>) -> Known {
        Known::new(history, self.settings, self.from_start)
    }

    fn search<'a>(self, history: &'s History<'a>, known: &'s Known) -> Search<'s, 'a> {
        let mut search = Search::new(history, known, self.settings, self.limit);
        search.is_over = self.quiet_end;
        search
    }
}

/// After how many transactions of the search the parts are looked at at which it failed, and with how many for each.
const STAGES: [(u64, u64); 3] = [(0, 20_000), (20_000, 100_000), (200_000, 400_000)];

/// Of how many nodes.
const SUSPECTS_MAX: usize = 8;

/// Reconstructs the log. `is_wrong_anyway` is asked once, where no log is found at once: whether the answers contradict each other
/// whatever the log is.
pub(super) fn fill(
    history: &History<'_>,
    asked: Asked<'_>,
    is_wrong_anyway: &dyn Fn() -> bool,
) -> Filled {
    let Asked {
        settings, limit, ..
    } = asked;
    let known = asked.known(history);
    let mut search = asked.search(history, &known);
    let mut parts = Parts {
        whole: Whole {
            history,
            known: &known,
            settings,
        },
        limit,
        effort: 0,
        tried: BTreeMap::new(),
    };
    let mut proof = Proof::None;
    let mut found = None;
    for (stage, (until, each)) in STAGES.into_iter().enumerate() {
        found = search.run(until.min(limit));
        if found.is_some() {
            break;
        }
        if stage == 0 && is_wrong_anyway() {
            proof = Proof::Answers;
            break;
        }
        if let Some(contradiction) = parts.look_at(&search.suspects(), each) {
            proof = Proof::Part(contradiction);
            break;
        }
    }
    let zxid = search.latest().map_or(Zxid::ZERO, |latest| latest.zxid);
    let fill = match (found, &proof) {
        (Some(fill), _) => fill,
        (None, Proof::None) => search.run(u64::MAX).expect("it may go on to the limit"),
        (None, _) => {
            search.give_up();
            Fill::Torn { zxid }
        }
    };
    let fill = match fill {
        Fill::Unknown { zxid } => {
            // Of the nodes that were written to all, as far as the effort goes once more.
            let mut nodes = search.suspects();
            nodes.truncate(SUSPECTS_MAX * 4);
            match parts.look_at(&nodes, limit / 4) {
                Some(contradiction) => {
                    proof = Proof::Part(contradiction);
                    Fill::Torn { zxid }
                }
                None => Fill::Unknown { zxid },
            }
        }
        Fill::Torn { zxid } if proof == Proof::None => {
            if let Some(latest) = search.latest() {
                proof = Proof::Log(latest.clone());
            }
            Fill::Torn { zxid }
        }
        Fill::Whole if !search.has_chosen() || search.is_quiet_refuted() => {
            proof = Proof::Forced;
            Fill::Whole
        }
        other => other,
    };
    let effort = parts.effort;
    filled(search, fill, proof, effort)
}

/// What a search came to, besides which so many transactions were replayed.
fn filled(search: Search<'_, '_>, fill: Fill, proof: Proof, besides: u64) -> Filled {
    let all = &search.known.loose;
    let is_loose = |at: &&u32| !all[**at as usize].refused;
    Filled {
        is_given: false,
        gaps: search.gaps(),
        unknown: all.iter().filter(|loose| !loose.refused).count() as u64,
        happened: search.used.iter().filter(is_loose).count() as u64,
        effort: search.effort + besides,
        witness: Witness { txns: search.txns },
        fill,
        proof,
    }
}

/// The parts of a history that were looked at.
struct Parts<'p, 'a> {
    whole: Whole<'p, 'a>,
    limit: u64,
    effort: u64,
    /// Each node that was looked at with its effort; none where it was explained.
    tried: BTreeMap<ZPath, Option<u64>>,
}

impl Parts<'_, '_> {
    /// Looks at what is about these nodes, each alone and then with those beside it, until one cannot be explained.
    fn look_at(&mut self, nodes: &[ZPath], each: u64) -> Option<Box<Contradiction>> {
        for node in nodes.iter().take(SUSPECTS_MAX) {
            let mut root = Some(node.clone());
            while let Some(node) = root.filter(|node| &**node != "/") {
                let before = self.tried.get(&node).copied();
                let is_done = match before {
                    Some(None) => true,
                    Some(Some(effort)) => effort >= each,
                    None => false,
                };
                if !is_done {
                    if self.effort > self.limit {
                        return None;
                    }
                    let (shown, effort) = self.whole.explain(&node, each);
                    self.effort += effort;
                    let result = match shown {
                        Shown::Contradicted(contradiction) => return Some(contradiction),
                        Shown::Unknown if effort > 0 => Some(each),
                        Shown::Explained | Shown::Unknown => None,
                    };
                    self.tried.insert(node.clone(), result);
                }
                // More can be said of more nodes; unless it cannot be said in time already.
                if matches!(self.tried.get(&node), Some(Some(_))) {
                    break;
                }
                root = parent_of(&node).map(ZPath::from);
            }
        }
        None
    }
}

/// Whether what a check says of a log that was found, at these nodes, it says of every log: of each that explains what is about one
/// of them. `limit`: how many transactions may be replayed.
pub(super) fn rests_on_no_guess(
    history: &History<'_>,
    (check, options): (&str, &Options),
    nodes: &[ZPath],
    limit: u64,
) -> bool {
    if !LOCAL_CHECKS.contains(&check) {
        return false;
    }
    let settings = &options.settings;
    let known = Known::new(history, settings, false);
    let whole = Whole {
        history,
        known: &known,
        settings,
    };
    let mut roots: BTreeSet<&str> = BTreeSet::new();
    for node in nodes {
        let mut root = Some(&**node);
        while let Some(node) = root.filter(|node| *node != "/") {
            roots.insert(node);
            root = parent_of(node);
        }
    }
    // The smallest parts first: of names that begin alike the longest.
    roots.into_iter().rev().any(|root| {
        let (shown, _) = whole.explain_checked(&root.into(), limit / 8, (check, options));
        matches!(shown, Shown::Contradicted(_))
    })
}

/// What is known of all logs, where a check refuses the first that was found.
pub(super) enum Others {
    /// Each of them is refused too.
    Refused,
    /// Another is accepted.
    Accepted(Filled),
    /// Not all of them could be looked at.
    Unknown,
}

/// Looks at every log that explains the answers, until `accepts` accepts one; with so many transactions at most.
pub(super) fn others(
    history: &History<'_>,
    asked: Asked<'_>,
    accepts: &dyn Fn(&[CommittedTxn]) -> bool,
) -> Others {
    let known = asked.known(history);
    let mut search = asked.search(history, &known);
    match search.exhaust(Some(&mut |txns| accepts(txns))) {
        _ if search.effort > asked.limit => Others::Unknown,
        Some(_) => Others::Refused,
        None => Others::Accepted(filled(search, Fill::Whole, Proof::None, 0)),
    }
}
