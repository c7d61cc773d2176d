//! What a session keeps from connection to connection: watches that stay, and who its client is.

use crate::transcript::*;
use zabsim_client::Input;
use zabsim_types::{AddWatchMode, ErrorCode, Op, Reply, ServerId, WatchKind, WatcherType};

fn moved(t: &mut Transcript, ms: u64) -> &mut Transcript {
    let to = Some(ServerId(2));
    t.step(ms, Input::Move { to })
        .step(ms + 1, Input::Connected)
        .step(ms + 2, granted(0x11, 2))
}

#[test]
fn watches_that_stay_are_not_used_up_and_are_set_again() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, add_watch("/p", AddWatchMode::Persistent)))
        .step(
            10,
            submit(2, add_watch("/", AddWatchMode::PersistentRecursive)),
        )
        .step(12, reply(1, 4, Ok(Reply::WatchAdded)))
        .step(12, reply(2, 4, Ok(Reply::WatchAdded)))
        .step(13, event(Some(5), WatchKind::NodeDeleted, "/p"));
    moved(&mut t, 14).step(17, watches_set(7));
    t.reads(
        "   10 submit 1 AddWatch
                -> send #1 AddWatch
            10 submit 2 AddWatch
                -> send #2 AddWatch
            12 reply #1 at ⟨1,4⟩
                -> 1 done
            12 reply #2 at ⟨1,4⟩
                -> 2 done
            13 event NodeDeleted /p at ⟨1,5⟩
                -> told on connection 1: NodeDeleted /p at ⟨1,5⟩
            14 move to Some(s2)
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s2
            15 connected
                -> send Connect 0x11 seen ⟨1,5⟩
            16 granted 0x11 for 6000 ms by s2
                -> 0x11 again at s2, connection 2
                -> send SetWatches since ⟨1,4⟩ data [] exists [] child [] persistent [\"/p\"] recursive [\"/\"]
            17 watches set at ⟨1,7⟩
                -> 0x11 watches since ⟨1,4⟩ set at ⟨1,7⟩",
    );
}

#[test]
fn a_removal_is_told_before_its_answer_and_what_is_removed_is_not_set_again() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/a")))
        .step(10, submit(2, list("/a")))
        .step(10, submit(3, add_watch("/a", AddWatchMode::Persistent)))
        .step(10, submit(4, remove_watches("/b", WatcherType::Any)))
        .step(10, submit(5, remove_watches("/a", WatcherType::Any)))
        .step(12, reply(1, 4, data()))
        .step(12, reply(2, 4, names()))
        .step(12, reply(3, 4, Ok(Reply::WatchAdded)))
        .step(12, reply(4, 4, Err(ErrorCode::NoWatcher)))
        .step(12, reply(5, 4, Ok(Reply::WatchesRemoved)));
    t.text.clear();
    moved(&mut t, 14);
    t.reads(
        "   14 move to Some(s2)
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s2
            15 connected
                -> send Connect 0x11 seen ⟨1,4⟩
            16 granted 0x11 for 6000 ms by s2
                -> 0x11 again at s2, connection 2",
    );

    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/a")))
        .step(10, submit(2, list("/a")))
        .step(10, submit(3, remove_watches("/a", WatcherType::Children)))
        .step(12, reply(1, 4, data()))
        .step(12, reply(2, 4, names()))
        .step(12, reply(3, 4, Ok(Reply::WatchesRemoved)));
    t.text.clear();
    moved(&mut t, 14);
    t.reads(
        "   14 move to Some(s2)
                -> disconnect
                -> 0x11 Disconnected
                -> connect to s2
            15 connected
                -> send Connect 0x11 seen ⟨1,4⟩
            16 granted 0x11 for 6000 ms by s2
                -> 0x11 again at s2, connection 2
                -> send SetWatches since ⟨1,4⟩ data [\"/a\"] exists [] child []",
    );
}

