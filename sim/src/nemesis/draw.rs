//! Draws the random faults of a seed, before its run, into the list that a script is made of.
//!
//! Time is drawn first: calm, storm, calm, storm. Faults strike in storms and end soon after, so that clients get work done in
//! between, and so that faults meet each other: most bugs need two. Then each kind of fault draws by itself, from streams
//! that carry its own name: whether this seed has it at all (*swarm testing*: Groce et al., ISSTA 2012 — a mixture of
//! everything in every run finds less than runs that each leave half of it out), whether it strikes in a storm, when, whom,
//! for how long. So neither a kind nor a fault changes anything about the others. All times are multiples of the tick.

mod events;
mod templates;

use super::RANDOM_PREFIX;
use crate::plan::{Action, Fault, Plan, Target, Trigger};
use crate::stream::Stream;
use templates::{KINDS, Template};
use xxhash_rust::xxh3::xxh3_64;
use zabsim_types::{ServerId, Time};

/// The profiles of random faults, each with one sentence.
pub const PROFILES: &[(&str, &str)] = &[
    ("calm", "No faults."),
    (
        "standard",
        "Every seed draws about half of the fault kinds; storms of them, with calm in between.",
    ),
    (
        "swarm",
        "More and longer storms, and faults that strike in the middle of elections and synchronization.",
    ),
    (
        "any",
        "How many storms, how long and how harsh, is drawn from the seed too: from calm to far beyond `swarm`.",
    ),
];

/// How stormy a profile is. Lengths are in ticks; chances in 1,000.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Weather {
    calm_ticks: (u64, u64),
    storm_ticks: (u64, u64),
    /// Applied to the chance of each kind to be in a seed, and then to strike in a storm: in 100.
    seed_percent: u32,
    storm_percent: u32,
    /// The same for the faults that wait for events.
    event_percent: u32,
}

const STANDARD: Weather = Weather {
    calm_ticks: (7, 14),
    storm_ticks: (5, 10),
    seed_percent: 100,
    storm_percent: 100,
    event_percent: 100,
};

const SWARM: Weather = Weather {
    calm_ticks: (5, 10),
    storm_ticks: (8, 16),
    seed_percent: 100,
    storm_percent: 200,
    event_percent: 450,
};

/// Faults that are seldom, but together; many that meet each other; hardly any but those that wait for events; or none. Each
/// of these finds what the others do not.
fn any_weather(seed: u64) -> Weather {
    let mut stream = Stream::new(seed, "nemesis weather", 0);
    let calm = stream.range((2, 12));
    let storm = stream.range((3, 18));
    Weather {
        calm_ticks: (calm, calm * 2),
        storm_ticks: (storm, storm * 2),
        seed_percent: *stream.pick(&[20, 50, 80, 100, 110]),
        storm_percent: *stream.pick(&[30, 100, 150, 200, 300]),
        event_percent: *stream.pick(&[0, 100, 300, 450, 800]),
    }
}

/// Draws the faults of a seed for a plan: its ensemble, its clients, and the length of its safety phase count. They are valid
/// for it, in order of time, and their labels are `random-KIND-STORM`.
///
/// # Panics
/// Where there is no such profile: see [`PROFILES`].
pub fn draw_faults(seed: u64, profile: &str, plan: &Plan) -> Vec<Fault> {
    let weather = match profile {
        "calm" => return Vec::new(),
        "standard" => STANDARD,
        "swarm" => SWARM,
        "any" => any_weather(seed),
        other => {
            panic!("`{other}` is no profile of random faults; there are calm, standard, swarm, any")
        }
    };
    let storms = storms(seed, &weather, plan);
    let mut faults = Vec::new();
    for template in KINDS {
        draw_kind(seed, template, &weather, plan, &storms, &mut faults);
    }
    faults.sort_by_key(|(at, _)| *at);
    faults.into_iter().map(|(_, fault)| fault).collect()
}

/// A time of faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Storm {
    number: u64,
    from: u64,
    to: u64,
}

/// When the storms are. The last one ends before the safety phase does: what it broke is seen under way, not only healed.
fn storms(seed: u64, weather: &Weather, plan: &Plan) -> Vec<Storm> {
    let mut stream = Stream::new(seed, "nemesis storms", 0);
    let tick = u64::from(plan.ensemble.tick_ms) * 1_000;
    let mut storms = Vec::new();
    let mut now = 0;
    for number in 1.. {
        let from = now + stream.range(weather.calm_ticks) * tick;
        let to = from + stream.range(weather.storm_ticks) * tick;
        if to > plan.safety_us {
            break;
        }
        storms.push(Storm { number, from, to });
        now = to;
    }
    storms
}

