//! Sessions: their ids and passwords at every server, and at the leader who is alive, who owns whom, and who expires when.
//!
//! - Only the leader expires sessions, in buckets of one tick: a session silent for its timeout goes with the first bucket
//!   behind it. From then on it is `closing`: nothing revives it (ZOOKEEPER-1496), none of its requests succeeds
//!   (ZOOKEEPER-1208), and its entry stays until its closeSession is applied.
//! - A session belongs to one **connection**, the one it was made or revalidated for last; requests by another one get
//!   SessionMoved. ZooKeeper's owner is the server, not the connection; ours is finer, so that a write still on its way by a
//!   broken connection cannot take effect after the session has gone on, even at the same server (**BASE**).
//! - A new leader gives every session of its table a full timeout and knows no owner yet: the first request tells.
//! - A local session is in no table of the leader's: the server that has it vouches for it with each request. The leader keeps
//!   of such sessions only which connection they went on at last, and those that it has called expired when another server
//!   asked: of these nothing takes effect any more, an upgrade on its way included (**BASE**).
//!
//! Source: ZooKeeper 3.9 `SessionTrackerImpl`, `ExpiryQueue`, `ZooKeeperServer.generatePasswd`.

use crate::{Config, ConnId};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_128_with_seed;
use zab::{Bug, Planted, Time};
use zabsim_types::{ErrorCode, ServerId, SessionId};

/// The first session id that a server gives after it started: its own number in the top byte, then the time, then room to
/// count.
pub(crate) fn first_session_id(server: ServerId, now: Time) -> SessionId {
    let ms = now.0 / 1_000;
    SessionId((ms << 24 >> 8 | u64::from(server.0) << 56) as i64)
}

/// Derived from the id, so that every server can check it.
pub(crate) fn password(session: SessionId, salt: u64) -> [u8; 16] {
    xxh3_128_with_seed(&session.0.to_le_bytes(), salt).to_le_bytes()
}

/// What of the timeout asked for is granted.
pub(crate) fn negotiate(config: &Config, asked_ms: u32) -> u32 {
    let (min, max) = config.session_timeout_ms;
    asked_ms.clamp(min, max.max(min))
}

/// The leader's view of all sessions.
pub(crate) struct Tracker {
    tick_us: u64,
    sessions: BTreeMap<SessionId, Tracked>,
    /// Sessions by the end of the bucket in which they expire.
    buckets: BTreeMap<Time, BTreeSet<SessionId>>,
    /// Local sessions that have gone on at a second connection of their server, with that connection.
    moved: BTreeMap<SessionId, ConnId>,
    /// Sessions that a client was told to be expired, because they were unknown.
    refused: BTreeSet<SessionId>,
    bugs: Planted,
}

struct Tracked {
    expires: Time,
    owner: Option<ConnId>,
    closing: bool,
}

impl Tracker {
    pub(crate) fn new(tick_us: u64, bugs: Planted) -> Tracker {
        assert!(tick_us > 0, "a tick has a length");
        Tracker {
            tick_us,
            sessions: BTreeMap::new(),
            buckets: BTreeMap::new(),
            moved: BTreeMap::new(),
            refused: BTreeSet::new(),
            bugs,
        }
    }

    /// The end of the bucket that `at` falls in: `(at / tick + 1) × tick`.
    pub(crate) fn bucket(&self, at: Time) -> Time {
        Time((at.0 / self.tick_us + 1) * self.tick_us)
    }

    /// Begins to watch over a session. Does nothing for one that is known.
    pub(crate) fn track(
        &mut self,
        session: SessionId,
        timeout_ms: u32,
        owner: Option<ConnId>,
        now: Time,
    ) {
        if self.sessions.contains_key(&session) {
            return;
        }
        let expires = self.bucket(Time(now.0 + u64::from(timeout_ms) * 1_000));
        self.sessions.insert(
            session,
            Tracked {
                expires,
                owner,
                closing: false,
            },
        );
        self.buckets.entry(expires).or_default().insert(session);
    }

