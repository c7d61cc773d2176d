//! What to try next at a return, and what need not be tried at all.

use super::super::history::{Call, NEVER, Position};
use super::super::spec::{NONE, Spec, Value};
use super::mask::Mask;
use super::{NOBODY, PASS, Search};

impl<S: Spec, M: Mask> Search<'_, S, M> {
    /// Collects what may be placed now, with its rank: first what must go before, then what the event needs, then the others.
    pub(super) fn rank(&mut self) {
        let event = self.events[self.event as usize];
        let due = event >> 1;
        let call = &self.calls[due as usize];
        if !call.known {
            self.ranked.push((1, 0, PASS));
        } else if self.is_hopeless(call) {
            return;
        }
        let mut changes = std::mem::take(&mut self.changes);
        self.open_changes(&mut changes);
        let needs = self.spec.needs(&call.action);
        let blocked = call.known && needs != NONE && needs != self.spec.sight(self.state);
        let goal = match call.known {
            true if blocked => needs,
            true => self.spec.makes(&call.action),
            false => NONE,
        };
        for (index, at) in changes.iter().enumerate() {
            let other = &self.calls[*at as usize];
            // Of two that do the same, the one that returns first: an order with the other one first can be turned into
            // one with this one first.
            let mut earlier = changes[..index].iter();
            if earlier.any(|twin| self.calls[*twin as usize].action == other.action) {
                continue;
            }
            if let Some(after) = self.spec.step(self.state, &other.action, true)
                && !self.is_dead_end(other, after, &changes)
            {
                let rank = self.rank_of(*at, due, goal);
                self.ranked.push((rank.0, rank.1, *at));
            }
        }
        if blocked && self.plan.has_unknown {
            for maker in self.lasting_makers(needs) {
                self.rank_if_available(self.plan.lasting_makers[maker], 1, &changes);
            }
            for slot in 0..self.open.len() {
                let at = self.open[slot];
                if at != NOBODY && self.spec.makes(&self.calls[at as usize].action) == needs {
                    self.rank_if_available(at, 1, &changes);
                }
            }
        }
        self.changes = changes;
    }

    /// The known operations that are open, not placed, and change something; the first to return first.
    pub(super) fn open_changes(&self, changes: &mut Vec<u32>) {
        changes.clear();
        for (slot, at) in self.open.iter().enumerate() {
            if *at != NOBODY
                && !self.placed.has(slot as u32)
                && self.calls[*at as usize].known
                && !self.spec.is_pure(&self.calls[*at as usize].action, true)
            {
                changes.push(*at);
            }
        }
        changes.sort_unstable_by_key(|at| self.calls[*at as usize].ret);
    }

    /// Whether what an operation needs is not in sight and nothing can make it.
    pub(super) fn is_hopeless(&self, call: &Call<S::Action>) -> bool {
        let needs = self.spec.needs(&call.action);
        needs != NONE
            && self.spec.sight(self.state) != needs
            && self.plan.makers_left[needs as usize] == 0
    }

    /// Whether placing the call now leaves somebody without what he needs.
    pub(super) fn is_dead_end(
        &self,
        call: &Call<S::Action>,
        after: S::State,
        changes: &[u32],
    ) -> bool {
        let plan = &self.plan;
        if plan.needs_left.is_empty() {
            return self.is_out_of_turn(call);
        }
        let (before, after) = (self.spec.sight(self.state), self.spec.sight(after));
        if before != after && before != NONE {
            let own = u32::from(call.known && self.spec.needs(&call.action) == before);
            if plan.needs_left[before as usize] > own && plan.makers_left[before as usize] == 0 {
                return true;
            }
        }
        if after == NONE || before == after {
            return false;
        }
        // What comes into sight must stay until the last call that needs it, unless it can be made once more; a change that
        // returns before that would have to be placed in between.
        let until = plan.need_until[after as usize];
        let makers = plan.makers_left[after as usize];
        let own = u32::from(self.spec.makes(&call.action) == after);
        if until < self.event || makers > own {
            return false;
        }
        let first = |at: &&u32| !std::ptr::eq(&self.calls[**at as usize], call);
        (changes.iter().find(first)).is_some_and(|other| self.calls[*other as usize].ret < until)
    }

    /// Whether something that comes before the call in every order is not placed; or whether it is of unknown outcome and takes
    /// somebody's turn.
    fn is_out_of_turn(&self, call: &Call<S::Action>) -> bool {
        if self.event < self.spec.opens(&call.action) {
            return true;
        }
        if !call.known && self.spec.is_futile(self.state, &call.action) {
            return true;
        }
        self.open.iter().enumerate().any(|(slot, at)| {
            *at != NOBODY && !self.placed.has(slot as u32) && {
                let other = &self.calls[*at as usize];
                other.known && self.spec.comes_before(&other.action, &call.action)
            }
        })
    }

    pub(super) fn rank_of(&self, at: u32, due: u32, goal: Value) -> (u8, Position) {
        let call = &self.calls[at as usize];
        if at == due {
            // What nobody needs had best go behind all others, even if it is due itself.
            let rank = self.spec.rank(&call.action);
            return rank.filter(|(_, by)| *by == NEVER).unwrap_or((1, 0));
        }
        if let Some(rank) = self.spec.rank(&call.action) {
            return rank;
        }
        let makes = self.spec.makes(&call.action);
        if makes == NONE || goal == NONE {
            return (2, call.ret);
        }
        let plan = &self.plan;
        let makes = makes as usize;
        if makes == goal as usize {
            (1, 1 + call.ret)
        } else if plan.due[makes] < plan.hold[goal as usize] && plan.hold[makes] <= self.event {
            (0, plan.due[makes])
        } else {
            (2, call.ret)
        }
    }

    /// Collects the operations of unknown outcome that somebody who is open waits for, directly or through others of them.
    pub(super) fn rank_unknown(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        self.open_changes(&mut changes);
        self.ranked.clear();
        if self.plan.needs_left.is_empty() {
            self.rank_all_unknown(&changes);
        } else {
            self.rank_wanted_unknown(&changes);
        }
        self.changes = changes;
    }

    pub(super) fn rank_wanted_unknown(&mut self, changes: &[u32]) {
        let mut goals = std::mem::take(&mut self.goals);
        goals.clear();
        let sight = self.spec.sight(self.state);
        let mut shunned = false;
        for slot in 0..self.open.len() {
            let at = self.open[slot];
            if at == NOBODY || self.placed.has(slot as u32) || !self.calls[at as usize].known {
                continue;
            }
            let action = &self.calls[at as usize].action;
            let needs = self.spec.needs(action);
            if needs != NONE && needs != sight && !goals.contains(&needs) {
                goals.push(needs);
            }
            shunned |= self.spec.shuns(action) == sight && sight != NONE;
        }
        let event = self.events[self.event as usize];
        let ending = &self.calls[(event >> 1) as usize];
        if !ending.known {
            goals.push(self.spec.makes(&ending.action));
        }
        if shunned {
            // Any other value will do.
            self.rank_all_unknown(changes);
        } else {
            let mut next = 0;
            while next < goals.len() {
                let goal = goals[next];
                next += 1;
                for maker in self.lasting_makers(goal) {
                    self.rank_or_wish(self.plan.lasting_makers[maker], &mut goals, changes);
                }
                for slot in 0..self.open.len() {
                    let at = self.open[slot];
                    if at != NOBODY && self.spec.makes(&self.calls[at as usize].action) == goal {
                        self.rank_or_wish(at, &mut goals, changes);
                    }
                }
            }
        }
        self.goals = goals;
    }

    /// Ranks an operation of unknown outcome that makes what is wanted, if it can be placed now; if it needs something else first,
    /// that is wanted too.
    fn rank_or_wish(&mut self, at: u32, goals: &mut Vec<Value>, changes: &[u32]) {
        self.looked += 1;
        let needs = self.spec.needs(&self.calls[at as usize].action);
        if needs == NONE || needs == self.spec.sight(self.state) {
            self.rank_if_available(at, 3, changes);
        } else if self.is_available(at) && !goals.contains(&needs) {
            goals.push(needs);
        }
    }

    fn rank_all_unknown(&mut self, changes: &[u32]) {
        // They stand in the order of their calls: those that come later are not open yet.
        for next in 0..self.plan.lasting.len() {
            let at = self.plan.lasting[next];
            if self.calls[at as usize].call >= self.event {
                break;
            }
            self.rank_if_available(at, 3, changes);
        }
        let idle = self.plan.idle.iter().copied();
        let first = idle
            .inspect(|_| self.looked += 1)
            .find(|at| !self.used[*at as usize]);
        if let Some(at) = first {
            self.rank_if_available(at, 3, changes);
        }
        for slot in 0..self.open.len() {
            if self.open[slot] != NOBODY {
                self.rank_if_available(self.open[slot], 3, changes);
            }
        }
    }

    /// Where the operations that never return and make a value stand in `plan.lasting_makers`.
    fn lasting_makers(&self, value: Value) -> std::ops::Range<usize> {
        match self.plan.lasting_from.as_slice() {
            _ if value == NONE => 0..0,
            [] => 0..0,
            from => from[value as usize] as usize..from[value as usize + 1] as usize,
        }
    }

    pub(super) fn is_available(&self, at: u32) -> bool {
        let call = &self.calls[at as usize];
        !call.known && call.call < self.event && call.ret >= self.event && !self.used[at as usize]
    }

    pub(super) fn rank_if_available(&mut self, at: u32, class: u8, changes: &[u32]) {
        self.looked += 1;
        if !self.is_available(at) {
            return;
        }
        let call = &self.calls[at as usize];
        self.looked += self.ranked.len() as u64;
        let twin = self.ranked.iter().any(|(_, _, twin)| {
            *twin != PASS && {
                let twin = &self.calls[*twin as usize];
                !twin.known && twin.action == call.action && twin.ret <= call.ret
            }
        });
        if !twin
            && let Some(after) = self.spec.step(self.state, &call.action, false)
            && !self.is_dead_end(call, after, changes)
        {
            self.ranked.push((class, call.call, at));
        }
    }
}
