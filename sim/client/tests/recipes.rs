//! The lock and the election against a service that loses replies, expires sessions and lags at the worst moments. Each
//! test is one of the schedules that broke other implementations; its name says which.

mod lab;

use lab::{Fate, Lab};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;
use zabsim_client::recipes::election::Election;
use zabsim_client::recipes::fenced::FencedResource;
use zabsim_client::recipes::lock::{Guard, Lock};
use zabsim_client::{Client, ClientError, Command, Outcome, Port, join_all};
use zabsim_types::{Op, RecipeStep, Reply, SessionId, Xid, ZPath, Zxid};

const LOCK: &str = "/locks/a";

type Seen<T> = Arc<Mutex<Vec<T>>>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Opens a session, takes the lock, holds it for a while, gives it back.
async fn take_turn(client: Client, hold: Duration) -> Result<(), ClientError> {
    client.open().await;
    let guard = Lock::new(&client, LOCK).acquire().await?;
    client.sleep(hold).await;
    guard.release().await
}

fn acquired(lab: &Lab) -> Vec<(usize, Zxid)> {
    let of = |(client, step): &(usize, RecipeStep)| match step {
        RecipeStep::LockAcquired { token } => Some((*client, *token)),
        RecipeStep::LeaderElected { term } => Some((*client, *term)),
        _ => None,
    };
    lab.steps.iter().filter_map(of).collect()
}

/// At no time do two clients believe that they hold.
fn assert_exclusive(lab: &Lab) {
    let mut holder = None;
    for (client, step) in &lab.steps {
        match step {
            RecipeStep::LockAcquired { token } | RecipeStep::LeaderElected { term: token } => {
                assert_eq!(holder, None, "{:#?}", lab.steps);
                holder = Some((*client, *token));
            }
            RecipeStep::LockReleased { token }
            | RecipeStep::LockLost { token }
            | RecipeStep::LeaderResigned { term: token } => {
                assert_eq!(holder, Some((*client, *token)), "{:#?}", lab.steps);
                holder = None;
            }
            _ => {}
        }
    }
}

#[test]
fn holders_follow_in_order_and_a_release_wakes_only_the_next() {
    let mut lab = Lab::new();
    for _ in 0..5 {
        let client = lab.client();
        lab.spawn(take_turn(client, ms(10)));
    }
    lab.run();
    let order: Vec<usize> = acquired(&lab).iter().map(|(client, _)| *client).collect();
    assert_eq!(order, [1, 2, 3, 4, 5]);
    assert_exclusive(&lab);
    // One notification for each who waited: nobody was woken for somebody else's turn.
    assert_eq!(lab.events, [(2, 1), (3, 1), (4, 1), (5, 1)].into());
    assert!(lab.children(LOCK).is_empty());
    assert_eq!(lab.count(3, "exists"), 0, "an exists watch would leak");
}

#[test]
fn tokens_grow_from_hold_to_hold() {
    let mut lab = Lab::new();
    for _ in 0..4 {
        let client = lab.client();
        lab.spawn(take_turn(client, ms(1)));
    }
    lab.run();
    let tokens: Vec<Zxid> = acquired(&lab).iter().map(|(_, token)| *token).collect();
    assert_eq!(tokens.len(), 4);
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
}

#[test]
fn a_create_whose_reply_is_lost_is_found_by_its_guid() {
    let mut lab = Lab::new();
    let client = lab.client();
    // The first create finds no parent.
    lab.rule(1, "create", 1, Fate::LoseReply);
    lab.spawn(take_turn(client, ms(1)));
    lab.run();
    assert_eq!(lab.rules_left(), 0);
    assert_eq!(lab.count(1, "create"), 2, "not created again");
    assert_eq!(acquired(&lab).len(), 1);
    assert!(lab.children(LOCK).is_empty());
}

#[test]
fn a_create_that_never_arrived_is_repeated() {
    let mut lab = Lab::new();
    let client = lab.client();
    lab.rule(1, "create", 1, Fate::LoseRequest);
    lab.spawn(take_turn(client, ms(1)));
    lab.run();
    assert_eq!(lab.count(1, "create"), 3);
    assert_eq!(acquired(&lab).len(), 1);
    assert!(lab.children(LOCK).is_empty());
}

