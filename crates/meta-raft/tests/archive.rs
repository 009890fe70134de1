//! The archive in the object store: the log goes there as it grows, and from it the
//! state of any moment is restored. With `POSTRIDER_TEST_S3` set to the URL of a bucket
//! it lies there, otherwise in a folder.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

#[path = "archive/damage.rs"]
mod damage;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use postrider_blob::{Listed, S3, Store};
use postrider_meta::command::{FoundCluster, RefoundCluster};
use postrider_meta::testing::ManualClock;
use postrider_meta::{Authority, Client, NewNode, ReadAt, query};
use postrider_meta_raft::{Archive, Archiver, Node, Plan, Restored, Settings, Tidier, restore};
use postrider_types::{AccountId, Clock, CommandId, Millis, NodeId, Role, Versions};
use support::{Dice, account, channels, count, message, settings, uid};
use tempfile::TempDir;

const OLD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const NEW: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    bucket: TempDir,
    dirs: TempDir,
    clock: Arc<ManualClock>,
    node: Arc<Node>,
    meta: Client,
    alice: AccountId,
    archiver: Archiver,
    tidier: Tidier,
}

/// A store of its own for the test with the folder `bucket`.
fn store(bucket: &Path) -> Arc<Store> {
    let mut settings = postrider_blob::Settings::default();
    match std::env::var("POSTRIDER_TEST_S3") {
        Err(_) => settings.folder = Some(bucket.to_owned()),
        Ok(url) => {
            let (endpoint, name) = url.rsplit_once('/').unwrap();
            let prefix = bucket.file_name().unwrap().to_string_lossy();
            settings.s3 = Some(S3 {
                bucket: name.to_owned(),
                prefix: prefix.trim_start_matches('.').to_owned(),
                endpoint: Some(endpoint.to_owned()),
                ..S3::default()
            });
        }
    }
    Store::open(&settings).unwrap()
}

fn authority() -> Authority {
    Authority {
        certificate: "-----BEGIN CERTIFICATE-----\n".into(),
        key: "-----BEGIN PRIVATE KEY-----\n".into(),
    }
}

fn new_node(name: &str) -> NewNode {
    NewNode {
        name: name.into(),
        address: format!("{name}.test:7425"),
        roles: vec![Role::Meta],
        version: "1".into(),
        versions: Versions::PROGRAM,
    }
}

fn alone(dir: &Path) -> Settings {
    Settings {
        snapshot_bytes: 64 << 20,
        ..settings(dir)
    }
}

