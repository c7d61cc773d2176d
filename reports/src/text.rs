//! A run as aligned text, to be read aloud: who, what happened, what each check says, how to see it again.

use crate::timeline;
use std::fmt::Write;
use zabsim_types::run::{CheckReport, RunReport, Verdict};

/// How much to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// The timeline's turning points, the checks in brief.
    Short,
    /// Every line of the timeline, every check.
    Full,
}

/// The whole text, with a newline at its end.
pub fn render(report: &RunReport, detail: Detail) -> String {
    let mut out = String::new();
    heading(report, &mut out);
    timeline(report, detail, &mut out);
    if detail == Detail::Full && !report.reached.is_empty() {
        reached(report, &mut out);
    }
    checks(report, detail, &mut out);
    summary(report, &mut out);
    out
}

/// Writing to a string cannot fail; this keeps the callers readable.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($arg:tt)*) => {{ let _ = writeln!($out, $($arg)*); }};
}

fn heading(report: &RunReport, out: &mut String) {
    line!(out, "{}, seed {}", report.scenario, report.seed);
    if !report.about.is_empty() {
        line!(out, "  {}", report.about);
    }
    line!(
        out,
        "  {}, {}, {} of virtual time",
        counted(report.servers.into(), "server"),
        counted(report.clients.into(), "client"),
        seconds(report.virtual_ms)
    );
    line!(out);
}

fn timeline(report: &RunReport, detail: Detail, out: &mut String) {
    if report.timeline.is_empty() {
        return;
    }
    line!(out, "What happened");
    for told in timeline::lines(&report.timeline, detail) {
        line!(out, "{told}");
    }
    line!(out);
}

fn reached(report: &RunReport, out: &mut String) {
    line!(out, "Reached");
    let width = report
        .reached
        .iter()
        .map(|r| r.mark.len())
        .max()
        .unwrap_or(0);
    for mark in &report.reached {
        line!(out, "  {:<width$}  {:>8}", mark.mark, grouped(mark.count));
    }
    line!(out);
}

fn checks(report: &RunReport, detail: Detail, out: &mut String) {
    let all = &report.checks;
    let broken: Vec<&CheckReport> = all.iter().filter(|check| !check.ok).collect();
    let kept = || all.iter().filter(|check| check.ok);
    let held: Vec<&CheckReport> = kept().filter(|check| check.examined > 0).collect();
    let idle: Vec<&CheckReport> = kept().filter(|check| check.examined == 0).collect();
    let hint = match detail {
        Detail::Short => "; -v tells what each is about",
        Detail::Full => "",
    };
    line!(
        out,
        "Checks: {} hold, {} broken, {} had nothing to examine{hint}",
        held.len(),
        broken.len(),
        idle.len()
    );
    let width = all.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let whole = |mark: &str, check: &CheckReport, out: &mut String| {
        let examined = grouped(check.examined);
        line!(
            out,
            "  {mark:<6}  {:<width$}  {examined:>9}  {}",
            check.name,
            check.detail
        );
    };
    for check in broken {
        whole("BROKEN", check, out);
    }
    match detail {
        Detail::Full => {
            held.iter().for_each(|check| whole("ok", check, out));
            idle.iter().for_each(|check| whole("idle", check, out));
        }
        Detail::Short => {
            let counted =
                |check: &&CheckReport| format!("{} {}", check.name, grouped(check.examined));
            several_a_line("ok", held.iter().map(counted), out);
            several_a_line("idle", idle.iter().map(|check| check.name.clone()), out);
        }
    }
    line!(out);
}

/// Columns that the short form fills.
const WIDTH: usize = 100;

/// The items behind a mark, as many a line as fit.
pub(crate) fn several_a_line(mark: &str, items: impl Iterator<Item = String>, out: &mut String) {
    let mut line = String::new();
    let mut mark = mark;
    let width = mark.len().max(6);
    let mut put = |line: &str| line!(out, "  {:<width$}  {line}", std::mem::take(&mut mark));
    for item in items {
        if !line.is_empty() && line.len() + item.len() + 12 > WIDTH {
            put(&format!("{line},"));
            line.clear();
        }
        if !line.is_empty() {
            line += ", ";
        }
        line += &item;
    }
    if !line.is_empty() {
        put(&line);
    }
}

fn summary(report: &RunReport, out: &mut String) {
    let ops = report.client_ops;
    line!(
        out,
        "Clients    {} operations succeeded, {} failed, {} with unknown outcome",
        grouped(ops.ok),
        grouped(ops.failed),
        grouped(ops.unknown)
    );
    line!(
        out,
        "Ensemble   {} established, {} applied{}",
        counted(report.elections.into(), "leader"),
        counted(report.faults.len() as u64, "fault"),
        match report.refused.len() {
            0 => String::new(),
            refused => format!(", {refused} not done"),
        }
    );
    line!(
        out,
        "Trace      {} ({} events)",
        report.trace_hash,
        grouped(report.events)
    );
    line!(out, "Speed      {}", speed(report));
    if let Some(violation) = &report.violation {
        line!(
            out,
            "Violation  {} at {}: {}",
            violation.check,
            seconds(violation.at_ms),
            violation.message
        );
    }
    // A verdict that was not expected speaks for itself.
    if report.verdict == Verdict::Pass {
        for unmet in &report.unmet {
            line!(out, "Unmet      {unmet}");
        }
    }
    line!(out, "Verdict    {}", verdict(report));
    line!(out, "Again      {}", report.reproduce);
}

