//! Small runs, and what is done to them: most damage breaks some promise, some breaks none.

use crate::checks::Staleness;
use crate::checks::testing::*;
use crate::witness::TxnKind;
use proptest::prelude::*;
use zabsim_types::*;

/// Steps of a run, or things done to it: what, and with what.
pub(super) type Script = Vec<(u8, u8)>;

pub(super) fn script(from: usize, to: usize) -> impl Strategy<Value = Script> {
    prop::collection::vec(any::<(u8, u8)>(), from..to)
}

const CLIENTS: u32 = 3;
const REPLICAS: usize = 2;
const PATHS: [&str; 4] = ["/a", "/b", "/a/x", "/a/y"];

fn path(arg: u8) -> &'static str {
    PATHS[usize::from(arg / 16) % PATHS.len()]
}

/// A request of any kind.
fn any_op(what: u8, arg: u8) -> Op {
    let path = path(arg);
    match what % 20 {
        0 | 1 => create(path),
        2 => delete(path),
        3 | 4 => set(path, ["1", "2"][usize::from(arg % 2)]),
        5 => get(path),
        6 => exists(path),
        7 => watch(path),
        8 => watch_exists(path),
        9 => watch_children(path),
        10 => list(path),
        11 => sequential("/a/n-"),
        12 => ephemeral(path),
        13 => ephemeral_sequential("/a/n-"),
        14 => sync(SyncMode::Leader),
        15 => sync(SyncMode::Quorum),
        16 => multi([set(path, "m"), create("/b"), delete("/a/x")]),
        17 => multi([create(path), set(path, "n")]),
        // The parent is made anew: its numbers begin again.
        18 => multi([delete("/a"), create("/a"), sequential("/a/n-")]),
        _ => Op::CloseSession,
    }
}

/// A request about watches, or a change that they tell of.
fn watching_op(what: u8, arg: u8) -> Op {
    let path = path(arg);
    let mode = match arg % 2 {
        0 => AddWatchMode::Persistent,
        _ => AddWatchMode::PersistentRecursive,
    };
    match what % 16 {
        0 => watch(path),
        1 => watch_exists(path),
        2 => watch_children(path),
        3 => Op::AddWatch {
            path: path.into(),
            mode,
        },
        4 => Op::RemoveWatches {
            path: path.into(),
            kind: match arg % 5 {
                0 => WatcherType::Any,
                1 => WatcherType::Data,
                2 => WatcherType::Children,
                3 => WatcherType::Persistent,
                _ => WatcherType::PersistentRecursive,
            },
        },
        5..=7 => create(path),
        8 | 9 => delete(path),
        10..=12 => set(path, "1"),
        13 => ephemeral(path),
        14 => multi([set(path, "m"), delete(path)]),
        _ => get(path),
    }
}

/// What the clients of a run are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About {
    Everything,
    Watches,
}

/// A run in which requests, transactions, deliveries and lost connections interleave as the script says.
pub(super) fn play(script: &Script, about: About) -> Run {
    let mut world = World::new(CLIENTS as usize, REPLICAS);
    for path in &PATHS[..2] {
        world.now(1, create(path));
    }
    for (what, arg) in script {
        let client = u32::from(arg % CLIENTS as u8) + 1;
        let replica = usize::from(arg / 8) % REPLICAS;
        if !world.is_connected(client) {
            world.deliver_all(client);
            world.reconnect(client, replica);
            continue;
        }
        match what % 32 {
            0..=14 if world.outstanding(client) < 3 => {
                let byte = what.wrapping_mul(37) ^ arg;
                let op = match about {
                    About::Everything => any_op(byte, *arg),
                    About::Watches => watching_op(byte, *arg),
                };
                // An end of a session comes behind everything else of it; a sync waits for what the leader had.
                if op == Op::CloseSession && world.outstanding(client) > 0 {
                    world.deliver_all(client);
                } else if matches!(op, Op::Sync { .. } | Op::CloseSession) {
                    world.now(client, op);
                } else {
                    world.invoke(client, op);
                }
            }
            0..=20 => drop(world.propose(client)),
            21..=24 => drop(world.apply_one(replica)),
            25 => drop(world.deliver(client)),
            26 => world.new_epoch(),
            27 | 28 => world.lose(client),
            29 if arg % 4 == 0 => {
                world.lose(client);
                world.expire(client);
            }
            _ => world.deliver_all(client),
        }
    }
    world.come_to_rest()
}

