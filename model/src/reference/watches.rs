//! Who watches what: the one-shot watches of an ideal server (ZooKeeper's `WatchManager`).

use super::model::{Trigger, WatchList};
use super::tree::Lookup;
use std::collections::BTreeSet;
use zabsim_types::{Op, OpResult, SessionId, WatchEvent, WatchKind, ZPath};

/// The watches that are set. Setting one that is there already changes nothing.
#[derive(Clone, Debug, Default)]
pub struct WatchTable {
    data: Lookup<ZPath, BTreeSet<SessionId>>,
    child: Lookup<ZPath, BTreeSet<SessionId>>,
}

impl WatchTable {
    /// Leaves the watch that `op` asks for, if it asks for one and its result lets it: `exists` watches absent nodes too.
    pub fn register(&mut self, session: SessionId, op: &Op, result: &OpResult) {
        if let Some((list, path)) = watch_of(op, result.is_ok()) {
            let watchers = match list {
                WatchList::Data => &mut self.data,
                WatchList::Child => &mut self.child,
            };
            watchers.entry(path.clone()).or_default().insert(session);
        }
    }

    /// Fires and removes the watches that the triggers of one transaction reach, in order. A session that watches a node in
    /// both lists is told only once that it is gone.
    pub fn fire(&mut self, triggers: &[Trigger]) -> Vec<(SessionId, WatchEvent)> {
        let mut fired = Vec::new();
        for (at, trigger) in triggers.iter().enumerate() {
            let watchers = match trigger.list {
                WatchList::Data => self.data.remove(&trigger.path),
                WatchList::Child => self.child.remove(&trigger.path),
            };
            let told_before = |session| {
                trigger.list == WatchList::Child
                    && trigger.kind == WatchKind::NodeDeleted
                    && at > 0
                    && fired.iter().rev().any(|(other, event): &(_, WatchEvent)| {
                        *other == session
                            && event.kind == WatchKind::NodeDeleted
                            && event.path == trigger.path
                    })
            };
            let sessions: Vec<_> = watchers
                .into_iter()
                .flatten()
                .filter(|session| !told_before(*session))
                .collect();
            for session in sessions {
                let event = WatchEvent {
                    kind: trigger.kind,
                    path: trigger.path.clone(),
                };
                fired.push((session, event));
            }
        }
        fired
    }

    /// Forgets the watches of a session that is gone. Rare: it looks at all of them.
    pub fn forget(&mut self, session: SessionId) {
        for watchers in self.data.values_mut().chain(self.child.values_mut()) {
            watchers.remove(&session);
        }
    }
}

/// The watch that a read leaves: in which list, where.
pub(crate) fn watch_of(op: &Op, found: bool) -> Option<(WatchList, &ZPath)> {
    match op {
        Op::GetData { path, watch: true } if found => Some((WatchList::Data, path)),
        Op::Exists { path, watch: true } => Some((WatchList::Data, path)),
        Op::GetChildren {
            path, watch: true, ..
        } if found => Some((WatchList::Child, path)),
        _ => None,
    }
}