#[test]
fn a_lagging_search_costs_a_second_node_that_is_deleted_again() {
    let mut lab = Lab::new();
    let client = lab.client();
    lab.rule(1, "create", 1, Fate::LoseReply);
    lab.rule(1, "list", 0, Fate::Lag(1));
    lab.spawn(take_turn(client, ms(1)));
    lab.run();
    assert_eq!(lab.rules_left(), 0);
    assert_eq!(lab.count(1, "create"), 3);
    // It waited for its own first node to go, and then held.
    assert_eq!(acquired(&lab).len(), 1);
    assert!(lab.children(LOCK).is_empty());
}

/// CURATOR-498: the search shows the node of this contender's own dead session, and the service is about to delete it.
#[test]
fn the_node_of_a_dead_session_is_not_adopted() {
    let mut lab = Lab::new();
    let client = lab.client();
    lab.rule(1, "create", 1, Fate::LoseReplyAndForgetSession);
    lab.spawn(take_turn(client.clone(), ms(1)));
    lab.run();
    assert_eq!(lab.rules_left(), 0);
    // Found, refused, and a node of the new session made.
    assert_eq!(lab.count(1, "create"), 3);
    assert_eq!(acquired(&lab).len(), 1);
    let first_node_zxid = 4; // session, two levels of the lock's path, the node
    assert!(acquired(&lab)[0].1 > Zxid(first_node_zxid));
    assert!(lab.children(LOCK).is_empty());
}

/// The same, where the dead session's node has gone but a lagging list still shows it.
#[test]
fn a_lagging_list_that_shows_the_dead_sessions_node_fools_nobody() {
    let mut lab = Lab::new();
    let (client, rival) = (lab.client(), lab.client());
    lab.rule(1, "create", 1, Fate::LoseReplyAndSession);
    // Behind the loss: the end of the old session and the start of the new.
    lab.rule(1, "list", 0, Fate::Lag(1));
    lab.rule(1, "getData", 0, Fate::Lag(1));
    lab.spawn(take_turn(client, ms(20)));
    lab.spawn(async move {
        rival.sleep(ms(5)).await;
        take_turn(rival, ms(20)).await
    });
    lab.run();
    assert_eq!(lab.rules_left(), 0);
    assert_exclusive(&lab);
    assert_eq!(acquired(&lab).len(), 2);
}

#[test]
fn a_session_that_expires_while_waiting_fails_the_acquisition() {
    let mut lab = Lab::new();
    let (holder, waiter) = (lab.client(), lab.client());
    lab.rule(2, "watch", 0, Fate::Expire);
    lab.spawn(take_turn(holder, ms(10)));
    lab.spawn(async move {
        waiter.open().await;
        let lock = Lock::new(&waiter, LOCK);
        assert_eq!(
            lock.acquire().await.err(),
            Some(ClientError::SessionExpired)
        );
        waiter.open().await;
        lock.acquire().await?.release().await
    });
    lab.run();
    assert_exclusive(&lab);
    assert_eq!(acquired(&lab).len(), 2);
    assert!(lab.children(LOCK).is_empty());
}

#[test]
fn a_predecessor_that_goes_between_list_and_watch_is_noticed() {
    let mut lab = Lab::new();
    let (holder, waiter) = (lab.client(), lab.client());
    let node: Seen<String> = Seen::default();
    let seen = node.clone();
    lab.spawn(async move {
        holder.open().await;
        let guard = Lock::new(&holder, LOCK).acquire().await?;
        seen.lock().unwrap().push(guard.node().to_string());
        holder.sleep(ms(1_000)).await;
        drop(guard);
        Ok::<(), ClientError>(())
    });
    lab.run_until(500);
    let path = node.lock().unwrap()[0].clone();
    lab.rule(2, "watch", 0, Fate::AfterDeleting(path));
    lab.spawn(take_turn(waiter, ms(1)));
    lab.run_until(100_000);
    assert_eq!(acquired(&lab).last().map(|(client, _)| *client), Some(2));
    assert_eq!(lab.events.get(&2), None, "it looked again by itself");
    lab.run();
}

