//! Transactions: what the leader's pipeline makes of a request, and what every server applies.
//!
//! A transaction is the *effect* of a request, already decided: it carries the name that a sequential create got, the
//! version that a setData leads to, the parent's create count after a create (ZOOKEEPER-1046: without it a replay reuses
//! sequence numbers) and the ephemerals that end with a session (ZOOKEEPER-3145: a replay over a fuzzy snapshot must not
//! look for them itself). A request that failed is a transaction too: it takes a zxid, is logged, and changes nothing.
//!
//! The encoding is stable: the same transaction has the same bytes on every server and in every build of one version.
//! Source: ZooKeeper 3.9 `TxnHeader`, `CreateTxn`, `CloseSessionTxn`, `MultiTxn`, `ErrorTxn`.

use crate::ConnId;
use crate::body::{Place, kind};
use crate::codec::{DecodeError, Reader, Writer};
use std::fmt;
use zabsim_types::{Acl, Data, ErrorCode, SessionId, Xid, ZPath};

/// The first byte of an encoded transaction; requests and messages between servers begin otherwise.
pub(crate) const MAGIC: u8 = b'T';

/// A transaction, without its zxid: that one stands in the log record around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Txn {
    /// Whose request it was.
    pub session: SessionId,
    /// The connection that the request came by, at whichever server; `NONE` for the leader's own (an expiry).
    pub conn: ConnId,
    /// The request's number on that connection.
    pub cxid: Xid,
    /// The leader's clock when it prepared this, in milliseconds.
    pub time_ms: i64,
    /// What it does.
    pub body: TxnBody,
    /// What it makes the nodes hold that count for quotas: the path of each, and its data behind all the rest.
    pub counts: Vec<(ZPath, Data)>,
}

/// How long a node stays, as its creation decided.
///
/// ZooKeeper folds this into the 64 bits of `ephemeralOwner` (a sign bit for containers, a top byte 0xff and 40 bits of
/// milliseconds for a TTL), so that a session's id must never look like one of those. Here it is said in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Owner {
    /// Until somebody deletes it.
    #[default]
    Nobody,
    /// As long as this session: an ephemeral.
    Session(SessionId),
    /// Until it has had children and has none any more: the leader's sweep removes it then.
    Container,
    /// Until it is childless and its data was not set for that long: the leader's sweep removes it then.
    Ttl {
        /// How long, in milliseconds.
        ttl_ms: i64,
    },
}

impl Owner {
    /// The session that it goes with, as `Stat` shows it: `NONE` for all but ephemerals.
    pub const fn session(self) -> SessionId {
        match self {
            Owner::Session(session) => session,
            Owner::Nobody | Owner::Container | Owner::Ttl { .. } => SessionId::NONE,
        }
    }

    /// Whether it is an ephemeral.
    pub const fn is_session(self) -> bool {
        matches!(self, Owner::Session(_))
    }
}

impl Writer {
    pub(crate) fn owner(&mut self, owner: Owner) {
        match owner {
            Owner::Nobody => self.u8(0),
            Owner::Session(session) => {
                self.u8(1);
                self.session(session);
            }
            Owner::Container => self.u8(2),
            Owner::Ttl { ttl_ms } => {
                self.u8(3);
                self.i64(ttl_ms);
            }
        }
    }
}

impl Reader<'_> {
    pub(crate) fn owner(&mut self) -> Result<Owner, DecodeError> {
        Ok(match self.u8()? {
            0 => Owner::Nobody,
            1 => Owner::Session(self.session()?),
            2 => Owner::Container,
            3 => Owner::Ttl {
                ttl_ms: self.i64()?,
            },
            other => return Err(self.error(format!("{other} is no kind of owner"))),
        })
    }
}

/// What a transaction does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TxnBody {
    /// A session begins.
    CreateSession {
        /// Its timeout.
        timeout_ms: u32,
    },
    /// A session ends, and its ephemerals with it.
    CloseSession {
        /// Exactly the nodes that go; sorted.
        ephemerals: Vec<ZPath>,
    },
    /// A node is made.
    Create {
        /// With its sequence number, if it has one.
        path: ZPath,
        /// What it holds.
        data: Data,
        /// Who may do what to it: valid, without repetitions, and with identities in place of `auth:`.
        acl: Acl,
        /// How long it stays.
        owner: Owner,
        /// The number of children ever created under the parent, this one included.
        parent_creates: i32,
    },
    /// A node is removed.
    Delete {
        /// Which.
        path: ZPath,
    },
    /// A node's data is replaced.
    SetData {
        /// Which.
        path: ZPath,
        /// By what.
        data: Data,
        /// The version that it has afterwards.
        version: i32,
    },
    /// A node's access control list is replaced; never as a part.
    SetAcl {
        /// Of which node.
        path: ZPath,
        /// By what: valid, without repetitions, and with identities in place of `auth:`.
        acl: Acl,
        /// The version of the list (`aversion`) that it has afterwards.
        version: i32,
    },
    /// A version was tested and found right; only as a part.
    Check {
        /// Of which node.
        path: ZPath,
    },
    /// The ensemble is reconfigured: what the configuration's node holds from now on. Who the members are, the record says
    /// in which this transaction stands.
    Reconfig {
        /// The text.
        data: Data,
    },
    /// The request failed; or, as a part of a multi, did not happen (`Ok`: it was all right, but another part was not).
    Error(ErrorCode),
    /// Several at once. Either every part is an `Error` or none is.
    Multi(Vec<TxnBody>),
}

