//! The table of the museum.

/// In which part of the system a bug lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Room {
    Election,
    Discovery,
    Synchronization,
    Broadcast,
    Recovery,
    Service,
    Client,
    Recipe,
}

/// Where a bug comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// It is in an issue tracker, a paper, or a guard of the real code.
    Documented,
    /// Nobody has reported it, and an engineer would fear it.
    Feared,
}

/// What is known of a bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The id, or `repository#number`.
    pub id: &'static str,
    /// What the code does wrong, in a few words with hyphens.
    pub alias: &'static str,
    /// Where.
    pub room: Room,
    /// Whence.
    pub kind: Kind,
    /// The releases that had it; empty for what nobody has reported.
    pub affected: &'static str,
    /// One line.
    pub title: &'static str,
    /// The properties that it can break.
    pub breaks: &'static str,
}

macro_rules! museum {
    ($($bug:ident: $id:literal, $alias:literal, $room:ident, $kind:ident, $affected:literal, $title:literal, $breaks:literal;)+) => {
        /// A bug that can be planted.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Bug {
            $(#[doc = concat!($id, ": ", $title, ".")] $bug,)+
        }

        impl Bug {
            /// All of them, in the table's order.
            pub const ALL: &[Bug] = &[$(Bug::$bug,)+];

            /// What is known of it.
            pub const fn entry(self) -> &'static Entry {
                match self {
                    $(Bug::$bug => &Entry {
                        id: $id,
                        alias: $alias,
                        room: Room::$room,
                        kind: Kind::$kind,
                        affected: $affected,
                        title: $title,
                        breaks: $breaks,
                    },)+
                }
            }
        }
    };
}