    /// A sign of life. `false`: the session is unknown or closing, and stays so.
    pub(crate) fn touch(&mut self, session: SessionId, timeout_ms: u32, now: Time) -> bool {
        let expires = self.bucket(Time(now.0 + u64::from(timeout_ms) * 1_000));
        let Some(tracked) = self.sessions.get_mut(&session) else {
            return false;
        };
        if tracked.closing && !self.bugs.has(Bug::TouchRevivesClosing) {
            return false;
        }
        if std::mem::take(&mut tracked.closing) {
            tracked.expires = expires;
            self.buckets.entry(expires).or_default().insert(session);
            return true;
        }
        if tracked.expires != expires {
            let old = std::mem::replace(&mut tracked.expires, expires);
            self.leave_bucket(old, session);
            self.buckets.entry(expires).or_default().insert(session);
        }
        true
    }

    /// The session goes on at this connection (ZOOKEEPER-710: if the owner stayed, every request would be refused).
    pub(crate) fn set_owner(&mut self, session: SessionId, owner: ConnId) {
        if let Some(tracked) = self.sessions.get_mut(&session) {
            let stays = tracked.owner.is_some() && self.bugs.has(Bug::ReattachKeepsOwner);
            if !stays {
                tracked.owner = Some(owner);
            }
        }
    }

    /// A local session goes on at another connection of its server: what is still on its way by the former one is too late.
    /// `false`: it was called expired before.
    pub(crate) fn move_local(&mut self, session: SessionId, conn: ConnId) -> bool {
        let lives = !self.is_refused(session);
        if lives {
            self.moved.insert(session, conn);
        }
        lives
    }

    /// Somebody was told that this session has expired: so it has.
    pub(crate) fn refuse(&mut self, session: SessionId) {
        self.moved.remove(&session);
        self.refused.insert(session);
    }

    /// Whether a client was told that this unknown session has expired.
    pub(crate) fn is_refused(&self, session: SessionId) -> bool {
        self.refused.contains(&session)
    }

    /// Whether a request of this session by this connection may be carried out. `local`: its server vouches for the session.
    pub(crate) fn check(
        &mut self,
        session: SessionId,
        conn: ConnId,
        local: bool,
    ) -> Result<(), ErrorCode> {
        let Some(tracked) = self.sessions.get_mut(&session) else {
            return match self.moved.get(&session) {
                _ if !local || self.is_refused(session) => Err(ErrorCode::SessionExpired),
                Some(owner) if *owner != conn => Err(ErrorCode::SessionMoved),
                _ => Ok(()),
            };
        };
        if tracked.closing && !self.bugs.has(Bug::NoClosingFlagInPrep) {
            return Err(ErrorCode::SessionExpired);
        }
        match tracked.owner {
            Some(owner) if owner != conn && !self.bugs.has(Bug::IgnoreOwner) => {
                Err(ErrorCode::SessionMoved)
            }
            _ => {
                tracked.owner = Some(conn);
                Ok(())
            }
        }
    }

    /// Its closeSession is being prepared.
    pub(crate) fn set_closing(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.get_mut(&session)
            && !tracked.closing
        {
            tracked.closing = true;
            let bucket = tracked.expires;
            self.leave_bucket(bucket, session);
        }
    }

    /// Its closeSession was applied.
    pub(crate) fn remove(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.remove(&session)
            && !tracked.closing
        {
            self.leave_bucket(tracked.expires, session);
        }
    }

