//! Bad input, as a user would give it: exit code 2, a message that says what was found and what is allowed, nothing on the
//! standard output, and nothing half-written left behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use zabsim_scenarios::command::{Output, run_with};
use zabsim_scenarios::format::Scenario;
use zabsim_scenarios::library::LIBRARY;
use zabsim_tests::{Ran, zabsim};
use zabsim_types::run::RUN_SCHEMA;

const HEAD: &str = "name = \"bad\"\nabout = \"Bad.\"\n";

fn temp() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary directory's name is text")
}

/// Asserts that it is refused with exit code 2, for reasons that are said.
#[track_caller]
fn refused(ran: &Ran, said: &[&str]) {
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.out, "", "a complaint is no output");
    for part in said {
        assert!(ran.err.contains(part), "`{part}` is not in: {}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

fn scenario(dir: &TempDir, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join("bad.toml");
    fs::write(&path, bytes).expect("writes");
    path
}

/// Asserts that a scenario is refused, by its own name for its reader, and that `--out` made nothing.
#[track_caller]
fn scenario_refused(bytes: impl AsRef<[u8]>, said: &[&str]) {
    let dir = temp();
    let path = scenario(&dir, bytes);
    let out = dir.path().join("out");
    let ran = zabsim(["run", text(&path), "--out", text(&out)]);
    refused(&ran, said);
    assert!(ran.err.contains("bad.toml"), "{}", ran.err);
    assert!(!out.exists(), "something was written");
}

#[test]
fn a_scenario_that_is_none() {
    scenario_refused("", &["empty"]);
    scenario_refused(" \n\n", &["empty"]);
    scenario_refused("name = \"cut", &[":1", "not TOML"]);
    scenario_refused("[[fault]\n", &[":1", "not TOML"]);
    scenario_refused("= = =\n{{{", &["not TOML"]);
    scenario_refused(
        [0xff, 0xfe, 0x00, 0x01, 0x80],
        &["not a text file", "byte 0"],
    );
    scenario_refused([0u8; 4096], &["not TOML"]);
    scenario_refused("about = \"No name.\"\n", &["name"]);
    // As deep as a stack, were it read by recursion.
    scenario_refused(format!("a = {}", "[".repeat(1 << 20)), &["not TOML"]);
}

#[test]
fn a_scenario_of_100_mb_is_not_read() {
    let dir = temp();
    let path = dir.path().join("bad.toml");
    let file = File::create(&path).expect("creates");
    file.set_len(100 << 20).expect("a hole");
    refused(
        &zabsim(["run", text(&path)]),
        &["bad.toml", "larger than 4 MiB"],
    );
    let path = dir.path().join("run.json");
    let file = File::create(&path).expect("creates");
    file.set_len((256 << 20) + 1).expect("a hole");
    refused(
        &zabsim(["replay", text(&path)]),
        &["run.json", "larger than 256 MiB; no saved run is"],
    );
}

#[test]
fn a_directory_and_a_missing_file_are_no_scenarios() {
    let dir = temp();
    refused(&zabsim(["run", text(dir.path())]), &["cannot read"]);
    let missing = dir.path().join("missing.toml");
    refused(
        &zabsim(["run", text(&missing)]),
        &["missing.toml", "cannot read"],
    );
    refused(
        &zabsim(["run", "leader-crsh"]),
        &["no scenario", "did you mean leader-crash"],
    );
    refused(
        &zabsim(["run", "Leader_Crash"]),
        &["did you mean leader-crash"],
    );
    refused(&zabsim(["run", "4643"]), &["did you mean zookeeper-4643?"]);
    refused(&zabsim(["run", "xyzzy"]), &["no scenario", "zabsim list"]);
    refused(&zabsim(["run", ""]), &["name is empty", "zabsim list"]);
}

/// What is unknown: each is named with its line, and what there is.
#[test]
fn unknown_words() {
    for (rest, said) in [
        ("severs = 3\n", &[":3", "`severs`", "servers"][..]),
        (
            "duration = \"5 parsecs\"\n",
            &[":3", "5 parsecs", "us, ms, s, m, h"],
        ),
        ("duration = 5\n", &[":3", "unit"]),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crash = \"boss\" }\n",
            &[":5", "\"boss\"", "leader", "follower"],
        ),
        (
            "[[fault]]\nat = \"1s\"\ndo = { explode = \"s1\" }\n",
            &[":5", "explode", "crash"],
        ),
        (
            "[[workload]]\nkind = \"mining\"\n",
            &[":4", "mining", "registers"],
        ),
        (
            "[random]\nprofile = \"mild\"\n",
            &[":4", "mild", "standard"],
        ),
        ("[expect]\nverdict = \"maybe\"\n", &[":4", "maybe", "pass"]),
        (
            "[expect]\nexamine = [\"luck\"]\n",
            &[":4", "luck", "agreement"],
        ),
        (
            "[expect]\nreach = [\"the-moon\"]\n",
            &[":4", "the-moon", "sync-snap"],
        ),
        (
            "[[fault]]\nwhen = { send = \"HELLO\" }\ndo = { crash = \"leader\" }\n",
            &[":4", "HELLO", "NEWLEADER"],
        ),
        (
            "[[fault]]\nwhen = { note = \"establish\" }\ndo = { crash = \"leader\" }\n",
            &[":4", "did you mean established", "snapshot-taken"],
        ),
        (
            "[[op]]\nclient = 1\nat = \"1s\"\ndo = { get = \"/a\" }\nexpect = \"nonode\"\n",
            &[":7", "did you mean NoNode", "unknown"],
        ),
        (
            "[[op]]\nclient = 1\nat = \"1s\"\ndo = { get = \"/a\" }\nexpect = []\n",
            &[":7", "empty list"],
        ),
    ] {
        scenario_refused(format!("{HEAD}{rest}"), said);
    }
    // Whatever is nearly right is named: keys, actions, targets, checks, marks, whatever the case.
    for (rest, name) in [
        ("Servers = 3\n", "servers"),
        ("session_timeuot = \"5s\"\n", "session_timeout"),
        ("[expect]\nexamine = [\"Agreement\"]\n", "agreement"),
        ("[expect]\nreach = [\"sync_snap\"]\n", "sync-snap"),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crash = \"Leader\" }\n",
            "leader",
        ),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crash = \"follower2\" }\n",
            "follower-2",
        ),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crahs = \"leader\" }\n",
            "crash",
        ),
    ] {
        let hint = format!("did you mean {name}");
        scenario_refused(format!("{HEAD}{rest}"), &[&hint]);
    }
}