/// Programs that contend, claim, give up and write as the script says, mostly as they should.
pub(super) fn play_recipes(script: &Script) -> Run {
    let mut world = World::new(CLIENTS as usize, 1);
    let objects = ["/a", "/b"];
    for object in objects {
        world.now(1, create(object));
    }
    let mut own: Vec<(u32, Zxid)> = Vec::new();
    for (what, arg) in script {
        let client = u32::from(arg % CLIENTS as u8) + 1;
        let object = objects[usize::from(arg / 64) % 2];
        if !world.is_connected(client) {
            world.reconnect(client, 0);
            continue;
        }
        // The client's own last token, or with some bits anybody's.
        let mine = own.iter().rev().find(|(owner, _)| *owner == client);
        let others = own.get(usize::from(arg / 8));
        let token = if arg % 32 < 24 { mine } else { others.or(mine) };
        let token = token.map_or(Zxid(3), |(_, token)| *token);
        let mut step = |step| world.step(client, object, step);
        match what % 32 {
            0..=5 => {
                let token = world.now(client, ephemeral_sequential(&format!("{object}/n-")));
                own.push((client, token));
            }
            6..=8 => drop(world.now(client, list(object))),
            9..=13 => step(RecipeStep::LockAcquired { token }),
            14 | 15 => step(RecipeStep::LockReleased { token }),
            16 => step(RecipeStep::LockLost { token }),
            17 => step(RecipeStep::LockWanted),
            18 => step(RecipeStep::ElectionEntered),
            19..=22 => step(RecipeStep::LeaderElected { term: token }),
            23 => step(RecipeStep::LeaderResigned { term: token }),
            24 | 25 => {
                let accepted = arg % 16 > 2;
                step(RecipeStep::FencedWrite { token, accepted });
            }
            26 | 27 => {
                let path = format!("{object}/n-{:010}", arg % 4);
                world.now(client, delete(&path));
            }
            28 => world.lose(client),
            29 | 30 => {
                world.lose(client);
                world.expire(client);
            }
            _ => world.deliver_all(client),
        }
    }
    let mut run = world.finish();
    run.options.quiet_end = true;
    run
}

/// A copy of the run to damage.
pub(super) fn copy(run: &Run) -> Run {
    Run {
        history: run.history.clone(),
        witness: run.witness.clone(),
        options: run.options.clone(),
    }
}

/// Picks one of those that fit.
fn pick(run: &Run, arg: u8, fits: impl Fn(&HistoryKind) -> bool) -> Option<usize> {
    let all = (0..run.history.len()).filter(|at| fits(&run.history[*at].kind));
    let all: Vec<usize> = all.collect();
    all.get(usize::from(arg) * all.len() / 256).copied()
}

fn is_answer(kind: &HistoryKind) -> bool {
    matches!(kind, HistoryKind::Ok { .. } | HistoryKind::Fail { .. })
}

fn is_watch(kind: &HistoryKind) -> bool {
    matches!(kind, HistoryKind::Watch { .. })
}

fn nudge(zxid: &mut Zxid, by: u8) {
    *zxid = match by % 4 {
        0 => Zxid(zxid.0 + 1),
        1 => Zxid(zxid.0.saturating_sub(1)),
        2 => Zxid(zxid.0.saturating_sub(2)),
        _ => Zxid(zxid.0 + 2),
    };
}

