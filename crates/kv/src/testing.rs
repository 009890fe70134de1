//! The conformance suite that every engine runs: plain reads and writes,
//! ranges in both directions, snapshots that stand still, and the buffered
//! transaction over the engine, all against a model. Panics on a deviation.

use std::collections::BTreeMap;
use std::future::Future;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::{Buffered, Op, Range, Read, Txn};

/// An engine under test.
pub trait Engine: Sync {
    /// Its consistent read.
    type Snapshot: Read;

    /// The present state.
    fn snapshot(&self) -> impl Future<Output = Self::Snapshot> + Send;

    /// Applies `ops` in order, all at once.
    fn apply(&self, ops: Vec<Op>) -> impl Future<Output = ()> + Send;
}

/// Runs everything, each test over a fresh engine out of `make`.
pub async fn suite<E: Engine>(make: impl AsyncFn() -> E) {
    reads_see_writes(&make().await).await;
    ranges_go_both_ways(&make().await).await;
    snapshots_stand_still(&make().await).await;
    large_values_and_many_keys_are_kept(&make().await).await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..40 {
        let steps = vec(vec(step(), 1..30), 1..6)
            .new_tree(&mut runner)
            .expect("the strategy rejects nothing")
            .current();
        behaves_like_the_model(&make().await, steps).await;
    }
}

fn put(key: &str, value: &str) -> Op {
    Op::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

async fn keys(read: &impl Read, start: &str, end: &str, limit: usize, reverse: bool) -> String {
    let range = Range {
        start: start.into(),
        end: end.into(),
        limit,
        reverse,
    };
    let pairs = read.range(range).await.expect("range");
    let keys = pairs.iter().map(|(key, _)| String::from_utf8_lossy(key));
    keys.collect::<Vec<_>>().join(" ")
}

async fn reads_see_writes<E: Engine>(engine: &E) {
    engine
        .apply(vec![
            put("a", "1"),
            put("b", "2"),
            put("a", "3"),
            put("empty", ""),
        ])
        .await;
    let read = engine.snapshot().await;
    assert_eq!(read.get(b"a").await.expect("get"), Some("3".into()));
    assert_eq!(read.get(b"empty").await.expect("get"), Some("".into()));
    assert_eq!(read.get(b"c").await.expect("get"), None);
    let some = [b"b".to_vec(), b"c".to_vec(), b"b".to_vec()];
    assert_eq!(
        read.get_many(&some).await.expect("get_many"),
        [Some("2".into()), None, Some("2".into())]
    );
    engine
        .apply(vec![
            Op::Delete { key: "a".into() },
            Op::Delete {
                key: "absent".into(),
            },
        ])
        .await;
    let read = engine.snapshot().await;
    assert_eq!(read.get(b"a").await.expect("get"), None);
}

async fn ranges_go_both_ways<E: Engine>(engine: &E) {
    let all = ["a", "b", "ba", "c", "d"];
    engine
        .apply(all.iter().map(|key| put(key, "")).collect())
        .await;
    let read = engine.snapshot().await;
    assert_eq!(keys(&read, "b", "d", 9, false).await, "b ba c");
    assert_eq!(keys(&read, "b", "d", 9, true).await, "c ba b");
    assert_eq!(keys(&read, "b", "d", 2, false).await, "b ba");
    assert_eq!(keys(&read, "b", "d", 2, true).await, "c ba");
    assert_eq!(keys(&read, "b", "b", 9, false).await, "");
    assert_eq!(keys(&read, "d", "b", 9, true).await, "");
    assert_eq!(keys(&read, "", "zz", 0, false).await, "");
    let range = Op::DeleteRange {
        start: "b".into(),
        end: "c".into(),
    };
    engine.apply(vec![range, put("bb", "")]).await;
    let read = engine.snapshot().await;
    assert_eq!(keys(&read, "", "zz", usize::MAX, false).await, "a bb c d");
}

async fn snapshots_stand_still<E: Engine>(engine: &E) {
    engine.apply(vec![put("a", "old"), put("b", "old")]).await;
    let before = engine.snapshot().await;
    let range = Op::DeleteRange {
        start: "b".into(),
        end: "c".into(),
    };
    engine
        .apply(vec![put("a", "new"), range, put("z", "new")])
        .await;
    assert_eq!(before.get(b"a").await.expect("get"), Some("old".into()));
    assert_eq!(keys(&before, "", "zz", 9, false).await, "a b");
    let after = engine.snapshot().await;
    assert_eq!(after.get(b"a").await.expect("get"), Some("new".into()));
    assert_eq!(keys(&after, "", "zz", 9, false).await, "a z");
}

async fn large_values_and_many_keys_are_kept<E: Engine>(engine: &E) {
    let large = Bytes::from(vec![7; 300_000]);
    let key = |n: u32| crate::key::Key::default().u32(n).build();
    let mut ops: Vec<Op> = (0..3000)
        .map(|n| Op::Put {
            key: key(n).into(),
            value: Bytes::copy_from_slice(&n.to_be_bytes()),
        })
        .collect();
    ops.push(Op::Put {
        key: "large".into(),
        value: large.clone(),
    });
    engine.apply(ops).await;
    let cut = Op::DeleteRange {
        start: key(500).into(),
        end: key(2500).into(),
    };
    engine.apply(vec![cut]).await;
    let read = engine.snapshot().await;
    assert_eq!(read.get(b"large").await.expect("get"), Some(large));
    let range = Range {
        start: key(0),
        end: key(3000),
        limit: usize::MAX,
        reverse: false,
    };
    let pairs = read.range(range).await.expect("range");
    let expected = (0..500).chain(2500..3000).map(key);
    assert!(pairs.iter().map(|(key, _)| key.to_vec()).eq(expected));
}

/// One step of a transaction. Keys come from a small space so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, u8),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    Add(u8, i8),
    Savepoint,
    Rollback,
}

