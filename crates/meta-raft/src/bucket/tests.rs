//! Two nodes that speak to one record.

mod slow;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use openraft::EntryPayload;
use postrider_blob::{Backend, Settings};

use self::slow::Slow;
use super::*;
use crate::raft::{Entry, log_id};

const LEASE: Duration = Duration::from_millis(20);

/// The bucket as node `me` sees it, over a store that it has tried.
async fn seen_by(me: u64, objects: Arc<dyn ObjectStore>) -> Bucket {
    let backend = Backend {
        objects,
        parts: None,
        prefix: String::new(),
        folder: None,
    };
    let store = Store::over(backend, &Settings::default());
    let bucket = Bucket::new(&Archive::new(store, "1"), true, LEASE, me);
    bucket.try_store().await.unwrap();
    bucket
}

/// The bucket as nodes 1 and 2 see it, which follows node 1 in term 1.
async fn two() -> (Bucket, Bucket) {
    let objects = Arc::new(InMemory::new());
    let one = seen_by(1, objects.clone()).await;
    let other = seen_by(2, objects).await;
    one.create(leader(1, 1)).await.unwrap();
    (one, other)
}

fn leader(term: u64, node: u64) -> Vote {
    Vote::new_committed(term, node)
}

fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    let entry = |index| Entry {
        log_id: log_id(term, index),
        payload: EntryPayload::Blank,
    };
    indexes.map(entry).collect()
}

/// An entry of about 100 kB.
fn batch(index: u64) -> Entry {
    Entry {
        log_id: log_id(1, index),
        payload: EntryPayload::Normal(crate::Batch::from_bytes(vec![index as u8; 100_000].into())),
    }
}

fn candidate(term: u64, node: u64, last: LogId, transfer: bool) -> VoteRequest<TypeConfig> {
    VoteRequest {
        vote: Vote::new(term, node),
        last_log_id: Some(last),
        leadership_transfer: transfer,
    }
}

#[tokio::test]
async fn a_leader_that_was_overtaken_is_told_so_also_where_nothing_is_new() {
    let (one, other) = two().await;
    let sent = entries(1, 0..3);
    let taken = one.append(leader(1, 1), None, &sent, None).await;
    assert_eq!(taken, Ok(Ok(())));
    let request = candidate(2, 2, log_id(1, 2), true);
    assert!(other.vote(&request, false).await.unwrap().vote_granted);
    let higher = Ok(Err(Refused::HigherVote(request.vote)));
    // It remembers a record that has all of this.
    assert_eq!(one.append(leader(1, 1), None, &sent, None).await, higher);
    let confirmed = one.confirm(leader(1, 1), None, None).await;
    assert_eq!(confirmed, higher);
    let rebased = one.rebase(leader(1, 1), log_id(1, 1)).await;
    assert_eq!(rebased, higher);
}

#[tokio::test]
async fn nobody_gets_the_vote_while_a_leader_touches_the_record() {
    let (one, other) = two().await;
    one.append(leader(1, 1), None, &entries(1, 0..3), None)
        .await
        .unwrap()
        .unwrap();
    let request = candidate(2, 2, log_id(1, 2), false);
    for _ in 0..3 {
        assert!(!other.vote(&request, true).await.unwrap().vote_granted);
        let beat = Some(Duration::ZERO);
        one.confirm(leader(1, 1), None, beat)
            .await
            .unwrap()
            .unwrap();
        tokio::time::sleep(LEASE / 2).await;
    }
    assert!(!other.vote(&request, true).await.unwrap().vote_granted);
    tokio::time::sleep(3 * LEASE).await;
    assert!(other.vote(&request, true).await.unwrap().vote_granted);
    assert!(other.vote(&request, false).await.unwrap().vote_granted);
    // Not a second time in that term.
    let third = candidate(2, 1, log_id(1, 2), true);
    assert!(!one.vote(&third, false).await.unwrap().vote_granted);
}

#[tokio::test]
async fn long_entries_go_into_objects_and_come_back() {
    let (one, other) = two().await;
    let mut previous = None;
    for index in 0..5 {
        let sent = [batch(index)];
        let taken = one.append(leader(1, 1), previous, &sent, None).await;
        assert_eq!(taken, Ok(Ok(())));
        previous = Some(log_id(1, index));
    }
    let record = other.record().await.unwrap().unwrap();
    assert_eq!(record.segments.len(), 2);
    let all = other.entries(&record, 1).await.unwrap();
    assert_eq!(all, (1..5).map(batch).collect::<Vec<Entry>>());
}

