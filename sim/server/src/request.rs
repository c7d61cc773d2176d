//! What servers say to each other about clients: writes that a learner hands to the leader, session touches, and the
//! revalidation of a session that reattaches (ZooKeeper's REQUEST, PING and REVALIDATE packets).

use crate::auth::Identities;
use crate::body::{Place, kind};
use crate::codec::{DecodeError, Reader, Writer};
use crate::{ConnId, txn};
use std::fmt;
use zabsim_types::{CreateMode, Op, SessionId, Xid, ZPath, Zxid};

/// The first byte of an encoded request.
const REQUEST: u8 = b'R';
/// The first byte of an encoded message between the applications.
const APP: u8 = b'A';

/// Something for the leader's pipeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) session: SessionId,
    /// Where it came in; unique in a run, so it also says who owns the session.
    pub(crate) conn: ConnId,
    pub(crate) xid: Xid,
    /// Who asks: the leader judges what the connection may do, wherever it came in.
    pub(crate) ids: Identities,
    /// The server that it came in at vouches for the session, which no other server knows.
    pub(crate) local: bool,
    pub(crate) kind: RequestKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum RequestKind {
    CreateSession {
        timeout_ms: u32,
    },
    /// An update: never a read or a sync.
    Op(Op),
    /// The leader's own: the session was silent for too long. Never encoded.
    Expire,
    /// The leader's own: this container or TTL node has been of no use for long enough. Never encoded.
    Sweep(ZPath),
}

/// A message between a learner's service and the leader's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum App {
    /// To the leader: these sessions showed life since the last time; with the timeouts granted to them.
    Touch(Vec<(SessionId, u32)>),
    /// To the leader: this session wants to go on at this connection of mine.
    Revalidate {
        conn: ConnId,
        session: SessionId,
        timeout_ms: u32,
        /// I know the session, and nobody else does.
        local: bool,
    },
    /// To the learner: the answer.
    Revalidated {
        conn: ConnId,
        valid: bool,
        /// The last transaction proposed so far: the session may go on once this is applied, so that it sees whatever its
        /// own earlier connections wrote.
        barrier: Zxid,
    },
}

const CREATE_SESSION: u8 = 1;
const OP: u8 = 2;

