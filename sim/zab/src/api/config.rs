//! How a peer is set up.

use super::PeerId;
use crate::quorum::QuorumConfig;
use zabsim_bugs::Planted;

/// How a peer is set up; the same on every server but for `id`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This server.
    pub id: PeerId,
    /// The ensemble's first configuration: who votes, who observes, what is a quorum. The same on every server, on those that
    /// join later too: they are no members of it, and follow without a vote until a reconfiguration names them.
    pub quorum: QuorumConfig,
    /// A tick, in microseconds (ZooKeeper: tickTime).
    pub tick_us: u64,
    /// Ticks that connecting and synchronizing may take (initLimit).
    pub init_limit: u32,
    /// Ticks that a learner may be silent or behind (syncLimit).
    pub sync_limit: u32,
    /// How long an election waits for a better vote once it has a quorum, in microseconds (finalizeWait, 200 ms).
    pub finalize_wait_us: u64,
    /// The first and the longest wait before notifications are sent again, in microseconds (200 ms, 60 s).
    pub notify_us: (u64, u64),
    /// Committed transactions kept in memory for DIFFs (commitLogCount, 500).
    pub commit_log_count: usize,
    /// Whether a DIFF may be read from the log on disk, and up to how many bytes of it (0: never; ZooKeeper: 0.33 × snapshot size).
    pub disk_diff_bytes_max: u64,
    /// Transactions in the log before a snapshot is due (snapCount). The driver draws it for each server from (n/2, n].
    pub snap_count: u32,
    /// Transactions that an epoch may have; 2³²−1 but in tests of the rollover.
    pub counter_max: u32,
    /// Snapshots kept on disk when a new one is taken, with the logs that they need (autopurge.snapRetainCount, 3).
    pub snap_retain: usize,
    /// What is wrong with this peer on purpose: nothing, outside of the museum.
    pub bugs: Planted,
}

impl Config {
    /// ZooKeeper's own defaults: a tick of 2 s, initLimit 10, syncLimit 5, snapCount 100,000, no DIFF from the disk's log.
    pub fn new(id: PeerId, quorum: QuorumConfig) -> Config {
        Config {
            id,
            quorum,
            tick_us: 2_000_000,
            init_limit: 10,
            sync_limit: 5,
            finalize_wait_us: 200_000,
            notify_us: (200_000, 60_000_000),
            commit_log_count: 500,
            disk_diff_bytes_max: 0,
            snap_count: 100_000,
            counter_max: u32::MAX,
            snap_retain: 3,
            bugs: Planted::NONE,
        }
    }
}

/// Why a reconfiguration is not proposed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReconfigureRefusal {
    /// This peer does not lead, or is about to stop.
    NotLeading,
    /// Another one is not committed yet.
    InProgress,
    /// No quorum of the new configuration follows this leader, and has its history.
    NoQuorum,
}
