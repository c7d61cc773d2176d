//! What the clients lived through, as lines of the timeline: sessions and connections, locks and terms, and the answers to the
//! script's own operations.
//!
//! The lines are made from the history after the run, when the end of everything is known: a lock that was given back is one
//! line and not two, and the operations that a broken connection left without an answer are counted in its line. At equal
//! times what the world tells stands first: the fault before what clients notice of it.

use crate::plan::SCRIPTED;
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::run::{TimelineEntry, Topic};
use zabsim_types::{
    CallId, HistoryEvent, HistoryKind, Op, ProcessId, RecipeEvent, RecipeStep, Reply, ServerId,
    SessionChange, Time, ZPath, Zxid,
};

/// The world's lines and the clients', by time. `dead`: clients whose process did not live to the end.
pub(crate) fn told_with(
    mut timeline: Vec<TimelineEntry>,
    history: &[HistoryEvent],
    dead: &BTreeSet<ProcessId>,
) -> Vec<TimelineEntry> {
    let mut story = Story::default();
    for event in history {
        story.read(event, dead);
    }
    timeline.extend(story.finished());
    timeline.sort_by_key(|line| line.at);
    timeline
}

#[derive(Default)]
struct Story {
    lines: Vec<TimelineEntry>,
    clients: BTreeMap<ProcessId, Client>,
    /// Requests of the script that wait for their answer.
    asked: BTreeMap<CallId, String>,
}

#[derive(Default)]
struct Client {
    server: Option<ServerId>,
    had_session: bool,
    /// When the connection was lost, and the line that tells it.
    lost: Option<(Time, usize)>,
    /// Operations left without an answer, and when.
    unknown: (Time, u32),
    /// Locks held and terms that last: since when, and the line of each.
    holds: BTreeMap<(ZPath, Zxid), (Time, usize)>,
}

impl Story {
    fn read(&mut self, event: &HistoryEvent, dead: &BTreeSet<ProcessId>) {
        let (at, who) = (event.time, event.process);
        match &event.kind {
            HistoryKind::Invoke { id, request } if is_scripted(*id) => {
                self.asked.insert(*id, in_words(request));
            }
            HistoryKind::Ok { id, result, .. } => self.answered(at, who, *id, || of_reply(result)),
            HistoryKind::Fail { id, error, .. } => {
                self.answered(at, who, *id, || error.to_string());
            }
            HistoryKind::Info { id, error, .. } => {
                self.answered(at, who, *id, || format!("no answer ({error})"));
                let client = self.clients.entry(who).or_default();
                if client.unknown.0 != at {
                    client.unknown = (at, 0);
                }
                client.unknown.1 += 1;
                if let Some((lost_at, line)) = client.lost
                    && lost_at == at
                {
                    let server = client.server;
                    self.lines[line].what = loss(server, client.unknown.1);
                }
            }
            HistoryKind::Session { change } => {
                let dies = dead.contains(&who);
                self.session(at, event, change, dies);
            }
            HistoryKind::Recipe(step) => self.recipe(at, who, step),
            HistoryKind::Invoke { .. } | HistoryKind::Watch { .. } => {}
        }
    }

    fn line(&mut self, at: Time, who: ProcessId, topic: Topic, what: String) -> usize {
        self.lines.push(TimelineEntry {
            at,
            who: format!("c{}", who.0),
            topic,
            what,
        });
        self.lines.len() - 1
    }

    fn answered(&mut self, at: Time, who: ProcessId, id: CallId, answer: impl Fn() -> String) {
        if is_scripted(id)
            && let Some(asked) = self.asked.remove(&id)
        {
            self.line(at, who, Topic::Operation, format!("{asked}: {}", answer()));
        }
    }

