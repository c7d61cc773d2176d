//! What a fault does: the table `do = { … }`. Exactly one of its keys names the action; the others are its options.

use super::duration_text;
use super::quoted;
use super::reader::{FormatError, Table, Value};
use super::target;
use zabsim::plan::{Action, Target, Unsynced};

/// The keys that name an action.
pub const ACTIONS: &[&str] = &[
    "crash",
    "restart",
    "pause",
    "rolling_restart",
    "partition",
    "one_way",
    "flap",
    "reset",
    "delay",
    "stall",
    "bandwidth",
    "election_loss",
    "slow_disk",
    "fsync_error",
    "disk_full",
    "wipe",
    "bit_rot",
    "bad_read",
    "clock_jump",
    "clock_drift",
    "slow_stage",
    "client_crash",
    "client_pause",
    "client_move",
    "client_cut",
    "client_duplicate",
    "mark",
    "heal",
];

const UNSYNCED: [(&str, Unsynced); 4] = [
    ("drawn", Unsynced::Drawn),
    ("lost", Unsynced::Lost),
    ("kept", Unsynced::Kept),
    ("torn", Unsynced::Torn),
];
const STAGES: [(&str, &str); 3] = [
    ("prepare", "prepare"),
    ("apply", "apply"),
    ("snapshot", "snapshot"),
];

pub(super) fn read(table: Table<'_>) -> Result<Action, FormatError> {
    let given: Vec<_> = ACTIONS
        .iter()
        .copied()
        .filter(|name| table.has(name))
        .collect();
    let [name] = given[..] else {
        return Err(table.not_one(&given, "action", ACTIONS));
    };
    let value = table.need(name)?;
    let action = read_named(name, &value, &table)?;
    table.finish()?;
    Ok(action)
}

fn read_named(name: &str, value: &Value<'_>, options: &Table<'_>) -> Result<Action, FormatError> {
    let target = || target::read(value);
    let extra_us = || options.need("extra")?.range_us();
    Ok(match name {
        "crash" => Action::Crash {
            target: target()?,
            after_effects: options
                .get("after_effects")
                .map_or(Ok(0), |v| v.int(0, 1_000))?,
            unsynced: options
                .get("unsynced")
                .map_or(Ok(Unsynced::Drawn), |v| v.word(&UNSYNCED))?,
        },
        "restart" => Action::Restart { target: target()? },
        "pause" => Action::Pause { target: target()? },
        "rolling_restart" => Action::RollingRestart {
            gap_us: value.duration_us()?,
        },
        "partition" => Action::Partition {
            groups: groups(value)?,
        },
        "one_way" => {
            let ends = value.table("`one_way`")?;
            let action = Action::OneWay {
                from: target::read(&ends.need("from")?)?,
                to: target::read(&ends.need("to")?)?,
            };
            ends.finish()?;
            action
        }
        "flap" | "reset" | "delay" | "stall" | "bandwidth" => read_on_links(name, value)?,
        "election_loss" => {
            let rates = value.table("`election_loss`")?;
            let action = Action::ElectionLoss {
                lost_per_mille: rates
                    .get("lost_per_mille")
                    .map_or(Ok(0), |v| v.int(0, 1_000))?,
                repeated_per_mille: rates
                    .get("repeated_per_mille")
                    .map_or(Ok(0), |v| v.int(0, 1_000))?,
            };
            rates.finish()?;
            action
        }
        "slow_disk" => Action::SlowDisk {
            target: target()?,
            extra_us: extra_us()?,
        },
        "fsync_error" => Action::FsyncError { target: target()? },
        "disk_full" => Action::DiskFull { target: target()? },
        "wipe" => Action::Wipe { target: target()? },
        "bit_rot" => Action::BitRot {
            target: target()?,
            file: options
                .get("file")
                .map(|v| v.str().map(String::from))
                .transpose()?,
        },
        "bad_read" => Action::BadRead { target: target()? },
        "clock_jump" => Action::ClockJump {
            target: target()?,
            by_us: options.need("by")?.duration_us()?,
        },
        "clock_drift" => Action::ClockDrift {
            target: target()?,
            ppm: options.need("ppm")?.int(-500_000, 500_000)?,
        },
        "slow_stage" => Action::SlowStage {
            target: target()?,
            stage: options.need("stage")?.word(&STAGES)?.into(),
            extra_us: extra_us()?,
        },
        "client_crash" => Action::ClientCrash {
            clients: clients(value)?,
        },
        "client_pause" => Action::ClientPause {
            clients: clients(value)?,
        },
        "client_move" => Action::ClientMove {
            clients: clients(value)?,
            to: options.get("to").map(|v| target::read(&v)).transpose()?,
        },
        "client_cut" => Action::ClientCut {
            clients: clients(value)?,
        },
        "client_duplicate" => Action::ClientDuplicate {
            clients: clients(value)?,
        },
        "mark" | "heal" => {
            if !value.bool()? {
                return Err(value.error(format!("`{name}` takes only true")));
            }
            if name == "mark" {
                Action::Mark
            } else {
                Action::Heal
            }
        }
        other => unreachable!("ACTIONS names {other}, and `read_named` does not know it"),
    })
}