impl World {
    async fn new() -> Self {
        let (bucket, dirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let clock = ManualClock::new();
        let archive = Archive::new(store(bucket.path()), OLD);
        let how = alone(&dirs.path().join("old"));
        let node = Node::start(how, clock.clone(), channels(), Some(archive));
        let node = node.await.unwrap();
        let meta = Client::new(node.clone(), clock.clone(), Arc::new(Dice));
        let found = FoundCluster {
            id: OLD.into(),
            authority: authority(),
            node: new_node("old"),
            node_id: NodeId(1),
        };
        meta.run(found).await.unwrap().0.unwrap();
        let alice = account(&meta).await;
        let archiver = node.archiver().unwrap();
        let tidier = node.tidier().unwrap();
        Self {
            bucket,
            dirs,
            clock,
            node,
            meta,
            alice,
            archiver,
            tidier,
        }
    }

    async fn deliver(&self, count: u32) {
        for _ in 0..count {
            let (accepted, _) = self.meta.run(message(self.alice, 3000)).await.unwrap();
            uid(&accepted.unwrap());
        }
    }

    /// Archives until nothing waits.
    async fn archive(&mut self) {
        for _ in 0..500 {
            self.archiver.step().await.unwrap();
            if self.node.archiving().unwrap().lag.is_zero() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not catch up");
    }

    /// A minute passes; the moment in the middle of it.
    fn pass(&self) -> Millis {
        let before = self.clock.now();
        self.clock.advance(MINUTE);
        before.after(MINUTE / 2)
    }

    async fn restore(
        &self,
        to: &str,
        at: Option<Millis>,
        partial: bool,
    ) -> postrider_meta_raft::Result<(Settings, Restored)> {
        let archive = Archive::new(store(self.bucket.path()), OLD);
        let how = alone(&self.dirs.path().join(to));
        let now = self.clock.now();
        let plan = Plan {
            at,
            partial,
            found: RefoundCluster {
                id: NEW.into(),
                authority: authority(),
                node: new_node("new"),
                store: "cc".repeat(16),
            },
            now,
            id: CommandId::new(now, &Dice),
        };
        let restored = restore(&how, &archive, plan, &|_| {}).await?;
        let how = Settings {
            node_id: restored.node,
            bootstrap: false,
            ..how
        };
        Ok((how, restored))
    }

    /// What a restored node has, which takes mail again.
    async fn holds(&self, how: Settings, messages: u32) {
        let node = Node::start(how, self.clock.clone(), channels(), None);
        let node = node.await.unwrap();
        let meta = Client::new(node.clone(), self.clock.clone(), Arc::new(Dice));
        assert_eq!(count(&meta, self.alice).await, messages);
        let (view, _) = meta.ask(query::Cluster {}, ReadAt::Latest).await.unwrap();
        assert_eq!(view.unwrap().id, NEW);
        let (accepted, _) = meta.run(message(self.alice, 10)).await.unwrap();
        uid(&accepted.unwrap());
        assert_eq!(count(&meta, self.alice).await, messages + 1);
        assert_eq!(
            node.check_consistency().await.unwrap(),
            Vec::<String>::new()
        );
        node.shutdown().await.unwrap();
    }

    async fn objects(&self, folder: &str) -> Vec<Listed> {
        let listed = store(self.bucket.path()).list(&format!("{folder}/{OLD}"));
        let mut objects: Vec<_> = listed.try_collect().await.unwrap();
        objects.sort_by(|a: &Listed, b| a.key.cmp(&b.key));
        objects
    }

    async fn read(&self, object: &Listed) -> Vec<u8> {
        let store = store(self.bucket.path());
        let read = store.get_once(&object.key, 0..object.size).await;
        read.unwrap().to_vec()
    }

    async fn remove(&self, key: &str) {
        store(self.bucket.path()).delete(key).await.unwrap();
    }

    async fn write(&self, key: &str, bytes: Vec<u8>) {
        self.remove(key).await;
        let put = store(self.bucket.path()).put(key, vec![bytes.into()]).await;
        put.unwrap();
    }

    async fn verify(&self) -> Vec<String> {
        let archive = Archive::new(store(self.bucket.path()), OLD);
        let (mut problems, mut after) = (Vec::new(), None);
        loop {
            // Each step ends after one object.
            let step = archive.verify(after.as_deref(), false, Duration::ZERO);
            let step = step.await.unwrap();
            problems.extend(step.problems);
            after = step.next;
            if after.is_none() {
                return problems;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_moment_is_restored_from_the_archive() {
    let mut world = World::new().await;
    world.archive().await;
    let before = world.pass();
    world.deliver(3).await;
    world.archive().await;
    let first = world.pass();
    world.deliver(2).await;
    world.archive().await;
    let second = world.pass();
    // A later snapshot is no reason to forget what was before.
    world.node.snapshot().await.unwrap();
    support::until("a snapshot", async || world.node.archive().await.unwrap()).await;
    world.deliver(4).await;
    world.archive().await;
    assert_eq!(world.verify().await, Vec::<String>::new());

    let (how, all) = world.restore("all", None, false).await.unwrap();
    assert_eq!((all.node, all.short.clone()), (2, None));
    world.holds(how, 9).await;
    let (how, restored) = world.restore("first", Some(first), false).await.unwrap();
    assert!(restored.time < first && restored.entry < all.entry);
    world.holds(how, 3).await;
    let (how, _) = world.restore("second", Some(second), false).await.unwrap();
    world.holds(how, 5).await;
    let (how, _) = world.restore("before", Some(before), false).await.unwrap();
    world.holds(how, 0).await;
    // Older than the first snapshot.
    let refused = world.restore("never", Some(Millis(5)), false).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("does not reach back"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_at_rest_puts_nothing() {
    let mut world = World::new().await;
    world.deliver(1).await;
    world.archive().await;
    let pieces = world.objects("log").await.len();
    for _ in 0..3 {
        let take = postrider_meta::command::TakeLeases {
            holder: NodeId(1),
            names: vec!["background".into()],
            ttl: Duration::from_secs(15),
        };
        world.meta.run(take).await.unwrap().0.unwrap();
        world.archiver.step().await.unwrap();
    }
    assert_eq!(world.objects("log").await.len(), pieces);
    assert!(world.node.archiving().unwrap().lag.is_zero());
    world.deliver(1).await;
    world.archive().await;
    assert_eq!(world.objects("log").await.len(), pieces + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_piece_is_named_and_a_snapshot_closes_a_gap() {
    let mut world = World::new().await;
    world.archive().await;
    for _ in 0..3 {
        world.deliver(2).await;
        world.archive().await;
        world.pass();
    }
    let pieces = world.objects("log").await;
    let victim = &pieces[pieces.len() - 2];
    let name = &victim.key[..];
    let mut damaged = world.read(victim).await;
    *damaged.last_mut().unwrap() ^= 1;
    world.write(name, damaged).await;
    let problems = world.verify().await;
    assert!(
        problems.len() == 1 && problems[0].contains(name),
        "{problems:?}"
    );
    let refused = world.restore("whole", None, false).await.unwrap_err();
    assert!(refused.to_string().contains(name), "{refused}");
    let (how, restored) = world.restore("partial", None, true).await.unwrap();
    assert!(restored.short.unwrap().contains(name));
    world.holds(how, 2).await;

    world.remove(name).await;
    let problems = world.verify().await;
    assert!(
        problems.len() == 1 && problems[0].contains("lacks entries"),
        "{problems:?}"
    );
    assert!(world.restore("gap", None, false).await.is_err());
    // Whoever archives next finds the gap, and a snapshot bridges it.
    world.node.snapshot().await.unwrap();
    support::until("a snapshot", async || world.node.archive().await.unwrap()).await;
    world.archiver = world.node.archiver().unwrap();
    world.deliver(1).await;
    world.archive().await;
    let (how, _) = world.restore("bridged", None, false).await.unwrap();
    world.holds(how, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_removed_and_the_rest_restores() {
    let mut world = World::new().await;
    world.archive().await;
    let mut moments = Vec::new();
    for _ in 0..4 {
        world.deliver(1).await;
        world.archive().await;
        world.node.snapshot().await.unwrap();
        support::until("a snapshot", async || world.node.archive().await.unwrap()).await;
        // Days, so that each has its snapshot.
        world.clock.advance(48 * 60 * MINUTE);
        moments.push(world.clock.now().before(24 * 60 * MINUTE));
    }
    let all = world.objects("snapshots").await.len();
    let removed = world.tidier.prune(moments[1]).await.unwrap();
    assert!(removed > 0);
    assert!(world.objects("snapshots").await.len() < all);
    assert_eq!(world.verify().await, Vec::<String>::new());
    let refused = world.restore("old", Some(moments[0]), false).await;
    assert!(refused.is_err());
    let (how, _) = world
        .restore("kept", Some(moments[1]), false)
        .await
        .unwrap();
    world.holds(how, 2).await;
    let oldest = Archive::oldest(&store(world.bucket.path())).await.unwrap();
    assert!(oldest.unwrap() <= moments[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_pieces_are_put_together_and_every_moment_stays() {
    let mut world = World::new().await;
    world.archive().await;
    let mut moments = Vec::new();
    for _ in 0..80 {
        world.deliver(1).await;
        world.archive().await;
        moments.push(world.pass());
    }
    let before = world.objects("log").await;
    assert!(before.len() >= 80, "{}", before.len());
    let mut kept = Vec::new();
    for object in &before[10..20] {
        kept.push((object.key.clone(), world.read(object).await));
    }
    let fewer = world.tidier.merge().await.unwrap();
    let after = world.objects("log").await;
    assert_eq!((after.len(), fewer), (1, before.len() as u64 - 1));
    assert_eq!(world.verify().await, Vec::<String>::new());
    let (how, _) = world.restore("all", None, false).await.unwrap();
    world.holds(how, 80).await;
    for number in [0, 30, 79] {
        let to = format!("moment{number}");
        let restored = world.restore(&to, Some(moments[number]), false).await;
        let messages = u32::try_from(number + 1).unwrap();
        world.holds(restored.unwrap().0, messages).await;
    }

    // Few more are not worth it, and the archive goes on behind them.
    world.deliver(1).await;
    world.archive().await;
    assert_eq!(world.tidier.merge().await.unwrap(), 0);
    // A node that died before it had removed what it put together; enough others come.
    for (key, bytes) in kept {
        world.write(&key, bytes).await;
    }
    for _ in 0..60 {
        world.deliver(1).await;
        world.archive().await;
    }
    world.tidier = world.node.tidier().unwrap();
    assert!(world.tidier.merge().await.unwrap() > 60);
    assert_eq!(world.objects("log").await.len(), 1);
    assert_eq!(world.verify().await, Vec::<String>::new());
    let (how, _) = world.restore("again", None, false).await.unwrap();
    world.holds(how, 141).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_piece_keeps_no_others_from_being_put_together() {
    let mut world = World::new().await;
    world.archive().await;
    for _ in 0..80 {
        world.deliver(1).await;
        world.archive().await;
    }
    let pieces = world.objects("log").await;
    let victim = &pieces[40];
    let mut damaged = world.read(victim).await;
    *damaged.last_mut().unwrap() ^= 1;
    world.write(&victim.key, damaged).await;
    let fewer = world.tidier.merge().await.unwrap();
    assert_eq!(fewer, pieces.len() as u64 - 3);
    let left = world.objects("log").await;
    assert_eq!((left.len(), &left[1].key), (3, &victim.key));
    let problems = world.verify().await;
    let named = problems.iter().all(|problem| problem.contains(&victim.key));
    assert!(problems.len() == 1 && named, "{problems:?}");
}
