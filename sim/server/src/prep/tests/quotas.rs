//! Quotas: what is counted where, and what is too much.

use super::*;

fn with(path: &str, data: &str) -> Op {
    Op::Create {
        path: path.into(),
        data: Some(data.as_bytes().into()),
        mode: Persistent,
        with_stat: false,
        acl: Acl::OPEN,
    }
}

fn set_to(path: &str, data: &str) -> Op {
    Op::SetData {
        path: path.into(),
        data: Some(data.as_bytes().into()),
        version: -1,
    }
}

fn put_quota(b: &mut Bench, on: &str, limits: &str) {
    b.op(with(&format!("/zookeeper/quota{on}"), ""));
    b.op(with(&quota::limits_of(on), limits));
    b.op(with(&quota::stats_of(on), "count=0,bytes=0"));
}

/// The counts as they will be.
fn counts(b: &Bench, on: &str) -> String {
    let node = b.overlay.node(&b.db, &quota::stats_of(on));
    let data = node.and_then(|node| node.data).unwrap_or_default();
    String::from_utf8_lossy(&data).into_owned()
}

/// Whether anything is applied in between makes no difference.
fn both_ways(script: impl Fn(&mut Bench, &dyn Fn(&mut Bench))) {
    script(&mut Bench::new(), &|b| b.apply_all());
    let mut b = Bench::new();
    script(&mut b, &|_| {});
    b.apply_all();
}

#[test]
fn what_is_there_is_counted_once_and_then_kept_up() {
    both_ways(|b, pause| {
        b.op(with("/a", "xx"));
        b.op(with("/a/b", "yyy"));
        b.op(with("/ab", "elsewhere"));
        pause(b);
        put_quota(b, "/a", "count=2,bytes=10");
        assert_eq!(counts(b, "/a"), "count=2,bytes=5");
        pause(b);
        b.op(with("/a/c", "123456789"));
        assert_eq!(counts(b, "/a"), "count=3,bytes=14");
        b.op(set_to("/a/c", "1"));
        pause(b);
        b.op(delete("/a/b", -1));
        b.op(with("/ab/c", "zz"));
        assert_eq!(counts(b, "/a"), "count=2,bytes=3");
        pause(b);
        b.op(delete(&quota::limits_of("/a"), -1));
        b.op(with("/a/d", "zz"));
        assert_eq!(counts(b, "/a"), "count=2,bytes=3");
    });
}

#[test]
fn what_is_to_be_deleted_is_not_counted_anew() {
    both_ways(|b, pause| {
        b.op(with("/a", ""));
        b.op(with("/a/b", "b"));
        b.op(with("/a/c", "cc"));
        pause(b);
        b.op(delete("/a/b", -1));
        b.op(set_to("/a/c", "ccc"));
        b.op(with("/a/c/d", "dddd"));
        put_quota(b, "/a", "count=2,bytes=10");
        assert_eq!(counts(b, "/a"), "count=3,bytes=7");
    });
}

#[test]
fn only_the_nearest_quota_counts() {
    both_ways(|b, pause| {
        b.op(with("/a", ""));
        b.op(with("/a/b", "b"));
        put_quota(b, "/a", "count=9");
        put_quota(b, "/a/b", "count=9");
        pause(b);
        b.op(with("/a/b/c", "cc"));
        assert_eq!(counts(b, "/a"), "count=2,bytes=1");
        assert_eq!(counts(b, "/a/b"), "count=2,bytes=3");
    });
}

#[test]
fn the_end_of_a_session_is_counted() {
    both_ways(|b, pause| {
        b.op(with("/a", ""));
        put_quota(b, "/a", "count=9");
        b.create("/a/e", Ephemeral);
        b.create("/a/f", Ephemeral);
        assert_eq!(counts(b, "/a"), "count=3,bytes=2");
        pause(b);
        b.op(Op::CloseSession);
        assert_eq!(counts(b, "/a"), "count=1,bytes=0");
    });
}

#[test]
fn a_failed_multi_counts_nothing() {
    let mut b = Bench::new();
    b.op(with("/a", ""));
    put_quota(&mut b, "/a", "count=9");
    b.op(Op::Multi {
        ops: vec![with("/a/b", "b"), with("/none/c", "c")],
    });
    assert_eq!(counts(&b, "/a"), "count=1,bytes=0");
    let counts = &b.prepared.last().expect("it takes a zxid").counts;
    assert!(counts.is_empty());
}

#[test]
fn neither_version_nor_time_of_the_counts_tells() {
    let mut b = Bench::new();
    b.op(with("/a", ""));
    put_quota(&mut b, "/a", "count=9");
    b.apply_all();
    let stats = quota::stats_of("/a");
    let before = b.db.tree.stat(&stats).expect("it is there");
    b.now = Time(1_000_000);
    b.op(with("/a/b", "b"));
    b.op(set_to("/a/b", "0123456789"));
    b.apply_all();
    let after = b.db.tree.stat(&stats).expect("it is there");
    assert_eq!(after.data_length, before.data_length + 1);
    let data_length = before.data_length;
    assert_eq!(
        zabsim_types::Stat {
            data_length,
            ..after
        },
        before
    );
}

#[test]
fn hard_limits_hold_where_they_are_enforced() {
    both_ways(|b, pause| {
        b.rules.enforce_quota = true;
        b.op(with("/a", "x"));
        put_quota(
            b,
            "/a",
            "count=-1,bytes=-1=;byteHardLimit=9;countHardLimit=2",
        );
        pause(b);
        b.op(with("/a/b", "x"));
        assert_eq!(b.error(with("/a/c", "")), ErrorCode::QuotaExceeded);
        assert_eq!(
            b.error(set_to("/a/b", "123456789")),
            ErrorCode::QuotaExceeded
        );
        pause(b);
        b.op(set_to("/a/b", "12345678"));
        assert_eq!(counts(b, "/a"), "count=2,bytes=9");
        b.op(delete("/a/b", -1));
        pause(b);
        // The parts of a multi are each compared with what was before all of them.
        let ops = vec![with("/a/c", ""), with("/a/d", "")];
        assert!(matches!(
            b.op(Op::Multi { ops }),
            TxnBody::Multi(parts) if matches!(parts[0], TxnBody::Create { .. })
        ));
        assert_eq!(counts(b, "/a"), "count=3,bytes=1");
        b.rules.enforce_quota = false;
        assert!(matches!(b.op(with("/a/e", "")), TxnBody::Create { .. }));
    });
}
