//! The format by example: what is read, and what is said of what cannot be.

use super::*;
use zabsim::plan::{Action, EventPattern, Target};

const SMALL: &str = "name = \"small\"\nabout = \"Small.\"\n";

fn parse(rest: &str) -> Result<Scenario, FormatError> {
    Scenario::parse("small.toml", &format!("{SMALL}{rest}"))
}

#[test]
fn a_scenario_is_a_few_lines() {
    let scenario = parse(
        r#"
servers = 5
clients = 2

[[workload]]
kind = "registers"

[[fault]]
at = "5s"
do = { partition = [["leader"], ["rest"]] }
for = "8s"

[[fault]]
label = "torn"
when = { send = "NEWLEADER", from = "leader", nth = 2 }
do = { crash = "receiver", after_effects = 2, unsynced = "torn" }
"#,
    )
    .expect("it is right");
    let [partition, crash] = scenario.plan.faults.as_slice() else {
        panic!("two faults")
    };
    assert_eq!(partition.label, "fault-1");
    assert_eq!(partition.lasts_us, Some(8_000_000));
    assert_eq!(
        partition.action,
        Action::Partition {
            groups: vec![vec![Target::Leader], vec![Target::Rest]]
        }
    );
    let Trigger::On { event, nth: 2, .. } = &crash.trigger else {
        panic!("{:?}", crash.trigger)
    };
    assert_eq!(
        *event,
        EventPattern::Send {
            message: "NEWLEADER".into(),
            from: Some(Target::Leader),
            to: None
        }
    );
}

/// What is wrong, and what the message must say: the line, what was found, what was allowed.
#[test]
fn a_mistake_is_named_with_its_line_and_what_was_allowed() {
    for (rest, line, said) in [
        ("server = 3\n", 3, &["unknown key `server`", "servers"][..]),
        ("servers = \"three\"\n", 3, &["whole number", "string"]),
        ("servers = 0\n", 3, &["0", "1 to 21"]),
        ("servers = 100\n", 3, &["100", "1 to 21"]),
        ("clients = -1\n", 3, &["-1", "0 to 500"]),
        ("duration = \"5 s\"\n", 3, &["\"5 s\"", "us, ms, s, m, h"]),
        ("duration = 5\n", 3, &["a time with its unit"]),
        (
            "duration = \"100000h\"\n",
            3,
            &["\"100000h\"", "at most", "8760h"],
        ),
        (
            "duration = \"99999999999999999999us\"\n",
            3,
            &["at most", "8760h"],
        ),
        ("tick = \"100000h\"\n", 3, &["\"100000h\"", "1ms to 1h"]),
        (
            "[[fault]]\nat = \"1s\"\ndo = { explode = \"s1\" }\n",
            5,
            &["exactly one action", "crash", "partition"],
        ),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crash = \"boss\" }\n",
            5,
            &["\"boss\" is no target", "leader", "random-N"],
        ),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crash = \"s1\", hard = true }\n",
            5,
            &["unknown key `hard`", "after_effects"],
        ),
        (
            "[[fault]]\ndo = { crash = \"s1\" }\n",
            3,
            &["exactly one of the keys `at`, `when`, `after`"],
        ),
        (
            "[[fault]]\nafter = \"nothing\"\ndo = { crash = \"s1\" }\n",
            4,
            &["no fault before this one"],
        ),
        (
            "[[fault]]\nwhen = { send = \"HELLO\" }\ndo = { heal = true }\n",
            4,
            &["\"HELLO\"", "NEWLEADER"],
        ),
        (
            "[[workload]]\nkind = \"chess\"\n",
            4,
            &["\"chess\"", "registers", "lock"],
        ),
        (
            "[random]\nprofile = \"wild\"\n",
            4,
            &["\"wild\"", "standard"],
        ),
        (
            "tick = \"1s\"\n[random]\nprofile = \"any\"\nwhole = true\n",
            3,
            &["this is drawn", "whole = true"],
        ),
        ("[climate]\nclient_link = \"1us\"\n", 4, &["1ms"]),
        ("[expect]\nverdict = \"good\"\n", 4, &["\"good\"", "pass"]),
        ("servers = \n", 3, &["not TOML"]),
        ("servers = 3\nservers = 4\n", 4, &["not TOML"]),
    ] {
        let error = parse(rest).expect_err(rest);
        assert_eq!(
            (error.file.as_str(), error.line),
            ("small.toml", line),
            "{rest}: {error}"
        );
        for part in said {
            assert!(
                error.message.contains(part),
                "{rest}: {error} does not say {part}"
            );
        }
    }
}

