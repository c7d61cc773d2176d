//! The session's core, step by step: what goes in, and the exact list of what comes out.

mod driver;
mod seeking;
mod staying;
mod transcript;

use transcript::*;
use zabsim_client::Input;
use zabsim_types::{ErrorCode, Op, Reply, ServerFrame, ServerId, WatchKind, Zxid};

#[test]
fn a_session_opens_pipelines_and_closes() {
    let mut t = Transcript::new();
    t.step(0, submit(1, sync()))
        .step(0, Input::Open)
        .step(0, submit(2, create("/a")))
        .step(1, Input::Connected)
        .step(2, granted(0x11, 1))
        .step(3, submit(3, sync()))
        .step(3, submit(4, Op::CloseSession))
        .step(3, submit(5, sync()))
        .step(5, reply(1, 9, Err(ErrorCode::NoNode)))
        .step(5, reply(2, 9, Ok(Reply::Deleted)))
        .step(5, reply(3, 10, Ok(Reply::Closed)))
        .step(6, submit(6, sync()))
        .step(7, Input::Open);
    t.reads(
        "    0 submit 1 Sync
                -> 1 lost: SessionExpired (-112), never sent
             0 open
                -> connect to s1
                -> timer at 2000 ms
             0 submit 2 Create
             1 connected
                -> send Connect 0x0 seen ⟨0,0⟩
             2 granted 0x11 for 6000 ms by s1
                -> 0x11 new at s1, connection 1
                -> send #1 Create
             3 submit 3 Sync
                -> send #2 Sync
             3 submit 4 CloseSession
                -> send #3 CloseSession
             3 submit 5 Sync
             5 reply #1 at ⟨1,9⟩: NoNode (-101)
                -> 2 refused: NoNode (-101)
             5 reply #2 at ⟨1,9⟩
                -> 3 done
             5 reply #3 at ⟨1,10⟩
                -> 4 done
                -> 5 lost: SessionExpired (-112), never sent
                -> disconnect
                -> 0x11 Closed
             6 submit 6 Sync
                -> 6 lost: SessionExpired (-112), never sent
             7 open
                -> connect to s2",
    );
}

#[test]
fn a_lost_connection_leaves_what_was_sent_in_doubt_and_keeps_what_waits() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, create("/a")))
        .step(10, submit(2, sync()))
        .step(12, reply(1, 9, Err(ErrorCode::NodeExists)))
        .step(15, Input::Disconnected)
        .step(20, submit(3, create("/b")))
        .step(115, Input::Timer)
        .step(116, Input::Disconnected)
        .step(216, Input::Timer)
        .step(217, Input::Connected)
        .step(218, granted(0x11, 3))
        .step(220, reply(3, 11, Ok(Reply::Deleted)));
    t.reads(
        "   10 submit 1 Create
                -> send #1 Create
            10 submit 2 Sync
                -> send #2 Sync
            12 reply #1 at ⟨1,9⟩: NodeExists (-110)
                -> 1 refused: NodeExists (-110)
            15 disconnected
                -> 2 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 115 ms
            20 submit 3 Create
           115 timer
                -> connect to s2
                -> timer at 2115 ms
           116 disconnected
                -> timer at 216 ms
           216 timer
                -> connect to s3
                -> timer at 2216 ms
           217 connected
                -> send Connect 0x11 seen ⟨1,9⟩
           218 granted 0x11 for 6000 ms by s3
                -> 0x11 again at s3, connection 2
                -> send #3 Create
           220 reply #3 at ⟨1,11⟩
                -> 3 done",
    );
}

