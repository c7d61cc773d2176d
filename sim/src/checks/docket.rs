//! Where the checks report: how much each examined, what each found, and which finding came first.
//!
//! The first violation is what a run is judged and reproduced by; everything after it may be its consequence and is only
//! counted. Messages are put into words once per check: a broken run breaks its invariant thousands of times.

use super::{CHECKS, CheckId, STEP_CHECKS};
use zabsim_types::Time;
use zabsim_types::run::{CheckReport, Violation};

/// One check's record.
#[derive(Clone, Default)]
struct Row {
    examined: u64,
    breaches: u64,
    first: String,
}

/// The record of all checks of one run.
pub(super) struct Docket {
    at: Time,
    rows: [Row; CHECKS],
    first: Option<Violation>,
}

impl Docket {
    pub(super) fn new() -> Docket {
        Docket {
            at: Time::ZERO,
            rows: std::array::from_fn(|_| Row::default()),
            first: None,
        }
    }

    /// What follows happens at this time.
    #[inline]
    pub(super) fn at(&mut self, at: Time) {
        self.at = at;
    }

    /// A check looked at one thing.
    #[inline]
    pub(super) fn examine(&mut self, check: CheckId) {
        self.rows[check as usize].examined += 1;
    }

    /// A check looked at one thing, which must hold; `found` says in words what was found and what was allowed.
    #[inline]
    pub(super) fn require(&mut self, check: CheckId, holds: bool, found: impl FnOnce() -> String) {
        self.examine(check);
        if !holds {
            self.breach(check, found);
        }
    }

    /// A check found its property broken.
    #[cold]
    pub(super) fn breach(&mut self, check: CheckId, found: impl FnOnce() -> String) {
        let row = &mut self.rows[check as usize];
        row.breaches += 1;
        if row.breaches > 1 {
            return;
        }
        let message = found();
        row.first.clone_from(&message);
        if self.first.is_none() {
            self.first = Some(Violation {
                check: STEP_CHECKS[check as usize].0.to_owned(),
                at_ms: self.at.as_ms(),
                message,
            });
        }
    }

    /// The first violation.
    pub(super) fn violation(&self) -> Option<&Violation> {
        self.first.as_ref()
    }

    /// Each check's verdict, in the order of [`STEP_CHECKS`].
    pub(super) fn reports(&self) -> Vec<CheckReport> {
        STEP_CHECKS
            .iter()
            .zip(&self.rows)
            .map(|((name, about), row)| CheckReport {
                name: (*name).to_owned(),
                ok: row.breaches == 0,
                examined: row.examined,
                detail: match row.breaches {
                    0 => (*about).to_owned(),
                    1 => row.first.clone(),
                    more => format!("{} (and {} more)", row.first, more - 1),
                },
            })
            .collect()
    }
}
