//! The files of a campaign's directory: the journal; `summary.json`, `junit.xml` and `summary.txt`, made from it; a saved run
//! of each distinct failure under `failures/`; and `campaign.lock`, held by the process that runs.

use super::journal::JOURNAL;
use crate::replace::replace;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use zabsim_reports::{junit, render_campaign};
use zabsim_types::campaign::Summary;

/// The machine's file.
pub const SUMMARY: &str = "summary.json";
const TEXT: &str = "summary.txt";
const JUNIT: &str = "junit.xml";
const LOCK: &str = "campaign.lock";
/// What is known of a run that told nothing of itself.
pub const WHY: &str = "why.txt";

/// More names are not listed of a directory that holds no campaign.
const FOUND_MAX: usize = 5;

/// Where campaigns go for which nobody names a directory.
const DEFAULT: &str = "campaigns";

/// A campaign's directory, which nobody else uses as long as this lives.
#[derive(Debug)]
pub struct Directory {
    /// The directory.
    pub path: PathBuf,
    lock: File,
    /// Whether it was made just now, and whether the lock was.
    is_new: (bool, bool),
}

impl Directory {
    /// Makes it, if it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Directory, String> {
        let name = path.display();
        let mut ours = [SUMMARY, TEXT, JUNIT].into_iter();
        if !path.join(JOURNAL).exists()
            && let Some(file) = ours.find(|file| path.join(file).exists())
        {
            return Err(format!(
                "{name} holds a {file}, which a campaign would overwrite, and no campaign; name another directory with --out"
            ));
        }
        let is_new = (!path.exists(), !path.join(LOCK).exists());
        fs::create_dir_all(path).map_err(|error| format!("cannot make {name}: {error}"))?;
        let lock = File::create(path.join(LOCK))
            .map_err(|error| format!("cannot write into {name}: {error}"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory {
                path: path.to_path_buf(),
                lock,
                is_new,
            }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "{name} is in use: another campaign runs there; name another directory with --out"
            )),
            Err(TryLockError::Error(error)) => Err(format!("cannot lock {name}: {error}")),
        }
    }

    /// One in which a campaign was begun, and locks it. Of any other it says what was found there instead.
    pub fn begun(path: &Path) -> Result<Directory, String> {
        let name = path.display();
        if path.join(JOURNAL).exists() || path.join(LOCK).exists() {
            return Directory::open(path);
        }
        let found = match fs::read_dir(path) {
            Ok(entries) => {
                let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                let mut names: Vec<String> = names.collect();
                names.sort();
                match names.len() {
                    0 => "it is empty".to_string(),
                    1..=FOUND_MAX => format!("it holds {}", names.join(", ")),
                    n => format!(
                        "it holds {} and {} more",
                        names[..FOUND_MAX].join(", "),
                        n - FOUND_MAX
                    ),
                }
            }
            Err(error) => error.to_string(),
        };
        Err(format!(
            "{name} holds no campaign that --resume could go on with ({found}); without --resume one is begun"
        ))
    }

    /// The next of the numbered directories; with `resume`, the last one that is there.
    pub fn numbered(resume: bool) -> Result<Directory, String> {
        let mut numbers: Vec<u32> = match fs::read_dir(DEFAULT) {
            Ok(entries) => entries
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .collect(),
            Err(_) => Vec::new(),
        };
        numbers.sort_unstable();
        let last = numbers.last().copied();
        match last {
            None if resume => Err(format!(
                "there is no campaign in {DEFAULT}/ to take up again; name its directory with --out"
            )),
            Some(number) if resume => Directory::open(&numbered(number)),
            last => Directory::open(&numbered(last.unwrap_or(0) + 1)),
        }
    }

    /// Takes away again what [`Directory::open`] made: nothing came of it.
    pub fn give_up(self) {
        // In vain where somebody else's files are in there, which is as it should be.
        let (is_new, is_new_lock) = self.is_new;
        if is_new_lock {
            let _ = fs::remove_file(self.path.join(LOCK));
        }
        drop(self.lock);
        if is_new {
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }
}

fn numbered(number: u32) -> PathBuf {
    Path::new(DEFAULT).join(format!("{number:03}"))
}

/// Whether the run that belongs into that directory is in it, and not what was left when somebody was killed while saving it: of
/// a run's files the last that is put in place is its scenario.
pub fn is_saved(dir: &Path) -> bool {
    let holds = |name: &str| dir.join(name).exists();
    holds(WHY) || holds("run.json") && holds("scenario.toml")
}

/// Writes the three forms of a summary, each complete or not at all.
pub fn write_summary(dir: &Path, summary: &Summary) -> Result<(), String> {
    let json = serde_json::to_string_pretty(summary).map_err(|error| error.to_string())?;
    for (name, text) in [
        (SUMMARY, json + "\n"),
        (TEXT, render_campaign(summary)),
        (JUNIT, junit(summary)?),
    ] {
        replace(&dir.join(name), &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("campaign");
        let held = Directory::open(&path).expect("nobody uses it");
        let error = Directory::open(&path).expect_err("it is in use");
        assert!(error.contains("another campaign runs there"), "{error}");
        drop(held);
        Directory::open(&path).expect("nobody uses it any more");
    }
}