#[test]
fn watches_go_ahead_of_other_requests_on_a_new_connection() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/there")))
        .step(10, submit(2, get("/absent")))
        .step(10, submit(3, exists("/absent")))
        .step(10, submit(4, list("/there")))
        .step(12, reply(1, 4, data()))
        .step(12, reply(2, 4, Err(ErrorCode::NoNode)))
        .step(12, reply(3, 4, Err(ErrorCode::NoNode)))
        .step(12, reply(4, 5, names()))
        .step(13, event(Some(8), WatchKind::NodeChildrenChanged, "/there"))
        .step(
            14,
            Input::Move {
                to: Some(ServerId(3)),
            },
        )
        .step(14, submit(5, sync()))
        .step(15, Input::Connected)
        .step(16, granted(0x11, 3))
        .step(17, event(None, WatchKind::NodeDeleted, "/there"))
        .step(17, watches_set(9))
        .step(17, reply(5, 9, Ok(Reply::Deleted)))
        .step(18, Input::Move { to: None })
        .step(19, Input::Connected)
        .step(20, granted(0x11, 1));
    t.reads(
        "   10 submit 1 GetData
                -> send #1 GetData
            10 submit 2 GetData
                -> send #2 GetData
            10 submit 3 Exists
                -> send #3 Exists
            10 submit 4 GetChildren
                -> send #4 GetChildren
            12 reply #1 at ⟨1,4⟩
                -> 1 done
            12 reply #2 at ⟨1,4⟩: NoNode (-101)
                -> 2 refused: NoNode (-101)
            12 reply #3 at ⟨1,4⟩: NoNode (-101)
                -> 3 refused: NoNode (-101)
            12 reply #4 at ⟨1,5⟩
                -> 4 done
            13 event NodeChildrenChanged /there at ⟨1,8⟩
                -> told on connection 1: NodeChildrenChanged /there at ⟨1,8⟩
            14 move to Some(s3)
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s3
            14 submit 5 Sync
            15 connected
                -> send Connect 0x11 seen ⟨1,8⟩
            16 granted 0x11 for 6000 ms by s3
                -> 0x11 again at s3, connection 2
                -> send SetWatches since ⟨1,5⟩ data [\"/there\"] exists [\"/absent\"] child []
                -> send #5 Sync
            17 event NodeDeleted /there caught up
                -> told on connection 2: NodeDeleted /there caught up
            17 watches set at ⟨1,9⟩
                -> 0x11 watches since ⟨1,5⟩ set at ⟨1,9⟩
            17 reply #5 at ⟨1,9⟩
                -> 5 done
            18 move to None
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s1
            19 connected
                -> send Connect 0x11 seen ⟨1,9⟩
            20 granted 0x11 for 6000 ms by s1
                -> 0x11 again at s1, connection 3
                -> send SetWatches since ⟨1,9⟩ data [] exists [\"/absent\"] child []",
    );
}

#[test]
fn a_server_says_that_the_session_has_expired() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/a")))
        .step(11, reply(1, 4, data()))
        .step(20, Input::Disconnected)
        .step(30, submit(2, sync()))
        .step(120, Input::Timer)
        .step(121, Input::Connected)
        .step(122, refused())
        .step(130, Input::Open)
        .step(131, Input::Connected)
        .step(132, granted(0x31, 3));
    t.reads(
        "   10 submit 1 GetData
                -> send #1 GetData
            11 reply #1 at ⟨1,4⟩
                -> 1 done
            20 disconnected
                -> 0x11 Disconnected
                -> timer at 120 ms
            30 submit 2 Sync
           120 timer
                -> connect to s2
                -> timer at 2120 ms
           121 connected
                -> send Connect 0x11 seen ⟨1,4⟩
           122 granted 0x0 for 0 ms by s2
                -> disconnect
                -> 2 lost: SessionExpired (-112), never sent
                -> 0x11 Expired
           130 open
                -> connect to s3
           131 connected
                -> send Connect 0x0 seen ⟨0,0⟩
           132 granted 0x31 for 6000 ms by s3
                -> 0x31 new at s3, connection 2",
    );
}

/// Cut off from everyone, the client takes its session for expired after 4/3 of its timeout, without anybody's word.
#[test]
fn a_session_expires_by_itself() {
    let mut t = Transcript::attached();
    t.step(3, submit(1, sync()));
    t.step(2_002, Input::Timer); // A third of the timeout without sending.
    t.step(4_002, Input::Timer); // Two thirds without hearing.
    t.step(4_102, Input::Timer); // The next attempt …
    t.step(6_102, Input::Timer); // … has a third of the timeout.
    t.step(6_103, submit(2, sync()));
    t.step(6_202, Input::Timer);
    t.step(8_002, Input::Timer);
    t.reads(
        "    3 submit 1 Sync
                -> send #1 Sync
          2002 timer
                -> timer at 2003 ms
          4002 timer
                -> disconnect
                -> 1 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 4102 ms
          4102 timer
                -> connect to s2
                -> timer at 6102 ms
          6102 timer
                -> disconnect
                -> timer at 6202 ms
          6103 submit 2 Sync
          6202 timer
                -> connect to s3
                -> timer at 8002 ms
          8002 timer
                -> disconnect
                -> 2 lost: SessionExpired (-112), never sent
                -> 0x11 Expired",
    );
}

