//! Messages, stops and acknowledgements out of their place.

use super::*;

#[test]
fn an_illegal_message() {
    let mut bed = Bed::serving();
    let note = Note::IllegalMessage {
        message: "COMMIT",
        phase: Phase::Discovery,
        why: "nothing is outstanding",
    };
    bed.note(S2, note);
    bed.breaks(
        "no-illegal-event",
        "s2 got COMMIT in phase Discovery: nothing is outstanding",
    );
}

/// A6: the log thread is quicker than the main thread.
#[test]
fn an_ack_overtakes_newleaders() {
    let mut bed = Bed::serving();
    bed.look(S3);
    bed.role(
        S3,
        PeerState::Following,
        Phase::Synchronization,
        1,
        Some(S1),
    );
    bed.send(S3, S1, Message::Ack { zxid: Zxid::ZERO });
    bed.breaks("no-illegal-event", "before it has acknowledged NEWLEADER");
}

/// B11: a leader that lives on after a failed write.
#[test]
fn going_on_after_a_failed_write() {
    let mut bed = Bed::serving();
    bed.see(S1, Observed::DiskFailed);
    bed.send(S1, S2, Message::Ping { round: 1 });
    bed.breaks(
        "no-illegal-event",
        "after a disk operation has failed; it must stop",
    );
}

#[test]
fn stopping_after_a_failed_write_is_right() {
    let mut bed = Bed::serving();
    bed.see(S1, Observed::DiskFailed);
    bed.see(S1, Observed::Fatal("fsync of log.0.1 failed"));
    bed.holds();
    assert!(bed.examined("no-illegal-event") > 0);
}

/// A7, B8: nothing outside is to blame.
#[test]
fn stopping_without_a_cause() {
    let mut bed = Bed::serving();
    bed.see(S1, Observed::Fatal("COMMIT without a proposal"));
    bed.breaks(
        "no-illegal-event",
        "nothing is wrong with its disk: COMMIT without a proposal",
    );
}

/// A blank server joins and listens; it does not stop.
#[test]
fn a_blank_disk_is_no_reason_to_stop() {
    let mut bed = Bed::serving();
    bed.wipe(S2);
    bed.boot(S2);
    bed.see(S2, Observed::Fatal("no snapshot"));
    bed.breaks("no-illegal-event", "nothing is wrong with its disk");
}

#[test]
fn stopping_at_a_read_that_lies_is_right() {
    let mut bed = Bed::serving();
    bed.crash(S2);
    bed.see(S2, Observed::Damaged(Harm::BadRead));
    bed.see(S2, Observed::Booted);
    bed.see(S2, Observed::Fatal("log.0.1: found checksum 0"));
    bed.holds();
}

#[test]
fn writing_on_after_a_failed_write() {
    let mut bed = Bed::serving();
    bed.see(S1, Observed::DiskFailed);
    bed.issue(S1, |ticket| DiskOp::Sync { file: LOG, ticket });
    bed.breaks("no-illegal-event", "after a disk operation has failed");
}

/// Nobody noticed at the other end: the message is lost, or ignored there.
#[test]
fn a_message_that_the_senders_own_place_forbids() {
    type Wrong = fn(&mut Bed);
    let stories: [(Wrong, &str); 4] = [
        (
            |bed| bed.send(S3, S1, Message::Pong { round: 1 }),
            "s3 sends PONG to s1, which its place does not allow: Looking, in Election",
        ),
        (
            |bed| bed.send(S2, S1, Message::Ping { round: 1 }),
            "s2 sends PING to s1, which its place does not allow: Following s1, in Broadcast",
        ),
        (
            |bed| bed.send(S2, S3, Message::Ack { zxid: z(1, 2) }),
            "s2 sends ACK to s3, which its place does not allow: Following s1",
        ),
        (
            |bed| {
                bed.look(S2);
                bed.discover(S3, S2, 2);
                bed.send(S3, S2, Message::Ping { round: 1 });
            },
            "s3 sends PING to s2, which its place does not allow: Leading s3, in Synchronization",
        ),
    ];
    for (wrong, says) in stories {
        let mut bed = Bed::serving();
        wrong(&mut bed);
        bed.breaks("no-illegal-event", says);
    }
}

#[test]
fn an_acknowledgement_of_a_newleader_that_was_not_sent() {
    let mut bed = Bed::new();
    bed.discover(S1, S2, 1);
    bed.ack_new_leader(S1, S2, 1);
    bed.also_says(
        "no-illegal-event",
        "s2 acknowledges NEWLEADER(1), which s1 has not sent",
    );
}
