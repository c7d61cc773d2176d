//! What hunts found: `reports/bugs.json`, a list with an entry for each bug that was hunted, in the museum's order. A hunt replaces
//! the entries of the bugs that it hunted and leaves the others; the file is written after each bug, whole or not at all.

use crate::campaign::{COMMIT, Catch, MAJORITY, RANGES};
use crate::library::read_bounded;
use crate::replace::replace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use zab::Bug;
use zabsim_bugs::Kind;

/// Where the results are kept, from the top of the project.
pub(crate) const FILE: &str = "reports/bugs.json";

/// Those that came with the program.
const EMBEDDED: &str = include_str!("../../../reports/bugs.json");

/// Larger is no list of a hundred bugs.
const BYTES_MAX: u64 = 8 << 20;

/// What a hunt found of one bug.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// The bug's id.
    pub(crate) id: String,
    /// Its readable name.
    pub(crate) alias: String,
    /// One line.
    pub(crate) title: String,
    /// `documented`, or `feared`.
    pub(crate) kind: String,
    /// Whether five of nine ranges of seeds caught it.
    pub(crate) caught: bool,
    /// The median of the seeds that the nine ranges took; `None`: fewer than five caught it.
    pub(crate) seeds_median: Option<u64>,
    /// The check that its script shows it by, if a range caught it by that; else the one that found it most often.
    pub(crate) check: Option<String>,
    /// Its script, from the top of the project.
    pub(crate) scenario: Option<String>,
    /// Seeds that all ranges together were given; 0: it was not hunted.
    pub(crate) seeds: u64,
    /// The fastest catches, of one range each: five at most.
    pub(crate) catches: Vec<CaughtBy>,
    /// The source that was hunted in.
    pub(crate) commit: String,
}

/// A catch of one range.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaughtBy {
    /// The seed of `swarm` that shows the bug.
    pub(crate) seed: u64,
    /// Which of its range's seeds that was, from 1.
    pub(crate) after: u64,
    /// The check.
    pub(crate) check: String,
    /// How the run ended.
    pub(crate) verdict: String,
    /// Its events.
    pub(crate) events: u64,
}

impl Found {
    /// Of a bug that was not hunted.
    pub(crate) fn nothing(bug: Bug) -> Found {
        let entry = bug.entry();
        Found {
            id: entry.id.to_string(),
            alias: entry.alias.to_string(),
            title: entry.title.to_string(),
            kind: kind(bug).to_string(),
            caught: false,
            seeds_median: None,
            check: None,
            scenario: None,
            seeds: 0,
            catches: Vec::new(),
            commit: String::new(),
        }
    }

    /// What a hunt with so many seeds a range makes of what was known before.
    pub(crate) fn hunted(&self, seeds: u64, catches: Vec<Catch>) -> Found {
        let caught = catches.len() >= MAJORITY;
        let median = catches.last().map(|catch| catch.after);
        let scripted = self.check.as_ref().filter(|check| {
            let by_it = catches.iter().any(|catch| catch.check == **check);
            self.scenario.is_some() && (by_it || catches.is_empty())
        });
        let check = scripted.cloned().or_else(|| most_frequent(&catches));
        let catches = catches.into_iter().map(|catch| CaughtBy {
            seed: catch.seed,
            after: catch.after,
            check: catch.check,
            verdict: catch.verdict,
            events: catch.events,
        });
        Found {
            caught,
            seeds_median: median.filter(|_| caught),
            check,
            seeds: seeds * RANGES,
            catches: catches.collect(),
            commit: COMMIT.to_string(),
            ..self.clone()
        }
    }
}

/// Of two that found it equally often, the one that comes first in the alphabet.
fn most_frequent(catches: &[Catch]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for catch in catches {
        *counts.entry(&catch.check).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    let first = counts.into_iter().find(|(_, count)| *count == most);
    first.map(|(check, _)| check.to_string())
}

/// Whether somebody reported it, in a word.
pub(crate) fn kind(bug: Bug) -> &'static str {
    match bug.entry().kind {
        Kind::Documented => "documented",
        Kind::Feared => "feared",
    }
}

/// What is known of all bugs, by their place in the museum.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Results(BTreeMap<Bug, Found>);

impl Results {
    /// Those in a file, or if there is none, those that came with the program.
    pub(crate) fn read(file: &Path) -> Result<Results, String> {
        match file.exists() {
            true => {
                let text = read_bounded(file, BYTES_MAX, "list of bugs");
                let parsed = text.and_then(|text| Results::parse(&text));
                parsed.map_err(|why| format!("{}: {why}", file.display()))
            }
            false => Results::embedded(),
        }
    }

