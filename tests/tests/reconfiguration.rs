//! The two readers of reconfigurations, the reference model's and the server's, are written apart: whatever a request says, they
//! say the same of it.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed};
use std::collections::BTreeMap;
use zabsim_model::{Model, Rights, Settings, Stamp};
use zabsim_server::Change;
use zabsim_types::{Data, ErrorCode, Id, Op, Reply, SessionId, Zxid};

const VERSION: Zxid = Zxid::new(1, 2);

#[derive(Clone, Debug)]
struct Asked {
    node: String,
    joining: Option<String>,
    leaving: Option<String>,
    new_members: Option<String>,
    from_config: i64,
}

fn by_server(asked: &Asked) -> Result<String, ErrorCode> {
    let change = Change {
        joining: asked.joining.as_deref(),
        leaving: asked.leaving.as_deref(),
        new_members: asked.new_members.as_deref(),
        from_config: asked.from_config,
    };
    let made = change.make(&asked.node, VERSION);
    made.map(|(text, quorum)| {
        quorum.validate().expect("an ensemble");
        text
    })
}

fn by_model(asked: &Asked) -> Result<String, ErrorCode> {
    let mut model = Model::with(Settings {
        reconfig_enabled: true,
        first_configuration: Some(asked.node.as_str().into()),
        ..Settings::default()
    });
    let op = Op::Reconfig {
        joining: asked.joining.as_deref().map(Into::into),
        leaving: asked.leaving.as_deref().map(Into::into),
        new_members: asked.new_members.as_deref().map(Into::into),
        from_config: asked.from_config,
    };
    let stamp = Stamp {
        session: SessionId::NONE,
        zxid: VERSION,
        time_ms: 0,
    };
    let rights = Rights {
        ids: &[Id::new("super", "")],
        as_of: None,
    };
    match model.write_as(&op, stamp, rights)? {
        Reply::Reconfigured { data, stat } => {
            assert_eq!((stat.version, stat.mzxid), (-1, VERSION));
            Ok(text(&data))
        }
        other => panic!("{other:?}"),
    }
}

fn text(data: &Data) -> String {
    String::from_utf8(data.as_deref().expect("it holds something").to_vec()).expect("it is text")
}

/// One of these; the first half of them mostly.
fn one_of(usual: &'static [&'static str], odd: &'static [&'static str]) -> BoxedStrategy<String> {
    prop_oneof![19 => select(usual), 1 => select(odd)]
        .prop_map(str::to_owned)
        .boxed()
}

fn number() -> BoxedStrategy<String> {
    one_of(
        &["1", "2", "3", "4", "5", "6", "7"],
        &[
            "0",
            "127",
            "128",
            "300",
            "-1",
            "+2",
            "01",
            "",
            "one",
            " 3",
            "9223372036854775808",
        ],
    )
}

fn port() -> BoxedStrategy<String> {
    one_of(
        &["1", "2", "3", "2888", "65535"],
        &["0", "+7", "-1", "65536", "2147483648", "", "x", " 1"],
    )
}

fn host() -> BoxedStrategy<String> {
    one_of(
        &[
            "a",
            "b",
            "c",
            "d",
            "e",
            "f.example",
            "G",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "[fe80::2]",
        ],
        &[
            "", "A", "[::", "[a]x", "[a]", "a b", "ü", "0.0.0.0", "a/b", "[]", "a\tb", "\\u0061",
        ],
    )
}

fn client() -> BoxedStrategy<String> {
    prop_oneof![
        6 => port().prop_map(|port| format!(";{port}")),
        3 => (host(), port()).prop_map(|(host, port)| format!(";{host}:{port}")),
        2 => Just(String::new()),
        1 => one_of(&[";"], &[";;", ";1;2", ";:", ";a:1:2", ";[2181]", ";[a]:", "; 1"]),
    ]
    .boxed()
}

fn address() -> BoxedStrategy<String> {
    let role = one_of(
        &["", "", ":participant", ":observer"],
        &[
            ":",
            ":OBSERVER",
            ": participant ",
            ":leader",
            ":observer:1",
            "|b:8:9",
        ],
    );
    let usual = (host(), port(), port(), role, client());
    let usual = usual
        .prop_map(|(host, one, two, role, client)| format!("{host}:{one}:{two}{role}{client}"));
    prop_oneof![
        40 => usual,
        1 => one_of(&["a", "a:1"], &["", ";", "|", "|;3", ";2181", ":", "::", "a:1:2:"]),
    ]
    .boxed()
}

fn line() -> BoxedStrategy<String> {
    let equals = || one_of(&["="], &[" = ", ":", " ", "==", ""]);
    let member = (number(), equals(), address());
    let member = member.prop_map(|(id, equals, address)| format!("server.{id}{equals}{address}"));
    let group = (number(), equals(), prop::collection::vec(number(), 0..4));
    let group = group.prop_map(|(id, equals, ids)| format!("group.{id}{equals}{}", ids.join(":")));
    let weight = one_of(&["0", "1", "2", "5"], &["-1", "4294967296", "", "x"]);
    let weight = (number(), equals(), weight);
    let weight = weight.prop_map(|(id, equals, weight)| format!("weight.{id}{equals}{weight}"));
    let odd = select(
        &[
            "version=1f",
            "version=g",
            "# a",
            " ! b",
            "",
            "   ",
            "server=a:1:2",
            "group",
            "weights.1=2",
            "x.3=c:1:2;3",
            "3=c:1:2;3",
            "what",
            "server.4=d:1:2\\",
        ][..],
    );
    prop_oneof![
        30 => member,
        2 => group,
        2 => weight,
        1 => odd.prop_map(str::to_owned),
    ]
    .boxed()
}

