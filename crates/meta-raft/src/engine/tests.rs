//! The state engine: the suite, damage, rebuilding, hashing.

use bytes::Bytes;
use postrider_kv::{Range, Read, testing};
use postrider_types::Millis;
use tempfile::TempDir;

use super::*;
use crate::raft::{StoredMembership, log_id};

fn bounds() -> Bounds {
    Bounds {
        cache_bytes: 1 << 20,
        buffer_bytes: 1 << 20,
        journal_bytes: 64 << 20,
    }
}

struct Subject {
    engine: Engine,
    _dir: TempDir,
}

impl testing::Engine for Subject {
    type Snapshot = View;

    async fn snapshot(&self) -> View {
        self.engine.view()
    }

    async fn apply(&self, ops: Vec<Op>) {
        self.engine.write(ops, &Progress::default(), false).unwrap();
    }
}

#[tokio::test]
async fn passes_the_suite() {
    testing::suite(async || {
        let dir = TempDir::new().unwrap();
        let engine = Engine::open(dir.path(), bounds()).unwrap();
        Subject { engine, _dir: dir }
    })
    .await;
}

fn put(key: &'static str, value: &'static str) -> Op {
    Op::Put {
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    }
}

fn contents(engine: &Engine) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let view = engine.view();
    let pairs = view.pairs().map(|pair| pair.unwrap());
    pairs.map(|(key, value)| (text(key), text(value))).collect()
}

fn progress(index: u64) -> Progress {
    Progress {
        applied: Some(log_id(3, index)),
        batch: index,
        time: Millis(1_000 * index),
        membership: StoredMembership::default(),
    }
}

#[test]
fn keeps_data_and_progress_over_a_restart() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    engine
        .write([put("a", "1"), put("b", "2")], &progress(7), true)
        .unwrap();
    engine.persist().unwrap();
    let hash = Engine::hash(&engine.view()).unwrap();
    drop(engine);
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    assert_eq!(engine.progress().unwrap(), progress(7));
    assert_eq!(contents(&engine).len(), 2);
    assert_eq!(Engine::hash(&engine.view()).unwrap(), hash);
}

#[test]
fn replacing_leaves_old_views_readable_and_survives_a_restart() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    engine.write([put("old", "1")], &progress(1), true).unwrap();
    let before = engine.view();
    let pair = (Bytes::from_static(b"new"), Bytes::from_static(b"2"));
    engine
        .replace(std::iter::once(Ok(pair)), &progress(9))
        .unwrap();
    assert_eq!(before.pairs().count(), 1);
    assert_eq!(contents(&engine), [("new".into(), "2".into())]);
    assert_eq!(generations(dir.path()).unwrap(), [1, 2]);
    drop(before);
    assert_eq!(generations(dir.path()).unwrap(), [2]);
    drop(engine);
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    assert_eq!(contents(&engine), [("new".into(), "2".into())]);
    assert_eq!(engine.progress().unwrap(), progress(9));
    assert_eq!(generations(dir.path()).unwrap().len(), 1);
}

#[test]
fn a_half_filled_state_does_not_take_over() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    engine.write([put("a", "1")], &progress(1), true).unwrap();
    let pair = (Bytes::from_static(b"new"), Bytes::from_static(b"2"));
    let broken = [Ok(pair), Err(Error::Engine("torn".into()))];
    assert!(engine.replace(broken.into_iter(), &progress(9)).is_err());
    engine.persist().unwrap();
    drop(engine);
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    assert_eq!(contents(&engine), [("a".into(), "1".into())]);
}

#[test]
fn a_distrusted_state_is_dropped() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    engine.write([put("a", "1")], &progress(1), true).unwrap();
    engine.persist().unwrap();
    assert_eq!(engine.failure(), None);
    engine.current.read().distrust(&fjall::Error::Poisoned);
    assert!(engine.failure().is_some());
    drop(engine);
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    assert!(contents(&engine).is_empty());
    assert_eq!(engine.progress().unwrap(), Progress::default());
    assert_eq!(engine.failure(), None);
}

#[tokio::test]
async fn keyspaces_are_one_order_of_keys() {
    let dir = TempDir::new().unwrap();
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    // Some of each keyspace, and borders between them.
    let keys = [
        "a1", "gH1", "gb1", "gi", "gi1", "gi2", "gj", "gk1", "gl1", "gy9", "gz",
    ];
    let ops = keys.map(|key| put(key, key)).into_iter().rev();
    engine.write(ops, &progress(1), true).unwrap();
    let all: Vec<_> = contents(&engine).into_iter().map(|(key, _)| key).collect();
    assert_eq!(all, keys);
    let read = async |start: &str, end: &str, limit, reverse| -> Vec<String> {
        let range = Range {
            start: start.into(),
            end: end.into(),
            limit,
            reverse,
        };
        let pairs = engine.view().range(range).await.unwrap();
        let keys = pairs.into_iter().map(|(key, _)| key.to_vec());
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    };
    assert_eq!(read("gi", "gj", 9, false).await, ["gi", "gi1", "gi2"]);
    assert_eq!(
        read("gb", "gl", 4, false).await,
        ["gb1", "gi", "gi1", "gi2"]
    );
    assert_eq!(read("gb", "gl", 3, true).await, ["gk1", "gj", "gi2"]);
    // One removal over all of them, in one write.
    let range = Op::DeleteRange {
        start: Bytes::from_static(b"gi1"),
        end: Bytes::from_static(b"gl"),
    };
    engine.write([range], &progress(2), false).unwrap();
    assert_eq!(
        read("", "z", 99, false).await,
        ["a1", "gH1", "gb1", "gi", "gl1", "gy9", "gz"]
    );
    // A copy is the same, pair by pair.
    let hash = Engine::hash(&engine.view()).unwrap();
    let pairs: Vec<_> = engine.view().pairs().map(|pair| pair.unwrap()).collect();
    engine
        .replace(pairs.into_iter().map(Ok), &progress(2))
        .unwrap();
    assert_eq!(Engine::hash(&engine.view()).unwrap(), hash);
}

#[test]
fn a_state_of_another_layout_is_dropped() {
    let dir = TempDir::new().unwrap();
    {
        let db = fjall::Database::builder(dir.path().join("00000001"))
            .open()
            .unwrap();
        let options = fjall::KeyspaceCreateOptions::default;
        let data = db.keyspace("data", options).unwrap();
        let facts = db.keyspace("facts", options).unwrap();
        data.insert("gi1", "a body where none is looked for")
            .unwrap();
        facts.insert("progress", &progress(7).encode()[..]).unwrap();
        db.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let engine = Engine::open(dir.path(), bounds()).unwrap();
    assert_eq!(engine.progress().unwrap(), Progress::default());
    assert!(contents(&engine).is_empty());
}