impl Txn {
    /// Its bytes.
    pub fn encode(&self) -> zab::Payload {
        let mut w = Writer::with_capacity(64);
        w.u8(MAGIC);
        w.session(self.session);
        w.u64(self.conn.0);
        w.i32(self.cxid.0);
        w.i64(self.time_ms);
        encode_body(&mut w, &self.body);
        w.list(self.counts.iter(), |w, (path, data)| {
            w.str(path);
            w.data(data);
        });
        w.bytes.into()
    }

    /// Reads what [`encode`](Txn::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Txn, DecodeError> {
        let mut r = Reader::new(bytes, "transaction");
        let magic = r.u8()?;
        if magic != MAGIC {
            return Err(r.error(format!(
                "a transaction begins with {MAGIC}, this with {magic}"
            )));
        }
        let txn = Txn {
            session: r.session()?,
            conn: ConnId(r.u64()?),
            cxid: Xid(r.i32()?),
            time_ms: r.i64()?,
            body: decode_body(&mut r, Place::Whole)?,
            counts: r.list(8, Reader::path_and_data)?,
        };
        r.end()?;
        Ok(txn)
    }
}

fn encode_body(w: &mut Writer, body: &TxnBody) {
    match body {
        TxnBody::CreateSession { timeout_ms } => {
            w.u8(kind::CREATE_SESSION);
            w.u32(*timeout_ms);
        }
        TxnBody::CloseSession { ephemerals } => {
            w.u8(kind::CLOSE_SESSION);
            w.list(ephemerals.iter(), |w, path| w.str(path));
        }
        TxnBody::Create {
            path,
            data,
            acl,
            owner,
            parent_creates,
        } => {
            w.create(path, data, acl);
            w.owner(*owner);
            w.i32(*parent_creates);
        }
        TxnBody::Delete { path } => w.on_node(kind::DELETE, path),
        TxnBody::SetData {
            path,
            data,
            version,
        } => w.set_data(path, data, *version),
        TxnBody::SetAcl { path, acl, version } => w.set_acl(path, acl, *version),
        TxnBody::Check { path } => w.on_node(kind::CHECK, path),
        TxnBody::Reconfig { data } => {
            w.u8(kind::RECONFIG);
            w.data(data);
        }
        TxnBody::Error(code) => {
            w.u8(kind::ERROR);
            w.i32(code.code());
        }
        TxnBody::Multi(parts) => w.multi(parts, encode_body),
    }
}

fn decode_body(r: &mut Reader<'_>, place: Place) -> Result<TxnBody, DecodeError> {
    let whole = place == Place::Whole;
    Ok(match r.u8()? {
        kind::CREATE_SESSION if whole => TxnBody::CreateSession {
            timeout_ms: r.u32()?,
        },
        kind::CLOSE_SESSION if whole => TxnBody::CloseSession {
            ephemerals: r.list(4, Reader::path)?,
        },
        kind::CREATE => {
            let (path, data) = r.path_and_data()?;
            TxnBody::Create {
                path,
                data,
                acl: r.acl()?,
                owner: r.owner()?,
                parent_creates: r.i32()?,
            }
        }
        kind::DELETE => TxnBody::Delete { path: r.path()? },
        kind::SET_DATA => {
            let (path, data) = r.path_and_data()?;
            TxnBody::SetData {
                path,
                data,
                version: r.i32()?,
            }
        }
        kind::SET_ACL if whole => TxnBody::SetAcl {
            path: r.path()?,
            acl: r.acl()?,
            version: r.i32()?,
        },
        kind::RECONFIG if whole => TxnBody::Reconfig { data: r.data()? },
        kind::CHECK if !whole => TxnBody::Check { path: r.path()? },
        kind::ERROR => {
            let code = r.i32()?;
            TxnBody::Error(
                ErrorCode::from_code(code)
                    .ok_or_else(|| r.error(format!("{code} is no error code")))?,
            )
        }
        kind::MULTI if whole => TxnBody::Multi(r.parts(decode_body)?),
        other => return Err(r.no_such_kind(other, place, "transaction")),
    })
}

