//! What is read of a campaign the next morning: first a text with one paragraph for each distinct failure, and `junit.xml`
//! for whatever collects test results.

use crate::text::several_a_line;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::fmt::Write;
use std::time::Duration;
use zabsim_types::campaign::{Failure, Summary};

/// A line of the text, into a string.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        writeln!($out, $($text)*).expect("a string takes everything")
    };
}

/// The text that a person reads first.
pub fn render_campaign(summary: &Summary) -> String {
    let mut out = String::new();
    let seconds = summary.wall_ms.max(1) as f64 / 1_000.0;
    line!(
        out,
        "{} runs in {}: {:.1} a second, {} of virtual time",
        grouped(summary.runs),
        span(summary.wall_ms),
        summary.runs as f64 / seconds,
        span(summary.virtual_ms)
    );
    if let Some(why) = &summary.cut_short {
        line!(out, "Not complete: {why}");
    }
    let verdicts = summary.verdicts.iter();
    let verdicts: Vec<String> = verdicts
        .map(|(word, n)| format!("{} {word}", grouped(*n)))
        .collect();
    if !verdicts.is_empty() {
        line!(out, "Verdicts   {}", verdicts.join(", "));
    }
    for scenario in &summary.scenarios {
        let planted = match scenario.planted.join(", ") {
            none if none.is_empty() => none,
            ids => format!(" with {ids} planted"),
        };
        line!(
            out,
            "Scenario   {}{planted}: {} runs, seeds {} to {}",
            scenario.name,
            grouped(scenario.runs),
            scenario.first,
            scenario.last
        );
    }
    if summary.rechecked > 0 {
        line!(
            out,
            "Rechecked  {} runs were made twice",
            grouped(summary.rechecked)
        );
    }
    line!(
        out,
        "Marks      {} of {} reached, {} pairs of them",
        summary.probes.len() - summary.never_reached.len(),
        summary.probes.len(),
        grouped(summary.pairs)
    );
    if !summary.never_reached.is_empty() {
        let mut text = String::new();
        several_a_line(
            "Never    ",
            summary.never_reached.iter().cloned(),
            &mut text,
        );
        // As wide as the words of this summary, not indented as a run's.
        text.lines().for_each(|line| line!(out, "{}", &line[2..]));
    }
    if summary.discovered > 0 {
        line!(
            out,
            "Corpus     {} runs reached what it had not",
            grouped(summary.discovered)
        );
    }
    line!(out, "Commit     {}", summary.commit);
    match summary.failures.len() {
        0 => line!(out, "\nNo failures."),
        1 => line!(out, "\nOne failure:"),
        n => line!(out, "\n{n} distinct failures:"),
    }
    for (at, failure) in summary.failures.iter().enumerate() {
        render_failure(at + 1, failure, summary.commit.contains(','), &mut out);
    }
    out
}

/// `commits`: there are several, so that each run tells its own.
fn render_failure(number: usize, failure: &Failure, commits: bool, out: &mut String) {
    let runs = match failure.runs {
        1 => "one run".to_string(),
        n => format!("{} runs", grouped(n)),
    };
    line!(
        out,
        "\n{number}. {} ({}), in {runs}; phase: {}; fingerprint {}",
        failure.check,
        failure.verdict,
        failure.phase,
        failure.fingerprint
    );
    for text in failure.message.lines() {
        line!(out, "   {text}");
    }
    for (at, run) in failure.seeds.iter().enumerate() {
        let what = if at == 0 { "Again " } else { "Also  " };
        let at = match commits {
            true => format!("   # at commit {}", run.commit),
            false => String::new(),
        };
        line!(out, "   {what} {}{at}", run.reproduce);
    }
    if let Some(minimal) = &failure.minimal {
        let state = match failure.is_minimal {
            true => "",
            false => "; perhaps not minimal",
        };
        line!(out, "   Least  {minimal}, beside this summary{state}");
    }
    if let Some(saved) = &failure.saved {
        line!(out, "   Saved  {saved}, beside this summary");
    }
}

