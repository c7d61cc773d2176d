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

/// More disks are wiped than any protocol survives, among busy clients: each run of it fails.
const LOSS: &str = "\
name = \"loss\"
servers = 5
clients = 3
duration = \"12s\"

[random]
profile = \"standard\"

[[workload]]
kind = \"mixed\"

[[fault]]
at = \"6s\"
do = { wipe = \"all\" }

[expect]
data_loss = true
";

/// A place for a test's scenario and its campaigns.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("small.toml"), SMALL).expect("writes");
        fs::write(home.path().join("loss.toml"), LOSS).expect("writes");
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
        // Before it was begun there is nothing to go on with.
        let resume = match place.path("killed").join("campaign.lock").exists() {
            true => "--resume",
            false => "",
        };
        let mut child = place.start(&format!("{campaign} --out killed {resume}"));
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
        ("chatter", "hung", "watchdog"),
        ("zero-delay", "stuck", "liveness"),
        ("panic", "crashed", "panic"),
        ("abort", "crashed", "process"),
        ("overflow", "crashed", "process"),
        ("eat", "crashed", "process"),
    ];
    let mut campaign =
        "campaign small.toml --seeds 1..20 --out night --watchdog 10s --memory 512 --no-shrink"
            .to_string();
    for (at, (plant, _, _)) in plants.iter().enumerate() {
        campaign.push_str(&format!(" --plant {plant}@{}", at + 3));
    }
    place.ends_with(5, &campaign);
    let summary = place.summary("night");
    assert_eq!(summary.runs, 20);
    assert_eq!(summary.verdicts["pass"], 13);
    // The two that hang have that in common.
    assert_eq!(
        summary.failures.len(),
        plants.len() - 1,
        "{:?}",
        summary.failures
    );
    for (at, (plant, verdict, check)) in plants.iter().enumerate() {
        let seed = seed_text(at as u64 + 3);
        let mut failures = summary.failures.iter();
        let failure = failures.find(|failure| failure.seeds.iter().any(|run| run.seed == seed));
        let failure = failure.unwrap_or_else(|| panic!("{plant}: not found"));
        assert_eq!(
            (failure.verdict.as_str(), failure.check.as_str()),
            (*verdict, *check)
        );
        assert_eq!(failure.fingerprint.len(), 16);
        assert!(failure.seeds.iter().any(|run| {
            run.reproduce
                .ends_with(&format!("small.toml --seed {seed}"))
        }));
    }
    // Each can be looked at afterwards: what told something of itself, and what the others were to do.
    for failure in &summary.failures {
        let saved = place
            .path("night")
            .join(failure.saved.as_ref().expect("saved"));
        let told = match failure.check.as_str() {
            "liveness" | "panic" => "run.json",
            _ => "why.txt",
        };
        for name in ["scenario.toml", told] {
            assert!(saved.join(name).is_file(), "{}: {name}", failure.check);
        }
    }
    let silent = summary.failures.iter().find(|f| f.verdict == "hung");
    let silent = silent.and_then(|f| f.saved.as_ref()).expect("saved");
    for command in ["replay", "shrink", "adopt"] {
        place.refused(&format!("{command} night/{silent}"), "no report to go by");
    }
    let text = fs::read_to_string(place.path("night/summary.txt")).expect("a text");
    for word in ["6 distinct failures", "stack overflow", "no end after 10s"] {
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
    for (signal, resume) in [(Signal::TERM, ""), (Signal::INT, "--resume")] {
        let child = place.start(&format!(
            "campaign small.toml --for 1h --out stopped {resume}"
        ));
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

/// The processes that a process has started.
#[cfg(target_os = "linux")]
fn children(of: &Child) -> Vec<rustix::process::Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", of.id()));
    let threads = threads.into_iter().flatten().flatten();
    let children = threads
        .map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let children: String = children.collect();
    let ids = children
        .split_whitespace()
        .map(|id| id.parse().expect("a number"));
    ids.filter_map(rustix::process::Pid::from_raw).collect()
}

/// A signal to all processes at once, told twice as `timeout` does, is a request to stop, and neither makes failures of what is
/// in hand nor cuts the report short. Failures until then are saved.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_to_the_whole_group_is_no_failure_and_failures_are_saved() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::new();
    for (n, signal) in [Signal::TERM, Signal::INT, Signal::HUP]
        .into_iter()
        .enumerate()
    {
        let child = place.start(&format!(
            "campaign small.toml --for 1h --out group-{n} --jobs 3 --plant panic@2"
        ));
        let journal = place.path(&format!("group-{n}")).join("campaign.jsonl");
        wait_until(|| lines(&journal) >= 6 && children(&child).len() == 3);
        let mut all = children(&child);
        all.push(Pid::from_child(&child));
        for process in &all {
            kill_process(*process, signal).expect("it lives");
        }
        // And again, while it comes to its end: the workers may be gone by now.
        let mut told = 0;
        wait_until(|| {
            for process in &all {
                let _ = kill_process(*process, signal);
            }
            told += 1;
            told == 20
        });
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        let summary = place.summary(&format!("group-{n}"));
        let [failure] = &summary.failures[..] else {
            panic!("nothing but what was planted: {:?}", summary.failures);
        };
        assert_eq!((failure.check.as_str(), failure.runs), ("panic", 1));
        let saved = failure.saved.as_ref().expect("it is saved");
        assert!(
            place
                .path(&format!("group-{n}"))
                .join(saved)
                .join("run.json")
                .is_file()
        );
    }
}