/// Does one thing to a run. Time stays in order.
pub(super) fn damage(run: &mut Run, what: u8, arg: u8) {
    let by = arg.wrapping_mul(57);
    let txns = &mut run.witness.txns;
    let place = usize::from(arg) * txns.len() / 256;
    match what % 32 {
        // The state that an answer names.
        0..=3 => {
            let Some(at) = pick(run, arg, is_answer) else {
                return;
            };
            if let HistoryKind::Ok { zxid, .. } | HistoryKind::Fail { zxid, .. } =
                &mut run.history[at].kind
            {
                nudge(zxid, by);
            }
        }
        // What an answer says.
        4..=7 => {
            let Some(at) = pick(run, arg, is_answer) else {
                return;
            };
            spoil_answer(&mut run.history[at].kind, by);
        }
        // Numbers and connections of answers.
        8 => {
            let Some(at) = pick(run, arg, is_answer) else {
                return;
            };
            if let HistoryKind::Ok { xid, .. } | HistoryKind::Fail { xid, .. } =
                &mut run.history[at].kind
            {
                xid.0 += [1, -1][usize::from(by % 2)];
            }
        }
        // Two things of one client, or of two, in the other order.
        9..=12 => {
            let Some(at) = pick(run, arg, |kind| !matches!(kind, HistoryKind::Invoke { .. }))
            else {
                return;
            };
            let other = at + 1 + usize::from(by % 3);
            if other < run.history.len()
                && is_answer_or_watch(run, at)
                && is_answer_or_watch(run, other)
            {
                run.swap(at, other);
            }
        }
        // An answer comes later, or a call earlier than it did.
        13 => {
            let Some(at) = pick(run, arg, |kind| matches!(kind, HistoryKind::Invoke { .. })) else {
                return;
            };
            move_event(run, at, at.saturating_sub(usize::from(by % 16)));
        }
        14 => {
            let Some(at) = pick(run, arg, is_answer) else {
                return;
            };
            move_event(run, at, at + usize::from(by % 16));
        }
        // Notifications.
        15 | 16 => {
            let Some(at) = pick(run, arg, is_watch) else {
                return;
            };
            spoil_watch(run, at, by);
        }
        17 => {
            let set = |kind: &HistoryKind| {
                matches!(
                    kind,
                    HistoryKind::Session {
                        change: SessionChange::WatchesSet { .. }
                    }
                )
            };
            let Some(at) = pick(run, arg, set) else {
                return;
            };
            if let HistoryKind::Session {
                change: SessionChange::WatchesSet { zxid, relative, .. },
            } = &mut run.history[at].kind
            {
                nudge(if by % 8 < 4 { zxid } else { relative }, by);
            }
        }
        // The log.
        18 => drop(txns.remove(place)),
        19 => {
            let mut again = txns[place].clone();
            again.zxid = Zxid(txns.last().expect("sessions were made").zxid.0 + 1);
            txns.push(again);
        }
        20 | 21 => {
            let other = (place + 1 + usize::from(by % 3)).min(txns.len() - 1);
            txns.swap(place, other);
            let zxid = txns[place].zxid;
            txns[place].zxid = txns[other].zxid;
            txns[other].zxid = zxid;
        }
        22 => {
            let other = txns[usize::from(by) * txns.len() / 256].session;
            txns[place].session = other;
        }
        23 => txns[place].cxid.0 += 1,
        24 => {
            if let TxnKind::CreateSession { timeout_ms } = &mut txns[place].what {
                *timeout_ms += 1;
            } else if let TxnKind::Error { code } = &mut txns[place].what {
                *code = ErrorCode::BadVersion;
            } else {
                txns[place].what = TxnKind::Error {
                    code: ErrorCode::NoNode,
                };
            }
        }
        // A session's end.
        25 => {
            let closes = |at: &usize| txns[*at].what == TxnKind::CloseSession;
            let Some(at) = (0..txns.len()).find(closes) else {
                let mut end = txns[place].clone();
                (end.what, end.cxid) = (TxnKind::CloseSession, Xid(0));
                end.zxid = Zxid(txns.last().expect("sessions were made").zxid.0 + 1);
                return txns.push(end);
            };
            let to = at.saturating_sub(usize::from(by % 6));
            for at in (to..at).rev() {
                txns.swap(at, at + 1);
                let zxid = txns[at].zxid;
                txns[at].zxid = txns[at + 1].zxid;
                txns[at + 1].zxid = zxid;
            }
        }
        26 => {
            let mut event = run.history[usize::from(arg) * run.history.len() / 256].clone();
            event.kind = HistoryKind::Session {
                change: SessionChange::Expired,
            };
            event.time = run.history.last().expect("events").time;
            run.history.push(event);
            run.options.quiet_end = true;
        }
        27 => {
            let at = usize::from(arg) * run.history.len() / 256;
            let other = run.history[usize::from(by) * run.history.len() / 256].session;
            if is_answer_or_watch(run, at) {
                run.history[at].session = other;
            }
        }
        // What was lost had never been sent.
        28 => {
            let Some(at) = pick(run, arg, |kind| matches!(kind, HistoryKind::Info { .. })) else {
                return;
            };
            if let HistoryKind::Info { sent, .. } = &mut run.history[at].kind {
                *sent = false;
            }
        }
        29 => {
            run.options.staleness = Some(Staleness {
                bound_ms: u64::from(by % 32) + 1,
                unrest: match by % 3 {
                    0 => vec![(
                        Time::from_ms(u64::from(arg / 4)),
                        Time::from_ms(u64::from(arg / 2)),
                    )],
                    _ => Vec::new(),
                },
            });
        }
        30 => run.options.quiet_end ^= true,
        _ => run.options.watches_survive_reconnect ^= by.is_multiple_of(4),
    }
}

fn is_answer_or_watch(run: &Run, at: usize) -> bool {
    let kind = &run.history[at].kind;
    is_answer(kind) || is_watch(kind)
}

