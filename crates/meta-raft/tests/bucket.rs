//! Two nodes and a vote in the bucket: either may die, nothing acknowledged is lost,
//! and what the bucket alone has comes back.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postrider_meta::Client;
use postrider_meta::command::TakeLeases;
use postrider_meta_raft::{Archive, BUCKET, Settings};
use postrider_rpc::Tls;
use postrider_types::{AccountId, NodeId};
use support::bucket::Bucket;
use support::cluster::{Home, Member, Network, leader, same_state};
use support::{account, client, count, message, uid, until};
use tokio::task::JoinHandle;

/// A bucket in memory.
fn bucket() -> Archive {
    Bucket::default().archive()
}

async fn member(id: u64, network: &Network, archive: &Archive) -> Member {
    Member::new(id, &Tls::Off, network, Some(archive.clone())).await
}

fn bucket_votes(members: &[Member]) -> bool {
    members
        .iter()
        .all(|it| it.node.health().voters.contains(&BUCKET))
}

/// Two nodes, and the bucket with the third vote.
async fn two(network: &Network, archive: &Archive) -> Vec<Member> {
    let first = member(1, network, archive).await;
    let second = member(2, network, archive).await;
    second.node.join(&[first.address()]).await.unwrap();
    let members = vec![first, second];
    until("the bucket votes", async || bucket_votes(&members)).await;
    members
}

async fn deliver(meta: &Client, account: AccountId, times: usize) -> Vec<u32> {
    let mut uids = Vec::new();
    for _ in 0..times {
        let (accepted, _) = meta.run(message(account, 2000)).await.unwrap();
        uids.push(uid(&accepted.unwrap()));
    }
    uids
}

/// Delivers without end until told to stop. Its UIDs, and its longest wait.
fn keep_delivering(
    meta: Client,
    account: AccountId,
    stop: Arc<AtomicBool>,
) -> JoinHandle<(Vec<u32>, Duration)> {
    tokio::spawn(async move {
        let (mut uids, mut longest) = (Vec::new(), Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            uids.extend(deliver(&meta, account, 1).await);
            longest = longest.max(began.elapsed());
        }
        (uids, longest)
    })
}