/// Five members in groups that are right, and perhaps a line more.
fn grouped() -> BoxedStrategy<String> {
    let roles = prop::collection::vec(prop::bool::weighted(0.15), 5);
    let places = prop::collection::vec(1..4_u8, 5);
    let weights = prop_oneof![
        4 => prop::collection::vec(prop::option::of(0..3_u8), 5),
        1 => Just(vec![Some(0); 5]),
    ];
    (roles, places, weights, prop::option::weighted(0.3, line()))
        .prop_map(|(roles, places, weights, more)| {
            let mut lines = Vec::new();
            let mut groups: BTreeMap<u8, Vec<String>> = BTreeMap::new();
            for (id, observes) in (1..).zip(roles) {
                let role = if observes { "observer" } else { "participant" };
                lines.push(format!("server.{id}=h{id}:1:2:{role};3"));
                if !observes {
                    let group = groups.entry(places[id - 1]).or_default();
                    group.push(id.to_string());
                    let weight = weights[id - 1].map(|weight| format!("weight.{id}={weight}"));
                    lines.extend(weight);
                }
            }
            let groups = groups
                .iter()
                .map(|(id, ids)| format!("group.{id}={}", ids.join(":")));
            lines.extend(groups);
            lines.extend(more);
            lines.join(",")
        })
        .boxed()
}

fn list(of: BoxedStrategy<String>, most: usize) -> BoxedStrategy<String> {
    let between = one_of(&[",", ", "], &["\n", "\r\n", ",,", " "]);
    prop::collection::vec((of, between), 0..=most)
        .prop_map(|parts| {
            parts
                .into_iter()
                .map(|(part, between)| part + &between)
                .collect()
        })
        .boxed()
}

fn asked() -> impl Strategy<Value = Asked> {
    let nodes = [
        "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:observer;0.0.0.0:3\nversion=1f",
        "server.1=s1:2888:3888:participant\nserver.2=s2:2888:3888:participant\nversion=0",
        "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2\ngroup.2=3\nweight.3=0\nversion=5",
        "",
        "garbage",
    ];
    let node = prop_oneof![
        4 => select(nodes.to_vec()).prop_map(str::to_owned),
        1 => list(line(), 4).prop_map(|text| text.replace(',', "\n")),
    ];
    let whole = prop_oneof![3 => list(line(), 6), 1 => grouped()];
    (
        node,
        prop::option::weighted(0.8, list(line(), 3)),
        prop::option::weighted(0.5, list(number(), 3)),
        prop::option::weighted(0.4, whole),
        prop_oneof![8 => Just(-1), 1 => Just(0x1f), 1 => Just(0), 1 => Just(-2)],
        // A letter too many somewhere.
        prop::option::weighted(
            0.1,
            (
                any::<Index>(),
                select(",=.:;|[] \\\n\0é1".chars().collect::<Vec<_>>()),
            ),
        ),
    )
        .prop_map(|(node, joining, leaving, new_members, from_config, slip)| {
            let mut asked = Asked {
                node,
                joining,
                leaving,
                new_members,
                from_config,
            };
            let texts = [
                &mut asked.new_members,
                &mut asked.joining,
                &mut asked.leaving,
            ];
            if let (Some((at, letter)), Some(text)) = (slip, texts.into_iter().flatten().next()) {
                let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
                let at = if places.is_empty() {
                    0
                } else {
                    places[at.index(places.len())]
                };
                text.insert(at, letter);
            }
            asked
        })
}

#[test]
fn both_readers_say_the_same() {
    let mut runner = proptest::test_runner::TestRunner::new(Config {
        cases: 20_000,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..Config::default()
    });
    let answers = std::cell::RefCell::new(BTreeMap::<String, u32>::new());
    runner
        .run(&asked(), |asked| {
            let (server, model) = (by_server(&asked), by_model(&asked));
            let answer = match &model {
                Ok(text) if text.contains("group") => "groups".to_owned(),
                Ok(_) => "members".to_owned(),
                Err(code) => format!("{code:?}"),
            };
            *answers.borrow_mut().entry(answer).or_default() += 1;
            prop_assert_eq!(&server, &model);
            // What was written is read back as it is.
            if let Ok(text) = server {
                let again = Asked {
                    joining: None,
                    leaving: None,
                    new_members: None,
                    from_config: VERSION.0 as i64,
                    node: text.clone(),
                };
                let expected = match text.contains("group") {
                    true => Err(ErrorCode::BadArguments),
                    false => Ok(text),
                };
                prop_assert_eq!(by_server(&again), expected.clone());
                prop_assert_eq!(by_model(&again), expected);
            }
            Ok(())
        })
        .unwrap_or_else(|failed| panic!("{failed}"));
    let answers = answers.into_inner();
    for answer in [
        "members",
        "groups",
        "BadArguments",
        "MarshallingError",
        "BadVersion",
        "NewConfigNoQuorum",
    ] {
        assert!(
            answers.get(answer).is_some_and(|seen| *seen >= 20),
            "{answer}: {answers:?}"
        );
    }
}
