//! Sync is a barrier: behind a `sync` a session sees everything that anybody had seen when it was called.
//!
//! Exactly: let `Z` be the greatest zxid of all answers that had arrived anywhere when the sync was called. The sync's own
//! header and every later answer of its session name a state no older than `Z`. With [`SyncMode::Quorum`] always, so that a
//! read behind it is linearizable (together with `no-future-reads`). With [`SyncMode::Leader`], as in ZooKeeper, only while
//! no deposed leader answers: where the answer's epoch is older than `Z`'s, one did, and that is legal (ZOOKEEPER-1675);
//! within one epoch it is not.
//!
//! ZooKeeper 3.9.5 itself keeps less within an epoch: a sync of a client connected to the leader is a local read there, and
//! a follower may have applied and shown a transaction that the leader has committed but not yet applied (seen in a recorded
//! history just after an election). Here the leader's own sync stands in its apply queue like any other. For histories of such
//! servers ([`Options::leader_may_lag`](super::Options)) it is excused: at one server of an epoch, for there is one leader; at a
//! second one it is a violation.
//!
//! Source: ZooKeeper's documentation of `sync` and its internals page on its limits; `Leader.processSync`.

use super::linearizable_writes::said;
use super::{Check, Evidence, Finding};
use crate::reference::Lookup;
use std::collections::BTreeMap;
use zabsim_types::{HistoryKind, Op, ProcessId, ServerId, SessionChange, SyncMode, Zxid};

pub(super) const CHECK: Check = Check {
    name: "sync-barrier",
    about: "Behind a sync a session sees everything that anybody had seen when it was called.",
    run,
};

