//! What is known of a history before the search begins.

use super::super::history::{Call, History, NEVER, Position};
use super::super::spec::{NONE, Spec, Value};

/// What is known of the history before the search begins.
pub(super) struct Plan {
    /// How many operations that return are open at once.
    pub slots: usize,
    /// The slot of each call that returns, from its call to its return.
    pub slot: Vec<u32>,
    /// For each value: the earliest return of the known calls that make it or need it.
    pub due: Vec<Position>,
    /// For each value: the last call of the known ones that need it, or make another value out of it, and so on.
    pub hold: Vec<Position>,
    /// For each value: the last call of the known ones that need it themselves.
    pub need_until: Vec<Position>,
    /// For each value: how many known calls that are not placed need it.
    pub needs_left: Vec<u32>,
    /// For each value: how many calls that are not placed make it.
    pub makers_left: Vec<u32>,
    /// For each value: how many calls of unknown outcome that are not placed need it.
    pub wishes_left: Vec<u32>,
    /// Calls that never return by the value that they make (by value, then by call), and where each value's begin.
    pub lasting_makers: Vec<u32>,
    pub lasting_from: Vec<u32>,
    /// The calls that never return: they may take effect at any time. Without the idle ones.
    pub lasting: Vec<u32>,
    /// Those of them that need nothing and make what nobody needs or shuns: any of them is as good as another.
    pub idle: Vec<u32>,
    /// Whether there is any call of unknown outcome.
    pub has_unknown: bool,
    /// How many known calls shun a value.
    pub shunning: u32,
}

impl Plan {
    pub fn new<S: Spec>(spec: &S, history: &History<S::Action>) -> Plan {
        let values = spec.values();
        let calls = history.calls();
        let (slots, slot) = slots(history);
        let mut plan = Plan {
            slots,
            slot,
            due: vec![NEVER; values],
            hold: vec![0; values],
            need_until: vec![0; values],
            needs_left: vec![0; values],
            makers_left: vec![0; values],
            wishes_left: vec![0; values],
            lasting_makers: Vec::new(),
            lasting_from: Vec::new(),
            lasting: Vec::new(),
            idle: Vec::new(),
            has_unknown: false,
            shunning: 0,
        };
        for (at, call) in calls.iter().enumerate() {
            if values > 0 {
                plan.count(spec, call);
            }
            plan.has_unknown |= !call.known;
            if call.ret == NEVER {
                plan.lasting.push(at as u32);
            }
        }
        plan.hold = plan.need_until.clone();
        // Chains run forward in time, so one pass from the end finds nearly all of them; the rest would only be a worse guess.
        for call in calls.iter().rev().filter(|call| call.known) {
            let (from, to) = (spec.needs(&call.action), spec.makes(&call.action));
            if from != NONE && to != NONE {
                let (from, to) = (from as usize, to as usize);
                plan.due[from] = plan.due[from].min(plan.due[to]);
                plan.hold[from] = plan.hold[from].max(plan.hold[to]);
            }
        }
        if values > 0 && !plan.lasting.is_empty() {
            let makes = |at: &u32| spec.makes(&calls[*at as usize].action);
            plan.lasting_makers = plan.lasting.clone();
            plan.lasting_makers.retain(|at| makes(at) != NONE);
            plan.lasting_makers.sort_by_key(makes);
            let starts = 0..=values as Value;
            let start = |value| plan.lasting_makers.partition_point(|at| makes(at) < value);
            plan.lasting_from = starts.map(|value| start(value) as u32).collect();
            let mut is_idle: Vec<bool> = (0..values)
                .map(|value| plan.needs_left[value] == 0 && plan.wishes_left[value] == 0)
                .collect();
            for call in calls.iter().filter(|call| call.known) {
                let shuns = spec.shuns(&call.action);
                if shuns != NONE {
                    is_idle[shuns as usize] = false;
                }
            }
            (plan.idle, plan.lasting) = plan.lasting.iter().partition(|at| {
                let made = makes(at);
                spec.needs(&calls[**at as usize].action) == NONE
                    && made != NONE
                    && is_idle[made as usize]
            });
        }
        plan
    }

    /// How many calls, of known or of unknown outcome, that are not placed need a value.
    pub fn left_of(&mut self, known: bool, value: Value) -> &mut u32 {
        let left = match known {
            true => &mut self.needs_left,
            false => &mut self.wishes_left,
        };
        &mut left[value as usize]
    }

    fn count<S: Spec>(&mut self, spec: &S, call: &Call<S::Action>) {
        let (needs, makes) = (spec.needs(&call.action), spec.makes(&call.action));
        if makes != NONE {
            self.makers_left[makes as usize] += 1;
        }
        if needs != NONE {
            *self.left_of(call.known, needs) += 1;
        }
        if !call.known {
            return;
        }
        for value in [needs, makes] {
            if value != NONE {
                let due = &mut self.due[value as usize];
                *due = (*due).min(call.ret);
            }
        }
        if needs != NONE {
            let until = &mut self.need_until[needs as usize];
            *until = (*until).max(call.call);
        }
        if spec.shuns(&call.action) != NONE {
            self.shunning += 1;
        }
    }
}

/// Gives each call that returns a slot that is its own from call to return.
fn slots<A>(history: &History<A>) -> (usize, Vec<u32>) {
    let mut slot = vec![0; history.len()];
    let (mut free, mut slots) = (Vec::new(), 0);
    for event in history.events() {
        let at = (event >> 1) as usize;
        if history.calls()[at].ret == NEVER {
            continue;
        }
        if event & 1 == 1 {
            free.push(slot[at]);
        } else {
            slot[at] = free.pop().unwrap_or_else(|| {
                slots += 1;
                slots - 1
            });
        }
    }
    (slots as usize, slot)
}
