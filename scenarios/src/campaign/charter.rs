//! What a campaign is: the first line of its journal, which says everything that its runs are a function of. A campaign is
//! taken up again only by a program of the same source, with the same charter.

use super::seeds::{Items, Seeds, Shard};
use crate::format::Scenario;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_64;
use zabsim_types::campaign::CAMPAIGN_SCHEMA;

/// The source's commit, and a hash of the sources where they differ from it; see `build.rs`.
pub const COMMIT: &str = env!("ZABSIM_COMMIT");

/// What a campaign is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// `CAMPAIGN_SCHEMA` of the writer.
    pub schema: u32,
    /// The writer's crate version.
    pub version: String,
    /// The writer's source: `COMMIT`.
    pub commit: String,
    /// What is run.
    pub scenarios: Vec<Subject>,
    /// With which seeds.
    pub seeds: Seeds,
    /// And which part of them.
    pub shard: Shard,
    /// The share of runs that are made a second time, in 1,000.
    pub recheck_per_mille: u32,
    /// For how long, in milliseconds; `None`: until every seed is done. Not what it is, only when it ends.
    pub for_ms: Option<u64>,
    /// What those of its scenarios are drawn from in which everything is drawn, besides the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus: Option<CorpusOf>,
    /// The names of the marks, by whose places the runs' lines name them.
    pub probes: Vec<String>,
}

/// The corpus of a campaign, as it was when that began.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusOf {
    /// Where it stands, and is added to. Not what it is.
    pub dir: PathBuf,
    /// What it is.
    pub hash: String,
}

/// A scenario of a campaign.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// How it was named: one of the library, or a file.
    pub name: String,
    /// Its text.
    pub toml: String,
}

impl Subject {
    /// The scenario itself.
    pub fn scenario(&self) -> Result<Scenario, String> {
        let place = format!("{} (as the campaign has it)", self.name);
        Scenario::parse(&place, &self.toml).map_err(|error| error.to_string())
    }
}

impl Charter {
    /// A charter of this program.
    pub fn new(scenarios: Vec<Subject>, seeds: Seeds, shard: Shard, recheck: u32) -> Charter {
        let marks = zabsim::marks();
        Charter {
            schema: CAMPAIGN_SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: COMMIT.to_string(),
            scenarios,
            seeds,
            shard,
            recheck_per_mille: recheck,
            for_ms: None,
            corpus: None,
            probes: marks.iter().map(|(name, _)| name.to_string()).collect(),
        }
    }

    /// The items of this campaign.
    pub fn items(&self) -> Items {
        Items::new(self.seeds, self.shard, self.scenarios.len())
    }

    /// What a run of one of its scenarios is a function of, beside the seed, in one number; `None`: there is no such scenario.
    pub fn identity(&self, scenario: usize) -> Option<u64> {
        let subject = self.scenarios.get(scenario)?;
        let mut all = format!("{}\n{}\n{}", self.commit, subject.name, subject.toml);
        if let Some(corpus) = &self.corpus {
            all.push_str(&corpus.hash);
        }
        Some(xxh3_64(all.as_bytes()))
    }

    /// Where `wanted` is another campaign than this one, the first difference in words.
    pub fn difference(&self, wanted: &Charter) -> Option<String> {
        let other = |what: &str, was: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
            Some(format!("its {what} is {was}, this one's {is}"))
        };
        if self.commit != wanted.commit {
            return other("commit", &self.commit, &wanted.commit);
        }
        if let Some(difference) = self.other_scenarios(&wanted.scenarios) {
            return Some(difference);
        }
        if self.seeds != wanted.seeds {
            return other("range of seeds", &self.seeds, &wanted.seeds);
        }
        if self.shard != wanted.shard {
            return other("shard", &self.shard, &wanted.shard);
        }
        if self.recheck_per_mille != wanted.recheck_per_mille {
            let share = |charter: &Charter| format!("{} in 1,000", charter.recheck_per_mille);
            return other("share of repeated runs", &share(self), &share(wanted));
        }
        let same_time = Charter {
            for_ms: self.for_ms,
            corpus: self.corpus.clone(),
            ..wanted.clone()
        };
        (*self != same_time).then(|| "it was begun by another build of this commit".to_string())
    }

    fn other_scenarios(&self, wanted: &[Subject]) -> Option<String> {
        let names = |subjects: &[Subject]| {
            let names: Vec<&str> = subjects.iter().map(|s| s.name.as_str()).collect();
            names.join(", ")
        };
        let (ours, theirs) = (names(&self.scenarios), names(wanted));
        if ours != theirs {
            return Some(format!("it runs {ours}, not {theirs}"));
        }
        let pairs = self.scenarios.iter().zip(wanted);
        let (old, new) = pairs.into_iter().find(|(old, new)| old.toml != new.toml)?;
        let mut lines = old.toml.lines().zip(new.toml.lines()).enumerate();
        let differing = lines.find(|(_, (old, new))| old != new);
        let place = match differing {
            Some((at, (old, new))) => format!("line {}: `{old}` then, `{new}` now", at + 1),
            None => "one goes on where the other ends".to_string(),
        };
        Some(format!("its scenario {} is another: {place}", old.name))
    }
}

impl std::fmt::Display for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.last {
            u64::MAX => write!(f, "{}..", self.first),
            last => write!(f, "{}..{last}", self.first),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Seeds in JSON: as text, since JSON's numbers are not exact for everybody.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use zabsim::{parse_seed, seed_text};

    pub(crate) fn serialize<S: Serializer>(seed: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&seed_text(*seed))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        parse_seed(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charter() -> Charter {
        let subject = |name: &str| Subject {
            name: name.to_string(),
            toml: format!("name = \"{name}\"\nservers = 3\n"),
        };
        let seeds = Seeds { first: 1, last: 9 };
        Charter::new(vec![subject("a"), subject("b")], seeds, Shard::WHOLE, 50)
    }

    #[test]
    fn each_difference_is_named() {
        type Change = fn(&mut Charter);
        let changes: [(Change, &str); 7] = [
            (|c| c.commit = "f00".to_string(), "its commit is"),
            (|c| drop(c.scenarios.pop()), "it runs a, b, not a"),
            (
                |c| c.scenarios[1].toml = c.scenarios[1].toml.replace('3', "5"),
                "its scenario b is another: line 2: `servers = 3` then, `servers = 5` now",
            ),
            (
                |c| c.seeds.last = 10,
                "its range of seeds is 1..9, this one's 1..10",
            ),
            (
                |c| c.shard = Shard { index: 2, of: 4 },
                "its shard is 1/1, this one's 2/4",
            ),
            (
                |c| c.recheck_per_mille = 0,
                "50 in 1,000, this one's 0 in 1,000",
            ),
            (|c| drop(c.probes.pop()), "another build"),
        ];
        let longer = Charter {
            for_ms: Some(1),
            ..charter()
        };
        assert_eq!(
            charter().difference(&longer),
            None,
            "it only goes on longer"
        );
        for (change, named) in changes {
            let mut other = charter();
            change(&mut other);
            let difference = charter().difference(&other).expect(named);
            assert!(difference.contains(named), "{difference}");
        }
    }
}