/// JUnit's form of a summary: a test for each scenario that did not fail, and one for each failure.
pub fn junit(summary: &Summary) -> Result<String, String> {
    let mut report = Report::new("zabsim campaign");
    report.set_time(Duration::from_millis(summary.wall_ms));
    for scenario in &summary.scenarios {
        let mut suite = TestSuite::new(scenario.name.as_str());
        let failures = summary.failures.iter();
        let mine: Vec<&Failure> = failures
            .filter(|failure| {
                let mut runs = failure.seeds.iter();
                runs.any(|run| run.scenario == scenario.name)
            })
            .collect();
        if mine.is_empty() {
            let name = format!("{} runs", scenario.runs);
            suite.add_test_case(TestCase::new(name, TestCaseStatus::success()));
        }
        for failure in mine {
            suite.add_test_case(failed(failure));
        }
        report.add_test_suite(suite);
    }
    report
        .to_string()
        .map_err(|error| format!("no JUnit form: {error}"))
}

fn failed(failure: &Failure) -> TestCase {
    let kind = match failure.verdict.as_str() {
        "fail" | "stuck" | "diverged" => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(failure.verdict.as_str());
    status.set_message(failure.shape.as_str());
    let again: Vec<&str> = failure
        .seeds
        .iter()
        .map(|run| run.reproduce.as_str())
        .collect();
    status.set_description(format!("{}\n{}", failure.message, again.join("\n")));
    TestCase::new(format!("{} {}", failure.check, failure.fingerprint), status)
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time that is read, not reckoned with.
fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use zabsim_types::campaign::{CAMPAIGN_SCHEMA, FailedRun, ScenarioSummary};

    fn summary() -> Summary {
        let run = |seed: &str| FailedRun {
            events: 7,
            scenario: "swarm".to_string(),
            seed: seed.to_string(),
            commit: "f00".to_string(),
            of: "00000000000000aa".to_string(),
            reproduce: format!("cargo run --release -- run swarm --seed {seed}"),
        };
        let scenario = |name: &str| ScenarioSummary {
            name: name.to_string(),
            planted: Vec::new(),
            runs: 1_000,
            first: "0x0000000000000001".to_string(),
            last: "0x00000000000003e8".to_string(),
        };
        Summary {
            schema: CAMPAIGN_SCHEMA,
            version: "0.1.0".to_string(),
            commit: "f00".to_string(),
            cut_short: None,
            runs: 2_000,
            verdicts: BTreeMap::from([("pass".to_string(), 1_988), ("fail".to_string(), 12)]),
            rechecked: 100,
            scenarios: vec![scenario("standard"), scenario("swarm")],
            failures: vec![Failure {
                fingerprint: "0123456789abcdef".to_string(),
                check: "durability-before-ack".to_string(),
                shape: "S acknowledges & has not".to_string(),
                phase: "broadcast".to_string(),
                verdict: "fail".to_string(),
                runs: 12,
                seeds: vec![run("0x0000000000000007"), run("0x0000000000000009")],
                message: "s2 acknowledges <3,1> & has not".to_string(),
                saved: Some("failures/0123456789abcdef-0x0000000000000007".to_string()),
                minimal: None,
                is_minimal: false,
            }],
            probes: BTreeMap::from([("sync-diff".to_string(), 9), ("rollover".to_string(), 0)]),
            never_reached: vec!["rollover".to_string()],
            pairs: 0,
            discovered: 0,
            events: 1_000_000,
            virtual_ms: 120_000_000,
            wall_ms: 61_000,
        }
    }

    #[test]
    fn a_failure_is_a_paragraph_with_its_commands() {
        insta::assert_snapshot!(render_campaign(&summary()));
    }

    #[test]
    fn junit_has_the_failure_in_its_scenario_and_escapes_what_xml_reads() {
        insta::assert_snapshot!(junit(&summary()).expect("has a form"));
    }

    #[test]
    fn no_failures_are_said() {
        let mut summary = summary();
        summary.failures.clear();
        assert!(render_campaign(&summary).ends_with("\nNo failures.\n"));
        let junit = junit(&summary).expect("has a form");
        assert!(junit.contains("failures=\"0\""), "{junit}");
    }
}
