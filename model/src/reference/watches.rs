//! Who watches what on an ideal server (ZooKeeper's `WatchManager`): one-shot watches, persistent ones, and persistent ones
//! for a whole subtree.

use super::model::{Trigger, WatchList};
use super::tree::Lookup;
use std::collections::BTreeMap;
use zabsim_types::{
    Acl, AddWatchMode, Op, OpResult, SessionId, WatchEvent, WatchKind, WatcherType, ZPath,
    parent_of,
};

/// In which ways one session watches one path in one list. Several at once are one watch: it is told once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Modes {
    one_shot: bool,
    persistent: bool,
    recursive: bool,
}

impl Modes {
    fn is_none(self) -> bool {
        self == Modes::default()
    }

    /// The mode that a request to remove or to check means; `None` for any.
    fn named(&mut self, kind: WatcherType) -> Option<&mut bool> {
        match kind {
            WatcherType::Any => None,
            WatcherType::Children | WatcherType::Data => Some(&mut self.one_shot),
            WatcherType::Persistent => Some(&mut self.persistent),
            WatcherType::PersistentRecursive => Some(&mut self.recursive),
        }
    }

    fn has(mut self, kind: WatcherType) -> bool {
        match self.named(kind) {
            Some(mode) => *mode,
            None => !self.is_none(),
        }
    }
}

type List = Lookup<ZPath, BTreeMap<SessionId, Modes>>;

/// The watches that are set. Setting one that is there already changes nothing.
#[derive(Clone, Debug, Default)]
pub struct WatchTable {
    data: List,
    child: List,
    /// How many recursive watches there are: without any, nobody looks at the paths above.
    recursive: usize,
}

impl WatchTable {
    /// Leaves the watches that `op` asks for, if it asks and its result lets it: `exists` watches absent nodes too.
    pub fn register(&mut self, session: SessionId, op: &Op, result: &OpResult) {
        match (op, result) {
            (Op::AddWatch { path, mode }, Ok(_)) => self.add(session, path, *mode),
            (Op::MultiRead { ops }, Ok(zabsim_types::Reply::MultiRead { results })) => {
                for (op, result) in ops.iter().zip(results) {
                    self.register(session, op, result);
                }
            }
            _ => {
                // An absent node can be watched, one that may not be seen cannot.
                let lets = match result {
                    Ok(_) => Some(true),
                    Err(zabsim_types::ErrorCode::NoNode) => Some(false),
                    Err(_) => None,
                };
                if let Some((list, path)) = lets.and_then(|found| watch_of(op, found)) {
                    self.arm(session, list, path);
                }
            }
        }
    }

    /// Leaves a one-shot watch.
    pub fn arm(&mut self, session: SessionId, list: WatchList, path: &ZPath) {
        self.modes(session, list, path).one_shot = true;
    }

    /// Leaves a watch that stays. A recursive one is in the list of data only: it tells nothing of changed children.
    pub fn add(&mut self, session: SessionId, path: &ZPath, mode: AddWatchMode) {
        match mode {
            AddWatchMode::Persistent => {
                self.modes(session, WatchList::Data, path).persistent = true;
                self.modes(session, WatchList::Child, path).persistent = true;
            }
            AddWatchMode::PersistentRecursive => {
                let modes = self.modes(session, WatchList::Data, path);
                let new = !std::mem::replace(&mut modes.recursive, true);
                self.recursive += usize::from(new);
            }
        }
    }

    /// Takes a session's watches at a path away; whether there were any.
    pub fn remove(&mut self, session: SessionId, path: &str, kind: WatcherType) -> bool {
        let mut found = false;
        for list in lists_of(kind) {
            let watchers = self.list(*list).get_mut(path);
            let Some(modes) = watchers.and_then(|watchers| watchers.get_mut(&session)) else {
                continue;
            };
            if !modes.has(kind) {
                continue;
            }
            found = true;
            let was_recursive = modes.recursive;
            match modes.named(kind) {
                Some(mode) => *mode = false,
                None => *modes = Modes::default(),
            }
            let is_recursive = modes.recursive;
            self.recursive -= usize::from(was_recursive && !is_recursive);
            self.clear(*list, path);
        }
        found
    }

    /// Whether a session has such watches at a path.
    pub fn has(&self, session: SessionId, path: &str, kind: WatcherType) -> bool {
        lists_of(kind).iter().any(|list| {
            let list = match list {
                WatchList::Data => &self.data,
                WatchList::Child => &self.child,
            };
            let modes = list.get(path).and_then(|watchers| watchers.get(&session));
            modes.is_some_and(|modes| modes.has(kind))
        })
    }

    /// Fires the watches that the triggers of one transaction reach, in order, and removes the one-shot ones. A session that
    /// watches a node in both lists is told only once that it is gone; one that `may_read` refuses is told nothing, and its
    /// watch is used up all the same.
    pub fn fire(
        &mut self,
        triggers: &[Trigger],
        may_read: impl Fn(SessionId, &Acl) -> bool,
    ) -> Vec<(SessionId, WatchEvent)> {
        let mut fired = Vec::new();
        let mut told_gone: Vec<(SessionId, &ZPath)> = Vec::new();
        for trigger in triggers {
            let reached = self.reached(trigger);
            let gone = trigger.kind == WatchKind::NodeDeleted;
            for session in reached {
                match trigger.list {
                    WatchList::Data if gone => told_gone.push((session, &trigger.path)),
                    WatchList::Child if gone && told_gone.contains(&(session, &trigger.path)) => {
                        continue;
                    }
                    _ => {}
                }
                if may_read(session, &trigger.acl) {
                    let event = WatchEvent {
                        kind: trigger.kind,
                        path: trigger.path.clone(),
                    };
                    fired.push((session, event));
                }
            }
            if trigger.list == WatchList::Child {
                told_gone.clear();
            }
        }
        fired
    }