/// Of each failure the fastest run is shrunk, as far as there is time; a resumed campaign goes on with that.
#[test]
fn failures_are_shrunk_at_the_end() {
    let place = Place::new();
    let campaign = "campaign loss.toml --seeds 1..6 --jobs 2";
    place.ends_with(3, &format!("{campaign} --out none --no-shrink"));
    let minimal = |dir: &str| {
        let summary = place.summary(dir);
        let failure = &summary.failures[0];
        let file = failure
            .minimal
            .as_ref()
            .map(|file| place.path(dir).join(file));
        file.map(|file| fs::read_to_string(file).expect("it is there"))
    };
    assert_eq!(minimal("none"), None);
    place.ends_with(3, "campaign --resume --out none");
    place.ends_with(3, &format!("{campaign} --out all"));
    let shrunk = minimal("all").expect("it is shrunk");
    assert!(shrunk.contains("# 1-minimal: "), "{shrunk}");
    assert_eq!(minimal("none"), Some(shrunk));
    let text = fs::read_to_string(place.path("all/summary.txt")).expect("a text");
    assert!(
        text.contains("Least  ") && !text.contains("perhaps not minimal"),
        "{text}"
    );
    assert!(place.summary("all").failures[0].is_minimal);
    // It says itself how to repeat it.
    let file = place.summary("all").failures[0].minimal.clone();
    place.ends_with(3, &format!("run all/{}", file.expect("it is shrunk")));
}

/// Asked to stop while it shrinks, a campaign keeps the best so far, and goes on with it when it is taken up again.
#[cfg(unix)]
#[test]
fn what_is_shrunk_so_far_is_kept_when_a_campaign_is_asked_to_stop() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::new();
    let child = place.start("campaign loss.toml --seeds 1..2 --jobs 1 --out cut");
    let failures = place.path("cut/failures");
    let found = || {
        let dirs = fs::read_dir(&failures).into_iter().flatten().flatten();
        let mut files = dirs.map(|dir| dir.path().join("minimal.toml"));
        files.find(|file| file.exists())
    };
    wait_until(|| found().is_some());
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a child");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let file = found().expect("it is there");
    let best = fs::read_to_string(&file).expect("readable");
    assert!(best.contains("# Not minimal: the search goes on"), "{best}");
    assert!(place.summary("cut").failures[0].minimal.is_some());
    place.ends_with(3, "campaign --resume --out cut");
    let shrunk = fs::read_to_string(&file).expect("readable");
    assert!(shrunk.contains("# 1-minimal: "), "{shrunk}");
}

/// `shrink` is interrupted with the best so far, and says so; and what is there stays until there is something smaller.
#[cfg(unix)]
#[test]
fn an_interrupted_shrinking_tells_what_it_has_and_a_better_file_stays() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::new();
    let file = place.path("min.toml");
    let child = place.start("shrink loss.toml --seed 1 --out min.toml");
    wait_until(|| file.exists());
    kill_process(Pid::from_child(&child), Signal::INT).expect("a child");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).to_string();
    assert!(
        said.contains("it was asked to stop; this is the best so far"),
        "{said}"
    );
    place.ends_with(0, "shrink loss.toml --seed 1 --out min.toml --force");
    let minimal = fs::read_to_string(&file).expect("readable");
    assert!(minimal.contains("# 1-minimal: "), "{minimal}");
    let output = place.ends_with(
        0,
        "shrink loss.toml --seed 1 --out min.toml --force --budget 1",
    );
    let said = String::from_utf8_lossy(&output.stdout).to_string();
    assert!(said.contains("what is there is smaller"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("readable"), minimal);
}

