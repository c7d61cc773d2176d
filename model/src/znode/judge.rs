//! From a history to what is said of it: by the log that came with it, or by one that is searched for.

use super::conflict::{Conflict, Scene};
use super::fill::{self, Asked, Fill, Filled, Others, Proof};
use super::{Format, Judged, Understood, search};
use crate::checks::{Options, Report, check_all};
use crate::witness::{CommittedTxn, Witness};
use std::cell::OnceCell;
use zabsim_types::run::Violation;
use zabsim_types::{HistoryEvent, HistoryKind, ZPath};

/// A history to be judged.
pub(super) struct Case<'c, 'a> {
    pub scene: Scene<'c, 'a>,
    /// What the checks must know.
    pub options: &'c Options,
    pub understood: &'c Understood,
    /// How many transactions may be replayed.
    pub effort: u64,
}

impl Case<'_, '_> {
    /// By the log that the servers committed. What a check finds in it is a violation. But where no log whatever explains what was
    /// seen, that says more, and of fewer operations: so one is searched for as well, with a tenth of the effort.
    pub fn by_log(&self, log: &Witness) -> Judged {
        let filled = Filled::given(self.scene.history, log.clone());
        let reports = self.reports(&filled);
        let found = first_report(&reports);
        let Some(conflict) = found.and_then(|report| self.scene.of_report(report)) else {
            return self.judged(filled, reports, None);
        };
        let searched = Case {
            effort: self.effort / 10,
            ..*self
        };
        let searched = searched.by_search();
        match searched.conflict {
            Some(_) => searched,
            None => self.judged(filled, reports, Some(conflict)),
        }
    }

    /// By a log that explains what was seen, or because there is none.
    pub fn by_search(&self) -> Judged {
        let (scene, options) = (self.scene, self.options);
        let events = &scene.recording.events;
        // What the answers say without a log needs none. What they contradict among themselves is seen at once; the checks are asked
        // where no log is found.
        let alone: OnceCell<Option<Conflict>> = match scene.alone() {
            Some(conflict) => OnceCell::from(Some(conflict)),
            None => OnceCell::new(),
        };
        let look = || {
            let found = || {
                let reports = check_all(events, None, options);
                first_report(&reports).and_then(|report| scene.of_report(report))
            };
            alone.get_or_init(found).is_some()
        };
        let asked = Asked {
            settings: &options.settings,
            from_start: scene.recording.format == Format::Own,
            quiet_end: options.quiet_end,
            limit: self.effort,
        };
        let mut filled = fill::fill(scene.history, asked, &look);
        let mut reports = self.reports(&filled);
        if first_report(&reports).is_some() {
            look();
        }
        let alone = alone.into_inner().flatten();
        if let (None, Proof::None, Fill::Whole, Some(report)) =
            (&alone, &filled.proof, &filled.fill, first_report(&reports))
        {
            let nodes = subjects(events, report);
            let about = (report.name, options);
            if fill::rests_on_no_guess(scene.history, about, &nodes, self.effort) {
                filled.proof = Proof::Forced;
            } else {
                let accepts = |txns: &[CommittedTxn]| {
                    let txns = txns.to_vec();
                    let reports = check_all(events, Some(&Witness { txns }), options);
                    first_report(&reports).is_none()
                };
                match fill::others(scene.history, asked, &accepts) {
                    Others::Refused => filled.proof = Proof::Forced,
                    Others::Accepted(other) => {
                        reports = self.reports(&other);
                        filled = other;
                    }
                    Others::Unknown => {}
                }
            }
        }
        let found = first_report(&reports);
        let conflict = match (alone, &filled.proof, &filled.fill) {
            (Some(conflict), ..) => Some(conflict),
            (_, Proof::Log(failure), _) => Some(scene.of_failure(failure, &filled.witness)),
            (_, Proof::Part(part), _) => Some(scene.of_part(part, &filled.witness)),
            (_, Proof::Forced, _) => found.and_then(|report| scene.of_report(report)),
            _ => None,
        };
        self.judged(filled, reports, conflict)
    }

    fn reports(&self, filled: &Filled) -> Vec<Report> {
        let mut reports = vec![write_order(filled)];
        let events = &self.scene.recording.events;
        reports.extend(check_all(events, Some(&filled.witness), self.options));
        reports
    }

    fn judged(&self, filled: Filled, reports: Vec<Report>, conflict: Option<Conflict>) -> Judged {
        let (scene, understood) = (self.scene, self.understood.clone());
        let undecided = match &filled.fill {
            Fill::Unknown { zxid } => Some(format!(
                "{} transactions were replayed to find a log, and none explains what was seen behind {zxid}",
                filled.effort
            )),
            _ => None,
        };
        let doubt = match (&conflict, undecided) {
            (Some(_), _) => None,
            (None, Some(message)) => Some(Violation {
                check: WRITE_ORDER.to_owned(),
                at_ms: 0,
                message,
            }),
            (None, None) => first_report(&reports).and_then(|report| report.violation.clone()),
        };
        let explained = match (&conflict, &filled.fill) {
            (Some(conflict), _) => conflict.prefix,
            (None, Fill::Unknown { zxid }) => scene.answered_before(*zxid),
            (None, _) => understood.answered,
        };
        Judged {
            understood,
            filled,
            reports,
            conflict,
            doubt,
            explained,
        }
    }
}

/// The report of the earliest violation.
fn first_report(reports: &[Report]) -> Option<&Report> {
    let violated = reports.iter().filter(|report| report.violation.is_some());
    violated.min_by_key(|report| report.violation.as_ref().map(|violation| violation.at_ms))
}

/// The nodes that a violation is about, as far as its check says.
fn subjects(events: &[HistoryEvent], report: &Report) -> Vec<ZPath> {
    let mut nodes: Vec<ZPath> = Vec::new();
    for at in &report.about {
        let Some(event) = events.get(*at as usize) else {
            continue;
        };
        let node = match &event.kind {
            HistoryKind::Watch { event, .. } => Some(&event.path),
            HistoryKind::Recipe(recipe) => Some(&recipe.object),
            HistoryKind::Invoke { request, .. } => search::first_path(request),
            _ => None,
        };
        if let Some(node) = node.filter(|node| !nodes.contains(*node)) {
            nodes.push(node.clone());
        }
    }
    nodes
}

/// The name of what is said of the log itself.
pub(super) const WRITE_ORDER: &str = "write-order";

fn write_order(filled: &Filled) -> Report {
    let detail = match &filled.fill {
        Fill::Whole if filled.is_given => format!(
            "transactions of the log that came with the history, {} of them without a reply",
            filled.gaps
        ),
        Fill::Whole => format!(
            "transactions, {} of them without a reply; of {} updates of unknown outcome {} happened",
            filled.gaps, filled.unknown, filled.happened
        ),
        Fill::Torn { zxid } => {
            format!("transactions; no log explains what was seen at {zxid}")
        }
        Fill::Unknown { zxid } => format!(
            "undecided: {} transactions were replayed to find a log, and none explains what was seen behind {zxid}",
            filled.effort
        ),
    };
    Report {
        name: WRITE_ORDER,
        examined: filled.witness.txns.len() as u64,
        detail,
        violation: None,
        about: Vec::new(),
    }
}
