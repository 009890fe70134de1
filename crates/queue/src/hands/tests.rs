//! The window: how entries come to workers, and how many of these there are.

use bytes::Bytes;
use postrider_meta::{QueueEnvelope, QueueState};
use postrider_types::{BodyId, Millis};

use super::*;
use crate::grip::Turn;

const NOW: Millis = Millis(1000);

fn hands() -> Hands {
    Hands::new(&Settings {
        window: 6,
        connections_per_destination: 3,
        ..Settings::default()
    })
}

fn held(id: u64, destination: &str) -> Held {
    let entry = QueuedView {
        id: QueueId(id),
        body: BodyId::from_bytes([0; 16]),
        size: 0,
        envelope: QueueEnvelope {
            reverse_path: String::new(),
            ret: None,
            envelope_id: None,
            smtp_utf8: false,
            require_tls: false,
            tls_optional: false,
            sign: None,
            submitter: None,
        },
        seal: None,
        prefix: Bytes::new(),
        destination: destination.into(),
        recipients: Vec::new(),
        created: Millis(0),
        due: Millis(0),
        warn: None,
        expires: Millis(2000),
        attempts: 0,
        last_error: None,
        state: QueueState::Waiting,
        lease: 1,
        bulk: false,
        list: false,
        leaves: None,
    };
    let ttl = Duration::from_secs(60);
    let grip = Arc::new(Grip::new(
        QueueId(id),
        1,
        Turn::of(&entry),
        Instant::now(),
        ttl,
    ));
    let token = Token(0);
    Held { entry, grip, token }
}

