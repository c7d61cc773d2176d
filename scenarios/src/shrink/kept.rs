//! The file of a shrunk scenario. It only ever gets better: what is there already and fails in the same way stays until something
//! smaller is found.

use super::{Hands, Shrunk, State, Tried, remarks, said_fingerprint, text};
use crate::format::Scenario;
use crate::replace::replace;
use std::path::{Path, PathBuf};

/// How large a scenario is: its parts, then its time. Workloads ask for more than anything that is written out.
type Size = (usize, usize, u64);

/// The file of a shrunk scenario.
pub struct Kept<'a> {
    file: PathBuf,
    hands: &'a dyn Hands,
    /// Of what is there from before; `None`: nobody knows yet.
    before: Option<Option<Size>>,
}

impl<'a> Kept<'a> {
    /// That file, which need not be there. `hands` see whether what is there fails still.
    pub fn new(file: &Path, hands: &'a dyn Hands) -> Kept<'a> {
        Kept {
            file: file.to_path_buf(),
            hands,
            before: None,
        }
    }

    /// Writes it, unless something smaller is there from before. Whether it is in the file now.
    pub fn put(&mut self, shrunk: &Shrunk) -> Result<bool, String> {
        let (file, hands) = (&self.file, self.hands);
        let before = *self
            .before
            .get_or_insert_with(|| size_there(file, shrunk, hands));
        let new = size(&shrunk.scenario);
        let is_better = match before {
            None => true,
            // Of two equal ones, that of which the search says that it is over.
            Some(old) => new < old || new == old && shrunk.state != State::UnderWay,
        };
        if is_better {
            replace(file, &text(shrunk))?;
            self.before = Some(None);
        }
        Ok(is_better)
    }
}

fn size(scenario: &Scenario) -> Size {
    let plan = &scenario.plan;
    let parts = scenario.holds.len()
        + plan.ensemble.servers() as usize
        + plan.clients as usize
        + plan.ops.len()
        + plan.faults.len();
    (scenario.workloads.len(), parts, plan.safety_us)
}

/// The size of what is there, where it fails in the same way.
fn size_there(file: &Path, shrunk: &Shrunk, hands: &dyn Hands) -> Option<Size> {
    let there = std::fs::read_to_string(file).ok()?;
    if said_fingerprint(&there) != Some(&shrunk.fingerprint.id()) {
        return None;
    }
    let scenario = Scenario::parse("there", &there).ok()?;
    let seed = scenario.seed?;
    match hands.attempt(0, &scenario, seed, Some(&shrunk.fingerprint)) {
        Tried::Shows(_) => Some(size(&scenario)),
        Tried::Otherwise(_) | Tried::NoRun => None,
    }
}

/// Whether the search that left that file was over, so that nothing more would come of another one.
pub(crate) fn is_final(file: &Path) -> bool {
    let there = std::fs::read_to_string(file).unwrap_or_default();
    !there.is_empty() && !remarks(&there).any(|line| line == UNDER_WAY)
}

/// Whether it says that nothing less fails so.
pub(crate) fn is_minimal(file: &Path) -> bool {
    let there = std::fs::read_to_string(file).unwrap_or_default();
    let mut said = remarks(&there).filter_map(|line| line.strip_prefix("# "));
    said.any(|said| said.starts_with(MINIMAL))
}

/// How the line begins that says that it is minimal.
pub(super) const MINIMAL: &str = "1-minimal: ";

/// The line that says that a search goes on, or was interrupted.
pub(super) const UNDER_WAY: &str = "# Not minimal: the search goes on, or was interrupted.";