#[test]
fn an_idle_session_pings_and_hears() {
    let mut t = Transcript::attached();
    t.step(2_001, Input::Timer)
        .step(2_003, Input::Frame(ServerFrame::Pong { zxid: Zxid::ZERO }))
        .step(4_001, Input::Timer)
        .step(4_003, Input::Frame(ServerFrame::Pong { zxid: Zxid::ZERO }))
        .step(6_001, Input::Timer);
    t.reads(
        " 2001 timer
                -> send Ping
                -> timer at 4001 ms
          2003 pong
          4001 timer
                -> send Ping
                -> timer at 6001 ms
          4003 pong
          6001 timer
                -> send Ping
                -> timer at 8001 ms",
    );
}

#[test]
fn a_reply_out_of_order_ends_the_connection() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, sync()))
        .step(10, submit(2, sync()))
        .step(11, reply(2, 4, Ok(Reply::Deleted)))
        .step(12, reply(1, 4, Ok(Reply::Deleted)));
    t.reads(
        "   10 submit 1 Sync
                -> send #1 Sync
            10 submit 2 Sync
                -> send #2 Sync
            11 reply #2 at ⟨1,4⟩
                -> disconnect
                -> 1 lost: ConnectionLoss (-4), sent
                -> 2 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 111 ms
            12 reply #1 at ⟨1,4⟩",
    );
}

/// The reply to a close is lost: the session is asked for again, and then either is known to be over or can be closed again.
#[test]
fn a_close_that_is_lost_leaves_the_session_to_be_found_out() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, Op::CloseSession))
        .step(12, Input::Disconnected)
        .step(112, Input::Timer)
        .step(113, Input::Connected)
        .step(114, granted(0x11, 2))
        .step(115, submit(2, Op::CloseSession))
        .step(116, reply(2, 9, Ok(Reply::Closed)));
    t.reads(
        "   10 submit 1 CloseSession
                -> send #1 CloseSession
            12 disconnected
                -> 1 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> timer at 112 ms
           112 timer
                -> connect to s2
                -> timer at 2112 ms
           113 connected
                -> send Connect 0x11 seen ⟨0,0⟩
           114 granted 0x11 for 6000 ms by s2
                -> 0x11 again at s2, connection 2
           115 submit 2 CloseSession
                -> send #2 CloseSession
           116 reply #2 at ⟨1,9⟩
                -> 2 done
                -> disconnect
                -> 0x11 Closed",
    );
}

/// A server that answers a reattachment with somebody else's session is not believed.
#[test]
fn a_session_is_not_exchanged_for_another() {
    let mut t = Transcript::attached();
    t.step(10, Input::Move { to: None })
        .step(11, Input::Connected)
        .step(12, granted(0x77, 2));
    t.reads(
        "   10 move to None
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s2
            11 connected
                -> send Connect 0x11 seen ⟨0,0⟩
            12 granted 0x77 for 6000 ms by s2
                -> disconnect
                -> timer at 112 ms",
    );
}

/// Two notifications of one transaction, the second cut off: it must be caught up, so the first may not count as "seen
/// everything up to here" for the watches, though it does for the choice of a server.
#[test]
fn a_notification_advances_what_was_seen_but_not_what_was_caught_up() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/a")))
        .step(10, submit(2, list("/")))
        .step(12, reply(1, 4, data()))
        .step(12, reply(2, 4, names()))
        .step(13, event(Some(7), WatchKind::NodeDeleted, "/a"))
        .step(14, Input::Move { to: None })
        .step(15, Input::Connected)
        .step(16, granted(0x11, 2));
    assert!(
        t.text.contains("send Connect 0x11 seen ⟨1,7⟩"),
        "{}",
        t.text
    );
    let caught_up = "send SetWatches since ⟨1,4⟩ data [] exists [] child [\"/\"]";
    assert!(t.text.contains(caught_up), "{}", t.text);
}
