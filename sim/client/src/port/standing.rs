//! Watches that stay, for the programs that follow them: each is a queue of what it heard, in order.
//!
//! The server sends one event however many ways there are in which a connection watches a node; here it is handed to everyone
//! whom it concerns, as ZooKeeper's `ZKWatchManager.materialize` does.

use super::{Inner, Watched, store_waker};
use crate::watches::hears;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use zabsim_types::{AddWatchMode, WatchEvent, WatchKind, WatcherType, ZPath, Zxid};

/// One that a program follows.
pub(super) struct Standing {
    path: ZPath,
    mode: AddWatchMode,
    heard: VecDeque<Watched>,
    /// Nothing will be added.
    over: bool,
    waker: Option<Waker>,
}

impl Standing {
    fn hear(&mut self, what: Watched) -> Option<Waker> {
        if self.over {
            return None;
        }
        self.heard.push_back(what);
        self.waker.take()
    }
}

impl Inner {
    pub(super) fn stand(&mut self, path: ZPath, mode: AddWatchMode) -> u64 {
        let name = self.name();
        let standing = Standing {
            path,
            mode,
            heard: VecDeque::new(),
            over: false,
            waker: None,
        };
        self.standing.insert(name, standing);
        name
    }

    pub(super) fn tell_standing(
        &mut self,
        zxid: Option<Zxid>,
        event: &WatchEvent,
    ) -> impl Iterator<Item = Waker> {
        self.standing
            .values_mut()
            .filter(|standing| {
                !event.kind.is_local() && hears(&standing.path, standing.mode, event)
            })
            .filter_map(move |standing| {
                let event = event.clone();
                standing.hear(Watched::Fired { zxid, event })
            })
    }

    /// All of them hear it: they were set again, or (`over`) their session has ended.
    pub(super) fn tell_all_standing(
        &mut self,
        what: &Watched,
        over: bool,
    ) -> impl Iterator<Item = Waker> {
        self.standing.values_mut().filter_map(move |standing| {
            let waker = standing.hear(what.clone());
            standing.over |= over;
            waker
        })
    }

    /// `removeWatches` has taken them away.
    pub(super) fn end_standing(&mut self, kind: WatcherType, path: &ZPath) -> Vec<Waker> {
        let meant = |standing: &Standing| {
            let mode = match kind {
                WatcherType::Any => return standing.path == *path,
                WatcherType::Persistent => AddWatchMode::Persistent,
                WatcherType::PersistentRecursive => AddWatchMode::PersistentRecursive,
                WatcherType::Data | WatcherType::Children => return false,
            };
            standing.path == *path && standing.mode == mode
        };
        let mut wakers = Vec::new();
        let standing = self.standing.values_mut();
        for standing in standing.filter(|standing| meant(standing)) {
            let event = WatchEvent {
                kind: WatchKind::PersistentWatchRemoved,
                path: path.clone(),
            };
            wakers.extend(standing.hear(Watched::Fired { zxid: None, event }));
            standing.over = true;
        }
        wakers
    }

    pub(crate) fn poll_standing(&mut self, name: u64, cx: &Context<'_>) -> Poll<Option<Watched>> {
        let Some(standing) = self.standing.get_mut(&name) else {
            return Poll::Ready(None);
        };
        match standing.heard.pop_front() {
            None if standing.over => Poll::Ready(None),
            None => {
                store_waker(&mut standing.waker, cx);
                Poll::Pending
            }
            what => Poll::Ready(what),
        }
    }

    pub(crate) fn forget_standing(&mut self, name: u64) {
        self.standing.remove(&name);
    }
}
