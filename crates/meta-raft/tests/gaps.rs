//! The archived log has no gap when the node that archives dies, whether the bucket was
//! there meanwhile or not: every node keeps its log until the archive has it. Only a log
//! that would grow without bound is cut before.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use postrider_meta::command::TakeLeases;
use postrider_meta::{Client, Meta};
use postrider_meta_raft::{Archive, Archiver, Node, Settings};
use postrider_rpc::Tls;
use postrider_types::NodeId;
use support::bucket::Bucket;
use support::cluster::{Member, Network, free_address, same_state};
use support::{account, client, message, until};

/// More than what makes a snapshot due.
const MESSAGES: u64 = 40;

/// Three voters; the first of them archives.
async fn three(archive: &Archive) -> (Vec<Member>, Archiver) {
    let network = Network::default();
    let mut members = Vec::<Member>::new();
    for id in 1..=3 {
        let member = Member::new(id, &Tls::Off, &network, Some(archive.clone())).await;
        if let Some(first) = members.first() {
            member.node.join(&[first.address()]).await.unwrap();
        }
        members.push(member);
    }
    let mut archiver = members[0].node.archiver().unwrap();
    archive_up_to(&members[0].node, &mut archiver, 1).await;
    (members, archiver)
}

/// Archives until the entry at `index` is there. What a new leader begins with may wait
/// for other entries.
async fn archive_up_to(node: &Node, archiver: &mut Archiver, index: u64) {
    until("the archive goes on", async || {
        archiver.step().await.unwrap();
        node.archiving().unwrap().entry >= index
    })
    .await;
}

/// Takes in so much that each of `members` writes a snapshot and would like to cut its
/// log. The last entry of it.
async fn fill_logs(members: &[Member]) -> u64 {
    let meta = client(members[0].node.clone());
    let alice = account(&meta).await;
    let before = members[0].node.health().applied;
    for _ in 0..MESSAGES {
        meta.run(message(alice, 50_000)).await.unwrap().0.unwrap();
    }
    until("snapshots", async || {
        let newest = members.iter().map(|it| it.node.health().snapshot);
        newest.min().flatten() > Some(before)
    })
    .await;
    before + MESSAGES
}

/// What is not as it should be in the archive.
async fn problems(archive: &Archive) -> Vec<String> {
    let found = archive.verify(None, false, Duration::from_secs(60));
    found.await.unwrap().problems
}

/// The last entry that this node's log has no more.
fn cut(node: &Node) -> u64 {
    let metrics = node.raft().metrics();
    let metrics = metrics.borrow_watched();
    metrics.purged.map_or(0, |id| id.index)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_did_not_archive_another_one_does() {
    let archive = Bucket::default().archive();
    let (mut members, _archiver) = three(&archive).await;
    let victim = members.remove(0);
    let last = fill_logs(&members).await;
    victim.kill();
    let node = members[0].node.clone();
    let mut archiver = node.archiver().unwrap();
    archive_up_to(&node, &mut archiver, last).await;
    assert_eq!(problems(&archive).await, [""; 0]);
    same_state(&members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_is_anything_lost_to_it_while_the_bucket_is_away() {
    let bucket = Bucket::default();
    let archive = bucket.archive();
    let (mut members, _archiver) = three(&archive).await;
    let victim = members.remove(0);
    bucket.set_away(true);
    let last = fill_logs(&members).await;
    victim.kill();
    // Nor does the next one lose it, which has not even found its place yet.
    let node = members[0].node.clone();
    let mut archiver = node.archiver().unwrap();
    assert!(archiver.step().await.is_err());
    node.snapshot().await.unwrap();
    until("a later snapshot", async || {
        node.health().snapshot >= Some(last)
    })
    .await;
    bucket.set_away(false);
    archive_up_to(&node, &mut archiver, last).await;
    assert_eq!(problems(&archive).await, [""; 0]);
    // Then it goes.
    until("the log is cut", async || cut(&node) > last - MESSAGES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_filled_by_whoever_has_what_is_missing() {
    let bucket = Bucket::default();
    let archive = bucket.archive();
    let (members, archiver) = three(&archive).await;
    drop(archiver);
    bucket.set_away(true);
    fill_logs(&members).await;
    bucket.set_away(false);
    // As of a node that has loaded a snapshot instead of the log and goes on behind it.
    assert!(members[1].node.archive().await.unwrap());
    assert_eq!(problems(&archive).await.len(), 1);
    until("nothing is missing", async || {
        problems(&archive).await.is_empty()
    })
    .await;
}

/// Renews a lease so often, which makes the log longer and not the state.
async fn renew(meta: &Client, times: usize) {
    for _ in 0..times {
        let take = TakeLeases {
            holder: NodeId(1),
            names: vec!["background".into()],
            ttl: Duration::from_secs(15),
        };
        meta.run(take).await.unwrap().0.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_stays_away_does_not_make_the_log_grow_for_ever() {
    let bucket = Bucket::default();
    let archive = bucket.archive();
    let (home, settings) = Member::home(1, free_address().await, &Tls::Off, &Network::default());
    let settings = Settings {
        keep_bytes: 1 << 20,
        ..settings
    };
    let member = Member::start(home.with(archive.clone()), settings).await;
    let node = member.node.clone();
    let meta = client(Arc::clone(&node) as Arc<dyn Meta>);
    account(&meta).await;
    let mut archiver = node.archiver().unwrap();
    archive_up_to(&node, &mut archiver, node.health().applied).await;
    let archived = node.archiving().unwrap().entry;
    bucket.set_away(true);
    // Each counts as 4 KiB and a little more.
    renew(&meta, 300).await;
    until("a snapshot", async || {
        node.health().snapshot > Some(archived + 100)
    })
    .await;
    assert!(cut(&node) <= archived);
    renew(&meta, 700).await;
    until("the log is cut", async || cut(&node) > archived).await;
    bucket.set_away(false);
    let newest = node.health().snapshot.unwrap();
    archive_up_to(&node, &mut archiver, newest).await;
    let found = problems(&archive).await;
    assert!(
        found.len() == 1 && found[0].contains("lacks entries"),
        "{found:?}"
    );
}
