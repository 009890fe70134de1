//! Begins what was built: the other nodes first, then administration, then, once the
//! metadata answer, everybody else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use parking_lot::Mutex;
use postrider_auth::Authenticator;
use postrider_meta::{Client, ReadAt, command, query};
use postrider_net::Counts;
use postrider_proto::smtp::{SrsKey, UnsubscribeKey};
use postrider_queue::{Courier, Wake};
use postrider_types::Versions;
use tokio::sync::watch;

use super::build::Parts;
use super::{Node, Phase};
use crate::cluster::{Cluster, Server};
use crate::counts::{Exchange, Leader};
use crate::figures::Figures;
use crate::health::Health;
use crate::ownership;
use crate::services::Services;
use crate::settings::Settings;

/// How long the metadata may take to become available at the start of a node
/// that stands alone. One of a cluster waits for the others.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Between words in the log about what a start waits for.
const WAIT_NOTICE: Duration = Duration::from_secs(10);

impl Node {
    pub(super) async fn begin(
        &self,
        mut parts: Parts,
        first: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if let (Some(cluster), Some(server)) = (&self.cluster, parts.server.take()) {
            // Who was removed shall not be let in before that is known here.
            if self.backend.replica().is_some() {
                cluster.roster.load(&self.meta).await?;
            }
            if let Some(gone) = cluster.roster.gone() {
                anyhow::bail!(gone.clone());
            }
            self.link(cluster, server, &parts.settings, &parts.counts);
        }
        let mut services = self.services(&parts);
        let configs = services.settings.listener.clone();
        let certificates = std::mem::take(&mut parts.of_listeners);
        let configs = configs.iter().zip(certificates);
        let listeners = std::mem::take(&mut parts.listeners)
            .into_iter()
            .zip(configs);
        // Of a cluster without a majority one must be able to ask what is wrong.
        let in_cluster = self.cluster.is_some();
        let (early, late): (Vec<_>, Vec<_>) = listeners
            .partition(|(_, (config, _))| in_cluster && config.protocol.is_administration());
        // Before anybody can see that this node is there.
        if in_cluster {
            self.bound.leave_url()?;
        }
        for (listener, (config, tls)) in early {
            services.spawn(listener, config, tls);
        }
        let (verified, secret) = tokio::select! {
            ready = self.ready(&parts, first) => ready?,
            failure = self.failed() => anyhow::bail!(failure),
        };
        let srs = SrsKey::new(secret);
        services.srs = Some(srs.clone());
        services.unsubscribe = Some(UnsubscribeKey::new(secret));
        let courier = self.courier(&services, srs)?;
        services.gateway = courier.as_ref().map(Courier::gateway);
        if !in_cluster {
            self.bound.leave_url()?;
        }
        for (listener, (config, tls)) in late {
            services.spawn(listener, config, tls);
        }
        self.work(parts, courier, verified);
        Ok(())
    }

    /// What sessions are given; without what the metadata hold.
    fn services(&self, parts: &Parts) -> Services {
        let settings = &parts.settings;
        Services {
            auth: Authenticator::sharing(self.meta.clone(), settings.auth.clone(), &parts.counts),
            meta: self.meta.clone(),
            backend: self.backend.clone(),
            cluster: self.cluster.clone(),
            bodies: parts.bodies.clone(),
            blobs: parts.blobs.clone(),
            health: parts.health.clone(),
            figures: Arc::new(Figures {
                health: parts.health.clone(),
                backend: self.backend.clone(),
                cluster: self.cluster.clone(),
                certificates: self.certificates.clone(),
                inline_limit: settings.body.inline_budget,
                told: Mutex::default(),
            }),
            token: parts.token.clone(),
            drain: self.drain.clone(),
            sessions: self.sessions.clone(),
            counts: parts.counts.clone(),
            wake: Wake::default(),
            tls_reporter: Arc::default(),
            gateway: None,
            srs: None,
            unsubscribe: None,
            settings: settings.clone(),
        }
    }

    /// Waits for the metadata, and does `first`. Whether the object store was found to
    /// be this node's, and the secret that all nodes share.
    async fn ready(
        &self,
        parts: &Parts,
        first: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
    ) -> anyhow::Result<(bool, [u8; 32])> {
        self.until_available(&parts.health).await?;
        self.check_version(parts.settings.meta.versions).await?;
        let data_dir = &self.bound.data_dir;
        // The cluster's store was claimed by its first node.
        if self.cluster.is_none() {
            ownership::claim(&parts.bodies, data_dir).await?;
        }
        // A witness has no part in bodies.
        let witness = parts.settings.is_witness();
        let verified = witness || ownership::verify(&parts.bodies, data_dir).await?;
        first(&self.meta).await?;
        Ok((verified, secret(&self.meta).await?))
    }

    /// Begins to talk to the other nodes.
    fn link(&self, cluster: &Arc<Cluster>, server: Server, settings: &Settings, counts: &Counts) {
        let identity = &cluster.identity;
        let exchange = Exchange::new(identity.facts.node, counts.clone());
        let Phase { stop, tasks } = &self.server;
        server.spawn(cluster, exchange.clone(), tasks, stop);
        let stop = || self.jobs.stop.clone();
        let (sender, leader) = watch::channel(Leader::None);
        self.spawn("leader", cluster.clone().follow(sender, stop()).boxed());
        let channels = cluster.channels.clone();
        self.spawn("counts", exchange.run(leader, channels, stop()).boxed());
        let roster = cluster.roster.clone().keep(
            cluster.meta.clone(),
            cluster.channels.clone(),
            identity.clone(),
            settings.data_dir.clone(),
            stop(),
        );
        self.spawn("roster", roster.boxed());
        let settling = cluster.settling(settings);
        self.spawn("settling", settling.run(stop()).boxed());
    }

    /// Refuses to work in a cluster whose version the program does not know.
    async fn check_version(&self, versions: Versions) -> anyhow::Result<()> {
        let version = self.meta.ask(query::ClusterVersion {}, ReadAt::Latest);
        match versions.objection("this program", version.await?.0) {
            None => Ok(()),
            Some(objection) => anyhow::bail!(objection),
        }
    }

    /// Waits until the metadata answer.
    async fn until_available(&self, health: &Health) -> anyhow::Result<()> {
        let began = tokio::time::Instant::now();
        let mut noticed = began;
        while let Err(reason) = health.inline_bytes().await {
            if self.cluster.is_none() && began.elapsed() >= READY_TIMEOUT {
                anyhow::bail!("the metadata store does not become available: {reason}");
            }
            if noticed.elapsed() >= WAIT_NOTICE {
                noticed = tokio::time::Instant::now();
                tracing::warn!(
                    reason,
                    "waiting for the metadata; `postrider cluster status` shows which nodes answer"
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// The secret that all nodes share; the first node makes it.
async fn secret(meta: &Client) -> anyhow::Result<[u8; 32]> {
    let mut fresh = [0; 32];
    meta.random().fill(&mut fresh);
    let told = async || anyhow::Ok(meta.ask(query::Secret {}, ReadAt::Latest).await?.0);
    let mut secret = told().await?;
    if secret.is_none() {
        let set = command::SetSecret {
            secret: bytes::Bytes::copy_from_slice(&fresh),
        };
        meta.run(set).await?.0?;
        secret = told().await?;
    }
    let secret = secret.context("the metadata hold no secret")?;
    secret.as_ref().try_into().context("the secret is damaged")
}