fn read_on_links(name: &str, value: &Value<'_>) -> Result<Action, FormatError> {
    let ends = value.table("the action's table")?;
    let between = target::read(&ends.need("between")?)?;
    let and = ends
        .get("and")
        .map_or(Ok(Target::All), |v| target::read(&v))?;
    let action = match name {
        "flap" => Action::Flap {
            between,
            and,
            down_us: ends.need("down")?.duration_us()?,
            up_us: ends.need("up")?.duration_us()?,
        },
        "reset" => {
            let half_open = ends.get("half_open").map_or(Ok(false), |v| v.bool())?;
            Action::Reset {
                between,
                and,
                half_open,
            }
        }
        "delay" => Action::Delay {
            between,
            and,
            extra_us: ends.need("extra")?.range_us()?,
        },
        "stall" => Action::Stall { between, and },
        _ => Action::Bandwidth {
            between,
            and,
            bytes_per_s: ends.need("bytes_per_s")?.int(1, 1 << 50)?,
        },
    };
    ends.finish()?;
    Ok(action)
}

fn groups(value: &Value<'_>) -> Result<Vec<Vec<Target>>, FormatError> {
    let groups: Vec<Vec<Target>> = value
        .list()?
        .iter()
        .map(|group| {
            if group.is_list() {
                group.list()
            } else {
                Ok(vec![*group])
            }
        })
        .map(|members| members?.iter().map(target::read).collect())
        .collect::<Result<_, _>>()?;
    match groups.len() {
        0 | 1 => {
            Err(value.error("a partition has at least two groups: [[\"leader\"], [\"rest\"]]"))
        }
        _ if groups.iter().any(Vec::is_empty) => {
            Err(value.error("a partition's group names nobody"))
        }
        _ => Ok(groups),
    }
}

/// `[1, 3]`, or `"all"`, or `"any"`: see each action for what an empty list means to it.
fn clients(value: &Value<'_>) -> Result<Vec<u32>, FormatError> {
    if value.is_str() {
        return value
            .word(&[("any", Vec::new as fn() -> Vec<u32>)])
            .map(|none| none());
    }
    value
        .list()?
        .iter()
        .map(|client| client.int(1, 10_000))
        .collect()
}

fn write_clients(clients: &[u32]) -> String {
    if clients.is_empty() {
        "\"any\"".into()
    } else {
        format!("{clients:?}")
    }
}

fn range_text((low, high): (u64, u64)) -> String {
    format!("[\"{}\", \"{}\"]", duration_text(low), duration_text(high))
}

