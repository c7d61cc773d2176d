//! Says of a plan, before it runs, which fault cannot be meant: a server that does not exist, a packet type that nobody
//! sends, a group of nobody. Each message names the fault, what was found and what was allowed.

use super::pattern::{DISK_OPS, FILES, MESSAGES, NOTES};
use crate::plan::{Action, Climate, Ensemble, EventPattern, Fault, Plan, Target, Trigger};
use std::collections::{BTreeMap, BTreeSet};
use zabsim_types::ServerId;

/// The most servers that an ensemble may have.
pub const SERVERS_MAX: u32 = 21;

type Checked = Result<(), String>;

/// What cannot be meant, and where in the plan it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// Which entry of the plan's lists; `None`: nothing of them is to blame, but the ensemble or the climate.
    pub entry: Option<PlanEntry>,
    /// What was found and what was allowed; it names the fault or the operation too.
    pub message: String,
}

/// An entry of a plan's lists, by its place in them, and the part of it that is to blame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanEntry {
    /// One of [`Plan::faults`].
    Fault(usize, Part),
    /// One of [`Plan::ops`].
    Op(usize, Part),
}

/// A part of a fault or an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The fault's label.
    Label,
    /// When it happens.
    Trigger,
    /// What it does.
    Action,
    /// How long it lasts.
    Lasts,
    /// Whose operation it is.
    Client,
}

/// Names the part that a complaint is about.
fn of(part: Part) -> impl Fn(String) -> (Part, String) {
    move |why| (part, why)
}

/// Whether a plan can be run.
pub fn validate(plan: &Plan) -> Result<(), String> {
    validate_entries(plan).map_err(|invalid| invalid.message)
}

