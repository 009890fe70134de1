//! What clients see when nodes die, are cut off or are shut down: a pause, no
//! error, and nothing that was acknowledged lost or done twice.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use postrider_meta::Client;
use postrider_meta_raft::Settings;
use postrider_rpc::Tls;
use postrider_types::AccountId;
use support::cluster::{Member, Network, free_address, leader, same_state, three};
use support::{account, client, count, message, uid, until};
use tokio::task::JoinHandle;

/// Delivers without end until told to stop. Its UIDs, and its longest wait.
fn deliver(
    meta: Client,
    account: AccountId,
    stop: Arc<AtomicBool>,
) -> JoinHandle<(Vec<u32>, Duration)> {
    tokio::spawn(async move {
        let (mut uids, mut longest) = (Vec::new(), Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let (accepted, _) = meta.run(message(account, 2000)).await.unwrap();
            uids.push(uid(&accepted.unwrap()));
            longest = longest.max(began.elapsed());
        }
        (uids, longest)
    })
}

/// Every acknowledged message is there, once; no more are than were sent.
async fn all_there(meta: &Client, account: AccountId, acknowledged: &[Vec<u32>]) {
    let all: Vec<u32> = acknowledged.iter().flatten().copied().collect();
    let distinct: BTreeSet<u32> = all.iter().copied().collect();
    assert_eq!(all.len(), distinct.len(), "a UID was given twice");
    assert_eq!(count(meta, account).await as usize, all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_the_others_see_a_pause_when_the_leader_is_killed() {
    let mut members = three(&Tls::Off, &Network::default()).await;
    let alice = account(&client(members[0].node.clone())).await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let leading = leader(&members).await;
        let victim = members.remove(leading);
        let stop = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = members
            .iter()
            .flat_map(|member| std::iter::repeat_n(client(member.node.clone()), 2))
            .map(|meta| deliver(meta, alice, stop.clone()))
            .collect();
        let before = victim.node.health().applied;
        until("some deliveries", async || {
            victim.node.health().applied > before + 10
        })
        .await;
        let began = Instant::now();
        let (home, settings) = victim.kill();
        leader(&members).await;
        let elected = began.elapsed();
        // Reads wait as well, and see all.
        for member in &members {
            count(&client(member.node.clone()), alice).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut longest = Duration::ZERO;
        for task in tasks {
            let (uids, waited) = task.await.unwrap();
            acknowledged.push(uids);
            longest = longest.max(waited);
        }
        println!("round {round}: elected after {elected:?}, longest wait {longest:?}");
        all_there(&client(members[0].node.clone()), alice, &acknowledged).await;
        members.push(Member::start(home, settings).await);
    }
    same_state(&members).await;
    for member in &members {
        all_there(&client(member.node.clone()), alice, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_follower_is_not_missed_and_catches_up() {
    let mut members = three(&Tls::Off, &Network::default()).await;
    let leading = leader(&members).await;
    let alice = account(&client(members[leading].node.clone())).await;
    let victim = members.remove((leading + 1) % 3);
    let stop = Arc::new(AtomicBool::new(false));
    let meta = client(members[0].node.clone());
    let task = deliver(meta.clone(), alice, stop.clone());
    let (home, settings) = victim.kill();
    let before = members[0].node.health().applied;
    until("some deliveries", async || {
        members[0].node.health().applied > before + 20
    })
    .await;
    members.push(Member::start(home, settings).await);
    stop.store(true, Ordering::Relaxed);
    let acknowledged = [task.await.unwrap().0];
    same_state(&members).await;
    for member in &members {
        all_there(&client(member.node.clone()), alice, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_steps_down_and_nothing_is_lost() {
    let network = Network::default();
    let members = three(&Tls::Off, &network).await;
    let leading = leader(&members).await;
    let alice = account(&client(members[leading].node.clone())).await;
    let old = &members[leading];
    let others: Vec<&Member> = members.iter().filter(|member| !member.leads()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks: Vec<_> = others
        .iter()
        .map(|member| deliver(client(member.node.clone()), alice, stop.clone()))
        .collect();
    network.cut(old);
    until("another leader", async || {
        others.iter().any(|member| member.leads())
    })
    .await;
    // Asked meanwhile, the old leader gives no old answer: it waits.
    let read = tokio::spawn({
        let meta = client(old.node.clone());
        async move { count(&meta, alice).await }
    });
    tasks.push(deliver(client(old.node.clone()), alice, stop.clone()));
    let seen = count(&client(others[0].node.clone()), alice).await;
    let newer = others[0].node.health().applied;
    until("writes at the others", async || {
        others[0].node.health().applied > newer + 10
    })
    .await;
    assert!(!read.is_finished());
    network.heal();
    assert!(read.await.unwrap() >= seen);
    until("the old one follows", async || !old.leads()).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.push(task.await.unwrap().0);
    }
    same_state(&members).await;
    all_there(&client(old.node.clone()), alice, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_of_the_leader_costs_little() {
    let mut members = three(&Tls::Off, &Network::default()).await;
    let leading = leader(&members).await;
    let alice = account(&client(members[leading].node.clone())).await;
    let old = members.remove(leading);
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = members
        .iter()
        .map(|member| deliver(client(member.node.clone()), alice, stop.clone()))
        .collect();
    let before = old.node.health().applied;
    until("some deliveries", async || {
        old.node.health().applied > before + 10
    })
    .await;
    let (home, settings) = old.stop().await;
    count(&client(members[0].node.clone()), alice).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for task in tasks {
        let (uids, longest) = task.await.unwrap();
        println!("longest wait {longest:?}");
        assert!(longest < Duration::from_millis(900), "{longest:?}");
        acknowledged.push(uids);
    }
    members.push(Member::start(home, settings).await);
    same_state(&members).await;
    all_there(&client(members[2].node.clone()), alice, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_shows_on_followers_at_once() {
    let members = three(&Tls::Off, &Network::default()).await;
    let leading = leader(&members).await;
    let meta = client(members[leading].node.clone());
    let alice = account(&meta).await;
    same_state(&members).await;
    let mut waits = Vec::new();
    for _ in 0..40 {
        let mut hints: Vec<_> = members
            .iter()
            .map(|member| client(member.node.clone()).watch(alice))
            .collect();
        let accepted = meta.run(message(alice, 100)).await.unwrap();
        accepted.0.unwrap();
        let began = Instant::now();
        for hint in &mut hints {
            assert_eq!(hint.next().await, Some(()));
        }
        waits.push(began.elapsed());
    }
    waits.sort();
    println!("median {:?}, worst {:?}", waits[20], waits[39]);
    // Far below the heartbeat's interval: nothing waits for one.
    assert!(waits[20] < Duration::from_millis(30), "{waits:?}");
    assert!(waits[35] < Duration::from_millis(100), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_leases_too_reads_see_what_was_told() {
    let (tls, network) = (Tls::Off, Network::default());
    let mut members: Vec<Member> = Vec::new();
    for id in 1..=3 {
        let address = free_address().await;
        let (home, settings) = Member::home(id, address, &tls, &network);
        let settings = Settings {
            lease_reads: true,
            ..settings
        };
        members.push(Member::start(home, settings).await);
        if id > 1 {
            let first = members[0].address();
            members.last().unwrap().node.join(&[first]).await.unwrap();
        }
    }
    let alice = account(&client(members[0].node.clone())).await;
    let mut expected = 0;
    for round in 0..6 {
        let leading = leader(&members).await;
        match round {
            2 => {
                let asked = &members[(leading + 1) % 3].node;
                asked.move_leader(None).await.unwrap();
            }
            4 => {
                let (home, settings) = members.remove(leading).kill();
                let lease = settings.election_timeout * 2 / 3;
                let began = Instant::now();
                members.push(Member::start(home, settings).await);
                // The leader before may still count on it.
                assert!(began.elapsed() >= lease);
            }
            _ => {}
        }
        for writer in 0..3 {
            let meta = client(members[writer].node.clone());
            meta.run(message(alice, 100)).await.unwrap().0.unwrap();
            expected += 1;
            for reader in &members {
                assert_eq!(count(&client(reader.node.clone()), alice).await, expected);
            }
        }
    }
    same_state(&members).await;
}
