//! A snapshot written while transactions apply, restored and caught up from the log, is the live state; for random
//! operations, random chunks and random timing.

use super::*;
use crate::auth::Identities;
use crate::database::{Database, Outcome};
use crate::leader::Leader;
use crate::prep::Ensemble;
use crate::request::{Request, RequestKind};
use crate::snapshot::{SnapshotWriter, restore};
use crate::{Txn, digest_of};
use proptest::prelude::*;
use zab::SnapshotId;
use zabsim_types::Perms;

/// A database and the leader that feeds it, one request at a time.
struct Live {
    db: Database,
    leader: Leader,
    log: Vec<(Zxid, Payload)>,
}

impl Live {
    fn new() -> Live {
        let mut live = Live {
            db: Database::new(),
            leader: Leader::new(
                &Config {
                    sweep_interval_ms: 0,
                    ..config(1)
                },
                Epoch(1),
            ),
            log: Vec::new(),
        };
        for session in 0..3 {
            live.submit(session, RequestKind::CreateSession { timeout_ms: 9_999 });
        }
        live
    }

    fn submit(&mut self, session: i64, kind: RequestKind) {
        self.leader.queue.push_back(Request {
            session: SessionId(session + 1),
            conn: ConnId(session as u64),
            xid: Xid(self.log.len() as i32),
            ids: Identities::default(),
            local: false,
            kind,
        });
        self.work();
    }

    /// It is so many milliseconds as there are transactions.
    fn now(&self) -> Time {
        Time(self.log.len() as u64 * 1_000)
    }

    fn sweep(&mut self) {
        let now = self.now();
        self.leader.sweep(&self.db, now);
        self.work();
    }

    fn work(&mut self) {
        let now = self.now();
        while let Some(zab::Input::Propose { zxid, payload }) =
            self.leader.prepare_next(&self.db, now, &Ensemble::FIXED)
        {
            let txn = Txn::decode(&payload).unwrap();
            let z = zabsim_types::Zxid(zxid.0);
            self.db.apply(z, &txn, &mut Outcome::default());
            self.leader.applied(z);
            if let crate::TxnBody::CloseSession { .. } = txn.body {
                self.leader.tracker.remove(txn.session);
            }
            self.log.push((zxid, payload));
        }
    }

    fn txns_after(&self, zxid: Zxid) -> impl Iterator<Item = (Zxid, &[u8])> {
        let after = self.log.iter().filter(move |(z, _)| *z > zxid);
        after.map(|(z, payload)| (*z, &**payload))
    }
}

/// Names from a small set, so that nodes come, go, and come again with other children; and quotas on them.
fn path() -> impl Strategy<Value = String> {
    let names = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
    let of_quota = vec!["", "/zookeeper_limits", "/zookeeper_stats"];
    prop_oneof![
        5 => names.prop_map(|names| format!("/{}", names.join("/"))),
        2 => (prop::sample::select(vec!["/a", "/a/b"]), prop::sample::select(of_quota))
            .prop_map(|(on, node)| format!("/zookeeper/quota{on}{node}")),
    ]
}

fn list() -> impl Strategy<Value = Acl> {
    let least = Perms::READ.and(Perms::ADMIN);
    prop::sample::select(vec![
        Acl::OPEN,
        Acl::one(least, "world", "anyone"),
        Acl::one(Perms::ALL, "ip", "127.0.0.0/8"),
    ])
}

