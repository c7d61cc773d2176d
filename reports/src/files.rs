//! Saving a run into a directory: all of it or nothing. Each file is written under another name, flushed to disk, and only
//! when all are complete do they get their names; what was written is taken away again if anything fails on the way.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use zabsim_types::HistoryEvent;
use zabsim_types::run::RunReport;

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
    /// `history.jsonl`: one event a line.
    pub history: &'a [HistoryEvent],
    /// `scenario.toml`: the scenario as drawn for this seed.
    pub scenario: &'a str,
    /// `trace.txt`, where a trace was kept.
    pub trace: Option<&'a str>,
}

/// Writes a run into `dir`, creating it if needed. Returns the files' paths.
pub fn save(dir: &Path, run: &Saved<'_>) -> Result<Vec<PathBuf>, SaveError> {
    let made_dir = !dir.exists();
    fs::create_dir_all(dir).map_err(|source| SaveError {
        path: dir.into(),
        source,
    })?;
    let mut parts = Parts::default();
    let written = write_all(dir, run, &mut parts).and_then(|()| parts.rename());
    if written.is_err() {
        parts.remove();
        if made_dir {
            let _ = fs::remove_dir(dir);
        }
    }
    written.map(|()| parts.0.into_iter().map(|(_, path)| path).collect())
}

/// Files under their temporary and their final names.
#[derive(Default)]
struct Parts(Vec<(PathBuf, PathBuf)>);

impl Parts {
    fn rename(&self) -> Result<(), SaveError> {
        self.0.iter().try_for_each(|(part, path)| {
            fs::rename(part, path).map_err(|source| SaveError {
                path: path.clone(),
                source,
            })
        })
    }

    /// Best effort: the error that brought us here is the one to report.
    fn remove(&self) {
        for (part, _) in &self.0 {
            let _ = fs::remove_file(part);
        }
    }
}

fn write_all(dir: &Path, run: &Saved<'_>, parts: &mut Parts) -> Result<(), SaveError> {
    write_part(dir, "run.json", parts, |out| {
        serde_json::to_writer_pretty(&mut *out, run.report)?;
        out.write_all(b"\n")
    })?;
    write_part(dir, "history.jsonl", parts, |out| {
        run.history.iter().try_for_each(|event| {
            serde_json::to_writer(&mut *out, event)?;
            out.write_all(b"\n")
        })
    })?;
    write_part(dir, "scenario.toml", parts, |out| {
        out.write_all(run.scenario.as_bytes())
    })?;
    match run.trace {
        Some(trace) => write_part(dir, "trace.txt", parts, |out| {
            out.write_all(trace.as_bytes())
        }),
        None => Ok(()),
    }
}

fn write_part(
    dir: &Path,
    name: &str,
    parts: &mut Parts,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), SaveError> {
    let part = dir.join(format!(".{name}.part"));
    let path = dir.join(name);
    let file = File::create(&part).map_err(|source| SaveError {
        path: path.clone(),
        source,
    })?;
    parts.0.push((part, path.clone()));
    let mut out = BufWriter::new(file);
    fill(&mut out)
        .and_then(|()| out.into_inner().map_err(|e| e.into_error()))
        .and_then(|file| file.sync_all())
        .map_err(|source| SaveError { path, source })
}
