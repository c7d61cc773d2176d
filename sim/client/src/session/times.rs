//! When a session does something by itself: its deadlines and its one timer, by the times that [`super`] states.
//!
//! Source: ZooKeeper 3.9 `ClientCnxn.SendThread.run`, and ZOOKEEPER-4508 for the end of a session that hears from nobody.

use super::seek::Seek;
use super::{Link, Session};
use crate::Effect;
use zabsim_types::{ClientFrame, SessionId, Time};

/// `MAX_SEND_PING_INTERVAL`.
const PING_INTERVAL_US_MAX: u64 = 10_000_000;

impl Session {
    pub(super) fn check_deadlines(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.timer = None;
        match self.link {
            Link::None => {}
            Link::Up { .. } => {
                if now >= self.read_deadline() {
                    self.drop_connection(now, out);
                } else if now >= self.ping_deadline() {
                    self.send(now, ClientFrame::Ping, out);
                }
                self.seek_on(now, out);
            }
            Link::Waiting { until } => {
                if now >= self.expiry_deadline() {
                    self.expire(out);
                } else if now >= until {
                    self.connect_to_next(now, out);
                }
            }
            Link::Connecting { deadline, .. } | Link::Attaching { deadline, .. } => {
                if now >= self.expiry_deadline() {
                    out.push(Effect::Disconnect);
                    self.expire(out);
                } else if now >= deadline {
                    self.drop_connection(now, out);
                }
            }
        }
    }

    pub(super) fn set_timer(&mut self, now: Time, out: &mut Vec<Effect>) {
        let at = match self.link {
            Link::None => return,
            Link::Up { .. } => {
                let seek = self.seek.as_ref().map_or(Time(u64::MAX), Seek::due);
                self.read_deadline().min(self.ping_deadline()).min(seek)
            }
            Link::Waiting { until: at }
            | Link::Connecting { deadline: at, .. }
            | Link::Attaching { deadline: at, .. } => at.min(self.expiry_deadline()),
        };
        // After a pause of the process a deadline can lie behind it.
        let at = at.max(now);
        if self.timer.is_none_or(|set| at < set) {
            self.timer = Some(at);
            out.push(Effect::SetTimer { at });
        }
    }

    pub(super) const fn timeout_us(&self) -> u64 {
        self.timeout_ms as u64 * 1_000
    }

    fn read_deadline(&self) -> Time {
        self.heard.plus(self.timeout_us() * 2 / 3)
    }

    fn ping_deadline(&self) -> Time {
        self.sent
            .plus((self.timeout_us() / 3).min(PING_INTERVAL_US_MAX))
    }

    /// When the session is over without anybody's word. One that was never granted cannot expire.
    fn expiry_deadline(&self) -> Time {
        match self.id {
            SessionId::NONE => Time(u64::MAX),
            _ => self.heard.plus(self.timeout_us() * 4 / 3),
        }
    }
}
