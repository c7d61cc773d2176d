//! A client session as a sans-IO state machine: one [`Input`] in, a list of [`Effect`]s out, to be carried out in order.
//!
//! Source: ZooKeeper 3.9, `ClientCnxn` and its `SendThread`.
//!
//! # What it guarantees
//!
//! - Requests leave in the order of their submission and are answered in that order; each is completed exactly once.
//! - Notifications, completions and changes of state come out in the order in which the server sent them.
//! - When a connection breaks, every request that was under way is [`Outcome::Lost`]: its outcome is unknown. A request
//!   handed over while there is no connection waits for the next one and is lost only with its session, with `sent: false`.
//!   (ZooKeeper queues it too, but drops its queue at each attempt to connect that fails.)
//! - The session never goes back in time: `Connect` names the highest zxid that replies *and notifications* have shown, and
//!   a server behind it refuses. (ZooKeeper counts replies alone; a client that was told of a change could then
//!   read the state before it at a server that lags.)
//! - Watches survive a reconnection: `SetWatches` goes ahead of every other request. Its relative zxid is the last one of
//!   a *reply header*: two notifications of one transaction can be parted by the end of a connection, and counting
//!   the first as "seen up to here" would lose the second for good.
//!   Those that stay are set again as they are: what changed meanwhile is not told.
//! - The identities that were accepted belong to the client: they are proven again on each connection, ahead of all else. One
//!   that is refused ends the session here, with all its requests; at the servers it lives on until its timeout.
//! - Who removes watches is told of each kind that there was, before the answer; no server sends that.
//! - A session is over when a server says so, when the close of it was answered, or when for 4/3 of its timeout no server was
//!   heard from (ZOOKEEPER-4508). A close whose reply is lost leaves the session open or
//!   expired, whichever the next connection shows. (ZooKeeper gives up there and leaves the session to its timeout.)
//!
//! # Its times
//!
//! From the timeout T that the server granted: a connection is given up after 2/3 T of silence, a ping goes out
//! after 1/3 T (10 s at most) in which nothing was sent, an attempt to connect has T divided by the number of servers.
//!
//! # Servers that only read
//!
//! A client that says so ([`Config::read_only`]) also takes a server that has lost its quorum. It goes on looking for a full one:
//! by a second connection, tried with pauses of 100 ms that double up to 60 s. Once a full server has attached the session there,
//! the former connection is closed. (ZooKeeper only asks on the second connection, and begins a third.) A session that such
//! a server *made* is known nowhere else: the next server is asked for a new one, while what was seen, and the watches, go on.
//!
//! # A session in ten lines
//!
//! ```
//! use zabsim_client::{Config, Effect, Input, Session};
//! use zabsim_types::{ClientFrame, ConnectReply, ServerFrame, ServerId, SessionId, Time};
//!
//! let mut session = Session::new(Config {
//!     servers: vec![ServerId(1), ServerId(2)],
//!     timeout_ms: 6_000,
//!     reconnect_us: 100_000,
//!     guid_seed: 1,
//!     read_only: false,
//!     bugs: zabsim_bugs::Planted::NONE,
//! });
//! let mut out = Vec::new();
//! session.step(Time::ZERO, Input::Open, &mut out);
//! assert_eq!(out[0], Effect::Connect { server: ServerId(1) });
//!
//! out.clear();
//! session.step(Time::from_ms(1), Input::Connected, &mut out);
//! assert!(matches!(out[0], Effect::Send(ClientFrame::Connect(_))));
//!
//! let granted = ConnectReply {
//!     timeout_ms: 6_000,
//!     session: SessionId(0x01_0000),
//!     password: [7; 16],
//!     server: ServerId(1),
//!     read_only: false,
//! };
//! session.step(Time::from_ms(2), Input::Frame(ServerFrame::Connected(granted)), &mut out);
//! assert_eq!(session.id(), SessionId(0x01_0000));
//! ```

mod endings;
mod seek;
mod times;