#[test]
fn an_ensemble_that_cannot_be() {
    for (rest, said) in [
        ("servers = 0\n", &["0", "1 to 21"][..]),
        ("servers = 100\n", &["100", "1 to 21"]),
        ("servers = -3\n", &["-3", "1 to 21"]),
        ("servers = 99999999999999999999\n", &[":3"]),
        ("tick = \"0s\"\n", &[":3", "`tick`", "1ms to 1h"]),
        (
            "session_timeout = \"1500us\"\n",
            &[":3", "1500us", "1ms to 1h"],
        ),
        (
            "clients = 0\n[[workload]]\nkind = \"lock\"\n",
            &["bad.toml:5", "needs clients"],
        ),
        ("clients = 100000\n", &["100000", "0 to 500"]),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crash = \"s9\" }\n",
            &["bad.toml:5", "s9", "s1 to s3"],
        ),
        (
            "[[fault]]\nat = \"1s\"\ndo = { crash = \"random-4\" }\n",
            &["bad.toml:5", "random-4", "3 servers to draw"],
        ),
        (
            "[[fault]]\nat = \"1s\"\ndo = { partition = [[\"s1\"], [\"s2\", \"s7\"]] }\n",
            &["bad.toml:5", "s7", "s1 to s3"],
        ),
        (
            "clients = 1\n[[op]]\nclient = 5\nat = \"1s\"\ndo = { exists = \"/\" }\n",
            &["bad.toml:5:", "client 5"],
        ),
    ] {
        scenario_refused(format!("{HEAD}{rest}"), said);
    }
}

