//! Campaigns as a user runs them: the program itself, its workers, its files; killed, stopped, and given what goes wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use zabsim::{Stream, seed_text};
use zabsim_types::campaign::Summary;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zabsim");

/// A run of it takes a few milliseconds.
const SMALL: &str = "\
name = \"small\"
servers = 3
clients = 2
duration = \"2s\"

[random]
profile = \"standard\"

[[workload]]
kind = \"registers\"
think = [\"50ms\", \"200ms\"]
";

/// A place for a test's scenario and its campaigns.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("small.toml"), SMALL).expect("writes");
        Place { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `zabsim WORDS…`, started in the test's directory.
    fn start(&self, words: &str) -> Child {
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(self.home.path())
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    }

    fn run(&self, words: &str) -> Output {
        self.start(words).wait_with_output().expect("it ends")
    }

    /// The same, and its exit code is this one.
    fn ends_with(&self, code: i32, words: &str) -> Output {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(code), "{words}: {output:?}");
        output
    }

    /// It is refused, with these words among those that say why.
    fn refused(&self, words: &str, why: &str) {
        let output = self.ends_with(2, words);
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        assert!(said.contains(why), "{words}: {said}");
    }

    fn summary(&self, dir: &str) -> Summary {
        let text = fs::read_to_string(self.path(dir).join("summary.json")).expect("a summary");
        serde_json::from_str(&text).expect("of this schema")
    }

    /// The seeds of the journal's runs, in their order.
    fn seeds(&self, dir: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(dir).join("campaign.jsonl")).expect("a journal");
        let lines = text.lines().skip(1);
        let runs = lines.map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let seed = value["run"]["seed"].as_str();
            seed.expect("a run").to_string()
        });
        runs.collect()
    }
}

fn without_times(mut summary: Summary) -> Summary {
    summary.wall_ms = 0;
    summary
}

fn lines(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// Waits for something that another process does; for some minutes at most.
fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..200_000 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("it never happens");
}

/// Killed again and again, whatever it is doing, and taken up again each time: every seed once, and the same summary as if
/// nothing had happened.
#[test]
fn a_campaign_that_is_killed_and_resumed_is_one_that_was_not() {
    let place = Place::new();
    let campaign = "campaign small.toml --seeds 1..120 --recheck 10% --jobs 2";
    place.ends_with(0, &format!("{campaign} --out whole"));
    let journal = place.path("killed").join("campaign.jsonl");
    let mut moments = Stream::new(1, "when a test kills", 0);
    for kill in 0..10 {
        let before = lines(&journal);
        // The first at once, perhaps before there is a journal; the others in the middle of some line.
        let more = if kill == 0 {
            0
        } else {
            moments.range((1, 12)) as usize
        };
        let mut child = place.start(&format!("{campaign} --out killed --resume"));
        wait_until(|| {
            let ended = child.try_wait().expect("a child");
            lines(&journal) >= before + more || ended.is_some()
        });
        child.kill().expect("a child");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), None, "it was killed: {output:?}");
    }
    place.ends_with(0, "campaign --out killed --resume");
    let seeds = place.seeds("killed");
    let once: BTreeSet<&String> = seeds.iter().collect();
    assert_eq!(seeds.len(), 120, "no seed twice");
    assert_eq!(
        once,
        (1..=120)
            .map(seed_text)
            .collect::<Vec<_>>()
            .iter()
            .collect()
    );
    let (killed, whole) = (place.summary("killed"), place.summary("whole"));
    assert!(whole.rechecked > 0);
    assert_eq!(without_times(killed), without_times(whole));
}