#[test]
fn who_removes_watches_is_told_of_each_kind() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, get("/a")))
        .step(10, submit(2, add_watch("/a", AddWatchMode::Persistent)))
        .step(10, submit(3, remove_watches("/a", WatcherType::Any)))
        .step(12, reply(1, 4, data()))
        .step(12, reply(2, 4, Ok(Reply::WatchAdded)));
    t.text.clear();
    t.step(12, reply(3, 4, Ok(Reply::WatchesRemoved)));
    t.reads(
        "   12 reply #3 at ⟨1,4⟩
                -> told on connection 1: DataWatchRemoved /a
                -> told on connection 1: PersistentWatchRemoved /a
                -> 3 done",
    );
}

#[test]
fn identities_are_proven_again_before_anything_else() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, add_auth("me:secret")))
        .step(10, submit(2, get("/a")))
        .step(11, reply(1, 0, Ok(Reply::AuthAdded)))
        .step(12, reply(2, 4, data()))
        // This one was not answered: it is not known to be accepted.
        .step(13, submit(3, add_auth("you:secret")));
    t.text.clear();
    moved(&mut t, 14)
        .step(17, submit(4, sync()))
        .step(18, reply(4, 0, Ok(Reply::AuthAdded)))
        .step(18, watches_set(5))
        .step(18, reply(5, 5, data()));
    t.reads(
        "   14 move to Some(s2)
                -> disconnect
                -> 3 lost: ConnectionLoss (-4), sent
                -> 0x11 Disconnected
                -> connect to s2
            15 connected
                -> send Connect 0x11 seen ⟨1,4⟩
            16 granted 0x11 for 6000 ms by s2
                -> 0x11 again at s2, connection 2
                -> send #4 AddAuth
                -> send SetWatches since ⟨1,4⟩ data [\"/a\"] exists [] child []
            17 submit 4 Sync
                -> send #5 Sync
            18 reply #4 at ⟨1,0⟩
            18 watches set at ⟨1,5⟩
                -> 0x11 watches since ⟨1,4⟩ set at ⟨1,5⟩
            18 reply #5 at ⟨1,5⟩
                -> 4 done",
    );
}

/// The next session is the same client's: what was accepted is proven there too, what was refused is not.
#[test]
fn a_refused_identity_ends_the_session_with_all_that_it_had_asked() {
    let mut t = Transcript::attached();
    t.step(10, submit(1, add_auth("me:secret")))
        .step(11, reply(1, 0, Ok(Reply::AuthAdded)))
        .step(12, submit(2, add_auth("nonsense")))
        .step(12, submit(3, sync()))
        .step(12, submit(4, Op::CloseSession))
        .step(12, submit(5, sync()))
        .step(13, reply(2, 0, Err(ErrorCode::AuthFailed)))
        .step(14, Input::Disconnected)
        .step(15, Input::Open)
        .step(16, Input::Connected)
        .step(17, granted(0x31, 2));
    t.reads(
        "   10 submit 1 AddAuth
                -> send #1 AddAuth
            11 reply #1 at ⟨1,0⟩
                -> 1 done
            12 submit 2 AddAuth
                -> send #2 AddAuth
            12 submit 3 Sync
                -> send #3 Sync
            12 submit 4 CloseSession
                -> send #4 CloseSession
            12 submit 5 Sync
            13 reply #2 at ⟨1,0⟩: AuthFailed (-115)
                -> 2 refused: AuthFailed (-115)
                -> 3 lost: AuthFailed (-115), sent
                -> 4 lost: AuthFailed (-115), sent
                -> 5 lost: AuthFailed (-115), never sent
                -> disconnect
                -> 0x11 AuthFailed
            14 disconnected
            15 open
                -> connect to s2
            16 connected
                -> send Connect 0x0 seen ⟨0,0⟩
            17 granted 0x31 for 6000 ms by s2
                -> 0x31 new at s2, connection 2
                -> send #1 AddAuth",
    );
}
