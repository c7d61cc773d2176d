use super::*;

fn complaint(faults: Vec<Fault>) -> String {
    validate(&plan(3, 1, 2, faults)).expect_err("it is not valid")
}

/// Who reads a plan from a file can say where in it the complaint belongs.
#[test]
fn the_part_that_is_to_blame_is_named() {
    let blamed = |plan: &Plan| validate_entries(plan).expect_err("it is not valid").entry;
    let fine = || fault("fine", at_ms(1), Action::Mark);
    let second = |second: Fault| blamed(&plan(3, 1, 2, vec![fine(), second]));
    let nobody = || pause(Target::Server(ServerId(9)));
    let of_second = |part| Some(PlanEntry::Fault(1, part));

    assert_eq!(
        second(fault("f", at_ms(1), nobody())),
        of_second(Part::Action)
    );
    let late = fault("f", Trigger::At(Time(u64::MAX)), Action::Mark);
    assert_eq!(second(late), of_second(Part::Trigger));
    let itself = Trigger::After {
        label: "f".into(),
        delay_us: 0,
    };
    assert_eq!(
        second(fault("f", itself, Action::Mark)),
        of_second(Part::Trigger)
    );
    assert_eq!(second(fine()), of_second(Part::Label));
    let lasting = Fault {
        lasts_us: Some(1),
        ..fault("f", at_ms(1), Action::Mark)
    };
    assert_eq!(second(lasting), of_second(Part::Lasts));

    let op = |client, at| crate::plan::ScriptedOp {
        client,
        at,
        op: zabsim_types::Op::Exists {
            path: "/a".into(),
            watch: false,
        },
    };
    let with_op = |op| {
        let mut plan = plan(3, 1, 2, vec![fine()]);
        plan.ops.push(op);
        blamed(&plan)
    };
    let of_op = |part| Some(PlanEntry::Op(0, part));
    assert_eq!(with_op(op(3, at_ms(1))), of_op(Part::Client));
    let never = Trigger::At(Time(u64::MAX));
    assert_eq!(with_op(op(1, never)), of_op(Part::Trigger));

    assert_eq!(blamed(&plan(0, 0, 2, vec![fine()])), None);
}

fn pause(target: Target) -> Action {
    Action::Pause { target }
}

#[track_caller]
fn refused(action: Action, why: &str) {
    assert_eq!(
        complaint(vec![fault("f", at_ms(1), action)]),
        format!("fault `f`: {why}")
    );
}

#[test]
fn servers_that_do_not_exist() {
    refused(
        pause(Target::Server(ServerId(9))),
        "s9 does not exist; the servers are s1 to s4",
    );
    refused(
        pause(Target::Server(ServerId(0))),
        "s0 does not exist; the servers are s1 to s4",
    );
    refused(
        pause(Target::Follower(3)),
        "follower 3 does not exist; they are counted from 1 to 2",
    );
    refused(
        pause(Target::Observer(2)),
        "observer 2 does not exist; they are counted from 1 to 1",
    );
    refused(
        pause(Target::Random(5)),
        "random-5: the ensemble has 4 servers to draw from",
    );
    refused(
        pause(Target::Several(vec![])),
        "a list of targets names nobody",
    );
    refused(
        pause(Target::Several(vec![Target::Leader, Target::Random(0)])),
        "random-0: the ensemble has 4 servers to draw from",
    );
}

#[test]
fn targets_that_lean_on_what_is_not_there() {
    refused(
        pause(Target::Sender),
        "`sender` means the sender of the event that triggers the fault; here is none",
    );
    refused(
        pause(Target::Rest),
        "`rest` means those that the other groups of a partition, or the other end of a link, do not name; \
         here are none",
    );
    let reply = on(EventPattern::Reply { client: None }, 1);
    let why = complaint(vec![fault("f", reply, pause(Target::Receiver))]);
    assert!(
        why.contains("`receiver` means the receiver of the message"),
        "{why}"
    );
    let from_sender = on(send("PROPOSAL", Some(Target::Sender), None), 1);
    let why = complaint(vec![fault("f", from_sender, Action::Mark)]);
    assert!(why.contains("here is none"), "{why}");
    let fine = on(send("PROPOSAL", None, None), 1);
    let fine = fault("f", fine, pause(Target::Receiver));
    assert_eq!(validate(&plan(3, 0, 0, vec![fine])), Ok(()));
}

#[test]
fn names_that_nobody_uses() {
    let why = complaint(vec![fault(
        "f",
        on(send("NEWLEADR", None, None), 1),
        Action::Mark,
    )]);
    assert!(
        why.starts_with(
            "fault `f`: `NEWLEADR` is no packet type; allowed: FOLLOWERINFO, OBSERVERINFO,"
        ),
        "{why}"
    );
    let disk = |op: &str, file: &str| {
        let (op, file) = (op.into(), Some(file.into()));
        complaint(vec![fault(
            "f",
            on(EventPattern::Disk { op, file, at: None }, 1),
            Action::Mark,
        )])
    };
    assert!(
        disk("fsync", "log")
            .starts_with("fault `f`: `fsync` is no disk operation; allowed: append,")
    );
    assert_eq!(
        disk("sync", "lock"),
        "fault `f`: no file's name begins with `lock`; they begin with acceptedEpoch, currentEpoch, \
         configuration, initialized, log., snapshot."
    );
    let (note, at) = ("Established".into(), None);
    let why = complaint(vec![fault(
        "f",
        on(EventPattern::Note { note, at }, 1),
        Action::Mark,
    )]);
    assert!(
        why.starts_with(
            "fault `f`: `Established` is no note; allowed: a mark's name, or recovered,"
        ),
        "{why}"
    );
    let slow = Action::SlowStage {
        target: Target::Leader,
        stage: "commit".into(),
        extra_us: (1, 2),
    };
    refused(
        slow,
        "`commit` is no stage; allowed: prepare, apply, snapshot",
    );
}