/// What goes wrong with one seed is reported with that seed, and the night goes on.
#[test]
fn hangs_panics_and_deaths_are_reported_with_their_seeds_and_the_others_run() {
    let place = Place::new();
    let plants = [
        ("spin", "hung", "watchdog"),
        ("zero-delay", "stuck", "liveness"),
        ("panic", "crashed", "panic"),
        ("abort", "crashed", "process"),
        ("overflow", "crashed", "process"),
        ("eat", "crashed", "process"),
    ];
    let mut campaign =
        "campaign small.toml --seeds 1..20 --out night --watchdog 10s --memory 512".to_string();
    for (at, (plant, _, _)) in plants.iter().enumerate() {
        campaign.push_str(&format!(" --plant {plant}@{}", at + 3));
    }
    place.ends_with(5, &campaign);
    let summary = place.summary("night");
    assert_eq!(summary.runs, 20);
    assert_eq!(summary.verdicts["pass"], 14);
    assert_eq!(
        summary.failures.len(),
        plants.len(),
        "{:?}",
        summary.failures
    );
    for (at, (plant, verdict, check)) in plants.iter().enumerate() {
        let seed = seed_text(at as u64 + 3);
        let mut failures = summary.failures.iter();
        let failure = failures.find(|failure| failure.seeds[0].seed == seed);
        let failure = failure.unwrap_or_else(|| panic!("{plant}: not found"));
        assert_eq!(
            (failure.verdict.as_str(), failure.check.as_str()),
            (*verdict, *check)
        );
        assert_eq!(failure.fingerprint.len(), 16);
        assert!(
            failure.seeds[0]
                .reproduce
                .ends_with(&format!("small.toml --seed {seed}"))
        );
    }
    // What told something of itself can be looked at afterwards.
    let saved = summary.failures.iter().filter_map(|f| f.saved.as_ref());
    let saved: Vec<&String> = saved.collect();
    assert_eq!(saved.len(), 2, "{saved:?}");
    assert!(
        place
            .path("night")
            .join(saved[0])
            .join("run.json")
            .is_file()
    );
    let text = fs::read_to_string(place.path("night/summary.txt")).expect("a text");
    for word in ["6 distinct failures", "stack overflow", "no end after 10 s"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let junit = fs::read_to_string(place.path("night/junit.xml")).expect("JUnit's");
    assert!(junit.contains("tests=\"6\""), "{junit}");
}

#[test]
fn shards_merged_are_the_whole_and_the_order_of_their_names_does_not_matter() {
    let place = Place::new();
    let campaign =
        "campaign small.toml --seeds 1..24 --plant panic@7 --plant panic@8 --plant panic@13";
    place.ends_with(5, &format!("{campaign} --out whole"));
    for index in 1..=3 {
        place.run(&format!("{campaign} --shard {index}/3 --out s{index}"));
        assert_eq!(place.summary(&format!("s{index}")).runs, 8);
    }
    place.ends_with(5, "merge s3 s1 s2 --out merged");
    let (merged, whole) = (place.summary("merged"), place.summary("whole"));
    assert_eq!(without_times(merged), without_times(whole));
    let text = |dir: &str| fs::read_to_string(place.path(dir).join("campaign.jsonl"));
    place.ends_with(5, "merge s1 s2 s3 s2 --out again");
    let (merged, again) = (text("merged"), text("again"));
    assert_eq!(merged.expect("a journal"), again.expect("a journal"));
}

#[test]
fn a_repetition_that_differs_is_a_divergence() {
    let place = Place::new();
    place.ends_with(
        0,
        "campaign small.toml --seeds 1..10 --out same --recheck 100%",
    );
    assert_eq!(place.summary("same").rechecked, 10);
    let planted = "campaign small.toml --seeds 1..10 --out other --recheck 100% --plant diverge@4";
    place.ends_with(4, planted);
    let summary = place.summary("other");
    assert_eq!(summary.verdicts["diverged"], 1);
    assert_eq!(summary.failures[0].seeds[0].seed, seed_text(4));
}

#[test]
fn the_first_failure_ends_a_campaign_that_is_to_fail_fast() {
    let place = Place::new();
    let campaign = "campaign small.toml --seeds 1.. --for 1h --jobs 1 --fail-fast --plant panic@5";
    place.ends_with(5, &format!("{campaign} --out fast"));
    assert_eq!(place.summary("fast").runs, 5);
}

/// Asked to stop, it finishes what is in hand, and reports all of it; and it can be taken up again.
#[cfg(unix)]
#[test]
fn a_campaign_that_is_asked_to_stop_ends_with_its_report() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::new();
    for signal in [Signal::TERM, Signal::INT] {
        let child = place.start("campaign small.toml --for 1h --out stopped --resume");
        let journal = place.path("stopped").join("campaign.jsonl");
        let before = lines(&journal);
        wait_until(|| lines(&journal) >= before + 4);
        kill_process(Pid::from_child(&child), signal).expect("a child");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).to_string();
        assert!(said.contains("it was asked to stop"), "{said}");
        let (summary, seeds) = (place.summary("stopped"), place.seeds("stopped"));
        assert_eq!(summary.runs as usize, seeds.len());
        // What is in hand is finished, so that nothing is left out in between.
        let last = seeds.len() as u64;
        assert_eq!(summary.scenarios[0].last, seed_text(last));
    }
}