fn run(evidence: &Evidence<'_>) -> Finding {
    let history = &evidence.history;
    let mut finding = Finding::default();
    // The greatest zxid answered anywhere so far; what each sync's call found there; what each session may not fall behind.
    let mut newest = Zxid::ZERO;
    let mut found: Lookup<u32, Zxid> = Lookup::default();
    let mut syncs = history.syncs.iter().peekable();
    let mut floors = vec![(Zxid::ZERO, None); history.sessions.len()];
    let (mut deposed, mut lagging) = (0, 0);
    // The server that each client is connected to, and the leader of each epoch as far as it has shown itself by lagging.
    let mut servers: BTreeMap<ProcessId, ServerId> = BTreeMap::new();
    let mut leaders: BTreeMap<u32, ServerId> = BTreeMap::new();
    let mut told = history.told().peekable();
    for at in &history.answered {
        let call = &history.calls[*at as usize];
        while let Some(sync) =
            syncs.next_if(|sync| history.calls[**sync as usize].invoked < call.done)
        {
            found.insert(*sync, newest);
        }
        while let Some((_, event)) = told.next_if(|(place, _)| *place < call.done as usize) {
            if let HistoryKind::Session {
                change: SessionChange::Connected { server, .. },
            } = &event.kind
            {
                servers.insert(event.process, *server);
            }
        }
        newest = newest.max(call.zxid);
        let slot = call.slot as usize;
        if call.is_sync()
            && let Op::Sync { mode, .. } = call.op()
        {
            let promised = found[at];
            let excused = *mode == SyncMode::Leader
                && call.zxid.epoch() < promised.epoch()
                && call.zxid < promised;
            deposed += u64::from(excused);
            let lags = evidence.options.leader_may_lag && !excused && call.zxid < promised;
            let server = servers.get(&call.process()).copied();
            let excused = excused
                || lags
                    && server.is_some_and(|server| {
                        *leaders.entry(call.zxid.epoch()).or_insert(server) == server
                    });
            lagging += u64::from(lags && excused);
            if !excused && floors[slot].0 < promised {
                floors[slot] = (promised, Some(*at));
            }
        }
        let (floor, sync) = floors[slot];
        let Some(sync) = sync else { continue };
        finding.examined += 1;
        if call.zxid < floor {
            let about = [history.calls[sync as usize].done, call.done];
            finding.fail_about(history.time(call.done), &about, || {
                format!(
                    "{} was answered at {}, though {} had promised {floor}",
                    said(call),
                    call.zxid,
                    said(&history.calls[sync as usize])
                )
            });
        }
    }
    finding.with_detail(format!(
        "syncs and answers behind them; {deposed} syncs were answered by a deposed leader (ZOOKEEPER-1675), {lagging} by a leader \
         behind its followers"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, World, create, get, report, set, sync};
    use zabsim_types::{HistoryKind, Op, SyncMode, Zxid};

    const NAME: &str = "sync-barrier";

    /// It is answered at no state, so that it is behind nothing.
    #[test]
    fn a_proof_of_identity_may_follow_a_sync() {
        let mut world = World::new(2, 2);
        world.now(1, create("/a"));
        world.now(2, sync(SyncMode::Quorum));
        world.now(
            2,
            Op::AddAuth {
                scheme: "digest".into(),
                auth: "me:secret".into(),
            },
        );
        world.now(2, get("/a"));
        let run = world.finish();
        assert!(report(&run, NAME).ok(), "{}", report(&run, NAME).detail);
    }

    fn run(mode: SyncMode) -> Run {
        let mut world = World::new(2, 2);
        world.now(1, create("/a"));
        world.now(1, set("/a", "x"));
        world.now(2, sync(mode));
        world.now(2, get("/a"));
        world.finish()
    }

    fn set_back(run: &mut Run, replies: usize, to: impl Fn(Zxid) -> Zxid) {
        let zxids = run
            .history
            .iter_mut()
            .rev()
            .filter_map(|event| match &mut event.kind {
                HistoryKind::Ok { zxid, .. } => Some(zxid),
                _ => None,
            });
        zxids.take(replies).for_each(|zxid| *zxid = to(*zxid));
    }

    #[test]
    fn a_stale_read_behind_a_sync_is_found() {
        for mode in [SyncMode::Leader, SyncMode::Quorum] {
            let mut run = run(mode);
            let good = report(&run, NAME);
            assert!(good.ok() && good.examined == 2, "{}", good.detail);
            set_back(&mut run, 1, |zxid| Zxid(zxid.0 - 1));
            assert!(report(&run, NAME).detail.contains("had promised"));
        }
    }

    /// Real servers: the leader's own sync may be behind, in one epoch at one server; at a second it is none of a leader's.
    #[test]
    fn a_lagging_leader_is_one_server() {
        let mut run = run(SyncMode::Leader);
        run.options.leader_may_lag = true;
        set_back(&mut run, 2, |zxid| Zxid(zxid.0 - 1));
        let lagging = report(&run, NAME);
        assert!(
            lagging.ok() && lagging.detail.contains("1 by a leader behind"),
            "{}",
            lagging.detail
        );
        let mut world = World::new(2, 2);
        world.now(1, create("/a"));
        world.now(1, sync(SyncMode::Leader));
        world.now(2, sync(SyncMode::Leader));
        let mut run = world.finish();
        run.options.leader_may_lag = true;
        assert!(report(&run, NAME).ok());
        set_back(&mut run, 2, |zxid| Zxid(zxid.0 - 1));
        assert!(report(&run, NAME).detail.contains("had promised"));
    }

    /// ZOOKEEPER-1675: legal for ZooKeeper's sync, not for the quorum's.
    #[test]
    fn a_deposed_leader_may_answer_only_the_weaker_sync() {
        for (mode, ok) in [(SyncMode::Leader, true), (SyncMode::Quorum, false)] {
            let mut run = run(mode);
            run.shift_epoch(4);
            set_back(&mut run, 2, |_| Zxid::new(3, 1));
            let report = report(&run, NAME);
            assert_eq!(report.ok(), ok, "{}", report.detail);
            assert_eq!(report.detail.contains("1 syncs"), ok);
        }
    }
}
