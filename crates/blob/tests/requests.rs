//! Requests against a store that fails: what is tried again, what is told, what
//! is cached, and that memory stays bounded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

#[path = "support/faults.rs"]
mod faults;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use faults::{Fault, Faults};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use postrider_blob::{Error, Settings, Store};
use proptest::prelude::*;

/// Bytes that tell their place.
fn bytes(length: usize) -> Bytes {
    (0..length)
        .map(|i| (i / 7 + i / 65_537) as u8)
        .collect::<Vec<u8>>()
        .into()
}

async fn until(mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .expect("it never came");
}

#[tokio::test]
async fn errors_cuts_and_lost_replies_are_tried_again() {
    let faults = Faults::default();
    let store = faults.store(&Faults::settings());
    faults.next("put", Fault::Status(500));
    faults.next("put", Fault::LostReply);
    store
        .put("a/1", vec![bytes(1000), bytes(500)])
        .await
        .unwrap();
    faults.next("get", Fault::Status(503));
    faults.next("get", Fault::Cut);
    let whole = [bytes(1000), bytes(500)].concat();
    assert_eq!(store.get("a/1", 0..1500).await.unwrap(), whole);
    assert_eq!((faults.count("put"), faults.count("get")), (3, 3));
    faults.next("delete", Fault::LostReply);
    store.delete("a/1").await.unwrap();
    assert!(faults.keys().await.is_empty());
    assert!(store.available());
}

#[tokio::test]
async fn a_request_that_hangs_is_given_up_and_tried_again() {
    let faults = Faults::default();
    let settings = Settings {
        attempt_timeout: Duration::from_millis(20),
        ..Faults::settings()
    };
    let store = faults.store(&settings);
    store.put("a/1", vec![bytes(10)]).await.unwrap();
    faults.next("get", Fault::Hang);
    assert_eq!(store.get("a/1", 0..10).await.unwrap(), bytes(10));
}

#[tokio::test]
async fn a_store_that_is_away_is_told_at_once_and_noticed_when_back() {
    let faults = Faults::default();
    let settings = Settings {
        deadline: Duration::from_millis(300),
        ..Faults::settings()
    };
    let store = faults.store(&settings);
    store.put("a/1", vec![bytes(10)]).await.unwrap();
    faults.away(true);
    assert!(matches!(
        store.get("a/1", 0..10).await,
        Err(Error::Unavailable(_))
    ));
    assert!(!store.readable() && !store.available());
    assert!(store.probe().await.is_err());
    assert!(!store.writable());
    let asked = faults.count("get");
    assert!(matches!(
        store.get("a/1", 0..10).await,
        Err(Error::Unavailable(_))
    ));
    assert_eq!(
        faults.count("get"),
        asked,
        "nobody waits for a store that is away"
    );
    faults.away(false);
    until(|| store.available()).await;
    assert_eq!(store.get("a/1", 0..10).await.unwrap(), bytes(10));
}

#[tokio::test]
async fn a_full_store_is_still_read() {
    let faults = Faults::default();
    let settings = Settings {
        deadline: Duration::from_millis(300),
        probe_pause: Duration::from_millis(600_000),
        ..Faults::settings()
    };
    let store = faults.store(&settings);
    store.put("a/1", vec![bytes(10)]).await.unwrap();
    for _ in 0..1000 {
        faults.next("put", Fault::Status(507));
    }
    assert!(store.put("a/2", vec![bytes(10)]).await.is_err());
    assert!(!store.writable() && store.readable());
    assert_eq!(store.get("a/1", 0..10).await.unwrap(), bytes(10));
}

#[tokio::test]
async fn answers_that_are_no_outage_keep_the_store_up() {
    let faults = Faults::default();
    let store = faults.store(&Faults::settings());
    assert!(matches!(
        store.get("a/none", 0..1).await,
        Err(Error::NotFound(_))
    ));
    store.create("a/1", vec![bytes(10)]).await.unwrap();
    assert!(matches!(
        store.create("a/1", vec![bytes(9)]).await,
        Err(Error::Exists(_))
    ));
    assert!(matches!(
        store.get("a/1", 0..11).await,
        Err(Error::Short(_))
    ));
    assert!(matches!(
        store.get("a/1", 700_000..700_001).await,
        Err(Error::Short(_))
    ));
    assert!(matches!(
        store.get_once("a/1", 5..11).await,
        Err(Error::Short(_))
    ));
    assert!(matches!(
        store.put("a b", vec![]).await,
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        store.put("../b", vec![]).await,
        Err(Error::Invalid(_))
    ));
    assert!(store.available());
}

