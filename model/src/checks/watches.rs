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
//! A persistent watch (`addWatch`) stays: every change of its node, or, if it is recursive, every node made, set or removed at
//! and below it, comes as one event, in order, until the connection is lost; from `SetWatches` on it is there again, without
//! what happened meanwhile. Several watches of one session that a change reaches are told of it once.
//!
//! Who may not read a node is not told of it; a one-shot watch is used up by that. Its client, which has heard nothing, sets it
//! again on its next connection: then it may be told, and need not be.
//!
//! Where a run ended quietly, with everything delivered, nobody who is still connected waits for the event of a change.
//!
//! Source: ZooKeeper's guarantees on watches; `WatchManager`, `DataTree.setWatches`; ZOOKEEPER-1412 is a bug it finds. Before
//! 3.9 events carried no zxid; this check wants one.

use super::history::{At, Call, History, NEVER, Step};
use super::replay::{Claim, Replay};
use super::{Check, Evidence, Finding};
use crate::reference::{WatchList, grants, watch_of};
use crate::witness::partition_near;
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{
    AddWatchMode, ErrorCode, HistoryEvent, HistoryKind, Op, Perms, ProcessId, Reply, SessionChange,
    SessionId, Time, WatchEvent, WatchKind, WatcherType, Zxid,
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
        history: &evidence.history,
        replay,
        survive: evidence.options.watches_survive_reconnect,
        finding: Finding::default(),
        now: 0,
        left: 0,
        events: 0,
    };
    let history = &evidence.history;
    let processes = history.clients().iter();
    let mut clients: Vec<Client<'_>> = processes.map(|process| Client::new(*process)).collect();
    for (at, step) in history.steps() {
        scan.now = at;
        match step {
            Step::Done(at) => {
                let call = &history.calls[at as usize];
                if call.is_definite() {
                    scan.reply(&mut clients[call.client as usize], call, at as usize);
                }
            }
            Step::Told(event) => {
                scan.take(&mut clients[history.client(event.process)], event);
            }
        }
    }
    if evidence.options.quiet_end {
        let end = evidence.history.time(NEVER);
        for client in &clients {
            scan.waiting(client, end);
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

/// A watch: of which kind, and the place of its path among those that are watched.
type Key = (Kind, u32);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Once(WatchList),
    Persistent,
    Recursive,
}

/// Whether a client is told of a change: who may not read the node is not. From when on a proof of its identity counted is not
/// certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Yes,
    Perhaps,
    No,
}

/// A change that a watch waits for, by its place among all that fired.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Due {
    zxid: Zxid,
    place: u32,
}

/// What a client's watches are, as its server must see them.
#[derive(Default)]
struct Client<'a> {
    process: ProcessId,
    session: SessionId,
    /// The session was made by a server without a quorum: its watches go on in the next one.
    provisional: bool,
    /// The connection broke or is new: the watches are not set on any server.
    detached: bool,
    set: BTreeMap<Key, Watch>,
    /// Those that have become due, by their transaction.
    due: BTreeSet<(Due, Key)>,
    /// The events without a zxid since the connection began.
    caught_up: Vec<(Key, Watch, WatchKind)>,
    /// Those that were used up unheard, and whether the client has set them again since.
    unheard: BTreeMap<Key, bool>,
    /// Of those caught up the last path that was gone and watched in both lists: it may be told of once more.
    may_repeat: Option<&'a str>,
}

#[derive(Clone)]
struct Watch {
    /// The state behind which it watches.
    since: Zxid,
    /// Whether the node was there.
    present: bool,
    /// When the read that left it was answered.
    left: At,
    /// The changes that it waits for: one, or of one that stays all of one transaction, whose order is open where a session's
    /// end removes several nodes.
    due: Vec<Due>,
    /// Where in its list of changes, or in its two lists, it found the last of these: the next one is near.
    near: [usize; 2],
}

