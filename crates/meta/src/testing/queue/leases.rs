//! Who has entries of the queue in hand, in which order, and when.

use std::time::Duration;

use postrider_types::{Clock, QueueId};

use super::*;

pub(in crate::testing) async fn an_entry_is_leased_once(f: &Fixture) {
    let [a, b] = enqueue(f, vec![to("one.test", &["x"]), to("two.test", &["y"])]).await[..] else {
        panic!("two entries");
    };
    let first = f.run(lease(ONE)).await;
    assert_eq!(first.entries, [(a, 1), (b, 1)]);
    let until = f.clock.now().after(MINUTE);
    // What is in hand may be leased when the lease ends.
    assert_eq!(first.next, Some(until));
    let state = QueueState::Leased { holder: ONE, until };
    assert_eq!(existing(f, a).await.state, state);
    assert_eq!(take(f, TWO).await, []);
    assert_eq!(take(f, ONE).await, []);

    // Its holder prolongs it; nobody else does, nor under another number.
    f.clock.advance(MINUTE / 2);
    let renew = |holder, entries: &[(QueueId, u64)]| c::RenewQueued {
        holder,
        entries: entries.to_vec(),
        ttl: MINUTE,
    };
    let asked = [(a, 1), (b, 2), (QueueId(9), 1)];
    assert_eq!(f.run(renew(ONE, &asked)).await, [(a, 1)]);
    assert_eq!(f.run(renew(TWO, &asked)).await, []);
    f.clock.advance(MINUTE / 2);
    let second = f.run(lease(TWO)).await;
    assert_eq!(second.entries, [(b, 2)]);
    assert_eq!(f.run(renew(ONE, &[(b, 1), (b, 2)])).await, []);

    // A lease that has ended is still its holder's until somebody takes it.
    f.clock.advance(limit::LEASE_TTL);
    assert_eq!(f.run(renew(ONE, &[(a, 1)])).await, [(a, 1)]);
    assert_eq!(take(f, TWO).await, [b]);
    f.clock.advance(MINUTE);
    assert_eq!(take(f, TWO).await, [a, b]);
}

pub(in crate::testing) async fn a_destination_rests_alone(f: &Fixture) {
    let destinations = vec![
        to("one.test", &["x"]),
        to("one.test", &["y"]),
        to("two.test", &["z"]),
    ];
    let all = enqueue(f, destinations).await;
    let one_by_one = || LeaseQueued {
        limit: 1,
        ..lease(ONE)
    };
    assert_eq!(ids(&f.run(one_by_one()).await), all[..1]);
    let now = f.clock.now();
    let until = now.after(MINUTE * 10);
    let rest = |id, lease, error: &str| c::SettleQueued {
        destination: DestinationChange::Rest {
            until,
            error: error.into(),
        },
        ..again(id, lease, now)
    };
    f.run(rest(all[0], 1, "refused")).await;
    let one = destination(f, "one.test").await;
    let expected = DestinationView {
        name: "one.test".into(),
        entries: 2,
        next: Some(until),
        not_before: Some(until),
        failures: 1,
        last_error: Some("refused".into()),
    };
    assert_eq!(one, Some(expected));
    let leased = f.run(lease(ONE)).await;
    assert_eq!(ids(&leased), all[2..]);
    // The lease of the other ends before the rest.
    assert_eq!(leased.next, Some(now.after(MINUTE)));
    f.run(done(all[2], 1, 1)).await;
    assert_eq!(f.run(lease(ONE)).await.next, Some(until));

    f.clock.advance(MINUTE * 10);
    assert_eq!(take(f, ONE).await, all[..2]);
    f.run(rest(all[0], 2, "again")).await;
    let one = destination(f, "one.test").await.expect("it has entries");
    assert_eq!(
        (one.failures, one.last_error.as_deref()),
        (2, Some("again"))
    );
    let works = c::SettleQueued {
        destination: DestinationChange::Works,
        ..again(all[1], 1, f.clock.now().after(HOUR))
    };
    f.run(works).await;
    let one = destination(f, "one.test").await.expect("it has entries");
    assert_eq!(
        (one.failures, one.not_before, one.last_error),
        (0, None, None)
    );
    assert_eq!(one.next, Some(now));
    assert_eq!(take(f, ONE).await, all[..1]);
}

pub(in crate::testing) async fn an_alarm_rings_while_the_destination_rests(f: &Fixture) {
    let all = enqueue(f, vec![to("one.test", &["x"]), to("one.test", &["y"])]).await;
    take(f, ONE).await;
    let start = f.clock.now();
    let rest = c::SettleQueued {
        warn: Some(start.after(HOUR)),
        destination: DestinationChange::Rest {
            until: start.after(DAY * 3),
            error: "refused".into(),
        },
        ..again(all[0], 1, start)
    };
    f.run(rest).await;
    let rest = c::SettleQueued {
        warn: None,
        ..again(all[1], 1, start)
    };
    f.run(rest).await;
    assert_eq!(f.run(lease(ONE)).await.next, Some(start.after(HOUR)));
    f.clock.advance(HOUR);
    // Also where the destination is busy: telling the sender needs no connection.
    let busy = LeaseQueued {
        busy: vec!["one.test".into()],
        ..lease(ONE)
    };
    let leased = f.run(busy.clone()).await;
    assert_eq!(leased.entries, [(all[0], 2)]);
    // Not again while it is in hand.
    assert_eq!(leased.next, Some(f.clock.now().after(MINUTE)));
    assert_eq!(take(f, TWO).await, []);
    f.run(again(all[0], 2, start)).await;
    assert_eq!(f.run(busy.clone()).await.next, Some(start.after(DAY)));
    f.clock.advance(DAY);
    assert_eq!(ids(&f.run(busy).await), all);
}