#[test]
fn an_even_number_of_servers_runs_with_a_remark() {
    let dir = temp();
    let path = scenario(&dir, format!("{HEAD}servers = 4\nduration = \"2s\"\n"));
    let ran = zabsim(["run", text(&path), "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains("4 voters") && ran.err.contains("remark"),
        "{}",
        ran.err
    );
    serde_json::from_str::<serde_json::Value>(&ran.out).expect("still exactly one object");
}

#[test]
fn seeds_that_are_none() {
    for seed in [
        "seven",
        "-1",
        "1.5",
        "0xg",
        "18446744073709551616",
        "",
        "0x",
    ] {
        let ran = zabsim(["run", "zookeeper-335", &format!("--seed={seed}")]);
        refused(&ran, &[&format!("\"{seed}\""), "0x", "40 digits"]);
    }
    for (seeds, said) in [
        ("5..1", "larger"),
        ("5", "1..50"),
        ("a..b", "40 digits"),
        ("1..", "40 digits"),
    ] {
        refused(&zabsim(["run", "zookeeper-335", "--seeds", seeds]), &[said]);
    }
}

#[test]
fn arguments_that_do_not_go_together() {
    refused(&zabsim(["run"]), &["<NAME>"]);
    refused(&zabsim(["walk"]), &["walk", "--help"]);
    refused(
        &zabsim(["run", "standard", "--sed", "1"]),
        &["--sed", "--seed"],
    );
    refused(&zabsim(["run", "standard", "--trace"]), &["--out"]);
    refused(&zabsim(["list", "moods"]), &["moods", "scenarios"]);
    refused(&zabsim(["replay"]), &["<FILE>"]);
    refused(&zabsim(["replay", "no-such-run"]), &["cannot read"]);
    refused(
        &zabsim(["run", "standard", "--seed", "1", "--seeds", "1..2"]),
        &["--seed", "--seeds"],
    );
    refused(
        &zabsim(["run", "standard", "--seeds", "1..2", "--out", "x"]),
        &["--seeds", "--out"],
    );
}

fn saved_run(dir: &Path) -> PathBuf {
    let ran = zabsim(["run", "zookeeper-335", "--out", text(dir)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    dir.join("run.json")
}

#[test]
fn replay_files_that_are_none() {
    let dir = temp();
    let file = saved_run(dir.path());
    let good = fs::read_to_string(&file).expect("reads");
    let replay = |content: &[u8]| {
        fs::write(&file, content).expect("writes");
        zabsim(["replay", text(&file)])
    };
    refused(
        &replay(&good.as_bytes()[..good.len() / 2]),
        &["run.json", "cut off"],
    );
    refused(&replay(b""), &["run.json", "cut off"]);
    refused(
        &replay(b"name = \"toml\""),
        &["run.json", "not a saved run"],
    );
    refused(&replay(b"{}"), &["run.json", "no `schema`"]);
    refused(&replay(b"[1, 2]"), &["run.json", "no `schema`"]);
    refused(&replay(&[0xff, 0x00]), &["run.json", "not a text file"]);
    let schema = |number: u32| format!("\"schema\": {number}");
    let ours = schema(RUN_SCHEMA);
    refused(
        &replay(format!("{{{ours}}}").as_bytes()),
        &["run.json", "missing field"],
    );

    let version = good.replace(&ours, &schema(RUN_SCHEMA + 1));
    assert_ne!(version, good);
    let (theirs, reads) = (RUN_SCHEMA + 1, format!("reads schema {RUN_SCHEMA}"));
    refused(
        &replay(version.as_bytes()),
        &[&format!("schema {theirs}"), &reads],
    );

    let ours = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let version = good.replace(&ours, "\"version\": \"99.0.0\"");
    assert_ne!(version, good);
    refused(
        &replay(version.as_bytes()),
        &["run.json", "version 99.0.0", env!("CARGO_PKG_VERSION")],
    );

    let seed = good.replace("\"seed\": \"0x", "\"seed\": \"x");
    assert_ne!(seed, good);
    refused(&replay(seed.as_bytes()), &["run.json", "no seed"]);

    let scenario = good.replace("servers = 3", "servers = 0");
    assert_ne!(scenario, good);
    refused(
        &replay(scenario.as_bytes()),
        &["run.json", "its scenario", "1 to 21"],
    );

    let empty = temp();
    refused(
        &zabsim(["replay", text(empty.path())]),
        &["run.json", "cannot read"],
    );
}

/// A directory's entries, hidden ones too.
fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry.expect("an entry")))
        .collect();
    names.sort();
    names
}

fn out_refused(out: &Path, said: &[&str]) {
    for json in [&[][..], &["--json"]] {
        let mut arguments = vec!["run", "zookeeper-335", "--trace", "--out", text(out)];
        arguments.extend(json);
        refused(&zabsim(arguments), said);
    }
}