#[tokio::test]
async fn a_hundred_readers_of_a_chunk_cost_one_request() {
    let faults = Faults::default();
    let store = faults.store(&Faults::settings());
    store.put("a/1", vec![bytes(200_000)]).await.unwrap();
    let reads = (0..100).map(|i| store.get("a/1", i * 10..i * 10 + 100));
    for (i, read) in join_all(reads).await.into_iter().enumerate() {
        assert_eq!(read.unwrap(), bytes(200_000).slice(i * 10..i * 10 + 100));
    }
    assert_eq!(faults.count("get"), 1);
}

#[tokio::test]
async fn ten_megabytes_in_small_pieces_cost_a_few_requests() {
    let faults = Faults::default();
    let store = faults.store(&Faults::settings());
    let all = bytes(10 << 20);
    store.put("a/1", vec![all.clone()]).await.unwrap();
    for start in (0..all.len()).step_by(10_240) {
        let end = (start + 10_240).min(all.len());
        let read = store.get("a/1", start as u64..end as u64).await.unwrap();
        assert!(read == all.slice(start..end), "from {start}");
    }
    assert!(
        faults.count("get") <= 12,
        "{} requests",
        faults.count("get")
    );
}

#[tokio::test]
async fn a_reader_that_gives_up_does_not_hold_up_the_others() {
    let faults = Faults::default();
    let store = faults.store(&Settings {
        attempt_timeout: Duration::from_millis(60_000),
        ..Faults::settings()
    });
    store.put("a/1", vec![bytes(10)]).await.unwrap();
    faults.next("get", Fault::Hang);
    let mut first = Box::pin(store.get("a/1", 0..10));
    assert!(futures::poll!(&mut first).is_pending());
    let second = store.get("a/1", 0..10);
    drop(first);
    assert_eq!(second.await.unwrap(), bytes(10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_ranges_come_back_whatever_the_cache_holds(
        length in 1usize..1_500_000,
        cache in prop::sample::select(vec![0u64, 1 << 20, 64 << 20]),
        rounds in prop::collection::vec(prop::collection::vec(any::<(u32, u32)>(), 1..20), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let faults = Faults::default();
            let store = faults.store(&Settings { cache_size: cache, ..Faults::settings() });
            let all = bytes(length);
            store.put("a/1", vec![all.clone()]).await.unwrap();
            for round in rounds {
                let ranges: Vec<_> = round.iter().map(|(a, b)| {
                    let (a, b) = (*a as usize % (length + 1), *b as usize % (length + 1));
                    a.min(b) as u64..a.max(b) as u64
                }).collect();
                let read = store.get_ranges("a/1", &ranges).await.unwrap();
                for (range, bytes) in ranges.iter().zip(read) {
                    assert!(bytes == all.slice(range.start as usize..range.end as usize), "{range:?}");
                }
            }
        });
    }
}

fn five_mib(faults: &Faults) -> Arc<Store> {
    let settings = Settings {
        part_size: 5 << 20,
        upload_memory: 10 << 20,
        deadline: Duration::from_millis(1_000),
        ..Faults::settings()
    };
    faults.store(&settings)
}

#[tokio::test]
async fn an_upload_appears_whole_and_its_parts_are_tried_again() {
    let faults = Faults::default();
    let store = five_mib(&faults);
    let all = bytes(12 << 20);
    for fault in [Fault::Status(500), Fault::LostReply] {
        for op in ["start", "part", "complete"] {
            faults.next(op, fault);
        }
    }
    let mut upload = store.upload("a/1").unwrap();
    for start in (0..all.len()).step_by(100_000) {
        upload
            .write(all.slice(start..(start + 100_000).min(all.len())))
            .await
            .unwrap();
        assert!(
            faults.keys().await.is_empty(),
            "nothing is seen before the end"
        );
    }
    assert_eq!(upload.finish().await.unwrap(), all.len() as u64);
    assert!(faults.bytes("a/1").await == all);
    assert_eq!(faults.count("put"), 0);
}

#[tokio::test]
async fn a_small_upload_is_one_request() {
    let faults = Faults::default();
    let store = five_mib(&faults);
    for length in [0, 1, 5 << 20] {
        let mut upload = store.upload(&format!("a/{length}")).unwrap();
        upload.write(bytes(length)).await.unwrap();
        assert_eq!(upload.finish().await.unwrap(), length as u64);
        assert!(faults.bytes(&format!("a/{length}")).await == bytes(length));
    }
    assert_eq!((faults.count("put"), faults.count("start")), (3, 0));
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_removed() {
    let faults = Faults::default();
    let store = five_mib(&faults);
    let mut upload = store.upload("a/1").unwrap();
    upload.write(bytes(6 << 20)).await.unwrap();
    drop(upload);
    until(|| faults.count("abort") == 1).await;
    assert!(faults.keys().await.is_empty());
}

#[tokio::test]
async fn upload_memory_is_bounded_and_comes_back() {
    let faults = Faults::default();
    let store = five_mib(&faults);
    let mut uploads = Vec::new();
    for i in 0..2 {
        let mut upload = store.upload(&format!("a/{i}")).unwrap();
        upload.write(bytes(5 << 20)).await.unwrap();
        uploads.push(upload);
    }
    let mut third = store.upload("a/3").unwrap();
    assert!(matches!(
        third.write(bytes(1)).await,
        Err(Error::Crowded(_))
    ));
    assert!(store.available(), "that is no outage of the store");
    uploads.clear();
    let mut fourth = store.upload("a/4").unwrap();
    fourth.write(bytes(1)).await.unwrap();
    fourth.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_upload_makes_room_for_others_and_a_busy_one_stays() {
    let faults = Faults::default();
    let store = faults.store(&Settings {
        part_size: 5 << 20,
        upload_memory: 10 << 20,
        ..Faults::settings()
    });
    let start = async |n: usize| {
        let mut upload = store.upload(&format!("a/{n}")).unwrap();
        upload.write(bytes(4 << 20)).await.unwrap();
        upload
    };
    let (mut stalled, mut busy) = (start(1).await, start(2).await);
    tokio::time::sleep(Duration::from_secs(4)).await;
    busy.write(bytes(1000)).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut third = store.upload("a/3").unwrap();
    third.write(bytes(4 << 20)).await.unwrap();
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    assert!(matches!(
        stalled.write(bytes(1)).await,
        Err(Error::Crowded(_))
    ));
    assert!(matches!(stalled.finish().await, Err(Error::Crowded(_))));
    busy.finish().await.unwrap();
    third.finish().await.unwrap();
    let mut keys = faults.keys().await;
    keys.sort();
    assert_eq!(keys, ["a/2", "a/3"]);
}

#[tokio::test]
async fn uploads_in_lockstep_do_not_wait_for_each_others_memory() {
    let faults = Faults::default();
    let store = Faults::store(
        &faults,
        &Settings {
            part_size: 5 << 20,
            upload_memory: 15 << 20,
            deadline: Duration::from_secs(5),
            ..Faults::settings()
        },
    );
    // Each has a part of a part when the memory is used up.
    let all = bytes(6 << 20);
    let step = tokio::sync::Barrier::new(8);
    let one = async |n: usize| {
        let mut upload = store.upload(&format!("a/{n}"))?;
        upload.write(all.slice(..2 << 19)).await?;
        step.wait().await;
        for start in (2 << 19..all.len()).step_by(64 << 10) {
            let end = (start + (64 << 10)).min(all.len());
            upload.write(all.slice(start..end)).await?;
            tokio::task::yield_now().await;
        }
        upload.finish().await
    };
    for written in futures::future::join_all((0..8).map(one)).await {
        assert_eq!(written.unwrap(), all.len() as u64);
    }
    assert_eq!(faults.keys().await.len(), 8);
}

#[tokio::test]
async fn a_listing_tells_keys_sizes_and_errors() {
    let faults = Faults::default();
    let store = faults.store(&Faults::settings());
    store.put("a/1", vec![bytes(10)]).await.unwrap();
    store.put("ab/1", vec![bytes(10)]).await.unwrap();
    let found: Vec<_> = store.list("a").try_collect().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].key.as_str(), found[0].size), ("a/1", 10));
    faults.next("list", Fault::Status(500));
    let listed: Vec<_> = store.list("a").collect().await;
    assert!(matches!(listed[..], [Err(Error::Unavailable(_))]));
}
