//! A client that is content with a server that only reads, and goes on looking for a full one.

use crate::transcript::*;
use zabsim_client::Input;
use zabsim_types::ErrorCode;

/// A real session at a server that only reads.
fn reading() -> Transcript {
    let mut t = Transcript::content();
    t.step(0, Input::Open)
        .step(1, Input::Connected)
        .step(2, granted(0x11, 1))
        .step(3, Input::Disconnected)
        .step(103, Input::Timer)
        .step(104, Input::Connected)
        .step(105, read_only(0x11, 2));
    t.text.clear();
    t
}

#[test]
fn a_full_server_is_found_by_trying_and_takes_the_session_over() {
    let mut t = Transcript::content();
    t.step(0, Input::Open)
        .step(1, Input::Connected)
        .step(2, granted(0x11, 1))
        .step(3, Input::Disconnected)
        .step(103, Input::Timer)
        .step(104, Input::Connected)
        .step(105, read_only(0x11, 2))
        .step(106, submit(1, create("/a")))
        .step(108, reply(1, 9, Err(ErrorCode::NotReadOnly)))
        .step(205, Input::Timer)
        .step(206, Input::TrialDisconnected)
        .step(306, Input::Timer)
        .step(307, Input::TrialConnected)
        .step(308, submit(2, sync()))
        .step(309, by_trial(granted(0x11, 1)));
    t.reads(
        "    0 open
                -> connect to s1
                -> timer at 2000 ms
             1 connected
                -> send Connect 0x0 seen ⟨0,0⟩, content
             2 granted 0x11 for 6000 ms by s1
                -> 0x11 new at s1, connection 1
             3 disconnected
                -> 0x11 Disconnected
                -> timer at 103 ms
           103 timer
                -> connect to s2
                -> timer at 2103 ms
           104 connected
                -> send Connect 0x11 seen ⟨0,0⟩, content
           105 granted 0x11 for 6000 ms by s2, which only reads
                -> 0x11 again at s2, connection 2, only reading
                -> timer at 205 ms
           106 submit 1 Create
                -> send #1 Create
           108 reply #1 at ⟨1,9⟩: NotReadOnly (-119)
                -> 1 refused: NotReadOnly (-119)
           205 timer
                -> try s3
                -> timer at 2106 ms
           206 trial disconnected
                -> timer at 306 ms
           306 timer
                -> try s1
                -> timer at 2106 ms
           307 trial connected
                -> trial: send Connect 0x11 seen ⟨1,9⟩
           308 submit 2 Sync
                -> send #2 Sync
           309 trial: granted 0x11 for 6000 ms by s1
                -> 2 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> go on by the trial
                -> 0x11 again at s1, connection 3",
    );
}

/// 100 ms at first, and twice as long after each failure; a silent trial is given up.
#[test]
fn the_pauses_double() {
    let mut t = reading();
    t.step(205, Input::Timer)
        .step(206, Input::TrialConnected)
        .step(207, by_trial(read_only(0x11, 3)))
        .step(307, Input::Timer)
        .step(2_307, Input::Timer)
        .step(2_507, Input::Timer);
    t.reads(
        "  205 timer
                -> try s3
                -> timer at 2104 ms
           206 trial connected
                -> trial: send Connect 0x11 seen ⟨0,0⟩
           207 trial: granted 0x11 for 6000 ms by s3, which only reads
                -> end the trial
                -> timer at 307 ms
           307 timer
                -> try s1
                -> timer at 2104 ms
          2307 timer
                -> send Ping
                -> end the trial
                -> timer at 2507 ms
          2507 timer
                -> try s3
                -> timer at 4105 ms",
    );
}

#[test]
fn a_full_server_may_know_that_the_session_is_over() {
    let mut t = reading();
    t.step(205, Input::Timer)
        .step(206, Input::TrialConnected)
        .step(206, submit(1, sync()))
        .step(207, by_trial(refused()));
    t.reads(
        "  205 timer
                -> try s3
                -> timer at 2104 ms
           206 trial connected
                -> trial: send Connect 0x11 seen ⟨0,0⟩
           206 submit 1 Sync
                -> send #1 Sync
           207 trial: granted 0x0 for 0 ms by s2
                -> disconnect
                -> end the trial
                -> 1 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> 0x11 Expired",
    );
}

/// A session that was made without a quorum is known nowhere else: the next server is not asked for it, but it must have seen
/// as much.
#[test]
fn a_provisional_session_is_not_taken_elsewhere() {
    let mut t = Transcript::content();
    t.step(0, Input::Open)
        .step(1, Input::Connected)
        .step(2, read_only(0x11, 1))
        .step(3, submit(1, get("/a")))
        .step(4, reply(1, 9, data()))
        .step(5, Input::Disconnected)
        .step(105, Input::Timer)
        .step(106, Input::Connected)
        .step(107, granted(0x22, 2));
    t.reads(
        "    0 open
                -> connect to s1
                -> timer at 2000 ms
             1 connected
                -> send Connect 0x0 seen ⟨0,0⟩, content
             2 granted 0x11 for 6000 ms by s1, which only reads
                -> 0x11 new at s1, connection 1, only reading
                -> timer at 102 ms
             3 submit 1 GetData
                -> send #1 GetData
             4 reply #1 at ⟨1,9⟩
                -> 1 done
             5 disconnected
                -> 0x11 Disconnected
           105 timer
                -> connect to s2
                -> timer at 2105 ms
           106 connected
                -> send Connect 0x0 seen ⟨1,9⟩, content
           107 granted 0x22 for 6000 ms by s2
                -> 0x22 new at s2, connection 2
                -> send SetWatches since ⟨1,9⟩ data [\"/a\"] exists [] child []",
    );
}
