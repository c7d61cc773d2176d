//! G8: what each client is told of its watches, along what it is given; for each thing all transactions are gone through.

use super::Told;
use super::answers::above;
use crate::reference::{grants, watch_of};
use crate::witness::TxnKind;
use std::collections::BTreeMap;
use zabsim_types::{
    AddWatchMode, ErrorCode, HistoryKind, Op, Perms, ProcessId, Reply, SessionChange, SessionId,
    WatchEvent, WatchKind, WatcherType, ZPath, Zxid,
};

/// Something that fires: when, what, where, and in which of the two lists. A node that is gone fires in both, once.
#[derive(Clone, Debug)]
struct Fired {
    zxid: Zxid,
    kind: WatchKind,
    path: ZPath,
    data: bool,
    child: bool,
}

/// All that fires, read off the log.
fn all_fired(told: &Told<'_>) -> Vec<Fired> {
    let mut owned: Vec<(SessionId, ZPath)> = Vec::new();
    let mut fired = Vec::new();
    for (txn, part) in told.parts() {
        let mut fire = |kind, path: &str, data, child| {
            let path = path.into();
            let zxid = txn.zxid;
            fired.push(Fired {
                zxid,
                kind,
                path,
                data,
                child,
            });
        };
        let mut gone = Vec::new();
        match part {
            TxnKind::Create {
                path, ephemeral, ..
            } => {
                if *ephemeral {
                    owned.push((txn.session, path.clone()));
                }
                fire(WatchKind::NodeCreated, path, true, false);
                fire(WatchKind::NodeChildrenChanged, above(path), false, true);
            }
            TxnKind::SetData { path, .. } => fire(WatchKind::NodeDataChanged, path, true, false),
            TxnKind::Delete { path } => gone.push(path.clone()),
            TxnKind::CloseSession => {
                let mine = owned.iter().filter(|(owner, _)| *owner == txn.session);
                gone.extend(mine.map(|(_, path)| path.clone()));
            }
            _ => {}
        }
        for path in gone {
            fire(WatchKind::NodeDeleted, &path, true, true);
            fire(WatchKind::NodeChildrenChanged, above(&path), false, true);
            owned.retain(|(_, other)| *other != path);
        }
    }
    fired
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Data,
    Child,
    Persistent,
    Recursive,
}

impl Kind {
    fn stays(self) -> bool {
        matches!(self, Kind::Persistent | Kind::Recursive)
    }
}

#[derive(Clone, Debug)]
struct Watch {
    kind: Kind,
    path: ZPath,
    /// What lies behind that state is news.
    since: Zxid,
    /// Whether the node was there when the watch was left.
    present: bool,
    /// What it has told of, by place.
    heard: Vec<usize>,
}

impl Watch {
    fn is_for(&self, fired: &Fired) -> bool {
        let here = fired.path == self.path;
        match self.kind {
            Kind::Data => fired.data && here,
            Kind::Child => fired.child && here,
            Kind::Persistent => here,
            Kind::Recursive => {
                let below = if &*self.path == "/" {
                    "/".to_owned()
                } else {
                    format!("{}/", self.path)
                };
                fired.data && (here || fired.path.starts_with(&below))
            }
        }
    }

    /// The places of what it has still to tell: of a watch that fires once the first, of one that stays all.
    fn due(&self, fired: &[Fired]) -> Vec<usize> {
        let behind = fired.partition_point(|fired| fired.zxid <= self.since);
        let due =
            (behind..fired.len()).filter(|at| self.is_for(&fired[*at]) && !self.heard.contains(at));
        let most = if self.kind.stays() { usize::MAX } else { 1 };
        due.take(most).collect()
    }

    /// What must be told when it is set again at `now` by a client that was shown `seen` last: by the tree of that state alone.
    fn news(&self, fired: &[Fired], seen: Zxid, now: Zxid) -> Option<WatchKind> {
        let seen = seen.max(self.since);
        let of_node = |fired: &&Fired| fired.zxid <= now && fired.data && fired.path == self.path;
        let last = fired.iter().rfind(of_node);
        let is_gone = last.is_some_and(|last| last.kind == WatchKind::NodeDeleted);
        let made = fired
            .iter()
            .filter(of_node)
            .rfind(|fired| fired.kind == WatchKind::NodeCreated);
        let of_children = |fired: &&Fired| {
            fired.zxid <= now
                && fired.path == self.path
                && fired.kind == WatchKind::NodeChildrenChanged
        };
        let children = fired.iter().rfind(of_children);
        let is_news = |fired: Option<&Fired>| fired.is_some_and(|fired| fired.zxid > seen);
        match self.kind {
            Kind::Persistent | Kind::Recursive => None,
            Kind::Data if !self.present => {
                (last.is_some() && !is_gone).then_some(WatchKind::NodeCreated)
            }
            _ if is_gone => Some(WatchKind::NodeDeleted),
            Kind::Data => is_news(last).then_some(WatchKind::NodeDataChanged),
            Kind::Child => {
                (is_news(children) || is_news(made)).then_some(WatchKind::NodeChildrenChanged)
            }
        }
    }
}