/// The watch fires because the one in the middle gave up, not because the lock is free.
#[test]
fn a_watch_that_fires_proves_nothing() {
    let mut lab = Lab::new();
    let (holder, middle, last) = (lab.client(), lab.client(), lab.client());
    lab.spawn(take_turn(holder, ms(100)));
    lab.spawn(async move {
        middle.open().await;
        let lock = Lock::new(&middle, LOCK);
        assert!(lock.acquire_within(ms(20)).await?.is_none());
        Ok::<(), ClientError>(())
    });
    lab.spawn(take_turn(last, ms(1)));
    lab.run_until(50_000);
    assert_eq!(lab.events.get(&3), Some(&1), "the one in the middle left");
    assert_eq!(acquired(&lab).len(), 1);
    lab.run();
    assert_exclusive(&lab);
    assert_eq!(acquired(&lab).len(), 2);
}

/// kazoo #732, CURATOR-45: the clean-up itself meets a lost connection.
#[test]
fn a_release_is_repeated_until_the_node_is_gone() {
    for fate in [Fate::LoseRequest, Fate::LoseReply] {
        let mut lab = Lab::new();
        let (client, next) = (lab.client(), lab.client());
        lab.rule(1, "delete", 0, fate.clone());
        lab.rule(1, "delete", 0, Fate::LoseRequest);
        lab.spawn(take_turn(client, ms(10)));
        lab.spawn(take_turn(next, ms(10)));
        lab.run();
        assert_eq!(lab.rules_left(), 0);
        assert_eq!(lab.count(1, "delete"), 3, "{fate:?}");
        assert_exclusive(&lab);
        assert_eq!(acquired(&lab).len(), 2);
        assert!(lab.children(LOCK).is_empty());
    }
}

#[test]
fn a_release_in_a_session_that_expired_is_done() {
    let mut lab = Lab::new();
    let client = lab.client();
    lab.rule(1, "delete", 0, Fate::Expire);
    lab.spawn(take_turn(client, ms(10)));
    lab.run();
    assert!(lab.children(LOCK).is_empty());
}