async fn all_there(meta: &Client, account: AccountId, acknowledged: &[u32]) {
    let distinct: BTreeSet<u32> = acknowledged.iter().copied().collect();
    assert_eq!(acknowledged.len(), distinct.len(), "a UID was given twice");
    assert_eq!(count(meta, account).await as usize, acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_of_two_nodes_may_die() {
    let (network, archive) = (Network::default(), bucket());
    let mut members = two(&network, &archive).await;
    let alice = account(&client(members[0].node.clone())).await;
    let mut acknowledged = Vec::new();
    for kill_leader in [true, false, true] {
        let leading = leader(&members).await;
        let victim = if kill_leader { leading } else { 1 - leading };
        let victim = members.remove(victim);
        let stop = Arc::new(AtomicBool::new(false));
        let meta = client(members[0].node.clone());
        let task = keep_delivering(meta.clone(), alice, stop.clone());
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let (home, settings) = victim.kill();
        until("the other leads", async || members[0].leads()).await;
        let led = began.elapsed();
        acknowledged.extend(deliver(&meta, alice, 20).await);
        count(&meta, alice).await;
        stop.store(true, Ordering::Relaxed);
        let (uids, longest) = task.await.unwrap();
        println!("led after {led:?}, longest wait {longest:?}");
        acknowledged.extend(uids);
        all_there(&meta, alice, &acknowledged).await;
        members.push(Member::start(home, settings).await);
    }
    same_state(&members).await;
    for member in &members {
        all_there(&client(member.node.clone()), alice, &acknowledged).await;
    }
}

/// Node 1 and the bucket take mail while node 2 is dead; then node 1 dies, and node 2
/// comes back alone.
async fn the_survivor_knows_less(messages: usize, snapshot: bool) {
    let (network, archive) = (Network::default(), bucket());
    let mut members = two(&network, &archive).await;
    let leading = leader(&members).await;
    let survivor = members.remove(1 - leading);
    let witness = members.remove(0);
    let meta = client(witness.node.clone());
    let alice = account(&meta).await;
    let mut acknowledged = deliver(&meta, alice, 3).await;
    let (home, settings): (Home, Settings) = survivor.kill();
    acknowledged.extend(deliver(&meta, alice, messages).await);
    if snapshot {
        witness.node.snapshot().await.unwrap();
        until("a snapshot", async || {
            witness
                .node
                .health()
                .snapshot
                .is_some_and(|at| at > messages as u64 / 2)
        })
        .await;
        assert!(witness.node.archive().await.unwrap());
        // The bucket's log begins after it once it is long.
        acknowledged.extend(deliver(&meta, alice, 10).await);
    }
    let (dead, _) = witness.kill();
    let survivor = Member::start(home, settings).await;
    until("it leads", async || survivor.leads()).await;
    let meta = client(survivor.node.clone());
    all_there(&meta, alice, &acknowledged).await;
    acknowledged.extend(deliver(&meta, alice, 5).await);
    all_there(&meta, alice, &acknowledged).await;
    drop(dead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_bucket_has_comes_back() {
    the_survivor_knows_less(40, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_bucket_has_comes_back_from_objects_and_a_snapshot() {
    the_survivor_knows_less(400, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_cannot_see_each_other_one_leads() {
    let (network, archive) = (Network::default(), bucket());
    let members = two(&network, &archive).await;
    let leading = leader(&members).await;
    let alice = account(&client(members[leading].node.clone())).await;
    let meta = client(members[leading].node.clone());
    let term = members[leading].node.health().term;
    network.cut(&members[1 - leading]);
    let mut acknowledged = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        acknowledged.extend(deliver(&meta, alice, 1).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!members[1 - leading].leads());
    // Idle, too, it shows the other that it is there.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(members[leading].leads());
    assert_eq!(members[leading].node.health().term, term);
    network.heal();
    same_state(&members).await;
    for member in &members {
        all_there(&client(member.node.clone()), alice, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_comes_and_goes_with_the_third_node() {
    let (network, archive) = (Network::default(), bucket());
    let mut members = two(&network, &archive).await;
    let meta = client(members[0].node.clone());
    let alice = account(&meta).await;
    let stop = Arc::new(AtomicBool::new(false));
    let task = keep_delivering(meta.clone(), alice, stop.clone());
    let third = member(3, &network, &archive).await;
    third.node.join(&[members[0].address()]).await.unwrap();
    members.push(third);
    until("three nodes vote alone", async || {
        members
            .iter()
            .all(|it| it.node.health().voters == [1, 2, 3])
    })
    .await;
    members[0].node.expel(3).await.unwrap();
    let gone = members.pop().unwrap();
    until("the bucket votes again", async || bucket_votes(&members)).await;
    gone.kill();
    members[0].node.expel(2).await.unwrap();
    members.pop().unwrap().kill();
    until("one is left", async || {
        members[0].node.health().voters == [1]
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let (acknowledged, longest) = task.await.unwrap();
    println!(
        "{} deliveries, longest wait {longest:?}",
        acknowledged.len()
    );
    all_there(&meta, alice, &acknowledged).await;
    same_state(&members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_disk_takes_the_place_of_a_dead_node() {
    let (network, archive) = (Network::default(), bucket());
    let mut members = two(&network, &archive).await;
    let leading = leader(&members).await;
    let meta = client(members[leading].node.clone());
    let alice = account(&meta).await;
    let dead = members.remove(1 - leading);
    let address = dead.address();
    dead.kill();
    let acknowledged = deliver(&meta, alice, 30).await;
    let seed = members[0].address();
    let new = Member::at(3, address, &Tls::Off, &network, Some(archive.clone())).await;
    let mut joined = new.node.join(std::slice::from_ref(&seed)).await;
    while joined.is_err() {
        joined = new.node.join(std::slice::from_ref(&seed)).await;
    }
    members.push(new);
    same_state(&members).await;
    let before = members.remove(0);
    before.kill();
    until("the new one leads", async || members[0].leads()).await;
    all_there(&client(members[0].node.clone()), alice, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_has_lost_its_conditional_puts_has_no_vote_from_the_next_start_on() {
    let (network, bucket) = (Network::default(), Bucket::default());
    let members = two(&network, &bucket.archive()).await;
    let alice = account(&client(members[0].node.clone())).await;
    let mut acknowledged = deliver(&client(members[0].node.clone()), alice, 5).await;
    let mut homes: Vec<(Home, Settings)> = members.into_iter().map(Member::kill).collect();
    // As after a move to another store, with all objects and the same settings.
    bucket.overlook_conditions();
    let told = |member: &Member| {
        let problem = member.node.health().bucket.and_then(|it| it.problem);
        problem.is_some_and(|problem| problem.contains("no conditional PUT"))
    };
    let (home, settings) = homes.remove(0);
    let first = Member::start(home, settings).await;
    until("it has tried the store, or leads", async || {
        told(&first) || first.leads()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        !first.leads(),
        "it leads by a vote that two can have at once"
    );
    let (home, settings) = homes.remove(0);
    let members = vec![first, Member::start(home, settings).await];
    until("the two vote alone", async || {
        members.iter().all(|it| it.node.health().voters == [1, 2])
    })
    .await;
    assert!(told(&members[leader(&members).await]));
    let meta = client(members[1].node.clone());
    acknowledged.extend(deliver(&meta, alice, 5).await);
    all_there(&meta, alice, &acknowledged).await;
    same_state(&members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_live_write_to_the_bucket_once_a_second_and_not_at_all_when_idle() {
    let (network, bucket) = (Network::default(), Bucket::default());
    let members = two(&network, &bucket.archive()).await;
    let meta = client(members[0].node.clone());
    let alice = account(&meta).await;
    let loaded = Duration::from_secs(20);
    let (before, began) = (bucket.votes().0, Instant::now());
    let stop = Arc::new(AtomicBool::new(false));
    let task = keep_delivering(meta.clone(), alice, stop.clone());
    tokio::time::sleep(loaded).await;
    let written = bucket.votes().0 - before;
    let seconds = began.elapsed().as_secs();
    stop.store(true, Ordering::Relaxed);
    let (uids, _) = task.await.unwrap();
    println!("{} deliveries in {seconds} s: {written} writes", uids.len());
    // Long entries go into an object of their own before: two writes at once.
    assert!(
        (1..=seconds + 2).contains(&written),
        "{written} in {seconds} s"
    );

    // What came last lies there a second later. Leases that are renewed change nothing.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (before, looks) = bucket.votes();
    let idle = Instant::now();
    while idle.elapsed() < Duration::from_secs(20) {
        let renew = TakeLeases {
            holder: NodeId(1),
            names: vec!["background".into()],
            ttl: Duration::from_secs(15),
        };
        meta.run(renew).await.unwrap().0.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (after, looked) = bucket.votes();
    println!(
        "idle for 20 s: {} writes, {} reads",
        after - before,
        looked - looks
    );
    assert_eq!(after, before);
}