/// Moves an event, not beyond what completes or begins it; a call not beyond what its client did before, because in that order
/// it sends.
fn move_event(run: &mut Run, from: usize, to: usize) {
    let to = to.min(run.history.len() - 1);
    let of = |kind: &HistoryKind| match kind {
        HistoryKind::Invoke { id, .. }
        | HistoryKind::Ok { id, .. }
        | HistoryKind::Fail { id, .. }
        | HistoryKind::Info { id, .. } => Some(*id),
        _ => None,
    };
    let mut at = from;
    while at != to {
        let next = if to > at { at + 1 } else { at - 1 };
        let (moved, other) = (&run.history[at], &run.history[next]);
        let of_client = |kind: &HistoryKind| {
            matches!(
                kind,
                HistoryKind::Invoke { .. } | HistoryKind::Session { .. }
            )
        };
        let in_order = matches!(moved.kind, HistoryKind::Invoke { .. })
            && moved.process == other.process
            && of_client(&other.kind);
        if in_order || of(&moved.kind) == of(&other.kind) {
            return;
        }
        run.swap(at, next);
        at = next;
    }
}

fn spoil_answer(kind: &mut HistoryKind, by: u8) {
    if let HistoryKind::Fail { error, .. } = kind {
        *error = match error {
            ErrorCode::NoNode => ErrorCode::NodeExists,
            _ => ErrorCode::NoNode,
        };
        return;
    }
    let HistoryKind::Ok { result, .. } = kind else {
        return;
    };
    spoil_reply(result, by);
}

fn spoil_reply(reply: &mut Reply, by: u8) {
    match reply {
        Reply::Data { data, .. } if by.is_multiple_of(2) => *data = Some(b"2".as_slice().into()),
        Reply::Data { stat, .. } | Reply::Exists { stat } | Reply::Set { stat } => match by % 8 {
            0 => stat.version += 1,
            1 => stat.cversion += 1,
            2 => nudge(&mut stat.mzxid, by / 8),
            3 => nudge(&mut stat.pzxid, by / 8),
            4 => nudge(&mut stat.czxid, by / 8),
            5 => stat.ephemeral_owner = SessionId(0x100 + i64::from(by % 5)),
            6 => stat.num_children += 1,
            _ => stat.mzxid = stat.czxid,
        },
        Reply::Children { names, .. } if names.is_empty() => names.push("ghost".into()),
        Reply::Children { names, .. } => drop(names.pop()),
        Reply::Created { path, .. } => {
            let number = path.rfind('-').map(|at| at + 1);
            if let Some(at) = number
                && let Ok(number) = path[at..].parse::<i32>()
            {
                let other = number + [1, -1, 2, 0][usize::from(by % 4)];
                *path = format!("{}{other:010}", &path[..at]).into();
            } else {
                *path = "/b".into();
            }
        }
        Reply::Multi { results } => match by % 3 {
            0 => drop(results.pop()),
            1 => results.reverse(),
            _ => {
                if let Some(last) = results.last_mut() {
                    spoil_reply(last, by / 3);
                }
            }
        },
        Reply::MultiFailed { errors } => match by % 4 {
            0 => errors.reverse(),
            1 => errors.fill(ErrorCode::Ok),
            2 => drop(errors.pop()),
            _ => errors.rotate_left(1),
        },
        _ => {}
    }
}

/// Does something to a notification.
pub(super) fn spoil_watch(run: &mut Run, at: usize, by: u8) {
    let process = run.history[at].process;
    let own = |event: &HistoryEvent| {
        event.process == process && !matches!(event.kind, HistoryKind::Invoke { .. })
    };
    match by % 10 {
        0 | 1 => drop(run.history.remove(at)),
        2 => run.history.insert(at, run.history[at].clone()),
        3 => {
            if let Some(next) = run.history[at + 1..].iter().position(own) {
                run.swap(at, at + 1 + next);
            }
        }
        4 => {
            if let Some(last) = run.history[..at].iter().rposition(own) {
                run.swap(last, at);
            }
        }
        what => {
            let HistoryKind::Watch { zxid, event, .. } = &mut run.history[at].kind else {
                return;
            };
            match what {
                5 => *zxid = zxid.map(|zxid| Zxid(zxid.0 + 1)),
                6 => *zxid = zxid.map(|zxid| Zxid(zxid.0 - 1)),
                7 => event.kind = WatchKind::NodeDeleted,
                8 => event.kind = WatchKind::NodeDataChanged,
                _ => event.path = "/a".into(),
            }
        }
    }
}