#[test]
fn groups_and_ranges_without_anything() {
    let partition = |groups| Action::Partition { groups };
    let (leader, rest) = (|| vec![Target::Leader], || vec![Target::Rest]);
    refused(
        partition(vec![leader()]),
        "a partition into 1 group; it needs two at least",
    );
    refused(
        partition(vec![leader(), vec![]]),
        "group 2 of the partition names nobody",
    );
    refused(
        partition(vec![rest(), rest()]),
        "two groups of the partition are the rest",
    );
    refused(
        partition(vec![vec![Target::Random(3)], vec![Target::Random(2)]]),
        "the groups of the partition draw 5 servers of 4",
    );
    refused(
        partition(vec![leader(), vec![Target::Server(ServerId(7))]]),
        "group 2 of the partition: s7 does not exist; the servers are s1 to s4",
    );
    let delay = Action::Delay {
        between: Target::Leader,
        and: Target::Rest,
        extra_us: (5, 4),
    };
    refused(delay, "delay: the least, 5 µs, is above the most, 4 µs");
}

#[test]
fn clients_labels_times_and_counts() {
    let cut = |clients| Action::ClientCut { clients };
    refused(cut(vec![1, 3]), "client 3: the clients are 1 to 2");
    let lonely = plan(3, 0, 0, vec![fault("f", at_ms(1), cut(vec![]))]);
    assert_eq!(
        validate(&lonely),
        Err("fault `f`: there are no clients".into())
    );

    let twice = vec![
        fault("f", at_ms(1), Action::Mark),
        fault("f", at_ms(2), Action::Mark),
    ];
    assert_eq!(complaint(twice), "two faults have the label `f`");
    let after = |label: &str| Trigger::After {
        label: label.into(),
        delay_us: 1,
    };
    assert_eq!(
        complaint(vec![fault("f", after("g"), Action::Mark)]),
        "fault `f`: it waits for `g`, which no fault is called; there are: f"
    );
    let circle = vec![
        fault("f", after("g"), Action::Mark),
        fault("g", after("f"), Action::Mark),
    ];
    assert_eq!(complaint(circle), "fault `f` waits for itself");
    assert_eq!(
        complaint(vec![fault("f", at_ms(60_001), Action::Mark)]),
        "fault `f`: it is to strike at 60.001s, and the faults end at 60.000s"
    );
    let never = on(send("PING", None, None), 0);
    assert_eq!(
        complaint(vec![fault("f", never, Action::Mark)]),
        "fault `f`: events are counted from 1, not from 0"
    );
    let mut reset = fault("f", at_ms(1), Action::Mark);
    reset.lasts_us = Some(5);
    assert_eq!(
        complaint(vec![reset]),
        "fault `f`: `mark` does not last: it has no end to set"
    );
}

#[test]
fn ensembles_that_cannot_be() {
    let complaint = |change: fn(&mut Plan)| {
        let mut plan = plan(3, 1, 2, Vec::new());
        assert_eq!(validate(&plan), Ok(()));
        change(&mut plan);
        validate(&plan).expect_err("it is not valid")
    };
    let no_voters = complaint(|p| p.ensemble.voters = 0);
    assert_eq!(
        no_voters,
        "an ensemble needs at least one voter; 1 servers, no voter"
    );
    let hundred = complaint(|p| p.ensemble.voters = 99);
    assert_eq!(hundred, "100 servers; at most 21 are allowed");
    assert_eq!(complaint(|p| p.ensemble.tick_ms = 0), "the tick is zero");
    let groups = |groups: &[&[u8]]| -> Vec<Vec<ServerId>> {
        groups
            .iter()
            .map(|g| g.iter().copied().map(ServerId).collect())
            .collect()
    };
    let mut grouped = plan(3, 1, 2, Vec::new());
    for (given, why) in [
        (
            groups(&[&[1, 2]]),
            "s3 is in no group of the quorum; every voter is in exactly one",
        ),
        (
            groups(&[&[1, 2], &[2, 3]]),
            "s2 is in two groups of the quorum",
        ),
        (groups(&[&[1, 2, 3], &[]]), "group 2 of the quorum is empty"),
        (
            groups(&[&[1, 2, 3, 4]]),
            "group 1 of the quorum names s4; the voters are s1 to s3",
        ),
    ] {
        grouped.ensemble.groups = given;
        assert_eq!(validate(&grouped), Err(why.into()));
    }
    let weight = complaint(|p| p.ensemble.weights = [(ServerId(4), 2)].into());
    assert_eq!(weight, "a weight for s4; the voters are s1 to s3");
    let nothing = complaint(|p| p.ensemble.weights = [1, 2, 3].map(|s| (ServerId(s), 0)).into());
    assert_eq!(
        nothing,
        "no voter has a weight above zero: there is no quorum"
    );
    let fast = complaint(|p| p.climate.client_link_us = (10, 20));
    assert_eq!(
        fast,
        "links of clients take 10 µs at least; not less than 1,000 µs are allowed"
    );
}
