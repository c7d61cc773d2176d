//! How connections, requests and sessions end, and in which order that is told: what was lost, then that the connection is gone,
//! then that the session is.

use super::{InFlight, Link, Session};
use crate::{Effect, Outcome};
use zabsim_types::{CallId, ErrorCode, ServerId, SessionChange, SessionId, Time, Xid};

impl Session {
    /// The driver says that the connection is gone, or never came up.
    pub(super) fn lose_connection(&mut self, now: Time, out: &mut Vec<Effect>) {
        match self.link {
            Link::None | Link::Waiting { .. } => {}
            Link::Connecting { .. } | Link::Attaching { .. } | Link::Up { .. } => {
                self.stop_seeking(out);
                self.lose_requests(out);
                self.wait_for_next(now, out);
            }
        }
    }

    /// The session leaves the connection by itself.
    pub(super) fn drop_connection(&mut self, now: Time, out: &mut Vec<Effect>) {
        out.push(Effect::Disconnect);
        self.lose_connection(now, out);
    }

    pub(super) fn lose_requests(&mut self, out: &mut Vec<Effect>) {
        for request in self.in_flight.drain(..) {
            if let InFlight::Request {
                call, xid, closes, ..
            } = request
            {
                self.closing &= !closes;
                out.push(lost(call, ErrorCode::ConnectionLoss, Some(xid)));
            }
        }
        if let Link::Up { .. } = self.link {
            out.push(Effect::Changed {
                session: self.id,
                change: SessionChange::Disconnected,
            });
        }
    }

    fn wait_for_next(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.config.reconnect_us == 0 {
            return self.connect_to_next(now, out);
        }
        let until = now.plus(self.config.reconnect_us);
        self.link = Link::Waiting { until };
    }

    pub(super) fn move_to(&mut self, now: Time, to: Option<ServerId>, out: &mut Vec<Effect>) {
        match self.link {
            Link::None => return,
            Link::Waiting { .. } => {}
            Link::Connecting { .. } | Link::Attaching { .. } | Link::Up { .. } => {
                out.push(Effect::Disconnect);
                self.stop_seeking(out);
                self.lose_requests(out);
            }
        }
        match to {
            Some(server) => self.connect(now, server, out),
            None => self.connect_to_next(now, out),
        }
    }

    pub(super) fn expire(&mut self, out: &mut Vec<Effect>) {
        assert!(self.in_flight.is_empty(), "lost with their connection");
        self.lose_queue(ErrorCode::SessionExpired, out);
        self.end(SessionChange::Expired, out);
    }

    pub(super) fn lose_queue(&mut self, error: ErrorCode, out: &mut Vec<Effect>) {
        for (call, _) in self.queue.drain(..) {
            out.push(lost(call, error, None));
        }
    }

    pub(super) fn end(&mut self, change: SessionChange, out: &mut Vec<Effect>) {
        self.stop_seeking(out);
        out.push(Effect::Changed {
            session: self.id,
            change,
        });
        self.link = Link::None;
        self.id = SessionId::NONE;
        self.closing = false;
        self.watches.clear();
    }
}

/// `xid`: the request's number, if it had left.
pub(super) fn lost(call: CallId, error: ErrorCode, xid: Option<Xid>) -> Effect {
    Effect::Complete {
        call,
        outcome: Outcome::Lost {
            error,
            sent: xid.is_some(),
            xid,
        },
    }
}
