//! Bytes that are not what was written: every decoder says so, or reads something that has just these bytes. None panics.

use super::*;
use crate::auth::Identities;
use crate::database::{Database, Outcome};
use crate::request::{App, Request, RequestKind};
use crate::snapshot::{SnapshotWriter, restore};
use crate::{Owner, Txn, TxnBody, describe};
use zab::SnapshotId;
use zabsim_types::{Id, Perms};

/// Each prefix, and each single bit flipped.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let prefixes = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let flips = (0..bytes.len() * 8).map(|bit| {
        let mut rotten = bytes.to_vec();
        rotten[bit / 8] ^= 1 << (bit % 8);
        rotten
    });
    prefixes.chain(flips)
}

fn txn(body: TxnBody) -> Txn {
    Txn {
        session: SessionId(7),
        conn: ConnId(3),
        cxid: Xid(5),
        time_ms: 9,
        body,
        counts: vec![("/q".into(), Some([b'1'].as_slice().into()))],
    }
}

fn node(path: &str, acl: Acl, owner: Owner) -> TxnBody {
    TxnBody::Create {
        path: path.into(),
        data: Some(b"data".as_slice().into()),
        acl,
        owner,
        parent_creates: 1,
    }
}

#[test]
fn transactions() {
    let list = Acl::one(Perms::READ, "digest", "me:hash");
    let set_acl = TxnBody::SetAcl {
        path: "/a".into(),
        acl: list.clone(),
        version: 3,
    };
    let multi = TxnBody::Multi(vec![
        node("/a", Acl::OPEN, Owner::Nobody),
        node("/b", list.clone(), Owner::Ttl { ttl_ms: 5 }),
        TxnBody::Check { path: "/a".into() },
        TxnBody::Delete { path: "/a".into() },
    ]);
    let close = TxnBody::CloseSession {
        ephemerals: vec!["/e".into(), "/f".into()],
    };
    let failed = TxnBody::Error(ErrorCode::NoNode);
    for body in [multi, close, failed, set_acl] {
        for bytes in damaged(&txn(body).encode()) {
            describe(&bytes);
            if let Ok(read) = Txn::decode(&bytes) {
                assert_eq!(&*read.encode(), bytes, "{read}");
            }
        }
    }
}

#[test]
fn requests_and_messages_between_servers() {
    let ops = vec![
        create("/a", CreateMode::EphemeralSequential),
        set("/a", "x"),
        delete("/a"),
    ];
    let container = Op::Create {
        path: "/c".into(),
        data: None,
        mode: CreateMode::PersistentWithTtl { ttl_ms: 9 },
        with_stat: true,
        acl: Acl::one(Perms::ALL, "auth", ""),
    };
    let reconfig = Op::Reconfig {
        joining: Some("server.4=four".into()),
        leaving: None,
        new_members: None,
        from_config: -1,
    };
    for op in [Op::Multi { ops }, Op::CloseSession, container, reconfig] {
        let request = Request {
            session: SessionId(7),
            conn: ConnId(3),
            xid: Xid(5),
            ids: Identities::new(vec![Id::new("digest", "me:hash")]),
            local: false,
            kind: RequestKind::Op(op),
        };
        for bytes in damaged(&request.encode()) {
            describe(&bytes);
            if let Ok(read) = Request::decode(&bytes) {
                // What stands for "not allowed here" has several causes and one meaning.
                assert_eq!(read.encode().len(), bytes.len(), "{read}");
            }
        }
    }
    let touch = App::Touch(vec![(SessionId(1), 2), (SessionId(3), 4)]);
    let revalidated = App::Revalidated {
        conn: ConnId(1),
        valid: true,
        barrier: zabsim_types::Zxid::new(1, 2),
    };
    for app in [touch, revalidated] {
        for bytes in damaged(&app.encode()) {
            describe(&bytes);
            if let Ok(read) = App::decode(&bytes) {
                assert_eq!(&*read.encode(), bytes, "{read}");
            }
        }
    }
}

#[test]
fn snapshots() {
    let mut db = Database::new();
    let session = txn(TxnBody::CreateSession { timeout_ms: 1_000 });
    let owner = Owner::Session(SessionId(7));
    let list = Acl::one(Perms::READ, "world", "anyone");
    let ephemeral = txn(node("/e", list, owner));
    let kept = txn(node("/t", Acl::OPEN, Owner::Ttl { ttl_ms: 3 }));
    for (counter, txn) in [session, ephemeral, kept].iter_mut().enumerate() {
        txn.counts.clear();
        let zxid = zabsim_types::Zxid::new(1, counter as u32 + 1);
        db.apply(zxid, txn, &mut Outcome::default());
    }
    let (whole, last) = SnapshotWriter::new(SnapshotId(1), db.applied()).next_chunk(&db, 99);
    assert!(last);
    let read = restore(std::slice::from_ref(&whole)).expect("undamaged");
    assert_eq!(read.digest(), db.digest());
    let mut refused = 0;
    for bytes in damaged(&whole) {
        match restore(&[bytes.into()]) {
            // A checksum stands around it on disk and on the way; here a number can rot unseen, but it is seen by the digest.
            Ok(read) => assert!(
                read.digest() != db.digest()
                    || read.applied() != db.applied()
                    || read.exact_from() != db.exact_from()
            ),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > whole.len(), "every prefix is refused, and more");
}
