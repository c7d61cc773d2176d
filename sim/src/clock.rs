//! A process's own clock: the world's time with an offset, a drift and jumps ahead. Whole numbers only; it never goes back.

use zabsim_types::Time;

const MILLION: u64 = 1_000_000;

/// A clock that runs `ppm` parts per million fast (or slow) since `world`, when it read `local`.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    world: u64,
    local: u64,
    ppm: i32,
    /// What it drifts by when no fault drives it.
    own_ppm: i32,
    /// The drifts that faults cause, by strike; the newest one counts.
    drifts: Vec<(u32, i32)>,
}

impl Clock {
    /// A clock that reads `offset_us` at the world's start.
    pub(crate) fn new(offset_us: u64, ppm: i32) -> Clock {
        Clock {
            world: 0,
            local: offset_us,
            ppm: clamped(ppm),
            own_ppm: clamped(ppm),
            drifts: Vec::new(),
        }
    }

    /// What it reads at the world's time `now`.
    #[inline]
    pub(crate) fn read(&self, now: Time) -> u64 {
        self.local + scaled(now.0 - self.world, self.rate(), MILLION)
    }

    /// The first moment of the world at which it reads `local` or more; now, if it does already.
    pub(crate) fn when(&self, local: u64, now: Time) -> Time {
        let ahead = local.saturating_sub(self.local);
        let rate = self.rate();
        // Rounded up: a timer must never find its own clock short of its time.
        let passed = match ahead.checked_mul(MILLION) {
            Some(product) => product.div_ceil(rate),
            None => (u128::from(ahead) * u128::from(MILLION)).div_ceil(u128::from(rate)) as u64,
        };
        Time((self.world + passed).max(now.0))
    }

    /// Jumps ahead.
    pub(crate) fn jump(&mut self, now: Time, by_us: u64) {
        self.local = self.read(now) + by_us;
        self.world = now.0;
    }

    /// Runs so many parts per million fast from now on, until that strike is over or another one drives it.
    pub(crate) fn drift(&mut self, now: Time, strike: u32, ppm: i32) {
        self.drifts.push((strike, clamped(ppm)));
        self.change_rate(now);
    }

    /// A strike drives it no longer.
    pub(crate) fn steady(&mut self, now: Time, strike: u32) {
        self.drifts.retain(|(by, _)| *by != strike);
        self.change_rate(now);
    }

    fn change_rate(&mut self, now: Time) {
        self.local = self.read(now);
        self.world = now.0;
        self.ppm = self.drifts.last().map_or(self.own_ppm, |(_, ppm)| *ppm);
    }

    /// Whether a fault drives it.
    pub(crate) fn drifts(&self) -> bool {
        !self.drifts.is_empty()
    }

    fn rate(&self) -> u64 {
        (MILLION as i64 + i64::from(self.ppm)) as u64
    }
}

/// Half speed to double speed: beyond that no clock is a clock.
fn clamped(ppm: i32) -> i32 {
    ppm.clamp(-(MILLION as i32) / 2, MILLION as i32)
}

fn scaled(value: u64, by: u64, of: u64) -> u64 {
    // A run's times fit; dividing 128 bits takes ten times as long.
    match value.checked_mul(by) {
        Some(product) => product / of,
        None => (u128::from(value) * u128::from(by) / u128::from(of)) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_drifts_and_jumps_and_never_goes_back() {
        let mut clock = Clock::new(500, 100);
        assert_eq!(clock.read(Time(0)), 500);
        assert_eq!(clock.read(Time(10_000_000)), 10_001_500);
        clock.jump(Time(10_000_000), 2_000_000);
        assert_eq!(clock.read(Time(10_000_000)), 12_001_500);
        clock.drift(Time(10_000_000), 1, -200);
        assert_eq!(clock.read(Time(20_000_000)), 21_999_500);
    }

    #[test]
    fn drifts_end_in_any_order_and_its_own_is_left() {
        for first_to_end in [1, 2] {
            let mut clock = Clock::new(0, 100);
            clock.drift(Time(0), 1, 1_000);
            clock.drift(Time(0), 2, 2_000);
            clock.steady(Time(0), first_to_end);
            let lasting = 3 - first_to_end;
            assert_eq!(
                clock.read(Time(MILLION)),
                MILLION + u64::from(lasting) * 1_000
            );
            clock.steady(Time(MILLION), lasting);
            let before = clock.read(Time(MILLION));
            assert_eq!(clock.read(Time(2 * MILLION)) - before, MILLION + 100);
            assert!(!clock.drifts());
        }
    }

    #[test]
    fn a_timer_finds_its_own_clock_not_short_of_its_time_and_not_a_microsecond_later() {
        for ppm in [-500_000, -333, -1, 0, 1, 77, 1_000_000] {
            let clock = Clock::new(123, ppm);
            for local in [124, 1_000, 999_999, 123_456_789] {
                let at = clock.when(local, Time(0));
                assert!(clock.read(at) >= local, "{ppm} {local}");
                assert!(clock.read(Time(at.0 - 1)) < local, "{ppm} {local}");
            }
            assert_eq!(clock.when(5, Time(40)), Time(40), "long past: now");
        }
    }
}
