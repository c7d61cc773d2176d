//! Where nothing can have fired: a client whose watch is set is told of its change before anything that shows it, so as long
//! as it is shown later states and told nothing, nothing fired there.
//!
//! What lies in a gap is a guess, and a guess that would make a watch late proves nothing against the servers. So the search
//! first looks for a log in which every watch was answered. Only where there is none does it look for one in which some watch
//! was not, and then the check of the watches says so.

use crate::checks::history::{Call, History, Step};
use crate::reference::{Lookup, Trigger, WatchList, grants, watch_of};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::{
    AddWatchMode, ErrorCode, HistoryKind, Op, Perms, ProcessId, Reply, SessionChange, WatchEvent,
    WatchKind, WatcherType, ZPath, Zxid, parent_of,
};

/// Which changes of a path a watch is told of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Data,
    Child,
    Persistent,
    Recursive,
}

/// A watch that is set.
#[derive(Clone, Copy)]
struct Watch {
    /// Nothing fired behind this state.
    since: Zxid,
    /// Whether the node was there when it was left.
    present: bool,
}

/// What one client watches.
#[derive(Default)]
struct Client<'a> {
    set: BTreeMap<(Kind, &'a str), Watch>,
    /// The newest state that it was shown on its connection.
    shown: Zxid,
    /// The connection is new or gone: no server has the watches.
    detached: bool,
}

/// For each path and kind of watch: behind which states, up to which, nothing fired.
#[derive(Default)]
pub(super) struct Quiet {
    spans: Lookup<ZPath, Vec<(Kind, Zxid, Zxid)>>,
    /// Nodes that not everybody may always read, or whose names begin so. A watch of one may be used up unheard, and what fires
    /// behind that is for none.
    guarded: BTreeSet<ZPath>,
    guarded_begin: Vec<ZPath>,
}

impl Quiet {
    pub fn new(history: &History<'_>) -> Quiet {
        let mut quiet = Quiet::default();
        for call in &history.calls {
            quiet.guard(call.op(), history);
        }
        let mut clients: BTreeMap<ProcessId, Client<'_>> = BTreeMap::new();
        for (_, step) in history.steps() {
            let event = match step {
                Step::Done(call) => {
                    let call = &history.calls[call as usize];
                    if call.is_definite() {
                        quiet.reply(clients.entry(call.process()).or_default(), call);
                    }
                    continue;
                }
                Step::Told(event) => event,
            };
            let client = clients.entry(event.process).or_default();
            match &event.kind {
                HistoryKind::Watch { zxid, event, .. } => quiet.event(client, *zxid, event),
                HistoryKind::Session { change } => match change {
                    SessionChange::Connected { .. } | SessionChange::Disconnected => {
                        quiet.detach(client);
                    }
                    SessionChange::WatchesSet { zxid, .. } => quiet.set_again(client, *zxid),
                    SessionChange::Expired | SessionChange::AuthFailed | SessionChange::Closed => {
                        quiet.detach(client);
                        client.set.clear();
                    }
                },
                _ => {}
            }
        }
        for client in clients.values_mut() {
            quiet.detach(client);
        }
        for spans in quiet.spans.values_mut() {
            spans.sort_unstable();
            // From here on the end says up to where any span that begins no later goes.
            let mut before: Option<(Kind, Zxid)> = None;
            for (kind, _, to) in spans {
                if let Some((_, far)) = before.filter(|(other, _)| *other == *kind) {
                    *to = far.max(*to);
                }
                before = Some((*kind, *to));
            }
        }
        quiet
    }

    /// Whether a watch that would have been told of this was told nothing. Who may not read the node is told nothing anyway.
    pub fn forbids(&self, at: Zxid, trigger: &Trigger, history: &History<'_>) -> bool {
        let list = match trigger.list {
            WatchList::Data => Kind::Data,
            WatchList::Child => Kind::Child,
        };
        let path = &trigger.path;
        let mut forbidden =
            self.is_quiet(path, list, at) || self.is_quiet(path, Kind::Persistent, at);
        if trigger.list == WatchList::Data {
            let mut above = Some(&**path);
            while let (Some(path), false) = (above, forbidden) {
                forbidden = self.is_quiet(path, Kind::Recursive, at);
                above = parent_of(path);
            }
        }
        forbidden && grants(&trigger.acl, Perms::READ, history.common())
    }

    fn is_quiet(&self, path: &str, kind: Kind, at: Zxid) -> bool {
        let Some(spans) = self.spans.get(path) else {
            return false;
        };
        let behind = spans.partition_point(|(other, from, _)| (*other, *from) < (kind, at));
        let last = behind.checked_sub(1).map(|last| spans[last]);
        last.is_some_and(|(other, _, to)| other == kind && at <= to)
    }

    fn guard(&mut self, op: &Op, history: &History<'_>) {
        match op {
            Op::Multi { ops } => ops.iter().for_each(|op| self.guard(op, history)),
            Op::Create {
                path, acl, mode, ..
            } if !grants(acl, Perms::READ, history.common()) => {
                if mode.is_sequential() {
                    self.guarded_begin.push(path.clone());
                } else {
                    self.guarded.insert(path.clone());
                }
            }
            Op::SetAcl { path, acl, .. } if !grants(acl, Perms::READ, history.common()) => {
                self.guarded.insert(path.clone());
            }
            _ => {}
        }
    }