use crate::watches::{Stake, Watches};
use crate::{Config, Effect, Input, Outcome};
use endings::lost;
use seek::Seek;
use std::collections::VecDeque;
use std::sync::Arc;
use zabsim_bugs::Bug;
use zabsim_types::{
    CallId, ClientFrame, ConnectReply, ConnectRequest, ErrorCode, Op, OpResult, ServerFrame,
    ServerId, SessionChange, SessionId, Time, WatchEvent, Xid, Zxid,
};

/// A client's session, one after another: see the module's documentation.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    id: SessionId,
    password: [u8; 16],
    /// Granted by the server; asked for until then.
    timeout_ms: u32,
    /// The highest zxid of replies and notifications: no server behind it will do.
    seen: Zxid,
    /// The last zxid of a reply header: everything up to it has been notified.
    replied: Zxid,
    /// Index into the servers of the next attempt.
    next_server: usize,
    /// Counts connections on which a session was attached, across sessions.
    conn: u32,
    next_xid: i32,
    /// The session was made by a server without a quorum: no other will know it.
    provisional: bool,
    /// The search for a full server, while the one at hand only reads.
    seek: Option<Seek>,
    /// A `closeSession` is under way: nothing may be sent behind it.
    closing: bool,
    in_flight: VecDeque<InFlight>,
    queue: VecDeque<(CallId, Op)>,
    watches: Watches,
    /// Schemes and proofs that servers have accepted.
    identities: Vec<Identity>,
    heard: Time,
    sent: Time,
    /// What the driver's timer is set to. It may go off early: deadlines move on with every frame, and setting
    /// it anew for each would cost the driver more than a turn for nothing now and then.
    timer: Option<Time>,
}

/// How far the session has got in having a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// There is no session: never opened, closed, or expired.
    None,
    /// Until the next attempt.
    Waiting { until: Time },
    /// A connection was asked for.
    Connecting { server: ServerId, deadline: Time },
    /// It is up, and the session is not attached yet.
    Attaching { server: ServerId, deadline: Time },
    /// The session is attached.
    Up { server: ServerId },
}

/// A scheme and what proves an identity in it.
type Identity = (Arc<str>, Arc<str>);

/// A request under way.
#[derive(Debug)]
enum InFlight {
    Request {
        call: CallId,
        xid: Xid,
        stake: Stake,
        identity: Option<Identity>,
        closes: bool,
    },
    /// An identity that the session proves anew.
    Identity {
        xid: Xid,
    },
    SetWatches {
        relative: Zxid,
    },
}

impl Session {
    /// A client that has no session yet.
    ///
    /// # Panics
    ///
    /// If the configuration names no server or a timeout of zero.
    pub fn new(config: Config) -> Session {
        assert!(
            !config.servers.is_empty(),
            "a client needs at least one server"
        );
        assert!(
            config.timeout_ms > 0,
            "a session's timeout must be positive"
        );
        Session {
            timeout_ms: config.timeout_ms,
            config,
            link: Link::None,
            id: SessionId::NONE,
            password: [0; 16],
            seen: Zxid::ZERO,
            replied: Zxid::ZERO,
            next_server: 0,
            conn: 0,
            next_xid: 1,
            provisional: false,
            seek: None,
            closing: false,
            in_flight: VecDeque::new(),
            queue: VecDeque::new(),
            watches: Watches::default(),
            identities: Vec::new(),
            heard: Time::ZERO,
            sent: Time::ZERO,
            timer: None,
        }
    }