#[test]
fn an_out_below_a_file() {
    let dir = temp();
    let file = dir.path().join("file");
    fs::write(&file, "kept").expect("writes");
    out_refused(&file, &["cannot write", "file"]);
    out_refused(&file.join("below"), &["cannot write", "below"]);
    assert_eq!(entries(dir.path()), ["file"]);
    assert_eq!(fs::read_to_string(&file).expect("reads"), "kept");
}

/// Where a file of the four cannot be written, or cannot get its name, none is.
#[test]
fn an_out_that_fails_half_way_leaves_nothing_behind() {
    for in_the_way in [
        ".run.json.part",
        ".scenario.toml.part",
        ".trace.txt.part",
        "run.json",
        "scenario.toml",
        "trace.txt",
    ] {
        let dir = temp();
        // A directory that is not empty cannot be replaced by a file.
        fs::create_dir_all(dir.path().join(in_the_way).join("x")).expect("creates");
        out_refused(dir.path(), &["cannot write", "nothing was left behind"]);
        assert_eq!(entries(dir.path()), [in_the_way]);
    }
}

/// What an earlier run left there is not destroyed by one that cannot be saved.
#[test]
fn an_earlier_run_outlives_one_that_cannot_be_saved() {
    let dir = temp();
    let file = saved_run(dir.path());
    let before = fs::read_to_string(&file).expect("reads");
    fs::create_dir_all(dir.path().join("trace.txt/x")).expect("creates");
    out_refused(dir.path(), &["cannot write"]);
    assert_eq!(fs::read_to_string(&file).expect("still there"), before);
    let names = ["history.jsonl", "run.json", "scenario.toml", "trace.txt"];
    assert_eq!(entries(dir.path()), names);
}