impl Request {
    pub(crate) fn encode(&self) -> zab::Payload {
        let mut w = Writer::with_capacity(64);
        w.u8(REQUEST);
        w.session(self.session);
        w.u64(self.conn.0);
        w.i32(self.xid.0);
        w.list(self.ids.proven().iter(), Writer::id);
        w.u8(u8::from(self.local));
        match &self.kind {
            RequestKind::CreateSession { timeout_ms } => {
                w.u8(CREATE_SESSION);
                w.u32(*timeout_ms);
            }
            RequestKind::Op(op) => {
                w.u8(OP);
                encode_op(&mut w, op);
            }
            RequestKind::Expire | RequestKind::Sweep(_) => {
                unreachable!("the leader keeps to itself what it asks for")
            }
        }
        w.bytes.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Request, DecodeError> {
        let mut r = Reader::new(bytes, "request");
        let magic = r.u8()?;
        if magic != REQUEST {
            return Err(r.error(format!(
                "a request begins with {REQUEST}, this with {magic}"
            )));
        }
        let request = Request {
            session: r.session()?,
            conn: ConnId(r.u64()?),
            xid: Xid(r.i32()?),
            ids: Identities::new(r.list(8, Reader::id)?),
            local: r.flag()?,
            kind: match r.u8()? {
                CREATE_SESSION => RequestKind::CreateSession {
                    timeout_ms: r.u32()?,
                },
                OP => RequestKind::Op(decode_op(&mut r, Place::Whole)?),
                other => return Err(r.error(format!("{other} is no kind of request"))),
            },
        };
        r.end()?;
        Ok(request)
    }
}

fn encode_op(w: &mut Writer, op: &Op) {
    match op {
        Op::Create {
            path,
            data,
            mode,
            with_stat,
            acl,
        } => {
            w.create(path, data, acl);
            encode_mode(w, *mode);
            w.u8(u8::from(*with_stat));
        }
        Op::Delete { path, version } => {
            w.on_node(kind::DELETE, path);
            w.i32(*version);
        }
        Op::SetData {
            path,
            data,
            version,
        } => w.set_data(path, data, *version),
        Op::Check { path, version } => {
            w.on_node(kind::CHECK, path);
            w.i32(*version);
        }
        Op::Multi { ops } => w.multi(ops, |w, op| match op {
            Op::Create { .. } | Op::Delete { .. } | Op::SetData { .. } | Op::Check { .. } => {
                encode_op(w, op)
            }
            _ => w.u8(kind::ALIEN),
        }),
        Op::CloseSession => w.u8(kind::CLOSE_SESSION),
        Op::SetAcl { path, acl, version } => w.set_acl(path, acl, *version),
        Op::DeleteContainer { path } => w.on_node(kind::DELETE_CONTAINER, path),
        Op::Reconfig {
            joining,
            leaving,
            new_members,
            from_config,
        } => {
            w.u8(kind::RECONFIG);
            w.text(joining.as_deref());
            w.text(leaving.as_deref());
            w.text(new_members.as_deref());
            w.i64(*from_config);
        }
        _ => w.u8(kind::ALIEN),
    }
}

fn decode_op(r: &mut Reader<'_>, place: Place) -> Result<Op, DecodeError> {
    Ok(match r.u8()? {
        kind::CREATE => {
            let (path, data) = r.path_and_data()?;
            Op::Create {
                path,
                data,
                acl: r.acl()?,
                mode: decode_mode(r)?,
                with_stat: r.flag()?,
            }
        }
        kind::DELETE => Op::Delete {
            path: r.path()?,
            version: r.i32()?,
        },
        kind::SET_DATA => {
            let (path, data) = r.path_and_data()?;
            Op::SetData {
                path,
                data,
                version: r.i32()?,
            }
        }
        kind::CHECK => Op::Check {
            path: r.path()?,
            version: r.i32()?,
        },
        kind::MULTI if place == Place::Whole => Op::Multi {
            ops: r.parts(decode_op)?,
        },
        kind::CLOSE_SESSION if place == Place::Whole => Op::CloseSession,
        kind::SET_ACL if place == Place::Whole => Op::SetAcl {
            path: r.path()?,
            acl: r.acl()?,
            version: r.i32()?,
        },
        kind::DELETE_CONTAINER if place == Place::Whole => Op::DeleteContainer { path: r.path()? },
        kind::RECONFIG if place == Place::Whole => Op::Reconfig {
            joining: r.text()?,
            leaving: r.text()?,
            new_members: r.text()?,
            from_config: r.i64()?,
        },
        // Any of them will do: none is allowed where it stands.
        kind::ALIEN if place == Place::Part => Op::Multi { ops: Vec::new() },
        other => return Err(r.no_such_kind(other, place, "operation")),
    })
}

/// ZooKeeper's flags of a mode, and the TTL of those that have one; 7, which it has not, for what makes no node.
fn encode_mode(w: &mut Writer, mode: CreateMode) {
    match mode {
        CreateMode::Persistent => w.u8(0),
        CreateMode::Ephemeral => w.u8(1),
        CreateMode::PersistentSequential => w.u8(2),
        CreateMode::EphemeralSequential => w.u8(3),
        CreateMode::Container => w.u8(4),
        CreateMode::PersistentWithTtl { ttl_ms } => {
            w.u8(5);
            w.i64(ttl_ms);
        }
        CreateMode::PersistentSequentialWithTtl { ttl_ms } => {
            w.u8(6);
            w.i64(ttl_ms);
        }
        CreateMode::Invalid { flags, ttl_ms } => {
            w.u8(7);
            w.i32(flags);
            w.u8(u8::from(ttl_ms.is_some()));
            ttl_ms.into_iter().for_each(|ttl_ms| w.i64(ttl_ms));
        }
    }
}

fn decode_mode(r: &mut Reader<'_>) -> Result<CreateMode, DecodeError> {
    Ok(match r.u8()? {
        0 => CreateMode::Persistent,
        1 => CreateMode::Ephemeral,
        2 => CreateMode::PersistentSequential,
        3 => CreateMode::EphemeralSequential,
        4 => CreateMode::Container,
        5 => CreateMode::PersistentWithTtl { ttl_ms: r.i64()? },
        6 => CreateMode::PersistentSequentialWithTtl { ttl_ms: r.i64()? },
        7 => CreateMode::Invalid {
            flags: r.i32()?,
            ttl_ms: match r.flag()? {
                true => Some(r.i64()?),
                false => None,
            },
        },
        other => return Err(r.error(format!("{other} is no create mode"))),
    })
}

const TOUCH: u8 = 1;
const REVALIDATE: u8 = 2;
const REVALIDATED: u8 = 3;

impl App {
    pub(crate) fn encode(&self) -> zab::Payload {
        let mut w = Writer::with_capacity(32);
        w.u8(APP);
        match self {
            App::Touch(sessions) => {
                w.u8(TOUCH);
                w.list(sessions.iter(), |w, (session, timeout_ms)| {
                    w.session(*session);
                    w.u32(*timeout_ms);
                });
            }
            App::Revalidate {
                conn,
                session,
                timeout_ms,
                local,
            } => {
                w.u8(REVALIDATE);
                w.u64(conn.0);
                w.session(*session);
                w.u32(*timeout_ms);
                w.u8(u8::from(*local));
            }
            App::Revalidated {
                conn,
                valid,
                barrier,
            } => {
                w.u8(REVALIDATED);
                w.u64(conn.0);
                w.u8(u8::from(*valid));
                w.zxid(*barrier);
            }
        }
        w.bytes.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<App, DecodeError> {
        let mut r = Reader::new(bytes, "application message");
        let magic = r.u8()?;
        if magic != APP {
            return Err(r.error(format!("a message begins with {APP}, this with {magic}")));
        }
        let app = match r.u8()? {
            TOUCH => App::Touch(r.list(12, |r| Ok((r.session()?, r.u32()?)))?),
            REVALIDATE => App::Revalidate {
                conn: ConnId(r.u64()?),
                session: r.session()?,
                timeout_ms: r.u32()?,
                local: r.flag()?,
            },
            REVALIDATED => App::Revalidated {
                conn: ConnId(r.u64()?),
                valid: r.flag()?,
                barrier: r.zxid()?,
            },
            other => return Err(r.error(format!("{other} is no kind of message"))),
        };
        r.end()?;
        Ok(app)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} #{}: ", self.session, self.xid.0)?;
        match &self.kind {
            RequestKind::CreateSession { timeout_ms } => write!(f, "createSession {timeout_ms} ms"),
            RequestKind::Expire => write!(f, "expire"),
            RequestKind::Sweep(path) => write!(f, "sweep {path}"),
            RequestKind::Op(op) => match op {
                Op::Create { path, mode, .. } => write!(f, "create {path} ({mode:?})"),
                Op::Delete { path, version } => write!(f, "delete {path} version {version}"),
                Op::SetData { path, version, .. } => write!(f, "setData {path} version {version}"),
                Op::Multi { ops } => write!(f, "multi of {}", ops.len()),
                op => write!(f, "{:?}", op.kind()),
            },
        }
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            App::Touch(sessions) => {
                write!(f, "touch")?;
                sessions.iter().try_for_each(|(s, _)| write!(f, " {s}"))
            }
            App::Revalidate { session, local, .. } => {
                let local = if *local { "local " } else { "" };
                write!(f, "revalidate {local}{session}")
            }
            App::Revalidated { valid, barrier, .. } => match valid {
                true => write!(f, "revalidated, once {barrier} is applied"),
                false => write!(f, "not revalidated"),
            },
        }
    }
}

