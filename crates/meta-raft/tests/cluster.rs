//! Three nodes over real gRPC on loopback: elect, replicate, go on without the
//! leader, catch up by log and by snapshot, answer the same everywhere.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use openraft::{BasicNode, ChangeMembers};
use postrider_meta::Client;
use postrider_meta_raft::{Node, Remote, Settings};
use postrider_rpc::{Authority, Guard, Identity, KeyRequest, Standing, Timeouts, Tls, serve};
use postrider_types::SystemClock;
use support::{account, client, count, message, settings, uid, until};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

struct Member {
    node: Arc<Node>,
    server: Option<Runtime>,
    settings: Settings,
    dir: TempDir,
    tls: Tls,
}

impl Member {
    async fn new(id: u64, tls: Tls) -> Self {
        let dir = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings {
            node_id: id,
            address: listener.local_addr().unwrap().to_string(),
            bootstrap: id == 1,
            ..settings(dir.path())
        };
        Self::run(dir, settings, listener, tls).await
    }

    async fn run(dir: TempDir, settings: Settings, listener: TcpListener, tls: Tls) -> Self {
        let channels = postrider_rpc::Channels::new(tls.clone(), Timeouts::default());
        let node = Node::start(settings.clone(), Arc::new(SystemClock), channels, None)
            .await
            .unwrap();
        let (own, services) = (tls.clone(), node.services());
        let serving = async move {
            let guard = Guard::new(|_| Standing::Voter);
            let never = std::future::pending();
            serve(listener, &own, Timeouts::default(), guard, services, never).await;
        };
        // A runtime of its own: it ends with all connections, as a process does.
        let server = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        server.spawn(serving);
        Self {
            node,
            server: Some(server),
            settings,
            dir,
            tls,
        }
    }

    async fn stop(mut self) -> (TempDir, Settings, Tls) {
        self.node.shutdown().await.unwrap();
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
        (self.dir, self.settings, self.tls)
    }

    async fn again((dir, settings, tls): (TempDir, Settings, Tls)) -> Self {
        let address: SocketAddr = settings.address.parse().unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        Self::run(dir, settings, listener, tls).await
    }
}

/// Three voters; the first one began alone.
async fn three(tls: &Tls) -> Vec<Member> {
    let mut members = Vec::new();
    for id in 1..=3 {
        members.push(Member::new(id, tls.clone()).await);
    }
    until("a leader", async || members[0].node.health().leads).await;
    join(&members).await;
    members
}

async fn join(members: &[Member]) {
    let raft = members[0].node.raft();
    for member in &members[1..] {
        let node = BasicNode::new(&member.settings.address);
        raft.add_learner(member.settings.node_id, node, true)
            .await
            .unwrap();
    }
    let voters = ChangeMembers::AddVoterIds([2, 3].into());
    raft.change_membership(voters, false).await.unwrap();
}

fn remote(members: &[Member]) -> Remote {
    let addresses = members.iter().map(|member| member.settings.address.clone());
    let tls = members[0].tls.clone();
    let channels = postrider_rpc::Channels::new(tls, Timeouts::default());
    Remote::new(channels, addresses, Duration::from_secs(20))
}

async fn same_state(members: &[Member]) {
    until("all have applied the same", async || {
        let applied = members.iter().map(|member| member.node.health().applied);
        let applied: BTreeSet<u64> = applied.collect();
        applied.len() == 1
    })
    .await;
    let mut hashes = Vec::new();
    for member in members {
        hashes.push(member.node.state_hash().await.unwrap().1);
        assert!(member.node.check_consistency().await.unwrap().is_empty());
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]));
}

async fn deliver(meta: &Client, account: postrider_types::AccountId, count: u32, size: usize) {
    for _ in 0..count {
        let (accepted, _) = meta.run(message(account, size)).await.unwrap();
        uid(&accepted.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_without_the_leader_and_takes_it_back() {
    let mut members = three(&Tls::Off).await;
    let meta = client(Arc::new(remote(&members)));
    let alice = account(&meta).await;
    deliver(&meta, alice, 20, 1000).await;
    // A follower answers what anybody was told, forwards commands, and hints.
    let follower = client(members[2].node.clone());
    assert_eq!(count(&follower, alice).await, 20);
    let mut hints = follower.watch(alice);
    deliver(&follower, alice, 1, 100).await;
    assert_eq!(hints.next().await, Some(()));
    assert_eq!(count(&meta, alice).await, 21);
    same_state(&members).await;

    let first = members.remove(0).stop().await;
    deliver(&meta, alice, 20, 1000).await;
    assert_eq!(count(&client(members[0].node.clone()), alice).await, 41);

    members.push(Member::again(first).await);
    deliver(&meta, alice, 1, 1000).await;
    same_state(&members).await;
    let back = client(members[2].node.clone());
    assert_eq!(count(&back, alice).await, 42);
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_is_brought_up_by_a_snapshot_under_mutual_tls() {
    let authority = Authority::new(&"ab".repeat(16)).unwrap();
    let first = Member::new(1, mutual(&authority, 1)).await;
    let meta = client(first.node.clone());
    let alice = account(&meta).await;
    deliver(&meta, alice, 60, 50_000).await;
    until("a snapshot", async || {
        first.node.health().snapshot.is_some()
    })
    .await;
    first.node.snapshot().await.unwrap();
    deliver(&meta, alice, 1, 10).await;
    let mut members = vec![first];
    for id in 2..=3 {
        members.push(Member::new(id, mutual(&authority, id)).await);
    }
    join(&members).await;
    same_state(&members).await;
    assert_eq!(count(&client(members[1].node.clone()), alice).await, 61);
    assert!(members[1].node.health().snapshot.is_some());

    // Who has no certificate of this cluster gets no answer.
    let stranger = postrider_rpc::Channels::new(Tls::Off, Timeouts::default());
    let address = members[0].settings.address.clone();
    let stranger = Remote::new(stranger, [address], Duration::from_millis(500));
    let refused = client(Arc::new(stranger)).run(message(alice, 1)).await;
    assert!(refused.is_err());
    for member in members {
        member.stop().await;
    }
}

/// The certificate of a node.
fn mutual(authority: &Authority, node: u64) -> Tls {
    let request = KeyRequest::new().unwrap();
    let certificate = authority.issue(&request.signing_request, node, &[]);
    let identity = Identity {
        ca: authority.certificate().to_owned(),
        certificate: certificate.unwrap(),
        key: request.key,
    };
    Tls::mutual(&identity).unwrap()
}