/// A later run takes the place of an earlier one wholly: the trace of the earlier must not be taken for the later one's.
#[test]
fn a_later_run_takes_the_place_of_an_earlier_one() {
    let dir = temp();
    let out = text(dir.path());
    let ran = zabsim(["run", "zookeeper-335", "--out", out, "--trace"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = zabsim(["run", "zookeeper-335", "--out", out]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let names = ["history.jsonl", "run.json", "scenario.toml"];
    assert_eq!(entries(dir.path()), names);
    assert_eq!(zabsim(["replay", out]).code, 0);
}

/// What is not the same run's is not replaced unless somebody says so: another run may be the only trace of a failure, and a
/// `scenario.toml` somebody's own work.
#[test]
fn an_out_that_holds_something_else_is_refused_unless_forced() {
    let dir = temp();
    let out = text(dir.path());
    let other = ["run", "zookeeper-335", "--out", out, "--seed", "2"];
    let saved = saved_run(dir.path());
    let before = fs::read(&saved).expect("reads");
    refused(
        &zabsim(other),
        &["zookeeper-335 with seed 0x0000000000000001", "--force"],
    );
    refused(
        &zabsim(["run", "zookeeper-962", "--out", out]),
        &["another run", "--force"],
    );
    assert_eq!(fs::read(&saved).expect("reads"), before);
    let ran = zabsim(other.into_iter().chain(["--force"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_ne!(fs::read(&saved).expect("reads"), before);

    for name in ["run.json", "scenario.toml", "history.jsonl", "trace.txt"] {
        let dir = temp();
        let mine = dir.path().join(name);
        fs::write(&mine, "{\"mine\": 1}").expect("writes");
        out_refused(dir.path(), &[name, "no saved run", "--force"]);
        assert_eq!(entries(dir.path()), [name]);
        assert_eq!(fs::read_to_string(&mine).expect("reads"), "{\"mine\": 1}");
    }
    refused(&zabsim(["run", "zookeeper-335", "--force"]), &["--out"]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_out_that_cannot_be_made() {
    out_refused(Path::new("/proc/zabsim"), &["cannot write", "/proc/zabsim"]);
}

/// A full disk under the standard output is an error; a reader that has gone is an end.
#[test]
fn an_output_that_takes_no_more() {
    struct Takes(std::io::ErrorKind);
    impl std::io::Write for Takes {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for arguments in [
        &["zabsim", "list"][..],
        &["zabsim", "--help"],
        &["zabsim", "run", "zookeeper-335", "--json"],
        &[
            "zabsim",
            "run",
            "zookeeper-335",
            "--seeds",
            "1..3",
            "--json",
        ],
        &["zabsim"],
    ] {
        for (kind, code) in [
            (std::io::ErrorKind::StorageFull, 2),
            (std::io::ErrorKind::BrokenPipe, 0),
        ] {
            let (mut out, mut err) = (Takes(kind), Vec::new());
            let arguments = arguments.iter().map(Into::into);
            let output = &mut Output::new(&mut out, &mut err);
            assert_eq!(run_with(arguments, output), code, "{kind}");
            let err = String::from_utf8_lossy(&err);
            assert_eq!(err.contains("cannot write"), code == 2, "{err}");
        }
    }
}

/// A disk without room: the shell's limit on the size of a file stands for it, for a file system cannot be filled without
/// being mounted first.
#[cfg(unix)]
#[test]
fn an_out_without_room_leaves_nothing_behind() {
    let dir = temp();
    let this = std::env::current_exe().expect("this test");
    let limited = r#"trap "" XFSZ; ulimit -f 2048; exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", limited])
        .arg(this)
        .args(["--exact", "save_without_room", "--ignored", "--nocapture"])
        .env(ROOM, dir.path())
        .output()
        .expect("a shell");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("exit code 2"), "{out}");
    assert!(
        out.contains("cannot write") && out.contains("history.jsonl"),
        "{out}"
    );
    assert!(entries(dir.path()).is_empty(), "{:?}", entries(dir.path()));
}

const ROOM: &str = "ZABSIM_TEST_ROOM";

#[test]
#[ignore = "the other process of `an_out_without_room_leaves_nothing_behind`"]
fn save_without_room() {
    let Some(dir) = std::env::var_os(ROOM) else {
        return;
    };
    let out = Path::new(&dir).join("new/deep");
    let ran = zabsim(["run", "leader-crash", "--out", text(&out)]);
    println!("\nexit code {}: {}", ran.code, ran.err);
}

/// Directories that were made for a run that cannot be saved go with it.
#[test]
fn directories_that_were_made_are_taken_away_again() {
    let dir = temp();
    // Too long for a file's name, and so nothing can be made there: but its parent can.
    let out = dir.path().join("made").join("x".repeat(300));
    out_refused(&out, &["cannot write"]);
    assert!(entries(dir.path()).is_empty(), "{:?}", entries(dir.path()));
}

/// Whatever becomes of a scenario's text, reading it ends with a scenario that can be drawn, or with an error that names the
/// file and says something. Lines of all scenarios are mixed, lost and doubled, words and numbers exchanged.
#[test]
fn mangled_scenarios_are_read_or_refused_but_never_panic() {
    let texts: Vec<&str> = LIBRARY.iter().map(|entry| entry.text).collect();
    let lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
    let words: Vec<&str> = lines.iter().flat_map(|line| line.split(' ')).collect();
    let mut random = zabsim::Stream::new(1, "mangled scenarios", 0);
    let mut pick = |n: usize| random.below(n as u64) as usize;
    let (mut read, mut refused) = (0, 0);
    for _ in 0..4_000 {
        let mut text: Vec<String> = texts[pick(texts.len())].lines().map(Into::into).collect();
        for _ in 0..=pick(3) {
            let at = pick(text.len());
            let line = text[at].clone();
            match pick(5) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, line),
                2 => text.insert(at, lines[pick(lines.len())].into()),
                3 => {
                    let mut parts: Vec<&str> = line.split(' ').collect();
                    let word = pick(parts.len());
                    parts[word] = words[pick(words.len())];
                    text[at] = parts.join(" ");
                }
                _ => {
                    let huge = ["0", "-1", "255", "256", "4294967296", "9223372036854775807"];
                    let digits = line.trim_end_matches(|c: char| !c.is_ascii_digit());
                    let start = digits.trim_end_matches(|c: char| c.is_ascii_digit()).len();
                    let number = huge[pick(huge.len())];
                    text[at] = format!("{}{number}{}", &line[..start], &line[digits.len()..]);
                }
            }
            if text.is_empty() {
                break;
            }
        }
        match Scenario::parse("mangled.toml", &text.join("\n")) {
            Ok(scenario) => {
                read += 1;
                let drawn = scenario.draw(1);
                zabsim::validate(&drawn.plan).expect("what was read and drawn can be run");
            }
            Err(error) => {
                refused += 1;
                assert!(!error.message.is_empty() && error.file == "mangled.toml");
            }
        }
    }
    assert!(
        read > 200 && refused > 200,
        "{read} read, {refused} refused"
    );
}