/// Says in words what a payload is that servers exchange or log: a transaction, a forwarded request, a message between
/// the services. For transcripts and timelines.
pub fn describe(payload: &[u8]) -> String {
    let said = match payload.first() {
        Some(&txn::MAGIC) => txn::Txn::decode(payload).map(|t| t.to_string()),
        Some(&REQUEST) => Request::decode(payload).map(|r| r.to_string()),
        Some(&APP) => App::decode(payload).map(|a| a.to_string()),
        Some(other) => return format!("unknown payload (begins with {other})"),
        None => return "empty payload".to_owned(),
    };
    said.unwrap_or_else(|error| format!("unreadable payload: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::{Acl, Id, Perms};

    fn request(kind: RequestKind) -> Request {
        Request {
            session: SessionId(1),
            conn: ConnId(2),
            xid: Xid(3),
            ids: Identities::new(vec![Id::new("digest", "me:hash")]),
            local: true,
            kind,
        }
    }

    #[test]
    fn requests_survive_forwarding() {
        let create = |mode, acl| Op::Create {
            path: "/a".into(),
            data: Some(b"x".as_slice().into()),
            mode,
            with_stat: true,
            acl,
        };
        let delete = Op::Delete {
            path: "/a".into(),
            version: -1,
        };
        let check = Op::Check {
            path: "/a".into(),
            version: 3,
        };
        let list = Acl::one(Perms::READ, "ip", "10.0.0.0/8");
        let set_acl = Op::SetAcl {
            path: "/a".into(),
            acl: list.clone(),
            version: 4,
        };
        let reconfig = Op::Reconfig {
            joining: None,
            leaving: Some("3".into()),
            new_members: Some("".into()),
            from_config: -1,
        };
        let invalid = |ttl_ms| CreateMode::Invalid { flags: 9, ttl_ms };
        let ttl_ms = i64::MIN;
        for kind in [
            RequestKind::CreateSession { timeout_ms: 9 },
            RequestKind::Op(create(CreateMode::Persistent, list)),
            RequestKind::Op(create(CreateMode::Ephemeral, Acl::new(vec![]))),
            RequestKind::Op(create(CreateMode::PersistentSequential, Acl::OPEN)),
            RequestKind::Op(create(CreateMode::Container, Acl::OPEN)),
            RequestKind::Op(create(CreateMode::PersistentWithTtl { ttl_ms }, Acl::OPEN)),
            RequestKind::Op(create(
                CreateMode::PersistentSequentialWithTtl { ttl_ms },
                Acl::OPEN,
            )),
            RequestKind::Op(create(invalid(None), Acl::OPEN)),
            RequestKind::Op(create(invalid(Some(5)), Acl::OPEN)),
            RequestKind::Op(set_acl),
            RequestKind::Op(Op::DeleteContainer { path: "/a".into() }),
            RequestKind::Op(reconfig),
            RequestKind::Op(Op::CloseSession),
            RequestKind::Op(Op::Multi {
                ops: vec![
                    create(CreateMode::EphemeralSequential, Acl::OPEN),
                    delete,
                    check,
                ],
            }),
        ] {
            let request = request(kind);
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn what_is_no_part_of_a_multi_arrives_as_something_forbidden() {
        let path = || "/a".into();
        let aliens = vec![
            Op::Exists {
                path: path(),
                watch: false,
            },
            Op::Multi { ops: vec![] },
            Op::CloseSession,
            Op::DeleteContainer { path: path() },
        ];
        let forbidden = vec![Op::Multi { ops: vec![] }; aliens.len()];
        let request = request(RequestKind::Op(Op::Multi { ops: aliens }));
        let arrived = Request::decode(&request.encode()).expect("it was encoded");
        assert_eq!(arrived.kind, RequestKind::Op(Op::Multi { ops: forbidden }));
    }

    #[test]
    fn app_messages_survive_and_are_described() {
        for (app, said) in [
            (App::Touch(vec![(SessionId(16), 9)]), "touch 0x10"),
            (
                App::Revalidate {
                    conn: ConnId(1),
                    session: SessionId(16),
                    timeout_ms: 9,
                    local: false,
                },
                "revalidate 0x10",
            ),
            (
                App::Revalidate {
                    conn: ConnId(1),
                    session: SessionId(17),
                    timeout_ms: 9,
                    local: true,
                },
                "revalidate local 0x11",
            ),
            (
                App::Revalidated {
                    conn: ConnId(1),
                    valid: true,
                    barrier: Zxid(5),
                },
                "revalidated, once ⟨0,5⟩ is applied",
            ),
        ] {
            let bytes = app.encode();
            assert_eq!(App::decode(&bytes), Ok(app));
            assert_eq!(describe(&bytes), said);
        }
        assert_eq!(describe(&[]), "empty payload");
        assert!(describe(b"T").starts_with("unreadable payload: transaction at byte 1"));
    }
}