/// The table of an action, as `read` takes it.
pub(super) fn write(action: &Action) -> String {
    let t = target::write;
    let ends =
        |between: &Target, and: &Target| format!("between = {}, and = {}", t(between), t(and));
    let unsynced_word = |unsynced: &Unsynced| {
        UNSYNCED
            .iter()
            .find(|(_, u)| u == unsynced)
            .map_or("drawn", |(word, _)| *word)
    };
    let inner = match action {
        Action::Crash {
            target,
            after_effects,
            unsynced,
        } => {
            let mut keys = format!("crash = {}", t(target));
            if *after_effects > 0 {
                keys += &format!(", after_effects = {after_effects}");
            }
            if *unsynced != Unsynced::Drawn {
                keys += &format!(", unsynced = \"{}\"", unsynced_word(unsynced));
            }
            keys
        }
        Action::Restart { target } => format!("restart = {}", t(target)),
        Action::Pause { target } => format!("pause = {}", t(target)),
        Action::RollingRestart { gap_us } => {
            format!("rolling_restart = \"{}\"", duration_text(*gap_us))
        }
        Action::Partition { groups } => {
            format!(
                "partition = [{}]",
                groups
                    .iter()
                    .map(|g| target::write_list(g))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Action::OneWay { from, to } => {
            format!("one_way = {{ from = {}, to = {} }}", t(from), t(to))
        }
        Action::Flap {
            between,
            and,
            down_us,
            up_us,
        } => format!(
            "flap = {{ {}, down = \"{}\", up = \"{}\" }}",
            ends(between, and),
            duration_text(*down_us),
            duration_text(*up_us)
        ),
        Action::Reset {
            between,
            and,
            half_open,
        } => {
            format!(
                "reset = {{ {}, half_open = {half_open} }}",
                ends(between, and)
            )
        }
        Action::Delay {
            between,
            and,
            extra_us,
        } => {
            format!(
                "delay = {{ {}, extra = {} }}",
                ends(between, and),
                range_text(*extra_us)
            )
        }
        Action::Stall { between, and } => format!("stall = {{ {} }}", ends(between, and)),
        Action::Bandwidth {
            between,
            and,
            bytes_per_s,
        } => {
            format!(
                "bandwidth = {{ {}, bytes_per_s = {bytes_per_s} }}",
                ends(between, and)
            )
        }
        Action::ElectionLoss {
            lost_per_mille,
            repeated_per_mille,
        } => format!(
            "election_loss = {{ lost_per_mille = {lost_per_mille}, repeated_per_mille = {repeated_per_mille} }}"
        ),
        Action::SlowDisk { target, extra_us } => format!(
            "slow_disk = {}, extra = {}",
            t(target),
            range_text(*extra_us)
        ),
        Action::FsyncError { target } => format!("fsync_error = {}", t(target)),
        Action::DiskFull { target } => format!("disk_full = {}", t(target)),
        Action::Wipe { target } => format!("wipe = {}", t(target)),
        Action::BitRot { target, file: None } => format!("bit_rot = {}", t(target)),
        Action::BitRot {
            target,
            file: Some(file),
        } => format!("bit_rot = {}, file = {}", t(target), quoted(file)),
        Action::BadRead { target } => format!("bad_read = {}", t(target)),
        Action::ClockJump { target, by_us } => format!(
            "clock_jump = {}, by = \"{}\"",
            t(target),
            duration_text(*by_us)
        ),
        Action::ClockDrift { target, ppm } => format!("clock_drift = {}, ppm = {ppm}", t(target)),
        Action::SlowStage {
            target,
            stage,
            extra_us,
        } => {
            format!(
                "slow_stage = {}, stage = {}, extra = {}",
                t(target),
                quoted(stage),
                range_text(*extra_us)
            )
        }
        Action::ClientCrash { clients } => format!("client_crash = {}", write_clients(clients)),
        Action::ClientPause { clients } => format!("client_pause = {}", write_clients(clients)),
        Action::ClientMove { clients, to: None } => {
            format!("client_move = {}", write_clients(clients))
        }
        Action::ClientMove {
            clients,
            to: Some(to),
        } => {
            format!("client_move = {}, to = {}", write_clients(clients), t(to))
        }
        Action::ClientCut { clients } => format!("client_cut = {}", write_clients(clients)),
        Action::ClientDuplicate { clients } => {
            format!("client_duplicate = {}", write_clients(clients))
        }
        Action::Mark => "mark = true".into(),
        Action::Heal => "heal = true".into(),
    };
    format!("{{ {inner} }}")
}
