//! A finished run, its reports, and what a test does to it.

use super::ops::effect_of;
use crate::checks::{Options, Report, check_all};
use crate::witness::{CommittedTxn, Witness};
use zabsim_types::*;

/// A finished run.
pub(in crate::checks) struct Run {
    pub history: Vec<HistoryEvent>,
    pub witness: Witness,
    pub options: Options,
}

impl Run {
    pub fn reports(&self) -> Vec<Report> {
        check_all(&self.history, Some(&self.witness), &self.options)
    }

    /// The last session of a client.
    pub fn session_of(&self, client: u32) -> SessionId {
        let events = self.history.iter().rev();
        let mut own = events.filter(|event| event.process == ProcessId(client));
        own.next().expect("it did something").session
    }

    /// Lets two things happen in each other's place; time stays in order.
    pub fn swap(&mut self, one: usize, other: usize) {
        let (first, second) = (self.history[one].time, self.history[other].time);
        self.history.swap(one, other);
        (self.history[one].time, self.history[other].time) = (first, second);
    }

    /// Puts one more transaction behind the log: `op`'s effect, by that client's session.
    pub fn append(&mut self, client: u32, op: Op) {
        let last = self.witness.txns.last().expect("a log").clone();
        self.witness.txns.push(CommittedTxn {
            zxid: Zxid(last.zxid.0 + 1),
            session: self.session_of(client),
            what: effect_of(&op, None),
            ..last
        });
    }

    /// Moves every zxid into a later epoch.
    pub fn shift_epoch(&mut self, epoch: u32) {
        let shift = |zxid: &mut Zxid| {
            if *zxid != Zxid::ZERO {
                *zxid = Zxid::new(epoch, zxid.counter());
            }
        };
        self.witness
            .txns
            .iter_mut()
            .for_each(|txn| shift(&mut txn.zxid));
        for event in &mut self.history {
            if let HistoryKind::Ok { zxid, .. } | HistoryKind::Fail { zxid, .. } = &mut event.kind {
                shift(zxid);
            }
        }
    }

    pub fn remove_invocation(&mut self, call: CallId) -> HistoryEvent {
        let invoked = |event: &HistoryEvent| matches!(&event.kind, HistoryKind::Invoke { id, .. } if *id == call);
        let at = self
            .history
            .iter()
            .position(invoked)
            .expect("it was invoked");
        self.history.remove(at)
    }
}

/// The report of one check.
pub(in crate::checks) fn report(run: &Run, name: &str) -> Report {
    let reports = run.reports();
    let report = reports.iter().find(|report| report.name == name);
    report.unwrap_or_else(|| panic!("no check {name}")).clone()
}
