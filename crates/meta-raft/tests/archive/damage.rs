//! Damaged snapshots, and what is left of other clusters.

use std::path::PathBuf;

use super::*;

impl World {
    /// A snapshot of all there is goes to the archive.
    async fn carry(&self) {
        self.node.snapshot().await.unwrap();
        // Until it is there the one before may be refused.
        let put = async || self.node.archive().await.unwrap_or(false);
        support::until("a snapshot", put).await;
    }

    /// Changes a byte in an object. Its key.
    async fn damage(&self, object: &Listed) -> String {
        let mut bytes = self.read(object).await;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.write(&object.key, bytes).await;
        object.key.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_snapshot_and_the_log_stand_in_for_a_damaged_one() {
    let mut world = World::new().await;
    world.archive().await;
    world.deliver(3).await;
    world.archive().await;
    world.carry().await;
    world.pass();
    world.deliver(2).await;
    world.archive().await;
    let moment = world.pass();
    world.deliver(4).await;
    world.archive().await;

    let snapshots = world.objects("snapshots").await;
    let newest = world.damage(snapshots.last().unwrap()).await;
    let (how, restored) = world.restore("all", None, false).await.unwrap();
    assert_eq!(restored.short, None);
    let named = restored.damaged.iter().filter(|it| it.contains(&newest));
    assert_eq!((named.count(), restored.damaged.len()), (1, 1));
    world.holds(how, 9).await;
    let restored = world.restore("moment", Some(moment), false).await;
    world.holds(restored.unwrap().0, 5).await;

    // The log does not lead from the earlier one to the damaged one.
    let pieces = world.objects("log").await;
    world.remove(&pieces[0].key).await;
    let refused = world.restore("gap", None, false).await.unwrap_err();
    let refused = refused.to_string();
    let all_named = snapshots.iter().all(|it| refused.contains(&it.key));
    assert!(all_named, "{refused}");
    let (how, restored) = world.restore("partial", None, true).await.unwrap();
    assert!(restored.short.is_some() && restored.damaged.len() == 1);
    world.holds(how, 0).await;

    // None is left.
    for snapshot in &snapshots[..snapshots.len() - 1] {
        world.damage(snapshot).await;
    }
    let refused = world.restore("none", None, true).await.unwrap_err();
    let refused = refused.to_string();
    let all_named = snapshots.iter().all(|it| refused.contains(&it.key));
    assert!(all_named, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_of_a_cluster_that_was_recovered_from() {
    let mut world = World::new().await;
    world.deliver(2).await;
    world.archive().await;
    let young = world.clock.now();
    world.pass();
    let (how, _) = world.restore("new", None, false).await.unwrap();
    let vote = |cluster: &str| {
        ["record", "log/00000000000000000007-00000000000000aa"]
            .map(|name| format!("vote/{cluster}/{name}"))
    };
    for key in [vote(OLD), vote(NEW)].as_flattened() {
        world.write(key, b"x".to_vec()).await;
    }
    let archive = Archive::new(store(world.bucket.path()), NEW);
    let node = Node::start(how, world.clock.clone(), channels(), Some(archive));
    let node = node.await.unwrap();
    let tidier = node.tidier().unwrap();
    // What somebody may want to go back to stays.
    tidier.prune(young.before(MINUTE)).await.unwrap();
    assert_eq!(world.objects("vote").await.len(), 2);
    assert!(!world.objects("snapshots").await.is_empty());

    tidier.prune(world.clock.now().after(MINUTE)).await.unwrap();
    for folder in ["vote", "snapshots", "log"] {
        assert_eq!(world.objects(folder).await, Vec::new(), "{folder}");
    }
    let left = store(world.bucket.path()).list(&format!("vote/{NEW}"));
    let left: Vec<Listed> = left.try_collect().await.unwrap();
    assert_eq!(left.len(), 2);
    node.shutdown().await.unwrap();
}

/// The files of a node's snapshots.
fn files(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir.join("snapshots")).unwrap();
    let mut files: Vec<PathBuf> = listed.map(|it| it.unwrap().path()).collect();
    files.retain(|it| it.extension().is_some_and(|it| it == "snap"));
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_the_disk_damaged_does_not_go_to_the_archive() {
    let mut world = World::new().await;
    world.archive().await;
    let before = world.objects("snapshots").await;
    world.deliver(3).await;
    let dir = world.dirs.path().join("old");
    let old = files(&dir);
    world.node.snapshot().await.unwrap();
    support::until("another file", async || {
        files(&dir).iter().any(|it| !old.contains(it))
    })
    .await;
    let file = files(&dir).into_iter().max().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refused = world.node.archive().await.unwrap_err().to_string();
    assert!(refused.contains("damaged"), "{refused}");
    assert_eq!(world.objects("snapshots").await, before);

    // The next one is whole.
    world.deliver(1).await;
    world.carry().await;
    assert_eq!(world.objects("snapshots").await.len(), before.len() + 1);
    world.archive().await;
    assert_eq!(world.verify().await, Vec::<String>::new());
    let (how, _) = world.restore("all", None, false).await.unwrap();
    world.holds(how, 4).await;
}
