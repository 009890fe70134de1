//! A whole node: started, asked how it is, and taken down in the reverse order. How it
//! is built, begun and set to work lies beside.

mod begin;
mod build;
mod start;
mod work;

use std::sync::Arc;
use std::time::Duration;

use postrider_meta::Client;
use postrider_net::{Drain, Tls};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::bound::Bound;
use crate::cluster::Cluster;
use crate::dir::{self, DirLock};
use crate::settings::Settings;
use crate::{ownership, telemetry};

/// Between looks whether the node still works.
const FAILURE_CHECK: Duration = Duration::from_secs(1);

/// A running node.
pub struct Node {
    bound: Bound,
    meta: Client,
    backend: Backend,
    cluster: Option<Arc<Cluster>>,
    /// Set once the object store turns out to be another's.
    wrong_store: ownership::Wrong,
    certificates: Vec<Tls>,
    /// It leaves the cluster when it is told to stop.
    leaves: bool,
    drain: Drain,
    sessions: TaskTracker,
    /// Background work.
    jobs: Phase,
    /// Keeping the leases under which part of it is done.
    keeper: Phase,
    /// Serving the other nodes.
    server: Phase,
    /// Cancelled when a background job has ended by itself.
    broken: CancellationToken,
    _lock: DirLock,
}

/// Tasks that end together.
#[derive(Default)]
struct Phase {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Phase {
    async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Node {
    /// Starts a node and returns once it serves. What fails cheaply (the
    /// folder's lock, certificates, ports) is tried before the store is opened.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        Self::start_after(settings, async |_: &Client| Ok(())).await
    }

    /// The same, but does `first` with the metadata before anybody is served: a
    /// client that comes early shall not be told that nobody is here.
    pub async fn start_after(
        settings: Settings,
        first: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        telemetry::recorder();
        let (node, parts) = Self::build(settings).await?;
        match node.begin(parts, first).await {
            Ok(()) => Ok(node),
            Err(error) => {
                // The first error is the one to tell.
                let _ = node.shutdown().await;
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Its metadata.
    pub fn meta(&self) -> &Client {
        &self.meta
    }

    /// Returns once the node can no longer work, with the reason: the metadata
    /// store failed, a background job panicked, the object store is another's, or
    /// it was removed from the cluster. The process should end then.
    pub async fn failed(&self) -> String {
        loop {
            if let Some(gone) = self.cluster.as_ref().and_then(|c| c.roster.gone()) {
                return gone.clone();
            }
            if let Some(failure) = self.backend.failure() {
                return format!("the metadata store cannot go on: {failure}");
            }
            if let Some(wrong) = self.wrong_store.get() {
                return wrong.clone();
            }
            if self.broken.is_cancelled() {
                return "a background job has ended; the log has the panic".to_owned();
            }
            tokio::time::sleep(FAILURE_CHECK).await;
        }
    }

    /// Everything that contradicts itself in the metadata; empty is fine. Reads
    /// the whole store.
    pub async fn check_consistency(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.backend.check_consistency().await?)
    }

    /// Reads all certificates again; one that is not usable is logged and the
    /// old one stays.
    pub fn reload_certificates(&self) {
        for tls in &self.certificates {
            let file = tls.settings().certificate.display();
            match tls.reload() {
                Ok(()) => tracing::info!(certificate = %file, "read the certificate again"),
                Err(error) => tracing::error!(%error, "the old certificate stays"),
            }
        }
    }

    /// Lets sessions end (for as long as `drain_timeout` says), stops the
    /// background work, gives back its leases and the leadership, and closes the
    /// store.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.drain.start();
        self.sessions.close();
        self.sessions.wait().await;
        self.jobs.end().await;
        self.keeper.end().await;
        if let Some(cluster) = self.cluster.as_ref().filter(|_| self.leaves)
            && let Err(error) = cluster.leave(&self.bound.data_dir).await
        {
            tracing::warn!(
                "this node has not left the cluster, which counts it as one that does not \
                 answer: {error:#}"
            );
        }
        // The others' answers are needed until the leadership is handed over.
        let closed = self.backend.shutdown().await;
        self.server.end().await;
        closed?;
        // So that the command line says that nothing runs here.
        let _ = std::fs::remove_file(self.bound.data_dir.join(dir::URL));
        Ok(())
    }
}
