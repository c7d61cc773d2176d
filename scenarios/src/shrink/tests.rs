//! Each way to take something away, on a scenario that is read as a person would write it.

use super::{explicit, fewer, shorter, simpler};
use crate::format::Scenario;
use crate::library;
use crate::runner::run_scenario;
use crate::workload::WorkloadKind;
use zabsim_types::{HistoryEvent, HistoryKind, RecipeStep, Reply};

fn parsed(text: &str) -> Scenario {
    Scenario::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
}

fn scenario() -> Scenario {
    parsed(
        r#"
        name = "x"
        servers = 5
        observers = 1
        clients = 3
        duration = "10s"
        [[fault]]
        label = "a"
        at = "2s"
        do = { crash = "s5" }
        for = "1s"
        [[fault]]
        label = "b"
        after = "a"
        delay = "500ms"
        do = { client_cut = [2, 3] }
        for = "1s"
        [[fault]]
        label = "c"
        when = { send = "COMMIT", after = "b", nth = 100 }
        do = { pause = ["s6", "random-6"] }
        for = "1s"
        [[fault]]
        label = "d"
        after = "c"
        do = { mark = true }
        [[op]]
        client = 1
        at = "1s"
        do = { create = "/a" }
        [[op]]
        client = 2
        at = "3s"
        do = { set = "/a", data = "x", version = 0 }
        [[op]]
        client = 3
        after = "c"
        do = { get = "/a", watch = true }
        "#,
    )
}

/// What stands in a scenario that `key` says, in order.
fn said(scenario: &Scenario, key: &str) -> Vec<String> {
    let text = scenario.to_toml();
    let lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{key} = ")));
    lines
        .map(|line| line[key.len() + 3..].to_string())
        .collect()
}

/// A scenario that is written must be one that can be read.
fn is_whole(scenario: &Scenario) {
    zabsim::validate(&scenario.plan).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(parsed(&scenario.to_toml()), *scenario);
}

