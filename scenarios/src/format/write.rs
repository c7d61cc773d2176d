//! A scenario as TOML again: [`Scenario::parse`] of it gives the same scenario.

use super::{Scenario, action, duration_text, outcome, quoted, trigger};
use crate::workload::{MIXED, Workload};
use zabsim::plan::{Climate, Plan};
use zabsim::seed_text;
use zabsim_types::run::Verdict;
use zabsim_types::spell;
use zabsim_types::{OpKind, ServerId, SyncMode};

impl Scenario {
    /// The whole scenario as TOML; `parse` of it gives the same scenario.
    pub fn to_toml(&self) -> String {
        let plan = &self.plan;
        let mut out = format!(
            "name = {}\nabout = {}\n",
            quoted(&plan.name),
            quoted(&plan.about)
        );
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        if let Some(seed) = self.seed {
            line(format!("seed = \"{}\"", seed_text(seed)));
        }
        if !plan.bugs.is_empty() {
            let ids: Vec<&str> = plan.bugs.iter().map(|bug| bug.entry().id).collect();
            line(format!("bugs = {ids:?}"));
        }
        if !self.whole {
            self.write_plan(&mut out);
        }
        if let Some(profile) = &self.random {
            out.push_str(&format!("\n[random]\nprofile = {}\n", quoted(profile)));
            if self.whole {
                out.push_str("whole = true\n");
            }
        }
        self.write_expect(&mut out);
        out
    }