/// Whether a plan can be run, and where not, what is to blame.
pub fn validate_entries(plan: &Plan) -> Result<(), Invalid> {
    let whole = |message| Invalid {
        entry: None,
        message,
    };
    ensemble(&plan.ensemble).map_err(whole)?;
    climate(&plan.climate).map_err(whole)?;
    if plan.clients > 0 && plan.session_timeout_ms == 0 {
        return Err(whole("the session timeout is zero".into()));
    }
    let named = &plan.read_only_clients;
    if !named.is_empty() && !plan.ensemble.read_only_mode {
        let why =
            "clients that are content with reading are named, but no server has a read-only mode";
        return Err(whole(why.into()));
    }
    if let Some(client) = named.iter().find(|c| !(1..=plan.clients).contains(*c)) {
        return Err(whole(format!(
            "client {client} is to be content with reading; there are {} clients, counted from 1",
            plan.clients
        )));
    }
    let blamed = |index, part, message| Invalid {
        entry: Some(PlanEntry::Fault(index, part)),
        message,
    };
    let labels = labels(&plan.faults).map_err(|(index, why)| blamed(index, Part::Label, why))?;
    let known = Known {
        plan,
        labels: &labels,
    };
    for (index, fault) in plan.faults.iter().enumerate() {
        known.fault(fault).map_err(|(part, why)| {
            blamed(index, part, format!("fault `{}`: {why}", fault.label))
        })?;
    }
    no_circles(&plan.faults, &labels).map_err(|(index, why)| blamed(index, Part::Trigger, why))?;
    for (index, op) in plan.ops.iter().enumerate() {
        known
            .client(op.client)
            .map_err(of(Part::Client))
            .and_then(|()| known.trigger(&op.at).map_err(of(Part::Trigger)))
            .map_err(|(part, why)| Invalid {
                entry: Some(PlanEntry::Op(index, part)),
                message: format!("operation {}: {why}", index + 1),
            })?;
    }
    Ok(())
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn one_of(what: &str, found: &str, allowed: &[&str]) -> Checked {
    require(allowed.contains(&found), || {
        format!("`{found}` is no {what}; allowed: {}", allowed.join(", "))
    })
}

fn range(what: &str, (least, most): (u64, u64)) -> Checked {
    require(least <= most, || {
        format!("{what}: the least, {least} µs, is above the most, {most} µs")
    })
}

fn ensemble(ensemble: &Ensemble) -> Checked {
    let servers = ensemble.servers();
    require(ensemble.voters > 0, || {
        format!("an ensemble needs at least one voter; {servers} servers, no voter")
    })?;
    require(servers <= SERVERS_MAX, || {
        format!("{servers} servers; at most {SERVERS_MAX} are allowed")
    })?;
    for (what, number) in [
        ("the tick", ensemble.tick_ms),
        ("initLimit", ensemble.init_limit),
        ("syncLimit", ensemble.sync_limit),
        ("snap_count", ensemble.snap_count),
        ("commit_log_count", ensemble.commit_log_count),
        ("counter_max", ensemble.counter_max),
        ("snapshot_chunk_nodes", ensemble.snapshot_chunk_nodes),
        ("sweep_interval", ensemble.sweep_interval_ms),
    ] {
        require(number > 0, || format!("{what} is zero"))?;
    }
    weights(ensemble)?;
    groups(ensemble)
}

fn is_voter(ensemble: &Ensemble, server: ServerId) -> bool {
    (1..=ensemble.voters).contains(&server.0)
}

fn voters_text(ensemble: &Ensemble) -> String {
    format!("the voters are s1 to s{}", ensemble.voters)
}

fn weights(ensemble: &Ensemble) -> Checked {
    for &server in ensemble.weights.keys() {
        require(is_voter(ensemble, server), || {
            format!("a weight for {server}; {}", voters_text(ensemble))
        })?;
    }
    let weight = |server: u8| {
        ensemble
            .weights
            .get(&ServerId(server))
            .copied()
            .unwrap_or(1)
    };
    require((1..=ensemble.voters).any(|s| weight(s) > 0), || {
        "no voter has a weight above zero: there is no quorum".into()
    })
}

fn groups(ensemble: &Ensemble) -> Checked {
    let mut seen = BTreeSet::new();
    for (number, group) in (1..).zip(&ensemble.groups) {
        require(!group.is_empty(), || {
            format!("group {number} of the quorum is empty")
        })?;
        for &server in group {
            require(is_voter(ensemble, server), || {
                format!(
                    "group {number} of the quorum names {server}; {}",
                    voters_text(ensemble)
                )
            })?;
            require(seen.insert(server), || {
                format!("{server} is in two groups of the quorum")
            })?;
        }
    }
    let missing = (1..=ensemble.voters)
        .map(ServerId)
        .find(|s| !seen.contains(s));
    match missing {
        Some(server) if !ensemble.groups.is_empty() => Err(format!(
            "{server} is in no group of the quorum; every voter is in exactly one"
        )),
        _ => Ok(()),
    }
}

fn climate(climate: &Climate) -> Checked {
    range("links between servers", climate.link_us)?;
    range("links of clients", climate.client_link_us)?;
    range("fsync", climate.fsync_us)?;
    range("reading a file", climate.read_us)?;
    range("stages", climate.stage_us)?;
    range("restart", climate.restart_us)?;
    require(climate.client_link_us.0 >= 1_000, || {
        let least = climate.client_link_us.0;
        format!("links of clients take {least} µs at least; not less than 1,000 µs are allowed")
    })?;
    require(climate.clock_drift_ppm_max <= 500_000, || {
        format!(
            "clocks drift by {} ppm; at most 500,000",
            climate.clock_drift_ppm_max
        )
    })
}

/// The faults' labels, with their places; or the place of one that cannot be, and why.
fn labels(faults: &[Fault]) -> Result<BTreeMap<&str, usize>, (usize, String)> {
    let mut labels = BTreeMap::new();
    for (index, fault) in faults.iter().enumerate() {
        if fault.label.is_empty() {
            return Err((index, format!("fault {}: no label", index + 1)));
        }
        if labels.insert(fault.label.as_str(), index).is_some() {
            let why = format!("two faults have the label `{}`", fault.label);
            return Err((index, why));
        }
    }
    Ok(labels)
}

/// The fault that another one waits for.
fn waits_for(fault: &Fault) -> Option<&str> {
    match &fault.trigger {
        Trigger::After { label, .. } => Some(label),
        Trigger::On { after, .. } => after.as_deref(),
        Trigger::At(_) => None,
    }
}

fn no_circles(faults: &[Fault], labels: &BTreeMap<&str, usize>) -> Result<(), (usize, String)> {
    for (index, fault) in faults.iter().enumerate() {
        let mut at = fault;
        for _ in 0..=faults.len() {
            match waits_for(at) {
                None => break,
                Some(label) if label == fault.label => {
                    return Err((index, format!("fault `{label}` waits for itself")));
                }
                Some(label) => at = &faults[labels[label]],
            }
        }
    }
    Ok(())
}

/// What a fault may refer to.
struct Known<'a> {
    plan: &'a Plan,
    labels: &'a BTreeMap<&'a str, usize>,
}

