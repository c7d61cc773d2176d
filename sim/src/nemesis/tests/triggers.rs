use super::*;

fn sent(at_ms: u64, message: &'static str, from: u8, to: u8) -> ProtocolEvent<'static> {
    ProtocolEvent {
        at: Time::from_ms(at_ms),
        server: ServerId(from),
        peer: Some(ServerId(to)),
        kind: EventKind::Send(message),
    }
}

fn received(at_ms: u64, message: &'static str, from: u8, to: u8) -> ProtocolEvent<'static> {
    ProtocolEvent {
        at: Time::from_ms(at_ms),
        server: ServerId(to),
        peer: Some(ServerId(from)),
        kind: EventKind::Receive(message),
    }
}

fn nemesis(faults: Vec<Fault>) -> Nemesis {
    let plan = plan(3, 0, 3, faults);
    validate(&plan).expect("the test's plan is valid");
    Nemesis::new(&plan, 1)
}

#[test]
fn a_fault_strikes_at_its_nth_event_and_then_nobody_listens_any_more() {
    let newleader = send("NEWLEADER", Some(Target::Leader), None);
    let crash = Action::Crash {
        target: Target::Receiver,
        after_effects: 2,
        unsynced: Default::default(),
    };
    let mut nemesis = nemesis(vec![fault("crash", on(newleader, 2), crash)]);
    let view = Painted::new(3, 0);
    assert!(nemesis.interested() && nemesis.timed().is_empty());
    assert_eq!(nemesis.untriggered(), ["crash"]);

    assert!(
        nemesis
            .observe(&sent(1, "NEWLEADER", 1, 2), &view)
            .is_empty(),
        "the first"
    );
    assert!(
        nemesis
            .observe(&sent(2, "NEWLEADER", 2, 3), &view)
            .is_empty(),
        "not the leader's"
    );
    assert!(
        nemesis
            .observe(&sent(3, "UPTODATE", 1, 3), &view)
            .is_empty(),
        "another message"
    );
    assert!(
        nemesis
            .observe(&received(3, "NEWLEADER", 1, 3), &view)
            .is_empty(),
        "not sent"
    );
    let event = sent(4, "NEWLEADER", 1, 3);
    assert_eq!(nemesis.observe(&event, &view), [0]);
    let target = nemesis.resolve(0, &Target::Receiver, &view, event.ends());
    assert_eq!(target, [ServerId(3)]);

    assert!(!nemesis.interested());
    assert!(
        nemesis
            .observe(&sent(5, "NEWLEADER", 1, 3), &view)
            .is_empty()
    );
    assert_eq!(nemesis.struck(0, Time::from_ms(4)), []);
    assert!(nemesis.untriggered().is_empty());
}

#[test]
fn a_script_of_several_steps_counts_from_the_step_before() {
    let uptodate = EventPattern::Receive {
        message: "UPTODATE".into(),
        from: None,
        to: Some(Target::Server(ServerId(3))),
    };
    let synced = Trigger::On {
        event: uptodate,
        nth: 1,
        not_before: Time::from_ms(10),
        after: Some("rejoin".into()),
    };
    let later = Trigger::After {
        label: "synced".into(),
        delay_us: 500_000,
    };
    let all = || Target::All;
    let mut nemesis = nemesis(vec![
        fault("rejoin", at_ms(8), Action::Restart { target: all() }),
        fault("synced", synced, Action::Mark),
        fault("pause", later, Action::Pause { target: all() }),
    ]);
    let view = Painted::new(3, 0);
    assert_eq!(nemesis.timed(), [(Time::from_ms(8), 0)]);
    assert!(!nemesis.interested(), "counting begins with `rejoin`");
    assert!(
        nemesis
            .observe(&received(7, "UPTODATE", 1, 3), &view)
            .is_empty()
    );
    assert_eq!(nemesis.struck(0, Time::from_ms(8)), []);
    assert!(nemesis.interested());
    assert!(
        nemesis
            .observe(&received(9, "UPTODATE", 1, 3), &view)
            .is_empty(),
        "too early"
    );
    assert_eq!(nemesis.observe(&received(11, "UPTODATE", 1, 3), &view), [1]);
    assert_eq!(
        nemesis.struck(1, Time::from_ms(11)),
        [(Time::from_ms(511), 2)]
    );
    assert_eq!(nemesis.untriggered(), ["pause"]);
    assert_eq!(
        nemesis.struck(1, Time::from_ms(12)),
        [],
        "a fault strikes once"
    );
}

#[test]
fn every_class_of_event_finds_its_pattern() {
    let file = zab::FileName::CurrentEpoch;
    let log = zab::FileName::Log {
        generation: 2,
        first: zab::Zxid(1 << 32 | 1),
    };
    let disk = |op: &str, file: Option<&str>| EventPattern::Disk {
        op: op.into(),
        file: file.map(String::from),
        at: Some(Target::AnyFollower),
    };
    let note = EventPattern::Note {
        note: "established".into(),
        at: None,
    };
    let reply = |client| EventPattern::Reply { client };
    let patterns = [
        disk("replace", Some("currentEpoch")),
        disk("append", Some("log")),
        disk("append", Some("log.2.1")),
        disk("append", Some("log.3")),
        disk("list", None),
        note,
        reply(None),
        reply(Some(2)),
    ];
    let faults = (0..)
        .zip(patterns)
        .map(|(i, pattern)| fault(&format!("f{i}"), on(pattern, 1), Action::Mark));
    let mut nemesis = nemesis(faults.collect());
    let view = Painted::new(3, 0);
    let mut observe = |server: u8, kind: EventKind<'_>| {
        let event = ProtocolEvent {
            at: Time::ZERO,
            server: ServerId(server),
            peer: None,
            kind,
        };
        nemesis.observe(&event, &view)
    };
    let replace = EventKind::Disk {
        op: "replace",
        file: Some(&file),
    };
    assert_eq!(observe(1, replace), [0; 0], "the leader's");
    assert_eq!(observe(2, replace), [0]);
    let append = EventKind::Disk {
        op: "append",
        file: Some(&log),
    };
    assert_eq!(observe(2, append), [1, 2]);
    let list = EventKind::Disk {
        op: "list",
        file: None,
    };
    assert_eq!(observe(2, list), [4]);
    assert_eq!(observe(2, EventKind::Note("established")), [5]);
    assert_eq!(observe(2, EventKind::Reply { client: 1 }), [6]);
    assert_eq!(observe(2, EventKind::Reply { client: 2 }), [7]);
    assert_eq!(nemesis.armed.iter().flatten().collect::<Vec<_>>(), [&3]);
}

#[test]
fn operations_are_timed_by_the_clock_and_by_faults() {
    let mut plan = plan(3, 0, 2, vec![fault("cut", at_ms(5), Action::Heal)]);
    let op = |at| crate::plan::ScriptedOp {
        client: 1,
        at,
        op: zabsim_types::Op::Exists {
            path: "/a".into(),
            watch: false,
        },
    };
    let after = Trigger::After {
        label: "cut".into(),
        delay_us: 1_000,
    };
    plan.ops = vec![op(at_ms(1)), op(after)];
    assert_eq!(validate(&plan), Ok(()));
    let nemesis = Nemesis::new(&plan, 1);
    assert_eq!(nemesis.ops_at(), [(Time::from_ms(1), 0)]);
    assert_eq!(
        nemesis.ops_after(0, Time::from_ms(5)),
        [(Time::from_ms(6), 1)]
    );
}

#[test]
fn an_event_that_a_random_fault_waited_for_in_vain_is_no_script_gone_wrong() {
    let trunc = || on(send("TRUNC", None, None), 1);
    let faults = vec![
        fault("random-crash-at-effect-1", trunc(), Action::Mark),
        fault("cut", trunc(), Action::Mark),
    ];
    assert_eq!(nemesis(faults).untriggered(), ["cut"]);
}

/// The lists that messages show are the names that the protocol gives.
#[test]
fn the_allowed_names_are_the_protocols() {
    for name in [
        "FOLLOWERINFO",
        zab::Message::UpToDate.name(),
        "NOTIFICATION",
    ] {
        assert!(MESSAGES.contains(&name));
    }
    let learner = zab::PeerId(3);
    let note = zab::Note::LearnerUpToDate { learner };
    assert!(NOTES.contains(&note_name(&note)));
    assert_eq!(note_peer(&note), Some(ServerId(3)));
    assert_eq!(note_name(&zab::Note::Mark("rollover")), "rollover");
    let moved = zabsim_server::Note::SessionMoved {
        session: zabsim_types::SessionId::NONE,
    };
    assert!(NOTES.contains(&service_note_name(&moved)));
    let list = zab::DiskOp::List {
        ticket: zab::Ticket(1),
    };
    assert_eq!(disk_event(&list), ("list", None));
}