#[test]
fn a_fault_on_a_server_that_does_not_exist_is_refused() {
    for (rest, said) in [
        (
            "servers = 3\n[[fault]]\nat = \"1s\"\ndo = { crash = \"s4\" }\n",
            "s4",
        ),
        (
            "servers = 3\n[[fault]]\nat = \"1s\"\ndo = { crash = \"random-4\" }\n",
            "4",
        ),
        (
            "servers = 3\n[[fault]]\nat = \"1s\"\ndo = { crash = \"observer-1\" }\n",
            "observer",
        ),
        (
            "clients = 2\n[[fault]]\nat = \"1s\"\ndo = { client_crash = [3] }\n",
            "3",
        ),
        (
            "clients = 2\n[[workload]]\nkind = \"lock\"\nclients = [3]\n",
            "3",
        ),
        (
            "clients = 2\n[[op]]\nclient = 3\nat = \"1s\"\ndo = { get = \"/\" }\n",
            "3",
        ),
    ] {
        let error = parse(rest).expect_err(rest);
        assert!(error.message.contains(said), "{rest}: {error}");
    }
}

/// What only the whole shows is named with the line of the key that is to blame too, wherever in its table that stands.
#[test]
fn what_does_not_exist_is_named_with_the_line_of_its_key() {
    for (rest, line, said) in [
        ("at = \"1s\"\ndo = { crash = \"s9\" }\n", 5, "s9"),
        (
            "label = \"a\"\nfor = \"1s\"\nat = \"1s\"\ndo = { pause = \"observer-3\" }\n",
            7,
            "observer 3",
        ),
        (
            "[fault.do]\nafter_effects = 1\ncrash = [\"random-2\", \"random-4\"]\n[fault.when]\nnth = 2\nsend = \"COMMIT\"\n",
            6,
            "random-4",
        ),
        (
            "do = { partition = [\n  [\"random-2\"],\n  [\"random-2\"],\n] }\nat = \"1s\"\n",
            4,
            "draw 4 servers of 3",
        ),
        ("do = { mark = true }\nat = \"2h\"\n", 5, "the faults end"),
        (
            "do = { mark = true }\n[fault.when]\nnth = 2\nsend = \"COMMIT\"\nfrom = \"s9\"\n",
            7,
            "s9",
        ),
        (
            "do = { mark = true }\nwhen = { reply = 4 }\n",
            5,
            "client 4",
        ),
        (
            "do = { mark = true }\nwhen = { reply = 1, after = \"b\" }\n",
            5,
            "no fault before",
        ),
        (
            "do = { mark = true }\nat = \"1s\"\ndelay = \"1s\"\n",
            6,
            "unknown key `delay`",
        ),
        (
            "do = { heal = true }\nat = \"1s\"\nfor = \"1s\"\n",
            6,
            "no end to set",
        ),
        (
            "at = \"1s\"\ndo = { mark = true }\nlabel = \"\"\n",
            6,
            "no label",
        ),
        (
            "at = \"1s\"\ndo = { mark = true }\nlabel = \"a\"\n[[fault]]\nat = \"1s\"\nlabel = \"a\"\ndo = { mark = true }\n",
            9,
            "two faults",
        ),
        ("at = \"1s\"\ndo = { client_cut = [1, 4] }\n", 5, "client 4"),
    ] {
        let error = parse(&format!("[[fault]]\n{rest}")).expect_err(rest);
        assert_eq!(error.line, line, "{rest}: {error}");
        assert!(error.message.contains(said), "{rest}: {error}");
    }
    for (rest, line) in [
        ("[[op]]\nat = \"1s\"\nclient = 4\ndo = { get = \"/\" }\n", 5),
        ("[[op]]\nclient = 3\ndo = { get = \"/\" }\nat = \"2h\"\n", 6),
        (
            "[[op]]\nclient = 3\ndo = { get = \"/\" }\nafter = \"nothing\"\n",
            6,
        ),
        ("[[workload]]\nkind = \"lock\"\nclients = [1, 4]\n", 5),
        ("clients = 0\n[[workload]]\nkeys = 1\nkind = \"lock\"\n", 6),
    ] {
        let error = parse(rest).expect_err(rest);
        assert_eq!(error.line, line, "{rest}: {error}");
    }
}

#[test]
fn an_empty_file_is_no_scenario() {
    for text in ["", "\n\n  \n", "# nothing\n"] {
        Scenario::parse("empty.toml", text).expect_err(text);
    }
}