pub(in crate::testing) async fn no_destination_keeps_others_waiting(f: &Fixture) {
    // Two messages, so that nothing is in bulk.
    let half = || vec![to("crowd.test", &["x"]); 75];
    let crowd = [enqueue(f, half()).await, enqueue(f, half()).await].concat();
    f.clock.advance(Duration::from_secs(1));
    let others = vec![to("one.test", &["x"]), to("two.test", &["x"])];
    let others = enqueue(f, others).await;
    let few = LeaseQueued {
        per_destination: 2,
        ..lease(ONE)
    };
    let leased = f.run(few.clone()).await;
    assert_eq!(ids(&leased), [&crowd[..2], &others[..]].concat());
    // The rest of the crowd is due, unless the caller has its hands full.
    let crowded = existing(f, crowd[2]).await.due;
    assert_eq!(leased.next, Some(crowded));
    let busy = LeaseQueued {
        busy: ["crowd.test", "none.test"].map(String::from).to_vec(),
        ..few.clone()
    };
    let leased = f.run(busy).await;
    assert_eq!(leased.entries, []);
    assert_eq!(leased.next, Some(f.clock.now().after(MINUTE)));
    let one = LeaseQueued { limit: 1, ..few };
    assert_eq!(ids(&f.run(one).await), crowd[2..3]);
    assert_eq!(take(f, TWO).await, crowd[3..103]);
    assert_eq!(take(f, TWO).await, crowd[103..]);
    for bad in [
        LeaseQueued {
            limit: 0,
            ..lease(ONE)
        },
        LeaseQueued {
            limit: 101,
            ..lease(ONE)
        },
        LeaseQueued {
            per_destination: 0,
            ..lease(ONE)
        },
        LeaseQueued {
            busy: vec![String::new(); limit::BUSY + 1],
            ..lease(ONE)
        },
    ] {
        assert!(matches!(f.refused(bad).await, Refusal::Limit(_)));
    }
    for ttl in [Duration::ZERO, limit::LEASE_TTL + Duration::from_millis(1)] {
        let bad = LeaseQueued { ttl, ..lease(ONE) };
        assert!(matches!(f.refused(bad).await, Refusal::Invalid(_)));
    }
}

pub(in crate::testing) async fn a_removed_node_takes_nothing(f: &Fixture) {
    let id = enqueue(f, vec![to("one.test", &["x"])]).await[0];
    crate::testing::cluster::found(f, 1).await;
    assert_eq!(take(f, ONE).await, [id]);
    for refused in [
        f.refused(lease(TWO)).await,
        f.refused(c::RenewQueued {
            holder: TWO,
            entries: vec![(id, 1)],
            ttl: MINUTE,
        })
        .await,
    ] {
        assert!(matches!(refused, Refusal::NotFound(_)), "{refused:?}");
    }
}

pub(in crate::testing) async fn who_writes_to_many_keeps_nobody_waiting(f: &Fixture) {
    let many: Vec<String> = (0..limit::FEW + 20)
        .map(|n| format!("d{n:03}.test"))
        .collect();
    let many = enqueue(f, many.iter().map(|name| to(name, &["x"])).collect()).await;
    f.clock.advance(Duration::from_secs(1));
    let locals: Vec<String> = (0..100).map(|n| format!("x{n}")).collect();
    let locals: Vec<&str> = locals.iter().map(String::as_str).collect();
    let crowd = enqueue(f, vec![to("crowd.test", &locals); 3]).await;
    assert_eq!(take(f, ONE).await, many[..limit::FEW]);
    f.clock.advance(Duration::from_secs(1));
    let others = vec![to("crowd.test", &["y"]), to("d119.test", &["y"])];
    let others = enqueue(f, others).await;
    let small = |usual, bulk| LeaseQueued {
        limit: 3,
        usual,
        bulk,
        ..lease(TWO)
    };
    // What is left of the one message waits longer than the other, and yet behind it.
    let first = f.run(small(3, 3)).await;
    assert_eq!(ids(&first), [&crowd[..1], &others[..]].concat());
    assert_eq!(first.next, Some(existing(f, many[limit::FEW]).await.due));
    assert_eq!(ids(&f.run(small(3, 0)).await), []);
    assert_eq!(ids(&f.run(small(0, 1)).await), [many[limit::FEW]]);
    let crowded = LeaseQueued {
        crowded: vec!["crowd.test".into(), "d100.test".into()],
        ..small(3, 3)
    };
    let rest = &many[limit::FEW + 1..];
    assert_eq!(ids(&f.run(crowded).await), rest[..3]);
    // They stay in bulk when they are tried again.
    f.run(again(rest[0], 1, f.clock.now())).await;
    let late = enqueue(f, vec![to("late.test", &["z"])]).await;
    assert_eq!(ids(&f.run(small(1, 1)).await)[0], late[0]);
    let held = crate::command::ChangeQueued {
        ids: vec![crowd[2]],
        change: QueueChange::Hold,
    };
    f.run(held.clone()).await;
    f.run(crate::command::ChangeQueued {
        change: QueueChange::Remove,
        ..held
    })
    .await;
    let too_many = LeaseQueued {
        crowded: vec![String::new(); limit::BUSY + 1],
        ..lease(ONE)
    };
    assert!(matches!(f.refused(too_many).await, Refusal::Limit(_)));
}

