//! Access control lists: who may what, and which error comes first.

use super::*;
use crate::auth::digest;
use crate::tests::guarded;
use zabsim_types::{AclEntry, Id};

fn ids(user_and_password: &str) -> Identities {
    Identities::new(vec![Id::new("digest", &digest(user_and_password))])
}

fn set_acl(path: &str, acl: Acl, version: i32) -> Op {
    let path = path.into();
    Op::SetAcl { path, acl, version }
}

fn world(perms: Perms) -> Acl {
    Acl::one(perms, "world", "anyone")
}

#[test]
fn each_permission_allows_its_operations_and_no_other() {
    use ErrorCode::NoAuth;
    for granted in [
        Perms::READ,
        Perms::WRITE,
        Perms::CREATE,
        Perms::DELETE,
        Perms::ADMIN,
    ] {
        let mut b = Bench::new();
        b.create("/p", Persistent);
        b.create("/p/old", Persistent);
        b.op(set_acl("/p", world(granted), 0));
        b.apply_all();
        for (op, needs) in [
            (set("/p", -1), Perms::WRITE),
            (create("/p/new", Persistent), Perms::CREATE),
            (delete("/p/old", -1), Perms::DELETE),
            (set_acl("/p", world(granted), -1), Perms::ADMIN),
        ] {
            let refused = b.op(op.clone()) == TxnBody::Error(NoAuth);
            assert_eq!(refused, needs != granted, "{op:?} with {granted:?}");
        }
        let only_check = b.op(Op::Multi {
            ops: vec![check("/p", -1)],
        });
        let refused = only_check == TxnBody::Multi(vec![TxnBody::Error(NoAuth)]);
        assert_eq!(refused, granted != Perms::READ);
    }
}

/// Prepared, not applied: it counts already.
#[test]
fn a_list_counts_as_soon_as_it_is_prepared() {
    let mut b = Bench::new();
    b.op(guarded("/a", Persistent, world(Perms::ADMIN)));
    assert_eq!(b.error(set("/a", -1)), ErrorCode::NoAuth);
    b.op(set_acl("/a", world(Perms::WRITE), 0));
    assert!(matches!(b.op(set("/a", -1)), TxnBody::SetData { .. }));
    assert_eq!(b.error(set_acl("/a", Acl::OPEN, -1)), ErrorCode::NoAuth);
    b.apply_all();
    assert_eq!(b.db.tree.stat("/a").expect("it is there").aversion, 1);
}

#[test]
fn the_leader_judges_by_the_identities_that_come_with_the_request() {
    let mut b = Bench::new();
    let mine = Acl::one(Perms::ALL, "auth", "");
    assert_eq!(
        b.error(guarded("/a", Persistent, mine.clone())),
        ErrorCode::InvalidACL
    );
    b.ids = ids("me:secret");
    let TxnBody::Create { acl, .. } = b.op(guarded("/a", Persistent, mine)) else {
        panic!("it is made");
    };
    let entry = AclEntry {
        perms: Perms::ALL,
        id: Id::new("digest", &digest("me:secret")),
    };
    assert_eq!(acl.entries(), [entry]);
    assert!(matches!(b.op(set("/a", -1)), TxnBody::SetData { .. }));
    b.ids = ids("me:guess");
    assert_eq!(b.error(set("/a", -1)), ErrorCode::NoAuth);
    b.ids = Identities::new(vec![Id::new("super", "")]);
    assert!(matches!(b.op(set("/a", -1)), TxnBody::SetData { .. }));
}

#[test]
fn errors_come_in_the_recorded_order() {
    use ErrorCode::*;
    let mut b = Bench::new();
    b.op(guarded("/p", Persistent, world(Perms::READ)));
    b.create("/open", Persistent);
    b.create("/open/e", Ephemeral);
    let nothing = || Acl::new(vec![]);
    let invalid = CreateMode::Invalid {
        flags: 9,
        ttl_ms: None,
    };
    for (op, error) in [
        (guarded("/no/x", invalid, nothing()), BadArguments),
        (guarded("noslash", Persistent, nothing()), BadArguments),
        (guarded("/no/x", Persistent, nothing()), InvalidACL),
        (create("/no//", Persistent), NoNode),
        (create("/p/", Persistent), NoAuth),
        (create("/open/", Persistent), BadArguments),
        (create("/open/e", Persistent), NodeExists),
        (create("/open/e/x", Persistent), NoChildrenForEphemerals),
        (delete("/p/none", 7), NoAuth),
        (delete("/open/none", 7), NoNode),
        (set("/p", 7), NoAuth),
        (set("/open", 7), BadVersion),
        (set_acl("/a/", nothing(), -1), BadArguments),
        (set_acl("/none", nothing(), -1), InvalidACL),
        (set_acl("/none", Acl::OPEN, -1), NoNode),
        (set_acl("/p", Acl::OPEN, 7), NoAuth),
        (set_acl("/open", Acl::OPEN, 7), BadVersion),
    ] {
        assert_eq!(b.error(op.clone()), error, "{op:?}");
    }
}

/// As a request of its own it is refused, as a part it makes the whole unreadable.
#[test]
fn flags_that_are_no_modes_spoil_a_multi() {
    let mut b = Bench::new();
    let invalid = |flags, ttl_ms| create("/x", CreateMode::Invalid { flags, ttl_ms });
    assert_eq!(b.error(invalid(99, None)), ErrorCode::BadArguments);
    let mut multi = |part| {
        b.op(Op::Multi {
            ops: vec![create("/y", Persistent), part],
        })
    };
    let unreadable = TxnBody::Error(ErrorCode::MarshallingError);
    assert_eq!(multi(invalid(99, None)), unreadable);
    assert_eq!(multi(invalid(-1, None)), unreadable);
    let failed = failed_parts(1, ErrorCode::BadArguments, 2);
    assert_eq!(multi(invalid(0, Some(5))), TxnBody::Multi(failed));
}

#[test]
fn nobody_but_the_super_user_writes_the_configuration() {
    let mut b = Bench::new();
    assert_eq!(b.error(set("/zookeeper/config", -1)), ErrorCode::NoAuth);
    b.ids = Identities::new(vec![Id::new("super", "")]);
    assert!(matches!(
        b.op(set("/zookeeper/config", -1)),
        TxnBody::SetData { .. }
    ));
    // From −1 on.
    let set = b.op(set_acl("/zookeeper/config", Acl::OPEN, -1));
    assert!(matches!(set, TxnBody::SetAcl { version: 0, .. }));
}

#[test]
fn a_failed_multi_leaves_no_list_behind() {
    let mut b = Bench::new();
    b.create("/a", Persistent);
    let multi = vec![
        guarded("/a/x", Persistent, world(Perms::NONE)),
        create("/a/x/y", Persistent),
    ];
    b.op(Op::Multi { ops: multi });
    assert!(matches!(
        b.create("/a/x", Persistent),
        TxnBody::Create { acl, .. } if acl.is_open()
    ));
    assert!(matches!(
        b.create("/a/x/y", Persistent),
        TxnBody::Create { .. }
    ));
}