museum! {
    LogSyncTxnsAtUptodate: "ZOOKEEPER-3911", "log-sync-txns-at-uptodate", Synchronization, Documented,
        "from 3.4.10 and 3.5.3; fixed in 3.5.10, 3.6.3, 3.7.0", "what a learner got by DIFF is logged after UPTODATE", "durability";
    AckNewLeaderBeforeFsync: "ZOOKEEPER-4646", "ack-newleader-before-fsync", Synchronization, Documented,
        "fixed in 3.9.2 and 3.9.3", "NEWLEADER is acknowledged while the log write is queued", "durability";
    EpochBeforeHistory: "ZOOKEEPER-4643", "epoch-before-history", Synchronization, Documented,
        "3.7.1, 3.8.0; fixed in 3.9.2 and 3.9.3", "currentEpoch is written before the history that it vouches for", "initial history integrity";
    ApplySyncTxnsAsync: "ZOOKEEPER-3023", "apply-sync-txns-async", Synchronization, Documented,
        "before 3.9.3", "NEWLEADER is acknowledged before the committed history is applied", "commit consistency";
    ProposalAckBeforeNewLeaderAck: "ZOOKEEPER-4685", "proposal-ack-before-newleader-ack", Synchronization, Documented,
        "open", "the ACK of a proposal overtakes that of NEWLEADER", "legal messages, liveness";
    DropUncommittedOnNewLeader: "ZOOKEEPER-4394", "drop-uncommitted-on-newleader", Synchronization, Documented,
        "fixed in 3.9.3", "a COMMIT between NEWLEADER and UPTODATE finds nothing to commit", "legal messages, liveness";
    SkipCommittedLogOnSyncApply: "ZOOKEEPER-4925", "skip-committedlog-on-sync-apply", Synchronization, Documented,
        "3.9.3; fixed in 3.9.4", "what came by synchronization is missing from the committed log", "total order, prefix consistency";
    VoteByTree: "ZOOKEEPER-2845", "vote-by-tree", Synchronization, Documented,
        "from 3.4.10 and 3.5.3; fixed in 3.4.12, 3.5.4, 3.6.0", "the tree that is kept over a change of roles lags the log", "prefix consistency";
    SnapshotClaimsCommitted: "ZOOKEEPER-3104", "enqueue-newleader-before-snapshot", Synchronization, Documented,
        "fixed in 3.5.5, 3.6.0", "a snapshot for a learner claims what it does not hold", "durability";
    KeepTreeOnAbortedSnap: "ZOOKEEPER-3642", "keep-tree-on-aborted-snap", Synchronization, Documented,
        "fixed in 3.5.10, 3.6.3, 3.7.0", "the state of a SNAP that was never installed stays in memory", "durability";
    SnapKeepsLogTail: "ZOOKEEPER-2832", "snap-keeps-log-tail", Synchronization, Documented,
        "reported on 3.4.9; open", "a SNAP leaves the longer log beside it", "prefix consistency";
    SnapshotOnLeadEntry: "ZOOKEEPER-1558", "snapshot-on-lead-entry", Recovery, Documented,
        "fixed in 3.4.6", "a leader without a quorum snapshots what is not committed, and no TRUNC removes it", "prefix consistency";
    TruncKeepsSnapshots: "ZOOKEEPER-4837", "trunc-keeps-snapshots", Recovery, Documented,
        "3.9.2; open", "TRUNC leaves a snapshot from beyond the cut", "same state, ephemeral owners";
    DiffWithoutMembershipCheck: "ZOOKEEPER-1154", "diff-without-membership-check", Synchronization, Documented,
        "fixed in 3.3.4, 3.4.0", "a stale tail inside the range of the leader's log is taken for known", "agreement";
    KeepLogHandleOverTruncate: "ZOOKEEPER-1489", "keep-log-handle-over-truncate", Recovery, Documented,
        "fixed in 3.3.6, 3.4.4", "records are appended beyond the hole that TRUNC left", "durability";
    NonatomicDiffAndForward: "ZOOKEEPER-962", "nonatomic-diff-and-forward", Synchronization, Documented,
        "fixed in 3.3.3", "a commit between the choice of the history and the forwarding is in neither", "total order";
    ServeBeforeSyncCommitsApplied: "ZOOKEEPER-2807", "serve-before-sync-commits-applied", Synchronization, Documented,
        "open", "a learner serves before the commits of its synchronization are applied", "order of watches and replies";
    CommitsBeforeUptodateNotLogged: "ZOOKEEPER-1264", "apply-post-newleader-commits-without-logging", Synchronization, Documented,
        "fixed in 3.3.4, 3.4.0", "what is committed between NEWLEADER and UPTODATE reaches the tree alone", "durability";
    VolatileAcceptedEpoch: "ZOOKEEPER-335", "volatile-accepted-epoch", Discovery, Documented,
        "before 3.4.0", "the promise of an epoch is not kept on disk", "leadership, integrity";
    CurrentEpochOnUptodate: "ZOOKEEPER-1282", "set-current-epoch-on-uptodate", Synchronization, Documented,
        "fixed in 3.4.0", "currentEpoch is written at UPTODATE", "initial history integrity";
    CountMinusOneAckEpoch: "zab#ackepoch", "count-minus-one-ackepoch", Discovery, Documented,
        "none: a rule of the code", "a promise made to another leader of the same epoch counts", "leadership";
    EpochFromLogAlone: "ZOOKEEPER-582", "epoch-from-log-ignores-snapshot", Recovery, Documented,
        "fixed in 3.1.2, 3.2.2", "the epoch is taken from the log, though the snapshot is newer", "order of zxids";
    RefuseBootOfTailAboveEpoch: "ZOOKEEPER-1653", "refuse-boot-if-tail-epoch-above-current", Recovery, Documented,
        "fixed in 3.4.6; in part in 3.5.8, 3.6.0", "a server that crashed between history and epoch does not start again", "liveness";
    BlankMayVote: "ZOOKEEPER-2325", "empty-disk-may-vote", Election, Documented,
        "fixed in 3.6.0", "a server whose disk was wiped votes", "durability";
    NoRolloverGuard: "ZOOKEEPER-1277", "no-rollover-guard", Broadcast, Documented,
        "fixed in 3.3.5, 3.4.4", "the counter runs into the epoch", "leadership, primary order";
    LeaderSurvivesLogError: "ZOOKEEPER-2247", "leader-survives-log-error", Broadcast, Documented,
        "fixed in 3.4.9, 3.5.3", "a leader that cannot log any more goes on pinging", "liveness";
    CompareAllOfEstablishedVotes: "ZOOKEEPER-1732", "compare-all-fields-for-established-votes", Election, Documented,
        "fixed in 3.4.6, 3.5.0", "votes of an established ensemble are compared by zxid and round", "liveness";
    NoVoteEpochUpdate: "ZOOKEEPER-1805", "no-vote-epoch-update", Election, Documented,
        "fixed in 3.4.6, 3.5.0", "the votes of followers keep the epoch from before the election", "liveness";
    SkipCheckLeader: "ZOOKEEPER-480", "skip-check-leader", Election, Documented,
        "fixed in 2009", "peers follow a leader that says nothing", "liveness";
    ZeroWeightLeader: "ZOOKEEPER-498", "allow-zero-weight-leader", Election, Documented,
        "fixed in 2009", "a server without weight is proposed", "liveness";
    ForwardOnlyAfterNewLeaderAck: "zab-tla#1", "forward-only-after-newleader-ack", Synchronization, Documented,
        "none: the TLA+ specification of the protocol", "what is proposed between the cut and ACK(NEWLEADER) is not forwarded", "prefix consistency";
    CommitWithoutPredecessor: "zab#commit-order", "commit-on-quorum-ignoring-predecessor", Broadcast, Documented,
        "none: a rule of the code", "a transaction is announced as committed without the one before it", "total order, legal messages";
    NoClosingFlagInPrep: "ZOOKEEPER-1208", "no-closing-flag-in-prep", Service, Documented,
        "fixed in 3.3.4, 3.4.0", "an ephemeral is created by a session whose end is prepared", "ephemeral owners";
    TouchRevivesClosing: "ZOOKEEPER-1496", "touch-revives-closing", Service, Documented,
        "fixed in 3.4.4", "a session on its way out is touched back to life", "ephemeral owners";
    ClaimDiffUpFront: "ZOOKEEPER-2355", "set-last-processed-at-diff-header", Synchronization, Documented,
        "fixed in 3.4.11, 3.5.4", "a learner whose link breaks amid a DIFF claims all of it", "prefix consistency";
    CloseSessionRecomputes: "ZOOKEEPER-3145", "close-session-recomputes-ephemerals", Service, Documented,
        "fixed in 3.6.0", "the replay of a closeSession deletes what the fuzzy tree holds", "same state, watches";
    ReplayOverwritesParent: "ZOOKEEPER-3125", "replay-overwrites-pzxid-cversion", Service, Documented,
        "fixed in 3.5.5, 3.6.0", "replay over a fuzzy snapshot sets pzxid and cversion back", "Stat, sequence";
    CreateWithoutParentCversion: "ZOOKEEPER-1046", "create-txn-without-parent-cversion", Service, Documented,
        "fixed in 3.3.4, 3.4.0", "the number of a sequential node is used again after a restart", "sequence";
    AclTableBeforeNodes: "ZOOKEEPER-3306", "acl-table-before-nodes", Service, Documented,
        "fixed in 3.6.0", "a fuzzy snapshot lacks an access control list that a node in it uses", "same state";
    CheckAsTransaction: "ZOOKEEPER-2623", "check-op-as-txn", Service, Documented,
        "fixed in 3.8.5, 3.9.3", "a check outside of a multi goes through the quorum and fails on its way back", "replies";
    ReattachKeepsOwner: "ZOOKEEPER-710", "reattach-keeps-owner", Service, Documented,
        "fixed in 2010", "a session that moved is refused for ever by the server it moved to", "liveness";
    IgnoreOwner: "ZOOKEEPER-417", "ignore-owner", Service, Documented,
        "fixed in 2009", "a write from the server that a session left lands after newer ones", "session order";
    ReplyZxidIsLastProposed: "ZOOKEEPER-1412", "reply-zxid-is-last-proposed", Service, Documented,
        "fixed in 3.3.5, 3.4.4", "the header of a reply names what is proposed, not what is applied", "watches";
    AcceptClientFromFuture: "zab#single-image", "accept-client-from-future", Service, Documented,
        "none: a rule of the code", "a server takes a client that has seen more than it has", "session order";
    AdoptFoundNode: "CURATOR-498", "adopt-found-node-without-session-check", Recipe, Documented,
        "fixed in 4.1.1, 4.2.0", "a protected create takes the node of its own dead session for its own", "mutual exclusion";
    NoBackgroundDelete: "CURATOR-45", "no-background-delete-on-failed-create", Recipe, Documented,
        "fixed in 2.3.0", "a create whose reply was lost is never cleaned up", "liveness";
    ResourceIgnoresFence: "CURATOR-537", "resource-ignores-fence", Recipe, Documented,
        "open: by design", "a resource takes writes of a holder whose lock has gone to another", "fencing";
    NoRetryOnCleanup: "kazoo#732", "no-retry-on-cleanup", Recipe, Documented,
        "fixed in February 2025", "the failure to delete a contender's node is swallowed", "liveness";
    SortByString: "kazoo#730", "sort-by-string", Recipe, Documented,
        "fixed in October 2023", "sequence numbers are sorted as text, behind the overflow too", "mutual exclusion, liveness";
    ExistsWatchOnPredecessor: "kazoo#4a2dce8", "exists-watch-on-predecessor", Recipe, Documented,
        "fixed by that commit", "a contender waits for the creation of a predecessor that is gone", "liveness";
    NoCleanupOnRetryFailure: "kazoo#a96b1e4", "no-cleanup-on-retry-failure", Recipe, Documented,
        "fixed by that commit", "an acquisition that fails leaves its node behind", "liveness";
    SortByFullName: "ZOOKEEPER-2931", "sort-by-full-name", Recipe, Documented,
        "fixed in 3.4.12, 3.5.4", "contenders are ordered by session id instead of age", "mutual exclusion, fairness";
    VoteById: "fear#1", "vote-by-id-first", Election, Feared,
        "", "the vote order looks at ids before histories", "liveness";
    VoteIgnoresZxid: "fear#2", "vote-ignores-zxid", Election, Feared,
        "", "the vote order does not look at zxids", "liveness";
    NotifyOnce: "fear#3", "notify-once", Election, Feared,
        "", "notifications that were lost are not sent again", "liveness";
    EpochNotRaised: "fear#4", "epoch-not-raised", Discovery, Feared,
        "", "a leader takes the highest epoch accepted, not the one after it", "leadership";
    EpochProposedBeforeDurable: "fear#5", "epoch-proposed-before-durable", Discovery, Feared,
        "", "LEADERINFO leaves before the leader has the epoch on disk", "durability";
    EpochPromisedBeforeDurable: "fear#6", "epoch-promised-before-durable", Discovery, Feared,
        "", "ACKEPOCH leaves before the learner has the epoch on disk", "durability";
    LowerEpochAccepted: "fear#7", "lower-epoch-accepted", Discovery, Feared,
        "", "a learner follows a leader of a lower epoch than it has promised", "leadership";
    PromisesBelowQuorum: "fear#8", "promises-below-quorum", Discovery, Feared,
        "", "half of the voters promise enough", "leadership";
    BlankPromiseCounts: "fear#9", "blank-promise-counts", Discovery, Feared,
        "", "what a server without data says counts", "durability";
    StaleLeaderGoesOn: "fear#10", "stale-leader-goes-on", Discovery, Feared,
        "", "a leader takes in learners that know more than it does", "durability";
    EstablishedBelowQuorum: "fear#11", "established-below-quorum", Synchronization, Feared,
        "", "half of the voters take over the history, and the leader serves", "leadership, durability";
    TruncTooShort: "fear#12", "trunc-one-short", Synchronization, Feared,
        "", "TRUNC leaves one transaction too many", "prefix consistency";
    DiffSkipsFirst: "fear#13", "diff-skips-first", Synchronization, Feared,
        "", "a DIFF begins one transaction late", "total order";
    SyncCommitsOutstanding: "fear#14", "sync-commits-outstanding", Synchronization, Feared,
        "", "a learner is told that what is outstanding is committed", "agreement";
    UptodateBeforeQuorum: "fear#15", "uptodate-before-quorum", Synchronization, Feared,
        "", "a learner serves before a quorum has the history", "durability";
    SnapshotWithoutSessions: "fear#16", "snapshot-without-sessions", Synchronization, Feared,
        "", "a snapshot has no session table", "same state";
    TruncInMemoryAlone: "fear#17", "trunc-in-memory-alone", Recovery, Feared,
        "", "TRUNC leaves the log on disk as it is", "prefix consistency";
    AckBeforeFsync: "fear#18", "ack-before-fsync", Broadcast, Feared,
        "", "a follower acknowledges what it has written and not synced", "durability";
    LeaderCountsUnsynced: "fear#19", "leader-counts-unsynced", Broadcast, Feared,
        "", "a leader counts itself before its own fsync", "durability";
    CommitBelowQuorum: "fear#20", "commit-below-quorum", Broadcast, Feared,
        "", "half of the voters commit", "durability";
    AckOutlivesLink: "fear#21", "ack-outlives-link", Broadcast, Feared,
        "", "an ACK counts on after its link, though the record may be cut", "durability";
    AppliesProposals: "fear#22", "applies-proposals", Broadcast, Feared,
        "", "a follower applies at PROPOSAL", "commit consistency";
    LeaderIgnoresLostQuorum: "fear#23", "leader-ignores-lost-quorum", Broadcast, Feared,
        "", "a leader that nobody follows goes on", "liveness";
    SyncUnproven: "fear#24", "sync-unproven", Broadcast, Feared,
        "", "a quorum sync is answered without asking anybody", "freshness";
    ReplayStopsEarly: "fear#25", "replay-stops-early", Recovery, Feared,
        "", "the last record of the log is not replayed", "durability";
    PurgeTooMuch: "fear#26", "purge-too-much", Recovery, Feared,
        "", "logs that an older snapshot needs are purged", "durability";
    SnapshotBeforeLog: "fear#27", "snapshot-before-log", Recovery, Feared,
        "", "a fuzzy snapshot counts before the log beside it is synced", "same state";
    InstallWithoutFsync: "fear#28", "install-without-fsync", Recovery, Feared,
        "", "a snapshot is renamed into place without an fsync", "durability";
    MultiNotRolledBack: "fear#29", "multi-not-rolled-back", Service, Feared,
        "", "a multi that failed leaves its traces for the next request", "atomicity";
    SequenceFromChildren: "fear#30", "sequence-from-children", Service, Feared,
        "", "a sequence number is the number of children", "sequence";
    EphemeralOutlivesSession: "fear#31", "ephemeral-outlives-session", Service, Feared,
        "", "the end of a session forgets its last ephemeral", "ephemeral owners";
    WatchAfterReply: "fear#32", "watch-after-reply", Service, Feared,
        "", "a watch fires behind the reply to the change", "order of watches and replies";
    WatchLostOnMulti: "fear#33", "watch-lost-on-multi", Service, Feared,
        "", "only the first change of a multi fires watches", "watches";
    VersionNotChecked: "fear#34", "version-not-checked", Service, Feared,
        "", "setData takes any version", "replies";
    PzxidNotOnDelete: "fear#35", "pzxid-not-on-delete", Service, Feared,
        "", "the deletion of a child leaves the parent's pzxid", "Stat";
    AclNotChecked: "fear#36", "acl-not-checked", Service, Feared,
        "", "whoever may not write does", "replies";
    ContainerSweptEarly: "fear#37", "container-swept-early", Service, Feared,
        "", "a container that never had a child is swept", "unexplained changes";
    EventsNotCounted: "fear#38", "events-not-counted", Client, Feared,
        "", "a client that moves forgets what it was told by events", "session order";
    WatchesForgotten: "fear#39", "watches-forgotten", Client, Feared,
        "", "watches are not set again on the next connection", "watches";
    RelativeIsSeen: "fear#40", "relative-is-seen", Client, Feared,
        "", "watches are set again from the last event, not the last reply", "watches";
    TokenReused: "fear#41", "token-reused", Recipe, Feared,
        "", "a client shows the token of its first hold again", "fencing";
    HoldsThroughDisconnection: "fear#42", "holds-through-disconnection", Recipe, Feared,
        "", "a holder without a connection believes that it holds", "mutual exclusion";
    WatchFiredMeansHeld: "fear#43", "watch-fired-means-held", Recipe, Feared,
        "", "who was woken holds without looking at the line again", "mutual exclusion";
}
