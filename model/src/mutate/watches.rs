//! Notifications that come late, twice, otherwise or never.

use super::{Corrupted, Dice, Mutator};
use zabsim_types::{HistoryKind, WatchKind, Zxid};

impl<'a> Mutator<'a> {
    fn any_watch(&self, dice: &mut Dice) -> Option<usize> {
        let from = dice.below(self.events.len());
        let is_watch = |at: &usize| {
            matches!(
                self.events[*at].kind,
                HistoryKind::Watch { zxid: Some(_), .. }
            )
        };
        (from..self.events.len()).find(is_watch)
    }

    /// The first reply behind an event, at its client by its connection, that shows its change.
    fn shown_after(&self, at: usize) -> Option<usize> {
        let HistoryKind::Watch {
            zxid: Some(zxid),
            conn,
            ..
        } = &self.events[at].kind
        else {
            return None;
        };
        let process = self.events[at].process;
        let mut behind = self
            .events
            .iter()
            .enumerate()
            .skip(at + 1)
            .filter(|(_, event)| event.process == process);
        let found = behind.find_map(|(at, event)| match &event.kind {
            HistoryKind::Ok {
                zxid: header,
                conn: by,
                ..
            }
            | HistoryKind::Fail {
                zxid: header,
                conn: by,
                ..
            } => {
                if by != conn {
                    return Some(None);
                }
                (*header != Zxid::NO_STATE && header >= zxid).then_some(Some(at))
            }
            HistoryKind::Session { .. } => Some(None),
            _ => None,
        });
        found.flatten()
    }

    pub(super) fn watch_missing(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let doubt = self
            .shown_after(at)
            .is_none()
            .then_some("its connection may have been lost before it came");
        let what = format!("never came: event {} {:?}", at + 1, self.events[at].kind);
        self.changed(what, doubt, |events| {
            events.remove(at);
        })
    }

    pub(super) fn watch_late(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let reply = self.shown_after(at)?;
        let what = format!("came late: event {} {:?}", at + 1, self.events[at].kind);
        self.changed(what, None, |events| {
            let mut event = events.remove(at);
            event.time = events[reply - 1].time;
            events.insert(reply, event);
        })
    }

    pub(super) fn watch_twice(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let what = format!("came twice: event {} {:?}", at + 1, self.events[at].kind);
        self.changed(what, None, |events| events.insert(at, events[at].clone()))
    }

    pub(super) fn watch_wrong(&self, dice: &mut Dice) -> Option<Corrupted> {
        let at = self.any_watch(dice)?;
        let what = format!(
            "of another kind: event {} {:?}",
            at + 1,
            self.events[at].kind
        );
        let draw = dice.below(2);
        self.changed(what, None, |events| {
            if let HistoryKind::Watch { event, .. } = &mut events[at].kind {
                if draw == 0 {
                    event.kind = match event.kind {
                        WatchKind::NodeDeleted => WatchKind::NodeCreated,
                        _ => WatchKind::NodeDeleted,
                    };
                } else {
                    event.path = format!("{}/none", event.path).into();
                }
            }
        })
    }
}