    /// The sessions whose watches a trigger reaches.
    fn reached(&mut self, trigger: &Trigger) -> Vec<SessionId> {
        let mut reached: Vec<SessionId> = Vec::new();
        if let Some(watchers) = self.list(trigger.list).get_mut(&trigger.path) {
            reached.extend(watchers.keys());
            for modes in watchers.values_mut() {
                modes.one_shot = false;
            }
            self.clear(trigger.list, &trigger.path);
        }
        if trigger.list == WatchList::Data && self.recursive > 0 {
            let mut above = parent_of(&trigger.path);
            while let Some(path) = above {
                let watchers = self.data.get(path).into_iter().flatten();
                for (session, modes) in watchers {
                    if modes.recursive && !reached.contains(session) {
                        reached.push(*session);
                    }
                }
                above = parent_of(path);
            }
        }
        reached
    }

    /// Forgets the watches of a session that is gone. Rare: it looks at all of them.
    pub fn forget(&mut self, session: SessionId) {
        for watchers in self.data.values_mut().chain(self.child.values_mut()) {
            let modes = watchers.remove(&session).unwrap_or_default();
            self.recursive -= usize::from(modes.recursive);
        }
    }

    fn list(&mut self, list: WatchList) -> &mut List {
        match list {
            WatchList::Data => &mut self.data,
            WatchList::Child => &mut self.child,
        }
    }

    fn modes(&mut self, session: SessionId, list: WatchList, path: &ZPath) -> &mut Modes {
        let watchers = self.list(list).entry(path.clone()).or_default();
        watchers.entry(session).or_default()
    }

    /// Drops the entries of a path that watch in no way any more.
    fn clear(&mut self, list: WatchList, path: &str) {
        if let Some(watchers) = self.list(list).get_mut(path) {
            watchers.retain(|_, modes| !modes.is_none());
            if watchers.is_empty() {
                self.list(list).remove(path);
            }
        }
    }
}

/// The lists in which watches of that kind are kept.
fn lists_of(kind: WatcherType) -> &'static [WatchList] {
    match kind {
        WatcherType::Children => &[WatchList::Child],
        WatcherType::Data | WatcherType::PersistentRecursive => &[WatchList::Data],
        WatcherType::Any | WatcherType::Persistent => &[WatchList::Data, WatchList::Child],
    }
}

/// The one-shot watch that a read leaves: in which list, where.
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

#[cfg(test)]
mod tests {
    use super::*;

    const ME: SessionId = SessionId(1);

    fn trigger(list: WatchList, kind: WatchKind, path: &str) -> Trigger {
        Trigger {
            list,
            kind,
            path: path.into(),
            acl: Acl::OPEN,
        }
    }

    fn kinds(fired: &[(SessionId, WatchEvent)]) -> Vec<WatchKind> {
        fired.iter().map(|(_, event)| event.kind).collect()
    }

    #[test]
    fn a_persistent_watch_outlives_the_one_shot_beside_it() {
        let mut table = WatchTable::default();
        let path: ZPath = "/a".into();
        table.add(ME, &path, AddWatchMode::Persistent);
        table.arm(ME, WatchList::Data, &path);
        let set = [trigger(WatchList::Data, WatchKind::NodeDataChanged, "/a")];
        for _ in 0..2 {
            assert_eq!(table.fire(&set, |_, _| true).len(), 1);
        }
        assert!(!table.has(ME, "/a", WatcherType::Data));
        assert!(table.has(ME, "/a", WatcherType::Persistent));
    }

    #[test]
    fn a_recursive_watch_hears_of_what_is_below_and_nothing_of_children() {
        let mut table = WatchTable::default();
        table.add(ME, &"/a".into(), AddWatchMode::PersistentRecursive);
        let create = [
            trigger(WatchList::Data, WatchKind::NodeCreated, "/a/b/c"),
            trigger(WatchList::Child, WatchKind::NodeChildrenChanged, "/a/b"),
        ];
        let fired = table.fire(&create, |_, _| true);
        assert_eq!(kinds(&fired), [WatchKind::NodeCreated]);
        let beside = [trigger(WatchList::Data, WatchKind::NodeCreated, "/ab")];
        assert!(table.fire(&beside, |_, _| true).is_empty());
        assert!(table.remove(ME, "/a", WatcherType::PersistentRecursive));
        assert!(table.fire(&create, |_, _| true).is_empty());
        assert!(!table.remove(ME, "/a", WatcherType::Any));
    }

    #[test]
    fn who_may_not_read_is_told_nothing_and_loses_the_watch() {
        let mut table = WatchTable::default();
        table.arm(ME, WatchList::Data, &"/a".into());
        let set = [trigger(WatchList::Data, WatchKind::NodeDataChanged, "/a")];
        assert!(table.fire(&set, |_, _| false).is_empty());
        assert!(!table.has(ME, "/a", WatcherType::Any));
    }

    #[test]
    fn a_deletion_is_told_once_in_two_lists_and_by_a_watch_above() {
        let mut table = WatchTable::default();
        let path: ZPath = "/a/b".into();
        table.arm(ME, WatchList::Child, &path);
        table.add(ME, &"/".into(), AddWatchMode::PersistentRecursive);
        let gone = [
            trigger(WatchList::Data, WatchKind::NodeDeleted, "/a/b"),
            trigger(WatchList::Child, WatchKind::NodeDeleted, "/a/b"),
        ];
        assert_eq!(table.fire(&gone, |_, _| true).len(), 1);
        table.forget(ME);
        assert!(table.fire(&gone, |_, _| true).is_empty());
    }
}