    /// Those that came with the program.
    pub(crate) fn embedded() -> Result<Results, String> {
        Results::parse(EMBEDDED)
            .map_err(|why| format!("{FILE}, as it came with the program: {why}"))
    }

    fn parse(text: &str) -> Result<Results, String> {
        let list: Vec<Found> = serde_json::from_str(text)
            .map_err(|error| format!("no list of what was found of bugs: {error}"))?;
        let mut results = Results::default();
        for found in list {
            let bug = Bug::by_name(&found.id)
                .ok_or_else(|| format!("`{}` is no bug of the museum", found.id))?;
            let entry = bug.entry();
            let told = (&*found.id, &*found.alias, &*found.title, &*found.kind);
            if told != (entry.id, entry.alias, entry.title, kind(bug)) {
                return Err(format!(
                    "{}: its names are not those of the museum: {told:?}",
                    found.id
                ));
            }
            if results.0.insert(bug, found).is_some() {
                return Err(format!("{} is there twice", entry.id));
            }
        }
        Ok(results)
    }

    /// What is known of a bug.
    pub(crate) fn of(&self, bug: Bug) -> Found {
        let known = self.0.get(&bug).cloned();
        known.unwrap_or_else(|| Found::nothing(bug))
    }

    /// Puts it in the place of what was known.
    pub(crate) fn put(&mut self, bug: Bug, found: Found) {
        self.0.insert(bug, found);
    }

    /// Writes it, whole or not at all.
    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        let list: Vec<&Found> = self.0.values().collect();
        let json = serde_json::to_string_pretty(&list).map_err(|error| error.to_string())?;
        replace(file, &(json + "\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catch(seed: u64, after: u64, check: &str) -> Catch {
        Catch {
            seed,
            after,
            check: check.to_string(),
            verdict: "fail".to_string(),
            events: 9,
        }
    }

    #[test]
    fn five_catches_make_a_median_and_four_do_not() {
        let before = Found {
            check: Some("by-script".to_string()),
            scenario: Some("scenarios/bugs/x.toml".to_string()),
            ..Found::nothing(Bug::VoteById)
        };
        let some = |count: u64| {
            let check = |n| if n % 2 == 0 { "b" } else { "a" };
            (1..=count).map(|n| catch(n, n * 3, check(n))).collect()
        };
        let found = before.hunted(100, some(5));
        assert_eq!((found.caught, found.seeds_median), (true, Some(15)));
        assert_eq!(found.check.as_deref(), Some("a"));
        assert_eq!((found.seeds, &found.scenario), (900, &before.scenario));
        let found = before.hunted(100, some(4));
        assert_eq!((found.caught, found.seeds_median), (false, None));
        assert_eq!(found.check.as_deref(), Some("a"), "of two the first");
        let found = before.hunted(100, Vec::new());
        assert_eq!(found.check.as_deref(), Some("by-script"));
        // That of the script, as long as it is one of them.
        let catches = vec![catch(1, 1, "a"), catch(2, 2, "a"), catch(3, 3, "by-script")];
        let found = before.hunted(100, catches);
        assert_eq!(found.check.as_deref(), Some("by-script"));
    }

    #[test]
    fn what_is_written_is_read_and_only_what_was_hunted_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("bugs.json");
        assert_eq!(
            Results::read(&file),
            Results::embedded(),
            "where there is none"
        );
        let mut results = Results::default();
        for bug in [Bug::VoteById, Bug::NotifyOnce] {
            results.put(bug, Found::nothing(bug));
        }
        results.write(&file).expect("writes");
        let mut again = Results::read(&file).expect("reads");
        assert_eq!(again, results);
        let hunted = again.of(Bug::NotifyOnce).hunted(1, vec![catch(1, 1, "c")]);
        again.put(Bug::NotifyOnce, hunted.clone());
        again.write(&file).expect("writes");
        let again = Results::read(&file).expect("reads");
        assert_eq!(again.of(Bug::NotifyOnce), hunted);
        assert_eq!(again.of(Bug::VoteById), results.of(Bug::VoteById));
        assert_eq!(
            again.of(Bug::SortByString),
            Found::nothing(Bug::SortByString)
        );
    }

    #[test]
    fn what_is_no_list_of_bugs_is_refused() {
        let one = serde_json::to_string(&Found::nothing(Bug::VoteById)).expect("JSON");
        for (text, why) in [
            ("{}".to_string(), "no list"),
            (format!("[{one},{one}]"), "fear#1 is there twice"),
            (
                format!("[{}]", one.replace("fear#1", "fear#999")),
                "`fear#999` is no bug",
            ),
            (
                format!("[{}]", one.replace("vote-by-id", "vote")),
                "its names are not",
            ),
            (
                format!("[{}]", one.replace("seeds_median", "median")),
                "no list",
            ),
        ] {
            let error = Results::parse(&text).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
