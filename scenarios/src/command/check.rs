//! `zabsim check`: histories from anywhere, and whether they are linearizable.
//!
//! What a file holds its first line says: a history of znodes goes to `znodes`, everything else to `objects`. Both say what they
//! understood before they search, which may take long, and then the verdict.

mod objects;
mod znodes;

use super::Output;
use super::input::Input;
use serde_json::{Value, json};
use std::path::PathBuf;
use zabsim_model::intake::Fault;
use zabsim_model::intake::bind::Object;
use zabsim_types::run::Verdict;

#[derive(clap::Args)]
#[command(after_help = after_help())]
pub(super) struct Arguments {
    /// Histories; `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the history is about; without it, its first line or its operations tell
    #[arg(long, value_parser = models())]
    model: Option<String>,
    /// What a register holds before anything is written: 0, "a", nil. Without it nil, which is no value
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    initial: Option<String>,
    /// Of a run of ours, leave the log alone that was saved with it: search for one, as for anybody's history
    #[arg(long)]
    without_log: bool,
    /// Print one JSON object, when all is done
    #[arg(long)]
    json: bool,
    /// How many operations may be tried for a file before giving up [default: 200000000; of znodes 2000000 transactions]
    #[arg(long, value_name = "N")]
    effort: Option<u64>,
}

fn models() -> Vec<&'static str> {
    let others = Object::ALL.map(Object::name);
    std::iter::once(znodes::MODEL).chain(others).collect()
}

fn after_help() -> String {
    let mut text = "\
What is read, plain or gzip:
  Jepsen      EDN or JSON, one map after another or all in one vector; log lines of jepsen.util
  Porcupine   the key-value logs that its tests use
  znodes      what was recorded from ZooKeeper servers, and the history.jsonl of `run --out`;
              how to record one, line by line: model/FORMAT.md

The models, with the operations that they know:
"
    .to_owned();
    for object in Object::ALL {
        text.push_str(&format!(
            "  {:<10}  {}\n",
            object.name(),
            object.operations().join(", ")
        ));
    }
    text.push_str(
        "  znode       all of ZooKeeper's; sessions, watches and ephemerals are judged too

Exit codes:
  0  every history is linearizable; of znodes: keeps all that ZooKeeper promises
  1  one is not
  2  bad usage, or one cannot be read
  6  undecided: the effort was spent, or the answer rests on what nobody saw
Of several files the worst counts: 2, then 1, then 6.",
    );
    text
}

/// What became of one file.
struct Checked {
    verdict: Verdict,
    /// All that was found, for `--json`.
    json: Value,
    /// Whether anybody reads on.
    is_heard: bool,
}

pub(super) fn check(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, String> {
    let initial = arguments.initial.as_deref().map(objects::value);
    let initial = initial.transpose()?;
    let (mut code, mut printed) = (0, Vec::new());
    for file in &arguments.files {
        let done = Input::open(file).and_then(|input| match arguments.model.as_deref() {
            Some(znodes::MODEL) => znodes::check(input, arguments, output),
            None if znodes::is_one(&input) => znodes::check(input, arguments, output),
            _ => objects::check(input, arguments, initial.as_ref(), output),
        });
        match done {
            Ok(checked) => {
                code = worse(code, checked.verdict.exit_code());
                printed.push(checked.json);
                if !checked.is_heard {
                    break;
                }
            }
            Err(why) => {
                output.complain(&why);
                code = super::USAGE;
                printed.push(json!({ "file": file, "verdict": "error", "detail": why }));
            }
        }
    }
    if arguments.json {
        output.print(&format!("{}\n", json!({ "files": printed })));
    }
    Ok(code)
}

/// What several files come to: one that could not be read first, then one that is wrong, then one that is undecided.
fn worse(one: u8, other: u8) -> u8 {
    let rank = |code: &u8| match code {
        0 => 0,
        6 => 1,
        1 => 2,
        _ => 3,
    };
    std::cmp::max_by_key(one, other, rank)
}

/// Where and what, as compilers say it.
fn at(name: &str) -> impl Fn(Fault) -> String + Copy {
    move |fault| fault.in_file(name)
}

/// The wall clock, for the one figure that says how long it took.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a check took is no part of it"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// How often to tell how far it has come.
const PROGRESS_BYTES: u64 = 64 << 20;

/// Tells how far the reading of a large file has come.
struct Progress<'o, 'w> {
    name: String,
    told: u64,
    output: &'o mut Output<'w>,
}

impl<'o, 'w> Progress<'o, 'w> {
    fn new(name: &str, output: &'o mut Output<'w>) -> Progress<'o, 'w> {
        Progress {
            name: name.to_owned(),
            told: 0,
            output,
        }
    }

    /// So many bytes were read.
    fn read(&mut self, bytes: u64) {
        if bytes / PROGRESS_BYTES > self.told {
            self.told = bytes / PROGRESS_BYTES;
            let text = format!("{}: {} MiB read so far", self.name, bytes >> 20);
            self.output.complain(&text);
        }
    }

    /// All of it was read; of a large file it is said that the search begins.
    fn done(self) {
        if self.told > 0 {
            let text = format!("{}: read; now the search begins", self.name);
            self.output.complain(&text);
        }
    }
}
