//! Whatever a driver does, in any order: every request is completed, once.

use crate::transcript::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use zabsim_client::{Effect, Input, Session};
use zabsim_types::{
    AddWatchMode, ClientFrame, ErrorCode, Op, Reply, SessionChange, SessionId, Time, WatchKind,
    WatcherType, Xid,
};

/// What a driver may do at any moment, whether or not it makes sense just then.
#[derive(Clone, Debug)]
enum Act {
    Open,
    Connected,
    Disconnected,
    Granted,
    GrantedReading,
    Refused,
    Trial(u8),
    AnswerNext(bool),
    AnswerWrong,
    /// The server does not believe the oldest request of all, whatever it was.
    RefuseIdentity,
    WatchesSet,
    Event,
    Wait(u64),
    Submit(u8),
    Move,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Open),
        6 => Just(Act::Connected),
        2 => Just(Act::Disconnected),
        6 => Just(Act::Granted),
        3 => Just(Act::GrantedReading),
        1 => Just(Act::Refused),
        3 => (0_u8..5).prop_map(Act::Trial),
        6 => any::<bool>().prop_map(Act::AnswerNext),
        1 => Just(Act::AnswerWrong),
        1 => Just(Act::RefuseIdentity),
        2 => Just(Act::WatchesSet),
        1 => Just(Act::Event),
        3 => (1_u64..3_000).prop_map(Act::Wait),
        8 => (0_u8..9).prop_map(Act::Submit),
        1 => Just(Act::Move),
    ]
}

/// A driver that keeps the contract (a timer that goes off, no frames from a connection that was closed) and counts.
struct Driver {
    session: Session,
    now: u64,
    timer: Option<Time>,
    calls: u64,
    /// Each call with how often it was completed.
    completed: BTreeMap<u64, u32>,
    /// Numbers of the requests sent on this connection and not answered.
    sent: Vec<(Xid, Op)>,
    attached: bool,
    open: bool,
    trial: bool,
}