/// A client, and what it has to be told.
#[derive(Default)]
struct Client {
    session: SessionId,
    /// Its watches are on no server.
    detached: bool,
    watches: Vec<Watch>,
    /// What it was told on this connection of the time before.
    caught_up: Vec<(Watch, WatchKind)>,
    /// A path whose going it may be told of a second time.
    again: Option<ZPath>,
}

/// Nobody's view is guarded in what this is asked of: a guarded one need not be told.
fn is_open(told: &Told<'_>) -> bool {
    fn guards(op: &Op) -> bool {
        match op {
            Op::SetAcl { acl, .. } | Op::Create { acl, .. } => !grants(acl, Perms::READ, &[]),
            Op::Multi { ops } => ops.iter().any(guards),
            _ => false,
        }
    }
    !told.history.calls.iter().any(|call| guards(call.op()))
}

/// Whether each client was told of its watches what it had to be told, when it had to be. Where lists of access guard nodes,
/// nothing is said.
pub(super) fn watches(told: &Told<'_>) -> bool {
    if !is_open(told) {
        return true;
    }
    let fired = all_fired(told);
    let mut clients: BTreeMap<ProcessId, Client> = BTreeMap::new();
    for event in told.history.events {
        let client = clients.entry(event.process).or_default();
        let fine = match &event.kind {
            HistoryKind::Ok { id, .. } | HistoryKind::Fail { id, .. } => {
                let call = told.history.call(*id).expect("it was invoked");
                let answer = call.observed();
                answer.is_none_or(|answer| client.answer(&fired, call.op(), call.zxid, answer))
            }
            HistoryKind::Watch { zxid, event, .. } => match zxid {
                Some(zxid) => client.event(&fired, *zxid, event),
                None => client.catch_up(event),
            },
            HistoryKind::Session { change } => match change {
                SessionChange::Connected { .. } => {
                    let survive = told.options.watches_survive_reconnect;
                    client.connected(event.session, survive);
                    true
                }
                SessionChange::WatchesSet { relative, zxid, .. } => {
                    client.set_again(&fired, *relative, *zxid)
                }
                SessionChange::Disconnected => {
                    client.detach();
                    true
                }
                _ => {
                    client.watches.clear();
                    client.caught_up.clear();
                    true
                }
            },
            _ => true,
        };
        if !fine {
            return false;
        }
    }
    !told.options.quiet_end
        || clients
            .values()
            .all(|client| client.detached || client.none_due(&fired, |_| true))
}

impl Client {
    fn detach(&mut self) {
        self.detached = true;
        self.caught_up.clear();
        self.again = None;
    }

    fn connected(&mut self, session: SessionId, survive: bool) {
        self.detach();
        if session != self.session || !survive {
            self.watches.clear();
        }
        self.session = session;
    }

    /// Whether nothing of such a transaction has still to be told.
    fn none_due(&self, fired: &[Fired], of: impl Fn(Zxid) -> bool) -> bool {
        let mut due = self.watches.iter().flat_map(|watch| watch.due(fired));
        due.all(|at| !of(fired[at].zxid))
    }

