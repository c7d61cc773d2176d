//! When faults were at work, for the checks whose promise holds in calm only.

use zabsim_types::Time;

/// The spans of all faults, by strike.
#[derive(Debug, Default)]
pub(crate) struct Unrest {
    spans: Vec<(usize, Time, Option<Time>)>,
}

impl Unrest {
    /// A fault strikes; one that does not last is over at once, and what it leaves behind is for the servers to notice.
    pub(crate) fn begins(&mut self, strike: usize, now: Time, lasts: bool) {
        self.spans.push((strike, now, (!lasts).then_some(now)));
    }

    /// What a strike did was undone.
    pub(crate) fn ends(&mut self, strike: usize, now: Time) {
        let open = self.spans.iter_mut().rev().find(|span| span.0 == strike);
        if let Some((_, _, until @ None)) = open {
            *until = Some(now);
        }
    }

    /// From and to, in the order of their beginnings; what lasts still, to `now`.
    pub(crate) fn spans(&self, now: Time) -> Vec<(Time, Time)> {
        let span = |(_, from, until): &(usize, Time, Option<Time>)| (*from, until.unwrap_or(now));
        self.spans.iter().map(span).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_lasts_until_its_own_strike_is_undone() {
        let mut unrest = Unrest::default();
        unrest.begins(0, Time(10), true);
        unrest.begins(1, Time(20), false);
        unrest.begins(2, Time(30), true);
        unrest.ends(0, Time(40));
        unrest.ends(1, Time(50));
        let spans = [(10, 40), (20, 20), (30, 60)].map(|(from, to)| (Time(from), Time(to)));
        assert_eq!(unrest.spans(Time(60)), spans);
    }
}
