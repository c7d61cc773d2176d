//! A scenario as TOML again: [`Scenario::parse`] of it gives the same scenario.

use super::reader::duration_text;
use super::{Scenario, action, op, outcome, trigger};
use crate::workload::{MIXED, Workload};
use zabsim::plan::Climate;
use zabsim::seed_text;
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

    /// Everything but what is expected.
    fn write_plan(&self, out: &mut String) {
        let (plan, e) = (&self.plan, &self.plan.ensemble);
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!(
            "servers = {}\nobservers = {}\njoiners = {}\nclients = {}",
            e.voters, e.observers, e.joiners, plan.clients
        ));
        line(format!("duration = \"{}\"", duration_text(plan.safety_us)));
        line(format!(
            "session_timeout = \"{}\"",
            duration_text(u64::from(plan.session_timeout_ms) * 1_000)
        ));
        line(format!(
            "tick = \"{}\"",
            duration_text(u64::from(e.tick_ms) * 1_000)
        ));
        line(format!(
            "init_limit = {}\nsync_limit = {}",
            e.init_limit, e.sync_limit
        ));
        line(format!(
            "snap_count = {}\ncommit_log_count = {}",
            e.snap_count, e.commit_log_count
        ));
        line(format!(
            "disk_diff_bytes_max = {}\ncounter_max = {}",
            e.disk_diff_bytes_max, e.counter_max
        ));
        line(format!(
            "snapshot_chunk_nodes = {}\nleave_broken = {}",
            e.snapshot_chunk_nodes, plan.leave_broken
        ));
        line(format!(
            "sweep_interval = \"{}\"\nextended_types = {}\nenforce_quota = {}",
            duration_text(u64::from(e.sweep_interval_ms) * 1_000),
            e.rules.extended_types,
            e.rules.enforce_quota
        ));
        if let Some(digest) = &e.rules.super_digest {
            line(format!("super_digest = {}", quoted(digest)));
        }
        line(format!(
            "local_sessions = {}\nupgrade_local_sessions = {}\nread_only_mode = {}",
            e.local_sessions, e.upgrade_local_sessions, e.read_only_mode
        ));
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
        let nothing = Vec::new();
        for (index, scripted) in plan.ops.iter().enumerate() {
            out.push_str(&format!("\n[[op]]\nclient = {}\n", scripted.client));
            trigger::write(&scripted.at, out);
            out.push_str(&format!("do = {}\n", op::write(&scripted.op)));
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
        out.push_str(&format!(
            "\n[expect]\nverdict = \"{}\"\ndata_loss = {}\n",
            self.expect.verdict.word(),
            plan.data_loss_allowed
        ));
        if self.expect.every_trigger {
            out.push_str("every_trigger = true\n");
        }
        for (key, names) in [
            ("reach", &self.expect.reach),
            ("examine", &self.expect.examine),
        ] {
            if !names.is_empty() {
                let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
                out.push_str(&format!("{key} = [{}]\n", names.join(", ")));
            }
        }
    }
}

fn range_toml((low, high): (u64, u64)) -> String {
    format!("[\"{}\", \"{}\"]", duration_text(low), duration_text(high))
}

fn climate_toml(c: &Climate) -> String {
    format!(
        "\n[climate]\nlink = {}\nclient_link = {}\nfsync = {}\nread = {}\nstage = {}\nrestart = {}\nclock_offset = \"{}\"\nclock_drift_ppm = {}\n",
        range_toml(c.link_us),
        range_toml(c.client_link_us),
        range_toml(c.fsync_us),
        range_toml(c.read_us),
        range_toml(c.stage_us),
        range_toml(c.restart_us),
        duration_text(c.clock_offset_us_max),
        c.clock_drift_ppm_max
    )
}

fn workload_toml(workload: &Workload) -> String {
    let word = |kind: &OpKind| {
        let mut words = MIXED.iter();
        let found = words.find(|(_, known)| known == kind);
        format!("\"{}\"", found.expect("what mixed asks for has a word").0)
    };
    let ops: Vec<String> = workload.ops.iter().map(word).collect();
    let ops = match ops.is_empty() {
        true => String::new(),
        false => format!("ops = [{}]\n", ops.join(", ")),
    };
    let clients = if workload.clients.is_empty() {
        String::new()
    } else {
        format!("clients = {:?}\n", workload.clients)
    };
    let sync = if workload.sync == SyncMode::Quorum {
        "quorum"
    } else {
        "leader"
    };
    format!(
        "\n[[workload]]\nkind = \"{}\"\nkeys = {}\n{clients}think = {}\nhold = {}\nsync = \"{sync}\"\n{ops}",
        workload.kind.name(),
        workload.keys,
        range_toml(workload.think_us),
        range_toml(workload.hold_us)
    )
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
