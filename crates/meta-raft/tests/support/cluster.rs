//! A cluster in one process: every node with a runtime of its own, which ends
//! as a process does, and a network between them that can be cut.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use postrider_meta_raft::{Archive, Node, Settings};
use postrider_rpc::tonic::transport::server::TcpIncoming;
use postrider_rpc::{Channels, Connector, Timeouts, Tls, Transport, server};
use postrider_types::{Clock, SystemClock};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::{settings, until};

/// Which nodes are cut off from all others, by their ids and addresses.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<Cuts>>);

#[derive(Default)]
struct Cuts {
    nodes: BTreeSet<u64>,
    addresses: BTreeSet<String>,
    sleepers: Vec<Waker>,
}

impl Network {
    /// Nothing gets through to or from `member` until it is healed; what is on
    /// its way stays there.
    pub(crate) fn cut(&self, member: &Member) {
        let mut cuts = self.0.lock();
        cuts.nodes.insert(member.settings.node_id);
        cuts.addresses.insert(member.settings.address.clone());
    }

    pub(crate) fn heal(&self) {
        let mut cuts = self.0.lock();
        let sleepers = std::mem::take(&mut *cuts).sleepers;
        sleepers.into_iter().for_each(Waker::wake);
    }

    fn stopped(&self, from: u64, to: &str, context: &Context<'_>) -> bool {
        let mut cuts = self.0.lock();
        let stopped = cuts.nodes.contains(&from) || cuts.addresses.contains(to);
        if stopped {
            cuts.sleepers.push(context.waker().clone());
        }
        stopped
    }

    /// The connections of node `from`.
    pub(crate) fn channels(&self, tls: &Tls, from: u64) -> Channels {
        let network = self.clone();
        let connector = Connector::new(move |to: &str| {
            let (network, to) = (network.clone(), to.to_owned());
            Box::pin(async move {
                let stream = TcpStream::connect(&to).await?;
                stream.set_nodelay(true)?;
                let wire = Wire {
                    stream,
                    network,
                    from,
                    to,
                };
                Ok(Box::new(wire) as Box<dyn Transport>)
            })
        });
        Channels::new(tls.clone(), Timeouts::default()).over(connector)
    }
}

/// A connection that the network may stop.
struct Wire {
    stream: TcpStream,
    network: Network,
    from: u64,
    to: String,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.network.stopped(self.from, &self.to, context) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.network.stopped(self.from, &self.to, context) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// An address that no other node of any test gets, not even once it is free
/// again: without certificates clusters are told apart by nothing else.
pub(crate) async fn free_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., a, b] = std::process::id().to_be_bytes();
    let ip = [127, a, b, NEXT.fetch_add(1, Ordering::Relaxed)];
    let listener = TcpListener::bind(SocketAddr::from((ip, 0))).await.unwrap();
    listener.local_addr().unwrap().to_string()
}

pub(crate) struct Member {
    pub(crate) node: Arc<Node>,
    pub(crate) settings: Settings,
    pub(crate) home: Home,
    runtime: Option<Runtime>,
}

/// What of a node outlives its process.
#[derive(Clone)]
pub(crate) struct Home {
    dir: Arc<TempDir>,
    tls: Tls,
    network: Network,
    archive: Option<Archive>,
    clock: Arc<dyn Clock>,
}

impl Home {
    /// The same with another clock.
    pub(crate) fn by(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same with an archive.
    pub(crate) fn with(self, archive: Archive) -> Self {
        Self {
            archive: Some(archive),
            ..self
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Member {
    /// A new node. The first one begins the cluster.
    pub(crate) async fn new(
        id: u64,
        tls: &Tls,
        network: &Network,
        archive: Option<Archive>,
    ) -> Self {
        Self::at(id, free_address().await, tls, network, archive).await
    }

    /// A new node with this address.
    pub(crate) async fn at(
        id: u64,
        address: String,
        tls: &Tls,
        network: &Network,
        archive: Option<Archive>,
    ) -> Self {
        let (home, settings) = Self::home(id, address, tls, network);
        Self::start(Home { archive, ..home }, settings).await
    }

    /// What a new node needs.
    pub(crate) fn home(id: u64, address: String, tls: &Tls, network: &Network) -> (Home, Settings) {
        let dir = Arc::new(TempDir::new().unwrap());
        let settings = Settings {
            node_id: id,
            address,
            bootstrap: id == 1,
            ..settings(dir.path())
        };
        let home = Home {
            dir,
            tls: tls.clone(),
            network: network.clone(),
            archive: None,
            clock: Arc::new(SystemClock),
        };
        (home, settings)
    }

    pub(crate) async fn start(home: Home, settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (inside, how) = (home.clone(), settings.clone());
        let serving = async move {
            // One that is alone has no address.
            let address = how.address.parse();
            let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
            let mut listener = TcpListener::bind(address).await;
            // The connections of a process that was killed may linger.
            while listener.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                listener = TcpListener::bind(address).await;
            }
            let channels = inside.network.channels(&inside.tls, how.node_id);
            let clock = inside.clock.clone();
            let mut node = None;
            // Nor has the killed one let go of its folder at once.
            while node.is_none() {
                let archive = inside.archive.clone();
                let started = Node::start(how.clone(), clock.clone(), channels.clone(), archive);
                match started.await {
                    Ok(started) => node = Some(started),
                    Err(postrider_meta_raft::Error::Folder { .. }) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            let node = node.unwrap();
            let router = server(Timeouts::default()).add_routes(node.services());
            let incoming = TcpIncoming::from(listener.unwrap()).with_nodelay(Some(true));
            tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
            node
        };
        let node = runtime.spawn(serving).await.unwrap();
        Self {
            node,
            settings,
            home,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn address(&self) -> String {
        self.settings.address.clone()
    }

    pub(crate) fn leads(&self) -> bool {
        self.node.health().leads
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(mut self) -> (Home, Settings) {
        self.node.shutdown().await.unwrap();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        (self.home.clone(), self.settings.clone())
    }

    /// Ends it as SIGKILL does.
    pub(crate) fn kill(mut self) -> (Home, Settings) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        (self.home.clone(), self.settings.clone())
    }
}

/// Three voters.
pub(crate) async fn three(tls: &Tls, network: &Network) -> Vec<Member> {
    let mut members = Vec::new();
    for id in 1..=3 {
        members.push(Member::new(id, tls, network, None).await);
        let member = members.last().unwrap();
        if id > 1 {
            member.node.join(&[members[0].address()]).await.unwrap();
        }
    }
    members
}

/// Where the leader is among them.
pub(crate) async fn leader(members: &[Member]) -> usize {
    let mut found = 0;
    until("a leader", async || {
        let leading = members.iter().position(Member::leads);
        found = leading.unwrap_or(0);
        leading.is_some()
    })
    .await;
    found
}

/// All have applied the same and are whole.
pub(crate) async fn same_state(members: &[Member]) {
    until("all have applied the same", async || {
        let applied = members.iter().map(|member| member.node.health().applied);
        applied.collect::<BTreeSet<u64>>().len() == 1
    })
    .await;
    let mut hashes = BTreeSet::new();
    for member in members {
        hashes.insert(member.node.state_hash().await.unwrap().1);
        let broken = member.node.check_consistency().await.unwrap();
        assert!(broken.is_empty(), "{broken:#?}");
    }
    assert_eq!(hashes.len(), 1);
}
