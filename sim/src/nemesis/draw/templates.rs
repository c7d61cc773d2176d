//! The kinds that faults are drawn of: how often, and how one of them looks.

use super::{Draw, events};
use crate::plan::{Action, EventPattern, Target, Trigger, Unsynced};
use zabsim_types::{ServerId, Time};

/// A kind, as it is drawn.
pub(super) struct Template {
    /// Names its streams, so it must never change, and its faults.
    pub(super) name: &'static str,
    /// Seeds that have it, of 1,000.
    pub(super) in_seed_per_mille: u32,
    /// Of their storms, those in which it strikes, of 1,000.
    pub(super) in_storm_per_mille: u32,
    /// Whether it waits for an event rather than a time.
    pub(super) waits_for_event: bool,
    /// Draws one.
    pub(super) draw: fn(&mut Draw<'_>),
}

const fn timed(
    name: &'static str,
    in_seed: u32,
    in_storm: u32,
    draw: fn(&mut Draw<'_>),
) -> Template {
    Template {
        name,
        in_seed_per_mille: in_seed,
        in_storm_per_mille: in_storm,
        waits_for_event: false,
        draw,
    }
}

const fn on_event(
    name: &'static str,
    in_seed: u32,
    in_storm: u32,
    draw: fn(&mut Draw<'_>),
) -> Template {
    Template {
        waits_for_event: true,
        ..timed(name, in_seed, in_storm, draw)
    }
}

/// All of them. What makes elections comes often; what stops everybody, or harms a disk, seldom.
pub(super) const KINDS: &[Template] = &[
    timed("crash", 900, 550, |d| crash(d, Unsynced::Drawn)),
    timed("crash-lost-tail", 450, 180, |d| crash(d, Unsynced::Lost)),
    timed("crash-kept-tail", 450, 180, |d| crash(d, Unsynced::Kept)),
    timed("crash-torn-tail", 450, 180, |d| crash(d, Unsynced::Torn)),
    timed("crash-in-recovery", 450, 160, crash_in_recovery),
    timed("crash-quorum", 350, 110, crash_quorum),
    timed("rolling-restart", 300, 90, rolling_restart),
    timed("pause", 600, 260, pause),
    timed("partition", 700, 320, partition),
    timed("bridge", 400, 140, bridge),
    timed("one-way", 500, 170, one_way),
    timed("flap", 400, 150, flap),
    timed("reset", 500, 250, |d| reset(d, false)),
    timed("half-open", 450, 180, |d| reset(d, true)),
    timed("delay", 500, 250, delay),
    timed("stall", 450, 180, stall),
    timed("bandwidth", 400, 160, bandwidth),
    timed("election-loss", 500, 300, election_loss),
    timed("slow-disk", 500, 250, slow_disk),
    timed("fsync-error", 450, 150, fsync_error),
    timed("disk-full", 400, 130, disk_full),
    timed("wipe", 400, 120, wipe),
    timed("bit-rot", 400, 120, bit_rot),
    timed("bad-read", 400, 130, bad_read),
    timed("clock-jump", 450, 180, clock_jump),
    timed("clock-drift", 450, 180, clock_drift),
    timed("slow-stage", 500, 220, slow_stage),
    timed("client-crash", 450, 150, client_crash),
    timed("client-pause", 500, 200, client_pause),
    timed("client-move", 500, 220, client_move),
    timed("reconnect-storm", 400, 130, reconnect_storm),
    timed("client-cut", 450, 180, client_cut),
    timed("client-duplicate", 450, 200, client_duplicate),
    timed("fuzzy-snapshot", 400, 180, fuzzy_snapshot),
    timed("late-joiner", 400, 150, late_joiner),
    timed("move-around-stall", 450, 200, move_around_stall),
    timed("slow-leader", 350, 120, slow_leader),
    on_event("crash-at-effect", 500, 180, events::crash_at_effect),
    on_event("cut-in-sync", 400, 120, events::cut_in_sync),
    on_event("pause-in-sync", 300, 90, events::pause_in_sync),
    on_event("disk-error-in-sync", 300, 80, events::disk_error_in_sync),
    on_event("fault-in-reconfig", 700, 300, events::fault_in_reconfig),
];

/// How long a process stays down; `None`: as its supervisor likes.
fn downtime(d: &mut Draw<'_>) -> Option<u64> {
    match d.stream.below(3) {
        0 => None,
        1 => Some(d.briefly()),
        _ => Some(d.length(1_000, 7_000)),
    }
}

pub(super) fn crash_of(target: Target, after_effects: u32, unsynced: Unsynced) -> Action {
    Action::Crash {
        target,
        after_effects,
        unsynced,
    }
}

fn crash(d: &mut Draw<'_>, unsynced: Unsynced) {
    // What a crash is for, most of all, is an election.
    let leader = d.stream.per_mille(450);
    let target = if leader { Target::Leader } else { d.server() };
    let lasts = downtime(d);
    d.strike(crash_of(target, 0, unsynced), lasts);
}

/// Down, and again while it reads its disk: recovery must be repeatable from any point.
fn crash_in_recovery(d: &mut Draw<'_>) {
    let (server, down) = (d.server_id(), d.length(200, 2_000));
    let crash = crash_of(Target::Server(server), 0, Unsynced::Drawn);
    let at = d.strike(crash, Some(down));
    let ops = ["read", "list"];
    let event = EventPattern::Disk {
        op: (*d.stream.pick(&ops)).into(),
        file: None,
        at: Some(Target::Server(server)),
    };
    let nth = if matches!(&event, EventPattern::Disk { op, .. } if op == "list") {
        1
    } else {
        1 + d.stream.below(4) as u32
    };
    let trigger = Trigger::On {
        event,
        nth,
        not_before: Time(at),
        after: Some(d.label.clone()),
    };
    let again = d.briefly();
    let crash = crash_of(Target::Sender, 0, Unsynced::Drawn);
    d.then(at, "again", trigger, crash, Some(again));
}

fn crash_quorum(d: &mut Draw<'_>) {
    let target = if d.stream.per_mille(600) {
        Target::Majority
    } else {
        Target::All
    };
    let all = [
        Unsynced::Drawn,
        Unsynced::Drawn,
        Unsynced::Lost,
        Unsynced::Torn,
    ];
    let unsynced = *d.stream.pick(&all);
    let down = d.length(500, 4_000);
    d.strike(crash_of(target, 0, unsynced), Some(down));
}

fn rolling_restart(d: &mut Draw<'_>) {
    let gap_us = d.length(1_000, 3_000);
    d.strike(Action::RollingRestart { gap_us }, None);
}

fn pause(d: &mut Draw<'_>) {
    let (target, lasts) = (d.server(), d.some_time());
    d.strike(Action::Pause { target }, Some(lasts));
}

fn partition(d: &mut Draw<'_>) {
    if d.servers() < 2 {
        return;
    }
    let two = |a, b| vec![vec![a], vec![b]];
    let several = 1 + d.stream.below(u64::from(d.servers() - 1)) as u8;
    let groups = match d.stream.below(7) {
        0..=2 => two(Target::Leader, Target::Rest),
        3 => two(Target::Minority, Target::Majority),
        4 => two(Target::AnyFollower, Target::Rest),
        5 if d.servers() > 2 => {
            let one = || vec![Target::Random(1)];
            vec![one(), one(), vec![Target::Rest]]
        }
        _ => two(Target::Random(several), Target::Rest),
    };
    let lasts = d.some_time();
    d.strike(Action::Partition { groups }, Some(lasts));
}

/// Two halves that do not see each other, and one server that sees both.
fn bridge(d: &mut Draw<'_>) {
    if d.servers() < 3 {
        return;
    }
    let mut servers: Vec<Target> = (1..=d.servers())
        .map(|id| Target::Server(ServerId(id)))
        .collect();
    d.stream.shuffle(&mut servers);
    let bridge = servers.remove(0);
    let (left, right) = servers.split_at(servers.len() / 2);
    let groups = [left, right].map(|half| [std::slice::from_ref(&bridge), half].concat());
    let lasts = d.beyond_sync_limit();
    d.strike(
        Action::Partition {
            groups: groups.into(),
        },
        Some(lasts),
    );
}

fn one_way(d: &mut Draw<'_>) {
    if d.servers() < 2 {
        return;
    }
    let (from, to) = match d.stream.below(4) {
        0 => (Target::Leader, Target::All),
        1 => (Target::Leader, Target::AnyFollower),
        2 => (Target::AnyFollower, Target::Leader),
        _ => (Target::Random(1), Target::All),
    };
    let lasts = d.some_time();
    d.strike(Action::OneWay { from, to }, Some(lasts));
}

/// Draws the ends of links for those kinds that need some.
fn with_ends(d: &mut Draw<'_>) -> Option<(Target, Target)> {
    (d.servers() > 1).then(|| d.ends())
}

fn flap(d: &mut Draw<'_>) {
    let Some((between, and)) = with_ends(d) else {
        return;
    };
    let (down_us, up_us) = (d.length(20, 600), d.length(100, 1_500));
    let lasts = d.length(2_000, 6_000);
    let action = Action::Flap {
        between,
        and,
        down_us,
        up_us,
    };
    d.strike(action, Some(lasts));
}

fn reset(d: &mut Draw<'_>, half_open: bool) {
    let Some((between, and)) = with_ends(d) else {
        return;
    };
    let action = Action::Reset {
        between,
        and,
        half_open,
    };
    d.strike(action, None);
}

fn delay(d: &mut Draw<'_>) {
    let Some((between, and)) = with_ends(d) else {
        return;
    };
    let least = d.stream.below(5_000);
    let extra_us = (least, least + d.length(10, 600));
    let lasts = d.length(1_000, 5_000);
    let action = Action::Delay {
        between,
        and,
        extra_us,
    };
    d.strike(action, Some(lasts));
}

fn stall(d: &mut Draw<'_>) {
    let Some((between, and)) = with_ends(d) else {
        return;
    };
    let lasts = d.some_time();
    d.strike(Action::Stall { between, and }, Some(lasts));
}

fn bandwidth(d: &mut Draw<'_>) {
    let Some((between, and)) = with_ends(d) else {
        return;
    };
    let bytes_per_s = d.stream.range((20_000, 500_000));
    let lasts = d.length(2_000, 6_000);
    let action = Action::Bandwidth {
        between,
        and,
        bytes_per_s,
    };
    d.strike(action, Some(lasts));
}

/// As long as the storm, so that it meets the elections that the other faults make.
fn election_loss(d: &mut Draw<'_>) {
    let action = Action::ElectionLoss {
        lost_per_mille: d.stream.range((100, 600)) as u32,
        repeated_per_mille: d.stream.below(300) as u32,
    };
    let (from, to) = (d.storm.from, d.storm.to);
    d.strike_at(from, action, Some(to - from));
}

fn slow_disk(d: &mut Draw<'_>) {
    let target = d.server();
    let least = d.stream.below(5_000);
    let extra_us = (least, least + d.length(10, 400));
    let lasts = d.length(1_000, 6_000);
    d.strike(Action::SlowDisk { target, extra_us }, Some(lasts));
}

fn fsync_error(d: &mut Draw<'_>) {
    let target = d.server();
    d.strike(Action::FsyncError { target }, None);
}

fn disk_full(d: &mut Draw<'_>) {
    let (target, lasts) = (d.server(), d.length(500, 4_000));
    d.strike(Action::DiskFull { target }, Some(lasts));
}

/// With one or two voters nothing is left of the budget: the judge would refuse each.
fn may_be_damaged(d: &Draw<'_>) -> bool {
    d.plan.ensemble.voters > 2
}

fn wipe(d: &mut Draw<'_>) {
    if !may_be_damaged(d) {
        return;
    }
    let (target, down) = (d.server(), d.briefly());
    d.strike(Action::Wipe { target }, Some(down));
}

/// A server is down while a bit of its disk flips. Where it refuses to start, its operator gives it an empty disk.
fn bit_rot(d: &mut Draw<'_>) {
    if !may_be_damaged(d) {
        return;
    }
    let server = Target::Server(d.server_id());
    let down = d.length(1_500, 3_000);
    let crash = crash_of(server.clone(), 0, Unsynced::Drawn);
    let at = d.moment();
    let first = format!("{}-down", d.label);
    d.push(at, first.clone(), Trigger::At(Time(at)), crash, Some(down));

    let files = [
        None,
        Some("log."),
        Some("log."),
        Some("snapshot."),
        Some("acceptedEpoch"),
        Some("currentEpoch"),
    ];
    let file = d.stream.pick(&files).map(String::from);
    let delay_us = d.length(100, 1_000);
    let after = |delay_us| Trigger::After {
        label: first.clone(),
        delay_us,
    };
    let rot = Action::BitRot {
        target: server.clone(),
        file,
    };
    let label = d.label.clone();
    d.push(at + delay_us, label, after(delay_us), rot, None);

    let delay_us = down + d.length(3_000, 6_000);
    let (wipe, down) = (Action::Wipe { target: server }, d.briefly());
    d.then(at + delay_us, "replaced", after(delay_us), wipe, Some(down));
}

fn bad_read(d: &mut Draw<'_>) {
    if !may_be_damaged(d) {
        return;
    }
    let server = Target::Server(d.server_id());
    let down = d.length(600, 2_000);
    let crash = crash_of(server.clone(), 0, Unsynced::Drawn);
    let at = d.moment();
    let first = format!("{}-down", d.label);
    d.push(at, first.clone(), Trigger::At(Time(at)), crash, Some(down));
    let delay_us = d.length(100, 500);
    let after = Trigger::After {
        label: first,
        delay_us,
    };
    let label = d.label.clone();
    d.push(
        at + delay_us,
        label,
        after,
        Action::BadRead { target: server },
        None,
    );
}

/// A little, as when NTP steps in, or so much that every timeout is over at once.
fn clock_jump(d: &mut Draw<'_>) {
    let target = d.server();
    let by_us = if d.stream.per_mille(600) {
        d.length(20, 2_000)
    } else {
        d.length(4_000, 40_000)
    };
    d.strike(Action::ClockJump { target, by_us }, None);
}

fn clock_drift(d: &mut Draw<'_>) {
    let target = d.server();
    let drift = d.stream.range((500, 200_000)) as i32;
    let ppm = if d.stream.per_mille(500) {
        drift
    } else {
        -drift
    };
    let lasts = d.length(3_000, 10_000);
    d.strike(Action::ClockDrift { target, ppm }, Some(lasts));
}

fn slow_stage(d: &mut Draw<'_>) {
    let target = d.server();
    let stage = (*d.stream.pick(&["prepare", "apply", "apply", "snapshot"])).into();
    let least = d.stream.below(2_000);
    let extra_us = (least, least + d.length(4, 200));
    let lasts = d.length(1_000, 6_000);
    let action = Action::SlowStage {
        target,
        stage,
        extra_us,
    };
    d.strike(action, Some(lasts));
}

/// A snapshot takes long, so that much changes under it. Who has just put one in its place dies, and comes back from it.
fn fuzzy_snapshot(d: &mut Draw<'_>) {
    let target = d.server();
    let least = d.length(5, 100);
    let extra_us = (least, least + d.length(5, 300));
    let lasts = d.length(2_000, 8_000);
    let stage = "snapshot".into();
    let slow = Action::SlowStage {
        target,
        stage,
        extra_us,
    };
    let at = d.strike(slow, Some(lasts));
    let event = EventPattern::Disk {
        op: "rename".into(),
        file: Some("snapshot.".into()),
        at: None,
    };
    let trigger = Trigger::On {
        event,
        nth: 1 + d.stream.below(2) as u32,
        not_before: Time(at),
        after: Some(d.label.clone()),
    };
    let after_effects = d.stream.below(6) as u32;
    let unsynced = *d
        .stream
        .pick(&[Unsynced::Drawn, Unsynced::Lost, Unsynced::Kept]);
    let crash = crash_of(Target::Sender, after_effects, unsynced);
    let down = downtime(d);
    d.then(at, "down", trigger, crash, down);
}

/// A follower was away for so long that it needs much, and comes back while the leader's tree lags behind what is committed.
fn late_joiner(d: &mut Draw<'_>) {
    if d.servers() < 2 {
        return;
    }
    let down = d.length(2_000, 6_000);
    let crash = crash_of(Target::AnyFollower, 0, Unsynced::Drawn);
    let at = d.strike(crash, Some(down));
    let before = d.length(0, 1_000);
    let delay_us = down.saturating_sub(before);
    let trigger = Trigger::After {
        label: d.label.clone(),
        delay_us,
    };
    let least = d.length(2, 50);
    let slow = Action::SlowStage {
        target: Target::Leader,
        stage: "apply".into(),
        extra_us: (least, least + d.length(2, 150)),
    };
    let lasts = d.length(1_000, 4_000);
    d.then(at + delay_us, "lag", trigger, slow, Some(lasts));
}

/// Nothing passes between a server and the leader, too briefly for them to give each other up. Meanwhile clients move: to that
/// server, which lags behind what they have seen, or away from it, while their requests are still on its link.
fn move_around_stall(d: &mut Draw<'_>) {
    if d.servers() < 2 || d.plan.clients == 0 {
        return;
    }
    let server = Target::Server(d.server_id());
    let limit = u64::from(d.plan.ensemble.sync_limit) * 1_000;
    let lasts = d.length(300, limit * 3 / 4);
    let stall = Action::Stall {
        between: server.clone(),
        and: Target::Leader,
    };
    let at = d.strike(stall, Some(lasts));
    let delay_us = d.stream.range((1_000, lasts * 2 / 3 + 1_000));
    let trigger = Trigger::After {
        label: d.label.clone(),
        delay_us,
    };
    let to = match d.stream.below(3) {
        0 => Some(server),
        1 => Some(Target::Leader),
        _ => None,
    };
    let clients = match d.stream.per_mille(600) {
        true => Vec::new(),
        false => one_client(d).unwrap_or_default(),
    };
    d.then(
        at + delay_us,
        "move",
        trigger,
        Action::ClientMove { clients, to },
        None,
    );
}

/// A leader whose clock goes slowly is cut off: by its own time it still leads when others have a leader already.
fn slow_leader(d: &mut Draw<'_>) {
    if d.servers() < 3 {
        return;
    }
    let drift = Action::ClockDrift {
        target: Target::Leader,
        ppm: -(d.stream.range((100_000, 200_000)) as i32),
    };
    let cut = d.beyond_sync_limit() * 3 / 2;
    let at = d.strike(drift, Some(cut + d.tick_us()));
    let delay_us = d.length(50, 500);
    let trigger = Trigger::After {
        label: d.label.clone(),
        delay_us,
    };
    let groups = vec![vec![Target::Leader], vec![Target::Rest]];
    d.then(
        at + delay_us,
        "cut",
        trigger,
        Action::Partition { groups },
        Some(cut),
    );
}

/// Most often one, drawn when it strikes: an empty list.
fn one_client(d: &mut Draw<'_>) -> Option<Vec<u32>> {
    (d.plan.clients > 0).then(|| vec![1 + d.stream.below(u64::from(d.plan.clients)) as u32])
}

fn client_crash(d: &mut Draw<'_>) {
    if let Some(clients) = one_client(d) {
        let lasts = d.length(500, 6_000);
        d.strike(Action::ClientCrash { clients }, Some(lasts));
    }
}

/// Some long enough that the session is over when the client wakes, and it does not know yet.
fn beyond_session(d: &mut Draw<'_>) -> u64 {
    let session = u64::from(d.plan.session_timeout_ms) * 1_000;
    session + d.length(1_000, 4_000)
}

/// About as long as a session lasts: what the client asks for next meets its end.
fn about_a_session(d: &mut Draw<'_>) -> u64 {
    let session = u64::from(d.plan.session_timeout_ms) * 1_000;
    (session + d.length(0, 2_500)).saturating_sub(d.tick_us() * 3 / 2)
}

fn client_pause(d: &mut Draw<'_>) {
    if let Some(clients) = one_client(d) {
        let lasts = match d.stream.below(4) {
            0 => d.briefly(),
            1 => about_a_session(d),
            _ => beyond_session(d),
        };
        d.strike(Action::ClientPause { clients }, Some(lasts));
    }
}

fn client_move(d: &mut Draw<'_>) {
    if let Some(clients) = one_client(d) {
        let to = d.stream.per_mille(500).then_some(Target::Random(1));
        d.strike(Action::ClientMove { clients, to }, None);
    }
}

fn reconnect_storm(d: &mut Draw<'_>) {
    if d.plan.clients > 0 {
        let to = d.stream.per_mille(300).then_some(Target::Random(1));
        let clients = Vec::new();
        d.strike(Action::ClientMove { clients, to }, None);
    }
}

fn client_cut(d: &mut Draw<'_>) {
    let Some(one) = one_client(d) else { return };
    let (clients, lasts) = match d.stream.below(5) {
        0 => (Vec::new(), d.briefly()),
        1 => (one, d.briefly()),
        2 => (one, about_a_session(d)),
        _ => (one, beyond_session(d)),
    };
    d.strike(Action::ClientCut { clients }, Some(lasts));
}

fn client_duplicate(d: &mut Draw<'_>) {
    if let Some(clients) = one_client(d) {
        d.strike(Action::ClientDuplicate { clients }, None);
    }
}
