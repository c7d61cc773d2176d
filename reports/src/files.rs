//! Saving a run into a directory: all of it or nothing. Each file is written under another name, flushed to disk, and only
//! when all are complete do they get their names; what was written is taken away again if anything fails on the way.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use zabsim_types::run::RunReport;

/// The most bytes of a `run.json`, so that whoever reads one knows when to stop. A busy run of ten minutes has some 7 MB.
pub const RUN_BYTES_MAX: u64 = 256 << 20;

/// Why a run could not be saved.
#[derive(Debug)]
pub struct SaveError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl std::fmt::Display for SaveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "cannot write {}: {}; nothing was left behind",
            self.path.display(),
            self.source
        )
    }
}

impl std::error::Error for SaveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What `save` writes.
pub struct Saved<'a> {
    /// `run.json`.
    pub report: &'a RunReport,
    /// Writes `history.jsonl`.
    pub history: &'a dyn Fn(&mut dyn Write) -> io::Result<()>,
    /// `scenario.toml`: the scenario as drawn for this seed.
    pub scenario: &'a str,
    /// `trace.txt`, where a trace was kept.
    pub trace: Option<&'a str>,
}

/// The names of a saved run's files.
const NAMES: [&str; 4] = ["run.json", "history.jsonl", "scenario.toml", "trace.txt"];

/// Why a run of that scenario and seed may not be saved into `dir`, in words: a file is there that would be lost, being none
/// of ours, or of a run of another scenario or seed. The same run's earlier files are no obstacle.
pub fn obstacle(dir: &Path, scenario: &str, seed: &str) -> Option<String> {
    let there = NAMES.iter().map(|name| dir.join(name));
    let there: Vec<PathBuf> = there.filter(|path| path.is_file()).collect();
    let first = there.first()?.display();
    let dir = dir.display();
    match earlier_run(&there[0]) {
        None => Some(format!(
            "{first} is there already, and of no saved run: it would be lost"
        )),
        Some(earlier) if earlier == (scenario.to_string(), seed.to_string()) => None,
        Some((scenario, seed)) => Some(format!(
            "{dir} holds another run, of {scenario} with seed {seed}: it would be lost"
        )),
    }
}

/// Whose run a `run.json` is: its scenario's name, and its seed.
fn earlier_run(file: &Path) -> Option<(String, String)> {
    let run: serde_json::Value = serde_json::from_reader(File::open(file).ok()?).ok()?;
    run.get("schema")?.as_u64()?;
    let text = |key: &str| run.get(key)?.as_str().map(String::from);
    Some((text("scenario")?, text("seed")?))
}

/// Writes a run into `dir`, creating it if needed, over what an earlier run left there. Returns the files' paths. A
/// `run.json` above [`RUN_BYTES_MAX`] is not saved: nobody would read it.
pub fn save(dir: &Path, run: &Saved<'_>) -> Result<Vec<PathBuf>, SaveError> {
    save_bounded(dir, run, RUN_BYTES_MAX)
}

fn save_bounded(
    dir: &Path,
    run: &Saved<'_>,
    run_bytes_max: u64,
) -> Result<Vec<PathBuf>, SaveError> {
    let made = missing(dir);
    let mut parts = Parts::default();
    let saved = fs::create_dir_all(dir)
        .map_err(|source| SaveError {
            path: dir.into(),
            source,
        })
        .and_then(|()| write_all(dir, run, run_bytes_max, &mut parts))
        .and_then(|()| parts.put_in_place());
    match saved {
        Ok(()) => {
            parts.forget_earlier();
            Ok(parts.files.into_iter().map(|file| file.path).collect())
        }
        Err(error) => {
            parts.undo();
            for dir in &made {
                let _ = fs::remove_dir(dir);
            }
            Err(error)
        }
    }
}

/// The directory and those above it that do not exist yet, the deepest first.
fn missing(dir: &Path) -> Vec<PathBuf> {
    let ancestors = dir.ancestors().take_while(|path| !path.exists());
    ancestors
        .filter(|path| !path.as_os_str().is_empty())
        .map(Path::to_path_buf)
        .collect()
}

/// The files of a run on their way to their names. Until all have arrived, everything can be undone: a file of an earlier
/// run only steps aside.
#[derive(Default)]
struct Parts {
    files: Vec<Part>,
    /// Of an earlier run, and without a successor in this one.
    outdated: Vec<Part>,
}

/// One file.
struct Part {
    path: PathBuf,
    /// Its name while it is written.
    part: PathBuf,
    /// The name to which its predecessor steps aside.
    earlier: PathBuf,
    in_place: bool,
    stepped_aside: bool,
}

