//! Shorter: less time in all, less between one thing and the next, shorter faults, rounder numbers.

use super::parts::{each_duration, each_time};
use crate::format::Scenario;
use zabsim::plan::Trigger;

/// No time is halved below this: what is shorter is the simulated machines' own haste, and no part of a script.
const LEAST_US: u64 = 1_000;

/// To which a time is rounded down, the coarsest first.
const ROUND_US: [u64; 4] = [1_000_000, 100_000, 10_000, 1_000];

/// With the faults ending at `end_us`, and without what was to happen after that.
pub(super) fn ended_at(scenario: &Scenario, end_us: u64) -> Option<Scenario> {
    let end_us = end_us.max(LEAST_US);
    if end_us >= scenario.plan.safety_us {
        return None;
    }
    let mut out = scenario.clone();
    let late = |trigger: &Trigger| match trigger {
        Trigger::At(at) => at.0 > end_us,
        _ => false,
    };
    while let Some(at) = out.plan.faults.iter().position(|f| late(&f.trigger)) {
        out = super::fewer::without_faults(&out, at..at + 1);
    }
    out.plan.ops.retain(|op| !late(&op.at));
    out.holds.retain(|hold| hold.at_us <= end_us);
    out.expect.outcomes = vec![Vec::new(); out.plan.ops.len()];
    out.plan.safety_us = end_us;
    Some(out)
}

/// Everything at half its time.
pub(super) fn at_half_time(scenario: &Scenario) -> Option<Scenario> {
    let mut out = scenario.clone();
    each_time(&mut out, &mut |at| *at /= 2);
    (out.plan.safety_us >= LEAST_US).then_some(out)
}

/// The points of time at which something happens, each once, in order.
pub(super) fn points(scenario: &Scenario) -> Vec<u64> {
    let mut points = Vec::new();
    each_time(&mut scenario.clone(), &mut |at| points.push(*at));
    points.sort_unstable();
    points.dedup();
    points
}

/// With half the time before one of the points, so that it and all after it come sooner.
pub(super) fn sooner(scenario: &Scenario, point: usize) -> Option<Scenario> {
    let points = points(scenario);
    let at = *points.get(point)?;
    let before = match point {
        0 => 0,
        _ => points[point - 1],
    };
    let gap_us = (at - before) / 2;
    if gap_us < LEAST_US {
        return None;
    }
    let mut out = scenario.clone();
    each_time(&mut out, &mut |time| {
        if *time >= at {
            *time -= gap_us;
        }
    });
    Some(out)
}

/// How many durations there are.
pub(super) fn durations(scenario: &Scenario) -> usize {
    let mut count = 0;
    each_duration(&mut scenario.clone(), &mut |_| count += 1);
    count
}

/// With one duration halved.
pub(super) fn halved(scenario: &Scenario, which: usize) -> Option<Scenario> {
    let mut out = scenario.clone();
    let (mut place, mut is_shorter) = (0, false);
    each_duration(&mut out, &mut |ends| {
        if place == which && ends.iter().any(|end| **end >= 2 * LEAST_US) {
            is_shorter = true;
            ends.iter_mut().for_each(|end| **end /= 2);
        }
        place += 1;
    });
    is_shorter.then_some(out)
}

/// Every way to round one time or duration down.
pub(super) fn roundings(scenario: &Scenario) -> usize {
    let mut times = 0;
    each_time(&mut scenario.clone(), &mut |_| times += 1);
    (times + durations(scenario)) * ROUND_US.len()
}

/// With one time or duration rounded down.
pub(super) fn rounded(scenario: &Scenario, which: usize) -> Option<Scenario> {
    let (which, unit) = (which / ROUND_US.len(), ROUND_US[which % ROUND_US.len()]);
    let mut out = scenario.clone();
    let (mut place, mut is_rounder) = (0, false);
    let mut round = |ends: &mut [&mut u64]| {
        if place == which {
            // Below the finest there is only the beginning.
            let is_large = |end: &u64| *end >= unit || unit == LEAST_US;
            for end in ends.iter_mut().filter(|end| is_large(end)) {
                is_rounder |= !end.is_multiple_of(unit);
                **end -= **end % unit;
            }
        }
        place += 1;
    };
    each_time(&mut out, &mut |time| round(&mut [time]));
    each_duration(&mut out, &mut round);
    is_rounder.then_some(out)
}
