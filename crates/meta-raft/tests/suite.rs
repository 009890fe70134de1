//! The domain's own suite, over a node on disk and over gRPC.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_meta::testing::{self, Backend};
use postrider_meta::{Answer, Changes, Command, Error, Executed, Meta, Query, ReadAt, Token};
use postrider_meta_raft::{Node, Remote};
use postrider_rpc::tonic::transport::server::TcpIncoming;
use postrider_rpc::{Timeouts, Tls, server};
use postrider_types::{AccountId, Clock, CommandId};
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
    let node = Node::start(settings(dir.path()), clock, channels(), None)
        .await
        .unwrap();
    let mut subject = Subject {
        meta: node.clone(),
        node,
        server: Mutex::new(None),
        _dir: dir,
    };
    if remote {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = server(&Tls::Off, Timeouts::default())
            .unwrap()
            .add_routes(subject.node.services());
        let serving = router.serve_with_incoming(TcpIncoming::from(listener));
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        *subject.server.lock() = Some(serving);
        subject.meta = Arc::new(Remote::new(channels(), [address], Duration::from_secs(20)));
    }
    Arc::new(subject)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_passes_the_suite_of_the_domain() {
    testing::suite(async |clock| subject(clock, false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_grpc_passes_the_suite_of_the_domain() {
    testing::suite(async |clock| subject(clock, true).await).await;
}
