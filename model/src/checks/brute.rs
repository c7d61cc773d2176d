//! Watches by their definition: for each notification and each reply, all transactions are gone through. Compared with
//! the check on random runs in which a notification is lost, moved, repeated or changed, so that the check refuses exactly
//! what the definition does. `PROPTEST_CASES` says how many.

use super::random_runs::{play, script};
use super::testing::*;
use crate::witness::TxnKind;
use proptest::prelude::*;
use std::collections::BTreeMap;
use zabsim_types::*;

/// Something that fires: when, in the list of children's watches or in that of the data, what, where.
type Fired = (Zxid, bool, WatchKind, ZPath);

/// All that fires, read off the log.
fn all_fired(run: &Run) -> Vec<Fired> {
    let mut owned: BTreeMap<SessionId, Vec<ZPath>> = BTreeMap::new();
    let mut fired = Vec::new();
    for txn in &run.witness.txns {
        let parts = match &txn.what {
            TxnKind::Multi { parts } => &parts[..],
            one => std::slice::from_ref(one),
        };
        for part in parts {
            match part {
                TxnKind::Create {
                    path, ephemeral, ..
                } => {
                    if *ephemeral {
                        owned.entry(txn.session).or_default().push(path.clone());
                    }
                    fired.push((txn.zxid, false, WatchKind::NodeCreated, path.clone()));
                    fired.push(parent_changed(txn.zxid, path));
                }
                TxnKind::Delete { path } => gone(txn.zxid, path, &mut owned, &mut fired),
                TxnKind::SetData { path, .. } => {
                    fired.push((txn.zxid, false, WatchKind::NodeDataChanged, path.clone()));
                }
                TxnKind::CloseSession => {
                    for path in owned.remove(&txn.session).unwrap_or_default() {
                        gone(txn.zxid, &path, &mut owned, &mut fired);
                    }
                }
                _ => {}
            }
        }
    }
    fired
}

fn parent_changed(zxid: Zxid, path: &str) -> Fired {
    let parent = parent_of(path).expect("nobody makes or removes the root");
    (zxid, true, WatchKind::NodeChildrenChanged, parent.into())
}

fn gone(
    zxid: Zxid,
    path: &ZPath,
    owned: &mut BTreeMap<SessionId, Vec<ZPath>>,
    fired: &mut Vec<Fired>,
) {
    owned
        .values_mut()
        .for_each(|paths| paths.retain(|other| other != path));
    fired.push((zxid, false, WatchKind::NodeDeleted, path.clone()));
    fired.push((zxid, true, WatchKind::NodeDeleted, path.clone()));
    fired.push(parent_changed(zxid, path));
}

/// A watch: in which list, where, left at which state.
type Left = (bool, ZPath, Zxid);

/// Whether what each client was told of its watches is what it had to be told. Nobody lost a connection.
fn is_legal(run: &Run) -> bool {
    let fired = all_fired(run);
    let due = |(child, path, since): &Left| {
        let first = fired
            .iter()
            .find(|(zxid, list, _, at)| zxid > since && list == child && at == path);
        first.map(|(zxid, _, kind, _)| (*zxid, *kind))
    };
    let mut asked = BTreeMap::new();
    let mut clients: BTreeMap<ProcessId, Vec<Left>> = BTreeMap::new();
    for event in &run.history {
        let set = clients.entry(event.process).or_default();
        let (id, zxid, answer) = match &event.kind {
            HistoryKind::Invoke { id, request } => {
                asked.insert(*id, request);
                continue;
            }
            HistoryKind::Watch {
                zxid: Some(zxid),
                event: told,
                ..
            } => {
                // What comes before it in the log comes before it here.
                if set
                    .iter()
                    .any(|watch| due(watch).is_some_and(|(first, _)| first < *zxid))
                {
                    return false;
                }
                let before = set.len();
                set.retain(|watch| watch.1 != told.path || due(watch) != Some((*zxid, told.kind)));
                if set.len() == before {
                    return false;
                }
                continue;
            }
            HistoryKind::Ok { id, zxid, .. } => (id, *zxid, Ok(())),
            HistoryKind::Fail {
                id, zxid, error, ..
            } => (id, *zxid, Err(*error)),
            _ => continue,
        };
        if set
            .iter()
            .any(|watch| due(watch).is_some_and(|(first, _)| first <= zxid))
        {
            return false;
        }
        let left = match (asked[id], answer) {
            (Op::GetData { path, watch: true }, Ok(())) => (false, path),
            (Op::Exists { path, watch: true }, Ok(()) | Err(ErrorCode::NoNode)) => (false, path),
            (
                Op::GetChildren {
                    path, watch: true, ..
                },
                Ok(()),
            ) => (true, path),
            _ => continue,
        };
        if !set.iter().any(|(child, path, _)| (*child, path) == left) {
            set.push((left.0, left.1.clone(), zxid));
        }
    }
    // Everything was delivered.
    !run.options.quiet_end || clients.values().flatten().all(|watch| due(watch).is_none())
}

/// Does something to the notification at that place.
fn spoil(history: &mut Vec<HistoryEvent>, at: usize, what: u8) {
    let process = history[at].process;
    let own = |event: &HistoryEvent| event.process == process;
    match what {
        0 => drop(history.remove(at)),
        1 => history.insert(at, history[at].clone()),
        2 => {
            if let Some(next) = history[at + 1..].iter().position(own) {
                history.swap(at, at + 1 + next);
            }
        }
        3 => {
            if let Some(last) = history[..at].iter().rposition(own) {
                history.swap(at, last);
            }
        }
        _ => {
            let HistoryKind::Watch {
                zxid: Some(zxid),
                event,
                ..
            } = &mut history[at].kind
            else {
                return;
            };
            match what {
                4 => zxid.0 += 1,
                5 => zxid.0 -= 1,
                6 => event.kind = WatchKind::NodeDeleted,
                7 => event.kind = WatchKind::NodeDataChanged,
                _ => event.path = "/a".into(),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_check_of_watches_says_what_their_definition_says(
        script in script(100),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0u8..9), 0..3),
    ) {
        let calm: Vec<(u8, u8)> = script.into_iter().filter(|(what, _)| what % 16 < 14).collect();
        let mut run = play(&calm);
        prop_assert!(is_legal(&run) && report(&run, "watches").ok());
        for (pick, what) in picks {
            let told = |at: &usize| matches!(run.history[*at].kind, HistoryKind::Watch { .. });
            let told: Vec<usize> = (0..run.history.len()).filter(told).collect();
            if !told.is_empty() {
                spoil(&mut run.history, told[pick.index(told.len())], what);
            }
        }
        let judged = report(&run, "watches");
        prop_assert_eq!(judged.ok(), is_legal(&run), "{}", judged.detail);
    }
}