fn some_key() -> impl Strategy<Value = Vec<u8>> {
    vec(0u8..4, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (some_key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => some_key().prop_map(Step::Delete),
        1 => (some_key(), some_key()).prop_map(|(a, b)| Step::DeleteRange(a.clone().min(b.clone()), a.max(b))),
        2 => (0u8..3, any::<i8>()).prop_map(|(key, delta)| Step::Add(key, delta)),
        1 => Just(Step::Savepoint),
        1 => Just(Step::Rollback),
    ]
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Counters have keys of their own.
fn counter_key(n: u8) -> Vec<u8> {
    vec![3, 3, 3, 3, n]
}

fn step_model(model: &mut Model, step: &Step) {
    match step {
        Step::Put(key, value) => {
            model.insert(key.clone(), vec![*value]);
        }
        Step::Delete(key) => {
            model.remove(key);
        }
        Step::DeleteRange(start, end) => model.retain(|key, _| key < start || key >= end),
        Step::Add(n, delta) => {
            let value = model.entry(counter_key(*n)).or_insert_with(|| vec![0; 8]);
            let before = i64::from_le_bytes(value.as_slice().try_into().expect("8 bytes"));
            *value = (before + i64::from(*delta)).to_le_bytes().to_vec();
        }
        Step::Savepoint | Step::Rollback => {}
    }
}

async fn behaves_like_the_model<E: Engine>(engine: &E, transactions: Vec<Vec<Step>>) {
    let mut model = Model::new();
    for steps in transactions {
        let mut txn = Buffered::new(engine.snapshot().await);
        let mut saved = Vec::new();
        for step in &steps {
            match step.clone() {
                Step::Put(key, value) => txn.put(key, vec![value]),
                Step::Delete(key) => txn.delete(key),
                Step::DeleteRange(start, end) => txn.delete_range(start, end),
                Step::Add(n, delta) => txn.add(counter_key(n), delta.into()),
                Step::Savepoint => saved.push((txn.savepoint(), model.clone())),
                Step::Rollback => {
                    if let Some((to, before)) = saved.pop() {
                        txn.rollback(to);
                        model = before;
                    }
                }
            }
            step_model(&mut model, step);
            reads_equal(&txn, &model).await;
        }
        engine.apply(txn.into_ops().await.expect("into_ops")).await;
        reads_equal(&engine.snapshot().await, &model).await;
    }
}

async fn reads_equal(read: &impl Read, model: &Model) {
    for (start, end, limit) in [
        (vec![], vec![9], usize::MAX),
        (vec![1], vec![3, 3, 3, 4], 3),
        (vec![0, 2], vec![2, 1], 40),
        (vec![2], vec![2, 2], 1),
    ] {
        for reverse in [false, true] {
            let mut expected: Vec<_> = model
                .range(start.clone()..end.clone())
                .map(|(key, value)| (Bytes::from(key.clone()), Bytes::from(value.clone())))
                .collect();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit);
            let range = Range {
                start: start.clone(),
                end: end.clone(),
                limit,
                reverse,
            };
            assert_eq!(read.range(range).await.expect("range"), expected);
        }
    }
    let mut some: Vec<Vec<u8>> = (0..4).map(|n| vec![n]).collect();
    some.extend((0..3).map(counter_key));
    let expected: Vec<_> = some.iter().map(|key| model.get(key)).collect();
    let many = read.get_many(&some).await.expect("get_many");
    assert!(
        many.iter()
            .map(|v| v.as_deref())
            .eq(expected.iter().map(|v| v.map(Vec::as_slice)))
    );
    for (key, expected) in some.iter().zip(expected) {
        let value = read.get(key).await.expect("get");
        assert_eq!(value.as_deref(), expected.map(Vec::as_slice));
    }
}
