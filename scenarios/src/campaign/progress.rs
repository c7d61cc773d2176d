//! How a campaign is getting on, while it runs: a bar that lives on a terminal, and a line now and then in a log.

use super::clock;
use super::tally::Tally;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// From one line to the next in a log: often enough to see that it lives.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// From one picture of the bar to the next.
const BAR_EVERY: Duration = Duration::from_millis(250);

/// What there is to do: how far a campaign has come is told by whichever of them is nearer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// Runs in all.
    pub(super) runs: u64,
    /// Milliseconds in all.
    pub(super) for_ms: Option<u64>,
}

/// Tells how a campaign is getting on.
pub(super) struct Progress<'a> {
    goal: Goal,
    bar: Option<ProgressBar>,
    log: &'a mut dyn Write,
    told: Instant,
    /// Runs and milliseconds before this session, which say nothing about its rate.
    before: (u64, u64),
}

impl<'a> Progress<'a> {
    pub(super) fn new(goal: Goal, before: (u64, u64), log: &'a mut dyn Write) -> Progress<'a> {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:20} {percent:>3} %  {wide_msg}");
            let bar = ProgressBar::new(PARTS);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Progress {
            goal,
            bar,
            log,
            told: clock::now(),
            before,
        }
    }

    /// So much is done.
    pub(super) fn tell(&mut self, tally: &Tally, elapsed_ms: u64) {
        let every = if self.bar.is_some() {
            BAR_EVERY
        } else {
            LINE_EVERY
        };
        if self.told.elapsed() < every {
            return;
        }
        self.told = clock::now();
        let rate = self.rate_milli(tally.runs(), elapsed_ms);
        let (parts, left_ms) = estimate(self.goal, tally.runs(), elapsed_ms, rate);
        let line = described(tally, rate, left_ms);
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.set_position(parts);
            }
            None => {
                let _ = writeln!(self.log, "{}% {line}", parts * 100 / PARTS);
            }
        }
    }

    /// Runs of this session in 1,000 seconds.
    fn rate_milli(&self, runs: u64, elapsed_ms: u64) -> u64 {
        let (runs_before, ms_before) = self.before;
        let ms = elapsed_ms.saturating_sub(ms_before).max(1);
        runs.saturating_sub(runs_before).saturating_mul(1_000_000) / ms
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Parts of the whole.
const PARTS: u64 = 1_000;

/// How far it is, in parts, and how long it will take from here, in milliseconds.
fn estimate(goal: Goal, runs: u64, elapsed_ms: u64, rate_milli: u64) -> (u64, u64) {
    let left_runs = goal.runs.saturating_sub(runs);
    let by_runs_ms = left_runs.saturating_mul(1_000_000) / rate_milli.max(1);
    let by_time_ms = goal.for_ms.map(|all| all.saturating_sub(elapsed_ms));
    let left_ms = by_time_ms.map_or(by_runs_ms, |by_time| by_time.min(by_runs_ms));
    let all_ms = u128::from(left_ms) + u128::from(elapsed_ms);
    let parts = u128::from(elapsed_ms) * u128::from(PARTS) / all_ms.max(1);
    (parts as u64, left_ms)
}

fn described(tally: &Tally, rate_milli: u64, left_ms: u64) -> String {
    let (reached, marks) = tally.probes();
    let failures = match tally.failures() {
        0 => "no failures".to_string(),
        1 => "1 failure".to_string(),
        n => format!("{n} distinct failures"),
    };
    let left_s = left_ms.div_ceil(1_000);
    format!(
        "{} runs ({}.{}/s), {} left; {}; {failures}; {reached} of {marks} marks",
        tally.runs(),
        rate_milli / 1_000,
        rate_milli % 1_000 / 100,
        match left_s {
            0..120 => format!("{left_s} s"),
            120..7_200 => format!("{} min", left_s / 60),
            _ => format!("{} h", left_s / 3_600),
        },
        tally.verdicts(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_end_counts() {
        let (runs, rate) = (1_000, 10_000);
        let goal = |for_ms| Goal { runs, for_ms };
        // 900 runs are left, at 10 a second.
        assert_eq!(estimate(goal(None), 100, 10_000, rate), (100, 90_000));
        assert_eq!(
            estimate(goal(Some(40_000)), 100, 10_000, rate),
            (250, 30_000)
        );
        assert_eq!(
            estimate(goal(Some(400_000)), 100, 10_000, rate),
            (100, 90_000)
        );
        assert_eq!(estimate(goal(None), 1_000, 10_000, rate), (PARTS, 0));
        // Nothing done yet, and no end: no division by nothing, no overflow.
        let endless = Goal {
            runs: u64::MAX,
            for_ms: None,
        };
        assert_eq!(estimate(endless, 0, 0, 0).0, 0);
    }

    #[test]
    fn a_log_gets_a_line_only_now_and_then() {
        let mut log = Vec::new();
        let goal = Goal {
            runs: 10,
            for_ms: None,
        };
        let mut progress = Progress {
            bar: None,
            ..Progress::new(goal, (0, 0), &mut log)
        };
        progress.tell(&Tally::default(), 10);
        progress.told -= LINE_EVERY;
        progress.tell(&Tally::default(), 10_000);
        progress.tell(&Tally::default(), 10_001);
        let log = String::from_utf8(log).expect("text");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("no failures"), "{log}");
    }
}
