//! A shrunk scenario as a file: what it shows stands above it.

use super::kept::{MINIMAL, UNDER_WAY};
use super::{Shrunk, State};
use crate::format::{Expect, Scenario};
use zabsim::seed_text;

/// The file. What is expected is what must hold once the failure is mended: that is what a regression is for.
pub fn text(shrunk: &Shrunk) -> String {
    let mut out = String::new();
    let mut remark = |text: String| {
        out.push_str("# ");
        out.push_str(&text.replace(['\n', '\r'], " "));
        out.push('\n');
    };
    let (violation, origin) = (&shrunk.violation, &shrunk.origin);
    remark(format!(
        "Shows a violation of {}, {} ms into the run ({}): {}.",
        violation.check,
        violation.at_ms,
        shrunk.fingerprint.phase.word(),
        brief(&violation.message)
    ));
    remark(format!("Fingerprint {}.", shrunk.fingerprint.id()));
    remark(format!(
        "Shrunk from {}, seed {} ({}), in {} runs, to {}.",
        origin.named,
        seed_text(origin.seed),
        origin.size,
        shrunk.runs,
        sizes(&shrunk.scenario)
    ));
    remark(match shrunk.state {
        State::Minimal => format!(
            "{MINIMAL}without any one fault, client, server or operation, or with any duration of 2 ms or more that stands here (but the tick) halved, {} seeds do not show it{}.",
            super::SEEDS,
            match shrunk.scenario.workloads.is_empty() {
                true => "",
                false =>
                    "; nor is it shown by what its workload asked for, written out as operations",
            }
        ),
        State::Spent => {
            "Perhaps not minimal: the runs were used up before everything had been tried.".into()
        }
        State::UnderWay => UNDER_WAY.trim_start_matches("# ").into(),
    });
    let mut scenario = shrunk.scenario.clone();
    scenario.plan.name = name(shrunk);
    scenario.plan.about = about(shrunk);
    let check = &violation.check;
    let is_listed = zabsim::checks().iter().any(|(name, _)| name == check);
    scenario.expect = Expect {
        examine: is_listed.then(|| check.clone()).into_iter().collect(),
        ..scenario.expect
    };
    out.push_str(&scenario.to_toml());
    out
}

/// The remarks above a scenario.
pub fn remarks(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.starts_with('#'))
}

/// The fingerprint that the remarks above a scenario speak of.
pub fn said_fingerprint(text: &str) -> Option<&str> {
    remarks(text).find_map(|line| line.strip_prefix("# Fingerprint ")?.strip_suffix('.'))
}

/// More than so many letters are told by their first clause: a stuck run lists who waits for what.
const LETTERS: usize = 200;

fn brief(message: &str) -> String {
    match message.split_once(';') {
        _ if message.chars().count() <= LETTERS => message.to_string(),
        Some((clause, _)) if clause.chars().count() <= LETTERS => clause.to_string(),
        _ => message.chars().take(LETTERS).chain(['…']).collect(),
    }
}

/// What it is called, as long as nobody finds a better word: the check and the beginning of the fingerprint.
pub fn name(shrunk: &Shrunk) -> String {
    format!(
        "{}-{}",
        shrunk.violation.check,
        &shrunk.fingerprint.id()[..8]
    )
}

fn about(shrunk: &Shrunk) -> String {
    let fingerprint = &shrunk.fingerprint;
    format!("{}: {}.", fingerprint.check, fingerprint.shape)
}

/// How large a scenario is, in words.
pub fn sizes(scenario: &Scenario) -> String {
    let plan = &scenario.plan;
    let count = |number: usize, thing: &str| match number {
        1 => format!("1 {thing}"),
        more => format!("{more} {thing}s"),
    };
    let mut words = vec![
        count(plan.ensemble.servers() as usize, "server"),
        count(plan.clients as usize, "client"),
    ];
    if !scenario.workloads.is_empty() {
        words.push(count(scenario.workloads.len(), "workload"));
    }
    words.push(count(plan.ops.len() + scenario.holds.len(), "operation"));
    words.push(count(plan.faults.len(), "fault"));
    words.push(format!("{} ms", plan.safety_us.div_ceil(1_000)));
    words.join(", ")
}