    fn session(&mut self, at: Time, event: &HistoryEvent, change: &SessionChange, dies: bool) {
        let who = event.process;
        let client = self.clients.entry(who).or_default();
        match change {
            SessionChange::Connected {
                server,
                reattached,
                read_only,
                ..
            } => {
                client.server = Some(*server);
                let only = if *read_only { ", which only reads" } else { "" };
                let again = std::mem::replace(&mut client.had_session, true);
                let away = client.lost.take();
                let (topic, what) = match (reattached, away) {
                    (true, Some((since, _))) => {
                        let away = lasted(since, at);
                        (
                            Topic::Connection,
                            format!("is connected again, to {server}{only}; after {away}"),
                        )
                    }
                    (true, None) => (Topic::Connection, format!("goes on at {server}{only}")),
                    (false, _) if again => (
                        Topic::Session,
                        format!("opens a new session, at {server}{only}"),
                    ),
                    (false, _) => (
                        Topic::Session,
                        format!("opens its session, at {server}{only}"),
                    ),
                };
                self.line(at, who, topic, what);
            }
            SessionChange::Disconnected => {
                let unknown = match client.unknown {
                    (when, count) if when == at => count,
                    _ => 0,
                };
                let server = client.server;
                let line = match dies {
                    true => self.line(at, who, Topic::Death, death(unknown)),
                    false => self.line(at, who, Topic::Connection, loss(server, unknown)),
                };
                let client = self.clients.entry(who).or_default();
                if dies {
                    for ((object, _), (_, line)) in std::mem::take(&mut client.holds) {
                        self.lines[line].what = format!("holds {object}, and dies with it");
                    }
                } else {
                    client.lost = Some((at, line));
                }
            }
            SessionChange::Expired => {
                client.lost = None;
                let what = format!("loses its session to expiry; {}", event.session);
                self.line(at, who, Topic::Expiry, what);
            }
            SessionChange::AuthFailed => {
                client.lost = None;
                let what = "gives its session up: an identity was refused".to_string();
                self.line(at, who, Topic::Session, what);
            }
            SessionChange::Closed => {
                client.had_session = true;
                client.lost = None;
                self.line(at, who, Topic::Turn, "closes its session".to_string());
            }
            SessionChange::WatchesSet { .. } => {}
        }
    }

    fn recipe(&mut self, at: Time, who: ProcessId, event: &RecipeEvent) {
        let object = &event.object;
        match event.step {
            RecipeStep::LockAcquired { token } => {
                let what = format!("holds {object} to the end");
                self.begins(at, who, (object, token), what);
            }
            RecipeStep::LockReleased { token } => {
                self.ends(who, (object, token), |since| {
                    format!("holds {object}; for {}", lasted(since, at))
                });
            }
            RecipeStep::LockLost { token } => {
                self.ends(who, (object, token), |_| {
                    format!("holds {object}, and will lose it")
                });
                let what = format!("can no longer be sure that it holds {object}, and stops");
                self.line(at, who, Topic::RecipeLoss, what);
            }
            RecipeStep::FencedWrite {
                accepted: false, ..
            } => {
                let what =
                    format!("writes too late to what {object} guards: refused, by its token");
                self.line(at, who, Topic::RecipeLoss, what);
            }
            RecipeStep::LeaderElected { term } => {
                let what = format!("leads at {object}, to the end");
                self.begins(at, who, (object, term), what);
            }
            RecipeStep::LeaderResigned { term } => {
                let connected = self
                    .clients
                    .get(&who)
                    .is_none_or(|client| client.lost.is_none());
                self.ends(who, (object, term), |since| {
                    format!("leads at {object}; for {}", lasted(since, at))
                });
                if !connected {
                    let what =
                        format!("can no longer be sure that it leads at {object}, and stops");
                    self.line(at, who, Topic::RecipeLoss, what);
                }
            }
            RecipeStep::LockWanted
            | RecipeStep::ElectionEntered
            | RecipeStep::FencedWrite { accepted: true, .. } => {}
        }
    }

    fn begins(&mut self, at: Time, who: ProcessId, what: (&ZPath, Zxid), words: String) {
        let line = self.line(at, who, Topic::Turn, words);
        let holds = &mut self.clients.entry(who).or_default().holds;
        holds.insert((what.0.clone(), what.1), (at, line));
    }

    fn ends(&mut self, who: ProcessId, what: (&ZPath, Zxid), words: impl Fn(Time) -> String) {
        let holds = &mut self.clients.entry(who).or_default().holds;
        if let Some((since, line)) = holds.remove(&(what.0.clone(), what.1)) {
            self.lines[line].what = words(since);
        }
    }

    fn finished(self) -> Vec<TimelineEntry> {
        self.lines
    }
}