/// A supervisor that is killed leaves nobody behind, not even a worker that will never finish.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_does_not_outlive_its_supervisor() {
    let place = Place::new();
    let mut child = place.start("campaign small.toml --seeds 1..2 --jobs 1 --out w --plant spin@1");
    wait_until(|| !children(&child).is_empty());
    let worker = children(&child)[0].as_raw_nonzero();
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
    let output = place.ends_with(0, resume);
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(
        said.contains("it was finished already: each of its 4 runs is made"),
        "{said}"
    );
    assert_eq!(place.seeds("one").len(), 4, "there was nothing left to do");
    place.refused(
        "campaign --resume --out oen",
        "oen holds no campaign that --resume could go on with (No such file",
    );
    assert!(!place.path("oen").exists());
    fs::create_dir(place.path("other")).expect("makes it");
    fs::write(place.path("other/notes.txt"), "").expect("writes");
    place.refused(
        "campaign small.toml --resume --out other",
        "(it holds notes.txt)",
    );
    fs::write(place.path("other/campaign.lock"), "").expect("writes");
    place.refused(
        "campaign --resume --out other",
        "it was killed before it had begun: say again what it is to run",
    );
    place.ends_with(0, "campaign small.toml --seeds 1..2 --resume --out other");
    place.ends_with(0, "campaign small.toml --for 1s --out timed");
    let output = place.ends_with(0, "campaign --resume --out timed");
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(said.contains("it was to run for 1s"), "{said}");
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

/// What a campaign finds joins the corpus when it is over; what it draws from is what the corpus was when it began. So runs can
/// be repeated, and shards are the whole.
/// What was planted is said wherever a run is told of, and what repeats a run plants it again.
#[test]
fn what_is_planted_in_a_campaign_is_said_and_repeated() {
    let place = Place::new();
    place.ends_with(
        1,
        "campaign small.toml --seeds 1..4 --out night --bug sequence-from-children --bug ack-before-fsync --no-shrink",
    );
    let planted = ["fear#18", "fear#30"];
    let summary = place.summary("night");
    assert_eq!(summary.scenarios[0].planted, planted);
    let failure = &summary.failures[0];
    let again = &failure.seeds[0].reproduce;
    assert!(
        again.ends_with(" --bug 'fear#18' --bug 'fear#30'"),
        "{again}"
    );
    let text = fs::read_to_string(place.path("night/summary.txt")).expect("a text");
    assert!(
        text.contains("small.toml with fear#18, fear#30 planted: 4 runs"),
        "{text}"
    );
    let saved = place
        .path("night")
        .join(failure.saved.as_ref().expect("saved"));
    let text = fs::read_to_string(saved.join("run.json")).expect("a run");
    let report: zabsim_types::run::RunReport = serde_json::from_str(&text).expect("a report");
    assert_eq!(report.planted, planted);
    place.ends_with(0, &format!("replay {}", saved.display()));
    // It goes on with the same bugs only.
    place.ends_with(0, "campaign small.toml --seeds 1..2 --out sound");
    assert!(
        !fs::read_to_string(place.path("sound/summary.json"))
            .expect("a text")
            .contains("planted")
    );
    place.refused(
        "campaign small.toml --resume --seeds 1..4 --out night --bug fear#30",
        "its scenario small.toml is another",
    );
}

