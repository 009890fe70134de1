//! The state engine: the suite, damage, rebuilding, hashing.

use postrider_kv::testing;
use tempfile::TempDir;

use super::*;

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
