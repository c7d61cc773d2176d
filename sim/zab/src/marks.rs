//! The rare paths that a peer reports by [`Note::Mark`](crate::Note::Mark), so that a campaign can say which it never took.

use crate::{Effect, Note};

/// Each mark's name, and what it means in one sentence.
pub const MARKS: &[(&str, &str)] = &[
    (
        "ackepoch-minus-one",
        "A learner had accepted the leader's epoch before, and answers without counting.",
    ),
    (
        "ahead-of-leader",
        "A learner that knows more than the unestablished leader was turned away.",
    ),
    (
        "blank-join",
        "A server with a blank disk asks to be brought up to date.",
    ),
    (
        "blank-proof",
        "An established leader proved that it still leads before a blank server may count.",
    ),
    (
        "blank-ready",
        "A formerly blank server is up to date and may vote from now on.",
    ),
    (
        "commit-before-uptodate",
        "A COMMIT arrived between NEWLEADER and UPTODATE (ZOOKEEPER-4394).",
    ),
    (
        "config-outdone",
        "A learner knew a newer configuration than the leader, and was turned away.",
    ),
    (
        "config-proven",
        "A leader learned from a learner that the configuration in its log is committed.",
    ),
    (
        "configuration-learned",
        "A looking server heard of a newer configuration from another one.",
    ),
    (
        "disk-diff-not-needed",
        "While the log was read for a DIFF, memory came to hold what was needed, or a DIFF was ruled out.",
    ),
    (
        "disk-diff-overtaken",
        "The log read for a DIFF no longer met the transactions in memory.",
    ),
    (
        "disk-diff-unavailable",
        "The log on disk could not serve a DIFF.",
    ),
    (
        "drain-abandoned-snapshot",
        "A role ended while a snapshot of the running server was being written.",
    ),
    (
        "drain-received-snapshot",
        "A role ended while a snapshot from the leader was half received.",
    ),
    (
        "drain-reload",
        "A role ended with the application's state ahead of the disk; it was loaded anew (ZOOKEEPER-3642).",
    ),
    (
        "drain-replayed-tail",
        "A role ended with logged transactions whose fate is open; they were applied (ZOOKEEPER-2845).",
    ),
    (
        "drain-unfinished-truncation",
        "A role ended in the middle of a truncation.",
    ),
    (
        "election-better-vote",
        "A looking server took up a better vote of its own round.",
    ),
    (
        "election-joined-established",
        "A looking server found an established leader and joined it.",
    ),
    (
        "election-late-riser-ignored",
        "While a vote was about to be final, one of another round that is no better was left aside.",
    ),
    (
        "election-old-round-ignored",
        "A vote of a former round was not counted.",
    ),
    (
        "election-outcome-heard",
        "A looking server heard from those who had decided its own round.",
    ),
    (
        "election-reconsidered",
        "A better vote came while another was about to be final.",
    ),
    (
        "election-round-taken-over",
        "A looking server went over to another server's round.",
    ),
    (
        "epoch-outdone",
        "A leader met a learner that had accepted a higher epoch, and stepped down to choose a higher one.",
    ),
    (
        "epoch-too-low",
        "A learner refused a leader whose epoch is lower than the one it had accepted.",
    ),
    (
        "hand-over",
        "The leader is not in the new configuration; the leader that it named takes over without an election.",
    ),
    (
        "leader-link-broke",
        "A learner lost its link to the leader after discovery had begun.",
    ),
    (
        "leader-lost-quorum",
        "An established leader stepped down, because a quorum was silent for syncLimit.",
    ),
    (
        "leader-never-established",
        "An elected leader stepped down, because it had no quorum within initLimit.",
    ),
    (
        "leader-retired",
        "A leader activated a configuration without itself, and commits nothing more.",
    ),
    (
        "leader-silent",
        "A learner gave up a leader that was silent.",
    ),
    (
        "leader-unreachable",
        "A learner never got a link to the leader that it had elected.",
    ),
    (
        "learner-behind",
        "A learner left a proposal unacknowledged for longer than syncLimit and was cut off.",
    ),
    (
        "learner-silent",
        "A learner was silent or did not finish its synchronization in time and was cut off.",
    ),
    (
        "link-replaced",
        "A learner came back while its old link still seemed open.",
    ),
    (
        "new-role",
        "A reconfiguration made an observer of a follower or the reverse; it joined anew.",
    ),
    (
        "proposal-before-uptodate",
        "A proposal arrived between NEWLEADER and UPTODATE.",
    ),
    (
        "proposal-refused",
        "The application proposed where no proposal is possible.",
    ),
    (
        "recovery-dead-generation",
        "Files of a database that a snapshot from a leader had replaced were still there.",
    ),
    (
        "recovery-history-ahead-of-epoch",
        "A crash between history and currentEpoch: the log's tail is of a later epoch than currentEpoch.",
    ),
    (
        "recovery-older-snapshot",
        "The newest snapshot was no good; an older one and the log behind it were.",
    ),
    (
        "recovery-pending-configuration",
        "The last reconfiguration on the disk may not have been committed: quorums of both configurations are needed.",
    ),
    (
        "recovery-read-again",
        "The disk was cleaned up at boot and read once more.",
    ),
    ("recovery-torn-tail", "A torn tail of the log was cut off."),
    (
        "rollover",
        "The epoch's counter is used up; the leader stepped down (ZOOKEEPER-1277).",
    ),
    (
        "snap-below-floor",
        "A learner could not cut its log deep enough and got a snapshot.",
    ),
    (
        "snap-below-tail",
        "A learner took a snapshot that lies below the tail of its own log (ZOOKEEPER-2832).",
    ),
    (
        "snap-crosses-epoch",
        "A cut would have crossed an epoch; the learner got a snapshot.",
    ),
    (
        "snap-new-epoch-zxid",
        "A learner reported an (e,0) beyond the leader's history and got a snapshot.",
    ),
    ("snap-too-old", "A learner was too far behind for a DIFF."),
    (
        "snapshot-refused-by-application",
        "The application could not restore the leader's snapshot.",
    ),
    (
        "sync-amid-proposals",
        "A learner was synchronized while proposals were on their way that it must acknowledge too.",
    ),
];

/// Reports that the path of this name was taken.
pub(crate) fn mark(name: &'static str, out: &mut Vec<Effect>) {
    debug_assert!(
        MARKS.iter().any(|(known, _)| *known == name),
        "no such mark: {name}"
    );
    out.push(Effect::Note(Note::Mark(name)));
}
