//! The domain's own suite through a client over gRPC, on three voters.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postrider_meta::testing::{self, Backend};
use postrider_meta::{Answer, Changes, Command, Error, Executed, Meta, Query, ReadAt, Token};
use postrider_meta_raft::{Node, Remote, Settings};
use postrider_rpc::tonic::transport::server::TcpIncoming;
use postrider_rpc::{Timeouts, server};
use postrider_types::{AccountId, Clock, CommandId};
use support::{channels, settings};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Three voters, reached through a client.
struct Subject {
    remote: Remote,
    nodes: Vec<Arc<Node>>,
    servers: Vec<JoinHandle<()>>,
    _dirs: Vec<TempDir>,
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Meta for Subject {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        self.remote.execute(id, command).await
    }

    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
        self.remote.query(query, at).await
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.remote.watch(account)
    }
}

#[async_trait]
impl Backend for Subject {
    async fn check(&self) -> Vec<String> {
        let leader = self.nodes.iter().find(|node| node.health().leads);
        leader.unwrap().check_consistency().await.unwrap()
    }
}

async fn subject(clock: Arc<dyn Clock>) -> Arc<Subject> {
    let (mut nodes, mut servers, mut dirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut addresses = Vec::new();
    for node_id in 1..=3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let dir = TempDir::new().unwrap();
        let settings = Settings {
            node_id,
            address: address.clone(),
            bootstrap: node_id == 1,
            ..settings(dir.path())
        };
        let node = Node::start(settings, Arc::clone(&clock), channels(), None);
        let node = node.await.unwrap();
        let router = server(Timeouts::default()).add_routes(node.services());
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = router.serve_with_incoming(incoming);
        servers.push(tokio::spawn(async move { serving.await.unwrap() }));
        if node_id > 1 {
            node.join(&addresses).await.unwrap();
        }
        nodes.push(node);
        dirs.push(dir);
        addresses.push(address);
    }
    // One seed is enough.
    let seed = addresses.pop();
    Arc::new(Subject {
        remote: Remote::new(channels(), seed, Duration::from_secs(20)),
        nodes,
        servers,
        _dirs: dirs,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_three_voters_passes_the_suite_of_the_domain() {
    testing::suite(async |clock| subject(clock).await).await;
}