    /// What is due comes before an answer that shows it (W2, W4).
    fn answer(
        &mut self,
        fired: &[Fired],
        op: &Op,
        zxid: Zxid,
        answer: Result<&Reply, ErrorCode>,
    ) -> bool {
        if self.detached && !self.watches.is_empty() {
            return false;
        }
        self.detached = false;
        if !self.none_due(fired, |due| due <= zxid) {
            return false;
        }
        match (op, answer) {
            (Op::AddWatch { path, mode }, Ok(_)) => {
                let kind = match mode {
                    AddWatchMode::Persistent => Kind::Persistent,
                    AddWatchMode::PersistentRecursive => Kind::Recursive,
                };
                self.leave(kind, path, zxid, true);
            }
            (Op::RemoveWatches { path, kind }, Ok(_)) => {
                let removed = |watch: &Watch| {
                    watch.path == *path
                        && match kind {
                            WatcherType::Any => true,
                            WatcherType::Data => watch.kind == Kind::Data,
                            WatcherType::Children => watch.kind == Kind::Child,
                            WatcherType::Persistent => watch.kind == Kind::Persistent,
                            WatcherType::PersistentRecursive => watch.kind == Kind::Recursive,
                        }
                };
                self.watches.retain(|watch| !removed(watch));
            }
            (Op::MultiRead { ops }, Ok(Reply::MultiRead { results })) => {
                for (op, result) in ops.iter().zip(results) {
                    self.read(op, zxid, result.is_ok(), result.as_ref().err());
                }
            }
            (op, answer) => self.read(op, zxid, answer.is_ok(), answer.as_ref().err()),
        }
        true
    }

    fn read(&mut self, op: &Op, zxid: Zxid, present: bool, error: Option<&ErrorCode>) {
        if !present && error != Some(&ErrorCode::NoNode) {
            return;
        }
        if let Some((list, path)) = watch_of(op, present) {
            let kind = match list {
                crate::reference::WatchList::Data => Kind::Data,
                crate::reference::WatchList::Child => Kind::Child,
            };
            self.leave(kind, path, zxid, present);
        }
    }

    fn leave(&mut self, kind: Kind, path: &ZPath, since: Zxid, present: bool) {
        let mut all = self.watches.iter();
        if all.any(|watch| watch.kind == kind && watch.path == *path) {
            return;
        }
        self.watches.push(Watch {
            kind,
            path: path.clone(),
            since,
            present,
            heard: Vec::new(),
        });
    }

    /// It is what some watch waits for (W1, W5), and nothing of an earlier transaction is (W3).
    fn event(&mut self, fired: &[Fired], zxid: Zxid, event: &WatchEvent) -> bool {
        if self.detached || !self.none_due(fired, |due| due < zxid) {
            return false;
        }
        let like = |at: &usize| {
            let fired = &fired[*at];
            fired.zxid == zxid && fired.kind == event.kind && fired.path == event.path
        };
        let due = self.watches.iter().flat_map(|watch| watch.due(fired));
        let Some(told) = due.filter(like).min() else {
            return false;
        };
        // All watches that wait for it have been told by that.
        self.watches.retain_mut(|watch| {
            let waits = watch.due(fired).contains(&told);
            if waits {
                watch.heard.push(told);
            }
            !waits || watch.kind.stays()
        });
        true
    }

    /// Told on a new connection, before the watches are set there: which change it stands for says only the server's state.
    fn catch_up(&mut self, event: &WatchEvent) -> bool {
        let concerns = |watch: &Watch| {
            watch.path == event.path
                && match event.kind {
                    WatchKind::NodeChildrenChanged => watch.kind == Kind::Child,
                    WatchKind::NodeDeleted => !watch.kind.stays(),
                    _ => watch.kind == Kind::Data,
                }
        };
        let (told, left): (Vec<Watch>, Vec<Watch>) = std::mem::take(&mut self.watches)
            .into_iter()
            .partition(concerns);
        self.watches = left;
        // A server that looks at both lists tells of a node gone once for each.
        if told.is_empty() {
            return self.again.take_if(|path| *path == event.path).is_some();
        }
        if event.kind == WatchKind::NodeDeleted && told.len() == 2 {
            self.again = Some(event.path.clone());
        }
        let told = told.into_iter().map(|watch| (watch, event.kind));
        self.caught_up.extend(told);
        self.detached
    }

    fn set_again(&mut self, fired: &[Fired], seen: Zxid, now: Zxid) -> bool {
        for (watch, kind) in std::mem::take(&mut self.caught_up) {
            if watch.news(fired, seen, now) != Some(kind) {
                return false;
            }
        }
        self.detached = false;
        self.again = None;
        for watch in &mut self.watches {
            // What its client was shown, it must have been told of before.
            let lost = watch.due(fired).iter().any(|at| fired[*at].zxid <= seen);
            if lost || watch.news(fired, seen, now).is_some() {
                return false;
            }
            watch.since = now;
            watch.heard.clear();
        }
        true
    }
}