/// Which of the targets that lean on something else mean anything here.
#[derive(Clone, Copy)]
struct Context {
    sender: bool,
    receiver: bool,
    rest: bool,
}

impl Known<'_> {
    fn fault(&self, fault: &Fault) -> Result<(), (Part, String)> {
        self.trigger(&fault.trigger).map_err(of(Part::Trigger))?;
        let (sender, receiver) = match &fault.trigger {
            Trigger::On { event, .. } => (
                true,
                !matches!(
                    event,
                    EventPattern::Disk { .. } | EventPattern::Reply { .. }
                ),
            ),
            _ => (false, false),
        };
        let context = Context {
            sender,
            receiver,
            rest: false,
        };
        self.action(&fault.action, context)
            .map_err(of(Part::Action))?;
        Self::lasts(fault).map_err(of(Part::Lasts))
    }

    fn lasts(fault: &Fault) -> Checked {
        match fault.lasts_us {
            None => Ok(()),
            Some(0) => Err("it lasts no time".into()),
            Some(_) => require(lasts(&fault.action), || {
                format!(
                    "`{}` does not last: it has no end to set",
                    fault.action.kind()
                )
            }),
        }
    }

    fn trigger(&self, trigger: &Trigger) -> Checked {
        match trigger {
            Trigger::At(at) => require(at.0 <= self.plan.safety_us, || {
                let end = zabsim_types::Time(self.plan.safety_us);
                format!("it is to strike at {at}, and the faults end at {end}")
            }),
            Trigger::After { label, .. } => self.label(label),
            Trigger::On {
                event, nth, after, ..
            } => {
                require(*nth > 0, || "events are counted from 1, not from 0".into())?;
                after.as_deref().map_or(Ok(()), |label| self.label(label))?;
                self.pattern(event)
            }
        }
    }

    fn label(&self, label: &str) -> Checked {
        require(self.labels.contains_key(label), || {
            let labels: Vec<&str> = self.labels.keys().copied().collect();
            format!(
                "it waits for `{label}`, which no fault is called; there are: {}",
                labels.join(", ")
            )
        })
    }

    fn pattern(&self, pattern: &EventPattern) -> Checked {
        let nobody_yet = Context {
            sender: false,
            receiver: false,
            rest: false,
        };
        let who = |target: &Option<Target>| {
            target
                .as_ref()
                .map_or(Ok(()), |target| self.target(target, nobody_yet))
        };
        match pattern {
            EventPattern::Send { message, from, to }
            | EventPattern::Receive { message, from, to } => {
                one_of("packet type", message, MESSAGES)?;
                who(from)?;
                who(to)
            }
            EventPattern::Disk { op, file, at } => {
                one_of("disk operation", op, DISK_OPS)?;
                file.as_deref().map_or(Ok(()), file_prefix)?;
                who(at)
            }
            EventPattern::Note { note, at } => {
                note_or_mark(note)?;
                who(at)
            }
            EventPattern::Reply { client } => client.map_or(Ok(()), |client| self.client(client)),
        }
    }

    fn client(&self, client: u32) -> Checked {
        require((1..=self.plan.clients).contains(&client), || {
            match self.plan.clients {
                0 => format!("client {client}: there are no clients"),
                clients => format!("client {client}: the clients are 1 to {clients}"),
            }
        })
    }

    fn clients(&self, clients: &[u32]) -> Checked {
        require(self.plan.clients > 0, || "there are no clients".into())?;
        clients.iter().try_for_each(|&client| self.client(client))
    }

    fn target(&self, target: &Target, context: Context) -> Checked {
        let ensemble = &self.plan.ensemble;
        let (voters, observers) = (ensemble.voters, ensemble.observers);
        let servers = ensemble.servers() as u8;
        match target {
            Target::Server(id) => require((1..=servers).contains(&id.0), || {
                format!("{id} does not exist; the servers are s1 to s{servers}")
            }),
            Target::Follower(n) => require((1..voters).contains(n), || match voters {
                1 => format!("follower {n} of an ensemble with one voter: it has none"),
                _ => format!(
                    "follower {n} does not exist; they are counted from 1 to {}",
                    voters - 1
                ),
            }),
            Target::AnyFollower | Target::Learner => require(servers > 1, || {
                "a follower of an ensemble with one server".into()
            }),
            Target::Observer(n) => require((1..=observers).contains(n), || match observers {
                0 => format!("observer {n}: there are no observers"),
                _ => format!("observer {n} does not exist; they are counted from 1 to {observers}"),
            }),
            Target::Random(n) => require((1..=servers).contains(n), || {
                format!("random-{n}: the ensemble has {servers} servers to draw from")
            }),
            Target::Sender => require(context.sender, || {
                "`sender` means the sender of the event that triggers the fault; here is none"
                    .into()
            }),
            Target::Receiver => require(context.receiver, || {
                "`receiver` means the receiver of the message that triggers the fault; here is none"
                    .into()
            }),
            Target::Rest => require(context.rest, || {
                "`rest` means those that the other groups of a partition, or the other end of a link, do not name; \
                 here are none"
                    .into()
            }),
            Target::Several(targets) => {
                require(!targets.is_empty(), || {
                    "a list of targets names nobody".into()
                })?;
                targets
                    .iter()
                    .try_for_each(|target| self.target(target, context))
            }
            Target::Leader | Target::Majority | Target::Minority | Target::All => Ok(()),
        }
    }

    fn action(&self, action: &Action, context: Context) -> Checked {
        let on = |target: &Target| self.target(target, context);
        let link = |between: &Target, and: &Target| {
            on(between)?;
            let rest = true;
            self.target(and, Context { rest, ..context })
        };
        match action {
            Action::Crash { target, .. }
            | Action::Restart { target }
            | Action::Pause { target }
            | Action::FsyncError { target }
            | Action::DiskFull { target }
            | Action::Wipe { target }
            | Action::BadRead { target } => on(target),
            Action::RollingRestart { gap_us } => require(*gap_us > 0, || {
                "a rolling restart needs a gap above zero".into()
            }),
            Action::Partition { groups } => self.partition(groups, context),
            Action::OneWay { from, to } => link(from, to),
            Action::Reset { between, and, .. } | Action::Stall { between, and } => {
                link(between, and)
            }
            Action::Flap {
                between,
                and,
                down_us,
                up_us,
            } => {
                link(between, and)?;
                require(*down_us > 0 && *up_us > 0, || {
                    format!(
                        "a link that is down for {down_us} µs and up for {up_us} µs does not flap"
                    )
                })
            }
            Action::Delay {
                between,
                and,
                extra_us,
            } => {
                link(between, and)?;
                range("delay", *extra_us)
            }
            Action::Bandwidth {
                between,
                and,
                bytes_per_s,
            } => {
                link(between, and)?;
                require(*bytes_per_s > 0, || {
                    "a bandwidth of zero: `stall` holds everything back".into()
                })
            }
            Action::ElectionLoss {
                lost_per_mille,
                repeated_per_mille,
            } => {
                let most = *lost_per_mille.max(repeated_per_mille);
                require(most <= 1_000, || format!("{most} of 1,000 messages"))
            }
            Action::SlowDisk { target, extra_us } => {
                on(target)?;
                range("slow disk", *extra_us)
            }
            Action::BitRot { target, file } => {
                on(target)?;
                file.as_deref().map_or(Ok(()), file_prefix)
            }
            Action::ClockJump { target, by_us } => {
                on(target)?;
                require(*by_us > 0, || "a clock that jumps by nothing".into())
            }
            Action::ClockDrift { target, ppm } => {
                on(target)?;
                require(*ppm != 0 && ppm.abs() <= 500_000, || {
                    format!("a drift of {ppm} ppm; allowed: 1 to 500,000 either way")
                })
            }
            Action::SlowStage {
                target,
                stage,
                extra_us,
            } => {
                on(target)?;
                one_of("stage", stage, &["prepare", "apply", "snapshot"])?;
                range("slow stage", *extra_us)
            }
            Action::ClientMove { clients, to } => {
                self.clients(clients)?;
                to.as_ref().map_or(Ok(()), on)
            }
            Action::ClientCrash { clients }
            | Action::ClientPause { clients }
            | Action::ClientCut { clients }
            | Action::ClientDuplicate { clients } => self.clients(clients),
            Action::Mark | Action::Heal => Ok(()),
        }
    }

    fn partition(&self, groups: &[Vec<Target>], context: Context) -> Checked {
        require(groups.len() > 1, || {
            format!(
                "a partition into {} group; it needs two at least",
                groups.len()
            )
        })?;
        let rest = groups
            .iter()
            .filter(|group| group.contains(&Target::Rest))
            .count();
        require(rest <= 1, || {
            "two groups of the partition are the rest".into()
        })?;
        for (number, group) in (1..).zip(groups) {
            require(!group.is_empty(), || {
                format!("group {number} of the partition names nobody")
            })?;
            for target in group {
                let rest = true;
                self.target(target, Context { rest, ..context })
                    .map_err(|why| format!("group {number} of the partition: {why}"))?;
            }
        }
        // Those drawn for different groups are different servers: there must be as many.
        let drawn: u32 = groups.iter().flatten().map(drawn_servers).sum();
        let servers = self.plan.ensemble.servers();
        require(drawn <= servers, || {
            format!("the groups of the partition draw {drawn} servers of {servers}")
        })
    }
}

