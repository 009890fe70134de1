//! Whether the node can serve, and why not.
//!
//! Not ready: no metadata (no leader, no majority) or draining. Degraded: the
//! object store is away; the node stays ready, since it still takes small mail
//! and answers all that needs no body from there. Were it unready, a balancer
//! would take away every node at once.

use std::time::{Duration, Instant};

use metrics::gauge;
use postrider_blob::Store;
use postrider_meta::{Client, ReadAt, query};
use postrider_net::Drain;
use postrider_types::Versions;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::admin::api::Stats;
use crate::backend::Backend;
use crate::cluster::ARCHIVE_LAG;

/// How long the metadata may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Said of a node whose metadata are older than what it has said of them.
const LACKS_CONFIRMED: &str = "this node lacks entries that it had confirmed (its data folder is an \
     old copy, or its disk has lost them): stop it and run `postrider cluster rejoin` here";

/// What health is read from.
pub(crate) struct Health {
    meta: Client,
    blobs: Arc<Store>,
    drain: Drain,
    versions: Versions,
    backend: Backend,
    started: Instant,
}

/// The node's state, as `/healthz/ready` and `postrider status` tell it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Whether clients should be sent here.
    pub(crate) ready: bool,
    /// `ready`, `degraded` or `not ready`.
    pub(crate) status: String,
    /// Why it is degraded or not ready; empty if it is neither.
    pub(crate) reasons: Vec<String>,
    /// A metadata leader answered.
    pub(crate) metadata: bool,
    /// The object store takes objects.
    pub(crate) bodies_writable: bool,
    /// The object store gives objects.
    pub(crate) bodies_readable: bool,
    /// The node is stopping.
    pub(crate) draining: bool,
    /// Bytes of bodies that wait to be packed.
    pub(crate) inline_bytes: u64,
    /// What waits to be sent; absent where the metadata do not answer.
    #[serde(default)]
    pub(crate) queue: Option<Stats>,
    /// Seconds since the node started.
    pub(crate) uptime_seconds: u64,
    /// The program's release.
    pub(crate) version: String,
    /// The version that all nodes obey; absent where the metadata do not answer.
    #[serde(default)]
    pub(crate) cluster_version: Option<u32>,
}

impl Report {
    /// Of a node that has not opened its metadata yet, for this reason.
    pub(crate) fn starting(reason: String, began: Instant) -> Self {
        Self {
            ready: false,
            status: "not ready".into(),
            reasons: vec![format!("the node is starting: {reason}")],
            metadata: false,
            bodies_writable: false,
            bodies_readable: false,
            draining: false,
            inline_bytes: 0,
            queue: None,
            uptime_seconds: began.elapsed().as_secs(),
            version: env!("CARGO_PKG_VERSION").into(),
            cluster_version: None,
        }
    }
}

impl Health {
    pub(crate) fn new(
        meta: Client,
        blobs: Arc<Store>,
        drain: Drain,
        versions: Versions,
        backend: Backend,
    ) -> Self {
        Self {
            meta,
            blobs,
            drain,
            versions,
            backend,
            started: Instant::now(),
        }
    }

    /// Looks at everything now.
    pub(crate) async fn report(&self) -> Report {
        self.report_within(ANSWER_TIMEOUT).await
    }

    /// The same, but the metadata have `limit` to answer.
    pub(crate) async fn report_within(&self, limit: Duration) -> Report {
        let queue = self.queue_within(limit);
        let inline = self.inline_bytes_within(limit);
        let version = self.cluster_version_within(limit);
        let (inline, queue, version) = tokio::join!(inline, queue, version);
        let (writable, readable) = (self.blobs.writable(), self.blobs.readable());
        let draining = self.drain.is_draining();
        let mut reasons = Vec::new();
        if draining {
            reasons.push("the node is stopping".to_owned());
        }
        if let Err(reason) = &inline {
            reasons.push(format!("the metadata store does not answer: {reason}"));
        }
        if !writable {
            reasons.push("the object store takes no objects: large mail is refused".into());
        }
        if !readable {
            reasons.push("the object store gives no objects: packed mail cannot be read".into());
        }
        let lag = self.backend.archiving().map_or(Duration::ZERO, |it| it.lag);
        let archived = lag < ARCHIVE_LAG;
        if !archived {
            let lag = lag.as_secs();
            reasons.push(format!("the archive in the bucket is {lag} s behind"));
        }
        let ready = inline.is_ok() && !draining;
        let status = match (ready, writable && readable && archived) {
            (true, true) => "ready",
            (true, false) => "degraded",
            (false, _) => "not ready",
        };
        Report {
            ready,
            status: status.into(),
            reasons,
            metadata: inline.is_ok(),
            bodies_writable: writable,
            bodies_readable: readable,
            draining,
            inline_bytes: inline.unwrap_or_default(),
            queue,
            uptime_seconds: self.started.elapsed().as_secs(),
            version: env!("CARGO_PKG_VERSION").into(),
            cluster_version: version,
        }
    }

    /// Sets the gauges that only a look can tell.
    pub(crate) async fn observe(&self) {
        let inline = self.inline_bytes().await;
        gauge!("postrider_metadata_available").set(f64::from(u8::from(inline.is_ok())));
        if let Ok(bytes) = inline {
            gauge!("postrider_body_inline_bytes").set(bytes as f64);
        }
        if let Some(version) = self.cluster_version_within(ANSWER_TIMEOUT).await {
            gauge!("postrider_cluster_version").set(f64::from(version));
        }
        gauge!("postrider_program_version").set(f64::from(self.versions.newest.0));
        gauge!("postrider_draining").set(f64::from(u8::from(self.drain.is_draining())));
    }

    /// A linearizable read: it is answered only where a leader with a majority is.
    pub(crate) async fn inline_bytes(&self) -> Result<u64, String> {
        self.inline_bytes_within(ANSWER_TIMEOUT).await
    }

    async fn queue_within(&self, limit: Duration) -> Option<Stats> {
        let ask = self.meta.ask(query::QueueStats {}, ReadAt::Latest);
        let (stats, _) = tokio::time::timeout(limit, ask).await.ok()?.ok()?;
        Some(stats.into())
    }

    /// As far as is known here, which needs no leader where there is a replica.
    async fn cluster_version_within(&self, limit: Duration) -> Option<u32> {
        let at = ReadAt::AtLeast(Default::default());
        let ask = self.meta.ask(query::ClusterVersion {}, at);
        let (version, _) = tokio::time::timeout(limit, ask).await.ok()?.ok()?;
        Some(version.0)
    }

    async fn inline_bytes_within(&self, limit: Duration) -> Result<u64, String> {
        // What it has got would only be said to be old.
        if self.backend.lacks_confirmed() {
            return Err(LACKS_CONFIRMED.into());
        }
        let ask = self.meta.ask(query::InlineUsage {}, ReadAt::Latest);
        match tokio::time::timeout(limit, ask).await {
            Ok(Ok((bytes, _))) => Ok(bytes),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".into()),
        }
    }
}