    /// The sessions whose bucket has passed, now marked as closing; in order.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<SessionId> {
        let mut expired = Vec::new();
        while let Some(entry) = self.buckets.first_entry()
            && *entry.key() <= now
        {
            expired.extend(entry.remove());
        }
        for session in &expired {
            if let Some(tracked) = self.sessions.get_mut(session) {
                tracked.closing = true;
            }
        }
        expired
    }

    fn leave_bucket(&mut self, bucket: Time, session: SessionId) {
        if let Some(sessions) = self.buckets.get_mut(&bucket) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: SessionId = SessionId(1);
    const TICK: u64 = 1_000_000;

    fn at_ms(ms: u64) -> Time {
        Time(ms * 1_000)
    }

    fn tracker() -> Tracker {
        let mut tracker = Tracker::new(TICK, Planted::NONE);
        tracker.track(S, 4_000, Some(ConnId(1)), at_ms(500));
        tracker
    }

    #[test]
    fn ids_carry_the_server_and_the_time() {
        assert_eq!(
            first_session_id(ServerId(3), at_ms(1)),
            SessionId(0x0300_0000_0001_0000)
        );
        assert!(
            first_session_id(ServerId(200), at_ms(1)).0 < 0,
            "the top bit is the server's"
        );
        assert_ne!(password(S, 1), password(S, 2));
        assert_ne!(password(S, 1), password(SessionId(2), 1));
    }

    #[test]
    fn a_silent_session_expires_with_its_bucket() {
        let mut tracker = tracker();
        assert_eq!(tracker.expire(at_ms(4_999)), []);
        assert_eq!(tracker.expire(at_ms(5_000)), [S]);
        assert_eq!(tracker.expire(at_ms(50_000)), [], "once");
    }

    #[test]
    fn a_touch_gives_a_full_timeout() {
        let mut tracker = tracker();
        assert!(tracker.touch(S, 4_000, at_ms(4_900)));
        assert_eq!(tracker.expire(at_ms(8_999)), []);
        assert_eq!(tracker.expire(at_ms(9_000)), [S]);
    }

    #[test]
    fn nothing_revives_a_closing_session() {
        let mut tracker = tracker();
        assert_eq!(tracker.expire(at_ms(5_000)), [S]);
        assert!(!tracker.touch(S, 4_000, at_ms(5_001)));
        assert_eq!(
            tracker.check(S, ConnId(1), false),
            Err(ErrorCode::SessionExpired)
        );
        tracker.track(S, 4_000, None, at_ms(5_001));
        assert_eq!(
            tracker.check(S, ConnId(1), false),
            Err(ErrorCode::SessionExpired)
        );
        tracker.remove(S);
        assert_eq!(
            tracker.check(S, ConnId(1), false),
            Err(ErrorCode::SessionExpired)
        );
    }

    #[test]
    fn the_owner_moves_with_revalidation_only() {
        let mut tracker = tracker();
        assert_eq!(tracker.check(S, ConnId(1), false), Ok(()));
        assert_eq!(
            tracker.check(S, ConnId(2), false),
            Err(ErrorCode::SessionMoved)
        );
        tracker.set_owner(S, ConnId(2));
        assert_eq!(tracker.check(S, ConnId(2), false), Ok(()));
        assert_eq!(
            tracker.check(S, ConnId(1), false),
            Err(ErrorCode::SessionMoved)
        );
    }

    #[test]
    fn under_a_new_leader_the_first_request_tells_the_owner() {
        let mut tracker = Tracker::new(TICK, Planted::NONE);
        tracker.track(S, 4_000, None, at_ms(0));
        assert_eq!(tracker.check(S, ConnId(7), false), Ok(()));
        assert_eq!(
            tracker.check(S, ConnId(8), false),
            Err(ErrorCode::SessionMoved)
        );
    }

    #[test]
    fn a_local_session_needs_its_servers_word() {
        let mut tracker = Tracker::new(TICK, Planted::NONE);
        assert_eq!(tracker.check(S, ConnId(1), true), Ok(()));
        assert_eq!(
            tracker.check(S, ConnId(1), false),
            Err(ErrorCode::SessionExpired)
        );
        assert!(tracker.move_local(S, ConnId(2)));
        assert_eq!(
            tracker.check(S, ConnId(1), true),
            Err(ErrorCode::SessionMoved)
        );
        assert_eq!(tracker.check(S, ConnId(2), true), Ok(()));
        tracker.refuse(S);
        assert!(!tracker.move_local(S, ConnId(3)));
        assert_eq!(
            tracker.check(S, ConnId(2), true),
            Err(ErrorCode::SessionExpired)
        );
    }
}