/// The entry that a worker is to send now.
async fn send(hands: &Hands, destination: &str) -> Option<Held> {
    match hands.next(destination, Duration::ZERO, NOW).await {
        Next::Send(held) => Some(held),
        Next::End => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_destination_begins_with_few_connections_and_gets_more_as_it_takes_mail() {
    let hands = hands();
    let started: Vec<bool> = (0..5).map(|id| hands.put(held(id, "a.test"))).collect();
    assert_eq!(started, [true, true, false, false, false]);
    assert_eq!(hands.room().all, 1);
    assert_eq!(hands.busy(), [["a.test"], ["a.test"]]);
    let first = send(&hands, "a.test").await.unwrap();
    assert_eq!(first.entry.id, QueueId(0));
    assert!(
        hands.widen("a.test"),
        "three wait, and one more may be sent"
    );
    assert!(!hands.widen("a.test"), "three connections are all");
    hands.done(&first);
    assert_eq!(hands.room().all, 2);
}

#[tokio::test]
async fn a_destination_that_refuses_connections_keeps_one() {
    let hands = hands();
    for id in 0..3 {
        hands.put(held(id, "a.test"));
    }
    assert!(hands.narrow("a.test"), "one is left");
    assert!(
        send(&hands, "a.test").await.is_none(),
        "this one is too many"
    );
    assert!(!hands.narrow("a.test"), "the last one");
    assert!(send(&hands, "a.test").await.is_some());
}

#[tokio::test]
async fn what_waits_is_taken_back_and_nothing_is_left_behind() {
    let hands = hands();
    hands.put(held(1, "a.test"));
    hands.put(held(2, "b.test"));
    assert_eq!(hands.grips().len(), 2);
    let all = hands.take_all_waiting();
    all.iter().for_each(|held| hands.done(held));
    assert_eq!((all.len(), hands.room().all), (2, 6));
    for name in ["a.test", "b.test"] {
        assert!(send(&hands, name).await.is_none());
    }
    assert!(hands.state.lock().lanes.is_empty());
}

#[tokio::test]
async fn a_worker_that_waits_is_woken_instead_of_a_new_one() {
    let hands = Arc::new(hands());
    assert!(hands.put(held(1, "a.test")));
    let first = send(&hands, "a.test").await.unwrap();
    hands.done(&first);
    let waiting = tokio::spawn({
        let hands = hands.clone();
        async move { hands.next("a.test", Duration::from_secs(30), NOW).await }
    });
    while hands.state.lock().lanes["a.test"].idle == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!hands.put(held(2, "a.test")));
    let next = waiting.await.unwrap();
    assert!(
        matches!(&next, Next::Send(held) if held.entry.id == QueueId(2)),
        "{next:?}"
    );
}

#[tokio::test]
async fn a_destination_gets_no_more_than_its_rate_and_the_others_do_not_wait() {
    let hands = Hands::new(&Settings {
        rate_per_destination: 1,
        ..Settings::default()
    });
    assert_eq!(hands.per_destination(), 1, "what cannot be sent soon stays");
    hands.put(held(1, "a.test"));
    let first = send(&hands, "a.test").await.unwrap();
    hands.put(held(2, "a.test"));
    assert_eq!(hands.busy()[0], ["a.test"]);
    let minute = Duration::from_secs(60);
    let next = hands.next("a.test", Duration::ZERO, NOW).await;
    assert!(
        matches!(next, Next::Pause(until) if until > Instant::now() + minute / 2),
        "{next:?}"
    );
    hands.put(held(3, "b.test"));
    assert!(send(&hands, "b.test").await.is_some());
    hands.done(&first);
    // The rate outlives the lane's last entry.
    for held in hands.take_waiting("a.test") {
        hands.done(&held);
    }
    while send(&hands, "a.test").await.is_some() {}
    assert!(hands.busy()[0].is_empty());
    hands.put(held(4, "a.test"));
    let next = hands.next("a.test", Duration::ZERO, NOW).await;
    assert!(matches!(next, Next::Pause(_)), "{next:?}");
}

#[tokio::test]
async fn who_waits_for_the_rate_is_told_in_time() {
    let hands = Hands::new(&Settings {
        rate_per_destination: 1,
        ..Settings::default()
    });
    hands.put(held(1, "a.test"));
    assert!(send(&hands, "a.test").await.is_some());
    hands.put(held(2, "a.test"));
    let mut late = held(3, "a.test");
    late.entry.warn = Some(NOW);
    hands.put(late);
    let next = hands.next("a.test", Duration::ZERO, NOW).await;
    assert!(
        matches!(&next, Next::Tell(held) if held.entry.id == QueueId(3)),
        "{next:?}"
    );
}

fn in_bulk(id: u64, destination: &str) -> Held {
    let mut held = held(id, destination);
    held.entry.bulk = true;
    held
}

#[tokio::test]
async fn who_writes_to_many_leaves_room_for_others() {
    let hands = Hands::new(&Settings {
        window: 8,
        connections: 8,
        connections_per_destination: 2,
        ..Settings::default()
    });
    let room = |all, usual, bulk| Room { all, usual, bulk };
    assert_eq!(hands.room(), room(8, 6, 6));
    for id in 1..=4 {
        hands.put(in_bulk(id, "a.test"));
    }
    assert_eq!(hands.room(), room(4, 6, 2));
    let none: [&str; 0] = [];
    let first = send(&hands, "a.test").await.unwrap();
    assert_eq!(hands.busy(), [&none[..], &["a.test"]], "of bulk alone");
    hands.put(held(5, "a.test"));
    hands.put(held(6, "a.test"));
    let next = [send(&hands, "a.test").await, send(&hands, "a.test").await];
    let next = next.map(|held| held.unwrap());
    let ids = next.each_ref().map(|held| held.entry.id.0);
    assert_eq!(ids, [5, 6], "those in bulk wait behind");
    next.iter().for_each(|held| hands.done(held));
    hands.done(&first);
    assert_eq!(hands.room(), room(5, 6, 3));
    hands
        .take_all_waiting()
        .iter()
        .for_each(|held| hands.done(held));
    assert_eq!(hands.room(), room(8, 6, 6));
}
