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
//! Watches live on the server, for one connection. On the next one the client sets them again with the last zxid `r` it was
//! shown; the server at its state `zr` sends what changed meanwhile as events without a zxid, and sets the others at `zr`:
//! data: gone → Deleted, set or made anew behind `r` → DataChanged; absent when it was watched: there now → Created;
//! children: gone → Deleted, a child came or went behind `r` → ChildrenChanged. The one permitted loss: a node watched
//! while absent that was made and removed in between.
//!
//! Source: ZooKeeper's guarantees on watches; `WatchManager`, `DataTree.setWatches`; ZOOKEEPER-1412 is a bug it finds. Before
//! 3.9 events carried no zxid; this check wants one.

use super::history::{Call, History};
use super::replay::Replay;
use super::{Check, Evidence, Finding};
use crate::reference::{WatchList, watch_of};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{
    HistoryEvent, HistoryKind, ProcessId, SessionChange, SessionId, Time, WatchEvent, WatchKind,
    Zxid,
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
    /// Those that have become due, by their transaction.
    due: BTreeSet<(Zxid, Key<'a>)>,
    /// The events without a zxid since the connection began.
    caught_up: Vec<(Key<'a>, Watch, WatchKind)>,
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
            let what = if or_at { "a reply" } else { "an event" };
            self.finding.fail(at, || {
                format!(
                    "client {} got {what} at {zxid} before the event of {due} at {} that its watch of {} waits for",
                    process.0, key.1, watch.since
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
        if keys.is_empty() || client.detached {
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
        let fits = |key: &Key<'_>| {
            let watch = client.set.get(key);
            watch.is_some_and(|watch| self.first_after(*key, watch.since).is_some())
        };
        let keys: Vec<Key<'_>> = keys_of(e).filter(fits).collect();
        // A server that looks at both lists tells of a node gone once for each.
        let told =
            |(key, _, kind): &(Key<'_>, Watch, WatchKind)| key.1 == &*e.path && *kind == e.kind;
        if keys.is_empty() && e.kind == WatchKind::NodeDeleted && client.caught_up.iter().any(told)
        {
            return;
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
        client.detached = false;
        for (key, watch) in set {
            self.finding.examined += 1;
            // What it was shown was behind the change, yet no event came: lost before the connection was (ZOOKEEPER-1412).
            if let Some((due, _)) = self
                .first_after(key, watch.since)
                .filter(|(due, _)| *due <= rel)
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
            let since = watch.since.max(zr);
            let due = self.first_after(key, since);
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

    /// What a server at `zr` must tell of a watch that is set again by a client that was shown `rel` last.
    fn missed(&self, key: Key<'_>, watch: Watch, rel: Zxid, zr: Zxid) -> Option<WatchKind> {
        let last = |list| {
            let triggers = self.replay.triggers.get(key.1)?.of(list);
            let upto = triggers.partition_point(|(zxid, _)| *zxid <= zr);
            upto.checked_sub(1)
                .map(|at| triggers[at])
                .filter(|(zxid, _)| *zxid > watch.since)
        };
        let data = last(WatchList::Data);
        let gone = data.is_some_and(|(_, kind)| kind == WatchKind::NodeDeleted);
        match key.0 {
            WatchList::Data if watch.present => match data {
                Some(_) if gone => Some(WatchKind::NodeDeleted),
                Some((zxid, _)) if zxid > rel => Some(WatchKind::NodeDataChanged),
                _ => None,
            },
            WatchList::Data => data.filter(|_| !gone).map(|_| WatchKind::NodeCreated),
            WatchList::Child if gone => Some(WatchKind::NodeDeleted),
            WatchList::Child => {
                let child = last(WatchList::Child).map(|(zxid, _)| zxid);
                // A node made anew has its own creation for the last change of its children.
                let made = data
                    .filter(|(_, kind)| *kind == WatchKind::NodeCreated)
                    .map(|(zxid, _)| zxid);
                (child.max(made) > Some(rel)).then_some(WatchKind::NodeChildrenChanged)
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
    }

    fn forget(&mut self) {
        self.set.clear();
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
mod tests {
    use super::super::testing::{
        Run, World, create, delete, get, report, set, watch, watch_children, watch_exists,
    };
    use zabsim_types::{HistoryEvent, HistoryKind, Op, SessionChange, WatchKind, Zxid};

    const NAME: &str = "watches";

    fn detail(run: &Run) -> String {
        report(run, NAME).detail
    }

    fn position(run: &Run, fits: impl Fn(&HistoryEvent) -> bool) -> usize {
        run.history.iter().position(fits).expect("such an event")
    }

    fn is_event(event: &HistoryEvent) -> bool {
        matches!(event.kind, HistoryKind::Watch { .. })
    }

    /// Client 1 watches, client 2 writes, client 1 reads.
    fn run() -> Run {
        let mut world = World::new(2, 1);
        world.now(1, create("/a"));
        world.now(1, watch("/a"));
        world.now(1, watch_children("/a"));
        world.now(2, create("/a/x"));
        world.now(2, set("/a", "1"));
        world.now(1, watch("/a"));
        world.now(2, set("/a", "2"));
        world.now(2, set("/a", "3"));
        world.settle();
        world.finish()
    }

    #[test]
    fn a_legal_run_is_accepted() {
        let report = report(&run(), NAME);
        assert!(report.ok(), "{}", report.detail);
        assert_eq!(report.detail, "3 watches left, 3 events");
    }

    #[test]
    fn a_lost_event_is_found() {
        let mut run = run();
        let at = position(&run, is_event);
        run.history.remove(at);
        assert!(detail(&run).contains("before the event of"));
    }

    #[test]
    fn an_event_behind_its_data_is_found() {
        let mut world = World::new(1, 1);
        world.now(1, create("/a"));
        world.now(1, watch("/a"));
        world.now(1, set("/a", "1"));
        let mut run = world.finish();
        assert!(report(&run, NAME).ok());
        let at = position(&run, is_event);
        run.swap(at, at + 1);
        assert!(detail(&run).contains("got a reply at"));
    }

    #[test]
    fn a_watch_fires_once() {
        let mut run = run();
        let at = position(&run, is_event);
        let again = run.history[at].clone();
        run.history.insert(at + 1, again);
        assert!(detail(&run).contains("no watch was set there"));
    }

    #[test]
    fn an_event_names_its_transaction_and_its_change() {
        let mut run = run();
        let at = position(&run, is_event);
        let HistoryKind::Watch { zxid, .. } = &mut run.history[at].kind else {
            panic!("an event");
        };
        *zxid = zxid.map(|zxid| Zxid(zxid.0 - 1));
        assert!(detail(&run).contains("its watch was due at"));
        let HistoryKind::Watch { zxid, .. } = &mut run.history[at].kind else {
            panic!("an event");
        };
        *zxid = zxid.map(|zxid| Zxid(zxid.0 + 1));
        assert!(report(&run, NAME).ok());
        let HistoryKind::Watch { event, .. } = &mut run.history[at].kind else {
            panic!("an event");
        };
        event.kind = WatchKind::NodeDeleted;
        assert!(!report(&run, NAME).ok());
    }

    #[test]
    fn events_come_in_the_order_of_their_transactions() {
        let mut run = run();
        let first = position(&run, is_event);
        let events: Vec<usize> = (first..run.history.len())
            .filter(|at| is_event(&run.history[*at]))
            .collect();
        run.swap(events[0], events[1]);
        assert!(detail(&run).contains("got an event at"));
    }

    /// The connection breaks; meanwhile the watched nodes change.
    fn reconnected(change: impl Fn(&mut World)) -> Run {
        let mut world = World::new(2, 2);
        world.now(1, create("/a"));
        world.now(1, watch("/a"));
        world.now(1, watch_children("/a"));
        world.now(1, watch_exists("/b"));
        world.lose(1);
        change(&mut world);
        world.catch_up(1);
        world.reconnect(1, 1);
        world.now(1, get("/a"));
        world.finish()
    }

    fn caught_up(run: &Run) -> Vec<(WatchKind, String)> {
        let caught = |event: &HistoryEvent| match &event.kind {
            HistoryKind::Watch {
                zxid: None, event, ..
            } => Some((event.kind, event.path.to_string())),
            _ => None,
        };
        run.history.iter().filter_map(caught).collect()
    }

    #[test]
    fn what_happened_while_away_is_told_on_return() {
        let quiet = reconnected(|_| {});
        assert_eq!(caught_up(&quiet), []);
        assert!(report(&quiet, NAME).ok(), "{}", detail(&quiet));
        type Change<'a> = (&'a [Op], &'a [(WatchKind, &'a str)]);
        let changes: [Change<'_>; 5] = [
            (&[set("/a", "1")], &[(WatchKind::NodeDataChanged, "/a")]),
            (&[create("/a/x")], &[(WatchKind::NodeChildrenChanged, "/a")]),
            (&[create("/b")], &[(WatchKind::NodeCreated, "/b")]),
            // The permitted loss.
            (&[create("/b"), delete("/b")], &[]),
            (
                &[delete("/a"), create("/a")],
                &[
                    (WatchKind::NodeDataChanged, "/a"),
                    (WatchKind::NodeChildrenChanged, "/a"),
                ],
            ),
        ];
        for (ops, told) in changes {
            let mut run = reconnected(|world| {
                for op in ops {
                    world.now(2, op.clone());
                }
            });
            let told: Vec<_> = told
                .iter()
                .map(|(kind, path)| (*kind, path.to_string()))
                .collect();
            assert_eq!(caught_up(&run), told);
            assert!(report(&run, NAME).ok(), "{}", detail(&run));
            if told.is_empty() {
                continue;
            }
            let at = position(&run, is_event);
            run.history.remove(at);
            assert!(detail(&run).contains("was not told"), "{}", detail(&run));
        }
    }

    #[test]
    fn a_catch_up_event_must_be_the_right_one() {
        let mut run = reconnected(|world| {
            world.now(2, set("/a", "1"));
        });
        let at = position(&run, is_event);
        let HistoryKind::Watch { event, .. } = &mut run.history[at].kind else {
            panic!("an event");
        };
        event.kind = WatchKind::NodeDeleted;
        assert!(detail(&run).contains("it should be"), "{}", detail(&run));
    }

    /// ZOOKEEPER-1412: the client names a zxid that its server had not applied, and misses what came before it.
    #[test]
    fn a_relative_zxid_from_the_future_hides_nothing() {
        let mut run = reconnected(|world| {
            world.now(2, set("/a", "1"));
        });
        let at = position(&run, is_event);
        run.history.remove(at);
        let mut lie = None;
        for event in &mut run.history {
            if let HistoryKind::Session {
                change: SessionChange::WatchesSet { relative, zxid, .. },
            } = &mut event.kind
            {
                *relative = *zxid;
                lie = Some(*zxid);
            }
        }
        assert!(lie.is_some());
        assert!(!report(&run, NAME).ok());
    }

    #[test]
    fn a_new_connection_without_its_watches_is_found() {
        let mut run = reconnected(|_| {});
        let at = position(&run, |event| {
            matches!(
                event.kind,
                HistoryKind::Session {
                    change: SessionChange::WatchesSet { .. }
                }
            )
        });
        run.history.remove(at);
        assert!(detail(&run).contains("watches were set there"));
        run.options.watches_survive_reconnect = false;
        assert!(report(&run, NAME).ok(), "{}", detail(&run));
    }
}