impl Driver {
    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.session.step(Time(self.now), input, &mut out);
        for effect in out {
            match effect {
                Effect::Connect { .. } | Effect::Disconnect => self.sent.clear(),
                Effect::SetTimer { at } => {
                    assert!(at >= Time(self.now), "a timer in the past");
                    self.timer = Some(at);
                }
                Effect::Send(ClientFrame::Request { xid, op }) => {
                    assert!(self.attached, "a request without a session");
                    let last = self.sent.last().map(|(xid, _)| *xid);
                    assert!(last.is_none_or(|last| last < xid), "numbers grow");
                    self.sent.push((xid, op));
                }
                Effect::Send(ClientFrame::SetWatches { .. }) => {
                    let identity = |(_, op): &(Xid, Op)| matches!(op, Op::AddAuth { .. });
                    assert!(
                        self.sent.iter().all(identity),
                        "watches go first, but for identities"
                    );
                }
                Effect::Send(_) | Effect::Event { .. } => {}
                Effect::Try { .. } => {
                    assert!(
                        self.attached && !self.trial,
                        "one trial beside a connection"
                    );
                    self.trial = true;
                }
                Effect::TrialSend(_) => assert!(self.trial),
                Effect::TrialEnd => assert!(std::mem::take(&mut self.trial)),
                Effect::TrialTake => {
                    assert!(std::mem::take(&mut self.trial));
                    self.sent.clear();
                }
                Effect::Complete { call, .. } => *self.completed.entry(call.0).or_default() += 1,
                Effect::Changed { change, .. } => match change {
                    SessionChange::Connected { .. } => {
                        assert!(!self.attached, "attached twice");
                        self.attached = true;
                    }
                    SessionChange::Disconnected => {
                        assert!(self.attached, "disconnected twice");
                        self.attached = false;
                        self.sent.clear();
                    }
                    SessionChange::WatchesSet { .. } => assert!(self.attached),
                    SessionChange::Expired | SessionChange::AuthFailed | SessionChange::Closed => {
                        self.attached = false;
                        self.open = false;
                        self.sent.clear();
                        assert_eq!(self.session_outstanding(), 0, "nothing outlives it");
                    }
                },
            }
        }
        if self.attached || self.session.attached_to().is_some() {
            assert_eq!(self.attached, self.session.attached_to().is_some());
        }
    }

    fn session_outstanding(&self) -> usize {
        self.session.outstanding()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Open => {
                self.open = true;
                self.step(Input::Open);
            }
            Act::Connected => self.step(Input::Connected),
            Act::Disconnected => self.step(Input::Disconnected),
            Act::Granted => {
                let session = match self.session.id() {
                    SessionId::NONE => 0x11 + self.calls as i64,
                    SessionId(id) => id,
                };
                if !self.attached {
                    self.step(granted(session, 1));
                }
            }
            Act::GrantedReading => {
                let session = match self.session.id() {
                    SessionId::NONE => 0x11 + self.calls as i64,
                    SessionId(id) => id,
                };
                if !self.attached {
                    self.step(read_only(session, 2));
                }
            }
            Act::Trial(what) => {
                let SessionId(session) = self.session.id();
                let input = match what {
                    0 => Input::TrialConnected,
                    1 => Input::TrialDisconnected,
                    2 => by_trial(granted(session, 3)),
                    3 => by_trial(read_only(session, 3)),
                    _ => by_trial(refused()),
                };
                if self.trial {
                    self.trial &= what != 1;
                    self.step(input);
                }
            }
            Act::Refused => {
                if !self.attached && self.session.id() != SessionId::NONE {
                    self.step(refused());
                }
            }
            Act::AnswerNext(well) => {
                if self.attached && !self.sent.is_empty() {
                    let (xid, op) = self.sent.remove(0);
                    let result = match (well, op) {
                        (true, Op::CloseSession) => Ok(Reply::Closed),
                        (true, Op::AddAuth { .. }) => Ok(Reply::AuthAdded),
                        (true, Op::AddWatch { .. }) => Ok(Reply::WatchAdded),
                        (true, Op::RemoveWatches { .. }) => Ok(Reply::WatchesRemoved),
                        (true, _) => data(),
                        (false, _) => Err(ErrorCode::NoNode),
                    };
                    self.step(reply(xid.0, self.calls as u32 + 1, result));
                }
            }
            Act::RefuseIdentity => {
                if let (true, Some((xid, _))) = (self.attached, self.sent.first()) {
                    self.step(reply(xid.0, 0, Err(ErrorCode::AuthFailed)));
                }
            }
            Act::AnswerWrong => self.step(reply(i32::MAX, 1, data())),
            Act::WatchesSet => self.step(watches_set(3)),
            Act::Event => self.step(event(Some(5), WatchKind::NodeDeleted, "/1")),
            Act::Wait(ms) => {
                let until = self.now + ms * 1_000;
                while let Some(at) = self.timer.filter(|at| at.0 <= until) {
                    self.timer = None;
                    self.now = self.now.max(at.0);
                    self.step(Input::Timer);
                }
                self.now = until;
            }
            Act::Submit(which) => {
                self.calls += 1;
                let op = match which {
                    0 => create("/1"),
                    1 => get("/1"),
                    2 => exists("/2"),
                    3 => list("/"),
                    4 => sync(),
                    5 => add_auth("me:secret"),
                    6 => add_watch("/1", AddWatchMode::Persistent),
                    7 => remove_watches("/1", WatcherType::Any),
                    _ => Op::CloseSession,
                };
                self.completed.insert(self.calls, 0);
                self.step(submit(self.calls, op));
            }
            Act::Move => self.step(Input::Move { to: None }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, every request is completed exactly once, at the latest when the session ends; a session that
    /// is left alone for long enough has ended.
    #[test]
    fn every_request_is_completed_exactly_once(acts in proptest::collection::vec(act(), 1..120)) {
        let mut driver = Driver {
            session: Transcript::content().session,
            now: 0,
            timer: None,
            calls: 0,
            completed: BTreeMap::new(),
            sent: Vec::new(),
            attached: false,
            open: false,
            trial: false,
        };
        for act in acts {
            driver.act(act);
            prop_assert!(driver.completed.values().all(|times| *times <= 1));
            let waiting = driver.completed.values().filter(|times| **times == 0).count();
            prop_assert_eq!(waiting, driver.session.outstanding());
        }
        // Nobody answers any more: a granted session ends by itself.
        if driver.session.id() != SessionId::NONE {
            driver.act(Act::Wait(30_000));
            prop_assert_eq!(driver.session.id(), SessionId::NONE);
            prop_assert!(driver.completed.values().all(|times| *times == 1));
        }
    }
}
