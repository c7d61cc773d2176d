//! Quotas. A node `/zookeeper/quota/P/zookeeper_limits` puts a quota on the path P; the `zookeeper_stats` beside it then holds
//! the number of nodes and bytes at and below P, and no version or time of it tells when the count changes.
//!
//! - The nearest quota at or above a path counts it, and only that one. When its `zookeeper_stats` is made, all below P is
//!   counted anew.
//! - The *leader* counts, on the tree as it will be, and a transaction carries the counts that it leads to. ZooKeeper's
//!   servers each count for themselves as they apply, and recount when they load a snapshot: with one quota inside another
//!   that gives other numbers than before. Numbers that a transaction names are the same everywhere, however often it is
//!   replayed (**BASE**).
//! - Hard limits are compared with the counts before the transaction: the parts of a multi do not see each other's.
//!
//! Source: ZooKeeper 3.9 `DataTree.updateQuotaStat`, `Quotas`, `StatsTrack`, `ZooKeeperServer.checkQuota`.

use std::collections::BTreeMap;
use zabsim_types::Data;

/// Below it lies what is said of quotas, under the paths that they are on.
pub(crate) const QUOTA_NODE: &str = "/zookeeper/quota";

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// The node with the limits of the quota on `path`.
pub(crate) fn limits_of(path: &str) -> String {
    format!("{QUOTA_NODE}{path}/{LIMITS}")
}

/// The node with the counts of the quota on `path`.
pub(crate) fn stats_of(path: &str) -> String {
    format!("{QUOTA_NODE}{path}/{STATS}")
}

/// The path whose counts this node holds, if it holds any.
pub(crate) fn counted_by(path: &str) -> Option<&str> {
    let (on, name) = path.strip_prefix(QUOTA_NODE)?.rsplit_once('/')?;
    (name == STATS && !on.is_empty()).then_some(on)
}

/// Nodes and bytes: how many there are, or how many more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Amount {
    pub(crate) count: i64,
    pub(crate) bytes: i64,
}

impl Amount {
    /// Of one node with this data.
    pub(crate) fn of(data: &Data) -> Amount {
        Amount {
            count: 1,
            bytes: len(data),
        }
    }

    pub(crate) fn negative(self) -> Amount {
        Amount {
            count: -self.count,
            bytes: -self.bytes,
        }
    }

    pub(crate) fn and(self, other: Amount) -> Amount {
        Amount {
            count: self.count + other.count,
            bytes: self.bytes + other.bytes,
        }
    }
}

pub(crate) fn len(data: &Data) -> i64 {
    data.as_ref().map_or(0, |bytes| bytes.len() as i64)
}

/// What such a node holds: numbers by name. What is missing, or is no number, is −1.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Track(BTreeMap<String, i64>);

impl Track {
    pub(crate) fn read(data: &Data) -> Track {
        let text = String::from_utf8_lossy(data.as_deref().unwrap_or_default());
        let pairs = text.split([',', ';']).filter(|pair| !pair.is_empty());
        let number = |pair: &str| {
            // A second equals sign, which hides what follows from older readers, ends the number.
            let mut words = pair.split('=');
            let name = words.next().unwrap_or_default();
            let value = words.next().and_then(|word| word.parse().ok());
            (name.to_owned(), value.unwrap_or(-1))
        };
        Track(
            pairs
                .map(number)
                .filter(|(name, _)| !name.is_empty())
                .collect(),
        )
    }

    fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(-1)
    }

    pub(crate) fn amount(&self) -> Amount {
        Amount {
            count: self.get("count"),
            bytes: self.get("bytes"),
        }
    }

    /// Whether so much more than `now` is beyond a hard limit of these.
    pub(crate) fn forbids(&self, now: Amount, more: Amount) -> bool {
        let beyond =
            |limit: i64, now: i64, more: i64| limit > -1 && more != 0 && now + more > limit;
        beyond(self.get("countHardLimit"), now.count, more.count)
            || beyond(self.get("byteHardLimit"), now.bytes, more.bytes)
    }

    /// With other counts.
    pub(crate) fn write(&self, amount: Amount) -> Data {
        let mut text = format!("count={},bytes={}", amount.count, amount.bytes);
        let others = self.0.iter();
        let others = others.filter(|(name, _)| !matches!(name.as_str(), "count" | "bytes"));
        for (at, (name, value)) in others.enumerate() {
            text += if at == 0 { "=;" } else { ";" };
            text += &format!("{name}={value}");
        }
        Some(text.into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Data {
        Some(text.as_bytes().into())
    }

    #[test]
    fn numbers_are_read_and_written_as_zookeeper_does() {
        let text = "count=-1,bytes=-1=;byteHardLimit=7;countHardLimit=2";
        let limits = Track::read(&data(text));
        assert_eq!(limits.get("countHardLimit"), 2);
        assert_eq!(limits.get("byteHardLimit"), 7);
        let nothing = Amount {
            count: -1,
            bytes: -1,
        };
        assert_eq!(limits.amount(), nothing);
        assert_eq!(limits.write(nothing), data(text));
        for odd in ["", "count", "=3", "count=many,bytes", ",;="] {
            assert_eq!(Track::read(&data(odd)).amount(), nothing, "{odd}");
        }
        let now = Amount {
            count: 3,
            bytes: 14,
        };
        assert_eq!(Track::read(&None).write(now), data("count=3,bytes=14"));
    }

    #[test]
    fn only_what_grows_is_forbidden_and_only_by_hard_limits() {
        let limits = |text| Track::read(&data(text));
        let now = Amount { count: 2, bytes: 9 };
        let node = Amount { count: 1, bytes: 0 };
        let data = Amount { count: 0, bytes: 1 };
        assert!(limits("count=-1,bytes=-1=;countHardLimit=2").forbids(now, node));
        assert!(!limits("count=-1,bytes=-1=;countHardLimit=3").forbids(now, node));
        assert!(!limits("count=2,bytes=9").forbids(now, node.and(data)));
        assert!(!limits("countHardLimit=1").forbids(now, data));
        assert!(limits("byteHardLimit=9").forbids(now, data));
        assert!(!limits("byteHardLimit=9").forbids(now, node));
    }

    #[test]
    fn the_nodes_of_a_quota_say_what_it_is_on() {
        assert_eq!(stats_of("/a/b"), "/zookeeper/quota/a/b/zookeeper_stats");
        assert_eq!(
            counted_by("/zookeeper/quota/a/b/zookeeper_stats"),
            Some("/a/b")
        );
        assert_eq!(counted_by("/zookeeper/quota/a/b/zookeeper_limits"), None);
        assert_eq!(counted_by("/zookeeper/quota/zookeeper_stats"), None);
        assert_eq!(counted_by("/a/zookeeper_stats"), None);
    }
}
