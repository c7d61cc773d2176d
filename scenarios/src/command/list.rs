//! `zabsim list`: what there is, each with one sentence.

use super::Output;
use crate::format::TARGETS;
use crate::library::LIBRARY;
use crate::workload::WorkloadKind;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only one of the lists
    #[arg(value_parser = ["scenarios", "workloads", "faults", "targets", "profiles", "checks", "marks"])]
    what: Option<String>,
}

pub(super) fn list(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let mut scenarios = Vec::new();
    for entry in LIBRARY {
        let scenario = entry.scenario().map_err(|error| error.to_string())?;
        scenarios.push((entry.name.to_string(), scenario.plan.about));
    }
    let pairs = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(name, about)| (name.to_string(), about.to_string()))
            .collect()
    };
    let lists: [(&str, Vec<(String, String)>); 7] = [
        ("scenarios", scenarios),
        (
            "workloads",
            WorkloadKind::ALL
                .iter()
                .map(|kind| (kind.name().into(), kind.about().into()))
                .collect(),
        ),
        ("faults", pairs(zabsim::FAULT_KINDS)),
        ("targets", pairs(TARGETS)),
        ("profiles", pairs(zabsim::PROFILES)),
        (
            "checks",
            zabsim::checks()
                .iter()
                .map(|(name, about)| (name.to_string(), about.to_string()))
                .collect(),
        ),
        (
            "marks",
            zabsim::marks()
                .iter()
                .map(|(name, about)| (name.to_string(), about.to_string()))
                .collect(),
        ),
    ];
    let mut out = String::new();
    for (title, entries) in lists
        .iter()
        .filter(|(title, _)| arguments.what.as_deref().is_none_or(|w| w == *title))
    {
        let width = entries
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        out.push_str(&format!("{title}\n"));
        for (name, about) in entries {
            out.push_str(&format!("  {name:<width$}  {about}\n"));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    output.print(&out);
    Ok(0)
}
