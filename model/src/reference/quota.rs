//! Quotas: for a path with a `zookeeper_limits` node under `/zookeeper/quota`, the server keeps the number of nodes and bytes
//! at and below it in the `zookeeper_stats` node beside, outside all versions, and may enforce hard limits.
//!
//! Source: ZooKeeper 3.9 `DataTree.updateQuotaStat`, `StatsTrack`, `ZooKeeperServer.checkQuota`.

use super::model::{Model, Undo};
use std::sync::Arc;
use zabsim_types::{Data, ErrorCode, ZPath, parent_of};

const QUOTA: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// Counts or limits, as their nodes hold them: `count=2,bytes=10` and, of limits, `=;byteHardLimit=…;countHardLimit=…`
/// behind. What is not said is −1.
struct Track(Vec<(String, i64)>);

impl Track {
    fn read(data: &Data) -> Track {
        let text = String::from_utf8_lossy(data.as_deref().unwrap_or_default()).into_owned();
        let pairs = text.split([',', ';']).filter(|pair| !pair.is_empty());
        Track(
            pairs
                .map(|pair| {
                    let mut words = pair.split('=').filter(|word| !word.is_empty());
                    let key = words.next().unwrap_or_default().to_owned();
                    let value = words.next().and_then(|word| word.parse().ok());
                    (key, value.unwrap_or(-1))
                })
                .collect(),
        )
    }

    fn get(&self, key: &str) -> i64 {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map_or(-1, |(_, value)| *value)
    }

    fn write(&self, count: i64, bytes: i64) -> Data {
        let mut text = format!("count={count},bytes={bytes}");
        let others = self
            .0
            .iter()
            .filter(|(key, _)| key != "count" && key != "bytes");
        for (at, (key, value)) in others.enumerate() {
            // Old readers stop at the second equals sign.
            text.push_str(if at == 0 { "=;" } else { ";" });
            text.push_str(&format!("{key}={value}"));
        }
        Some(Arc::from(text.into_bytes()))
    }
}

fn of_quota(path: &str, node: &str) -> String {
    format!("{QUOTA}{path}/{node}")
}

/// The path that a node under `/zookeeper/quota` is about, and the node's name.
fn subject(path: &str) -> Option<(&str, &str)> {
    let (subject, name) = path.strip_prefix(QUOTA)?.rsplit_once('/')?;
    (!subject.is_empty()).then_some((subject, name))
}

impl Model {
    /// The nearest path at or above with limits.
    fn limited(&self, path: &str) -> Option<ZPath> {
        if self.limited.is_empty() {
            return None;
        }
        let mut at = Some(path);
        while let Some(path) = at.filter(|path| *path != "/") {
            if let Some(found) = self.limited.get(path) {
                return Some(found.clone());
            }
            at = parent_of(path);
        }
        None
    }

    /// Whether a change of this size would exceed a hard limit. It is compared with the counts before the transaction: a
    /// multi's parts do not see each other here.
    pub(super) fn within_quota(&self, path: &str, bytes: i64, count: i64) -> Result<(), ErrorCode> {
        if !self.settings.enforce_quota {
            return Ok(());
        }
        let Some(limited) = self.limited(path) else {
            return Ok(());
        };
        let (Some(limits), Some(stats)) = (
            self.nodes.get(&*of_quota(&limited, LIMITS)),
            self.nodes.get(&*of_quota(&limited, STATS)),
        ) else {
            return Ok(());
        };
        let limits = Track::read(&limits.data);
        let now = Track::read(self.counts_before.get(&limited).unwrap_or(&stats.data));
        let exceeds = |hard: &str, key: &str, more: i64| {
            let limit = limits.get(hard);
            more != 0 && limit > -1 && now.get(key) + more > limit
        };
        if exceeds("countHardLimit", "count", count) || exceeds("byteHardLimit", "bytes", bytes) {
            return Err(ErrorCode::QuotaExceeded);
        }
        Ok(())
    }

    /// A node was made: it may set limits, ask for counts, and count.
    pub(super) fn quota_of_created(&mut self, path: &str, bytes: i64) {
        match subject(path) {
            Some((subject, LIMITS)) => {
                self.limited.insert(subject.into());
                self.undo.push(Undo::Unlimit(subject.into()));
            }
            Some((subject, STATS)) => {
                let (count, bytes) = self.weigh(subject);
                self.set_counts(subject, |_| (count, bytes));
            }
            _ => {}
        }
        self.count(path, bytes, 1);
    }

    /// A node was removed.
    pub(super) fn quota_of_removed(&mut self, path: &str, bytes: i64) {
        if let Some((subject, LIMITS)) = subject(path)
            && self.limited.remove(subject)
        {
            self.undo.push(Undo::Limit(subject.into()));
        }
        self.count(path, -bytes, -1);
    }

    /// So many more bytes and nodes at `path`.
    pub(super) fn count(&mut self, path: &str, bytes: i64, count: i64) {
        if let Some(limited) = self.limited(path) {
            self.set_counts(&limited, |old| {
                (old.get("count") + count, old.get("bytes") + bytes)
            });
        }
    }

    fn set_counts(&mut self, subject: &str, change: impl FnOnce(&Track) -> (i64, i64)) {
        let stats: ZPath = of_quota(subject, STATS).into();
        let Some(node) = self.nodes.get_mut(&stats) else {
            return;
        };
        let old = node.data.clone();
        let track = Track::read(&old);
        let (count, bytes) = change(&track);
        node.data = track.write(count, bytes);
        let before = self.counts_before.entry(subject.into());
        before.or_insert_with(|| old.clone());
        self.undo.push(Undo::Counts {
            path: stats,
            data: old,
        });
    }

    /// The nodes at and below a path, and their bytes.
    fn weigh(&self, path: &str) -> (i64, i64) {
        let (mut count, mut bytes) = (0, 0);
        self.each_at_or_below(path, |node| {
            count += 1;
            bytes += node.data.as_ref().map_or(0, |data| data.len() as i64);
        });
        (count, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_counts_written_as_zookeeper_does() {
        let data = |text: &str| -> Data { Some(Arc::from(text.as_bytes())) };
        let limits = Track::read(&data("count=-1,bytes=-1=;byteHardLimit=7;countHardLimit=2"));
        assert_eq!(limits.get("countHardLimit"), 2);
        assert_eq!(limits.get("byteHardLimit"), 7);
        assert_eq!(limits.get("count"), -1);
        assert_eq!(Track::read(&None).get("count"), -1);
        let counts = Track::read(&data("count=0,bytes=0"));
        assert_eq!(counts.write(3, 14), data("count=3,bytes=14"));
        let text = "count=1,bytes=2=;byteHardLimit=7;countHardLimit=2";
        assert_eq!(limits.write(1, 2), data(text));
    }
}