#[test]
fn a_corpus_is_frozen_while_a_campaign_runs_and_grows_when_it_is_over() {
    let place = Place::new();
    place.ends_with(0, "campaign swarm --seeds 1..6 --corpus corpus --out first");
    let files = |dir: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(place.path(dir)).into_iter().flatten();
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names
            .map(|name| name.into_string().expect("text"))
            .collect()
    };
    let found = files("corpus");
    assert!(!found.is_empty());
    assert_eq!(place.summary("first").discovered as usize, found.len());
    assert_eq!(files("first/discoveries"), found);
    // Each repeats itself, and reaches what it says.
    for name in &found {
        place.ends_with(0, &format!("run corpus/{name}"));
    }
    for copy in ["c1", "c2"] {
        fs::create_dir(place.path(copy)).expect("makes it");
        for name in &found {
            let from = place.path("corpus").join(name);
            fs::copy(from, place.path(copy).join(name)).expect("copies");
        }
    }
    let campaign = "campaign swarm --seeds 12..23 --no-shrink --plant panic@14";
    place.ends_with(5, &format!("{campaign} --corpus corpus --out whole"));
    place.ends_with(5, &format!("{campaign} --corpus c1 --shard 1/2 --out s1"));
    place.ends_with(0, &format!("{campaign} --corpus c2 --shard 2/2 --out s2"));
    place.ends_with(5, "merge s2 s1 --out merged");
    let comparable = |dir: &str| {
        let text = serde_json::to_string(&without_times(place.summary(dir))).expect("JSON");
        text.replace(&format!("{dir}/corpus"), "corpus")
    };
    assert_eq!(comparable("merged"), comparable("whole"));
    assert_eq!(files("merged/discoveries"), files("whole/discoveries"));
    let grown: BTreeSet<String> = found.union(&files("whole/discoveries")).cloned().collect();
    assert!(grown.len() > found.len(), "it has learned something");
    assert_eq!(files("corpus"), grown);

    // A run is a function of its seed and the corpus as it was.
    let again = place.summary("whole").failures[0].seeds[0]
        .reproduce
        .clone();
    let frozen = again
        .split("--corpus ")
        .nth(1)
        .expect("it names the corpus")
        .to_string();
    assert!(frozen.starts_with("whole/corpus/"), "{again}");
    let journal = fs::read_to_string(place.path("whole/campaign.jsonl")).expect("a journal");
    for line in journal.lines().skip(1) {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let (seed, hash) = (&value["run"]["seed"], &value["run"]["hash"]);
        let seed = seed.as_str().expect("a seed");
        if seed == seed_text(14) {
            continue;
        }
        let ran = place.run(&format!("run swarm --seed {seed} --corpus {frozen} --json"));
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        assert_eq!(report["trace_hash"], *hash, "{seed}");
    }
    // It is taken up again as it was begun, though the corpus has grown since.
    let output = place.ends_with(5, "campaign --resume --out whole --no-shrink");
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(said.contains("finished already"), "{said}");

    place.refused(
        "campaign small.toml --seeds 1..2 --corpus corpus",
        "there is none here",
    );
    place.refused("run swarm --corpus none", "none: cannot read the corpus");
    place.refused("run standard --corpus corpus", "standard is none");
    let damaged = place.path("corpus").join(found.iter().next().expect("one"));
    fs::write(&damaged, "name = \"other\"\n").expect("writes");
    place.refused(
        "campaign swarm --seeds 1..2 --corpus corpus --out refused",
        "or damaged: the hash of its text is",
    );
    assert!(!place.path("refused").exists());
    for name in files(&frozen) {
        fs::remove_file(place.path(&frozen).join(name)).expect("it is there");
    }
    place.refused(
        "campaign --resume --out whole",
        "it is not what it was when the campaign began",
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

/// A process that is killed while it saves a run leaves half of it: a resumed campaign saves it anew.
#[test]
fn a_failure_that_was_half_saved_is_saved_when_the_campaign_goes_on() {
    let place = Place::new();
    place.ends_with(3, "campaign loss.toml --seeds 1..2 --no-shrink --out night");
    let saved = place.summary("night").failures[0].saved.clone();
    let saved = place.path("night").join(saved.expect("it is saved"));
    fs::remove_file(saved.join("scenario.toml")).expect("it was there");
    fs::write(saved.join(".scenario.toml.part"), "name = ").expect("writes");
    place.ends_with(3, "campaign --resume --no-shrink --out night");
    place.ends_with(0, &format!("replay {}", saved.display()));
    assert!(saved.join("scenario.toml").is_file());
}

/// The same seed fails in the same way in two scenarios, of which the one is known later: each is saved as what it is.
#[test]
fn the_same_seed_of_another_scenario_is_saved_elsewhere() {
    let place = Place::new();
    fs::write(
        place.path("other.toml"),
        LOSS.replace("\"loss\"", "\"other\""),
    )
    .expect("writes");
    let dirs = ["loss", "other"].map(|name| {
        place.ends_with(
            3,
            &format!("campaign {name}.toml --seeds 1..1 --no-shrink --out {name}"),
        );
        place.summary(name).failures[0]
            .saved
            .clone()
            .expect("saved")
    });
    assert_ne!(dirs[0], dirs[1]);
    place.ends_with(3, "merge loss other --out both");
    let failure = &place.summary("both").failures[0];
    let (saved, of) = (
        failure.saved.as_ref().expect("saved"),
        &failure.seeds[0].scenario,
    );
    let text = fs::read_to_string(place.path("both").join(saved).join("run.json")).expect("a run");
    let run: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        of.contains(run["scenario"].as_str().expect("a name")),
        "{of}: {}",
        run["scenario"]
    );
}

