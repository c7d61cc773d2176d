//! The promises to clients by their definitions: every pair of answers, every order of what was left open, tried one after the
//! other. Slow, and nothing of it is the checks' own but the index of the history and the reference model, so that a check
//! and its definition err in different ways. Small histories are compared with both ([`compare`]); of a corrupted recording that
//! is accepted, the definitions say that it is legal.
//!
//! Source: the statements at the head of each check; Herlihy and Wing 1990 for the order of updates.

mod answers;
mod cases;
mod compare;
mod judged;
mod recipes;
mod stories;
mod watches;

use super::Options;
use super::history::{Call, History};
use crate::witness::{CommittedTxn, TxnKind, Witness};
use stories::Stories;
use zabsim_types::{HistoryEvent, SessionId};

/// What is judged.
struct Told<'a> {
    history: &'a History<'a>,
    log: &'a [CommittedTxn],
    options: &'a Options,
}

impl<'a> Told<'a> {
    fn call(&self, at: u32) -> &Call<'a> {
        &self.history.calls[at as usize]
    }

    /// The calls whose answers name a state, in the order of their answers.
    fn answers(&self) -> impl Iterator<Item = &Call<'a>> {
        self.history.answered.iter().map(|at| self.call(*at))
    }

    /// All that happened to the nodes, part by part.
    fn parts(&self) -> impl Iterator<Item = (&CommittedTxn, &TxnKind)> {
        self.log.iter().flat_map(|txn| {
            let parts = match &txn.what {
                TxnKind::Multi { parts } => &parts[..],
                one => std::slice::from_ref(one),
            };
            parts.iter().map(move |part| (txn, part))
        })
    }
}

/// What the definitions say: for some checks together, whether the history is legal.
type Verdicts = Vec<(&'static [&'static str], bool)>;

/// The index of the history as the checks have it, or nothing where completions do not fit.
fn indexed<'a>(
    events: &'a [HistoryEvent],
    witness: &Witness,
    options: &Options,
) -> Option<History<'a>> {
    let super_digest = options.settings.super_digest.as_deref();
    let mut history = History::new(events, &options.identities, super_digest).ok()?;
    let made = |session: SessionId| {
        let is_made = |txn: &CommittedTxn| {
            txn.session == session && matches!(txn.what, TxnKind::CreateSession { .. })
        };
        witness.txns.iter().any(is_made)
    };
    history.mark_closes(made);
    Some(history)
}

/// What the definitions say of all that clients are promised by the service.
fn service(told: &Told<'_>) -> Verdicts {
    let stories = Stories::tell(told);
    let mut verdicts: Verdicts = vec![
        (
            &["linearizable-writes", "unknown-outcomes"],
            !stories.is_empty(),
        ),
        (&["durability"], answers::durability(told)),
        (&["fifo-client-order"], answers::fifo_client_order(told)),
        (&["monotonic-session"], answers::monotonic_session(told)),
        (&["sync-barrier"], answers::sync_barrier(told)),
        (&["multi-atomicity"], answers::multi_atomicity(told)),
        (&["sequence-names"], answers::sequence_names(told)),
        (&["timeliness"], answers::timeliness(told)),
    ];
    // Without an order of the updates there is no state to compare with.
    if !stories.is_empty() {
        verdicts.push((&["snapshot-reads"], stories.explain_reads()));
        verdicts.push((&["no-future-reads"], stories.show_no_future()));
        verdicts.push((&["sessions"], answers::sessions(told)));
        verdicts.push((&["watches"], watches::watches(told)));
    }
    verdicts
}

/// Of a history and the log that somebody gave as its explanation, what is not as it was promised, by the definitions alone.
pub(crate) fn broken(
    events: &[HistoryEvent],
    witness: &Witness,
    options: &Options,
) -> Vec<&'static str> {
    let Some(history) = indexed(events, witness, options) else {
        return vec!["well-formed"];
    };
    let told = Told {
        history: &history,
        log: &witness.txns,
        options,
    };
    let broken = service(&told).into_iter().filter(|(_, legal)| !legal);
    broken.map(|(names, _)| names[0]).collect()
}