fn drawn_servers(target: &Target) -> u32 {
    match target {
        Target::Random(n) => u32::from(*n),
        Target::Several(targets) => targets.iter().map(drawn_servers).sum(),
        _ => 0,
    }
}

fn file_prefix(prefix: &str) -> Checked {
    let fits = |file: &&str| {
        file.starts_with(prefix) || (file.ends_with('.') && prefix.starts_with(*file))
    };
    require(!prefix.is_empty() && FILES.iter().any(fits), || {
        format!(
            "no file's name begins with `{prefix}`; they begin with {}",
            FILES.join(", ")
        )
    })
}

/// A mark is named by whoever sets it, so any word in kebab-case may be one.
fn note_or_mark(name: &str) -> Checked {
    let in_kebab_case = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    require(NOTES.contains(&name) || in_kebab_case, || {
        format!(
            "`{name}` is no note; allowed: a mark's name, or {}",
            NOTES.join(", ")
        )
    })
}

/// Whether `Fault::lasts_us` means anything to an action.
fn lasts(action: &Action) -> bool {
    !matches!(
        action,
        Action::Restart { .. }
            | Action::RollingRestart { .. }
            | Action::Reset { .. }
            | Action::FsyncError { .. }
            | Action::BitRot { .. }
            | Action::BadRead { .. }
            | Action::ClockJump { .. }
            | Action::ClientMove { .. }
            | Action::ClientDuplicate { .. }
            | Action::Mark
            | Action::Heal
    )
}
