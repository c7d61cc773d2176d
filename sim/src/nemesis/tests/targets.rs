use super::*;

fn nemesis_of(action: Action) -> Nemesis {
    Nemesis::new(&plan(5, 2, 4, vec![fault("f", at_ms(1), action)]), 7)
}

fn resolve(target: &Target, view: &Painted) -> Vec<u8> {
    let mut nemesis = nemesis_of(Action::Mark);
    let servers = nemesis.resolve(0, target, view, Ends::default());
    servers.into_iter().map(|s| s.0).collect()
}

#[test]
fn targets_mean_who_is_what_now() {
    let mut view = Painted::new(5, 2);
    view.leader = Some(ServerId(3));
    view.synchronizing = vec![ServerId(5)];
    assert_eq!(resolve(&Target::Leader, &view), [3]);
    assert_eq!(resolve(&Target::Follower(2), &view), [2]);
    assert_eq!(resolve(&Target::Follower(3), &view), [4]);
    assert_eq!(resolve(&Target::Observer(2), &view), [7]);
    assert_eq!(resolve(&Target::Learner, &view), [5]);
    assert_eq!(resolve(&Target::Server(ServerId(6)), &view), [6]);
    assert_eq!(resolve(&Target::All, &view), [1, 2, 3, 4, 5, 6, 7]);
    let several = Target::Several(vec![
        Target::Leader,
        Target::Follower(1),
        Target::Server(ServerId(3)),
    ]);
    assert_eq!(resolve(&several, &view), [3, 1], "each once");
    view.leader = None;
    view.synchronizing.clear();
    assert_eq!(resolve(&Target::Leader, &view), [0_u8; 0]);
    assert_eq!(resolve(&Target::Learner, &view), [0_u8; 0]);
    assert_eq!(resolve(&Target::Sender, &view), [0_u8; 0]);
}

#[test]
fn a_majority_holds_the_leader_and_the_minority_is_what_it_leaves() {
    let mut view = Painted::new(5, 2);
    view.leader = Some(ServerId(4));
    view.down = [ServerId(1), ServerId(2)].into();
    let majority = resolve(&Target::Majority, &view);
    assert_eq!(majority, [3, 4, 5], "those that are up come first");
    assert_eq!(resolve(&Target::Minority, &view), [1, 2]);
    view.down.clear();
    let (majority, minority) = (
        resolve(&Target::Majority, &view),
        resolve(&Target::Minority, &view),
    );
    assert!(majority.len() == 3 && majority.contains(&4));
    assert!(minority.len() == 2 && minority.iter().all(|s| !majority.contains(s)));
}

#[test]
fn what_is_drawn_is_up_unless_it_is_to_be_started() {
    let mut view = Painted::new(5, 0);
    view.down = [2, 3].map(ServerId).into();
    for seed in 0..20 {
        let all = |action| Nemesis::new(&plan(5, 0, 0, vec![fault("f", at_ms(1), action)]), seed);
        let two = Target::Random(2);
        let mut pausing = all(Action::Pause {
            target: two.clone(),
        });
        let paused = pausing.resolve(0, &two, &view, Ends::default());
        assert!(paused.iter().all(|s| view.is_up(*s)), "{paused:?}");
        let mut starting = all(Action::Restart {
            target: two.clone(),
        });
        let started = starting.resolve(0, &two, &view, Ends::default());
        assert_eq!(started, [2, 3].map(ServerId));
        let four = pausing.resolve(0, &Target::Random(4), &view, Ends::default());
        assert_eq!(four.len(), 4, "as many as asked for, down or not");
    }
}