/// The acquisition is dropped at every point of its life; its node never stays.
#[test]
fn an_abandoned_acquisition_leaves_nothing_behind() {
    let fates: [&[(&'static str, usize, Fate)]; 5] = [
        &[],
        &[("create", 0, Fate::LoseReply)],
        &[("create", 0, Fate::LoseRequest)],
        &[("create", 0, Fate::LoseReply), ("sync", 0, Fate::LoseReply)],
        &[
            ("create", 0, Fate::LoseReply),
            ("delete", 0, Fate::LoseReply),
        ],
    ];
    for fates in fates {
        for patience_us in [0, 1, 20_000, 49_999, 50_000, 50_001, 120_000] {
            let mut lab = Lab::new();
            lab.service.count_from("/locks", 0);
            lab.service.count_from(LOCK, 0);
            let (holder, client) = (lab.client(), lab.client());
            for (kind, skip, fate) in fates {
                lab.rule(2, kind, *skip, fate.clone());
            }
            lab.spawn(take_turn(holder, ms(1_000)));
            lab.spawn(async move {
                client.open().await;
                let lock = Lock::new(&client, LOCK);
                let patience = Duration::from_micros(patience_us);
                assert!(lock.acquire_within(patience).await?.is_none());
                Ok::<(), ClientError>(())
            });
            lab.run_until(900_000);
            assert_eq!(lab.children(LOCK).len(), 1, "{fates:?} {patience_us}");
            lab.run();
            assert!(lab.children(LOCK).is_empty());
        }
    }
}

/// The create's reply is there, and the future is dropped without having been polled again.
#[test]
fn a_create_that_is_answered_but_not_noticed_is_cleaned_up() {
    let port = Port::new(1);
    let lock = Lock::new(&port.client(), LOCK);
    let mut acquisition = Box::pin(lock.acquire());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(acquisition.as_mut().poll(&mut cx).is_pending());
    let mut commands = Vec::new();
    port.take_commands(&mut commands);
    let [Command::Record(_), Command::Submit { call, .. }] = commands[..] else {
        panic!("{commands:?}");
    };
    let path: ZPath = format!("{LOCK}/x-lock-0000000000").into();
    let outcome = Outcome::Replied {
        xid: Xid(1),
        conn: 1,
        zxid: Zxid(7),
        result: Ok(Reply::Created {
            path: path.clone(),
            stat: None,
        }),
    };
    port.complete(call, outcome);
    drop(acquisition);
    commands.clear();
    port.take_commands(&mut commands);
    let [Command::Submit { op, .. }] = &commands[..] else {
        panic!("{commands:?}");
    };
    assert_eq!(*op, Op::Delete { path, version: -1 });
}

#[test]
fn a_try_on_a_held_lock_fails_and_leaves_the_line() {
    let mut lab = Lab::new();
    let (holder, client) = (lab.client(), lab.client());
    lab.spawn(take_turn(holder, ms(100)));
    lab.spawn(async move {
        client.open().await;
        let lock = Lock::new(&client, LOCK);
        client.sleep(ms(10)).await;
        assert!(lock.try_acquire().await?.is_none());
        client.sleep(ms(200)).await;
        let guard = lock.try_acquire().await?.expect("it is free now");
        guard.release().await
    });
    lab.run_until(50_000);
    assert_eq!(lab.children(LOCK).len(), 1);
    lab.run();
    assert_exclusive(&lab);
}

#[test]
fn a_dropped_guard_is_a_released_one() {
    let mut lab = Lab::new();
    let (client, next) = (lab.client(), lab.client());
    lab.rule(1, "delete", 0, Fate::LoseRequest);
    lab.spawn(async move {
        client.open().await;
        let guard = Lock::new(&client, LOCK).acquire().await?;
        drop(guard);
        Ok::<(), ClientError>(())
    });
    lab.spawn(take_turn(next, ms(1)));
    lab.run();
    assert_exclusive(&lab);
    assert_eq!(acquired(&lab).len(), 2);
}

#[test]
fn a_disconnection_makes_a_hold_uncertain_and_the_same_session_brings_it_back() {
    let mut lab = Lab::new();
    let client = lab.client();
    lab.spawn(async move {
        client.open().await;
        let guard = Lock::new(&client, LOCK).acquire().await?;
        assert!(guard.is_certain());
        client.move_to(None);
        guard.lost().await;
        assert!(!guard.is_certain() && !guard.is_over());
        client.until(|state| state.is_connected()).await;
        assert!(guard.is_certain());
        guard.release().await
    });
    lab.run();
    let token = acquired(&lab)[0].1;
    let steps: Vec<RecipeStep> = lab.steps.iter().map(|(_, step)| *step).collect();
    assert_eq!(
        steps,
        [
            RecipeStep::LockWanted,
            RecipeStep::LockAcquired { token },
            RecipeStep::LockLost { token },
            RecipeStep::LockAcquired { token },
            RecipeStep::LockReleased { token },
        ]
    );
}

/// The connection breaks and comes back while the program sleeps: it must still learn that it was away.
#[test]
fn a_loss_between_two_polls_is_not_missed() {
    let mut lab = Lab::new();
    let client = lab.client();
    lab.spawn(async move {
        client.open().await;
        let guard = Lock::new(&client, LOCK).acquire().await?;
        let lost = guard.lost();
        client.move_to(None);
        client.sleep(ms(500)).await;
        assert!(guard.is_certain(), "it is back");
        lost.await;
        guard.release().await
    });
    lab.run();
}

#[test]
fn a_hold_whose_session_expired_is_over_and_stays_so() {
    let mut lab = Lab::new();
    let (client, next) = (lab.client(), lab.client());
    let at_work = client.clone();
    lab.spawn(async move {
        client.open().await;
        let guard = Lock::new(&client, LOCK).acquire().await?;
        guard.lost().await;
        assert!(guard.is_over());
        client.open().await;
        assert!(!guard.is_certain(), "a new session owns nothing");
        guard.release().await
    });
    lab.spawn(async move {
        next.sleep(ms(10)).await;
        take_turn(next, ms(1)).await
    });
    lab.run_until(20_000);
    assert_ne!(at_work.session(), SessionId::NONE);
    lab.expire(0);
    lab.run();
    assert_exclusive(&lab);
    assert_eq!(acquired(&lab).len(), 2);
    assert_eq!(lab.count(1, "delete"), 0, "its node went with the session");
}

/// The service may give the lock away before the answer to the close is here.
#[test]
fn a_close_gives_up_every_hold_before_it_leaves() {
    let mut lab = Lab::new();
    let (client, next) = (lab.client(), lab.client());
    lab.spawn(async move {
        client.open().await;
        let guard = Lock::new(&client, LOCK).acquire().await?;
        client.sleep(ms(10)).await;
        client.close().await?;
        assert!(guard.is_over());
        assert_eq!(client.exists("/").await, Err(ClientError::NotOpen));
        Ok::<(), ClientError>(())
    });
    lab.spawn(take_turn(next, ms(1)));
    lab.run();
    assert_exclusive(&lab);
    assert_eq!(acquired(&lab).len(), 2);
}

/// CURATOR-537: the first holder does not know that its session has ended.
#[test]
fn a_stale_holder_is_fenced_off() {
    let mut lab = Lab::new();
    let (slow, quick) = (lab.client(), lab.client());
    let resource = FencedResource::new(LOCK);
    let (of_slow, of_quick) = (resource.clone(), resource.clone());
    lab.spawn(async move {
        slow.open().await;
        let guard = Lock::new(&slow, LOCK).acquire().await?;
        of_slow.write(&slow, guard.token()).expect("it holds");
        slow.sleep(ms(100)).await; // Nobody tells it anything meanwhile.
        assert!(guard.is_certain(), "as far as it knows");
        assert!(of_slow.write(&slow, guard.token()).is_err());
        Ok::<(), ClientError>(())
    });
    lab.spawn(async move {
        quick.open().await;
        let guard: Guard = Lock::new(&quick, LOCK).acquire().await?;
        of_quick.write(&quick, guard.token()).expect("it holds");
        guard.release().await
    });
    lab.run_until(10_000);
    lab.bury(SessionId(1));
    lab.run();
    assert_eq!((resource.writes(), resource.refused()), (2, 1));
    let refused = |(_, step): &&(usize, RecipeStep)| matches!(step, RecipeStep::FencedWrite { accepted, .. } if !accepted);
    assert_eq!(lab.steps.iter().filter(refused).count(), 1);
}

/// kazoo #730.
#[test]
fn the_line_goes_on_across_the_wrap_of_the_counter() {
    let mut lab = Lab::new();
    lab.service.count_from("/locks", 0);
    lab.service.count_from(LOCK, i32::MAX - 1);
    for _ in 0..4 {
        let client = lab.client();
        lab.spawn(take_turn(client, ms(10)));
    }
    lab.run_until(5_000);
    let names = lab.children(LOCK);
    assert!(
        names.iter().any(|name| name.ends_with("-lock--2147483648")),
        "{names:?}"
    );
    lab.run();
    let order: Vec<usize> = acquired(&lab).iter().map(|(client, _)| *client).collect();
    assert_eq!(order, [1, 2, 3, 4]);
    assert_exclusive(&lab);
}

#[test]
fn a_contender_whose_node_somebody_deletes_is_told() {
    let mut lab = Lab::new();
    let (holder, waiter) = (lab.client(), lab.client());
    lab.spawn(take_turn(holder, ms(10)));
    lab.rule(2, "list", 1, Fate::AfterDeletingOwn);
    lab.spawn(async move {
        waiter.open().await;
        let lock = Lock::new(&waiter, LOCK);
        match lock.acquire().await {
            Err(ClientError::ContenderDeleted { .. }) => Ok(()),
            Err(other) => Err(other),
            Ok(_) => panic!("its node is gone"),
        }
    });
    lab.run();
}

#[test]
fn the_dead_clean_up_nothing_and_their_session_holds_on() {
    let mut lab = Lab::new();
    let (client, next) = (lab.client(), lab.client());
    lab.spawn(take_turn(client, ms(1_000)));
    lab.spawn(async move {
        next.sleep(ms(1)).await;
        take_turn(next, ms(1)).await
    });
    lab.run_until(10_000);
    let before = lab.steps.len();
    lab.kill(0, 0);
    lab.run_until(500_000);
    assert_eq!(lab.steps.len(), before, "a dead process records nothing");
    assert_eq!(lab.children(LOCK).len(), 2);
    lab.bury(SessionId(1));
    lab.run();
    assert_eq!(acquired(&lab).last().map(|(client, _)| *client), Some(2));
}

#[test]
fn leaders_follow_in_growing_terms_and_only_the_successor_wakes() {
    let mut lab = Lab::new();
    for number in 1..=4 {
        let client = lab.client();
        lab.spawn(async move {
            client.open().await;
            let election = Election::new(&client, "/election", format!("candidate {number}"));
            let leadership = election.campaign().await?;
            client.sleep(ms(10)).await;
            let leader = election.leader().await?.expect("it leads itself");
            assert_eq!(leader.term, leadership.term());
            assert_eq!(&leader.node, leadership.node());
            assert_eq!(
                leader.data.as_deref(),
                Some(format!("candidate {number}").as_bytes())
            );
            leadership.resign().await
        });
    }
    lab.run();
    assert_exclusive(&lab);
    let terms = acquired(&lab);
    assert_eq!(terms.len(), 4);
    assert!(terms.is_sorted_by(|a, b| a.1 < b.1), "{terms:?}");
    assert_eq!(lab.events, [(2, 1), (3, 1), (4, 1)].into());
}

#[test]
fn a_leader_that_comes_back_in_time_leads_on_in_its_term() {
    let mut lab = Lab::new();
    let (client, rival) = (lab.client(), lab.client());
    lab.spawn(async move {
        client.open().await;
        let leadership = Election::new(&client, "/election", "").campaign().await?;
        client.move_to(None);
        leadership.lost().await;
        client.until(|state| state.is_connected()).await;
        assert!(leadership.is_certain());
        client.sleep(ms(100)).await;
        leadership.resign().await
    });
    lab.spawn(async move {
        rival.open().await;
        let leadership = Election::new(&rival, "/election", "").campaign().await?;
        leadership.resign().await
    });
    lab.run();
    assert_exclusive(&lab);
    let leaders: Vec<usize> = acquired(&lab).iter().map(|(client, _)| *client).collect();
    assert_eq!(leaders, [1, 1, 2]);
    assert_eq!(
        lab.count(1, "create"),
        2,
        "not made anew: one without a parent, one"
    );
}

#[test]
fn nobody_leads_where_nobody_stands() {
    let mut lab = Lab::new();
    let client = lab.client();
    lab.spawn(async move {
        client.open().await;
        let election = Election::new(&client, "/election", "");
        assert_eq!(election.leader().await?, None);
        client.ensure_path("/election/not-a-candidate").await?;
        assert_eq!(election.leader().await?, None);
        Ok::<(), ClientError>(())
    });
    lab.run();
}

/// Everything at once: many clients, every kind of loss at every step, drawn by a small generator. Nobody starves, nobody
/// overlaps, nothing stays.
#[test]
fn a_thousand_bad_days() {
    let kinds = [
        "create", "list", "watch", "delete", "sync", "getData", "mkdir",
    ];
    for seed in 1..=1_000_u64 {
        let mut draw = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            draw % below
        };
        let mut lab = Lab::new();
        lab.outage_us = 1 + next(40_000);
        for client in 1..=4 {
            for _ in 0..next(6) {
                let fate = match next(8) {
                    0..3 => Fate::LoseReply,
                    3..5 => Fate::LoseRequest,
                    5 => Fate::LoseReplyAndSession,
                    6 => Fate::Expire,
                    _ => Fate::LoseReply,
                };
                lab.rule(client, kinds[next(7) as usize], next(3) as usize, fate);
            }
        }
        for _ in 0..4 {
            let client = lab.client();
            let (patience, hold) = (ms(1 + next(60)), ms(next(20)));
            lab.spawn(bad_day(client, patience, hold));
        }
        lab.run();
        assert_exclusive(&lab);
        let left = lab.children(LOCK);
        assert!(left.is_empty(), "seed {seed}: {left:?}");
        assert!(acquired(&lab).len() >= 4, "seed {seed}: everyone held once");
    }
}

/// Takes the lock three times: once with little patience, twice with all of it, whatever becomes of its session.
async fn bad_day(client: Client, patience: Duration, hold: Duration) -> Result<(), ClientError> {
    let lock = Lock::new(&client, LOCK);
    let mut turns = 0;
    while turns < 3 {
        client.open().await;
        let guard = match turns {
            0 => lock.acquire_within(patience).await,
            _ => lock.acquire().await.map(Some),
        };
        match guard {
            Ok(Some(guard)) => {
                join_all([client.sleep(hold), client.sleep(hold / 2)]).await;
                guard.release().await?;
                turns += 1;
            }
            Ok(None) => turns += 1,
            Err(error) => assert!(error.ends_session(), "{error}"),
        }
    }
    Ok(())
}
