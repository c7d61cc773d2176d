//! Watches: one event for each watch that was left, of the first change behind it, before its data; none is lost.
//!
//! A watch `w` is left by a read at the state `z0`, on a path, for data (`getData`, `exists`) or for children. It is *due* at
//! the first transaction behind `z0` that triggers that path and kind. Exactly, along what a client is given:
//! - W1: an event comes only for a watch that is set, names its due transaction and that change, and takes the watch away;
//! - W2: it comes before any reply or event that shows its due transaction or a later one (for one's own write, before its
//!   reply);
//! - W3: the events of a session come in the order of their transactions;
//! - W4: none is lost: a reply that names a state at or behind a watch's due transaction comes only after its event;
//! - W5: the event names its transaction.
//!
//! Watches live on the server, for one connection. On the next one the client sets them again with the zxid `r` of the last
//! reply's header (that to `SetWatches` is one); the server at its state `zr` sends what changed meanwhile as events without
//! a zxid, and sets the others at `zr`: data: gone → Deleted, set or made anew behind `r` → DataChanged; absent when it was
//! watched: there now → Created; children: gone → Deleted, a child came or went behind `r` → ChildrenChanged. The server
//! looks at its state alone, and so does this check: it is the state at `zr` that decides, not what happened since the watch
//! was left. The one permitted loss: a node watched while absent that was made and removed in between.
//!
//! Where a run ended quietly, with everything delivered, nobody who is still connected waits for the event of a change.
//!
//! Source: ZooKeeper's guarantees on watches; `WatchManager`, `DataTree.setWatches`; ZOOKEEPER-1412 is a bug it finds. Before
//! 3.9 events carried no zxid; this check wants one.

use super::history::{Call, History, NEVER};
use super::replay::Replay;
use super::{Check, Evidence, Finding};
use crate::reference::{WatchList, watch_of};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{
    AddWatchMode, HistoryEvent, HistoryKind, Op, ProcessId, SessionChange, SessionId, Time,
    WatchEvent, WatchKind, WatcherType, Zxid,
};

pub(super) const CHECK: Check = Check {
    name: "watches",
    about: "Each watch fires once, for the first change behind it, before its data is seen.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let replay = match evidence.whole_replay() {
        Ok(replay) => replay,
        Err(why) => return Finding::nothing(&why),
    };
    let mut scan = Scan {
        replay,
        survive: evidence.options.watches_survive_reconnect,
        finding: Finding::default(),
        left: 0,
        events: 0,
    };
    let mut clients: BTreeMap<ProcessId, Client<'_>> = BTreeMap::new();
    for event in evidence.history.events {
        // Most clients leave no watches most of the time: only what concerns watches gets this far.
        let client = clients.entry(event.process).or_default();
        scan.take(&evidence.history, client, event);
    }
    if evidence.options.quiet_end {
        let end = evidence.history.time(NEVER);
        for (process, client) in &mut clients {
            scan.waiting(*process, client, end);
        }
    }
    let Scan {
        finding,
        left,
        events,
        ..
    } = scan;
    finding.with_detail(format!("{left} watches left, {events} events"))
}

type Key<'a> = (WatchList, &'a str);