pub(in crate::testing) async fn a_node_that_is_back_frees_what_it_had(f: &Fixture) {
    let names: Vec<String> = (0..limit::FREED + 10)
        .map(|n| format!("d{n:04}.test"))
        .collect();
    let all = enqueue(f, names.iter().map(|name| to(name, &["x"])).collect()).await;
    let life = |since| {
        move |holder| LeaseQueued {
            since: Millis(since),
            ..lease(holder)
        }
    };
    let (first, second) = (life(5), life(6));
    let other = f
        .run(LeaseQueued {
            limit: 5,
            ..first(TWO)
        })
        .await;
    while !f.run(first(ONE)).await.entries.is_empty() {}
    let free = async |since| {
        let (mut freed, mut after) = (0, None);
        loop {
            let holder = ONE;
            let since = Millis(since);
            let done = f
                .run(c::FreeQueued {
                    holder,
                    since,
                    after,
                })
                .await;
            freed += done.freed as usize;
            after = done.next;
            if after.is_none() {
                return freed;
            }
        }
    };
    assert_eq!(free(5).await, 0, "that is its present life");
    assert_eq!(free(6).await, all.len() - 5);
    // The dead one tells nothing any more, and the other node has what it had.
    let refused = f.refused(done(all[7], 1, 1)).await;
    assert!(matches!(refused, Refusal::NotFound(_)), "{refused:?}");
    assert_eq!(ids(&f.run(second(TWO)).await), all[5..105]);
    f.run(done(other.entries[0].0, 1, 1)).await;
    let taken = f.run(second(ONE)).await.entries.len();
    assert_eq!(taken, 100);
    assert_eq!(free(6).await, 0, "a command that comes late");
    assert_eq!(free(7).await, 100);
}

pub(in crate::testing) async fn a_lease_of_a_clock_that_was_ahead_ends(f: &Fixture) {
    let id = enqueue(f, vec![to("one.test", &["x"])]).await[0];
    f.clock.advance(30 * DAY);
    assert_eq!(take(f, ONE).await, [id]);
    f.clock.turn_back(30 * DAY);
    // Its holder may still have it in hand, but no longer than any lease lasts.
    assert_eq!(take(f, TWO).await, []);
    f.clock.advance(limit::LEASE_TTL);
    assert_eq!(take(f, TWO).await, [id]);
}

pub(in crate::testing) async fn what_a_clock_that_was_ahead_put_off_is_due(f: &Fixture) {
    let now = f.clock.now();
    let take = async || {
        let longest = DAY;
        ids(&f
            .run(LeaseQueued {
                longest,
                ..lease(ONE)
            })
            .await)
    };
    let tried = enqueue(f, vec![to("rests.test", &["x"])]).await[0];
    f.clock.advance(30 * DAY);
    assert_eq!(take().await, [tried]);
    let ahead = f.clock.now();
    let rest = c::SettleQueued {
        destination: DestinationChange::Rest {
            until: ahead.after(MINUTE),
            error: "refused".into(),
        },
        warn: None,
        ..again(tried, 1, ahead.after(HOUR))
    };
    f.run(rest).await;
    let new = enqueue(f, vec![to("one.test", &["x"]), to("one.test", &["y"])]).await;
    let many: Vec<String> = (0..limit::FEW + 1)
        .map(|n| format!("d{n:03}.test"))
        .collect();
    let many = enqueue(f, many.iter().map(|name| to(name, &["z"])).collect()).await;
    f.clock.turn_back(30 * DAY);
    let mut taken = Vec::new();
    while taken.len() < many.len() + 3 {
        let more = take().await;
        assert!(!more.is_empty(), "{} of {}", taken.len(), many.len() + 3);
        taken.extend(more);
    }
    taken.sort_unstable();
    assert_eq!(taken, [&[tried][..], &new[..], &many[..]].concat());
    assert_eq!(f.clock.now(), now);

    // What is put off for as long as is usual stays so.
    let later = f.clock.now().after(DAY);
    f.run(again(new[0], 1, later)).await;
    assert_eq!(take().await, []);
    assert_eq!(existing(f, new[0]).await.due, later);
}
