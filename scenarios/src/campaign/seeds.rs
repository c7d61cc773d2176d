//! Which runs a campaign consists of. Its items are numbered: each seed of its shard in order, and for each seed every
//! scenario. A shard has every n-th seed, so that shards of a campaign without end are of equal length too.

use super::charter::hex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A campaign's seeds, before it is divided into shards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// The first.
    #[serde(with = "hex")]
    pub first: u64,
    /// The last.
    #[serde(with = "hex")]
    pub last: u64,
}

/// One of several equal parts of a campaign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which, from 1.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong =
            || format!("\"{text}\" is no shard; write 2/4 for the second of four, from 1/4 to 4/4");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let (index, of) = (index.parse().ok(), of.parse().ok());
        let shard = index.zip(of).map(|(index, of)| Shard { index, of });
        shard
            .filter(|shard| (1..=shard.of).contains(&shard.index))
            .ok_or_else(wrong)
    }
}

/// The items of one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Items {
    seeds: Seeds,
    shard: Shard,
    scenarios: u64,
}

/// One run of a campaign: which scenario (by its place), which seed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Item {
    /// The scenario's place among the campaign's.
    pub scenario: usize,
    /// The seed.
    pub seed: u64,
}

impl Items {
    /// The items of these seeds, divided so, for so many scenarios.
    pub fn new(seeds: Seeds, shard: Shard, scenarios: usize) -> Items {
        Items {
            seeds,
            shard,
            scenarios: scenarios as u64,
        }
    }

    /// How many there are. More than 2^64 are none that anybody counts.
    pub fn count(&self) -> u64 {
        let seeds = u128::from(self.seeds.last - self.seeds.first) + 1;
        let before = u128::from(self.shard.index) - 1;
        let mine = seeds
            .saturating_sub(before)
            .div_ceil(u128::from(self.shard.of));
        u64::try_from(mine * u128::from(self.scenarios)).unwrap_or(u64::MAX)
    }

    /// The item of that number, counted from 0.
    pub fn get(&self, number: u64) -> Option<Item> {
        if number >= self.count() {
            return None;
        }
        let stride = number / self.scenarios;
        let offset = u64::from(self.shard.index) - 1 + stride * u64::from(self.shard.of);
        Some(Item {
            scenario: (number % self.scenarios) as usize,
            seed: self.seeds.first + offset,
        })
    }

    /// The number of an item; `None`: it is none of these.
    pub fn number(&self, item: Item) -> Option<u64> {
        let offset = item.seed.checked_sub(self.seeds.first)?;
        let past = offset.checked_sub(u64::from(self.shard.index) - 1)?;
        let is_mine = item.seed <= self.seeds.last
            && past.is_multiple_of(u64::from(self.shard.of))
            && (item.scenario as u64) < self.scenarios;
        is_mine.then(|| past / u64::from(self.shard.of) * self.scenarios + item.scenario as u64)
    }
}

/// A set of numbers that mostly follow one another: a few intervals, however many they are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Intervals {
    /// From the first of each to its last.
    spans: BTreeMap<u64, u64>,
}

impl Intervals {
    /// Adds one; whether it is new.
    pub fn insert(&mut self, number: u64) -> bool {
        let before = self.spans.range(..=number).next_back();
        let (mut first, mut last) = (number, number);
        if let Some((&from, &to)) = before {
            if number <= to {
                return false;
            }
            if to + 1 == number {
                first = from;
            }
        }
        if let Some(next) = number.checked_add(1)
            && let Some(to) = self.spans.remove(&next)
        {
            last = to;
        }
        self.spans.insert(first, last);
        true
    }

    /// Whether that number is among them.
    pub fn has(&self, number: u64) -> bool {
        let before = self.spans.range(..=number).next_back();
        before.is_some_and(|(_, last)| number <= *last)
    }

    /// The lowest number from this one on that is not among them.
    pub fn first_missing(&self, from: u64) -> Option<u64> {
        match self.spans.range(..=from).next_back() {
            Some((_, &last)) if last >= from => last.checked_add(1),
            _ => Some(from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn items(first: u64, last: u64, index: u32, of: u32, scenarios: usize) -> Items {
        Items::new(Seeds { first, last }, Shard { index, of }, scenarios)
    }

    fn all(items: Items) -> Vec<Item> {
        (0..items.count()).map_while(|n| items.get(n)).collect()
    }

    #[test]
    fn shards_together_are_the_whole_and_share_nothing() {
        let whole: BTreeSet<Item> = all(items(5, 26, 1, 1, 2)).into_iter().collect();
        assert_eq!(whole.len(), 44);
        let mut together = BTreeSet::new();
        for index in 1..=4 {
            for item in all(items(5, 26, index, 4, 2)) {
                assert!(together.insert(item), "{item:?} is in two shards");
            }
        }
        assert_eq!(together, whole);
    }

    #[test]
    fn an_item_has_the_number_that_it_is_found_at() {
        let part = items(100, 131, 3, 4, 3);
        for number in 0..part.count() {
            let item = part.get(number).expect("it is counted");
            assert_eq!(part.number(item), Some(number));
        }
        assert_eq!(part.get(part.count()), None);
        let of = |scenario, seed| part.number(Item { scenario, seed });
        assert_eq!(of(0, 100), None, "of the first shard");
        assert_eq!(of(0, 134), None, "beyond the last");
        assert_eq!(of(3, 102), None, "no such scenario");
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_trouble() {
        let every = items(0, u64::MAX, 1, 1, 1);
        assert_eq!(every.count(), u64::MAX);
        let last = items(u64::MAX, u64::MAX, 1, 1, 1);
        assert_eq!(last.get(0).map(|item| item.seed), Some(u64::MAX));
        assert_eq!(items(1, 2, 4, 4, 1).count(), 0, "more shards than seeds");
    }

    #[test]
    fn intervals_grow_together() {
        let mut set = Intervals::default();
        for number in [0, 2, 1, 7, 5, u64::MAX] {
            assert!(set.insert(number));
            assert!(!set.insert(number));
        }
        assert_eq!(set.spans.len(), 4, "{set:?}");
        assert!([0, 1, 2, 5, 7, u64::MAX].iter().all(|n| set.has(*n)));
        assert!([3, 4, 6, 8].iter().all(|n| !set.has(*n)));
        assert_eq!(set.first_missing(0), Some(3));
        assert_eq!(set.first_missing(3), Some(3));
        assert_eq!(set.first_missing(u64::MAX), None);
        assert!(set.insert(6));
        assert_eq!(set.first_missing(5), Some(8));
    }

    #[test]
    fn a_shard_is_written_as_a_part_of_a_number() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, of: 4 }));
        for bad in ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/4"] {
            bad.parse::<Shard>().expect_err(bad);
        }
    }
}