/// The file with every key is one that can be run, and has indeed every key: the reader asks for no other. A key that it
/// does not know, the reader would have refused.
#[test]
fn the_file_with_every_key_is_read_and_has_every_key() {
    let scenario = Scenario::parse("format.toml", spelling::EVERY_KEY)
        .unwrap_or_else(|error| panic!("{error}"));
    // What an example of each key leads the reader to ask for.
    for (_, lines) in spelling::FAULTS {
        fault(lines);
    }
    let asked = reader::tests::keys_asked();
    assert!(asked.len() > 90, "{asked:?}");
    for (table, key) in asked {
        let written = |text: &str| {
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.any(|word| word == key)
        };
        let key_of = |line: &str| line.split(" = ").any(written);
        assert!(
            spelling::EVERY_KEY.lines().any(key_of),
            "the key `{key}` of {table} is missing"
        );
    }
    for action in ACTIONS {
        assert!(
            spelling::EVERY_KEY.contains(&format!("do = {{ {action} = ")),
            "{action}"
        );
    }
    for op in OPS {
        assert!(spelling::EVERY_KEY.contains(&format!("{{ {op} = ")), "{op}");
    }
    // It is in the defaults that a file is most easily wrong.
    let least = parse("").expect("`name` is enough");
    assert_eq!(scenario.plan.climate, least.plan.climate);
    assert_eq!(scenario.plan.safety_us, least.plan.safety_us);
    assert_eq!(
        scenario.plan.session_timeout_ms,
        least.plan.session_timeout_ms
    );
    let ensemble = zabsim::plan::Ensemble {
        voters: 3,
        observers: 0,
        joiners: 0,
        groups: Vec::new(),
        weights: BTreeMap::new(),
        rules: zabsim::Rules {
            super_digest: None,
            ..scenario.plan.ensemble.rules.clone()
        },
        ..scenario.plan.ensemble
    };
    assert_eq!(ensemble, least.plan.ensemble);
    assert_eq!(scenario.plan.clients, least.plan.clients);
    let kind = |rest: &str| {
        let workload = format!("[[workload]]\nkind = \"mixed\"\n{rest}");
        parse(&workload).expect("it is right").workloads.remove(0)
    };
    let said = "ops = [\"create\", \"set\", \"get\"]\nclients = [1, 2]\n";
    assert_eq!(scenario.workloads, [kind(said)]);
}

fn fault(lines: &str) -> Fault {
    let at = if lines.contains("when = ") {
        ""
    } else {
        "at = \"1s\"\n"
    };
    let text = format!(
        "{SMALL}clients = 3\n[[fault]]\nlabel = \"label\"\nat = \"1s\"\ndo = {{ mark = true }}\n[[fault]]\n{at}{lines}\n"
    );
    let scenario =
        Scenario::parse("fault.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    scenario.plan.faults[1].clone()
}

#[test]
fn every_kind_of_fault_is_spelled_so_that_it_is_that_kind() {
    let kinds: Vec<&str> = zabsim::FAULT_KINDS.iter().map(|(kind, _)| *kind).collect();
    let spelled: Vec<&str> = spelling::FAULTS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(spelled, kinds);
    for (kind, lines) in spelling::FAULTS {
        assert_eq!(fault(lines).kind(), *kind, "{lines}");
    }
}

#[test]
fn every_trigger_and_every_operation_that_is_spelled_can_be_read() {
    for (when, _) in spelling::TRIGGERS {
        let text = format!(
            "[[fault]]\nlabel = \"label\"\nat = \"1s\"\ndo = {{ mark = true }}\n[[fault]]\n{when}\ndo = {{ mark = true }}\n"
        );
        parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    for (what, _) in spelling::OPERATIONS {
        let text = format!("clients = 1\n[[op]]\nclient = 1\nat = \"1s\"\n{what}\n");
        parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    for op in OPS {
        let spelled = |(what, _): &(&str, &str)| what.starts_with(&format!("do = {{ {op} = "));
        assert!(spelling::OPERATIONS.iter().any(spelled), "{op}");
    }
}

/// Of a scenario in which everything is drawn, what is planted is not: it is written and read like its name.
#[test]
fn what_is_planted_is_kept_also_where_the_rest_is_drawn() {
    let text = "bugs = [\"zookeeper-4643\", \"vote-by-id-first\"]\n[random]\nprofile = \"any\"\nwhole = true\n";
    let planted = parse(text).expect("it is a scenario");
    let bugs = Planted::of(&[Bug::EpochBeforeHistory, Bug::VoteById]);
    assert_eq!(planted.plan.bugs, bugs);
    assert_eq!(planted.draw(7).plan.bugs, bugs);
    for scenario in [planted.clone(), planted.draw(7)] {
        let again = Scenario::parse("again", &scenario.to_toml());
        assert_eq!(again.expect("it is read back"), scenario);
    }
}