impl Part {
    fn new(dir: &Path, name: &str) -> Part {
        Part {
            path: dir.join(name),
            part: dir.join(format!(".{name}.part")),
            earlier: dir.join(format!(".{name}.earlier")),
            in_place: false,
            stepped_aside: false,
        }
    }

    fn error(&self, source: io::Error) -> SaveError {
        SaveError {
            path: self.path.clone(),
            source,
        }
    }

    /// Only a file steps aside. Anything else of that name is not ours, and will be in the way.
    fn step_aside(&mut self) -> Result<(), SaveError> {
        if self.path.is_file() {
            fs::rename(&self.path, &self.earlier).map_err(|source| self.error(source))?;
            self.stepped_aside = true;
        }
        Ok(())
    }

    fn put_in_place(&mut self) -> Result<(), SaveError> {
        self.step_aside()?;
        fs::rename(&self.part, &self.path).map_err(|source| self.error(source))?;
        self.in_place = true;
        Ok(())
    }

    /// Best effort: the error that brought us here is the one to report.
    fn undo(&self) {
        let ours = if self.in_place {
            &self.path
        } else {
            &self.part
        };
        let _ = fs::remove_file(ours);
        if self.stepped_aside {
            let _ = fs::rename(&self.earlier, &self.path);
        }
    }
}

impl Parts {
    fn put_in_place(&mut self) -> Result<(), SaveError> {
        self.outdated.iter_mut().try_for_each(Part::step_aside)?;
        self.files.iter_mut().try_for_each(Part::put_in_place)
    }

    fn forget_earlier(&self) {
        let all = self.files.iter().chain(&self.outdated);
        for part in all.filter(|part| part.stepped_aside) {
            let _ = fs::remove_file(&part.earlier);
        }
    }

    fn undo(&self) {
        self.files.iter().chain(&self.outdated).for_each(Part::undo);
    }
}

fn write_all(
    dir: &Path,
    run: &Saved<'_>,
    run_bytes_max: u64,
    parts: &mut Parts,
) -> Result<(), SaveError> {
    write_part(dir, "run.json", parts, |out| {
        serde_json::to_writer_pretty(&mut *out, run.report)?;
        out.write_all(b"\n")?;
        let bytes = out.stream_position()?;
        if bytes > run_bytes_max {
            let why = format!(
                "the run's {bytes} bytes are more than the {run_bytes_max} that are read again"
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(())
    })?;
    write_part(dir, "history.jsonl", parts, |out| (run.history)(out))?;
    write_part(dir, "scenario.toml", parts, |out| {
        out.write_all(run.scenario.as_bytes())
    })?;
    match run.trace {
        Some(trace) => write_part(dir, "trace.txt", parts, |out| {
            out.write_all(trace.as_bytes())
        }),
        None => {
            // The trace of an earlier run would be taken for this one's.
            parts.outdated.push(Part::new(dir, "trace.txt"));
            Ok(())
        }
    }
}

fn write_part(
    dir: &Path,
    name: &str,
    parts: &mut Parts,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), SaveError> {
    let part = Part::new(dir, name);
    let file = File::create(&part.part).map_err(|source| part.error(source))?;
    let path = part.path.clone();
    parts.files.push(part);
    let mut out = BufWriter::new(file);
    fill(&mut out)
        .and_then(|()| out.into_inner().map_err(|e| e.into_error()))
        .and_then(|file| file.sync_all())
        .map_err(|source| SaveError { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tests::report;

    fn saved(report: &RunReport) -> Saved<'_> {
        Saved {
            report,
            history: &|out| out.write_all(b"{}\n"),
            scenario: "name = \"x\"\n",
            trace: None,
        }
    }

    #[test]
    fn no_run_is_saved_that_nobody_would_read() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = temp.path().join("out");
        let report = report();
        save_bounded(&dir, &saved(&report), RUN_BYTES_MAX).expect("it is small");
        let bytes = fs::metadata(dir.join("run.json")).expect("run.json").len();
        fs::remove_dir_all(&dir).expect("ours");

        let error = save_bounded(&dir, &saved(&report), bytes - 1)
            .expect_err("one byte too many")
            .to_string();
        let said = format!("{bytes} bytes are more than the {} that", bytes - 1);
        assert!(error.contains(&said), "{error}");
        assert!(!dir.exists(), "something was left behind");
        save_bounded(&dir, &saved(&report), bytes).expect("exactly as many as may be");
    }
}