struct Scan<'r, 'a> {
    history: &'r History<'a>,
    replay: &'r Replay<'a>,
    survive: bool,
    finding: Finding,
    /// The event in hand.
    now: At,
    left: u64,
    events: u64,
}

impl<'a> Scan<'_, 'a> {
    fn take(&mut self, client: &mut Client<'a>, event: &'a HistoryEvent) {
        match &event.kind {
            HistoryKind::Watch { zxid, event: e, .. } => {
                self.events += 1;
                self.finding.examined += 1;
                match zxid {
                    Some(zxid) => self.event(client, *zxid, e, event),
                    None => self.catch_up(client, e, event),
                }
            }
            HistoryKind::Session { change } => match change {
                SessionChange::Connected {
                    reattached,
                    read_only,
                    ..
                } => {
                    let provisional = *read_only && !reattached;
                    self.connected(client, event.session, provisional);
                }
                SessionChange::WatchesSet { relative, zxid, .. } => {
                    self.watches_set(client, *relative, *zxid, event);
                }
                SessionChange::Disconnected => client.detach(),
                SessionChange::Expired | SessionChange::AuthFailed | SessionChange::Closed => {
                    client.forget();
                }
            },
            _ => {}
        }
    }

    fn connected(&mut self, client: &mut Client<'a>, session: SessionId, provisional: bool) {
        client.detach();
        // What was set at a server without a quorum goes along into the session that follows.
        let goes_on = session == client.session || client.provisional;
        if !goes_on || !self.survive {
            client.forget();
        }
        client.provisional = provisional;
        client.session = session;
    }

    fn reply(&mut self, client: &mut Client<'a>, call: &Call<'a>, index: usize) {
        let at = self.history.time(self.now);
        if client.detached && !client.set.is_empty() {
            self.finding.fail_about(at, &[self.now], || {
                let (process, count) = (client.process.0, client.set.len());
                format!("client {process} got a reply on a new connection before its {count} watches were set there")
            });
            client.forget();
        }
        client.detached = false;
        self.late(client, call.zxid, true, at);
        if let Some(asked) = self.replay.asked[index] {
            let key = (Kind::Once(asked.list), asked.place);
            match call.observed() {
                Some(Ok(_)) => self.leave_one(client, key, true, call.zxid),
                Some(Err(ErrorCode::NoNode)) if asked.of_absent => {
                    self.leave_one(client, key, false, call.zxid);
                }
                _ => {}
            }
        } else if call.watches() {
            self.leave(client, call.op(), call.observed(), call.zxid);
        }
    }

    /// Leaves the watches that a request asks for and that its result lets it.
    fn leave(
        &mut self,
        client: &mut Client<'a>,
        op: &'a Op,
        observed: Option<Result<&'a Reply, ErrorCode>>,
        zxid: Zxid,
    ) {
        let present = match observed {
            Some(Ok(_)) => true,
            // An absent node can be watched, one that may not be seen cannot.
            Some(Err(ErrorCode::NoNode)) => false,
            _ => return,
        };
        let (kind, path) = match (op, observed) {
            (Op::AddWatch { path, mode }, _) if present => match mode {
                AddWatchMode::Persistent => (Kind::Persistent, path),
                AddWatchMode::PersistentRecursive => (Kind::Recursive, path),
            },
            (Op::RemoveWatches { path, kind }, _) if present => {
                if let Some(place) = self.replay.place(path) {
                    client.remove(place, *kind);
                }
                return;
            }
            (Op::MultiRead { ops }, Some(Ok(Reply::MultiRead { results }))) => {
                for (op, result) in ops.iter().zip(results) {
                    self.leave(
                        client,
                        op,
                        Some(result.as_ref().map_err(|code| *code)),
                        zxid,
                    );
                }
                return;
            }
            _ => match watch_of(op, present) {
                Some((list, path)) => (Kind::Once(list), path),
                None => return,
            },
        };
        let place = self.replay.place(path);
        let key = (kind, place.expect("the replay knows what is watched"));
        self.leave_one(client, key, present, zxid);
    }

    fn leave_one(&mut self, client: &mut Client<'a>, key: Key, present: bool, zxid: Zxid) {
        if client.set.contains_key(&key) {
            return;
        }
        self.left += 1;
        self.finding.examined += 1;
        let mut watch = Watch {
            since: zxid,
            present,
            left: self.now,
            near: [0; 2],
            due: Vec::new(),
        };
        self.next_after(key, zxid, client.process, &mut watch);
        client.arm(key, watch);
    }

    /// Reports the watches that were due before `zxid` (or at it), and forgets them.
    fn late(&mut self, client: &mut Client<'a>, zxid: Zxid, or_at: bool, at: Time) {
        let process = client.process;
        while let Some((at_place, key)) = client.due.first().copied() {
            let due = at_place.zxid;
            if due > zxid || (due == zxid && !or_at) {
                return;
            }
            if self.told(at_place, process) != Told::Yes {
                match key.0 {
                    Kind::Once(_) => {
                        client.disarm(key);
                        client.unheard.insert(key, false);
                    }
                    Kind::Persistent | Kind::Recursive => self.go_on(client, key, at_place),
                }
                continue;
            }
            let watch = client.disarm(key).expect("what is due is set");
            let what = if or_at { "a reply" } else { "an event" };
            let about = self.about(watch.left, Some(due));
            self.finding.fail_about(at, &about, || {
                format!(
                    "client {} got {what} at {zxid} before the event of {due} at {} that its watch of {} waits for",
                    process.0, self.replay.path(key.1), watch.since
                )
            });
        }
    }

    /// What a violation is about: the read that left the watch, who made the change, and the event in hand.
    fn about(&self, left: At, change: Option<Zxid>) -> Vec<At> {
        let position = change.and_then(|zxid| self.replay.witness.position(zxid));
        let made = position.and_then(|position| match self.replay.claims[position] {
            Claim::Call(at) => Some(self.history.calls[at as usize].invoked),
            _ => None,
        });
        let mut about = vec![left];
        about.extend(made);
        about.push(self.now);
        about
    }

    /// Nothing is on its way any more, and every server has the whole log: an event that is due now is lost.
    fn waiting(&mut self, client: &Client<'a>, end: Time) {
        let process = client.process;
        if client.detached {
            return;
        }
        for (due, key) in &client.due {
            if self.told(*due, process) != Told::Yes {
                continue;
            }
            let left = client.set.get(key).map_or(self.now, |watch| watch.left);
            let about = self.about(left, Some(due.zxid));
            self.finding.fail_about(end, &about, || {
                format!(
                    "client {} never got the event of {} at {}",
                    process.0,
                    due.zxid,
                    self.replay.path(key.1)
                )
            });
        }
    }

    fn event(&mut self, client: &mut Client<'a>, zxid: Zxid, e: &'a WatchEvent, at: &HistoryEvent) {
        self.late(client, zxid, false, at.time);
        let fired = &self.replay.fired;
        let from = Due { zxid, place: 0 };
        let to = Due {
            zxid,
            place: u32::MAX,
        };
        let here = client.due.range((from, (Kind::Once(WatchList::Data), 0))..);
        let here = here.take_while(|(due, _)| *due <= to);
        let fits = |due: &Due| {
            let fired = &fired[due.place as usize];
            fired.kind == e.kind && fired.path == e.path && self.told(*due, at.process) != Told::No
        };
        let first = here.clone().map(|(due, _)| *due).find(fits);
        let Some(due) = first.filter(|_| !client.detached) else {
            let mut keys = keys_of(self.replay, e);
            if keys.any(|key| client.unheard.get(&key) == Some(&true)) {
                self.hear(client, e);
                return;
            }
            self.unexpected(client, Some(zxid), e, at);
            // Of a watch that fired wrongly nothing is known any more.
            for key in keys_of(self.replay, e) {
                client.disarm(key);
            }
            return;
        };
        let keys: Vec<Key> = here
            .filter(|(other, _)| *other == due)
            .map(|(_, key)| *key)
            .collect();
        self.hear(client, e);
        for key in keys {
            match key.0 {
                Kind::Once(_) => drop(client.disarm(key)),
                Kind::Persistent | Kind::Recursive => self.go_on(client, key, due),
            }
        }
    }

    /// What it is told uses up what it had not heard of.
    fn hear(&self, client: &mut Client<'a>, event: &WatchEvent) {
        if client.unheard.is_empty() {
            return;
        }
        for key in keys_of(self.replay, event) {
            client.unheard.remove(&key);
        }
    }

    /// A watch that stays waits for the next change.
    fn go_on(&self, client: &mut Client<'a>, key: Key, due: Due) {
        client.due.remove(&(due, key));
        let watch = client.set.get_mut(&key).expect("what is due is set");
        watch.due.retain(|other| *other != due);
        if watch.due.is_empty() {
            self.next_after(key, due.zxid, client.process, watch);
            let next = watch.due.iter().map(|due| (*due, key));
            client.due.extend(next);
        }
    }

    fn told(&self, due: Due, process: ProcessId) -> Told {
        match &self.replay.fired[due.place as usize].guard {
            None => Told::Yes,
            Some(acl) if !grants(acl, Perms::READ, self.history.all_identities(process)) => {
                Told::No
            }
            Some(acl) if grants(acl, Perms::READ, self.history.common()) => Told::Yes,
            Some(_) => Told::Perhaps,
        }
    }

    fn unexpected(
        &mut self,
        client: &Client<'a>,
        zxid: Option<Zxid>,
        e: &WatchEvent,
        at: &HistoryEvent,
    ) {
        let left = keys_of(self.replay, e).find_map(|key| client.set.get(&key));
        let about = self.about(left.map_or(self.now, |watch| watch.left), zxid);
        self.finding.fail_about(at.time, &about, || {
            let waits = keys_of(self.replay, e).find_map(|key| client.set.get(&key));
            let why = match (waits, client.detached) {
                (None, _) => "no watch was set there".to_owned(),
                (Some(_), true) if zxid.is_some() => {
                    "its watches were not set again yet".to_owned()
                }
                (Some(watch), _) => match watch.due.first() {
                    Some(due) => {
                        let kind = self.replay.fired[due.place as usize].kind;
                        format!("its watch was due at {} with {kind}", due.zxid)
                    }
                    None => "nothing happened there".to_owned(),
                },
            };
            let of = zxid.map_or("of no transaction".to_owned(), |zxid| format!("of {zxid}"));
            format!(
                "client {} got {} at {} {of}, but {why}",
                at.process.0, e.kind, e.path
            )
        });
    }

    /// An event without a zxid: which change it stands for is judged when the server has said at which state it looked.
    fn catch_up(&mut self, client: &mut Client<'a>, e: &'a WatchEvent, at: &HistoryEvent) {
        let keys: Vec<Key> = keys_of(self.replay, e)
            .filter(|key| client.set.contains_key(key))
            .collect();
        // It may be for a watch that was used up unheard, or for the one that was left in its place.
        let mut unheard = keys_of(self.replay, e);
        if let Some(key) = unheard.find(|key| client.unheard.contains_key(key))
            && client.detached
        {
            if client.disarm(key).is_none() {
                client.unheard.remove(&key);
            }
            return;
        }
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
            let expected = self.missed(key, &watch, rel, zr);
            if expected != Some(kind) {
                let about = self.about(watch.left, None);
                self.finding.fail_about(at.time, &about, || {
                    format!(
                        "client {} was told {kind} at {} when it set its watches again at {zr} from {rel}; it should be {}",
                        at.process.0,
                        self.replay.path(key.1),
                        expected.map_or("nothing".to_owned(), |kind| kind.to_string())
                    )
                });
            }
        }
        let set = std::mem::take(&mut client.set);
        client.unheard.values_mut().for_each(|set| *set = true);
        client.due.clear();
        client.may_repeat = None;
        client.detached = false;
        for (key, mut watch) in set {
            self.finding.examined += 1;
            // What it was shown was behind the change, yet no event came: lost before the connection was (ZOOKEEPER-1412).
            let next = if matches!(key.0, Kind::Once(_)) {
                let near = &mut watch.near;
                self.first_after(key, Due::behind(watch.since), client.process, near)
            } else {
                watch.due.first().copied()
            };
            let next = next.filter(|due| due.zxid <= rel);
            if let Some(due) = next.filter(|due| self.told(*due, at.process) == Told::Yes) {
                let about = self.about(watch.left, Some(due.zxid));
                self.finding.fail_about(at.time, &about, || {
                    format!(
                        "client {} sets its watches again from {rel} and never got the event of {} at {}",
                        at.process.0,
                        due.zxid,
                        self.replay.path(key.1)
                    )
                });
                continue;
            }
            if let Some(kind) = self.missed(key, &watch, rel, zr) {
                let about = self.about(watch.left, None);
                self.finding.fail_about(at.time, &about, || {
                    format!(
                        "client {} set its watches again at {zr} from {rel} and was not told {kind} at {}",
                        at.process.0,
                        self.replay.path(key.1)
                    )
                });
                continue;
            }
            watch.since = zr;
            self.next_after(key, zr, client.process, &mut watch);
            client.arm(key, watch);
        }
    }

    /// What a server at `zr` must tell of a watch that is set again by a client that was shown `rel` last. A client that
    /// names less than it was shown when it left the watch makes no news of the old.
    fn missed(&self, key: Key, watch: &Watch, rel: Zxid, zr: Zxid) -> Option<WatchKind> {
        let rel = rel.max(watch.since);
        // What stays is set again, and that is all.
        let Kind::Once(list) = key.0 else { return None };
        let (_, triggers) = &self.replay.triggers[key.1 as usize];
        let upto = |list| {
            let triggers = triggers.of(list);
            &triggers[..triggers.partition_point(|(zxid, ..)| *zxid <= zr)]
        };
        // Without any change it is absent, or of the initial tree and as it was.
        let last = upto(WatchList::Data).last();
        let gone = last.is_some_and(|(_, kind, _)| *kind == WatchKind::NodeDeleted);
        let news =
            |last: Option<&(Zxid, WatchKind, u32)>| last.is_some_and(|(zxid, ..)| *zxid > rel);
        match list {
            WatchList::Data if !watch.present => {
                last.filter(|_| !gone).map(|_| WatchKind::NodeCreated)
            }
            _ if gone => Some(WatchKind::NodeDeleted),
            WatchList::Data => news(last).then_some(WatchKind::NodeDataChanged),
            WatchList::Child => {
                // A node made anew has its own creation for the last change of its children.
                let made = upto(WatchList::Data)
                    .iter()
                    .rfind(|(_, kind, _)| *kind == WatchKind::NodeCreated);
                (news(upto(WatchList::Child).last()) || news(made))
                    .then_some(WatchKind::NodeChildrenChanged)
            }
        }
    }

    /// Sets what the watch waits for from the state `zxid` on.
    fn next_after(&self, key: Key, zxid: Zxid, process: ProcessId, watch: &mut Watch) {
        let Watch { due, near, .. } = watch;
        due.clear();
        due.extend(self.first_after(key, Due::behind(zxid), process, near));
        let stays = !matches!(key.0, Kind::Once(_));
        while let Some(last) = due.last().copied().filter(|last| {
            let next = self.replay.fired.get(last.place as usize + 1);
            stays && next.is_some_and(|next| next.zxid == last.zxid)
        }) {
            match self
                .first_after(key, last, process, near)
                .filter(|next| next.zxid == last.zxid)
            {
                Some(next) => due.push(next),
                None => break,
            }
        }
    }

    /// The first change behind that one that the watch is for. A watch that stays waits for nothing that it may not be told.
    /// `near`: where in the list it was found the last time.
    fn first_after(
        &self,
        (kind, place): Key,
        after: Due,
        process: ProcessId,
        near: &mut [usize; 2],
    ) -> Option<Due> {
        let (_, triggers) = &self.replay.triggers[place as usize];
        let is_behind = |zxid: Zxid, place: u32| Due { zxid, place } > after;
        let first = |triggers: &[(Zxid, WatchKind, u32)], near: &mut usize| {
            let is_before = |(zxid, _, place): &(Zxid, WatchKind, u32)| !is_behind(*zxid, *place);
            let at = partition_near(triggers, *near, is_before);
            *near = at;
            let shown = |(zxid, _, place): &&(Zxid, WatchKind, u32)| {
                let due = Due {
                    zxid: *zxid,
                    place: *place,
                };
                matches!(kind, Kind::Once(_)) || self.told(due, process) != Told::No
            };
            let (zxid, _, place) = *triggers[at..].iter().find(shown)?;
            Some(Due { zxid, place })
        };
        match kind {
            Kind::Once(list) => first(triggers.of(list), &mut near[0]),
            Kind::Persistent => {
                let data = first(&triggers.data, &mut near[0]);
                let child = first(&triggers.child, &mut near[1]);
                data.into_iter().chain(child).min()
            }
            Kind::Recursive => first(&triggers.within, &mut near[0]),
        }
    }
}
impl Due {
    /// Behind everything of that transaction.
    fn behind(zxid: Zxid) -> Due {
        Due {
            zxid,
            place: u32::MAX,
        }
    }
}