    /// Takes one input; appends what is to be done.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Open => self.open(now, out),
            Input::Connected => self.attach(now, out),
            Input::Disconnected => self.lose_connection(now, out),
            Input::Frame(frame) => self.take_frame(now, frame, out),
            Input::TrialConnected => self.trial_connected(out),
            Input::TrialDisconnected => self.trial_failed(now),
            Input::TrialFrame(frame) => self.take_trial_frame(now, frame, out),
            Input::Timer => self.check_deadlines(now, out),
            Input::Submit { call, op } => self.submit(now, call, op, out),
            Input::Move { to } => self.move_to(now, to, out),
        }
        self.set_timer(now, out);
    }

    /// The session; `NONE` before the first is granted and after it is over.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The session's password, for whoever would take it up at another server.
    pub fn password(&self) -> [u8; 16] {
        self.password
    }

    /// The timeout granted, in milliseconds; the one asked for before that.
    pub fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// The highest zxid seen in this session.
    pub fn last_zxid_seen(&self) -> Zxid {
        self.seen
    }

    /// The server at which the session is attached.
    pub fn attached_to(&self) -> Option<ServerId> {
        match self.link {
            Link::Up { server } => Some(server),
            _ => None,
        }
    }

    /// Requests without an outcome yet: under way and waiting.
    pub fn outstanding(&self) -> usize {
        let under_way = self
            .in_flight
            .iter()
            .filter(|f| matches!(f, InFlight::Request { .. }))
            .count();
        under_way + self.queue.len()
    }

    /// A new session, with nothing carried over from the one before but who the client is: not its watches, its zxid or
    /// its numbers.
    fn open(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.link != Link::None {
            return; // A second `Open` asks for what is under way already.
        }
        assert!(self.in_flight.is_empty() && self.queue.is_empty());
        self.id = SessionId::NONE;
        self.password = [0; 16];
        self.timeout_ms = self.config.timeout_ms;
        self.seen = Zxid::ZERO;
        self.replied = Zxid::ZERO;
        self.next_xid = 1;
        self.provisional = false;
        self.closing = false;
        self.watches.clear();
        self.heard = now;
        self.connect_to_next(now, out);
    }

    fn connect_to_next(&mut self, now: Time, out: &mut Vec<Effect>) {
        let server = self.config.servers[self.next_server];
        self.connect(now, server, out);
    }

    fn connect(&mut self, now: Time, server: ServerId, out: &mut Vec<Effect>) {
        if let Some(at) = self.config.servers.iter().position(|s| *s == server) {
            self.next_server = (at + 1) % self.config.servers.len();
        }
        let deadline = now.plus(self.timeout_us() / self.config.servers.len() as u64);
        self.link = Link::Connecting { server, deadline };
        out.push(Effect::Connect { server });
    }

    fn attach(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Link::Connecting { server, deadline } = self.link else {
            return; // Given up meanwhile.
        };
        self.link = Link::Attaching { server, deadline };
        let request = self.connect_request(self.config.read_only);
        self.send(now, ClientFrame::Connect(request), out);
    }

    fn connect_request(&self, read_only: bool) -> ConnectRequest {
        ConnectRequest {
            last_zxid_seen: self.seen,
            timeout_ms: self.config.timeout_ms,
            session: self.lasting_id(),
            password: self.password,
            read_only,
        }
    }

    /// The session as other servers may know it.
    fn lasting_id(&self) -> SessionId {
        match self.provisional {
            true => SessionId::NONE,
            false => self.id,
        }
    }

    fn send(&mut self, now: Time, frame: ClientFrame, out: &mut Vec<Effect>) {
        self.sent = now;
        out.push(Effect::Send(frame));
    }

    fn submit(&mut self, now: Time, call: CallId, op: Op, out: &mut Vec<Effect>) {
        if self.link == Link::None {
            return out.push(lost(call, ErrorCode::SessionExpired, None));
        }
        self.queue.push_back((call, op));
        if let Link::Up { .. } = self.link {
            self.flush(now, out);
        }
    }

    /// Sends what waits. What was asked for behind a closeSession waits for what comes of that: it ends with the session, or
    /// goes on if the close was lost. (Were it answered at once, a program that tries again would never let time pass.)
    fn flush(&mut self, now: Time, out: &mut Vec<Effect>) {
        while !self.closing
            && let Some((call, op)) = self.queue.pop_front()
        {
            self.closing = matches!(op, Op::CloseSession);
            self.send_request(now, call, op, out);
        }
    }

    fn send_request(&mut self, now: Time, call: CallId, op: Op, out: &mut Vec<Effect>) {
        let xid = self.take_xid();
        let identity = match &op {
            Op::AddAuth { scheme, auth } => Some((scheme.clone(), auth.clone())),
            _ => None,
        };
        self.in_flight.push_back(InFlight::Request {
            call,
            xid,
            stake: Stake::of(&op),
            identity,
            closes: matches!(op, Op::CloseSession),
        });
        self.send(now, ClientFrame::Request { xid, op }, out);
    }

    fn take_xid(&mut self) -> Xid {
        let xid = Xid(self.next_xid);
        // Negative numbers mean something else on the wire.
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        xid
    }

    fn prove_identities(&mut self, now: Time, out: &mut Vec<Effect>) {
        for at in 0..self.identities.len() {
            let (scheme, auth) = self.identities[at].clone();
            let xid = self.take_xid();
            let op = Op::AddAuth { scheme, auth };
            self.in_flight.push_back(InFlight::Identity { xid });
            self.send(now, ClientFrame::Request { xid, op }, out);
        }
    }

    fn take_frame(&mut self, now: Time, frame: ServerFrame, out: &mut Vec<Effect>) {
        match (self.link, frame) {
            (Link::Attaching { server, .. }, ServerFrame::Connected(reply)) => {
                self.heard = now;
                self.take_connect_reply(now, server, reply, out);
            }
            (Link::Up { .. }, frame) => {
                self.heard = now;
                self.take_frame_attached(now, frame, out);
            }
            // An answer to nothing: the server is confused about this connection.
            (Link::Attaching { .. }, _) => self.drop_connection(now, out),
            // The rest of a connection that was given up.
            (Link::None | Link::Waiting { .. } | Link::Connecting { .. }, _) => {}
        }
    }

    fn take_connect_reply(
        &mut self,
        now: Time,
        server: ServerId,
        reply: ConnectReply,
        out: &mut Vec<Effect>,
    ) {
        if reply.timeout_ms == 0 || reply.session == SessionId::NONE {
            out.push(Effect::Disconnect);
            return self.expire(out);
        }
        let reattached = self.lasting_id() != SessionId::NONE;
        if reattached && reply.session != self.id {
            return self.drop_connection(now, out);
        }
        self.attached(now, server, reply, reattached, out);
    }

    /// The session goes on at this server.
    fn attached(
        &mut self,
        now: Time,
        server: ServerId,
        reply: ConnectReply,
        reattached: bool,
        out: &mut Vec<Effect>,
    ) {
        let read_only = reply.read_only;
        self.provisional = read_only && !reattached;
        self.seek = read_only.then(|| Seek::from(now));
        self.id = reply.session;
        self.password = reply.password;
        self.timeout_ms = reply.timeout_ms;
        self.link = Link::Up { server };
        self.conn += 1;
        out.push(Effect::Changed {
            session: self.id,
            change: SessionChange::Connected {
                server,
                conn: self.conn,
                timeout_ms: self.timeout_ms,
                reattached,
                read_only,
            },
        });
        self.prove_identities(now, out);
        let relative = match self.config.bugs.has(Bug::RelativeIsSeen) {
            true => self.seen,
            false => self.replied,
        };
        if !self.config.bugs.has(Bug::WatchesForgotten)
            && let Some(frame) = self.watches.set_watches(relative)
        {
            self.in_flight.push_back(InFlight::SetWatches { relative });
            self.send(now, frame, out);
        }
        self.flush(now, out);
    }

    fn take_frame_attached(&mut self, now: Time, frame: ServerFrame, out: &mut Vec<Effect>) {
        match frame {
            ServerFrame::Reply { xid, zxid, result } => {
                self.take_reply(now, xid, zxid, result, out)
            }
            ServerFrame::Event { zxid, event } => self.take_event(zxid, event, out),
            ServerFrame::Pong { .. } => {}
            ServerFrame::WatchesSet { zxid } => match self.in_flight.front() {
                Some(InFlight::SetWatches { relative }) => {
                    let relative = *relative;
                    self.in_flight.pop_front();
                    self.note_reply(zxid);
                    out.push(Effect::Changed {
                        session: self.id,
                        change: SessionChange::WatchesSet {
                            relative,
                            zxid,
                            conn: self.conn,
                        },
                    });
                }
                _ => self.drop_connection(now, out),
            },
            ServerFrame::Connected(_) => self.drop_connection(now, out),
        }
    }

    fn take_reply(
        &mut self,
        now: Time,
        xid: Xid,
        zxid: Zxid,
        result: OpResult,
        out: &mut Vec<Effect>,
    ) {
        let due = match self.in_flight.front() {
            Some(InFlight::Request { xid, .. } | InFlight::Identity { xid }) => Some(*xid),
            Some(InFlight::SetWatches { .. }) | None => None,
        };
        if due != Some(xid) {
            // Out of order: nothing on this connection can be matched with its request any more.
            return self.drop_connection(now, out);
        }
        self.note_reply(zxid);
        let Some(InFlight::Request {
            call,
            stake,
            identity,
            closes,
            ..
        }) = self.in_flight.pop_front()
        else {
            // It was accepted before; now it is not.
            if result == Err(ErrorCode::AuthFailed) {
                self.identities.clear();
                self.fail_authentication(out);
            }
            return;
        };
        let conn = self.conn;
        self.watches.settle(stake, &result, &mut |event| {
            out.push(Effect::Event {
                zxid: None,
                conn,
                event,
            });
        });
        let refused = identity.is_some() && result == Err(ErrorCode::AuthFailed);
        if let Some(identity) = identity.filter(|_| result.is_ok())
            && !self.identities.contains(&identity)
        {
            self.identities.push(identity);
        }
        let closed = closes && result.is_ok();
        out.push(Effect::Complete {
            call,
            outcome: Outcome::Replied {
                xid,
                conn,
                zxid,
                result,
            },
        });
        if closed {
            assert!(
                self.in_flight.is_empty(),
                "nothing is sent behind a closeSession"
            );
            self.lose_queue(ErrorCode::SessionExpired, out);
            out.push(Effect::Disconnect);
            self.end(SessionChange::Closed, out);
        } else if closes {
            self.closing = false;
            self.flush(now, out);
        } else if refused {
            self.fail_authentication(out);
        }
    }

    /// The server says that the client is not who it says, and hangs up: no other server would say anything else.
    fn fail_authentication(&mut self, out: &mut Vec<Effect>) {
        for request in self.in_flight.drain(..) {
            if let InFlight::Request { call, xid, .. } = request {
                out.push(lost(call, ErrorCode::AuthFailed, Some(xid)));
            }
        }
        self.lose_queue(ErrorCode::AuthFailed, out);
        out.push(Effect::Disconnect);
        self.end(SessionChange::AuthFailed, out);
    }

    fn note_reply(&mut self, zxid: Zxid) {
        // As ZooKeeper does: errors that the server answers without looking at its tree carry no zxid.
        if zxid > Zxid::ZERO {
            self.replied = zxid;
            self.seen = self.seen.max(zxid);
        }
    }

    fn take_event(&mut self, zxid: Option<Zxid>, event: WatchEvent, out: &mut Vec<Effect>) {
        if !self.config.bugs.has(Bug::EventsNotCounted) {
            self.seen = self.seen.max(zxid.unwrap_or(Zxid::ZERO));
        }
        // Told even where no watch is known: whether the server may send it is for the checks to judge.
        self.watches.use_up(event.kind, &event.path);
        out.push(Effect::Event {
            zxid,
            conn: self.conn,
            event,
        });
    }
}
