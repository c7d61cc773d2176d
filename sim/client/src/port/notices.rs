//! What a program is told without having asked just now: watches that fire, and how its session fares.

use super::{Inner, Notice, SessionState, StateWait, Subscriber, Wait, Watched, store_waker};
use crate::Command;
use crate::watches::WatchList;
use std::task::{Context, Poll, Waker};
use zabsim_types::{SessionChange, SessionId, WatchEvent, Zxid};

impl Inner {
    // Watches and notices.

    pub(super) fn event(&mut self, zxid: Option<Zxid>, conn: u32, event: WatchEvent) -> Vec<Waker> {
        let mut wakers = self.notify(&Notice::Event {
            zxid,
            conn,
            event: event.clone(),
        });
        wakers.extend(self.tell_standing(zxid, &event));
        let Some(mut waiting) = self.watches_of_path.remove(&event.path) else {
            return wakers;
        };
        let lists = WatchList::used_up_by(event.kind);
        waiting.retain(|name| {
            let slot = self.watches.get_mut(name).expect("both maps agree");
            let fires = lists.contains(&slot.list);
            if fires {
                let event = event.clone();
                wakers.extend(slot.wait.fulfil(Watched::Fired { zxid, event }));
            }
            !fires
        });
        if !waiting.is_empty() {
            self.watches_of_path.insert(event.path, waiting);
        }
        wakers
    }

    pub(crate) fn poll_watch(&mut self, watch: u64, cx: &Context<'_>) -> Poll<Watched> {
        let polled = match self.watches.get_mut(&watch) {
            Some(slot) => slot.wait.poll(cx),
            None => panic!("a watch was polled after it was done"),
        };
        if polled.is_ready() {
            self.watches.remove(&watch);
        }
        polled
    }

    pub(crate) fn forget_watch(&mut self, watch: u64) {
        // A request that nobody awaits any more may have left one that stays.
        let Some(slot) = self.watches.remove(&watch) else {
            return self.forget_standing(watch);
        };
        if let Some(waiting) = self.watches_of_path.get_mut(&slot.path) {
            waiting.retain(|name| *name != watch);
            if waiting.is_empty() {
                self.watches_of_path.remove(&slot.path);
            }
        }
    }

    pub(crate) fn subscribe(&mut self) -> u64 {
        let name = self.name();
        self.subscribers.insert(name, Subscriber::default());
        name
    }

    pub(crate) fn unsubscribe(&mut self, name: u64) {
        self.subscribers.remove(&name);
    }

    pub(super) fn notify(&mut self, notice: &Notice) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for subscriber in self.subscribers.values_mut() {
            subscriber.notices.push_back(notice.clone());
            wakers.extend(subscriber.waker.take());
        }
        wakers
    }

    pub(crate) fn next_notice(&mut self, subscriber: u64) -> Option<Notice> {
        self.subscribers.get_mut(&subscriber)?.notices.pop_front()
    }

    pub(crate) fn poll_notice(&mut self, name: u64, cx: &Context<'_>) -> Poll<Notice> {
        let Some(subscriber) = self.subscribers.get_mut(&name) else {
            return Poll::Pending;
        };
        match subscriber.notices.pop_front() {
            Some(notice) => Poll::Ready(notice),
            None => {
                store_waker(&mut subscriber.waker, cx);
                Poll::Pending
            }
        }
    }

    // The session's state.

    pub(crate) fn open(&mut self) {
        if self.state.is_over() {
            self.state = SessionState::Connecting;
            self.command(Command::Open);
        }
    }

    pub(super) fn changed(&mut self, session: SessionId, change: &SessionChange) -> Vec<Waker> {
        let mut wakers = self.notify(&Notice::Changed {
            session,
            change: change.clone(),
        });
        match change {
            // That server cannot say whether the session lives: what was in doubt stays so.
            SessionChange::Connected {
                server,
                read_only: true,
                ..
            } => {
                self.state = SessionState::ConnectedReadOnly { server: *server };
                self.session = session;
            }
            SessionChange::Connected {
                server, reattached, ..
            } => {
                self.state = SessionState::Connected { server: *server };
                self.session = session;
                if *reattached {
                    self.regain_holds();
                }
                wakers.extend(self.unpark(false));
            }
            SessionChange::WatchesSet { .. } => {
                wakers.extend(self.tell_all_standing(&Watched::SetAgain, false));
                return wakers;
            }
            SessionChange::Disconnected => {
                self.state = SessionState::Connecting;
                wakers.extend(self.doubt_holds());
            }
            SessionChange::Expired | SessionChange::AuthFailed | SessionChange::Closed => {
                self.state = match change {
                    SessionChange::Expired => SessionState::Expired,
                    SessionChange::AuthFailed => SessionState::AuthFailed,
                    _ => SessionState::Closed,
                };
                self.session = SessionId::NONE;
                wakers.extend(self.give_up_holds());
                wakers.extend(self.tell_all_standing(&Watched::SessionEnded, true));
                wakers.extend(self.unpark(true));
                self.watches_of_path.clear();
                for slot in self.watches.values_mut() {
                    if slot.wait.value.is_none() {
                        wakers.extend(slot.wait.fulfil(Watched::SessionEnded));
                    }
                }
            }
        }
        for StateWait { until, wait } in self.state_waits.values_mut() {
            if wait.value.is_none() && until(self.state) {
                wakers.extend(wait.fulfil(self.state));
            }
        }
        wakers
    }

    pub(crate) fn wait_for_state(&mut self, until: fn(SessionState) -> bool) -> u64 {
        let name = self.name();
        let mut wait = Wait::default();
        if until(self.state) {
            wait.fulfil(self.state);
        }
        self.state_waits.insert(name, StateWait { until, wait });
        name
    }

    pub(crate) fn poll_state(&mut self, name: u64, cx: &Context<'_>) -> Poll<SessionState> {
        let polled = match self.state_waits.get_mut(&name) {
            Some(StateWait { wait, .. }) => wait.poll(cx),
            None => panic!("a future was polled after it was done"),
        };
        if polled.is_ready() {
            self.state_waits.remove(&name);
        }
        polled
    }

    pub(crate) fn forget_state_wait(&mut self, name: u64) {
        self.state_waits.remove(&name);
    }
}