fn verdict(report: &RunReport) -> String {
    let liveness = report.checks.iter().find(|check| check.name == "liveness");
    let unjudged = liveness.filter(|check| report.verdict == Verdict::Pass && check.examined == 0);
    let word = match report.verdict {
        Verdict::Pass if unjudged.is_some() => "pass: nothing was violated",
        Verdict::Pass => "pass: nothing was violated, and every client finished",
        Verdict::Fail => "FAIL: a guarantee was violated",
        Verdict::Stuck => "STUCK: the run did not finish although it should have",
        Verdict::Diverged => "DIVERGED: the same seed gave another run",
        Verdict::Crashed => "CRASHED: the system under test panicked",
        Verdict::Undecided => "undecided: a check met its effort limit",
    };
    let mut text = if report.as_expected && report.verdict != Verdict::Pass {
        format!("{word} (as this scenario expects)")
    } else if !report.as_expected && report.verdict == Verdict::Pass {
        format!("{word}; but not what this scenario expects, see above")
    } else {
        word.to_string()
    };
    if let Some(liveness) = unjudged {
        text += &format!("; whether everybody finishes was {}", liveness.detail);
    }
    // A schedule that was not reached proves nothing, however good the verdict.
    if !report.untriggered.is_empty() {
        text += &format!("; never triggered: {}", report.untriggered.join(", "));
    }
    text
}

/// Speed is for people: it is no part of the run, and the only thing in the report that differs between two runs of a seed.
fn speed(report: &RunReport) -> String {
    let wall_ms = report.wall_ms.max(0.001);
    format!(
        "{:.1} ms for {}: {:.0} times real time, {:.0} events/s, {:.0} % in checks",
        report.wall_ms,
        seconds(report.virtual_ms),
        report.virtual_ms as f64 / wall_ms,
        report.events as f64 / wall_ms * 1_000.0,
        report.checks_share * 100.0
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// `3 faults`, `1 change of role`: the first word is what is counted.
pub(crate) fn counted(number: u64, what: &str) -> String {
    let (thing, rest) = match what.find(' ') {
        Some(at) => what.split_at(at),
        None => (what, ""),
    };
    let s = if number == 1 { "" } else { "s" };
    format!("{} {thing}{s}{rest}", grouped(number))
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use zabsim_types::Time;
    use zabsim_types::run::*;

    pub(crate) fn report() -> RunReport {
        RunReport {
            schema: RUN_SCHEMA,
            version: "0.1.0".into(),
            scenario: "leader-crash".into(),
            about: "The leader dies.".into(),
            seed: "0x0000000000000007".into(),
            verdict: Verdict::Fail,
            as_expected: false,
            unmet: vec!["the verdict is fail, expected pass".into()],
            trace_hash: "00000000deadbeef".into(),
            events: 1_234_567,
            virtual_ms: 31_250,
            wall_ms: 20.0,
            checks_share: 0.25,
            history_share: 0.05,
            servers: 3,
            clients: 1,
            client_ops: ClientOps {
                ok: 1_000,
                failed: 3,
                unknown: 1,
            },
            elections: 2,
            faults: vec![FaultRecord {
                at_ms: 5_000,
                kind: "crash".into(),
                what: "s3 (leader)".into(),
            }],
            refused: vec![RefusalRecord {
                at_ms: 5_500,
                fault: "too much".into(),
                kind: "wipe".into(),
                reason: "s1: would exceed what a quorum survives".into(),
            }],
            untriggered: vec!["late".into()],
            reached: vec![Reached {
                mark: "sync-snap".into(),
                count: 2,
            }],
            timeline: (0..60)
                .map(|i| TimelineEntry {
                    at: Time::from_ms(i * 500),
                    who: "s1".into(),
                    topic: match i % 6 {
                        0 => Topic::Fault,
                        1 => Topic::Leader,
                        _ => Topic::Recovery,
                    },
                    what: format!("event {i}"),
                })
                .collect(),
            checks: vec![
                CheckReport {
                    name: "agreement".into(),
                    ok: false,
                    examined: 12,
                    detail: "s1 and s2 differ".into(),
                },
                CheckReport {
                    name: "multi-atomicity".into(),
                    ok: true,
                    examined: 0,
                    detail: String::new(),
                },
            ]
            .into_iter()
            .chain((1..=12).map(|n| CheckReport {
                name: format!("check-{n}"),
                ok: true,
                examined: n * 1_000,
                detail: "things".into(),
            }))
            .collect(),
            violation: Some(Violation {
                check: "agreement".into(),
                at_ms: 6_100,
                message: "s1 and s2 differ".into(),
            }),
            planted: Vec::new(),
            consulted: Vec::new(),
            reproduce: "cargo run --release -- run leader-crash --seed 0x0000000000000007".into(),
            scenario_toml: String::new(),
        }
    }

    #[test]
    fn a_failing_run_reads_as_a_story() {
        insta::assert_snapshot!(render(&report(), Detail::Short));
    }

    #[test]
    fn the_full_text_elides_nothing() {
        let text = render(&report(), Detail::Full);
        for i in 0..60 {
            assert!(
                text.contains(&format!("event {i}\n")),
                "event {i} is missing"
            );
        }
        assert!(text.contains("multi-atomicity"));
        assert!(text.contains("sync-snap"));
    }
}