fn single() -> impl Strategy<Value = Op> {
    let mode = prop::sample::select(vec![
        CreateMode::Persistent,
        CreateMode::Persistent,
        CreateMode::Ephemeral,
        CreateMode::PersistentSequential,
        CreateMode::EphemeralSequential,
        CreateMode::Container,
        CreateMode::PersistentWithTtl { ttl_ms: 20 },
    ]);
    prop_oneof![
        5 => (path(), mode.clone()).prop_map(|(path, mode)| create(&path, mode)),
        3 => path().prop_map(|path| delete(&path)),
        2 => (path(), "[a-z]{0,3}").prop_map(|(path, data)| set(&path, &data)),
        2 => (path(), mode.clone(), list()).prop_map(|(path, mode, acl)| guarded(&path, mode, acl)),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Op(i64, Op),
    Sweep,
    Close(i64),
    Open(i64),
    Chunk(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..3i64;
    prop_oneof![
        8 => (session.clone(), single()).prop_map(|(s, op)| Step::Op(s, op)),
        2 => (session.clone(), prop::collection::vec(single(), 0..4))
            .prop_map(|(s, ops)| Step::Op(s, Op::Multi { ops })),
        1 => (session.clone(), path(), list()).prop_map(|(s, path, acl)| {
            let path = path.as_str().into();
            Step::Op(s, Op::SetAcl { path, acl, version: -1 })
        }),
        1 => Just(Step::Sweep),
        1 => session.clone().prop_map(Step::Close),
        1 => session.prop_map(Step::Open),
        4 => (1..4usize).prop_map(Step::Chunk),
    ]
}

fn run(live: &mut Live, step: &Step) {
    match step.clone() {
        Step::Op(session, op) => live.submit(session, RequestKind::Op(op)),
        Step::Sweep => live.sweep(),
        Step::Close(session) => live.submit(session, RequestKind::Op(Op::CloseSession)),
        Step::Open(session) => {
            if !live.db.sessions().contains_key(&SessionId(session + 1)) {
                live.submit(session, RequestKind::CreateSession { timeout_ms: 9_999 });
            }
        }
        Step::Chunk(_) => {}
    }
}

/// Everything that a client could ask about the tree.
fn everything(db: &Database) -> Vec<String> {
    let mut at: Option<zabsim_types::ZPath> = None;
    let mut all = Vec::new();
    while let Some((path, node)) = db.tree.after(at.as_deref()) {
        all.push(format!(
            "{path} {:?} {:?} {:?} {:?} {:?}",
            node.stat(),
            node.acl,
            node.owner,
            node.data,
            node.children
        ));
        at = Some(path);
    }
    all.push(format!("{:?}", db.sessions()));
    all.push(format!("{:?}", db.tree.swept().collect::<Vec<_>>()));
    for owner in db.tree.owners() {
        all.push(format!(
            "{owner} {:?}",
            db.tree.ephemerals(owner).collect::<Vec<_>>()
        ));
    }
    all
}

fn check(before: &[Step], during: &[Step], after: &[Step]) {
    let mut live = Live::new();
    before.iter().for_each(|step| run(&mut live, step));
    let begun = live.db.applied();
    let mut writer = SnapshotWriter::new(SnapshotId(1), begun);
    let mut chunks = Vec::new();
    let mut done = false;
    let mut finished = begun;
    for step in during {
        match step {
            Step::Chunk(nodes) if !done => {
                let (chunk, last) = writer.next_chunk(&live.db, *nodes);
                chunks.push(chunk);
                done = last;
                finished = live.db.applied();
            }
            step => run(&mut live, step),
        }
    }
    while !done {
        let (chunk, last) = writer.next_chunk(&live.db, 3);
        chunks.push(chunk);
        done = last;
        finished = live.db.applied();
    }
    after.iter().for_each(|step| run(&mut live, step));

    let mut restored = restore(&chunks).expect("it can be read");
    assert_eq!(restored.applied(), begun);
    for (zxid, payload) in live.txns_after(Zxid(begun.0)) {
        let z = zabsim_types::Zxid(zxid.0);
        assert_eq!(restored.exact(), restored.applied() >= finished);
        restored.apply(z, &Txn::decode(payload).unwrap(), &mut Outcome::default());
    }
    assert_eq!(everything(&restored), everything(&live.db));
    assert_eq!(restored.digest(), live.db.digest());
    let rebuilt = digest_of(None, &chunks, live.txns_after(Zxid(begun.0)));
    let expected = (Zxid(live.db.applied().0), live.db.digest().unwrap());
    assert_eq!(rebuilt, Ok(expected));
    let from_nothing = digest_of(None, &[], live.txns_after(Zxid::ZERO));
    assert_eq!(
        from_nothing,
        Ok(expected),
        "the digest does not depend on the way there"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_fuzzy_snapshot_and_the_log_give_the_live_state(
        before in prop::collection::vec(step(), 0..40),
        during in prop::collection::vec(step(), 0..60),
        after in prop::collection::vec(step(), 0..20),
    ) {
        check(&before, &during, &after);
    }
}

fn do_all(live: &mut Live, ops: &[Op]) {
    for op in ops {
        live.submit(0, RequestKind::Op(op.clone()));
    }
}

/// ZOOKEEPER-1046, 3125: the snapshot has the parent from before, the children came and went meanwhile.
#[test]
fn sequence_numbers_are_not_used_twice_after_a_fuzzy_snapshot() {
    let mut live = Live::new();
    do_all(&mut live, &[create("/s", CreateMode::Persistent)]);
    let begun = live.db.applied();
    let mut writer = SnapshotWriter::new(SnapshotId(1), begun);
    let (first, last) = writer.next_chunk(&live.db, 2);
    assert!(!last, "the root and /s are written, nothing else");
    let sequential = create("/s/n", CreateMode::PersistentSequential);
    do_all(&mut live, &[sequential, delete("/s/n0000000000")]);
    let (second, last) = writer.next_chunk(&live.db, 100);
    assert!(last);
    let mut restored = restore(&[first, second]).unwrap();
    assert_eq!(restored.digest(), None, "between two states");
    assert_eq!(restored.tree.stat("/s").unwrap().cversion, 0);
    for (zxid, payload) in live.txns_after(Zxid(begun.0)) {
        let z = zabsim_types::Zxid(zxid.0);
        restored.apply(z, &Txn::decode(payload).unwrap(), &mut Outcome::default());
    }
    assert_eq!(restored.tree.stat("/s"), live.db.tree.stat("/s"));
    assert_eq!(restored.tree.stat("/s").unwrap().cversion, 2);
}

/// The snapshot has all that happened while it was written, as it is in the end: replayed, it must not happen once more.
#[test]
fn counts_lists_and_the_sweeps_candidates_are_right_after_a_fuzzy_snapshot() {
    let mut live = Live::new();
    let quota = ["", "/zookeeper_limits", "/zookeeper_stats"];
    let quota = quota.map(|node| format!("/zookeeper/quota/a{node}"));
    do_all(
        &mut live,
        &[
            create("/a", CreateMode::Persistent),
            create("/c", CreateMode::Container),
        ],
    );
    do_all(
        &mut live,
        &quota
            .each_ref()
            .map(|path| create(path, CreateMode::Persistent)),
    );
    let begun = live.db.applied();
    let mut writer = SnapshotWriter::new(SnapshotId(1), begun);
    let (first, last) = writer.next_chunk(&live.db, 1);
    assert!(!last, "the root is written, nothing else");
    let closed = Op::SetAcl {
        path: "/a".into(),
        acl: Acl::one(Perms::READ.and(Perms::CREATE), "world", "anyone"),
        version: 0,
    };
    do_all(
        &mut live,
        &[
            create("/a/b", CreateMode::Persistent),
            set("/a/b", "123456789"),
            closed,
            delete("/c"),
            create("/c", CreateMode::Persistent),
        ],
    );
    let (second, last) = writer.next_chunk(&live.db, 100);
    assert!(last);
    let mut restored = restore(&[first, second]).expect("it can be read");
    for (zxid, payload) in live.txns_after(Zxid(begun.0)) {
        let z = zabsim_types::Zxid(zxid.0);
        let txn = Txn::decode(payload).expect("it was encoded");
        restored.apply(z, &txn, &mut Outcome::default());
    }
    let counted = restored.tree.node(&quota[2]).expect("it is there");
    let data = counted.data.as_deref().unwrap_or_default();
    assert!(data.starts_with(b"count=2,bytes=10"), "{data:?}");
    let a = restored.tree.node("/a").expect("it is there");
    assert!(!a.acl.is_open() && a.aversion == 1);
    assert_eq!(restored.tree.swept().count(), 0, "/c is a plain node now");
    assert_eq!(restored.digest(), live.db.digest());
}

#[test]
fn a_log_that_ends_inside_a_fuzzy_snapshot_is_told() {
    let mut live = Live::new();
    let mut writer = SnapshotWriter::new(SnapshotId(1), live.db.applied());
    let (first, _) = writer.next_chunk(&live.db, 1);
    do_all(&mut live, &[create("/a", CreateMode::Persistent)]);
    let (second, _) = writer.next_chunk(&live.db, 100);
    assert_eq!(
        digest_of(None, &[first, second], []),
        Err("the snapshot was written until ⟨1,4⟩ was applied, but the log ends at ⟨1,3⟩".into())
    );
}

#[test]
fn a_damaged_snapshot_is_refused_with_the_reason() {
    let live = Live::new();
    let mut writer = SnapshotWriter::new(SnapshotId(1), live.db.applied());
    let (good, last) = writer.next_chunk(&live.db, 100);
    assert!(last);
    for cut in 0..good.len() {
        assert!(restore(&[good[..cut].into()]).is_err(), "cut at {cut}");
    }
    let mut other = good.to_vec();
    other[4] = 9;
    let error = restore(&[other.into()]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "snapshot at byte 5: version 9; 2 is understood"
    );
}
