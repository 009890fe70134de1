//! A simulated node: a real one on a folder of its own, which may die at any
//! moment and come back with what its disk then holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use postrider_meta_raft::{Node, Settings, simulation};
use postrider_rpc::{Channels, Timeouts, Tls, server};
use postrider_types::{Clock, Millis};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::bucket;
use crate::hub::Life;
use crate::world::World;

/// A clock that can be set.
pub(crate) struct WallClock {
    began: Instant,
    /// Milliseconds ahead of the others.
    pub(crate) ahead: AtomicI64,
}

impl WallClock {
    pub(crate) fn new(began: Instant) -> Self {
        let ahead = AtomicI64::new(0);
        Self { began, ahead }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Millis {
        let real = 1_750_000_000_000 + self.began.elapsed().as_millis() as i64;
        Millis(u64::try_from(real + self.ahead.load(Ordering::Relaxed)).unwrap())
    }
}

/// What becomes of the state on disk when a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Kept,
    /// As it was when the node was down before.
    Older,
    Lost,
}

pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) clock: Arc<WallClock>,
    world: Arc<World>,
    dir: PathBuf,
    running: Option<Running>,
}

struct Running {
    node: Arc<Node>,
    server: JoinHandle<()>,
    /// Dropped when it dies.
    life: watch::Sender<()>,
}

impl Member {
    pub(crate) fn new(id: u64, root: &Path, world: &Arc<World>) -> Self {
        Self {
            id,
            address: format!("n{id}:7425"),
            clock: Arc::new(WallClock::new(world.zero)),
            world: Arc::clone(world),
            dir: root.join(format!("n{id}")),
            running: None,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            dir: self.dir.clone(),
            node_id: self.id,
            address: self.address.clone(),
            bootstrap: self.id == 1,
            timeout: Duration::from_secs(8),
            election_timeout: Duration::from_millis(500),
            lease_reads: self.world.seed % 2 == 1,
            segment_bytes: 1 << 20,
            cache_bytes: 1 << 20,
            buffer_bytes: 1 << 20,
            snapshot_bytes: 256 << 10,
            keep_entries: 8,
            keep_bytes: 256 << 10,
            ..Settings::default()
        }
    }

    /// The node, while it is up.
    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        Some(Arc::clone(&self.running.as_ref()?.node))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) async fn start(&mut self) {
        let (mut incoming, connector) = self.world.hub.up(&self.address);
        let channels = Channels::new(Tls::Off, Timeouts::default()).over(connector);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let archive = bucket::archive(&self.world, self.id);
        let node = Node::start(self.settings(), clock, channels, archive).await;
        let node = node.unwrap_or_else(|error| panic!("node {} does not start: {error}", self.id));
        let mut router = server(Timeouts::default());
        let router = router.add_routes(node.services());
        let incoming = futures::stream::poll_fn(move |cx| incoming.poll_recv(cx));
        let serving = router.serve_with_incoming(incoming);
        let server = tokio::spawn(async move { serving.await.unwrap() });
        let life = self.world.up(self.id, &node);
        self.running = Some(Running { node, server, life });
    }

    /// Dies at this moment: what is not durable is lost.
    pub(crate) async fn crash(&mut self, how: Life, state: State) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.world.down(self.id);
        self.world.hub.down(&self.address, how);
        simulation::break_disk(&running.node);
        self.bury(running).await;
        self.keep(state);
    }

    /// Ends as on a signal to end.
    pub(crate) async fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.world.down(self.id);
        if let Err(error) = running.node.shutdown().await {
            self.world.note(&format!("n{} ends with {error}", self.id));
        }
        self.world.hub.down(&self.address, Life::Reset);
        self.bury(running).await;
        self.keep(State::Kept);
    }

    /// Waits until nothing of a dead node is left. The last to end are tries to
    /// reach others, after some seconds.
    async fn bury(&self, running: Running) {
        let Running { node, server, life } = running;
        drop(life);
        let _ = node.raft().shutdown().await;
        let left = simulation::remains(&node);
        drop(node);
        server.abort();
        let _ = server.await;
        let mut waited = 0;
        while let Some(left) = left() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            waited += 1;
            assert!(waited < 1_000, "node {} does not end: {left}", self.id);
        }
    }

    /// Leaves on disk what is to be found by the next start.
    fn keep(&self, state: State) {
        let (now, before) = (self.dir.join("state"), self.dir.join("before"));
        match state {
            State::Kept => {}
            State::Lost => remove(&now),
            State::Older => {
                remove(&now);
                if before.exists() {
                    copy(&before, &now);
                }
            }
        }
        remove(&before);
        if now.exists() {
            copy(&now, &before);
        }
    }
}

fn remove(dir: &Path) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