/// What a client's watches are, as its server must see them.
#[derive(Default)]
struct Client<'a> {
    session: SessionId,
    /// The connection broke or is new: the watches are not set on any server.
    detached: bool,
    set: BTreeMap<Key<'a>, Watch>,
    /// The watches that stay. An event for one of them is expected; that one is missing is not seen.
    staying: BTreeSet<(&'a str, AddWatchMode)>,
    /// Those that have become due, by their transaction.
    due: BTreeSet<(Zxid, Key<'a>)>,
    /// The events without a zxid since the connection began.
    caught_up: Vec<(Key<'a>, Watch, WatchKind)>,
    /// Of those the last path that was gone and watched in both lists: it may be told of once more.
    may_repeat: Option<&'a str>,
}

#[derive(Clone, Copy)]
struct Watch {
    /// The state behind which it watches.
    since: Zxid,
    /// Whether the node was there.
    present: bool,
    due: Option<(Zxid, WatchKind)>,
}

struct Scan<'r, 'a> {
    replay: &'r Replay<'a>,
    survive: bool,
    finding: Finding,
    left: u64,
    events: u64,
}

impl<'a> Scan<'_, 'a> {
    fn take(&mut self, history: &History<'a>, client: &mut Client<'a>, event: &'a HistoryEvent) {
        match &event.kind {
            HistoryKind::Ok { id, .. } | HistoryKind::Fail { id, .. } => {
                if let Some(call) = history.call(*id).filter(|call| call.is_definite()) {
                    self.reply(client, call, event.time);
                }
            }
            HistoryKind::Watch { zxid, event: e, .. } => {
                self.events += 1;
                self.finding.examined += 1;
                match zxid {
                    Some(zxid) => self.event(client, *zxid, e, event),
                    None => self.catch_up(client, e, event),
                }
            }
            HistoryKind::Session { change } => match change {
                SessionChange::Connected { .. } => self.connected(client, event.session),
                SessionChange::WatchesSet { relative, zxid, .. } => {
                    self.watches_set(client, *relative, *zxid, event);
                }
                SessionChange::Disconnected => client.detach(),
                SessionChange::Expired | SessionChange::Closed => client.forget(),
            },
            _ => {}
        }
    }

    fn connected(&mut self, client: &mut Client<'a>, session: SessionId) {
        client.detach();
        if session != client.session || !self.survive {
            client.forget();
        }
        client.session = session;
    }

    fn reply(&mut self, client: &mut Client<'a>, call: &Call<'a>, at: Time) {
        if client.detached && !client.set.is_empty() {
            self.finding.fail(at, || {
                let (process, count) = (call.process.0, client.set.len());
                format!("client {process} got a reply on a new connection before its {count} watches were set there")
            });
            client.forget();
        }
        client.detached = false;
        self.late(client, call.zxid, true, call.process, at);
        let found = call.observed().is_some_and(|observed| observed.is_ok());
        match call.op {
            Op::AddWatch { path, mode } if found => {
                client.staying.insert((path, *mode));
            }
            Op::RemoveWatches { path, kind } if found => client.removed(path, *kind),
            _ => {}
        }
        if let Some((list, path)) = watch_of(call.op, found) {
            let key = (list, &**path);
            if client.set.contains_key(&key) {
                return;
            }
            self.left += 1;
            self.finding.examined += 1;
            let watch = Watch {
                since: call.zxid,
                present: found,
                due: self.first_after(key, call.zxid),
            };
            client.arm(key, watch);
        }
    }

    /// Reports the watches that were due before `zxid` (or at it), and forgets them.
    fn late(
        &mut self,
        client: &mut Client<'a>,
        zxid: Zxid,
        or_at: bool,
        process: ProcessId,
        at: Time,
    ) {
        while let Some((due, key)) = client.due.first().copied() {
            if due > zxid || (due == zxid && !or_at) {
                return;
            }
            client.due.pop_first();
            let watch = client.set.remove(&key).expect("what is due is set");
            if self.replay.guarded.contains(&(due, key.1)) {
                continue;
            }
            let what = if or_at { "a reply" } else { "an event" };
            self.finding.fail(at, || {
                format!(
                    "client {} got {what} at {zxid} before the event of {due} at {} that its watch of {} waits for",
                    process.0, key.1, watch.since
                )
            });
        }
    }

    /// Nothing is on its way any more, and every server has the whole log: an event that is due now is lost.
    fn waiting(&mut self, process: ProcessId, client: &Client<'a>, end: Time) {
        if client.detached {
            return;
        }
        let guarded = &self.replay.guarded;
        let due = client.due.iter();
        for (due, (_, path)) in due.filter(|(due, (_, path))| !guarded.contains(&(*due, *path))) {
            self.finding.fail(end, || {
                format!(
                    "client {} never got the event of {due} at {path}",
                    process.0
                )
            });
        }
    }

    fn event(&mut self, client: &mut Client<'a>, zxid: Zxid, e: &'a WatchEvent, at: &HistoryEvent) {
        self.late(client, zxid, false, at.process, at.time);
        let fits = |key: &Key<'_>| {
            let watch = client.set.get(key);
            watch.is_some_and(|watch| watch.due == Some((zxid, e.kind)))
        };
        let keys: Vec<Key<'_>> = keys_of(e).filter(fits).collect();
        if (keys.is_empty() && !client.hears(e)) || client.detached {
            self.unexpected(client, Some(zxid), e, at);
        }
        for key in keys {
            client.disarm(key);
        }
    }

    fn unexpected(
        &mut self,
        client: &Client<'a>,
        zxid: Option<Zxid>,
        e: &WatchEvent,
        at: &HistoryEvent,
    ) {
        self.finding.fail(at.time, || {
            let waits = keys_of(e).find_map(|key| client.set.get(&key));
            let why = match (waits, client.detached) {
                (None, _) => "no watch was set there".to_owned(),
                (Some(_), true) if zxid.is_some() => {
                    "its watches were not set again yet".to_owned()
                }
                (Some(watch), _) => match watch.due {
                    Some((due, kind)) => format!("its watch was due at {due} with {kind:?}"),
                    None => "nothing happened there".to_owned(),
                },
            };
            let of = zxid.map_or("of no transaction".to_owned(), |zxid| format!("of {zxid}"));
            format!(
                "client {} got {:?} at {} {of}, but {why}",
                at.process.0, e.kind, e.path
            )
        });
    }

    /// An event without a zxid: which change it stands for is judged when the server has said at which state it looked.
    fn catch_up(&mut self, client: &mut Client<'a>, e: &'a WatchEvent, at: &HistoryEvent) {
        let keys: Vec<Key<'_>> = keys_of(e)
            .filter(|key| client.set.contains_key(key))
            .collect();
        // A server that looks at both lists tells of a node gone once for each.
        if keys.is_empty()
            && client
                .may_repeat
                .take_if(|path| *path == &*e.path)
                .is_some()
        {
            return;
        }
        if e.kind == WatchKind::NodeDeleted && keys.len() == 2 {
            client.may_repeat = Some(&e.path);
        }
        if keys.is_empty() || !client.detached {
            self.unexpected(client, None, e, at);
        }
        for key in keys {
            if let Some(watch) = client.disarm(key) {
                client.caught_up.push((key, watch, e.kind));
            }
        }
    }

    fn watches_set(&mut self, client: &mut Client<'a>, rel: Zxid, zr: Zxid, at: &HistoryEvent) {
        for (key, watch, kind) in std::mem::take(&mut client.caught_up) {
            let expected = self.missed(key, watch, rel, zr);
            if expected != Some(kind) {
                self.finding.fail(at.time, || {
                    format!(
                        "client {} was told {kind:?} at {} when it set its watches again at {zr} from {rel}; it should be {expected:?}",
                        at.process.0, key.1
                    )
                });
            }
        }
        let set = std::mem::take(&mut client.set);
        client.due.clear();
        client.may_repeat = None;
        client.detached = false;
        for (key, watch) in set {
            self.finding.examined += 1;
            // What it was shown was behind the change, yet no event came: lost before the connection was (ZOOKEEPER-1412).
            if let Some((due, _)) = self
                .first_after(key, watch.since)
                .filter(|(due, _)| *due <= rel && !self.replay.guarded.contains(&(*due, key.1)))
            {
                self.finding.fail(at.time, || {
                    format!(
                        "client {} sets its watches again from {rel} and never got the event of {due} at {}",
                        at.process.0, key.1
                    )
                });
                continue;
            }
            if let Some(kind) = self.missed(key, watch, rel, zr) {
                self.finding.fail(at.time, || {
                    format!(
                        "client {} set its watches again at {zr} from {rel} and was not told {kind:?} at {}",
                        at.process.0, key.1
                    )
                });
                continue;
            }
            let (since, due) = (zr, self.first_after(key, zr));
            client.arm(
                key,
                Watch {
                    since,
                    due,
                    ..watch
                },
            );
        }
    }

    /// What a server at `zr` must tell of a watch that is set again by a client that was shown `rel` last. A client that
    /// names less than it was shown when it left the watch makes no news of the old.
    fn missed(&self, key: Key<'_>, watch: Watch, rel: Zxid, zr: Zxid) -> Option<WatchKind> {
        let rel = rel.max(watch.since);
        let triggers = self.replay.triggers.get(key.1)?;
        let upto = |list| {
            let triggers = triggers.of(list);
            &triggers[..triggers.partition_point(|(zxid, _)| *zxid <= zr)]
        };
        // Without any change it is absent, or of the initial tree and as it was.
        let last = upto(WatchList::Data).last();
        let gone = last.is_some_and(|(_, kind)| *kind == WatchKind::NodeDeleted);
        let news = |last: Option<&(Zxid, WatchKind)>| last.is_some_and(|(zxid, _)| *zxid > rel);
        match key.0 {
            WatchList::Data if !watch.present => {
                last.filter(|_| !gone).map(|_| WatchKind::NodeCreated)
            }
            _ if gone => Some(WatchKind::NodeDeleted),
            WatchList::Data => news(last).then_some(WatchKind::NodeDataChanged),
            WatchList::Child => {
                // A node made anew has its own creation for the last change of its children.
                let made = upto(WatchList::Data)
                    .iter()
                    .rfind(|(_, kind)| *kind == WatchKind::NodeCreated);
                (news(upto(WatchList::Child).last()) || news(made))
                    .then_some(WatchKind::NodeChildrenChanged)
            }
        }
    }

    fn first_after(&self, (list, path): Key<'_>, since: Zxid) -> Option<(Zxid, WatchKind)> {
        let triggers = self.replay.triggers.get(path)?.of(list);
        let at = triggers.partition_point(|(zxid, _)| *zxid <= since);
        triggers.get(at).copied()
    }
}