/// A supervisor that is killed leaves nobody behind, not even a worker that will never finish.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_does_not_outlive_its_supervisor() {
    let place = Place::new();
    let mut child = place.start("campaign small.toml --seeds 1..2 --jobs 1 --out w --plant spin@1");
    let tasks = format!("/proc/{0}/task/{0}/children", child.id());
    let mut worker = String::new();
    wait_until(|| {
        // Those of the thread that hired it: any of the process's.
        let threads = fs::read_dir(format!("/proc/{}/task", child.id()));
        worker = threads
            .into_iter()
            .flatten()
            .flatten()
            .fold(String::new(), |all, thread| {
                all + &fs::read_to_string(thread.path().join("children")).unwrap_or_default()
            });
        !worker.trim().is_empty() || !Path::new(&tasks).exists()
    });
    let worker = worker.trim().to_string();
    assert!(!worker.is_empty(), "it has a worker");
    child.kill().expect("a child");
    child.wait().expect("it ends");
    let stat = format!("/proc/{worker}/stat");
    // Gone, or dead and not buried by whoever adopts it here.
    wait_until(|| match fs::read_to_string(&stat) {
        Ok(stat) => stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim().starts_with('Z')),
        Err(_) => true,
    });
}

#[test]
fn a_directory_is_one_campaigns_and_is_told_from_another() {
    let place = Place::new();
    let campaign = "campaign small.toml --seeds 1..4 --out one";
    place.ends_with(0, campaign);
    place.refused(
        campaign,
        "holds a campaign already; go on with it by --resume",
    );
    let resume = "campaign --resume --out one";
    place.ends_with(0, resume);
    assert_eq!(place.seeds("one").len(), 4, "there was nothing left to do");
    let other_seeds = "its range of seeds is 1..4, this one's 1..5";
    place.refused(
        "campaign small.toml --seeds 1..5 --out one --resume",
        other_seeds,
    );
    place.refused(
        "campaign standard --out one --resume",
        "it runs small.toml, not standard",
    );
    fs::write(
        place.path("small.toml"),
        SMALL.replace("servers = 3", "servers = 5"),
    )
    .expect("writes");
    let other_servers = "`servers = 3` then, `servers = 5` now";
    place.refused("campaign small.toml --out one --resume", other_servers);
    let journal = place.path("one/campaign.jsonl");
    let text = fs::read_to_string(&journal).expect("a journal");
    let commit = text.split("\"commit\":\"").nth(1).expect("a commit");
    let commit = &commit[..commit.find('"').expect("its end")];
    fs::write(&journal, text.replace(commit, "f00")).expect("writes");
    place.refused(resume, "its commit is f00, this one's");
    fs::write(&journal, "{}\n").expect("writes");
    place.refused(
        resume,
        "campaign.jsonl:1: damaged, or no line of a campaign's journal",
    );
}

#[test]
fn a_directory_in_use_is_refused() {
    let place = Place::new();
    let mut first = place.start("campaign small.toml --for 1h --out one");
    let journal = place.path("one").join("campaign.jsonl");
    wait_until(|| journal.exists());
    place.refused(
        "campaign small.toml --out one --resume",
        "another campaign runs there",
    );
    first.kill().expect("a child");
    first.wait().expect("it ends");
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let place = Place::new();
    fs::write(place.path("file"), "no directory").expect("writes");
    for (words, why) in [
        (
            "campaign small.toml --seeds 9..1",
            "the range 9..1 is empty",
        ),
        ("campaign small.toml --seeds 1", "is no range of seeds"),
        (
            "campaign small.toml --for never",
            "--for \"never\" is no time",
        ),
        ("campaign small.toml --for 0s", "no time at all"),
        ("campaign small.toml --shard 5/4", "\"5/4\" is no shard"),
        ("campaign small.toml --jobs 0", "0"),
        ("campaign small.toml --recheck 101%", "write 0% to 100%"),
        ("campaign small.toml small.toml", "is named twice"),
        ("campaign no-such-scenario", "no scenario of that name"),
        (
            "campaign small.toml --out file/below",
            "cannot make file/below",
        ),
        ("campaign --resume", "there is no campaign in campaigns/"),
        (
            "campaign small.toml --keep-going --fail-fast",
            "cannot be used with",
        ),
        ("merge nowhere", "nowhere: cannot read it"),
        ("merge file", "file:1: "),
    ] {
        if words == "merge file" {
            fs::write(place.path("file"), "no journal\n").expect("writes");
        }
        place.refused(words, why);
    }
}

/// Without a directory's name each campaign gets one of its own.
#[test]
fn campaigns_are_numbered_where_nobody_names_them() {
    let place = Place::new();
    for number in 1..=2 {
        place.ends_with(0, "campaign small.toml --seeds 1..2");
        assert_eq!(place.summary(&format!("campaigns/{number:03}")).runs, 2);
    }
    place.ends_with(0, "campaign --resume");
    assert!(
        !place.path("campaigns/003").exists(),
        "the last one was taken up"
    );
}