    fn may_be_used_up(&self, kind: Kind, path: &str) -> bool {
        matches!(kind, Kind::Data | Kind::Child)
            && (self.guarded.contains(path)
                || self
                    .guarded_begin
                    .iter()
                    .any(|begin| path.starts_with(&**begin)))
    }

    fn note(&mut self, (kind, path): (Kind, &str), from: Zxid, to: Zxid) {
        if from < to && !self.may_be_used_up(kind, path) {
            let spans = self.spans.entry(path.into()).or_default();
            spans.push((kind, from, to));
        }
    }

    fn reply<'a>(&mut self, client: &mut Client<'a>, call: &Call<'a>) {
        if client.detached {
            // They were not set again: on the new connection there are none.
            client.set.clear();
            client.detached = false;
        }
        client.shown = client.shown.max(call.zxid);
        if let Some(observed) = call.observed() {
            self.leave(client, call.op(), observed, call.zxid);
        }
    }

    fn leave<'a>(
        &mut self,
        client: &mut Client<'a>,
        op: &'a Op,
        observed: Result<&'a Reply, ErrorCode>,
        zxid: Zxid,
    ) {
        let present = match observed {
            Ok(_) => true,
            Err(ErrorCode::NoNode) => false,
            Err(_) => return,
        };
        let key = match (op, observed) {
            (Op::AddWatch { path, mode }, Ok(_)) => match mode {
                AddWatchMode::Persistent => (Kind::Persistent, &**path),
                AddWatchMode::PersistentRecursive => (Kind::Recursive, &**path),
            },
            (Op::RemoveWatches { path, kind }, Ok(_)) => {
                for kind in removed(*kind) {
                    self.end(client, (*kind, path), client.shown);
                }
                return;
            }
            (Op::MultiRead { ops }, Ok(Reply::MultiRead { results })) => {
                for (op, result) in ops.iter().zip(results) {
                    self.leave(client, op, result.as_ref().map_err(|code| *code), zxid);
                }
                return;
            }
            _ => match watch_of(op, present) {
                Some((WatchList::Data, path)) => (Kind::Data, &**path),
                Some((WatchList::Child, path)) => (Kind::Child, &**path),
                None => return,
            },
        };
        let since = zxid;
        client.set.entry(key).or_insert(Watch { since, present });
    }

    /// The watch is no more; nothing fired up to there.
    fn end<'a>(&mut self, client: &mut Client<'a>, key: (Kind, &'a str), upto: Zxid) {
        if let Some(watch) = client.set.remove(&key).filter(|_| !client.detached) {
            self.note(key, watch.since, upto);
        }
    }

    fn event<'a>(&mut self, client: &mut Client<'a>, zxid: Option<Zxid>, event: &'a WatchEvent) {
        let path: &'a str = &event.path;
        // What was missed comes without a zxid, and says not when it was.
        let before = zxid.map_or(Zxid::ZERO, |zxid| Zxid(zxid.0.saturating_sub(1)));
        client.shown = client.shown.max(before);
        if event.kind != WatchKind::NodeChildrenChanged {
            self.end(client, (Kind::Data, path), before);
        }
        if matches!(
            event.kind,
            WatchKind::NodeChildrenChanged | WatchKind::NodeDeleted
        ) {
            self.end(client, (Kind::Child, path), before);
        }
        let Some(zxid) = zxid else { return };
        let mut above = Some(path);
        let mut kind = Kind::Persistent;
        while let Some(here) = above {
            self.go_on(client, (kind, here), before, zxid);
            if kind == Kind::Persistent {
                kind = Kind::Recursive;
            } else {
                above = parent_of(here);
            }
        }
    }

    /// A watch that stays was told of that transaction, and of nothing before it.
    fn go_on<'a>(
        &mut self,
        client: &mut Client<'a>,
        key: (Kind, &'a str),
        before: Zxid,
        zxid: Zxid,
    ) {
        if let Some(watch) = client.set.get_mut(&key) {
            let since = watch.since;
            watch.since = zxid.max(since);
            self.note(key, since, before);
        }
    }

    /// No server has the watches any more.
    fn detach(&mut self, client: &mut Client<'_>) {
        if !client.detached {
            for (key, watch) in &mut client.set {
                self.note(*key, watch.since, client.shown);
                watch.since = client.shown.max(watch.since);
            }
        }
        (client.detached, client.shown) = (true, Zxid::ZERO);
    }

    /// The server has looked at its state: what it tells nothing of is as it was.
    fn set_again(&mut self, client: &mut Client<'_>, zxid: Zxid) {
        for (key, watch) in &mut client.set {
            // What was absent may have come and gone; of what a watch that stays missed it is told nothing.
            let was_looked_at = match key.0 {
                Kind::Data => watch.present,
                Kind::Child => true,
                Kind::Persistent | Kind::Recursive => false,
            };
            if was_looked_at {
                self.note(*key, watch.since, zxid);
            }
            watch.since = zxid;
        }
        (client.detached, client.shown) = (false, zxid);
    }
}

fn removed(kind: WatcherType) -> &'static [Kind] {
    match kind {
        WatcherType::Children => &[Kind::Child],
        WatcherType::Data => &[Kind::Data],
        WatcherType::Any => &[Kind::Data, Kind::Child, Kind::Persistent, Kind::Recursive],
        WatcherType::Persistent => &[Kind::Persistent],
        WatcherType::PersistentRecursive => &[Kind::Recursive],
    }
}