impl Client<'_> {
    fn new(process: ProcessId) -> Self {
        Client {
            process,
            ..Client::default()
        }
    }

    fn arm(&mut self, key: Key, watch: Watch) {
        for due in &watch.due {
            self.due.insert((*due, key));
        }
        self.set.insert(key, watch);
    }

    fn disarm(&mut self, key: Key) -> Option<Watch> {
        let watch = self.set.remove(&key)?;
        for due in &watch.due {
            self.due.remove(&(*due, key));
        }
        Some(watch)
    }

    fn remove(&mut self, place: u32, kind: WatcherType) {
        let (data, child) = (Kind::Once(WatchList::Data), Kind::Once(WatchList::Child));
        let kinds: &[Kind] = match kind {
            WatcherType::Children => &[child],
            WatcherType::Data => &[data],
            WatcherType::Any => &[data, child, Kind::Persistent, Kind::Recursive],
            WatcherType::Persistent => &[Kind::Persistent],
            WatcherType::PersistentRecursive => &[Kind::Recursive],
        };
        for kind in kinds {
            self.disarm((*kind, place));
            self.unheard.remove(&(*kind, place));
        }
    }

    /// No server has the watches now: nothing is due, though the client keeps them.
    fn detach(&mut self) {
        self.detached = true;
        self.unheard.values_mut().for_each(|set| *set = false);
        self.due.clear();
        self.caught_up.clear();
        self.may_repeat = None;
    }

    fn forget(&mut self) {
        self.set.clear();
        self.unheard.clear();
        self.due.clear();
        self.caught_up.clear();
    }
}

/// The watches that an event may be for.
fn keys_of(replay: &Replay<'_>, event: &WatchEvent) -> impl Iterator<Item = Key> + use<> {
    let data = event.kind != WatchKind::NodeChildrenChanged;
    let child = matches!(
        event.kind,
        WatchKind::NodeChildrenChanged | WatchKind::NodeDeleted
    );
    let place = replay.place(&event.path);
    let lists = [
        data.then_some(Kind::Once(WatchList::Data)),
        child.then_some(Kind::Once(WatchList::Child)),
    ];
    let kinds = lists.into_iter().flatten();
    kinds.filter_map(move |kind| place.map(|place| (kind, place)))
}

#[cfg(test)]
mod tests;
