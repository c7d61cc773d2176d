//! Random legal runs are accepted by every check, and each kind of damage to one is found, by the check that it concerns.

use super::testing::*;
use proptest::prelude::*;
use zabsim_types::*;

const CLIENTS: u32 = 3;
const REPLICAS: usize = 2;
const PATHS: [&str; 5] = ["/a", "/b", "/a/x", "/a/y", "/b/z"];

/// An operation for each byte.
fn op(byte: u8) -> Op {
    let path = PATHS[usize::from(byte / 16) % PATHS.len()];
    match byte % 16 {
        0 | 1 => create(path),
        2 => delete(path),
        3 | 4 => set(path, &format!("{byte}")),
        5 => get(path),
        6 => watch(path),
        7 => watch_exists(path),
        8 => watch_children(path),
        9 => list(path),
        10 => sequential(&format!("{path}-")),
        11 => ephemeral(path),
        12 => ephemeral_sequential(&format!("{path}-")),
        13 => sync(if byte < 128 {
            SyncMode::Leader
        } else {
            SyncMode::Quorum
        }),
        14 => multi([set(path, "m"), create("/b"), delete("/a/x")]),
        _ => multi([create(path), set(path, "n")]),
    }
}

/// A run in which requests, proposals, applications, deliveries and broken connections interleave as the bytes say.
pub(super) fn play(script: &[(u8, u8)]) -> Run {
    let mut world = World::new(CLIENTS as usize, REPLICAS);
    for (what, arg) in script {
        let client = u32::from(arg % CLIENTS as u8) + 1;
        let replica = usize::from(arg / 8) % REPLICAS;
        if !world.is_connected(client) {
            world.deliver_all(client);
            world.reconnect(client, replica);
            continue;
        }
        match what % 16 {
            // A sync waits for the replica to see what the leader had: here, it catches up first.
            0..=6 if world.outstanding(client) < 4 => {
                let op = op(what.wrapping_mul(31) ^ arg);
                if matches!(op, Op::Sync { .. }) {
                    world.now(client, op);
                } else {
                    world.invoke(client, op);
                }
            }
            0..=9 => {
                world.propose(client);
            }
            10..=12 => {
                world.apply_one(replica);
            }
            13 => {
                world.deliver(client);
            }
            14 if arg % 4 == 0 => world.lose(client),
            15 if arg % 16 == 0 => {
                world.lose(client);
                world.expire(client);
            }
            _ => world.deliver_all(client),
        }
    }
    world.come_to_rest()
}

pub(super) fn script(len: usize) -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec(any::<(u8, u8)>(), len..len * 2)
}

fn broken(run: &Run) -> Vec<&'static str> {
    let reports = run.reports();
    let broken = reports.iter().filter(|report| !report.ok());
    broken.map(|report| report.name).collect()
}