fn draw_kind(
    seed: u64,
    template: &Template,
    weather: &Weather,
    plan: &Plan,
    storms: &[Storm],
    out: &mut Vec<(u64, Fault)>,
) {
    let name = xxh3_64(template.name.as_bytes());
    let boost = if template.waits_for_event {
        weather.event_percent
    } else {
        weather.storm_percent
    };
    let in_seed = template.in_seed_per_mille * weather.seed_percent / 100;
    if !Stream::new(seed, "nemesis swarm", name).per_mille(in_seed) {
        return;
    }
    for &storm in storms {
        let mut stream = Stream::new(seed, "nemesis faults", name.wrapping_add(storm.number));
        if !stream.per_mille(template.in_storm_per_mille * boost / 100) {
            continue;
        }
        let mut draw = Draw {
            stream,
            plan,
            storm,
            label: format!("{RANDOM_PREFIX}{}-{}", template.name, storm.number),
            out: &mut *out,
        };
        (template.draw)(&mut draw);
    }
}

/// One fault of one kind in one storm, being drawn.
struct Draw<'a> {
    stream: Stream,
    plan: &'a Plan,
    storm: Storm,
    label: String,
    out: &'a mut Vec<(u64, Fault)>,
}

impl Draw<'_> {
    fn tick_us(&self) -> u64 {
        u64::from(self.plan.ensemble.tick_ms) * 1_000
    }

    fn servers(&self) -> u8 {
        self.plan.ensemble.servers() as u8
    }

    /// A length between so many thousandths of a tick.
    fn length(&mut self, least_permille: u64, most_permille: u64) -> u64 {
        let tick = self.tick_us();
        self.stream
            .range((tick * least_permille / 1_000, tick * most_permille / 1_000))
            .max(1)
    }

    /// Too short for anybody to give up.
    fn briefly(&mut self) -> u64 {
        self.length(200, 2_000)
    }

    /// Longer than a leader or a learner waits for a sign of life.
    fn beyond_sync_limit(&mut self) -> u64 {
        let limit = u64::from(self.plan.ensemble.sync_limit) * 1_000;
        self.length(limit + 500, limit + 3_000)
    }

    /// One or the other.
    fn some_time(&mut self) -> u64 {
        if self.stream.per_mille(400) {
            self.briefly()
        } else {
            self.beyond_sync_limit()
        }
    }

    /// A time within the storm, early rather than late.
    fn moment(&mut self) -> u64 {
        let length = self.storm.to - self.storm.from;
        self.storm.from + self.stream.below(length * 2 / 3 + 1)
    }

    /// A server, symbolically: most often the leader, since most happens there.
    fn server(&mut self) -> Target {
        match self.stream.below(10) {
            0..=4 => Target::Leader,
            5 | 6 if self.servers() > 1 => Target::AnyFollower,
            7 | 8 => Target::Server(self.server_id()),
            _ => Target::Random(1),
        }
    }

    fn server_id(&mut self) -> ServerId {
        let servers = self.servers();
        ServerId(1 + self.stream.below(u64::from(servers)) as u8)
    }

    /// The two ends of one or several links.
    fn ends(&mut self) -> (Target, Target) {
        match self.stream.below(4) {
            0 => (Target::Leader, Target::AnyFollower),
            1 => (Target::Leader, Target::All),
            2 => (Target::Random(1), Target::All),
            _ => (Target::Random(1), Target::Random(1)),
        }
    }

    fn strike(&mut self, action: Action, lasts_us: Option<u64>) -> u64 {
        let at = self.moment();
        self.strike_at(at, action, lasts_us);
        at
    }

    fn strike_at(&mut self, at: u64, action: Action, lasts_us: Option<u64>) {
        let label = self.label.clone();
        self.push(at, label, Trigger::At(Time(at)), action, lasts_us);
    }

    /// A further step of the same fault, so much later than the step of that label.
    fn then(
        &mut self,
        at: u64,
        suffix: &str,
        trigger: Trigger,
        action: Action,
        lasts_us: Option<u64>,
    ) {
        let label = format!("{}-{suffix}", self.label);
        self.push(at, label, trigger, action, lasts_us);
    }

    fn push(
        &mut self,
        at: u64,
        label: String,
        trigger: Trigger,
        action: Action,
        lasts_us: Option<u64>,
    ) {
        let fault = Fault {
            label,
            trigger,
            action,
            lasts_us,
        };
        self.out.push((at, fault));
    }
}
