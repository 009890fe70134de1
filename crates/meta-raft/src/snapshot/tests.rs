//! Drafts, and what becomes of them.

use tempfile::TempDir;

use super::*;
use crate::engine::{Bounds, Engine};

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_draft_goes_with_the_last_that_has_it() {
    let dir = TempDir::new().unwrap();
    let bounds = Bounds {
        cache_bytes: 1 << 20,
        buffer_bytes: 1 << 20,
        journal_bytes: 64 << 20,
    };
    let engine = Engine::open(&dir.path().join("state"), bounds).unwrap();
    let path = dir.path().join("snapshots");
    let snapshots = Snapshots::open(&path).unwrap();
    // A transfer that broke off.
    let draft = snapshots.draft();
    fs::write(draft.path(), b"half of it").unwrap();
    assert_eq!(files(&path), 1);
    drop(draft);
    assert_eq!(files(&path), 0);
    // One that Raft still works on when the call has ended, and then refuses.
    let written = snapshots.write(&engine.view()).unwrap();
    let receive = || {
        let draft = snapshots.draft();
        fs::copy(&written.path, draft.path()).unwrap();
        Stored::open(draft.path()).unwrap().of(draft)
    };
    let received = receive();
    let again = received.clone();
    drop(received);
    assert!(again.verify().is_ok());
    drop(again);
    assert_eq!(files(&path), 1);
    // One that is installed.
    let kept = snapshots.keep(receive()).unwrap();
    assert!(kept.verify().is_ok());
    assert_eq!(files(&path), 1);
}