    /// Everything but what is expected. What is as it would be if nothing were said, is not said, but for the sizes that
    /// everybody looks for.
    fn write_plan(&self, out: &mut String) {
        let (plan, e) = (&self.plan, &self.plan.ensemble);
        let plain = Plan::of(e.voters, plan.clients);
        let p = &plain.ensemble;
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        let ms = |ms: u32| format!("\"{}\"", duration_text(u64::from(ms) * 1_000));
        line(format!("servers = {}", e.voters));
        for (key, value, default) in [("observers", e.observers, 0), ("joiners", e.joiners, 0)] {
            if value != default {
                line(format!("{key} = {value}"));
            }
        }
        line(format!("clients = {}", plan.clients));
        line(format!("duration = \"{}\"", duration_text(plan.safety_us)));
        for (key, value, default) in [
            (
                "session_timeout",
                plan.session_timeout_ms,
                plain.session_timeout_ms,
            ),
            ("tick", e.tick_ms, p.tick_ms),
            ("sweep_interval", e.sweep_interval_ms, p.sweep_interval_ms),
        ] {
            if value != default {
                line(format!("{key} = {}", ms(value)));
            }
        }
        let number = u64::from;
        for (key, value, default) in [
            ("init_limit", number(e.init_limit), number(p.init_limit)),
            ("sync_limit", number(e.sync_limit), number(p.sync_limit)),
            ("snap_count", number(e.snap_count), number(p.snap_count)),
            (
                "commit_log_count",
                number(e.commit_log_count),
                number(p.commit_log_count),
            ),
            (
                "disk_diff_bytes_max",
                e.disk_diff_bytes_max,
                p.disk_diff_bytes_max,
            ),
            ("counter_max", number(e.counter_max), number(p.counter_max)),
            (
                "snapshot_chunk_nodes",
                number(e.snapshot_chunk_nodes),
                number(p.snapshot_chunk_nodes),
            ),
        ] {
            if value != default {
                line(format!("{key} = {value}"));
            }
        }
        let (rules, r) = (&e.rules, &p.rules);
        for (key, value, default) in [
            ("leave_broken", plan.leave_broken, plain.leave_broken),
            ("extended_types", rules.extended_types, r.extended_types),
            ("enforce_quota", rules.enforce_quota, r.enforce_quota),
            ("local_sessions", e.local_sessions, p.local_sessions),
            (
                "upgrade_local_sessions",
                e.upgrade_local_sessions,
                p.upgrade_local_sessions,
            ),
            ("read_only_mode", e.read_only_mode, p.read_only_mode),
        ] {
            if value != default {
                line(format!("{key} = {value}"));
            }
        }
        if let Some(digest) = &e.rules.super_digest {
            line(format!("super_digest = {}", quoted(digest)));
        }
        if !plan.read_only_clients.is_empty() {
            line(format!("read_only_clients = {:?}", plan.read_only_clients));
        }
        if !e.groups.is_empty() {
            let group = |g: &Vec<ServerId>| {
                format!(
                    "[{}]",
                    g.iter()
                        .map(|s| format!("\"{s}\""))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            };
            line(format!(
                "groups = [{}]",
                e.groups.iter().map(group).collect::<Vec<_>>().join(", ")
            ));
        }
        if !e.weights.is_empty() {
            let weights = e
                .weights
                .iter()
                .map(|(server, weight)| format!("[\"{server}\", {weight}]"));
            line(format!(
                "weights = [{}]",
                weights.collect::<Vec<_>>().join(", ")
            ));
        }
        out.push_str(&climate_toml(&plan.climate));
        for workload in &self.workloads {
            out.push_str(&workload_toml(workload));
        }
        for hold in &self.holds {
            out.push_str(&format!(
                "\n[[hold]]\nclient = {}\nat = \"{}\"\n{} = {}\nfor = \"{}\"\n",
                hold.client,
                duration_text(hold.at_us),
                hold.recipe.word(),
                quoted(&hold.path),
                duration_text(hold.for_us)
            ));
        }
        let nothing = Vec::new();
        for (index, scripted) in plan.ops.iter().enumerate() {
            out.push_str(&format!("\n[[op]]\nclient = {}\n", scripted.client));
            trigger::write(&scripted.at, out);
            out.push_str(&format!("do = {}\n", spell::op(&scripted.op)));
            let allowed = self.expect.outcomes.get(index).unwrap_or(&nothing);
            if !allowed.is_empty() {
                out.push_str(&format!("expect = {}\n", outcome::write(allowed)));
            }
        }
        for fault in &plan.faults {
            out.push_str(&format!("\n[[fault]]\nlabel = {}\n", quoted(&fault.label)));
            trigger::write(&fault.trigger, out);
            out.push_str(&format!("do = {}\n", action::write(&fault.action)));
            if let Some(lasts_us) = fault.lasts_us {
                out.push_str(&format!("for = \"{}\"\n", duration_text(lasts_us)));
            }
        }
    }

    fn write_expect(&self, out: &mut String) {
        let plan = &self.plan;
        let mut said = String::new();
        if self.expect.verdict != Verdict::Pass {
            said.push_str(&format!("verdict = \"{}\"\n", self.expect.verdict.word()));
        }
        if plan.data_loss_allowed {
            said.push_str("data_loss = true\n");
        }
        if self.expect.every_trigger {
            said.push_str("every_trigger = true\n");
        }
        for (key, names) in [
            ("reach", &self.expect.reach),
            ("examine", &self.expect.examine),
        ] {
            if !names.is_empty() {
                let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
                said.push_str(&format!("{key} = [{}]\n", names.join(", ")));
            }
        }
        if !said.is_empty() {
            out.push_str("\n[expect]\n");
            out.push_str(&said);
        }
    }
}

fn range_toml((low, high): (u64, u64)) -> String {
    format!("[\"{}\", \"{}\"]", duration_text(low), duration_text(high))
}

fn climate_toml(c: &Climate) -> String {
    let plain = Climate::default();
    let mut said = String::new();
    for (key, value, default) in [
        ("link", c.link_us, plain.link_us),
        ("client_link", c.client_link_us, plain.client_link_us),
        ("fsync", c.fsync_us, plain.fsync_us),
        ("read", c.read_us, plain.read_us),
        ("stage", c.stage_us, plain.stage_us),
        ("restart", c.restart_us, plain.restart_us),
    ] {
        if value != default {
            said.push_str(&format!("{key} = {}\n", range_toml(value)));
        }
    }
    if c.clock_offset_us_max != plain.clock_offset_us_max {
        let offset = duration_text(c.clock_offset_us_max);
        said.push_str(&format!("clock_offset = \"{offset}\"\n"));
    }
    if c.clock_drift_ppm_max != plain.clock_drift_ppm_max {
        said.push_str(&format!("clock_drift_ppm = {}\n", c.clock_drift_ppm_max));
    }
    match said.is_empty() {
        true => said,
        false => format!("\n[climate]\n{said}"),
    }
}

fn workload_toml(workload: &Workload) -> String {
    let plain = Workload::of(workload.kind);
    let mut out = format!("\n[[workload]]\nkind = \"{}\"\n", workload.kind.name());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    if !workload.ops.is_empty() {
        let word = |kind: &OpKind| {
            let found = MIXED.iter().find(|(_, known)| known == kind);
            quoted(found.expect("what mixed asks for has a word").0)
        };
        let ops: Vec<String> = workload.ops.iter().map(word).collect();
        line(format!("ops = [{}]", ops.join(", ")));
    }
    if workload.keys != plain.keys {
        line(format!("keys = {}", workload.keys));
    }
    if !workload.clients.is_empty() {
        line(format!("clients = {:?}", workload.clients));
    }
    if workload.think_us != plain.think_us {
        line(format!("think = {}", range_toml(workload.think_us)));
    }
    if workload.hold_us != plain.hold_us {
        line(format!("hold = {}", range_toml(workload.hold_us)));
    }
    if workload.sync == SyncMode::Leader {
        line("sync = \"leader\"".to_string());
    }
    out
}