/// Somebody builds the program anew while a campaign runs, and a worker dies: the next one is of the program that runs.
#[cfg(target_os = "linux")]
#[test]
fn a_campaign_outlives_its_programs_file() {
    use rustix::process::{Signal, kill_process};
    let place = Place::new();
    let copy = place.path("copy");
    fs::copy(PROGRAM, &copy).expect("copies");
    let mut command = Command::new(&copy);
    command
        .current_dir(place.home.path())
        .args("campaign small.toml --seeds 1..400 --jobs 1 --out night".split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let journal = place.path("night").join("campaign.jsonl");
    wait_until(|| lines(&journal) >= 3 && children(&child).len() == 1);
    fs::remove_file(&copy).expect("it was there");
    for worker in children(&child) {
        kill_process(worker, Signal::KILL).expect("it lives");
    }
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let summary = place.summary("night");
    assert_eq!(summary.runs, 400);
    assert_eq!(
        summary.failures.len(),
        1,
        "the worker that was killed: {:?}",
        summary.failures
    );
}

/// What is found out at the end only would be a night too late; and what cannot be written then does not hide the report.
#[test]
fn what_cannot_grow_or_would_be_overwritten_is_refused_before_the_night() {
    let place = Place::new();
    fs::write(place.path("file"), "precious").expect("writes");
    place.refused(
        "campaign swarm --seeds 1..2 --corpus file/x --out a",
        "file/x",
    );
    fs::create_dir(place.path("b")).expect("makes it");
    fs::write(place.path("b").join("summary.json"), "precious").expect("writes");
    place.refused(
        "campaign small.toml --seeds 1..2 --out b",
        "holds a summary.json",
    );
    let there = fs::read_to_string(place.path("b").join("summary.json")).expect("it is there");
    assert_eq!(there, "precious");
    place.refused(
        "campaign small.toml --seeds 1..3 --shard 4/4 --out c",
        "nothing to run",
    );
    assert!(!place.path("c").exists());
}

/// Where one reads it in the morning it says that it is not all.
#[test]
fn a_campaign_that_is_cut_short_says_so_in_its_summary() {
    let place = Place::new();
    place.ends_with(
        3,
        "campaign loss.toml --seeds 1..40 --jobs 1 --fail-fast --no-shrink --out night",
    );
    let why = "it was to end with the first failure";
    assert_eq!(place.summary("night").cut_short.as_deref(), Some(why));
    let text = fs::read_to_string(place.path("night/summary.txt")).expect("a text");
    assert!(text.contains(&format!("Not complete: {why}")), "{text}");
}

/// A campaign that ends by its time and goes on later adds to its corpus what one that did not end there would have added.
#[test]
fn a_corpus_does_not_tell_that_a_campaign_went_on() {
    let place = Place::new();
    place.ends_with(
        0,
        "campaign swarm --seeds 1..12 --corpus whole --no-shrink --out whole-night",
    );
    place.ends_with(0, "campaign swarm --seeds 1..12 --for 300ms --jobs 1 --corpus parts --no-shrink --out parts-night");
    place.ends_with(
        0,
        "campaign --resume --for 10m --no-shrink --out parts-night",
    );
    let names = |dir: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(place.path(dir)).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .map(|name| name.into_string().expect("text"))
            .collect()
    };
    assert!(!names("whole").is_empty());
    assert_eq!(names("parts"), names("whole"));
    assert_eq!(
        names("parts-night/discoveries"),
        names("whole-night/discoveries")
    );
}