impl<'a> Client<'a> {
    fn arm(&mut self, key: Key<'a>, watch: Watch) {
        if let Some((zxid, _)) = watch.due {
            self.due.insert((zxid, key));
        }
        self.set.insert(key, watch);
    }

    fn disarm(&mut self, key: Key<'a>) -> Option<Watch> {
        let watch = self.set.remove(&key)?;
        if let Some((zxid, _)) = watch.due {
            self.due.remove(&(zxid, key));
        }
        Some(watch)
    }

    /// No server has the watches now: nothing is due, though the client keeps them.
    fn detach(&mut self) {
        self.detached = true;
        self.due.clear();
        self.caught_up.clear();
        self.may_repeat = None;
    }

    /// Whether a watch that stays hears of it: at the node itself, or above it of anything but changed children.
    fn hears(&self, event: &WatchEvent) -> bool {
        let below = |path: &str| {
            let rest = event.path.strip_prefix(path);
            rest.is_some_and(|rest| path == "/" || rest.is_empty() || rest.starts_with('/'))
        };
        self.staying.iter().any(|(path, mode)| match mode {
            AddWatchMode::Persistent => **path == *event.path,
            AddWatchMode::PersistentRecursive => {
                event.kind != WatchKind::NodeChildrenChanged && below(path)
            }
        })
    }

    /// The server has taken watches away.
    fn removed(&mut self, path: &'a str, kind: WatcherType) {
        let any = kind == WatcherType::Any;
        if any || kind == WatcherType::Data {
            self.disarm((WatchList::Data, path));
        }
        if any || kind == WatcherType::Children {
            self.disarm((WatchList::Child, path));
        }
        self.staying.retain(|(other, mode)| {
            let meant = match mode {
                AddWatchMode::Persistent => WatcherType::Persistent,
                AddWatchMode::PersistentRecursive => WatcherType::PersistentRecursive,
            };
            *other != path || !(any || kind == meant)
        });
    }

    fn forget(&mut self) {
        self.set.clear();
        self.staying.clear();
        self.due.clear();
        self.caught_up.clear();
    }
}

/// The watches that an event may be for.
fn keys_of(event: &WatchEvent) -> impl Iterator<Item = Key<'_>> {
    let data = event.kind != WatchKind::NodeChildrenChanged;
    let child = matches!(
        event.kind,
        WatchKind::NodeChildrenChanged | WatchKind::NodeDeleted
    );
    let path = &*event.path;
    [
        data.then_some((WatchList::Data, path)),
        child.then_some((WatchList::Child, path)),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests;