#[test]
fn a_partitions_groups_are_apart_and_the_rest_is_everybody_else() {
    let view = Painted::new(5, 2);
    for seed in 0..50 {
        let mut nemesis = Nemesis::new(
            &plan(5, 2, 0, vec![fault("f", at_ms(1), Action::Mark)]),
            seed,
        );
        let mut split =
            |groups: &[Vec<Target>]| nemesis.resolve_groups(0, groups, &view, Ends::default());
        let leader = split(&[vec![Target::Leader], vec![Target::Rest]]);
        assert_eq!(leader, [vec![ServerId(1)], (2..=7).map(ServerId).collect()]);
        let drawn = split(&[
            vec![Target::Random(2)],
            vec![Target::Leader],
            vec![Target::Rest],
        ]);
        assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 4]);
        assert!(!drawn[0].contains(&ServerId(1)), "no accidental bridge");
        let halves = split(&[vec![Target::Minority], vec![Target::Majority]]);
        assert!(halves[0].iter().all(|s| !halves[1].contains(s)));
        let bridge = split(&[
            vec![Target::Server(ServerId(2)), Target::Leader],
            vec![Target::Server(ServerId(2)), Target::Rest],
        ]);
        assert_eq!(bridge[0], [2, 1].map(ServerId));
        assert_eq!(bridge[1], [2, 3, 4, 5, 6, 7].map(ServerId));
    }
}

#[test]
fn the_two_ends_of_a_link_are_two() {
    let view = Painted::new(3, 0);
    for seed in 0..50 {
        let mut nemesis = Nemesis::new(
            &plan(3, 0, 0, vec![fault("f", at_ms(1), Action::Mark)]),
            seed,
        );
        let mut ends = |a, b| nemesis.resolve_ends(0, &a, &b, &view, Ends::default());
        let one = || Target::Random(1);
        let (a, b) = ends(one(), one());
        assert!(a.len() == 1 && b.len() == 1 && a != b);
        let (a, b) = ends(one(), Target::Leader);
        assert!(a.len() == 1 && a != [ServerId(1)] && b == [ServerId(1)]);
        let (a, b) = ends(Target::Leader, Target::All);
        assert_eq!((a, b), (vec![ServerId(1)], vec![ServerId(2), ServerId(3)]));
        let (a, b) = ends(one(), Target::All);
        assert!(a.len() == 1 && b.len() == 2);
    }
}

#[test]
fn drawn_clients_are_one_and_moved_ones_are_all() {
    let none = Vec::new;
    let drawn = nemesis_of(Action::ClientCrash { clients: none() }).clients(0);
    assert!(drawn.len() == 1 && (1..=4).contains(&drawn[0]));
    assert_eq!(
        nemesis_of(Action::ClientCut { clients: none() }).clients(0),
        [1, 2, 3, 4]
    );
    let moved = Action::ClientMove {
        clients: vec![2],
        to: None,
    };
    assert_eq!(nemesis_of(moved).clients(0), [2]);
    assert!(nemesis_of(Action::Mark).clients(0).is_empty());
}

/// What shrinking rests on.
#[test]
fn a_fault_taken_out_of_a_plan_changes_nothing_about_the_others() {
    let view = Painted::new(5, 2);
    let names = ["a", "b", "c", "d"];
    let faults = |left_out: Option<&str>| -> Vec<Fault> {
        let kept = names.iter().filter(|name| Some(**name) != left_out);
        kept.map(|name| fault(name, at_ms(1), Action::Mark))
            .collect()
    };
    let draws = |left_out: Option<&str>| -> BTreeMap<String, Vec<Vec<ServerId>>> {
        let plan = plan(5, 2, 0, faults(left_out));
        let mut nemesis = Nemesis::new(&plan, 3);
        let mut draws = BTreeMap::new();
        for index in (0..plan.faults.len()).rev() {
            let targets = [Target::Random(3), Target::Majority, Target::AnyFollower];
            let resolved = targets.map(|t| nemesis.resolve(index, &t, &view, Ends::default()));
            draws.insert(nemesis.fault(index).label.clone(), resolved.into());
        }
        draws
    };
    let mut all = draws(None);
    let without = draws(Some("b"));
    all.remove("b");
    assert_eq!(without, all);
    let different: BTreeSet<_> = all.values().collect();
    assert!(different.len() > 1, "each has draws of its own");
}
