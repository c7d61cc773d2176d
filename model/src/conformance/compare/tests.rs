//! The comparison itself.

use super::*;

#[test]
fn a_character_beyond_the_first_plane_is_two_on_the_wire() {
    assert_eq!(on_the_wire("/aüd7"), "/aüd7".as_bytes());
    let emoji = json!({"hex": "2feda0bdedb880"});
    assert!(text_fits(&emoji, "/😀") && !text_fits(&emoji, "/😁"));
}

#[test]
fn by_rank_equal_zxids_stay_equal_and_smaller_ones_smaller() {
    let op = Op::Delete {
        path: "/a".into(),
        version: -1,
    };
    let mut comparison = Comparison::by_rank();
    let mut answer = |recorded: u64, got| {
        let recorded = json!({"err": 0, "name": "OK", "zxid": recorded});
        comparison.reply(&op, &recorded, got, &Ok(Reply::Deleted))
    };
    assert_eq!(answer(3, Zxid::new(2, 9)), Ok(()));
    assert_eq!(answer(5, Zxid::new(3, 1)), Ok(()));
    assert_eq!(answer(4, Zxid::new(2, 10)), Ok(()));
    let again = answer(3, Zxid::new(2, 8)).expect_err("3 stands for ⟨2,9⟩");
    assert_eq!(again.at, "zxid");
    answer(6, Zxid::new(2, 11)).expect_err("6 must be above 5's");
    answer(1, Zxid::new(2, 9)).expect_err("1 must be below 3's");
    answer(0, Zxid::new(1, 1)).expect_err("only 0 is 0");
}

#[test]
fn a_stat_is_compared_field_by_field() {
    let recorded = json!({"err": 0, "name": "OK", "zxid": 4, "stat": {
        "czxid": 2, "mzxid": 3, "pzxid": 2, "ctime": "t@2", "mtime": "t@3", "version": 1, "cversion": 0,
        "aversion": 0, "ephemeralOwner": "S:A", "dataLength": 1, "numChildren": 0}});
    let op = Op::Exists {
        path: "/a".into(),
        watch: false,
    };
    let good = Stat {
        czxid: Zxid(2),
        mzxid: Zxid(3),
        pzxid: Zxid(2),
        ctime: 2,
        mtime: 3,
        version: 1,
        ephemeral_owner: SessionId(7),
        data_length: 1,
        ..Stat::default()
    };
    let mut comparison = Comparison::exact();
    comparison.bind_session("S:A", SessionId(7));
    comparison.bind_time(Zxid(2), 2);
    comparison.bind_time(Zxid(3), 3);
    let mut answer = |stat| comparison.reply(&op, &recorded, Zxid(4), &Ok(Reply::Exists { stat }));
    assert_eq!(answer(good), Ok(()));
    for (bad, at) in [
        (
            Stat {
                mzxid: Zxid(2),
                ..good
            },
            "stat.mzxid",
        ),
        (
            Stat {
                cversion: 1,
                ..good
            },
            "stat.cversion",
        ),
        (Stat { mtime: 4, ..good }, "stat.mtime"),
        (
            Stat {
                ephemeral_owner: SessionId(8),
                ..good
            },
            "stat.ephemeralOwner",
        ),
    ] {
        assert_eq!(answer(bad).expect_err(at).at, at);
    }
}

#[test]
fn a_reply_that_lacks_something_is_no_match() {
    let op = Op::Exists {
        path: "/a".into(),
        watch: false,
    };
    let recorded = json!({"err": -101, "name": "NoNode", "zxid": 1});
    let mut comparison = Comparison::exact();
    let got = Err(ErrorCode::NoNode);
    assert_eq!(comparison.reply(&op, &recorded, Zxid(1), &got), Ok(()));
    let recorded = json!({"err": -101, "name": "NoNode", "zxid": 1, "path": "/a"});
    comparison
        .reply(&op, &recorded, Zxid(1), &got)
        .expect_err("we have no path");
}
