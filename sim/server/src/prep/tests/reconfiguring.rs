//! Reconfiguration: what is asked of it, in which order, and what it makes.

use super::*;
use zab::PeerId;
use zabsim_types::Id;

/// Three servers that may be reconfigured, and a client that may do everything.
fn bench() -> Bench {
    let mut bench = Bench::new();
    let first = QuorumConfig::majority([1, 2, 3].map(PeerId));
    let text = crate::first_configuration(&first);
    bench.db = Database::initial(Some(&text));
    bench.rules.first_configuration = Some(text.into());
    bench.ids = Identities::new(vec![Id::new("super", "")]);
    bench
}

fn reconfig(joining: Option<&str>, leaving: Option<&str>, all: Option<&str>) -> Op {
    Op::Reconfig {
        joining: joining.map(Into::into),
        leaving: leaving.map(Into::into),
        new_members: all.map(Into::into),
        from_config: -1,
    }
}

fn text(body: &TxnBody) -> String {
    match body {
        TxnBody::Reconfig {
            data: Some(data), ..
        } => String::from_utf8_lossy(data).into_owned(),
        other => panic!("{other} reconfigures nothing"),
    }
}

#[test]
fn members_join_and_leave_and_the_node_says_so() {
    let mut b = bench();
    let body = b.op(reconfig(
        Some("server.4=s4:2888:3888;2181"),
        Some("3"),
        None,
    ));
    let zxid = b.prepared.len();
    let expected = format!(
        "server.1=s1:2888:3888:participant\nserver.2=s2:2888:3888:participant\nserver.4=s4:2888:3888:participant;0.0.0.0:2181\nversion={zxid:x}"
    );
    assert_eq!(text(&body), expected);
    let made = QuorumConfig::majority([1, 2, 4].map(PeerId));
    assert_eq!(b.quorum, Some(made));
    // The next one is made of what this one leads to.
    let body = b.op(reconfig(None, Some("1"), None));
    assert!(text(&body).starts_with("server.2=s2:2888:3888:participant\nserver.4="));
    let body = b.op(reconfig(
        None,
        None,
        Some("server.1=a:1:2,server.2=b:1:2:observer,server.3=c:1:2"),
    ));
    assert!(
        text(&body).starts_with("server.1=a:1:2:participant\nserver.2=b:1:2:observer\nserver.3=")
    );
    let made = b.quorum.clone().expect("it was made");
    assert_eq!(made.observers, [PeerId(2)].into());
}

#[test]
fn errors_come_in_zookeepers_order() {
    let bad = || reconfig(Some("server.4"), None, None);
    let good = || reconfig(None, Some("3"), None);
    let of_version = |op: Op, version| match op {
        Op::Reconfig {
            joining,
            leaving,
            new_members,
            ..
        } => Op::Reconfig {
            joining,
            leaving,
            new_members,
            from_config: version,
        },
        other => other,
    };
    let mut b = bench();
    b.ids = Identities::default();
    b.quorum_is_there = false;
    b.reconfiguring = true;
    let enabled = b.rules.first_configuration.take();
    assert_eq!(b.error(of_version(bad(), 7)), ErrorCode::ReconfigDisabled);
    b.rules.first_configuration = enabled;
    assert_eq!(b.error(of_version(bad(), 7)), ErrorCode::ReconfigInProgress);
    b.reconfiguring = false;
    assert_eq!(b.error(of_version(bad(), 7)), ErrorCode::BadVersion);
    assert_eq!(b.error(of_version(bad(), 0)), ErrorCode::BadArguments);
    assert_eq!(
        b.error(reconfig(None, Some("1,2,3"), None)),
        ErrorCode::BadArguments
    );
    assert_eq!(b.error(good()), ErrorCode::NewConfigNoQuorum);
    b.quorum_is_there = true;
    assert_eq!(b.error(good()), ErrorCode::NoAuth);
    assert_eq!(b.quorum, None);
    b.ids = Identities::new(vec![Id::new("super", "")]);
    let body = b.op(of_version(good(), 0));
    assert!(matches!(body, TxnBody::Reconfig { .. }), "{body}");
}