#[tokio::test]
async fn a_record_that_is_lost_or_put_back_has_no_vote_and_a_new_one_has() {
    let (one, other) = two().await;
    let store = one.0.store.clone();
    let (old, _) = store
        .read_register(&one.key(), LIMIT)
        .await
        .unwrap()
        .unwrap();
    one.append(leader(1, 1), None, &entries(1, 0..3), None)
        .await
        .unwrap()
        .unwrap();
    assert!(other.record().await.unwrap().is_some());
    store.put(&one.key(), vec![old]).await.unwrap();
    let request = candidate(2, 2, log_id(1, 2), true);
    assert!(other.vote(&request, false).await.is_err());
    assert!(one.record().await.unwrap().is_none());
    one.create(leader(2, 1)).await.unwrap();
    assert!(other.record().await.unwrap().is_some());
}

#[tokio::test]
async fn nobody_has_the_vote_of_a_store_that_was_not_tried_since_the_start() {
    let (one, _) = two().await;
    let restarted = Bucket::new(&one.0.archive, true, LEASE, 2);
    let request = candidate(2, 2, log_id(1, 2), true);
    assert!(restarted.vote(&request, false).await.is_err());
    restarted.try_store().await.unwrap();
    assert!(restarted.vote(&request, false).await.unwrap().vote_granted);
}

/// Node 1 begins to make the record, and what it sends is held up. Meanwhile node 2
/// leads and makes it, and the bucket acknowledges entries to node 2.
#[tokio::test]
async fn making_the_record_removes_none_that_another_has_made() {
    for damaged in [false, true] {
        let objects = Arc::new(InMemory::new());
        let slow = Slow::new(objects.clone(), "/record");
        let one = seen_by(1, Arc::new(slow.clone())).await;
        let other = seen_by(2, objects).await;
        if damaged {
            let damage = vec![b"what?".as_slice().into()];
            other.0.store.put(&other.key(), damage).await.unwrap();
        }
        let making = tokio::spawn({
            let one = one.clone();
            async move { one.create(leader(1, 1)).await }
        });
        slow.holds_one().await;
        other.create(leader(2, 2)).await.unwrap();
        let sent = entries(2, 0..3);
        let taken = other.append(leader(2, 2), None, &sent, None).await;
        assert_eq!(taken, Ok(Ok(())));
        slow.let_all_pass();
        making.await.unwrap().unwrap();
        let record = one.record().await.unwrap().unwrap();
        assert_eq!(record.last, Some(log_id(2, 2)), "the bucket has forgotten");
    }
}

/// A long object is held up on its way. The leader goes on to show that it lives, and
/// what the others have written meanwhile counts.
#[tokio::test]
async fn heartbeats_do_not_wait_for_an_object_that_is_put() {
    let objects = Arc::new(InMemory::new());
    let slow = Slow::new(objects.clone(), "/log/");
    let one = seen_by(1, Arc::new(slow.clone())).await;
    let other = seen_by(2, objects).await;
    one.create(leader(1, 1)).await.unwrap();
    let append = |previous: Option<LogId>, indexes: std::ops::Range<u64>| {
        let one = one.clone();
        let sent: Vec<Entry> = indexes.map(batch).collect();
        tokio::spawn(async move { one.append(leader(1, 1), previous, &sent, None).await })
    };

    let appending = append(None, 0..2);
    slow.holds_one().await;
    let beat = one.confirm(leader(1, 1), None, Some(Duration::ZERO));
    let beat = tokio::time::timeout(LIMIT, beat).await;
    assert_eq!(beat.expect("no answer while an object is put"), Ok(Ok(())));
    slow.let_one_pass();
    assert_eq!(appending.await.unwrap(), Ok(Ok(())));
    let record = other.record().await.unwrap().unwrap();
    assert_eq!(
        (record.last, record.segments.len()),
        (Some(log_id(1, 1)), 1)
    );
    assert!(record.tail.is_empty());

    let appending = append(record.last, 2..4);
    slow.holds_one().await;
    let request = candidate(2, 2, log_id(1, 1), true);
    assert!(other.vote(&request, false).await.unwrap().vote_granted);
    slow.let_one_pass();
    let higher = Ok(Err(Refused::HigherVote(request.vote)));
    assert_eq!(appending.await.unwrap(), higher);
    let record = other.record().await.unwrap().unwrap();
    assert_eq!(
        (record.last, record.segments.len()),
        (Some(log_id(1, 1)), 1)
    );
}