#[test]
fn a_fault_that_goes_hands_on_what_it_waited_for() {
    let without_a = fewer::without_faults(&scenario(), 0..1);
    is_whole(&without_a);
    assert_eq!(said(&without_a, "label"), [r#""b""#, r#""c""#, r#""d""#]);
    assert_eq!(
        said(&without_a, "at")[2],
        r#""2500ms""#,
        "b strikes when it did"
    );

    let without_b = fewer::without_faults(&scenario(), 1..2);
    is_whole(&without_b);
    assert!(said(&without_b, "when")[0].contains(r#"after = "a""#));

    // Nobody else can say when an event was: what came after it goes with it.
    let without_c = fewer::without_faults(&scenario(), 2..3);
    is_whole(&without_c);
    assert_eq!(said(&without_c, "label"), [r#""a""#, r#""b""#]);
    assert_eq!(without_c.plan.ops.len(), 2);

    assert!(
        fewer::without_faults(&scenario(), 0..4)
            .plan
            .faults
            .is_empty()
    );
}

#[test]
fn clients_close_up() {
    let without_2 = fewer::without_clients(&scenario(), 1..2);
    is_whole(&without_2);
    assert_eq!(without_2.plan.clients, 2);
    assert_eq!(said(&without_2, "client"), ["1", "2"]);
    assert!(
        said(&without_2, "do")
            .iter()
            .any(|action| action.contains("client_cut = [2]"))
    );
    // A fault of clients that are gone goes too; those that waited for it do not.
    let only_1 = fewer::without_clients(&scenario(), 1..3);
    is_whole(&only_1);
    assert_eq!(said(&only_1, "label"), [r#""a""#, r#""c""#, r#""d""#]);
    assert_eq!(said(&only_1, "client"), ["1"]);
    let nobody = fewer::without_clients(&scenario(), 0..3);
    is_whole(&nobody);
    assert!(nobody.plan.ops.is_empty());
}

#[test]
fn with_fewer_servers_every_target_is_somebody() {
    let sizes = fewer::fewer_servers(&scenario().plan);
    assert_eq!(sizes.first(), Some(&(1, 0)), "the smallest first");
    assert!(sizes.contains(&(4, 1)) && sizes.contains(&(5, 0)));
    for size in sizes {
        is_whole(&fewer::with_servers(&scenario(), size));
    }
}

#[test]
fn an_operation_takes_the_events_along_that_a_fault_counts() {
    let fewer = fewer::without_ops_and_events(&scenario(), 0..2);
    is_whole(&fewer);
    assert!(
        said(&fewer, "when")[0].contains("nth = 33"),
        "{:?}",
        said(&fewer, "when")
    );
    let mut counts_nothing = scenario();
    counts_nothing.plan.faults.clear();
    counts_nothing.plan.ops.pop();
    let same = fewer::without_ops_and_events(&counts_nothing, 0..1);
    assert_eq!(
        same, counts_nothing,
        "this is tried by `without_ops` already"
    );
}

#[test]
fn operations_are_handed_over_to_lower_numbers() {
    let pairs = (0..).map_while(|pair| fewer::handed_over(&scenario(), pair));
    let clients: Vec<Vec<String>> = pairs.map(|s| said(&s, "client")).collect();
    assert!(clients.contains(&vec!["1".into(), "1".into(), "3".into()]));
    assert!(clients.contains(&vec!["1".into(), "2".into(), "2".into()]));
    assert!(clients.iter().all(|clients| clients[0] == "1"));
}

#[test]
fn time_is_taken_from_before_a_point_and_all_after_it_comes_sooner() {
    assert_eq!(
        shorter::points(&scenario()),
        [1_000_000, 2_000_000, 3_000_000, 10_000_000]
    );
    let sooner = shorter::sooner(&scenario(), 1).expect("there is a second before it");
    is_whole(&sooner);
    assert_eq!(
        shorter::points(&sooner),
        [1_000_000, 1_500_000, 2_500_000, 9_500_000]
    );
    let half = shorter::at_half_time(&scenario()).expect("it is long enough");
    assert_eq!(
        shorter::points(&half),
        [500_000, 1_000_000, 1_500_000, 5_000_000]
    );

    let ended = shorter::ended_at(&scenario(), 2_000_000).expect("it is longer");
    is_whole(&ended);
    assert_eq!(
        (said(&ended, "duration"), ended.plan.ops.len()),
        (vec![r#""2s""#.into()], 2)
    );
    assert_eq!(shorter::ended_at(&ended, 2_000_000), None);
}

#[test]
fn halving_and_rounding_come_to_an_end() {
    let mut scenario = scenario();
    let mut steps = 0;
    let next = |scenario: &Scenario| {
        let halved = (0..shorter::durations(scenario)).find_map(|at| shorter::halved(scenario, at));
        let roundings = 0..shorter::roundings(scenario);
        let rounded = || roundings.filter_map(|at| shorter::rounded(scenario, at));
        halved.or_else(|| rounded().find(|rounded| zabsim::validate(&rounded.plan).is_ok()))
    };
    while let Some(shorter) = next(&scenario) {
        is_whole(&shorter);
        scenario = shorter;
        steps += 1;
        assert!(steps < 1_000, "{}", scenario.to_toml());
    }
    assert!(steps > 20, "{steps}");
}

#[test]
fn simplifying_comes_to_an_end_with_named_servers_and_plain_operations() {
    let mut scenario = scenario();
    scenario.plan.ensemble.snap_count = 77;
    let mut steps = 0;
    loop {
        let candidates = simpler::simpler(&scenario).into_iter().map(|change| {
            let mut out = scenario.clone();
            change(&mut out);
            out
        });
        let mut other = candidates.filter(|other| *other != scenario);
        let Some(simpler) = other.find(|other| zabsim::validate(&other.plan).is_ok()) else {
            break;
        };
        scenario = simpler;
        steps += 1;
        assert!(steps < 1_000, "{}", scenario.to_toml());
    }
    is_whole(&scenario);
    let text = scenario.to_toml();
    for gone in [
        "random-",
        "version = ",
        "watch = ",
        "snap_count = 77",
        "nth = ",
    ] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
}

#[test]
fn a_workload_written_out_asks_the_same_at_the_same_time() {
    let scenario = library::find("wiped-follower").expect("in the library");
    same_when_written_out(&scenario, 500);
}

/// Its operator may reconfigure the ensemble, and still may when nothing but the operations is left.
#[test]
fn what_an_operator_asked_for_is_allowed_when_it_is_written_out() {
    let mut scenario = library::find("reconfig-random").expect("in the library");
    scenario
        .workloads
        .retain(|workload| workload.kind == WorkloadKind::Members);
    let history = same_when_written_out(&scenario, 10);
    let reconfigured = history.iter().filter(|event| {
        let result = match &event.kind {
            HistoryKind::Ok { result, .. } => result,
            _ => return false,
        };
        matches!(result, Reply::Reconfigured { .. })
    });
    assert!(reconfigured.count() > 0, "{history:?}");
}

/// The history of what is written out of a scenario's run, which asks for more than so many operations.
fn same_when_written_out(scenario: &Scenario, least: usize) -> Vec<HistoryEvent> {
    let asked = |history: &[HistoryEvent]| -> Vec<_> {
        let end = scenario.plan.safety_us;
        let before_heal = history.iter().filter(|event| event.time.0 < end);
        before_heal
            .filter_map(|event| match &event.kind {
                HistoryKind::Invoke { request, .. } => {
                    Some((event.time, event.process, request.clone()))
                }
                _ => None,
            })
            .collect()
    };
    let first = run_scenario(scenario, "as programs", 3, false);
    let mut drawn = first.drawn;
    // What a run is given for its operator stands in no file.
    drawn.plan.ensemble.rules.first_configuration = None;
    let written = explicit::written_out(&drawn, &first.history);
    let [written] = written.as_slice() else {
        panic!("no recipe: one way to write it out")
    };
    assert!(written.workloads.is_empty());
    is_whole(written);
    let second = run_scenario(written, "written", 3, false);
    assert!(asked(&first.history).len() > least);
    assert_eq!(asked(&second.history), asked(&first.history));
    second.history
}

#[test]
fn a_recipe_may_stay_where_all_else_is_written_out() {
    let scenario = library::find("standard").expect("in the library");
    let run = run_scenario(&scenario, "standard", 3, false);
    let written = explicit::written_out(&run.drawn, &run.history);
    let kinds: Vec<Vec<&str>> = written
        .iter()
        .map(|s| {
            s.workloads
                .iter()
                .map(|workload| workload.kind.name())
                .collect()
        })
        .collect();
    assert_eq!(kinds[..2], [Vec::<&str>::new(), Vec::new()]);
    assert!(kinds[2].contains(&"lock"), "{kinds:?}");
    let has_locks = |s: &Scenario| s.to_toml().contains("create = \"/locks/l");
    assert!(has_locks(&written[0]) && !has_locks(&written[2]));

    // In between: what was held, by whom and for how long, as it was.
    let held = &written[1];
    is_whole(held);
    assert!(held.holds.len() > 50 && !has_locks(held));
    let taken = |history: &[HistoryEvent]| {
        let is_taken = |event: &&HistoryEvent| match &event.kind {
            HistoryKind::Recipe(recipe) => matches!(
                recipe.step,
                RecipeStep::LockAcquired { .. } | RecipeStep::LeaderElected { .. }
            ),
            _ => false,
        };
        history.iter().filter(is_taken).count()
    };
    let again = run_scenario(held, "held", 3, false);
    assert_eq!(
        again.report.verdict.word(),
        "pass",
        "{:?}",
        again.report.violation
    );
    let (before, after) = (taken(&run.history), taken(&again.history));
    // What waits in a line that another run's faults hold up is held later, or not at all.
    assert!(after * 5 > before * 2, "{after} of {before}");
    assert!(
        again
            .report
            .checks
            .iter()
            .any(|check| check.name == "mutual-exclusion" && check.examined > 0)
    );

    // They go as operations do, and with their clients.
    let count = held.holds.len();
    let fewer = fewer::without_holds(held, 0..count / 2);
    assert_eq!(fewer.holds.len(), count - count / 2);
    let without_1 = fewer::without_clients(held, 0..1);
    is_whole(&without_1);
    let of_1 = held.holds.iter().filter(|hold| hold.client == 1).count();
    assert!(of_1 > 0);
    assert_eq!(without_1.holds.len(), count - of_1);
    is_whole(&shorter::at_half_time(held).expect("it can be shorter"));
}