/// As timelines print it: `create /a/n0000000003 (ephemeral of 0x1…)`.
impl fmt::Display for TxnBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TxnBody::CreateSession { timeout_ms } => write!(f, "createSession {timeout_ms} ms"),
            TxnBody::CloseSession { ephemerals } if ephemerals.is_empty() => {
                write!(f, "closeSession")
            }
            TxnBody::CloseSession { ephemerals } => {
                write!(f, "closeSession and {}", ephemerals.join(", "))
            }
            TxnBody::Create { path, owner, .. } => {
                write!(f, "create {path}")?;
                match owner {
                    Owner::Nobody => Ok(()),
                    Owner::Session(session) => write!(f, " (ephemeral of {session})"),
                    Owner::Container => write!(f, " (container)"),
                    Owner::Ttl { ttl_ms } => write!(f, " (for {ttl_ms} ms)"),
                }
            }
            TxnBody::Delete { path } => write!(f, "delete {path}"),
            TxnBody::SetData { path, version, .. } => {
                write!(f, "setData {path} to version {version}")
            }
            TxnBody::SetAcl { path, acl, version } => {
                write!(f, "setACL {path} to {acl:?}, version {version}")
            }
            TxnBody::Check { path } => write!(f, "check {path}"),
            TxnBody::Reconfig { .. } => write!(f, "reconfig"),
            TxnBody::Error(code) => write!(f, "error {code}"),
            TxnBody::Multi(parts) => {
                write!(f, "multi [")?;
                for (i, part) in parts.iter().enumerate() {
                    if i > 0 {
                        write!(f, "; ")?;
                    }
                    write!(f, "{part}")?;
                }
                write!(f, "]")
            }
        }
    }
}

impl fmt::Display for Txn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}: {}", self.session, self.cxid.0, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::Perms;

    fn sample(body: TxnBody) -> Txn {
        Txn {
            session: SessionId(0x100),
            conn: ConnId(7),
            cxid: Xid(3),
            time_ms: 1234,
            body,
            counts: vec![("/q/stats".into(), None)],
        }
    }

    #[test]
    fn every_kind_survives_encoding() {
        let made = |owner, acl| TxnBody::Create {
            path: "/a/n0000000001".into(),
            data: Some(b"x".as_slice().into()),
            acl,
            owner,
            parent_creates: i32::MIN,
        };
        let create = made(Owner::Session(SessionId(-5)), Acl::OPEN);
        let list = Acl::one(Perms::READ.and(Perms::ADMIN), "digest", "me:hash");
        let set = TxnBody::SetData {
            path: "/a".into(),
            data: None,
            version: -2,
        };
        for body in [
            TxnBody::CreateSession { timeout_ms: 4000 },
            TxnBody::CloseSession {
                ephemerals: vec!["/e".into(), "/f".into()],
            },
            create.clone(),
            made(Owner::Nobody, list.clone()),
            made(Owner::Container, Acl::new(vec![])),
            made(Owner::Ttl { ttl_ms: 7 }, Acl::OPEN),
            TxnBody::SetAcl {
                path: "/a".into(),
                acl: list,
                version: 3,
            },
            set.clone(),
            TxnBody::Delete { path: "/a".into() },
            TxnBody::Error(ErrorCode::NoNode),
            TxnBody::Reconfig {
                data: Some(b"server.1=a:1:2".as_slice().into()),
            },
            TxnBody::Multi(vec![]),
            TxnBody::Multi(vec![create, set, TxnBody::Check { path: "/".into() }]),
            TxnBody::Multi(vec![
                TxnBody::Error(ErrorCode::Ok),
                TxnBody::Error(ErrorCode::BadVersion),
            ]),
        ] {
            let txn = sample(body);
            assert_eq!(Txn::decode(&txn.encode()), Ok(txn));
        }
    }

    #[test]
    fn null_and_empty_data_are_not_the_same() {
        let of = |data| {
            sample(TxnBody::SetData {
                path: "/".into(),
                data,
                version: 1,
            })
            .encode()
        };
        assert_ne!(of(None), of(Some([].as_slice().into())));
    }

    #[test]
    fn bad_bytes_are_refused_with_place_and_reason() {
        let good = sample(TxnBody::Delete {
            path: "/abc".into(),
        })
        .encode();
        for cut in 0..good.len() {
            assert!(Txn::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = good.to_vec();
        long.push(0);
        assert_eq!(
            Txn::decode(&long).unwrap_err().to_string(),
            "transaction at byte 58: 1 bytes follow the end"
        );
        let mut kind = good.to_vec();
        kind[29] = 99;
        assert_eq!(
            Txn::decode(&kind).unwrap_err().to_string(),
            "transaction at byte 30: 99 is no kind of transaction"
        );
        let nested = sample(TxnBody::Multi(vec![TxnBody::Multi(vec![])])).encode();
        assert!(Txn::decode(&nested).is_err(), "a multi has no multi in it");
    }
}
