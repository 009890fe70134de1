//! Frontends: a client over gRPC in front of three voters, which die, hang and
//! come back, while nobody sees an error.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use postrider_meta::{Client, Meta};
use postrider_meta_raft::Remote;
use postrider_rpc::Tls;
use postrider_types::AccountId;
use support::cluster::{Member, Network, leader, same_state, three};
use support::{account, client, count, message, uid};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The most that a call may take, all tries together.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A frontend's id on the network of the test.
const FRONTEND: u64 = 100;

fn remote(network: &Network, seeds: impl IntoIterator<Item = String>) -> Remote {
    Remote::new(network.channels(&Tls::Off, FRONTEND), seeds, TIMEOUT)
}

fn addresses(members: &[Member]) -> Vec<String> {
    members.iter().map(Member::address).collect()
}

/// Accepts connections and says nothing.
async fn mute() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (address, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_that_are_dead_or_mute_cost_little() {
    let network = Network::default();
    let members = three(&Tls::Off, &network).await;
    let (mute, task) = mute().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = gone.local_addr().unwrap().to_string();
    drop(gone);
    let began = Instant::now();
    let remote = remote(&network, [mute, dead, members[1].address()]);
    let meta = client(Arc::new(remote.clone()));
    let alice = account(&meta).await;
    assert_eq!(count(&meta, alice).await, 0);
    println!("first calls {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(4));
    task.abort();
    let known = remote.members().await.unwrap();
    assert_eq!(known.members.len(), 3);
    // Leadership moves and members go from outside as well.
    let (old, next) = (known.leader.unwrap(), known.leader.unwrap() % 3 + 1);
    assert_eq!(remote.move_leader(Some(next)).await.unwrap(), next);
    remote.expel(old).await.unwrap();
    assert_eq!(remote.members().await.unwrap().members.len(), 2);
    meta.run(message(alice, 100)).await.unwrap().0.unwrap();
}

/// Commands and queries until it is told to stop: the UIDs given out, and the
/// longest call.
fn load(
    meta: &Client,
    alice: AccountId,
    reads: bool,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<(Vec<u32>, Duration)> {
    let (meta, stop) = (meta.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let (mut uids, mut longest) = (Vec::new(), Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            if reads {
                count(&meta, alice).await;
            } else {
                let (accepted, _) = meta.run(message(alice, 2000)).await.unwrap();
                uids.push(uid(&accepted.unwrap()));
            }
            longest = longest.max(began.elapsed());
        }
        (uids, longest)
    })
}

/// Each voter dies once under load, the leader among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_any_voter_is_a_pause() {
    let network = Network::default();
    let mut members = three(&Tls::Off, &network).await;
    let meta = client(Arc::new(remote(&network, addresses(&members))));
    let alice = account(&meta).await;
    let stop = Arc::new(AtomicBool::new(false));
    let kinds = [false, false, true, true];
    let tasks = kinds.map(|reads| load(&meta, alice, reads, &stop));
    for _ in 0..3 {
        let (home, settings) = members.remove(0).kill();
        meta.run(message(alice, 100)).await.unwrap().0.unwrap();
        count(&meta, alice).await;
        members.push(Member::start(home, settings).await);
        // So that the next death leaves a majority that knows everything.
        let back = client(members[2].node.clone());
        count(&back, alice).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut all, mut told) = (BTreeSet::new(), 0);
    for task in tasks {
        let (uids, longest) = task.await.unwrap();
        println!("{} commands, longest call {longest:?}", uids.len());
        told += uids.len();
        all.extend(uids);
    }
    assert_eq!(all.len(), told, "each message exactly once");
    assert_eq!(count(&meta, alice).await as usize, told + 3);
    same_state(&members).await;
}

/// A voter of which nothing is heard any more while its connections stand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_hangs_costs_little() {
    let network = Network::default();
    let members = three(&Tls::Off, &network).await;
    let meta = client(Arc::new(remote(&network, addresses(&members))));
    let alice = account(&meta).await;
    // All voters are known and used.
    for _ in 0..6 {
        count(&meta, alice).await;
    }
    let leading = leader(&members).await;
    network.cut(&members[(leading + 1) % 3]);
    let (mut longest, mut slow) = (Duration::ZERO, 0);
    for _ in 0..60 {
        let began = Instant::now();
        assert_eq!(count(&meta, alice).await, 0);
        longest = longest.max(began.elapsed());
        slow += u32::from(began.elapsed() > Duration::from_millis(300));
    }
    println!("a follower hangs: longest query {longest:?}, {slow} slow ones");
    // A third of them, were it asked in its turn.
    assert!(longest < Duration::from_secs(2) && slow <= 8);
    network.heal();

    let leading = leader(&members).await;
    network.cut(&members[leading]);
    let began = Instant::now();
    meta.run(message(alice, 100)).await.unwrap().0.unwrap();
    println!("the leader hangs: a command took {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10));
    network.heal();
    assert_eq!(count(&meta, alice).await, 1);
}

/// Ten thousand watched accounts over one stream, which moves when its voter
/// dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_for_many_accounts_come_soon_and_survive_a_voter() {
    const ACCOUNTS: u64 = 10_000;
    let network = Network::default();
    let mut members = three(&Tls::Off, &network).await;
    let remote = remote(&network, addresses(&members));
    let meta = client(Arc::new(remote.clone()));
    let alice = account(&meta).await;
    let began = Instant::now();
    let mut others: Vec<_> = (1..=ACCOUNTS)
        .map(|id| remote.watch(AccountId(1_000_000 + id)))
        .collect();
    let mut hints = remote.watch(alice);
    // The first hint says that the voter watches the account.
    for other in &mut others {
        assert_eq!(other.next().await, Some(()));
    }
    assert_eq!(hints.next().await, Some(()));
    println!("{ACCOUNTS} accounts watched after {:?}", began.elapsed());
    let mut times = Vec::new();
    for _ in 0..20 {
        meta.run(message(alice, 100)).await.unwrap().0.unwrap();
        let began = Instant::now();
        assert_eq!(hints.next().await, Some(()));
        times.push(began.elapsed());
    }
    times.sort();
    println!(
        "hint after the answer: median {:?}, worst {:?}",
        times[10], times[19]
    );
    assert!(times[10] < Duration::from_millis(100), "{times:?}");
    // Every voter dies once, the one that serves the stream among them.
    for _ in 0..3 {
        let (home, settings) = members.remove(0).kill();
        meta.run(message(alice, 100)).await.unwrap().0.unwrap();
        let hinted = tokio::time::timeout(Duration::from_secs(10), hints.next());
        assert_eq!(hinted.await.unwrap(), Some(()));
        members.push(Member::start(home, settings).await);
        count(&client(members[2].node.clone()), alice).await;
    }
}