/// The positions of the replies that fit.
fn replies(run: &Run, fits: impl Fn(&Reply) -> bool) -> Vec<usize> {
    let fitting =
        run.history.iter().enumerate().filter(
            |(_, event)| matches!(&event.kind, HistoryKind::Ok { result, .. } if fits(result)),
        );
    fitting.map(|(at, _)| at).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // A campaign of many cases (PROPTEST_CASES) leaves many out that have nothing to damage.
        max_global_rejects: 1_000_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn legal_runs_are_accepted(script in script(200)) {
        let run = play(&script);
        for report in run.reports() {
            prop_assert!(report.ok(), "{}: {}", report.name, report.detail);
        }
        prop_assert!(report(&run, "linearizable-writes").examined > 0);
    }

    #[test]
    fn legal_runs_are_accepted_without_their_log(script in script(200)) {
        let run = play(&script);
        for report in super::check_all(&run.history, None, &run.options) {
            prop_assert!(report.ok(), "{}: {}", report.name, report.detail);
        }
    }

    #[test]
    fn a_stale_value_is_found(script in script(200), pick in any::<prop::sample::Index>()) {
        let mut run = play(&script);
        let reads = replies(&run, |reply| matches!(reply, Reply::Data { .. } | Reply::Children { stat: Some(_), .. }));
        prop_assume!(!reads.is_empty());
        let at = reads[pick.index(reads.len())];
        if let HistoryKind::Ok { result, .. } = &mut run.history[at].kind {
            match result {
                Reply::Data { data, .. } => *data = Some(b"stale".as_slice().into()),
                Reply::Children { names, .. } => names.push("ghost".into()),
                _ => {}
            }
        }
        prop_assert!(broken(&run).contains(&"snapshot-reads"));
    }

    /// Two updates of the log exchange their places and their answers' zxids.
    #[test]
    fn swapped_zxids_are_found(script in script(200), pick in any::<prop::sample::Index>()) {
        let mut run = play(&script);
        // Two answered updates that did not overlap: the first's answer stands before the second's call.
        let mut last_done = None;
        let mut pairs = Vec::new();
        let mut calls = std::collections::BTreeMap::new();
        for (at, event) in run.history.iter().enumerate() {
            match &event.kind {
                HistoryKind::Invoke { id, request } if request.is_update() => {
                    calls.insert(*id, last_done);
                }
                HistoryKind::Ok { id, zxid, .. } if calls.contains_key(id) => {
                    if let Some(before) = calls[id] {
                        pairs.push((before, *zxid));
                    }
                    last_done = Some(*zxid);
                }
                _ => {}
            }
            let _ = at;
        }
        prop_assume!(!pairs.is_empty());
        let (one, other): (Zxid, Zxid) = pairs[pick.index(pairs.len())];
        for event in &mut run.history {
            if let HistoryKind::Ok { zxid, .. } = &mut event.kind {
                if *zxid == one { *zxid = other } else if *zxid == other { *zxid = one }
            }
        }
        let place = |zxid, run: &Run| run.witness.position(zxid).expect("it was committed");
        let (a, b) = (place(one, &run), place(other, &run));
        run.witness.txns.swap(a, b);
        run.witness.txns[a].zxid = one;
        run.witness.txns[b].zxid = other;
        prop_assert!(broken(&run).contains(&"linearizable-writes"), "{:?}", broken(&run));
    }

    #[test]
    fn an_application_twice_is_found(script in script(200), pick in any::<prop::sample::Index>()) {
        let mut run = play(&script);
        let set = |what: &crate::TxnKind| matches!(what, crate::TxnKind::SetData { .. });
        let sets: Vec<_> = run.witness.txns.iter().filter(|txn| set(&txn.what)).cloned().collect();
        prop_assume!(!sets.is_empty());
        let mut again = sets[pick.index(sets.len())].clone();
        // An unanswered request for the same could have had this effect, late.
        let same = |event: &&HistoryEvent| event.session == again.session
            && matches!(&event.kind, HistoryKind::Invoke { request, .. } if again.what.is_effect_of(request));
        prop_assume!(run.history.iter().filter(same).count() == 1);
        again.zxid = Zxid(run.witness.txns.last().expect("a log").zxid.0 + 1);
        run.witness.txns.push(again);
        let broken = broken(&run);
        let named = ["linearizable-writes", "unknown-outcomes", "sessions"];
        prop_assert!(broken.iter().any(|name| named.contains(name)), "{broken:?}");
    }

    #[test]
    fn a_dropped_event_is_found(script in script(300), pick in any::<prop::sample::Index>()) {
        let mut run = play(&script);
        // One that the client is given something else behind, on the same connection.
        let mut events = Vec::new();
        for (at, event) in run.history.iter().enumerate() {
            let HistoryKind::Watch { zxid: Some(_), .. } = &event.kind else { continue };
            let mut later = run.history[at + 1..].iter().filter(|other| other.process == event.process);
            if later.find_map(|other| match &other.kind {
                HistoryKind::Ok { .. } | HistoryKind::Fail { .. } => Some(true),
                HistoryKind::Session { .. } => Some(false),
                _ => None,
            }) == Some(true) {
                events.push(at);
            }
        }
        prop_assume!(!events.is_empty());
        run.history.remove(events[pick.index(events.len())]);
        prop_assert!(broken(&run).contains(&"watches"), "{:?}", run.reports());
    }

    #[test]
    fn a_read_before_ones_own_write_is_found(script in script(200), pick in any::<prop::sample::Index>()) {
        let mut run = play(&script);
        let mut written = std::collections::BTreeMap::new();
        let mut updates = std::collections::BTreeSet::new();
        let mut reads = Vec::new();
        for (at, event) in run.history.iter().enumerate() {
            match &event.kind {
                HistoryKind::Invoke { id, request } if request.is_update() => {
                    updates.insert(*id);
                }
                HistoryKind::Ok { id, zxid, .. } if updates.contains(id) => {
                    written.insert(event.session, *zxid);
                }
                HistoryKind::Ok { result: Reply::Data { .. } | Reply::Exists { .. } | Reply::Children { .. }, .. } => {
                    if let Some(zxid) = written.get(&event.session) {
                        reads.push((at, *zxid));
                    }
                }
                _ => {}
            }
        }
        prop_assume!(!reads.is_empty());
        let (at, own) = reads[pick.index(reads.len())];
        if let HistoryKind::Ok { zxid, .. } = &mut run.history[at].kind {
            *zxid = Zxid(own.0 - 1);
        }
        prop_assert!(broken(&run).contains(&"fifo-client-order"));
    }
}