/// Whether the script asked for it, and not a program.
fn is_scripted(id: CallId) -> bool {
    const CALL: u64 = (1 << 40) - 1;
    id.0 & CALL >= SCRIPTED
}

fn loss(server: Option<ServerId>, unknown: u32) -> String {
    let server = server.map_or(String::new(), |server| format!(" to {server}"));
    format!("loses its connection{server}{}", counted_unknown(unknown))
}

fn death(unknown: u32) -> String {
    format!("dies{}", counted_unknown(unknown))
}

fn counted_unknown(unknown: u32) -> String {
    match unknown {
        0 => String::new(),
        1 => "; 1 operation unknown".to_string(),
        more => format!("; {more} operations unknown"),
    }
}

/// What a client still waits for at the end of a history, in words: an answer, or a lock or term, and who has it.
pub(crate) fn open_end(history: &[HistoryEvent], client: ProcessId) -> Option<String> {
    let mut asked: BTreeMap<CallId, (Time, String)> = BTreeMap::new();
    let mut wanted: BTreeMap<ZPath, (Time, &str)> = BTreeMap::new();
    let mut holders: BTreeMap<ZPath, (ProcessId, Time)> = BTreeMap::new();
    for event in history {
        let mine = event.process == client;
        match &event.kind {
            HistoryKind::Invoke { id, request } if mine => {
                asked.insert(*id, (event.time, in_words(request)));
            }
            HistoryKind::Ok { id, .. }
            | HistoryKind::Fail { id, .. }
            | HistoryKind::Info { id, .. } => {
                asked.remove(id);
            }
            HistoryKind::Recipe(RecipeEvent { object, step }) => match step {
                RecipeStep::LockWanted if mine => {
                    wanted.insert(object.clone(), (event.time, "the lock"));
                }
                RecipeStep::ElectionEntered if mine => {
                    wanted.insert(object.clone(), (event.time, "its election at"));
                }
                RecipeStep::LockAcquired { .. } | RecipeStep::LeaderElected { .. } => {
                    if mine {
                        wanted.remove(object);
                    }
                    holders.insert(object.clone(), (event.process, event.time));
                }
                RecipeStep::LockReleased { .. }
                | RecipeStep::LockLost { .. }
                | RecipeStep::LeaderResigned { .. } => {
                    let holder = holders.get(object).map(|(holder, _)| *holder);
                    if holder == Some(event.process) {
                        holders.remove(object);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    if let Some((object, (since, what))) = wanted.iter().min_by_key(|(_, (since, _))| *since) {
        let holder = match holders.get(object) {
            Some((holder, at)) => format!(
                "c{} has had it since {at} and has not given it up",
                holder.0
            ),
            None => "nobody is known to have it".to_string(),
        };
        return Some(format!(
            "it has waited for {what} {object} since {since}; {holder}"
        ));
    }
    let (since, asked) = asked.values().min_by_key(|(since, _)| *since)?;
    Some(format!(
        "it has waited for the answer to \"{asked}\" since {since}"
    ))
}

/// A length of time, as people say it.
pub(crate) fn lasted(since: Time, until: Time) -> String {
    let us = until.since(since);
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

fn in_words(op: &Op) -> String {
    match op {
        Op::Create { path, .. } => format!("create {path}"),
        Op::Delete { path, .. } => format!("delete {path}"),
        Op::SetData { path, .. } => format!("set {path}"),
        Op::GetData { path, .. } => format!("get {path}"),
        Op::Exists { path, .. } => format!("exists {path}"),
        Op::GetChildren { path, .. } => format!("children of {path}"),
        Op::Sync { path, .. } => format!("sync {path}"),
        Op::Check { path, .. } => format!("check {path}"),
        Op::Multi { ops } => {
            let parts: Vec<String> = ops.iter().map(in_words).collect();
            format!("multi ({})", parts.join(", "))
        }
        Op::CloseSession => "close the session".to_string(),
        Op::GetAcl { path } => format!("ACL of {path}"),
        Op::SetAcl { path, .. } => format!("set the ACL of {path}"),
        Op::AddAuth { scheme, .. } => format!("add an identity of {scheme}"),
        Op::WhoAmI => "who am I".to_string(),
        Op::DeleteContainer { path } => format!("delete the container {path}"),
        Op::AddWatch { path, .. } => format!("watch {path}"),
        Op::RemoveWatches { path, .. } => format!("remove watches of {path}"),
        Op::CheckWatches { path, .. } => format!("check watches of {path}"),
        Op::MultiRead { ops } => {
            let parts: Vec<String> = ops.iter().map(in_words).collect();
            format!("read ({})", parts.join(", "))
        }
        Op::GetEphemerals { prefix } => format!("ephemerals below {prefix}"),
        Op::GetAllChildrenNumber { path } => format!("count what is below {path}"),
        Op::Reconfig { .. } => "reconfigure".to_string(),
    }
}

fn of_reply(reply: &Reply) -> String {
    match reply {
        Reply::Created { path, .. } => format!("created {path}"),
        Reply::Deleted => "deleted".to_string(),
        Reply::Set { stat } => format!("set, version {}", stat.version),
        Reply::Data { data, stat } => {
            let shown = match data.as_deref() {
                None => "no data".to_string(),
                Some(bytes) if bytes.len() <= 40 => match std::str::from_utf8(bytes) {
                    Ok(text) => format!("{text:?}"),
                    Err(_) => format!("{} bytes", bytes.len()),
                },
                Some(bytes) => format!("{} bytes", bytes.len()),
            };
            format!("{shown}, version {}", stat.version)
        }
        Reply::Exists { stat } => format!("it does, version {}", stat.version),
        Reply::Children { names, .. } => match names.len() {
            0 => "none".to_string(),
            1..=5 => names.join(" "),
            more => format!("{more} of them"),
        },
        Reply::Synced { .. } => "done".to_string(),
        Reply::Checked => "as expected".to_string(),
        Reply::Multi { .. } => "all done".to_string(),
        Reply::MultiFailed { errors } => {
            let culprit = errors
                .iter()
                .find(|error| error.code() != 0 && error.code() != -2);
            match culprit {
                Some(error) => format!("nothing done ({error})"),
                None => "nothing done".to_string(),
            }
        }
        Reply::Closed => "closed".to_string(),
        Reply::Acl { acl, stat } => format!("{acl:?}, version {}", stat.aversion),
        Reply::AclSet { stat } => format!("set, version {}", stat.aversion),
        Reply::Identities { ids } => format!("{ids:?}"),
        Reply::MultiRead { results } => format!("{} results", results.len()),
        Reply::Ephemerals { paths } => format!("{} of them", paths.len()),
        Reply::ChildrenNumber { number } => number.to_string(),
        _ => "done".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::{ErrorCode, SessionId};

    fn event(ms: u64, client: u32, kind: HistoryKind) -> HistoryEvent {
        HistoryEvent {
            time: Time::from_ms(ms),
            process: ProcessId(client),
            session: SessionId(7),
            kind,
        }
    }

    fn connected(server: u8, reattached: bool) -> HistoryKind {
        HistoryKind::Session {
            change: SessionChange::Connected {
                server: ServerId(server),
                conn: 1,
                timeout_ms: 5_000,
                reattached,
                read_only: false,
            },
        }
    }

    fn changed(change: SessionChange) -> HistoryKind {
        HistoryKind::Session { change }
    }

    fn unknown(id: u64) -> HistoryKind {
        HistoryKind::Info {
            id: CallId(id),
            error: ErrorCode::ConnectionLoss,
            sent: true,
            xid: None,
        }
    }

    fn step(step: RecipeStep) -> HistoryKind {
        HistoryKind::Recipe(RecipeEvent {
            object: "/locks/ledger".into(),
            step,
        })
    }

    fn told(history: &[HistoryEvent], dead: &[u32]) -> Vec<String> {
        let dead = dead.iter().map(|client| ProcessId(*client)).collect();
        let world = vec![TimelineEntry {
            at: Time::from_ms(20),
            who: String::new(),
            topic: Topic::Fault,
            what: "first: crashes s1".into(),
        }];
        told_with(world, history, &dead)
            .into_iter()
            .map(|line| format!("{} {} {}", line.at.as_ms(), line.who, line.what))
            .collect()
    }

    #[test]
    fn a_lost_connection_counts_what_it_left_without_an_answer_whichever_comes_first() {
        let history = [
            event(1, 1, connected(1, false)),
            event(1, 2, connected(1, false)),
            event(20, 1, unknown(1)),
            event(20, 1, unknown(2)),
            event(20, 1, changed(SessionChange::Disconnected)),
            event(20, 2, changed(SessionChange::Disconnected)),
            event(20, 2, unknown(3)),
            event(1_520, 1, connected(2, true)),
            event(9_000, 2, changed(SessionChange::Expired)),
            event(9_001, 2, connected(2, false)),
        ];
        assert_eq!(
            told(&history, &[]),
            [
                "1 c1 opens its session, at s1",
                "1 c2 opens its session, at s1",
                "20  first: crashes s1",
                "20 c1 loses its connection to s1; 2 operations unknown",
                "20 c2 loses its connection to s1; 1 operation unknown",
                "1520 c1 is connected again, to s2; after 1.5 s",
                "9000 c2 loses its session to expiry; 0x7",
                "9001 c2 opens a new session, at s2",
            ]
        );
    }

    #[test]
    fn a_lock_is_one_line_and_its_loss_another() {
        let (one, two) = (Zxid::new(1, 1), Zxid::new(1, 2));
        let history = [
            event(30, 1, step(RecipeStep::LockAcquired { token: one })),
            event(42, 1, step(RecipeStep::LockReleased { token: one })),
            event(50, 2, step(RecipeStep::LockAcquired { token: two })),
            event(60, 2, step(RecipeStep::LockLost { token: two })),
            event(
                61,
                2,
                step(RecipeStep::FencedWrite {
                    token: two,
                    accepted: false,
                }),
            ),
            event(70, 3, step(RecipeStep::LeaderElected { term: two })),
        ];
        assert_eq!(
            told(&history, &[])[1..],
            [
                "30 c1 holds /locks/ledger; for 12 ms",
                "50 c2 holds /locks/ledger, and will lose it",
                "60 c2 can no longer be sure that it holds /locks/ledger, and stops",
                "61 c2 writes too late to what /locks/ledger guards: refused, by its token",
                "70 c3 leads at /locks/ledger, to the end",
            ]
        );
    }

    #[test]
    fn who_still_waits_is_told_with_what_for_and_who_has_it() {
        let token = Zxid::new(1, 1);
        let mut history = vec![
            event(30, 1, step(RecipeStep::LockWanted)),
            event(31, 1, step(RecipeStep::LockAcquired { token })),
            event(40, 2, step(RecipeStep::LockWanted)),
        ];
        let end = |history: &[HistoryEvent], client| open_end(history, ProcessId(client));
        assert_eq!(end(&history, 1), None);
        assert_eq!(
            end(&history, 2).as_deref(),
            Some(
                "it has waited for the lock /locks/ledger since 0.040s; c1 has had it since 0.031s and has not given it up"
            )
        );
        let request = Op::Delete {
            path: "/a".into(),
            version: -1,
        };
        let id = CallId(9);
        history.push(event(50, 1, HistoryKind::Invoke { id, request }));
        assert_eq!(
            end(&history, 1).as_deref(),
            Some("it has waited for the answer to \"delete /a\" since 0.050s")
        );
    }

    #[test]
    fn the_scripts_own_operations_are_told_with_their_answers_and_no_others() {
        let scripted = 1 << 40 | (SCRIPTED + 1);
        let ask = |id| HistoryKind::Invoke {
            id: CallId(id),
            request: Op::Delete {
                path: "/a".into(),
                version: -1,
            },
        };
        let history = [
            event(21, 1, ask(scripted)),
            event(22, 1, ask(1 << 40 | 5)),
            event(
                23,
                1,
                HistoryKind::Fail {
                    id: CallId(scripted),
                    zxid: Zxid::new(1, 1),
                    xid: zabsim_types::Xid(1),
                    conn: 1,
                    error: ErrorCode::NoNode,
                },
            ),
            event(24, 2, unknown(2 << 40 | 6)),
            event(24, 2, changed(SessionChange::Disconnected)),
        ];
        assert_eq!(
            told(&history, &[2])[1..],
            [
                "23 c1 delete /a: NoNode (-101)",
                "24 c2 dies; 1 operation unknown"
            ]
        );
    }
}
