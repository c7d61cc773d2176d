//! Histories are JSON: what is written must be read again, and what was written before there were access control lists too.

use zabsim_types::{
    Acl, AddWatchMode, CreateMode, ErrorCode, Id, Op, Perms, Reply, Stat, WatcherType,
};

fn again<T>(value: &T) -> T
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let text = serde_json::to_string(value).expect("it is written");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn a_create_without_a_list_is_open_and_stays_as_short() {
    let text = r#"{"op":"create","path":"/a","data":null,"mode":"persistent","with_stat":false}"#;
    let op: Op = serde_json::from_str(text).expect("an older history");
    assert!(matches!(&op, Op::Create { acl, .. } if acl.is_open()));
    assert_eq!(serde_json::to_string(&op).expect("it is written"), text);
}

#[test]
fn a_list_is_written_as_recorded_histories_have_it() {
    let acl = Acl::one(Perms::READ, "digest", "me:x");
    let text = serde_json::to_string(&acl).expect("it is written");
    assert_eq!(text, r#"[[1,"digest","me:x"]]"#);
    let open: Acl = serde_json::from_str(r#"[[31,"world","anyone"]]"#).expect("a list");
    assert!(open.is_open());
}

#[test]
fn every_operation_and_answer_is_read_as_it_was_written() {
    let path: zabsim_types::ZPath = "/a".into();
    let create = |mode| Op::Create {
        path: path.clone(),
        data: Some(b"x".as_slice().into()),
        mode,
        with_stat: true,
        acl: Acl::one(Perms::ALL, "auth", ""),
    };
    let ops = [
        create(CreateMode::Container),
        create(CreateMode::PersistentWithTtl { ttl_ms: 5 }),
        create(CreateMode::Invalid {
            flags: 99,
            ttl_ms: None,
        }),
        Op::GetAcl { path: path.clone() },
        Op::SetAcl {
            path: path.clone(),
            acl: Acl::OPEN,
            version: 3,
        },
        Op::AddAuth {
            scheme: "digest".into(),
            auth: "me:secret".into(),
        },
        Op::WhoAmI,
        Op::DeleteContainer { path: path.clone() },
        Op::AddWatch {
            path: path.clone(),
            mode: AddWatchMode::PersistentRecursive,
        },
        Op::RemoveWatches {
            path: path.clone(),
            kind: WatcherType::Any,
        },
        Op::CheckWatches {
            path: path.clone(),
            kind: WatcherType::Children,
        },
        Op::MultiRead {
            ops: vec![Op::WhoAmI],
        },
        Op::GetEphemerals {
            prefix: path.clone(),
        },
        Op::GetAllChildrenNumber { path: path.clone() },
        Op::Reconfig {
            joining: None,
            leaving: Some("2".into()),
            new_members: None,
            from_config: -1,
        },
    ];
    for op in &ops {
        assert_eq!(again(op), *op);
    }
    let stat = Stat::default();
    let replies = [
        Reply::Acl {
            acl: Acl::OPEN,
            stat,
        },
        Reply::AclSet { stat },
        Reply::AuthAdded,
        Reply::Identities {
            ids: vec![Id::new("ip", "10.0.0.1")],
        },
        Reply::WatchAdded,
        Reply::WatchesRemoved,
        Reply::WatchesChecked,
        Reply::MultiRead {
            results: vec![Ok(Reply::Checked), Err(ErrorCode::NoNode)],
        },
        Reply::Ephemerals { paths: vec![path] },
        Reply::ChildrenNumber { number: 3 },
        Reply::Reconfigured { data: None, stat },
    ];
    for reply in &replies {
        assert_eq!(again(reply), *reply);
    }
}
