//! The domain's own suite, over a node on disk and over gRPC.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_meta::testing::{self, Backend};
use postrider_meta::{Answer, Changes, Command, Error, Executed, Meta, Query, ReadAt, Token};
use postrider_meta_raft::{Node, Remote, Settings};
use postrider_rpc::tonic::transport::server::TcpIncoming;
use postrider_rpc::{Timeouts, Tls, server};
use postrider_types::{AccountId, Clock, CommandId};
use support::cluster::{Member, Network, free_address};
use support::{channels, settings};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A node, reached directly or through a client.
struct Subject {
    node: Arc<Node>,
    meta: Arc<dyn Meta>,
    server: Mutex<Option<JoinHandle<()>>>,
    _dir: TempDir,
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().take() {
            server.abort();
        }
    }
}

#[async_trait]
impl Meta for Subject {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        self.meta.execute(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
        self.meta.query(query, at).await
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.meta.watch(account)
    }
}

#[async_trait]
impl Backend for Subject {
    async fn check(&self) -> Vec<String> {
        self.node.check_consistency().await.unwrap()
    }
}

async fn subject(clock: Arc<dyn Clock>, remote: bool) -> Arc<Subject> {
    let dir = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let settings = Settings {
        address: address.clone(),
        ..settings(dir.path())
    };
    let node = Node::start(settings, clock, channels(), None)
        .await
        .unwrap();
    let mut subject = Subject {
        meta: node.clone(),
        node,
        server: Mutex::new(None),
        _dir: dir,
    };
    if remote {
        let router = server(Timeouts::default()).add_routes(subject.node.services());
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = router.serve_with_incoming(incoming);
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        *subject.server.lock() = Some(serving);
        subject.meta = Arc::new(Remote::new(channels(), [address], Duration::from_secs(20)));
    }
    Arc::new(subject)
}

/// Three voters, of which the client talks to one; who leads changes now and
/// then.
struct Voters {
    members: Vec<Member>,
    commands: AtomicU32,
}

/// So many commands are executed under one leader.
const REIGN: u32 = 40;

#[async_trait]
impl Meta for Voters {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        let node = &self.members[1].node;
        if self.commands.fetch_add(1, Ordering::Relaxed) % REIGN == REIGN - 1 {
            // If it fails there is an election, which is as good.
            let _ = node.move_leader(None).await;
        }
        node.execute(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
        self.members[1].node.query(query, at).await
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.members[1].node.watch(account)
    }
}

#[async_trait]
impl Backend for Voters {
    async fn check(&self) -> Vec<String> {
        let behind = || {
            let applied = self.members.iter().map(|it| it.node.health().applied);
            applied.collect::<BTreeSet<u64>>().len() > 1
        };
        while behind() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.members[2].node.check_consistency().await.unwrap()
    }
}

async fn voters(clock: Arc<dyn Clock>) -> Arc<Voters> {
    let network = Network::default();
    let mut members: Vec<Member> = Vec::new();
    for id in 1..=3 {
        let address = free_address().await;
        let (home, settings) = Member::home(id, address, &Tls::Off, &network);
        let member = Member::start(home.by(clock.clone()), settings).await;
        if let Some(first) = members.first() {
            member.node.join(&[first.address()]).await.unwrap();
        }
        members.push(member);
    }
    Arc::new(Voters {
        members,
        commands: AtomicU32::new(0),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_voters_pass_the_suite_of_the_domain() {
    testing::suite(async |clock| voters(clock).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_passes_the_suite_of_the_domain() {
    testing::suite(async |clock| subject(clock, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_grpc_passes_the_suite_of_the_domain() {
    testing::suite(async |clock| subject(clock, true).await).await;
}
